//! The linear model.

/// A linear score.
#[derive(Debug, Clone, Default)]
pub struct Linear;
