//! `corebid supply paths`: the supply paths of a running bidder, as a table.

use std::cmp::Reverse;
use std::fmt::Write as _;

use clap::ValueEnum;

use crate::admin::paths::{Row, View};
use crate::commands::Failure;
use crate::commands::admin::{self, Admin};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The admin port of the bidder
    #[arg(long, value_name = "URL", default_value = admin::DEFAULT)]
    admin: String,
    /// What comes first: the paths with most of it
    #[arg(long, value_enum, default_value_t = Sort::Spend)]
    sort: Sort,
    /// Only so many paths
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    Spend,
    Requests,
    Bids,
    Wins,
    WinRate,
    Price,
    Duplicates,
    CostPerWin,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let mut view = fetch(&args.admin)?;
    sort(&mut view.paths, args.sort);
    view.paths.truncate(args.top.unwrap_or(usize::MAX));
    if args.json {
        println!("{}", serde_json::to_string(&view)?);
    } else {
        print!("{}", table(&view));
    }
    Ok(())
}

fn fetch(admin: &str) -> Result<View, Failure> {
    let admin = Admin(admin);
    let path = "/api/supply/paths";
    match admin.get(path)? {
        (200, body) => {
            serde_json::from_slice(&body).map_err(|error| admin.failed(&format!("no supply paths: {error}")))
        }
        (409, _) => Err(Failure::new(format!(
            "{}: this bidder counts no supply paths; set `paths = true` in [supply] of its configuration and restart it",
            admin.url()
        ))),
        (status, _) => Err(admin.failed(&format!("it answers {status} to {path}"))),
    }
}

/// The most first; what cannot be told, last.
fn sort(rows: &mut [Row], by: Sort) {
    let share = |share: Option<f64>| share.map(|share| (share * 1e9) as u64);
    rows.sort_by_key(|row| {
        Reverse(match by {
            Sort::Spend => Some(row.spend_micros),
            Sort::Requests => Some(row.requests),
            Sort::Bids => Some(row.bids),
            Sort::Wins => Some(row.wins),
            Sort::WinRate => share(row.win_rate),
            Sort::Price => row.price_micros,
            Sort::Duplicates => share(row.duplicate_share),
            Sort::CostPerWin => row.cost_per_win_micros,
        })
    });
}

const HEADINGS: [&str; 9] = ["requests", "copies", "bids", "wins", "win rate", "bills", "spend", "CPM", "per win"];

fn table(view: &View) -> String {
    let mut lines = vec![(format!("path ({})", view.currency), HEADINGS.map(str::to_owned))];
    lines.extend(view.paths.iter().map(|row| (name(row), cells(row))));
    let name_width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let width = |column: usize| lines.iter().map(|(_, cells)| cells[column].len()).max().unwrap_or(0);
    let widths: [usize; HEADINGS.len()] = std::array::from_fn(width);
    let mut out = String::new();
    for (name, cells) in &lines {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("  {cell:>width$}")).collect::<String>();
        writeln!(out, "{name:<name_width$}{cells}").expect("a string takes everything");
    }
    out
}

fn name(row: &Row) -> String {
    let exchange = row.exchange.as_deref().unwrap_or("other paths");
    match &row.systems {
        None if row.exchange.is_none() => exchange.to_owned(),
        None => format!("{exchange} (a path not seen since the start)"),
        Some(systems) if systems.is_empty() => format!("{exchange} direct"),
        Some(systems) => format!("{exchange} < {}", systems.iter().rev().cloned().collect::<Vec<_>>().join(" < ")),
    }
}

fn cells(row: &Row) -> [String; HEADINGS.len()] {
    let percent = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.1}%", share * 100.0));
    let micros = |amount: Option<u64>| amount.map_or("-".into(), decimal);
    [
        row.requests.to_string(),
        percent(row.duplicate_share),
        row.bids.to_string(),
        row.wins.to_string(),
        percent(row.win_rate),
        row.bills.to_string(),
        decimal(row.spend_micros),
        micros(row.price_micros),
        micros(row.cost_per_win_micros),
    ]
}

fn decimal(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
