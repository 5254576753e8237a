use proptest::prelude::*;

use super::*;

const START: Nanos = Nanos(1_000);

fn plan(rate: f64, seconds: f64) -> Plan {
    Plan { rate, ramp_from: None, seconds, warm_up: 0.0, arrivals: Arrivals::Constant, seed: 1 }
}

/// Offsets from the start, ns.
fn offsets(mut schedule: Schedule) -> Vec<u64> {
    let start = schedule.start;
    std::iter::from_fn(|| {
        let due = schedule.due()?;
        schedule.pass();
        Some(due.since(start))
    })
    .collect()
}

#[test]
fn requests_are_evenly_spread_and_never_drift() {
    for (rate, seconds, count) in [(3, 2.0, 6), (1, 0.1, 1), (7_919, 1.5, 11_879), (1_000_000, 2.0, 2_000_000)] {
        let due = offsets(Schedule::new(START, rate, seconds));
        assert_eq!((due.len(), due[0]), (count, 0), "{rate}");
        for (index, offset) in due.iter().enumerate() {
            let exact = index as u128 * u128::from(Nanos::SECOND) / u128::from(rate);
            assert!(u128::from(*offset).abs_diff(exact) <= 1, "{rate} {index} {offset} {exact}");
        }
    }
    let rate = Rate::new(7_919.0, 7_919.0, 0.0, 1e6);
    assert!((rate.when(7_919e6) - 1e15).abs() < 1.0, "whole seconds are hit to the nanosecond, however far out");
}

/// The rate, summed up in small steps.
fn until(plan: &Plan, offset_ns: u64) -> f64 {
    const STEPS: u32 = 20_000;
    let (time, from) = (offset_ns as f64 / 1e9, plan.ramp_from.unwrap_or(plan.rate));
    let step = time / f64::from(STEPS);
    (0..STEPS)
        .map(|index| {
            let at = (f64::from(index) + 0.5) * step;
            let part = ((at - plan.warm_up) / plan.seconds).max(0.0);
            (from + (plan.rate - from) * part) * step
        })
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against the integral of the rate: when request n is due, n requests have come.
    #[test]
    fn a_ramp_brings_what_its_rate_sums_up_to(
        from in 0.0..5_000.0f64, to in 1.0..5_000.0f64, seconds in 0.1..4.0f64, warm_up in 0.0..1.0f64,
    ) {
        let plan = Plan { ramp_from: Some(from), warm_up, ..plan(to, seconds) };
        let due = offsets(Schedule::generated(START, &plan));
        prop_assert!(due.is_sorted());
        let total = from * warm_up + (from + to) / 2.0 * seconds;
        prop_assert!((due.len() as f64 - total).abs() <= 1.5, "{} requests of {total}", due.len());
        for index in [1, due.len() / 3, due.len() / 2, due.len().saturating_sub(1)] {
            if let Some(offset) = due.get(index) && index > 0 {
                // Where the warm-up ends the steps of the sum see a corner.
                let came = until(&plan, *offset);
                prop_assert!((came - index as f64).abs() < 0.01 + 1e-4 * total, "{index} came at {offset}: {came}");
            }
        }
    }

    /// Together the sharers send the schedule, whatever its kind.
    #[test]
    fn sharers_take_every_request_once(kind in 0..5usize, sharers in 1..5u64, seed: u64) {
        let arrivals = [
            Arrivals::Constant, Arrivals::Poisson, Arrivals::Bursts(7), Arrivals::Beats(10, 20.0), Arrivals::Poisson,
        ][kind];
        let plan = Plan { arrivals, seed, ramp_from: (kind == 4).then_some(600.0), ..plan(2_000.0, 0.2) };
        let whole = Schedule::generated(START, &plan);
        let mut all = Vec::new();
        for which in 0..sharers {
            let mut part = whole.clone().share(which, sharers);
            while let Some(due) = part.due() {
                prop_assert_eq!(part.index() % sharers, which);
                all.push((part.index(), due.since(START)));
                part.pass();
            }
        }
        all.sort_unstable();
        let expected: Vec<_> = offsets(whole).into_iter().enumerate().map(|(at, due)| (at as u64, due)).collect();
        prop_assert_eq!(all, expected);
    }
}

/// Gaps of a Poisson process are exponential: their mean and their variance, and the largest distance of their distribution from
/// `1 - exp(-x)` (Kolmogorov and Smirnov: 1.95 / sqrt(n) is passed once in a thousand seeds, and these are fixed).
#[test]
fn poisson_gaps_are_exponential() {
    for seed in [1, 2, 3, 1_234_567] {
        let plan = Plan { arrivals: Arrivals::Poisson, seed, ..plan(10_000.0, 20.0) };
        let due = offsets(Schedule::generated(START, &plan));
        let mut gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 100_000.0).collect();
        let count = gaps.len() as f64;
        assert!((count - 200_000.0).abs() < 4.0 * 200_000f64.sqrt(), "{count}");
        let mean = gaps.iter().sum::<f64>() / count;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        assert!((mean - 1.0).abs() < 0.01 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        gaps.sort_by(f64::total_cmp);
        let distance = gaps
            .iter()
            .enumerate()
            .map(|(rank, gap)| ((rank as f64 + 0.5) / count - (1.0 - (-gap).exp())).abs())
            .fold(0.0, f64::max);
        assert!(distance < 1.95 / count.sqrt(), "{distance}");
        // Neighbours know nothing of each other.
        let gaps: Vec<f64> = due.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 100_000.0 - mean).collect();
        let correlation = gaps.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / (count * variance);
        assert!(correlation.abs() < 4.0 / count.sqrt(), "{correlation}");
    }
}

#[test]
fn a_seed_says_what_is_drawn() {
    let with =
        |seed| offsets(Schedule::generated(START, &Plan { arrivals: Arrivals::Poisson, seed, ..plan(1e3, 1.0) }));
    assert_eq!(with(7), with(7));
    assert_ne!(with(7), with(8));
}

#[test]
fn bursts_come_at_once_and_keep_the_rate() {
    let due = offsets(Schedule::generated(START, &Plan { arrivals: Arrivals::Bursts(50), ..plan(1_000.0, 2.0) }));
    assert_eq!(due.len(), 2_000);
    for (index, offset) in due.iter().enumerate() {
        assert_eq!(*offset, index as u64 / 50 * 50 * Nanos::MS, "{index}");
    }
    let beats = Plan { arrivals: Arrivals::Beats(100, 200.0), ..plan(1_000.0, 2.0) };
    let due = offsets(Schedule::generated(START, &beats));
    assert!(due.is_sorted() && due.len() == 2_000, "{}", due.len());
    let at = |offset: u64| due.iter().filter(|due| **due == offset).count();
    for beat in 0..10 {
        assert_eq!(at(beat * 200 * Nanos::MS), 101, "a burst, and the one that was due anyway");
        let between = due.iter().filter(|due| **due / (200 * Nanos::MS) == beat).count();
        assert_eq!(between, 200, "as many in each period as the rate asks for");
    }
    // All of the rate comes in bursts.
    let beats = Plan { arrivals: Arrivals::Beats(100, 100.0), ..plan(1_000.0, 0.5) };
    assert_eq!(offsets(Schedule::generated(START, &beats)).len(), 500);
}

#[test]
fn recorded_requests_are_due_when_they_came() {
    let times = [0, 5, 5, 1_000, 7_000_000];
    let schedule = Schedule::recorded(START, Arc::from(times));
    assert_eq!(schedule.end, START.after(7_000_001));
    assert_eq!(offsets(schedule.clone()), times);
    let mut warm = schedule.with_warm_up(1_000);
    assert_eq!((warm.counted_from, warm.pass_all()), (START.after(1_000), 2));
    assert!(offsets(Schedule::recorded(START, Arc::from([]))).is_empty());
}

#[test]
fn a_schedule_that_is_cut_has_nothing_more_to_come() {
    let mut schedule = Schedule::new(START, 1_000, 10.0);
    schedule.pass();
    schedule.cut(START.after(2 * Nanos::MS));
    assert_eq!((schedule.due(), schedule.pass_all()), (None, 0));
    assert!(schedule.sends(START.after(50 * Nanos::MS)) && !schedule.waits(START.after(1_100 * Nanos::MS)));
}

#[test]
fn arrivals_are_read_as_they_are_written() {
    for text in ["constant", "poisson", "burst:50", "burst:200@12.5"] {
        assert_eq!(text.parse::<Arrivals>().map(|arrivals| arrivals.to_string()), Ok(text.to_owned()));
    }
    for text in
        ["", "Poisson", "burst", "burst:", "burst:0", "burst:-1", "burst:5@", "burst:5@0", "burst:5@x", "burst:5@inf"]
    {
        assert!(text.parse::<Arrivals>().is_err(), "{text}");
    }
}
