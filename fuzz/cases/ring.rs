//! What crosses between cores: an input is a list of steps of two bid cores with the production sub-leases, the production
//! reconciliation core and its authority, with the production rings between them. Messages wait, rings are full, the disk fails,
//! notices say anything that a signature may prove. Nobody panics, no account is out of its bounds, credit is where it was put, and
//! rings are queues.

use std::collections::VecDeque;
use std::sync::Arc;

use corebid::bid::budget::{Chances, Leases, Remainder};
use corebid::reconcile::gauges::Gauges;
use corebid::reconcile::history::Replayed;
use corebid::reconcile::quota::Limit;
use corebid::reconcile::record::Record;
use corebid::reconcile::solo::{Solo, Start};
use corebid::reconcile::{Funding, Horizons, Mode, Parts, Settings};
use corebid::ring::message::{Agreed, Claim, Event, Notice, NoticeKind, NoticePrice, Order, Reserved};
use corebid::ring::spsc::{Receiver, Sender, ring};
use corebid::store::journal::Batch;
use corebid::units::{
    AdvertiserId, ArmId, BidId, CampaignId, CoreId, CpmMicros, ExchangeId, ExchangeKey, Incarnation, LeaseId, Micros,
    Multiplier, Nanos, NodeId, Now, PathKey, Rate, ReservationId, Slot, Terms, UnixMillis, UserKey,
};

#[path = "support/recipe.rs"]
mod recipe;

use recipe::Recipe;

const CORES: u8 = 2;
const CAMPAIGNS: u32 = 3;
/// Few places, so that a ring is full now and then.
const PLACES: usize = 6;
/// Most of an hour before midnight.
const START: u64 = 20_000 * UnixMillis::DAY + 83_000_000;

/// A bid core, as far as its messages go.
struct Core {
    leases: Leases,
    to: Sender<Event>,
    from: Receiver<Order>,
    /// What must still be sent.
    waiting: VecDeque<Event>,
}

/// The other ends, and what is in the rings by a queue that is none.
struct Ends {
    from: Receiver<Event>,
    to: Sender<Order>,
    events: VecDeque<Event>,
    orders: VecDeque<Order>,
}

struct World {
    now: Now,
    solo: Solo,
    cores: Vec<Core>,
    ends: Vec<Ends>,
    writing: Option<Batch>,
    /// What is on disk.
    ledger: Replayed,
    claims: Vec<Claim>,
    daily: [i64; CAMPAIGNS as usize],
    next: u64,
}

impl World {
    fn new() -> World {
        let now = Now { boot: Nanos(1 << 50), wall: UnixMillis(START) };
        let settings = Settings { node: NodeId(1), cores: CORES, horizons: Horizons::default(), parts: Parts::One };
        let gauges = Arc::new(Gauges::new(CAMPAIGNS as usize));
        let start = Start { nonce: 1, ids_from: UnixMillis(0), opens: false };
        let (solo, _) =
            Solo::new(settings, Replayed::default(), start, &gauges, now).expect("an empty authority takes everybody");
        let (mut cores, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..CORES {
            let ((to, events), (orders, from)) = (ring(PLACES), ring(PLACES));
            cores.push(Core { leases: Leases::new(CAMPAIGNS as usize), to, from, waiting: VecDeque::new() });
            ends.push(Ends { from: events, to: orders, events: VecDeque::new(), orders: VecDeque::new() });
        }
        let daily = [200_000, 60_000, 20_000];
        let mut world = World {
            now,
            solo,
            cores,
            ends,
            writing: None,
            ledger: Replayed::default(),
            claims: Vec::new(),
            daily,
            next: 1 << 40,
        };
        world.solo.node.limit(&[Limit { exchange: ExchangeId(0), qps: 1000 }]);
        world.fund();
        world
    }

    fn fund(&mut self) {
        let funding = |campaign: u32| Funding {
            campaign: CampaignId(campaign),
            advertiser: AdvertiserId(campaign % 2),
            slot: Slot(campaign),
            daily: Micros(self.daily[campaign as usize]),
            total: (campaign == 1).then_some(Micros(120_000)),
            price: CpmMicros(10_000_000),
            mode: Mode::Strict,
            tolerance: None,
        };
        self.solo.campaigns(self.now, &(0..CAMPAIGNS).map(funding).collect::<Vec<_>>());
    }

    fn step(&mut self, recipe: &mut Recipe<'_>) {
        let step = recipe.u8();
        let core = usize::from(step >> 4 & 1);
        match step & 15 {
            0 | 1 => self.reserve(core, recipe),
            2 => self.notice(core, recipe),
            3 | 4 => self.send(core),
            5 | 6 => self.hear(core, recipe.u8().into()),
            7 => self.order(core),
            8 => self.obey(core, recipe.u8().into()),
            9 => self.pass(u64::from(recipe.u16())),
            10 => self.pass(u64::from(recipe.u16()) * 1000),
            11 => self.solo.tick(self.now),
            12 if self.writing.is_none() => self.writing = self.solo.node.journal().take(),
            12 => self.written(),
            13 if self.writing.is_some() => self.solo.node.disk_failed(),
            13 => {}
            14 => {
                let campaign = recipe.u8() % CAMPAIGNS as u8;
                self.daily[usize::from(campaign)] = i64::from(recipe.u16()) * 8;
                self.fund();
            }
            _ => {
                let told = recipe.u32();
                let (slot, dearest) = (Slot(told % CAMPAIGNS), Micros(told.into()));
                self.cores[core].waiting.push_back(match told & 3 {
                    0 => Event::Quota { exchange: ExchangeId(0), asked: told, returned: 0 },
                    1 => Event::Chances { slot, chances: told >> 2, taken: told >> 3, dearest },
                    _ => Event::Short { slot, lease: LeaseId(told.into()), wanted: Micros(i64::from(told >> 3)) },
                });
            }
        }
        self.solo.node.poll(self.now);
        self.solo.talk(self.now);
        self.solo.authority().books().check().expect("accounts that add up");
        for ends in &self.ends {
            assert_eq!((ends.from.waiting(), ends.to.unread()), (ends.events.len(), ends.orders.len()));
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now.boot = self.now.boot.after(ms * Nanos::MS);
        self.now.wall.0 += ms;
    }

    fn reserve(&mut self, core: usize, recipe: &mut Recipe<'_>) {
        let (slot, price) =
            (Slot(u32::from(recipe.u8()) % CAMPAIGNS), CpmMicros(1 + i64::from(recipe.u32() % 10_000_000)));
        let Core { leases, waiting, .. } = &mut self.cores[core];
        let terms = Terms::PLAIN;
        let money = terms.money(price);
        let affords = leases.affords(slot, money, self.now.boot);
        let Ok(backing) = leases.reserve(slot, money, self.now.boot) else {
            return leases.report(|event| {
                waiting.push_back(event);
                true
            });
        };
        assert!(affords && backing.valid_until > self.now.boot);
        if recipe.u8() & 7 == 0 {
            // The bid did not fit its answer.
            return leases.cancel(slot, backing, money);
        }
        self.next += 1;
        let reservation = ReservationId(self.next);
        let expires = UnixMillis(self.now.wall.0 + 7_200_000);
        let exchange = ExchangeKey(0);
        waiting.push_back(Event::Reserved(Reserved {
            reservation,
            lease: backing.lease,
            slot,
            price: money,
            expires,
            exchange,
        }));
        self.claims.push(Claim {
            reservation,
            lease: backing.lease,
            price,
            terms,
            expires,
            user: UserKey(0),
            bid: BidId([7; 16]),
            campaign: CampaignId(slot.0),
            incarnation: self.solo.node.registered().incarnation,
            node: NodeId(1),
            exchange,
            agreed: Agreed(recipe.u8() & 7),
            creative: 0,
        });
    }

    /// Of a bid that was made, of one that nobody made here, or of one that was made otherwise.
    fn notice(&mut self, core: usize, recipe: &mut Recipe<'_>) {
        let (which, how) = (usize::from(recipe.u8()), recipe.u8());
        let Some(mut claim) = (!self.claims.is_empty()).then(|| self.claims[which % self.claims.len()]) else { return };
        match how >> 4 {
            1 => claim.reservation = ReservationId(recipe.u64()),
            2 => claim.lease = LeaseId(recipe.u64() >> (recipe.u8() % 64)),
            3 => claim.price = CpmMicros(i64::from(recipe.u32())),
            4 => claim.campaign = CampaignId(recipe.u8().into()),
            5 => claim.incarnation = Incarnation(recipe.u8().into()),
            6 => claim.node = NodeId(recipe.u8().into()),
            7 => claim.expires = UnixMillis(START + u64::from(recipe.u32())),
            8 => claim.user = UserKey(recipe.u64()),
            9 => {
                claim.terms = Terms {
                    rate: Rate(1 + u64::from(recipe.u32())),
                    multiplier: Multiplier(1 + u64::from(recipe.u32())),
                }
            }
            10 => claim.agreed = Agreed(how & 7),
            _ => {}
        }
        // What no signature proves: a claim that is no money.
        if claim.terms.checked_money(claim.price).is_none() {
            return;
        }
        let price = match recipe.u8() {
            0 => NoticePrice::Empty,
            1 => NoticePrice::Audit,
            2 => NoticePrice::Unreadable,
            part => NoticePrice::Cpm(CpmMicros(claim.price.0 / 200 * i64::from(part))),
        };
        self.cores[core].waiting.push_back(Event::Notice(Notice {
            ticket: recipe.u8().into(),
            kind: NoticeKind::ALL[usize::from(how) % NoticeKind::ALL.len()],
            price,
            multiplier: claim.terms.multiplier,
            path: PathKey::NONE,
            arm: ArmId(0),
            claim,
        }));
    }

    /// A core offers what waits, as far as there is room.
    fn send(&mut self, core: usize) {
        let (Core { to, waiting, .. }, Ends { events, .. }) = (&mut self.cores[core], &mut self.ends[core]);
        while let Some(event) = waiting.pop_front() {
            let has_room = to.has_room(1);
            match to.offer(event) {
                Ok(()) => events.push_back(event),
                Err(refused) => waiting.push_front(refused.0),
            }
            if !has_room {
                assert!(events.len() == PLACES && waiting.front() == Some(&event), "a full ring refuses");
                break;
            }
        }
    }

    fn hear(&mut self, core: usize, count: usize) {
        let Ends { from, events, .. } = &mut self.ends[core];
        let mut heard = Vec::new();
        from.drain(count % 8, |event| heard.push(event));
        for event in heard {
            assert_eq!(events.pop_front(), Some(event), "a ring is a queue");
            self.solo.node.on_event(self.now, CoreId(core as u8), event);
        }
    }

    fn order(&mut self, core: usize) {
        let Ends { to, orders, .. } = &mut self.ends[core];
        let out = self.solo.node.orders(CoreId(core as u8));
        while let Some(order) = out.pop_front() {
            if let Err(refused) = to.offer(order) {
                assert_eq!(orders.len(), PLACES);
                out.push_front(refused.0);
                break;
            }
            orders.push_back(order);
        }
    }

    fn obey(&mut self, core: usize, count: usize) {
        for _ in 0..count % 8 {
            let Core { leases, from, waiting, .. } = &mut self.cores[core];
            let order = from.take();
            assert_eq!(order, self.ends[core].orders.pop_front(), "a ring is a queue");
            let Some(order) = order else { return };
            let mut back = |slot, remainder: Option<Remainder>| {
                if let Some(Remainder { lease, credit }) = remainder {
                    assert!(credit >= Micros::ZERO);
                    waiting.push_back(Event::Returned { slot, lease, credit });
                }
            };
            match order {
                Order::Grant { slot, lease, credit, ends } => {
                    let on_disk = self.ledger.books.lease(lease).map(|lease| lease.granted);
                    assert!(on_disk >= Some(credit), "a grant left before it was in the ledger");
                    back(slot, leases.grant(slot, lease, credit, ends));
                }
                Order::Revoke { slot } => back(slot, leases.revoke(slot)),
                Order::Renew { until } => leases.renew(until),
                Order::Pace { slot, rate, allowance } => {
                    if let Some(Chances { chances, taken, dearest }) = leases.pace(slot, rate, allowance) {
                        waiting.push_back(Event::Chances { slot, chances, taken, dearest });
                    }
                }
                _ => {}
            }
        }
    }

    /// What is on disk comes to the same accounts.
    fn written(&mut self) {
        let Some(batch) = self.writing.take() else { return };
        let mut bytes = &batch.bytes[..];
        while let Some((_, record)) = Record::decode(&mut bytes) {
            self.ledger.apply(&record).expect("a record that follows from those before it");
        }
        assert!(bytes.is_empty());
        self.solo.durable(self.now, batch.upto);
    }
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let (mut world, mut recipe) = (World::new(), Recipe(input));
    for _ in 0..400 {
        if recipe.is_over() {
            break;
        }
        world.step(&mut recipe);
    }
    world.solo.tick(world.now);
    world.solo.talk(world.now);
    world.solo.authority().books().check().expect("accounts that add up");
}
