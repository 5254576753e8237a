//! The corpus, not the campaigns, makes the mix of the demo: about 3 % bids, and no-bids from every depth.

use std::collections::BTreeMap;

use corebid::bid::{Ask, Outcome};
use corebid::config::Config;
use corebid::lab::bench::Bench;
use corebid::market::corpus::{self, Length, Mix};
use corebid::metrics::stage::Stage;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::wire::openrtb::nobid::NoBidReason;

fn mix_of(source: Source) {
    let config = Config::demo(std::path::Path::new(""));
    let data = Data::load(source.clone(), &Key([1; 32])).unwrap();
    let mut bench = Bench::new(&config, &data).unwrap();
    let (mut bids, mut reasons) = (0.0, BTreeMap::<NoBidReason, f64>::new());
    let mut table = BTreeMap::<String, u32>::new();
    for (class, body) in corpus::generate(1, 4096, &Mix::default(), Length::USUAL) {
        let outcome = bench.handle(Ask { exchange: b"generic", body: &body, arrived: bench.now().boot });
        let said = match outcome {
            Outcome::Bid { .. } => {
                bids += 1.0;
                "bid"
            }
            Outcome::NoBid(reason) => {
                *reasons.entry(reason).or_default() += 1.0;
                reason.label()
            }
            Outcome::Broken | Outcome::Parked(_) => panic!("the corpus is JSON"),
        };
        *table.entry(format!("{class:?} -> {said}")).or_default() += 1;
    }
    let no_bids = 4096.0 - bids;
    let reached = |stage| {
        reasons.iter().filter(|(reason, _)| reason.stage() >= stage).map(|(_, count)| count).sum::<f64>() / no_bids
    };
    let share = bids / 4096.0;
    let (scanned, matched, scored) = (reached(Stage::Scan), reached(Stage::Match), reached(Stage::Score));
    let seen = format!(
        "{source:?}: {share:.3} bids; {scanned:.2} scanned, {matched:.2} matched, {scored:.2} scored; {table:#?}"
    );
    eprintln!("{seen}");
    assert!((0.02..=0.04).contains(&share) && scanned >= 0.8 && matched >= 0.5 && scored >= 0.1, "{seen}");
}

#[test]
fn with_the_built_in_campaigns() {
    mix_of(Source::BuiltIn);
}

#[test]
fn with_a_thousand_synthetic_ones() {
    mix_of(Source::Synthetic(1000));
}
