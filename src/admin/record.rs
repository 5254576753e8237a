//! Capturing live traffic through the admin port. The rules of [`super::operator`] hold: whoever may stop a campaign may have a
//! capture, out of which everything that identifies a person was taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_core::Stream;
use tokio::sync::mpsc;

use super::Observed;
use super::operator::refused;
use crate::capture::{Ask, Refused};

pub(super) fn changes() -> Router<Arc<Observed>> {
    Router::new().route("/api/record", post(record))
}

/// The answer is the file, as it grows. Its head comes when every core copies.
async fn record(State(observed): State<Arc<Observed>>, body: Bytes) -> Response {
    let ask = match body.is_empty() {
        true => Ok(Ask::default()),
        false => serde_json::from_slice::<Ask>(&body).map_err(|error| error.to_string()),
    };
    let ask = match ask.and_then(|ask| ask.check().map(|()| ask)) {
        Ok(ask) => ask,
        Err(why) => return refused(StatusCode::BAD_REQUEST, why),
    };
    let Some(captures) = &observed.captures else {
        return refused(StatusCode::CONFLICT, "this process has no bid cores".into());
    };
    match captures.begin(ask) {
        Ok(pieces) => {
            let body = Body::from_stream(Pieces(pieces));
            ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
        }
        Err(busy @ Refused::Busy) => refused(StatusCode::CONFLICT, busy.to_string()),
        Err(failed @ Refused::Failed(_)) => refused(StatusCode::SERVICE_UNAVAILABLE, failed.to_string()),
    }
}

/// The pieces of a file, as the body of an answer. When the peer goes away it is dropped, and the capture ends.
struct Pieces(mpsc::Receiver<Vec<u8>>);

impl Stream for Pieces {
    type Item = Result<Vec<u8>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|piece| piece.map(Ok))
    }
}
