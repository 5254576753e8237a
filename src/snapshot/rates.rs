//! What other currencies are worth, from a file: exact decimals, held as integers, refused when they are too old.
//!
//! Budgets and CPMs are in the account currency. A floor in another currency is converted upwards and a price downwards, so
//! that rounding never makes a bid that is below the floor, nor a bill above the reservation. That holds for **one** rate:
//! whoever settles a price must use the rate it was bid at.

use std::path::PathBuf;

use jiff::Timestamp;

use super::document::{self, Fault, FileError, Table, fault};
use crate::units::{CpmMicros, Currency, Rate, UnixMillis};

/// Why a currency has no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRate {
    /// The file has none for it, or it is no currency.
    Unknown,
    /// The file is too old.
    Stale,
}

/// Where rates come from, and how long they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The rates file; without one only the account currency is known.
    pub file: Option<PathBuf>,
    /// The currency of all budgets and CPMs.
    pub account: Currency,
    /// Hours after `as_of` for which the file is believed.
    pub max_age_hours: u32,
}

/// The rates of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    account: Currency,
    /// Codes in order; the rate of each stands in `rates` at the same place.
    codes: Vec<Currency>,
    rates: Vec<Rate>,
    /// The first moment at which they are too old.
    stale: UnixMillis,
}

impl Default for Rates {
    fn default() -> Self {
        Rates::only(Currency::USD)
    }
}

/// The most a unit of any currency may be worth. The dearest is worth some three dollars; more is a rate upside down.
const DEAREST: i64 = Rate::MAX.0 as i64;
/// How far ahead of our clock a file may be dated. Further is a mistake that would keep old rates alive.
const AHEAD: u64 = 3_600_000;
const HOUR: u64 = 3_600_000;

impl Rates {
    /// No currency but the account's.
    pub fn only(account: Currency) -> Rates {
        Rates { account, codes: Vec::new(), rates: Vec::new(), stale: UnixMillis(0) }
    }

    /// Reads a rates file (TOML or JSON): the keys of docs/CONFIGURATION.md, section "Rates file". `now` is today, for the
    /// check of its date.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn load(origin: &Origin, now: UnixMillis) -> Result<Rates, FileError> {
        let Some(path) = &origin.file else { return Ok(Rates::only(origin.account)) };
        Rates::read(document::load(path)?, origin, now).map_err(|fault| fault.within(path))
    }

    fn read(mut table: Table, origin: &Origin, now: UnixMillis) -> Result<Rates, Fault> {
        let account = origin.account;
        table.need("base", |node| {
            let line = node.line;
            match node.text()?.parse::<Currency>() {
                Ok(base) if base == account => Ok(()),
                Ok(base) => fault(line, format!("{base}, but the account is in {account} (`data.currency`)")),
                Err(what) => fault(line, what),
            }
        })?;
        let as_of = table.need("as_of", |node| {
            let (line, text) = node.date()?;
            let Ok(time) = text.parse::<Timestamp>() else {
                return fault(
                    line,
                    format!("{text:?} is not a time with its offset, such as 2026-03-01T16:00:00+01:00"),
                );
            };
            match u64::try_from(time.as_millisecond()) {
                Ok(millis) if millis <= now.0.saturating_add(AHEAD) => Ok(millis),
                Ok(_) => fault(line, format!("{text} is in the future")),
                Err(_) => fault(line, format!("{text} is before 1970")),
            }
        })?;
        let mut listed: Vec<(Currency, Rate)> = table
            .need("rates", |node| node.table())?
            .into_entries()
            .map(|(name, node)| {
                let line = node.line;
                let currency = name.parse::<Currency>().map_err(|what| Fault { line, what })?;
                let rate = node.nanos().map_err(|fault| fault.about(&name))?;
                if currency == account && rate != Rate::ONE.0 as i64 {
                    return fault(line, format!("{name}: one unit of the account currency is worth 1"));
                }
                match u64::try_from(rate) {
                    Ok(rate) if 0 < rate && rate <= DEAREST as u64 => Ok((currency, Rate(rate))),
                    _ => fault(line, format!("{name}: a rate is above 0 and at most 1000000")),
                }
            })
            .collect::<Result<_, Fault>>()?;
        table.finish()?;
        listed.sort_unstable();
        if let Some(twice) = listed.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return fault(0, format!("rates: {} is there twice", twice[0].0));
        }
        let (codes, rates) = listed.into_iter().unzip();
        let stale = UnixMillis(as_of.saturating_add(u64::from(origin.max_age_hours) * HOUR));
        Ok(Rates { account, codes, rates, stale })
    }

    /// The currency of all budgets and CPMs.
    #[inline]
    pub fn account(&self) -> Currency {
        self.account
    }

    /// What one unit of `currency` (three letters, any case) is worth in the account currency.
    ///
    /// # Errors
    /// There is no such rate, or it is too old. The account currency always has one.
    #[inline]
    pub fn to_account(&self, currency: &[u8], now: UnixMillis) -> Result<Rate, NoRate> {
        let currency = Currency::parse(currency).ok_or(NoRate::Unknown)?;
        if currency == self.account {
            return Ok(Rate::ONE);
        }
        let at = self.codes.binary_search(&currency).map_err(|_| NoRate::Unknown)?;
        if now < self.stale { Ok(self.rates[at]) } else { Err(NoRate::Stale) }
    }
}

/// A floor in a currency of this rate, in the account currency, rounded up. What does not fit is a floor nobody meets.
#[inline]
pub fn floor_in_account(floor: CpmMicros, rate: Rate) -> CpmMicros {
    let product = i128::from(floor.0) * i128::from(rate.0);
    let one = i128::from(Rate::ONE.0);
    saturated(product.div_euclid(one) + i128::from(product.rem_euclid(one) != 0))
}

/// A price in the account currency, in a currency of this rate, rounded down. A rate of 0, which no file has, gives 0.
#[inline]
pub fn price_in(price: CpmMicros, rate: Rate) -> CpmMicros {
    if rate.0 == 0 {
        return CpmMicros(0);
    }
    saturated((i128::from(price.0) * i128::from(Rate::ONE.0)).div_euclid(i128::from(rate.0)))
}

#[inline]
fn saturated(micros: i128) -> CpmMicros {
    CpmMicros(micros.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;

    const NOON: UnixMillis = UnixMillis(1_767_355_200_000); // 2026-01-02T12:00:00Z
    const GOOD: &str = "base = \"USD\"\nas_of = 2026-01-02T13:00:00+01:00\n[rates]\nEUR = 1.0842\njpy = 0.006412345\n";

    fn origin() -> Origin {
        Origin { file: None, account: Currency::USD, max_age_hours: 96 }
    }

    fn read(text: &str) -> Result<Rates, Fault> {
        Rates::read(document::toml(text)?, &origin(), NOON)
    }

    #[test]
    fn a_file_is_read_exactly_and_any_case_finds_a_rate() {
        let rates = read(GOOD).unwrap();
        for (currency, rate) in [
            ("EUR", Ok(Rate(1_084_200_000))),
            ("eur", Ok(Rate(1_084_200_000))),
            ("JPY", Ok(Rate(6_412_345))),
            ("USD", Ok(Rate::ONE)),
            ("GBP", Err(NoRate::Unknown)),
            ("EU", Err(NoRate::Unknown)),
            ("EURO", Err(NoRate::Unknown)),
            ("E\u{df}", Err(NoRate::Unknown)),
            ("", Err(NoRate::Unknown)),
        ] {
            assert_eq!(rates.to_account(currency.as_bytes(), NOON), rate, "{currency:?}");
        }
        let json =
            "{\"base\":\"USD\",\"as_of\":\"2026-01-02T12:00:00Z\",\"rates\":{\"EUR\":1.0842,\"JPY\":0.006412345}}";
        assert_eq!(Rates::read(document::json(json).unwrap(), &origin(), NOON).unwrap(), rates);
    }

    #[test]
    fn a_rate_holds_until_it_is_too_old_and_the_account_currency_always() {
        let rates = read(GOOD).unwrap();
        let end = NOON.0 + 96 * 3_600_000;
        assert!(rates.to_account(b"EUR", UnixMillis(end - 1)).is_ok());
        assert_eq!(rates.to_account(b"EUR", UnixMillis(end)), Err(NoRate::Stale));
        assert_eq!(rates.to_account(b"GBP", UnixMillis(end)), Err(NoRate::Unknown));
        assert_eq!(rates.to_account(b"USD", UnixMillis(end)), Ok(Rate::ONE));
        assert_eq!(Rates::only(Currency::USD).to_account(b"EUR", NOON), Err(NoRate::Unknown));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (from, to, line, said) in [
            ("\"USD\"", "\"EUR\"", 1, "the account is in USD"),
            ("base = \"USD\"", "", 1, "`base` is missing"),
            ("+01:00", "", 2, "offset"),
            ("2026-", "2027-", 2, "future"),
            ("EUR", "EURO", 4, "no currency"),
            ("1.0842", "0", 4, "EUR: a rate is above 0"),
            ("1.0842", "-1", 4, "EUR: a rate is above 0"),
            ("1.0842", "1000000.1", 4, "at most 1000000"),
            ("1.0842", "1.0842000001", 4, "billionths"),
            ("1.0842", "\"1.0842\"", 4, "EUR: expected a number"),
            ("jpy", "USD", 5, "worth 1"),
            ("jpy", "eur", 0, "twice"),
        ] {
            let wrong = read(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(wrong.line == line && wrong.what.contains(said), "{to}: {wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn conversions_are_those_of_unbounded_integers(micros in 0i64..=1 << 50, rate in 1u64..=DEAREST as u64) {
            let (one, big_micros, big_rate) = (BigInt::from(Rate::ONE.0), BigInt::from(micros), BigInt::from(rate));
            let up = (&big_micros * &big_rate + &one - 1) / &one;
            let down = &big_micros * &one / &big_rate;
            let limit = |exact: BigInt| exact.min(BigInt::from(i64::MAX));
            prop_assert_eq!(BigInt::from(floor_in_account(CpmMicros(micros), Rate(rate)).0), limit(up));
            prop_assert_eq!(BigInt::from(price_in(CpmMicros(micros), Rate(rate)).0), limit(down));
        }

        #[test]
        fn a_price_that_meets_the_converted_floor_meets_the_floor(
            floor in 0i64..=1 << 40,
            rate in 1u64..=1_000 * Rate::ONE.0,
            above in prop_oneof![Just(0i64), 0..1i64 << 40],
        ) {
            let (floor, rate) = (CpmMicros(floor), Rate(rate));
            let price = CpmMicros(floor_in_account(floor, rate).0 + above);
            prop_assert!(price_in(price, rate) >= floor);
        }

        #[test]
        fn a_bill_at_the_price_is_covered_by_what_was_reserved(price in 0i64..=1 << 40, rate in 1u64..=DEAREST as u64) {
            let (price, rate) = (CpmMicros(price), Rate(rate));
            prop_assert!(floor_in_account(price_in(price, rate), rate) <= price);
        }

        #[test]
        fn nothing_panics(micros in any::<i64>(), rate in any::<u64>(), text in prop::collection::vec(any::<u8>(), 0..5)) {
            floor_in_account(CpmMicros(micros), Rate(rate));
            price_in(CpmMicros(micros), Rate(rate));
            let _ = Rates::default().to_account(&text, NOON);
        }
    }
}
