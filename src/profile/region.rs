//! What is kept of a user stays in the user's region: a client of a store is a client of one region, and takes no key of another.
//!
//! The compiler sees to most of it. What a store is asked for are [`Resident`]s of its region, and there is one way to get them, which
//! looks at the key.
//!
//! ```compile_fail
//! use corebid::profile::region::{Elsewhere, Eu, Resident};
//! use corebid::units::{Region, UserKey};
//!
//! fn of_the_store(_: &[Resident<Elsewhere>]) {}
//! let user = Resident::<Eu>::of(UserKey::new(Region::Eu, 7)).unwrap();
//! of_the_store(&[user]);
//! ```

use std::fmt;
use std::marker::PhantomData;

use super::count::Count;
use super::erase::Erasable;
use super::fetched::FetchOutcome;
use super::keys::{KeyError, KeyStore, WrappedKey};
use super::source::ProfileSource;
use crate::units::{Region, UserKey};

/// A region, as a type.
pub trait InRegion: fmt::Debug + Copy + 'static {
    /// Which.
    const REGION: Region;
}

/// [`Region::Eu`].
#[derive(Clone, Copy, Debug)]
pub enum Eu {}

/// [`Region::Other`].
#[derive(Clone, Copy, Debug)]
pub enum Elsewhere {}

impl InRegion for Eu {
    const REGION: Region = Region::Eu;
}

impl InRegion for Elsewhere {
    const REGION: Region = Region::Other;
}

/// A user of this region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Resident<R: InRegion>(UserKey, PhantomData<R>);

impl<R: InRegion> Resident<R> {
    /// The user, if the key is of this region.
    pub fn of(user: UserKey) -> Option<Resident<R>> {
        (user.region() == Some(R::REGION) && user != UserKey::NOBODY).then_some(Resident(user, PhantomData))
    }

    /// The key.
    pub fn key(self) -> UserKey {
        self.0
    }
}

/// The client of a store in this region. Its own calls are reached with users of the region only; asked as a [`ProfileSource`] or a
/// [`KeyStore`], which know no regions, it sends nothing of the others.
#[derive(Debug)]
pub struct Regional<C, R: InRegion> {
    client: C,
    region: PhantomData<R>,
}

impl<C, R: InRegion> Regional<C, R> {
    /// The client of a store that stands in this region.
    pub fn new(client: C) -> Self {
        Regional { client, region: PhantomData }
    }

    /// Where the store stands.
    pub const fn region(&self) -> Region {
        R::REGION
    }

    /// Has the client do something for users of its region.
    pub async fn call<T>(&self, users: &[Resident<R>], call: impl AsyncFnOnce(&C, &[UserKey]) -> T) -> T {
        let keys: Vec<UserKey> = users.iter().map(|user| user.key()).collect();
        call(&self.client, &keys).await
    }
}

fn residents<R: InRegion>(users: &[UserKey]) -> Vec<Resident<R>> {
    users.iter().filter_map(|&user| Resident::of(user)).collect()
}

/// Nothing is known of users of other regions here.
impl<C: ProfileSource, R: InRegion> ProfileSource for Regional<C, R> {
    async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
        let residents = residents::<R>(users);
        let strangers = users.iter().filter(|&&user| Resident::<R>::of(user).is_none());
        let mut outcomes: Vec<_> = strangers.map(|&user| (user, FetchOutcome::Nothing)).collect();
        if !residents.is_empty() {
            outcomes.extend(self.call(&residents, async |client, users| client.fetch(users).await).await);
        }
        outcomes
    }

    fn holds_back(&self, user: UserKey) -> bool {
        self.client.holds_back(user)
    }

    async fn counts(&self, users: &[UserKey]) -> Vec<(UserKey, Vec<Count>)> {
        let residents = residents::<R>(users);
        let strangers = users.iter().filter(|&&user| Resident::<R>::of(user).is_none());
        // Theirs are kept elsewhere: of this region, that is all.
        let mut counts: Vec<_> = strangers.map(|&user| (user, Vec::new())).collect();
        if !residents.is_empty() {
            counts.extend(self.call(&residents, async |client, users| client.counts(users).await).await);
        }
        counts
    }
}

/// Users of other regions have nothing here to erase.
impl<C: Erasable, R: InRegion> Erasable for Regional<C, R> {
    async fn erase(&self, user: UserKey) -> Result<bool, KeyError> {
        match Resident::<R>::of(user) {
            Some(user) => self.client.erase(user.key()).await,
            None => Ok(false),
        }
    }

    fn forget(&self, user: UserKey) {
        if let Some(user) = Resident::<R>::of(user) {
            self.client.forget(user.key());
        }
    }
}

/// Users of other regions have no key here, and get none.
impl<C: KeyStore, R: InRegion> KeyStore for Regional<C, R> {
    async fn get(&self, users: &[UserKey]) -> Result<Vec<(UserKey, WrappedKey)>, KeyError> {
        let residents = residents::<R>(users);
        if residents.is_empty() {
            return Ok(Vec::new());
        }
        self.call(&residents, async |client, users| client.get(users).await).await
    }

    async fn create(&self, user: UserKey, key: WrappedKey) -> Result<WrappedKey, KeyError> {
        let Some(user) = Resident::<R>::of(user) else {
            return Err(KeyError::Denied(format!("its region is {:?}, the user's is not", R::REGION.label())));
        };
        self.client.create(user.key(), key).await
    }

    async fn destroy(&self, user: UserKey) -> Result<bool, KeyError> {
        match Resident::<R>::of(user) {
            Some(user) => self.client.destroy(user.key()).await,
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Writes down whom it is asked for.
    #[derive(Default)]
    struct Wire(RefCell<Vec<UserKey>>);

    impl ProfileSource for &Wire {
        async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
            self.0.borrow_mut().extend_from_slice(users);
            users.iter().map(|&user| (user, FetchOutcome::Failed)).collect()
        }
    }

    impl KeyStore for &Wire {
        async fn get(&self, users: &[UserKey]) -> Result<Vec<(UserKey, WrappedKey)>, KeyError> {
            self.0.borrow_mut().extend_from_slice(users);
            Ok(Vec::new())
        }

        async fn create(&self, user: UserKey, key: WrappedKey) -> Result<WrappedKey, KeyError> {
            self.0.borrow_mut().push(user);
            Ok(key)
        }

        async fn destroy(&self, user: UserKey) -> Result<bool, KeyError> {
            self.0.borrow_mut().push(user);
            Ok(true)
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn users_of_another_region_are_never_sent() {
        let [here, there] = [Region::Other, Region::Eu].map(|region| UserKey::new(region, 77));
        // The two bits have values that no region has.
        let nowhere = UserKey(3 << 62 | 77);
        let users = [there, here, nowhere, UserKey::NOBODY];
        let wire = Wire::default();
        let store = Regional::<_, Elsewhere>::new(&wire);
        let mut outcomes = run(store.fetch(&users));
        outcomes.sort_by_key(|(user, _)| *user);
        let mut expected: Vec<_> = users.map(|user| (user, FetchOutcome::Nothing)).to_vec();
        expected[1].1 = FetchOutcome::Failed;
        expected.sort_by_key(|(user, _)| *user);
        assert_eq!(outcomes, expected);
        run(store.get(&users)).unwrap();
        for stranger in [there, nowhere, UserKey::NOBODY] {
            assert!(matches!(run(store.create(stranger, WrappedKey(vec![1]))), Err(KeyError::Denied(_))));
            assert_eq!(run(store.destroy(stranger)), Ok(false));
            assert!(run(store.fetch(&[stranger])) == [(stranger, FetchOutcome::Nothing)]);
            assert!(run(store.get(&[stranger])).unwrap().is_empty());
        }
        assert_eq!(*wire.0.borrow(), [here, here], "of the fetch and of the keys");
    }
}
