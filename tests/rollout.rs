//! Rollouts: what serves, whom, and how to go back. Models are those of tests/data/registry, which scripts/train made of planted logs
//! (tests/oracle/train/planted.py) with the real LightGBM.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

mod support;

use std::fs;
use std::sync::Arc;

use corebid::secrets::Key;
use corebid::snapshot::data::Data;
use corebid::snapshot::scoring::keeper::NotRolledBack;
use corebid::units::ArmId;
use serde_json::Value;
use support::client::{Client, target};
use support::process::{Bidder, run};
use support::registry::{self, rollout, source};
use support::{Folder, campaign, eventually, request};

const CONTROL: (&str, &str) = ("control", "share = 90\nclick = \"ctr/1\"\nconversion = \"cvr/1\"");
const CHALLENGER: (&str, &str) = ("challenger", "share = 10\nclick = \"ctr/2\"");

fn load(folder: &Folder) -> Result<Data, String> {
    Data::load(source(folder), &Key([0; 32])).map_err(|error| error.to_string())
}

fn prepared(name: &str, arms: &[(&str, &str)]) -> Folder {
    let folder = Folder::new(name);
    registry::write(&folder);
    folder.write("campaigns.toml", campaign(1, ""));
    folder.write("rollout.toml", rollout(arms));
    folder
}

/// Each arm that has a name, as `name share click conversion`.
fn arms(data: &Data) -> Vec<String> {
    let rollout = data.standing().rollout.unwrap();
    let version = |served: &Option<Arc<corebid::snapshot::scoring::Served>>| {
        served.as_ref().map_or("-".to_owned(), |served| served.version.to_string())
    };
    let arm = |arm: &corebid::snapshot::scoring::Arm| {
        format!("{} {} {} {}", arm.name, arm.share, version(&arm.click), version(&arm.conversion))
    };
    rollout.arms.iter().map(arm).collect()
}

#[test]
fn a_rollout_serves_its_models() {
    let folder = prepared("rollout", &[CONTROL, CHALLENGER, ("candidate", "shadow = true\nclick = \"ctr/2\"")]);
    let data = load(&folder).unwrap();
    let expected = ["control 9000 ctr/1 cvr/1", "challenger 1000 ctr/2 -", "candidate 0 ctr/2 -"];
    assert_eq!(arms(&data), expected);
    let rollout = data.standing().rollout.unwrap();
    let [challenger, candidate] = [1, 2].map(|place| rollout.get(ArmId(place)).unwrap().click.as_ref().unwrap());
    assert!(Arc::ptr_eq(challenger, candidate), "a version is read once");
    // The planted rates: one in eleven clicks, one in twenty-five converts.
    let of = |served: &Option<Arc<corebid::snapshot::scoring::Served>>| served.as_ref().unwrap().average;
    let control = rollout.get(ArmId(0)).unwrap();
    assert!((0.08..0.11).contains(&of(&control.click)) && (0.02..0.06).contains(&of(&control.conversion)));
    assert!(!folder.path("rollout.json").exists(), "who only reads files writes none");
}

#[test]
fn a_mistake_leaves_what_serves() {
    let folder = prepared("rollout-mistake", &[CONTROL, CHALLENGER]);
    let mut data = load(&folder).unwrap();
    let (before, mut snapshot) = (arms(&data), data.snapshot().version);
    let model = folder.path("models/ctr/2/model.corebid");
    let whole = fs::read(&model).unwrap();
    fs::create_dir_all(folder.path("models/ctr/3")).unwrap();
    for file in ["model.corebid", "schema.toml", "meta.json", "parity.csv"] {
        fs::copy(folder.path("models/ctr/2").join(file), folder.path("models/ctr/3").join(file)).unwrap();
    }
    // Damaged, and another's.
    fs::write(folder.path("models/ctr/3/model.corebid"), &whole[..whole.len() - 9]).unwrap();
    let third = ("challenger", "share = 10\nclick = \"ctr/3\"");
    for (text, said) in [
        (rollout(&[CONTROL]), "rollout.toml:1: the shares of the arms are 90 together, not 100"),
        (rollout(&[CONTROL, ("b", "share = 10\nclick = \"ctr/9\"")]), "rollout.toml:11: model ctr/9 is refused: "),
        (rollout(&[CONTROL, ("b", "share = 10\nclick = \"cvr/1\"")]), "model cvr/1 predicts a conversion, not a click"),
        (rollout(&[CONTROL, ("b", "share = 10\nconversion = \"ctr/2\"")]), "model ctr/2 predicts a click, not a conv"),
        (rollout(&[CONTROL, third]), "models/ctr/3/model.corebid: the import is damaged or cut"),
        ("arm = 1".to_owned(), "rollout.toml:1: `split` is missing"),
    ] {
        folder.write("rollout.toml", text);
        let reloaded = data.reload();
        let [kept] = &reloaded.kept[..] else { panic!("{:?}", reloaded.kept) };
        let line = kept.to_string();
        assert!(line.contains(said) && line.ends_with("; the old models keep serving"), "{line}");
        assert_eq!(arms(&data), before);
        assert!(data.snapshot().scoring.is_some() && data.snapshot().version == snapshot + 1);
        snapshot += 1;
        assert!(load(&folder).unwrap_err().contains(said), "and it stops a start");
    }
    fs::copy(folder.path("models/ctr/1/model.corebid"), folder.path("models/ctr/3/model.corebid")).unwrap();
    folder.write("rollout.toml", rollout(&[CONTROL, third]));
    let kept = data.reload().kept;
    assert!(kept[0].to_string().contains("models/ctr/3/parity.csv:1: the engine scores"), "{kept:?}");
    fs::write(folder.path("models/ctr/3/model.corebid"), &whole).unwrap();
    assert_eq!(data.reload().kept, [], "made good, it is taken up");
    assert_eq!(arms(&data), ["control 9000 ctr/1 cvr/1", "challenger 1000 ctr/3 -"]);

    // What serves is not read again.
    fs::remove_dir_all(folder.path("models")).unwrap();
    folder.write("rollout.toml", rollout(&[("control", "share = 100\nclick = \"ctr/1\"")]));
    assert_eq!(data.reload().kept, []);
}

#[test]
fn going_back_is_at_once_and_lasts() {
    let folder = prepared("rollback", &[CONTROL, CHALLENGER]);
    let mut data = load(&folder).unwrap();
    data.remember().unwrap();
    assert_eq!(data.roll_back().unwrap_err(), NotRolledBack::NoneBefore);
    let (first, bad) =
        (arms(&data), rollout(&[("control", "share = 50"), ("challenger", "share = 50\nclick = \"ctr/2\"")]));
    folder.write("rollout.toml", &bad);
    assert_eq!(data.reload().kept, []);
    data.remember().unwrap();
    let second = arms(&data);
    assert_eq!(second, ["control 5000 - -", "challenger 5000 ctr/2 -"]);

    // No file is there to be read.
    fs::rename(folder.path("models"), folder.path("away")).unwrap();
    let before = data.snapshot();
    assert!(data.roll_back().unwrap().is_some());
    let after = data.snapshot();
    assert_eq!(arms(&data), first);
    assert!(data.standing().rolled_back && !data.standing().has_before);
    assert!(Arc::ptr_eq(&before.campaigns, &after.campaigns) && Arc::ptr_eq(&before.targeting, &after.targeting));
    assert!(after.version > before.version && after.scoring.is_some());
    assert!(data.roll_back().unwrap().is_none(), "done twice, it is done once");
    assert_eq!(data.reload().kept, []);
    assert_eq!(arms(&data), first, "the file is passed over");
    data.remember().unwrap();
    drop((before, after, data));

    fs::rename(folder.path("away"), folder.path("models")).unwrap();
    let mut data = load(&folder).unwrap();
    assert_eq!(arms(&data), first, "after a restart too");
    assert!(data.standing().rolled_back);

    folder.write("rollout.toml", format!("# Let us try again.\n{bad}"));
    assert_eq!(data.reload().kept, []);
    assert_eq!(arms(&data), second);
    assert!(!data.standing().rolled_back && data.standing().has_before);
    data.remember().unwrap();

    // A restart remembers what was before, and goes back to it.
    let mut data = load(&folder).unwrap();
    assert!(data.roll_back().unwrap().is_some());
    assert_eq!(arms(&data), first);

    // Put right where it comes from, the file is no longer passed over.
    folder.write("rollout.toml", rollout(&[CONTROL, CHALLENGER]));
    assert_eq!(data.reload().kept, []);
    assert!(!data.standing().rolled_back && arms(&data) == first);

    fs::write(folder.path("rollout.json"), "{}").unwrap();
    assert!(load(&folder).unwrap_err().contains("rollout.json: is not what this program wrote"));
}

#[test]
fn an_arm_keeps_its_place_over_files_and_restarts() {
    let folder = prepared("places", &[CONTROL, CHALLENGER]);
    let mut data = load(&folder).unwrap();
    let all = |name| (name, "share = 100");
    folder.write("rollout.toml", rollout(&[all("new")]));
    assert_eq!(data.reload().kept, []);
    let left = ["control 0 - -", "challenger 0 - -", "new 10000 - -"];
    assert_eq!(arms(&data), left);
    data.remember().unwrap();

    folder.write("rollout.toml", rollout(&[CHALLENGER, ("newer", "share = 90")]));
    let data = load(&folder).unwrap();
    assert_eq!(arms(&data), ["control 0 - -", "challenger 1000 ctr/2 -", "new 0 - -", "newer 9000 - -"]);
    let rollout = data.standing().rollout.unwrap();
    let user = corebid::units::UserKey(1);
    assert!([ArmId(1), ArmId(3)].contains(&rollout.arm(user, b"")));
}

/// An answer of `corebid model …` over this port.
fn model(bidder: &Bidder, what: &str) -> (Option<i32>, Value, String) {
    let admin = format!("http://{}", bidder.admin);
    let (code, stdout, stderr) = run(&["model", what, "--admin", &admin, "--json"]);
    (code, serde_json::from_str(&stdout).unwrap_or_default(), stderr)
}

fn shares(view: &Value) -> Vec<(String, u64)> {
    let arm = |arm: &Value| (arm["name"].as_str().unwrap().to_owned(), arm["share"].as_u64().unwrap());
    view["arms"].as_array().map_or(Vec::new(), |arms| arms.iter().map(arm).collect())
}

#[test]
fn a_running_bidder_splits_counts_and_goes_back() {
    let folder = Folder::new("rolled");
    registry::write(&folder);
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let text = fs::read_to_string(&config).unwrap();
    folder.write("corebid.toml", format!("{text}[score]\nrollout = \"rollout.toml\"\nregistry = \"models\"\n"));
    let even = rollout(&[("control", "share = 50\nclick = \"ctr/1\""), ("challenger", "share = 50")]);
    folder.write("rollout.toml", &even);
    let bidder = Bidder::start(&["--config", &config]);
    let (code, view, _) = model(&bidder, "arms");
    let even_shares = [("control".to_owned(), 5_000), ("challenger".to_owned(), 5_000)];
    assert_eq!((code, shares(&view)), (Some(0), even_shares.to_vec()));
    assert_eq!(view["arms"][0]["click"], "ctr/1");
    let (code, _, stderr) = model(&bidder, "rollback");
    assert!(code == Some(1) && stderr.contains("no other rollout served before"), "{stderr}");

    // Every bid is of an arm; what becomes of it is the arm's, once.
    let mut client = bidder.client();
    const BIDS: u64 = 60;
    let mut first = None;
    for number in 0..BIDS {
        let answer = eventually("a bid", || {
            let user = format!(",\"user\":{{\"id\":\"u{number}\"}}");
            let answer = client.debug(&request(&format!("r{number}"), &user));
            (answer.status == 200).then_some(answer)
        });
        first.get_or_insert(answer.json()["seatbid"][0]["bid"][0].take());
    }
    let bids = |arm| bidder.metric("corebid_arm_bids_total", arm);
    assert!(bids("") >= BIDS && bids("control") >= 10 && bids("challenger") >= 10, "{}", bids("control"));
    let first = first.unwrap();
    let mut call = |url: &str| {
        let target = target(first[url].as_str().unwrap(), "0.5");
        assert_eq!(client.get(&target).status, 200, "{url}");
    };
    ["nurl", "burl", "burl", "nurl"].into_iter().for_each(&mut call);
    let arms_of = |metric: &str| ["control", "challenger"].map(|arm| bidder.metric(metric, &format!("\"{arm}\"")));
    let wins = arms_of("corebid_arm_wins_total");
    assert_eq!(wins.iter().sum::<u64>(), 1);
    assert_eq!(
        (arms_of("corebid_arm_bills_total"), arms_of("corebid_arm_billed_micros_total")),
        (wins, wins.map(|won| 500 * won))
    );

    // A new file is taken up by itself, with a model that nobody has read yet; a mistake is told, and changes nothing.
    folder
        .write("rollout.toml", rollout(&[("control", "share = 10\nclick = \"ctr/2\""), ("challenger", "share = 90")]));
    eventually("the new shares", || (shares(&model(&bidder, "arms").1)[0].1 == 1_000).then_some(()));
    folder.write("rollout.toml", rollout(&[("control", "share = 10")]));
    eventually("the mistake", || bidder.log().contains("the old models keep serving").then_some(()));
    assert_eq!(shares(&model(&bidder, "arms").1)[0].1, 1_000);

    // Only an operator goes back.
    let unmarked = Client::connect(bidder.admin).unwrap().ask("POST", "/api/rollout/rollback", "", b"");
    assert_eq!(unmarked.status, 403);
    assert_eq!(shares(&model(&bidder, "arms").1)[0].1, 1_000);
    let (code, view, stderr) = model(&bidder, "rollback");
    assert_eq!((code, shares(&view)), (Some(0), even_shares.to_vec()), "{stderr}");
    assert!(view["rolled_back"].as_bool().unwrap());
    let rolled_back = |bidder: &Bidder| {
        let text = String::from_utf8(bidder.admin("/metrics").body).unwrap();
        text.lines()
            .find_map(|line| line.strip_prefix("corebid_rollout_rolled_back{split=\"user\"} ").map(str::to_owned))
    };
    assert_eq!(rolled_back(&bidder).as_deref(), Some("1.0"));
    assert_eq!(bidder.metric("corebid_arm_wins_total", ""), 1, "the arms are the same, and so is what they won");

    folder
        .write("rollout.toml", rollout(&[("control", "share = 20\nclick = \"ctr/2\""), ("challenger", "share = 80")]));
    eventually("a file that says something else", || (rolled_back(&bidder).as_deref() == Some("0.0")).then_some(()));
    assert_eq!(model(&bidder, "rollback").0, Some(0));
    bidder.stop();
    let bidder = Bidder::start(&["--config", &config]);
    assert_eq!(shares(&model(&bidder, "arms").1), even_shares, "it stays rolled back");
    bidder.stop();
}
