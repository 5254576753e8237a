//! What may stand in one response together.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::{Case, Exchange, Verdict, elements, flag, strings, sure, text};

/// Open bids for one impression where several are taken: "M+N" bidding.
const OPEN_BIDS: usize = 2;

pub(super) fn judge(exchange: &Exchange, request: &Value, seat: &Value, cases: &[Case<'_>]) -> Verdict {
    sure(!cases.is_empty(), "a response without a bid")?;
    sure(cases.len() == 1 || !exchange.required.iter().any(|key| key == "single_bid"), "more than a single bid")?;
    let mut ids = HashSet::new();
    for case in cases {
        sure(ids.insert(text(&case.bid["id"])?), "two bids with one id")?;
    }
    let mut by_imp = BTreeMap::<&str, Vec<&Case<'_>>>::new();
    for case in cases {
        by_imp.entry(text(&case.bid["impid"])?).or_default().push(case);
    }
    for of_imp in by_imp.values() {
        one_impression(exchange, of_imp)?;
    }
    let whole = |case: &Case<'_>| flag(&case.campaign["together"]);
    if flag(&seat["group"]) {
        sure(flag(&request["allimps"]), "all or nothing of a page that may show more")?;
        sure(
            cases.iter().all(|case| whole(case) && case.campaign["id"] == cases[0].campaign["id"]),
            "not one campaign's page",
        )?;
        sure(
            elements(&request["imp"]).all(|imp| imp["id"].as_str().is_some_and(|id| by_imp.contains_key(id))),
            "not the whole page",
        )?;
    } else {
        sure(seat["group"].is_null(), "a group that is none")?;
        sure(!cases.iter().any(whole), "a part of a page for who takes it whole")?;
        let mut campaigns = HashSet::new();
        for case in cases {
            sure(campaigns.insert(text(&case.bid["cid"])?), "a campaign bids twice")?;
        }
    }
    for (at, one) in cases.iter().enumerate() {
        for other in &cases[at + 1..] {
            let rival =
                |label: &str| strings(&other.campaign["competes"]).any(|known| known.eq_ignore_ascii_case(label));
            let compete = one.campaign["advertiser"] != other.campaign["advertiser"]
                && strings(&one.campaign["competes"]).any(rival);
            sure(!compete, "competitors side by side")?;
        }
    }
    Ok(())
}

/// One bid, unless it is a pod that the bidder fills, or each deal may have one.
fn one_impression(exchange: &Exchange, cases: &[&Case<'_>]) -> Verdict {
    let imp = cases[0].imp;
    let pods = [(2, &imp["video"]), (3, &imp["audio"])];
    let pod = pods.into_iter().find(|(_, stream)| stream["poddur"].as_u64().is_some_and(|seconds| seconds > 0));
    match pod {
        Some((mtype, pod)) if cases.iter().all(|case| case.bid["mtype"] == mtype) => {
            let seconds: u64 = cases.iter().filter_map(|case| case.bid["dur"].as_u64()).sum();
            sure(seconds <= pod["poddur"].as_u64().unwrap_or(0), "more seconds than the pod has")?;
            sure(cases.len() as u64 <= pod["maxseq"].as_u64().unwrap_or(u64::MAX), "more ads than the pod takes")
        }
        _ if exchange.multi_bid && elements(&imp["pmp"]["deals"]).next().is_some() => {
            let mut deals = HashSet::new();
            let open = cases.iter().filter(|case| case.bid["dealid"].is_null()).count();
            let once = cases.iter().filter_map(|case| case.bid["dealid"].as_str()).all(|deal| deals.insert(deal));
            sure(once && open <= OPEN_BIDS, "more bids than one for each deal, and two")
        }
        _ => sure(cases.len() == 1, "two bids for one impression"),
    }
}
