//! ads.txt and sellers.json as they are found: what is read, what is skipped and why, and what the command says of it.

mod support;

use std::io::{BufReader, Write};
use std::time::Instant;

use corebid::limits::{SELLERS_JSON_DEPTH, SELLERS_JSON_TEXT};
use corebid::supply::ads_txt::{self, Line, MAX_LINE, Reason, Record, Refusal};
use corebid::supply::sellers_json::{self, Seller, SellerType, Summary};
use proptest::prelude::*;
use serde_json::{Value, json};

use support::Folder;
use support::process::{corebid, run};

fn lines(text: impl AsRef<[u8]>) -> Vec<String> {
    let say = |line: Line<'_>| match line {
        Line::Record(Record { domain, account, relation, authority }) => {
            format!("{domain}|{account}|{relation:?}|{}", authority.unwrap_or("-"))
        }
        Line::Variable { name, value } => format!("{name}={value}"),
        Line::Skipped { line, reason } => format!("{line}: {reason:?}"),
    };
    ads_txt::lines(text.as_ref()).map(say).collect()
}

#[test]
fn a_line_is_read_as_it_is_found() {
    let cases: &[(&[u8], &str)] = &[
        // As the specification writes it.
        (b"greenadexchange.com, 12345, DIRECT, d75815a79", "greenadexchange.com|12345|Direct|d75815a79"),
        (b"blueadexchange.com, XF436, RESELLER", "blueadexchange.com|XF436|Reseller|-"),
        (
            b"placeholder.example.com, placeholder, DIRECT, placeholder",
            "placeholder.example.com|placeholder|Direct|placeholder",
        ),
        // With less care.
        (b"Google.COM,pub-1,direct", "Google.COM|pub-1|Direct|-"),
        (b"a.com , 1 , Reseller , ", "a.com|1|Reseller|-"),
        (b"\ta.com,\t1,\tDIRECT\t", "a.com|1|Direct|-"),
        (b"a.com, 1, DIRECT,,,", "a.com|1|Direct|-"),
        (b"a.com, 1, DIRECT, f08c, more, and more", "a.com|1|Direct|f08c"),
        (b"a.com, 1, DIRECT # our own", "a.com|1|Direct|-"),
        (b"a.com, 1, DIRECT, f08c#our own", "a.com|1|Direct|f08c"),
        (b"a.com, 1, DIRECT; key=value, and so on", "a.com|1|Direct|-"),
        (b"a.com, 1, DIRECT, f08c; ext", "a.com|1|Direct|f08c"),
        ("\u{a0}a.com,\u{a0}1\u{a0},\u{200b}DIRECT\u{a0} ".as_bytes(), "a.com|1|Direct|-"),
        ("\u{feff}a.com, 1, DIRECT".as_bytes(), "a.com|1|Direct|-"),
        ("\u{3000}\u{feff}a.com,\u{85}1\u{2003},DIRECT,\u{200b}f08c \u{200b} ".as_bytes(), "a.com|1|Direct|f08c"),
        ("\u{a0}a.com, 1, DIRECT, caf".as_bytes(), "a.com|1|Direct|caf"),
        (b"\xc2\xa0a.com, 1, DIRECT, caf\xe9", "a.com|1|Direct|-"),
        ("münchen.de, 1, DIRECT".as_bytes(), "münchen.de|1|Direct|-"),
        (b"a.com, id with spaces=, DIRECT", "a.com|id with spaces=|Direct|-"),
        (b"a.com, 1, DIRECT, \xff\xfe", "a.com|1|Direct|-"),
        (b"a.com, 1, DIRECT # caf\xe9 \0", "a.com|1|Direct|-"),
        // Variables.
        (b"CONTACT=adops@example.com", "CONTACT=adops@example.com"),
        (b" subdomain = divisionone.example.com # news", "subdomain=divisionone.example.com"),
        (b"OwnerDomain=example.com", "OwnerDomain=example.com"),
        (b"MANAGERDOMAIN=manager.com, US", "MANAGERDOMAIN=manager.com, US"),
        (b"X-unknown_1=https://example.com/?a=b;c", "X-unknown_1=https://example.com/?a=b;c"),
        (b"CONTACT=", "CONTACT="),
        (b"CONTACT=nobody, 1, DIRECT", "CONTACT=nobody, 1, DIRECT"),
        // What says nothing.
        (b"a.com, 1, DIRCT", "1: Relation"),
        (b"a.com, 1, DIRECT f08c", "1: Relation"),
        (b"a.com 1, DIRECT, f08c", "1: Relation"),
        (b"a.com, 1 DIRECT", "1: FewFields"),
        (b"a.com 1 DIRECT", "1: FewFields"),
        (b"a.com; 1, DIRECT, f08c", "1: FewFields"),
        (b", 1, DIRECT", "1: NoDomain"),
        (b"a.com, , DIRECT", "1: NoAccount"),
        (b"our sellers:", "1: FewFields"),
        (b"= 1", "1: FewFields"),
        (b"OWNER DOMAIN=example.com", "1: FewFields"),
        (b"a.com, caf\xe9, DIRECT", "1: Encoding"),
        (b"a\0.com, 1, DIRECT", "1: Control"),
    ];
    for (line, said) in cases {
        assert_eq!(lines(line), [*said], "{}", String::from_utf8_lossy(line));
    }
    for nothing in ["", " \t", "#", "# a.com, 1, DIRECT", "\u{feff}", "\u{a0}#", "\r\n\r\r\n\n"] {
        assert_eq!(lines(nothing), [""; 0], "{nothing:?}");
    }
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    let text = "\u{feff}# ours\ra, 1, DIRECT\r\n\r\nb\n\rc\nd, 2, RESELLER";
    assert_eq!(lines(text), ["a|1|Direct|-", "4: FewFields", "6: FewFields", "d|2|Reseller|-"]);
}

#[test]
fn a_line_over_the_bound_is_skipped_and_its_comment_does_not_count() {
    let record = "a.com, 1, DIRECT, ";
    let fits = format!("{record}{}", "x".repeat(MAX_LINE - record.len()));
    assert_eq!(lines(format!("{fits} # {}\nb, 2, DIRECT", "x".repeat(MAX_LINE))).len(), 2);
    assert_eq!(lines(format!("{fits}x\nb, 2, DIRECT")), ["1: TooLong", "b|2|Direct|-"]);
}

#[test]
fn what_is_no_text_file_is_refused_as_a_whole() {
    let pages: &[&[u8]] = &[
        b"<!DOCTYPE html><html>\na.com, 1, DIRECT\n</html>",
        b"\xef\xbb\xbf \r\n<HTML lang=en>",
        b"<!-- served by us -->\n<!-- really --><head>",
        b"<!-- ads.txt -->\na.com, 1, DIRECT",
        b" \n\t<div class=\"x\">\n",
        b"<?xml version=\"1.0\"?>",
        b"\t<div class=\"x\">\na.com, 1, DIRECT",
    ];
    for page in pages {
        assert_eq!(ads_txt::refusal(page), Some(Refusal::Html));
        assert_eq!(lines(page), ["1: Refused(Html)"]);
    }
    let wide: Vec<u8> = "\u{feff}a.com, 1, DIRECT".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(lines(&wide), ["1: Refused(Utf16)"]);
    // A file that authorizes nobody is not one of them, nor is one with a tag somewhere.
    for text in ["", "# nothing", "# <html>\na.com, 1, DIRECT", "a.com, 1, DIRECT\n<html>"] {
        assert_eq!(ads_txt::refusal(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_file_is_believed_if_it_says_something() {
    for text in [
        "a.com, 1, DIRECT",
        "# ours\n\u{feff}placeholder.example.com, placeholder, DIRECT, placeholder",
        "contact=me@a.com",
        "SubDomain = b.a.com",
        "inventorypartnerdomain=b.com",
        "ownerdomain=",
        "MANAGERDOMAIN=b.com, US",
        "nonsense\nlang=en\na.com, 1, reseller",
    ] {
        assert!(ads_txt::says_something(text.as_bytes()), "{text}");
    }
    for text in [
        "",
        "\u{feff}",
        "# nobody\n\n",
        "Not found",
        "lang=en\nclass=\"x\"",
        "a.com, 1",
        "<div class=\"x\">\na.com, 1, DIRECT",
        " \n\u{feff}<p>\ncontact=me",
        "<!-- ads.txt -->\na.com, 1, DIRECT",
    ] {
        assert!(!ads_txt::says_something(text.as_bytes()), "{text}");
    }
}

/// A line as somebody might type it, with what was meant.
fn typed() -> impl Strategy<Value = (String, Option<String>)> {
    let blank = prop::sample::select(vec!["", " ", "\t", "\u{a0}", "  \u{200b}"]);
    let comment = prop::sample::select(vec!["", "# why", "#", "## a.com, 1, DIRECT", "#\u{e9}\u{0}"]);
    let extension = prop::sample::select(vec!["", ";", "; a=b, c", ";;"]);
    let case = |word: String, upper: u64| -> String {
        let turn = |(place, letter): (usize, char)| {
            if upper >> (place % 64) & 1 == 1 { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
        };
        word.chars().enumerate().map(turn).collect()
    };
    let record = ("[a-z]{1,9}\\.[a-z]{2,3}", "[A-Za-z0-9-]{1,12}", any::<bool>(), any::<u64>(), "[a-f0-9]{0,16}");
    let record =
        (record, prop::collection::vec(blank.clone(), 8), extension).prop_map(move |(record, b, extension)| {
            let (domain, account, direct, upper, authority) = record;
            let relation = case(if direct { "direct".into() } else { "reseller".into() }, upper);
            let said = format!(
                "{domain}|{account}|{}|{}",
                if direct { "Direct" } else { "Reseller" },
                if authority.is_empty() { "-" } else { &authority }
            );
            let line = format!(
                "{}{domain}{},{}{account}{},{}{relation}{},{}{authority}{}{extension}",
                b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]
            );
            (line, Some(said))
        });
    let variable = ("[A-Za-z]{1,16}", "[a-z0-9.@:/]{0,20}", prop::collection::vec(blank.clone(), 4)).prop_map(
        |(name, value, b)| (format!("{}{name}{}={}{value}{}", b[0], b[1], b[2], b[3]), Some(format!("{name}={value}"))),
    );
    let nothing = blank.prop_map(|blank| (blank.to_owned(), None));
    (prop_oneof![3 => record, 1 => variable, 1 => nothing], comment)
        .prop_map(|((line, said), comment)| (line + comment, said))
}

proptest! {
    /// What was meant is read, whatever stands around it.
    #[test]
    fn what_was_meant_is_read(
        typed in prop::collection::vec((typed(), prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"])), 0..20),
    ) {
        let text: String = typed.iter().map(|((line, _), end)| format!("{line}{end}")).collect();
        let meant: Vec<String> = typed.into_iter().filter_map(|((_, said), _)| said).collect();
        prop_assert_eq!(lines(text), meant);
    }

    /// A line takes nothing with it: every other one is read as if it stood alone.
    #[test]
    fn a_line_stands_for_itself(pieces in prop::collection::vec("[a-c,=;#. \u{0}\u{a0}]{0,12}|a, 1, DIRECT", 0..12)) {
        let alone: Vec<String> = pieces.iter().flat_map(lines).collect();
        let together = lines(pieces.join("\n"));
        let unnumbered = |said: String| said.split_once(": ").map_or(said.clone(), |(_, reason)| reason.to_owned());
        let unnumbered = |all: Vec<String>| all.into_iter().map(unnumbered).collect::<Vec<_>>();
        prop_assert_eq!(unnumbered(together), unnumbered(alone));
    }
}

fn sellers(text: &str) -> (Result<Summary, sellers_json::Error>, Vec<String>) {
    let say = |seller: Seller<'_>| {
        let Seller { seller_id, seller_type, domain, is_confidential, is_passthrough } = seller;
        let flag = |set: bool, name: &str| if set { format!(" {name}") } else { String::new() };
        let seller_type = seller_type.map_or("-".to_owned(), |seller_type| format!("{seller_type:?}"));
        let (confidential, passthrough) = (flag(is_confidential, "confidential"), flag(is_passthrough, "passthrough"));
        format!("{seller_id} {seller_type} {}{confidential}{passthrough}", domain.unwrap_or("-"))
    };
    let (mut whole, mut streamed) = (Vec::new(), Vec::new());
    let summary = sellers_json::read_from(text.as_bytes(), |seller| whole.push(say(seller)));
    let again =
        sellers_json::read_from(BufReader::with_capacity(7, text.as_bytes()), |seller| streamed.push(say(seller)));
    assert_eq!(whole, streamed);
    assert_eq!(summary, again);
    (summary, whole)
}

#[test]
fn a_seller_is_read_as_it_is_found() {
    let cases = [
        (r#"{"seller_id":"a1","seller_type":"PUBLISHER","domain":"P.com","name":"P"}"#, "a1 Publisher P.com"),
        (r#"{"seller_type":"intermediary","domain":" i.com ","seller_id":" b "}"#, "b Intermediary i.com"),
        (r#"{"seller_id":"c","seller_type":" Both ","is_confidential":1}"#, "c Both - confidential"),
        (r#"{"seller_id":"d","is_confidential":"1","is_passthrough":true}"#, "d - - confidential passthrough"),
        (r#"{"seller_id":"e","is_confidential":"0","is_passthrough":false}"#, "e - -"),
        (r#"{"seller_id":"f","is_confidential":null,"is_passthrough":0,"domain":""}"#, "f - -"),
        (r#"{"seller_id":"g","is_confidential":[1],"is_passthrough":{"a":1},"domain":null}"#, "g - -"),
        (r#"{"seller_id":123,"seller_type":"SELLER"}"#, "123 - -"),
        (r#"{"seller_id":18446744073709551615,"seller_type":7}"#, "18446744073709551615 - -"),
        (r#"{"seller_id":"\u0041\n\"","domain":"m\u00fcnchen.de"}"#, "A\n\" - münchen.de"),
        (r#"{"seller_id":"h","ext":{"seller_id":"x","deep":[[[{"domain":"y"}]]]},"domain":"z.com"}"#, "h - z.com"),
    ];
    for (seller, said) in cases {
        let (summary, read) = sellers(&format!(r#"{{"sellers":[{seller}]}}"#));
        assert_eq!((summary.unwrap().sellers, read), (1, vec![said.to_owned()]), "{seller}");
    }
    // Nothing of a seller is left for the next.
    let (_, read) = sellers(
        r#"{"sellers":[{"seller_id":"a","seller_type":"BOTH","domain":"a.com","is_confidential":1,"is_passthrough":1},
            {"seller_id":"b"}, {"domain":"c.com"}, {"seller_id":"a"}]}"#,
    );
    assert_eq!(read, ["a Both a.com confidential passthrough", "b - -", "a - -"]);
}

#[test]
fn what_names_nobody_is_skipped_with_its_index() {
    let entries = [
        "{}",
        "null",
        "7",
        "-7",
        "7.5",
        "true",
        "\"a\"",
        "[{\"seller_id\":\"x\"}]",
        r#"{"seller_id":""}"#,
        r#"{"seller_id":null}"#,
        r#"{"seller_id":["a"]}"#,
        r#"{"seller_id":123456789012345678901234}"#,
    ];
    let objects = |entry: &str| entry.starts_with('{');
    let list = entries.join(",\n\r\n  ");
    let (summary, read) =
        sellers(&format!("{{\"sellers\":[\n{{\"seller_id\":\"a\"}}\n,{list},{{\"seller_id\":\"b\"}}]}}"));
    let summary = summary.unwrap();
    assert_eq!((read.len(), summary.sellers, summary.unnamed), (2, 2, 12));
    for (place, (entry, skipped)) in entries.iter().zip(&summary.skipped).enumerate() {
        let reason = if objects(entry) { sellers_json::Reason::NoSellerId } else { sellers_json::Reason::NoObject };
        assert_eq!((skipped.index, skipped.reason), (1 + place as u64, reason), "{entry}");
        // The first stands on the third line, each of the others two lines below the one before.
        assert_eq!(skipped.line, 3 + 2 * place as u64, "{entry}");
    }
    // It is the line on which an entry begins, not those of its fields.
    let (summary, _) = sellers("{\"sellers\":\n\n[ {\n\"name\":\n\"a\"}\n,\n[\n]]}");
    let lines: Vec<u64> = summary.unwrap().skipped.iter().map(|skipped| skipped.line).collect();
    assert_eq!(lines, [3, 7]);
}

#[test]
fn what_is_no_sellers_json_is_an_error_with_its_place() {
    let cases = [
        ("", "line 1, column 0: EOF while parsing a value"),
        ("<!DOCTYPE html>", "line 1, column 1: expected value"),
        ("[]", "an object with a list `sellers`"),
        (r#"{"version":"1.0"}"#, "there is no list `sellers`"),
        (r#"{"sellers":null}"#, "a list `sellers`"),
        ("{\"sellers\":[{\"seller_id\":\"a\"},\n{\"seller_id\":", "line 2, column 13: EOF while parsing a value"),
        ("{\"sellers\":[{\"seller_id\":\"a\"},\n\n  {\"seller_id\":'b'}]}", "line 3, column 16: expected value"),
        (r#"{"sellers":[{"seller_id":"a"}"#, "EOF while parsing a list"),
        (r#"{"sellers":[]} and more"#, "trailing characters"),
        ("{\"sellers\":[{\"seller_id\":\"a\"},]}", "line 1, column 31: trailing comma"),
    ];
    for (text, said) in cases {
        let error = sellers(text).0.unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{text}: {error}");
    }
}

#[test]
fn texts_and_nesting_are_bounded_wherever_they_stand() {
    let nested = |open: &str, close: &str, levels: usize| format!("{}7{}", open.repeat(levels), close.repeat(levels));
    // The document, its list and the entry are three levels; a text's first quotation mark counts with it.
    let (text, depth) = (SELLERS_JSON_TEXT - 1, SELLERS_JSON_DEPTH - 3);
    let texts = [0, 1]
        .map(|more| [format!("\"{}\"", "a".repeat(text + more)), format!("\"{}b\"", "\\n".repeat(text / 2 + more))]);
    let deep = [0, 1].map(|more| [nested("[", "]", depth + more), nested("{\"a\":", "}", depth + more)]);
    for place in ["seller_id", "name", "ext", "is_confidential"] {
        for (more, values) in texts.iter().zip(&deep).map(|(texts, deep)| texts.iter().chain(deep)).enumerate() {
            for value in values {
                let inside = sellers(&format!(r#"{{"sellers":[{{"{place}":{value}}}]}}"#)).0;
                let read = inside.map_err(|error| error.to_string());
                assert_eq!(read.is_ok(), more == 0, "{place} {value:.20} {more}: {read:?}");
                let told = ["a text that is too long", "nested too deep"];
                assert!(
                    read.as_ref().err().is_none_or(|error| told.iter().any(|told| error.ends_with(told))),
                    "{place}: {read:?}"
                );
            }
        }
    }
    // What stands in a text is no nesting, and many short texts are no long one.
    assert!(sellers(&format!(r#"{{"a":"\"{}","sellers":[]}}"#, "[{".repeat(1000))).0.is_ok());
    assert!(sellers(&format!(r#"{{"a":[{}1],"sellers":[]}}"#, r#""abc","#.repeat(SELLERS_JSON_TEXT))).0.is_ok());
    assert!(sellers(&format!(r#"{{"a":{}1,"sellers":[]}}"#, " ".repeat(2 * SELLERS_JSON_TEXT))).0.is_ok());
}

/// A document of sellers, with what `serde_json` makes of each.
fn listed() -> impl Strategy<Value = Value> {
    let id = prop_oneof![Just(json!("a")), Just(json!(7)), Just(json!("")), Just(json!(null)), Just(json!(" b "))];
    let seller_type = prop::sample::select(vec![json!("publisher"), json!("BOTH"), json!("x"), json!(1), json!(null)]);
    let flag = prop::sample::select(vec![json!(0), json!(1), json!("1"), json!(true), json!(false), json!([])]);
    let domain = prop::sample::select(vec![json!("a.com"), json!(""), json!(null), json!({})]);
    let seller = (id, seller_type, flag.clone(), flag, domain).prop_map(
        |(id, seller_type, confidential, passthrough, domain)| {
            json!({ "seller_id": id, "seller_type": seller_type, "is_confidential": confidential,
            "is_passthrough": passthrough, "domain": domain })
        },
    );
    prop_oneof![8 => seller, 1 => Just(json!({})), 1 => Just(json!([1]))]
}

proptest! {
    /// The stream says what the document says when it is read as a whole.
    #[test]
    fn the_stream_says_what_the_document_says(list in prop::collection::vec(listed(), 0..12), pretty: bool, bom: bool) {
        let document = json!({ "contact_email": "a@b", "sellers": list, "version": 1.0, "ext": { "sellers": [{}] } });
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let (summary, read) = sellers(&format!("{}{text}", if bom { "\u{feff}" } else { "" }));
        let summary = summary.unwrap();
        let text = |value: &Value| match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => String::new(),
        };
        let set = |value: &Value| ["1", "true"].contains(&text(value).as_str());
        let expected: Vec<String> = list.iter().filter(|seller| !text(&seller["seller_id"]).is_empty()).map(|seller| {
            let seller_type = match text(&seller["seller_type"]).to_uppercase().as_str() {
                "PUBLISHER" => "Publisher",
                "BOTH" => "Both",
                _ => "-",
            };
            let domain = text(&seller["domain"]);
            let flags = [(" confidential", &seller["is_confidential"]), (" passthrough", &seller["is_passthrough"])];
            let flags: String = flags.iter().filter(|(_, value)| set(value)).map(|(name, _)| *name).collect();
            format!("{} {seller_type} {}{flags}", text(&seller["seller_id"]), if domain.is_empty() { "-" } else { &domain })
        }).collect();
        prop_assert_eq!(summary.sellers as usize, expected.len());
        prop_assert_eq!(summary.unnamed as usize, list.len() - expected.len());
        prop_assert_eq!(read, expected);
        prop_assert_eq!((summary.version.as_deref(), summary.contact_email.as_deref()), (Some("1.0"), Some("a@b")));
    }
}

#[test]
fn a_seller_type_is_one_of_three() {
    let mut types = Vec::new();
    let text = r#"{"sellers":[{"seller_id":1,"seller_type":"PUBLISHER"},{"seller_id":2,"seller_type":"Intermediary"},
        {"seller_id":3,"seller_type":"both"},{"seller_id":4}]}"#;
    sellers_json::read_from(text.as_bytes(), |seller| types.push(seller.seller_type)).unwrap();
    assert_eq!(types, [Some(SellerType::Publisher), Some(SellerType::Intermediary), Some(SellerType::Both), None]);
}

fn parse(kind: &str, content: &[u8]) -> (Option<i32>, Option<Value>, String) {
    let folder = Folder::new("supply-parse");
    std::fs::write(folder.path("file"), content).unwrap();
    let (code, stdout, stderr) = run(&["supply", "parse", "--kind", kind, &folder.text("file"), "--json"]);
    assert!(stderr.lines().count() <= 1, "{stderr}");
    (code, serde_json::from_str(&stdout).ok(), stderr)
}

#[test]
fn the_command_reports_a_file() {
    let text = "\u{feff}# ours\r\na.com, 1, DIRECT\r\na.com, 1, direct\r\nplaceholder.example.com, placeholder, DIRECT, placeholder\r\n\
        b.com, 2, DIRCT\r\nContact=x@y\r\nsubdomain=a.p.com\r\nSubDomain=b.p.com\r\nnonsense";
    for kind in ["ads.txt", "app-ads.txt"] {
        let (code, report, stderr) = parse(kind, text.as_bytes());
        let report = report.unwrap();
        assert_eq!((code, stderr.as_str(), &report["records"]), (Some(0), "", &json!(3)));
        assert_eq!(report["variables"], json!({ "CONTACT": "x@y", "SUBDOMAIN": ["a.p.com", "b.p.com"] }));
        let skipped: Vec<_> = report["skipped"].as_array().unwrap().iter().map(|skipped| &skipped["line"]).collect();
        assert_eq!(skipped, [5, 9]);
        assert!(report["skipped"][0]["reason"].as_str().unwrap().contains("DIRECT"));
    }
    let (code, report, _) = parse("sellers.json", br#"{"version":"1.0","sellers":[{"seller_id":1},{}]}"#);
    let report = report.unwrap();
    assert_eq!((code, &report["records"]), (Some(0), &json!(1)));
    assert_eq!(report["variables"], json!({ "version": "1.0" }));
    assert_eq!(report["skipped"], json!([{ "line": 1, "index": 1, "reason": "no seller_id" }]));
}

#[test]
fn the_command_reads_standard_input() {
    for (kind, text) in [("sellers.json", r#"{"sellers":[{"seller_id":1}]}"#), ("ads.txt", "a.com, 1, DIRECT")] {
        let mut child = corebid()
            .args(["supply", "parse", "--kind", kind, "-", "--json"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &report["records"]), (Some(0), &json!(1)), "{kind}");
    }
}

#[test]
fn the_command_refuses_in_one_line() {
    let (code, report, stderr) = parse("ads.txt", b"<!doctype html><p>Not found");
    assert_eq!((code, &report.unwrap()["records"]), (Some(1), &json!(0)));
    assert!(stderr.contains("HTML"), "{stderr}");
    let (code, report, stderr) = parse("sellers.json", b"{\"sellers\":[\n{\"seller_id\":}]}");
    let report = report.unwrap();
    assert_eq!((code, &report["records"]), (Some(1), &json!(0)));
    assert_eq!(report["refused"], "line 2, column 14: expected value");
    assert!(stderr.contains("file: line 2, column 14: expected value"), "{stderr}");
    let (code, stdout, _) = run(&["supply", "parse", "--kind", "sellers.json", "/nowhere/s.json", "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert!(code == Some(1) && report["error"].as_str().unwrap().contains("/nowhere/s.json: cannot read it"));
    let (code, _, stderr) = run(&["supply", "parse", "--kind", "ads.txt", "/nowhere/ads.txt"]);
    assert!(code == Some(1) && stderr.contains("/nowhere/ads.txt: cannot read it"), "{stderr}");
    assert_eq!(run(&["supply", "parse", "--kind", "ads", "/nowhere/ads.txt"]).0, Some(2));
}

#[test]
fn the_command_reads_long_files_for_people_too() {
    let folder = Folder::new("supply-long");
    let text: String =
        (0..20_000).map(|number| format!("ssp{}.com, {number}, RESELLER, abc\nbad line\n", number % 50)).collect();
    std::fs::write(folder.path("ads.txt"), text).unwrap();
    let (code, stdout, _) = run(&["supply", "parse", "--kind", "ads.txt", &folder.text("ads.txt")]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("records: 20000\nskipped: 20000\n  line 2: neither"), "{}", &stdout[..100]);
    assert_eq!(Reason::FewFields.label(), "neither three fields between commas nor NAME=VALUE");
}

/// A site's request of two nodes, its files, and what is asked of them.
struct Trial {
    folder: Folder,
    request: Value,
}

impl Trial {
    fn new() -> Trial {
        let folder = Folder::new("supply-check");
        folder.write("x.json", r#"{"sellers":[{"seller_id":"1","seller_type":"PUBLISHER","domain":"p.com"}]}"#);
        folder.write("y.json", r#"{"sellers":[{"seller_id":"7","seller_type":"INTERMEDIARY","domain":"x.com"}]}"#);
        folder.write("ads.txt", "x.com, 1, DIRECT\ny.com, 7, RESELLER\n");
        let nodes = json!([{ "asi": "x.com", "sid": "1", "hp": 1 }, { "asi": "y.com", "sid": "7", "hp": 1 }]);
        let request = json!({ "id": "r", "imp": [{ "id": "1", "banner": {} }], "site": { "domain": "www.P.com" },
            "source": { "schain": { "ver": "1.0", "complete": 1, "nodes": nodes } } });
        Trial { folder, request }
    }

    /// The command on these arguments; `@` stands for the folder.
    #[track_caller]
    fn run(&self, arguments: &str) -> (Option<i32>, String, String) {
        self.folder.write("request.json", self.request.to_string());
        let arguments =
            format!("supply check --request @/request.json {arguments}").replace("@/", &self.folder.text(""));
        run(&arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// Exit code, verdict, reason and code with all its files.
    #[track_caller]
    fn check(&self, more: &str) -> (i32, String, String, Value) {
        let files = "--sellers-json x.com=@/x.json Y.com=@/y.json --sender y.com";
        let ads_txt = if more.contains("--ads-txt") { "" } else { "--ads-txt @/ads.txt" };
        let (code, stdout, stderr) = self.run(&format!("{files} {ads_txt} --json {more}"));
        let said: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        let text = |key: &str| said[key].as_str().unwrap().to_owned();
        (code.unwrap(), text("verdict"), text("reason"), said["nbr"].clone())
    }
}

#[track_caller]
fn assert_check(trial: &Trial, more: &str, verdict: &str, reason: &str, nbr: Option<u16>) {
    let code = i32::from(verdict != "pass");
    assert_eq!(trial.check(more), (code, verdict.to_owned(), reason.to_owned(), json!(nbr)), "{more}");
}

#[test]
fn a_path_is_checked_against_the_files_at_hand() {
    let mut trial = Trial::new();
    assert_check(&trial, "", "pass", "verified", None);
    assert_check(&trial, "--ads-txt 404", "pass", "undeclared", None);
    trial.folder.write("none.txt", "placeholder.example.com, placeholder, DIRECT, placeholder\n");
    assert_check(&trial, "--ads-txt @/none.txt", "fail", "unauthorized", Some(12));
    trial.folder.write("page.txt", "<!doctype html>");
    assert_check(&trial, "--ads-txt @/page.txt", "unknown", "no_ads_txt", Some(11));
    assert_check(&trial, "--ads-txt @/page.txt --policy prefer", "pass", "no_ads_txt", None);
    // Servers send an empty file for what they do not have; a publisher who authorizes nobody writes the placeholder.
    for nothing in ["", "# none\n", "error=404\n"] {
        trial.folder.write("none.txt", nothing);
        assert_check(&trial, "--ads-txt @/none.txt", "unknown", "no_ads_txt", Some(11));
    }
    trial.folder.write("y.json", "{\"sellers\":[{\"seller_id\":\"7\"");
    assert_check(&trial, "", "unknown", "no_sellers_json", Some(17));
    trial.folder.write("y.json", r#"{"sellers":[{"seller_id":"7","seller_type":"INTERMEDIARY","domain":"z.com"}]}"#);
    assert_check(&trial, "", "fail", "wrong_seller_domain", Some(17));
    trial.folder.write("y.json", r#"{"sellers":[{"seller_id":"8","seller_type":"INTERMEDIARY","domain":"x.com"}]}"#);
    assert_check(&trial, "", "fail", "unknown_seller", Some(17));
    trial.request["source"]["schain"]["complete"] = json!(0);
    // What is proven comes first.
    assert_check(&trial, "", "fail", "unknown_seller", Some(17));
    trial.folder.write("y.json", r#"{"sellers":[{"seller_id":"7","seller_type":"INTERMEDIARY","domain":"x.com"}]}"#);
    assert_check(&trial, "", "fail", "incomplete", Some(16));
    trial.request["source"] = json!({});
    assert_check(&trial, "", "fail", "no_chain", Some(16));
}

#[test]
fn the_chain_may_stand_in_three_places_and_the_exchange_at_its_end() {
    let mut trial = Trial::new();
    let chain = trial.request["source"]["schain"].take();
    trial.request["source"] = json!({ "ext": { "schain": chain.clone() } });
    assert_check(&trial, "", "pass", "verified", None);
    trial.request["source"] = json!({});
    trial.request["ext"] = json!({ "schain": chain });
    assert_check(&trial, "", "pass", "verified", None);
    let (code, stdout, stderr) = trial.run("--sender x.com --ads-txt @/ads.txt");
    assert_eq!((code, stdout.as_str()), (Some(1), "fail: not_the_sender (nbr 16)\n"));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn an_app_a_partner_and_a_manager_have_their_files_too() {
    let trial = Trial::new();
    // A partner that the publisher's file names sells the second node's part.
    trial.folder.write("ads.txt", "x.com, 1, DIRECT\nINVENTORYPARTNERDOMAIN=q.com\n");
    trial.folder.write("partner.txt", "y.com, 7, RESELLER\n");
    assert_check(&trial, "--partner-ads-txt q.com=@/partner.txt", "pass", "verified", None);
    assert_check(&trial, "--partner-ads-txt z.com=@/partner.txt", "unknown", "no_ads_txt", Some(11));
    // A manager, in one country.
    let trial = &mut Trial::new();
    trial.folder.write("x.json", r#"{"sellers":[{"seller_id":"1","seller_type":"INTERMEDIARY","domain":"m.com"}]}"#);
    trial.folder.write("ads.txt", "x.com, 1, RESELLER\ny.com, 7, RESELLER\nmanagerdomain=M.com, US\n");
    assert_check(trial, "", "fail", "wrong_seller_type", Some(17));
    trial.request["device"] = json!({ "geo": { "country": "USA" } });
    assert_check(trial, "", "pass", "verified", None);
    trial.request["device"] = json!({ "geo": { "country": "DEU" } });
    assert_check(trial, "", "fail", "wrong_seller_type", Some(17));
    // An app, by the domain of its developer.
    let trial = &mut Trial::new();
    trial.request.as_object_mut().unwrap().remove("site");
    trial.request["app"] = json!({ "bundle": "com.p.app", "domain": "p.com" });
    assert_check(trial, "", "pass", "verified", None);
    trial.request["app"] = json!({ "bundle": "com.p.app", "publisher": { "domain": "p.com" } });
    assert_check(trial, "", "pass", "verified", None);
    // Its developer's host, by the rule of app-ads.txt, and a partner's ads.txt.
    trial.request["app"] = json!({ "bundle": "com.p.app", "domain": "https://www.p.com/games" });
    trial.folder.write("ads.txt", "x.com, 1, DIRECT\nINVENTORYPARTNERDOMAIN=q.com\n");
    trial.folder.write("partner.txt", "y.com, 7, RESELLER\n");
    assert_check(trial, "--partner-ads-txt q.com=@/partner.txt", "pass", "verified", None);
}

#[test]
fn a_subdomain_has_the_file_of_its_root() {
    let mut trial = Trial::new();
    trial.request["site"] = json!({ "domain": "news.P.com" });
    assert_check(&trial, "", "pass", "verified", None);
    // Unless that refers to another: then it is another that is wanted.
    trial.folder.write("ads.txt", "x.com, 1, DIRECT\ny.com, 7, RESELLER\nSUBDOMAIN=news.p.com\n");
    assert_check(&trial, "", "unknown", "no_ads_txt", Some(11));
    trial.folder.write("ads.txt", "x.com, 1, DIRECT\ny.com, 7, RESELLER\nOWNERDOMAIN=p.com\n");
    assert_check(&trial, "--domain news.p.com", "pass", "verified", None);
    trial.folder.write("ads.txt", "x.com, 1, DIRECT\n");
    assert_check(&trial, "--domain news.p.com", "fail", "unauthorized", Some(12));
}

#[test]
fn who_owns_what_nobody_knows_the_place_of_is_not_asked() {
    let site = json!({ "domain": "10.0.0.1" });
    for (channel, what) in
        [("app", json!({ "bundle": "com.p.app" })), ("app", json!({})), ("site", json!({})), ("site", site)]
    {
        let mut trial = Trial::new();
        trial.request.as_object_mut().unwrap().remove("site");
        trial.request[channel] = what;
        assert_check(&trial, "", "pass", "verified", None);
        assert_check(&trial, "--ads-txt 404", "pass", "undeclared", None);
        assert_check(&trial, "--domain p.com", "pass", "verified", None);
        assert_check(&trial, "--domain q.com", "fail", "wrong_seller_domain", Some(17));
        // Who says that it is somebody else's is believed, and who may sell is in the file anyway.
        trial.folder.write("ads.txt", "x.com, 1, DIRECT\ny.com, 7, RESELLER\nOWNERDOMAIN=q.com\n");
        assert_check(&trial, "", "fail", "wrong_seller_domain", Some(17));
        trial.folder.write("ads.txt", "x.com, 1, DIRECT\n");
        assert_check(&trial, "", "fail", "unauthorized", Some(12));
    }
    // An app without a bundle may yet say where its file stands.
    let mut trial = Trial::new();
    trial.request.as_object_mut().unwrap().remove("site");
    for (domain, verdict, reason, nbr) in
        [("p.com", "pass", "verified", None), ("q.com", "fail", "wrong_seller_domain", Some(17))]
    {
        trial.request["app"] = json!({ "domain": domain });
        assert_check(&trial, "", verdict, reason, nbr);
    }
}

#[test]
fn the_check_is_refused_in_one_line() {
    let mut trial = Trial::new();
    let cases = [
        ("--sender y.com --sellers-json x.com", 2),
        ("--sender y.com --sellers-json =@/x.json", 2),
        ("--sender y.com --policy off", 2),
        ("--ads-txt 404", 2),
        ("--sender y.com --ads-txt @/ads.txt --domain co.uk", 2),
        ("--sender y.com --sellers-json x.com=@/x.json www.X.com.=@/y.json", 2),
        ("--sender y.com --partner-ads-txt q.com=@/ads.txt --partner-ads-txt Q.com=@/ads.txt", 2),
        ("--sender y.com --ads-txt @/ads.txt --partner-ads-txt p.com=@/ads.txt", 2),
        ("--sender y.com --ads-txt @/missing.txt", 1),
        ("--sender y.com --sellers-json x.com=@/missing.json", 1),
    ];
    for (arguments, code) in cases {
        let (ended, stdout, stderr) = trial.run(arguments);
        assert_eq!((ended, stdout.as_str()), (Some(code), ""), "{arguments}");
        assert!(code == 2 || stderr.lines().count() == 1 && stderr.contains("missing."), "{stderr}");
    }
    trial.request = json!({ "imp": [] });
    let (code, _, stderr) = trial.run("--sender y.com --ads-txt 404");
    assert!(code == Some(1) && stderr.contains("request.json: not a BidRequest"), "{stderr}");
    // Who reads JSON gets some.
    let (code, stdout, stderr) = trial.run("--sender y.com --ads-txt 404 --json");
    let said: Value = serde_json::from_str(&stdout).unwrap();
    assert!(code == Some(1) && said["error"].as_str().unwrap().ends_with("request.json: not a BidRequest"), "{stdout}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

/// `cargo test --release --test supply_files -- --ignored --nocapture`: a gigabyte of each, in MB/s.
#[test]
#[ignore = "it measures, and takes a while in a debug build"]
#[allow(clippy::disallowed_methods, reason = "it measures")]
fn speed() {
    let mebibytes: usize = std::env::var("MEBIBYTES").map_or(1024, |size| size.parse().unwrap());
    let repeat = |sample: String| sample.repeat((mebibytes << 20) / sample.len());
    let print = |name: &str, bytes: usize, count: u64, begun: Instant| {
        let seconds = begun.elapsed().as_secs_f64();
        println!("{name}: {count} in {} MB, {:.0} MB/s", bytes / 1_000_000, bytes as f64 / 1e6 / seconds);
    };
    let text = repeat(
        (0..1000).map(|id| format!("ssp{}.com, pub-{id}000, RESELLER, f08c47fec0942fa0 # {id}\n", id % 50)).collect(),
    );
    let begun = Instant::now();
    let records = ads_txt::lines(text.as_bytes()).filter(|line| matches!(line, Line::Record(_))).count();
    print("ads.txt", text.len(), records as u64, begun);
    let seller = |id| {
        format!(r#"{{"seller_id":"{id}","name":"Publisher {id}","domain":"p{id}.com","seller_type":"PUBLISHER"}},"#)
    };
    let text = format!(r#"{{"version":"1.0","sellers":[{}{{}}]}}"#, repeat((0..1000).map(seller).collect()));
    let begun = Instant::now();
    let summary = sellers_json::read_from(BufReader::with_capacity(1 << 16, text.as_bytes()), |_| {}).unwrap();
    print("sellers.json", text.len(), summary.sellers, begun);
}
