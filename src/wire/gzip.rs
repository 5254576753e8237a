//! `gzip` as a content coding (RFC 9110 section 8.4.1.3, RFC 1952), with bounded output and memory that is taken once.
//!
//! A body is one member: another one behind it, which some decoders read and some do not, is damage. The decision
//! `docs/decisions/0011-gzip.md` has the library and the figures.

use std::fmt;

use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};

/// Why a body could not be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Not one whole member of gzip: header, deflate stream, checksum or length is wrong, or something follows it.
    Damaged,
    /// What was unpacked would not fit. Found out when the bound is reached, however long the rest is.
    TooLong,
}

/// Unpacks bodies of up to a fixed length.
pub struct Inflater {
    decoder: Decompressor,
    out: Box<[u8]>,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("most", &self.out.len()).finish_non_exhaustive()
    }
}

/// CRC-32 and length that end a member, bytes.
const TRAILER: usize = 8;

impl Inflater {
    /// Takes all the memory it will use: `most` bytes, resident once written to, and some 12 KB of tables.
    pub fn new(most: usize) -> Inflater {
        Inflater { decoder: Decompressor::new(), out: vec![0; most].into_boxed_slice() }
    }

    /// Unpacks a body.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn inflate(&mut self, packed: &[u8]) -> Result<&[u8], Unreadable> {
        let length = self.decoder.gzip_decompress(packed, &mut self.out).map_err(|error| match error {
            DecompressionError::BadData => Unreadable::Damaged,
            DecompressionError::InsufficientSpace => Unreadable::TooLong,
        })?;
        let plain = &self.out[..length];
        // The library stops behind the first member and does not say where: the body must end with that member's trailer.
        // What follows a member and was made to end the same way is not read; a document it cannot become.
        let trailer = packed.last_chunk::<TRAILER>().ok_or(Unreadable::Damaged)?;
        let (crc, size) = (libdeflater::crc32(plain), length as u32);
        if trailer[..4] == crc.to_le_bytes() && trailer[4..] == size.to_le_bytes() {
            Ok(plain)
        } else {
            Err(Unreadable::Damaged)
        }
    }
}

/// Level 1 packs OpenRTB as small as levels 2 to 4 do, in half their time.
const LEVEL: i32 = 1;

/// Packs content.
pub struct Deflater {
    encoder: Compressor,
    out: Box<[u8]>,
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").field("most", &self.out.len()).finish_non_exhaustive()
    }
}

fn encoder() -> Compressor {
    Compressor::new(CompressionLvl::new(LEVEL).expect("levels go to 12"))
}

impl Deflater {
    /// Takes all the memory it will use: `most` bytes of output and the tables of level 1.
    pub fn new(most: usize) -> Deflater {
        Deflater { encoder: encoder(), out: vec![0; most].into_boxed_slice() }
    }

    /// With room for content of this length, also if it does not shrink.
    pub fn for_content(longest: usize) -> Deflater {
        let most = encoder().gzip_compress_bound(longest);
        Deflater::new(most)
    }

    /// Packs `plain`, unless that takes more than `most` bytes.
    pub fn deflate(&mut self, plain: &[u8], most: usize) -> Option<&[u8]> {
        let most = most.min(self.out.len());
        let length = self.encoder.gzip_compress(plain, &mut self.out[..most]).ok()?;
        Some(&self.out[..length])
    }
}

#[cfg(test)]
mod tests;
