//! Markup: text with macros, cut up when it is loaded, put together when it is bid.

/// A creative's markup as the inside of a JSON string, in pieces between the macros that the bidder fills in.
#[derive(Clone, Debug, PartialEq)]
pub struct Markup {
    /// The markup as a JSON string, quotes included.
    pub json: Box<[u8]>,
}
