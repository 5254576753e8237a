//! What the kernel counts of each CPU: time that the hypervisor and interrupts took (`/proc/stat`, proc_stat(5)).
//!
//! The kernel writes the whole file for who reads any of it, all CPUs and all interrupts: some 12 us on two CPUs, and a millisecond
//! on large machines. No bid core reads it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::cause::Machine;
use crate::units::Nanos;

/// Readings that are kept: 16 s of them, at ten a second.
const KEPT: usize = 160;
/// Over how long before a stall interrupts are usual, ns.
const USUAL_NS: u64 = Nanos::SECOND;

/// What a CPU's time went to since the machine started, ns, in steps of a tick (10 ms).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// By the hypervisor.
    pub stolen_ns: u64,
    /// By interrupts, hard and soft.
    pub interrupted_ns: u64,
}

/// One reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// When.
    pub at: Nanos,
    /// By number of the CPU.
    pub cpus: Vec<Taken>,
    /// For how long the process has been throttled ([`super::quota`]), ns.
    pub throttled_ns: u64,
}

/// The open file.
#[derive(Debug)]
pub struct Stat {
    file: File,
    text: Vec<u8>,
    tick_ns: u64,
}

impl Stat {
    /// Of this machine.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn open() -> io::Result<Stat> {
        // SAFETY: no pointer is passed.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        let tick_ns = Nanos::SECOND / u64::try_from(ticks).unwrap_or(100).max(1);
        Ok(Stat { file: File::open("/proc/stat")?, text: vec![0; 16 * 1024], tick_ns })
    }

    /// Reads it, at `now`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn read(&mut self, now: Nanos) -> io::Result<Reading> {
        // The lines of the CPUs are the first; what comes after them is not wanted.
        let length = loop {
            let length = self.file.read_at(&mut self.text, 0)?;
            let whole = self.text[..length].windows(5).any(|bytes| bytes == b"\nintr") || length < self.text.len();
            if whole {
                break length;
            }
            self.text.resize(self.text.len() * 2, 0);
        };
        Ok(parse(&String::from_utf8_lossy(&self.text[..length]), self.tick_ns, now))
    }
}

fn parse(text: &str, tick_ns: u64, at: Nanos) -> Reading {
    let mut reading = Reading { at, ..Reading::default() };
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(cpu) = words.next().and_then(|name| name.strip_prefix("cpu")) else { break };
        // The first line is of all of them together.
        let Ok(cpu) = cpu.parse::<usize>() else { continue };
        let ticks: Vec<u64> = words.map(|word| word.parse().unwrap_or(0)).collect();
        // user nice system idle iowait irq softirq steal
        let ns = |at: usize| ticks.get(at).copied().unwrap_or(0) * tick_ns;
        if reading.cpus.len() <= cpu {
            reading.cpus.resize(cpu + 1, Taken::default());
        }
        reading.cpus[cpu] = Taken { stolen_ns: ns(7), interrupted_ns: ns(5) + ns(6) };
    }
    reading
}

/// The last readings.
#[derive(Debug, Default)]
pub struct History(VecDeque<Reading>);

impl History {
    /// One more.
    pub fn push(&mut self, reading: Reading) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(reading);
    }

    /// What was taken of a CPU from the last reading before `from` to the first after `to`, or the last there is.
    pub fn taken(&self, cpu: usize, from: Nanos, to: Nanos) -> Machine {
        let last = self.0.partition_point(|reading| reading.at < to).min(self.0.len().saturating_sub(1));
        let begin = self.0.partition_point(|reading| reading.at <= from).saturating_sub(1);
        let usual = self.0.partition_point(|reading| reading.at.after(USUAL_NS) <= from).saturating_sub(1);
        let throttled = |at: usize| self.0.get(at).map_or(0, |reading| reading.throttled_ns);
        let throttled_ns = throttled(last).saturating_sub(throttled(begin));
        let of = |at: usize| Some((self.0.get(at)?.at, *self.0.get(at)?.cpus.get(cpu)?));
        let (Some((first, usual)), Some((begun, before)), Some((ended, after))) = (of(usual), of(begin), of(last))
        else {
            return Machine { throttled_ns, ..Machine::default() };
        };
        let expected = match begun.since(first) {
            0 => 0,
            over_ns => {
                let usually = u128::from(before.interrupted_ns.saturating_sub(usual.interrupted_ns));
                (usually * u128::from(ended.since(begun)) / u128::from(over_ns)) as u64
            }
        };
        Machine {
            stolen_ns: after.stolen_ns.saturating_sub(before.stolen_ns),
            interrupted_ns: after.interrupted_ns.saturating_sub(before.interrupted_ns).saturating_sub(expected),
            throttled_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = Nanos::MS;

    #[test]
    fn the_columns_are_those_of_the_manual() {
        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 4 5 60 7 8 0 0\ncpu3 1 1 1 1 1 1 1 1 0 0\nintr 5 6\ncpu7 1\n";
        let reading = parse(text, 10 * MS, Nanos(5));
        assert_eq!(reading.cpus.len(), 4);
        assert_eq!(reading.cpus[0], Taken { stolen_ns: 80 * MS, interrupted_ns: 670 * MS });
        assert_eq!(reading.cpus[1], Taken::default());
    }

    #[test]
    fn this_machine_has_the_cpus_it_has() {
        let reading = Stat::open().unwrap().read(Nanos(1)).unwrap();
        let online = std::thread::available_parallelism().unwrap().get();
        assert!(reading.cpus.len() >= online, "{} of {online}", reading.cpus.len());
    }

    #[test]
    fn a_stall_is_held_against_the_readings_around_it() {
        let mut history = History::default();
        assert_eq!(history.taken(0, Nanos(0), Nanos(MS)), Machine::default());
        // 10 ms of interrupts in each 100 ms; between 2.0 and 2.1 s, 80 ms more of them and 30 ms stolen.
        for tenth in 0..40u64 {
            let more = u64::from(tenth > 20);
            let taken = Taken { stolen_ns: more * 30 * MS, interrupted_ns: tenth * 10 * MS + more * 80 * MS };
            let throttled_ns = more * 50 * MS;
            history.push(Reading { at: Nanos(tenth * 100 * MS), cpus: vec![Taken::default(), taken], throttled_ns });
        }
        let at = |from: u64, to: u64| history.taken(1, Nanos(from * MS), Nanos(to * MS));
        assert_eq!(at(2_010, 2_090), Machine { stolen_ns: 30 * MS, interrupted_ns: 80 * MS, throttled_ns: 50 * MS });
        assert_eq!(at(1_510, 1_590), Machine::default());
        assert_eq!(at(1_990, 2_001), Machine { stolen_ns: 30 * MS, interrupted_ns: 80 * MS, throttled_ns: 50 * MS });
        let unknown = history.taken(2, Nanos(2_010 * MS), Nanos(2_090 * MS));
        assert_eq!(unknown, Machine { throttled_ns: 50 * MS, ..Machine::default() });
        assert_eq!(at(9_000, 9_100), Machine::default());
    }
}
