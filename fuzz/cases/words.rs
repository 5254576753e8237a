//! Small forms of text, in configurations, on command lines and in stores: what is read is written the same, but for the case of its
//! letters where that does not count.

use corebid::bid::net::Waiting;
use corebid::bid::server::Backend;
use corebid::config::profiles::Id;
use corebid::config::stores::host_port;
use corebid::lab::target;
use corebid::store::anchor::Anchor;
use corebid::units::{Currency, Region, UserKey};

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    if let Some(currency) = Currency::parse(input) {
        assert!(currency.code().as_bytes().eq_ignore_ascii_case(input));
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(currency) = text.parse::<Currency>() {
        assert_eq!(currency.code(), text.to_uppercase());
    }
    if let Ok(region) = text.parse::<Region>() {
        assert_eq!(region.label(), text);
    }
    if let Some(user) = UserKey::from_text(text) {
        assert!(user.text() == text && user != UserKey::NOBODY);
    }
    if let Ok(id) = text.parse::<Id>() {
        assert_eq!(id.label(), text);
        assert!(id.space("an exchange").starts_with('/') || matches!(id, Id::Buyer | Id::User));
    }
    if let Ok(anchor) = text.parse::<Anchor>() {
        let line = anchor.to_string();
        assert_eq!(line.parse(), Ok(anchor), "{line}");
        assert_eq!(format!("other=1 {line} words").parse(), Ok(anchor));
    }
    if let Some((host, port)) = host_port(text) {
        let bracketed = format!("[{host}]:{port}");
        assert!(port > 0 && (text == format!("{host}:{port}") || text == bracketed || text.contains(":0")), "{text:?}");
        assert_eq!(host_port(&bracketed), Some((host, port)));
    }
    if let Some((authority, path)) = target::split(text) {
        assert!(text == format!("http://{authority}{path}") || path == "/" && text == format!("http://{authority}"));
        assert!(!authority.is_empty() && path.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    assert!(text.parse::<Waiting>().is_err() || ["block", "hybrid", "spin"].contains(&text));
    assert!(text.parse::<Backend>().is_err() || ["io_uring", "epoll"].contains(&text));
}
