//! Housekeeping's HTTP: `/metrics`, `/live`, `/ready`, `/api`. It reads what others count and never makes them wait; what an operator
//! asks for goes to the reconciliation core as a command ([`operator`]).

pub mod bounded;
pub mod ingress;
pub mod operator;
pub mod paths;
pub mod record;
pub mod rollout;
pub mod stalls;
pub mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text;

use prometheus_client::registry::Registry;

use crate::capture;
use crate::clock;
use crate::ingress::Control;
use crate::metrics::core::CoreMetrics;
use crate::metrics::stalls::watch::Stalls;
use operator::Operator;
use paths::Paths;
use stalls::View;
use users::Users;

/// What the admin port shows.
#[derive(Debug, Default)]
pub struct Observed {
    /// All metrics.
    pub registry: Registry,
    /// The bid cores.
    pub cores: Vec<&'static CoreMetrics>,
    /// Supply paths, if they are counted.
    pub paths: Option<Paths>,
    /// What kept the bid cores from their loops.
    pub stalls: Stalls,
    /// Where operators' commands go.
    pub operator: Option<Operator>,
    /// What erasing users takes.
    pub users: Option<Users>,
    /// Opens and closes the ingress, if there is one.
    pub ingress: Option<Control>,
    /// Begins captures of what comes in.
    pub captures: Option<capture::Control>,
    /// Which models serve, and how to go back to those before.
    pub rollout: Option<rollout::Rollout>,
    /// Whether they were told to stop.
    pub draining: AtomicBool,
}

impl Observed {
    /// Whether every bid core holds a living lease: without one it answers, and never bids.
    pub fn is_funded(&self) -> bool {
        let now = clock::boot();
        self.cores.iter().all(|core| core.is_funded(now))
    }
}

/// The routes of the admin port.
pub fn router(observed: Arc<Observed>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(|| async { "1" }))
        .route("/ready", get(ready))
        .route("/api/supply/paths", get(supply_paths))
        .route("/api/stalls", get(longest_stalls))
        .route("/api/ingress", get(ingress::show))
        .route("/api/rollout", get(rollout::show))
        .merge(operator::routes())
        .with_state(observed)
}

async fn metrics(State(observed): State<Arc<Observed>>) -> Response {
    let mut body = String::with_capacity(64 * 1024);
    match text::encode(&mut body, &observed.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// 409 where paths are not counted: the path of the URL is right, the configuration is another.
async fn supply_paths(State(observed): State<Arc<Observed>>) -> Response {
    let view = observed.paths.as_ref().map(|paths| serde_json::to_string(&paths.view()));
    match view {
        None => StatusCode::CONFLICT.into_response(),
        Some(Ok(body)) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Some(Err(_)) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn longest_stalls(State(observed): State<Arc<Observed>>) -> Response {
    operator::json(StatusCode::OK, &View::of(&observed.stalls, clock::boot()))
}

async fn ready(State(observed): State<Arc<Observed>>) -> Response {
    if observed.is_funded() && !observed.draining.load(Ordering::Relaxed) {
        "1".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no").into_response()
    }
}
