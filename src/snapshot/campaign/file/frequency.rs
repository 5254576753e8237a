//! The keys of a campaign that say how often a user may see it.

use std::num::NonZeroU16;

use super::words::{one_of, some};
use crate::limits;
use crate::profile::count::{Cap, Per, Window};
use crate::snapshot::document::{Fault, Node, Table, fault};

/// Takes `frequency`, and `frequency_cap`, which is short for one cap by campaign and day.
pub(super) fn read(table: &mut Table) -> Result<Vec<Cap>, Fault> {
    let short = table.read("frequency_cap", times)?;
    let mut caps: Vec<Cap> =
        short.map(|times| Cap { per: Per::Campaign, window: Window::Day, times }).into_iter().collect();
    let listed = table.read("frequency", |node| some(node, limits::CAPS, |node| Ok((node.line, cap(node)?))))?;
    for (line, cap) in listed.unwrap_or_default() {
        if caps.iter().any(|other| (other.per, other.window) == (cap.per, cap.window)) {
            let what = format!("frequency: two caps per {} and {}", cap.per.label(), cap.window.label());
            return fault(line, what);
        }
        caps.push(cap);
    }
    Ok(caps)
}

fn cap(node: Node) -> Result<Cap, Fault> {
    let mut table = node.table()?;
    let pers = Per::ALL.map(|per| (per, per.label()));
    let windows = Window::ALL.map(|window| (window, window.label()));
    let cap = Cap {
        per: table.read("per", |node| one_of(node, "what a cap counts", &pers))?.unwrap_or(Per::Campaign),
        window: table.need("window", |node| one_of(node, "a time to count over", &windows))?,
        times: table.need("times", times)?,
    };
    table.finish()?;
    Ok(cap)
}

fn times(node: Node) -> Result<NonZeroU16, Fault> {
    let times = node.integer(1..=i64::from(u16::MAX))?;
    Ok(NonZeroU16::new(times as u16).expect("at least 1"))
}
