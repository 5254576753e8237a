//! What is known of users: the compact value, its seal, and how it reaches the shard of a bid core.

pub mod count;
pub mod value;
pub mod fetched;
pub mod keys;
pub mod keyfile;
pub mod seal;
pub mod sealed;
pub mod region;
pub mod erase;
pub mod shadow;
pub mod source;
