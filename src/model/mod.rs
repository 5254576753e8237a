//! Models: gradient-boosted trees, as the libraries that grow them mean them.
//!
//! ```text
//!   LightGBM text ──► lightgbm ─┐                          ┌─► archive (import)
//!   XGBoost JSON  ──► xgboost ──┴─► forest::Forest, checked┤
//!   XGBoost UBJSON──►    "                                 └─► predictions
//! ```

pub mod forest;
pub mod archive;
pub mod calibration;
pub mod drift;
pub mod engine;
mod lightgbm;
pub mod registry;
pub mod rows;
mod xgboost;

use std::fs;
use std::path::Path;

pub use calibration::Calibration;
use forest::{Forest, Library};

/// Why a file is no model. Displays as one line, with the file, and the line where there are lines.
pub type ModelError = crate::snapshot::document::FileError;

use crate::limits;
use crate::snapshot::document::Fault;

/// A model: a forest that has been checked, and what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What scores.
    pub forest: Forest,
    /// What makes a probability of a raw score.
    pub calibration: Calibration,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a model comes from, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The version of the library, or of its file, that the file names.
    pub version: String,
    /// The objective, in the words of the library.
    pub objective: String,
    /// Whatever the importer wants to be remembered.
    pub note: String,
}

impl Model {
    /// Whether it may be used: [`Forest::check`], [`Calibration::check`], and that they fit each other.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        self.forest.check()?;
        self.calibration.check()?;
        match self.calibration != Calibration::None && self.forest.base.len() > 1 {
            true => {
                Err(format!("a calibration of a model with {} outputs, where one is wanted", self.forest.base.len()))
            }
            false => Ok(()),
        }
    }

    /// The probability, or the rate, that a raw score of the first output means, within 0 to 1: by the calibration if there is one,
    /// else by the forest's link.
    pub fn probability(&self, raw: f64) -> f64 {
        self.calibration.of(raw, self.forest.link, self.forest.rounds())
    }

    /// Turns the raw scores of a row into its predictions, as the library does: no calibration.
    pub fn predict(&self, outputs: &mut [f64]) {
        let rounds = self.forest.rounds();
        outputs.iter_mut().for_each(|raw| *raw /= rounds);
        self.forest.link.apply(outputs);
    }
}

/// Reads a model: an import, or a library's own file, which its first bytes tell apart.
///
/// # Errors
/// It cannot be read, is none of these, or is damaged.
pub fn read(path: &Path) -> Result<Model, ModelError> {
    if archive::is_one(path)? {
        return archive::open(path);
    }
    let bytes = bytes_of(path)?;
    let library = if bytes.starts_with(b"tree\n") { Library::LightGbm } else { Library::XgBoost };
    parse(library, &bytes).map_err(|fault| fault.within(path))
}

/// Reads a library's own file.
///
/// # Errors
/// It cannot be read, or is no model of this library that can be taken.
pub fn import(library: Library, path: &Path) -> Result<Model, ModelError> {
    parse(library, &bytes_of(path)?).map_err(|fault| fault.within(path))
}

/// Reads the bytes of a library's own file. A message says no path.
///
/// # Errors
/// They are no model of this library that can be taken.
pub fn import_bytes(library: Library, bytes: &[u8]) -> Result<Model, ModelError> {
    parse(library, bytes).map_err(|fault| fault.within(Path::new("model")))
}

fn parse(library: Library, bytes: &[u8]) -> Result<Model, Fault> {
    let model = match library {
        Library::LightGbm => lightgbm::read(bytes),
        Library::XgBoost => xgboost::read(bytes),
    }?;
    model.check().map_err(|what| Fault { line: 0, what })?;
    Ok(model)
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, ModelError> {
    let refused = |what: String| Fault { line: 0, what }.within(path);
    let unreadable = |error: std::io::Error| refused(format!("cannot read it: {error}"));
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > limits::MODEL_BYTES {
        return Err(refused(format!("{length} bytes; at most {} are taken", limits::MODEL_BYTES)));
    }
    fs::read(path).map_err(unreadable)
}
