//! The epoch of each advertiser's lease authority, and the last checkpoint of its books.
//!
//! An epoch only grows, by one writer's condition. A checkpoint is larger than an item may be, so it lies in parts beside the
//! item that names it: the parts are written first, then the item takes the new ones for the old, if they are newer.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;

use super::client::{Client, pause};
use super::failure::{Failure, Kind};
use super::item::{Item, Read, binary, number, text};
use super::tables::Table;
use crate::units::{AdvertiserId, Epoch};

/// Bytes of a part: an item has 400 KB at most.
const PART: usize = 350_000;
/// Parts of a checkpoint at most: 35 MB.
const PARTS: usize = 100;

/// Where an advertiser's authority stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its epoch; 0 before the first.
    pub epoch: Epoch,
    /// The server that was opened with it, by its replication id.
    pub replication: String,
    /// Epoch and version of the checkpoint, if there is one.
    pub checkpoint: Option<(Epoch, u64)>,
    parts: u32,
}

/// Epoch and version of a checkpoint, and of how many parts it is.
type Parts = ((Epoch, u64), usize);

/// Epochs and checkpoints in DynamoDB.
#[derive(Clone, Debug)]
pub struct Epochs(Client);

fn id(advertiser: AdvertiserId) -> String {
    format!("epoch#{}", advertiser.0)
}

fn part(advertiser: AdvertiserId, (epoch, version): (Epoch, u64), number: usize) -> String {
    format!("checkpoint#{}#{}#{version}#{number}", advertiser.0, epoch.0)
}

impl Epochs {
    /// Over this client.
    pub fn new(client: Client) -> Epochs {
        Epochs(client)
    }

    /// Where an advertiser's authority stands.
    ///
    /// # Errors
    /// It could not be read.
    pub async fn epoch(&self, advertiser: AdvertiserId) -> Result<Standing, Failure> {
        let Some(item) = self.get(id(advertiser)).await? else { return Ok(Standing::default()) };
        let checkpoint = match item.contains_key("checkpoint_version") {
            true => Some((Epoch(item.number_of("checkpoint_epoch")?), item.number_of("checkpoint_version")?)),
            false => None,
        };
        let parts = if checkpoint.is_some() { item.number_of("parts")? } else { 0 };
        let replication = item.text_of("replication")?.to_owned();
        Ok(Standing { epoch: Epoch(item.number_of("epoch")?), replication, checkpoint, parts })
    }

    /// Begins the epoch after `from` for the server with this replication id. If somebody else did, or the answer to an
    /// earlier call was lost, what stands there now is returned: it is later than `from` in any case.
    ///
    /// # Errors
    /// It could not be read or written, or stands before `from`, which is a memory of something else.
    pub async fn bump(&self, advertiser: AdvertiserId, from: Epoch, replication: &str) -> Result<Standing, Failure> {
        let Some(next) = from.0.checked_add(1) else { return Err(Failure::malformed("no epoch comes after the last")) };
        let bump = || async {
            let bump =
                self.0.sdk.update_item().table_name(self.0.table(Table::Register)).key("id", text(id(advertiser)));
            let bump = bump
                .update_expression("SET epoch = :next, replication = :replication")
                .expression_attribute_values(":next", number(next))
                .expression_attribute_values(":replication", text(replication));
            let bump = match from {
                Epoch(0) => bump.condition_expression("attribute_not_exists(epoch)"),
                Epoch(from) => {
                    bump.condition_expression("epoch = :from").expression_attribute_values(":from", number(from))
                }
            };
            Ok(bump.send().await?)
        };
        match self.0.patiently(bump).await {
            Ok(_) | Err(Failure { kind: Kind::Conflict, .. }) => {}
            Err(failure) => return Err(failure),
        }
        let standing = self.epoch(advertiser).await?;
        if standing.epoch <= from {
            let (stands, from) = (standing.epoch.0, from.0);
            return Err(Failure::malformed(format!("advertiser {}: epoch {stands} stands, not {from}", advertiser.0)));
        }
        Ok(standing)
    }

    /// Keeps a checkpoint of this epoch, unless one as new is kept. Returns whether it was.
    ///
    /// # Errors
    /// [`Kind::Conflict`]: the epoch is another. Or it could not be written; what was kept before is whole then.
    pub async fn keep(
        &self,
        advertiser: AdvertiserId,
        epoch: Epoch,
        version: u64,
        bytes: &[u8],
    ) -> Result<bool, Failure> {
        let before = self.epoch(advertiser).await?;
        if before.epoch != epoch {
            let what = format!("advertiser {}: epoch {} has begun, not {}", advertiser.0, before.epoch.0, epoch.0);
            return Err(Failure { kind: Kind::Conflict, what });
        }
        if before.checkpoint >= Some((epoch, version)) {
            return Ok(false);
        }
        let parts = bytes.len().div_ceil(PART);
        if parts > PARTS {
            return Err(Failure::malformed(format!(
                "a checkpoint of {} bytes: the most are {}",
                bytes.len(),
                PARTS * PART
            )));
        }
        for (piece, at) in bytes.chunks(PART).zip(0..) {
            self.put_part(part(advertiser, (epoch, version), at), piece).await?;
        }
        match self.point(advertiser, epoch, version, parts).await {
            Ok(replaced) => {
                self.remove(advertiser, replaced).await;
                Ok(true)
            }
            Err(failure) if failure.kind == Kind::Conflict => {
                let now = self.epoch(advertiser).await?;
                if now.checkpoint == Some((epoch, version)) {
                    return Ok(true);
                }
                self.remove(advertiser, Some(((epoch, version), parts))).await;
                if now.epoch == epoch { Ok(false) } else { Err(failure) }
            }
            Err(failure) => Err(failure),
        }
    }

    /// The last checkpoint, with its epoch and version.
    ///
    /// # Errors
    /// It could not be read.
    pub async fn checkpoint(&self, advertiser: AdvertiserId) -> Result<Option<(Epoch, u64, Vec<u8>)>, Failure> {
        // While its parts are read it may give way to the next.
        for _ in 0..4 {
            let standing = self.epoch(advertiser).await?;
            let Some((epoch, version)) = standing.checkpoint else { return Ok(None) };
            let mut bytes = Vec::new();
            let mut whole = true;
            for at in 0..standing.parts as usize {
                match self.get(part(advertiser, (epoch, version), at)).await? {
                    Some(mut item) => bytes.append(&mut item.binary_of("bytes")?),
                    None => whole = false,
                }
            }
            if whole {
                return Ok(Some((epoch, version, bytes)));
            }
            pause(Duration::from_millis(50)).await;
        }
        Err(Failure::malformed(format!("advertiser {}: the checkpoint lacks a part", advertiser.0)))
    }

    async fn get(&self, id: String) -> Result<Option<Item>, Failure> {
        let get = || async {
            let get = self.0.sdk.get_item().table_name(self.0.table(Table::Register)).key("id", text(&*id));
            Ok(get.consistent_read(true).send().await?.item)
        };
        self.0.patiently(get).await
    }

    async fn put_part(&self, id: String, bytes: &[u8]) -> Result<(), Failure> {
        let put = || async {
            let put = self.0.sdk.put_item().table_name(self.0.table(Table::Register));
            put.item("id", text(&*id)).item("bytes", binary(bytes)).send().await?;
            Ok(())
        };
        self.0.patiently(put).await
    }

    /// Takes the parts of a newer checkpoint for those of an older, which is returned.
    async fn point(
        &self,
        advertiser: AdvertiserId,
        epoch: Epoch,
        version: u64,
        parts: usize,
    ) -> Result<Option<Parts>, Failure> {
        let point = || async {
            let point = self.0.sdk.update_item().table_name(self.0.table(Table::Register));
            let replaced = point
                .key("id", text(id(advertiser)))
                .update_expression("SET checkpoint_epoch = :epoch, checkpoint_version = :version, parts = :parts")
                .condition_expression(
                    "epoch = :epoch AND (attribute_not_exists(checkpoint_version) OR checkpoint_epoch < :epoch \
                     OR (checkpoint_epoch = :epoch AND checkpoint_version < :version))",
                )
                .expression_attribute_values(":epoch", number(epoch.0))
                .expression_attribute_values(":version", number(version))
                .expression_attribute_values(":parts", number(parts as u64))
                .return_values(ReturnValue::UpdatedOld)
                .send()
                .await?
                .attributes;
            let Some(old) = replaced.filter(|old| old.contains_key("parts")) else { return Ok(None) };
            let checkpoint = (Epoch(old.number_of("checkpoint_epoch")?), old.number_of("checkpoint_version")?);
            Ok(Some((checkpoint, old.number_of("parts")?)))
        };
        self.0.patiently(point).await
    }

    /// Parts that nobody names any more. One that stays costs its bytes and nothing else.
    async fn remove(&self, advertiser: AdvertiserId, parts: Option<Parts>) {
        let Some((checkpoint, parts)) = parts else { return };
        for at in 0..parts {
            let delete = self.0.sdk.delete_item().table_name(self.0.table(Table::Register));
            let deleted = delete.key("id", text(part(advertiser, checkpoint, at))).send().await.map_err(Failure::from);
            if let Err(failure) = deleted {
                log::debug!("a part of an old checkpoint of advertiser {} stays: {failure}", advertiser.0);
            }
        }
    }
}
