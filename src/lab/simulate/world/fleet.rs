//! The world when the accounts are on a server: how nodes reach it, and what goes wrong with it.

use super::super::authority::check_answer;
use super::super::authority::shards::{At, Past, Shards};
use super::super::canary;
use super::super::faults::Fault;
use super::super::time::{MINUTE, SECOND, Time};
use super::{Letter, Machine, Step, World};
use crate::authority::message::{Part, Report};
use crate::limits;
use crate::store::valkey::lease::{Envelope, Lost};
use crate::units::{AdvertiserId, Epoch};

/// How old the register's checkpoint of a shard is at most.
const CHECKPOINT: Time = MINUTE;
/// An authority that crashes was a process that ended, rather than one that was not reached, so often.
const ENDED: f64 = 0.5;

impl World {
    /// The shards, if the accounts are there, and what else is needed to ask them something.
    fn shards(&mut self) -> Option<(&mut Shards, At<'_>, &mut crate::market::random::Random)> {
        let World { shards, authority, checker, machines, now, .. } = self;
        let at = At { now: *now, clock: authority.clock.read(*now).wall, checker };
        Some((shards.as_mut()?, at, machines))
    }

    /// What a node says leaves for the shard that it knows of, or finds; nothing leaves if it finds none.
    pub(super) fn address(&mut self, node: usize, report: &Report) -> Option<Envelope> {
        if self.nodes[node].cut_off_until > self.now {
            return None;
        }
        let (shards, mut at, random) = self.shards()?;
        shards.meant(&mut at, random, report)
    }

    /// A message arrives at the server, or at the register.
    pub(super) fn serve(&mut self, node: usize, letter: Letter) {
        let wall = self.nodes[node].now(self.now).wall;
        let Some((shards, mut at, _)) = self.shards() else { return };
        let reply = match letter {
            Letter::Register(ask) => Some(Letter::Registered(ask.nonce, shards.register(wall, &ask))),
            Letter::Call(report, envelope) => shards.report(&mut at, &envelope, &report),
            _ => None,
        };
        if let Some(Letter::Answer(answer)) = &reply {
            check_answer(at.now, answer, at.checker);
        }
        if let Some(reply) = reply {
            self.send(false, node, reply);
        }
    }

    /// A node hears that a shard is not the one that it meant.
    pub(super) fn misplaced(&mut self, node: usize, advertiser: AdvertiserId, lost: Epoch, why: Lost) {
        let Some(machine) = &self.nodes[node].machine else { return };
        let incarnation = machine.registered().incarnation;
        if let Some((shards, mut at, random)) = self.shards() {
            shards.lost(&mut at, random, incarnation, advertiser, lost, why);
        }
    }

    /// A node that reaches the register says that it lives.
    pub(super) fn beat(&mut self, node: usize) {
        let it = &self.nodes[node];
        let wall = it.now(self.now).wall;
        let Some(machine) = it.machine.as_ref().filter(|_| it.cut_off_until <= self.now) else { return };
        let incarnation = machine.registered().incarnation;
        if let Some((shards, ..)) = self.shards() {
            shards.alive(wall, incarnation);
        }
    }

    /// Canary 4, every tick: in the name of those that are silent.
    pub(super) fn forge(&mut self) {
        let silent = self.nodes.iter().filter(|node| node.heard_at + canary::SILENCE < self.now);
        let silent: Vec<_> = silent.map(|node| node.id).collect();
        let Some((shards, mut at, _)) = self.shards() else { return };
        for node in silent {
            for advertiser in shards.advertisers() {
                let part = Part::Advertiser(advertiser);
                let Some((shadow, envelope)) = shards.shadow(part).zip(shards.standing(advertiser)) else { continue };
                let of_node = shadow.books().bidders().filter(|(_, bidder)| bidder.node == node);
                let last = of_node.map(|(incarnation, _)| incarnation).last();
                if let Some(forged) = last.and_then(|incarnation| canary::all_free(shadow, incarnation)) {
                    // It must not look like the last one that there can be.
                    let number = at.now;
                    shards.report(&mut at, &envelope, &Report { part, number, ..forged });
                }
            }
        }
    }

    /// The server is not reached for so long.
    pub(super) fn shut(&mut self, lasts: Time) {
        self.authority.life += 1;
        if let Some(shards) = &mut self.shards {
            shards.up = false;
        }
        self.queue.plan(self.now + lasts, Step::Restart(Machine::Authority, false));
    }

    /// It is reached again, maybe as another copy.
    pub(super) fn open(&mut self, is_another: bool) {
        let anew = !is_another && self.machines.chance(ENDED);
        if let Some(shards) = &mut self.shards {
            shards.restart(anew);
        }
        self.queue.plan(self.now + limits::TICK_NS, Step::AuthorityTick(self.authority.life));
    }

    /// From now on nothing that is said is copied: what is copied takes over later. `false` if it cannot be now.
    pub(super) fn fork(&mut self, fault: Fault, dice: u64, lasts: Time) -> bool {
        let Some((shards, mut at, _)) = self.shards() else { return false };
        let (past, later) = match fault {
            Fault::Wipe => (shards.checkpoint(&mut at), dice % CHECKPOINT),
            _ => (Some(shards.copy(at.checker)), dice % super::super::authority::LOST_MOST),
        };
        let Some(past) = past else { return false };
        self.queue.plan(self.now + later, Step::TakeOver(fault, Box::new(past), lasts));
        true
    }

    /// What was copied takes over, unless another copy has.
    pub(super) fn take_over(&mut self, fault: Fault, past: Past, lasts: Time) {
        let Some((shards, mut at, _)) = self.shards() else { return };
        if shards.fall_back(&mut at, past) {
            self.count(fault);
            self.authority.life += 1;
            self.queue.plan(self.now + lasts, Step::Restart(Machine::Authority, true));
        }
    }

    /// An operator gives a node up: again until all have heard of it.
    pub(super) fn give_up(&mut self, node: usize) {
        let id = self.nodes[node].id;
        let Some((shards, mut at, _)) = self.shards() else { return };
        let (all, new) = shards.retire(&mut at, id);
        if new {
            self.checker.given_up(self.now, id.0);
        }
        if !all {
            self.queue.plan(self.now + 30 * SECOND, Step::Retire(node));
        }
    }
}
