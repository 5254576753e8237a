//! DynamoDB: what must not be lost (the register of processes, epochs, checkpoints), what is known of users, and what
//! advertisers say. docs/DYNAMODB.md describes the tables.
//!
//! ```text
//! register   processes   one item: who runs, who was retired      conditional writes, consistent reads
//!            erasures    the last users who were erased              the same
//!            epoch#7     epoch, replication id, checkpoint of advertiser 7
//! profiles   eu#0f…      a user's sealed value                    batches, eventually consistent
//! keys       eu#0f…      the user's wrapped data key
//! campaigns  7  1001     a campaign of advertiser 7               one partition a tenant, through `Dal` alone
//! supply     7  …        what it knows of sellers
//! ```

pub mod batch;
pub mod campaigns;
pub mod client;
pub mod credentials;
pub mod dal;
pub mod epochs;
pub mod erasures;
pub mod failure;
pub mod feed;
pub mod item;
pub mod register;
pub mod sellers;
pub mod tables;
pub mod tenant;
pub mod users;
