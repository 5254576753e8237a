//! Who serves what: hash slots, and the shards that share them (Valkey cluster specification). Without cluster mode there is one
//! shard, and it has them all.

use redis::Value;

use super::failure::Failure;

/// Hash slots of a cluster.
pub const SLOTS: u16 = 16384;

/// A primary with its replicas, or who has taken its place: the number stays when a replica is promoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// The slot of a key: CRC16 (XMODEM) of its hash tag, or of all of it.
pub fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|&byte| byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    let crc = tag.unwrap_or(key).iter().fold(0u16, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| (crc << 1) ^ if crc & 0x8000 != 0 { 0x1021 } else { 0 })
    });
    crc % SLOTS
}

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shard {
    /// `host:port`; empty while nobody is known.
    pub(super) primary: String,
    pub(super) replicas: Vec<String>,
    /// The cluster's id of the primary.
    id: String,
}

/// All shards.
#[derive(Debug)]
pub(super) struct Map {
    of_slot: Vec<ShardId>,
    shards: Vec<Shard>,
}

impl Map {
    /// One shard, which nobody serves yet.
    pub(super) fn new() -> Map {
        Map { of_slot: vec![ShardId(0); SLOTS.into()], shards: vec![Shard::default()] }
    }

    pub(super) fn shard_of(&self, key: &[u8]) -> ShardId {
        self.of_slot[usize::from(slot_of(key))]
    }

    /// Those that serve slots.
    pub(super) fn shards(&self) -> impl Iterator<Item = (ShardId, &Shard)> {
        let named = self.shards.iter().zip(0..).map(|(shard, id)| (ShardId(id), shard));
        named.filter(|(_, shard)| !shard.primary.is_empty())
    }

    pub(super) fn get(&self, id: ShardId) -> Option<&Shard> {
        self.shards.get(usize::from(id.0)).filter(|shard| !shard.primary.is_empty())
    }

    /// One primary for all slots.
    pub(super) fn set_plain(&mut self, primary: String, replicas: Vec<String>) {
        *self = Map::new();
        self.shards[0] = Shard { primary, replicas, id: String::new() };
    }

    /// What a cluster says. Slots that nobody serves stay where they were. A primary keeps its shard's number, and who has taken
    /// over a primary's slots gets it: by the slots, because a view of the cluster need not list all replicas.
    pub(super) fn set_cluster(&mut self, ranges: &[Range]) {
        let is_primary = |id: &String| ranges.iter().any(|range| range.servers[0].id == *id);
        for shard in &mut self.shards {
            shard.primary.clear();
        }
        for range in ranges {
            let [primary, replicas @ ..] = &range.servers[..] else { continue };
            let holder = usize::from(self.of_slot[usize::from(range.first)].0);
            let place = self.shards.iter().position(|shard| shard.id == primary.id);
            let place =
                place.or_else(|| (!is_primary(&self.shards[holder].id)).then_some(holder)).unwrap_or_else(|| {
                    self.shards.push(Shard::default());
                    self.shards.len() - 1
                });
            self.shards[place] = Shard {
                primary: primary.address.clone(),
                replicas: replicas.iter().map(|replica| replica.address.clone()).collect(),
                id: primary.id.clone(),
            };
            let id = ShardId(u16::try_from(place).expect("fewer shards than slots"));
            self.of_slot[usize::from(range.first)..=usize::from(range.last)].fill(id);
        }
    }
}

/// Slots that the same servers serve.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    first: u16,
    last: u16,
    /// The primary first.
    servers: Vec<Member>,
}

#[derive(Debug, PartialEq, Eq)]
struct Member {
    address: String,
    id: String,
}

/// Reads the answer to `CLUSTER SLOTS`. `asked` is who said it: a server that does not know its own address leaves it out.
pub(super) fn ranges(answer: &Value, asked: &str) -> Result<Vec<Range>, Failure> {
    let odd = || Failure::Protocol(format!("CLUSTER SLOTS of {asked}"));
    let member = |value: &Value| {
        let [host, Value::Int(port), id, ..] = value.as_sequence()? else { return None };
        let host = text(host).filter(|host| !host.is_empty() && host != "?");
        Some(Member { address: address(host.as_deref(), (*port).try_into().ok()?, asked)?, id: text(id)? })
    };
    let range = |value: &Value| {
        let [Value::Int(first), Value::Int(last), servers @ ..] = value.as_sequence()? else { return None };
        let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
        let servers: Vec<Member> = servers.iter().map(member).collect::<Option<_>>()?;
        (first <= last && last < SLOTS && !servers.is_empty()).then_some(Range { first, last, servers })
    };
    answer.as_sequence().ok_or_else(odd)?.iter().map(range).collect::<Option<_>>().ok_or_else(odd)
}

/// `host:port`, where the host may be left out or be an IPv6 address.
pub(super) fn address(host: Option<&str>, port: u16, asked: &str) -> Option<String> {
    match host {
        Some(host) if host.contains(':') => Some(format!("[{host}]:{port}")),
        Some(host) => Some(format!("{host}:{port}")),
        None => Some(format!("{}:{port}", asked.rsplit_once(':')?.0)),
    }
}

/// A text, however it was sent.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}

/// What `INFO replication` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replication {
    pub(super) is_primary: bool,
    /// `master_replid`: another one after each failover and restart.
    pub(super) id: String,
    /// Replicas that follow, `host:port`.
    pub(super) replicas: Vec<String>,
}

impl Replication {
    pub(super) fn parse(answer: &Value) -> Option<Replication> {
        let info = text(answer)?;
        let mut replication = Replication::default();
        for line in info.lines() {
            match line.split_once(':') {
                Some(("role", role)) => replication.is_primary = role == "master",
                Some(("master_replid", id)) => replication.id = id.to_owned(),
                Some((name, fields)) if name.strip_prefix("slave").is_some_and(|n| n.parse::<u32>().is_ok()) => {
                    let field = |name: &str| fields.split(',').find_map(|field| field.strip_prefix(name));
                    if field("state=") == Some("online")
                        && let (Some(host), Some(port)) =
                            (field("ip="), field("port=").and_then(|port| port.parse().ok()))
                    {
                        replication.replicas.extend(address(Some(host), port, ""));
                    }
                }
                _ => {}
            }
        }
        (replication.id.len() == 40).then_some(replication)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(first, last, [(port, id)])`.
    type Slots<'a> = (u16, u16, &'a [(u16, &'a str)]);

    fn slots(ranges: &[Slots<'_>]) -> Vec<Range> {
        let bulk = |text: &str| Value::BulkString(text.into());
        let server = |&(port, id): &(u16, &str)| Value::Array(vec![bulk("h"), Value::Int(port.into()), bulk(id)]);
        let range = |&(first, last, servers): &Slots<'_>| {
            let ends = [Value::Int(first.into()), Value::Int(last.into())];
            Value::Array(ends.into_iter().chain(servers.iter().map(server)).collect())
        };
        super::ranges(&Value::Array(ranges.iter().map(range).collect()), "h:1").unwrap()
    }

    /// Of the cluster specification, and of a server (`CLUSTER KEYSLOT`).
    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot_of(b"123456789"), 0x31c3);
        for (key, slot) in [("somekey", 11058), ("foo{hash_tag}", 2515), ("bar{hash_tag}", 2515), ("", 0)] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
        assert_eq!(slot_of(b"{user}:1"), slot_of(b"user"));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
        assert_ne!(slot_of(b"foo{}{bar}"), slot_of(b"bar"), "an empty tag is none");
    }

    #[test]
    fn a_shard_keeps_its_number_when_a_replica_takes_over() {
        let mut map = Map::new();
        map.set_cluster(&slots(&[(0, 8191, &[(1, "a"), (2, "b")]), (8192, 16383, &[(3, "c"), (4, "d")])]));
        let (low, high) = (map.of_slot[0], map.of_slot[16383]);
        assert_eq!((low, high), (ShardId(0), ShardId(1)));
        assert_eq!(map.get(low).unwrap().replicas, ["h:2"]);
        map.set_cluster(&slots(&[(8192, 16383, &[(4, "d")]), (0, 8191, &[(2, "b"), (1, "a")])]));
        assert_eq!((map.of_slot[0], map.of_slot[16383]), (low, high));
        assert_eq!((map.get(low).unwrap().primary.as_str(), map.get(high).unwrap().primary.as_str()), ("h:2", "h:4"));
        // So does one that was not seen before; who shares the slots of a primary that stays gets a new one.
        map.set_cluster(&slots(&[(0, 4095, &[(2, "b")]), (4096, 8191, &[(6, "f")]), (8192, 16383, &[(5, "e")])]));
        assert_eq!([0, 4096, 16383].map(|slot| map.of_slot[slot]), [low, ShardId(2), high]);
        // Ranges of one primary are one shard; who is gone serves nothing.
        map.set_cluster(&slots(&[(0, 4095, &[(2, "b")]), (8192, 16383, &[(2, "b")]), (4096, 8191, &[(5, "e")])]));
        assert_eq!([0, 4096, 16383].map(|slot| map.of_slot[slot]), [low, high, low]);
        assert!(map.get(ShardId(2)).is_none() && map.shards().count() == 2);
    }

    #[test]
    fn a_server_that_does_not_know_its_host_is_where_it_was_asked() {
        let server = Value::Array(vec![Value::Nil, Value::Int(7), Value::BulkString("x".into())]);
        let answer = Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(1), server])]);
        assert_eq!(ranges(&answer, "10.0.0.1:6").unwrap()[0].servers[0].address, "10.0.0.1:7");
        for odd in
            [Value::Okay, Value::Array(vec![Value::Int(1)]), Value::Array(vec![Value::Array(vec![Value::Int(0)])])]
        {
            assert!(matches!(ranges(&odd, "h:1"), Err(Failure::Protocol(_))));
        }
    }

    #[test]
    fn replication_is_read_as_a_server_writes_it() {
        let id = "fc3b31655e49f88bb3b559c1e24e28cac2cce6bc";
        let info = format!(
            "# Replication\r\nrole:master\r\nconnected_slaves:2\r\nslave0:ip=10.0.0.2,port=6380,state=online,offset=1,lag=0\r\n\
             slave1:ip=10.0.0.3,port=6380,state=wait_bgsave,offset=0,lag=0\r\nmaster_replid:{id}\r\n"
        );
        let read = Replication::parse(&Value::BulkString(info.into())).unwrap();
        assert_eq!(read, Replication { is_primary: true, id: id.into(), replicas: vec!["10.0.0.2:6380".into()] });
        assert_eq!(Replication::parse(&Value::BulkString("role:slave".into())), None);
    }
}
