//! One exchange: how long its bids stay silent.
//!
//! ```text
//! bids of the last H2, by the second they were made:  silent[second]   ──seconds pass──►   at risk, by age
//! won, billed, lost at this age                       ──────────────────────────────────►   sold, lost, by age
//! each tick: three memories of (at risk, sold, lost), fading in 10 s, 5 min and 2 h  ──►  hazards  ──►  chances
//! ```
//!
//! A hazard is the share of those silent at the start of an age that is sold in it. It is measured as a rate: events over
//! bid-seconds at risk, times the length of the age. So a change of traffic does not look like a change of the hazard, as it
//! would if events of today were divided by the bids of ten minutes ago. It is exact where an age's events come at its
//! end, and too high where they come sooner.
//!
//! From the end of H2 backwards, with `w` the upper limit of what is sold in an age, `l` the lower limit of what is lost in it
//! and `F'` the chance after it, the chance at its start is `w + (1 - w - l) F'`. Inside it losses may have come before sales, so
//! what is still silent there is given `(w + (1 - w - l) F') / (1 - l)`, with the upper limit of `l` below the line.

use super::{Ending, limits};
use crate::units::{Nanos, Now, UnixMillis};

/// Where ages begin, s. Those at or after an exchange's H2 are not used.
const AGES: [u64; 15] = [0, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 10_800];

/// In how many seconds a memory fades to 1/e: the longest knows most, the shorter ones see a change sooner.
const MEMORIES: [f64; 3] = [7200.0, 300.0, 10.0];

/// A limit that money rests on is wrong with `exp(-13.8)` = 1e-6.
const DOUBT: f64 = 13.8;
/// A shorter memory is believed if it says more than the longest but for a chance of `exp(-6.9)` = 1e-3. To believe noise
/// only holds more money.
const CHANGE_DOUBT: f64 = 6.9;
/// Before anything is seen, this many bids were watched in each age ...
const PRIOR_BIDS: f64 = 20.0;
/// ... and this many of them sold.
const PRIOR_SOLD: f64 = 10.0;
/// Bids before the expectation follows what is seen.
const EXPECTED_PRIOR_BIDS: f64 = 20.0;

/// A jump is this many times as many sales as expected.
const JUMP: f64 = 3.0;
/// Fewer sales are no jump, however few were expected.
const JUMP_SOLD: f64 = 5.0;
/// For how long after a jump was last seen chances are 1, ns.
const JUMP_LASTS_NS: u64 = 60 * Nanos::SECOND;

/// A bid whose silence ends in the second it was made in was at risk for that second, like those that outlive it, s. Without this
/// an exchange that tells all within a second would have no exposure to measure by.
const AT_ONCE: f64 = 1.0;

/// What was seen by age; fractions, as it fades.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Bid-seconds of silence.
    risk: [f64; AGES.len()],
    sold: [f64; AGES.len()],
    lost: [f64; AGES.len()],
}

impl Seen {
    /// Fades to `factor` of itself, then takes in what is new.
    fn take_in(&mut self, factor: f64, new: &Seen) {
        for at in 0..AGES.len() {
            self.risk[at] = self.risk[at] * factor + new.risk[at];
            self.sold[at] = self.sold[at] * factor + new.sold[at];
            self.lost[at] = self.lost[at] * factor + new.lost[at];
        }
    }
}

/// One exchange.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    h2: u64,
    /// Ages in use.
    ages: usize,
    /// The newest second that was seen, and the first: bids made before it are not counted.
    second: u64,
    since: u64,
    /// Silent bids by the second they were made, modulo H2. Below zero while a word has overtaken its bid.
    silent: Vec<i32>,
    /// Their sums by age.
    at_risk: [i64; AGES.len()],
    /// Since the last tick, at this second.
    new: Seen,
    ticked: u64,
    memories: [Seen; MEMORIES.len()],
    chances: [f64; AGES.len()],
    expected: [f64; AGES.len()],
    strict_until: Option<Nanos>,
}

impl Watch {
    /// Of an exchange with this H2, ms.
    pub(super) fn new(wall: UnixMillis, h2: u64) -> Self {
        let (second, seconds) = (wall.0 / 1000, (h2 / 1000).max(1));
        Self {
            h2,
            ages: AGES.iter().filter(|from| **from < seconds).count(),
            second,
            since: second,
            silent: vec![0; seconds as usize],
            at_risk: [0; AGES.len()],
            new: Seen::default(),
            ticked: second,
            memories: [Seen::default(); MEMORIES.len()],
            chances: [1.0; AGES.len()],
            expected: [0.0; AGES.len()],
            strict_until: None,
        }
    }

    pub(super) fn h2(&self) -> u64 {
        self.h2
    }

    pub(super) fn reserved(&mut self, wall: UnixMillis, expires: UnixMillis) {
        if let Some((slot, age)) = self.place(wall, expires) {
            self.silent[slot] = self.silent[slot].saturating_add(1);
            self.at_risk[age] += 1;
        }
    }

    pub(super) fn left(&mut self, wall: UnixMillis, expires: UnixMillis, ending: Ending) {
        if let Some((slot, age)) = self.place(wall, expires) {
            self.silent[slot] = self.silent[slot].saturating_sub(1);
            self.at_risk[age] -= 1;
            if age == 0 && slot as u64 == self.second % self.silent.len() as u64 {
                self.new.risk[0] += AT_ONCE;
            }
            match ending {
                Ending::Sold => self.new.sold[age] += 1.0,
                Ending::Lost => self.new.lost[age] += 1.0,
            }
        }
    }

    pub(super) fn tick(&mut self, now: Now) {
        self.advance(now.wall.0 / 1000);
        let passed = (self.second - std::mem::replace(&mut self.ticked, self.second)) as f64;
        for (memory, life) in self.memories.iter_mut().zip(MEMORIES) {
            memory.take_in((-passed / life).exp(), &self.new);
        }
        self.new = Seen::default();
        if self.has_jumped() {
            self.strict_until = Some(now.boot.after(JUMP_LASTS_NS));
        }
        self.strict_until = self.strict_until.filter(|until| *until > now.boot);
        self.estimate();
    }

    pub(super) fn chance(&self, youngest: u64, oldest: u64) -> f64 {
        if self.strict_until.is_some() {
            return 1.0;
        }
        // Seconds are counted from the start of the one a bid was made in.
        let (from, to) = (self.age(youngest / 1000), self.age(oldest / 1000 + 1));
        self.chances[from..=to.max(from)].iter().fold(0.0, |most, chance| chance.max(most))
    }

    pub(super) fn expected(&self, age: u64) -> f64 {
        self.expected[self.age(age / 1000)]
    }

    pub(super) fn jumped(&self) -> bool {
        self.strict_until.is_some()
    }

    /// The age that this many seconds fall in.
    fn age(&self, seconds: u64) -> usize {
        AGES[..self.ages].partition_point(|from| *from <= seconds) - 1
    }

    /// Seconds from the start of an age to its end.
    fn length(&self, age: usize) -> f64 {
        let end = if age + 1 < self.ages { AGES[age + 1] } else { self.silent.len() as u64 };
        (end - AGES[age]) as f64
    }

    /// Where a bid is counted, and its age; `None` if it was made before anybody looked, or is past H2.
    fn place(&mut self, wall: UnixMillis, expires: UnixMillis) -> Option<(usize, usize)> {
        self.advance(wall.0 / 1000);
        let made = expires.0.checked_sub(self.h2)? / 1000;
        let age = self.second.checked_sub(made)?;
        let length = self.silent.len() as u64;
        (made >= self.since && age < length).then(|| ((made % length) as usize, self.age(age)))
    }

    /// Lets seconds pass: each silent bid was at risk for all of them, and some come of age.
    fn advance(&mut self, second: u64) {
        let length = self.silent.len() as u64;
        if second.saturating_sub(self.second) >= length {
            // None of them is left, and nobody saw them go.
            self.silent.fill(0);
            self.at_risk = [0; AGES.len()];
            self.second = second;
            return;
        }
        while self.second < second {
            for age in 0..self.ages {
                self.new.risk[age] += self.at_risk[age].max(0) as f64;
            }
            self.second += 1;
            for (age, from) in AGES[..self.ages].iter().enumerate().skip(1) {
                let moved = self.second.checked_sub(*from).map_or(0, |made| self.silent[(made % length) as usize]);
                self.at_risk[age - 1] -= i64::from(moved);
                self.at_risk[age] += i64::from(moved);
            }
            let past = std::mem::take(&mut self.silent[(self.second % length) as usize]);
            self.at_risk[self.ages - 1] -= i64::from(past);
        }
    }

    /// A shorter memory has seen far more sales than the longest knows of, at the ages of the bids it watched.
    fn has_jumped(&self) -> bool {
        let [long, shorter @ ..] = &self.memories;
        shorter.iter().any(|seen| {
            let sold: f64 = seen.sold.iter().sum();
            let known = (0..self.ages).map(|age| seen.risk[age] / self.length(age) * self.hazard(long, age));
            let limit = JUMP * known.sum::<f64>();
            sold >= JUMP_SOLD && sold > limit && limits::excess(limit, sold) > DOUBT
        })
    }

    /// The measured hazard of being sold, with the prior.
    fn hazard(&self, seen: &Seen, age: usize) -> f64 {
        (seen.sold[age] + PRIOR_SOLD) / (seen.risk[age] / self.length(age) + PRIOR_BIDS)
    }

    /// The upper limit of that hazard: the longest memory's, or a shorter one's that says significantly more.
    fn most_sold(&self, age: usize) -> f64 {
        let [long, shorter @ ..] = &self.memories;
        let bids = |seen: &Seen| seen.risk[age] / self.length(age);
        let known = limits::upper(long.sold[age] + PRIOR_SOLD, bids(long) + PRIOR_BIDS, DOUBT);
        let measured = self.hazard(long, age);
        let changed = shorter
            .iter()
            .filter(|seen| limits::lower(seen.sold[age], bids(seen), CHANGE_DOUBT) > measured)
            .map(|seen| limits::upper(seen.sold[age], bids(seen), DOUBT));
        changed.fold(known, f64::max).min(1.0)
    }

    /// The chances of each age, from what the memories hold.
    fn estimate(&mut self) {
        let (mut after, mut expected_after) = (0.0, 0.0);
        for age in (0..self.ages).rev() {
            let [long, shorter @ ..] = &self.memories;
            let (length, sold) = (self.length(age), self.most_sold(age));
            let bids = long.risk[age] / length;
            // Fewer losses than the longest memory knows of: an exchange may have stopped to tell of them.
            let least = |seen: &Seen| limits::upper(seen.lost[age], seen.risk[age] / length, CHANGE_DOUBT);
            let lost = shorter.iter().map(least).fold(limits::lower(long.lost[age], bids, DOUBT), f64::min);
            let lost = lost.min(1.0 - sold);
            let most_lost = limits::upper(long.lost[age], bids, DOUBT).min(1.0);
            let from_start: f64 = sold + (1.0 - sold - lost) * after;
            let inside = if long.lost[age] > 0.0 { (from_start / (1.0 - most_lost)).min(1.0) } else { from_start };
            self.chances[age] = inside;
            after = from_start;

            let share = |events: f64| events / (bids + EXPECTED_PRIOR_BIDS);
            let (sold, lost) = (share(long.sold[age]), share(long.lost[age]));
            // Who leaves early was at risk for less than the whole age: more than all cannot leave.
            let leave = (sold + lost).max(1.0);
            let (sold, lost) = (sold / leave, lost / leave);
            expected_after = sold + (1.0 - sold - lost).max(0.0) * expected_after;
            self.expected[age] = expected_after;
        }
    }
}
