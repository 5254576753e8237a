//! The lease authority on a real Valkey server: one tick of a node with 10,000 campaigns of 1,000 advertisers, as one pipeline of
//! FCALLs. Prints the time of the pipeline, and the CPU time of the server's main thread for it (INFO cpu): reading, calls, replies. Needs `valkey-server` in the path.

#![allow(clippy::disallowed_methods, reason = "it waits for a server, and takes the time")]

use std::process::{Child, Command, Stdio};
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

fn main() {
    let folder = std::env::temp_dir().join(format!("corebid-bench-{}", std::process::id()));
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
        redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(lease::LIBRARY).query(&mut connection).expect("it loads");
    let info: String = redis::cmd("INFO").arg("replication").query(&mut connection).expect("INFO");
    let id = info.lines().find_map(|line| ServerId::of(line.strip_prefix("master_replid:")?.trim())).expect("an id");
    let envelope = Envelope { epoch: Epoch(1), version: 0, server: id };
    fund(&mut connection, &envelope);
    println!("{:>5} {:>5} {:>12} {:>12} {:>14}", "tick", "node", "pipeline ms", "server ms", "us a campaign");
    let mut drawn = 0;
    // Of each node: its leases and what was granted, in the order of the campaigns.
    let mut held = vec![vec![(None, Micros::ZERO); (ADVERTISERS * CAMPAIGNS) as usize]; usize::from(NODES)];
    for tick in 1..=TICKS {
        for node in 1..=NODES {
            let mine = &mut held[usize::from(node) - 1];
            let reports: Vec<_> = (0..ADVERTISERS).map(|at| report(node, tick, at, mine, &mut drawn)).collect();
            let mut pipe = redis::pipe();
            let header = encode::envelope(&envelope);
            for (at, report) in reports.iter().enumerate() {
                let body = encode::report(report).expect("numbers that fit");
                pipe.cmd("FCALL").arg(Function::Report.name()).arg(1).arg(lease::key(AdvertiserId(at as u32)));
                pipe.arg(&header).arg(body);
            }
            let before = server_micros(&mut connection);
            let start = Instant::now();
            let replies: Vec<Vec<u8>> = pipe.query(&mut connection).expect("replies");
            let took = start.elapsed();
            for (report, reply) in reports.iter().zip(&replies) {
                let (_, reply) = decode::report(report, reply).expect("a reply of the library");
                let Reply::Done(answer) = reply else { panic!("{reply:?}") };
                for lease in answer.leases {
                    mine[lease.campaign.0 as usize] = (lease.lease, lease.granted);
                }
            }
            let spent = server_micros(&mut connection) - before;
            if tick == 1 || tick % 4 == 0 {
                let each = spent as f64 / f64::from(ADVERTISERS * CAMPAIGNS);
                let (pipeline, server) = (took.as_secs_f64() * 1e3, spent as f64 / 1e3);
                println!("{tick:>5} {node:>5} {pipeline:>12.1} {server:>12.1} {each:>14.2}");
            }
        }
    }
    let granted = held.iter().flatten().filter(|(lease, _)| lease.is_some()).count();
    println!("{granted} leases of {NODES} nodes");
    drop(server);
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
