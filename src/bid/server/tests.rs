//! The loop over sockets that are a script, in virtual time: exchanges that ask at any rate, and a service that takes as long as it is told.
//! What a request was answered, when, and how often is counted by the exchanges, who also know when they really sent it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::*;
use crate::bid::net::intake::Intake;
use crate::bid::net::{Gathered, Region};

/// Receiving and sending one request, ns.
const FLOOR_NS: u64 = 6_000;
/// Deciding one, ns.
const FULL_NS: u64 = 94_000;
/// Decisions in a second.
const CAPACITY: u64 = Nanos::SECOND / (FLOOR_NS + FULL_NS);

/// Who asks.
struct Partner {
    class: Class,
    connections: u32,
    /// Requests that it sends at once on a connection.
    pipeline: u32,
    /// Requests in a second, in each interval that begins at this time.
    rates: Vec<(u64, u64)>,
}

#[derive(Default)]
struct Peer {
    partner: usize,
    /// Requests sent and not read: their numbers and when they were sent.
    unread: VecDeque<(u64, u64)>,
    /// Requests sent and not answered.
    unanswered: VecDeque<u64>,
    accepted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Full,
    Shed,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    partner: usize,
    sent: u64,
    read: bool,
    answer: Option<(Answer, u64)>,
}

/// The exchanges and their clock.
struct World {
    now: u64,
    end: u64,
    partners: Vec<Partner>,
    next: Vec<u64>,
    /// Connections by partner that wait for no answer.
    idle: Vec<Vec<u32>>,
    peers: Vec<Peer>,
    asked: Vec<Asked>,
    unsent: u64,
    /// Connections that have become readable and are not gathered.
    readable: Vec<u32>,
    seed: u64,
}

impl World {
    fn new(partners: Vec<Partner>, end: u64) -> World {
        let mut world = World {
            now: 1,
            end,
            next: vec![1; partners.len()],
            idle: Vec::new(),
            peers: Vec::new(),
            asked: Vec::new(),
            unsent: 0,
            readable: Vec::new(),
            seed: 42,
            partners,
        };
        for (index, partner) in world.partners.iter().enumerate() {
            let first = world.peers.len() as u32;
            world.peers.extend((0..partner.connections).map(|_| Peer { partner: index, ..Peer::default() }));
            world.idle.push((first..first + partner.connections).collect());
        }
        world
    }

    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    /// Lets time pass; requests are sent meanwhile, as if at random, on whichever connection is free.
    fn pass(&mut self, until: u64) {
        while let Some(partner) = (0..self.partners.len()).min_by_key(|&partner| self.next[partner]) {
            let at = self.next[partner];
            if at > until.min(self.end) {
                break;
            }
            let of = &self.partners[partner];
            let rate = of.rates.iter().rev().find(|(from, _)| *from <= at).map_or(1, |(_, rate)| *rate);
            let (pipeline, mean) = (of.pipeline, Nanos::SECOND * u64::from(of.pipeline) / rate);
            self.next[partner] = at + 1 + self.random() % (2 * mean);
            let free = self.idle[partner].len() as u64;
            if free == 0 {
                self.unsent += u64::from(pipeline);
                continue;
            }
            let which = (self.random() % free) as usize;
            let index = self.idle[partner].swap_remove(which);
            for _ in 0..pipeline {
                let number = self.asked.len() as u64;
                self.asked.push(Asked { partner, sent: at, read: false, answer: None });
                let peer = &mut self.peers[index as usize];
                peer.unread.push_back((number, at));
                peer.unanswered.push_back(number);
            }
            self.readable.push(index);
        }
        self.now = self.now.max(until);
    }
}

/// The sockets: a socket is readable when something was sent on it, and read whole.
struct Scripted {
    world: Rc<RefCell<World>>,
    memory: Region,
    free: Vec<u16>,
    intake: Intake,
    classes: Vec<Class>,
    accepting: VecDeque<u32>,
    bound: usize,
    left: usize,
    gathered: u64,
    waiting_most: usize,
}

impl Scripted {
    fn new(world: &Rc<RefCell<World>>) -> Scripted {
        let connections = world.borrow().peers.len();
        Scripted {
            world: Rc::clone(world),
            memory: Region::map(limits::RECEIVE_BUFFERS, limits::RECEIVE_BUFFER).unwrap(),
            free: (0..limits::RECEIVE_BUFFERS as u16).collect(),
            intake: Intake::new(connections),
            classes: vec![Class::default(); connections],
            accepting: (0..connections as u32).collect(),
            bound: 1,
            left: 0,
            gathered: 0,
            waiting_most: 0,
        }
    }
}

fn conn(index: u32) -> Conn {
    Conn { index, generation: 0 }
}

impl Net for Scripted {
    fn wait(&mut self, _: Nanos, until: Nanos) -> io::Result<Gathered> {
        let mut world = self.world.borrow_mut();
        let now = world.now;
        world.pass(now);
        let slept = world.readable.is_empty() && self.intake.is_empty() && self.accepting.is_empty();
        if slept {
            let next = world.next.iter().min().copied().unwrap_or(u64::MAX).min(until.0).max(now);
            let end = world.end + 1;
            world.pass(next.min(end));
        }
        let since = if slept { world.now } else { self.gathered };
        for index in std::mem::take(&mut world.readable) {
            self.intake.push(conn(index), self.classes[index as usize], Nanos(since));
        }
        self.gathered = world.now;
        self.left = self.bound;
        self.waiting_most = self.waiting_most.max(self.intake.len());
        Ok(Gathered { at: Nanos(world.now), slept })
    }

    fn clock(&self) -> Nanos {
        Nanos(self.world.borrow().now)
    }

    fn bound(&mut self, reads: usize) {
        self.bound = reads;
    }

    fn served(&mut self, conn: Conn, class: Class, requests: u32) {
        self.intake.served(&mut self.classes[conn.index as usize], class, requests);
    }

    fn waiting(&self) -> usize {
        self.intake.len()
    }

    fn next(&mut self) -> Option<Happened> {
        if let Some(index) = self.accepting.pop_front() {
            self.world.borrow_mut().peers[index as usize].accepted = true;
            return Some(Happened::Accepted(conn(index)));
        }
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let world = &mut *self.world.borrow_mut();
        let (who, since) = self.intake.pop(Nanos(world.now))?;
        world.pass(world.now + FLOOR_NS / 2);
        let peer = &mut world.peers[who.index as usize];
        let path = match world.partners[peer.partner].class {
            Class(0) => "/other",
            Class(1) => "/notice",
            _ => "/bid",
        };
        let class = world.partners[peer.partner].class.0;
        let mut bytes = Vec::new();
        for (number, sent) in peer.unread.drain(..) {
            assert!(since.0 <= sent, "a request is taken for younger than it is");
            bytes.extend(format!("GET {path}/{class}/{number} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes());
            world.asked[number as usize].read = true;
        }
        let buffer = self.free.pop().expect("no more is read than there are buffers");
        // SAFETY: the buffer is nobody's, and longer than what is written.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.memory.start(buffer), bytes.len()) };
        Some(Happened::Received(who, Received { buffer, length: bytes.len() as u32, since }))
    }

    fn bytes(&self, received: &Received) -> &[u8] {
        // SAFETY: `next` has written so many bytes.
        unsafe { std::slice::from_raw_parts(self.memory.start(received.buffer), received.length as usize) }
    }

    fn recycle(&mut self, received: Received) {
        self.free.push(received.buffer);
    }

    unsafe fn send(&mut self, conn: Conn, bytes: *const [u8]) -> Option<usize> {
        // SAFETY: the caller vouches for the bytes.
        let bytes = unsafe { &*bytes };
        let world = &mut *self.world.borrow_mut();
        world.pass(world.now + FLOOR_NS / 2);
        for answer in std::str::from_utf8(bytes).unwrap().split("HTTP/1.1 ").skip(1) {
            let peer = &mut world.peers[conn.index as usize];
            let number = peer.unanswered.pop_front().expect("an answer to a request");
            let asked = &mut world.asked[number as usize];
            assert!(asked.answer.is_none(), "answered twice");
            let answer = if answer.starts_with("200") {
                assert!(answer.ends_with(&format!("\r\n\r\n{number}")), "another's answer: {answer}");
                Answer::Full
            } else {
                Answer::Shed
            };
            asked.answer = Some((answer, world.now));
            if peer.unanswered.is_empty() {
                world.idle[peer.partner].push(conn.index);
            }
        }
        Some(bytes.len())
    }

    fn pause(&mut self, _: Conn) {}
    fn resume(&mut self, _: Conn) {}
    fn shut(&mut self, _: Conn) {}
    fn abandon(&mut self, _: Conn) {}
    fn prefault(&mut self) {}
    fn close(&mut self, _: Conn) {}
    fn stop_accepting(&mut self) {}

    fn rearmed(&self) -> u64 {
        0
    }

    fn turned_away(&self) -> u64 {
        0
    }
}

/// Decides what is in time, and sheds what is not. Notices are never shed.
struct Slow {
    world: Rc<RefCell<World>>,
    class: Class,
    submitted: u64,
}

impl Service for Slow {
    fn request(
        &mut self,
        now: Now,
        arrived: Nanos,
        _: Token,
        request: &http::Request<'_>,
        response: &mut [u8],
    ) -> Served {
        let mut parts = std::str::from_utf8(request.path).unwrap().split('/').skip(1);
        let (kind, class, number) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        self.class = Class(class.parse().unwrap());
        let mut world = self.world.borrow_mut();
        assert!(world.now - now.boot.0 <= u64::from(limits::CLOCK_EVERY) * (FLOOR_NS + FULL_NS), "an old clock");
        if kind == "bid" && now.boot.after(FULL_NS).since(arrived) >= limits::DEADLINE_NS {
            return Served::Done(http::answer::no_content(response, request.persistence).unwrap());
        }
        let until = world.now + FULL_NS;
        world.pass(until);
        Served::Done(http::answer::text(response, request.persistence, number.as_bytes(), false).unwrap())
    }

    fn class(&self) -> Class {
        self.class
    }

    fn submitted(&mut self, _: Nanos) {
        self.submitted += 1;
    }

    fn turn(&mut self, _: Now, _: &Counters, _: &mut Vec<Token>) -> Turn {
        Turn::Continue
    }

    fn resume(&mut self, _: Now, _: Token, _: &mut [u8]) -> Served {
        unreachable!("nothing is parked")
    }

    fn forget(&mut self, _: Token) {}
    fn withdrawn(&mut self, _: Now) {}

    fn wake_at(&self, _: Now) -> Nanos {
        Nanos::NEVER
    }
}

/// What became of the requests of a partner that were sent in an interval.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    in_time: u64,
    late: u64,
    shed: u64,
    slowest_ns: u64,
}

/// Lets the partners ask until `end`, and all be answered. Their requests, by partner and by what `when` makes of the time they were sent.
fn run<K: Ord>(partners: Vec<Partner>, end: u64, when: impl Fn(u64) -> K) -> BTreeMap<(usize, K), Tally> {
    let world = Rc::new(RefCell::new(World::new(partners, end)));
    let service = Slow { world: Rc::clone(&world), class: Class::default(), submitted: 0 };
    let mut server = Server::new(Scripted::new(&world), service, &CoreNet::default()).unwrap();
    loop {
        assert!(server.turn().unwrap());
        let world = world.borrow();
        if world.now > end && world.peers.iter().all(|peer| peer.unanswered.is_empty()) {
            break;
        }
    }
    let counters = server.counters();
    assert_eq!(counters.requests, counters.answered);
    assert!(server.service().submitted > 0);
    let world = world.borrow();
    assert_eq!(counters.requests, world.asked.len() as u64);
    let mut tallies: BTreeMap<(usize, K), Tally> = BTreeMap::new();
    for asked in &world.asked {
        let (answer, at) = asked.answer.expect("what was read is answered");
        assert!(asked.read);
        let tally = tallies.entry((asked.partner, when(asked.sent))).or_default();
        tally.sent += 1;
        tally.slowest_ns = tally.slowest_ns.max(at - asked.sent);
        match answer {
            Answer::Shed => tally.shed += 1,
            Answer::Full if at - asked.sent < limits::DEADLINE_NS => tally.in_time += 1,
            Answer::Full => tally.late += 1,
        }
    }
    tallies
}

const SURGE: std::ops::Range<u64> = 400 * Nanos::MS..900 * Nanos::MS;
/// Until then the class of many connections is not known yet: they have asked nothing.
const KNOWN: u64 = 200 * Nanos::MS;

/// 0 before the surge, 1 while it lasts, 2 just after it, 3 then; 4 at the very beginning.
fn phase(sent: u64) -> u8 {
    match sent {
        _ if sent < KNOWN => 4,
        _ if sent < SURGE.start => 0,
        _ if SURGE.contains(&sent) => 1,
        _ if sent < SURGE.end + 300 * Nanos::MS => 2,
        _ => 3,
    }
}

/// Half of what can be decided, but during the surge ten times of what can.
fn surging(class: u16, connections: u32, pipeline: u32) -> Partner {
    let rates = vec![(0, CAPACITY / 2), (SURGE.start, 10 * CAPACITY), (SURGE.end, CAPACITY / 2)];
    Partner { class: Class(class), connections, pipeline, rates }
}

fn steady(class: u16, connections: u32, rate: u64) -> Partner {
    Partner { class: Class(class), connections, pipeline: 1, rates: vec![(0, rate)] }
}

#[test]
fn below_capacity_nothing_is_shed() {
    for connections in [8, 64, 2000] {
        let partners = vec![steady(2, connections, CAPACITY * 6 / 10), steady(3, connections, CAPACITY * 3 / 10)];
        for ((partner, ()), tally) in run(partners, Nanos::SECOND, |_| ()) {
            assert!(tally.shed == 0 && tally.late == 0, "{connections} connections, partner {partner}: {tally:?}");
        }
    }
}

#[test]
fn in_a_surge_the_core_decides_as_many_in_time_as_it_can_and_recovers_when_it_is_over() {
    for (connections, pipeline) in [(64, 1), (500, 1), (2000, 1), (100, 20)] {
        let tallies = run(vec![surging(2, connections, pipeline)], 1_400 * Nanos::MS, phase);
        let most = CAPACITY * (SURGE.end - SURGE.start) / Nanos::SECOND;
        let surge = &tallies[&(0, 1)];
        assert!(
            surge.in_time * 100 >= most * 88,
            "{connections} connections, {pipeline} at once: {} of {most} in time; {surge:?}",
            surge.in_time
        );
        let after = &tallies[&(0, 3)];
        assert!(after.shed == 0 && after.late == 0, "{connections} connections: {after:?}");
    }
}

#[test]
fn a_partner_that_does_not_surge_keeps_its_share_and_notices_go_through() {
    for (connections, pipeline) in [(2000, 1), (200, 20)] {
        let partners =
            vec![surging(2, connections, pipeline), steady(3, 50, CAPACITY * 3 / 10), steady(1, 20, CAPACITY / 50)];
        let tallies = run(partners, 1_100 * Nanos::MS, phase);
        for (who, partner) in [("the quiet partner", 1), ("notices", 2)] {
            for phase in 0..=2 {
                let tally = &tallies[&(partner, phase)];
                // A surge that comes twenty at once, on connections whose partner nobody knows yet, may cost others one. A notice
                // waits then, for less than anybody minds, and is not shed.
                let lost = tally.shed + tally.late;
                let few = lost * 100 <= tally.sent.max(100) && pipeline > 1;
                let safe = partner == 1 || (tally.shed == 0 && tally.slowest_ns < Nanos::SECOND);
                assert!((lost == 0 || few) && safe, "{who}, phase {phase}, {pipeline} at once: {tally:?}");
            }
        }
        assert!(tallies[&(0, 1)].shed > 0);
    }
}
