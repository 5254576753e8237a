//! The plain walk ([`Forest::walk`], which `tests/models.rs` holds against the libraries) is what the engine has to say, to the bit.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Engine, Room};
use crate::model::forest::{Child, Forest, Library, Missing, Node, Test, Tree, ZERO};

/// Values at which something may go wrong: thresholds are drawn from them too, so that ties are common.
const VALUES: [f64; 22] = [
    0.0,
    -0.0,
    1.0,
    0.5,
    -0.5,
    -1.0,
    2.0,
    3.0,
    63.0,
    64.0,
    64.5,
    70.9,
    128.0,
    1e300,
    -1e300,
    5e-324,
    ZERO,
    -ZERO,
    1.000_000_000_000_1,
    16_777_217.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
];
const FEATURES: u32 = 5;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => prop::sample::select(&VALUES[..]),
        2 => -3.0..70.0,
        2 => prop::sample::select(&VALUES[..]).prop_map(f64::next_up),
        1 => prop::sample::select(&VALUES[..]).prop_map(f64::next_down),
        1 => prop::sample::select(&[2.0 * ZERO, -2.0 * ZERO, 1e20, f64::NAN][..]),
        2 => Just(f64::NAN),
    ]
}

/// What a node asks, and where it grows: on the leaf at this share of all leaves so far; the largest share goes on where the last did.
#[derive(Clone, Debug)]
struct Grown {
    leaf: f64,
    feature: u32,
    threshold: f64,
    set: Option<Vec<u64>>,
    missing: Missing,
    missing_left: bool,
    turned: bool,
}

fn grown() -> impl Strategy<Value = Grown> {
    let set = prop_oneof![
        3 => Just(None),
        1 => vec(prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()], 0..3).prop_map(Some),
    ];
    let missing = prop::sample::select(&[Missing::Never, Missing::Zero, Missing::Nan][..]);
    let threshold = value().prop_filter("a threshold is a number", |value| !value.is_nan());
    (0.0..1.0, 0..FEATURES, threshold, set, missing, any::<bool>(), any::<bool>()).prop_map(
        |(leaf, feature, threshold, set, missing, missing_left, turned)| Grown {
            leaf,
            feature,
            threshold,
            set,
            missing,
            missing_left,
            turned,
        },
    )
}

/// Adds a tree.
fn plant(forest: &mut Forest, output: u32, chain: bool, grown: &[Grown], value: impl Fn(usize) -> f64) {
    let tree = Tree {
        output,
        first_node: forest.nodes.len() as u32,
        nodes: grown.len() as u32,
        first_leaf: forest.leaves.len() as u32,
        leaves: grown.len() as u32 + 1,
    };
    let mut nodes: Vec<Node> = Vec::new();
    for (number, grow) in grown.iter().enumerate() {
        // The new node takes a leaf's place, and keeps it beside the new leaf.
        let leaf = if chain { number } else { (grow.leaf * (number + 1) as f64) as usize };
        let (old, new) = (Child::Leaf(leaf as u32), Child::Leaf(number as u32 + 1));
        for child in nodes.iter_mut().flat_map(|node| [&mut node.left, &mut node.right]).filter(|child| **child == old)
        {
            *child = Child::Node(number as u32);
        }
        let test = match &grow.set {
            None => Test::AtMost(grow.threshold),
            Some(words) => {
                let first = forest.sets.len() as u32;
                forest.sets.extend(words);
                Test::Among { first, words: words.len() as u32 }
            }
        };
        let (left, right) = if grow.turned { (new, old) } else { (old, new) };
        let Grown { feature, missing, missing_left, .. } = *grow;
        nodes.push(Node { feature, test, missing, missing_left, left, right });
    }
    forest.nodes.extend(nodes);
    forest.leaves.extend((0..=grown.len()).map(value));
    forest.trees.push(tree);
}

fn forest(trees: impl Strategy<Value = Vec<Vec<Grown>>>) -> impl Strategy<Value = Forest> {
    let library = prop::sample::select(&[Library::LightGbm, Library::XgBoost][..]);
    (trees, 1..4_usize, library, any::<bool>()).prop_map(|(trees, outputs, library, chain)| {
        let features = (0..FEATURES).map(|feature| feature.to_string()).collect();
        let base = (0..outputs).map(|output| output as f64 * 0.3).collect();
        let mut forest = Forest { library, features, base, ..Forest::default() };
        for (number, grown) in trees.iter().enumerate() {
            let value = |leaf| ((number * 1000 + leaf) as f64 * 0.1).sin();
            plant(&mut forest, (number % outputs) as u32, chain && number % 2 == 0, grown, value);
        }
        forest.check().unwrap();
        forest
    })
}

fn rows() -> impl Strategy<Value = Vec<Vec<f64>>> {
    vec(vec(value(), FEATURES as usize), 1..40)
}

fn walked(forest: &Forest, row: &[f64]) -> Vec<u64> {
    let mut out = vec![0.0; forest.base.len()];
    forest.walk(row, &mut out);
    bits(&out)
}

fn bits(out: &[f64]) -> Vec<u64> {
    out.iter().map(|value| value.to_bits()).collect()
}

fn agrees(forest: &Forest, rows: &[Vec<f64>]) -> Result<(), TestCaseError> {
    let engine = Engine::build(forest);
    let mut room = Room::new(&engine);
    let mut out = vec![0.0; engine.outputs()];
    for row in rows {
        engine.score(row, &mut room, &mut out);
        prop_assert_eq!(bits(&out), walked(forest, row), "{:?} by {:?}", row, forest);
        let short: Vec<f32> = row.iter().map(|&value| value as f32).collect();
        let long: Vec<f64> = short.iter().map(|&value| f64::from(value)).collect();
        engine.score(&short, &mut room, &mut out);
        prop_assert_eq!(bits(&out), walked(forest, &long), "{:?} by {:?}", long, forest);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Small trees, whose fields are of every width; and trees of one leaf.
    #[test]
    fn a_row_scores_what_the_walk_says(
        forest in prop_oneof![
            forest(vec(vec(grown(), 0..8), 0..30)),
            forest(vec(vec(grown(), 0..16), 1..10)),
            forest(vec(vec(grown(), 0..40), 1..10)),
        ],
        rows in rows(),
    ) {
        agrees(&forest, &rows)?;
    }

    /// A batch says of each row what it says of the row by itself, whatever the rows share and the room held before.
    #[test]
    fn a_batch_scores_its_rows(
        forest in forest(vec(vec(grown(), 0..80), 1..12)),
        rows in rows(),
        varying in prop::sample::subsequence((0..FEATURES as usize).collect::<Vec<_>>(), 0..=FEATURES as usize),
    ) {
        let engine = Engine::build(&forest);
        let mut room = Room::default();
        let mut batch: Vec<f32> = rows.iter().flatten().map(|&value| value as f32).collect();
        for row in 1..rows.len() {
            for feature in (0..FEATURES as usize).filter(|feature| !varying.contains(feature)) {
                batch[row * FEATURES as usize + feature] = batch[feature];
            }
        }
        let mut out = vec![0.0; rows.len() * engine.outputs()];
        let of_batch = engine.varying(&varying);
        for _ in 0..2 {
            engine.scores(&batch, &of_batch, &mut room, &mut out);
            for (row, out) in batch.chunks(FEATURES as usize).zip(out.chunks(engine.outputs())) {
                let row: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
                prop_assert_eq!(bits(out), walked(&forest, &row));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Trees with more leaves than a field has bits, chains as deep as they have nodes among them.
    #[test]
    fn large_trees_are_cut_and_walked(forest in forest(vec(vec(grown(), 50..300), 1..6)), rows in rows()) {
        agrees(&forest, &rows)?;
    }

    /// So many that most states have no row of bits of their own.
    #[test]
    fn states_share_rows(forest in forest(vec(vec(grown(), 20..40), 1..4)), rows in rows()) {
        let mut many = Forest { trees: Vec::new(), ..forest.clone() };
        for number in 0..1500 {
            many.trees.push(forest.trees[number % forest.trees.len()]);
        }
        let engine = Engine::build(&many);
        let (mut room, mut out) = (Room::new(&engine), vec![0.0; engine.outputs()]);
        for row in rows.iter().take(8) {
            engine.score(row, &mut room, &mut out);
            prop_assert_eq!(bits(&out), walked(&many, row));
        }
    }
}

#[test]
fn a_forest_may_be_next_to_nothing() {
    let empty = Forest { base: vec![-0.0], ..Forest::default() };
    let mut bare = empty.clone();
    plant(&mut bare, 0, false, &[], |_| -0.0);
    for forest in [empty, bare] {
        let engine = Engine::build(&forest);
        let (mut room, mut out) = (Room::new(&engine), [1.0; 3]);
        engine.scores(&[], &engine.varying(&[0]), &mut room, &mut out);
        assert_eq!(bits(&out), bits(&[-0.0; 3]));
    }
}

/// A forest of one feature that tells more values apart than 16 bits count.
#[test]
fn a_feature_may_have_any_number_of_thresholds() {
    let mut forest = Forest { features: vec!["0".to_owned()], base: vec![0.0], ..Forest::default() };
    let at = |threshold: usize| Grown {
        leaf: 0.999,
        feature: 0,
        threshold: threshold as f64,
        set: None,
        missing: Missing::Nan,
        missing_left: threshold.is_multiple_of(2),
        turned: false,
    };
    for tree in 0..2000 {
        // Each node on the leaf of the last: from the smallest threshold to the largest.
        let grown: Vec<Grown> = (0..40).map(|node| at(node * 2000 + tree)).collect();
        plant(&mut forest, 0, true, &grown, |leaf| (tree * 41 + leaf) as f64);
    }
    forest.check().unwrap();
    let engine = Engine::build(&forest);
    assert!(engine.states.iter().any(|state| state.from < state.to), "each state has a row of bits of its own");
    let mut room = Room::new(&engine);
    for value in
        (0..80_100).step_by(997).map(|value| f64::from(value) + 0.5).chain([f64::NAN, 65_535.0, 65_536.0, -1.0])
    {
        let mut out = [0.0];
        engine.score(&[value], &mut room, &mut out);
        assert_eq!(bits(&out), walked(&forest, &[value]), "{value}");
    }
}

/// Sets that have more members together than events are made for: the nodes with the largest are walked.
#[test]
fn sets_may_have_any_number_of_members() {
    let words = 1 << 12;
    let mut forest = Forest { features: vec!["0".to_owned()], base: vec![0.0], ..Forest::default() };
    forest.sets = vec![0x5555_5555_5555_5555; words];
    for tree in 0..300 {
        let (first, words) = if tree % 2 == 0 { (0, words as u32) } else { (tree, 1) };
        forest.nodes.push(Node {
            feature: 0,
            test: Test::Among { first, words },
            missing: Missing::Never,
            missing_left: false,
            left: Child::Leaf(0),
            right: Child::Leaf(1),
        });
        forest.leaves.extend([f64::from(tree), -1.0]);
        forest.trees.push(Tree { output: 0, first_node: tree, nodes: 1, first_leaf: 2 * tree, leaves: 2 });
    }
    forest.check().unwrap();
    let engine = Engine::build(&forest);
    assert!(!engine.branches.is_empty());
    let mut room = Room::new(&engine);
    for value in [0.0, 1.0, 2.0, 63.0, 64.0, 262_142.0, 262_143.0, 262_144.0, -0.5, -1.0, f64::NAN, f64::INFINITY] {
        let mut out = [0.0];
        engine.score(&[value], &mut room, &mut out);
        assert_eq!(bits(&out), walked(&forest, &[value]), "{value}");
    }
}
