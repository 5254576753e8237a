//! Bodies in gzip, packed by other programs; answers in gzip, unpacked by another library.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use corebid::limits::BODY_BYTES;
use corebid::market::corpus;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::support::client::{Answer, Client};
use crate::support::process::Bidder;
use crate::support::{Folder, campaign, request};

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// What `program` makes of these bytes on its standard input.
fn through(program: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?}: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program:?}");
    output.stdout
}

fn ask(client: &mut Client, fields: &str, body: &[u8]) -> Answer {
    for _ in 0..200 {
        let answer = client.ask("POST", "/openrtb/generic", &format!("x-debug: 1\r\n{fields}"), body);
        if !answer.came_late() {
            return answer;
        }
    }
    panic!("200 requests were all too late");
}

const GZIP: &str = "Content-Encoding: gzip\r\n";

fn bidder(folder: &Folder) -> Bidder {
    Bidder::demo(&folder.text("data"), "io_uring")
}

#[test]
fn a_body_in_gzip_is_answered_like_the_plain_one() {
    let folder = Folder::new("gzip");
    let bidder = bidder(&folder);
    let mut client = bidder.client();
    let mut bids = 0;
    for body in corpus::plain(3, 200).iter().chain(&corpus::large(3, 20)) {
        let (plain, unpacked) = (ask(&mut client, "", body), ask(&mut client, GZIP, &packed(body)));
        assert_eq!((plain.status, plain.reason()), (unpacked.status, unpacked.reason()));
        bids += u32::from(plain.status == 200);
    }
    assert!(bids > 50, "{bids} bids");
    let python = "import gzip,sys; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))";
    for program in [&["gzip", "-c"][..], &["gzip", "-1cn"], &["python3", "-c", python]] {
        for field in [GZIP, "content-encoding: X-GZIP\r\n"] {
            assert_eq!(ask(&mut client, field, &through(program, &request("r", ""))).status, 200, "{program:?}");
        }
    }
    assert_eq!(ask(&mut client, "Content-Encoding: identity\r\n", &request("r", "")).status, 200);
    for field in ["Content-Encoding: br\r\n", "Content-Encoding: gzip, gzip\r\n", "Content-Encoding: deflate\r\n"] {
        assert_eq!(ask(&mut client, field, &packed(&request("r", ""))).reason(), Some("encoding"), "{field}");
    }
    assert_eq!(ask(&mut client, &GZIP.repeat(2), &packed(&request("r", ""))).reason(), Some("encoding"));
    // A notice has no body that matters, and one with a coding is no worse.
    assert_eq!(client.ask("POST", "/notice/win/x", GZIP, &packed(b"{}")).status, 403);
    bidder.stop();
}

#[test]
fn a_damaged_body_is_answered_400_and_the_connection_stays() {
    let folder = Folder::new("gzip-damaged");
    let bidder = bidder(&folder);
    let mut client = bidder.client();
    let good = packed(&request("r", ""));
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        let at = if at > 100 { good.len() - (usize::MAX - at) } else { at };
        bytes[at] ^= byte;
        bytes
    };
    let end = usize::MAX;
    let mut bad = vec![
        ("nothing", Vec::new()),
        ("a plain document", request("r", "")),
        ("zlib's format", b"\x78\x9c\xab\xae\x05\x00\x01\x75\x00\xf9".to_vec()),
        ("another method", with(2, 1)),
        ("a reserved flag", with(3, 0x80)),
        ("a wrong checksum", with(end - 8, 1)),
        ("a wrong length", with(end - 2, 1)),
        ("a damaged stream", with(40, 0xff)),
        ("something behind it", [&good[..], b"\r\n"].concat()),
        ("two members", [&good[..], &packed(b" ")[..]].concat()),
        ("packed twice", packed(&good)),
    ];
    bad.extend((0..good.len()).step_by(7).map(|length| ("cut", good[..length].to_vec())));
    for (what, body) in &bad {
        let answer = ask(&mut client, GZIP, body);
        assert_eq!((answer.status, answer.body.len(), answer.closes()), (400, 0, false), "{what}");
    }
    assert_eq!(ask(&mut client, GZIP, &good).status, 200, "the same connection, and it bids");
    assert!(bidder.metric("corebid_broken_total", "") >= bad.len() as u64);
    bidder.stop();
}

#[test]
fn a_body_may_unpack_to_the_limit_and_a_bomb_is_413() {
    let folder = Folder::new("gzip-bomb");
    let bidder = bidder(&folder);
    let mut client = bidder.client();
    let sized = |length: usize| {
        let rest = request("r", ",\"ext\":\"\"").len();
        request("r", &format!(",\"ext\":\"{}\"", "x".repeat(length - rest)))
    };
    for length in [BODY_BYTES - 1, BODY_BYTES] {
        // A machine under load may be late with so much; what counts is that it was read.
        let answer = client.ask("POST", "/openrtb/generic", GZIP, &packed(&sized(length)));
        assert!(matches!(answer.status, 200 | 204), "{length}: {answer:?}");
    }
    let mut bombs = vec![packed(&sized(BODY_BYTES + 1))];
    // A megabyte that becomes a gigabyte.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..1000 {
        encoder.write_all(&[0; BODY_BYTES]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() <= BODY_BYTES);
    // One that says it is empty.
    let mut lies = bomb.clone();
    let size = lies.len() - 4;
    lies[size..].fill(0);
    bombs.extend([bomb, lies]);
    for bomb in &bombs {
        let answer = ask(&mut client, GZIP, bomb);
        assert_eq!((answer.status, answer.body.len(), answer.closes()), (413, 0, false));
    }
    assert_eq!(ask(&mut client, GZIP, &packed(&request("r", ""))).status, 200, "the same connection, and it bids");
    assert_eq!(bidder.metric("corebid_oversized_total", ""), bombs.len() as u64);
    // Whom admission refuses, nothing is unpacked for.
    let before = bidder.metric("corebid_inflated_total", "");
    for body in &bombs {
        let answer = client.ask("POST", "/openrtb/nobody", &format!("x-debug: 1\r\n{GZIP}"), body);
        assert_eq!(answer.reason(), Some("unknown_exchange"));
    }
    assert_eq!(bidder.metric("corebid_inflated_total", ""), before);
    bidder.stop();
}

#[test]
fn a_coding_moves_no_boundary() {
    let folder = Folder::new("gzip-frames");
    let bidder = bidder(&folder);
    let mut client = bidder.client();
    let (good, plain) = (packed(&request("r", "")), request("r", ""));
    let chunked = |body: &[u8], chunk: usize| {
        let mut bytes = Vec::new();
        for piece in body.chunks(chunk) {
            bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    };
    let post = |fields: &str, body: &[u8]| {
        [format!("POST /openrtb/generic HTTP/1.1\r\nHost: a\r\nx-debug: 1\r\n{fields}\r\n").as_bytes(), body].concat()
    };
    // The chunks are of what is packed; cut anywhere, and followed by another request.
    for chunk in [1, 7, 100, good.len()] {
        let fields = format!("Transfer-Encoding: chunked\r\n{GZIP}");
        let mut bytes = post(&fields, &chunked(&good, chunk));
        bytes.extend(post(&format!("Content-Length: {}\r\n", plain.len()), &plain));
        client.send(&bytes).unwrap();
        for _ in 0..2 {
            let answer = client.answer().unwrap();
            assert!(answer.status == 200 || answer.came_late(), "{chunk}: {answer:?}");
        }
    }
    // gzip as a transfer coding is none of ours: where the body ends would depend on its content. Nor do two lengths help.
    for fields in [
        "Transfer-Encoding: gzip\r\n".to_owned(),
        "Transfer-Encoding: gzip, chunked\r\n".to_owned(),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n{GZIP}", good.len()),
        format!("Content-Length: {}\r\nContent-Length: {}\r\n{GZIP}", good.len(), plain.len()),
        format!("Content-Length: {}\r\nContent-Encoding : gzip\r\n", good.len()),
    ] {
        let mut client = bidder.client();
        client.send(&post(&fields, &good)).unwrap();
        let answer = client.answer().unwrap();
        assert_eq!((answer.status, answer.closes()), (400, true), "{fields}");
    }
    // The length is that of the packed body, whatever it unpacks to: what stands behind it is the next request.
    let bomb = packed(&vec![b' '; BODY_BYTES + 1]);
    let mut bytes = post(&format!("Content-Length: {}\r\n{GZIP}", bomb.len()), &bomb);
    bytes.extend(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(&bytes).unwrap();
    assert_eq!((client.answer().unwrap().status, client.answer().unwrap().status), (413, 200));
    bidder.stop();
}

#[test]
fn a_bid_is_packed_for_who_accepts_it() {
    let folder = Folder::new("gzip-answer");
    let long = campaign(1, "").replace("<b>1</b>", &"<b>an advertisement</b>".repeat(60));
    let config = folder.configure("debug_header = true", "", &long);
    let fields = "x-openrtb-version: 2.6\r\nAccept-Encoding: br, gzip;q=0.5\r\n";
    {
        let bidder = Bidder::start(&["--config", &config]);
        let mut client = bidder.client();
        for request in [request("r", ""), request("a-second-one", "")] {
            let (plain, packed) = (ask(&mut client, "", &request), ask(&mut client, fields, &request));
            assert_eq!((plain.status, plain.field("content-encoding")), (200, None));
            assert_eq!((packed.status, packed.field("content-encoding")), (200, Some("gzip")));
            assert_eq!(packed.field("content-type"), plain.field("content-type"));
            assert_eq!(packed.field("x-openrtb-version"), Some("2.6"));
            assert!(packed.body.len() < plain.body.len());
            let mut body = Vec::new();
            GzDecoder::new(&packed.body[..]).read_to_end(&mut body).unwrap();
            assert_eq!(body, through(&["gzip", "-dc"], &packed.body));
            let unpacked = Answer { body, ..packed.clone() }.json();
            let (ours, theirs) = (&plain.json()["seatbid"][0]["bid"][0], &unpacked["seatbid"][0]["bid"][0]);
            for key in ["impid", "price", "adm", "cid", "crid", "adomain"] {
                assert_eq!(ours[key], theirs[key], "{key}");
            }
        }
        for refused in
            ["Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: br\r\n", "Accept-Encoding: identity, *;q=0\r\n"]
        {
            let answer = ask(&mut client, refused, &request("r", ""));
            assert_eq!((answer.status, answer.field("content-encoding")), (200, None), "{refused}");
        }
        // What has no content has no coding.
        let no = ask(&mut client, fields, &request("r", ",\"cur\":[\"XTS\"]"));
        assert_eq!((no.status, no.field("content-encoding")), (204, None));
        assert_eq!(bidder.metric("corebid_deflated_total", ""), 2);
        bidder.stop();
    }
    // A short one fits a segment as it is; and an exchange may be kept from asking.
    for (campaigns, more) in [(campaign(1, ""), ""), (long, "gzip_responses = false\n")] {
        let config = folder.configure("debug_header = true", "", &campaigns);
        let text = std::fs::read_to_string(&config).unwrap() + more;
        std::fs::write(&config, text).unwrap();
        let bidder = Bidder::start(&["--config", &config]);
        let answer = ask(&mut bidder.client(), fields, &request("r", ""));
        assert_eq!((answer.status, answer.field("content-encoding")), (200, None), "{more}");
        assert!(!more.is_empty() || answer.body.len() < corebid::limits::GZIP_FROM, "{}", answer.body.len());
        bidder.stop();
    }
}
