//! A server of the tests: threads, blocking sockets, answers by a script. Slow and obvious on purpose.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What the server does with a request.
#[allow(dead_code, reason = "each test file uses some of it")]
pub(crate) enum Reply {
    /// Sends these bytes, after a pause, whole or byte by byte.
    Bytes { bytes: Vec<u8>, pause: Duration, pieces: bool },
    /// Answers, then closes the connection without having said so.
    Last(Vec<u8>),
    /// Never answers it, nor anything after it on this connection.
    Silence,
    /// Closes the connection.
    Close,
}

#[allow(dead_code, reason = "each test file uses some of it")]
impl Reply {
    pub(crate) fn text(text: impl Into<String>) -> Reply {
        Reply::Bytes { bytes: text.into().into_bytes(), pause: Duration::ZERO, pieces: false }
    }

    pub(crate) fn after(self, pause: Duration) -> Reply {
        match self {
            Reply::Bytes { bytes, pieces, .. } => Reply::Bytes { bytes, pause, pieces },
            other => other,
        }
    }

    pub(crate) fn in_pieces(self) -> Reply {
        match self {
            Reply::Bytes { bytes, pause, .. } => Reply::Bytes { bytes, pause, pieces: true },
            other => other,
        }
    }
}

/// A request as it arrived.
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

#[allow(dead_code, reason = "each test file uses some of it")]
impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Path and query.
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or("")
    }
}

type Script = Arc<dyn Fn(u64, &Request) -> Reply + Send + Sync>;

/// A server; its threads end with the connections, or with the test process.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

#[allow(dead_code, reason = "each test file uses some of it")]
impl Server {
    /// Answers request number n (counted over all connections) with `script(n, request)`.
    pub(crate) fn start(script: impl Fn(u64, &Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (requests, connections) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let server = Server {
            address: listener.local_addr().expect("an address"),
            requests: requests.clone(),
            connections: connections.clone(),
        };
        let script: Script = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (script, requests) = (script.clone(), requests.clone());
                thread::spawn(move || serve(stream, &script, &requests));
            }
        });
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

#[expect(clippy::disallowed_methods, reason = "a script says how slow its server is")]
fn serve(mut stream: TcpStream, script: &Script, requests: &AtomicU64) {
    let _ = stream.set_nodelay(true);
    let mut input = Vec::new();
    while let Some(request) = next_request(&mut stream, &mut input) {
        match script(requests.fetch_add(1, Ordering::SeqCst), &request) {
            Reply::Bytes { bytes, pause, pieces } => {
                thread::sleep(pause);
                let size = if pieces { 1 } else { bytes.len().max(1) };
                for piece in bytes.chunks(size) {
                    if stream.write_all(piece).is_err() {
                        return;
                    }
                }
            }
            Reply::Last(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Reply::Silence => {
                let _ = stream.read_to_end(&mut Vec::new());
                return;
            }
            Reply::Close => return,
        }
    }
}

fn next_request(stream: &mut TcpStream, input: &mut Vec<u8>) -> Option<Request> {
    loop {
        if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            let mut request = Request { head: String::from_utf8(input[..end + 2].to_vec()).ok()?, body: Vec::new() };
            let length: usize = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            if input.len() >= end + 4 + length {
                request.body = input[end + 4..end + 4 + length].to_vec();
                input.drain(..end + 4 + length);
                return Some(request);
            }
        }
        let mut buffer = [0; 8192];
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => input.extend_from_slice(&buffer[..count]),
        }
    }
}
