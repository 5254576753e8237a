//! The exchange to run against.
