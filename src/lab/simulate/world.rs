//! The simulated world: machines, links, exchanges, and what happens to them, one step after the other.

#[cfg(feature = "stores")]
mod fleet;

use std::collections::BTreeMap;

#[cfg(feature = "stores")]
use super::authority::shards::{Past, Shards};
use super::authority::{Guardian, Keeper, check_answer};
use super::calls::{Call, Calls};
use super::check::{Bid, Checker};
use super::curve::Curves;
use super::faults::{self, Fault, Mishap};
use super::market::{self, Campaign};
use super::node::{Core, Node, funding};
use super::queue::Queue;
use super::time::{Clock, DAY, MINUTE, MS, SECOND, TURN_MOST, Time, WORST_DRIFT_PPB, WORST_ERROR_MS};
use super::trace::Trace;
use super::{Options, canary};
use crate::authority::message::{Answer, NotRegistered, Part, Register, Registered, Report};
use crate::authority::{Authority, Budget, NotRetired};
use crate::limits;
use crate::market::random::Random;
use crate::reconcile::Parts;
use crate::ring::message::{Agreed, Claim, Event, NoticeKind, NoticePrice, Noticed, Reserved};
#[cfg(feature = "stores")]
use crate::store::valkey::lease::{Envelope, Lost};
#[cfg(feature = "stores")]
use crate::units::{AdvertiserId, Epoch};
use crate::units::{BidId, CoreId, ExchangeKey, Micros, Nanos, Slot, UnixMillis, UserKey};

/// After so many violations nothing more is to be learnt from a run.
const ENOUGH: u64 = 100;

/// After the last auction: until everything that can still be billed has been, or never will be.
pub const AFTERMATH: Time = 150 * MINUTE;

/// A message between a node and the authority.
#[derive(Clone, Debug)]
pub enum Letter {
    /// Of a starting process.
    Register(Register),
    /// What it is told: for which nonce, and its number.
    Registered(u64, Result<Registered, NotRegistered>),
    /// Of a node.
    Report(Box<Report>),
    /// The same, for a server that keeps the accounts of one advertiser.
    #[cfg(feature = "stores")]
    Call(Box<Report>, Envelope),
    /// What it is told.
    Answer(Box<Answer>),
    /// The shard of this advertiser is not the one that was meant, in this epoch.
    #[cfg(feature = "stores")]
    Lost(AdvertiserId, Epoch, Lost),
}

/// One of the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// A node, by its place.
    Node(usize),
    /// The authority.
    Authority,
}

/// Something that happens.
#[derive(Debug)]
enum Step {
    /// Somewhere a bid is asked for.
    Auction,
    /// A turn of a core ends that took long.
    Submit(usize, u32, Box<Turn>),
    /// A node's rings are read.
    Poll(usize, u32),
    /// A slow node's cores read their orders.
    Obey(usize, u32),
    /// A node's tick.
    Tick(usize, u32),
    /// A node asks for a number again if it has none.
    Register(usize, u32),
    /// The authority's tick.
    AuthorityTick(u32),
    /// A commit ends.
    Synced(Machine, u32),
    /// A message arrives: at the authority, from a node; or at a node.
    Arrive(bool, usize, Letter),
    /// An exchange calls.
    Call(u64),
    /// Something goes wrong.
    Strike(usize),
    /// It is over.
    Heal(usize),
    /// A machine crashes, for so long.
    Crash(Machine, u32, Time),
    /// A machine starts again; the authority maybe as another copy.
    Restart(Machine, bool),
    /// A copy of the server takes over, after this fault, and is reached after so long.
    #[cfg(feature = "stores")]
    TakeOver(Fault, Box<Past>, Time),
    /// An operator gives a node up.
    Retire(usize),
    /// A campaign's budget is what it was.
    Restore(usize),
    /// Sums are taken, and now and then added up again.
    Look(u64),
    /// The run is over.
    End,
}

/// A bid that has not left its core yet.
#[derive(Debug)]
struct Turn {
    claim: Claim,
    exchange: usize,
    campaign: usize,
    valid_until: Nanos,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    options: Options,
    now: Time,
    queue: Queue<Step>,
    nodes: Vec<Node>,
    authority: Guardian,
    /// Where the accounts are on a server, whose clock is the authority's.
    #[cfg(feature = "stores")]
    shards: Option<Shards>,
    campaigns: Vec<Campaign>,
    calls: Calls,
    /// Their daily budgets at the beginning.
    first_budgets: Vec<Micros>,
    plan: Vec<Mishap>,
    /// Machines without room on their disks, by the mishap.
    full: BTreeMap<usize, Machine>,
    /// Some node's reconciliation stands still until then, or was not long ago.
    stalls_until: Time,
    /// How many of each kind of window are open.
    open: BTreeMap<Fault, u32>,
    /// How often each fault did something.
    pub faults: BTreeMap<Fault, u64>,
    /// The checkers.
    pub checker: Checker,
    /// How spend follows its curve.
    pub curves: Curves,
    market: Random,
    links: Random,
    machines: Random,
    /// Auctions in which a node was asked.
    pub auctions: u64,
    /// Bids that left.
    pub bids: u64,
    /// Of them so many won.
    pub wins: u64,
    /// Bids that were ready too late, and did not leave.
    pub withdrawn: u64,
    ended: bool,
    last_auction: Time,
}

impl World {
    /// As it is before the first step.
    pub fn new(options: Options, trace: Trace) -> World {
        let seed = options.seed;
        let mut machines = Random::of(seed, 1);
        let campaigns = market::campaigns(seed, options.campaigns, options.size);
        let mut clock = |_| {
            let mut clock = Clock::new(0, machines.between(DAY, 40 * DAY));
            clock.step(machines.between(0, 200) as i64 - 100);
            clock.drift(0, machines.between(0, 20_000) as i64 - 10_000);
            clock
        };
        let nodes: Vec<_> =
            (0..options.nodes).map(|index| Node::new(index + 1, clock(index), parts(options.authority))).collect();
        let authority = Guardian::new(clock(0));
        let last_auction = u64::from(options.days) * DAY;
        let plan: Vec<_> = faults::plan(seed, options.days)
            .into_iter()
            .filter(|mishap| options.may(mishap.fault))
            .filter(|mishap| options.only.as_ref().is_none_or(|only| only.contains(&mishap.number)))
            .collect();
        let mut world = World {
            now: 0,
            queue: Queue::new(),
            nodes,
            authority,
            #[cfg(feature = "stores")]
            shards: None,
            calls: Calls::default(),
            first_budgets: campaigns.iter().map(|campaign| campaign.daily).collect(),
            full: BTreeMap::new(),
            stalls_until: 0,
            open: BTreeMap::new(),
            faults: Fault::ALL.iter().filter(|it| it.can_hit(options.authority)).map(|it| (*it, 0)).collect(),
            checker: Checker::new(options.strict, trace),
            curves: Curves::new(campaigns.len()),
            campaigns,
            market: Random::of(seed, 2),
            links: Random::of(seed, 3),
            machines,
            auctions: 0,
            bids: 0,
            wins: 0,
            withdrawn: 0,
            ended: false,
            last_auction,
            plan,
            options,
        };
        #[cfg(feature = "stores")]
        if world.options.authority == Keeper::Functions {
            world.shards = Some(Shards::new(&world.budgets()));
        }
        world.checker.trace.begin(seed, world.options.strict, super::time::BEGIN.0);
        world.queue.plan(0, Step::Restart(Machine::Authority, false));
        for node in 0..world.nodes.len() {
            world.queue.plan(SECOND + node as u64 * 300 * MS, Step::Restart(Machine::Node(node), false));
        }
        for (index, mishap) in world.plan.iter().enumerate() {
            world.queue.plan(mishap.at, Step::Strike(index));
        }
        world.queue.plan(5 * SECOND, Step::Auction);
        world.queue.plan(limits::TICK_NS, Step::Look(1));
        world.queue.plan(last_auction + AFTERMATH, Step::End);
        world
    }

    /// Takes one step. `false` when the run is over.
    pub fn step(&mut self) -> bool {
        let Some((at, step)) = self.queue.take() else { return false };
        let enough = self.checker.violations() >= ENOUGH;
        if self.ended || enough || self.options.until.is_some_and(|until| at > until) {
            return false;
        }
        self.now = at;
        match step {
            Step::Auction => self.auction(),
            Step::Submit(node, life, turn) if self.lives(node, life) => self.submit(node, &turn),
            Step::Poll(node, life) if self.lives(node, life) => self.poll(node),
            Step::Obey(node, life) if self.lives(node, life) => self.obey(node),
            Step::Tick(node, life) if self.lives(node, life) => self.tick(node),
            Step::Register(node, life) if self.lives(node, life) => self.register(node),
            Step::AuthorityTick(life) if self.authority.life == life => self.authority_tick(),
            Step::Synced(machine, life) if self.life(machine) == life => self.synced(machine),
            Step::Arrive(to_authority, node, letter) => self.arrive(to_authority, node, letter),
            Step::Call(ticket) => self.call(ticket),
            Step::Strike(index) => self.strike(index),
            Step::Heal(index) => self.heal(index),
            Step::Crash(machine, life, lasts) if self.life(machine) == life => self.crash(machine, lasts),
            Step::Restart(machine, lost_some) => self.restart(machine, lost_some),
            #[cfg(feature = "stores")]
            Step::TakeOver(fault, past, lasts) => self.take_over(fault, *past, lasts),
            Step::Retire(node) => self.retire(node),
            Step::Restore(campaign) => self.set_budget(campaign, None),
            Step::Look(number) => self.look(number),
            Step::End => self.end(),
            // Of an earlier life.
            _ => {}
        }
        !self.ended
    }

    /// True time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What the run is.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The campaigns, as they were told last.
    pub fn campaigns(&self) -> &[Campaign] {
        &self.campaigns
    }

    fn lives(&self, node: usize, life: u32) -> bool {
        self.nodes[node].life == life && self.nodes[node].up
    }

    fn life(&self, machine: Machine) -> u32 {
        match machine {
            Machine::Node(node) => self.nodes[node].life,
            Machine::Authority => self.authority.life,
        }
    }

    /// Whether nobody reaches those who keep the accounts.
    fn is_down(&self) -> bool {
        #[cfg(feature = "stores")]
        if let Some(shards) = &self.shards {
            return !shards.up;
        }
        self.authority.machine.is_none()
    }

    /// The state machine that a part's accounts are in, or are compared with.
    fn accounts(&self, part: Part) -> Option<&Authority> {
        #[cfg(feature = "stores")]
        if let Some(shards) = &self.shards {
            return shards.shadow(part);
        }
        self.authority.machine.as_ref().filter(|_| part == Part::All)
    }

    fn is_on(&self, fault: Fault) -> bool {
        self.open.get(&fault).is_some_and(|count| *count > 0)
    }

    fn count(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Whether an open window of a fault hits now, with this chance; counted if so.
    fn hits(&mut self, fault: Fault, chance: f64) -> bool {
        let hit = self.is_on(fault) && self.links.chance(chance);
        if hit {
            self.count(fault);
        }
        hit
    }

    // ── Bids ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    fn auction(&mut self) {
        // A Poisson process at the most there ever is, thinned to what there is now.
        let most = self.campaigns.len() as f64 * f64::from(self.options.size) * market::CHANCES * market::SUPPLY_MOST
            / DAY as f64;
        let pause = -self.market.unit().ln() / most;
        if self.now + (pause as Time) < self.last_auction {
            self.queue.plan(self.now + pause as Time, Step::Auction);
        }
        if !self.market.chance(market::supply(self.now) / market::SUPPLY_MOST) {
            return;
        }
        let at = self.market.below(self.campaigns.len() as u64) as usize;
        // Nodes near the exchange are asked more.
        let weights = (0..self.nodes.len()).map(|node| if self.nodes[node].gone { 0 } else { 2 + (node as u32 % 3) });
        let node = self.market.weighted(weights);
        let core = self.market.below(u64::from(self.options.cores)) as usize;
        let campaign = self.campaigns[at];
        let auction = market::auction(&mut self.market, &campaign);
        if self.nodes[node].machine.is_none() {
            return;
        }
        self.auctions += 1;
        let (now, slot) = (self.nodes[node].now(self.now), Slot(at as u32));
        let money = auction.terms.money(auction.price);
        let Node { cores, id, machine, .. } = &mut self.nodes[node];
        let Core { leases, ids, events } = &mut cores[core];
        if leases.paces() && !leases.takes_part(slot, money) {
            return;
        }
        if !leases.affords(slot, money, now.boot) {
            leases.report(|event| {
                events.push_back(event);
                true
            });
            return self.plan_poll(node);
        }
        if events.len() >= super::node::RING {
            return;
        }
        // As the bid path does: no id, no bid.
        if !ids.has(1, now) {
            return;
        }
        let Ok(backing) = leases.reserve(slot, money, now.boot) else {
            return self.checker.violated(
                self.now,
                "credit",
                format!("campaign {} was afforded and refused", campaign.id.0),
            );
        };
        let exchange = self.options.exchange(auction.exchange);
        let Some(reservation) = ids.next(now) else { return };
        let expires = UnixMillis(now.wall.0 + exchange.horizon);
        let key = ExchangeKey::of(exchange.name);
        events.push_back(Event::Reserved(Reserved {
            reservation,
            lease: backing.lease,
            slot,
            price: money,
            expires,
            exchange: key,
        }));
        let incarnation = machine.as_ref().map(|machine| machine.registered().incarnation).unwrap_or_default();
        let claim = Claim {
            reservation,
            lease: backing.lease,
            price: auction.price,
            terms: auction.terms,
            expires,
            user: UserKey::NOBODY,
            bid: BidId(u128::from(reservation.0).to_be_bytes()),
            campaign: campaign.id,
            incarnation,
            node: *id,
            exchange: key,
            agreed: Agreed::LOSS_IS_FINAL.when(exchange.loss_is_final),
            creative: 0,
        };
        let turn = Turn { claim, exchange: auction.exchange, campaign: at, valid_until: backing.valid_until };
        self.plan_poll(node);
        if self.nodes[node].slow_until > self.now {
            let takes = self.machines.below(12 * SECOND);
            let life = self.nodes[node].life;
            self.queue.plan(self.now + takes, Step::Submit(node, life, Box::new(turn)));
        } else {
            self.submit(node, &turn);
        }
    }

    /// The end of a turn: the clock is read again, and a bid whose lease has run out does not leave.
    fn submit(&mut self, node: usize, turn: &Turn) {
        if turn.valid_until < self.nodes[node].now(self.now).boot {
            self.withdrawn += 1;
            return;
        }
        let slow = self.nodes[node].slow_until > self.now;
        let leaves = self.now + if slow { self.machines.below(TURN_MOST) } else { 50_000 };
        let claim = turn.claim;
        let jumped = self.is_on(Fault::WinJump);
        let rate = if jumped { market::JUMPED_WIN_RATE } else { market::WIN_RATE };
        let fate = market::fate(&mut self.market, self.options.exchange(turn.exchange), claim.price, rate);
        if jumped && fate.won {
            self.count(Fault::WinJump);
        }
        self.bids += 1;
        self.wins += u64::from(fate.won);
        let bill = fate.notices.iter().find_map(|due| match (due.kind, due.price) {
            (NoticeKind::Bill, NoticePrice::Cpm(price)) => Some(price.0.min(claim.price.0)),
            _ => None,
        });
        let bid = Bid {
            id: claim.reservation.0,
            campaign: claim.campaign.0,
            lease: claim.lease.0,
            incarnation: claim.incarnation.0,
            most: (claim.price.0 + 999) / 1000,
            expires: claim.expires.0,
            bill: bill.map(|price| (price + 999) / 1000),
        };
        self.checker.bid(leaves, &bid);
        self.curves.bid(turn.campaign, self.now, market::expected_cost(Micros(bid.most)));
        for due in fate.notices {
            let mut after = due.after;
            if self.hits(Fault::NoticeDelay, 0.3) {
                after += self.links.below(40 * MINUTE);
            }
            if self.hits(Fault::NoticeReordering, 0.3) {
                after = self.links.below(2 * after + SECOND);
            }
            let copies = if self.hits(Fault::NoticeDuplication, 0.4) { self.links.between(2, 4) } else { 1 };
            for copy in 0..copies {
                let call = Call { claim, kind: due.kind, price: due.price, sent: 0 };
                let ticket = self.calls.add(call);
                let later = if copy == 0 { 0 } else { self.links.below(5 * MINUTE) };
                self.queue.plan(self.now + after + later, Step::Call(ticket));
            }
            // An exchange that bills tells of a loss all the same.
            if due.kind == NoticeKind::Bill && self.hits(Fault::NoticeReordering, 0.1) {
                let ticket = self.calls.add(Call { claim, kind: NoticeKind::Loss, price: NoticePrice::Empty, sent: 0 });
                let after = self.links.below(2 * after + SECOND);
                self.queue.plan(self.now + after, Step::Call(ticket));
            }
        }
    }

    // ── Notices ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    fn call(&mut self, ticket: u64) {
        let Some(call) = self.calls.get(ticket) else { return };
        call.sent += 1;
        let (sent, notice) = (call.sent, call.notice(ticket));
        match market::call_again(sent, &mut self.links) {
            Some(pause) => self.queue.plan(self.now + pause, Step::Call(ticket)),
            None => self.calls.end(ticket),
        }
        if self.hits(Fault::NoticeLoss, 0.35) {
            return;
        }
        let node = self.links.below(self.nodes.len() as u64) as usize;
        if self.nodes[node].machine.is_none() {
            return;
        }
        let core = self.links.below(u64::from(self.options.cores)) as usize;
        if self.nodes[node].cores[core].has_room() {
            self.nodes[node].cores[core].events.push_back(Event::Notice(notice));
        }
        self.plan_poll(node);
    }

    /// An exchange hears what became of its notice.
    fn answered(&mut self, node: usize, ticket: u64, noticed: Noticed) {
        let Some(&mut call) = self.calls.get(ticket) else { return };
        if self.hits(Fault::NoticeLoss, 0.2) {
            return;
        }
        let id = call.claim.reservation.0;
        match noticed {
            Noticed::Safe if call.is_bill() => self.checker.acknowledged(self.now, self.nodes[node].id.0, id),
            Noticed::Expired if call.is_bill() => self.checker.refused(self.now, id),
            Noticed::Safe | Noticed::Expired => {}
            // It will call again.
            Noticed::Unsafe => return,
        }
        self.calls.end(ticket);
    }

    // ── Nodes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    fn plan_poll(&mut self, node: usize) {
        let slow = self.nodes[node].slow_until > self.now;
        let it = &mut self.nodes[node];
        if it.machine.is_none() || std::mem::replace(&mut it.polling, true) {
            return;
        }
        let pause = if slow { self.machines.below(3 * SECOND) } else { self.machines.between(10_000, 2 * MS) };
        self.queue.plan(self.nodes[node].awake_at(self.now + pause), Step::Poll(node, self.nodes[node].life));
    }

    fn poll(&mut self, node: usize) {
        if self.nodes[node].stalled_until > self.now {
            return self.queue.plan(self.nodes[node].stalled_until, Step::Poll(node, self.nodes[node].life));
        }
        self.nodes[node].polling = false;
        let most = self.machines.between(1, 64) as usize;
        self.nodes[node].read_rings(self.now, most, &mut self.checker);
        self.pump(node);
        if self.nodes[node].has_events() {
            self.plan_poll(node);
        }
    }

    fn tick(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        if it.stalled_until > self.now {
            return self.queue.plan(it.stalled_until, Step::Tick(node, it.life));
        }
        let clock = it.clock.read(self.now);
        if let Some(machine) = &mut it.machine {
            machine.tick(clock);
        }
        let late = if it.slow_until > self.now { self.machines.below(2 * SECOND) } else { 0 };
        #[cfg(feature = "stores")]
        self.beat(node);
        self.queue.plan(self.now + limits::TICK_NS + late, Step::Tick(node, self.nodes[node].life));
        self.pump(node);
    }

    /// What a state machine has to say goes where it belongs: records to the disk, reports to the authority, orders to cores.
    fn pump(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        let Some(machine) = &mut it.machine else { return };
        let clock = it.clock.read(self.now);
        if !it.disk.is_writing()
            && let Some(batch) = machine.journal().take()
        {
            it.disk.write(batch.bytes, batch.upto);
            if canary::is(&self.options, 1) {
                machine.durable(batch.upto);
            }
            self.plan_sync(Machine::Node(node));
        }
        let it = &mut self.nodes[node];
        let mut reports = Vec::new();
        if let Some(machine) = &mut it.machine {
            while let Some(report) = machine.report(clock) {
                reports.push(report);
            }
        }
        for mut report in reports {
            if canary::is(&self.options, 2)
                && let Some(authority) = self.accounts(report.part)
            {
                canary::know_all(&mut report, authority);
            }
            let &Report { part, incarnation, epoch, foreign_seen, .. } = &report;
            self.checker.presumed(self.now, incarnation.0, advertiser(part), epoch.0, foreign_seen);
            #[cfg(feature = "stores")]
            if self.shards.is_some() {
                if let Some(envelope) = self.address(node, &report) {
                    self.send(true, node, Letter::Call(Box::new(report), envelope));
                }
                continue;
            }
            self.send(true, node, Letter::Report(Box::new(report)));
        }
        if self.nodes[node].slow_until > self.now {
            let pause = self.machines.below(2 * SECOND);
            self.queue.plan(self.now + pause, Step::Obey(node, self.nodes[node].life));
        } else {
            self.obey(node);
        }
    }

    fn obey(&mut self, node: usize) {
        let mut answers = Vec::new();
        let Node { machine: Some(machine), cores, .. } = &mut self.nodes[node] else { return };
        for (index, core) in cores.iter_mut().enumerate() {
            while let Some(order) = machine.orders(CoreId(index as u8)).pop_front() {
                answers.extend(core.obey(order));
            }
        }
        for (ticket, noticed) in answers {
            self.answered(node, ticket, noticed);
        }
        if self.nodes[node].has_events() {
            self.plan_poll(node);
        }
    }

    fn register(&mut self, node: usize) {
        let it = &self.nodes[node];
        if it.machine.is_some() {
            return;
        }
        let register = it.asks;
        self.queue.plan(self.now + SECOND, Step::Register(node, it.life));
        self.send(true, node, Letter::Register(register));
    }

    // ── The authority ───────────────────────────────────────────────────────────────────────────────────────────────────

    fn authority_tick(&mut self) {
        #[cfg(feature = "stores")]
        if self.shards.is_some() {
            if canary::is(&self.options, 4) {
                self.forge();
            }
            return self.queue.plan(self.now + limits::TICK_NS, Step::AuthorityTick(self.authority.life));
        }
        let Guardian { machine: Some(machine), journal, clock, life, .. } = &mut self.authority else { return };
        machine.tick(clock.read(self.now), journal);
        if canary::is(&self.options, 4) {
            for node in self.nodes.iter().filter(|node| node.heard_at + canary::SILENCE < self.now) {
                let of_node = machine.books().bidders().filter(|(_, bidder)| bidder.node == node.id);
                let last = of_node.map(|(incarnation, _)| incarnation).last();
                if let Some(forged) = last.and_then(|incarnation| canary::all_free(machine, incarnation)) {
                    machine.report(clock.read(self.now), journal, &forged);
                }
            }
        }
        self.queue.plan(self.now + limits::TICK_NS, Step::AuthorityTick(*life));
        self.pump_authority();
    }

    fn pump_authority(&mut self) {
        let it = &mut self.authority;
        if it.machine.is_some()
            && !it.disk.is_writing()
            && let Some(batch) = it.journal.take()
        {
            it.disk.write(batch.bytes, batch.upto);
            self.plan_sync(Machine::Authority);
        }
        let early = canary::is(&self.options, 1);
        while let Some((_, node, letter)) =
            self.authority.outbox.pop_front_if(|(needs, ..)| early || *needs <= self.authority.journal.synced())
        {
            if let Letter::Answer(answer) = &letter {
                check_answer(self.now, answer, &mut self.checker);
            }
            self.send(false, node, letter);
        }
    }

    fn budgets(&self) -> Vec<Budget> {
        let strict = self.options.strict;
        let budget = |campaign: &Campaign| Budget {
            campaign: campaign.id,
            advertiser: campaign.advertiser,
            daily: campaign.daily,
            total: campaign.total,
            price: campaign.price,
            strict,
            tolerance: None,
        };
        self.campaigns.iter().map(budget).collect()
    }

    // ── Disks and links ─────────────────────────────────────────────────────────────────────────────────────────────────

    fn plan_sync(&mut self, machine: Machine) {
        let usual = if self.machines.chance(0.01) { 30 * MS } else { MS };
        let takes = self.machines.between(usual / 5, usual);
        let (slow, doomed) = match machine {
            Machine::Node(node) => (self.nodes[node].slow_until > self.now, self.nodes[node].doomed),
            Machine::Authority => (false, self.authority.doomed),
        };
        let life = self.life(machine);
        if doomed {
            let lasts = self.machines.between(SECOND, MINUTE);
            self.queue.plan(self.now + takes / 2, Step::Crash(machine, life, lasts));
        }
        self.queue.plan(self.now + if slow { takes * 1_000 } else { takes }, Step::Synced(machine, life));
    }

    fn synced(&mut self, machine: Machine) {
        let life = self.life(machine);
        match machine {
            Machine::Node(node) => {
                let it = &mut self.nodes[node];
                if it.stalled_until > self.now {
                    return self.queue.plan(it.stalled_until, Step::Synced(machine, life));
                }
                match it.disk.sync() {
                    Some(upto) => {
                        let bills = it.tell(self.now, &mut self.checker);
                        if let Some(state) = &mut it.machine {
                            state.durable(upto);
                        }
                        let alone = it.cut_off_until > self.now && bills > 0;
                        if let Some(counted) = it.bills_alone.as_mut().filter(|_| alone) {
                            *counted += bills;
                            let down = self.machines.between(SECOND, MINUTE);
                            self.queue.plan(self.now + SECOND, Step::Crash(machine, life, down));
                        }
                    }
                    None => {
                        if let Some(state) = &mut it.machine {
                            state.disk_failed();
                        }
                        self.queue.plan(self.now + SECOND, Step::Synced(machine, life));
                    }
                }
                self.pump(node);
            }
            Machine::Authority => {
                match self.authority.disk.sync() {
                    Some(upto) => {
                        self.authority.journal.durable(upto);
                        self.authority.tell(self.now, &mut self.checker);
                    }
                    None => self.queue.plan(self.now + SECOND, Step::Synced(machine, life)),
                }
                self.pump_authority();
            }
        }
    }

    fn send(&mut self, to_authority: bool, node: usize, letter: Letter) {
        if self.nodes[node].cut_off_until > self.now || self.hits(Fault::MessageLoss, 0.33) {
            return;
        }
        let mut takes = self.links.between(100_000, 2 * MS);
        if self.hits(Fault::MessageDelay, 0.3) {
            takes += self.links.below(30 * SECOND);
        }
        if self.hits(Fault::MessageReordering, 0.5) {
            takes += self.links.below(200 * MS);
        }
        if self.hits(Fault::MessageDuplication, 0.4) {
            let again = takes + self.links.below(MINUTE);
            self.queue.plan(self.now + again, Step::Arrive(to_authority, node, letter.clone()));
        }
        self.queue.plan(self.now + takes, Step::Arrive(to_authority, node, letter));
    }

    fn arrive(&mut self, to_authority: bool, node: usize, letter: Letter) {
        if self.nodes[node].cut_off_until > self.now {
            return;
        }
        if to_authority {
            self.nodes[node].heard_at = self.now;
            #[cfg(feature = "stores")]
            if self.shards.is_some() {
                if let Letter::Call(report, _) = &letter {
                    self.checker.trace.said(self.now, report);
                }
                return self.serve(node, letter);
            }
            if let Letter::Report(report) = &letter {
                self.checker.trace.said(self.now, report);
            }
            let Guardian { machine: Some(machine), journal, clock, outbox, .. } = &mut self.authority else { return };
            let clock = clock.read(self.now);
            let reply = match letter {
                Letter::Register(ask) => Letter::Registered(ask.nonce, machine.register(clock, journal, ask)),
                Letter::Report(report) => Letter::Answer(Box::new(machine.report(clock, journal, &report))),
                _ => return,
            };
            outbox.push_back((journal.appended(), node, reply));
            return self.pump_authority();
        }
        let it = &mut self.nodes[node];
        if it.stalled_until > self.now {
            return self.queue.plan(it.stalled_until, Step::Arrive(to_authority, node, letter));
        }
        match letter {
            Letter::Registered(nonce, Ok(registered)) if it.up && it.machine.is_none() && it.asks.nonce == nonce => {
                it.begin(self.now, registered, self.options.cores, &self.campaigns, self.options.strict);
                let life = it.life;
                self.queue.plan(self.now, Step::Tick(node, life));
            }
            Letter::Answer(mut answer) => {
                let clock = it.clock.read(self.now);
                if canary::is(&self.options, 3) {
                    canary::confirm_one_more(&mut answer);
                }
                if canary::is(&self.options, 5) {
                    canary::count_from_now(&mut answer, clock);
                }
                if let Some(machine) = &mut it.machine {
                    if let Some(last) = answer.foreign.last() {
                        let part = advertiser(answer.part);
                        self.checker.heard(answer.incarnation.0, part, answer.epoch.0, last.number);
                    }
                    machine.answer(clock, &answer);
                }
                self.pump(node);
            }
            #[cfg(feature = "stores")]
            Letter::Lost(advertiser, lost, why) => self.misplaced(node, advertiser, lost, why),
            _ => {}
        }
    }

    // ── What goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// A node that runs, by the dice of a mishap.
    fn some_node(&self, dice: u64) -> Option<usize> {
        let running: Vec<_> = (0..self.nodes.len()).filter(|node| self.nodes[*node].machine.is_some()).collect();
        (!running.is_empty()).then(|| running[(dice % running.len() as u64) as usize])
    }

    fn strike(&mut self, index: usize) {
        let Mishap { number, fault, lasts, dice, .. } = self.plan[index];
        let again = |world: &mut World| world.queue.plan(world.now + MINUTE, Step::Strike(index));
        let random = &mut Random::new(dice);
        let window = matches!(
            fault,
            Fault::MessageLoss
                | Fault::MessageDelay
                | Fault::MessageDuplication
                | Fault::MessageReordering
                | Fault::NoticeLoss
                | Fault::NoticeDelay
                | Fault::NoticeDuplication
                | Fault::NoticeReordering
                | Fault::WinJump
        );
        let node = self.some_node(random.bits());
        // A part of the mishaps of both kinds of machine is the authority's.
        let of_authority = random.chance(0.4);
        // A server with replicas does not wait for a disk.
        let on_disk = matches!(fault, Fault::TornWrite | Fault::DiskFull | Fault::SyncFailure);
        let of_authority = of_authority && !(on_disk && self.options.authority != Keeper::Rust);
        let machine = if of_authority { Some(Machine::Authority) } else { node.map(Machine::Node) };
        let (Some(node), Some(machine)) = (node, machine) else { return again(self) };
        if machine == Machine::Authority && self.is_down() {
            return again(self);
        }
        self.checker.trace.fault(self.now, fault.name(), number, lasts);
        let now = self.now;
        match fault {
            _ if window => {
                *self.open.entry(fault).or_default() += 1;
                return self.queue.plan(now + lasts, Step::Heal(index));
            }
            Fault::NodeCrash => self.crash(Machine::Node(node), lasts),
            Fault::AuthorityCrash | Fault::Failover | Fault::Wipe if self.is_down() => return again(self),
            Fault::AuthorityCrash => self.crash(Machine::Authority, lasts),
            Fault::TornWrite => {
                // Counted when it comes to it.
                match machine {
                    Machine::Node(node) => self.nodes[node].doomed = true,
                    Machine::Authority => self.authority.doomed = true,
                }
                return;
            }
            Fault::Partition => self.nodes[node].cut_off_until = now + lasts,
            Fault::PartitionCrash => {
                self.nodes[node].cut_off_until = now + lasts;
                // With the first bill that only its ledger holds, and at the end in any case: counted when it comes to it.
                self.nodes[node].bills_alone = Some(0);
                let life = self.nodes[node].life;
                self.queue.plan(now + lasts * 9 / 10, Step::Crash(Machine::Node(node), life, MINUTE));
                return;
            }
            #[cfg(feature = "stores")]
            Fault::Failover | Fault::Wipe if self.shards.is_some() => {
                // Counted when it comes to it.
                if !self.fork(fault, random.bits(), lasts) {
                    again(self);
                }
                return;
            }
            Fault::Failover => {
                self.authority.crash(&mut self.machines);
                self.authority.fall_back(now, random.below(super::authority::LOST_MOST), &mut self.checker);
                self.queue.plan(now + lasts, Step::Restart(Machine::Authority, true));
            }
            Fault::ClockDrift => {
                let ppb = random.between(0, 2 * WORST_DRIFT_PPB as u64) as i64 - WORST_DRIFT_PPB;
                self.clock(machine).drift(now, ppb);
            }
            Fault::ClockStep => {
                let error = random.between(0, 2 * WORST_ERROR_MS as u64) as i64 - WORST_ERROR_MS;
                self.clock(machine).step(error);
            }
            Fault::TickStall => {
                let ticks = random.between(1, 100);
                self.nodes[node].stalled_until = now + ticks * limits::TICK_NS;
                self.stalls_until = self.stalls_until.max(self.nodes[node].stalled_until + MINUTE);
            }
            Fault::DiskFull => {
                self.disk(machine).full = true;
                // Heals the same machine, found by the same dice.
                self.full.insert(index, machine);
                self.count(fault);
                return self.queue.plan(now + lasts, Step::Heal(index));
            }
            Fault::SyncFailure => self.disk(machine).failing = random.between(1, 3) as u32,
            Fault::NodeLoss => {
                let id = self.nodes.len() as u16 + 1;
                self.crash(Machine::Node(node), Time::MAX);
                self.nodes[node].gone = true;
                let new = Node::new(id, Clock::new(now, random.between(MINUTE, DAY)), parts(self.options.authority));
                self.nodes.push(new);
                self.queue.plan(now + MINUTE, Step::Restart(Machine::Node(self.nodes.len() - 1), false));
                self.queue.plan(now + lasts, Step::Retire(node));
            }
            Fault::BudgetCut | Fault::BudgetRaise => {
                let percent = if fault == Fault::BudgetCut { random.between(5, 90) } else { random.between(110, 300) };
                let campaign = random.below(self.campaigns.len() as u64) as usize;
                self.set_budget(campaign, Some(percent as i64));
                self.queue.plan(now + lasts, Step::Restore(campaign));
            }
            Fault::SlowNode => self.nodes[node].slow_until = now + lasts,
            _ => unreachable!("a window"),
        }
        self.count(fault);
    }

    fn heal(&mut self, index: usize) {
        let fault = self.plan[index].fault;
        match self.full.remove(&index) {
            Some(machine) => self.disk(machine).full = false,
            None => *self.open.entry(fault).or_default() -= 1,
        }
    }

    fn clock(&mut self, machine: Machine) -> &mut Clock {
        match machine {
            Machine::Node(node) => &mut self.nodes[node].clock,
            Machine::Authority => &mut self.authority.clock,
        }
    }

    fn disk(&mut self, machine: Machine) -> &mut super::disk::Disk {
        match machine {
            Machine::Node(node) => &mut self.nodes[node].disk,
            Machine::Authority => &mut self.authority.disk,
        }
    }

    fn crash(&mut self, machine: Machine, lasts: Time) {
        let doomed = match machine {
            Machine::Node(node) => self.nodes[node].doomed,
            Machine::Authority => self.authority.doomed,
        };
        match machine {
            Machine::Node(node) if !self.nodes[node].up => return,
            Machine::Node(node) => {
                if self.nodes[node].bills_alone.take().is_some() {
                    self.count(Fault::PartitionCrash);
                }
                self.nodes[node].crash(&mut self.machines);
                // Sometimes the machine with it: its boot clock begins again.
                if self.machines.chance(0.3) {
                    self.nodes[node].clock.reboot(self.now);
                }
            }
            Machine::Authority if self.is_down() => return,
            #[cfg(feature = "stores")]
            Machine::Authority if self.shards.is_some() => return self.shut(lasts),
            Machine::Authority => {
                self.authority.crash(&mut self.machines);
                // What a canary lets leave early is not on disk.
            }
        }
        if doomed {
            self.count(Fault::TornWrite);
        }
        if lasts != Time::MAX {
            self.queue.plan(self.now + lasts, Step::Restart(machine, false));
        }
    }

    fn restart(&mut self, machine: Machine, lost_some: bool) {
        match machine {
            Machine::Node(node) => {
                let it = &mut self.nodes[node];
                if it.up || it.gone {
                    return;
                }
                it.start(self.now, &mut self.checker, self.machines.bits(), self.options.cores);
                self.register(node);
            }
            Machine::Authority => {
                if !self.is_down() {
                    return;
                }
                #[cfg(feature = "stores")]
                if self.shards.is_some() {
                    return self.open(lost_some);
                }
                let budgets = self.budgets();
                self.authority.start(self.now, &mut self.checker, lost_some, &budgets);
                self.queue.plan(self.now + limits::TICK_NS, Step::AuthorityTick(self.authority.life));
                self.pump_authority();
            }
        }
    }

    fn retire(&mut self, node: usize) {
        #[cfg(feature = "stores")]
        if self.shards.is_some() {
            return self.give_up(node);
        }
        let id = self.nodes[node].id;
        let Guardian { machine: Some(machine), journal, clock, .. } = &mut self.authority else {
            return self.queue.plan(self.now + 30 * SECOND, Step::Retire(node));
        };
        match machine.retire(clock.read(self.now), journal, id) {
            Ok(_) => self.checker.given_up(self.now, id.0),
            // Half a minute ago: it is on disk.
            Err(NotRetired::Already) => return,
            Err(_) => {}
        }
        self.queue.plan(self.now + 30 * SECOND, Step::Retire(node));
        self.pump_authority();
    }

    fn set_budget(&mut self, campaign: usize, percent: Option<i64>) {
        self.curves.leave_out(campaign, self.now);
        let first = self.first_budgets[campaign];
        self.campaigns[campaign].daily = Micros(percent.map_or(first.0, |percent| first.0 * percent / 100));
        let budgets = self.budgets();
        #[cfg(feature = "stores")]
        if let Some(shards) = &mut self.shards {
            shards.budgets(&budgets);
        }
        let Guardian { machine, journal, clock, .. } = &mut self.authority;
        if let Some(machine) = machine {
            machine.fund(clock.read(self.now), journal, &budgets);
            self.pump_authority();
        }
        let list = funding(&self.campaigns, self.options.strict);
        for node in 0..self.nodes.len() {
            let clock = self.nodes[node].now(self.now);
            if let Some(machine) = &mut self.nodes[node].machine {
                machine.campaigns(clock, &list);
                self.pump(node);
            }
        }
    }

    // ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    fn look(&mut self, number: u64) {
        if self.now < self.last_auction {
            self.curves.look(self.now, &self.campaigns, self.now < self.stalls_until);
            self.queue.plan(self.now + limits::TICK_NS, Step::Look(number + 1));
        }
        if number.is_multiple_of(DAY / limits::TICK_NS) {
            self.checker.recount(self.now);
        }
    }

    fn end(&mut self) {
        self.checker.finish(self.now);
        self.ended = true;
    }
}

/// How many authorities nodes talk to.
fn parts(authority: Keeper) -> Parts {
    match authority {
        Keeper::Rust => Parts::One,
        #[cfg(feature = "stores")]
        Keeper::Functions => Parts::Advertisers,
    }
}

/// Whose accounts a conversation is about, if not everybody's.
fn advertiser(part: Part) -> Option<u32> {
    match part {
        Part::All => None,
        Part::Advertiser(advertiser) => Some(advertiser.0),
    }
}
