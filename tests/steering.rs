//! Receive steering over a cable with two ends: two network namespaces and a veth pair between them, as loopback has no far side.
//!
//! A veth has no queues of its own: a packet is received on the CPU that sent it, or on the one that receive packet steering (RPS) of the
//! far end names, as a network card's interrupt would. So the test says which CPU receives, and the bidder's counters say who answered.
//! Where namespaces are not to be had, the tests say so and check nothing.

#[path = "support/mod.rs"]
mod support;

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::process::{Command, Output};
use std::thread;

use corebid::topology::Topology;
use support::Folder;
use support::client::Client;
use support::process::Bidder;

const BACKENDS: [&str; 2] = ["io_uring", "epoll"];
/// Addresses of documentation (RFC 5737): seen by nobody outside the namespaces.
const SERVER: &str = "192.0.2.1";
const CLIENT: &str = "192.0.2.2";
/// Connections at a time. That a hash draws one core of two for all of them happens once in 2^47.
const CONNECTIONS: u64 = 48;

/// Two namespaces with a cable between them. Both go when this does.
struct Cable {
    server: String,
    client: String,
    /// Two CPUs that this process may run on.
    cpus: [usize; 2],
}

impl Cable {
    /// `None`, and a word about it, where this is not to be had.
    fn lay(name: &str) -> Option<Cable> {
        let allowed = Topology::allowed();
        let &[first, second, ..] = &allowed[..] else {
            eprintln!("skipped: two CPUs are needed, and there is {allowed:?}");
            return None;
        };
        let of = |end: &str| format!("corebid-{}-{name}-{end}", std::process::id());
        let cable = Cable { server: of("server"), client: of("client"), cpus: [first, second] };
        for end in [&cable.server, &cable.client] {
            if let Err(why) = run(&["ip", "netns", "add", end]) {
                eprintln!("skipped: no network namespaces here: {why}");
                return None;
            }
        }
        // One queue each, so that there is one place to say who receives.
        let queue = ["numrxqueues", "1", "numtxqueues", "1"];
        let ends = [&["ip", "link", "add", "end", "netns", &cable.server][..], &queue].concat();
        let peer = [&["type", "veth", "peer", "name", "end", "netns", &cable.client][..], &queue].concat();
        if let Err(why) = run(&[ends, peer].concat()) {
            eprintln!("skipped: no veth pairs here: {why}");
            return None;
        }
        for (end, address) in [(&cable.server, SERVER), (&cable.client, CLIENT)] {
            run(&["ip", "-netns", end, "address", "add", &format!("{address}/24"), "dev", "end"]).unwrap();
            run(&["ip", "-netns", end, "link", "set", "end", "up"]).unwrap();
        }
        Some(cable)
    }

    /// A bidder at the server's end, with a bid core on each of these CPUs.
    fn serve(&self, folder: &Folder, backend: &str, steer: &str, cpus: &[usize]) -> Bidder {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.server, env!("CARGO_BIN_EXE_corebid")]).env_remove("COREBID_LOG");
        let cores = cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let data = folder.text(backend);
        let arguments = ["--demo", "--data", &data, "--backend", backend, "--cores", &cores, "--steer", steer];
        Bidder::try_start_on(SERVER, inside, &arguments).expect("a bidder that starts")
    }

    /// What the server's end gets is received on this CPU, or on the one that sent it.
    fn receive_on(&self, cpu: Option<usize>) {
        // The kernel reads masks in groups of 32 bits, the highest first.
        let mask =
            cpu.map_or("0".to_owned(), |cpu| format!("{:x}{}", 1u32 << (cpu % 32), ",00000000".repeat(cpu / 32)));
        let write = format!("echo {mask} > /sys/class/net/end/queues/rx-0/rps_cpus");
        run(&["ip", "netns", "exec", &self.server, "sh", "-c", &write]).unwrap();
    }

    /// Does something at the client's end, on this CPU.
    fn from<T: Send>(&self, cpu: usize, act: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.client)).unwrap();
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                // SAFETY: the descriptor is open for the length of the call; only this thread changes its namespace.
                assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
                assert!(core_affinity::set_for_current(core_affinity::CoreId { id: cpu }));
                act()
            });
            inside.join().unwrap()
        })
    }

    /// How many of so many connections from this CPU each bid core took.
    fn taken(&self, bidder: &Bidder, cpu: usize) -> [u64; 2] {
        self.from(cpu, || {
            let before = accepted(bidder);
            let _open: Vec<Client> = (0..CONNECTIONS).map(|_| ready(bidder.address)).collect();
            let after = accepted(bidder);
            [after[0] - before[0], after[1] - before[1]]
        })
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in [&self.server, &self.client] {
            let _ = run(&["ip", "netns", "delete", end]);
        }
    }
}

fn run(words: &[&str]) -> Result<(), String> {
    let Output { status, stderr, .. } =
        Command::new(words[0]).args(&words[1..]).output().map_err(|error| format!("{}: {error}", words[0]))?;
    if status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&stderr).trim().to_owned()) }
}

/// A connection that was answered: the core that took it has counted it.
fn ready(address: SocketAddr) -> Client {
    let mut client = Client::connect(address).unwrap();
    assert_eq!(client.get("/ready").status, 200);
    client
}

fn by_core(bidder: &Bidder, metric: &str, label: &str) -> [u64; 2] {
    [0, 1].map(|core| bidder.metric(metric, &format!("core=\"{core}\"{label}")))
}

fn accepted(bidder: &Bidder) -> [u64; 2] {
    by_core(bidder, "corebid_connections_accepted_total", "")
}

#[test]
fn each_connection_lands_on_the_core_of_the_cpu_that_received_it() {
    let Some(cable) = Cable::lay("steered") else { return };
    let folder = Folder::new("steered");
    let [first, second] = cable.cpus;
    for backend in BACKENDS {
        let bidder = cable.serve(&folder, backend, "cpu", &cable.cpus);
        assert!(bidder.log().contains(&format!("[{first}, {second}]")), "{}", bidder.log());
        // Whoever sends receives.
        cable.receive_on(None);
        assert_eq!(cable.taken(&bidder, first), [CONNECTIONS, 0], "{backend}");
        assert_eq!(cable.taken(&bidder, second), [0, CONNECTIONS], "{backend}");
        // The far end has an interrupt of its own: it counts, and not where the peer runs.
        cable.receive_on(Some(second));
        assert_eq!(cable.taken(&bidder, first), [0, CONNECTIONS], "{backend}");
        cable.receive_on(Some(first));
        assert_eq!(cable.taken(&bidder, second), [CONNECTIONS, 0], "{backend}");
        let steered = |hit| cable.from(first, || by_core(&bidder, "corebid_steered_total", &format!(",hit=\"{hit}\"")));
        assert_eq!((steered("yes"), steered("no")), ([2 * CONNECTIONS; 2], [0; 2]), "{backend}");
        bidder.stop();
    }
}

#[test]
fn without_steering_a_hash_spreads_them() {
    let Some(cable) = Cable::lay("spread") else { return };
    let folder = Folder::new("spread");
    for backend in BACKENDS {
        let bidder = cable.serve(&folder, backend, "off", &cable.cpus);
        let taken = cable.taken(&bidder, cable.cpus[0]);
        assert!(
            taken.iter().sum::<u64>() == CONNECTIONS && taken.iter().all(|&taken| taken > 0),
            "{backend}: {taken:?}"
        );
        let counted = cable.from(cable.cpus[0], || bidder.metric("corebid_steered_total", ""));
        assert_eq!(counted, 0, "nobody steers");
        bidder.stop();
    }
}

#[test]
fn what_another_cpu_receives_is_counted_and_answered() {
    let Some(cable) = Cable::lay("astray") else { return };
    let folder = Folder::new("astray");
    let [first, second] = cable.cpus;
    for backend in BACKENDS {
        let bidder = cable.serve(&folder, backend, "cpu", &[second]);
        let counted = |hit| bidder.metric("corebid_steered_total", &format!("hit=\"{hit}\""));
        let open = |cpu| {
            cable.from(cpu, || {
                let _open: Vec<Client> = (0..CONNECTIONS).map(|_| ready(bidder.address)).collect();
                (counted("yes"), counted("no"))
            })
        };
        assert_eq!(open(first), (0, CONNECTIONS), "{backend}");
        assert_eq!(open(second), (CONNECTIONS, CONNECTIONS), "{backend}");
        bidder.stop();
    }
}

#[test]
fn a_port_in_use_is_not_steered() {
    let folder = Folder::new("shared");
    let there = Bidder::start(&["--demo", "--data", &folder.text("there")]);
    let address = there.address.to_string();
    let arguments = ["--demo", "--data", &folder.text("here"), "--listen", &address, "--admin", "127.0.0.1:0"];
    // One that is not refused would serve for ever.
    let mut command = Command::new("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_corebid"), "serve"]).args(arguments).args(["--steer", "cpu"]);
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    let line = said.lines().find(|line| line.starts_with("corebid: ")).unwrap_or_else(|| panic!("{said}"));
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(line.contains("server.steer") && line.contains(&address), "{line}");
    // The other one's connections are where they were.
    assert_eq!(ready(there.address).get("/ready").status, 200);
    there.stop();
}
