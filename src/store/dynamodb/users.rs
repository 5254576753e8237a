//! What is known of users: sealed values in one table, wrapped keys in another, under the same key text. The two tables have rights of
//! their own; whoever reads values alone reads nothing.

use std::cell::Cell;

use aws_sdk_dynamodb::types::ReturnValue;
use zeroize::Zeroizing;

use super::batch::{self, Found};
use super::client::Client;
use super::failure::{Failure, Kind};
use super::item::{Item, Read, binary, text};
use super::tables::Table;
use crate::profile::fetched::FetchOutcome;
use crate::profile::keys::{KeyError, KeyStore, WrappedKey};
use crate::profile::source::ProfileSource;
use crate::units::UserKey;

/// The key of a user's items: the region, and the pseudonym in hexadecimal. The region is the pseudonym's two top bits.
pub fn id(user: UserKey) -> String {
    let region = ["eu", "other", "none", "none"][(user.0 >> 62) as usize];
    format!("{region}#{:016x}", user.0)
}

/// Sealed values. [`FetchOutcome::Profile`] has them as they are kept: whoever has the keys opens them.
#[derive(Debug)]
pub struct Profiles {
    client: Client,
    /// What was logged last, so that one failure is not told a thousand times a second.
    told: Cell<Option<Kind>>,
}

impl Profiles {
    /// Over this client.
    pub fn new(client: Client) -> Profiles {
        Profiles { client, told: Cell::new(None) }
    }

    /// Keeps a user's sealed value.
    ///
    /// # Errors
    /// It may not have been kept.
    pub async fn put(&self, user: UserKey, sealed: &[u8]) -> Result<(), Failure> {
        let put = || async {
            let put = self.client.sdk.put_item().table_name(self.client.table(Table::Profiles));
            put.item("id", text(id(user))).item("value", binary(sealed)).send().await?;
            Ok(())
        };
        self.client.patiently(put).await
    }

    /// Removes a user's sealed value.
    ///
    /// # Errors
    /// It may still be there.
    pub async fn remove(&self, user: UserKey) -> Result<(), Failure> {
        let delete = || async {
            let delete = self.client.sdk.delete_item().table_name(self.client.table(Table::Profiles));
            delete.key("id", text(id(user))).send().await?;
            Ok(())
        };
        self.client.patiently(delete).await
    }
}

impl ProfileSource for Profiles {
    async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
        let ids = users.iter().map(|user| id(*user)).collect();
        let Found { mut values, unanswered, failure } = batch::get(&self.client, Table::Profiles, ids).await;
        let kind = failure.as_ref().map(|failure| failure.kind);
        if self.told.replace(kind) != kind {
            match failure {
                Some(failure) => log::warn!("profiles: {failure}"),
                None => log::info!("profiles: DynamoDB answers again"),
            }
        }
        users
            .iter()
            .map(|user| {
                let id = id(*user);
                let outcome = match values.remove(&id) {
                    Some(sealed) => FetchOutcome::Profile(Zeroizing::new(sealed)),
                    None if unanswered.contains(&id) => FetchOutcome::Failed,
                    None => FetchOutcome::Nothing,
                };
                (*user, outcome)
            })
            .collect()
    }
}

/// Wrapped keys.
#[derive(Clone, Debug)]
pub struct Keys(Client);

impl From<Failure> for KeyError {
    fn from(failure: Failure) -> KeyError {
        match failure.kind {
            Kind::Denied | Kind::NoTable | Kind::Malformed => KeyError::Denied(failure.to_string()),
            _ => KeyError::Unavailable(failure.to_string()),
        }
    }
}

/// How often a key is made or destroyed anew because somebody destroyed or made it meanwhile.
const ROUNDS: usize = 4;

impl Keys {
    /// Over this client.
    pub fn new(client: Client) -> Keys {
        Keys(client)
    }

    /// What is there now, after all writes that were acknowledged.
    async fn read(&self, user: UserKey) -> Result<Option<WrappedKey>, Failure> {
        let get = || async {
            let get = self.0.sdk.get_item().table_name(self.0.table(Table::Keys)).key("id", text(id(user)));
            Ok(get.consistent_read(true).send().await?.item)
        };
        let item = self.0.patiently(get).await?;
        item.map(|mut item: Item| item.binary_of("value").map(WrappedKey)).transpose()
    }

    async fn put(&self, user: UserKey, key: &WrappedKey) -> Result<(), Failure> {
        let put = || async {
            let put = self.0.sdk.put_item().table_name(self.0.table(Table::Keys));
            let put = put.item("id", text(id(user))).item("value", binary(&*key.0));
            put.condition_expression("attribute_not_exists(id)").send().await?;
            Ok(())
        };
        self.0.patiently(put).await
    }

    async fn delete(&self, user: UserKey) -> Result<bool, Failure> {
        let mut attempts = 0;
        let delete = || {
            attempts += 1;
            async {
                let delete = self.0.sdk.delete_item().table_name(self.0.table(Table::Keys));
                let delete = delete.key("id", text(id(user))).return_values(ReturnValue::AllOld);
                Ok(delete.send().await?.attributes.is_some())
            }
        };
        let was_there = self.0.patiently(delete).await?;
        // The key may have gone with an attempt whose answer was lost.
        Ok(was_there || attempts > 1)
    }
}

impl KeyStore for Keys {
    async fn get(&self, users: &[UserKey]) -> Result<Vec<(UserKey, WrappedKey)>, KeyError> {
        let ids = users.iter().map(|user| id(*user)).collect();
        let Found { mut values, unanswered, failure } = batch::get(&self.0, Table::Keys, ids).await;
        if !unanswered.is_empty() {
            return Err(failure.unwrap_or_else(Failure::late).into());
        }
        let keys = users.iter().filter_map(|user| Some((*user, WrappedKey(values.remove(&id(*user))?))));
        Ok(keys.collect())
    }

    async fn create(&self, user: UserKey, key: WrappedKey) -> Result<WrappedKey, KeyError> {
        for _ in 0..ROUNDS {
            match self.put(user, &key).await {
                Ok(()) => return Ok(key),
                Err(Failure { kind: Kind::Conflict, .. }) => {}
                Err(failure) => return Err(failure.into()),
            }
            if let Some(other) = self.read(user).await? {
                return Ok(other);
            }
        }
        Err(KeyError::Unavailable("somebody makes and destroys this user's key all the time".to_owned()))
    }

    async fn destroy(&self, user: UserKey) -> Result<bool, KeyError> {
        let mut was_there = false;
        for _ in 0..ROUNDS {
            was_there |= self.delete(user).await?;
            if self.read(user).await?.is_none() {
                return Ok(was_there);
            }
        }
        Err(KeyError::Unavailable("somebody makes this user's key anew all the time".to_owned()))
    }
}
