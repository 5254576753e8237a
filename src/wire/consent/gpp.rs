//! The Global Privacy Platform string of IAB Tech Lab, as far as it says something to us.

use super::bits::{Bits, parts};
use super::tcf::Tcf;
use super::{states, us_privacy};
use crate::limits;
use crate::units::VendorId;

/// The section of the EU, TCF 2.
const TCF_EU: u32 = 2;
/// The US privacy string as a section.
const US_PRIVACY: u32 = 6;
/// `Type` and `Version` of the header, in six bits each.
const HEADER: u64 = 3 << 6 | 1;

/// Sections of a GPP string: bit n stands for section id n, below 64. The rest cannot be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections(pub u64);

impl Sections {
    /// The EU's, TCF.
    pub const TCF_EU: Sections = Sections(1 << TCF_EU);

    /// The ids, 0 to 63.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |id| self.0 >> id & 1 == 1)
    }

    /// Whether it has any of `other`.
    pub const fn any(self, other: Sections) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it has the section `id`.
    const fn has(self, id: u32) -> bool {
        id < u64::BITS && self.0 >> id & 1 == 1
    }
}

/// What a string says to us, of the sections that apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gpp {
    /// What the section of the EU says of our vendor; `None` if it has none, or one that cannot be read.
    pub tcf: Option<Tcf>,
    /// The section of the EU applies, and what there is of it cannot be read: no consent.
    pub tcf_damaged: bool,
    /// A section that applies opts out of sale, of sharing or of targeted advertising, is about a child, is under a service
    /// provider's contract, carries Global Privacy Control, is missing, or cannot be read. Of the section of the EU
    /// [`Gpp::tcf`] says all.
    pub opted_out: bool,
}

impl Gpp {
    /// Reads the sections of a string that apply: those of `applicable` (`regs.gpp_sid`), all that the string has if nothing
    /// says which.
    pub fn read(string: &[u8], applicable: Option<Sections>, vendor: VendorId) -> Gpp {
        let unread = || Gpp {
            tcf: None,
            tcf_damaged: !string.is_empty() && applicable.is_some_and(|wanted| wanted.any(Sections::TCF_EU)),
            opted_out: applicable.is_none_or(|wanted| wanted.0 & !Sections::TCF_EU.0 != 0),
        };
        sections(string, applicable, vendor).unwrap_or_else(unread)
    }
}

/// Reads a string; `None` if its header is damaged or does not name as many sections as there are. No section is taken for
/// another then, and no more are looked at than there are.
fn sections(string: &[u8], applicable: Option<Sections>, vendor: VendorId) -> Option<Gpp> {
    if string.len() > limits::CONSENT_BYTES {
        return None;
    }
    let mut texts = parts(string, b'~');
    let header = Bits::new(texts.next()?)?;
    if header.get(0, 12)? != HEADER {
        return None;
    }
    let mut gpp = Gpp::default();
    let mut found = Sections(0);
    let mut id = 0;
    let mut at = 24;
    for _ in 0..header.get(12, 12)? {
        let range = header.get(at, 1)? == 1;
        let first;
        (first, at) = next_id(header, at + 1, id)?;
        (id, at) = if range { next_id(header, at, first)? } else { (first, at) };
        for section in first..=id {
            let text = texts.next().filter(|text| !text.is_empty())?;
            if applicable.is_none_or(|wanted| wanted.has(section)) {
                found.0 |= 1_u64.checked_shl(section).unwrap_or(0);
                match section {
                    TCF_EU => {
                        gpp.tcf = Tcf::read(text, vendor);
                        gpp.tcf_damaged = gpp.tcf.is_none();
                    }
                    US_PRIVACY => gpp.opted_out |= !us_privacy::allows_sale(text),
                    // Canada's (5) asks for a consent of its own kind that nobody reads here.
                    other => gpp.opted_out |= states::leaves(other, text) != Some(true),
                }
            }
        }
    }
    if texts.next().is_some() {
        return None;
    }
    let missing = applicable.unwrap_or_default().0 & !found.0;
    gpp.opted_out |= missing & !Sections::TCF_EU.0 != 0;
    Some(gpp)
}

/// The most bits of a Fibonacci code before its end; more would be an id beyond a hundred million.
const LONGEST: u32 = 40;

/// The section id at `at` of a header, and where it ends: how much more it is than the one before, in Fibonacci coding (the
/// bits stand for 1, 2, 3, 5, 8 …, and two set ones in a row end it).
fn next_id(header: Bits<'_>, at: usize, before: u32) -> Option<(u32, usize)> {
    let bits = header.look(at);
    let last = (bits & bits << 1).leading_zeros();
    let end = at + last as usize + 2;
    if last >= LONGEST || end > header.len() {
        return None;
    }
    let (mut sum, mut number, mut following) = (0_u32, 1_u32, 2_u32);
    for place in 0..=last {
        if bits << place >> 63 == 1 {
            sum += number;
        }
        (number, following) = (following, number + following);
    }
    Some((before.checked_add(sum)?, end))
}
