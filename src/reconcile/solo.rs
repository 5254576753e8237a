//! A node that is its own authority: the embedded store. Both state machines, over one ledger, talking in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use super::gauges::Gauges;
use super::history::Replayed;
use super::{Funding, Reconciler, Settings};
use crate::authority::Authority;
use crate::authority::message::{Answer, NotRegistered};
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
        Ok((Self { node, authority, answers: VecDeque::new(), gauges: gauges.clone() }, opening))
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
