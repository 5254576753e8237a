//! What a node's own ledger says, over all its processes: which notices it heard, and which bills it booked and has to report.
//! Live operation and replay run the same [`History::apply`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::RangeInclusive;

use super::record::{Marks, Record};
use crate::authority::books::{Books, Inconsistent, minute};
use crate::authority::message::Booking;
use crate::limits;
use crate::units::{AdvertiserId, CampaignId, Incarnation, LeaseId, Micros, NodeId, ReservationId, UnixMillis};

/// Minutes after its H2 during which a reservation that was billed, or billed too late, is remembered: as long again, so
/// that an exchange that calls again is answered as before.
pub const REMEMBERED_MINUTES: u64 = limits::H2_MS / 60_000;

/// All that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Marks of reservations, by the minute in which they expire.
    known: BTreeMap<u64, HashMap<(LeaseId, ReservationId), Marks>>,
    /// Bookings the authority may not have, or may lose, with the time they were made; in order of number, without gaps.
    bookings: VecDeque<(Booking, UnixMillis)>,
    next: u64,
    confirmed: u64,
    /// Whose accounts the campaigns stand in that were listed, in a fleet.
    owners: BTreeMap<CampaignId, AdvertiserId>,
    /// When it was heard that so many are confirmed: the oldest first.
    confirmations: VecDeque<(UnixMillis, u64)>,
    latest: UnixMillis,
    /// The node, and its last process.
    node: NodeId,
    last: Incarnation,
}

impl History {
    /// Adds a fact. Those of the authority say nothing here.
    pub fn apply(&mut self, record: &Record) {
        match *record {
            Record::Bill { reservation, lease, expires, wall, marks, .. } => {
                self.mark(lease, reservation, expires, marks);
                self.book(record, wall);
            }
            Record::Pending { wall, .. } => self.book(record, wall),
            Record::Confirmed { upto, wall } => {
                self.confirmed = self.confirmed.max(upto);
                self.confirmations.push_back((wall, upto));
                self.latest = self.latest.max(wall);
                self.prune();
            }
            Record::Bookings { next, confirmed, latest } => {
                (self.next, self.confirmed, self.latest) = (next, confirmed, latest);
            }
            Record::Billed { reservation, lease, expires, wall, marks, .. }
            | Record::Heard { reservation, lease, expires, wall, marks, .. } => {
                self.mark(lease, reservation, expires, marks);
                self.latest = self.latest.max(wall);
            }
            Record::Known { reservation, lease, expires, marks } => self.mark(lease, reservation, expires, marks),
            Record::Joined { incarnation, node, wall } | Record::Started { incarnation, node, wall, .. } => {
                (self.node, self.last) = (node, self.last.max(incarnation));
                self.latest = self.latest.max(wall);
            }
            Record::Owned { campaign, advertiser } => drop(self.owners.insert(campaign, advertiser)),
            _ => {}
        }
    }

    fn book(&mut self, record: &Record, wall: UnixMillis) {
        let booking = match *record {
            Record::Bill {
                number,
                reservation,
                lease,
                campaign,
                exchange,
                reserved,
                amount,
                expires,
                marks,
                epoch,
                ..
            }
            | Record::Pending {
                number,
                reservation,
                lease,
                campaign,
                exchange,
                reserved,
                amount,
                expires,
                marks,
                epoch,
                ..
            } => Booking {
                number,
                reservation,
                lease,
                campaign,
                exchange,
                reserved,
                amount,
                expires,
                freed: marks.any(Marks::FREED),
                asked: marks.any(Marks::ASKED).then_some(epoch),
            },
            _ => return,
        };
        self.next = self.next.max(booking.number + 1);
        self.latest = self.latest.max(wall);
        self.bookings.push_back((booking, wall));
        self.prune();
    }

    /// A booking is kept for as long after it was confirmed as the authority may lose what it said.
    fn prune(&mut self) {
        let Self { bookings, confirmations, latest, .. } = self;
        let kept_from = latest.0.saturating_sub(limits::LOST_WRITES_MS);
        while let Some((_, upto)) = confirmations.pop_front_if(|(wall, _)| wall.0 < kept_from) {
            while bookings.pop_front_if(|(booking, _)| booking.number < upto).is_some() {}
        }
    }

    fn mark(&mut self, lease: LeaseId, reservation: ReservationId, expires: UnixMillis, marks: Marks) {
        let known = self.known.entry(minute(expires)).or_default().entry((lease, reservation)).or_default();
        *known = known.and(marks);
    }

    /// Notes that a reservation was billed elsewhere.
    pub fn billed_elsewhere(&mut self, lease: LeaseId, reservation: ReservationId, expires: UnixMillis) {
        self.mark(lease, reservation, expires, Marks::BILLED);
    }

    /// The authority booked another amount, and first.
    pub fn correct(&mut self, lease: LeaseId, reservation: ReservationId, amount: Micros) {
        let of = |booking: &Booking| (booking.lease, booking.reservation) == (lease, reservation);
        if let Some((booking, _)) = self.bookings.iter_mut().rev().find(|(booking, _)| of(booking)) {
            booking.amount = amount;
        }
    }

    /// What was heard of a reservation.
    pub fn marks(&self, lease: LeaseId, reservation: ReservationId, expires: UnixMillis) -> Marks {
        let known = self.known.get(&minute(expires));
        known.and_then(|known| known.get(&(lease, reservation))).copied().unwrap_or_default()
    }

    /// The number of the next booking.
    pub fn next_booking(&self) -> u64 {
        self.next
    }

    /// The first booking that is kept; the next one if none is.
    pub fn first_booking(&self) -> u64 {
        self.bookings.front().map_or(self.next, |(booking, _)| booking.number)
    }

    /// Bookings before this number are known to be at the authority.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// The last process of this node.
    pub fn last(&self) -> Incarnation {
        self.last
    }

    /// Whose accounts a campaign stands in, if it was ever listed in a fleet.
    pub fn owner(&self, campaign: CampaignId) -> Option<AdvertiserId> {
        self.owners.get(&campaign).copied()
    }

    /// Bookings from this number on, in order.
    pub fn bookings_from(&self, number: u64) -> impl Iterator<Item = &Booking> {
        let skip = number.saturating_sub(self.first_booking()) as usize;
        self.bookings.iter().skip(skip).map(|(booking, _)| booking)
    }

    /// What was booked for a reservation, if it is among the bookings that are kept.
    pub fn booking(&self, lease: LeaseId, reservation: ReservationId) -> Option<&Booking> {
        let of = |booking: &&Booking| (booking.lease, booking.reservation) == (lease, reservation);
        self.bookings.iter().rev().map(|(booking, _)| booking).find(of)
    }

    /// Forgets what was heard of reservations that expired in these minutes, but for those that were billed or heard of
    /// too late; what expired [`REMEMBERED_MINUTES`] before the last of them is forgotten altogether.
    pub fn forget(&mut self, expired: RangeInclusive<u64>) {
        self.known = self.known.split_off(&(expired.end() + 1).saturating_sub(REMEMBERED_MINUTES));
        for known in self.known.range_mut(expired).map(|(_, known)| known) {
            known.retain(|_, marks| marks.any(Marks::BILLED.and(Marks::LATE)));
            known.shrink_to_fit();
        }
        self.known.retain(|_, known| !known.is_empty());
        self.prune();
    }

    /// Records from which an equal history follows.
    pub fn opening(&self) -> impl Iterator<Item = Record> {
        let &Self { next, confirmed, latest, node, last, .. } = self;
        let joined = (last > Incarnation(0)).then_some(Record::Joined { incarnation: last, node, wall: latest });
        let confirmations = self.confirmations.iter().map(|&(wall, upto)| Record::Confirmed { upto, wall });
        let pending = self.bookings.iter().map(|(booking, wall)| {
            let &Booking { number, reservation, lease, campaign, exchange, reserved, amount, expires, freed, asked } =
                booking;
            let flag = |is, mark| if is { mark } else { Marks::BILLED };
            let marks = flag(freed, Marks::FREED).and(flag(asked.is_some(), Marks::ASKED));
            let epoch = asked.unwrap_or_default();
            let wall = *wall;
            Record::Pending {
                number,
                reservation,
                lease,
                campaign,
                exchange,
                reserved,
                amount,
                expires,
                wall,
                marks,
                epoch,
            }
        });
        let known = self.known.iter().flat_map(|(minute, known)| {
            known.iter().map(move |((lease, reservation), marks)| Record::Known {
                reservation: *reservation,
                lease: *lease,
                expires: UnixMillis(minute * 60_000),
                marks: *marks,
            })
        });
        let stand = [Record::Bookings { next, confirmed, latest }].into_iter().chain(joined);
        let owned = self.owners.iter().map(|(&campaign, &advertiser)| Record::Owned { campaign, advertiser });
        stand.chain(owned).chain(pending).chain(confirmations).chain(known)
    }
}

/// What a ledger holds that both use: the embedded authority's books, and the node's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Of the authority.
    pub books: Books,
    /// Of the node.
    pub history: History,
}

impl Replayed {
    /// Adds a fact.
    ///
    /// # Errors
    /// [`Inconsistent`] if it contradicts the facts before it.
    pub fn apply(&mut self, record: &Record) -> Result<(), Inconsistent> {
        self.history.apply(record);
        self.books.apply(record)
    }

    /// Records from which the same follows: the opening balance of a ledger file.
    pub fn opening(&self) -> impl Iterator<Item = Record> {
        self.books.opening().chain(self.history.opening())
    }
}
