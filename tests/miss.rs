//! A user whom a bid core does not know: fetched, waited for, or done without. Over real sockets and the real threads, with a
//! store that does as it is told.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

mod support;
#[path = "support/fetching.rs"]
mod fetching;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use corebid::bid::busy::BusyWork;
use corebid::bid::server::Backend;
use corebid::config::{Config, OnMiss};
use corebid::launch::{Launch, Node};
use corebid::metrics::core::CoreMetrics;
use corebid::snapshot::data::Source;
use corebid::wire::openrtb::nobid::NoBidReason;
use fetching::{Asked, Mood, Store};
use flate2::Compression;
use flate2::write::GzEncoder;
use support::client::{Answer, Client, http};
use support::{Folder, campaign, eventually, request};

/// A running bidder and the store that it asks.
struct World {
    node: Node,
    store: Arc<Store>,
    _folder: Folder,
}

impl World {
    fn start(mood: Mood, on_miss: OnMiss, backend: Backend) -> World {
        let folder = Folder::new("miss");
        let mut config = Config::demo(&folder.path("data"));
        config.server.listen.set_port(0);
        config.server.backend = backend;
        config.profiles.on_miss = on_miss;
        let cpm = |cpm: &str, campaign: String| campaign.replace("cpm = 2.00", &format!("cpm = {cpm}"));
        let campaigns = cpm("4.00", campaign(1, "[campaigns.targeting]\nsegments = { any = [9] }\n"))
            + &cpm("3.50", campaign(2, "[campaigns.targeting]\nsegments = { none = [9] }\n"))
            + &cpm("3.00", campaign(3, "frequency_cap = 100\n"))
            + &campaign(4, "");
        let source = Source::Files {
            campaigns: folder.write("campaigns.toml", campaigns),
            profiles: None,
            model: None,
            scoring: Default::default(),
            rates: Default::default(),
            geo: None,
            edge: Default::default(),
            privacy: Default::default(),
            supply: Default::default(),
        };
        let store = Store::new(mood);
        let launch = Launch { config, source, make_keys: true, busy_work: BusyWork::NONE };
        let asked = Asked(store.clone());
        let node = launch.start_fetching(move || asked).unwrap();
        eventually("money", || node.is_funded().then_some(()));
        World { node, store, _folder: folder }
    }

    fn client(&self) -> Client {
        Client::connect(self.node.address).unwrap()
    }

    fn sum(&self, read: fn(&CoreMetrics) -> u64) -> u64 {
        self.node.metrics.iter().map(|core| read(core)).sum()
    }

    /// How the requests whose user was not known went on: by a reply, in vain, without waiting.
    fn ends(&self) -> [u64; 3] {
        [
            self.sum(|core| core.resumed.get()),
            self.sum(|core| core.waited_in_vain.get()),
            self.sum(|core| core.unfetched.get()),
        ]
    }

    /// The creative that is bid for this user. On a busy machine a request can be too late, or its wait in vain: then another
    /// user, who is as unknown, is asked about.
    #[track_caller]
    fn creative(&self, client: &mut Client, user: &str) -> String {
        for attempt in 0..200 {
            let before = self.ends()[1..].to_vec();
            let answer = client.debug(&of(&format!("{user}-{attempt}")));
            if answer.status == 200 && self.ends()[1..] == before {
                return creative(&answer);
            }
        }
        panic!("200 requests were all too late");
    }
}

fn of(user: &str) -> Vec<u8> {
    request("r", &format!(",\"user\":{{\"id\":\"{user}\"}}"))
}

#[track_caller]
fn creative(answer: &Answer) -> String {
    answer.json()["seatbid"][0]["bid"][0]["crid"].as_str().unwrap().to_owned()
}

const BACKENDS: [Backend; 2] = [Backend::IoUring, Backend::Epoll];

#[test]
fn what_the_store_says_decides() {
    for backend in BACKENDS {
        let world = World::start(Mood::Known, OnMiss::Contextual, backend);
        let mut client = world.client();
        // Campaign 1 wants the segment that only the store knows of; once known, the user is not asked for again.
        assert_eq!(world.creative(&mut client, "known"), "c1");
        // Who is known to be unknown has no segments and was shown nothing.
        world.store.set(Mood::Unknown);
        assert_eq!(world.creative(&mut client, "unknown"), "c2");
        // Of whom nobody says anything, neither segments nor their absence nor what was shown is known.
        for mood in [Mood::Failing, Mood::Silent] {
            world.store.set(mood);
            assert_eq!(world.creative(&mut client, "failed"), "c4", "{mood:?}");
        }
        drop(client);
        world.node.drain().unwrap();
    }
}

#[test]
fn a_user_is_asked_for_once() {
    let world = World::start(Mood::Known, OnMiss::Contextual, Backend::default());
    let mut clients: Vec<Client> = (0..16).map(|_| world.client()).collect();
    let mut late = 0;
    for round in 0..20 {
        let body = http("POST", "/openrtb/generic", "x-debug: 1\r\n", &of(&format!("u{round}")));
        clients.iter_mut().for_each(|client| client.send(&body).unwrap());
        late +=
            clients.iter_mut().filter_map(|client| client.answer().unwrap().came_late().then_some(())).count() as u64;
    }
    let cores = world.node.metrics.len() as u64;
    let asked = world.store.asked.lock().unwrap().clone();
    assert!(asked.values().all(|times| *times <= cores), "{asked:?} for {cores} cores");
    let [resumed, in_vain, unfetched] = world.ends();
    assert_eq!(world.sum(|core| core.parked.get()), resumed + in_vain, "{unfetched} were not parked");
    // On a busy machine all requests of a user may come too late to wait, or to be decided at all.
    assert!(
        asked.len() == 20 || late + unfetched >= 16 * (20 - asked.len() as u64),
        "{late} late, {unfetched}, {asked:?}"
    );
}

#[test]
fn a_stalled_store_is_done_without() {
    for (on_miss, backend) in [(OnMiss::Contextual, BACKENDS[0]), (OnMiss::NoBid, BACKENDS[1])] {
        let world = World::start(Mood::Stalled, on_miss, backend);
        let mut client = world.client();
        for user in 0..10 {
            let answer = client.debug(&of(&format!("u{user}")));
            match on_miss {
                OnMiss::Contextual => assert_eq!(creative(&answer), "c4"),
                OnMiss::NoBid => assert_eq!((answer.status, answer.reason()), (204, Some("profile_missing"))),
            }
        }
        assert!(world.ends()[1] > 0, "{:?}", world.ends());
        // Who sends no id is nobody to ask for.
        let asked = world.store.asked.lock().unwrap().len();
        assert_eq!(creative(&client.debug(&request("r", ""))), "c2");
        assert_eq!(world.store.asked.lock().unwrap().len(), asked);
        drop(client);
        world.node.drain().unwrap();
    }
}

/// Requests in one write, some of users who have to be fetched: one answer each, in order, with what its head asked for.
#[test]
fn a_pipeline_keeps_its_order() {
    for (backend, mood) in BACKENDS.into_iter().zip([Mood::Known, Mood::Stalled]) {
        let world = World::start(mood, OnMiss::Contextual, backend);
        let mut client = world.client();
        let mut bids = 0;
        for round in 0..10 {
            let ids: Vec<String> = (0..24).map(|at| format!("{round}-{at}")).collect();
            let mut pipeline = Vec::new();
            for (at, id) in ids.iter().enumerate() {
                let user = if at % 3 == 0 { String::new() } else { format!(",\"user\":{{\"id\":\"u{id}\"}}") };
                let fields = format!("x-openrtb-version: 2.{at}\r\n");
                let mut body = request(id, &user);
                let fields = if at % 4 == 1 {
                    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                    encoder.write_all(&body).unwrap();
                    body = encoder.finish().unwrap();
                    fields + "Content-Encoding: gzip\r\n"
                } else {
                    fields
                };
                pipeline.extend(http("POST", "/openrtb/generic", &fields, &body));
            }
            client.send(&pipeline).unwrap();
            for (at, id) in ids.iter().enumerate() {
                let answer = client.answer().unwrap();
                // A bid that is withdrawn at the last moment leaves a bare 204.
                if answer.status == 200 {
                    assert_eq!(answer.field("x-openrtb-version"), Some(&*format!("2.{at}")), "{answer:?}");
                    assert_eq!(answer.json()["id"], **id);
                    bids += 1;
                }
            }
        }
        assert!(bids > 0);
        assert!(world.sum(|core| core.parked.get()) > 0);
        drop(client);
        world.node.drain().unwrap();
    }
}

/// A store that stalls under load: every request is answered, the breaker opens, from then on nobody waits, and it closes by
/// itself once the store is back.
#[test]
fn the_breaker_opens_and_closes() {
    let world = World::start(Mood::Known, OnMiss::Contextual, Backend::default());
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let (over, mut client) = (over.clone(), world.client());
            thread::spawn(move || {
                let mut sent = 0u64;
                while !over.load(SeqCst) {
                    client.ask("POST", "/openrtb/generic", "", &of(&format!("{number}-{sent}")));
                    sent += 1;
                }
                sent
            })
        })
        .collect();
    let breaker = || world.node.fetches().unwrap().breaker.get();
    eventually("replies", || (world.ends()[0] > 100).then_some(()));
    assert_eq!(breaker(), 0);
    world.store.set(Mood::Stalled);
    eventually("an open breaker", || (breaker() == 2).then_some(()));
    let before = world.ends();
    eventually("requests that do not wait", || (world.ends()[2] > before[2] + 1_000).then_some(()));
    world.store.set(Mood::Known);
    eventually("a closed breaker", || (breaker() == 0).then_some(()));
    let before = world.ends();
    eventually("replies again", || (world.ends()[0] > before[0] + 100).then_some(()));
    over.store(true, SeqCst);
    let sent: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert_eq!(sent, world.sum(|core| core.requests.get()));
    let shed = world.sum(|core| {
        let late = [NoBidReason::Shed, NoBidReason::Stalled, NoBidReason::Late];
        late.iter().map(|&reason| core.nobid(reason).get()).sum()
    });
    let answered = world.sum(|core| core.bids.get()) + shed;
    assert!(answered >= sent, "{answered} of {sent}");
    let [resumed, in_vain, _] = world.ends();
    assert_eq!(world.sum(|core| core.parked.get()), resumed + in_vain);
    world.node.drain().unwrap();
}

/// Connections that end while their request waits leave nothing behind.
#[test]
fn who_leaves_is_forgotten() {
    for backend in BACKENDS {
        let world = World::start(Mood::Stalled, OnMiss::Contextual, backend);
        for round in 0..3 {
            let mut clients: Vec<Client> = (0..100).map(|_| world.client()).collect();
            for (at, client) in clients.iter_mut().enumerate() {
                client.send(&http("POST", "/openrtb/generic", "", &of(&format!("{round}-{at}")))).unwrap();
            }
            drop(clients);
        }
        world.store.set(Mood::Known);
        eventually("a closed breaker", || {
            let mut client = world.client();
            let answer = client.debug(&of(&format!("{}", world.sum(|core| core.requests.get()))));
            (answer.status == 200 && creative(&answer) == "c1").then_some(())
        });
        world.node.drain().unwrap();
    }
}

/// A drain answers what waits.
#[test]
fn a_drain_answers_what_waits() {
    let world = World::start(Mood::Stalled, OnMiss::Contextual, Backend::default());
    let mut clients: Vec<Client> = (0..16).map(|_| world.client()).collect();
    for (at, client) in clients.iter_mut().enumerate() {
        client.send(&http("POST", "/openrtb/generic", "", &of(&format!("{at}")))).unwrap();
    }
    let node = world.node;
    let drained = thread::spawn(move || node.drain());
    for client in &mut clients {
        assert!(matches!(client.answer().unwrap().status, 200 | 204));
    }
    drop(clients);
    drained.join().unwrap().unwrap();
}
