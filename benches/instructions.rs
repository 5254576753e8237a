//! One operation, N times, for `scripts/instructions` to count under callgrind: `instructions CASE N`, `instructions --list`.
//! The decisions of the demo's mix, ending by ending: `instructions ending:LABEL N`, `instructions --endings`.
//!
//! Nothing that is listed depends on time or chance: bodies are generated from a seed, the bench core's clock stands still. The
//! cases of supply paths are not listed: each run makes a table under a key of its own.

#[path = "cases/mod.rs"]
#[allow(dead_code, reason = "each bench uses its own cases")]
mod cases;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match (args.next().as_deref(), args.next().and_then(|n| n.parse().ok())) {
        (Some("--list"), _) => {
            let same = cases::CASES.iter().filter(|case| !case.name.starts_with("path_"));
            same.for_each(|case| println!("{}", case.name));
        }
        (Some("--endings"), _) => {
            for cases::Ending { label, share, .. } in cases::endings(cases::CAMPAIGNS) {
                println!("ending:{label} {share:.4}");
            }
        }
        (Some(name), Some(n)) if name.starts_with("ending:") => {
            let label = &name["ending:".len()..];
            let mut endings = cases::endings(cases::CAMPAIGNS).into_iter();
            let mut ending =
                endings.find(|ending| ending.label == label).unwrap_or_else(|| panic!("no ending {label}"));
            (0..n).for_each(|_| (ending.operation)());
        }
        (Some(name), Some(n)) => {
            let case = cases::CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case {name}"));
            let mut operation = (case.make)();
            for _ in 0..n {
                operation();
            }
        }
        // `cargo bench` without more runs every case a little, so that none is broken unseen.
        _ => cases::CASES.iter().for_each(|case| {
            let mut operation = (case.make)();
            (0..10).for_each(|_| operation());
            println!("{} ran", case.name);
        }),
    }
}
