//! Rates files: the first byte chooses TOML or JSON. A rate is the number that another reader of the file finds, a mistake is told
//! in one line with a line that exists, and no conversion there and back gains anything.

use corebid::snapshot::rates::{NoRate, Origin, Rates, floor_in_account, price_in};
use corebid::units::{CpmMicros, Currency, Rate, UnixMillis};

#[path = "support/place.rs"]
mod place;

/// 2026-03-02T12:00Z.
const NOW: UnixMillis = UnixMillis(1_772_452_800_000);

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&first, text)) = input.split_first() else { return };
    let json = first & 1 == 1;
    let name = if json { "rates.json" } else { "rates.toml" };
    let read = place::with_file(name, text, |path| {
        let origin = Origin { file: Some(path.to_owned()), account: Currency::USD, max_age_hours: 48 };
        Rates::load(&origin, NOW)
    });
    let rates = match read {
        Ok(rates) => rates,
        Err(error) => {
            let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
            assert!(error.line <= lines, "line {} of {lines}", error.line);
            return assert!(!error.what.is_empty() && !error.to_string().contains('\n'), "{error:?}");
        }
    };
    assert_eq!(rates.to_account(b"usd", NOW), Ok(Rate::ONE));
    let text = std::str::from_utf8(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)).expect("checked");
    for (code, value) in listed(text, json) {
        let currency: Currency = code.parse().expect("checked");
        let rate = match rates.to_account(code.as_bytes(), NOW) {
            Ok(rate) => rate,
            Err(NoRate::Stale) => continue,
            Err(NoRate::Unknown) => panic!("{code} is listed"),
        };
        let told = rate.0 as f64 / Rate::ONE.0 as f64;
        assert!((told - value).abs() <= 1e-9 + value * 1e-15, "{code}: {told} for {value}");
        assert!(rate == Rate::ONE || currency != Currency::USD);
        for price in [1, 999_999, 2_500_000, i64::from(u32::MAX), rate.0.cast_signed()].map(CpmMicros) {
            let there = price_in(price, rate);
            assert!(floor_in_account(there, rate) <= price, "{price:?} at {rate:?}");
            assert!(there >= CpmMicros(0) && floor_in_account(price, rate) > CpmMicros(0));
        }
    }
}

/// What is listed, as another reader finds it. Some of what that one refuses (a date before 1970, a number beyond a float) says nothing.
fn listed(text: &str, json: bool) -> Vec<(String, f64)> {
    let table: Option<serde_json::Value> =
        if json { serde_json::from_str(text).ok() } else { toml::from_str(text).ok() };
    let Some(rates) = table.as_ref().and_then(|table| table["rates"].as_object()) else { return Vec::new() };
    let number = |value: &serde_json::Value| value.as_f64().or_else(|| value.as_str()?.replace('_', "").parse().ok());
    rates.iter().filter_map(|(code, value)| Some((code.clone(), number(value)?))).collect()
}
