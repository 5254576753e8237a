//! The DynamoDB store against Amazon's DynamoDB Local: what must not be lost, who is first, who may what, and what happens when it does
//! not answer.
#![cfg(feature = "stores")]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use corebid::authority::NotRetired;
use corebid::authority::message::{NotRegistered, Register};
use corebid::config::DynamoDb as Config;
use corebid::profile::fetched::FetchOutcome;
use corebid::profile::keys::{KeyError, KeyStore, WrappedKey};
use corebid::profile::source::ProfileSource;
use corebid::store::dynamodb::campaigns;
use corebid::store::dynamodb::client::Client;
use corebid::store::dynamodb::dal::Dal;
use corebid::store::dynamodb::epochs::Epochs;
use corebid::store::dynamodb::erasures::Erasures;
use corebid::store::dynamodb::failure::Kind;
use corebid::store::dynamodb::feed::Feed;
use corebid::store::dynamodb::register::Processes;
use corebid::store::dynamodb::sellers::{self, Sellers};
use corebid::store::dynamodb::tables::Table;
use corebid::store::dynamodb::tenant::Operator;
use corebid::store::dynamodb::users::{Keys, Profiles};
use corebid::supply::store::{Entry, Kind as FileKind, Status, Store as Fetched, Writer};
use corebid::units::{AdvertiserId, CampaignId, Epoch, Incarnation, NodeId, UnixMillis, UserKey};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use support::dynamodb::{self, Fault, Policy, Proxy, Server, config, credentials};
use support::process::{Bidder, run};
use support::{Folder, eventually, request};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// Tables of a test's own behind a proxy, in a server that it may share.
struct Store {
    server: Arc<Server>,
    proxy: Proxy,
    folder: Folder,
    prefix: &'static str,
}

impl Store {
    async fn new(prefix: &'static str) -> Store {
        Store::of(Server::shared(), prefix).await
    }

    async fn of(server: Arc<Server>, prefix: &'static str) -> Store {
        let proxy = Proxy::new(server.port, prefix, None, None);
        let store = Store { folder: Folder::new(prefix), server, proxy, prefix };
        assert_eq!(store.client().make_tables().await.unwrap(), Table::ALL);
        store
    }

    /// For tenants 7 and 8.
    fn config(&self) -> Config {
        config(&self.folder, &self.proxy.url(), self.prefix, &[7, 8])
    }

    fn client(&self) -> Client {
        Client::new(&self.config()).unwrap()
    }

    /// Calls of one operation so far.
    fn count(&self, operation: &str) -> usize {
        self.proxy.calls().iter().filter(|call| call.operation == operation).count()
    }
}

fn ask(node: u16, nonce: u64, last: u32) -> Register {
    let (node, last) = (NodeId(node), Incarnation(last));
    Register { node, nonce, workers: 9, horizon: 1_800_000, last, first_booking: 0, next_booking: 0 }
}

#[tokio::test]
async fn tables_are_made_once() {
    let store = Store::new("tables").await;
    assert_eq!(store.client().make_tables().await.unwrap(), []);
    for table in Table::ALL {
        assert!(store.client().has_table(table).await.unwrap());
    }
}

/// Every node of a fleet starts at once, two of them twice: as many numbers as processes, no worker id twice, and who asks again
/// hears the same.
#[tokio::test]
async fn processes_that_start_together_get_numbers_of_their_own() {
    let store = Store::new("register").await;
    let nonces = [(1, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (5, 1), (6, 1)];
    let calls: Vec<_> = nonces
        .map(|(node, nonce)| {
            let processes = Processes::new(store.client());
            tokio::spawn(async move { processes.register(NOW, &ask(node, nonce, 0)).await.unwrap().unwrap() })
        })
        .into_iter()
        .collect();
    let mut told = Vec::new();
    for call in calls {
        told.push(call.await.unwrap());
    }
    assert_eq!((told[0], told[5]), (told[1], told[6]));
    let numbers: BTreeSet<_> = told.iter().map(|(incarnation, _)| *incarnation).collect();
    assert_eq!(numbers, (1..=6).map(Incarnation).collect());
    let workers: BTreeSet<_> = told.iter().map(|(_, process)| process.first_worker).collect();
    assert_eq!(workers, (0..6).map(|node| node * 9).collect());

    let processes = Processes::new(store.client());
    let (first, _) = told[0];
    processes.renew(first, UnixMillis(NOW.0 + 60_000)).await.unwrap().unwrap();
    assert_eq!(processes.register(NOW, &ask(1, 2, 0)).await.unwrap(), Err(NotRegistered::Overtaken));
    assert_eq!(processes.retire(NOW, NodeId(1)).await.unwrap(), Err(NotRetired::Alive));
    processes.end(first).await.unwrap();
    assert_eq!(processes.retire(NOW, NodeId(1)).await.unwrap(), Ok(()));
    assert_eq!(processes.register(NOW, &ask(1, 3, first.0)).await.unwrap(), Err(NotRegistered::Retired));
    assert!(processes.read().await.unwrap().is_retired(NodeId(1)));

    // The write is heard and its answer is lost: the process asks again and is not numbered twice.
    store.proxy.fail_next("PutItem", Fault::Deaf);
    assert!(processes.register(NOW, &ask(9, 9, 0)).await.is_err());
    let (incarnation, _) = processes.register(NOW, &ask(9, 9, 0)).await.unwrap().unwrap();
    assert_eq!(incarnation, Incarnation(7));
    assert_eq!(processes.register(NOW, &ask(10, 1, 0)).await.unwrap().unwrap().0, Incarnation(8));
}

#[tokio::test]
async fn an_epoch_has_one_successor() {
    let store = Store::new("epochs").await;
    let advertiser = AdvertiserId(7);
    let epochs = Epochs::new(store.client());
    assert_eq!(epochs.epoch(advertiser).await.unwrap().epoch, Epoch(0));
    assert_eq!(epochs.bump(advertiser, Epoch(0), "a").await.unwrap().epoch, Epoch(1));
    let racing: Vec<_> = (0..6)
        .map(|server| {
            let epochs = Epochs::new(store.client());
            tokio::spawn(async move { epochs.bump(advertiser, Epoch(1), &format!("s{server}")).await.unwrap() })
        })
        .collect();
    let mut told = Vec::new();
    for call in racing {
        told.push(call.await.unwrap());
    }
    assert!(told.iter().all(|standing| *standing == told[0]), "all open the same server: {told:?}");
    assert_eq!(told[0].epoch, Epoch(2));
    assert_eq!(epochs.bump(advertiser, Epoch(5), "b").await.unwrap_err().kind, Kind::Malformed);

    // The write is heard and its answer is not: the epoch is still the next, not the one after.
    store.proxy.fail([Fault::Deaf]);
    assert_eq!(epochs.bump(advertiser, Epoch(2), "c").await.unwrap().epoch, Epoch(3));
    assert_eq!(epochs.epoch(AdvertiserId(70)).await.unwrap().epoch, Epoch(0), "another's stands as it stood");
}

#[tokio::test]
async fn a_checkpoint_gives_way_to_a_newer_one_only() {
    let store = Store::new("checkpoints").await;
    let (epochs, advertiser) = (Epochs::new(store.client()), AdvertiserId(7));
    assert_eq!(epochs.keep(advertiser, Epoch(1), 1, b"x").await.unwrap_err().kind, Kind::Conflict);
    epochs.bump(advertiser, Epoch(0), "a").await.unwrap();
    assert_eq!(epochs.checkpoint(advertiser).await.unwrap(), None);
    // Larger than an item may be.
    let large: Vec<u8> = (0..900_000_u32).map(|at| (at % 251) as u8).collect();
    assert!(epochs.keep(advertiser, Epoch(1), 5, &large).await.unwrap());
    assert!(!epochs.keep(advertiser, Epoch(1), 5, b"again").await.unwrap());
    assert!(!epochs.keep(advertiser, Epoch(1), 4, b"older").await.unwrap());
    assert_eq!(epochs.checkpoint(advertiser).await.unwrap(), Some((Epoch(1), 5, large)));
    let racing: Vec<_> = (6..12_u64)
        .map(|version| {
            let epochs = Epochs::new(store.client());
            let bytes = vec![version as u8; 400_000];
            tokio::spawn(async move { epochs.keep(advertiser, Epoch(1), version, &bytes).await.unwrap() })
        })
        .collect();
    for call in racing {
        call.await.unwrap();
    }
    assert_eq!(epochs.checkpoint(advertiser).await.unwrap(), Some((Epoch(1), 11, vec![11; 400_000])));
    epochs.bump(advertiser, Epoch(1), "b").await.unwrap();
    assert_eq!(epochs.keep(advertiser, Epoch(1), 99, b"of the past").await.unwrap_err().kind, Kind::Conflict);
    assert!(epochs.keep(advertiser, Epoch(2), 1, b"new").await.unwrap(), "a new epoch counts anew");
    assert_eq!(epochs.checkpoint(advertiser).await.unwrap(), Some((Epoch(2), 1, b"new".to_vec())));
}

fn user(number: u64) -> UserKey {
    UserKey(((number % 2) << 62) | (number + 1))
}

fn value(outcome: &FetchOutcome) -> Option<&[u8]> {
    match outcome {
        FetchOutcome::Profile(value) => Some(value),
        _ => None,
    }
}

#[tokio::test]
async fn profiles_come_in_batches_and_what_is_handed_back_is_asked_again() {
    let store = Store::new("profiles").await;
    let profiles = Profiles::new(store.client());
    let users: Vec<_> = (0..230).map(user).collect();
    for (number, user) in users.iter().enumerate().filter(|(number, _)| number % 3 == 0) {
        profiles.put(*user, &number.to_be_bytes()).await.unwrap();
    }
    // Three calls, each of which answers some: what remains is asked again until all is answered.
    store.proxy.fail([Fault::Unprocessed(40), Fault::Unprocessed(0), Fault::Unprocessed(7)]);
    let found = profiles.fetch(&users).await;
    assert_eq!(found.len(), users.len());
    for (number, (of, outcome)) in found.iter().enumerate() {
        assert_eq!(*of, users[number]);
        let expected = (number % 3 == 0).then(|| number.to_be_bytes());
        assert_eq!(value(outcome), expected.as_ref().map(<[u8; 8]>::as_slice), "{number}");
        assert_ne!(*outcome, FetchOutcome::Failed);
    }
    assert_eq!(store.count("BatchGetItem"), 6);
    let sent: Vec<_> = store.proxy.calls().into_iter().filter(|call| call.operation == "BatchGetItem").collect();
    let asked =
        |call: &dynamodb::Call| call.body["RequestItems"]["profiles-profiles"]["Keys"].as_array().unwrap().len();
    assert!(sent.iter().all(|call| asked(call) <= 100));
    let keys = sent.iter().map(|call| call.body.to_string()).collect::<String>();
    assert!(keys.contains("\"eu#0000000000000001\"") && keys.contains("\"other#4000000000000002\""));

    profiles.remove(users[0]).await.unwrap();
    assert_eq!(profiles.fetch(&users[..1]).await, [(users[0], FetchOutcome::Nothing)]);

    // Handed back for ever: those that were answered are had, the others have failed, in time.
    let hurried = Client::new(&Config { fetch_ms: 400, ..store.config() }).unwrap();
    store.proxy.fail([Fault::Unprocessed(2), Fault::Unprocessed(0)]);
    store.proxy.fail([Fault::Unprocessed(0); 500]);
    let start = Instant::now();
    let found = Profiles::new(hurried).fetch(&users[3..7]).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(value(&found[0].1), Some(&3_usize.to_be_bytes()[..]));
    let kinds: Vec<_> = found[1..].iter().map(|(_, outcome)| outcome.clone()).collect();
    assert_eq!(kinds, [FetchOutcome::Nothing, FetchOutcome::Failed, FetchOutcome::Failed]);
}

#[tokio::test]
async fn a_key_is_made_once_and_destroyed_for_good() {
    let store = Store::new("keys").await;
    let racing: Vec<_> = (0..6_u8)
        .map(|number| {
            let keys = Keys::new(store.client());
            tokio::spawn(async move { keys.create(user(1), WrappedKey(vec![number; 60])).await.unwrap() })
        })
        .collect();
    let mut told = Vec::new();
    for call in racing {
        told.push(call.await.unwrap());
    }
    assert!(told.iter().all(|key| *key == told[0]), "everybody seals with the same key");
    let keys = Keys::new(store.client());
    assert_eq!(keys.get(&[user(1), user(2)]).await.unwrap(), [(user(1), told[0].clone())]);
    assert!(keys.destroy(user(1)).await.unwrap());
    assert!(!keys.destroy(user(1)).await.unwrap());
    assert_eq!(keys.get(&[user(1)]).await.unwrap(), []);
    keys.create(user(1), WrappedKey(vec![9])).await.unwrap();
    store.proxy.fail([Fault::Deaf]);
    assert!(keys.destroy(user(1)).await.unwrap(), "it was there, though the answer was lost");
    store.proxy.fail([Fault::Error(400, "AccessDeniedException")]);
    assert!(matches!(keys.get(&[user(1)]).await, Err(KeyError::Denied(_))));
}

#[tokio::test]
async fn failures_have_their_kind() {
    let store = Store::new("failures").await;
    let epochs = Epochs::new(store.client());
    for (code, kind, attempts) in [
        ("ProvisionedThroughputExceededException", Kind::Throttled, 4),
        ("ThrottlingException", Kind::Throttled, 4),
        ("RequestLimitExceeded", Kind::Throttled, 4),
        ("AccessDeniedException", Kind::Denied, 1),
        ("UnrecognizedClientException", Kind::Denied, 1),
        ("ExpiredTokenException", Kind::Denied, 1),
        ("ResourceNotFoundException", Kind::NoTable, 1),
        ("ConditionalCheckFailedException", Kind::Conflict, 1),
        ("ValidationException", Kind::Malformed, 1),
        ("InternalServerError", Kind::Unreachable, 4),
    ] {
        let before = store.count("GetItem");
        store.proxy.fail(vec![Fault::Error(400, code); attempts]);
        let failure = epochs.epoch(AdvertiserId(1)).await.unwrap_err();
        assert_eq!((failure.kind, store.count("GetItem") - before), (kind, attempts), "{failure}");
    }
    // It passes, and nobody notices.
    store.proxy.fail([Fault::Error(500, "InternalServerError"), Fault::Error(400, "ThrottlingException")]);
    assert_eq!(epochs.epoch(AdvertiserId(1)).await.unwrap().epoch, Epoch(0));

    let of = |config: Config| async move { Epochs::new(Client::new(&config).unwrap()).epoch(AdvertiserId(1)).await };
    let elsewhere = Config { table_prefix: "nowhere".to_owned(), ..store.config() };
    assert_eq!(of(elsewhere).await.unwrap_err().kind, Kind::NoTable);
    let nobody = Config { endpoint: Some("http://127.0.0.1:1".to_owned()), ..store.config() };
    assert_eq!(of(nobody).await.unwrap_err().kind, Kind::Unreachable);
}

/// A server that does not answer costs as long as the configuration says, and no longer; when it goes on, so does the client.
#[tokio::test]
async fn a_stopped_server_is_a_timeout() {
    let store = Store::of(Arc::new(Server::start()), "stopped").await;
    let config = Config { timeout_ms: 150, fetch_ms: 60, ..store.config() };
    // Straight to it: the proxy would have to be stopped too.
    let client = Client::new(&Config { endpoint: Some(store.server.url()), ..config }).unwrap();
    let (epochs, profiles) = (Epochs::new(client.clone()), Profiles::new(client));
    assert_eq!(profiles.fetch(&[user(1)]).await.len(), 1);
    store.server.signal(libc::SIGSTOP);
    let start = Instant::now();
    let found = profiles.fetch(&[user(1), user(2)]).await;
    let fetched = start.elapsed();
    let failure = epochs.epoch(AdvertiserId(1)).await.unwrap_err();
    let called = start.elapsed() - fetched;
    store.server.signal(libc::SIGCONT);
    assert!(found.iter().all(|(_, outcome)| *outcome == FetchOutcome::Failed));
    assert_eq!(failure.kind, Kind::Timeout);
    // On a loaded machine a timer is late; a client that waits for the server would not be back at all.
    assert!(fetched >= Duration::from_millis(60) && fetched < Duration::from_secs(5), "{fetched:?}");
    assert!(called >= Duration::from_millis(4 * 150) && called < Duration::from_secs(10), "{called:?}");
    assert_eq!(profiles.fetch(&[user(1)]).await.len(), 1);
    let patient = Client::new(&store.config()).unwrap();
    assert_eq!(Epochs::new(patient).epoch(AdvertiserId(1)).await.unwrap().epoch, Epoch(0));
}

#[tokio::test]
async fn keys_are_rotated_without_a_restart() {
    let store = Store::new("rotation").await;
    let client = store.client();
    let epochs = Epochs::new(client);
    epochs.epoch(AdvertiserId(1)).await.unwrap();
    credentials(&store.folder, "AKIDTHENEXTONE");
    epochs.epoch(AdvertiserId(1)).await.unwrap();
    store.folder.write("credentials", "nothing");
    epochs.epoch(AdvertiserId(1)).await.unwrap();
    let signers: Vec<_> = store.proxy.calls().iter().rev().take(3).map(|call| call.signer.clone()).collect();
    assert_eq!(signers, ["AKIDTHENEXTONE", "AKIDTHENEXTONE", "AKIDCOREBID"]);
}

/// A certificate for `localhost`, and who vouches for it.
fn authority() -> (ServerConfig, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap();
    (server, ca.pem())
}

#[tokio::test]
async fn only_the_authorities_of_the_configuration_are_believed() {
    let store = Store::new("secure").await;
    let ((server, right), (_, wrong)) = (authority(), authority());
    let proxy = Proxy::new(store.server.port, "secure", None, Some(server));
    let with = |name: &str, pem: &str| {
        let ca = store.folder.write(name, pem);
        Client::new(&Config { endpoint: Some(proxy.url()), ca_file: Some(ca), timeout_ms: 5000, ..store.config() })
    };
    let epochs = Epochs::new(with("right.pem", &right).unwrap());
    assert_eq!(epochs.bump(AdvertiserId(1), Epoch(0), "a").await.unwrap().epoch, Epoch(1));
    let heard = proxy.calls().len();
    let failure = Epochs::new(with("wrong.pem", &wrong).unwrap()).epoch(AdvertiserId(1)).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Unreachable, "{failure}");
    let system = Config { endpoint: Some(proxy.url()), timeout_ms: 5000, ..store.config() };
    assert!(Epochs::new(Client::new(&system).unwrap()).epoch(AdvertiserId(1)).await.is_err());
    assert_eq!(proxy.calls().len(), heard, "nothing is said to a server that nobody vouches for");
    for bad in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        assert!(with("bad.pem", bad).unwrap_err().to_string().contains("bad.pem"), "{bad:?}");
    }
}

fn campaign(advertiser: u32, id: u32) -> String {
    format!(
        "{{\"id\":{id},\"advertiser\":{advertiser},\"name\":\"c\",\"daily_budget\":10.10,\"cpm\":2,\
         \"adomain\":[\"a.example\"],\"creatives\":[{{\"id\":\"x\",\"w\":300,\"h\":250,\"markup\":\"<b>\"}}]}}"
    )
}

#[tokio::test]
async fn a_tenant_reaches_its_own_data_and_nobody_elses() {
    let store = Store::new("tenants").await;
    let client = store.client();
    let operator = Operator::of(&store.config());
    assert_eq!(operator.tenants().of(AdvertiserId(9)), None, "nobody's tenant");
    let (seven, eight) = (AdvertiserId(7), AdvertiserId(8));
    let (seven, eight) = (operator.tenants().of(seven).unwrap(), operator.tenants().of(eight).unwrap());
    let (of_seven, of_eight) = (Dal::new(&client, &seven), Dal::new(&client, &eight));

    let many: BTreeMap<_, _> = (1..=150).map(|id| (CampaignId(id), campaign(7, id))).collect();
    assert_eq!(campaigns::write(&of_seven, &many).await.unwrap(), (150, 0));
    let one = BTreeMap::from([(CampaignId(1000), campaign(8, 1000))]);
    assert_eq!(campaigns::write(&of_eight, &one).await.unwrap(), (1, 0));
    assert_eq!(campaigns::read(&of_seven).await.unwrap().list, many);
    assert_eq!(campaigns::read(&of_eight).await.unwrap().list, one);
    assert_eq!(campaigns::write(&of_seven, &many).await.unwrap(), (0, 0), "nothing has changed");
    let fewer: BTreeMap<_, _> = many.clone().into_iter().take(149).collect();
    assert_eq!(campaigns::write(&of_seven, &fewer).await.unwrap(), (0, 1));

    // A campaign of another advertiser is nobody's way in, whoever offers it.
    let foreign = BTreeMap::from([(CampaignId(1000), campaign(8, 1000))]);
    let refused = campaigns::write(&of_seven, &foreign).await.unwrap_err();
    assert!(refused.kind == Kind::Malformed && refused.what.contains("advertiser 8"), "{refused}");
    assert_eq!(campaigns::read(&of_eight).await.unwrap().list, one);
    let calls = store.proxy.calls();
    let of_tables = calls.iter().filter(|call| ["Query", "TransactWriteItems"].contains(&&*call.operation));
    assert!(of_tables.clone().count() > 0);
    for call in of_tables {
        let text = call.body.to_string();
        assert!(text.contains("{\"S\":\"7\"}") != text.contains("{\"S\":\"8\"}"), "one tenant a call: {text}");
    }
}

/// Tenant 7's item as somebody else's hand may have left it.
async fn spoil(store: &Store, id: &str, value: &str) {
    use aws_sdk_dynamodb::types::AttributeValue::{N, S};
    let sdk = sdk(store);
    let put = sdk.put_item().table_name(format!("{}-campaigns", store.prefix));
    put.item("tenant", S("7".into())).item("id", S(id.into())).item("value", S(value.into())).send().await.unwrap();
    let count = sdk.update_item().table_name(format!("{}-campaigns", store.prefix));
    count
        .key("tenant", S("7".into()))
        .key("id", S("revision".into()))
        .update_expression("ADD #value :one")
        .expression_attribute_names("#value", "value")
        .expression_attribute_values(":one", N("1".into()))
        .send()
        .await
        .unwrap();
}

/// A client that knows nothing of ours.
fn sdk(store: &Store) -> aws_sdk_dynamodb::Client {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(store.server.url())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("a", "s", None, None, "test"));
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

#[tokio::test]
async fn a_malformed_campaign_leaves_its_tenants_last_good_set_and_nobody_elses() {
    let store = Store::new("feed").await;
    let (client, operator) = (store.client(), Operator::of(&store.config()));
    let (seven, eight) =
        (operator.tenants().of(AdvertiserId(7)).unwrap(), operator.tenants().of(AdvertiserId(8)).unwrap());
    let (seven, eight) = (Dal::new(&client, &seven), Dal::new(&client, &eight));
    let set = |advertiser, ids: &[u32]| -> BTreeMap<_, _> {
        ids.iter().map(|id| (CampaignId(*id), campaign(advertiser, *id))).collect()
    };
    let file = store.folder.path("campaigns.json");
    let ids = || -> Vec<u64> {
        let file: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        file["campaigns"].as_array().unwrap().iter().map(|campaign| campaign["id"].as_u64().unwrap()).collect()
    };
    campaigns::write(&seven, &set(7, &[1, 2])).await.unwrap();
    campaigns::write(&eight, &set(8, &[10])).await.unwrap();
    let feed = || Feed::new(store.client(), operator.clone(), &file).unwrap();
    let mut first = feed();
    assert!(first.pull().await.unwrap() && !first.pull().await.unwrap());
    assert_eq!(ids(), [1, 2, 10]);
    assert!(std::fs::read_to_string(&file).unwrap().contains("10.10"), "an amount is the text that it was");

    for (id, value, said) in [
        ("campaign#0000000003", "{\"id\":3", "campaign#0000000003"),
        ("campaign#0000000003", &*campaign(8, 3), "advertiser 8"),
        ("campaign#0000000003", &*campaign(7, 4), "campaign 4"),
        ("campaign#0000000003", &*campaign(7, 3).replace("10.10", "-1"), "greater than 0"),
        ("campaign#0000000003", &*format!("{},{}", campaign(7, 3), campaign(8, 4)), "not one campaign"),
        ("campaign#0000000003", "]}{[", "campaign#0000000003"),
    ] {
        spoil(&store, id, value).await;
        let refused = first.pull().await.unwrap_err();
        assert!(refused.kind == Kind::Malformed && refused.what.contains(said), "{refused}");
        assert_eq!(ids(), [1, 2, 10]);
    }
    campaigns::write(&eight, &set(8, &[10, 11])).await.unwrap();
    first.pull().await.unwrap_err();
    assert_eq!(ids(), [1, 2, 10, 11], "the other tenant's change is taken");
    let mut restarted = feed();
    assert!(restarted.has_file());
    restarted.pull().await.unwrap_err();
    assert_eq!(ids(), [1, 2, 10, 11], "a new process keeps the last good set");

    campaigns::write(&eight, &set(8, &[2, 10])).await.unwrap();
    first.pull().await.unwrap_err();
    assert_eq!(ids(), [1, 2, 10, 11], "a campaign's id is not taken from who has it");
    campaigns::write(&seven, &set(7, &[1])).await.unwrap();
    while first.pull().await.is_err() {}
    assert_eq!(ids(), [1, 2, 10], "it is given up, so it can be taken");

    store.folder.write("other.json", "{\"campaigns\":1}");
    assert!(Feed::new(store.client(), operator.clone(), &store.folder.path("other.json")).is_err());
}

#[tokio::test]
async fn sellers_arrive_as_they_were_fetched() {
    let store = Store::new("sellers").await;
    let (client, operator) = (store.client(), Operator::of(&store.config()));
    let seven = operator.tenants().of(AdvertiserId(7)).unwrap();
    let dal = Dal::new(&client, &seven);
    let from = store.folder.path("fetched");
    // What does not deflate: xorshift64.
    let noise = std::iter::successors(Some(0x9e37_79b9_7f4a_7c15_u64), |last| {
        let mut next = last ^ (last << 13);
        next ^= next >> 7;
        Some(next ^ (next << 17))
    });
    let large: Vec<u8> = noise.take(150_000).flat_map(u64::to_le_bytes).collect();
    let keep = |domain: &str, body: &[u8], fetched: u64| {
        use std::io::Write as _;
        let mut writer = Writer::open(&from).unwrap();
        let mut file = writer.bodies().begin(0).unwrap();
        file.write_all(body).unwrap();
        let (digest, bytes) = file.keep().unwrap();
        let entry = Entry::new(FileKind::AdsTxt, domain);
        let (fetched, expires) = (UnixMillis(fetched), UnixMillis(fetched + 86_400_000));
        writer.put(Entry { status: Status::Good, digest, bytes, fetched, expires, ..entry }).unwrap();
        writer.put_apps(BTreeMap::from([("com.app".to_owned(), "dev.example".to_owned())])).unwrap();
    };
    keep("a.example", b"x.example, 1, DIRECT\n", 1);
    keep("b.example", &large, 1);
    let (written, removed) = sellers::push(&dal, &from).await.unwrap();
    assert!(written == 9 && removed == 0, "two entries, a small body, one of several parts, the apps: {written}");
    assert_eq!(sellers::push(&dal, &from).await.unwrap(), (0, 0));

    let into = store.folder.path("taken");
    let mut taken = Sellers::new(store.client(), operator.clone(), into.clone());
    assert!(taken.pull().await.unwrap() && !taken.pull().await.unwrap());
    let same = |domain: &str| {
        let (from, into) = (Fetched::open(&from).unwrap(), Fetched::open(&into).unwrap());
        let (one, other) = (from.entry(FileKind::AdsTxt, domain), into.entry(FileKind::AdsTxt, domain));
        assert_eq!(one, other);
        assert_eq!(from.body(one.unwrap()).unwrap(), into.body(other.unwrap()).unwrap());
        assert_eq!(into.apps().collect::<Vec<_>>(), [("com.app", "dev.example")]);
    };
    same("a.example");
    same("b.example");
    keep("b.example", b"y.example, 2, DIRECT\n", 2);
    let (written, removed) = sellers::push(&dal, &from).await.unwrap();
    assert!(written == 2 && removed == 4, "the parts of the body that nobody names any more go");
    assert!(taken.pull().await.unwrap());
    same("b.example");
}

/// What a bidder and an operator do is what their policies allow: all of it, and nothing else. What they may not do is refused, and
/// said so.
#[tokio::test]
async fn the_policies_allow_what_is_done_and_nothing_else() {
    let server = Server::shared();
    let folder = Folder::new("policy");
    let as_who = |policy: &str| Proxy::new(server.port, "policy", Some(Policy::read(policy)), None);
    let (operator, node) = (as_who("operator.json"), as_who("policy.json"));
    let client = |proxy: &Proxy| Client::new(&config(&folder, &proxy.url(), "policy", &[7, 8])).unwrap();
    let (tool, bidder) = (client(&operator), client(&node));

    tool.make_tables().await.unwrap();
    let tenants = Operator::of(&config(&folder, "http://x", "policy", &[7, 8]));
    let tenant = tenants.tenants().of(AdvertiserId(7)).unwrap();
    let dal = Dal::new(&tool, &tenant);
    let both: BTreeMap<_, _> = (1..3).map(|id| (CampaignId(id), campaign(7, id))).collect();
    campaigns::write(&dal, &both).await.unwrap();
    campaigns::write(&dal, &both.into_iter().take(1).collect()).await.unwrap();
    let fetched = folder.path("fetched");
    Writer::open(&fetched).unwrap().put(Entry::new(FileKind::AdsTxt, "a.example")).unwrap();
    sellers::push(&dal, &fetched).await.unwrap();
    Writer::open(&fetched).unwrap().sweep(|_| false).unwrap();
    sellers::push(&dal, &fetched).await.unwrap();
    let profiles = Profiles::new(tool.clone());
    profiles.put(user(1), b"sealed").await.unwrap();
    profiles.remove(user(1)).await.unwrap();
    Keys::new(tool.clone()).create(user(1), WrappedKey(vec![1])).await.unwrap();
    Keys::new(tool.clone()).destroy(user(1)).await.unwrap();

    let (processes, epochs) = (Processes::new(bidder.clone()), Epochs::new(bidder.clone()));
    processes.register(NOW, &ask(1, 1, 0)).await.unwrap().unwrap();
    Processes::new(tool.clone()).retire(NOW, NodeId(1)).await.unwrap().unwrap();
    epochs.bump(AdvertiserId(7), Epoch(0), "a").await.unwrap();
    epochs.keep(AdvertiserId(7), Epoch(1), 1, b"one").await.unwrap();
    epochs.keep(AdvertiserId(7), Epoch(1), 2, b"two").await.unwrap();
    let profiles = Profiles::new(bidder.clone());
    assert_eq!(profiles.fetch(&[user(1)]).await, [(user(1), FetchOutcome::Nothing)]);
    Keys::new(bidder.clone()).get(&[user(1)]).await.unwrap();
    Keys::new(bidder.clone()).destroy(user(1)).await.unwrap();
    Erasures::new(bidder.clone()).append(user(1)).await.unwrap();
    Feed::new(bidder.clone(), tenants.clone(), &folder.path("campaigns.json")).unwrap().pull().await.unwrap();
    Sellers::new(bidder.clone(), tenants.clone(), folder.path("sellers")).pull().await.unwrap();
    assert_eq!(operator.used(), Policy::read("operator.json").rights());
    assert_eq!(node.used(), Policy::read("policy.json").rights());

    // A tenant that the policy does not name, though the configuration does; a bidder that changes campaigns, or makes keys.
    let more = Operator::of(&config(&folder, "http://x", "policy", &[9]));
    let nine = more.tenants().of(AdvertiserId(9)).unwrap();
    assert_eq!(campaigns::read(&Dal::new(&bidder, &nine)).await.unwrap_err().kind, Kind::Denied);
    let write = campaigns::write(&Dal::new(&bidder, &tenant), &BTreeMap::new()).await;
    assert_eq!(write.unwrap_err().kind, Kind::Denied);
    let made = Keys::new(bidder.clone()).create(user(1), WrappedKey(vec![1])).await;
    assert!(matches!(made, Err(KeyError::Denied(_))));
    assert_eq!(Profiles::new(bidder).put(user(1), b"x").await.unwrap_err().kind, Kind::Denied);
}

/// The commands, and a bidder that bids with what they brought, also when DynamoDB is gone.
#[tokio::test]
async fn a_pushed_campaign_is_bid_for_within_seconds() {
    let server = Server::shared();
    let folder = Folder::new("served");
    credentials(&folder, "AKIDCOREBID");
    let path = folder.configure("", "", "campaigns = []\n");
    let text = std::fs::read_to_string(&path).unwrap().replace("campaigns.toml", "campaigns.json");
    let stores = format!(
        "[stores.dynamodb]\nendpoint = {:?}\naws_region = \"eu-central-1\"\ncredentials_file = \"credentials\"\n\
         table_prefix = \"served\"\ntimeout_ms = 20000\ntenants = [7]\n",
        server.url()
    );
    let path = folder.text("corebid.toml");
    folder.write("corebid.toml", format!("{stores}{text}"));
    let config = ["--config", &path];
    let of = |command: &[&str], more: &[&str]| run(&[command, &config[..], more].concat());
    assert_eq!(of(&["stores", "check"], &[]).0, Some(1));
    assert_eq!(of(&["stores", "init"], &["--json"]).0, Some(0));
    let (code, said, _) = of(&["stores", "check"], &[]);
    assert_eq!((code, &*said), (Some(0), "every table is there\n"));
    let push = |text: String| {
        let file = folder.write("pushed.toml", text);
        of(&["campaigns", "push"], &["--advertiser", "7", &file.display().to_string()])
    };
    let (code, said, _) = push(support::campaign(7, ""));
    assert_eq!((code, &*said), (Some(0), "1 campaigns: 1 written, 0 removed\n"));
    assert_eq!(of(&["campaigns", "push"], &["--advertiser", "8", &folder.text("pushed.toml")]).0, Some(2));
    assert!(push("campaigns = 1\n".to_owned()).2.contains("pushed.toml:1"));

    let bidder = Bidder::start(&config);
    let bids = |size: &str| {
        let body = String::from_utf8(request("r", "")).unwrap().replace("300", size);
        bidder.client().bid(body.as_bytes()).status == 200
    };
    assert!(bids("300") && !bids("301"));
    let start = Instant::now();
    assert_eq!(push(support::campaign(7, "").replace("w = 300", "w = 301")).0, Some(0));
    eventually("the changed campaign", || bids("301").then_some(()));
    eprintln!("a pushed campaign is bid for after {:?}, the push included", start.elapsed());
    assert!(!bids("300"));
    bidder.stop();

    let gone = std::fs::read_to_string(&path).unwrap().replace(&server.url(), "http://127.0.0.1:1");
    folder.write("corebid.toml", gone);
    let bidder = Bidder::start(&config);
    assert!(bidder.log().contains("the last good set stays in use"));
    bidder.stop();
    std::fs::remove_file(folder.path("campaigns.json")).unwrap();
    let refused = Bidder::try_start(&config).unwrap_err();
    assert!(refused.stderr.contains("no campaigns to begin with"), "{}", refused.stderr);
}
