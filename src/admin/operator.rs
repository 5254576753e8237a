//! What an operator may do through the admin port: stop and resume campaigns and advertisers, retire a node, erase a user,
//! and go back to the rollout before.
//!
//! The port has no password. It stands on loopback, or inside; and a page in an operator's browser must not reach it either. So
//! whatever changes something asks for a header of its own, which no page can send to another origin unasked; and for a `Host` that
//! is an address or `localhost`, because a page can make a name of its own point here.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Observed, ingress, record, rollout, users};
use crate::authority::books::Scope;
use crate::authority::message::Why;
use crate::authority::{self, NotRetired};
use crate::reconcile::guards::operator::{Ask, Said};
use crate::reconcile::guards::stops::Stop;
use crate::reconcile::server::Command;
use crate::units::{AdvertiserId, CampaignId, NodeId};

/// The header that changes ask for, with the value `1`.
pub const HEADER: &str = "x-corebid";
/// What is asked for is on disk in milliseconds, or something is wrong with the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hands commands to the reconciliation core.
#[derive(Debug)]
pub struct Operator(SyncSender<Command>);

impl Operator {
    /// Over the channel to it.
    pub fn new(commands: SyncSender<Command>) -> Operator {
        Operator(commands)
    }

    pub(super) async fn ask(&self, ask: Ask) -> Said {
        let (reply, said) = oneshot::channel();
        if self.0.try_send(Command::Operator(ask, reply)).is_err() {
            return Said::Unsafe;
        }
        match timeout(PATIENCE, said).await {
            Ok(Ok(said)) => said,
            _ => Said::Unsafe,
        }
    }
}

/// `GET /api/stopped`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Campaigns, then advertisers, by number.
    pub stopped: Vec<StoppedRow>,
}

/// Something that is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedRow {
    /// `campaign` or `advertiser`.
    pub scope: String,
    /// Its number.
    pub id: u32,
    /// `operator`, `runaway`, `jump` or `mismatch`.
    pub why: String,
}

/// What a stop or a resumption did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// `campaign` or `advertiser`.
    pub scope: String,
    /// Its number.
    pub id: u32,
    /// Why it was stopped before, if it was.
    pub before: Option<String>,
    /// Why it is stopped now, if it is. A campaign that was resumed may be stopped with its advertiser.
    pub stopped: Option<String>,
}

/// What retiring a node gave up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// The node.
    pub node: u16,
    /// Leases that were not closed.
    pub leases: u64,
    /// What they were still charged with, in millionths of the account currency.
    pub micros: i64,
}

impl Retired {
    /// As it is told.
    pub fn of(node: NodeId, retired: authority::Retired) -> Retired {
        let authority::Retired { leases, charged } = retired;
        Retired { node: node.0, leases, micros: charged.0 }
    }
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// In one line.
    pub error: String,
}

pub(super) fn routes() -> Router<Arc<Observed>> {
    let changes = Router::new()
        .route("/api/campaigns/{id}/stop", post(stop_campaign))
        .route("/api/campaigns/{id}/resume", post(resume_campaign))
        .route("/api/advertisers/{id}/stop", post(stop_advertiser))
        .route("/api/advertisers/{id}/resume", post(resume_advertiser))
        .route("/api/nodes/{id}/retire", post(retire))
        .merge(users::changes())
        .merge(ingress::changes())
        .merge(rollout::changes())
        .merge(record::changes())
        .route_layer(from_fn(lawful));
    changes.route("/api/stopped", get(stopped))
}

type Bidder = State<Arc<Observed>>;

async fn stop_campaign(State(observed): Bidder, Path(id): Path<u32>) -> Response {
    change(&observed, Ask::Stop(Scope::Campaign(CampaignId(id)))).await
}

async fn resume_campaign(State(observed): Bidder, Path(id): Path<u32>) -> Response {
    change(&observed, Ask::Resume(Scope::Campaign(CampaignId(id)))).await
}

async fn stop_advertiser(State(observed): Bidder, Path(id): Path<u32>) -> Response {
    change(&observed, Ask::Stop(Scope::Advertiser(AdvertiserId(id)))).await
}

async fn resume_advertiser(State(observed): Bidder, Path(id): Path<u32>) -> Response {
    change(&observed, Ask::Resume(Scope::Advertiser(AdvertiserId(id)))).await
}

async fn retire(State(observed): Bidder, Path(id): Path<u16>) -> Response {
    change(&observed, Ask::Retire(NodeId(id))).await
}

async fn stopped(State(observed): Bidder) -> Response {
    change(&observed, Ask::Stopped).await
}

async fn change(observed: &Observed, ask: Ask) -> Response {
    let said = match &observed.operator {
        Some(operator) => operator.ask(ask).await,
        None => Said::Unsafe,
    };
    answer(ask, said)
}

fn answer(ask: Ask, said: Said) -> Response {
    let label = |why: Option<Why>| why.map(|why| why.label().to_owned());
    match (ask, said) {
        (Ask::Stop(scope), Said::Stopped { before }) => {
            let stopped = Some(label(before).unwrap_or_else(|| "operator".to_owned()));
            changed(scope, label(before), stopped)
        }
        (Ask::Resume(scope), Said::Resumed { before, still }) => changed(scope, label(before), label(still)),
        (Ask::Retire(node), Said::Retired(Ok(retired))) => json(StatusCode::OK, &Retired::of(node, retired)),
        (Ask::Retire(node), Said::Retired(Err(why))) => {
            let status = if why == NotRetired::Unknown { StatusCode::NOT_FOUND } else { StatusCode::CONFLICT };
            refused(status, format!("node {}: {why}", node.0))
        }
        (_, Said::List(stops)) => json(StatusCode::OK, &Stopped { stopped: stops.into_iter().map(row).collect() }),
        (Ask::Stop(scope) | Ask::Resume(scope), Said::Unknown) => {
            refused(StatusCode::NOT_FOUND, format!("no {scope} is known"))
        }
        _ => unsure(),
    }
}

pub(super) fn unsure() -> Response {
    let why = "the ledger cannot be written now, so it may or may not be done; see the log, and ask again";
    refused(StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
}

fn row(stop: Stop) -> StoppedRow {
    StoppedRow { scope: stop.scope.word().into(), id: stop.scope.numbers().1, why: stop.why.label().into() }
}

fn changed(scope: Scope, before: Option<String>, stopped: Option<String>) -> Response {
    json(StatusCode::OK, &Changed { scope: scope.word().into(), id: scope.numbers().1, before, stopped })
}

pub(super) fn refused(status: StatusCode, error: String) -> Response {
    json(status, &Refusal { error })
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn lawful(request: Request, next: Next) -> Response {
    match lawless(request.headers()) {
        Some(why) => refused(StatusCode::FORBIDDEN, why.to_owned()),
        None => next.run(request).await,
    }
}

/// Why a request may be another's than an operator's.
fn lawless(headers: &HeaderMap) -> Option<&'static str> {
    let one = |name: header::HeaderName| {
        let mut all = headers.get_all(name).iter();
        let first = all.next()?.to_str().ok()?;
        all.next().is_none().then_some(first)
    };
    let Some(host) = one(header::HOST).filter(|host| is_address(host)) else {
        return Some("the Host header must be this port's address, or localhost, and no other name");
    };
    if headers.contains_key(header::ORIGIN)
        && one(header::ORIGIN).and_then(|origin| origin.strip_prefix("http://")) != Some(host)
    {
        return Some("the Origin header is of another place");
    }
    let marked = headers.get(HEADER).is_some_and(|value| value == "1");
    (!marked).then_some("the header `x-corebid: 1` is missing")
}

/// Whether a host, with its port, is named by its address.
fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()),
        None => name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()) || name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in of {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_who_names_the_address_and_the_header_is_let_in() {
        for host in ["127.0.0.1:9090", "127.0.0.1", "[::1]:9090", "[::1]", "localhost:9090", "LocalHost", "10.0.0.7:80"]
        {
            assert_eq!(lawless(&headers(&[("host", host), ("x-corebid", "1")])), None, "{host}");
        }
        for host in [
            "evil.example:9090",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9090",
            "",
            "::1",
            "[::1",
            "[127.0.0.1]",
        ] {
            let why = lawless(&headers(&[("host", host), ("x-corebid", "1")]));
            assert!(why.is_some_and(|why| why.contains("Host")), "{host:?}: {why:?}");
        }
        let no_host = lawless(&headers(&[("x-corebid", "1")]));
        assert!(no_host.is_some_and(|why| why.contains("Host")));
        let two = lawless(&headers(&[("host", "127.0.0.1"), ("host", "evil.example"), ("x-corebid", "1")]));
        assert!(two.is_some_and(|why| why.contains("Host")));
    }

    #[test]
    fn a_page_of_another_origin_is_kept_out() {
        let host = ("host", "127.0.0.1:9090");
        for unmarked in [&[host][..], &[host, ("x-corebid", "0")], &[host, ("x-corebid", "")]] {
            assert!(lawless(&headers(unmarked)).is_some_and(|why| why.contains("x-corebid")));
        }
        for origin in ["http://evil.example", "https://127.0.0.1:9090", "http://127.0.0.1:9091", "null", ""] {
            let why = lawless(&headers(&[host, ("x-corebid", "1"), ("origin", origin)]));
            assert!(why.is_some_and(|why| why.contains("Origin")), "{origin}: {why:?}");
        }
        assert_eq!(lawless(&headers(&[host, ("x-corebid", "1"), ("origin", "http://127.0.0.1:9090")])), None);
    }
}
