//! Models of every kind that LightGBM and XGBoost train, on data drawn anew each day, predict what the libraries predict. Python is
//! that of scripts/requirements.txt, which scripts/test installs. COREBID_SEED sets the seed.

mod support;
#[path = "support/models.rs"]
mod models;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use corebid::model::{archive, import};
use models::cases;
use support::Folder;

#[test]
fn models_trained_now_predict_as_their_libraries() {
    let days = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let seed = std::env::var("COREBID_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(days);
    println!("COREBID_SEED={seed}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/python/bin/python");
    assert!(python.exists(), "{} is missing: scripts/test makes it", python.display());
    let folder = Folder::new("models");
    let trained = Command::new(python)
        .arg(root.join("tests/oracle/models/train.py"))
        .arg(folder.path(""))
        .args(["--seed", &seed.to_string()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let cases = cases(&folder.path(""));
    assert!(cases.len() >= 60, "{} models", cases.len());
    for case in cases {
        let mut forms = Vec::new();
        for file in &case.files {
            match (import(case.library, file), &case.refused) {
                (Ok(model), None) => forms.push(model),
                (Err(error), Some(what)) => assert!(error.to_string().contains(what), "{error}"),
                (Ok(_), Some(what)) => panic!("{} was taken: {what}", file.display()),
                (Err(error), None) => panic!("{error}"),
            }
        }
        if let Some(model) = forms.first() {
            case.judge(model);
            assert!(forms.iter().all(|form| form == model), "{}: its forms differ", case.name);
            assert_eq!(&archive::open_bytes(&archive::bytes(model)).unwrap(), model);
        }
    }
}
