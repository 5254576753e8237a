//! What this node knows of an advertiser's shard, and what it sends there.

use std::rc::Rc;
use std::sync::mpsc::TrySendError;

use tokio::task::spawn_local;
use tokio::time::Instant;

use super::{CHECKPOINT, Keepers, call};
use crate::authority::Budget;
use crate::authority::message::{Part, Report};
use crate::store::valkey::ShardId;
use crate::store::valkey::lease::{self, Envelope, Function, Lost, Position, Refused, Reply, decode, encode};
use crate::units::{AdvertiserId, Epoch};

/// An advertiser's shard.
#[derive(Default)]
pub(super) struct Shard {
    /// Where it stands, as the register and its own replies say; `None` until the register was asked.
    pub(super) envelope: Option<Envelope>,
    /// The highest version seen, and in which epoch: what it must not fall behind.
    seen: (Epoch, u64),
    /// It was found lost in this epoch, and no later one has begun yet.
    pub(super) lost: Option<(Epoch, Lost)>,
    /// Somebody is finding out, or opening it.
    pub(super) recovering: bool,
    /// A list it has not confirmed, with its revision.
    budgets: Option<(u64, Vec<Budget>)>,
    /// The last list, for comparison and for shards that lost it.
    listed: (u64, Vec<Budget>),
    /// When it is put down in the register next.
    checkpoint: Option<Instant>,
}

impl Shard {
    /// It is told of a list, unless it has been told the same.
    pub(super) fn fund(&mut self, list: Vec<Budget>, revision: u64) {
        if self.listed.1 != list {
            self.listed = (revision, list);
            self.refund();
        }
    }

    /// It is told of its list once more: it may have lost it.
    pub(super) fn refund(&mut self) {
        self.budgets = Some(self.listed.clone());
    }

    /// It said where it is.
    fn moved(&mut self, position: Position) {
        if let Some(envelope) = self.envelope.as_mut().filter(|envelope| envelope.epoch == position.epoch) {
            envelope.version = envelope.version.max(position.version);
            self.seen = (envelope.epoch, envelope.version);
        }
    }

    /// It stands there: what it said before in that epoch, it still has to know.
    pub(super) fn stands(&mut self, envelope: Envelope) {
        let version = if self.seen.0 == envelope.epoch { self.seen.1 } else { 0 };
        self.envelope = Some(Envelope { version, ..envelope });
        self.lost.take_if(|(lost, _)| *lost < envelope.epoch);
    }
}

/// What a call of a pipeline was.
enum Sent {
    Fund(AdvertiserId, u64),
    Report(Box<Report>, AdvertiserId, Epoch),
}

impl Keepers {
    /// One round trip: the reports, each after its advertiser's budgets if those are new.
    #[expect(clippy::vec_box, reason = "they come boxed, and a queue moves pointers rather than reports")]
    pub(super) async fn send(self: &Rc<Self>, id: ShardId, reports: Vec<Box<Report>>) {
        let (mut sent, mut calls) = (Vec::new(), Vec::new());
        for report in reports.into_iter().filter(|report| !Self::is_stale(report)) {
            let Part::Advertiser(advertiser) = report.part else { continue };
            let mut state = self.state.borrow_mut();
            let shard = state.shards.entry(advertiser).or_default();
            let Some(envelope) = shard.envelope else {
                drop(state);
                // The node says it again when the register has said where the shard stands.
                self.recover(advertiser);
                continue;
            };
            let key = lease::key(advertiser);
            let front = encode::envelope(&envelope);
            let call = |function: Function, body: Vec<u8>| call(function, &key, &[&front, &body]);
            if let Some((revision, list)) = &shard.budgets {
                match encode::fund(*revision, list) {
                    Ok(body) => {
                        calls.push(call(Function::Fund, body));
                        sent.push(Sent::Fund(advertiser, *revision));
                    }
                    Err(unfit) => log::error!("advertiser {}: its campaigns cannot be funded: {unfit}", advertiser.0),
                }
            }
            match encode::report(&report) {
                Ok(body) => {
                    calls.push(call(Function::Report, body));
                    sent.push(Sent::Report(report, advertiser, envelope.epoch));
                }
                Err(unfit) => log::error!("advertiser {}: a report cannot be sent: {unfit}", advertiser.0),
            }
        }
        if calls.is_empty() {
            return;
        }
        self.counts.pipelines.add(1);
        self.counts.calls.add(calls.len() as u64);
        let begun = Instant::now();
        let (replies, safe) = self.commit(id, calls).await;
        self.counts.time.record(begun.elapsed().as_nanos() as u64);
        if !safe {
            // What the primary alone knows may be lost with it: it counts as not said.
            self.counts.unconfirmed.add(1);
        }
        if replies.iter().all(Result::is_ok) {
            self.counts.answered();
        }
        for (sent, reply) in sent.into_iter().zip(replies) {
            match (reply, sent) {
                (Ok(bytes), Sent::Fund(advertiser, revision)) => self.funded(advertiser, revision, &bytes),
                (Ok(bytes), Sent::Report(report, advertiser, epoch)) => {
                    self.answered(&report, advertiser, epoch, &bytes, safe);
                }
                (Err(failure), _) => {
                    self.counts.failed(&failure);
                }
            }
        }
    }

    fn funded(&self, advertiser: AdvertiserId, revision: u64, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        let Some(shard) = state.shards.get_mut(&advertiser) else { return };
        match decode::done(bytes) {
            Ok((position, Reply::Done(()) | Reply::Refused(Refused::OldList))) => {
                shard.moved(position);
                shard.budgets.take_if(|(known, _)| *known == revision);
            }
            // The report behind it says the same.
            Ok(_) => {}
            Err(malformed) => self.counts.failed(&malformed),
        }
    }

    fn answered(self: &Rc<Self>, report: &Report, advertiser: AdvertiserId, epoch: Epoch, bytes: &[u8], safe: bool) {
        let reply = match decode::report(report, bytes) {
            Ok((position, reply)) => {
                if let Some(shard) = self.state.borrow_mut().shards.get_mut(&advertiser) {
                    shard.moved(position);
                }
                reply
            }
            Err(malformed) => return self.counts.failed(&malformed),
        };
        match reply {
            Reply::Done(_) if !safe => {}
            Reply::Done(answer) => {
                if let Err(TrySendError::Full(_)) = self.answers.try_send(answer) {
                    self.counts.dropped.add(1);
                }
                self.checkpoint_if_due(advertiser);
            }
            Reply::Lost(lost) => {
                log::warn!("advertiser {}: {lost}", advertiser.0);
                if let Some(shard) = self.state.borrow_mut().shards.get_mut(&advertiser) {
                    shard.lost = shard.lost.max(Some((epoch, lost)));
                }
                self.recover(advertiser);
            }
            Reply::Mismatch => self.counts.mismatches.add(1),
            Reply::Refused(refused) => log::error!("advertiser {}: a report was refused: {refused}", advertiser.0),
        }
    }

    /// Puts a shard down in the register now and then: what is left if every copy of it is gone.
    fn checkpoint_if_due(self: &Rc<Self>, advertiser: AdvertiserId) {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        let Some(shard) = state.shards.get_mut(&advertiser) else { return };
        // Nodes spread theirs over the time; the register keeps the newest.
        let spread =
            CHECKPOINT.mul_f64(0.5 + f64::from(advertiser.0.wrapping_mul(2_654_435_769)) / f64::from(u32::MAX));
        let due = *shard.checkpoint.get_or_insert(now + spread / 4);
        if due <= now && shard.envelope.is_some() {
            shard.checkpoint = Some(now + spread);
            let keepers = self.clone();
            spawn_local(async move { keepers.checkpoint(advertiser).await });
        }
    }

    async fn checkpoint(&self, advertiser: AdvertiserId) {
        let Some(said) = self.ask(advertiser, Function::Checkpoint, &[]).await else { return };
        match decode::checkpoint(&said) {
            Ok((position, Reply::Done((bytes, _)))) => {
                match self.epochs.keep(advertiser, position.epoch, position.version, &bytes).await {
                    Ok(kept) => self.counts.checkpoints.add(u64::from(kept)),
                    Err(failure) => {
                        self.counts.register_failures.add(1);
                        log::warn!("advertiser {}: its checkpoint was not kept: {failure}", advertiser.0);
                    }
                }
            }
            // The next report finds out.
            Ok(_) => {}
            Err(malformed) => self.counts.failed(&malformed),
        }
    }

    /// One call of one shard, by itself. Nothing if it failed, which is counted, or if it is not known where the shard stands.
    pub(super) async fn ask(&self, advertiser: AdvertiserId, function: Function, body: &[u8]) -> Option<Vec<u8>> {
        let envelope = self.state.borrow().shards.get(&advertiser)?.envelope?;
        self.ask_in(envelope, advertiser, function, body).await
    }

    /// The same, of a shard that stands there.
    pub(super) async fn ask_in(
        &self,
        envelope: Envelope,
        advertiser: AdvertiserId,
        function: Function,
        body: &[u8],
    ) -> Option<Vec<u8>> {
        let key = lease::key(advertiser);
        let call = call(function, &key, &[&encode::envelope(&envelope), body]);
        let (mut replies, safe) = self.commit(self.valkey.shard_of(key.as_bytes()), vec![call]).await;
        match replies.pop()? {
            Ok(bytes) => Some(bytes).filter(|_| safe),
            Err(failure) => {
                self.counts.failed(&failure);
                None
            }
        }
    }
}
