//! The words and lists that a campaign file is made of.

use crate::snapshot::campaign::Rule;
use crate::snapshot::campaign::markup::{is_address, is_tracker};
use crate::snapshot::document::{Fault, Node, Value, fault};
use crate::snapshot::targeting::LABELS;

/// Bytes of a name, a creative id, a bundle or a publisher id.
const NAME_BYTES: usize = 256;
/// Bytes of a category.
const CATEGORY_BYTES: usize = 32;
/// Bytes of an address.
const URL_BYTES: usize = 2000;

/// A rule: a table with `include` and `exclude`, or a list that is an inclusion.
pub(super) fn rule<T>(node: Node, item: impl Fn(Node) -> Result<T, Fault>) -> Result<Rule<T>, Fault> {
    if matches!(node.value, Value::List(_)) {
        return Ok(Rule { include: some(node, usize::MAX, item)?, exclude: Vec::new() });
    }
    let mut table = node.table()?;
    let include = table.read("include", |node| some(node, usize::MAX, &item))?.unwrap_or_default();
    let exclude = table.read("exclude", |node| each(node, usize::MAX, &item))?.unwrap_or_default();
    table.finish()?;
    Ok(Rule { include, exclude })
}

/// A list of at most `most` items.
pub(super) fn each<T>(node: Node, most: usize, item: impl Fn(Node) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let line = node.line;
    let items = node.list()?;
    if items.len() > most {
        return fault(line, format!("{} entries; the most is {most}", items.len()));
    }
    items.into_iter().map(item).collect()
}

/// A list of at least one item: an empty inclusion would include everything, which is not what it looks like.
pub(super) fn some<T>(node: Node, most: usize, item: impl Fn(Node) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let line = node.line;
    let items = each(node, most, item)?;
    if items.is_empty() { fault(line, "the list is empty") } else { Ok(items) }
}

/// One of these names.
pub(super) fn one_of<T: Copy>(node: Node, what: &str, named: &[(T, &str)]) -> Result<T, Fault> {
    let line = node.line;
    let text = node.text()?;
    match named.iter().find(|(_, name)| *name == text) {
        Some((value, _)) => Ok(*value),
        None => {
            let names: Vec<_> = named.iter().map(|(_, name)| *name).collect();
            fault(line, format!("{text:?} is not {what}: {}", names.join(", ")))
        }
    }
}

pub(super) fn name(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let text = node.text()?;
    match text.len() {
        0 => fault(line, "is empty"),
        1..=NAME_BYTES => Ok(text),
        length => fault(line, format!("{length} bytes; the most is {NAME_BYTES}")),
    }
}

/// An address of something to load or go to.
pub(super) fn address(node: Node) -> Result<String, Fault> {
    address_that(is_address, node)
}

/// An address to report to.
pub(super) fn tracker(node: Node) -> Result<String, Fault> {
    address_that(is_tracker, node)
}

fn address_that(is_good: fn(&str) -> bool, node: Node) -> Result<String, Fault> {
    let line = node.line;
    let text = node.text()?;
    if text.len() > URL_BYTES {
        return fault(line, format!("{} bytes; the most is {URL_BYTES}", text.len()));
    }
    if is_good(&text) {
        return Ok(text);
    }
    fault(line, format!("{text:?} is not an http or https address without spaces, quotes, brackets <> and backslashes"))
}

/// A language, ISO 639-1 alpha-2.
pub(super) fn language(node: Node) -> Result<[u8; 2], Fault> {
    let line = node.line;
    let text = node.text()?.to_ascii_lowercase();
    match <[u8; 2]>::try_from(text.as_bytes()) {
        Ok(code) if code.iter().all(u8::is_ascii_lowercase) => Ok(code),
        _ => fault(line, format!("{text:?} is not an ISO 639-1 alpha-2 language (two letters, such as de)")),
    }
}

pub(super) fn category(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let text = name(node)?;
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain && text.len() <= CATEGORY_BYTES { Ok(text) } else { fault(line, format!("{text:?} is not a category")) }
}

pub(super) fn domain(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let mut domain = name(node)?;
    domain.make_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !domain.split('.').all(label) || domain.len() > 253 {
        return fault(
            line,
            format!("{domain:?} is not a domain (no scheme, path or wildcard; punycode for other scripts)"),
        );
    }
    if domain.split('.').count() > LABELS {
        return fault(line, format!("{domain:?} has more than {LABELS} labels"));
    }
    Ok(domain)
}

pub(super) fn country(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let text = name(node)?;
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_uppercase());
    }
    fault(line, format!("{text:?} is not an ISO 3166-1 alpha-3 country (three letters, such as USA)"))
}

pub(super) fn region(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let text = name(node)?;
    let parts = text.split_once('-').filter(|(country, region)| {
        country.len() == 3
            && country.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (1..=3).contains(&region.len())
            && region.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    match parts {
        Some(_) => Ok(text.to_ascii_uppercase()),
        None => {
            fault(line, format!("{text:?} is not a region (alpha-3 country, hyphen, ISO 3166-2 subdivision: USA-CA)"))
        }
    }
}

/// A place below a country: alpha-3 country, hyphen, and its name, whose case is kept.
pub(super) fn place(node: Node, what: &str) -> Result<String, Fault> {
    let line = node.line;
    let text = name(node)?;
    match text.split_once('-') {
        Some((country, place))
            if country.len() == 3
                && country.bytes().all(|byte| byte.is_ascii_alphabetic())
                && !place.trim().is_empty() =>
        {
            Ok(format!("{}-{}", country.to_ascii_uppercase(), place.trim()))
        }
        _ => fault(line, format!("{text:?} is not {what}")),
    }
}
