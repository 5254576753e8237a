//! Erasing a user: the data key is destroyed first, so that every sealed copy is unreadable wherever it lies; then every plain copy is
//! dropped; then the receipt is written.
//!
//! ```text
//! admin port ──► stores thread: fence, key destroyed, counters deleted, the fleet told
//!      │                                   │
//!      └──► reconciliation core ◄──────────┘  an order to every core; the receipt, on disk before it is shown
//! ```
//!
//! The order matters. When a core carries out its order, nothing of the user is fetched any more; what was fetched before lies in the
//! core's ring already, and is taken out of it first.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::keys::KeyError;
use crate::units::UserKey;

/// Where something of a user was wiped: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wiped(pub u16);

impl Wiped {
    /// The shards and rings of this node's cores.
    pub const CORES: Wiped = Wiped(1);
    /// There was a data key, and it is destroyed: no value that was sealed with it can be read.
    pub const KEY: Wiped = Wiped(2);
    /// The counters in Valkey.
    pub const COUNTERS: Wiped = Wiped(4);
    /// The other nodes were told.
    pub const FLEET: Wiped = Wiped(8);

    const NAMED: [(Wiped, &'static str); 4] =
        [(Wiped::CORES, "cores"), (Wiped::KEY, "key"), (Wiped::COUNTERS, "counters"), (Wiped::FLEET, "fleet")];

    /// Both.
    #[must_use]
    pub const fn and(self, other: Wiped) -> Wiped {
        Wiped(self.0 | other.0)
    }

    /// Itself if `done`, else nothing.
    #[must_use]
    pub const fn when(self, done: bool) -> Wiped {
        if done { self } else { Wiped(0) }
    }

    /// The names of those there are, as in a receipt.
    pub fn labels(self) -> impl Iterator<Item = &'static str> {
        Wiped::NAMED.into_iter().filter(move |(one, _)| self.0 & one.0 != 0).map(|(_, label)| label)
    }
}

/// Asks the stores thread to erase a user, in all regions.
#[derive(Debug)]
pub struct Erase {
    /// Who, in any region.
    pub user: UserKey,
    /// Told what was wiped in the stores.
    pub done: oneshot::Sender<Result<Wiped, KeyError>>,
}

/// Asks under way to the stores thread.
pub const ASKS: usize = 16;

/// What else is kept of users in the stores.
pub trait Traces {
    /// Deletes a user's counters. Whether there is a store of them.
    fn delete_counters(&self, user: UserKey) -> impl Future<Output = Result<bool, KeyError>>;

    /// Puts the user on the list that the other nodes read. Whether there are others.
    fn tell_fleet(&self, user: UserKey) -> impl Future<Output = Result<bool, KeyError>>;

    /// Users on that list behind the first `known`, in order; with how long the list is.
    fn erasures_since(&self, known: u64) -> impl Future<Output = Result<(Vec<UserKey>, u64), KeyError>>;
}

/// Profiles of which a user's can be made unreadable.
pub trait Erasable {
    /// Destroys a user's key. From now on nothing is fetched of the user, what is under way neither. Whether there was a key.
    ///
    /// # Errors
    /// The store of keys: the key may or may not be destroyed.
    fn erase(&self, user: UserKey) -> impl Future<Output = Result<bool, KeyError>>;

    /// Fetches nothing of a user any more, whose key was destroyed elsewhere.
    fn forget(&self, user: UserKey);
}

/// A node without a fleet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Traces for Alone {
    async fn delete_counters(&self, _: UserKey) -> Result<bool, KeyError> {
        Ok(false)
    }

    async fn tell_fleet(&self, _: UserKey) -> Result<bool, KeyError> {
        Ok(false)
    }

    async fn erasures_since(&self, _: u64) -> Result<(Vec<UserKey>, u64), KeyError> {
        Ok((Vec::new(), 0))
    }
}

/// Erases a user from the stores, in all regions. The key goes first; whatever fails after it can be asked for again.
///
/// # Errors
/// The first store that fails.
pub async fn erase<P, T>(profiles: &P, traces: &T, user: UserKey) -> Result<Wiped, KeyError>
where
    P: Erasable,
    T: Traces,
{
    let mut wiped = Wiped::default();
    for user in user.in_all_regions() {
        wiped = wiped.and(Wiped::KEY.when(profiles.erase(user).await?));
    }
    for user in user.in_all_regions() {
        wiped = wiped.and(Wiped::COUNTERS.when(traces.delete_counters(user).await?));
    }
    // Once, whatever the region: those who read it drop the user in all of them.
    Ok(wiped.and(Wiped::FLEET.when(traces.tell_fleet(user).await?)))
}

/// Carries out what is asked for, one after the other, until nobody can ask any more.
pub async fn serve<P, T>(mut asks: mpsc::Receiver<Erase>, profiles: &P, traces: &T)
where
    P: Erasable,
    T: Traces,
{
    while let Some(Erase { user, done }) = asks.recv().await {
        // Whoever asked may have gone: it is done all the same.
        let _ = done.send(erase(profiles, traces, user).await);
    }
}

/// Reads the fleet's list `every` so often, and has each user who came onto it dropped on this node. `known` is how long it was
/// before this process fetched anything: it has nothing plain of those who stood on it then.
pub async fn follow<P, T>(
    profiles: &P,
    traces: &T,
    mut known: u64,
    every: Duration,
    mut drop_on_cores: impl FnMut(UserKey),
) where
    P: Erasable,
    T: Traces,
{
    loop {
        match traces.erasures_since(known).await {
            Ok((users, length)) => {
                for user in users {
                    user.in_all_regions().into_iter().for_each(|user| profiles.forget(user));
                    drop_on_cores(user);
                }
                known = length;
            }
            Err(error) => log::warn!("the list of erased users cannot be read, and will be again: {error}"),
        }
        tokio::time::sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::profile::fetched::FetchOutcome;
    use crate::profile::keys::{KeyStore, WrappedKey};
    use crate::profile::seal::FleetKeys;
    use crate::profile::sealed::{Keyring, SealedProfiles};
    use crate::profile::source::ProfileSource;
    use crate::units::Region;

    struct NoProfiles;

    impl ProfileSource for NoProfiles {
        async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
            users.iter().map(|&user| (user, FetchOutcome::Nothing)).collect()
        }
    }

    /// A fleet's stores, which write down what is done, in order.
    #[derive(Clone, Default)]
    struct Fleet {
        said: Rc<RefCell<Vec<String>>>,
        list: Rc<RefCell<Vec<UserKey>>>,
        fails: Rc<RefCell<Option<&'static str>>>,
    }

    impl Fleet {
        fn say(&self, what: &str, user: UserKey) -> Result<bool, KeyError> {
            if *self.fails.borrow() == Some(what) {
                return Err(KeyError::Unavailable(what.into()));
            }
            self.said.borrow_mut().push(format!("{what} {}", user.text()));
            Ok(true)
        }
    }

    impl KeyStore for Fleet {
        async fn get(&self, _: &[UserKey]) -> Result<Vec<(UserKey, WrappedKey)>, KeyError> {
            Ok(Vec::new())
        }

        async fn create(&self, _: UserKey, key: WrappedKey) -> Result<WrappedKey, KeyError> {
            Ok(key)
        }

        async fn destroy(&self, user: UserKey) -> Result<bool, KeyError> {
            self.say("destroy", user)
        }
    }

    impl Traces for Fleet {
        async fn delete_counters(&self, user: UserKey) -> Result<bool, KeyError> {
            self.say("delete", user)
        }

        async fn tell_fleet(&self, user: UserKey) -> Result<bool, KeyError> {
            self.list.borrow_mut().push(user);
            self.say("tell", user)
        }

        async fn erasures_since(&self, known: u64) -> Result<(Vec<UserKey>, u64), KeyError> {
            let list = self.list.borrow();
            Ok((list[known as usize..].to_vec(), list.len() as u64))
        }
    }

    fn profiles(fleet: &Fleet) -> SealedProfiles<NoProfiles, Fleet> {
        let keys = FleetKeys::parse(&format!("1 {}", "5a".repeat(32))).unwrap();
        SealedProfiles::new(NoProfiles, Keyring::new(keys, fleet.clone()))
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn the_keys_of_all_regions_go_before_anything_else() {
        let fleet = Fleet::default();
        let user = UserKey::new(Region::Other, 0xabc);
        let wiped = run(erase(&profiles(&fleet), &fleet, user)).unwrap();
        assert_eq!(wiped.labels().collect::<Vec<_>>(), ["key", "counters", "fleet"]);
        let (eu, other) = ("eu#0000000000000abc", "other#4000000000000abc");
        let expected = [
            format!("destroy {eu}"),
            format!("destroy {other}"),
            format!("delete {eu}"),
            format!("delete {other}"),
            format!("tell {other}"),
        ];
        assert_eq!(*fleet.said.borrow(), expected);
        assert_eq!(UserKey::from_text(other), Some(user));
        for bad in ["other#0000000000000abc", "eu#abc", "eu#0000000000000000", "xx#0000000000000abc", "eu"] {
            assert_eq!(UserKey::from_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_store_that_fails_is_told_of_and_what_follows_it_is_not_done() {
        let fleet = Fleet::default();
        for (fails, done) in [("destroy", 0), ("delete", 2), ("tell", 4)] {
            fleet.said.borrow_mut().clear();
            *fleet.fails.borrow_mut() = Some(fails);
            let said = run(erase(&profiles(&fleet), &fleet, UserKey(7)));
            assert_eq!(said, Err(KeyError::Unavailable(fails.into())));
            assert_eq!(fleet.said.borrow().len(), done);
        }
    }

    #[test]
    fn another_node_drops_who_is_erased_while_it_runs() {
        run(async {
            let fleet = Fleet::default();
            fleet.list.borrow_mut().push(UserKey(1));
            let (here, there) = (profiles(&fleet), profiles(&fleet));
            let dropped = RefCell::new(Vec::new());
            let moment = Duration::from_millis(1);
            let (_, known) = fleet.erasures_since(0).await.unwrap();
            let followed = follow(&there, &fleet, known, moment, |user| dropped.borrow_mut().push(user));
            let erased = async {
                for user in [UserKey(2), UserKey(3)] {
                    erase(&here, &fleet, user).await.unwrap();
                    tokio::time::sleep(moment).await;
                }
                while dropped.borrow().len() < 2 {
                    tokio::time::sleep(moment).await;
                }
            };
            tokio::select! { () = followed => unreachable!(), () = erased => {} }
            assert_eq!(*dropped.borrow(), [UserKey(2), UserKey(3)]);
        });
    }
}
