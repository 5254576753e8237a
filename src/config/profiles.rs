//! `[profiles]`: which ids of a request name its user, in which region the user is, under what their values are sealed, and what is
//! done where they are not known.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::ConfigError;
use super::miss::{self, OnMiss};
use crate::snapshot::profiles::ANY_EXCHANGE;

/// `[profiles]`. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profiles {
    /// The ids that name a user, the first that a request has.
    pub ids: Vec<Id>,
    /// In which region a user is.
    pub regions: Regions,
    /// The base of sealed profiles: the folder that was built.
    pub base: Option<PathBuf>,
    /// The keys of the fleet, under which the keys of users are sealed ([`crate::profile::seal::FleetKeys`]).
    pub key_file: Option<PathBuf>,
    /// What a request is answered whose user's profile cannot be had in time.
    pub on_miss: OnMiss,
    /// How long a request waits for a profile at most, us.
    pub fetch_budget_us: u32,
}

/// The most ids that are looked for.
const MOST_IDS: usize = 16;

impl Default for Profiles {
    fn default() -> Self {
        Profiles {
            ids: vec![Id::Buyer, Id::User],
            regions: Regions::default(),
            base: None,
            key_file: None,
            on_miss: OnMiss::default(),
            fetch_budget_us: miss::FETCH_BUDGET_US,
        }
    }
}

impl Profiles {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let twice = |(at, id): (usize, &Id)| self.ids[..at].contains(id).then(|| id.label());
        let said = match self.ids.iter().enumerate().find_map(twice) {
            Some(twice) => format!("profiles.ids: {twice:?} is named twice"),
            None if self.ids.len() > MOST_IDS => {
                format!("profiles.ids: {} of them; the most is {MOST_IDS}", self.ids.len())
            }
            None if self.base.is_some() && self.key_file.is_none() => {
                "profiles.base needs profiles.key_file: the keys of its users are sealed".into()
            }
            None => return miss::validate(self.fetch_budget_us),
        };
        Err(ConfigError(said))
    }
}

/// An id of a request that names its user. Ids of one kind, or of one exchange or source, are a space of their own: the same text
/// in two spaces is two users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Id {
    /// `user.buyeruid`: our own id, the same at every exchange.
    Buyer,
    /// `user.id`: the exchange's.
    User,
    /// `device.ifa`: the device's advertising id.
    Device,
    /// `user.eids` of this `source`: the first of its `uids`.
    Source(Source),
}

/// A `source` of `user.eids`, such as `liveramp.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its prefix and its name: [`Source::space`].
    space: Box<str>,
}

/// What no exchange can be called: the spaces of ids that are no exchange's begin with a slash.
const SOURCE_SPACE: &str = "/eids/";
/// The space of [`Id::Device`].
pub const DEVICE_SPACE: &str = "/ifa";

impl Source {
    /// As the request names it.
    pub fn name(&self) -> &str {
        &self.space[SOURCE_SPACE.len()..]
    }

    /// The space of its ids.
    pub fn space(&self) -> &str {
        &self.space
    }
}

impl Id {
    /// As the configuration writes it.
    pub fn label(&self) -> String {
        match self {
            Id::Buyer => "buyeruid".into(),
            Id::User => "user.id".into(),
            Id::Device => "device.ifa".into(),
            Id::Source(source) => format!("eids:{}", source.name()),
        }
    }

    /// The space of the id, at this exchange.
    #[inline]
    pub fn space<'s>(&'s self, exchange: &'s str) -> &'s str {
        match self {
            Id::Buyer => ANY_EXCHANGE,
            Id::User => exchange,
            Id::Device => DEVICE_SPACE,
            Id::Source(source) => source.space(),
        }
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "buyeruid" => Ok(Id::Buyer),
            "user.id" => Ok(Id::User),
            "device.ifa" => Ok(Id::Device),
            _ => match text.strip_prefix("eids:") {
                Some(source) if !source.is_empty() && !source.contains(':') => {
                    Ok(Id::Source(Source { space: format!("{SOURCE_SPACE}{source}").into() }))
                }
                _ => Err(format!("{text:?} is not an id of a user: buyeruid, user.id, device.ifa or eids:SOURCE")),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// In which region a user is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regions {
    /// Everybody is treated as a user of the EU.
    #[default]
    Eu,
    /// As the request says: `other` only where it names a country outside the EEA and the United Kingdom, or comes from an address
    /// there, and nothing in it says that the GDPR applies.
    ByRequest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_have_spaces_of_their_own() {
        let labels = ["buyeruid", "user.id", "device.ifa", "eids:liveramp.com"];
        let ids: Vec<Id> = labels.iter().map(|label| label.parse().unwrap()).collect();
        assert_eq!(ids.iter().map(Id::label).collect::<Vec<_>>(), labels);
        let spaces: Vec<&str> = ids.iter().map(|id| id.space("x")).collect();
        assert_eq!(spaces, ["", "x", "/ifa", "/eids/liveramp.com"]);
        for no_id in ["", "user", "eids:", "eids:a:b", "eids"] {
            assert!(no_id.parse::<Id>().is_err(), "{no_id}");
        }
    }

    #[test]
    fn an_id_is_named_once() {
        let of =
            |ids: &[&str]| Profiles { ids: ids.iter().map(|id| id.parse().unwrap()).collect(), ..Profiles::default() };
        assert!(of(&["buyeruid", "device.ifa"]).validate().is_ok());
        assert!(of(&["eids:a", "eids:a"]).validate().unwrap_err().0.contains("eids:a"));
    }
}
