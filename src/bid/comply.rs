//! Compliance: may this request be answered at all, and what may be done with the data of the person behind it?

pub mod consent;

use crate::bid::admit::Exchange;
use crate::bid::sale::holds;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::BidRequest;
pub use consent::{Allowed, Basis, Leave, Personal};

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
