//! The market: who asks, what wins, what is billed and when, and how persistently exchanges call. It alone knows what
//! becomes of a bid.

use super::time::{DAY, HOUR, MINUTE, MS, SECOND, Time};
use crate::market::random::Random;
use crate::ring::message::{NoticeKind, NoticePrice};
use crate::units::{AdvertiserId, CampaignId, CpmMicros, Micros, Terms};

/// Of the bids so many win.
pub const WIN_RATE: f64 = 0.03;
/// The same while [`super::faults::Fault::WinJump`] lasts.
pub const JUMPED_WIN_RATE: f64 = 0.6;
/// Of the wins so many are billed.
pub const BILLED: f64 = 0.92;
/// Auctions a day in which a campaign could bid.
pub const CHANCES: f64 = 6_000.0;

/// How an exchange does business.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// Its name.
    pub name: &'static str,
    /// H2, ms.
    pub horizon: u64,
    /// The chance that a win is notified, within half a second.
    pub tells_wins: f64,
    /// The chance that a loss is notified, within five seconds.
    pub tells_losses: f64,
    /// Its loss notices are its last word.
    pub loss_is_final: bool,
}

/// Silent, telling of wins, telling of losses, and telling of losses for good.
pub const EXCHANGES: [Exchange; 4] = [
    Exchange { name: "silent", horizon: 30 * 60_000, tells_wins: 0.0, tells_losses: 0.0, loss_is_final: false },
    Exchange { name: "wins", horizon: 30 * 60_000, tells_wins: 0.98, tells_losses: 0.0, loss_is_final: false },
    Exchange { name: "losses", horizon: 10 * 60_000, tells_wins: 0.7, tells_losses: 0.8, loss_is_final: false },
    Exchange { name: "final", horizon: 30 * 60_000, tells_wins: 0.5, tells_losses: 0.9, loss_is_final: true },
];
/// An exchange that tells of every loss within five seconds, and for good.
pub const TOLD: Exchange =
    Exchange { name: "told", horizon: 30 * 60_000, tells_wins: 0.98, tells_losses: 1.0, loss_is_final: true };

/// Of a hundred auctions so many are held on each exchange: most send no word of a loss.
const SHARES: [u32; 4] = [45, 30, 15, 10];

/// Formats: of a hundred bids, and the mean time from win to bill (money.md: web, app banner, native, interstitial).
const FORMATS: [(u32, Time); 4] = [(45, MINUTE), (30, 5 * MINUTE), (17, 10 * MINUTE), (8, 30 * MINUTE)];

/// What a campaign is.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// Its number, from 1.
    pub id: CampaignId,
    /// Whose it is: four campaigns have one advertiser.
    pub advertiser: AdvertiserId,
    /// Its highest bid.
    pub price: CpmMicros,
    /// What it may spend a day.
    pub daily: Micros,
    /// What it may spend in all.
    pub total: Option<Micros>,
    /// It follows the curve of the supply; otherwise it spends as soon as possible. Every other one does.
    pub paced: bool,
    /// So many times the usual auctions are for it.
    pub size: u32,
}

/// Campaigns of three sizes: a third has too little for the supply of a day, a third is tight, and a third has more than it can spend.
/// `size` times the usual budgets are for as many times the auctions.
pub fn campaigns(seed: u64, count: u32, size: u32) -> Vec<Campaign> {
    let one = |index: u32| {
        let mut random = Random::of(seed ^ 0x6361_6d70, u64::from(index));
        let price = CpmMicros(random.between(2_000, 20_000) as i64 * 1_000);
        let bids = match index % 3 {
            0 => random.between(10, 25),
            1 => random.between(60, 110),
            _ => random.between(400, 900),
        };
        let daily = Micros(price.per_impression().0 * bids as i64 * i64::from(size));
        let total = (index % 5 == 4).then(|| Micros(daily.0 * 13 / 2));
        let (id, advertiser) = (CampaignId(index + 1), AdvertiserId(index / 4 + 1));
        Campaign { id, advertiser, price, daily, total, paced: index.is_multiple_of(2), size }
    };
    (0..count).map(one).collect()
}

/// The supply of a time of day, 1 on average over the day: least at four, most at sixteen o'clock.
pub fn supply(time: Time) -> f64 {
    let hour = (time % DAY) as f64 / HOUR as f64;
    1.0 - 0.6 * ((hour - 4.0) / 24.0 * std::f64::consts::TAU).cos()
}

/// The supply of a day up to a time of it, as a share of the day's.
pub fn supply_share(time: Time) -> f64 {
    let turn = |hour: f64| ((hour - 4.0) / 24.0 * std::f64::consts::TAU).sin() / std::f64::consts::TAU;
    let hour = (time % DAY) as f64 / HOUR as f64;
    hour / 24.0 - 0.6 * (turn(hour) - turn(0.0))
}

/// The most that [`supply`] is.
pub const SUPPLY_MOST: f64 = 1.6;

/// An auction in which a bid is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Auction {
    /// Index in [`EXCHANGES`].
    pub exchange: usize,
    /// What the bid will be.
    pub price: CpmMicros,
    /// What turns it into money.
    pub terms: Terms,
}

/// Draws an auction for a campaign.
pub fn auction(random: &mut Random, campaign: &Campaign) -> Auction {
    let exchange = random.weighted(SHARES.iter().copied());
    let price = CpmMicros(campaign.price.0 * random.between(300, 1_000) as i64 / 1_000);
    Auction { exchange, price, terms: Terms::PLAIN }
}

/// What the market expects a bid of this price to cost.
pub fn expected_cost(reserved: Micros) -> f64 {
    // Clearing prices are uniform from 30 to 100 % of the bid, and some bills have no readable price.
    reserved.0 as f64 * WIN_RATE * BILLED * 0.65 * 0.98
}

/// What a campaign would be expected to spend in a day if it bid in all its auctions, micros.
pub fn day_of_supply(campaign: &Campaign) -> f64 {
    CHANCES * f64::from(campaign.size) * expected_cost(Micros(campaign.price.per_impression().0 * 65 / 100))
}

/// A notice that will be sent.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Time after the bid.
    pub after: Time,
    /// Its kind.
    pub kind: NoticeKind,
    /// The price in it.
    pub price: NoticePrice,
}

/// What becomes of a bid.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// It wins.
    pub won: bool,
    /// The notices that follow.
    pub notices: Vec<Due>,
}

/// Draws what becomes of a bid at a win rate.
pub fn fate(random: &mut Random, exchange: &Exchange, price: CpmMicros, win_rate: f64) -> Fate {
    let mut fate = Fate { won: random.chance(win_rate), notices: Vec::new() };
    let mut notice = |after, kind, price| fate.notices.push(Due { after, kind, price });
    let empty = NoticePrice::Empty;
    if !fate.won {
        if random.chance(exchange.tells_losses) {
            notice(random.between(50 * MS, 5 * SECOND), NoticeKind::Loss, empty);
        }
        return fate;
    }
    if random.chance(exchange.tells_wins) {
        notice(random.between(20 * MS, 500 * MS), NoticeKind::Win, empty);
    }
    // Some exchanges change their mind, and not all of them say so in order.
    if random.chance(0.01) {
        notice(random.between(50 * MS, 5 * SECOND), NoticeKind::Loss, empty);
    }
    if random.chance(BILLED) {
        let (_, mean) = FORMATS[random.weighted(FORMATS.iter().map(|(share, _)| *share))];
        let delay = (-random.unit().ln() * mean as f64) as Time + 200 * MS;
        let cleared = CpmMicros(price.0 * random.between(300, 1_000) as i64 / 1_000);
        let price = match random.below(100) {
            0 => NoticePrice::Audit,
            1 => NoticePrice::Empty,
            2 => NoticePrice::Cpm(CpmMicros(price.0 + cleared.0)),
            _ => NoticePrice::Cpm(cleared),
        };
        notice(delay, NoticeKind::Bill, price);
    }
    fate
}

/// When an exchange calls again after so many calls without a 200 or 410: every ten seconds for a minute, then every few
/// minutes. `None`: it gives up.
pub fn call_again(calls: u32, random: &mut Random) -> Option<Time> {
    match calls {
        0..6 => Some(10 * SECOND),
        6..16 => Some(random.between(2 * MINUTE, 8 * MINUTE)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_supply_are_its_integral() {
        let steps = 24 * 3600;
        let mut sum = 0.0;
        for second in 0..steps {
            let share = supply_share(second * SECOND);
            assert!((share - sum).abs() < 1e-4, "at {second} s: {share} is not {sum}");
            assert!(supply(second * SECOND) <= SUPPLY_MOST);
            sum += supply(second * SECOND) / steps as f64;
        }
        assert!((sum - 1.0).abs() < 1e-4);
    }

    #[test]
    fn bids_cost_what_is_expected() {
        let mut random = Random::new(3);
        let (count, price) = (400_000, CpmMicros(10_000_000));
        let mut sum = 0.0;
        for _ in 0..count {
            for due in fate(&mut random, &EXCHANGES[0], price, WIN_RATE).notices {
                if let (NoticeKind::Bill, NoticePrice::Cpm(cleared)) = (due.kind, due.price) {
                    sum += cleared.min(price).per_impression().0 as f64;
                }
            }
        }
        let expected = expected_cost(price.per_impression()) * f64::from(count);
        assert!((sum / expected - 1.0).abs() < 0.05, "{sum} of {expected}");
    }
}
