//! Takes up rollouts, and goes back to the one before.
//!
//! What serves, what served before and what was rolled back are written down, as texts, in one file beside the ledger. So going back
//! asks nothing of the rollout file, whose folder the process may not write ([`crate::harden::landlock`]): the file stays as it is and
//! is passed over, also after a restart, until it says something else.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::file::{Named, Plan};
use super::places::Places;
use super::{Arm, Origin, Rollout};
use crate::model::registry::{Served, Target, Version};
use crate::snapshot::document::{self, Fault, FileError};

/// Reads rollouts, and remembers them.
#[derive(Debug, Default)]
pub struct Keeper {
    origin: Origin,
    memory: Memory,
    /// Whether the file of the memory says otherwise.
    unsaved: bool,
    serving: Option<Arc<Rollout>>,
    /// The models of the rollout before, so that going back reads none of them.
    before: Vec<Arc<Served>>,
}

/// What is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    /// The file that serves.
    serving: Option<String>,
    /// The file that served before it.
    before: Option<String>,
    /// The file that was rolled back: what it says is passed over.
    refused: Option<String>,
    places: Places,
}

/// How it stands with the rollout.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// What serves.
    pub rollout: Option<Arc<Rollout>>,
    /// Whether the rollout file is passed over.
    pub rolled_back: bool,
    /// Whether there is one to go back to.
    pub has_before: bool,
}

/// Why nothing was rolled back. Displays as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRolledBack {
    /// The configuration names no rollout.
    NoRollout,
    /// None served before this one.
    NoneBefore,
    /// The rollout before, or a model of it, cannot be read any more.
    Unreadable(FileError),
}

impl fmt::Display for NotRolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotRolledBack::NoRollout => f.write_str("there is no rollout: `score.rollout` names its file"),
            NotRolledBack::NoneBefore => {
                f.write_str("no other rollout served before this one: change the rollout file")
            }
            NotRolledBack::Unreadable(error) => write!(f, "the rollout before cannot be read: {error}"),
        }
    }
}

impl std::error::Error for NotRolledBack {}

impl Keeper {
    /// Reads what is written down. [`Keeper::reload`] takes up the rollout.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn open(origin: Origin) -> Result<Keeper, FileError> {
        let memory = if origin.rollout.is_some() { recall(&origin.memory)? } else { Memory::default() };
        Ok(Keeper { origin, memory, ..Keeper::default() })
    }

    /// Reads the rollout file again, and the models that are new in it.
    ///
    /// # Errors
    /// The first mistake; what served goes on serving.
    pub fn reload(&mut self) -> Result<(), FileError> {
        let Some(path) = &self.origin.rollout else { return Ok(()) };
        let text = document::read(path)?;
        if self.memory.refused.as_ref() == Some(&text) {
            if let (None, Some(serving)) = (&self.serving, self.memory.serving.clone()) {
                self.serving = Some(self.load(&serving)?);
            }
            return Ok(());
        }
        let is_new = self.memory.serving.as_ref() != Some(&text);
        if is_new || self.serving.is_none() {
            let rollout = self.load(&text)?;
            let replaced = self.serving.replace(rollout);
            if is_new {
                self.memory.before = self.memory.serving.replace(text);
            }
            self.before = match replaced {
                Some(replaced) => replaced.served().cloned().collect(),
                None => self.models_before(),
            };
        }
        self.unsaved |= self.memory.refused.take().is_some();
        Ok(())
    }

    /// The models of the rollout before, read while there is time. What is wrong with them is told to who goes back to them.
    fn models_before(&self) -> Vec<Arc<Served>> {
        let arms = self.memory.before.as_ref().and_then(|before| self.arms(&self.plan(before).ok()?).ok());
        arms.iter().flatten().flat_map(|arm| arm.served().cloned()).collect()
    }

    /// Goes back to the rollout before, until the rollout file says something else. Done twice, it is done once: then this is false.
    ///
    /// # Errors
    /// There is none, or it cannot be read; nothing has changed then.
    pub fn roll_back(&mut self) -> Result<bool, NotRolledBack> {
        if self.serving.is_none() {
            return Err(NotRolledBack::NoRollout);
        }
        if self.memory.refused.is_some() {
            return Ok(false);
        }
        let before = self.memory.before.clone().ok_or(NotRolledBack::NoneBefore)?;
        self.serving = Some(self.load(&before).map_err(NotRolledBack::Unreadable)?);
        self.before.clear();
        self.memory.refused = self.memory.serving.replace(before);
        self.memory.before = None;
        Ok(true)
    }

    /// What serves.
    pub fn serving(&self) -> Option<Arc<Rollout>> {
        self.serving.clone()
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        Standing {
            rollout: self.serving(),
            rolled_back: self.memory.refused.is_some(),
            has_before: self.memory.before.is_some(),
        }
    }

    /// Writes down what has changed since it was written down.
    ///
    /// # Errors
    /// What serves after a restart is what was written down last.
    pub fn save(&mut self) -> Result<(), FileError> {
        if self.unsaved {
            let path = &self.origin.memory;
            let text = serde_json::to_vec(&self.memory).map_err(io::Error::from);
            let written = text.and_then(|text| replace(path, &text));
            let failed = |error| FileError { path: path.clone(), line: 0, what: format!("cannot be written: {error}") };
            written.map_err(failed)?;
            self.unsaved = false;
        }
        Ok(())
    }

    fn plan(&self, text: &str) -> Result<Plan, FileError> {
        let path = self.origin.rollout.as_deref().unwrap_or(Path::new(""));
        Plan::read(document::parse(path, text.as_bytes().to_vec())?).map_err(|fault| fault.within(path))
    }

    /// The rollout that a text says, each arm in its place.
    fn load(&mut self, text: &str) -> Result<Arc<Rollout>, FileError> {
        let plan = self.plan(text)?;
        let planned = self.arms(&plan)?;
        let mut places = self.memory.places.clone();
        let order = places.seat(plan.arms.iter().map(|arm| arm.name.as_str()));
        let left = |name: &str| Arm { name: name.into(), ..Arm::default() };
        let mut arms: Vec<Arm> = places.names().map(left).collect();
        for (arm, id) in planned.into_iter().zip(&order) {
            arms[usize::from(id.0)] = arm;
        }
        self.memory.places = places;
        self.unsaved = true;
        Ok(Arc::new(Rollout::new(plan.split, &plan.salt, arms, &order)))
    }

    /// The arms of a plan with their models, in its order. What serves already is not read again: a version never changes.
    fn arms(&self, plan: &Plan) -> Result<Vec<Arm>, FileError> {
        let mut known: Vec<Arc<Served>> = self.serving.iter().flat_map(|rollout| rollout.served().cloned()).collect();
        known.extend(self.before.iter().cloned());
        let mut served = |named: &Option<Named>, target| {
            let Some(Named { line, version }) = named else { return Ok(None) };
            self.served(version, target, &mut known).map(Some).map_err(|what| {
                Fault { line: *line, what }.within(self.origin.rollout.as_deref().unwrap_or(Path::new("")))
            })
        };
        plan.arms
            .iter()
            .map(|planned| {
                Ok(Arm {
                    name: planned.name.as_str().into(),
                    share: planned.share,
                    shadow: planned.shadow,
                    click: served(&planned.click, Target::Click)?,
                    conversion: served(&planned.conversion, Target::Conversion)?,
                })
            })
            .collect()
    }

    fn served(&self, version: &Version, target: Target, known: &mut Vec<Arc<Served>>) -> Result<Arc<Served>, String> {
        let served = match known.iter().find(|served| served.version == *version) {
            Some(served) => served.clone(),
            None => {
                let served = Served::load(&self.origin.registry, version);
                Arc::new(served.map_err(|refused| format!("model {version} is refused: {refused}"))?)
            }
        };
        if served.target != target {
            return Err(format!("model {version} predicts a {}, not a {}", served.target.label(), target.label()));
        }
        known.push(served.clone());
        Ok(served)
    }
}

fn recall(path: &Path) -> Result<Memory, FileError> {
    let failed = |what: String| FileError { path: path.to_owned(), line: 0, what };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Memory::default()),
        Err(error) => return Err(failed(format!("cannot be read: {error}"))),
    };
    match serde_json::from_slice::<Memory>(&bytes) {
        Ok(memory) if memory.places.are_valid() => Ok(memory),
        _ => Err(failed("is not what this program wrote: remove it, and the rollout file serves".to_owned())),
    }
}

/// The file as a whole, or as it was before, whenever the machine stops.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
