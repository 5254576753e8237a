//! The loop by itself, with short times: who does not go on, does not read, or says nothing, gives up what others need.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use corebid::bid::net::{Listener, Waiting};
use corebid::bid::server::{Backend, CoreNet, Counters, Served, Service, Token, Turn, run_core};
use corebid::ring::wake::{self, Wake as _, Waker};
use corebid::units::{Nanos, Now};
use corebid::wire::http::{self, answer};
use corebid::{bounds, limits};

use crate::support::PATIENCE;
use crate::{CROWD, on_both, take_little};

on_both! {
    a_request_that_does_not_come_whole_is_answered_408
    who_does_not_read_is_closed
    answer_buffers_are_taken_from_who_does_not_read
    memory_for_input_is_taken_from_who_has_had_it_for_longest
    silent_connections_make_room
    who_finds_no_place_is_closed_at_once
}

/// Answers `/big` with 50,000 bytes and all else with 204.
struct Large(Arc<AtomicBool>);

impl Service for Large {
    fn request(&mut self, _: Now, _: Nanos, _: Token, request: &http::Request<'_>, out: &mut [u8]) -> Served {
        if request.path == b"/big" {
            return Served::Done(answer::text(out, request.persistence, &[b'x'; 50_000], false).unwrap());
        }
        Served::Done(answer::no_content(out, request.persistence).unwrap())
    }

    fn turn(&mut self, _: Now, _: &Counters, _: &mut Vec<Token>) -> Turn {
        if self.0.load(Ordering::Relaxed) { Turn::Drain } else { Turn::Continue }
    }

    fn resume(&mut self, _: Now, _: Token, _: &mut [u8]) -> Served {
        unreachable!("nothing is parked")
    }

    fn forget(&mut self, _: Token) {}

    fn withdrawn(&mut self, _: Now) {}

    fn wake_at(&self, _: Now) -> Nanos {
        Nanos::NEVER
    }
}

struct Core {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<Counters>,
}

/// Times that never end, for what a test does not look at.
const EVER: u64 = 3_600 * Nanos::SECOND;

impl Core {
    fn start(backend: &str, core: CoreNet) -> Core {
        let backend = if backend == "epoll" { Backend::Epoll } else { Backend::IoUring };
        let core = CoreNet { backend, waiting: Waiting::Block, ..core };
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        let (waker, wakeup) = wake::pair().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let service = Large(Arc::clone(&stop));
        let thread = std::thread::spawn(move || run_core(&core, listener, wakeup, service, || {}).unwrap());
        Core { address, stop, waker, thread }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn stop(self) -> Counters {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        self.thread.join().unwrap()
    }
}

const WHOLE: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// Asks for a 204 and gets it.
#[track_caller]
fn asks(stream: &mut TcpStream) {
    stream.write_all(WHOLE).expect("it is heard");
    let mut bytes = [0; answer::NO_CONTENT.len()];
    stream.read_exact(&mut bytes).expect("it is answered");
    assert_eq!(bytes, answer::NO_CONTENT);
}

/// All that still comes, until the connection ends in whichever way.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it was not closed: {error}"),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether the connection has been closed.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let closed = match stream.peek(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "never saw {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const TIMED_OUT: &str = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn a_request_that_does_not_come_whole_is_answered_408(backend: &str) {
    let core = Core::start(backend, CoreNet { request_ns: 300 * Nanos::MS, idle_ns: EVER, ..CoreNet::default() });
    let (mut silent, mut busy) = (core.connect(), core.connect());
    let begun: Vec<TcpStream> = [
        &b"G"[..],
        b"POST /a HTTP/1.1\r\nContent-Le",
        b"POST /a HTTP/1.1\r\nContent-Length: 10\r\n\r\n123",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nTrailer: x",
        // A whole request before it changes nothing.
        b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n",
    ]
    .into_iter()
    .map(|bytes| {
        let mut stream = core.connect();
        stream.write_all(bytes).unwrap();
        stream
    })
    .collect();
    // A byte now and then makes a request no younger.
    let mut dribbling = core.connect();
    let mut sent = 0;
    let endless = "POST /a HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat(b'y'));
    for byte in endless {
        if dribbling.write_all(&[byte]).is_err() || is_closed(&dribbling) {
            break;
        }
        sent += 1;
        assert!(sent < 5_000, "a head may come for ever");
        std::thread::sleep(Duration::from_millis(5));
        if has_answer(&dribbling) {
            break;
        }
        asks(&mut busy);
    }
    assert!(rest(&mut dribbling).starts_with(TIMED_OUT));
    for (index, mut stream) in begun.into_iter().enumerate() {
        let whole = std::str::from_utf8(answer::NO_CONTENT).unwrap();
        let expected = if index == 5 { format!("{whole}{TIMED_OUT}") } else { TIMED_OUT.to_owned() };
        assert_eq!(rest(&mut stream), expected, "{index}");
    }
    // Who has not begun a request is not waited for, and who finishes each in time may take as long as it likes over many.
    asks(&mut silent);
    asks(&mut busy);
    let counters = core.stop();
    assert_eq!((counters.timed_out, counters.pressed, counters.idled), (7, 0, 0));
}

/// Sends requests until no more are taken, so that their answers cannot go out; reads nothing.
fn flood(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    take_little(&stream);
    (&stream).write_all(&LARGE.repeat(12)).unwrap();
    stream
}

const LARGE: &[u8] = b"GET /big HTTP/1.1\r\n\r\n";

fn who_does_not_read_is_closed(backend: &str) {
    let core = Core::start(backend, CoreNet { unread_ns: 300 * Nanos::MS, idle_ns: EVER, ..CoreNet::default() });
    let mut busy = core.connect();
    let deaf = flood(core.address);
    let mut late = core.connect();
    late.write_all(&LARGE.repeat(12)).unwrap();
    // Who reads before its time is up gets everything.
    let mut bytes = vec![0; 12 * 50_000];
    late.read_exact(&mut bytes).unwrap();
    eventually("the end of a peer that does not read", || {
        asks(&mut busy);
        // SAFETY: no pointer but one to a readable and writable int is passed; the descriptor is open.
        let state = unsafe {
            let mut info: libc::tcp_info = std::mem::zeroed();
            let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
            let info_ptr = (&raw mut info).cast();
            libc::getsockopt(deaf.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info_ptr, &raw mut length);
            info.tcpi_state
        };
        // Not ESTABLISHED: the other side has ended it.
        state != 1
    });
    assert_eq!(core.stop().unread, 1);
}

fn answer_buffers_are_taken_from_who_does_not_read(backend: &str) {
    let _turn = CROWD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    bounds::raise_descriptors();
    let core = Core::start(backend, CoreNet { unread_ns: EVER, idle_ns: EVER, ..CoreNet::default() });
    let mut busy = core.connect();
    let mut deaf = Vec::new();
    for _ in 0..limits::ANSWER_BUFFERS + 100 {
        deaf.push(flood(core.address));
        asks(&mut busy);
    }
    for _ in 0..100 {
        asks(&mut busy);
        asks(&mut core.connect());
    }
    drop(deaf);
    let counters = core.stop();
    assert!(counters.unread >= 100 && counters.starved > 0, "{counters:?}");
}

fn memory_for_input_is_taken_from_who_has_had_it_for_longest(backend: &str) {
    let _turn = CROWD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    bounds::raise_descriptors();
    let core = Core::start(backend, CoreNet { request_ns: EVER, idle_ns: EVER, ..CoreNet::default() });
    let mut busy = core.connect();
    let mut expected = 0;
    for (class, (size, places)) in limits::INPUTS.into_iter().enumerate() {
        // Half of what fits, which is more than a smaller place holds; a byte is missing.
        let body = vec![b' '; (size / 2).min(limits::BODY_BYTES - 1)];
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len() + 1);
        let whole = [head.as_bytes(), &body].concat();
        let mut begun = Vec::new();
        let first = core.connect();
        (&first).write_all(&whole).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        for _ in 0..places + 5 {
            let mut stream = core.connect();
            stream.write_all(&whole).unwrap();
            begun.push(stream);
            // A request in two pieces takes a place too, and gets its answer.
            busy.write_all(b"GET / HTTP/1.1\r\n").unwrap();
            asks_rest(&mut busy);
        }
        let mut first = first;
        first.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(rest(&mut first), TIMED_OUT, "class {class}");
        let mut ended = 0;
        eventually("the others beyond the places", || {
            ended = begun.iter().filter(|stream| is_closed(stream) || has_answer(stream)).count();
            ended >= 6 - 1
        });
        // Who came last is still waited for, and is answered when the rest is there.
        let mut last = begun.pop().unwrap();
        last.write_all(b" ").unwrap();
        let mut bytes = [0; answer::NO_CONTENT.len()];
        last.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, answer::NO_CONTENT);
        expected += 6;
    }
    let counters = core.stop();
    assert!(counters.pressed >= expected && counters.timed_out == 0, "{counters:?}");
}

fn has_answer(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let has = stream.peek(&mut [0]).is_ok_and(|count| count > 0);
    stream.set_nonblocking(false).unwrap();
    has
}

/// The second half of a request, and its answer.
#[track_caller]
fn asks_rest(stream: &mut TcpStream) {
    stream.write_all(b"\r\n").expect("it is heard");
    let mut bytes = [0; answer::NO_CONTENT.len()];
    stream.read_exact(&mut bytes).expect("it is answered");
}

fn silent_connections_make_room(backend: &str) {
    let core = Core::start(backend, CoreNet { connections: 64, idle_ns: EVER, ..CoreNet::default() });
    let mut busy = core.connect();
    asks(&mut busy);
    let silent: Vec<TcpStream> = (0..63).map(|_| core.connect()).collect();
    // One place in sixteen is made free again once they have been silent for a second.
    eventually("room", || {
        asks(&mut busy);
        silent.iter().filter(|stream| is_closed(stream)).count() == 4
    });
    for _ in 0..100 {
        asks(&mut core.connect());
        asks(&mut busy);
    }
    let counters = core.stop();
    assert!(counters.crowded >= 4 && counters.idled == 0, "{counters:?}");
}

fn who_finds_no_place_is_closed_at_once(backend: &str) {
    let core = Core::start(backend, CoreNet { connections: 32, idle_ns: EVER, ..CoreNet::default() });
    let mut busy: Vec<TcpStream> = (0..32).map(|_| core.connect()).collect();
    busy.iter_mut().for_each(asks);
    let mut late = core.connect();
    assert_eq!(rest(&mut late), "");
    busy.iter_mut().for_each(asks);
    // Who leaves makes room.
    busy.truncate(20);
    eventually("room", || {
        let mut stream = core.connect();
        let _ = stream.write_all(WHOLE);
        let mut bytes = [0; answer::NO_CONTENT.len()];
        stream.read_exact(&mut bytes).is_ok()
    });
    busy.iter_mut().for_each(asks);
    let counters = core.stop();
    assert!(counters.turned_away >= 1 && counters.crowded == 0, "{counters:?}");
}
