//! A node whose accounts are kept elsewhere: its state machine, and the way to its authorities. A message may be lost on it, or
//! come late: reports are cumulative, and the next tick says all again.

use std::sync::mpsc;

use tokio::sync::{mpsc as far, oneshot};

use super::guards::operator::{Ask, Said};
use super::guards::stops::Stop;
use super::{Funding, Reconciler};
use crate::authority::books::Scope;
use crate::authority::message::{Answer, NotRegistered, Part, Register, Registered, Report};
use crate::authority::{Budget, NotRetired};
use crate::units::Now;

/// From a node to those who keep its accounts.
#[derive(Debug)]
pub enum Call {
    /// A process begins. It waits for the answer.
    Register(Register, mpsc::SyncSender<Result<Registered, RegisterError>>),
    /// The campaigns there are, whenever that changes.
    Budgets(Vec<Budget>),
    /// To the part it names.
    Report(Box<Report>),
    /// What an operator wants of a part; of all parts, if it names none.
    Operate(Option<Part>, Ask, oneshot::Sender<Said>),
}

/// Why a process got no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// The register says no.
    Refused(NotRegistered),
    /// The register cannot be reached, or does not let us in; with what to do.
    Unavailable(String),
}

/// The node's ends of the way. The other ends are on the `stores` thread.
#[derive(Debug)]
pub struct Wire {
    /// Bounded: what finds no room is lost, as on any wire.
    pub calls: far::Sender<Call>,
    /// Answers.
    pub answers: mpsc::Receiver<Answer>,
}

impl Wire {
    /// Asks for a number, and waits.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn register(&self, ask: Register) -> Result<Registered, RegisterError> {
        let gone = || RegisterError::Unavailable("the stores thread has ended; its log says why".into());
        let (reply, registered) = mpsc::sync_channel(1);
        self.calls.blocking_send(Call::Register(ask, reply)).map_err(|_| gone())?;
        registered.recv().map_err(|_| gone())?
    }
}

/// The node, and the way.
#[derive(Debug)]
pub struct Fleet {
    /// The node.
    pub node: Reconciler,
    wire: Wire,
    /// Calls that found no room.
    lost: u64,
    stops: Vec<Stop>,
}

impl Fleet {
    /// A node that was registered over this wire.
    pub fn new(node: Reconciler, wire: Wire) -> Self {
        Self { node, wire, lost: 0, stops: Vec::new() }
    }

    /// A new campaign list.
    pub fn campaigns(&mut self, now: Now, list: &[Funding]) {
        // Before the first report that wants something of them.
        self.call(Call::Budgets(list.iter().map(Funding::budget).collect()));
        self.node.campaigns(now, list);
    }

    /// Every [`crate::limits::TICK_NS`].
    pub fn tick(&mut self, now: Now) {
        self.node.tick(now);
        if std::mem::take(&mut self.lost) > 0 {
            log::warn!("the stores thread is behind: reports to authorities were dropped; the next ones say the same");
        }
    }

    /// Passes answers and reports on: after every turn.
    pub fn talk(&mut self, now: Now) {
        while let Ok(answer) = self.wire.answers.try_recv() {
            self.node.answer(now, &answer);
        }
        while let Some(report) = self.node.report(now) {
            self.call(Call::Report(Box::new(report)));
        }
        self.tell_stops();
    }

    /// What an operator asks for. What stands in this node's ledger is to be told when it is on disk; else those who keep the
    /// accounts answer.
    pub fn operate(
        &mut self,
        now: Now,
        ask: Ask,
        reply: oneshot::Sender<Said>,
    ) -> Option<(Said, oneshot::Sender<Said>)> {
        let part = match ask {
            Ask::Stop(scope) | Ask::Resume(scope) => match self.node.part_of_scope(scope) {
                Some(part) => Some(part),
                None => return Some((Said::Unknown, reply)),
            },
            Ask::Retire(node) if node == self.node.settings.node => {
                return Some((Said::Retired(Err(NotRetired::Alive)), reply));
            }
            Ask::Retire(_) => None,
            Ask::Stopped => return Some((Said::List(self.node.stops().collect()), reply)),
            Ask::Erase(user, wiped) => return Some((Said::Erased(self.node.erase(now, user, wiped)), reply)),
            Ask::Forget(user) => {
                self.node.forget_user(user);
                return Some((Said::Forgotten, reply));
            }
        };
        self.call(Call::Operate(part, ask, reply));
        // The cores hear of it soon, not with the next tick.
        self.node.hurry();
        None
    }

    /// Logs and counts what was stopped and resumed, as far as it was heard.
    fn tell_stops(&mut self) {
        if !self.node.stops().eq(self.stops.iter().copied()) {
            let now: Vec<Stop> = self.node.stops().collect();
            self.node.gauges().guards.tell(&self.stops, &now);
            self.stops = now;
        }
    }

    fn call(&mut self, call: Call) {
        self.lost += u64::from(self.wire.calls.try_send(call).is_err());
    }
}

impl Reconciler {
    /// Where the accounts of a campaign, or of an advertiser, stand; nobody's if it is not known here.
    fn part_of_scope(&self, scope: Scope) -> Option<Part> {
        let mut listed = self.listed();
        let known = match scope {
            Scope::Campaign(campaign) => listed.find(|known| known.campaign == campaign),
            Scope::Advertiser(advertiser) => listed.find(|known| known.advertiser == advertiser),
        };
        known.map(|known| self.part_of(known.advertiser))
    }
}
