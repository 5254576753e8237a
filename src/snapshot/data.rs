//! What a process decides with before anything is shared out: read from files, or built in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::campaign::{self, Campaign, Slots};
use super::document::FileError;
use super::edge::{Edge, Files};
use super::geo::Geo;
use super::model::Linear;
use super::profiles::{Profiles, UserKeys};
use super::rates::{self, NoRate, Rates};
use super::scoring::keeper::{Keeper, NotRolledBack, Standing};
use super::scoring::{self, Rollout};
use super::supply::{self, Supply};
use super::vendor::{Privacy, Refused, Vendor};
use super::{Snapshot, World, demo};
use crate::clock;
use crate::config::{self, Config, ConfigError};
use crate::secrets::Key;
use crate::units::VendorId;

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
        /// The trained models, if there is a rollout of any.
        scoring: scoring::Origin,
        /// Currencies, and the account's.
        rates: rates::Origin,
        /// The MaxMind DB, if there is one.
        geo: Option<PathBuf>,
        /// Whom to turn away.
        edge: Files,
        /// Who we are in consent strings.
        privacy: config::Privacy,
        /// Who may sell what.
        supply: supply::Origin,
    },
    /// `--demo`: untargeted campaigns for the common sizes.
    BuiltIn,
    /// `--demo=N`: N campaigns with overlapping predicates.
    Synthetic(usize),
    /// The campaigns of `--demo`, and whoever shows them tells of clicks.
    Told,
    /// `--demo --score`: the campaigns of `--demo`, of which most pay by click, and the click model that is built in.
    Scored,
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
        let (edge, privacy, supply) = (Files::of(&config.edge), config.privacy.clone(), supply::Origin::of(config));
        let scoring = scoring::Origin::of(config);
        Source::Files { campaigns, profiles, model, scoring, rates, geo, edge, privacy, supply }
    }

    /// What `--demo` (no count) or `--demo=N` asks for.
    pub fn demo(count: Option<u32>) -> Source {
        count.map_or(Source::BuiltIn, |count| Source::Synthetic(count as usize))
    }

    /// The files whose change asks for a reload.
    pub fn watched(&self) -> impl Iterator<Item = &Path> {
        let (files, edge) = match self {
            Source::Files { campaigns, model, scoring, rates, geo, edge, privacy, supply, .. } => {
                let (vendors, table) = (privacy.vendor_list.as_ref(), supply.table.as_ref());
                let (rollout, rates) = (scoring.rollout.as_ref(), rates.file.as_ref());
                ([Some(campaigns), model.as_ref(), rollout, rates, geo.as_ref(), vendors, table], Some(edge))
            }
            _ => ([None; 7], None),
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
    geo: Option<Stamped<Geo>>,
    supply: Option<Stamped<Supply>>,
    rollouts: Keeper,
    /// Built once; what every core gets shares its data.
    snapshot: Snapshot,
}

/// A file that could not be taken up on a reload, and what of it stays in use. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What the file holds, in the plural.
    pub what: &'static str,
    /// The first mistake of the file, with its line; or what is said in it.
    pub error: FileError,
    /// Whether what was read before stays in use; else nothing does.
    pub serving: bool,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kept { what, error, serving } = self;
        match serving {
            true => write!(f, "{error}; the old {what} keep serving"),
            false => write!(f, "{error}; from now on there are no {what}"),
        }
    }
}

/// What a reload did.
#[derive(Debug)]
#[must_use]
pub struct Reloaded {
    /// The snapshot before it.
    pub replaced: Snapshot,
    /// The files with a mistake, each kept as it was.
    pub kept: Vec<Kept>,
}

impl Data {
    /// Reads everything.
    ///
    /// # Errors
    /// The first mistake of a file, with its line.
    pub fn load(source: Source, user_key: &Key) -> Result<Data, FileError> {
        let users = UserKeys::new(user_key.0.first_chunk().expect("a key is longer than 16 bytes"));
        let nothing = Snapshot::new(0, Vec::new(), Linear::default(), World::default());
        let (profiles, slots) = (Profiles::default(), Slots::new());
        let rollouts = match &source {
            Source::Files { scoring, .. } => Keeper::open(scoring.clone())?,
            _ => Keeper::default(),
        };
        let mut data = Data { source, users, profiles, slots, geo: None, supply: None, rollouts, snapshot: nothing };
        // There is nothing yet that a file with a mistake could leave in use.
        if let Some(Kept { error, .. }) = data.reload().kept.into_iter().next() {
            return Err(error);
        }
        data.profiles = match &data.source {
            Source::Files { profiles: Some(path), .. } => Profiles::load(path, &data.users)?,
            Source::Files { profiles: None, .. } => Profiles::default(),
            Source::BuiltIn | Source::Synthetic(_) | Source::Told | Source::Scored => {
                Profiles::synthetic(DEMO_USERS, &data.users)
            }
        };
        Ok(data)
    }

    /// Reads campaigns, model, rollout and rates again, and the geo file, the supply table and the lists of whom to turn away if they have changed;
    /// profiles stay. Every file is taken up or kept by itself: a mistake in one holds up none of the others.
    pub fn reload(&mut self) -> Reloaded {
        let (now, old) = (clock::wall(), &self.snapshot);
        let mut kept = Vec::new();
        let (campaigns, model, world) = match &self.source {
            Source::Files { campaigns, model, rates, geo, edge, privacy, supply, .. } => {
                let places = geo.as_deref().map(|path| Stamped::load(path, self.geo.as_ref(), Geo::load));
                if let Some(places) = places.and_then(|places| taken("places", places, &mut kept)) {
                    self.geo = Some(places);
                }
                let table = supply.table.as_deref();
                let table = table.map(|path| Stamped::load(path, self.supply.as_ref(), |path| supply.load(path)));
                if let Some(table) = table.and_then(|table| taken("sellers", table, &mut kept)) {
                    self.supply = Some(table);
                }
                let rates = taken("rates", Rates::load(rates, now), &mut kept);
                let edge = Edge::load(edge, &old.edge, &mut kept);
                let vendor = privacy
                    .vendor
                    .zip(privacy.vendor_list.as_deref())
                    .map(|(id, list)| Vendor::load(list, VendorId(id)));
                let vendor = match vendor {
                    Some(Err(Refused::Gone(error))) => {
                        kept.push(Kept { what: "consents to us", error, serving: false });
                        None
                    }
                    Some(Err(Refused::Broken(error))) => {
                        taken::<()>("vendors", Err(error), &mut kept);
                        old.privacy.vendor
                    }
                    Some(Ok(vendor)) => Some(vendor),
                    None => None,
                };
                let privacy = Privacy { vendor, assume: privacy.assume_gdpr };
                let model = model.as_deref().map_or_else(|| Ok(Linear::default()), Linear::load);
                let model = taken("weights", model, &mut kept);
                taken("models", self.rollouts.reload(), &mut kept);
                let scoring = self.rollouts.serving();
                let lacks = |read: &[Campaign]| supply.lacks(read).or_else(|| Rollout::lacks(scoring.as_deref(), read));
                let read = campaign::load(campaigns, &mut self.slots).and_then(|read| match lacks(&read) {
                    Some(what) => Err(FileError { path: campaigns.clone(), line: 0, what }),
                    None => Ok(read),
                });
                let campaigns = taken("campaigns", read, &mut kept);
                let geo = self.geo.as_ref().map(Stamped::shared);
                let supply = self.supply.as_ref().map(Stamped::shared);
                let rates = rates.unwrap_or_else(|| old.rates.clone());
                (
                    campaigns,
                    model.unwrap_or_else(|| old.model.clone()),
                    World { scoring, rates, geo, edge, privacy, supply, now },
                )
            }
            Source::BuiltIn => (Some(demo::built_in(&mut self.slots)), Linear::default(), World::at(now)),
            Source::Told => (Some(demo::told(&mut self.slots)), Linear::default(), World::at(now)),
            Source::Scored => {
                let scoring = demo::model::rollout();
                let average = scoring.served().next().map_or(1.0, |served| f64::from(served.average));
                let world = World { scoring: Some(scoring), ..World::at(now) };
                (Some(demo::by_click(&mut self.slots, average)), Linear::default(), world)
            }
            Source::Synthetic(count) => {
                (Some(demo::synthetic(*count, &mut self.slots)), Linear::default(), World::at(now))
            }
        };
        let new = match campaigns {
            Some(campaigns) => Snapshot::new(old.version + 1, campaigns, model, world),
            None => old.with(model, world),
        };
        Reloaded { replaced: std::mem::replace(&mut self.snapshot, new), kept }
    }

    /// Goes back to the rollout before, with all else as it is. The snapshot before this, if there is another now.
    ///
    /// # Errors
    /// Why there is none; nothing has changed then.
    pub fn roll_back(&mut self) -> Result<Option<Snapshot>, NotRolledBack> {
        if !self.rollouts.roll_back()? {
            return Ok(None);
        }
        let new = self.snapshot.scored_by(self.rollouts.serving());
        Ok(Some(std::mem::replace(&mut self.snapshot, new)))
    }

    /// How it stands with the rollout.
    pub fn standing(&self) -> Standing {
        self.rollouts.standing()
    }

    /// Writes down which rollout serves, if that has changed: for the process that bids, and no other that reads its files.
    ///
    /// # Errors
    /// After a restart another one may serve.
    pub fn remember(&mut self) -> Result<(), FileError> {
        self.rollouts.save()
    }

    /// Checks that every exchange of a configuration can be bid at in the currency agreed with it. Rates that are too old
    /// pass: a newer file makes them good, and until then nothing that needs one is bid on.
    ///
    /// # Errors
    /// The first exchange whose currency has no rate.
    pub fn check(&self, config: &Config) -> Result<(), ConfigError> {
        let now = clock::wall();
        let unknown = |exchange: &&config::Exchange| {
            self.snapshot.rates.to_account(exchange.rules.currency.code().as_bytes(), now) == Err(NoRate::Unknown)
        };
        match config.exchanges.iter().find(unknown) {
            None => Ok(()),
            Some(exchange) => Err(ConfigError(format!(
                "exchange {:?}: currency {} has no rate and is not the account's ({}): add it to the file of data.rates, or \
                 agree on another currency",
                exchange.name,
                exchange.rules.currency,
                self.snapshot.rates.account()
            ))),
        }
    }

    /// The campaigns.
    pub fn campaigns(&self) -> &[Campaign] {
        &self.snapshot.campaigns
    }

    /// A snapshot for one core.
    pub fn snapshot(&self) -> Box<Snapshot> {
        let room = scoring::Room::of(self.snapshot.scoring.as_deref());
        Box::new(Snapshot { room, ..self.snapshot.clone() })
    }
}

/// What was read; or a note that the old stays in use.
pub(super) fn taken<T>(what: &'static str, read: Result<T, FileError>, kept: &mut Vec<Kept>) -> Option<T> {
    read.map_err(|error| kept.push(Kept { what, error, serving: true })).ok()
}

/// A large file that seldom changes, as it was when it was read.
#[derive(Debug)]
struct Stamped<T> {
    content: Arc<T>,
    /// When the file was changed, and how long it is.
    stamp: Option<(SystemTime, u64)>,
}

impl<T> Stamped<T> {
    /// Reads the file; `old` is kept if it has not changed since.
    fn load(
        path: &Path,
        old: Option<&Stamped<T>>,
        read: impl FnOnce(&Path) -> Result<T, FileError>,
    ) -> Result<Stamped<T>, FileError> {
        let stamp = std::fs::metadata(path).and_then(|data| Ok((data.modified()?, data.len()))).ok();
        match old {
            Some(old) if stamp.is_some() && old.stamp == stamp => Ok(Stamped { content: old.shared(), stamp }),
            _ => Ok(Stamped { content: Arc::new(read(path)?), stamp }),
        }
    }

    fn shared(&self) -> Arc<T> {
        self.content.clone()
    }
}
