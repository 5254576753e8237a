//! What came of a round.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::supply::store::Kind;

/// What came of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// There is a new copy.
    Fetched,
    /// It was sent again and is the same.
    Unchanged,
    /// 304: the copy is the current one.
    NotModified,
    /// 404: the publisher declares nothing.
    Absent,
    /// It was got so recently that it was not asked for.
    Fresh,
    /// It could not be got; what was known of it stays.
    Kept,
    /// It could not be got, and never was.
    Failed,
    /// It was not asked for: it failed before and its time has not come, or the round has had its bytes.
    Delayed,
}

impl Outcome {
    /// The file is in hand, and known to be current.
    pub fn is_success(self) -> bool {
        matches!(self, Outcome::Fetched | Outcome::Unchanged | Outcome::NotModified | Outcome::Absent | Outcome::Fresh)
    }

    /// As the report writes it.
    pub const fn label(self) -> &'static str {
        match self {
            Outcome::Fetched => "fetched",
            Outcome::Unchanged => "unchanged",
            Outcome::NotModified => "not_modified",
            Outcome::Absent => "absent",
            Outcome::Fresh => "fresh",
            Outcome::Kept => "kept",
            Outcome::Failed => "failed",
            Outcome::Delayed => "delayed",
        }
    }
}

/// A line of `report.ndjson`.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// Which file.
    pub kind: Kind,
    /// Whose.
    pub domain: &'a str,
    /// What came of it.
    pub outcome: Outcome,
    /// What was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<&'a str>,
    /// Length of the copy, bytes.
    pub bytes: u64,
    /// Why it could not be got.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub error: &'a str,
}

/// A round in numbers.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Files that were wanted: the targets', and those that they name.
    pub files: u64,
    /// By outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Bytes of bodies, as sent.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Files that could not be got.
    pub errors: u64,
    /// The first of them, for people.
    #[serde(skip)]
    pub first_errors: Vec<String>,
    /// At least one file is in hand.
    #[serde(skip)]
    pub any: bool,
}

impl Report {
    /// Errors that are told one by one; all are in the file.
    pub const FIRST: usize = 20;

    /// Counts a file.
    pub fn add(&mut self, line: &Line<'_>) {
        self.files += 1;
        *self.outcomes.entry(line.outcome.label()).or_default() += 1;
        self.any |= line.outcome.is_success();
        if matches!(line.outcome, Outcome::Kept | Outcome::Failed) {
            self.errors += 1;
            if self.first_errors.len() < Report::FIRST {
                let (domain, file) = (line.domain, line.kind.file());
                self.first_errors.push(format!("{domain}/{file}: {}: {}", line.outcome.label(), line.error));
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} files, {} bytes, {:.1} s", self.files, self.bytes, self.seconds)?;
        self.outcomes.iter().try_for_each(|(outcome, count)| write!(out, "\n{count:>9} {outcome}"))
    }
}
