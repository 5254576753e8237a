//! What offers are worth: models of tests/data/registry by the walk of their forests, features by hand, money by arithmetic.

mod support;

use std::fs;

use corebid::bid::eligible::Scene;
use corebid::bid::offers::{Estimate, Offer};
use corebid::bid::probe::Probe;
use corebid::bid::{Ask, Outcome};
use corebid::config::Config;
use corebid::lab::bench::Bench;
use corebid::model::{Model, archive};
use corebid::secrets::Key;
use corebid::snapshot::data::Data;
use corebid::snapshot::features::Value;
use corebid::units::CampaignId;
use corebid::wire::openrtb::nobid::NoBidReason;
use corebid::wire::openrtb::request::BidRequest;
use support::registry::{self, rollout, source};
use support::{Folder, campaign, request};

/// What a decision said of its offers.
#[derive(Default)]
struct Seen {
    priced: Vec<(CampaignId, Offer)>,
    dropped: Vec<(u32, NoBidReason)>,
}

impl Probe for Seen {
    fn priced(&mut self, scene: Scene<'_>, _: &BidRequest<'_>, offer: &Offer) {
        self.priced.push((scene.snapshot.campaign(offer.campaign).id, *offer));
    }

    fn dropped(&mut self, offer: &Offer, reason: NoBidReason) {
        self.dropped.push((offer.campaign.0, reason));
    }
}

impl Seen {
    fn of(&self, campaign: u32) -> Offer {
        self.priced.iter().find(|(id, _)| *id == CampaignId(campaign)).expect("an offer").1
    }
}

const BOTH: &str = "share = 100\nclick = \"ctr/1\"\nconversion = \"cvr/1\"";

fn folder(name: &str, arms: &[(&str, &str)], campaigns: &[String]) -> Folder {
    let folder = Folder::new(name);
    registry::write(&folder);
    folder.write("campaigns.toml", campaigns.concat());
    folder.write("rollout.toml", rollout(arms));
    folder
}

fn bench(folder: &Folder, change: impl Fn(&mut Config)) -> Bench {
    let data = Data::load(source(folder), &Key([0; 32])).unwrap();
    let mut config = Config::demo(&folder.path(""));
    change(&mut config);
    Bench::new(&config, &data).unwrap()
}

fn decide(bench: &mut Bench, body: &[u8]) -> (Outcome, Seen) {
    let mut seen = Seen::default();
    let arrived = bench.now().boot;
    let outcome = bench.handle_with(Ask { exchange: b"generic", body, arrived }, &mut seen).0;
    (outcome, seen)
}

/// What a model says of a campaign's offer: its features by hand, its trees walked.
fn probability(folder: &Folder, version: &str, bench: &Bench, campaign: u32) -> f64 {
    let model: Model = archive::open(&folder.path(&format!("models/{version}/model.corebid"))).unwrap();
    let bucket = |value: Value, buckets: u64| ((u128::from(value.key().unwrap()) * u128::from(buckets)) >> 64) as f64;
    let hour = (bench.now().wall.0 / 3_600_000 % 24) as f64;
    let row =
        [hour, f64::from(0.01_f32), bucket(Value::text(b"generic"), 16), bucket(Value::whole(campaign.into()), 64)];
    let mut raw = [0.0];
    model.forest.walk(&row, &mut raw);
    model.probability(raw[0])
}

#[test]
fn an_impression_is_worth_its_goal_by_the_chance_of_it() {
    let campaigns = [
        campaign(1, ""),
        campaign(2, "cpc = 0.01"),
        campaign(3, "cpa = 0.02"),
        campaign(4, "cpc = 0.03"),
        campaign(5, "cpc = 9"),
    ];
    let folder = folder("scoring", &[("all", BOTH)], &campaigns);
    let mut bench = bench(&folder, |_| {});
    let (outcome, seen) = decide(&mut bench, &request("r", ",\"at\":2"));
    assert!(matches!(outcome, Outcome::Bid { .. }), "{outcome:?}");
    assert!(matches!(seen.of(1).estimate, Estimate::Factor(_)));
    for (id, version, each) in
        [(2, "ctr/1", 10_000.0), (3, "cvr/1", 20_000.0), (4, "ctr/1", 30_000.0), (5, "ctr/1", 9e6)]
    {
        let chance = probability(&folder, version, &bench, id);
        let offer = seen.of(id);
        let Estimate::Chance(said) = offer.estimate else { panic!("{offer:?}") };
        assert!((said.probability() - chance).abs() < 1e-9, "{id}: {said:?} against {chance}");
        let worth = chance * each * 1000.0;
        assert!((offer.value.0 as f64 - worth).abs() <= 2.0 + worth * 1e-6, "{id}: {offer:?} against {worth}");
        assert_eq!(offer.price.0, offer.value.0.min(2_000_000), "never above its CPM");
    }
    // Two campaigns are two buckets: else this test would not see a row that is another's.
    assert_ne!(seen.of(2).estimate, seen.of(4).estimate);
}

#[test]
fn arms_have_models_of_their_own() {
    let arms = [("one", "share = 50\nclick = \"ctr/1\""), ("other", "share = 50\nclick = \"ctr/2\"")];
    let folder = folder("scoring-arms", &arms, &[campaign(7, "cpc = 0.02")]);
    let mut bench = bench(&folder, |_| {});
    let expected = ["ctr/1", "ctr/2"].map(|version| probability(&folder, version, &bench, 7));
    assert!((expected[0] - expected[1]).abs() > 1e-6, "two models that say different things");
    let mut of_arm = [0, 0];
    for auction in 0..200 {
        let body = request(&format!("auction {auction}"), "");
        let Estimate::Chance(first) = decide(&mut bench, &body).1.of(7).estimate else { panic!("not scored") };
        let Estimate::Chance(again) = decide(&mut bench, &body).1.of(7).estimate else { panic!("not scored") };
        assert_eq!(first, again, "an auction stays in its arm");
        let arm = expected.iter().position(|chance| (first.probability() - chance).abs() < 1e-9);
        of_arm[arm.expect("of one of the two")] += 1;
    }
    assert!(of_arm.iter().all(|count| (60..=140).contains(count)), "{of_arm:?}");
}

#[test]
fn the_shortlist_bounds_what_is_looked_at() {
    let campaigns: Vec<_> = (1..=20).map(|id| campaign(id, &format!("cpc = 0.0{:02}", 40 - id))).collect();
    let folder = folder("scoring-shortlist", &[("all", BOTH)], &campaigns);
    let mut bench = bench(&folder, |config| config.score.candidates = 6);
    let (_, seen) = decide(&mut bench, &request("r", ""));
    let ids: Vec<_> = seen.priced.iter().map(|(id, _)| id.0).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 6], "those who pay most for a click");
    let out = seen.dropped.iter().filter(|(_, reason)| *reason == NoBidReason::Outranked).count();
    assert_eq!(out, 14);
}

#[test]
fn without_time_every_impression_is_an_average_one() {
    let folder = folder("scoring-average", &[("all", BOTH)], &[campaign(1, "cpc = 0.02"), campaign(2, "cpa = 0.05")]);
    let mut bench = bench(&folder, |config| config.score.time_share = 0);
    let (outcome, seen) = decide(&mut bench, &request("r", ""));
    assert!(matches!(outcome, Outcome::Bid { .. }), "{outcome:?}");
    for (id, version, each) in [(1, "ctr/1", 20_000.0), (2, "cvr/1", 50_000.0)] {
        let meta = fs::read_to_string(folder.path(&format!("models/{version}/meta.json"))).unwrap();
        let average = serde_json::from_str::<serde_json::Value>(&meta).unwrap()["average"].as_f64().unwrap();
        let offer = seen.of(id);
        let Estimate::Average(said) = offer.estimate else { panic!("{offer:?}") };
        // The average is served as f32.
        assert!(
            (said.probability() - average).abs() < 1e-7
                && (offer.value.0 as f64 - average * each * 1000.0).abs() < 100.0
        );
    }
}

#[test]
fn a_goal_that_nothing_predicts_is_refused() {
    let read = |arms: &[(&str, &str)], campaigns: &[String]| {
        let folder = folder("scoring-goal", arms, campaigns);
        Data::load(source(&folder), &Key([0; 32])).map(drop).map_err(|error| error.what)
    };
    let clicks = &[("clicks", "share = 100\nclick = \"ctr/1\"")];
    assert_eq!(read(clicks, &[campaign(1, "cpc = 1")]), Ok(()));
    let missing = "campaign 2 pays by conversion, and arm \"clicks\" of the rollout has no conversion model";
    assert_eq!(read(clicks, &[campaign(1, "cpc = 1"), campaign(2, "cpa = 1")]), Err(missing.to_owned()));
    assert_eq!(read(clicks, &[campaign(2, "cpa = 1\nenabled = false")]), Ok(()));
    let folder = Folder::new("scoring-no-rollout");
    folder.write("campaigns.toml", campaign(3, "cpc = 1"));
    let corebid::snapshot::data::Source::Files {
        campaigns, profiles, model, rates, geo, edge, privacy, supply, ..
    } = source(&folder)
    else {
        unreachable!()
    };
    let scoring = Default::default();
    let without = corebid::snapshot::data::Source::Files {
        campaigns,
        profiles,
        model,
        scoring,
        rates,
        geo,
        edge,
        privacy,
        supply,
    };
    let error = Data::load(without, &Key([0; 32])).unwrap_err();
    assert_eq!(error.what, "campaign 3 pays by click, and nothing predicts one: set score.rollout");
}

/// The model that is built into the demo is what it was when it was verified, and its campaigns can be valued by it.
#[test]
fn the_demo_scores() {
    let data = Data::load(corebid::snapshot::data::Source::Scored, &Key([0; 32])).unwrap();
    let mut bench = Bench::new(&Config::demo(std::path::Path::new("")), &data).unwrap();
    let mut scored = 0;
    for body in corebid::market::corpus::plain(9, 200) {
        let (_, seen) = decide(&mut bench, &body);
        scored += seen.priced.iter().filter(|(_, offer)| matches!(offer.estimate, Estimate::Chance(_))).count();
    }
    assert!(scored > 100, "{scored} offers scored");
}
