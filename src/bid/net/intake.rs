//! Connections that have something to be read and wait for it: who is next, when there is more than can be answered in time?
//!
//! ```text
//!   class          oldest ───────────────► newest
//!   not known yet  ·
//!   notices        ·  ·
//!   exchange A     ·  ·  ·  ·  ·  ·  ·  ·  ·  ·  ·  ·        a surge: waits in its own line
//!   exchange B     ·                                         goes on as if there were none
//! ```
//!
//! Classes take turns by deficit round robin: each gets the same share of the requests answered, as long as it has any, and what it
//! does not use the others have. Within a class the oldest is next while it waits for less than [`PATIENCE_NS`]. Beyond that the
//! line is longer than can be served in time, and whoever serves it in order serves everybody late; so the newest is next, and one in
//! [`OLDEST_EVERY`] is the oldest, who is answered too: that it is too late (docs/decisions/0027-the-queue.md).
//!
//! Every operation takes the same time however many wait, and no memory.

use std::collections::VecDeque;

use super::{Class, Conn};
use crate::limits;
use crate::units::Nanos;

/// How long the oldest of a class may wait before the newest is preferred, ns: until a turn, and a millisecond for what else may come,
/// are left of its deadline.
pub const PATIENCE_NS: u64 = limits::DEADLINE_NS - limits::QUEUE_NS / 2 - Nanos::MS;
/// While the newest are preferred, one in so many is the oldest: a shed answer costs a twentieth of a full one or less.
pub const OLDEST_EVERY: u32 = 16;
/// The most that a class may owe the others, requests.
const DEBT: i32 = 64;
/// No connection.
const NONE: u32 = u32::MAX;

/// Those who wait, by class.
#[derive(Debug)]
pub struct Intake {
    lines: Box<[Line]>,
    /// By the connection's place.
    places: Vec<Place>,
    /// Classes that have somebody waiting; the first is next.
    round: VecDeque<u16>,
    waiting: usize,
}

/// The line of a class: its ends, as places.
#[derive(Clone, Copy, Debug)]
struct Line {
    oldest: u32,
    newest: u32,
    /// Requests it may have answered before the next class; less than none if one connection brought several.
    credit: i32,
    /// How often the newest could have been preferred.
    picks: u32,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    generation: u32,
    waits: bool,
    class: Class,
    since: Nanos,
    older: u32,
    newer: u32,
}

impl Intake {
    /// Memory of one connection, bytes.
    pub const PLACE_BYTES: usize = size_of::<Place>();

    /// For at most `connections`, of whom nobody waits. What was never written to is not resident.
    pub fn new(connections: usize) -> Intake {
        let line = Line { oldest: NONE, newest: NONE, credit: 0, picks: 0 };
        Intake {
            lines: vec![line; Class::COUNT].into(),
            places: Vec::with_capacity(connections),
            round: VecDeque::with_capacity(Class::COUNT),
            waiting: 0,
        }
    }

    /// How many wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Makes sure that a connection has a place.
    fn admit(&mut self, conn: Conn) {
        let count = conn.index as usize + 1;
        if self.places.len() < count {
            let vacant = Place {
                generation: 0,
                waits: false,
                class: Class::default(),
                since: Nanos(0),
                older: NONE,
                newer: NONE,
            };
            self.places.resize(count, vacant);
        }
    }

    /// Whether a connection waits.
    #[inline]
    pub fn holds(&self, conn: Conn) -> bool {
        self.places.get(conn.index as usize).is_some_and(|place| place.waits && place.generation == conn.generation)
    }

    /// A connection has something to be read, which may have been there since `since`. One that comes back with what is older than
    /// the newest of its line stands at the old end. Who waits already goes on waiting where it is.
    pub fn push(&mut self, conn: Conn, class: Class, since: Nanos) {
        if self.holds(conn) {
            return;
        }
        self.admit(conn);
        let Line { oldest, newest, .. } = self.lines[class.index()];
        let at_old_end = newest != NONE && since < self.places[newest as usize].since;
        let (older, newer) = if at_old_end { (NONE, oldest) } else { (newest, NONE) };
        self.places[conn.index as usize] =
            Place { generation: conn.generation, waits: true, class, since, older, newer };
        if newest == NONE {
            self.round.push_back(class.0);
        }
        self.link(class, older, newer, conn.index, conn.index);
        self.waiting += 1;
    }

    /// Who is read next, and since when it may wait.
    pub fn pop(&mut self, now: Nanos) -> Option<(Conn, Nanos)> {
        let class = self.next_class()?;
        let line = &mut self.lines[class.index()];
        let mut next = line.oldest;
        if now.since(self.places[next as usize].since) >= PATIENCE_NS {
            line.picks = line.picks.wrapping_add(1);
            if !line.picks.is_multiple_of(OLDEST_EVERY) {
                next = line.newest;
            }
        }
        line.credit -= 1;
        if line.credit <= 0 {
            self.round.rotate_left(1);
        }
        let Place { generation, since, .. } = self.places[next as usize];
        self.unlink(next);
        Some((Conn { index: next, generation }, since))
    }

    /// A connection is gone, or is not to be read for now. Since when it waited, if it did.
    pub fn remove(&mut self, conn: Conn) -> Option<Nanos> {
        self.holds(conn).then(|| {
            self.unlink(conn.index);
            self.places[conn.index as usize].since
        })
    }

    /// So many requests were read from a connection that was taken for one of the class `of`, and it is known now whose it is. It had
    /// its turn as what it was taken for.
    #[inline]
    pub fn served(&mut self, of: &mut Class, class: Class, requests: u32) {
        let charged = std::mem::replace(of, class);
        if !self.is_empty() {
            self.charge(charged, requests.saturating_sub(1));
        }
    }

    /// What was read from a connection of this class were so many requests more than one: its line waits for as many turns of the others.
    #[inline]
    pub fn charge(&mut self, class: Class, requests: u32) {
        let line = &mut self.lines[class.index()];
        line.credit = line.credit.saturating_sub_unsigned(requests).max(-DEBT);
    }

    /// The class whose turn it is.
    fn next_class(&mut self) -> Option<Class> {
        loop {
            let class = Class(*self.round.front()?);
            let line = &mut self.lines[class.index()];
            // Alone, it owes nobody.
            if self.round.len() == 1 {
                line.credit = line.credit.max(1);
            }
            if line.credit <= 0 {
                line.credit += 1;
            }
            if line.credit > 0 {
                return Some(class);
            }
            self.round.rotate_left(1);
        }
    }

    fn unlink(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        place.waits = false;
        let Place { class, older, newer, .. } = *place;
        self.link(class, older, newer, newer, older);
        self.waiting -= 1;
        let line = &mut self.lines[class.index()];
        if line.newest == NONE {
            // What it saved up is lost; what it owes it goes on owing.
            line.credit = line.credit.min(0);
            self.round.retain(|waiting| *waiting != class.0);
        }
    }

    /// Makes `above` the one after `older`, and `below` the one before `newer`.
    fn link(&mut self, class: Class, older: u32, newer: u32, above: u32, below: u32) {
        match older {
            NONE => self.lines[class.index()].oldest = above,
            older => self.places[older as usize].newer = above,
        }
        match newer {
            NONE => self.lines[class.index()].newest = below,
            newer => self.places[newer as usize].older = below,
        }
    }
}
