//! The registry: a folder of models, each version with all it takes to serve it, and to know that it is served as it was trained.
//!
//! ```text
//! REGISTRY/NAME/VERSION/ model.corebid    the forest and its calibration
//!                        schema.toml      what its features are
//!                        meta.json        what it predicts, from which rows, how well
//!                        parity.csv       rows with the library's own raw score and the calibrated prediction
//! ```
//!
//! `scripts/train` writes a version, and nobody writes to it again. [`Served::load`] takes it only if its files fit each other and the
//! engine says of every parity row what the library said: then serving and training mean the same by a row, a missing value and a
//! category.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;

use super::Model;
use super::archive;
use super::calibration::Calibration;
use super::drift::Drift;
use super::engine::{Engine, Room, Varying};
#[cfg(test)]
use super::forest::Tree;
use super::forest::{Forest, Library, Link};
use super::rows::{self, Stopped};
use crate::snapshot::campaign::Goal;
use crate::snapshot::document::{self, Fault, FileError};
use crate::snapshot::features::Schema;
use crate::units::Micros;

/// A version of a model: `NAME/VERSION`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    text: Box<str>,
}

/// The longest name, and the longest version, bytes: both stand in labels.
const NAME_BYTES: usize = 64;

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Version, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = |part: &str| {
            !part.is_empty() && part.len() <= NAME_BYTES && !part.starts_with('.') && part.bytes().all(plain)
        };
        match text.split_once('/') {
            Some((name, version)) if is_name(name) && is_name(version) => Ok(Version { text: text.into() }),
            _ => Err(format!(
                "{text:?} is no version of a model: NAME/VERSION, as the folders of the registry are called"
            )),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a model predicts of an impression, or of a bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A click, of an impression.
    Click,
    /// A conversion, of an impression.
    Conversion,
    /// A win, of a bid.
    Win,
}

impl Target {
    /// What campaigns pay by and models predict, by their numbers.
    pub const PAID: [Target; 2] = [Target::Click, Target::Conversion];

    /// What a campaign of this goal pays by, if a model has to predict it, and what one is worth to it.
    #[inline]
    pub fn of(goal: Goal) -> Option<(Target, Micros)> {
        match goal {
            Goal::Cpm => None,
            Goal::Cpc(each) => Some((Target::Click, each)),
            Goal::Cpa(each) => Some((Target::Conversion, each)),
        }
    }

    /// What one is worth to a campaign that pays by it.
    #[inline]
    pub fn each(self, goal: Goal) -> Option<Micros> {
        Target::of(goal).filter(|(target, _)| *target == self).map(|(_, each)| each)
    }

    /// Its word.
    pub fn label(self) -> &'static str {
        match self {
            Target::Click => "click",
            Target::Conversion => "conversion",
            Target::Win => "win",
        }
    }
}

/// A model that can be served.
#[derive(Debug)]
pub struct Served {
    /// Its name.
    pub version: Version,
    /// What it predicts.
    pub target: Target,
    /// What its columns are.
    pub schema: Schema,
    /// What scores.
    pub engine: Engine,
    /// What differs between the offers of a request.
    pub varying: Varying,
    calibration: Calibration,
    link: Link,
    /// What a raw score is divided by before the link.
    rounds: f64,
    /// The mean of its calibrated predictions over the rows it was tested on: what is taken for a prediction where there is no time for
    /// one.
    pub average: f32,
    /// How they were distributed over the bids of that time.
    pub drift: Drift,
}

/// `meta.json`, as far as serving goes by it.
#[derive(Debug, Deserialize)]
struct Meta {
    target: Target,
    average: f64,
    scores: Scores,
    /// Of the schema that the training rows had, sixteen hexadecimal digits.
    fingerprint: String,
}

/// The distribution of the calibrated predictions.
#[derive(Debug, Deserialize)]
struct Scores {
    edges: Vec<f64>,
    shares: Vec<f64>,
}

const MODEL: &str = "model.corebid";
const SCHEMA: &str = "schema.toml";
const META: &str = "meta.json";
const PARITY: &str = "parity.csv";

/// How far a raw score may be from the library's, relative to it or to 1. XGBoost adds up in `f32`.
fn tolerance(library: Library) -> f64 {
    match library {
        Library::LightGbm => 1e-9,
        Library::XgBoost => 1e-5,
    }
}

/// How far a probability may be from the recipe's, relative to it: of a raw score within [`tolerance`] there is no more.
const PROBABILITY_TOLERANCE: f64 = 1e-6;

impl Served {
    /// Reads a version and verifies it.
    ///
    /// # Errors
    /// A file of it is missing or damaged, they do not fit each other, or the engine does not say what the library said.
    pub fn load(registry: &Path, version: &Version) -> Result<Served, FileError> {
        let folder = registry.join(&*version.text);
        let model = archive::open(&folder.join(MODEL))?;
        Served::read(version, &folder, model, |name| document::bytes(&folder.join(name)))
    }

    /// One whose files are in the program.
    ///
    /// # Panics
    /// If [`Served::load`] would refuse them, or one is missing.
    pub fn built_in(version: &str, files: &[(&str, &[u8])]) -> Served {
        let version = version.parse().expect("a version");
        let bytes = |name: &str| files.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.to_vec());
        let bytes = |name: &str| bytes(name).expect("a file of a version");
        let model = archive::open_bytes(&bytes(MODEL)).expect("an import");
        Served::read(&version, Path::new(""), model, |name| Ok(bytes(name))).expect("it was verified when it was made")
    }

    fn read(
        version: &Version,
        folder: &Path,
        Model { forest, calibration, .. }: Model,
        bytes: impl Fn(&str) -> Result<Vec<u8>, FileError>,
    ) -> Result<Served, FileError> {
        let refused = |name: &str, what: String| Fault { line: 0, what }.within(&folder.join(name));
        let meta = bytes(META)?;
        let meta: Meta = serde_json::from_slice(&meta).map_err(|error| refused(META, error.to_string()))?;
        let Meta { target, average, scores, fingerprint } = meta;
        let drift = Drift::new(&scores.edges, &scores.shares);
        let drift = drift.map_err(|what| refused(META, format!("scores: {what}")))?;
        if !(average > 0.0 && average < 1.0) {
            return Err(refused(META, format!("average {average}: a probability is wanted")));
        }

        let text = String::from_utf8(bytes(SCHEMA)?).map_err(|_| refused(SCHEMA, "it is no UTF-8".to_owned()))?;
        let schema = Schema::parse_file(&folder.join(SCHEMA), text)?;
        let of_schema = format!("{:016x}", schema.fingerprint());
        if of_schema != fingerprint {
            let what = format!("its fingerprint is {of_schema}, and that of the training rows {fingerprint}");
            return Err(refused(SCHEMA, what));
        }
        fits(&forest, &schema).map_err(|what| refused(MODEL, what))?;
        if calibration == Calibration::None && !matches!(forest.link, Link::Logistic { .. }) {
            return Err(refused(
                MODEL,
                "it predicts no probability: neither its link nor a calibration makes one".into(),
            ));
        }

        let engine = Engine::build(&forest);
        let served = Served {
            version: version.clone(),
            target,
            varying: engine.varying(schema.varying()),
            engine,
            schema,
            calibration,
            link: forest.link,
            rounds: forest.rounds(),
            average: average as f32,
            drift,
        };
        served.verify(&folder.join(PARITY), &bytes(PARITY)?, tolerance(forest.library))?;
        Ok(served)
    }

    /// The probability that a raw score of the engine means, within 0 to 1.
    #[inline]
    pub fn probability(&self, raw: f64) -> f64 {
        self.calibration.of(raw, self.link, self.rounds)
    }

    /// Scores the parity rows: features, the library's raw score, the calibrated probability.
    fn verify(&self, path: &Path, rows: &[u8], tolerance: f64) -> Result<(), FileError> {
        let told = |line: usize, what: String| Fault { line, what }.within(path);
        let width = self.schema.width();
        let (mut room, mut line) = (Room::new(&self.engine), 0);
        let read = rows::each(rows, width + 2, |row| {
            line += 1;
            let (features, said) = row.split_at(width);
            let features: Vec<f32> = features.iter().map(|&value| value as f32).collect();
            // By itself, and as one of several: offers of a request are scored together.
            let mut raw = [0.0; 3];
            let (one, several) = raw.split_at_mut(1);
            self.engine.score(&features, &mut room, one);
            self.engine.scores(&features.repeat(2), &self.varying, &mut room, several);
            // Not a number is never near enough.
            let near = |one: f64, other: f64, by: f64| (one - other).abs() <= by;
            let by = tolerance * said[0].abs().max(1.0);
            if let Some(raw) = raw.into_iter().find(|&raw| !near(raw, said[0], by)) {
                return Err(format!("the engine scores {raw}, the library scored {}", said[0]));
            }
            let probability = self.probability(raw[0]);
            if !near(probability, said[1], PROBABILITY_TOLERANCE * said[1].abs()) {
                return Err(format!(
                    "the calibration makes {probability} of it, and made {} of it in training",
                    said[1]
                ));
            }
            Ok(())
        });
        match read {
            Ok(()) if line == 0 => {
                Err(told(0, "no rows: nothing says that the model is served as it was trained".into()))
            }
            Ok(()) => Ok(()),
            Err(Stopped::Row { line, what }) => Err(told(line, what)),
            Err(Stopped::Read(error)) => Err(told(0, format!("cannot be read: {error}"))),
            Err(Stopped::Taker(what)) => Err(told(line, what)),
        }
    }
}

/// Whether rows of the schema are what the forest asks.
fn fits(forest: &Forest, schema: &Schema) -> Result<(), String> {
    if forest.base.len() != 1 {
        return Err(format!("{} outputs, where one is wanted", forest.base.len()));
    }
    let (features, width) = (&forest.features, schema.width());
    match features.iter().zip(schema.names()).zip(1..).find(|((feature, column), _)| feature != column) {
        Some(((feature, column), place)) => {
            Err(format!("its feature {place} is {feature:?}, and that of the schema {column:?}"))
        }
        None if features.len() != width => Err(format!("{} features, and {width} in the schema", features.len())),
        None => Ok(()),
    }
}

#[cfg(test)]
impl Served {
    /// One that says the same of every row.
    pub(crate) fn constant(version: &str, target: Target, drift: Drift) -> Served {
        let schema = Schema::parse("features = [{ name = \"hour\" }]").unwrap();
        let leaf = Tree { output: 0, first_node: 0, nodes: 0, first_leaf: 0, leaves: 1 };
        let link = Link::Logistic { slope: 1.0 };
        let (features, base) = (vec!["hour".to_owned()], vec![0.0]);
        let forest = Forest { link, features, base, trees: vec![leaf], leaves: vec![-3.0], ..Forest::default() };
        forest.check().unwrap();
        let engine = Engine::build(&forest);
        Served {
            version: version.parse().unwrap(),
            target,
            varying: engine.varying(schema.varying()),
            engine,
            schema,
            calibration: Calibration::None,
            link,
            rounds: 1.0,
            average: 0.05,
            drift,
        }
    }
}
