//! Admission: whose request is it, and is there still time for it? Asked before a byte of the body is read.

use crate::bid::choose::Takes;
use crate::bid::edge::Countries;
use crate::bid::stalls::Stalls;
use crate::bid::supply::Demand;
use crate::config::Config;
use crate::config::exchange::{Field, Formats, Rules};
use crate::config::shading::Shading;
use crate::limits;
use crate::ring::message::Agreed;
use crate::units::{ExchangeId, ExchangeKey, Nanos, Now};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::price::Reading;

/// The exchanges, by the path their requests come to.
#[derive(Clone, Debug)]
pub struct Exchanges(Vec<Exchange>);

/// What the bid path keeps of an exchange's configuration.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its position in the configuration.
    pub id: ExchangeId,
    /// What its notice URLs name it by.
    pub key: ExchangeKey,
    /// Its name.
    pub name: Box<str>,
    /// Its requests come to `/openrtb/{path}`.
    pub path: Box<str>,
    /// Our seat, as JSON text; empty if it knows none.
    pub seat: Box<str>,
    /// What it wants before the address of a click; empty for nothing.
    pub click_macro: Box<str>,
    /// What it takes to read its prices.
    pub reading: Reading,
    /// Whether its requests per second are limited.
    pub limited: bool,
    /// The countries that are answered; all without it.
    pub countries: Option<Countries>,
    /// The formats that are bid on: of its rules, those that `[edge]` leaves.
    pub formats: Formats,
    /// What is asked of what it sells.
    pub demand: Demand,
    /// How its bids are shaded.
    pub shading: Shading,
    /// What is agreed with it.
    pub rules: Rules,
}

impl Exchange {
    /// What is agreed about each of its bids.
    pub const fn agreed(&self) -> Agreed {
        let encrypted = Agreed::ENCRYPTED.when(self.rules.price.is_encrypted());
        encrypted.and(Agreed::LOSS_IS_FINAL.when(self.rules.losses_final))
    }
}

impl Exchange {
    /// What it takes in one response.
    pub const fn takes(&self) -> Takes {
        Takes { several_for_one: self.rules.multi_bid, single: self.rules.required.contains(Field::SingleBid) }
    }
}

impl Exchanges {
    /// The exchanges of a valid configuration.
    pub fn new(config: &Config) -> Exchanges {
        let exchange = |(index, exchange): (usize, &crate::config::Exchange)| Exchange {
            id: ExchangeId(u8::try_from(index).expect("validated: at most 255 exchanges")),
            key: exchange.key(),
            name: exchange.name.as_str().into(),
            path: exchange.path.as_str().into(),
            seat: exchange.seat.as_str().into(),
            click_macro: exchange.click_macro.as_str().into(),
            reading: exchange.reading.clone(),
            limited: exchange.qps.is_some(),
            countries: Countries::of(&[&config.edge.countries, &exchange.countries]),
            formats: config.edge.formats.map_or(exchange.rules.formats, |formats| formats.both(exchange.rules.formats)),
            demand: Demand {
                sender: exchange.domain.as_deref().unwrap_or_default().as_bytes().into(),
                policy: config.supply.policy_of(exchange),
                no_ads_txt: config.supply.no_ads_txt,
            },
            shading: exchange.shading,
            rules: exchange.rules,
        };
        Exchanges(config.exchanges.iter().enumerate().map(exchange).collect())
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.0.iter()
    }

    /// The exchange whose requests come to `/openrtb/{path}`. A process serves a handful: looking is faster than hashing.
    #[inline]
    pub fn by_path(&self, path: &[u8]) -> Option<&Exchange> {
        self.0.iter().find(|exchange| exchange.path.as_bytes() == path)
    }

    /// The exchange of this name.
    pub fn by_name(&self, name: &str) -> Option<&Exchange> {
        self.0.iter().find(|exchange| *exchange.name == *name)
    }

    /// The exchange that a notice URL names, unless it is no longer configured.
    #[inline]
    pub fn by_key(&self, key: ExchangeKey) -> Option<&Exchange> {
        self.0.iter().find(|exchange| exchange.key == key)
    }
}

/// When the answer must be on its way: [`limits::DEADLINE_NS`] after arrival. If it is too late for that, `stalls` tell why.
#[inline]
pub fn deadline(now: Now, arrived: Nanos, stalls: &Stalls) -> Result<Nanos, NoBidReason> {
    let deadline = arrived.after(limits::DEADLINE_NS);
    if now.boot < deadline { Ok(deadline) } else { Err(stalls.reason(now.boot, arrived, limits::DEADLINE_NS)) }
}

/// Whether a request that is answered `service_ns` from now is then younger than `limit_ns`; if not, it is not worth reading. Asked
/// before anything is spent on it.
#[inline]
pub fn in_time(now: Now, arrived: Nanos, service_ns: u64, limit_ns: u64, stalls: &Stalls) -> Result<(), NoBidReason> {
    let answered = now.boot.after(service_ns);
    if answered < arrived.after(limit_ns) { Ok(()) } else { Err(stalls.reason(answered, arrived, limit_ns)) }
}

/// The deadline once `tmax` (ms, 0 if absent) is known: whichever is sooner, that, the exchange's own or `deadline`.
#[inline]
pub fn deadline_with_tmax(
    now: Now,
    arrived: Nanos,
    deadline: Nanos,
    tmax: u32,
    exchange: &Exchange,
) -> Result<Nanos, NoBidReason> {
    let Rules { deadline_ms, network_margin_ms, .. } = exchange.rules;
    let after = |ms: u32| arrived.after(u64::from(ms) * Nanos::MS);
    let ours = deadline.min(after(deadline_ms));
    let deadline = if tmax == 0 { ours } else { ours.min(after(tmax.saturating_sub(network_margin_ms))) };
    if now.boot < deadline { Ok(deadline) } else { Err(NoBidReason::NoTime) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sooner_of_eight_milliseconds_and_tmax() {
        let exchanges = Exchanges::new(&Config::demo(std::path::Path::new("")));
        let exchange = exchanges.by_path(b"generic").unwrap();
        assert!(exchanges.by_path(b"other").is_none());
        let arrived = Nanos(Nanos::SECOND);
        let now = |ms| Now { boot: arrived.after(ms * Nanos::MS), ..Now::default() };

        let mut stalls = Stalls::default();
        let eight = deadline(now(0), arrived, &stalls).unwrap();
        assert_eq!(eight.since(arrived), 8 * Nanos::MS);
        assert_eq!(deadline(now(8), arrived, &stalls), Err(NoBidReason::Shed));
        stalls.note(arrived, arrived.after(3 * Nanos::MS));
        assert_eq!(deadline(now(8), arrived, &stalls), Err(NoBidReason::Stalled));
        assert_eq!(deadline(now(7), arrived, &stalls), Ok(eight));
        assert_eq!(deadline_with_tmax(now(0), arrived, eight, 0, exchange), Ok(eight));
        assert_eq!(deadline_with_tmax(now(0), arrived, eight, 100, exchange), Ok(eight));
        assert_eq!(deadline_with_tmax(now(0), arrived, eight, 25, exchange).unwrap().since(arrived), 5 * Nanos::MS);
        assert_eq!(deadline_with_tmax(now(0), arrived, eight, 20, exchange), Err(NoBidReason::NoTime));
        assert_eq!(deadline_with_tmax(now(0), arrived, eight, u32::MAX, exchange), Ok(eight));

        // With what answering takes, the time is up sooner.
        let calm = Stalls::default();
        let whole = limits::DEADLINE_NS;
        assert_eq!(in_time(now(7), arrived, Nanos::MS - 1, whole, &calm), Ok(()));
        assert_eq!(in_time(now(7), arrived, Nanos::MS, whole, &calm), Err(NoBidReason::Shed));
        assert_eq!(in_time(now(1), arrived, Nanos::MS, 2 * Nanos::MS + 1, &calm), Ok(()));
        assert_eq!(in_time(now(1), arrived, Nanos::MS, 2 * Nanos::MS, &calm), Err(NoBidReason::Shed));

        let mut hasty = exchange.clone();
        hasty.rules.deadline_ms = 3;
        assert_eq!(deadline_with_tmax(now(2), arrived, eight, 0, &hasty).unwrap().since(arrived), 3 * Nanos::MS);
        assert_eq!(deadline_with_tmax(now(3), arrived, eight, 100, &hasty), Err(NoBidReason::NoTime));
    }
}
