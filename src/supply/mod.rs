//! The files of the supply chain before they are compiled: fetched, kept, parsed.

pub mod store;
