//! The URLs of notices, and the macros that are left for the exchange.

use super::{Case, Verdict, flag, sure, text};

/// The longest URL an exchange takes (Xandr), expanded.
const URL_BYTES: usize = 2000;
/// More than any value of a macro.
const VALUE_BYTES: usize = 64;
/// What the bidder knows, and therefore fills in itself (2.6 section 4.4, docs/CAMPAIGNS.md).
const OURS: [&str; 9] = [
    "${AUCTION_ID}",
    "${AUCTION_BID_ID}",
    "${AUCTION_IMP_ID}",
    "${AUCTION_SEAT_ID}",
    "${AUCTION_AD_ID}",
    "${AUCTION_CURRENCY}",
    "${CLICK_URL}",
    "${CACHEBUSTER}",
    "${BILL_URL}",
];

pub(super) fn judge(case: &Case<'_>) -> Verdict {
    let Case { exchange, bid, creative, imp, .. } = *case;
    let plays = !bid["dur"].is_null();
    let mut urls = Vec::new();
    for (key, kind) in [("nurl", "win"), ("burl", "bill"), ("lurl", "loss")] {
        // One way to bill, and only one: markup of the operator's own may have no place for it.
        let in_markup =
            creative["vast"].is_null() || creative["vast"].as_str().is_some_and(|own| own.contains("${BILL_URL}"));
        let by_impression = key == "burl" && plays && exchange.bills_by_impression && in_markup;
        if by_impression || !exchange.notices.iter().any(|sent| sent == key) {
            sure(bid[key].is_null(), &format!("a {key} that was not asked for"))?;
            continue;
        }
        let kind = if key == "nurl" && exchange.bills_by_nurl { "bill" } else { kind };
        let url = text(&bid[key])?;
        notice(url, kind, exchange.price_macro).map_err(|wrong| format!("{key}: {wrong}"))?;
        sure(!urls.contains(&url), "two notices with one URL")?;
        urls.push(url);
    }
    let Some(markup) = bid["adm"].as_str() else {
        return sure(!exchange.inline && bid["adm"].is_null() && bid["adid"] == bid["crid"], "no markup");
    };
    sure(exchange.inline && !markup.is_empty(), "markup that was not asked for")?;
    if let Some(known) = OURS.iter().find(|known| markup.contains(**known)) {
        return Err(format!("{known} is left in the markup"));
    }
    let source = creative.to_string();
    let others_price = ["${AUCTION_PRICE}", "%%WINNING_PRICE%%", "${AUCTION_PRICE:OXCRYPT}"];
    let foreign = others_price
        .iter()
        .find(|name| **name != exchange.price_macro && markup.contains(**name) && !source.contains(**name));
    sure(
        foreign.is_none() && (exchange.price_macro == others_price[0] || !markup.contains(others_price[0])),
        "another exchange's price macro",
    )?;
    sure(
        !source.contains("${AUCTION_PRICE}")
            || !creative["markup"].is_string()
            || markup.contains(exchange.price_macro),
        "the price macro is lost",
    )?;
    let bill = markup.contains("/notice/bill/");
    let place = creative["vast"].as_str().is_none_or(|own| own.contains("${BILL_URL}"));
    sure(bill == (plays && exchange.bills_by_impression && place), "a bill in the markup")?;
    let secure = markup.to_ascii_lowercase().replace("http://www.w3.org/", "");
    sure(!flag(&imp["secure"]) || !secure.contains("http:"), "insecure markup")
}

/// Whether a URL calls us, with the price, the multiplier where there is one, and of a loss the reason.
fn notice(url: &str, kind: &str, price: &str) -> Verdict {
    sure(url.starts_with("http://") || url.starts_with("https://"), "no URL")?;
    sure(url.contains(&format!("/notice/{kind}/")), "another kind of notice")?;
    let multiplier = "${AUCTION_MULTIPLIER}";
    sure(url.matches(price).count() == 1, "not one price")?;
    let plain = url.replacen(price, "", 1).replacen(multiplier, "", 1);
    let plain = if kind == "loss" { plain.replacen("${AUCTION_LOSS}", "", 1) } else { plain };
    sure(!plain.contains("${") && !plain.contains("%%"), "a macro that nobody knows")?;
    sure(plain.bytes().all(|byte| byte.is_ascii_graphic()), "characters that no URL has")?;
    sure(plain.len() + 2 * VALUE_BYTES <= URL_BYTES, "longer than exchanges take")
}
