//! What a bid core answers to HTTP: bid requests, notices, the ready probe; and the orders it carries out between them.

use crate::bid::audit::Auditor;
use crate::bid::budget::Chances;
use crate::bid::busy::BusyWork;
use crate::bid::flight::{FlightRecorder, Tail};
use crate::bid::miss::Ticket;
use crate::bid::net::Class;
use crate::bid::notices::Pending;
use crate::bid::paper::{Heard, INVALID_RESPONSE};
use crate::bid::probe::{SAMPLE, StageTimer};
use crate::bid::response_rate::Rates;
use crate::bid::server::{Counters, Served, Service, Token, Turn};
use crate::bid::tap::Tap;
use crate::bid::traced::Traced;
use crate::bid::turn_book::{Answered, TurnBook};
use crate::bid::{Ask, BidCore, Outcome, admit};
use crate::clock;
use crate::config::exchange::OverQuota;
use crate::limits;
use crate::metrics::core::CoreMetrics;
use crate::metrics::flight::Ended;
use crate::metrics::stalls::witness::Witness;
use crate::metrics::stalls::{Long, Round};
use crate::profile::count::Periods;
use crate::profile::fetched::{FetchOutcome, Fetched, Told};
use crate::ring::message::{Event, Notice, Noticed, Order};
use crate::ring::spsc::{BoxReceiver, BoxSender, OrderReceiver, Receiver, Refused, Sender};
use crate::ring::wake::{Wake, Waker};
use crate::snapshot::Snapshot;
use crate::units::{ExchangeId, Nanos, Now};
use crate::usdt::{self, Ending};
use crate::wire::gzip::{Deflater, Inflater, Unreadable};
use crate::wire::http::answer::{self, Empty, Open};
use crate::wire::http::{Encoding, Method, Persistence, Request};
use crate::wire::openrtb::nobid::NoBidReason;

/// A bid core as its loop sees it.
#[derive(Debug)]
pub struct Bidder {
    core: BidCore,
    inflater: Inflater,
    deflater: Deflater,
    pending: Pending,
    orders: OrderReceiver,
    arriving: BoxReceiver<Snapshot>,
    retired: BoxSender<Snapshot>,
    stores: Option<Stores>,
    witness: Witness,
    tap: Tap,
    /// Whose bid requests wait for a profile.
    parked: Vec<Parked>,
    metrics: &'static CoreMetrics,
    /// Bid requests that were answered in this turn.
    book: TurnBook,
    /// The same, in case they took too long.
    flights: FlightRecorder,
    /// Of the last request.
    class: Class,
    /// How many answers come too late, by exchange.
    rates: Rates,
    health: Health,
    /// Whether `x-debug: 1` is answered with the reason.
    debug_header: bool,
    busy_work: BusyWork,
    until_sample: u32,
    draining: bool,
}

/// A bid core's ends of the rings to and from the stores thread, but for the one by which it asks
/// ([`crate::bid::miss::Source`]).
#[derive(Debug)]
pub struct Stores {
    /// Users it asked for, and what it may ask for.
    pub told: Receiver<Told>,
    /// Boxes to be wiped and freed there.
    pub returned: BoxSender<Fetched>,
    /// Wakes the thread when a turn asked for users.
    pub waker: Waker,
}

/// The connection of a parked bid request, and how its answer begins.
#[derive(Clone, Copy, Debug)]
struct Parked {
    token: Token,
    exchange: Option<ExchangeId>,
    framed: Nanos,
    ticket: Ticket,
    framing: Framing,
}

/// What the head of a bid request says of its answer.
#[derive(Clone, Copy, Debug)]
struct Framing {
    persistence: Persistence,
    debug: bool,
    accepts_gzip: bool,
}

/// Where it is asked whether a bidder is well, and what it says: a load balancer's, or a managed network's, own choice.
#[derive(Clone, Debug)]
pub struct Health {
    /// The path.
    pub path: Box<str>,
    /// The status for yes.
    pub ok: u16,
    /// The status for no: the core has no lease, or is draining.
    pub not_ready: u16,
}

/// What a bidder is besides its core.
#[derive(Debug)]
pub struct Fittings {
    /// From the reconciliation core.
    pub orders: OrderReceiver,
    /// Snapshots to swap in.
    pub arriving: BoxReceiver<Snapshot>,
    /// Snapshots to be freed elsewhere.
    pub retired: BoxSender<Snapshot>,
    /// To and from the stores thread, if there is one.
    pub stores: Option<Stores>,
    /// Where long turns of its loop are told.
    pub stalls: Sender<Long>,
    /// Where requests are copied to while a capture is on.
    pub tap: Tap,
    /// Where bid requests are told that took too long.
    pub tail: Tail,
    /// What says whether it is well.
    pub health: Health,
    /// See [`Bidder`].
    pub debug_header: bool,
    /// Extra work for each bid request, to calibrate performance gates with.
    pub busy_work: BusyWork,
}

/// Notices take turns with the exchanges' requests, as one more of them. 0 is for what is neither.
const NOTICES: Class = Class(1);

fn class_of(exchange: ExchangeId) -> Class {
    Class(u16::from(exchange.0) + 2)
}

/// Orders carried out in one turn at most: a burst of grants must not make requests wait.
const ORDERS_PER_TURN: usize = 256;
/// Users taken up in one turn at most: each is copied into the shard, and resumes requests.
const FETCHED_PER_TURN: usize = 128;

impl Bidder {
    /// A bidder around a core, on the thread that runs it.
    pub fn new(core: BidCore, fittings: Fittings) -> Bidder {
        let Fittings { orders, arriving, retired, stores, stalls, tap, tail, health, debug_header, busy_work } =
            fittings;
        let metrics = core.metrics;
        let rates = Rates::new(core.exchanges.iter().count());
        let pending = Pending::new();
        Bidder {
            core,
            inflater: Inflater::new(limits::BODY_BYTES),
            deflater: Deflater::new(limits::ANSWER_BUFFER),
            pending,
            orders,
            arriving,
            retired,
            parked: Vec::with_capacity(if stores.is_some() { limits::PARKED_BIDS } else { 0 }),
            stores,
            witness: Witness::open(stalls),
            tap,
            metrics,
            book: TurnBook::new(tail.threshold_ns),
            flights: FlightRecorder::new(tail),
            class: Class::default(),
            rates,
            health,
            debug_header,
            busy_work,
            until_sample: SAMPLE,
            draining: false,
        }
    }

    fn bid_request(
        &mut self,
        now: Now,
        arrived: Nanos,
        token: Token,
        path: &[u8],
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Served {
        usdt::request_begins(arrived, now.boot);
        self.metrics.requests.add(1);
        if self.core.stalls.delayed(arrived) {
            self.metrics.stalled_requests.add(1);
        }
        let exchange = self.core.exchanges.by_path(path).map(|exchange| exchange.id);
        self.class = exchange.map_or(Class::default(), class_of);
        if self.tap.is_due() {
            self.tap.copy(arrived, token, exchange, request, self.metrics);
        }
        self.core.due = arrived.after(limits::DEADLINE_NS);
        self.flights.begin();
        let served = match self.is_too_late(now, arrived, exchange) {
            Some(reason) => match self.no_bid(reason, request, out) {
                Served::Done(length) => Served::Shed(length),
                other => other,
            },
            None => self.decide(now, arrived, (token, exchange), path, request, out),
        };
        if served != Served::Parked {
            self.note(exchange, request.body.len(), arrived, now.boot, None);
        }
        usdt::request_done(arrived, ending(served));
        served
    }

    /// Why a request is answered unread, if it is: it waited for so long that its answer would come too late. This costs what the
    /// floor costs, whatever its body says, so that a core that cannot serve everybody keeps its time for those whom it can.
    #[inline]
    fn is_too_late(&self, now: Now, arrived: Nanos, exchange: Option<ExchangeId>) -> Option<NoBidReason> {
        let limit_ns = self.rates.age_limit_ns(exchange?);
        admit::in_time(now, arrived, self.book.service_ns(), limit_ns, &self.core.stalls).err()
    }

    /// A bid request of so many bytes is answered, after having waited for so long for its user if it did, ns.
    #[inline]
    fn note(
        &mut self,
        exchange: Option<ExchangeId>,
        bytes: usize,
        arrived: Nanos,
        framed: Nanos,
        parked_ns: Option<u64>,
    ) {
        let answered = Answered { exchange, arrived, framed, due: self.core.due, parked: parked_ns.is_some() };
        self.book.answered(answered, &mut self.rates, self.metrics);
        self.flights.end(exchange, bytes, arrived, framed, parked_ns.unwrap_or(0));
    }

    fn decide(
        &mut self,
        now: Now,
        arrived: Nanos,
        (token, id): (Token, Option<ExchangeId>),
        exchange: &[u8],
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Served {
        self.busy_work.add();
        let head = Open::start(out, "application/json", request.persistence, request.openrtb_version);
        let Some(head) = head else { return self.no_bid(NoBidReason::NoRoom, request, out) };
        let body = match request.encoding {
            Encoding::Identity => request.body,
            Encoding::Other => return self.no_bid(NoBidReason::Encoding, request, out),
            Encoding::Gzip => {
                if let Err(reason) = self.is_worth_unpacking(now, exchange) {
                    return self.no_bid(reason, request, out);
                }
                self.metrics.inflated.add(1);
                match self.inflater.inflate(request.body) {
                    Ok(body) => body,
                    Err(Unreadable::Damaged) => return self.broken(request, out),
                    Err(Unreadable::TooLong) => {
                        self.metrics.oversized.add(1);
                        return done(answer::empty(out, Empty::ContentTooLarge, request.persistence));
                    }
                }
            }
        };
        let ask = Ask { exchange, body, arrived };
        let response = &mut out[head.body()..];
        self.until_sample -= 1;
        let outcome = if self.until_sample == 0 {
            self.until_sample = SAMPLE;
            self.core.handle(now, ask, response, &mut Traced(&mut StageTimer::new(self.metrics, self.flights.stamps())))
        } else {
            self.core.handle(now, ask, response, &mut Traced(self.flights.stamps()))
        };
        if let Outcome::Parked(ticket) = outcome {
            self.core.misses.note(ticket, request.openrtb_version);
            let Request { persistence, debug, accepts_gzip, .. } = *request;
            let framing = Framing { persistence, debug, accepts_gzip };
            self.parked.push(Parked { token, exchange: id, framed: now.boot, ticket, framing });
            self.metrics.parked.add(1);
            return Served::Parked;
        }
        let refusal =
            refusal(&mut self.core, self.debug_header && request.debug, ask, outcome, &mut out[head.body()..]);
        self.conclude(outcome, refusal, exchange, request, &head, out)
    }

    /// Decides a parked bid request again.
    fn bid_again(&mut self, now: Now, parked: Parked, out: &mut [u8]) -> Served {
        let Parked { exchange, framed, ticket, framing: Framing { persistence, debug, accepts_gzip }, .. } = parked;
        let kept = self.core.misses.take(ticket).expect("it was parked under this ticket");
        self.flights.begin();
        let ask = kept.ask();
        usdt::request_begins(ask.arrived, now.boot);
        let openrtb_version = kept.note();
        let (method, encoding) = (Method::Post, Encoding::Identity);
        let (path, body) = (&b""[..], ask.body);
        let request = &Request { method, path, body, debug, openrtb_version, encoding, accepts_gzip, persistence };
        let served = match Open::start(out, "application/json", persistence, openrtb_version) {
            None => self.no_bid(NoBidReason::NoRoom, request, out),
            Some(head) => {
                let outcome = self.core.resume(now, &kept, &mut out[head.body()..], &mut Traced(self.flights.stamps()));
                let refusal =
                    refusal(&mut self.core, self.debug_header && request.debug, ask, outcome, &mut out[head.body()..]);
                self.conclude(outcome, refusal, ask.exchange, request, &head, out)
            }
        };
        let (arrived, bytes) = (ask.arrived, ask.body.len());
        self.core.misses.give_back(kept);
        self.note(exchange, bytes, arrived, framed, Some(now.boot.since(framed)));
        usdt::request_done(arrived, ending(served));
        served
    }

    /// Turns a decision into an answer. `refusal` is the length of a body that says why there is no bid.
    #[inline]
    fn conclude(
        &mut self,
        outcome: Outcome,
        refusal: Option<usize>,
        exchange: &[u8],
        request: &Request<'_>,
        head: &Open,
        out: &mut [u8],
    ) -> Served {
        match outcome {
            Outcome::Bid { length, valid_until } => {
                self.metrics.bids.add(1);
                self.flights.ends(Ended::Bid);
                let length = match self.pack(exchange, request, head, length, out) {
                    Some(packed) => packed,
                    None => head.finish(out, length),
                };
                Served::Bid { length, valid_until }
            }
            Outcome::NoBid(reason) => match refusal {
                Some(length) => {
                    self.metrics.nobid(reason).add(1);
                    self.flights.ends(Ended::NoBid(reason));
                    Served::Done(head.finish(out, length))
                }
                None => self.no_bid(reason, request, out),
            },
            Outcome::Broken => self.broken(request, out),
            Outcome::Parked(_) => unreachable!("a request is parked once, and answered after that"),
        }
    }

    /// What admission refuses whatever the body says is refused before the body is unpacked, which costs more than the rest
    /// of the decision. Counts nothing against a limit: [`BidCore::handle`] admits the request in its turn.
    fn is_worth_unpacking(&mut self, now: Now, exchange: &[u8]) -> Result<(), NoBidReason> {
        let exchange = self.core.exchanges.by_path(exchange).ok_or(NoBidReason::UnknownExchange)?;
        if !exchange.rules.gzip_requests {
            return Err(NoBidReason::Encoding);
        }
        if !self.core.leases.fresh(now.boot) {
            return Err(NoBidReason::NoLease);
        }
        if exchange.limited && self.core.quotas.refuses(exchange.id, now.boot) {
            Err(NoBidReason::Quota)
        } else {
            Ok(())
        }
    }

    /// Compresses the bid response of `length` bytes behind `head`, and says how long the answer is; `None` if it stays as
    /// it is. The loop looks at the bid's deadline afterwards.
    #[inline]
    fn pack(
        &mut self,
        exchange: &[u8],
        request: &Request<'_>,
        head: &Open,
        length: usize,
        out: &mut [u8],
    ) -> Option<usize> {
        if !request.accepts_gzip
            || length < limits::GZIP_FROM
            || !self.core.exchanges.by_path(exchange)?.rules.gzip_responses
        {
            return None;
        }
        let most = length - answer::CONTENT_ENCODING_GZIP.len();
        let packed = self.deflater.deflate(&out[head.body()..head.body() + length], most)?;
        let head = Open::start_gzip(out, "application/json", request.persistence, request.openrtb_version)
            .expect("a longer answer fits");
        out[head.body()..head.body() + packed.len()].copy_from_slice(packed);
        self.metrics.deflated.add(1);
        Some(head.finish(out, packed.len()))
    }

    fn broken(&self, request: &Request<'_>, out: &mut [u8]) -> Served {
        self.metrics.broken.add(1);
        done(answer::empty(out, Empty::BadRequest, request.persistence))
    }

    #[inline]
    fn no_bid(&mut self, reason: NoBidReason, request: &Request<'_>, out: &mut [u8]) -> Served {
        self.metrics.nobid(reason).add(1);
        self.flights.ends(Ended::NoBid(reason));
        if reason == NoBidReason::Quota && self.is_told_of_quotas(request.path) {
            return done(answer::empty(out, Empty::TooManyRequests, request.persistence));
        }
        let said = (self.debug_header && request.debug).then(|| reason.label());
        done(answer::no_bid(out, request.persistence, request.openrtb_version, said))
    }

    /// Whether the exchange of this path hears of its limit by a status of its own.
    fn is_told_of_quotas(&self, path: &[u8]) -> bool {
        let exchange =
            path.strip_prefix(b"/openrtb/").and_then(|path| self.core.exchanges.by_path(without_query(path)));
        exchange.is_some_and(|exchange| exchange.rules.over_quota == OverQuota::TooMany)
    }

    fn notice(&mut self, arrived: Nanos, token: Token, request: &Request<'_>, out: &mut [u8]) -> Served {
        let Some(heard @ Heard { kind, price, multiplier, path, arm, loss, claim, .. }) =
            self.core.paper.read(request.path, &self.core.exchanges)
        else {
            self.metrics.notices_forged.add(1);
            return done(answer::empty(out, Empty::Forbidden, request.persistence));
        };
        self.metrics.notice_of(kind).add(1);
        if loss == Some(INVALID_RESPONSE)
            && let Some(exchange) = self.core.exchanges.by_key(claim.exchange)
        {
            self.rates.invalid(exchange.id, self.metrics);
        }
        let refused = !self.pending.has_room() || {
            let ticket = self.pending.park(token, arrived, request.persistence);
            self.core.events.offer(Event::Notice(Notice { ticket, kind, price, multiplier, path, arm, claim })).is_err()
        };
        if refused {
            self.pending.take(token);
            self.metrics.notices_refused.add(1);
            return done(answer::empty(out, Empty::Unavailable, request.persistence));
        }
        self.core.tell(&heard);
        Served::Parked
    }

    fn carry_out(&mut self, now: Now, order: Order, ready: &mut Vec<Token>) {
        let core = &mut self.core;
        match order {
            Order::Grant { slot, lease, credit, ends } => {
                if let Some(left) = core.leases.grant(slot, lease, credit, ends) {
                    let event = Event::Returned { slot, lease: left.lease, credit: left.credit };
                    core.events.offer(event).expect("an order is taken only when its answer has room");
                }
            }
            Order::Revoke { slot } => {
                if let Some(left) = core.leases.revoke(slot) {
                    let event = Event::Returned { slot, lease: left.lease, credit: left.credit };
                    core.events.offer(event).expect("an order is taken only when its answer has room");
                }
            }
            Order::Renew { until } => {
                core.leases.renew(until);
                self.metrics.leased_until_ns.set(until.0);
            }
            Order::Pace { slot, rate, allowance } => {
                let before = core.leases.pace(slot, rate, allowance);
                if let Some(Chances { chances, taken, dearest }) = before.filter(|before| before.chances > 0) {
                    let event = Event::Chances { slot, chances, taken, dearest };
                    core.events.offer(event).expect("an order is taken only when its answer has room");
                }
            }
            Order::Counted { user, shown, at } => core.frequency.counted(user, &shown, Periods::at(at), now),
            Order::Erase { user } => {
                // What was fetched before the user's key was destroyed is in the ring by now, and nothing is that comes later.
                self.take_up(now, true, ready);
                self.core.erase(user);
            }
            Order::Noticed { ticket, noticed } => {
                ready.extend(self.pending.decide(ticket, noticed));
            }
            Order::Quota { exchange, more, keep } => core.quotas.order(exchange, more, keep),
            Order::Curve { cell, curve } => core.shades.learn(cell, curve),
            Order::Drain => self.draining = true,
        }
    }

    /// Takes up what the stores thread brought, `all` of it or a turn's worth, names the requests that can go on, and wakes it for
    /// those who are asked for.
    fn take_up(&mut self, now: Now, all: bool, ready: &mut Vec<Token>) {
        let Bidder { core: BidCore { misses, profiles, frequency, .. }, stores: Some(stores), parked, metrics, .. } =
            self
        else {
            return;
        };
        let mut go_on = |ticket: Ticket| {
            let parked = parked.iter().find(|parked| parked.ticket == ticket);
            ready.push(parked.expect("it was parked under this ticket").token);
        };
        for _ in 0..if all { usize::MAX } else { FETCHED_PER_TURN } {
            if !all && !stores.returned.has_room(1) {
                break;
            }
            match stores.told.take() {
                None => break,
                Some(Told::Asking(asking)) => misses.ask_for(asking),
                Some(Told::Fetched(fetched)) => {
                    match &fetched.outcome {
                        FetchOutcome::Profile(value) => profiles.promote(fetched.user, Some(value), now.boot),
                        FetchOutcome::Nothing => profiles.promote(fetched.user, None, now.boot),
                        FetchOutcome::Failed => {}
                    }
                    if let Some(counts) = &fetched.counts {
                        frequency.load(fetched.user, counts, now);
                    }
                    metrics.fetched.add(1);
                    metrics.resumed.add(misses.fetched(fetched.user, &mut go_on) as u64);
                    if let Err(Refused(fetched)) = stores.returned.offer(fetched) {
                        drop(fetched);
                    }
                }
            }
        }
        metrics.waited_in_vain.add(misses.expire(now.boot, &mut go_on) as u64);
        if misses.take_unsaid() {
            stores.waker.wake();
        }
    }

    /// Takes a connection's bid request out of those that wait.
    fn unpark(&mut self, token: Token) -> Option<Parked> {
        let at = self.parked.iter().position(|parked| parked.token == token)?;
        Some(self.parked.swap_remove(at))
    }

    /// What the loop and the shards count for themselves.
    fn publish(&self, counters: &Counters) {
        self.metrics.waiting.set(counters.waiting);
        let (metrics, profiles, held) = (self.metrics, self.core.profiles.counts(), self.core.profiles.usage());
        metrics.turns.set(counters.turns);
        metrics.accepted.set(counters.accepted);
        let [home, astray] = &metrics.steered;
        home.set(counters.steered_home);
        astray.set(counters.steered_astray);
        metrics.closed.set(counters.closed);
        metrics.turned_away.set(counters.turned_away);
        metrics.crowded.set(counters.crowded);
        metrics.unread.set(counters.unread);
        metrics.timed_out.set(counters.timed_out);
        metrics.pressed.set(counters.pressed);
        metrics.refused.set(counters.refused);
        metrics.rearmed.set(counters.rearmed);
        metrics.received_bytes.set(counters.received);
        metrics.profile_hits.set(profiles.hits);
        metrics.profile_unknown.set(profiles.unknown);
        metrics.profile_misses.set(profiles.misses);
        metrics.profile_evictions.set(profiles.evictions);
        metrics.profile_refused.set(profiles.refused);
        metrics.profiles.set(held.profiles);
        metrics.profile_bytes.set(held.bytes);
        metrics.fingerprint_evictions.set(self.core.duplicates.evictions());
        metrics.frequency_evictions.set(self.core.frequency.evictions());
        metrics.unfetched.set(self.core.misses.unfetched());
        metrics.stalls_lost.set(self.witness.lost());
        metrics.tail_lost.set(self.flights.lost());
        metrics.audit_lost.set(self.core.auditor.as_ref().map_or(0, Auditor::lost));
        if let Some(log) = &self.core.row_log {
            metrics.training_lost.set(log.lost());
            metrics.training_forbidden.set(log.forbidden());
        }
    }

    fn swap_snapshots(&mut self) {
        while self.retired.has_room(1)
            && let Some(arrived) = self.arriving.take()
        {
            let began = clock::ticks();
            let old = self.core.swap(arrived);
            usdt::swap();
            self.metrics.swaps.add(1);
            if let Err(Refused(old)) = self.retired.offer(old) {
                drop(old);
            }
            self.flights.swapped(began);
        }
    }
}

impl Service for Bidder {
    fn request(&mut self, now: Now, arrived: Nanos, token: Token, request: &Request<'_>, out: &mut [u8]) -> Served {
        if let Some(exchange) = request.path.strip_prefix(b"/openrtb/") {
            if request.method == Method::Post {
                return self.bid_request(now, arrived, token, without_query(exchange), request, out);
            }
            self.metrics.strays.add(1);
            return done(answer::empty(out, Empty::PostOnly, request.persistence));
        }
        self.class = Class::default();
        if request.path.starts_with(b"/notice/") {
            self.class = NOTICES;
            // A HEAD only asks what a GET would say, and must not book (RFC 9110 section 9.2.1).
            if matches!(request.method, Method::Get | Method::Post) {
                return self.notice(arrived, token, request, out);
            }
            self.metrics.strays.add(1);
            return done(answer::empty(out, Empty::GetAndPostOnly, request.persistence));
        }
        let is_ready = self.core.leases.fresh(now.boot) && !self.draining;
        let path = without_query(request.path);
        if path == b"/ready" {
            let ready: &[u8] = if is_ready { b"1" } else { b"no" };
            return done(answer::text(out, request.persistence, ready, request.method == Method::Head));
        }
        if path == self.health.path.as_bytes() {
            let code = if is_ready { self.health.ok } else { self.health.not_ready };
            return done(answer::status(out, code, request.persistence));
        }
        self.metrics.strays.add(1);
        done(answer::empty(out, Empty::NotFound, request.persistence))
    }

    #[inline]
    fn class(&self) -> Class {
        self.class
    }

    #[inline]
    fn began(&mut self) {
        self.flights.begin_turn();
    }

    fn submitted(&mut self, now: Nanos) {
        self.book.settle(now, &mut self.rates, self.metrics);
    }

    fn turn(&mut self, now: Now, counters: &Counters, ready: &mut Vec<Token>) -> Turn {
        let mut taken = 0;
        while taken < ORDERS_PER_TURN && self.core.events.has_room(1) {
            let Some(order) = self.orders.take() else { break };
            self.carry_out(now, order, ready);
            taken += 1;
        }
        self.metrics.orders.add(taken as u64);
        while let Some(token) = self.pending.expire(now.boot) {
            self.metrics.notices_timed_out.add(1);
            ready.push(token);
        }
        self.take_up(now, false, ready);
        let BidCore { quotas, leases, events, .. } = &mut self.core;
        quotas.report(now.boot, |event| events.offer(event).is_ok());
        leases.report(|event| events.offer(event).is_ok());
        self.swap_snapshots();
        self.tap.heed();
        self.rates.turn(now.boot, self.metrics);
        self.publish(counters);
        if self.draining { Turn::Drain } else { Turn::Continue }
    }

    fn resume(&mut self, now: Now, token: Token, out: &mut [u8]) -> Served {
        if let Some(parked) = self.unpark(token) {
            return self.bid_again(now, parked, out);
        }
        let waiting = self.pending.take(token).expect("only a parked request is resumed");
        let noticed = waiting.noticed.expect("only a decided notice is resumed");
        self.metrics.answered(noticed, now.boot.since(waiting.arrived));
        let status = match noticed {
            Noticed::Safe => Empty::Ok,
            Noticed::Expired => Empty::Gone,
            Noticed::Unsafe => Empty::Unavailable,
        };
        done(answer::empty(out, status, waiting.persistence))
    }

    fn abandon(&mut self, now: Now, token: Token, out: &mut [u8]) -> Served {
        if let Some(Parked { ticket, .. }) = self.unpark(token) {
            let kept = self.core.misses.take(ticket).expect("it was parked under this ticket");
            self.core.misses.give_back(kept);
            return done(answer::no_content(out, Persistence::Close));
        }
        let waiting = self.pending.take(token).expect("what is parked and no bid request is a notice");
        let status = match waiting.noticed {
            Some(Noticed::Safe) => Empty::Ok,
            Some(Noticed::Expired) => Empty::Gone,
            Some(Noticed::Unsafe) | None => Empty::Unavailable,
        };
        self.metrics.answered(waiting.noticed.unwrap_or(Noticed::Unsafe), now.boot.since(waiting.arrived));
        done(answer::empty(out, status, Persistence::Close))
    }

    fn forget(&mut self, token: Token) {
        if let Some(Parked { ticket, .. }) = self.unpark(token) {
            let kept = self.core.misses.take(ticket).expect("it was parked under this ticket");
            self.core.misses.give_back(kept);
            return;
        }
        self.pending.take(token);
    }

    fn withdrawn(&mut self, _now: Now) {
        self.metrics.nobid(NoBidReason::Late).add(1);
    }

    fn stalled(&mut self, from: Nanos, to: Nanos) {
        usdt::stall(from, to);
        self.core.stalls.note(from, to);
    }

    #[inline]
    fn turned(&mut self, round: &Round) {
        let late = self.book.take_long();
        let telling = self.flights.is_telling(late);
        self.metrics.turn.record(round.turn_ns());
        self.witness.turned(round, telling);
        self.flights.end_turn(round, late, &self.witness);
    }

    fn wake_at(&self, now: Now) -> Nanos {
        let told = self.stores.as_ref().is_some_and(|stores| stores.told.waiting() > 0 && stores.returned.has_room(1));
        if self.orders.waiting() > 0 || told || self.core.misses.is_unsaid() {
            now.boot
        } else {
            self.pending.next_expiry().min(self.core.quotas.next_report()).min(self.core.misses.next_expiry())
        }
    }
}

/// The length of the body that says why there is no bid, if the exchange is agreed to get one. Who asks for the reason in a
/// header (`in_header`) gets it there.
#[inline]
fn refusal(core: &mut BidCore, in_header: bool, ask: Ask<'_>, outcome: Outcome, out: &mut [u8]) -> Option<usize> {
    match outcome {
        Outcome::NoBid(reason) if !in_header => core.refusal(ask, reason, out),
        _ => None,
    }
}

/// An answer that must fit: the loop gives at least [`answer::LONGEST_EMPTY`] bytes.
#[inline]
fn done(written: Option<usize>) -> Served {
    Served::Done(written.expect("the loop leaves room for an answer without content"))
}

/// What the static probes say of it.
#[inline]
fn ending(served: Served) -> Ending {
    match served {
        Served::Done(_) => Ending::NoBid,
        Served::Bid { .. } => Ending::Bid,
        Served::Shed(_) => Ending::Shed,
        Served::Parked => Ending::Parked,
    }
}

fn without_query(path: &[u8]) -> &[u8] {
    memchr::memchr(b'?', path).map_or(path, |at| &path[..at])
}

#[cfg(test)]
mod tests;
