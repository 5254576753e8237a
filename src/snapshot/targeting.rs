//! Targeting.
#[derive(Debug)]
/// Index.
pub struct Index;
