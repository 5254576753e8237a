//! One generator: a thread that spins between its schedule and its connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::tally::Tally;
use super::{Live, Options};
use crate::clock;
use crate::lab::pool::{Faults, Flight, Pool, Wait};
use crate::lab::requests::Requests;
use crate::lab::schedule::Schedule;
use crate::units::Nanos;

/// Requests sent before answers are looked at again.
const BURST: usize = 8;

/// How far a run has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Counting,
    Over,
}

/// A generator and all it has.
pub(super) struct Generator<'a> {
    schedule: Schedule,
    pool: Pool,
    requests: &'a Requests,
    /// How late a request may be sent, ns.
    patience: u64,
    saturate: bool,
    /// The next request when saturating.
    next: u64,
    /// What the connections suffered until counting began.
    before: Option<Faults>,
    phase: Phase,
    /// CPU time of this thread: when counting began, then until the schedule ended, ns.
    cpu: u64,
    live: Option<Arc<Live>>,
    tally: Tally,
}

impl<'a> Generator<'a> {
    pub(super) fn new(
        options: &Options,
        schedule: Schedule,
        pool: Pool,
        requests: &'a Requests,
        core: Option<usize>,
    ) -> Generator<'a> {
        Generator {
            pool,
            requests,
            patience: options.give_up_ms.map_or(u64::MAX, |ms| (ms * Nanos::MS as f64) as u64),
            saturate: options.saturate,
            next: schedule.index(),
            // Without a warm-up, what became of opening them is counted too.
            before: (schedule.counted_from == schedule.start).then(Faults::default),
            phase: Phase::WarmUp,
            cpu: 0,
            live: options.live.clone(),
            tally: Tally::new(&schedule, core, options.hdr.is_some(), options.live.clone()),
            schedule,
        }
    }

    /// Sends what is due until the end, waits for the last answers, and says what came.
    pub(super) fn run(mut self) -> io::Result<Tally> {
        let stopped = match self.saturate {
            true => self.keep_full()?,
            false => self.follow_schedule()?,
        };
        for flight in self.pool.flights() {
            self.tally.waiting(flight, stopped);
        }
        self.heed(stopped);
        // What fell due and found no connection has waited for one; what found one and was not sent is this generator's doing.
        let roomy = self.pool.has_room();
        while !self.saturate
            && let Some(due) = self.schedule.due()
        {
            self.tally.never_sent(due, stopped, roomy);
            self.schedule.pass();
        }
        let faults = self.pool.faults().since(self.before.unwrap_or_default());
        self.tally.ended(self.schedule.end, self.cpu, faults);
        Ok(self.tally)
    }

    /// Ends the schedule here if somebody wants it to; begins to count where the warm-up is over.
    #[inline]
    fn heed(&mut self, now: Nanos) {
        if self.phase == Phase::WarmUp && now >= self.schedule.counted_from {
            self.phase = Phase::Counting;
            self.cpu = clock::thread_cpu();
            self.before.get_or_insert(self.pool.faults());
        }
        if self.phase == Phase::Counting && now >= self.schedule.end {
            self.phase = Phase::Over;
            self.cpu = clock::thread_cpu() - self.cpu;
        }
        if let Some(live) = &self.live
            && live.stop.load(Ordering::Relaxed)
            && now < self.schedule.end
        {
            self.schedule.cut(now);
        }
    }

    #[inline]
    fn send(&mut self, index: u64, intended: Nanos, now: Nanos) {
        self.pool.send(Flight { tag: index, intended, sent: now }, self.requests.get(index));
        self.tally.sent += u64::from(intended >= self.schedule.counted_from);
        if let Some(live) = &self.live {
            live.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reads at most one connection, and says whether there was one to read.
    #[inline]
    fn read(&mut self) -> io::Result<bool> {
        let tally = &mut self.tally;
        self.pool.step(Wait::Spin, |flight, outcome, at| tally.take(flight, outcome, at))
    }

    /// Sends each request when it is due, and says when it ended.
    fn follow_schedule(&mut self) -> io::Result<Nanos> {
        let mut now = clock::boot();
        // When the generator could first have sent the next request: lag counts from there, or from when it was due. One that begins
        // late could have from the start.
        let mut roomy = self.pool.has_room().then_some(self.schedule.start);
        loop {
            let turn = now;
            let mut burst = 0;
            self.heed(now);
            while let Some(due) = self.schedule.due()
                && now.since(due) > self.patience
            {
                self.tally.unsent += u64::from(due >= self.schedule.counted_from);
                self.schedule.pass();
            }
            while let Some(due) = self.schedule.due()
                && due <= now
                && burst < BURST
                && self.schedule.sends(now)
            {
                let Some(since) = roomy else { break };
                self.send(self.schedule.index(), due, now);
                self.tally.lag(due, now.since(due.max(since)));
                burst += 1;
                self.schedule.pass();
                now = clock::boot();
                if !self.pool.has_room() {
                    roomy = None;
                }
            }
            let read = self.read()?;
            now = clock::boot();
            if roomy.is_none() && self.pool.has_room() {
                roomy = Some(now);
            }
            self.tally.turn(turn, now, burst > 0 || read);
            let nothing_to_come =
                self.pool.outstanding() == 0 && (self.schedule.due().is_none() || !self.schedule.sends(now));
            if (nothing_to_come && now >= self.schedule.end) || !self.schedule.waits(now) {
                return Ok(now);
            }
        }
    }

    /// Keeps every connection full, and says when it ended.
    fn keep_full(&mut self) -> io::Result<Nanos> {
        let mut now = clock::boot();
        loop {
            let turn = now;
            let mut burst = 0;
            self.heed(now);
            while now >= self.schedule.start && now < self.schedule.end && self.pool.has_room() && burst < 2 * BURST {
                self.send(self.next, now, now);
                self.next += 1;
                burst += 1;
                now = clock::boot();
            }
            let read = self.read()?;
            now = clock::boot();
            self.tally.turn(turn, now, burst > 0 || read);
            if (now >= self.schedule.end && self.pool.outstanding() == 0) || !self.schedule.waits(now) {
                return Ok(now);
            }
        }
    }
}
