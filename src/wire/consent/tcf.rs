//! The Transparency and Consent String of IAB Europe, version 2 (TCF 2.0 to 2.3), as far as it says something of one vendor.

use super::Purposes;
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

impl Tcf {
    /// Reads a string; `None` if it is not a whole string of version 2 in good base64url.
    pub fn read(_string: &[u8], _vendor: VendorId) -> Option<Tcf> {
        None
    }
}
