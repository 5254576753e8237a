//! Immutable data, built off the bid path, checked once, handed to each core as an owned box and swapped between two requests.
//! What is large in it is shared by the boxes of all cores: nobody writes to it, and a bid core neither makes nor drops a
//! reference.

use std::sync::Arc;

use crate::units::UnixMillis;

pub mod document;

pub mod campaign;
pub mod demo;
pub mod model;
pub mod scoring;
pub mod features;
pub mod profiles;
pub mod rates;
pub mod country;
pub mod geo;
pub mod calendar;
pub mod targeting;
pub mod marks;
pub mod edge;
pub mod vendor;
pub mod supply;
pub mod data;

/// All that a bid core decides with and never changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts up with every published snapshot.
    pub version: u64,
    /// The campaigns, by [`crate::units::CampaignIx`].
    pub campaigns: Arc<[campaign::Campaign]>,
    /// Which of them want a request.
    pub targeting: Arc<targeting::Index>,
    /// What a user is worth to them.
    pub model: model::Linear,
    /// The trained models that say so better, if there is a rollout of any.
    pub scoring: Option<Arc<scoring::Rollout>>,
    /// Where a core scores with it; the core takes it.
    pub room: scoring::Room,
    /// What currencies are worth.
    pub rates: rates::Rates,
    /// Where addresses are, if there is a file of it.
    pub geo: Option<Arc<geo::Geo>>,
    /// The time zones of the campaigns, by the index's codes.
    pub calendar: Arc<calendar::Calendar>,
    /// Whom they are not asked about.
    pub edge: Arc<edge::Edge>,
    /// How consent is read.
    pub privacy: vendor::Privacy,
    /// Who may sell what, if there is a table of it.
    pub supply: Option<Arc<supply::Supply>>,
    /// Whether some campaign asks for it, whatever the exchanges do.
    pub campaigns_ask_supply: bool,
}

/// What a snapshot holds besides campaigns and model.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The trained models.
    pub scoring: Option<Arc<scoring::Rollout>>,
    /// What currencies are worth.
    pub rates: rates::Rates,
    /// Where addresses are.
    pub geo: Option<Arc<geo::Geo>>,
    /// Whom the campaigns are not asked about.
    pub edge: Arc<edge::Edge>,
    /// How consent is read.
    pub privacy: vendor::Privacy,
    /// Who may sell what, if there is a table of it.
    pub supply: Option<Arc<supply::Supply>>,
    /// When it is made.
    pub now: UnixMillis,
}

impl World {
    /// One without files, at this time: that of the demo.
    fn at(now: UnixMillis) -> World {
        let privacy = vendor::Privacy { vendor: Some(vendor::Vendor::DEMO), ..Default::default() };
        World { now, privacy, ..World::default() }
    }
}

impl Snapshot {
    /// A campaign of this snapshot.
    #[inline]
    pub fn campaign(&self, index: crate::units::CampaignIx) -> &campaign::Campaign {
        &self.campaigns[index.0 as usize]
    }

    /// Where an address, as a request writes it, is.
    #[inline]
    pub fn place(&self, ip: &[u8]) -> Option<geo::Place<'_>> {
        self.geo.as_deref()?.find(ip)
    }

    /// The name of an arm; empty without a rollout.
    #[inline]
    pub fn arm(&self, id: crate::units::ArmId) -> &str {
        self.scoring.as_deref().and_then(|rollout| rollout.get(id)).map_or("", |arm| &arm.name)
    }

    /// A snapshot of these campaigns: builds the index.
    pub fn new(version: u64, mut campaigns: Vec<campaign::Campaign>, model: model::Linear, world: World) -> Snapshot {
        campaign::count_by_advertiser(&mut campaigns);
        let targeting = Arc::new(targeting::Index::build(&campaigns));
        Snapshot::of(version, (campaigns.into(), targeting), model, world)
    }

    /// The snapshot after this one, with the same campaigns.
    pub fn with(&self, model: model::Linear, world: World) -> Snapshot {
        Snapshot::of(self.version + 1, (self.campaigns.clone(), self.targeting.clone()), model, world)
    }

    /// The snapshot after this one, with other models and all else as it is.
    pub fn scored_by(&self, scoring: Option<Arc<scoring::Rollout>>) -> Snapshot {
        // Of its own: see `is_shared`.
        let calendar = Arc::new((*self.calendar).clone());
        Snapshot { version: self.version + 1, scoring, calendar, ..self.clone() }
    }

    fn of(
        version: u64,
        (campaigns, targeting): (Arc<[campaign::Campaign]>, Arc<targeting::Index>),
        model: model::Linear,
        World { scoring, rates, geo, edge, privacy, supply, now }: World,
    ) -> Snapshot {
        let calendar = calendar::Calendar::of(now, targeting.zones());
        let calendar = Arc::new(calendar.expect("the zones of campaigns are checked as they are read"));
        let campaigns_ask_supply = campaigns.iter().any(campaign::Campaign::asks_supply);
        Snapshot {
            version,
            campaigns,
            targeting,
            model,
            scoring,
            room: scoring::Room::default(),
            rates,
            geo,
            calendar,
            edge,
            privacy,
            supply,
            campaigns_ask_supply,
        }
    }

    /// Whether some core has a copy of this snapshot, so that dropping this one frees little. Every snapshot has a calendar
    /// of its own, while campaigns, places and lists may be those of the next one too.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.calendar) > 1
    }
}
