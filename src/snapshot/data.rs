//! What a process decides with before anything is shared out: read from files, or built in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::campaign::{self, Campaign, Slots};
use super::document::FileError;
use super::edge::{Edge, Files};
use super::model::Linear;
use super::profiles::{Profiles, UserKeys};
use super::{Snapshot, demo};
use crate::config::{self, Config};
use crate::secrets::Key;

/// Where campaigns and profiles come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files of the configuration.
    Files {
        /// The campaign file.
        campaigns: PathBuf,
        /// Profiles, if there are any.
        profiles: Option<PathBuf>,
        /// The score, if it is not the built-in one.
        model: Option<PathBuf>,
        /// Whom to turn away.
        edge: Files,
    },
    /// `--demo`: untargeted campaigns for the common sizes.
    BuiltIn,
    /// `--demo=N`: N campaigns with overlapping predicates.
    Synthetic(usize),
}

impl Source {
    /// The files a configuration names.
    pub fn files(config: &Config) -> Source {
        let config::Data { campaigns, profiles, model, .. } = config.data.clone();
        Source::Files { campaigns, profiles, model, edge: Files::of(&config.edge) }
    }

    /// What `--demo` (no count) or `--demo=N` asks for.
    pub fn demo(count: Option<u32>) -> Source {
        count.map_or(Source::BuiltIn, |count| Source::Synthetic(count as usize))
    }

    /// The files whose change asks for a reload.
    pub fn watched(&self) -> impl Iterator<Item = &Path> {
        let (campaigns, model, edge) = match self {
            Source::Files { campaigns, model, edge, .. } => (Some(campaigns), model.as_ref(), Some(edge)),
            _ => (None, None, None),
        };
        campaigns.into_iter().chain(model).map(PathBuf::as_path).chain(edge.into_iter().flat_map(Files::iter))
    }
}

/// Profiles of users in the demo.
pub const DEMO_USERS: usize = 100_000;

/// What every snapshot of a process is made from.
#[derive(Debug)]
pub struct Data {
    /// Where it came from.
    pub source: Source,
    /// Turns user ids into pseudonyms.
    pub users: UserKeys,
    /// The base of profiles.
    pub profiles: Profiles,
    slots: Slots,
    /// Built once; every core gets a copy.
    snapshot: Snapshot,
}

impl Data {
    /// Reads everything.
    ///
    /// # Errors
    /// The first mistake of a file, with its line.
    pub fn load(source: Source, user_key: &Key) -> Result<Data, FileError> {
        let users = UserKeys::new(user_key.0.first_chunk().expect("a key is longer than 16 bytes"));
        let mut slots = Slots::new();
        let (campaigns, model) = decide_with(&source, &mut slots)?;
        let profiles = match &source {
            Source::Files { profiles: Some(path), .. } => Profiles::load(path, &users)?,
            Source::Files { profiles: None, .. } => Profiles::default(),
            Source::BuiltIn | Source::Synthetic(_) => Profiles::synthetic(DEMO_USERS, &users),
        };
        let edge = turn_away(&source, &Arc::default())?;
        let snapshot = Snapshot { edge, ..Snapshot::new(1, campaigns, model) };
        Ok(Data { source, users, profiles, slots, snapshot })
    }

    /// Reads campaigns, model and the lists of whom to turn away again; profiles stay. On an error everything is as it was.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn reload(&mut self) -> Result<(), FileError> {
        let (campaigns, model) = decide_with(&self.source, &mut self.slots)?;
        let edge = turn_away(&self.source, &self.snapshot.edge)?;
        self.snapshot = Snapshot { edge, ..Snapshot::new(self.snapshot.version + 1, campaigns, model) };
        Ok(())
    }

    /// The campaigns.
    pub fn campaigns(&self) -> &[Campaign] {
        &self.snapshot.campaigns
    }

    /// A snapshot for one core.
    pub fn snapshot(&self) -> Box<Snapshot> {
        Box::new(self.snapshot.clone())
    }
}

fn turn_away(source: &Source, known: &Arc<Edge>) -> Result<Arc<Edge>, FileError> {
    match source {
        Source::Files { edge, .. } => Edge::load(edge, known),
        _ => Ok(known.clone()),
    }
}

fn decide_with(source: &Source, slots: &mut Slots) -> Result<(Vec<Campaign>, Linear), FileError> {
    match source {
        Source::Files { campaigns, model, .. } => {
            let model = model.as_deref().map_or_else(|| Ok(Linear::default()), Linear::load)?;
            Ok((campaign::load(campaigns, slots)?, model))
        }
        Source::BuiltIn => Ok((demo::built_in(slots), Linear::default())),
        Source::Synthetic(count) => Ok((demo::synthetic(*count, slots), Linear::default())),
    }
}
