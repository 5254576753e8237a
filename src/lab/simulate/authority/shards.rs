//! The authority of a fleet: the function library on a server, a shard for each advertiser, and the register, which loses
//! nothing. Beside each shard stands the state machine in Rust. It is given what the library is given, at the same times; both
//! must say the same, and its records are what the checkers see of the accounts.

use std::collections::BTreeMap;

use super::super::check::Checker;
use super::super::time::Time;
use super::super::world::Letter;
use super::keyspace::{Keyspace, Server};
use super::tell_all;
use crate::authority::books::Books;
use crate::authority::message::{NotRegistered, Origin, Part, Register as Ask, Registered, Report};
use crate::authority::met;
use crate::authority::register::Register;
use crate::authority::{Authority, Budget, NotRetired};
use crate::limits;
use crate::market::random::Random;
use crate::reconcile::record::Record;
use crate::store::journal::Journal;
use crate::store::valkey::lease::decode::{self, Said};
use crate::store::valkey::lease::encode::{self, Process, Unfit};
use crate::store::valkey::lease::{Envelope, Function, Lost, Refused, Reply, ServerId};
use crate::units::{AdvertiserId, Epoch, Incarnation, Nanos, NodeId, Now, UnixMillis};

/// A call to open a shard is good for so long, ms.
const OPEN_MS: u64 = 5_000;
/// How long a process is taken to live when the register hears of it, and how often it says so, ms.
const ALIVE_MS: u64 = 60_000;
const BEAT_MS: u64 = 20_000;
/// A node that has begun an epoch ends before it opens the shard so often.
const ABANDONED: f64 = 0.1;
/// How much is said of two answers that differ, bytes.
const SHOWN: usize = 2_000;

/// When something is asked of a server, and who watches.
#[derive(Debug)]
pub struct At<'a> {
    /// True time.
    pub now: Time,
    /// The server's clock.
    pub clock: UnixMillis,
    /// Who watches.
    pub checker: &'a mut Checker,
}

impl At<'_> {
    /// The server has no other clock.
    fn both(&self) -> Now {
        Now { boot: Nanos(self.clock.0 * Nanos::MS), wall: self.clock }
    }

    fn violated(&mut self, advertiser: AdvertiserId, mut what: String) {
        what.truncate(SHOWN);
        self.checker.violated(self.now, "functions", format!("advertiser {}: {what}", advertiser.0));
    }
}

/// One advertiser's accounts, as the state machine in Rust has them.
#[derive(Debug)]
struct Shard {
    budgets: Vec<Budget>,
    revision: u64,
    /// The shard has this list.
    funded: bool,
    shadow: Authority,
    journal: Journal,
    ticked: u64,
}

impl Shard {
    fn of(budgets: Vec<Budget>) -> Shard {
        let (shadow, journal) = (Authority::new(Books::default()), Journal::new(0, UnixMillis(0)));
        Shard { budgets, revision: 1, funded: false, shadow, journal, ticked: 0 }
    }

    /// The library does so with the first call after a tick's length.
    fn tick(&mut self, now: Now) {
        if now.wall.0.saturating_sub(self.ticked) >= limits::TICK_NS / Nanos::MS {
            self.ticked = now.wall.0;
            self.shadow.tick(now, &mut self.journal);
        }
    }

    /// Tells the checkers what the last call wrote.
    fn tell(&mut self, at: &mut At<'_>) {
        if let Some(batch) = self.journal.take() {
            self.journal.durable(batch.upto);
            tell_all(at.now, &batch.bytes, at.checker);
        }
    }
}

/// What a replica holds, or the register's checkpoints: the accounts as they were.
#[derive(Debug)]
pub struct Past {
    keyspace: Keyspace,
    checkpoints: BTreeMap<AdvertiserId, Vec<u8>>,
    shadows: BTreeMap<AdvertiserId, (Books, u64)>,
    facts: usize,
    /// Of the server's falls: what was copied before another is of another past.
    falls: u64,
}

/// The server, its shards, and what the register knows of both.
#[derive(Debug)]
pub struct Shards {
    server: Server,
    /// Nodes reach it.
    pub up: bool,
    ids: u64,
    falls: u64,
    register: Register,
    /// In the register: the epoch of each shard, and the server it is on.
    standings: BTreeMap<AdvertiserId, (Epoch, ServerId)>,
    /// In the register: what a shard is opened with that holds nothing.
    checkpoints: BTreeMap<AdvertiserId, Vec<u8>>,
    shards: BTreeMap<AdvertiserId, Shard>,
    /// What each process knows of each shard.
    known: BTreeMap<(Incarnation, AdvertiserId), Envelope>,
}

impl Shards {
    /// An empty server.
    pub fn new(budgets: &[Budget]) -> Shards {
        let mut shards = Shards {
            server: Server::new(id(1)),
            up: false,
            ids: 1,
            falls: 0,
            register: Register::default(),
            standings: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            shards: BTreeMap::new(),
            known: BTreeMap::new(),
        };
        shards.budgets(budgets);
        shards
    }

    /// A new list of campaigns: each shard is told of its own, before the next report to it.
    pub fn budgets(&mut self, list: &[Budget]) {
        let mut parts: BTreeMap<AdvertiserId, Vec<Budget>> = BTreeMap::new();
        for budget in list {
            parts.entry(budget.advertiser).or_default().push(*budget);
        }
        for (advertiser, budgets) in parts {
            let shard = self.shards.entry(advertiser).or_insert_with(|| Shard::of(Vec::new()));
            if shard.budgets != budgets {
                (shard.budgets, shard.revision, shard.funded) = (budgets, shard.revision + 1, false);
            }
        }
    }

    /// The state machine that a part's library is compared with.
    pub fn shadow(&self, part: Part) -> Option<&Authority> {
        let Part::Advertiser(advertiser) = part else { return None };
        self.shards.get(&advertiser).map(|shard| &shard.shadow)
    }

    /// All advertisers.
    pub fn advertisers(&self) -> Vec<AdvertiserId> {
        self.shards.keys().copied().collect()
    }

    // ── The register ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Numbers a process, by the clock of its node.
    ///
    /// # Errors
    /// [`NotRegistered`].
    pub fn register(&mut self, wall: UnixMillis, ask: &Ask) -> Result<Registered, NotRegistered> {
        self.register.forget(wall);
        let (incarnation, process) = self.register.register(wall, ask)?;
        Ok(Registered {
            nonce: ask.nonce,
            incarnation,
            first_worker: process.first_worker,
            ids_from: process.ids_from,
            epoch: Epoch(0),
            booked: 0,
        })
    }

    /// A process says that it lives, by the clock of its node, if it has not of late.
    pub fn alive(&mut self, wall: UnixMillis, incarnation: Incarnation) {
        let until = self.register.processes().find(|(id, _)| *id == incarnation).map(|(_, process)| process.until);
        if until.is_some_and(|until| until.0 < wall.0 + ALIVE_MS - BEAT_MS) {
            // One that was overtaken hears so from the shards.
            let _ = self.register.renew(incarnation, UnixMillis(wall.0 + ALIVE_MS));
        }
    }

    /// Gives a node up, in the register and on every shard. Whether that is done; and whether it was new to the register.
    pub fn retire(&mut self, at: &mut At<'_>, node: NodeId) -> (bool, bool) {
        let new = match self.register.retire(at.clock, node) {
            Ok(()) => true,
            Err(NotRetired::Already) => false,
            Err(_) => return (false, false),
        };
        if !self.up {
            return (false, new);
        }
        let mut all = true;
        for advertiser in self.advertisers() {
            let Some(envelope) = self.standing(advertiser) else {
                all = false;
                continue;
            };
            let said = self.ask(at, advertiser, Function::Retire, &envelope, &[&encode::retire(node)], decode::retired);
            let Some(said) = said else { continue };
            let shard = self.shards.get_mut(&advertiser).expect("an advertiser with campaigns");
            let now = at.both();
            let expected = match said {
                Reply::Lost(_) => {
                    all = false;
                    continue;
                }
                ref said => match (shard.shadow.retire(now, &mut shard.journal, node), said) {
                    (Ok(retired), _) => Reply::Done(retired),
                    (Err(NotRetired::Already), _) => Reply::Refused(Refused::Retired),
                    (Err(NotRetired::Alive), _) => Reply::Refused(Refused::Alive),
                    // It never reported there; the library notes it all the same.
                    (Err(NotRetired::Unknown), said) => said.clone(),
                },
            };
            shard.tell(at);
            all &= !matches!(said, Reply::Refused(Refused::Alive));
            if said != expected {
                at.violated(advertiser, format!("retiring node {}: {said:?} instead of {expected:?}", node.0));
            }
        }
        (all, new)
    }

    // ── Calls ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Whom a report of a process is meant for, as far as it knows or can find out.
    pub fn meant(&mut self, at: &mut At<'_>, random: &mut Random, report: &Report) -> Option<Envelope> {
        let Part::Advertiser(advertiser) = report.part else { return None };
        let known = self.known.get(&(report.incarnation, advertiser)).copied();
        known.or_else(|| self.stand(at, random, report.incarnation, advertiser, Epoch(0), None))
    }

    /// A report arrives, after its advertiser's budgets if those are new. What the shard says; nothing while it is down.
    pub fn report(&mut self, at: &mut At<'_>, envelope: &Envelope, report: &Report) -> Option<Letter> {
        let Part::Advertiser(advertiser) = report.part else { return None };
        if !self.up {
            return None;
        }
        self.fund(at, advertiser, envelope);
        let body = match encode::report(report) {
            Ok(body) => body,
            Err(unfit) => {
                at.violated(advertiser, unfit.to_string());
                return None;
            }
        };
        let read = |bytes: &[u8]| decode::report(report, bytes);
        let answer = match self.ask(at, advertiser, Function::Report, envelope, &[&body], read)? {
            Reply::Done(answer) => answer,
            Reply::Lost(lost) => return Some(Letter::Lost(advertiser, envelope.epoch, lost)),
            Reply::Mismatch => {
                at.violated(advertiser, "its accounts do not add up".into());
                return None;
            }
            Reply::Refused(refused) => {
                at.violated(advertiser, format!("a report was refused: {refused}"));
                return None;
            }
        };
        let now = at.both();
        let shard = self.shards.get_mut(&advertiser)?;
        shard.tick(now);
        let mut expected = shard.shadow.report(now, &mut shard.journal, report);
        // Of a campaign that was never funded it does not know whose it is.
        expected.leases.iter_mut().for_each(|lease| lease.advertiser = advertiser);
        shard.tell(at);
        if answer != expected {
            at.violated(advertiser, format!("{answer:?} instead of {expected:?} to {report:?}"));
        }
        Some(Letter::Answer(Box::new(answer)))
    }

    fn fund(&mut self, at: &mut At<'_>, advertiser: AdvertiserId, envelope: &Envelope) {
        let Some(shard) = self.shards.get(&advertiser).filter(|shard| !shard.funded) else { return };
        let budgets = shard.budgets.clone();
        let body = encode::fund(shard.revision, &budgets);
        let Ok(body) = body.map_err(|unfit: Unfit| at.violated(advertiser, unfit.to_string())) else { return };
        let said = self.ask(at, advertiser, Function::Fund, envelope, &[&body], decode::done);
        match said {
            Some(Reply::Done(())) => {
                let now = at.both();
                let shard = self.shards.get_mut(&advertiser).expect("the advertiser of the list");
                shard.tick(now);
                shard.shadow.fund(now, &mut shard.journal, &budgets);
                shard.funded = true;
                shard.tell(at);
            }
            // The report behind it says the same.
            Some(Reply::Lost(_)) | None => {}
            Some(other) => at.violated(advertiser, format!("a list of campaigns: {other:?}")),
        }
    }

    /// A call, and what was said. What the library raises, and a reply it does not make, are violations.
    fn ask<T>(
        &mut self,
        at: &mut At<'_>,
        advertiser: AdvertiserId,
        function: Function,
        envelope: &Envelope,
        args: &[&[u8]],
        read: impl FnOnce(&[u8]) -> Said<T>,
    ) -> Option<Reply<T>> {
        let front = encode::envelope(envelope);
        let args: Vec<&[u8]> = std::iter::once(front.as_slice()).chain(args.iter().copied()).collect();
        let said = self.server.call(at.clock, function, advertiser, &args);
        let said = said.and_then(|bytes| read(&bytes).map_err(|malformed| malformed.to_string()));
        match said {
            Ok((position, reply)) => {
                for ((_, of), known) in &mut self.known {
                    if (*of, known.epoch, known.server) == (advertiser, position.epoch, envelope.server) {
                        known.version = known.version.max(position.version);
                    }
                }
                Some(reply)
            }
            Err(what) => {
                at.violated(advertiser, format!("{}: {what}", function.name()));
                None
            }
        }
    }

    // ── Recovery, as a node does it ─────────────────────────────────────────────────────────────────────────────────────

    /// Where a shard stands, as the register says.
    pub fn standing(&self, advertiser: AdvertiserId) -> Option<Envelope> {
        let &(epoch, server) = self.standings.get(&advertiser)?;
        Some(Envelope { epoch, version: 0, server })
    }

    /// A process was told that the shard is not the one that it meant, in this epoch.
    pub fn lost(
        &mut self,
        at: &mut At<'_>,
        random: &mut Random,
        incarnation: Incarnation,
        advertiser: AdvertiserId,
        lost: Epoch,
        why: Lost,
    ) {
        let known = self.known.get(&(incarnation, advertiser));
        if known.is_none_or(|envelope| envelope.epoch <= lost) {
            self.known.remove(&(incarnation, advertiser));
            self.stand(at, random, incarnation, advertiser, lost, Some(why));
        }
    }

    /// A process finds out where a shard stands; if it does not stand on this server, a new epoch begins.
    fn stand(
        &mut self,
        at: &mut At<'_>,
        random: &mut Random,
        incarnation: Incarnation,
        advertiser: AdvertiserId,
        lost: Epoch,
        why: Option<Lost>,
    ) -> Option<Envelope> {
        if !self.up {
            return None;
        }
        let (server, standing) = (self.server.id(), self.standing(advertiser));
        let here = standing.filter(|standing| standing.server == server);
        let stands = here.filter(|standing| {
            standing.epoch > lost
                || (matches!(why, Some(Lost::Blank | Lost::Epoch)) && self.is_open(at, advertiser, standing))
        });
        let envelope = match stands {
            Some(standing) => standing,
            None => {
                let epoch = Epoch(standing.map_or(0, |standing| standing.epoch.0) + 1);
                self.standings.insert(advertiser, (epoch, server));
                if random.chance(ABANDONED) {
                    return None;
                }
                self.open(at, advertiser, Envelope { epoch, version: 0, server })?
            }
        };
        self.known.insert((incarnation, advertiser), envelope);
        Some(envelope)
    }

    fn is_open(&mut self, at: &mut At<'_>, advertiser: AdvertiserId, envelope: &Envelope) -> bool {
        matches!(self.ask(at, advertiser, Function::Stops, envelope, &[], decode::stops), Some(Reply::Done(_)))
    }

    fn open(&mut self, at: &mut At<'_>, advertiser: AdvertiserId, envelope: Envelope) -> Option<Envelope> {
        let registered: Vec<_> = self
            .register
            .processes()
            .map(|(incarnation, process)| Process {
                incarnation,
                node: process.node,
                origin: Origin {
                    horizon: process.horizon,
                    first_booking: process.first_booking,
                    next_booking: process.next_booking,
                },
                retired: self.register.is_retired(process.node),
            })
            .collect();
        let before = UnixMillis(at.clock.0 + OPEN_MS);
        let body =
            encode::open(before, &registered).map_err(|unfit| at.violated(advertiser, unfit.to_string())).ok()?;
        let checkpoint = self.checkpoints.get(&advertiser).cloned().unwrap_or_default();
        match self.ask(at, advertiser, Function::Open, &envelope, &[&body, &checkpoint], decode::done)? {
            Reply::Done(()) => {}
            other => {
                at.violated(advertiser, format!("epoch {} was not opened: {other:?}", envelope.epoch.0));
                return None;
            }
        }
        let now = at.both();
        let shard = self.shards.get_mut(&advertiser)?;
        let mut books = shard.shadow.books().clone();
        if envelope.epoch == Epoch(1) {
            books.apply(&Record::NewEpoch { epoch: Epoch(1), wall: at.clock }).expect("a first epoch");
            shard.shadow = Authority::new(books);
        } else {
            registered.iter().for_each(|process| know(&mut books, at.clock, process));
            shard.shadow = Authority::after_loss(books, envelope.epoch, now, &mut shard.journal);
        }
        (shard.revision, shard.funded) = (shard.revision + 1, false);
        shard.tell(at);
        Some(envelope)
    }

    // ── What goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// A copy, as a replica has it that gets nothing more.
    pub fn copy(&self, checker: &Checker) -> Past {
        let shadows = self.shards.iter().map(|(advertiser, shard)| {
            let Shard { shadow, ticked, .. } = shard;
            (*advertiser, (shadow.books().clone(), *ticked))
        });
        Past {
            keyspace: self.server.keyspace(),
            checkpoints: BTreeMap::new(),
            shadows: shadows.collect(),
            facts: checker.journal.len(),
            falls: self.falls,
        }
    }

    /// The checkpoints of all shards; nothing if one of them cannot be asked.
    pub fn checkpoint(&mut self, at: &mut At<'_>) -> Option<Past> {
        let mut past = Past { keyspace: Keyspace::default(), ..self.copy(at.checker) };
        for advertiser in self.advertisers() {
            let envelope = self.standing(advertiser)?;
            match self.ask(at, advertiser, Function::Checkpoint, &envelope, &[], decode::checkpoint)? {
                Reply::Done((bytes, state)) => {
                    let leases = past.shadows[&advertiser].0.leases().map(|(id, lease)| (id, *lease));
                    if !state.leases.iter().map(|(id, lease)| (*id, *lease)).eq(leases) {
                        at.violated(advertiser, "its leases are not those of the state machine".into());
                    }
                    past.checkpoints.insert(advertiser, bytes);
                }
                _ => return None,
            }
        }
        Some(past)
    }

    /// The server holds what it held then, which may be nothing but the register's checkpoints; nobody reaches it for a while.
    /// `false` if it has fallen since.
    pub fn fall_back(&mut self, at: &mut At<'_>, past: Past) -> bool {
        let Past { keyspace, checkpoints, shadows, facts, falls } = past;
        if falls != self.falls {
            return false;
        }
        self.falls += 1;
        self.up = false;
        self.checkpoints.extend(checkpoints);
        let id = self.next_id();
        self.server.take_over(keyspace, id);
        for (advertiser, (books, ticked)) in shadows {
            let shard = self.shards.get_mut(&advertiser).expect("advertisers stay");
            (shard.shadow, shard.ticked) = (Authority::new(books), ticked);
        }
        at.checker.cut(at.now, facts);
        true
    }

    /// It is reached again: the same process, or one that read everything from its disk and has a replication id of its own.
    pub fn restart(&mut self, anew: bool) {
        self.up = true;
        if anew {
            let id = self.next_id();
            self.server.take_over(self.server.keyspace(), id);
        }
    }

    fn next_id(&mut self) -> ServerId {
        self.ids += 1;
        id(self.ids)
    }
}

fn id(number: u64) -> ServerId {
    ServerId::of(&format!("{number:040x}")).expect("forty digits")
}

/// What the register says of a process, for books that may have lost it.
fn know(books: &mut Books, wall: UnixMillis, process: &Process) {
    let &Process { incarnation, node, origin, retired } = process;
    if books.bidder(incarnation).is_none() {
        books.apply(&met(incarnation, node, origin, wall)).expect("a process of the register");
    }
    if retired {
        books.apply(&Record::Retired { node, wall }).expect("a node of the register");
    }
}
