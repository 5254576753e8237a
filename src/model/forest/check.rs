//! Whether a forest may be walked: every index within its bounds, every walk to an end, every number one.

use super::{Child, Forest, Library, Link, Node, Test, Tree};
use crate::limits;

impl Forest {
    /// Looks at everything once. After this, no row makes a walk panic or go on for ever, and every leaf is finite.
    ///
    /// # Errors
    /// What is wrong, with the tree it is wrong in.
    pub fn check(&self) -> Result<(), String> {
        let bounds = [
            ("features", self.features.len(), limits::MODEL_FEATURES),
            ("outputs", self.base.len(), limits::MODEL_OUTPUTS),
            ("trees", self.trees.len(), limits::MODEL_TREES),
            ("nodes", self.nodes.len(), limits::MODEL_NODES),
            ("leaves", self.leaves.len(), limits::MODEL_NODES + limits::MODEL_TREES),
            ("words of sets of categories", self.sets.len(), limits::MODEL_SET_WORDS),
        ];
        for (what, count, most) in bounds {
            if count > most {
                return Err(format!("{count} {what}; at most {most} are taken"));
            }
        }
        if self.base.is_empty() || !self.base.iter().all(|base| self.is_number(*base)) {
            return Err("what its outputs begin with is not a number for each".to_owned());
        }
        if let Link::Logistic { slope } = self.link
            && !(slope.is_finite() && slope > 0.0)
        {
            return Err(format!("a sigmoid of {slope}; it must be above 0"));
        }
        let (mut nodes, mut leaves, mut reached) = (0, 0, Reached::default());
        for (number, tree) in self.trees.iter().enumerate() {
            let of_tree = |what: String| format!("tree {number}: {what}");
            if tree.first_node as usize != nodes || tree.first_leaf as usize != leaves {
                return Err(of_tree("it does not begin where the tree before it ends".to_owned()));
            }
            if u64::from(tree.leaves) != u64::from(tree.nodes) + 1 {
                return Err(of_tree(format!("{} leaves for {} nodes", tree.leaves, tree.nodes)));
            }
            if tree.output as usize >= self.base.len() {
                return Err(of_tree(format!("of output {}, of {}", tree.output, self.base.len())));
            }
            (nodes, leaves) = (tree.nodes().end, tree.leaves().end);
            if nodes > self.nodes.len() || leaves > self.leaves.len() {
                return Err(of_tree("it ends beyond the nodes or leaves there are".to_owned()));
            }
            self.check_tree(tree, &mut reached).map_err(of_tree)?;
        }
        if nodes != self.nodes.len() || leaves != self.leaves.len() {
            return Err("nodes or leaves that no tree has".to_owned());
        }
        Ok(())
    }

    /// Each node and each leaf is reached once from the root: so there is no cycle, and nothing is left over.
    fn check_tree(&self, tree: &Tree, reached: &mut Reached) -> Result<(), String> {
        let (nodes, leaves) = (&self.nodes[tree.nodes()], &self.leaves[tree.leaves()]);
        if let Some(leaf) = leaves.iter().position(|leaf| !self.is_number(*leaf)) {
            return Err(format!("leaf {leaf} is {:?}", leaves[leaf]));
        }
        if nodes.is_empty() {
            return Ok(());
        }
        reached.begin(nodes.len(), leaves.len());
        reached.node(0)?;
        while let Some(number) = reached.next.pop() {
            let node = &nodes[number as usize];
            self.check_node(node).map_err(|what| format!("node {number}: {what}"))?;
            for child in [node.left, node.right] {
                match child {
                    Child::Node(child) => reached.node(child)?,
                    Child::Leaf(leaf) => reached.leaf(leaf)?,
                }
            }
        }
        match reached.nodes.iter().chain(&reached.leaves).all(|reached| *reached) {
            true => Ok(()),
            false => Err("a node or leaf that no way leads to".to_owned()),
        }
    }

    /// Whether it can be added up.
    fn is_number(&self, value: f64) -> bool {
        match self.library {
            Library::LightGbm => value.is_finite(),
            Library::XgBoost => (value as f32).is_finite(),
        }
    }

    fn check_node(&self, node: &Node) -> Result<(), String> {
        if node.feature as usize >= self.features.len() {
            return Err(format!("it asks feature {}, of {}", node.feature, self.features.len()));
        }
        match node.test {
            Test::AtMost(threshold) if threshold.is_nan() => Err("its threshold is not a number".to_owned()),
            Test::Among { first, words } if first as usize + words as usize > self.sets.len() => {
                Err("its categories are beyond the sets there are".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// What of a tree has been reached, and which nodes are to be looked at; kept from tree to tree.
#[derive(Default)]
struct Reached {
    nodes: Vec<bool>,
    leaves: Vec<bool>,
    next: Vec<u32>,
}

impl Reached {
    fn begin(&mut self, nodes: usize, leaves: usize) {
        for (reached, count) in [(&mut self.nodes, nodes), (&mut self.leaves, leaves)] {
            reached.clear();
            reached.resize(count, false);
        }
    }

    fn node(&mut self, node: u32) -> Result<(), String> {
        once(&mut self.nodes, node).ok_or_else(|| format!("node {node} is not there, or reached twice"))?;
        self.next.push(node);
        Ok(())
    }

    fn leaf(&mut self, leaf: u32) -> Result<(), String> {
        once(&mut self.leaves, leaf).ok_or_else(|| format!("leaf {leaf} is not there, or reached twice"))
    }
}

fn once(reached: &mut [bool], number: u32) -> Option<()> {
    let reached = reached.get_mut(number as usize)?;
    (!std::mem::replace(reached, true)).then_some(())
}
