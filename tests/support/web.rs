//! A web server for whoever fetches: every name, HTTP and, with a certificate authority of its own, HTTPS on one port. What it
//! answers is raw bytes, so that it can be as odd as a test wants.

#![allow(unreachable_pub, reason = "beside the others, which are")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The `Host` header, without a port.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// The others, names in lower case.
    pub headers: HashMap<String, String>,
    /// It came over TLS.
    pub secure: bool,
}

/// The names that the certificate is for, and the authority that signed it.
pub struct Tls {
    config: Arc<ServerConfig>,
    /// The authority's certificate.
    pub pem: String,
}

impl Tls {
    pub fn new(names: &[&str]) -> Tls {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Tls { config: Arc::new(config), pem }
    }
}

/// The server. Gone when it goes out of scope; what it streams ends with its readers.
pub struct Web {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    most: Arc<Mutex<HashMap<String, (usize, usize)>>>,
    stop: Arc<AtomicBool>,
}

/// What answers: it writes head and body, or what it likes. The connection is closed afterwards.
pub trait Handler: Fn(&Request, &mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static {}
impl<T: Fn(&Request, &mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static> Handler for T {}

impl Web {
    /// Without TLS a handshake is met by a closed connection.
    pub fn start(tls: Option<&Tls>, handler: impl Handler) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, most) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(HashMap::new())));
        let stop = Arc::new(AtomicBool::new(false));
        let web = Web { address, seen: seen.clone(), most: most.clone(), stop: stop.clone() };
        let config = tls.map(|tls| tls.config.clone());
        let handler = Arc::new(handler);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (seen, most, config, handler) = (seen.clone(), most.clone(), config.clone(), handler.clone());
                thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                    let mut first = [0];
                    match (stream.peek(&mut first), config) {
                        (Ok(1), Some(config)) if first == [22] => {
                            let connection = ServerConnection::new(config).unwrap();
                            answer(StreamOwned::new(connection, stream), true, &seen, &most, &*handler);
                        }
                        (Ok(1), _) if first != [22] => answer(stream, false, &seen, &most, &*handler),
                        _ => {}
                    }
                });
            }
        });
        web
    }

    /// What was asked so far, and forgets it.
    pub fn take_seen(&self) -> Vec<Request> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// The most requests for one host that were under way at the same time.
    pub fn most_at_once(&self, host: &str) -> usize {
        self.most.lock().unwrap().get(host).map_or(0, |(_, most)| *most)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(
    stream: impl Read + Write,
    secure: bool,
    seen: &Mutex<Vec<Request>>,
    most: &Mutex<HashMap<String, (usize, usize)>>,
    handler: &dyn Handler,
) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream, secure) else { return };
    seen.lock().unwrap().push(request.clone());
    {
        let mut most = most.lock().unwrap();
        let (now, peak) = most.entry(request.host.clone()).or_default();
        *now += 1;
        *peak = (*peak).max(*now);
    }
    // Whoever reads may go away at any time.
    let _ = handler(&request, stream.get_mut());
    let _ = stream.get_mut().flush();
    most.lock().unwrap().get_mut(&request.host).unwrap().0 -= 1;
}

fn read(stream: &mut impl BufRead, secure: bool) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let path = line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1\r\n")?.to_owned();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let host = headers.get("host")?.split(':').next()?.to_owned();
    Some(Request { host, path, headers, secure })
}

/// A whole answer. `headers` are lines with their ends.
pub fn reply(out: &mut dyn Write, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(out, "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n")?;
    out.write_all(body)
}

/// 200 and `text/plain`.
pub fn text(out: &mut dyn Write, body: &str) -> std::io::Result<()> {
    reply(out, 200, "content-type: text/plain; charset=utf-8\r\n", body.as_bytes())
}
