//! The edge: who is turned away, who must not be, and that the limits of exchanges hold to the request.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

#[path = "../support/mod.rs"]
mod support;

mod duplicates;
mod filters;
mod impossible;
mod node;
mod quota;
mod velocity;
