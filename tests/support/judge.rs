//! A judge of bid responses that shares nothing with the bidder: both documents are read with serde_json, and each rule is
//! OpenRTB's (2.6 sections 3.2 and 4.2) or the campaign's.

use std::collections::{HashMap, HashSet};

use corebid::snapshot::campaign::{Ad, Campaign};
use serde_json::Value;

use super::micros;

/// What the bidder is allowed to say, from the campaigns it was given.
pub struct Judge<'c>(HashMap<String, &'c Campaign>);

impl<'c> Judge<'c> {
    pub fn new(campaigns: &'c [Campaign]) -> Self {
        Judge(campaigns.iter().map(|campaign| (campaign.id.0.to_string(), campaign)).collect())
    }

    /// What is wrong with a response, if anything is; the number of its bids otherwise.
    pub fn verdict(&self, request: &Value, response: &Value) -> Result<usize, String> {
        let sure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        sure(response["id"] == request["id"], "the id is another request's")?;
        sure(response["cur"] == "USD", "not in US dollars")?;
        let currencies = strings(&request["cur"]);
        sure(currencies.is_empty() || currencies.contains("USD"), "the exchange does not take US dollars")?;
        let seats = response["seatbid"].as_array().ok_or("no seatbid")?;
        sure(seats.len() == 1, "one seat bids")?;
        let bids = seats[0]["bid"].as_array().ok_or("no bids")?;
        sure(!bids.is_empty(), "a response without a bid")?;
        let mut seen: [HashSet<&str>; 3] = Default::default();
        for bid in bids {
            self.bid(request, bid)?;
            for (seen, (key, what)) in seen.iter_mut().zip([
                ("id", "two bids with one id"),
                ("impid", "two bids for one impression"),
                ("cid", "a campaign bids twice"),
            ]) {
                sure(seen.insert(text(&bid[key])?), what)?;
            }
        }
        Ok(bids.len())
    }

    fn bid(&self, request: &Value, bid: &Value) -> Result<(), String> {
        let sure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {bid}")) };
        let campaign = self.0.get(text(&bid["cid"])?).ok_or("no campaign has this cid")?;
        let imp = request["imp"].as_array().into_iter().flatten().find(|imp| imp["id"] == bid["impid"]);
        let imp = imp.ok_or("no impression has this impid")?;
        let banner = &imp["banner"];
        sure(banner.is_object(), "a banner for what is no banner")?;
        sure(imp["pmp"]["private_auction"] != 1, "an open bid in a private auction")?;

        let id = text(&bid["id"])?;
        sure(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "an id that is not 128 bits")?;
        let Value::Number(price) = &bid["price"] else { return Err("no price".into()) };
        let price = micros(price);
        sure(price > 0 && price <= campaign.cpm.0, "a price above the campaign's")?;
        // Of what is said about a floor nothing is rounded in our favour.
        let floor = imp["bidfloor"].as_f64().unwrap_or(0.0);
        sure(price as f64 + 1e-6 >= floor * 1e6, "a price below the floor")?;
        let floor_currency = imp["bidfloorcur"].as_str().unwrap_or("USD");
        sure(floor <= 0.0 || floor_currency.eq_ignore_ascii_case("USD"), "a floor in another currency")?;

        let (w, h) = (&bid["w"], &bid["h"]);
        let formats = banner["format"].as_array().into_iter().flatten();
        let offered = formats.chain([banner]).any(|size| size["w"] == *w && size["h"] == *h);
        sure(w.is_u64() && h.is_u64() && offered, "a size that was not offered")?;
        let crid = text(&bid["crid"])?;
        let creative =
            campaign.creatives.iter().find(|creative| creative.id == crid).ok_or("no creative has this crid")?;
        let Ad::Banner(ad) = &creative.ad else { return Err("not a banner".into()) };
        sure(*w == ad.size.w && *h == ad.size.h, "not the creative's size")?;
        let markup = text(&bid["adm"])?;
        sure(imp["secure"] != 1 || !markup.to_ascii_lowercase().contains("http:"), "insecure markup")?;
        sure(bid["mtype"] == 1, "mtype is not banner")?;
        let listed = |list: &Value, code: u8| list.as_array().into_iter().flatten().any(|entry| *entry == code);
        sure(!listed(&banner["btype"], ad.btype), "a blocked creative type")?;
        sure(
            (0..64).all(|attribute| creative.attr >> attribute & 1 == 0 || !listed(&banner["battr"], attribute)),
            "a blocked attribute",
        )?;

        sure(
            strings(&bid["adomain"]) == campaign.adomain.iter().map(String::as_str).collect(),
            "not the campaign's domains",
        )?;
        sure(
            strings(&bid["cat"]) == campaign.cat.iter().map(String::as_str).collect(),
            "not the campaign's categories",
        )?;
        for blocked in strings(&request["badv"]) {
            let blocked = blocked.to_ascii_lowercase();
            let under = |domain: &&str| **domain == blocked || domain.ends_with(&format!(".{blocked}"));
            sure(!strings(&bid["adomain"]).iter().any(under), "a blocked advertiser")?;
        }
        for blocked in strings(&request["bcat"]) {
            let under = |cat: &&str| {
                cat.eq_ignore_ascii_case(blocked)
                    || cat.to_ascii_uppercase().starts_with(&format!("{}-", blocked.to_ascii_uppercase()))
            };
            sure(!strings(&bid["cat"]).iter().any(under), "a blocked category")?;
        }
        for (key, kind) in [("nurl", "win"), ("burl", "bill"), ("lurl", "loss")] {
            let url = text(&bid[key])?;
            let right = url.starts_with("http://")
                && url.contains(&format!("/notice/{kind}/"))
                && url.ends_with("${AUCTION_PRICE}");
            sure(right && url.len() <= 2000, key)?;
        }
        Ok(())
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| format!("{value} where a text belongs"))
}

fn strings(value: &Value) -> HashSet<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
