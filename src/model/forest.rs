//! A forest in its neutral form: what LightGBM and XGBoost both can say, with the meaning of each written out.
//!
//! ```text
//!   trees  ──► nodes of all trees, one after the other       a child is a node of the same tree, or one of its leaves
//!          └─► leaves of all trees
//!   nodes  ──► sets: bits of categories, 64 to a word
//! ```
//!
//! There is one kind of comparison and one of membership, and both go left when they hold. XGBoost's `x < t` is `x <= t'` with the
//! next smaller `f32`, and its categories, which go right, have their children changed over.

mod check;
mod walk;

use std::ops::Range;

/// A forest. [`Forest::check`] says whether it may be walked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forest {
    /// What the values mean, and in which precision they are compared and added.
    pub library: Library,
    /// What turns raw scores into predictions.
    pub link: Link,
    /// Names of the features, by their number.
    pub features: Vec<String>,
    /// What each output begins with; one for each class.
    pub base: Vec<f64>,
    /// What the link takes is the raw score divided by the number of trees of its output: a random forest of LightGBM, whose raw
    /// scores are sums nevertheless.
    pub averaged: bool,
    /// The trees, in the order in which they are added up.
    pub trees: Vec<Tree>,
    /// The nodes of all trees.
    pub nodes: Vec<Node>,
    /// The leaves of all trees.
    pub leaves: Vec<f64>,
    /// Words of the sets of all categorical nodes.
    pub sets: Vec<u64>,
}

/// Whose rules hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Library {
    /// Values are compared, and leaves added, as `f64`. What is within [`ZERO`] of 0 is 0.
    #[default]
    LightGbm,
    /// Values are rounded to `f32` first; leaves are added as `f32`.
    XgBoost,
}

/// What turns the raw scores of a row into its prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Link {
    /// Nothing.
    #[default]
    Identity,
    /// `1 / (1 + exp(-slope * raw))`: a probability, of each class by itself.
    Logistic {
        /// LightGBM's `sigmoid`.
        slope: f64,
    },
    /// `exp(raw)`: a rate.
    Exponential,
    /// `exp(raw) / sum exp(raw)` over the classes.
    Softmax,
    /// `raw * |raw|`: LightGBM's `reg_sqrt`, which learns from square roots.
    Square,
    /// `ln(1 + exp(raw))`: LightGBM's `cross_entropy_lambda`.
    Softplus,
    /// 1 above 0, else 0: XGBoost's `binary:hinge`.
    Step,
}

/// One tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The output it adds to.
    pub output: u32,
    /// Where its nodes begin; the first of them is the root. A tree that is one leaf has none.
    pub first_node: u32,
    /// How many nodes.
    pub nodes: u32,
    /// Where its leaves begin.
    pub first_leaf: u32,
    /// How many leaves: one more than nodes.
    pub leaves: u32,
}

/// An inner node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// The number of the feature it asks.
    pub feature: u32,
    /// What is asked of it.
    pub test: Test,
    /// Which values are missing, and which way those go.
    pub missing: Missing,
    /// Where a missing value goes.
    pub missing_left: bool,
    /// Where the test holds.
    pub left: Child,
    /// Where it does not.
    pub right: Child,
}

/// What a node asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// The value is at most this. Never NaN.
    AtMost(f64),
    /// The value, cut to a whole number, is in a set of categories: words of [`Forest::sets`]. What is below zero, or beyond the
    /// set, is not in it; nor is NaN, unless it counts as missing. LightGBM cuts first, so that -0.5 is category 0; XGBoost does
    /// not.
    Among {
        /// The first word.
        first: u32,
        /// How many words.
        words: u32,
    },
}

/// Which values are missing at a node. NaN where it is not missing is taken for 0 by a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// None.
    Never,
    /// Whatever is within [`ZERO`] of 0, and NaN.
    Zero,
    /// NaN.
    Nan,
}

/// LightGBM takes for 0 what is no further from it (`kZeroThreshold`).
pub const ZERO: f64 = 1e-35_f32 as f64;

/// Where a node leads: a node of its tree, or a leaf of its tree, by their numbers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// On.
    Node(u32),
    /// The end.
    Leaf(u32),
}

impl Forest {
    /// What its outputs are divided by before the link: the trees of each where they are averaged, else 1.
    pub fn rounds(&self) -> f64 {
        if self.averaged { (self.trees.len() / self.base.len()).max(1) as f64 } else { 1.0 }
    }
}

impl Tree {
    /// Its nodes among [`Forest::nodes`].
    pub fn nodes(&self) -> Range<usize> {
        self.first_node as usize..self.first_node as usize + self.nodes as usize
    }

    /// Its leaves among [`Forest::leaves`].
    pub fn leaves(&self) -> Range<usize> {
        self.first_leaf as usize..self.first_leaf as usize + self.leaves as usize
    }
}

impl Library {
    /// Its name, as the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Library::LightGbm => "lightgbm",
            Library::XgBoost => "xgboost",
        }
    }
}

impl Link {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Link::Identity => "identity",
            Link::Logistic { .. } => "logistic",
            Link::Exponential => "exponential",
            Link::Softmax => "softmax",
            Link::Square => "square",
            Link::Softplus => "softplus",
            Link::Step => "step",
        }
    }

    /// Turns raw scores, averaged if their forest is, into predictions.
    pub fn apply(self, outputs: &mut [f64]) {
        let each = |outputs: &mut [f64], link: fn(f64) -> f64| outputs.iter_mut().for_each(|raw| *raw = link(*raw));
        match self {
            Link::Identity => {}
            Link::Logistic { slope } => outputs.iter_mut().for_each(|raw| *raw = logistic(slope * *raw)),
            Link::Exponential => each(outputs, f64::exp),
            Link::Softmax => {
                // The largest is taken off first, so that nothing overflows.
                let most = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                outputs
                    .iter_mut()
                    .for_each(|output| *output = if *output >= most { 1.0 } else { (*output - most).exp() });
                let sum: f64 = outputs.iter().sum();
                outputs.iter_mut().for_each(|output| *output /= sum);
            }
            Link::Square => each(outputs, |raw| raw * raw.abs()),
            Link::Softplus => each(outputs, |raw| raw.max(0.0) + (-raw.abs()).exp().ln_1p()),
            Link::Step => each(outputs, |raw| f64::from(u8::from(raw > 0.0))),
        }
    }
}

/// `1 / (1 + exp(-x))`.
pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests;
