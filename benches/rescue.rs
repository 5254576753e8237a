//! Whether another thread should answer for a bid core that is kept from its loop, and what that costs while nothing is wrong.
//!
//! A server of its own, as small as it can be with the framing of the real one: a core with an epoll over ordinary descriptors, and
//! beside it, if it is `guarded`, a thread that looks at the core's heartbeat every millisecond. When that is older than 4 ms, it
//! reads what the connections bring and answers 204. Who handles a connection has claimed it by one atomic exchange; the other leaves
//! it alone until it is given back.
//!
//! * `cargo bench --profile quick --bench rescue`: the cost on the healthy path, as CPU time of the core per request, plain and
//!   guarded in turn; then how many of the requests that are due during a hold are answered within 8 ms of it, plain and guarded.
//!   The core is held by work inside its turn, and, if the process may, by a SCHED_FIFO hog on its CPU.
//! * `valgrind --tool=callgrind BINARY count plain|guarded N`: instructions of N requests, by difference of two N.

#![allow(clippy::disallowed_methods, reason = "a benchmark may wait")]

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use corebid::clock;
use corebid::units::Nanos;
use corebid::wire::http::{self, Parsed, Progress};

const MS: u64 = Nanos::MS;
/// A heartbeat older than this has stopped, ns.
const SILENT_NS: u64 = 4 * MS;
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// How long the core waits at most, so that its heart beats, ms.
const BEAT_MS: i32 = 2;
/// What an exchange waits for, ns.
const DEADLINE_NS: u64 = 8 * MS;
/// How long the core is held, and how often, ns.
const HOLD_NS: u64 = 50 * MS;
const HOLD_EVERY_NS: u64 = 250 * MS;
/// Bytes of a request's body.
const BODY: usize = 1_500;
/// The answers of the core and of the rescuer; both of one length, so that who reads them can count.
const OURS: &[u8] = b"HTTP/1.1 204 No Content\r\nx: c\r\n\r\n";
const RESCUED: &[u8] = b"HTTP/1.1 204 No Content\r\nx: r\r\n\r\n";

const FREE: u8 = 0;
const TAKEN: u8 = 1;

/// A connection. Aligned, so that claiming one takes no line from another.
#[repr(align(128))]
struct Conn {
    fd: RawFd,
    owner: AtomicU8,
    input: UnsafeCell<Input>,
}

// SAFETY: `input` is touched only by who has the connection: the core alone in a plain server, and in a guarded one who has just
// exchanged FREE for TAKEN, until it stores FREE.
unsafe impl Sync for Conn {}

struct Input {
    bytes: Box<[u8]>,
    length: usize,
    scratch: Vec<u8>,
}

impl Conn {
    fn new(fd: RawFd) -> Conn {
        let input = Input { bytes: vec![0; 16 * 1024].into(), length: 0, scratch: Vec::with_capacity(BODY) };
        Conn { fd, owner: AtomicU8::new(FREE), input: UnsafeCell::new(input) }
    }

    #[inline]
    fn claim(&self) -> bool {
        self.owner.swap(TAKEN, Ordering::Acquire) == FREE
    }

    #[inline]
    fn give_back(&self) {
        self.owner.store(FREE, Ordering::Release);
    }

    /// Reads what is there and answers what is whole; says how many requests that were.
    ///
    /// # Safety
    /// The caller has the connection.
    #[inline]
    unsafe fn serve(&self, answer: &[u8]) -> u64 {
        // SAFETY: the caller has it.
        let Input { bytes, length, scratch } = unsafe { &mut *self.input.get() };
        let room = &mut bytes[*length..];
        // SAFETY: `room` is writable for its length.
        let got = unsafe { libc::recv(self.fd, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
        let Ok(got @ 1..) = usize::try_from(got) else { return 0 };
        *length += got;
        let (mut at, mut answered) = (0, 0);
        while at < *length {
            match http::parse(&bytes[at..*length], &mut Progress::default(), scratch) {
                Parsed::Request { consumed, .. } => {
                    at += consumed;
                    answered += 1;
                    // SAFETY: `answer` is readable for its length.
                    let sent = unsafe {
                        libc::send(
                            self.fd,
                            answer.as_ptr().cast(),
                            answer.len(),
                            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                        )
                    };
                    assert!(sent == answer.len() as isize || sent < 0, "a cut answer");
                }
                Parsed::Partial { .. } => break,
                Parsed::Refused(status) => panic!("the load is refused: {status:?}"),
            }
        }
        bytes.copy_within(at..*length, 0);
        *length -= at;
        answered
    }
}

/// What core and rescuer share.
struct Shared {
    conns: Vec<Conn>,
    /// When the core was last seen, ns.
    beat: AtomicU64,
    /// CPU time of the core's thread, ns, and requests it answered.
    cpu_ns: AtomicU64,
    answered: AtomicU64,
    /// Requests the rescuer answered.
    rescued: AtomicU64,
    /// Until when it shall work on something else, ns.
    hold_until: AtomicU64,
    over: AtomicBool,
}

fn pin(cpu: usize) {
    core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
}

/// The core. `GUARDED`: claims connections and shows its heartbeat.
fn core<const GUARDED: bool>(shared: &Shared, cpu: usize) {
    pin(cpu);
    // SAFETY: no pointer is passed.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    for (index, conn) in shared.conns.iter().enumerate() {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: index as u64 };
        // SAFETY: `event` is readable for the call.
        assert_eq!(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, conn.fd, &mut event) }, 0);
    }
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
    let (mut answered, mut turns) = (0, 0u64);
    while !shared.over.load(Ordering::Relaxed) {
        // SAFETY: `events` is writable for its length.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), events.len() as i32, BEAT_MS) };
        // Both read the clock once a turn: the loop does anyway.
        let now = std::hint::black_box(clock::boot());
        if GUARDED {
            shared.beat.store(now.0, Ordering::Relaxed);
        }
        for (number, event) in events[..usize::try_from(count).unwrap_or(0)].iter().enumerate() {
            if number == 0 && shared.hold_until.load(Ordering::Relaxed) > now.0 {
                let until = shared.hold_until.load(Ordering::Relaxed);
                while clock::boot().0 < until {}
            }
            let conn = &shared.conns[event.u64 as usize];
            if GUARDED {
                if conn.claim() {
                    // SAFETY: it was just claimed.
                    answered += unsafe { conn.serve(OURS) };
                    conn.give_back();
                }
            } else {
                // SAFETY: nobody else touches the connections of a plain server.
                answered += unsafe { conn.serve(OURS) };
            }
        }
        turns += 1;
        if turns.is_multiple_of(64) || count <= 0 {
            shared.cpu_ns.store(clock::thread_cpu(), Ordering::Relaxed);
            shared.answered.store(answered, Ordering::Relaxed);
        }
    }
    // SAFETY: this thread opened it.
    unsafe { libc::close(epoll) };
}

/// Answers for the core while its heart does not beat.
fn rescue(shared: &Shared, cpu: usize) {
    pin(cpu);
    while !shared.over.load(Ordering::Relaxed) {
        let silent = || clock::boot().0.saturating_sub(shared.beat.load(Ordering::Relaxed)) > SILENT_NS;
        if !silent() {
            thread::sleep(LOOK);
            continue;
        }
        let mut found = 0;
        for conn in &shared.conns {
            if conn.claim() {
                // SAFETY: it was just claimed.
                found += unsafe { conn.serve(RESCUED) };
                conn.give_back();
            }
        }
        shared.rescued.store(shared.rescued.load(Ordering::Relaxed) + found, Ordering::Relaxed);
        if found == 0 {
            thread::sleep(LOOK / 4);
        }
    }
}

/// A server with its peers' ends of the connections.
struct Server {
    shared: Arc<Shared>,
    peers: Vec<TcpStream>,
    _ours: Vec<TcpStream>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Server {
    fn start(guarded: bool, connections: usize, cpu: usize, other: usize) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut peers, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..connections {
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (our, _) = listener.accept().unwrap();
            for stream in [&peer, &our] {
                stream.set_nodelay(true).unwrap();
                stream.set_nonblocking(true).unwrap();
            }
            peers.push(peer);
            ours.push(our);
        }
        let shared = Arc::new(Shared {
            conns: ours.iter().map(|our| Conn::new(our.as_raw_fd())).collect(),
            beat: AtomicU64::new(clock::boot().0),
            cpu_ns: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            rescued: AtomicU64::new(0),
            hold_until: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let of_core = shared.clone();
        let of_rescuer = shared.clone();
        let work = move || if guarded { core::<true>(&of_core, cpu) } else { core::<false>(&of_core, cpu) };
        let mut threads = vec![thread::spawn(work)];
        threads.extend(guarded.then(|| thread::spawn(move || rescue(&of_rescuer, other))));
        Server { shared, peers, _ours: ours, threads }
    }

    /// CPU time of the core and requests it answered, since it began.
    fn used(&self) -> (u64, u64) {
        (self.shared.cpu_ns.load(Ordering::Relaxed), self.shared.answered.load(Ordering::Relaxed))
    }

    fn stop(self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn request() -> Vec<u8> {
    let mut bytes = format!(
        "POST /openrtb/generic HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {BODY}\r\n\r\n"
    )
    .into_bytes();
    bytes.resize(bytes.len() + BODY, b' ');
    bytes
}

/// A connection as its peer sees it: when the requests were due whose answers are to come.
#[derive(Default)]
struct Asked {
    due: VecDeque<u64>,
    got: usize,
}

/// What became of the requests.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    sent: u64,
    answered: u64,
    late: u64,
    rescued: u64,
    rescued_late: u64,
}

/// Sends `rate` requests a second over all connections in turn, whether answers come or not, and holds the core by `hold` now and then.
fn ask(server: &Server, rate: u64, seconds: u64, mut hold: impl FnMut(Nanos)) -> Seen {
    let (request, mut seen) = (request(), Seen::default());
    let mut asked: Vec<Asked> = server.peers.iter().map(|_| Asked::default()).collect();
    let start = clock::boot();
    let (total, mut next_hold) = (rate * seconds, start.after(HOLD_EVERY_NS));
    let mut bytes = [0; 4096];
    let end = start.after((seconds + 1) * Nanos::SECOND);
    while seen.answered < total && clock::boot() < end {
        let now = clock::boot();
        if now >= next_hold && seen.sent < total {
            hold(now);
            next_hold = now.after(HOLD_EVERY_NS);
        }
        while seen.sent < total && start.after(seen.sent * Nanos::SECOND / rate) <= now {
            let index = seen.sent as usize % server.peers.len();
            match (&server.peers[index]).write(&request) {
                Ok(length) => assert_eq!(length, request.len(), "a cut request"),
                Err(error) => panic!("{error}"),
            }
            asked[index].due.push_back(start.after(seen.sent * Nanos::SECOND / rate).0);
            seen.sent += 1;
        }
        let mut idle = true;
        for (peer, asked) in server.peers.iter().zip(&mut asked).filter(|(_, asked)| !asked.due.is_empty()) {
            let mut peer = peer;
            let got = match peer.read(&mut bytes) {
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => panic!("{error}"),
            };
            idle = false;
            let now = clock::boot().0;
            for &byte in &bytes[..got] {
                asked.got += 1;
                let is_mark = asked.got == OURS.len() - 4;
                let rescued = is_mark && byte == b'r';
                if is_mark {
                    let due = asked.due.pop_front().expect("an answer to nothing");
                    let late = now.saturating_sub(due) > DEADLINE_NS;
                    seen.answered += 1;
                    seen.late += u64::from(late);
                    seen.rescued += u64::from(rescued);
                    seen.rescued_late += u64::from(rescued && late);
                }
                asked.got %= OURS.len();
            }
        }
        if idle {
            thread::sleep(Duration::from_micros(50));
        }
    }
    seen
}

/// CPU time of the core per request, ns, over `seconds` with a request under way on every connection; `None` if the rescuer found
/// the core silent meanwhile, as it does where other work has its CPU: that is not the healthy path.
fn healthy(server: &Server, seconds: f64) -> Option<f64> {
    let request = request();
    let rescued = server.shared.rescued.load(Ordering::Relaxed);
    let (cpu, answered) = server.used();
    let end = clock::boot().after((seconds * 1e9) as u64);
    let mut got = vec![OURS.len(); server.peers.len()];
    let mut bytes = [0; 4096];
    while clock::boot() < end {
        for (mut peer, got) in server.peers.iter().zip(&mut got) {
            if *got == OURS.len() {
                peer.write_all(&request).unwrap();
                *got = 0;
            }
            match peer.read(&mut bytes) {
                Ok(length) => *got += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    // The rest, so that the next round begins with nothing under way.
    for (mut peer, got) in server.peers.iter().zip(&mut got) {
        while *got < OURS.len() {
            match peer.read(&mut bytes) {
                Ok(length) => *got += length,
                Err(_) => thread::sleep(Duration::from_micros(50)),
            }
        }
    }
    thread::sleep(Duration::from_millis(10));
    let (cpu_after, answered_after) = server.used();
    let healthy = server.shared.rescued.load(Ordering::Relaxed) == rescued && answered_after > answered;
    healthy.then(|| (cpu_after - cpu) as f64 / (answered_after - answered) as f64)
}

/// A thread on the core's CPU that nobody but the kernel's own threads gets past, running until `until`.
fn hog(cpu: usize, until: &Arc<AtomicU64>, over: &Arc<AtomicBool>) -> Option<thread::JoinHandle<()>> {
    let (until, over) = (until.clone(), over.clone());
    let (may, told) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        pin(cpu);
        let parameters = libc::sched_param { sched_priority: 10 };
        // SAFETY: `parameters` is readable for the call, which concerns this thread.
        let real_time = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameters) } == 0;
        may.send(real_time).unwrap();
        while real_time && !over.load(Ordering::Relaxed) {
            while clock::boot().0 < until.load(Ordering::Relaxed) {}
            thread::sleep(LOOK / 2);
        }
    });
    if told.recv().unwrap() { Some(thread) } else { thread.join().map(|()| None).unwrap() }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn quartiles(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 4], values[values.len() * 3 / 4])
}

fn costs(pairs: usize, seconds: f64, cpu: usize, other: usize) {
    let servers = [false, true].map(|guarded| Server::start(guarded, 64, cpu, other));
    let (mut plain, mut guarded, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for server in &servers {
        healthy(server, seconds);
    }
    for pair in 0..pairs {
        // Now one first, now the other.
        let (first, second) = (pair % 2, 1 - pair % 2);
        let mut took = [None; 2];
        took[first] = healthy(&servers[first], seconds);
        took[second] = healthy(&servers[second], seconds);
        if let [Some(without), Some(with)] = took {
            plain.push(without);
            guarded.push(with);
            ratios.push(with / without);
        }
    }
    for server in servers {
        server.stop();
    }
    if ratios.is_empty() {
        return println!("healthy: in none of {pairs} pairs was the core left alone");
    }
    let (low, high) = quartiles(&mut ratios);
    println!(
        "healthy, {} of {pairs} pairs of {seconds} s in which the rescuer had nothing to do: core's CPU per request, median: plain \
         {:.0} ns, guarded {:.0} ns; ratio {:.4} (quartiles {low:.4} to {high:.4})",
        ratios.len(),
        median(&mut plain),
        median(&mut guarded),
        median(&mut ratios),
    );
}

fn holds(rate: u64, seconds: u64, cpu: usize, other: usize) {
    for by in ["work in its turn", "a SCHED_FIFO hog"] {
        for guarded in [false, true, false, true] {
            let server = Server::start(guarded, 256, cpu, other);
            let (until, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
            let thread = if by.starts_with("work") {
                None
            } else {
                match hog(cpu, &until, &over) {
                    None => {
                        println!("held by {by}: not tried, this process may not schedule in real time");
                        server.stop();
                        return;
                    }
                    thread => thread,
                }
            };
            let seen = ask(&server, rate, seconds, |now| {
                let end = now.after(HOLD_NS).0;
                if thread.is_some() {
                    until.store(end, Ordering::Relaxed);
                } else {
                    server.shared.hold_until.store(end, Ordering::Relaxed);
                }
            });
            over.store(true, Ordering::Relaxed);
            if let Some(thread) = thread {
                thread.join().unwrap();
            }
            server.stop();
            let Seen { sent, answered, late, rescued, rescued_late } = seen;
            let kind = if guarded { "guarded" } else { "plain" };
            println!(
                "held by {by}, {kind}: {sent} sent at {rate}/s, {answered} answered, {late} late ({:.2} %); by the rescuer {rescued}, \
                 {rescued_late} of them late",
                100.0 * late as f64 / sent as f64
            );
            assert_eq!(sent, answered, "every request is answered once");
        }
    }
}

/// Answers `count` requests one by one on this thread, for callgrind.
fn count(guarded: bool, count: u64) {
    let (mut peer, our) = UnixStream::pair().unwrap();
    let (conn, beat, request) = (Conn::new(our.as_raw_fd()), AtomicU64::new(0), request());
    let mut answer = [0; OURS.len()];
    for number in 0..count {
        peer.write_all(&request).unwrap();
        if guarded {
            beat.store(number, Ordering::Relaxed);
            assert!(conn.claim());
        }
        // SAFETY: there is one thread.
        assert_eq!(unsafe { conn.serve(OURS) }, 1);
        if guarded {
            conn.give_back();
        }
        peer.read_exact(&mut answer).unwrap();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, kind, number] = &arguments[..]
        && what == "count"
    {
        return count(kind == "guarded", number.parse().expect("a number"));
    }
    let cpus = core_affinity::get_core_ids().expect("CPUs");
    let (cpu, other) = (cpus.last().expect("a CPU").id, cpus[0].id);
    let is_tried = !arguments.iter().any(|argument| argument == "--bench");
    println!("core on CPU {cpu}; load and rescuer on CPU {other}");
    if is_tried {
        costs(1, 0.05, cpu, other);
        holds(1_000, 1, cpu, other);
    } else {
        costs(600, 0.05, cpu, other);
        holds(4_000, 10, cpu, other);
    }
}
