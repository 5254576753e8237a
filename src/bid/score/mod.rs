//! Scoring: what each offer is worth to its campaign.

pub mod governor;
pub mod shortlist;
