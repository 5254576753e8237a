//! What the crawler reads besides the files: the first byte chooses URLs, host names, or its list of targets. A URL leads where the
//! HTTP client goes with it; a name in its stored form stays as it is.

use corebid::supply::fetch::names;
use corebid::supply::fetch::targets;
use corebid::supply::fetch::url::Url;
use ureq::http::Uri;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&kind, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match kind % 3 {
        0 => urls(text),
        1 => hosts(text),
        _ => list(text),
    }
}

fn urls(text: &str) {
    let (first, location) = text.split_once('\n').unwrap_or((text, "/x"));
    if let Some(url) = Url::parse(first) {
        judge(&url);
        if let Some(next) = url.join(location) {
            judge(&next);
        }
    }
    let base = Url::parse("https://www.a.example:8443/b/c.txt?d=e").expect("a URL");
    if let Some(next) = base.join(text) {
        judge(&next);
    }
}

fn judge(url: &Url) {
    let text = url.to_string();
    assert_eq!(Url::parse(&text).as_ref(), Some(url), "{text}");
    // What is connected to is what was looked at.
    let uri: Uri = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(
        (uri.scheme_str(), uri.host()),
        (Some(if url.secure { "https" } else { "http" }), Some(url.host.as_str()))
    );
    let port = text.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()).and_then(|authority| {
        authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map(|(_, port)| port.to_owned())
    });
    assert_eq!(uri.port().map(|port| port.as_str().to_owned()), port);
    assert!(
        url.host.ends_with(url.root()) || url.host.trim_end_matches('.').ends_with(url.root().trim_end_matches('.'))
    );
}

fn hosts(text: &str) {
    if let Some(host) = names::host(text) {
        assert!(host.is_ascii() && host.len() <= 253 && host.contains('.') && !host.ends_with('.'), "{host}");
        assert_eq!(host, host.to_ascii_lowercase());
        assert!(host.split('.').all(|label| (1..=63).contains(&label.len())));
        assert!(host.parse::<std::net::Ipv4Addr>().is_err());
        assert!(text.to_ascii_lowercase().contains(&host));
        assert!(host.ends_with(names::root(&host)));
    }
    if let Some(site) = names::site(text) {
        assert_eq!(names::site(&site).as_ref(), Some(&site));
        assert_eq!(names::root(&site), site);
    }
    if let Some(developer) = names::developer(text) {
        assert_eq!(names::developer(&developer).as_ref(), Some(&developer));
        let root = names::root(&developer);
        let before = developer[..developer.len() - root.len()].matches('.').count();
        assert!(developer.ends_with(root) && before <= 1, "{developer}");
    }
}

fn list(text: &str) {
    match targets::read(text) {
        Ok(targets) => {
            let words = |line: &str| line.split('#').next().is_some_and(|line| !line.trim_ascii().is_empty());
            let lines = text.lines().filter(|line| words(line)).count();
            assert!(targets.files.len() <= lines && targets.apps.len() <= lines);
            assert!(targets.files.is_empty() == (lines == 0));
            for (_, name) in &targets.files {
                assert_eq!(names::host(name).as_deref().map(names::root), Some(names::root(name)), "{name}");
            }
        }
        Err(error) => assert!((1..=text.lines().count()).contains(&error.line)),
    }
}
