//! JSON in one pass, as nodes with their lines.
//!
//! No crate that reads JSON says on which line a value is without reading it again. So structure is read here; strings with
//! escapes, numbers, and what to say of a text that is no JSON are left to `serde_json`.

use serde::de::IgnoredAny;

use super::{DEPTH, Each, Fault, Node, Table, Value, fault};

pub(super) fn read(text: &str, each: &mut Option<Each<'_>>) -> Result<Table, Fault> {
    let mut reader = Reader { text, at: 0, line: 1 };
    reader.document(each).map_err(|stop| match stop {
        Stop::Sense(fault) => fault,
        Stop::Syntax => match serde_json::from_str::<IgnoredAny>(text) {
            Err(error) => said(&error, 0),
            Ok(_) => Fault { line: reader.line, what: "not JSON".to_owned() },
        },
    })
}

/// A node as JSON, on one line. Numbers stay the text that they are; one that JSON cannot write so, such as `0x10`, is a fault.
pub(super) fn write(node: &Node, out: &mut String) -> Result<(), Fault> {
    match &node.value {
        Value::Text(text) | Value::Date(text) => quote(text, out),
        Value::Number(number) => match serde_json::from_str::<IgnoredAny>(number) {
            Ok(_) => out.push_str(number),
            Err(_) => return fault(node.line, format!("{number}: JSON has no such number")),
        },
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Table(table) => {
            out.push('{');
            for (at, (key, value)) in table.entries.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                quote(key, out);
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// What `serde_json` says of a text before which there are so many lines.
fn said(error: &serde_json::Error, before: usize) -> Fault {
    let message = error.to_string();
    let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    Fault { line: before + error.line().max(1), what: what.to_owned() }
}

/// Why reading ends before the text does.
enum Stop {
    /// This is no JSON.
    Syntax,
    /// This is JSON, and not what is meant.
    Sense(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Sense(fault)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The line of `at`. A line ends in the space between tokens and nowhere else: a string cannot hold one.
    line: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self, each: &mut Option<Each<'_>>) -> Result<Table, Stop> {
        if self.peek() != Some(b'{') {
            let line = self.value(0)?.line;
            return Ok(fault(line, "expected a table {…}")?);
        }
        let table = self.root(each)?;
        if self.peek().is_some() {
            return Err(Stop::Syntax);
        }
        Each::refuse_other(each, &table)?;
        Ok(table)
    }

    fn root(&mut self, each: &mut Option<Each<'_>>) -> Result<Table, Stop> {
        self.table(|reader, key| match each {
            Some(each) if each.key == key && reader.peek() == Some(b'[') => {
                if std::mem::replace(&mut each.found, true) {
                    return Err(given_twice(reader.line, key));
                }
                reader.list(|reader| Ok((each.item)(reader.value(2)?)?))?;
                Ok(None)
            }
            _ => reader.value(1).map(Some),
        })
    }

    /// The value that comes next, `depth` levels down.
    fn value(&mut self, depth: usize) -> Result<Node, Stop> {
        let first = self.peek();
        let line = self.line;
        if depth > DEPTH {
            fault(line, format!("nested more than {DEPTH} deep"))?;
        }
        let value = match first {
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b'{') => Value::Table(self.table(|reader, _| reader.value(depth + 1).map(Some))?),
            Some(b'[') => {
                let mut items = Vec::new();
                self.list(|reader| {
                    items.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Value::List(items)
            }
            _ if self.takes("true") => Value::Bool(true),
            _ if self.takes("false") => Value::Bool(false),
            _ if self.takes("null") => fault(line, "null is not a value here: leave the key out")?,
            _ => return Err(Stop::Syntax),
        };
        Ok(Node { line, value })
    }

    /// A table; `value` reads what a key stands for, and keeps it unless it is to be in the table.
    fn table(&mut self, mut value: impl FnMut(&mut Self, &str) -> Result<Option<Node>, Stop>) -> Result<Table, Stop> {
        let line = self.line;
        let mut entries: Vec<(String, Node)> = Vec::with_capacity(8);
        self.sequence(b'}', |reader| {
            if reader.peek() != Some(b'"') {
                return Err(Stop::Syntax);
            }
            let key = reader.string()?;
            reader.expect(b':')?;
            if let Some(node) = value(reader, &key)? {
                if entries.iter().any(|(known, _)| *known == key) {
                    return Err(given_twice(node.line, &key));
                }
                entries.push((key, node));
            }
            Ok(())
        })?;
        Ok(Table { line, entries })
    }

    fn list(&mut self, item: impl FnMut(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        self.sequence(b']', item)
    }

    /// What stands between the bracket that is next and its `end`, with commas between.
    fn sequence(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        self.at += 1;
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            if self.peek() == Some(end) {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// The string that is next.
    fn string(&mut self) -> Result<String, Stop> {
        let start = self.at;
        let mut end = start + 1;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(end..).unwrap_or_default();
            end += memchr::memchr2(b'"', b'\\', rest).ok_or(Stop::Syntax)? + 1;
            if self.text.as_bytes()[end - 1] == b'"' {
                break;
            }
            escaped = true;
            end += 1;
        }
        self.at = end;
        let inside = self.text.get(start + 1..end - 1).ok_or(Stop::Syntax)?;
        if inside.bytes().fold(false, |control, byte| control | (byte < b' ')) {
            return Err(Stop::Syntax);
        }
        if escaped {
            let quoted = self.text.get(start..end).ok_or(Stop::Syntax)?;
            return serde_json::from_str(quoted).map_err(|error| Stop::Sense(said(&error, self.line - 1)));
        }
        Ok(inside.to_owned())
    }

    fn number(&mut self) -> Result<String, Stop> {
        let rest = &self.text[self.at..];
        let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
        let number = &rest[..rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len())];
        self.at += number.len();
        match serde_json::from_str::<IgnoredAny>(number) {
            Ok(_) => Ok(number.to_owned()),
            Err(_) => Err(Stop::Syntax),
        }
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_next = self.text[self.at..].starts_with(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        if self.peek() != Some(byte) {
            return Err(Stop::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    /// The first byte of the next token.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at)? {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                &byte => return Some(byte),
            }
            self.at += 1;
        }
    }
}

fn given_twice(line: usize, key: &str) -> Stop {
    Stop::Sense(Fault { line, what: format!("`{key}` is given twice") })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde_json::{Map, Value as Json};

    use super::super::json;
    use super::*;

    fn as_json(node: &Node, lines: &mut Vec<(String, usize)>) -> Json {
        match &node.value {
            Value::Text(text) => {
                lines.push((text.clone(), node.line));
                text.as_str().into()
            }
            Value::Number(number) => serde_json::from_str(number).unwrap(),
            Value::Bool(value) => (*value).into(),
            Value::Date(_) => unreachable!("JSON has no dates"),
            Value::List(items) => items.iter().map(|item| as_json(item, lines)).collect(),
            Value::Table(table) => of_table(table, lines),
        }
    }

    fn of_table(table: &Table, lines: &mut Vec<(String, usize)>) -> Json {
        table.entries.iter().map(|(key, node)| (key.clone(), as_json(node, lines))).collect::<Map<_, _>>().into()
    }

    fn tables() -> impl Strategy<Value = Json> {
        let text = prop_oneof!["[a-z]{0,6}", "[ -~]{0,8}", "\\PC{0,4}", "[\u{0}-\u{20}\\\\\"]{0,4}"];
        let leaf = prop_oneof![
            text.clone().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            any::<bool>().prop_map(Json::from),
        ];
        let value = leaf.prop_filter("null is none", |value| !value.is_null()).prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into()),
            ]
        });
        prop::collection::btree_map("[a-z]{1,3}", value, 0..5)
            .prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into())
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_reads(value in tables(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let mut lines = Vec::new();
            let read = of_table(&json(&text).unwrap(), &mut lines);
            prop_assert_eq!(read, serde_json::from_str::<Json>(&text).unwrap());
            // A text that is written once is on the line where it is written.
            for (content, line) in lines {
                let quoted = serde_json::to_string(&content).unwrap();
                if text.matches(&quoted).count() == 1 {
                    let before = &text[..text.find(&quoted).unwrap()];
                    prop_assert_eq!(line, before.matches('\n').count() + 1);
                }
            }
        }

        #[test]
        fn refuses_what_serde_json_refuses(
            value in tables(),
            at: prop::sample::Index,
            put in prop::sample::select(&b"\"\\{}[]:,019.-+eE tfn\n\x01/"[..]),
            over: bool,
        ) {
            let mut bytes = serde_json::to_string_pretty(&value).unwrap().into_bytes();
            let at = at.index(bytes.len());
            if over { bytes[at] = put } else { bytes.insert(at, put) }
            let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
            match (json(&text), serde_json::from_str::<Json>(&text)) {
                (Ok(table), Ok(value)) => prop_assert_eq!(of_table(&table, &mut Vec::new()), value),
                (Err(_), Err(_)) => {}
                (Err(fault), Ok(_)) => prop_assert!(fault.what.contains("given twice"), "{fault:?} in {text}"),
                // A number that no double holds is one here.
                (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{error} in {text}"),
            }
        }
    }

    #[test]
    fn a_mistake_of_syntax_is_told_with_its_line() {
        for (text, line, what) in [
            ("", 1, "EOF"),
            ("{\n\"a\":\n}", 3, "expected value"),
            ("{\n\"a\": 01\n}", 2, "invalid number"),
            ("{\n\"a\": \"\\x\"}", 2, "invalid escape"),
            ("{\n\n\"a\": \"\\ud800\"}", 3, "hex escape"),
            ("{\n\"a\": \"b\nc\"}", 2, "control character"),
            ("{\n\"a\": \"b", 2, "EOF"),
            ("{\n\"a\": \"b\\", 2, "EOF"),
            ("{}\n{}", 2, "trailing"),
            ("{\n\"a\": nul}", 2, "expected ident"),
            ("\n[]", 2, "expected a table"),
            ("{\n\n\"a\": null}", 3, "null"),
        ] {
            let fault = json(text).unwrap_err();
            assert!(fault.line == line && fault.what.contains(what), "{text:?}: {fault:?}");
        }
    }

    #[test]
    fn items_of_a_list_are_handed_on_and_not_kept() {
        let text = "{\"a\": 1, \"list\": [\"x\",\n\"y\"],\n\"b\": 2}";
        let mut seen = HashSet::new();
        let mut item = |node: Node| {
            seen.insert((node.line, node.text()?));
            Ok(())
        };
        let mut each = Some(Each { key: "list", item: &mut item, found: false });
        let rest = read(text, &mut each).unwrap();
        assert!(each.unwrap().found);
        assert_eq!(seen, HashSet::from([(1, "x".to_owned()), (2, "y".to_owned())]));
        assert_eq!(rest.into_entries().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "b"]);
    }
}
