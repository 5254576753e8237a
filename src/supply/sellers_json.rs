//! `sellers.json` (IAB sellers.json 1.0), one seller at a time: the largest files have hundreds of megabytes, and a seller is all
//! that is held of them.
//!
//! Systems write ids as numbers, flags as strings and types in any case; that is read. Fields that nobody here needs are passed
//! over whatever they are. An entry without a `seller_id` names nobody and is skipped. What is not JSON, or not an object with a
//! list `sellers`, is an [`Error`], and what was read up to there does not count: a file that was cut is no shorter list.

use std::cell::Cell;
use std::fmt;
use std::io;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::de::IoRead;

use crate::limits;

/// How many skipped entries are told one by one. The rest is only counted, so that a file of nothing else takes no memory.
pub const MAX_SKIPPED: usize = 100_000;

/// What a seller is to the system (`seller_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SellerType {
    /// It owns what it sells.
    Publisher,
    /// It sells what others own.
    Intermediary,
    /// It does both.
    Both,
}

/// An entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seller<'a> {
    /// `seller_id`, trimmed, not empty. The specification wants each once; each that stands in the file is handed out.
    pub seller_id: &'a str,
    /// `seller_type` in any case. `None` without, or if it is none of the three.
    pub seller_type: Option<SellerType>,
    /// `domain` as written, trimmed: domains compare without case. `None` without, or if it is empty.
    pub domain: Option<&'a str>,
    /// `is_confidential` is 1, by default it is not: name and domain are kept back.
    pub is_confidential: bool,
    /// `is_passthrough` is 1, by default it is not: the account belongs to who is paid, not to the seller itself.
    pub is_passthrough: bool,
}

/// What a file was, beside its sellers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many sellers were handed out.
    pub sellers: u64,
    /// How many entries were not.
    pub unnamed: u64,
    /// The first [`MAX_SKIPPED`] of them.
    pub skipped: Vec<Skipped>,
    /// `version`.
    pub version: Option<String>,
    /// `contact_email`.
    pub contact_email: Option<String>,
    /// `contact_address`.
    pub contact_address: Option<String>,
}

/// An entry that names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in the list, counted from 0.
    pub index: u64,
    /// The line on which it begins, counted from 1.
    pub line: u64,
    /// Why.
    pub reason: Reason,
}

/// Why an entry is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It is not an object.
    NoObject,
    /// It has no `seller_id`, or one that is neither text nor a number that can be held exactly.
    NoSellerId,
}

impl Reason {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Reason::NoObject => "not an object",
            Reason::NoSellerId => "no seller_id",
        }
    }
}

/// Why a file is no sellers.json.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Counted from 1.
    pub line: usize,
    /// In bytes, counted from 1; 0 is the end of the line before.
    pub column: usize,
    /// What is there.
    pub what: String,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Error {
        let (line, column) = (error.line(), error.column());
        let told = error.to_string();
        let place = format!(" at line {line} column {column}");
        Error { line, column, what: told.strip_suffix(&place).unwrap_or(&told).to_owned() }
    }
}

/// Hands out the sellers of a file as it is read, in their order. Holds the longest text of the file, and no more: a text over
/// [`limits::SELLERS_JSON_TEXT`] and what is nested deeper than [`limits::SELLERS_JSON_DEPTH`] are mistakes.
pub fn read_from(mut file: impl io::BufRead, each: impl FnMut(Seller<'_>)) -> Result<Summary, Error> {
    match file.fill_buf() {
        Ok(start) if start.starts_with(BOM) => file.consume(BOM.len()),
        // A reader that fails tells it again.
        _ => {}
    }
    let line = Cell::new(1);
    let mut reader = serde_json::Deserializer::new(IoRead::new(Bounded::new(file, &line)));
    let summary = reader.deserialize_any(File { each, draft: Draft::new(&line) })?;
    reader.end()?;
    Ok(summary)
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A JSON document that takes no memory beyond its bounds: its reader holds a text whole, and a byte per level of what it passes
/// over. It is read by the byte, as `serde_json` does, so that the line is that of the byte last read.
struct Bounded<'l, R> {
    inner: R,
    line: &'l Cell<u64>,
    inside: bool,
    escaped: bool,
    /// Of the text that the next byte is in.
    length: usize,
    depth: usize,
}

impl<'l, R> Bounded<'l, R> {
    fn new(inner: R, line: &'l Cell<u64>) -> Self {
        Bounded { inner, line, inside: false, escaped: false, length: 0, depth: 0 }
    }

    #[inline]
    fn pass(&mut self, byte: u8) -> io::Result<()> {
        match byte {
            b'\n' => self.line.set(self.line.get() + 1),
            _ if self.escaped => self.escaped = false,
            b'"' => (self.inside, self.length) = (!self.inside, 0),
            b'\\' if self.inside => self.escaped = true,
            b'[' | b'{' if !self.inside => self.depth += 1,
            b']' | b'}' if !self.inside => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.length += usize::from(self.inside);
        let what = match () {
            () if self.length > limits::SELLERS_JSON_TEXT => "a text that is too long",
            () if self.depth > limits::SELLERS_JSON_DEPTH => "nested too deep",
            () => return Ok(()),
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }
}

impl<R: io::BufRead> io::Read for Bounded<'_, R> {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (Some(first), Some(&byte)) = (into.first_mut(), self.inner.fill_buf()?.first()) else { return Ok(0) };
        *first = byte;
        self.inner.consume(1);
        self.pass(byte).map(|()| 1)
    }
}

/// The document.
struct File<'l, E> {
    each: E,
    draft: Draft<'l>,
}

impl<'de, E: FnMut(Seller<'_>)> Visitor<'de> for File<'_, E> {
    type Value = Summary;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object with a list `sellers`")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Summary, A::Error> {
        let mut summary = Summary::default();
        let mut listed = false;
        let mut key = String::new();
        while map.next_key_seed(Text(&mut key))?.is_some() {
            let mut told = || {
                let mut value = String::new();
                let is_text = map.next_value_seed(Text(&mut value))?;
                Ok(is_text.then_some(value))
            };
            match key.as_str() {
                "sellers" => {
                    listed = true;
                    map.next_value_seed(List { each: &mut self.each, draft: &mut self.draft, summary: &mut summary })?;
                }
                "version" => summary.version = told()?,
                "contact_email" => summary.contact_email = told()?,
                "contact_address" => summary.contact_address = told()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if listed { Ok(summary) } else { Err(serde::de::Error::custom("there is no list `sellers`")) }
    }
}

/// `sellers`.
struct List<'a, 'l, E> {
    each: &'a mut E,
    draft: &'a mut Draft<'l>,
    summary: &'a mut Summary,
}

impl<'de, E: FnMut(Seller<'_>)> DeserializeSeed<'de> for List<'_, '_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_seq(self)
    }
}

impl<'de, E: FnMut(Seller<'_>)> Visitor<'de> for List<'_, '_, E> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list `sellers`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let List { each, draft, summary } = self;
        while let Some(is_object) = list.next_element_seed(&mut *draft)? {
            match draft.seller() {
                Some(seller) if is_object => {
                    each(seller);
                    summary.sellers += 1;
                }
                _ => {
                    let reason = if is_object { Reason::NoSellerId } else { Reason::NoObject };
                    if summary.skipped.len() < MAX_SKIPPED {
                        let index = summary.sellers + summary.unnamed;
                        summary.skipped.push(Skipped { index, line: draft.line, reason });
                    }
                    summary.unnamed += 1;
                }
            }
        }
        Ok(())
    }
}

/// A seller while it is read. Its texts are used again for the next.
#[derive(Debug)]
struct Draft<'l> {
    /// Where the reader is.
    now: &'l Cell<u64>,
    /// Where the entry begins.
    line: u64,
    key: String,
    seller_id: String,
    domain: String,
    word: String,
    seller_type: Option<SellerType>,
    is_confidential: bool,
    is_passthrough: bool,
}

impl<'l> Draft<'l> {
    fn new(now: &'l Cell<u64>) -> Self {
        let (key, seller_id, domain, word) = (String::new(), String::new(), String::new(), String::new());
        let (seller_type, is_confidential, is_passthrough) = (None, false, false);
        Draft { now, line: 0, key, seller_id, domain, word, seller_type, is_confidential, is_passthrough }
    }

    fn clear(&mut self) {
        self.line = self.now.get();
        self.seller_id.clear();
        self.domain.clear();
        (self.seller_type, self.is_confidential, self.is_passthrough) = (None, false, false);
    }

    fn seller(&self) -> Option<Seller<'_>> {
        let (seller_id, domain) = (self.seller_id.trim(), self.domain.trim());
        (!seller_id.is_empty()).then_some(Seller {
            seller_id,
            seller_type: self.seller_type,
            domain: (!domain.is_empty()).then_some(domain),
            is_confidential: self.is_confidential,
            is_passthrough: self.is_passthrough,
        })
    }
}

/// Whether it is an object.
impl<'de> DeserializeSeed<'de> for &mut Draft<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<bool, D::Error> {
        self.clear();
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Draft<'_> {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a seller")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_key_seed(Text(&mut self.key))?.is_some() {
            match self.key.as_str() {
                "seller_id" => {
                    map.next_value_seed(Text(&mut self.seller_id))?;
                }
                "domain" => {
                    map.next_value_seed(Text(&mut self.domain))?;
                }
                "seller_type" => {
                    map.next_value_seed(Text(&mut self.word))?;
                    self.seller_type = seller_type(self.word.trim());
                }
                "is_confidential" => {
                    map.next_value_seed(Text(&mut self.word))?;
                    self.is_confidential = is_set(self.word.trim());
                }
                "is_passthrough" => {
                    map.next_value_seed(Text(&mut self.word))?;
                    self.is_passthrough = is_set(self.word.trim());
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<bool, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
}

fn seller_type(word: &str) -> Option<SellerType> {
    let types =
        [("PUBLISHER", SellerType::Publisher), ("INTERMEDIARY", SellerType::Intermediary), ("BOTH", SellerType::Both)];
    types.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, seller_type)| seller_type)
}

fn is_set(word: &str) -> bool {
    word == "1" || word.eq_ignore_ascii_case("true")
}

/// Whatever is there, as text, in place of what the text was before: empty if it has none. Says whether it has.
struct Text<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<bool, D::Error> {
        self.0.clear();
        value.deserialize_any(self)
    }
}

impl Text<'_> {
    fn of(self, value: impl fmt::Display) -> bool {
        use fmt::Write;
        write!(self.0, "{value}").is_ok()
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text")
    }

    fn visit_str<E>(self, value: &str) -> Result<bool, E> {
        self.0.push_str(value);
        Ok(true)
    }

    fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
        Ok(self.of(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<bool, E> {
        Ok(self.of(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<bool, E> {
        Ok(self.of(value))
    }

    /// What is too long to be held exactly is no text: an id would become another.
    fn visit_f64<E>(self, value: f64) -> Result<bool, E> {
        Ok(value.abs() < 1e15 && self.of(format_args!("{value:?}")))
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<bool, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| false)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<bool, A::Error> {
        IgnoredAny.visit_map(map).map(|_| false)
    }
}
