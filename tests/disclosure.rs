//! What bids disclose under the Digital Services Act: who demands it gets it or no bid, and nobody is told of data that was not
//! used.

mod support;

use corebid::bid::{Ask, Outcome};
use corebid::config::Config;
use corebid::lab::bench::Bench;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::wire::openrtb::nobid::NoBidReason;
use serde_json::{Value, json};
use support::{Folder, campaign};

fn bench(campaigns: &str) -> (Folder, Bench) {
    let folder = Folder::new("disclosure");
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
    let data = Data::load(source, &Key([0; 32])).unwrap();
    let bench = Bench::new(&Config::demo(std::path::Path::new("")), &data).unwrap();
    (folder, bench)
}

/// The disclosure of the bid, null for none; or why there is no bid.
fn disclosed(bench: &mut Bench, dsa: Value, coppa: u8) -> Result<Value, NoBidReason> {
    let request = json!({
        "id": "r", "imp": [{ "id": "1", "banner": { "w": 300, "h": 250 } }], "site": {}, "user": { "id": "u" },
        "regs": { "coppa": coppa, "ext": { "dsa": dsa } },
    });
    let body = request.to_string();
    let ask = Ask { exchange: b"generic", body: body.as_bytes(), arrived: bench.now().boot };
    match bench.handle_with(ask, &mut corebid::bid::probe::Blind) {
        (Outcome::Bid { .. }, written) => {
            let response: Value = serde_json::from_slice(written.unwrap()).unwrap();
            Ok(response["seatbid"][0]["bid"][0]["ext"]["dsa"].clone())
        }
        (Outcome::NoBid(reason), _) => Err(reason),
        (Outcome::Broken | Outcome::Parked(_), _) => panic!("{body}"),
    }
}

const ACME: &str = "dsa = { behalf = 'Acme \"Shoes\"', paid = 'Acme', transparency = [
    { domain = 'dsp.example', params = [1, 2, 3] }, { domain = 'data.example', params = [1] }] }\n";

#[test]
fn who_demands_it_gets_it() {
    let (_folder, mut bench) = bench(&campaign(1, ACME));
    let names = json!({ "behalf": "Acme \"Shoes\"", "paid": "Acme" });
    let mut all = names.clone();
    all["transparency"] =
        json!([{ "domain": "dsp.example", "dsaparams": [1, 2, 3] }, { "domain": "data.example", "dsaparams": [1] }]);
    let mut contextual = names.clone();
    contextual["transparency"] = json!([{ "domain": "dsp.example", "dsaparams": [2] }]);
    for required in 1..=3 {
        let dsa = |data: u8| json!({ "dsarequired": required, "pubrender": 1, "datatopub": data });
        assert_eq!(disclosed(&mut bench, dsa(0), 0), Ok(names.clone()));
        for data in [1, 2] {
            assert_eq!(disclosed(&mut bench, dsa(data), 0), Ok(all.clone()));
            // Nobody was known: neither a profile nor an exact place was used.
            assert_eq!(disclosed(&mut bench, dsa(data), 1), Ok(contextual.clone()));
        }
    }
    for unasked in [json!(null), json!({}), json!({ "dsarequired": 0, "datatopub": 2 })] {
        assert_eq!(disclosed(&mut bench, unasked, 0), Ok(Value::Null));
    }
}

#[test]
fn who_cannot_disclose_does_not_bid_where_it_is_demanded() {
    let (_folder, mut bench) = bench(&campaign(1, ""));
    for (required, wanted) in [
        (0, Ok(Value::Null)),
        (1, Ok(Value::Null)),
        (2, Err(NoBidReason::Transparency)),
        (3, Err(NoBidReason::Transparency)),
    ] {
        assert_eq!(disclosed(&mut bench, json!({ "dsarequired": required }), 0), wanted, "{required}");
    }
}

/// Two would show it to the user, or none would.
#[test]
fn somebody_shows_it_and_not_two() {
    for (renders, refused) in [("renders = true, ", 2), ("renders = false, ", 0)] {
        let (_folder, mut bench) = bench(&campaign(1, &ACME.replace("{ behalf", &format!("{{ {renders}behalf"))));
        for publisher in 0..=2 {
            let dsa = |required: u8| json!({ "dsarequired": required, "pubrender": publisher });
            let demanded = disclosed(&mut bench, dsa(2), 0);
            let supported = disclosed(&mut bench, dsa(1), 0).unwrap();
            if publisher == refused {
                assert_eq!((demanded, supported), (Err(NoBidReason::Transparency), Value::Null));
            } else {
                assert_eq!(demanded.unwrap()["adrender"], u8::from(renders.contains("true")));
                assert_eq!(supported["behalf"], "Acme \"Shoes\"");
            }
        }
    }
}
