//! Streams and documents that are not what they should be, one after the other against a running bidder: each is answered as
//! docs/HOSTILE.md says, and a connection beside it is answered all the while.

use std::io::Write as _;
use std::time::Duration;

use corebid::limits;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::on_both;
use crate::support::client::http;
use crate::support::process::Bidder;
use crate::support::{Folder, request};
use crate::witness::Witness;

on_both! { streams_are_answered_and_closed documents_are_answered_and_the_connection_stays }

/// What must come back for a stream: the statuses in order, and that the connection is then closed.
type Stream = (&'static str, Vec<u8>, &'static [u16]);

fn stream(name: &'static str, bytes: impl AsRef<[u8]>, statuses: &'static [u16]) -> Stream {
    (name, bytes.as_ref().to_vec(), statuses)
}

/// A POST with these fields and what follows them; behind it stands a request that must never be answered.
fn post(fields: &str, rest: &str) -> Vec<u8> {
    format!("POST /openrtb/generic HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{rest}GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
        .into_bytes()
}

fn chunked(rest: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked", rest)
}

fn streams() -> Vec<Stream> {
    let long = "y".repeat(limits::HEAD_BYTES);
    vec![
        // Two readers could see the body end in different places (RFC 9112, 6.3 and 11.2).
        stream("CL.TE", post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), &[400]),
        stream("TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"), &[400]),
        stream("TE.TE", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"), &[400]),
        stream("TE twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), &[400]),
        stream("TE list", post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), &[400]),
        stream("TE not last", post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"), &[400]),
        stream("TE unknown", post("Transfer-Encoding: xchunked", "0\r\n\r\n"), &[400]),
        stream("TE quoted", post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n"), &[400]),
        stream("TE vertical tab", post("Transfer-Encoding: \u{b}chunked", "0\r\n\r\n"), &[400]),
        stream("TE space before the colon", post("Transfer-Encoding : chunked", "0\r\n\r\n"), &[400]),
        stream("TE in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[400]),
        stream("CL twice", post("Content-Length: 5\r\nContent-Length: 5", "hello"), &[400]),
        stream("CL twice, different", post("Content-Length: 5\r\nContent-Length: 0", "hello"), &[400]),
        stream("CL list", post("Content-Length: 5, 5", "hello"), &[400]),
        stream("CL signed", post("Content-Length: +5", "hello"), &[400]),
        stream("CL negative", post("Content-Length: -1", ""), &[400]),
        stream("CL in hexadecimal", post("Content-Length: 0x5", "hello"), &[400]),
        stream("CL in two words", post("Content-Length: 5 5", "hello"), &[400]),
        stream("CL empty", post("Content-Length:", ""), &[400]),
        stream("CL beyond 64 bits", post("Content-Length: 18446744073709551621", "hello"), &[400]),
        stream("CL that wraps", post("Content-Length: 9223372036854775807", ""), &[413]),
        stream("CL above the limit", post(&format!("Content-Length: {}", limits::BODY_BYTES + 1), ""), &[413]),
        // Less than what comes: what is behind the body is another request, and none that HTTP knows.
        stream("CL too small", post("Content-Length: 1", "{}\r\n\r\n"), &[400, 400]),
        // Lines (RFC 9112, 2.2, 5.1 and 5.2).
        stream("folded line", post("X: a\r\n b", ""), &[400]),
        stream("folded length", post("Content-Length:\r\n 5", "hello"), &[400]),
        stream("bare LF", b"GET /ready HTTP/1.1\nHost: a\n\n", &[400]),
        stream("bare LF between fields", post("X: a\nContent-Length: 5", "hello"), &[400]),
        stream("bare CR", post("X: a\rContent-Length: 5", "hello"), &[400]),
        stream("NUL in a value", post("X: a\0b", ""), &[400]),
        stream("NUL in a name", post("X\0: a", ""), &[400]),
        stream("no colon", post("X", ""), &[400]),
        stream("no name", post(": a", ""), &[400]),
        stream("name in UTF-8", post("Content-L\u{e9}ngth: 5", ""), &[400]),
        stream("Host twice", post("Host: b", ""), &[400]),
        stream("space before the method", b" GET / HTTP/1.1\r\n\r\n", &[400]),
        stream("space in the target", b"GET /a b HTTP/1.1\r\n\r\n", &[400]),
        stream("NUL in the target", b"GET /\0 HTTP/1.1\r\n\r\n", &[400]),
        stream("authority form", b"CONNECT a:80 HTTP/1.1\r\n\r\n", &[400]),
        stream("no version", b"GET /\r\n\r\n", &[400]),
        stream("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[505]),
        stream("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &[400]),
        stream("empty lines", b"\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", &[400]),
        stream("unknown expectation", post("Expect: a-pony\r\nContent-Length: 2", "{}"), &[417]),
        // Floods.
        stream("65 fields", post(&vec!["X: y"; limits::HEADERS].join("\r\n"), ""), &[431]),
        stream("a long field", post(&format!("X: {long}"), ""), &[431]),
        stream("a long name", post(&format!("{long}: x"), ""), &[431]),
        stream("a long target", format!("GET /{long} HTTP/1.1\r\n\r\n"), &[431]),
        stream("a long method", format!("{long} / HTTP/1.1\r\n\r\n"), &[431]),
        stream("fields without end", format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(2_000)), &[431]),
        // Chunks (RFC 9112, 7.1).
        stream("a chunk extension flood", chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(300))), &[400]),
        stream("a control character in a chunk extension", chunked("1;a\0\r\na\r\n0\r\n\r\n"), &[400]),
        stream("a bare LF in a chunk extension", chunked("1;a\nb\r\na\r\n0\r\n\r\n"), &[400]),
        stream("a chunk size without digits", chunked(";a\r\n"), &[400]),
        stream("a negative chunk size", chunked("-1\r\n"), &[400]),
        stream("a chunk size with 0x", chunked("0x1\r\na\r\n"), &[400]),
        stream("a chunk size of 17 digits", chunked("00000000000000001\r\na\r\n0\r\n\r\n"), &[400]),
        stream("the largest chunk size", chunked("ffffffffffffffff\r\n"), &[413]),
        stream("a chunk above the limit", chunked(&format!("{:x}\r\n", limits::BODY_BYTES + 1)), &[413]),
        stream("a chunk longer than it says", chunked("1\r\nab\r\n0\r\n\r\n"), &[400]),
        stream("a chunk without its end", chunked("1\r\na0\r\n\r\n"), &[400]),
        stream("chunks of one byte", chunked(&"1\r\na\r\n".repeat(limits::BODY_BYTES / 4)), &[413]),
        stream("a flood of trailers", chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(65))), &[431]),
        stream("a long trailer", chunked(&format!("0\r\nX: {long}\r\n\r\n")), &[431]),
        stream("a folded trailer", chunked("0\r\nX: y\r\n z\r\n\r\n"), &[400]),
        stream(
            "a length in the trailers",
            {
                // Trailers frame nothing: the next request is where the chunks end, and it is answered.
                let mut bytes = chunked("0\r\nContent-Length: 5\r\n\r\n");
                bytes.extend_from_slice(b"\0");
                bytes
            },
            &[400, 200, 400],
        ),
    ]
}

fn streams_are_answered_and_closed(backend: &str) {
    let folder = Folder::new("streams");
    let bidder = Bidder::demo(&folder.text("data"), backend);
    let witness = Witness::begin(bidder.address);
    for (name, bytes, statuses) in streams() {
        let mut client = bidder.client();
        // It may be answered and closed before all of it is sent.
        let _ = client.send(&bytes);
        for &status in statuses {
            let answer = client.answer().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(answer.status, status, "{name}: {answer:?}");
            assert!(answer.status == 200 || answer.body.is_empty(), "{name}: {answer:?}");
        }
        let more = client.answer();
        assert!(more.is_err(), "{name}: {more:?}");
    }
    let seen = witness.end();
    println!("{backend}: beside them {seen:?}");
    bidder.stop();
}

/// What must come back for a document: any of these statuses. The connection stays.
type Document = (&'static str, &'static str, Vec<u8>, &'static [u16]);

fn document(name: &'static str, bytes: impl AsRef<[u8]>, statuses: &'static [u16]) -> Document {
    (name, "", bytes.as_ref().to_vec(), statuses)
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn gzip(name: &'static str, bytes: Vec<u8>, statuses: &'static [u16]) -> Document {
    (name, "Content-Encoding: gzip\r\n", bytes, statuses)
}

/// A good request with these further members.
fn with(more: &str) -> Vec<u8> {
    request("h", &format!(",{more}"))
}

/// What a good request may get: a bid, or none because it came to a busy machine too late.
const GOOD: &[u16] = &[200, 204];

fn documents() -> Vec<Document> {
    let good = request("h", "");
    let text = String::from_utf8(good.clone()).unwrap();
    let nested = |depth: usize| format!("\"ext\":{}{}", "[".repeat(depth), "]".repeat(depth));
    let bomb = packed(&vec![b' '; 64 * limits::BODY_BYTES]);
    let mut damaged = packed(&good);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let whole = packed(&good);
    vec![
        document("nothing", "", &[400]),
        document("white space", " \r\n\t", &[400]),
        document("white space up to the limit", " ".repeat(limits::BODY_BYTES), &[400]),
        document("a good document after white space", format!("{}{text}", " ".repeat(500_000)), GOOD),
        document("half a document", &good[..good.len() / 2], &[400]),
        document("two documents", format!("{text}{text}"), &[400]),
        document("a byte order mark", format!("\u{feff}{text}"), &[400]),
        document("as deep as is read", with(&nested(limits::JSON_DEPTH - 1)), GOOD),
        document("one deeper", with(&nested(limits::JSON_DEPTH)), &[400]),
        document("deep without end", "[".repeat(limits::BODY_BYTES), &[400]),
        document("deep objects", "{\"a\":".repeat(200_000), &[400]),
        document("brackets that do not match", with("\"ext\":[}"), &[400]),
        document("a number of 1,000 digits", with(&format!("\"ext\":{}", "9".repeat(1_000))), GOOD),
        document("a number of a million digits", with(&format!("\"ext\":{}", "9".repeat(1_000_000))), GOOD),
        document("a huge exponent", with("\"ext\":1e999999999"), GOOD),
        document("a tmax beyond 64 bits", with("\"tmax\":99999999999999999999999"), GOOD),
        document("a negative tmax", with("\"tmax\":-9223372036854775809"), GOOD),
        document("a floor beyond all money", text.replace("0.01", "1e308"), &[204]),
        document("a floor that underflows", text.replace("0.01", "1e-999999"), GOOD),
        document("a width beyond 64 bits", text.replace("\"w\":300", "\"w\":18446744073709551916"), &[204]),
        document("a leading zero", with("\"ext\":01"), &[400]),
        document("a plus", with("\"ext\":+1"), &[400]),
        document("not a number", with("\"ext\":NaN"), &[400]),
        document("invalid UTF-8", [&text.as_bytes()[..7], b"\xff\xfe", &text.as_bytes()[7..]].concat(), &[400]),
        document("overlong UTF-8", [&text.as_bytes()[..7], b"\xc0\xaf", &text.as_bytes()[7..]].concat(), &[400]),
        document(
            "a surrogate in UTF-8",
            [&text.as_bytes()[..7], b"\xed\xa0\x80", &text.as_bytes()[7..]].concat(),
            &[400],
        ),
        document("a cut character", [&text.as_bytes()[..7], b"\xe2\x82", &text.as_bytes()[7..]].concat(), &[400]),
        document("NUL in a string", text.replace("news.example", "news\0example"), &[400]),
        document("NUL outside", format!("{text}\0"), &[400]),
        document("an escaped NUL", text.replace("news.example", "news\\u0000example"), GOOD),
        document("a control character in a string", text.replace("news.example", "news\nexample"), &[400]),
        document("an unknown escape", text.replace("news.example", "news\\xexample"), &[400]),
        document("half an escape", text.replace("news.example", "news\\u00"), &[400]),
        document("a million escapes", with(&format!("\"ext\":\"{}\"", "\\u0041".repeat(160_000))), GOOD),
        document("backslashes", with(&format!("\"ext\":\"{}\"", "\\\\".repeat(400_000))), GOOD),
        document("quotes", "\"".repeat(limits::BODY_BYTES), &[400]),
        document("the same key twice", text.replace("{\"id\":\"h\"", "{\"id\":\"a\",\"id\":\"h\""), GOOD),
        document("a key a hundred thousand times", with("\"ext\":1,".repeat(99_999).trim_end_matches(',')), GOOD),
        document(
            "100,000 members",
            with(&(0..60_000).map(|at| format!("\"k{at}\":1")).collect::<Vec<_>>().join(",")),
            GOOD,
        ),
        document("imp twice", text.replace("\"site\"", "\"imp\":[],\"site\""), GOOD),
        document(
            "impressions without end",
            {
                let imp = "{\"id\":\"1\",\"banner\":{\"w\":300,\"h\":250}}";
                format!("{{\"id\":\"h\",\"imp\":[{}]}}", vec![imp; 20_000].join(","))
            },
            GOOD,
        ),
        document(
            "sizes without end",
            {
                let sizes = vec!["{\"w\":1,\"h\":1}"; 50_000].join(",");
                text.replace("\"w\":300", &format!("\"format\":[{sizes}],\"w\":300"))
            },
            GOOD,
        ),
        document("no object", "[1,2,3]", &[204]),
        document("members of the wrong type", "{\"id\":[],\"imp\":{}}", &[204]),
        document(
            "an id of 900,000 bytes",
            text.replace("\"id\":\"h\"", &format!("\"id\":\"{}\"", "i".repeat(900_000))),
            GOOD,
        ),
        gzip("gzip", packed(&good), GOOD),
        gzip("a gzip bomb", bomb.clone(), &[413]),
        gzip("a bomb in a bomb", packed(&bomb), &[400]),
        gzip("a gzip without its end", whole[..whole.len() - 3].to_vec(), &[400]),
        gzip("a damaged gzip", damaged, &[400]),
        gzip("two members", [packed(&good), packed(b"{}")].concat(), &[400]),
        gzip(
            "a gzip that lies about its length",
            {
                let mut lying = packed(&good);
                let end = lying.len();
                lying[end - 4..].copy_from_slice(&[1, 0, 0, 0]);
                lying
            },
            &[400],
        ),
        gzip("no gzip", good.clone(), &[400]),
        gzip("an empty gzip", Vec::new(), &[400]),
    ]
}

fn documents_are_answered_and_the_connection_stays(backend: &str) {
    let folder = Folder::new("documents");
    let bidder = Bidder::demo(&folder.text("data"), backend);
    let witness = Witness::begin(bidder.address);
    let mut client = bidder.client();
    for (name, fields, body, statuses) in documents() {
        // What is read too late on a busy machine is not looked into, and asked again.
        let fields = format!("x-debug: 1\r\n{fields}");
        let mut tries = 0;
        let answer = loop {
            tries += 1;
            let sent = client.send(&http("POST", "/openrtb/generic", &fields, &body));
            let answer = sent.and_then(|()| client.answer()).unwrap_or_else(|error| panic!("{name}: {error}"));
            if tries == 100 || !matches!(answer.reason(), Some("shed" | "stalled" | "no_lease")) {
                break answer;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(
            statuses.contains(&answer.status) && !answer.closes(),
            "{name}: {} {:?}",
            answer.status,
            answer.reason()
        );
        assert_eq!(client.get("/ready").status, 200, "{name}");
    }
    let seen = witness.end();
    println!("{backend}: beside them {seen:?}");
    bidder.stop();
}
