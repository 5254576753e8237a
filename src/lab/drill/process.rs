//! The processes of a drill: started in its folder, watched, signalled, and never left behind.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::lab::drill::{Answer, Halt, Metrics, Stage, http, threads};

/// Longer than any machine needs to start a bidder, or to end one in good order.
const PATIENCE: Duration = Duration::from_secs(30);
/// Any free port of this machine.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A running process. It is killed when this is dropped, and when the drill itself dies.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts one. What it prints goes to `NAME.log` in the drill's folder, behind what an earlier one of the name printed.
    pub fn start(stage: &Stage, name: &str, command: &mut Command) -> Result<Process, Halt> {
        let log = stage.files().path(&format!("{name}.log"));
        let sink = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(sink.try_clone()?).stderr(sink);
        // A group of its own: Ctrl-C is for the drill, which ends its processes itself.
        command.process_group(0);
        // SAFETY: between fork and exec only prctl(2) is called, which takes no pointers here and is async-signal-safe.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let child = command.spawn().map_err(|error| Halt::failed(name, error))?;
        Ok(Process { name: name.to_owned(), child, log })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) -> Result<(), Halt> {
        // SAFETY: no pointer is passed; the process is this one's child and was not waited for, so that its number is its own.
        match unsafe { libc::kill(self.child.id() as libc::pid_t, signal) } {
            0 => Ok(()),
            _ => Err(Halt::failed(&self.name, io::Error::last_os_error())),
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub fn wait(&mut self, stage: &Stage) -> Result<ExitStatus, Halt> {
        let what = format!("the end of {}", self.name);
        stage.until(&what, PATIENCE, || self.child.try_wait().ok().flatten())
    }

    /// Ends it as a power cut does.
    pub fn kill(mut self) {
        self.end();
    }

    /// SIGKILL, whatever state it is in. The number is given back to the kernel.
    fn end(&mut self) {
        if self.ended().is_none() {
            // The whole group: a program may be a script that starts another.
            // SAFETY: no pointer is passed; the group is led by this one's child, which was not waited for.
            unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn last_line(&self) -> String {
        self.log().lines().last().unwrap_or("it said nothing").to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A program of this name in `PATH`.
pub fn program(name: &str, hint: &str) -> Result<PathBuf, Halt> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| Halt::Missing(format!("the program `{name}`, which is not in PATH: {hint}")))
}

/// A `corebid serve` to be started, as often as one likes: each time on the same data.
#[derive(Clone, Debug)]
pub struct Serve {
    name: String,
    program: Option<PathBuf>,
    through: Vec<OsString>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    listen: SocketAddr,
    admin: SocketAddr,
}

impl Serve {
    /// With a configuration, on ports that are free.
    pub fn new(name: &str, config: &Path) -> Serve {
        Serve::with(name, vec!["--config".into(), config.into()])
    }

    /// With the built-in campaigns, on this data directory.
    pub fn demo(name: &str, data: &Path) -> Serve {
        Serve::with(name, vec!["--demo".into(), "--data".into(), data.into()])
    }

    /// With what its further arguments name, on this data directory.
    pub fn bare(name: &str, data: &Path) -> Serve {
        Serve::with(name, vec!["--data".into(), data.into()])
    }

    fn with(name: &str, arguments: Vec<OsString>) -> Serve {
        Serve {
            name: name.to_owned(),
            program: None,
            through: Vec::new(),
            arguments,
            environment: Vec::new(),
            listen: ANYWHERE,
            admin: ANYWHERE,
        }
    }

    /// Where exchanges connect, instead.
    pub fn listen(self, listen: SocketAddr) -> Serve {
        Serve { listen, ..self }
    }

    /// Where its admin port is, instead.
    pub fn admin(self, admin: SocketAddr) -> Serve {
        Serve { admin, ..self }
    }

    /// Of another build than this one.
    pub fn program(self, program: &Path) -> Serve {
        Serve { program: Some(program.to_owned()), ..self }
    }

    /// One more argument.
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Serve {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// A variable of its environment.
    pub fn environment(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Serve {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Started by a command that becomes it: `["nice", "-n", "5"]`.
    pub fn through(self, command: &[&str]) -> Serve {
        Serve { through: command.iter().map(OsString::from).collect(), ..self }
    }

    /// Starts it and waits for `ready`.
    pub fn start(&self, stage: &Stage) -> Result<Bidder, Halt> {
        let ours = self.program.clone().map_or_else(std::env::current_exe, Ok)?;
        let words: Vec<&OsStr> = self.through.iter().map(OsString::as_os_str).chain([ours.as_os_str()]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("serve").args(&self.arguments).env_remove("COREBID_LOG");
        command.args(["--listen", &self.listen.to_string(), "--admin", &self.admin.to_string()]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(stage, &self.name, &mut command)?;
        let earlier = process.log().len();
        let ready = stage.until(&format!("that {} is ready", self.name), PATIENCE, || {
            let log = process.log();
            let ours = log.get(earlier..).unwrap_or("");
            if ours.lines().any(|line| line == "ready") {
                return Some(Ok(addresses(ours)));
            }
            process.ended().map(Err)
        })?;
        let (address, admin) = match ready {
            Ok(Some(addresses)) => addresses,
            Ok(None) => return Err(Halt::Failed(format!("{} does not say where it listens", self.name))),
            Err(status) => {
                return Err(Halt::Failed(format!("{} did not start ({status}): {}", self.name, process.last_line())));
            }
        };
        stage.saw(format_args!("{} ready: bids on {address}, admin on {admin}, process {}", self.name, process.id()));
        Ok(Bidder { process, address, admin })
    }
}

/// The addresses of the line that goes before `ready`.
fn addresses(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    let after = |word: &str| {
        let rest = &log[log.rfind(word)? + word.len()..];
        rest[..rest.find(',')?].parse().ok()
    };
    Some((after("bids on http://")?, after("admin on http://")?))
}

/// A running bidder.
#[derive(Debug)]
pub struct Bidder {
    /// The process: its number, its log, its signals.
    pub process: Process,
    /// Where exchanges connect.
    pub address: SocketAddr,
    /// Its admin port.
    pub admin: SocketAddr,
}

impl Bidder {
    /// Where the exchange `generic` posts.
    pub fn url(&self) -> String {
        format!("http://{}/openrtb/generic", self.address)
    }

    /// What it counts, now.
    pub fn metrics(&self) -> Result<Metrics, Halt> {
        Ok(Metrics::parse(&self.get("/metrics")?.body))
    }

    /// A page of its admin port.
    pub fn get(&self, target: &str) -> Result<Answer, Halt> {
        http::get(self.admin, target).map_err(|error| Halt::failed(target, error))
    }

    /// Tells its admin port to do something.
    pub fn post(&self, target: &str) -> Result<Answer, Halt> {
        http::post(self.admin, target, "").map_err(|error| Halt::failed(target, error))
    }

    /// What the exchange `generic` gets for one request, on a connection of its own.
    pub fn ask(&self, body: &str) -> Result<Answer, Halt> {
        http::post(self.address, "/openrtb/generic", body).map_err(|error| Halt::failed("a bid request", error))
    }

    /// Its memory, bytes.
    pub fn resident_bytes(&self) -> Result<u64, Halt> {
        Ok(threads::resident_bytes(self.process.id())?)
    }

    /// Its threads.
    pub fn threads(&self) -> Result<Vec<threads::Thread>, Halt> {
        Ok(threads::threads(self.process.id())?)
    }

    /// Ends it as an operator does, and checks that it ends as it should.
    pub fn stop(mut self, stage: &mut Stage) -> Result<(), Halt> {
        self.process.signal(libc::SIGTERM)?;
        let code = self.process.wait(stage)?.code();
        stage.check("the bidder ends in good order", code == Some(0), format_args!("exit code {code:?}"));
        Ok(())
    }
}
