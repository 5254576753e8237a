//! The demo's click model: trees that `scripts/demo-model` has trained on the clicks of the market, with the recipe that trains
//! any other.

use std::sync::Arc;

use crate::model::registry::Served;
use crate::snapshot::scoring::Rollout;

const FILES: [(&str, &[u8]); 4] = [
    ("model.corebid", include_bytes!("model/model.corebid")),
    ("schema.toml", include_bytes!("model/schema.toml")),
    ("meta.json", include_bytes!("model/meta.json")),
    ("parity.csv", include_bytes!("model/parity.csv")),
];

/// A rollout of nothing but that.
pub fn rollout() -> Arc<Rollout> {
    Arc::new(Rollout::single("trees", Arc::new(Served::built_in("demo/clicks", &FILES))))
}
