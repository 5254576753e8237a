//! What a process decides with before anything is shared out: read from files, or built in.

use std::path::{Path, PathBuf};

use super::campaign::{self, Campaign, Slots};
use super::document::FileError;
use super::model::Linear;
use super::profiles::{Profiles, UserKeys};
use super::{Snapshot, demo};
use crate::config;
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
    },
    /// `--demo`: untargeted campaigns for the common sizes.
    BuiltIn,
    /// `--demo=N`: N campaigns with overlapping predicates.
    Synthetic(usize),
}

impl Source {
    /// The files a configuration names.
    pub fn files(data: &config::Data) -> Source {
        Source::Files { campaigns: data.campaigns.clone(), profiles: data.profiles.clone(), model: data.model.clone() }
    }

    /// What `--demo` (no count) or `--demo=N` asks for.
    pub fn demo(count: Option<u32>) -> Source {
        count.map_or(Source::BuiltIn, |count| Source::Synthetic(count as usize))
    }

    /// The files whose change asks for a reload.
    pub fn watched(&self) -> impl Iterator<Item = &Path> {
        let (campaigns, model) = match self {
            Source::Files { campaigns, model, .. } => (Some(campaigns), model.as_ref()),
            _ => (None, None),
        };
        campaigns.into_iter().chain(model).map(PathBuf::as_path)
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
    /// Built once; what every core gets shares its data.
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
        let snapshot = Snapshot::new(1, campaigns, model);
        Ok(Data { source, users, profiles, slots, snapshot })
    }

    /// Reads campaigns and model again; profiles stay. Gives back what was replaced. On an error everything is as it was.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn reload(&mut self) -> Result<Snapshot, FileError> {
        let (campaigns, model) = decide_with(&self.source, &mut self.slots)?;
        let new = Snapshot::new(self.snapshot.version + 1, campaigns, model);
        Ok(std::mem::replace(&mut self.snapshot, new))
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
