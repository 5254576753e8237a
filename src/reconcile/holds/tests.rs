//! By example, and against a model that keeps every reservation.

use std::collections::BTreeMap;

use super::*;
use crate::reconcile::silence::Ending;
use crate::units::Now;
use proptest::prelude::*;

const H2: u64 = 30 * 60_000;
const MINUTE: u64 = 60_000;
/// Seconds after which the bids of the model are sold: whatever their age before it, the chance is the same.
const SOLD_AFTER: u64 = 1750;

fn granted(amount: i64) -> Holds {
    Holds { out: Micros(amount), ..Holds::new(Mode::Strict) }
}

fn lent(amount: i64) -> Holds {
    Holds { out: Micros(amount), ..Holds::new(Mode::Quantile) }
}

/// A reservation that expires in this minute.
fn until(minute: u64, price: i64) -> Reservation {
    Reservation { exchange: ExchangeKey(1), expires: UnixMillis(minute * MINUTE + 100), price: Micros(price) }
}

fn settle(holds: &mut Holds, reservation: &Reservation, amount: i64) -> i64 {
    holds.settle(Nanos(0), Known::Silent, reservation, Micros(amount)).0
}

/// An exchange that is known well: of a hundred bids one is sold, so many seconds after.
fn known(after: u64) -> (Silence, Now) {
    let mut now = Now { boot: Nanos(Nanos::SECOND), wall: UnixMillis(20_000 * UnixMillis::DAY) };
    let mut silence = Silence::new(now, &[(ExchangeKey(1), H2)]);
    for second in 0..7200 {
        let expires = UnixMillis(now.wall.0 + H2);
        for bid in 0..100 {
            silence.reserved(now, ExchangeKey(1), expires);
            if bid == 0 {
                let sold = UnixMillis(expires.0 - after * 1000);
                silence.left(now, ExchangeKey(1), sold, Ending::Sold);
            }
        }
        now = Now { boot: now.boot.after(Nanos::SECOND), wall: UnixMillis(now.wall.0 + 1000) };
        if second % 5 == 0 {
            silence.tick(now);
        }
    }
    (silence, now)
}

#[test]
fn silence_is_freed_by_the_minute() {
    let mut holds = granted(100);
    holds.reserve(Nanos(0), 0, &until(5, 30));
    holds.reserve(Nanos(0), 0, &until(6, 20));
    holds.expire(4);
    assert_eq!((holds.out, holds.held(), holds.free), (Micros(50), Micros(50), Micros(0)));
    holds.expire(5);
    assert_eq!((holds.held(), holds.free), (Micros(20), Micros(30)));
    assert_eq!(holds.charge(), Micros(100));
}

#[test]
fn a_bill_may_overtake_its_reservation() {
    let mut holds = granted(100);
    assert_eq!(settle(&mut holds, &until(5, 30), 10), 0);
    assert_eq!((holds.charge(), holds.free), (Micros(90), Micros(20)));
    holds.expire(5);
    assert!(!(holds.is_idle() && holds.out == Micros::ZERO && holds.free == Micros::ZERO));
    holds.reserve(Nanos(0), 5, &until(5, 30));
    assert_eq!((holds.charge(), holds.free, holds.held()), (Micros(90), Micros(20), Micros(0)));
    assert_eq!(holds.exposed(), Micros(70));
}

#[test]
fn so_may_a_win() {
    let mut holds = granted(100);
    holds.win(Nanos(0), &until(5, 30));
    assert_eq!((holds.charge(), holds.held(), holds.exposed()), (Micros(100), Micros(30), Micros(100)));
    holds.reserve(Nanos(0), 0, &until(5, 30));
    assert_eq!((holds.charge(), holds.held(), holds.out), (Micros(100), Micros(30), Micros(70)));
    assert_eq!(holds.settle(Nanos(0), Known::Won, &until(5, 30), Micros(25)), Micros(0));
    assert_eq!((holds.charge(), holds.held(), holds.free), (Micros(75), Micros(0), Micros(5)));
}

#[test]
fn a_bill_of_a_reservation_that_was_never_made_frees_nothing() {
    let mut holds = granted(100);
    assert_eq!(settle(&mut holds, &until(5, 30), 10), 0);
    holds.give_back(Micros(100));
    assert_eq!((holds.charge(), holds.free), (Micros(90), Micros(120)));
    holds.expire(5);
    assert_eq!((holds.charge(), holds.free, holds.held()), (Micros(90), Micros(90), Micros(0)));
}

#[test]
fn a_reservation_heard_of_after_its_expiry_is_free_at_once() {
    let mut holds = granted(100);
    holds.reserve(Nanos(0), 5, &until(5, 30));
    assert_eq!((holds.free, holds.held()), (Micros(30), Micros(0)));
}

#[test]
#[should_panic(expected = "a core spent what it was not granted")]
fn a_core_cannot_spend_what_it_does_not_have() {
    granted(10).reserve(Nanos(0), 0, &until(5, 11));
}

#[test]
fn a_win_holds_its_price_until_it_is_billed_or_expires() {
    let (silence, now) = known(0);
    let mut holds = lent(10_000);
    let minute = (now.wall.0 + H2) / MINUTE;
    for _ in 0..100 {
        holds.reserve(now.boot, 0, &until(minute, 100));
    }
    holds.win(now.boot, &until(minute, 100));
    holds.win(now.boot, &until(minute, 100));
    let later = now.boot.after(1200 * Nanos::SECOND);
    assert_eq!(holds.revalue(&silence, later), Micros(0));
    assert!((200..1000).contains(&holds.held().0), "{:?}", holds.held());
    assert_eq!((holds.charge(), holds.exposed()), (Micros(10_000), Micros(10_000)));
    assert_eq!(holds.settle(later, Known::Won, &until(minute, 100), Micros(60)), Micros(0));
    assert_eq!(holds.charge(), Micros(9_940));
    holds.expire(minute);
    assert_eq!((holds.held(), holds.free), (Micros(0), Micros(9_940)));
}

/// What is won is held at once, not at the next tick: else it is lent again meanwhile.
#[test]
fn a_win_takes_what_is_free() {
    let (silence, now) = known(0);
    let mut holds = lent(10_000);
    let minute = (now.wall.0 + H2) / MINUTE;
    (0..100).for_each(|_| holds.reserve(now.boot, 0, &until(minute, 100)));
    let later = now.boot.after(1200 * Nanos::SECOND);
    assert_eq!(holds.revalue(&silence, later), Micros(0));
    let (held, free) = (holds.held(), holds.free);
    (0..3).for_each(|_| holds.win(later, &until(minute, 100)));
    assert_eq!((holds.held(), holds.free), (held.plus(Micros(300)), free.minus(Micros(300))));
    assert_eq!(holds.charge(), Micros(10_000));
    // As far as there is any.
    holds.out = holds.free.minus(Micros(50));
    holds.free = Micros(50);
    holds.win(later, &until(minute, 100));
    assert_eq!((holds.held(), holds.free), (held.plus(Micros(350)), Micros(0)));
    // In strict mode every price is held already.
    let mut strict = granted(100);
    strict.reserve(Nanos(0), 0, &until(5, 40));
    strict.free = Micros(60);
    strict.out = Micros(0);
    strict.win(Nanos(0), &until(5, 40));
    assert_eq!((strict.held(), strict.free), (Micros(40), Micros(60)));
}

#[test]
fn what_is_silent_at_an_exchange_is_its_own() {
    let mut holds = granted(100);
    let elsewhere = Reservation { exchange: ExchangeKey(2), ..until(5, 7) };
    holds.reserve(Nanos(0), 0, &until(5, 40));
    holds.reserve(Nanos(0), 0, &until(9, 2));
    holds.reserve(Nanos(0), 0, &elsewhere);
    let at = |holds: &Holds| [1, 2, 3].map(|key| holds.silent_at(ExchangeKey(key)).0);
    assert_eq!(at(&holds), [42, 7, 0]);
    holds.win(Nanos(0), &elsewhere);
    assert_eq!(at(&holds), [42, 0, 0]);
}

#[test]
fn a_lease_that_is_billed_more_than_it_holds_says_by_how_much() {
    let (silence, now) = known(0);
    let mut holds = lent(10_000);
    let minute = (now.wall.0 + H2) / MINUTE;
    for _ in 0..100 {
        holds.reserve(now.boot, 0, &until(minute, 100));
    }
    let later = now.boot.after(20 * Nanos::SECOND);
    assert_eq!(holds.revalue(&silence, later), Micros(0));
    let held = holds.held();
    assert!(held > Micros::ZERO && held < Micros(3_000), "{held:?}");
    // What was free is lent again, and spent.
    let lent = std::mem::take(&mut holds.free);
    holds.out = lent;
    let mut short = 0;
    for _ in 0..50 {
        short += settle(&mut holds, &until(minute, 100), 100);
    }
    assert_eq!(short, 5_000 - held.0);
    assert_eq!((holds.charge(), holds.held()), (lent, Micros(0)));
    let lacking = holds.revalue(&silence, later);
    assert!(lacking > Micros::ZERO);
    holds.free = holds.free.plus(lacking);
    assert_eq!(holds.revalue(&silence, later), Micros(0));
}

#[test]
fn a_jump_holds_full_prices_again() {
    let (mut silence, mut now) = known(0);
    let mut holds = lent(10_000);
    let minute = (now.wall.0 + H2) / MINUTE;
    (0..100).for_each(|_| holds.reserve(now.boot, 0, &until(minute, 100)));
    now = Now { boot: now.boot.after(20 * Nanos::SECOND), wall: UnixMillis(now.wall.0 + 20_000) };
    silence.tick(now);
    assert_eq!(holds.revalue(&silence, now.boot), Micros(0));
    assert!(holds.free > Micros(7_000));
    for _ in 0..60 {
        silence.reserved(now, ExchangeKey(1), UnixMillis(now.wall.0 + H2));
        silence.left(now, ExchangeKey(1), UnixMillis(now.wall.0 + H2), Ending::Sold);
    }
    silence.tick(now);
    assert!(silence.jumped(ExchangeKey(1)));
    assert_eq!(holds.revalue(&silence, now.boot), Micros(0));
    assert_eq!((holds.held(), holds.free), (Micros(10_000), Micros(0)));
}

#[test]
fn other_modes_take_effect_at_the_next_valuation() {
    let (silence, now) = known(0);
    let mut holds = lent(10_000);
    (0..100).for_each(|_| holds.reserve(now.boot, 0, &until((now.wall.0 + H2) / MINUTE, 100)));
    let later = now.boot.after(20 * Nanos::SECOND);
    assert_eq!(holds.revalue(&silence, later), Micros(0));
    let free = std::mem::take(&mut holds.free);
    holds.mode = Mode::Strict;
    assert_eq!(holds.revalue(&silence, later), free);
    assert!(holds.expected(&silence, now.boot) > Micros::ZERO);
}

/// A day at eight exchanges, a bid a second at each: sums, not entries, and none when the day is over.
#[test]
fn memory_is_bounded_by_exchanges_and_minutes() {
    let silence = Silence::new(Now { boot: Nanos(0), wall: UnixMillis(0) }, &[]);
    let mut holds = granted(i64::MAX / 2);
    assert_eq!(holds.cohorts.capacity(), 0);
    let mut most = 0;
    for second in 0..20_000_u64 {
        let now = Nanos(second * Nanos::SECOND);
        for exchange in 0..8 {
            let expires = UnixMillis(1_000_000_000 + second * 1000 + H2);
            holds.reserve(now, 0, &Reservation { exchange: ExchangeKey(exchange), expires, price: Micros(5) });
        }
        if second % 5 == 0 {
            holds.expire((1_000_000_000 + second * 1000 - 2_000) / MINUTE - 1);
            assert_eq!(holds.revalue(&silence, now), Micros(0));
            most = most.max(holds.cohorts.len());
        }
    }
    assert!(most <= 8 * (14 + 30 + 2), "{most} cohorts");
    assert!(size_of::<Cohort>() <= 48);
    holds.expire(u64::MAX);
    assert_eq!((holds.cohorts.len(), holds.cohorts.capacity()), (0, 0));
}

/// What may happen to a lease.
#[derive(Clone, Debug)]
enum Step {
    Bid {
        exchange: u32,
        price: i64,
    },
    /// The core's message waits in its ring.
    BidUnheard {
        exchange: u32,
        price: i64,
    },
    Heard(prop::sample::Index),
    Win(prop::sample::Index),
    Lose(prop::sample::Index),
    Bill(prop::sample::Index, i64),
    Pass {
        seconds: u64,
    },
    SetClock {
        seconds: i64,
    },
    Revalue,
    GiveBack,
    Grant(i64),
}

fn step() -> impl Strategy<Value = Step> {
    use prop::sample::Index;
    prop_oneof![
        8 => (1..3_u32, 1..1000_i64).prop_map(|(exchange, price)| Step::Bid { exchange, price }),
        2 => (1..3_u32, 1..1000_i64).prop_map(|(exchange, price)| Step::BidUnheard { exchange, price }),
        2 => any::<Index>().prop_map(Step::Heard),
        2 => any::<Index>().prop_map(Step::Win),
        1 => any::<Index>().prop_map(Step::Lose),
        3 => (any::<Index>(), 0..=100_i64).prop_map(|(at, percent)| Step::Bill(at, percent)),
        3 => prop_oneof![4 => 0..20_u64, 1 => 0..4000_u64].prop_map(|seconds| Step::Pass { seconds }),
        1 => prop_oneof![-100..100_i64, -4000..4000_i64].prop_map(|seconds| Step::SetClock { seconds }),
        3 => Just(Step::Revalue),
        1 => Just(Step::GiveBack),
        2 => (1..5000_i64).prop_map(Step::Grant),
    ]
}

/// One reservation.
#[derive(Clone, Debug)]
struct Bid {
    reservation: Reservation,
    made: Nanos,
    heard: bool,
    won: bool,
    over: bool,
}

/// Every reservation, and the lease's money by addition.
struct Model {
    holds: Holds,
    silence: Silence,
    now: Now,
    bids: Vec<Bid>,
    released_up_to: u64,
    charge: i64,
}

impl Model {
    fn open(&self, at: prop::sample::Index, wanted: impl Fn(&Bid) -> bool) -> Option<usize> {
        let released = |bid: &Bid| bid.reservation.expires.0 / MINUTE <= self.released_up_to;
        let open: Vec<_> =
            (0..self.bids.len()).filter(|at| wanted(&self.bids[*at]) && !released(&self.bids[*at])).collect();
        (!open.is_empty()).then(|| *at.get(&open))
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Bid { exchange, price } | Step::BidUnheard { exchange, price } => {
                let queued: i64 = self.bids.iter().filter(|bid| !bid.heard).map(|bid| bid.reservation.price.0).sum();
                if self.holds.out.0 - queued < price {
                    return;
                }
                let expires = UnixMillis(self.now.wall.0 + H2);
                let reservation = Reservation { exchange: ExchangeKey(exchange), expires, price: Micros(price) };
                self.bids.push(Bid { reservation, made: self.now.boot, heard: false, won: false, over: false });
                if matches!(step, Step::Bid { .. }) {
                    self.hear(self.bids.len() - 1);
                }
            }
            Step::Heard(at) => {
                let waiting: Vec<_> = (0..self.bids.len()).filter(|at| !self.bids[*at].heard).collect();
                if !waiting.is_empty() {
                    self.hear(*at.get(&waiting));
                }
            }
            Step::Win(at) => {
                if let Some(at) = self.open(at, |bid| !bid.over && !bid.won) {
                    self.bids[at].won = true;
                    self.holds.win(self.now.boot, &self.bids[at].reservation);
                }
            }
            Step::Lose(at) => {
                if let Some(at) = self.open(at, |bid| !bid.over && !bid.won) {
                    self.settle(at, 0);
                }
            }
            Step::Bill(at, percent) => {
                if let Some(at) = self.open(at, |bid| !bid.over) {
                    self.settle(at, self.bids[at].reservation.price.0 * percent / 100);
                }
            }
            Step::Pass { seconds } => {
                self.now.boot = self.now.boot.after(seconds * Nanos::SECOND);
                self.now.wall.0 += seconds * 1000;
                let past = (self.now.wall.0 - 2_000) / MINUTE - 1;
                self.released_up_to = self.released_up_to.max(past);
                self.holds.expire(self.released_up_to);
                let released = self.released_up_to;
                self.bids.retain(|bid| !bid.heard || bid.reservation.expires.0 / MINUTE > released);
            }
            Step::SetClock { seconds } => {
                self.now.wall.0 = (self.now.wall.0 as i64 + seconds * 1000) as u64;
            }
            Step::Revalue => {
                let lacking = self.holds.revalue(&self.silence, self.now.boot);
                self.holds.free = self.holds.free.plus(lacking);
                assert_eq!(self.holds.revalue(&self.silence, self.now.boot), Micros::ZERO);
                self.charge += lacking.0;
                self.check_valued();
            }
            Step::GiveBack => {
                let queued: i64 = self.bids.iter().filter(|bid| !bid.heard).map(|bid| bid.reservation.price.0).sum();
                self.holds.give_back(Micros(self.holds.out.0 - queued));
            }
            Step::Grant(credit) => {
                let reused = self.holds.free.0.clamp(0, credit);
                self.holds.free.0 -= reused;
                self.holds.out.0 += credit;
                self.charge += credit - reused;
            }
        }
        self.check();
    }

    fn hear(&mut self, at: usize) {
        self.bids[at].heard = true;
        self.holds.reserve(self.now.boot, self.released_up_to, &self.bids[at].reservation);
        if self.bids[at].reservation.expires.0 / MINUTE <= self.released_up_to {
            self.bids.remove(at);
            // One that was overtaken, in a sum with others, is freed with the next tick.
            self.holds.expire(self.released_up_to);
        }
    }

    fn settle(&mut self, at: usize, amount: i64) {
        let bid = &mut self.bids[at];
        bid.over = true;
        let known = if bid.won { Known::Won } else { Known::Silent };
        let lacking = self.holds.settle(self.now.boot, known, &bid.reservation, Micros(amount));
        assert!(lacking.0 >= 0 && lacking.0 <= amount);
        if self.holds.mode == Mode::Strict {
            assert_eq!(lacking, Micros(0), "strict holds every price");
        }
        self.charge -= amount - lacking.0;
    }

    /// What could be billed of reservations that were heard of and that are not over, and of the won among them.
    fn open_sum(&self) -> i64 {
        let open = self.bids.iter().filter(|bid| bid.heard && !bid.over);
        open.map(|bid| bid.reservation.price.0).sum()
    }

    fn check(&self) {
        let holds = &self.holds;
        assert_eq!(holds.charge(), Micros(self.charge));
        // Of the bids that are not heard of, those that are over, or won, came out of what the cores still have.
        let queued = |bid: &&Bid| !bid.heard && bid.reservation.expires.0 / MINUTE > self.released_up_to;
        let unheard = self.bids.iter().filter(queued);
        let ahead: i64 = unheard.clone().filter(|bid| bid.over).map(|bid| bid.reservation.price.0).sum();
        let won: i64 = unheard.filter(|bid| !bid.over && bid.won).map(|bid| bid.reservation.price.0).sum();
        let stale =
            self.bids.iter().filter(|bid| !bid.heard && bid.reservation.expires.0 / MINUTE <= self.released_up_to);
        if stale.count() == 0 {
            let exposed = holds.exposed().0;
            assert_eq!(exposed, holds.out.0 + self.open_sum() - ahead, "{won}");
            if holds.mode == Mode::Strict {
                assert_eq!(holds.held().0 - holds.ahead.0, self.open_sum() - ahead);
            }
        }
        assert!(holds.held.0 >= 0 && holds.held <= holds.silent.plus(holds.won));
    }

    /// In quantile mode what is held covers the exact quantile of what may be billed.
    fn check_valued(&self) {
        if self.bids.iter().any(|bid| !bid.heard) {
            return;
        }
        let open = self.bids.iter().filter(|bid| !bid.over);
        let (mut won, mut silent) = (0, Vec::new());
        for bid in open {
            let chance = if self.now.boot.since(bid.made) < SOLD_AFTER * Nanos::SECOND { 0.01 } else { 0.0 };
            match bid.won {
                true => won += bid.reservation.price.0,
                false => silent.push((bid.reservation.price.0 as usize, chance)),
            }
        }
        let needed = won + exact(&silent) as i64;
        assert!(self.holds.held().0 >= needed.min(self.open_sum()), "{:?} is held, {needed} are needed", self.holds);
    }
}

/// The least sum that is exceeded with a probability of at most 1e-6.
fn exact(bids: &[(usize, f64)]) -> usize {
    let mut sums = BTreeMap::from([(0, 1.0)]);
    for (price, chance) in bids {
        let mut next = BTreeMap::new();
        for (sum, held) in sums {
            *next.entry(sum).or_insert(0.0) += held * (1.0 - chance);
            *next.entry(sum + price).or_insert(0.0) += held * chance;
        }
        sums = next;
        // What is left out would come to less than the rounding.
        sums.retain(|_, held| *held > 1e-15);
    }
    let mut above = 0.0;
    sums.iter()
        .rev()
        .find(|(_, held)| {
            above += **held;
            above > 1e-6
        })
        .map_or(0, |(sum, _)| *sum)
}

thread_local! {
    static KNOWN: (Silence, Now) = known(SOLD_AFTER);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn money_is_where_the_model_has_it(strict in any::<bool>(), steps in prop::collection::vec(step(), 1..150)) {
        let (silence, now) = KNOWN.with(Clone::clone);
        let mode = if strict { Mode::Strict } else { Mode::Quantile };
        let holds = Holds { out: Micros(20_000), ..Holds::new(mode) };
        let mut model = Model { holds, silence, now, bids: Vec::new(), released_up_to: 0, charge: 20_000 };
        for step in steps {
            model.run(step);
        }
    }
}
