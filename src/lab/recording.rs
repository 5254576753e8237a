//! Requests of a bidder that were recorded, to be sent again at the times at which they came.

use crate::capture::format::{Fault, Item, Reader};
use crate::units::Nanos;

/// What a recording holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// When each request came, ns after the first; in order.
    pub offsets_ns: Vec<u64>,
    /// The requests, one for each offset.
    pub requests: Vec<RecordedRequest>,
}

/// A request as it was read from its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The last part of its path, `/openrtb/{exchange}`.
    pub exchange: String,
    /// It came in gzip, and is sent in gzip again.
    pub gzip: bool,
    /// Its `x-openrtb-version`, if it had one.
    pub version: Option<String>,
    /// The document, not compressed.
    pub body: Vec<u8>,
}

/// A recording as a file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// What can be sent.
    pub recording: Recording,
    /// How long it was recorded for, ns; of a file that was cut, until its last request.
    pub length_ns: u64,
    /// One request in so many was recorded.
    pub every: u32,
    /// Requests that are missing, as the file says; of one that was cut, more.
    pub lost: u64,
    /// Why the file ends before its end, if it does.
    pub cut: Option<Fault>,
}

impl Recorded {
    /// Reads a capture of `corebid record`, as far as it is whole. Cores take turns in the file; here requests are in the order in which
    /// they came.
    ///
    /// # Errors
    /// It is no capture.
    pub fn read(file: &[u8]) -> Result<Recorded, Fault> {
        let mut reader = Reader::open(file)?;
        let mut came = Vec::new();
        let mut recorded = Recorded { every: reader.head.every, ..Recorded::default() };
        loop {
            match reader.item() {
                Ok(Item::Request(request)) => {
                    let exchange = request.exchange.map(|index| reader.head.exchanges[usize::from(index)].clone());
                    let version = String::from_utf8(request.version).ok().filter(|version| !version.is_empty());
                    let (exchange, gzip, body) = (exchange.unwrap_or_default(), request.gzip, request.body);
                    came.push((request.offset_ns, RecordedRequest { exchange, gzip, version, body }));
                }
                Ok(Item::Foot(foot)) => {
                    (recorded.length_ns, recorded.lost) = (foot.length_ns, foot.lost);
                    break;
                }
                Err(fault) => {
                    recorded.cut = Some(fault);
                    break;
                }
            }
        }
        came.sort_by_key(|(offset, _)| *offset);
        let first = came.first().map_or(0, |(offset, _)| *offset);
        let last = came.last().map_or(0, |(offset, _)| *offset);
        recorded.length_ns = recorded.length_ns.max(last + 1);
        let (offsets, requests) = came.into_iter().map(|(offset, request)| (offset - first, request)).unzip();
        recorded.recording = Recording { offsets_ns: offsets, requests };
        Ok(recorded)
    }

    /// The same `times` times, `speed` times as fast: each round begins when the recording before it ends.
    pub fn again(self, times: u32, speed: f64) -> Recording {
        let Recorded { recording: Recording { offsets_ns, requests }, length_ns, .. } = self;
        let rounds = || (0..u64::from(times)).map(|round| round * length_ns);
        let faster = |ns: u64| (ns as f64 / speed).round() as u64;
        Recording {
            offsets_ns: rounds().flat_map(|from| offsets_ns.iter().map(move |offset| faster(from + offset))).collect(),
            requests: rounds().flat_map(|_| requests.iter().cloned()).collect(),
        }
    }

    /// Requests per second at which it came.
    pub fn rate(&self) -> f64 {
        self.recording.requests.len() as f64 * Nanos::SECOND as f64 / self.length_ns.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::format::{Captured, Foot, Head, foot, head, request};

    fn file(offsets: &[u64]) -> Vec<u8> {
        let mut out = Vec::new();
        head(&Head { exchanges: vec!["generic".into()], every: 1, ..Head::default() }, &mut out);
        for &offset_ns in offsets {
            let body = offset_ns.to_string();
            let version = if offset_ns == 7 { &b"2.5"[..] } else { b"" };
            let exchange = (offset_ns != 7).then_some(0);
            request(&Captured { offset_ns, exchange, version, body: body.as_bytes(), ..Captured::default() }, &mut out);
        }
        foot(&Foot { length_ns: 100, captured: 3, lost: 2, withheld: 0 }, &mut out);
        out
    }

    #[test]
    fn requests_are_in_the_order_in_which_they_came() {
        let recorded = Recorded::read(&file(&[30, 7, 50])).unwrap();
        let Recording { offsets_ns, requests } = &recorded.recording;
        assert_eq!((offsets_ns.as_slice(), recorded.length_ns, recorded.lost), (&[0, 23, 43][..], 100, 2));
        assert_eq!(
            requests.iter().map(|request| request.body.as_slice()).collect::<Vec<_>>(),
            [b"7", &b"30"[..], b"50"]
        );
        assert_eq!((requests[0].exchange.as_str(), requests[0].version.as_deref()), ("", Some("2.5")));
        assert_eq!((requests[1].exchange.as_str(), requests[1].version.as_deref()), ("generic", None));
        let twice = recorded.again(2, 2.0);
        assert_eq!(twice.offsets_ns, [0, 12, 22, 50, 62, 72]);
        assert_eq!(twice.requests[3].body, b"7");
    }

    #[test]
    fn what_is_before_a_cut_is_read() {
        let whole = file(&[1, 2, 3]);
        let recorded = Recorded::read(&whole[..whole.len() - 1]).unwrap();
        assert_eq!((recorded.cut, recorded.recording.requests.len(), recorded.length_ns), (Some(Fault::Cut), 3, 4));
        assert_eq!(Recorded::read(b"no"), Err(Fault::NotACapture));
    }
}
