use super::*;
use crate::lab::gate::judge::metrics;
use crate::lab::gate::run::{Host, Run};
use roxmltree::{Document, Node};

/// A report in which CPU time failed, a percentile is inconclusive, and a note holds what XML and Markdown must not take for theirs.
fn report() -> Report {
    let runs: Vec<Pair> = (0..8)
        .map(|at| {
            let noise = f64::from(at) * 0.001;
            let wild = if at % 2 == 0 { 5.0 } else { 0.2 };
            let run = |cpu_us, p999_us| Run { cpu_us, p50_us: 50.0, p99_us: 90.0, p999_us, ..Run::default() };
            Pair { baseline: run(10.0, 100.0), candidate: run(12.0 + noise, 100.0 * wild), host: Host::default() }
        })
        .collect();
    let mut metrics = metrics(&runs, 1.03, 500, 1);
    metrics.push(Metric::counted(1000.0, 1001.0, 1.005));
    Report {
        verdict: Verdict::Fail,
        reason: reason(Verdict::Fail, &metrics, 8),
        metrics,
        pairs: 8,
        left_out: 1,
        rate: 1000,
        seconds: 2.0,
        tolerance: 1.03,
        seed: 7,
        took: 31.0,
        host: Host::default(),
        notes: vec!["no counts: <a & \"b\"> 'c' \u{1}]]>".to_owned()],
        runs,
    }
}

/// The rules that CI systems share: names, counts that add up, at most one outcome for a case.
#[test]
fn junit_is_xml_that_ci_systems_read() {
    let report = report();
    let xml = report.junit();
    let document = Document::parse(&xml).expect("XML");
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    let elements = |node: Node<'_, '_>, name: &str| -> usize {
        node.descendants().filter(|found| found.has_tag_name(name)).count()
    };
    let suites: Vec<_> = root.children().filter(Node::is_element).collect();
    assert_eq!(suites.len(), 1);
    for node in [root, suites[0]] {
        for (attribute, name) in
            [("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped"), ("errors", "error")]
        {
            assert_eq!(node.attribute(attribute), Some(elements(node, name).to_string().as_str()), "{attribute}");
        }
        assert!(node.attribute("time").is_some_and(|time| time.parse::<f64>().is_ok()));
    }
    let cases: Vec<_> = suites[0].children().filter(|node| node.has_tag_name("testcase")).collect();
    let names: Vec<_> = cases.iter().filter_map(|case| case.attribute("name")).collect();
    assert_eq!(names, ["cpu_per_request", "p50", "p99", "p999", "instructions", "verdict"]);
    for case in &cases {
        assert_eq!(case.attribute("classname"), Some("corebid.gate"));
        assert!(elements(*case, "failure") + elements(*case, "skipped") <= 1);
    }
    let failure = cases[0].children().find(|node| node.has_tag_name("failure")).expect("CPU time failed");
    assert!(failure.attribute("message").is_some_and(|message| message.contains("ratio 1.20")), "{xml}");
    assert!(cases[3].children().any(|node| node.has_tag_name("skipped")), "{xml}");
    let told = suites[0].children().find(|node| node.has_tag_name("system-out")).and_then(|node| node.text());
    assert!(told.is_some_and(|told| told.starts_with("no counts: <a & \"b\"> 'c' \u{fffd}]]>\n8 pairs")), "{told:?}");
}

#[test]
fn markdown_has_a_row_for_each_metric() {
    let report = report();
    let page = report.markdown();
    assert!(page.starts_with("## Performance gate: fail\n\ncpu_per_request +20.0 % ("), "{page}");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), report.metrics.len());
    assert!(page.lines().filter(|line| line.starts_with('|')).all(|row| row.matches('|').count() == 9), "{page}");
    assert!(page.contains("\n8 pairs of runs of 2 s at 1000 requests a second, 1 left out, in 31 s; "), "{page}");
}

#[test]
fn an_inconclusive_reason_says_what_would_have_shown() {
    let metrics = report().metrics;
    let why = reason(Verdict::Inconclusive, &metrics, 8);
    assert!(why.starts_with("cpu_per_request +20.0 % (") && why.contains("of 8 pairs like these, +"), "{why}");
    assert!(reason(Verdict::Inconclusive, &metrics, 1).starts_with("one pair shows nothing of chance"));
}
