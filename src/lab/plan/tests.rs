//! The hand-worked example of docs/CAPACITY.md, and what must hold of every plan.

use proptest::prelude::*;

use super::*;

/// As docs/CAPACITY.md has it.
fn costs() -> Costs {
    Costs {
        cpu_us_per_request: 10.0,
        cpu_us_per_notice: 10.0,
        bid_share: 0.1,
        filtered_share: 0.6,
        notices_per_bill: 3.0,
        body_bytes: 1500.0,
        request_head_bytes: 200.0,
        bid_bytes: 1000.0,
        nobid_bytes: 100.0,
        notice_bytes: 500.0,
        notice_answer_bytes: 40.0,
        ledger_bytes_per_bill: 200.0,
        core_bytes: 400.0 * 1_048_576.0,
        process_bytes: 100.0 * 1_048_576.0,
        campaign_bytes: 10_000.0,
        profile_bytes: 175.0,
        measured_on: "an example".to_owned(),
    }
}

fn question() -> Question {
    Question { qps: 1_000_000.0, average: 0.5, profiles: 1_000_000.0, ..Question::default() }
}

fn line(plan: &Plan, name: &str) -> f64 {
    plan.lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("no line {name}")).value
}

/// Computed by hand, not by the program.
#[test]
fn the_worked_example_comes_out() {
    let plan = plan(&question(), &costs(), &Prices::example());
    for (name, expected) in [
        // 1,000,000 x 0.1; x 0.2; x 3
        ("bids", 100_000.0),
        ("bills", 20_000.0),
        ("notices", 60_000.0),
        // (1,000,000 x 10 + 60,000 x 10) / 1,000,000
        ("busy", 10.6),
        // 10.6 / 0.6 = 17.67
        ("bid_cores", 18.0),
        ("load", 0.588_888_9),
        // 10 x 0.58889 / (2 x 0.41111)
        ("queue_us", 7.162_162),
        // 18 / 14 = 1.29, and one to spare
        ("by_cores", 2.0),
        ("machines", 3.0),
        // 100 MiB + 10,000,000 + 14 x 400 MiB
        ("memory", 5_986_883_200.0),
        // 1,700 bytes are two packets: 1,700 + 132
        ("request_wire", 1_832.0),
        ("bid_wire", 1_066.0),
        ("nobid_wire", 166.0),
        // 8 x (1,832,000,000 + 60,000 x 566)
        ("in_bits", 14_927_680_000.0),
        // 8 x (106,600,000 + 900,000 x 166 + 60,000 x 106)
        ("out_bits", 2_098_880_000.0),
        // 67,108,864 / 175 = 383,479.2; 600,000 x (1 - 0.3834792)
        ("misses", 369_912.466),
        // 3 x 100 / 5
        ("lease_calls", 60.0),
        // 20,000 x 0.5 x 200 x 86,400
        ("ledger_bytes_per_day", 172_800_000_000.0),
        ("machine_dollars", 1_500.0),
        // 262,360,000 bytes/s x 0.5 x 2,592,000 s
        ("egress_tb", 340.018_56),
        ("egress_dollars", 3_400.185_6),
        // 369,912.466 x 0.5 x 2.592
        ("read_dollars", 479_406.556),
        // (60 + 20,000) / 50,000
        ("valkey_dollars", 300.0),
        // 172.8 GB x 365 x 0.1
        ("ledger_dollars", 6_307.2),
        ("dollars", 490_913.942),
    ] {
        let value = line(&plan, name);
        assert!((value - expected).abs() <= expected * 1e-6, "{name}: {value}, by hand {expected}");
    }
    let (dollars, machines) = (plan.dollars, plan.machines);
    assert!((dollars - 490_913.942).abs() < 1.0 && (machines - 3.0).abs() < 1e-9);
    let page = plan.to_string();
    assert!(page.contains("= (1,000,000 * 10 + 60,000 * 10) / 1,000,000 = 10.6 cores"), "{page}");
}

#[test]
fn what_a_machine_has_no_memory_for_is_told() {
    let (question, prices) = (question(), Prices::example());
    let fitting = plan(&question, &costs(), &prices);
    assert!(fitting.fits && !fitting.to_string().contains("DOES NOT FIT"), "{fitting}");
    // 100 MiB + 10,000,000 + 14 x 8 GiB, on machines of 64 GiB.
    let large = plan(&question, &Costs { core_bytes: 8.0 * 1_073_741_824.0, ..costs() }, &prices);
    assert!(!large.fits && large.to_string().contains("DOES NOT FIT"), "{large}");
    let short = 48.0 * 1_073_741_824.0 + 100.0 * 1_048_576.0 + 10_000_000.0;
    assert!((line(&large, "memory_short") - short).abs() < 1.0, "{large}");
}

/// The document shows what the test computes.
#[test]
fn the_document_has_the_example() {
    let document = include_str!("../../../docs/CAPACITY.md");
    let plan = plan(&question(), &costs(), &Prices::example());
    for name in ["busy", "bid_cores", "machines", "in_bits", "out_bits", "misses", "read_dollars", "dollars"] {
        let line = plan.lines.iter().find(|line| line.name == name).unwrap();
        let told = format!("{name} = {}\n    = {} = {} {}", line.formula, line.numbers, shown(line.value), line.unit);
        assert!(document.contains(&told), "docs/CAPACITY.md has not\n{told}");
    }
}

#[test]
fn numbers_are_shown_as_they_are_read() {
    for (value, text) in
        [(0.0, "0"), (1234567.0, "1,234,567"), (10.6, "10.6"), (-1000.25, "-1,000.25"), (0.0001, "1.00e-4")]
    {
        assert_eq!(shown(value), text);
    }
}

#[test]
fn questions_and_files_that_make_no_sense_are_refused() {
    let good = Question { qps: 10.0, ..Question::default() };
    assert!(good.check().is_ok());
    for (bad, word) in [
        (Question { qps: 0.0, ..good }, "--qps"),
        (Question { qps: f64::NAN, ..good }, "--qps"),
        (Question { headroom: 1.0, ..good }, "--headroom"),
        (Question { bid_share: Some(1.5), ..good }, "--bid-share"),
        (Question { win_share: -0.1, ..good }, "--win-share"),
        (Question { average: f64::INFINITY, ..good }, "--average"),
        (Question { body_bytes: Some(-1.0), ..good }, "--body-bytes"),
        (Question { profiles: -1.0, ..good }, "--profiles"),
    ] {
        assert!(bad.check().is_err_and(|why| why.starts_with(word)), "{word}");
    }
    let folder = std::env::temp_dir().join(format!("corebid-plan-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("x.toml");
    let example = include_str!("../../../deploy/prices.toml");
    for (text, word) in [
        (String::new(), "missing field"),
        (format!("{example}\nmore = 1\n"), "unknown field"),
        (example.replace("machine_cores = 16", "machine_cores = -1"), "machine_cores"),
        (example.replace("machine_cores = 16", "machine_cores = nan"), "machine_cores"),
        (example.replace("valkey_calls_per_server = 50_000", "valkey_calls_per_server = 0"), "above 0"),
    ] {
        std::fs::write(&path, text).unwrap();
        let why = Prices::read(&path).unwrap_err();
        assert!(why.contains(word) && why.contains("x.toml") && why.lines().count() == 1, "{why}");
    }
    let path = folder.join("costs.json");
    std::fs::write(&path, serde_json::to_string(&costs()).unwrap()).unwrap();
    assert_eq!(Costs::read(&path), Ok(costs()));
    std::fs::write(&path, serde_json::to_string(&Costs { bid_share: 2.0, ..costs() }).unwrap()).unwrap();
    assert!(Costs::read(&path).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}

proptest! {
    /// Whoever asks for more never needs less; and no number is absurd.
    #[test]
    fn more_takes_more(qps in 1.0..1e8_f64, more in 1.0..10.0_f64, share in 0.0..1.0_f64, headroom in 0.05..0.95_f64, profiles in 0.0..1e10_f64) {
        let question = Question { qps, bid_share: Some(share), headroom, profiles, ..Question::default() };
        let (costs, prices) = (costs(), Prices::example());
        let (less, greater) = (plan(&question, &costs, &prices), plan(&Question { qps: qps * more, ..question }, &costs, &prices));
        let of = |plan: &Plan| [plan.cores, plan.machines, plan.memory_bytes, plan.in_bits, plan.out_bits, plan.dollars];
        for (one, other) in of(&less).into_iter().zip(of(&greater)) {
            prop_assert!(one.is_finite() && one > 0.0 && one <= other * (1.0 + 1e-9), "{one} {other}");
        }
        // No core is busier than it may be, and one less would be.
        let (busy, cores) = (line(&less, "busy"), less.cores);
        prop_assert!(busy <= cores * headroom * (1.0 + 1e-9) && busy > (cores - 1.0) * headroom * (1.0 - 1e-9));
        prop_assert!(less.lines.iter().all(|line| line.value.is_finite() && line.value >= 0.0));
    }
}
