//! The plain walk: each tree from its root, node by node, as the libraries write it down. What the engine is tested against.

use super::{Child, Forest, Library, Missing, Node, Test, Tree, ZERO};

impl Forest {
    /// The raw scores of a row, one for each class. A forest that [`Forest::check`] has passed is wanted; `row` has a value for each
    /// feature, `out` a place for each class.
    pub fn walk(&self, row: &[f64], out: &mut [f64]) {
        assert!(row.len() == self.features.len() && out.len() == self.base.len(), "a row of another forest");
        out.copy_from_slice(&self.base);
        for tree in &self.trees {
            let (sum, leaf) = (&mut out[tree.output as usize], self.leaf(tree, row));
            *sum = match self.library {
                Library::LightGbm => *sum + leaf,
                Library::XgBoost => f64::from(*sum as f32 + leaf as f32),
            };
        }
    }

    fn leaf(&self, tree: &Tree, row: &[f64]) -> f64 {
        let (nodes, leaves) = (&self.nodes[tree.nodes()], &self.leaves[tree.leaves()]);
        let mut at = if nodes.is_empty() { Child::Leaf(0) } else { Child::Node(0) };
        loop {
            match at {
                Child::Leaf(leaf) => return leaves[leaf as usize],
                Child::Node(node) => {
                    let node = &nodes[node as usize];
                    at = if self.goes_left(node, row[node.feature as usize]) { node.left } else { node.right };
                }
            }
        }
    }

    /// Where a value goes at a node.
    pub(in crate::model) fn goes_left(&self, node: &Node, value: f64) -> bool {
        let value = match self.library {
            Library::LightGbm if value.abs() <= ZERO => 0.0,
            Library::LightGbm => value,
            Library::XgBoost => f64::from(value as f32),
        };
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
            Test::Among { first, words } => {
                let below = match self.library {
                    Library::LightGbm => value <= -1.0,
                    Library::XgBoost => value < 0.0,
                };
                let set = &self.sets[first as usize..][..words as usize];
                // Beyond every set, a number is cut to the largest there is.
                let (word, bit) = (value as u64 / 64, value as u64 % 64);
                let among =
                    usize::try_from(word).ok().and_then(|word| set.get(word)).is_some_and(|word| word >> bit & 1 == 1);
                !value.is_nan() && !below && among
            }
        }
    }
}
