//! What a string says of one vendor.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Decoded;
use super::vendors::Vendors;

/// What a string says of one vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfVendor {
    /// The vendor.
    pub id: u16,
    /// A TC string's word, or that of each section of a GPP string that names vendors, with the section's name. Strings and
    /// sections of the United States name none.
    pub said: Vec<(Option<&'static str>, Said)>,
}

/// The word of one string or section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The legal bases, with their names: consent and legitimate interest, or express and implied consent.
    pub bases: [(&'static str, bool); 2],
    /// Whether the vendor was disclosed to the user; `None` if the string does not say who was.
    pub disclosed: Option<bool>,
    /// The publisher's restrictions of the vendor: purpose and type of each.
    pub restrictions: Vec<(u64, u64)>,
}

impl OfVendor {
    /// Looks a vendor up.
    pub fn of(decoded: &Decoded, id: u16) -> OfVendor {
        let has = |vendors: Option<&Vendors>| vendors.is_some_and(|vendors| vendors.has(id));
        let said = match decoded {
            Decoded::Tcf(tcf) => {
                let said = Said {
                    bases: [
                        ("consent", tcf.vendor_consents.has(id)),
                        ("legitimateInterest", tcf.vendor_legitimate_interests.has(id)),
                    ],
                    disclosed: tcf.vendors_disclosed.as_ref().map(|vendors| vendors.has(id)),
                    restrictions: tcf.restrictions_of(id).collect(),
                };
                vec![(None, said)]
            }
            Decoded::Gpp(gpp) => {
                let said = gpp.sections.iter().filter_map(|section| {
                    let (bases, disclosed) = match section.name {
                        "tcfeuv2" => (
                            [
                                ("consent", has(section.vendors("VendorConsents"))),
                                ("legitimateInterest", has(section.vendors("VendorLegitimateInterests"))),
                            ],
                            has(section.vendors("VendorsDisclosed")),
                        ),
                        "tcfcav1" => (
                            [
                                ("expressConsent", has(section.vendors("VendorExpressConsent"))),
                                ("impliedConsent", has(section.vendors("VendorImpliedConsent"))),
                            ],
                            has(section.vendors("DisclosedVendors")),
                        ),
                        _ => return None,
                    };
                    let disclosed = section.discloses.then_some(disclosed);
                    let restrictions = section.restrictions_of(id).collect();
                    Some((Some(section.name), Said { bases, disclosed, restrictions }))
                });
                said.collect()
            }
            Decoded::UsPrivacy(_) => Vec::new(),
        };
        OfVendor { id, said }
    }
}

impl Said {
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Restriction {
            purpose_id: u64,
            #[serde(rename = "type")]
            restriction_type: u64,
        }
        for (name, given) in &self.bases {
            map.serialize_entry(name, given)?;
        }
        map.serialize_entry("disclosed", &self.disclosed)?;
        let restriction = |&(purpose_id, restriction_type): &_| Restriction { purpose_id, restriction_type };
        map.serialize_entry("restrictions", &self.restrictions.iter().map(restriction).collect::<Vec<_>>())
    }
}

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write(&mut map)?;
        map.end()
    }
}

impl Serialize for OfVendor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        for (section, said) in &self.said {
            match section {
                Some(section) => map.serialize_entry(section, said)?,
                None => said.write(&mut map)?,
            }
        }
        map.end()
    }
}
