//! What a bidder logs while a drill goes on: what an operator would read.

use crate::lab::drill::{Bidder, Stage};

/// The log of a bidder, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Told {
    read: usize,
}

impl Told {
    /// From now on.
    pub(super) fn from_here(bidder: &Bidder) -> Told {
        Told { read: bidder.process.log().len() }
    }

    /// Prints the lines since the last time.
    pub(super) fn tell(&mut self, stage: &Stage, bidder: &Bidder) {
        let log = bidder.process.log();
        for line in log.get(self.read..).unwrap_or("").lines() {
            stage.saw(format_args!("log: {line}"));
        }
        self.read = log.len();
    }
}
