//! The live estimate of impressions beyond a cap: of one user in a thousand or so, every billed impression is counted exactly and held
//! against the caps of its campaign. The decision knows nothing of it.

use std::collections::HashMap;

use super::count::{CountOf, Counters, Delta, Enough, Periods, Shown, Window};
use crate::limits;
use crate::metrics::counter::Counter;
use crate::units::{UnixMillis, UserKey};

/// One user in so many is counted.
pub const ONE_IN: u64 = 1024;

/// What the estimate found. One thread writes it: the reconciliation core, or the stores thread where there is one.
#[derive(Debug, Default)]
pub struct Tally {
    /// Billed impressions under a cap, of the users who are counted.
    pub bills: Counter,
    /// Those of them that went beyond a cap.
    pub over: Counter,
}

impl Tally {
    /// Counts a bill that made these counts of a user who is counted.
    pub fn bill(&self, enough: &Enough, counts: impl IntoIterator<Item = ((CountOf, Window), u32)>, shown: &Shown) {
        if enough.iter().all(|times| *times == 0) {
            return;
        }
        let is_over = |(count, times): ((CountOf, Window), u32)| {
            let kind = shown.counters.iter().find(|(per, window)| (shown.of(*per), *window) == count);
            let enough = kind.map_or(0, |(per, window)| enough[Counters::place(per, window)]);
            enough > 0 && times > u32::from(enough)
        };
        self.bills.add(1);
        self.over.add(u64::from(counts.into_iter().any(is_over)));
    }
}

/// Whether a user is one of those. The region, in the top bits of the key, has no say in it.
#[inline]
pub const fn is_shadowed(user: UserKey) -> bool {
    (user.0 << 8).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54 == 0 && user.0 != UserKey::NOBODY.0
}

/// Exact counts of those users, for a node that has no store to ask: all of their impressions are billed here.
#[derive(Debug, Default)]
pub struct Shadow {
    counts: HashMap<(UserKey, CountOf, Window, u32), u32>,
    /// When counts whose period is over were last removed, by the hour.
    swept: u32,
}

impl Shadow {
    /// Counts a bill, if its user is one of those and there is room for what is new.
    pub fn bill(&mut self, delta: &Delta, tally: &Tally) {
        if !is_shadowed(delta.user) {
            return;
        }
        self.sweep(delta.at);
        let periods = Periods::at(delta.at);
        let key = |(of, window): (CountOf, Window)| (delta.user, of, window, periods.of(window));
        let new = delta.shown.counts().filter(|count| !self.counts.contains_key(&key(*count))).count();
        if self.counts.len() + new > limits::SHADOW_COUNTS {
            return;
        }
        let counts: Vec<_> = delta.shown.counts().collect();
        let counted = counts.into_iter().map(|count| {
            let times = self.counts.entry(key(count)).or_default();
            *times += 1;
            (count, *times)
        });
        let counted: Vec<_> = counted.collect();
        tally.bill(&delta.enough, counted, &delta.shown);
    }

    fn sweep(&mut self, at: UnixMillis) {
        let hour = Window::Hour.period(at);
        if hour > self.swept {
            self.swept = hour;
            self.counts.retain(|(_, _, window, period), _| window.end(*period).is_none_or(|end| end > at));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::profile::count::{Cap, Counted, Per};
    use crate::units::{AdvertiserId, CampaignId};

    #[test]
    fn one_user_in_a_thousand_is_counted_whatever_the_region() {
        let of = |region: u64| {
            (0..200_000).filter(|user| is_shadowed(UserKey((region << 62) | (user * 0x1234_5677)))).count()
        };
        for region in 0..4 {
            assert!((120..280).contains(&of(region)), "{}", of(region));
        }
        assert!(!is_shadowed(UserKey::NOBODY));
    }

    #[test]
    fn bills_beyond_a_cap_are_counted_and_a_period_ends() {
        let user = (1..).map(UserKey).find(|user| is_shadowed(*user)).unwrap();
        let cap = |per, window, times| Cap { per, window, times: NonZeroU16::new(times).unwrap() };
        let caps = [cap(Per::Campaign, Window::Day, 2), cap(Per::Advertiser, Window::Lifetime, 4)];
        let counted = Counted::new(CampaignId(1), AdvertiserId(2), &caps, Counters::NONE);
        let Counted { campaign, advertiser, counters, enough } = counted;
        let shown = Shown { campaign, creative: 0, advertiser, counters };
        let (mut shadow, tally) = (Shadow::default(), Tally::default());
        let mut bill = |user, day: u64| {
            shadow.bill(&Delta { user, shown, at: UnixMillis(day * UnixMillis::DAY), number: 0, enough }, &tally);
            (tally.bills.get(), tally.over.get())
        };
        assert_eq!([bill(user, 1), bill(user, 1), bill(user, 1)], [(1, 0), (2, 0), (3, 1)]);
        assert_eq!([bill(user, 2), bill(user, 2)], [(4, 1), (5, 2)], "four in all, and the fifth");
        let other = (user.0 + 1..).map(UserKey).find(|user| !is_shadowed(*user)).unwrap();
        assert_eq!(bill(other, 1), (5, 2));
        assert!(shadow.counts.keys().all(|(_, _, window, period)| *window == Window::Lifetime || *period == 2));
    }
}
