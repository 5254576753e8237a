//! What a core notes of its requests, so that those that turn out to have taken too long can be explained (docs/TAIL.md).
//!
//! Whether one did is known when its turn is over: its answer leaves with the others. So every request is noted, in memory that is
//! used again in the next turn, at one reading of the tick counter for each stage it enters.

use crate::clock;
use crate::metrics::flight::{Ended, Flight, Late, Stamps, Turn};
use crate::metrics::stage::Stage;
use crate::metrics::stalls::witness::Witness;
use crate::metrics::stalls::{Round, thread};
use crate::ring::spsc::Sender;
use crate::units::{ExchangeId, Nanos};

/// Requests of a turn that are kept: the first, which have waited for longest, and of the others the one that took longest.
const FIRST: usize = 16;
const SLOWEST: usize = FIRST;
/// Where one is noted that may not be kept.
const SPARE: usize = FIRST + 1;
/// Turns with requests that are remembered. A request is answered in the turn that reads it, or some turns later where many wait; the
/// requests of turns before these are counted to no load.
const TURNS: usize = 256;

/// Which requests are told, and to whom.
#[derive(Debug)]
pub struct Tail {
    /// Those that took this long, ns, from the earliest moment at which they may have come until their turn was over.
    pub threshold_ns: u64,
    /// Where to.
    pub told: Sender<Late>,
}

/// A turn that is over, and had requests or swapped snapshots.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    ended: Nanos,
    requests: u64,
    swap_ns: Option<u64>,
}

/// Notes the requests of one core.
#[derive(Debug)]
pub struct FlightRecorder {
    tail: Tail,
    slots: Box<[Flight; SPARE + 1]>,
    /// The slot of the request in hand.
    slot: usize,
    /// How that ends.
    ended: Ended,
    /// Requests noted in this turn.
    noted: u32,
    /// Of those, bids for which the ring had no room.
    refused: u64,
    /// The last reading of the ticks: where one request ends the next begins.
    ticks: u64,
    /// Readings when the turn began, and when it ended if that is wanted.
    turn: [u64; 2],
    swap_ticks: Option<u64>,
    /// When the turn before ended.
    before: Nanos,
    past: [Past; TURNS],
    /// Of those, the last.
    last: usize,
    /// Requests that took too long and were told to nobody.
    lost: u64,
}

impl FlightRecorder {
    /// Takes all its memory.
    pub fn new(tail: Tail) -> FlightRecorder {
        FlightRecorder {
            tail,
            slots: Box::new([Flight::default(); SPARE + 1]),
            slot: 0,
            ended: Ended::default(),
            noted: 0,
            refused: 0,
            ticks: 0,
            turn: [0; 2],
            swap_ticks: None,
            before: Nanos(0),
            past: [Past::default(); TURNS],
            last: 0,
            lost: 0,
        }
    }

    /// A turn begins.
    #[inline]
    pub fn begin_turn(&mut self) {
        self.ticks = clock::ticks();
        self.turn = [self.ticks; 2];
    }

    /// A bid request is in hand.
    #[inline]
    pub fn begin(&mut self) {
        self.slot = if (self.noted as usize) < FIRST { self.noted as usize } else { SPARE };
        self.slots[self.slot].stamps.clear();
        self.ended = Ended::default();
    }

    /// Where its stages are noted.
    #[inline]
    pub fn stamps(&mut self) -> &mut Stamps {
        &mut self.slots[self.slot].stamps
    }

    /// How it ends.
    #[inline]
    pub fn ends(&mut self, ended: Ended) {
        self.ended = ended;
    }

    /// It is answered. `parked_ns`: how long it waited for its user's profile.
    #[inline]
    pub fn end(&mut self, exchange: Option<ExchangeId>, bytes: usize, arrived: Nanos, framed: Nanos, parked_ns: u64) {
        let (began, done, ended) = (self.ticks, clock::ticks(), self.ended);
        self.ticks = done;
        let place = self.noted;
        let slot = &mut self.slots[self.slot];
        (slot.exchange, slot.ended, slot.bytes, slot.place) = (exchange, ended, bytes as u32, place);
        (slot.arrived, slot.framed, slot.parked_ns) = (arrived, framed, parked_ns);
        (slot.began, slot.done) = (began, done);
        if self.slot == SPARE && (place as usize == FIRST || slot.took() > self.slots[SLOWEST].took()) {
            self.slots.swap(SLOWEST, SPARE);
        }
        self.noted += 1;
        self.refused += u64::from(ended.is_refused());
    }

    /// A snapshot was swapped in, which began at `ticks`.
    pub fn swapped(&mut self, ticks: u64) {
        self.swap_ticks = Some(clock::ticks().saturating_sub(ticks));
    }

    /// A turn is over, in which so many requests took too long. Says whether there is anything to be told.
    #[inline]
    pub fn is_telling(&mut self, late: u64) -> bool {
        let tells = late > 0 || self.refused > 0;
        if tells || self.swap_ticks.is_some() {
            self.turn[1] = clock::ticks();
        }
        tells
    }

    /// The same, once the kernel was asked what it counted if there is anything to be told.
    #[inline]
    pub fn end_turn(&mut self, round: &Round, late: u64, witness: &Witness) {
        let before = self.before;
        let Round { woke, ended, requests, usual_ns, .. } = *round;
        let (ticks, refused) = (self.turn, self.refused);
        let turn = Turn { before, woke, ended, ticks, requests: self.noted, refused, usual_ns, cpu: usize::MAX };
        let swap_ns = self.swap_ticks.take().map(|took| turn.at(ticks[0] + took).since(woke));
        // A turn without either tells nothing.
        if requests > 0 || swap_ns.is_some() {
            self.last = (self.last + 1) % TURNS;
            self.past[self.last] = Past { ended, requests, swap_ns };
        }
        self.before = ended;
        if late > 0 || refused > 0 {
            self.tell(turn, late, witness);
        }
        (self.noted, self.refused) = (0, 0);
    }

    /// Requests that took too long and were told to nobody: the ring was full, or others of their turn were kept in their place.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    #[cold]
    fn tell(&mut self, turn: Turn, late: u64, witness: &Witness) {
        let turn = Turn { cpu: thread::cpu(), ..turn };
        let kept = (self.noted as usize).min(SLOWEST + 1);
        let slowest = self.slots[..kept].iter().filter_map(longest_stage).max_by_key(|&(_, _, ticks)| ticks);
        let threshold_ns = self.tail.threshold_ns;
        let is_late = |flight: &Flight| turn.ended.since(flight.arrived) >= threshold_ns;
        let is_told = |flight: &Flight| is_late(flight) || flight.ended.is_refused();
        let of = |is: &dyn Fn(&Flight) -> bool| self.slots[..kept].iter().filter(|flight| is(flight)).count() as u64;
        // Those that are not kept are counted with the last that is.
        let unkept = late.saturating_sub(of(&is_late));
        let mut left = of(&is_told);
        if left == 0 {
            self.lost += unkept;
        }
        for at in 0..kept {
            let flight = self.slots[at];
            if !is_told(&flight) {
                continue;
            }
            left -= 1;
            let (requests, swap_ns) = self.since(flight.arrived);
            let (spent, window_ns) = witness.spent_since(flight.arrived, turn.ended);
            let others = if left == 0 { unkept } else { 0 };
            let late = Late { flight, turn, requests, swap_ns, slowest, spent, window_ns, others };
            if self.tail.told.offer(late).is_err() {
                self.lost += 1 + others;
            }
        }
    }

    /// Requests framed since one arrived; and whether a snapshot was swapped in meanwhile, or since the last turn with requests before
    /// that: whoever comes first after a swap finds everything cold.
    fn since(&self, arrived: Nanos) -> (u64, Option<u64>) {
        let (mut requests, mut swap_ns) = (0, None);
        for back in 0..TURNS {
            let past = &self.past[(self.last + TURNS - back) % TURNS];
            swap_ns = swap_ns.or(past.swap_ns);
            if past.ended <= arrived {
                break;
            }
            requests += past.requests;
        }
        (requests, swap_ns)
    }
}

/// The stage a request was in for longest, while the core worked on it.
fn longest_stage(flight: &Flight) -> Option<(u32, Stage, u64)> {
    let mut from = (Stage::Frame, flight.began);
    let mut longest = None;
    for next in flight.stamps.entered().chain([(Stage::Account, flight.done)]) {
        let ticks = next.1.saturating_sub(from.1);
        if longest.is_none_or(|(_, _, most)| ticks > most) {
            longest = Some((flight.place, from.0, ticks));
        }
        from = next;
    }
    longest.filter(|&(_, _, ticks)| ticks > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::spsc;

    fn at(us: u64) -> Nanos {
        Nanos(Nanos::SECOND + us * 1_000)
    }

    struct Core {
        recorder: FlightRecorder,
        witness: Witness,
        heard: spsc::Receiver<Late>,
    }

    impl Core {
        /// That tells of what takes 1 ms.
        fn new(places: usize) -> Core {
            let (told, heard) = spsc::ring(places);
            let (stalls, _) = spsc::ring(4);
            let recorder = FlightRecorder::new(Tail { threshold_ns: Nanos::MS, told });
            Core { recorder, witness: Witness::open(stalls), heard }
        }

        /// A turn of requests that came then, and how many of them took too long.
        fn turn(&mut self, woke: u64, ended: u64, arrived: &[u64]) -> Vec<Late> {
            self.recorder.begin_turn();
            for &us in arrived {
                self.recorder.begin();
                self.recorder.stamps().stamp(Stage::Admit, clock::ticks());
                self.recorder.ends(Ended::Bid);
                self.recorder.end(Some(ExchangeId(3)), 700, at(us), at(woke), 0);
            }
            let late = arrived.iter().filter(|&&us| ended - us >= 1_000).count() as u64;
            let (woke, ended) = (at(woke), at(ended));
            let round = Round { from: woke, woke, ended, kept_ns: 0, requests: arrived.len() as u64, usual_ns: 9 };
            self.recorder.is_telling(late);
            self.recorder.end_turn(&round, late, &self.witness);
            std::iter::from_fn(|| self.heard.take()).collect()
        }
    }

    #[test]
    fn those_that_took_too_long_are_told_with_their_turn() {
        let mut core = Core::new(64);
        assert_eq!(core.turn(0, 900, &[0, 10, 20]), []);
        let told = core.turn(1_000, 2_100, &[1_000, 1_050, 1_500]);
        assert_eq!(told.iter().map(|late| late.flight.arrived).collect::<Vec<_>>(), [at(1_000), at(1_050)]);
        let Late { flight, turn, requests, swap_ns, others, .. } = told[1];
        assert_eq!((flight.exchange, flight.ended, flight.bytes), (Some(ExchangeId(3)), Ended::Bid, 700));
        assert_eq!((flight.place, requests, swap_ns, others), (1, 3, None, 0));
        assert_eq!((turn.before, turn.woke, turn.ended, turn.requests), (at(900), at(1_000), at(2_100), 3));
        if turn.has_ticks() {
            assert!(told[1].stages().iter().any(|&(stage, _)| stage == Stage::Admit));
            assert!(flight.began >= told[0].flight.done, "one begins where the other ends");
        }
        // One that lay through the turn before is told of the requests in that, too.
        assert_eq!(core.turn(2_100, 3_000, &[1_900])[0].requests, 4);
    }

    #[test]
    fn of_many_the_first_are_told_and_the_slowest_and_all_are_counted() {
        let mut core = Core::new(64);
        core.recorder.begin_turn();
        for place in 0..100 {
            core.recorder.begin();
            if place == 70 {
                let until = clock::boot().after(2 * Nanos::MS);
                while clock::boot() < until {}
            }
            core.recorder.end(None, 0, at(place), at(0), 0);
        }
        let round = Round { from: at(0), woke: at(0), ended: at(5_000), kept_ns: 0, requests: 100, usual_ns: 9 };
        core.recorder.is_telling(100);
        core.recorder.end_turn(&round, 100, &core.witness);
        let told: Vec<Late> = std::iter::from_fn(|| core.heard.take()).collect();
        let places: Vec<u32> = told.iter().map(|late| late.flight.place).collect();
        assert_eq!(places[..FIRST], (0..FIRST as u32).collect::<Vec<_>>());
        assert_eq!(told.len() as u64 + told.iter().map(|late| late.others).sum::<u64>(), 100);
        if told[0].turn.has_ticks() {
            assert_eq!(places[FIRST..], [70]);
            assert!(told.iter().all(|late| late.slowest.is_some_and(|(place, ..)| place == 70)));
        }
    }

    #[test]
    fn one_that_is_late_among_many_that_are_not_is_told_or_counted_as_lost() {
        let mut core = Core::new(64);
        let mut arrived = [4_900; 30];
        arrived[29] = 3_000;
        let told = core.turn(4_900, 5_000, &arrived);
        assert_eq!(told.len() as u64 + core.recorder.lost(), 1);
    }

    #[test]
    fn a_swap_is_told_to_those_of_its_turn_and_who_comes_next() {
        let mut core = Core::new(64);
        core.recorder.swapped(clock::ticks());
        for (turn, swapped) in [(1, true), (2, true), (3, false)] {
            let from = turn * 10_000;
            let told = core.turn(from, from + 2_000, &[from]);
            assert_eq!(told[0].swap_ns.is_some(), swapped, "turn {turn}");
        }
        // In a turn without requests, and many of those after it.
        core.recorder.swapped(clock::ticks());
        (0..3 * TURNS as u64).for_each(|turn| assert_eq!(core.turn(50_000 + turn, 50_001 + turn, &[]), []));
        let told = core.turn(60_000, 61_500, &[60_000]);
        assert!(told[0].swap_ns.is_some() && told[0].turn.before == at(50_000 + 3 * TURNS as u64));
        // It came before the swap, and waited.
        core.turn(70_000, 70_100, &[70_000]);
        core.recorder.swapped(clock::ticks());
        assert_eq!(core.turn(71_000, 71_100, &[71_000]), []);
        assert_eq!(core.turn(71_200, 71_300, &[71_200]), []);
        assert!(core.turn(71_500, 72_000, &[70_950])[0].swap_ns.is_some());
    }

    #[test]
    fn a_bid_without_room_is_told_however_soon_and_what_finds_no_room_itself_is_counted() {
        use crate::wire::openrtb::nobid::NoBidReason;
        let mut core = Core::new(2);
        core.recorder.begin_turn();
        core.recorder.begin();
        core.recorder.ends(Ended::NoBid(NoBidReason::RingFull));
        core.recorder.end(None, 0, at(0), at(0), 0);
        let round = Round { from: at(0), woke: at(0), ended: at(20), kept_ns: 0, requests: 1, usual_ns: 9 };
        assert!(core.recorder.is_telling(0));
        core.recorder.end_turn(&round, 0, &core.witness);
        let told = core.heard.take().unwrap();
        assert_eq!((told.turn.refused, told.others), (1, 0));
        assert_eq!(core.turn(100, 2_000, &[100, 101, 102, 103]).len(), 2);
        assert_eq!(core.recorder.lost(), 2);
    }
}
