//! A store of profiles that does as it is told, and a bidder that asks it.

#![allow(unreachable_pub, reason = "each test uses its part of it")]

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};

use corebid::profile::fetched::FetchOutcome;
use corebid::profile::source::ProfileSource;
use corebid::profile::value::write;
use corebid::units::{SegmentId, UserKey};
use zeroize::Zeroizing;

/// How the store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mood {
    /// Every user is in segment 9.
    Known,
    /// No user is known.
    Unknown,
    /// No answer comes.
    Stalled,
    /// Every answer is a failure.
    Failing,
    /// Answers leave the users out.
    Silent,
}

/// The store, seen from the test.
#[derive(Debug, Default)]
pub struct Store {
    mood: AtomicU8,
    pub fetches: AtomicU64,
    /// How often each user was asked for.
    pub asked: Mutex<HashMap<UserKey, u64>>,
}

impl Store {
    pub fn new(mood: Mood) -> Arc<Store> {
        let store = Arc::new(Store::default());
        store.set(mood);
        store
    }

    pub fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, SeqCst);
    }

    fn mood(&self) -> Mood {
        let all = [Mood::Known, Mood::Unknown, Mood::Stalled, Mood::Failing, Mood::Silent];
        all[usize::from(self.mood.load(SeqCst))]
    }
}

/// The store, seen from the stores thread.
#[derive(Debug)]
pub struct Asked(pub Arc<Store>);

impl ProfileSource for Asked {
    async fn fetch(&self, users: &[UserKey]) -> Vec<(UserKey, FetchOutcome)> {
        self.0.fetches.fetch_add(1, SeqCst);
        for user in users {
            *self.0.asked.lock().unwrap().entry(*user).or_default() += 1;
        }
        let outcome = match self.0.mood() {
            Mood::Known => FetchOutcome::Profile(Zeroizing::new(profile(&[9]))),
            Mood::Unknown => FetchOutcome::Nothing,
            Mood::Stalled => pending().await,
            Mood::Failing => FetchOutcome::Failed,
            Mood::Silent => return Vec::new(),
        };
        users.iter().map(|user| (*user, outcome.clone())).collect()
    }
}

/// The value of a profile with these segments.
pub fn profile(segments: &[u32]) -> Vec<u8> {
    let mut value = Vec::new();
    let mut segments = segments.iter().map(|segment| SegmentId(*segment)).collect();
    write(&mut segments, &mut Vec::new(), None, &mut value).unwrap();
    value
}
