//! Models: gradient-boosted trees, as the libraries that grow them mean them.

pub mod forest;
pub mod drift;
pub mod registry;
