//! The QPS limits of the exchanges, on the whole node: shares are handed to the bid cores as money is.
//!
//! A limit is so many requests per [`limits::QUOTA_WINDOW_NS`]. Each core holds a share of them and keeps to it by itself
//! (`bid/edge/quota.rs`); what no core holds is free. At each tick the shares are weighed against what each core was asked:
//! a core that is to hold less is told so, and gives back what it has not used; a core that is to hold more gets it from
//! what is free, at once or as it comes back. So at every moment what the cores hold and what is free make up the limit.
//! A core that falls silent keeps its share: that costs requests, never the limit.

use crate::limits;
use crate::ring::message::Order;
use crate::units::{CoreId, ExchangeId};

/// The limit of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Requests that may pass on this node, per second.
    pub qps: u32,
}

/// Whole seconds in a window: less than it is long, by what the clocks of who checks the limit may be off.
const SECONDS: u32 = (limits::QUOTA_WINDOW_NS / 1_000_000_000) as u32;
const _: () = assert!(SECONDS == 10 && limits::QUOTA_WINDOW_NS == 2 * limits::TICK_NS + 50_000_000);

/// All limits of a node.
#[derive(Debug, Default)]
pub struct Quotas(Vec<Quota>);

#[derive(Debug)]
struct Quota {
    exchange: ExchangeId,
    /// Requests per window.
    total: u32,
    free: u32,
    cores: Vec<Share>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// What the core may believe it has.
    held: u32,
    /// What it is to have.
    target: u32,
    /// Requests it saw since the last tick.
    asked: u32,
}

impl Quotas {
    /// These limits over so many cores, nothing handed out yet.
    pub fn new(cores: u8, limits: &[Limit]) -> Quotas {
        let quota = |limit: &Limit| {
            let total = limit.qps.checked_mul(SECONDS).expect("validated: limits are far below 2^32");
            Quota { exchange: limit.exchange, total, free: total, cores: vec![Share::default(); usize::from(cores)] }
        };
        Quotas(limits.iter().map(quota).collect())
    }

    /// What a core reports ([`crate::ring::message::Event::Quota`]): what comes back goes where it is missing.
    ///
    /// # Panics
    /// If a core returns more than it was given, or reports on an exchange without a limit: neither side can be trusted
    /// then.
    pub fn report(
        &mut self,
        core: CoreId,
        exchange: ExchangeId,
        asked: u32,
        returned: u32,
        send: impl FnMut(CoreId, Order),
    ) {
        let quota = self.0.iter_mut().find(|quota| quota.exchange == exchange).expect("an exchange without a limit");
        let share = &mut quota.cores[usize::from(core.0)];
        share.asked = share.asked.saturating_add(asked);
        share.held = share.held.checked_sub(returned).expect("more returned than was given");
        quota.free += returned;
        if returned > 0 {
            quota.give(send);
        }
        quota.check();
    }

    /// Every [`limits::TICK_NS`]: weighs the shares again.
    pub fn tick(&mut self, mut send: impl FnMut(CoreId, Order)) {
        for quota in &mut self.0 {
            quota.weigh(&mut send);
            quota.give(&mut send);
            quota.check();
        }
    }
}

impl Quota {
    /// Sets the targets by what was asked since the last tick, if they are worth moving.
    fn weigh(&mut self, mut send: impl FnMut(CoreId, Order)) {
        let asked: Vec<u32> = self.cores.iter_mut().map(|share| std::mem::take(&mut share.asked)).collect();
        // A window is two ticks.
        let wanted: Vec<u64> = asked.iter().map(|&asked| 2 * u64::from(asked)).collect();
        let targets = divide(self.total, &wanted);
        let unmoved = |((share, &target), &wanted): ((&Share, &u32), &u64)| {
            let (now, noise) = (u64::from(share.target), u64::from(share.target.isqrt()));
            let lies_idle = wanted < now && wanted + noise <= now;
            !lies_idle && now.abs_diff(target.into()) <= now / 4 + 3 * noise
        };
        let started = self.free < self.total;
        if started && self.cores.iter().zip(&targets).zip(&wanted).all(unmoved) {
            return;
        }
        for ((share, &target), core) in self.cores.iter_mut().zip(&targets).zip(0..) {
            if std::mem::replace(&mut share.target, target) != target {
                send(CoreId(core), Order::Quota { exchange: self.exchange, more: 0, keep: target });
            }
        }
    }

    /// Hands out what is free, to whom it is missing.
    fn give(&mut self, mut send: impl FnMut(CoreId, Order)) {
        for (share, core) in self.cores.iter_mut().zip(0..) {
            let more = share.target.saturating_sub(share.held).min(self.free);
            if more > 0 {
                share.held += more;
                self.free -= more;
                send(CoreId(core), Order::Quota { exchange: self.exchange, more, keep: share.target });
            }
        }
    }

    fn check(&self) {
        let held: u64 = self.cores.iter().map(|share| u64::from(share.held)).sum();
        assert_eq!(held + u64::from(self.free), u64::from(self.total), "shares of a limit do not add up");
    }
}

/// Divides `total` by what is wanted: in proportion where it is not enough, else to each what it wants and the same of the
/// rest. The parts add up to `total`.
fn divide(total: u32, wanted: &[u64]) -> Vec<u32> {
    let total = u64::from(total);
    let sum: u64 = wanted.iter().sum();
    let cores = wanted.len() as u64;
    let part = |wanted: u64| match sum < total {
        true => wanted + (total - sum) / cores,
        false => (u128::from(total) * u128::from(wanted) / u128::from(sum)) as u64,
    };
    let mut parts: Vec<u64> = wanted.iter().map(|&wanted| part(wanted)).collect();
    let mut rest = total - parts.iter().sum::<u64>();
    // Rounding leaves fewer than there are cores; they go to those that want most.
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_key(|&core| std::cmp::Reverse(wanted[core]));
    for core in order {
        let one = rest.min(1);
        parts[core] += one;
        rest -= one;
    }
    parts.into_iter().map(|part| part as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_of_a_limit_has_a_core() {
        for (total, wanted, parts) in [
            (10, vec![0, 0, 0], vec![4, 3, 3]),
            (10, vec![0, 100, 0], vec![0, 10, 0]),
            (10, vec![30, 10], vec![8, 2]),
            (100, vec![30, 10], vec![60, 40]),
            (7, vec![1, 1, 1, 1], vec![2, 2, 2, 1]),
            (u32::MAX, vec![u64::from(u32::MAX); 16], [[0x1000_0000; 15].as_slice(), &[0x0FFF_FFFF]].concat()),
        ] {
            assert_eq!(divide(total, &wanted), parts, "{total} among {wanted:?}");
        }
    }

    #[test]
    #[should_panic(expected = "more returned than was given")]
    fn a_core_cannot_return_what_it_was_not_given() {
        let mut quotas = Quotas::new(1, &[Limit { exchange: ExchangeId(0), qps: 1 }]);
        quotas.report(CoreId(0), ExchangeId(0), 0, 1, |_, _| {});
    }
}
