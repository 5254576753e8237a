//! Splits the length of a long round into what took it.

use super::Long;
use super::thread::Spent;

macro_rules! causes {
    ($(#[$of:meta])* $cause:ident; $($(#[$doc:meta])* $name:ident $label:literal;)*) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $cause { $($(#[$doc])* $name,)* }

        impl $cause {
            /// All causes.
            pub const ALL: &'static [Cause] = &[$(Cause::$name,)*];

            /// The name used in metrics and answers.
            pub const fn label(self) -> &'static str {
                match self { $($cause::$name => $label,)* }
            }

            /// How many causes there are.
            pub const COUNT: usize = Self::ALL.len();
        }
    };
}
pub(crate) use causes;

causes! {
    /// What takes a loop's time.
    Cause;
    /// The requests in it, at what a request usually takes. A round that is long for this alone is no stall: it is load.
    Work "work";
    /// The machine was suspended.
    Suspend "suspend";
    /// The thread could have run, and the CPU quota of its cgroup was used up.
    Throttle "throttle";
    /// The thread could have run, and the kernel ran others.
    RunDelay "run_delay";
    /// The hypervisor ran others.
    Steal "steal";
    /// Interrupts, hard and soft, beyond what the CPU had of them before.
    Irq "irq";
    /// The thread waited for a disk: the page that it touched was there.
    Fault "fault";
    /// The thread ran, for longer than its requests usually take. Time that a hypervisor takes and does not report looks the same.
    Own "own";
    /// The thread neither ran nor could have: it was stopped (a signal, a freezer, a debugger), or blocked in the kernel, or the
    /// hypervisor took less than the 10 ms that the kernel counts in.
    Off "off_cpu";
    /// The kernel counts nothing.
    Unknown "unknown";
}

/// What the kernel counted of a CPU around a long round, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Taken by the hypervisor.
    pub stolen_ns: u64,
    /// Taken by interrupts, beyond the usual.
    pub interrupted_ns: u64,
    /// Taken from the process on all its CPUs, because the quota of its cgroup was used up.
    pub throttled_ns: u64,
}

/// How long each cause took of a round, ns; together its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares(pub [u64; Cause::COUNT]);

impl Shares {
    /// Of a round, on a machine of which this is known.
    pub fn of(long: &Long, machine: Machine) -> Shares {
        let length_ns = long.length_ns();
        Shares::split(length_ns, length_ns.saturating_sub(long.round.kept_ns), long.spent, machine)
    }

    /// Of `length_ns`, of which `work_ns` are explained by requests.
    ///
    /// The kernel counted over a window that begins a little before it, so that each count is the most that it can have had of that.
    /// They are taken in the order of how much each says about this thread, until the length is used up.
    pub fn split(length_ns: u64, work_ns: u64, spent: Option<Spent>, machine: Machine) -> Shares {
        let mut shares = Shares::default();
        let mut left = length_ns;
        let mut take = |left: &mut u64, cause: Cause, ns: u64| {
            let ns = ns.min(*left);
            shares.0[cause as usize] += ns;
            *left -= ns;
        };
        let work = work_ns.min(length_ns);
        take(&mut left, Cause::Work, work);
        let Some(spent) = spent else {
            take(&mut left, Cause::Unknown, u64::MAX);
            return shares;
        };
        take(&mut left, Cause::Suspend, spent.suspended_ns);
        // A thread that is throttled could run, as the kernel counts.
        let throttled = spent.waited_ns.min(machine.throttled_ns);
        take(&mut left, Cause::Throttle, throttled);
        take(&mut left, Cause::RunDelay, spent.waited_ns - throttled);
        // What is left, the thread ran or was off its CPU. The kernel leaves stolen time out of the first.
        let mut ran = spent.ran_ns.saturating_sub(work).min(left);
        let mut off = left - ran;
        // Where a thread that is throttled is not kept waiting, it is kept off its CPU.
        take(&mut off, Cause::Throttle, machine.throttled_ns - throttled);
        take(&mut off, Cause::Steal, machine.stolen_ns);
        // Most kernels count interrupts as time of the thread they interrupt.
        let interrupted = machine.interrupted_ns;
        let of_its_own = interrupted.saturating_sub(off);
        take(&mut off, Cause::Irq, interrupted);
        take(&mut ran, Cause::Irq, of_its_own);
        take(&mut ran, Cause::Own, u64::MAX);
        take(&mut off, if spent.major_faults > 0 { Cause::Fault } else { Cause::Off }, u64::MAX);
        shares
    }

    /// What took the most, and of the same, the first. Work is no cause of a stall.
    pub fn main(&self, stalled: bool) -> Cause {
        let causes = Cause::ALL.iter().copied().filter(|&cause| !stalled || cause != Cause::Work);
        causes.rev().max_by_key(|&cause| self.0[cause as usize]).expect("there are causes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::stalls::Round;
    use crate::metrics::stalls::thread::Spent;
    use crate::units::Nanos;
    use proptest::prelude::*;

    const MS: u64 = Nanos::MS;

    fn long(length_ns: u64, kept_ns: u64, before_ns: u64, spent: Option<Spent>) -> Long {
        let from = Nanos(Nanos::SECOND);
        let round = Round { from, woke: from, ended: from.after(length_ns), kept_ns, requests: 1, usual_ns: 0 };
        Long { round, cpu: 0, window_ns: length_ns + before_ns, spent }
    }

    #[test]
    fn each_kind_of_stall_is_named() {
        let none = Machine::default();
        let spent = Spent { ran_ns: 4 * MS, ..Spent::default() };
        for (what, spent, machine, cause) in [
            ("a hog", Spent { waited_ns: 49 * MS, involuntary: 1, ..spent }, none, Cause::RunDelay),
            (
                "a quota",
                Spent { waited_ns: 49 * MS, ..spent },
                Machine { throttled_ns: 90 * MS, ..none },
                Cause::Throttle,
            ),
            ("a long computation", Spent { ran_ns: 53 * MS, ..spent }, none, Cause::Own),
            ("a stopped process", spent, none, Cause::Off),
            ("a page on disk", Spent { major_faults: 1, ..spent }, none, Cause::Fault),
            ("a suspended machine", Spent { suspended_ns: 50 * MS, ..spent }, none, Cause::Suspend),
            ("a hypervisor", spent, Machine { stolen_ns: 50 * MS, ..none }, Cause::Steal),
            (
                "interrupts that are the thread's own time",
                Spent { ran_ns: 50 * MS, ..spent },
                Machine { interrupted_ns: 60 * MS, ..none },
                Cause::Irq,
            ),
            ("interrupts that are not", spent, Machine { interrupted_ns: 60 * MS, ..none }, Cause::Irq),
        ] {
            let shares = Shares::of(&long(50 * MS, 50 * MS, 4 * MS, Some(spent)), machine);
            assert_eq!(shares.main(true), cause, "{what}: {shares:?}");
        }
        let shares = Shares::of(&long(50 * MS, 49 * MS, 4 * MS, None), none);
        assert_eq!((shares.main(true), shares.0[Cause::Work as usize]), (Cause::Unknown, MS));
        let busy = Some(Spent { ran_ns: 3 * MS, ..Spent::default() });
        assert_eq!(Shares::of(&long(3 * MS, 0, 0, busy), none).main(false), Cause::Work);
    }

    proptest! {
        #[test]
        fn the_shares_make_up_the_round(
            length in 0..100 * MS, kept in 0..100 * MS, before in 0..5 * MS,
            ran in 0..120 * MS, waited in 0..120 * MS, suspended in 0..2 * MS, major in 0u64..2,
            stolen in 0..100 * MS, irq in 0..100 * MS, throttled in 0..100 * MS, told: bool,
        ) {
            let spent = told.then_some(Spent {
                suspended_ns: suspended, ran_ns: ran, waited_ns: waited, major_faults: major, ..Spent::default()
            });
            let machine = Machine { stolen_ns: stolen, interrupted_ns: irq, throttled_ns: throttled };
            let shares = Shares::of(&long(length, kept.min(length), before, spent), machine);
            prop_assert_eq!(shares.0.iter().sum::<u64>(), length);
            // No cause is given more than was counted of it.
            prop_assert!(shares.0[Cause::RunDelay as usize] <= waited);
            prop_assert!(shares.0[Cause::Throttle as usize] <= throttled);
            prop_assert!(shares.0[Cause::Own as usize] <= ran);
            prop_assert!(shares.0[Cause::Steal as usize] <= stolen);
            prop_assert!(shares.0[Cause::Irq as usize] <= irq);
        }
    }
}
