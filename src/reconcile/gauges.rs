//! What the reconciliation core counts, for other threads to read: one writer, relaxed stores, no read-modify-write.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::limits;
use crate::metrics::arms::ArmOutcomes;
use crate::metrics::counter::Counter;
use crate::metrics::paths::{PathSales, Table};
use crate::profile::shadow::Tally;
use crate::reconcile::guards::counts::Counts;
use crate::reconcile::shading::Prices;
use crate::store::anchor::Latest;
use crate::units::{Micros, Slot};

/// How a number moves, which decides what a scraper may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Never falls while the process lives: rates and increases have a meaning.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// One number, as the metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its name, that of the field of [`Gauges`].
    pub name: &'static str,
    /// What it says, in one sentence.
    pub help: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// Some recent value.
    pub value: u64,
}

macro_rules! gauges {
    ($($kind:ident $name:ident $help:literal;)*) => {
        /// The numbers of the reconciliation core.
        #[derive(Debug)]
        pub struct Gauges {
            $(#[doc = $help] pub $name: Counter,)*
            spend: Box<[AtomicI64]>,
            /// When the last turn began, ns of the boot clock: its age says whether the thread runs, which it cannot say itself.
            pub turned: Counter,
            /// Head of the ledger's chain, as told last. Written by the thread that tells.
            pub head: Latest,
            /// By supply path, if they are counted.
            pub paths: Table<PathSales>,
            /// By arm of the rollout.
            pub arms: [ArmOutcomes; limits::ARMS],
            /// What the guards stopped.
            pub guards: Counts,
            /// What goes beyond frequency caps, as estimated.
            pub shadow: Tally,
            /// What it takes to win, by exchange, where that is learnt.
            pub prices: Prices,
        }

        impl Gauges {
            /// All zero, with a spend for each of `slots` campaigns.
            pub fn new(slots: usize) -> Self {
                let spend = (0..slots).map(|_| AtomicI64::new(0)).collect();
                let (turned, head, paths, arms, guards, shadow, prices) = Default::default();
                Self { $($name: Counter::default(),)* spend, turned, head, paths, arms, guards, shadow, prices }
            }

            /// The same, counting by supply path too.
            #[must_use]
            pub fn with_paths(self) -> Self {
                Self { paths: Table::with_room(), ..self }
            }

            /// Every number, with what it says.
            pub fn all(&self) -> impl Iterator<Item = Reading> {
                [$(Reading {
                    name: stringify!($name),
                    help: $help,
                    kind: Kind::$kind,
                    value: self.$name.get(),
                },)*].into_iter()
            }
        }
    };
}

gauges! {
    Counter ticks "Ticks run";
    Counter events "Events booked";
    Counter grants "Grants made to a core";
    Counter orders_refused "Orders that found a ring full; they were kept and sent later";
    Gauge orders_waiting "Orders waiting for room in a ring";
    Counter reservations "Reservations seen";
    Counter bills "Bills booked";
    Counter wins "Wins heard";
    Counter losses "Losses heard";
    Counter clicks "Clicks heard; each bid counts once";
    Counter conversions "Conversions heard; each bid counts once";
    Counter duplicates "Notices heard before";
    Counter disputes "Bills booked at the bid's price because theirs was above it";
    Counter unpriced "Bills without a readable price: nothing booked";
    Counter late "Bills past H2 that were not booked before, answered 410; each counts once";
    Counter stale "Bills so far past H2 that their reservations are forgotten, answered 410 without a record";
    Counter late_excess_micros "What bills past H2 would have cost, micros";
    Counter excess_bills "Bills booked although no lease covered them any more";
    Counter tests "Notices of bids that answered a test: nothing booked";
    Counter foreign "Notices of another node, of a replaced ledger, or under a lease the ledger does not know, answered 503";
    Counter unsafe_notices "Notices answered 503";
    Counter spend_micros "Spend booked since this process started, micros";
    Gauge held_micros "What silent reservations hold, micros";
    Counter invariant_checks "Sums compared by the invariant check";
    Gauge oldest_unsynced_ns "Age of the oldest record that is not on disk, ns";
    Gauge oldest_unreported_ns "Time since the last report was sent that the authority has answered, ns";
    Counter lapses "Times that an advertiser's leases ran out because its authority did not answer";
    Gauge lapsed "Advertisers whose campaigns do not bid because their authority does not answer";
    Counter feed_revocations "Times that all leases were revoked because of the lag of the feed";
    Counter commits "Commits made durable";
    Counter commit_failures "Commits that failed";
    Gauge ledger_failing "1 while the ledger cannot be written: notices are answered 503 and nothing is granted";
    Gauge ledger_segment "Number of the current ledger segment";
    Gauge ledger_bytes "Bytes of the current ledger segment";
    Gauge ledger_records "Records of the ledger, over all segments";
    Counter head_file_failures "Heads of the ledger that could not be written to the head file";
    Counter snapshots "Snapshots handed to the cores";
    Counter counts_lost "Billed impressions that the store of frequency counts was not told of, because too many waited for it";
    Counter outcomes_lost "Outcomes of bids that the training log was not told of, because too many waited for it";
    Counter shading_won "Bids whose price is learnt from that won";
    Counter shading_outbid "Bids whose price is learnt from that lost for their price";
    Counter shading_void "Bids whose price is learnt from that lost for something else: nothing was learnt";
    Counter shading_silent "Bids whose price is learnt from of which nothing was heard until they were judged";
    Counter shading_told "Bids that were judged with the price that would have won";
    Counter shading_missed "Notices of bids whose price is learnt from that came after they were judged, or to another process";
    Counter shading_unwatched "Bids that were not learnt from because too many were watched";
    Counter shading_fits "Curves fitted and sent to the bid cores";
    Gauge shading_cells "Cells of which there is evidence";
    Counter cpu_ns "CPU time of the reconciliation thread, ns";
}

impl Gauges {
    /// What the campaign of a slot has spent today, in millionths.
    pub fn spend(&self, slot: Slot) -> Micros {
        self.spend.get(slot.0 as usize).map_or(Micros::ZERO, |spend| Micros(spend.load(Relaxed)))
    }

    pub(crate) fn set_spend(&self, slot: Slot, spent: Micros) {
        if let Some(spend) = self.spend.get(slot.0 as usize) {
            spend.store(spent.0, Relaxed);
        }
    }
}
