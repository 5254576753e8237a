//! Calls about many keys at once, to whichever servers have them.

use std::collections::HashMap;

use redis::aio::ConnectionLike;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, Value};

use super::client::Valkey;
use super::failure::Failure;
use super::topology::ShardId;
use super::{Call, client};

/// What a call came to.
pub type Outcome = Result<Value, Failure>;

/// One connection, or a client that knows which server has which key.
pub trait Servers {
    /// Sends calls, each with the key it is about, and returns an outcome for each, in order. If they `only_read`, a replica will do.
    ///
    /// # Errors
    /// The connection's, if there is but one: any of them may have been done or not.
    fn send(&mut self, calls: Vec<(String, Call)>, only_read: bool) -> impl Future<Output = RedisResult<Vec<Outcome>>>;
}

impl<C: ConnectionLike> Servers for C {
    async fn send(&mut self, calls: Vec<(String, Call)>, _only_read: bool) -> RedisResult<Vec<Outcome>> {
        let count = calls.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::with_capacity(count);
        calls.into_iter().for_each(|(_, call)| _ = pipeline.add_command(call));
        let values = self.req_packed_commands(&pipeline, 0, count).await?;
        if values.len() != count {
            return Err(RedisError::from((ErrorKind::UnexpectedReturnType, "as many answers as calls were expected")));
        }
        Ok(values.into_iter().map(client::result).collect())
    }
}

/// The servers of a client: one round trip to each that has a key, all at the same time. No replica is waited for.
#[derive(Clone, Copy)]
pub struct Sharded<'v>(pub &'v Valkey);

impl Servers for Sharded<'_> {
    async fn send(&mut self, calls: Vec<(String, Call)>, only_read: bool) -> RedisResult<Vec<Outcome>> {
        let count = calls.len();
        let mut groups: HashMap<ShardId, (Vec<usize>, Vec<Call>)> = HashMap::new();
        for (place, (key, call)) in calls.into_iter().enumerate() {
            let (places, group) = groups.entry(self.0.shard_of(key.as_bytes())).or_default();
            places.push(place);
            group.push(call);
        }
        let (places, groups): (Vec<_>, Vec<_>) =
            groups.into_iter().map(|(shard, (places, calls))| (places, (shard, calls))).unzip();
        let answers = match only_read {
            true => self.0.reads(groups).await,
            false => self.0.pipelines(groups, 0).await.into_iter().map(|answered| answered.results).collect(),
        };
        let mut outcomes: Vec<Outcome> = (0..count).map(|_| Err(Failure::ClusterDown)).collect();
        for (place, outcome) in places.into_iter().flatten().zip(answers.into_iter().flatten()) {
            outcomes[place] = outcome;
        }
        Ok(outcomes)
    }
}
