//! The stores of a fleet, as processes of a drill: Valkey and Amazon's DynamoDB Local, each on a port of its own, in memory.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::lab::drill::{Halt, Process, Stage, http, program};

/// A JVM on a loaded machine.
const START: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(1);

/// A server. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Store {
    /// The process, for signals.
    pub(super) process: Process,
    /// Where it answers.
    pub(super) address: SocketAddr,
}

impl Store {
    /// A Valkey without password and encryption, empty; on a free port, or again where one was.
    pub(super) fn valkey(stage: &Stage, again: Option<SocketAddr>) -> Result<Store, Halt> {
        let program = program("valkey-server", "scripts/drill installs it")?;
        attempts(again, |address| Store::start_valkey(stage, &program, address))
    }

    fn start_valkey(stage: &Stage, program: &Path, address: SocketAddr) -> Result<Store, Halt> {
        let folder = stage.files().within("valkey")?;
        let mut command = Command::new(program);
        command.current_dir(folder).args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--daemonize", "no", "--save", "", "--appendonly", "no", "--loglevel", "warning"]);
        let mut process = Process::start(stage, "valkey", &mut command)?;
        await_it(stage, &mut process, || pings(address))?;
        stage.saw(format_args!("valkey ready on {address}, process {}", process.id()));
        Ok(Store { process, address })
    }

    /// A DynamoDB Local without tables; on a free port, or again where one was.
    pub(super) fn dynamodb(stage: &Stage, again: Option<SocketAddr>) -> Result<Store, Halt> {
        let java = program("java", "scripts/drill installs it")?;
        let lib = dynamodb_local()?;
        attempts(again, |address| Store::start_dynamodb(stage, &java, &lib, address))
    }

    fn start_dynamodb(stage: &Stage, java: &Path, lib: &Path, address: SocketAddr) -> Result<Store, Halt> {
        let mut command = Command::new(java);
        command.args(["-Xmx256m", &format!("-Djava.library.path={}", lib.display()), "-cp"]);
        command.arg(format!("{}/*", lib.display()));
        command.args(["com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-sharedDb"]);
        command.args(["-disableTelemetry", "-port", &address.port().to_string()]).env("DDB_LOCAL_TELEMETRY", "0");
        let mut process = Process::start(stage, "dynamodb", &mut command)?;
        // It answers 400 to a question that is none of its own.
        await_it(stage, &mut process, || http::get(address, "/").is_ok())?;
        stage.saw(format_args!("DynamoDB Local ready on {address}, process {}", process.id()));
        Ok(Store { process, address })
    }

    /// Its port, for another one, once this one is killed.
    pub(super) fn kill(self) -> SocketAddr {
        self.process.kill();
        self.address
    }
}

/// The `[stores.dynamodb]` of a bidder, with the credentials that it names. Calls that may wait have the time that a JVM takes which
/// has just started; fetches of users have not.
pub(super) fn dynamodb_section(stage: &Stage, dynamodb: &Store) -> Result<String, Halt> {
    stage
        .files()
        .write_secret("credentials", "[default]\naws_access_key_id = AKIDCOREBID\naws_secret_access_key = secret\n")?;
    Ok(format!(
        "[stores.dynamodb]\nendpoint = \"http://{}\"\naws_region = \"eu-central-1\"\ncredentials_file = \"credentials\"\n\
         timeout_ms = 10000\n",
        dynamodb.address
    ))
}

/// A command of this program: what it prints, or what it says went wrong.
pub(super) fn corebid(arguments: &[&str]) -> Result<String, Halt> {
    let output = Command::new(std::env::current_exe()?).args(arguments).env_remove("COREBID_LOG").output()?;
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(told(&output.stdout)),
        false => Err(Halt::failed(&format!("corebid {}", arguments.join(" ")), told(&output.stderr))),
    }
}

/// Makes the tables of a configuration.
pub(super) fn make_tables(stage: &Stage, config: &Path) -> Result<(), Halt> {
    let config = config.display().to_string();
    stage.saw(format_args!("corebid stores init: {}", corebid(&["stores", "init", "--config", &config])?));
    Ok(())
}

/// Halts where this program was built without what stores need.
pub(super) fn are_built() -> Result<(), Halt> {
    match cfg!(feature = "stores") {
        true => Ok(()),
        false => Err(Halt::Missing("a corebid that was built with its default features".into())),
    }
}

/// Where `scripts/drill` puts it: in the target directory, which this program is in, or below the current folder.
fn dynamodb_local() -> Result<PathBuf, Halt> {
    let program = std::env::current_exe()?;
    let here = std::env::current_dir()?;
    let folders = program.ancestors().skip(1).map(|folder| folder.join("dynamodb-local/lib"));
    let mut folders = folders.chain([here.join("target/dynamodb-local/lib")]);
    let missing = || Halt::Missing("DynamoDB Local in target/dynamodb-local: scripts/drill fetches it".into());
    folders.find(|folder| folder.is_dir()).ok_or_else(missing)
}

/// At an address that is given; or at a free one, which may be taken between looking and listening.
fn attempts(at: Option<SocketAddr>, start: impl Fn(SocketAddr) -> Result<Store, Halt>) -> Result<Store, Halt> {
    const MORE: u32 = 2;
    let Some(address) = at else {
        for _ in 0..MORE {
            match start(free()?) {
                Err(Halt::Failed(_)) => {}
                ended => return ended,
            }
        }
        return start(free()?);
    };
    start(address)
}

fn free() -> Result<SocketAddr, Halt> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn await_it(stage: &Stage, process: &mut Process, answers: impl Fn() -> bool) -> Result<(), Halt> {
    let up = stage.until("an answer of the store", START, || {
        let ended = process.ended().map(|_| false);
        ended.or_else(|| answers().then_some(true))
    })?;
    let why = || process.log().lines().last().unwrap_or("it said nothing").to_owned();
    if up { Ok(()) } else { Err(Halt::failed("the store ended", why())) }
}

fn pings(address: SocketAddr) -> bool {
    let ping = || -> std::io::Result<[u8; 5]> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    ping().is_ok_and(|answer| answer == *b"+PONG")
}
