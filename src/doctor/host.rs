//! A host as its files show it. All paths are taken below a root, so that the doctor is a function of a tree.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::cpus::CpuSet;

/// The most of a file that is read, bytes: the kernel's are short, but for `/proc/stat` and `/proc/cpuinfo` of large hosts.
const MOST: u64 = 4 * 1024 * 1024;

/// Where `/proc`, `/sys` and the rest are.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The host below `root`; `/` is this one.
    pub fn at(root: &Path) -> Host {
        Host { root: root.to_owned() }
    }

    /// Whether it is the one that this program runs on, so that system calls and programs say something of it too.
    pub fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    fn below(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether it is there.
    pub fn has(&self, path: &str) -> bool {
        self.below(path).exists()
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let path = self.below(path);
        // Reading what is no file, a pipe in a tree, might wait for ever.
        if !path.is_file() {
            return None;
        }
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// All of a file; what is no text in it is replaced.
    pub fn text(&self, path: &str) -> Option<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line of a file, which is all that most of the kernel's have. `None` if there is none, or if it is no text.
    pub fn line(&self, path: &str) -> Option<String> {
        let bytes = self.bytes(path)?;
        if bytes.is_empty() {
            return None;
        }
        let line = bytes.split(|&byte| byte == b'\n').next()?;
        let line = str::from_utf8(line).ok()?;
        (!line.contains('\0')).then(|| line.to_owned())
    }

    /// A file with one list of CPUs.
    pub fn cpus(&self, path: &str) -> Option<CpuSet> {
        CpuSet::of_list(&self.line(path)?)
    }

    /// What is in a folder, by name.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.below(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The paths that a pattern with one `*` stands for.
    pub fn paths(&self, pattern: &str) -> Vec<String> {
        let Some((before, after)) = pattern.split_once('*') else {
            return if self.has(pattern) { vec![pattern.to_owned()] } else { Vec::new() };
        };
        let (folder, prefix) = before.rsplit_once('/').unwrap_or(("", before));
        let names = self.names(folder).into_iter().filter(|name| name.starts_with(prefix));
        names.map(|name| format!("{folder}/{name}{after}")).filter(|path| self.has(path)).collect()
    }

    /// The value of a parameter of the running kernel; empty if it was not given, the last if it was given often.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let line = self.line("/proc/cmdline")?;
        let mut values = line.split_ascii_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        Some(values.next_back().unwrap_or_default().to_owned())
    }

    /// What CPUs may wait to wake, us: the least that any process asks for by holding `/dev/cpu_dma_latency`.
    pub fn wake_latency(&self) -> Option<u32> {
        const DEVICE: &str = "/dev/cpu_dma_latency";
        if !self.is_this() && !self.below(DEVICE).is_file() {
            return None;
        }
        let mut latency = [0; 4];
        File::open(self.below(DEVICE)).ok()?.read_exact(&mut latency).ok()?;
        Some(u32::from_le_bytes(latency))
    }

    /// What `ethtool` says. `None` where it is not installed, or the tree is another host's.
    pub fn ethtool(&self, option: &str, nic: &str) -> Option<String> {
        if !self.is_this() {
            return None;
        }
        let output =
            Command::new("ethtool").args([option, nic]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
