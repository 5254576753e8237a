//! What exchange, publisher and deal forbid: seats, categories, advertisers, apps, languages, and bids without a deal.

use serde_json::Value;

use super::{Case, Exchange, Verdict, elements, flag, strings, sure};

/// `seat`, `wseat`, `bseat`.
pub(super) fn seat(exchange: &Exchange, request: &Value, seatbid: &Value) -> Verdict {
    let seat = exchange.seat.as_str();
    sure(seatbid["seat"].as_str().unwrap_or_default() == seat, "another's seat")?;
    let mut wanted = strings(&request["wseat"]).peekable();
    sure(wanted.peek().is_none() || wanted.any(|wanted| wanted == seat), "a seat that was not invited")?;
    sure(!strings(&request["bseat"]).any(|blocked| blocked == seat), "a blocked seat")
}

pub(super) fn judge(case: &Case<'_>) -> Verdict {
    let Case { request, bid, campaign, creative, .. } = *case;
    deal(case)?;
    sure(bid["adomain"] == campaign["adomain"], "not the campaign's domains")?;
    sure(bid["bundle"] == campaign["app"], "not the campaign's app")?;
    for blocked in strings(&request["badv"]) {
        sure(!strings(&bid["adomain"]).any(|domain| is_below(domain, blocked)), "a blocked advertiser")?;
    }
    let app = campaign["app"].as_str();
    sure(!strings(&request["bapp"]).any(|blocked| Some(blocked) == app), "a blocked app")?;
    categories(request, bid, campaign)?;
    let named = if elements(&request["wlang"]).next().is_some() { &request["wlang"] } else { &request["wlangb"] };
    let language = creative["language"].as_str();
    sure(bid["language"].as_str() == language, "not the creative's language")?;
    let primary = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let mut languages = strings(named).map(primary).peekable();
    let speaks = languages.peek().is_none() || languages.any(|listed| Some(listed.as_str()) == language);
    sure(speaks, "a language that is not read there")
}

/// `private_auction`, the deals' `wseat` and `wadomain`, and the campaign's own deals.
fn deal(case: &Case<'_>) -> Verdict {
    let Case { exchange, imp, bid, campaign, .. } = *case;
    let deals = &campaign["targeting"]["deals"];
    let Some(id) = bid["dealid"].as_str() else {
        sure(!flag(&imp["pmp"]["private_auction"]), "an open bid in a private auction")?;
        return sure(elements(deals).next().is_none(), "an open bid of a campaign for deals");
    };
    sure(strings(deals).any(|named| named == id), "a deal that the campaign does not name")?;
    let deal = elements(&imp["pmp"]["deals"]).find(|deal| deal["id"] == id).ok_or("a deal that was not offered")?;
    let mut seats = strings(&deal["wseat"]).peekable();
    sure(seats.peek().is_none() || seats.any(|seat| seat == exchange.seat), "a deal of other seats")?;
    let listed: Vec<&str> = strings(&deal["wadomain"]).collect();
    let welcome = |domain: &str| listed.iter().any(|listed| is_below(domain, listed));
    sure(listed.is_empty() || strings(&bid["adomain"]).all(welcome), "a deal of other advertisers")
}

/// `bcat`, `acat`, in the taxonomy of the request; and `cat` of the bid, in its own.
fn categories(request: &Value, bid: &Value, campaign: &Value) -> Verdict {
    let ours = |taxonomy: u64| match taxonomy {
        1 => &campaign["cat"],
        other => &campaign["cat_in"][other.to_string()],
    };
    let said = bid["cattax"].as_u64().unwrap_or(1);
    let empty = Value::Array(Vec::new());
    let or_none = |list: &Value| if list.is_null() { empty.clone() } else { list.clone() };
    sure(or_none(&bid["cat"]) == or_none(ours(said)), "not the campaign's categories")?;
    let taxonomy = request["cattax"].as_u64().unwrap_or(1);
    let named: Vec<&str> = strings(ours(taxonomy)).collect();
    let names_any = |value: &Value| elements(value).next().is_some();
    let has_any = names_any(&campaign["cat"]) || campaign["cat_in"].as_object().is_some_and(|lists| !lists.is_empty());
    if names_any(&request["bcat"]) || names_any(&request["acat"]) {
        sure(!has_any || !named.is_empty(), "categories that are not said in the taxonomy of the lists")?;
    }
    let covers = |listed: &str, name: &str| {
        let (listed, name) = (listed.to_ascii_lowercase(), name.to_ascii_lowercase());
        name == listed || taxonomy == 1 && name.split_once('-').is_some_and(|(parent, _)| parent == listed)
    };
    let blocked = |name: &&str| strings(&request["bcat"]).any(|listed| covers(listed, name));
    sure(!named.iter().any(blocked), "a blocked category")?;
    let allowed = |name: &&str| strings(&request["acat"]).any(|listed| covers(listed, name));
    sure(
        !names_any(&request["acat"]) || !named.is_empty() && named.iter().all(allowed),
        "a category that is not allowed",
    )
}

/// Whether a domain is this one or below it.
fn is_below(domain: &str, listed: &str) -> bool {
    let (domain, listed) = (domain.to_ascii_lowercase(), listed.to_ascii_lowercase());
    !listed.is_empty() && (domain == listed || domain.ends_with(&format!(".{listed}")))
}
