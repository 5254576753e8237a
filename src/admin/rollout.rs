//! Which models serve, and going back to those that served before, through the admin port. The rules of [`super::operator`] hold.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::Observed;
use super::operator::{json, refused};
use crate::metrics::arms::Arms;
use crate::reload::{Reloads, RolledBack};
use crate::snapshot::scoring::keeper::{NotRolledBack, Standing};
use crate::snapshot::scoring::{self, Served};

/// A reload may be under way, of a campaign file of a hundred megabytes.
const PATIENCE: Duration = Duration::from_secs(8);

/// What the port shows of a rollout, and whom it asks.
#[derive(Debug)]
pub struct Rollout {
    /// What serves.
    pub arms: Arc<Arms>,
    /// The thread that goes back.
    pub reloads: Reloads,
}

/// `GET /api/rollout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// `user` or `auction`.
    pub split: String,
    /// Whether the rollout file is passed over.
    pub rolled_back: bool,
    /// Whether there is a rollout to go back to.
    pub has_before: bool,
    /// By place, those that have left among them.
    pub arms: Vec<ArmView>,
}

/// An arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmView {
    /// Its name.
    pub name: String,
    /// Its share in hundredths of a percent.
    pub share: u16,
    /// Whether it prices nothing.
    pub shadow: bool,
    /// The version that predicts clicks, NAME/VERSION.
    pub click: Option<String>,
    /// The version that predicts conversions.
    pub conversion: Option<String>,
}

impl View {
    fn of(standing: &Standing) -> Option<View> {
        let rollout = standing.rollout.as_ref()?;
        let version = |served: &Option<Arc<Served>>| served.as_ref().map(|served| served.version.to_string());
        let arm = |arm: &scoring::Arm| ArmView {
            name: arm.name.to_string(),
            share: arm.share,
            shadow: arm.shadow,
            click: version(&arm.click),
            conversion: version(&arm.conversion),
        };
        Some(View {
            split: rollout.split.label().to_owned(),
            rolled_back: standing.rolled_back,
            has_before: standing.has_before,
            arms: rollout.arms.iter().map(arm).collect(),
        })
    }
}

pub(super) fn changes() -> Router<Arc<Observed>> {
    Router::new().route("/api/rollout/rollback", post(roll_back))
}

pub(super) async fn show(State(observed): State<Arc<Observed>>) -> Response {
    let standing = observed.rollout.as_ref().map(|rollout| rollout.arms.standing());
    told(&standing.unwrap_or_default())
}

/// 409 where there is nothing to go back to, 503 where it is not known whether it was done, or how long it lasts.
async fn roll_back(State(observed): State<Arc<Observed>>) -> Response {
    let Some(rollout) = &observed.rollout else { return told(&Standing::default()) };
    match timeout(PATIENCE, rollout.reloads.roll_back()).await {
        Ok(Ok(Ok(RolledBack { standing, unsaved: None }))) => told(&standing),
        Ok(Ok(Ok(RolledBack { unsaved: Some(error), .. }))) => {
            let why = format!("it is rolled back, but after a restart it would not be: {error}");
            refused(StatusCode::SERVICE_UNAVAILABLE, why)
        }
        Ok(Ok(Err(why))) => refused(StatusCode::CONFLICT, why.to_string()),
        Ok(Err(_)) | Err(_) => {
            let why = "the reload thread is busy, so it may or may not be done; see the log, and ask again";
            refused(StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
        }
    }
}

fn told(standing: &Standing) -> Response {
    match View::of(standing) {
        Some(view) => json(StatusCode::OK, &view),
        None => refused(StatusCode::CONFLICT, NotRolledBack::NoRollout.to_string()),
    }
}
