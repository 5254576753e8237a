//! The static probes as tools see them: listed in the program, a `nop` each, and hit as often as what they tell happens.
//!
//! The oracles are `readelf`, which knows nothing of ours, and the kernel, which counts the hits of a breakpoint for us. Where it does
//! not, the test says so and checks the rest.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use corebid::metrics::stage::Stage;
use support::client::http;
use support::process::Bidder;
use support::{Folder, request};

const PROGRAM: &str = env!("CARGO_BIN_EXE_corebid");
/// What one byte `nop` is on x86-64. Others have it in four.
const NOP: u8 = 0x90;

/// Where a probe is, and how many arguments it has.
#[derive(Debug)]
struct Site {
    address: u64,
    arguments: usize,
}

fn readelf(options: &[&str]) -> String {
    let output = Command::new("readelf").args(options).arg(PROGRAM).output().expect("readelf, of binutils");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The probes of our provider, by name.
fn probes() -> BTreeMap<String, Vec<Site>> {
    let mut probes: BTreeMap<String, Vec<Site>> = BTreeMap::new();
    let text = readelf(&["-n"]);
    for note in text.split("NT_STAPSDT").skip(1) {
        let field = |name: &str| note.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
        if field("Provider:") != Some("corebid") {
            continue;
        }
        let address = field("Location:").and_then(|line| line.strip_prefix("0x")?.split(',').next()).unwrap();
        let address = u64::from_str_radix(address, 16).unwrap();
        let arguments = field("Arguments:").map_or(0, |arguments| arguments.split_whitespace().count());
        probes.entry(field("Name:").unwrap().to_owned()).or_default().push(Site { address, arguments });
    }
    probes
}

/// Where in the file an address is loaded from.
fn offset(address: u64) -> u64 {
    let hexadecimal = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    let text = readelf(&["-W", "-l"]);
    let mut segments = text.lines().filter_map(|line| {
        let mut words = line.trim().strip_prefix("LOAD")?.split_whitespace().map_while(hexadecimal);
        let (offset, at, _, length) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (at..at + length).contains(&address).then(|| address - at + offset)
    });
    segments.next_back().expect("a probe in a segment that is loaded")
}

#[test]
fn every_boundary_has_its_probe_and_each_is_a_nop() {
    // Those of the loop around the decision have the probes of requests and turns.
    let stages = Stage::ALL.iter().filter(|stage| !matches!(stage, Stage::Arrive | Stage::Frame | Stage::Account));
    let mut expected: BTreeMap<String, usize> = stages.map(|stage| (format!("stage__{}", stage.label()), 0)).collect();
    let others = [
        ("request__begin", 2),
        ("request__done", 2),
        ("turn__begin", 1),
        ("turn__end", 1),
        ("stall", 2),
        ("swap", 0),
        ("tick", 1),
    ];
    expected.extend(others.map(|(name, arguments)| (name.to_owned(), arguments)));
    let probes = probes();
    assert_eq!(probes.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let program = File::open(PROGRAM).unwrap();
    for (name, sites) in &probes {
        for site in sites {
            assert_eq!(site.arguments, expected[name], "{name}");
            let mut byte = [0];
            program.read_exact_at(&mut byte, offset(site.address)).unwrap();
            assert!(!cfg!(target_arch = "x86_64") || byte == [NOP], "{name} at {:#x} is {byte:?}", site.address);
        }
    }
}

/// The kernel's count of how often a thread passes a place of the program: `perf_event_open(2)`.
struct Passes(File);

impl Passes {
    fn count(thread: i32, site: &Site) -> io::Result<Passes> {
        let kind = fs::read_to_string("/sys/bus/event_source/devices/uprobe/type")?;
        let kind: u64 = kind.trim().parse().map_err(io::Error::other)?;
        let path = std::ffi::CString::new(PROGRAM).unwrap();
        // The first version of `struct perf_event_attr`: type and size, and at its end what a uprobe takes, path and offset.
        let mut attributes = [0u64; 9];
        attributes[0] = kind | (size_of_val(&attributes) as u64) << 32;
        attributes[7] = path.as_ptr() as u64;
        attributes[8] = offset(site.address);
        // SAFETY: the attributes and the path they name are readable for the length of the call.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), thread, -1, -1, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just opened this descriptor for us.
        Ok(Passes(File::from(unsafe { OwnedFd::from_raw_fd(fd as i32) })))
    }

    fn read(&mut self) -> u64 {
        let mut count = [0; 8];
        self.0.read_exact(&mut count).unwrap();
        u64::from_ne_bytes(count)
    }
}

fn thread_of(bidder: &Bidder, name: &str) -> i32 {
    let tasks = fs::read_dir(format!("/proc/{}/task", bidder.process())).unwrap();
    let named = |task: &Path| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let task = tasks.map(|task| task.unwrap().path()).find(|task| named(task)).unwrap();
    task.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

#[test]
fn a_probe_is_hit_once_for_what_it_tells() {
    const REQUESTS: u64 = 300;
    let folder = Folder::new("probes");
    let bidder = Bidder::start(&["--demo", "--data", &folder.text("data")]);
    let (probes, thread) = (probes(), thread_of(&bidder, "bid-0"));
    let count =
        |name: &str| probes[name].iter().map(|site| Passes::count(thread, site)).collect::<io::Result<Vec<_>>>();
    let names = ["request__begin", "request__done", "stage__admit", "stage__scan", "stage__answer"];
    let mut counts = Vec::new();
    for name in names {
        match count(name) {
            Ok(places) => counts.push(places),
            Err(why) => return eprintln!("skipped: the kernel does not count passes here: {why}"),
        }
    }
    let mut client = bidder.client();
    let mut decided = 0;
    let mut bids = 0;
    for id in 0..REQUESTS {
        let bytes = http("POST", "/openrtb/generic", "x-debug: 1\r\n", &request(&format!("r{id}"), ""));
        client.send(&bytes).unwrap();
        let answer = client.answer().unwrap();
        decided += u64::from(!matches!(answer.reason(), Some("shed" | "stalled")));
        bids += u64::from(answer.status == 200);
    }
    let mut passed = counts.iter_mut().map(|places| places.iter_mut().map(Passes::read).sum::<u64>());
    let [begun, done, admitted, scanned, answered] = std::array::from_fn(|_| passed.next().unwrap());
    assert_eq!((begun, done), (REQUESTS, REQUESTS));
    assert_eq!(admitted, decided, "what was not shed is decided");
    assert!((answered..=decided).contains(&scanned), "{scanned} scanned, {answered} answered of {decided}");
    // A bid may be withdrawn after it was written.
    assert!((bids..=decided).contains(&answered) && bids > 0, "{bids} bids, {answered} answers");
    bidder.stop();
}
