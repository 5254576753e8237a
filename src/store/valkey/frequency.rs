//! Frequency counters on Valkey: one hash for each user, read whole, so that nobody needs to know beforehand which campaigns there
//! are. `frequency.lua` says what stands in it, and is the only writer: it counts every booking of a node once, however often it is
//! told. Decision 0026 says why a hash, and not a key for each count.

use std::fmt::Write as _;

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult, Value};

use super::failure::Failure;
use super::library::Library;
use super::servers::{Outcome, Servers};
use crate::limits;
use crate::profile::count::{Count, CountOf, Delta, Window};
use crate::units::{AdvertiserId, CampaignId, NodeId, UserKey};

/// The function library, to be loaded on every primary.
pub const LIBRARY: &str = include_str!("frequency.lua");
/// The same, for a client that loads what is missing.
pub const LIBRARIES: &[Library] = &[Library(LIBRARY)];
/// Its name.
pub const LIBRARY_NAME: &str = "corebid_frequency";
/// In a value: period times this, and impressions.
const PERIOD: u64 = 1 << 16;

/// The key of a user's counts. `user` is the user's name in the stores, which tells where the key is kept.
pub fn key(user: &str) -> String {
    format!("freq:{{{user}}}")
}

/// Loads the library, in the place of an older one.
///
/// # Errors
/// The server's.
pub async fn install<C: ConnectionLike>(connection: &mut C) -> RedisResult<()> {
    redis::cmd("FUNCTION").arg("LOAD").arg("REPLACE").arg(LIBRARY).query_async(connection).await
}

/// What became of one booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It counts, and these are the counts now, in the order of [`Delta::shown`]'s.
    Counted(Vec<u16>),
    /// It counted before.
    Known,
    /// The server of this user would not now: the booking is to be told again.
    Refused,
    /// What stands under the user's key is not ours, and never takes a count.
    Unusable,
}

/// Tells of bookings of a node, in the order of their numbers, in one pipeline. One answer for each.
///
/// # Errors
/// The connection's: any of them may have been counted or not, and all can be told again.
pub async fn count<S: Servers>(
    servers: &mut S,
    node: NodeId,
    deltas: &[Delta],
    name: impl Fn(UserKey) -> String,
) -> RedisResult<Vec<Told>> {
    let calls = deltas.iter().map(|delta| {
        let key = key(&name(delta.user));
        let call = count_of(node, delta, &key);
        (key, call)
    });
    Ok(servers.send(calls.collect(), false).await?.into_iter().map(told).collect())
}

/// Reads what is known of users, in their order: a replica will do. `None` where it could not be read.
///
/// # Errors
/// The connection's.
pub async fn read<S: Servers>(
    servers: &mut S,
    users: &[UserKey],
    name: impl Fn(UserKey) -> String,
) -> RedisResult<Vec<Option<Vec<Count>>>> {
    let calls = users.iter().map(|user| {
        let key = key(&name(*user));
        let call = redis::cmd("HGETALL").arg(&key).take();
        (key, call)
    });
    let counts = |outcome: Outcome| redis::from_redis_value::<Vec<(String, String)>>(outcome.ok()?).ok().map(counts);
    Ok(servers.send(calls.collect(), true).await?.into_iter().map(counts).collect())
}

/// Forgets a user's counts; whether there were any.
///
/// # Errors
/// The server's.
pub async fn erase<S: Servers>(servers: &mut S, user: &str) -> RedisResult<Result<bool, Failure>> {
    let key = key(user);
    let call = redis::cmd("DEL").arg(&key).take();
    let outcome = servers.send(vec![(key, call)], false).await?.pop();
    Ok(match outcome.unwrap_or(Err(Failure::ClusterDown)) {
        Ok(Value::Int(removed)) => Ok(removed > 0),
        Ok(other) => Err(Failure::Protocol(format!("DEL returned {other:?}"))),
        Err(failure) => Err(failure),
    })
}

fn count_of(node: NodeId, delta: &Delta, key: &str) -> Cmd {
    let mut command = redis::cmd("FCALL");
    command.arg("freq_count").arg(1).arg(key).arg(node.0).arg(delta.number).arg(limits::COUNTS);
    for (of, window) in delta.shown.counts() {
        let period = window.period(delta.at);
        let ends = window.end(period).map_or(delta.at.0 / 1000 + limits::LIFETIME_S, |end| end.0 / 1000);
        command.arg(field(of, window)).arg(period).arg(ends);
    }
    command
}

fn told(outcome: Outcome) -> Told {
    let value = match outcome {
        Ok(value) => value,
        Err(Failure::WrongType) => return Told::Unusable,
        Err(_) => return Told::Refused,
    };
    match redis::from_redis_value::<Vec<u16>>(value) {
        Ok(counts) if counts.is_empty() => Told::Known,
        Ok(counts) => Told::Counted(counts),
        Err(_) => Told::Refused,
    }
}

const WINDOWS: [(Window, char); 4] =
    [(Window::Hour, 'h'), (Window::Day, 'd'), (Window::Week, 'w'), (Window::Lifetime, 'l')];

fn field(of: CountOf, window: Window) -> String {
    let (_, window) = WINDOWS[window as usize];
    let mut field = String::with_capacity(16);
    let written = match of {
        CountOf::Campaign(CampaignId(id)) => write!(field, "c{window}{id}"),
        CountOf::Creative(CampaignId(id), creative) => write!(field, "r{window}{id}.{creative}"),
        CountOf::Advertiser(AdvertiserId(id)) => write!(field, "a{window}{id}"),
    };
    written.expect("a string takes it");
    field
}

/// The count that a field holds; `None` for what is no count, such as the number of a node.
fn parse(field: &str, value: u64) -> Option<Count> {
    let mut letters = field.chars();
    let (kind, window) = (letters.next()?, letters.next()?);
    let (window, _) = WINDOWS.into_iter().find(|(_, letter)| *letter == window)?;
    let rest = letters.as_str();
    let of = match kind {
        'c' => CountOf::Campaign(CampaignId(rest.parse().ok()?)),
        'r' => {
            let (campaign, creative) = rest.split_once('.')?;
            CountOf::Creative(CampaignId(campaign.parse().ok()?), creative.parse().ok()?)
        }
        'a' => CountOf::Advertiser(AdvertiserId(rest.parse().ok()?)),
        _ => return None,
    };
    Some(Count { of, window, period: u32::try_from(value / PERIOD).ok()?, times: (value % PERIOD) as u16 })
}

fn counts(fields: Vec<(String, String)>) -> Vec<Count> {
    fields.iter().filter_map(|(field, value)| parse(field, value.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of() -> impl Strategy<Value = CountOf> {
        prop_oneof![
            any::<u32>().prop_map(|id| CountOf::Campaign(CampaignId(id))),
            (any::<u32>(), any::<u16>()).prop_map(|(id, creative)| CountOf::Creative(CampaignId(id), creative)),
            any::<u32>().prop_map(|id| CountOf::Advertiser(AdvertiserId(id))),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(of in of(), window in 0..4usize, period in any::<u32>(), times in any::<u16>()) {
            let window = Window::ALL[window];
            let value = u64::from(period) * PERIOD + u64::from(times);
            prop_assert_eq!(parse(&field(of, window), value), Some(Count { of, window, period, times }));
        }

        #[test]
        fn nothing_panics(field in "[cranx]?[hdwlx]?[0-9.]{0,12}", value in any::<u64>()) {
            let _ = parse(&field, value);
        }
    }

    #[test]
    fn the_number_of_a_node_is_no_count() {
        assert_eq!(parse("n7", 12), None);
        assert_eq!(parse("nd7", 12), None);
    }
}
