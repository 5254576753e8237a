//! Which models a request is scored with: the arms of a rollout, each with its models and its share of the users.
//!
//! ```text
//! salt, user ──SipHash──► one of 10,000 buckets ──shares, in the order of the file──► arm
//! ```
//!
//! An arm has a row of buckets, as many as its share says, and the next arm has those behind it. So a user stays with an arm as long
//! as the salt and the shares stay; where a share is moved from an arm to its neighbour, only that many users change over.

mod file;
pub mod keeper;
mod places;

use std::path::PathBuf;
use std::sync::Arc;

use super::campaign::Campaign;
use super::profiles::siphash;
use crate::config::Config;
use crate::limits;
use crate::units::{ArmId, UserKey};

use crate::model::engine;
pub use crate::model::registry::Served;
use crate::model::registry::Target;

/// Buckets of a split: shares are given to a hundredth of a percent.
pub const BUCKETS: u16 = 10_000;

/// The arms that serve.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// What is kept together in one arm.
    pub split: Split,
    /// By [`ArmId`]. Arms that have left the rollout are among them, without share and models, for their bids may still be won.
    pub arms: Vec<Arm>,
    /// The first bucket behind each arm's, in the order of the file.
    ends: Vec<(u16, ArmId)>,
    /// Made from the salt.
    key: [u64; 2],
}

/// What is kept together in one arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// A user, on every device and site that knows the user by one id. Requests without a user are split by auction.
    User,
    /// An auction, with all its copies.
    Auction,
}

impl Split {
    /// Its word in the file.
    pub fn label(self) -> &'static str {
        match self {
            Split::User => "user",
            Split::Auction => "auction",
        }
    }
}

/// An arm.
#[derive(Clone, Debug, Default)]
pub struct Arm {
    /// As metrics and the training log know it.
    pub name: Box<str>,
    /// How many of the [`BUCKETS`] it has.
    pub share: u16,
    /// It scores what other arms bid on, and prices nothing.
    pub shadow: bool,
    /// What predicts clicks; without it nothing does.
    pub click: Option<Arc<Served>>,
    /// What predicts conversions.
    pub conversion: Option<Arc<Served>>,
}

impl Arm {
    /// What predicts `target`, if anything does.
    #[inline]
    pub fn model(&self, target: Target) -> Option<&Served> {
        match target {
            Target::Click => self.click.as_deref(),
            Target::Conversion => self.conversion.as_deref(),
            Target::Win => None,
        }
    }

    /// Its models.
    pub fn served(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.click.iter().chain(&self.conversion)
    }
}

impl Rollout {
    pub(crate) fn new(split: Split, salt: &str, arms: Vec<Arm>, order: &[ArmId]) -> Rollout {
        let digest = blake3::hash(salt.as_bytes());
        let (words, _) = digest.as_bytes().as_chunks::<8>();
        let mut end = 0;
        let behind = |&id: &ArmId| {
            end += arms[usize::from(id.0)].share;
            (end, id)
        };
        let ends: Vec<(u16, ArmId)> = order.iter().map(behind).collect();
        assert!(arms.len() <= limits::ARMS && end == BUCKETS, "the file was checked");
        Rollout { split, arms, ends, key: [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])] }
    }

    /// One arm for all, with this click model.
    pub fn single(name: &str, click: Arc<Served>) -> Rollout {
        let arm = Arm { name: name.into(), share: BUCKETS, click: Some(click), ..Arm::default() };
        Rollout::new(Split::User, "", vec![arm], &[ArmId(0)])
    }

    /// What is missing so that every campaign can be valued in every arm, if anything is; without a rollout, `None` is asked.
    pub fn lacks(rollout: Option<&Rollout>, campaigns: &[Campaign]) -> Option<String> {
        campaigns.iter().filter(|campaign| campaign.enabled).find_map(|campaign| {
            let (target, _) = Target::of(campaign.goal)?;
            let (id, what) = (campaign.id.0, target.label());
            let Some(rollout) = rollout else {
                return Some(format!("campaign {id} pays by {what}, and nothing predicts one: set score.rollout"));
            };
            let mut serving = rollout.arms.iter().filter(|arm| arm.share > 0);
            let arm = serving.find(|arm| arm.model(target).is_none())?;
            Some(format!("campaign {id} pays by {what}, and arm {:?} of the rollout has no {what} model", arm.name))
        })
    }

    /// The arm of a request: that of its user, or of its auction where it has none or the split is by auction. Never a shadow.
    #[inline]
    pub fn arm(&self, user: UserKey, auction: &[u8]) -> ArmId {
        let [k0, k1] = self.key;
        let hash = match self.split {
            Split::User if user != UserKey::NOBODY => siphash(k0, k1, &user.0.to_le_bytes()),
            // Keyed the other way round, so that no auction's name is a user's.
            _ => siphash(k1, k0, auction),
        };
        let bucket = ((u128::from(hash) * u128::from(BUCKETS)) >> 64) as u16;
        self.ends.iter().find(|(end, _)| bucket < *end).map_or(ArmId(0), |&(_, id)| id)
    }

    /// An arm, if there is such a place.
    #[inline]
    pub fn get(&self, id: ArmId) -> Option<&Arm> {
        self.arms.get(usize::from(id.0))
    }

    /// All its models, one by several arms as often.
    pub fn served(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.arms.iter().flat_map(Arm::served)
    }
}

/// Where one core scores, with room for every model of a rollout. Made beside the core, for it allocates.
#[derive(Debug, Default)]
pub struct Room(pub engine::Room);

impl Room {
    /// For the models of this rollout.
    pub fn of(rollout: Option<&Rollout>) -> Room {
        let mut room = engine::Room::default();
        rollout.into_iter().flat_map(Rollout::served).for_each(|served| room.fit(&served.engine));
        Room(room)
    }
}

/// Another core's room has nothing of this one's.
impl Clone for Room {
    fn clone(&self) -> Room {
        Room::default()
    }
}

/// Where the rollout comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The rollout file; without one, requests are scored by the weights of `data.model`.
    pub rollout: Option<PathBuf>,
    /// The folder of models.
    pub registry: PathBuf,
    /// Where it is written down what serves, what served before, and what was rolled back.
    pub memory: PathBuf,
}

/// The name of [`Origin::memory`] in `data.dir`.
const MEMORY: &str = "rollout.json";

impl Origin {
    /// Of a configuration.
    pub fn of(config: &Config) -> Origin {
        let score = &config.score;
        Origin {
            rollout: score.rollout.clone(),
            registry: score.registry.clone().unwrap_or_default(),
            memory: config.data.dir.join(MEMORY),
        }
    }
}

#[cfg(test)]
mod tests;
