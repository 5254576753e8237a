//! The lines of a publisher's file that name further files to fetch.

use std::collections::BTreeSet;

use crate::limits;
use crate::supply::ads_txt::{self, Line};
use crate::supply::fetch::names;

/// The further files of one file, each once, in the stored form of their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct References {
    /// `SUBDOMAIN=`.
    pub subdomains: BTreeSet<String>,
    /// `INVENTORYPARTNERDOMAIN=`.
    pub partners: BTreeSet<String>,
}

/// Reads them. Only subdomains of `domain` are subdomains (ads.txt 1.1, 3.5.1). What has no registered name in it is nobody's: a file
/// of `co.uk` would stand above those of all who are below it. At most [`limits::REFERENCES`] of each.
pub fn read(domain: &str, text: &[u8]) -> References {
    let mut found = References::default();
    for line in ads_txt::lines(text) {
        let Line::Variable { name, value } = line else { continue };
        let Some(host) = names::host(value) else { continue };
        let Some(root) = names::site(&host) else { continue };
        let (set, wanted) = if name.eq_ignore_ascii_case("subdomain") {
            let below = host.strip_suffix(domain).is_some_and(|before| before.ends_with('.'));
            (&mut found.subdomains, below && root == names::root(domain))
        } else if name.eq_ignore_ascii_case("inventorypartnerdomain") {
            (&mut found.partners, host != domain)
        } else {
            continue;
        };
        if wanted && set.len() < limits::REFERENCES {
            set.insert(host);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: &BTreeSet<String>) -> Vec<&str> {
        set.iter().map(String::as_str).collect()
    }

    #[test]
    fn both_kinds_are_found_however_they_are_written() {
        let text = "\u{feff}SUBDOMAIN=one.a.example\r\nSubDomain = TWO.a.example # two\rsubdomain=one.a.example\n\
                    ssp.example, 1, DIRECT\n#subdomain=no.a.example\n inventoryPartnerDomain=www.Partner.example.\n\
                    OWNERDOMAIN=owner.example";
        let found = read("a.example", text.as_bytes());
        assert_eq!(names(&found.subdomains), ["one.a.example", "two.a.example"]);
        assert_eq!(names(&found.partners), ["partner.example"]);
    }

    #[test]
    fn a_subdomain_is_below_its_root() {
        for line in [
            "subdomain=b.example",
            "subdomain=nota.example",
            "subdomain=a.example",
            "subdomain=www.a.example",
            "subdomain=10.0.0.1",
        ] {
            assert_eq!(read("a.example", line.as_bytes()), References::default(), "{line}");
        }
        // It is below, and a customer's: the list of public suffixes has a part for such.
        assert_eq!(read("amazonaws.com", b"subdomain=bucket.s3.amazonaws.com"), References::default());
    }

    #[test]
    fn what_nobody_can_register_is_nobodys_partner() {
        for suffix in ["co.uk", "www.co.uk", "com", "github.io"] {
            let text = format!("inventorypartnerdomain={suffix}\ninventorypartnerdomain=a.{suffix}");
            let found = read("evil.example", text.as_bytes());
            assert_eq!(names(&found.partners), [format!("a.{suffix}")]);
        }
        let found = read("a.example", b"inventorypartnerdomain=news.co.uk\ninventorypartnerdomain=x.github.io");
        assert_eq!(names(&found.partners), ["news.co.uk", "x.github.io"]);
    }

    #[test]
    fn what_is_read_is_bounded() {
        let mut text = String::new();
        for number in 0..1000 {
            text += &format!("subdomain=s{number}.a.example\ninventorypartnerdomain=p{number}.example\n");
        }
        let found = read("a.example", text.as_bytes());
        assert_eq!((found.subdomains.len(), found.partners.len()), (limits::REFERENCES, limits::REFERENCES));
    }
}
