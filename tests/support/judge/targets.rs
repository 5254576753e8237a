//! Whether the campaign wanted the request (docs/CAMPAIGNS.md, "Targeting"), as far as its keys are read here.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Case, Verdict, elements, strings, sure};

/// Keys that tests/targeting holds against a reference of its own.
const ELSEWHERE: [&str; 7] = ["cities", "zips", "circles", "os", "browsers", "carriers", "daypart"];
const DEVICES: [&str; 8] = ["mobile", "pc", "tv", "phone", "tablet", "connected_device", "set_top_box", "ooh"];

/// `segments` are the user's; `None` of a user who may not be known.
pub(super) fn judge(case: &Case<'_>, segments: &Option<BTreeSet<u64>>) -> Verdict {
    let Case { request, campaign, exchange, .. } = *case;
    sure(segments.is_some() || campaign["frequency_cap"].is_null(), "a cap on a user who may not be counted")?;
    let Some(targeting) = campaign["targeting"].as_object() else { return Ok(()) };
    let (channel, inventory) = ["site", "app", "dooh"]
        .iter()
        .find(|key| request[**key].is_object())
        .map_or(("", &Value::Null), |key| (*key, &request[*key]));
    let device = &request["device"];
    for (key, rule) in targeting {
        let wanted = match key.as_str() {
            key if ELSEWHERE.contains(&key) => true,
            "deals" => true,
            "countries" | "regions" => place(targeting, request),
            "devices" => {
                let kind = device["devicetype"].as_u64().unwrap_or(0) as usize;
                kind > 0 && strings(rule).any(|name| DEVICES.get(kind - 1) == Some(&name))
            }
            "connections" => device["connectiontype"].as_u64().is_some_and(|kind| {
                let name =
                    ["ethernet", "wifi", "cellular", "2g", "3g", "4g", "5g"].get((kind as usize).wrapping_sub(1));
                strings(rule).any(|wanted| Some(&wanted) == name)
            }),
            "channels" => strings(rule).any(|wanted| wanted == channel),
            "sites" | "bundles" => names(targeting, channel, inventory),
            "publishers" => listed(rule, |id| inventory["publisher"]["id"] == id),
            "exchanges" => listed(rule, |name| name == exchange.name),
            "languages" => {
                let content = &inventory["content"];
                let said = [&content["language"], &content["langb"], &device["language"]];
                let said = said.into_iter().filter_map(Value::as_str).find(|text| !text.is_empty());
                let primary =
                    said.and_then(|tag| tag.split(['-', '_']).next()).unwrap_or_default().to_ascii_lowercase();
                listed(rule, |language| language == primary)
            }
            "categories" => {
                let content = &inventory["content"];
                let of_content =
                    inventory["cat"].is_null() && inventory["sectioncat"].is_null() && inventory["pagecat"].is_null();
                let taxonomy = if of_content { &content["cattax"] } else { &inventory["cattax"] };
                let known = taxonomy.is_null() || *taxonomy == 1;
                let lists = [&inventory["cat"], &inventory["sectioncat"], &inventory["pagecat"], &content["cat"]];
                let all: Vec<String> =
                    lists.into_iter().filter(|_| known).flat_map(strings).map(str::to_ascii_lowercase).collect();
                listed(rule, |wanted| {
                    let wanted = wanted.to_ascii_lowercase();
                    all.iter()
                        .any(|name| *name == wanted || name.split_once('-').is_some_and(|(parent, _)| parent == wanted))
                })
            }
            "segments" => {
                let nobody = BTreeSet::new();
                let user = segments.as_ref().unwrap_or(&nobody);
                let has = |segment: &Value| segment.as_u64().is_some_and(|segment| user.contains(&segment));
                let mut any = elements(&rule["any"]).peekable();
                (any.peek().is_none() || any.any(has))
                    && elements(&rule["all"]).all(has)
                    && !elements(&rule["none"]).any(has)
            }
            other => return Err(format!("the judge has not read of targeting.{other}")),
        };
        sure(wanted, &format!("a request that the campaign does not want: {key}"))?;
    }
    Ok(())
}

/// `include` and `exclude`, or the short form of the first.
fn parts(rule: &Value) -> (Vec<&str>, Vec<&str>) {
    match rule {
        Value::Array(_) => (strings(rule).collect(), Vec::new()),
        _ => (strings(&rule["include"]).collect(), strings(&rule["exclude"]).collect()),
    }
}

fn listed(rule: &Value, is: impl Fn(&str) -> bool) -> bool {
    let (include, exclude) = parts(rule);
    (include.is_empty() || include.iter().any(|name| is(name))) && !exclude.iter().any(|name| is(name))
}

/// Countries and regions: one list of places.
fn place(targeting: &serde_json::Map<String, Value>, request: &Value) -> bool {
    let geo = [&request["device"]["geo"], &request["user"]["geo"]];
    let geo = geo.into_iter().find(|geo| geo["country"].as_str().is_some_and(|country| !country.is_empty()));
    let said = |key: &str| geo.and_then(|geo| geo[key].as_str()).unwrap_or_default().to_ascii_uppercase();
    let (country, region) = (said("country"), said("region"));
    let region = region.strip_prefix(&format!("{country}-")).unwrap_or(&region);
    let of = |key: &str| targeting.get(key).map(parts).unwrap_or_default();
    let ((countries, not_countries), (regions, not_regions)) = (of("countries"), of("regions"));
    let is_country = |name: &&str| name.eq_ignore_ascii_case(&country);
    let is_region = |name: &&str| !region.is_empty() && name.eq_ignore_ascii_case(&format!("{country}-{region}"));
    // Finer places may include it, too.
    let finer = ["cities", "zips", "circles"].iter().any(|key| targeting.contains_key(*key));
    let everywhere = finer || (countries.is_empty() && regions.is_empty());
    (everywhere || countries.iter().any(is_country) || regions.iter().any(is_region))
        && !not_countries.iter().any(is_country)
        && !not_regions.iter().any(is_region)
}

/// Sites and bundles: one list of names. A domain stands for all below it.
fn names(targeting: &serde_json::Map<String, Value>, channel: &str, inventory: &Value) -> bool {
    let of = |key: &str| targeting.get(key).map(parts).unwrap_or_default();
    let ((sites, not_sites), (bundles, not_bundles)) = (of("sites"), of("bundles"));
    let host = |page: &str| {
        let after = page.split_once("://").map_or("", |(_, after)| after);
        let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        host.split(':').next().unwrap_or_default().to_owned()
    };
    let told = |key: &str| inventory[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let domain = match channel {
        "site" => told("domain").or_else(|| told("page").map(|page| host(&page))),
        "dooh" => told("domain"),
        _ => None,
    };
    let domain = domain.unwrap_or_default().to_ascii_lowercase();
    let bundle = if channel == "app" { told("bundle").unwrap_or_default() } else { String::new() };
    let is_site = |name: &&str| {
        let name = name.to_ascii_lowercase();
        !domain.is_empty() && (domain == name || domain.ends_with(&format!(".{name}")))
    };
    let is_bundle = |name: &&str| !bundle.is_empty() && **name == bundle;
    ((sites.is_empty() && bundles.is_empty()) || sites.iter().any(is_site) || bundles.iter().any(is_bundle))
        && !not_sites.iter().any(is_site)
        && !not_bundles.iter().any(is_bundle)
}
