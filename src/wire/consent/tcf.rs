//! The Transparency and Consent String of IAB Europe, version 2 (TCF 2.0 to 2.3), as far as it says something of one vendor.
//!
//! A string is read whole or not at all: one that is damaged anywhere says nothing (decision 0015). Lists of vendors as bits are
//! jumped over; lists of ranges have to be walked to find where they end.

use super::Purposes;
use super::bits::{Bits, Reader, clean, parts};
use crate::limits;
use crate::units::VendorId;

/// What a string says to one vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcf {
    /// `Created`, tenths of a second since 1970.
    pub created: u64,
    /// `TcfPolicyVersion`.
    pub policy: u8,
    /// `PurposeOneTreatment`: purpose 1 was not disclosed, because the publisher's country does not ask for consent to it.
    pub purpose_one_treatment: bool,
    /// `PublisherCC`.
    pub publisher_country: [u8; 2],
    /// `PurposesConsent`.
    pub consents: Purposes,
    /// `PurposesLITransparency`.
    pub interests: Purposes,
    /// The vendor's bit among the vendor consents.
    pub vendor_consent: bool,
    /// The vendor's bit among the vendor legitimate interests.
    pub vendor_interest: bool,
    /// The vendor's bit in the `disclosedVendors` segment; `None` without that segment.
    pub disclosed: Option<bool>,
    /// The publisher's restrictions of this vendor: purposes not allowed (0), that require consent (1), that require
    /// legitimate interest (2).
    pub restricted: [Purposes; 3],
}

/// `CmpId` from which a CMP can be meant: 0 is none, and 1 IAB's own (its library refuses both).
const FIRST_CMP: u64 = 2;
/// The highest letter of a country that IAB's library takes: `z`, counted from `A`.
const LAST_LETTER: u8 = b'z' - b'A';

/// Where the fields of the core segment stand, and how wide they are, bits (TC string format, "The Core String").
mod core {
    pub(super) const VERSION: (usize, usize) = (0, 6);
    pub(super) const CREATED: (usize, usize) = (6, 36);
    pub(super) const CMP: (usize, usize) = (78, 12);
    pub(super) const POLICY: (usize, usize) = (132, 6);
    pub(super) const CONSENTS: (usize, usize) = (152, 24);
    pub(super) const INTERESTS: (usize, usize) = (176, 24);
    /// `PurposeOneTreatment` and, in twice six bits, `PublisherCC`.
    pub(super) const PUBLISHER: (usize, usize) = (200, 13);
    pub(super) const VENDORS: usize = 213;
}

/// `SegmentType` of the segments after the core.
mod segment {
    pub(super) const DISCLOSED: u64 = 1;
    /// Out of use since TCF 2.2; where it still stands it has to be well formed.
    pub(super) const ALLOWED: u64 = 2;
    pub(super) const PUBLISHER: u64 = 3;
    /// Where a segment's own fields begin, bits.
    pub(super) const FIELDS: usize = 3;
}

/// `MaxVendorId`, `VendorId`, in bits.
const ID: usize = 16;
/// `NumEntries`, `NumPubRestrictions`, in bits.
const COUNT: usize = 12;
/// `PurposeId`, `RestrictionType`, in bits.
const RESTRICTION: usize = 6 + 2;
/// The shortest entry of a list of ranges, bits: that it is no range, and the vendor.
const ENTRY: usize = 1 + ID;

impl Tcf {
    /// Reads a string; `None` if it is not a whole string of version 2 in good base64url.
    pub fn read(string: &[u8], vendor: VendorId) -> Option<Tcf> {
        if string.len() > limits::CONSENT_BYTES || !clean(string, b'.') {
            return None;
        }
        let mut segments = parts(string, b'.');
        let mut tcf = Tcf::read_core(Bits::of_clean(segments.next()?), vendor)?;
        let mut seen = 0_u8;
        for segment in segments {
            let segment = Bits::of_clean(segment);
            let kind = segment.get(0, segment::FIELDS)?;
            match kind {
                segment::DISCLOSED => tcf.disclosed = Some(list(segment, segment::FIELDS, vendor)?.0),
                segment::ALLOWED => drop(list(segment, segment::FIELDS, vendor)?),
                segment::PUBLISHER => publisher(segment)?,
                _ => return None,
            }
            // Which of two would hold? Nobody says.
            if seen & 1 << kind != 0 {
                return None;
            }
            seen |= 1 << kind;
        }
        Some(tcf)
    }

    fn read_core(bits: Bits<'_>, vendor: VendorId) -> Option<Tcf> {
        let head = bits.head()?;
        if head.field(core::VERSION) != 2 || head.field(core::CMP) < FIRST_CMP {
            return None;
        }
        let publisher = head.field(core::PUBLISHER);
        let letters = [(publisher >> 6 & 63) as u8, (publisher & 63) as u8];
        if letters.iter().any(|letter| *letter > LAST_LETTER) {
            return None;
        }
        let (vendor_consent, at) = list(bits, core::VENDORS, vendor)?;
        let (vendor_interest, at) = list(bits, at, vendor)?;
        Some(Tcf {
            created: head.field(core::CREATED),
            policy: head.field(core::POLICY) as u8,
            purpose_one_treatment: publisher >> 12 == 1,
            publisher_country: letters.map(|letter| (b'A' + letter).to_ascii_uppercase()),
            consents: purposes(head.field(core::CONSENTS)),
            interests: purposes(head.field(core::INTERESTS)),
            vendor_consent,
            vendor_interest,
            disclosed: None,
            restricted: restrictions(bits, at, vendor)?,
        })
    }
}

/// The 24 bits of a field of purposes: the first stands for purpose 1.
fn purposes(field: u64) -> Purposes {
    Purposes((field as u32).reverse_bits() >> 8)
}

/// Whether a list of vendors (consents, interests, disclosed) has one, and where the list ends.
fn list(bits: Bits<'_>, at: usize, vendor: VendorId) -> Option<(bool, usize)> {
    let head = bits.get(at, ID + 1)?;
    let (most, ranges) = ((head >> 1) as usize, head & 1 == 1);
    let at = at + ID + 1;
    if ranges {
        return entries(bits, at, vendor, most);
    }
    let place = usize::from(vendor.0).wrapping_sub(1);
    let has = place < most && bits.has(at + place);
    (at + most <= bits.len()).then_some((has, at + most))
}

/// The same of a list of single vendors and ranges of them, none of which is above `most`. Nothing relies on their order: a
/// vendor is in the list if it is in any of its entries.
fn entries(bits: Bits<'_>, at: usize, vendor: VendorId, most: usize) -> Option<(bool, usize)> {
    let count = bits.get(at, COUNT)? as usize;
    let at = at + COUNT;
    if at + count * ENTRY > bits.len() {
        return None;
    }
    let (vendor, most) = (u32::from(vendor.0), most as u32);
    let mut reader: Reader<'_> = bits.from(at);
    let (mut has, mut wrong) = (false, false);
    for _ in 0..count {
        let entry = reader.take(ENTRY as u32);
        let first = entry & 0xffff;
        let last = if entry == first { first } else { reader.take(ID as u32) };
        has |= first <= vendor && vendor <= last;
        wrong |= first == 0 || last < first || last > most;
    }
    (!wrong && reader.at() <= bits.len()).then_some((has, reader.at()))
}

/// Which purposes the publisher restricts for a vendor, by the type of restriction.
fn restrictions(bits: Bits<'_>, at: usize, vendor: VendorId) -> Option<[Purposes; 3]> {
    let mut restricted = [Purposes::NONE; 3];
    let count = bits.get(at, COUNT)?;
    let mut at = at + COUNT;
    for _ in 0..count {
        let head = bits.get(at, RESTRICTION)?;
        let (has, end) = entries(bits, at + RESTRICTION, vendor, usize::from(u16::MAX))?;
        let (purpose, kind) = (head >> 2, (head & 3) as usize);
        // One that restricts nobody says nothing, whatever it names.
        let nobody = end == at + RESTRICTION + COUNT;
        if !nobody && (purpose == 0 || kind == restricted.len()) {
            return None;
        }
        if has && purpose <= 24 {
            restricted[kind].0 |= 1 << (purpose - 1);
        }
        at = end;
    }
    Some(restricted)
}

/// Checks that a `publisherTC` segment is whole; it is about the publisher's own purposes.
fn publisher(bits: Bits<'_>) -> Option<()> {
    let custom = segment::FIELDS + 24 + 24;
    let count = bits.get(custom, 6)? as usize;
    (custom + 6 + 2 * count <= bits.len()).then_some(())
}
