//! The exchange to run against: a corpus of requests, auctions among simulated bidders, and notices as an exchange sends
//! them: some early, some late, some twice, most never.
//!
//! Two threads. The **exchange** ([`exchange`]) asks for bids by a schedule, holds an auction for each answer, and sends
//! the outcome through a channel to the **desk** ([`notices`]), which calls the notice URLs when their time has come and
//! keeps the market's account of what it billed. Given a seed, what is asked and how each auction ends is the same in
//! every run; only the times differ.

pub mod auction;
pub mod clicks;
pub mod corpus;
pub mod exchange;
pub mod macros;
pub mod notices;
pub mod random;
pub mod settlement;
pub mod summary;
pub mod vocabulary;

pub use exchange::{Behaviour, Error, Options, run};
pub use settlement::Settlement;
pub use summary::{Second, Summary, render};
