//! Guards: what stops spending by itself when something is wrong that no account shows. Each is a state machine of its own,
//! without clock and I/O, told what it looks at and asked once a tick; docs/GUARDS.md says what each does and what an
//! operator does then.
//!
//! ```text
//! runaway  a campaign spends three times its target for a minute   stops the campaign    until somebody resumes it
//! jump     bids are won far more often than before                 stops the campaign    until somebody resumes it
//! sums     an advertiser's accounts do not add up                  stops the advertiser  until somebody resumes it
//! feed     what happened is not on disk, or not reported           revokes all leases    until the lag is gone
//! ```
//!
//! What is stopped is on record with the authority, so that a restart does not resume it.

pub mod counts;
pub mod feed;
pub mod operator;
pub mod runaway;
pub mod stops;
pub mod sums;
