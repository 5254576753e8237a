use super::*;

/// One tree, whose root asks for at most 1 and whose right node for the categories 1 and 65.
fn forest() -> Forest {
    let node = |test, left, right| Node { feature: 0, test, missing: Missing::Nan, missing_left: true, left, right };
    Forest {
        features: vec!["x".to_owned()],
        base: vec![0.5],
        trees: vec![Tree { output: 0, first_node: 0, nodes: 2, first_leaf: 0, leaves: 3 }],
        nodes: vec![
            node(Test::AtMost(1.0), Child::Leaf(0), Child::Node(1)),
            node(Test::Among { first: 0, words: 2 }, Child::Leaf(1), Child::Leaf(2)),
        ],
        leaves: vec![1.0, 2.0, 4.0],
        sets: vec![1 << 2, 1 << 1],
        ..Forest::default()
    }
}

fn score(forest: &Forest, value: f64) -> f64 {
    let mut out = [0.0];
    forest.walk(&[value], &mut out);
    out[0]
}

#[test]
fn a_walk_compares_and_looks_up() {
    let sound = forest();
    assert_eq!(sound.check(), Ok(()));
    let leaves = [
        (1.0, 1.0),
        (f64::NAN, 1.0),
        (-5.0, 1.0),
        (2.0, 2.0),
        (2.9, 2.0),
        (3.0, 4.0),
        (65.5, 2.0),
        (128.0, 4.0),
        (1e30, 4.0),
    ];
    for (value, leaf) in leaves.into_iter().chain([(f64::INFINITY, 4.0), (f64::NEG_INFINITY, 1.0)]) {
        assert_eq!(score(&sound, value).to_bits(), (0.5_f64 + leaf).to_bits(), "{value}");
    }
}

#[test]
fn libraries_differ_in_what_is_below_zero_and_in_what_is_missing() {
    let mut forest = forest();
    forest.nodes[0].test = Test::AtMost(f64::NEG_INFINITY);
    forest.sets[0] = 1;
    let leaf = |forest: &Forest, value| score(forest, value) - 0.5;
    // Category 0 is 1 word's first bit: LightGBM cuts -0.5 to it.
    assert!(leaf(&forest, -0.5) < 3.0 && leaf(&forest, -1.0) > 3.0);
    forest.library = Library::XgBoost;
    assert!(leaf(&forest, -0.5) > 3.0 && leaf(&forest, 0.0) < 3.0);
    // Beyond what an f32 tells apart.
    forest.nodes[0].test = Test::AtMost(1.0);
    assert!(leaf(&forest, 1.0 + 1e-12) < 1.5);
    forest.library = Library::LightGbm;
    assert!(leaf(&forest, 1.0 + 1e-12) > 1.5);
    forest.nodes[0].missing = Missing::Never;
    forest.nodes[0].test = Test::AtMost(-1e-40);
    // NaN is 0, and so is whatever is as near to it as that.
    assert!(leaf(&forest, f64::NAN) > 1.5 && leaf(&forest, -2e-40) > 1.5 && leaf(&forest, -1e-30) < 1.5);
    forest.nodes[0].missing = Missing::Zero;
    assert!(leaf(&forest, f64::NAN) < 1.5 && leaf(&forest, 1e-36) < 1.5 && leaf(&forest, 1e-34) > 1.5);
}

#[test]
fn what_cannot_be_walked_is_refused() {
    let refused = |change: fn(&mut Forest), what: &str| {
        let mut forest = forest();
        change(&mut forest);
        let told = forest.check().expect_err(what);
        assert!(told.contains(what), "{told:?} for {what:?}");
    };
    refused(|forest| forest.nodes[1].left = Child::Node(0), "node 0 is not there, or reached twice");
    refused(|forest| forest.nodes[1].left = Child::Node(1), "node 1 is not there, or reached twice");
    refused(|forest| forest.nodes[1].left = Child::Node(2), "node 2 is not there");
    refused(|forest| forest.nodes[1].left = Child::Leaf(3), "leaf 3 is not there");
    refused(|forest| forest.nodes[1].left = Child::Leaf(0), "leaf 0 is not there, or reached twice");
    // A cycle that nothing leads to, while everything has one way to it.
    refused(
        |forest| {
            forest.nodes[0].right = Child::Leaf(1);
            forest.nodes[1].left = Child::Node(1);
        },
        "no way leads to",
    );
    refused(|forest| forest.nodes[0].feature = 1, "feature 1, of 1");
    refused(|forest| forest.nodes[0].test = Test::AtMost(f64::NAN), "threshold");
    refused(|forest| forest.nodes[1].test = Test::Among { first: 1, words: 2 }, "beyond the sets");
    refused(|forest| forest.nodes[1].test = Test::Among { first: u32::MAX, words: u32::MAX }, "beyond the sets");
    refused(|forest| forest.leaves[2] = f64::INFINITY, "leaf 2 is inf");
    refused(
        |forest| {
            forest.library = Library::XgBoost;
            forest.leaves[1] = 1e39;
        },
        "leaf 1 is 1e39",
    );
    refused(|forest| forest.leaves.push(0.0), "that no tree has");
    refused(|forest| forest.trees[0].leaves = 2, "2 leaves for 2 nodes");
    refused(|forest| forest.trees[0].first_node = 1, "does not begin where");
    refused(|forest| forest.trees[0].output = 1, "of output 1, of 1");
    refused(
        |forest| {
            forest.trees[0].nodes = 3;
            forest.trees[0].leaves = 4;
        },
        "ends beyond",
    );
    refused(|forest| forest.base = Vec::new(), "begin with");
    refused(|forest| forest.base[0] = f64::NAN, "begin with");
    refused(|forest| forest.link = Link::Logistic { slope: -1.0 }, "sigmoid");
    refused(|forest| forest.features = vec![String::new(); crate::limits::MODEL_FEATURES + 1], "features");
}

#[test]
fn links_do_not_overflow() {
    let applied = |link: Link, raw: &[f64]| {
        let mut outputs = raw.to_vec();
        link.apply(&mut outputs);
        outputs
    };
    assert_eq!(applied(Link::Softmax, &[1e308, 0.0]), [1.0, 0.0]);
    assert_eq!(applied(Link::Softmax, &[f64::INFINITY, 0.0]), [1.0, 0.0]);
    assert_eq!(applied(Link::Softplus, &[-1e4, 1e4]), [0.0, 1e4]);
    assert_eq!(applied(Link::Logistic { slope: 1.0 }, &[-1e4, 1e4]), [0.0, 1.0]);
    assert_eq!(applied(Link::Square, &[-3.0, 2.0]), [-9.0, 4.0]);
    assert_eq!(applied(Link::Step, &[-3.0, 0.0, 2.0]), [0.0, 0.0, 1.0]);
}
