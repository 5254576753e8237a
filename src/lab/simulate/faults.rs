//! The nemesis: what goes wrong, when, and for how long. All of it is planned before the run begins, so that no fault is
//! left to luck, and a part of the plan can be left out to find out what a failure needs.

use super::authority::Keeper;
use super::time::{DAY, HOUR, MINUTE, SECOND, Time};
use crate::market::random::Random;

macro_rules! faults {
    ($($(#[doc = $about:literal])* $name:ident $text:literal { $per_day:literal a day, for $least:expr, $most:expr })*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Fault { $($(#[doc = $about])* $name,)* }

        impl Fault {
            /// All there are.
            pub const ALL: &[Fault] = &[$(Fault::$name,)*];

            /// Its name on the command line and in the output.
            pub const fn name(self) -> &'static str {
                match self { $(Fault::$name => $text,)* }
            }

            /// What it does, in a few words.
            pub const fn about(self) -> &'static str {
                match self { $(Fault::$name => concat!($($about,)*),)* }
            }

            /// How often a day, and for how long.
            const fn habit(self) -> (u64, Time, Time) {
                match self { $(Fault::$name => ($per_day, $least, $most),)* }
            }
        }
    };
}

faults! {
    /// Of what nodes and authority say to each other, a third is lost.
    MessageLoss "message-loss" { 3 a day, for 2 * MINUTE, 10 * MINUTE }
    /// It takes up to half a minute.
    MessageDelay "message-delay" { 3 a day, for 2 * MINUTE, 10 * MINUTE }
    /// It arrives twice, the second time up to a minute later.
    MessageDuplication "message-duplication" { 3 a day, for 2 * MINUTE, 10 * MINUTE }
    /// It arrives in another order.
    MessageReordering "message-reordering" { 3 a day, for 2 * MINUTE, 10 * MINUTE }
    /// A third of the notices, or of the answers to them, is lost.
    NoticeLoss "notice-loss" { 3 a day, for 10 * MINUTE, 30 * MINUTE }
    /// Notices come up to forty minutes late, many of them after H2.
    NoticeDelay "notice-delay" { 3 a day, for 10 * MINUTE, 30 * MINUTE }
    /// Notices come several times, to several nodes.
    NoticeDuplication "notice-duplication" { 3 a day, for 10 * MINUTE, 30 * MINUTE }
    /// A bill comes before its win, a loss comes to a bid that was billed.
    NoticeReordering "notice-reordering" { 3 a day, for 10 * MINUTE, 30 * MINUTE }
    /// A node's process ends and starts again, sometimes with its machine.
    NodeCrash "node-crash" { 8 a day, for SECOND, 5 * MINUTE }
    /// The authority's process ends and starts again.
    AuthorityCrash "authority-crash" { 4 a day, for SECOND / 2, MINUTE }
    /// A node or the authority crashes while it writes: its ledger is cut at any byte of that.
    TornWrite "torn-write" { 6 a day, for SECOND, MINUTE }
    /// A node and the authority do not reach each other.
    Partition "partition" { 6 a day, for 5 * SECOND, 3 * MINUTE }
    /// A node's process ends while it does not reach the authority, with bills in its ledger that nobody else has.
    PartitionCrash "partition-crash" { 4 a day, for 10 * MINUTE, 25 * MINUTE }
    /// Another copy of the authority takes over, without the last writes: up to 10 s of them. Epoch and register are kept.
    Failover "failover" { 3 a day, for SECOND / 2, 10 * SECOND }
    /// A clock runs at another rate: 100 ppm off at most.
    ClockDrift "clock-drift" { 6 a day, for HOUR, 3 * HOUR }
    /// A wall clock is set, forward or back, within what two clocks may differ by.
    ClockStep "clock-step" { 8 a day, for MINUTE, HOUR }
    /// A node's reconciliation stands still for 1 to 100 ticks; its bid cores do not.
    TickStall "tick-stall" { 6 a day, for 5 * SECOND, 500 * SECOND }
    /// A node's disk, or the authority's, has no room.
    DiskFull "disk-full" { 3 a day, for 10 * SECOND, 5 * MINUTE }
    /// A commit fails, and the next may too.
    SyncFailure "sync-failure" { 6 a day, for SECOND, 2 * SECOND }
    /// For a minute bids win twenty times as often: 60 % instead of 3 %.
    WinJump "win-jump" { 2 a day, for MINUTE, MINUTE }
    /// A node never comes back. An operator retires it when its bids cannot be billed any more; a new one takes its place.
    NodeLoss "node-loss" { 1 a day, for 40 * MINUTE, 60 * MINUTE }
    /// A campaign's daily budget is cut to a part of it.
    BudgetCut "budget-cut" { 12 a day, for 10 * MINUTE, HOUR }
    /// A campaign's daily budget is raised.
    BudgetRaise "budget-raise" { 12 a day, for 10 * MINUTE, HOUR }
    /// A node does everything slowly: up to seconds for what takes a millisecond.
    SlowNode "slow-node" { 3 a day, for MINUTE, 5 * MINUTE }
    /// Every copy of the shards is gone; what the register keeps of them is up to a minute old.
    Wipe "wipe" { 2 a day, for SECOND, 30 * SECOND }
}

impl Fault {
    /// Whether it can happen to an authority of this kind: one that keeps a ledger does not lose it as a whole.
    pub fn can_hit(self, authority: Keeper) -> bool {
        self != Fault::Wipe || authority != Keeper::Rust
    }

    /// The fault of this name.
    pub fn named(name: &str) -> Option<Fault> {
        Fault::ALL.iter().copied().find(|fault| fault.name() == name)
    }
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mishap {
    /// Its place in the plan of all faults; the same whatever is left out.
    pub number: u32,
    /// What.
    pub fault: Fault,
    /// From when.
    pub at: Time,
    /// For how long.
    pub lasts: Time,
    /// Decides what it hits.
    pub dice: u64,
}

/// Everything that goes wrong in a run of so many days, by time.
///
/// Each kind happens on each day, at a time drawn for the seed, the kind and the day alone: what is left out moves nothing else.
pub fn plan(seed: u64, days: u32) -> Vec<Mishap> {
    let mut plan = Vec::new();
    for day in 0..u64::from(days) {
        for &fault in Fault::ALL {
            let (per_day, least, most) = fault.habit();
            let mut random = Random::of(seed ^ 0x006e_656d_6573_6973, day << 8 | fault as u64);
            for part in 0..per_day {
                // Spread over the day: one in each part of it. The first minutes are for the fleet to start in.
                let from = day * DAY + (DAY - HOUR) * part / per_day + 10 * MINUTE;
                let at = from + random.below((DAY - HOUR) / per_day);
                let number = ((day << 16 | (fault as u64) << 8 | part) & 0xffff_ffff) as u32;
                let lasts = random.between(least, most);
                plan.push(Mishap { number, fault, at, lasts, dice: random.bits() });
            }
        }
    }
    plan.sort_by_key(|mishap| (mishap.at, mishap.number));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_fault_happens_every_day() {
        let plan = plan(7, 3);
        for &fault in Fault::ALL {
            for day in 0..3 {
                assert!(plan.iter().any(|mishap| mishap.fault == fault && mishap.at / DAY == day), "{fault:?}");
            }
        }
        let numbers: BTreeSet<_> = plan.iter().map(|mishap| mishap.number).collect();
        assert_eq!(numbers.len(), plan.len());
    }

    #[test]
    fn names_are_one_each() {
        for &fault in Fault::ALL {
            assert_eq!(Fault::named(fault.name()), Some(fault));
        }
    }
}
