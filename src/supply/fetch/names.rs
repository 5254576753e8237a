//! Which host a file lies on: names are compared as they are stored, in lower case, without a leading `www.` and a final dot.

/// A host name in the form in which it is stored, if it is one: at least two labels of letters, digits, hyphens and
/// underscores, in ASCII (internationalised names as `xn--`), and not an IPv4 address.
pub fn host(text: &str) -> Option<String> {
    let mut name = text.trim().to_ascii_lowercase();
    if name.ends_with('.') {
        name.pop();
    }
    if let Some(rest) = name.strip_prefix("www.")
        && rest.contains('.')
    {
        name = rest.to_owned();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next()?;
    let good = name.len() <= 253
        && name.contains('.')
        && name.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit());
    good.then_some(name)
}

/// The root domain of a host: its public suffix and one name before it (ads.txt 1.1, 3.1). What has none is its own root.
pub fn root(host: &str) -> &str {
    psl::domain_str(host).unwrap_or(host)
}

/// The root domain of a site, where its ads.txt lies; `None` for what is not below a public suffix.
pub fn site(text: &str) -> Option<String> {
    psl::domain_str(&host(text)?).map(str::to_owned)
}

/// The host of the app-ads.txt of a developer, from the URL or domain that the app store shows (app-ads.txt 1.0, "Translate
/// developer URL to an app-ads.txt path"): one name before the root domain stays, unless it is `www` or `m`.
pub fn developer(text: &str) -> Option<String> {
    let text = text.trim();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let name = host(authority.split(':').next()?)?;
    let root = psl::domain_str(&name)?;
    let before = name[..name.len() - root.len()].trim_end_matches('.');
    match before.rsplit('.').next() {
        Some("" | "www" | "m") | None => Some(root.to_owned()),
        Some(label) => Some(format!("{label}.{root}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_stored_in_one_form() {
        for (text, wanted) in [
            ("Example.COM", Some("example.com")),
            ("www.Example.com.", Some("example.com")),
            (" m.example.com ", Some("m.example.com")),
            ("www.com", Some("www.com")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("localhost", None),
            ("127.0.0.1", None),
            ("[::1]", None),
            ("a..example", None),
            ("-a.example", None),
            ("bücher.example", None),
            ("example.com/ads.txt", None),
            ("example.com:8080", None),
            ("", None),
        ] {
            assert_eq!(host(text).as_deref(), wanted, "{text}");
        }
        assert_eq!(host(&format!("{}.example", "a".repeat(64))), None);
        assert_eq!(host(&format!("{}example", "a.".repeat(124))), None);
    }

    #[test]
    fn the_root_is_the_public_suffix_and_one_name() {
        for (text, wanted) in [
            ("a.b.example.com", Some("example.com")),
            ("www.example.co.uk", Some("example.co.uk")),
            ("me.github.io", Some("me.github.io")),
            ("co.uk", None),
        ] {
            assert_eq!(site(text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn developer_urls_are_the_specifications_cases() {
        // app-ads.txt 1.0, Appendix A.
        for (url, wanted) in [
            ("https://www.example.com/test", "example.com"),
            ("https://m.example.com/test", "example.com"),
            ("https://example.com/test", "example.com"),
            ("https://subdomain.example.com/test", "subdomain.example.com"),
            ("https://another.subdomain.example.com/test", "subdomain.example.com"),
            ("https://subdomain.www.example.com/test", "example.com"),
            ("https://www.example.co.uk/test", "example.co.uk"),
            ("https://m.example.co.uk/test", "example.co.uk"),
            ("https://example.co.uk/test", "example.co.uk"),
            ("https://subdomain.example.co.uk/test", "subdomain.example.co.uk"),
            ("https://another.subdomain.example.co.uk/test", "subdomain.example.co.uk"),
            ("https://subdomain.www.example.co.uk/test", "example.co.uk"),
            ("https://www.example.uk/test", "example.uk"),
            ("https://m.example.uk/test", "example.uk"),
            ("https://example.uk/test", "example.uk"),
            ("https://subdomain.example.uk/test", "subdomain.example.uk"),
            ("https://another.subdomain.example.uk/test", "subdomain.example.uk"),
            ("https://subdomain.www.example.uk/test", "example.uk"),
        ] {
            assert_eq!(developer(url).as_deref(), Some(wanted), "{url}");
        }
        // A registered name that looks like a prefix stays.
        assert_eq!(developer("https://m.co.uk/").as_deref(), Some("m.co.uk"));
        assert_eq!(developer("games.example.com").as_deref(), Some("games.example.com"));
        assert_eq!(developer("http://me:pass@Games.Example.com:8080?a=b").as_deref(), Some("games.example.com"));
        assert_eq!(developer("http://127.0.0.1/"), None);
        assert_eq!(developer("https://co.uk/"), None);
    }
}
