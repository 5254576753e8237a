//! What a peer sees of the loop and its framing, on both backends: the same tests, over loopback.

#![expect(clippy::disallowed_methods, reason = "a peer waits, and is slow on purpose")]

mod reference;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use corebid::bid::net::{Listener, Waiting};
use corebid::bid::server::{Backend, CoreNet, Counters, Served, Service, Token, Turn, run_core};
use corebid::limits;
use corebid::ring::wake::{self, Wake as _, Waker};
use corebid::units::{Nanos, Now};
use corebid::wire::http::{self, Persistence, answer};

/// What a test and the service on the core's thread share.
#[derive(Default)]
struct Control {
    stop: AtomicBool,
    /// Parked requests, by the path they were parked under, with what their answer must say.
    parked: Mutex<Vec<(String, Token, Persistence)>>,
    /// Paths whose parked requests are to be answered.
    release: Mutex<Vec<String>>,
    forgotten: AtomicU64,
    withdrawn: AtomicU64,
    turns: AtomicU64,
    answered: AtomicU64,
    paused: AtomicU64,
}

struct Probe {
    control: Arc<Control>,
    persistence: Vec<(Token, String, Persistence)>,
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What the probe says of a request.
fn said(path: &str, body: &[u8]) -> String {
    format!("{path} {} {:x}", body.len(), checksum(body))
}

fn write(response: &mut [u8], persistence: Persistence, text: &[u8]) -> usize {
    answer::text(response, persistence, text, false).expect("room for an answer")
}

impl Service for Probe {
    fn request(
        &mut self,
        now: Now,
        arrived: Nanos,
        token: Token,
        request: &http::Request<'_>,
        out: &mut [u8],
    ) -> Served {
        assert!(arrived <= now.boot);
        let path = String::from_utf8_lossy(request.path).into_owned();
        let text = said(&path, request.body);
        if path.starts_with("/park") {
            self.persistence.push((token, text, request.persistence));
            self.control.parked.lock().unwrap().push((path, token, request.persistence));
            return Served::Parked;
        }
        match path.as_str() {
            "/none" => Served::Done(answer::no_content(out, request.persistence).unwrap()),
            "/fill" => Served::Done(write(out, request.persistence, &[b'f'; 3000])),
            "/big" => Served::Done(write(out, request.persistence, &vec![b'x'; 20_000])),
            "/bid/late" => {
                Served::Bid { length: write(out, request.persistence, &[b'l'; 1000]), valid_until: Nanos(1) }
            }
            "/bid/soon" => Served::Bid {
                length: write(out, request.persistence, &[b's'; 500]),
                valid_until: now.boot.after(20 * Nanos::MS),
            },
            "/bid/timely" => {
                Served::Bid { length: write(out, request.persistence, &[b't'; 100]), valid_until: Nanos::NEVER }
            }
            _ => Served::Done(write(out, request.persistence, text.as_bytes())),
        }
    }

    fn turn(&mut self, _: Now, counters: &Counters, ready: &mut Vec<Token>) -> Turn {
        self.control.turns.store(counters.turns, Ordering::Relaxed);
        self.control.answered.store(counters.answered, Ordering::Relaxed);
        self.control.paused.store(counters.paused, Ordering::Relaxed);
        let mut parked = self.control.parked.lock().unwrap();
        for path in self.control.release.lock().unwrap().drain(..) {
            if let Some(at) = parked.iter().position(|(name, ..)| *name == path) {
                ready.push(parked.remove(at).1);
            }
        }
        if self.control.stop.load(Ordering::Relaxed) { Turn::Drain } else { Turn::Continue }
    }

    fn resume(&mut self, _: Now, token: Token, out: &mut [u8]) -> Served {
        let at = self.persistence.iter().position(|(parked, ..)| *parked == token).expect("a parked request");
        let (_, text, persistence) = self.persistence.remove(at);
        Served::Done(write(out, persistence, text.as_bytes()))
    }

    fn forget(&mut self, token: Token) {
        self.persistence.retain(|(parked, ..)| *parked != token);
        self.control.forgotten.fetch_add(1, Ordering::Relaxed);
    }

    fn withdrawn(&mut self, _: Now) {
        self.control.withdrawn.fetch_add(1, Ordering::Relaxed);
    }

    fn wake_at(&self, _: Now) -> Nanos {
        Nanos::NEVER
    }
}

struct Core {
    address: SocketAddr,
    control: Arc<Control>,
    waker: Waker,
    thread: Option<JoinHandle<Counters>>,
}

impl Core {
    fn start(backend: Backend) -> Core {
        Core::with(&CoreNet { backend, waiting: Waiting::Block, ..CoreNet::default() })
    }

    fn with(core: &CoreNet) -> Core {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        let (waker, wakeup) = wake::pair().unwrap();
        let control = Arc::new(Control::default());
        let probe = Probe { control: Arc::clone(&control), persistence: Vec::new() };
        let core = *core;
        let thread = std::thread::spawn(move || run_core(&core, listener, wakeup, probe, || {}).unwrap());
        Core { address, control, waker, thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn release(&self, path: &str) {
        self.control.release.lock().unwrap().push(path.to_owned());
        self.waker.wake();
    }

    fn await_parked(&self, count: usize) {
        wait_for(|| self.control.parked.lock().unwrap().len() == count);
    }

    fn stop(mut self) -> Counters {
        self.control.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        self.thread.take().unwrap().join().unwrap()
    }
}

fn wait_for(condition: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not come about");
}

/// Reads one answer: status and content.
fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).expect("an answer"), 1, "closed after {:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head[9..12].parse().unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length:")).map_or(0, |n| n.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (status, String::from_utf8(body).unwrap())
}

/// Whether the peer has closed, and sent nothing before.
fn closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => rest.is_empty(),
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    [format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn chunked(path: &str, body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(size) {
        bytes.extend(format!("{:X};ext=\"1\"\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\nTrailer: ignored\r\n\r\n");
    bytes
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 + index / 251) as u8).collect()
}

/// The same test on each backend.
macro_rules! on_both {
    ($($(#[$attribute:meta])* $name:ident($backend:ident) $body:block)*) => {
        $(fn $name($backend: Backend) $body)*
        mod io_uring { $($(#[$attribute])* #[test] fn $name() { super::$name(super::Backend::IoUring) })* }
        mod epoll { $($(#[$attribute])* #[test] fn $name() { super::$name(super::Backend::Epoll) })* }
    };
}

on_both! {
    a_request_may_come_byte_by_byte(backend) {
        let core = Core::start(backend);
        let mut stream = core.connect();
        for bytes in [post("/a", b"hello"), chunked("/b", b"hello world", 4)] {
            for byte in bytes {
                stream.write_all(&[byte]).unwrap();
            }
        }
        assert_eq!(answer(&mut stream), (200, said("/a", b"hello")));
        assert_eq!(answer(&mut stream), (200, said("/b", b"hello world")));
        let counters = core.stop();
        assert_eq!((counters.requests, counters.answered), (2, 2));
    }

    a_pipeline_is_answered_in_order(backend) {
        let core = Core::start(backend);
        let mut stream = core.connect();
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for index in 0..300 {
            let path = format!("/{index}");
            let content = body(index * 7);
            match index % 4 {
                0 => bytes.extend(chunked(&path, &content, 50)),
                1 => bytes.extend(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes()),
                _ => bytes.extend(post(&path, &content)),
            }
            expected.push(said(&path, if index % 4 == 1 { b"" } else { &content }));
        }
        let mut sender = stream.try_clone().unwrap();
        let thread = std::thread::spawn(move || sender.write_all(&bytes).unwrap());
        for text in expected {
            assert_eq!(answer(&mut stream), (200, text));
        }
        thread.join().unwrap();
        core.stop();
    }

    bodies_may_be_as_long_as_the_limit(backend) {
        let core = Core::start(backend);
        let mut stream = core.connect();
        let content = body(limits::BODY_BYTES);
        for bytes in [post("/a", &content), chunked("/a", &content, 1000), chunked("/a", &content, limits::BODY_BYTES)] {
            stream.write_all(&bytes).unwrap();
            assert_eq!(answer(&mut stream), (200, said("/a", &content)));
        }
        core.stop();
    }

    what_is_too_long_is_answered_and_closed(backend) {
        let core = Core::start(backend);
        let long = body(limits::BODY_BYTES + 1);
        let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(limits::HEAD_BYTES)).into_bytes();
        for (bytes, status) in [(post("/", &long), 413), (chunked("/", &long, 5000), 413), (head, 431)] {
            let mut stream = core.connect();
            stream.write_all(&post("/before", b"x")).unwrap();
            // The peer that goes on sending still gets its answer.
            let mut sender = stream.try_clone().unwrap();
            let thread = std::thread::spawn(move || sender.write_all(&bytes).unwrap());
            assert_eq!(answer(&mut stream).0, 200);
            assert_eq!(answer(&mut stream), (status, String::new()));
            thread.join().unwrap();
            // An orderly end: nothing was reset.
            assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
        }
        core.stop();
    }

    smuggling_is_refused_and_nothing_behind_it_is_read(backend) {
        let core = Core::start(backend);
        for head in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: +5",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding : chunked",
            "X: a\r\n folded",
            "X: a\nContent-Length: 5",
        ] {
            let mut stream = core.connect();
            let smuggled = "GET /smuggled HTTP/1.1\r\n\r\n";
            stream.write_all(format!("POST / HTTP/1.1\r\n{head}\r\n\r\n0\r\n\r\n{smuggled}").as_bytes()).unwrap();
            assert_eq!(answer(&mut stream).0, 400, "{head}");
            assert!(closed(&mut stream), "{head}");
        }
        assert_eq!(core.stop().requests, 0);
    }

    a_peer_that_closed_its_side_gets_its_answers(backend) {
        let core = Core::start(backend);
        let mut stream = core.connect();
        stream.write_all(&[post("/a", b"1"), post("/park/half", b"2"), post("/c", b"3"), b"POST /cut".to_vec()].concat()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        core.await_parked(1);
        core.release("/park/half");
        for (path, content) in [("/a", b"1"), ("/park/half", b"2"), ("/c", b"3")] {
            assert_eq!(answer(&mut stream), (200, said(path, content)));
        }
        assert!(closed(&mut stream));
        core.stop();
    }

    persistence_is_kept(backend) {
        let core = Core::start(backend);
        let mut stream = core.connect();
        stream.write_all(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
        assert_eq!(answer(&mut stream).0, 200);
        stream.write_all(b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(answer(&mut stream).0, 200);
        assert!(closed(&mut stream));
        let mut stream = core.connect();
        stream.write_all(b"GET /a HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(answer(&mut stream).0, 200);
        assert!(closed(&mut stream));
        assert_eq!(core.stop().requests, 3);
    }

    a_peer_that_asks_is_told_to_go_on(backend) {
        let core = Core::start(backend);
        let mut stream = core.connect();
        stream.write_all(b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").unwrap();
        assert_eq!(answer(&mut stream), (100, String::new()));
        stream.write_all(b"ok").unwrap();
        assert_eq!(answer(&mut stream), (200, said("/a", b"ok")));
        core.stop();
    }

    one_connection_carries_ten_thousand_requests(backend) {
        let core = Core::start(backend);
        let mut stream = core.connect();
        let request = post("/none", &body(1500));
        let mut bytes = vec![0; answer::NO_CONTENT.len()];
        for _ in 0..10_000 {
            stream.write_all(&request).unwrap();
            stream.read_exact(&mut bytes).unwrap();
            assert_eq!(bytes, answer::NO_CONTENT);
        }
        let counters = core.stop();
        assert_eq!((counters.accepted, counters.answered), (1, 10_000));
    }

    five_hundred_connections_are_served(backend) {
        let core = Core::start(backend);
        let mut streams: Vec<_> = (0..500).map(|_| core.connect()).collect();
        for round in 0..3 {
            for (index, stream) in streams.iter_mut().enumerate() {
                stream.write_all(&post(&format!("/{round}/{index}"), &body(1500))).unwrap();
            }
            for (index, stream) in streams.iter_mut().enumerate() {
                assert_eq!(answer(stream), (200, said(&format!("/{round}/{index}"), &body(1500))));
            }
        }
        drop(streams);
        let counters = core.stop();
        assert_eq!((counters.accepted, counters.closed, counters.answered), (500, 500, 1500));
    }

    more_bytes_than_receive_buffers_are_served(backend) {
        let core = Core::start(backend);
        let content = body(200_000);
        let mut streams: Vec<_> = (0..100).map(|_| core.connect()).collect();
        let request = post("/a", &content);
        std::thread::scope(|scope| {
            for stream in &streams {
                let mut sender = stream.try_clone().unwrap();
                let request = &request;
                scope.spawn(move || sender.write_all(request).unwrap());
            }
            for stream in &mut streams {
                assert_eq!(answer(stream), (200, said("/a", &content)));
            }
        });
        core.stop();
    }

    a_peer_that_does_not_read_holds_up_nobody_and_no_memory(backend) {
        let core = Core::start(backend);
        let silent = core.connect();
        silent.set_nonblocking(true).unwrap();
        // More answers than the sockets of both sides take: sending must come to a halt.
        let request = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
        let length = request.len();
        let request = request.repeat(400);
        let mut written = 0;
        let mut refused = 0;
        while refused < 200 {
            match (&silent).write(&request[written % length..]) {
                Ok(count) => { written += count; refused = 0 }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    refused += 1;
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => panic!("{error}"),
            }
            assert!(written < 200 << 20, "its input is read without end");
        }
        let mut other = core.connect();
        for _ in 0..100 {
            other.write_all(&post("/other", b"x")).unwrap();
            assert_eq!(answer(&mut other).0, 200);
        }
        // Once it reads, it gets all of them.
        silent.set_nonblocking(false).unwrap();
        let mut silent = silent;
        for _ in 0..written / length {
            let (status, text) = answer(&mut silent);
            assert_eq!((status, text.len()), (200, 20_000));
        }
        drop((silent, other));
        assert!(core.stop().paused > 0);
    }

    parked_requests_are_answered_in_any_order_and_hold_only_their_connection(backend) {
        let core = Core::start(backend);
        let mut streams: Vec<_> = (0..8).map(|_| core.connect()).collect();
        for (index, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&[post(&format!("/park/{index}"), b"p"), post("/behind", b"b")].concat()).unwrap();
        }
        core.await_parked(8);
        let mut other = core.connect();
        other.write_all(&post("/other", b"x")).unwrap();
        assert_eq!(answer(&mut other).0, 200);
        for index in [5, 2, 7, 0, 6, 1, 4, 3] {
            let path = format!("/park/{index}");
            core.release(&path);
            assert_eq!(answer(&mut streams[index]), (200, said(&path, b"p")));
            assert_eq!(answer(&mut streams[index]), (200, said("/behind", b"b")));
        }
        drop((streams, other));
        let counters = core.stop();
        assert_eq!((counters.requests, counters.answered), (17, 17));
    }

    a_parked_request_is_forgotten_with_its_connection(backend) {
        let core = Core::start(backend);
        let mut stream = core.connect();
        stream.write_all(&[post("/park/gone", b"p"), post("/behind", b"b")].concat()).unwrap();
        core.await_parked(1);
        let control = Arc::clone(&core.control);
        core.stop();
        assert_eq!(control.forgotten.load(Ordering::Relaxed), 1);
        assert!(closed(&mut stream));
    }

    a_bid_whose_time_has_passed_is_withdrawn(backend) {
        let core = Core::start(backend);
        let mut stream = core.connect();
        let order = ["/bid/timely", "/bid/late", "/a", "/bid/late", "/bid/timely", "/bid/late"];
        stream.write_all(&order.map(|path| post(path, b"x")).concat()).unwrap();
        for path in order {
            let (status, text) = answer(&mut stream);
            match path {
                "/bid/timely" => assert_eq!((status, text), (200, "t".repeat(100))),
                "/bid/late" => assert_eq!((status, text), (204, String::new())),
                _ => assert_eq!((status, text), (200, said(path, b"x"))),
            }
        }
        assert_eq!(core.control.withdrawn.load(Ordering::Relaxed), 3);
        assert_eq!(core.stop().withdrawn, 3);
    }

    a_bid_behind_a_withdrawn_one_is_withdrawn_where_it_moved_to(backend) {
        let core = Core::start(backend);
        let mut stream = core.connect();
        let control = &core.control;
        let order = ["/fill", "/bid/late", "/bid/soon", "/a"];
        let batch = order.map(|path| post(path, b"x")).concat();
        // Nothing is read, so that a send comes to a halt, and the batches after it gather behind it in the answer buffer
        // until that is full. There the late bids are withdrawn at once, and each that is still good moves.
        let mut batches = 0;
        while control.paused.load(Ordering::Relaxed) == 0 {
            stream.write_all(&batch).unwrap();
            batches += 1;
            wait_for(|| {
                let answered = control.answered.load(Ordering::Relaxed) == batches * order.len() as u64;
                answered || control.paused.load(Ordering::Relaxed) > 0
            });
        }
        // There is at most one late bid in a batch: what is withdrawn beyond that is a bid that was good at first.
        wait_for(|| {
            core.waker.wake();
            control.withdrawn.load(Ordering::Relaxed) > batches
        });
        let mut withdrawn = 0;
        for path in order.repeat(batches as usize) {
            match (path, answer(&mut stream)) {
                ("/fill", answer) => assert_eq!(answer, (200, "f".repeat(3000))),
                ("/bid/late" | "/bid/soon", (204, text)) => {
                    assert_eq!(text, "");
                    withdrawn += 1;
                }
                ("/bid/soon", answer) => assert_eq!(answer, (200, "s".repeat(500))),
                (path, answer) => assert_eq!(answer, (200, said(path, b"x"))),
            }
        }
        assert_eq!(core.stop().withdrawn, withdrawn);
    }

    a_drain_answers_what_was_asked_and_ends(backend) {
        let core = Core::start(backend);
        let (mut idle, mut parked, mut begun) = (core.connect(), core.connect(), core.connect());
        idle.write_all(&post("/a", b"x")).unwrap();
        assert_eq!(answer(&mut idle).0, 200);
        parked.write_all(&post("/park/drain", b"p")).unwrap();
        let request = post("/begun", &body(3000));
        begun.write_all(&request[..1000]).unwrap();
        core.await_parked(1);
        core.control.stop.store(true, Ordering::Relaxed);
        core.waker.wake();
        assert!(closed(&mut idle));
        wait_for(|| TcpStream::connect(core.address).is_err());
        begun.write_all(&request[1000..]).unwrap();
        assert_eq!(answer(&mut begun), (200, said("/begun", &body(3000))));
        core.release("/park/drain");
        assert_eq!(answer(&mut parked), (200, said("/park/drain", b"p")));
        assert!(closed(&mut begun) && closed(&mut parked));
        let counters = core.stop();
        assert_eq!((counters.answered, counters.accepted), (3, counters.closed));
    }

    a_wake_up_makes_a_turn(backend) {
        for waiting in [Waiting::Block, Waiting::Hybrid, Waiting::Spin] {
            let core = Core::with(&CoreNet { backend, waiting, ..CoreNet::default() });
            for _ in 0..20 {
                let before = core.control.turns.load(Ordering::Relaxed);
                core.waker.wake();
                wait_for(|| core.control.turns.load(Ordering::Relaxed) > before);
            }
            let mut stream = core.connect();
            stream.write_all(&post("/a", b"x")).unwrap();
            assert_eq!(answer(&mut stream).0, 200);
            core.stop();
        }
    }

    an_idle_connection_is_closed_and_a_busy_one_is_not(backend) {
        let core = Core::with(&CoreNet { backend, waiting: Waiting::Block, idle_ns: 300 * Nanos::MS, ..CoreNet::default() });
        let (mut idle, mut dribbling, mut busy) = (core.connect(), core.connect(), core.connect());
        let control = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&control);
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                busy.write_all(&post("/a", b"x")).unwrap();
                assert_eq!(answer(&mut busy).0, 200);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        dribbling.write_all(b"POST /never").unwrap();
        assert!(closed(&mut idle) && closed(&mut dribbling));
        control.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        assert_eq!(core.stop().idled, 2);
    }

    a_reset_connection_is_let_go(backend) {
        let core = Core::start(backend);
        for _ in 0..50 {
            let mut stream = core.connect();
            stream.write_all(&[post("/big", b"x").repeat(30), b"POST".to_vec()].concat()).unwrap();
            // Closing with unread answers resets the connection.
            drop(stream);
        }
        let mut stream = core.connect();
        stream.write_all(&post("/a", b"x")).unwrap();
        assert_eq!(answer(&mut stream).0, 200);
        drop(stream);
        let counters = core.stop();
        assert_eq!((counters.accepted, counters.closed), (51, 51));
    }
}
