//! `ads.txt` and `app-ads.txt` (IAB ads.txt 1.1), read the way publishers write them.
//!
//! A file is text by the line: a record names who may sell (`domain, account, DIRECT or RESELLER[, authority]`), a variable
//! says something of the publisher (`NAME=VALUE`), `#` starts a comment, and what follows a `;` is for extensions. A line that is
//! neither is skipped, with a reason, and takes nothing else with it. Only what is no such file at all is refused as a whole:
//! see [`refusal`]; whoever keeps a file asks [`says_something`] first, for a file that authorizes nobody is something else.

use memchr::{memchr, memchr2};

/// The longest line that is looked at, in bytes without its comment. A domain has 253, an account of a supply chain 64; the
/// rest is for addresses in variables. Longer ones are no lines but another kind of file.
pub const MAX_LINE: usize = 8192;

/// Who is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// The publisher itself holds the account.
    Direct,
    /// Somebody else does, and may sell.
    Reseller,
}

/// Somebody who may sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The advertising system, as written: domains compare without case.
    pub domain: &'a str,
    /// The account in that system, as written: accounts compare with case.
    pub account: &'a str,
    /// Who is paid.
    pub relation: Relation,
    /// The system's id at a certification authority.
    pub authority: Option<&'a str>,
}

impl Record<'_> {
    /// The record with which a publisher says that nobody may sell, without leaving the file empty (ads.txt 1.1, 3.2.1).
    pub fn is_placeholder(&self) -> bool {
        self.domain.eq_ignore_ascii_case("placeholder.example.com")
    }
}

/// What a line says. Blank lines and comments say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Somebody may sell.
    Record(Record<'a>),
    /// Something about the publisher.
    Variable {
        /// As written: names compare without case.
        name: &'a str,
        /// As written, trimmed; may be empty.
        value: &'a str,
    },
    /// It cannot be understood.
    Skipped {
        /// Counted from 1.
        line: usize,
        /// Why.
        reason: Reason,
    },
}

/// Why a line is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It stands for the whole file, which is refused.
    Refused(Refusal),
    /// Over [`MAX_LINE`].
    TooLong,
    /// A zero byte, or another control character.
    Control,
    /// Not UTF-8.
    Encoding,
    /// Neither commas enough for a record nor a `=`.
    FewFields,
    /// The first field is empty.
    NoDomain,
    /// The second field is empty.
    NoAccount,
    /// The third field is neither DIRECT nor RESELLER.
    Relation,
}

impl Reason {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Refused(refusal) => refusal.label(),
            Reason::TooLong => "the line is too long",
            Reason::Control => "a control character",
            Reason::Encoding => "not UTF-8",
            Reason::FewFields => "neither three fields between commas nor NAME=VALUE",
            Reason::NoDomain => "no domain",
            Reason::NoAccount => "no account",
            Reason::Relation => "the third field is neither DIRECT nor RESELLER",
        }
    }
}

/// Why a file is not an ads.txt at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// A page, as servers send for what they do not have.
    Html,
    /// UTF-16 by its byte order mark; the specification wants UTF-8.
    Utf16,
    /// Neither a record nor a known variable: see [`says_something`].
    Silent,
}

impl Refusal {
    /// In words.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::Html => "a page (HTML), not a text file",
            Refusal::Utf16 => "UTF-16; the file must be UTF-8",
            Refusal::Silent => "neither a record nor a known variable",
        }
    }
}

/// Whether a file is refused as a whole: then it says nothing, not even that nobody may sell. No line of an ads.txt begins with
/// `<`, and what does is the beginning of a page.
pub fn refusal(text: &[u8]) -> Option<Refusal> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Some(Refusal::Utf16);
    }
    trim(text).starts_with(b"<").then_some(Refusal::Html)
}

/// The variables of ads.txt 1.1, 3.5.1.
const VARIABLES: [&str; 5] = ["CONTACT", "SUBDOMAIN", "INVENTORYPARTNERDOMAIN", "OWNERDOMAIN", "MANAGERDOMAIN"];

/// Whether a file is to be believed: it is not refused, and has a record, be it the placeholder, or a variable of the specification. One
/// that has neither is to be ignored, as servers send such for what they do not have; who authorizes nobody writes the
/// placeholder (ads.txt 1.0.2 and later, 3.2.1).
pub fn says_something(text: &[u8]) -> bool {
    refusal(text).is_none()
        && lines(text).any(|line| match line {
            Line::Record(_) => true,
            Line::Variable { name, .. } => VARIABLES.iter().any(|known| known.eq_ignore_ascii_case(name)),
            Line::Skipped { .. } => false,
        })
}

/// The lines of a file that say something. Of a refused file, one skipped line.
pub fn lines(text: &[u8]) -> Lines<'_> {
    Lines { rest: text, number: 0, refused: refusal(text) }
}

/// See [`lines`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
    refused: Option<Refusal>,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if let Some(refusal) = self.refused.take() {
            self.rest = &[];
            return Some(Line::Skipped { line: 1, reason: Reason::Refused(refusal) });
        }
        while !self.rest.is_empty() {
            self.number += 1;
            let (line, rest) = match memchr2(b'\r', b'\n', self.rest) {
                Some(end) => {
                    let after = if self.rest[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
                    (&self.rest[..end], &self.rest[after..])
                }
                None => (self.rest, &[][..]),
            };
            self.rest = rest;
            let line = trim(&line[..memchr(b'#', line).unwrap_or(line.len())]);
            if !line.is_empty() {
                return Some(read(line).unwrap_or_else(|reason| Line::Skipped { line: self.number, reason }));
            }
        }
        None
    }
}

/// A line without its comment, and not blank.
fn read(line: &[u8]) -> Result<Line<'_>, Reason> {
    if line.len() > MAX_LINE {
        return Err(Reason::TooLong);
    }
    if line.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(Reason::Control);
    }
    // A name is one word, so that a `=` in a record's fields makes it no variable.
    if let Some(equals) = memchr(b'=', line) {
        let (name, value) = (trim(&line[..equals]), trim(&line[equals + 1..]));
        if !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte)) {
            return Ok(Line::Variable { name: text(name)?, value: text(value)? });
        }
    }
    let line = &line[..memchr(b';', line).unwrap_or(line.len())];
    let mut fields = line.splitn(5, |&byte| byte == b',').map(trim);
    let (Some(domain), Some(account), Some(relation)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(Reason::FewFields);
    };
    let relation = match relation {
        _ if relation.eq_ignore_ascii_case(b"DIRECT") => Relation::Direct,
        _ if relation.eq_ignore_ascii_case(b"RESELLER") => Relation::Reseller,
        _ => return Err(Reason::Relation),
    };
    if domain.is_empty() {
        return Err(Reason::NoDomain);
    }
    if account.is_empty() {
        return Err(Reason::NoAccount);
    }
    // What is no id of an authority does not unmake the record.
    let authority = fields.next().and_then(|field| text(field).ok()).filter(|field| !field.is_empty());
    Ok(Line::Record(Record { domain: text(domain)?, account: text(account)?, relation, authority }))
}

fn text(field: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(field).map_err(|_| Reason::Encoding)
}

/// Without the white space around it, of any script and width: editors and web pages leave non-breaking spaces, zero-width ones and
/// byte order marks.
fn trim(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    if [text.first(), text.last()].into_iter().flatten().all(u8::is_ascii) {
        return text;
    }
    let blank =
        |letter: char| letter.is_whitespace() || ('\u{200b}'..='\u{200d}').contains(&letter) || letter == '\u{feff}';
    match std::str::from_utf8(text) {
        Ok(text) => text.trim_matches(blank).as_bytes(),
        Err(error) => {
            let start = std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default();
            &text[start.len() - start.trim_start_matches(blank).len()..]
        }
    }
}
