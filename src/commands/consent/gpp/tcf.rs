//! The sections that are made as the TC string is: of the EU, and of Canada.

use super::{Fields, Restriction, Section, Value};
use crate::commands::consent::Refused;
use crate::commands::consent::bits::Bits;
use crate::commands::consent::time::Deciseconds;
use crate::commands::consent::vendors::{Coding, Vendors, optimized_range};

/// The core, and the segments of types 1, 2 and 3.
type Segments<'a> = (Bits<'a>, [Option<Bits<'a>>; 3]);

/// The segments of a section. Their first three bits tell the type: the core's version begins with zeros.
fn segments<'a>(title: &'static str, text: &'a str, types: &[usize]) -> Result<Segments<'a>, Refused> {
    let mut segments = [const { None }; 4];
    for part in text.split('.').filter(|part| !part.is_empty()) {
        let bits = Bits::new(title, part)?;
        let kind = usize::from(bits.clone().short("SegmentType", 3)?);
        if !types.contains(&kind) {
            return Err(bits.refused(format_args!("has no segments of type {kind}")));
        }
        if segments[kind].is_some() {
            return Err(bits.refused(format_args!("a segment of type {kind} comes twice")));
        }
        segments[kind] = Some(bits);
    }
    let [core, others @ ..] = segments;
    core.map(|core| (core, others)).ok_or_else(|| Refused::new(format!("{title}: has no core segment")))
}

/// Section 2.
pub(super) fn europe(text: &str) -> Result<Section, Refused> {
    let (core, [disclosed, allowed, publisher]) = segments("GPP string, tcfeuv2", text, &[0, 1, 2, 3])?;
    let mut fields = europe_core(core)?;
    let discloses = disclosed.is_some();
    fields.extend(purposes(
        publisher,
        [
            "PublisherPurposesSegmentType",
            "PublisherConsents",
            "PublisherLegitimateInterests",
            "NumCustomPurposes",
            "PublisherCustomConsents",
            "PublisherCustomLegitimateInterests",
        ],
    )?);
    for (segment, kind, names) in [
        (allowed, 2, ["VendorsAllowedSegmentType", "VendorsAllowed"]),
        (disclosed, 1, ["VendorsDisclosedSegmentType", "VendorsDisclosed"]),
    ] {
        let vendors = match segment {
            Some(mut bits) => {
                bits.int(names[0], 3)?;
                optimized_range(&mut bits, names[1], Coding::Fixed)?.0
            }
            None => Vendors::default(),
        };
        fields.extend([(names[0], Value::Int(kind)), (names[1], Value::Vendors(vendors))]);
    }
    Ok(Section { name: "tcfeuv2", fields, discloses })
}

fn europe_core(mut bits: Bits<'_>) -> Result<Fields, Refused> {
    let bits = &mut bits;
    let mut fields = opening(bits, 2)?;
    fields.extend([
        int(bits, "PolicyVersion", 6)?,
        flag(bits, "IsServiceSpecific")?,
        flag(bits, "UseNonStandardStacks")?,
        flags(bits, "SpecialFeatureOptins", 12)?,
        flags(bits, "PurposeConsents", 24)?,
        flags(bits, "PurposeLegitimateInterests", 24)?,
        flag(bits, "PurposeOneTreatment")?,
        letters(bits, "PublisherCountryCode")?,
    ]);
    for name in ["VendorConsents", "VendorLegitimateInterests"] {
        fields.push((name, Value::Vendors(optimized_range(bits, name, Coding::Fixed)?.0)));
    }
    let name = "PublisherRestrictions";
    let restrictions = restrictions(bits, name, |bits| Ok((bits.ranges(name)?, true)))?.0;
    fields.push((name, Value::Restrictions(restrictions)));
    Ok(fields)
}

/// Section 5. Its lists are in Fibonacci code; strings from before the library wrote them so have integers of 16 bits. Nothing
/// in a string says which. As in the library, the coding is the one in which an encoder would write the same bits again, and
/// Fibonacci if none is.
pub(super) fn canada(text: &str) -> Result<Section, Refused> {
    let (core, [disclosed, _, publisher]) = segments("GPP string, tcfcav1", text, &[0, 1, 3])?;
    let mut fields = either(|coding| canada_core(core.clone(), coding))?;
    let discloses = disclosed.is_some();
    fields.extend(purposes(
        publisher,
        [
            "PubPurposesSegmentType",
            "PubPurposesExpressConsent",
            "PubPurposesImpliedConsent",
            "NumCustomPurposes",
            "CustomPurposesExpressConsent",
            "CustomPurposesImpliedConsent",
        ],
    )?);
    let vendors = match disclosed {
        Some(bits) => either(|coding| {
            let mut bits = bits.clone();
            bits.int("DisclosedVendorsSegmentType", 3)?;
            optimized_range(&mut bits, "DisclosedVendors", coding)
        })?,
        None => Vendors::default(),
    };
    fields.extend([("DisclosedVendorsSegmentType", Value::Int(1)), ("DisclosedVendors", Value::Vendors(vendors))]);
    Ok(Section { name: "tcfcav1", fields, discloses })
}

/// Reads in the coding that fits. `read` says with what it reads whether an encoder would write it so.
fn either<T>(read: impl Fn(Coding) -> Result<(T, bool), Refused>) -> Result<T, Refused> {
    let fibonacci = read(Coding::Fibonacci);
    if let Ok((read, true)) = fibonacci {
        return Ok(read);
    }
    match read(Coding::Fixed) {
        Ok((read, true)) => Ok(read),
        _ => fibonacci.map(|(read, _)| read),
    }
}

fn canada_core(mut bits: Bits<'_>, coding: Coding) -> Result<(Fields, bool), Refused> {
    let bits = &mut bits;
    let mut fields = opening(bits, 1)?;
    fields.extend([
        int(bits, "TcfPolicyVersion", 6)?,
        flag(bits, "UseNonStandardStacks")?,
        flags(bits, "SpecialFeatureExpressConsent", 12)?,
        flags(bits, "PurposesExpressConsent", 24)?,
        flags(bits, "PurposesImpliedConsent", 24)?,
    ]);
    let mut canonical = true;
    for name in ["VendorExpressConsent", "VendorImpliedConsent"] {
        let (vendors, written_so) = optimized_range(bits, name, coding)?;
        canonical &= written_so;
        fields.push((name, Value::Vendors(vendors)));
    }
    let name = "PubRestrictions";
    let (restrictions, written_so) = restrictions(bits, name, |bits| match coding {
        Coding::Fixed => coding.entries(bits, name),
        Coding::Fibonacci => optimized_range(bits, name, coding),
    })?;
    fields.push((name, Value::Restrictions(restrictions)));
    Ok((fields, canonical && written_so))
}

/// What both cores begin with.
fn opening(bits: &mut Bits<'_>, version: u64) -> Result<Fields, Refused> {
    let read = int(bits, "Version", 6)?;
    if read.1 != Value::Int(version) {
        return Err(bits.refused(format_args!("is not of version {version}")));
    }
    Ok(vec![
        read,
        ("Created", Value::Time(Deciseconds(bits.int("Created", 36)?))),
        ("LastUpdated", Value::Time(Deciseconds(bits.int("LastUpdated", 36)?))),
        int(bits, "CmpId", 12)?,
        int(bits, "CmpVersion", 12)?,
        int(bits, "ConsentScreen", 6)?,
        letters(bits, "ConsentLanguage")?,
        int(bits, "VendorListVersion", 12)?,
    ])
}

/// The publisher's own purposes; none allowed without the segment.
fn purposes(segment: Option<Bits<'_>>, names: [&'static str; 6]) -> Result<Fields, Refused> {
    let [kind, first, second, custom, first_custom, second_custom] = names;
    let Some(mut bits) = segment else {
        return Ok(vec![
            (kind, Value::Int(3)),
            (first, Value::Flags(vec![false; 24])),
            (second, Value::Flags(vec![false; 24])),
            (custom, Value::Int(0)),
            (first_custom, Value::Flags(Vec::new())),
            (second_custom, Value::Flags(Vec::new())),
        ]);
    };
    let bits = &mut bits;
    let mut fields = vec![int(bits, kind, 3)?, flags(bits, first, 24)?, flags(bits, second, 24)?];
    let count = bits.short(custom, 6)?;
    fields.push((custom, Value::Int(u64::from(count))));
    fields.extend([flags(bits, first_custom, count.into())?, flags(bits, second_custom, count.into())?]);
    Ok(fields)
}

/// Restrictions, whose lists `list` reads and judges.
fn restrictions(
    bits: &mut Bits<'_>,
    field: &str,
    list: impl Fn(&mut Bits<'_>) -> Result<(Vendors, bool), Refused>,
) -> Result<(Vec<Restriction>, bool), Refused> {
    let mut canonical = true;
    let mut restriction = |bits: &mut Bits<'_>| {
        let (key, restriction_type) = (bits.int(field, 6)?, bits.int(field, 2)?);
        let (ids, written_so) = list(bits)?;
        canonical &= written_so;
        Ok(Restriction { key, restriction_type, ids })
    };
    let count = bits.int(field, 12)?;
    let restrictions = (0..count).map(|_| restriction(bits)).collect::<Result<_, _>>()?;
    Ok((restrictions, canonical))
}

type Field = Result<(&'static str, Value), Refused>;

fn int(bits: &mut Bits<'_>, name: &'static str, width: u32) -> Field {
    Ok((name, Value::Int(bits.int(name, width)?)))
}

fn flag(bits: &mut Bits<'_>, name: &'static str) -> Field {
    Ok((name, Value::Flag(bits.flag(name)?)))
}

fn flags(bits: &mut Bits<'_>, name: &'static str, count: usize) -> Field {
    Ok((name, Value::Flags(bits.flags(name, count)?)))
}

/// Two letters. A blank, which the library reads out of the highest code, is none.
fn letters(bits: &mut Bits<'_>, name: &'static str) -> Field {
    let letters = bits.letters(name)?;
    match letters.is_ascii() {
        true => Ok((name, Value::Text(letters))),
        false => Err(bits.refused(format_args!("{name} is not two letters"))),
    }
}
