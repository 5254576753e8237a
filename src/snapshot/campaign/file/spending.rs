//! The keys of a campaign that say how its money is spent.

use super::{MAX_BUDGET, amount};
use crate::snapshot::calendar;
use crate::snapshot::campaign::spending::{Mode, Pacing, Spending, UTC};
use crate::snapshot::document::{Fault, Node, Table, fault};
use crate::units::Micros;

/// The largest weight of an hour.
const MAX_WEIGHT: i64 = 4_000;

/// Takes `total_budget`, `pacing`, `curve`, `time_zone`, `mode` and `tolerance`.
pub(super) fn read(table: &mut Table) -> Result<Spending, Fault> {
    let (mut of_curve, mut of_tolerance) = (0, 0);
    let spending = Spending {
        total: table.read("total_budget", |node| amount(node, MAX_BUDGET))?.map(Micros),
        pacing: table.read("pacing", |node| word(node, &Pacing::ALL, Pacing::label))?.unwrap_or_default(),
        curve: table.read("curve", |node| lined(node, &mut of_curve, curve))?,
        zone: table.read("time_zone", zone)?.unwrap_or_else(|| UTC.to_owned()),
        mode: table.read("mode", |node| word(node, &Mode::ALL, Mode::label))?.unwrap_or_default(),
        tolerance: table.read("tolerance", |node| lined(node, &mut of_tolerance, tolerance))?,
    };
    if spending.pacing == Pacing::Asap && spending.curve.is_some() {
        return fault(of_curve, "curve: a campaign that spends as soon as possible (pacing = \"asap\") follows none");
    }
    if spending.mode == Mode::Strict && spending.tolerance.is_some() {
        return fault(of_tolerance, "tolerance: with mode = \"strict\" nothing is tolerated");
    }
    Ok(spending)
}

/// Reads a node and keeps its line.
fn lined<T>(node: Node, line: &mut usize, read: fn(Node) -> Result<T, Fault>) -> Result<T, Fault> {
    *line = node.line;
    read(node)
}

fn word<T: Copy>(node: Node, all: &[T], label: fn(T) -> &'static str) -> Result<T, Fault> {
    let line = node.line;
    let text = node.text()?;
    match all.iter().find(|one| label(**one) == text) {
        Some(one) => Ok(*one),
        None => {
            let words: Vec<_> = all.iter().map(|one| label(*one)).collect();
            fault(line, format!("{text:?} is none of {}", words.join(", ")))
        }
    }
}

fn curve(node: Node) -> Result<Box<[u32; 24]>, Fault> {
    let line = node.line;
    let hours = node.list()?;
    let count = hours.len();
    let weights = hours.into_iter().map(weight).collect::<Result<Vec<_>, _>>()?;
    let Ok(weights) = Box::<[u32; 24]>::try_from(weights) else {
        return fault(line, format!("a curve has 24 weights, one for each hour, not {count}"));
    };
    if weights.iter().all(|weight| *weight == 0) {
        return fault(line, "every hour weighs nothing");
    }
    Ok(weights)
}

fn weight(node: Node) -> Result<u32, Fault> {
    let line = node.line;
    match u32::try_from(node.micros()?) {
        Ok(weight) if i64::from(weight) <= MAX_WEIGHT * 1_000_000 => Ok(weight),
        _ => fault(line, format!("a weight is from 0 to {MAX_WEIGHT}")),
    }
}

fn zone(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let name = node.text()?;
    calendar::named(&name).or_else(|unknown| fault(line, unknown.to_string()))
}

fn tolerance(node: Node) -> Result<u32, Fault> {
    let line = node.line;
    match node.micros()? {
        share @ 0..=1_000_000 => Ok(share as u32),
        _ => fault(line, "a tolerance is a part of the daily budget, from 0 to 1"),
    }
}
