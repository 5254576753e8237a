//! Campaigns of a tenant: an item each, the campaign as the JSON of the campaign file writes it.

use std::collections::BTreeMap;
use std::path::Path;

use super::dal::{Change, Dal, VALUE};
use super::failure::Failure;
use super::item::{Read, text};
use super::tables::Table;
use crate::snapshot::campaign::{self, Slots};
use crate::units::CampaignId;

const PREFIX: &str = "campaign#";

fn id(campaign: CampaignId) -> String {
    format!("{PREFIX}{:010}", campaign.0)
}

/// A tenant's campaigns of one revision, as JSON, each of them checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Campaigns {
    /// The revision of the partition.
    pub revision: u64,
    /// The campaigns.
    pub list: BTreeMap<CampaignId, String>,
}

/// Reads a tenant's campaigns.
///
/// # Errors
/// They could not be read; or one of them is not as a campaign file has it, or not the tenant's: which, and what is wrong with it.
pub async fn read(dal: &Dal<'_>) -> Result<Campaigns, Failure> {
    let (revision, items) = dal.snapshot(Table::Campaigns, PREFIX).await?;
    let mut list = BTreeMap::new();
    for item in items {
        let (key, json) = (item.text_of("id")?, item.text_of("value")?);
        let campaign = check(dal, json).and_then(|campaign| match id(campaign) == key {
            true => Ok(campaign),
            false => Err(format!("it says that it is campaign {}", campaign.0)),
        });
        let advertiser = dal.tenant().advertiser().0;
        let campaign = campaign.map_err(|what| {
            Failure::malformed(format!("advertiser {advertiser}, revision {revision}, item {key:?}: {what}"))
        })?;
        list.insert(campaign, json.to_owned());
    }
    Ok(Campaigns { revision, list })
}

/// Makes a tenant's campaigns these, and returns how many were written and how many removed. Those that are as they were are left
/// alone.
///
/// # Errors
/// As [`read`], but for what is there already; or somebody else changed them meanwhile.
pub async fn write(dal: &Dal<'_>, list: &BTreeMap<CampaignId, String>) -> Result<(usize, usize), Failure> {
    let (revision, items) = dal.snapshot(Table::Campaigns, PREFIX).await?;
    let mut before = BTreeMap::new();
    for item in items {
        before.insert(item.text_of("id")?.to_owned(), item.text_of("value").unwrap_or_default().to_owned());
    }
    let mut changes = Vec::new();
    for (campaign, json) in list {
        let checked =
            check(dal, json).map_err(|what| Failure::malformed(format!("campaign {}: {what}", campaign.0)))?;
        if checked != *campaign || json.len() > VALUE {
            let what = format!("campaign {}: {} bytes of JSON: the most are {VALUE}", campaign.0, json.len());
            return Err(Failure::malformed(what));
        }
        if before.remove(&id(*campaign)).as_ref() != Some(json) {
            changes.push(Change::Put { id: id(*campaign), value: text(&**json), bytes: json.len() });
        }
    }
    let (written, removed) = (changes.len(), before.len());
    changes.extend(before.into_keys().map(|id| Change::Delete { id }));
    dal.change(Table::Campaigns, revision, changes).await?;
    Ok((written, removed))
}

/// Reads one campaign as the campaign file's reader does; it must be the tenant's.
fn check(dal: &Dal<'_>, json: &str) -> Result<CampaignId, String> {
    let file = format!("{{\"campaigns\":[{json}]}}").into_bytes();
    let read = campaign::parse(Path::new("campaign.json"), file, &mut Slots::new()).map_err(|error| error.what)?;
    let [campaign] = &*read else { return Err("not one campaign".to_owned()) };
    if campaign.advertiser != dal.tenant().advertiser() {
        return Err(format!("it is advertiser {}'s", campaign.advertiser.0));
    }
    Ok(campaign.id)
}
