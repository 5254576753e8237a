//! Between a bill's arrival and its 200 its record is written and synced: seen from the kernel, which traces what the
//! process asks of io_uring. A kill cannot show this, as it leaves the page cache.
//!
//! It needs the right to trace (root), and is skipped with a word where there is none.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::Folder;
use support::client::target;
use support::process::Bidder;
use support::request;

const BILLS: usize = 40;

/// An instance of the kernel's tracing, alone with its buffer. Gone with the test.
struct Trace {
    instance: PathBuf,
    mounted: Option<PathBuf>,
}

impl Trace {
    fn new(folder: &Folder) -> io::Result<Trace> {
        let usual = Path::new("/sys/kernel/tracing");
        let mounted = if usual.join("instances").is_dir() {
            None
        } else {
            let at = folder.path("tracing");
            fs::create_dir(&at)?;
            let mount =
                Command::new("mount").args(["-t", "tracefs", "none"]).arg(&at).stderr(Stdio::null()).status()?;
            if !mount.success() {
                return Err(io::Error::other("no tracefs"));
            }
            Some(at)
        };
        let root = mounted.clone().unwrap_or_else(|| usual.to_owned());
        let trace = Trace { instance: root.join(format!("instances/corebid-{}", std::process::id())), mounted };
        fs::create_dir(&trace.instance)?;
        Ok(trace)
    }

    fn set(&self, name: &str, value: &str) -> io::Result<()> {
        fs::write(self.instance.join(name), value)
    }

    /// Watches all threads of a process, kernel workers included.
    fn watch(&self, process: u32) -> io::Result<()> {
        // One clock for all CPUs.
        self.set("trace_clock", "mono")?;
        self.set("buffer_size_kb", "4096")?;
        self.set("options/event-fork", "1")?;
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let task = task?.file_name();
            fs::OpenOptions::new()
                .append(true)
                .open(self.instance.join("set_event_pid"))
                .and_then(|mut file| io::Write::write_all(&mut file, task.as_encoded_bytes()))?;
        }
        self.set("events/io_uring/io_uring_submit_req/enable", "1")?;
        self.set("events/io_uring/io_uring_complete/enable", "1")
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.instance);
        if let Some(at) = &self.mounted {
            let _ = Command::new("umount").arg(at).status();
        }
    }
}

/// What matters of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A write of the reconciliation core was done.
    Written,
    /// It asked for a sync.
    Syncs,
    /// A sync was done.
    Synced,
    /// A bid core sent an answer.
    Answers,
}

/// The value after a name in a line of the trace.
fn value<'l>(line: &'l str, name: &str) -> &'l str {
    let rest = line.split_once(name).map_or("", |(_, rest)| rest);
    rest.split([',', ' ']).find(|word| !word.is_empty()).unwrap_or("")
}

fn steps(text: &str) -> Vec<Step> {
    let mut pending: HashMap<(String, String), String> = HashMap::new();
    let mut steps = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let request = (value(line, " ring ").to_owned(), value(line, " req ").to_owned());
        if line.contains(" io_uring_submit_req:") {
            let (thread, opcode) = (line.trim_start(), value(line, " opcode "));
            match opcode {
                "SEND" if thread.starts_with("bid-") => steps.push(Step::Answers),
                "FSYNC" if thread.starts_with("reconcile") => steps.push(Step::Syncs),
                _ => {}
            }
            if thread.starts_with("reconcile") {
                pending.insert(request, opcode.to_owned());
            }
        } else if let Some(opcode) = pending.remove(&request) {
            let result: i64 = value(line, " result ").parse().expect("a result");
            match &opcode[..] {
                "FSYNC" if result == 0 => steps.push(Step::Synced),
                opcode if opcode.starts_with("WRITE") && result > 0 => steps.push(Step::Written),
                _ => {}
            }
        }
    }
    steps
}

#[test]
fn a_sync_lies_between_a_record_and_its_200() {
    let folder = Folder::new("synced");
    let trace = match Trace::new(&folder) {
        Ok(trace) => trace,
        Err(error) => return eprintln!("skipped: no right to trace the kernel: {error}"),
    };
    let bidder = Bidder::demo(&folder.text("data"), "io_uring");
    let mut client = bidder.client();
    let bids = (0..BILLS).map(|_| client.debug(&request("r", "")).json()["seatbid"][0]["bid"][0].take());
    let bills: Vec<String> = bids.map(|bid| target(bid["burl"].as_str().unwrap(), "0.5")).collect();
    if let Err(error) = trace.watch(bidder.process()) {
        return eprintln!("skipped: this kernel does not trace io_uring: {error}");
    }
    for bill in &bills {
        assert_eq!(client.get(bill).status, 200);
    }
    let text = fs::read_to_string(trace.instance.join("trace")).unwrap();
    bidder.stop();
    let steps = steps(&text);
    let answers: Vec<&[Step]> = steps.split_inclusive(|step| *step == Step::Answers).take(BILLS).collect();
    assert_eq!(answers.len(), BILLS, "{text}");
    for (bill, steps) in answers.iter().enumerate() {
        // Records of the tick may be written beside the bill's.
        let mut wanted = [Step::Written, Step::Syncs, Step::Synced, Step::Answers].iter();
        let mut next = wanted.next();
        for step in *steps {
            if Some(step) == next {
                next = wanted.next();
            }
        }
        assert_eq!(next, None, "the answer to bill {bill} came after {steps:?}");
    }
}
