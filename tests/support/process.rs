//! A `corebid serve` process on free ports: started, asked, signalled, and never left behind.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::client::{Answer, Client};
use super::{PATIENCE, eventually};

/// The program under test.
pub fn corebid() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corebid"));
    command.env_remove("COREBID_LOG").stdin(Stdio::null());
    command
}

/// What the program says when it is expected to end by itself.
#[track_caller]
pub fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = corebid().args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A running bidder. Killed when it goes out of scope.
#[derive(Debug)]
pub struct Bidder {
    child: Child,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<String>>,
}

/// A bidder that ended before it was ready.
#[derive(Debug)]
pub struct Refused {
    pub code: Option<i32>,
    pub stderr: String,
}

impl Bidder {
    /// Starts `corebid serve` with these arguments on free ports, and waits for `ready`.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Bidder {
        Bidder::try_start(arguments).expect("a bidder that starts")
    }

    pub fn demo(data: &str, backend: &str) -> Bidder {
        Bidder::start(&["--demo", "--data", data, "--backend", backend])
    }

    pub fn try_start(arguments: &[&str]) -> Result<Bidder, Refused> {
        Bidder::try_start_on("127.0.0.1", corebid(), arguments)
    }

    /// The same on another address, by a command that becomes the program.
    pub fn try_start_on(host: &str, mut command: Command, arguments: &[&str]) -> Result<Bidder, Refused> {
        let any = format!("{host}:0");
        let ports = ["serve", "--listen", &any, "--admin", &any, "--wait", "block"];
        let mut child =
            command.args(ports).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = child.stderr.take().unwrap();
        let sink = log.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = sink.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        match stdout.recv_timeout(PATIENCE) {
            Ok(line) => assert_eq!(line, "ready"),
            Err(_) => {
                let _ = child.kill();
                let code = child.wait().unwrap().code();
                reader.join().unwrap();
                let stderr = log.lock().unwrap().clone();
                return Err(Refused { code, stderr });
            }
        }
        // The addresses are told before `ready` is, but through another pipe.
        let (address, admin) = eventually("the addresses", || {
            let log = log.lock().unwrap();
            let after = |word: &str| {
                let rest = &log[log.find(word)? + word.len()..];
                rest[..rest.find(',')?].parse().ok()
            };
            Some((after("bids on http://")?, after("admin on http://")?))
        });
        Ok(Bidder { child, address, admin, log })
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address).expect("a bidder that accepts")
    }

    /// One answer of the admin port.
    pub fn admin(&self, target: &str) -> Answer {
        Client::connect(self.admin).expect("an admin port that accepts").get(target)
    }

    /// The sum of a metric over all series whose labels hold `label`.
    #[track_caller]
    pub fn metric(&self, name: &str, label: &str) -> u64 {
        let text = String::from_utf8(self.admin("/metrics").body).unwrap();
        let series = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, labels) = series.split_once('{').unwrap_or((series, ""));
            (found == name && labels.contains(label)).then(|| value.parse::<u64>().unwrap())
        });
        let values: Vec<u64> = series.collect();
        assert!(!values.is_empty(), "no metric {name} with {label:?} in\n{text}");
        values.iter().sum()
    }

    /// A number of the reconciliation core.
    #[track_caller]
    pub fn booked(&self, name: &str) -> u64 {
        // What is set and not counted has no suffix.
        const GAUGES: [&str; 4] = ["orders_waiting", "held_micros", "oldest_unsynced_ns", "ledger_bytes"];
        let suffix = if GAUGES.contains(&name) { "" } else { "_total" };
        self.metric(&format!("corebid_reconcile_{name}{suffix}"), "")
    }

    /// Its number.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn signal(&self, signal: i32) {
        // SAFETY: no pointer is passed; the process is this one's child and was not waited for.
        let sent = unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
        assert_eq!(sent, 0, "the bidder is gone");
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the end of the bidder", || self.child.try_wait().unwrap())
    }

    /// Ends it as an operator does; it must agree.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal(libc::SIGTERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// Ends it as a power cut does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Bidder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the bidder\n{}", self.log());
        }
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}
