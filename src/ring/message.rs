//! What crosses between threads: fixed-size `Copy` values without a pointer.
//!
//! [`Event`]s go from a bid core to the reconciliation core, [`Order`]s come back. Two cache lines each, so that a line
//! pair is never shared by two messages and the adjacent-line prefetcher brings a message whole.

use crate::profile::count::Shown;
use crate::shading::cell::Cell;
use crate::shading::curve::Curve;
use crate::units::{
    ArmId, BidId, CampaignId, CpmMicros, ExchangeId, ExchangeKey, Incarnation, LeaseId, Micros, Multiplier, Nanos,
    NodeId, PathKey, ReservationId, Slot, Terms, UnixMillis, UserKey,
};

/// From a bid core to the reconciliation core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// A winner was chosen and its maximum price taken out of the sub-lease.
    Reserved(Reserved),
    /// A notice with a valid signature arrived. It is answered when an [`Order::Noticed`] with its ticket comes back.
    Notice(Notice),
    /// Credit given back: the sub-lease was revoked, or its day ended.
    Returned {
        /// The campaign's slot.
        slot: Slot,
        /// The lease that granted it.
        lease: LeaseId,
        /// What was left.
        credit: Micros,
    },
    /// A sub-lease is alive and holds less than one bid would cost: nothing will be spent from it until it holds more.
    Short {
        /// The campaign's slot.
        slot: Slot,
        /// The lease of the sub-lease.
        lease: LeaseId,
        /// What the bid would cost.
        wanted: Micros,
    },
    /// What came by for a paced campaign since its last [`Order::Pace`]; sent when the next one comes.
    Chances {
        /// The campaign's slot.
        slot: Slot,
        /// Offers that could have been made, money aside.
        chances: u32,
        /// Offers of them that were let through.
        taken: u32,
        /// The dearest bid that was turned away because the allowance was less: zero if there was none.
        dearest: Micros,
    },
    /// What an exchange with a limit asked of this core, and what of its share of the limit it gives back.
    Quota {
        /// The exchange.
        exchange: ExchangeId,
        /// Requests since the last report, passed or not.
        asked: u32,
        /// Requests per [`crate::limits::QUOTA_WINDOW_NS`] that the core no longer holds.
        returned: u32,
    },
    /// A bid was made whose price is to be learnt from.
    Shaded(Shaded),
    /// A notice says what became of such a bid. Beside [`Event::Notice`], which is about money.
    Told(Told),
    /// The core answered all it had framed and stops.
    Drained,
}

/// A bid whose price is to be learnt from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shaded {
    /// Its reservation.
    pub reservation: ReservationId,
    /// Where it counts.
    pub cell: Cell,
    /// What was bid, in the account's currency.
    pub bid: CpmMicros,
}

/// What a notice says of a bid's price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// The bid's reservation.
    pub reservation: ReservationId,
    /// The exchange it was made to.
    pub exchange: ExchangeId,
    /// What became of it.
    pub ended: Ended,
    /// The least that would have won, in the account's currency, if that is said.
    pub to_win: Option<CpmMicros>,
}

/// What became of a bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It won, or was billed.
    Won,
    /// Somebody bid more, or the floor was above it.
    Outbid,
    /// It lost for what has nothing to do with its price.
    Void,
}

/// A reservation: one bid's claim on its lease, at its maximum price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reserved {
    /// Snowflake.
    pub reservation: ReservationId,
    /// The lease it is a claim on.
    pub lease: LeaseId,
    /// The campaign's slot.
    pub slot: Slot,
    /// What the bid could cost.
    pub price: Micros,
    /// H2: until when a bill is accepted.
    pub expires: UnixMillis,
    /// The exchange it was made to.
    pub exchange: ExchangeKey,
}

/// What a notice tells of a bid. The first three come from the exchange (OpenRTB 2.6 section 4.4), the others from where the creative
/// is shown and from the advertiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NoticeKind {
    /// `nurl`: the bid won the auction. Never an impression, never money.
    Win = 0,
    /// `burl`: the impression is billed. The only thing that books money.
    Bill = 1,
    /// `lurl`: the bid lost.
    Loss = 2,
    /// The creative was clicked. Never money.
    Click = 3,
    /// What the advertiser is after came of it. Never money.
    Conversion = 4,
}

/// `${AUCTION_PRICE}` as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticePrice {
    /// A clearing price in the bid's currency, per thousand impressions.
    Cpm(CpmMicros),
    /// Empty: the exchange does not know or does not say.
    Empty,
    /// The literal `AUDIT`: the markup was rendered for review.
    Audit,
    /// Neither; an encrypted price without a key, a plain one where they are encrypted, or garbage.
    Unreadable,
}

/// What is agreed about a bid, beyond its numbers: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed(pub u8);

impl Agreed {
    /// None of it.
    pub const NOTHING: Agreed = Agreed(0);
    /// The request was a test (OpenRTB `test` = 1): no money is held for the bid, and its notices book nothing.
    pub const TEST: Agreed = Agreed(1);
    /// A loss notice is the exchange's last word, so that it frees the reservation at once.
    pub const LOSS_IS_FINAL: Agreed = Agreed(2);
    /// The clearing price comes encrypted.
    pub const ENCRYPTED: Agreed = Agreed(4);
    /// A row about it is in the training log, where what becomes of it is wanted too.
    pub const LOGGED: Agreed = Agreed(8);
    /// All that there is.
    pub const ALL: Agreed = Agreed(15);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Agreed) -> Agreed {
        Agreed(self.0 | other.0)
    }

    /// Itself if `agreed`, else nothing.
    #[must_use]
    pub const fn when(self, agreed: bool) -> Agreed {
        if agreed { self } else { Agreed::NOTHING }
    }

    /// Whether any of `other` is agreed.
    pub const fn any(self, other: Agreed) -> bool {
        self.0 & other.0 != 0
    }
}

/// What the signature of a notice URL proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The reservation to settle.
    pub reservation: ReservationId,
    /// The lease it was made under.
    pub lease: LeaseId,
    /// The bid's price in its own currency, per thousand impressions: a bill is never booked above it.
    pub price: CpmMicros,
    /// What turns that price, and the clearing price, into money.
    pub terms: Terms,
    /// H2: after it the answer is 410.
    pub expires: UnixMillis,
    /// Whose frequency the impression counts for; [`UserKey::NOBODY`] for contextual bids.
    pub user: UserKey,
    /// `Bid.id`.
    pub bid: BidId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The incarnation that made the bid.
    pub incarnation: Incarnation,
    /// The node that made the bid.
    pub node: NodeId,
    /// The exchange it was made to.
    pub exchange: ExchangeKey,
    /// What is agreed about it.
    pub agreed: Agreed,
    /// Which of the campaign's creatives was bid, by its place.
    pub creative: u8,
}

impl Claim {
    /// What was reserved.
    #[inline]
    pub fn money(&self) -> Micros {
        self.terms.money(self.price)
    }
}

/// A notice with a valid signature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Notice {
    /// Names the waiting connection on the core that received it.
    pub ticket: u64,
    /// What it tells.
    pub kind: NoticeKind,
    /// The price that came with it.
    pub price: NoticePrice,
    /// How many impressions the exchange counted, at most what was claimed.
    pub multiplier: Multiplier,
    /// The supply path it counts for. Signed like the claim, and beside it: in it, it would cost an event a third cache line.
    pub path: PathKey,
    /// Which arm of a rollout the bid is of. Signed and beside the claim, as the path is.
    pub arm: ArmId,
    /// What was signed.
    pub claim: Claim,
}

impl Notice {
    /// What a clearing price is in money: at the claimed rate, never above the bid.
    #[inline]
    pub fn cost(&self, price: CpmMicros) -> Micros {
        let Claim { price: bid, terms, .. } = self.claim;
        Terms { multiplier: self.multiplier.min(terms.multiplier), ..terms }.money(price.min(bid).max(CpmMicros(0)))
    }
}

/// What became of a bid, for the training log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The bid.
    pub bid: BidId,
    /// When it was heard.
    pub at: UnixMillis,
    /// What was.
    pub kind: NoticeKind,
    /// What was booked for it: nothing but for a bill.
    pub micros: Micros,
}

/// How a notice ended; the HTTP status follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// The event is on disk, or was before: 200.
    Safe,
    /// Past H2; recorded as late: 410.
    Expired,
    /// It cannot be made safe now: 503, so that the exchange calls again.
    Unsafe,
}

/// From the reconciliation core to a bid core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// Adds `credit` to the campaign's sub-lease. A new lease id replaces the old sub-lease: what was left of it is
    /// returned by [`Event::Returned`].
    Grant {
        /// The campaign's slot.
        slot: Slot,
        /// The lease.
        lease: LeaseId,
        /// Credit added.
        credit: Micros,
        /// The absolute end of the lease's budget day on this machine's boot clock.
        ends: Nanos,
    },
    /// All sub-leases of this incarnation live until this time, none longer.
    Renew {
        /// Absolute expiry, measured from when the renewal was asked for.
        until: Nanos,
    },
    /// Takes the campaign's sub-lease back.
    Revoke {
        /// The campaign's slot.
        slot: Slot,
    },
    /// How fast the campaign may spend until the next of these: beside its credit, which says how much. It replaces what the last
    /// one left, so that a core which hears nothing comes to rest.
    Pace {
        /// The campaign's slot.
        slot: Slot,
        /// In how many auctions it takes part.
        rate: Participation,
        /// What it may reserve, maximum prices added up; [`Order::UNPACED`] for no limit.
        allowance: Micros,
    },
    /// An impression of this user was billed, on whichever core: count it.
    Counted {
        /// The user.
        user: UserKey,
        /// What was shown.
        shown: Shown,
        /// When it was billed.
        at: UnixMillis,
    },
    /// The user is erased: whatever this core has of the user is to be overwritten.
    Erase {
        /// The user, of one region.
        user: UserKey,
    },
    /// The notice with this ticket is decided.
    Noticed {
        /// [`Notice::ticket`].
        ticket: u64,
        /// The decision.
        noticed: Noticed,
    },
    /// The core's share of an exchange's limit.
    Quota {
        /// The exchange.
        exchange: ExchangeId,
        /// Requests per [`crate::limits::QUOTA_WINDOW_NS`] added to its share.
        more: u32,
        /// What of its share it is to keep; the rest goes back with [`Event::Quota`] when it has not been used for a window.
        keep: u32,
    },
    /// What is learnt of the prices in a cell.
    Curve {
        /// Which.
        cell: Cell,
        /// The chance to win, by what is bid.
        curve: Curve,
    },
    /// Stop accepting, answer what is framed, send [`Event::Drained`], stop.
    Drain,
}

impl Order {
    /// The allowance of a campaign that spends as fast as it can.
    pub const UNPACED: Micros = Micros(i64::MAX);
}

/// The chance that a campaign takes part in an auction, in 1/16,777,216.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Participation(u32);

impl Participation {
    /// Bits of a draw.
    const BITS: u32 = 24;
    /// It never does.
    pub const NEVER: Participation = Participation(0);
    /// It always does.
    pub const ALWAYS: Participation = Participation(1 << Self::BITS);

    /// `part` of `whole`, rounded up; all of nothing.
    ///
    /// # Panics
    /// If either is negative.
    pub fn of(part: Micros, whole: Micros) -> Participation {
        assert!(part >= Micros::ZERO && whole >= Micros::ZERO, "a part below nothing");
        if part >= whole {
            return Participation::ALWAYS;
        }
        let share = (i128::from(part.0) << Self::BITS) + i128::from(whole.0) - 1;
        Participation((share / i128::from(whole.0)) as u32)
    }

    /// In 1/16,777,216: 0 to 16,777,216.
    #[inline]
    pub const fn parts(self) -> u32 {
        self.0
    }

    /// Whether a draw of 32 random bits says yes.
    #[inline]
    pub const fn admits(self, draw: u32) -> bool {
        draw >> (32 - Self::BITS) < self.0
    }
}

const _: () = assert!(size_of::<Event>() <= 128);
const _: () = assert!(size_of::<Order>() <= 64);
