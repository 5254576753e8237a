//! Supply paths in small worlds, where few names play all roles: the table says what the rules say.

mod reference;

use std::collections::BTreeMap;
use std::fmt::Write;

use corebid::snapshot::supply::{Body, Builder, Chain, Inventory, Kind, Node, Path, Supply, Verdict};
use corebid::units::UnixMillis;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use reference::{Declaration, Kept, Listed, SellerType, World};

const DOMAINS: [&str; 4] = ["a.com", "b.com", "c.com", "d.com"];
/// The first of them and hosts below it.
const HOSTS: [&str; 4] = ["a.com", "news.a.com", "old.news.a.com", "shop.a.com"];
const ACCOUNTS: [&str; 3] = ["1", "2", "x"];
const BUNDLE: &str = "com.a.app";
const NOW: u64 = 1000;

/// A chain with its files as they should be, and what is then done to them.
#[derive(Clone, Debug)]
struct Case {
    nodes: Vec<(String, String)>,
    /// Of the site, or of the app's developer.
    host: &'static str,
    is_app: bool,
    /// The partner that the request names.
    partner: Option<&'static str>,
    country: Option<[u8; 2]>,
    changes: Vec<Change>,
    /// Names are written in capitals, with `www.` and a dot at their end.
    loud: bool,
    stale_open: bool,
}

/// What may be wrong, missing or otherwise. An index chooses among what there is.
#[derive(Clone, Debug)]
enum Change {
    // The chain.
    NoChain,
    NoNodes,
    NotComplete,
    NotTheSender(&'static str),
    Account(Index, &'static str),
    System(Index, &'static str),
    NotPaid(Index),
    LongAccount(Index, usize),
    // The systems.
    NoSellersJson(Index),
    SellersJsonExpires(Index, u64),
    NotListed(Index),
    Type(Index, Option<SellerType>),
    Domain(Index, Option<&'static str>),
    Confidential(Index),
    Passthrough(Index, Option<&'static str>),
    ListedAgain(Index, Option<SellerType>),
    // The publisher.
    /// Whether the crawler knows that it cannot be had.
    NoFile(bool),
    NotFound,
    FileExpires(u64),
    NotNamed(Index),
    Owner(&'static str),
    Manager(&'static str, Option<[u8; 2]>),
    /// The first node is its manager's.
    Managed(&'static str, Option<[u8; 2]>, Option<SellerType>),
    Subdomain(&'static str),
    SubdomainFile(&'static str, bool, Index),
    Partner(&'static str),
    PartnerFile(&'static str, Option<bool>, Option<&'static str>),
    PartnerExpires(&'static str, u64),
    /// The first node is this partner's alone.
    Partnered(&'static str, Option<SellerType>),
    NoInventory,
    // The operator.
    Block(&'static str, Option<&'static str>),
}

fn change() -> impl Strategy<Value = Change> {
    use Change::*;
    let index = any::<Index>;
    let domain = || select(&DOMAINS[..]);
    let partner = || select([&DOMAINS[..], &HOSTS[1..]].concat());
    let account = || select(&ACCOUNTS[..]);
    let time = || select(vec![NOW - 1, NOW, NOW + 1]);
    let country = || select(vec![None, Some(*b"US"), Some(*b"DE")]);
    let kind = || {
        let all = [SellerType::Publisher, SellerType::Intermediary, SellerType::Both];
        prop::option::weighted(0.8, select(all.to_vec()))
    };
    let chain = prop_oneof![
        Just(NoChain),
        Just(NoNodes),
        Just(NotComplete),
        domain().prop_map(NotTheSender),
        (index(), account()).prop_map(|(at, account)| Account(at, account)),
        (index(), domain()).prop_map(|(at, system)| System(at, system)),
        index().prop_map(NotPaid),
        (index(), select(vec![0, 1, 64, 65])).prop_map(|(at, length)| LongAccount(at, length)),
        (domain(), prop::option::of(account())).prop_map(|(system, account)| Block(system, account)),
    ];
    let systems = prop_oneof![
        index().prop_map(NoSellersJson),
        (index(), time()).prop_map(|(at, time)| SellersJsonExpires(at, time)),
        index().prop_map(NotListed),
        (index(), kind()).prop_map(|(at, kind)| Type(at, kind)),
        (index(), prop::option::of(domain())).prop_map(|(at, domain)| Domain(at, domain)),
        index().prop_map(Confidential),
        (index(), prop::option::of(domain())).prop_map(|(at, domain)| Passthrough(at, domain)),
        (index(), kind()).prop_map(|(at, kind)| ListedAgain(at, kind)),
    ];
    let publisher = prop_oneof![
        any::<bool>().prop_map(NoFile),
        Just(NotFound),
        time().prop_map(FileExpires),
        index().prop_map(NotNamed),
        domain().prop_map(Owner),
        (domain(), country()).prop_map(|(domain, country)| Manager(domain, country)),
        (domain(), country(), kind()).prop_map(|(domain, country, kind)| Managed(domain, country, kind)),
        select(&HOSTS[1..]).prop_map(Subdomain),
        (select(&HOSTS[1..]), any::<bool>(), index()).prop_map(|(host, good, at)| SubdomainFile(host, good, at)),
        partner().prop_map(Partner),
        (partner(), any::<Option<bool>>(), prop::option::of(domain()))
            .prop_map(|(domain, names, owner)| PartnerFile(domain, names, owner)),
        (partner(), time()).prop_map(|(domain, time)| PartnerExpires(domain, time)),
        (partner(), kind()).prop_map(|(domain, kind)| Partnered(domain, kind)),
        Just(NoInventory),
    ];
    prop_oneof![1 => chain, 2 => systems, 3 => publisher]
}

fn case() -> impl Strategy<Value = Case> {
    let node = (select(&DOMAINS[..]), select(&ACCOUNTS[..])).prop_map(|(asi, sid)| (asi.to_owned(), sid.to_owned()));
    (
        prop::collection::vec(node, 1..4),
        select([&HOSTS[..], &[HOSTS[0]; 4]].concat()),
        any::<bool>(),
        prop::option::weighted(0.2, select([&DOMAINS[..], &HOSTS[1..]].concat())),
        select(vec![None, Some(*b"US"), Some(*b"DE")]),
        prop::collection::vec(change(), 0..6),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(nodes, host, is_app, partner, country, changes, loud, stale_open)| Case {
            nodes,
            host,
            is_app,
            partner,
            country,
            changes,
            loud,
            stale_open,
        })
}

/// A path that owns its parts.
struct Route {
    nodes: Option<Vec<(String, String, bool)>>,
    complete: bool,
    sender: String,
    has_inventory: bool,
}

/// What the case says, step by step.
fn lay_out(case: &Case) -> (World, Route) {
    let mut world = World { stale_open: case.stale_open, ..World::default() };
    let mut file = Declaration::default();
    for (place, (asi, sid)) in case.nodes.iter().enumerate() {
        let (seller_type, domain) = match place {
            0 => (SellerType::Publisher, HOSTS[0].to_owned()),
            _ => (SellerType::Intermediary, case.nodes[place - 1].0.clone()),
        };
        let (id, seller_type, domain) = (sid.clone(), Some(seller_type), Some(domain));
        let seller = Listed { id, seller_type, domain, is_confidential: false, is_passthrough: false };
        let new = || Kept { what: Vec::new(), expires: NOW + 1 };
        world.sellers_json.entry(asi.clone()).or_insert_with(new).what.push(seller);
        file.records.push((asi.clone(), sid.clone()));
    }
    let mut root = Some(Kept { what: Some(file), expires: NOW + 1 });
    let mut others: BTreeMap<String, Kept<reference::File>> = BTreeMap::new();
    let mut nodes: Vec<_> = case.nodes.iter().map(|(asi, sid)| (asi.clone(), sid.clone(), true)).collect();
    let mut route = Route {
        nodes: None,
        complete: true,
        sender: case.nodes.last().map(|(asi, _)| asi.clone()).unwrap(),
        has_inventory: true,
    };
    let mut has_chain = true;
    for change in &case.changes {
        let file = root.as_mut().and_then(|kept| kept.what.as_mut());
        let mut seller = |at: &Index, then: &dyn Fn(&mut Listed)| {
            let mut all: Vec<_> = world.sellers_json.values_mut().flat_map(|kept| kept.what.iter_mut()).collect();
            let count = all.len();
            if count > 0 {
                then(all[at.index(count)]);
            }
        };
        let node = |at: &Index| at.index(case.nodes.len());
        match change {
            Change::NoChain => has_chain = false,
            Change::NoNodes => nodes.clear(),
            Change::NotComplete => route.complete = false,
            Change::NotTheSender(domain) => route.sender = (*domain).to_owned(),
            Change::Account(at, account) if !nodes.is_empty() => nodes[node(at)].1 = (*account).to_owned(),
            Change::System(at, system) if !nodes.is_empty() => nodes[node(at)].0 = (*system).to_owned(),
            Change::NotPaid(at) if !nodes.is_empty() => nodes[node(at)].2 = false,
            Change::LongAccount(at, length) if !nodes.is_empty() => nodes[node(at)].1 = "1".repeat(*length),
            Change::Account(..) | Change::System(..) | Change::NotPaid(_) | Change::LongAccount(..) => {}
            Change::NoSellersJson(at) => {
                world.sellers_json.remove(&case.nodes[node(at)].0);
            }
            Change::SellersJsonExpires(at, time) => {
                if let Some(kept) = world.sellers_json.get_mut(&case.nodes[node(at)].0) {
                    kept.expires = *time;
                }
            }
            Change::NotListed(at) => seller(at, &|seller| seller.id = "gone".to_owned()),
            Change::Type(at, kind) => seller(at, &|seller| seller.seller_type = *kind),
            Change::Domain(at, domain) => seller(at, &|seller| seller.domain = domain.map(str::to_owned)),
            Change::Confidential(at) => seller(at, &|seller| seller.is_confidential = true),
            Change::Passthrough(at, domain) => seller(at, &|seller| {
                seller.is_passthrough = true;
                seller.domain = domain.map(str::to_owned).or(seller.domain.take());
            }),
            Change::ListedAgain(at, kind) => {
                if let Some(kept) = world.sellers_json.get_mut(&case.nodes[node(at)].0)
                    && let Some(first) = kept.what.first().cloned()
                {
                    kept.what.push(Listed { seller_type: *kind, ..first });
                }
            }
            Change::NoFile(is_told) => {
                root = None;
                world.unavailable.extend(is_told.then(|| HOSTS[0].to_owned()));
            }
            Change::NotFound => root = Some(Kept { what: None, expires: NOW + 1 }),
            Change::FileExpires(time) => {
                if let Some(kept) = &mut root {
                    kept.expires = *time;
                }
            }
            Change::NotNamed(at) => {
                if let Some(file) = file.filter(|file| !file.records.is_empty()) {
                    file.records.remove(at.index(file.records.len()));
                }
            }
            Change::Owner(domain) => {
                if let Some(file) = file {
                    file.owner.get_or_insert((*domain).to_owned());
                }
            }
            Change::Manager(domain, country) => {
                if let Some(file) = file {
                    file.managers.push(((*domain).to_owned(), *country));
                }
            }
            Change::Managed(domain, country, kind) => {
                if let Some(file) = file {
                    file.managers.push(((*domain).to_owned(), *country));
                }
                if let Some(kept) = world.sellers_json.get_mut(&case.nodes[0].0)
                    && let Some(first) = kept.what.first_mut()
                {
                    (first.domain, first.seller_type) = (Some((*domain).to_owned()), *kind);
                }
            }
            Change::Subdomain(host) => {
                if let Some(file) = file {
                    file.subdomains.push((*host).to_owned());
                }
            }
            Change::SubdomainFile(host, good, at) => {
                let (asi, sid) = &case.nodes[node(at)];
                let records = vec![(asi.clone(), sid.clone())];
                let what =
                    good.then(|| Declaration { records, owner: Some(HOSTS[0].to_owned()), ..Declaration::default() });
                others.insert((*host).to_owned(), Kept { what, expires: NOW + 1 });
            }
            Change::Partner(domain) => {
                if let Some(file) = file {
                    file.partners.push((*domain).to_owned());
                }
            }
            Change::PartnerFile(domain, names, owner) if *domain != HOSTS[0] => {
                let records = case.nodes.clone();
                let what = names.map(|names| Declaration {
                    records: if names { records } else { Vec::new() },
                    owner: owner.map(str::to_owned),
                    ..Declaration::default()
                });
                others.insert((*domain).to_owned(), Kept { what, expires: NOW + 1 });
            }
            Change::Partnered(domain, kind) if *domain != HOSTS[0] => {
                if let Some(file) = file {
                    file.partners.push((*domain).to_owned());
                    file.records.retain(|record| *record != case.nodes[0]);
                }
                let records = vec![case.nodes[0].clone()];
                let what = Some(Declaration { records, ..Declaration::default() });
                others.insert((*domain).to_owned(), Kept { what, expires: NOW + 1 });
                if let Some(kept) = world.sellers_json.get_mut(&case.nodes[0].0)
                    && let Some(first) = kept.what.first_mut()
                {
                    (first.domain, first.seller_type) = (Some((*domain).to_owned()), *kind);
                }
            }
            Change::PartnerFile(..) | Change::Partnered(..) => {}
            Change::PartnerExpires(domain, time) => {
                if let Some(kept) = others.get_mut(*domain) {
                    kept.expires = *time;
                }
            }
            Change::NoInventory => route.has_inventory = false,
            Change::Block(system, account) => {
                world.blocked.push(((*system).to_owned(), account.map(str::to_owned)));
            }
        }
    }
    // A developer's hosts have files of their own, and its partners' are those of sites.
    if case.is_app {
        let hosts = others.iter().filter(|(host, _)| HOSTS.contains(&host.as_str()));
        world.app_ads_txt = hosts.map(|(host, kept)| (host.clone(), kept.clone())).collect();
    }
    world.ads_txt = others;
    let files = if case.is_app { &mut world.app_ads_txt } else { &mut world.ads_txt };
    files.extend(root.map(|root| (HOSTS[0].to_owned(), root)));
    world.developers.insert(BUNDLE.to_owned(), case.host.to_owned());
    route.nodes = has_chain.then_some(nodes);
    (world, route)
}

/// The world as files, and the files as a table.
fn compile(world: &World, loud: bool) -> Supply {
    let write = |name: &str| if loud { format!("WWW.{}.", name.to_uppercase()) } else { name.to_owned() };
    let mut builder = Builder::new(&std::env::temp_dir()).unwrap();
    for (asi, kept) in &world.sellers_json {
        let seller = |seller: &Listed| {
            let kind = seller.seller_type.map_or("RESELLER".to_owned(), |kind| format!("{kind:?}").to_uppercase());
            json!({ "seller_id": seller.id, "seller_type": kind, "domain": seller.domain.as_deref().map(write),
                "is_confidential": u8::from(seller.is_confidential), "is_passthrough": seller.is_passthrough })
        };
        let text = json!({ "sellers": kept.what.iter().map(seller).collect::<Vec<_>>() }).to_string();
        builder.sellers_json(&write(asi), text.as_bytes(), UnixMillis(kept.expires)).unwrap();
    }
    for (kind, files) in [(Kind::AdsTxt, &world.ads_txt), (Kind::AppAdsTxt, &world.app_ads_txt)] {
        for (host, kept) in files {
            let Some(file) = &kept.what else {
                builder.ads_txt(kind, host, Body::Absent, UnixMillis(kept.expires)).unwrap();
                continue;
            };
            let mut text = String::from("# who may sell\n");
            if file.records.is_empty() {
                text += "placeholder.example.com, placeholder, DIRECT, placeholder\n";
            }
            for (place, (asi, sid)) in file.records.iter().enumerate() {
                let relation = if place % 2 == 0 { "DIRECT" } else { "reseller" };
                writeln!(text, "{}, {sid}, {relation}", write(asi)).unwrap();
            }
            file.owner.iter().for_each(|owner| writeln!(text, "OWNERDOMAIN={}", write(owner)).unwrap());
            for (manager, country) in &file.managers {
                let country = country.map_or(String::new(), |code| format!(", {}", String::from_utf8_lossy(&code)));
                writeln!(text, "MANAGERDOMAIN={}{country}", write(manager)).unwrap();
            }
            file.subdomains.iter().for_each(|host| writeln!(text, "subdomain={host}").unwrap());
            file.partners.iter().for_each(|host| writeln!(text, "InventoryPartnerDomain={}", write(host)).unwrap());
            builder.ads_txt(kind, host, Body::Good(text.as_bytes()), UnixMillis(kept.expires)).unwrap();
        }
    }
    for host in &world.unavailable {
        for (kind, files) in [(Kind::AdsTxt, &world.ads_txt), (Kind::AppAdsTxt, &world.app_ads_txt)] {
            if !files.contains_key(host) {
                builder.ads_txt(kind, host, Body::Unavailable, UnixMillis(0)).unwrap();
            }
        }
    }
    world.developers.iter().for_each(|(bundle, domain)| builder.app(bundle, domain));
    for (asi, account) in &world.blocked {
        builder.block(&write(asi), account.as_deref()).unwrap();
    }
    let mut supply = builder.finish().unwrap();
    supply.stale_open = world.stale_open;
    supply
}

/// What the rules say, and what the table says.
fn both(case: &Case) -> (Verdict, Verdict) {
    let (world, route) = lay_out(case);
    let partner = case.partner.map_or(String::new(), |partner| match case.loud {
        true => format!("WWW.{}.", partner.to_uppercase()),
        false => partner.to_owned(),
    });
    let nodes: Option<Vec<Node<'_>>> = route.nodes.as_ref().map(|nodes| {
        nodes.iter().map(|(asi, sid, pays)| Node { asi: asi.as_bytes(), sid: sid.as_bytes(), pays: *pays }).collect()
    });
    let path = Path {
        chain: match &nodes {
            Some(nodes) => Chain::Nodes { complete: route.complete, nodes },
            None => Chain::Absent,
        },
        sender: route.sender.as_bytes(),
        inventory: match (route.has_inventory, case.is_app) {
            (false, _) => Inventory::Unknown,
            (true, true) => Inventory::App(BUNDLE.as_bytes()),
            (true, false) => Inventory::Site(case.host.as_bytes()),
        },
        partner: partner.as_bytes(),
        country: case.country,
    };
    (world.verdict(&path, NOW), compile(&world, case.loud).check(&path, UnixMillis(NOW)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_table_says_what_the_rules_say(case in case()) {
        let (rules, table) = both(&case);
        prop_assert_eq!(table, rules);
    }
}

/// The worlds are worth asking about: each verdict is given by many of them.
#[test]
fn every_verdict_is_met() {
    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<Verdict, u32> = BTreeMap::new();
    for _ in 0..4000 {
        let case = case().new_tree(&mut runner).unwrap().current();
        *met.entry(both(&case).0).or_default() += 1;
    }
    assert!(met.len() == 13 && met.values().all(|count| *count >= 20), "{met:?}");
}
