//! An exchange, as its section of the configuration and docs/CONFIGURATION.md describe it.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::amounts::{UNIT, amount};
use super::{flag, strings};

/// What is agreed with an exchange, and what its currencies are worth.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) seat: String,
    /// The version it speaks.
    pub(crate) openrtb: String,
    /// What a bid must have.
    pub(crate) required: Vec<String>,
    /// Several bids for one impression are taken.
    pub(crate) multi_bid: bool,
    /// Markup comes with the bid.
    pub(crate) inline: bool,
    /// `nurl`, `burl`, `lurl`: those that bids carry.
    pub(crate) notices: Vec<String>,
    /// `nurl` is what bills.
    pub(crate) bills_by_nurl: bool,
    /// The impression event bills videos and audio.
    pub(crate) bills_by_impression: bool,
    /// What stands for the price.
    pub(crate) price_macro: &'static str,
    pub(crate) formats: Vec<String>,
    /// What a unit of each currency is worth in the account's, in trillionths.
    pub(crate) rates: HashMap<String, i128>,
}

impl Exchange {
    /// What `--demo` runs on.
    pub(crate) fn demo() -> Exchange {
        let config = json!({ "exchange": [{ "name": "generic", "seat": "corebid" }] });
        Exchange::read(&config, &Value::Null, "generic")
    }

    /// From a configuration and a rates file.
    pub(crate) fn read(config: &Value, rates: &Value, name: &str) -> Exchange {
        let sections = config["exchange"].as_array().expect("exchanges");
        let section = sections.iter().find(|section| section["name"] == name).expect("an exchange of this name");
        // What the profiles say, as the documentation lists them.
        let profile = match section["profile"].as_str().unwrap_or("generic-2.6") {
            "generic-2.6" | "bidswitch" => json!({}),
            "generic-2.5" | "magnite" | "equativ" => json!({ "openrtb": "2.5" }),
            "google" => json!({ "price": "google" }),
            "openx" => json!({ "price": "openx" }),
            "xandr" => {
                json!({ "openrtb": "2.4", "required": ["seat", "crid"], "adm": "none", "notices": ["nurl"], "billing": "nurl" })
            }
            "pubnx" => json!({ "required": ["nurl", "crid", "adomain", "iurl", "single_bid"] }),
            other => panic!("the judge has not read of the profile {other}"),
        };
        let of = |key: &str, default: Value| match (&section[key], &profile[key]) {
            (Value::Null, Value::Null) => default,
            (Value::Null, said) | (said, _) => said.clone(),
        };
        let list = |key: &str, default: Value| strings(&of(key, default)).map(str::to_owned).collect::<Vec<_>>();
        let account = config["data"]["currency"].as_str().unwrap_or("USD").to_owned();
        let listed = rates["rates"].as_object().into_iter().flatten();
        let mut rates: HashMap<String, i128> = listed.map(|(code, rate)| (code.clone(), amount(rate))).collect();
        rates.insert(account, UNIT);
        Exchange {
            name: name.to_owned(),
            seat: section["seat"].as_str().unwrap_or_default().to_owned(),
            openrtb: of("openrtb", "2.6".into()).as_str().unwrap_or_default().to_owned(),
            required: list("required", json!([])),
            multi_bid: flag(&of("multi_bid", false.into())),
            inline: of("adm", "inline".into()) == "inline",
            notices: list("notices", json!(["nurl", "burl", "lurl"])),
            bills_by_nurl: of("billing", "burl".into()) == "nurl",
            bills_by_impression: of("video_billing", "burl".into()) == "impression",
            price_macro: match of("price", "plain".into()).as_str() {
                Some("google") => "%%WINNING_PRICE%%",
                Some("openx") => "${AUCTION_PRICE:OXCRYPT}",
                _ => "${AUCTION_PRICE}",
            },
            formats: list("formats", json!(["banner", "video", "audio", "native"])),
            rates,
        }
    }
}
