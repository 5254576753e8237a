//! How well campaigns are paced: the production pacer and what it is compared with, on days of real traffic under virtual time.
//!
//! [`market`] is the world, [`arms`] the ways to pace, [`run`] a day of one campaign on one node, [`step`] what it does when the budget changes,
//! [`fleet`] a day on many nodes, and [`plot`] draws. Floats are welcome here: nothing of it is money that anybody owes.

pub mod arms;
pub mod fleet;
pub mod market;
pub mod plot;
pub mod run;
pub mod step;
