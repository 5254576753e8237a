//! The authority's machine: the production state machine, its journal and its disk, and what waits for the disk.

#[cfg(feature = "stores")]
pub mod keyspace;
#[cfg(feature = "stores")]
pub mod shards;

use std::collections::VecDeque;

use super::check::{Checker, Fact};
use super::disk::Disk;
use super::time::{Clock, SECOND, Time};
use crate::authority::books::Books;
use crate::authority::message::Answer;
use crate::authority::{Authority, Budget};
use crate::reconcile::record::{Marks, Record};
use crate::store::journal::Journal;
use crate::units::{Epoch, UnixMillis};

use super::world::Letter;

/// Who keeps the accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Keeper {
    /// The state machine in Rust, over a ledger of its own: one for all campaigns
    #[default]
    Rust,
    /// The function library on Valkey: a shard for each advertiser, compared with the state machine at every answer
    #[cfg(feature = "stores")]
    Functions,
}

/// How much of its last writes an authority may lose when another copy takes over.
pub const LOST_MOST: Time = 10 * SECOND;

/// The machine that runs the authority.
#[derive(Debug)]
pub struct Guardian {
    /// `None` while it is down.
    pub machine: Option<Authority>,
    /// What it writes down.
    pub journal: Journal,
    /// Its clocks.
    pub clock: Clock,
    /// Its ledger.
    pub disk: Disk,
    /// Counts its crashes: what was planned for an earlier life does not happen.
    pub life: u32,
    /// It crashes during its next commit.
    pub doomed: bool,
    /// What it said, and how many records must be on disk before it leaves.
    pub outbox: VecDeque<(u64, usize, Letter)>,
    /// When its ledger had how many bytes, and how many of them were facts.
    marks: VecDeque<(Time, usize, usize)>,
    /// Bytes of the ledger the checkers know.
    told: usize,
    /// Books of the first so many bytes, so that a restart need not begin at the beginning.
    replayed: (usize, Books),
}

impl Guardian {
    /// One that never ran.
    pub fn new(clock: Clock) -> Guardian {
        Guardian {
            machine: None,
            journal: Journal::new(0, UnixMillis(0)),
            clock,
            disk: Disk::default(),
            life: 0,
            doomed: false,
            outbox: VecDeque::new(),
            marks: VecDeque::new(),
            told: 0,
            replayed: (0, Books::default()),
        }
    }

    /// Starts it over its ledger; in a new epoch if it may lack what was written last.
    pub fn start(&mut self, now: Time, checker: &mut Checker, lost_some: bool, budgets: &[Budget]) {
        let (offset, books) = &self.replayed;
        let (mut offset, mut books) =
            if *offset <= self.disk.synced().len() { (*offset, books.clone()) } else { (0, Books::default()) };
        let mut rest = &self.disk.synced()[offset..];
        while let Some((_, record)) = Record::decode(&mut rest) {
            books.apply(&record).expect("a ledger that its own records contradict");
        }
        offset = self.disk.synced().len() - rest.len();
        self.disk.truncate(offset);
        self.replayed = (offset, books.clone());
        self.tell(now, checker);
        let clock = self.clock.read(now);
        self.journal = Journal::new(0, UnixMillis(0));
        let mut authority = if lost_some {
            let epoch = Epoch(books.epoch().0 + 1);
            Authority::after_loss(books, epoch, clock, &mut self.journal)
        } else {
            Authority::new(books)
        };
        authority.fund(clock, &mut self.journal, budgets);
        self.machine = Some(authority);
    }

    /// Stops it; what was not synced is gone but for a prefix. Returns whether a commit was cut short.
    pub fn crash(&mut self, random: &mut crate::market::random::Random) -> bool {
        self.machine = None;
        self.life += 1;
        self.outbox.clear();
        self.doomed = false;
        self.disk.crash(random)
    }

    /// Another copy takes over, as it was some seconds ago. What is kept where acknowledged writes are not lost stays: the
    /// register of incarnations, and the epoch.
    pub fn fall_back(&mut self, now: Time, by: Time, checker: &mut Checker) -> usize {
        // Whole records only: the copy has what was replicated, not torn bytes.
        let mark = self.marks.iter().rev().find(|(at, ..)| *at + by <= now);
        let Some(&(_, length, facts)) = mark else { return 0 };
        let lost = self.disk.truncate(length);
        let (mut rest, mut kept, mut count) = (&lost[..], Vec::new(), 0);
        while let Some((id, record)) = Record::decode(&mut rest) {
            match record {
                Record::Registered { .. } | Record::Retired { .. } | Record::NewEpoch { .. } | Record::Began { .. } => {
                    record.encode(id, &mut kept);
                }
                _ => count += 1,
            }
        }
        self.disk.restore(&kept);
        checker.cut(now, facts);
        self.told = length;
        self.marks.retain(|(_, bytes, _)| *bytes <= length);
        self.tell(now, checker);
        count
    }

    /// Tells the checkers what is on disk and they do not know.
    pub fn tell(&mut self, now: Time, checker: &mut Checker) {
        let synced = self.disk.synced();
        let rest = tell_all(now, &synced[self.told.min(synced.len())..], checker);
        self.told = synced.len() - rest;
        self.marks.push_back((now, self.told, checker.journal.len()));
        while self.marks.get(1).is_some_and(|(at, ..)| *at + LOST_MOST < now) {
            self.marks.pop_front();
        }
    }
}

/// Tells the checkers what these records say; returns how many bytes at the end are no whole record.
fn tell_all(now: Time, bytes: &[u8], checker: &mut Checker) -> usize {
    let mut rest = bytes;
    while let Some((_, record)) = Record::decode(&mut rest) {
        if let Some(fact) = fact(&record) {
            checker.fact(now, fact);
        }
    }
    rest.len()
}

/// Whether everything an answer grants is on disk.
pub fn check_answer(now: Time, answer: &Answer, checker: &mut Checker) {
    for lease in &answer.leases {
        if let Some(id) = lease.lease {
            checker.told(now, id.0, lease.granted.0);
        }
    }
}

/// What a record says, in plain numbers; `None` if no account follows from it.
fn fact(record: &Record) -> Option<Fact> {
    Some(match *record {
        Record::Funded { campaign, advertiser, day, daily, total } => {
            Fact::Funded { campaign: campaign.0, advertiser: advertiser.0, day: day.0, daily: daily.0, total: total.0 }
        }
        Record::Granted { lease, campaign, incarnation, day, total } => Fact::Granted {
            lease: lease.0,
            campaign: campaign.0,
            incarnation: incarnation.0,
            day: day.0,
            total: total.0,
        },
        Record::Adopted { lease, campaign, incarnation, day, total } => Fact::Adopted {
            lease: lease.0,
            campaign: campaign.0,
            incarnation: incarnation.0,
            day: day.0,
            total: total.0,
        },
        Record::Renewed { incarnation, until } => Fact::Until { incarnation: incarnation.0, until: until.0 },
        Record::Booked { reservation, lease, campaign, amount, marks, .. } => Fact::Booked {
            reservation: reservation.0,
            lease: lease.0,
            campaign: campaign.0,
            amount: amount.0,
            counted: !marks.any(Marks::EXCESS),
            overdrawn: marks.any(Marks::OVERDRAWN),
        },
        Record::Released { lease, total } => Fact::Released { lease: lease.0, total: total.0 },
        Record::Closed { lease } => Fact::Closed { lease: lease.0 },
        _ => return None,
    })
}
