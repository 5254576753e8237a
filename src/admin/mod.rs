//! Housekeeping's HTTP: `/metrics`, `/live`, `/ready`. It reads what others count and never makes them wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// What the admin port shows.
#[derive(Debug, Default)]
pub struct Observed {
    /// All metrics.
    pub registry: Registry,
    /// Whether every bid core answers and holds a lease, and none is draining.
    pub ready: AtomicBool,
}

/// The routes of the admin port.
pub fn router(observed: Arc<Observed>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(|| async { "1" }))
        .route("/ready", get(ready))
        .with_state(observed)
}

async fn metrics(State(observed): State<Arc<Observed>>) -> Response {
    let mut body = String::with_capacity(64 * 1024);
    match text::encode(&mut body, &observed.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn ready(State(observed): State<Arc<Observed>>) -> Response {
    if observed.ready.load(Ordering::Relaxed) {
        "1".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no").into_response()
    }
}
