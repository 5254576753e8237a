//! What a start costs after ten million bills: the day's segment, not the history.
//!
//! `cargo test --profile quick --test ledger_history -- --ignored --nocapture`; it writes about a gigabyte under `target`.

use std::fs;
use std::path::Path;

use corebid::clock;
use corebid::reconcile::books::Books;
use corebid::reconcile::record::{Marks, Record};
use corebid::reconcile::server::SEGMENT_BYTES;
use corebid::store::disk::Directory;
use corebid::store::embedded::Embedded;
use corebid::store::journal::Journal;
use corebid::store::verify;
use corebid::store::writer::{Job, Writer};
use corebid::units::*;
use glommio::LocalExecutor;

const BILLS: u64 = 10_000_000;
/// A day's worth.
const PER_SECOND: u64 = 116;

/// Books everything, and has it written.
struct Ledger {
    books: Books,
    journal: Journal,
    writer: Writer<Directory>,
    now: Now,
}

impl Ledger {
    fn append(&mut self, record: &Record) {
        self.books.apply(record).unwrap();
        self.journal.append(self.now, record);
    }

    async fn commit(&mut self) {
        let batch = self.journal.take().unwrap();
        let wall = self.now.wall;
        let opening = self.writer.wants_segment(wall).then(|| self.journal.opening(self.now, self.books.opening()));
        let mut job = Job::new(batch, opening);
        while !job.is_done() {
            self.writer.step(&mut job, wall).await.unwrap();
        }
    }
}

async fn write(dir: &Path) -> Books {
    let wall = UnixMillis(1_800_000_000_000 / UnixMillis::DAY * UnixMillis::DAY);
    let now = Now { boot: Nanos(0), wall };
    let (Embedded { position, ids_from, lock: _lock }, books) = Embedded::open_books(dir).unwrap();
    let mut journal = Journal::new(31, ids_from);
    let mut writer = Writer::new(Directory::new(dir.to_owned()), SEGMENT_BYTES, position, wall);
    writer.step(&mut Job::start(journal.opening(now, [])), wall).await.unwrap();
    let mut ledger = Ledger { books, journal, writer, now };
    let (campaign, advertiser, day, incarnation) = (CampaignId(7), AdvertiserId(1), wall.day(), Incarnation(1));
    let (lease, all) = (LeaseId(1 << 32 | 1), Micros(1 << 50));
    ledger.append(&Record::Began { ids_from: wall });
    ledger.append(&Record::Started { incarnation, node: NodeId(0), wall, ids_from: wall });
    ledger.append(&Record::Funded { campaign, advertiser, day, daily: all, total: all });
    ledger.append(&Record::Granted { lease, campaign, incarnation, day, total: all });
    for second in 0..BILLS / PER_SECOND {
        let wall = UnixMillis(wall.0 + 1000 * second);
        ledger.now.wall = wall;
        for index in 0..PER_SECOND {
            ledger.append(&Record::Billed {
                reservation: ReservationId(second << 22 | index),
                lease,
                campaign,
                bid: BidId([9; 16]),
                price: CpmMicros(1_000_000),
                amount: Micros(1_000),
                expires: UnixMillis(wall.0 + 1_800_000),
                wall,
                marks: Marks::BILLED,
            });
        }
        if second % 60 == 0 {
            let minute = wall.0 / 60_000;
            ledger.books.forget(minute - 2..=minute - 1);
        }
        // Fewer and larger than in life, where it would be a day of syncs.
        if second % 20 == 0 {
            ledger.commit().await;
        }
    }
    ledger.commit().await;
    ledger.books
}

#[test]
#[ignore = "writes a gigabyte"]
fn ten_million_bills_start_in_seconds() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("history");
    let _ = fs::remove_dir_all(&dir);
    let written = LocalExecutor::default().run(write(&dir));
    let from = clock::thread_cpu();
    let (store, books) = Embedded::open_books(&dir).unwrap();
    let start = clock::thread_cpu() - from;
    let settled = |books: &Books| books.life(CampaignId(7)).map(|life| life.account.settled);
    assert_eq!(settled(&books), settled(&written));
    drop(store);
    let from = clock::thread_cpu();
    let verified = verify::verify(&dir, None, &[]).unwrap();
    let verify = clock::thread_cpu() - from;
    assert!(verified.records >= BILLS / PER_SECOND * PER_SECOND);
    println!(
        "{} records in {} segments: start {} ms, verify {} ms of CPU time",
        verified.records,
        verified.segments,
        start / 1_000_000,
        verify / 1_000_000
    );
    fs::remove_dir_all(dir).unwrap();
}
