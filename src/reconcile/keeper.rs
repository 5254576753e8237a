//! A node and who keeps its accounts: itself, or others.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::fleet::{Fleet, RegisterError, Wire};
use super::gauges::Gauges;
use super::guards::operator::{Ask, Said};
use super::history::Replayed;
use super::solo::{Solo, Start};
use super::{Funding, Reconciler, Settings};
use crate::store::journal::{Batch, Journal};
use crate::units::Now;

/// Either.
#[derive(Debug)]
pub enum Keeper {
    /// The embedded authority.
    Solo(Box<Solo>),
    /// One for each advertiser, elsewhere.
    Fleet(Box<Fleet>),
}

impl Keeper {
    /// Goes on from a ledger, as the next process of the node. If a segment is to be started first, its opening balance comes
    /// with it.
    ///
    /// # Errors
    /// The process gets no number.
    pub fn new(
        settings: Settings,
        replayed: Replayed,
        start: Start,
        wire: Option<Wire>,
        gauges: &Arc<Gauges>,
        now: Now,
    ) -> Result<(Self, Option<Batch>), RegisterError> {
        let Some(wire) = wire else {
            let (solo, opening) = Solo::new(settings, replayed, start, gauges, now).map_err(RegisterError::Refused)?;
            return Ok((Self::Solo(Box::new(solo)), opening));
        };
        if replayed.books.lives().next().is_some() {
            return Err(RegisterError::Unavailable(
                "this data directory holds accounts of its own, from before [stores] was configured: what they say is spent would \
                 not count; start with an empty one, the next budget day"
                    .into(),
            ));
        }
        let history = replayed.history;
        let registered = wire.register(Reconciler::register(&settings, &history, start.nonce))?;
        let mut journal = Journal::new(registered.first_worker + u16::from(settings.cores), start.ids_from);
        let opening = start.opens.then(|| journal.opening(now, history.opening()));
        let node = Reconciler::new(settings, history, journal, registered, gauges.clone(), now);
        Ok((Self::Fleet(Box::new(Fleet::new(node, wire))), opening))
    }

    /// The node.
    pub fn node(&self) -> &Reconciler {
        match self {
            Self::Solo(solo) => &solo.node,
            Self::Fleet(fleet) => &fleet.node,
        }
    }

    /// The node.
    pub fn node_mut(&mut self) -> &mut Reconciler {
        match self {
            Self::Solo(solo) => &mut solo.node,
            Self::Fleet(fleet) => &mut fleet.node,
        }
    }

    /// A new campaign list.
    pub fn campaigns(&mut self, now: Now, list: &[Funding]) {
        match self {
            Self::Solo(solo) => solo.campaigns(now, list),
            Self::Fleet(fleet) => fleet.campaigns(now, list),
        }
    }

    /// Every [`crate::limits::TICK_NS`].
    pub fn tick(&mut self, now: Now) {
        match self {
            Self::Solo(solo) => solo.tick(now),
            Self::Fleet(fleet) => fleet.tick(now),
        }
    }

    /// What an operator asks for. What is returned is to be told when all that is in the journal is on disk; else the answer
    /// comes from elsewhere.
    pub fn operate(
        &mut self,
        now: Now,
        ask: Ask,
        reply: oneshot::Sender<Said>,
    ) -> Option<(Said, oneshot::Sender<Said>)> {
        match self {
            Self::Solo(solo) => Some((solo.operate(now, ask), reply)),
            Self::Fleet(fleet) => fleet.operate(now, ask, reply),
        }
    }

    /// Passes reports and answers on: after every turn.
    pub fn talk(&mut self, now: Now) {
        match self {
            Self::Solo(solo) => solo.talk(now),
            Self::Fleet(fleet) => fleet.talk(now),
        }
    }

    /// So much of the journal is on disk.
    pub fn durable(&mut self, now: Now, upto: u64) {
        match self {
            Self::Solo(solo) => solo.durable(now, upto),
            Self::Fleet(fleet) => {
                fleet.node.durable(upto);
                fleet.talk(now);
            }
        }
    }

    /// The opening balance of a new segment, as all is now.
    pub fn opening(&mut self, now: Now) -> Batch {
        match self {
            Self::Solo(solo) => solo.opening(now),
            Self::Fleet(fleet) => fleet.node.opening(now),
        }
    }
}
