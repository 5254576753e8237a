//! A slow, plain framer as the oracle of the fast one: whole streams only, text by text, after RFC 9112.

use corebid::limits;
use corebid::wire::http::{self, Parsed, Progress};
use proptest::prelude::*;

/// What a stream gives: its requests (target and body), and whether it is then refused.
#[derive(Debug, Default, PartialEq)]
struct Read {
    requests: Vec<(Vec<u8>, Vec<u8>)>,
    refused: bool,
    /// The rest has no complete head: it may already be refused, or not yet.
    open: bool,
}

fn reference(mut stream: &[u8]) -> Read {
    let mut read = Read::default();
    loop {
        stream = stream.strip_prefix(b"\r\n").unwrap_or(stream);
        let Some(end) = stream.windows(4).position(|four| four == b"\r\n\r\n") else {
            read.open = true;
            return read;
        };
        let (head, rest) = (&stream[..end], &stream[end + 4..]);
        match message(head, rest) {
            Message::Whole(target, body, length) => {
                read.requests.push((target, body));
                stream = &rest[length..];
            }
            Message::Partial => {
                read.open = true;
                return read;
            }
            Message::Bad => {
                read.refused = true;
                return read;
            }
        }
    }
}

enum Message {
    Whole(Vec<u8>, Vec<u8>, usize),
    Partial,
    Bad,
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn is_value(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte == b'\t' || byte >= 0x20 && byte != 0x7f)
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    lines
}

fn field(line: &[u8]) -> Option<(String, String)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let text = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
    (is_token(name) && is_value(value))
        .then(|| (text(name).to_ascii_lowercase(), text(value).trim_matches([' ', '\t']).to_owned()))
}

fn message(head: &[u8], rest: &[u8]) -> Message {
    if head.len() + 4 > limits::HEAD_BYTES {
        return Message::Bad;
    }
    let lines = lines(head);
    let words: Vec<_> = lines[0].split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else { return Message::Bad };
    let old = version == b"HTTP/1.0";
    let visible = target.iter().all(|byte| (0x21..=0x7e).contains(byte));
    if !is_token(method) || target.first() != Some(&b'/') || !visible || !(old || version == b"HTTP/1.1") {
        return Message::Bad;
    }
    let Some(fields) = lines[1..].iter().map(|line| field(line)).collect::<Option<Vec<_>>>() else {
        return Message::Bad;
    };
    let all =
        |name: &str| fields.iter().filter(|field| field.0 == name).map(|field| field.1.as_str()).collect::<Vec<_>>();
    let (lengths, codings) = (all("content-length"), all("transfer-encoding"));
    let expected = all("expect").iter().all(|value| value.eq_ignore_ascii_case("100-continue"));
    if fields.len() > limits::HEADERS || all("host").len() > 1 || !(expected || old) {
        return Message::Bad;
    }
    match (&lengths[..], &codings[..]) {
        ([], []) => Message::Whole(target.to_vec(), Vec::new(), 0),
        ([length], []) => {
            let digits = length.bytes().all(|byte| byte.is_ascii_digit());
            match length.parse::<usize>() {
                Ok(length) if digits && length <= limits::BODY_BYTES => match rest.get(..length) {
                    Some(body) => Message::Whole(target.to_vec(), body.to_vec(), length),
                    None => Message::Partial,
                },
                _ => Message::Bad,
            }
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") && !old => chunks(target, rest),
        _ => Message::Bad,
    }
}

fn chunks(target: &[u8], coded: &[u8]) -> Message {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Some(end) = coded[at..].windows(2).position(|two| two == b"\r\n") else { return Message::Partial };
        let line = &coded[at..at + end];
        at += end + 2;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let extension = line[digits..].iter().find(|byte| !b" \t".contains(byte));
        let plain = line.len() == digits || extension == Some(&b';') && is_value(line);
        let size = std::str::from_utf8(&line[..digits]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let (true, Some(size)) = (plain, size) else { return Message::Bad };
        if size == 0 {
            break;
        }
        match (coded.get(at..at + size), coded.get(at + size..at + size + 2)) {
            (Some(chunk), Some(b"\r\n")) => body.extend_from_slice(chunk),
            (Some(_), Some(_)) => return Message::Bad,
            _ => return Message::Partial,
        }
        at += size + 2;
    }
    loop {
        let Some(end) = coded[at..].windows(2).position(|two| two == b"\r\n") else { return Message::Partial };
        let line = &coded[at..at + end];
        at += end + 2;
        if line.is_empty() {
            return Message::Whole(target.to_vec(), body, at);
        }
        if field(line).is_none() {
            return Message::Bad;
        }
    }
}

/// The framer under test, fed in pieces as a connection feeds it.
fn fed(stream: &[u8], cuts: &[usize]) -> Read {
    let mut read = Read::default();
    let mut input: Vec<u8> = Vec::new();
    let mut progress = Progress::default();
    let mut scratch = Vec::new();
    let mut at = 0;
    let mut cuts = cuts.iter().cycle();
    while at < stream.len() {
        let end = (at + cuts.next().copied().unwrap_or(1).max(1)).min(stream.len());
        input.extend_from_slice(&stream[at..end]);
        at = end;
        loop {
            match http::parse(&input, &mut progress, &mut scratch) {
                Parsed::Request { request, consumed } => {
                    read.requests.push((request.path.to_vec(), request.body.to_vec()));
                    input.drain(..consumed);
                    progress = Progress::default();
                }
                Parsed::Partial { .. } => break,
                Parsed::Refused(_) => {
                    read.refused = true;
                    return read;
                }
            }
        }
    }
    read
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..200);
    let odd = prop_oneof![
        8 => Just(""),
        1 => Just("Content-Length: 3\r\n"),
        1 => Just("Transfer-Encoding: chunked\r\n"),
        1 => Just("Host: a\r\n"),
        1 => Just("X-Fold: a\r\n b\r\n"),
        1 => Just("Connection: close\r\n"),
        1 => Just("\u{e9}: a\r\n"),
        1 => Just("Expect: x\r\n"),
    ];
    (body, odd, 0..3u8, 1..40usize, "/[a-z?=%]{0,20}").prop_map(|(body, odd, kind, size, path)| match kind {
        0 => format!("GET {path} HTTP/1.1\r\nHost: x\r\n{odd}\r\n").into_bytes(),
        1 => {
            let head = format!("POST {path} HTTP/1.1\r\n{odd}Content-Length: {}\r\nX: \ta b\t\r\n\r\n", body.len());
            [head.as_bytes(), &body].concat()
        }
        _ => {
            let mut bytes = format!("POST {path} HTTP/1.1\r\n{odd}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for chunk in body.chunks(size) {
                bytes.extend(format!("{:x} ;a=b\r\n", chunk.len()).into_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\nT: x\r\n\r\n");
            bytes
        }
    })
}

/// A byte changed, put in, or taken out.
fn damage() -> impl Strategy<Value = Option<(u8, prop::sample::Index, u8)>> {
    let byte = prop_oneof![prop::sample::select(&b"\r\n\0 \t:;,0159afx/\x7f\x80"[..]), any::<u8>()];
    prop::option::weighted(0.6, (0..3u8, any::<prop::sample::Index>(), byte))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_a_stream_is_cut_it_reads_as_the_plain_framer_reads_it(
        requests in proptest::collection::vec(request(), 1..5),
        damage in damage(),
        cuts in proptest::collection::vec(1..60usize, 1..12),
    ) {
        let mut stream = requests.concat();
        if let Some((kind, at, byte)) = damage {
            let at = at.index(stream.len());
            match kind {
                0 => stream[at] = byte,
                1 => stream.insert(at, byte),
                _ => drop(stream.remove(at)),
            }
        }
        let expected = reference(&stream);
        let whole = fed(&stream, &[stream.len()]);
        let pieces = fed(&stream, &cuts);
        prop_assert_eq!(&whole, &pieces);
        prop_assert_eq!(&whole.requests, &expected.requests);
        prop_assert!(whole.refused == expected.refused || expected.open, "{:?} {:?}", whole, expected);
    }
}
