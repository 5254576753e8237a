//! Which core does what.
