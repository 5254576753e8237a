use super::*;

/// Method, path, body and length of a request.
type Found = (Method, Vec<u8>, Vec<u8>, usize);

/// The request at the start of a stream; `None` says that more is needed.
fn read(bytes: &[u8]) -> Result<Found, Option<Status>> {
    let mut scratch = Vec::new();
    match parse(bytes, &mut Progress::default(), &mut scratch) {
        Parsed::Request { request, consumed } => {
            Ok((request.method, request.path.to_vec(), request.body.to_vec(), consumed))
        }
        Parsed::Partial { .. } => Err(None),
        Parsed::Refused(status) => Err(Some(status)),
    }
}

fn refused(bytes: &[u8], status: Status) {
    assert_eq!(read(bytes), Err(Some(status)), "{:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn a_request_is_read_with_what_is_in_use() {
    let bytes = b"POST /openrtb/generic?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-DEBUG: 1\r\nx-openrtb-version:\t2.6 \r\nContent-Encoding: GZIP\r\n\r\n{}GET";
    let mut scratch = Vec::new();
    let Parsed::Request { request, consumed } = parse(bytes, &mut Progress::default(), &mut scratch) else {
        panic!("not read")
    };
    assert_eq!(request.method, Method::Post);
    assert_eq!(request.path, b"/openrtb/generic?a=b");
    assert_eq!(request.body, b"{}");
    assert!(request.debug && request.keep_alive());
    assert_eq!(request.openrtb_version, b"2.6");
    assert_eq!(request.encoding, Encoding::Gzip);
    assert_eq!(consumed, bytes.len() - 3);
}

#[test]
fn persistence_follows_the_version_and_the_options() {
    let persistence = |version: &str, option: &str| {
        let bytes = format!("GET / HTTP/{version}\r\nConnection: {option}\r\n\r\n");
        let mut scratch = Vec::new();
        match parse(bytes.as_bytes(), &mut Progress::default(), &mut scratch) {
            Parsed::Request { request, .. } => request.persistence,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(persistence("1.1", "x"), Persistence::Keep);
    assert_eq!(persistence("1.1", "keep-alive, Close"), Persistence::Close);
    assert_eq!(persistence("1.0", "x"), Persistence::Close);
    assert_eq!(persistence("1.0", "Keep-Alive"), Persistence::KeepSaid);
}

#[test]
fn chunks_are_joined() {
    let bytes = b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n00A ;x\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nrest";
    let (_, _, body, consumed) = read(bytes).unwrap();
    assert_eq!(body, b"abc0123456789");
    assert_eq!(consumed, bytes.len() - 4);
}

#[test]
fn shapes_that_two_readers_could_see_differently_are_refused() {
    let heads: &[&str] = &[
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length: 1, 1",
        "Content-Length: +1",
        "Content-Length: -1",
        "Content-Length: 0x1",
        "Content-Length: 1 1",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Content-Length : 1",
        "Content-Length\t: 1",
        " Content-Length: 1",
        "X: a\r\n b",
        "X: a\r\n\tb",
        "X: a\nContent-Length: 1",
        "X: a\rContent-Length: 1",
        "X: a\0b",
        "X: a\x7fb",
        "X\0: a",
        ": a",
        "X",
        "X\u{e9}: a",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:\u{b}chunked",
        "Host: a\r\nHost: b",
    ];
    for head in heads {
        refused(format!("POST / HTTP/1.1\r\n{head}\r\n\r\n").as_bytes(), Status::BadRequest);
    }
    let chunks: &[&str] = &[
        "x\r\n",
        "-1\r\n",
        "+1\r\n",
        "\r\n",
        ";a\r\n",
        "0x1\r\n",
        "1\na",
        "1 \r\na",
        "1 1\r\na",
        "2\r\nabc\r\n",
        "1\r\na\n",
        "11111111111111111\r\n",
        "1;\0\r\na",
        "1;a\nb\r\na",
        "0\r\n x\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
    ];
    for chunk in chunks {
        let bytes = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        refused(bytes.as_bytes(), Status::BadRequest);
    }
    let lines: &[&str] = &[
        "GET /\r\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET / HTTP/1.1\n",
        "GET /a b HTTP/1.1\r\n",
        " GET / HTTP/1.1\r\n",
        "GET / http/1.1\r\n",
        "GET / HTTP/11\r\n",
        "GET\t/ HTTP/1.1\r\n",
        "GET a HTTP/1.1\r\n",
        "G\0T / HTTP/1.1\r\n",
        "\n",
        "\r\n\r\n",
        "\u{16}\u{3}\u{1}",
        "GET /\u{7f} HTTP/1.1\r\n",
        "GET /\u{e9} HTTP/1.1\r\n",
    ];
    for line in lines {
        refused(format!("{line}\r\n").as_bytes(), Status::BadRequest);
    }
    refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Status::BadRequest);
    refused(b"GET / HTTP/2.0\r\n\r\n", Status::VersionNotSupported);
    refused(b"POST / HTTP/1.1\r\nExpect: more\r\nContent-Length: 1\r\n\r\n", Status::ExpectationFailed);
}

#[test]
fn limits_are_kept() {
    let body = limits::BODY_BYTES;
    assert_eq!(read(format!("POST / HTTP/1.1\r\nContent-Length: {body}\r\n\r\n").as_bytes()), Err(None));
    refused(format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body + 1).as_bytes(), Status::ContentTooLarge);
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(read(format!("{chunked}{body:x}\r\n").as_bytes()), Err(None));
    refused(format!("{chunked}{:x}\r\n", body + 1).as_bytes(), Status::ContentTooLarge);
    refused(format!("{chunked}ffffffffffffffff\r\n").as_bytes(), Status::ContentTooLarge);
    refused(format!("{chunked}1;{}\r\n", "x".repeat(300)).as_bytes(), Status::BadRequest);
    refused(format!("{chunked}0\r\n{}", "X: yyyyyyyy\r\n".repeat(65)).as_bytes(), Status::HeadTooLarge);
    refused(format!("{chunked}0\r\nX: {}", "y".repeat(limits::HEAD_BYTES)).as_bytes(), Status::HeadTooLarge);
    // One-byte chunks: the framing is bounded too.
    refused(format!("{chunked}{}", "1\r\na\r\n".repeat(CODED_BYTES / 6 + 1)).as_bytes(), Status::ContentTooLarge);
    refused(format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65)).as_bytes(), Status::HeadTooLarge);
    assert!(read(format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(64)).as_bytes()).is_ok());
    refused(format!("GET /{}", "a".repeat(limits::HEAD_BYTES)).as_bytes(), Status::HeadTooLarge);
    let fill = "a".repeat(limits::HEAD_BYTES - "GET / HTTP/1.1\r\nX: \r\n\r\n".len());
    assert!(read(format!("GET / HTTP/1.1\r\nX: {fill}\r\n\r\n").as_bytes()).is_ok());
    refused(format!("GET / HTTP/1.1\r\nX: {fill}a\r\n\r\n").as_bytes(), Status::HeadTooLarge);
}

#[test]
fn a_peer_that_waits_is_told_once_to_go_on() {
    let head = b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    let mut progress = Progress::default();
    let mut scratch = Vec::new();
    assert!(matches!(parse(head, &mut progress, &mut scratch), Parsed::Partial { proceed: true }));
    assert!(matches!(parse(head, &mut progress, &mut scratch), Parsed::Partial { proceed: false }));
    let whole = [&head[..], b"{}"].concat();
    assert!(matches!(parse(&whole, &mut progress, &mut scratch), Parsed::Request { .. }));
    let begun = [&head[..], b"{"].concat();
    assert!(matches!(parse(&begun, &mut Progress::default(), &mut scratch), Parsed::Partial { proceed: false }));
}

#[test]
fn every_prefix_is_partial_or_what_the_whole_is() {
    let streams: &[&[u8]] = &[
        b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nX-Debug: 1\r\n\r\nabc",
        b"\r\nPOST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3 ;e=f\r\nabc\r\n0\r\nA: b\r\n\r\n",
        b"GET http://host:80/p?q HTTP/1.0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n",
    ];
    for stream in streams {
        let whole = read(stream);
        assert_ne!(whole, Err(None));
        let mut progress = Progress::default();
        for end in 0..=stream.len() {
            let mut scratch = Vec::new();
            let carried = match parse(&stream[..end], &mut progress, &mut scratch) {
                Parsed::Request { request, consumed } => {
                    Ok((request.method, request.path.to_vec(), request.body.to_vec(), consumed))
                }
                Parsed::Partial { .. } => Err(None),
                Parsed::Refused(status) => Err(Some(status)),
            };
            assert!(carried == Err(None) || carried == whole, "{carried:?} at {end}");
            assert_eq!(read(&stream[..end]), carried);
            if carried == whole {
                break;
            }
        }
    }
}

/// httparse is the oracle for heads: what we accept it accepts, with the same fields.
#[test]
fn heads_are_read_as_httparse_reads_them() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let base: &[u8] = b"POST /openrtb/generic?x=1 HTTP/1.1\r\nHost: bidder.example\r\nUser-Agent: a/1.0\r\nAccept: */*\r\nx-openrtb-version: 2.6\r\nContent-Length: 4\r\n\r\nbody";
    let alphabet = b"\r\n\t \0:;,/aZ09\x7f\x80\xff-_";
    let mut accepted = 0;
    for _ in 0..200_000 {
        let mut bytes = base.to_vec();
        for _ in 0..1 + random(2) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = alphabet[random(alphabet.len())],
                1 => bytes.insert(at, alphabet[random(alphabet.len())]),
                _ => drop(bytes.remove(at)),
            }
        }
        let mut fields = [httparse::EMPTY_HEADER; limits::HEADERS];
        let mut theirs = httparse::Request::new(&mut fields);
        if let head::Scanned::Whole(ours, length) = head::scan(&bytes) {
            accepted += 1;
            let text = String::from_utf8_lossy(&bytes);
            assert_eq!(theirs.parse(&bytes), Ok(httparse::Status::Complete(length)), "{text}");
            let path = theirs.path.unwrap().as_bytes();
            assert!(path.ends_with(ours.path) || ours.path == b"/", "{text}");
            let version =
                theirs.headers.iter().rev().find(|field| field.name.eq_ignore_ascii_case("x-openrtb-version"));
            assert_eq!(ours.openrtb_version, version.map_or(&b""[..], |field| field.value.trim_ascii()), "{text}");
        }
    }
    assert!(accepted > 20_000);
}

/// Eight bytes at a time finds what one at a time finds, for every byte in every place.
#[test]
fn words_are_searched_as_bytes_are() {
    for byte in 0..=255u8 {
        for place in 0..20 {
            for fill in [b'a', b'\t', b' ', b'\x80', b'\xff'] {
                let mut bytes = [fill; 20];
                bytes[place] = byte;
                let control = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
                assert_eq!(head::until_control(&bytes), if control { place } else { 20 }, "{byte} at {place}");
            }
        }
    }
}

#[test]
fn answers_are_what_they_should_be() {
    let mut out = [0; 512];
    let length = answer::no_content(&mut out, Persistence::Keep).unwrap();
    assert_eq!(&out[..length], answer::NO_CONTENT);
    let length = answer::no_bid(&mut out, Persistence::Close, b"2.6", Some("budget")).unwrap();
    assert_eq!(
        &out[..length],
        b"HTTP/1.1 204 No Content\r\nx-nobid-reason: budget\r\nx-openrtb-version: 2.6\r\nConnection: close\r\n\r\n"
    );
    let length = answer::empty(&mut out, answer::Empty::HeadTooLarge, Persistence::Close).unwrap();
    assert!(length <= answer::LONGEST_EMPTY);
    let open = answer::Open::start(&mut out, "application/json", Persistence::KeepSaid, b"2.5").unwrap();
    let body = open.body();
    out[body..body + 12].copy_from_slice(b"{\"id\":\"abc\"}");
    let length = open.finish(&mut out, 12);
    let mut fields = [httparse::EMPTY_HEADER; 8];
    let mut response = httparse::Response::new(&mut fields);
    assert_eq!(response.parse(&out[..length]), Ok(httparse::Status::Complete(body)));
    let field = |name: &str| response.headers.iter().find(|field| field.name == name).unwrap().value;
    assert_eq!(field("Content-Length"), b"12");
    assert_eq!(field("Content-Type"), b"application/json");
    assert_eq!(field("x-openrtb-version"), b"2.5");
    assert_eq!(field("Connection"), b"keep-alive");
    assert_eq!(length, body + 12);
    assert!(answer::no_content(&mut out[..10], Persistence::Keep).is_none());
    assert!(answer::Open::start(&mut out[..40], "a/b", Persistence::Keep, b"").is_none());
}

#[test]
fn gzip_is_accepted_if_it_is_named_with_a_weight() {
    let accepts = |lines: &[&str]| {
        let fields: String = lines.iter().map(|line| format!("Accept-Encoding:{line}\r\n")).collect();
        let bytes = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        let mut scratch = Vec::new();
        match parse(bytes.as_bytes(), &mut Progress::default(), &mut scratch) {
            Parsed::Request { request, .. } => request.accepts_gzip,
            other => panic!("{lines:?}: {other:?}"),
        }
    };
    for lines in [
        &["gzip"][..],
        &[" GZip "],
        &["x-gzip"],
        &["br, gzip;q=0.001"],
        &["deflate,gzip ; q=1.000,br"],
        &["gzip;Q=1."],
        &["*"],
        &["identity;q=0, *;q=0.5"],
        &["br", "gzip"],
        &["*;q=0, gzip"],
        &[",, gzip,"],
    ] {
        assert!(accepts(lines), "{lines:?}");
    }
    for lines in [
        &[][..],
        &[""],
        &["identity"],
        &["gzip;q=0"],
        &["gzip; q=0.000"],
        &["gzip;q=0."],
        &["*;q=0"],
        &["gzip;q=0, *"],
        &["gzip", "gzip;q=0"],
        &["gzip;q=0", "gzip"],
        &["gzipped"],
        &["br, deflate"],
        &["gzip;q=2"],
        &["gzip;q=1.1"],
        &["gzip;q=0.0001"],
        &["gzip;q=-1"],
        &["gzip;q=0.x"],
        &["gzip;level=9"],
    ] {
        assert!(!accepts(lines), "{lines:?}");
    }
}
