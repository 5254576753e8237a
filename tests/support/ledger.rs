//! What stands in a ledger that nobody writes: the records of all its files, in order.

use std::fs;
use std::path::Path;

use corebid::reconcile::record::Record;
use corebid::store::{commit, embedded};
use corebid::units::BidId;

/// All records of the ledger in the data directory of a bidder that ended, opening balances included. A commit that was
/// being written when it ended is left out, as a start leaves it out.
#[track_caller]
pub fn records(data: &Path) -> Vec<Record> {
    let files = (1..).map(|file| (file, embedded::path(data, file))).take_while(|(_, path)| path.exists());
    files.flat_map(|(file, path)| commit::contents(file, &fs::read(path).unwrap()).unwrap().records).collect()
}

/// `Bid.id` as a response writes it.
pub fn bid_id(bid: BidId) -> String {
    bid.0.iter().map(|byte| format!("{byte:02x}")).collect()
}
