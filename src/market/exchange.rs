//! The exchange itself: asks for bids at a constant rate, holds an auction for each, and hands the outcome to the desk.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use hdrhistogram::Histogram;

use crate::clock;
use crate::lab;
use crate::lab::answer::Answer;
use crate::lab::latency;
use crate::lab::pool::{Flight, Outcome, Pool, Wait};
use crate::lab::requests::{Fields, Requests};
use crate::lab::schedule::{Schedule, is_length};
use crate::lab::target::{BadTarget, Target};
use crate::market::auction::{self, Bid, BidResponse, Lot, Pricing, Rivals, Verdict};
use crate::market::clicks;
use crate::market::corpus;
use crate::market::macros::{self, Facts};
use crate::market::notices::{Desk, Notice, Shared};
use crate::market::random::Random;
use crate::market::settlement::Settlement;
use crate::market::summary::{Second, Summary};
use crate::ring::message::NoticeKind;
use crate::units::{Micros, Multiplier, Nanos, Terms};
use crate::wire::price_cipher::IV;

/// An answer after this time is late, ns (mission M3).
const LATE_NS: u64 = 8 * Nanos::MS;

/// Median time from an impression to a click on it, ms.
const SEEN_MS: f64 = 2_000.0;
/// What the stream of clicks differs by.
const CLICKS: u64 = 0x636c_6963_6b73;

/// How the exchange behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// How prices are made.
    pub pricing: Pricing,
    /// Who else bids.
    pub rivals: Rivals,
    /// Share of won bids that are rendered and billed.
    pub billed: f64,
    /// Time from winning to being billed: median, ms.
    pub render_ms: f64,
    /// Standard deviation of its logarithm.
    pub render_sigma: f64,
    /// Longest time to being billed, ms.
    pub render_most_ms: u64,
    /// Share of bills that are called twice.
    pub twice: f64,
    /// Share of lost bids that are told so; the others hear nothing.
    pub told: f64,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            pricing: Pricing::AsRequested,
            rivals: Rivals { most: 4, median: 2.0, sigma: 0.7 },
            billed: 0.9,
            render_ms: 800.0,
            render_sigma: 0.9,
            render_most_ms: 20_000,
            twice: 0.05,
            told: 0.2,
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// `http://HOST:PORT/openrtb/EXCHANGE`.
    pub url: String,
    /// Requests per second.
    pub rate: u64,
    /// Length, seconds; the last bills take up to [`Options::settle`] more.
    pub seconds: f64,
    /// Connections for bid requests.
    pub connections: usize,
    /// The core of the thread that asks for bids; `None` leaves it to the scheduler.
    pub core: Option<usize>,
    /// What happens in the auctions.
    pub seed: u64,
    /// Bodies; `None` is the built-in corpus.
    pub corpus: Option<Vec<Vec<u8>>>,
    /// One request in this many asks for the reason of its no-bid; 0 is none, 1 is all.
    pub sample: u64,
    /// Longest time for the last bills, seconds.
    pub settle: f64,
    /// How the exchange behaves.
    pub behaviour: Behaviour,
    /// How it settles.
    pub settlement: Settlement,
    /// What a click is worth to the campaigns that pay by click, by `cid`.
    pub goals: BTreeMap<String, Micros>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            url: String::new(),
            rate: 2000,
            seconds: 60.0,
            connections: 32,
            core: None,
            seed: 1,
            corpus: None,
            sample: 16,
            settle: 10.0,
            behaviour: Behaviour::default(),
            settlement: Settlement::default(),
            goals: BTreeMap::new(),
        }
    }
}

/// Why the market could not be held.
#[derive(Debug)]
pub enum Error {
    /// The URL.
    Target(BadTarget),
    /// An option has a value that makes no sense; which, and why.
    Option(&'static str, String),
    /// No connection could be opened.
    Connect(Target, io::Error),
    /// The core does not exist or is not ours to use.
    Pin(usize),
    /// The kernel refused a thread, or to wait for events.
    System(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Target(bad) => write!(f, "target: {bad}"),
            Error::Option(name, why) => write!(f, "{name}: {why}"),
            Error::Connect(target, error) => {
                write!(f, "no connection to {}: {error}; is the bidder running there?", target.authority)
            }
            Error::Pin(core) => write!(f, "core {core}: this process may not run on it"),
            Error::System(error) => write!(f, "the market stopped: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// Holds the market: blocks until it has closed and its bills are delivered. `each_second` is called on this thread.
pub fn run(options: &Options, mut each_second: impl FnMut(&Second)) -> Result<Summary, Error> {
    let target = Target::parse(&options.url).map_err(Error::Target)?;
    if options.rate == 0 {
        return Err(Error::Option("rate", "at least 1 request a second".into()));
    }
    if !is_length(options.seconds) {
        return Err(Error::Option("seconds", format!("{} is not a length of time", options.seconds)));
    }
    let built_in;
    let bodies = match &options.corpus {
        Some(bodies) => bodies,
        None => {
            built_in = corpus::built_in();
            &built_in
        }
    };
    if bodies.is_empty() {
        return Err(Error::Option("corpus", "it holds no request".into()));
    }
    let shared = Arc::new(Shared::default());
    let (notices, incoming) = channel();
    let (seconds, ticks) = channel();
    let desk = Desk::new(incoming, shared.clone());
    let settle = (options.settle.clamp(0.0, 1e6) * Nanos::SECOND as f64) as u64;
    let trader = Trader::new(options, &target, bodies, notices, seconds, shared);
    thread::scope(|scope| {
        let desk = thread::Builder::new()
            .name("notices".into())
            .spawn_scoped(scope, move || desk.work(settle))
            .map_err(Error::System)?;
        let exchange = thread::Builder::new().name("exchange".into());
        let exchange = exchange.spawn_scoped(scope, move || trader.trade(options, target)).map_err(Error::System)?;
        for second in ticks {
            each_second(&second);
        }
        let traded = exchange.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let notices = desk.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        traded.map(|summary| Summary { notices, ..summary })
    })
}

/// The thread that asks for bids and holds the auctions.
struct Trader {
    requests: Requests,
    asking: Requests,
    book: Book,
}

/// Everything but the requests: apart from them, so that an answer can be booked while requests are borrowed.
struct Book {
    lots: Vec<Lot>,
    behaviour: Behaviour,
    settlement: Settlement,
    goals: BTreeMap<String, Micros>,
    seed: u64,
    sample: u64,
    notices: Sender<Notice>,
    seconds: Sender<Second>,
    shared: Arc<Shared>,
    summary: Summary,
    latency: Histogram<u32>,
    second: Second,
    window: Histogram<u32>,
}

impl Trader {
    fn new(
        options: &Options,
        target: &Target,
        bodies: &[Vec<u8>],
        notices: Sender<Notice>,
        seconds: Sender<Second>,
        shared: Arc<Shared>,
    ) -> Trader {
        let empty: &[Vec<u8>] = &[];
        Trader {
            requests: Requests::new(target, if options.sample == 1 { empty } else { bodies }, Fields::default()),
            asking: Requests::new(
                target,
                if options.sample == 0 { empty } else { bodies },
                Fields { debug: true, ..Fields::default() },
            ),
            book: Book {
                lots: bodies.iter().map(|body| Lot::read(body)).collect(),
                behaviour: options.behaviour.clone(),
                settlement: options.settlement.clone(),
                goals: options.goals.clone(),
                seed: options.seed,
                sample: options.sample,
                notices,
                seconds,
                shared,
                summary: Summary { asked_rate: options.rate, ..Summary::default() },
                latency: latency::histogram(),
                second: Second::default(),
                window: latency::histogram(),
            },
        }
    }

    fn trade(mut self, options: &Options, target: Target) -> Result<Summary, Error> {
        if let Some(core) = options.core
            && !lab::thread::pin(core)
        {
            return Err(Error::Pin(core));
        }
        lab::thread::sleep_sharply();
        let mut pool = match Pool::open(target.address, options.connections, 1) {
            Ok(pool) => pool,
            Err(error) => return Err(Error::Connect(target, error)),
        };
        let mut schedule = Schedule::new(clock::boot(), options.rate, options.seconds);
        let Schedule { start, end, .. } = schedule;
        let (mut sent, mut next_second, mut now) = (0, start.after(Nanos::SECOND), start);
        while now < end || pool.outstanding() > 0 && schedule.waits(now) {
            while let Some(due) = schedule.due()
                && due <= now
                && schedule.sends(now)
                && pool.has_room()
            {
                let asks = self.book.asks(sent);
                let request = if asks { self.asking.get(sent) } else { self.requests.get(sent) };
                pool.send(Flight { tag: sent, intended: due, sent: now }, request);
                self.book.second.requests += 1;
                sent += 1;
                schedule.pass();
            }
            let until = schedule.due().unwrap_or(end).min(next_second);
            // With every connection busy there is nothing to do at `until`, but there is when one answers.
            let wait = if pool.has_room() { until.since(now) } else { Nanos::MS };
            let book = &mut self.book;
            pool.poll(Wait::For(wait.min(10 * Nanos::MS)), |flight, outcome, at| book.take(flight, outcome, at))
                .map_err(Error::System)?;
            now = clock::boot();
            if now >= next_second {
                next_second = next_second.after(Nanos::SECOND);
                book.close_second();
            }
        }
        self.book.shared.closing.store(true, Ordering::Release);
        if self.book.second.requests > 0 {
            self.book.close_second();
        }
        let mut summary = self.book.summary;
        summary.seconds = options.seconds;
        summary.unanswered = sent - summary.answered;
        summary.unsent = schedule.pass_all();
        summary.latency =
            [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0].map(|quantile| latency::micros(&self.book.latency, quantile));
        Ok(summary)
    }
}

impl Book {
    /// Whether a request asks for the reason of a no-bid. By its own random number: every n-th would always be the same
    /// lines of the corpus.
    fn asks(&self, index: u64) -> bool {
        self.sample > 0 && Random::of(!self.seed, index).below(self.sample) == 0
    }

    fn take(&mut self, flight: Flight, outcome: Outcome<'_>, at: Nanos) {
        let Outcome::Answered(answer) = outcome else { return };
        let latency = at.since(flight.intended);
        self.latency.saturating_record(latency);
        self.window.saturating_record(latency);
        self.summary.answered += 1;
        self.summary.late += u64::from(latency > LATE_NS);
        *self.summary.status.entry(answer.status).or_default() += 1;
        match answer.status {
            200 => self.auction(flight.tag, answer, at),
            204 if self.asks(flight.tag) => {
                let reason =
                    if answer.reason.is_empty() { "(not told)".into() } else { String::from_utf8_lossy(answer.reason) };
                *self.second.reasons.entry(reason.into_owned()).or_default() += 1;
            }
            _ => {}
        }
    }

    fn auction(&mut self, index: u64, answer: &Answer<'_>, at: Nanos) {
        let response: BidResponse<'_> = match serde_json::from_slice(answer.body) {
            Ok(response) => response,
            Err(_) => return self.summary.invalid += 1,
        };
        let lot = &self.lots[(index % self.lots.len() as u64) as usize];
        let currency = response.cur.as_deref().unwrap_or("USD");
        let Some(rate) = self.settlement.rate(currency).filter(|_| response.id == lot.id) else {
            return self.summary.invalid += 1;
        };
        let Behaviour { pricing, rivals, .. } = &self.behaviour;
        let mut random = Random::of(self.seed, index);
        // A stream of its own: whether somebody clicks changes nothing else.
        let mut viewer = Random::of(self.seed ^ CLICKS, index);
        let bids: Vec<_> =
            response.seatbid.iter().flat_map(|seat| seat.bid.iter().map(move |bid| (seat, bid))).collect();
        let mut fates = Vec::with_capacity(bids.len());
        let mut verdicts = Vec::with_capacity(bids.len());
        for (_, bid) in &bids {
            verdicts.push(auction::hold(lot, bid, rate, &self.settlement, (*pricing, rivals), &mut random));
            fates.push(Fate::draw(&self.behaviour, &mut random));
        }
        auction::contest(&bids, &mut verdicts);
        for (((seat, bid), verdict), fate) in bids.into_iter().zip(verdicts).zip(fates) {
            self.second.bids += 1;
            let multiplier = lot.multiplier(&bid.impid);
            let facts = |price, to_win, loss| Facts {
                auction: &lot.id,
                bid,
                seat: &seat.seat,
                currency,
                settlement: &self.settlement,
                iv: fate.iv,
                price,
                multiplier,
                to_win: Some(to_win),
                loss,
            };
            match verdict {
                Verdict::Won { clearing, to_win } => {
                    let terms = Terms { rate, multiplier: multiplier.unwrap_or(Multiplier::ONE) };
                    let Some(money) = terms.checked_money(clearing) else {
                        self.summary.invalid += 1;
                        continue;
                    };
                    self.second.wins += 1;
                    self.summary.won_money = self.summary.won_money.plus(money);
                    let facts = facts(Some(clearing), to_win, 0);
                    if let Some(url) = &bid.nurl {
                        notify(&self.notices, NoticeKind::Win, macros::expand(url, &facts), at, None, false);
                    }
                    if fate.billed
                        && let Some(url) = bill_url(bid)
                    {
                        let due = at.after(fate.delay.min(self.behaviour.render_most_ms) * Nanos::MS);
                        let bill = Some((bid.cid.to_string(), money));
                        self.summary.rendered += 1;
                        let likely = lot.viewer(&bid.impid).clicks(&bid.cid);
                        let clicked = viewer.chance(likely);
                        self.summary.clicks.note(likely, clicked, self.goals.get(&*bid.cid).map(|each| (*each, money)));
                        notify(&self.notices, NoticeKind::Bill, macros::expand(url, &facts), due, bill, fate.twice);
                        let address = bid.adm.as_deref().filter(|_| clicked).and_then(clicks::url);
                        if let Some(url) = address {
                            let seen = viewer.log_normal(SEEN_MS, 1.0).min(self.behaviour.render_most_ms as f64);
                            let due = due.after(seen as u64 * Nanos::MS);
                            notify(&self.notices, NoticeKind::Click, url.to_owned(), due, None, false);
                        }
                    }
                }
                Verdict::Outbid { to_win } => {
                    self.summary.outbid += 1;
                    lose(&self.notices, fate.told, bid.lurl.as_deref(), &facts(None, to_win, 102), at);
                }
                Verdict::BelowFloor { to_win } => {
                    self.summary.below_floor += 1;
                    lose(&self.notices, fate.told, bid.lurl.as_deref(), &facts(None, to_win, 100), at);
                }
                Verdict::Invalid => self.summary.invalid += 1,
            }
        }
    }

    fn close_second(&mut self) {
        let mut second = std::mem::take(&mut self.second);
        self.summary.ran += 1;
        second.second = self.summary.ran;
        second.answered = self.window.len();
        second.latency = [0.5, 0.99, 0.999].map(|quantile| latency::micros(&self.window, quantile));
        second.billed = Micros(self.shared.billed.load(Ordering::Relaxed));
        self.window.reset();
        self.summary.requests += second.requests;
        self.summary.bids += second.bids;
        self.summary.wins += second.wins;
        for (reason, count) in &second.reasons {
            *self.summary.reasons.entry(reason.clone()).or_default() += count;
        }
        // Nobody listening is no reason to stop.
        let _ = self.seconds.send(second);
    }
}

/// What becomes of a bid if it wins, or loses. Drawn whatever the verdict, so that one auction's outcome does not shift the next
/// one's numbers.
struct Fate {
    billed: bool,
    twice: bool,
    told: bool,
    /// From winning to being billed, ms.
    delay: u64,
    /// For the one price of this auction.
    iv: [u8; IV],
}

impl Fate {
    fn draw(behaviour: &Behaviour, random: &mut Random) -> Fate {
        let (billed, twice, told) =
            (random.chance(behaviour.billed), random.chance(behaviour.twice), random.chance(behaviour.told));
        let delay = random.log_normal(behaviour.render_ms, behaviour.render_sigma) as u64;
        let bits = u128::from(random.bits()) << 64 | u128::from(random.bits());
        Fate { billed, twice, told, delay, iv: bits.to_be_bytes() }
    }
}

/// What is called when a bid is billed: `burl`, or of the addresses that its VAST wants called at the impression the one that
/// has the price in it and is ours to bill by, as its path says.
fn bill_url<'b>(bid: &'b Bid<'_>) -> Option<&'b str> {
    bid.burl.as_deref().or_else(|| {
        let mut impressions = bid.adm.as_deref()?.split("<Impression><![CDATA[").skip(1);
        impressions.find_map(|text| text.split("]]>").next().filter(|url| url.contains("/notice/bill/")))
    })
}

fn notify(
    notices: &Sender<Notice>,
    kind: NoticeKind,
    url: String,
    due: Nanos,
    bill: Option<(String, Micros)>,
    twice: bool,
) {
    // The desk outlives the auctions; if it failed, its panic is what the run reports.
    let _ = notices.send(Notice { kind, url, due, bill, twice, attempts: 0 });
}

fn lose(notices: &Sender<Notice>, told: bool, url: Option<&str>, facts: &Facts<'_>, at: Nanos) {
    if told && let Some(url) = url {
        notify(notices, NoticeKind::Loss, macros::expand(url, facts), at.after(100 * Nanos::MS), None, false);
    }
}
