//! Reloads: a changed file is read, checked and indexed on a thread of its own, and handed to the bid cores.
//!
//! No bid core is kept waiting. The work runs on a CPU that has none. A core takes the new snapshot between two requests,
//! which is a swap of two boxes; what those share is freed here, because the reloader holds a replaced snapshot until every
//! core has given its copy back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::clock;
use crate::metrics::arms::Arms;
use crate::profile::count::Counted;
use crate::reconcile::pacing::Plan;
use crate::reconcile::server::Command;
use crate::reconcile::{Funding, Spends};
use crate::snapshot::Snapshot;
use crate::snapshot::calendar::Days;
use crate::snapshot::campaign::Campaign;
use crate::snapshot::data::{Data, Kept, Reloaded};
use crate::snapshot::document::FileError;
use crate::snapshot::scoring::keeper::{NotRolledBack, Standing};

/// How often replaced snapshots are looked at whether nobody decides with them any more.
const SWEEP: Duration = Duration::from_secs(1);

/// What a node decides with, and whom it tells of a change.
#[derive(Debug)]
pub struct Reloader {
    data: Data,
    commands: SyncSender<Command>,
    cores: usize,
    arms: Arc<Arms>,
    /// Snapshots some core may still decide with.
    replaced: Vec<Snapshot>,
}

impl Reloader {
    /// A reloader of a node with so many bid cores, which decide with `data` already. `arms` is told which rollout serves.
    pub fn new(data: Data, commands: SyncSender<Command>, cores: usize, arms: Arc<Arms>) -> Reloader {
        let mut reloader = Reloader { data, commands, cores, arms, replaced: Vec::new() };
        reloader.tell_rollout();
        reloader
    }

    /// The campaigns that were read last.
    pub fn campaigns(&self) -> &[Campaign] {
        self.data.campaigns()
    }

    /// Reads what may have changed and hands every core the new snapshot; the files that stay in use as they were.
    pub fn reload(&mut self) -> Vec<Kept> {
        self.sweep();
        let Reloaded { replaced, kept } = self.data.reload();
        self.tell_rollout();
        // The receiver is gone only when the reconciliation core has ended, and then nothing serves any more.
        let _ = self.commands.send(Command::Counted(counted(&self.data)));
        let _ = self.commands.send(Command::Spends(spends(&self.data)));
        let _ = self.commands.send(Command::Campaigns(funding(&self.data)));
        self.publish(replaced);
        kept
    }

    /// Goes back to the rollout that served before, and hands every core a snapshot that does; how it stands then.
    ///
    /// # Errors
    /// Why there is no going back; all is as it was.
    pub fn roll_back(&mut self) -> Result<RolledBack, NotRolledBack> {
        let mut unsaved = None;
        if let Some(replaced) = self.data.roll_back()? {
            unsaved = self.tell_rollout();
            self.publish(replaced);
        }
        Ok(RolledBack { standing: self.data.standing(), unsaved })
    }

    /// Hands every core the snapshot that took the place of this one.
    fn publish(&mut self, replaced: Snapshot) {
        self.replaced.push(replaced);
        let snapshots = (0..self.cores).map(|_| self.data.snapshot()).collect();
        let _ = self.commands.send(Command::Snapshots(snapshots));
    }

    /// Before the cores have it. What could not be written down is told, and serves all the same.
    fn tell_rollout(&mut self) -> Option<FileError> {
        self.arms.show(self.data.standing());
        let unsaved = self.data.remember().err();
        if let Some(error) = &unsaved {
            log::error!("{error}; after a restart another rollout may serve");
        }
        unsaved
    }

    /// Frees the snapshots that no core decides with any more.
    pub fn sweep(&mut self) {
        self.replaced.retain(Snapshot::is_shared);
    }

    /// Goes on as a thread on this CPU, and does what it is asked for.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn spawn(mut self, cpu: usize, asked: Asked) -> std::io::Result<()> {
        let run = move || {
            crate::topology::pin_beside(cpu, "the reload thread");
            loop {
                match asked.asks.recv_timeout(SWEEP) {
                    Ok(Ask::Look) => {
                        if asked.look.swap(false, Relaxed) {
                            self.reload_and_tell();
                        }
                    }
                    // Who has not waited for the answer sees it in the log.
                    Ok(Ask::RollBack(reply)) => _ = reply.send(self.roll_back_and_tell()),
                    Err(RecvTimeoutError::Timeout) => self.sweep(),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        thread::Builder::new().name("reload".into()).spawn(run).map(drop)
    }

    fn roll_back_and_tell(&mut self) -> Result<RolledBack, NotRolledBack> {
        let done = self.roll_back();
        match &done {
            Ok(_) => log::warn!("the rollout is rolled back; its file is passed over until it says something else"),
            Err(why) => log::warn!("nothing was rolled back: {why}"),
        }
        done
    }

    #[allow(clippy::disallowed_methods, reason = "told to a person; no bid core is near")]
    fn reload_and_tell(&mut self) {
        let start = Instant::now();
        let kept = self.reload();
        for kept in &kept {
            log::warn!("{kept}");
        }
        let but = if kept.is_empty() { "" } else { ", but for the files named" };
        let (count, millis) = (self.campaigns().len(), start.elapsed().as_millis());
        log::info!("{count} campaigns, and what else changes, reloaded in {millis} ms{but}");
    }
}

/// What the thread is asked to do.
#[derive(Debug)]
enum Ask {
    /// Look at the files, if nobody has since it was asked.
    Look,
    /// Go back to the rollout before.
    RollBack(oneshot::Sender<Result<RolledBack, NotRolledBack>>),
}

/// Asks that wait for one that is under way.
const ASKS: usize = 16;

/// What going back did.
#[derive(Debug)]
pub struct RolledBack {
    /// How it stands now.
    pub standing: Standing,
    /// It serves, and after a restart it would not.
    pub unsaved: Option<FileError>,
}

/// A way to ask the reload thread, and its other end.
pub fn asks() -> (Reloads, Asked) {
    let (asks, asked) = sync_channel(ASKS);
    let look = Arc::new(AtomicBool::new(false));
    (Reloads { asks, look: look.clone() }, Asked { asks: asked, look })
}

/// What the reload thread hears.
#[derive(Debug)]
pub struct Asked {
    asks: Receiver<Ask>,
    look: Arc<AtomicBool>,
}

/// Asks the reload thread, which ends when the last of these goes.
#[derive(Clone, Debug)]
pub struct Reloads {
    asks: SyncSender<Ask>,
    /// Whether a reload is asked for that has not begun.
    look: Arc<AtomicBool>,
}

impl Reloads {
    /// Asks for a reload, which begins once the one under way is over. Asked twice before that, it is made once.
    pub fn ask(&self) {
        self.look.store(true, Relaxed);
        // Where there is no room, somebody looks before long.
        if let Err(TrySendError::Disconnected(_)) = self.asks.try_send(Ask::Look) {
            log::error!("the reload thread has ended; the old campaigns keep serving");
        }
    }

    /// Asks to go back to the rollout before. Nothing comes where the thread has ended, or more is asked of it than it can do.
    pub fn roll_back(&self) -> oneshot::Receiver<Result<RolledBack, NotRolledBack>> {
        let (reply, done) = oneshot::channel();
        let _ = self.asks.try_send(Ask::RollBack(reply));
        done
    }
}

/// What the reconciliation core must know of the campaigns.
pub fn funding(data: &Data) -> Vec<Funding> {
    data.campaigns()
        .iter()
        .filter(|campaign| campaign.enabled)
        .map(|campaign| Funding {
            campaign: campaign.id,
            advertiser: campaign.advertiser,
            slot: campaign.slot,
            daily: campaign.daily_budget,
            total: campaign.spending.total,
            price: campaign.cpm,
            mode: campaign.spending.mode,
            tolerance: campaign.spending.tolerance,
        })
        .collect()
}

/// What their impressions count for.
pub fn counted(data: &Data) -> Vec<Counted> {
    let counts = data.campaigns().iter().filter(|campaign| !campaign.counted.counters.is_empty());
    counts.map(|campaign| campaign.counted).collect()
}

/// How they spend.
pub fn spends(data: &Data) -> Vec<Spends> {
    let now = clock::wall();
    let mut zones: HashMap<&str, Days> = HashMap::new();
    let enabled = data.campaigns().iter().filter(|campaign| campaign.enabled);
    enabled
        .map(|campaign| {
            let zone = campaign.spending.zone.as_str();
            // The campaign file was read with its zones looked up.
            let days = zones.entry(zone).or_insert_with(|| Days::of(now, zone).unwrap_or_default()).clone();
            Spends { slot: campaign.slot, plan: Plan::of(&campaign.spending), days }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Key;
    use crate::snapshot::data::Source;
    use crate::snapshot::edge::Files;

    use crate::reconcile::gauges::Gauges;

    fn arms() -> Arc<Arms> {
        Arc::new(Arms::new(Vec::new(), Arc::new(Gauges::new(0))))
    }

    #[test]
    fn a_snapshot_whose_campaigns_are_kept_is_freed_here_too() {
        let folder = std::env::temp_dir().join(format!("corebid-reload-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (campaigns, bots) = (folder.join("campaigns.toml"), folder.join("bots.txt"));
        std::fs::write(&campaigns, "campaigns = []\n").unwrap();
        std::fs::write(&bots, "oldbot\n").unwrap();
        let source = Source::Files {
            campaigns: campaigns.clone(),
            profiles: None,
            model: None,
            scoring: Default::default(),
            rates: Default::default(),
            geo: None,
            edge: Files { bots: Some(bots.clone()), ..Files::default() },
            privacy: Default::default(),
            supply: Default::default(),
        };
        let data = Data::load(source, &Key([0; 32])).unwrap();
        let of_a_core = data.snapshot();
        let old = Arc::downgrade(&of_a_core.edge);
        let (commands, _taken) = sync_channel(4);
        let mut reloader = Reloader::new(data, commands, 1, arms());

        std::fs::write(&campaigns, "campaigns = 1\n").unwrap();
        std::fs::write(&bots, "newerbot\n").unwrap();
        let kept = reloader.reload();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(kept.iter().map(|kept| (kept.what, kept.error.line)).collect::<Vec<_>>(), [("campaigns", 1)]);
        let new = reloader.data.snapshot();
        assert!(Arc::ptr_eq(&of_a_core.campaigns, &new.campaigns) && Arc::ptr_eq(&of_a_core.targeting, &new.targeting));
        assert!(new.edge.bots.is_bot(b"newerbot") && !new.edge.bots.is_bot(b"oldbot"));

        drop(of_a_core);
        assert_eq!(old.strong_count(), 1, "the core freed it");
        reloader.sweep();
        assert_eq!(old.strong_count(), 0, "what the next one shares with it holds nothing else back");
    }

    #[test]
    fn a_replaced_snapshot_is_freed_here_and_not_by_the_last_core() {
        let data = Data::load(Source::BuiltIn, &Key([0; 32])).unwrap();
        let of_a_core = data.snapshot();
        let (commands, taken) = sync_channel(4);
        let mut reloader = Reloader::new(data, commands, 2, arms());
        let old = Arc::downgrade(&of_a_core.campaigns);

        assert_eq!(reloader.reload(), []);
        assert!(matches!(taken.recv().unwrap(), Command::Counted(_)));
        assert!(matches!(taken.recv().unwrap(), Command::Spends(_)));
        assert!(matches!(taken.recv().unwrap(), Command::Campaigns(list) if list.len() == of_a_core.campaigns.len()));
        let Ok(Command::Snapshots(new)) = taken.recv() else { panic!("a snapshot for each core") };
        assert_eq!(new.len(), 2);
        assert!(Arc::ptr_eq(&new[0].campaigns, &new[1].campaigns), "one copy for all cores");
        assert_eq!((of_a_core.version, new[0].version), (1, 2));

        reloader.sweep();
        assert_eq!(old.strong_count(), 2, "a core decides with it");
        drop(of_a_core);
        assert_eq!(old.strong_count(), 1, "the core freed it");
        reloader.sweep();
        assert_eq!(old.strong_count(), 0);
    }
}
