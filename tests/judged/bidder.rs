//! The bidder before its judge.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use corebid::bid::probe::Blind;
use corebid::bid::{Ask, Outcome};
use corebid::config::Config;
use corebid::lab::bench::Bench;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use serde_json::Value;

use crate::demo;
use crate::judge::{Exchange, Judge};
use crate::support::Folder;

/// The exchanges of tests/data/broad.
pub(crate) const EXCHANGES: [&str; 8] = ["generic", "euro", "yen", "gold", "google", "openx", "xandr", "pubnx"];

pub(crate) struct Bidder {
    bench: Bench,
    judges: HashMap<String, Judge>,
    /// Bids by what is special about them.
    pub(crate) kinds: BTreeMap<&'static str, u64>,
}

impl Bidder {
    /// With tests/data/broad.
    pub(crate) fn broad() -> Bidder {
        let folder = Folder::new("broad");
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/broad");
        let read = |name: &str| fs::read_to_string(data.join(name)).unwrap();
        for name in ["campaigns.toml", "corebid.toml", "profiles.ndjson"] {
            folder.write(name, read(name));
        }
        let yesterday = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
        folder.write("rates.toml", format!("as_of = {yesterday}\n{}", read("rates.toml")));
        for (name, digit) in [("notice.key", '1'), ("user.key", '2'), ("encryption.key", '3'), ("integrity.key", '4')] {
            folder.write_key(name, digit);
        }
        let config = Config::load(&folder.path("corebid.toml")).unwrap();
        let data = Data::load(Source::files(&config), &Key([2; 32])).unwrap();
        let toml = |name: &str| toml::from_str::<Value>(&read(name)).unwrap();
        let (section, rates, book) = (toml("corebid.toml"), toml("rates.toml"), toml("campaigns.toml"));
        let profiles: Vec<Value> =
            read("profiles.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let judge = |name: &str| Judge::new(Exchange::read(&section, &rates, name), &book, &profiles);
        Bidder {
            bench: Bench::new(&config, &data).unwrap(),
            judges: EXCHANGES.iter().map(|&name| (name.to_owned(), judge(name))).collect(),
            kinds: BTreeMap::new(),
        }
    }

    /// As `--demo` and `--demo=N` start it.
    pub(crate) fn demo(source: Source) -> Bidder {
        let config = Config::demo(Path::new(""));
        let data = Data::load(source, &Key([0; 32])).unwrap();
        let judge = Judge::new(Exchange::demo(), &demo::book(data.campaigns()), &[]);
        let judges = [("generic".to_owned(), judge)].into();
        Bidder { bench: Bench::new(&config, &data).unwrap(), judges, kinds: BTreeMap::new() }
    }

    pub(crate) fn judge(&self, exchange: &str) -> &Judge {
        &self.judges[exchange]
    }

    /// Asks for a bid.
    pub(crate) fn response(&mut self, exchange: &str, body: &[u8]) -> Option<Value> {
        let ask = Ask { exchange: exchange.as_bytes(), body, arrived: self.bench.now().boot };
        let (outcome, response) = self.bench.handle_with(ask, &mut Blind);
        if response.is_none() {
            assert!(matches!(outcome, Outcome::NoBid(_)), "{outcome:?} to {}", String::from_utf8_lossy(body));
        }
        response.map(|response| serde_json::from_slice(response).expect("a response is JSON"))
    }

    /// Asks for a bid and has the answer judged; the number of bids.
    #[track_caller]
    pub(crate) fn judged(&mut self, exchange: &str, request: &Value, body: &[u8]) -> usize {
        let Some(response) = self.response(exchange, body) else { return 0 };
        match self.judges[exchange].verdict(request, &response) {
            Ok(count) => self.count(request, &response, count),
            Err(wrong) => panic!("{exchange}: {wrong}\n{request}\n{response}"),
        }
    }

    fn count(&mut self, request: &Value, response: &Value, count: usize) -> usize {
        let seat = &response["seatbid"][0];
        let bids = seat["bid"].as_array().unwrap();
        let imps = request["imp"].as_array().unwrap();
        let mut add = |kind, happened: bool| *self.kinds.entry(kind).or_default() += u64::from(happened);
        for bid in bids {
            add(["", "banner", "video", "audio", "native"][bid["mtype"].as_u64().unwrap_or(0) as usize], true);
            add("deal", bid["dealid"].is_string());
        }
        let several = |in_pod: bool| {
            imps.iter().any(|imp| {
                let of_imp = bids.iter().filter(|bid| bid["impid"] == imp["id"]);
                of_imp.filter(|bid| bid["slotinpod"].is_null() != in_pod).count() > 1
            })
        };
        add("group", seat["group"] == 1);
        add("pod", several(true));
        add("several", several(false));
        count
    }
}
