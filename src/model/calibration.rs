//! Calibration: from the raw score of a model with one output to a probability that events bear out.
//!
//! A file of it is JSON:
//!
//! ```json
//! { "platt": { "a": 1.02, "b": -0.13 } }
//! { "isotonic": { "points": [[-6.2, 0.0001], [-3.1, 0.004], [0.5, 0.2]] } }
//! ```

use std::fs;
use std::path::Path;

use crate::limits;
use crate::model::ModelError;
use crate::model::forest::{Link, logistic};
use crate::snapshot::document::Fault;

/// What makes a probability of a raw score. It never falls as the score rises.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Calibration {
    /// The link of the forest alone.
    #[default]
    None,
    /// `1 / (1 + exp(-(a * raw + b)))` (Platt, 1999), `a` above 0.
    Platt {
        /// How steep.
        a: f64,
        /// How far to the left.
        b: f64,
    },
    /// Straight lines between points of raw score and probability, and level beyond the first and the last.
    Isotonic {
        /// Raw scores ascending, probabilities not falling.
        points: Vec<(f64, f64)>,
    },
}

impl Calibration {
    /// Reads a file of one.
    ///
    /// # Errors
    /// It cannot be read, or [`Calibration::check`] does not hold.
    pub fn load(path: &Path) -> Result<Calibration, ModelError> {
        let whole = |what: String| Fault { line: 0, what }.within(path);
        let text = fs::read(path).map_err(|error| whole(format!("cannot read it: {error}")))?;
        let calibration: Calibration = serde_json::from_slice(&text)
            .map_err(|error| Fault { line: error.line(), what: error.to_string() }.within(path))?;
        calibration.check().map_err(whole)?;
        Ok(calibration)
    }

    /// Whether it is one: numbers, monotone, and within 0 to 1.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        let sound = match self {
            Calibration::None => true,
            Calibration::Platt { a, b } => a.is_finite() && b.is_finite() && *a > 0.0,
            Calibration::Isotonic { points } => {
                (1..=limits::MODEL_POINTS).contains(&points.len())
                    && points.iter().all(|(raw, probability)| raw.is_finite() && (0.0..=1.0).contains(probability))
                    && points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1)
            }
        };
        match (sound, self) {
            (true, _) => Ok(()),
            (false, Calibration::Isotonic { .. }) => Err(format!(
                "the points of a calibration are not 1 to {}, ascending by raw score, with probabilities that do not fall",
                limits::MODEL_POINTS
            )),
            (false, _) => Err("the slope of a calibration is not a number above 0, or its offset is none".to_owned()),
        }
    }

    /// The probability of a raw score; nothing if there is no calibration.
    pub fn probability(&self, raw: f64) -> Option<f64> {
        match self {
            Calibration::None => None,
            Calibration::Platt { a, b } => Some(logistic(a * raw + b)),
            Calibration::Isotonic { points } => {
                let after = points.partition_point(|(at, _)| *at <= raw);
                let (Some(&(left, low)), next) = (points.get(after.saturating_sub(1)), points.get(after)) else {
                    return None;
                };
                Some(match next {
                    Some(&(right, high)) if after > 0 => low + (high - low) * ((raw - left) / (right - left)),
                    _ => low,
                })
            }
        }
    }

    /// What a raw score means, within 0 to 1: by the calibration if there is one, else by the link of the forest, whose outputs are
    /// averaged over so many rounds.
    pub fn of(&self, raw: f64, link: Link, rounds: f64) -> f64 {
        let probability = self.probability(raw).unwrap_or_else(|| {
            let mut output = [raw / rounds];
            link.apply(&mut output);
            output[0]
        });
        probability.clamp(0.0, 1.0)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Calibration::None => "none",
            Calibration::Platt { .. } => "platt",
            Calibration::Isotonic { .. } => "isotonic",
        }
    }
}
