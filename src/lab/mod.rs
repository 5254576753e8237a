//! Load, gates, and what to compare with.

pub mod floor;
