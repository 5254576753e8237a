//! Grants: how much of a campaign's budget stands on which core.
//!
//! A sub-lease follows demand. It aims at a target; when less than half of it is left, it is filled up at once, and if
//! that happens again before the next tick, the target doubles. A core that spends little comes down again. What is
//! granted at a time is at most a share of what is left, but always enough for one bid, so that the last of a budget is
//! spread thin and still spent. Credit that stands idle on one core while the campaign has none left is taken back.
//!
//! What one bid costs is not known here: a screen of many viewers can cost thousands of impressions. A core says when a
//! bid was beyond its credit; from then on, until the day ends or its credit is taken back, that is what one bid costs on
//! this core. What the whole budget cannot pay is not granted towards.

use super::holds::Holds;
use super::record::{Record, UNLIMITED};
use super::{Funding, Reconciler};
use crate::ring::message::Order;
use crate::units::{CoreId, LeaseId, Micros, Nanos, Now, Slot};

/// Bids a sub-lease aims at before anything is known of its demand: the fewest and the most.
const FIRST_BIDS: (i64, i64) = (8, 4096);
/// Of what a campaign has left, each core's first target is this part.
const FIRST_PART: i64 = 256;
/// Ticks without a reservation or a grant after which credit may be taken back.
const IDLE_TICKS: u8 = 2;

/// A campaign on this node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) funding: Funding,
    /// Whether it is in the campaign list.
    listed: bool,
    /// The current day's lease; `None` until the first grant.
    lease: Option<LeaseId>,
}

/// A campaign on one core, under the current day's lease.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    out: Micros,
    target: Micros,
    /// The dearest single bid that the core found beyond its credit.
    wanted: Micros,
    /// Reserved since the last tick.
    used: Micros,
    /// Ticks since anything was reserved or granted.
    idle: u8,
    /// Filled up since the last tick.
    filled: bool,
    /// Waits in the list of those that ran low.
    low: bool,
    /// The core was granted the lease and has not given it back, though nothing may be left of it.
    held: bool,
    /// A revocation is on its way; until it comes back nothing is granted.
    revoked: bool,
}

impl Share {
    /// Less than half of what it aims at is left.
    fn is_low(&self) -> bool {
        self.out.0 < self.target.0 / 2
    }
}

impl Reconciler {
    /// A new campaign list. Campaigns that are no longer in it, or whose budget is now below what is committed, lose
    /// their sub-leases; what is reserved stays reserved.
    ///
    /// # Panics
    /// If a slot is given to another campaign than before.
    pub fn campaigns(&mut self, now: Now, list: &[Funding]) {
        if now.wall.day() > self.day {
            self.begin_day(now);
        }
        self.lines.iter_mut().flatten().for_each(|line| line.listed = false);
        for funding in list {
            let at = funding.slot.0 as usize;
            if at >= self.lines.len() {
                self.lines.resize(at + 1, None);
                self.shares.resize((at + 1) * usize::from(self.settings.cores), Share::default());
            }
            let known = self.lines[at].map(|line| line.funding);
            assert!(
                known.is_none_or(|known| known.campaign == funding.campaign),
                "slot {at} was given to two campaigns"
            );
            let lease = self.lines[at].and_then(|line| line.lease);
            self.lines[at] = Some(Line { funding: *funding, listed: true, lease });
            self.fund(now, funding);
        }
        for slot in self.slots() {
            let Some(line) = self.lines[slot.0 as usize] else { continue };
            let account = self.books.day(line.funding.campaign, self.day);
            let life = self.books.life(line.funding.campaign).map(|life| life.account).unwrap_or_default();
            if !line.listed || account.committed() > account.budget || life.committed() > life.budget {
                self.cores().for_each(|core| self.revoke(slot, core));
            }
        }
        self.grant_by_demand(now);
    }

    /// Makes the campaign's budget of today known to the books, if it is not as they have it.
    fn fund(&mut self, now: Now, funding: &Funding) {
        let total = funding.total.unwrap_or(UNLIMITED);
        let known = self.books.has_day(funding.campaign, self.day)
            && self.books.day(funding.campaign, self.day).budget == funding.daily
            && self
                .books
                .life(funding.campaign)
                .is_some_and(|life| (life.advertiser, life.account.budget) == (funding.advertiser, total));
        if !known {
            let &Funding { campaign, advertiser, daily, .. } = funding;
            self.append(now, Record::Funded { campaign, advertiser, day: self.day, daily, total });
        }
        self.gauges.set_spend(funding.slot, self.books.day(funding.campaign, self.day).settled);
    }

    /// The budget day has changed: new leases, under new ids. A grant under a new id sends the old credit back; a core
    /// that gets none is asked for it.
    pub(super) fn begin_day(&mut self, now: Now) {
        self.day = now.wall.day();
        for slot in self.slots() {
            let Some(line) = &mut self.lines[slot.0 as usize] else { continue };
            line.lease = None;
            if line.listed {
                let funding = line.funding;
                self.fund(now, &funding);
            }
            for core in self.cores() {
                self.revoke(slot, core);
                *self.share(slot, core) = Share::default();
            }
        }
        self.grant_by_demand(now);
    }

    /// Fills up the sub-leases that ran low since the last call.
    pub(super) fn grant_where_low(&mut self, now: Now) {
        for (slot, core) in std::mem::take(&mut self.low) {
            let most = self.lines[slot.0 as usize].map_or(Micros::ZERO, |line| line.funding.daily);
            let share = self.share(slot, core);
            share.low = false;
            if share.filled && share.is_low() {
                share.target = Micros(share.target.0.saturating_mul(2)).min(most.max(share.target));
            }
            self.fill(now, slot, core);
        }
    }

    /// Once a tick, for every campaign and core.
    pub(super) fn grant_by_demand(&mut self, now: Now) {
        if !self.may_grant(now) {
            return;
        }
        for slot in self.slots() {
            let Some(line) = self.lines[slot.0 as usize].filter(|line| line.listed) else { continue };
            let first = self.first_target(&line);
            let mut starved = None;
            for core in self.cores_by_want(slot) {
                let share = self.share(slot, core);
                share.idle = if share.used == Micros::ZERO { share.idle.saturating_add(1) } else { 0 };
                let demand = Micros(share.used.0.saturating_mul(2));
                share.target = first.max(demand).max(Micros(share.target.0 / 2));
                share.used = Micros::ZERO;
                share.filled = false;
                if !self.fill(now, slot, core) {
                    starved = starved.or(Some(core));
                }
            }
            if let Some(starved) = starved {
                for core in self.cores().filter(|core| *core != starved) {
                    if self.share(slot, core).idle > IDLE_TICKS {
                        self.revoke(slot, core);
                    }
                }
            }
        }
    }

    /// A reservation left a core's sub-lease.
    pub(super) fn spent(&mut self, slot: Slot, core: CoreId, lease: LeaseId, price: Micros) {
        if self.current(slot) != Some(lease) {
            return;
        }
        let share = self.share(slot, core);
        share.out = share.out.minus(price);
        share.used = share.used.plus(price);
        assert!(share.out >= Micros::ZERO, "a core spent what another was granted");
        if share.is_low() || share.out < share.wanted {
            self.refill(slot, core);
        }
    }

    /// A core could not pay `wanted` for one bid, with credit that is alive.
    pub(super) fn short(&mut self, slot: Slot, core: CoreId, lease: LeaseId, wanted: Micros) {
        if self.current(slot) == Some(lease) {
            let share = self.share(slot, core);
            share.wanted = share.wanted.max(wanted);
            self.refill(slot, core);
        }
    }

    /// Has a sub-lease filled up at the next [`Reconciler::poll`].
    fn refill(&mut self, slot: Slot, core: CoreId) {
        if !std::mem::replace(&mut self.share(slot, core).low, true) {
            self.low.push((slot, core));
        }
    }

    /// A core gave its sub-lease back.
    pub(super) fn returned(&mut self, slot: Slot, core: CoreId, lease: LeaseId, credit: Micros) {
        if self.current(slot) == Some(lease) {
            let share = self.share(slot, core);
            share.out = share.out.minus(credit);
            (share.held, share.revoked) = (share.out > Micros::ZERO, false);
            // The core has forgotten what it was short of: it will say so again.
            share.wanted = Micros::ZERO;
        }
    }

    /// Brings a sub-lease up to its target, as far as the budget goes. Returns whether the core can bid.
    fn fill(&mut self, now: Now, slot: Slot, core: CoreId) -> bool {
        let Some(line) = self.lines[slot.0 as usize].filter(|line| line.listed) else { return true };
        let share = *self.share(slot, core);
        let price = line.funding.price.per_impression();
        if share.revoked || (!share.is_low() && share.out >= price.max(share.wanted)) {
            return true;
        }
        let (free, out) =
            line.lease.map(|lease| &self.holds[&lease]).map_or_else(Default::default, |holds| (holds.free, holds.out));
        let left = self.books.grantable(line.funding.campaign, self.day, free);
        let within_reach = share.wanted <= share.out.plus(left);
        let bid = if within_reach { price.max(share.wanted) } else { price };
        // What it lacks may stand on other cores.
        let can_bid = |here: Micros| here >= bid && (within_reach || share.wanted > out.plus(left));
        if !share.is_low() && share.out >= bid {
            return can_bid(share.out);
        }
        // A second bid's worth, so that small bids in between do not each call for a grant.
        let aim = if share.out < bid { share.target.max(Micros(bid.0.saturating_mul(2))) } else { share.target };
        let part = Micros(left.0 / (2 * i64::from(self.settings.cores))).max(bid.minus(share.out));
        let credit = aim.minus(share.out).min(part).min(left);
        if share.out.plus(credit) < price || credit <= Micros::ZERO {
            return can_bid(share.out);
        }
        let lease = line.lease.unwrap_or_else(|| self.new_lease(slot));
        let holds = self.holds.get_mut(&lease).expect("a lease without its holds");
        let reused = credit.min(holds.free);
        holds.free = holds.free.minus(reused);
        holds.out = holds.out.plus(credit);
        if credit > reused {
            let granted = self.books.lease(lease).map_or(Micros::ZERO, |lease| lease.granted);
            let total = granted.plus(credit.minus(reused));
            let &Funding { campaign, .. } = &line.funding;
            let incarnation = self.incarnation;
            self.append(now, Record::Granted { lease, campaign, incarnation, day: self.day, total });
        }
        let here = share.out.plus(credit);
        let share = self.share(slot, core);
        (share.out, share.held, share.filled) = (here, true, true);
        share.idle = 0;
        self.gauges.grants.add(1);
        let ends = now.boot.after(self.day.end().0.saturating_sub(now.wall.0) * Nanos::MS);
        self.hold(core, Order::Grant { slot, lease, credit, ends });
        self.check_lease(lease);
        can_bid(here)
    }

    fn new_lease(&mut self, slot: Slot) -> LeaseId {
        self.serial = self.serial.checked_add(1).expect("an incarnation with 2^32 leases");
        let lease = LeaseId(u64::from(self.incarnation.0) << 32 | u64::from(self.serial));
        self.holds.insert(lease, Holds::new(slot));
        if let Some(line) = &mut self.lines[slot.0 as usize] {
            line.lease = Some(lease);
        }
        lease
    }

    fn revoke(&mut self, slot: Slot, core: CoreId) {
        let share = self.share(slot, core);
        if share.held && !share.revoked {
            share.revoked = true;
            self.hold(core, Order::Revoke { slot });
        }
    }

    /// What a core's sub-lease aims at before its demand is known.
    fn first_target(&self, line: &Line) -> Micros {
        let price = line.funding.price.per_impression();
        let left = self.books.available(line.funding.campaign, self.day);
        let part = left.0 / (FIRST_PART * i64::from(self.settings.cores));
        let (fewest, most) = FIRST_BIDS;
        Micros(part.clamp(price.0.saturating_mul(fewest), price.0.saturating_mul(most)))
    }

    fn current(&self, slot: Slot) -> Option<LeaseId> {
        self.lines.get(slot.0 as usize).copied().flatten().and_then(|line| line.lease)
    }

    fn share(&mut self, slot: Slot, core: CoreId) -> &mut Share {
        &mut self.shares[slot.0 as usize * usize::from(self.settings.cores) + usize::from(core.0)]
    }

    /// The cores, from the first on that is short of a bid: it is served before others share what there is.
    fn cores_by_want(&mut self, slot: Slot) -> impl Iterator<Item = CoreId> + use<> {
        let first = self.cores().find(|core| {
            let share = self.share(slot, *core);
            share.out < share.wanted
        });
        let (first, cores) = (first.map_or(0, |core| core.0), self.settings.cores);
        (first..cores).chain(0..first).map(CoreId)
    }

    fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.lines.len() as u32).map(Slot)
    }

    fn cores(&self) -> impl Iterator<Item = CoreId> + use<> {
        (0..self.settings.cores).map(CoreId)
    }
}
