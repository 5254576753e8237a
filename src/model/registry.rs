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
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::drift::Drift;

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
            _ => Err(format!("{text:?} is no version of a model: NAME/VERSION, as the folders of the registry are called")),
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
    /// The mean of its calibrated predictions over the rows it was tested on: what is taken for a prediction where there is no time for
    /// one.
    pub average: f32,
    /// How they were distributed.
    pub drift: Drift,
}

/// Why a version is refused. Displays as one line: the file, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    file: PathBuf,
    what: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)
    }
}

impl std::error::Error for Refused {}

/// `meta.json`, as far as serving goes by it.
#[derive(Debug, Deserialize)]
struct Meta {
    target: Target,
    average: f64,
    scores: Scores,
    /// Sixteen hexadecimal digits.
    fingerprint: String,
}

/// The distribution of the calibrated predictions.
#[derive(Debug, Deserialize)]
struct Scores {
    edges: Vec<f64>,
    shares: Vec<f64>,
}

impl Served {
    /// Reads a version and verifies it.
    ///
    /// # Errors
    /// A file of it is missing, damaged, or does not fit the others.
    pub fn load(registry: &Path, version: &Version) -> Result<Served, Refused> {
        let folder = registry.join(&*version.text);
        let file = |name: &str| folder.join(name);
        let refused = |name: &str, what: String| Refused { file: file(name), what };
        let meta = fs::read(file("meta.json")).map_err(|error| refused("meta.json", format!("cannot be read: {error}")))?;
        let meta: Meta = serde_json::from_slice(&meta).map_err(|error| refused("meta.json", error.to_string()))?;
        let drift = Drift::new(&meta.scores.edges, &meta.scores.shares)
            .map_err(|what| refused("meta.json", format!("scores: {what}")))?;
        if !(meta.average > 0.0 && meta.average < 1.0) {
            return Err(refused("meta.json", format!("average {}: a probability is wanted", meta.average)));
        }
        Ok(Served { version: version.clone(), target: meta.target, average: meta.average as f32, drift })
    }
}
