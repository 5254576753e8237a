//! Where the table comes from, and who can ask it.

use std::path::{Path, PathBuf};

use super::{Policy, Stale, Supply};
use crate::config::Config;
use crate::snapshot::campaign::Campaign;
use crate::snapshot::document::FileError;

/// What a configuration says of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its file.
    pub table: Option<PathBuf>,
    /// What expired files are worth.
    pub stale: Stale,
    /// An exchange of which no domain is known: no chain of it can be held against its sender.
    pub nameless: Option<String>,
}

impl Origin {
    /// Where a configuration has it from.
    pub fn of(config: &Config) -> Origin {
        let nameless = config.exchanges.iter().find(|exchange| exchange.domain.is_none());
        Origin {
            table: config.supply.table.clone(),
            stale: config.supply.stale,
            nameless: nameless.map(|exchange| exchange.name.clone()),
        }
    }

    /// Reads a table, to be asked as the configuration says.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn load(&self, table: &Path) -> Result<Supply, FileError> {
        let mut supply = Supply::load(table)?;
        supply.stale_open = self.stale == Stale::Open;
        Ok(supply)
    }

    /// Why what one of these campaigns asks cannot be answered, if that is so.
    pub fn lacks(&self, campaigns: &[Campaign]) -> Option<String> {
        let Campaign { id, supply, .. } = campaigns.iter().find(|campaign| campaign.supply != Policy::Off)?;
        let missing = match (&self.table, &self.nameless) {
            (None, _) => "supply.table is missing from the configuration".to_owned(),
            (_, Some(exchange)) => format!("the domain of exchange {exchange:?} is missing from the configuration"),
            (Some(_), None) => return None,
        };
        Some(format!("campaign {}: supply is {} but {missing}", id.0, supply.label()))
    }
}
