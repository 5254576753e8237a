//! What a process decides with before anything is shared out: read from files, or built in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::campaign::{self, Campaign, Slots};
use super::document::FileError;
use super::edge::{Edge, Files};
use super::geo::Geo;
use super::model::Linear;
use super::profiles::{Profiles, UserKeys};
use super::rates::{self, Rates};
use super::{Snapshot, World, demo};
use crate::clock;
use crate::config::{self, Config};
use crate::secrets::Key;

/// Where campaigns and profiles come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a process has one")]
pub enum Source {
    /// Files of the configuration.
    Files {
        /// The campaign file.
        campaigns: PathBuf,
        /// Profiles, if there are any.
        profiles: Option<PathBuf>,
        /// The score, if it is not the built-in one.
        model: Option<PathBuf>,
        /// Currencies, and the account's.
        rates: rates::Origin,
        /// The MaxMind DB, if there is one.
        geo: Option<PathBuf>,
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
        let config::Data { campaigns, profiles, model, geo, .. } = config.data.clone();
        let rates = rates::Origin {
            file: config.data.rates.clone(),
            account: config.data.currency,
            max_age_hours: config.data.rates_max_age_hours,
        };
        Source::Files { campaigns, profiles, model, rates, geo, edge: Files::of(&config.edge) }
    }

    /// What `--demo` (no count) or `--demo=N` asks for.
    pub fn demo(count: Option<u32>) -> Source {
        count.map_or(Source::BuiltIn, |count| Source::Synthetic(count as usize))
    }

    /// The files whose change asks for a reload.
    pub fn watched(&self) -> impl Iterator<Item = &Path> {
        let (files, edge) = match self {
            Source::Files { campaigns, model, rates, geo, edge, .. } => {
                ([Some(campaigns), model.as_ref(), rates.file.as_ref(), geo.as_ref()], Some(edge))
            }
            _ => ([None; 4], None),
        };
        files.into_iter().flatten().map(PathBuf::as_path).chain(edge.into_iter().flat_map(Files::iter))
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
    geo: Option<Atlas>,
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
        let geo = Atlas::of(&source, None)?;
        let (campaigns, model, world) = decide_with(&source, &mut slots, (geo.as_ref(), &Arc::default()))?;
        let profiles = match &source {
            Source::Files { profiles: Some(path), .. } => Profiles::load(path, &users)?,
            Source::Files { profiles: None, .. } => Profiles::default(),
            Source::BuiltIn | Source::Synthetic(_) => Profiles::synthetic(DEMO_USERS, &users),
        };
        let snapshot = Snapshot::new(1, campaigns, model, world);
        Ok(Data { source, users, profiles, slots, geo, snapshot })
    }

    /// Reads campaigns, model, rates and the lists of whom to turn away again, and the geo file if it has changed; profiles
    /// stay. Gives back what was replaced. On an error everything is as it was.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn reload(&mut self) -> Result<Snapshot, FileError> {
        let geo = Atlas::of(&self.source, self.geo.as_ref())?;
        let known = (geo.as_ref(), &self.snapshot.edge);
        let (campaigns, model, world) = decide_with(&self.source, &mut self.slots, known)?;
        let new = Snapshot::new(self.snapshot.version + 1, campaigns, model, world);
        self.geo = geo;
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

type Decisive = (Vec<Campaign>, Linear, World);

fn decide_with(
    source: &Source,
    slots: &mut Slots,
    (geo, edge): (Option<&Atlas>, &Arc<Edge>),
) -> Result<Decisive, FileError> {
    let now = clock::wall();
    let mut world = World { geo: geo.map(|atlas| atlas.geo.clone()), now, edge: edge.clone(), ..World::default() };
    match source {
        Source::Files { campaigns, model, rates, edge, .. } => {
            world.rates = Rates::load(rates, now)?;
            world.edge = Edge::load(edge, &world.edge)?;
            let model = model.as_deref().map_or_else(|| Ok(Linear::default()), Linear::load)?;
            Ok((campaign::load(campaigns, slots)?, model, world))
        }
        Source::BuiltIn => Ok((demo::built_in(slots), Linear::default(), world)),
        Source::Synthetic(count) => Ok((demo::synthetic(*count, slots), Linear::default(), world)),
    }
}

/// The geo file as it was when it was read.
#[derive(Clone, Debug)]
struct Atlas {
    geo: Arc<Geo>,
    /// When the file was changed, and how long it is: the file is large and changes twice a week.
    stamp: Option<(SystemTime, u64)>,
}

impl Atlas {
    /// That of a source; `old` is kept if the file has not changed since.
    fn of(source: &Source, old: Option<&Atlas>) -> Result<Option<Atlas>, FileError> {
        let Source::Files { geo: Some(path), .. } = source else { return Ok(None) };
        let stamp = std::fs::metadata(path).and_then(|data| Ok((data.modified()?, data.len()))).ok();
        match old {
            Some(old) if stamp.is_some() && old.stamp == stamp => Ok(Some(old.clone())),
            _ => Ok(Some(Atlas { geo: Arc::new(Geo::load(path)?), stamp })),
        }
    }
}
