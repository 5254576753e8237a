//! Memory for buffers: mapped once, touched when first used, cut so that the buffers do not share their cache sets.

use std::io;
use std::ptr::NonNull;

/// Bytes between the end of a buffer and the next: 25 cache lines. Buffers whose distance is a power of two would all
/// begin in the same sets of the caches and push each other out.
pub const STAGGER: usize = 25 * 64;

/// A row of equal buffers.
#[derive(Debug)]
pub(in crate::bid) struct Region {
    base: NonNull<u8>,
    count: usize,
    size: usize,
}

impl Region {
    /// Maps `count` buffers of `size` bytes, zeroed, with no page of them present yet.
    pub(in crate::bid) fn map(count: usize, size: usize) -> io::Result<Region> {
        assert!(count > 0 && size > 0 && size.is_multiple_of(64));
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), count * (size + STAGGER), protection, flags, -1, 0)
        };
        match NonNull::new(base.cast::<u8>()) {
            Some(_) if base == libc::MAP_FAILED => Err(io::Error::last_os_error()),
            Some(base) => Ok(Region { base, count, size }),
            None => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// Makes every page of them present, so that none has to be found when it is first used. What is in them stays.
    pub(in crate::bid) fn prefault(&self) {
        let length = self.count * (self.size + STAGGER);
        // SAFETY: the range is this mapping's, and no byte of it changes. A kernel before 5.14 refuses, and pages come one by one.
        let _ = unsafe { libc::madvise(self.base.as_ptr().cast(), length, libc::MADV_POPULATE_WRITE) };
    }

    /// How long a buffer is.
    #[inline]
    pub(in crate::bid) fn size(&self) -> usize {
        self.size
    }

    /// Where a buffer begins. Whoever reads or writes it makes sure that nobody else does.
    #[inline]
    pub(in crate::bid) fn start(&self, index: u16) -> *mut u8 {
        assert!(usize::from(index) < self.count);
        // SAFETY: the index is below the count, so the offset is inside the mapping.
        unsafe { self.base.as_ptr().add(usize::from(index) * (self.size + STAGGER)) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this base and length, and whoever drops its owner holds no pointer into it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.count * (self.size + STAGGER)) };
    }
}
