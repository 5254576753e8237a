//! The stores of a fleet: a housekeeping thread that talks to Valkey and DynamoDB, so that no bid core and no ledger ever waits
//! for either.

#[cfg(feature = "stores")]
pub mod frequency;
