//! What is sent to a shard, in bytes. The layouts are those at the head of corebid.lua.

use std::fmt;

use super::{Envelope, FORMAT};
use crate::authority::Budget;
use crate::authority::books::Scope;
use crate::authority::message::{Booking, LeaseReport, Origin, Report, Why};
use crate::reconcile::record::{NO_NUMBER, UNLIMITED};
use crate::units::{Incarnation, LeaseId, Micros, NodeId, UnixMillis};

/// The first number that a Lua number does not tell from its neighbours.
const EXACT: u64 = 1 << 53;
/// A total budget without a bound, on a shard.
const UNBOUNDED: i64 = EXACT as i64 - 1;
/// No reason to stop.
const NO_STOP: u8 = 255;

/// A number that a shard cannot hold: nothing of the call is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// What it counts.
    pub what: &'static str,
    /// The number.
    pub number: i128,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} is beyond what a lease authority on Valkey counts", self.what, self.number)
    }
}

impl std::error::Error for Unfit {}

/// `ARGV[1]` of every function.
pub fn envelope(envelope: &Envelope) -> Vec<u8> {
    let mut out = Out(Vec::with_capacity(53));
    out.u8(FORMAT);
    out.u32(envelope.epoch.0);
    out.0.extend(envelope.version.to_le_bytes());
    out.0.extend(envelope.server.0);
    out.0
}

/// A report about one advertiser.
///
/// # Errors
/// [`Unfit`].
pub fn report(report: &Report) -> Result<Vec<u8>, Unfit> {
    let size = 87 + 82 * report.leases.len() + 61 * report.bookings.len() + 75 * report.asks.len();
    let mut out = Out(Vec::with_capacity(size));
    out.u16(report.node.0);
    out.u32(report.incarnation.0);
    out.u32(report.epoch.0);
    out.count("a report's number", report.number)?;
    out.count("a foreign booking's number", report.foreign_seen)?;
    out.count("a booking's number", report.from)?;
    out.count("a booking's number", report.upto)?;
    out.count("a booking's number", report.next_booking)?;
    out.u8(u8::from(report.renews) | u8::from(report.full) << 1 | u8::from(report.last) << 2);
    out.origin(&report.origin)?;
    for count in [report.leases.len(), report.bookings.len(), report.asks.len()] {
        out.u32(u32::try_from(count).map_err(|_| Unfit { what: "a count", number: count as i128 })?);
    }
    for said in &report.leases {
        out.said(said)?;
    }
    for booking in &report.bookings {
        out.booking(booking)?;
    }
    for ask in &report.asks {
        out.0.extend(ask.ticket.to_le_bytes());
        out.u16(ask.node.0);
        out.u32(ask.incarnation.0);
        out.booking(&ask.booking)?;
    }
    Ok(out.0)
}

/// The campaigns of an advertiser that may spend. The list with the highest revision counts.
///
/// # Errors
/// [`Unfit`].
pub fn fund(revision: u64, list: &[Budget]) -> Result<Vec<u8>, Unfit> {
    let mut out = Out(Vec::with_capacity(8 + 33 * list.len()));
    out.count("a revision", revision)?;
    for budget in list {
        out.u32(budget.campaign.0);
        out.u8(budget.strict.into());
        let tolerance = budget.tolerance.map_or(Ok(-1), i32::try_from);
        let unfit = |_| Unfit { what: "a tolerance", number: budget.tolerance.unwrap_or_default().into() };
        out.0.extend(tolerance.map_err(unfit)?.to_le_bytes());
        out.money("a daily budget", budget.daily)?;
        match budget.total {
            Some(total) if total != UNLIMITED => out.money("a total budget", total)?,
            _ => out.0.extend(UNBOUNDED.to_le_bytes()),
        }
        out.money("a largest lease", budget.largest())?;
    }
    Ok(out.0)
}

/// A process, as the register of the fleet has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub incarnation: Incarnation,
    /// The node it runs on.
    pub node: NodeId,
    /// Where it begins.
    pub origin: Origin,
    /// Its node was given up.
    pub retired: bool,
}

/// Opens a new epoch: not after `before`, by the shard's clock, which bounds how late a call can arrive that was sent before
/// another took its place. `registered`: read after the epoch was set.
///
/// # Errors
/// [`Unfit`].
pub fn open(before: UnixMillis, registered: &[Process]) -> Result<Vec<u8>, Unfit> {
    let mut out = Out(Vec::with_capacity(8 + 31 * registered.len()));
    out.count("a time", before.0)?;
    for process in registered {
        out.u32(process.incarnation.0);
        out.u16(process.node.0);
        out.origin(&process.origin)?;
        out.u8(process.retired.into());
    }
    Ok(out.0)
}

/// What is to stop, and why.
pub fn stop(what: Scope, why: Why) -> Vec<u8> {
    let (scope, id) = what.numbers();
    let mut out = Out(Vec::with_capacity(6));
    out.u8(scope);
    out.u32(id);
    out.u8(why as u8);
    out.0
}

/// What may bid again.
pub fn resume(what: Scope) -> Vec<u8> {
    stop(what, Why::Operator)
}

/// A node that will not come back.
pub fn retire(node: NodeId) -> Vec<u8> {
    node.0.to_le_bytes().to_vec()
}

struct Out(Vec<u8>);

impl Out {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn count(&mut self, what: &'static str, value: u64) -> Result<(), Unfit> {
        if value >= EXACT {
            return Err(Unfit { what, number: value.into() });
        }
        self.0.extend(value.to_le_bytes());
        Ok(())
    }

    fn money(&mut self, what: &'static str, Micros(value): Micros) -> Result<(), Unfit> {
        if value.unsigned_abs() >= EXACT {
            return Err(Unfit { what, number: value.into() });
        }
        self.0.extend(value.to_le_bytes());
        Ok(())
    }

    fn id(&mut self, id: Option<LeaseId>) {
        self.0.extend(id.unwrap_or_default().0.to_le_bytes());
    }

    fn origin(&mut self, origin: &Origin) -> Result<(), Unfit> {
        self.count("a horizon", origin.horizon)?;
        self.count("a booking's number", origin.first_booking)?;
        self.count("a booking's number", origin.next_booking)
    }

    fn said(&mut self, said: &LeaseReport) -> Result<(), Unfit> {
        self.u32(said.campaign.0);
        self.u32(said.day.0);
        self.id(said.lease);
        self.id(said.fresh);
        self.money("a lease", said.granted)?;
        self.money("a release", said.released)?;
        self.money("a wish", said.wanted)?;
        self.money("a bid", said.least)?;
        self.money("an exposure", said.exposed)?;
        self.money("an expectation", said.expected)?;
        self.money("a demand", said.demand)?;
        self.u8(said.done.into());
        self.u8(said.stop.map_or(NO_STOP, |why| why as u8));
        Ok(())
    }

    fn booking(&mut self, booking: &Booking) -> Result<(), Unfit> {
        let number = if booking.number == NO_NUMBER { 0 } else { booking.number };
        self.count("a booking's number", number)?;
        self.0.extend(booking.reservation.0.to_le_bytes());
        self.id(Some(booking.lease));
        self.u32(booking.campaign.0);
        self.u32(booking.exchange.0);
        self.money("a bid", booking.reserved)?;
        self.money("a bill", booking.amount)?;
        self.count("a time", booking.expires.0)?;
        self.u8(u8::from(booking.freed) | u8::from(booking.asked.is_some()) << 1);
        self.u32(booking.asked.unwrap_or_default().0);
        Ok(())
    }
}
