//! Files people write, TOML or JSON, as one tree whose every node knows its line.
//!
//! Both formats end in the same [`Node`]s, so that what a file means is read in one place and every mistake, of syntax or
//! of sense, is told with file and line. Numbers stay text: money must not pass through a float.
//!
//! A list as long as the file is never in memory as a whole: [`parse_each`] hands on its items as they are read.

mod json;
mod toml;

use std::fmt;
use std::path::{Path, PathBuf};

/// Nesting of tables and arrays in a file; no file of ours needs more than five.
const DEPTH: usize = 16;

/// A mistake in a file: where, and what is wrong. Displays as one line, `file:line: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1; 0 when it is the file as a whole that cannot be read.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.what),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.what),
        }
    }
}

impl std::error::Error for FileError {}

/// A mistake at a line of a file whose name the caller knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Fault {
    /// The mistake, with the name of its file, in one line whatever names the file has: what a log shows of it is no line of its own.
    pub(crate) fn within(self, path: &Path) -> FileError {
        let what = if self.what.contains(char::is_control) {
            let visible = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
            self.what.chars().map(visible).collect()
        } else {
            self.what
        };
        FileError { path: path.to_owned(), line: self.line, what }
    }

    /// The mistake, with the name of the thing it is in put before it.
    pub(crate) fn about(mut self, thing: &str) -> Fault {
        self.what = format!("{thing}: {}", self.what);
        self
    }
}

/// `Err` with a line and a message.
pub(crate) fn fault<T>(line: usize, what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { line, what: what.into() })
}

/// A value and the line it begins on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// What TOML and JSON have in common.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    /// As written, without `_` and with a leading `+` taken off.
    Number(String),
    Bool(bool),
    /// A TOML date or time, in RFC 3339; JSON writes these as text.
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// Keys and values, each taken at most once; what is left at the end was not known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) line: usize,
    entries: Vec<(String, Node)>,
}

/// Reads a whole file into memory.
pub(crate) fn read(path: &Path) -> Result<String, FileError> {
    text(path, bytes(path)?)
}

/// What a file holds.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|error| FileError {
        path: path.to_owned(),
        line: 0,
        what: format!("cannot be read: {error}"),
    })
}

/// The mark some editors put before UTF-8 text.
const BOM: &[u8] = "\u{feff}".as_bytes();

fn text(path: &Path, mut bytes: Vec<u8>) -> Result<String, FileError> {
    if bytes.starts_with(BOM) {
        bytes.drain(..BOM.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        FileError { path: path.to_owned(), line, what: "not UTF-8".to_owned() }
    })
}

/// Reads a `.toml` or `.json` file whose outermost value is a table.
pub(crate) fn load(path: &Path) -> Result<Table, FileError> {
    parse(path, bytes(path)?)
}

/// As [`load`], of a file whose content is at hand.
pub(crate) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Table, FileError> {
    read_as(path, bytes, &mut None)
}

/// As [`parse`], of a file that must have the list `key` at its top: its items are handed to `item` one by one as they are
/// read, and the table has all else.
pub(crate) fn parse_each(
    path: &Path,
    bytes: Vec<u8>,
    key: &str,
    item: &mut dyn FnMut(Node) -> Result<(), Fault>,
) -> Result<Table, FileError> {
    let mut each = Some(Each { key, item, found: false });
    let table = read_as(path, bytes, &mut each)?;
    match each {
        Some(Each { found: false, .. }) => table.missing(key).map_err(|fault| fault.within(path)),
        _ => Ok(table),
    }
}

fn read_as(path: &Path, bytes: Vec<u8>, each: &mut Option<Each<'_>>) -> Result<Table, FileError> {
    let parse = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml::read,
        Some("json") => json::read,
        _ => {
            let what = "the name must end in .toml or .json".to_owned();
            return Err(FileError { path: path.to_owned(), line: 0, what });
        }
    };
    parse(&text(path, bytes)?, each).map_err(|fault| fault.within(path))
}

/// A list at the top of a file whose items are handed on as they are read.
struct Each<'f> {
    key: &'f str,
    item: &'f mut dyn FnMut(Node) -> Result<(), Fault>,
    found: bool,
}

impl Each<'_> {
    /// Refuses what has its name and is no list.
    fn refuse_other(each: &Option<Each<'_>>, rest: &Table) -> Result<(), Fault> {
        let Some(each) = each else { return Ok(()) };
        match rest.entries.iter().find(|(name, _)| name == each.key) {
            Some((name, node)) if each.found => fault(node.line, format!("`{name}` is given twice")),
            Some((name, node)) => node.expected("a list").map_err(|fault: Fault| fault.about(name)),
            None => Ok(()),
        }
    }
}

/// Parses TOML.
#[cfg(test)]
pub(crate) fn toml(text: &str) -> Result<Table, Fault> {
    toml::read(text, &mut None)
}

/// Parses JSON.
#[cfg(test)]
pub(crate) fn json(text: &str) -> Result<Table, Fault> {
    json::read(text, &mut None)
}

impl Table {
    /// Takes a key's value out.
    pub(crate) fn take(&mut self, key: &str) -> Option<Node> {
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(at).1)
    }

    /// Takes a key's value out and reads it; the key's name goes before what may be wrong with it.
    pub(crate) fn read<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(Node) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.take(key).map(read).transpose().map_err(|fault| fault.about(key))
    }

    /// As [`Table::read`], for a key that must be there.
    pub(crate) fn need<T>(&mut self, key: &str, read: impl FnOnce(Node) -> Result<T, Fault>) -> Result<T, Fault> {
        match self.read(key, read)? {
            Some(value) => Ok(value),
            None => self.missing(key),
        }
    }

    fn missing<T>(&self, key: &str) -> Result<T, Fault> {
        fault(self.line, format!("`{key}` is missing"))
    }

    /// All that is left, in the order of the file: for tables whose keys are data.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, Node)> {
        self.entries.into_iter()
    }

    /// Refuses what was not taken.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, node)) => fault(node.line, format!("unknown key `{key}`")),
        }
    }
}

impl Node {
    /// As JSON, on one line; read again, it is the same but for its lines, and dates are text.
    pub(crate) fn to_json(&self) -> Result<String, Fault> {
        let mut out = String::new();
        json::write(self, &mut out)?;
        Ok(out)
    }

    fn expected<T>(&self, what: &str) -> Result<T, Fault> {
        let found = match &self.value {
            Value::Text(_) => "text",
            Value::Number(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        };
        fault(self.line, format!("expected {what}, found {found}"))
    }

    pub(crate) fn text(self) -> Result<String, Fault> {
        match self.value {
            Value::Text(text) => Ok(text),
            _ => self.expected("text"),
        }
    }

    pub(crate) fn bool(self) -> Result<bool, Fault> {
        match self.value {
            Value::Bool(value) => Ok(value),
            _ => self.expected("true or false"),
        }
    }

    pub(crate) fn list(self) -> Result<Vec<Node>, Fault> {
        match self.value {
            Value::List(items) => Ok(items),
            _ => self.expected("a list"),
        }
    }

    pub(crate) fn table(self) -> Result<Table, Fault> {
        match self.value {
            Value::Table(table) => Ok(table),
            _ => self.expected("a table"),
        }
    }

    /// A whole number within `range`.
    pub(crate) fn integer(self, range: std::ops::RangeInclusive<i64>) -> Result<i64, Fault> {
        let Value::Number(text) = &self.value else {
            return self.expected("a whole number");
        };
        match text.parse::<i64>() {
            Ok(value) if range.contains(&value) => Ok(value),
            Ok(_) => fault(self.line, format!("{text} is not within {} to {}", range.start(), range.end())),
            Err(_) => {
                fault(self.line, format!("{text} is not a whole number within {} to {}", range.start(), range.end()))
            }
        }
    }

    /// A decimal number in exact millionths.
    pub(crate) fn micros(self) -> Result<i64, Fault> {
        let Value::Number(text) = &self.value else {
            return self.expected("a number");
        };
        match decimal(text, 6) {
            Some(micros) => Ok(micros),
            None => fault(self.line, format!("{text} is not an amount in whole millionths")),
        }
    }

    /// A decimal number in exact billionths.
    pub(crate) fn nanos(self) -> Result<i64, Fault> {
        let Value::Number(text) = &self.value else {
            return self.expected("a number");
        };
        match decimal(text, 9) {
            Some(nanos) => Ok(nanos),
            None => fault(self.line, format!("{text} is not a number in whole billionths")),
        }
    }

    /// A finite number.
    pub(crate) fn float(self) -> Result<f64, Fault> {
        let Value::Number(text) = &self.value else {
            return self.expected("a number");
        };
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => fault(self.line, format!("{text} is not a finite number")),
        }
    }

    /// A date or time: a TOML date, or text in the same form.
    pub(crate) fn date(self) -> Result<(usize, String), Fault> {
        match self.value {
            Value::Date(text) | Value::Text(text) => Ok((self.line, text)),
            _ => self.expected("a date"),
        }
    }
}

/// Decimal text (`12`, `0.25`, `1.5e3`) in units of the decimal `places`-th place, exactly; `None` if it is no such number,
/// does not fit, or has a smaller part.
fn decimal(text: &str, places: i32) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok().filter(|e| e.abs() <= 40)?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || whole.len() + fraction.len() > 30 {
        return None;
    }
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value * 10 + i128::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    let scale = exponent + places - fraction.len() as i32;
    let power = 10i128.checked_pow(scale.unsigned_abs())?;
    let units = if scale >= 0 { value.checked_mul(power)? } else { (value % power == 0).then(|| value / power)? };
    i64::try_from(if negative { -units } else { units }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, micros) in [
            ("0", Some(0)),
            ("0.1", Some(100_000)),
            ("10000", Some(10_000_000_000)),
            ("2.345678", Some(2_345_678)),
            ("2.3456780", Some(2_345_678)),
            ("2.3456781", None),
            ("1.5e3", Some(1_500_000_000)),
            ("250E-2", Some(2_500_000)),
            ("-0.000001", Some(-1)),
            ("9223372036854.775807", Some(i64::MAX)),
            ("9223372036854.775808", None),
            ("1e30", None),
            ("inf", None),
            ("nan", None),
            (".5", None),
            ("1.2.3", None),
        ] {
            assert_eq!(decimal(text, 6), micros, "{text}");
        }
    }

    #[test]
    fn both_formats_make_the_same_tree() {
        let toml = toml("a = 1\nb = [ 'x',\n 'y' ]\n\n[c]\nd = true\ne = 0.5\n").unwrap();
        let json = json("{\"a\": 1,\n\"b\": [ \"x\",\n \"y\" ],\n\n\n\"c\": {\n \"d\": true,\n \"e\": 0.5}}").unwrap();
        let strip = |mut table: Table| {
            let list: Vec<_> =
                table.take("b").unwrap().list().unwrap().into_iter().map(|n| n.text().unwrap()).collect();
            let mut c = table.take("c").unwrap().table().unwrap();
            let d = c.take("d").unwrap();
            (table.take("a").unwrap().integer(0..=9).unwrap(), list, d.value, c.take("e").unwrap().micros().unwrap())
        };
        assert_eq!(strip(toml), strip(json));
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        for (name, said) in [("a.toml", "a = 1"), ("a.json", "{\"a\": 1}")] {
            let mut table = parse(Path::new(name), format!("\u{feff}{said}").into_bytes()).unwrap();
            assert_eq!(table.take("a").unwrap().integer(0..=9).unwrap(), 1);
        }
        let marked = text(Path::new("a"), b"\xef\xbb\xbfa.example\nb".to_vec()).unwrap();
        assert_eq!(marked, "a.example\nb");
        assert_eq!(text(Path::new("a"), b"\xef\xbb\xbfa\n\xff".to_vec()).unwrap_err().line, 2);
        assert_eq!(text(Path::new("a"), b"a\xef\xbb\xbf".to_vec()).unwrap(), "a\u{feff}", "only before everything");
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let mut table = toml("a = 1\n\n[c]\nd = [\n 1,\n 2 ]\n").unwrap();
        let mut c = table.take("c").unwrap().table().unwrap();
        assert_eq!(c.line, 3);
        assert_eq!(c.take("d").unwrap().list().unwrap().iter().map(|n| n.line).collect::<Vec<_>>(), [5, 6]);
        let mut table = json("{\n\"a\":\n [1,\n 2]}").unwrap();
        assert_eq!(table.take("a").unwrap().list().unwrap().iter().map(|n| n.line).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(toml("a = 1\nb = = 2\n").unwrap_err().line, 2);
        assert_eq!(json("{\"a\": 1,\n\n\"b\" 2}").unwrap_err().line, 3);
        assert_eq!(json("{\"a\": 1,\n\"a\": 2}").unwrap_err().line, 2);
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(json(&deep).unwrap_err().what.contains("nested"));
    }
}
