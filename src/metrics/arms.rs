//! What is counted by arm of the rollout: bids and their scores by each bid core, what became of them by the reconciliation core.
//!
//! A counter stands for a place ([`ArmId`]), a series for a name: when a place goes to another name, or an arm gets another model, what
//! was counted until then is taken off. The bid cores know nothing of it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::core::CoreMetrics;
use super::counter::Counter;
use crate::clock;
use crate::limits;
use crate::model::drift::{BINS, Drift};
use crate::model::registry::Target;
use crate::reconcile::gauges::Gauges;
use crate::snapshot::scoring::keeper::Standing;
use crate::snapshot::scoring::{Arm, BUCKETS, Served};
use crate::units::{ArmId, Micros, Nanos};

/// What one bid core counts of an arm.
#[derive(Debug, Default)]
pub struct ArmCounts {
    /// Bids made under it.
    pub bids: Counter,
    /// What its models said of bids, their own and, in a shadow, those of other arms: clicks, conversions.
    pub scores: [Scores; TARGETS],
}

impl ArmCounts {
    /// Counts the prediction that a bid was made with, or would have been; the owner only.
    #[inline]
    pub fn scored(&self, by: &Served, probability: f64) {
        // Nothing is bid by other targets.
        if let Some(scores) = self.scores.get(by.target as usize) {
            scores.scored(&by.drift, probability);
        }
    }
}

/// Targets that are scored for: [`Target::PAID`].
const TARGETS: usize = Target::PAID.len();
const BIN_NAMES: [&str; BINS] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Predictions, by the bins that the model's own were counted in when it was tested.
#[derive(Debug, Default)]
pub struct Scores([Counter; BINS]);

impl Scores {
    /// Counts the prediction that a bid was made with; the owner only. `drift` is that of the model that predicted.
    #[inline]
    pub fn scored(&self, drift: &Drift, probability: f64) {
        self.0[drift.bin(probability)].add(1);
    }

    fn get(&self) -> [u64; BINS] {
        std::array::from_fn(|bin| self.0[bin].get())
    }
}

/// What the reconciliation core counts of an arm. Of notices that come again nothing is counted twice, not even after a restart.
#[derive(Debug, Default)]
pub struct ArmOutcomes {
    /// Bids that are known to have won, by whichever of win and bill came first.
    pub wins: Counter,
    /// Bills booked.
    pub bills: Counter,
    /// What they came to, micros.
    pub billed_micros: Counter,
    /// Bids that were clicked on.
    pub clicks: Counter,
    /// Bids that were converted.
    pub conversions: Counter,
}

impl ArmOutcomes {
    /// A bill was booked.
    pub fn billed(&self, amount: Micros) {
        self.bills.add(1);
        self.billed_micros.add(amount.0 as u64);
    }
}

/// How long scores are gathered for the index of drift: from so long to twice as long, ns.
const WINDOW_NS: u64 = 30 * 60 * Nanos::SECOND;

/// What serves, and what of the counters is of it: for scrapes and operators.
#[derive(Debug)]
pub struct Arms {
    cores: Vec<&'static CoreMetrics>,
    gauges: Arc<Gauges>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    standing: Standing,
    /// What had been counted when the place got its name.
    before: [Counted; limits::ARMS],
    scores: [[Window; TARGETS]; limits::ARMS],
}

/// The counters of a place, over all cores.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    bids: u64,
    outcomes: [u64; OUTCOMES.len()],
}

/// Scores of one model.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// What had been counted when it began to serve.
    first: [u64; BINS],
    /// When the last but one window ended, and when the last did, ns of the boot clock, and what had been counted by then.
    ends: [(u64, [u64; BINS]); 2],
}

type Read = fn(&ArmOutcomes) -> &Counter;

const OUTCOMES: [(&str, &str, Read); 5] = [
    ("corebid_arm_wins", "Bids of the arm that are known to have won", |arm| &arm.wins),
    ("corebid_arm_bills", "Bills booked for bids of the arm", |arm| &arm.bills),
    ("corebid_arm_billed_micros", "What they came to, micros", |arm| &arm.billed_micros),
    ("corebid_arm_clicks", "Bids of the arm that were clicked on", |arm| &arm.clicks),
    ("corebid_arm_conversions", "Bids of the arm that were converted", |arm| &arm.conversions),
];

impl Arms {
    /// Of what these cores count. Nothing serves yet.
    pub fn new(cores: Vec<&'static CoreMetrics>, gauges: Arc<Gauges>) -> Arms {
        Arms { cores, gauges, state: Mutex::default() }
    }

    /// How it stands with the rollout.
    pub fn standing(&self) -> Standing {
        self.lock().standing.clone()
    }

    /// Another rollout serves, or the same in another way. Told before the cores have it, so that no count of its own is taken off.
    pub fn show(&self, standing: Standing) {
        let mut state = self.lock();
        let old = std::mem::replace(&mut state.standing, standing);
        let now = clock::boot().0;
        for place in 0..limits::ARMS {
            let (old, new) = (arm(&old, place), arm(&state.standing, place));
            let Some(new) = new else { continue };
            let renamed = old.is_none_or(|old| old.name != new.name);
            let fresh: [bool; TARGETS] = std::array::from_fn(|target| {
                let version = |arm: &Arm| model(arm, target).map(|served| served.version.clone());
                renamed || old.and_then(version) != version(new)
            });
            if renamed {
                state.before[place] = self.counted(place);
            }
            for target in (0..TARGETS).filter(|&target| fresh[target]) {
                let first = self.scores(place, target);
                state.scores[place][target] = Window { first, ends: [(now, first); 2] };
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self, place: usize) -> Counted {
        Counted {
            bids: self.cores.iter().map(|core| core.arms[place].bids.get()).sum(),
            outcomes: OUTCOMES.map(|(.., read)| read(&self.gauges.arms[place]).get()),
        }
    }

    fn scores(&self, place: usize, target: usize) -> [u64; BINS] {
        let mut sum = [0; BINS];
        for core in &self.cores {
            sum.iter_mut().zip(core.arms[place].scores[target].get()).for_each(|(sum, count)| *sum += count);
        }
        sum
    }
}

fn arm(standing: &Standing, place: usize) -> Option<&Arm> {
    standing.rollout.as_ref()?.get(ArmId(place as u8))
}

fn model(arm: &Arm, target: usize) -> Option<&Served> {
    arm.model(Target::PAID[target])
}

fn since(now: [u64; BINS], then: &[u64; BINS]) -> [u64; BINS] {
    std::array::from_fn(|bin| now[bin] - then[bin])
}

impl Window {
    /// What was counted in the last window and in this, which begins anew when it is long enough.
    fn recent(&mut self, now: u64, counts: [u64; BINS]) -> [u64; BINS] {
        if now.saturating_sub(self.ends[1].0) >= WINDOW_NS {
            self.ends = [self.ends[1], (now, counts)];
        }
        since(counts, &self.ends[0].1)
    }
}

/// All of it, as one collector.
#[derive(Debug)]
pub struct Metrics(pub Arc<Arms>);

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Metrics(arms) = self;
        let state = &mut *arms.lock();
        let Some(rollout) = state.standing.rollout.clone() else { return Ok(()) };
        let places = || rollout.arms.iter().enumerate().map(|(place, arm)| (place, &*arm.name, arm));
        let models = || {
            places().flat_map(|(place, name, arm)| {
                (0..TARGETS).filter_map(move |target| Some((place, name, target, model(arm, target)?)))
            })
        };

        let counted: Vec<Counted> = (0..rollout.arms.len()).map(|place| arms.counted(place)).collect();
        let bids = |place: usize| counted[place].bids - state.before[place].bids;
        let rows = places().map(|(place, name, _)| ([("arm", name)], bids(place)));
        counters(&mut encoder, "corebid_arm_bids", "Bids made under the arm of the rollout", rows)?;
        for (at, (family, help, _)) in OUTCOMES.into_iter().enumerate() {
            let count = |place: usize| counted[place].outcomes[at] - state.before[place].outcomes[at];
            let rows = places().map(|(place, name, _)| ([("arm", name)], count(place)));
            counters(&mut encoder, family, help, rows)?;
        }
        let rows = models().flat_map(|(place, name, target, _)| {
            let counts = since(arms.scores(place, target), &state.scores[place][target].first);
            let labels =
                move |bin: usize| [("arm", name), ("target", Target::PAID[target].label()), ("bin", BIN_NAMES[bin])];
            counts.into_iter().enumerate().map(move |(bin, count)| (labels(bin), count))
        });
        let help = "Predictions that bids were made with, by tenths of what the model said when it was tested";
        counters(&mut encoder, "corebid_arm_scores", help, rows)?;

        let now = clock::boot().0;
        let windows = &mut state.scores;
        let rows = models().filter_map(|(place, name, target, served)| {
            let recent = windows[place][target].recent(now, arms.scores(place, target));
            Some(([("arm", name), ("target", Target::PAID[target].label())], served.drift.psi(&recent)?))
        });
        let help = "Population stability index of the scores of the last half hour to hour against those of the test";
        gauges(&mut encoder, "corebid_arm_score_psi", help, rows)?;
        let rows = places().map(|(_, name, arm)| ([("arm", name)], f64::from(arm.share) / f64::from(BUCKETS)));
        gauges(&mut encoder, "corebid_arm_share", "Share of the users, or auctions, that the arm has", rows)?;
        let named: Vec<_> =
            models().map(|(_, name, target, served)| (name, target, served.version.to_string())).collect();
        let rows = named.iter().map(|(name, target, version)| {
            ([("arm", *name), ("target", Target::PAID[*target].label()), ("version", version.as_str())], 1.0)
        });
        gauges(&mut encoder, "corebid_arm_model", "1 for each model that an arm scores with", rows)?;
        let help = "1 while the rollout file is passed over, because it was rolled back";
        let row = ([("split", rollout.split.label())], f64::from(u8::from(state.standing.rolled_back)));
        gauges(&mut encoder, "corebid_rollout_rolled_back", help, [row].into_iter())
    }
}

/// Writes a family of counters: labels and count of each.
fn counters<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in rows {
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
    }
    Ok(())
}

/// The same of gauges.
fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (L, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in rows {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
