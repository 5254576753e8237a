//! A queue of values in one run of memory: entries are written at its head and leave at its tail, so that nothing is ever
//! searched for room and the oldest is always at hand.
//!
//! ```text
//!   0          8         12       14     15     16
//!   ┌──────────┬─────────┬────────┬──────┬──────┬───────────────┬─────────┐
//!   │ user     │ seconds │ length │ used │  0   │ value         │ to 16   │   user 0: erased, or the rest of the run
//!   └──────────┴─────────┴────────┴──────┴──────┴───────────────┴─────────┘
//! ```
//!
//! Bytes that belong to no entry are zero: what leaves is wiped at once, so that an erased user is in no forgotten corner.

use crate::units::UserKey;

/// Entries begin at multiples of this, bytes.
const UNIT: usize = 16;
const HEAD: usize = 16;

/// Where an entry begins, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) u32);

impl Place {
    fn bytes(self) -> usize {
        self.0 as usize * UNIT
    }
}

/// What an entry says of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) user: UserKey,
    /// When it was promoted: seconds of the boot clock.
    pub(super) seconds: u32,
    /// Of the value, bytes.
    pub(super) length: u16,
    /// Times it was asked for since it was last considered, to [`Head::MOST_USED`].
    pub(super) used: u8,
}

impl Head {
    pub(super) const MOST_USED: u8 = 3;

    fn encode(self) -> [u8; HEAD] {
        let Head { user, seconds, length, used } = self;
        let low = u64::from(seconds) | u64::from(length) << 32 | u64::from(used) << 48;
        (u128::from(user.0) | u128::from(low) << 64).to_le_bytes()
    }

    #[inline]
    fn decode(bytes: [u8; HEAD]) -> Head {
        let whole = u128::from_le_bytes(bytes);
        let low = (whole >> 64) as u64;
        Head { user: UserKey(whole as u64), seconds: low as u32, length: (low >> 32) as u16, used: (low >> 48) as u8 }
    }
}

/// What a value of this length takes in a log.
pub(super) const fn size(length: usize) -> usize {
    HEAD + length.next_multiple_of(UNIT)
}

#[derive(Debug)]
pub(super) struct Log {
    bytes: Box<[u8]>,
    /// Where the next entry goes.
    head: usize,
    /// Where the oldest one is.
    tail: usize,
    /// From tail to head: living, erased, and what is left over at the end of the run.
    held: usize,
}

impl Log {
    /// A log of at most so many bytes.
    pub(super) fn new(bytes: usize) -> Log {
        let bytes = vec![0; bytes / UNIT * UNIT].into_boxed_slice();
        assert!(bytes.len() / UNIT < u32::MAX as usize, "more than a place can name");
        Log { bytes, head: 0, tail: 0, held: 0 }
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    #[inline]
    pub(super) fn head(&self, place: Place) -> Head {
        Head::decode(*self.bytes[place.bytes()..].first_chunk().expect("an entry is whole"))
    }

    #[inline]
    pub(super) fn value(&self, place: Place, head: Head) -> &[u8] {
        &self.bytes[place.bytes() + HEAD..][..head.length as usize]
    }

    /// Writes down that an entry was asked for.
    #[inline]
    pub(super) fn set_used(&mut self, place: Place, used: u8) {
        self.bytes[place.bytes() + 14] = used;
    }

    /// Whether an entry of this size can be written now.
    pub(super) fn fits(&self, size: usize) -> bool {
        self.place(size).is_some()
    }

    /// Where an entry of this size would begin.
    fn place(&self, size: usize) -> Option<usize> {
        let around = self.held > 0 && self.head <= self.tail;
        match around {
            true => (self.tail - self.head >= size).then_some(self.head),
            false if self.bytes.len() - self.head >= size => Some(self.head),
            false => (self.tail >= size).then_some(0),
        }
    }

    /// Writes an entry, for which there must be room.
    pub(super) fn push(&mut self, head: Head, value: &[u8]) -> Place {
        let size = size(value.len());
        let at = self.place(size).expect("room was made");
        self.claim(at, size);
        self.bytes[at..][..HEAD].copy_from_slice(&Head { length: value.len() as u16, ..head }.encode());
        self.bytes[at + HEAD..][..value.len()].copy_from_slice(value);
        Place((at / UNIT) as u32)
    }

    /// Writes another value of the same length into an entry.
    pub(super) fn overwrite(&mut self, place: Place, head: Head, value: &[u8]) {
        self.bytes[place.bytes()..][..HEAD].copy_from_slice(&head.encode());
        self.bytes[place.bytes() + HEAD..][..value.len()].copy_from_slice(value);
    }

    /// The oldest entry, erased or not.
    pub(super) fn oldest(&self) -> Option<(Place, Head)> {
        let place = Place((self.tail / UNIT) as u32);
        (self.held > 0).then(|| (place, self.head(place)))
    }

    /// Lets the oldest entry go.
    pub(super) fn pop(&mut self) {
        let Some((at, head)) = self.oldest() else { return };
        let size = size(head.length.into());
        self.bytes[at.bytes()..][..size].fill(0);
        self.pass(size);
        if self.held == 0 {
            (self.head, self.tail) = (0, 0);
        }
    }

    /// Moves the oldest entry to the head: there always is room, since it leaves its own.
    pub(super) fn requeue(&mut self, used: u8) -> Place {
        let (place, head) = self.oldest().expect("there is an entry to move");
        let (from, size) = (place.bytes(), size(head.length.into()));
        self.set_used(place, used);
        if self.held == size {
            return place;
        }
        self.pass(size);
        let to = self.place(size).expect("the room it leaves");
        self.claim(to, size);
        self.bytes.copy_within(from..from + size, to);
        // Where the two overlap, the new one begins before the old one.
        let rest = if to <= from { from.max(to + size).min(from + size) } else { from };
        self.bytes[rest..from + size].fill(0);
        Place((to / UNIT) as u32)
    }

    /// Overwrites an entry. What it took is free when its turn comes.
    pub(super) fn erase(&mut self, place: Place) {
        let head = self.head(place);
        let erased = Head { user: UserKey::NOBODY, seconds: 0, used: 0, ..head };
        self.bytes[place.bytes()..][..size(head.length.into())].fill(0);
        self.bytes[place.bytes()..][..HEAD].copy_from_slice(&erased.encode());
    }

    /// The tail goes on by so many bytes.
    fn pass(&mut self, size: usize) {
        self.tail += size;
        self.held -= size;
        if self.tail == self.bytes.len() {
            self.tail = 0;
        }
    }

    /// The head goes on behind an entry of this size at `at`; what is left of the run before a turn becomes an empty entry.
    fn claim(&mut self, at: usize, size: usize) {
        if at != self.head {
            let rest = self.bytes.len() - self.head;
            let nothing = Head { user: UserKey::NOBODY, seconds: 0, length: (rest - HEAD) as u16, used: 0 };
            self.bytes[self.head..][..HEAD].copy_from_slice(&nothing.encode());
            self.held += rest;
        }
        self.held += size;
        self.head = if at + size == self.bytes.len() { 0 } else { at + size };
    }

    /// The run as it is, for tests that look for what must not be there.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn head(user: u64) -> Head {
        Head { user: UserKey(user), seconds: 7, length: 0, used: 1 }
    }

    /// Every byte that no entry of the model accounts for is zero.
    fn only(log: &Log, model: &VecDeque<(Place, u64, Vec<u8>)>) {
        let mut bytes = log.bytes().to_vec();
        for (place, user, value) in model {
            let held = log.head(*place);
            if held.user != UserKey::NOBODY {
                assert_eq!((held.user.0, log.value(*place, held)), (*user, &value[..]));
            }
            bytes[place.bytes()..][..size(value.len())].fill(0);
        }
        // What is left over at the end of the run is a head of nobody and zeros.
        for unit in bytes.chunks(UNIT) {
            assert!(unit[..12].iter().all(|byte| *byte == 0) && unit[14..].iter().all(|byte| *byte == 0));
        }
    }

    proptest! {
        #[test]
        fn a_log_is_a_queue(steps in prop::collection::vec((0..4u8, 0..200usize), 1..300)) {
            let mut log = Log::new(1024);
            let mut model: VecDeque<(Place, u64, Vec<u8>)> = VecDeque::new();
            let mut next = 1;
            let settle = |log: &mut Log| {
                // Left-over room at the end of the run passes through the tail like an erased entry.
                while let Some((_, head)) = log.oldest() && head.user == UserKey::NOBODY { log.pop(); }
            };
            for (step, length) in steps {
                match step {
                    0 | 1 => {
                        let value = vec![next as u8 | 1; length];
                        while !log.fits(size(length)) {
                            if log.oldest().is_some_and(|(_, head)| head.user != UserKey::NOBODY) {
                                model.pop_front();
                            }
                            log.pop();
                        }
                        model.push_back((log.push(head(next), &value), next, value));
                        next += 1;
                    }
                    2 => {
                        settle(&mut log);
                        if let Some((_, user, value)) = model.pop_front() {
                            prop_assert_eq!(log.oldest().unwrap().1.user.0, user);
                            model.push_back((log.requeue(2), user, value));
                        }
                    }
                    _ if !model.is_empty() => {
                        let (place, ..) = model.remove(length % model.len()).unwrap();
                        log.erase(place);
                    }
                    _ => {}
                }
                prop_assert!(log.held() <= log.capacity());
                only(&log, &model);
            }
        }
    }
}
