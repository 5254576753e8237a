//! Every input of the fuzz corpora passes what the fuzz targets check.

#![allow(
    clippy::duplicate_mod,
    reason = "each fuzz case names what it shares, as it is a program of its own elsewhere"
)]

use std::fs;
use std::path::Path;

#[path = "../fuzz/cases/ads_txt.rs"]
mod ads_txt;
#[path = "../fuzz/cases/agent.rs"]
mod agent;
#[path = "../fuzz/cases/answer.rs"]
mod answer;
#[path = "../fuzz/cases/calendar.rs"]
mod calendar;
#[path = "../fuzz/cases/campaign_file.rs"]
mod campaign_file;
#[path = "../fuzz/cases/capture.rs"]
mod capture;
#[path = "../fuzz/cases/config.rs"]
mod config;
#[path = "../fuzz/cases/consent.rs"]
mod consent;
#[path = "../fuzz/cases/crawl.rs"]
mod crawl;
#[path = "../fuzz/cases/edge_lists.rs"]
mod edge_lists;
#[path = "../fuzz/cases/geo.rs"]
mod geo;
#[path = "../fuzz/cases/gzip.rs"]
mod gzip;
#[path = "../fuzz/cases/http.rs"]
mod http;
#[path = "../fuzz/cases/json.rs"]
mod json;
#[path = "../fuzz/cases/keyfile.rs"]
mod keyfile;
#[cfg(feature = "stores")]
#[path = "../fuzz/cases/lease.rs"]
mod lease;
#[path = "../fuzz/cases/ledger.rs"]
mod ledger;
#[path = "../fuzz/cases/markup.rs"]
mod markup;
#[path = "../fuzz/cases/model.rs"]
mod model;
#[path = "../fuzz/cases/model_archive.rs"]
mod model_archive;
#[path = "../fuzz/cases/model_lightgbm.rs"]
mod model_lightgbm;
#[path = "../fuzz/cases/model_xgboost.rs"]
mod model_xgboost;
#[path = "../fuzz/cases/notice.rs"]
mod notice;
#[path = "../fuzz/cases/openrtb_request.rs"]
mod openrtb_request;
#[path = "../fuzz/cases/price.rs"]
mod price;
#[path = "../fuzz/cases/profile.rs"]
mod profile;
#[path = "../fuzz/cases/profile_lines.rs"]
mod profile_lines;
#[path = "../fuzz/cases/profiles_base.rs"]
mod profiles_base;
#[path = "../fuzz/cases/rates.rs"]
mod rates;
#[path = "../fuzz/cases/record.rs"]
mod record;
#[path = "../fuzz/cases/register.rs"]
mod register;
#[path = "../fuzz/cases/response.rs"]
mod response;
#[path = "../fuzz/cases/ring.rs"]
mod ring;
#[path = "../fuzz/cases/schema.rs"]
mod schema;
#[path = "../fuzz/cases/secrets.rs"]
mod secrets;
#[path = "../fuzz/cases/sellers_json.rs"]
mod sellers_json;
#[path = "../fuzz/cases/supply_table.rs"]
mod supply_table;
#[path = "../fuzz/cases/vendor_list.rs"]
mod vendor_list;
#[path = "../fuzz/cases/words.rs"]
mod words;

type Check = fn(&[u8]);

const TARGETS: &[(&str, Check)] = &[
    ("ads_txt", ads_txt::check),
    ("agent", agent::check),
    ("answer", answer::check),
    ("calendar", calendar::check),
    ("campaign_file", campaign_file::check),
    ("capture", capture::check),
    ("config", config::check),
    ("consent", consent::check),
    ("crawl", crawl::check),
    ("edge_lists", edge_lists::check),
    ("geo", geo::check),
    ("gzip", gzip::check),
    ("http", http::check),
    ("json", json::check),
    ("keyfile", keyfile::check),
    #[cfg(feature = "stores")]
    ("lease", lease::check),
    ("ledger", ledger::check),
    ("markup", markup::check),
    ("model", model::check),
    ("model_archive", model_archive::check),
    ("model_lightgbm", model_lightgbm::check),
    ("model_xgboost", model_xgboost::check),
    ("notice", notice::check),
    ("openrtb_request", openrtb_request::check),
    ("price", price::check),
    ("profile", profile::check),
    ("profile_lines", profile_lines::check),
    ("profiles_base", profiles_base::check),
    ("rates", rates::check),
    ("record", record::check),
    ("register", register::check),
    ("response", response::check),
    ("ring", ring::check),
    ("schema", schema::check),
    ("secrets", secrets::check),
    ("sellers_json", sellers_json::check),
    ("supply_table", supply_table::check),
    ("vendor_list", vendor_list::check),
    ("words", words::check),
];

#[test]
fn every_input_passes() {
    let mut failed = Vec::new();
    for (name, check) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let inputs: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "{} is empty", corpus.display());
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            if std::panic::catch_unwind(|| check(&bytes)).is_err() {
                failed.push(format!("{name} does not pass {}", input.display()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_target_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut targets: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned()).collect();
    targets.sort();
    targets.retain(|target| cfg!(feature = "stores") || target != "lease");
    assert!(targets.iter().eq(TARGETS.iter().map(|(name, _)| *name)), "{targets:?}");
}
