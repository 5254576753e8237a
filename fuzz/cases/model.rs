//! Model files: the first byte chooses TOML or JSON. Whatever a model says, a score is a probability and a price is never raised.

use corebid::snapshot::model::{FACTOR_ONE, Features, Linear};
use corebid::wire::openrtb::request::{Channel, Size};

#[path = "support/place.rs"]
mod place;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&first, text)) = input.split_first() else { return };
    let name = if first & 1 == 1 { "model.json" } else { "model.toml" };
    let model = match place::with_file(name, text, Linear::load) {
        Ok(model) => model,
        Err(error) => {
            let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
            assert!(error.line <= lines, "line {} of {lines}", error.line);
            return assert!(!error.what.is_empty() && !error.to_string().contains('\n'), "{error:?}");
        }
    };
    for at in 0..=255 {
        let features = Features {
            device: at,
            channel: [Channel::default(), Channel::Site, Channel::App][usize::from(at) % 3],
            hour: at.wrapping_mul(7),
            position: at / 3,
            size: Size { w: u16::from(at) * 4, h: if at == 255 { u16::MAX } else { u16::from(at) } },
            segments: at.is_multiple_of(2).then_some(usize::from(at / 2)),
        };
        let score = model.score(&features);
        assert!((0.0..=1.0).contains(&score), "{score}");
        assert!((1..=FACTOR_ONE).contains(&model.price_factor(&features)));
    }
}
