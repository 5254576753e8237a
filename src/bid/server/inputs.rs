//! Input that is not consumed yet: requests in pieces, and requests that wait. Its memory is taken once, in places of a few
//! sizes ([`limits::INPUTS`]), so that no peer can make a core hold more, however many connections it has. An input moves to a
//! larger place when it outgrows its own. Where no place of a size is left, whoever has had one for longest gives it up: a
//! request of an exchange is whole within a round trip, so that it is never the oldest for long.

use super::connection::Arrivals;
use super::patience::Waits;
use crate::bid::net::{Conn, STAGGER};
use crate::limits;
use crate::units::Nanos;

/// What a core takes for inputs, bytes. What was never written to is not resident.
pub(in crate::bid) const BYTES: usize = {
    let (mut bytes, mut class) = (0, 0);
    while class < limits::INPUTS.len() {
        let (size, places) = limits::INPUTS[class];
        // Who holds a place, since when, and the row of those that are free.
        bytes += places * (size + STAGGER + 16 + 2);
        class += 1;
    }
    bytes
};

/// An input found no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All places of this class are taken.
    Class(usize),
    /// No place is as large.
    TooLong,
}

/// A place in [`Inputs`]; given back once.
#[derive(Debug)]
#[must_use = "a place that is not given back is lost"]
struct Place {
    class: u8,
    index: u16,
}

/// Input that is not consumed yet. Empty, it has no memory.
#[derive(Debug, Default)]
pub(super) struct Input {
    place: Option<Place>,
    /// What is not consumed.
    start: u32,
    end: u32,
    first: Nanos,
    newest: Nanos,
    /// Counted from `start`.
    newest_from: u32,
}

impl Input {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.place.is_none()
    }

    /// Keeps more bytes. An input that finds no place is left as it was.
    pub(super) fn append(&mut self, conn: Conn, bytes: &[u8], now: Nanos, inputs: &mut Inputs) -> Result<(), Full> {
        let kept = (self.end - self.start) as usize;
        let length = kept + bytes.len();
        match &self.place {
            None => {
                self.place = Some(inputs.take(length, conn, now)?);
                self.first = now;
            }
            Some(place) if length > inputs.size(place) => {
                let since = inputs.since(place).unwrap_or(now);
                let larger = inputs.take(length, conn, since)?;
                inputs.copy(place, self.start as usize..self.end as usize, &larger);
                if let Some(place) = self.place.replace(larger) {
                    inputs.give_back(place);
                }
                (self.start, self.end) = (0, kept as u32);
            }
            // What was consumed makes room once it is the larger part, or there is no other, so that no byte moves more
            // than once on average.
            Some(place) if self.start > self.end / 2 || self.end as usize + bytes.len() > inputs.size(place) => {
                inputs.bytes_mut(place).copy_within(self.start as usize..self.end as usize, 0);
                (self.start, self.end) = (0, kept as u32);
            }
            Some(_) => {}
        }
        let Some(place) = &self.place else { return Err(Full::TooLong) };
        let from = self.end as usize;
        inputs.bytes_mut(place)[from..from + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len() as u32;
        self.newest = now;
        self.newest_from = kept as u32;
        Ok(())
    }

    /// What is not consumed, and when it came.
    pub(super) fn unread<'a>(&self, inputs: &'a Inputs) -> (&'a [u8], Arrivals) {
        let arrivals = Arrivals { first: self.first, newest: self.newest, newest_from: self.newest_from as usize };
        match &self.place {
            Some(place) => (&inputs.bytes(place)[self.start as usize..self.end as usize], arrivals),
            None => (&[], arrivals),
        }
    }

    /// Lets go of the first bytes. What stays, if that are not all, is waited for from `now` on.
    pub(super) fn consume(&mut self, count: usize, conn: Conn, now: Nanos, inputs: &mut Inputs) {
        if count == 0 {
            return;
        }
        self.start += count as u32;
        assert!(self.start <= self.end);
        self.newest_from = self.newest_from.saturating_sub(count as u32);
        if self.newest_from == 0 {
            self.first = self.newest;
        }
        if self.start == self.end {
            self.clear(inputs);
        } else {
            self.wait_from(conn, now, inputs);
        }
    }

    /// The rest of what is there is waited for from `now` on.
    pub(super) fn wait_from(&self, conn: Conn, now: Nanos, inputs: &mut Inputs) {
        if let Some(place) = &self.place {
            inputs.class_mut(place).waits.begin(place.index, conn, now);
        }
    }

    pub(super) fn clear(&mut self, inputs: &mut Inputs) {
        if let Some(place) = self.place.take() {
            inputs.give_back(place);
        }
        (self.start, self.end, self.newest_from) = (0, 0, 0);
    }
}

/// Memory for the inputs of a core.
pub(super) struct Inputs([Class; limits::INPUTS.len()]);

/// Places of one size.
struct Class {
    size: usize,
    memory: Box<[u8]>,
    free: Vec<u16>,
    /// Who has which place.
    waits: Waits,
}

impl Inputs {
    pub(super) fn new() -> Inputs {
        Inputs(limits::INPUTS.map(|(size, places)| Class {
            size,
            memory: vec![0; places * (size + STAGGER)].into(),
            free: (0..u16::try_from(places).expect("places have numbers of 16 bits")).rev().collect(),
            waits: Waits::new(places),
        }))
    }

    /// Who has had a place of a class for longest.
    pub(super) fn oldest(&self, class: usize) -> Option<Conn> {
        self.0[class].waits.oldest().map(|(conn, _)| conn)
    }

    /// Whether anything is waited for.
    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|class| class.waits.any())
    }

    /// Who has had a place since `until` or before, from `from` on (class and place), and where to look on.
    pub(super) fn overdue(&self, from: (usize, usize), until: Nanos) -> Option<(Conn, (usize, usize))> {
        let (mut class, mut place) = from;
        while class < self.0.len() {
            if let Some((conn, next)) = self.0[class].waits.overdue(place, until) {
                return Some((conn, (class, next)));
            }
            (class, place) = (class + 1, 0);
        }
        None
    }

    /// A free place of the smallest size that holds `length` bytes.
    fn take(&mut self, length: usize, conn: Conn, since: Nanos) -> Result<Place, Full> {
        let class = self.0.iter().position(|class| length <= class.size).ok_or(Full::TooLong)?;
        let Class { free, waits, .. } = &mut self.0[class];
        let index = free.pop().ok_or(Full::Class(class))?;
        waits.begin(index, conn, since);
        Ok(Place { class: class as u8, index })
    }

    fn give_back(&mut self, place: Place) {
        let class = self.class_mut(&place);
        class.waits.end(place.index);
        class.free.push(place.index);
    }

    fn class(&self, place: &Place) -> &Class {
        &self.0[usize::from(place.class)]
    }

    fn class_mut(&mut self, place: &Place) -> &mut Class {
        &mut self.0[usize::from(place.class)]
    }

    fn size(&self, place: &Place) -> usize {
        self.class(place).size
    }

    fn since(&self, place: &Place) -> Option<Nanos> {
        self.class(place).waits.since(place.index)
    }

    fn bytes(&self, place: &Place) -> &[u8] {
        let class = self.class(place);
        let start = usize::from(place.index) * (class.size + STAGGER);
        &class.memory[start..start + class.size]
    }

    fn bytes_mut(&mut self, place: &Place) -> &mut [u8] {
        let class = self.class_mut(place);
        let start = usize::from(place.index) * (class.size + STAGGER);
        &mut class.memory[start..start + class.size]
    }

    /// Copies from one class to the start of a place in a larger one.
    fn copy(&mut self, from: &Place, range: std::ops::Range<usize>, to: &Place) {
        let (smaller, larger) = self.0.split_at_mut(usize::from(to.class));
        let (from_class, to_class) = (&smaller[usize::from(from.class)], &mut larger[0]);
        let from = usize::from(from.index) * (from_class.size + STAGGER);
        let to = usize::from(to.index) * (to_class.size + STAGGER);
        let length = range.len();
        to_class.memory[to..to + length].copy_from_slice(&from_class.memory[from + range.start..from + range.end]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn conn(index: usize) -> Conn {
        Conn { index: index as u32, generation: 0 }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Against plain vectors: whatever is appended and consumed in whatever order, every input has its own bytes, and all
        /// places are free when all are empty.
        #[test]
        fn inputs_keep_their_bytes(
            steps in prop::collection::vec((0usize..6, 1usize..40_000, 0usize..60_000), 1..120),
        ) {
            let mut inputs = Inputs::new();
            let mut kept: Vec<(Input, Vec<u8>)> = (0..6).map(|_| Default::default()).collect();
            for (step, (which, length, consumed)) in steps.into_iter().enumerate() {
                let now = Nanos(step as u64);
                let (input, oracle) = &mut kept[which];
                let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + step) as u8).collect();
                input.append(conn(which), &bytes, now, &mut inputs).unwrap();
                oracle.extend(bytes);
                let consumed = consumed.min(oracle.len());
                input.consume(consumed, conn(which), now, &mut inputs);
                oracle.drain(..consumed);
                for (input, oracle) in &kept {
                    prop_assert_eq!(input.unread(&inputs).0, oracle.as_slice());
                    prop_assert_eq!(input.is_empty(), oracle.is_empty());
                }
            }
            for (which, (input, oracle)) in kept.iter_mut().enumerate() {
                input.consume(oracle.len(), conn(which), Nanos(0), &mut inputs);
            }
            prop_assert!(!inputs.any());
            for (class, (_, places)) in inputs.0.iter().zip(limits::INPUTS) {
                prop_assert_eq!(class.free.len(), places);
            }
        }
    }

    #[test]
    fn a_class_that_is_full_names_who_has_had_a_place_for_longest() {
        let mut inputs = Inputs::new();
        let (size, places) = limits::INPUTS[0];
        let mut kept: Vec<Input> = (0..places).map(|_| Input::default()).collect();
        for (index, input) in kept.iter_mut().enumerate() {
            input.append(conn(index), b"x", Nanos(10 + index as u64), &mut inputs).unwrap();
        }
        let mut late = Input::default();
        assert_eq!(late.append(conn(places), b"x", Nanos(99), &mut inputs), Err(Full::Class(0)));
        assert!(late.is_empty());
        assert_eq!(inputs.oldest(0), Some(conn(0)));
        // The next request of the same connection has been waited for since its own beginning.
        kept[0].append(conn(0), b"yz", Nanos(98), &mut inputs).unwrap();
        kept[0].consume(1, conn(0), Nanos(100_000), &mut inputs);
        assert_eq!(inputs.oldest(0), Some(conn(1)));
        // An input that outgrew its place has been waited for since its beginning all the same.
        kept[2].append(conn(2), &vec![0; size], Nanos(200_000), &mut inputs).unwrap();
        assert_eq!(inputs.oldest(1), Some(conn(2)));
        assert_eq!(inputs.overdue((1, 0), Nanos(12)).map(|(conn, _)| conn), Some(conn(2)));
        assert_eq!(late.append(conn(places), b"x", Nanos(99), &mut inputs), Ok(()));
        let longest = limits::INPUTS[limits::INPUTS.len() - 1].0;
        assert_eq!(kept[1].append(conn(1), &vec![0; longest], Nanos(1), &mut inputs), Err(Full::TooLong));
        assert_eq!(kept[1].unread(&inputs).0, b"x");
    }
}
