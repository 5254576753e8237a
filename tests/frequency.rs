//! Frequency counts in a real Valkey: counted once, read back by anybody, gone when they are over.

#![cfg(feature = "stores")]

mod support;

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroU16;

use corebid::bid::frequency::FrequencyShard;
use corebid::limits;
use corebid::market::random::Random;
use corebid::profile::count::{Cap, Count, CountOf, Counted, Counters, Delta, Per, Periods, Shown, Window};
use corebid::profile::shadow::{Tally, is_shadowed};
use corebid::store::valkey::frequency::{Told, count, erase, install, key, read};
use corebid::stores::frequency::Spread;
use corebid::units::{AdvertiserId, CampaignId, Nanos, NodeId, Now, UnixMillis, UserKey};
use redis::aio::MultiplexedConnection;
use support::valkey::Server;

/// 2100-01-01: the server's clock expires nothing that is counted then.
const BEGIN: UnixMillis = UnixMillis(4_102_444_800_000);
const ONE: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);

fn name(user: UserKey) -> String {
    format!("eu#{:016x}", user.0)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

async fn connect(server: &Server) -> MultiplexedConnection {
    let client = redis::Client::open(format!("redis://{}", server.address)).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn ready(server: &Server) -> MultiplexedConnection {
    let mut connection = connect(server).await;
    install(&mut connection).await.unwrap();
    connection
}

fn cap(per: Per, window: Window, times: u16) -> Cap {
    Cap { per, window, times: NonZeroU16::new(times).unwrap() }
}

fn counted(campaign: u32, caps: &[Cap]) -> Counted {
    Counted::new(CampaignId(campaign), AdvertiserId(7), caps, Counters::NONE)
}

fn delta(user: u64, counted: &Counted, creative: u16, at: UnixMillis, number: u64) -> Delta {
    let &Counted { campaign, advertiser, counters, enough } = counted;
    Delta { user: UserKey(user), shown: Shown { campaign, creative, advertiser, counters }, at, number, enough }
}

fn sorted(counts: &[Count]) -> Vec<(CountOf, Window, u32, u16)> {
    let mut sorted: Vec<_> = counts.iter().map(|count| (count.of, count.window, count.period, count.times)).collect();
    sorted.sort();
    sorted
}

async fn known(connection: &mut MultiplexedConnection, user: u64) -> Vec<(CountOf, Window, u32, u16)> {
    sorted(read(connection, &[UserKey(user)], name).await.unwrap()[0].as_ref().unwrap())
}

/// Two nodes tell of a thousand bookings, in batches that are told again and again; what is read is what a map says.
#[test]
fn every_booking_counts_once_however_often_it_is_told() {
    run(async {
        let server = Server::start(&[]);
        let mut connection = ready(&server).await;
        let kinds = [
            counted(1, &[cap(Per::Campaign, Window::Hour, 3), cap(Per::Creative, Window::Day, 3)]),
            counted(2, &[cap(Per::Advertiser, Window::Week, 3), cap(Per::Campaign, Window::Lifetime, 9)]),
        ];
        let mut random = Random::new(5);
        let mut naive: BTreeMap<(u64, CountOf, Window), (u32, u16)> = BTreeMap::new();
        let mut at = BEGIN;
        for number in 0..100u64 {
            at.0 += random.below(40) * 60_000;
            for node in [ONE, OTHER] {
                let batch: Vec<Delta> = (0..5)
                    .map(|place| {
                        let campaign = &kinds[random.below(2) as usize];
                        delta(1 + random.below(4), campaign, random.below(2) as u16, at, number * 5 + place)
                    })
                    .collect();
                for delta in &batch {
                    for (of, window) in delta.shown.counts() {
                        let period = window.period(at);
                        let known = naive.entry((delta.user.0, of, window)).or_default();
                        *known = if known.0 == period { (period, known.1 + 1) } else { (period, 1) };
                    }
                }
                let told = count(&mut connection, node, &batch, name).await.unwrap();
                assert!(told.iter().all(|told| matches!(told, Told::Counted(_))), "{told:?}");
                for _ in 0..random.below(3) {
                    let again = &batch[random.below(5) as usize..];
                    let told = count(&mut connection, node, again, name).await.unwrap();
                    assert!(told.iter().all(|told| *told == Told::Known), "{told:?}");
                }
            }
        }
        for user in 1..=4 {
            let expected: Vec<_> = naive
                .iter()
                .filter(|((of_user, ..), _)| *of_user == user)
                .map(|((_, of, window), (period, times))| (*of, *window, *period, *times))
                .collect();
            assert!(expected.len() > 4);
            assert_eq!(known(&mut connection, user).await, expected);
        }
        assert_eq!(known(&mut connection, 99).await, []);
        assert!(erase(&mut connection, &name(UserKey(1))).await.unwrap().unwrap());
        assert!(!erase(&mut connection, &name(UserKey(1))).await.unwrap().unwrap());
        assert_eq!(known(&mut connection, 1).await, []);
    });
}

#[test]
fn a_user_is_kept_until_the_last_count_is_over_and_no_more_counts_than_there_is_room_for() {
    run(async {
        let server = Server::start(&[]);
        let mut connection = ready(&server).await;
        let expires = |user| server.ask(&["EXPIRETIME", &key(&name(UserKey(user)))]);
        let day = counted(1, &[cap(Per::Campaign, Window::Day, 3), cap(Per::Campaign, Window::Hour, 3)]);
        let ever = counted(2, &[cap(Per::Campaign, Window::Lifetime, 3)]);
        let begin = BEGIN.0 / 1000;
        count(&mut connection, ONE, &[delta(1, &day, 0, BEGIN, 1)], name).await.unwrap();
        assert_eq!(expires(1), redis::Value::Int((begin + 86_400) as i64));
        count(&mut connection, ONE, &[delta(1, &ever, 0, BEGIN, 2)], name).await.unwrap();
        assert_eq!(expires(1), redis::Value::Int((begin + limits::LIFETIME_S) as i64));
        count(&mut connection, ONE, &[delta(1, &day, 0, BEGIN, 3)], name).await.unwrap();
        assert_eq!(
            expires(1),
            redis::Value::Int((begin + limits::LIFETIME_S) as i64),
            "a shorter one does not shorten it"
        );

        // A bill that comes after its hour counts for its day, and not for the hour under way.
        let later = UnixMillis(BEGIN.0 + 3_600_000);
        let told = count(&mut connection, ONE, &[delta(2, &day, 0, later, 1), delta(2, &day, 0, BEGIN, 2)], name).await;
        assert_eq!(told.unwrap(), [Told::Counted(vec![1, 1]), Told::Counted(vec![0, 2])]);

        let many: Vec<_> = (0..limits::COUNTS as u64 + 20)
            .map(|number| {
                let window = if number % 2 == 0 { Window::Hour } else { Window::Lifetime };
                delta(3, &counted(number as u32, &[cap(Per::Campaign, window, 3)]), 0, BEGIN, number + 1)
            })
            .collect();
        count(&mut connection, ONE, &many, name).await.unwrap();
        let kept = known(&mut connection, 3).await;
        let lifetimes = kept.iter().filter(|(_, window, ..)| *window == Window::Lifetime).count();
        // The node's own field takes a place.
        assert_eq!((kept.len(), lifetimes), (limits::COUNTS - 1, many.len() / 2), "what ends first goes first");
    });
}

#[test]
fn what_a_server_does_not_take_waits_and_what_never_fits_is_lost() {
    run(async {
        let server = Server::start(&[]);
        let mut connection = connect(&server).await;
        let day = counted(1, &[cap(Per::Campaign, Window::Day, 3)]);
        let (mut spread, tally) = (Spread::new(ONE, name), Tally::default());
        (1..=4).for_each(|number| spread.take(delta(number, &day, 0, BEGIN, number)));
        assert!(!spread.tell(&mut connection, &tally).await.unwrap());
        assert_eq!(spread.waiting(), 4, "a server without our functions");

        install(&mut connection).await.unwrap();
        server.ask(&["SET", &key(&name(UserKey(2))), "other"]);
        server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
        spread.tell(&mut connection, &tally).await.unwrap();
        assert_eq!(spread.waiting(), 4, "a server without memory");
        server.ask(&["CONFIG", "SET", "maxmemory", "0"]);

        assert!(!spread.tell(&mut connection, &tally).await.unwrap());
        let counts = spread.counts();
        assert_eq!((spread.waiting(), counts.told.get(), counts.lost.get()), (0, 3, 1));
        let users = [1, 2, 3].map(UserKey);
        let found = spread.of(&mut connection, &users).await.unwrap();
        assert_eq!(
            found.iter().map(|found| found.as_ref().map(Vec::len)).collect::<Vec<_>>(),
            [Some(1), None, Some(1)]
        );

        (0..limits::DELTAS_AT_ONCE as u64 + 1).for_each(|number| spread.take(delta(5, &day, 0, BEGIN, number + 5)));
        assert!(spread.tell(&mut connection, &tally).await.unwrap(), "there are more");
        assert!(!spread.tell(&mut connection, &tally).await.unwrap());
        assert_eq!(known(&mut connection, 5).await[0].3, limits::DELTAS_AT_ONCE as u16 + 1);
    });
}

#[test]
fn an_error_of_the_connection_loses_nothing_and_doubles_nothing() {
    run(async {
        let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
        let mut connection = ready(&server).await;
        let day = counted(1, &[cap(Per::Campaign, Window::Day, 3)]);
        let (mut spread, tally) = (Spread::new(ONE, name), Tally::default());
        let first = [delta(1, &day, 0, BEGIN, 1), delta(1, &day, 0, BEGIN, 2)];
        // Counted, but the node did not hear of it.
        count(&mut connection, ONE, &first, name).await.unwrap();
        first.into_iter().for_each(|delta| spread.take(delta));
        spread.take(delta(1, &day, 0, BEGIN, 3));
        server.kill();
        assert!(spread.tell(&mut connection, &tally).await.is_err());
        assert_eq!(spread.waiting(), 3);
        server.start_again();
        let mut connection = ready(&server).await;
        spread.tell(&mut connection, &tally).await.unwrap();
        assert_eq!((spread.counts().told.get(), spread.counts().known.get()), (1, 2));
        assert_eq!(known(&mut connection, 1).await[0].3, 3);
    });
}

#[test]
fn nodes_hear_of_each_other_through_a_replica() {
    run(async {
        let primary = Server::start(&[]);
        let mut connection = ready(&primary).await;
        let replica = primary.replica(&[]);
        let mut reads = connect(&replica).await;
        let caps = [cap(Per::Campaign, Window::Day, 3), cap(Per::Advertiser, Window::Lifetime, 9)];
        let campaign = counted(1, &caps);
        let now = Now { boot: Nanos(1_000_000_000), wall: BEGIN };
        // A user who is counted exactly, so that the estimate sees what goes beyond.
        let user = (1..).map(UserKey).find(|user| is_shadowed(*user)).unwrap();
        let mut shards =
            [FrequencyShard::with(64, limits::H1_NS).shared(), FrequencyShard::with(64, limits::H1_NS).shared()];
        let mut spreads = [Spread::new(ONE, name), Spread::new(OTHER, name)];
        let tally = Tally::default();
        for (node, (shard, spread)) in shards.iter_mut().zip(&mut spreads).enumerate() {
            for number in 1..=2 {
                let bill = delta(user.0, &campaign, 0, BEGIN, number);
                shard.counted(user, &bill.shown, Periods::at(BEGIN), now);
                spread.take(bill);
            }
            spread.tell(&mut connection, &tally).await.unwrap();
            assert_eq!(tally.bills.get(), 2 * (node as u64 + 1));
        }
        assert_eq!(tally.over.get(), 1, "the fourth, of a cap of three that neither node saw");
        // On the connection that wrote: WAIT waits for its own writes.
        let waited = async |connection: &mut _| redis::cmd("WAIT").arg(1).arg(100).query_async::<i64>(connection).await;
        let mut tries = 0;
        while waited(&mut connection).await.unwrap() < 1 {
            tries += 1;
            assert!(tries < 200, "the replica does not follow");
        }
        for (shard, spread) in shards.iter_mut().zip(&spreads) {
            let of = CountOf::Campaign(CampaignId(1));
            assert_eq!(shard.seen(user, now).times(of, Window::Day), 2);
            let found = spread.of(&mut reads, &[user]).await.unwrap();
            shard.load(user, found[0].as_ref().unwrap(), now);
            assert_eq!(shard.seen(user, now).times(of, Window::Day), 4);
            assert_eq!(shard.seen(user, now).times(CountOf::Advertiser(AdvertiserId(7)), Window::Lifetime), 4);
        }
        // A replica takes no counts: they wait for the primary.
        let bill = delta(user.0, &campaign, 0, BEGIN, 3);
        assert_eq!(count(&mut reads, ONE, &[bill], name).await.unwrap(), [Told::Refused]);
    });
}

/// Figures of docs/FREQUENCY.md: `cargo test --test frequency -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn bytes_of_a_count() {
    run(async {
        let server = Server::start(&[]);
        let mut connection = ready(&server).await;
        let users = 20_000u64;
        let used = |server: &Server| server.info("used_memory").unwrap().parse::<u64>().unwrap();
        for counts in [1u64, 4, 16, 64] {
            let pieces = |user: u64| {
                (0..counts).map(move |number| {
                    let window = Window::ALL[number as usize % 3];
                    (name(UserKey(user << 8)), 10_000 + number as u32, window)
                })
            };
            let mut bytes = Vec::new();
            for layout in ["a key for each count", "a hash for each period", "a hash for each user"] {
                server.ask(&["FLUSHALL", "SYNC"]);
                let before = used(&server);
                for user in 0..users {
                    if layout == "a hash for each user" {
                        let deltas: Vec<_> = pieces(user)
                            .enumerate()
                            .map(|(at, (_, id, window))| {
                                delta(
                                    user << 8,
                                    &counted(id, &[cap(Per::Campaign, window, 3)]),
                                    0,
                                    BEGIN,
                                    at as u64 + 1,
                                )
                            })
                            .collect();
                        count(&mut connection, ONE, &deltas, name).await.unwrap();
                        continue;
                    }
                    let mut pipeline = redis::pipe();
                    for (name, id, window) in pieces(user) {
                        let period = window.period(BEGIN);
                        let key = match layout {
                            "a key for each count" => {
                                let key = format!("freq:{{{name}}}:{id}:{}{period}", window.label());
                                pipeline.cmd("INCR").arg(&key).ignore();
                                key
                            }
                            _ => {
                                let key = format!("freq:{{{name}}}:{}{period}", window.label());
                                pipeline.cmd("HINCRBY").arg(&key).arg(format!("c{id}")).arg(1).ignore();
                                key
                            }
                        };
                        pipeline.cmd("EXPIREAT").arg(&key).arg(BEGIN.0 / 1000 + 86_400).ignore();
                    }
                    pipeline.query_async::<()>(&mut connection).await.unwrap();
                }
                bytes.push(format!("{layout} {}", (used(&server) - before) / (users * counts)));
            }
            println!("{counts} counts of a user, bytes each: {}", bytes.join(", "));
        }
    });
}
