//! The user behind a request, as far as it may be known.

use crate::bid::admit::Exchange;
use crate::bid::comply::Personal;
use crate::bid::frequency::{FrequencyShard, Seen};
use crate::bid::profile::ProfileShard;
use crate::snapshot::campaign::Campaign;
use crate::snapshot::profiles::{ANY_EXCHANGE, UserKeys};
use crate::units::{Now, SegmentId, UserKey};
use crate::wire::openrtb::request::BidRequest;

/// What is known of a user.
#[derive(Debug)]
pub struct User<'s> {
    /// The pseudonym; nobody's without an id, or without leave to use it.
    key: UserKey,
    /// Sorted; nothing if there is no profile.
    segments: Option<&'s [SegmentId]>,
}

impl<'s> User<'s> {
    /// Looks the user up, if the request has an id and the token that allows it. `buyeruid`, our own id for the user, comes
    /// before the exchange's `user.id`.
    pub fn know(
        personal: Option<Personal>,
        request: &BidRequest<'_>,
        exchange: &Exchange,
        keys: &UserKeys,
        shard: &'s mut ProfileShard,
    ) -> User<'s> {
        // Our own id means the same user everywhere, the exchange's only there.
        let (exchange, id) = match request.buyeruid.is_empty() {
            true => (&*exchange.name, request.user_id),
            false => (ANY_EXCHANGE, request.buyeruid),
        };
        let mut room = [0; 256];
        match (personal, id.unescape(&mut room)) {
            (Some(personal), Some(id)) if !id.is_empty() => {
                let key = keys.key(exchange, id);
                User { key, segments: shard.lookup(&personal, key) }
            }
            _ => User { key: UserKey::NOBODY, segments: None },
        }
    }

    /// The pseudonym, for the notice that will count the impression.
    pub fn key(&self) -> UserKey {
        self.key
    }

    /// Sorted segments; none of a user without a profile.
    pub fn segments(&self) -> &'s [SegmentId] {
        self.segments.unwrap_or_default()
    }

    /// How many segments, if there is a profile.
    pub fn profile(&self) -> Option<usize> {
        self.segments.map(<[SegmentId]>::len)
    }

    /// Whether a creative of the campaign may be shown so many `times` more under all of its caps. A capped campaign is not shown to
    /// nobody: what cannot be counted cannot be capped.
    #[inline]
    pub fn may_see(&self, campaign: &Campaign, creative: u8, times: usize, seen: &Seen<'_>) -> bool {
        if campaign.frequency.is_empty() {
            return true;
        }
        let shown = campaign.shown(creative);
        self.key != UserKey::NOBODY
            && campaign
                .frequency
                .iter()
                .all(|cap| seen.times(shown.of(cap.per), cap.window) as usize + times <= usize::from(cap.times.get()))
    }

    /// Counts a bid against the caps, until it is billed or forgotten.
    #[inline]
    pub fn will_see(&self, campaign: &Campaign, creative: u8, shard: &mut FrequencyShard, now: Now) {
        let shown = campaign.shown(creative);
        if !shown.counters.is_empty() {
            shard.reserve(self.key, &shown, &campaign.counted.enough, now);
        }
    }
}
