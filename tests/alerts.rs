//! The alert rules that are shipped: Prometheus's own tool takes them, each fires and stays silent when it should, asks for metrics
//! that there are, and names a page to read.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::Folder;
use support::process::Bidder;

const RULES: &str = "corebid.rules.yml";
const TESTS: &str = "corebid.rules.test.yml";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus").join(name)
}

fn rules() -> String {
    fs::read_to_string(shipped(RULES)).unwrap()
}

/// Name and text of each rule.
fn each(rules: &str) -> Vec<(String, String)> {
    let rules = rules.split("- alert: ").skip(1).map(|rule| {
        let (name, text) = rule.split_once('\n').unwrap();
        (name.to_owned(), text.split("\n  - name: ").next().unwrap().to_owned())
    });
    rules.collect()
}

fn promtool(arguments: &[&str]) -> Output {
    Command::new("promtool").args(arguments).output().expect("promtool, which scripts/test installs")
}

#[track_caller]
fn agrees(arguments: &[&str]) {
    let output = promtool(arguments);
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
}

#[test]
fn prometheus_takes_them() {
    agrees(&["check", "rules", shipped(RULES).to_str().unwrap()]);
    agrees(&["check", "config", "--syntax-only", shipped("prometheus.yml").to_str().unwrap()]);
}

#[test]
fn each_fires_when_it_should_and_only_then() {
    agrees(&["test", "rules", shipped(TESTS).to_str().unwrap()]);
    // And the tests notice if it does not, or if any part of its condition holds always.
    let folder = Folder::new("alerts");
    let (rules, tests) = (rules(), fs::read_to_string(shipped(TESTS)).unwrap());
    let tests: Vec<&str> = tests.split_inclusive("\n\n").collect();
    for (name, text) in each(&rules) {
        // Only its own, for speed.
        let of_it = |test: &&str| !test.contains("alertname: ") || test.contains(&format!("alertname: {name}"));
        folder.write(TESTS, tests.iter().copied().filter(of_it).collect::<String>());
        let expression = text.split("expr:").nth(1).unwrap();
        let end = ["\n        for:", "\n        labels:"].iter().filter_map(|key| expression.find(key)).min().unwrap();
        for other in weaker(&expression[..end]) {
            folder.write(RULES, rules.replace(&expression[..end], &other));
            let told = promtool(&["test", "rules", &folder.text(TESTS)]);
            assert!(!told.status.success(), "no test notices that {name} is{other}");
            assert!(String::from_utf8_lossy(&told.stderr).contains("exp:"), "{name} is{other}: {told:?}");
        }
    }
}

/// The condition that never holds, and the one it is with each of its comparisons, or each of its labels, meaning nothing.
fn weaker(expression: &str) -> Vec<String> {
    let mut others = vec![" up > +Inf".to_owned()];
    for (word, nothing) in [(" > ", " > -1e300 + "), (" < ", " < 1e300 + "), (" == ", " > -1e300 + ")] {
        let places = expression.match_indices(word).map(|(place, _)| place);
        others.extend(places.map(|at| format!("{}{nothing}{}", &expression[..at], &expression[at + word.len()..])));
    }
    for (at, _) in expression.match_indices("=\"").chain(expression.match_indices("=~\"")) {
        let (before, after) = expression.split_at(at);
        let closed = after.split_once('"').and_then(|(_, rest)| rest.split_once('"')).unwrap().1;
        others.push(format!("{before}!=\"\"{closed}"));
    }
    others
}

#[test]
fn each_says_what_is_wrong_and_what_to_read() {
    let rules = rules();
    let mut pages = BTreeSet::new();
    for (name, text) in each(&rules) {
        let field = |key: &str| {
            let rest = text.split(key).nth(1).unwrap_or_else(|| panic!("{name} has no {key}"));
            rest.lines().next().unwrap().trim().to_owned()
        };
        assert!(["{ severity: critical }", "{ severity: warning }"].contains(&field("labels: ").as_str()), "{name}");
        assert!(field("summary: ").contains("{{ $labels.instance }}"), "{name} does not say where");
        let page = field("runbook: ");
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&page)).expect(&page);
        assert!(
            page == "docs/runbook/README.md" || page == "docs/GUARDS.md" || text.contains(&name),
            "{page} does not tell of {name}"
        );
        pages.insert(page);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbook");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    for page in fs::read_dir(&folder).unwrap() {
        let page = page.unwrap().file_name().into_string().unwrap();
        assert!(pages.contains(&format!("docs/runbook/{page}")), "no alert leads to {page}");
        assert!(page == "README.md" || index.contains(&format!("({page})")), "the index does not name {page}");
    }
}

/// The names of all series in a text of metrics.
fn names(text: &str) -> BTreeSet<String> {
    let series = text.lines().filter(|line| !line.starts_with('#'));
    series.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

#[test]
fn what_they_ask_for_is_there() {
    let folder = Folder::new("alerts-metrics");
    let log = folder.text("audit.log");
    let config = folder.configure("", "", &support::campaign(1, ""));
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + &format!("[audit]\nfile = {log:?}\nsample = 1\n[training]\ndir = \"training\"\n"))
        .unwrap();
    let bidder = Bidder::start(&["--config", &config]);
    let mut known = names(&String::from_utf8(bidder.admin("/metrics").body).unwrap());
    bidder.stop();
    known.insert("up".into());
    known.extend(names(&of_what_is_configured()));
    for (name, text) in each(&rules()) {
        let expression = text.split("annotations:").next().unwrap();
        let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let asked: Vec<&str> = words.filter(|word| word.starts_with("corebid_")).collect();
        assert!(!asked.is_empty() || name == "CorebidDown", "{name} asks for nothing of ours");
        for metric in asked {
            assert!(known.contains(metric), "{name} asks for {metric}, which nobody counts");
        }
    }
}

/// What is counted where there are stores to ask, and a second way in.
fn of_what_is_configured() -> String {
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(corebid::ingress::counts::Ingressed(Default::default())));
    registry.register_collector(Box::new(corebid::stores::metrics::Fetches(Default::default())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}
