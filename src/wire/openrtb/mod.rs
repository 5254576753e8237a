//! OpenRTB 2.5 and 2.6 over JSON.

pub mod request;
pub mod response;
pub mod nobid;
pub mod refusal;
