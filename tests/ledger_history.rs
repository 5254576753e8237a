//! What a start costs after ten million bills: the day's segment, not the history.
//!
//! `cargo test --profile quick --test ledger_history -- --ignored --nocapture`; it writes about two gigabytes under `target`.

use std::fs;
use std::path::Path;

use corebid::clock;
use corebid::limits;
use corebid::reconcile::history::Replayed;
use corebid::reconcile::record::{Marks, Record, UNLIMITED};
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
const COST: Micros = Micros(1_000);

/// Books everything, and has it written.
struct Ledger {
    replayed: Replayed,
    journal: Journal,
    writer: Writer<Directory>,
    now: Now,
}

impl Ledger {
    fn append(&mut self, record: &Record) {
        self.replayed.apply(record).unwrap();
        self.journal.append(self.now, record);
    }

    async fn commit(&mut self) {
        let batch = self.journal.take().unwrap();
        let wall = self.now.wall;
        let opening = self.writer.wants_segment(wall).then(|| self.journal.opening(self.now, self.replayed.opening()));
        let mut job = Job::new(batch, opening);
        while !job.is_done() {
            self.writer.step(&mut job, wall).await.unwrap();
        }
    }
}

async fn write(dir: &Path) -> Replayed {
    let wall = UnixMillis(1_800_000_000_000 / UnixMillis::DAY * UnixMillis::DAY);
    let now = Now { boot: Nanos(0), wall };
    let (Embedded { position, ids_from, lock: _lock }, replayed) = Embedded::open_replayed(dir).unwrap();
    let mut journal = Journal::new(31, ids_from);
    let mut writer = Writer::new(Directory::new(dir.to_owned()), SEGMENT_BYTES, position, wall);
    writer.step(&mut Job::start(journal.opening(now, [])), wall).await.unwrap();
    let mut ledger = Ledger { replayed, journal, writer, now };
    let (campaign, advertiser, day) = (CampaignId(7), AdvertiserId(1), wall.day());
    let (node, incarnation, exchange) = (NodeId(0), Incarnation(1), ExchangeKey(0));
    let (lease, all) = (LeaseId(1 << 32 | 1), Micros(1 << 50));
    ledger.append(&Record::Began { ids_from: wall });
    ledger.append(&Record::Registered {
        incarnation,
        node,
        nonce: 1,
        first_worker: 0,
        workers: 2,
        ids_from: wall,
        horizon: limits::H2_MS,
        first_booking: 0,
        next_booking: 0,
        wall,
    });
    ledger.append(&Record::Funded { campaign, advertiser, day, daily: all, total: UNLIMITED });
    ledger.append(&Record::Granted { lease, campaign, incarnation, day, total: all });
    for second in 0..BILLS / PER_SECOND {
        let wall = UnixMillis(wall.0 + 1000 * second);
        ledger.now.wall = wall;
        for index in 0..PER_SECOND {
            let reservation = ReservationId(second << 22 | index);
            let number = second * PER_SECOND + index;
            let expires = UnixMillis(wall.0 + limits::H2_MS);
            ledger.append(&Record::Bill {
                number,
                reservation,
                lease,
                campaign,
                exchange,
                bid: BidId([9; 16]),
                price: CpmMicros(1_000_000),
                reserved: COST,
                amount: COST,
                expires,
                wall,
                marks: Marks::BILLED,
                epoch: Epoch(0),
            });
            ledger.append(&Record::Booked {
                reservation,
                lease,
                campaign,
                exchange,
                reserved: COST,
                amount: COST,
                expires,
                node,
                number,
                marks: Marks::BILLED,
            });
        }
        ledger.append(&Record::Confirmed { upto: (second + 1) * PER_SECOND, wall });
        if second % 60 == 0 {
            let minute = wall.0 / 60_000;
            ledger.replayed.books.forget(minute - 1);
            ledger.replayed.history.forget(minute - 2..=minute - 1);
        }
        // Fewer and larger than in life, where it would be a day of syncs.
        if second % 20 == 0 {
            ledger.commit().await;
        }
    }
    ledger.commit().await;
    ledger.replayed
}

#[test]
#[ignore = "writes two gigabytes"]
fn ten_million_bills_start_in_seconds() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("history");
    let _ = fs::remove_dir_all(&dir);
    let written = LocalExecutor::default().run(write(&dir));
    let from = clock::thread_cpu();
    let (store, read) = Embedded::open_replayed(&dir).unwrap();
    let start = clock::thread_cpu() - from;
    let settled = |replayed: &Replayed| replayed.books.life(CampaignId(7)).map(|life| life.account.settled);
    assert_eq!(settled(&read), Some(Micros(COST.0 * (BILLS / PER_SECOND * PER_SECOND) as i64)));
    assert_eq!(settled(&read), settled(&written));
    drop(store);
    let from = clock::thread_cpu();
    let verified = verify::verify(&dir, None, &[]).unwrap();
    let verify = clock::thread_cpu() - from;
    assert!(verified.records >= 2 * (BILLS / PER_SECOND * PER_SECOND));
    println!(
        "{} records in {} segments: start {} ms, verify {} ms of CPU time",
        verified.records,
        verified.segments,
        start / 1_000_000,
        verify / 1_000_000
    );
    fs::remove_dir_all(dir).unwrap();
}
