//! OpenRTB 2.5 and 2.6 over JSON.

mod fields;
pub mod mime;
pub mod agent;
pub mod chain;
pub mod request;
pub mod native;
pub mod response;
pub mod nobid;
pub mod refusal;
