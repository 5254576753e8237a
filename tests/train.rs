//! From logs to a served model: `scripts/train` on a log whose clicks follow a known function (tests/oracle/train/planted.py), with the
//! real LightGBM; what it makes is verified, and what is changed in it is refused. Python is that of scripts/requirements.txt, which
//! scripts/test installs.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use corebid::model::registry::{Served, Target, Version};
use corebid::snapshot::features::Schema;
use serde_json::Value;
use support::client::{Client, target};
use support::process::Bidder;
use support::{Folder, campaign, eventually};

const SCHEMA: &str = r#"
features = [
  { name = "hour" },
  { name = "floor" },
  { name = "exchange", as = "hash", buckets = 16 },
  { name = "campaign", as = "hash", buckets = 64 },
]
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn python() -> Command {
    let python = root().join("target/python/bin/python");
    assert!(python.exists(), "{} is missing: scripts/test makes it", python.display());
    let mut command = Command::new(python);
    command.stdin(Stdio::null());
    command
}

/// Plants a log of this schema; what its function reaches on the test rows.
#[track_caller]
fn plant(folder: &Folder, log: &str, schema: &str, more: &[&str]) -> Value {
    let fingerprint = format!("{:016x}", Schema::parse(schema).unwrap().fingerprint());
    let mut command = python();
    command.arg(root().join("tests/oracle/train/planted.py")).arg(folder.path(log));
    let planted = command.arg(folder.write("schema.toml", schema)).arg(fingerprint).args(more).output().unwrap();
    assert!(planted.status.success(), "{}", String::from_utf8_lossy(&planted.stderr));
    serde_json::from_slice(&planted.stdout).unwrap()
}

fn train(folder: &Folder, log: &str, name: &str, more: &[&str]) -> Output {
    let mut command = Command::new(root().join("scripts/train"));
    command.env("COREBID", env!("CARGO_BIN_EXE_corebid")).stdin(Stdio::null());
    command.arg(folder.path(log)).arg(folder.path("registry")).arg(name).args(more).output().unwrap()
}

/// Trains, and gives the version that it names.
#[track_caller]
fn trained(folder: &Folder, log: &str, name: &str, more: &[&str]) -> Version {
    let Output { status, stdout, stderr } = train(folder, log, name, more);
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap().trim_end().parse().unwrap()
}

#[track_caller]
fn not_trained(folder: &Folder, log: &str, more: &[&str], said: &str) {
    let Output { status, stdout, stderr } = train(folder, log, "none", more);
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout.as_slice(), stderr.lines().count()), (Some(1), &b""[..], 1), "{stderr}");
    assert!(stderr.contains(said), "{stderr}");
    assert!(!folder.path("registry/none").exists());
}

/// A model of the planted log, trained once for all tests, and what the log's own function reaches.
fn planted() -> &'static (Folder, Version, Value) {
    static PLANTED: OnceLock<(Folder, Version, Value)> = OnceLock::new();
    PLANTED.get_or_init(|| {
        let folder = Folder::new("train");
        let best = plant(&folder, "log", SCHEMA, &[]);
        let version = trained(&folder, "log", "ctr", &["--trees", "60", "--leaves", "15"]);
        (folder, version, best)
    })
}

fn of_version(folder: &Folder, version: &Version, file: &str) -> PathBuf {
    folder.path("registry").join(version.to_string()).join(file)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_planted_function_is_found_and_calibrated() {
    let (folder, version, best) = planted();
    let served = Served::load(&folder.path("registry"), version).unwrap();
    assert_eq!((served.target, &served.version, served.schema.width()), (Target::Click, version, 4));

    let report = json(&of_version(folder, version, "report.json"));
    let of = |name: &str| report[name].as_f64().unwrap();
    let reached = best["auc"].as_f64().unwrap();
    // 45,000 rows do not tell everything, and 11,000 of the test are good for 0.01.
    assert!((reached - 0.03..reached + 0.005).contains(&of("auc")), "AUC {} of {reached}", of("auc"));
    assert!(of("log_loss") < 0.95 * of("log_loss_of_base_rate"), "{report}");
    assert!(of("pr_auc") > 2.0 * of("rate"), "{report}");
    // A standard deviation of the rate of the test rows is 3 % of it.
    assert!((of("calibration_ratio") - 1.0).abs() < 0.1, "{report}");
    assert!(of("calibration_error") < 0.012, "{report}");
    let within = report["reliability"].as_array().unwrap().iter().filter(|row| {
        let of = |name: &str| row[name].as_f64().unwrap();
        (of("low")..of("high")).contains(&of("predicted"))
    });
    assert!(within.count() >= 11, "of 15 bins with intervals of 95 %: {report}");

    // The planted rate, by a model that did not see these rows.
    let average = f64::from(served.average);
    assert!((average / best["rate"].as_f64().unwrap() - 1.0).abs() < 0.1, "{average}");
    let page = fs::read_to_string(of_version(folder, version, "report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains(&version.to_string()));
}

#[test]
fn the_same_rows_and_seed_make_the_same_model() {
    let (folder, version, _) = planted();
    let again = trained(folder, "log", "again", &["--trees", "60", "--leaves", "15"]);
    for file in ["model.txt", "parity.csv", "schema.toml", "report.json"] {
        let of = |version| fs::read(of_version(folder, version, file)).unwrap();
        assert!(of(version) == of(&again), "{file}");
    }
}

/// A version of its own, changed by `change`.
#[track_caller]
fn refused(said: &str, change: impl FnOnce(&Folder, &Path)) {
    let (from, version, _) = planted();
    let folder = Folder::new("tampered");
    let place = folder.path("registry").join(version.to_string());
    fs::create_dir_all(&place).unwrap();
    for file in ["model.corebid", "schema.toml", "meta.json", "parity.csv"] {
        fs::copy(of_version(from, version, file), place.join(file)).unwrap();
    }
    Served::load(&folder.path("registry"), version).unwrap();
    change(&folder, &place);
    let error = Served::load(&folder.path("registry"), version).unwrap_err().to_string();
    assert!(error.contains(said) && error.lines().count() == 1, "{error}");
    assert!(error.starts_with(&place.display().to_string()), "{error}");
}

fn rewrite(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Changes a number of a row of the parity file.
fn nudge(place: &Path, row: usize, from_the_end: usize, by: f64) {
    let path = place.join("parity.csv");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut cells: Vec<String> = lines[row].split(',').map(str::to_owned).collect();
    let at = cells.len() - 1 - from_the_end;
    cells[at] = format!("{:?}", cells[at].parse::<f64>().unwrap() * (1.0 + by));
    lines[row] = cells.join(",");
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn a_changed_version_is_refused() {
    for file in ["model.corebid", "schema.toml", "meta.json", "parity.csv"] {
        refused(file, |_, place| fs::remove_file(place.join(file)).unwrap());
    }
    refused("model.corebid", |_, place| {
        let path = place.join("model.corebid");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    });
    refused("model.corebid", |_, place| {
        let path = place.join("model.corebid");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    });
    refused("parity.csv:256: the engine scores", |_, place| nudge(place, 255, 1, 1e-8));
    refused("parity.csv:1: the calibration makes", |_, place| nudge(place, 0, 0, 1e-5));
    refused("parity.csv: no rows", |_, place| fs::write(place.join("parity.csv"), "").unwrap());
    refused("parity.csv:2:", |_, place| rewrite(&place.join("parity.csv"), "\n", "\n1,"));
    refused("schema.toml: its fingerprint is", |_, place| rewrite(&place.join("schema.toml"), "64", "65"));
    refused("schema.toml:", |_, place| rewrite(&place.join("schema.toml"), "hour", "our"));
    refused("meta.json: scores:", |_, place| rewrite(&place.join("meta.json"), "\"shares\": [", "\"shares\": [0.5,"));
    refused("meta.json: average", |_, place| rewrite(&place.join("meta.json"), "\"average\": 0", "\"average\": 7"));
    refused("meta.json: unknown variant", |_, place| {
        rewrite(&place.join("meta.json"), "\"target\": \"click\"", "\"target\": \"luck\"");
    });
}

#[test]
fn a_whole_model_that_is_another_is_refused() {
    let (from, _, _) = planted();
    let other = trained(from, "log", "other", &["--trees", "60", "--leaves", "15", "--seed", "2", "--min-rows", "101"]);
    refused("parity.csv:", |_, place| {
        fs::copy(of_version(from, &other, "model.corebid"), place.join("model.corebid")).unwrap();
    });
    // Two columns have changed places: every row is read, and means something else.
    refused("model.corebid: its feature 1 is \"hour\", and that of the schema \"floor\"", |_, place| {
        let path = place.join("schema.toml");
        let text = fs::read_to_string(&path).unwrap();
        let swapped = text.replace("\"hour\"", "\"h\"").replace("\"floor\"", "\"hour\"").replace("\"h\"", "\"floor\"");
        let fingerprint = |text: &str| format!("{:016x}", Schema::parse(text).unwrap().fingerprint());
        rewrite(&place.join("meta.json"), &fingerprint(&text), &fingerprint(&swapped));
        fs::write(path, swapped).unwrap();
    });
}

#[test]
fn what_cannot_be_learnt_from_is_told() {
    let folder = Folder::new("untrained");
    fs::create_dir_all(folder.path("empty")).unwrap();
    not_trained(&folder, "empty", &[], "no rows-*.parquet");
    plant(&folder, "flat", SCHEMA, &["--flat", "--bids", "3000"]);
    not_trained(&folder, "flat", &[], "0 had a click");
    not_trained(&folder, "flat", &["--until", "2001-01-01"], "no rows within");
    not_trained(&folder, "flat", &["--wait", "1e6"], "no bid is older than 1e+06 minutes");
    let other = SCHEMA.replace("64", "32");
    plant(&folder, "other", &other, &["--bids", "3000"]);
    fs::copy(folder.path("other/rows-0000000000001.parquet"), folder.path("flat/rows-0000000000003.parquet")).unwrap();
    not_trained(&folder, "flat", &[], "rows of several schemas");
    fs::write(folder.path("other/rows-0000000000009.parquet"), "PAR1").unwrap();
    not_trained(&folder, "other", &[], "rows-0000000000009.parquet: cannot be read");
    fs::remove_file(folder.path("other/rows-0000000000009.parquet")).unwrap();
    fs::remove_file(folder.path("other/outcomes-0000000000001.parquet")).unwrap();
    not_trained(&folder, "other", &[], "none of them is known to have won");
    assert_eq!(train(&folder, "flat", "../escape", &[]).status.code(), Some(2));
}

/// One in five who have a phone does not click, and one in five who have none does.
fn clicks(number: u32) -> bool {
    number.is_multiple_of(2) != number.is_multiple_of(5)
}

fn asked(number: u32) -> Vec<u8> {
    let device = if number.is_multiple_of(2) { 4 } else { 2 };
    format!(
        "{{\"id\":\"r{number}\",\"imp\":[{{\"id\":\"1\",\"banner\":{{\"w\":300,\"h\":250}},\"bidfloor\":0.01}}],\
         \"site\":{{\"domain\":\"news.example\"}},\"device\":{{\"devicetype\":{device}}}}}"
    )
    .into_bytes()
}

#[test]
fn a_bidders_own_log_becomes_a_model_that_it_serves() {
    const BIDS: u32 = 600;
    let folder = Folder::new("learnt");
    let ping = "<a href='https://shop.example/' ping='${CLICK_NOTICE_URL}'>shop</a>";
    let config = folder.configure("debug_header = true", "", &campaign(1, "").replace("<b>1</b>", ping));
    let plain = fs::read_to_string(&config).unwrap();
    fs::create_dir(folder.path("log")).unwrap();
    folder.write("corebid.toml", format!("{plain}[training]\ndir = \"log\"\nsample = 1\n"));
    // A busy machine may come to one too late, and a core may have to wait for money.
    let bid = |client: &mut Client, number| {
        let answer = eventually("a bid", || Some(client.debug(&asked(number))).filter(|answer| answer.status == 200));
        answer.json()["seatbid"][0]["bid"][0].take()
    };

    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    for number in 0..BIDS {
        let bid = bid(&mut client, number);
        assert_eq!(client.get(&target(bid["burl"].as_str().unwrap(), "0.5")).status, 200);
        let markup = bid["adm"].as_str().unwrap();
        let click = markup.split_once("ping='").unwrap().1.split_once('\'').unwrap().0;
        if clicks(number) {
            assert_eq!(client.get(&click[click.find("/notice/").unwrap()..]).status, 200);
        }
    }
    bidder.stop();

    let version = trained(&folder, "log", "ctr", &["--wait", "0", "--trees", "20", "--min-rows", "10"]);
    let served = Served::load(&folder.path("registry"), &version).unwrap();
    assert!((0.4..0.6).contains(&served.average), "{}", served.average);
    let report = json(&of_version(&folder, &version, "report.json"));
    assert!(report["auc"].as_f64().unwrap() > 0.7 && report["features"][0]["feature"] == "device", "{report}");

    // In the shadow of the arm that serves, it says of the same bids what it was told to learn.
    folder.write("corebid.toml", format!("{plain}[score]\nrollout = \"rollout.toml\"\nregistry = \"registry\"\n"));
    let shadow = format!("[[arm]]\nname = \"new\"\nshadow = true\nclick = \"{version}\"\n");
    folder.write(
        "rollout.toml",
        format!("split = \"user\"\nsalt = \"\"\n[[arm]]\nname = \"old\"\nshare = 100\n{shadow}"),
    );
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    // Twice, for fewer than a thousand scores say nothing.
    (0..2 * BIDS).for_each(|number| drop(bid(&mut client, number)));
    let bids = bidder.metric("corebid_arm_bids_total", "old");
    assert!(bids >= u64::from(2 * BIDS), "{bids}");
    assert_eq!(bidder.metric("corebid_arm_scores_total", "arm=\"new\",target=\"click\""), bids);
    let text = String::from_utf8(bidder.admin("/metrics").body).unwrap();
    let psi = text.lines().find_map(|line| line.strip_prefix("corebid_arm_score_psi{arm=\"new\",target=\"click\"} "));
    assert!(psi.expect(&text).parse::<f64>().unwrap() < 0.05, "{psi:?}");
    bidder.stop();
}
