use super::*;
use serde_json::Value;

/// What scipy says (`tests/oracle/gate/vectors.py`).
fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

#[track_caller]
fn close(ours: f64, theirs: f64, within: f64, of: &dyn std::fmt::Debug) {
    assert!((ours - theirs).abs() <= within, "{ours}, scipy says {theirs}, of {of:?}");
}

#[test]
fn estimates_and_exact_tests_are_those_of_scipy() {
    for vector in vectors()["samples"].as_array().expect("vectors") {
        let sample = numbers(&vector["sample"]);
        let theirs = |name: &str| vector[name].as_f64().expect("a number");
        close(trimmed_mean(&sample), theirs("trimmed_mean"), 1e-12, &sample);
        close(median(&sample), theirs("median"), 1e-12, &sample);
        close(signed_rank(&sample), theirs("p"), 1e-9, &sample);
    }
}

#[test]
fn bootstrap_intervals_are_those_of_scipy() {
    for vector in vectors()["samples"].as_array().expect("vectors") {
        let (sample, Some(bounds)) = (numbers(&vector["sample"]), vector["interval"].as_array()) else { continue };
        let (low, high) = interval(&sample, 20_000, &mut Random::new(1));
        let (their_low, their_high) = (bounds[0].as_f64().expect("a number"), bounds[1].as_f64().expect("a number"));
        // Both are drawn: they differ by what 20,000 draws leave open of a quantile.
        let within = (their_high - their_low) * 0.04;
        close(low, their_low, within, &sample);
        close(high, their_high, within, &sample);
    }
}

#[test]
fn corrections_and_shares_are_those_of_the_books() {
    let vectors = vectors();
    for family in vectors["holm"].as_array().expect("families") {
        let p = numbers(&family["p"]);
        for (ours, theirs) in holm(&p).into_iter().zip(numbers(&family["adjusted"])) {
            close(ours, theirs, 1e-12, &p);
        }
    }
    for rate in vectors["wilson"].as_array().expect("rates") {
        let count = |name: &str| rate[name].as_u64().expect("a count") as usize;
        let (low, high) = wilson(count("hits"), count("trials"));
        let bounds = numbers(&rate["bounds"]);
        close(low, bounds[0], 1e-6, rate);
        close(high, bounds[1], 1e-6, rate);
    }
}

#[test]
fn a_sample_of_one_or_none_says_nothing() {
    assert_eq!((trimmed_mean(&[]), signed_rank(&[]), median(&[])), (0.0, 1.0, 0.0));
    assert_eq!(interval(&[0.5], 100, &mut Random::new(1)), (0.5, 0.5));
    assert!((signed_rank(&[0.5]) - 1.0).abs() < 1e-12);
}

/// Of samples as uncertain as their interval, whose true difference is what is said to be visible, four in five are told from 0.
#[test]
fn the_smallest_visible_difference_is_seen_four_times_in_five() {
    let (mut random, n, sigma) = (Random::new(3), 30, 0.02);
    let mut draw = |shift: f64| -> Vec<f64> { (0..n).map(|_| shift + sigma * random.normal()).collect() };
    let widths: Vec<f64> = (0..100)
        .map(|seed| {
            let (low, high) = interval(&draw(0.0), 400, &mut Random::new(seed));
            smallest_visible(low, high)
        })
        .collect();
    let visible = median(&widths);
    let seen = (0..400).filter(|_| signed_rank(&draw(visible)) <= 0.05).count();
    assert!((280..=370).contains(&seen), "{seen} of 400 at {visible}");
}

/// What the decision for this estimate rests on: how much it varies, over how much the mean and the median do, with a pair in ten
/// spoiled and with none.
#[test]
fn the_estimate_is_good_with_spoiled_pairs_and_without() {
    let mut random = Random::new(8);
    let mut variances = |spoiled: f64| {
        let mut squares = [0.0; 3];
        for _ in 0..4000 {
            let sample: Vec<f64> = (0..36)
                .map(|_| {
                    let sigma = if random.chance(spoiled) { 10.0 } else { 1.0 };
                    sigma * random.normal()
                })
                .collect();
            let mean = sample.iter().sum::<f64>() / 36.0;
            for (sum, estimate) in squares.iter_mut().zip([trimmed_mean(&sample), mean, median(&sample)]) {
                *sum += estimate * estimate;
            }
        }
        squares
    };
    let [ours, mean, median] = variances(0.0);
    assert!(ours < 1.3 * mean && ours < 0.85 * median, "{ours} {mean} {median}");
    let [ours, mean, median] = variances(0.1);
    assert!(ours < 0.3 * mean && ours < 0.95 * median, "{ours} {mean} {median}");
}
