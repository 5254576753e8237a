//! One server and the connection to it: made in the background, given up when it fails, tried again ever more seldom.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisConnectionInfo, TlsCertificates, Value,
};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::Failure;
use super::library::{Had, Library};
use super::topology::{Replication, text};
use crate::config::stores::{self, host_port};
use crate::secrets::Password;

/// For all of a connection: TCP, TLS, password, library. It is made in the background, so it may take longer than a call.
const CONNECT: Duration = Duration::from_secs(2);
/// The first pause after a failure, which doubles, and the longest.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(2)];

/// What connections are made with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: stores::Valkey,
    pub(super) libraries: &'static [Library],
}

impl Settings {
    pub(super) fn password(&self) -> Result<Option<Password>, Failure> {
        let read = |path| Password::read(path).map_err(|error| Failure::NoAuth(error.to_string()));
        self.config.password_file.as_deref().map(read).transpose()
    }

    pub(super) fn auth(&self, password: &Password) -> Cmd {
        let mut auth = redis::cmd("AUTH");
        if let Some(username) = &self.config.username {
            auth.arg(username);
        }
        auth.arg(password.reveal());
        auth
    }
}

/// An open connection.
#[derive(Clone, Debug)]
struct Connection {
    line: MultiplexedConnection,
    /// Which one of this server it is.
    number: u64,
    /// It found that a library was missing, and loaded it.
    lost_library: bool,
}

/// The outcome of an attempt, and when it was known; nothing while it lasts.
type Attempt = watch::Receiver<Option<(Instant, Result<Connection, Failure>)>>;

enum State {
    /// Until when nothing is tried, and why.
    Down(Instant, Failure),
    Connecting(Attempt),
    Up(Connection),
}

/// How a connection is come by.
enum Access {
    Open(Connection),
    /// By an attempt, which may have begun just now.
    Soon(Attempt, bool),
    Refused(Failure),
}

/// One server.
pub(super) struct Endpoint {
    pub(super) address: String,
    settings: Arc<Settings>,
    state: RefCell<State>,
    attempts: Cell<u64>,
    /// Failures since the last answer.
    failures: Cell<u32>,
    /// The passwords of which connection and of which change of the file were sent.
    authenticated: Cell<(u64, u64)>,
    /// How often a library was missing.
    lost_libraries: Cell<u64>,
}

impl Endpoint {
    pub(super) fn new(address: &str, settings: &Arc<Settings>) -> Endpoint {
        Endpoint {
            address: address.to_owned(),
            settings: settings.clone(),
            state: RefCell::new(State::Down(Instant::now(), Failure::Disconnected("not yet tried".into()))),
            attempts: Cell::new(0),
            failures: Cell::new(0),
            authenticated: Cell::new((0, 0)),
            lost_libraries: Cell::new(0),
        }
    }

    /// How often a connection found that a library was missing, and loaded it.
    pub(super) fn lost_libraries(&self) -> u64 {
        self.lost_libraries.get()
    }

    /// One round trip, to be over by `deadline`. `change` numbers the changes of the password file: a connection that has not
    /// seen the last one sends the password ahead.
    pub(super) async fn send(
        &self,
        pipeline: &Pipeline,
        change: u64,
        deadline: Instant,
    ) -> Result<Vec<Value>, Failure> {
        let Connection { mut line, number, .. } = self.connection(deadline).await?;
        let count = pipeline.len();
        let fresh = match self.authenticated.get() {
            (connection, seen) if connection == number && seen != change => self.settings.password().transpose(),
            _ => None,
        };
        let with_password = match fresh {
            Some(Ok(password)) => {
                let mut whole = Pipeline::with_capacity(count + 1);
                whole.add_command(self.settings.auth(&password));
                pipeline.cmd_iter().for_each(|cmd| _ = whole.add_command(cmd.clone()));
                Some(whole)
            }
            // The connection is still who it was.
            Some(Err(failure)) => {
                log::warn!("{}: {failure}; the connection keeps the password it has", self.address);
                None
            }
            None => None,
        };
        let (sent, count) = with_password.as_ref().map_or((pipeline, count), |whole| (whole, count + 1));
        let mut values = match timeout_at(deadline, line.send_packed_commands(sent, 0, count)).await {
            Ok(Ok(values)) if values.len() == count => values,
            Ok(Ok(_)) => return Err(self.give_up(number, Failure::Protocol("another number of replies".into()))),
            Ok(Err(error)) => return Err(self.give_up(number, Failure::of_connection(&error))),
            Err(_) => return Err(self.give_up(number, Failure::Timeout)),
        };
        self.failures.set(0);
        self.authenticated.set((number, change));
        if with_password.is_some()
            && let Value::ServerError(error) = values.remove(0)
        {
            log::warn!("{}: the new password is refused ({error}); the connection keeps the old one", self.address);
        }
        let refusal = values.iter().find_map(|value| match value {
            Value::ServerError(error) if ["NOAUTH", "WRONGPASS"].contains(&error.code()) => Some(Failure::of(error)),
            Value::ServerError(error) => {
                Some(Failure::of(error)).filter(|failure| *failure == Failure::MissingFunction)
            }
            _ => None,
        });
        if let Some(failure) = refusal {
            // The next connection reads the password file, and loads the library.
            self.give_up(number, failure);
        }
        Ok(values)
    }

    /// The connection, if there is one or one comes in time. After a failure only who begins an attempt waits for it, and after
    /// several nobody, so that a server that is down costs its callers nothing.
    async fn connection(&self, deadline: Instant) -> Result<Connection, Failure> {
        let (mut attempt, begun) = match self.access() {
            Access::Open(connection) => return Ok(connection),
            Access::Refused(failure) => return Err(failure),
            Access::Soon(attempt, begun) => (attempt, begun),
        };
        let failures = self.failures.get();
        if failures == 0 || (begun && failures == 1) {
            // That nobody answers any more is seen below.
            let _ = timeout_at(deadline, attempt.wait_for(Option::is_some)).await;
        }
        match self.access() {
            Access::Open(connection) => Ok(connection),
            Access::Refused(failure) => Err(failure),
            Access::Soon(..) => Err(Failure::Disconnected(format!("{}: connecting", self.address))),
        }
    }

    /// Takes up what an attempt has come to, and begins one if it is time.
    fn access(&self) -> Access {
        let mut state = self.state.borrow_mut();
        if let State::Connecting(attempt) = &*state {
            let outcome = attempt.borrow().clone();
            match outcome {
                None if attempt.has_changed().is_ok() => return Access::Soon(attempt.clone(), false),
                None => *state = self.down(Instant::now(), Failure::Disconnected("the attempt was given up".into())),
                Some((_, Ok(connection))) => {
                    self.lost_libraries.set(self.lost_libraries.get() + u64::from(connection.lost_library));
                    *state = State::Up(connection);
                }
                Some((at, Err(failure))) => {
                    log::warn!("{}: {failure}", self.address);
                    *state = self.down(at, failure);
                }
            }
        }
        match &*state {
            State::Up(connection) => Access::Open(connection.clone()),
            State::Down(until, failure) if Instant::now() < *until => Access::Refused(failure.clone()),
            _ => {
                let attempt = self.connect();
                *state = State::Connecting(attempt.clone());
                Access::Soon(attempt, true)
            }
        }
    }

    /// Closes a connection, unless another has taken its place.
    fn give_up(&self, number: u64, failure: Failure) -> Failure {
        let mut state = self.state.borrow_mut();
        if matches!(&*state, State::Up(connection) if connection.number == number) {
            log::warn!("{}: {failure}", self.address);
            // What is told about a later call, which was not even sent.
            let why = Failure::Disconnected(format!("{}: {failure}", self.address));
            *state = self.down(Instant::now(), why);
        }
        failure
    }

    fn down(&self, at: Instant, failure: Failure) -> State {
        self.failures.set(self.failures.get().saturating_add(1));
        State::Down(at + pause(self.failures.get()), failure)
    }

    fn connect(&self) -> Attempt {
        let number = self.attempts.get() + 1;
        self.attempts.set(number);
        let (tell, attempt) = watch::channel(None);
        let (address, settings) = (self.address.clone(), self.settings.clone());
        tokio::spawn(async move {
            let made = match timeout(CONNECT, open(&address, &settings, number)).await {
                Ok(made) => made,
                Err(_) => Err(Failure::Disconnected(format!("{address}: no answer within {CONNECT:?}"))),
            };
            // Nobody may be left who wants it.
            let _ = tell.send(Some((Instant::now(), made)));
        });
        attempt
    }
}

/// Half of the pause and up to all of it, so that nodes do not come back all at once.
fn pause(failures: u32) -> Duration {
    let [first, longest] = BACK_OFF;
    let whole = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest);
    let mut random = [0; 2];
    // Without randomness the pause is the shorter half.
    let _ = getrandom::fill(&mut random);
    whole / 2 + whole / 2 * u32::from(u16::from_le_bytes(random)) / u32::from(u16::MAX)
}

/// Makes a connection that is fit for use: encrypted, authenticated, with the libraries loaded.
async fn open(address: &str, settings: &Settings, number: u64) -> Result<Connection, Failure> {
    let config = &settings.config;
    let at = |what: &dyn std::fmt::Display| Failure::Disconnected(format!("{address}: {what}"));
    let (host, port) = host_port(address).ok_or_else(|| at(&"no address"))?;
    let client = match config.tls {
        false => Client::open(info(ConnectionAddr::Tcp(host.to_owned(), port))),
        true => {
            let root_cert = config.ca_file.as_ref().map(std::fs::read).transpose();
            let root_cert = root_cert.map_err(|error| at(&format_args!("stores.valkey.ca_file: {error}")))?;
            let addr = ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None };
            Client::build_with_tls(info(addr), TlsCertificates { client_tls: None, root_cert })
        }
    };
    let waits = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let client = client.map_err(|error| at(&error))?;
    let mut line = client.get_multiplexed_async_connection_with_config(&waits).await.map_err(|error| at(&error))?;

    let mut first = Pipeline::new();
    let password = settings.password()?;
    if let Some(password) = &password {
        first.add_command(settings.auth(password));
    }
    first.cmd("INFO").arg("replication");
    // Only a cluster knows this command; there it lets a replica answer.
    first.cmd("READONLY");
    let replies = line.send_packed_commands(&first, 0, first.len()).await.map_err(|error| {
        // A server that expects a TLS greeting hangs up on anything else.
        let hint = if config.tls { "" } else { " (does it want TLS? see stores.valkey.tls)" };
        at(&format_args!("hung up on the first command: {error}{hint}"))
    })?;
    let mut replies = replies.into_iter();
    if password.is_some() {
        answered(replies.next())?;
    }
    let info = answered(replies.next())?;
    let replication =
        Replication::parse(&info).ok_or_else(|| Failure::Protocol(format!("{address}: INFO replication")))?;
    let mut lost_library = false;
    if replication.is_primary {
        for &library in settings.libraries {
            lost_library |= provide(address, &mut line, library).await?;
        }
    }
    log::info!("{address}: connected, replication id {}", replication.id);
    Ok(Connection { line, number, lost_library })
}

fn info(addr: ConnectionAddr) -> redis::ConnectionInfo {
    let plain = RedisConnectionInfo::default().set_skip_set_lib_name().set_protocol(ProtocolVersion::RESP2);
    let info = addr.into_connection_info().expect("an address is one");
    info.set_redis_settings(plain)
}

/// Loads a library unless the server has it; returns whether it had none.
async fn provide(address: &str, line: &mut MultiplexedConnection, library: Library) -> Result<bool, Failure> {
    let name = library.name();
    let list = redis::cmd("FUNCTION").arg("LIST").arg("LIBRARYNAME").arg(name).arg("WITHCODE").take();
    let had = library.compare(&ask(line, &list).await?)?;
    if had != Had::Enough {
        let load = redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(library.0).take();
        let loaded = ask(line, &load).await?;
        if text(&loaded).as_deref() != Some(name) {
            return Err(Failure::Protocol(format!("{address}: FUNCTION LOAD")));
        }
        log::info!("{address}: function library {name} loaded");
    }
    Ok(had == Had::Nothing)
}

async fn ask(line: &mut MultiplexedConnection, cmd: &Cmd) -> Result<Value, Failure> {
    let answer = line.send_packed_command(cmd).await.map_err(|error| Failure::of_connection(&error))?;
    answered(Some(answer))
}

fn answered(value: Option<Value>) -> Result<Value, Failure> {
    match value {
        Some(Value::ServerError(error)) => Err(Failure::of(&error)),
        Some(value) => Ok(value),
        None => Err(Failure::Protocol("fewer replies than commands".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_limit() {
        let [first, longest] = BACK_OFF;
        for (failures, whole) in [(1, first), (2, 2 * first), (3, 4 * first), (20, longest), (u32::MAX, longest)] {
            let pause = pause(failures);
            assert!(pause >= whole / 2 && pause <= whole, "{failures}: {pause:?}");
        }
    }
}
