//! Sections of the United States: the national one and those of the states. All are built alike, of integers of two bits.

use super::{Fields, Section, Value};
use crate::commands::consent::Refused;
use crate::commands::consent::bits::Bits;

/// How a section is laid out.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) id: u16,
    name: &'static str,
    /// How messages call it.
    title: &'static str,
    /// The core segment: the version, of six bits; then integers of two, as many as stand there, or one (0).
    core: &'static [(&'static str, usize)],
    second: Second,
}

/// What a second segment, which may be left out, holds.
#[derive(Clone, Copy, Debug)]
enum Second {
    Absent,
    /// Global Privacy Control.
    Gpc,
    /// Consents to the processing of sensitive data.
    Sensitive,
}

/// Version 1 of the national section knew fewer kinds of sensitive data and of children's ages. Its bits are told by their
/// length, as they fit 11 characters and those of its successor do not; what is said, by the version that the string gives.
const NATIONAL: u16 = 7;
const NATIONAL_1_CHARACTERS: std::ops::RangeInclusive<usize> = 10..=11;
const NATIONAL_1: [(&str, usize); 2] = [("SensitiveDataProcessing", 12), ("KnownChildSensitiveDataConsents", 2)];

impl Layout {
    pub(super) fn read(&self, text: &str) -> Result<Section, Refused> {
        let mut segments = text.split('.');
        let core = segments.next().unwrap_or_default();
        let mut bits = Bits::new(self.title, core)?;
        let version = bits.clone().int("Version", 6)?;
        let mut fields = Fields::new();
        for (place, &(field, count)) in self.core.iter().enumerate() {
            fields.push((
                field,
                match (place, count) {
                    (0, _) => Value::Int(bits.int(field, 6)?),
                    (_, 0) => Value::Int(bits.int(field, 2)?),
                    _ => {
                        let written = self.count(NATIONAL_1_CHARACTERS.contains(&core.len()), field, count);
                        Value::Ints(integers(&mut bits, field, written, self.count(version == 1, field, count))?)
                    }
                },
            ));
        }
        self.read_second(segments.next(), &mut fields)?;
        Ok(Section { name: self.name, fields, discloses: false })
    }

    /// How many integers a list has that has `count` today.
    fn count(&self, version_1: bool, field: &str, count: usize) -> usize {
        let then = NATIONAL_1.iter().find(|(list, _)| self.id == NATIONAL && version_1 && *list == field);
        then.map_or(count, |(_, then)| *then)
    }

    fn read_second(&self, text: Option<&str>, fields: &mut Fields) -> Result<(), Refused> {
        let bits = || text.map(|text| Bits::new(self.title, text)).transpose();
        match self.second {
            Second::Absent => {}
            Second::Gpc => {
                let (kind, gpc) = match bits()? {
                    Some(mut bits) => (bits.int("GpcSegmentType", 2)?, bits.flag("Gpc")?),
                    None => (1, false),
                };
                fields.push(("GpcSegmentType", Value::Int(kind)));
                fields.push(("Gpc", Value::Flag(gpc)));
            }
            Second::Sensitive => {
                let name = "SensitiveDataProcessing";
                let consents = match bits()? {
                    Some(mut bits) => integers(&mut bits, name, 8, 8)?,
                    None => vec![0; 8],
                };
                fields.push((name, Value::Ints(consents)));
            }
        }
        Ok(())
    }
}

/// `written` integers of two bits, of which as many count: what is not written is 0.
fn integers(bits: &mut Bits<'_>, field: &str, written: usize, count: usize) -> Result<Vec<u64>, Refused> {
    let mut integers = (0..written).map(|_| bits.int(field, 2)).collect::<Result<Vec<_>, _>>()?;
    integers.resize(count, 0);
    Ok(integers)
}

macro_rules! layouts {
    ($($id:literal $section:ident $second:ident: $($field:ident $([$count:literal])?)*;)*) => {
        &[$(Layout {
            id: $id,
            name: stringify!($section),
            title: concat!("GPP string, ", stringify!($section)),
            core: &[$((stringify!($field), 0 $(+ $count)?)),*],
            second: Second::$second,
        }),*]
    };
}

/// Each section, with the fields in the order of the string.
pub(super) const LAYOUTS: &[Layout] = layouts! {
    7 usnat Gpc:
        Version SharingNotice SaleOptOutNotice SharingOptOutNotice TargetedAdvertisingOptOutNotice
        SensitiveDataProcessingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut
        TargetedAdvertisingOptOut SensitiveDataProcessing[16] KnownChildSensitiveDataConsents[3] PersonalDataConsents
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    8 usca Gpc:
        Version SaleOptOutNotice SharingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut
        SensitiveDataProcessing[9] KnownChildSensitiveDataConsents[2] PersonalDataConsents MspaCoveredTransaction
        MspaOptOutOptionMode MspaServiceProviderMode;
    9 usva Absent:
        Version SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[8] KnownChildSensitiveDataConsents MspaCoveredTransaction MspaOptOutOptionMode
        MspaServiceProviderMode;
    10 usco Gpc:
        Version SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[7] KnownChildSensitiveDataConsents MspaCoveredTransaction MspaOptOutOptionMode
        MspaServiceProviderMode;
    11 usut Absent:
        Version SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataProcessingOptOutNotice
        SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing[8] KnownChildSensitiveDataConsents
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    12 usct Gpc:
        Version SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[8] KnownChildSensitiveDataConsents[3] MspaCoveredTransaction MspaOptOutOptionMode
        MspaServiceProviderMode;
    13 usfl Absent:
        Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[8] KnownChildSensitiveDataConsents[3] AdditionalDataProcessingConsent
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    14 usmt Gpc:
        Version SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[8] KnownChildSensitiveDataConsents[3] AdditionalDataProcessingConsent
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    15 usor Gpc:
        Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[11] KnownChildSensitiveDataConsents[3] AdditionalDataProcessingConsent
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    16 ustx Gpc:
        Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[8] KnownChildSensitiveDataConsents AdditionalDataProcessingConsent
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    17 usde Gpc:
        Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[9] KnownChildSensitiveDataConsents[5] AdditionalDataProcessingConsent
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    18 usia Gpc:
        Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataOptOutNotice SaleOptOut
        TargetedAdvertisingOptOut SensitiveDataProcessing[8] KnownChildSensitiveDataConsents MspaCoveredTransaction
        MspaOptOutOptionMode MspaServiceProviderMode;
    19 usne Gpc:
        Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[8] KnownChildSensitiveDataConsents AdditionalDataProcessingConsent
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    20 usnh Gpc:
        Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[8] KnownChildSensitiveDataConsents[3] AdditionalDataProcessingConsent
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    21 usnj Gpc:
        Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[10] KnownChildSensitiveDataConsents[5] AdditionalDataProcessingConsent
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    22 ustn Gpc:
        Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[8] KnownChildSensitiveDataConsents AdditionalDataProcessingConsent
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    23 usmn Gpc:
        Version ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut
        SensitiveDataProcessing[8] KnownChildSensitiveDataConsents AdditionalDataProcessingConsent
        MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode;
    24 usmd Gpc:
        MspaVersion MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice
        SaleOptOut TargetedAdvertisingOptOut AdditionalDataProcessingConsent;
    25 usin Sensitive:
        MspaVersion MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice
        SaleOptOut TargetedAdvertisingOptOut KnownChildSensitiveDataConsents AdditionalDataProcessingConsent;
    26 usky Sensitive:
        MspaVersion MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice
        SaleOptOut TargetedAdvertisingOptOut KnownChildSensitiveDataConsents AdditionalDataProcessingConsent;
    27 usri Sensitive:
        MspaVersion MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice
        SaleOptOut TargetedAdvertisingOptOut KnownChildSensitiveDataConsents AdditionalDataProcessingConsent;
};
