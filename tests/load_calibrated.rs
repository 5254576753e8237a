//! `load` against a server that knows its own delays. What the report says is held against what the server noted of each request,
//! not against a clock on the wall: a busy machine makes both late.
//!
//! Requests carry their number, so the server knows when each was due: at `start + number / rate`. It is not told the start, but no
//! request comes before it is due, so the least of `arrival - number / rate` is at most a little after it. With that, the time from
//! due to answered, as the server sees it, is a lower bound for the latency of every single request, and falls short only by
//! the way of the answer to the generator, which is late in reading as it is in sending.

mod support;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use corebid::clock;
use corebid::lab::load::{self, Options, Source};
use corebid::lab::report::Report;
use corebid::units::Nanos;
use support::Folder;

const RATE: u64 = 1000;
const NO_BID: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// What the server noted of a request.
#[derive(Clone, Copy, Debug)]
struct Note {
    number: u64,
    arrived: Nanos,
    /// Just before the answer was written.
    answered: Nanos,
}

/// Answers each request after the delay that `delay` says of its number; one thread, one look at all connections at a time.
/// Stands still for `freeze` ns when request number `at` comes.
struct Delays {
    delay: fn(u64) -> u64,
    freeze: Option<(u64, u64)>,
}

struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Note>>>,
}

impl Server {
    fn start(delays: Delays) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener that does not wait");
        let address = listener.local_addr().expect("its address");
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        let thread = std::thread::spawn(move || serve(&listener, &delays, &ended));
        Server { address, stop, thread: Some(thread) }
    }

    /// Ends it, and says what it noted, by number.
    fn notes(mut self) -> Vec<Note> {
        self.stop.store(true, Ordering::Relaxed);
        let mut notes = self.thread.take().expect("it runs").join().expect("no panic");
        notes.sort_by_key(|note| note.number);
        notes
    }
}

fn serve(listener: &TcpListener, delays: &Delays, stop: &AtomicBool) -> Vec<Note> {
    let mut connections: Vec<(TcpStream, Vec<u8>)> = Vec::new();
    let mut waiting: BinaryHeap<Reverse<(Nanos, usize, u64, Nanos)>> = BinaryHeap::new();
    let mut notes = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        wait(listener, &connections, waiting.peek().map(|Reverse((due, ..))| *due));
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).expect("a connection that does not wait");
            stream.set_nodelay(true).expect("a connection that does not gather");
            connections.push((stream, Vec::new()));
        }
        for (place, (stream, input)) in connections.iter_mut().enumerate() {
            if let Some(number) = request(stream, input) {
                let arrived = clock::boot();
                if let Some((at, ns)) = delays.freeze
                    && at == number
                {
                    while clock::boot().since(arrived) < ns {
                        std::hint::spin_loop();
                    }
                }
                waiting.push(Reverse((arrived.after((delays.delay)(number)), place, number, arrived)));
            }
        }
        while let Some(Reverse((due, place, number, arrived))) = waiting.peek().copied()
            && due <= clock::boot()
        {
            waiting.pop();
            notes.push(Note { number, arrived, answered: clock::boot() });
            let _ = connections[place].0.write_all(NO_BID);
        }
    }
    notes
}

/// Until something can be read, the next answer is due, or some time has passed.
fn wait(listener: &TcpListener, connections: &[(TcpStream, Vec<u8>)], due: Option<Nanos>) {
    let sockets = connections.iter().map(|(stream, _)| stream.as_raw_fd());
    let mut sockets: Vec<libc::pollfd> = std::iter::once(listener.as_raw_fd())
        .chain(sockets)
        .map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 })
        .collect();
    let time = due.map_or(50 * Nanos::MS, |due| due.since(clock::boot())).min(50 * Nanos::MS);
    let time = libc::timespec { tv_sec: 0, tv_nsec: time as i64 };
    // SAFETY: the entries are writable for the length of the call, the time lives through it, and no signal mask is passed.
    unsafe { libc::ppoll(sockets.as_mut_ptr(), sockets.len() as libc::nfds_t, &raw const time, std::ptr::null()) };
}

/// The number of a request that has come whole.
fn request(stream: &mut TcpStream, input: &mut Vec<u8>) -> Option<u64> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(count) => input.extend_from_slice(&buffer[..count]),
        Err(_) => return None,
    }
    let text = std::str::from_utf8(input).ok()?;
    let number = text.split_once("\r\n\r\n{\"id\":\"")?.1.strip_suffix("\"}")?.parse().ok()?;
    input.clear();
    Some(number)
}

/// Generators spin: one at a time, or they measure each other.
fn run(server: &Server, seconds: f64, connections: usize) -> Report {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("calibrated");
    let count = (RATE as f64 * seconds) as u64;
    let corpus =
        folder.write("corpus", (0..count).map(|number| format!("{{\"id\":\"{number}\"}}\n")).collect::<String>());
    let url = format!("http://{}/openrtb/generic", server.address);
    let source = Source::file(corpus);
    let report =
        load::run(&Options { url, rate: RATE, seconds, connections, source, ..Options::default() }).expect("a report");
    // What a machine too busy to catch up leaves unsent is the end of the schedule.
    assert_eq!((report.answered, report.unanswered, report.sent + report.unsent), (report.sent, 0, count), "{report}");
    assert!(report.sent > count / 2, "{report}");
    report
}

/// From due to answered as the server saw it, for each number, ns; and when number 0 was due, or a little later.
fn seen(notes: &[Note]) -> (Vec<u64>, Nanos) {
    let offset = |note: &Note| note.number * Nanos::SECOND / RATE;
    let start = notes.iter().map(|note| note.arrived.0 - offset(note)).min().expect("a request");
    (notes.iter().map(|note| note.answered.0.saturating_sub(start + offset(note))).collect(), Nanos(start))
}

/// 89.5 % after 5 ms, 9 % after 25 ms, 1.5 % after 100 ms, mixed by the number.
fn three_delays(number: u64) -> u64 {
    match number * 73 % 200 {
        0..179 => 5 * Nanos::MS,
        179..197 => 25 * Nanos::MS,
        _ => 100 * Nanos::MS,
    }
}

#[test]
fn percentiles_are_those_of_the_delays_that_the_server_made() {
    let server = Server::start(Delays { delay: three_delays, freeze: None });
    let report = run(&server, 4.0, 128);
    let (mut exact, _) = seen(&server.notes());
    exact.sort_unstable();
    let rank = |quantile: f64| exact[((exact.len() as f64 * quantile).ceil() as usize).clamp(1, exact.len()) - 1];
    for quantile in [0.1, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999] {
        let found = report.measured.latency.value_at_quantile(quantile);
        let least = rank(quantile);
        // Three digits are kept.
        assert!(found as f64 >= least as f64 * 0.999, "p{quantile}: {found} is less than the server took, {least}");
        // Where half of what is beyond the quantile is the server's and half the way back, neither is beyond these.
        let (half, quarter) = (1.0 - (1.0 - quantile) / 2.0, 1.0 - (1.0 - quantile) / 4.0);
        let way = 2 * report.measured.lateness(quarter) + 2 * Nanos::MS;
        let most = rank(half) + way;
        assert!(
            found <= most + most / 500,
            "p{quantile}: {found} is more than {most}, {way} of it allowed for the way back"
        );
    }
    // The injected delays themselves, which no lateness of anybody can make shorter.
    assert!(report.p50 >= 5_000.0 && report.p90 >= 24_900.0 && report.p99 >= 99_900.0, "{report}");
}

/// The server stands still for 200 ms. On 8 connections a closed loop has 8 slow requests and never asks for the rest; here
/// all that fell due meanwhile count, with what was left of the stop.
#[test]
fn a_stop_of_the_server_counts_for_all_that_fell_due_in_it() {
    const FREEZE: u64 = 200 * Nanos::MS;
    let server = Server::start(Delays { delay: |_| 0, freeze: Some((500, FREEZE)) });
    let report = run(&server, 2.0, 8);
    let notes = server.notes();
    let (exact, start) = seen(&notes);
    let frozen = notes[500].arrived;
    for threshold in [180, 150, 100, 50, 20].map(|ms| ms * Nanos::MS) {
        let found = report.measured.latency.count_between(threshold - threshold / 500, u64::MAX);
        // By arithmetic alone: who was due in the first part of the stop waited for the rest of it.
        let due = |number: u64| Nanos(start.0 + number * Nanos::SECOND / RATE);
        let in_it = |number: &u64| due(*number) >= frozen && due(*number).after(threshold) <= frozen.after(FREEZE);
        let by_stop = (0..report.sent).filter(in_it).count() as u64;
        let ms = threshold / Nanos::MS;
        assert!(by_stop >= 199 - ms - 1, "{by_stop} of a stop of 200 ms waited {ms} ms");
        assert!(found >= by_stop, "{found} waited {ms} ms, and {by_stop} fell due early enough in the stop to");
        let by_server = exact.iter().filter(|latency| **latency >= threshold).count() as u64;
        assert!(found >= by_server, "{found} waited {ms} ms, and the server kept {by_server} so long");
    }
    // The whole stop, from the first who met it: not only that someone waited long.
    assert!(report.measured.latency.max() >= FREEZE - FREEZE / 500, "{report}");
}
