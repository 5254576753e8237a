//! The real writer on a disk that loses what was not synced, fills up, and forgets after a failed sync: what was reported
//! durable is there after every crash, once, and nothing is acknowledged before its record was written and synced.

use std::sync::Arc;

use corebid::ids::Snowflake;
use corebid::limits;
use corebid::reconcile::gauges::Gauges;
use corebid::reconcile::history::Replayed;
use corebid::reconcile::record::Record;
use corebid::reconcile::solo::{Solo, Start};
use corebid::reconcile::{Funding, Horizons, Mode, Parts, Settings};
use corebid::ring::message::{Agreed, Claim, Event, Notice, NoticeKind, NoticePrice, Noticed, Order, Reserved};
use corebid::store::commit::{BLOCK, Entry, NOTHING, Segment};
use corebid::store::embedded::{End, Position};
use corebid::store::journal::Journal;
use corebid::store::memory::{Fault, Memory, Operation, ready};
use corebid::store::writer::{Job, Writer};
use corebid::units::*;

const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ word >> 31) % bound
    }
}

/// A fact that can be told from all others.
fn fact(number: u64) -> Record {
    Record::Released { lease: LeaseId(number), total: Micros(1) }
}

fn number(record: &Record) -> u64 {
    match record {
        Record::Released { lease, .. } => lease.0,
        other => panic!("{other:?}"),
    }
}

/// Each segment goes on from the one before, and no id comes twice.
fn check_chain(disk: &Memory) {
    let (mut head, mut last) = (NOTHING, None);
    for (number, bytes) in disk.segments() {
        let segment = Segment::read(number, &bytes, |_| ()).unwrap();
        if segment.end == 0 {
            continue;
        }
        assert_eq!(segment.previous, head, "segment {number}");
        if let Some((from, to)) = segment.ids {
            assert!(last < Some(from));
            last = Some(to);
        }
        head = segment.head;
    }
}

/// Runs a job to its end, or until the power fails. Returns whether it came to its end, and tells what became durable.
fn run(job: &mut Job, writer: &mut Writer<Memory>, random: &mut Random, mut durable: impl FnMut()) -> bool {
    while !job.is_done() {
        match random.below(6) {
            0 => writer.disk().fail(Fault::Full),
            1 => writer.disk().fail(Fault::Sync),
            2 if random.below(8) == 0 => writer.disk().fail(Fault::Power),
            _ => {}
        }
        match ready(writer.step(job, WALL)) {
            Ok(()) => durable(),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return false,
            // Tried again, as the reconciliation core does.
            Err(_) => {}
        }
    }
    true
}

/// One ledger over many crashes. Its opening balances repeat every fact so far.
fn one_ledger(seed: u64) {
    let mut random = Random(seed);
    let disk = Memory::default();
    // What was reported durable; what was being written; the next fact.
    let (mut safe, mut under_way, mut next) = (Vec::new(), Vec::new(), 0);
    for crash in 0..12 {
        let mut found = Vec::new();
        let end = disk.resume(|record| {
            found.push(number(record));
            Ok(())
        });
        let End { position, ids_from } = end.unwrap_or_else(|error| panic!("seed {seed}, crash {crash}: {error:?}"));
        let whole = [&safe[..], &under_way].concat();
        assert!(found == safe || found == whole, "seed {seed}, crash {crash}: {found:?} of {safe:?} and {under_way:?}");
        check_chain(&disk);
        safe = found;
        under_way.clear();

        // The clock steps back at each start.
        let now = Now { boot: Nanos(0), wall: UnixMillis(WALL.0 - crash * 1000) };
        let mut journal = Journal::new(5, ids_from);
        let mut writer = Writer::new(disk.clone(), 2 * BLOCK as u64, position, WALL);
        let mut lives = true;
        if position.closed {
            let mut job = Job::start(journal.opening(now, safe.iter().copied().map(fact)));
            lives = run(&mut job, &mut writer, &mut random, || ());
        }
        for _ in 0..random.below(12) {
            if !lives {
                break;
            }
            for _ in 0..=random.below(300) {
                journal.append(now, &fact(next));
                under_way.push(next);
                next += 1;
            }
            let batch = journal.take().unwrap();
            let known: Vec<_> = [&safe[..], &under_way].concat();
            let opening = writer.wants_segment(WALL).then(|| journal.opening(now, known.iter().copied().map(fact)));
            lives = run(&mut Job::new(batch, opening), &mut writer, &mut random, || safe.append(&mut under_way));
        }
        disk.crash(|bound| random.below(bound));
    }
}

#[test]
fn what_was_durable_survives_every_crash() {
    for seed in 0..30 {
        one_ledger(seed);
    }
}

/// A core whose notices are answered by the real machines, on this disk.
struct Node {
    solo: Solo,
    writer: Writer<Memory>,
    disk: Memory,
    now: Now,
}

impl Node {
    fn start() -> Self {
        let (disk, now) = (Memory::default(), Now { boot: Nanos(Nanos::SECOND), wall: WALL });
        let settings = Settings { node: NodeId(1), cores: 1, horizons: Horizons::default(), parts: Parts::One };
        let start = Start { nonce: 1, ids_from: UnixMillis(0), opens: true };
        let gauges = Arc::new(Gauges::new(1));
        let (solo, opening) = Solo::new(settings, Replayed::default(), start, &gauges, now).unwrap();
        let mut writer = Writer::new(disk.clone(), 3 * BLOCK as u64, Position::START, now.wall);
        ready(writer.step(&mut Job::start(opening.unwrap()), now.wall)).unwrap();
        let mut node = Self { solo, writer, disk, now };
        let funding = Funding {
            campaign: CampaignId(7),
            advertiser: AdvertiserId(1),
            slot: Slot(0),
            daily: Micros(1_000_000_000),
            total: None,
            price: CpmMicros(2_500_000),
            mode: Mode::Strict,
            tolerance: None,
        };
        node.solo.campaigns(node.now, &[funding]);
        node.solo.tick(node.now);
        node
    }

    /// What a commit takes; failures are told to the node, and the commit is tried again.
    fn commit(&mut self) -> Vec<Order> {
        let Some(batch) = self.solo.node.journal().take() else { return self.send() };
        let mut sent = Vec::new();
        let wall = self.now.wall;
        let opening = self.writer.wants_segment(wall).then(|| self.solo.opening(self.now));
        let mut job = Job::new(batch, opening);
        while !job.is_done() {
            match ready(self.writer.step(&mut job, wall)) {
                Ok(()) => self.solo.durable(self.now, job.upto()),
                Err(_) => self.solo.node.disk_failed(),
            }
            sent.extend(self.send());
        }
        sent
    }

    /// Orders leave: an acknowledgement is marked in the disk's log.
    fn send(&mut self) -> Vec<Order> {
        let orders: Vec<_> = self.solo.node.orders(CoreId(0)).drain(..).collect();
        for order in &orders {
            if let Order::Noticed { ticket, noticed: Noticed::Safe } = order {
                self.disk.mark(*ticket);
            }
        }
        orders
    }
}

#[test]
fn a_record_is_written_and_synced_before_its_200() {
    let mut node = Node::start();
    let mut lease = None;
    while lease.is_none() {
        node.solo.node.poll(node.now);
        node.solo.talk(node.now);
        lease = node.commit().iter().find_map(|order| match order {
            Order::Grant { lease, .. } => Some(*lease),
            _ => None,
        });
    }
    let lease = lease.unwrap();
    let registered = *node.solo.node.registered();
    let mut ids = Snowflake::new(registered.first_worker, registered.ids_from);
    let mut reservations = Vec::new();
    for ticket in 0..60 {
        let reservation = ids.next(node.now).unwrap();
        let expires = UnixMillis(node.now.wall.0 + limits::H2_MS);
        let (slot, price) = (Slot(0), CpmMicros(100_000));
        let reserved =
            Reserved { reservation, lease, slot, price: price.per_impression(), expires, exchange: ExchangeKey(0) };
        node.solo.node.on_event(node.now, CoreId(0), Event::Reserved(reserved));
        let claim = Claim {
            reservation,
            lease,
            price,
            terms: Terms::PLAIN,
            expires,
            user: UserKey(5),
            bid: BidId([9; 16]),
            campaign: CampaignId(7),
            incarnation: registered.incarnation,
            node: NodeId(1),
            exchange: ExchangeKey(0),
            agreed: Agreed::NOTHING,
            creative: 0,
        };
        let notice = Notice {
            ticket,
            kind: NoticeKind::Bill,
            price: NoticePrice::Cpm(price),
            multiplier: Multiplier::ONE,
            path: PathKey::NONE,
            arm: ArmId(0),
            claim,
        };
        node.solo.node.on_event(node.now, CoreId(0), Event::Notice(notice));
        reservations.push(reservation);
        match ticket % 7 {
            3 => node.disk.fail(Fault::Full),
            5 => node.disk.fail(Fault::Sync),
            _ => {}
        }
        // Sometimes two notices share a commit.
        if ticket % 3 > 0 {
            node.commit();
        }
    }
    node.commit();

    let log = node.disk.take_log();
    let failed = |fault| log.contains(&Operation::Failed(fault));
    assert!(failed(Fault::Full) && failed(Fault::Sync), "no fault was met");
    let acknowledged: Vec<u64> = log
        .iter()
        .filter_map(|operation| match operation {
            Operation::Mark(ticket) => Some(*ticket),
            _ => None,
        })
        .collect();
    assert!(acknowledged.len() > 30, "{} of 60 acknowledged", acknowledged.len());
    for ticket in acknowledged {
        let (segment, at) = place(&node.disk, reservations[ticket as usize]).expect("acknowledged, and not on disk");
        let mark = log.iter().position(|operation| *operation == Operation::Mark(ticket)).unwrap();
        let written = log[..mark].iter().rposition(
            |operation| matches!(operation, Operation::Write { segment: s, offset, .. } if (*s, *offset) == (segment, at)),
        );
        let written = written.expect("acknowledged before it was written");
        assert!(log[written..mark].contains(&Operation::Sync(segment)), "acknowledged before it was synced");
    }
}

/// Where the commit stands that has the bill of a reservation.
fn place(disk: &Memory, wanted: ReservationId) -> Option<(u32, u64)> {
    disk.segments().into_iter().find_map(|(number, bytes)| {
        let (mut found, mut place) = (false, None);
        Segment::read(number, &bytes, |entry| match entry {
            Entry::Record { record: Record::Bill { reservation, .. }, .. } => found |= reservation == wanted,
            Entry::Commit { at, .. } if found && place.is_none() => place = Some((number, at as u64)),
            _ => {}
        })
        .unwrap();
        place
    })
}
