//! Units. No bare integer crosses a module border: money is not a price, a price is not a time, and the compiler says so.

/// Money in millionths of the account currency, `data.currency` of the configuration. Signed, because a correction may be
/// negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[repr(transparent)]
pub struct Micros(pub i64);

/// A price in millionths of a currency unit **per thousand impressions** (OpenRTB `bid.price` and `bidfloor`, 2.6 section 4.2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CpmMicros(pub i64);

impl CpmMicros {
    /// What one impression at this price costs under [`Terms::PLAIN`].
    #[inline]
    pub const fn per_impression(self) -> Micros {
        Terms::PLAIN.money(self)
    }
}

/// What one unit of a bid's currency is worth in the account currency, in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Rate(pub u64);

impl Rate {
    /// The bid is in the account currency.
    pub const ONE: Rate = Rate(1_000_000_000);
    /// No currency is worth more than a million of another.
    pub const MAX: Rate = Rate(1_000_000 * Rate::ONE.0);
}

/// How many impressions one view of a screen in public counts as (OpenRTB 2.6 section 3.2.4, `imp.qty.multiplier`), in
/// millionths. It may be less than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Multiplier(pub u64);

impl Multiplier {
    /// One impression is one.
    pub const ONE: Multiplier = Multiplier(1_000_000);
    /// No screen has more than a million viewers at once.
    pub const MAX: Multiplier = Multiplier(1_000_000 * Multiplier::ONE.0);
}

/// What turns a price into money: its currency, and what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The bid's currency.
    pub rate: Rate,
    /// How many impressions it pays for.
    pub multiplier: Multiplier,
}

impl Terms {
    /// One impression in the account currency.
    pub const PLAIN: Terms = Terms { rate: Rate::ONE, multiplier: Multiplier::ONE };

    /// What a bid at this price costs, rounded up: a reservation must never be smaller than the bill. The only place where
    /// a price becomes money.
    ///
    /// # Panics
    /// If the money cannot be counted. [`Terms::checked_money`] is for prices and terms that nobody has bounded yet.
    #[inline]
    #[track_caller]
    pub const fn money(self, price: CpmMicros) -> Micros {
        match self.checked_money(price) {
            Some(money) => money,
            None => panic!("money overflow"),
        }
    }

    /// [`Terms::money`], or nothing where the terms are out of their range or the money would overflow.
    #[inline]
    pub const fn checked_money(self, price: CpmMicros) -> Option<Micros> {
        if self.rate.0 == Rate::ONE.0 && self.multiplier.0 == Multiplier::ONE.0 {
            return Some(Micros(price.0.div_euclid(1000) + (price.0.rem_euclid(1000) != 0) as i64));
        }
        if !self.is_valid() {
            return None;
        }
        const DIVISOR: i128 = 1000 * Rate::ONE.0 as i128 * Multiplier::ONE.0 as i128;
        // At most 10^27, so that only the price can make it too much.
        let factor = self.rate.0 as i128 * self.multiplier.0 as i128;
        let Some(product) = factor.checked_mul(price.0 as i128) else { return None };
        let money = product.div_euclid(DIVISOR) + (product.rem_euclid(DIVISOR) != 0) as i128;
        if money < i64::MIN as i128 || money > i64::MAX as i128 { None } else { Some(Micros(money as i64)) }
    }

    /// Neither factor is zero or beyond its bound.
    #[inline]
    pub const fn is_valid(self) -> bool {
        let Terms { rate, multiplier } = self;
        rate.0 > 0 && rate.0 <= Rate::MAX.0 && multiplier.0 > 0 && multiplier.0 <= Multiplier::MAX.0
    }
}

impl Default for Terms {
    fn default() -> Self {
        Terms::PLAIN
    }
}

/// A currency by its ISO 4217 code, in capitals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Currency(pub [u8; 3]);

impl Currency {
    /// The account currency, and what OpenRTB assumes where nothing is said (2.6 section 4.2.1).
    pub const USD: Currency = Currency(*b"USD");

    /// A code of three letters, in either case.
    pub const fn parse(code: &[u8]) -> Option<Currency> {
        match code {
            &[a, b, c] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_alphabetic() => {
                Some(Currency([a.to_ascii_uppercase(), b.to_ascii_uppercase(), c.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// The code.
    pub const fn code(&self) -> &str {
        match std::str::from_utf8(&self.0) {
            Ok(code) => code,
            Err(_) => "",
        }
    }
}

impl Default for Currency {
    fn default() -> Self {
        Currency::USD
    }
}

impl std::str::FromStr for Currency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Currency::parse(text.as_bytes()).ok_or_else(|| format!("{text:?} is no currency: three letters, such as USD"))
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::fmt::Debug for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
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

impl Default for Multiplier {
    fn default() -> Self {
        Multiplier::ONE
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

    /// The hour of its UTC day, 0 to 23.
    #[inline]
    pub const fn hour(self) -> u8 {
        (self.0 % Self::DAY / 3_600_000) as u8
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

/// A vendor of the Global Vendor List (IAB Europe).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct VendorId(pub u16);

/// One process start of a node, numbered durably.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Incarnation(pub u32);

/// A memory of the lease authority. It grows whenever the authority may have lost what it had said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Epoch(pub u32);

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

/// A record of the ledger: a Snowflake too, from a generator of its own. Grows within a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct RecordId(pub u64);

/// `Bid.id`: 128 random bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct BidId(pub [u8; 16]);

/// Where what is known of a user may be kept. Part of the [`UserKey`]: a user of two regions has two keys, and what is kept
/// under one is never found by the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Region {
    /// The EEA and the United Kingdom, and everybody of whom nothing else is known.
    #[default]
    Eu = 0,
    /// Everywhere else.
    Other = 1,
}

impl Region {
    /// All there are.
    pub const ALL: [Region; 2] = [Region::Eu, Region::Other];

    /// As configurations and stores write it.
    pub const fn label(self) -> &'static str {
        match self {
            Region::Eu => "eu",
            Region::Other => "other",
        }
    }
}

impl std::str::FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of = Region::ALL.into_iter().find(|region| region.label() == text);
        of.ok_or_else(|| format!("{text:?} is not a region: eu or other"))
    }
}

/// A user's pseudonym: the region in the two top bits, a keyed hash of the user's id below them. 0 is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct UserKey(pub u64);

impl UserKey {
    /// The user is unknown, or must not be known.
    pub const NOBODY: UserKey = UserKey(0);
    /// Bits of the hash.
    const HASH: u64 = (1 << 62) - 1;

    /// The key of a user with this hash, of which the low 62 bits count.
    #[inline]
    pub const fn new(region: Region, hash: u64) -> UserKey {
        let hash = hash & Self::HASH;
        UserKey((region as u64) << 62 | if hash == 0 { 1 } else { hash })
    }

    /// Where what is known of the user may be kept; `None` if the bits say nothing that this version knows.
    #[inline]
    pub const fn region(self) -> Option<Region> {
        match self.0 >> 62 {
            0 => Some(Region::Eu),
            1 => Some(Region::Other),
            _ => None,
        }
    }

    /// The same id in another region.
    #[inline]
    #[must_use]
    pub const fn within(self, region: Region) -> UserKey {
        UserKey((region as u64) << 62 | self.0 & Self::HASH)
    }

    /// All keys of the same id.
    pub fn in_all_regions(self) -> [UserKey; Region::ALL.len()] {
        Region::ALL.map(|region| self.within(region))
    }

    /// The key in the stores: `eu#00123456789abcde`.
    pub fn text(self) -> String {
        let region = self.region().map_or("none", Region::label);
        format!("{region}#{:016x}", self.0)
    }

    /// A key that [`UserKey::text`] wrote.
    pub fn from_text(text: &str) -> Option<UserKey> {
        let (_, digits) = text.split_once('#')?;
        let key = UserKey(u64::from_str_radix(digits, 16).ok()?);
        (key != UserKey::NOBODY && key.text() == text).then_some(key)
    }
}

/// What the ledger calls a user: a hash of the pseudonym, the same in all regions, that leads back to nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct UserHash(pub [u8; 16]);

impl UserHash {
    /// The first half of BLAKE3, with a context of its own.
    pub fn of(user: UserKey) -> UserHash {
        let hash = blake3::derive_key("corebid 2026 user of a receipt", &user.within(Region::Eu).0.to_le_bytes());
        UserHash(*hash.first_chunk().expect("32 bytes"))
    }
}

impl std::fmt::Display for UserHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A segment a user may be in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct SegmentId(pub u32);

/// An arm of a rollout, by its place, which it keeps as long as its name is there; below [`crate::limits::ARMS`]. Without a rollout there is one, 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ArmId(pub u8);

/// An exchange of the configuration, by position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ExchangeId(pub u8);

/// An exchange by a hash of its name: what a notice URL carries, since it may outlive the order of a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ExchangeKey(pub u32);

impl ExchangeKey {
    /// FNV-1a, 32 bits. Stays as it is: URLs carry it across restarts.
    pub const fn of(name: &str) -> ExchangeKey {
        let (mut hash, mut at) = (0x811c_9dc5_u32, 0);
        while at < name.len() {
            hash = (hash ^ name.as_bytes()[at] as u32).wrapping_mul(0x0100_0193);
            at += 1;
        }
        ExchangeKey(hash)
    }
}

/// A supply path (exchange and systems of the chain) by a hash: what a notice URL carries, since it may outlive the process that
/// made it. 48 bits: among 4,096 paths two are taken for one with a probability of 3e-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PathKey(pub [u8; 6]);

impl PathKey {
    /// No path, or none that is to be counted.
    pub const NONE: PathKey = PathKey([0; 6]);
    /// Any of those for which there was no room.
    pub const OTHER: PathKey = PathKey([0, 0, 0, 0, 0, 1]);

    /// The key of a path with this hash: neither of the two above.
    pub const fn of(hash: u64) -> PathKey {
        let number = hash >> 16;
        PathKey::from_number(if number < 2 { 2 } else { number })
    }

    /// From its number, of which the lower 48 bits count.
    pub const fn from_number(number: u64) -> PathKey {
        let [_, _, a, b, c, d, e, f] = number.to_be_bytes();
        PathKey([a, b, c, d, e, f])
    }

    /// As a number; 0 is no path.
    pub const fn number(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_price_becomes_money_rounded_up() {
        assert_eq!(CpmMicros(2_500_000).per_impression(), Micros(2_500));
        assert_eq!(CpmMicros(2_500_001).per_impression(), Micros(2_501));
        assert_eq!(CpmMicros(0).per_impression(), Micros(0));
        assert_eq!(CpmMicros(1).per_impression(), Micros(1));
    }

    /// The example of OpenRTB 2.6 for DOOH: 2.50 CPM for 30.3 impressions are 0.07575 USD.
    #[test]
    fn a_screen_costs_what_the_standard_says() {
        let terms = Terms { multiplier: Multiplier(30_300_000), ..Terms::PLAIN };
        assert_eq!(terms.money(CpmMicros(2_500_000)), Micros(75_750));
    }

    #[test]
    fn terms_out_of_range_and_money_beyond_counting_are_no_money() {
        let terms = |rate, multiplier| Terms { rate: Rate(rate), multiplier: Multiplier(multiplier) };
        for (rate, multiplier) in [(0, 1), (1, 0), (Rate::MAX.0 + 1, 1), (1, Multiplier::MAX.0 + 1)] {
            assert_eq!(terms(rate, multiplier).checked_money(CpmMicros(1)), None, "{rate} {multiplier}");
        }
        let most = Terms { rate: Rate::MAX, multiplier: Multiplier::MAX };
        assert_eq!(most.checked_money(CpmMicros(i64::MAX)), None);
        assert_eq!(most.checked_money(CpmMicros(1_000_000)), Some(Micros(1_000_000_000_000_000)));
    }

    /// Long multiplication and division of decimal digits, as on paper.
    fn on_paper(price: u64, rate: u64, multiplier: u64) -> String {
        let digits =
            |value: u64| value.to_string().bytes().rev().map(|digit| u32::from(digit - b'0')).collect::<Vec<_>>();
        let times = |a: &[u32], b: &[u32]| {
            let mut product = vec![0; a.len() + b.len()];
            for (i, x) in a.iter().enumerate() {
                for (j, y) in b.iter().enumerate() {
                    product[i + j] += x * y;
                }
            }
            for at in 0..product.len() - 1 {
                product[at + 1] += product[at] / 10;
                product[at] %= 10;
            }
            product
        };
        let mut product = times(&times(&digits(price), &digits(rate)), &digits(multiplier));
        product.resize(product.len().max(20) + 1, 0);
        // 1000 * 10^9 * 10^6 is a shift by 18 digits; what falls off rounds up.
        let up = product[..18].iter().any(|digit| *digit > 0);
        let mut money = product.split_off(18);
        money[0] += u32::from(up);
        for at in 0..money.len() - 1 {
            money[at + 1] += money[at] / 10;
            money[at] %= 10;
        }
        let text: String = money.iter().rev().map(u32::to_string).collect();
        let text = text.trim_start_matches('0');
        if text.is_empty() { "0".into() } else { text.into() }
    }

    proptest! {
        #[test]
        fn money_is_exact(price in 0u64..1_000_000_000_000, rate in 1..=Rate::MAX.0, multiplier in 1..=Multiplier::MAX.0, scale in 0u32..12) {
            let (rate, multiplier) = (rate / 10u64.pow(scale) + 1, multiplier / 10u64.pow(scale.min(9)) + 1);
            let terms = Terms { rate: Rate(rate.min(Rate::MAX.0)), multiplier: Multiplier(multiplier.min(Multiplier::MAX.0)) };
            let paper = on_paper(price, terms.rate.0, terms.multiplier.0);
            let money = terms.checked_money(CpmMicros(price as i64));
            prop_assert_eq!(money.map(|money| money.0), paper.parse::<i64>().ok(), "{}", paper);
        }
    }

    /// The test vectors of the FNV authors.
    #[test]
    fn exchanges_keep_their_key() {
        assert_eq!(ExchangeKey::of(""), ExchangeKey(0x811c_9dc5));
        assert_eq!(ExchangeKey::of("a"), ExchangeKey(0xe40c_292c));
        assert_eq!(ExchangeKey::of("foobar"), ExchangeKey(0xbf9c_f968));
    }

    #[test]
    fn currencies_are_three_letters() {
        assert_eq!(Currency::parse(b"usd"), Some(Currency::USD));
        for bad in ["", "US", "USDT", "U5D"] {
            assert_eq!(Currency::parse(bad.as_bytes()), None);
        }
    }

    #[test]
    #[should_panic(expected = "money overflow")]
    fn money_does_not_wrap() {
        let _ = Micros(i64::MAX).plus(Micros(1));
    }
}
