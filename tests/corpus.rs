//! Every input of the fuzz corpora passes what the fuzz targets check.

use std::fs;
use std::path::Path;

#[path = "../fuzz/cases/ads_txt.rs"]
mod ads_txt;
#[path = "../fuzz/cases/campaign_file.rs"]
mod campaign_file;
#[path = "../fuzz/cases/consent.rs"]
mod consent;
#[path = "../fuzz/cases/gzip.rs"]
mod gzip;
#[path = "../fuzz/cases/http.rs"]
mod http;
#[path = "../fuzz/cases/json.rs"]
mod json;
#[path = "../fuzz/cases/ledger.rs"]
mod ledger;
#[path = "../fuzz/cases/notice.rs"]
mod notice;
#[path = "../fuzz/cases/openrtb_request.rs"]
mod openrtb_request;
#[path = "../fuzz/cases/profile.rs"]
mod profile;
#[path = "../fuzz/cases/sellers_json.rs"]
mod sellers_json;

type Check = fn(&[u8]);

const TARGETS: &[(&str, Check)] = &[
    ("ads_txt", ads_txt::check),
    ("campaign_file", campaign_file::check),
    ("consent", consent::check),
    ("gzip", gzip::check),
    ("http", http::check),
    ("json", json::check),
    ("ledger", ledger::check),
    ("notice", notice::check),
    ("openrtb_request", openrtb_request::check),
    ("profile", profile::check),
    ("sellers_json", sellers_json::check),
];

#[test]
fn every_input_passes() {
    for (name, check) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let inputs: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "{} is empty", corpus.display());
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            if std::panic::catch_unwind(|| check(&bytes)).is_err() {
                panic!("{name} does not pass {}", input.display());
            }
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut targets: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned()).collect();
    targets.sort();
    assert!(targets.iter().eq(TARGETS.iter().map(|(name, _)| *name)), "{targets:?}");
}
