//! What the ledger is made of. A record is a fact; the [`super::books::Books`] are what follows from all of them.
//!
//! On disk a record is its length (one byte), its kind (one byte) and its fields in order, little-endian. Kinds are never
//! reused, and the fields of a kind never change: what must change becomes a new kind.

use crate::units::{
    AdvertiserId, BidId, CampaignId, CpmMicros, Day, Epoch, ExchangeKey, Incarnation, LeaseId, Micros, NodeId, ReservationId, UnixMillis,
};

/// A field of a record.
trait Field: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut &[u8]) -> Option<Self>;
}

macro_rules! integers {
    ($($integer:ty)*) => { $(impl Field for $integer {
        fn put(&self, out: &mut Vec<u8>) { out.extend_from_slice(&self.to_le_bytes()); }
        fn take(from: &mut &[u8]) -> Option<Self> {
            let (bytes, rest) = from.split_first_chunk()?;
            *from = rest;
            Some(<$integer>::from_le_bytes(*bytes))
        }
    })* };
}

macro_rules! newtypes {
    ($($newtype:ident)*) => { $(impl Field for $newtype {
        fn put(&self, out: &mut Vec<u8>) { self.0.put(out); }
        fn take(from: &mut &[u8]) -> Option<Self> { Field::take(from).map($newtype) }
    })* };
}

integers!(u8 u16 u32 u64 i64);
newtypes!(AdvertiserId BidId CampaignId CpmMicros Day Epoch ExchangeKey Incarnation LeaseId Micros NodeId ReservationId UnixMillis Marks);

impl Field for [u8; 16] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (bytes, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(*bytes)
    }
}

macro_rules! records {
    ($($(#[$doc:meta])* $kind:literal $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* })*) => {
        /// One fact.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Record { $($(#[$doc])* $name { $($(#[$about])* $field: $type,)* },)* }

        impl Record {
            /// Appends the record's bytes.
            pub fn encode(&self, out: &mut Vec<u8>) {
                let start = out.len();
                out.push(0);
                match self {
                    $(Record::$name { $($field,)* } => { out.push($kind); $($field.put(out);)* })*
                }
                out[start] = (out.len() - start - 1) as u8;
            }

            /// Takes one record off the front of `bytes`. `None` if there is none that this version knows.
            pub fn decode(bytes: &mut &[u8]) -> Option<Record> {
                let (&length, rest) = bytes.split_first()?;
                let (mut body, rest) = rest.split_at_checked(usize::from(length))?;
                let body = &mut body;
                let record = match u8::take(body)? {
                    $($kind => Record::$name { $($field: Field::take(body)?,)* },)*
                    _ => return None,
                };
                *bytes = rest;
                body.is_empty().then_some(record)
            }

            /// The name of the record's kind.
            pub const fn label(&self) -> &'static str {
                match self { $(Record::$name { .. } => stringify!($name),)* }
            }
        }
    };
}

/// A booking that has no number among those of its node.
pub const NO_NUMBER: u64 = u64::MAX;
/// No limit on what a campaign may spend in its life.
pub const UNLIMITED: Micros = Micros(i64::MAX);

/// What was heard of a reservation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(pub u8);

impl Marks {
    /// It won.
    pub const WON: Marks = Marks(1);
    /// It was billed.
    pub const BILLED: Marks = Marks(2);
    /// It lost.
    pub const LOST: Marks = Marks(4);
    /// A bill came without a readable price.
    pub const UNPRICED: Marks = Marks(8);
    /// A loss gave its money back.
    pub const FREED: Marks = Marks(16);
    /// A billing: the price was above the bid.
    pub const DISPUTED: Marks = Marks(32);
    /// A billing: no lease covers it any more.
    pub const EXCESS: Marks = Marks(64);
    /// It came after H2.
    pub const LATE: Marks = Marks(128);
    /// Of a bill: another process made the bid, and the authority had it booked first.
    pub const ASKED: Marks = Marks(64);
    /// Of a booking: another node made it than the one that bid.
    pub const FOREIGN: Marks = Marks(1);
    /// Of a booking: it costs more than its lease had left for what is silent (quantile mode).
    pub const OVERDRAWN: Marks = Marks(4);

    /// All marks of both.
    #[must_use]
    pub const fn and(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// Whether any of `other` is set.
    pub const fn any(self, other: Marks) -> bool {
        self.0 & other.0 != 0
    }
}

records! {
    /// A process started and was numbered. In ledgers of earlier versions.
    1 Started {
        /// Its number.
        incarnation: Incarnation,
        /// The node.
        node: NodeId,
        /// When.
        wall: UnixMillis,
        /// Its reservation ids start here.
        ids_from: UnixMillis,
    }
    /// What a campaign may spend, from now on.
    2 Funded {
        /// The campaign.
        campaign: CampaignId,
        /// Whose campaign it is.
        advertiser: AdvertiserId,
        /// The budget day.
        day: Day,
        /// What it may spend that day.
        daily: Micros,
        /// What it may spend in all, or [`UNLIMITED`].
        total: Micros,
    }
    /// A lease was granted, or made larger.
    3 Granted {
        /// The lease.
        lease: LeaseId,
        /// The campaign that pays.
        campaign: CampaignId,
        /// To whom.
        incarnation: Incarnation,
        /// The day that pays.
        day: Day,
        /// All that was granted under it so far.
        total: Micros,
    }
    /// All leases of an incarnation live on.
    4 Renewed {
        /// Whose.
        incarnation: Incarnation,
        /// Until when at the latest a bid may be made under them.
        until: UnixMillis,
    }
    /// An impression was billed. In ledgers of earlier versions.
    5 Billed {
        /// The bid's reservation.
        reservation: ReservationId,
        /// The lease it was made under.
        lease: LeaseId,
        /// The campaign.
        campaign: CampaignId,
        /// `Bid.id`.
        bid: BidId,
        /// What the exchange asked for.
        price: CpmMicros,
        /// What was booked: never more than the bid.
        amount: Micros,
        /// H2 of the reservation.
        expires: UnixMillis,
        /// When it was booked.
        wall: UnixMillis,
        /// [`Marks::BILLED`], and how.
        marks: Marks,
    }
    /// A notice that books nothing.
    6 Heard {
        /// The bid's reservation.
        reservation: ReservationId,
        /// The lease it was made under.
        lease: LeaseId,
        /// The campaign.
        campaign: CampaignId,
        /// `Bid.id`.
        bid: BidId,
        /// H2 of the reservation.
        expires: UnixMillis,
        /// When it was heard.
        wall: UnixMillis,
        /// What was heard.
        marks: Marks,
    }
    /// Credit of a lease went back to its campaign.
    7 Released {
        /// The lease.
        lease: LeaseId,
        /// All that was released under it so far.
        total: Micros,
    }
    /// Nothing can be claimed under the lease any more.
    8 Closed {
        /// The lease.
        lease: LeaseId,
    }
    /// Opening balance: a campaign's whole life.
    9 Life {
        /// The campaign.
        campaign: CampaignId,
        /// Whose campaign it is.
        advertiser: AdvertiserId,
        /// What it may spend in all.
        budget: Micros,
        /// The effective budget.
        ceiling: Micros,
        /// What it has spent.
        settled: Micros,
        /// What was billed beyond the account.
        excess: Micros,
    }
    /// Opening balance: one day of a campaign.
    10 Balance {
        /// The campaign.
        campaign: CampaignId,
        /// The day.
        day: Day,
        /// What it may spend.
        budget: Micros,
        /// The effective budget.
        ceiling: Micros,
        /// What it has spent.
        settled: Micros,
    }
    /// Opening balance: a lease that is not closed.
    11 Lease {
        /// The lease.
        lease: LeaseId,
        /// The campaign that pays.
        campaign: CampaignId,
        /// Whose lease it is.
        incarnation: Incarnation,
        /// The day that pays.
        day: Day,
        /// Granted so far.
        granted: Micros,
        /// Settled so far.
        settled: Micros,
        /// Released so far.
        released: Micros,
    }
    /// Opening balance: a reservation of which something was heard, and that is not forgotten yet.
    12 Known {
        /// The reservation.
        reservation: ReservationId,
        /// Its lease.
        lease: LeaseId,
        /// Its H2.
        expires: UnixMillis,
        /// What was heard.
        marks: Marks,
    }
    /// The ledger began; the first record of all. Ledgers that began without it book whatever their leases cover.
    13 Began {
        /// No reservation of this ledger is older.
        ids_from: UnixMillis,
    }
    /// Bids of an incarnation may be billed for longer than [`crate::limits::H2_MS`]. In ledgers of earlier versions.
    14 Horizon {
        /// Whose.
        incarnation: Incarnation,
        /// For how long after the bid at most, ms.
        longest: u64,
    }
    /// Authority: a process was numbered.
    15 Registered {
        /// Its number.
        incarnation: Incarnation,
        /// The node it runs on.
        node: NodeId,
        /// What it asked with.
        nonce: u64,
        /// The first of its worker ids.
        first_worker: u16,
        /// How many they are.
        workers: u16,
        /// Its reservation ids start here.
        ids_from: UnixMillis,
        /// For how long after a bid its bills may come at most, ms.
        horizon: u64,
        /// Bookings of this node before this number are booked, or never will be.
        first_booking: u64,
        /// The ledger of its earlier processes is replayed when all bookings before this number are booked.
        next_booking: u64,
        /// When.
        wall: UnixMillis,
    }
    /// Authority: a bill in its account.
    16 Booked {
        /// The bid's reservation.
        reservation: ReservationId,
        /// The lease it was made under.
        lease: LeaseId,
        /// The campaign.
        campaign: CampaignId,
        /// The exchange it was made to.
        exchange: ExchangeKey,
        /// What the bid held.
        reserved: Micros,
        /// What was booked.
        amount: Micros,
        /// H2 of the reservation.
        expires: UnixMillis,
        /// Who reported it.
        node: NodeId,
        /// Its number among the bookings of that node; [`NO_NUMBER`] if it asked.
        number: u64,
        /// [`Marks::BILLED`], and how.
        marks: Marks,
    }
    /// Authority: a process makes no further bids.
    17 Ended {
        /// Which.
        incarnation: Incarnation,
    }
    /// Authority: a node will not come back. What only its own ledger holds is given up.
    18 Retired {
        /// Which.
        node: NodeId,
        /// When.
        wall: UnixMillis,
    }
    /// Authority: its memory may have lost what was said before.
    19 Epoch {
        /// The new epoch.
        epoch: Epoch,
        /// When.
        wall: UnixMillis,
    }
    /// Authority: a lease is as large as its node says, after a memory was lost.
    20 Adopted {
        /// The lease.
        lease: LeaseId,
        /// The campaign that pays.
        campaign: CampaignId,
        /// Whose it is.
        incarnation: Incarnation,
        /// The day that pays.
        day: Day,
        /// All that was granted under it.
        total: Micros,
    }
    /// Authority: a campaign, or all of an advertiser's, was stopped.
    21 Stopped {
        /// 0 a campaign, 1 an advertiser.
        scope: u8,
        /// Its number.
        id: u32,
        /// As the number of [`crate::authority::message::Why`].
        why: u8,
        /// When.
        wall: UnixMillis,
    }
    /// Authority: it may bid again.
    22 Resumed {
        /// 0 a campaign, 1 an advertiser.
        scope: u8,
        /// Its number.
        id: u32,
        /// When.
        wall: UnixMillis,
    }
    /// Node: a process was numbered, as the authority said.
    23 Joined {
        /// Its number.
        incarnation: Incarnation,
        /// The node.
        node: NodeId,
        /// When.
        wall: UnixMillis,
    }
    /// Node: an impression was billed. An exchange is answered 200 after this.
    24 Bill {
        /// Its number among the bookings of this node.
        number: u64,
        /// The bid's reservation.
        reservation: ReservationId,
        /// The lease it was made under.
        lease: LeaseId,
        /// The campaign.
        campaign: CampaignId,
        /// The exchange it was made to.
        exchange: ExchangeKey,
        /// `Bid.id`.
        bid: BidId,
        /// What the exchange asked for.
        price: CpmMicros,
        /// What the bid held.
        reserved: Micros,
        /// What was booked: never more than the bid.
        amount: Micros,
        /// H2 of the reservation.
        expires: UnixMillis,
        /// When it was booked.
        wall: UnixMillis,
        /// [`Marks::BILLED`], and how.
        marks: Marks,
        /// The authority's epoch.
        epoch: Epoch,
    }
    /// Node: the authority has its bookings.
    25 Confirmed {
        /// Those before this number.
        upto: u64,
        /// When.
        wall: UnixMillis,
    }
    /// Opening balance of a node: a booking the authority may not have, or may lose.
    26 Pending {
        /// Its number.
        number: u64,
        /// The bid's reservation.
        reservation: ReservationId,
        /// The lease it was made under.
        lease: LeaseId,
        /// The campaign.
        campaign: CampaignId,
        /// The exchange it was made to.
        exchange: ExchangeKey,
        /// What the bid held.
        reserved: Micros,
        /// What was booked.
        amount: Micros,
        /// H2 of the reservation.
        expires: UnixMillis,
        /// When it was booked.
        wall: UnixMillis,
        /// As in its bill.
        marks: Marks,
        /// The authority's epoch.
        epoch: Epoch,
    }
    /// Opening balance of a node: where its bookings stand.
    27 Bookings {
        /// The next number.
        next: u64,
        /// Those before this number are confirmed.
        confirmed: u64,
        /// The latest time the ledger speaks of.
        latest: UnixMillis,
    }
    /// Opening balance of the authority: bookings of a node before this number are booked.
    28 Booker {
        /// The node.
        node: NodeId,
        /// The first that is not.
        booked: u64,
    }
    /// Opening balance of the authority: a reservation that is booked.
    29 Distinct {
        /// The reservation.
        reservation: ReservationId,
        /// Its lease.
        lease: LeaseId,
        /// What was booked.
        amount: Micros,
        /// Its H2.
        expires: UnixMillis,
    }
    /// Opening balance of the authority: a booking that another node made, and its place.
    30 Elsewhere {
        /// Its place among those of its incarnation.
        number: u64,
        /// The reservation.
        reservation: ReservationId,
        /// Its lease.
        lease: LeaseId,
        /// The exchange it was made to.
        exchange: ExchangeKey,
        /// What the bid held.
        reserved: Micros,
        /// What was booked.
        amount: Micros,
        /// Its H2.
        expires: UnixMillis,
    }
    /// Opening balance of the authority: how far bookings that others made on an incarnation's leases were numbered.
    31 Numbered {
        /// Whose leases.
        incarnation: Incarnation,
        /// The last number.
        foreign: u64,
    }
    /// Authority: a booking of a node that is booked already, as another node made it first; or one that nothing is known of.
    32 Skipped {
        /// Whose.
        node: NodeId,
        /// Its number.
        number: u64,
    }
    /// Authority: leases are numbered up to this one.
    33 Serials {
        /// The first number that is not taken.
        upto: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_back_and_no_prefix_of_them() {
        let record = Record::Billed {
            reservation: ReservationId(u64::MAX - 1),
            lease: LeaseId(2),
            campaign: CampaignId(3),
            bid: BidId([4; 16]),
            price: CpmMicros(-5),
            amount: Micros(6),
            expires: UnixMillis(7),
            wall: UnixMillis(8),
            marks: Marks::BILLED.and(Marks::DISPUTED),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        Record::Closed { lease: LeaseId(9) }.encode(&mut bytes);
        let mut rest = &bytes[..];
        assert_eq!(Record::decode(&mut rest), Some(record));
        assert_eq!(Record::decode(&mut rest), Some(Record::Closed { lease: LeaseId(9) }));
        assert!(rest.is_empty());
        let first = 1 + usize::from(bytes[0]);
        for cut in 0..first {
            assert_eq!(Record::decode(&mut &bytes[..cut]), None);
        }
    }

    /// The layout is a promise to files already written.
    #[test]
    fn the_layout_stays() {
        let mut bytes = Vec::new();
        Record::Released { lease: LeaseId(0x0102), total: Micros(-1) }.encode(&mut bytes);
        assert_eq!(bytes, [17, 7, 2, 1, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn a_kind_of_the_future_is_not_guessed_at() {
        assert_eq!(Record::decode(&mut &[1, 200][..]), None);
        assert_eq!(Record::decode(&mut &[2, 8, 0][..]), None);
    }
}
