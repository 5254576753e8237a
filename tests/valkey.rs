//! The client of Valkey against real servers: every way to fail is provoked, and has the outcome that is documented.

#![cfg(feature = "stores")]
#![allow(clippy::disallowed_methods, reason = "a test measures and waits")]

mod support;

use std::time::{Duration, Instant};

use corebid::config::stores;
use corebid::store::valkey::{Answered, Call, Failure, Library, ShardId, Valkey, Value, slot_of};
use support::valkey::{Authority, Cluster, Server, write_password};
use support::{Folder, PATIENCE};

/// What stands for the library of the bidder: it counts in a hash.
const COUNTER: Library = Library(
    "#!lua name=counter
-- version 1
server.register_function('count', function(keys, args) return server.call('HINCRBY', keys[1], 'n', args[1]) end)
",
);
const LIBRARIES: &[Library] = &[COUNTER];

fn settings(addresses: Vec<String>) -> stores::Valkey {
    // Two cores that others use too: what is answered comes in time; what is stopped never does.
    stores::Valkey { addresses, timeout_ms: 1000, ..stores::Valkey::default() }
}

fn of(server: &Server) -> stores::Valkey {
    settings(vec![server.address.to_string()])
}

fn client(config: &stores::Valkey) -> Valkey {
    Valkey::new(config, LIBRARIES).unwrap()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn call(words: &[&str]) -> Call {
    let mut call = redis::cmd(words[0]);
    call.arg(&words[1..]);
    call
}

fn count(key: &str) -> Call {
    call(&["FCALL", "count", "1", key, "1"])
}

/// One call to where its key is.
async fn one(valkey: &Valkey, key: &str, call: Call) -> Result<Value, Failure> {
    valkey.pipeline(valkey.shard_of(key.as_bytes()), vec![call], 0).await.results.remove(0)
}

/// Calls until it succeeds; the failures before that.
async fn until_done(valkey: &Valkey, key: &str, call: Call) -> (Answered, Vec<Failure>) {
    let (start, mut failures) = (Instant::now(), Vec::new());
    loop {
        let answered = valkey.pipeline(valkey.shard_of(key.as_bytes()), vec![call.clone()], 0).await;
        match &answered.results[0] {
            Ok(_) => return (answered, failures),
            Err(failure) => failures.push(failure.clone()),
        }
        assert!(start.elapsed() < PATIENCE, "{failures:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn calls_are_answered_in_order_each_for_itself() {
    let server = Server::start(&[]);
    run(async {
        let valkey = client(&of(&server));
        valkey.discover().await.unwrap();
        let calls =
            vec![count("{a1}"), call(&["SET", "{a1}text", "x"]), call(&["HGET", "{a1}text", "n"]), count("{a1}")];
        let answered = valkey.pipeline(valkey.shard_of(b"{a1}"), calls, 1).await;
        assert_eq!(answered.results, [Ok(Value::Int(1)), Ok(Value::Okay), Err(Failure::WrongType), Ok(Value::Int(2))]);
        assert!(answered.confirmed, "there is no replica to wait for");
        let said = server.info("master_replid").unwrap();
        assert_eq!(valkey.replication_id(ShardId(0)), Some(said));
    });
}

#[test]
fn what_a_server_refuses_has_a_name() {
    let server = Server::start(&[]);
    run(async {
        let valkey = client(&of(&server));
        server.ask(&["SET", "{a1}", "text"]);
        assert_eq!(one(&valkey, "{a1}", count("{a1}")).await, Err(Failure::WrongType), "within a function");
        server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
        assert_eq!(one(&valkey, "{a2}", count("{a2}")).await, Err(Failure::OutOfMemory));
        server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
        assert!(
            matches!(one(&valkey, "{a2}", call(&["NOSUCH"])).await, Err(Failure::Server(said)) if said.contains("NOSUCH"))
        );
        assert_eq!(one(&valkey, "{a2}", count("{a2}")).await, Ok(Value::Int(1)), "the connection is as good as before");
    });
}

#[test]
fn a_library_that_is_gone_is_told_of_and_loaded_again() {
    let server = Server::start(&[]);
    run(async {
        let valkey = client(&of(&server));
        until_done(&valkey, "{a1}", count("{a1}")).await;
        let losses = || valkey.server(ShardId(0)).unwrap().losses;
        let first = losses();
        server.ask(&["FUNCTION", "FLUSH"]);
        assert_eq!(one(&valkey, "{a1}", count("{a1}")).await, Err(Failure::MissingFunction));
        let (again, _) = until_done(&valkey, "{a1}", count("{a1}")).await;
        assert_eq!((again.results, losses()), (vec![Ok(Value::Int(2))], first + 1));
        until_done(&valkey, "{a1}", count("{a1}")).await;
        assert_eq!(losses(), first + 1, "it was lost once");

        // A newer one of the same name is left alone; an older one is replaced.
        for (version, answer) in [(2, Value::Int(-1)), (0, Value::Int(4))] {
            let other = format!(
                "#!lua name=counter\n-- version {version}\nserver.register_function('count', function() return -1 end)"
            );
            server.ask(&["FUNCTION", "LOAD", "REPLACE", &other]);
            let (answered, _) = until_done(&client(&of(&server)), "{a1}", count("{a1}")).await;
            assert_eq!(answered.results, [Ok(answer)], "{version}");
            until_done(&valkey, "{a1}", count("{a1}")).await;
            assert_eq!(losses(), first + 1, "a library of another version is no loss");
        }
    });
}

#[test]
fn a_replica_is_never_written_to() {
    let primary = Server::start(&[]);
    let replica = primary.replica(&[]);
    run(async {
        assert_eq!(client(&of(&replica)).discover().await, Err(Failure::ReadOnly));
        // Of two that are named, the primary is found; when the two change places, it is found again.
        let valkey = client(&settings(vec![replica.address.to_string(), primary.address.to_string()]));
        let (first, _) = until_done(&valkey, "{a1}", count("{a1}")).await;
        assert_eq!(first.server.unwrap().address, primary.address.to_string());
        replica.ask(&["REPLICAOF", "NO", "ONE"]);
        let port = replica.address.port().to_string();
        primary.ask(&["REPLICAOF", "127.0.0.1", &port]);
        assert_eq!(one(&valkey, "{a1}", count("{a1}")).await, Err(Failure::ReadOnly));
        let (second, _) = until_done(&valkey, "{a1}", count("{a1}")).await;
        let second = second.server.unwrap();
        assert_eq!(second.address, replica.address.to_string());
        // Once or twice: the old one may have taken the new one's replication id before it was asked.
        assert!((1..=2).contains(&second.losses), "{second:?}");
    });
}

#[test]
fn what_replicas_confirm_is_counted() {
    let primary = Server::start(&[]);
    let replica = primary.replica(&[]);
    run(async {
        let valkey = client(&stores::Valkey { replica_reads: true, ..of(&primary) });
        valkey.discover().await.unwrap();
        let shard = valkey.shard_of(b"{a1}");
        assert_eq!(valkey.server(shard).unwrap().replicas, 1);
        // A replica that has just come is sent nothing before it has said where it stands, which it does once a second.
        let start = Instant::now();
        while !valkey.pipeline(shard, vec![count("{a1}:first")], 1).await.confirmed {
            assert!(start.elapsed() < PATIENCE, "never confirmed");
        }
        assert!(valkey.pipeline(shard, vec![count("{a1}")], 1).await.confirmed);
        // Reads come from the replica: it alone has seen so many calls of this kind.
        let calls = |server: &Server| server.text(&["INFO", "commandstats"]).contains("cmdstat_hget:");
        assert_eq!(valkey.read(shard, vec![call(&["HGET", "{a1}", "n"])]).await, [Ok(Value::BulkString("1".into()))]);
        assert!(calls(&replica) && !calls(&primary));

        replica.signal(libc::SIGSTOP);
        let answered = valkey.pipeline(shard, vec![count("{a1}")], 1).await;
        assert_eq!((answered.results, answered.confirmed), (vec![Ok(Value::Int(2))], false));
        assert!(valkey.pipeline(shard, vec![count("{a1}")], 0).await.confirmed, "nothing was asked for");
        replica.signal(libc::SIGCONT);
    });
}

#[test]
fn a_stopped_server_times_out_on_time_and_costs_nothing_afterwards() {
    let server = Server::start(&[]);
    run(async {
        let valkey = client(&of(&server));
        let (before, _) = until_done(&valkey, "{a1}", count("{a1}")).await;
        server.signal(libc::SIGSTOP);
        let start = Instant::now();
        assert_eq!(one(&valkey, "{a1}", count("{a1}")).await, Err(Failure::Timeout));
        assert!(start.elapsed() >= Duration::from_millis(1000), "the whole time is used");
        // After the attempt that waits, nobody waits: a hundred calls take less than two of them would.
        while !matches!(one(&valkey, "{a1}", count("{a1}")).await, Err(Failure::Disconnected(why)) if why.contains("no answer"))
        {
            assert!(start.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let start = Instant::now();
        for _ in 0..100 {
            assert!(matches!(one(&valkey, "{a1}", count("{a1}")).await, Err(Failure::Disconnected(_))));
        }
        assert!(start.elapsed() < Duration::from_millis(2000), "{:?}", start.elapsed());
        server.signal(libc::SIGCONT);
        let (answered, _) = until_done(&valkey, "{a1}", count("{a1}")).await;
        assert_eq!(answered.server, before.server, "it is the same server with the same data");
        // What was sent before the deadline may have been done; no more than that.
        let Ok(Value::Int(done)) = answered.results[0] else { panic!("{answered:?}") };
        assert!((2..=3).contains(&done), "{done}");
    });
}

#[test]
fn a_server_that_was_killed_is_found_again_as_another() {
    let mut server = Server::start(&[]);
    run(async {
        let valkey = client(&of(&server));
        let (first, _) = until_done(&valkey, "{a1}", count("{a1}")).await;
        server.kill();
        assert!(matches!(one(&valkey, "{a1}", count("{a1}")).await, Err(Failure::Disconnected(_))));
        server.start_again();
        let (again, failures) = until_done(&valkey, "{a1}", count("{a1}")).await;
        assert!(failures.iter().all(|failure| matches!(failure, Failure::Disconnected(_))), "{failures:?}");
        assert_eq!(again.results, [Ok(Value::Int(1))], "it has lost all");
        let (first, again) = (first.server.unwrap(), again.server.unwrap());
        assert_ne!(first.replication_id, again.replication_id);
        assert_eq!(again.losses, first.losses + 1);
    });
}

#[test]
fn a_cluster_is_one_pipeline_a_shard() {
    let cluster = Cluster::start(&[]);
    run(async {
        let valkey = client(&settings(cluster.addresses()[5..].to_vec()));
        valkey.discover().await.unwrap();
        assert_eq!(valkey.shards().len(), 3);
        let mut shards: Vec<(ShardId, Vec<Call>)> =
            valkey.shards().into_iter().map(|shard| (shard, Vec::new())).collect();
        for advertiser in 0..300 {
            let key = format!("{{a{advertiser}}}");
            let slot: String = cluster.primaries[0].text(&["CLUSTER", "KEYSLOT", &key]);
            assert_eq!(slot_of(key.as_bytes()).to_string(), slot);
            let shard = valkey.shard_of(key.as_bytes());
            shards.iter_mut().find(|(id, _)| *id == shard).unwrap().1.push(count(&key));
        }
        for answered in valkey.pipelines(shards, 1).await {
            assert!(answered.confirmed && answered.results.len() > 50);
            assert!(answered.results.iter().all(|result| *result == Ok(Value::Int(1))), "{answered:?}");
        }

        moved_and_asked(&valkey, &cluster).await;
        failover(&valkey, &cluster).await;
    });
}

/// A slot moves from the first primary to the second, with one of its two keys first.
async fn moved_and_asked(valkey: &Valkey, cluster: &Cluster) {
    let key = (0..).map(|n| format!("{{a{n}}}")).find(|key| slot_of(key.as_bytes()) < 5461).unwrap();
    let slot = slot_of(key.as_bytes());
    let shard = valkey.shard_of(key.as_bytes());
    let Ok(Value::Int(before)) = one(valkey, &key, count(&key)).await else { panic!() };
    cluster.begin_move(slot, 0, 1);
    cluster.move_key(&key, 0, 1);
    // ASK: the first server sends on, the second answers.
    let answered = valkey.pipeline(shard, vec![count(&key), count(&key)], 1).await;
    assert_eq!(answered.results, [Ok(Value::Int(before + 1)), Ok(Value::Int(before + 2))]);
    assert!(!answered.confirmed, "nobody waited at the second server");
    assert_eq!(valkey.shard_of(key.as_bytes()), shard, "the slot is not there yet");
    cluster.end_move(slot, 1);
    // MOVED: sent on once, and known from then on.
    let answered = valkey.pipeline(shard, vec![count(&key)], 0).await;
    assert_eq!(answered.results, [Ok(Value::Int(before + 3))]);
    let _ = one(valkey, &key, count(&key)).await;
    assert_ne!(valkey.shard_of(key.as_bytes()), shard);
    // Two keys of a slot on two servers: neither can answer.
    let other = format!("{key}other");
    cluster.primaries[1].ask(&["SET", &other, "x"]);
    cluster.begin_move(slot, 1, 0);
    cluster.move_key(&key, 1, 0);
    let both = call(&["MGET", &other, &key]);
    assert_eq!(one(valkey, &key, both).await, Err(Failure::TryAgain));
    cluster.end_move(slot, 1);
}

/// A replica takes its primary's place: the shard keeps its number, and has another replication id.
async fn failover(valkey: &Valkey, cluster: &Cluster) {
    let key = (0..).map(|n| format!("{{a{n}}}")).find(|key| slot_of(key.as_bytes()) > 10922).unwrap();
    until_done(valkey, &key, count(&key)).await;
    let shard = valkey.shard_of(key.as_bytes());
    let before = valkey.server(shard).unwrap();
    cluster.replicas[2].ask(&["CLUSTER", "FAILOVER"]);
    support::eventually("the replica as primary", || cluster.replicas[2].info("role").filter(|role| role == "master"));
    let replica = cluster.replicas[2].address.to_string();
    let start = Instant::now();
    let after = loop {
        let answered = valkey.pipeline(shard, vec![count(&key)], 0).await;
        // The old primary may have taken the new one's replication id before it was asked, which is a loss by itself.
        let found = answered.server.clone().filter(|server| server.losses > before.losses && server.address == replica);
        if let Some(server) = found {
            break server;
        }
        assert!(start.elapsed() < PATIENCE, "{answered:?}");
    };
    assert_eq!(valkey.shard_of(key.as_bytes()), shard);
    assert_ne!(after.replication_id, before.replication_id);
}

#[test]
fn a_shard_without_servers_is_down() {
    let server = Server::start(&["--cluster-enabled", "yes"]);
    run(async {
        let valkey = client(&of(&server));
        assert_eq!(one(&valkey, "{a1}", count("{a1}")).await, Err(Failure::ClusterDown));
        server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "8191"]);
        let low = (0..).map(|n| format!("{{a{n}}}")).find(|key| slot_of(key.as_bytes()) < 8192).unwrap();
        assert_eq!(one(&valkey, &low, count(&low)).await, Err(Failure::ClusterDown), "half of the slots are nobody's");
    });
}

#[test]
fn only_a_server_that_proves_its_name_is_spoken_to() {
    let (authority, other) = (Authority::new(), Authority::new());
    let start = |arguments: Vec<String>| Server::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let secure = start(authority.arguments());
    let stranger = start(authority.arguments_of_a_stranger());
    let plain = Server::start(&[]);
    let trusting =
        |server: &Server, ca: &Authority| stores::Valkey { tls: true, ca_file: Some(ca.ca_file()), ..of(server) };
    let said = |config: &stores::Valkey| {
        let error = run(client(config).discover()).unwrap_err();
        assert!(matches!(error, Failure::Disconnected(_)), "{error:?}");
        error.to_string()
    };
    run(async {
        let valkey = client(&trusting(&secure, &authority));
        assert_eq!(until_done(&valkey, "{a1}", count("{a1}")).await.0.results, [Ok(Value::Int(1))]);
    });
    let wrong = said(&trusting(&secure, &other));
    assert!(wrong.contains("invalid peer certificate"), "{wrong}");
    let name = said(&trusting(&stranger, &authority));
    assert!(name.contains("NotValidForName") || name.contains("not valid for name"), "{name}");
    let hung_up = said(&of(&secure));
    assert!(hung_up.contains("does it want TLS?"), "{hung_up}");
    said(&trusting(&plain, &authority));
    let missing = stores::Valkey { ca_file: Some("/nonexistent/ca.pem".into()), ..trusting(&secure, &authority) };
    assert!(said(&missing).contains("stores.valkey.ca_file"));
}

#[test]
fn the_shipped_list_allows_what_is_used_and_nothing_else() {
    let server = Server::with_acl("secret", &[]);
    let folder = Folder::new("valkey-acl");
    let file = folder.path("password");
    write_password(&file, "secret");
    let config = stores::Valkey { username: Some("corebid".into()), password_file: Some(file.clone()), ..of(&server) };
    run(async {
        let valkey = client(&config);
        assert_eq!(one(&valkey, "{a1}", count("{a1}")).await, Ok(Value::Int(1)), "it may load its library");
        for denied in [
            &["FLUSHALL"][..],
            &["FLUSHDB"],
            &["KEYS", "*"],
            &["SCAN", "0"],
            &["CONFIG", "GET", "*"],
            &["ACL", "LIST"],
            &["SHUTDOWN", "NOSAVE"],
            &["REPLICAOF", "NO", "ONE"],
            &["FUNCTION", "FLUSH"],
            &["EVAL", "return 1", "0"],
            &["CLUSTER", "RESET"],
            &["MONITOR"],
            &["PUBLISH", "x", "y"],
            &["HSET", "other", "n", "1"],
            &["HGET", "{b1}", "n"],
            &["FCALL", "count", "1", "other", "1"],
        ] {
            let answer = one(&valkey, "{a1}", call(denied)).await;
            assert!(
                matches!(&answer, Err(Failure::NoAuth(said)) if said.starts_with("NOPERM")),
                "{denied:?}: {answer:?}"
            );
        }
        for allowed in ["{a7}", "{a7}:p1", "freq:eu#0123456789abcdef"] {
            assert_eq!(one(&valkey, "{a1}", count(allowed)).await, Ok(Value::Int(1)), "{allowed}");
        }
    });
    for (username, password) in [(Some("corebid"), "wrong"), (Some("nobody"), "secret"), (None, "secret")] {
        write_password(&file, password);
        let config = stores::Valkey { username: username.map(str::to_owned), ..config.clone() };
        let refused = run(client(&config).discover());
        assert!(matches!(&refused, Err(Failure::NoAuth(said)) if said.starts_with("WRONGPASS")), "{refused:?}");
    }
    let without = stores::Valkey { username: None, password_file: None, ..config.clone() };
    assert!(matches!(run(client(&without).discover()), Err(Failure::NoAuth(said)) if said.starts_with("NOAUTH")));
    // A password that others may read stops the start.
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(Valkey::new(&config, LIBRARIES), Err(Failure::NoAuth(said)) if said.contains("chmod 600")));
}

#[test]
fn a_password_is_replaced_under_traffic() {
    let server = Server::with_acl("old", &[]);
    let folder = Folder::new("valkey-password");
    let file = folder.path("password");
    write_password(&file, "old");
    let config = stores::Valkey { username: Some("corebid".into()), password_file: Some(file.clone()), ..of(&server) };
    run(async {
        let valkey = client(&config);
        until_done(&valkey, "{a1}", count("{a1}")).await;
        let served = async |until: &dyn Fn() -> bool| {
            let start = Instant::now();
            while !until() {
                assert!(start.elapsed() < PATIENCE);
                let answer = one(&valkey, "{a1}", count("{a1}")).await;
                assert!(answer.is_ok(), "{answer:?}");
            }
        };
        // Both are good, the file is replaced, the old one goes: no call fails, on the connection that there was.
        let auths = || {
            let stats = server.text(&["INFO", "commandstats"]);
            let ours = stats
                .lines()
                .find_map(|line| line.strip_prefix("cmdstat_auth:calls=")?.split(',').next()?.parse().ok());
            ours.unwrap_or(0u64)
        };
        let clients = || {
            server
                .text(&["CLIENT", "LIST"])
                .lines()
                .filter(|line| line.contains("user=corebid"))
                .map(|line| line.split(' ').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let before = clients();
        assert_eq!(before.len(), 1);
        server.ask(&["ACL", "SETUSER", "corebid", ">new"]);
        write_password(&file, "new");
        // Each question of the test is an AUTH of the operator as well, refused or not.
        let (base, asked) = (auths(), std::cell::Cell::new(0));
        served(&|| {
            asked.set(asked.get() + 1);
            auths() - base > asked.get()
        })
        .await;
        server.ask(&["ACL", "SETUSER", "corebid", "<old"]);
        let start = Instant::now();
        served(&|| start.elapsed() > Duration::from_millis(600)).await;
        assert_eq!(clients(), before);

        // A hard change, which also closes the connections: it recovers by itself.
        write_password(&file, "newest");
        server.set_password("newest");
        server.ask(&["CLIENT", "KILL", "USER", "corebid"]);
        until_done(&valkey, "{a1}", count("{a1}")).await;
        assert_ne!(clients(), before);
    });
}
