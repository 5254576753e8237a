//! An input read as instructions. What is read beyond its end is zero, so that every input is a whole recipe.

/// What is left of it.
pub(crate) struct Recipe<'a>(pub(crate) &'a [u8]);

#[allow(dead_code, reason = "not every case reads everything")]
impl<'a> Recipe<'a> {
    /// Nothing is left.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// So many bytes, or as many as there are.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// Text of at most 255 bytes, its length before it.
    pub(crate) fn text(&mut self) -> String {
        let length = self.u8();
        String::from_utf8_lossy(self.take(length.into())).into_owned()
    }
}
