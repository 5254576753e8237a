//! The second way in, for when the first is lost: a listener with TLS and limits of its own, dormant until somebody opens it
//! (docs/INGRESS.md).
//!
//! ```text
//!   exchange ── TLS ──► ingress thread ── HTTP over loopback ──► bid port
//!                         │ flag file, POST /api/ingress/open
//! ```
//!
//! Dormant, its port is not bound. Its thread is none of the bid cores': whatever comes here costs them no more than the requests
//! that are passed on.

mod bucket;
pub mod certificate;
pub mod counts;
mod relay;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::clock;
use crate::config;
use crate::limits;
use crate::wire::http;
use bucket::Bucket;
use certificate::Certificate;
use counts::{Ending, IngressCounts};
use relay::Common;

/// How often the flag file and the certificate are looked at.
const WATCH: Duration = Duration::from_secs(1);
/// After the kernel gave no connection, for want of descriptors say.
const PAUSE: Duration = Duration::from_millis(100);
/// At the end, how long answers may take that are under way.
const END: Duration = Duration::from_secs(2);
/// What operators ask at once.
const ASKS: usize = 16;

/// Memory that connections take at most, bytes: what each has read and its answer, TLS on both ways, and the long requests.
pub const fn memory(connections: usize) -> usize {
    const TLS: usize = 4 * 64 * 1024;
    let each = limits::INGRESS_REQUEST + limits::ANSWER_BUFFER + TLS;
    let long = limits::HEAD_BYTES + http::CODED_BYTES + limits::INGRESS_REQUEST;
    connections * each + limits::INGRESS_LONG * long
}

/// The running thread.
#[derive(Debug)]
pub struct Ingress {
    /// Opens and closes it.
    pub control: Control,
    /// What it counts.
    pub counts: Arc<IngressCounts>,
    end: watch::Sender<()>,
    thread: JoinHandle<()>,
}

/// Opens and closes an ingress, from any thread.
#[derive(Clone, Debug)]
pub struct Control(mpsc::Sender<(Ask, oneshot::Sender<Status>)>);

#[derive(Clone, Copy, Debug)]
enum Ask {
    Status,
    Open,
    Close,
}

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether it listens.
    pub open: bool,
    /// Where, or where it would.
    pub listen: String,
    /// Whether an operator opened it.
    pub operator: bool,
    /// Whether its flag file is there.
    pub flag_file: bool,
    /// Its connections.
    pub connections: usize,
    /// Why it does not listen though it should.
    pub error: Option<String>,
}

impl Control {
    /// How it stands; nothing if its thread is gone.
    pub async fn status(&self) -> Option<Status> {
        self.ask(Ask::Status).await
    }

    /// Opens it, until [`Control::close`]; or the error says why not.
    pub async fn open(&self) -> Option<Status> {
        self.ask(Ask::Open).await
    }

    /// Closes it, but for what the flag file says.
    pub async fn close(&self) -> Option<Status> {
        self.ask(Ask::Close).await
    }

    async fn ask(&self, ask: Ask) -> Option<Status> {
        let (reply, said) = oneshot::channel();
        self.0.send((ask, reply)).await.ok()?;
        said.await.ok()
    }
}

impl Ingress {
    /// Starts the thread, pinned to `cpu` if it can be; `bid` is where the bid port listens.
    ///
    /// # Errors
    /// The kernel gives no thread, or nothing to wait with.
    pub fn start(
        config: &config::Ingress,
        certificate: Certificate,
        bid: SocketAddr,
        cpu: usize,
    ) -> io::Result<Ingress> {
        let counts = Arc::new(IngressCounts::default());
        counts.expires.set(certificate.expires);
        let (asks, asked) = mpsc::channel(ASKS);
        let (end, ended) = watch::channel(());
        let common = Common {
            bid: reachable(bid),
            counts: counts.clone(),
            requests: RefCell::new(Bucket::new(config.requests_per_second)),
            long: Arc::new(Semaphore::new(limits::INGRESS_LONG)),
            scratch: RefCell::default(),
            idle: config.idle(),
            handshake: config.handshake(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let config = config.clone();
        let run = move || {
            crate::topology::pin_beside(cpu, "the ingress");
            let door = Door {
                handshakes: Bucket::new(config.handshakes_per_second),
                config,
                certificate,
                common: Rc::new(common),
                operator: false,
                flag: false,
                error: None,
                listening: None,
                connections: JoinSet::new(),
            };
            LocalSet::new().block_on(&runtime, door.run(asked, ended));
        };
        let thread = thread::Builder::new().name("ingress".into()).spawn(run)?;
        Ok(Ingress { control: Control(asks), counts, end, thread })
    }

    /// Nothing new is taken up from now on; what is under way is still answered.
    pub fn end(&self) {
        let _ = self.end.send(());
    }

    /// Waits for its end, a few seconds at most.
    pub fn join(self) {
        self.end();
        if self.thread.join().is_err() {
            log::error!("the ingress panicked");
        }
    }
}

/// Where this machine reaches a listener.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

struct Door {
    config: config::Ingress,
    certificate: Certificate,
    common: Rc<Common>,
    handshakes: Bucket,
    /// An operator opened it.
    operator: bool,
    /// The flag file is there.
    flag: bool,
    error: Option<String>,
    listening: Option<Listening>,
    connections: JoinSet<()>,
}

/// An open ingress. Dropped, its port is free and its connections end.
struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    open: watch::Sender<()>,
}

impl Door {
    async fn run(mut self, mut asked: mpsc::Receiver<(Ask, oneshot::Sender<Status>)>, mut ended: watch::Receiver<()>) {
        let mut watch = interval(WATCH);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ended.changed() => break,
                Some((ask, reply)) = asked.recv() => {
                    self.hear(ask).await;
                    let _ = reply.send(self.status());
                }
                _ = watch.tick() => self.look().await,
                accepted = accept(self.listening.as_ref(), self.handshakes.wait(clock::boot())) => self.admit(accepted),
                Some(_) = self.connections.join_next() => {}
            }
            self.common.counts.connections.set(self.connections.len() as u64);
        }
        self.close();
        let emptied = async { while self.connections.join_next().await.is_some() {} };
        let _ = timeout(END, emptied).await;
    }

    async fn hear(&mut self, ask: Ask) {
        match ask {
            Ask::Status => {}
            Ask::Open => self.operator = true,
            Ask::Close => self.operator = false,
        }
        self.settle().await;
    }

    /// Looks at the files.
    async fn look(&mut self) {
        let is_there = |file: &std::path::PathBuf| file.exists();
        self.flag = self.config.flag_file.as_ref().is_some_and(is_there);
        self.settle().await;
        let counts = &self.common.counts;
        match self.certificate.again() {
            Ok(false) => {}
            Ok(true) => {
                log::info!("ingress: {} read again", self.config.cert_file.display());
                counts.rotations.add(1);
                counts.expires.set(self.certificate.expires);
                counts.unrotated.set(0);
            }
            Err(error) => {
                log::error!("ingress: {error}; the certificate before stays in use");
                counts.unrotated.set(1);
            }
        }
    }

    /// Opens or closes, as it should be.
    async fn settle(&mut self) {
        match (self.operator || self.flag, self.listening.is_some()) {
            (true, false) => self.open().await,
            (false, true) => {
                log::warn!("the ingress is closed");
                self.close();
            }
            (false, false) => self.failed(None),
            (true, true) => {}
        }
    }

    async fn open(&mut self) {
        let bound = TcpListener::bind(self.config.listen).await;
        match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
            Ok((address, listener)) => {
                let why = if self.operator { "an operator opened it" } else { "its flag file is there" };
                log::warn!("the ingress is open on https://{address}: {why}");
                self.listening = Some(Listening { listener, address, open: watch::channel(()).0 });
                self.common.counts.open.set(1);
                self.failed(None);
            }
            Err(error) => self.failed(Some(format!("cannot listen on {}: {error}", self.config.listen))),
        }
    }

    fn close(&mut self) {
        self.listening = None;
        self.common.counts.open.set(0);
    }

    /// Says once why it does not listen though it should.
    fn failed(&mut self, error: Option<String>) {
        if let Some(what) = error.as_ref().filter(|what| self.error.as_ref() != Some(what)) {
            log::error!("ingress: {what}; tried again every second");
        }
        self.common.counts.failing.set(u64::from(error.is_some()));
        self.error = error;
    }

    fn admit(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let Some(Listening { open, .. }) = &self.listening else { return };
        let Ok((stream, _)) = accepted else { return };
        let counts = &self.common.counts;
        counts.accepted.add(1);
        if self.connections.len() >= self.config.max_connections.get() as usize {
            return counts.ended(Ending::Full);
        }
        self.handshakes.take(clock::boot());
        let (common, acceptor, open) = (self.common.clone(), self.certificate.acceptor.clone(), open.subscribe());
        self.connections.spawn_local(async move {
            let ending = relay::serve(stream, acceptor, &common, open).await;
            common.counts.ended(ending);
        });
    }

    fn status(&self) -> Status {
        let listen = self.listening.as_ref().map_or(self.config.listen, |listening| listening.address);
        Status {
            open: self.listening.is_some(),
            listen: listen.to_string(),
            operator: self.operator,
            flag_file: self.flag,
            connections: self.connections.len(),
            error: self.error.clone(),
        }
    }
}

/// The next connection, once `wait` ns are over. Closed, none ever comes.
async fn accept(listening: Option<&Listening>, wait: u64) -> io::Result<(TcpStream, SocketAddr)> {
    let Some(Listening { listener, .. }) = listening else { return std::future::pending().await };
    if wait > 0 {
        sleep(Duration::from_nanos(wait)).await;
    }
    let accepted = listener.accept().await;
    if accepted.is_err() {
        sleep(PAUSE).await;
    }
    accepted
}
