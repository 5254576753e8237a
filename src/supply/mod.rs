//! The files in which the trade says who may sell what: `ads.txt` and `app-ads.txt` of publishers, `sellers.json` of the
//! systems they sell through. Housekeeping: nothing here runs on a bid core, [`crate::snapshot::supply`] is what does.

pub mod ads_txt;
pub mod sellers_json;
pub mod store;
pub mod fetch;
