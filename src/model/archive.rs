//! An import: a model as a file of our own.
//!
//! ```text
//!   0   magic, 16 bytes
//!   16  layout, 4 bytes, and 4 of zeros
//!   24  length of the body, 8 bytes
//!   32  BLAKE3 of the 32 bytes before and of the body
//!   64  the body: rkyv, flat lists (`archive/body.rs`)
//! ```
//!
//! Little-endian. The file is mapped while it is opened: the length must be the file's, the hash must be right before the body is
//! looked at, the archive is checked before it is believed, and the model before it is given out. What the engine walks is built
//! from it, so that its layout may change without a new import.

mod body;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rkyv::rancor::Error;
use rkyv::util::AlignedVec;

use body::Body;

use crate::limits;
use crate::model::{Model, ModelError};
use crate::snapshot::document::{Fault, fault};

const MAGIC: &[u8; 16] = b"corebid model\n\0\0";
/// Changes with anything in the archive's types.
const LAYOUT: u32 = 1;
/// Before the body.
const HEAD: usize = 64;
/// What of the head is hashed.
const HASHED: usize = 32;

/// Whether a file begins as an import does.
///
/// # Errors
/// It cannot be read.
pub fn is_one(path: &Path) -> Result<bool, ModelError> {
    let mut head = Vec::with_capacity(MAGIC.len());
    let read = File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head));
    match read {
        Ok(_) => Ok(head == MAGIC),
        Err(error) => Err(unreadable(&error).within(path)),
    }
}

/// Opens an import.
///
/// # Errors
/// It cannot be read, was made by another version, or is not as it was written.
pub fn open(path: &Path) -> Result<Model, ModelError> {
    let file = File::open(path).map_err(|error| unreadable(&error).within(path))?;
    // SAFETY: an import is moved to its place whole and not written again; whoever cuts it while it is opened ends the process, as
    // with other mapped files. The bytes are read as bytes only, and the map goes when this returns.
    let map = unsafe { Mmap::map(&file) }.map_err(|error| unreadable(&error).within(path))?;
    read(&map).map_err(|fault| fault.within(path))
}

/// Reads the bytes of an import. A message says no path.
///
/// # Errors
/// They were made by another version, or are not as they were written.
pub fn open_bytes(bytes: &[u8]) -> Result<Model, ModelError> {
    read(bytes).map_err(|fault| fault.within(Path::new("model")))
}

fn unreadable(error: &io::Error) -> Fault {
    Fault { line: 0, what: format!("cannot read it: {error}") }
}

fn read(bytes: &[u8]) -> Result<Model, Fault> {
    const DAMAGED: &str = "the import is damaged or cut; import the model again";
    let Some((head, body)) = bytes.split_first_chunk::<HEAD>().filter(|(head, _)| head.starts_with(MAGIC)) else {
        return fault(0, "not an import of `corebid model import`, or cut within its head");
    };
    let (hashed, hash) = head.split_at(HASHED);
    let word = |at: usize| *hashed[at..].first_chunk().expect("within the head");
    let (layout, length) =
        (u32::from_le_bytes(word(16)), u64::from_le_bytes(*hashed[24..].first_chunk().expect("the same")));
    if length != body.len() as u64 || hash != sum(hashed, body) {
        return fault(0, DAMAGED);
    }
    if layout != LAYOUT || word(20) != [0; 4] {
        return fault(
            0,
            format!("layout {layout}, of another version; this one reads {LAYOUT}: import the model again"),
        );
    }
    if length > limits::MODEL_BYTES {
        return fault(0, format!("{length} bytes; at most {} are taken", limits::MODEL_BYTES));
    }
    // A map is aligned; bytes from elsewhere may not be.
    let is_aligned = (body.as_ptr().addr()).is_multiple_of(AlignedVec::<16>::ALIGNMENT);
    let mut copy = AlignedVec::<16>::new();
    if !is_aligned {
        copy.extend_from_slice(body);
    }
    let body = if is_aligned { body } else { &copy };
    let body = rkyv::access::<rkyv::Archived<Body>, Error>(body).or_else(|_| fault(0, DAMAGED))?;
    let Some(model) = body.model() else { return fault(0, DAMAGED) };
    model.check().or_else(|what| fault(0, what))?;
    Ok(model)
}

fn sum(head: &[u8], body: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(head).update(body).finalize().as_bytes()
}

/// The bytes of an import.
pub fn bytes(model: &Model) -> Vec<u8> {
    let body = rkyv::to_bytes::<Error>(&Body::of(model)).expect("memory is the only thing that it can want");
    let mut head = [0; HASHED];
    head[..16].copy_from_slice(MAGIC);
    head[16..20].copy_from_slice(&LAYOUT.to_le_bytes());
    head[24..].copy_from_slice(&(body.len() as u64).to_le_bytes());
    [&head[..], &sum(&head, &body), &body].concat()
}

/// Writes an import, beside its place first and then by renaming: whoever reads finds the old file or the new one, whole.
///
/// # Errors
/// There is no room, or no right to write.
pub fn write(path: &Path, model: &Model) -> io::Result<()> {
    let beside = beside(path)?;
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(&bytes(model))?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
    let mut name = name.to_owned();
    name.push(".new");
    Ok(path.with_file_name(name))
}
