//! Writes the ledger: one commit after the other, and a new segment when the current one is long or of an earlier day.

use std::io;

use blake3::Hash;

use super::commit::{self, Header};
use super::disk::Disk;
use super::embedded::Position;
use super::journal::Batch;
use crate::units::{Day, UnixMillis};

/// One commit, and a new segment after it. Its steps are tried until each is on disk.
#[derive(Debug)]
pub struct Job {
    batch: Option<Batch>,
    opening: Option<Batch>,
    upto: u64,
}

impl Job {
    /// To write a batch, and then to start the next segment if there is an opening balance: of the books as they are
    /// after the batch ([`super::journal::Journal::opening`]), when the writer says that it
    /// [wants one](Writer::wants_segment).
    pub fn new(batch: Batch, opening: Option<Batch>) -> Self {
        Self { upto: batch.upto, batch: Some(batch), opening }
    }

    /// To start a segment: the first of all, or after one that is closed.
    pub fn start(opening: Batch) -> Self {
        Self { upto: opening.upto, batch: None, opening: Some(opening) }
    }

    /// Nothing is left to be written.
    pub fn is_done(&self) -> bool {
        self.batch.is_none() && self.opening.is_none()
    }

    /// After the first step these records are on disk ([`Batch::upto`]).
    pub fn upto(&self) -> u64 {
        self.upto
    }
}

/// The end of the ledger.
#[derive(Debug)]
pub struct Writer<D: Disk> {
    disk: D,
    segment_bytes: u64,
    position: Position,
    /// The day the segment is of.
    day: Day,
    /// Opened with the first commit, and again after a failure.
    file: Option<D::File>,
}

impl<D: Disk> Writer<D> {
    /// Goes on at `position`. A segment grows by `segment_bytes` or three times its opening balance, or until the UTC day
    /// ends, before the next one starts. Its day is that of its last record, which was made before `ids_from`
    /// ([`super::embedded::Embedded::ids_from`]), whenever this process began.
    pub fn new(disk: D, segment_bytes: u64, position: Position, ids_from: UnixMillis) -> Self {
        let day = UnixMillis(ids_from.0.saturating_sub(1)).day();
        Self { disk, segment_bytes, position, day, file: None }
    }

    /// What it writes to.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Where the next commit goes.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next batch shall be the last of its segment.
    pub fn wants_segment(&self, wall: UnixMillis) -> bool {
        let Position { offset, opening, .. } = self.position;
        offset - opening > self.segment_bytes.max(3 * opening) || wall.day() != self.day
    }

    /// Tries the next step of a job; on failure it stays to be done.
    ///
    /// # Errors
    /// Of the disk. Nothing has moved then: the next try writes the same blocks again from memory, to a file opened anew,
    /// and syncs them. None of them was acknowledged.
    pub async fn step(&mut self, job: &mut Job, wall: UnixMillis) -> io::Result<()> {
        if let Some(batch) = &job.batch {
            self.commit(batch, job.opening.is_some()).await?;
            job.batch = None;
        } else if let Some(opening) = &job.opening {
            // The old segment must not go on: the new one may be on disk, whatever an error says, and is read first.
            self.start_segment(opening).await?;
            self.day = wall.day();
            job.opening = None;
        }
        Ok(())
    }

    async fn commit(&mut self, batch: &Batch, closing: bool) -> io::Result<()> {
        assert!(!self.position.closed, "a commit to a segment that is closed");
        let Position { segment, offset, next, head, .. } = self.position;
        let file = match self.file.take() {
            Some(file) => file,
            None => self.disk.open(segment).await?,
        };
        let header = Header { segment, first: next, count: batch.count, opening: false, closing, previous: head };
        let (length, head) = write(&self.disk, &file, offset, &header, batch).await?;
        self.file = Some(file);
        self.position.offset += length;
        self.position.next += u64::from(batch.count);
        self.position.head = head;
        self.position.closed = closing;
        Ok(())
    }

    async fn start_segment(&mut self, opening: &Batch) -> io::Result<()> {
        let Position { segment, next, head, .. } = self.position;
        let segment = segment + 1;
        self.file = None;
        let file = self.disk.create(segment).await?;
        let count = opening.count;
        let header = Header { segment, first: next, count, opening: true, closing: false, previous: head };
        let (length, head) = write(&self.disk, &file, 0, &header, opening).await?;
        self.disk.sync_names().await?;
        self.file = Some(file);
        self.position = Position { segment, offset: length, opening: length, next, head, closed: false };
        Ok(())
    }
}

/// Writes a commit and syncs it. Returns its length and its hash.
async fn write<D: Disk>(
    disk: &D,
    file: &D::File,
    offset: u64,
    header: &Header,
    batch: &Batch,
) -> io::Result<(u64, Hash)> {
    let (length, mut hash) = (commit::padded(batch.bytes.len()), commit::NOTHING);
    disk.write(file, offset, length, |out| hash = commit::write(header, &batch.bytes, out)).await?;
    disk.sync(file).await?;
    Ok((length as u64, hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    /// A process that starts after midnight on the segment of a process that stopped before it, or on a clock that was set.
    #[test]
    fn a_segment_is_of_the_day_of_its_last_record() {
        let midnight = UnixMillis(20_000 * UnixMillis::DAY);
        let position = Position { segment: 1, closed: false, ..Position::START };
        let wants = |ids_from: u64, wall: u64| {
            let writer = Writer::new(Memory::default(), 1 << 20, position, UnixMillis(ids_from));
            writer.wants_segment(UnixMillis(wall))
        };
        assert!(!wants(midnight.0, midnight.0 - 1), "the last millisecond of the day");
        assert!(wants(midnight.0 - 600_000, midnight.0 + 600_000));
        assert!(!wants(midnight.0 + 1, midnight.0 + 600_000));
        assert!(wants(midnight.0 + 600_000, midnight.0 - 600_000));
    }
}
