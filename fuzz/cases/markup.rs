//! Creatives: the first byte chooses the language, the second whether there is an address for clicks, the rest is the text. What
//! others put into an answer is data wherever it stands, and an answer is never longer than was computed.

use std::sync::LazyLock;

use corebid::market::auction::Bid;
use corebid::market::macros::{Facts, expand};
use corebid::market::settlement::Settlement;
use corebid::snapshot::campaign::markup::{Context, Language, Markup, Outcomes, Signals, Values, is_address};
use corebid::units::{BidId, CpmMicros};
use corebid::wire::json::{Raw, Text};
use corebid::wire::openrtb::response::Out;

/// What ends a text, an attribute, an element, a section, a string or an escape in one of the languages.
const HOSTILE: &str = "\\\"'<>&`)]}${AUCTION_IMP_ID}]]> \\u2028\u{e9}%22</script>";
/// What may end something.
const ENDS: &[u8] = b"\"'<>`) {}\n";

static VALUES: LazyLock<Values<'static>> = LazyLock::new(|| Values {
    auction: Text { raw: HOSTILE.as_bytes(), escaped: false },
    bid: BidId([0xab; 16]),
    imp: Text { raw: br#"\"\u003c\ud83d\ude00\/"#, escaped: true },
    seat: b"s\"<",
    cachebuster: u64::MAX,
    currency: b"EUR",
    price_macro: b"%%WINNING_PRICE%%",
    click_macro: b"",
    bill_url: b"https://b.example/notice/bill/x",
    outcomes: Outcomes {
        click: b"https://b.example/notice/click/x",
        conversion: b"https://b.example/notice/conversion/y",
        token: b"y",
    },
    signals: Signals {
        gdpr: Some(true),
        consent: b"CPx_-",
        gpp: b"\"<",
        gpp_sections: Raw(b"[2, 7, 100, -1, \"x\"]"),
        us_privacy: b"1YNN",
    },
});

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&[language, click], text)) = input.split_first_chunk::<2>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    is_address(text);
    let language = [Language::Html, Language::Xml, Language::Json][usize::from(language) % 3];
    let click = (click & 1 == 1).then_some("https://c.example/?a=1&b=${AUCTION_ID}");
    let Ok(markup) = Markup::compile(text, Context { language, creative: "c\"<1", click }) else { return };
    let mut room = vec![0; markup.longest()];
    let mut out = Out::new(&mut room);
    markup.write(&VALUES, &mut out);
    let length = out.written().expect("the longest there is");
    let json = [b"\"", &room[..length], b"\""].concat();
    let plain: String = serde_json::from_slice(&json).expect("the inside of a string");

    // Names of macros hold none of these, but for their own braces.
    let count = |text: &str, byte: u8| text.bytes().filter(|other| *other == byte).count();
    for &end in ENDS {
        let (before, after) = (count(text, end), count(&plain, end));
        let braces = matches!(end, b'{' | b'}');
        assert!(
            after == before || braces && after < before,
            "{:?}: {before} in the text, {after} in the answer",
            end as char
        );
    }
    if !text.contains("${") {
        assert_eq!(plain, text, "nothing to fill in");
    }

    // With less room it is not written, or it is the same.
    let mut less = vec![0; length.saturating_sub(1)];
    let mut out = Out::new(&mut less);
    markup.write(&VALUES, &mut out);
    assert!(out.written().is_none() || length == 0);

    exchange(&plain);
}

/// What an exchange makes of it: nothing of ours ends there, either.
fn exchange(markup: &str) {
    let settlement = Settlement::default();
    let bid = Bid { id: "<b>".into(), impid: "\"".into(), adid: "&".into(), ..Bid::default() };
    let facts = Facts {
        auction: HOSTILE,
        bid: &bid,
        seat: "'",
        currency: "EUR",
        settlement: &settlement,
        iv: [7; 16],
        price: Some(CpmMicros(2_500_000)),
        multiplier: None,
        to_win: None,
        loss: 102,
    };
    let expanded = expand(markup, &facts);
    for end in ENDS.iter().filter(|end| !b"{}".contains(end)) {
        let count = |text: &str| text.bytes().filter(|other| other == end).count();
        assert!(count(&expanded) <= count(markup), "{:?} came from a macro", *end as char);
    }
    assert!(markup.contains("${AUCTION_") || markup.contains("%%WINNING_PRICE%%") || expanded == markup);
}
