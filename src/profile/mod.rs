//! What is known of users: the compact value, its seal, and how it reaches the shard of a bid core.

pub mod count;
pub mod fetched;
pub mod keys;
pub mod shadow;
pub mod source;
