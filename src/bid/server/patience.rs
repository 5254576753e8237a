//! Who holds something scarce, and since when: memory for input that does not come whole, answer buffers that a peer does not
//! empty. When it runs short, who has held it for longest gives it up; and nobody holds it for ever.
//!
//! A search looks at every place, 16 bytes each: some microseconds for the largest of these tables, and only when something
//! has run short or once in [`SWEEP_NS`]. Nothing is kept in order, so that who is served at once costs two stores.

use crate::bid::net::Conn;
use crate::units::Nanos;

/// How often it is looked whose time is up, ns.
pub(super) const SWEEP_NS: u64 = Nanos::SECOND;

/// The places of something scarce.
pub(super) struct Waits {
    places: Box<[Wait]>,
    count: usize,
}

#[derive(Clone, Copy)]
struct Wait {
    conn: Conn,
    /// [`Nanos::NEVER`]: nobody.
    since: Nanos,
}

const NOBODY: Wait = Wait { conn: Conn { index: 0, generation: 0 }, since: Nanos::NEVER };

impl Waits {
    /// So many places, nobody's.
    pub(super) fn new(places: usize) -> Waits {
        Waits { places: vec![NOBODY; places].into(), count: 0 }
    }

    /// A connection holds a place from `since` on, whoever had it before.
    #[inline]
    pub(super) fn begin(&mut self, place: u16, conn: Conn, since: Nanos) {
        let wait = &mut self.places[usize::from(place)];
        self.count += usize::from(wait.since == Nanos::NEVER);
        *wait = Wait { conn, since };
    }

    /// Nobody holds it any more.
    #[inline]
    pub(super) fn end(&mut self, place: u16) {
        let wait = &mut self.places[usize::from(place)];
        self.count -= usize::from(wait.since != Nanos::NEVER);
        wait.since = Nanos::NEVER;
    }

    /// Since when a place is held, if it is.
    #[inline]
    pub(super) fn since(&self, place: u16) -> Option<Nanos> {
        Some(self.places[usize::from(place)].since).filter(|&since| since != Nanos::NEVER)
    }

    /// Whether any place is held.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.count > 0
    }

    /// Who has held a place for longest.
    pub(super) fn oldest(&self) -> Option<(Conn, Nanos)> {
        if !self.any() {
            return None;
        }
        let wait = self.places.iter().min_by_key(|wait| wait.since)?;
        (wait.since != Nanos::NEVER).then_some((wait.conn, wait.since))
    }

    /// Whoever holds a place from `from` on since `until` or before, and where to look on.
    pub(super) fn overdue(&self, from: usize, until: Nanos) -> Option<(Conn, usize)> {
        if !self.any() {
            return None;
        }
        let found = self.places[from..].iter().position(|wait| wait.since <= until)?;
        Some((self.places[from + found].conn, from + found + 1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn conn(index: u32) -> Conn {
        Conn { index, generation: index / 3 }
    }

    proptest! {
        /// Against a map: whatever is begun and ended, the oldest is found, and all that are overdue are, each once.
        #[test]
        fn who_waits_is_found(
            steps in prop::collection::vec((any::<bool>(), 0u16..8, 0u32..100, 0u64..50), 0..200),
            until in 0u64..60,
        ) {
            let (mut waits, mut oracle) = (Waits::new(8), BTreeMap::new());
            for (begins, place, index, since) in steps {
                if begins {
                    waits.begin(place, conn(index), Nanos(since));
                    oracle.insert(place, (conn(index), Nanos(since)));
                } else {
                    waits.end(place);
                    oracle.remove(&place);
                }
                prop_assert_eq!(waits.any(), !oracle.is_empty());
                prop_assert_eq!(waits.since(place), oracle.get(&place).map(|(_, since)| *since));
                let oldest = oracle.values().map(|(_, since)| *since).min();
                prop_assert_eq!(waits.oldest().map(|(_, since)| since), oldest);
                if let Some(found) = waits.oldest() {
                    prop_assert!(oracle.values().any(|held| *held == found));
                }
            }
            let (mut at, mut overdue) = (0, Vec::new());
            while let Some((conn, next)) = waits.overdue(at, Nanos(until)) {
                overdue.push(conn);
                at = next;
            }
            let expected: Vec<_> =
                oracle.values().filter(|(_, since)| *since <= Nanos(until)).map(|(conn, _)| *conn).collect();
            prop_assert_eq!(overdue, expected);
        }
    }
}
