//! The connections of a backend, by place and generation.

use super::Conn;

/// Generations use 28 bits, so that a place, a generation and an operation fit 64 bits.
pub(super) const GENERATION: u32 = (1 << 28) - 1;

pub(super) struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    most: usize,
    turned_away: u64,
}

struct Place<T> {
    generation: u32,
    state: Option<T>,
}

impl<T> Table<T> {
    /// Memory of one place, bytes.
    pub(super) const PLACE_BYTES: usize = size_of::<Place<T>>() + size_of::<u32>();

    /// Places for `most` connections. What was never written to is not resident.
    pub(super) fn new(most: usize) -> Table<T> {
        Table { places: Vec::with_capacity(most), free: Vec::with_capacity(most), most, turned_away: 0 }
    }

    /// How many found no place.
    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away
    }

    /// Gives `state` a place; `None`, and it is counted, when all are taken.
    pub(super) fn insert(&mut self, state: T) -> Option<Conn> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.places.len() < self.most => {
                self.places.push(Place { generation: 0, state: None });
                (self.places.len() - 1) as u32
            }
            None => {
                self.turned_away += 1;
                return None;
            }
        };
        let place = &mut self.places[index as usize];
        place.state = Some(state);
        Some(Conn { index, generation: place.generation })
    }

    #[inline]
    pub(super) fn get(&mut self, conn: Conn) -> Option<&mut T> {
        let place = self.places.get_mut(conn.index as usize)?;
        if place.generation == conn.generation { place.state.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, conn: Conn) -> Option<T> {
        let place = self.places.get_mut(conn.index as usize)?;
        if place.generation != conn.generation {
            return None;
        }
        let state = place.state.take()?;
        place.generation = (place.generation + 1) & GENERATION;
        self.free.push(conn.index);
        Some(state)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|place| place.state.as_ref())
    }
}
