//! Signed notice URLs.
