//! Who is to be read next when more is asked than can be answered: the intake of the bid cores against first in first out, last in first
//! out and CoDel, in virtual time, so that every run says the same: `cargo bench --profile quick --bench discipline` (decision 0027).
//!
//! One core. Two partners, one with half of what can be decided, and for a second ten times of all of it (three times where deciding is
//! cheap), the other with a tenth throughout. Each sends at random times, on whichever of its connections waits for no answer; what
//! finds none is not sent. The core gathers, reads at most what it can answer in a quarter of `limits::QUEUE_NS`, decides what is in time by the
//! earliest moment at which it may have come and by what answering has taken lately, sheds the rest, and submits.

use std::collections::VecDeque;

use corebid::bid::net::intake::Intake;
use corebid::bid::net::{Class, Conn};
use corebid::limits::{DEADLINE_NS, QUEUE_NS};
use corebid::units::Nanos;

const MS: u64 = Nanos::MS;
/// The surge.
const FROM: u64 = 500 * MS;
const TO: u64 = 1_500 * MS;
const END: u64 = 2_500 * MS;
/// Connections of the partner that does not surge.
const QUIET: usize = 50;

/// A connection that waits, and since when as far as is known.
type Waits = (u32, u64);

/// Who is next, and whether that one is shed whatever its age.
trait Discipline {
    fn push(&mut self, conn: u32, quiet: bool, since: u64);
    fn pop(&mut self, now: u64) -> Option<(Waits, bool)>;
    fn len(&self) -> usize;
}

struct Fifo(VecDeque<Waits>);

impl Discipline for Fifo {
    fn push(&mut self, conn: u32, _: bool, since: u64) {
        self.0.push_back((conn, since));
    }
    fn pop(&mut self, _: u64) -> Option<(Waits, bool)> {
        self.0.pop_front().map(|next| (next, false))
    }
    fn len(&self) -> usize {
        self.0.len()
    }
}

struct Lifo(Vec<Waits>);

impl Discipline for Lifo {
    fn push(&mut self, conn: u32, _: bool, since: u64) {
        self.0.push((conn, since));
    }
    fn pop(&mut self, _: u64) -> Option<(Waits, bool)> {
        self.0.pop().map(|next| (next, false))
    }
    fn len(&self) -> usize {
        self.0.len()
    }
}

/// CoDel (RFC 8289) with shedding for dropping, a target and an interval that suit a deadline of 8 ms.
struct CoDel {
    line: VecDeque<Waits>,
    above_until: Option<u64>,
    dropping: bool,
    drop_next: u64,
    count: u64,
}

impl CoDel {
    const TARGET: u64 = QUEUE_NS / 2;
    const INTERVAL: u64 = 20 * MS;

    fn step(&self) -> u64 {
        (Self::INTERVAL as f64 / (self.count.max(1) as f64).sqrt()) as u64
    }
}

impl Discipline for CoDel {
    fn push(&mut self, conn: u32, _: bool, since: u64) {
        self.line.push_back((conn, since));
    }
    fn pop(&mut self, now: u64) -> Option<(Waits, bool)> {
        let next = self.line.pop_front()?;
        let above = now.saturating_sub(next.1) >= Self::TARGET && !self.line.is_empty();
        if !above {
            (self.above_until, self.dropping) = (None, false);
            return Some((next, false));
        }
        let until = *self.above_until.get_or_insert(now + Self::INTERVAL);
        if !self.dropping && now >= until {
            self.dropping = true;
            self.count = if self.count > 2 { self.count - 2 } else { 1 };
            self.drop_next = now + self.step();
            return Some((next, true));
        }
        let shed = self.dropping && now >= self.drop_next;
        if shed {
            self.count += 1;
            self.drop_next += self.step();
        }
        Some((next, shed))
    }
    fn len(&self) -> usize {
        self.line.len()
    }
}

impl Discipline for Intake {
    fn push(&mut self, conn: u32, quiet: bool, since: u64) {
        Intake::push(self, Conn { index: conn, generation: 0 }, Class(2 + u16::from(quiet)), Nanos(since));
    }
    fn pop(&mut self, now: u64) -> Option<(Waits, bool)> {
        Intake::pop(self, Nanos(now)).map(|(conn, since)| ((conn.index, since.0), false))
    }
    fn len(&self) -> usize {
        Intake::len(self)
    }
}

/// The machine and what it is asked.
#[derive(Clone, Copy)]
struct Case {
    connections: usize,
    /// Receiving and sending, and deciding, ns.
    floor: u64,
    full: u64,
    surge: u64,
}

/// What came of it.
#[derive(Default)]
struct Outcome {
    /// Of the surging second: decided in time, and too late.
    in_time: u64,
    late: u64,
    shed: u64,
    /// Latencies of what was decided in time.
    latencies: Vec<u64>,
    quiet_sent: u64,
    quiet_in_time: u64,
    /// The longest that anybody waited for an answer.
    longest: u64,
    /// When the last request was sent that was not decided in time.
    lost_until: u64,
    /// Shed or late before the surge.
    before: u64,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn run(case: Case, discipline: &mut dyn Discipline, bounded: bool) -> Outcome {
    let Case { connections, floor, full, surge } = case;
    let capacity = Nanos::SECOND as f64 / (floor + full) as f64;
    let mut outcome = Outcome::default();
    let mut random = Random(88_172_645_463_325_252);
    let mut idle: [Vec<u32>; 2] =
        [(0..connections as u32).collect(), (connections as u32..(connections + QUIET) as u32).collect()];
    let mut sent_at = vec![0u64; connections + QUIET];
    let mut next = [1u64; 2];
    let mut readable: Vec<u32> = Vec::new();
    let (mut now, mut gathered) = (1u64, 0u64);
    let mut read_ns = floor + full;
    let mut service_ns = 0;
    let mut answers: Vec<(u32, bool, u64)> = Vec::new();
    loop {
        // What was sent until now, or until the core has something to do.
        loop {
            let partner = usize::from(next[1] < next[0]);
            let at = next[partner];
            let idles = readable.is_empty() && discipline.len() == 0;
            if at > END || (at > now && !idles) {
                break;
            }
            let share = match partner {
                1 => 0.1,
                _ if (FROM..TO).contains(&at) => surge as f64,
                _ => 0.5,
            };
            next[partner] = at + 1 + (-(1.0 - random.next()).ln() * Nanos::SECOND as f64 / (capacity * share)) as u64;
            if at > now {
                (now, gathered) = (at, at);
            }
            if !idle[partner].is_empty() {
                let which = (random.next() * idle[partner].len() as f64) as usize;
                let conn = idle[partner].swap_remove(which);
                sent_at[conn as usize] = at;
                readable.push(conn);
            }
        }
        if readable.is_empty() && discipline.len() == 0 {
            break;
        }
        for conn in readable.drain(..) {
            discipline.push(conn, conn as usize >= connections, gathered);
        }
        gathered = now;
        let began = now;
        let reads = if bounded { (QUEUE_NS / 4 / read_ns).clamp(1, 256) } else { 256 };
        for _ in 0..reads {
            let Some(((conn, since), shed)) = discipline.pop(now) else { break };
            now += floor;
            let (framed, decided) = (now, !shed && now + full.max(service_ns) < since + DEADLINE_NS);
            now += if decided { full } else { 0 };
            answers.push((conn, decided, framed));
        }
        let mean = answers.iter().map(|(.., framed)| now - framed).sum::<u64>() / answers.len().max(1) as u64;
        service_ns = (7 * service_ns + mean.min(QUEUE_NS)) / 8;
        read_ns = (7 * read_ns + (now - began) / answers.len().max(1) as u64) / 8;
        for (conn, decided, _) in answers.drain(..) {
            let (sent, quiet) = (sent_at[conn as usize], conn as usize >= connections);
            let took = now - sent;
            let in_time = decided && took < DEADLINE_NS;
            outcome.longest = outcome.longest.max(took);
            if !in_time {
                outcome.lost_until = outcome.lost_until.max(sent);
                outcome.before += u64::from(sent < FROM);
            }
            if (FROM..TO).contains(&sent) {
                outcome.in_time += u64::from(in_time);
                outcome.late += u64::from(decided && !in_time);
                outcome.shed += u64::from(!decided);
                outcome.quiet_sent += u64::from(quiet);
                outcome.quiet_in_time += u64::from(quiet && in_time);
                if in_time {
                    outcome.latencies.push(took);
                }
            }
            idle[usize::from(quiet)].push(conn);
        }
    }
    outcome
}

fn main() {
    for (floor, full, surge) in [(6_000, 144_000, 10), (6_000, 9_000, 3)] {
        let capacity = Nanos::SECOND / (floor + full);
        println!(
            "deciding takes {} us, the floor {} us; a surge of {surge} times {capacity} a second",
            full / 1000,
            floor / 1000
        );
        println!(
            "  {:>11}  {:<14} {:>8} {:>7} {:>7} {:>7} {:>9} {:>8} {:>11} {:>9}",
            "connections",
            "discipline",
            "in time",
            "late",
            "shed",
            "quiet",
            "median ms",
            "p99 ms",
            "longest ms",
            "over ms"
        );
        for connections in [64, 500, 2_000, 10_000] {
            let case = Case { connections, floor, full, surge };
            let mut disciplines: Vec<(&str, Box<dyn Discipline>, bool)> = vec![
                ("FIFO, 256", Box::new(Fifo(VecDeque::new())), false),
                ("FIFO", Box::new(Fifo(VecDeque::new())), true),
                ("LIFO", Box::new(Lifo(Vec::new())), true),
                (
                    "CoDel",
                    Box::new(CoDel {
                        line: VecDeque::new(),
                        above_until: None,
                        dropping: false,
                        drop_next: 0,
                        count: 0,
                    }),
                    true,
                ),
                ("intake", Box::new(Intake::new(connections + QUIET)), true),
            ];
            for (name, discipline, bounded) in &mut disciplines {
                let mut outcome = run(case, discipline.as_mut(), *bounded);
                outcome.latencies.sort_unstable();
                let at = |share: f64| {
                    let count = outcome.latencies.len();
                    outcome.latencies.get((count as f64 * share) as usize).map_or(f64::NAN, |&ns| ns as f64 / 1e6)
                };
                println!(
                    "  {connections:>11}  {name:<14} {:>7.1}% {:>6.1}% {:>7} {:>6.1}% {:>9.2} {:>8.2} {:>11.1} {:>9.1}{}",
                    100.0 * outcome.in_time as f64 / capacity as f64,
                    100.0 * outcome.late as f64 / capacity as f64,
                    outcome.shed,
                    100.0 * outcome.quiet_in_time as f64 / outcome.quiet_sent as f64,
                    at(0.5),
                    at(0.99),
                    outcome.longest as f64 / 1e6,
                    outcome.lost_until.saturating_sub(TO) as f64 / 1e6,
                    if outcome.before > 0 {
                        format!("  {} lost before the surge", outcome.before)
                    } else {
                        String::new()
                    },
                );
            }
        }
    }
}
