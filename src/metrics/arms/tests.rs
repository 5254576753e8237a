use super::*;
use crate::snapshot::scoring::{Rollout, Split};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

fn drift() -> Drift {
    let edges: Vec<f64> = (1..10).map(|tenth| f64::from(tenth) / 100.0).collect();
    Drift::new(&edges, &[0.1; BINS]).unwrap()
}

fn arm(name: &str, share: u16, click: Option<&str>) -> Arm {
    let click = click.map(|version| Arc::new(Served::constant(version, Target::Click, drift())));
    Arm { name: name.into(), share, click, ..Arm::default() }
}

fn standing(arms: Vec<Arm>) -> Standing {
    let order: Vec<ArmId> = (0..arms.len()).map(|place| ArmId(place as u8)).collect();
    let rollout = Some(Arc::new(Rollout::new(Split::User, "s", arms, &order)));
    Standing { rollout, ..Standing::default() }
}

struct Bench {
    cores: Vec<&'static CoreMetrics>,
    gauges: Arc<Gauges>,
    arms: Arc<Arms>,
    registry: Registry,
}

impl Bench {
    fn new() -> Bench {
        let cores: Vec<&'static CoreMetrics> = (0..2).map(|_| &*Box::leak(Box::new(CoreMetrics::default()))).collect();
        let gauges = Arc::new(Gauges::new(0));
        let arms = Arc::new(Arms::new(cores.clone(), gauges.clone()));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Metrics(arms.clone())));
        Bench { cores, gauges, arms, registry }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).unwrap();
        text
    }

    #[track_caller]
    fn says(&self, lines: &[&str]) {
        let text = self.text();
        for line in lines {
            assert!(text.lines().any(|known| known == *line), "{line} is not in\n{text}");
        }
    }
}

#[test]
fn without_a_rollout_there_are_no_arms() {
    let bench = Bench::new();
    bench.cores[0].arms[0].bids.add(3);
    assert!(!bench.text().contains("corebid_arm"), "{}", bench.text());
}

#[test]
fn an_arm_is_what_all_cores_and_the_books_say_of_its_place() {
    let bench = Bench::new();
    // Of a time before the rollout.
    bench.cores[0].arms[0].bids.add(1_000);
    bench.arms.show(standing(vec![arm("control", 9_000, None), arm("challenger", 1_000, Some("ctr/2"))]));
    bench.cores.iter().for_each(|core| core.arms[1].bids.add(5));
    bench.cores[0].arms[0].bids.add(7);
    bench.gauges.arms[1].wins.add(2);
    bench.gauges.arms[1].billed(Micros(1_250));
    bench.gauges.arms[1].clicks.add(1);
    bench.says(&[
        "# TYPE corebid_arm_bids counter",
        "corebid_arm_bids_total{arm=\"control\"} 7",
        "corebid_arm_bids_total{arm=\"challenger\"} 10",
        "corebid_arm_wins_total{arm=\"challenger\"} 2",
        "corebid_arm_bills_total{arm=\"challenger\"} 1",
        "corebid_arm_billed_micros_total{arm=\"challenger\"} 1250",
        "corebid_arm_clicks_total{arm=\"challenger\"} 1",
        "corebid_arm_conversions_total{arm=\"challenger\"} 0",
        "corebid_arm_share{arm=\"control\"} 0.9",
        "corebid_arm_model{arm=\"challenger\",target=\"click\",version=\"ctr/2\"} 1.0",
        "corebid_rollout_rolled_back{split=\"user\"} 0.0",
    ]);
    let text = bench.text();
    assert!(!text.contains("corebid_arm_scores_total{arm=\"control\""), "it has no model:\n{text}");
    assert!(!text.contains("corebid_arm_score_psi{"), "nothing was scored yet:\n{text}");
}

#[test]
fn scores_are_held_against_those_of_the_test() {
    let bench = Bench::new();
    let with = |version| standing(vec![arm("control", 10_000, Some(version))]);
    bench.arms.show(with("ctr/1"));
    let served = Served::constant("ctr/1", Target::Click, drift());
    // 200, 100 eight times, nothing: the hand computation is that of `model::drift`.
    for tenth in 0..9 {
        for at in 0..if tenth == 0 { 200 } else { 100 } {
            bench.cores[at % 2].arms[0].scored(&served, f64::from(tenth) / 100.0 + 0.005);
        }
    }
    let scores = |bin: usize, count: u64| {
        format!("corebid_arm_scores_total{{arm=\"control\",target=\"click\",bin=\"{bin}\"}} {count}")
    };
    bench.says(&[&scores(0, 200), &scores(4, 100), &scores(9, 0)]);
    let text = bench.text();
    let psi =
        text.lines().find_map(|line| line.strip_prefix("corebid_arm_score_psi{arm=\"control\",target=\"click\"} "));
    let psi: f64 = psi.expect(&text).parse().unwrap();
    assert!((psi - 0.759_399_5).abs() < 1e-6, "{psi}");

    // Another model begins at zero; the arm's bids go on.
    bench.cores[0].arms[0].bids.add(4);
    bench.arms.show(with("ctr/2"));
    bench.says(&[&scores(0, 0), "corebid_arm_bids_total{arm=\"control\"} 4"]);
    assert!(!bench.text().contains("corebid_arm_score_psi{"));
}

#[test]
fn a_place_that_goes_to_another_name_begins_at_zero() {
    let bench = Bench::new();
    bench.arms.show(standing(vec![arm("a", 5_000, None), arm("b", 5_000, None)]));
    bench.cores[0].arms[1].bids.add(9);
    bench.gauges.arms[1].wins.add(3);
    bench.arms.show(standing(vec![arm("a", 10_000, None), arm("b", 0, None)]));
    bench.gauges.arms[1].wins.add(1);
    bench.says(&["corebid_arm_bids_total{arm=\"b\"} 9", "corebid_arm_wins_total{arm=\"b\"} 4"]);
    bench.arms.show(standing(vec![arm("a", 9_000, None), arm("c", 1_000, None)]));
    bench.cores[1].arms[1].bids.add(2);
    bench.says(&["corebid_arm_bids_total{arm=\"c\"} 2", "corebid_arm_wins_total{arm=\"c\"} 0"]);
}

#[test]
fn the_index_is_of_the_last_hour_at_most() {
    let mut window = Window::default();
    let counts = |all: u64| [all; BINS];
    let minutes = |minutes: u64| minutes * 60 * Nanos::SECOND;
    assert_eq!(window.recent(minutes(29), counts(10)), counts(10));
    assert_eq!(window.recent(minutes(31), counts(20)), counts(20));
    assert_eq!(window.recent(minutes(60), counts(30)), counts(30), "from the start of the window before");
    assert_eq!(window.recent(minutes(62), counts(40)), counts(20), "what was counted in the first is gone");
    assert_eq!(window.recent(minutes(93), counts(50)), counts(10));
}
