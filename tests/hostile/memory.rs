//! Everything at once against one process: its resident memory stays below the bound it told at start.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use corebid::{bounds, limits};

use crate::support::client::{Client, http};
use crate::support::process::Bidder;
use crate::support::{Folder, request};
use crate::witness::Witness;
use crate::{CROWD, on_both, take_little};

on_both! { memory_stays_within_its_bound }

/// The bound that the process told, bytes.
#[track_caller]
pub(crate) fn bound_of(bidder: &Bidder) -> usize {
    let log = bidder.log();
    let told = log.split("memory bound ").nth(1).expect("a bound in the log").split(' ').next().unwrap();
    told.parse::<usize>().unwrap() << 20
}

/// The most that was ever resident of a process, bytes.
pub(crate) fn resident_of(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// How long everything goes on.
const LASTS: Duration = Duration::from_secs(12);

/// Connections that begin with these bytes and hold on; one that is closed is opened again.
fn hold(address: SocketAddr, count: usize, bytes: &[u8], stop: &AtomicBool) {
    let mut held: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
    while !stop.load(Ordering::Relaxed) {
        for place in &mut held {
            // An answer, which can only be 408, or an end.
            let gone = place.as_mut().is_none_or(|stream| {
                let _ = stream.set_nonblocking(true);
                !matches!(stream.read(&mut [0; 512]), Err(error) if error.kind() == ErrorKind::WouldBlock)
            });
            if gone && let Ok(mut stream) = TcpStream::connect(address) {
                let _ = stream.set_write_timeout(Some(Duration::from_millis(500)));
                let _ = stream.write_all(bytes);
                *place = Some(stream);
            }
            if stop.load(Ordering::Relaxed) {
                return;
            }
        }
        // As long as it takes others to be heard: what is tested is memory, not how fast connections are made.
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Connections that send without end and never read.
fn deaf(address: SocketAddr, count: usize, bytes: &[u8], stop: &AtomicBool) {
    // With how much was sent.
    let mut held: Vec<Option<(TcpStream, usize)>> = (0..count).map(|_| None).collect();
    while !stop.load(Ordering::Relaxed) {
        for place in &mut held {
            if place.is_none()
                && let Ok(stream) = TcpStream::connect(address)
            {
                let _ = stream.set_nonblocking(true);
                take_little(&stream);
                *place = Some((stream, 0));
            }
            if let Some((stream, sent)) = place {
                match stream.write(&bytes[*sent % bytes.len()..]) {
                    Ok(count) => *sent += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => *place = None,
                }
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Requests one after the other, each answered.
fn ask(address: SocketAddr, requests: &[Vec<u8>], stop: &AtomicBool, answered: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut client) = Client::connect(address) else { continue };
        for request in requests {
            if client.send(request).is_err() || client.answer().is_err() {
                break;
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn memory_stays_within_its_bound(backend: &str) {
    let _turn = CROWD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    bounds::raise_descriptors();
    let folder = Folder::new("memory");
    let bidder = Bidder::demo(&folder.text("data"), backend);
    let (bound, before) = (bound_of(&bidder), resident_of(bidder.process()));
    let witness = Witness::begin(bidder.address);
    let (address, stop, answered) = (bidder.address, AtomicBool::new(false), AtomicUsize::new(0));
    let begun = |length: usize| {
        let head = format!("POST /openrtb/generic HTTP/1.1\r\nContent-Length: {}\r\n\r\n", length + 1);
        [head.into_bytes(), vec![b' '; length]].concat()
    };
    let (small, middle, large) = (begun(15_000), begun(250_000), begun(limits::BODY_BYTES - 1));
    let bids = http("POST", "/openrtb/generic", "", &request("d", "")).repeat(64);
    let documents = [
        http("POST", "/openrtb/generic", "", "[".repeat(limits::BODY_BYTES).as_bytes()),
        http("POST", "/openrtb/generic", "", &request("m", &format!(",\"ext\":[{}1]", "1,".repeat(500_000)))),
        http("POST", "/openrtb/generic", "", &vec![b' '; limits::BODY_BYTES]),
    ];
    let users: Vec<Vec<u8>> = (0..2_000)
        .map(|at| http("POST", "/openrtb/generic", "", &request("u", &format!(",\"user\":{{\"id\":\"u{at}\"}}"))))
        .collect();
    let short = [http("GET", "/ready", "", b"")];
    let (mut most, mut reloads) = (before, 0);
    std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(|| hold(address, 2_500, &small, stop));
        scope.spawn(|| hold(address, 200, &middle, stop));
        scope.spawn(|| hold(address, 40, &large, stop));
        scope.spawn(|| deaf(address, 8, &bids, stop));
        scope.spawn(|| ask(address, &documents, stop, &answered));
        scope.spawn(|| ask(address, &users, stop, &answered));
        scope.spawn(|| ask(address, &short, stop, &answered));
        let until = Instant::now() + LASTS;
        while Instant::now() < until {
            most = most.max(resident_of(bidder.process()));
            std::thread::sleep(Duration::from_millis(50));
            // What is loaded is loaded again meanwhile.
            if Instant::now() + LASTS / 2 > until && reloads < 3 {
                reloads += 1;
                bidder.signal(libc::SIGHUP);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let seen = witness.end();
    let count = |name: &str| bidder.metric(&format!("corebid_{name}_total"), "");
    println!(
        "{backend}: {} MiB at start, at most {} MiB of {} MiB ({} %); pressed {}, timed out {}, unread {}, accepted {}; \
         {} other requests answered; {seen:?}",
        before >> 20,
        most >> 20,
        bound >> 20,
        100 * most / bound,
        count("inputs_pressed"),
        count("requests_timed_out"),
        count("connections_unread"),
        count("connections_accepted"),
        answered.load(Ordering::Relaxed),
    );
    assert!(most < bound, "{most} bytes are above the bound of {bound}");
    // The attack reached what it was made for.
    assert!(count("inputs_pressed") > 0, "memory for input never ran short");
    assert!(bidder.log().lines().all(|line| !line.contains("panicked")));
    bidder.stop();
}
