//! What stands in a ledger that nobody writes: the records of all its files, in order.

use std::fs;
use std::path::Path;

use corebid::reconcile::record::Record;
use corebid::store::commit::{Entry, Segment};
use corebid::store::embedded;
use corebid::units::BidId;

/// All records of the ledger in the data directory of a bidder that ended, opening balances included. A commit that was
/// being written when it ended is left out, as a start leaves it out.
#[track_caller]
pub fn records(data: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    let files = (1..).map(|file| (file, embedded::path(data, file))).take_while(|(_, path)| path.exists());
    for (file, path) in files {
        let segment = Segment::read(file, &fs::read(path).unwrap(), |entry| {
            if let Entry::Record { record, .. } = entry {
                records.push(record);
            }
        });
        segment.unwrap();
    }
    records
}

/// `Bid.id` as a response writes it.
pub fn bid_id(bid: BidId) -> String {
    bid.0.iter().map(|byte| format!("{byte:02x}")).collect()
}
