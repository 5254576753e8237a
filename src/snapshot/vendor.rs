//! Our entry in the Global Vendor List, and what a consent string permits us by it (decision 0015).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::document::{self, Fault, FileError};
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
    /// `specialFeatures` has 1: to use precise geolocation data.
    pub precise_place: bool,
    /// `gvlSpecificationVersion` of the list: 2 or 3.
    pub specification: u8,
    /// `tcfPolicyVersion` of the list: strings of later policies mean what it does not say.
    pub policy: u8,
}

impl Vendor {
    /// What the built-in demo declares: everything by consent, and what the policies allow by legitimate interest flexibly.
    pub const DEMO: Vendor = Vendor {
        id: VendorId(1),
        by_consent: Purposes(0b11_1111_1111),
        by_interest: Purposes::NONE,
        flexible: Purposes(0b11_0100_0010),
        precise_place: true,
        specification: 3,
        policy: 5,
    };

    /// The entry `id` of a Global Vendor List, of specification 2 or 3 (the file `vendor-list.json` of IAB Europe).
    ///
    /// # Errors
    /// The first mistake, in one line; that the list has no such vendor, or has it no more.
    pub fn from_gvl(list: &str, id: VendorId) -> Result<Vendor, String> {
        Vendor::read(list, id).map_err(|(Unlisted::Broken(fault) | Unlisted::Gone(fault))| match fault.line {
            0 => fault.what,
            line => format!("line {line}: {}", fault.what),
        })
    }

    /// As [`Vendor::from_gvl`], of a file.
    ///
    /// # Errors
    /// The first mistake, with its line if it has one.
    pub fn load(path: &Path, id: VendorId) -> Result<Vendor, Refused> {
        let text = document::read(path).map_err(Refused::Broken)?;
        match Vendor::read(&text, id) {
            Ok(vendor) => Ok(vendor),
            Err(Unlisted::Broken(fault)) => Err(Refused::Broken(fault.within(path))),
            Err(Unlisted::Gone(fault)) => Err(Refused::Gone(fault.within(path))),
        }
    }

    fn read(list: &str, id: VendorId) -> Result<Vendor, Unlisted> {
        let broken = |error: serde_json::Error| Fault { line: error.line(), what: error.to_string() };
        let wrong = |what| Unlisted::Broken(Fault { line: 0, what });
        let list: List<'_> = serde_json::from_str(list).map_err(broken).map_err(Unlisted::Broken)?;
        let specification = list.gvl_specification_version;
        if !matches!(specification, 2 | 3) {
            return Err(wrong(format!("`gvlSpecificationVersion` is {specification}, which is neither 2 nor 3")));
        }
        let gone = |what| Err(Unlisted::Gone(Fault { line: 0, what }));
        let Some(entry) = list.vendors.get(&id.0) else {
            return gone(format!("vendor {} is not in version {} of the list", id.0, list.vendor_list_version));
        };
        let within = |error: serde_json::Error| Fault { line: 0, what: format!("vendor {}: {error}", id.0) };
        let entry: Entry = serde_json::from_str(entry.get()).map_err(within).map_err(Unlisted::Broken)?;
        if entry.deleted_date.is_some() {
            return gone(format!("vendor {} was deleted from the list (`deletedDate`)", id.0));
        }
        let purposes = |key: &str, numbers: &[u32]| {
            numbers.iter().try_fold(Purposes::NONE, |all, number| match number {
                1..=24 => Ok(all.and(Purposes::of(*number))),
                _ => Err(wrong(format!("vendor {}: `{key}` has {number}, which is no purpose", id.0))),
            })
        };
        let vendor = Vendor {
            id,
            by_consent: purposes("purposes", &entry.purposes)?,
            by_interest: purposes("legIntPurposes", &entry.leg_int_purposes)?,
            flexible: purposes("flexiblePurposes", &entry.flexible_purposes)?,
            precise_place: entry.special_features.contains(&1),
            specification,
            policy: list.tcf_policy_version,
        };
        if vendor.by_consent.both(vendor.by_interest) != Purposes::NONE {
            return Err(wrong(format!("vendor {}: `purposes` and `legIntPurposes` share a purpose", id.0)));
        }
        Ok(vendor)
    }

    /// The purposes for which a string lets us process personal data; none if it does not let us at all.
    ///
    /// Per purpose, in this order: what the publisher does not allow is denied; what it requires a basis for has that basis,
    /// if that is our default or we are flexible; then the purpose's and our own bit for the basis decide (TCF Policies,
    /// chapter III; docs/decisions/0015-consent-strings.md).
    pub fn permitted(&self, tcf: &Tcf) -> Purposes {
        let disclosed = tcf.disclosed.unwrap_or(tcf.created < DISCLOSURE);
        let known = (FIRST_POLICY..=self.policy).contains(&tcf.policy);
        let readable = known && (tcf.policy < POLICY_OF_GVL_3 || self.specification >= 3);
        if !disclosed || !readable {
            return Purposes::NONE;
        }
        let [denied, only_consent, only_interest] = tcf.restricted.map(|purposes| purposes.0);
        let (consent, interest, flexible) = (self.by_consent.0, self.by_interest.0, self.flexible.0);
        let on_consent = (consent | interest & flexible & only_consent) & !only_interest;
        let on_interest = (interest | consent & flexible & only_interest) & !only_consent & INTEREST.0;
        let consented = tcf.consents.0 & whole(tcf.vendor_consent)
            | Purposes::STORAGE.0 & whole(tcf.purpose_one_treatment && is_country(tcf.publisher_country));
        let uncontested = tcf.interests.0 & whole(tcf.vendor_interest);
        Purposes((on_consent & consented | on_interest & uncontested) & !denied)
    }
}

impl Vendor {
    /// Whether a string that permits us something lets us use the exact place of a device, too: an opt-in of its own, which we must
    /// have declared.
    pub fn permits_place(&self, tcf: &Tcf) -> bool {
        self.precise_place && tcf.precise_place && tcf.vendor_consent
    }
}

/// 2026-03-01T00:00Z, tenths of a second since 1970: a string created from then on has to say which vendors were disclosed
/// (TCF 2.3, whose transition ended with February 2026).
const DISCLOSURE: u64 = 17_723_232_000;
/// The first `TcfPolicyVersion` of TCF 2.
const FIRST_POLICY: u8 = 2;
/// `TcfPolicyVersion` from which purposes are those of a list of specification 3 (TCF 2.2).
const POLICY_OF_GVL_3: u8 = 4;
/// The purposes that legitimate interest can be a basis for: never storage (1), and not profiles for advertising and content
/// (3 to 6, since TCF 2.2).
const INTEREST: Purposes = Purposes(Purposes::ALL.0 & !0b11_1101);

/// All bits or none.
const fn whole(yes: bool) -> u32 {
    (yes as u32).wrapping_neg()
}

/// Whether this can be the code of a country: capitals, and not of those that ISO 3166-1 leaves to its users. `AA` is what
/// strings have whose publisher did not say. `XK` is Kosovo in common use.
const fn is_country(code: [u8; 2]) -> bool {
    match code {
        [b'A', b'A'] | [b'Z', b'Z'] | [b'Q', b'M'..=b'Z'] => false,
        [b'X', second] => second == b'K',
        [first, second] => first.is_ascii_uppercase() && second.is_ascii_uppercase(),
    }
}

/// Why there is nothing in a list for us.
enum Unlisted {
    /// It cannot be read.
    Broken(Fault),
    /// It says that we are not in it.
    Gone(Fault),
}

/// Why a list cannot be taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has a mistake, and says nothing: what an older one said stays.
    Broken(FileError),
    /// It says that we are not in it, or no more: nobody has consented to us from now on.
    Gone(FileError),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Refused::Broken(error) | Refused::Gone(error)) = self;
        error.fmt(f)
    }
}

/// What is read of a Global Vendor List.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    gvl_specification_version: u8,
    vendor_list_version: u32,
    tcf_policy_version: u8,
    #[serde(borrow)]
    vendors: BTreeMap<u16, &'a RawValue>,
}

/// What is read of a vendor in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    purposes: Vec<u32>,
    leg_int_purposes: Vec<u32>,
    flexible_purposes: Vec<u32>,
    #[serde(default)]
    special_features: Vec<u32>,
    deleted_date: Option<IgnoredAny>,
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
