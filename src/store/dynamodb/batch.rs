//! Many keys of one table at once, within a deadline. DynamoDB answers what it can and hands the rest back; that is asked for again,
//! later and later, as long as there is time.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::client::{Client, pause};
use super::failure::Failure;
use super::item::{Item, Read, text};
use super::tables::Table;

/// Keys of one call (API reference, BatchGetItem).
const KEYS: usize = 100;
/// Before keys that came back are asked for again; doubled each time.
const PAUSE: Duration = Duration::from_millis(2);

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The values there are.
    pub(super) values: HashMap<String, Vec<u8>>,
    /// Keys of which nothing was said in time.
    pub(super) unanswered: Vec<String>,
    /// Why.
    pub(super) failure: Option<Failure>,
}

/// Reads the binary attribute `value` of these items, all different, eventually consistent.
#[allow(clippy::disallowed_methods, reason = "on the stores thread")]
pub(super) async fn get(client: &Client, table: Table, mut ids: Vec<String>) -> Found {
    let deadline = Instant::now() + client.fetch;
    if ids.len() <= KEYS {
        return get_some(client.clone(), table, ids, deadline).await;
    }
    let mut calls = JoinSet::new();
    while !ids.is_empty() {
        let some = ids.split_off(ids.len().saturating_sub(KEYS));
        calls.spawn(get_some(client.clone(), table, some, deadline));
    }
    let mut found = Found::default();
    while let Some(Ok(some)) = calls.join_next().await {
        found.values.extend(some.values);
        found.unanswered.extend(some.unanswered);
        found.failure = found.failure.or(some.failure);
    }
    found
}

/// The same, of at most [`KEYS`].
async fn get_some(client: Client, table: Table, ids: Vec<String>, deadline: Instant) -> Found {
    let name = client.table(table);
    let (mut found, mut wait) = (Found { unanswered: ids, ..Found::default() }, PAUSE);
    while !found.unanswered.is_empty() {
        let mut keys = KeysAndAttributes::builder();
        for id in &found.unanswered {
            keys = keys.keys(Item::from([("id".to_owned(), text(&**id))]));
        }
        let Ok(keys) = keys.build() else { break };
        let call = client.sdk.batch_get_item().request_items(&*name, keys).send();
        found.failure = match timeout_at(deadline, call).await {
            Err(_) => Some(Failure::late()),
            Ok(Err(error)) => Some(Failure::from(error)),
            Ok(Ok(answer)) => {
                let back = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&name));
                let back = back.map_or_else(Vec::new, |back| back.keys);
                found.unanswered = back.iter().filter_map(|key| Some(key.text_of("id").ok()?.to_owned())).collect();
                let items = answer.responses.and_then(|mut tables| tables.remove(&name)).unwrap_or_default();
                let mut failure = None;
                for mut item in items {
                    match (item.text_of("id").map(str::to_owned), item.binary_of("value")) {
                        (Ok(id), Ok(value)) => drop(found.values.insert(id, value)),
                        (Ok(id), Err(malformed)) => {
                            log::error!("table {name}, item {id:?}: {malformed}; it counts as one that cannot be had");
                            found.unanswered.push(id);
                            failure = Some(malformed);
                        }
                        (Err(malformed), _) => failure = Some(malformed),
                    }
                }
                failure
            }
        };
        let is_passing = found.failure.as_ref().is_none_or(|failure| failure.kind.is_passing());
        if !is_passing || timeout_at(deadline, pause(wait)).await.is_err() {
            break;
        }
        wait *= 2;
    }
    if !found.unanswered.is_empty() && found.failure.is_none() {
        found.failure = Some(Failure::late());
    }
    found
}
