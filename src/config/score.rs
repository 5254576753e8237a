//! `[score]`: the models that say what an impression is worth.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// `[score]`. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Score {
    /// Which models serve, and whom ([`crate::snapshot::scoring`]); without it the weights of `data.model` do.
    pub rollout: Option<PathBuf>,
    /// The folder that the versions of models are in.
    pub registry: Option<PathBuf>,
    /// Offers of a request that a model looks at, but for those that it has to; at least 1.
    pub candidates: u16,
    /// Part of a core's time that scoring may take, in 1/1,000.
    pub time_share: u16,
}

impl Default for Score {
    fn default() -> Score {
        Score { rollout: None, registry: None, candidates: 32, time_share: 250 }
    }
}

impl Score {
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.rollout.iter_mut().chain(&mut self.registry)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.candidates == 0 {
            return Err(ConfigError(
                "score.candidates 0: a model that looks at nothing; leave score.rollout out".into(),
            ));
        }
        if self.time_share > 1000 {
            let what = format!("score.time_share {}: more than all of the time, which is 1000", self.time_share);
            return Err(ConfigError(what));
        }
        match (&self.rollout, &self.registry) {
            (Some(_), None) => Err(ConfigError("score.rollout needs score.registry: where its models are".into())),
            _ => Ok(()),
        }
    }
}
