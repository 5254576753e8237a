//! Amounts of documents, exactly: their text is taken apart, so that no float rounds them.

use serde_json::Value;

/// One unit of a currency, in which amounts are counted here: trillionths.
pub(crate) const UNIT: i128 = 1_000_000_000_000;
/// A millionth of a unit: the smallest step of a bid.
pub(crate) const MICRO: i128 = UNIT / 1_000_000;
/// More than anybody has.
const ENDLESS: i128 = 1_000_000_000 * UNIT;

/// A JSON number, in trillionths; what is smaller than that is dropped. What is no number is nothing.
pub(crate) fn amount(value: &Value) -> i128 {
    let Value::Number(number) = value else { return 0 };
    let text = number.to_string();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().unwrap_or(ENDLESS);
    let power = 12 + exponent.parse::<i32>().expect("an exponent") - fraction.len() as i32;
    match power {
        27.. => ENDLESS * digits.signum(),
        0.. => (digits * 10i128.pow(power as u32)).clamp(-ENDLESS, ENDLESS),
        -38.. => digits / 10i128.pow(power.unsigned_abs()),
        _ => 0,
    }
}
