//! The authority of a fleet at its messages: what it makes of reports that are overtaken, come in pieces, or do not know what
//! others booked; and a node that tells it only of what is on its own disk.

use std::sync::Arc;

use corebid::authority::books::Books;
use corebid::authority::message::{Answer, Ask, Booked, Booking, LeaseReport, Part, Register, Registered, Report};
use corebid::authority::{Authority, Budget};
use corebid::ids::Snowflake;
use corebid::limits;
use corebid::reconcile::gauges::Gauges;
use corebid::reconcile::history::History;
use corebid::reconcile::record::{Marks, NO_NUMBER, Record};
use corebid::reconcile::{Funding, Horizons, Mode, Parts, Reconciler, Settings};
use corebid::ring::message::{Agreed, Claim, Event, Notice, NoticeKind, NoticePrice, Order, Reserved};
use corebid::store::journal::Journal;
use corebid::units::*;

const CAMPAIGN: CampaignId = CampaignId(7);
/// A hundredth of a unit an impression.
const PRICE: CpmMicros = CpmMicros(10_000_000);
const BID: Micros = Micros(10_000);
const DAILY: Micros = Micros(1_000_000);
const NOW: Now = Now { boot: Nanos(3_600 * Nanos::SECOND), wall: UnixMillis(20_000 * UnixMillis::DAY + 3_600_000) };

/// An authority and its journal.
struct Fleet {
    authority: Authority,
    journal: Journal,
    reports: u64,
}

impl Fleet {
    fn new() -> Fleet {
        let (mut authority, mut journal) = (Authority::new(Books::default()), Journal::new(1_000, UnixMillis(0)));
        let (advertiser, total, tolerance) = (AdvertiserId(1), None, None);
        let budget =
            Budget { campaign: CAMPAIGN, advertiser, daily: DAILY, total, price: PRICE, strict: true, tolerance };
        authority.fund(NOW, &mut journal, &[budget]);
        Fleet { authority, journal, reports: 0 }
    }

    fn register(&mut self, node: u16) -> Registered {
        let (node, nonce, horizon) = (NodeId(node), u64::from(node), limits::H2_MS);
        let ask =
            Register { node, nonce, workers: 2, horizon, last: Incarnation(0), first_booking: 0, next_booking: 0 };
        self.authority.register(NOW, &mut self.journal, ask).unwrap()
    }

    /// A report of a node with one lease, as `change` has it.
    fn report(&mut self, node: u16, registered: &Registered, change: impl FnOnce(&mut Report)) -> Answer {
        self.reports += 1;
        let lease = self.authority.books().lease_of(registered.incarnation, CAMPAIGN, NOW.wall.day());
        let mut report = Report {
            node: NodeId(node),
            incarnation: registered.incarnation,
            number: self.reports,
            sent: NOW.boot,
            leases: vec![LeaseReport { lease, least: BID, ..LeaseReport::new(CAMPAIGN, NOW.wall.day()) }],
            ..Report::default()
        };
        change(&mut report);
        (report.from, report.upto) = match &report.bookings[..] {
            [first, .., last] => (first.number, last.number + 1),
            [one] => (one.number, one.number + 1),
            [] => (0, 0),
        };
        self.authority.report(NOW, &mut self.journal, &report)
    }

    /// A node with a lease of ten bids.
    fn lease(&mut self, node: u16) -> (Registered, LeaseId) {
        let registered = self.register(node);
        let answer = self.report(node, &registered, |report| report.leases[0].wanted = Micros(10 * BID.0));
        assert_eq!(answer.leases[0].granted, Micros(10 * BID.0));
        (registered, answer.leases[0].lease.unwrap())
    }

    /// What was settled that day, and what can still be billed.
    fn account(&self) -> (Micros, Micros) {
        self.authority.books().check().unwrap();
        let account = self.authority.books().day(CAMPAIGN, NOW.wall.day());
        (account.settled, account.charged)
    }
}

/// The bill of a bid at half its price.
fn booking(number: u64, of: &Registered, lease: LeaseId, bid: u64) -> Booking {
    Booking {
        number,
        reservation: ReservationId(Snowflake::new(of.first_worker, of.ids_from).following(NOW.wall).0 + bid),
        lease,
        campaign: CAMPAIGN,
        exchange: ExchangeKey(0),
        reserved: BID,
        amount: Micros(BID.0 / 2),
        expires: UnixMillis(NOW.wall.0 + limits::H2_MS),
        freed: false,
        asked: None,
    }
}

const fn bids(bids: i64) -> Micros {
    Micros(bids * BID.0)
}

/// A lease is not closed under a bill that its node has not told yet.
#[test]
fn a_lease_is_closed_when_all_bookings_are_there() {
    let mut fleet = Fleet::new();
    let (node, lease) = fleet.lease(1);
    fleet.report(1, &node, |report| {
        report.next_booking = 2;
        report.bookings = vec![booking(0, &node, lease, 0)];
        report.leases[0].released = bids(8);
        report.leases[0].done = true;
    });
    assert_eq!(fleet.account(), (Micros(BID.0 / 2), Micros(BID.0 + BID.0 / 2)), "what it has not told stays charged");
    assert!(fleet.authority.books().lease(lease).is_some());
    fleet.report(1, &node, |report| {
        report.next_booking = 2;
        report.bookings = vec![booking(1, &node, lease, 1)];
        report.leases[0].released = bids(8);
        report.leases[0].done = true;
    });
    assert_eq!(fleet.account(), (bids(1), Micros::ZERO));
    assert_eq!(fleet.authority.books().lease(lease), None);
}

/// A node frees what was silent for too long; that it was billed elsewhere it learns from the answer.
#[test]
fn what_others_booked_is_not_released_by_who_has_not_heard_of_it() {
    let mut fleet = Fleet::new();
    let (node, lease) = fleet.lease(1);
    let other = fleet.register(2);
    let asked =
        Ask { ticket: 5, node: NodeId(1), incarnation: node.incarnation, booking: booking(NO_NUMBER, &node, lease, 0) };
    for safe in [Booked::Safe, Booked::Before(Micros(BID.0 / 2))] {
        let answer = fleet.report(2, &other, |report| {
            report.leases.clear();
            report.asks = vec![asked];
        });
        assert_eq!(answer.asked, [(5, safe)]);
    }
    let left = Micros(10 * BID.0 - BID.0 / 2);
    let answer = fleet.report(1, &node, |report| {
        report.leases[0].released = bids(8);
        report.leases[0].done = true;
    });
    assert_eq!(fleet.account(), (Micros(BID.0 / 2), bids(2)), "eight are released, less the bill it has not heard of");
    let [foreign] = &answer.foreign[..] else { panic!("{answer:?}") };
    assert_eq!((foreign.lease, foreign.reservation), (lease, asked.booking.reservation));
    let seen = foreign.number;
    fleet.report(1, &node, |report| {
        report.foreign_seen = seen;
        report.leases[0].released = left;
        report.leases[0].done = true;
    });
    assert_eq!(fleet.account(), (Micros(BID.0 / 2), Micros::ZERO));
    assert_eq!(fleet.authority.books().lease(lease), None);
}

/// One that is missing may be a bill that was acknowledged: those after it wait.
#[test]
fn bookings_are_taken_in_their_order_and_once() {
    let mut fleet = Fleet::new();
    let (node, lease) = fleet.lease(1);
    let [first, second, again] = [(0, 0), (1, 1), (2, 0)].map(|(number, bid)| booking(number, &node, lease, bid));
    let told: [(&[Booking], u64, i64); 5] = [
        (&[second], 0, 0),
        (&[second, first], 0, 0),
        (&[first, second], 2, 2),
        (&[first, second], 2, 2),
        (&[again], 3, 2),
    ];
    for (bookings, booked, bills) in told {
        let answer = fleet.report(1, &node, |report| report.bookings = bookings.to_vec());
        assert_eq!((answer.booked, fleet.account().0), (booked, Micros(bills * BID.0 / 2)), "{bookings:?}");
    }
}

#[test]
fn a_report_that_was_overtaken_moves_no_lease() {
    let mut fleet = Fleet::new();
    let (node, lease) = fleet.lease(1);
    fleet.reports += 10;
    fleet.report(1, &node, |report| report.leases[0].released = bids(2));
    assert_eq!(fleet.account(), (Micros::ZERO, bids(8)));
    let number = fleet.reports - 3;
    let answer = fleet.report(1, &node, |report| {
        report.number = number;
        report.bookings = vec![booking(0, &node, lease, 0)];
        report.leases[0].released = bids(5);
        report.leases[0].wanted = bids(5);
    });
    assert_eq!((answer.booked, answer.leases.len()), (1, 0), "what is booked is true whenever it is heard");
    assert_eq!(fleet.account(), (Micros(BID.0 / 2), Micros(8 * BID.0 - BID.0 / 2)));
}

/// What the authority was told of must not be forgotten here: a report between ticks says nothing of a bill that is still
/// being written, and that of a tick waits for it.
#[test]
fn a_node_reports_what_is_on_its_disk() {
    let mut fleet = Fleet::new();
    let registered = fleet.register(1);
    let settings = Settings { node: NodeId(1), cores: 1, horizons: Horizons::default(), parts: Parts::One };
    let (journal, gauges) = (Journal::new(1, UnixMillis(0)), Arc::new(Gauges::new(1)));
    let mut node = Reconciler::new(settings, History::default(), journal, registered, gauges, NOW);
    let written = |node: &mut Reconciler| {
        while let Some(batch) = node.journal().take() {
            node.durable(batch.upto);
        }
    };
    let (slot, total, mode, tolerance) = (Slot(0), None, Mode::Strict, None);
    let (campaign, advertiser) = (CAMPAIGN, AdvertiserId(1));
    node.campaigns(NOW, &[Funding { campaign, advertiser, slot, daily: DAILY, total, price: PRICE, mode, tolerance }]);
    written(&mut node);
    let report = node.report(NOW).expect("it wants money");
    let answer = fleet.authority.report(NOW, &mut fleet.journal, &report);
    node.answer(NOW, &answer);
    let grant = node.orders(CoreId(0)).iter().find_map(|order| match order {
        Order::Grant { lease, .. } => Some(*lease),
        _ => None,
    });
    let lease = grant.expect("a grant");
    let booking = booking(0, &registered, lease, 0);
    let (reservation, expires, exchange) = (booking.reservation, booking.expires, ExchangeKey(0));
    node.on_event(
        NOW,
        CoreId(0),
        Event::Reserved(Reserved { reservation, lease, slot, price: BID, expires, exchange }),
    );
    let claim = Claim {
        reservation,
        lease,
        price: PRICE,
        terms: Terms::PLAIN,
        expires,
        user: UserKey::NOBODY,
        bid: BidId([9; 16]),
        campaign,
        incarnation: registered.incarnation,
        node: NodeId(1),
        exchange,
        agreed: Agreed::NOTHING,
        creative: 0,
    };
    let (kind, price) = (NoticeKind::Bill, NoticePrice::Cpm(CpmMicros(PRICE.0 / 2)));
    let (multiplier, path) = (Multiplier::ONE, PathKey::NONE);
    node.on_event(
        NOW,
        CoreId(0),
        Event::Notice(Notice { ticket: 1, kind, price, multiplier, path, arm: ArmId(0), claim }),
    );
    node.on_event(NOW, CoreId(0), Event::Short { slot, lease, wanted: bids(60) });
    node.poll(NOW);
    let between = node.report(NOW).expect("it wants more");
    assert_eq!((between.bookings.len(), between.next_booking, between.leases.len()), (0, 0, 1));
    node.tick(NOW);
    assert_eq!(node.report(NOW), None, "the tick's report waits for the disk");
    written(&mut node);
    let report = node.report(NOW).expect("the tick's report");
    assert_eq!((&report.bookings[..], report.next_booking), (&[booking][..], 1));
}

/// Bills of a campaign that is not listed any more when the next process begins are told to those who keep its accounts, by what
/// the ledger says of whose it was; and it cannot be listed as another's.
#[test]
fn what_was_billed_is_reported_though_its_campaign_is_gone() {
    let mut fleet = Fleet::new();
    let registered = fleet.register(1);
    let settings = Settings { node: NodeId(1), cores: 1, horizons: Horizons::default(), parts: Parts::Advertisers };
    let begin = |history| {
        let (journal, gauges) = (Journal::new(1, UnixMillis(0)), Arc::new(Gauges::new(1)));
        Reconciler::new(settings, history, journal, registered, gauges, NOW)
    };
    let ledger = |node: &mut Reconciler| {
        let (mut bytes, mut history) = (Vec::new(), History::default());
        while let Some(batch) = node.journal().take() {
            node.durable(batch.upto);
            bytes.extend(batch.bytes);
        }
        let mut rest = &bytes[..];
        while let Some((_, record)) = Record::decode(&mut rest) {
            history.apply(&record);
        }
        history
    };
    let (slot, total, mode, tolerance) = (Slot(0), None, Mode::Strict, None);
    let funding = |advertiser| Funding {
        campaign: CAMPAIGN,
        advertiser: AdvertiserId(advertiser),
        slot,
        daily: DAILY,
        total,
        price: PRICE,
        mode,
        tolerance,
    };
    let mut node = begin(History::default());
    node.campaigns(NOW, &[funding(1)]);
    let mut history = ledger(&mut node);
    let booked = booking(0, &registered, LeaseId(5), 0);
    let &Booking { number, reservation, lease, campaign, exchange, reserved, amount, expires, .. } = &booked;
    let (bid, wall, marks, epoch) = (BidId([9; 16]), NOW.wall, Marks::BILLED, Epoch(0));
    history.apply(&Record::Bill {
        number,
        reservation,
        lease,
        campaign,
        exchange,
        bid,
        price: CpmMicros(PRICE.0 / 2),
        reserved,
        amount,
        expires,
        wall,
        marks,
        epoch,
    });

    // The same from the opening of a new segment.
    let mut opened = History::default();
    history.opening().for_each(|record| opened.apply(&record));
    assert_eq!(opened, history);
    for history in [history.clone(), opened] {
        let mut node = begin(history);
        node.campaigns(NOW, &[]);
        node.tick(NOW);
        let _ = ledger(&mut node);
        let report = node.report(NOW).expect("a report of the bill");
        assert_eq!((report.part, &report.bookings[..]), (Part::Advertiser(AdvertiserId(1)), &[booked][..]));
        assert_eq!(node.report(NOW), None, "and nobody else is told");
    }

    let mut node = begin(history);
    node.campaigns(NOW, &[funding(2)]);
    node.tick(NOW);
    let _ = ledger(&mut node);
    let parts: Vec<_> = std::iter::from_fn(|| node.report(NOW)).map(|report| report.part).collect();
    assert_eq!(parts, [Part::Advertiser(AdvertiserId(1))], "it is not another's");
}
