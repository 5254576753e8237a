//! The stores thread's half of the frequency caps: what this node billed is told to the store of counters, and what the fleet billed is
//! read with a fetch.
//!
//! Bookings wait here until the store has counted them, in the order of their numbers: after an error all of a batch is told again,
//! and the store knows which it has. (If a server refuses one booking of a user and takes the next, the first is lost.) What waits is
//! bounded; when the store is away for longer, the oldest are lost, and users may be shown more than their caps.

use std::collections::VecDeque;
use std::sync::Arc;

use redis::RedisResult;

use super::metrics::Spreading;
use crate::limits;
use crate::profile::count::{Count, Delta};
use crate::profile::shadow::{Tally, is_shadowed};
use crate::store::valkey::frequency::{Told, count, read};
use crate::store::valkey::servers::Servers;
use crate::units::{NodeId, UserKey};

/// Bookings on their way to the store.
#[derive(Debug)]
pub struct Spread {
    node: NodeId,
    name: fn(UserKey) -> String,
    waiting: VecDeque<Delta>,
    counts: Arc<Spreading>,
}

impl Spread {
    /// Of a node; `name` is what a user is called in the stores.
    pub fn new(node: NodeId, name: fn(UserKey) -> String) -> Spread {
        Spread { node, name, waiting: VecDeque::new(), counts: Arc::default() }
    }

    /// The same, counted there.
    #[must_use]
    pub fn counted(self, counts: Arc<Spreading>) -> Spread {
        Spread { counts, ..self }
    }

    /// Forgets what waits of a user.
    pub fn forget(&mut self, user: UserKey) {
        self.waiting.retain(|delta| delta.user != user);
    }

    /// One more booking. They come in the order of their numbers.
    pub fn take(&mut self, delta: Delta) {
        if self.waiting.len() == limits::DELTAS {
            self.waiting.pop_front();
            self.counts.lost.add(1);
        }
        self.waiting.push_back(delta);
    }

    /// Bookings that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What was counted.
    pub fn counts(&self) -> &Spreading {
        &self.counts
    }

    /// Tells the store of the oldest that wait, [`limits::DELTAS_AT_ONCE`] at most, in one round trip. To be called at least once a
    /// second, and again while it returns true: then there are more, and the store takes them.
    ///
    /// Of users who are counted exactly, what the store says is held against their campaigns' caps in `tally`: the store alone
    /// knows of all nodes.
    ///
    /// # Errors
    /// The connection's. Everything waits as before.
    pub async fn tell<S: Servers>(&mut self, servers: &mut S, tally: &Tally) -> RedisResult<bool> {
        let batch = self.waiting.len().min(limits::DELTAS_AT_ONCE);
        if batch == 0 {
            return Ok(false);
        }
        let (deltas, _) = self.waiting.make_contiguous().split_at(batch);
        let answers = count(servers, self.node, deltas, self.name).await?;
        let mut refused = Vec::new();
        for (delta, told) in self.waiting.drain(..batch).zip(answers) {
            match told {
                Told::Counted(counts) => {
                    self.counts.told.add(1);
                    if is_shadowed(delta.user) {
                        let counts = delta.shown.counts().zip(counts.into_iter().map(u32::from));
                        tally.bill(&delta.enough, counts, &delta.shown);
                    }
                }
                Told::Known => self.counts.known.add(1),
                Told::Unusable => self.counts.lost.add(1),
                Told::Refused => refused.push(delta),
            }
        }
        let all = refused.is_empty();
        refused.into_iter().rev().for_each(|delta| self.waiting.push_front(delta));
        Ok(all && !self.waiting.is_empty())
    }

    /// Reads what the fleet billed of users, in their order; `None` of one whose server would not say. A replica will do: what it
    /// lacks is as old as its lag.
    ///
    /// # Errors
    /// The connection's.
    pub async fn of<S: Servers>(&self, servers: &mut S, users: &[UserKey]) -> RedisResult<Vec<Option<Vec<Count>>>> {
        read(servers, users, self.name).await
    }
}
