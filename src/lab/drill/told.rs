//! What a bidder logs while a drill goes on: what an operator would read.

use std::collections::BTreeSet;

use crate::lab::drill::{Bidder, Stage};

/// The log of a bidder, as far as it was read.
#[derive(Debug)]
pub(super) struct Told {
    read: usize,
    known: BTreeSet<String>,
}

impl Told {
    /// From now on.
    pub(super) fn from_here(bidder: &Bidder) -> Told {
        Told { read: bidder.process.log().len(), known: BTreeSet::new() }
    }

    /// Prints the lines since the last time, each that comes again once.
    pub(super) fn tell(&mut self, stage: &Stage, bidder: &Bidder) {
        let log = bidder.process.log();
        for line in log.get(self.read..).unwrap_or("").lines() {
            if self.known.insert(line.to_owned()) {
                stage.saw(format_args!("log: {line}"));
            }
        }
        self.read = log.len();
    }
}
