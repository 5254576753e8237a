//! What the guards count, for other threads to read.

use super::stops::Stop;
use crate::authority::books::Scope;
use crate::authority::message::Why;
use crate::metrics::counter::Counter;

/// By what is stopped and why.
type Table = [[Counter; Why::ALL.len()]; 2];

/// The numbers of the guards; the reconciliation core is their only writer.
#[derive(Debug, Default)]
pub struct Counts {
    stopped: Table,
    stops: Table,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// `campaign` or `advertiser`.
    pub scope: &'static str,
    /// [`Why::label`].
    pub why: &'static str,
    /// How many are stopped now.
    pub stopped: u64,
    /// How many times something was stopped since this process started.
    pub stops: u64,
}

impl Counts {
    /// Something was stopped.
    pub fn stop(&self, scope: Scope, why: Why) {
        self.stops[usize::from(scope.numbers().0)][why as usize].add(1);
    }

    /// Logs and counts what was stopped and resumed between two looks.
    pub fn tell(&self, before: &[Stop], now: &[Stop]) {
        for stop in now.iter().filter(|stop| !before.contains(stop)) {
            self.stop(stop.scope, stop.why);
            let level = if stop.why == Why::Operator { log::Level::Warn } else { log::Level::Error };
            log::log!(level, "{stop}");
        }
        for stop in before.iter().filter(|stop| !now.contains(stop)) {
            log::info!("{} is resumed", stop.scope);
        }
        self.set(now.iter().copied());
    }

    /// What is stopped now.
    pub fn set(&self, stops: impl Iterator<Item = Stop>) {
        let mut now = [[0; Why::ALL.len()]; 2];
        for stop in stops {
            now[usize::from(stop.scope.numbers().0)][stop.why as usize] += 1;
        }
        for (counters, now) in self.stopped.iter().zip(now) {
            counters.iter().zip(now).for_each(|(counter, now)| counter.set(now));
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Count> {
        ["campaign", "advertiser"].into_iter().enumerate().flat_map(move |(row, scope)| {
            Why::ALL.into_iter().map(move |why| Count {
                scope,
                why: why.label(),
                stopped: self.stopped[row][why as usize].get(),
                stops: self.stops[row][why as usize].get(),
            })
        })
    }
}
