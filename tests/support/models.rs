//! Models that the libraries trained (tests/oracle/models/train.py), with rows and what the libraries say of them.

#![allow(unreachable_pub, reason = "beside the others, which are")]

use std::fs;
use std::path::{Path, PathBuf};

use corebid::model::Model;
use corebid::model::engine::{Engine, Room};
use corebid::model::forest::Library;
use serde_json::Value;

/// A model, in each form it was saved in.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub library: Library,
    pub files: Vec<PathBuf>,
    /// What the message says of a model that is not taken.
    pub refused: Option<String>,
    folder: PathBuf,
}

/// What a folder has.
pub fn cases(folder: &Path) -> Vec<Case> {
    let text = fs::read_to_string(folder.join("cases.json")).unwrap();
    let listed: Vec<Value> = serde_json::from_str(&text).unwrap();
    let case = |listed: &Value| Case {
        name: listed["name"].as_str().unwrap().to_owned(),
        library: match listed["library"].as_str().unwrap() {
            "lightgbm" => Library::LightGbm,
            "xgboost" => Library::XgBoost,
            other => panic!("{other}"),
        },
        files: listed["files"].as_array().unwrap().iter().map(|file| folder.join(file.as_str().unwrap())).collect(),
        refused: listed["refused"].as_str().map(str::to_owned),
        folder: folder.to_owned(),
    };
    listed.iter().map(case).collect()
}

impl Case {
    /// Its rows, or what the library said of each: `rows`, `raw`, `predicted`. The last need not be there.
    pub fn table(&self, what: &str) -> Option<Vec<Vec<f64>>> {
        fs::read_to_string(self.folder.join(format!("{}.{what}.csv", self.name))).ok().map(|text| table(&text))
    }

    /// Holds a model to what its library said.
    #[track_caller]
    pub fn judge(&self, model: &Model) {
        let (rows, raw) = (self.table("rows").unwrap(), self.table("raw").unwrap());
        let predicted = self.table("predicted");
        let engine = Engine::build(&model.forest);
        let mut room = Room::new(&engine);
        assert!(rows.len() >= 40 && rows.len() == raw.len(), "{}", self.name);
        for (at, (row, theirs)) in rows.iter().zip(&raw).enumerate() {
            let mut ours = vec![0.0; model.forest.base.len()];
            model.forest.walk(row, &mut ours);
            same(self.library, &ours, theirs).unwrap_or_else(|why| panic!("{} row {at} {row:?}: {why}", self.name));
            let mut scored = vec![0.0; ours.len()];
            engine.score(row, &mut room, &mut scored);
            let bits = |scores: &[f64]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&scored), bits(&ours), "{} row {at} {row:?}: the engine", self.name);
            if let Some(predicted) = &predicted {
                model.predict(&mut ours);
                // Beyond the sums there is a function of them, which need not be the same to the last bit.
                let close = |(ours, theirs): (&f64, &f64)| (ours - theirs).abs() <= 1e-5 * theirs.abs().max(1e-6);
                let near = ours.iter().zip(&predicted[at]).all(close);
                assert!(near, "{} row {at}: predicts {ours:?}, not {:?}", self.name, predicted[at]);
            }
        }
    }
}

/// Numbers, a row a line; an empty cell is missing.
pub fn table(text: &str) -> Vec<Vec<f64>> {
    let cell = |cell: &str| if cell.is_empty() { f64::NAN } else { cell.parse().unwrap() };
    text.lines().map(|line| line.split(',').map(cell).collect()).collect()
}

/// Whether raw scores are the same: LightGBM's sums are ours, XGBoost's are in `f32`.
pub fn same(library: Library, ours: &[f64], theirs: &[f64]) -> Result<(), String> {
    let close = |(ours, theirs): (&f64, &f64)| match library {
        Library::LightGbm => (ours - theirs).abs() <= 1e-12 * theirs.abs(),
        Library::XgBoost => (ours - theirs).abs() <= 1e-5 * theirs.abs().max(1.0),
    };
    match ours.len() == theirs.len() && ours.iter().zip(theirs).all(close) {
        true => Ok(()),
        false => Err(format!("{ours:?}, the library says {theirs:?}")),
    }
}
