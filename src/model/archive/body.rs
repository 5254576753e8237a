//! What stands in an import: a model in flat lists of numbers, which a reader checks in one pass. A change here is another layout.

use rkyv::{Archive, Archived, Serialize};

use crate::model::forest::{Child, Forest, Library, Link, Missing, Node, Test, Tree};
use crate::model::{Calibration, Model, Origin};

/// Bits of a node's kind: it asks for a category; missing values go left; and two of what is missing.
const AMONG: u8 = 1;
const MISSING_LEFT: u8 = 2;
/// What is missing, by its number in a node's kind.
const MISSING: [Missing; 3] = [Missing::Never, Missing::Zero, Missing::Nan];
/// Libraries by their number.
const LIBRARIES: [Library; 2] = [Library::LightGbm, Library::XgBoost];
/// Links by their number; the slope of the second is a field of its own.
const LINKS: [Link; 7] = [
    Link::Identity,
    Link::Logistic { slope: 1.0 },
    Link::Exponential,
    Link::Softmax,
    Link::Square,
    Link::Softplus,
    Link::Step,
];
/// Calibrations by their number.
const NONE: u8 = 0;
const PLATT: u8 = 1;
const ISOTONIC: u8 = 2;

#[derive(Archive, Serialize)]
pub(super) struct Body {
    library: u8,
    link: u8,
    averaged: bool,
    calibration: u8,
    slope: f64,
    /// Offset and slope of Platt's, or raw scores and probabilities in turn.
    points: Vec<f64>,
    features: Vec<String>,
    base: Vec<f64>,
    /// Output and count of nodes of each tree; the rest follows.
    trees: Vec<(u32, u32)>,
    /// Of each node: feature, kind, threshold (its bits) or first word of the set and how many; left and right, leaves as complement.
    feature: Vec<u32>,
    kind: Vec<u8>,
    test: Vec<u64>,
    left: Vec<i32>,
    right: Vec<i32>,
    leaves: Vec<f64>,
    sets: Vec<u64>,
    version: String,
    objective: String,
    note: String,
}

impl Body {
    pub(super) fn of(model: &Model) -> Body {
        let Model { forest, calibration, origin } = model;
        let number = |position: Option<usize>| position.expect("the lists are whole") as u8;
        let (calibration, points) = match calibration {
            Calibration::None => (NONE, Vec::new()),
            Calibration::Platt { a, b } => (PLATT, vec![*a, *b]),
            Calibration::Isotonic { points } => (ISOTONIC, points.iter().flat_map(|(raw, at)| [*raw, *at]).collect()),
        };
        let slope = if let Link::Logistic { slope } = forest.link { slope } else { 1.0 };
        let kind = |node: &Node| {
            let missing = number(MISSING.iter().position(|missing| *missing == node.missing));
            let among = if matches!(node.test, Test::Among { .. }) { AMONG } else { 0 };
            among | if node.missing_left { MISSING_LEFT } else { 0 } | missing << 2
        };
        let test = |node: &Node| match node.test {
            Test::AtMost(threshold) => threshold.to_bits(),
            Test::Among { first, words } => u64::from(first) << 32 | u64::from(words),
        };
        let child = |child: Child| match child {
            Child::Node(node) => node as i32,
            Child::Leaf(leaf) => !(leaf as i32),
        };
        Body {
            library: number(LIBRARIES.iter().position(|library| *library == forest.library)),
            link: number(LINKS.iter().position(|link| link.name() == forest.link.name())),
            averaged: forest.averaged,
            calibration,
            slope,
            points,
            features: forest.features.clone(),
            base: forest.base.clone(),
            trees: forest.trees.iter().map(|tree| (tree.output, tree.nodes)).collect(),
            feature: forest.nodes.iter().map(|node| node.feature).collect(),
            kind: forest.nodes.iter().map(kind).collect(),
            test: forest.nodes.iter().map(test).collect(),
            left: forest.nodes.iter().map(|node| child(node.left)).collect(),
            right: forest.nodes.iter().map(|node| child(node.right)).collect(),
            leaves: forest.leaves.clone(),
            sets: forest.sets.clone(),
            version: origin.version.clone(),
            objective: origin.objective.clone(),
            note: origin.note.clone(),
        }
    }
}

impl ArchivedBody {
    /// The model, if there is one; whether it may be used is not looked at.
    pub(super) fn model(&self) -> Option<Model> {
        let numbers = |list: &[Archived<f64>]| list.iter().map(|number| number.to_native()).collect::<Vec<f64>>();
        let points = numbers(&self.points);
        let calibration = match (self.calibration, points.as_slice()) {
            (NONE, []) => Calibration::None,
            (PLATT, [a, b]) => Calibration::Platt { a: *a, b: *b },
            (ISOTONIC, points) => {
                let (pairs, []) = points.as_chunks() else { return None };
                Calibration::Isotonic { points: pairs.iter().map(|[raw, at]| (*raw, *at)).collect() }
            }
            _ => return None,
        };
        let link = match *LINKS.get(usize::from(self.link))? {
            Link::Logistic { .. } => Link::Logistic { slope: self.slope.to_native() },
            link => link,
        };
        let count = self.feature.len();
        if [self.kind.len(), self.test.len(), self.left.len(), self.right.len()] != [count; 4] {
            return None;
        }
        let (mut first_node, mut first_leaf, mut trees) = (0u32, 0u32, Vec::with_capacity(self.trees.len()));
        for tree in self.trees.iter() {
            let (output, nodes) = (tree.0.to_native(), tree.1.to_native());
            let leaves = nodes.checked_add(1)?;
            trees.push(Tree { output, first_node, nodes, first_leaf, leaves });
            (first_node, first_leaf) = (first_node.checked_add(nodes)?, first_leaf.checked_add(leaves)?);
        }
        Some(Model {
            forest: Forest {
                library: *LIBRARIES.get(usize::from(self.library))?,
                link,
                features: self.features.iter().map(|name| name.as_str().to_owned()).collect(),
                base: numbers(&self.base),
                averaged: self.averaged,
                trees,
                nodes: (0..count).map(|node| self.node(node)).collect::<Option<_>>()?,
                leaves: numbers(&self.leaves),
                sets: self.sets.iter().map(|word| word.to_native()).collect(),
            },
            calibration,
            origin: Origin {
                version: self.version.as_str().to_owned(),
                objective: self.objective.as_str().to_owned(),
                note: self.note.as_str().to_owned(),
            },
        })
    }

    fn node(&self, node: usize) -> Option<Node> {
        let (kind, test) = (self.kind[node], self.test[node].to_native());
        let child = |child: i32| if child < 0 { Child::Leaf(!child as u32) } else { Child::Node(child as u32) };
        Some(Node {
            feature: self.feature[node].to_native(),
            test: match kind & AMONG {
                0 => Test::AtMost(f64::from_bits(test)),
                _ => Test::Among { first: (test >> 32) as u32, words: test as u32 },
            },
            missing: *MISSING.get(usize::from(kind >> 2))?,
            missing_left: kind & MISSING_LEFT != 0,
            left: child(self.left[node].to_native()),
            right: child(self.right[node].to_native()),
        })
    }
}
