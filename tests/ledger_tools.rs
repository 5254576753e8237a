//! `corebid ledger` from outside: ledgers of every layout version as they were written once, ledgers that were tampered
//! with, and exports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use corebid::reconcile::record::Record;
use corebid::store::commit::{self, BLOCK, Entry, Header, NOTHING, Segment};
use corebid::store::embedded::Embedded;
use corebid::units::{LeaseId, Micros};

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ledger").join(version)
}

fn directory(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tools-{name}"));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(dir.join("ledger")).unwrap();
    dir
}

/// A copy of a golden ledger, to be spoilt.
fn copy(version: &str, name: &str) -> PathBuf {
    let dir = directory(name);
    for entry in fs::read_dir(golden(version).join("ledger")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), dir.join("ledger").join(entry.file_name())).unwrap();
    }
    dir
}

fn segment(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("ledger/{number:08}.ledger"))
}

fn ledger(args: &[&str], dir: &Path) -> Output {
    let (action, rest) = args.split_first().unwrap();
    Command::new(env!("CARGO_BIN_EXE_corebid")).args(["ledger", action]).arg(dir).args(rest).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a refusal says, in one line.
fn refused(args: &[&str], dir: &Path) -> String {
    let output = ledger(args, dir);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    said
}

fn verified(args: &[&str], dir: &Path) -> serde_json::Value {
    let output = ledger(&[&["verify", "--json"], args].concat(), dir);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A promise to ledgers already written: these files are never made again.
#[test]
fn ledgers_of_every_version_are_read_for_ever() {
    for version in ["v1", "v2"] {
        let dir = golden(version);
        let dump = ledger(&["dump", "--json"], &dir);
        assert!(dump.status.success(), "{}", text(&dump.stderr));
        assert_eq!(text(&dump.stdout), fs::read_to_string(dir.join("dump.ndjson")).unwrap(), "{version}");
        let says: serde_json::Value = serde_json::from_slice(&fs::read(dir.join("verify.json")).unwrap()).unwrap();
        assert_eq!(verified(&[], &dir), says, "{version}");
    }
}

/// What was booked follows from it, and from the opening balance of its last segment alone.
#[test]
fn ledgers_of_every_version_can_be_gone_on_from() {
    for (version, booking) in [("v1", "bill"), ("v2", "booked")] {
        let dump = fs::read_to_string(golden(version).join("dump.ndjson")).unwrap();
        let records = dump.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let expected: i64 = records.filter(|it| it["kind"] == booking).map(|it| it["micros"].as_i64().unwrap()).sum();
        let (_, replayed) = Embedded::open_replayed(&copy(version, &format!("{version}-opened"))).unwrap();
        replayed.books.check().unwrap();
        let booked = replayed.books.lives().map(|(_, life)| life.account.settled.0 + life.excess.0);
        assert_eq!((booked.sum::<i64>(), expected > 0), (expected, true), "{version}");
    }
}

#[test]
fn usage_errors_and_missing_ledgers_end_differently() {
    assert!(refused(&["verify"], Path::new("/nowhere")).contains("/nowhere"));
    let empty = directory("empty");
    assert!(refused(&["verify"], &empty).contains("no ledger here"));
    let usage = Command::new(env!("CARGO_BIN_EXE_corebid")).args(["ledger", "verify"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    let bad_hash = ledger(&["verify", "--head", "abc"], &golden("v2"));
    assert_eq!(bad_hash.status.code(), Some(2));
}

/// Any bit of what was closed, headers included; padding is not the ledger's.
#[test]
fn a_flipped_bit_is_found() {
    let dir = copy("v2", "flipped");
    let path = segment(&dir, 1);
    let bytes = fs::read(&path).unwrap();
    for at in [0, 9, 11, 13, 17, 25, 29, 40, 70, BLOCK + 96 + 5, 3 * BLOCK + 100, bytes.len() - BLOCK + 40] {
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 4;
        fs::write(&path, spoilt).unwrap();
        let said = refused(&["verify"], &dir);
        assert!(said.contains("00000001.ledger") && said.contains("restore"), "byte {at}: {said}");
    }
}

#[test]
fn segments_that_are_missing_cut_or_swapped_are_found() {
    let dir = copy("v2", "missing");
    fs::copy(segment(&dir, 2), segment(&dir, 4)).unwrap();
    assert!(refused(&["verify"], &dir).contains("segment 3 is missing"));
    fs::remove_file(segment(&dir, 4)).unwrap();

    // Earlier segments may have been moved to an archive.
    let (first, second) = (fs::read(segment(&dir, 1)).unwrap(), fs::read(segment(&dir, 2)).unwrap());
    fs::remove_file(segment(&dir, 1)).unwrap();
    let alone = verified(&[], &dir);
    assert_eq!((&alone["first_segment"], &alone["segments"], &alone["total"]), (&2.into(), &1.into(), &148.into()));

    fs::write(segment(&dir, 1), &first[..first.len() - BLOCK]).unwrap();
    assert!(refused(&["verify"], &dir).contains("ends before it was closed"));
    fs::write(segment(&dir, 1), &second).unwrap();
    assert!(refused(&["verify"], &dir).contains("does not belong here"));
}

/// Of the last segment, what is after the last whole commit was being written.
#[test]
fn a_torn_tail_is_no_damage() {
    let dir = copy("v2", "torn");
    let mut bytes = fs::read(segment(&dir, 2)).unwrap();
    let whole = verified(&[], &dir);
    bytes.extend_from_slice(&[0x55; 300]);
    fs::write(segment(&dir, 2), &bytes).unwrap();
    let torn = verified(&[], &dir);
    assert_eq!((&torn["head"], &torn["torn"], &whole["torn"]), (&whole["head"], &true.into(), &false.into()));
    // So is a segment without a whole opening balance, after one that is closed.
    fs::write(segment(&dir, 2), &bytes[..50]).unwrap();
    let alone = verified(&[], &dir);
    assert_eq!((&alone["last_segment"], &alone["total"]), (&1.into(), &129.into()));
}

/// A start that was just begun: nothing is there to be checked, and nothing is damaged.
#[test]
fn a_ledger_that_is_being_started_is_none_yet() {
    let dir = directory("begun");
    for bytes in [&b""[..], &fs::read(segment(&golden("v2"), 1)).unwrap()[..70]] {
        fs::write(segment(&dir, 1), bytes).unwrap();
        assert!(refused(&["verify"], &dir).contains("no ledger here"));
    }
}

/// After the commit that closes a segment nothing is written.
#[test]
fn what_stands_after_a_closing_commit_is_found() {
    let dir = copy("v2", "trailing");
    let mut bytes = fs::read(segment(&dir, 1)).unwrap();
    bytes.extend_from_slice(&[0x55; 300]);
    fs::write(segment(&dir, 1), &bytes).unwrap();
    assert!(refused(&["verify"], &dir).contains("bytes stand after the commit that closes it"));
    let out = directory("trailing-export");
    assert!(refused(&["export", out.to_str().unwrap()], &dir).contains("00000001.ledger"));
    fs::remove_file(segment(&dir, 2)).unwrap();
    assert!(refused(&["verify"], &dir).contains("bytes stand after"));
}

/// Commits of version 1 have no hash: zeros are nobody's head.
#[test]
fn no_head_is_the_head_of_nothing() {
    let zeros = "0".repeat(64);
    for version in ["v1", "v2"] {
        assert!(refused(&["verify", "--head", &zeros], &golden(version)).contains(&zeros), "{version}");
    }
}

/// An export ends before the ledger does. What is in it is anchored by the head told when its last segment closed.
#[test]
fn an_export_is_checked_with_the_anchors_of_the_ledger() {
    let (dir, out) = (copy("v2", "anchored"), directory("anchored-export"));
    fs::remove_dir(out.join("ledger")).unwrap();
    assert!(ledger(&["export", out.to_str().unwrap()], &dir).status.success());
    let anchor = |of: &serde_json::Value| {
        let [segment, total, head] = ["last_segment", "total", "head"].map(|name| of[name].to_string());
        format!("ledger head segment={segment} records={total} head={}\n", head.trim_matches('"'))
    };
    let (closed, open) = (anchor(&verified(&[], &out)), anchor(&verified(&[], &dir)));
    let path = dir.join("anchors");
    let anchors = path.to_str().unwrap();
    fs::write(&path, format!("{closed}{open}")).unwrap();
    let counts = |of: &serde_json::Value| ["anchors", "ahead_anchors"].map(|name| of[name].as_u64().unwrap());
    assert_eq!(counts(&verified(&["--anchors", anchors], &out)), [1, 1]);
    assert_eq!(counts(&verified(&["--anchors", anchors], &dir)), [2, 0]);
    // In the ledger itself nothing may be ahead of it.
    fs::remove_file(segment(&dir, 2)).unwrap();
    assert!(refused(&["verify", "--anchors", anchors], &dir).contains("not in this chain"));
    // Without the head of its end, an export may be another's.
    fs::write(&path, &open).unwrap();
    assert!(refused(&["verify", "--anchors", anchors], &out).contains("was never told"));
}

/// Commits of one record each, as someone with the disk and this program would write them.
fn forge(dir: &Path, facts: &[u64]) {
    let (mut bytes, mut previous) = (Vec::new(), NOTHING);
    for (index, fact) in facts.iter().enumerate() {
        let mut records = Vec::new();
        let record = Record::Released { lease: LeaseId(*fact), total: Micros(1) };
        record.encode(corebid::units::RecordId(index as u64 + 1), &mut records);
        let first = (index as u64).saturating_sub(1);
        let header = Header { segment: 1, first, count: 1, opening: index == 0, closing: false, previous };
        let start = bytes.len();
        bytes.resize(start + commit::padded(records.len()), 0);
        previous = commit::write(&header, &records, &mut bytes[start..]);
    }
    fs::write(segment(dir, 1), bytes).unwrap();
}

fn heads(dir: &Path) -> Vec<String> {
    let mut heads = Vec::new();
    let bytes = fs::read(segment(dir, 1)).unwrap();
    Segment::read(1, &bytes, |entry| {
        if let Entry::Commit { hash, next, .. } = entry {
            heads.push(format!("2026-09-21T00:00:00Z ledger head segment=1 records={next} head={hash}"));
        }
    })
    .unwrap();
    heads
}

/// A chain that was written anew is whole by itself; only what was told before gives it away.
#[test]
fn a_rewritten_chain_is_found_by_its_anchors() {
    let dir = directory("forged");
    forge(&dir, &[1, 2, 3, 4, 5]);
    let heads = heads(&dir);
    let anchors = dir.join("anchors");
    fs::write(&anchors, format!("info ready\n{}\ninfo {}\n", heads[2], &heads[4][21..])).unwrap();
    let (anchors, head) = (anchors.to_str().unwrap(), heads[3].rsplit_once("head=").unwrap().1.to_owned());
    let before = verified(&["--anchors", anchors, "--head", &head], &dir);
    assert_eq!((&before["anchors"], &before["unchecked_anchors"]), (&2.into(), &0.into()));

    forge(&dir, &[1, 2, 99, 4, 5]);
    verified(&[], &dir);
    assert!(refused(&["verify", "--anchors", anchors], &dir).contains("not in this chain"));
    assert!(refused(&["verify", "--head", &head], &dir).contains(&head));

    // Cut back to before a head that was told.
    forge(&dir, &[1, 2, 3, 4]);
    verified(&["--head", &head], &dir);
    assert!(refused(&["verify", "--anchors", anchors], &dir).contains("records=4"));

    // A line that was cut off says nothing, and hides nothing.
    forge(&dir, &[1, 2, 3, 4, 5]);
    fs::write(anchors, format!("{}\n{}\n", &heads[3][..70], heads[4])).unwrap();
    let cut = verified(&["--anchors", anchors], &dir);
    assert_eq!((&cut["anchors"], &cut["unreadable_anchors"]), (&1.into(), &1.into()));
    // All heads that were told are of segments that are not here any more: the latest never is.
    fs::write(anchors, heads[4].replace("segment=1", "segment=0")).unwrap();
    assert!(refused(&["verify", "--anchors", anchors], &dir).contains("the latest head"));

    fs::write(anchors, "nothing of the kind\n").unwrap();
    assert!(refused(&["verify", "--anchors", anchors], &dir).contains("no head in it"));
}

#[test]
fn closed_segments_are_exported_once() {
    let (dir, out) = (copy("v2", "exported"), directory("export"));
    let target = out.to_str().unwrap();
    fs::remove_dir(out.join("ledger")).unwrap();
    let export = |written: u64, present: u64| {
        let output = ledger(&["export", target, "--json"], &dir);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let says: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(says, serde_json::json!({"written": written, "present": present}));
    };
    export(1, 0);
    export(0, 1);
    let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["00000001.json", "00000001.ledger"], "the open segment stays, and nothing is left over");

    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(out.join("00000001.json")).unwrap()).unwrap();
    let sum = Command::new("sha256sum").arg(segment(&dir, 1)).output().unwrap();
    assert_eq!(manifest["sha256"].as_str().unwrap(), text(&sum.stdout).split(' ').next().unwrap());
    let bytes = fs::read(out.join("00000001.ledger")).unwrap();
    assert_eq!(manifest["blake3"], blake3::hash(&bytes).to_string());
    assert_eq!((&manifest["bytes"], &manifest["records"]), (&bytes.len().into(), &129.into()));
    assert_eq!(verified(&[], &out)["manifests"], 1);

    // A manifest that says something else, and a segment that differs.
    let path = out.join("00000001.json");
    let original = fs::read_to_string(&path).unwrap();
    fs::write(&path, original.replace("\"records\": 129", "\"records\": 128")).unwrap();
    assert!(refused(&["verify"], &out).contains("00000001.json"));
    assert!(refused(&["export", target], &dir).contains("differs from the ledger"));
    fs::remove_file(&path).unwrap();
    fs::write(out.join("00000001.ledger"), b"another").unwrap();
    assert!(refused(&["export", target], &dir).contains("00000001.ledger"));
    assert_eq!(fs::read(out.join("00000001.ledger")).unwrap(), b"another", "nothing is written over");
    assert!(!path.exists(), "no manifest for a segment that is not there");
}
