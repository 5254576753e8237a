//! Units. No bare integer crosses a module border: money is not a price, a price is not a time, and the compiler says so.

/// Money in millionths of the account currency (US dollars). Signed, because a correction may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[repr(transparent)]
pub struct Micros(pub i64);

/// A price in millionths of a currency unit **per thousand impressions** (OpenRTB `bid.price` and `bidfloor`, 2.6 section 4.2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CpmMicros(pub i64);

impl CpmMicros {
    /// What one impression at this price costs, rounded up: a reservation must never be smaller than the bill.
    /// The only place where a price becomes money.
    #[inline]
    pub const fn per_impression(self) -> Micros {
        Micros(self.0.div_euclid(1000) + (self.0.rem_euclid(1000) != 0) as i64)
    }
}

/// What one unit of a foreign currency is worth in units of the account currency, in 1e-9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Rate(pub u64);

impl Rate {
    /// The account currency itself.
    pub const ONE: Rate = Rate(1_000_000_000);
}

impl Micros {
    /// No money.
    pub const ZERO: Micros = Micros(0);

    /// Sum; a ledger that overflows cannot be trusted, so it stops the process.
    #[inline]
    #[track_caller]
    pub const fn plus(self, other: Micros) -> Micros {
        match self.0.checked_add(other.0) {
            Some(sum) => Micros(sum),
            None => panic!("money overflow"),
        }
    }

    /// Difference, checked as [`Micros::plus`] is.
    #[inline]
    #[track_caller]
    pub const fn minus(self, other: Micros) -> Micros {
        match self.0.checked_sub(other.0) {
            Some(difference) => Micros(difference),
            None => panic!("money overflow"),
        }
    }
}

/// Nanoseconds of `CLOCK_BOOTTIME`: monotonic and running through suspend, so that a lease cannot outlive a sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// One millisecond.
    pub const MS: u64 = 1_000_000;
    /// One second.
    pub const SECOND: u64 = 1_000_000_000;
    /// A time that never comes.
    pub const NEVER: Nanos = Nanos(u64::MAX);

    /// This time plus `ns` nanoseconds; [`Nanos::NEVER`] stays never.
    #[inline]
    pub const fn after(self, ns: u64) -> Nanos {
        Nanos(self.0.saturating_add(ns))
    }

    /// Nanoseconds from `earlier` to this time, 0 if it is not earlier.
    #[inline]
    pub const fn since(self, earlier: Nanos) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Milliseconds of Unix time (`CLOCK_REALTIME`): for budget days, flights, expiry of notice URLs. It steps; nothing measures with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Milliseconds of a UTC day.
    pub const DAY: u64 = 86_400_000;

    /// The UTC day this time falls in.
    #[inline]
    pub const fn day(self) -> Day {
        Day((self.0 / Self::DAY) as u32)
    }
}

/// A budget day: days since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Day(pub u32);

impl Day {
    /// When this day ends.
    #[inline]
    pub const fn end(self) -> UnixMillis {
        UnixMillis((self.0 as u64 + 1) * UnixMillis::DAY)
    }
}

/// Both clocks, read together once per loop turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// `CLOCK_BOOTTIME`: deadlines, leases.
    pub boot: Nanos,
    /// `CLOCK_REALTIME`: days, flights, notice expiry.
    pub wall: UnixMillis,
}

/// The operator's number of a campaign, from the campaign file; `cid` in the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CampaignId(pub u32);

/// The operator's number of an advertiser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct AdvertiserId(pub u32);

/// Where a campaign's money sits on every core. Given out once per campaign id and process, never reused, so that a
/// snapshot swap moves no money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Slot(pub u32);

/// A campaign's index in one snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CampaignIx(pub u32);

/// A bid core, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CoreId(pub u8);

/// A machine of the fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct NodeId(pub u16);

/// One process start of a node, numbered durably.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Incarnation(pub u32);

/// A lease: credit granted to one incarnation for one campaign and one budget day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct LeaseId(pub u64);

/// One bid's claim on money: a Snowflake (41 bits of ms, 10 of worker, 12 of sequence).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ReservationId(pub u64);

impl ReservationId {
    /// Start of the Snowflake clock: 2024-01-01T00:00:00Z.
    pub const EPOCH: UnixMillis = UnixMillis(1_704_067_200_000);
    /// Bits below the milliseconds: 10 of worker, 12 of sequence.
    pub const BELOW_MILLIS: u32 = 22;

    /// When it was made, by its own clock: it may run some seconds ahead of the wall clock.
    pub const fn made(self) -> UnixMillis {
        UnixMillis(Self::EPOCH.0 + (self.0 >> Self::BELOW_MILLIS))
    }
}

/// `Bid.id`: 128 random bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct BidId(pub [u8; 16]);

/// A user's pseudonym: a keyed hash of the exchange's user id. 0 is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct UserKey(pub u64);

impl UserKey {
    /// The user is unknown, or must not be known.
    pub const NOBODY: UserKey = UserKey(0);
}

/// A segment a user may be in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct SegmentId(pub u32);

/// An exchange of the configuration, by position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ExchangeId(pub u8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_becomes_money_rounded_up() {
        assert_eq!(CpmMicros(2_500_000).per_impression(), Micros(2_500));
        assert_eq!(CpmMicros(2_500_001).per_impression(), Micros(2_501));
        assert_eq!(CpmMicros(0).per_impression(), Micros(0));
        assert_eq!(CpmMicros(1).per_impression(), Micros(1));
    }

    #[test]
    #[should_panic(expected = "money overflow")]
    fn money_does_not_wrap() {
        let _ = Micros(i64::MAX).plus(Micros(1));
    }
}
