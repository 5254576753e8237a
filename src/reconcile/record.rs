//! What the ledger is made of. A record is a fact; the [`Books`](crate::authority::books::Books) of the authority and the
//! [`History`](super::history::History) of the node are what follows from all of them.
//!
//! ```text
//! record = length(2) kind(1) layout(1) id(8) body(length)        little-endian; the body is the kind's rkyv archive
//! ```
//!
//! Each kind is archived by a struct of its own, so that a new kind changes no other. Kinds are never reused. The fields of
//! a kind never change under its layout number: what must change gets the next one, and the reader of the old one stays.
//!
//! Version 1 of the ledger wrote a record as its length (one byte), its kind (one byte) and its fields in order,
//! little-endian, without an id. It is read, and written no more.

use rkyv::Archive;
use rkyv::api::{low, serialize_using};
use rkyv::rancor::Failure;
use rkyv::ser::writer::Buffer;
use rkyv::util::Align;
use serde_json::{Map, Value, json};

use crate::profile::erase::Wiped;
use crate::units::{
    AdvertiserId, BidId, CampaignId, CpmMicros, Day, Epoch, ExchangeKey, Incarnation, LeaseId, Micros, NodeId,
    ReservationId, UnixMillis, UserHash,
};

pub use crate::units::RecordId;

/// Before a record's body.
const FRAME: usize = 12;
/// No body is longer.
const MAX_BODY: usize = 256;
/// Layout of all kinds so far.
const LAYOUT: u8 = 1;

/// A field of a record: how it is archived, how version 1 wrote it, how people read it.
trait Field: Copy {
    /// What stands for it in the archive.
    type Plain: Archive;
    fn plain(self) -> Self::Plain;
    fn restore(archived: &<Self::Plain as Archive>::Archived) -> Self;
    fn take(from: &mut &[u8]) -> Option<Self>;
    fn show(self) -> Value;
}

macro_rules! integers {
    ($($integer:ty)*) => { $(impl Field for $integer {
        type Plain = $integer;
        fn plain(self) -> $integer { self }
        fn restore(archived: &<$integer as Archive>::Archived) -> Self { (*archived).into() }
        fn take(from: &mut &[u8]) -> Option<Self> {
            let (bytes, rest) = from.split_first_chunk()?;
            *from = rest;
            Some(<$integer>::from_le_bytes(*bytes))
        }
        fn show(self) -> Value { self.into() }
    })* };
}

macro_rules! newtypes {
    ($($newtype:ident($inner:ty))*) => { $(impl Field for $newtype {
        type Plain = $inner;
        fn plain(self) -> $inner { self.0 }
        fn restore(archived: &<$inner as Archive>::Archived) -> Self { $newtype(Field::restore(archived)) }
        fn take(from: &mut &[u8]) -> Option<Self> { Field::take(from).map($newtype) }
        fn show(self) -> Value { self.0.into() }
    })* };
}

integers!(u8 u16 u32 u64 i64);
newtypes!(AdvertiserId(u32) CampaignId(u32) CpmMicros(i64) Day(u32) Incarnation(u32) LeaseId(u64) Micros(i64));
newtypes!(Epoch(u32) ExchangeKey(u32) NodeId(u16) ReservationId(u64) UnixMillis(u64));

impl Field for BidId {
    type Plain = [u8; 16];

    fn plain(self) -> [u8; 16] {
        self.0
    }

    fn restore(archived: &[u8; 16]) -> Self {
        BidId(*archived)
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (bytes, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(BidId(*bytes))
    }

    fn show(self) -> Value {
        format!("{:032x}", u128::from_be_bytes(self.0)).into()
    }
}

impl Field for UserHash {
    type Plain = [u8; 16];

    fn plain(self) -> [u8; 16] {
        self.0
    }

    fn restore(archived: &[u8; 16]) -> Self {
        UserHash(*archived)
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        BidId::take(from).map(|BidId(bytes)| UserHash(bytes))
    }

    fn show(self) -> Value {
        self.to_string().into()
    }
}

impl Field for Wiped {
    type Plain = u16;

    fn plain(self) -> u16 {
        self.0
    }

    fn restore(archived: &<u16 as Archive>::Archived) -> Self {
        Wiped(Field::restore(archived))
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        u16::take(from).map(Wiped)
    }

    fn show(self) -> Value {
        self.labels().collect::<Vec<_>>().into()
    }
}

impl Field for Marks {
    type Plain = u16;

    fn plain(self) -> u16 {
        self.0
    }

    fn restore(archived: &<u16 as Archive>::Archived) -> Self {
        Marks(Field::restore(archived))
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        u8::take(from).map(|marks| Marks(marks.into()))
    }

    fn show(self) -> Value {
        let named = Marks::NAMED.iter().filter(|(mark, _)| self.any(*mark)).map(|(_, name)| *name);
        named.collect::<Vec<_>>().into()
    }
}

macro_rules! records {
    ($($(#[$doc:meta])* $kind:literal $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* })*) => {
        /// One fact.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Record { $($(#[$doc])* $name { $($(#[$about])* $field: $type,)* },)* }

        /// What is archived of each kind.
        mod body {
            use super::*;

            $(#[derive(Archive, rkyv::Serialize)]
            pub(super) struct $name { $(pub(super) $field: <$type as Field>::Plain,)* }
            const _: () = assert!(size_of::<rkyv::Archived<$name>>() <= MAX_BODY);)*
        }

        impl Record {
            /// Writes the body to the front of `out`. Returns the kind and the length.
            fn archive(&self, out: &mut [u8]) -> (u8, usize) {
                match *self {
                    $(Record::$name { $($field,)* } => {
                        let body = body::$name { $($field: $field.plain(),)* };
                        let mut out = Buffer::from(out);
                        serialize_using::<_, Failure>(&body, &mut out).expect("a body that fits its buffer");
                        ($kind, out.len())
                    })*
                }
            }

            /// A body of layout 1; `None` if it is none of this kind. `body` is aligned.
            fn restore(kind: u8, body: &[u8]) -> Option<Record> {
                match kind {
                    $($kind if body.len() == size_of::<rkyv::Archived<body::$name>>() => {
                        let archived = low::access::<rkyv::Archived<body::$name>, Failure>(body).ok()?;
                        Some(Record::$name { $($field: Field::restore(&archived.$field),)* })
                    })*
                    _ => None,
                }
            }

            /// Takes one record of version 1 off the front of `bytes`. `None` if there is none that this version knows.
            pub fn decode_v1(bytes: &mut &[u8]) -> Option<Record> {
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

            fn fields(&self) -> Vec<(&'static str, Value)> {
                match *self {
                    $(Record::$name { $($field,)* } => vec![$((stringify!($field), $field.show()),)*],)*
                }
            }
        }
    };
}

impl Record {
    /// Appends the record's bytes.
    pub fn encode(&self, id: RecordId, out: &mut Vec<u8>) {
        let mut body = Align([0; MAX_BODY]);
        let (kind, length) = self.archive(&mut *body);
        out.extend_from_slice(&(length as u16).to_le_bytes());
        out.extend_from_slice(&[kind, LAYOUT]);
        out.extend_from_slice(&id.0.to_le_bytes());
        out.extend_from_slice(&body[..length]);
    }

    /// Takes one record off the front of `bytes`. `None` if there is none that this version knows.
    pub fn decode(bytes: &mut &[u8]) -> Option<(RecordId, Record)> {
        let (frame, rest) = bytes.split_first_chunk::<FRAME>()?;
        let [l0, l1, kind, layout, id @ ..] = *frame;
        let (body, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([l0, l1])))?;
        let mut aligned = Align([0; MAX_BODY]);
        aligned.get_mut(..body.len())?.copy_from_slice(body);
        if layout != LAYOUT {
            return None;
        }
        let record = Record::restore(kind, &aligned[..body.len()])?;
        *bytes = rest;
        Some((RecordId(u64::from_le_bytes(id)), record))
    }

    /// The record for people and scripts: its kind in lower case (`bill` for [`Record::Bill`]) and its fields by name;
    /// `bid_id` is `Bid.id` as the response had it, `micros` what was billed.
    pub fn show(&self) -> Map<String, Value> {
        let kind = match self {
            Record::Billed { .. } => "bill".to_owned(),
            other => other.label().to_ascii_lowercase(),
        };
        let mut shown = Map::from_iter([("kind".to_owned(), json!(kind))]);
        shown.extend(self.fields().into_iter().map(|(name, value)| {
            let name = match name {
                "bid" => "bid_id",
                "amount" => "micros",
                name => name,
            };
            (name.to_owned(), value)
        }));
        shown
    }
}

/// A booking that has no number among those of its node.
pub const NO_NUMBER: u64 = u64::MAX;
/// No limit on what a campaign may spend in its life.
pub const UNLIMITED: Micros = Micros(i64::MAX);

/// What was heard of a reservation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(pub u16);

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
    pub const ASKED: Marks = Marks(256);
    /// Of a booking: another node made it than the one that bid.
    pub const FOREIGN: Marks = Marks(512);
    /// Of a booking: it costs more than its lease had left for what is silent (quantile mode).
    pub const OVERDRAWN: Marks = Marks(1024);

    /// It was clicked.
    pub const CLICKED: Marks = Marks(2048);
    /// What the advertiser is after came of it.
    pub const CONVERTED: Marks = Marks(4096);

    const NAMED: [(Marks, &'static str); 13] = [
        (Marks::WON, "won"),
        (Marks::BILLED, "billed"),
        (Marks::LOST, "lost"),
        (Marks::UNPRICED, "unpriced"),
        (Marks::FREED, "freed"),
        (Marks::DISPUTED, "disputed"),
        (Marks::EXCESS, "excess"),
        (Marks::LATE, "late"),
        (Marks::ASKED, "asked"),
        (Marks::FOREIGN, "foreign"),
        (Marks::OVERDRAWN, "overdrawn"),
        (Marks::CLICKED, "clicked"),
        (Marks::CONVERTED, "converted"),
    ];

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
    19 NewEpoch {
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
    /// Node: a user was erased. The receipt.
    34 Erased {
        /// Who, for those who know the pseudonym.
        user: UserHash,
        /// Where something was wiped.
        wiped: Wiped,
        /// When.
        wall: UnixMillis,
    }
    /// Node, in a fleet: whose accounts a campaign stands in. Notices of its bids are reported there, also once it is not listed
    /// any more.
    35 Owned {
        /// The campaign.
        campaign: CampaignId,
        /// Its advertiser.
        advertiser: AdvertiserId,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BILLED: Record = Record::Billed {
        reservation: ReservationId(u64::MAX - 1),
        lease: LeaseId(2),
        campaign: CampaignId(3),
        bid: BidId([4; 16]),
        price: CpmMicros(-5),
        amount: Micros(6),
        expires: UnixMillis(7),
        wall: UnixMillis(8),
        marks: Marks(34),
    };
    const CLOSED: Record = Record::Closed { lease: LeaseId(9) };

    #[test]
    fn bytes_and_back_and_no_prefix_of_them() {
        let mut bytes = Vec::new();
        BILLED.encode(RecordId(77), &mut bytes);
        let first = bytes.len();
        CLOSED.encode(RecordId(78), &mut bytes);
        // Whatever the alignment.
        for shift in 0..16 {
            let shifted = [&vec![0xee; shift][..], &bytes].concat();
            let mut rest = &shifted[shift..];
            assert_eq!(Record::decode(&mut rest), Some((RecordId(77), BILLED)));
            assert_eq!(Record::decode(&mut rest), Some((RecordId(78), CLOSED)));
            assert!(rest.is_empty());
        }
        for cut in 0..first {
            assert_eq!(Record::decode(&mut &bytes[..cut]), None);
        }
    }

    /// The layout is a promise to files already written.
    #[test]
    fn the_layout_stays() {
        let mut bytes = Vec::new();
        Record::Released { lease: LeaseId(0x0102), total: Micros(-1) }.encode(RecordId(0x0304), &mut bytes);
        let frame = [16, 0, 7, 1, 4, 3, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytes, [&frame[..], &[2, 1, 0, 0, 0, 0, 0, 0], &[255; 8]].concat());
        bytes.clear();
        Record::Known { reservation: ReservationId(1), lease: LeaseId(2), expires: UnixMillis(3), marks: Marks::WON }
            .encode(RecordId(0), &mut bytes);
        let word = |number: u8| [number, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytes[12..], [word(1), word(2), word(3), word(1)].concat());
    }

    #[test]
    fn a_receipt_names_where_something_was_wiped() {
        let (user, wiped) = (UserHash([0xab; 16]), Wiped::CORES.and(Wiped::KEY));
        let record = Record::Erased { user, wiped, wall: UnixMillis(9) };
        let mut bytes = Vec::new();
        record.encode(RecordId(1), &mut bytes);
        assert_eq!(bytes[..4], [32, 0, 34, 1]);
        assert_eq!(Record::decode(&mut &bytes[..]), Some((RecordId(1), record)));
        let shown = json!({"kind": "erased", "user": "ab".repeat(16), "wiped": ["cores", "key"], "wall": 9});
        assert_eq!(Value::Object(record.show()), shown);
    }

    #[test]
    fn version_1_is_read() {
        let mut bytes = &[17, 7, 2, 1, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255][..];
        let released = Record::Released { lease: LeaseId(0x0102), total: Micros(-1) };
        assert_eq!(Record::decode_v1(&mut bytes), Some(released));
        assert!(bytes.is_empty());
        assert_eq!(Record::decode_v1(&mut &[1, 200][..]), None);
        assert_eq!(Record::decode_v1(&mut &[2, 8, 0][..]), None);
    }

    #[test]
    fn a_kind_or_layout_of_the_future_is_not_guessed_at() {
        let mut bytes = Vec::new();
        CLOSED.encode(RecordId(1), &mut bytes);
        for (at, value) in [(2, 200), (3, 2), (0, 7), (0, 9), (1, 1)] {
            let mut other = [&bytes[..], &[0; 300]].concat();
            other[at] = value;
            assert_eq!(Record::decode(&mut &other[..]), None, "byte {at} is {value}");
        }
    }

    #[test]
    fn a_bill_is_shown_with_the_id_of_the_bid() {
        let shown = Value::Object(BILLED.show());
        assert_eq!((&shown["kind"], &shown["bid_id"]), (&json!("bill"), &json!("04".repeat(16))));
        assert_eq!((&shown["campaign"], &shown["micros"]), (&json!(3), &json!(6)));
        assert_eq!(shown["marks"], json!(["billed", "disputed"]));
        assert_eq!(Value::Object(CLOSED.show()), json!({"kind": "closed", "lease": 9}));
    }
}
