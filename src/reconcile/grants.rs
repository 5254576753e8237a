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

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::holds::Holds;
use super::link::Turn;
use super::record::Record;
use super::silence::Silence;
use super::{Funding, Mode, Parts, Reconciler};
use crate::authority::message::{LeaseReport, Part, Why};
use crate::ring::message::Order;
use crate::snapshot::calendar::BudgetDay;
use crate::units::{CampaignId, CoreId, Day, LeaseId, Micros, Nanos, Now, ReservationId, Slot, UnixMillis};

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
    /// Where its accounts are.
    pub(super) part: Part,
    /// Whether it is in the campaign list.
    listed: bool,
    /// The budget day.
    pub(super) day: BudgetDay,
    /// The current day's lease; `None` until the first grant.
    pub(super) lease: Option<LeaseId>,
    /// What the account has to grant, as the authority said last; below zero after a budget was cut.
    pub(super) available: Micros,
    /// What the cores lack that is not on this node.
    wanted: Micros,
    /// The least of it that is of use.
    least: Micros,
    /// Reserved during the last tick, or what a paced campaign would have if it had taken part in every auction.
    demand: Micros,
    /// Why it may not bid.
    pub(super) stopped: Option<Why>,
    /// A guard of this node wants it stopped, and the authority has not said so yet.
    pub(super) stop: Option<Why>,
    /// As the authority said last: the day's budget, what is settled of it, what is expected of silent bids, on all nodes; and this
    /// node's share of the demand in millionths. Of no day but this: nothing is known before its first answer.
    pub(super) budget: Micros,
    pub(super) settled: Micros,
    pub(super) expected: Micros,
    pub(super) share: u32,
    pub(super) heard: bool,
    /// The most that may be exposed at full price, if the campaign has a tolerance.
    pub(super) exposure: Option<Micros>,
    /// The report whose answer said so.
    pub(super) told_in: u64,
    /// It is to be in the next report between ticks.
    asking: bool,
    /// The last one brought nothing: it is asked again at the tick.
    dry: bool,
}

impl Line {
    fn new(part: Part, funding: Funding, day: BudgetDay) -> Line {
        Line {
            funding,
            part,
            listed: true,
            day,
            lease: None,
            available: funding.daily,
            wanted: Micros::ZERO,
            least: Micros::ZERO,
            demand: Micros::ZERO,
            stopped: None,
            stop: None,
            budget: funding.daily,
            settled: Micros::ZERO,
            expected: Micros::ZERO,
            share: 1_000_000,
            heard: false,
            exposure: None,
            told_in: 0,
            asking: false,
            dry: false,
        }
    }

    /// It is known what the fleet has spent of its day.
    pub(super) fn is_known(&self) -> bool {
        self.listed && self.heard
    }

    /// There is something that only an answer can tell: what it may have, or whether it is still stopped.
    fn asks(&self) -> bool {
        self.wanted > Micros::ZERO || self.stopped.is_some()
    }

    /// Puts what it wants into a report.
    fn say(&self, report: &mut LeaseReport) {
        (report.wanted, report.least, report.demand, report.stop) = (self.wanted, self.least, self.demand, self.stop);
    }

    /// It may be granted credit.
    fn runs(&self) -> bool {
        self.listed && self.stopped.is_none()
    }
}

/// One of this process's leases: what the authority charges it for, and where the money is.
#[derive(Clone, Debug)]
pub(super) struct Own {
    /// Where it is accounted for.
    pub(super) part: Part,
    pub(super) slot: Slot,
    pub(super) campaign: CampaignId,
    pub(super) day: Day,
    pub(super) holds: Holds,
    /// As the authority said.
    pub(super) granted: Micros,
    /// Booked under it, here or elsewhere, as far as is known here.
    pub(super) settled: Micros,
    /// Billed beyond what was held, and not yet made up for by a grant or by what is free.
    pub(super) overdrawn: Micros,
    /// Silent bids should hold more than there was: nothing is lent meanwhile.
    pub(super) lacking: Micros,
    /// Given back.
    pub(super) released: Micros,
    /// Of that, what the last tick's report told.
    told: Micros,
    /// What was silent past H2: nobody else may have booked it, once the answer to a report with this number or a later one says so.
    pub(super) limbo: VecDeque<(u64, Micros)>,
    /// Reservations that other nodes booked under it.
    pub(super) elsewhere: HashSet<ReservationId>,
    /// The first report that said that nothing can be claimed under it any more.
    pub(super) done_in: Option<u64>,
}

impl Own {
    pub(super) fn new(part: Part, slot: Slot, campaign: CampaignId, day: Day, mode: Mode) -> Own {
        Own {
            part,
            slot,
            campaign,
            day,
            holds: Holds::new(mode),
            granted: Micros::ZERO,
            settled: Micros::ZERO,
            overdrawn: Micros::ZERO,
            lacking: Micros::ZERO,
            released: Micros::ZERO,
            told: Micros::ZERO,
            limbo: VecDeque::new(),
            elsewhere: HashSet::new(),
            done_in: None,
        }
    }

    /// What could still be billed under it.
    pub(super) fn charge(&self) -> Micros {
        self.granted.minus(self.settled).minus(self.released)
    }

    /// The authority charges what the node has.
    pub(super) fn adds_up(&self) -> bool {
        self.charge().plus(self.overdrawn) == self.holds.charge().plus(self.in_limbo())
    }

    /// Holds for its reservations what they have to by what is known now, as far as there is free money; and makes up for what
    /// was overdrawn.
    pub(super) fn revalue(&mut self, silence: &Silence, now: Nanos) {
        self.repay();
        self.lacking = self.holds.revalue(silence, now);
    }

    fn in_limbo(&self) -> Micros {
        self.limbo.iter().fold(Micros::ZERO, |sum, (_, amount)| sum.plus(*amount))
    }

    /// Frees what was silent up to and with `minute`, once the answer to report `number` is here: another node may have booked of
    /// it what this one has not heard of.
    pub(super) fn expire(&mut self, minute: u64, number: u64) {
        let before = self.holds.free;
        self.holds.expire(minute);
        let freed = self.holds.free.minus(before);
        if freed > Micros::ZERO {
            self.holds.free = before;
            self.limbo.push_back((number, freed));
        }
    }

    /// The answer to report `number` is here, with all that others booked until then.
    pub(super) fn heard_of_all(&mut self, number: u64) {
        while let Some((_, freed)) = self.limbo.pop_front_if(|(needs, _)| *needs <= number) {
            self.holds.free = self.holds.free.plus(freed);
        }
    }

    /// Money that was freed here is booked elsewhere: it comes from what has expired and is not free yet, or else from what is
    /// free; what is not there is overdrawn.
    pub(super) fn take_back(&mut self, amount: Micros) {
        let mut left = amount;
        for (_, freed) in &mut self.limbo {
            let taken = left.min(*freed).max(Micros::ZERO);
            (*freed, left) = (freed.minus(taken), left.minus(taken));
        }
        let taken = left.min(self.holds.free.max(Micros::ZERO));
        self.holds.free = self.holds.free.minus(taken);
        self.overdrawn = self.overdrawn.plus(left.minus(taken));
    }

    /// What is said of it, without what is wanted.
    fn report(&self, lease: LeaseId, silence: &Silence, now: Nanos) -> LeaseReport {
        LeaseReport {
            lease: Some(lease),
            granted: self.granted,
            released: self.released,
            exposed: self.holds.exposed(),
            expected: self.holds.expected(silence, now),
            ..LeaseReport::new(self.campaign, self.day)
        }
    }

    /// Nothing can be claimed under it any more.
    fn is_done(&self) -> bool {
        self.holds.out == Micros::ZERO
            && self.holds.is_idle()
            && self.limbo.is_empty()
            && self.holds.free <= Micros::ZERO
    }

    fn repay(&mut self) {
        let paid = self.overdrawn.min(self.holds.free.max(Micros::ZERO));
        self.holds.free = self.holds.free.minus(paid);
        self.overdrawn = self.overdrawn.minus(paid);
    }

    /// What it needs before anything may be lent on it.
    pub(super) fn needs(&self) -> Micros {
        self.overdrawn.plus(self.lacking).plus(Micros(self.holds.free.0.saturating_neg().max(0)))
    }
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
    /// A new campaign list. Campaigns that are no longer in it, or whose budget was cut, lose their sub-leases; what is
    /// reserved stays reserved.
    ///
    /// # Panics
    /// If a slot is given to another campaign than before.
    pub fn campaigns(&mut self, now: Now, list: &[Funding]) {
        self.lines.iter_mut().flatten().for_each(|line| line.listed = false);
        for funding in list {
            let at = funding.slot.0 as usize;
            if at >= self.lines.len() {
                self.lines.resize(at + 1, None);
                self.shares.resize((at + 1) * usize::from(self.settings.cores), Share::default());
            }
            let known = self.lines[at];
            assert!(
                known.is_none_or(|known| known.funding.campaign == funding.campaign),
                "slot {at} was given to two campaigns"
            );
            self.slots.insert(funding.campaign, funding.slot);
            let cut = known.is_some_and(|known| funding.is_less_than(&known.funding));
            let part = self.part_of(funding.advertiser);
            if let Some(known) = self.part_of_campaign(funding.campaign).filter(|known| *known != part) {
                log::error!(
                    "campaign {}: its accounts are with {known}, and it cannot move to advertiser {}: it does not bid; give it a \
                     new number",
                    funding.campaign.0,
                    funding.advertiser.0
                );
                continue;
            }
            if part != Part::All && self.history.owner(funding.campaign).is_none() {
                let &Funding { campaign, advertiser, .. } = funding;
                self.append(now, Record::Owned { campaign, advertiser });
            }
            self.links.begin(part);
            let day = self.budget_day(funding.slot, now.wall);
            self.lines[at] = Some(match known {
                Some(known) => Line { funding: *funding, listed: true, ..known },
                None => Line::new(part, *funding, day),
            });
            self.heed(funding.slot);
            self.day_ends = self.day_ends.min(self.lines[at].map_or(day, |line| line.day).end);
            if cut {
                self.revoke_all(funding.slot);
            }
        }
        for slot in self.slots() {
            if self.lines[slot.0 as usize].is_some_and(|line| !line.listed) {
                self.revoke_all(slot);
            }
        }
        self.grant_by_demand(now);
    }

    /// Budget days have changed: new leases, under new ids. A grant under a new id sends the old credit back; a core that
    /// gets none is asked for it.
    pub(super) fn begin_days(&mut self, now: Now) {
        self.day_ends = UnixMillis(u64::MAX);
        for slot in self.slots() {
            let Some(line) = self.lines[slot.0 as usize] else { continue };
            if now.wall >= line.day.end {
                let day = self.budget_day(slot, now.wall);
                if day.day == line.day.day {
                    // The zone was changed, and the day goes on.
                    self.lines[slot.0 as usize] = Some(Line { day, ..line });
                    self.day_ends = self.day_ends.min(day.end);
                    continue;
                }
                let Line { listed, stopped, stop, share, .. } = line;
                self.lines[slot.0 as usize] =
                    Some(Line { listed, stopped, stop, share, ..Line::new(line.part, line.funding, day) });
                self.gauges.set_spend(slot, Micros::ZERO);
                for core in self.cores() {
                    self.revoke(slot, core);
                    *self.share(slot, core) = Share::default();
                }
            }
            self.day_ends = self.day_ends.min(self.lines[slot.0 as usize].map_or(line.day, |line| line.day).end);
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
            let Some(line) = self.lines[slot.0 as usize].filter(Line::runs) else { continue };
            let first = self.first_target(&line);
            let mut starved = None;
            let mut demand = Micros::ZERO;
            for core in self.cores_by_want(slot) {
                let share = self.share(slot, core);
                share.idle = if share.used == Micros::ZERO { share.idle.saturating_add(1) } else { 0 };
                demand = demand.plus(share.used);
                let twice = Micros(share.used.0.saturating_mul(2));
                share.target = first.max(twice).max(Micros(share.target.0 / 2));
                share.used = Micros::ZERO;
                share.filled = false;
                if !self.fill(now, slot, core) {
                    starved = starved.or(Some(core));
                }
            }
            let demand = self.paced_demand(slot).unwrap_or(demand);
            if let Some(line) = &mut self.lines[slot.0 as usize] {
                line.demand = demand;
            }
            self.mend(slot);
            if let Some(starved) = starved {
                // There may be money again: the next report asks.
                let price = line.funding.price.per_impression();
                let lacks = price.minus(self.share(slot, starved).out).max(Micros(1));
                if let Some(line) = self.lines[slot.0 as usize].as_mut().filter(|line| line.wanted == Micros::ZERO) {
                    (line.wanted, line.least) = (lacks, lacks);
                }
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

    /// Brings a sub-lease up to its target, as far as the money on this node goes; the rest is asked for. Returns whether the
    /// core can bid, now or with what is asked for.
    fn fill(&mut self, now: Now, slot: Slot, core: CoreId) -> bool {
        let Some(line) = self.lines[slot.0 as usize].filter(Line::runs) else { return true };
        let share = *self.share(slot, core);
        let price = line.funding.price.per_impression();
        if self.links.has_lapsed(line.part)
            || share.revoked
            || (!share.is_low() && share.out >= price.max(share.wanted))
        {
            return true;
        }
        let own = line.lease.and_then(|lease| self.owns.get(&lease));
        if own.is_some_and(|own| own.needs() > Micros::ZERO) {
            return true;
        }
        let (free, out) = own.map_or_else(Default::default, |own| (own.holds.free, own.holds.out));
        let left = Micros(line.available.0.saturating_add(free.0).max(0));
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
        let exposed = own.map_or(Micros::ZERO, |own| own.holds.exposed());
        let room = line.exposure.map_or(credit, |most| Micros(most.0.saturating_sub(exposed.0).max(0)));
        if room < price.minus(share.out).min(credit) {
            // Too much is exposed: there may be room again when the next report is answered.
            return false;
        }
        let credit = credit.min(room);
        let here = credit.min(free.max(Micros::ZERO));
        if here < credit {
            // A bid's worth at least, or what is lacking for one: the last of a budget is not asked for in ever smaller parts.
            let lacks = bid.minus(share.out).minus(here);
            let least = if lacks > Micros::ZERO { lacks } else { price };
            self.want(slot, credit.minus(here).max(least), least);
        }
        if share.out.plus(here) < price || here == Micros::ZERO {
            return true;
        }
        let lease = line.lease.expect("free money without a lease");
        let own = self.owns.get_mut(&lease).expect("a lease without its money");
        own.holds.free = own.holds.free.minus(here);
        own.holds.out = own.holds.out.plus(here);
        let out = share.out.plus(here);
        let share = self.share(slot, core);
        (share.out, share.held, share.filled) = (out, true, true);
        share.idle = 0;
        self.gauges.grants.add(1);
        let ends = now.boot.after(line.day.end.0.saturating_sub(now.wall.0) * Nanos::MS);
        self.out[usize::from(core.0)].push_back(Order::Grant { slot, lease, credit: here, ends });
        can_bid(out) || here < credit
    }

    /// Fills up every core's sub-lease of a campaign, once there may be money for it.
    pub(super) fn fill_all(&mut self, now: Now, slot: Slot) {
        if let Some(line) = &mut self.lines[slot.0 as usize] {
            let free = line.lease.and_then(|lease| self.owns.get(&lease)).map_or(Micros::ZERO, |own| own.holds.free);
            line.dry = free <= Micros::ZERO;
        }
        if self.may_grant(now) {
            for core in self.cores_by_want(slot) {
                self.fill(now, slot, core);
            }
        }
    }

    /// Asks the authority for credit, of which less than `least` is of no use.
    fn want(&mut self, slot: Slot, credit: Micros, least: Micros) {
        let Some(line) = &mut self.lines[slot.0 as usize] else { return };
        let least = least.max(Micros(1));
        line.least = if line.wanted == Micros::ZERO { least } else { line.least.min(least) };
        line.wanted = line.wanted.plus(credit);
        if !line.dry && !std::mem::replace(&mut line.asking, true) {
            self.links.want(line.part, slot);
        }
    }

    /// Silent bids should hold, or bills came to, more than there was: the lease grows, or the cores give their credit back.
    fn mend(&mut self, slot: Slot) {
        let Some(line) = self.lines[slot.0 as usize] else { return };
        let Some(own) = line.lease.and_then(|lease| self.owns.get(&lease)) else { return };
        let needs = own.needs();
        if needs > Micros::ZERO {
            if needs > line.available {
                self.revoke_all(slot);
            }
            self.want(slot, needs, Micros(1));
        }
    }

    /// Values all leases anew.
    pub(super) fn revalue(&mut self, now: Nanos) {
        for own in self.owns.values_mut() {
            if let Some(line) = self.lines[own.slot.0 as usize] {
                own.holds.mode = line.funding.mode;
            }
            own.revalue(&self.silence, now);
        }
    }

    /// What the reports of ticks say: of each lease and campaign of which there is something to say, or of all.
    pub(super) fn leases_at(&mut self, now: Nanos, turns: &BTreeMap<Part, Turn>) -> BTreeMap<Part, Vec<LeaseReport>> {
        let told = turns.iter().filter(|(_, turn)| turn.tick || turn.full);
        let mut reports: BTreeMap<_, _> = told.map(|(part, turn)| (*part, (*turn, Vec::new()))).collect();
        for (&lease, own) in &mut self.owns {
            let Some((turn, reports)) = reports.get_mut(&own.part) else { continue };
            let current = self.lines[own.slot.0 as usize].filter(|line| line.lease == Some(lease));
            let done = current.is_none() && own.is_done();
            if done {
                own.done_in.get_or_insert(turn.number);
            }
            let mut report = LeaseReport { done, ..own.report(lease, &self.silence, now) };
            let said = std::mem::replace(&mut own.told, own.released);
            let mut matters =
                turn.full || done || said != own.released || !own.holds.is_idle() || own.needs() > Micros::ZERO;
            if let Some(line) = current {
                // One that is stopped asks whether it still is.
                line.say(&mut report);
                matters |= line.asks() || line.stop.is_some() || line.demand > Micros::ZERO;
            }
            if matters {
                reports.push(report);
            }
        }
        for line in self.lines.iter_mut().flatten() {
            let Some((_, reports)) = reports.get_mut(&line.part) else { continue };
            if line.lease.is_none() && line.asks() {
                let mut report = LeaseReport::new(line.funding.campaign, line.day.day);
                line.say(&mut report);
                reports.push(report);
            }
            (line.wanted, line.asking, line.dry) = (Micros::ZERO, false, false);
        }
        let mut reports: BTreeMap<_, _> = reports.into_iter().map(|(part, (_, reports))| (part, reports)).collect();
        reports.values_mut().for_each(|reports| self.number_leases(reports));
        reports
    }

    /// What a report between ticks says: of campaigns that want more.
    pub(super) fn leases_of(&mut self, now: Nanos, slots: &[Slot]) -> Vec<LeaseReport> {
        let mut reports = Vec::new();
        for slot in slots {
            let Some(line) = &mut self.lines[slot.0 as usize] else { continue };
            line.asking = false;
            let own = line.lease.and_then(|lease| Some((lease, self.owns.get(&lease)?)));
            let mut report = match own {
                Some((lease, own)) => own.report(lease, &self.silence, now),
                None => LeaseReport::new(line.funding.campaign, line.day.day),
            };
            line.say(&mut report);
            line.wanted = Micros::ZERO;
            reports.push(report);
        }
        self.number_leases(&mut reports);
        reports
    }

    /// Where nobody else numbers leases, those that may come of a report are numbered here.
    fn number_leases(&mut self, reports: &mut [LeaseReport]) {
        if self.settings.parts == Parts::Advertisers {
            for report in reports.iter_mut().filter(|report| report.wanted > Micros::ZERO) {
                report.fresh = Some(self.links.draw(self.registered.incarnation));
            }
        }
    }

    /// Takes a campaign's credit back from every core.
    pub(super) fn revoke_all(&mut self, slot: Slot) {
        self.cores().for_each(|core| self.revoke(slot, core));
    }

    /// Takes every campaign's credit back.
    pub(super) fn revoke_everything(&mut self) {
        self.slots().for_each(|slot| self.revoke_all(slot));
    }

    fn revoke(&mut self, slot: Slot, core: CoreId) {
        let share = self.share(slot, core);
        if share.held && !share.revoked {
            share.revoked = true;
            self.out[usize::from(core.0)].push_back(Order::Revoke { slot });
        }
    }

    /// What a core's sub-lease aims at before its demand is known.
    fn first_target(&self, line: &Line) -> Micros {
        let price = line.funding.price.per_impression();
        let part = line.available.0.max(0) / (FIRST_PART * i64::from(self.settings.cores));
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

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.lines.len() as u32).map(Slot)
    }

    fn cores(&self) -> impl Iterator<Item = CoreId> + use<> {
        (0..self.settings.cores).map(CoreId)
    }
}

impl Funding {
    fn is_less_than(&self, before: &Funding) -> bool {
        let total = |funding: &Funding| funding.total.unwrap_or(super::record::UNLIMITED);
        self.daily < before.daily || total(self) < total(before)
    }
}
