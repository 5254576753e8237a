//! What the reconciliation core counts, for other threads to read: one writer, relaxed stores, no read-modify-write.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::units::{Micros, Slot};

/// A number with one writer.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Replaces it.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Adds to it. There is one writer, so a load and a store are enough.
    pub(crate) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }
}

macro_rules! gauges {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The numbers of the reconciliation core.
        #[derive(Debug)]
        pub struct Gauges {
            $($(#[$doc])* pub $name: Gauge,)*
            spend: Box<[AtomicI64]>,
        }

        impl Gauges {
            /// All zero, with a spend for each of `slots` campaigns.
            pub fn new(slots: usize) -> Self {
                Self { $($name: Gauge::default(),)* spend: (0..slots).map(|_| AtomicI64::new(0)).collect() }
            }

            /// Every number with its name.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.get()),)*].into_iter()
            }
        }
    };
}

gauges! {
    /// Ticks run.
    ticks,
    /// Events booked.
    events,
    /// Grants made to a core.
    grants,
    /// Orders that found a ring full; they were kept and sent later.
    orders_refused,
    /// Orders waiting for room in a ring.
    orders_waiting,
    /// Reservations seen.
    reservations,
    /// Bills booked.
    bills,
    /// Wins heard.
    wins,
    /// Losses heard.
    losses,
    /// Notices heard before.
    duplicates,
    /// Bills booked at the bid's price because theirs was above it.
    disputes,
    /// Bills without a readable price: nothing booked.
    unpriced,
    /// Bills past H2, answered 410.
    late,
    /// What those would have cost, in millionths.
    late_excess_micros,
    /// Bills booked although no lease covered them any more.
    excess_bills,
    /// Notices under a lease the ledger does not know, answered 503.
    foreign,
    /// Notices answered 503.
    unsafe_notices,
    /// Spend booked since this process started, in millionths.
    spend_micros,
    /// Silent reservations: what they hold, in millionths.
    held_micros,
    /// Sums compared by the invariant check.
    invariant_checks,
    /// Age of the oldest record that is not on disk, ns.
    oldest_unsynced_ns,
    /// Commits made durable.
    commits,
    /// Commits that failed.
    commit_failures,
    /// Bytes of the current ledger file.
    ledger_bytes,
    /// Snapshots handed to the cores.
    snapshots,
    /// CPU time of the reconciliation thread, ns.
    cpu_ns,
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
