//! A disk in memory that does what disks are allowed to do: what was not synced is lost at a crash, block by block, or torn;
//! a sync that fails forgets what it should have written, and the next one succeeds. Its log tells the order of things.
//!
//! For tests and simulations: nothing waits, so [`ready`] drives a [`super::writer::Writer`] without an executor.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::commit::BLOCK;
use super::disk::Disk;
use super::embedded::{End, Fault as Broken};
use crate::authority::books::Inconsistent;
use crate::reconcile::record::Record;

/// What happened, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A segment was made.
    Create(u32),
    /// Bytes were written; not yet on disk.
    Write {
        /// The segment.
        segment: u32,
        /// Where.
        offset: u64,
        /// How many.
        length: usize,
    },
    /// All that was written to a segment is on disk.
    Sync(u32),
    /// All names are on disk.
    SyncNames,
    /// An operation failed.
    Failed(Fault),
    /// Something that the owner of the disk wants to see among these ([`Memory::mark`]).
    Mark(u64),
}

/// What the next operations are to suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write finds the disk full, after some of its blocks.
    Full,
    /// A sync fails (EIO). What it should have written is gone, though reads would still show it.
    Sync,
    /// A sync does not come back: the power fails. [`Memory::crash`] follows.
    Power,
}

#[derive(Clone, Debug, Default)]
struct Image {
    /// On disk.
    synced: Vec<u8>,
    /// Written since, in order.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Its name is on disk.
    named: bool,
}

impl Image {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        self.synced.resize(self.synced.len().max(end), 0);
        self.synced[at..end].copy_from_slice(bytes);
    }

    /// Each block that was not synced comes through, or not, or torn.
    fn lose(&mut self, random: &mut impl FnMut(u64) -> u64) {
        for (at, bytes) in std::mem::take(&mut self.unsynced) {
            for (index, block) in bytes.chunks(BLOCK).enumerate() {
                let at = at + index * BLOCK;
                match random(4) {
                    0 => {}
                    1 => self.put(at, &block[..random(block.len() as u64 + 1) as usize]),
                    2 => self.put(at, &block.iter().map(|byte| byte ^ random(256) as u8).collect::<Vec<_>>()),
                    _ => self.put(at, block),
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    segments: BTreeMap<u32, Image>,
    faults: VecDeque<Fault>,
    log: Vec<Operation>,
}

impl State {
    fn fails(&mut self, fault: Fault) -> bool {
        let fails = self.faults.front() == Some(&fault);
        if fails {
            self.faults.pop_front();
            self.log.push(Operation::Failed(fault));
        }
        fails
    }
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Memory(Rc<RefCell<State>>);

impl Memory {
    /// The operation that a fault is about fails the next time, one fault after the other.
    pub fn fail(&self, fault: Fault) {
        self.0.borrow_mut().faults.push_back(fault);
    }

    /// Puts something into the log: an acknowledgement, say.
    pub fn mark(&self, mark: u64) {
        self.0.borrow_mut().log.push(Operation::Mark(mark));
    }

    /// What happened since this was asked last.
    pub fn take_log(&self) -> Vec<Operation> {
        std::mem::take(&mut self.0.borrow_mut().log)
    }

    /// The power fails: of what was not synced, `random` (below its argument, evenly) decides. Files whose names were not
    /// synced may be gone.
    pub fn crash(&self, mut random: impl FnMut(u64) -> u64) {
        let state = &mut *self.0.borrow_mut();
        state.faults.clear();
        state.segments.retain(|_, image| image.named || random(2) == 0);
        for image in state.segments.values_mut() {
            image.named = true;
            image.lose(&mut random);
        }
    }

    /// The segments as the disk has them, without what was not synced.
    pub fn segments(&self) -> Vec<(u32, Vec<u8>)> {
        self.0.borrow().segments.iter().map(|(segment, image)| (*segment, image.synced.clone())).collect()
    }

    /// Replays what is there and cuts the torn commit off, as a start does.
    ///
    /// # Errors
    /// As [`End::find`].
    pub fn resume(&self, apply: impl FnMut(&Record) -> Result<(), Inconsistent>) -> Result<End, (u32, Broken)> {
        let state = &mut *self.0.borrow_mut();
        let numbers = state.segments.keys().copied().collect();
        let end = End::find(numbers, |segment| Ok(state.segments[&segment].synced.clone()), apply)?;
        if let Some(image) = state.segments.get_mut(&end.position.segment) {
            image.synced.resize(end.position.offset as usize, 0);
        }
        Ok(end)
    }
}

impl Disk for Memory {
    type File = u32;

    async fn open(&self, segment: u32) -> io::Result<u32> {
        match self.0.borrow().segments.contains_key(&segment) {
            true => Ok(segment),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    async fn create(&self, segment: u32) -> io::Result<u32> {
        let state = &mut *self.0.borrow_mut();
        state.segments.insert(segment, Image::default());
        state.log.push(Operation::Create(segment));
        Ok(segment)
    }

    async fn write(&self, file: &u32, offset: u64, length: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        let mut bytes = vec![0; length];
        fill(&mut bytes);
        let full = state.fails(Fault::Full);
        if full {
            bytes.truncate(length / BLOCK / 2 * BLOCK);
        }
        let image = state.segments.get_mut(file).ok_or(io::ErrorKind::NotFound)?;
        image.unsynced.push((offset as usize, bytes));
        if full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.log.push(Operation::Write { segment: *file, offset, length });
        Ok(())
    }

    async fn sync(&self, file: &u32) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        if state.fails(Fault::Power) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let failed = state.fails(Fault::Sync);
        let image = state.segments.get_mut(file).ok_or(io::ErrorKind::NotFound)?;
        let unsynced = std::mem::take(&mut image.unsynced);
        if failed {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        unsynced.iter().for_each(|(at, bytes)| image.put(*at, bytes));
        state.log.push(Operation::Sync(*file));
        Ok(())
    }

    async fn sync_names(&self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.segments.values_mut().for_each(|image| image.named = true);
        state.log.push(Operation::SyncNames);
        Ok(())
    }
}

/// What a future that waits for nothing comes to.
///
/// # Panics
/// If it does wait.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a future that waits"),
    }
}
