//! The Global Vendor List: the first byte is the vendor, the rest the list; what is read of it is what it says as a whole.

use corebid::snapshot::vendor::Vendor;
use corebid::units::VendorId;
use corebid::wire::consent::Purposes;
use serde_json::Value;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&id, list)) = input.split_first() else { return };
    let (Ok(text), id) = (std::str::from_utf8(list), VendorId(id.into())) else { return };
    let vendor = match Vendor::from_gvl(text, id) {
        Ok(vendor) => vendor,
        Err(what) => return assert!(!what.is_empty() && !what.contains('\n'), "{what}"),
    };
    // It is stricter: no float, no lone surrogate, nothing nested deeper than 128 even where it is not read.
    let Ok(list) = serde_json::from_str::<Value>(text) else { return };
    let named = |(name, _): &(&String, &Value)| name.parse() == Ok(id.0);
    let vendors: Vec<_> = list["vendors"].as_object().expect("an object").iter().filter(named).collect();
    let [(_, entry)] = vendors[..] else {
        // One number in two spellings.
        return assert!(vendors.len() > 1);
    };
    let purposes = |key: &str| {
        let numbers =
            entry[key].as_array().expect("a list").iter().map(|number| number.as_u64().expect("a number") as u32);
        numbers.fold(Purposes::NONE, |all, number| all.and(Purposes::of(number)))
    };
    assert_eq!(
        vendor,
        Vendor {
            id,
            by_consent: purposes("purposes"),
            by_interest: purposes("legIntPurposes"),
            flexible: purposes("flexiblePurposes"),
            precise_place: entry["specialFeatures"].as_array().is_some_and(|features| features.contains(&1.into())),
            specification: list["gvlSpecificationVersion"].as_u64().expect("a number") as u8,
            policy: list["tcfPolicyVersion"].as_u64().expect("a number") as u8,
        }
    );
    assert!(matches!(vendor.specification, 2 | 3) && vendor.by_consent.both(vendor.by_interest) == Purposes::NONE);
    assert!(entry["deletedDate"].is_null());
}
