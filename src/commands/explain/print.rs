//! An explanation for a terminal: what can be read in one go. `--json` has all of it.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::Explanation;
use super::witness::Considered;

/// Lines under a stage, and campaigns.
const SHOWN: usize = 12;

/// The explanation as text; `fully` leaves nothing out of its campaigns.
pub(super) fn tree(explanation: &Explanation, fully: bool) -> String {
    let mut out = String::new();
    write(&mut out, explanation, fully).expect("a string takes everything");
    out
}

fn write(out: &mut String, explanation: &Explanation, fully: bool) -> fmt::Result {
    let Explanation { outcome, status, reason, nbr, price, tree, campaigns, bytes, length, .. } = explanation;
    writeln!(out, "outcome   {outcome} ({status})")?;
    if let (Some(reason), Some(nbr)) = (reason, nbr) {
        writeln!(out, "reason    {reason} (nbr {nbr})")?;
    }
    if let Some(price) = price {
        writeln!(out, "price     {price} CPM")?;
    }
    writeln!(out, "stages")?;
    for node in tree {
        writeln!(out, "  {:<8}{}", node.stage, node.decided)?;
        for detail in node.details.iter().take(SHOWN) {
            writeln!(out, "    - {}", detail.text)?;
        }
        more(out, "    ", node.details.len(), SHOWN)?;
    }
    if !campaigns.is_empty() {
        writeln!(out, "campaigns {}", summary(campaigns))?;
        // Those that came furthest first.
        let mut shown: Vec<&Considered> = campaigns.iter().collect();
        shown.sort_by_key(|one| {
            let stage = one.why_nots.first().map(|why| std::cmp::Reverse(why.at));
            (stage.is_some(), stage, std::cmp::Reverse(one.price.map(|price| (price * 1e6) as i64)), one.why_nots.len())
        });
        let most = if fully { usize::MAX } else { SHOWN };
        for one in shown.into_iter().take(most) {
            campaign(out, one)?;
        }
        more(out, "  ", campaigns.len(), most)?;
    }
    if *length > 0 {
        writeln!(out, "bytes     {length}")?;
        writeln!(out, "{bytes}")?;
    }
    Ok(())
}

fn more(out: &mut String, indent: &str, count: usize, shown: usize) -> fmt::Result {
    if count <= shown {
        return Ok(());
    }
    writeln!(out, "{indent}... {} more; --json lists them all, --campaign ID shows one", count - shown)
}

/// How many campaigns ended for which reason, the commonest first.
fn summary(campaigns: &[Considered]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in campaigns {
        *counts.entry(one.why_not.unwrap_or("bids")).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|&(why, count)| (why != "bids", std::cmp::Reverse(count)));
    counts.iter().map(|(why, count)| format!("{why} {count}")).collect::<Vec<_>>().join(", ")
}

fn campaign(out: &mut String, one: &Considered) -> fmt::Result {
    let Considered { id, name, imp, why_not, why_nots, price, .. } = one;
    let price = price.map_or("-".to_owned(), |price| format!("{price:.6}"));
    writeln!(out, "  {id:<8} imp {imp:<8} {price:>12}  {:<14} {name}", why_not.unwrap_or("bids"))?;
    for why in why_nots {
        let detail = why.detail.as_deref().map_or(String::new(), |detail| format!(": {detail}"));
        writeln!(out, "    - {} {}{detail}", why.stage, why.why)?;
    }
    Ok(())
}
