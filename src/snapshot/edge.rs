//! What turns requests away before the campaigns are asked: lists of names, bots and networks, from files of the operator.
//! One copy per process, which every core's snapshot points to; each is read again when its file changes.

mod bots;
mod names;
mod networks;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::data::{Kept, taken};
use super::document::{self, Fault};
use crate::config;
pub use bots::Bots;
pub use names::Names;
pub use networks::Networks;

/// The files, each if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Domains, with all below them.
    pub blocked_domains: Option<PathBuf>,
    /// Bundles of apps.
    pub blocked_bundles: Option<PathBuf>,
    /// Parts of user agents.
    pub bots: Option<PathBuf>,
    /// Networks of data centres.
    pub data_centers: Option<PathBuf>,
}

impl Files {
    /// The files a configuration names.
    pub fn of(edge: &config::Edge) -> Files {
        let config::Edge { blocked_domains, blocked_bundles, bots, data_centers, .. } = edge.clone();
        Files { blocked_domains, blocked_bundles, bots, data_centers }
    }

    /// Those there are.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        let Files { blocked_domains, blocked_bundles, bots, data_centers } = self;
        [blocked_domains, blocked_bundles, bots, data_centers].into_iter().flatten().map(PathBuf::as_path)
    }
}

/// The lists. An empty one turns nobody away.
#[derive(Debug, Default)]
pub struct Edge {
    /// Domains not to bid on.
    pub domains: List<Names>,
    /// Bundles not to bid on.
    pub bundles: List<Names>,
    /// User agents of known bots.
    pub bots: List<Bots>,
    /// Addresses in data centres.
    pub data_centers: List<Networks>,
}

impl Edge {
    /// Reads the files that have changed since `known` was read. A list whose file has a mistake stays as it is known, and
    /// the mistake is added to `kept`.
    pub fn load(files: &Files, known: &Arc<Edge>, kept: &mut Vec<Kept>) -> Arc<Edge> {
        let Files { blocked_domains, blocked_bundles, bots, data_centers } = files;
        let unchanged = known.domains.is_still(blocked_domains)
            && known.bundles.is_still(blocked_bundles)
            && known.bots.is_still(bots)
            && known.data_centers.is_still(data_centers);
        if unchanged {
            return known.clone();
        }
        Arc::new(Edge {
            domains: known.domains.again(blocked_domains, Names::domains, "blocked domains", kept),
            bundles: known.bundles.again(blocked_bundles, Names::bundles, "blocked bundles", kept),
            bots: known.bots.again(bots, Bots::parse, "bots", kept),
            data_centers: known.data_centers.again(data_centers, Networks::parse, "data centers", kept),
        })
    }

    /// Whether anything here is asked about the inventory.
    #[inline]
    pub fn asks_inventory(&self) -> bool {
        !(self.domains.is_empty() && self.bundles.is_empty())
    }

    /// Whether anything here is asked about the device.
    #[inline]
    pub fn asks_device(&self) -> bool {
        !(self.bots.is_empty() && self.data_centers.is_empty())
    }
}

/// A list as it was when its file was read.
#[derive(Clone, Debug, Default)]
pub struct List<T> {
    list: T,
    /// When the file was last changed, and how long it is; nothing if what it says now is not what the list holds.
    stamp: Option<(SystemTime, u64)>,
}

impl<T> Deref for List<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.list
    }
}

impl<T: Clone + Default> List<T> {
    /// Whether the file says what it said.
    fn is_still(&self, file: &Option<PathBuf>) -> bool {
        file.as_deref().is_none_or(|path| self.stamp.is_some() && stamp(path) == self.stamp)
    }

    /// The list of the file as it is now. A list that stays is copied, which takes a fraction of the time of reading it.
    fn again(
        &self,
        file: &Option<PathBuf>,
        parse: fn(&str) -> Result<T, Fault>,
        what: &'static str,
        kept: &mut Vec<Kept>,
    ) -> List<T> {
        let Some(path) = file else { return List::default() };
        if self.is_still(file) {
            return self.clone();
        }
        // Before it is read, so that a change meanwhile is seen next time.
        let stamp = stamp(path);
        let read = document::read(path).and_then(|text| parse(&text).map_err(|fault| fault.within(path)));
        match taken(what, read, kept) {
            Some(list) => List { list, stamp },
            None => List { list: self.list.clone(), stamp: None },
        }
    }
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let data = std::fs::metadata(file).ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// The lines that say something, with their numbers: without blank lines and what follows a `#` that begins a word.
fn lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let said = |line: &str| {
        let comment =
            line.match_indices('#').find(|&(at, _)| line[..at].chars().last().is_none_or(char::is_whitespace));
        comment.map_or(line.len(), |(at, _)| at)
    };
    text.lines()
        .zip(1..)
        .map(move |(line, number)| (line[..said(line)].trim(), number))
        .filter(|(line, _)| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_skipped_and_counted() {
        let text = "# all\n\na.example # why\n  b#c\r\n#\nlast";
        assert_eq!(lines(text).collect::<Vec<_>>(), [("a.example", 3), ("b#c", 4), ("last", 6)]);
    }
}
