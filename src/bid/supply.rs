//! The supply chain: is this request sold by who may sell it? Asked before the campaigns are.

use crate::bid::Outcome;
use crate::bid::eligible::Scene;
use crate::snapshot::supply::Verdict;
use crate::wire::openrtb::request::{BidRequest, Parts};

/// What the files say of the path a request took; `None` if nobody asks. No bid if the exchange's policy forbids it.
#[inline]
pub fn check<'r>(
    _scene: Scene<'_>,
    _parts: &mut Parts<'r, '_>,
    _request: &mut BidRequest<'r>,
) -> Result<Option<Verdict>, Outcome> {
    Ok(None)
}
