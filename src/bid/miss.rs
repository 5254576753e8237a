//! The miss: a user whom the shard does not know, where a store may. The request is kept and parked, the user is asked for by
//! ring, and the request is decided again, from the scan, once the profile is there or its time is up.
//!
//! A request waits once, and for no longer than its own deadline leaves. Where waiting is no use, it does not wait at all:
//! when the store is known not to answer, when as many wait as there is room for, when there is hardly time left. That costs a
//! comparison.

use crate::bid::{Ask, Pass};
use crate::config::OnMiss;
use crate::limits;
use crate::profile::fetched::{Asking, Miss};
use crate::ring::spsc::Sender;
use crate::units::{Nanos, Now, UserKey};

/// Names a parked request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// Where a core asks for users, and how long it waits for them.
#[derive(Debug)]
pub struct Source {
    /// To the stores thread.
    pub misses: Sender<Miss>,
    /// The longest wait, ns.
    pub budget_ns: u64,
    /// What is answered when it was in vain.
    pub on_miss: OnMiss,
}

/// The requests of a core that wait for a profile.
#[derive(Debug)]
pub struct Misses {
    source: Option<Source>,
    asking: Asking,
    waiting: Vec<Waiting>,
    /// Memory for what waits.
    spare: Vec<Vec<u8>>,
    serial: u64,
    /// Users were asked for, and the stores thread was not woken.
    unsaid: bool,
    unfetched: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    user: UserKey,
    /// It goes on without the profile then; [`Nanos::NEVER`] once it is to go on.
    until: Nanos,
    kept: Kept,
}

/// A request that was kept: what [`Ask`] borrows.
#[derive(Debug)]
pub struct Kept {
    arrived: Nanos,
    /// The compliance log wants to know how it ends.
    pub audited: bool,
    /// Where the exchange's path ends, and the body.
    ends: [usize; 2],
    /// The exchange's path, the body, then the note.
    bytes: Vec<u8>,
}

impl Kept {
    /// The request as it came.
    pub fn ask(&self) -> Ask<'_> {
        let [exchange, body] = self.ends;
        Ask { exchange: &self.bytes[..exchange], body: &self.bytes[exchange..body], arrived: self.arrived }
    }

    /// What [`Misses::note`] added.
    pub fn note(&self) -> &[u8] {
        &self.bytes[self.ends[1]..]
    }
}

/// How a request waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It is parked.
    Parked(Ticket),
    /// It is bid on without the profile.
    Contextual,
    /// It is not bid on.
    NoBid,
}

impl Misses {
    /// Takes all its memory, if there is a source; without one no user is missed.
    pub fn new(source: Option<Source>) -> Misses {
        let places = if source.is_some() { limits::PARKED_BIDS } else { 0 };
        let room = limits::PARKED_BYTES + limits::HEAD_BYTES;
        Misses {
            source,
            asking: Asking::default(),
            waiting: Vec::with_capacity(places),
            // What is not written to is not resident.
            spare: (0..places).map(|_| Vec::with_capacity(room)).collect(),
            serial: 0,
            unsaid: false,
            unfetched: 0,
        }
    }

    /// A request's user is not known.
    #[inline]
    pub fn missed(&mut self, now: Now, ask: Ask<'_>, user: UserKey, deadline: Nanos, pass: Pass) -> Missed {
        let missed = self.wait(now, ask, user, deadline, pass);
        self.unfetched +=
            u64::from(self.source.is_some() && pass == Pass::First && !matches!(missed, Missed::Parked(_)));
        missed
    }

    fn wait(&mut self, now: Now, ask: Ask<'_>, user: UserKey, deadline: Nanos, pass: Pass) -> Missed {
        let Some(source) = &mut self.source else { return Missed::Contextual };
        let otherwise = match source.on_miss {
            OnMiss::Contextual => Missed::Contextual,
            OnMiss::NoBid => Missed::NoBid,
        };
        if pass == Pass::Again || self.asking == Asking::Never {
            return otherwise;
        }
        let latest = Nanos(deadline.0.saturating_sub(limits::MISS_MARGIN_NS));
        let until = now.boot.after(source.budget_ns).min(latest);
        let fits = ask.exchange.len() + ask.body.len() <= limits::PARKED_BYTES;
        if until <= now.boot || !fits || self.spare.is_empty() {
            return otherwise;
        }
        // Who waits for this user already has asked.
        let asked = self.waiting.iter().any(|waiting| waiting.user == user && waiting.until != Nanos::NEVER);
        if !asked {
            if source.misses.offer(Miss { user, at: now.boot }).is_err() {
                return otherwise;
            }
            self.unsaid = true;
            if self.asking == Asking::Once {
                self.asking = Asking::Never;
            }
        }
        let mut bytes = self.spare.pop().expect("asked for above");
        bytes.extend_from_slice(ask.exchange);
        bytes.extend_from_slice(ask.body);
        self.serial += 1;
        let ticket = Ticket(self.serial);
        let ends = [ask.exchange.len(), bytes.len()];
        let kept = Kept { arrived: ask.arrived, audited: false, ends, bytes };
        self.waiting.push(Waiting { ticket, user, until, kept });
        Missed::Parked(ticket)
    }

    /// Asks for a user who is known again, if the store is known to answer. Nobody waits for it.
    pub fn refresh(&mut self, user: UserKey, now: Nanos) {
        if let Some(source) = &mut self.source
            && self.asking == Asking::Always
        {
            // In a full ring there is no place for who can wait.
            self.unsaid |= source.misses.offer(Miss { user, at: now }).is_ok();
        }
    }

    /// Keeps something of the request's head with it, of at most [`limits::HEAD_BYTES`].
    pub fn note(&mut self, ticket: Ticket, note: &[u8]) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.ticket == ticket) {
            waiting.kept.bytes.extend_from_slice(note);
        }
    }

    /// The compliance log wants to know how this one ends.
    pub(super) fn audit(&mut self, ticket: Ticket) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.ticket == ticket) {
            waiting.kept.audited = true;
        }
    }

    /// What may be asked for from now on.
    pub fn ask_for(&mut self, asking: Asking) {
        self.asking = asking;
    }

    /// A user was fetched: tells which requests go on; how many.
    pub fn fetched(&mut self, user: UserKey, mut each: impl FnMut(Ticket)) -> usize {
        self.go_on(|waiting| waiting.user == user, &mut each)
    }

    /// Tells which requests have waited for long enough; how many.
    pub fn expire(&mut self, now: Nanos, mut each: impl FnMut(Ticket)) -> usize {
        self.go_on(|waiting| waiting.until <= now, &mut each)
    }

    fn go_on(&mut self, which: impl Fn(&Waiting) -> bool, each: &mut impl FnMut(Ticket)) -> usize {
        let mut count = 0;
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.until != Nanos::NEVER) {
            if which(waiting) {
                waiting.until = Nanos::NEVER;
                each(waiting.ticket);
                count += 1;
            }
        }
        count
    }

    /// When the next one has waited for long enough.
    pub fn next_expiry(&self) -> Nanos {
        self.waiting.iter().map(|waiting| waiting.until).min().unwrap_or(Nanos::NEVER)
    }

    /// Takes a parked request out. Its memory comes back by [`Misses::give_back`].
    pub fn take(&mut self, ticket: Ticket) -> Option<Kept> {
        let at = self.waiting.iter().position(|waiting| waiting.ticket == ticket)?;
        Some(self.waiting.swap_remove(at).kept)
    }

    /// Gives the memory of a request back, and wipes it: it held a user's id.
    pub fn give_back(&mut self, kept: Kept) {
        let mut bytes = kept.bytes;
        zeroize::Zeroize::zeroize(bytes.as_mut_slice());
        bytes.clear();
        self.spare.push(bytes);
    }

    /// Whether the stores thread is to be woken; said once.
    pub fn take_unsaid(&mut self) -> bool {
        std::mem::take(&mut self.unsaid)
    }

    /// Whether [`Misses::take_unsaid`] has something to say.
    pub fn is_unsaid(&self) -> bool {
        self.unsaid
    }

    /// Requests whose user was not known and that did not wait.
    pub fn unfetched(&self) -> u64 {
        self.unfetched
    }

    /// Requests parked.
    pub fn parked(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::spsc::{Receiver, ring};

    const DEADLINE: Nanos = Nanos(8_000_000);

    fn now(us: u64) -> Now {
        Now { boot: Nanos(us * 1_000), ..Now::default() }
    }

    fn misses(places: usize, on_miss: OnMiss) -> (Misses, Receiver<Miss>) {
        let (sender, receiver) = ring(places);
        (Misses::new(Some(Source { misses: sender, budget_ns: 5_000_000, on_miss })), receiver)
    }

    fn ask(body: &[u8]) -> Ask<'_> {
        Ask { exchange: b"x", body, arrived: Nanos(0) }
    }

    fn miss(misses: &mut Misses, at: u64, user: u64) -> Missed {
        misses.missed(now(at), ask(b"body"), UserKey(user), DEADLINE, Pass::First)
    }

    fn ticket(missed: Missed) -> Ticket {
        let Missed::Parked(ticket) = missed else { panic!("{missed:?}") };
        ticket
    }

    #[test]
    fn a_user_is_asked_for_once_and_all_who_wait_go_on() {
        let (mut misses, mut asked) = misses(8, OnMiss::Contextual);
        let first = ticket(miss(&mut misses, 0, 1));
        let other = ticket(miss(&mut misses, 1, 2));
        let second = ticket(misses.missed(now(2), ask(b"more"), UserKey(1), DEADLINE, Pass::First));
        assert_eq!(
            [asked.take(), asked.take(), asked.take()].map(|miss| miss.map(|miss| miss.user.0)),
            [Some(1), Some(2), None]
        );
        assert!(misses.take_unsaid() && !misses.take_unsaid());
        let mut gone_on = Vec::new();
        assert_eq!(misses.fetched(UserKey(1), |ticket| gone_on.push(ticket)), 2);
        assert_eq!(misses.fetched(UserKey(1), |_| panic!("twice")), 0);
        assert_eq!(gone_on, [first, second]);
        // One that goes on is nobody to wait with.
        assert!(matches!(miss(&mut misses, 3, 1), Missed::Parked(_)) && asked.take().is_some());
        misses.note(second, b"2.6");
        let kept = misses.take(second).unwrap();
        assert_eq!((kept.ask().exchange, kept.ask().body, kept.note()), (&b"x"[..], &b"more"[..], &b"2.6"[..]));
        misses.give_back(kept);
        assert!(misses.take(second).is_none() && misses.take(other).is_some());
    }

    #[test]
    fn it_waits_for_the_sooner_of_budget_and_deadline() {
        let (mut misses, _asked) = misses(8, OnMiss::Contextual);
        let early = ticket(miss(&mut misses, 1_000, 1));
        let late = ticket(miss(&mut misses, 6_900, 2));
        assert_eq!(misses.next_expiry(), Nanos(6_000_000));
        assert_eq!(misses.expire(Nanos(5_999_999), |_| panic!("too soon")), 0);
        assert_eq!(misses.expire(Nanos(6_000_000), |ticket| assert_eq!(ticket, early)), 1);
        assert_eq!(misses.next_expiry(), Nanos(7_000_000));
        assert_eq!(misses.expire(Nanos(7_000_000), |ticket| assert_eq!(ticket, late)), 1);
        assert_eq!((misses.next_expiry(), misses.parked()), (Nanos::NEVER, 2));
    }

    #[test]
    fn where_waiting_is_no_use_nobody_waits() {
        for (on_miss, otherwise) in [(OnMiss::Contextual, Missed::Contextual), (OnMiss::NoBid, Missed::NoBid)] {
            let (mut misses, mut asked) = misses(2, on_miss);
            assert_eq!(misses.missed(now(0), ask(b""), UserKey(1), DEADLINE, Pass::Again), otherwise, "a second time");
            assert_eq!(miss(&mut misses, 7_000, 1), otherwise, "no time");
            let long = vec![0; limits::PARKED_BYTES];
            assert_eq!(misses.missed(now(0), ask(&long), UserKey(1), DEADLINE, Pass::First), otherwise, "too long");
            misses.ask_for(Asking::Never);
            assert_eq!(miss(&mut misses, 0, 1), otherwise, "the store is away");
            misses.ask_for(Asking::Once);
            let _ = ticket(miss(&mut misses, 0, 1));
            assert_eq!(miss(&mut misses, 0, 2), otherwise, "a second trial");
            misses.ask_for(Asking::Always);
            let _ = ticket(miss(&mut misses, 0, 2));
            assert_eq!(miss(&mut misses, 0, 3), otherwise, "a full ring");
            assert_eq!(misses.parked(), 2);
            while asked.take().is_some() {}
            // As many as there are places for.
            for _ in 2..limits::PARKED_BIDS {
                let _ = ticket(miss(&mut misses, 0, 2));
            }
            assert_eq!(miss(&mut misses, 0, 2), otherwise, "no place");
        }
        assert_eq!(Misses::new(None).missed(now(0), ask(b""), UserKey(1), DEADLINE, Pass::First), Missed::Contextual);
    }
}
