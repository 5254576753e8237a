//! How well campaigns are paced: the production pacer and what it is compared with, on days of real traffic under virtual time.
//!
//! [`market`] is the world, [`arms`] the ways to pace, [`run`] a day of one campaign on one node, [`fleet`] one on many, and
//! [`plot`] draws. Floats are welcome here: nothing of it is money that anybody owes.

pub mod arms;
pub mod market;
pub mod run;
