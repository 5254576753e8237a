//! The Global Privacy Platform string of IAB Tech Lab, as far as it says something to us.

use super::tcf::Tcf;
use crate::units::VendorId;

/// Sections of a GPP string: bit n stands for section id n, below 64. The rest cannot be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections(pub u64);

impl Sections {
    /// The EU's, TCF.
    pub const TCF_EU: Sections = Sections(1 << 2);

    /// The ids, 0 to 63.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |id| self.0 >> id & 1 == 1)
    }

    /// Whether it has any of `other`.
    pub const fn any(self, other: Sections) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a string says to us, of the sections that apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gpp {
    /// What the section of the EU says of our vendor; `None` if it has none, or one that cannot be read.
    pub tcf: Option<Tcf>,
    /// A section that applies opts out of sale, of sharing or of targeted advertising, is about a child, is under a service
    /// provider's contract, carries Global Privacy Control, or cannot be read.
    pub opted_out: bool,
}

impl Gpp {
    /// Reads the sections of a string that apply: those of `applicable` (`regs.gpp_sid`), all that the string has if nothing
    /// says which.
    pub fn read(_string: &[u8], _applicable: Option<Sections>, _vendor: VendorId) -> Gpp {
        Gpp { tcf: None, opted_out: true }
    }
}
