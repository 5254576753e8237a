//! The exchange to run against: a corpus of requests, auctions among simulated bidders, and notices, as an exchange
//! sends them: some early, some late, some twice, most never.

pub mod corpus;
pub mod random;
pub mod vocabulary;
