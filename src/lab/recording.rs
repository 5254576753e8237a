//! Requests of a bidder that were recorded, to be sent again at the times at which they came.

/// What a recording holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// When each request came, ns after the first; in order.
    pub offsets_ns: Vec<u64>,
    /// The requests, one for each offset.
    pub requests: Vec<RecordedRequest>,
}

/// A request as it was read from its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The last part of its path, `/openrtb/{exchange}`.
    pub exchange: String,
    /// It came in gzip, and is sent in gzip again.
    pub gzip: bool,
    /// Its `x-openrtb-version`, if it had one.
    pub version: Option<String>,
    /// The document, not compressed.
    pub body: Vec<u8>,
}
