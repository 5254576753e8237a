//! Against markets of which the truth is known.

use super::*;
use proptest::prelude::*;

const X: ExchangeKey = ExchangeKey(7);
const H2: u64 = 30 * 60_000;
const START: u64 = 1_700_000_000_000;

/// Random numbers of a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn chance(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }
}

/// A market: what becomes of bids, and when it is heard, ms after the bid.
struct Market {
    silence: Silence,
    random: Random,
    ms: u64,
    /// When it is heard, when the bid expires, and how it ended.
    coming: std::collections::BTreeMap<(u64, u64), (UnixMillis, Ending)>,
    serial: u64,
}

impl Market {
    fn new() -> Self {
        let silence = Silence::new(at(0), &[(X, H2)]);
        Self { silence, random: Random(1), ms: 0, coming: Default::default(), serial: 0 }
    }

    fn now(&self) -> Now {
        at(self.ms)
    }

    /// Bids at `rate` a second for some seconds, each with an ending drawn by `fate`, and a tick every five.
    fn run(&mut self, seconds: u64, rate: u64, fate: impl Fn(&mut Random) -> Option<(u64, Ending)>) {
        let end = self.ms + seconds * 1000;
        while self.ms < end {
            let step = 1000 / rate;
            let expires = UnixMillis(self.now().wall.0 + H2);
            self.silence.reserved(self.now(), X, expires);
            if let Some((after, ending)) = fate(&mut self.random) {
                self.serial += 1;
                self.coming.insert((self.ms + after, self.serial), (expires, ending));
            }
            for ms in self.ms + 1..=self.ms + step {
                while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= ms) {
                    let (expires, ending) = entry.remove();
                    self.silence.left(at(ms), X, expires, ending);
                }
                if ms % 5000 == 0 {
                    self.silence.tick(at(ms));
                }
            }
            self.ms += step;
        }
    }

    fn chance(&self, seconds: u64) -> f64 {
        self.silence.chance(X, seconds * 1000, seconds * 1000)
    }
}

fn at(ms: u64) -> Now {
    Now { boot: Nanos((50_000 + ms) * Nanos::MS), wall: UnixMillis(START + ms) }
}

/// Wins are told at auction time: within two seconds.
fn prompt(chance: f64) -> impl Fn(&mut Random) -> Option<(u64, Ending)> {
    move |random| (random.chance() < chance).then(|| (random.between(50, 2000), Ending::Sold))
}

/// Only bills are told, between one and ten minutes after.
fn late(chance: f64) -> impl Fn(&mut Random) -> Option<(u64, Ending)> {
    move |random| (random.chance() < chance).then(|| (random.between(60_000, 600_000), Ending::Sold))
}

#[test]
fn what_is_not_known_counts_as_certain() {
    let mut market = Market::new();
    assert!(market.chance(0) >= 1.0 && market.silence.chance(ExchangeKey(8), 0, 0) >= 1.0);
    // The first minutes say nothing about the twentieth.
    market.run(300, 20, prompt(0.03));
    assert!(market.chance(0) > 0.9, "{}", market.chance(0));
    assert!(market.silence.expected(X, 0) < 0.05);
}

#[test]
fn where_wins_are_told_at_once_silence_is_soon_worth_little() {
    let mut market = Market::new();
    market.run(3 * 3600, 20, prompt(0.03));
    assert!((0.03..0.06).contains(&market.chance(0)), "{}", market.chance(0));
    assert!(market.chance(10) < 0.01, "{}", market.chance(10));
    assert!((0.028..0.032).contains(&market.silence.expected(X, 0)));
    assert!(market.silence.expected(X, 10_000) < 1e-9);
}

#[test]
fn where_bills_come_late_silence_keeps_its_worth() {
    let mut market = Market::new();
    market.run(3 * 3600, 20, late(0.03));
    for seconds in [0, 10, 59] {
        assert!((0.03..0.06).contains(&market.chance(seconds)), "{}", market.chance(seconds));
    }
    // Half of the nine minutes have passed: 1.5 % of 98.5 %.
    let half = market.silence.expected(X, 330_000);
    assert!((0.014..0.032).contains(&half), "{half}");
    assert!(market.chance(700) < 0.01);
}

#[test]
fn where_losses_are_final_silence_is_what_both_leave() {
    let mut market = Market::new();
    // Both within four seconds, so that what is silent then is neither.
    market.run(3 * 3600, 20, |random| {
        let ending = if random.chance() < 0.05 { Ending::Sold } else { Ending::Lost };
        Some((random.between(50, 4000), ending))
    });
    assert!((0.05..0.3).contains(&market.silence.chance(X, 0, 0)), "{}", market.chance(0));
    assert!((0.04..0.06).contains(&market.silence.expected(X, 0)), "{}", market.silence.expected(X, 0));
    // Losses stop to be told of: within a minute nothing is counted on them.
    market.run(60, 20, prompt(0.05));
    assert!(market.chance(0) > 0.05);
}

#[test]
fn a_jump_of_the_win_rate_is_seen_at_the_next_tick_and_ends() {
    let mut market = Market::new();
    market.run(3 * 3600, 20, prompt(0.03));
    assert!(!market.silence.jumped(X));
    market.run(5, 20, prompt(0.6));
    assert!(market.silence.jumped(X) && market.silence.jumps().eq([X]));
    assert!(market.chance(0) >= 1.0 && market.chance(600) >= 1.0);
    market.run(55, 20, prompt(0.6));
    market.run(20 * 60, 20, prompt(0.03));
    assert!(!market.silence.jumped(X));
    assert!((0.03..0.08).contains(&market.chance(0)), "{}", market.chance(0));
}

#[test]
fn a_change_that_is_no_jump_is_followed() {
    let mut market = Market::new();
    market.run(3 * 3600, 20, prompt(0.03));
    market.run(120, 20, prompt(0.07));
    assert!(!market.silence.jumped(X));
    assert!(market.chance(0) > 0.07, "{}", market.chance(0));
}

#[test]
fn a_change_of_traffic_is_no_jump() {
    let mut market = Market::new();
    market.run(3 * 3600, 20, late(0.03));
    // Bills of the busy minutes come while hardly anybody bids.
    market.run(900, 1, late(0.03));
    assert!(!market.silence.jumped(X));
    assert!(market.chance(0) < 0.1, "{}", market.chance(0));
}

#[test]
fn noise_is_no_jump() {
    let mut market = Market::new();
    for _ in 0..24 {
        market.run(3600, 2, prompt(0.01));
        assert!(!market.silence.jumped(X));
    }
}

/// Wins and losses are told within the second, and there is one bid a second: each sale is far more than no exposure explains.
#[test]
fn few_sales_told_at_once_are_no_jump() {
    let fate = |chance: f64| {
        move |random: &mut Random| {
            let ending = if random.chance() < chance { Ending::Sold } else { Ending::Lost };
            Some((random.between(50, 900), ending))
        }
    };
    let mut market = Market::new();
    for _ in 0..12 * 60 {
        market.run(60, 1, fate(0.03));
        assert!(!market.silence.jumped(X), "after {} s", market.ms / 1000);
    }
    market.run(180, 1, fate(0.6));
    assert!(market.silence.jumped(X));
}

#[test]
fn when_the_clock_is_set_nothing_is_known() {
    let mut market = Market::new();
    market.run(3 * 3600, 20, prompt(0.03));
    let mut now = market.now();
    now.wall.0 += 600_000;
    market.silence.tick(now);
    assert!(market.chance(0) >= 0.99 && market.chance(600) >= 0.99);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Words in any order, of bids that were never made, under clocks that stand, run and jump: chances stay chances.
    #[test]
    fn whatever_comes_chances_are_chances(
        steps in prop::collection::vec((0_u8..4, 0_u64..4_000_000, -3_000_000_i64..3_000_000), 1..100),
    ) {
        let mut silence = Silence::new(at(0), &[(X, H2), (ExchangeKey(8), 86_400_000)]);
        let mut now = at(0);
        for (what, by, off) in steps {
            let expires = UnixMillis((now.wall.0 as i64 + off) as u64);
            match what {
                0 => silence.reserved(now, X, expires),
                1 => silence.left(now, X, expires, Ending::Sold),
                2 => silence.left(now, ExchangeKey(8), expires, Ending::Lost),
                _ => {
                    now = Now { boot: now.boot.after(by * 100_000), wall: UnixMillis(now.wall.0 + by / 10) };
                    if off > 2_900_000 {
                        now.wall.0 -= 700;
                    }
                    silence.tick(now);
                }
            }
            for exchange in [X, ExchangeKey(8), ExchangeKey(9)] {
                for age in [0, 1_500, 70_000, 4_000_000, 100_000_000] {
                    prop_assert!((0.0..=1.0).contains(&silence.chance(exchange, age, age + off.unsigned_abs())));
                    prop_assert!((0.0..=1.0).contains(&silence.expected(exchange, age)));
                }
            }
        }
    }
}
