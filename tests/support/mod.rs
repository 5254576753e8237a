//! What the tests of the whole share: folders and files, a running bidder, a client that speaks HTTP by hand. Beside them
//! stands a judge of bid responses, for tests/judged.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part of it")]
#![allow(clippy::disallowed_methods, reason = "a test may wait")]

pub mod client;
pub mod consent;
#[cfg(feature = "stores")]
pub mod dynamodb;
pub mod ledger;
pub mod process;
pub mod registry;
#[cfg(feature = "stores")]
pub mod valkey;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Far more than any machine needs; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that goes when the test does.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        Folder::within(&std::env::temp_dir(), name)
    }

    /// In a folder that is there.
    pub fn within(folder: &Path, name: &str) -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("corebid-{name}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A key file as an operator makes it.
    pub fn write_key(&self, name: &str, digit: char) -> PathBuf {
        let path = self.write(name, format!("{}\n", digit.to_string().repeat(64)));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A whole configuration: one exchange `generic`, keys, the campaigns given. `server` is what its `[server]` says, `data`
    /// what its `[data]` says besides the names of files. Returns the path of the configuration.
    pub fn configure(&self, server: &str, data: &str, campaigns: &str) -> String {
        self.write_key("notice.key", '1');
        self.write_key("user.key", '2');
        self.write("campaigns.toml", campaigns);
        let text = format!(
            "[server]\n{server}\n[data]\ndir = \"data\"\ncampaigns = \"campaigns.toml\"\nnotice_key_file = \"notice.key\"\n\
             user_key_file = \"user.key\"\n{data}\n[[exchange]]\nname = \"generic\"\nseat = \"seat-1\"\n"
        );
        self.write("corebid.toml", text).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A campaign of a campaign file: 300x250, 2 USD CPM, plenty of money, unpaced; `more` are further keys, and may come again after
/// the creative as `[campaigns.targeting]`.
pub fn campaign(id: u32, more: &str) -> String {
    let money = if more.contains("daily_budget") { "" } else { "daily_budget = 1000\n" };
    let pacing = if more.contains("pacing") { "" } else { "pacing = \"asap\"\n" };
    format!(
        "[[campaigns]]\nid = {id}\nadvertiser = {id}\nname = \"campaign {id}\"\n{money}cpm = 2.00\nadomain = [\"a{id}.example\"]\n\
         creatives = [{{ id = \"c{id}\", w = 300, h = 250, markup = \"<b>{id}</b>\" }}]\n{pacing}{more}\n"
    )
}

/// A plain request that every untargeted campaign for 300x250 wants; `more` are further members of the request.
pub fn request(id: &str, more: &str) -> Vec<u8> {
    format!(
        "{{\"id\":\"{id}\",\"imp\":[{{\"id\":\"1\",\"banner\":{{\"w\":300,\"h\":250}},\"bidfloor\":0.01}}],\
         \"site\":{{\"domain\":\"news.example\"}},\"device\":{{\"devicetype\":2}}{more}}}"
    )
    .into_bytes()
}

/// The sample documents, or nothing and a word about it where they are not installed.
pub fn samples() -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/openrtb_requests.ndjson");
    match fs::read(&path) {
        Ok(text) => text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect(),
        Err(error) => {
            eprintln!("skipped: {}: {error}", path.display());
            Vec::new()
        }
    }
}

/// What `look` finds, as soon as it finds something.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "never saw {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A price in a document, exactly, in millionths: its text is taken apart, so that no float rounds it.
pub fn micros(price: &serde_json::Number) -> i64 {
    let text = price.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    assert!(fraction.len() <= 6, "{text} has more than six decimals");
    format!("{whole}{fraction:0<6}").parse().unwrap()
}

/// What one impression costs at a price per thousand, both in millionths: never less than the price says.
pub fn impression(cpm: i64) -> i64 {
    (cpm + 999) / 1000
}
