//! A request, in the plain values that the targeting index asks for. What no campaign is particular about is not read.

use arrayvec::ArrayVec;

use crate::bid::admit::Exchange;
use crate::limits;
use crate::snapshot::Snapshot;
use crate::snapshot::calendar::Hours;
use crate::snapshot::geo::{Found, Geo as GeoBase};
use crate::snapshot::targeting::{Asked, Index, host};
use crate::units::Now;
use crate::wire::json::Text;
use crate::wire::openrtb::request::{BidRequest, Channel, Parts, ScanError};

/// Room for texts whose JSON had escapes in it: `https:\/\/` is common in `site.page`.
#[derive(Debug)]
pub struct Unescaped {
    inventory: [u8; 2048],
    publisher: [u8; 256],
    city: [u8; 256],
    carrier: [u8; 256],
}

impl Default for Unescaped {
    fn default() -> Self {
        Unescaped { inventory: [0; 2048], publisher: [0; 256], city: [0; 256], carrier: [0; 256] }
    }
}

/// Reads what the index needs and the request has not given yet.
#[inline]
pub fn read<'r>(index: &Index, parts: &mut Parts<'r, '_>, request: &mut BidRequest<'r>) -> Result<(), ScanError> {
    parts.inventory(request)?;
    if index.asks_place_details() {
        parts.place_details(request)?;
    }
    if index.asks_agent() {
        parts.agent(request)?;
    }
    if index.asks_content() {
        parts.content(request)?;
    }
    Ok(())
}
