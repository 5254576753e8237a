//! From a value to its state.

use crate::model::forest::ZERO;

/// A feature as its nodes tell its values apart. A feature where 0 is missing at some nodes and not at others has two.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// The number of the feature.
    pub(super) feature: usize,
    /// Borders between states, ascending: thresholds, or both ends of categories. A value belongs below the first that is not less.
    pub(super) borders: Vec<f64>,
    /// The first of its states: one for each border, one above all, one for NaN, one for 0 where that is missing.
    pub(super) first: u32,
    /// Whether 0 is missing.
    pub(super) zero: bool,
}

impl Input {
    /// States of an input.
    pub(super) fn states(&self) -> usize {
        self.borders.len() + 2 + usize::from(self.zero)
    }

    /// The state of a value.
    #[inline]
    pub(super) fn state(&self, value: f64) -> usize {
        let between = self.borders.partition_point(|&border| border < value);
        let above = self.borders.len();
        let of_it = if value.is_nan() {
            above + 1
        } else if self.zero && value.abs() <= ZERO {
            above + 2
        } else {
            between
        };
        self.first as usize + of_it
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Input>() + size_of_val(&*self.borders)
    }
}
