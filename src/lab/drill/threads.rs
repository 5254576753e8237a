//! What the kernel says of a process: its threads, their CPU time, its memory (proc(5)).

use std::fs;
use std::io;
use std::path::Path;

/// A thread of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its number, as signals and schedulers name it.
    pub id: i32,
    /// `bid-0`, `reconcile`, ...
    pub name: String,
    /// Time on a CPU, ns.
    pub ran_ns: u64,
    /// Time it was ready and another ran, ns.
    pub waited_ns: u64,
    /// The CPUs it may run on, as the kernel lists them: `0`, `1-3`.
    pub cpus: String,
}

/// The threads of a process, by number.
pub fn threads(process: u32) -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let path = entry?.path();
        // One that has ended meanwhile is none.
        threads.extend(thread(&path));
    }
    threads.sort_by_key(|thread| thread.id);
    Ok(threads)
}

fn thread(path: &Path) -> Option<Thread> {
    let read = |name: &str| fs::read_to_string(path.join(name)).ok();
    let (schedstat, status) = (read("schedstat")?, read("status")?);
    let mut times = schedstat.split_whitespace().map(|word| word.parse().ok());
    Some(Thread {
        id: path.file_name()?.to_str()?.parse().ok()?,
        name: read("comm")?.trim_end().to_owned(),
        ran_ns: times.next()??,
        waited_ns: times.next()??,
        cpus: field(&status, "Cpus_allowed_list:")?.to_owned(),
    })
}

/// The memory of a process that is in RAM, bytes.
pub fn resident_bytes(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kib = field(&status, "VmRSS:").and_then(|text| text.strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("no VmRSS in its status"))
}

fn field<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_this_thread_and_memory() {
        let found = std::thread::Builder::new().name("found-me".into()).spawn(|| threads(std::process::id()));
        let threads = found.expect("a thread").join().expect("no panic").expect("a readable /proc");
        let ours = threads.iter().find(|thread| thread.name == "found-me").expect("the thread that looked");
        assert!(!ours.cpus.is_empty());
        assert!(resident_bytes(std::process::id()).expect("a readable /proc") > 1 << 20);
    }
}
