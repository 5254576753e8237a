//! A node's machine: the production state machine of the reconciliation core, its ledger, and bid cores with the production
//! sub-leases and ids.

use std::collections::VecDeque;
use std::sync::Arc;

use super::check::Checker;
use super::disk::Disk;
use super::market::{self, Campaign, EXCHANGES, TOLD};
use super::time::{Clock, DAY, Time};
use crate::authority::message::{Register, Registered};
use crate::bid::budget::{Chances, Leases, Remainder};
use crate::ids::Snowflake;
use crate::market::random::Random;
use crate::reconcile::gauges::Gauges;
use crate::reconcile::history::History;
use crate::reconcile::pacing::curve::{Curve, PARTS};
use crate::reconcile::pacing::{Manner, Plan};
use crate::reconcile::record::Record;
use crate::reconcile::{Funding, Horizons, Parts, Reconciler, Settings, Spends};
use crate::ring::message::{Event, Noticed, Order};
use crate::snapshot::calendar::Days;
use crate::snapshot::campaign::Mode;
use crate::store::journal::Journal;
use crate::units::{CoreId, ExchangeKey, NodeId, Now, Slot};

/// Events a core's ring holds: few, so that it is full at times.
pub const RING: usize = 512;

/// A machine that bids.
#[derive(Debug)]
pub struct Node {
    /// Its number in the fleet.
    pub id: NodeId,
    /// `None` while it is down, or has no incarnation yet.
    pub machine: Option<Reconciler>,
    /// Its process runs.
    pub up: bool,
    /// It will not come back.
    pub gone: bool,
    /// How the accounts are kept.
    pub parts: Parts,
    /// Its clocks.
    pub clock: Clock,
    /// Its ledger.
    pub disk: Disk,
    /// Counts its crashes: what was planned for an earlier life does not happen.
    pub life: u32,
    /// What it registers with.
    pub asks: Register,
    /// When the authority last heard of it.
    pub heard_at: Time,
    /// It crashes during its next commit.
    pub doomed: bool,
    /// It crashes when its ledger holds bills that it cannot report; so many it holds.
    pub bills_alone: Option<u32>,
    /// Its bid cores.
    pub cores: Vec<Core>,
    /// Reading the rings is planned.
    pub polling: bool,
    /// Its reconciliation core stands still until then.
    pub stalled_until: Time,
    /// It and the authority do not reach each other until then.
    pub cut_off_until: Time,
    /// It is slow until then.
    pub slow_until: Time,
    history: History,
    told: usize,
}

/// A bid core: what is left of it when requests are reduced to their money.
#[derive(Debug)]
pub struct Core {
    /// Its sub-leases.
    pub leases: Leases,
    /// Its ids.
    pub ids: Snowflake,
    /// Its ring to the reconciliation core.
    pub events: VecDeque<Event>,
}

impl Core {
    /// Whether an event would find room.
    pub fn has_room(&self) -> bool {
        self.events.len() < RING
    }

    /// Does what an order says. A notice's answer is for the exchange.
    pub fn obey(&mut self, order: Order) -> Option<(u64, Noticed)> {
        let Core { leases, events, .. } = self;
        let mut give_back = |slot: Slot, remainder: Option<Remainder>| {
            if let Some(Remainder { lease, credit }) = remainder {
                events.push_back(Event::Returned { slot, lease, credit });
            }
        };
        match order {
            Order::Grant { slot, lease, credit, ends } => give_back(slot, leases.grant(slot, lease, credit, ends)),
            Order::Renew { until } => leases.renew(until),
            Order::Revoke { slot } => give_back(slot, leases.revoke(slot)),
            Order::Pace { slot, rate, allowance } => {
                let before = leases.pace(slot, rate, allowance).filter(|before| before.chances > 0);
                events.extend(before.map(|Chances { chances, taken, dearest }| Event::Chances {
                    slot,
                    chances,
                    taken,
                    dearest,
                }));
            }
            Order::Noticed { ticket, noticed } => return Some((ticket, noticed)),
            _ => {}
        }
        None
    }
}

impl Node {
    /// A machine that never ran.
    pub fn new(id: u16, clock: Clock, parts: Parts) -> Node {
        Node {
            id: NodeId(id),
            machine: None,
            up: false,
            gone: false,
            parts,
            clock,
            disk: Disk::default(),
            life: 0,
            asks: Register {
                node: NodeId(id),
                nonce: 0,
                workers: 0,
                horizon: 0,
                last: crate::units::Incarnation(0),
                first_booking: 0,
                next_booking: 0,
            },
            heard_at: 0,
            doomed: false,
            bills_alone: None,
            cores: Vec::new(),
            polling: false,
            stalled_until: 0,
            cut_off_until: 0,
            slow_until: 0,
            history: History::default(),
            told: 0,
        }
    }

    /// The reconciliation core's next step is not before.
    pub fn awake_at(&self, now: Time) -> Time {
        self.stalled_until.max(now)
    }

    /// Its clocks.
    pub fn now(&self, time: Time) -> Now {
        self.clock.read(time)
    }

    /// Its process starts: the ledger is replayed, and it asks for a number.
    pub fn start(&mut self, now: Time, checker: &mut Checker, nonce: u64, cores: u8) {
        let mut history = History::default();
        let mut rest = self.disk.synced();
        while let Some((_, record)) = Record::decode(&mut rest) {
            history.apply(&record);
        }
        let whole = self.disk.synced().len() - rest.len();
        self.disk.truncate(whole);
        self.tell(now, checker);
        self.up = true;
        self.asks = Reconciler::register(&settings(self.id, cores, self.parts), &history, nonce);
        self.history = history;
    }

    /// It has a number and begins.
    pub fn begin(&mut self, now: Time, registered: Registered, cores: u8, campaigns: &[Campaign], strict: bool) {
        let clock = self.clock.read(now);
        let settings = settings(self.id, cores, self.parts);
        let history = std::mem::take(&mut self.history);
        let journal = Journal::new(registered.first_worker + u16::from(cores), registered.ids_from);
        let gauges = Arc::new(Gauges::new(campaigns.len()));
        let mut machine = Reconciler::new(settings, history, journal, registered, gauges, clock);
        let exchanges = EXCHANGES.iter().chain([&TOLD]);
        let exchanges: Vec<_> = exchanges.map(|exchange| (ExchangeKey::of(exchange.name), exchange.horizon)).collect();
        machine.exchanges(clock, &exchanges);
        machine.spends(spends(campaigns));
        machine.campaigns(clock, &funding(campaigns, strict));
        self.cores = (0..u16::from(cores))
            .map(|core| Core {
                leases: Leases::new(campaigns.len()),
                ids: Snowflake::new(registered.first_worker + core, registered.ids_from),
                events: VecDeque::new(),
            })
            .collect();
        self.machine = Some(machine);
    }

    /// Its process ends. Returns whether a commit was cut short.
    pub fn crash(&mut self, random: &mut Random) -> bool {
        (self.machine, self.up, self.doomed) = (None, false, false);
        self.life += 1;
        self.cores.clear();
        (self.polling, self.stalled_until) = (false, 0);
        self.disk.crash(random)
    }

    /// Gives the state machine what the rings hold, at most so many events of each core.
    pub fn read_rings(&mut self, now: Time, most: usize, checker: &mut Checker) {
        let Some(machine) = &mut self.machine else { return };
        let clock = self.clock.read(now);
        for (index, core) in self.cores.iter_mut().enumerate() {
            for _ in 0..most {
                let Some(event) = core.events.pop_front() else { break };
                if let Event::Notice(notice) = &event {
                    super::calls::heard(now, machine.registered().incarnation, notice, checker);
                }
                machine.on_event(clock, CoreId(index as u8), event);
            }
        }
        machine.poll(clock);
    }

    /// Whether any ring holds anything.
    pub fn has_events(&self) -> bool {
        self.cores.iter().any(|core| !core.events.is_empty())
    }

    /// Tells the checkers what is on disk and they do not know; returns how many bills that are.
    pub fn tell(&mut self, now: Time, checker: &mut Checker) -> u32 {
        let mut bills = 0;
        let mut rest = &self.disk.synced()[self.told.min(self.disk.synced().len())..];
        while let Some((_, record)) = Record::decode(&mut rest) {
            if let Record::Bill { reservation, amount, .. } = record {
                checker.recorded(now, self.id.0, reservation.0, amount.0);
                bills += 1;
            }
        }
        self.told = self.disk.synced().len() - rest.len();
        bills
    }
}

fn settings(node: NodeId, cores: u8, parts: Parts) -> Settings {
    let horizons = || EXCHANGES.iter().map(|exchange| exchange.horizon);
    let (shortest, longest) = (horizons().min().unwrap_or_default(), horizons().max().unwrap_or_default());
    Settings { node, cores, horizons: Horizons { shortest, longest }, parts }
}

/// How campaigns spend: those that are paced follow the supply of the market, as if known from the day before.
fn spends(campaigns: &[Campaign]) -> Vec<Spends> {
    let part = DAY / PARTS as Time;
    let weights = std::array::from_fn(|index| (market::supply(index as Time * part + part / 2) * 1e6) as u64);
    let plan = Plan { manner: Manner::Even, curve: Curve::of(&weights) };
    let one = |(slot, campaign): (usize, &Campaign)| Spends {
        slot: Slot(slot as u32),
        plan: campaign.paced.then(|| plan.clone()),
        days: Days::utc(),
    };
    campaigns.iter().enumerate().map(one).collect()
}

/// A campaign list as nodes read it.
pub fn funding(campaigns: &[Campaign], strict: bool) -> Vec<Funding> {
    let one = |(slot, campaign): (usize, &Campaign)| Funding {
        campaign: campaign.id,
        advertiser: campaign.advertiser,
        slot: Slot(slot as u32),
        daily: campaign.daily,
        total: campaign.total,
        price: campaign.price,
        mode: if strict { Mode::Strict } else { Mode::Quantile },
        tolerance: None,
    };
    campaigns.iter().enumerate().map(one).collect()
}
