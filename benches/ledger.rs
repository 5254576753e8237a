//! What a commit costs: framing and hash alone, and written and synced on the disk of the target directory.
//!
//! `cargo bench --profile quick --bench ledger`

use std::path::Path;
use std::time::Instant;

use corebid::reconcile::record::{Marks, Record};
use corebid::store::commit::{self, Header, NOTHING};
use corebid::store::disk::Directory;
use corebid::store::embedded::{Embedded, Position};
use corebid::store::journal::Journal;
use corebid::store::writer::{Job, Writer};
use corebid::units::*;
use glommio::LocalExecutor;

const COMMITS: usize = 1_000;
const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

const BILL: Record = Record::Bill {
    number: 1,
    reservation: ReservationId(1),
    lease: LeaseId(2),
    campaign: CampaignId(3),
    exchange: ExchangeKey(4),
    bid: BidId([4; 16]),
    price: CpmMicros(5),
    reserved: Micros(6),
    amount: Micros(6),
    expires: WALL,
    wall: WALL,
    marks: Marks::BILLED,
    epoch: Epoch(0),
};

/// Middle and last percent, in microseconds.
fn quantiles(mut times: Vec<u128>) -> (f64, f64) {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100] as f64 / 1000.0;
    (at(50), at(99))
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn main() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-ledger");
    let _ = std::fs::remove_dir_all(&dir);
    let now = Now { boot: Nanos(0), wall: WALL };
    let store = Embedded::open(&dir, |_| Ok(())).expect("a new directory");
    let mut journal = Journal::new(0, store.ids_from);
    for records in [1, 40, 400] {
        let mut batch = || {
            for _ in 0..records {
                journal.append(now, &BILL);
            }
            journal.take().expect("records")
        };
        let bytes = batch().bytes;
        let mut out = vec![0; commit::padded(bytes.len())];
        let header = Header { segment: 1, first: 0, count: records, opening: false, closing: false, previous: NOTHING };
        let framed = (0..COMMITS).map(|_| {
            let start = Instant::now();
            std::hint::black_box(commit::write(&header, &bytes, &mut out));
            start.elapsed().as_nanos()
        });
        let (frame, _) = quantiles(framed.collect());
        let synced = LocalExecutor::default().run(async {
            let mut writer = Writer::new(Directory::new(dir.clone()), u64::MAX, Position::START, WALL);
            let opening = Journal::new(0, WALL).opening(now, []);
            writer.step(&mut Job::start(opening), WALL).await.expect("a disk");
            let mut times = Vec::new();
            for _ in 0..COMMITS {
                let mut job = Job::new(batch(), None);
                let start = Instant::now();
                writer.step(&mut job, WALL).await.expect("a disk");
                times.push(start.elapsed().as_nanos());
            }
            times
        });
        let (p50, p99) = quantiles(synced);
        println!("{records:>4} bills: frame and hash {frame:.1} us, synced p50 {p50:.0} us, p99 {p99:.0} us");
    }
    std::fs::remove_dir_all(dir).expect("its own directory");
}
