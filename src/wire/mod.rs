//! Pure functions between bytes and values. No I/O, no clock, no state but working memory, no allocation; each parser is
//! fuzzed.

pub mod http;
pub mod gzip;
pub mod json;
pub mod openrtb;
pub mod consent;
pub mod notice;
pub mod price;
pub mod price_cipher;
pub mod base64;
