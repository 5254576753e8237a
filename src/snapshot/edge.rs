//! What turns requests away before the campaigns are asked: lists of names, bots and networks, from files of the operator.
//! One copy per process, which every core's snapshot points to; read again when a file changes.

mod bots;
mod names;
mod networks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::document::{self, Fault, FileError};
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
    pub domains: Names,
    /// Bundles not to bid on.
    pub bundles: Names,
    /// User agents of known bots.
    pub bots: Bots,
    /// Addresses in data centres.
    pub data_centers: Networks,
    /// When the files were last changed, and how long they are: unchanged ones are not read again.
    stamps: Vec<Option<(SystemTime, u64)>>,
}

impl Edge {
    /// Reads the files, or keeps the `known` lists if no file has changed since.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn load(files: &Files, known: &Arc<Edge>) -> Result<Arc<Edge>, FileError> {
        // Before they are read, so that a change meanwhile is seen next time.
        let stamps: Vec<_> = files.iter().map(stamp).collect();
        if stamps == known.stamps && stamps.iter().all(Option::is_some) {
            return Ok(known.clone());
        }
        Ok(Arc::new(Edge {
            domains: read(files.blocked_domains.as_deref(), Names::domains)?,
            bundles: read(files.blocked_bundles.as_deref(), Names::bundles)?,
            bots: read(files.bots.as_deref(), Bots::parse)?,
            data_centers: read(files.data_centers.as_deref(), Networks::parse)?,
            stamps,
        }))
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

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let data = std::fs::metadata(file).ok()?;
    Some((data.modified().ok()?, data.len()))
}

fn read<T: Default>(file: Option<&Path>, parse: fn(&str) -> Result<T, Fault>) -> Result<T, FileError> {
    let Some(path) = file else { return Ok(T::default()) };
    parse(&document::read(path)?).map_err(|fault| fault.within(path))
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
