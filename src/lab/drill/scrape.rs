//! The metrics of a bidder, read from the text that a scraper gets (Prometheus text format 0.0.4, OpenMetrics 1.0).

use std::collections::BTreeMap;

/// The value of each series, by its name with its labels as written: `corebid_requests_total{core="0"}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads an exposition. Lines that are no series are left out.
    pub fn parse(text: &str) -> Metrics {
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            // A label may hold spaces, and nothing that we read has a time stamp.
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Metrics(series.collect())
    }

    /// The sum over all series of this name, 0 if there is none.
    pub fn sum(&self, name: &str) -> f64 {
        self.with(name, "")
    }

    /// The sum over those whose labels hold this text, as `reason="shed"`.
    pub fn with(&self, name: &str, label: &str) -> f64 {
        self.series(name).filter(|(labels, _)| labels.contains(label)).fold(0.0, |sum, (_, value)| sum + value)
    }

    /// Whether there is such a series.
    pub fn has(&self, name: &str) -> bool {
        self.series(name).next().is_some()
    }

    /// The labels, as written between the braces, and the value of each series of this name.
    pub fn series<'m>(&'m self, name: &'m str) -> impl Iterator<Item = (&'m str, f64)> + 'm {
        self.0
            .range(name.to_owned()..)
            .map_while(move |(series, value)| {
                let rest = series.strip_prefix(name)?;
                Some((rest, *value))
            })
            .filter_map(|(rest, value)| match rest {
                "" => Some(("", value)),
                labels => Some((labels.strip_prefix('{')?.strip_suffix('}')?, value)),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_label() {
        let text = "# HELP a Of a b\n# TYPE a counter\na_total{core=\"0\",reason=\"too old\"} 3\na_total{core=\"1\"} 4\n\
                    a 1.5\na_created 9\nab 100\n# EOF\n";
        let metrics = Metrics::parse(text);
        let close = |left: f64, right: f64| (left - right).abs() < 1e-9;
        assert!(close(metrics.sum("a_total"), 7.0));
        assert!(close(metrics.with("a_total", "reason=\"too old\""), 3.0));
        assert!(close(metrics.sum("a"), 1.5));
        assert!(close(metrics.sum("b"), 0.0) && !metrics.has("b") && metrics.has("ab"));
    }
}
