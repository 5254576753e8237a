//! User agents, names of systems and browsers, types of media: however a text is escaped, and whether it was seen before, it says the
//! same.

use std::cell::RefCell;

use corebid::wire::json::Text;
use corebid::wire::openrtb::agent::{Agents, Browser, Os, of};
use corebid::wire::openrtb::mime::Mimes;

thread_local! {
    static SEEN: RefCell<Agents> = RefCell::default();
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // What is not escaped has no escapes.
    if input.contains(&b'\\') {
        return;
    }
    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let spelt = Text { raw: escaped.as_bytes(), escaped: true };
    let plain = Text { raw: input, escaped: false };
    assert_eq!(of(plain), of(spelt));
    assert_eq!((Os::named(plain), Browser::named(plain)), (Os::named(spelt), Browser::named(spelt)));
    SEEN.with_borrow_mut(|agents| {
        for _ in 0..2 {
            assert_eq!((agents.of(plain), agents.of(spelt)), (of(plain), of(plain)));
        }
    });
    // Nothing is told by the case of its letters, but for words of user agents.
    let upper = text.to_ascii_uppercase();
    assert_eq!(Os::named(plain), Os::named(Text { raw: upper.as_bytes(), escaped: false }));
    assert_eq!(Mimes::of(input), Mimes::of(upper.as_bytes()));
    assert!(Mimes::of(input).is_empty() || Mimes::NAMES.iter().any(|name| name.eq_ignore_ascii_case(text)));
}
