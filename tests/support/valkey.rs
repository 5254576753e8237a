//! Real Valkey servers on free loopback ports: one, a primary with replicas, a cluster, with TLS, with our access control list.
//! Each is asked through a Unix socket of its own, so that a test can look behind TLS and passwords.
//!
//! A server ends with its [`Server`], and with the thread that started it: start it in the test that uses it.

#![allow(unreachable_pub, reason = "beside the others, which are")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, Value};

use super::{Folder, eventually};

/// A server. Killed when it goes out of scope.
#[derive(Debug)]
pub struct Server {
    /// Where it answers, encrypted if it was started so.
    pub address: SocketAddr,
    child: Option<Child>,
    folder: Folder,
    arguments: Vec<String>,
}

impl Server {
    /// A primary without password and encryption; `arguments` as on the command line, `--name value`.
    pub fn start(arguments: &[&str]) -> Server {
        Server::in_folder(Folder::new("valkey"), arguments)
    }

    fn in_folder(folder: Folder, arguments: &[&str]) -> Server {
        // A port may be taken between looking and listening, and then the server ends.
        (0..10)
            .find_map(|_| Server::attempt(folder.path(""), arguments))
            .map(|(address, child, arguments)| Server { address, child: Some(child), folder, arguments })
            .expect("a valkey-server that starts")
    }

    fn attempt(folder: PathBuf, more: &[&str]) -> Option<(SocketAddr, Child, Vec<String>)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (port, bus) = (address.port().to_string(), free_port().to_string());
        let tls = more.contains(&"--tls-cert-file");
        let ports: &[&str] = if tls { &["--port", "0", "--tls-port", &port] } else { &["--port", &port] };
        let dir = folder.display().to_string();
        let socket = socket(&folder).display().to_string();
        let basics = [
            "--bind",
            "127.0.0.1",
            "--dir",
            &dir,
            "--unixsocket",
            &socket,
            "--daemonize",
            "no",
            "--save",
            "",
            "--appendonly",
            "no",
            "--loglevel",
            "warning",
            "--repl-diskless-sync-delay",
            "0",
            "--cluster-port",
            &bus,
        ];
        let arguments: Vec<String> = ports.iter().chain(&basics).chain(more).map(ToString::to_string).collect();
        let mut child = spawn(&folder, &arguments);
        let up = eventually("valkey-server", || {
            if child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            ask(&folder, &["PING"]).is_ok().then_some(true)
        });
        up.then_some((address, child, arguments))
    }

    /// Another one that follows this one.
    pub fn replica(&self, arguments: &[&str]) -> Server {
        let port = self.address.port().to_string();
        let replica = Server::start(&[&["--replicaof", "127.0.0.1", &port], arguments].concat());
        replica.follows();
        // The primary counts it as soon as it has heard so.
        let online = format!("port={},state=online", replica.address.port());
        eventually("a replica its primary knows of", || {
            self.text(&["INFO", "replication"]).contains(&online).then_some(())
        });
        replica
    }

    /// Waits until this replica has all that its primary has.
    pub fn follows(&self) {
        eventually("a replica that follows", || self.info("master_link_status").filter(|status| status == "up"));
    }

    /// With the access control list that is shipped, its user `corebid` having this password; and a user `operator` without
    /// one, as whom [`Server::ask`] comes.
    pub fn with_acl(password: &str, arguments: &[&str]) -> Server {
        let folder = Folder::new("valkey");
        let list = folder.write("users.acl", acl(password));
        Server::in_folder(folder, &[&["--aclfile", &list.display().to_string()], arguments].concat())
    }

    /// Another password for the user `corebid`, as an operator gives it: the list is replaced and loaded.
    pub fn set_password(&self, password: &str) {
        self.folder.write("users.acl", acl(password));
        self.ask(&["ACL", "LOAD"]);
    }

    /// What it answers to an operator.
    ///
    /// # Panics
    /// If that is an error.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> Value {
        self.try_ask(command).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// What it answers to an operator, or the error.
    pub fn try_ask(&self, command: &[&str]) -> redis::RedisResult<Value> {
        ask(&self.folder.path(""), command)
    }

    /// What it answers, as text: a number too.
    #[track_caller]
    pub fn text(&self, command: &[&str]) -> String {
        redis::from_redis_value(self.ask(command)).unwrap()
    }

    /// A field of INFO.
    pub fn info(&self, field: &str) -> Option<String> {
        let text = self.text(&["INFO"]);
        text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::to_owned)
    }

    /// Its number.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    #[track_caller]
    pub fn signal(&self, signal: i32) {
        // SAFETY: no pointer is passed; the process is this one's child and was not waited for.
        let sent = unsafe { libc::kill(self.process() as libc::pid_t, signal) };
        assert_eq!(sent, 0, "the server is gone");
    }

    /// Kills it at once; what it had in memory is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it on the same port, after [`Server::kill`].
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it is running");
        let folder = self.folder.path("");
        self.child = Some(spawn(&folder, &self.arguments));
        eventually("valkey-server again", || ask(&folder, &["PING"]).ok());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three primaries, which share the slots evenly, and a replica of each.
#[derive(Debug)]
pub struct Cluster {
    pub primaries: Vec<Server>,
    /// In the order of their primaries.
    pub replicas: Vec<Server>,
}

impl Cluster {
    pub fn start(arguments: &[&str]) -> Cluster {
        let cluster =
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-replica-validity-factor", "0"];
        let start = || (0..3).map(|_| Server::start(&[&cluster[..], arguments].concat())).collect();
        let cluster = Cluster { primaries: start(), replicas: start() };
        for (server, epoch) in cluster.servers().zip(1..) {
            server.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()]);
        }
        for (primary, [first, last]) in cluster.primaries.iter().zip([[0, 5460], [5461, 10922], [10923, 16383]]) {
            primary.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        }
        let (host, port) = (Ipv4Addr::LOCALHOST.to_string(), cluster.primaries[0].address.port().to_string());
        let bus = bus(&cluster.primaries[0]);
        for server in cluster.servers().skip(1) {
            server.ask(&["CLUSTER", "MEET", &host, &port, &bus]);
        }
        for (primary, replica) in cluster.primaries.iter().zip(&cluster.replicas) {
            let id = primary.text(&["CLUSTER", "MYID"]);
            eventually("a cluster that has met", || replica.try_ask(&["CLUSTER", "REPLICATE", &id]).ok());
            replica.follows();
        }
        cluster.settle();
        cluster
    }

    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.primaries.iter().chain(&self.replicas)
    }

    /// Waits until all of them know all of them.
    pub fn settle(&self) {
        for server in self.servers() {
            eventually("a whole cluster", || {
                let info = server.text(&["CLUSTER", "INFO"]);
                let nodes = server.text(&["CLUSTER", "NODES"]);
                let replicas = nodes.lines().filter(|line| line.contains("slave")).count();
                (info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6") && replicas == 3)
                    .then_some(())
            });
        }
    }

    /// The servers' addresses.
    pub fn addresses(&self) -> Vec<String> {
        self.servers().map(|server| server.address.to_string()).collect()
    }

    /// Begins to move a slot between two primaries: keys that are at `to` already are answered there, to whoever asks.
    pub fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let (from, to, slot) = (&self.primaries[from], &self.primaries[to], slot.to_string());
        to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from.text(&["CLUSTER", "MYID"])]);
        from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to.text(&["CLUSTER", "MYID"])]);
    }

    /// Moves keys of a slot that is being moved.
    pub fn move_key(&self, key: &str, from: usize, to: usize) {
        let port = self.primaries[to].address.port().to_string();
        self.primaries[from].ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
    }

    /// The slot belongs to `to` from now on.
    pub fn end_move(&self, slot: u16, to: usize) {
        let (id, slot) = (self.primaries[to].text(&["CLUSTER", "MYID"]), slot.to_string());
        self.primaries[to].ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
        for server in &self.primaries {
            server.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
        }
    }
}

/// A certificate authority in a folder: `ca.pem`, and a server's `server.pem` and `server.key` for 127.0.0.1.
#[derive(Debug)]
pub struct Authority {
    folder: Folder,
}

impl Authority {
    pub fn new() -> Authority {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate that has its issuer's name for its own issuer.
        authority.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().unwrap();
        let folder = Folder::new("authority");
        folder.write("ca.pem", authority.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(authority, key);
        for (name, host) in [("server", "127.0.0.1"), ("stranger", "valkey.example")] {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec![host.into()]).unwrap().signed_by(&key, &issuer).unwrap();
            folder.write(&format!("{name}.pem"), certificate.pem());
            folder.write(&format!("{name}.key"), key.serialize_pem());
        }
        Authority { folder }
    }

    pub fn ca_file(&self) -> PathBuf {
        self.folder.path("ca.pem")
    }

    /// What makes a server encrypt with its certificate for 127.0.0.1.
    pub fn arguments(&self) -> Vec<String> {
        self.arguments_of("server")
    }

    /// The same with a certificate that names another host.
    pub fn arguments_of_a_stranger(&self) -> Vec<String> {
        self.arguments_of("stranger")
    }

    fn arguments_of(&self, name: &str) -> Vec<String> {
        let file = |name: String| self.folder.text(&name);
        let (certificate, key) = (file(format!("{name}.pem")), file(format!("{name}.key")));
        let arguments = [
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &file("ca.pem".into()),
            "--tls-auth-clients",
            "no",
            "--tls-replication",
            "yes",
        ];
        arguments.map(str::to_owned).to_vec()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}

/// The list that is shipped, with this password, and an operator for the test.
fn acl(password: &str) -> String {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/valkey/users.acl");
    let shipped = fs::read_to_string(shipped).unwrap();
    let users = shipped.lines().filter(|line| line.starts_with("user ")).map(|line| {
        let secret = line.split(' ').find(|word| word.starts_with('#'));
        secret.map_or(line.to_owned(), |secret| line.replace(secret, &format!(">{password}")))
    });
    let users: Vec<String> = users.collect();
    format!("{}\nuser operator on nopass ~* &* +@all\n", users.join("\n"))
}

/// A password file as an operator makes it.
pub fn write_password(path: &Path, password: &str) {
    let new = path.with_extension("new");
    fs::write(&new, format!("{password}\n")).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, path).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

fn bus(server: &Server) -> String {
    let place = server.arguments.iter().position(|argument| argument == "--cluster-port").unwrap();
    server.arguments[place + 1].clone()
}

fn spawn(folder: &Path, arguments: &[String]) -> Child {
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new("valkey-server");
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    // SAFETY: between fork and exec only a system call is made, which takes no pointer.
    let command = unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    command.spawn().expect("valkey-server, which scripts/test installs")
}

fn ask(folder: &Path, command: &[&str]) -> redis::RedisResult<Value> {
    let operator = RedisConnectionInfo::default().set_skip_set_lib_name();
    let info = ConnectionAddr::Unix(socket(folder)).into_connection_info()?.set_redis_settings(operator);
    let mut connection = redis::Client::open(info)?.get_connection()?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    // Where there is no list, there is no such user, and nobody is asked who they are.
    let _ = redis::cmd("AUTH").arg("operator").arg("-").query::<Value>(&mut connection);
    let (name, arguments) = command.split_first().expect("a command");
    redis::cmd(name).arg(arguments).query(&mut connection)
}
