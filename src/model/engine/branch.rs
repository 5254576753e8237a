//! Branches of trees that have more leaves than a field has bits: walked node by node.

use crate::model::forest::{Child, Forest};

/// Branches, and where they grow.
#[derive(Debug, Default)]
pub(super) struct Branches {
    /// For each place of a leaf, a node and one; 0 where there is a leaf. Empty if no tree was cut.
    pub(super) roots: Vec<u32>,
    /// Nodes and leaves of the cut trees; children are numbers in here. Its trees are not listed.
    pub(super) forest: Forest,
}

impl Branches {
    pub(super) fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        let Forest { nodes, leaves, sets, .. } = &self.forest;
        size_of_val(&*self.roots) + size_of_val(&**nodes) + size_of_val(&**leaves) + size_of_val(&**sets)
    }

    /// The branch that grows at the place of a leaf.
    #[inline]
    pub(super) fn at(&self, place: usize) -> Option<u32> {
        self.roots[place].checked_sub(1)
    }

    /// The value of the leaf at its end.
    #[inline]
    pub(super) fn walk(&self, branch: u32, value: impl Fn(usize) -> f64) -> f64 {
        let mut next = Child::Node(branch);
        loop {
            match next {
                Child::Leaf(leaf) => return self.forest.leaves[leaf as usize],
                Child::Node(node) => {
                    let node = &self.forest.nodes[node as usize];
                    let left = self.forest.goes_left(node, value(node.feature as usize));
                    next = if left { node.left } else { node.right };
                }
            }
        }
    }
}
