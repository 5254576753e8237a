//! Requests of a bidder that were recorded, to be sent again at the times at which they came.

use std::fmt;

use crate::capture::format::{Fault, Item, Reader};
use crate::units::Nanos;

/// What requests may take in memory, bytes: all of them are written before the first is sent.
pub const MOST: u64 = 4 * 1024 * 1024 * 1024;

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

/// Why a file cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is no capture.
    NoCapture(Fault),
    /// Its requests take more than [`MOST`]; one that was withheld is short in the file and as long as it was here.
    TooMuch,
    /// It says times that no clock tells.
    Times,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::NoCapture(fault) => fmt::Display::fmt(fault, f),
            Unusable::TooMuch => f.write_str("it has more than 4 GiB of requests"),
            Unusable::Times => f.write_str("it says times that cannot be: they pass 2^64 ns"),
        }
    }
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
    /// What the requests take in memory, bytes.
    pub bytes: u64,
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
    /// See [`Unusable`].
    pub fn read(file: &[u8]) -> Result<Recorded, Unusable> {
        Recorded::within(file, MOST)
    }

    fn within(file: &[u8], most: u64) -> Result<Recorded, Unusable> {
        let mut reader = Reader::open(file).map_err(Unusable::NoCapture)?;
        let mut came = Vec::new();
        let mut recorded = Recorded { every: reader.head.every, ..Recorded::default() };
        loop {
            match reader.item() {
                Ok(Item::Request(request)) => {
                    let exchange = request.exchange.map(|index| reader.head.exchanges[usize::from(index)].clone());
                    let version = String::from_utf8(request.version).ok().filter(|version| !version.is_empty());
                    let (exchange, gzip, body) = (exchange.unwrap_or_default(), request.gzip, request.body);
                    recorded.bytes += (size_of::<RecordedRequest>() + exchange.len() + body.len()) as u64;
                    if recorded.bytes > most {
                        return Err(Unusable::TooMuch);
                    }
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
        recorded.length_ns = recorded.length_ns.max(last.checked_add(1).ok_or(Unusable::Times)?);
        let (offsets, requests) = came.into_iter().map(|(offset, request)| (offset - first, request)).unzip();
        recorded.recording = Recording { offsets_ns: offsets, requests };
        Ok(recorded)
    }

    /// The same `times` times, `speed` times as fast: each round begins when the recording before it ends.
    ///
    /// # Errors
    /// [`Unusable::Times`]: the last round would end when no clock can tell.
    pub fn again(self, times: u32, speed: f64) -> Result<Recording, Unusable> {
        let Recorded { recording: Recording { offsets_ns, requests }, length_ns, .. } = self;
        // Every offset is below the length, so that no sum below passes this.
        length_ns.checked_mul(times.into()).ok_or(Unusable::Times)?;
        let rounds = || (0..u64::from(times)).map(|round| round * length_ns);
        let faster = |ns: u64| (ns as f64 / speed).round() as u64;
        Ok(Recording {
            offsets_ns: rounds().flat_map(|from| offsets_ns.iter().map(move |offset| faster(from + offset))).collect(),
            requests: rounds().flat_map(|_| requests.iter().cloned()).collect(),
        })
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
        let twice = recorded.again(2, 2.0).unwrap();
        assert_eq!(twice.offsets_ns, [0, 12, 22, 50, 62, 72]);
        assert_eq!(twice.requests[3].body, b"7");
    }

    #[test]
    fn what_is_before_a_cut_is_read() {
        let whole = file(&[1, 2, 3]);
        let recorded = Recorded::read(&whole[..whole.len() - 1]).unwrap();
        assert_eq!((recorded.cut, recorded.recording.requests.len(), recorded.length_ns), (Some(Fault::Cut), 3, 4));
        assert_eq!(Recorded::read(b"no"), Err(Unusable::NoCapture(Fault::NotACapture)));
    }

    #[test]
    fn what_is_too_much_is_not_read_to_its_end_and_times_are_checked() {
        let mut withheld = Vec::new();
        head(&Head { every: 1, ..Head::default() }, &mut withheld);
        let body = [b'x'; 1000];
        for _ in 0..10 {
            request(&Captured { withheld: true, version: &b""[..], body: &body, ..Captured::default() }, &mut withheld);
        }
        assert!(withheld.len() < 1000);
        assert_eq!(Recorded::within(&withheld, 10_000), Err(Unusable::TooMuch));
        assert!(Recorded::within(&withheld, 20_000).is_ok());
        assert_eq!(Recorded::read(&file(&[1, u64::MAX])), Err(Unusable::Times));
        let long = Recorded::read(&file(&[1, u64::MAX - 1])).unwrap();
        assert_eq!(long.clone().again(2, 1.0), Err(Unusable::Times));
        assert!(long.again(1, 1.0).is_ok());
    }
}
