//! What one bid core counts. One line pair or more per core; the core writes, scrapes read.

use super::arms::ArmCounts;
use super::counter::Counter;
use super::histogram::Histogram;
use super::paths::{PathCounts, Table};
use super::stage::Stage;
use crate::limits;
use crate::ring::message::{NoticeKind, Noticed};
use crate::units::{ExchangeId, Nanos};
use crate::wire::openrtb::nobid::NoBidReason;

/// What one bid core counts of one exchange.
#[derive(Debug, Default)]
pub struct ExchangeCounts {
    /// Its name.
    pub name: Box<str>,
    /// Bid requests answered.
    pub answers: Counter,
    /// Of those, answered after their time was up, whatever the answer said.
    pub late: Counter,
    /// Answers that it called invalid.
    pub invalid: Counter,
    /// Answers of the last seconds ([`crate::bid::response_rate`]).
    pub recent: Counter,
    /// Of those, late or invalid.
    pub recent_bad: Counter,
    /// The age that a request may have when its answer is on its way, ns.
    pub age_limit_ns: Counter,
}

/// Counters of one bid core.
#[derive(Debug)]
#[repr(align(128))]
pub struct CoreMetrics {
    /// Bid requests framed.
    pub requests: Counter,
    /// Answers with a bid.
    pub bids: Counter,
    /// Sum of the maximum prices of those bids, micros.
    pub bid_micros: Counter,
    /// Bids in first-price auctions whose price is learnt.
    pub shaded: Counter,
    /// Of those, made to learn from.
    pub shaded_explored: Counter,
    /// What they were worth, CPM micros.
    pub shaded_worth_micros: Counter,
    /// What they bid, CPM micros.
    pub shaded_bid_micros: Counter,
    /// Answers 400: the document is broken.
    pub broken: Counter,
    /// Answers 413: a body in gzip that is longer than [`crate::limits::BODY_BYTES`] once unpacked.
    pub oversized: Counter,
    /// Bodies in gzip that were unpacked.
    pub inflated: Counter,
    /// Bid responses that were sent in gzip.
    pub deflated: Counter,
    /// Answers 204, by reason.
    pub nobid: [Counter; NoBidReason::COUNT],
    /// Notices that arrived with a good signature, by kind.
    pub notices: [Counter; NoticeKind::ALL.len()],
    /// Notices answered, by [`Noticed`].
    pub noticed: [Counter; 3],
    /// Notices refused: forged or malformed (403), no place to park them (503).
    pub notices_forged: Counter,
    /// Notices refused for want of a place to wait (503).
    pub notices_refused: Counter,
    /// Notices whose disk write took longer than [`crate::limits::NOTICE_NS`] (503).
    pub notices_timed_out: Counter,
    /// Requests for anything else than the bid, notice and ready paths (404, 405).
    pub strays: Counter,
    /// Candidates that came out of the match.
    pub candidates: Counter,
    /// Events the full ring refused.
    pub events_refused: Counter,
    /// Until when its sub-leases live, ns of the boot clock: 0 until the core can bid.
    pub leased_until_ns: Counter,
    /// Orders carried out.
    pub orders: Counter,
    /// Snapshots swapped in.
    pub swaps: Counter,
    /// Turns of the loop.
    pub turns: Counter,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections that were received by the core's own CPU, and by another; both 0 without steering.
    pub steered: [Counter; 2],
    /// Connections closed.
    pub closed: Counter,
    /// Connections closed as they came, because there was no place for them.
    pub turned_away: Counter,
    /// Silent connections closed to make room for others.
    pub crowded: Counter,
    /// Connections closed because they did not read their answers.
    pub unread: Counter,
    /// Requests that did not come whole in time.
    pub timed_out: Counter,
    /// Inputs given up because others needed their memory.
    pub pressed: Counter,
    /// Streams refused for their framing.
    pub refused: Counter,
    /// Multishot receives that had to be armed again.
    pub rearmed: Counter,
    /// Connections that have something to be read and wait for their turn, now.
    pub waiting: Counter,
    /// Bytes received.
    pub received_bytes: Counter,
    /// Profile lookups the shard answered with a profile.
    pub profile_hits: Counter,
    /// Profile lookups the shard answered with the knowledge that nothing is known.
    pub profile_unknown: Counter,
    /// Profile lookups that went to what is behind the shard.
    pub profile_misses: Counter,
    /// Profiles the shard forgot to make room.
    pub profile_evictions: Counter,
    /// Values that were no profile.
    pub profile_refused: Counter,
    /// Profiles in the shard.
    pub profiles: Counter,
    /// Bytes of the shard in use, tables included.
    pub profile_bytes: Counter,
    /// Bid requests that were parked until their user's profile came.
    pub parked: Counter,
    /// Of those, whose user's profile came, or word that there is none or that it cannot be had.
    pub resumed: Counter,
    /// Of those, whose time was up before.
    pub waited_in_vain: Counter,
    /// Bid requests whose user was not known and who did not wait: no time, no room, or a store that does not answer.
    pub unfetched: Counter,
    /// Users who came from the stores thread.
    pub fetched: Counter,
    /// User-and-campaign pairs the frequency shard had to forget.
    pub frequency_evictions: Counter,
    /// Requests that were looked up among the copies of auctions bid on; those found are answered `duplicate`.
    pub fingerprints: Counter,
    /// Bids that were forgotten before the window for their copies was over.
    pub fingerprint_evictions: Counter,
    /// Bid requests that lay unread while the core was kept from its loop, or may have, whatever became of them.
    pub stalled_requests: Counter,
    /// Long turns that found their ring full.
    pub stalls_lost: Counter,
    /// Records of the compliance log that found its ring full.
    pub audit_lost: Counter,
    /// Requests copied for captures.
    pub captured: Counter,
    /// Requests that found no room to be.
    pub capture_lost: Counter,
    /// Rows that models scored.
    pub scored_rows: Counter,
    /// Offers that had no place on the shortlist of those that a model looks at.
    pub outranked: Counter,
    /// Requests whose offers were valued at the average, because scoring had used up its share of the time.
    pub averaged: Counter,
    /// 1 while that is so.
    pub scoring_over: Counter,
    /// What a row is taken to cost, with all that belongs to scoring it, ns.
    pub score_row_ns: Counter,
    /// Rows scored in sampled requests, and the time in their score stage, ns.
    pub sampled_scoring: [Counter; 2],
    /// Rows of the training log that found its ring full.
    pub training_lost: Counter,
    /// Answers with bids of which the training log may not hear.
    pub training_forbidden: Counter,
    /// By exchange, in the order of the configuration.
    pub exchanges: Box<[ExchangeCounts]>,
    /// By [`crate::units::ArmId`].
    pub arms: [ArmCounts; limits::ARMS],
    /// By supply path, if `supply.paths` is set.
    pub paths: Table<PathCounts>,
    /// How long each turn of the loop took, without the wait before it, ns.
    pub turn: Histogram,
    /// Time that bid requests may have waited before they were framed, ns: since the earliest moment at which they may have come.
    pub queue: Histogram,
    /// Time from framing a bid request to its turn's submission, ns.
    pub service: Histogram,
    /// Time from arrival to answer of notices, ns, by [`Noticed`].
    pub notice: [Histogram; 3],
    /// Time in each stage, ns, of the sampled requests.
    pub stages: [Histogram; Stage::COUNT],
}

impl Default for CoreMetrics {
    fn default() -> Self {
        CoreMetrics {
            requests: Counter::default(),
            bids: Counter::default(),
            bid_micros: Counter::default(),
            shaded: Counter::default(),
            shaded_explored: Counter::default(),
            shaded_worth_micros: Counter::default(),
            shaded_bid_micros: Counter::default(),
            broken: Counter::default(),
            oversized: Counter::default(),
            inflated: Counter::default(),
            deflated: Counter::default(),
            nobid: std::array::from_fn(|_| Counter::default()),
            notices: Default::default(),
            noticed: Default::default(),
            notices_forged: Counter::default(),
            notices_refused: Counter::default(),
            notices_timed_out: Counter::default(),
            strays: Counter::default(),
            candidates: Counter::default(),
            events_refused: Counter::default(),
            leased_until_ns: Counter::default(),
            orders: Counter::default(),
            swaps: Counter::default(),
            turns: Counter::default(),
            accepted: Counter::default(),
            steered: Default::default(),
            closed: Counter::default(),
            turned_away: Counter::default(),
            crowded: Counter::default(),
            unread: Counter::default(),
            timed_out: Counter::default(),
            pressed: Counter::default(),
            refused: Counter::default(),
            rearmed: Counter::default(),
            waiting: Counter::default(),
            received_bytes: Counter::default(),
            profile_hits: Counter::default(),
            profile_unknown: Counter::default(),
            profile_misses: Counter::default(),
            profile_evictions: Counter::default(),
            profile_refused: Counter::default(),
            profiles: Counter::default(),
            profile_bytes: Counter::default(),
            parked: Counter::default(),
            resumed: Counter::default(),
            waited_in_vain: Counter::default(),
            unfetched: Counter::default(),
            fetched: Counter::default(),
            frequency_evictions: Counter::default(),
            fingerprints: Counter::default(),
            fingerprint_evictions: Counter::default(),
            stalled_requests: Counter::default(),
            stalls_lost: Counter::default(),
            audit_lost: Counter::default(),
            captured: Counter::default(),
            capture_lost: Counter::default(),
            scored_rows: Counter::default(),
            outranked: Counter::default(),
            averaged: Counter::default(),
            scoring_over: Counter::default(),
            score_row_ns: Counter::default(),
            sampled_scoring: Default::default(),
            training_lost: Counter::default(),
            training_forbidden: Counter::default(),
            exchanges: Box::default(),
            arms: Default::default(),
            paths: Table::default(),
            turn: Histogram::default(),
            queue: Histogram::default(),
            service: Histogram::default(),
            notice: Default::default(),
            stages: std::array::from_fn(|_| Histogram::default()),
        }
    }
}

impl CoreMetrics {
    /// Counters, by supply path too if `paths` says so.
    pub fn new(paths: bool) -> CoreMetrics {
        let paths = if paths { Table::with_room() } else { Table::default() };
        CoreMetrics { paths, ..CoreMetrics::default() }
    }

    /// With counters for these exchanges.
    pub fn with_exchanges<'n>(self, names: impl IntoIterator<Item = &'n str>) -> CoreMetrics {
        let counts = |name: &str| {
            let counts = ExchangeCounts { name: name.into(), ..ExchangeCounts::default() };
            counts.age_limit_ns.set(limits::DEADLINE_NS);
            counts
        };
        CoreMetrics { exchanges: names.into_iter().map(counts).collect(), ..self }
    }

    /// Of this exchange.
    #[inline]
    pub fn exchange(&self, id: ExchangeId) -> Option<&ExchangeCounts> {
        self.exchanges.get(usize::from(id.0))
    }

    /// Whether the core holds a living lease, so that it can bid.
    pub fn is_funded(&self, now: Nanos) -> bool {
        now.0 < self.leased_until_ns.get()
    }

    /// The counter of answers with this reason.
    #[inline]
    pub fn nobid(&self, reason: NoBidReason) -> &Counter {
        &self.nobid[reason as usize]
    }

    /// Bid requests that passed every filter before the match, first time or again: those a decision was really made on. What a fleet
    /// is scaled by (docs/CAPACITY.md). Added up from the counters of how they ended, so that it costs a request nothing; a bid that
    /// was withdrawn is in it once, as the bid.
    pub fn filtered(&self) -> u64 {
        let after = |reason: &&NoBidReason| (Stage::Match..Stage::Account).contains(&reason.stage());
        self.bids.get() + NoBidReason::ALL.iter().filter(after).map(|&reason| self.nobid(reason).get()).sum::<u64>()
    }

    /// The counter of notices of this kind.
    #[inline]
    pub fn notice_of(&self, kind: NoticeKind) -> &Counter {
        &self.notices[kind as usize]
    }

    /// Counts a notice that ended like this, so many nanoseconds after it arrived.
    #[inline]
    pub fn answered(&self, noticed: Noticed, ns: u64) {
        self.noticed[noticed as usize].add(1);
        self.notice[noticed as usize].record(ns);
    }
}
