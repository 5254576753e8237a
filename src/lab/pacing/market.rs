//! The world of a campaign: auctions that come as they came on real days, at prices that were really paid, and bills that come
//! later than the bids.

use std::path::Path;

use crate::market::random::Random;

/// Seconds of a day.
pub const DAY: f64 = 86_400.0;

/// Auctions per hour of one day.
pub type Day = [f64; 24];

/// Days of auctions, from a file of hours (`date_utc,hour_utc,impressions`), in order. What is not whole is left out.
///
/// # Errors
/// The file cannot be read.
pub fn days(path: &Path) -> std::io::Result<Vec<Day>> {
    let text = std::fs::read_to_string(path)?;
    let counts: Vec<f64> =
        text.lines().skip(1).filter_map(|line| line.rsplit(',').next()?.trim().parse().ok()).collect();
    Ok(counts.chunks_exact(24).filter_map(|day| day.try_into().ok()).collect())
}

/// How many auctions come per second, at a time of day in seconds: straight lines from the middle of each hour to that of the next,
/// the last hour's and the first's staying as they are towards midnight.
pub fn rate(day: &Day, second: f64) -> f64 {
    let hour = second / 3600.0 - 0.5;
    let at = |hour: f64| day[hour.clamp(0.0, 23.0) as usize];
    let (before, part) = (hour.floor(), hour - hour.floor());
    (at(before) * (1.0 - part) + at(before + 1.0) * part) / 3600.0
}

/// Prices at which auctions were won.
#[derive(Clone, Debug)]
pub struct Prices {
    /// Price and how many were at most that.
    upto: Vec<(u32, u64)>,
}

impl Prices {
    /// From a file whose first column is a price and whose last is how often it was paid.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Path) -> std::io::Result<Prices> {
        let text = std::fs::read_to_string(path)?;
        let mut sum = 0;
        let mut upto = Vec::new();
        for line in text.lines().skip(1) {
            let mut columns = line.split(',');
            let price = columns.next().and_then(|price| price.trim().parse().ok());
            let count = columns.next_back().and_then(|count| count.trim().parse::<u64>().ok());
            if let (Some(price), Some(count)) = (price, count) {
                sum += count;
                upto.push((price, sum));
            }
        }
        Ok(Prices { upto })
    }

    /// Every auction costs `price` or, with the chance `1 - won`, more than anybody bids.
    pub fn fixed(price: u32, won: f64) -> Prices {
        let won = (won * 1e6) as u64;
        Prices { upto: vec![(price, won), (u32::MAX, 1_000_000)] }
    }

    /// The highest price of the others in one auction.
    pub fn draw(&self, random: &mut Random) -> u32 {
        let total = self.upto.last().map_or(1, |last| last.1);
        let rank = random.below(total);
        self.upto[self.upto.partition_point(|(_, upto)| *upto <= rank)].0
    }

    /// The chance to win with a bid, and what is paid on average.
    pub fn won_at(&self, bid: u32) -> (f64, f64) {
        let (mut before, mut cost) = (0, 0.0);
        for (price, upto) in self.upto.iter().take_while(|(price, _)| *price <= bid) {
            cost += f64::from(*price) * (upto - before) as f64;
            before = *upto;
        }
        let total = self.upto.last().map_or(1, |last| last.1);
        (before as f64 / total as f64, cost / (before.max(1)) as f64)
    }
}

/// A Poisson number: by multiplication (Knuth) where it is small, by the normal approximation where it is large.
pub fn poisson(random: &mut Random, mean: f64) -> u64 {
    if mean > 30.0 {
        return (mean + mean.sqrt() * random.normal() + 0.5).max(0.0) as u64;
    }
    let (limit, mut product, mut count) = ((-mean).exp(), random.unit(), 0);
    while product > limit {
        product *= random.unit();
        count += 1;
    }
    count
}

/// Seconds from a bid to its bill: half within 20, one in forty after five minutes.
pub fn bill_delay(random: &mut Random) -> f64 {
    random.log_normal(20.0, 1.4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_brings_what_its_hours_say() {
        let day: Day = std::array::from_fn(|hour| 1000.0 * (4 + hour.min(24 - hour)) as f64);
        let sum: f64 = (0..17_280).map(|tick| rate(&day, f64::from(tick) * 5.0 + 2.5) * 5.0).sum();
        assert!((sum / day.iter().sum::<f64>() - 1.0).abs() < 0.02, "{sum}");
        let mut random = Random::new(1);
        for mean in [0.3, 20.0, 200.0] {
            let drawn: u64 = (0..20_000).map(|_| poisson(&mut random, mean)).sum();
            assert!((drawn as f64 / 20_000.0 / mean - 1.0).abs() < 0.05, "{mean}: {drawn}");
        }
    }

    #[test]
    fn prices_are_drawn_as_often_as_they_were_paid() {
        let prices = Prices { upto: vec![(10, 1), (20, 3), (30, 4)] };
        assert_eq!(prices.won_at(20), (0.75, 50.0 / 3.0));
        let mut random = Random::new(1);
        let won = (0..40_000).filter(|_| prices.draw(&mut random) <= 20).count();
        assert!((29_500..30_500).contains(&won), "{won}");
    }
}
