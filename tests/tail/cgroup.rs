//! A cgroup with a CPU quota, of either version, that goes when the test does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::eventually;
use crate::support::process::corebid;

/// The shortest time over which a quota is kept that leaves long gaps.
const PERIOD: Duration = Duration::from_millis(100);

pub(crate) struct Cgroup {
    folder: PathBuf,
    /// The file that holds the quota, and how no quota is said there.
    quota: (&'static str, &'static str),
    /// What must be done to the cgroup above, which was not so before.
    undo: Option<PathBuf>,
}

impl Cgroup {
    /// Nothing, and a word why, where there is no right to make one.
    pub(crate) fn make() -> Option<Cgroup> {
        let name = format!("corebid-tail-{}", std::process::id());
        let (first, second) = (Path::new("/sys/fs/cgroup/cpu"), Path::new("/sys/fs/cgroup"));
        let made = if first.join("cpu.cfs_quota_us").exists() || first.join("cgroup.procs").exists() {
            Cgroup::version_1(&first.join(name))
        } else {
            Cgroup::version_2(second, &second.join(name))
        };
        made.inspect_err(|error| eprintln!("skipped: no cgroup with a CPU quota can be made: {error}")).ok()
    }

    fn version_1(folder: &Path) -> std::io::Result<Cgroup> {
        fs::create_dir(folder)?;
        let cgroup = Cgroup { folder: folder.to_owned(), quota: ("cpu.cfs_quota_us", "-1"), undo: None };
        fs::write(folder.join("cpu.cfs_period_us"), PERIOD.as_micros().to_string())?;
        // Before others, while it may run.
        fs::write(folder.join("cpu.shares"), "100000")?;
        Ok(cgroup)
    }

    fn version_2(above: &Path, folder: &Path) -> std::io::Result<Cgroup> {
        let control = above.join("cgroup.subtree_control");
        let has_cpu = fs::read_to_string(&control)?.split_whitespace().any(|controller| controller == "cpu");
        if !has_cpu {
            fs::write(&control, "+cpu")?;
        }
        let undo = (!has_cpu).then_some(control);
        let cgroup = Cgroup { folder: folder.to_owned(), quota: ("cpu.max", "max"), undo };
        fs::create_dir(folder)?;
        fs::write(folder.join("cpu.weight"), "10000")?;
        Ok(cgroup)
    }

    /// The program under test, in it.
    pub(crate) fn corebid(&self) -> Command {
        let program = corebid();
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.folder.join("cgroup.procs"));
        command.arg(program.get_program()).env_remove("COREBID_LOG");
        command
    }

    /// Lets it run for so long in each period, or always.
    pub(crate) fn limit(&self, quota: Option<Duration>) {
        let (file, none) = self.quota;
        let quota = quota.map_or(none.to_owned(), |quota| quota.as_micros().to_string());
        fs::write(self.folder.join(file), quota).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Whoever was in it has ended, or is killed by now.
        if self.folder.exists() && !std::thread::panicking() {
            eventually("an empty cgroup", || fs::remove_dir(&self.folder).ok());
        } else {
            let _ = fs::remove_dir(&self.folder);
        }
        if let Some(control) = &self.undo {
            let _ = fs::write(control, "-cpu");
        }
    }
}
