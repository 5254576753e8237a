//! Scoring: what each offer is worth to its campaign.
//!
//! ```text
//!                         ┌─ pays by impression ───► weights ─────────────────────────► CPM x how good the impression is
//! offers ── by their goal ┤
//!                         └─ by click, conversion ─► shortlist ─► governor ─► trees ──► goal x chance
//!                                                                    └─ no time ──────► goal x chance on average
//! ```
//!
//! The arm of the rollout says which models are asked. Shadow arms are asked about the bids that were made, and nobody who bids hears
//! what they say.

pub mod governor;
pub mod shortlist;

use crate::bid::eligible::{self, Memory, Scene};
use crate::bid::features::{self, Facts};
use crate::bid::frequency::Seen;
use crate::bid::offers::{Estimate, Offer, Offers};
use crate::bid::price;
use crate::bid::probe::Probe;
use crate::bid::user::User;
use crate::config::Score;
use crate::limits;
use crate::metrics::core::CoreMetrics;
use crate::model::engine::Room;
use crate::model::registry::{Served, Target};
use crate::snapshot::campaign::{Chance, Goal};
use crate::snapshot::scoring::{self, Rollout};
use crate::units::ArmId;
use crate::wire::openrtb::request::{BidRequest, Parts, ScanError};

use governor::Governor;
use shortlist::{Entries, Entry, shorten};

/// What one core scores with. Nothing here allocates after [`Scorer::new`].
#[derive(Debug)]
pub struct Scorer {
    governor: Governor,
    /// Offers of a request that a model looks at, but for those that it has to.
    most: usize,
    entries: Entries,
    ranked: Ranked,
    /// What the governor was told of sampled requests so far: rows, and ns.
    told: [u64; 2],
}

/// Rows, and what a model says of them.
#[derive(Debug)]
struct Ranked {
    rows: Box<[f32]>,
    raw: Box<[f64]>,
    room: Room,
}

/// What a decision has come to know of whom and what it scores.
#[derive(Clone, Copy, Debug)]
pub struct Context<'f> {
    /// Where.
    pub scene: Scene<'f>,
    /// What is asked for.
    pub request: &'f BidRequest<'f>,
    /// By whom it is seen.
    pub user: &'f User<'f>,
    /// What they saw before.
    pub seen: Seen<'f>,
}

impl Context<'_> {
    fn goal(&self, offer: &Offer) -> Goal {
        self.scene.snapshot.campaign(offer.campaign).goal
    }
}

/// Reads of a request what models want to be told: that of its arm if one of the offers is for it, and those in the shadow.
///
/// # Errors
/// A wrong type where nobody has looked yet.
#[inline]
pub fn read<'r>(
    scene: Scene<'_>,
    arm: ArmId,
    offers: &Offers,
    parts: &mut Parts<'r, '_>,
    request: &mut BidRequest<'r>,
    memory: &mut Memory,
) -> Result<(), ScanError> {
    let Some(rollout) = scene.snapshot.scoring.as_deref() else { return Ok(()) };
    let goal = |offer: &Offer| scene.snapshot.campaign(offer.campaign).goal;
    for (id, served) in asked(rollout, arm) {
        if id != arm || offers.iter().any(|offer| served.target.each(goal(offer)).is_some()) {
            features::read(&served.schema, parts, request, memory)?;
        }
    }
    Ok(())
}

/// The arm of a request; without a rollout there is one.
#[inline]
pub fn arm(scene: Scene<'_>, user: &User<'_>, request: &BidRequest<'_>) -> ArmId {
    scene.snapshot.scoring.as_deref().map_or(ArmId::default(), |rollout| rollout.arm(user.key(), request.id.raw))
}

/// The models that a request of an arm is scored with, its own and those in the shadow.
fn asked(rollout: &Rollout, arm: ArmId) -> impl Iterator<Item = (ArmId, &Served)> {
    let arms = rollout.arms.iter().zip(0..).map(|(of, at)| (ArmId(at), of));
    let asked = arms.filter(move |(id, of)| *id == arm || of.shadow);
    asked.flat_map(|(id, of)| of.served().map(move |served| (id, &**served)))
}

impl Scorer {
    /// One of this configuration, in a room for the models that serve.
    pub fn new(config: &Score, room: scoring::Room) -> Scorer {
        Scorer {
            governor: Governor::new(config.time_share),
            most: usize::from(config.candidates),
            entries: Entries::new(),
            ranked: Ranked {
                rows: vec![0.0; limits::CANDIDATES * limits::FEATURES].into(),
                raw: vec![0.0; limits::CANDIDATES].into(),
                room: room.0,
            },
            told: [0; 2],
        }
    }

    /// Takes a room for the models that serve from now on, and leaves the one before.
    pub fn swap(&mut self, room: &mut scoring::Room) {
        std::mem::swap(&mut self.ranked.room, &mut room.0);
    }

    /// Says what every offer is worth. One that no model had room for keeps [`Estimate::None`].
    pub fn value<P: Probe>(
        &mut self,
        context: Context<'_>,
        arm: ArmId,
        offers: &mut Offers,
        metrics: &CoreMetrics,
        probe: &mut P,
    ) {
        let Context { scene, request, user, .. } = context;
        let linear = eligible::features(request, user, scene.now);
        let mut plain = true;
        for offer in offers.iter_mut() {
            if context.goal(offer) != Goal::Cpm {
                plain = false;
                continue;
            }
            let factor = scene.snapshot.model.price_factor(&eligible::features_of(&linear, request, offer));
            offer.estimate = Estimate::Factor(factor);
            offer.value = price::price(offer.price, factor);
        }
        let Some(rollout) = scene.snapshot.scoring.as_deref().filter(|_| !plain) else { return };
        for target in Target::PAID {
            if let Some(served) = rollout.get(arm).and_then(|arm| arm.model(target)) {
                self.by(served, target, context, offers, metrics, probe);
            }
        }
    }

    /// Values the offers of campaigns that pay by `target`.
    fn by<P: Probe>(
        &mut self,
        served: &Served,
        target: Target,
        context: Context<'_>,
        offers: &mut Offers,
        metrics: &CoreMetrics,
        probe: &mut P,
    ) {
        let average = Chance::of(served.average.into());
        self.entries.clear();
        for (offer, at) in offers.iter().zip(0..) {
            if let Some(each) = target.each(context.goal(offer)) {
                let rank = average.worth(each).min(offer.price);
                let must = offer.sold_by(context.request).is_some_and(|deal| deal.guaranteed);
                self.entries.push(Entry { at, imp: offer.imp, rank, must });
            }
        }
        if self.entries.is_empty() {
            return;
        }
        let listed = self.entries.len();
        shorten(&mut self.entries, self.most);
        metrics.outranked.add((listed - self.entries.len()) as u64);
        let scored = self.has_time(self.entries.len(), context.scene, metrics);
        if scored {
            self.ranked.score(served, context, self.entries.iter().map(|entry| &offers[usize::from(entry.at)]));
            metrics.scored_rows.add(self.entries.len() as u64);
            probe.scored(self.entries.len());
        } else {
            metrics.averaged.add(1);
        }
        for (entry, &raw) in self.entries.iter().zip(&self.ranked.raw) {
            let offer = &mut offers[usize::from(entry.at)];
            let chance = if scored { Chance::of(served.probability(raw)) } else { average };
            offer.estimate = if scored { Estimate::Chance(chance) } else { Estimate::Average(chance) };
            offer.value = target.each(context.goal(offer)).map_or(offer.value, |each| chance.worth(each));
        }
    }

    /// Counts bids that were made, and what their arm and those in the shadow said of them. Before their impressions are counted, so
    /// that a shadow is told what its arm was.
    pub fn count<'o>(
        &mut self,
        context: Context<'_>,
        arm: ArmId,
        bids: impl ExactSizeIterator<Item = &'o Offer> + Clone,
        metrics: &CoreMetrics,
    ) {
        let of = |arm: ArmId| &metrics.arms[usize::from(arm.0)];
        of(arm).bids.add(bids.len() as u64);
        let Some(rollout) = context.scene.snapshot.scoring.as_deref() else { return };
        for (id, served) in asked(rollout, arm) {
            if id == arm {
                let by_it = bids.clone().filter(|offer| served.target.each(context.goal(offer)).is_some());
                for offer in by_it {
                    if let Estimate::Chance(chance) = offer.estimate {
                        of(id).scored(served, chance.probability());
                    }
                }
            } else if self.has_time(bids.len(), context.scene, metrics) {
                self.ranked.score(served, context, bids.clone());
                metrics.scored_rows.add(bids.len() as u64);
                for &raw in &self.ranked.raw[..bids.len()] {
                    of(id).scored(served, served.probability(raw));
                }
            }
        }
    }

    /// Whether there is time for so many rows.
    fn has_time(&mut self, rows: usize, scene: Scene<'_>, metrics: &CoreMetrics) -> bool {
        let sampled = [0, 1].map(|at: usize| metrics.sampled_scoring[at].get());
        if sampled != self.told {
            let [rows, ns] = [0, 1].map(|at: usize| sampled[at] - self.told[at]);
            self.governor.measured(rows as usize, ns);
            self.told = sampled;
        }
        let has_time = self.governor.admits(rows, scene.now.boot);
        metrics.score_row_ns.set(self.governor.row_ns());
        metrics.scoring_over.set(self.governor.is_over().into());
        has_time
    }
}

impl Ranked {
    /// Fills `raw` with what a model says of these offers, in their order.
    fn score<'o>(&mut self, served: &Served, context: Context<'_>, offers: impl Iterator<Item = &'o Offer>) {
        let Context { scene, request, user, seen } = context;
        let schema = &served.schema;
        let width = schema.width();
        let mut facts = Facts::new(scene, request, user, seen);
        let mut rows = 0;
        for offer in offers {
            match rows {
                0 => facts.shared(schema, &mut self.rows[..width]),
                _ => self.rows.copy_within(..width, rows * width),
            }
            facts.of_offer(schema, offer, &mut self.rows[rows * width..][..width]);
            rows += 1;
        }
        served.engine.scores(&self.rows[..rows * width], &served.varying, &mut self.room, &mut self.raw[..rows]);
    }
}
