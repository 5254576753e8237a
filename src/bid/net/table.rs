//! The connections of a backend, by place and generation.

use super::Conn;
use crate::limits;

/// Generations use 28 bits, so that a place, a generation and an operation fit 64 bits.
pub(super) const GENERATION: u32 = (1 << 28) - 1;

pub(super) struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

struct Place<T> {
    generation: u32,
    state: Option<T>,
}

impl<T> Table<T> {
    pub(super) fn new() -> Table<T> {
        Table { places: Vec::new(), free: Vec::new() }
    }

    /// Gives `state` a place; `None` when there are [`limits::CONNECTIONS`].
    pub(super) fn insert(&mut self, state: T) -> Option<Conn> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.places.len() < limits::CONNECTIONS => {
                self.places.push(Place { generation: 0, state: None });
                (self.places.len() - 1) as u32
            }
            None => return None,
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
