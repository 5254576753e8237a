use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use super::*;

/// A folder that goes when the test does.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("corebid-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn keep(writer: &mut Writer, kind: Kind, domain: &str, text: &[u8]) -> String {
    let mut body = writer.bodies().begin(0).unwrap();
    body.write_all(text).unwrap();
    let (digest, bytes) = body.keep().unwrap();
    let entry = Entry {
        status: Status::Good,
        digest: digest.clone(),
        bytes,
        expires: UnixMillis(7),
        ..Entry::new(kind, domain)
    };
    writer.put(entry).unwrap();
    digest
}

#[test]
fn what_is_written_is_read() {
    let folder = Folder::new("read");
    assert_eq!(Store::open(&folder.0).unwrap_err().kind(), io::ErrorKind::NotFound);
    let mut writer = Writer::open(&folder.0).unwrap();
    let digest = keep(&mut writer, Kind::AdsTxt, "abc.example", b"abc");
    // FIPS 180-2, appendix B.1.
    assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    writer.put(Entry { status: Status::Absent, ..Entry::new(Kind::AdsTxt, "none.example") }).unwrap();
    writer.put_apps(BTreeMap::from([("com.abc".to_owned(), "abc.example".to_owned())])).unwrap();
    let store = Store::open(&folder.0).unwrap();
    assert_eq!(store.entries().count(), 2);
    let entry = store.entry(Kind::AdsTxt, "abc.example").unwrap();
    assert_eq!((entry.status, entry.bytes, entry.expires), (Status::Good, 3, UnixMillis(7)));
    assert_eq!(store.body(entry).unwrap(), b"abc");
    let absent = store.entry(Kind::AdsTxt, "none.example").unwrap();
    assert_eq!(store.body(absent).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(store.apps().collect::<Vec<_>>(), [("com.abc", "abc.example")]);
}

#[test]
fn a_torn_line_is_not_read_and_not_continued() {
    let folder = Folder::new("torn");
    let mut writer = Writer::open(&folder.0).unwrap();
    keep(&mut writer, Kind::SellersJson, "one.example", b"{}");
    keep(&mut writer, Kind::SellersJson, "two.example", b"[]");
    drop(writer);
    let state = folder.0.join("state.ndjson");
    let text = fs::read(&state).unwrap();
    // A kill may leave any part of what was written.
    for length in (0..text.len()).step_by(9).chain([text.len() - 1]) {
        fs::write(&state, &text[..length]).unwrap();
        let store = Store::open(&folder.0).unwrap();
        let whole = text[..length].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(store.entries().count(), whole, "{length} bytes");
        let mut writer = Writer::open(&folder.0).unwrap();
        keep(&mut writer, Kind::AdsTxt, "three.example", b"three");
        drop(writer);
        assert_eq!(Store::open(&folder.0).unwrap().entries().count(), whole + 1, "{length} bytes");
    }
}

#[test]
fn a_damaged_line_is_told_with_its_place() {
    let folder = Folder::new("damaged");
    drop(Writer::open(&folder.0).unwrap());
    fs::write(folder.0.join("state.ndjson"), "\nnonsense\n").unwrap();
    let error = Store::open(&folder.0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("state.ndjson:1: "), "{error}");
}

#[test]
fn a_body_that_was_changed_is_not_given_out() {
    let folder = Folder::new("changed");
    let mut writer = Writer::open(&folder.0).unwrap();
    let digest = keep(&mut writer, Kind::AdsTxt, "abc.example", b"abc");
    fs::write(body_path(&folder.0, &digest), b"abd").unwrap();
    let entry = writer.store().entry(Kind::AdsTxt, "abc.example").unwrap();
    assert_eq!(writer.store().body(entry).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_sweep_removes_what_nobody_names_and_nothing_else() {
    let folder = Folder::new("sweep");
    let mut writer = Writer::open(&folder.0).unwrap();
    let shared = keep(&mut writer, Kind::AdsTxt, "one.example", b"the network's");
    assert_eq!(keep(&mut writer, Kind::AdsTxt, "two.example", b"the network's"), shared);
    let old = keep(&mut writer, Kind::SellersJson, "ssp.example", b"old");
    let new = keep(&mut writer, Kind::SellersJson, "ssp.example", b"new");
    // A reader that opened the folder before still finds the old one.
    assert!(body_path(&folder.0, &old).exists());
    fs::write(folder.0.join("bodies/making-7"), b"cut off").unwrap();
    writer.sweep(|entry| entry.domain != "one.example").unwrap();
    assert!(!body_path(&folder.0, &old).exists());
    assert!(!folder.0.join("bodies/making-7").exists());
    assert!(body_path(&folder.0, &new).exists());
    let store = Store::open(&folder.0).unwrap();
    assert_eq!(store.entries().map(|entry| entry.domain.as_str()).collect::<Vec<_>>(), ["two.example", "ssp.example"]);
    assert_eq!(store.body(store.entry(Kind::AdsTxt, "two.example").unwrap()).unwrap(), b"the network's");
}

#[test]
fn one_crawler_writes_and_others_read() {
    let folder = Folder::new("lock");
    let writer = Writer::open(&folder.0).unwrap();
    assert_eq!(Writer::open(&folder.0).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(Store::open(&folder.0).is_ok());
    drop(writer);
    assert!(Writer::open(&folder.0).is_ok());
}

#[test]
fn a_body_that_is_given_up_leaves_nothing() {
    let folder = Folder::new("given-up");
    let writer = Writer::open(&folder.0).unwrap();
    let mut body = writer.bodies().begin(3).unwrap();
    body.write_all(b"half").unwrap();
    let mut seen = Vec::new();
    body.read().unwrap().read_to_end(&mut seen).unwrap();
    assert_eq!(seen, b"half");
    drop(body);
    assert_eq!(fs::read_dir(folder.0.join("bodies")).unwrap().count(), 0);
}

#[test]
fn the_log_does_not_grow_without_end() {
    let folder = Folder::new("log");
    let mut writer = Writer::open(&folder.0).unwrap();
    for failures in 0..20_000 {
        writer.put(Entry { failures, ..Entry::new(Kind::AdsTxt, "abc.example") }).unwrap();
    }
    drop(writer);
    let lines = fs::read_to_string(folder.0.join("state.ndjson")).unwrap().lines().count();
    assert!(lines < 5_000, "{lines} lines for one entry");
    assert_eq!(Store::open(&folder.0).unwrap().entries().next().unwrap().failures, 19_999);
}
