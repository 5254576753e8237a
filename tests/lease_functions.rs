//! The function library of the lease authority against its oracle, the state machine in Rust: random conversations of several nodes
//! over lost, repeated and overtaken messages, crashes, operators, lost memories and checkpoints are given to both, and every
//! answer and all accounts must be equal after each step. Once in Lua alone, with many cases, and once in a real server.
#![cfg(feature = "stores")]
#![allow(clippy::disallowed_methods, reason = "it waits for a server")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use corebid::authority::books::{Account, Books, Scope};
use corebid::authority::message::{Answer, Ask, Booking, LeaseReport, Origin, Part, Report, Standing, Why};
use corebid::authority::{Authority, Budget, NotRetired};
use corebid::lab::simulate::authority::keyspace::Server;
use corebid::limits;
use corebid::market::random::Random;
use corebid::reconcile::record::{NO_NUMBER, Record, UNLIMITED};
use corebid::store::journal::Journal;
use corebid::store::valkey::lease::encode::Process;
use corebid::store::valkey::lease::state::State;
use corebid::store::valkey::lease::{
    self, Envelope, Function, Lost, Position, Refused, Reply, ServerId, decode, encode,
};
use corebid::units::*;
use proptest::prelude::*;

const ADVERTISER: AdvertiserId = AdvertiserId(7);
/// In 2052: keys that end by themselves do so by the clock of the server, which must not get there.
const BEGIN: u64 = 30_000 * UnixMillis::DAY + 3_600_000;
const BID: i64 = 10_000;

/// Something that runs the library.
trait Shard {
    /// A function of the library; what the server says if it does not run.
    fn call(&self, now: UnixMillis, function: Function, args: &[&[u8]]) -> Result<Vec<u8>, String>;
    fn id(&self) -> ServerId;
    /// Forgets everything.
    fn wipe(&self);
}

impl Shard for Server {
    fn call(&self, now: UnixMillis, function: Function, args: &[&[u8]]) -> Result<Vec<u8>, String> {
        Server::call(self, now, function, ADVERTISER, args)
    }

    fn id(&self) -> ServerId {
        Server::id(self)
    }

    fn wipe(&self) {
        self.take_over(Default::default(), Server::id(self));
    }
}

/// A real server with a clock that the test sets.
struct Valkey {
    child: Child,
    folder: PathBuf,
    connection: RefCell<redis::Connection>,
}

impl Valkey {
    /// `None` where no server is installed.
    fn start(name: &str) -> Option<Valkey> {
        let folder = std::env::temp_dir().join(format!("corebid-lease-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("s");
        let child = Command::new("valkey-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            std::fs::remove_dir_all(&folder).unwrap();
            return None;
        };
        let client = redis::Client::open(format!("unix://{}", socket.display())).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        let connection = loop {
            match client.get_connection() {
                Ok(connection) => break connection,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let valkey = Valkey { child, folder, connection: RefCell::new(connection) };
        let time = "call('TIME')";
        assert_eq!(lease::LIBRARY.matches(time).count(), 1);
        valkey.load(&lease::LIBRARY.replace(time, "{ call('HGET', 'clock', 's'), call('HGET', 'clock', 'u') }"));
        Some(valkey)
    }

    fn load(&self, library: &str) {
        let _: String = self.run(redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(library)).unwrap();
    }

    fn run<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, String> {
        command.query(&mut *self.connection.borrow_mut()).map_err(|error| error.to_string())
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Shard for Valkey {
    fn call(&self, now: UnixMillis, function: Function, args: &[&[u8]]) -> Result<Vec<u8>, String> {
        let (seconds, micros) = (now.0 / 1000, now.0 % 1000 * 1000);
        self.run::<()>(redis::cmd("HSET").arg("clock").arg("s").arg(seconds).arg("u").arg(micros))?;
        let mut command = redis::cmd("FCALL");
        command.arg(function.name()).arg(1).arg(lease::key(ADVERTISER));
        args.iter().for_each(|arg| _ = command.arg(*arg));
        self.run(&command)
    }

    fn id(&self) -> ServerId {
        let info: String = self.run(redis::cmd("INFO").arg("replication")).unwrap();
        let id = info.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap();
        ServerId::of(id.trim()).unwrap()
    }

    fn wipe(&self) {
        self.run::<()>(&redis::cmd("FLUSHALL")).unwrap();
    }
}

/// The state machine in Rust, of one advertiser; its tick as the library does it.
struct Oracle {
    authority: Authority,
    journal: Journal,
    ticked: u64,
}

impl Oracle {
    fn of(authority: Authority, ticked: u64) -> Oracle {
        Oracle { authority, journal: Journal::new(1_000, UnixMillis(0)), ticked }
    }

    fn tick(&mut self, now: Now) {
        if now.wall.0 - self.ticked >= 5_000 {
            self.ticked = now.wall.0;
            self.authority.tick(now, &mut self.journal);
        }
    }
}

/// A bid that was made somewhere.
#[derive(Clone, Copy, Debug)]
struct Bid {
    booking: Booking,
    node: NodeId,
    incarnation: Incarnation,
}

/// What a process knows.
#[derive(Clone, Debug, Default)]
struct Runs {
    node: NodeId,
    incarnation: Incarnation,
    origin: Origin,
    number: u64,
    epoch: Epoch,
    seen: u64,
    drawn: u64,
    full: bool,
    /// What it holds, by campaign and day.
    holds: BTreeMap<(CampaignId, Day), (LeaseId, Micros, Micros)>,
}

/// A node's ledger.
#[derive(Clone, Debug, Default)]
struct Ledger {
    next: u64,
    booked: u64,
    bookings: Vec<Booking>,
}

/// Both sides, and the nodes that talk to them.
struct Fleet<'a> {
    shard: &'a dyn Shard,
    oracle: Oracle,
    now: u64,
    envelope: Envelope,
    revision: u64,
    budgets: Vec<Budget>,
    listed: Vec<bool>,
    processes: Vec<Runs>,
    running: BTreeMap<NodeId, Incarnation>,
    ledgers: BTreeMap<NodeId, Ledger>,
    retired: Vec<NodeId>,
    bids: Vec<Bid>,
    sent: Vec<Report>,
    /// A checkpoint, and the books of that time.
    copies: Vec<(Vec<u8>, Books, u64)>,
    /// How often what happened, so that a test that tries nothing is seen.
    seen: BTreeMap<&'static str, u64>,
}

impl<'a> Fleet<'a> {
    fn new(shard: &'a dyn Shard) -> Self {
        shard.wipe();
        let mut books = Books::default();
        let epoch = Epoch(1);
        books.apply(&Record::NewEpoch { epoch, wall: UnixMillis(BEGIN) }).unwrap();
        let mut fleet = Fleet {
            shard,
            oracle: Oracle::of(Authority::new(books), 0),
            now: BEGIN,
            envelope: Envelope { epoch, version: 0, server: shard.id() },
            revision: 0,
            budgets: (0..4).map(|id| budget(id, 1_000_000)).collect(),
            listed: vec![true; 4],
            processes: Vec::new(),
            running: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            retired: Vec::new(),
            bids: Vec::new(),
            sent: Vec::new(),
            copies: Vec::new(),
            seen: BTreeMap::new(),
        };
        fleet.open(&[]);
        fleet.fund();
        fleet
    }

    fn clock(&self) -> Now {
        Now { boot: Nanos(self.now * Nanos::MS), wall: UnixMillis(self.now) }
    }

    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn call(&self, function: Function, args: &[&[u8]]) -> Vec<u8> {
        let envelope = encode::envelope(&self.envelope);
        let args: Vec<&[u8]> = std::iter::once(envelope.as_slice()).chain(args.iter().copied()).collect();
        self.shard.call(UnixMillis(self.now), function, &args).unwrap()
    }

    /// It was done; the version is noted.
    fn done<T>(&mut self, said: decode::Said<T>) -> T {
        let (Position { epoch, version, at }, reply) = said.expect("a reply of the library");
        assert_eq!((epoch, at), (self.envelope.epoch, UnixMillis(self.now)));
        assert!(version >= self.envelope.version, "the version went back");
        self.envelope.version = version;
        match reply {
            Reply::Done(done) => done,
            other => panic!("not done: {:?}", other.map(|_| ())),
        }
    }

    fn registered(&self) -> Vec<Process> {
        let one = |runs: &Runs| Process {
            incarnation: runs.incarnation,
            node: runs.node,
            origin: runs.origin,
            retired: self.retired.contains(&runs.node),
        };
        self.processes.iter().map(one).collect()
    }

    fn open(&mut self, checkpoint: &[u8]) {
        let body = encode::open(UnixMillis(self.now + 1), &self.registered()).unwrap();
        let reply = self.call(Function::Open, &[&body, checkpoint]);
        self.done(decode::done(&reply));
    }

    fn fund(&mut self) {
        let list = self.budgets.iter().zip(&self.listed).filter(|(_, listed)| **listed).map(|(budget, _)| *budget);
        let list: Vec<_> = list.collect();
        self.revision += 1;
        let body = encode::fund(self.revision, &list).unwrap();
        let reply = self.call(Function::Fund, &[&body]);
        self.done(decode::done(&reply));
        let now = self.clock();
        self.oracle.tick(now);
        self.oracle.authority.fund(now, &mut self.oracle.journal, &list);
    }

    /// Both get a report, and say the same.
    fn report(&mut self, report: &Report) -> Answer {
        let body = encode::report(report).unwrap();
        let reply = self.call(Function::Report, &[&body]);
        let answer = self.done(decode::report(report, &reply));
        let now = self.clock();
        self.oracle.tick(now);
        let mut expected = self.oracle.authority.report(now, &mut self.oracle.journal, report);
        // Of a campaign that was never funded it does not know whose it is.
        expected.leases.iter_mut().for_each(|lease| lease.advertiser = ADVERTISER);
        assert_eq!(answer, expected, "{report:?}");
        answer
    }

    fn compare(&mut self) {
        let reply = self.call(Function::Checkpoint, &[]);
        let (bytes, state) = self.done(decode::checkpoint(&reply));
        let books = self.oracle.authority.books();
        books.check().unwrap();
        let finite = |account: Account| {
            let bound = |money: Micros| if money == UNLIMITED { Micros((1 << 53) - 1) } else { money };
            Account { budget: bound(account.budget), ceiling: bound(account.ceiling), ..account }
        };
        let lives: BTreeMap<_, _> =
            books.lives().map(|(campaign, life)| (campaign, (finite(life.account), life.excess))).collect();
        assert_eq!(state.lives, lives);
        // Days so long past that nothing is billed for them are dropped when they are come across.
        let old = (books.forgotten() / 1440).saturating_sub(2) as u32;
        let open: Vec<_> = books.leases().map(|(_, lease)| (lease.campaign, lease.day)).collect();
        let counts = |key: &(CampaignId, Day)| key.1.0 >= old || open.contains(key);
        let of_books = books.days().filter(counts).map(|(campaign, day)| ((campaign, day), books.day(campaign, day)));
        let of_state = state.days.iter().filter(|(key, _)| counts(key)).map(|(key, account)| (*key, *account));
        assert_eq!(of_state.collect::<BTreeMap<_, _>>(), of_books.collect());
        let leases: BTreeMap<_, _> = books.leases().map(|(id, lease)| (id, *lease)).collect();
        assert_eq!(state.leases, leases);
        let processes: BTreeMap<_, _> = books.bidders().map(|(id, bidder)| (id, (bidder.node, bidder.until))).collect();
        assert_eq!(state.processes, processes);
        for (node, booked) in &state.booked {
            assert_eq!(*booked, books.booked(*node), "{node:?}");
        }
        assert_eq!(state.stops, books.all_stopped().collect::<Vec<_>>());
        let committed = lives.values().fold(Micros::ZERO, |sum, (account, _)| sum.plus(account.committed()));
        assert_eq!(state.committed, committed);
        // What is opened is what was kept.
        assert_eq!(State::of(&bytes), Ok(state));
    }

    fn start(&mut self, random: &mut Random) {
        let node = NodeId(random.between(1, 3) as u16);
        if self.retired.contains(&node) {
            return;
        }
        let incarnation = Incarnation(self.processes.len() as u32 + 1);
        let ledger = self.ledgers.entry(node).or_default();
        let first_booking = ledger.bookings.first().map_or(ledger.next, |booking| booking.number).min(ledger.booked);
        let origin = Origin { horizon: limits::H2_MS, first_booking, next_booking: ledger.next };
        let epoch = self.envelope.epoch;
        self.processes.push(Runs { node, incarnation, origin, epoch, full: random.chance(0.5), ..Runs::default() });
        self.running.insert(node, incarnation);
    }

    fn some_campaign(random: &mut Random) -> CampaignId {
        CampaignId(random.below(4) as u32)
    }

    fn make_report(&mut self, random: &mut Random) -> Option<Report> {
        let place = random.below(self.processes.len().max(1) as u64) as usize;
        let current =
            self.running.values().any(|it| Some(*it) == self.processes.get(place).map(|runs| runs.incarnation));
        if self.processes.is_empty() || (!current && random.chance(0.8)) {
            return None;
        }
        let today = self.now / UnixMillis::DAY;
        let runs = &mut self.processes[place];
        runs.number += 1;
        let full = runs.full || random.chance(0.1);
        let mut leases: BTreeMap<(CampaignId, Day), LeaseReport> = BTreeMap::new();
        let kept: Vec<_> = runs.holds.iter().map(|(key, held)| (*key, *held)).collect();
        for ((campaign, day), (lease, granted, released)) in kept {
            if !full && random.chance(0.3) {
                continue;
            }
            let released = Micros(released.0 + random.below(1 + (granted.0 - released.0).max(0) as u64 / 2) as i64);
            runs.holds.insert((campaign, day), (lease, granted, released));
            let done = random.chance(0.1);
            let said = LeaseReport { lease: Some(lease), granted, released, done, ..LeaseReport::new(campaign, day) };
            leases.insert((campaign, day), said);
        }
        for _ in 0..random.below(3) {
            let day = if random.chance(0.9) { today } else { today + random.below(4) - 2 };
            let (campaign, day) = (Self::some_campaign(random), Day(day as u32));
            leases.entry((campaign, day)).or_insert_with(|| LeaseReport::new(campaign, day));
        }
        for said in leases.values_mut() {
            said.least = Micros(BID);
            said.wanted = Micros(random.below(30) as i64 * BID);
            said.demand = Micros(random.below(4) as i64 * 3_333);
            said.expected = Micros(random.below(5_000) as i64);
            said.exposed = Micros(random.below(90_000) as i64);
            said.stop = random.chance(0.01).then_some(Why::Runaway);
            runs.drawn += 1;
            said.fresh = Some(LeaseId(u64::from(runs.incarnation.0) << 40 | runs.drawn));
        }
        let (node, incarnation, origin, number, epoch, seen) =
            (runs.node, runs.incarnation, runs.origin, runs.number, runs.epoch, runs.seen);
        self.bid(place, random);
        let ledger = self.ledgers.entry(node).or_default();
        for _ in 0..random.below(3) {
            let Some(bid) = pick(&self.bids, random) else { break };
            let asked = (bid.incarnation != incarnation).then_some(epoch).filter(|_| random.chance(0.7));
            let amount = Micros(random.below(1 + bid.booking.reserved.0 as u64) as i64);
            let freed = random.chance(0.05);
            ledger.bookings.push(Booking { number: ledger.next, amount, asked, freed, ..bid.booking });
            ledger.next += 1 + random.below(3);
        }
        let from = if random.chance(0.9) { ledger.booked } else { random.below(ledger.next + 1) };
        let upto = if random.chance(0.8) { ledger.next } else { from + random.below(ledger.next - from + 1) };
        let covered = |booking: &&Booking| (from..upto).contains(&booking.number);
        let bookings = ledger.bookings.iter().filter(covered).copied().collect();
        let next_booking = ledger.next;
        let mut asks = Vec::new();
        for ticket in 0..random.below(3) {
            let Some(bid) = pick(&self.bids, random) else { break };
            let booking = Booking { number: NO_NUMBER, amount: Micros(random.below(BID as u64) as i64), ..bid.booking };
            let node = if random.chance(0.95) { bid.node } else { NodeId(9) };
            asks.push(Ask { ticket: u64::MAX - ticket, node, incarnation: bid.incarnation, booking });
        }
        Some(Report {
            part: Part::Advertiser(ADVERTISER),
            node,
            incarnation,
            epoch,
            number,
            sent: Nanos(self.now),
            renews: random.chance(0.7),
            foreign_seen: if random.chance(0.9) { seen } else { seen / 2 },
            leases: leases.into_values().collect(),
            bookings,
            from,
            upto,
            next_booking,
            asks,
            full,
            last: random.chance(0.02),
            origin,
        })
    }

    /// A process makes a bid under one of its leases.
    fn bid(&mut self, place: usize, random: &mut Random) {
        let runs = &self.processes[place];
        let held: Vec<_> = runs.holds.iter().collect();
        let Some(((campaign, _), (lease, ..))) = pick(&held, random) else { return };
        let id = self.bids.len() as u64 + 1;
        let short = random.chance(0.3);
        let booking = Booking {
            number: 0,
            reservation: ReservationId(id),
            lease: *lease,
            campaign: *campaign,
            exchange: ExchangeKey(3),
            reserved: Micros(BID),
            amount: Micros::ZERO,
            expires: UnixMillis(self.now + if short { 70_000 } else { limits::H2_MS }),
            freed: false,
            asked: None,
        };
        self.bids.push(Bid { booking, node: runs.node, incarnation: runs.incarnation });
    }

    /// The process takes the answer in, unless it is lost.
    fn hear(&mut self, report: &Report, answer: &Answer) {
        let Some(runs) = self.processes.iter_mut().find(|runs| runs.incarnation == answer.incarnation) else { return };
        if answer.epoch > runs.epoch {
            (runs.epoch, runs.seen, runs.full) = (answer.epoch, 0, true);
        } else if report.full && answer.standing == Standing::Current {
            runs.full = false;
        }
        runs.seen = answer.foreign.last().map_or(runs.seen, |foreign| foreign.number.max(runs.seen));
        let ledger = self.ledgers.entry(runs.node).or_default();
        ledger.booked = answer.booked.min(ledger.next);
        for (said, answer) in report.leases.iter().zip(&answer.leases) {
            let key = (said.campaign, said.day);
            match answer.lease {
                Some(lease) => {
                    let before =
                        runs.holds.get(&key).filter(|held| held.0 == lease).map_or(Micros::ZERO, |held| held.2);
                    runs.holds.insert(key, (lease, answer.granted, before));
                }
                None if said.done || answer.granted == Micros::ZERO => _ = runs.holds.remove(&key),
                None => {}
            }
        }
    }

    fn lose(&mut self, random: &mut Random) {
        let copy = pick(&self.copies, random).filter(|_| random.chance(0.7));
        let (bytes, mut books, ticked) = copy.unwrap_or_else(|| (Vec::new(), Books::default(), 0));
        self.shard.wipe();
        let lost = self.call(Function::Checkpoint, &[]);
        assert_eq!(decode::checkpoint(&lost).unwrap().1, Reply::Lost(Lost::Blank));
        let epoch = Epoch(self.envelope.epoch.0 + 1);
        (self.envelope.epoch, self.envelope.version) = (epoch, 0);
        self.open(&bytes);
        for Process { incarnation, node, origin, retired } in self.registered() {
            if books.bidder(incarnation).is_none() {
                let Origin { horizon, first_booking, next_booking } = origin;
                let (nonce, first_worker, workers, ids_from, wall) = (0, 0, 0, UnixMillis(0), UnixMillis(self.now));
                let known = Record::Registered {
                    incarnation,
                    node,
                    nonce,
                    first_worker,
                    workers,
                    ids_from,
                    horizon,
                    first_booking,
                    next_booking,
                    wall,
                };
                books.apply(&known).unwrap();
            }
            if retired {
                books.apply(&Record::Retired { node, wall: UnixMillis(self.now) }).unwrap();
            }
        }
        let now = self.clock();
        let authority = Authority::after_loss(books, epoch, now, &mut self.oracle.journal);
        self.oracle = Oracle::of(authority, ticked);
        // All that was ever listed, so that both know the same of campaigns that are not any more.
        let listed = std::mem::replace(&mut self.listed, vec![true; 4]);
        self.fund();
        self.listed = listed;
        self.fund();
    }

    fn step(&mut self, kind: u8, seed: u64) {
        let random = &mut Random::new(seed);
        match kind {
            0..=49 => {
                let Some(report) = self.make_report(random) else { return };
                self.sent.push(report.clone());
                if random.chance(0.1) {
                    return self.note("a report is lost");
                }
                let answer = self.report(&report);
                for (said, lease) in report.leases.iter().zip(&answer.leases) {
                    if lease.granted > said.granted {
                        self.note("a grant");
                    }
                    if said.done && said.lease.is_some() && lease.lease.is_none() {
                        self.note("a lease ends");
                    }
                }
                if answer.booked > self.ledgers[&report.node].booked {
                    self.note("bookings");
                }
                if !answer.foreign.is_empty() {
                    self.note("foreign bookings");
                }
                self.note(match answer.standing {
                    Standing::Current => "current",
                    Standing::Learning(_) => "learning",
                    Standing::Replaced => "replaced",
                    Standing::Unknown => "unknown",
                });
                if random.chance(0.9) {
                    self.hear(&report, &answer);
                }
            }
            50..=57 => {
                if let Some(report) = pick(&self.sent, random) {
                    self.report(&report);
                }
            }
            58..=69 => self.now += random.below(7_000),
            70..=73 => self.now += random.below(40 * 60_000),
            74 => self.now += random.below(2 * UnixMillis::DAY),
            75..=81 => self.start(random),
            82..=85 => {
                let place = random.below(4) as usize;
                self.budgets[place] = budget(place as u32, random.between(1, 30) as i64 * 100_000);
                self.budgets[place].strict = random.chance(0.5);
                self.budgets[place].total = random.chance(0.3).then(|| Micros(random.between(1, 60) as i64 * 100_000));
                self.budgets[place].tolerance = random.chance(0.3).then(|| random.below(300_000) as u32);
                self.listed[place] = random.chance(0.8);
                self.fund();
            }
            86..=88 => {
                let scope = [Scope::Campaign(Self::some_campaign(random)), Scope::Advertiser(ADVERTISER)]
                    [usize::from(random.chance(0.3))];
                let now = self.clock();
                if random.chance(0.3) {
                    let reply = self.call(Function::Stop, &[&encode::stop(scope, Why::Operator)]);
                    self.done(decode::done(&reply));
                    self.oracle.authority.stop(now, &mut self.oracle.journal, scope, Why::Operator);
                } else {
                    let reply = self.call(Function::Resume, &[&encode::resume(scope)]);
                    let was = self.done(decode::resumed(&reply));
                    assert_eq!(was, self.oracle.authority.resume(now, &mut self.oracle.journal, scope));
                }
            }
            89..=90 => {
                let node = NodeId(random.between(1, 3) as u16);
                let now = self.clock();
                let expected = match self.oracle.authority.retire(now, &mut self.oracle.journal, node) {
                    Ok(retired) => Reply::Done(retired),
                    Err(NotRetired::Already) => Reply::Refused(Refused::Retired),
                    Err(NotRetired::Alive) => Reply::Refused(Refused::Alive),
                    Err(NotRetired::Unknown) => return,
                };
                let reply = self.call(Function::Retire, &[&encode::retire(node)]);
                let (position, said) = decode::retired(&reply).unwrap();
                assert_eq!(said, expected);
                self.envelope.version = position.version;
                if matches!(expected, Reply::Done(_)) {
                    self.retired.push(node);
                    self.note("a node is retired");
                }
            }
            91..=95 => {
                let reply = self.call(Function::Checkpoint, &[]);
                let (bytes, _) = self.done(decode::checkpoint(&reply));
                self.copies.push((bytes, self.oracle.authority.books().clone(), self.oracle.ticked));
            }
            _ => {
                self.lose(random);
                self.note("a memory is lost");
            }
        }
        self.compare();
    }
}

fn pick<T: Clone>(all: &[T], random: &mut Random) -> Option<T> {
    (!all.is_empty()).then(|| all[random.below(all.len() as u64) as usize].clone())
}

fn budget(campaign: u32, daily: i64) -> Budget {
    Budget {
        campaign: CampaignId(campaign),
        advertiser: ADVERTISER,
        daily: Micros(daily),
        total: None,
        price: CpmMicros(BID * 1_000),
        strict: true,
        tolerance: None,
    }
}

fn conversation(shard: &dyn Shard, steps: &[(u8, u64)]) -> BTreeMap<&'static str, u64> {
    let mut fleet = Fleet::new(shard);
    for seed in 0..2 {
        fleet.start(&mut Random::new(seed));
    }
    for (kind, seed) in steps {
        fleet.step(*kind, *seed);
    }
    fleet.seen
}

fn steps(most: usize) -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((0u8..98, any::<u64>()), 1..most)
}

const ID: ServerId = ServerId([b'a'; 40]);

/// Conversations of each kind; COREBID_CASES sets it.
fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("COREBID_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(200))]

    /// In Lua alone: it runs everywhere.
    #[test]
    fn the_library_says_what_the_authority_says(steps in steps(150)) {
        conversation(&Server::new(ID), &steps);
    }

    /// A reply that was cut, changed or made up is an error or another reply, never a panic.
    #[test]
    fn a_malformed_reply_is_an_error(seed in any::<u64>(), at in any::<prop::sample::Index>(), bits in 1u8.., cut in any::<bool>()) {
        let server = Server::new(ID);
        let mut fleet = Fleet::new(&server);
        let random = &mut Random::new(seed);
        fleet.start(random);
        let report = (0..20).find_map(|_| fleet.make_report(random)).unwrap();
        let mut replies = vec![fleet.call(Function::Report, &[&encode::report(&report).unwrap()])];
        replies.push(fleet.call(Function::Checkpoint, &[]));
        replies.push(fleet.call(Function::Stops, &[]));
        prop_assert!(decode::report(&report, &replies[0]).is_ok());
        for mut reply in replies {
            let at = at.index(reply.len());
            if cut { reply.truncate(at) } else { reply[at] ^= bits }
            let decoded = decode::report(&report, &reply);
            prop_assert!(!cut || decoded.is_err());
            let _ = (decode::checkpoint(&reply), decode::stops(&reply), decode::retired(&reply), decode::resumed(&reply));
        }
    }
}

/// The random conversations get everywhere.
#[test]
fn conversations_try_everything() {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let random = &mut Random::new(3);
    for _ in 0..40 {
        let steps: Vec<_> = (0..150).map(|_| (random.below(98) as u8, random.bits())).collect();
        for (what, times) in conversation(&Server::new(ID), &steps) {
            *seen.entry(what).or_default() += times;
        }
    }
    println!("{seen:#?}");
    let all = [
        "a grant",
        "a lease ends",
        "a memory is lost",
        "a node is retired",
        "a report is lost",
        "bookings",
        "current",
        "foreign bookings",
        "learning",
        "replaced",
        "unknown",
    ];
    for what in all {
        assert!(seen.get(what).is_some_and(|times| *times >= 5), "{what}: {seen:?}");
    }
}

/// In a real server, whose clock the test sets.
#[test]
fn a_server_says_what_the_authority_says() {
    let Some(valkey) = Valkey::start("talk") else { return eprintln!("no valkey-server here: not tested") };
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        cases(40),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    runner
        .run(&steps(120), |steps| {
            conversation(&valkey, &steps);
            Ok(())
        })
        .unwrap();
}

/// A shard that is not the one that was meant does nothing.
#[test]
fn a_call_that_is_meant_for_another_is_lost() {
    let server = Server::new(ID);
    let mut fleet = Fleet::new(&server);
    fleet.start(&mut Random::new(1));
    let good = fleet.envelope;
    let report = fleet.make_report(&mut Random::new(1)).unwrap();
    let before = fleet.call(Function::Checkpoint, &[]);
    let other = ServerId([b'b'; 40]);
    let cases = [
        (Envelope { epoch: Epoch(2), ..good }, Lost::Epoch),
        (Envelope { epoch: Epoch(0), ..good }, Lost::Epoch),
        (Envelope { version: good.version + 1, ..good }, Lost::Version),
        (Envelope { server: other, ..good }, Lost::Server),
    ];
    let body = encode::report(&report).unwrap();
    for (envelope, why) in cases {
        fleet.envelope = envelope;
        let (position, reply) = decode::report(&report, &fleet.call(Function::Report, &[&body])).unwrap();
        assert_eq!(reply, Reply::Lost(why));
        assert_eq!((position.epoch, position.version), (good.epoch, good.version));
    }
    // Another server has taken over, and whoever calls knows it.
    server.take_over(server.keyspace(), other);
    for id in [ID, other] {
        fleet.envelope = Envelope { server: id, ..good };
        let reply = decode::report(&report, &fleet.call(Function::Report, &[&body])).unwrap().1;
        assert_eq!(reply, Reply::Lost(Lost::Server));
    }
    server.take_over(server.keyspace(), ID);
    fleet.envelope = good;
    assert_eq!(fleet.call(Function::Checkpoint, &[]), before);
    // An older list changes nothing; an epoch is opened once, and not late.
    let list = encode::fund(fleet.revision, &[]).unwrap();
    let reply = decode::done(&fleet.call(Function::Fund, &[&list])).unwrap().1;
    assert_eq!(reply, Reply::Refused(Refused::OldList));
    fleet.envelope.epoch = Epoch(2);
    let late = encode::open(UnixMillis(fleet.now - 1), &[]).unwrap();
    let reply = decode::done(&fleet.call(Function::Open, &[&late, &[]])).unwrap().1;
    assert_eq!(reply, Reply::Refused(Refused::Late));
    let body = encode::open(UnixMillis(fleet.now), &[]).unwrap();
    for _ in 0..2 {
        let (position, reply) = decode::done(&fleet.call(Function::Open, &[&body, &[]])).unwrap();
        assert_eq!((position.epoch, reply), (Epoch(2), Reply::Done(())));
    }
    fleet.envelope.epoch = Epoch(1);
    let reply = decode::done(&fleet.call(Function::Open, &[&body, &[]])).unwrap().1;
    assert_eq!(reply, Reply::Lost(Lost::Epoch));
    assert_eq!(
        encode::fund(1 << 53, &[]),
        Err(encode::Unfit { what: "a revision", number: 1 << 53 }),
        "no number that Lua does not tell from the next is sent"
    );
}

/// Whatever goes wrong in a real server, a step is whole or not at all.
#[test]
fn a_server_that_fails_does_nothing_by_halves() {
    let Some(valkey) = Valkey::start("fails") else { return eprintln!("no valkey-server here: not tested") };
    let mut fleet = Fleet::new(&valkey);
    let random = &mut Random::new(5);
    fleet.start(random);
    let first = Incarnation(1);
    for _ in 0..12 {
        fleet.step(0, random.bits());
    }
    let report =
        std::iter::repeat_with(|| fleet.make_report(random)).flatten().find(|it| !it.leases.is_empty()).unwrap();
    let body = encode::report(&report).unwrap();
    let before = fleet.call(Function::Checkpoint, &[]);
    let envelope = encode::envelope(&fleet.envelope);
    let key = lease::key(ADVERTISER);
    let fails = |how: &str| {
        let failed = Shard::call(&valkey, UnixMillis(fleet.now), Function::Report, &[&envelope, &body]).unwrap_err();
        assert!(failed.contains(how), "{how}: {failed}");
    };
    let config = |name: &str, value: &str| {
        let _: String = valkey.run(redis::cmd("CONFIG").arg("SET").arg(name).arg(value)).unwrap();
    };
    // A key of another type, where it reads and where it writes.
    for name in [key.clone(), format!("{key}:p{}", first.0)] {
        valkey.run::<()>(redis::cmd("RENAME").arg(&name).arg("kept{a7}")).unwrap();
        valkey.run::<()>(redis::cmd("SET").arg(&name).arg("text")).unwrap();
        fails("WRONGTYPE");
        valkey.run::<()>(redis::cmd("RENAME").arg("kept{a7}").arg(&name)).unwrap();
    }
    assert_eq!(fleet.call(Function::Checkpoint, &[]), before);
    // Not through the clock, which is a write too.
    let raw = || -> Result<Vec<u8>, String> {
        let name = Function::Report.name();
        valkey.run(redis::cmd("FCALL").arg(name).arg(1).arg(&key).arg(&envelope).arg(&body))
    };
    config("maxmemory", "1");
    let refused = raw().unwrap_err();
    assert!(refused.contains("OOM"), "{refused}");
    config("maxmemory", "0");
    config("min-replicas-to-write", "1");
    let refused = raw().unwrap_err();
    assert!(refused.contains("NOREPLICAS") || refused.contains("NotEnoughReplicas"), "{refused}");
    config("min-replicas-to-write", "0");
    valkey.run::<String>(redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1")).unwrap();
    let refused = raw().unwrap_err();
    assert!(refused.contains("ReadOnly") || refused.contains("read only"), "{refused}");
    // What was a replica and is a primary has another replication id: its memory may lack what was said last.
    valkey.run::<String>(redis::cmd("REPLICAOF").arg("NO").arg("ONE")).unwrap();
    assert_ne!(Shard::id(&valkey), fleet.envelope.server);
    let reply = decode::checkpoint(&fleet.call(Function::Checkpoint, &[])).unwrap().1;
    assert_eq!(reply, Reply::Lost(Lost::Server));
    valkey.run::<()>(redis::cmd("FUNCTION").arg("DELETE").arg("corebid")).unwrap();
    fails("not found");
}
