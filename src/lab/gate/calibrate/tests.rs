use super::*;
use crate::lab::drill::Files;
use crate::lab::gate::run::{Host, Run};

/// Pairs on a host that drifts, with a candidate that takes `percent` more CPU time, and says nothing else.
fn recorded(percent: u32, count: usize, sigma: f64) -> Vec<Pair> {
    let mut random = Random::of(5, u64::from(percent));
    (0..count)
        .map(|at| {
            let host = 12.0 * (1.0 + 0.2 * (at as f64 / 20.0).sin());
            let mut run = |factor: f64| {
                let mut noisy = |value: f64, sigma: f64| (random.log_normal(value, sigma) * 1e4).round() / 1e4;
                Run {
                    cpu_us: noisy(host * factor, sigma),
                    p50_us: noisy(60.0, 0.05),
                    p99_us: noisy(200.0, 0.3),
                    p999_us: noisy(900.0, 0.6),
                    sent: 10,
                    answered: 10,
                    bids: 1,
                }
            };
            Pair { baseline: run(1.0), candidate: run(1.0 + f64::from(percent) / 100.0), host: Host::default() }
        })
        .collect()
}

#[test]
fn what_is_planted_is_found_and_nothing_else() {
    let recorded: Pairs = [0, 2, 5].map(|percent| (percent, recorded(percent, 120, 0.015))).into();
    let how = Trials { trials: 60, pairs: 24, tolerance: 1.03, seed: 3 };
    let [same, two, five] = resample(&recorded, how).try_into().expect("three");
    assert_eq!((same.busy_work, same.recorded, same.trials), (0, 120, 60));
    // A test at 5 % of one thing, and one of the three others together, where half of what differs is slower.
    assert!(same.fail <= 5 && same.pass > 50 && same.seen[0] <= 8 && same.any <= 16, "{same:?}");
    assert!(two.seen[0] > 45 && two.fail < 10, "seen, and tolerated: {two:?}");
    assert!(five.fail > 57 && five.seen[0] == 60, "{five:?}");
    assert!((five.ratio[0] - 1.05).abs() < 0.01 && five.ratio[1] < 1.05 && five.ratio[2] > 1.05, "{five:?}");
    let table = table(&[same, two, five]);
    assert_eq!(table.lines().count(), 5);
    assert!(table.lines().all(|row| row.matches('|').count() == 11), "{table}");
}

#[test]
fn blocks_are_neighbours() {
    let pairs: Vec<Pair> = (0..40)
        .map(|at| Pair { baseline: Run { cpu_us: f64::from(at), ..Run::default() }, ..Pair::default() })
        .collect();
    let drawn = draw(&pairs, 22, false, &mut Random::new(9));
    assert_eq!(drawn.len(), 22);
    for block in drawn.chunks(BLOCK) {
        for two in block.windows(2) {
            let step = (two[1].baseline.cpu_us - two[0].baseline.cpu_us).rem_euclid(40.0);
            assert!((step - 1.0).abs() < 1e-9, "{two:?}");
        }
    }
}

#[test]
fn a_recording_goes_on_after_a_torn_line() {
    let files = Files::new("gate-recording").expect("a folder");
    let path = files.path("runs.ndjson");
    let line = Line::Pair(Recorded { busy_work: 5, pair: recorded(5, 1, 0.01)[0] });
    for _ in 0..2 {
        let mut file = append(&path).expect("a file");
        write(&mut file, &Line::Session(Session { cpu: "one".into(), ..Session::default() })).expect("room");
        write(&mut file, &line).expect("room");
        // The process dies within a line.
        file.write_all(b"{\"pair\":{\"busy_wo").expect("room");
    }
    assert!(read(&fs::read_to_string(&path).expect("text")).is_err_and(|why| why.starts_with("line 5: ")));
    drop(append(&path).expect("a file"));
    let (sessions, pairs) = read(&fs::read_to_string(&path).expect("text")).expect("whole lines");
    assert_eq!((sessions.len(), sessions[0].cpu.as_str(), pairs[&5].len()), (2, "one", 2));
    let Line::Pair(written) = line else { unreachable!("it is a pair") };
    assert_eq!(pairs[&5][1], written.pair);
}
