//! How the process ends when a thread panics: the bid cores answer what they have framed, the log says why, and the process aborts,
//! so that whoever watches it starts another one. That one is a new incarnation, and fences what this one held.
//!
//! All of it happens in the panic hook, on the thread that panicked: the shipped build does not unwind, and nothing after the hook
//! can be counted on.

use std::panic::PanicHookInfo;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::bid::alarm::Panel;
use crate::clock;
use crate::units::{CoreId, Nanos};

/// How long the bid cores have for their last answers, ns.
pub const ANSWER_NS: u64 = 10 * Nanos::MS;
/// Between two looks whether they are done.
const LOOK: Duration = Duration::from_micros(100);
/// After this the kernel ends the process, whatever the hook waits for: a log that nobody reads must not keep it from ending, us.
const DEAD_MAN_US: libc::suseconds_t = 100_000;

/// From now on a panic of any thread ends the process in good order.
pub fn install(panel: Arc<Panel>) {
    let panicked = AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |info| end(&panel, &panicked, info)));
}

#[allow(clippy::disallowed_methods, reason = "nothing is left to be done but to wait")]
fn end(panel: &Panel, panicked: &AtomicBool, info: &PanicHookInfo<'_>) {
    if panicked.swap(true, Ordering::AcqRel) {
        // The first one ends the process; there is nothing this thread can go on with.
        loop {
            thread::park();
        }
    }
    dead_man();
    panel.raise();
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    let until = clock::boot().after(ANSWER_NS);
    let mut answered = panel.is_answered(core(name));
    while !answered && clock::boot() < until {
        thread::sleep(LOOK);
        answered = panel.is_answered(core(name));
    }
    let others = if answered { "the bid cores have answered" } else { "not every bid core could answer in time" };
    let why = info.payload_as_str().unwrap_or("without a word");
    match info.location() {
        Some(at) => log::error!("thread {name} panicked at {at}: {why}; {others}; the process ends"),
        None => log::error!("thread {name} panicked: {why}; {others}; the process ends"),
    }
    std::process::abort();
}

/// The bid core that a thread is.
fn core(thread: &str) -> Option<CoreId> {
    thread.strip_prefix("bid-")?.parse().ok().map(CoreId)
}

fn dead_man() {
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer = libc::itimerval { it_interval: never, it_value: libc::timeval { tv_sec: 0, tv_usec: DEAD_MAN_US } };
    // SAFETY: the timer is readable for the length of the call, and the null pointer asks for no answer.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

/// A panic that is asked for when the process is started, to see what becomes of it: `bid-0:500` is the bid core 0, half a second
/// after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drill {
    /// Which thread is to panic.
    pub who: Who,
    /// When, after the start.
    pub after: Duration,
}

/// A thread that can be made to panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A bid core.
    Bid(CoreId),
    /// The reconciliation core.
    Reconcile,
    /// A thread of its own, as any of housekeeping's.
    Housekeeping,
}

impl FromStr for Drill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?}: bid-N, reconcile or housekeeping, a colon, and milliseconds");
        let (who, after) = text.split_once(':').ok_or_else(wrong)?;
        let who = match who {
            "reconcile" => Who::Reconcile,
            "housekeeping" => Who::Housekeeping,
            _ => Who::Bid(core(who).ok_or_else(wrong)?),
        };
        Ok(Drill { who, after: Duration::from_millis(after.parse().map_err(|_| wrong())?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drills_are_named() {
        let after = Duration::from_millis(500);
        assert_eq!("bid-3:500".parse(), Ok(Drill { who: Who::Bid(CoreId(3)), after }));
        assert_eq!("reconcile:500".parse(), Ok(Drill { who: Who::Reconcile, after }));
        for bad in ["", "bid-0", "bid-:1", "bid-256:1", "disk:1", "bid-0:-1"] {
            assert!(bad.parse::<Drill>().is_err(), "{bad}");
        }
    }
}
