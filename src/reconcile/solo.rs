//! A node that is its own authority: the embedded store. Both state machines, over one ledger, talking in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use super::gauges::Gauges;
use super::guards::operator::{Ask, Said};
use super::guards::stops::Stop;
use super::history::Replayed;
use super::{Funding, Reconciler, Settings};
use crate::authority::books::Scope;
use crate::authority::message::{Answer, NotRegistered, Why};
use crate::authority::{Authority, NotRetired};
use crate::store::journal::{Batch, Journal};
use crate::units::{Now, UnixMillis};

/// How a process goes on from a ledger.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Drawn at the start of the process.
    pub nonce: u64,
    /// Record ids start here.
    pub ids_from: UnixMillis,
    /// A segment is to be started.
    pub opens: bool,
}

/// The two machines.
#[derive(Debug)]
pub struct Solo {
    /// The node. Its journal is that of both.
    pub node: Reconciler,
    authority: Authority,
    /// Answers that wait for the disk, with how much of the journal they need.
    answers: VecDeque<(u64, Answer)>,
    /// What is stopped, as far as it was told.
    stopped: Vec<Stop>,
    gauges: Arc<Gauges>,
}

impl Solo {
    /// Goes on from a ledger, as the next process of the node. If a segment is to be started first, its opening balance comes
    /// with it.
    ///
    /// # Errors
    /// The authority does not take the node.
    pub fn new(
        settings: Settings,
        replayed: Replayed,
        start: Start,
        gauges: &Arc<Gauges>,
        now: Now,
    ) -> Result<(Self, Option<Batch>), NotRegistered> {
        let ask = Reconciler::register(&settings, &replayed.history, start.nonce);
        let mut authority = Authority::of_one_node(replayed.books.clone());
        let first = authority.free_workers(now, ask.node, ask.workers).ok_or(NotRegistered::NoWorkers)?;
        let mut journal = Journal::new(first + u16::from(settings.cores), start.ids_from);
        let opening = start.opens.then(|| journal.opening(now, replayed.opening()));
        let registered = authority.register(now, &mut journal, ask)?;
        let node = Reconciler::new(settings, replayed.history, journal, registered, gauges.clone(), now);
        let mut solo = Self { node, authority, answers: VecDeque::new(), stopped: Vec::new(), gauges: gauges.clone() };
        solo.tell_stops();
        Ok((solo, opening))
    }

    /// The authority, to be asked.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A new campaign list.
    pub fn campaigns(&mut self, now: Now, list: &[Funding]) {
        let budgets: Vec<_> = list.iter().map(Funding::budget).collect();
        self.authority.fund(now, self.node.journal(), &budgets);
        self.node.campaigns(now, list);
    }

    /// Every [`crate::limits::TICK_NS`].
    pub fn tick(&mut self, now: Now) {
        let sums = self.authority.tick(now, self.node.journal());
        self.gauges.invariant_checks.add(sums);
        self.node.tick(now);
        self.tell_stops();
    }

    /// What an operator asks for. To be told when all that is in the journal is on disk.
    pub fn operate(&mut self, now: Now, ask: Ask) -> Said {
        let said = match ask {
            Ask::Stop(scope) | Ask::Resume(scope) if !self.knows(scope) => Said::Unknown,
            Ask::Stop(scope) => {
                let before = self.why(scope);
                self.authority.stop(now, self.node.journal(), scope, Why::Operator);
                Said::Stopped { before }
            }
            Ask::Resume(scope) => {
                let before = self.why(scope);
                self.authority.resume(now, self.node.journal(), scope);
                Said::Resumed { before, still: self.still(scope) }
            }
            // It has just said something, even if it has not bid yet.
            Ask::Retire(node) if node == self.node.settings.node => Said::Retired(Err(NotRetired::Alive)),
            Ask::Retire(node) => Said::Retired(self.authority.retire(now, self.node.journal(), node)),
            Ask::Stopped => Said::List(self.stops().collect()),
            Ask::Erase(user, wiped) => Said::Erased(self.node.erase(now, user, wiped)),
            Ask::Forget(user) => {
                self.node.forget_user(user);
                Said::Forgotten
            }
        };
        // The cores hear of it now, not with the next tick.
        self.node.hurry();
        self.tell_stops();
        said
    }

    fn knows(&self, scope: Scope) -> bool {
        let mut lives = self.authority.books().lives();
        match scope {
            Scope::Campaign(campaign) => {
                lives.any(|(known, _)| known == campaign) || self.node.listed().any(|known| known.campaign == campaign)
            }
            Scope::Advertiser(advertiser) => {
                let mut listed = self.node.listed();
                lives.any(|(_, life)| life.advertiser == advertiser)
                    || listed.any(|known| known.advertiser == advertiser)
            }
        }
    }

    fn stops(&self) -> impl Iterator<Item = Stop> {
        self.authority.books().all_stopped().map(|(scope, why)| Stop { scope, why })
    }

    fn why(&self, scope: Scope) -> Option<Why> {
        self.stops().find(|stop| stop.scope == scope).map(|stop| stop.why)
    }

    /// Why a campaign stays stopped that was resumed.
    fn still(&self, scope: Scope) -> Option<Why> {
        let Scope::Campaign(campaign) = scope else { return None };
        let life = self.authority.books().life(campaign)?;
        self.why(Scope::Advertiser(life.advertiser))
    }

    /// Logs and counts what was stopped and resumed.
    fn tell_stops(&mut self) {
        if self.stops().eq(self.stopped.iter().copied()) {
            return;
        }
        let now: Vec<Stop> = self.stops().collect();
        self.gauges.guards.tell(&self.stopped, &now);
        self.stopped = now;
    }

    /// Passes reports and answers on: after every turn.
    pub fn talk(&mut self, now: Now) {
        while let Some(report) = self.node.report(now) {
            let answer = self.authority.report(now, self.node.journal(), &report);
            self.answers.push_back((self.node.journal().appended(), answer));
            self.listen(now);
        }
    }

    /// Answers leave when all that they tell of is on disk.
    fn listen(&mut self, now: Now) {
        let synced = self.node.journal().synced();
        while let Some((_, answer)) = self.answers.pop_front_if(|(needs, _)| *needs <= synced) {
            self.node.answer(now, &answer);
        }
    }

    /// So much of the journal is on disk.
    pub fn durable(&mut self, now: Now, upto: u64) {
        self.node.durable(upto);
        self.listen(now);
        self.talk(now);
    }

    /// The opening balance of a new segment, as all is now.
    pub fn opening(&mut self, now: Now) -> Batch {
        let balance: Vec<_> = self.authority.books().opening().chain(self.node.history().opening()).collect();
        self.node.journal().opening(now, balance)
    }
}
