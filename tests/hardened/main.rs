//! The process as an intruder or a bug would find it: what it has given up, and how it ends when a thread of it panics.
//!
//! The oracle for what it gave up is the kernel: `/proc/PID/status`, and what it answers to a file that is out of reach. That for a
//! panic is the exchange, which counts the answers it got.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../killed/account.rs"]
#[allow(dead_code, reason = "tests/killed uses more of it")]
mod account;
mod drills;
#[path = "../killed/exchange.rs"]
#[allow(dead_code, reason = "tests/killed uses more of it")]
mod exchange;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::client::{Client, target};
use support::process::{Bidder, corebid, run};
use support::{Folder, campaign, eventually, micros, request};

/// `nobody`, as a number: no host need know the name.
const NOBODY: u32 = 65_534;

/// What the kernel says of every thread of a process.
fn threads(bidder: &Bidder) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", bidder.process())).unwrap();
    let read = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")));
    // One may end meanwhile.
    read.filter_map(Result::ok).collect()
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
}

fn is_root() -> bool {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Gives a folder and all in it to somebody.
fn give(folder: &Path, user: u32) {
    chown(folder, Some(user), Some(user)).unwrap();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        chown(&path, Some(user), Some(user)).unwrap();
        if path.is_dir() {
            give(&path, user);
        }
    }
}

/// A command that becomes another user first, and may lock at most so much memory.
fn as_user(user: Option<u32>, locks: u64) -> Command {
    let mut command = corebid();
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    // SAFETY: the one call between fork and exec is a system call.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: locks, rlim_max: locks };
            match libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    command
}

fn price(bid: &Value) -> i64 {
    let Value::Number(price) = &bid["price"] else { panic!("a bid without a price: {bid}") };
    micros(price)
}

/// Bids, bills, and takes up a changed campaign file.
fn works(bidder: &Bidder, folder: &Folder, cpm: &str) {
    let mut client = bidder.client();
    let bid = client.debug(&request("r", "")).json()["seatbid"][0]["bid"][0].take();
    let bill = target(bid["burl"].as_str().unwrap(), "1.5");
    assert_eq!(client.ask("POST", &bill, "", b"").status, 200, "it is on disk");

    // Replaced as an operator does it: by renaming.
    folder.write("new.toml", campaign(1, "").replace("cpm = 2.00", &format!("cpm = {cpm}")));
    fs::rename(folder.path("new.toml"), folder.path("campaigns.toml")).unwrap();
    bidder.signal(libc::SIGHUP);
    let before = price(&bid);
    eventually("a bid at the new price", || {
        let bid = client.debug(&request("r", "")).json()["seatbid"][0]["bid"][0].take();
        (price(&bid) > before).then_some(())
    });
}

#[test]
fn a_plain_start_is_sealed_and_works() {
    for backend in ["io_uring", "epoll"] {
        let folder = Folder::new("hardened");
        let config = folder.configure("debug_header = true", "", &campaign(1, ""));
        let bidder = Bidder::start(&["--config", &config, "--backend", backend]);
        works(&bidder, &folder, "2.50");
        assert!(!bidder.log().contains("epoll instead"), "{}", bidder.log());
        let threads = threads(&bidder);
        assert!(threads.len() >= 4, "bid core, reconciliation core, housekeeping, reload");
        for status in &threads {
            let name = field(status, "Name");
            assert_eq!((field(status, "NoNewPrivs"), field(status, "Seccomp")), ("1", "2"), "{name}");
        }
        let log = bidder.log();
        assert!(log.contains("system calls left"), "{log}");
        let locked = !field(&threads[0], "VmLck").starts_with("0 ");
        assert_eq!(locked, log.contains("memory locked"), "{log}");
        assert!(locked || log.contains("memory is not locked"), "{log}");
        bidder.stop();
    }
}

/// A campaign file that becomes a link out of its folder is out of reach, and the one before it stays in use.
#[test]
fn what_is_elsewhere_is_out_of_reach() {
    let (folder, elsewhere) = (Folder::new("hardened-inside"), Folder::new("hardened-outside"));
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let outside = elsewhere.write("campaigns.toml", campaign(1, "").replace("2.00", "7.00"));
    let bidder = Bidder::start(&["--config", &config]);
    if !bidder.log().contains("landlock (files") {
        eprintln!("skipped: no Landlock in this kernel");
        return;
    }
    fs::remove_file(folder.path("campaigns.toml")).unwrap();
    std::os::unix::fs::symlink(&outside, folder.path("campaigns.toml")).unwrap();
    bidder.signal(libc::SIGHUP);
    eventually("the refusal", || bidder.log().contains("Permission denied").then_some(()));
    assert_eq!(bidder.client().debug(&request("r", "")).status, 200, "the old campaign bids on");
    bidder.stop();
}

#[test]
fn root_becomes_somebody_who_owns_the_files() {
    if !is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let folder = Folder::new("hardened-user");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let text = fs::read_to_string(&config).unwrap();
    let user = |name: &str| fs::write(&config, format!("{text}[process]\nuser = \"{name}\"\n")).unwrap();

    user("nobody-of-this-name");
    let (code, _, said) = run(&["serve", "--config", &config]);
    assert!(code == Some(1) && said.contains("no such user"), "{said}");

    user(&NOBODY.to_string());
    fs::create_dir(folder.path("data")).unwrap();
    let (code, _, said) = run(&["serve", "--config", &config]);
    assert!(code == Some(1) && said.contains("data: it belongs to uid 0") && said.contains("chown"), "{said}");
    give(&folder.path("data"), NOBODY);
    let (code, _, said) = run(&["serve", "--config", &config]);
    assert!(code == Some(1) && said.contains("notice.key: it belongs to uid 0"), "{said}");

    give(&folder.path(""), NOBODY);
    for (backend, cpm) in [("io_uring", "2.50"), ("epoll", "3.50")] {
        let bidder = Bidder::start(&["--config", &config, "--backend", backend]);
        works(&bidder, &folder, cpm);
        for status in threads(&bidder) {
            for ids in ["Uid", "Gid"] {
                let ids: Vec<&str> = field(&status, ids).split_whitespace().collect();
                assert_eq!(ids, ["65534"; 4], "{}", field(&status, "Name"));
            }
            assert_eq!(field(&status, "Groups"), "");
            assert_eq!(field(&status, "CapEff"), "0000000000000000");
            assert_eq!(field(&status, "CapPrm"), "0000000000000000");
        }
        bidder.stop();
    }
}

/// As who runs it by hand, with the limits of a usual host: it starts and works. What is required, and cannot be had, is said.
#[test]
fn an_ordinary_user_needs_nothing_and_is_told_what_is_missing() {
    let folder = Folder::new("hardened-ordinary");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let user = is_root().then_some(NOBODY);
    if user.is_some() {
        give(&folder.path(""), NOBODY);
    }
    let usual = 8 << 20;
    let start = || Bidder::try_start_on("127.0.0.1", as_user(user, usual), &["--config", &config]);
    let bidder = start().unwrap();
    works(&bidder, &folder, "2.50");
    assert!(bidder.log().contains("LimitMEMLOCK=infinity"), "{}", bidder.log());
    bidder.stop();

    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}[process]\nmlock = \"required\"\n")).unwrap();
    let refused = start().unwrap_err();
    assert!(refused.code == Some(1) && refused.stderr.contains("process.mlock is required"), "{}", refused.stderr);

    fs::write(&config, format!("{text}[process]\nmlock = \"off\"\nlandlock = \"off\"\nseccomp = \"off\"\n")).unwrap();
    let bidder = start().unwrap();
    let status = threads(&bidder);
    assert_eq!((field(&status[0], "NoNewPrivs"), field(&status[0], "Seccomp")), ("1", "0"));
    assert!(!bidder.log().contains("locked"), "{}", bidder.log());
    bidder.stop();

    fs::write(&config, format!("{text}[process]\nseccomp = \"log\"\n")).unwrap();
    let bidder = start().unwrap();
    assert_eq!(field(&threads(&bidder)[0], "Seccomp"), "2");
    assert_eq!(bidder.client().debug(&request("r", "")).status, 200);
    bidder.stop();
}

/// Every secret that a configuration names is refused when others can read it.
#[test]
fn secrets_that_others_can_read_stop_the_start() {
    let folder = Folder::new("hardened-secrets");
    let config = folder.configure("", "", &campaign(1, ""));
    for key in ["notice.key", "user.key"] {
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(folder.path(key), fs::Permissions::from_mode(mode)).unwrap();
            let (code, _, said) = run(&["serve", "--config", &config, "--listen", "127.0.0.1:0"]);
            assert!(code == Some(1) && said.contains(key) && said.contains("chmod 600"), "{said}");
        }
        fs::set_permissions(folder.path(key), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Neither the admin port nor the bid port is anybody's before the process has become who it is to be: there is nobody to ask.
#[test]
fn nothing_answers_before_it_is_sealed() {
    let folder = Folder::new("hardened-order");
    let config = folder.configure("", "", &campaign(1, ""));
    let bidder = Bidder::start(&["--config", &config]);
    let log = bidder.log();
    let place = |what: &str| log.find(what).unwrap_or_else(|| panic!("{what} in {log}"));
    assert!(place("info hardened") < place("bids on http"));
    assert!(Client::connect(bidder.admin).is_ok());
    bidder.stop();
}
