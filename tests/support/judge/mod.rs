//! A judge of bid responses that shares nothing with the bidder: request, response, campaign file, configuration and profiles are
//! read as JSON and TOML values, prices as exact decimals, and each rule is OpenRTB's (2.6 sections 3.2, 4.2 and 7), the
//! exchange's ([docs/CONFIGURATION.md](../../docs/CONFIGURATION.md)) or the campaign's ([docs/CAMPAIGNS.md](../../docs/CAMPAIGNS.md)).

pub(crate) mod amounts;
pub(crate) mod exchange;
mod blocks;
mod choice;
mod formats;
mod money;
mod native;
mod notices;
mod targets;
mod vast;

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

pub(crate) use exchange::Exchange;

/// What is wrong, if anything is.
pub(crate) type Verdict = Result<(), String>;

/// What the bidder may say at one exchange, from the files it was given.
pub(crate) struct Judge {
    pub(crate) exchange: Exchange,
    campaigns: HashMap<String, Value>,
    /// Segments by user; the exchange's name with its own ids, nothing with ours.
    users: HashMap<(String, String), BTreeSet<u64>>,
}

/// One bid and all it is judged by.
#[derive(Clone, Copy)]
struct Case<'a> {
    exchange: &'a Exchange,
    request: &'a Value,
    imp: &'a Value,
    bid: &'a Value,
    campaign: &'a Value,
    creative: &'a Value,
    /// `cur` of the response.
    currency: &'a str,
}

impl Judge {
    /// `book` is a campaign file, `profiles` the lines of a profile file.
    pub(crate) fn new(exchange: Exchange, book: &Value, profiles: &[Value]) -> Judge {
        let campaigns = elements(&book["campaigns"]).map(|campaign| (campaign["id"].to_string(), campaign.clone()));
        let users = profiles.iter().map(|line| {
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            ((text("user"), text("exchange")), elements(&line["segments"]).filter_map(Value::as_u64).collect())
        });
        Judge { exchange, campaigns: campaigns.collect(), users: users.collect() }
    }

    /// What is wrong with a response, if anything is; the number of its bids otherwise.
    pub(crate) fn verdict(&self, request: &Value, response: &Value) -> Result<usize, String> {
        only(response, &["id", "seatbid", "cur"])?;
        sure(text(&response["id"])? == text(&request["id"])?, "the id is another request's")?;
        sure(!lacks_consent(request), "the request is under the GDPR and has no consent")?;
        let currency = text(&response["cur"])?;
        money::currency(&self.exchange, request, currency)?;
        let seats = response["seatbid"].as_array().ok_or("no seatbid")?;
        sure(seats.len() == 1, "there is one seat")?;
        let seat = &seats[0];
        only(seat, &["bid", "seat", "group"])?;
        blocks::seat(&self.exchange, request, seat)?;
        let bids = seat["bid"].as_array().ok_or("no bids")?;
        let bids = bids.iter().map(|bid| self.recent(request, bid)).collect::<Result<Vec<_>, _>>()?;
        let cases = bids.iter().map(|bid| self.case(request, bid, currency)).collect::<Result<Vec<_>, _>>()?;
        choice::judge(&self.exchange, request, seat, &cases)?;
        for case in &cases {
            self.bid(case).map_err(|wrong| format!("{wrong}: {}", case.bid))?;
        }
        Ok(bids.len())
    }

    /// A bid as 2.6 has it. Before that it must not have these members: here they are put in, as the creative has them.
    fn recent(&self, request: &Value, bid: &Value) -> Result<Value, String> {
        let mut bid = bid.clone();
        if self.exchange.openrtb.as_str() < "2.6" {
            for member in ["mtype", "dur", "slotinpod", "cattax"] {
                sure(bid[member].is_null(), "a member of 2.6")?;
            }
            let Case { creative, imp, .. } = self.case(request, &bid, "")?;
            let format = creative["format"].as_str().unwrap_or("banner").to_owned();
            let at = ["banner", "video", "audio", "native"].iter().position(|known| *known == format);
            let (duration, pod) = (creative["duration"].clone(), imp[&format]["poddur"].as_u64().unwrap_or(0));
            bid["mtype"] = (at.expect("a format") + 1).into();
            if matches!(&*format, "video" | "audio") {
                bid["dur"] = duration;
                if pod > 0 {
                    bid["slotinpod"] = 0.into();
                }
            }
        }
        Ok(bid)
    }

    fn case<'a>(&'a self, request: &'a Value, bid: &'a Value, currency: &'a str) -> Result<Case<'a>, String> {
        let campaign = self.campaigns.get(text(&bid["cid"])?).ok_or("no campaign has this cid")?;
        let crid = text(&bid["crid"])?;
        let creative = elements(&campaign["creatives"]).find(|creative| creative["id"] == crid);
        let imp = elements(&request["imp"]).find(|imp| imp["id"] == bid["impid"]);
        Ok(Case {
            exchange: &self.exchange,
            request,
            imp: imp.ok_or("no impression has this impid")?,
            bid,
            campaign,
            creative: creative.ok_or("no creative has this crid")?,
            currency,
        })
    }

    fn bid(&self, case: &Case<'_>) -> Verdict {
        let Case { exchange, bid, campaign, .. } = *case;
        only(bid, &BID)?;
        let id = text(&bid["id"])?;
        sure(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "an id that is not 128 bits")?;
        for required in &exchange.required {
            let present = match required.as_str() {
                "size" => bid["w"].is_u64() && bid["h"].is_u64(),
                // Said by the response, not by each bid.
                "seat" | "single_bid" => true,
                "cat" | "adomain" => elements(&bid[required]).next().is_some(),
                key => !bid[key].is_null(),
            };
            sure(present, &format!("the exchange requires {required}"))?;
        }
        sure(campaign["enabled"] != false, "a campaign that is switched off")?;
        money::judge(case)?;
        formats::judge(case)?;
        blocks::judge(case)?;
        notices::judge(case)?;
        targets::judge(case, &self.segments(case.request))
    }

    /// The user's segments, nothing of a user of whom nothing may be known; `None` if nobody may even be counted.
    fn segments(&self, request: &Value) -> Option<BTreeSet<u64>> {
        let user = &request["user"];
        let told = |key: &str| user[key].as_str().filter(|id| !id.is_empty());
        let key = match (told("buyeruid"), told("id")) {
            _ if is_private(request) => return None,
            (Some(id), _) => (id.to_owned(), String::new()),
            (None, Some(id)) => (id.to_owned(), self.exchange.name.clone()),
            (None, None) => return None,
        };
        Some(self.users.get(&key).cloned().unwrap_or_default())
    }
}

/// What a bid may hold: what of 2.6 section 4.2.3 we know how to mean.
const BID: [&str; 25] = [
    "id",
    "impid",
    "price",
    "dealid",
    "nurl",
    "burl",
    "lurl",
    "adm",
    "adid",
    "adomain",
    "bundle",
    "iurl",
    "cid",
    "crid",
    "cat",
    "cattax",
    "attr",
    "language",
    "w",
    "h",
    "dur",
    "protocol",
    "slotinpod",
    "mtype",
    "ext",
];

/// Whether the request says, in any of the ways there are, that its user is not to be known.
fn is_private(request: &Value) -> bool {
    let (regs, device) = (&request["regs"], &request["device"]);
    let either = |key: &str| if regs[key].is_null() { &regs["ext"][key] } else { &regs[key] };
    let us = either("us_privacy").as_str().unwrap_or_default().as_bytes();
    let us_allows = us.is_empty() || us.len() == 4 && us[0] == b'1' && matches!(us[2], b'N' | b'-');
    flag(either("gdpr"))
        || flag(&regs["coppa"])
        || regs["ext"]["gpc"] == "1"
        || flag(&regs["ext"]["gpc"])
        || flag(&device["lmt"])
        || flag(&device["dnt"])
        || !us_allows
        || either("gpp").as_str().is_some_and(|text| !text.is_empty())
        || elements(either("gpp_sid")).next().is_some()
}

/// Whether the request says that the GDPR applies, and has no string that could let anybody process anything.
fn lacks_consent(request: &Value) -> bool {
    let (regs, user) = (&request["regs"], &request["user"]);
    let strings = [&user["consent"], &user["ext"]["consent"], &regs["gpp"], &regs["ext"]["gpp"]];
    let silent = |value: &&Value| value.as_str().is_none_or(str::is_empty);
    (flag(&regs["gdpr"]) || regs["gdpr"].is_null() && flag(&regs["ext"]["gdpr"])) && strings.iter().all(silent)
}

fn sure(holds: bool, what: &str) -> Verdict {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// The elements of an array; of anything else none.
fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    elements(value).filter_map(Value::as_str)
}

fn flag(value: &Value) -> bool {
    *value == 1 || *value == true
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| format!("{value} where a text belongs"))
}

/// Whether an object has no members but these.
fn only(value: &Value, keys: &[&str]) -> Verdict {
    let object = value.as_object().ok_or_else(|| format!("{value} where an object belongs"))?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(format!("{key:?} is no member there")),
        None => Ok(()),
    }
}

/// Whether all numbers of the first list are in the second.
fn within(ours: &Value, theirs: &Value) -> bool {
    elements(ours).all(|one| elements(theirs).any(|other| one == other))
}

/// Whether the lists have a number in common.
fn meet(ours: &Value, theirs: &Value) -> bool {
    elements(ours).any(|one| elements(theirs).any(|other| one == other))
}
