//! Cutting markup up: which macro is whose, and in what it stands.

use super::coding::{self, Coding};
use super::{Markup, Piece, Value, When};
use crate::limits::{EXPANDED_BYTES, MARKUP_BYTES};
use crate::wire::openrtb::response::Out;

/// What a text is part of.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What it is written in.
    pub language: Language,
    /// The creative's id, which `${AUCTION_AD_ID}` stands for.
    pub creative: &'a str,
    /// Where a click leads: an absolute address, [checked](is_address), which may hold macros. `${CLICK_URL}` stands for it.
    pub click: Option<&'a str>,
}

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// HTML, with scripts.
    Html,
    /// XML.
    Xml,
    /// JSON.
    Json,
}

/// Some text, and in which answers it stands.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// In which.
    pub when: When,
    /// The text.
    pub text: &'a str,
}

/// Whether a text is an absolute `http` or `https` address that can stand in HTML, XML (in CDATA) and JSON as it is.
pub fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |byte: u8| byte > b' ' && byte != 0x7f && !b"\"'<>\\`".contains(&byte);
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain)) && !text.contains("]]")
}

/// Whether a text is such an address, or a macro that stands for one of ours: where events are reported.
pub fn is_tracker(text: &str) -> bool {
    matches!(text, "${CLICK_NOTICE_URL}" | "${CONVERSION_NOTICE_URL}") || is_address(text)
}

pub(super) fn compile(parts: &[Part<'_>], context: Context<'_>) -> Result<Markup, String> {
    let always = parts.iter().filter(|part| part.when == When::Always);
    let bytes: usize = always.map(|part| part.text.len()).sum();
    if parts.first().is_none_or(|part| part.text.is_empty()) {
        return Err("the markup is empty".to_owned());
    }
    if bytes > MARKUP_BYTES {
        return Err(format!("{bytes} bytes of markup; the most is {MARKUP_BYTES}"));
    }
    let mut builder = Builder { text: Vec::with_capacity(bytes + bytes / 8), pieces: Vec::new(), context };
    for part in parts {
        builder.part(*part)?;
    }
    let markup = Markup { text: builder.text.into(), pieces: builder.pieces.into() };
    match markup.longest() {
        longest if longest > EXPANDED_BYTES => Err(format!(
            "as many as {longest} bytes of markup once its macros are filled in and it is escaped for JSON; the most is \
             {EXPANDED_BYTES}"
        )),
        _ => Ok(markup),
    }
}

/// What may be a macro in a text, each with where it begins and what it is called. No name of ours has 32 bytes.
fn macros(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts = memchr::memmem::find_iter(text.as_bytes(), b"${");
    starts.filter_map(|start| {
        let length = text.as_bytes()[start + 2..].iter().take(32).position(|&byte| byte == b'}')?;
        Some((start, &text[start + 2..start + 2 + length]))
    })
}

/// Whether a macro is this one, of some vendor.
fn is_of_vendor(name: &str, kind: &str) -> bool {
    let vendor = name.strip_prefix(kind).unwrap_or_default();
    !vendor.is_empty() && vendor.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether what follows `before` is part of a URL: a scheme or a network path stands there, and nothing that ends a URL since.
fn is_in_url(before: &str) -> bool {
    let ends = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b')');
    let start = before.bytes().rposition(ends).map_or(0, |at| at + 1);
    let word = &before[start..];
    const BEGINNINGS: [&str; 6] =
        ["://", "(//", "${CLICK_URL}", "${BILL_URL}", "${CLICK_NOTICE_URL}", "${CONVERSION_NOTICE_URL}"];
    BEGINNINGS.iter().any(|begin| word.contains(begin))
        || word.starts_with("//") && before[..start].ends_with(['"', '\''])
}

fn is_in_cdata(before: &str) -> bool {
    before.rfind("<![CDATA[").is_some_and(|start| !before[start..].contains("]]>"))
}

struct Builder<'a> {
    text: Vec<u8>,
    pieces: Vec<Piece>,
    context: Context<'a>,
}

impl<'a> Builder<'a> {
    fn part(&mut self, part: Part<'_>) -> Result<(), String> {
        let Part { when, text } = part;
        let mut done = 0;
        for (start, name) in macros(text) {
            let before = &text[..start];
            let coding = match self.context.language {
                _ if is_in_url(before) => Coding::Percent,
                Language::Html | Language::Xml => Coding::Reference,
                Language::Json => Coding::Json,
            };
            let literal = before.get(done..).unwrap_or_default();
            let end = start + name.len() + "${}".len();
            match name {
                "CLICK_URL" => {
                    let Some(click) = self.context.click else {
                        return Err("the markup has ${CLICK_URL}, and the creative no `click`".to_owned());
                    };
                    self.literal(when, literal);
                    self.click(when, click, coding, is_in_cdata(before))?;
                }
                "BILL_URL" if coding == Coding::Percent => {
                    return Err("${BILL_URL} is an address of its own and cannot be part of another".to_owned());
                }
                _ => {
                    if !self.known(when, literal, name, coding) {
                        continue;
                    }
                }
            }
            done = end;
        }
        self.literal(when, &text[done..]);
        Ok(())
    }

    /// The text before a macro, and the macro, if it is one that the bidder fills in.
    fn known(&mut self, when: When, literal: &str, name: &str, coding: Coding) -> bool {
        let value = match name {
            "AUCTION_ID" => Value::Auction,
            "AUCTION_BID_ID" => Value::Bid,
            "AUCTION_IMP_ID" => Value::Imp,
            "AUCTION_SEAT_ID" => Value::Seat,
            "AUCTION_CURRENCY" => Value::Currency,
            "AUCTION_PRICE" => Value::Price,
            "CACHEBUSTER" => Value::CacheBuster,
            "BILL_URL" => Value::BillUrl,
            "GDPR" => Value::Gdpr,
            "GPP_SID" => Value::GppSections,
            "US_PRIVACY" => Value::UsPrivacy,
            "CLICK_NOTICE_URL" => Value::ClickNotice,
            "CONVERSION_NOTICE_URL" => Value::ConversionNotice,
            "CONVERSION_TOKEN" => Value::ConversionToken,
            _ if is_of_vendor(name, "GDPR_CONSENT_") => Value::Consent,
            _ if is_of_vendor(name, "GPP_STRING_") => Value::Gpp,
            "AUCTION_AD_ID" => {
                self.literal(when, literal);
                let id = coded(self.context.creative, coding);
                self.escaped(when, id.as_bytes());
                return true;
            }
            _ => return false,
        };
        self.literal(when, literal);
        self.value(when, value, coding);
        true
    }

    /// The address of a click: as it is, percent-encoded where it is part of another URL, and both where that depends on the
    /// exchange.
    fn click(&mut self, when: When, click: &str, coding: Coding, cdata: bool) -> Result<(), String> {
        if coding == Coding::Percent {
            return self.address(when, click, true, cdata);
        }
        if when != When::Always {
            return Err("${CLICK_URL} stands in a part that is not in every answer".to_owned());
        }
        self.value(When::ClickMacro, Value::ClickMacro, Coding::Percent);
        self.address(When::ClickMacro, click, true, cdata)?;
        self.address(When::NoClickMacro, click, false, cdata)
    }

    fn address(&mut self, when: When, address: &str, encoded: bool, cdata: bool) -> Result<(), String> {
        let xml = self.context.language == Language::Xml && !cdata;
        let spelt = |text: &str| match encoded {
            true => coded(text, Coding::Percent),
            false if xml => text.replace('&', "&amp;"),
            false => text.to_owned(),
        };
        let coding = if encoded { Coding::PercentTwice } else { Coding::Percent };
        let mut done = 0;
        for (start, name) in macros(address) {
            if matches!(name, "CLICK_URL" | "BILL_URL") {
                return Err(format!("`click` cannot hold ${{{name}}}"));
            }
            let literal = spelt(address.get(done..start).unwrap_or_default());
            let end = start + name.len() + "${}".len();
            if !self.known(when, &literal, name, coding) {
                // The exchange's: it must still find it.
                self.literal(when, &literal);
                self.literal(when, &address[start..end]);
            }
            done = end;
        }
        self.literal(when, &spelt(&address[done..]));
        Ok(())
    }

    fn literal(&mut self, when: When, text: &str) {
        if text.is_empty() {
            return;
        }
        let start = self.text.len();
        serde_json::to_writer(&mut self.text, text).expect("text is always JSON");
        // Without its quotes.
        self.text.pop();
        self.text.remove(start);
        self.wrote(when);
    }

    fn escaped(&mut self, when: When, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.wrote(when);
    }

    /// What was written last is text.
    fn wrote(&mut self, when: When) {
        let end = self.text.len() as u32;
        match self.pieces.last_mut() {
            Some(piece) if piece.value == Value::Nothing && piece.when == when => piece.end = end,
            _ => self.pieces.push(Piece { end, value: Value::Nothing, coding: Coding::Percent, when }),
        }
    }

    fn value(&mut self, when: When, value: Value, coding: Coding) {
        match self.pieces.last_mut() {
            Some(piece) if piece.value == Value::Nothing && piece.when == when => {
                (piece.value, piece.coding) = (value, coding);
            }
            _ => self.pieces.push(Piece { end: self.text.len() as u32, value, coding, when }),
        }
    }
}

fn coded(text: &str, coding: Coding) -> String {
    let mut room = vec![0; text.len() * coding.growth()];
    let mut out = Out::new(&mut room);
    coding::bytes(text.as_bytes(), coding, &mut out);
    let length = out.written().expect("growth is an upper bound");
    room.truncate(length);
    String::from_utf8(room).expect("codings make UTF-8")
}
