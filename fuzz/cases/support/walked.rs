//! What every model that is taken holds to: a walk ends in numbers, whatever the row, and an import of it is the model again.

use corebid::model::{Model, archive};

/// Checks it.
pub(crate) fn check(model: &Model) {
    let forest = &model.forest;
    // No input is large enough for more.
    assert!(forest.features.len() <= 1 << 16 && forest.base.len() <= 1024);
    let mut out = vec![0.0; forest.base.len()];
    for value in [f64::NAN, 0.0, 1.0, -0.5, 3.7, 1e30, -1e30, f64::INFINITY, f64::NEG_INFINITY] {
        forest.walk(&vec![value; forest.features.len()], &mut out);
        assert!(!out.iter().any(|score| score.is_nan()), "{out:?}");
        assert!((0.0..=1.0).contains(&model.probability(out[0])));
    }
    assert_eq!(&archive::open_bytes(&archive::bytes(model)).expect("what was taken"), model);
}
