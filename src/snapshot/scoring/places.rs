//! Which place each arm has. A bid's notice URLs carry the place, and may be called hours after the file was changed: so a name keeps
//! its place, over restarts too, and a place is given to another name only when all are taken, the one that has been left for longest
//! first.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::units::ArmId;

/// The names that have a place, by [`ArmId`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Places {
    /// Counts rollouts.
    turn: u64,
    taken: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    name: String,
    /// The last rollout that had it.
    turn: u64,
}

impl Places {
    /// Gives the arms of the next rollout their places: the place of each, in the order given. Names come once, and are at most
    /// [`limits::ARMS`].
    pub(super) fn seat<'n>(&mut self, names: impl Iterator<Item = &'n str> + Clone) -> Vec<ArmId> {
        self.turn += 1;
        // Who is there first, so that nobody new takes a place that is somebody's.
        for place in &mut self.taken {
            if names.clone().any(|name| name == place.name) {
                place.turn = self.turn;
            }
        }
        names.map(|name| self.place(name)).collect()
    }

    fn place(&mut self, name: &str) -> ArmId {
        let new = Place { name: name.to_owned(), turn: self.turn };
        let at = match self.taken.iter().position(|place| place.name == name) {
            Some(at) => at,
            None if self.taken.len() < limits::ARMS => {
                self.taken.push(new);
                self.taken.len() - 1
            }
            None => {
                let (at, longest) =
                    self.taken.iter_mut().enumerate().min_by_key(|(_, place)| place.turn).expect("eight");
                assert!(longest.turn < self.turn, "a rollout has at most eight arms");
                *longest = new;
                at
            }
        };
        ArmId(at as u8)
    }

    /// Every name that has a place, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.taken.iter().map(|place| place.name.as_str())
    }

    /// Whether there are no more of them than fit, as what was read from a file must be.
    pub(super) fn are_valid(&self) -> bool {
        self.taken.len() <= limits::ARMS && self.taken.iter().all(|place| place.turn <= self.turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(places: &mut Places, names: &[&str]) -> Vec<u8> {
        places.seat(names.iter().copied()).iter().map(|id| id.0).collect()
    }

    #[test]
    fn a_name_keeps_its_place_until_another_needs_it() {
        let mut places = Places::default();
        assert_eq!(seat(&mut places, &["a", "b"]), [0, 1]);
        assert_eq!(seat(&mut places, &["b", "c"]), [1, 2], "the place of a is kept");
        assert_eq!(seat(&mut places, &["c", "a"]), [2, 0], "and given back");
        assert_eq!(seat(&mut places, &["d", "e", "f", "g", "h", "a"]), [3, 4, 5, 6, 7, 0]);
        assert_eq!(seat(&mut places, &["a", "x"]), [0, 1], "b has been away for longest");
        assert_eq!(seat(&mut places, &["y", "a", "c"]), [3, 0, 2], "then d, and c came back");
        assert_eq!(seat(&mut places, &["1", "2", "3", "4", "5", "6", "7", "8"]).len(), 8);
        let mut all: Vec<&str> = places.names().collect();
        all.sort_unstable();
        assert_eq!(all, ["1", "2", "3", "4", "5", "6", "7", "8"]);
        assert!(places.are_valid());
    }
}
