//! The file of what to fetch: one target a line, `#` begins a comment.
//!
//! ```text
//! site DOMAIN                  ads.txt of the root domain
//! app BUNDLE DEVELOPER         app-ads.txt of the developer, by URL or domain
//! seller ASI                   sellers.json of an advertising system
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::supply::fetch::names;
use crate::supply::store::Kind;

/// What to fetch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// The files, each once.
    pub files: BTreeSet<(Kind, String)>,
    /// The host of the developer of each app, by bundle.
    pub apps: BTreeMap<String, String>,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Error {
    /// From 1.
    pub line: usize,
    /// What was found, and what is wanted.
    pub message: String,
}

impl std::fmt::Display for Error {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {}", self.line, self.message)
    }
}

impl std::error::Error for Error {}

/// Reads the file.
pub fn read(text: &str) -> Result<Targets, Error> {
    let mut targets = Targets::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let wrong = |message: String| Error { line: number + 1, message };
        match words[..] {
            [] => {}
            ["site", domain] => {
                let root = names::site(domain).ok_or_else(|| wrong(format!("{domain}: not a domain of a site")))?;
                targets.files.insert((Kind::AdsTxt, root));
            }
            ["app", bundle, developer] => {
                let host = names::developer(developer)
                    .ok_or_else(|| wrong(format!("{developer}: neither the URL nor the domain of a developer")))?;
                targets.files.insert((Kind::AppAdsTxt, host.clone()));
                targets.apps.insert(bundle.to_owned(), host);
            }
            ["seller", asi] => {
                let host = names::host(asi).ok_or_else(|| wrong(format!("{asi}: not a domain")))?;
                targets.files.insert((Kind::SellersJson, host));
            }
            _ => {
                return Err(wrong(format!(
                    "`{}`: not one of `site DOMAIN`, `app BUNDLE DEVELOPER`, `seller ASI`",
                    line.trim()
                )));
            }
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let text = "# all\nsite News.example.com\r\nsite www.example.com # again\n\napp com.a.b https://games.dev.example/x\n\
                    seller SSP.example\n";
        let targets = read(text).unwrap();
        let files: Vec<_> = targets.files.iter().map(|(kind, domain)| (kind.file(), domain.as_str())).collect();
        assert_eq!(
            files,
            [("ads.txt", "example.com"), ("app-ads.txt", "games.dev.example"), ("sellers.json", "ssp.example")]
        );
        assert_eq!(targets.apps["com.a.b"], "games.dev.example");
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, line) in [
            ("site a.example\nsites b.example", 2),
            ("site", 1),
            ("site co.uk", 1),
            ("\n\nseller 10.0.0.1", 3),
            ("app com.a", 1),
            ("app com.a http://localhost/", 1),
        ] {
            assert_eq!(read(text).unwrap_err().line, line, "{text}");
        }
    }
}
