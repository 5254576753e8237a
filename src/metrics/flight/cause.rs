//! Splits the time of a late request into what took it.

use super::Late;
use crate::metrics::stalls::cause::{self as stall, Machine, causes};
use crate::metrics::stalls::thread::Thread;
use crate::wire::openrtb::nobid::NoBidReason;

causes! {
    /// What took a request's time. Of two that took the same, the first is blamed.
    Cause;
    /// The ring to the reconciliation core had no room for its bid. This takes no time, it takes the bid.
    Ring "ring";
    /// A snapshot was swapped in since the request before it: the swap, and what the thread did with what it left cold.
    Swap "swap";
    /// It waited for its user's profile.
    Miss "miss";
    /// The machine was suspended.
    Suspend "suspend";
    /// The CPU quota of the cgroup was used up.
    Throttle "throttle";
    /// Another thread had the CPU.
    RunDelay "run_delay";
    /// The hypervisor ran others.
    Steal "steal";
    /// Interrupts, beyond what the CPU had of them before.
    Irq "irq";
    /// The thread waited for a page on a disk, or was at work to get it.
    MajorFault "major_fault";
    /// The thread made pages appear that were in memory, or need no disk; at what one takes on this machine.
    MinorFaults "minor_faults";
    /// The thread ran: a stage of this request took long, or one of another in its turn took longer than it usually does.
    Own "own";
    /// The other requests in hand since it arrived, at what one usually takes: load.
    Queue "queue";
    /// The thread neither ran nor could have: it was stopped, or blocked in the kernel, or stolen in less than 10 ms.
    Off "off_cpu";
    /// The kernel counts nothing, or what it counted so long ago is not kept.
    Unknown "unknown";
}

impl Cause {
    /// What to do about it, in a line; docs/TAIL.md has more.
    pub const fn advice(self) -> &'static str {
        match self {
            Cause::Ring => "the reconciliation core does not keep up: see runbook/reconcile-stall",
            Cause::Swap => "reload less often, or when there is less to do",
            Cause::Miss => "a store is slow: profiles.fetch_budget_us is what a request may wait",
            Cause::Suspend => "the machine was suspended or moved: not for bidders",
            Cause::Throttle => "give the cgroup no CPU quota, but CPUs of its own",
            Cause::RunDelay => "somebody else runs on the bid core: isolate it, `corebid doctor`",
            Cause::Steal => "the hypervisor gives the CPU to others: dedicated cores",
            Cause::Irq => "move interrupts off the bid cores, `corebid doctor`",
            Cause::MajorFault => "lock memory: process.mlock, LimitMEMLOCK=infinity",
            Cause::MinorFaults => "touch and lock memory: process.mlock; no THP compaction",
            Cause::Own => "the stage named took long: explain the request, profile the stage",
            Cause::Queue => "load: more cores, or a limit of requests per second",
            Cause::Off => "stopped or blocked: who sends signals, freezes or debugs it?",
            Cause::Unknown => "too old to be told, or this kernel counts nothing: CONFIG_SCHED_INFO, /proc",
        }
    }
}

/// How long each cause took of a request, ns; together its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares(pub [u64; Cause::COUNT]);

impl Shares {
    /// Of a request, on a machine of which this is known, where a fault that needs no disk takes `fault_ns`.
    pub fn of(late: &Late, machine: Machine, fault_ns: u64) -> Shares {
        let length_ns = late.length_ns();
        // What it took itself is nobody's load.
        let work_ns = late.requests.saturating_sub(1).saturating_mul(late.turn.usual_ns);
        let mut split = stall::Shares::split(length_ns, work_ns, late.spent, machine).0;
        let mut take = |cause: stall::Cause, ns: u64| {
            let ns = ns.min(split[cause as usize]);
            split[cause as usize] -= ns;
            ns
        };
        let mut shares = Shares::default();
        // While it was parked its core slept, or watched the rings, or worked for others: that is not what kept it.
        let parked_ns = late.flight.parked_ns;
        let mut missed_ns = 0;
        for from in
            [stall::Cause::Off, stall::Cause::Fault, stall::Cause::Unknown, stall::Cause::Own, stall::Cause::Work]
        {
            missed_ns += take(from, parked_ns - missed_ns);
        }
        shares.0[Cause::Miss as usize] = missed_ns;
        // What no reading covers looks as if the thread had been off its CPU.
        let mut uncovered_ns = length_ns.saturating_sub(late.window_ns);
        for from in [stall::Cause::Off, stall::Cause::Fault] {
            let ns = take(from, uncovered_ns);
            uncovered_ns -= ns;
            shares.0[Cause::Unknown as usize] += ns;
        }
        let of = |cause: stall::Cause| split[cause as usize];
        let mut give = |left: &mut u64, cause: Cause, ns: u64| {
            let ns = ns.min(*left);
            shares.0[cause as usize] += ns;
            *left -= ns;
        };
        for (from, to) in [
            (stall::Cause::Work, Cause::Queue),
            (stall::Cause::Suspend, Cause::Suspend),
            (stall::Cause::Throttle, Cause::Throttle),
            (stall::Cause::RunDelay, Cause::RunDelay),
            (stall::Cause::Steal, Cause::Steal),
            (stall::Cause::Irq, Cause::Irq),
            (stall::Cause::Unknown, Cause::Unknown),
        ] {
            give(&mut of(from), to, u64::MAX);
        }
        give(&mut of(stall::Cause::Off), Cause::Off, u64::MAX);
        give(&mut of(stall::Cause::Fault), Cause::MajorFault, u64::MAX);
        let mut own = of(stall::Cause::Own);
        if late.swap_ns.is_some() {
            give(&mut own, Cause::Swap, u64::MAX);
        }
        let (major, minor) = late.spent.map_or((0, 0), |spent| (spent.major_faults, spent.minor_faults));
        give(&mut own, Cause::MajorFault, major.saturating_mul(MAJOR_FAULT_NS));
        give(&mut own, Cause::MinorFaults, minor.saturating_mul(fault_ns));
        give(&mut own, Cause::Own, u64::MAX);
        shares
    }

    /// What took the most. A bid that was refused for want of room is told for that, and one that a stall made too late never for load.
    pub fn main(&self, late: &Late) -> Cause {
        let ended = late.flight.ended;
        if ended.is_refused() {
            return Cause::Ring;
        }
        let stalled = matches!(ended, crate::metrics::flight::Ended::NoBid(NoBidReason::Stalled));
        let causes = Cause::ALL.iter().copied().filter(|&cause| !stalled || cause != Cause::Queue);
        causes.rev().max_by_key(|&cause| self.0[cause as usize]).expect("there are causes")
    }
}

/// What a thread is taken to run for in a fault that waits for a disk, ns: it asks for some hundred kilobytes around the page, and
/// finds them a place.
const MAJOR_FAULT_NS: u64 = 300_000;

/// What a fault that needs no disk takes on this machine, ns: some pages are made to appear, on the calling thread.
pub fn fault_ns() -> u64 {
    const PAGES: usize = 128;
    const PAGE: usize = 4096;
    /// Where it cannot be measured: what a kernel takes on a machine of its own.
    const USUAL_NS: u64 = 500;
    let measured = || {
        let thread = Thread::this().ok()?;
        let mut pages = memmap2::MmapMut::map_anon(PAGES * PAGE).ok()?;
        let before = thread.read(crate::clock::boot())?;
        for page in pages.chunks_mut(PAGE) {
            page[0] = 1;
        }
        let spent = thread.read(crate::clock::boot())?.since(&before);
        spent.ran_ns.checked_div(spent.minor_faults)
    };
    // Large pages appear at once, and somebody may have interrupted it.
    measured().unwrap_or(USUAL_NS).clamp(USUAL_NS / 5, 20 * USUAL_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::flight::{Ended, Flight, Turn};
    use crate::metrics::stalls::thread::Spent;
    use crate::units::Nanos;
    use proptest::prelude::*;

    const MS: u64 = Nanos::MS;

    /// 20 ms long, with ten requests of 50 us in it.
    fn late() -> Late {
        let arrived = Nanos(Nanos::SECOND);
        let flight = Flight { arrived, ended: Ended::Bid, ..Flight::default() };
        let turn = Turn { woke: arrived, ended: arrived.after(20 * MS), usual_ns: 50_000, ..Turn::default() };
        let spent = Some(Spent { ran_ns: 2 * MS, ..Spent::default() });
        Late { flight, turn, requests: 10, spent, window_ns: 22 * MS, ..Late::default() }
    }

    fn spent(spent: Spent) -> Late {
        Late { spent: Some(spent), ..late() }
    }

    #[test]
    fn each_cause_is_named() {
        let none = Machine::default();
        let waited = Spent { ran_ns: MS, waited_ns: 19 * MS, ..Spent::default() };
        let ran = Spent { ran_ns: 20 * MS, ..Spent::default() };
        let parked = Flight { parked_ns: 18 * MS, ..late().flight };
        for (late, machine, cause) in [
            (spent(waited), none, Cause::RunDelay),
            (spent(waited), Machine { throttled_ns: 80 * MS, ..none }, Cause::Throttle),
            (late(), Machine { stolen_ns: 20 * MS, ..none }, Cause::Steal),
            (spent(ran), Machine { interrupted_ns: 20 * MS, ..none }, Cause::Irq),
            (spent(Spent { suspended_ns: 19 * MS, ..Spent::default() }), none, Cause::Suspend),
            (spent(Spent { major_faults: 40, ran_ns: MS, ..Spent::default() }), none, Cause::MajorFault),
            (spent(Spent { major_faults: 50, ..ran }), none, Cause::MajorFault),
            (spent(Spent { minor_faults: 15_000, ..ran }), none, Cause::MinorFaults),
            (spent(ran), none, Cause::Own),
            (Late { swap_ns: Some(900), ..spent(ran) }, none, Cause::Swap),
            // A stall in the turn of a swap is a stall.
            (Late { swap_ns: Some(900), ..spent(waited) }, none, Cause::RunDelay),
            (Late { requests: 500, ..spent(ran) }, none, Cause::Queue),
            (Late { flight: parked, ..late() }, none, Cause::Miss),
            // On a core that spins, and on one that is busy.
            (Late { flight: parked, ..spent(ran) }, none, Cause::Miss),
            (Late { flight: parked, requests: 500, ..spent(ran) }, none, Cause::Miss),
            (Late { flight: parked, spent: None, ..late() }, none, Cause::Miss),
            // What kept the thread kept whoever was parked.
            (Late { flight: parked, ..spent(waited) }, none, Cause::RunDelay),
            (late(), none, Cause::Off),
            (Late { window_ns: 4 * MS, ..late() }, none, Cause::Unknown),
            (Late { spent: None, ..late() }, none, Cause::Unknown),
        ] {
            let shares = Shares::of(&late, machine, 1_000);
            assert_eq!(shares.main(&late), cause, "{late:?}: {shares:?}");
        }
        let refused = Flight { ended: Ended::NoBid(NoBidReason::RingFull), ..late().flight };
        assert_eq!(Shares::default().main(&Late { flight: refused, ..late() }), Cause::Ring);
        let stalled = Flight { ended: Ended::NoBid(NoBidReason::Stalled), ..late().flight };
        let late = Late { flight: stalled, requests: 300, ..spent(waited) };
        assert_eq!(Shares::of(&late, none, 1_000).main(&late), Cause::RunDelay);
    }

    #[test]
    fn a_fault_takes_less_than_a_disk() {
        assert!((100..=10_000).contains(&fault_ns()));
    }

    proptest! {
        #[test]
        fn the_shares_make_up_the_request(
            length in 0..100 * MS, requests in 0u64..2_000, parked in 0..50 * MS, ran in 0..120 * MS, waited in 0..120 * MS,
            major in 0u64..2, minor in 0u64..100_000, stolen in 0..100 * MS, throttled in 0..100 * MS, swap: bool, told: bool,
        ) {
            let late = late();
            let flight = Flight { parked_ns: parked, ..late.flight };
            let turn = Turn { ended: flight.arrived.after(length), ..late.turn };
            let spent = Spent { ran_ns: ran, waited_ns: waited, major_faults: major, minor_faults: minor, ..Spent::default() };
            let late =
                Late { flight, turn, requests, spent: told.then_some(spent), swap_ns: swap.then_some(1_000), ..late };
            let shares = Shares::of(&late, Machine { stolen_ns: stolen, throttled_ns: throttled, ..Machine::default() }, 700);
            prop_assert_eq!(shares.0.iter().sum::<u64>(), length);
            prop_assert!(shares.0[Cause::Miss as usize] <= parked);
            prop_assert!(shares.0[Cause::MinorFaults as usize] <= minor * 700);
            prop_assert!(swap || shares.0[Cause::Swap as usize] == 0);
        }
    }
}
