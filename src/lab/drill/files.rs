//! The files of a drill: a folder of its own, and what a bidder reads.

use std::fmt::Display;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes with this.
#[derive(Debug)]
pub struct Files(PathBuf);

impl Files {
    /// An empty folder among the temporary files.
    pub fn new(name: &str) -> io::Result<Files> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("corebid-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Files(path))
    }

    /// A folder within it, made if it is not there, which goes with the whole.
    pub fn within(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes one.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Writes one that nobody else may read.
    pub fn write_secret(&self, name: &str, text: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.write(name, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// Writes `NAME.toml`, a whole configuration with one exchange `generic`, beside its keys and campaigns; the data directory
    /// is the folder `NAME`. `server` is what `[server]` says, `more` are further keys of `[data]`, then any other sections.
    pub fn configure(&self, name: &str, server: &str, more: &str, campaigns: &str) -> io::Result<PathBuf> {
        self.write_secret("notice.key", "1".repeat(64) + "\n")?;
        self.write_secret("user.key", "2".repeat(64) + "\n")?;
        self.write("campaigns.toml", campaigns)?;
        let text = format!(
            "[server]\ndebug_header = true\n{server}\n[data]\ndir = \"{name}\"\ncampaigns = \"campaigns.toml\"\n\
             notice_key_file = \"notice.key\"\nuser_key_file = \"user.key\"\n{more}\n\
             [[exchange]]\nname = \"generic\"\nseat = \"seat-1\"\n"
        );
        self.write(&format!("{name}.toml"), text)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A campaign of a campaign file: 300x250, unpaced; `budget` is its budget of a day, `cpm` its price, both in the account's
/// currency. `more` are further keys, and may end with sections of it.
pub fn campaign(id: u32, budget: impl Display, cpm: impl Display, more: &str) -> String {
    format!(
        "[[campaigns]]\nid = {id}\nadvertiser = {id}\nname = \"campaign {id}\"\ndaily_budget = {budget}\ncpm = {cpm}\n\
         adomain = [\"a{id}.example\"]\npacing = \"asap\"\n\
         creatives = [{{ id = \"c{id}\", w = 300, h = 250, markup = \"<b>{id}</b>\" }}]\n{more}\n"
    )
}

/// The body of a request that every such campaign wants; `more` are further members of it, each after a comma.
pub fn request(id: &str, more: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"imp\":[{{\"id\":\"1\",\"banner\":{{\"w\":300,\"h\":250}},\"bidfloor\":0.01}}],\
         \"site\":{{\"domain\":\"news.example\"}},\"device\":{{\"devicetype\":2}}{more}}}"
    )
}
