//! What a state machine writes down, and how far that is on disk.

use crate::reconcile::record::Record;
use crate::units::{Nanos, Now, UnixMillis};

/// Records to be written as one commit.
#[derive(Debug)]
pub struct Batch {
    /// Encoded records.
    pub bytes: Vec<u8>,
    /// How many.
    pub count: u32,
    /// To be given to [`Journal::durable`] when they are on disk.
    pub upto: u64,
}

/// Records on their way to the disk.
#[derive(Debug)]
pub struct Journal {
    pending: Vec<u8>,
    pending_count: u32,
    pending_since: Option<Nanos>,
    in_flight_since: Option<Nanos>,
    appended: u64,
    durable: u64,
}

impl Journal {
    /// Nothing appended yet.
    pub fn new(_worker: u16, _not_before: UnixMillis) -> Self {
        Self {
            pending: Vec::new(),
            pending_count: 0,
            pending_since: None,
            in_flight_since: None,
            appended: 0,
            durable: 0,
        }
    }

    /// Queues a record for the disk.
    pub fn append(&mut self, now: Now, record: &Record) {
        record.encode(&mut self.pending);
        self.pending_count += 1;
        self.appended += 1;
        self.pending_since.get_or_insert(now.boot);
    }

    /// Takes the records to be written next, if there are any. One commit is under way at a time.
    pub fn take(&mut self) -> Option<Batch> {
        if self.pending.is_empty() {
            return None;
        }
        self.in_flight_since = self.pending_since.take();
        let bytes = std::mem::take(&mut self.pending);
        Some(Batch { bytes, count: std::mem::take(&mut self.pending_count), upto: self.appended })
    }

    /// All records up to [`Batch::upto`] are on disk.
    ///
    /// # Panics
    /// If that many were never appended.
    pub fn durable(&mut self, upto: u64) {
        assert!(upto <= self.appended, "records on disk that were never written");
        self.durable = self.durable.max(upto);
        self.in_flight_since = None;
    }

    /// How many records were appended.
    pub fn appended(&self) -> u64 {
        self.appended
    }

    /// How many of them are on disk.
    pub fn synced(&self) -> u64 {
        self.durable
    }

    /// All that was appended is on disk.
    pub fn is_durable(&self) -> bool {
        self.durable == self.appended
    }

    /// Age of the oldest record that is not on disk, ns.
    pub fn unsynced(&self, now: Nanos) -> u64 {
        self.in_flight_since.or(self.pending_since).map_or(0, |since| now.since(since))
    }
}
