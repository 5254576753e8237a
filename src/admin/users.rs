//! Erasing a user through the admin port. The rules of [`super::operator`] hold.
//!
//! The id comes in the URL and is turned into the pseudonym here: nothing keeps it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Observed;
use super::operator::{json, refused, unsure};
use crate::config::Config;
use crate::profile::erase::{Erase, Wiped};
use crate::profile::keys::KeyError;
use crate::reconcile::guards::operator::{Ask, Receipt, Said};
use crate::snapshot::profiles::{Profiles, UserKeys};
use crate::units::{Region, UserKey};

/// A store of keys that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// What erasing users takes.
#[derive(Debug)]
pub struct Users {
    keys: UserKeys,
    /// In which an id may be: our own, those of exchanges, and of what else the configuration names.
    spaces: Vec<String>,
    /// Profiles that are not sealed.
    plain: Profiles,
    /// To the thread that holds the sealed ones, if there is one.
    stores: Option<mpsc::Sender<Erase>>,
}

impl Users {
    /// Users of a bidder with this configuration; `stores` is where sealed values and their keys are.
    pub fn new(config: &Config, keys: UserKeys, plain: Profiles, stores: Option<mpsc::Sender<Erase>>) -> Users {
        let exchanges = config.exchanges.iter().map(|exchange| exchange.name.as_str());
        let others = config.profiles.ids.iter().map(|id| id.space(""));
        let spaces = exchanges.chain(others).chain([""]).map(str::to_owned).collect();
        Users { keys, spaces, plain, stores }
    }

    /// The pseudonym of `SPACE:ID`, or of `ID`, which is our own.
    fn named(&self, user: &str) -> Result<UserKey, String> {
        let (space, id) = user.split_once(':').unwrap_or(("", user));
        if id.is_empty() {
            return Err(format!("{user:?} names nobody: give EXCHANGE:ID, or :ID for an id of our own"));
        }
        if !self.spaces.iter().any(|known| known == space) {
            return Err(format!(
                "{space:?} is no exchange of this bidder, nor /ifa or /eids/SOURCE of its profiles.ids"
            ));
        }
        Ok(self.keys.key(Region::default(), space, id.as_bytes()))
    }

    /// Destroys the user's key, and what else the stores have.
    async fn erase(&self, user: UserKey) -> Result<Wiped, KeyError> {
        let Some(stores) = &self.stores else { return Ok(Wiped::default()) };
        let late = || KeyError::Unavailable("no answer in time; ask again".into());
        let (done, wiped) = oneshot::channel();
        let asked = async {
            stores.send(Erase { user, done }).await.map_err(|_| late())?;
            wiped.await.map_err(|_| late())?
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(late()))
    }
}

/// The receipt, as the admin port and `corebid erase` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// The ledger's record of it.
    pub record: u64,
    /// The hash under which the ledger names the user.
    pub user: String,
    /// Where something was wiped, as [`Wiped::labels`] has it.
    pub wiped: Vec<String>,
    /// When, Unix ms.
    pub wall: u64,
}

impl Erased {
    fn of(receipt: Receipt) -> Erased {
        let Receipt { record, user, wiped, wall } = receipt;
        let wiped = wiped.labels().map(str::to_owned).collect();
        Erased { record: record.0, user: user.to_string(), wiped, wall: wall.0 }
    }
}

pub(super) fn changes() -> Router<Arc<Observed>> {
    Router::new()
        .route("/api/users/{user}/erase", post(erase_user))
        .route("/api/pseudonyms/{key}/erase", post(erase_pseudonym))
}

async fn erase_user(State(observed): State<Arc<Observed>>, Path(user): Path<String>) -> Response {
    let named = |users: &Users| users.named(&user);
    erase(&observed, named).await
}

async fn erase_pseudonym(State(observed): State<Arc<Observed>>, Path(key): Path<String>) -> Response {
    let named = |_: &Users| {
        let user = u64::from_str_radix(&key, 16).ok().map(UserKey).filter(|user| user.region().is_some());
        let user = user.filter(|&user| user != UserKey::NOBODY && key.len() == 16);
        user.ok_or_else(|| format!("{key:?} is no pseudonym: 16 hexadecimal digits are wanted"))
    };
    erase(&observed, named).await
}

async fn erase(observed: &Observed, named: impl FnOnce(&Users) -> Result<UserKey, String>) -> Response {
    let (Some(users), Some(operator)) = (&observed.users, &observed.operator) else {
        return refused(StatusCode::CONFLICT, "this process has no users".into());
    };
    let user = match named(users) {
        Ok(user) => user,
        Err(why) => return refused(StatusCode::BAD_REQUEST, why),
    };
    if user.in_all_regions().into_iter().any(|user| users.plain.get(user).is_some()) {
        let why = "the user's profile stands in the file of data.profiles, which is not sealed: take it out of there, start \
                   the bidder again, and ask again";
        return refused(StatusCode::CONFLICT, why.into());
    }
    let wiped = match users.erase(user).await {
        Ok(wiped) => wiped,
        Err(error) => {
            return refused(StatusCode::SERVICE_UNAVAILABLE, format!("{error}; nothing is on record yet, ask again"));
        }
    };
    match operator.ask(Ask::Erase(user, wiped)).await {
        Said::Erased(receipt) => json(StatusCode::OK, &Erased::of(receipt)),
        _ => unsure(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(config: &Config) -> Users {
        Users::new(config, UserKeys::new(&[3; 16]), Profiles::default(), None)
    }

    #[test]
    fn a_user_is_named_within_a_space_that_there_is() {
        let mut config = Config::demo(std::path::Path::new("/nowhere"));
        config.profiles.ids = ["buyeruid", "device.ifa", "eids:id.example"].map(|id| id.parse().unwrap()).to_vec();
        let users = users(&config);
        let key = |space, id: &[u8]| Ok(users.keys.key(Region::Eu, space, id));
        for (text, expected) in [
            ("u1", key("", b"u1")),
            (":u1", key("", b"u1")),
            (":a:b", key("", b"a:b")),
            ("generic:u1", key("generic", b"u1")),
            ("/ifa:0-1", key("/ifa", b"0-1")),
            ("/eids/id.example:x", key("/eids/id.example", b"x")),
        ] {
            assert_eq!(users.named(text), expected, "{text}");
        }
        for nobody in ["", ":", "generic:", "other:u1", "/eids/other.example:x"] {
            assert!(users.named(nobody).is_err(), "{nobody}");
        }
    }
}
