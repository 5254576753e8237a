use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::market::corpus;

fn redactor() -> Redactor {
    Redactor::new(64 * 1024, Pseudonyms::random().unwrap())
}

/// Where two documents differ, as JSON pointers. A name that is another is told as its place.
fn differences(one: &Value, other: &Value, at: &str, found: &mut BTreeSet<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.len() == other.len() => {
            for ((name, value), (other_name, other_value)) in one.iter().zip(other) {
                if name != other_name {
                    found.insert(format!("{at}/<name>"));
                }
                differences(value, other_value, &format!("{at}/{name}"), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (value, other)) in one.iter().zip(other).enumerate() {
                differences(value, other, &format!("{at}/{index}"), found);
            }
        }
        _ if one == other => {}
        _ => {
            found.insert(at.to_owned());
        }
    }
}

fn redacted(document: &str) -> (String, BTreeSet<String>) {
    let mut bytes = document.as_bytes().to_vec();
    redactor().redact(&mut bytes).unwrap();
    assert_eq!(bytes.len(), document.len());
    let after = String::from_utf8(bytes).unwrap();
    let mut found = BTreeSet::new();
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    differences(&read(document), &read(&after), "", &mut found);
    (after, found)
}

/// Every value that holds `SENTINEL`, in letters or in digits, identifies.
const DOCUMENT: &str = r#"{
  "id": "SENTINEL-auction-1", "tmax": 100, "cur": ["USD"], "imp": [{"id": "1", "tagid": "place-12",
    "banner": {"w": 300, "h": 250}, "ext": {"tid": "SENTINEL-tid", "gpid": "/1/home"}}],
  "site": {"domain": "news.example", "page": "https:\/\/news.example\/a?mail=SENTINEL", "ref": "https://x.example/#SENTINEL",
    "search": "SENTINEL disease", "publisher": {"id": "pub-1"}},
  "device": {"ua": "Mozilla/5.0 (X11)", "ip": "203.0.113.77", "ipv6": "2001:db8:1:2:3:4:5:6",
    "geo": {"lat": 52.520008, "lon": -13.404954, "country": "DEU", "ext": {"street": "SENTINEL"}},
    "ifa": "SENTINEL-ifa-0001", "didsha1": "SENTINELda39", "dpidmd5": "SENTINELd41d", "macsha1": "SENTINELmac", "os": {"SENTINEL": "SENTINEL"},
    "sua": {"browsers": [{"brand": "Chromium", "version": ["120", "0"], "ext": {"maker_id": "SENTINEL"}}], "platform": {"brand": "Linux"},
      "mobile": 0, "source": 2}, "language": ["en", 7, true, null], "carrier": ["network", {"n": "SENTINEL"}], "model": [["SENTINEL"]],
    "ext": {"atts": 3, "idfv": "SENTINEL-idfv", "serial": 7777777777777}},
  "user": {"id": "SENTINEL-user", "buyeruid": "SENTINEL-buyer", "customdata": "SENTINEL", "yob": 1980, "gender": "F",
    "keywords": "SENTINEL,tennis", "geo": {"lat": 48.1371, "lon": 11.5754, "zip": "80331"},
    "data": [{"id": "dmp", "segment": [{"id": "seg-7", "ext": {"who": "SENTINEL"}}], "ext": {"segtax": 4}}],
    "eids": [{"source": "id.example", "uids": [{"id": "SENTINEL-eid", "atype": 1, "ext": {"house": 7777777777}}]}],
    "consent": "CPXxRfAPXxRfAAfKABENB", "x_new": {"SENTINEL-name": ["SENTINEL", 7777777777, true, null]},
    "ext": {"eids": [{"source": "old.example", "uids": [{"id": "SENTINEL-old"}]}], "consent": "CPXx", "session": "SENTINEL",
      "ConsentedProvidersSettings": {"consented_providers": [4, 12], "who": "SENTINEL"}}},
  "regs": {"gdpr": 1, "gpp": "DBAA", "gpp_sid": [2]},
  "source": {"tid": "SENTINEL-tid", "schain": {"complete": 1, "nodes": [{"asi": "ssp.example", "sid": "1", "hp": 1, "rid": "SENTINEL-auction-1"}]}},
  "ext": {"USER_ID": "SENTINEL", "nested": [{"ifa": "SENTINEL-again", "uids": {"a": "SENTINEL"}}], "kept": "as it is",
    "device_id": "SENTINEL", "pageUrl": "https://x.example/?SENTINEL"}
}"#;

#[test]
fn what_identifies_is_gone_and_every_other_value_is_what_it_was() {
    let (after, found) = redacted(DOCUMENT);
    assert!(!after.contains("SENTINEL") && !after.contains("77777777"), "{after}");
    let expected = "/id /imp/0/ext/tid /site/page /site/ref /site/search /device/ip /device/ipv6 /device/geo/lat /device/geo/lon \
        /device/geo/ext/<name> /device/geo/ext/street /device/ifa /device/didsha1 /device/dpidmd5 /device/macsha1 /device/os/<name> /device/os/SENTINEL \
        /device/sua/browsers/0/ext/<name> /device/sua/browsers/0/ext/maker_id /device/carrier/0 /device/carrier/1/n /device/model/0/0 /device/ext/idfv /device/ext/serial \
        /user/id /user/buyeruid /user/customdata /user/keywords /user/geo/lat /user/geo/lon /user/geo/zip /user/data/0/segment/0/ext/who \
        /user/eids/0/uids/0/id /user/eids/0/uids/0/ext/<name> /user/eids/0/uids/0/ext/house /user/x_new/<name> /user/x_new/SENTINEL-name/0 \
        /user/x_new/SENTINEL-name/1 /user/ext/eids/0/uids/0/id /user/ext/session /user/ext/ConsentedProvidersSettings/who \
        /source/tid /source/schain/nodes/0/rid /ext/USER_ID /ext/nested/0/ifa \
        /ext/nested/0/uids/<name> /ext/nested/0/uids/a /ext/device_id /ext/pageUrl";
    let expected: BTreeSet<String> = expected.split_ascii_whitespace().map(str::to_owned).collect();
    // A name of one letter may become itself, and so may the end of an address, which is one of 256.
    let but_short = |set: &BTreeSet<String>| -> BTreeSet<String> {
        let is_short = |at: &str| ["uids/<name>", "carrier/1/<name>", "device/ip"].iter().any(|end| at.ends_with(end));
        set.iter().filter(|at| !is_short(at)).cloned().collect()
    };
    assert_eq!(but_short(&found), but_short(&expected));
    let read: Value = serde_json::from_str(&after).unwrap();
    assert!(read["device"]["ip"].as_str().unwrap().starts_with("203.0.113."));
    assert!(read["device"]["ipv6"].as_str().unwrap().starts_with("2001:db8:1:"));
    assert_eq!(
        (read["device"]["geo"]["lat"].as_f64(), read["device"]["geo"]["lon"].as_f64()),
        (Some(52.5), Some(-13.4))
    );
    assert!(read["site"]["page"].as_str().unwrap().starts_with("https://news.example/a?"));
    // The same auction is the same wherever it is named.
    assert_eq!(read["imp"][0]["ext"]["tid"], read["source"]["tid"]);
    assert_eq!(read["source"]["schain"]["nodes"][0]["rid"], read["id"]);
    assert_eq!(read["user"]["geo"]["zip"], "80300");
}

#[test]
fn no_spelling_of_a_request_hides_an_id() {
    for document in [
        r#"{"user":"SENTINEL"}"#,
        r#"{"user":["SENTINEL",{"id":"SENTINEL"}]}"#,
        r#"{"user":{"id":["SENTINEL"],"ID":"SENTINEL"},"user":{"id":"SENTINEL"}}"#,
        r#"{"u\u0073er":{"\u0069d":"SENTINEL"}}"#,
        r#"{"device":{"ip":"SENTINEL","ifa":{"a":["SENTINEL"]},"geo":"SENTINEL","ext":["SENTINEL"]}}"#,
        r#"{"user":{"eids":["SENTINEL"],"data":"SENTINEL","geo":{"lat":"SENTINEL"}}}"#,
        r#"{"user":{"buyeruid":"\u0053SENTINEL\"SENTINEL"}}"#,
        r#"{"site":{"page":"https://a.example/\u003fSENTINEL"}}"#,
        r#"{"ext":{"IFA":"SENTINEL","Ip":"SENTINEL"}}"#,
        r#"{"device":{"sua":"SENTINEL","os":{"id":"SENTINEL"},"geo":{"city":[{"a":"SENTINEL"}]}}}"#,
        r#"{"user":{"gender":[["SENTINEL"]],"data":[{"id":{"a":"SENTINEL"},"segment":[{"value":{"a":"SENTINEL"}}]}]}}"#,
        r#"{"site":{"geo":{"zip":["80\u0053ENTINEL",{"a":"SENTINEL"}]}},"ext":{"location":{"a":"SENTINEL"}}}"#,
        "{\"user\":{\"id\":\"S\u{f6}SENTINEL\"}}",
    ] {
        let (after, _) = redacted(document);
        assert!(!after.contains("SENTINEL"), "{document}\n{after}");
    }
}

#[test]
fn what_is_no_object_is_refused_and_left_alone() {
    for document in ["", "{", "{\"user\":{\"id\":\"a\"}", "\"SENTINEL\"", "[{\"user\":1}]", "{}x"] {
        let mut bytes = document.as_bytes().to_vec();
        assert_eq!(redactor().redact(&mut bytes), Err(Withheld::NoObject), "{document}");
        assert_eq!(bytes, document.as_bytes());
    }
}

#[test]
fn what_has_more_to_hide_than_is_remembered_is_refused_and_left_alone() {
    let of = |count: usize| format!("{{\"user\":[{}7]}}", "7,".repeat(count - 1)).into_bytes();
    let mut redactor = Redactor::new(2 * 64 * 1024, Pseudonyms::random().unwrap());
    assert_eq!(redactor.redact(&mut of(REPLACEMENTS)), Ok(()));
    let mut bytes = of(REPLACEMENTS + 1);
    assert_eq!(redactor.redact(&mut bytes), Err(Withheld::TooMuch));
    assert_eq!(bytes, of(REPLACEMENTS + 1));
}

/// Requests as exchanges send them stay JSON of the same length, and nothing but what the table says is another.
#[test]
fn of_an_exchanges_requests_little_changes() {
    for body in corpus::corpus(3, 200) {
        let text = String::from_utf8(body).unwrap();
        let (_, found) = redacted(&text);
        for at in found {
            let known = ["/id", "/user", "/device", "/source/tid", "/site/page", "/site/ref"];
            let is_known = known.iter().any(|known| at.starts_with(known)) || at.ends_with("/rid");
            assert!(is_known, "{at}\n{text}");
        }
    }
}

proptest! {
    /// Whatever the value of an id, none of its parts of six letters is left.
    #[test]
    fn no_part_of_an_id_is_left(id in "[ -~\u{e0}-\u{ff}]{6,40}") {
        prop_assume!(!id.bytes().all(|byte| matches!(byte, b'0' | b'-')));
        let document = serde_json::json!({"user": {"id": id}, "device": {"ifa": id}}).to_string();
        let (after, _) = redacted(&document);
        let read: Value = serde_json::from_str(&after).unwrap();
        let left = read["user"]["id"].as_str().unwrap();
        let letters: Vec<char> = id.chars().collect();
        for part in letters.windows(6).filter(|part| part.iter().all(char::is_ascii_alphanumeric)) {
            let part: String = part.iter().collect();
            // Six digits are drawn again once in a million times.
            prop_assert!(!left.contains(&part) || part.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id} {left}");
        }
        prop_assert_eq!(left, read["device"]["ifa"].as_str().unwrap());
    }
}
