//! Markup: text with macros, cut up when it is loaded, put together when it is bid.
//!
//! Of the macros of OpenRTB 2.6 section 4.4, what is known when the bid is made (ids, seat, currency) is filled in here, coded
//! for the place it stands in. What only the exchange knows (loss, price to win, multiplier, …) stays for the exchange, and
//! so does everything that only looks like a macro. The price stays too, in the exchange's own form.

mod coding;
mod compile;

use crate::limits::{EXCHANGE_MACRO_BYTES, NOTICE_URL_BYTES, OUTCOME_URL_BYTES, SIGNAL_BYTES, VALUE_BYTES};
use crate::units::BidId;
use crate::wire::json::{Raw, Text};
use crate::wire::openrtb::response::{Out, SEAT_BYTES};
use coding::Coding;
pub use compile::{Context, Language, Part, is_address, is_tracker};

/// Markup as the inside of a JSON string, in pieces between the macros that the bidder fills in.
#[derive(Clone, Debug, PartialEq)]
pub struct Markup {
    /// What is never different, escaped for JSON, one piece after the other.
    text: Box<[u8]>,
    pieces: Box<[Piece]>,
}

/// Some text, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    /// Where the text ends; it begins where that of the piece before ends.
    end: u32,
    value: Value,
    coding: Coding,
    when: When,
}

/// What a macro stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Nothing,
    Auction,
    Bid,
    Imp,
    Seat,
    Currency,
    CacheBuster,
    Price,
    BillUrl,
    ClickMacro,
    Gdpr,
    Consent,
    Gpp,
    GppSections,
    UsPrivacy,
    ClickNotice,
    ConversionNotice,
    ConversionToken,
}

/// In which answers a part of the markup stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In all.
    Always,
    /// Where the exchange counts clicks by a macro before the address.
    ClickMacro,
    /// Where it does not.
    NoClickMacro,
    /// Where the impression event is the bill.
    BillUrl,
}

/// What is known of a bid when its markup is written.
///
/// All from the currency on are ours or the operator's, and are copied as they stand: at most [`EXCHANGE_MACRO_BYTES`] each (the URL
/// [`NOTICE_URL_BYTES`]), of characters that mean nothing to HTML, XML or JSON.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// `BidRequest.id`.
    pub auction: Text<'a>,
    /// `Bid.id`, which is also what `${AUCTION_BID_ID}` stands for: a response of ours has no id but those of its bids.
    pub bid: BidId,
    /// `Imp.id`.
    pub imp: Text<'a>,
    /// `SeatBid.seat`, at most [`SEAT_BYTES`].
    pub seat: &'a [u8],
    /// Random.
    pub cachebuster: u64,
    /// `BidResponse.cur`, ISO 4217.
    pub currency: &'a [u8],
    /// What the exchange puts the price in place of: `${AUCTION_PRICE}`, `%%WINNING_PRICE%%`, …
    pub price_macro: &'a [u8],
    /// What it wants before the (then percent-encoded) address of a click; empty for nothing.
    pub click_macro: &'a [u8],
    /// Where the impression event is the bill: the signed URL that books it. Else empty.
    pub bill_url: &'a [u8],
    /// Where clicks and conversions are told.
    pub outcomes: Outcomes<'a>,
    /// What the request says of consent.
    pub signals: Signals<'a>,
}

/// Where clicks and conversions are told, where the markup has a place for it ([`Markup::tells_outcomes`]): signed URLs of at most
/// [`OUTCOME_URL_BYTES`], without macros.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcomes<'a> {
    /// To be called once the creative is clicked: `${CLICK_NOTICE_URL}`.
    pub click: &'a [u8],
    /// To be called once what the advertiser is after has come of it: `${CONVERSION_NOTICE_URL}`.
    pub conversion: &'a [u8],
    /// The last part of that: `${CONVERSION_TOKEN}`.
    pub token: &'a [u8],
}

impl Outcomes<'_> {
    /// Nowhere.
    pub const NONE: Outcomes<'static> = Outcomes { click: b"", conversion: b"", token: b"" };
}

/// Privacy signals of a request, for those whose pixels are in the markup. None says nothing; of the strings, one that is not
/// of unreserved characters or longer than [`SIGNAL_BYTES`] does too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signals<'a> {
    /// Whether the GDPR applies: `${GDPR}`.
    pub gdpr: Option<bool>,
    /// `user.consent`: `${GDPR_CONSENT_755}`, whatever the number of the vendor.
    pub consent: &'a [u8],
    /// `regs.gpp`: `${GPP_STRING_755}`.
    pub gpp: &'a [u8],
    /// `regs.gpp_sid`: `${GPP_SID}`, with commas.
    pub gpp_sections: Raw<'a>,
    /// `regs.us_privacy`: `${US_PRIVACY}`.
    pub us_privacy: &'a [u8],
}

impl Signals<'_> {
    /// A request that says nothing.
    pub const NONE: Signals<'static> =
        Signals { gdpr: None, consent: b"", gpp: b"", gpp_sections: Raw(b""), us_privacy: b"" };
}

impl Markup {
    /// Cuts up a text.
    ///
    /// # Errors
    /// It is empty, longer than [`MARKUP_BYTES`](crate::limits::MARKUP_BYTES), or could be longer than
    /// [`EXPANDED_BYTES`](crate::limits::EXPANDED_BYTES) in an answer; or a macro cannot be filled in where it stands.
    pub fn compile(text: &str, context: Context<'_>) -> Result<Markup, String> {
        compile::compile(&[Part { when: When::Always, text }], context)
    }

    /// As [`Markup::compile`], of parts that may not stand in every answer; the first must not be empty.
    ///
    /// # Errors
    /// As [`Markup::compile`].
    pub fn compile_parts(parts: &[Part<'_>], context: Context<'_>) -> Result<Markup, String> {
        compile::compile(parts, context)
    }

    /// Writes the markup as the inside of a JSON string. Where a value is longer than its bound, `out` ends as if it did not
    /// fit.
    pub fn write(&self, values: &Values<'_>, out: &mut Out<'_>) {
        let mut start = 0;
        for piece in &self.pieces {
            let end = piece.end as usize;
            let stands = match piece.when {
                When::Always => true,
                When::ClickMacro => !values.click_macro.is_empty(),
                When::NoClickMacro => values.click_macro.is_empty(),
                When::BillUrl => !values.bill_url.is_empty(),
            };
            if stands {
                out.put(&self.text[start..end]);
                piece.value.write(piece.coding, values, out);
            }
            start = end;
        }
    }

    /// Whether it holds the URL that books the bill, where that is what [`Values::bill_url`] gives.
    pub fn bills(&self) -> bool {
        self.pieces.iter().any(|piece| piece.value == Value::BillUrl)
    }

    /// Whether it holds anything of [`Values::outcomes`].
    #[inline]
    pub fn tells_outcomes(&self) -> bool {
        let tells = |value| matches!(value, Value::ClickNotice | Value::ConversionNotice | Value::ConversionToken);
        self.pieces.iter().any(|piece| tells(piece.value))
    }

    /// The most bytes [`Markup::write`] writes of values within their bounds.
    pub fn longest(&self) -> usize {
        self.text.len() + self.pieces.iter().map(|piece| piece.value.longest(piece.coding)).sum::<usize>()
    }
}

impl Value {
    #[inline]
    fn write(self, coding: Coding, values: &Values<'_>, out: &mut Out<'_>) {
        match self {
            Value::Nothing => {}
            Value::Auction => coding::text(values.auction, coding, out),
            Value::Bid => out.hex(&values.bid.0),
            Value::Imp => coding::text(values.imp, coding, out),
            Value::Seat => coding::bytes(values.seat, coding, out),
            Value::Currency => out.put(values.currency),
            Value::CacheBuster => out.integer(values.cachebuster),
            Value::Price => out.put(values.price_macro),
            Value::BillUrl => out.put(values.bill_url),
            Value::ClickMacro => out.put(values.click_macro),
            Value::Gdpr => out.put(values.signals.gdpr.map_or(b"", |applies| if applies { b"1" } else { b"0" })),
            Value::Consent => coding::signal(values.signals.consent, out),
            Value::Gpp => coding::signal(values.signals.gpp, out),
            Value::GppSections => coding::sections(values.signals.gpp_sections, coding, out),
            Value::UsPrivacy => coding::signal(values.signals.us_privacy, out),
            Value::ClickNotice => coding::url(values.outcomes.click, coding, out),
            Value::ConversionNotice => coding::url(values.outcomes.conversion, coding, out),
            // Unreserved characters: every coding leaves them as they are.
            Value::ConversionToken => out.put(values.outcomes.token),
        }
    }

    /// The most bytes it is, as it is coded.
    fn longest(self, coding: Coding) -> usize {
        match self {
            Value::Nothing => 0,
            Value::Auction | Value::Imp => VALUE_BYTES * coding.growth(),
            Value::Bid => 32,
            Value::Seat => SEAT_BYTES * coding.growth(),
            Value::Currency => 3,
            Value::CacheBuster => 20,
            Value::Price | Value::ClickMacro => EXCHANGE_MACRO_BYTES,
            Value::BillUrl => NOTICE_URL_BYTES,
            Value::Gdpr => 1,
            Value::Consent | Value::Gpp => SIGNAL_BYTES,
            Value::GppSections => coding::SECTIONS * (2 + coding.growth()),
            Value::UsPrivacy => SIGNAL_BYTES,
            Value::ClickNotice | Value::ConversionNotice => OUTCOME_URL_BYTES * coding.growth_of_url(),
            Value::ConversionToken => OUTCOME_URL_BYTES,
        }
    }
}

#[cfg(test)]
mod tests;
