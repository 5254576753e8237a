//! The thread of one capture: takes copies out of the rings, redacts them, and hands the file on in pieces.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::format::{self, Captured, Foot};
use super::pseudonym::Pseudonyms;
use super::redact::Redactor;
use super::{Ask, CoreEnds, Origin};
use crate::bid::tap::{Head, Order};
use crate::clock;
use crate::limits;
use crate::topology;
use crate::units::Nanos;
use crate::wire::gzip::Inflater;
use crate::wire::http::Encoding;

/// Pieces of the file that may wait to be sent.
pub(super) const PIECES: usize = 4;
/// A piece that is sent at once, bytes.
const PIECE: usize = 64 * 1024;
/// Between two looks into empty rings: a core's ring holds what comes in many of these ([`limits::CAPTURE_RING`]).
const PERIOD: Duration = Duration::from_millis(1);
/// What is captured is sent after this time, however little it is, ns.
const LINGER_NS: u64 = 100 * Nanos::MS;
/// A core that has connections hears of an order within [`limits::BEAT_NS`], one that is stalled later: it is not waited for for longer, ns.
const PATIENCE_NS: u64 = Nanos::SECOND;
/// Requests taken from one core before the next one's turn.
const BATCH: usize = 256;

/// What is not sent may be so long, bytes: nothing is taken up beyond two pieces, and one frame and the foot follow.
const UNSENT: usize = 2 * PIECE + format::FRAME;
/// The request in hand, bytes.
const RAW: usize = limits::VERSION_BYTES + limits::BODY_BYTES;
/// All that one capture takes, bytes. A body that came in gzip stands in the inflater and in a copy that is written over; of the pieces
/// one is on its way to the peer, and the room of another is for the tables of gzip.
pub(super) const MOST: usize =
    RAW + 2 * limits::BODY_BYTES + Redactor::memory(limits::BODY_BYTES) + UNSENT + (PIECES + 2) * PIECE;

/// Where the ends wait for the next capture.
type Home = Arc<Mutex<Option<Vec<CoreEnds>>>>;

/// Starts it. The ends come back if it does not start.
pub(super) fn start(
    ask: Ask,
    origin: Arc<Origin>,
    ends: Vec<CoreEnds>,
    pieces: mpsc::Sender<Vec<u8>>,
    home: Home,
) -> Result<(), (io::Error, Option<Vec<CoreEnds>>)> {
    let pseudonyms = match Pseudonyms::random() {
        Ok(pseudonyms) => pseudonyms,
        Err(error) => return Err((error, Some(ends))),
    };
    // A thread that is not made drops what it was to own.
    let waiting = Arc::new(Mutex::new(Some(ends)));
    let given = Arc::clone(&waiting);
    let spawned = std::thread::Builder::new().name("capture".into()).spawn(move || {
        let Some(ends) = given.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        topology::pin_beside(origin.cpu, "the capture");
        let mut capture = Capture::new(ask, ends, pieces, pseudonyms);
        capture.run(&origin);
        *home.lock().unwrap_or_else(PoisonError::into_inner) = Some(capture.ends);
    });
    match spawned {
        Ok(_) => Ok(()),
        Err(error) => Err((error, waiting.lock().unwrap_or_else(PoisonError::into_inner).take())),
    }
}

/// Whether a capture goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    On,
    /// Whoever asked for it is gone.
    Gone,
}

struct Capture {
    number: u32,
    ask: Ask,
    ends: Vec<CoreEnds>,
    pieces: mpsc::Sender<Vec<u8>>,
    redactor: Redactor,
    inflater: Inflater,
    /// The request in hand: version and body.
    raw: Vec<u8>,
    /// What is not sent.
    out: Vec<u8>,
    /// Bytes of the file so far.
    length: u64,
    began: Nanos,
    end: Nanos,
    foot: Foot,
}

impl Capture {
    fn new(ask: Ask, ends: Vec<CoreEnds>, pieces: mpsc::Sender<Vec<u8>>, pseudonyms: Pseudonyms) -> Capture {
        // What an earlier capture left in a ring has another number: it began at another time.
        let number = clock::boot().0 as u32;
        Capture {
            number,
            ask,
            ends,
            pieces,
            redactor: Redactor::new(limits::BODY_BYTES, pseudonyms),
            inflater: Inflater::new(limits::BODY_BYTES),
            raw: Vec::with_capacity(RAW),
            out: Vec::with_capacity(UNSENT),
            length: 0,
            began: Nanos(0),
            end: Nanos(0),
            foot: Foot::default(),
        }
    }

    fn run(&mut self, origin: &Origin) {
        let lost = self.lost();
        self.order(self.ask.every);
        self.began = clock::boot();
        self.end = self.began.after((self.ask.seconds * Nanos::SECOND as f64) as u64);
        let head = format::Head {
            began_ms: clock::wall().0,
            node: origin.node,
            cores: self.ends.len() as u16,
            every: self.ask.every,
            exchanges: origin.exchanges.clone(),
        };
        format::head(&head, &mut self.out);
        log::info!("a capture begins: one request in {} for {} s", self.ask.every, self.ask.seconds);
        // The head goes at once: who reads it knows that the capture is on.
        let mut going = self.send(true);
        let mut sent = self.began;
        loop {
            let now = clock::boot();
            let is_over = now >= self.end || self.is_full();
            if going == Going::Gone
                || self.pieces.is_closed()
                || is_over
                || self.ends.iter().any(|core| core.copies.is_abandoned())
            {
                break;
            }
            let taken = self.take();
            let late = now.since(sent) >= LINGER_NS;
            if late {
                sent = now;
            }
            going = self.send(late);
            if taken == 0 {
                pause();
            }
        }
        self.end = self.end.min(clock::boot());
        self.order(0);
        going = self.finish(going);
        self.drain();
        self.foot.length_ns = self.end.since(self.began);
        self.foot.lost += self.lost() - lost;
        format::foot(&self.foot, &mut self.out);
        let until = clock::boot().after(PATIENCE_NS);
        while going == Going::On && !self.out.is_empty() && clock::boot() < until {
            going = self.send(true);
            if !self.out.is_empty() {
                pause();
            }
        }
        let Foot { captured, lost, withheld, .. } = self.foot;
        log::info!(
            "the capture ends: {captured} requests, {withheld} of them without their bodies; {lost} more were lost"
        );
    }

    /// Requests that all cores have lost, ever.
    fn lost(&self) -> u64 {
        self.ends.iter().map(|core| core.metrics.capture_lost.get()).sum()
    }

    /// Tells every core, and waits until all have heard.
    fn order(&mut self, every: u32) {
        for core in &mut self.ends {
            if core.orders.offer(Order { capture: self.number, every }).is_err() {
                log::warn!("a bid core does not hear that a capture begins or ends");
            }
        }
        let until = clock::boot().after(PATIENCE_NS);
        // A core that is gone hears nothing any more.
        let waits = |core: &CoreEnds| core.orders.unread() > 0 && !core.orders.is_abandoned();
        while self.ends.iter().any(waits) && clock::boot() < until {
            pause();
        }
    }

    /// Whether the file is as long as it may become.
    fn is_full(&self) -> bool {
        self.length + self.out.len() as u64 >= self.ask.bytes
    }

    /// Whether a copy is of a request that came while this capture was on.
    fn is_of_it(&self, head: Head) -> bool {
        head.capture == self.number && head.arrived >= self.began && head.arrived < self.end
    }

    /// Takes what has come, a batch from each core, unless as much waits to be sent as may. How many requests it was.
    fn take(&mut self) -> usize {
        let mut taken = 0;
        for core in 0..self.ends.len() {
            for _ in 0..BATCH {
                if self.out.len() >= 2 * PIECE {
                    return taken;
                }
                let Some(head) = self.ends[core].next(&mut self.raw) else { break };
                taken += 1;
                match self.is_full() {
                    _ if !self.is_of_it(head) => {}
                    true => self.foot.lost += 1,
                    false => self.write(core, head),
                }
            }
        }
        taken
    }

    /// What the cores had copied when they heard that it is over is the rest of the file, if it is read in time.
    fn finish(&mut self, mut going: Going) -> Going {
        let until = clock::boot().after(PATIENCE_NS);
        while going == Going::On && clock::boot() < until {
            let taken = self.take();
            going = self.send(false);
            if taken == 0 && self.out.len() < 2 * PIECE {
                break;
            }
            if taken == 0 {
                pause();
            }
        }
        going
    }

    /// What is left in the rings is lost; the next capture would have to go through it first.
    fn drain(&mut self) {
        for core in 0..self.ends.len() {
            // So much waited at most; what a core that did not hear adds meanwhile came too late.
            let mut left = limits::CAPTURE_RING;
            while left > 0 {
                let Some(head) = self.ends[core].next(&mut self.raw) else { break };
                left = left.saturating_sub(Head::BYTES + self.raw.len());
                self.foot.lost += u64::from(self.is_of_it(head));
            }
        }
    }

    /// Adds the request in hand to the file, without what identifies.
    fn write(&mut self, core: usize, head: Head) {
        let (version, body) = self.raw.split_at_mut(head.version.into());
        let is_version = version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        let mut unpacked = Vec::new();
        let (body, is_read) = match head.encoding {
            Encoding::Identity => (body, true),
            Encoding::Other => (body, false),
            Encoding::Gzip => match self.inflater.inflate(body) {
                Ok(plain) => {
                    unpacked.extend_from_slice(plain);
                    (&mut unpacked[..], true)
                }
                Err(_) => (body, false),
            },
        };
        let withheld = !is_read || self.redactor.redact(body).is_err();
        self.foot.captured += 1;
        self.foot.withheld += u64::from(withheld);
        let captured = Captured {
            offset_ns: head.arrived.since(self.began),
            connection: head.connection << 8 | core as u64,
            exchange: head.exchange.map(|exchange| exchange.0.into()),
            gzip: head.encoding == Encoding::Gzip,
            withheld,
            version: if is_version { &*version } else { b"" },
            body: &*body,
        };
        format::request(&captured, &mut self.out);
    }

    /// Sends whole pieces, and the rest too if it is `all` to go. What finds no place stays.
    fn send(&mut self, all: bool) -> Going {
        while self.out.len() >= PIECE || (all && !self.out.is_empty()) {
            let place = match self.pieces.try_reserve() {
                Ok(place) => place,
                Err(TrySendError::Full(())) => return Going::On,
                Err(TrySendError::Closed(())) => return Going::Gone,
            };
            let length = self.out.len().min(PIECE);
            // A copy takes the room it needs, and the room here stays.
            let piece = self.out[..length].to_vec();
            self.out.drain(..length);
            self.length += length as u64;
            place.send(piece);
        }
        Going::On
    }
}

/// Nobody waits for this thread.
#[allow(clippy::disallowed_methods, reason = "there is no event to wait for: a core does not wake whom it copies for")]
fn pause() {
    std::thread::sleep(PERIOD);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::core::CoreMetrics;
    use crate::ring::spsc;
    use crate::units::ExchangeId;

    #[test]
    fn what_a_slow_reader_leaves_in_the_rings_is_lost_and_counted() {
        const COUNT: u64 = 300;
        let (orders, _ordered) = spsc::ring(limits::CAPTURE_ORDERS);
        let (mut copying, copies) = spsc::ring(limits::CAPTURE_RING);
        let metrics: &'static CoreMetrics = Box::leak(Box::new(CoreMetrics::default()));
        let (pieces, mut file) = mpsc::channel(PIECES);
        let ends = vec![CoreEnds::new(orders, copies, metrics)];
        let mut capture = Capture::new(Ask::default(), ends, pieces, Pseudonyms::random().unwrap());
        capture.end = Nanos(100);
        let body = format!("{{\"pad\":\"{}\"}}", "x".repeat(4_000));
        for number in 0..=COUNT {
            let head = Head {
                capture: capture.number,
                // One came when it was over.
                arrived: Nanos(if number == COUNT { 100 } else { 50 }),
                connection: 0,
                exchange: Some(ExchangeId(0)),
                encoding: Encoding::Identity,
                version: 0,
                body: body.len() as u32,
            };
            copying.offer_all(&head.bytes()).unwrap();
            copying.offer_all(body.as_bytes()).unwrap();
        }
        assert_eq!(capture.finish(Going::On), Going::On);
        capture.drain();
        let Foot { captured, lost, .. } = capture.foot;
        assert!(captured > 0 && lost > 0 && captured + lost == COUNT, "{captured} and {lost}");
        assert_eq!(capture.ends[0].copies.waiting(), 0);
        let piece = file.try_recv().unwrap();
        assert!(piece.len() == PIECE && piece.capacity() < 2 * PIECE);
    }
}
