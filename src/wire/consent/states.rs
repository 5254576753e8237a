//! The sections of the United States in a GPP string: where each says that a person, or a contract, keeps data from us.

use super::bits::{Bits, parts};

/// The section of the national string (`usnat`); those of the states follow it in the order of their ids.
const NATIONAL: u32 = 7;
/// Room for the core of the longest section, bits.
const ROOM: usize = 72;
/// `Version`, or the `MspaVersion` of the newer sections, bits.
const VERSION: usize = 6;
/// `SubsectionType` of Global Privacy Control.
const GPC: u64 = 1;
/// `SensitiveDataProcessing` where it is a subsection of its own, bits.
const SENSITIVE: usize = 16;

/// What may follow the core of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Subsections that begin with their type.
    Typed,
    /// Consent to the processing of sensitive data. We process none.
    Sensitive,
}

/// A section's core: fields of two bits after a version of six (IAB Tech Lab, Global Privacy Platform, Sections/US-*).
#[derive(Clone, Copy, Debug)]
struct Section {
    /// Its bits, at least.
    bits: usize,
    /// Those that mean no when they are set: the first bit of the core is the highest of [`ROOM`].
    no: u128,
    rest: Rest,
}

const fn bit(at: usize) -> u128 {
    1 << (ROOM - 1 - at)
}

impl Section {
    /// One with a field for each mode of the MSPA. `opt_outs` (of sale, sharing, targeted advertising) and `provider`
    /// (`MspaServiceProviderMode`) are the places of fields in which 1 is yes. Their low bit is asked, so that 3, which means
    /// nothing, is yes too. `children` is where `KnownChildSensitiveDataConsents` begins and how many fields it has: anything
    /// but 0 says that the person is a known child.
    const fn new(bits: usize, opt_outs: &[usize], children: (usize, usize), provider: usize) -> Section {
        let mut no = bit(provider + 1);
        let mut next = 0;
        while next < opt_outs.len() {
            no |= bit(opt_outs[next] + 1);
            next += 1;
        }
        let mut at = children.0;
        while at < children.0 + 2 * children.1 {
            no |= bit(at);
            at += 1;
        }
        Section { bits, no, rest: Rest::Typed }
    }

    /// One of 2025: the MSPA comes first and has one field (`MspaMode`), in which 2 is service provider mode.
    const fn of_2025(bits: usize, children: usize, rest: Rest) -> Section {
        const MODE: usize = 8;
        let section = Section::new(bits, &[16, 18], (20, children), MODE);
        Section { no: section.no & !bit(MODE + 1) | bit(MODE), rest, ..section }
    }
}

/// `usnat` of version 1: twelve kinds of sensitive data, two ages.
const NATIONAL_1: Section = Section::new(60, &[18, 20, 22], (48, 2), 58);
/// Its most bits: 60, filled up to whole bytes and then to whole characters as IAB's encoder does. IAB's decoder takes what is
/// longer for the other version, so it may not say what the version says.
const NATIONAL_1_MOST: usize = 66;

/// The sections in order of their ids, from [`NATIONAL`] on; all but the first are of version 1.
const SECTIONS: [Section; 21] = [
    // National, version 2 (2024): sixteen kinds of sensitive data, three ages.
    Section::new(70, &[18, 20, 22], (56, 3), 68),
    // California.
    Section::new(46, &[12, 14], (34, 2), 44),
    // Virginia.
    Section::new(40, &[12, 14], (32, 1), 38),
    // Colorado.
    Section::new(38, &[12, 14], (30, 1), 36),
    // Utah.
    Section::new(42, &[14, 16], (34, 1), 40),
    // Connecticut.
    Section::new(44, &[12, 14], (32, 3), 42),
    // Florida.
    Section::new(46, &[12, 14], (32, 3), 44),
    // Montana.
    Section::new(46, &[12, 14], (32, 3), 44),
    // Oregon.
    Section::new(52, &[12, 14], (38, 3), 50),
    // Texas.
    Section::new(42, &[12, 14], (32, 1), 40),
    // Delaware.
    Section::new(52, &[12, 14], (34, 5), 50),
    // Iowa.
    Section::new(42, &[14, 16], (34, 1), 40),
    // Nebraska.
    Section::new(42, &[12, 14], (32, 1), 40),
    // New Hampshire.
    Section::new(46, &[12, 14], (32, 3), 44),
    // New Jersey.
    Section::new(54, &[12, 14], (36, 5), 52),
    // Tennessee.
    Section::new(42, &[12, 14], (32, 1), 40),
    // Minnesota.
    Section::new(42, &[12, 14], (32, 1), 40),
    // Maryland.
    Section::of_2025(22, 0, Rest::Typed),
    // Indiana, Kentucky, Rhode Island.
    Section::of_2025(24, 1, Rest::Sensitive),
    Section::of_2025(24, 1, Rest::Sensitive),
    Section::of_2025(24, 1, Rest::Sensitive),
];

/// Whether a section leaves the person's data to us; `None` if it is unknown, of an unknown version, or damaged.
pub(super) fn leaves(id: u32, text: &[u8]) -> Option<bool> {
    let section = SECTIONS.get(id.checked_sub(NATIONAL)? as usize)?;
    let mut subsections = parts(text, b'.');
    let core = Bits::new(subsections.next()?)?;
    let section = match (id, core.get(0, VERSION)?) {
        (NATIONAL, 2) => section,
        (NATIONAL, 1) if core.len() <= NATIONAL_1_MOST => &NATIONAL_1,
        (NATIONAL, _) => return None,
        (_, 1) => section,
        _ => return None,
    };
    if core.len() < section.bits {
        return None;
    }
    let (high, low) = (core.look(0) >> 28, core.look(36) >> 28);
    let mut leaves = (u128::from(high) << 36 | u128::from(low)) & section.no == 0;
    for subsection in subsections {
        let bits = Bits::new(subsection)?;
        match section.rest {
            Rest::Typed if bits.get(0, 2)? == GPC => leaves &= !bits.has(2),
            Rest::Sensitive if bits.len() >= SENSITIVE => {}
            _ => return None,
        }
    }
    Some(leaves)
}
