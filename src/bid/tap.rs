//! A capture, as far as a bid core goes: while one is on, a copy of each request leaves by a ring of its own.
//!
//! The copy is of what the framing found, before anything is decided, packed or unpacked: requests that are shed are in it too, for
//! they are load like the others. It goes as bytes, a [`Head`] and what it announces, so that a short request takes little room.
//! A thread of housekeeping takes it out of the ring, and out of it what could tell who is behind it ([`crate::capture`]).
//!
//! Without a capture a request pays for one comparison, and a turn of the loop for a look into a ring that is empty.

use crate::bid::server::Token;
use crate::limits;
use crate::metrics::core::CoreMetrics;
use crate::ring::spsc::{Receiver, Sender};
use crate::units::{ExchangeId, Nanos};
use crate::wire::http::{Encoding, Request};

/// What is to be captured from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The number of the capture; its copies carry it.
    pub capture: u32,
    /// One request in so many; 0 ends it.
    pub every: u32,
}

/// What goes before the version and the body of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The capture it is for.
    pub capture: u32,
    /// When the request arrived, as early as is known; boot clock.
    pub arrived: Nanos,
    /// The connection it came on: its place in the core's table, and which of those that had the place before.
    pub connection: u64,
    /// Whose it was, unless nobody's.
    pub exchange: Option<ExchangeId>,
    /// How the body that follows is packed.
    pub encoding: Encoding,
    /// Bytes of `x-openrtb-version`, which come first.
    pub version: u8,
    /// Bytes of the body.
    pub body: u32,
}

impl Head {
    /// Bytes in the ring.
    pub const BYTES: usize = 4 + 8 + 8 + 2 + 1 + 1 + 4;
    const NOBODY: u16 = u16::MAX;

    /// As it crosses.
    #[inline]
    pub fn bytes(&self) -> [u8; Head::BYTES] {
        let mut bytes = [0; Head::BYTES];
        let exchange = self.exchange.map_or(Head::NOBODY, |exchange| u16::from(exchange.0));
        let encoding = match self.encoding {
            Encoding::Identity => 0,
            Encoding::Gzip => 1,
            Encoding::Other => 2,
        };
        bytes[0..4].copy_from_slice(&self.capture.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.arrived.0.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.connection.to_le_bytes());
        bytes[20..22].copy_from_slice(&exchange.to_le_bytes());
        bytes[22] = encoding;
        bytes[23] = self.version;
        bytes[24..28].copy_from_slice(&self.body.to_le_bytes());
        bytes
    }

    /// As it was.
    pub fn of(bytes: &[u8; Head::BYTES]) -> Head {
        fn part<const N: usize>(bytes: &[u8; Head::BYTES], at: usize) -> [u8; N] {
            *bytes[at..].first_chunk().expect("it is within the head")
        }
        let exchange = u16::from_le_bytes(part(bytes, 20));
        Head {
            capture: u32::from_le_bytes(part(bytes, 0)),
            arrived: Nanos(u64::from_le_bytes(part(bytes, 4))),
            connection: u64::from_le_bytes(part(bytes, 12)),
            exchange: (exchange != Head::NOBODY).then_some(ExchangeId(exchange as u8)),
            encoding: match bytes[22] {
                0 => Encoding::Identity,
                1 => Encoding::Gzip,
                _ => Encoding::Other,
            },
            version: bytes[23],
            body: u32::from_le_bytes(part(bytes, 24)),
        }
    }
}

/// A bid core's end of captures.
#[derive(Debug)]
pub struct Tap {
    orders: Receiver<Order>,
    ring: Sender<u8>,
    capture: u32,
    /// One request in so many is copied; 0 for none.
    every: u32,
    left: u32,
}

impl Tap {
    /// Copies into `ring` what `orders` say.
    pub fn new(orders: Receiver<Order>, ring: Sender<u8>) -> Tap {
        Tap { orders, ring, capture: 0, every: 0, left: 0 }
    }

    /// Once a turn: a capture may have begun or ended.
    #[inline]
    pub fn heed(&mut self) {
        while let Some(Order { capture, every }) = self.orders.take() {
            (self.capture, self.every, self.left) = (capture, every, every);
        }
    }

    /// Whether this request is to be copied.
    #[inline(always)]
    pub fn is_due(&mut self) -> bool {
        self.every != 0 && self.count()
    }

    #[inline(never)]
    fn count(&mut self) -> bool {
        self.left -= 1;
        let due = self.left == 0;
        if due {
            self.left = self.every;
        }
        due
    }

    /// Copies a request. What finds no room is lost, and counted.
    #[inline(never)]
    pub fn copy(
        &mut self,
        arrived: Nanos,
        connection: Token,
        exchange: Option<ExchangeId>,
        request: &Request<'_>,
        metrics: &CoreMetrics,
    ) {
        let Request { body, openrtb_version: version, encoding, .. } = *request;
        let version = if version.len() <= limits::VERSION_BYTES { version } else { b"" };
        if !self.ring.has_room(Head::BYTES + version.len() + body.len()) {
            metrics.capture_lost.add(1);
            return;
        }
        let head = Head {
            capture: self.capture,
            arrived,
            connection: connection.0,
            exchange,
            encoding,
            version: version.len() as u8,
            body: body.len() as u32,
        };
        for part in [&head.bytes()[..], version, body] {
            self.ring.offer_all(part).expect("room was asked for");
        }
        metrics.captured.add(1);
    }
}

const _: () = assert!(limits::CAPTURE_RING > 2 * (Head::BYTES + limits::VERSION_BYTES + limits::BODY_BYTES));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::spsc;
    use crate::wire::http::{Method, Persistence};

    fn request(body: &[u8]) -> Request<'_> {
        Request {
            method: Method::Post,
            path: b"/openrtb/generic",
            body,
            debug: false,
            openrtb_version: b"2.6",
            encoding: Encoding::Gzip,
            accepts_gzip: false,
            persistence: Persistence::Keep,
        }
    }

    #[test]
    fn one_request_in_so_many_is_copied_while_a_capture_is_on() {
        let (mut orders, ordered) = spsc::ring(limits::CAPTURE_ORDERS);
        let (sender, mut copies) = spsc::ring(limits::CAPTURE_RING);
        let mut tap = Tap::new(ordered, sender);
        assert!((0..10).all(|_| !tap.is_due()));
        orders.offer(Order { capture: 7, every: 3 }).unwrap();
        tap.heed();
        assert_eq!((0..10).filter(|_| tap.is_due()).count(), 3);
        let metrics = CoreMetrics::default();
        tap.copy(Nanos(5), Token(9), Some(ExchangeId(2)), &request(b"{}"), &metrics);
        let mut bytes = [0; Head::BYTES];
        assert!(copies.fill(&mut bytes));
        let head = Head {
            capture: 7,
            arrived: Nanos(5),
            connection: 9,
            exchange: Some(ExchangeId(2)),
            encoding: Encoding::Gzip,
            version: 3,
            body: 2,
        };
        assert_eq!(Head::of(&bytes), head);
        let mut rest = [0; 5];
        assert!(copies.fill(&mut rest) && !copies.fill(&mut [0]));
        assert_eq!(&rest, b"2.6{}");
        orders.offer(Order { capture: 7, every: 0 }).unwrap();
        tap.heed();
        assert!(!tap.is_due());
    }

    #[test]
    fn a_full_ring_loses_whole_requests_and_counts_them() {
        let (mut orders, ordered) = spsc::ring(limits::CAPTURE_ORDERS);
        let (sender, copies) = spsc::ring(Head::BYTES + 3 + 10);
        let mut tap = Tap::new(ordered, sender);
        orders.offer(Order { capture: 1, every: 1 }).unwrap();
        tap.heed();
        let metrics = CoreMetrics::default();
        for body in [&b"0123456789x"[..], b"0123456789", b""] {
            tap.copy(Nanos(1), Token(0), None, &request(body), &metrics);
        }
        assert_eq!((metrics.captured.get(), metrics.capture_lost.get()), (1, 2));
        assert_eq!(copies.waiting(), Head::BYTES + 3 + 10);
    }
}
