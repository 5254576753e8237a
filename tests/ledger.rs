//! The reconciliation thread on a real directory: what was acknowledged is in the file, whatever is cut off its end, and
//! a restart goes on from it.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use corebid::authority::books::Books;
use corebid::bid::budget::Leases;
use corebid::clock;
use corebid::ids::Snowflake;
use corebid::limits;
use corebid::reconcile::gauges::Gauges;
use corebid::reconcile::history::Replayed;
use corebid::reconcile::record::{Marks, Record};
use corebid::reconcile::server::{self, Command, CoreEnds, Ended, Handle, Options, StartError};
use corebid::reconcile::solo::{Solo, Start};
use corebid::reconcile::{Funding, Horizons, Mode, Parts, Settings};
use corebid::ring::message::{Agreed, Claim, Event, Notice, NoticeKind, NoticePrice, Noticed, Order, Reserved};
use corebid::ring::spsc::{self, BoxReceiver, BoxSender, EventSender, OrderReceiver};
use corebid::ring::wake;
use corebid::snapshot::Snapshot;
use corebid::store::anchor::Anchor;
use corebid::store::commit::{self, Entry, Segment};
use corebid::store::embedded::{self, Embedded, OpenError};
use corebid::store::verify;
use corebid::units::*;

const PRICE: CpmMicros = CpmMicros(2_500_000);
/// Far more than any machine needs; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bid core's side of the rings, stepped by the test.
struct Bidder {
    handle: Handle,
    commands: SyncSender<Command>,
    events: EventSender,
    orders: OrderReceiver,
    _snapshots: (BoxReceiver<Snapshot>, BoxSender<Snapshot>),
    leases: Leases,
    ids: Snowflake,
    answers: HashMap<u64, Noticed>,
    drain: bool,
    tickets: u64,
}

impl Bidder {
    fn start(dir: &Path) -> Result<Self, StartError> {
        Self::start_with(dir, server::SEGMENT_BYTES)
    }

    fn start_with(dir: &Path, segment_bytes: u64) -> Result<Self, StartError> {
        let settings = Settings { node: NodeId(1), cores: 1, horizons: Horizons::default(), parts: Parts::One };
        let (events, their_events) = spsc::events();
        let (their_orders, orders) = spsc::orders(wake::pair().unwrap().0);
        let (their_snapshots, snapshots) = spsc::boxes();
        let (retired, their_retired) = spsc::boxes();
        let ends =
            CoreEnds { events: their_events, orders: their_orders, snapshots: their_snapshots, retired: their_retired };
        let (commands, their_commands) = sync_channel(8);
        let options = Options {
            dir: dir.to_owned(),
            cpu: None,
            segment_bytes,
            head_file: Some(dir.join("heads")),
            slots: 4,
            paths: false,
            settings,
        };
        let handle = server::spawn(options, None, vec![ends], their_commands)?;
        let funding = Funding {
            campaign: CampaignId(7),
            advertiser: AdvertiserId(1),
            slot: Slot(0),
            daily: Micros(1_000_000_000),
            total: None,
            price: PRICE,
            mode: Mode::Strict,
            tolerance: None,
        };
        commands.send(Command::Campaigns(vec![funding])).unwrap();
        let ids = Snowflake::new(handle.registered.first_worker, handle.registered.ids_from);
        let leases = Leases::new(4);
        let _snapshots = (snapshots, retired);
        let answers = HashMap::new();
        Ok(Self { handle, commands, events, orders, _snapshots, leases, ids, answers, drain: false, tickets: 0 })
    }

    fn read_orders(&mut self) {
        let Self { orders, leases, events, answers, drain, .. } = self;
        orders.drain(usize::MAX, |order| match order {
            Order::Grant { slot, lease, credit, ends } => {
                if let Some(back) = leases.grant(slot, lease, credit, ends) {
                    events.offer(Event::Returned { slot, lease: back.lease, credit: back.credit }).unwrap();
                }
            }
            Order::Renew { until } => leases.renew(until),
            Order::Revoke { slot } => {
                if let Some(back) = leases.revoke(slot) {
                    events.offer(Event::Returned { slot, lease: back.lease, credit: back.credit }).unwrap();
                }
            }
            Order::Noticed { ticket, noticed } => assert_eq!(answers.insert(ticket, noticed), None),
            Order::Drain => *drain = true,
            Order::Counted { .. } | Order::Pace { .. } | Order::Quota { .. } | Order::Erase { .. } => {}
            Order::Curve { .. } => {}
        });
    }

    #[expect(clippy::disallowed_methods, reason = "it waits for another thread, for a bounded time")]
    fn until<T>(&mut self, mut what: impl FnMut(&mut Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            self.read_orders();
            if let Some(found) = what(self) {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "nothing came back");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Bids once, as soon as the sub-lease allows.
    fn bid(&mut self) -> Claim {
        let price = PRICE.per_impression();
        let now = clock::now();
        let backing = self.until(|bidder| bidder.leases.reserve(Slot(0), price, clock::boot()).ok());
        let expires = UnixMillis(now.wall.0 + limits::H2_MS);
        let reservation = self.ids.next(now).unwrap();
        let lease = backing.lease;
        self.events
            .offer(Event::Reserved(Reserved {
                reservation,
                lease,
                slot: Slot(0),
                price,
                expires,
                exchange: ExchangeKey(0),
            }))
            .unwrap();
        Claim {
            reservation,
            lease,
            price: PRICE,
            terms: Terms::PLAIN,
            expires,
            user: UserKey(5),
            bid: BidId([9; 16]),
            campaign: CampaignId(7),
            incarnation: self.handle.registered.incarnation,
            node: NodeId(1),
            exchange: ExchangeKey(0),
            agreed: Agreed::NOTHING,
            creative: 0,
        }
    }

    fn bill(&mut self, claim: Claim) -> u64 {
        self.tickets += 1;
        let (ticket, price) = (self.tickets, NoticePrice::Cpm(CpmMicros(1_000_000)));
        self.events
            .offer(Event::Notice(Notice {
                ticket,
                kind: NoticeKind::Bill,
                price,
                multiplier: Multiplier::ONE,
                path: PathKey::NONE,
                arm: ArmId(0),
                claim,
            }))
            .unwrap();
        ticket
    }

    fn answer(&mut self, ticket: u64) -> Noticed {
        self.until(|bidder| bidder.answers.get(&ticket).copied())
    }

    fn stop(mut self) -> Ended {
        self.commands.send(Command::Stop).unwrap();
        self.until(|bidder| bidder.drain.then_some(()));
        self.events.offer(Event::Drained).unwrap();
        self.handle.join().unwrap()
    }
}

fn directory(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    dir
}

/// The records of a segment, and what it comes to.
fn segment(dir: &Path, number: u32) -> (Segment, Vec<Record>) {
    let mut records = Vec::new();
    let bytes = fs::read(embedded::path(dir, number)).unwrap();
    let segment = Segment::read(number, &bytes, |entry| {
        if let Entry::Record { record, .. } = entry {
            records.push(record);
        }
    });
    (segment.unwrap(), records)
}

fn bills(dir: &Path) -> Vec<(ReservationId, Micros)> {
    let bill = |record: &Record| match record {
        Record::Bill { reservation, amount, .. } => Some((*reservation, *amount)),
        _ => None,
    };
    segment(dir, 1).1.iter().filter_map(bill).collect()
}

fn books(dir: &Path) -> Books {
    let (_, replayed) = Embedded::open_replayed(dir).unwrap();
    replayed.books.check().unwrap();
    replayed.books
}

fn spent(dir: &Path) -> Micros {
    books(dir).life(CampaignId(7)).map_or(Micros::ZERO, |life| life.account.settled)
}

/// What is booked, and what the node has billed and not told the authority yet.
fn money(replayed: &Replayed) -> Micros {
    let booked = replayed.books.life(CampaignId(7)).map_or(Micros::ZERO, |life| life.account.settled);
    let untold = replayed.history.bookings_from(replayed.books.booked(NodeId(1)));
    untold.fold(booked, |sum, booking| sum.plus(booking.amount))
}

/// Bids, bills, restarts, on a directory of any file system.
fn lives_through_restarts(dir: &Path) {
    let mut bidder = Bidder::start(dir).unwrap();
    assert_eq!(bidder.handle.registered.incarnation, Incarnation(1));
    let claims: Vec<_> = (0..20).map(|_| bidder.bid()).collect();
    for (count, claim) in claims.iter().take(10).enumerate() {
        let ticket = bidder.bill(*claim);
        assert_eq!(bidder.answer(ticket), Noticed::Safe);
        // Read while the thread runs: what was answered is in the file by then.
        let on_disk = bills(dir);
        assert_eq!(on_disk.len(), count + 1);
        assert_eq!(on_disk.last(), Some(&(claim.reservation, Micros(1_000))));
    }
    let again = bidder.bill(claims[0]);
    assert_eq!(bidder.answer(again), Noticed::Safe);
    assert_eq!(bills(dir).len(), 10);
    let gauges = bidder.handle.gauges.clone();
    assert_eq!((gauges.bills.get(), gauges.duplicates.get()), (10, 1));
    assert_eq!(gauges.spend_micros.get(), 10_000);
    assert_eq!(bidder.stop(), Ended::Clean);
    assert_eq!(gauges.spend(Slot(0)), Micros(10_000), "as the authority has it at the end");
    assert_eq!(spent(dir), Micros(10_000));

    // A bill of an earlier incarnation's bid is booked, and one that was booked is not booked again.
    let mut bidder = Bidder::start(dir).unwrap();
    assert_eq!(bidder.handle.registered.incarnation, Incarnation(2));
    let tickets = [bidder.bill(claims[10]), bidder.bill(claims[3]), bidder.bill(claims[10])];
    for ticket in tickets {
        assert_eq!(bidder.answer(ticket), Noticed::Safe);
    }
    let claim = bidder.bid();
    assert!(claim.reservation > claims[19].reservation && claim.lease != claims[19].lease);
    // A claim that no ledger of ours knows.
    let stranger = bidder.bill(Claim { lease: LeaseId(u64::MAX), ..claim });
    assert_eq!(bidder.answer(stranger), Noticed::Unsafe);
    let late = bidder.bill(Claim { expires: UnixMillis(clock::wall().0 - 1), ..claim });
    assert_eq!(bidder.answer(late), Noticed::Expired);
    assert_eq!(bidder.stop(), Ended::Clean);
    assert_eq!(spent(dir), Micros(11_000));
    assert_eq!(bills(dir).len(), 11);
}

#[test]
fn a_ledger_on_disk() {
    lives_through_restarts(&directory("on-disk"));
}

/// No O_DIRECT there.
#[test]
fn a_ledger_in_memory() {
    let dir = Path::new("/dev/shm").join(format!("corebid-ledger-test-{}", std::process::id()));
    if !Path::new("/dev/shm").is_dir() {
        eprintln!("skipped: no /dev/shm");
        return;
    }
    lives_through_restarts(&dir);
    fs::remove_dir_all(dir).unwrap();
}

/// A kill leaves a prefix of the file, or a last commit with holes. From each the books follow, and a new process starts.
#[test]
fn every_cut_of_the_file_can_be_started_from() {
    let dir = directory("cut");
    let mut bidder = Bidder::start(&dir).unwrap();
    let mut billed = Vec::new();
    for _ in 0..12 {
        let claim = bidder.bid();
        let ticket = bidder.bill(claim);
        assert_eq!(bidder.answer(ticket), Noticed::Safe);
        billed.push((fs::metadata(embedded::path(&dir, 1)).unwrap().len(), claim.reservation));
    }
    assert_eq!(bidder.stop(), Ended::Clean);
    let bytes = fs::read(embedded::path(&dir, 1)).unwrap();
    let cut_dir = directory("cut-copy");
    fs::create_dir_all(cut_dir.join("ledger")).unwrap();
    let first = segment(&dir, 1).0.opening_length;
    for block in (first..=bytes.len()).step_by(commit::BLOCK) {
        for cut in [block, block + 1, block + 100, block + commit::BLOCK - 1].map(|cut| cut.min(bytes.len())) {
            fs::write(embedded::path(&cut_dir, 1), &bytes[..cut]).unwrap();
            let opened = Embedded::open_replayed(&cut_dir);
            let (store, replayed) = opened.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            replayed.books.check().unwrap();
            // All that was acknowledged while the file was this long.
            let acknowledged = billed.iter().filter(|(length, _)| *length <= cut as u64).count();
            let spent = money(&replayed).0;
            assert!(spent >= 1_000 * acknowledged as i64, "cut at {cut}: {spent} for {acknowledged} bills");
            let length = fs::metadata(embedded::path(&cut_dir, 1)).unwrap().len();
            assert_eq!((length, store.position.offset % commit::BLOCK as u64), (store.position.offset, 0));
        }
    }
    // From a file without its last block and a half, a process goes on, and the accounts add up again.
    fs::write(embedded::path(&cut_dir, 1), &bytes[..bytes.len() - commit::BLOCK * 3 / 2]).unwrap();
    let bidder = Bidder::start(&cut_dir).unwrap();
    assert_eq!(bidder.handle.registered.incarnation, Incarnation(2));
    assert_eq!(bidder.stop(), Ended::Clean);
    books(&cut_dir);
}

/// The next file starts with the balance of the one before; only it is needed to go on.
#[test]
fn a_long_ledger_goes_on_in_new_files() {
    let dir = directory("files");
    let mut bidder = Bidder::start_with(&dir, 5 * commit::BLOCK as u64).unwrap();
    let claims: Vec<_> = (0..60).map(|_| bidder.bid()).collect();
    for claim in &claims[..50] {
        let ticket = bidder.bill(*claim);
        assert_eq!(bidder.answer(ticket), Noticed::Safe);
    }
    assert_eq!(bidder.stop(), Ended::Clean);
    let files = (1..).take_while(|file| embedded::path(&dir, *file).exists()).count() as u32;
    assert!(files > 2, "{files} files");
    let mut seen = Vec::new();
    for file in 1..=files {
        let (segment, records) = segment(&dir, file);
        assert_eq!(segment.closed, file < files, "segment {file}");
        seen.extend(records.iter().filter_map(|record| match record {
            Record::Bill { reservation, .. } => Some(*reservation),
            _ => None,
        }));
    }
    let verified = verify::verify(&dir, None, &[]).unwrap();
    assert_eq!((verified.segments, verified.torn), (files.into(), false));
    let expected: Vec<_> = claims[..50].iter().map(|claim| claim.reservation).collect();
    assert_eq!(seen, expected, "each bill stands once in all files");

    // The newest is all that a start needs.
    (1..files).for_each(|file| fs::remove_file(embedded::path(&dir, file)).unwrap());
    assert_eq!(spent(&dir), Micros(50_000));
    let mut bidder = Bidder::start_with(&dir, 5 * commit::BLOCK as u64).unwrap();
    for claim in &claims {
        let ticket = bidder.bill(*claim);
        assert_eq!(bidder.answer(ticket), Noticed::Safe);
    }
    assert_eq!(bidder.handle.gauges.duplicates.get(), 50);
    assert_eq!(bidder.stop(), Ended::Clean);
    assert_eq!(spent(&dir), Micros(60_000));
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_with_a_reason() {
    let dir = directory("refused");
    let bidder = Bidder::start(&dir).unwrap();
    let Err(StartError::Open(error @ OpenError::InUse(_))) = Bidder::start(&dir) else {
        panic!("two processes in one directory");
    };
    assert!(error.to_string().contains("in use by another corebid"));
    assert_eq!(bidder.stop(), Ended::Clean);

    let path = embedded::path(&dir, 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[commit::BLOCK + 90] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(Bidder::start(&dir), Err(StartError::Open(OpenError::Damaged(..)))));
    assert_eq!(fs::read(&path).unwrap(), bytes, "a damaged file is left alone");

    let file = directory("refused-file");
    fs::write(&file, "").unwrap();
    let Err(error) = Bidder::start(&file) else { panic!("a file is no directory") };
    assert!(error.to_string().contains("choose a data directory"), "{error}");
}

#[test]
fn an_excess_is_outside_the_account() {
    let mut books = Books::default();
    let campaign = CampaignId(7);
    let funded =
        Record::Funded { campaign, advertiser: AdvertiserId(1), day: Day(1), daily: Micros(10), total: Micros(10) };
    let billed = Record::Billed {
        reservation: ReservationId(1),
        lease: LeaseId(1),
        campaign,
        bid: BidId([0; 16]),
        price: CpmMicros(1),
        amount: Micros(99),
        expires: UnixMillis(1),
        wall: UnixMillis(1),
        marks: Marks::BILLED.and(Marks::EXCESS),
    };
    books.apply(&funded).unwrap();
    books.apply(&billed).unwrap();
    let life = books.life(campaign).unwrap();
    assert_eq!((life.account.settled, life.excess), (Micros(0), Micros(99)));
    books.check().unwrap();
}

/// A ledger of version 1 is gone on with in a new segment, which names the hash of the old file.
#[test]
fn a_ledger_of_version_1_is_carried_on() {
    let dir = directory("version-1");
    fs::create_dir_all(dir.join("ledger")).unwrap();
    let old = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ledger/v1/ledger/00000001.ledger"));
    let old = old.unwrap();
    // The last of its padding never reached the disk.
    fs::write(embedded::path(&dir, 1), &old[..old.len() - 100]).unwrap();
    let before = books(&dir);
    let bidder = Bidder::start(&dir).unwrap();
    assert!(bidder.handle.registered.incarnation > before.incarnation());
    assert_eq!(bidder.stop(), Ended::Clean);
    let (first, second) = (segment(&dir, 1).0, segment(&dir, 2).0);
    assert_eq!((first.version, second.version, second.first), (1, 2, first.next));
    assert_eq!(second.previous, blake3::hash(&old));
    assert_eq!(fs::read(embedded::path(&dir, 1)).unwrap(), old);
    assert_eq!(spent(&dir), Micros(11_000));
    assert_eq!(verify::verify(&dir, None, &[]).unwrap().segments, 2);

    // Not even what version 1 did not check itself can be changed any more.
    let mut spoilt = old;
    let last = spoilt.len() - 1;
    spoilt[last] ^= 1;
    fs::write(embedded::path(&dir, 1), spoilt).unwrap();
    assert!(verify::verify(&dir, None, &[]).is_err());
}

/// Bids that version 1 made are billed as if nothing had happened: what it booked is known, and what it did not is booked on
/// the lease of the time.
#[test]
fn a_bid_of_version_1_is_billed() {
    let dir = directory("version-1-bids");
    fs::create_dir_all(dir.join("ledger")).unwrap();
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ledger/v1/ledger/00000001.ledger");
    fs::copy(old, embedded::path(&dir, 1)).unwrap();
    let (store, replayed) = Embedded::open_replayed(&dir).unwrap();
    // Its first bill, and when that expires.
    let (first, expires) = (ReservationId(382_933_194_468_495_360), UnixMillis(1_795_367_328_117));
    let lease = LeaseId(1 << 32 | 1);
    let charge = replayed.books.lease(lease).unwrap().charge();
    let now = Now { boot: Nanos(Nanos::SECOND), wall: UnixMillis(expires.0 - 60_000) };
    let settings = Settings { node: NodeId(1), cores: 1, horizons: Horizons::default(), parts: Parts::One };
    let start = Start { nonce: 1, ids_from: store.ids_from, opens: store.position.closed };
    let (mut solo, opening) = Solo::new(settings, replayed, start, &Arc::new(Gauges::new(1)), now).unwrap();
    assert!(opening.is_some(), "version 1 is not written any more");
    // The first twelve bids; the last of them was never heard of.
    for bid in 0..12 {
        let claim = Claim {
            reservation: ReservationId(first.0 + bid),
            lease,
            price: PRICE,
            terms: Terms::PLAIN,
            expires: UnixMillis(expires.0 + if bid == 0 { 0 } else { 2 }),
            user: UserKey(5),
            bid: BidId([9; 16]),
            campaign: CampaignId(7),
            incarnation: Incarnation(1),
            node: NodeId(1),
            exchange: ExchangeKey(0),
            agreed: Agreed::NOTHING,
            creative: 0,
        };
        let (kind, price) = (NoticeKind::Bill, NoticePrice::Cpm(CpmMicros(1_000_000)));
        let (multiplier, path) = (Multiplier::ONE, PathKey::NONE);
        let notice = Notice { ticket: bid, kind, price, multiplier, path, arm: ArmId(0), claim };
        solo.node.on_event(now, CoreId(0), Event::Notice(notice));
    }
    solo.talk(now);
    while let Some(batch) = solo.node.journal().take() {
        solo.durable(now, batch.upto);
    }
    let mut answers: Vec<_> = solo.node.orders(CoreId(0)).drain(..).collect();
    answers.retain(|order| matches!(order, Order::Noticed { noticed: Noticed::Safe, .. }));
    assert_eq!(answers.len(), 12);
    assert_eq!((solo.node.gauges().duplicates.get(), solo.node.gauges().bills.get()), (11, 1));
    let books = solo.authority().books();
    assert_eq!(books.life(CampaignId(7)).unwrap().account.settled, Micros(12_000));
    assert_eq!(books.lease(lease).unwrap().charge(), charge.minus(Micros(1_000)));
}

/// What the heads file says is in the chain, whenever it is asked.
#[test]
fn a_ledger_is_verified_while_it_is_written() {
    let dir = directory("live");
    let mut bidder = Bidder::start_with(&dir, 6 * commit::BLOCK as u64).unwrap();
    for count in 1..=40 {
        let claim = bidder.bid();
        let ticket = bidder.bill(claim);
        assert_eq!(bidder.answer(ticket), Noticed::Safe);
        let verified = verify::verify(&dir, None, &[]).unwrap();
        assert!(verified.records > count);
    }
    let head = bidder.handle.gauges.clone();
    assert_eq!(bidder.stop(), Ended::Clean);
    let told = fs::read_to_string(dir.join("heads")).unwrap();
    let anchors: Vec<Anchor> = told.lines().map(|line| line.parse().unwrap()).collect();
    let verified = verify::verify(&dir, None, &anchors).unwrap();
    assert_eq!((verified.anchors, verified.unchecked), (anchors.len() as u64, 0));
    assert!(anchors.len() as u64 >= verified.segments, "a head for each segment that closed, and the last one");
    assert_eq!(anchors.last().map(|anchor| anchor.head), Some(verified.head));
    assert_eq!(head.head.get(), anchors.last().copied());
}

/// A file system of two megabytes, unmounted when this is dropped.
struct Small(PathBuf);

impl Small {
    fn mount(name: &str) -> Option<Self> {
        let at = std::env::temp_dir().join(format!("corebid-{name}-{}", std::process::id()));
        fs::create_dir_all(&at).unwrap();
        let mount = process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&at).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        fs::remove_dir(at).unwrap();
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = process::Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

/// A disk that is really full: no acknowledgement, no money, an alarm; and all of it goes on when there is room again.
#[test]
fn a_full_disk_is_survived() {
    let Some(disk) = Small::mount("full") else {
        eprintln!("skipped: only root can mount a small file system");
        return;
    };
    let dir = disk.0.join("data");
    let mut bidder = Bidder::start(&dir).unwrap();
    let claims: Vec<_> = (0..30).map(|_| bidder.bid()).collect();
    let ticket = bidder.bill(claims[0]);
    assert_eq!(bidder.answer(ticket), Noticed::Safe);

    let (filler, chunk) = (disk.0.join("filler"), vec![0; 4096]);
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&chunk).is_ok() {}
    let ticket = bidder.bill(claims[1]);
    assert_eq!(bidder.answer(ticket), Noticed::Unsafe);
    let gauges = bidder.handle.gauges.clone();
    assert!(gauges.commit_failures.get() > 0 && gauges.ledger_failing.get() == 1);
    // Not booked, or booked in the commit that waits for room; either way not acknowledged.
    let ticket = bidder.bill(claims[2]);
    assert_eq!(bidder.answer(ticket), Noticed::Unsafe);

    drop(file);
    fs::remove_file(filler).unwrap();
    bidder.until(|_| (gauges.ledger_failing.get() == 0).then_some(()));
    for claim in &claims {
        let ticket = bidder.bill(*claim);
        assert_eq!(bidder.answer(ticket), Noticed::Safe);
    }
    bidder.bid();
    assert_eq!(bidder.stop(), Ended::Clean);
    assert_eq!(spent(&dir), Micros(30_000));
    assert_eq!(bills(&dir).len(), 30, "each once");
    verify::verify(&dir, None, &[]).unwrap();
}
