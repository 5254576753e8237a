//! What is JSON: every level of instructions agrees, and agrees with `serde_json` where the two promise the same.

use std::cell::RefCell;

use corebid::wire::json::{Document, Level, Scratch};

thread_local! {
    static SCRATCHES: RefCell<Vec<Scratch>> = RefCell::new(
        Level::ALL.iter().filter(|level| level.is_available()).map(|&level| Scratch::with_level(1 << 16, level)).collect(),
    );
}

/// Checks one input.
pub(crate) fn check(body: &[u8]) {
    SCRATCHES.with_borrow_mut(|scratches| {
        let verdicts: Vec<bool> = scratches.iter_mut().map(|scratch| Document::read(body, scratch).is_ok()).collect();
        assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]));
        // Lone surrogates, numbers beyond f64 and nesting over 64 are where they differ by design: none is refused by
        // the one and accepted by the other the wrong way round.
        let checked = serde_json::from_slice::<serde_json::Value>(body);
        let shallow = body.iter().filter(|byte| matches!(byte, b'{' | b'[')).count() <= 64;
        match checked {
            Ok(_) => assert!(verdicts[0] || !shallow || body.len() > 1 << 16),
            Err(error) => {
                let by_design = ["surrogate", "out of range", "recursion", "hex escape"]
                    .iter()
                    .any(|word| error.to_string().contains(word));
                assert!(!verdicts[0] || by_design, "{error}");
            }
        }
    });
}
