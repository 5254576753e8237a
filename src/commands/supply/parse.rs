//! `corebid supply parse`: what a file says, and what of it is skipped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::commands::Failure;
use crate::supply::{ads_txt, sellers_json};

/// What `corebid supply parse` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the file is
    #[arg(long, value_enum)]
    kind: Kind,
    /// The file; `-` is standard input
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    #[value(name = "ads.txt")]
    AdsTxt,
    #[value(name = "app-ads.txt")]
    AppAdsTxt,
    #[value(name = "sellers.json")]
    SellersJson,
}

/// What a file says.
#[derive(Debug, Default)]
struct Report {
    /// Lines that authorize somebody, duplicates and placeholders included; sellers with an id.
    records: u64,
    /// What could not be understood.
    skipped: Vec<Skipped>,
    /// How many those are: of very many, not all are told.
    skipped_count: u64,
    /// By their names in capitals, as the specification writes them; in sellers.json as they stand there.
    variables: BTreeMap<String, Vec<String>>,
    /// Why the file as a whole is not what it should be.
    refused: Option<String>,
}

#[derive(Debug, serde::Serialize)]
struct Skipped {
    /// From 1; where an entry of a sellers.json begins.
    line: u64,
    /// Of an entry, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    reason: &'static str,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let report = match args.kind {
        Kind::AdsTxt | Kind::AppAdsTxt => ads(&args.file),
        Kind::SellersJson => sellers(&args.file),
    };
    let report = report.map_err(|failure| super::told(args.json, failure))?;
    if args.json {
        println!("{}", report.json());
    } else {
        report.print();
    }
    match report.refused {
        Some(refused) => Err(Failure::new(format!("{}: {refused}", args.file.display()))),
        None => Ok(()),
    }
}

fn ads(path: &Path) -> Result<Report, Failure> {
    let text = super::read(path)?;
    let refused = ads_txt::refusal(&text).map(|refusal| refusal.label().to_owned());
    let mut report = Report { refused, ..Report::default() };
    for line in ads_txt::lines(&text) {
        match line {
            ads_txt::Line::Record(_) => report.records += 1,
            ads_txt::Line::Variable { name, value } => {
                report.variables.entry(name.to_ascii_uppercase()).or_default().push(value.to_owned());
            }
            ads_txt::Line::Skipped { line, reason } => {
                report.skipped.push(Skipped { line: line as u64, index: None, reason: reason.label() });
            }
        }
    }
    report.skipped_count = report.skipped.len() as u64;
    Ok(report)
}

fn sellers(path: &Path) -> Result<Report, Failure> {
    let file: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(|error| super::unreadable(path, &error))?)
    };
    let summary = match sellers_json::read_from(BufReader::with_capacity(1 << 16, file), |_| {}) {
        Ok(summary) => summary,
        // What was read before the mistake does not count.
        Err(error) => return Ok(Report { refused: Some(error.to_string()), ..Report::default() }),
    };
    let skipped = summary.skipped.iter().map(|&sellers_json::Skipped { index, line, reason }| Skipped {
        line,
        index: Some(index),
        reason: reason.label(),
    });
    let told = [
        ("version", summary.version),
        ("contact_email", summary.contact_email),
        ("contact_address", summary.contact_address),
    ];
    Ok(Report {
        records: summary.sellers,
        skipped: skipped.collect(),
        skipped_count: summary.unnamed,
        variables: told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), vec![value?]))).collect(),
        refused: None,
    })
}

impl Report {
    /// A variable that stands there once is a text, one that stands there more often a list.
    fn json(&self) -> Value {
        let variables = self.variables.iter().map(|(name, values)| {
            let value = if let [value] = values.as_slice() { json!(value) } else { json!(values) };
            (name.clone(), value)
        });
        json!({
            "records": self.records,
            "skipped": self.skipped,
            "skipped_count": self.skipped_count,
            "variables": variables.collect::<serde_json::Map<_, _>>(),
            "refused": self.refused,
        })
    }

    fn print(&self) {
        println!("records: {}", self.records);
        for (name, values) in &self.variables {
            for value in values {
                println!("{name} = {value}");
            }
        }
        println!("skipped: {}", self.skipped_count);
        for Skipped { line, reason, .. } in &self.skipped {
            println!("  line {line}: {reason}");
        }
        if (self.skipped.len() as u64) < self.skipped_count {
            println!("  and {} more", self.skipped_count - self.skipped.len() as u64);
        }
    }
}
