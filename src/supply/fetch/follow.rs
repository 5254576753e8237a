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

/// Reads them; `None` if the file has neither a record nor a variable: such a file is to be ignored (ads.txt 1.1, 3.2.1). Only
/// subdomains of `domain` are subdomains (3.5.1). At most [`limits::REFERENCES`] of each.
pub fn read(domain: &str, text: &[u8]) -> Option<References> {
    let mut found = References::default();
    let mut says = false;
    for line in ads_txt::lines(text) {
        let (name, value) = match line {
            Line::Skipped { .. } => continue,
            Line::Record(_) => ("", ""),
            Line::Variable { name, value } => (name, value),
        };
        says = true;
        let Some(host) = names::host(value) else { continue };
        let (set, wanted) = if name.eq_ignore_ascii_case("subdomain") {
            let below = host.strip_suffix(domain).is_some_and(|before| before.ends_with('.'));
            (&mut found.subdomains, below)
        } else if name.eq_ignore_ascii_case("inventorypartnerdomain") {
            (&mut found.partners, host != domain)
        } else {
            continue;
        };
        if wanted && set.len() < limits::REFERENCES {
            set.insert(host);
        }
    }
    says.then_some(found)
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
        let found = read("a.example", text.as_bytes()).unwrap();
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
            assert_eq!(read("a.example", line.as_bytes()), Some(References::default()), "{line}");
        }
    }

    #[test]
    fn what_is_read_is_bounded() {
        let mut text = String::new();
        for number in 0..1000 {
            text += &format!("subdomain=s{number}.a.example\ninventorypartnerdomain=p{number}.example\n");
        }
        let found = read("a.example", text.as_bytes()).unwrap();
        assert_eq!((found.subdomains.len(), found.partners.len()), (limits::REFERENCES, limits::REFERENCES));
    }

    #[test]
    fn a_file_that_says_nothing_is_to_be_ignored() {
        for text in ["", "\u{feff}", "# nobody\n\n", "Not found", "<html><body>a=b</body></html>"] {
            assert_eq!(read("a.example", text.as_bytes()), None, "{text}");
        }
        assert!(read("a.example", b"placeholder.example.com, placeholder, DIRECT, placeholder").is_some());
        assert!(read("a.example", b"contact=me").is_some());
    }
}
