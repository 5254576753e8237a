//! The registry of tests/data/registry, whose models scripts/train made of planted logs (tests/oracle/train/planted.py) with the real
//! LightGBM, and rollouts of it.

use std::fs;
use std::path::Path;

use corebid::model::forest::Library;
use corebid::model::{Calibration, archive, import};
use corebid::snapshot::data::Source;
use corebid::snapshot::features::Schema;
use corebid::snapshot::scoring::Origin;

use super::Folder;

/// Writes it into a folder, as `models`, with its models imported.
pub fn write(folder: &Folder) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/registry");
    for version in ["ctr/1", "ctr/2", "cvr/1"] {
        let (from, to) = (from.join(version), folder.path("models").join(version));
        fs::create_dir_all(&to).unwrap();
        let mut model = import(Library::LightGbm, &from.join("model.txt")).unwrap();
        model.calibration = Calibration::load(&from.join("calibration.json")).unwrap();
        archive::write(&to.join("model.corebid"), &model).unwrap();
        let schema = fs::read_to_string(from.join("schema.toml")).unwrap();
        let fingerprint = format!("{:016x}", Schema::parse(&schema).unwrap().fingerprint());
        let meta = fs::read_to_string(from.join("meta.json")).unwrap().replace("0000000000000000", &fingerprint);
        fs::write(to.join("meta.json"), meta).unwrap();
        for file in ["schema.toml", "parity.csv"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

/// A rollout of these arms: name, and what else is said of each.
pub fn rollout(arms: &[(&str, &str)]) -> String {
    let arm = |(name, more): &(&str, &str)| format!("[[arm]]\nname = \"{name}\"\n{more}\n");
    format!("split = \"user\"\nsalt = \"s\"\n{}", arms.iter().map(arm).collect::<String>())
}

/// `campaigns.toml`, `rollout.toml` and `models` of the folder.
pub fn source(folder: &Folder) -> Source {
    Source::Files {
        campaigns: folder.path("campaigns.toml"),
        profiles: None,
        model: None,
        scoring: Origin {
            rollout: Some(folder.path("rollout.toml")),
            registry: folder.path("models"),
            memory: folder.path("rollout.json"),
        },
        rates: Default::default(),
        geo: None,
        edge: Default::default(),
        privacy: Default::default(),
        supply: Default::default(),
    }
}
