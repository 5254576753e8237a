//! Where things are kept. [`embedded`] is the default: a directory, and nothing else installed.

pub mod commit;
pub mod embedded;
pub mod journal;
pub mod writer;
