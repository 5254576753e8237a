//! Requests, written once before the run: head and body of each line of a corpus, one after the other in one allocation.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use crate::lab::target::Target;
use crate::wire::gzip::Deflater;

/// Prebuilt requests.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Requests {
    /// `POST` requests of OpenRTB 2.6 JSON (2.6 section 2), one for each body. `debug` adds `x-debug: 1`, which asks the
    /// bidder for the reason of each no-bid.
    pub fn new<B: AsRef<[u8]>>(target: &Target, bodies: &[B], debug: bool) -> Requests {
        Requests::with_fields(target, bodies, if debug { "x-debug: 1\r\n" } else { "" })
    }

    /// As [`Requests::new`], with every body in gzip, for which the answer may be too (2.6 section 2.4).
    pub fn gzip<B: AsRef<[u8]>>(target: &Target, bodies: &[B], debug: bool) -> Requests {
        let longest = bodies.iter().map(|body| body.as_ref().len()).max().unwrap_or(0);
        let mut deflater = Deflater::for_content(longest);
        let packed: Vec<Vec<u8>> = bodies
            .iter()
            .map(|body| {
                deflater.deflate(body.as_ref(), usize::MAX).expect("there is room for what does not shrink").to_vec()
            })
            .collect();
        let debug = if debug { "x-debug: 1\r\n" } else { "" };
        let fields = format!("Content-Encoding: gzip\r\nAccept-Encoding: gzip\r\n{debug}");
        Requests::with_fields(target, &packed, &fields)
    }

    /// `fields` end each with CRLF.
    fn with_fields<B: AsRef<[u8]>>(target: &Target, bodies: &[B], fields: &str) -> Requests {
        let mut requests = Requests::default();
        for body in bodies {
            let (body, start) = (body.as_ref(), requests.bytes.len());
            let head = format!(
                "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nx-openrtb-version: 2.6\r\n{fields}Content-Length: {}\r\n\r\n",
                target.path,
                target.authority,
                body.len()
            );
            requests.bytes.extend_from_slice(head.as_bytes());
            requests.bytes.extend_from_slice(body);
            requests.ranges.push(start..requests.bytes.len());
        }
        requests
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The bytes of request `index`, from head to body; the corpus starts over after its last line.
    #[inline]
    pub fn get(&self, index: u64) -> &[u8] {
        &self.bytes[self.ranges[(index % self.ranges.len() as u64) as usize].clone()]
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
        let requests = Requests::new(&target, &["{}", "{\"id\":\"1\"}"], true);
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
