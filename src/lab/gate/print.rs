//! What the gate found, for people, for a page of a merge request, and for what shows test results.

use std::fmt::Write;
use std::fmt::{self, Display};

use crate::lab::gate::Report;
use crate::lab::gate::judge::{Metric, Verdict};
use crate::lab::gate::run::Pair;

/// A pair in a line.
pub fn pair(pair: &Pair) -> String {
    let (baseline, candidate) = (pair.baseline, pair.candidate);
    let mut line = format!(
        "CPU {:.2} and {:.2} us a request ({:.3}), p50 {:.1} and {:.1} us, p99 {:.1} and {:.1} us",
        baseline.cpu_us,
        candidate.cpu_us,
        candidate.cpu_us / baseline.cpu_us,
        baseline.p50_us,
        candidate.p50_us,
        baseline.p99_us,
        candidate.p99_us
    );
    if pair.host.stolen >= 0.01 {
        let _ = write!(line, ", {:.0} % stolen", pair.host.stolen * 100.0);
    }
    line
}

/// Why a verdict is what it is.
pub fn reason(verdict: Verdict, metrics: &[Metric], pairs: usize) -> String {
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    let about = |metric: &Metric| {
        let Metric { name, ratio, low, high, .. } = metric;
        // A count is exact.
        match metric.smallest_visible {
            Some(_) => format!("{name} {:+.1} % ({:+.1} to {:+.1} %)", percent(*ratio), percent(*low), percent(*high)),
            None => format!("{name} {:+.2} %", percent(*ratio)),
        }
    };
    let Some(first) = metrics.first() else { return String::new() };
    match verdict {
        Verdict::Fail => {
            let failed: Vec<_> = metrics
                .iter()
                .filter(|metric| metric.verdict == Verdict::Fail)
                .map(|metric| format!("{}, and {:+.1} % is tolerated", about(metric), percent(metric.tolerance)))
                .collect();
            failed.join("; ")
        }
        Verdict::Pass => format!("{}, and {:+.1} % is tolerated", about(first), percent(first.tolerance)),
        Verdict::Inconclusive if pairs < 2 => format!("one pair shows nothing of chance: {}", about(first)),
        Verdict::Inconclusive => {
            let visible = first.smallest_visible.map_or(0.0, percent);
            format!("{}; of {pairs} pairs like these, {visible:+.1} % is the least that would have shown", about(first))
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<16} {:>11} {:>11} {:>8} {:>17} {:>9} {:>9}  verdict",
            "metric", "baseline", "candidate", "ratio", "95 % interval", "p", "visible"
        )?;
        for metric in &self.metrics {
            let Metric { name, baseline, candidate, ratio, low, high, verdict, .. } = metric;
            let interval = format!("{low:.4} to {high:.4}");
            let (p, visible) = (digits(metric.p_adjusted, 2), digits(metric.smallest_visible, 3));
            writeln!(
                f,
                "  {name:<16} {baseline:>11.2} {candidate:>11.2} {ratio:>8.4} {interval:>17} {p:>9} {visible:>9}  {}",
                verdict.label()
            )?;
        }
        writeln!(f, "  {}", self.setting())?;
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        write!(f, "  {}: {}", self.verdict.label(), self.reason)
    }
}

/// Significant digits, or a dash for what there is none of.
fn digits(value: Option<f64>, after: usize) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 0.001 => format!("{value:.0e}"),
        Some(value) => format!("{value:.after$}"),
    }
}

impl Report {
    /// How it was measured, in a line.
    fn setting(&self) -> String {
        let host = self.host;
        format!(
            "{} pairs of runs of {} s at {} requests a second, {} left out, in {:.0} s; hiccups of the machine p99 {:.1} us, the generator late by {:.1} us, {:.1} % of the \
             CPU stolen, {:.1} % waited for; seed {}",
            self.pairs,
            self.seconds,
            self.rate,
            self.left_out,
            self.took,
            host.hiccup_p99_us,
            host.lag_p99_us,
            host.stolen * 100.0,
            host.waited * 100.0,
            self.seed
        )
    }

    /// GitHub-flavoured Markdown: a heading, a table, how it was measured.
    pub fn markdown(&self) -> String {
        let mut page = format!("## Performance gate: {}\n\n{}.\n\n", self.verdict.label(), self.reason);
        page += "| metric | baseline | candidate | ratio | 95 % interval | p | visible from | verdict |\n";
        page += "|---|---:|---:|---:|---:|---:|---:|---|\n";
        for metric in &self.metrics {
            let Metric { name, unit, baseline, candidate, ratio, low, high, verdict, .. } = metric;
            let (p, visible) = (digits(metric.p_adjusted, 2), digits(metric.smallest_visible, 3));
            let unit = if *unit == "us" { "us" } else { "" };
            let _ = writeln!(
                page,
                "| `{name}` | {baseline:.2} {unit} | {candidate:.2} {unit} | {ratio:.4} | {low:.4} to {high:.4} | {p} | {visible} | {} |",
                verdict.label()
            );
        }
        let _ = writeln!(page, "\n{}.", self.setting());
        for note in &self.notes {
            let _ = writeln!(page, "\n> {note}");
        }
        page
    }

    /// JUnit's XML, in the part that CI systems share (testsuites, testsuite, testcase, failure, skipped, system-out): a case for each
    /// metric and one for the verdict. What is inconclusive was skipped.
    pub fn junit(&self) -> String {
        let cases = self.metrics.iter().map(|metric| {
            let Metric { name, unit, baseline, candidate, ratio, low, high, verdict, .. } = metric;
            let text = format!(
                "baseline {baseline:.2} {unit}, candidate {candidate:.2} {unit}, ratio {ratio:.4} ({low:.4} to {high:.4}), p {}, tolerance \
                 {}",
                digits(metric.p_adjusted, 2),
                metric.tolerance
            );
            (*name, *verdict, text)
        });
        let cases: Vec<_> = cases.chain([("verdict", self.verdict, self.reason.clone())]).collect();
        let count = |wanted: Verdict| cases.iter().filter(|(_, verdict, _)| *verdict == wanted).count();
        let counts = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\"",
            cases.len(),
            count(Verdict::Fail),
            count(Verdict::Inconclusive),
            self.took
        );
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ =
            writeln!(xml, "<testsuites name=\"corebid gate\" {counts}>\n  <testsuite name=\"corebid gate\" {counts}>");
        for (name, verdict, text) in cases {
            let text = escaped(&text);
            let _ = writeln!(xml, "    <testcase classname=\"corebid.gate\" name=\"{name}\" time=\"0.000\">");
            let _ = match verdict {
                Verdict::Pass => Ok(()),
                Verdict::Fail => writeln!(xml, "      <failure type=\"slower\" message=\"{text}\"/>"),
                Verdict::Inconclusive => writeln!(xml, "      <skipped message=\"inconclusive: {text}\"/>"),
            };
            let _ = writeln!(xml, "      <system-out>{text}</system-out>\n    </testcase>");
        }
        let told = self.notes.iter().chain([&self.setting()]).map(|note| escaped(note)).collect::<Vec<_>>().join("\n");
        let _ = writeln!(xml, "    <system-out>{told}</system-out>\n  </testsuite>\n</testsuites>");
        xml
    }
}

/// Text within XML: the five characters that mean something else, and none that XML 1.0 does not have.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&apos;",
            letter if letter < ' ' && !"\t\n\r".contains(letter) => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
