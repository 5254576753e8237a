//! Admission: whose request is it, and is there still time for it? Asked before a byte of the body is read.

use crate::bid::edge::{Countries, Formats};
use crate::config::Config;
use crate::limits;
use crate::units::{ExchangeId, Nanos, Now};
use crate::wire::openrtb::nobid::NoBidReason;

/// The exchanges, by the path their requests come to.
#[derive(Clone, Debug)]
pub struct Exchanges(Vec<Exchange>);

/// What the bid path keeps of an exchange's configuration.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its position in the configuration.
    pub id: ExchangeId,
    /// Its name, which is the last part of its path.
    pub name: Box<str>,
    /// Our seat, as JSON text; empty if it knows none.
    pub seat: Box<str>,
    /// Taken off `tmax`, ns.
    pub network_margin: u64,
    /// Whether its requests per second are limited.
    pub limited: bool,
    /// The countries that are answered; all without it.
    pub countries: Option<Countries>,
    /// The formats that are bid on.
    pub formats: Formats,
}

impl Exchanges {
    /// The exchanges of a valid configuration.
    pub fn new(config: &Config) -> Exchanges {
        let exchange = |(index, exchange): (usize, &crate::config::Exchange)| Exchange {
            id: ExchangeId(u8::try_from(index).expect("validated: at most 255 exchanges")),
            name: exchange.name.as_str().into(),
            seat: exchange.seat.as_str().into(),
            network_margin: u64::from(exchange.network_margin_ms) * Nanos::MS,
            limited: exchange.qps.is_some(),
            countries: Countries::of(&[&config.edge.countries, &exchange.countries]),
            formats: Formats::of(&[&config.edge.formats, &exchange.formats]),
        };
        Exchanges(config.exchanges.iter().enumerate().map(exchange).collect())
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.0.iter()
    }

    /// The exchange whose requests come to `/openrtb/{name}`. A process serves a handful: looking is faster than hashing.
    #[inline]
    pub fn by_name(&self, name: &[u8]) -> Option<&Exchange> {
        self.0.iter().find(|exchange| exchange.name.as_bytes() == name)
    }
}

/// When the answer must be on its way: [`limits::DEADLINE_NS`] after arrival.
#[inline]
pub fn deadline(now: Now, arrived: Nanos) -> Result<Nanos, NoBidReason> {
    let deadline = arrived.after(limits::DEADLINE_NS);
    if now.boot < deadline { Ok(deadline) } else { Err(NoBidReason::Shed) }
}

/// The deadline once `tmax` (ms, 0 if absent) is known: whichever is sooner.
#[inline]
pub fn deadline_with_tmax(
    now: Now,
    arrived: Nanos,
    deadline: Nanos,
    tmax: u32,
    exchange: &Exchange,
) -> Result<Nanos, NoBidReason> {
    if tmax == 0 {
        return Ok(deadline);
    }
    let theirs = arrived.after((u64::from(tmax) * Nanos::MS).saturating_sub(exchange.network_margin));
    if now.boot < theirs { Ok(deadline.min(theirs)) } else { Err(NoBidReason::NoTime) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sooner_of_eight_milliseconds_and_tmax() {
        let exchanges = Exchanges::new(&Config::demo(std::path::Path::new("")));
        let exchange = exchanges.by_name(b"generic").unwrap();
        assert!(exchanges.by_name(b"other").is_none());
        let arrived = Nanos(Nanos::SECOND);
        let now = |ms| Now { boot: arrived.after(ms * Nanos::MS), ..Now::default() };

        let eight = deadline(now(0), arrived).unwrap();
        assert_eq!(eight.since(arrived), 8 * Nanos::MS);
        assert_eq!(deadline(now(8), arrived), Err(NoBidReason::Shed));
        assert_eq!(deadline_with_tmax(now(0), arrived, eight, 0, exchange), Ok(eight));
        assert_eq!(deadline_with_tmax(now(0), arrived, eight, 100, exchange), Ok(eight));
        assert_eq!(deadline_with_tmax(now(0), arrived, eight, 25, exchange).unwrap().since(arrived), 5 * Nanos::MS);
        assert_eq!(deadline_with_tmax(now(0), arrived, eight, 20, exchange), Err(NoBidReason::NoTime));
        assert_eq!(deadline_with_tmax(now(0), arrived, eight, u32::MAX, exchange), Ok(eight));
    }
}
