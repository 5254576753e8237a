//! What is counted, and how it is read from outside.

pub mod stage;
pub mod counter;
pub mod histogram;
pub mod paths;
pub mod stalls;
pub mod flight;
pub mod core;
pub mod exchanges;
pub mod arms;
pub mod clock;
pub mod render;
