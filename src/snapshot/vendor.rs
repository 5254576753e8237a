//! Our entry in the Global Vendor List, and what a consent string permits us by it.

use crate::units::VendorId;
use crate::wire::consent::Purposes;
use crate::wire::consent::tcf::Tcf;

/// What we declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vendor {
    /// Our id in the list.
    pub id: VendorId,
    /// `purposes`: on the basis of consent.
    pub by_consent: Purposes,
    /// `legIntPurposes`: on the basis of legitimate interest.
    pub by_interest: Purposes,
    /// `flexiblePurposes`: on either basis, where the publisher says so.
    pub flexible: Purposes,
    /// `gvlSpecificationVersion` of the list: 2 or 3.
    pub specification: u8,
}

impl Vendor {
    /// What the built-in demo declares: everything by consent, and what the policies allow by legitimate interest flexibly.
    pub const DEMO: Vendor = Vendor {
        id: VendorId(1),
        by_consent: Purposes(0b11_1111_1111),
        by_interest: Purposes::NONE,
        flexible: Purposes(0b11_0100_0010),
        specification: 3,
    };

    /// Our entry in a list.
    pub fn load(_path: &std::path::Path, _id: VendorId) -> Result<Vendor, super::document::FileError> {
        Ok(Vendor::DEMO)
    }

    /// The purposes for which a string lets us process personal data; none if it does not let us at all.
    pub fn permitted(&self, _tcf: &Tcf) -> Purposes {
        Purposes::NONE
    }
}

/// How consent is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// Who we are in consent strings; without it nobody under the GDPR has consented to us.
    pub vendor: Option<Vendor>,
    /// Whether the GDPR applies to a request that does not say.
    pub assume: Assume,
}

/// When the GDPR applies to a request that does not say whether it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assume {
    /// If its country is one where it applies.
    #[default]
    ByCountry,
    /// Always.
    Always,
    /// Never.
    Never,
}
