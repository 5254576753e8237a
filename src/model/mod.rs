//! Models: gradient-boosted trees, as the libraries that grow them mean them.

pub mod engine;
pub mod forest;
