//! Fetches the users whom the bid cores miss.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use tokio::task::JoinSet;

use super::CoreEnds;
use super::breaker::{Breaker, Permit, State};
use super::metrics::FetchCounts;
use super::timer::{Timer, watched};
use super::wanted::Wanted;
use crate::clock;
use crate::profile::count::Count;
use crate::profile::fetched::{Asking, FetchOutcome, Fetched, Told};
use crate::profile::source::ProfileSource;
use crate::ring::spsc::Refused;
use crate::ring::wake::{Wake, Wakeup};
use crate::units::{Nanos, UserKey};

/// How users are fetched.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A fetch that takes longer has failed. Longer than a request waits: what comes too late for it serves the user's next.
    pub timeout: Duration,
    /// Draws the jitter of the breaker's back-off.
    pub seed: u64,
}

/// How long a word that found a core's ring full waits before it is said again, ns.
const AGAIN_NS: u64 = Nanos::MS;
/// How long what a core has taken up may lie in the ring back, ns: it holds a profile in plain.
const WIPE_NS: u64 = 5 * Nanos::MS;

/// The fetches of all cores.
#[derive(Debug)]
pub(super) struct Fetching<S> {
    cores: Vec<Core>,
    source: Rc<S>,
    settings: Settings,
    wanted: Wanted,
    breaker: Breaker,
    under_way: JoinSet<Ended>,
    counts: Arc<FetchCounts>,
}

#[derive(Debug)]
struct Core {
    ends: CoreEnds,
    /// The word it was told last, by its number.
    told: u64,
    /// Boxes sent to it that are not back.
    out: usize,
    /// It was told something since it was woken.
    unseen: bool,
}

/// How a fetch ended.
#[derive(Debug)]
struct Ended {
    permit: Permit,
    asked: Vec<UserKey>,
    /// `None`: not in time.
    answers: Option<Vec<(UserKey, FetchOutcome)>>,
    counts: Vec<(UserKey, Vec<Count>)>,
}

impl<S: ProfileSource + 'static> Fetching<S> {
    pub(super) fn new(settings: Settings, cores: Vec<CoreEnds>, source: S, counts: Arc<FetchCounts>) -> Fetching<S> {
        Fetching {
            cores: cores.into_iter().map(|ends| Core { ends, told: 0, out: 0, unseen: false }).collect(),
            source: Rc::new(source),
            settings,
            wanted: Wanted::default(),
            breaker: Breaker::new(settings.seed),
            under_way: JoinSet::new(),
            counts,
        }
    }

    /// Runs until the kernel fails it.
    pub(super) async fn run(mut self, wakeup: Wakeup) -> io::Result<()> {
        let wakeup = watched(wakeup)?;
        let mut timer = Timer::new()?;
        loop {
            let now = clock::boot();
            let again = self.turn(now);
            timer.set(now, again);
            tokio::select! {
                ready = wakeup.readable() => ready?.clear_ready(),
                expired = timer.expired() => expired?,
                Some(ended) = self.under_way.join_next() => {
                    self.ended(ended.map_err(io::Error::other)?, clock::boot());
                    while let Some(ended) = self.under_way.try_join_next() {
                        self.ended(ended.map_err(io::Error::other)?, clock::boot());
                    }
                }
            }
        }
    }

    /// Takes what the cores ask for, lets fetches leave, and tells the cores what they may ask for. Returns when it is wanted
    /// again.
    fn turn(&mut self, now: Nanos) -> Nanos {
        for core in 0..self.cores.len() {
            self.take(core);
        }
        while let Some(users) = self.wanted.take(now, self.under_way.len()) {
            self.leave(users, now);
        }
        let said = self.say(now);
        for core in &mut self.cores {
            if std::mem::take(&mut core.unseen) {
                core.ends.waker.wake();
            }
        }
        let again = if said { Nanos::NEVER } else { now.after(AGAIN_NS) };
        let back = self.cores.iter().all(|core| core.out == 0);
        let again = if back { again } else { again.min(now.after(WIPE_NS)) };
        again.min(self.wanted.leaves(self.under_way.len())).min(self.breaker.next_change())
    }

    /// Takes what a core asks for, and what it gives back.
    fn take(&mut self, core: usize) {
        let Fetching { cores, wanted, counts, .. } = self;
        let Core { ends, out, .. } = &mut cores[core];
        // Wiped, and freed.
        *out -= ends.returned.drain(usize::MAX, drop);
        let mut refused = Vec::new();
        ends.misses.drain(usize::MAX, |miss| {
            if !wanted.ask(core, miss) {
                refused.push(miss.user);
            }
        });
        counts.refused.add(refused.len() as u64);
        for user in refused {
            self.tell(core, user, FetchOutcome::Failed, None);
        }
    }

    fn leave(&mut self, users: Vec<UserKey>, now: Nanos) {
        let Some(permit) = self.breaker.begin(now) else {
            self.counts.refused.add(users.len() as u64);
            for user in users {
                self.answer(user, FetchOutcome::Failed, None);
            }
            return;
        };
        self.counts.fetches.add(1);
        self.counts.users.add(users.len() as u64);
        let (source, timeout) = (self.source.clone(), self.settings.timeout);
        self.under_way.spawn_local(async move {
            let answers = tokio::time::timeout(timeout, source.fetch(&users));
            let counts = tokio::time::timeout(timeout, source.counts(&users));
            let (answers, counts) = tokio::join!(answers, counts);
            Ended { permit, asked: users, answers: answers.ok(), counts: counts.unwrap_or_default() }
        });
    }

    fn ended(&mut self, ended: Ended, now: Nanos) {
        let Ended { permit, asked, answers, counts } = ended;
        let mut counts_of: HashMap<UserKey, Vec<Count>> = counts.into_iter().collect();
        let mut answers: HashMap<UserKey, FetchOutcome> = answers.unwrap_or_default().into_iter().collect();
        let mut failed = 0;
        let count = asked.len() as u64;
        for user in asked {
            let outcome = answers.remove(&user).unwrap_or(FetchOutcome::Failed);
            // Erased since it was fetched.
            let (outcome, counts_of_user) = match self.source.holds_back(user) {
                true => (FetchOutcome::Nothing, Some(Vec::new())),
                false => (outcome, counts_of.remove(&user)),
            };
            let counts = &self.counts;
            let counter = match &outcome {
                FetchOutcome::Profile(_) => &counts.found,
                FetchOutcome::Nothing => &counts.unknown,
                FetchOutcome::Failed => &counts.failed,
            };
            counter.add(1);
            failed += u64::from(outcome == FetchOutcome::Failed);
            if let Some(asked) = self.answer(user, outcome, counts_of_user) {
                self.counts.time.record(now.since(asked));
            }
        }
        self.breaker.ended(permit, count - failed, failed, now);
    }

    /// Tells all who asked for a user; when the first did.
    fn answer(&mut self, user: UserKey, outcome: FetchOutcome, counts: Option<Vec<Count>>) -> Option<Nanos> {
        let asked = self.wanted.end(user)?;
        let mut cores = asked.cores().peekable();
        let mut found = Some((outcome, counts));
        while let Some(core) = cores.next() {
            let own = if cores.peek().is_some() { found.clone() } else { found.take() };
            let (outcome, counts) = own.expect("taken by the last");
            self.tell(core, user, outcome, counts);
        }
        Some(asked.at)
    }

    fn tell(&mut self, core: usize, user: UserKey, outcome: FetchOutcome, counts: Option<Vec<Count>>) {
        let core = &mut self.cores[core];
        let fetched = Box::new(Fetched { user, outcome, counts });
        match core.ends.told.offer(Told::Fetched(fetched)) {
            Ok(()) => {
                core.unseen = true;
                core.out += 1;
            }
            // Its request is answered when its time is up.
            Err(Refused(_)) => self.counts.dropped.add(1),
        }
    }

    /// Tells each core what it may ask for, if that changed; whether all heard it.
    fn say(&mut self, now: Nanos) -> bool {
        let (asking, number) = self.breaker.asking(now);
        self.counts.trips.set(self.breaker.trips());
        self.counts.breaker.set(match self.breaker.state(now) {
            State::Closed => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        });
        // A trial that came to nothing, such as one for a user whose fetch had begun before, is asked for again.
        let lost =
            asking == Asking::Once && self.wanted.is_empty() && self.cores.iter().all(|core| core.told == number);
        let mut heard = true;
        for core in &mut self.cores {
            if core.told == number && !lost {
                continue;
            }
            match core.ends.told.offer(Told::Asking(asking)) {
                Ok(()) => (core.told, core.unseen) = (number, true),
                Err(Refused(_)) => heard = false,
            }
        }
        heard
    }
}
