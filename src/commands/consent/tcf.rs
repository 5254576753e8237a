//! The Transparency and Consent String of IAB Europe, whole: core, `disclosedVendors`, `vendorsAllowed` and `publisherTC` of
//! version 2, and version 1, which has been out of use since 2020.
//!
//! What is refused is what IAB's own library refuses (@iabtcf/core), and what it reads although the specification does not
//! allow it: docs/CONSENT.md lists that.

use serde::{Serialize, Serializer};

use super::Refused;
use super::bits::Bits;
use super::time::Deciseconds;
use super::vendors::{Coding, Vendors, optimized_range};

/// A TC string. The names and their order are those of the JSON that is printed; what that leaves out is not serialized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names of the specification")]
pub struct Tcf {
    pub version: u64,
    pub created: Deciseconds,
    pub last_updated: Deciseconds,
    pub cmp_id: u64,
    pub cmp_version: u64,
    pub consent_screen: u64,
    pub consent_language: String,
    pub vendor_list_version: u64,
    pub policy_version: u64,
    pub is_service_specific: bool,
    #[serde(skip)]
    pub use_non_standard_texts: bool,
    pub purpose_one_treatment: bool,
    pub publisher_country_code: String,
    pub special_feature_optins: Vendors,
    pub purpose_consents: Vendors,
    pub purpose_legitimate_interests: Vendors,
    pub vendor_consents: Vendors,
    pub vendor_legitimate_interests: Vendors,
    /// `None` without the segment.
    #[serde(serialize_with = "or_nobody")]
    pub vendors_disclosed: Option<Vendors>,
    /// `None` without the segment.
    #[serde(serialize_with = "or_nobody")]
    pub vendors_allowed: Option<Vendors>,
    /// `None` without the segment.
    #[serde(rename = "publisherConsents", serialize_with = "publisher_consents")]
    pub publisher: Option<Publisher>,
    pub publisher_restrictions: Vec<Restriction>,
}

/// The segment `publisherTC`: what the user allows the publisher himself. Purposes are listed as vendors are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the specification")]
pub struct Publisher {
    pub consents: Vendors,
    pub legitimate_interests: Vendors,
    pub num_custom_purposes: u64,
    pub custom_consents: Vendors,
    pub custom_legitimate_interests: Vendors,
}

/// A publisher's restriction of some vendors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restriction {
    /// The purpose restricted.
    pub purpose_id: u64,
    /// 0: not allowed, 1: requires consent, 2: requires legitimate interest.
    #[serde(rename = "type")]
    pub restriction_type: u64,
    /// Whom.
    pub vendors: Vendors,
}

fn or_nobody<S: Serializer>(vendors: &Option<Vendors>, serializer: S) -> Result<S::Ok, S::Error> {
    vendors.clone().unwrap_or_default().serialize(serializer)
}

fn publisher_consents<S: Serializer>(publisher: &Option<Publisher>, serializer: S) -> Result<S::Ok, S::Error> {
    publisher.as_ref().map(|publisher| &publisher.consents).unwrap_or(&Vendors::default()).serialize(serializer)
}

/// The types of the segments after the core: their first three bits.
const DISCLOSED: u64 = 1;
const ALLOWED: u64 = 2;
const PUBLISHER: u64 = 3;

impl Tcf {
    /// Reads a string.
    pub fn decode(text: &str) -> Result<Tcf, Refused> {
        let mut segments = text.split('.');
        let core = Bits::new("TC string, core segment", segments.next().unwrap_or_default())?;
        let version = core.clone().int("Version", 6)?;
        let mut tcf = match version {
            1 => version_1(core)?,
            2 => version_2(core)?,
            _ => return Err(core.refused(format_args!("is of version {version}, not 2 (or 1)"))),
        };
        for segment in segments {
            tcf.add(segment)?;
        }
        Ok(tcf)
    }

    /// Reads a segment after the core, in whichever order they come.
    fn add(&mut self, text: &str) -> Result<(), Refused> {
        let mut bits = Bits::new("TC string, segment after the core", text)?;
        if self.version == 1 {
            return Err(bits.refused("version 1 has none"));
        }
        let (name, twice) = match bits.int("SegmentType", 3)? {
            DISCLOSED => {
                let vendors = vendors(&mut bits, "DisclosedVendors")?;
                ("disclosedVendors", self.vendors_disclosed.replace(vendors).is_some())
            }
            ALLOWED => {
                let vendors = vendors(&mut bits, "AllowedVendors")?;
                ("vendorsAllowed", self.vendors_allowed.replace(vendors).is_some())
            }
            PUBLISHER => ("publisherTC", self.publisher.replace(publisher(&mut bits)?).is_some()),
            unknown => return Err(bits.refused(format_args!("is of type {unknown}, not 1, 2 or 3"))),
        };
        if twice { Err(bits.refused(format_args!("{name} comes twice"))) } else { Ok(()) }
    }

    /// The restrictions of a vendor: purpose and type of each.
    pub fn restrictions_of(&self, vendor: u16) -> impl Iterator<Item = (u64, u64)> {
        let of_vendor = self.publisher_restrictions.iter().filter(move |restriction| restriction.vendors.has(vendor));
        of_vendor.map(|restriction| (restriction.purpose_id, restriction.restriction_type))
    }
}

/// What both versions begin with; all the rest as it is when a string does not say.
fn opening(bits: &mut Bits<'_>) -> Result<Tcf, Refused> {
    let tcf = Tcf {
        version: bits.int("Version", 6)?,
        created: Deciseconds(bits.int("Created", 36)?),
        last_updated: Deciseconds(bits.int("LastUpdated", 36)?),
        cmp_id: bits.int("CmpId", 12)?,
        cmp_version: bits.int("CmpVersion", 12)?,
        consent_screen: bits.int("ConsentScreen", 6)?,
        consent_language: bits.letters("ConsentLanguage")?,
        vendor_list_version: bits.int("VendorListVersion", 12)?,
        policy_version: 2,
        is_service_specific: false,
        use_non_standard_texts: false,
        purpose_one_treatment: false,
        publisher_country_code: "AA".to_owned(),
        special_feature_optins: Vendors::default(),
        purpose_consents: Vendors::default(),
        purpose_legitimate_interests: Vendors::default(),
        vendor_consents: Vendors::default(),
        vendor_legitimate_interests: Vendors::default(),
        vendors_disclosed: None,
        vendors_allowed: None,
        publisher: None,
        publisher_restrictions: Vec::new(),
    };
    // No CMP has these; IAB's library reads them as "never set".
    if tcf.cmp_id < 2 {
        return Err(bits.refused(format_args!("there is no CMP {}", tcf.cmp_id)));
    }
    Ok(tcf)
}

fn version_1(mut bits: Bits<'_>) -> Result<Tcf, Refused> {
    let mut tcf = opening(&mut bits)?;
    tcf.purpose_consents = purposes(&mut bits, "PurposesAllowed", 24)?;
    let max = bits.short("MaxVendorId", 16)?;
    tcf.vendor_consents = match bits.flag("EncodingType")? {
        true if bits.flag("DefaultConsent")? => {
            return Err(
                bits.refused("version 1 with consent as the default, which would be consent to vendors unknown")
            );
        }
        true => bits.ranges("RangeSection")?.sorted(),
        false => purposes(&mut bits, "BitField", max)?,
    };
    Ok(tcf)
}

fn version_2(mut bits: Bits<'_>) -> Result<Tcf, Refused> {
    let bits = &mut bits;
    let mut tcf = opening(bits)?;
    tcf.policy_version = bits.int("TcfPolicyVersion", 6)?;
    tcf.is_service_specific = bits.flag("IsServiceSpecific")?;
    tcf.use_non_standard_texts = bits.flag("UseNonStandardTexts")?;
    tcf.special_feature_optins = purposes(bits, "SpecialFeatureOptIns", 12)?;
    tcf.purpose_consents = purposes(bits, "PurposesConsent", 24)?;
    tcf.purpose_legitimate_interests = purposes(bits, "PurposesLITransparency", 24)?;
    tcf.purpose_one_treatment = bits.flag("PurposeOneTreatment")?;
    tcf.publisher_country_code = country(bits)?;
    tcf.vendor_consents = vendors(bits, "VendorConsent")?;
    tcf.vendor_legitimate_interests = vendors(bits, "VendorLegitimateInterest")?;
    tcf.publisher_restrictions = restrictions(bits)?;
    Ok(tcf)
}

/// `PublisherCC`. Six bits have room for what lies between and after the ASCII letters; small ones are read as capitals.
fn country(bits: &mut Bits<'_>) -> Result<String, Refused> {
    let letters = bits.letters("PublisherCC")?;
    match letters.bytes().all(|letter| letter <= b'z') {
        true => Ok(letters.to_ascii_uppercase()),
        false => Err(bits.refused("PublisherCC is not two letters")),
    }
}

fn purposes(bits: &mut Bits<'_>, field: &str, count: u16) -> Result<Vendors, Refused> {
    Ok(Vendors::of_bits(&bits.flags(field, usize::from(count))?))
}

fn vendors(bits: &mut Bits<'_>, field: &str) -> Result<Vendors, Refused> {
    Ok(optimized_range(bits, field, Coding::Fixed)?.0.sorted())
}

fn publisher(bits: &mut Bits<'_>) -> Result<Publisher, Refused> {
    let consents = purposes(bits, "PubPurposesConsent", 24)?;
    let legitimate_interests = purposes(bits, "PubPurposesLITransparency", 24)?;
    let custom = bits.short("NumCustomPurposes", 6)?;
    Ok(Publisher {
        consents,
        legitimate_interests,
        num_custom_purposes: u64::from(custom),
        custom_consents: purposes(bits, "CustomPurposesConsent", custom)?,
        custom_legitimate_interests: purposes(bits, "CustomPurposesLITransparency", custom)?,
    })
}

/// Those that restrict somebody, one for each purpose and type, in the order in which these first come.
fn restrictions(bits: &mut Bits<'_>) -> Result<Vec<Restriction>, Refused> {
    let field = "PubRestrictions";
    let mut restrictions: Vec<Restriction> = Vec::new();
    for _ in 0..bits.int("NumPubRestrictions", 12)? {
        let (purpose_id, restriction_type) = (bits.int(field, 6)?, bits.int(field, 2)?);
        let vendors = bits.ranges(field)?;
        if vendors.0.iter().any(|(first, last)| first > last) {
            return Err(bits.refused(format_args!("{field}: a range ends before it begins")));
        }
        if vendors.0.is_empty() {
            continue;
        }
        if purpose_id == 0 || restriction_type == 3 {
            return Err(bits.refused(format_args!("{field}: purpose {purpose_id}, type {restriction_type}")));
        }
        let same =
            |other: &&mut Restriction| (other.purpose_id, other.restriction_type) == (purpose_id, restriction_type);
        match restrictions.iter_mut().find(same) {
            Some(restriction) => restriction.vendors.0.extend(vendors.0),
            None => restrictions.push(Restriction { purpose_id, restriction_type, vendors }),
        }
    }
    for restriction in &mut restrictions {
        restriction.vendors = std::mem::take(&mut restriction.vendors).sorted();
    }
    Ok(restrictions)
}
