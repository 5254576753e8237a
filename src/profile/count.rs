//! Impressions of a user, as caps count them: of what, over what time, and how many are enough.

use std::num::NonZeroU16;

use crate::units::{AdvertiserId, CampaignId, UnixMillis, UserKey};

/// How often a user was shown something within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Of what.
    pub of: CountOf,
    /// Over what time.
    pub window: Window,
    /// Which of those times ([`Window::period`]).
    pub period: u32,
    /// Billed impressions.
    pub times: u16,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CountOf {
    /// All impressions of a campaign.
    Campaign(CampaignId),
    /// Those of one of its creatives, by its place in the campaign.
    Creative(CampaignId, u16),
    /// Those of all campaigns of an advertiser.
    Advertiser(AdvertiserId),
}

/// Over what time is counted. Windows begin on the clock, in UTC: an hour at its minute 0, a day at midnight, a week on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Window {
    /// An hour.
    Hour = 0,
    /// A day.
    Day = 1,
    /// Seven days.
    Week = 2,
    /// For ever.
    Lifetime = 3,
}

impl Window {
    /// All of them, by number.
    pub const ALL: [Window; 4] = [Window::Hour, Window::Day, Window::Week, Window::Lifetime];
    /// 1970-01-01 was a Thursday: its week began three days earlier.
    const DAYS_BEFORE: u64 = 3;

    /// Its name in a campaign file.
    pub const fn label(self) -> &'static str {
        match self {
            Window::Hour => "hour",
            Window::Day => "day",
            Window::Week => "week",
            Window::Lifetime => "lifetime",
        }
    }

    /// The period that a time falls in: hours or days since 1970-01-01 UTC, weeks since the Monday before, 0 for a lifetime.
    #[inline]
    pub const fn period(self, at: UnixMillis) -> u32 {
        match self {
            Window::Hour => (at.0 / (UnixMillis::DAY / 24)) as u32,
            Window::Day => at.day().0,
            Window::Week => ((at.day().0 as u64 + Self::DAYS_BEFORE) / 7) as u32,
            Window::Lifetime => 0,
        }
    }

    /// When a period is over; a lifetime never is.
    pub const fn end(self, period: u32) -> Option<UnixMillis> {
        let next = period as u64 + 1;
        match self {
            Window::Hour => Some(UnixMillis(next * (UnixMillis::DAY / 24))),
            Window::Day => Some(UnixMillis(next * UnixMillis::DAY)),
            Window::Week => Some(UnixMillis((next * 7 - Self::DAYS_BEFORE) * UnixMillis::DAY)),
            Window::Lifetime => None,
        }
    }
}

/// The current period of every window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods([u32; 4]);

impl Periods {
    /// Those of a time.
    #[inline]
    pub fn at(at: UnixMillis) -> Periods {
        Periods(Window::ALL.map(|window| window.period(at)))
    }

    /// That of a window.
    #[inline]
    pub const fn of(self, window: Window) -> u32 {
        self.0[window as usize]
    }
}

/// By what a cap counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Per {
    /// The campaign.
    Campaign = 0,
    /// Each of its creatives.
    Creative = 1,
    /// Its advertiser, with all of the advertiser's campaigns.
    Advertiser = 2,
}

impl Per {
    /// All of them, by number.
    pub const ALL: [Per; 3] = [Per::Campaign, Per::Creative, Per::Advertiser];

    /// Its name in a campaign file.
    pub const fn label(self) -> &'static str {
        match self {
            Per::Campaign => "campaign",
            Per::Creative => "creative",
            Per::Advertiser => "advertiser",
        }
    }
}

/// One cap of a campaign: it is not shown to a user who has seen so many impressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Of what.
    pub per: Per,
    /// Over what time.
    pub window: Window,
    /// So many are enough.
    pub times: NonZeroU16,
}

/// Kinds of counters there are: each of [`Per`] with each [`Window`].
pub const COUNTERS: usize = Per::ALL.len() * Window::ALL.len();

/// A set of kinds of counters, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters(u16);

impl Counters {
    /// None.
    pub const NONE: Counters = Counters(0);

    /// One.
    #[inline]
    pub const fn of(per: Per, window: Window) -> Counters {
        Counters(1 << Self::place(per, window))
    }

    /// Where a kind stands among [`COUNTERS`].
    #[inline]
    pub const fn place(per: Per, window: Window) -> usize {
        per as usize * Window::ALL.len() + window as usize
    }

    /// Those in either.
    #[must_use]
    pub const fn and(self, other: Counters) -> Counters {
        Counters(self.0 | other.0)
    }

    /// Those that count by this.
    #[must_use]
    pub const fn only(self, per: Per) -> Counters {
        Counters(self.0 & 0xF << (per as usize * Window::ALL.len()))
    }

    /// Whether this is one of them.
    #[inline]
    pub const fn has(self, per: Per, window: Window) -> bool {
        self.0 & Counters::of(per, window).0 != 0
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each, in order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = (Per, Window)> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let place = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some((Per::ALL[place / Window::ALL.len()], Window::ALL[place % Window::ALL.len()]))
        })
    }
}

/// What is shown, as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The campaign.
    pub campaign: CampaignId,
    /// Which of its creatives, by its place in the campaign.
    pub creative: u16,
    /// Whose campaign it is.
    pub advertiser: AdvertiserId,
    /// What some cap counts of it.
    pub counters: Counters,
}

impl Shown {
    /// What a counter counts of it.
    #[inline]
    pub const fn of(&self, per: Per) -> CountOf {
        match per {
            Per::Campaign => CountOf::Campaign(self.campaign),
            Per::Creative => CountOf::Creative(self.campaign, self.creative),
            Per::Advertiser => CountOf::Advertiser(self.advertiser),
        }
    }

    /// All that it counts for.
    #[inline]
    pub fn counts(&self) -> impl Iterator<Item = (CountOf, Window)> {
        self.counters.iter().map(|(per, window)| (self.of(per), window))
    }
}

/// What is enough, by counter; 0 where there is no cap.
pub type Enough = [u16; COUNTERS];

/// What the impressions of a campaign count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The campaign.
    pub campaign: CampaignId,
    /// Whose it is.
    pub advertiser: AdvertiserId,
    /// What some cap counts of it: one of its own, or of another of the advertiser's campaigns.
    pub counters: Counters,
    /// Its own caps.
    pub enough: Enough,
}

impl Counted {
    /// What a campaign with these caps counts for, if `others` of its advertiser's campaigns count by advertiser.
    pub fn new(campaign: CampaignId, advertiser: AdvertiserId, caps: &[Cap], others: Counters) -> Counted {
        let mut enough = Enough::default();
        let mut counters = others.only(Per::Advertiser);
        for cap in caps {
            enough[Counters::place(cap.per, cap.window)] = cap.times.get();
            counters = counters.and(Counters::of(cap.per, cap.window));
        }
        Counted { campaign, advertiser, counters, enough }
    }
}

/// A billed impression on its way to the counters of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// To whom it was shown.
    pub user: UserKey,
    /// What.
    pub shown: Shown,
    /// When it was billed.
    pub at: UnixMillis,
    /// The node's number for the booking: it rises, over restarts too, so that what is told twice counts once.
    pub number: u64,
    /// The campaign's caps, for the estimate of what goes beyond them.
    pub enough: Enough,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond() as u64)
    }

    #[test]
    fn windows_begin_on_the_clock() {
        // Computed with a calendar, not with this code.
        let cases = [
            (Window::Hour, "2026-11-22T20:59:59.999Z", "2026-11-22T21:00:00Z"),
            (Window::Day, "2026-11-22T23:59:59.999Z", "2026-11-23T00:00:00Z"),
            (Window::Week, "2026-11-22T23:59:59.999Z", "2026-11-23T00:00:00Z"),
        ];
        for (window, before, next) in cases {
            assert_eq!(window.period(at(before)) + 1, window.period(at(next)), "{window:?}");
            assert_eq!(window.end(window.period(at(before))), Some(at(next)), "{window:?}");
        }
        assert_eq!(Window::Week.period(at("2026-11-16T00:00:00Z")), Window::Week.period(at("2026-11-22T12:00:00Z")));
        assert_eq!((Window::Lifetime.period(at("2026-11-22T00:00:00Z")), Window::Lifetime.end(0)), (0, None));
        assert_eq!(Window::Hour.period(at("2026-11-22T20:00:00Z")), 498_716);
    }

    #[test]
    fn a_campaign_counts_for_its_own_caps_and_for_those_of_its_advertiser() {
        let cap = |per, window, times| Cap { per, window, times: NonZeroU16::new(times).unwrap() };
        let caps = [cap(Per::Campaign, Window::Day, 3), cap(Per::Creative, Window::Hour, 1)];
        let others = Counters::of(Per::Advertiser, Window::Week).and(Counters::of(Per::Campaign, Window::Week));
        let counted = Counted::new(CampaignId(5), AdvertiserId(7), &caps, others);
        let kinds: Vec<_> = counted.counters.iter().collect();
        assert_eq!(
            kinds,
            [(Per::Campaign, Window::Day), (Per::Creative, Window::Hour), (Per::Advertiser, Window::Week)]
        );
        assert_eq!(counted.enough.iter().filter(|times| **times > 0).count(), 2, "others' caps are not its own");
        let Counted { campaign, advertiser, counters, .. } = counted;
        let of: Vec<_> = Shown { campaign, creative: 2, advertiser, counters }.counts().map(|(of, _)| of).collect();
        assert_eq!(
            of,
            [
                CountOf::Campaign(CampaignId(5)),
                CountOf::Creative(CampaignId(5), 2),
                CountOf::Advertiser(AdvertiserId(7))
            ]
        );
    }
}
