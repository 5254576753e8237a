//! Which CPU does what.

use std::fmt;

/// Pins this thread, which is `who`, beside the reconciliation core. One that cannot be is told of, and runs where the kernel puts it.
pub fn pin_beside(cpu: usize, who: &str) {
    if !core_affinity::set_for_current(core_affinity::CoreId { id: cpu }) {
        log::warn!("{who} cannot be pinned to CPU {cpu} and may run on a bid core's");
    }
}

/// The CPUs of this process and their roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// One bid core on each.
    pub bid: Vec<usize>,
    /// The reconciliation core.
    pub reconcile: usize,
}

/// Why the asked-for roles cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopologyError {
    /// The CPU is not there, or this process may not run on it.
    NotAllowed(usize, Vec<usize>),
    /// The CPU is named twice.
    Twice(usize),
    /// There is no bid core.
    NoBidCore,
    /// More bid cores than a Snowflake's worker bits tell apart.
    TooMany(usize),
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopologyError::NotAllowed(cpu, allowed) => {
                write!(f, "CPU {cpu} is not available to this process; choose among {allowed:?}")
            }
            TopologyError::Twice(cpu) => write!(f, "CPU {cpu} is named twice in the list of bid cores"),
            TopologyError::NoBidCore => write!(f, "no bid core: name at least one CPU"),
            TopologyError::TooMany(count) => write!(f, "{count} bid cores; at most {MAX_BID_CORES} run in one process"),
        }
    }
}

impl std::error::Error for TopologyError {}

/// Bid cores of one node: 4 of a Snowflake's 10 worker bits.
pub const MAX_BID_CORES: usize = 16;

impl Topology {
    /// The CPUs this process may run on.
    pub fn allowed() -> Vec<usize> {
        core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect()
    }

    /// Where everything else runs, so that it keeps no bid core waiting: the first CPU without a role, or else beside the
    /// reconciliation core.
    pub fn housekeeping(&self, allowed: &[usize]) -> usize {
        let free = |cpu: &&usize| **cpu != self.reconcile && !self.bid.contains(cpu);
        allowed.iter().find(free).copied().unwrap_or(self.reconcile)
    }

    /// Roles as asked for. By default the reconciliation core takes the first CPU and bid cores all others; a single CPU
    /// does both. A reconciliation core named among the bid cores shares its CPU with one.
    pub fn choose(
        allowed: &[usize],
        bid: Option<&[usize]>,
        reconcile: Option<usize>,
    ) -> Result<Topology, TopologyError> {
        let check = |cpu: usize| {
            allowed.contains(&cpu).then_some(cpu).ok_or_else(|| TopologyError::NotAllowed(cpu, allowed.to_vec()))
        };
        let bid = match bid {
            Some(asked) => asked.iter().map(|&cpu| check(cpu)).collect::<Result<Vec<_>, _>>()?,
            None => {
                let reconcile = reconcile.or(allowed.first().copied());
                let others: Vec<_> = allowed.iter().copied().filter(|&cpu| Some(cpu) != reconcile).collect();
                if others.is_empty() { allowed.to_vec() } else { others.into_iter().take(MAX_BID_CORES).collect() }
            }
        };
        if bid.is_empty() {
            return Err(TopologyError::NoBidCore);
        }
        if bid.len() > MAX_BID_CORES {
            return Err(TopologyError::TooMany(bid.len()));
        }
        if let Some(twice) = bid.iter().enumerate().find_map(|(at, cpu)| bid[..at].contains(cpu).then_some(*cpu)) {
            return Err(TopologyError::Twice(twice));
        }
        let reconcile = match reconcile {
            Some(cpu) => check(cpu)?,
            None => allowed.iter().copied().find(|cpu| !bid.contains(cpu)).unwrap_or(bid[0]),
        };
        Ok(Topology { bid, reconcile })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_leave_a_cpu_to_reconciliation_where_there_is_one() {
        assert_eq!(Topology::choose(&[0, 1], None, None), Ok(Topology { bid: vec![1], reconcile: 0 }));
        assert_eq!(Topology::choose(&[0], None, None), Ok(Topology { bid: vec![0], reconcile: 0 }));
        assert_eq!(Topology::choose(&[0, 1, 2], Some(&[0, 1]), None), Ok(Topology { bid: vec![0, 1], reconcile: 2 }));
        assert_eq!(Topology::choose(&[0, 1], Some(&[0, 1]), None), Ok(Topology { bid: vec![0, 1], reconcile: 0 }));
    }

    #[test]
    fn housekeeping_keeps_off_the_bid_cores() {
        let roles = |allowed: &[usize], bid: &[usize]| {
            Topology::choose(allowed, Some(bid), None).map(|topology| topology.housekeeping(allowed))
        };
        assert_eq!(roles(&[0, 1, 2, 3], &[1, 2]), Ok(3));
        assert_eq!(roles(&[0, 1], &[1]), Ok(0), "beside the reconciliation core");
        assert_eq!(roles(&[4], &[4]), Ok(4), "there is no other");
    }

    #[test]
    fn impossible_roles_are_refused() {
        assert_eq!(Topology::choose(&[0, 1], Some(&[2]), None), Err(TopologyError::NotAllowed(2, vec![0, 1])));
        assert_eq!(Topology::choose(&[0, 1], Some(&[1, 1]), None), Err(TopologyError::Twice(1)));
        assert_eq!(Topology::choose(&[0, 1], Some(&[]), None), Err(TopologyError::NoBidCore));
        assert!(Topology::choose(&(0..64).collect::<Vec<_>>(), Some(&(0..17).collect::<Vec<_>>()), None).is_err());
    }
}
