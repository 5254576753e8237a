//! Copies of one auction: a publisher offers an impression through several supply paths, and each asks us.
//!
//! Bidding against ourselves raises the price, so a copy of what was bid on is not bid on again for a moment. A path that got
//! no bid does not shadow one that can get one. What makes two requests copies is who is asked for and what is offered, and
//! nothing that a path makes up itself: not the ids of request and impressions, not `tagid`, not the floor. Two equal slots
//! of one page that are asked for apart look the same; that is why nothing is turned away unless it is asked for.
//!
//! Each core remembers what it bid on itself, for as long as the window is, in a table of fixed size: copies that reach
//! another core are not seen, and when a set is full of the living the oldest is forgotten.

use crate::bid::comply::Personal;
use crate::limits;
use crate::snapshot::targeting::codes;
use crate::units::Nanos;
use crate::wire::openrtb::request::{BidRequest, Imp};

const WAYS: usize = 4;

/// What was bid on in the last moments, by fingerprint.
#[derive(Debug)]
pub struct Duplicates {
    /// Empty: switched off.
    sets: Box<[[Entry; WAYS]]>,
    window_ns: u64,
    evictions: u64,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
struct Entry {
    /// 0 is empty.
    fingerprint: u64,
    bid_at: Nanos,
}

const _: () = assert!(size_of::<[Entry; WAYS]>() == 64);

/// What two copies of a request have in common, hashed; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Duplicates {
    /// A table for a window of so many milliseconds; without one nothing is ever seen, and no memory taken.
    pub fn new(window_ms: Option<u32>) -> Duplicates {
        let sets = if window_ms.is_some() { limits::DUPLICATES / WAYS } else { 0 };
        let window_ns = u64::from(window_ms.unwrap_or(0)) * Nanos::MS;
        Duplicates { sets: vec![[Entry::default(); WAYS]; sets].into_boxed_slice(), window_ns, evictions: 0 }
    }

    /// Whether anything is ever seen.
    #[inline]
    pub fn is_on(&self) -> bool {
        !self.sets.is_empty()
    }

    /// Whether a request with this fingerprint was bid on less than a window ago.
    #[inline]
    pub fn seen(&self, fingerprint: Fingerprint, now: Nanos) -> bool {
        self.is_on()
            && self.sets[self.place(fingerprint)]
                .iter()
                .any(|entry| entry.fingerprint == fingerprint.0 && now.since(entry.bid_at) < self.window_ns)
    }

    /// Remembers that a request with this fingerprint was bid on.
    #[inline]
    pub fn note(&mut self, fingerprint: Fingerprint, now: Nanos) {
        if !self.is_on() {
            return;
        }
        let set = &mut self.sets[self.place(fingerprint)];
        let own = set.iter().position(|entry| entry.fingerprint == fingerprint.0);
        let way = own.unwrap_or_else(|| (0..WAYS).min_by_key(|&way| set[way].bid_at).unwrap_or(0));
        let forgotten = own.is_none() && set[way].fingerprint != 0 && now.since(set[way].bid_at) < self.window_ns;
        self.evictions += u64::from(forgotten);
        set[way] = Entry { fingerprint: fingerprint.0, bid_at: now };
    }

    /// Bids that were forgotten before their window was over.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    #[inline]
    fn place(&self, Fingerprint(fingerprint): Fingerprint) -> usize {
        (fingerprint >> 32) as usize & (self.sets.len() - 1)
    }
}

const _: () = assert!((limits::DUPLICATES / WAYS).is_power_of_two());

const USER: u64 = 0x6A09_E667_F3BC_C908;
const DEVICE: u64 = 0xBB67_AE85_84CA_A73B;
const PLACE: u64 = 0x3C6E_F372_FE94_F82B;
const SIZE: u64 = 0xA54F_F53A_5F1D_36F1;

/// The fingerprint of a request; `None` if it says too little of its user or its inventory to be told from others'. It
/// stands for a person, by the advertising id or else by address and user agent: only of somebody who may be known.
pub fn fingerprint(
    request: &BidRequest<'_>,
    (domain, bundle): (&[u8], &[u8]),
    _personal: &Personal,
) -> Option<Fingerprint> {
    let device = &request.device;
    let same = |word| word;
    let user = if !device.ifa.is_empty() {
        codes::hash(USER, device.ifa.raw, codes::lower)
    } else {
        let address = if device.ip.is_empty() { device.ipv6 } else { device.ip };
        if device.ua.is_empty() || address.is_empty() {
            return None;
        }
        codes::hash(codes::hash(DEVICE, address.raw, codes::lower), device.ua.raw, same)
    };
    if domain.is_empty() && bundle.is_empty() {
        return None;
    }
    let place = codes::hash(codes::hash(PLACE ^ user, domain, codes::lower), bundle, same);
    // Paths put impressions and sizes in orders of their own: sums do not mind.
    let offered = request.imps.iter().fold(0u64, |sum, imp| sum.wrapping_add(offered(imp)));
    let count = request.imps.len() as u64;
    Some(Fingerprint(codes::hash(place ^ count, &offered.to_le_bytes(), same).max(1)))
}

/// The formats and sizes of an impression, as one number.
fn offered(imp: &Imp<'_>) -> u64 {
    let formats = [imp.banner.is_some(), imp.video.is_some(), imp.audio.is_some(), imp.native.is_some()].map(u8::from);
    let sizes = imp.banner.iter().flat_map(|banner| &banner.sizes).map(|size| {
        let [[a, b], [c, d]] = [size.w.to_le_bytes(), size.h.to_le_bytes()];
        codes::hash(SIZE, &[a, b, c, d], |word| word)
    });
    codes::hash(sizes.fold(SIZE, u64::wrapping_add), &formats, |word| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_when_a_set_is_full() {
        let mut table = Duplicates::new(Some(200));
        let fingerprint = |low: u64| Fingerprint(7 << 32 | low);
        let at = |ms: u64| Nanos(ms * Nanos::MS);
        for low in 1..=5 {
            table.note(fingerprint(low), at(low));
        }
        assert_eq!(
            (1..=5).map(|low| table.seen(fingerprint(low), at(6))).collect::<Vec<_>>(),
            [false, true, true, true, true]
        );
        assert_eq!(table.evictions(), 1);
        // Known again: its own place. Over: anybody's.
        table.note(fingerprint(3), at(100));
        assert!(!table.seen(fingerprint(2), at(202)) && table.seen(fingerprint(3), at(299)));
        table.note(fingerprint(1), at(250));
        assert!(table.seen(fingerprint(1), at(250)) && table.evictions() == 1);
        let mut off = Duplicates::new(None);
        off.note(fingerprint(1), at(1));
        assert!(!off.seen(fingerprint(1), at(1)));
    }
}
