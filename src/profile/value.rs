//! What is known of a user, as it is stored and cached: one run of bytes, read in place.
//!
//! ```text
//!   0       1     2        4       6             6 or 15
//!   ┌───────┬─────┬────────┬───────┬─────────────┬─────────────────┬──────────────────┐
//!   │version│flags│segments│counts │ consent (9) │ segments, 4 each│ counts, 12 each  │   little endian
//!   └───────┴─────┴────────┴───────┴─────────────┴─────────────────┴──────────────────┘
//!   consent  seconds u32, purposes u32, source u8; if bit 0 of the flags is set
//!   segment  u32, ascending
//!   count    id u32, (period << 4 | window << 2 | of what) u32, creative u16, times u16; ascending
//! ```
//!
//! Segments are asked for once per candidate, so they stand as they are compared: differences in variable length would take
//! less room, and each question a walk over all of them (`benches/profiles.rs`). There is one spelling of each profile:
//! what is not in order, or longer than it says, is refused. Stores and files are asked through [`Profile::check`] once; what a
//! shard holds has passed it.

use std::fmt;

use super::count::{Count, CountOf, Window};
use crate::limits;
use crate::units::{AdvertiserId, CampaignId, SegmentId};

const VERSION: u8 = 1;
const HEAD: usize = 6;
const CONSENT: usize = 9;
const CONSENT_FLAG: u8 = 1;
const SEGMENT: usize = 4;
const COUNT: usize = 12;
/// Bits of a count's period: hours since 1970 need 19.
const PERIOD_BITS: u32 = 28;
/// Purposes of the TCF, and its special features after them, that a record can name.
const PURPOSE_BITS: u32 = 0x00ff_ffff;

/// A profile, in the bytes of its value.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a> {
    /// Which segments the user is in.
    pub segments: Segments<'a>,
    /// Impressions when the value was written.
    pub counts: Counts<'a>,
    /// What the user allowed when last asked, if that was kept.
    pub consent: Option<ConsentRecord>,
}

/// The consent under which a profile was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsentRecord {
    /// When it was given: seconds of Unix time.
    pub seconds: u32,
    /// Bit `n - 1` for purpose `n` of the TCF; 24 of them.
    pub purposes: u32,
    /// What said so.
    pub source: ConsentSource,
}

/// What a consent was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ConsentSource {
    /// A TCF string.
    Tcf = 0,
    /// A GPP string.
    Gpp = 1,
    /// A US privacy string.
    UsPrivacy = 2,
    /// The user's own word to us, not an exchange's.
    Direct = 3,
}

/// Why a value is no profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Of a version, or with flags, that this program does not know.
    Version,
    /// Shorter or longer than it says, or longer than [`limits::PROFILE_BYTES`].
    Length,
    /// The consent record names purposes or a source that there are not.
    Consent,
    /// More than [`limits::SEGMENTS`], out of order or repeated.
    Segments,
    /// A count of nothing, of an unknown kind, out of order or repeated.
    Counts,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Broken::Version => "its version is unknown",
            Broken::Length => "its length is wrong",
            Broken::Consent => "its consent record is broken",
            Broken::Segments => "its segments are broken",
            Broken::Counts => "its counts are broken",
        })
    }
}

impl std::error::Error for Broken {}

impl Default for Profile<'_> {
    fn default() -> Self {
        Profile { segments: Segments(&[]), counts: Counts(&[]), consent: None }
    }
}

impl<'a> Profile<'a> {
    /// Reads a value from a place that may hold anything.
    ///
    /// # Errors
    /// What is wrong first.
    pub fn check(value: &'a [u8]) -> Result<Profile<'a>, Broken> {
        if value.first().is_some_and(|version| *version != VERSION) || value.get(1).is_some_and(|f| *f > CONSENT_FLAG) {
            return Err(Broken::Version);
        }
        let profile =
            Profile::read_checked(value).filter(|_| value.len() <= limits::PROFILE_BYTES).ok_or(Broken::Length)?;
        if value[1] & CONSENT_FLAG != 0 && profile.consent.is_none_or(|consent| consent.purposes & !PURPOSE_BITS != 0) {
            return Err(Broken::Consent);
        }
        if profile.segments.len() > limits::SEGMENTS || !profile.segments.iter().is_sorted_by(|a, b| a < b) {
            return Err(Broken::Segments);
        }
        let mut before = None;
        for bytes in profile.counts.0 {
            let key = decode(bytes).filter(|count| encode(count) == Some(*bytes)).map(|count| order(&count));
            if key.is_none() || key <= before {
                return Err(Broken::Counts);
            }
            before = key;
        }
        Ok(profile)
    }

    /// Reads a value that [`Profile::check`] has passed; `None` if its length shows that it has not.
    #[inline]
    pub fn read_checked(value: &'a [u8]) -> Option<Profile<'a>> {
        let (&[_, flags, s0, s1, c0, c1], rest) = value.split_first_chunk::<HEAD>()?;
        let (consent, rest) = match flags & CONSENT_FLAG {
            0 => (None, rest),
            _ => rest.split_first_chunk::<CONSENT>().map(|(record, rest)| (consent(record), rest))?,
        };
        let segments = usize::from(u16::from_le_bytes([s0, s1]));
        let (segments, counted) = rest.split_at_checked(SEGMENT * segments)?;
        let counts = usize::from(u16::from_le_bytes([c0, c1]));
        let (segments, counts) = match (segments.as_chunks(), counted.as_chunks()) {
            ((segments, []), (all, [])) if all.len() == counts => (segments, all),
            _ => return None,
        };
        Some(Profile { segments: Segments(segments), counts: Counts(counts), consent })
    }
}

/// The segments of a profile, ascending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segments<'a>(&'a [[u8; SEGMENT]]);

impl<'a> Segments<'a> {
    /// Whether the user is in a segment.
    #[inline]
    pub fn contains(self, segment: SegmentId) -> bool {
        self.0.binary_search_by_key(&segment.0, |bytes| u32::from_le_bytes(*bytes)).is_ok()
    }

    /// Each of them, ascending.
    pub fn iter(self) -> impl ExactSizeIterator<Item = SegmentId> + 'a {
        self.0.iter().map(|bytes| SegmentId(u32::from_le_bytes(*bytes)))
    }

    /// How many.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether the user is in none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// The counts of a profile, ascending by what is counted, window and period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts<'a>(&'a [[u8; COUNT]]);

impl<'a> Counts<'a> {
    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Count> + 'a {
        self.0.iter().filter_map(decode)
    }

    /// How many.
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// Writes a profile's value, in place of what `out` holds. Segments and counts may come in any order and more than once: of
/// counts of the same, the last is kept.
///
/// # Errors
/// What does not fit a value; `out` is then empty.
pub fn write(
    segments: &mut Vec<SegmentId>,
    counts: &mut Vec<Count>,
    record: Option<ConsentRecord>,
    out: &mut Vec<u8>,
) -> Result<(), Broken> {
    segments.sort_unstable();
    segments.dedup();
    // A stable sort: of equals, the last one is the newest.
    counts.sort_by_key(order);
    counts.reverse();
    counts.dedup_by_key(|count| order(count));
    counts.reverse();

    out.clear();
    let [s0, s1] = u16::try_from(segments.len()).map_err(|_| Broken::Segments)?.to_le_bytes();
    let [c0, c1] = u16::try_from(counts.len()).map_err(|_| Broken::Counts)?.to_le_bytes();
    out.extend([VERSION, if record.is_some() { CONSENT_FLAG } else { 0 }, s0, s1, c0, c1]);
    if let Some(ConsentRecord { seconds, purposes, source }) = record {
        out.extend(seconds.to_le_bytes());
        out.extend(purposes.to_le_bytes());
        out.push(source as u8);
    }
    segments.iter().for_each(|segment| out.extend(segment.0.to_le_bytes()));
    let written = counts.iter().try_for_each(|count| encode(count).map(|bytes| out.extend(bytes)));
    let checked = written.ok_or(Broken::Counts).and_then(|()| Profile::check(out).map(|_| ()));
    checked.inspect_err(|_| out.clear())
}

/// What two counts of one profile must differ in.
fn order(count: &Count) -> (CountOf, Window, u32) {
    (count.of, count.window, count.period)
}

fn encode(count: &Count) -> Option<[u8; COUNT]> {
    let (of, id, creative) = match count.of {
        CountOf::Campaign(id) => (0, id.0, 0),
        CountOf::Creative(id, creative) => (1, id.0, creative),
        CountOf::Advertiser(id) => (2, id.0, 0),
    };
    let timeless = count.window != Window::Lifetime || count.period == 0;
    if count.period >> PERIOD_BITS != 0 || count.times == 0 || !timeless {
        return None;
    }
    let ([i0, i1, i2, i3], [c0, c1]) = (id.to_le_bytes(), creative.to_le_bytes());
    let [p0, p1, p2, p3] = (count.period << 4 | (count.window as u32) << 2 | of).to_le_bytes();
    let [t0, t1] = count.times.to_le_bytes();
    Some([i0, i1, i2, i3, p0, p1, p2, p3, c0, c1, t0, t1])
}

fn decode(bytes: &[u8; COUNT]) -> Option<Count> {
    let &[i0, i1, i2, i3, p0, p1, p2, p3, c0, c1, t0, t1] = bytes;
    let (id, when) = (u32::from_le_bytes([i0, i1, i2, i3]), u32::from_le_bytes([p0, p1, p2, p3]));
    let of = match when & 3 {
        0 => CountOf::Campaign(CampaignId(id)),
        1 => CountOf::Creative(CampaignId(id), u16::from_le_bytes([c0, c1])),
        2 => CountOf::Advertiser(AdvertiserId(id)),
        _ => return None,
    };
    let window = [Window::Hour, Window::Day, Window::Week, Window::Lifetime][(when >> 2 & 3) as usize];
    Some(Count { of, window, period: when >> 4, times: u16::from_le_bytes([t0, t1]) })
}

#[inline]
fn consent(record: &[u8; CONSENT]) -> Option<ConsentRecord> {
    let &[s0, s1, s2, s3, p0, p1, p2, p3, source] = record;
    let source = match source {
        0 => ConsentSource::Tcf,
        1 => ConsentSource::Gpp,
        2 => ConsentSource::UsPrivacy,
        3 => ConsentSource::Direct,
        _ => return None,
    };
    let (seconds, purposes) = (u32::from_le_bytes([s0, s1, s2, s3]), u32::from_le_bytes([p0, p1, p2, p3]));
    Some(ConsentRecord { seconds, purposes, source })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_count() -> impl Strategy<Value = Count> {
        let of = (0..3u8, any::<u32>(), any::<u16>()).prop_map(|(kind, id, creative)| match kind {
            0 => CountOf::Campaign(CampaignId(id)),
            1 => CountOf::Creative(CampaignId(id), creative),
            _ => CountOf::Advertiser(AdvertiserId(id)),
        });
        let window = prop::sample::select(vec![Window::Hour, Window::Day, Window::Week, Window::Lifetime]);
        (of, window, 0..1u32 << PERIOD_BITS, 1..=u16::MAX).prop_map(|(of, window, period, times)| Count {
            of,
            window,
            period: if window == Window::Lifetime { 0 } else { period },
            times,
        })
    }

    fn any_consent() -> impl Strategy<Value = ConsentRecord> {
        let source = prop::sample::select(vec![
            ConsentSource::Tcf,
            ConsentSource::Gpp,
            ConsentSource::UsPrivacy,
            ConsentSource::Direct,
        ]);
        (any::<u32>(), 0..=PURPOSE_BITS, source).prop_map(|(seconds, purposes, source)| ConsentRecord {
            seconds,
            purposes,
            source,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            segments in prop::collection::vec(0..400u32, 0..200),
            counts in prop::collection::vec(any_count(), 0..100),
            consent in prop::option::of(any_consent()),
        ) {
            let mut value = vec![9; 9];
            let ids = || segments.iter().map(|id| SegmentId(*id));
            write(&mut ids().collect(), &mut counts.clone(), consent, &mut value).unwrap();
            let profile = Profile::check(&value).unwrap();
            let set: std::collections::BTreeSet<SegmentId> = ids().collect();
            prop_assert!(profile.segments.iter().eq(set.iter().copied()));
            for id in 0..410 {
                prop_assert_eq!(profile.segments.contains(SegmentId(id)), set.contains(&SegmentId(id)));
            }
            let map: std::collections::BTreeMap<_, _> = counts.iter().map(|count| (order(count), *count)).collect();
            prop_assert!(profile.counts.iter().eq(map.values().copied()));
            prop_assert_eq!(profile.consent, consent);
            prop_assert!(Profile::check(&value[..value.len() - 1]).is_err());
            value.push(0);
            prop_assert_eq!(Profile::check(&value).unwrap_err(), Broken::Length);
        }

        #[test]
        fn there_is_one_spelling(value in prop::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>()) {
            let mut value = value;
            if let [version, flags, s0, s1, c0, c1, ..] = &mut value[..] {
                (*version, *flags) = (VERSION, *flags & 1);
                ([*s0, *s1], [*c0, *c1]) = ([*s0 % 8, 0], [*c0 % 3, 0]);
                let long = HEAD + CONSENT * usize::from(*flags) + SEGMENT * usize::from(*s0) + COUNT * usize::from(*c0);
                value.resize(long, at.index(7) as u8);
            }
            if let Ok(profile) = Profile::check(&value) {
                let mut again = Vec::new();
                let (mut segments, mut counts) = (profile.segments.iter().collect(), profile.counts.iter().collect());
                write(&mut segments, &mut counts, profile.consent, &mut again).unwrap();
                prop_assert_eq!(again, value);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let count = Count { of: CountOf::Campaign(CampaignId(1)), window: Window::Day, period: 20_000, times: 2 };
        let record = ConsentRecord { seconds: 1, purposes: 0b1001, source: ConsentSource::Tcf };
        let mut value = Vec::new();
        let segments = [SegmentId(5), SegmentId(6)];
        write(&mut segments.to_vec(), &mut vec![count], Some(record), &mut value).unwrap();
        assert_eq!(value.len(), HEAD + CONSENT + 2 * SEGMENT + COUNT);
        let with = |at: usize, byte: u8| {
            let mut value = value.clone();
            value[at] = byte;
            Profile::check(&value).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(0, 2), Broken::Version);
        assert_eq!(with(1, 2), Broken::Version);
        assert_eq!(with(1, 0), Broken::Length);
        assert_eq!(with(2, 1), Broken::Length);
        assert_eq!(with(13, 1), Broken::Consent, "purpose 25");
        assert_eq!(with(14, 4), Broken::Consent);
        assert_eq!(with(15, 6), Broken::Segments, "repeated");
        assert_eq!(with(15, 7), Broken::Segments, "out of order");
        assert_eq!(with(27, value[27] | 3), Broken::Counts, "of what?");
        assert_eq!(with(33, 0), with(31, 1), "no times, or a creative of a campaign's count");
        assert_eq!(Profile::check(&[]).unwrap_err(), Broken::Length);

        let mut out = Vec::new();
        let many = |n: u32| (0..n).map(SegmentId).collect::<Vec<_>>();
        assert_eq!(write(&mut many(257), &mut Vec::new(), None, &mut out), Err(Broken::Segments));
        let long = (0..400).map(|period| Count { period, ..count }).collect::<Vec<_>>();
        assert_eq!(write(&mut many(256), &mut long.clone(), None, &mut out), Err(Broken::Length));
        assert_eq!(write(&mut vec![], &mut vec![Count { times: 0, ..count }], None, &mut out), Err(Broken::Counts));
        assert!(out.is_empty());
    }
}
