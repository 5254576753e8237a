//! `[score]`: the models that say what an impression is worth.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// `[score]`. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Score {
    /// Which models serve, and whom ([`crate::snapshot::scoring`]); without it the weights of `data.model` do.
    pub rollout: Option<PathBuf>,
    /// The folder that the versions of models are in.
    pub registry: Option<PathBuf>,
}

impl Score {
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.rollout.iter_mut().chain(&mut self.registry)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match (&self.rollout, &self.registry) {
            (Some(_), None) => Err(ConfigError("score.rollout needs score.registry: where its models are".into())),
            _ => Ok(()),
        }
    }
}
