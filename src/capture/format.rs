//! The file of a capture (docs/RECORD.md, "The file").
//!
//! A magic, then frames: length and CRC-32 of what follows, four bytes each, little-endian; a byte that says what it is; and numbers as
//! LEB128. The first frame is the head, the last the foot: a file without one was cut, and what is whole before the cut is read.
//! Nothing a file says makes the reader take more memory than the file has bytes.

use std::fmt;

use crate::limits;

/// The first bytes of the file; the last of them is the version of the format.
pub const MAGIC: &[u8; 8] = b"CBCAPT\n\x01";
/// Before each frame: length and checksum, bytes.
const LEAD: usize = 8;
/// A longer frame is none: a body, an exchange's name for each there may be, and some numbers.
pub(super) const FRAME: usize = limits::BODY_BYTES + 128 * 1024;

const HEAD: u8 = 0;
const REQUEST: u8 = 1;
const FOOT: u8 = 2;

const GZIP: u8 = 1;
const WITHHELD: u8 = 2;

/// What a capture is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// When it began, Unix time, ms.
    pub began_ms: u64,
    /// The node of the bidder.
    pub node: u16,
    /// Its bid cores.
    pub cores: u16,
    /// One request in so many is in it.
    pub every: u32,
    /// The names of the exchanges, as requests number them.
    pub exchanges: Vec<String>,
}

/// One bid request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured<B> {
    /// When it arrived, ns from when the capture began.
    pub offset_ns: u64,
    /// The core, and the place of its connection there; the same for requests of one connection.
    pub connection: u64,
    /// By [`Head::exchanges`]; `None` if its path named none of them.
    pub exchange: Option<u16>,
    /// It came in gzip. The body is unpacked.
    pub gzip: bool,
    /// The body is not here: it could not be read, and so not redacted. [`Captured::body`] is `x`s, as many as it had bytes.
    pub withheld: bool,
    /// `x-openrtb-version`, empty if there was none.
    pub version: B,
    /// The redacted body.
    pub body: B,
}

/// What became of the requests of a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foot {
    /// How long it was, ns.
    pub length_ns: u64,
    /// Requests in the file.
    pub captured: u64,
    /// Requests that are missing because more came than were taken up.
    pub lost: u64,
    /// Of those in the file, without their bodies.
    pub withheld: u64,
}

/// Why a file cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not begin as a capture does.
    NotACapture,
    /// It is of a format this program does not know.
    Version(u8),
    /// It ends within a frame, or before its foot.
    Cut,
    /// A frame is not what its checksum says, or says what cannot be.
    Damaged,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NotACapture => f.write_str("this is no capture of `corebid record`"),
            Fault::Version(version) => {
                write!(f, "a capture in format {version}, of another corebid; this one reads {}", MAGIC[7])
            }
            Fault::Cut => f.write_str("it ends before its foot"),
            Fault::Damaged => f.write_str("what follows is damaged"),
        }
    }
}

fn number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    number(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Adds a frame whose content `fill` writes.
fn frame(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; LEAD]);
    out.push(kind);
    fill(out);
    let content = &out[start + LEAD..];
    let (length, sum) = (content.len() as u32, crc32fast::hash(content));
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + LEAD].copy_from_slice(&sum.to_le_bytes());
}

/// The beginning of a file.
pub fn head(head: &Head, out: &mut Vec<u8>) {
    out.extend_from_slice(MAGIC);
    frame(out, HEAD, |out| {
        for value in
            [head.began_ms, head.node.into(), head.cores.into(), head.every.into(), head.exchanges.len() as u64]
        {
            number(value, out);
        }
        head.exchanges.iter().for_each(|name| bytes(name.as_bytes(), out));
    });
}

/// A request. Of one that is withheld, only the length of the body is written.
pub fn request(request: &Captured<&[u8]>, out: &mut Vec<u8>) {
    frame(out, REQUEST, |out| {
        number(request.offset_ns, out);
        number(request.connection, out);
        number(request.exchange.map_or(0, |exchange| u64::from(exchange) + 1), out);
        out.push((u8::from(request.gzip) * GZIP) | (u8::from(request.withheld) * WITHHELD));
        bytes(request.version, out);
        match request.withheld {
            true => number(request.body.len() as u64, out),
            false => bytes(request.body, out),
        }
    });
}

/// The end of a file.
pub fn foot(foot: &Foot, out: &mut Vec<u8>) {
    frame(out, FOOT, |out| {
        [foot.length_ns, foot.captured, foot.lost, foot.withheld].iter().for_each(|value| number(*value, out))
    });
}

/// Numbers and runs of bytes, one after the other.
struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// In its shortest spelling: another is damage.
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part || (byte == 0 && shift > 0) {
                return None;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.small()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// `value`, if nothing is left.
    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// What is next in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A request.
    Request(Captured<Vec<u8>>),
    /// The end, with nothing behind it.
    Foot(Foot),
}

/// A file that is read.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// What it is of.
    pub head: Head,
}

impl<'a> Reader<'a> {
    /// Reads the head of a file.
    ///
    /// # Errors
    /// It is no capture, or damaged where it begins.
    pub fn open(file: &'a [u8]) -> Result<Reader<'a>, Fault> {
        let Some((magic, rest)) = file.split_first_chunk::<{ MAGIC.len() }>() else { return Err(Fault::NotACapture) };
        if magic[..7] != MAGIC[..7] {
            return Err(Fault::NotACapture);
        }
        if magic[7] != MAGIC[7] {
            return Err(Fault::Version(magic[7]));
        }
        let mut reader = Reader { rest, head: Head::default() };
        let (kind, content) = reader.frame()?;
        reader.head = (kind == HEAD).then(|| Reader::head(content)).flatten().ok_or(Fault::Damaged)?;
        Ok(reader)
    }

    fn frame(&mut self) -> Result<(u8, Numbers<'a>), Fault> {
        let (lead, rest) = self.rest.split_first_chunk::<LEAD>().ok_or(Fault::Cut)?;
        let [a, b, c, d, sum @ ..] = *lead;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length == 0 || length > FRAME {
            return Err(Fault::Damaged);
        }
        let (content, rest) = rest.split_at_checked(length).ok_or(Fault::Cut)?;
        if crc32fast::hash(content) != u32::from_le_bytes(sum) {
            return Err(Fault::Damaged);
        }
        self.rest = rest;
        Ok((content[0], Numbers(&content[1..])))
    }

    fn head(mut content: Numbers<'_>) -> Option<Head> {
        let mut head = Head {
            began_ms: content.number()?,
            node: content.small()?,
            cores: content.small()?,
            every: content.small()?,
            exchanges: Vec::new(),
        };
        for _ in 0..content.number()? {
            head.exchanges.push(String::from_utf8(content.bytes()?.to_vec()).ok()?);
        }
        content.end(head)
    }

    fn request(&self, mut content: Numbers<'_>) -> Option<Captured<Vec<u8>>> {
        let (offset_ns, connection, exchange) = (content.number()?, content.number()?, content.number()?);
        let exchange = match exchange.checked_sub(1) {
            None => None,
            Some(index) => {
                Some(u16::try_from(index).ok().filter(|index| usize::from(*index) < self.head.exchanges.len())?)
            }
        };
        let flags = content.byte()?;
        let (gzip, withheld) = (flags & GZIP != 0, flags & WITHHELD != 0);
        let version = content.bytes().filter(|version| version.len() <= limits::VERSION_BYTES)?.to_vec();
        let body = match withheld {
            true => vec![b'x'; content.small().filter(|length| *length <= limits::BODY_BYTES)?],
            false => content.bytes().filter(|body| body.len() <= limits::BODY_BYTES)?.to_vec(),
        };
        let known = flags & !(GZIP | WITHHELD) == 0;
        content.end(Captured { offset_ns, connection, exchange, gzip, withheld, version, body }).filter(|_| known)
    }

    /// The next request, or the foot.
    ///
    /// # Errors
    /// The file is cut or damaged here. Asking again says the same.
    pub fn item(&mut self) -> Result<Item, Fault> {
        let before = self.rest;
        let (kind, mut content) = self.frame()?;
        let item = match kind {
            REQUEST => self.request(content).map(Item::Request),
            FOOT => {
                let mut foot = || {
                    let [length_ns, captured, lost, withheld] =
                        [content.number()?, content.number()?, content.number()?, content.number()?];
                    Some(Foot { length_ns, captured, lost, withheld })
                };
                foot().filter(|_| content.0.is_empty() && self.rest.is_empty()).map(Item::Foot)
            }
            _ => None,
        };
        item.ok_or_else(|| {
            self.rest = before;
            Fault::Damaged
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(requests: &[Captured<&[u8]>]) -> Vec<u8> {
        let mut out = Vec::new();
        let exchanges = vec!["generic".to_owned(), "other".to_owned()];
        head(&Head { began_ms: 1_700_000_000_000, node: 3, cores: 2, every: 1, exchanges }, &mut out);
        requests.iter().for_each(|one| request(one, &mut out));
        foot(&Foot { length_ns: 5_000, captured: requests.len() as u64, lost: 7, withheld: 1 }, &mut out);
        out
    }

    fn two() -> [Captured<&'static [u8]>; 2] {
        let one = Captured {
            offset_ns: 300,
            connection: u64::MAX,
            exchange: Some(1),
            gzip: true,
            withheld: false,
            version: &b"2.6"[..],
            body: b"{\"id\":\"1\"}",
        };
        let (version, body) = (&b""[..], &b"secret"[..]);
        let withheld = Captured { exchange: None, gzip: false, withheld: true, version, body, ..one.clone() };
        [one, withheld]
    }

    #[test]
    fn what_is_written_is_read() {
        let two = two();
        let bytes = file(&two);
        assert!(!bytes.windows(6).any(|part| part == b"secret"));
        let mut reader = Reader::open(&bytes).unwrap();
        assert_eq!((reader.head.node, reader.head.exchanges.len()), (3, 2));
        for (index, expected) in two.iter().enumerate() {
            let Ok(Item::Request(request)) = reader.item() else { panic!("request {index}") };
            let body = if expected.withheld { b"xxxxxx" } else { expected.body };
            assert_eq!(
                request,
                Captured { body: body.to_vec(), version: expected.version.to_vec(), ..request.clone() }
            );
            assert_eq!((request.offset_ns, request.exchange, request.gzip), (300, expected.exchange, expected.gzip));
        }
        assert_eq!(reader.item(), Ok(Item::Foot(Foot { length_ns: 5_000, captured: 2, lost: 7, withheld: 1 })));
    }

    #[test]
    fn every_cut_is_told_and_what_is_before_it_is_read() {
        let bytes = file(&two());
        let least = (0..bytes.len()).find(|end| Reader::open(&bytes[..*end]).is_ok()).unwrap();
        assert!(least < 80, "its head is short");
        for end in least..bytes.len() {
            let mut reader = Reader::open(&bytes[..end]).unwrap();
            let fault = loop {
                match reader.item() {
                    Ok(Item::Request(_)) => {}
                    Ok(Item::Foot(_)) => panic!("a foot in a file of {end} of {} bytes", bytes.len()),
                    Err(fault) => break fault,
                }
            };
            assert_eq!((fault, reader.item()), (Fault::Cut, Err(Fault::Cut)));
        }
    }

    #[test]
    fn a_bit_that_is_another_is_damage() {
        let bytes = file(&two());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            let whole = Reader::open(&damaged).is_ok_and(|mut reader| {
                while let Ok(item) = reader.item() {
                    if matches!(item, Item::Foot(_)) {
                        return true;
                    }
                }
                false
            });
            assert!(!whole, "byte {at}");
        }
    }
}
