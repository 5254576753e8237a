use super::*;
use crate::model::forest::{Child, Missing, Node, Test, Tree};

#[test]
fn a_stump_goes_both_ways() {
    let node = Node {
        feature: 0,
        test: Test::AtMost(0.5),
        missing: Missing::Nan,
        missing_left: false,
        left: Child::Leaf(0),
        right: Child::Leaf(1),
    };
    let forest = Forest {
        features: vec!["x".to_owned()],
        base: vec![0.0],
        trees: vec![Tree { output: 0, first_node: 0, nodes: 1, first_leaf: 0, leaves: 2 }],
        nodes: vec![node],
        leaves: vec![-1.0, 2.0],
        ..Forest::default()
    };
    let engine = Engine::build(&forest).unwrap();
    let mut room = Room::new(&engine);
    for (value, score) in [(0.5, -1.0), (0.6, 2.0), (f64::NAN, 2.0), (f64::NEG_INFINITY, -1.0)] {
        let mut out = [0.0];
        engine.score(&[value], &mut room, &mut out);
        assert_eq!(out, [score], "{value}");
    }
}
