//! `corebid model show`.

use std::path::PathBuf;

use serde_json::json;

use crate::commands::Failure;
use crate::model;
use crate::model::forest::{Child, Forest, Test, Tree};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An import, or the library's own file
    model: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let model = model::read(&args.model)?;
    let (forest, origin) = (&model.forest, &model.origin);
    let categorical = forest.nodes.iter().filter(|node| matches!(node.test, Test::Among { .. })).count();
    let depth = forest.trees.iter().map(|tree| depth(forest, tree)).max().unwrap_or(0);
    let leaves = forest.trees.iter().map(|tree| tree.leaves).max().unwrap_or(0);
    if args.json {
        let shown = json!({
            "library": forest.library.name(),
            "version": origin.version,
            "objective": origin.objective,
            "link": forest.link.name(),
            "averaged": forest.averaged,
            "outputs": forest.base.len(),
            "base": forest.base,
            "trees": forest.trees.len(),
            "nodes": forest.nodes.len(),
            "categorical_nodes": categorical,
            "leaves": forest.leaves.len(),
            "most_leaves": leaves,
            "depth": depth,
            "features": forest.features,
            "calibration": model.calibration,
            "note": origin.note,
        });
        println!("{shown}");
        return Ok(());
    }
    println!("{} {}, objective {}", forest.library.name(), origin.version, origin.objective);
    println!(
        "{} trees, {} nodes of which {categorical} ask for categories, {} leaves; at most {leaves} leaves and {depth} deep",
        forest.trees.len(),
        forest.nodes.len(),
        forest.leaves.len()
    );
    let averaged = if forest.averaged { ", of the average of its trees" } else { "" };
    println!(
        "outputs {}, link {}{averaged}, calibration {}",
        forest.base.len(),
        forest.link.name(),
        model.calibration.name()
    );
    println!("features {}: {}", forest.features.len(), forest.features.join(" "));
    if !origin.note.is_empty() {
        println!("note: {}", origin.note);
    }
    Ok(())
}

/// The longest way from a root to a leaf, in nodes.
fn depth(forest: &Forest, tree: &Tree) -> usize {
    let nodes = &forest.nodes[tree.nodes()];
    let (mut next, mut deepest) = (vec![(0, 1)], 0);
    while let Some((node, depth)) = next.pop() {
        let Some(node) = nodes.get(node) else { continue };
        deepest = deepest.max(depth);
        next.extend([node.left, node.right].into_iter().filter_map(|child| match child {
            Child::Node(child) => Some((child as usize, depth + 1)),
            Child::Leaf(_) => None,
        }));
    }
    deepest
}
