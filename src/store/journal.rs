//! What a state machine says to the ledger, in order, and how much of it is on disk. No I/O: a [`super::writer::Writer`]
//! takes the batches.

use std::mem;

use crate::ids::Snowflake;
use crate::reconcile::record::{Record, RecordId};
use crate::units::{Nanos, Now, UnixMillis};

/// Records to be written as one commit.
#[derive(Debug, Default)]
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
    ids: Snowflake,
    bytes: Vec<u8>,
    count: u32,
    /// When the oldest record that was not taken was appended.
    since: Option<Nanos>,
    /// When the oldest record of the batch under way was appended.
    in_flight: Option<Nanos>,
    appended: u64,
    durable: u64,
}

impl Journal {
    /// Record ids of `worker`, which nobody else uses, from `not_before` on: past the last id of the ledger that is
    /// gone on with ([`super::embedded::Embedded::ids_from`]), so that ids grow whatever the clock does.
    ///
    /// # Panics
    /// If `worker` is no Snowflake worker.
    pub fn new(worker: u16, not_before: UnixMillis) -> Self {
        let ids = Snowflake::new(worker, not_before);
        Self { ids, bytes: Vec::new(), count: 0, since: None, in_flight: None, appended: 0, durable: 0 }
    }

    /// Adds a record, to be written with the next batch.
    pub fn append(&mut self, now: Now, record: &Record) -> RecordId {
        let id = RecordId(self.ids.following(now.wall).0);
        record.encode(id, &mut self.bytes);
        self.count += 1;
        self.appended += 1;
        self.since.get_or_insert(now.boot);
        id
    }

    /// Takes what is to be written next, if there is anything. One batch is under way at a time.
    pub fn take(&mut self) -> Option<Batch> {
        if self.count == 0 {
            return None;
        }
        self.in_flight = self.since.take();
        Some(Batch { bytes: mem::take(&mut self.bytes), count: mem::take(&mut self.count), upto: self.appended })
    }

    /// The opening balance of the segment that follows the batch just taken. Its records have ids between those of that
    /// batch and those that come; nothing waits for them.
    ///
    /// # Panics
    /// If records were appended since: they would have to stand before the balance and after it.
    pub fn opening(&mut self, now: Now, balance: impl IntoIterator<Item = Record>) -> Batch {
        assert_eq!(self.count, 0, "an opening balance follows a whole batch");
        let mut opening = Batch { upto: self.appended, ..Batch::default() };
        for record in balance {
            record.encode(RecordId(self.ids.following(now.wall).0), &mut opening.bytes);
            opening.count += 1;
        }
        opening
    }

    /// All records up to [`Batch::upto`] are on disk.
    ///
    /// # Panics
    /// If they were never appended.
    pub fn durable(&mut self, upto: u64) {
        assert!(upto <= self.appended, "records on disk that were never written");
        self.durable = self.durable.max(upto);
        self.in_flight = None;
    }

    /// How many records were appended: what is said now may leave when [`Journal::synced`] has come to this.
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
        self.in_flight.or(self.since).map_or(0, |since| now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::LeaseId;

    const CLOSED: Record = Record::Closed { lease: LeaseId(1) };

    fn ids(batch: &Batch) -> Vec<RecordId> {
        let mut bytes = &batch.bytes[..];
        std::iter::from_fn(|| Record::decode(&mut bytes)).map(|(id, _)| id).collect()
    }

    #[test]
    fn ids_grow_over_batches_and_balances_on_a_clock_that_steps_back() {
        let at = |seconds: u64| Now { boot: Nanos(0), wall: UnixMillis(1_800_000_000_000 + 1000 * seconds) };
        let mut journal = Journal::new(9, at(10).wall);
        let mut all = Vec::new();
        for seconds in [20, 5, 4, 30] {
            (0..5000).for_each(|_| assert!(journal.append(at(seconds), &CLOSED) > RecordId(0)));
            let batch = journal.take().unwrap();
            all.extend(ids(&batch));
            all.extend(ids(&journal.opening(at(seconds), [CLOSED; 3])));
            journal.durable(batch.upto);
        }
        assert_eq!(all.len(), 4 * 5003);
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_record_is_durable_when_its_batch_is() {
        let at = |ns: u64| Now { boot: Nanos(ns), wall: UnixMillis(1_800_000_000_000) };
        let mut journal = Journal::new(0, UnixMillis(0));
        assert!(journal.is_durable() && journal.take().is_none());
        journal.append(at(10), &CLOSED);
        let batch = journal.take().unwrap();
        journal.append(at(20), &CLOSED);
        assert_eq!((batch.count, batch.upto, journal.unsynced(Nanos(30))), (1, 1, 20));
        journal.durable(batch.upto);
        assert_eq!((journal.is_durable(), journal.synced(), journal.unsynced(Nanos(30))), (false, 1, 10));
        let batch = journal.take().unwrap();
        journal.durable(batch.upto);
        assert_eq!((journal.is_durable(), journal.appended(), journal.unsynced(Nanos(30))), (true, 2, 0));
    }
}
