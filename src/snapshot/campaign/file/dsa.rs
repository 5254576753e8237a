//! `dsa` of a campaign.

use super::words::{domain, each};
use crate::snapshot::campaign::dsa::Disclosure;
use crate::snapshot::document::{Fault, Node, fault};

/// Characters of a name (DSA Transparency extension).
const NAME: usize = 100;
/// Parties that applied parameters, and parameters of each.
const MOST: usize = 8;

pub(super) fn read(node: Node) -> Result<Disclosure, Fault> {
    let mut table = node.table()?;
    let behalf = table.need("behalf", name)?;
    let disclosure = Disclosure {
        paid: table.read("paid", name)?.unwrap_or_else(|| behalf.clone()),
        behalf,
        renders: table.read("renders", Node::bool)?,
        transparency: table.read("transparency", |node| each(node, MOST, party))?.unwrap_or_default(),
    };
    table.finish()?;
    Ok(disclosure)
}

fn name(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let text = node.text()?;
    match text.chars().count() {
        0 => fault(line, "is empty"),
        1..=NAME if text.chars().any(char::is_control) => fault(line, "has a control character in it"),
        1..=NAME => Ok(text),
        length => fault(line, format!("{length} characters; the most is {NAME}")),
    }
}

fn party(node: Node) -> Result<(String, Vec<u16>), Fault> {
    let mut table = node.table()?;
    let named = table.need("domain", domain)?;
    let params = table.need("params", |node| each(node, MOST, |node| Ok(node.integer(1..=255)? as u16)))?;
    table.finish()?;
    Ok((named, params))
}
