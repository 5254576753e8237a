//! Branches of trees that have more leaves than a field has bits: walked node by node, from values.

use crate::model::forest::{Child, Library, Missing, Node, Test, ZERO};

/// Branches, and which leaves of the cut trees they grow from.
#[derive(Debug, Default)]
pub(super) struct Branches {
    /// For each place of a leaf, a node and one; 0 where there is a leaf. Empty if no tree was cut.
    pub(super) roots: Vec<u32>,
    /// Nodes of the cut trees; children are numbers in here and in `leaves`.
    pub(super) nodes: Vec<Node>,
    pub(super) leaves: Vec<f64>,
    pub(super) sets: Vec<u64>,
    pub(super) library: Library,
}

impl Branches {
    pub(super) fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.roots) + size_of_val(&*self.nodes) + size_of_val(&*self.leaves) + size_of_val(&*self.sets)
    }

    /// The branch that grows from the place of a leaf.
    #[inline]
    pub(super) fn at(&self, place: usize) -> Option<u32> {
        self.roots[place].checked_sub(1)
    }

    /// The value of the leaf at the end.
    #[inline]
    pub(super) fn walk(&self, branch: u32, value: impl Fn(usize) -> f64) -> f64 {
        let mut next = Child::Node(branch);
        loop {
            match next {
                Child::Leaf(leaf) => return self.leaves[leaf as usize],
                Child::Node(node) => {
                    let node = &self.nodes[node as usize];
                    let left = goes_left(node, &self.sets, self.library, value(node.feature as usize));
                    next = if left { node.left } else { node.right };
                }
            }
        }
    }
}

/// Where a value goes at a node.
pub(super) fn goes_left(node: &Node, sets: &[u64], library: Library, value: f64) -> bool {
    let missing = match node.missing {
        Missing::Never => false,
        Missing::Zero => value.is_nan() || value.abs() <= ZERO,
        Missing::Nan => value.is_nan(),
    };
    if missing {
        return node.missing_left;
    }
    match node.test {
        Test::AtMost(threshold) => (if value.is_nan() { 0.0 } else { value }) <= threshold,
        // NaN is not above anything; what is beyond every set is cut to the largest number.
        Test::Among { first, words } => {
            let category = value as u64;
            let among = &sets[first as usize..][..words as usize];
            value > before_category(library, 0)
                && among.get(category as usize / 64).is_some_and(|word| word >> (category % 64) & 1 == 1)
        }
    }
}

/// The largest value before those that are cut to a category. LightGBM cuts first, so that -0.5 is 0; XGBoost knows no category of what
/// is below zero.
pub(super) fn before_category(library: Library, category: u64) -> f64 {
    if category == 0 && library == Library::LightGbm { -1.0 } else { (category as f64).next_down() }
}
