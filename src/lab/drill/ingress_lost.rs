//! The way over which exchanges reach the bidder is gone; the bidder itself is well. Somebody opens the second way in.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::lab::drill::{Books, Client, Drill, Halt, Prometheus, Serve, Stage, campaign, http, program};

pub(super) const DRILL: Drill = Drill {
    name: "ingress-lost",
    about: "the way from the exchange is cut: the second way in is opened, trade goes on, no bill is lost",
    run,
};

/// Auctions before the way is cut.
const BIDS: usize = 60;
/// An alert about traffic that is gone needs traffic that was there.
const BEFORE: Duration = Duration::from_secs(20);
/// The flag file is looked at each second.
const OPENS: Duration = Duration::from_secs(5);

fn run(stage: &mut Stage) -> Result<(), Halt> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let trust = certificate(stage)?;
    let section = format!(
        "[ingress]\nlisten = \"{port}\"\ncert_file = \"ingress.pem\"\nkey_file = \"ingress.key\"\nflag_file = \"ingress.open\"\n"
    );
    let config = stage.files().configure("bidder", "", &section, &campaign(1, 1000, "2.00", ""))?;
    let bidder = Serve::new("bidder", &config).start(stage)?;
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    let refused = |address: SocketAddr| matches!(TcpStream::connect(address), Err(error) if error.kind() == ErrorKind::ConnectionRefused);
    stage.check("the second way in is dormant: its port is not bound", refused(port), port);

    let mut relay = Relay::start(bidder.address)?;
    stage.saw(format_args!("the exchange comes over a relay on {}", relay.address));
    let (mut books, mut client) = (Books::default(), Client::connect(relay.address)?);
    let before = if prometheus.is_there() { BEFORE } else { Duration::ZERO };
    let start = stage.elapsed();
    books.win(&mut client, BIDS)?;
    while stage.elapsed() - start < before {
        books.ask(&mut client)?;
        stage.pause(Duration::from_millis(20))?;
    }
    for sale in 0..books.sales.len() / 2 {
        books.bill(&mut client, sale)?;
    }
    let (bids, acknowledged) = (books.sales.len(), books.acknowledged());
    stage.saw(format_args!("{bids} bids, {acknowledged} bills acknowledged"));

    relay.cut();
    let lost = books.ask(&mut client).is_err() && Client::connect(relay.address).is_err();
    stage.check("the way is cut: nothing gets through", lost, "the connection ended, and no other can be opened");
    prometheus.fires(stage, "CorebidIngressLost")?;
    let alive = bidder.get("/live")?.status;
    stage.check("the bidder itself is well", alive == 200, format_args!("/live answers {alive}"));

    fs::write(stage.files().path("ingress.open"), "")?;
    let mut client = stage.until("the second way in", OPENS, || tls(port, &trust).ok())?;
    let status = bidder.get("/api/ingress")?;
    stage.check("the flag file opens the second way in", status.body.contains("\"open\":true"), &status.body);
    let before = books.sales.len();
    books.win(&mut client, BIDS)?;
    let more = books.sales.len() - before;
    stage.check("the exchange goes on over TLS", more == BIDS, format_args!("{more} bids"));
    for sale in 0..books.sales.len() {
        if !books.sales[sale].acknowledged {
            books.bill(&mut client, sale)?;
        }
    }
    let (bids, acknowledged) = (books.sales.len(), books.acknowledged());
    stage.check(
        "every bill is acknowledged, those of before too",
        bids == acknowledged,
        format_args!("{acknowledged} of {bids}"),
    );
    prometheus.fires(stage, "CorebidSecondIngressOpen")?;

    fs::remove_file(stage.files().path("ingress.open"))?;
    stage.reaches("without the flag file it closes", OPENS, || (refused(port), port.to_string()))?;
    prometheus.clears(stage, "CorebidSecondIngressOpen")?;
    drop(client);
    bidder.stop(stage)?;
    let differences = books.differences(&stage.files().path("bidder"))?;
    let seen = differences.first().cloned().unwrap_or_else(|| format!("{bids} bills, each once"));
    stage.check("the ledger holds every acknowledged bill, and each once", differences.is_empty(), seen);
    Ok(())
}

/// A certificate for this machine, signed by itself: what to trust.
fn certificate(stage: &Stage) -> Result<Arc<ClientConfig>, Halt> {
    let openssl = program("openssl", "install the package openssl")?;
    let [pem, key] = ["ingress.pem", "ingress.key"].map(|name| stage.files().path(name));
    stage.files().write_secret("ingress.key", "")?;
    let made = Command::new(openssl)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=corebid drill", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&pem)
        .output()?;
    if !made.status.success() {
        return Err(Halt::failed("openssl req", String::from_utf8_lossy(&made.stderr).trim()));
    }
    trusting(&pem).map_err(|error| Halt::failed("the certificate", error))
}

fn trusting(pem: &Path) -> Result<Arc<ClientConfig>, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pem)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn tls(address: SocketAddr, trust: &Arc<ClientConfig>) -> io::Result<Client<Tls>> {
    let name = ServerName::IpAddress(address.ip().into());
    let session = ClientConnection::new(trust.clone(), name).map_err(io::Error::other)?;
    Ok(Client::over(StreamOwned::new(session, http::stream(address)?), &address.to_string()))
}

/// What stands between an exchange and a bidder, until it does not.
struct Relay {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    listening: Option<JoinHandle<()>>,
}

impl Relay {
    fn start(to: SocketAddr) -> io::Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let mut relay = Relay { address, is_cut: Arc::default(), open: Arc::default(), listening: None };
        let (is_cut, open) = (relay.is_cut.clone(), relay.open.clone());
        let listening = thread::Builder::new().name("relay".into()).spawn(move || {
            for from in listener.incoming() {
                if is_cut.load(Ordering::Acquire) {
                    break;
                }
                let _ = from.and_then(|from| join(from, TcpStream::connect(to)?, &open));
            }
        })?;
        relay.listening = Some(listening);
        Ok(relay)
    }

    /// Ends every connection and listens no more.
    fn cut(&mut self) {
        let Some(listening) = self.listening.take() else { return };
        self.is_cut.store(true, Ordering::Release);
        // It waits for a connection; this is its last, and its port is closed with it.
        let _ = TcpStream::connect(self.address);
        let _ = listening.join();
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Copies both ways, each on a thread, until either side ends.
fn join(from: TcpStream, to: TcpStream, open: &Mutex<Vec<TcpStream>>) -> io::Result<()> {
    for stream in [&from, &to] {
        stream.set_nodelay(true)?;
        open.lock().unwrap_or_else(PoisonError::into_inner).push(stream.try_clone()?);
    }
    for (mut from, mut to) in [(from.try_clone()?, to.try_clone()?), (to, from)] {
        thread::Builder::new().name("relay".into()).spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        })?;
    }
    Ok(())
}
