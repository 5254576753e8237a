//! Compliance: may this request be answered at all, and may the user behind it be known?
//!
//! Consent strings are not decoded yet, so every signal that one would have to decode is taken as a no: `gdpr = 1`, a GPP
//! string. So are `coppa = 1`, `lmt`, `dnt`, GPC, and a US privacy string that opts out. What remains is a contextual bid:
//! no profile, no frequency cap, no user id is touched.

use crate::bid::Outcome;
use crate::bid::admit::Exchange;
use crate::bid::eligible::Scene;
use crate::bid::sale::holds;
use crate::wire::consent::Purposes;
use crate::wire::json::Text;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Parts};

/// Proof that the user behind a request may be known. Only this stage makes one, and neither the profile shard nor the
/// frequency shard can be asked without it.
#[derive(Debug)]
pub struct Personal(());

#[cfg(test)]
impl Personal {
    /// For tests of the stages behind this one.
    pub(in crate::bid) fn granted() -> Personal {
        Personal(())
    }
}

/// Whether the exchange lets our seat bid.
#[inline]
pub fn clear(request: &BidRequest<'_>, exchange: &Exchange) -> Result<(), NoBidReason> {
    let seat = &*exchange.seat;
    let not_invited = !request.wseat.is_empty() && !holds(request.wseat, seat);
    if not_invited || (!request.bseat.is_empty() && holds(request.bseat, seat)) {
        return Err(NoBidReason::Seat);
    }
    Ok(())
}

/// `dsarequired` from which bids without DSA information are not accepted (IAB, DSA transparency extension).
pub const DSA_REQUIRED: u8 = 2;

/// What a request lets us do with the data of the person behind it.
#[derive(Debug)]
pub struct Leave {
    /// The user may be known: profile, frequency, ids.
    pub personal: Option<Personal>,
    /// What else personal data may be processed for, by the purposes of the TCF ([`Purposes::MEASURE`], [`Purposes::STATISTICS`],
    /// [`Purposes::IMPROVE`]); all of them where no law asks.
    pub purposes: Purposes,
}

/// What this request lets us do; no bid if it lets us do nothing. Reads `regs`, `user` and `device` of it.
pub fn leave<'r>(_scene: Scene<'_>, parts: &mut Parts<'r, '_>, request: &mut BidRequest<'r>) -> Result<Leave, Outcome> {
    parts.person(request)?;
    Ok(Leave { personal: personal(request), purposes: Purposes::ALL })
}

/// The proof, if this request gives it. Its privacy signals are read only for requests that somebody wants.
pub fn personal(request: &BidRequest<'_>) -> Option<Personal> {
    let restricted = request.gdpr == Some(true)
        || request.coppa
        || request.gpc
        || request.device.lmt
        || request.device.dnt
        || !allows_sale(request.us_privacy)
        || !request.gpp.is_empty()
        || !request.gpp_sid.is_empty();
    (!restricted).then_some(Personal(()))
}

/// Whether a US privacy string (IAB, version 1) leaves the user's data to us: absent, or well formed without an opt-out.
fn allows_sale(us_privacy: Text<'_>) -> bool {
    us_privacy.is_empty() || matches!(us_privacy.raw, [b'1', b'Y' | b'N' | b'-', b'N' | b'-', b'Y' | b'N' | b'-'])
}
