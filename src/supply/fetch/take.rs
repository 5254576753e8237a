//! The body of an answer, onto the disk: bounded as sent and as inflated, and looked at before it is kept.

use std::io::{self, BufReader, Read, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use ureq::Body as Answer;
use ureq::http::{HeaderMap, Response};

use crate::clock;
use crate::limits;
use crate::supply::ads_txt::{self, Refusal};
use crate::supply::fetch::client::Trouble;
use crate::supply::fetch::follow::{self, References};
use crate::supply::sellers_json;
use crate::supply::store::{Body, Kind};
use crate::units::Nanos;

/// Why a body was not kept.
#[derive(Debug)]
pub enum Refused {
    /// The file is at fault.
    Trouble(Trouble),
    /// Our disk is.
    Disk(io::Error),
}

impl From<Trouble> for Refused {
    fn from(trouble: Trouble) -> Refused {
        Refused::Trouble(trouble)
    }
}

/// What all fetches of a round share: bytes, and who may hold a file in memory.
#[derive(Debug)]
pub struct Meter {
    /// Bytes of bodies per second, all hosts together.
    rate: u64,
    /// When the bytes so far are paid for.
    free: Mutex<Nanos>,
    /// Bytes of bodies, as sent.
    bytes: AtomicU64,
    /// One publisher's file at a time is read whole, so that memory does not grow with the number of threads. A sellers.json takes
    /// none, and seconds: it keeps nobody waiting.
    reading: Mutex<Vec<u8>>,
}

impl Meter {
    /// A meter that lets this many bytes through in a second.
    pub fn new(rate: u64) -> Meter {
        Meter {
            rate: rate.max(1),
            free: Mutex::new(clock::boot()),
            bytes: AtomicU64::new(0),
            reading: Mutex::new(Vec::new()),
        }
    }

    /// Bytes of bodies so far, as sent.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until these bytes are paid for.
    #[allow(clippy::disallowed_methods, reason = "a thread of the crawler may wait")]
    fn pass(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let now = clock::boot();
        let start = {
            let mut free = self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let start = (*free).max(now);
            *free = Nanos(start.0 + (u128::from(bytes) * u128::from(Nanos::SECOND) / u128::from(self.rate)) as u64);
            start
        };
        if start > now {
            std::thread::sleep(Duration::from_nanos(start.0 - now.0));
        }
    }

    /// What a kept or finished file says of further files.
    pub fn references(&self, kind: Kind, domain: &str, mut file: impl Read) -> Result<References, Refused> {
        if kind == Kind::SellersJson {
            sellers_json::read_from(BufReader::new(file), |_| {}).map_err(Trouble::new)?;
            return Ok(References::default());
        }
        let mut text = self.reading.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        text.clear();
        file.read_to_end(&mut text).map_err(Refused::Disk)?;
        if !ads_txt::says_something(&text) {
            let refusal = ads_txt::refusal(&text).unwrap_or(Refusal::Silent);
            return Err(Trouble::new(refusal.label()).into());
        }
        Ok(follow::read(domain, &text))
    }
}

/// The most bytes of a file.
pub const fn limit(kind: Kind) -> u64 {
    match kind {
        Kind::AdsTxt | Kind::AppAdsTxt => limits::ADS_TXT_BYTES,
        Kind::SellersJson => limits::SELLERS_JSON_BYTES,
    }
}

/// Whether an answer says that it is this kind of file. An ads.txt must say `text/plain`, with any parameters; every other type is
/// an error (ads.txt 1.1, 3.2), and so is none, for which the specification has no rule. A sellers.json should say
/// `application/json`; many do not, and the body tells.
pub fn check_type(kind: Kind, headers: &HeaderMap) -> Result<(), Trouble> {
    if kind == Kind::SellersJson {
        return Ok(());
    }
    let mut types = headers.get_all("content-type").into_iter().peekable();
    if types.peek().is_none() {
        return Err(Trouble::new("no content type; text/plain is wanted"));
    }
    for value in types {
        let value = value.to_str().unwrap_or("?");
        if !value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/plain") {
            return Err(Trouble::new(format!("content type {value:.100}; text/plain is wanted")));
        }
    }
    Ok(())
}

/// Moves the body of an answer into the store's body, inflated.
pub fn take(kind: Kind, answer: Response<Answer>, meter: &Meter, into: &mut Body) -> Result<(), Refused> {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let gzip = match header("content-encoding") {
        None | Some("") => false,
        Some(coding) if coding.eq_ignore_ascii_case("identity") => false,
        Some(coding) if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => true,
        Some(coding) => return Err(Trouble::new(format!("content encoding {coding:.40}")).into()),
    };
    let limit = limit(kind);
    if header("content-length").and_then(|length| length.parse().ok()).is_some_and(|length: u64| length > limit) {
        return Err(too_large(limit).into());
    }
    let wire = Wire { inner: answer.into_body().into_reader(), left: limit, meter };
    let mut file: Box<dyn Read + '_> = if gzip { Box::new(MultiGzDecoder::new(wire)) } else { Box::new(wire) };
    let mut buffer = [0; 32 * 1024];
    let mut taken = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(too_large(limit).into()),
            Err(error) => return Err(Trouble::new(error).into()),
        };
        taken += read as u64;
        if taken > limit {
            return Err(too_large(limit).into());
        }
        into.write_all(&buffer[..read]).map_err(Refused::Disk)?;
    }
}

fn too_large(limit: u64) -> Trouble {
    Trouble::new(format!("larger than {limit} bytes"))
}

/// A body as it comes, metered.
struct Wire<'a, R> {
    inner: R,
    left: u64,
    meter: &'a Meter,
}

impl<R: Read> Read for Wire<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.meter.pass(read as u64);
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_sellers_json_waits_for_no_publishers_file() {
        let meter = Meter::new(1);
        let held = meter.reading.lock().unwrap();
        let (done, is_done) = mpsc::channel();
        std::thread::scope(|scope| {
            let read = || meter.references(Kind::SellersJson, "ssp.example", &b"{\"sellers\":[]}"[..]);
            scope.spawn(move || done.send(read().is_ok()));
            let in_time = is_done.recv_timeout(Duration::from_secs(20));
            drop(held);
            assert_eq!(in_time, Ok(true));
        });
    }
}
