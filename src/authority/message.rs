//! What a node and the authority say to each other. Plain values: in the embedded store they change hands in memory, the
//! simulation loses, repeats and reorders them, and a store client puts them on the wire.
//!
//! ```text
//! node                                      authority
//!  │ Register{node, nonce} ───────────────────► │  numbers the incarnation, durably
//!  │ ◄──────────────────── Registered{..}       │
//!  │ Report{booked, released, wanted} ────────► │  books, releases, grants        (each tick, and when something is short)
//!  │ ◄──────────────────── Answer{..}           │
//! ```
//!
//! Every number in a report is cumulative or names what it speaks of, so a report may be lost, repeated or overtaken. What a
//! report frees counts only if it knows all that others booked on its leases ([`Report::foreign_seen`]). Times that a node will
//! measure with are its own: the authority sends [`Report::sent`] back.

use std::fmt;

use super::books::Scope;
use crate::units::{
    AdvertiserId, CampaignId, Day, Epoch, ExchangeKey, Incarnation, LeaseId, Micros, Nanos, NodeId, ReservationId,
    UnixMillis,
};

/// A process has started and asks for its number. Asked again with the same nonce, the answer is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// The node it runs on.
    pub node: NodeId,
    /// Drawn at the start of the process.
    pub nonce: u64,
    /// Worker ids it needs: one for each bid core, and one for its ledger.
    pub workers: u16,
    /// For how long after a bid its bills may come at most, ms: the longest H2 of its exchanges.
    pub horizon: u64,
    /// The last process of this node that its ledger knows of.
    pub last: Incarnation,
    /// Bookings of earlier processes of this node that its ledger holds, beginning with those that may not be confirmed.
    pub first_booking: u64,
    /// The first number after them.
    pub next_booking: u64,
}

/// The number of a process, and what it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// [`Register::nonce`].
    pub nonce: u64,
    /// Its number: larger than that of any process before it.
    pub incarnation: Incarnation,
    /// The first of its Snowflake worker ids; nobody else holds them.
    pub first_worker: u16,
    /// Its reservation ids start here: after all that were made with these worker ids, whatever clock they were made on.
    pub ids_from: UnixMillis,
    /// The authority's epoch.
    pub epoch: Epoch,
    /// The first booking of this node that the authority does not have.
    pub booked: u64,
}

/// Why a process got no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRegistered {
    /// All worker ids are held by other processes.
    NoWorkers,
    /// The node was retired; it needs a new number.
    Retired,
    /// A later process of the node than any its ledger knows of was heard: the ledger is an old copy or another's, or this is an
    /// old message.
    Overtaken,
}

/// Money of one reservation that was billed in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booking {
    /// Its place among all bookings of this node, over all its processes, without gaps.
    /// [`NO_NUMBER`](crate::reconcile::record::NO_NUMBER) if it is only asked for.
    pub number: u64,
    /// The reservation.
    pub reservation: ReservationId,
    /// The lease it was made under, and with it whose it is.
    pub lease: LeaseId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The exchange it was made to.
    pub exchange: ExchangeKey,
    /// What the bid held: its maximum price.
    pub reserved: Micros,
    /// What it costs; never more than `reserved`.
    pub amount: Micros,
    /// H2 of the reservation.
    pub expires: UnixMillis,
    /// A loss that was final had given its money back: booked outside the lease.
    pub freed: bool,
    /// Another process made the bid, and the authority had booked it, in this epoch, before this node did.
    pub asked: Option<Epoch>,
}

/// Which accounts a conversation is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// All of them: the embedded authority.
    #[default]
    All,
    /// Those of one advertiser, which are kept in one place and apart from all others.
    Advertiser(AdvertiserId),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::All => f.write_str("all campaigns"),
            Part::Advertiser(advertiser) => write!(f, "advertiser {}", advertiser.0),
        }
    }
}

/// Where a process begins, for an authority that did not number it: as in [`Register`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// [`Register::horizon`].
    pub horizon: u64,
    /// [`Register::first_booking`].
    pub first_booking: u64,
    /// [`Register::next_booking`].
    pub next_booking: u64,
}

/// A notice of a reservation that another process made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What the answer names it by.
    pub ticket: u64,
    /// The node that made the bid.
    pub node: NodeId,
    /// The process that made it.
    pub incarnation: Incarnation,
    /// What is to be booked.
    pub booking: Booking,
}

/// One lease, as its node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseReport {
    /// The campaign.
    pub campaign: CampaignId,
    /// The budget day that pays.
    pub day: Day,
    /// The lease of that day; `None` if there is none yet.
    pub lease: Option<LeaseId>,
    /// All that was granted under it so far, as far as the node heard.
    pub granted: Micros,
    /// All that went back so far: covers reservations past H2 and epsilon, or lost where a loss is final, and unused credit.
    pub released: Micros,
    /// Credit it asks for, beyond what it has.
    pub wanted: Micros,
    /// The least that is of use: one bid's worth. Less is not granted.
    pub least: Micros,
    /// What could be billed if every silent bid were: for campaigns with a tolerance. Zero otherwise.
    pub exposed: Micros,
    /// What the node expects to spend of what is silent: for the pacing of the fleet.
    pub expected: Micros,
    /// What it reserved during the last tick: its share of the fleet's demand is measured by it.
    pub demand: Micros,
    /// Nothing can be claimed under it any more: no credit, no reservation within H2 and epsilon.
    pub done: bool,
    /// A guard of the node tripped: the campaign is to stop everywhere.
    pub stop: Option<Why>,
    /// The number a new lease is to have, which nobody else uses; `None` if the authority numbers its leases.
    pub fresh: Option<LeaseId>,
}

impl LeaseReport {
    /// Of a campaign's day of which there is nothing to say.
    pub fn new(campaign: CampaignId, day: Day) -> Self {
        Self {
            campaign,
            day,
            lease: None,
            granted: Micros::ZERO,
            released: Micros::ZERO,
            wanted: Micros::ZERO,
            least: Micros::ZERO,
            exposed: Micros::ZERO,
            expected: Micros::ZERO,
            demand: Micros::ZERO,
            done: false,
            stop: None,
            fresh: None,
        }
    }
}

/// Why a campaign or an advertiser was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// Somebody said so.
    Operator = 0,
    /// It spent more than three times its target for a minute.
    Runaway = 1,
    /// Bids are won, or billed, far more often than before.
    Jump = 2,
    /// Its accounts do not add up.
    Mismatch = 3,
}

/// Everything a node has to say. Sent each tick, and between ticks when a core is short or a foreign notice waits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// To whom: whose accounts it is about.
    pub part: Part,
    /// Who.
    pub node: NodeId,
    /// Which process.
    pub incarnation: Incarnation,
    /// The authority's epoch, as far as the node knows.
    pub epoch: Epoch,
    /// Grows with each report of this process.
    pub number: u64,
    /// When it was sent, on the node's boot clock.
    pub sent: Nanos,
    /// It asks for a renewal too: once a tick.
    pub renews: bool,
    /// The last foreign booking the node has heard of, in this epoch.
    pub foreign_seen: u64,
    /// Its leases of which there is something to say, and campaigns that want one.
    pub leases: Vec<LeaseReport>,
    /// What is in the node's own ledger, and may have been acknowledged: all bookings of this part from number `from` up to and
    /// without number `upto`, in order. Those of other parts stand between them.
    pub bookings: Vec<Booking>,
    /// [`Answer::booked`] as last heard, or the first booking that is kept.
    pub from: u64,
    /// When they are booked, [`Answer::booked`] is this.
    pub upto: u64,
    /// The first number that the releases do not presume: they count only once all bookings before it are booked.
    pub next_booking: u64,
    /// Notices of reservations that other processes made: they are answered when the authority has booked them.
    pub asks: Vec<Ask>,
    /// All of its leases that are not closed are in the report, as after a new epoch.
    pub full: bool,
    /// The process ends: it makes no further bids, whatever it was granted.
    pub last: bool,
    /// Where the process begins.
    pub origin: Origin,
}

/// What became of [`Report::asks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booked {
    /// It is in the authority's books.
    Safe,
    /// It was there before, at this price.
    Before(Micros),
    /// It came after H2, by the authority's clock: not booked.
    Expired,
    /// No such lease is known, or none that this reservation can be of: not booked.
    Unknown,
}

/// A booking that another node made on one of this node's leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Its place among the foreign bookings of this incarnation, from 1.
    pub number: u64,
    /// The lease.
    pub lease: LeaseId,
    /// The reservation.
    pub reservation: ReservationId,
    /// The exchange it was made to.
    pub exchange: ExchangeKey,
    /// What it held.
    pub reserved: Micros,
    /// What was booked.
    pub amount: Micros,
    /// H2 of the reservation.
    pub expires: UnixMillis,
}

/// One lease, as the authority has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseAnswer {
    /// The campaign.
    pub campaign: CampaignId,
    /// Its advertiser.
    pub advertiser: AdvertiserId,
    /// The budget day.
    pub day: Day,
    /// The lease; `None` if nothing was ever granted.
    pub lease: Option<LeaseId>,
    /// All that was granted under it. Only what lies above the report's counts, and only in the answer to it.
    pub granted: Micros,
    /// What the account still has to grant.
    pub available: Micros,
    /// What the campaign may spend that day.
    pub budget: Micros,
    /// What it has spent that day, on all nodes.
    pub settled: Micros,
    /// What all nodes expect to spend of what is silent.
    pub expected: Micros,
    /// This node's share of the fleet's demand, in millionths.
    pub share: u32,
    /// The most this lease may have exposed at full price, if the campaign has a tolerance.
    pub exposure: Option<Micros>,
}

/// What the authority says to a report. It leaves when everything it tells of is on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// [`Report::part`].
    pub part: Part,
    /// To whom.
    pub incarnation: Incarnation,
    /// [`Report::number`].
    pub number: u64,
    /// [`Report::sent`]: what it grants lives a lease's length from then.
    pub sent: Nanos,
    /// Its leases live a lease's length from when the report was sent.
    pub renews: bool,
    /// The authority's epoch. A node that learns of a new one starts over: [`Report::foreign_seen`] from 0.
    pub epoch: Epoch,
    /// How it goes on.
    pub standing: Standing,
    /// The first booking of this node that the authority does not have.
    pub booked: u64,
    /// What became of the asks, by their tickets.
    pub asked: Vec<(u64, Booked)>,
    /// Foreign bookings after [`Report::foreign_seen`], in order; a part if there are many.
    pub foreign: Vec<Foreign>,
    /// One for each of the report's leases, in the same order.
    pub leases: Vec<LeaseAnswer>,
    /// All that is stopped, whether it was reported or not.
    pub stops: Vec<(Scope, Why)>,
}

impl Why {
    /// From its number, if it is one.
    pub fn of(number: u8) -> Option<Why> {
        [Why::Operator, Why::Runaway, Why::Jump, Why::Mismatch].into_iter().find(|why| *why as u8 == number)
    }
}

/// How an incarnation stands with the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may bid within its grants until a lease's length after it sent the report.
    Current,
    /// The authority has lost its memory and listens: nothing is renewed until it has heard from all, or this time by its wall clock
    /// has passed.
    Learning(UnixMillis),
    /// A newer process of this node is registered, or the node is retired: never again.
    Replaced,
    /// The authority does not know it: it must register.
    Unknown,
}
