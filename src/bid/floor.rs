//! Floors: the least an impression sells for, to whom, and for how long an ad.
//!
//! The deal's floor goes before the video's or audio's per-second or duration floor, and that before the impression's
//! (OpenRTB 2.6 section 7.11). A deal's floor is in the deal's currency, US dollars if it names none, and never in the
//! impression's. All floors leave this file in the account's currency, rounded up.

use crate::snapshot::rates::{NoRate, Rates, floor_in_account};
use crate::units::{CpmMicros, UnixMillis};
use crate::wire::json::Text;
use crate::wire::openrtb::request::{Deal, Imp, Stream, TimeFloors};

/// What turns the exchange's floors into ours.
#[derive(Clone, Copy, Debug)]
pub struct Exchanged<'s> {
    /// The rates of the day.
    pub rates: &'s Rates,
    /// Today.
    pub now: UnixMillis,
}

/// What OpenRTB takes a floor without a currency to be in.
const DEFAULT_CURRENCY: &[u8] = b"USD";

impl Exchanged<'_> {
    /// A floor in the account's currency. Nothing is nothing in every currency.
    #[inline]
    pub fn floor(&self, floor: CpmMicros, currency: Text<'_>) -> Result<CpmMicros, NoRate> {
        if floor <= CpmMicros(0) {
            return Ok(CpmMicros(0));
        }
        let currency = if currency.is_empty() { DEFAULT_CURRENCY } else { currency.raw };
        Ok(floor_in_account(floor, self.rates.to_account(currency, self.now)?))
    }

    /// The floor of a bid on an impression: with a deal or in the open, for an ad that is shown (`None`) or plays for so many
    /// seconds in this stream.
    #[inline]
    pub fn of(
        &self,
        imp: &Imp<'_>,
        deal: Option<&Deal<'_>>,
        playing: Option<(&Stream<'_>, u16)>,
    ) -> Result<CpmMicros, NoRate> {
        if let Some(deal) = deal {
            return self.floor(of_deal(deal, playing.map(|(_, seconds)| seconds)), deal.floor_cur);
        }
        let by_time = playing.and_then(|(stream, seconds)| by_time(&stream.floors, seconds));
        self.floor(by_time.unwrap_or(imp.floor), imp.floor_cur)
    }

    /// The least any bid on the impression could be sold for in the open: what the index may leave out is below it.
    #[inline]
    pub fn least_open(&self, imp: &Imp<'_>) -> Result<CpmMicros, NoRate> {
        let timed = |stream: &Option<Stream<'_>>| stream.as_ref().is_some_and(|stream| has_any(&stream.floors));
        let floor = if timed(&imp.video) || timed(&imp.audio) { CpmMicros(0) } else { imp.floor };
        self.floor(floor, imp.floor_cur)
    }

    /// The same for a deal.
    #[inline]
    pub fn least_of_deal(&self, deal: &Deal<'_>) -> Result<CpmMicros, NoRate> {
        self.floor(if has_any(&deal.floors) { CpmMicros(0) } else { deal.floor }, deal.floor_cur)
    }
}

/// What a deal asks for an ad that is shown, or plays for so many seconds; in the deal's currency.
#[inline]
pub fn of_deal(deal: &Deal<'_>, playing: Option<u16>) -> CpmMicros {
    playing.and_then(|seconds| by_time(&deal.floors, seconds)).unwrap_or(deal.floor)
}

/// The currency of a deal's floor.
#[inline]
pub fn currency_of<'d>(deal: &Deal<'d>) -> &'d [u8] {
    if deal.floor_cur.is_empty() { DEFAULT_CURRENCY } else { deal.floor_cur.raw }
}

fn has_any(floors: &TimeFloors) -> bool {
    floors.per_second > CpmMicros(0) || !floors.spans.is_empty()
}

/// The floor for an ad of so many seconds, if floors go by time. `durfloors` leave durations they do not name to the floor
/// below them in precedence.
pub fn by_time(floors: &TimeFloors, seconds: u16) -> Option<CpmMicros> {
    if floors.per_second > CpmMicros(0) {
        return Some(CpmMicros(floors.per_second.0.saturating_mul(i64::from(seconds))));
    }
    let spans = floors.spans.iter().filter(|span| (span.min..=span.max).contains(&seconds));
    spans.map(|span| span.floor).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::openrtb::request::DurationFloor;

    fn text(raw: &str) -> Text<'_> {
        Text { raw: raw.as_bytes(), escaped: false }
    }

    /// Section 7.11, line by line.
    #[test]
    fn deal_before_time_before_impression() {
        let rates = Rates::default();
        let exchanged = Exchanged { rates: &rates, now: UnixMillis(0) };
        let per_second = TimeFloors { per_second: CpmMicros(300_000), ..TimeFloors::default() };
        let spans = TimeFloors {
            spans: [
                DurationFloor { min: 0, max: 15, floor: CpmMicros(5_000_000) },
                DurationFloor { min: 16, max: 30, floor: CpmMicros(9_000_000) },
            ]
            .into_iter()
            .collect(),
            ..TimeFloors::default()
        };
        let imp = Imp { floor: CpmMicros(1_000_000), floor_cur: text("EUR"), ..Imp::default() };
        let dollars = Imp { floor_cur: Text::default(), ..imp.clone() };
        let timed = Stream { floors: per_second.clone(), ..Stream::default() };
        let spanned = Stream { floors: spans.clone(), ..Stream::default() };
        let of =
            |imp: &Imp<'_>, deal: Option<&Deal<'_>>, playing| exchanged.of(imp, deal, playing).map(|floor| floor.0);

        assert_eq!(of(&dollars, None, None), Ok(1_000_000));
        assert_eq!(of(&imp, None, None), Err(NoRate::Unknown));
        assert_eq!(of(&dollars, None, Some((&timed, 15))), Ok(4_500_000));
        assert_eq!(of(&dollars, None, Some((&spanned, 15))), Ok(5_000_000));
        assert_eq!(of(&dollars, None, Some((&spanned, 16))), Ok(9_000_000));
        assert_eq!(of(&dollars, None, Some((&spanned, 31))), Ok(1_000_000));
        // A deal's floor never inherits the impression's currency, nor the video's floors.
        let deal = Deal { floor: CpmMicros(2_000_000), ..Deal::default() };
        assert_eq!(of(&imp, Some(&deal), None), Ok(2_000_000));
        assert_eq!(of(&imp, Some(&deal), Some((&timed, 15))), Ok(2_000_000));
        let by_second = Deal { floors: per_second, ..deal.clone() };
        assert_eq!(of(&imp, Some(&by_second), Some((&spanned, 10))), Ok(3_000_000));
        assert_eq!(of(&imp, Some(&by_second), None), Ok(2_000_000));
        let foreign = Deal { floor_cur: text("EUR"), ..deal };
        assert_eq!(of(&dollars, Some(&foreign), None), Err(NoRate::Unknown));
        // No money is no money in any currency.
        let free = Imp { floor: CpmMicros(0), ..imp };
        assert_eq!(of(&free, None, None), Ok(0));
        assert_eq!(exchanged.least_open(&Imp { video: Some(timed), ..dollars.clone() }), Ok(CpmMicros(0)));
        assert_eq!(exchanged.least_open(&dollars), Ok(CpmMicros(1_000_000)));
    }
}
