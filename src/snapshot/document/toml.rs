//! TOML, by the `toml` crate, as nodes.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::{DEPTH, Each, Fault, Node, Table, Value, fault};

pub(super) fn read(text: &str, each: &mut Option<Each<'_>>) -> Result<Table, Fault> {
    let lines = Lines::of(text);
    let root = DeTable::parse(text).map_err(|error| Fault {
        line: error.span().map_or(1, |span| lines.at(span.start.min(text.len().saturating_sub(1)))),
        what: error.message().replace('\n', ", "),
    })?;
    let mut entries = Vec::new();
    for (key, value) in root.get_ref() {
        match (each.as_mut(), value.get_ref()) {
            (Some(each), DeValue::Array(items)) if each.key == key.get_ref() => {
                each.found = true;
                for item in items {
                    (each.item)(node(lines.at(item.span().start), item, &lines, 2)?)?;
                }
            }
            _ => entries.push(entry(key, value, &lines, 0)?),
        }
    }
    let table = Table { line: 1, entries };
    Each::refuse_other(each, &table)?;
    Ok(table)
}

/// Where each line of a text begins.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|&start| start <= offset)
    }
}

fn table(line: usize, table: &DeTable<'_>, lines: &Lines, depth: usize) -> Result<Table, Fault> {
    let entries = table.iter().map(|(key, value)| entry(key, value, lines, depth)).collect::<Result<_, _>>()?;
    Ok(Table { line, entries })
}

fn entry(
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    lines: &Lines,
    depth: usize,
) -> Result<(String, Node), Fault> {
    // A table's own span is its header; a key names the line better for everything else.
    let line = lines.at(key.span().start);
    Ok((key.get_ref().to_string(), node(line, value, lines, depth + 1)?))
}

fn node(line: usize, value: &Spanned<DeValue<'_>>, lines: &Lines, depth: usize) -> Result<Node, Fault> {
    if depth > DEPTH {
        return fault(line, format!("nested more than {DEPTH} deep"));
    }
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) if integer.radix() == 10 => Value::Number(number(integer.as_str())),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(value) => Value::Number(value.to_string()),
            Err(_) => return fault(line, "the number is too large"),
        },
        DeValue::Float(float) => Value::Number(number(float.as_str())),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| node(lines.at(item.span().start), item, lines, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(inner) => Value::Table(table(line, inner, lines, depth)?),
    };
    Ok(Node { line, value })
}

fn number(text: &str) -> String {
    text.trim_start_matches('+').replace('_', "")
}
