//! One connection that behaves, beside those that do not: every request of it must be answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::client::http;
use crate::support::{PATIENCE, request};

pub(crate) struct Witness {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What it saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) answered: usize,
    /// Of them, later than 8 ms: told, and no test's business, as others use this machine too.
    pub(crate) late: usize,
    pub(crate) slowest: Duration,
}

impl Witness {
    /// Asks for bids, one after the other, in two pieces each, so that its requests are kept for a moment too.
    pub(crate) fn begin(address: SocketAddr) -> Witness {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let thread = std::thread::spawn(move || {
            let mut seen = Seen { answered: 0, late: 0, slowest: Duration::ZERO };
            while !until.load(Ordering::Relaxed) {
                let bytes = http("POST", "/openrtb/generic", "", &request(&format!("w{}", seen.answered), ""));
                let (head, rest) = bytes.split_at(bytes.len() / 2);
                stream.write_all(head).expect("the witness is heard");
                if seen.answered.is_multiple_of(2) {
                    // Long enough for the first half to be received by itself.
                    std::thread::sleep(Duration::from_micros(300));
                }
                let asked = Instant::now();
                stream.write_all(rest).expect("the witness is heard");
                read(&mut stream);
                let took = asked.elapsed();
                seen.answered += 1;
                seen.late += usize::from(took > Duration::from_millis(8));
                seen.slowest = seen.slowest.max(took);
                std::thread::sleep(Duration::from_millis(1));
            }
            seen
        });
        Witness { stop, thread }
    }

    /// What it saw; it must have been answered whatever it asked.
    #[track_caller]
    pub(crate) fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().expect("every request of the witness is answered");
        assert!(seen.answered > 0);
        seen
    }
}

/// Reads an answer, 200 or 204.
fn read(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut piece).expect("an answer");
        assert!(count > 0, "the witness was closed after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&piece[..count]);
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&bytes[..head]).unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("Content-Length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        assert!(text.starts_with("HTTP/1.1 200 ") || text.starts_with("HTTP/1.1 204 "), "{text}");
        if bytes.len() >= head + 4 + length {
            assert_eq!(bytes.len(), head + 4 + length, "more than was asked for");
            return;
        }
    }
}
