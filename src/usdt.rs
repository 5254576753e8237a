//! Static probes (USDT), for `bpftrace`, `perf` and `gdb` on the program as it ships: provider `corebid`, docs/PROFILING.md.
//!
//! A probe is one `nop`, and a note in the file that says where it is and in which registers its arguments are; the kernel puts a
//! breakpoint there while somebody looks. What is passed is at hand where it is passed: nothing is computed for a probe.
//!
//! A bid core is one thread and decides one request at a time, so that the stages need no argument to say whose they are.

use probe::probe;

use crate::metrics::stage::Stage;
use crate::units::Nanos;

/// `turn__begin(now)`: the loop of a bid core has learned what happened. Times are ns of the boot clock.
#[inline(always)]
pub fn turn_begins(now: Nanos) {
    probe!(corebid, turn__begin, now.0);
}

/// `turn__end(now)`: it has answered what it could, and goes to wait.
#[inline(always)]
pub fn turn_ends(now: Nanos) {
    probe!(corebid, turn__end, now.0);
}

/// `request__begin(arrived, now)`: a bid request is framed, or a parked one goes on.
#[inline(always)]
pub fn request_begins(arrived: Nanos, now: Nanos) {
    probe!(corebid, request__begin, arrived.0, now.0);
}

/// How a request left [`request_done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// Answered without a bid.
    NoBid,
    /// Answered with a bid.
    Bid,
    /// Answered unread: it came too late.
    Shed,
    /// Parked until its user is known.
    Parked,
}

/// `request__done(arrived, ending)`: its answer is written, or put off. The numbers of [`Ending`] are in its order, from 0.
#[inline(always)]
pub fn request_done(arrived: Nanos, ending: Ending) {
    probe!(corebid, request__done, arrived.0, ending);
}

/// `stage__NAME`: a request enters a stage of the decision. Those of the loop around it have the probes of requests and turns.
#[inline(always)]
pub fn stage(stage: Stage) {
    match stage {
        Stage::Admit => probe!(corebid, stage__admit),
        Stage::Scan => probe!(corebid, stage__scan),
        Stage::Comply => probe!(corebid, stage__comply),
        Stage::Match => probe!(corebid, stage__match),
        Stage::Know => probe!(corebid, stage__know),
        Stage::Cap => probe!(corebid, stage__cap),
        Stage::Afford => probe!(corebid, stage__afford),
        Stage::Score => probe!(corebid, stage__score),
        Stage::Price => probe!(corebid, stage__price),
        Stage::Choose => probe!(corebid, stage__choose),
        Stage::Reserve => probe!(corebid, stage__reserve),
        Stage::Answer => probe!(corebid, stage__answer),
        Stage::Arrive | Stage::Frame | Stage::Account => {}
    }
}

/// `stall(from, to)`: a bid core was kept from its loop.
#[inline(always)]
pub fn stall(from: Nanos, to: Nanos) {
    probe!(corebid, stall, from.0, to.0);
}

/// `swap`: a bid core has taken up a new snapshot.
#[inline(always)]
pub fn swap() {
    probe!(corebid, swap);
}

/// `tick(now)`: the reconciliation core begins one.
#[inline(always)]
pub fn tick(now: Nanos) {
    probe!(corebid, tick, now.0);
}
