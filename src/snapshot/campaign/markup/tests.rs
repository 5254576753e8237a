//! Is markup what replacing each macro in the whole text gives, and can no value break out of its place?

use super::*;
use crate::limits::{EXPANDED_BYTES, MARKUP_BYTES};
use proptest::prelude::*;

/// Values as people would write them.
#[derive(Clone, Debug)]
struct Said {
    auction: String,
    imp: String,
    seat: String,
    price_macro: &'static str,
    click_macro: &'static str,
    bill_url: &'static str,
    signals: Signals<'static>,
}

const SAID: Said = Said {
    auction: String::new(),
    imp: String::new(),
    seat: String::new(),
    price_macro: "${AUCTION_PRICE}",
    click_macro: "",
    bill_url: "",
    signals: Signals::NONE,
};

const BID: [u8; 16] = *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
const OUTCOMES: Outcomes<'static> = Outcomes {
    click: b"https://b.example:8/notice/click/A-_9",
    conversion: b"https://b.example:8/notice/conversion/B-_9",
    token: b"B-_9",
};
const CLICK: &str = "https://shop.example/?a=1&s=${AUCTION_SEAT_ID}&x=${AUCTION_LOSS}";

/// What a request or a configuration would hold: JSON without its quotes, escaped as far as may be if `escapes`.
fn raw(text: &str, escapes: bool) -> String {
    if escapes {
        return text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    }
    let json = serde_json::to_string(text).unwrap();
    json[1..json.len() - 1].to_owned()
}

fn written(markup: &Markup, said: &Said, escapes: bool, room: usize) -> Option<String> {
    let [auction, imp] = [&said.auction, &said.imp].map(|text| raw(text, escapes));
    let text = |raw: &'static str| raw.as_bytes();
    let values = Values {
        auction: Text { raw: auction.as_bytes(), escaped: auction.contains('\\') },
        bid: BidId(BID),
        imp: Text { raw: imp.as_bytes(), escaped: imp.contains('\\') },
        seat: said.seat.as_bytes(),
        cachebuster: 42,
        currency: b"EUR",
        price_macro: text(said.price_macro),
        click_macro: text(said.click_macro),
        bill_url: text(said.bill_url),
        outcomes: OUTCOMES,
        signals: said.signals,
    };
    let mut buffer = vec![0; room];
    let mut out = Out::new(&mut buffer);
    markup.write(&values, &mut out);
    let length = out.written()?;
    Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
}

/// The string that the written text is the inside of.
fn read(markup: &Markup, said: &Said, escapes: bool) -> String {
    serde_json::from_str(&format!("\"{}\"", written(markup, said, escapes, EXPANDED_BYTES).unwrap())).unwrap()
}

fn context(language: Language) -> Context<'static> {
    Context { language, creative: "c/1", click: Some(CLICK) }
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match char::from(byte) {
            c @ ('a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '~') => c.to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn references(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '~' => c.to_string(),
            '\t' | '\n' | '\r' | ' '..='\x7f' => format!("&#x{:02X};", c as u32),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => "\u{fffd}".to_owned(),
            _ => c.to_string(),
        })
        .collect()
}

/// The reference: one pass over the characters, with a flag for whether a URL is under way, and whole strings everywhere.
fn expand(text: &str, said: &Said, xml: bool) -> String {
    let (mut done, mut rest, mut url, mut cdata) = (String::new(), text, false, false);
    while let Some(c) = rest.chars().next() {
        let filled = rest.strip_prefix("${").and_then(|rest| rest.split_once('}')).and_then(|(name, after)| {
            let code = |text: &str| if url { percent(text) } else { references(text) };
            let value = match name {
                "AUCTION_ID" => code(&said.auction),
                "AUCTION_IMP_ID" => code(&said.imp),
                "AUCTION_SEAT_ID" => code(&said.seat),
                "AUCTION_AD_ID" => code("c/1"),
                "AUCTION_BID_ID" => "00112233445566778899aabbccddeeff".to_owned(),
                "AUCTION_CURRENCY" => "EUR".to_owned(),
                "AUCTION_PRICE" => said.price_macro.to_owned(),
                "CACHEBUSTER" => "42".to_owned(),
                "BILL_URL" => said.bill_url.to_owned(),
                "CLICK_NOTICE_URL" | "CONVERSION_NOTICE_URL" => {
                    let address = if name == "CLICK_NOTICE_URL" { OUTCOMES.click } else { OUTCOMES.conversion };
                    let address = str::from_utf8(address).unwrap();
                    if url { percent(address) } else { address.to_owned() }
                }
                "CONVERSION_TOKEN" => "B-_9".to_owned(),
                "CLICK_URL" => {
                    let seat = percent(&said.seat);
                    let once = "https%3A%2F%2Fshop.example%2F%3Fa%3D1%26s%3D";
                    if url || !said.click_macro.is_empty() {
                        let before = if url { "" } else { said.click_macro };
                        format!("{before}{once}{}%26x%3D${{AUCTION_LOSS}}", percent(&seat))
                    } else if xml && !cdata {
                        format!("https://shop.example/?a=1&amp;s={seat}&amp;x=${{AUCTION_LOSS}}")
                    } else {
                        format!("https://shop.example/?a=1&s={seat}&x=${{AUCTION_LOSS}}")
                    }
                }
                _ => return None,
            };
            Some((
                value,
                after,
                matches!(name, "CLICK_URL" | "BILL_URL" | "CLICK_NOTICE_URL" | "CONVERSION_NOTICE_URL"),
            ))
        });
        match filled {
            Some((value, after, begins)) => {
                done += &value;
                rest = after;
                url |= begins;
            }
            None => {
                let begins = ["://", "\"//", "'//", "(//"].iter().any(|begin| rest.starts_with(begin));
                cdata = cdata && !rest.starts_with("]]>") || rest.starts_with("<![CDATA[");
                url = url && !" \t\r\n\"'`<>)".contains(c) || begins;
                done.push(c);
                rest = &rest[c.len_utf8()..];
                // A mark of a beginning is passed over whole, so that its own quote does not end what it begins.
                if begins {
                    done += "//";
                    rest = &rest[2..];
                }
            }
        }
    }
    done
}

fn text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "${AUCTION_ID}",
        "${AUCTION_IMP_ID}",
        "${AUCTION_SEAT_ID}",
        "${AUCTION_AD_ID}",
        "${AUCTION_BID_ID}",
        "${AUCTION_CURRENCY}",
        "${AUCTION_PRICE}",
        "${CACHEBUSTER}",
        "${CLICK_URL}",
        "${CLICK_NOTICE_URL}",
        "${CONVERSION_NOTICE_URL}",
        "${CONVERSION_TOKEN}",
        "${AUCTION_LOSS}",
        "${AUCTION_MBR}",
        "${AUCTION_PRICE:B64}",
        "${AUCTION_MIN_TO_WIN}",
        "${AUCTION_MULTIPLIER}",
        "${AUCTION_IMP_TS}",
        "${X}",
        "${",
        "}",
        "https://a.example/?x=",
        "//b.example/",
        "\"",
        "'",
        "<p>",
        ")",
        "(",
        " ",
        "\n",
        "&",
        "é",
        "\\",
        "://",
        "=",
        "<![CDATA[",
        "]]>",
        "\u{1}",
    ]);
    prop::collection::vec(pieces, 1..24).prop_map(|pieces| pieces.concat())
}

fn said() -> impl Strategy<Value = Said> {
    let id =
        || "[a-z0-9-]{1,8}|[\\PC\"'<>&\\\\\r\n\t%$ ]{0,20}|\\PC{0,20}|[\u{0}-\u{7f}]{0,20}|[\u{fffd}-\u{10005}]{0,4}";
    let price = prop::sample::select(vec!["${AUCTION_PRICE}", "%%WINNING_PRICE%%", "${AUCTION_PRICE:OXCRYPT}"]);
    let click = prop::sample::select(vec!["", "%%CLICK_URL_ESC%%"]);
    let bill = prop::sample::select(vec!["", "http://h:1/notice/bill/x?p=${AUCTION_PRICE}"]);
    (id(), id(), "[ -~]{0,12}", price, click, bill).prop_map(
        |(auction, imp, seat, price_macro, click_macro, bill_url)| Said {
            auction,
            imp,
            seat,
            price_macro,
            click_macro,
            bill_url,
            signals: Signals::NONE,
        },
    )
}

proptest! {
    #[test]
    fn markup_is_the_text_with_each_macro_replaced(text in text(), said in said(), escapes: bool, xml: bool) {
        let language = if xml { Language::Xml } else { Language::Html };
        let markup = Markup::compile(&text, context(language)).unwrap();
        prop_assert_eq!(read(&markup, &said, escapes), expand(&text, &said, xml));
    }

    #[test]
    fn no_value_breaks_out_of_xml(said in said(), escapes: bool) {
        let text = "<a b=\"${AUCTION_ID}\" c='${AUCTION_SEAT_ID}'>${AUCTION_IMP_ID}<d><![CDATA[http://x/?${AUCTION_ID}]]></d>\
                    <e>${CLICK_URL}</e></a>";
        let xml = read(&Markup::compile(text, context(Language::Xml)).unwrap(), &said, escapes);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let root = document.root_element();
        let shown = |text: &str| {
            text.chars().map(|c| match c {
                '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => c,
                _ => '\u{fffd}',
            }).collect::<String>()
        };
        prop_assert_eq!(root.attribute("b").unwrap(), shown(&said.auction));
        prop_assert_eq!(root.attribute("c").unwrap(), shown(&said.seat));
        let between = root.first_child().filter(roxmltree::Node::is_text);
        prop_assert_eq!(between.and_then(|node| node.text()).unwrap_or(""), shown(&said.imp));
        let url = root.children().find(|n| n.has_tag_name("d")).unwrap().text().unwrap();
        prop_assert_eq!(url, format!("http://x/?{}", percent(&said.auction)));
    }

    #[test]
    fn no_value_breaks_out_of_json(said in said(), escapes: bool) {
        let markup = Markup::compile(r#"{"a":"${AUCTION_ID}","b":["//x/${AUCTION_IMP_ID}"]}"#, context(Language::Json));
        let json: serde_json::Value = serde_json::from_str(&read(&markup.unwrap(), &said, escapes)).unwrap();
        prop_assert_eq!(json, serde_json::json!({"a": said.auction, "b": [format!("//x/{}", percent(&said.imp))]}));
    }

    #[test]
    fn it_fits_whole_or_not_at_all(text in text(), said in said(), cut in 1usize..40) {
        let markup = Markup::compile(&text, context(Language::Html)).unwrap();
        let whole = written(&markup, &said, false, EXPANDED_BYTES).unwrap();
        prop_assert!(whole.len() <= markup.longest());
        prop_assert_eq!(written(&markup, &said, false, whole.len()), Some(whole.clone()));
        prop_assert_eq!(written(&markup, &said, false, whole.len().saturating_sub(cut)).is_none(), !whole.is_empty());
    }
}

#[test]
fn values_have_a_bound_and_the_longest_is_known() {
    let text = "${AUCTION_ID} https://x/?${AUCTION_ID}";
    for (language, escaped) in [(Language::Html, 6), (Language::Xml, 6), (Language::Json, 7)] {
        let markup = Markup::compile(text, context(language)).unwrap();
        let longest = Said { auction: "\"".repeat(128), ..SAID };
        let whole = written(&markup, &longest, false, EXPANDED_BYTES).unwrap();
        assert_eq!(whole.len(), " https://x/?".len() + 128 * (3 + escaped));
        assert_eq!(whole.len(), markup.longest());
        let over = Said { auction: "\"".repeat(129), ..SAID };
        assert_eq!(written(&markup, &over, false, EXPANDED_BYTES), None);
        let over = Said { auction: "a".repeat(129), ..SAID };
        assert_eq!(written(&markup, &over, false, EXPANDED_BYTES), None);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |text: &str, click| {
        Markup::compile(text, Context { language: Language::Html, creative: "c", click }).unwrap_err()
    };
    assert_eq!(refused("", None), "the markup is empty");
    assert!(refused(&"x".repeat(MARKUP_BYTES + 1), None).contains("16385 bytes of markup; the most is 16384"));
    assert!(refused(&"\u{1}".repeat(6000), None).contains("as many as 36000 bytes"));
    assert!(refused(&"${AUCTION_ID}".repeat(43), None).contains("as many as 33024 bytes"));
    assert!(refused("<a href='${CLICK_URL}'>", None).contains("no `click`"));
    assert!(refused("http://x/?${BILL_URL}", None).contains("cannot be part of another"));
    assert!(refused("${CLICK_URL}", Some("http://x/${CLICK_URL}")).contains("`click` cannot hold ${CLICK_URL}"));
}

#[test]
fn parts_stand_where_they_should() {
    let parts = [
        Part { when: When::Always, text: "a" },
        Part { when: When::BillUrl, text: "<b>${BILL_URL}</b>" },
        Part { when: When::Always, text: "c" },
    ];
    let markup = Markup::compile_parts(&parts, context(Language::Xml)).unwrap();
    assert_eq!(read(&markup, &SAID, false), "ac");
    assert_eq!(read(&markup, &Said { bill_url: "http://h/", ..SAID }, false), "a<b>http://h/</b>c");
}

#[test]
fn those_who_have_a_pixel_learn_of_the_consent() {
    let url = "https://t.example/?g=${GDPR}&c=${GDPR_CONSENT_755}&p=${GPP_STRING_12}&s=${GPP_SID}&u=${US_PRIVACY}";
    let text = format!("{url} ${{GDPR_CONSENT_}} ${{GDPR_CONSENT_7x}} ${{GPP_SID}}");
    let markup = Markup::compile(&text, context(Language::Html)).unwrap();
    let exchange = "${GDPR_CONSENT_} ${GDPR_CONSENT_7x}";
    assert_eq!(read(&markup, &SAID, false), format!("https://t.example/?g=&c=&p=&s=&u= {exchange} "));
    let signals = Signals {
        gdpr: Some(true),
        consent: b"CPSG_8A.IA-A",
        gpp: b"DBABMA~CPSG.YAAA~1YNN",
        gpp_sections: Raw(b"[2, 7.0]"),
        us_privacy: b"1YNN",
    };
    assert_eq!(
        read(&markup, &Said { signals, ..SAID }, false),
        format!("https://t.example/?g=1&c=CPSG_8A.IA-A&p=DBABMA~CPSG.YAAA~1YNN&s=2%2C7&u=1YNN {exchange} 2&#x2C;7")
    );
    // What is no such string would not stay in its place.
    let long = [b'A'; SIGNAL_BYTES + 1];
    let signals = Signals {
        gdpr: Some(false),
        consent: b"\\u0022",
        gpp: Box::leak(Box::new(long)),
        gpp_sections: Raw(b"[-1, 123456, 6]"),
        us_privacy: b"1Y N",
    };
    assert_eq!(
        read(&markup, &Said { signals, ..SAID }, false),
        format!("https://t.example/?g=0&c=&p=&s=6&u= {exchange} 6")
    );
}
