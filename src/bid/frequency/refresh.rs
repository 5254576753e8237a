//! Which users are asked for again: what other nodes bill is known only once the store is asked.
//!
//! A user is asked for when a bid is made, so that the next request of the same user finds what the store knew. How old a load may
//! be depends on how much room it left: [`NEAR_S`] where the bid could be the last that a cap allows, [`FAR_S`] otherwise. A core asks
//! for at most [`limits::REFRESHES`] users in a second, whatever comes; those beyond wait for their next bid.

use arrayvec::ArrayVec;

use crate::limits;
use crate::units::{Nanos, UserKey};

/// Impressions left under the nearest cap, the bid included, at which a user is near it.
const NEAR: u32 = 1;
/// How old a load may be near a cap, s.
const NEAR_S: u16 = 5;
/// How old it may be elsewhere, s.
const FAR_S: u16 = 30;
/// Users waiting for the loop to take them.
const WAITING: usize = 32;

/// Users to be asked for again.
#[derive(Debug, Default)]
pub struct Refresh {
    waiting: ArrayVec<UserKey, WAITING>,
    /// The second that is being counted, and what was asked in it.
    second: u16,
    asked: u32,
}

/// Seconds, modulo 2^16: a load older than 18 hours may look young once, for as long as it may be old.
#[inline]
pub(super) fn second(now: Nanos) -> u16 {
    (now.0 / Nanos::SECOND) as u16
}

impl Refresh {
    /// A bid was made for a user, and leaves so many impressions under the nearest cap; the counts were `loaded` in that second.
    #[inline]
    pub(super) fn after_bid(&mut self, user: UserKey, left: u32, loaded: Option<u16>, now: Nanos) {
        let second = second(now);
        if second != self.second {
            (self.second, self.asked) = (second, 0);
        }
        let may_be = if left <= NEAR { NEAR_S } else { FAR_S };
        let is_stale = loaded.is_none_or(|loaded| second.wrapping_sub(loaded) >= may_be);
        if is_stale && self.asked < limits::REFRESHES && !self.waiting.contains(&user) && !self.waiting.is_full() {
            self.waiting.push(user);
            self.asked += 1;
        }
    }

    /// The next of them.
    #[inline]
    pub(super) fn take(&mut self) -> Option<UserKey> {
        self.waiting.pop()
    }
}
