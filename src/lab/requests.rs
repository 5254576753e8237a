//! Requests, written once before the run: head and body of each, one after the other in one allocation.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use crate::lab::deck::Deck;
use crate::lab::recording::RecordedRequest;
use crate::lab::target::Target;
use crate::wire::gzip::Deflater;

/// Prebuilt requests.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
    /// Where the corpora lie in `ranges`, and which request is of which; without it there is one corpus.
    mixed: Option<(Deck, Vec<Range<usize>>)>,
}

/// What every request says besides its document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    /// `x-debug: 1`, which asks the bidder for the reason of each no-bid.
    pub debug: bool,
    /// The document in gzip, for which the answer may be too (2.6 section 2.4).
    pub gzip: bool,
}

impl Requests {
    /// `POST` requests of OpenRTB 2.6 JSON (2.6 section 2), one for each body, sent in order and over again.
    pub fn new<B: AsRef<[u8]>>(target: &Target, bodies: &[B], fields: Fields) -> Requests {
        let mut writer = Writer::new(target, fields.debug, longest(bodies.iter().map(AsRef::as_ref)));
        for body in bodies {
            writer.write(&target.path, Some("2.6"), fields.gzip, body.as_ref());
        }
        writer.requests
    }

    /// Requests of several corpora, none of them empty, mixed by a deck that has a card for each.
    pub fn mixed(target: &Target, corpora: &[Vec<Vec<u8>>], deck: Deck, fields: Fields) -> Requests {
        let mut writer = Writer::new(target, fields.debug, longest(corpora.iter().flatten().map(Vec::as_slice)));
        let mut places = Vec::with_capacity(corpora.len());
        for bodies in corpora {
            let start = writer.requests.len();
            for body in bodies {
                writer.write(&target.path, Some("2.6"), fields.gzip, body);
            }
            places.push(start..writer.requests.len());
        }
        Requests { mixed: Some((deck, places)), ..writer.requests }
    }

    /// Requests as they were recorded: each to its own exchange, in the coding and of the version it came in.
    pub fn recorded(target: &Target, requests: &[RecordedRequest], debug: bool) -> Requests {
        let longest = longest(requests.iter().map(|request| request.body.as_slice()));
        let mut writer = Writer::new(target, debug, longest);
        for request in requests {
            let path = format!("/openrtb/{}", request.exchange);
            writer.write(&path, request.version.as_deref(), request.gzip, &request.body);
        }
        writer.requests
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The bytes of request `index`, from head to body; a corpus starts over after its last line.
    #[inline]
    pub fn get(&self, index: u64) -> &[u8] {
        let at = match &self.mixed {
            None => (index % self.ranges.len() as u64) as usize,
            Some((deck, places)) => {
                let (corpus, nth) = deck.card(index);
                let place = &places[corpus];
                place.start + (nth % place.len() as u64) as usize
            }
        };
        &self.bytes[self.ranges[at].clone()]
    }
}

fn longest<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> usize {
    bodies.map(<[u8]>::len).max().unwrap_or(0)
}

struct Writer<'a> {
    target: &'a Target,
    debug: &'static str,
    requests: Requests,
    deflater: Deflater,
}

impl<'a> Writer<'a> {
    /// For bodies of up to `longest` bytes.
    fn new(target: &'a Target, debug: bool, longest: usize) -> Writer<'a> {
        let debug = if debug { "x-debug: 1\r\n" } else { "" };
        Writer { target, debug, requests: Requests::default(), deflater: Deflater::for_content(longest) }
    }

    fn write(&mut self, path: &str, version: Option<&str>, gzip: bool, body: &[u8]) {
        let (coding, body) = if gzip {
            let packed = self.deflater.deflate(body, usize::MAX).expect("there is room for what does not shrink");
            ("Content-Encoding: gzip\r\nAccept-Encoding: gzip\r\n", packed)
        } else {
            ("", body)
        };
        let bytes = &mut self.requests.bytes;
        let start = bytes.len();
        let (authority, debug, length) = (&self.target.authority, self.debug, body.len());
        let version = version.map(|version| format!("x-openrtb-version: {version}\r\n")).unwrap_or_default();
        bytes.extend_from_slice(
            format!(
                "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
                 {version}{coding}{debug}Content-Length: {length}\r\n\r\n"
            )
            .as_bytes(),
        );
        bytes.extend_from_slice(body);
        self.requests.ranges.push(start..self.requests.bytes.len());
    }
}

/// Reads a corpus: one body a line, empty lines left out.
pub fn read_ndjson(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let text = fs::read(path)?;
    Ok(text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_a_server_can_read() {
        let target = Target::parse("http://127.0.0.1:80/openrtb/generic").expect("a target");
        let requests = Requests::new(&target, &["{}", "{\"id\":\"1\"}"], Fields { debug: true, gzip: false });
        assert_eq!((requests.len(), requests.is_empty()), (2, false));
        assert_eq!(requests.get(0), requests.get(2));
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Request::new(&mut headers);
        let bytes = requests.get(1);
        let httparse::Status::Complete(start) = head.parse(bytes).expect("HTTP") else { panic!("a whole head") };
        assert_eq!((head.method, head.path), (Some("POST"), Some("/openrtb/generic")));
        assert_eq!(&bytes[start..], b"{\"id\":\"1\"}");
        let header = |name: &str| {
            head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
        };
        assert_eq!(header("content-length"), Some(&b"10"[..]));
        assert_eq!(header("content-type"), Some(&b"application/json"[..]));
        assert_eq!(header("x-openrtb-version"), Some(&b"2.6"[..]));
        assert_eq!(header("x-debug"), Some(&b"1"[..]));
        assert_eq!(header("host"), Some(&b"127.0.0.1:80"[..]));
    }
}
