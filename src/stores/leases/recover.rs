//! Where a shard stands, when this node does not know or the shard is not where it should be. The register in DynamoDB decides: an
//! epoch begins there, by condition, for one server; then the shard is opened with it.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::sleep;

use super::{Keepers, call};
use crate::authority::message::Origin;
use crate::clock;
use crate::store::dynamodb::epochs::Standing;
use crate::store::dynamodb::failure::Failure;
use crate::store::valkey::lease::{self, Envelope, Function, Lost, Reply, ServerId, decode, encode};
use crate::units::{AdvertiserId, Epoch, UnixMillis};

/// A shard is opened within this time of the reading of the register that led to it, or not at all.
const OPEN_MS: u64 = 5_000;
/// After a failure, before the next try.
const AGAIN: Duration = Duration::from_secs(1);

/// A node that has begun an epoch opens its shard within about this time.
const OPENED_BY_OTHERS: Duration = Duration::from_millis(500);

/// Why a shard could not be opened yet.
enum Shut {
    Register(Failure),
    Server(String),
}

impl Keepers {
    /// Finds out where a shard stands that was lost, or was never known. Meanwhile nothing is sent to it.
    pub(super) fn recover(self: &Rc<Self>, advertiser: AdvertiserId) {
        let (lost, why) = {
            let mut state = self.state.borrow_mut();
            let shard = state.shards.entry(advertiser).or_default();
            let (lost, why) = shard.lost.map_or((Epoch(0), None), |(lost, why)| (lost, Some(why)));
            let later = shard.envelope.is_some_and(|envelope| envelope.epoch > lost);
            if later || std::mem::replace(&mut shard.recovering, true) {
                return;
            }
            shard.envelope = None;
            (lost, why)
        };
        let keepers = self.clone();
        spawn_local(async move {
            let found = keepers.stand(advertiser, lost, why).await;
            if let Err(why) = &found {
                let what = match why {
                    Shut::Register(failure) => {
                        keepers.counts.register_failures.add(1);
                        format!("the register in DynamoDB: {failure}")
                    }
                    Shut::Server(why) => why.clone(),
                };
                log::warn!("advertiser {}: its accounts cannot be reached: {what}", advertiser.0);
                sleep(AGAIN).await;
            }
            let mut state = keepers.state.borrow_mut();
            let shard = state.shards.entry(advertiser).or_default();
            shard.recovering = false;
            if let Ok(envelope) = found {
                shard.stands(envelope);
                // A shard that fell back may have lost its list with the rest.
                shard.refund();
            }
        });
    }

    async fn stand(&self, advertiser: AdvertiserId, lost: Epoch, why: Option<Lost>) -> Result<Envelope, Shut> {
        let id = self.valkey.shard_of(lease::key(advertiser).as_bytes());
        // Asked now: what was heard before may be of a server that is gone.
        self.valkey.discover().await.map_err(|failure| Shut::Server(failure.to_string()))?;
        let unknown = || Shut::Server("it is not known who serves it".into());
        let server = self.valkey.replication_id(id).ok_or_else(unknown)?;
        let standing = self.epochs.epoch(advertiser).await.map_err(Shut::Register)?;
        let here = standing.epoch > Epoch(0) && standing.replication == server;
        if here && (standing.epoch > lost || self.is_opened_late(advertiser, &standing, why).await?) {
            return envelope(&standing);
        }
        self.counts.epochs.add(1);
        let standing = self.epochs.bump(advertiser, standing.epoch, &server).await.map_err(Shut::Register)?;
        if standing.replication != server {
            return Err(Shut::Server("it moves between servers".into()));
        }
        self.open(advertiser, &standing).await
    }

    /// Another node may have begun the epoch and be about to open the shard: it is given a moment. One that has been open and
    /// does not know what it said is not waited for.
    async fn is_opened_late(
        &self,
        advertiser: AdvertiserId,
        standing: &Standing,
        why: Option<Lost>,
    ) -> Result<bool, Shut> {
        if !matches!(why, Some(Lost::Blank | Lost::Epoch)) {
            return Ok(false);
        }
        sleep(OPENED_BY_OTHERS).await;
        let said = self.ask_in(envelope(standing)?, advertiser, Function::Stops, &[]).await;
        Ok(said.is_some_and(|said| matches!(decode::stops(&said), Ok((_, Reply::Done(_))))))
    }

    /// Opens a shard in the epoch that the register says; if that was done, nothing changes.
    async fn open(&self, advertiser: AdvertiserId, standing: &Standing) -> Result<Envelope, Shut> {
        let envelope = envelope(standing)?;
        // Read after the epoch was set: whoever is registered later begins in it.
        let before = UnixMillis(clock::wall().0 + OPEN_MS);
        let register = self.processes.read().await.map_err(Shut::Register)?;
        let processes: Vec<_> = register
            .processes()
            .map(|(incarnation, process)| encode::Process {
                incarnation,
                node: process.node,
                origin: Origin {
                    horizon: process.horizon,
                    first_booking: process.first_booking,
                    next_booking: process.next_booking,
                },
                retired: register.is_retired(process.node),
            })
            .collect();
        let checkpoint = self.epochs.checkpoint(advertiser).await.map_err(Shut::Register)?;
        let checkpoint = checkpoint.map(|(.., bytes)| bytes).unwrap_or_default();
        let body = encode::open(before, &processes).map_err(|unfit| Shut::Server(unfit.to_string()))?;
        let key = lease::key(advertiser);
        let call = call(Function::Open, &key, &[&encode::envelope(&envelope), &body, &checkpoint]);
        let (mut replies, safe) = self.commit(self.valkey.shard_of(key.as_bytes()), vec![call]).await;
        let bytes =
            replies.pop().expect("a reply to each call").map_err(|failure| Shut::Server(failure.to_string()))?;
        if !safe {
            return Err(Shut::Server("no replica confirms".into()));
        }
        match decode::done(&bytes) {
            Ok((_, Reply::Done(()))) => {
                if standing.epoch > Epoch(1) {
                    log::warn!(
                        "advertiser {}: epoch {} has begun; it learns what is out",
                        advertiser.0,
                        standing.epoch.0
                    );
                }
                Ok(envelope)
            }
            Ok((_, Reply::Lost(lost))) => Err(Shut::Server(lost.to_string())),
            Ok((_, Reply::Mismatch)) => Err(Shut::Server("its accounts do not add up".into())),
            Ok((_, Reply::Refused(refused))) => Err(Shut::Server(refused.to_string())),
            Err(malformed) => Err(Shut::Server(malformed.to_string())),
        }
    }
}

fn envelope(standing: &Standing) -> Result<Envelope, Shut> {
    let server = ServerId::of(&standing.replication)
        .ok_or_else(|| Shut::Server(format!("{:?} is no replication id", standing.replication)))?;
    Ok(Envelope { epoch: standing.epoch, version: 0, server })
}
