//! XGBoost's models, as JSON or UBJSON: boosters `gbtree` and `dart`.
//!
//! What decides is XGBoost's `predictor::GetNextNode` (`src/predictor/predict_fn.h`): a value goes left if it is below the
//! threshold, as `f32`; right if it is one of the node's categories; and where the node says if it is NaN. The base score is what
//! users understand, a probability or a rate, and becomes a margin by the objective.

mod document;
mod ubjson;

use std::str::FromStr;

use document::{Document, Learnt};

use crate::limits;
use crate::model::forest::{Child, Forest, Library, Link, Missing, Node, Test, Tree};
use crate::model::{Calibration, Model, Origin};
use crate::snapshot::document::{Fault, fault};

/// Reads a model.
pub(super) fn read(bytes: &[u8]) -> Result<Model, Fault> {
    let document = match bytes {
        // A name follows, and its length first, whose marker tells how wide it is.
        [b'{', b'i' | b'U' | b'I' | b'l' | b'L', ..] => {
            ubjson::read(bytes).or_else(|refused| fault(0, format!("not a model of XGBoost: {refused}")))
        }
        _ if bytes.trim_ascii_start().starts_with(b"{") => serde_json::from_slice(bytes)
            .or_else(|error| fault(error.line(), format!("not a model of XGBoost: {error}"))),
        _ => fault(1, "neither an import, nor a text of LightGBM, nor JSON or UBJSON of XGBoost"),
    }?;
    forest(document).or_else(|what| fault(0, what))
}

fn forest(document: Document) -> Result<Model, String> {
    let Document { learner, version } = document;
    let booster = learner.gradient_booster;
    let (model, weights) = match (booster.name.as_str(), booster.model, booster.gbtree) {
        ("gbtree", Some(model), None) => (model, None),
        ("dart", None, Some(inner)) => match booster.weight_drop {
            Some(weights) => (inner.model, Some(weights)),
            None => return Err("a dart booster without weight_drop".to_owned()),
        },
        ("gblinear", ..) => {
            return Err("a linear model (booster gblinear), which has no trees: gbtree and dart are taken".to_owned());
        }
        (name, ..) => return Err(format!("the booster `{}` is not known, or has no model", shortened(name))),
    };
    let Some(counts) = model.gbtree_model_param else { return Err("no gbtree_model_param".to_owned()) };
    let trees: usize = number("num_trees", &counts.num_trees)?;
    if trees != model.trees.len() || trees != model.tree_info.len() {
        let (said, infos) = (trees, model.tree_info.len());
        return Err(format!("{} trees and {infos} tree_info, where num_trees is {said}", model.trees.len()));
    }
    if trees > limits::MODEL_TREES {
        return Err(format!("{trees} trees; at most {} are taken", limits::MODEL_TREES));
    }
    if let Some(ends) = &model.iteration_indptr
        && !(ends.first() == Some(&0) && ends.last() == Some(&(trees as u64)) && ends.is_sorted())
    {
        return Err("iteration_indptr does not part the trees into iterations".to_owned());
    }
    if weights.as_ref().is_some_and(|weights| weights.len() != trees) {
        return Err("weight_drop has not a weight for each tree".to_owned());
    }
    let (link, base) = outputs(&learner.objective.name, &learner.learner_model_param)?;
    let features: usize = number("num_feature", &learner.learner_model_param.num_feature)?;
    if features > limits::MODEL_FEATURES {
        return Err(format!("{features} features; at most {} are taken", limits::MODEL_FEATURES));
    }
    let names = match learner.feature_names {
        names if names.is_empty() => (0..features).map(|feature| format!("f{feature}")).collect(),
        names if names.len() == features => names,
        names => return Err(format!("{} feature_names, where num_feature is {features}", names.len())),
    };
    let mut forest = Forest { library: Library::XgBoost, link, features: names, base, ..Forest::default() };
    for (number, (tree, output)) in model.trees.iter().zip(model.tree_info).enumerate() {
        let weight = weights.as_ref().map_or(1.0, |weights| weights[number]);
        push(&mut forest, tree, output, weight).map_err(|what| format!("tree {number}: {what}"))?;
    }
    let version: Vec<String> = version.iter().map(u32::to_string).collect();
    let origin = Origin { version: version.join("."), objective: learner.objective.name, note: String::new() };
    Ok(Model { forest, calibration: Calibration::None, origin })
}

/// The link of an objective, and the margin that each output begins with.
fn outputs(objective: &str, learnt: &Learnt) -> Result<(Link, Vec<f64>), String> {
    type ToMargin = fn(f32) -> f32;
    let logit: ToMargin = |probability| -(1.0 / probability - 1.0).ln();
    let same: ToMargin = |margin| margin;
    let (link, to_margin): (Link, ToMargin) = match objective {
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror"
        | "reg:quantileerror"
        | "reg:expectileerror"
        | "rank:pairwise"
        | "rank:ndcg"
        | "rank:map"
        | "binary:logitraw" => (Link::Identity, same),
        "binary:logistic" | "reg:logistic" => (Link::Logistic { slope: 1.0 }, logit),
        "binary:hinge" => (Link::Step, same),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => (Link::Exponential, f32::ln),
        "multi:softmax" | "multi:softprob" => (Link::Softmax, same),
        other => return Err(format!("the objective `{}` is not known", shortened(other))),
    };
    let classes: usize = number("num_class", &learnt.num_class)?;
    let targets: usize = learnt.num_target.as_ref().map_or(Ok(1), |targets| number("num_target", targets))?;
    let outputs = classes.max(targets).max(1);
    if outputs > limits::MODEL_OUTPUTS || (classes > 1 && targets > 1) {
        return Err(format!(
            "{classes} classes and {targets} targets; at most {} of either are taken",
            limits::MODEL_OUTPUTS
        ));
    }
    if (link == Link::Softmax) != (classes > 1) {
        return Err(format!("the objective {objective} with a num_class of {classes}"));
    }
    // Since 3.1 a list, with one number for all or one for each.
    let said = learnt.base_score.as_str();
    let list = said.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(said);
    let scores: Vec<f32> = list.split(',').map(|score| number("base_score", score)).collect::<Result<_, String>>()?;
    let margins: Vec<f64> = scores.into_iter().map(|score| f64::from(to_margin(score))).collect();
    if !margins.iter().all(|margin| margin.is_finite()) {
        return Err(format!("a base_score of {} with the objective {objective}", shortened(said)));
    }
    match margins.as_slice() {
        [margin] => Ok((link, vec![*margin; outputs])),
        margins if margins.len() == outputs => Ok((link, margins.to_vec())),
        margins => Err(format!("{} base scores, where there are {outputs} outputs", margins.len())),
    }
}

/// Adds a tree. XGBoost's nodes and leaves have their numbers in common; ours are counted as they are reached from the root.
fn push(forest: &mut Forest, tree: &document::Tree, output: u32, weight: f32) -> Result<(), String> {
    let param = &tree.tree_param;
    let count: usize = number("num_nodes", &param.num_nodes)?;
    let vector: usize = param.size_leaf_vector.as_ref().map_or(Ok(1), |size| number("size_leaf_vector", size))?;
    if vector > 1 || tree.leaf_weights.is_some() {
        return Err(
            "leaves are vectors (multi_strategy=multi_output_tree): one tree for each output is wanted".to_owned()
        );
    }
    for (name, length) in [
        ("left_children", tree.left_children.len()),
        ("right_children", tree.right_children.len()),
        ("parents", tree.parents.len()),
        ("split_indices", tree.split_indices.len()),
        ("split_conditions", tree.split_conditions.len()),
        ("default_left", tree.default_left.len()),
    ] {
        if length != count {
            return Err(format!("{length} {name}, where num_nodes is {count}"));
        }
    }
    if !tree.split_type.is_empty() && tree.split_type.len() != count {
        return Err(format!("{} split_type, where num_nodes is {count}", tree.split_type.len()));
    }
    if let Some(features) = &param.num_feature
        && number::<usize>("num_feature", features)? != forest.features.len()
    {
        return Err(format!("num_feature is {}, that of the model {}", shortened(features), forest.features.len()));
    }
    let sets = sets(forest, tree)?;
    let room = limits::MODEL_NODES - forest.nodes.len();
    let (first_node, first_leaf) = (forest.nodes.len(), forest.leaves.len());
    // A node is given its number when it is reached, and its children when it is looked at.
    let mut reached = vec![false; count];
    let mut next = Vec::new();
    let mut enter = |forest: &mut Forest, next: &mut Vec<(usize, usize)>, node: i32, parent: Option<usize>| {
        let at = usize::try_from(node).ok().filter(|at| *at < count);
        let Some(at) = at.filter(|at| !std::mem::replace(&mut reached[*at], true)) else {
            return Err(format!("node {node} is not there, or reached twice"));
        };
        if parent.is_some_and(|parent| usize::try_from(tree.parents[at]) != Ok(parent)) {
            return Err(format!("node {node} is not where its parent is"));
        }
        let condition = tree.split_conditions[at];
        if (tree.left_children[at], tree.right_children[at]) == (-1, -1) {
            forest.leaves.push(f64::from(condition * weight));
            return Ok(Child::Leaf((forest.leaves.len() - 1 - first_leaf) as u32));
        }
        let number = forest.nodes.len() - first_node;
        if number == room {
            return Err(format!("more than {} nodes in all", limits::MODEL_NODES));
        }
        next.push((at, first_node + number));
        // Its children are filled in when it is looked at.
        forest.nodes.push(Node {
            feature: tree.split_indices[at],
            test: Test::AtMost(0.0),
            missing: Missing::Nan,
            missing_left: tree.default_left[at].0,
            left: Child::Leaf(0),
            right: Child::Leaf(0),
        });
        Ok(Child::Node(number as u32))
    };
    enter(forest, &mut next, 0, None)?;
    while let Some((at, place)) = next.pop() {
        let left = enter(forest, &mut next, tree.left_children[at], Some(at))?;
        let right = enter(forest, &mut next, tree.right_children[at], Some(at))?;
        let node = &mut forest.nodes[place];
        match sets.binary_search_by_key(&at, |set| set.node) {
            Ok(set) => {
                let Set { first, words, .. } = sets[set];
                (node.left, node.right) = (right, left);
                node.missing_left = !node.missing_left;
                node.test = Test::Among { first, words };
            }
            Err(_) => {
                let threshold = tree.split_conditions[at];
                // Nothing is below the least there is; of NaN nothing is known.
                if threshold.is_nan() || threshold == f32::NEG_INFINITY {
                    return Err(format!("node {at}: a threshold of {threshold}"));
                }
                (node.left, node.right) = (left, right);
                node.test = Test::AtMost(f64::from(threshold.next_down()));
            }
        }
    }
    let deleted: usize = param.num_deleted.as_ref().map_or(Ok(0), |deleted| number("num_deleted", deleted))?;
    let left_over = reached.iter().filter(|reached| !**reached).count();
    if left_over != deleted {
        return Err(format!("{left_over} nodes that no way leads to, where num_deleted is {deleted}"));
    }
    forest.trees.push(Tree {
        output,
        first_node: first_node as u32,
        nodes: (forest.nodes.len() - first_node) as u32,
        first_leaf: first_leaf as u32,
        leaves: (forest.leaves.len() - first_leaf) as u32,
    });
    Ok(())
}

/// The categories of a node.
struct Set {
    node: usize,
    first: u32,
    words: u32,
}

/// The sets of a tree, ascending by node: those of the nodes that are categorical, and no others.
fn sets(forest: &mut Forest, tree: &document::Tree) -> Result<Vec<Set>, String> {
    let categorical = tree.split_type.iter().enumerate().filter(|(_, kind)| **kind != 0).map(|(node, _)| node);
    if tree.split_type.iter().any(|kind| *kind > 1)
        || !categorical.eq(tree.categories_nodes.iter().map(|node| *node as usize))
    {
        return Err("split_type and categories_nodes contradict each other".to_owned());
    }
    let count = tree.categories_nodes.len();
    if tree.categories_segments.len() != count || tree.categories_sizes.len() != count {
        return Err(format!("categories_segments or categories_sizes are not {count}, as categories_nodes are"));
    }
    let mut begin = 0;
    let mut sets = Vec::with_capacity(count);
    for (&node, (&segment, &size)) in
        tree.categories_nodes.iter().zip(tree.categories_segments.iter().zip(&tree.categories_sizes))
    {
        let own = tree.categories.get(begin..).filter(|_| segment == begin).and_then(|rest| rest.get(..size));
        let Some(own) = own else {
            return Err("categories are not parted by categories_segments and _sizes".to_owned());
        };
        begin += size;
        let most = own.iter().copied().max();
        if most.is_some_and(|most| most >= limits::MODEL_CATEGORIES) {
            return Err(format!("node {node}: a category beyond {}", limits::MODEL_CATEGORIES - 1));
        }
        let (first, words) = (forest.sets.len(), most.map_or(0, |most| most as usize / 64 + 1));
        if first + words > limits::MODEL_SET_WORDS {
            return Err("more categories than are taken".to_owned());
        }
        forest.sets.resize(first + words, 0);
        for category in own {
            forest.sets[first + *category as usize / 64] |= 1 << (category % 64);
        }
        sets.push(Set { node: node as usize, first: first as u32, words: words as u32 });
    }
    match begin == tree.categories.len() {
        true => Ok(sets),
        false => Err("categories that no node has".to_owned()),
    }
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("{name}: `{}` is no number it can be", shortened(text)))
}

/// Of what a file says, as much as a message can hold.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}
