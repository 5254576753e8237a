//! What a check of a cap costs, with uniform users over a table at least ten times the last-level cache, and in a table that stays
//! in a core's own; and what caps are worth against the age of what nodes know (docs/FREQUENCY.md has both tables).
//!
//! All checks of a request are of one user, and all of a user's counts stand together: how many checks share a look at memory is
//! the first column.

use std::fs;
use std::hint::black_box;

use corebid::bid::frequency::FrequencyShard;
use corebid::clock::thread_cpu;
use corebid::lab::frequency::{self, Trial};
use corebid::limits;
use corebid::market::random::Random;
use corebid::profile::count::{Count, CountOf, Periods, Window};
use corebid::units::{CampaignId, Nanos, Now, UnixMillis, UserKey};

/// A build for debugging only shows that it works.
const SMALL: bool = cfg!(debug_assertions);
/// Counts of each user in the table.
const COUNTS: u32 = 3;
const NOW: Now = Now { boot: Nanos(1 << 40), wall: UnixMillis(1_795_392_000_000) };

/// What the kernel says of the last-level cache, bytes; the greatest where it says several things.
fn last_level_cache() -> usize {
    let said = (0..8).filter_map(|index| {
        let text = fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size")).ok()?;
        let (number, unit) = text.trim().split_at(text.trim().find(|letter: char| !letter.is_ascii_digit())?);
        Some(number.parse::<usize>().ok()? << if unit == "M" { 20 } else { 10 })
    });
    said.max().unwrap_or(32 << 20)
}

/// A table of at least so many bytes, four of seven places full: three counts of each user, and the mark of the load.
fn table(bytes: usize) -> (FrequencyShard, u64) {
    let mut shard = FrequencyShard::with(bytes / 64 * 4, limits::H1_NS);
    let users = shard.bytes() as u64 / 64;
    let period = Periods::at(NOW.wall).of(Window::Day);
    for user in 1..=users {
        let one = |id| Count { of: CountOf::Campaign(CampaignId(id)), window: Window::Day, period, times: 1 };
        let counts: [Count; COUNTS as usize] = std::array::from_fn(|index| one(index as u32));
        shard.load(UserKey(user), &counts, NOW);
    }
    (shard, users)
}

/// Checks in a second.
fn rate(shard: &FrequencyShard, users: u64, checks_of_a_user: u32, rounds: u64) -> f64 {
    let (mut random, mut over) = (Random::new(7), 0u64);
    let begin = thread_cpu();
    for _ in 0..rounds {
        let seen = shard.seen(UserKey(1 + random.below(users)), NOW);
        for campaign in 0..checks_of_a_user {
            let of = CountOf::Campaign(CampaignId(campaign));
            over += u64::from(seen.times(of, Window::Day) >= 3);
        }
    }
    black_box(over);
    (rounds * u64::from(checks_of_a_user)) as f64 * 1e9 / (thread_cpu() - begin) as f64
}

fn checks() {
    let cache = last_level_cache();
    let beyond = if SMALL { 1 << 20 } else { 10 * cache };
    println!("last-level cache as the kernel says: {} MiB", cache >> 20);
    for (place, bytes, rounds) in [("beyond the caches", beyond, 20_000_000), ("in cache", 256 << 10, 50_000_000)] {
        let rounds = if SMALL { 1000 } else { rounds };
        let (shard, users) = table(bytes);
        println!("{place}: {} KiB, {users} users, {} forgotten", shard.bytes() >> 10, shard.evictions());
        for checks in [1, 2, 4, 8, 16] {
            let best = (0..3).map(|_| rate(&shard, users, checks, rounds / u64::from(checks))).fold(0.0, f64::max);
            println!("  {checks:2} checks of a user: {:6.1} M checks/s, {:5.1} ns each", best / 1e6, 1e9 / best);
        }
    }
}

fn worth() {
    let usual = Trial { nodes: 4, users: 20_000, rate: 200.0, delay_s: Some(1.0), lost: 0.0, seed: 1 };
    let usual = if SMALL { Trial { rate: 5.0, ..usual } } else { usual };
    let of = |delay_s, lost| Trial { delay_s, lost, ..usual };
    println!("| nodes | delay, s | lost | over cap | under-delivery | loads of a second |\n|---|---|---|---|---|---|");
    let delays = [0.0, 1.0, 5.0, 10.0].map(|delay| of(Some(delay), 0.0));
    let lossy = [0.01, 0.1].map(|lost| of(Some(1.0), lost));
    let alone = [Trial { nodes: 1, ..of(Some(1.0), 0.0) }, of(None, 0.0), Trial { nodes: 16, ..usual }];
    for trial in delays.into_iter().chain(lossy).chain(alone) {
        let outcome = frequency::run(trial);
        println!(
            "| {} | {} | {} % | {:.2} % | {:.2} % | {:.1} |",
            trial.nodes,
            trial.delay_s.map_or("not shared".to_owned(), |delay| delay.to_string()),
            trial.lost * 100.0,
            outcome.over_cap() * 100.0,
            outcome.under_delivery() * 100.0,
            outcome.loads as f64 / frequency::SECONDS as f64
        );
    }
}

fn main() {
    checks();
    worth();
}
