//! Who the user of a request is: requests in, pseudonyms out. The oracle is docs/CONFIGURATION.md, section `[profiles]`.

mod support;

use corebid::bid::Ask;
use corebid::bid::eligible::Scene;
use corebid::bid::probe::Probe;
use corebid::bid::user::User;
use corebid::config::profiles::Regions;
use corebid::config::{Config, Privacy};
use corebid::lab::bench::Bench;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::snapshot::profiles::UserKeys;
use corebid::snapshot::vendor::Assume;
use corebid::units::{Region, UserKey};
use corebid::wire::openrtb::request::BidRequest;
use serde_json::{Value, json};
use support::{Folder, campaign, consent};

#[derive(Default)]
struct Saw(Option<UserKey>);

impl Probe for Saw {
    fn known(&mut self, _: Scene<'_>, _: &BidRequest<'_>, user: &User<'_>) {
        self.0 = Some(user.key());
    }
}

fn bench(folder: &Folder, ids: &[&str], regions: Regions) -> Bench {
    let source = Source::Files {
        campaigns: folder.write("campaigns.toml", campaign(1, "")),
        profiles: None,
        model: None,
        scoring: Default::default(),
        rates: Default::default(),
        geo: None,
        edge: Default::default(),
        privacy: Privacy {
            vendor: Some(1),
            vendor_list: Some(folder.write("vendor-list.json", consent::VENDOR_LIST)),
            assume_gdpr: Assume::Never,
        },
        supply: Default::default(),
    };
    let data = Data::load(source, &Key([0; 32])).unwrap();
    let mut config = Config::demo(std::path::Path::new(""));
    config.profiles.ids = ids.iter().map(|id| id.parse().unwrap()).collect();
    config.profiles.regions = regions;
    Bench::new(&config, &data).unwrap()
}

#[track_caller]
fn user(bench: &mut Bench, more: &Value) -> UserKey {
    let mut request = json!({
        "id": "r", "imp": [{ "id": "1", "banner": { "w": 300, "h": 250 } }], "site": { "domain": "news.example" },
    });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = request.to_string();
    let mut saw = Saw::default();
    let ask = Ask { exchange: b"generic", body: body.as_bytes(), arrived: bench.now().boot };
    bench.handle_with(ask, &mut saw);
    saw.0.unwrap_or_else(|| panic!("{body} is not looked at so far"))
}

fn key(region: Region, space: &str, id: &str) -> UserKey {
    UserKeys::new(&[0; 16]).key(region, space, id.as_bytes())
}

#[test]
fn the_first_id_that_a_request_has_names_its_user() {
    let folder = Folder::new("users-ids");
    let mut bench =
        bench(&folder, &["eids:id.example", "buyeruid", "device.ifa", "user.id", "eids:other.example"], Regions::Eu);
    let eids = json!([
        { "source": "nobody.example", "uids": [{ "id": "no" }] },
        { "source": "other.example", "uids": [{ "id": "o" }] },
        { "source": "id.example", "uids": [{ "atype": 1 }, { "id": "e\u{e9}" }, { "id": "second" }] },
    ]);
    let all = json!({ "id": "u", "buyeruid": "b", "eids": eids });
    let without = |keys: &[&str]| {
        let mut user = all.clone();
        keys.iter().for_each(|key| drop(user.as_object_mut().unwrap().remove(*key)));
        user
    };
    let ifa = json!({ "ifa": "i" });
    let (other, spoilt) = (json!([eids[1]]), json!([{ "source": 7 }, { "source": "id.example", "uids": "x" }]));
    for (request, space, id) in [
        (json!({ "user": all, "device": ifa }), "/eids/id.example", "e\u{e9}"),
        (json!({ "user": { "ext": { "eids": eids } } }), "/eids/id.example", "e\u{e9}"),
        (json!({ "user": without(&["eids"]), "device": ifa }), "", "b"),
        (json!({ "user": without(&["eids", "buyeruid"]), "device": ifa }), "/ifa", "i"),
        (json!({ "user": without(&["eids", "buyeruid"]), "device": { "ifa": "0000-00" } }), "generic", "u"),
        (json!({ "user": { "eids": other, "buyeruid": "" } }), "/eids/other.example", "o"),
        (json!({ "user": { "eids": spoilt, "id": "u" } }), "generic", "u"),
    ] {
        assert_eq!(user(&mut bench, &request), key(Region::Eu, space, id), "{request}");
    }
    for nobody in
        [json!({}), json!({ "user": { "eids": [] } }), json!({ "user": { "id": "u" }, "device": { "lmt": 1 } })]
    {
        assert_eq!(user(&mut bench, &nobody), UserKey::NOBODY, "{nobody}");
    }
}

#[test]
fn an_id_that_is_not_configured_names_nobody() {
    let folder = Folder::new("users-none");
    let mut bench = bench(&folder, &["buyeruid"], Regions::Eu);
    let request = json!({ "user": { "id": "u", "eids": [{ "source": "s", "uids": [{ "id": "e" }] }] }, "device": { "ifa": "i" } });
    assert_eq!(user(&mut bench, &request), UserKey::NOBODY);
}

/// Whoever may be in Europe is.
#[test]
fn a_user_is_elsewhere_only_where_nothing_speaks_for_europe() {
    let folder = Folder::new("users-regions");
    let (mut split, mut one) =
        (bench(&folder, &["user.id"], Regions::ByRequest), bench(&folder, &["user.id"], Regions::Eu));
    let geo = |country: &str| json!({ "geo": { "country": country } });
    let consenting = json!({ "id": "u", "consent": consent::ALL });
    for (device, regs, person, region) in [
        (geo("USA"), json!({}), json!({ "id": "u" }), Region::Other),
        (geo("us"), json!({ "gdpr": 0 }), json!({ "id": "u" }), Region::Other),
        (geo("DEU"), json!({}), json!({ "id": "u" }), Region::Eu),
        (geo("REU"), json!({ "gdpr": 0 }), json!({ "id": "u" }), Region::Eu),
        (geo("gbr"), json!({}), json!({ "id": "u" }), Region::Eu),
        // No country, and one that there is not.
        (json!({}), json!({}), json!({ "id": "u" }), Region::Eu),
        (geo("ZZZ"), json!({}), json!({ "id": "u" }), Region::Eu),
        (json!({}), json!({}), json!({ "id": "u", "geo": { "country": "JPN" } }), Region::Other),
        // The law follows the request, wherever it comes from.
        (geo("USA"), json!({ "gdpr": 1 }), consenting.clone(), Region::Eu),
        (geo("USA"), json!({}), consenting, Region::Eu),
    ] {
        let request = json!({ "device": device, "regs": regs, "user": person });
        assert_eq!(user(&mut split, &request), key(region, "generic", "u"), "{request}");
        assert_eq!(user(&mut one, &request), key(Region::Eu, "generic", "u"), "{request}");
    }
}
