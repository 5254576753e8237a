//! A strict, bounded JSON scanner.

/// A JSON string as it stands between its quotes: unescaped only when somebody needs it. Empty if absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text<'a> {
    /// The bytes between the quotes.
    pub raw: &'a [u8],
    /// Whether there is an escape among them.
    pub escaped: bool,
}

/// A JSON value as it stands, already checked. Empty if absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw<'a>(pub &'a [u8]);
