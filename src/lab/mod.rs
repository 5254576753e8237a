//! The lab: what measures a bidder.
//!
//! From outside: [`pool`] is the one connection engine; [`load`] drives it by a schedule and measures, [`crate::market`]
//! drives it and settles auctions. From inside: [`floor`] is the loop without a decision, [`bench`] the decision without a
//! loop.

pub mod answer;
pub mod latency;
pub mod load;
pub mod pool;
pub mod report;
pub mod requests;
pub mod target;

pub mod floor;
pub mod bench;
