//! One connection: TLS is ended, requests are read whole and passed on one at a time, and each answer goes back as it came.
//!
//! The bid port sees a connection of its own for each, whose requests are never cut and never broken. What it would refuse
//! for its framing is refused here, with the same bytes.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::bucket::Bucket;
use super::counts::{Ending, IngressCounts};
use crate::clock;
use crate::lab::answer::{self as answers, Parsed as Answered};
use crate::limits;
use crate::wire::http::answer::{self, Empty};
use crate::wire::http::{self, Method, Parsed, Persistence, Progress};

/// The longest request, bytes.
const REQUEST_BYTES: usize = limits::HEAD_BYTES + http::CODED_BYTES + limits::HEAD_BYTES;
/// Bytes that are asked of a connection at once.
const READ_BYTES: usize = 16 * 1024;
/// How long the bid port may take: a notice waits for the disk.
const ANSWER: Duration = Duration::from_nanos(limits::NOTICE_NS + 1_000_000_000);
/// How long a connection is read from after its last answer, so that it is not lost to a reset; and how much is thrown away.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 2 * limits::BODY_BYTES;
/// The first byte of TLS: a record of the handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

const PLAIN: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 29\r\nConnection: close\r\n\r\n\
                       This port speaks HTTPS only.\n";

/// What the connections of an ingress have in common.
pub(super) struct Common {
    /// The bid port.
    pub(super) bid: SocketAddr,
    pub(super) counts: Arc<IngressCounts>,
    pub(super) requests: RefCell<Bucket>,
    /// Places for requests longer than [`limits::INGRESS_REQUEST`].
    pub(super) long: Arc<Semaphore>,
    /// Where chunked bodies are put together to see where they end.
    pub(super) scratch: RefCell<Vec<u8>>,
    pub(super) idle: Duration,
    pub(super) handshake: Duration,
}

/// Told, by its end, that the ingress is closed.
pub(super) type Open = watch::Receiver<()>;

/// Serves a connection until it ends.
pub(super) async fn serve(stream: TcpStream, acceptor: TlsAcceptor, common: &Common, mut open: Open) -> Ending {
    // Not having it costs latency only.
    let _ = stream.set_nodelay(true);
    let accepted = tokio::select! {
        accepted = timeout(common.handshake, handshake(stream, acceptor)) => accepted,
        _ = open.changed() => return Ending::Closed,
    };
    match accepted {
        Ok(Ok(tls)) => Relay { tls, common, open, input: Input::default(), bid: None, answer: Vec::new() }.run().await,
        Ok(Err(ending)) => ending,
        Err(_) => Ending::Handshake,
    }
}

async fn handshake(mut stream: TcpStream, acceptor: TlsAcceptor) -> Result<TlsStream<TcpStream>, Ending> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if first == [HANDSHAKE_RECORD] => acceptor.accept(stream).await.map_err(|_| Ending::Handshake),
        Ok(1) if first[0].is_ascii_uppercase() => {
            if stream.write_all(PLAIN).await.is_ok() {
                linger(&mut stream).await;
            }
            Err(Ending::Plain)
        }
        Ok(0) => Err(Ending::Peer),
        _ => Err(Ending::Handshake),
    }
}

/// Says that this was all, and reads on for a while.
async fn linger<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: &mut S) {
    let mut discarded = 0;
    let mut bytes = vec![0; READ_BYTES];
    let drain = async {
        stream.shutdown().await?;
        while discarded < LINGER_BYTES {
            match stream.read(&mut bytes).await? {
                0 => break,
                read => discarded += read,
            }
        }
        io::Result::Ok(())
    };
    let _ = timeout(LINGER, drain).await;
}

struct Relay<'c> {
    tls: TlsStream<TcpStream>,
    common: &'c Common,
    open: Open,
    input: Input,
    /// The connection to the bid port, once there was something to ask.
    bid: Option<TcpStream>,
    answer: Vec<u8>,
}

/// What was read and not passed on.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    start: usize,
    progress: Progress,
    /// Held while it is long.
    long: Option<OwnedSemaphorePermit>,
}

/// What the input begins with.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
enum Next {
    Request(Whole),
    Partial { proceed: bool },
    Refused(http::Status),
}

/// A request.
struct Whole {
    length: usize,
    is_bid: bool,
    is_head: bool,
    persistence: Persistence,
    /// The answer if there are too many.
    no_bid: ([u8; answer::LONGEST_EMPTY], usize),
}

impl Relay<'_> {
    async fn run(mut self) -> Ending {
        loop {
            let ending = match self.request().await {
                Err(ending) => ending,
                Ok(whole) => match self.answer(&whole).await {
                    Ok(Persistence::Close) => Ending::Answered,
                    Ok(_) => continue,
                    Err(ending) => ending,
                },
            };
            match ending {
                Ending::Peer | Ending::Idle => {}
                _ => linger(&mut self.tls).await,
            }
            return ending;
        }
    }

    /// The next request, whole.
    async fn request(&mut self) -> Result<Whole, Ending> {
        let idle = Instant::now() + self.common.idle;
        let mut until = None;
        loop {
            if !self.input.is_empty() {
                match self.input.next(&self.common.scratch) {
                    Next::Request(whole) => return Ok(whole),
                    Next::Partial { proceed: false } => {}
                    Next::Partial { proceed: true } => self.write(answer::CONTINUE).await?,
                    Next::Refused(status) => return Err(self.refuse(status.into(), Ending::Refused).await),
                }
                until = until.or_else(|| Some(Instant::now() + Duration::from_nanos(limits::REQUEST_NS)));
            }
            let begun = until.is_some();
            let more = async {
                self.input.make_room(&self.common.long).await;
                self.tls.read_buf(&mut self.input.bytes).await
            };
            let read = tokio::select! {
                read = timeout_at(until.unwrap_or(idle), more) => read,
                _ = self.open.changed(), if !begun => return Err(Ending::Closed),
            };
            match read {
                Ok(Ok(0) | Err(_)) => return Err(Ending::Peer),
                Ok(Ok(_)) => {}
                Err(_) if begun => return Err(self.refuse(Empty::RequestTimeout, Ending::Slow).await),
                Err(_) => return Err(Ending::Idle),
            }
        }
    }

    /// Answers it; what becomes of the connection.
    async fn answer(&mut self, whole: &Whole) -> Result<Persistence, Ending> {
        let Common { counts, requests, .. } = self.common;
        counts.requests.add(1);
        if whole.is_bid && !requests.borrow_mut().take(clock::boot()) {
            counts.limited.add(1);
            self.input.consume(whole.length);
            let (bytes, length) = &whole.no_bid;
            self.write(&bytes[..*length]).await?;
            return Ok(whole.persistence);
        }
        let asked = timeout(ANSWER, self.ask(whole)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        self.input.consume(whole.length);
        let Ok(closes) = asked else {
            self.bid = None;
            return Err(self.refuse(Empty::Unavailable, Ending::Unanswered).await);
        };
        let bytes = std::mem::take(&mut self.answer);
        self.write(&bytes).await?;
        self.answer = bytes;
        Ok(if closes { Persistence::Close } else { whole.persistence })
    }

    /// Passes a request on, and reads the answer; whether the bid port closes after it.
    async fn ask(&mut self, whole: &Whole) -> io::Result<bool> {
        // One that the bid port has closed meanwhile is no failure.
        let mut bid = match self.bid.take().filter(is_open) {
            Some(bid) => bid,
            None => {
                let bid = TcpStream::connect(self.common.bid).await?;
                bid.set_nodelay(true)?;
                bid
            }
        };
        bid.write_all(&self.input.unread()[..whole.length]).await?;
        self.answer.clear();
        loop {
            if self.answer.len() > limits::ANSWER_BUFFER {
                return Err(io::Error::other("a longer answer than the bid port gives"));
            }
            self.answer.reserve(READ_BYTES);
            if bid.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match whole_answer(&self.answer, whole.is_head) {
                Some((length, closes)) if length == self.answer.len() => {
                    self.bid = Some(bid).filter(|_| !closes);
                    return Ok(closes);
                }
                Some(_) => return Err(io::Error::other("more than one answer")),
                None => {}
            }
        }
    }

    /// Answers with a status, the last there is.
    async fn refuse(&mut self, status: Empty, ending: Ending) -> Ending {
        let mut out = [0; answer::LONGEST_EMPTY];
        let length = answer::empty(&mut out, status, Persistence::Close).unwrap_or(0);
        self.write(&out[..length]).await.map_or_else(|gone| gone, |()| ending)
    }

    /// Writes to a peer that reads.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        let written = async {
            self.tls.write_all(bytes).await?;
            self.tls.flush().await
        };
        match timeout(self.common.idle, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ending::Peer),
            Err(_) => Err(Ending::Idle),
        }
    }
}

/// Whether a connection on which nothing is expected is still there.
fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Length of the answer that these bytes begin with, if it is whole, and whether the connection is closed after it.
fn whole_answer(bytes: &[u8], is_head: bool) -> Option<(usize, bool)> {
    if is_head {
        // Its length is that of a body that is not sent.
        let end = memmem::find(bytes, b"\r\n\r\n")? + 4;
        let closes = memmem::find(&bytes[..end], b"\r\nConnection: close\r\n").is_some();
        return Some((end, closes));
    }
    match answers::parse(bytes) {
        Answered::Answer(answer, length) => Some((length, answer.close)),
        Answered::Incomplete => None,
        // Longer than anything: the caller gives up.
        Answered::Broken => Some((usize::MAX, true)),
    }
}

impl Input {
    fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn next(&mut self, scratch: &RefCell<Vec<u8>>) -> Next {
        let Input { bytes, start, progress, .. } = self;
        match http::parse(&bytes[*start..], progress, &mut scratch.borrow_mut()) {
            Parsed::Request { request, consumed } => {
                let mut no_bid = [0; answer::LONGEST_EMPTY];
                let length = answer::no_bid(&mut no_bid, request.persistence, request.openrtb_version, None);
                Next::Request(Whole {
                    length: consumed,
                    is_bid: request.path.starts_with(b"/openrtb/"),
                    is_head: request.method == Method::Head,
                    persistence: request.persistence,
                    no_bid: (no_bid, length.unwrap_or(0)),
                })
            }
            Parsed::Partial { proceed } => Next::Partial { proceed },
            Parsed::Refused(status) => Next::Refused(status),
        }
    }

    /// Room for more. A request that is long waits until few enough are.
    async fn make_room(&mut self, long: &Arc<Semaphore>) {
        self.bytes.drain(..self.start);
        self.start = 0;
        if self.bytes.len() == self.bytes.capacity() {
            let room = (2 * self.bytes.len()).clamp(READ_BYTES, REQUEST_BYTES + READ_BYTES);
            if room > limits::INGRESS_REQUEST && self.long.is_none() {
                // It is never closed.
                self.long = long.clone().acquire_owned().await.ok();
            }
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }

    /// Forgets a request that is done.
    fn consume(&mut self, length: usize) {
        self.start += length;
        self.progress = Progress::default();
        // What follows a long request is no longer than what is read at once.
        if self.long.is_some() {
            self.bytes.drain(..self.start);
            self.start = 0;
            self.bytes.shrink_to(READ_BYTES);
            self.long = None;
        }
    }
}
