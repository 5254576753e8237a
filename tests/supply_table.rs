//! The compiled supply table against maps of strings, and its file against damage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use corebid::snapshot::supply::{Body, Builder, Chain, Inventory, Kind, Node, Path, Supply, Verdict};
use corebid::units::UnixMillis;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_780_000_000_000);
const LATER: UnixMillis = UnixMillis(NOW.0 + 1);

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("corebid-supply-table-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn builder() -> Builder {
    Builder::new(&std::env::temp_dir()).unwrap()
}

fn ads(builder: &mut Builder, host: &str, text: &str) {
    builder.ads_txt(Kind::AdsTxt, host, Body::Good(text.as_bytes()), LATER).unwrap();
}

fn app_ads(builder: &mut Builder, host: &str, body: Body<'_>) {
    builder.ads_txt(Kind::AppAdsTxt, host, body, LATER).unwrap();
}

fn sellers(builder: &mut Builder, asi: &str, entries: &str) {
    builder.sellers_json(asi, format!("{{\"sellers\":[{entries}]}}").as_bytes(), LATER).unwrap();
}

/// `asi:sid` of each node, between spaces.
fn ask(supply: &Supply, inventory: Inventory<'_>, chain: &str) -> Verdict {
    ask_in(supply, inventory, chain, None)
}

fn ask_in(supply: &Supply, inventory: Inventory<'_>, chain: &str, country: Option<[u8; 2]>) -> Verdict {
    let node = |text| {
        let (asi, sid): (&str, &str) = str::split_once(text, ':').unwrap();
        Node { asi: asi.as_bytes(), sid: sid.as_bytes(), pays: true }
    };
    let nodes: Vec<_> = chain.split(' ').map(node).collect();
    let sender = nodes.last().unwrap().asi;
    let chain = Chain::Nodes { complete: true, nodes: &nodes };
    supply.check(&Path { chain, sender, inventory, partner: b"", country }, NOW)
}

fn site(host: &str) -> Inventory<'_> {
    Inventory::Site(host.as_bytes())
}

/// A publisher with a manager of its own in Germany, an exchange it sells through, and one that resells.
fn world() -> Builder {
    let mut builder = builder();
    ads(
        &mut builder,
        "pub.example",
        "OwnerDomain=owner.example\nMANAGERDOMAIN=house.example, de\nmanagerdomain=agency.example\n\
         One.example, 1, DIRECT, x\none.example,2,reseller\nTWO.example, R, RESELLER\ntwo.example, W, RESELLER\none.example, H, DIRECT\none.example, P, DIRECT",
    );
    sellers(
        &mut builder,
        "one.example",
        r#"{"seller_id":"1","seller_type":"publisher","domain":"OWNER.example"},
           {"seller_id":"2","seller_type":"BOTH","domain":"www.agency.example"},
           {"seller_id":"3","seller_type":"PUBLISHER","is_confidential":1,"domain":"hidden.example"},
           {"seller_id":"H","seller_type":"INTERMEDIARY","domain":"house.example"},
           {"seller_id":"P","seller_type":"PUBLISHER","domain":"pub.example"},
           {"seller_id":"N","domain":"owner.example"}"#,
    );
    sellers(
        &mut builder,
        "two.example",
        r#"{"seller_id":"R","seller_type":"INTERMEDIARY","domain":"one.example"},
           {"seller_id":"T","seller_type":"BOTH","domain":"third.example","is_passthrough":1},
           {"seller_id":"W","seller_type":"BOTH","domain":"third.example"},
           {"seller_id":"P","seller_type":"PUBLISHER","domain":"one.example"}"#,
    );
    builder
}

#[test]
fn each_rule_has_its_verdict() {
    let supply = world().finish().unwrap();
    let verdicts = [
        ("one.example:1", Verdict::Verified),
        ("one.example:1 two.example:R", Verdict::Verified),
        ("WWW.One.example:1 two.example:R", Verdict::Verified),
        ("one.example:2", Verdict::Verified),
        ("one.example:9", Verdict::UnknownSeller),
        ("one.example:\t1", Verdict::Verified),
        ("one.example:h", Verdict::UnknownSeller),
        ("one.example:3", Verdict::Unauthorized),
        ("one.example:P", Verdict::WrongSellerDomain),
        ("one.example:N", Verdict::WrongSellerType),
        ("one.example:H", Verdict::WrongSellerType),
        ("one.example:1 two.example:P", Verdict::WrongSellerType),
        ("one.example:1 two.example:W", Verdict::WrongSellerDomain),
        ("one.example:1 two.example:T", Verdict::Unauthorized),
        ("three.example:1 two.example:R", Verdict::Unauthorized),
        ("one.example:1 three.example:1", Verdict::Unauthorized),
        ("one.example:", Verdict::Malformed),
        (":1", Verdict::Malformed),
    ];
    for (chain, verdict) in verdicts {
        assert_eq!(ask(&supply, site("pub.example"), chain), verdict, "{chain}");
    }
    assert_eq!(ask_in(&supply, site("pub.example"), "one.example:H", Some(*b"DE")), Verdict::Verified);
    assert_eq!(ask_in(&supply, site("pub.example"), "one.example:H", Some(*b"FR")), Verdict::WrongSellerType);
    assert_eq!(ask(&supply, site("a.b.pub.example"), "one.example:1"), Verdict::Verified);
    assert_eq!(ask(&supply, site("other.example"), "one.example:1"), Verdict::NoAdsTxt);
    assert_eq!(ask(&supply, site("other.example"), "one.example:N"), Verdict::WrongSellerType);
    assert_eq!(ask(&supply, Inventory::Unknown, "one.example:1"), Verdict::NoAdsTxt);
    assert_eq!(ask(&Supply::default(), site("pub.example"), "one.example:1"), Verdict::NoSellersJson);
}

#[test]
fn what_a_chain_says_itself_comes_first() {
    let supply = Supply::default();
    let (node, long) = (Node { asi: b"x.example", sid: b"1", pays: true }, [b'1'; 65]);
    let check = |chain: Chain<'_>, sender: &[u8]| {
        supply.check(&Path { chain, sender, inventory: Inventory::Unknown, partner: b"", country: None }, NOW)
    };
    let nodes = |nodes: &[Node<'_>], complete| check(Chain::Nodes { complete, nodes }, b"x.example");
    assert_eq!(check(Chain::Absent, b"x.example"), Verdict::NoChain);
    assert_eq!(check(Chain::Malformed, b"x.example"), Verdict::Malformed);
    assert_eq!(nodes(&[], true), Verdict::Malformed);
    assert_eq!(nodes(&[Node { pays: false, ..node }], true), Verdict::Malformed);
    assert_eq!(nodes(&[Node { sid: &long, ..node }], true), Verdict::Malformed);
    assert_eq!(nodes(&[Node { sid: &long[1..], ..node }], true), Verdict::NoSellersJson);
    assert_eq!(nodes(&[node; 17], true), Verdict::Malformed);
    assert_eq!(nodes(&[node; 16], true), Verdict::NoSellersJson);
    assert_eq!(nodes(&[node], false), Verdict::Incomplete);
    assert_eq!(check(Chain::Nodes { complete: true, nodes: &[node] }, b"y.example"), Verdict::NotTheSender);
    assert_eq!(check(Chain::Nodes { complete: true, nodes: &[node] }, b"WWW.X.example."), Verdict::NoSellersJson);
}

#[test]
fn the_operator_blocks_systems_and_sellers() {
    let mut builder = world();
    builder.block("two.example", None).unwrap();
    builder.block("www.ONE.example", Some("2")).unwrap();
    let supply = builder.finish().unwrap();
    assert_eq!(ask(&supply, site("pub.example"), "one.example:1"), Verdict::Verified);
    assert_eq!(ask(&supply, site("pub.example"), "one.example:2"), Verdict::BlockedNode);
    assert_eq!(ask(&supply, site("pub.example"), "one.example:9 two.example:R"), Verdict::BlockedNode);
}

#[test]
fn nobody_is_unauthorized_where_nothing_is_declared() {
    let mut builder = world();
    builder.ads_txt(Kind::AdsTxt, "gone.example", Body::Absent, LATER).unwrap();
    for (host, silent) in
        [("empty.example", ""), ("words.example", "not found"), ("tag.example", "<p>\na.example,1,DIRECT")]
    {
        let read = builder.ads_txt(Kind::AdsTxt, host, Body::Good(silent.as_bytes()), LATER).unwrap();
        assert!(read.refused.is_some(), "{host}");
    }
    ads(&mut builder, "none.example", "placeholder.example.com, placeholder, DIRECT, placeholder");
    let html =
        builder.ads_txt(Kind::AdsTxt, "page.example", Body::Good(b"<!DOCTYPE html>\none.example,1,DIRECT"), LATER);
    assert!(html.unwrap().refused.is_some());
    sellers(&mut builder, "placeholder.example.com", r#"{"seller_id":"placeholder","seller_type":"PUBLISHER"}"#);
    let supply = builder.finish().unwrap();
    for (host, verdict) in [
        ("gone.example", Verdict::Undeclared),
        ("empty.example", Verdict::NoAdsTxt),
        ("words.example", Verdict::NoAdsTxt),
        ("tag.example", Verdict::NoAdsTxt),
        ("none.example", Verdict::Unauthorized),
        ("page.example", Verdict::NoAdsTxt),
    ] {
        assert_eq!(ask(&supply, site(host), "one.example:3"), verdict, "{host}");
    }
    assert_eq!(ask(&supply, site("none.example"), "placeholder.example.com:placeholder"), Verdict::Unauthorized);
    // Whose domain it must be is not known; but that nobody manages it is.
    assert_eq!(ask(&supply, site("gone.example"), "one.example:1"), Verdict::Undeclared);
    assert_eq!(ask(&supply, site("gone.example"), "one.example:H"), Verdict::WrongSellerType);
    assert_eq!(ask(&supply, site("page.example"), "one.example:H"), Verdict::NoAdsTxt);
}

#[test]
fn a_subdomain_has_a_file_of_its_own_if_the_root_says_so() {
    let mut builder = world();
    ads(
        &mut builder,
        "root.example",
        "one.example,1,DIRECT\nSUBDOMAIN=own.root.example\nsubdomain = lost.root.example\nSUBDOMAIN=pub.example",
    );
    ads(
        &mut builder,
        "own.root.example",
        "OWNERDOMAIN=owner.example\nSUBDOMAIN=deep.own.root.example\none.example,1,DIRECT",
    );
    ads(&mut builder, "deep.own.root.example", "CONTACT=nobody");
    ads(&mut builder, "wild.root.example", "OWNERDOMAIN=owner.example\none.example,1,DIRECT");
    let supply = builder.finish().unwrap();
    for (host, verdict) in [
        ("root.example", Verdict::WrongSellerDomain),
        ("own.root.example", Verdict::Verified),
        ("www.own.root.example", Verdict::Verified),
        ("a.own.root.example", Verdict::Verified),
        ("deep.own.root.example", Verdict::Verified),
        ("wild.root.example", Verdict::WrongSellerDomain),
        ("lost.root.example", Verdict::NoAdsTxt),
        ("pub.example", Verdict::Verified),
    ] {
        assert_eq!(ask(&supply, site(host), "one.example:1"), verdict, "{host}");
    }
}

const GOOD: &str = "OWNERDOMAIN=owner.example\none.example,1,DIRECT";

/// What a root's file would say of its subdomains is not known where it could not be had.
#[test]
fn a_subdomain_waits_for_its_roots_file() {
    for (root, verdict) in [
        (Some(Body::Good(b"CONTACT=x\nOWNERDOMAIN=owner.example")), Verdict::Unauthorized),
        (Some(Body::Good(b"SUBDOMAIN=a.root.example")), Verdict::Verified),
        (Some(Body::Good(b"")), Verdict::NoAdsTxt),
        (Some(Body::Unavailable), Verdict::NoAdsTxt),
        (Some(Body::Absent), Verdict::Undeclared),
        (None, Verdict::NoAdsTxt),
    ] {
        let mut builder = world();
        ads(&mut builder, "a.root.example", GOOD);
        if let Some(body) = root {
            builder.ads_txt(Kind::AdsTxt, "root.example", body, LATER).unwrap();
        }
        let is_unreferred = verdict != Verdict::Verified;
        assert_eq!(builder.unreferred(), if is_unreferred { vec!["a.root.example"] } else { vec![] }, "{root:?}");
        let supply = builder.finish().unwrap();
        assert_eq!(ask(&supply, site("a.root.example"), "one.example:1"), verdict, "{root:?}");
        assert_eq!(ask(&supply, site("b.a.root.example"), "one.example:1"), verdict, "{root:?}");
    }
}

/// Nobody's line makes a file count for what nobody owns as a whole.
#[test]
fn a_public_suffix_has_no_file() {
    let mut builder = world();
    ads(&mut builder, "victim.co.uk", GOOD);
    ads(&mut builder, "me.github.io", GOOD);
    ads(
        &mut builder,
        "evil.com",
        "INVENTORYPARTNERDOMAIN=co.uk\nINVENTORYPARTNERDOMAIN=com\nINVENTORYPARTNERDOMAIN=github.io\n\
         SUBDOMAIN=co.uk\nSUBDOMAIN=victim.co.uk\nSUBDOMAIN=github.io",
    );
    builder.ads_txt(Kind::AdsTxt, "co.uk", Body::Absent, LATER).unwrap();
    ads(&mut builder, "github.io", "CONTACT=x");
    assert_eq!(builder.unreferred(), ["co.uk", "github.io"]);
    let supply = builder.finish().unwrap();
    for (host, verdict) in [
        ("victim.co.uk", Verdict::Verified),
        ("www.victim.co.uk", Verdict::Verified),
        ("me.github.io", Verdict::Verified),
        ("other.co.uk", Verdict::NoAdsTxt),
        ("co.uk", Verdict::NoAdsTxt),
        ("you.github.io", Verdict::NoAdsTxt),
        // What is no domain is no partner of whom anything could be unknown.
        ("evil.com", Verdict::Unauthorized),
    ] {
        assert_eq!(ask(&supply, site(host), "one.example:1"), verdict, "{host}");
    }
}

/// Of two things that speak against a path, the one that is proven is told.
#[test]
fn what_is_proven_is_told_first() {
    let mut builder = world();
    builder.block("bad.example", None).unwrap();
    builder.block("worse.example", Some("1")).unwrap();
    let supply = builder.finish().unwrap();
    let check = |chain: &str, complete: bool, sender: &str| {
        let node = |text| {
            let (asi, sid): (&str, &str) = str::split_once(text, ':').unwrap();
            Node { asi: asi.as_bytes(), sid: sid.as_bytes(), pays: true }
        };
        let nodes: Vec<_> = chain.split(' ').map(node).collect();
        let chain = Chain::Nodes { complete, nodes: &nodes };
        let (sender, inventory) = (sender.as_bytes(), site("pub.example"));
        supply.check(&Path { chain, sender, inventory, partner: b"", country: None }, NOW)
    };
    for (chain, complete, sender, verdict) in [
        ("one.example:1", false, "one.example", Verdict::Incomplete),
        ("one.example:1", false, "two.example", Verdict::NotTheSender),
        ("bad.example:1", false, "bad.example", Verdict::BlockedNode),
        ("worse.example:1", false, "worse.example", Verdict::BlockedNode),
        ("worse.example:2 one.example:9", false, "one.example", Verdict::UnknownSeller),
        ("one.example:9", false, "one.example", Verdict::UnknownSeller),
        ("one.example:3", false, "one.example", Verdict::Unauthorized),
        ("one.example:N", false, "one.example", Verdict::WrongSellerType),
        ("one.example:1 two.example:P", false, "two.example", Verdict::WrongSellerType),
        // Who was before the first node of a part is not known: anybody may resell there.
        ("one.example:H", false, "one.example", Verdict::Incomplete),
        ("one.example:P", false, "one.example", Verdict::Incomplete),
        ("two.example:R", false, "two.example", Verdict::Incomplete),
        // A domain that is wrong, and what is worse.
        ("one.example:P", true, "one.example", Verdict::WrongSellerDomain),
        ("one.example:P two.example:X", true, "two.example", Verdict::UnknownSeller),
        ("one.example:P two.example:P", true, "two.example", Verdict::WrongSellerType),
        ("one.example:P two.example:T", true, "two.example", Verdict::Unauthorized),
        ("one.example:P nobody.example:1", true, "nobody.example", Verdict::Unauthorized),
        // The rules have an order, whichever node breaks them.
        ("one.example:H two.example:X", true, "two.example", Verdict::UnknownSeller),
    ] {
        assert_eq!(check(chain, complete, sender), verdict, "{chain} {complete} {sender}");
    }
}

#[test]
fn a_partners_file_counts_one_hop_far() {
    let mut builder = world();
    let owner = "OWNERDOMAIN=owner.example\n";
    ads(
        &mut builder,
        "shares.example",
        &format!("{owner}INVENTORYPARTNERDOMAIN=near.example\nINVENTORYPARTNERDOMAIN=gone.example"),
    );
    ads(&mut builder, "near.example", &format!("{owner}INVENTORYPARTNERDOMAIN=far.example\none.example,1,DIRECT"));
    ads(&mut builder, "far.example", "two.example, R, RESELLER");
    builder.ads_txt(Kind::AdsTxt, "gone.example", Body::Absent, LATER).unwrap();
    ads(&mut builder, "trusts.example", &format!("{owner}INVENTORYPARTNERDOMAIN=never.example\none.example,1,DIRECT"));
    let supply = builder.finish().unwrap();
    assert_eq!(ask(&supply, site("shares.example"), "one.example:1"), Verdict::Verified);
    assert_eq!(ask(&supply, site("shares.example"), "one.example:1 two.example:R"), Verdict::Unauthorized);
    assert_eq!(ask(&supply, site("trusts.example"), "one.example:1"), Verdict::Verified);
    assert_eq!(ask(&supply, site("trusts.example"), "one.example:1 two.example:R"), Verdict::NoAdsTxt);
}

fn ask_for(supply: &Supply, inventory: Inventory<'_>, chain: &str, partner: &str) -> Verdict {
    let (asi, sid) = chain.split_once(':').unwrap();
    let nodes = [Node { asi: asi.as_bytes(), sid: sid.as_bytes(), pays: true }];
    let chain = Chain::Nodes { complete: true, nodes: &nodes };
    let (sender, partner) = (asi.as_bytes(), partner.as_bytes());
    supply.check(&Path { chain, sender, inventory, partner, country: None }, NOW)
}

/// What only a partner's file names is the partner's inventory: its owner must be the seller, or who manages for it.
#[test]
fn a_partners_inventory_is_its_own() {
    let mut builder = world();
    let shares = "OWNERDOMAIN=shares.example\nINVENTORYPARTNERDOMAIN=";
    ads(&mut builder, "shares.example", &format!("{shares}own.example"));
    ads(&mut builder, "own.example", &format!("{GOOD}\none.example, H, DIRECT\nMANAGERDOMAIN=house.example"));
    ads(&mut builder, "both.example", &format!("{shares}own.example\none.example, 1, RESELLER"));
    ads(&mut builder, "strange.example", &format!("{shares}stranger.example"));
    ads(&mut builder, "stranger.example", "one.example, 1, DIRECT\none.example, H, DIRECT");
    ads(&mut builder, "unknown.example", &format!("{shares}never.example"));
    ads(&mut builder, "choice.example", &format!("{shares}stranger.example\nINVENTORYPARTNERDOMAIN=own.example"));
    let supply = builder.finish().unwrap();
    for (host, chain, verdict) in [
        ("shares.example", "one.example:1", Verdict::Verified),
        ("shares.example", "one.example:H", Verdict::Verified),
        // Nobody names it, so it is held against the publisher's own.
        ("shares.example", "one.example:P", Verdict::Unauthorized),
        ("both.example", "one.example:1", Verdict::WrongSellerDomain),
        ("strange.example", "one.example:1", Verdict::WrongSellerDomain),
        ("strange.example", "one.example:H", Verdict::WrongSellerType),
        ("unknown.example", "one.example:H", Verdict::NoAdsTxt),
        ("choice.example", "one.example:1", Verdict::Verified),
        ("choice.example", "one.example:H", Verdict::Verified),
    ] {
        assert_eq!(ask(&supply, site(host), chain), verdict, "{host} {chain}");
    }
}

#[test]
fn a_request_may_name_the_partner_it_means() {
    let mut builder = world();
    let partners = "OWNERDOMAIN=owner.example\nINVENTORYPARTNERDOMAIN=a.example\nINVENTORYPARTNERDOMAIN=b.example";
    ads(
        &mut builder,
        "shares.example",
        &format!("{partners}\nINVENTORYPARTNERDOMAIN=never.example\none.example,2,DIRECT"),
    );
    ads(&mut builder, "a.example", GOOD);
    ads(&mut builder, "b.example", "OWNERDOMAIN=owner.example\none.example,3,DIRECT");
    ads(&mut builder, "c.example", GOOD);
    let supply = builder.finish().unwrap();
    for (chain, partner, verdict) in [
        ("one.example:1", "", Verdict::Verified),
        ("one.example:1", "a.example", Verdict::Verified),
        ("one.example:1", "WWW.A.example.", Verdict::Verified),
        ("one.example:1", "b.example", Verdict::Unauthorized),
        ("one.example:1", "never.example", Verdict::NoAdsTxt),
        // The publisher does not name it.
        ("one.example:1", "c.example", Verdict::Unauthorized),
        ("one.example:1", "shares.example", Verdict::Unauthorized),
        ("one.example:3", "b.example", Verdict::Verified),
        ("one.example:3", "", Verdict::Verified),
        // The publisher's own file counts whomever the request names.
        ("one.example:2", "b.example", Verdict::WrongSellerDomain),
    ] {
        assert_eq!(ask_for(&supply, site("shares.example"), chain, partner), verdict, "{chain} {partner}");
    }
}

/// A partner's file is that of its very host, whoever else is asked for, and is no publisher's by that.
#[test]
fn a_partner_below_a_root_stays_what_it_is() {
    let root = "OWNERDOMAIN=owner.example\none.example,3,DIRECT";
    for with_root in [false, true] {
        let mut builder = world();
        ads(&mut builder, "shares.example", "CONTACT=x\nINVENTORYPARTNERDOMAIN=ads.net.example");
        ads(&mut builder, "ads.net.example", GOOD);
        if with_root {
            ads(&mut builder, "net.example", root);
        }
        assert!(builder.unreferred().is_empty());
        let supply = builder.finish().unwrap();
        assert_eq!(ask(&supply, site("shares.example"), "one.example:1"), Verdict::Verified);
        assert_eq!(ask(&supply, site("shares.example"), "one.example:3"), Verdict::Unauthorized);
        let own = if with_root { Verdict::Unauthorized } else { Verdict::NoAdsTxt };
        assert_eq!(ask(&supply, site("ads.net.example"), "one.example:1"), own);
    }
    // And the root's is not taken for that of a partner that could not be had.
    let mut builder = world();
    ads(&mut builder, "shares.example", "CONTACT=x\nINVENTORYPARTNERDOMAIN=ads.net.example");
    ads(&mut builder, "net.example", GOOD);
    let supply = builder.finish().unwrap();
    assert_eq!(ask(&supply, site("shares.example"), "one.example:1"), Verdict::NoAdsTxt);
}

/// Of a list that is too long it is known that it is, and one name many times is one.
#[test]
fn too_many_partners_are_not_forgotten() {
    const MOST: usize = corebid::limits::REFERENCES;
    let partners = |count: usize| {
        let line = |number| format!("INVENTORYPARTNERDOMAIN=p{number}.example\n");
        format!("OWNERDOMAIN=owner.example\n{}", (0..count).map(line).collect::<String>())
    };
    let mut builder = world();
    let mut add = |host: &str, text: &str| {
        builder.ads_txt(Kind::AdsTxt, host, Body::Good(text.as_bytes()), LATER).unwrap().left_out
    };
    assert_eq!(add("many.example", &partners(MOST)), 0);
    assert_eq!(add("again.example", &partners(MOST).repeat(3)), 0);
    assert_eq!(add("more.example", &partners(MOST + 2)), 2);
    let last = format!("p{}.example", MOST - 1);
    for number in 0..MOST - 1 {
        assert_eq!(add(&format!("p{number}.example"), "CONTACT=x"), 0);
    }
    assert_eq!(add(&last, GOOD), 0);
    let supply = builder.finish().unwrap();
    for (host, chain, partner, verdict) in [
        ("many.example", "one.example:1", "", Verdict::Verified),
        ("many.example", "one.example:3", "", Verdict::Unauthorized),
        ("again.example", "one.example:3", "", Verdict::Unauthorized),
        ("more.example", "one.example:1", "", Verdict::Verified),
        ("more.example", "one.example:3", "", Verdict::NoAdsTxt),
        ("more.example", "one.example:3", "p0.example", Verdict::Unauthorized),
        ("more.example", "one.example:3", "x.example", Verdict::NoAdsTxt),
    ] {
        assert_eq!(ask_for(&supply, site(host), chain, partner), verdict, "{host} {chain} {partner}");
    }
}

#[test]
fn an_app_has_its_developers_file() {
    let mut builder = world();
    let mut app_ads = |host: &str, body: Body<'_>| app_ads(&mut builder, host, body);
    app_ads("dev.example", Body::Good(GOOD.as_bytes()));
    app_ads("own.dev.example", Body::Good(GOOD.as_bytes()));
    app_ads("nothing.dev.example", Body::Absent);
    app_ads("broken.dev.example", Body::Unavailable);
    app_ads("root.example", Body::Good(b"SUBDOMAIN=games.root.example\nCONTACT=x"));
    app_ads("games.root.example", Body::Good(GOOD.as_bytes()));
    app_ads("other.root.example", Body::Good(GOOD.as_bytes()));
    for (bundle, developer) in [
        ("com.example.App", "www.Dev.example"),
        ("123", "apps.dev.example"),
        ("456", "nobody.example"),
        ("own", "own.dev.example"),
        ("nothing", "nothing.dev.example"),
        ("broken", "broken.dev.example"),
        ("games", "games.root.example"),
        ("other", "other.root.example"),
    ] {
        builder.app(bundle, developer);
    }
    let supply = builder.finish().unwrap();
    for (bundle, verdict) in [
        ("com.example.App", Verdict::Verified),
        (" com.example.App", Verdict::Verified),
        // Only the crawler goes up, and only from a 404.
        ("123", Verdict::NoAdsTxt),
        ("456", Verdict::NoAdsTxt),
        ("com.example.app", Verdict::NoAdsTxt),
        ("", Verdict::NoAdsTxt),
        ("own", Verdict::Verified),
        ("nothing", Verdict::Undeclared),
        ("broken", Verdict::NoAdsTxt),
        ("games", Verdict::Verified),
        ("other", Verdict::Verified),
    ] {
        assert_eq!(ask(&supply, Inventory::App(bundle.as_bytes()), "one.example:1"), verdict, "{bundle}");
    }
    assert_eq!(ask(&supply, site("dev.example"), "one.example:1"), Verdict::NoAdsTxt);
}

/// What a partner of an app declares is in its ads.txt (ads.txt 1.1, 3.5.1).
#[test]
fn an_app_shares_with_sites() {
    let mut builder = world();
    app_ads(&mut builder, "dev.example", Body::Good(b"OWNERDOMAIN=dev.example\nINVENTORYPARTNERDOMAIN=owns.example"));
    app_ads(&mut builder, "owns.example", Body::Good(b"one.example,3,DIRECT"));
    ads(&mut builder, "owns.example", GOOD);
    builder.app("app", "dev.example");
    let supply = builder.finish().unwrap();
    assert_eq!(ask(&supply, Inventory::App(b"app"), "one.example:1"), Verdict::Verified);
    assert_eq!(ask(&supply, Inventory::App(b"app"), "one.example:3"), Verdict::Unauthorized);
}

#[test]
fn an_owner_may_be_left_untold() {
    for (default_owner, verdict) in [(true, Verdict::WrongSellerDomain), (false, Verdict::Verified)] {
        let mut builder = world();
        if !default_owner {
            builder.without_default_owner();
        }
        ads(&mut builder, "somewhere.example", "one.example,1,DIRECT\none.example,H,DIRECT");
        ads(&mut builder, "told.example", "OWNERDOMAIN=other.example\none.example,1,DIRECT");
        let supply = builder.finish().unwrap();
        assert_eq!(ask(&supply, site("somewhere.example"), "one.example:1"), verdict);
        assert_eq!(ask(&supply, site("somewhere.example"), "one.example:H"), Verdict::WrongSellerType);
        assert_eq!(ask(&supply, site("told.example"), "one.example:1"), Verdict::WrongSellerDomain);
    }
}

#[test]
fn what_is_too_old_counts_as_unknown_unless_told_otherwise() {
    let text = b"OWNERDOMAIN=owner.example\none.example,1,DIRECT";
    let list = br#"{"sellers":[{"seller_id":"1","seller_type":"PUBLISHER","domain":"owner.example"}]}"#;
    let build = |sellers, ads| {
        let mut builder = builder();
        builder.ads_txt(Kind::AdsTxt, "pub.example", Body::Good(text), ads).unwrap();
        builder.sellers_json("one.example", &list[..], sellers).unwrap();
        builder.finish().unwrap()
    };
    for (mut supply, verdict) in [
        (build(LATER, LATER), Verdict::Verified),
        (build(NOW, LATER), Verdict::NoSellersJson),
        (build(LATER, NOW), Verdict::NoAdsTxt),
        (build(NOW, NOW), Verdict::NoSellersJson),
    ] {
        assert_eq!(ask(&supply, site("pub.example"), "one.example:1"), verdict);
        supply.stale_open = true;
        assert_eq!(ask(&supply, site("pub.example"), "one.example:1"), Verdict::Verified);
    }
}

#[test]
fn a_broken_list_of_sellers_is_none() {
    let mut builder = builder();
    let broken = br#"{"sellers":[{"seller_id":"1","seller_type":"PUBLISHER"},"#;
    let error = builder.sellers_json("one.example", &broken[..], LATER).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let supply = builder.finish().unwrap();
    assert_eq!(ask(&supply, site("pub.example"), "one.example:1"), Verdict::NoSellersJson);
    assert_eq!(supply.counts().systems, 0);
}

#[test]
fn the_first_of_two_sellers_with_one_id_counts() {
    let mut builder = builder();
    let two = r#"{"seller_id":"1","seller_type":"PUBLISHER"},{"seller_id":1,"seller_type":"INTERMEDIARY"}"#;
    sellers(&mut builder, "one.example", two);
    builder.ads_txt(Kind::AdsTxt, "gone.example", Body::Absent, LATER).unwrap();
    let supply = builder.finish().unwrap();
    assert_eq!(ask(&supply, site("gone.example"), "one.example:1"), Verdict::Undeclared);
    assert_eq!(supply.counts().sellers, 1);
}

#[test]
fn a_written_table_is_the_same_table() {
    let folder = Folder::new();
    let path = folder.0.join("supply.bin");
    let mut builder = world();
    builder.app("app", "dev.example");
    builder.ads_txt(Kind::AppAdsTxt, "dev.example", Body::Good(b"INVENTORYPARTNERDOMAIN=x.example"), LATER).unwrap();
    let supply = builder.finish().unwrap();
    supply.write(&path).unwrap();
    let loaded = Supply::load(&path).unwrap();
    assert_eq!(format!("{loaded:?}"), format!("{supply:?}"));
    for chain in ["one.example:1", "one.example:1 two.example:R", "one.example:9", "one.example:P", "one.example:3"] {
        for host in ["pub.example", "a.pub.example", "other.example"] {
            assert_eq!(ask(&loaded, site(host), chain), ask(&supply, site(host), chain));
        }
        assert_eq!(ask(&loaded, Inventory::App(b"app"), chain), ask(&supply, Inventory::App(b"app"), chain));
    }
    let length = fs::metadata(&path).unwrap().len();
    assert!((supply.bytes() as u64..supply.bytes() as u64 + 1024).contains(&length));
    let left: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["supply.bin"], "nothing is left beside it");

    let second = folder.0.join("second.bin");
    loaded.write(&second).unwrap();
    assert_eq!(fs::read(&second).unwrap(), fs::read(&path).unwrap());
}

#[test]
fn a_damaged_file_is_an_error() {
    let folder = Folder::new();
    let path = folder.0.join("supply.bin");
    world().finish().unwrap().write(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() < 8192, "small enough to try everything");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = Supply::load(&path).expect_err("damage is seen").to_string();
        assert!(error.starts_with(&format!("{}: ", path.display())) && !error.contains('\n'), "{error}");
        error
    };
    for length in 0..whole.len() {
        refused(&whole[..length]);
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        refused(&bytes);
    }
    refused(&[&whole[..], &[0]].concat());
    let mut other = whole.clone();
    other[16] ^= 0xFF;
    assert!(refused(&other).contains("another version"));
    assert!(refused(b"{}").contains("damaged"));
    assert!(refused(&[b'x'; 4096]).contains("not a table"));
    fs::remove_file(&path).unwrap();
    assert!(Supply::load(&path).unwrap_err().to_string().contains("cannot read"));
}

#[test]
fn a_table_that_cannot_be_written_leaves_the_old_one() {
    let folder = Folder::new();
    let path = folder.0.join("supply.bin");
    world().finish().unwrap().write(&path).unwrap();
    let before = fs::read(&path).unwrap();
    fs::create_dir(folder.0.join("supply.bin.new")).unwrap();
    assert!(Supply::default().write(&path).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Who is named where, and who is a seller of whom: few names, so that all that can be mixed up is.
type Names = BTreeMap<u8, BTreeSet<(u8, u8)>>;

fn names() -> impl Strategy<Value = Names> {
    prop::collection::btree_map(0..40u8, prop::collection::btree_set((0..6u8, 0..30u8), 0..20), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_table_says_what_a_map_says(hosts in names(), systems in names()) {
        let mut builder = builder();
        for (host, named) in &hosts {
            let lines = named.iter().map(|(asi, sid)| format!("s{asi}.example, {sid}, RESELLER\n"));
            // A repetition, of another spelling, is none.
            ads(&mut builder, &format!("h{host}.example"), &(lines.collect::<String>().repeat(2).to_uppercase() + "\ncontact=x\nbroken"));
        }
        for (asi, listed) in &systems {
            let entries = listed.iter().map(|(_, sid)| format!(r#"{{"seller_id":"{sid}","seller_type":"PUBLISHER"}}"#));
            sellers(&mut builder, &format!("s{asi}.example"), &entries.collect::<Vec<_>>().join(","));
        }
        let supply = builder.finish().unwrap();
        prop_assert_eq!(supply.counts().pairs, hosts.values().map(|named| named.len() as u64).sum::<u64>());
        for host in 0..42u8 {
            for (asi, sid) in (0..7u8).flat_map(|asi| (0..31u8).map(move |sid| (asi, sid))) {
                let verdict = ask(&supply, site(&format!("h{host}.example")), &format!("s{asi}.example:{sid}"));
                let listed = systems.get(&asi).map(|listed| listed.iter().any(|(_, known)| *known == sid));
                let named = hosts.get(&host).map(|named| named.contains(&(asi, sid)));
                let expected = match (listed, named) {
                    (Some(false), _) => Verdict::UnknownSeller,
                    (_, Some(false)) => Verdict::Unauthorized,
                    (None, _) => Verdict::NoSellersJson,
                    (_, None) => Verdict::NoAdsTxt,
                    _ => Verdict::Verified,
                };
                prop_assert_eq!(verdict, expected, "{} {} {}", host, asi, sid);
            }
        }
    }
}
