//! The register of a fleet: who runs, under which number, with which worker ids, and which nodes will not come back.
//!
//! Of a fleet whose lease authority is many shards, this is the part that must never lose anything and is asked seldom: at the
//! start of a process, every few minutes of its life, and when an operator retires a node. A state machine without clock or
//! store; [`crate::store::dynamodb::register`] keeps it as one item that is only replaced by who has read it last.
//!
//! The rules are those of [`Authority::register`](super::Authority::register), but for one: what a process may have been
//! granted, the shards know. Here stands for how long it may use grants at all ([`Process::until`]), which it renews in
//! good time.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::message::{NotRegistered, Register as Ask};
use super::{FIRST_IDS_AHEAD_MS, NotRetired};
use crate::ids::WORKERS;
use crate::limits;
use crate::units::{Incarnation, Nanos, NodeId, UnixMillis};

/// Ids are borrowed from the future for less than this, ms.
const BORROWED_MS: u64 = limits::LEASE_NS / Nanos::MS;

/// No time of a register is later, ms: the year 10889. Sums of a few such times can be counted.
const LATEST: u64 = 1 << 48;

/// Fewer processes than this are numbered in the life of a fleet.
const LAST: u32 = 1 << 31;

/// One process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// The node it runs on.
    pub node: NodeId,
    /// What it asked with.
    pub nonce: u64,
    /// The first of its worker ids.
    pub first_worker: u16,
    /// How many they are.
    pub workers: u16,
    /// Its ids start here: after all that were made with these worker ids.
    pub ids_from: UnixMillis,
    /// For how long after a bid it may be billed, ms.
    pub horizon: u64,
    /// The first booking of its ledger that may not be confirmed.
    pub first_booking: u64,
    /// The first after those that earlier processes of its node made.
    pub next_booking: u64,
    /// Past this time it uses no grant; 0 as long as it may use none.
    pub until: UnixMillis,
    /// It said that it bids no more.
    pub ended: bool,
}

/// The register.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    processes: BTreeMap<Incarnation, Process>,
    retired: BTreeMap<NodeId, UnixMillis>,
    /// The largest [`Process::next_booking`] of each node.
    booked: BTreeMap<NodeId, u64>,
    last: Incarnation,
}

/// Why a process may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRenewed {
    /// Nobody was registered under this number, or it was long ago.
    Unknown,
    /// A later process of its node was registered.
    Overtaken,
    /// Its node was retired.
    Retired,
}

impl fmt::Display for NotRenewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "its number was never given, or long ago",
            Self::Overtaken => "a later process of its node was registered",
            Self::Retired => "its node was retired",
        })
    }
}

impl Register {
    /// Numbers a process. Asked again with the same nonce, it says the same.
    ///
    /// # Errors
    /// [`NotRegistered`]. Nothing has changed then.
    pub fn register(&mut self, now: UnixMillis, ask: &Ask) -> Result<(Incarnation, Process), NotRegistered> {
        if self.retired.contains_key(&ask.node) {
            return Err(NotRegistered::Retired);
        }
        let later = |(incarnation, process): (&Incarnation, &Process)| {
            process.node == ask.node
                && *incarnation > ask.last
                && process.nonce != ask.nonce
                && process.until > UnixMillis(0)
        };
        let booked = self.booked.get(&ask.node).copied().unwrap_or(0);
        if self.processes.iter().any(later) || ask.next_booking < booked {
            return Err(NotRegistered::Overtaken);
        }
        let same = |process: &Process| (process.node, process.nonce) == (ask.node, ask.nonce);
        if let Some((incarnation, process)) = self.processes.iter().find(|(_, process)| same(process)) {
            return Ok((*incarnation, *process));
        }
        let first_worker = self.free_workers(now, ask.node, ask.workers).ok_or(NotRegistered::NoWorkers)?;
        let process = Process {
            node: ask.node,
            nonce: ask.nonce,
            first_worker,
            workers: ask.workers,
            ids_from: self.ids_from(now, first_worker, ask.workers),
            horizon: ask.horizon,
            first_booking: ask.first_booking,
            next_booking: ask.next_booking,
            until: UnixMillis(0),
            ended: false,
        };
        self.last = Incarnation(self.last.0 + 1);
        self.processes.insert(self.last, process);
        self.booked.insert(ask.node, ask.next_booking);
        Ok((self.last, process))
    }

    /// The first of so many worker ids that no process can still be using; `None` if there are not as many. Other ones than
    /// earlier processes of the node had, if there are: their ids may have run ahead of the clock.
    pub fn free_workers(&self, now: UnixMillis, node: NodeId, workers: u16) -> Option<u16> {
        let past = |process: &Process| process.until.0 + 2 * limits::EPSILON_MS < now.0;
        let gone = |process: &Process| past(process) && self.retired.contains_key(&process.node);
        let free = |is_taken: &dyn Fn(&Process) -> bool| {
            let taken = self.processes.values().filter(|process| is_taken(process));
            gap(taken.map(|process| (process.first_worker, process.workers)), workers)
        };
        free(&|process| !gone(process)).or_else(|| free(&|process| !gone(process) && process.node != node))
    }

    /// After all ids that were made with any of these worker ids, whatever clock they were made on: those of a process end with
    /// its grants, but for what is borrowed. Before the first process there may have been a ledger that nobody knows of.
    fn ids_from(&self, now: UnixMillis, first: u16, workers: u16) -> UnixMillis {
        if self.last == Incarnation(0) {
            return UnixMillis(now.0 + FIRST_IDS_AHEAD_MS);
        }
        let before = self.processes.values();
        let before = before.filter(|it| it.first_worker < first + workers && first < it.first_worker + it.workers);
        let last = before.map(|it| it.until.max(it.ids_from).0 + BORROWED_MS).max();
        UnixMillis(last.unwrap_or(0).max(now.0))
    }

    /// A process may use grants until then. It asks well before the last such time is over, and stops when it is.
    ///
    /// # Errors
    /// [`NotRenewed`]: it must not go on past what it was told before.
    pub fn renew(&mut self, incarnation: Incarnation, until: UnixMillis) -> Result<(), NotRenewed> {
        let is_last = self.is_last(incarnation);
        let process = self.processes.get_mut(&incarnation).ok_or(NotRenewed::Unknown)?;
        if self.retired.contains_key(&process.node) {
            return Err(NotRenewed::Retired);
        }
        if !is_last {
            return Err(NotRenewed::Overtaken);
        }
        process.until = process.until.max(until);
        process.ended = false;
        Ok(())
    }

    /// A process bids no more. One that nobody knows any more has nothing left to say.
    pub fn end(&mut self, incarnation: Incarnation) {
        if let Some(process) = self.processes.get_mut(&incarnation) {
            process.ended = true;
        }
    }

    /// Gives a node up.
    ///
    /// # Errors
    /// [`NotRetired`].
    pub fn retire(&mut self, now: UnixMillis, node: NodeId) -> Result<(), NotRetired> {
        if self.retired.contains_key(&node) {
            return Err(NotRetired::Already);
        }
        if !self.booked.contains_key(&node) {
            return Err(NotRetired::Unknown);
        }
        let alive = |(incarnation, process): (&Incarnation, &Process)| {
            process.node == node && !process.ended && self.is_last(*incarnation) && now <= process.until
        };
        if self.processes.iter().any(alive) {
            return Err(NotRetired::Alive);
        }
        self.retired.insert(node, now);
        Ok(())
    }

    /// Drops the processes of which nothing can be claimed any more and whose ids are past, but for the last of each node that
    /// may come back. Without it the register would grow with every restart.
    pub fn forget(&mut self, now: UnixMillis) {
        let past = |process: &Process| {
            let last_bill = if process.until == UnixMillis(0) { 0 } else { process.until.0 + process.horizon };
            let last_id = process.ids_from.max(process.until).0 + BORROWED_MS;
            last_bill.max(last_id) + 2 * limits::EPSILON_MS + 60_000 < now.0
        };
        let over: Vec<_> = self
            .processes
            .iter()
            .filter(|(incarnation, process)| {
                past(process) && (!self.is_last(**incarnation) || self.retired.contains_key(&process.node))
            })
            .map(|(incarnation, _)| *incarnation)
            .collect();
        for incarnation in over {
            self.processes.remove(&incarnation);
        }
    }

    /// Whether no later process of its node was registered.
    fn is_last(&self, incarnation: Incarnation) -> bool {
        let node = self.processes.get(&incarnation).map(|process| process.node);
        !self.processes.range(incarnation..).skip(1).any(|(_, process)| Some(process.node) == node)
    }

    /// The processes that something may still be claimed from, by number.
    pub fn processes(&self) -> impl Iterator<Item = (Incarnation, &Process)> {
        self.processes.iter().map(|(incarnation, process)| (*incarnation, process))
    }

    /// Whether a node was given up.
    pub fn is_retired(&self, node: NodeId) -> bool {
        self.retired.contains_key(&node)
    }

    /// As text, from which [`Register::decode`] makes it again.
    pub fn encode(&self) -> String {
        let stored = Stored {
            last: self.last.0,
            retired: self.retired.iter().map(|(node, wall)| (node.0, wall.0)).collect(),
            booked: self.booked.iter().map(|(node, booked)| (node.0, *booked)).collect(),
            processes: self.processes.iter().map(|(incarnation, process)| Line::of(*incarnation, process)).collect(),
        };
        serde_json::to_string(&stored).expect("numbers and their names")
    }

    /// Reads what [`Register::encode`] wrote; `None` if it did not, or not with numbers that can be counted on with.
    pub fn decode(text: &str) -> Option<Register> {
        let stored: Stored = serde_json::from_str(text).ok()?;
        let sound = |line: &Line| {
            line.incarnation <= stored.last
                && line.first_worker.checked_add(line.workers).is_some_and(|end| end <= WORKERS)
                && [line.ids_from, line.horizon, line.until].iter().all(|time| *time <= LATEST)
        };
        (stored.last < LAST && stored.processes.iter().all(sound)).then(|| Register {
            last: Incarnation(stored.last),
            retired: stored.retired.iter().map(|(node, wall)| (NodeId(*node), UnixMillis(*wall))).collect(),
            booked: stored.booked.iter().map(|(node, booked)| (NodeId(*node), *booked)).collect(),
            processes: stored.processes.iter().map(|line| (Incarnation(line.incarnation), line.process())).collect(),
        })
    }
}

/// The first of so many numbers in a row that lie in none of the ranges taken, each its first number and its length.
pub(super) fn gap(taken: impl Iterator<Item = (u16, u16)>, workers: u16) -> Option<u16> {
    let workers = Some(workers).filter(|workers| *workers <= WORKERS)?;
    let mut taken: Vec<_> = taken.collect();
    taken.sort_unstable();
    let mut first = 0;
    for (start, length) in taken {
        if start >= first + workers {
            break;
        }
        first = first.max(start + length);
    }
    (first + workers <= WORKERS).then_some(first)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    last: u32,
    retired: Vec<(u16, u64)>,
    booked: Vec<(u16, u64)>,
    processes: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    incarnation: u32,
    node: u16,
    nonce: u64,
    first_worker: u16,
    workers: u16,
    ids_from: u64,
    horizon: u64,
    first_booking: u64,
    next_booking: u64,
    until: u64,
    ended: bool,
}

impl Line {
    fn of(incarnation: Incarnation, process: &Process) -> Line {
        let &Process { node, nonce, first_worker, workers, ids_from, horizon, .. } = process;
        let &Process { first_booking, next_booking, until, ended, .. } = process;
        Line {
            incarnation: incarnation.0,
            node: node.0,
            nonce,
            first_worker,
            workers,
            ids_from: ids_from.0,
            horizon,
            first_booking,
            next_booking,
            until: until.0,
            ended,
        }
    }

    fn process(&self) -> Process {
        Process {
            node: NodeId(self.node),
            nonce: self.nonce,
            first_worker: self.first_worker,
            workers: self.workers,
            ids_from: UnixMillis(self.ids_from),
            horizon: self.horizon,
            first_booking: self.first_booking,
            next_booking: self.next_booking,
            until: UnixMillis(self.until),
            ended: self.ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: u64 = 1_800_000_000_000;

    fn ask(node: u16, nonce: u64, last: u32, workers: u16) -> Ask {
        let (node, last) = (NodeId(node), Incarnation(last));
        Ask { node, nonce, workers, horizon: 1_800_000, last, first_booking: 0, next_booking: 0 }
    }

    #[test]
    fn the_same_nonce_gets_the_same_answer_and_an_old_copy_none() {
        let (mut register, now) = (Register::default(), UnixMillis(START));
        let first = register.register(now, &ask(1, 11, 0, 5)).unwrap();
        assert_eq!(register.register(UnixMillis(START + 9_000), &ask(1, 11, 0, 5)), Ok(first));
        let (second, process) = register.register(now, &ask(1, 12, 0, 5)).unwrap();
        assert!(
            second > first.0 && process.first_worker >= 5,
            "it was never granted anything, so it can be left behind"
        );
        register.renew(second, UnixMillis(START + 60_000)).unwrap();
        assert_eq!(register.renew(first.0, UnixMillis(START + 60_000)), Err(NotRenewed::Overtaken));
        assert_eq!(register.register(now, &ask(1, 13, 0, 5)), Err(NotRegistered::Overtaken));
        assert_eq!(register.register(now, &ask(1, 12, 0, 5)).unwrap().0, second);
        let further = Ask { next_booking: 40, ..ask(1, 13, second.0, 5) };
        assert!(register.register(now, &further).is_ok());
        let shorter = Ask { next_booking: 39, ..ask(1, 14, 3, 5) };
        assert_eq!(register.register(now, &shorter), Err(NotRegistered::Overtaken), "its ledger lacks bookings");
        assert_eq!(register.register(now, &ask(2, 1, 0, WORKERS)), Err(NotRegistered::NoWorkers));
        assert_eq!(register.register(now, &ask(2, 1, 0, u16::MAX)), Err(NotRegistered::NoWorkers));
    }

    #[test]
    fn a_node_is_retired_once_it_is_silent_and_for_good() {
        let (mut register, now) = (Register::default(), UnixMillis(START));
        assert_eq!(register.retire(now, NodeId(1)), Err(NotRetired::Unknown));
        let (incarnation, _) = register.register(now, &ask(1, 11, 0, WORKERS)).unwrap();
        register.renew(incarnation, UnixMillis(START + 60_000)).unwrap();
        assert_eq!(register.retire(UnixMillis(START + 60_000), NodeId(1)), Err(NotRetired::Alive));
        assert_eq!(register.register(now, &ask(2, 1, 0, 1)), Err(NotRegistered::NoWorkers));
        assert_eq!(register.retire(UnixMillis(START + 60_001), NodeId(1)), Ok(()));
        assert_eq!(register.retire(UnixMillis(START + 60_001), NodeId(1)), Err(NotRetired::Already));
        assert_eq!(register.renew(incarnation, UnixMillis(START + 90_000)), Err(NotRenewed::Retired));
        assert_eq!(register.register(now, &ask(1, 12, 1, 1)), Err(NotRegistered::Retired));
        assert_eq!(register.register(UnixMillis(START + 64_000), &ask(2, 1, 0, 1)), Err(NotRegistered::NoWorkers));
        let (_, process) = register.register(UnixMillis(START + 64_001), &ask(2, 1, 0, 1)).unwrap();
        assert_eq!((process.first_worker, process.ids_from), (0, UnixMillis(START + 70_000)));
        register.forget(UnixMillis(START + 10_000_000));
        assert_eq!(register.processes().count(), 1, "the last of a node that may come back stays");
        assert!(register.is_retired(NodeId(1)));
    }

    #[test]
    fn restarts_do_not_fill_it() {
        let mut register = Register::default();
        for start in 0..10_000 {
            let now = UnixMillis(START + start * 1000);
            register.forget(now);
            let (incarnation, _) = register.register(now, &ask(1, start, u32::MAX, 9)).unwrap();
            if start % 10 == 0 {
                register.renew(incarnation, UnixMillis(now.0 + 60_000)).unwrap();
            }
        }
        assert!(register.encode().len() < 200_000, "{}", register.encode().len());
        assert_eq!(Register::decode(&register.encode()), Some(register));
    }

    /// What a process may do, as its node sees it: none of it is read from the register's memory.
    struct Alive {
        incarnation: Incarnation,
        workers: std::ops::Range<u16>,
        /// After all ids it may have made.
        ids_end: u64,
    }

    proptest! {
        /// Whatever nodes start, renew, fall silent and are retired, on clocks that differ by epsilon: no two processes ever
        /// make the same id, and no number is given twice.
        #[test]
        fn no_two_processes_make_the_same_id(
            steps in prop::collection::vec((0u16..6, 0u8..8, 0u64..40_000, 0..=limits::EPSILON_MS), 1..120),
            workers in prop::sample::select(vec![1u16, 9, 200, 400]),
        ) {
            let mut register = Register::default();
            let mut all: Vec<Alive> = Vec::new();
            let mut running: BTreeMap<u16, usize> = BTreeMap::new();
            let (mut time, mut nonce) = (START, 0);
            for (node, action, passes, skew) in steps {
                time += passes;
                let now = UnixMillis(time + skew);
                match action {
                    0..3 => {
                        nonce += 1;
                        let last = running.get(&node).map_or(0, |at| all[*at].incarnation.0);
                        let Ok((incarnation, process)) = register.register(now, &ask(node, nonce, last, workers)) else {
                            continue;
                        };
                        let range = process.first_worker..process.first_worker + process.workers;
                        prop_assert!(range.end <= WORKERS);
                        for other in &all {
                            prop_assert!(incarnation > other.incarnation);
                            let overlap = range.start < other.workers.end && other.workers.start < range.end;
                            prop_assert!(!overlap || process.ids_from.0 >= other.ids_end, "{:?}", process);
                        }
                        let ids_end = process.ids_from.0 + BORROWED_MS;
                        running.insert(node, all.len());
                        all.push(Alive { incarnation, workers: range, ids_end });
                    }
                    3..6 => {
                        let Some(at) = running.get(&node) else { continue };
                        let until = UnixMillis(now.0 + 60_000);
                        if register.renew(all[*at].incarnation, until).is_ok() {
                            all[*at].ids_end = all[*at].ids_end.max(until.0 + BORROWED_MS);
                        }
                    }
                    6 => {
                        let _ = register.retire(now, NodeId(node));
                    }
                    _ => register.forget(now),
                }
                prop_assert_eq!(Register::decode(&register.encode()), Some(register.clone()));
            }
        }
    }
}
