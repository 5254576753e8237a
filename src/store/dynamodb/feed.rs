//! What advertisers say, from DynamoDB into the files that the bidder reads: the campaign file, and the folder from which the
//! table of sellers is built. From there on everything is as with files of an operator's hand: `reload` notices the change, checks
//! it, and hands it to every core. And a bidder that starts while DynamoDB does not answer has what it had before.
//!
//! A tenant's set is taken as a whole or not at all: one campaign that cannot be read leaves that tenant's last good set in use,
//! and nobody else's campaigns are the worse for it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::campaigns;
use super::client::Client;
use super::dal::Dal;
use super::failure::{Failure, Kind};
use super::tables::Table;
use super::tenant::{Operator, Tenant};
use crate::units::{AdvertiserId, CampaignId};

/// Between two looks at what has changed. The file that is written then is noticed within a second.
pub const PERIOD: Duration = Duration::from_secs(2);

/// Keeps a campaign file current.
#[derive(Debug)]
pub struct Feed {
    client: Client,
    operator: Operator,
    file: PathBuf,
    /// The last good set of each tenant.
    sets: BTreeMap<AdvertiserId, Set>,
    /// What of a tenant was refused last: told once.
    refused: HashMap<AdvertiserId, Failure>,
    /// What the file holds.
    written: Option<String>,
}

#[derive(Debug, Default)]
struct Set {
    /// Of which revision; nothing of a set that is from the file.
    revision: Option<u64>,
    list: BTreeMap<CampaignId, String>,
}

/// As much of a campaign file that a [`Feed`] wrote as tells whose a campaign is.
#[derive(Deserialize)]
struct Written<'f> {
    #[serde(borrow)]
    campaigns: Vec<&'f RawValue>,
}

#[derive(Deserialize)]
struct Owner {
    id: u32,
    advertiser: u32,
}

impl Feed {
    /// Of this operator's tenants, into this file, which may hold what an earlier process wrote. Its name ends in `.json`.
    ///
    /// # Errors
    /// The file is there and is not one of ours: it would be overwritten.
    pub fn new(client: Client, operator: Operator, file: &Path) -> io::Result<Feed> {
        let mut feed = Feed {
            client,
            operator,
            file: file.to_owned(),
            sets: BTreeMap::new(),
            refused: HashMap::new(),
            written: None,
        };
        match fs::read_to_string(file) {
            Ok(text) => feed.resume(text).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(feed)
    }

    /// Goes on from what was written before.
    fn resume(&mut self, text: String) -> Result<(), serde_json::Error> {
        for campaign in serde_json::from_str::<Written<'_>>(&text)?.campaigns {
            let Owner { id, advertiser } = serde_json::from_str(campaign.get())?;
            if self.operator.tenants().of(AdvertiserId(advertiser)).is_some() {
                let set = self.sets.entry(AdvertiserId(advertiser)).or_default();
                set.list.insert(CampaignId(id), campaign.get().to_owned());
            }
        }
        self.written = Some(text);
        Ok(())
    }

    /// Whether there is a file to bid from.
    pub fn has_file(&self) -> bool {
        self.written.is_some()
    }

    /// Looks at what has changed, and writes the file anew if something has. Returns whether it did.
    ///
    /// # Errors
    /// A tenant could not be read, the first that could not. What could be read is written all the same; but not before
    /// every tenant was read once or has a set from before, so that a bidder does not begin with a part.
    pub async fn pull(&mut self) -> Result<bool, Failure> {
        let mut first = None;
        for tenant in self.operator.clone().tenants().each() {
            if let Err(failure) = self.pull_one(&tenant).await {
                let advertiser = tenant.advertiser();
                if self.refused.get(&advertiser) != Some(&failure) {
                    log::error!("campaigns of advertiser {}: {failure}; the last good set stays in use", advertiser.0);
                    self.refused.insert(advertiser, failure.clone());
                }
                first.get_or_insert(failure);
            }
        }
        let begun =
            self.has_file() || self.operator.tenants().each().all(|it| self.sets.contains_key(&it.advertiser()));
        let text = self.text();
        let changed = begun && self.written.as_ref() != Some(&text);
        if changed {
            replace(&self.file, text.as_bytes()).map_err(|error| Failure {
                kind: Kind::Unreachable,
                what: format!("{}: cannot be written: {error}", self.file.display()),
            })?;
            self.written = Some(text);
        }
        first.map_or(Ok(changed), Err)
    }

    async fn pull_one(&mut self, tenant: &Tenant) -> Result<(), Failure> {
        let (advertiser, dal) = (tenant.advertiser(), Dal::new(&self.client, tenant));
        let revision = dal.revision(Table::Campaigns).await?;
        if self.sets.get(&advertiser).is_some_and(|set| set.revision == Some(revision)) {
            self.refused.remove(&advertiser);
            return Ok(());
        }
        let read = campaigns::read(&dal).await?;
        let others = self.sets.iter().filter(|(other, _)| **other != advertiser);
        let taken = others.flat_map(|(other, set)| set.list.keys().map(move |id| (*id, *other)));
        if let Some((id, other)) = taken.into_iter().find(|(id, _)| read.list.contains_key(id)) {
            let what = format!("campaign {}: this id is advertiser {}'s already", id.0, other.0);
            return Err(Failure::malformed(what));
        }
        self.refused.remove(&advertiser);
        let count = read.list.len();
        log::info!("advertiser {}: {count} campaigns of revision {}", advertiser.0, read.revision);
        self.sets.insert(advertiser, Set { revision: Some(read.revision), list: read.list });
        Ok(())
    }

    /// The file: a campaign a line.
    fn text(&self) -> String {
        let lines: Vec<&str> = self.sets.values().flat_map(|set| set.list.values().map(String::as_str)).collect();
        format!("{{\"campaigns\":[\n{}\n]}}\n", lines.join(",\n"))
    }
}

/// Puts a file in its place at once: a reader sees the old or the new.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, path)
}
