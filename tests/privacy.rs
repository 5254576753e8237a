//! What the law and the user allow, and what follows: requests in, outcomes and what was known of the user out. The oracle is the
//! table of docs/CONSENT.md, written a second time over what a request says.

mod support;

use corebid::bid::comply::Basis;
use corebid::bid::eligible::Scene;
use corebid::bid::probe::Probe;
use corebid::bid::user::User;
use corebid::bid::{Ask, Outcome};
use corebid::config::{Config, Privacy};
use corebid::lab::bench::Bench;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::snapshot::vendor::Assume;
use corebid::units::UserKey;
use corebid::wire::consent::Purposes;
use corebid::wire::openrtb::nobid::NoBidReason;
use corebid::wire::openrtb::request::BidRequest;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Folder, campaign, consent};

/// What a decision let itself know.
#[derive(Debug, Default)]
struct Saw {
    basis: Option<Basis>,
    known: bool,
}

impl Probe for Saw {
    fn cleared(&mut self, _: Scene<'_>, _: &BidRequest<'_>, basis: Basis) {
        self.basis = Some(basis);
    }

    fn known(&mut self, _: Scene<'_>, _: &BidRequest<'_>, user: &User<'_>) {
        self.known = user.key() != UserKey::NOBODY;
    }
}

/// One campaign that is open to everybody.
fn load(folder: &Folder, privacy: Privacy) -> Data {
    let source = Source::Files {
        campaigns: folder.write("campaigns.toml", campaign(1, "")),
        profiles: None,
        model: None,
        scoring: Default::default(),
        rates: Default::default(),
        geo: None,
        edge: Default::default(),
        privacy,
        supply: Default::default(),
    };
    Data::load(source, &Key([0; 32])).unwrap()
}

/// A bench with it.
fn bench(folder: &Folder, vendor: bool, assume_gdpr: Assume) -> Bench {
    let privacy = Privacy {
        vendor: vendor.then_some(1),
        vendor_list: vendor.then(|| folder.write("vendor-list.json", consent::VENDOR_LIST)),
        assume_gdpr,
    };
    let data = load(folder, privacy);
    Bench::new(&Config::demo(std::path::Path::new("")), &data).unwrap()
}

/// How a request ends, whether its user was known, and what its data may be processed for.
fn decide(bench: &mut Bench, request: &Value) -> (Option<NoBidReason>, bool, Vec<u32>) {
    let body = request.to_string();
    let ask = Ask { exchange: b"generic", body: body.as_bytes(), arrived: bench.now().boot };
    let mut saw = Saw::default();
    let (outcome, _) = bench.handle_with(ask, &mut saw);
    let reason = match outcome {
        Outcome::Bid { .. } => None,
        Outcome::NoBid(reason) => Some(reason),
        Outcome::Broken | Outcome::Parked(_) => panic!("{body}"),
    };
    let leave = saw.basis.expect("the request was cleared").allowed();
    (reason, saw.known, leave.map_or(Vec::new(), |leave| leave.purposes.iter().collect()))
}

fn request() -> Value {
    json!({
        "id": "r", "imp": [{ "id": "1", "banner": { "w": 300, "h": 250 } }], "site": { "domain": "news.example" },
        "device": { "geo": { "country": "USA" } }, "user": { "id": "u" }, "regs": {},
    })
}

/// The rows of the table, each by itself.
#[test]
fn the_table() {
    use NoBidReason::{NoConsent, NoPurpose};
    let folder = Folder::new("privacy");
    let mut us = bench(&folder, true, Assume::ByCountry);
    let all: Vec<u32> = (1..=24).collect();
    let mut check = |more: Value, wanted: (Option<NoBidReason>, bool, &[u32])| {
        let mut request = request();
        for (path, value) in more.as_object().unwrap() {
            let mut at = &mut request;
            for key in path.split('.') {
                at = &mut at[key];
            }
            *at = value.clone();
        }
        let (reason, known, purposes) = decide(&mut us, &request);
        assert_eq!((reason, known, &purposes[..]), wanted, "{more}");
    };
    check(json!({}), (None, true, &all));
    check(json!({ "regs.gdpr": 0 }), (None, true, &all));
    check(json!({ "regs.gdpr": 0, "user.consent": consent::NOTHING }), (None, true, &all));
    // No consent.
    let none = (Some(NoConsent), false, &[][..]);
    check(json!({ "regs.gdpr": 1 }), none);
    check(json!({ "regs.ext": { "gdpr": 1 } }), none);
    check(json!({ "regs.gdpr": 1, "user.consent": "" }), none);
    check(json!({ "regs.gdpr": 1, "user.consent": "x" }), none);
    check(json!({ "regs.gdpr": 1, "user.consent": "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA" }), none);
    check(json!({ "regs.gdpr": 1, "user.consent": consent::NOTHING }), none);
    check(json!({ "regs.gdpr": 1, "user.consent": consent::OF_OTHERS }), none);
    check(json!({ "regs.gdpr": 1, "user.consent": &consent::ALL[..consent::ALL.len() / 2] }), none);
    check(json!({ "regs.gdpr": 1, "user.consent": consent::ALL.split('.').next() }), none);
    check(json!({ "regs.gdpr": 1, "user.consent": consent::WITHOUT_ADS }), (Some(NoPurpose), false, &[]));
    // Consent.
    let contextual = (None, false, &[2, 7, 9, 10][..]);
    check(json!({ "regs.gdpr": 1, "user.consent": consent::CONTEXTUAL }), contextual);
    check(json!({ "regs.gdpr": 1, "user.ext": { "consent": consent::CONTEXTUAL } }), contextual);
    let known = (None, true, &[1, 2, 3, 4, 7, 9, 10][..]);
    check(json!({ "regs.gdpr": 1, "user.consent": consent::ALL }), known);
    check(json!({ "regs.ext": { "gdpr": 1 }, "user.ext": { "consent": consent::ALL } }), known);
    // Regs are silent.
    check(json!({ "device.geo.country": "DEU" }), none);
    check(json!({ "device.geo.country": "deu", "user.consent": consent::ALL }), known);
    check(json!({ "device.geo": {}, "user.geo": { "country": "GBR" } }), none);
    check(json!({ "device.geo.country": "CHE" }), (None, true, &all));
    check(json!({ "device.geo.country": "DEU", "regs.gdpr": 0 }), (None, true, &all));
    check(json!({ "user.consent": consent::NOTHING }), none);
    check(json!({ "user.consent": "x" }), none);
    check(json!({ "device.geo.country": "DE" }), none);
    check(json!({ "device.geo.country": "us" }), (None, true, &all));
    check(json!({ "device.geo.country": "XX" }), (None, true, &all));
    // Both places of a field are filled.
    check(json!({ "regs.gdpr": 0, "regs.ext": { "gdpr": 1 } }), none);
    check(json!({ "regs.gdpr": 1, "user.consent": "", "user.ext": { "consent": consent::ALL } }), known);
    check(json!({ "regs.gdpr": 1, "user.consent": consent::ALL, "user.ext": { "consent": consent::ALL } }), known);
    check(json!({ "regs.gdpr": 1, "user.consent": consent::ALL, "user.ext": { "consent": consent::NOTHING } }), none);
    // GPP.
    let eu = |tcf: &str| format!("DBABMA~{tcf}");
    check(json!({ "regs.gpp": eu(consent::ALL), "regs.gpp_sid": [2] }), known);
    check(json!({ "regs.gpp": eu(consent::ALL) }), known);
    check(json!({ "regs.gpp": eu(consent::ALL), "regs.gdpr": 1 }), known);
    check(json!({ "regs.gpp": eu(consent::NOTHING), "regs.gpp_sid": [2] }), none);
    check(json!({ "regs.gpp_sid": [2] }), none);
    check(json!({ "regs.gpp_sid": [2], "user.consent": consent::ALL }), known);
    check(json!({ "regs.gpp_sid": [2], "regs.gdpr": 0 }), none);
    check(json!({ "regs.gdpr": 1, "regs.gpp": eu(consent::CONTEXTUAL), "user.consent": consent::ALL }), contextual);
    check(json!({ "regs.gdpr": 1, "regs.gpp": eu(consent::ALL), "user.consent": consent::CONTEXTUAL }), contextual);
    check(json!({ "regs.gpp_sid": [-1] }), (None, true, &all));
    let out = (None, false, &[2, 7][..]);
    check(json!({ "regs.gpp_sid": [7] }), out);
    check(json!({ "regs.gpp_sid": [99] }), out);
    check(json!({ "regs.gpp": "DBABLA~BVQqAAAAAgA.QA", "regs.gpp_sid": [7] }), (None, true, &all));
    check(json!({ "regs.gpp": "DBABLA~BVQVAAAAAgA.QA", "regs.gpp_sid": [7] }), out);
    check(json!({ "regs.gpp": "DBABLA~BVQqAAAAAgA.YA", "regs.gpp_sid": [7] }), out);
    check(json!({ "regs.ext": { "gpp": "DBABTA~1YYN", "gpp_sid": [6] } }), out);
    check(
        json!({ "regs.ext": { "gpp": "DBABTA~1YYN", "gpp_sid": [2], "gdpr": 1 }, "user.consent": consent::ALL }),
        known,
    );
    check(json!({ "regs.us_privacy": "1YNN", "regs.ext": { "us_privacy": "1YYN" } }), out);
    check(json!({ "regs.us_privacy": "", "regs.ext": { "us_privacy": "1YYN" } }), out);
    check(json!({ "regs.us_privacy": "1YNN", "regs.ext": { "us_privacy": "1YNN" } }), (None, true, &all));
    check(json!({ "regs.gpp_sid": [0], "regs.ext": { "gpp_sid": [7] } }), out);
    // A section of the EU that is cut short.
    let cut = eu(&consent::NOTHING[..consent::NOTHING.len() - 16]);
    check(json!({ "regs.gpp": cut }), none);
    check(json!({ "regs.gpp": cut, "regs.gpp_sid": [2], "user.consent": consent::ALL }), none);
    // Whoever has opted out is not known, whatever the consent.
    for more in [
        json!({ "regs.coppa": 1 }),
        json!({ "device.lmt": 1 }),
        json!({ "device.dnt": 1 }),
        json!({ "regs.us_privacy": "1YYN" }),
        json!({ "regs.us_privacy": "1Y" }),
        json!({ "regs.ext": { "gpc": "1" } }),
        json!({ "regs.ext": { "gpc": "true" } }),
        json!({ "regs.gpc": 1 }),
    ] {
        check(more.clone(), out);
        let mut both = more;
        both["regs.gdpr"] = 1.into();
        both["user.consent"] = consent::ALL.into();
        check(both.clone(), out);
        both["user.consent"] = consent::NOTHING.into();
        check(both, none);
    }
}

/// Where a device exactly is takes an opt-in of its own.
#[test]
fn the_exact_place_is_asked_for_apart() {
    let folder = Folder::new("place");
    let mut bench = bench(&folder, true, Assume::ByCountry);
    let mut exact = |more: Value| {
        let mut request = request();
        request["regs"] = more["regs"].clone();
        request["user"]["consent"] = more["consent"].clone();
        let body = request.to_string();
        let ask = Ask { exchange: b"generic", body: body.as_bytes(), arrived: bench.now().boot };
        let mut saw = Saw::default();
        bench.handle_with(ask, &mut saw);
        saw.basis.unwrap().allowed().unwrap()
    };
    let places = |allowed: corebid::bid::comply::Allowed| (allowed.personal, allowed.exact_place);
    assert_eq!(places(exact(json!({ "regs": {} }))), (true, true));
    assert_eq!(places(exact(json!({ "regs": { "coppa": 1 } }))), (false, false));
    assert_eq!(places(exact(json!({ "regs": { "gdpr": 1 }, "consent": consent::ALL }))), (true, false));
    assert_eq!(places(exact(json!({ "regs": { "gdpr": 1 }, "consent": consent::ALL_AND_PLACE }))), (true, true));
    let states = json!({ "regs": { "gpp": "DBABLA~BVQqAAAAAgA.QA", "gpp_sid": [7] } });
    assert_eq!(places(exact(states)), (true, false));
}

/// A list that says that we are gone ends every consent to us; one that cannot be read ends nothing.
#[test]
fn who_left_the_vendor_list_has_no_consent() {
    let folder = Folder::new("gone");
    let list = folder.write("vendor-list.json", consent::VENDOR_LIST);
    let privacy = Privacy { vendor: Some(1), vendor_list: Some(list), ..Privacy::default() };
    let mut data = load(&folder, privacy);
    folder.write("vendor-list.json", "{");
    let said = data.reload().kept[0].to_string();
    assert!(said.ends_with("the old vendors keep serving"), "{said}");
    assert!(data.snapshot().privacy.vendor.is_some());
    folder.write(
        "vendor-list.json",
        consent::VENDOR_LIST.replace("\"id\":1,", "\"id\":1,\"deletedDate\":\"2026-01-01T00:00:00Z\","),
    );
    let said = data.reload().kept[0].to_string();
    assert!(
        said.contains("vendor 1 was deleted") && said.ends_with("from now on there are no consents to us"),
        "{said}"
    );
    assert!(data.snapshot().privacy.vendor.is_none());
}

#[test]
fn without_a_vendor_nobody_has_consented() {
    let folder = Folder::new("vendorless");
    let mut nobody = bench(&folder, false, Assume::ByCountry);
    let mut request = request();
    assert_eq!(decide(&mut nobody, &request).0, None);
    request["regs"]["gdpr"] = 1.into();
    request["user"]["consent"] = consent::ALL.into();
    assert_eq!(decide(&mut nobody, &request).0, Some(NoBidReason::NoConsent));
}

#[test]
fn what_silence_means_is_the_operators_choice() {
    let folder = Folder::new("silence");
    for (assume, country, wanted) in [
        (Assume::ByCountry, "FRA", Some(NoBidReason::NoConsent)),
        (Assume::ByCountry, "USA", None),
        (Assume::Always, "USA", Some(NoBidReason::NoConsent)),
        (Assume::Never, "FRA", None),
    ] {
        let mut bench = bench(&folder, true, assume);
        let mut request = request();
        request["device"]["geo"]["country"] = country.into();
        assert_eq!(decide(&mut bench, &request).0, wanted, "{assume:?} {country}");
        request["regs"]["gdpr"] = 0.into();
        assert_eq!(decide(&mut bench, &request).0, None, "{assume:?} {country}, and regs.gdpr is 0");
    }
}

/// What a request says, before it is written down.
#[derive(Clone, Debug)]
struct Said {
    gdpr: Option<bool>,
    consent: usize,
    gpp: usize,
    gpp_sid: usize,
    us_privacy: usize,
    country: usize,
    flags: [bool; 4],
    old: bool,
}

/// Consent strings, and what each lets vendor 1 do; a string that cannot be read is not the same as none.
const CONSENTS: [(&str, Option<&[u32]>); 7] = [
    ("", None),
    (consent::ALL, Some(&[1, 2, 3, 4, 7, 9, 10])),
    (consent::CONTEXTUAL, Some(&[2, 7, 9, 10])),
    (consent::WITHOUT_ADS, Some(&[1, 3, 4])),
    (consent::OF_OTHERS, Some(&[])),
    (consent::NOTHING, Some(&[])),
    ("not a string", Some(&[])),
];

/// A GPP string, and what it has.
struct Gpp {
    text: String,
    /// Its sections of the United States, and whether each opts out.
    states: &'static [(i64, bool)],
    /// The place of the EU's section among [`CONSENTS`].
    eu: Option<usize>,
}

fn gpps() -> [Gpp; 11] {
    let gpp = |text: &str, states, eu: Option<usize>| Gpp {
        text: text.replace('*', eu.map_or("", |eu| CONSENTS[eu].0)),
        states,
        eu,
    };
    [
        gpp("", &[], None),
        gpp("DBABMA~*", &[], Some(1)),
        gpp("DBABMA~*", &[], Some(2)),
        gpp("DBABTA~1YYN", &[(6, true)], None),
        gpp("DBABTA~1YNN", &[(6, false)], None),
        gpp("DBABLA~BVQqAAAAAgA.QA", &[(7, false)], None),
        gpp("DBABLA~BVQVAAAAAgA.QA", &[(7, true)], None),
        gpp("DBACNYA~*~1YYN", &[(6, true)], Some(1)),
        gpp("DBACNYA~*~1YNN", &[(6, false)], Some(3)),
        gpp("DBABMA~*", &[], Some(6)),
        gpp("garbage", &[], None),
    ]
}

const SECTIONS: [&[i64]; 7] = [&[], &[2], &[6], &[7], &[2, 6], &[-1], &[8, 2]];
const US_PRIVACY: [(&str, bool); 4] = [("", false), ("1YNN", false), ("1NYN", true), ("2---", true)];
const COUNTRIES: [(&str, bool); 5] = [("USA", false), ("SWE", true), ("gbr", true), ("", false), ("REU", true)];

impl Said {
    fn write(&self) -> Value {
        let mut request = request();
        let [coppa, lmt, dnt, gpc] = self.flags;
        let gpp = gpps()[self.gpp].text.clone();
        let sid = SECTIONS[self.gpp_sid];
        let mut regs = json!({});
        let mut put = |key: &str, value: Value| regs[key] = value;
        if let Some(gdpr) = self.gdpr {
            put("gdpr", u8::from(gdpr).into());
        }
        if !gpp.is_empty() {
            put("gpp", gpp.into());
        }
        if !sid.is_empty() {
            put("gpp_sid", json!(sid));
        }
        if self.us_privacy > 0 {
            put("us_privacy", US_PRIVACY[self.us_privacy].0.into());
        }
        request["regs"] = if self.old { json!({ "ext": regs }) } else { regs };
        if gpc {
            request["regs"]["ext"]["gpc"] = "1".into();
        }
        request["regs"]["coppa"] = u8::from(coppa).into();
        request["device"]["lmt"] = u8::from(lmt).into();
        request["device"]["dnt"] = u8::from(dnt).into();
        request["device"]["geo"]["country"] = COUNTRIES[self.country].0.into();
        if self.consent > 0 {
            let consent = CONSENTS[self.consent].0;
            request["user"] = match self.old {
                true => json!({ "id": "u", "ext": { "consent": consent } }),
                false => json!({ "id": "u", "consent": consent }),
            };
        }
        request
    }

    /// What the table says.
    fn wanted(&self) -> (Option<NoBidReason>, bool, Vec<u32>) {
        let Gpp { text: gpp, states: found, eu } = &gpps()[self.gpp];
        let sid = SECTIONS[self.gpp_sid];
        let applies = |section: i64| sid.is_empty() || sid.contains(&section);
        // What should be there and is garbage is a string that cannot be read.
        let eu = eu.or((gpp == "garbage" && sid.contains(&2)).then_some(6)).filter(|_| applies(2));
        let gdpr = self.gdpr == Some(true)
            || sid.contains(&2)
            || self.gdpr.is_none() && (self.consent > 0 || eu.is_some() || COUNTRIES[self.country].1);
        let mut purposes: Vec<u32> = (1..=24).collect();
        if gdpr {
            let strings: Vec<&[u32]> =
                [CONSENTS[self.consent].1, eu.and_then(|eu| CONSENTS[eu].1)].into_iter().flatten().collect();
            purposes.retain(|purpose| !strings.is_empty() && strings.iter().all(|granted| granted.contains(purpose)));
        }
        if purposes.is_empty() {
            return (Some(NoBidReason::NoConsent), false, Vec::new());
        }
        if !purposes.contains(&2) {
            return (Some(NoBidReason::NoPurpose), false, Vec::new());
        }
        let asked = !gpp.is_empty() || !sid.is_empty();
        let states = sid.iter().filter(|&&section| section > 2);
        let missing = states.clone().any(|section| found.iter().all(|(has, _)| has != section));
        let broken = gpp == "garbage" && (sid.is_empty() || states.count() > 0);
        let said_no = found.iter().any(|&(section, out)| out && applies(section));
        let opted_out =
            self.flags.contains(&true) || US_PRIVACY[self.us_privacy].1 || asked && (missing || broken || said_no);
        if opted_out {
            purposes.retain(|purpose| [2, 7].contains(purpose));
        }
        let known = [1, 2, 3, 4].iter().all(|purpose| purposes.contains(purpose));
        (None, known, purposes)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]
    #[test]
    fn requests_are_treated_as_the_table_says(
        said in (
            any::<Option<bool>>(), 0..CONSENTS.len(), 0..11usize, 0..SECTIONS.len(), 0..US_PRIVACY.len(), 0..COUNTRIES.len(),
            prop::array::uniform4(prop::bool::weighted(0.1)), any::<bool>(),
        ).prop_map(|(gdpr, consent, gpp, gpp_sid, us_privacy, country, flags, old)| Said {
            gdpr, consent, gpp, gpp_sid, us_privacy, country, flags, old,
        }),
    ) {
        thread_local! {
            static BENCH: std::cell::RefCell<Bench> =
                std::cell::RefCell::new(bench(&Folder::new("treated"), true, Assume::ByCountry));
        }
        let request = said.write();
        let got = BENCH.with_borrow_mut(|bench| decide(bench, &request));
        prop_assert_eq!(got, said.wanted(), "{}", request);
    }
}

#[test]
fn purposes_are_numbered_from_one() {
    assert_eq!(Purposes::of(1).and(Purposes::of(24)).iter().collect::<Vec<_>>(), [1, 24]);
    assert!(Purposes::ALL.has(Purposes::USE_PROFILE) && !Purposes::MEASURE.has(Purposes::BASIC_ADS));
}
