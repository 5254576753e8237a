//! Every bid, bill and answer, as the market knows them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashSet};

use super::{Bid, Map};

/// What became of a bid, as far as money goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It could be billed, at its maximum price.
    Open,
    /// A bill of it is on a disk or acknowledged.
    Spent,
    /// A loss that is final was heard.
    Lost,
    /// Past H2 by every clock.
    Past,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    lease: u64,
    day: u32,
    most: i64,
    expires: u64,
    bill: Option<i64>,
    state: State,
    /// It stands in the sum of what its lease owes the authority.
    unbooked: bool,
    /// An exchange was told that it is safe.
    owed: bool,
    /// An exchange was told that it came too late.
    late: bool,
}

/// What a campaign's day stands at. Micros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// The budget, or what was committed when it was cut.
    pub ceiling: i64,
    /// The last budget.
    pub budget: i64,
    /// Bills that are safe somewhere.
    pub spent: i64,
    /// Maximum prices of all bids that can still be billed.
    pub open: i64,
    /// Maximum prices of all bids ever made.
    pub bid: i64,
}

/// What stands against a lease. Micros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Maximum prices of its bids that can still be billed.
    pub open: i64,
    /// Bills that are safe somewhere, but not with the authority.
    pub unbooked: i64,
}

/// The market's own accounts.
#[derive(Debug, Default)]
pub struct Market {
    /// Reservations ever made.
    pub ids: HashSet<u64, foldhash::fast::FixedState>,
    days: Vec<Sums>,
    places: BTreeMap<(u32, u32), u32>,
    names: Vec<(u32, u32)>,
    claims: Map<u64, Claim>,
    leases: Map<u64, Claims>,
    expiring: BinaryHeap<Reverse<(u64, u64)>>,
    /// Which nodes' ledgers hold which bills.
    recorded: BTreeSet<(u64, u16)>,
    /// Bills that came too late, or beside the account, micros.
    excess: i64,
    /// Bills that only a lost node knew of.
    forgone: u64,
}

impl Market {
    /// A campaign's day.
    pub fn day_of(&mut self, campaign: u32, day: u32) -> u32 {
        let Market { places, names, days, .. } = self;
        *places.entry((campaign, day)).or_insert_with(|| {
            names.push((campaign, day));
            days.push(Sums::default());
            days.len() as u32 - 1
        })
    }

    /// What a campaign's day stands at.
    pub fn sums(&self, campaign: u32, day: u32) -> Sums {
        self.places.get(&(campaign, day)).map_or(Sums::default(), |place| self.days[*place as usize])
    }

    /// All campaign-days.
    pub fn days(&self) -> impl Iterator<Item = (u32, u32, Sums)> {
        self.places.iter().map(|((campaign, day), place)| (*campaign, *day, self.days[*place as usize]))
    }

    /// What stands against a lease.
    pub fn lease(&self, lease: u64) -> Claims {
        self.leases.get(&lease).copied().unwrap_or_default()
    }

    /// Bills too late or beside the account, micros.
    pub fn excess(&self) -> i64 {
        self.excess
    }

    /// Bills that only a lost node knew of.
    pub fn forgone(&self) -> u64 {
        self.forgone
    }

    pub(super) fn fund(&mut self, campaign: u32, day: u32, daily: i64, committed: i64) {
        let place = self.day_of(campaign, day) as usize;
        let sums = &mut self.days[place];
        // Told again what it knows, it keeps what a cut left it.
        if sums.budget != daily || sums.ceiling < daily {
            (sums.budget, sums.ceiling) = (daily, daily.max(committed));
        }
    }

    pub(super) fn open(&mut self, bid: &Bid, day: u32) {
        let &Bid { id, lease, most, expires, bill, .. } = bid;
        let sums = &mut self.days[day as usize];
        sums.open += most;
        sums.bid += most;
        self.leases.entry(lease).or_default().open += most;
        let state = State::Open;
        self.claims
            .insert(id, Claim { lease, day, most, expires, bill, state, unbooked: false, owed: false, late: false });
        self.expiring.push(Reverse((expires, id)));
    }

    pub(super) fn bill_of(&self, id: u64) -> Option<i64> {
        self.claims.get(&id).and_then(|claim| claim.bill)
    }

    pub(super) fn expires(&self, id: u64) -> Option<u64> {
        self.claims.get(&id).map(|claim| claim.expires)
    }

    pub(super) fn place_of(&self, id: u64) -> Option<(u32, u32)> {
        self.claims.get(&id).map(|claim| self.names[claim.day as usize])
    }

    pub(super) fn is_recorded(&self, node: u16, id: u64) -> bool {
        self.recorded.contains(&(id, node))
    }

    /// All bids with H2 before this time can no longer be billed.
    pub(super) fn expire(&mut self, before: u64) {
        while let Some(Reverse((expires, id))) = self.expiring.peek().copied().filter(|Reverse((at, _))| *at < before) {
            let _ = (expires, self.expiring.pop());
            let Some(claim) = self.claims.get_mut(&id) else { continue };
            let open = claim.state == State::Open;
            if open {
                claim.state = State::Past;
                self.days[claim.day as usize].open -= claim.most;
                let (lease, most) = (claim.lease, claim.most);
                self.leases.entry(lease).or_default().open -= most;
            }
            // Nothing will be heard of it.
            if self.claims[&id].bill.is_none() {
                self.claims.remove(&id);
            }
        }
    }

    /// Its bill is safe: it costs that, and not its maximum price.
    fn spend(&mut self, id: u64) {
        let Some(claim) = self.claims.get_mut(&id) else { return };
        let (Some(bill), sums) = (claim.bill, &mut self.days[claim.day as usize]) else { return };
        match claim.state {
            State::Spent | State::Lost => return,
            State::Open => {
                sums.open -= claim.most;
                self.leases.entry(claim.lease).or_default().open -= claim.most;
            }
            State::Past => {}
        }
        sums.spent += bill;
        claim.state = State::Spent;
    }

    pub(super) fn recorded(&mut self, node: u16, id: u64, booked: bool) {
        self.recorded.insert((id, node));
        self.spend(id);
        if let Some(claim) = self.claims.get_mut(&id)
            && !booked
            && !claim.unbooked
            && claim.state == State::Spent
        {
            claim.unbooked = true;
            self.leases.entry(claim.lease).or_default().unbooked += claim.bill.unwrap_or_default();
        }
    }

    pub(super) fn booked(&mut self, id: u64, counted: bool) {
        let Some(claim) = self.claims.get_mut(&id) else { return };
        let bill = claim.bill.unwrap_or_default();
        if std::mem::take(&mut claim.unbooked) {
            self.leases.entry(claim.lease).or_default().unbooked -= bill;
        }
        if !counted {
            self.excess += bill;
            return;
        }
        // A crash can forget a loss: then its bill is one like any other.
        if claim.state == State::Lost {
            claim.state = State::Past;
        }
        self.spend(id);
    }

    pub(super) fn lost(&mut self, id: u64) {
        let Some(claim) = self.claims.get_mut(&id).filter(|claim| claim.state == State::Open) else { return };
        claim.state = State::Lost;
        self.days[claim.day as usize].open -= claim.most;
        self.leases.entry(claim.lease).or_default().open -= claim.most;
    }

    pub(super) fn acknowledged(&mut self, id: u64) {
        self.spend(id);
        if let Some(claim) = self.claims.get_mut(&id) {
            claim.owed = true;
        }
    }

    pub(super) fn refused(&mut self, id: u64) {
        let Some(claim) = self.claims.get_mut(&id) else { return };
        if !std::mem::replace(&mut claim.late, true) && claim.state != State::Spent {
            self.excess += claim.bill.unwrap_or_default();
        }
    }

    /// The authority lost bookings: those that it no longer has are a lease's debt again, where a node's ledger has them.
    pub(super) fn unbook(&mut self, is_booked: impl Fn(u64) -> bool) {
        let Market { claims, leases, recorded, .. } = self;
        for (id, _) in recorded.iter() {
            let Some(claim) = claims.get_mut(id) else { continue };
            if claim.state == State::Spent && !claim.unbooked && !is_booked(*id) {
                claim.unbooked = true;
                leases.entry(claim.lease).or_default().unbooked += claim.bill.unwrap_or_default();
            }
        }
    }

    /// A node will not come back: bills that only its ledger holds are spent by nobody.
    pub(super) fn given_up(&mut self, node: u16, was_booked: impl Fn(u64) -> bool) {
        let Market { claims, leases, recorded, days, forgone, .. } = self;
        for (id, _) in recorded.iter().filter(|(_, of)| *of == node) {
            let elsewhere = || recorded.range((*id, 0)..=(*id, u16::MAX)).count() > 1;
            let Some(claim) = claims.get_mut(id) else { continue };
            if claim.state == State::Spent && !was_booked(*id) && !elsewhere() {
                let bill = claim.bill.unwrap_or_default();
                days[claim.day as usize].spent -= bill;
                if std::mem::take(&mut claim.unbooked) {
                    leases.entry(claim.lease).or_default().unbooked -= bill;
                }
                (claim.owed, claim.state) = (false, State::Past);
                *forgone += 1;
            }
        }
    }

    /// Reservations whose bills exchanges were told are safe, in order.
    pub(super) fn owed(&self) -> Vec<u64> {
        let mut owed: Vec<u64> = self.claims.iter().filter(|(_, claim)| claim.owed).map(|(id, _)| *id).collect();
        owed.sort_unstable();
        owed
    }

    /// Campaign-days that were billed more than they may cost.
    pub fn overspent(&self) -> Vec<(u32, u32, i64)> {
        self.days()
            .filter(|(.., sums)| sums.spent > sums.ceiling)
            .map(|(c, d, sums)| (c, d, sums.spent - sums.ceiling))
            .collect()
    }
}
