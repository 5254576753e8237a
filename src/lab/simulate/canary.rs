//! Five ways to break the protocol, each at the border of the code under test. A checker that lets one of them through is worth
//! nothing.

use super::Options;
use crate::authority::Authority;
use crate::authority::message::{Answer, LeaseReport, Report};
use crate::limits;
use crate::units::{Incarnation, Nanos, Now};

/// The canaries: number and what is broken.
pub const ALL: [(u8, &str); 5] = [
    (1, "answers, grants and acknowledgements leave before their records are on disk"),
    (2, "a node's reports claim to have seen all that others booked on its leases"),
    (3, "the authority confirms a booking that it does not have, and is not told of it again"),
    (4, "what a node holds that was silent for twenty seconds is free again"),
    (5, "a node counts the life of its leases from when the answer came, and some seconds more"),
];

/// How long a node may be silent under canary 4, ns.
pub const SILENCE: u64 = 4 * limits::TICK_NS;
/// What canary 5 adds to the life of a lease, ns.
const SKEW: u64 = 4 * limits::TICK_NS;

/// Whether this run is that canary.
pub fn is(options: &Options, number: u8) -> bool {
    options.canary == Some(number)
}

/// Canary 2: the node knows of everything.
pub fn know_all(report: &mut Report, authority: &Authority) {
    if let Some(bidder) = authority.books().bidder(report.incarnation) {
        report.foreign_seen = bidder.last_foreign();
    }
}

/// Canary 4: somebody says in a silent process's name that all it holds is free.
pub fn all_free(authority: &Authority, incarnation: Incarnation) -> Option<Report> {
    let books = authority.books();
    let bidder = books.bidder(incarnation)?;
    let free = books.leases().filter(|(_, lease)| lease.incarnation == incarnation).map(|(id, lease)| LeaseReport {
        lease: Some(id),
        granted: lease.granted,
        released: lease.granted.minus(lease.settled),
        done: true,
        ..LeaseReport::new(lease.campaign, lease.day)
    });
    let leases: Vec<_> = free.collect();
    (!leases.is_empty()).then(|| Report {
        node: bidder.node,
        incarnation,
        epoch: books.epoch(),
        number: u64::MAX,
        foreign_seen: bidder.last_foreign(),
        leases,
        ..Report::default()
    })
}

/// Canary 3: one more is confirmed than is booked.
pub fn confirm_one_more(answer: &mut Answer) {
    answer.booked += 1;
}

/// Canary 5: the lease begins when its answer comes, and later.
pub fn count_from_now(answer: &mut Answer, now: Now) {
    answer.sent = Nanos(now.boot.0 + SKEW);
}
