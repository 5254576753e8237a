//! The loop of a bid core.
