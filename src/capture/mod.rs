//! Captures of live traffic (docs/RECORD.md): the bid cores copy requests into rings ([`crate::bid::tap`]), a thread beside them takes
//! out what identifies and sends them on, as a file, to whoever asked for it on the admin port.
//!
//! One capture at a time. It ends by time, by bytes, or when whoever asked goes away. Nobody waits for it: a core whose ring is full
//! loses a copy and counts it, and a reader who is slow is not waited for.

pub mod format;
pub mod pseudonym;
pub mod redact;
mod thread;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::bid::tap::{Head, Order};
use crate::limits;
use crate::metrics::core::CoreMetrics;
use crate::ring::spsc::{Receiver, Sender};

/// What a capture takes of memory while it is on, beside the rings of the cores, bytes: the longest body packed and unpacked, nine
/// bytes for each of its bytes, what of it is to be written over, and what waits to be sent.
pub const MEMORY: usize = 16 * limits::BODY_BYTES;
const _: () = assert!(thread::MOST <= MEMORY);

/// What is to be captured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// For how long, seconds; at most [`limits::CAPTURE_SECONDS`].
    pub seconds: f64,
    /// How long the file may become, bytes.
    pub bytes: u64,
    /// One request in so many.
    pub every: u32,
}

impl Default for Ask {
    fn default() -> Ask {
        Ask { seconds: 10.0, bytes: 256 * 1024 * 1024, every: 1 }
    }
}

impl Ask {
    /// Why it cannot be, in one line.
    ///
    /// # Errors
    /// A value makes no sense.
    pub fn check(&self) -> Result<(), String> {
        let most = f64::from(limits::CAPTURE_SECONDS);
        if !(self.seconds > 0.0 && self.seconds <= most) {
            return Err(format!("seconds = {}: more than 0, and at most {most}", self.seconds));
        }
        match (self.bytes, self.every) {
            (0, _) => Err("bytes = 0: a file has some".into()),
            (_, 0) => Err("every = 0: one request in so many is captured, 1 for all".into()),
            _ => Ok(()),
        }
    }
}

/// Housekeeping's ends of one core.
#[derive(Debug)]
pub struct CoreEnds {
    orders: Sender<Order>,
    copies: Receiver<u8>,
    /// Of a copy that is not whole in the ring yet.
    head: Option<Head>,
    metrics: &'static CoreMetrics,
}

impl CoreEnds {
    /// Of a core that hears `orders`, copies into `copies` and counts in `metrics`.
    pub fn new(orders: Sender<Order>, copies: Receiver<u8>, metrics: &'static CoreMetrics) -> CoreEnds {
        CoreEnds { orders, copies, head: None, metrics }
    }

    /// The next copy, if it is there whole: its version and body go to `raw`.
    fn next(&mut self, raw: &mut Vec<u8>) -> Option<Head> {
        let head = match self.head.take() {
            Some(head) => head,
            None => {
                let mut bytes = [0; Head::BYTES];
                self.copies.fill(&mut bytes).then(|| Head::of(&bytes))?
            }
        };
        raw.resize(usize::from(head.version) + head.body as usize, 0);
        if self.copies.fill(raw) {
            Some(head)
        } else {
            self.head = Some(head);
            None
        }
    }
}

/// What a capture knows of the bidder.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its node.
    pub node: u16,
    /// Its exchanges by name, in the order of the configuration.
    pub exchanges: Vec<String>,
    /// The CPU of what is no bid core.
    pub cpu: usize,
}

/// Begins captures.
#[derive(Clone, Debug)]
pub struct Control {
    origin: Arc<Origin>,
    /// While none is on.
    ends: Arc<Mutex<Option<Vec<CoreEnds>>>>,
}

/// Why no capture begins.
#[derive(Debug)]
pub enum Refused {
    /// One is on.
    Busy,
    /// The kernel gives no thread, or no random bytes.
    Failed(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Busy => f.write_str("a capture is on already, and there is one at a time: wait for its end"),
            Refused::Failed(error) => write!(f, "cannot capture: {error}"),
        }
    }
}

impl Control {
    /// Over the rings of all bid cores.
    pub fn new(origin: Origin, ends: Vec<CoreEnds>) -> Control {
        Control { origin: Arc::new(origin), ends: Arc::new(Mutex::new(Some(ends))) }
    }

    /// Begins a capture. The file comes in pieces; whoever lets go of them ends it.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn begin(&self, ask: Ask) -> Result<mpsc::Receiver<Vec<u8>>, Refused> {
        let lock = || self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = lock().take().ok_or(Refused::Busy)?;
        let (pieces, file) = mpsc::channel(thread::PIECES);
        let (origin, home) = (Arc::clone(&self.origin), Arc::clone(&self.ends));
        thread::start(ask, origin, ends, pieces, home).map_err(|(error, ends)| {
            *lock() = ends;
            Refused::Failed(error)
        })?;
        Ok(file)
    }
}
