//! Answer buffers: the last one given back is the next one taken, so that few of them are in the cache.

use std::io;

use super::patience::Waits;
use crate::bid::net::{Conn, Region};
use crate::limits;
use crate::units::Nanos;

/// The answer buffers of a core.
pub(super) struct Answers {
    memory: Region,
    free: Vec<u16>,
    /// Whose answers the kernel has and has not taken: their peers do not read.
    unread: Waits,
}

/// A buffer taken out of [`Answers`]; given back once.
#[derive(Debug)]
#[must_use = "a buffer that is not given back is lost"]
pub(super) struct Buffer(u16);

impl Answers {
    pub(super) fn map() -> io::Result<Answers> {
        let memory = Region::map(limits::ANSWER_BUFFERS, limits::ANSWER_BUFFER)?;
        let free = (0..limits::ANSWER_BUFFERS as u16).rev().collect();
        Ok(Answers { memory, free, unread: Waits::new(limits::ANSWER_BUFFERS) })
    }

    /// The kernel has the answers of a connection, from now on.
    #[inline]
    pub(super) fn submitted(&mut self, buffer: &Buffer, conn: Conn, now: Nanos) {
        self.unread.begin(buffer.0, conn, now);
    }

    /// The kernel has taken them, or the connection is gone.
    #[inline]
    pub(super) fn taken(&mut self, buffer: &Buffer) {
        self.unread.end(buffer.0);
    }

    /// Whose answers the kernel could not take for how long.
    pub(super) fn unread(&self) -> &Waits {
        &self.unread
    }

    /// Touches all of them.
    pub(super) fn prefault(&mut self) {
        self.memory.prefault();
    }

    #[inline]
    pub(super) fn any_free(&self) -> bool {
        !self.free.is_empty()
    }

    #[inline]
    pub(super) fn take(&mut self) -> Option<Buffer> {
        self.free.pop().map(Buffer)
    }

    #[inline]
    pub(super) fn give_back(&mut self, buffer: Buffer) {
        self.free.push(buffer.0);
    }

    /// The buffer from `from` on, to be written. What lies before may be with the kernel.
    #[inline]
    pub(super) fn room(&mut self, buffer: &Buffer, from: usize) -> &mut [u8] {
        assert!(from <= limits::ANSWER_BUFFER);
        // SAFETY: the range lies in the buffer, the `Buffer` is the only one of its number, and the kernel only reads what
        // was submitted, which ends at or before `from`.
        unsafe { std::slice::from_raw_parts_mut(self.memory.start(buffer.0).add(from), limits::ANSWER_BUFFER - from) }
    }

    /// What was written, as the kernel is given it.
    #[inline]
    pub(super) fn written(&self, buffer: &Buffer, from: usize, to: usize) -> *const [u8] {
        assert!(from <= to && to <= limits::ANSWER_BUFFER);
        // SAFETY: the offset lies in the buffer.
        let start = unsafe { self.memory.start(buffer.0).add(from) };
        std::ptr::slice_from_raw_parts(start, to - from)
    }
}
