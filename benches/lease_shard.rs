//! The lease authority on a real Valkey server: one tick of a node with 10,000 campaigns of 1,000 advertisers, as one pipeline of
//! FCALLs. Prints the median time of the pipeline, the CPU time of the server's main thread for it (INFO cpu: reading, calls,
//! replies), and what the node spends on the bytes of all reports and answers. Files that are named are libraries to compare with: each on
//! a server of its own, in turn, pipeline by pipeline. Needs `valkey-server` in the path.

#![allow(clippy::disallowed_methods, reason = "it waits for a server, and takes the time")]

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use corebid::authority::Budget;
use corebid::authority::message::{LeaseReport, Part, Report};
use corebid::limits;
use corebid::store::valkey::lease::{self, Envelope, Function, Reply, ServerId, decode, encode};
use corebid::units::*;

const ADVERTISERS: u32 = 1_000;
const CAMPAIGNS: u32 = 10;
const NODES: u16 = 4;
const TICKS: u64 = 12;

struct Server(Child, std::path::PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

/// A library on a server, and what its nodes hold.
struct Side {
    name: String,
    connection: redis::Connection,
    envelope: Envelope,
    drawn: u64,
    /// Of each node: its leases and what was granted, in the order of the campaigns.
    held: Vec<Vec<(Option<LeaseId>, Micros)>>,
    /// Of each pipeline after the first tick, in microseconds: it, the server, encoding and decoding.
    took: Vec<[u64; 3]>,
    _server: Server,
}

fn main() {
    let files = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let others = files.map(|file| (std::fs::read_to_string(&file).expect("a library"), file));
    let ours = (lease::LIBRARY.to_owned(), "this".to_owned());
    let mut sides: Vec<_> = std::iter::once(ours).chain(others).map(|(code, name)| Side::start(name, &code)).collect();
    for tick in 1..=TICKS {
        for node in 1..=NODES {
            sides.iter_mut().for_each(|side| side.tick(node, tick));
        }
    }
    println!("{:>12} {:>12} {:>14} {:>10} library", "pipeline ms", "server ms", "us a campaign", "client ms");
    for side in &mut sides {
        let [pipeline, server, client] = [0, 1, 2].map(|figure| {
            let mut all: Vec<_> = side.took.iter().map(|took| took[figure]).collect();
            all.sort_unstable();
            all[all.len() / 2] as f64 / 1e3
        });
        let each = server * 1e3 / f64::from(ADVERTISERS * CAMPAIGNS);
        println!("{pipeline:>12.1} {server:>12.1} {each:>14.2} {client:>10.1} {}", side.name);
        assert!(side.held.iter().flatten().all(|(lease, _)| lease.is_some()), "a campaign without a lease");
    }
}

impl Side {
    fn start(name: String, library: &str) -> Side {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("corebid-bench-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let socket = folder.join("s");
        let child = Command::new("valkey-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("valkey-server starts");
        let server = Server(child, folder);
        let client = redis::Client::open(format!("unix://{}", socket.display())).expect("an address");
        let mut connection = loop {
            match client.get_connection() {
                Ok(connection) => break connection,
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let _: String =
            redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(library).query(&mut connection).expect("it loads");
        let info: String = redis::cmd("INFO").arg("replication").query(&mut connection).expect("INFO");
        let id =
            info.lines().find_map(|line| ServerId::of(line.strip_prefix("master_replid:")?.trim())).expect("an id");
        let envelope = Envelope { epoch: Epoch(1), version: 0, server: id };
        fund(&mut connection, &envelope);
        let held = vec![vec![(None, Micros::ZERO); (ADVERTISERS * CAMPAIGNS) as usize]; usize::from(NODES)];
        Side { name, connection, envelope, drawn: 0, held, took: Vec::new(), _server: server }
    }

    fn tick(&mut self, node: u16, tick: u64) {
        let mine = &mut self.held[usize::from(node) - 1];
        let reports: Vec<_> = (0..ADVERTISERS).map(|at| report(node, tick, at, mine, &mut self.drawn)).collect();
        let header = encode::envelope(&self.envelope);
        let start = Instant::now();
        let bodies: Vec<_> = reports.iter().map(|report| encode::report(report).expect("numbers that fit")).collect();
        let encoding = start.elapsed();
        let mut pipe = redis::pipe();
        for (at, body) in bodies.iter().enumerate() {
            pipe.cmd("FCALL").arg(Function::Report.name()).arg(1).arg(lease::key(AdvertiserId(at as u32)));
            pipe.arg(&header).arg(body);
        }
        let before = server_micros(&mut self.connection);
        let start = Instant::now();
        let replies: Vec<Vec<u8>> = pipe.query(&mut self.connection).expect("replies");
        let pipeline = start.elapsed();
        let spent = server_micros(&mut self.connection) - before;
        let start = Instant::now();
        let decode =
            |(report, reply): (&Report, &Vec<u8>)| decode::report(report, reply).expect("a reply of the library").1;
        let answers: Vec<_> = reports.iter().zip(&replies).map(decode).collect();
        let decoding = start.elapsed();
        for reply in answers {
            let Reply::Done(answer) = reply else { panic!("{reply:?}") };
            for lease in answer.leases {
                mine[lease.campaign.0 as usize] = (lease.lease, lease.granted);
            }
        }
        if tick > 1 {
            let micros = |took: Duration| took.as_micros() as u64;
            self.took.push([micros(pipeline), spent, micros(encoding + decoding)]);
        }
    }
}

fn fund(connection: &mut redis::Connection, envelope: &Envelope) {
    let header = encode::envelope(envelope);
    for advertiser in 0..ADVERTISERS {
        let list: Vec<_> = (0..CAMPAIGNS)
            .map(|at| Budget {
                campaign: CampaignId(advertiser * CAMPAIGNS + at),
                advertiser: AdvertiserId(advertiser),
                daily: Micros(1_000_000_000),
                total: None,
                price: CpmMicros(10_000_000),
                strict: true,
                tolerance: None,
            })
            .collect();
        let key = lease::key(AdvertiserId(advertiser));
        let open = encode::open(UnixMillis(u64::MAX >> 12), &[]).expect("numbers that fit");
        let list = encode::fund(1, &list).expect("numbers that fit");
        for (function, body) in [(Function::Open, open), (Function::Fund, list)] {
            let mut command = redis::cmd("FCALL");
            command.arg(function.name()).arg(1).arg(&key).arg(&header).arg(body).arg("");
            let reply: Vec<u8> = command.query(connection).expect("a reply");
            assert_eq!(decode::done(&reply).expect("a reply of the library").1, Reply::Done(()));
        }
    }
}

/// One node's tick about one advertiser: every campaign gives a little back and wants a little more.
fn report(node: u16, tick: u64, advertiser: u32, held: &[(Option<LeaseId>, Micros)], drawn: &mut u64) -> Report {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let day = UnixMillis(wall as u64).day();
    let one = |at: u32| {
        let campaign = CampaignId(advertiser * CAMPAIGNS + at);
        let (lease, granted) = held[campaign.0 as usize];
        *drawn += 1;
        LeaseReport {
            lease,
            granted,
            released: Micros(tick as i64 * 1_000),
            wanted: Micros(50_000),
            least: Micros(10_000),
            demand: Micros(30_000),
            expected: Micros(4_000),
            fresh: Some(LeaseId(u64::from(node) << 40 | *drawn)),
            ..LeaseReport::new(campaign, day)
        }
    };
    Report {
        part: Part::Advertiser(AdvertiserId(advertiser)),
        node: NodeId(node),
        incarnation: Incarnation(node.into()),
        epoch: Epoch(1),
        number: tick,
        renews: true,
        leases: (0..CAMPAIGNS).map(one).collect(),
        origin: corebid::authority::message::Origin { horizon: limits::H2_MS, ..Default::default() },
        ..Report::default()
    }
}

/// CPU time of the server's main thread so far: unlike the time of its calls it does not count when others have its core.
fn server_micros(connection: &mut redis::Connection) -> u64 {
    let stats: String = redis::cmd("INFO").arg("cpu").query(connection).expect("INFO");
    let seconds = |name: &str| -> f64 {
        let value = stats.lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
        value.trim().parse().expect("a number")
    };
    let all = seconds("used_cpu_user_main_thread:") + seconds("used_cpu_sys_main_thread:");
    (all * 1e6) as u64
}
