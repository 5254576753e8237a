//! The Transparency and Consent String of IAB Europe, version 2 (TCF 2.0 to 2.3), as far as it says something of one vendor.
//!
//! A string is read whole or not at all: one that is damaged anywhere says nothing (decision 0015). Lists of vendors as bits are
//! jumped over; lists of ranges have to be walked to find where they end.

use super::Purposes;
use super::bits::{Bits, Reader, separators};
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
    /// `SpecialFeatureOptIns`, of special feature 1: to use precise geolocation data.
    pub precise_place: bool,
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
    /// The first of `SpecialFeatureOptIns`.
    pub(super) const PRECISE_PLACE: (usize, usize) = (140, 1);
    pub(super) const CONSENTS: (usize, usize) = (152, 24);
    pub(super) const INTERESTS: (usize, usize) = (176, 24);
    /// `PurposeOneTreatment` and, in twice six bits, `PublisherCC`.
    pub(super) const PUBLISHER: (usize, usize) = (200, 13);
    pub(super) const VENDORS: usize = 213;
}

/// `SegmentType` of the segments after the core.
mod segment {
    /// The width of `SegmentType`, bits.
    pub(super) const KIND: u32 = 3;
    pub(super) const DISCLOSED: u32 = 1;
    /// Out of use since TCF 2.2; where it still stands it has to be well formed.
    pub(super) const ALLOWED: u32 = 2;
    pub(super) const PUBLISHER: u32 = 3;
}

/// `MaxVendorId`, `VendorId`, in bits.
const ID: u32 = 16;
/// `NumEntries`, `NumPubRestrictions`, in bits.
const COUNT: u32 = 12;
/// `PurposeId`, `RestrictionType`, in bits.
const RESTRICTION: u32 = 6 + 2;
/// The shortest entry of a list of ranges, bits: that it is no range, and the vendor.
const ENTRY: u32 = 1 + ID;

impl Tcf {
    /// Reads a string; `None` if it is not a whole string of version 2 in good base64url.
    pub fn read(string: &[u8], vendor: VendorId) -> Option<Tcf> {
        // Where a segment ends is asked only once its fields are read. One whose fields run over a separator is cut short: then
        // fewer are found than there are.
        let mut separators = separators(string)?;
        let (mut tcf, mut end) = Tcf::read_core(Bits::of(string), vendor)?;
        let mut seen = 0_u8;
        // Encoders fill a segment up with a few zeros.
        while let Some(more) = string.get(end..)?.iter().position(|character| *character == b'.') {
            separators -= 1;
            let start = end + more + 1;
            let mut reader = Bits::of(string).from(start * 6);
            let kind = reader.take(segment::KIND);
            match kind {
                segment::DISCLOSED => tcf.disclosed = Some(list(&mut reader, vendor)?),
                segment::ALLOWED => drop(list(&mut reader, vendor)?),
                segment::PUBLISHER => publisher(&mut reader),
                _ => return None,
            }
            // Which of two would hold? Nobody says.
            if seen & 1 << kind != 0 {
                return None;
            }
            seen |= 1 << kind;
            end = reader.at().div_ceil(6);
        }
        (separators == 0).then_some(tcf)
    }

    /// Reads the core segment; comes with the character after its last field.
    fn read_core(bits: Bits<'_>, vendor: VendorId) -> Option<(Tcf, usize)> {
        let head = bits.head()?;
        if head.field(core::VERSION) != 2 || head.field(core::CMP) < FIRST_CMP {
            return None;
        }
        let publisher = head.field(core::PUBLISHER);
        let letters = [(publisher >> 6 & 63) as u8, (publisher & 63) as u8];
        if letters.iter().any(|letter| *letter > LAST_LETTER) {
            return None;
        }
        let mut reader = bits.from(core::VENDORS);
        let tcf = Tcf {
            created: head.field(core::CREATED),
            policy: head.field(core::POLICY) as u8,
            purpose_one_treatment: publisher >> 12 == 1,
            publisher_country: letters.map(|letter| (b'A' + letter).to_ascii_uppercase()),
            precise_place: head.field(core::PRECISE_PLACE) == 1,
            consents: purposes(head.field(core::CONSENTS)),
            interests: purposes(head.field(core::INTERESTS)),
            vendor_consent: list(&mut reader, vendor)?,
            vendor_interest: list(&mut reader, vendor)?,
            disclosed: None,
            restricted: restrictions(&mut reader, vendor)?,
        };
        Some((tcf, reader.at().div_ceil(6)))
    }
}

/// The 24 bits of a field of purposes: the first stands for purpose 1.
fn purposes(field: u64) -> Purposes {
    Purposes((field as u32).reverse_bits() >> 8)
}

/// Whether a list of vendors (consents, interests, disclosed) has one.
fn list(reader: &mut Reader<'_>, vendor: VendorId) -> Option<bool> {
    let head = reader.take(ID + 1);
    let (most, ranges) = (head >> 1, head & 1 == 1);
    if ranges {
        return entries(reader, vendor, most);
    }
    let place = usize::from(vendor.0).wrapping_sub(1);
    let has = place < most as usize && reader.has(place);
    reader.skip(most as usize);
    Some(has)
}

/// The same of a list of single vendors and ranges of them, none of which is above `most`. Nothing relies on their order: a
/// vendor is in the list if it is in any of its entries.
#[inline]
fn entries(reader: &mut Reader<'_>, vendor: VendorId, most: u32) -> Option<bool> {
    let count = reader.take(COUNT);
    if count as usize * ENTRY as usize > reader.left()? {
        return None;
    }
    let vendor = u32::from(vendor.0);
    // In registers while it reads.
    let mut entries = *reader;
    let (mut has, mut wrong) = (false, false);
    for _ in 0..count {
        let entry = entries.take(ENTRY);
        let first = entry & 0xffff;
        if entry == first {
            has |= first == vendor;
            // Also if it is 0.
            wrong |= first.wrapping_sub(1) >= most;
        } else {
            let last = entries.take(ID);
            has |= first <= vendor && vendor <= last;
            wrong |= first == 0 || last < first || last > most;
        }
    }
    *reader = entries;
    (!wrong).then_some(has)
}

/// Which purposes the publisher restricts for a vendor, by the type of restriction.
fn restrictions(reader: &mut Reader<'_>, vendor: VendorId) -> Option<[Purposes; 3]> {
    let mut restricted = [Purposes::NONE; 3];
    for _ in 0..reader.take(COUNT) {
        let head = reader.take(RESTRICTION);
        let (purpose, kind) = (head >> 2, (head & 3) as usize);
        let start = reader.at();
        let has = entries(reader, vendor, u32::from(u16::MAX))?;
        // One that restricts nobody says nothing, whatever it names.
        let nobody = reader.at() == start + COUNT as usize;
        if !nobody && (purpose == 0 || kind == restricted.len()) {
            return None;
        }
        if has && purpose <= 24 {
            restricted[kind].0 |= 1 << (purpose - 1);
        }
    }
    Some(restricted)
}

/// Reads over a `publisherTC` segment, which is about the publisher's own purposes.
fn publisher(reader: &mut Reader<'_>) {
    reader.skip(24 + 24);
    let custom = reader.take(6);
    reader.skip(2 * custom as usize);
}
