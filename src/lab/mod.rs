//! The lab: what measures a bidder from outside. It shares nothing with the bid path but the names of things.
//!
//! [`pool`] is the one connection engine; [`load`] drives it by a schedule and measures, [`crate::market`] drives it and
//! settles auctions.

pub mod answer;
pub mod capacity;
pub mod deck;
pub mod hiccup;
pub mod latency;
pub mod load;
pub mod plot;
pub mod pool;
pub mod recording;
pub mod report;
pub mod requests;
pub mod schedule;
mod svg;
pub mod target;
pub mod thread;

pub mod drill;
pub mod gate;
pub mod floor;
pub mod frequency;
pub mod bench;
pub mod pacing;
pub mod plan;
pub mod shading;
pub mod simulate;
