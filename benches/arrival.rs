//! What the kernel's receive timestamps cost, and what they say: the receives of the epoll backend as they are, and by `recvmsg` with
//! `SO_TIMESTAMPNS`, over loopback: `cargo bench --profile quick --bench arrival` (decision 0028).
//!
//! One thread plays both sides; rounds of both kinds are interleaved, and CPU time of the side in question is counted, so that other work
//! on the machine shows little. The medians of the rounds' ratios are what counts.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use corebid::clock;
use corebid::wire::http::answer::NO_CONTENT;

const CONNECTIONS: usize = 64;
const BATCHES: usize = 20;

fn option(stream: &TcpStream, on: bool) {
    let value = i32::from(on);
    let length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the value is readable for its length.
    let set = unsafe {
        let value = (&raw const value).cast();
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, value, length)
    };
    assert_eq!(set, 0);
}

/// The receive of the epoll backend.
fn plain(stream: &TcpStream, buffer: &mut [u8]) -> usize {
    // SAFETY: the buffer is writable for its length.
    let count = unsafe { libc::recv(stream.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT) };
    usize::try_from(count).expect("something was sent")
}

/// The same with a stamp, ns since the epoch. The kernel turns stamping on for the machine a while after the first socket asks for it, so
/// what arrives before has none.
fn stamped(stream: &TcpStream, buffer: &mut [u8]) -> (usize, Option<u64>) {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = [0u64; 8];
    // SAFETY: all zeroes is a header without anything.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control);
    // SAFETY: the header names memory that is writable for the length of the call; the kernel writes control messages that end in it.
    let (count, time) = unsafe {
        let count = libc::recvmsg(stream.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT);
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        let is_stamp =
            !first.is_null() && (*first).cmsg_level == libc::SOL_SOCKET && (*first).cmsg_type == libc::SCM_TIMESTAMPNS;
        (count, is_stamp.then(|| libc::CMSG_DATA(first).cast::<libc::timespec>().read_unaligned()))
    };
    let stamp = time.map(|time| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64);
    (usize::try_from(count).expect("something was sent"), stamp)
}

fn wall_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

struct Pairs {
    peers: Vec<TcpStream>,
    streams: Vec<TcpStream>,
    buffer: Vec<u8>,
}

impl Pairs {
    fn connect() -> Pairs {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut peers, mut streams) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS {
            peers.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
            streams.push(listener.accept().unwrap().0);
        }
        peers.iter().chain(&streams).for_each(|stream| stream.set_nodelay(true).unwrap());
        Pairs { peers, streams, buffer: vec![0; 16 * 1024] }
    }

    /// Requests and answers over all connections. CPU time per request of receiving and answering, and of everything, ns.
    fn round(&mut self, stamps: bool) -> (f64, f64) {
        self.streams.iter().for_each(|stream| option(stream, stamps));
        let request = [b'x'; 1_500];
        let begun = clock::thread_cpu();
        let mut served = 0;
        for _ in 0..BATCHES {
            self.peers.iter_mut().for_each(|peer| peer.write_all(&request).unwrap());
            let from = clock::thread_cpu();
            for stream in &mut self.streams {
                let count = if stamps { stamped(stream, &mut self.buffer).0 } else { plain(stream, &mut self.buffer) };
                assert_eq!(count, request.len());
                stream.write_all(NO_CONTENT).unwrap();
            }
            served += clock::thread_cpu() - from;
            for peer in &mut self.peers {
                peer.read_exact(&mut self.buffer[..NO_CONTENT.len()]).unwrap();
            }
        }
        let requests = (BATCHES * CONNECTIONS) as f64;
        (served as f64 / requests, (clock::thread_cpu() - begun) as f64 / requests)
    }

    /// How old the stamp says a request is that lies unread, when another comes `pause` after it, and how old it is, ms.
    fn merged(&mut self, pause: std::time::Duration) -> (Option<f64>, f64) {
        let (peer, stream) = (&mut self.peers[0], &self.streams[0]);
        option(stream, true);
        let sent = wall_ns();
        peer.write_all(b"first").unwrap();
        #[allow(clippy::disallowed_methods, reason = "a bench waits")]
        std::thread::sleep(pause);
        peer.write_all(b"second").unwrap();
        let (count, stamp) = stamped(stream, &mut self.buffer);
        assert_eq!(count, 11);
        let now = wall_ns();
        (stamp.map(|stamp| now.saturating_sub(stamp) as f64 / 1e6), (now - sent) as f64 / 1e6)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    // `cargo test --bench arrival` runs it a little.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { 201 } else { 3 };
    let mut pairs = Pairs::connect();
    let (mut serving, mut all, mut ratios, mut all_ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // Each kind goes first as often as the other.
        let first = round % 2 == 0;
        let (a, b) = (pairs.round(first), pairs.round(!first));
        let (with, without) = if first { (a, b) } else { (b, a) };
        serving.push(without.0);
        all.push(without.1);
        ratios.push(with.0 / without.0);
        all_ratios.push(with.1 / without.1);
    }
    println!("receiving and answering: {:.0} ns of CPU, with stamps x {:.3}", median(serving), median(ratios));
    println!("with the peer's side and the loopback: {:.0} ns, with stamps x {:.3}", median(all), median(all_ratios));
    let (says, is) = pairs.merged(std::time::Duration::from_millis(20));
    match says {
        Some(says) => println!(
            "two requests in one receive, 20 ms apart: the stamp says {says:.1} ms, the first is {is:.1} ms old"
        ),
        None => println!("the kernel stamps nothing that arrives here"),
    }
}
