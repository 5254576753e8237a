//! Profiles that are kept sealed: the value comes from one place, the user's key from another, and they meet here, on the stores
//! thread, for as long as it takes to open the one with the other. No key is remembered.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::mem;

use zeroize::Zeroizing;

use super::erase::Erasable;
use super::fetched::FetchOutcome;
use super::keys::{KeyError, KeyStore, WrappedKey};
use super::seal::{DataKey, FleetKeys, Unopened};
use super::source::ProfileSource;
use crate::clock;
use crate::units::{Nanos, UserKey};

/// For so long after an erasure nothing is fetched of the user: longer than a fetch takes, and than a store that is eventually
/// consistent may show what is destroyed.
pub const FENCE_NS: u64 = 60 * Nanos::SECOND;

/// Seals and opens users' values, with keys of a store.
#[derive(Debug)]
pub struct Keyring<K> {
    fleet: FleetKeys,
    /// Where users' keys are kept.
    pub store: K,
}

impl<K: KeyStore> Keyring<K> {
    /// Over a store of keys that are sealed under these.
    pub fn new(fleet: FleetKeys, store: K) -> Keyring<K> {
        Keyring { fleet, store }
    }

    /// Seals a value with the user's key, which is made if there is none.
    ///
    /// # Errors
    /// The store of keys; or what it has is not for these fleet keys.
    pub async fn seal(&self, user: UserKey, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let foreign = |error| KeyError::Denied(format!("the key it has for a user: {error}"));
        let known = self.store.get(&[user]).await?.into_iter().find(|(known, _)| *known == user);
        let wrapped = match known {
            Some((_, wrapped)) => wrapped,
            None => self.store.create(user, self.fleet.wrap(user, &DataKey::draw())).await?,
        };
        Ok(self.fleet.unwrap(user, &wrapped).map_err(foreign)?.seal(user, plain))
    }

    /// Opens what there is of a user.
    fn open(&self, user: UserKey, sealed: Vec<u8>, wrapped: &WrappedKey) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        self.fleet.unwrap(user, wrapped).and_then(|key| key.open(user, sealed))
    }
}

/// Opens what a source has sealed.
#[derive(Debug)]
pub struct SealedProfiles<S, K> {
    source: S,
    /// Users' keys.
    pub keys: Keyring<K>,
    fence: Fence,
    unopened: Cell<u64>,
}

impl<S: ProfileSource, K: KeyStore> SealedProfiles<S, K> {
    /// Values of this source, and keys of another store.
    pub fn new(source: S, keys: Keyring<K>) -> Self {
        SealedProfiles { source, keys, fence: Fence::default(), unopened: Cell::new(0) }
    }

    /// Values that did not open with their user's key.
    pub fn unopened(&self) -> u64 {
        self.unopened.get()
    }

    /// A value that does not open is none: to ask for it again would bring the same.
    fn refuse(&self, error: Unopened) {
        if self.unopened.get() == 0 {
            log::error!("the value of a user cannot be opened: {error}; of this and all like it nothing is known");
        }
        self.unopened.set(self.unopened.get() + 1);
    }
}

impl<S: ProfileSource, K: KeyStore> Erasable for SealedProfiles<S, K> {
    async fn erase(&self, user: UserKey) -> Result<bool, KeyError> {
        self.forget(user);
        self.keys.store.destroy(user).await
    }

    fn forget(&self, user: UserKey) {
        self.fence.close(user, clock::boot());
    }
}

impl<S: ProfileSource, K: KeyStore> ProfileSource for SealedProfiles<S, K> {
    async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
        let (mut outcomes, keys) = tokio::join!(self.source.fetch(users), self.keys.store.get(users));
        let keys: Result<HashMap<_, _>, _> = keys.map(|keys| keys.into_iter().collect());
        let now = clock::boot();
        for (user, outcome) in &mut outcomes {
            if self.fence.holds(*user, now) {
                *outcome = FetchOutcome::Nothing;
                continue;
            }
            let FetchOutcome::Profile(sealed) = outcome else { continue };
            *outcome = match keys.as_ref().map(|keys| keys.get(user)) {
                Ok(Some(wrapped)) => match self.keys.open(*user, mem::take(&mut **sealed), wrapped) {
                    Ok(plain) => FetchOutcome::Profile(plain),
                    Err(error) => {
                        self.refuse(error);
                        FetchOutcome::Nothing
                    }
                },
                // Whose key is destroyed is nobody that anything is known of.
                Ok(None) => FetchOutcome::Nothing,
                Err(_) => FetchOutcome::Failed,
            };
        }
        outcomes
    }

    fn holds_back(&self, user: UserKey) -> bool {
        self.fence.holds(user, clock::boot())
    }
}

/// Users who were erased a short time ago.
#[derive(Debug, Default)]
struct Fence(RefCell<VecDeque<(Nanos, UserKey)>>);

impl Fence {
    fn close(&self, user: UserKey, now: Nanos) {
        let mut erased = self.0.borrow_mut();
        while erased.pop_front_if(|(until, _)| *until <= now).is_some() {}
        erased.push_back((now.after(FENCE_NS), user));
    }

    fn holds(&self, user: UserKey, now: Nanos) -> bool {
        self.0.borrow().iter().any(|&(until, erased)| erased == user && now < until)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    /// Sealed values; a fetch waits until it is let go.
    #[derive(Default)]
    struct Values {
        of: RefCell<HashMap<UserKey, Vec<u8>>>,
        slow: Cell<bool>,
        asked: Notify,
        go: Notify,
    }

    impl ProfileSource for &Values {
        async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
            if self.slow.get() {
                self.asked.notify_one();
                self.go.notified().await;
            }
            let of = |user: &UserKey| match self.of.borrow().get(user) {
                Some(value) => FetchOutcome::Profile(Zeroizing::new(value.clone())),
                None => FetchOutcome::Nothing,
            };
            users.iter().map(|user| (*user, of(user))).collect()
        }
    }

    #[derive(Default)]
    struct Keys {
        of: RefCell<HashMap<UserKey, WrappedKey>>,
        down: Cell<bool>,
    }

    impl Keys {
        fn up(&self) -> Result<(), KeyError> {
            if self.down.get() { Err(KeyError::Unavailable("no answer".into())) } else { Ok(()) }
        }
    }

    impl KeyStore for &Keys {
        async fn get(&self, users: &[UserKey]) -> Result<Vec<(UserKey, WrappedKey)>, KeyError> {
            self.up()?;
            let of = self.of.borrow();
            Ok(users.iter().filter_map(|user| Some((*user, of.get(user)?.clone()))).collect())
        }

        async fn create(&self, user: UserKey, key: WrappedKey) -> Result<WrappedKey, KeyError> {
            self.up()?;
            Ok(self.of.borrow_mut().entry(user).or_insert(key).clone())
        }

        async fn destroy(&self, user: UserKey) -> Result<bool, KeyError> {
            self.up()?;
            Ok(self.of.borrow_mut().remove(&user).is_some())
        }
    }

    fn fleet() -> FleetKeys {
        FleetKeys::parse(&format!("1 {}", "5a".repeat(32))).unwrap()
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    const ALICE: UserKey = UserKey(1001);
    const BOB: UserKey = UserKey(1002);

    fn plain(text: &[u8]) -> FetchOutcome {
        FetchOutcome::Profile(Zeroizing::new(text.to_vec()))
    }

    #[test]
    fn what_was_sealed_is_fetched_plain_until_it_is_erased() {
        run(async {
            let (values, keys) = (Values::default(), Keys::default());
            let profiles = SealedProfiles::new(&values, Keyring::new(fleet(), &keys));
            for (user, text) in [(ALICE, b"of Alice"), (BOB, b"of Bob..")] {
                let sealed = profiles.keys.seal(user, text).await.unwrap();
                assert!(!sealed.windows(4).any(|four| four == &text[..4]));
                values.of.borrow_mut().insert(user, sealed);
            }
            // The second value of a user is sealed with the same key.
            let again = profiles.keys.seal(ALICE, b"of Alice").await.unwrap();
            values.of.borrow_mut().insert(ALICE, again);
            assert_eq!(profiles.fetch(&[ALICE, BOB]).await, [(ALICE, plain(b"of Alice")), (BOB, plain(b"of Bob.."))]);

            assert_eq!(profiles.erase(ALICE).await, Ok(true));
            assert_eq!(profiles.erase(ALICE).await, Ok(false));
            assert_eq!(
                profiles.fetch(&[ALICE, BOB]).await,
                [(ALICE, FetchOutcome::Nothing), (BOB, plain(b"of Bob.."))]
            );
            // The fence is not what keeps it shut.
            let later = SealedProfiles::new(&values, Keyring::new(fleet(), &keys));
            assert_eq!(later.fetch(&[ALICE]).await, [(ALICE, FetchOutcome::Nothing)]);
            assert_eq!((profiles.unopened(), later.unopened()), (0, 0));
        });
    }

    #[test]
    fn a_fetch_under_way_brings_nothing_of_a_user_who_is_erased_meanwhile() {
        run(async {
            let (values, keys) = (Values::default(), Keys::default());
            let profiles = SealedProfiles::new(&values, Keyring::new(fleet(), &keys));
            let sealed = profiles.keys.seal(ALICE, b"of Alice").await.unwrap();
            values.of.borrow_mut().insert(ALICE, sealed);
            values.slow.set(true);
            let erased = async {
                // By now the fetch has the key.
                values.asked.notified().await;
                tokio::task::yield_now().await;
                profiles.erase(ALICE).await.unwrap();
                values.go.notify_one();
            };
            let (fetched, ()) = tokio::join!(profiles.fetch(&[ALICE]), erased);
            assert_eq!(fetched, [(ALICE, FetchOutcome::Nothing)]);
            assert!(profiles.holds_back(ALICE) && !profiles.holds_back(BOB));
        });
    }

    #[test]
    fn without_keys_nothing_is_known_and_nothing_is_said_to_be_nothing() {
        run(async {
            let (values, keys) = (Values::default(), Keys::default());
            let profiles = SealedProfiles::new(&values, Keyring::new(fleet(), &keys));
            let sealed = profiles.keys.seal(ALICE, b"of Alice").await.unwrap();
            values.of.borrow_mut().extend([(ALICE, sealed.clone()), (BOB, sealed)]);
            keys.down.set(true);
            assert_eq!(profiles.fetch(&[ALICE]).await, [(ALICE, FetchOutcome::Failed)]);
            assert!(profiles.keys.seal(BOB, b"of Bob").await.is_err() && profiles.erase(BOB).await.is_err());
            assert_eq!(profiles.unopened(), 0);
            keys.down.set(false);
            // A value that stands at another user opens for nobody.
            let later = SealedProfiles::new(&values, Keyring::new(fleet(), &keys));
            later.keys.seal(BOB, b"of Bob").await.unwrap();
            assert_eq!(later.fetch(&[BOB]).await, [(BOB, FetchOutcome::Nothing)]);
            assert_eq!(later.unopened(), 1);
        });
    }

    #[test]
    fn the_fence_opens_after_its_time() {
        let fence = Fence::default();
        fence.close(ALICE, Nanos(5));
        assert!(fence.holds(ALICE, Nanos(4 + FENCE_NS)) && !fence.holds(BOB, Nanos(6)));
        assert!(!fence.holds(ALICE, Nanos(5 + FENCE_NS)));
        fence.close(BOB, Nanos(5 + FENCE_NS));
        assert_eq!(fence.0.borrow().len(), 1);
    }
}
