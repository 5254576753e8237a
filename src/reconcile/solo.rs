//! A node that is its own authority: the embedded store. Both state machines, over one ledger, talking in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use super::gauges::Gauges;
use super::history::Replayed;
use super::record::Record;
use super::{Funding, Reconciler, Settings};
use crate::authority::Authority;
use crate::authority::message::{Answer, NotRegistered};
use crate::store::journal::Journal;
use crate::units::Now;

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
    /// Goes on from a ledger, as the next process of the node. `nonce` is drawn at the start of the process.
    ///
    /// # Errors
    /// The authority does not take the node.
    pub fn new(
        settings: Settings,
        replayed: Replayed,
        nonce: u64,
        gauges: &Arc<Gauges>,
        now: Now,
    ) -> Result<Self, NotRegistered> {
        let Replayed { books, history } = replayed;
        let mut authority = Authority::of_one_node(books);
        let ask = Reconciler::register(&settings, &history, nonce);
        let first = authority.free_workers(now, ask.node, ask.workers).ok_or(NotRegistered::NoWorkers)?;
        let mut journal = Journal::new(first + u16::from(settings.cores), authority.books().latest());
        let registered = authority.register(now, &mut journal, ask)?;
        let node = Reconciler::new(settings, history, journal, registered, gauges.clone(), now);
        Ok(Self { node, authority, answers: VecDeque::new(), gauges: gauges.clone() })
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

    /// Records from which the same follows.
    pub fn balance(&self) -> impl Iterator<Item = Record> {
        self.authority.books().opening().chain(self.node.history().opening())
    }
}
