//! After an erasure no copy can be read: a bidder on a base of sealed profiles, its memory and its files searched for a profile and
//! for the key to it, first where they must be found, then where they must not.

mod support;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use corebid::profile::keyfile::KeyFile;
use corebid::profile::keys::KeyStore;
use corebid::profile::value;
use corebid::reconcile::record::Record;
use corebid::snapshot::profiles::UserKeys;
use corebid::units::{Region, SegmentId, UserHash, UserKey};
use memchr::memmem::Finder;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::Value;
use support::process::{Bidder, run};
use support::{Folder, campaign, eventually, ledger, request};

const FLEET_KEY: [u8; 32] = [0x5a; 32];
/// Every digit of the key file that [`Folder::configure`] writes is a 2.
const USER_KEY: [u8; 16] = [0x22; 16];

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn key(id: &str) -> UserKey {
    UserKeys::new(&USER_KEY).key(Region::Eu, "generic", id.as_bytes())
}

/// Segments that nobody else is in, and 9, which the campaign wants.
fn segments(user: u32) -> Vec<SegmentId> {
    let odd = (1..24).map(|at| SegmentId((user + at).wrapping_mul(0x9E37_79B9) | 1 << 20));
    odd.chain([SegmentId(9)]).collect()
}

/// A profile in the clear.
fn profile(mut segments: Vec<SegmentId>) -> Vec<u8> {
    let mut value = Vec::new();
    value::write(&mut segments, &mut Vec::new(), None, &mut value).unwrap();
    value
}

/// A user's key, taken from the documented form (src/profile/seal.rs) with the cipher itself.
fn opened(user: UserKey, wrapped: &[u8]) -> [u8; 32] {
    assert_eq!((wrapped[0], &wrapped[1..5], wrapped.len()), (1, &[7, 0, 0, 0][..], 65));
    let mut bound = [0; 24];
    bound[..11].copy_from_slice(b"corebid key");
    bound[15] = 1;
    bound[16..].copy_from_slice(&user.0.to_le_bytes());
    let nonce = Nonce::try_assume_unique_for_key(&wrapped[5..17]).unwrap();
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &FLEET_KEY).unwrap());
    let mut text = wrapped[17..].to_vec();
    cipher.open_in_place(nonce, Aad::from(bound), &mut text).unwrap().try_into().unwrap()
}

/// What the secrets of a user look like.
struct Secrets {
    profile: Vec<u8>,
    key: [u8; 32],
    wrapped: Vec<u8>,
}

/// Two users in a base of sealed profiles, with their keys in the data directory.
fn prepare(folder: &Folder) -> (String, [Secrets; 2]) {
    let wanting = campaign(1, "[campaigns.targeting]\nsegments = { any = [9] }\n");
    let config = folder.configure("", "", &wanting);
    folder.write_key("fleet.keys", '0');
    let digits: String = FLEET_KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    folder.write("fleet.keys", format!("7 {digits}\n"));
    let text = fs::read_to_string(&config).unwrap();
    // A request may wait as long as it likes for a profile: the machine may be busy.
    let profiles = "[profiles]\nbase = \"base\"\nkey_file = \"fleet.keys\"\nfetch_budget_us = 7000\n";
    fs::write(&config, text.replace("[[exchange]]", &format!("{profiles}[[exchange]]"))).unwrap();

    fs::create_dir(folder.path("data")).unwrap();
    let (ids, segments) = (["alice", "bob"], [segments(1000), segments(2000)]);
    let line = |(id, segments): (&str, &Vec<SegmentId>)| {
        let segments: Vec<u32> = segments.iter().map(|segment| segment.0).collect();
        format!("{{\"user\":\"{id}\",\"exchange\":\"generic\",\"segments\":{segments:?}}}\n")
    };
    let lines: String = ids.into_iter().zip(&segments).map(line).collect();
    let lines = folder.write("lines.ndjson", lines);
    let file = |name: &str| folder.text(name);
    let (code, _, error) = run(&[
        "profiles",
        "build",
        &file("lines.ndjson"),
        "--out",
        &file("base"),
        "--user-key",
        &file("user.key"),
        "--key-file",
        &file("fleet.keys"),
        "--keys",
        &file("data/users.keys"),
    ]);
    assert_eq!(code, Some(0), "{error}");
    // Whoever is erased has to leave what bases are built from, too.
    fs::remove_file(lines).unwrap();
    let (users, values) = (ids.map(key), segments.map(profile));
    let store = KeyFile::open(&folder.path("data/users.keys")).unwrap();
    let found = wait(store.get(&users)).unwrap();
    let secrets = std::array::from_fn(|at| {
        let wrapped = found.iter().find(|(user, _)| *user == users[at]).unwrap().1.0.clone();
        Secrets { profile: values[at].clone(), key: opened(users[at], &wrapped), wrapped }
    });
    (config, secrets)
}

/// Whether the readable memory of a process holds these bytes.
fn in_memory(process: u32, bytes: &[u8]) -> bool {
    const CHUNK: usize = 4 << 20;
    let finder = Finder::new(bytes);
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut room = vec![0; CHUNK + bytes.len() - 1];
    let mut searched = 0;
    let found =
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r'))).any(|line| {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap());
            (from..to).step_by(CHUNK).any(|at| {
                let wanted = room.len().min((to - at) as usize);
                // Memory of devices, and of the kernel, cannot be read so.
                let read = memory.read_at(&mut room[..wanted], at).unwrap_or(0);
                searched += read;
                finder.find(&room[..read]).is_some()
            })
        });
    assert!(found || searched > 1 << 20, "the memory cannot be read");
    found
}

/// The files below a folder that hold these bytes.
fn in_files(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(in_files(&path, bytes));
        } else if Finder::new(bytes).find(&fs::read(&path).unwrap()).is_some() {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found
}

fn bids(bidder: &Bidder, id: &str) -> bool {
    let body = request("r", &format!(",\"user\":{{\"id\":\"{id}\"}}"));
    bidder.client().bid(&body).status == 200
}

fn erase(bidder: &Bidder, more: &[&str]) -> (Option<i32>, String, String) {
    let admin = format!("http://{}", bidder.admin);
    run(&[&["erase", "--admin", &admin][..], more].concat())
}

#[test]
fn an_erased_user_is_nowhere_any_more() {
    let folder = Folder::new("erasure");
    let (config, [alice, bob]) = prepare(&folder);
    let root = folder.path("");
    let bidder = Bidder::start(&["--config", &config]);
    let memory = |bytes: &[u8]| in_memory(bidder.process(), bytes);

    // Before: the profile is in memory once it was asked for, and in no file; the key is in its file, sealed.
    assert!(memory(&FLEET_KEY), "the search finds what is there");
    for user in [&alice, &bob] {
        assert!(!memory(&user.profile));
        assert_eq!(in_files(&root, &user.profile), [""; 0]);
        assert_eq!(in_files(&root, &user.wrapped), ["users.keys"]);
    }
    for id in ["alice", "bob"] {
        eventually("a bid for who is in the segment", || bids(&bidder, id).then_some(()));
    }
    assert!(memory(&alice.profile) && memory(&bob.profile));
    // The plain key is for a moment only.
    assert!(!memory(&alice.key) && !memory(&bob.key));

    let (code, said, error) = erase(&bidder, &["generic:alice", "--json"]);
    assert_eq!(code, Some(0), "{error}");
    let receipt: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(receipt["user"], UserHash::of(key("alice")).to_string());
    assert_eq!(receipt["wiped"], serde_json::json!(["cores", "key"]));
    // On disk when it is shown.
    let kept = ledger::records(&folder.path("data")).into_iter().find_map(|record| match record {
        Record::Erased { user, wiped, wall } => Some((user, wiped.labels().collect::<Vec<_>>(), wall.0)),
        _ => None,
    });
    assert_eq!(kept, Some((UserHash::of(key("alice")), vec!["cores", "key"], receipt["wall"].as_u64().unwrap())));

    // After: nowhere. The other user is as before.
    eventually("a memory without the profile", || (!memory(&alice.profile)).then_some(()));
    for secret in [&alice.profile[..], &alice.key, &alice.wrapped] {
        assert!(!memory(secret));
        assert_eq!(in_files(&root, secret), [""; 0]);
        assert!(!bidder.log().contains(&*String::from_utf8_lossy(secret)));
    }
    assert!(memory(&bob.profile) && bids(&bidder, "bob"));
    assert_eq!(in_files(&root, &bob.wrapped), ["users.keys"]);

    // Asked for again, nothing comes back.
    for _ in 0..3 {
        assert!(!bids(&bidder, "alice"));
    }
    assert!(!memory(&alice.profile));
    let (code, said, _) = erase(&bidder, &["--key", &format!("{:016x}", key("alice").0)]);
    assert!(code == Some(0) && said.contains("there was no key"), "{said}");
    bidder.stop();

    // Nor after a start.
    let bidder = Bidder::start(&["--config", &config]);
    eventually("a bid for who is in the segment", || bids(&bidder, "bob").then_some(()));
    assert!(!bids(&bidder, "alice") && !in_memory(bidder.process(), &alice.profile));
    bidder.stop();
}

#[test]
fn who_cannot_be_erased_is_named() {
    let folder = Folder::new("erasure-refused");
    let line = "{\"user\":\"carol\",\"exchange\":\"generic\",\"segments\":[9]}\n";
    folder.write("profiles.ndjson", line);
    let config = folder.configure("", "profiles = \"profiles.ndjson\"", &campaign(1, ""));
    let bidder = Bidder::start(&["--config", &config]);
    for (user, told) in [
        (&["generic:carol"][..], "data.profiles"),
        (&["nowhere:carol"], "no exchange of this bidder"),
        (&["generic:"], "names nobody"),
        (&["--key", "12"], "16 hexadecimal digits"),
        (&["--key", "0000000000000000"], "16 hexadecimal digits"),
    ] {
        let (code, said, error) = erase(&bidder, user);
        assert_eq!((code, &said[..]), (Some(1), ""), "{user:?}");
        assert!(error.contains(told), "{user:?}: {error}");
    }
    // Who is in no file has nothing but what the cores counted.
    let (code, said, _) = erase(&bidder, &[":dave", "--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["wiped"], serde_json::json!(["cores"]));
    assert_eq!(erase(&bidder, &[]).0, Some(2));
    bidder.stop();
}
