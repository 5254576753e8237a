//! Campaigns.
#[derive(Debug)]
/// Campaign.
pub struct Campaign;
