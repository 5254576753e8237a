//! Opening and closing the ingress through the admin port. The rules of [`super::operator`] hold.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use tokio::time::timeout;

use super::Observed;
use super::operator::{json, refused};
use crate::ingress::{Control, Status};

/// Its thread answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(4);

pub(super) fn changes() -> Router<Arc<Observed>> {
    Router::new().route("/api/ingress/open", post(open)).route("/api/ingress/close", post(close))
}

pub(super) async fn show(State(observed): State<Arc<Observed>>) -> Response {
    ask(&observed, async |control| control.status().await).await
}

/// 503 where its port cannot be had now: it is tried again until somebody closes it.
async fn open(State(observed): State<Arc<Observed>>) -> Response {
    ask(&observed, async |control| control.open().await).await
}

async fn close(State(observed): State<Arc<Observed>>) -> Response {
    ask(&observed, async |control| control.close().await).await
}

async fn ask(observed: &Observed, ask: impl AsyncFnOnce(&Control) -> Option<Status>) -> Response {
    let Some(control) = &observed.ingress else {
        return refused(StatusCode::CONFLICT, "there is no ingress: the section [ingress] says where it is".into());
    };
    match timeout(PATIENCE, ask(control)).await {
        Ok(Some(Status { error: Some(error), .. })) => {
            refused(StatusCode::SERVICE_UNAVAILABLE, format!("{error}; it is tried again every second"))
        }
        Ok(Some(status)) => json(StatusCode::OK, &status),
        Ok(None) | Err(_) => refused(StatusCode::SERVICE_UNAVAILABLE, "the ingress does not answer".into()),
    }
}
