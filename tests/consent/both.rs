//! The reader of the bid path beside the decoder of `corebid consent`, which reads as IAB's libraries do: on strings that both
//! take they say the same, and what only the decoder takes is listed in decision 0015.

use corebid::commands::consent::{self, Decoded, OfVendor};
use corebid::limits;
use corebid::units::VendorId;
use corebid::wire::consent::Purposes;
use corebid::wire::consent::gpp::{Gpp, Sections};
use corebid::wire::consent::tcf::Tcf;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::encoder::number;
use crate::tcf::{damaged, said};
use crate::{gpp, reference};

/// Why only the decoder takes a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Only {
    /// Of version 1, which permits nothing.
    Version1,
    /// An entry of a list is above its `MaxVendorId` or ends before it starts.
    Contradiction,
    /// Longer than any of a CMP.
    Long,
}

fn only_decoded(string: &str, decoded: &consent::Tcf) -> Option<Only> {
    match () {
        () if string.len() > limits::CONSENT_BYTES => Some(Only::Long),
        () if decoded.version == 1 => Some(Only::Version1),
        () if reference::contradicts_itself(string) => Some(Only::Contradiction),
        () => None,
    }
}

fn purposes(listed: &consent::OfVendor, kind: u64) -> Purposes {
    let restrictions = listed.said.iter().flat_map(|(_, said)| &said.restrictions);
    let known = restrictions.filter(|(purpose, of)| *of == kind && (1..=24).contains(purpose));
    known.map(|(purpose, _)| Purposes::of(*purpose as u32)).fold(Purposes::NONE, Purposes::and)
}

fn set(ids: impl Iterator<Item = u16>) -> Purposes {
    ids.map(|id| Purposes::of(id.into())).fold(Purposes::NONE, Purposes::and)
}

/// What the decoder says to one vendor, in the words of the reader.
fn to(decoded: &consent::Tcf, vendor: u16) -> Tcf {
    let listed = OfVendor::of(&Decoded::Tcf(Box::new(decoded.clone())), vendor);
    let said = &listed.said[0].1;
    Tcf {
        created: decoded.created.0,
        policy: decoded.policy_version as u8,
        precise_place: decoded.special_feature_optins.iter().any(|feature| feature == 1),
        purpose_one_treatment: decoded.purpose_one_treatment,
        publisher_country: decoded.publisher_country_code.as_bytes().try_into().unwrap(),
        consents: set(decoded.purpose_consents.iter()),
        interests: set(decoded.purpose_legitimate_interests.iter()),
        vendor_consent: said.bases[0].1,
        vendor_interest: said.bases[1].1,
        disclosed: said.disclosed,
        restricted: [0, 1, 2].map(|kind| purposes(&listed, kind)),
    }
}

/// Whether both say the same of a TCF string to some vendors; else how they differ.
fn same(string: &str, vendors: &[u16]) -> Result<(), String> {
    let decoded = match consent::Tcf::decode(string) {
        Ok(decoded) if only_decoded(string, &decoded).is_none() => Some(decoded),
        _ => None,
    };
    for vendor in vendors {
        let (ours, theirs) =
            (Tcf::read(string.as_bytes(), VendorId(*vendor)), decoded.as_ref().map(|it| to(it, *vendor)));
        if ours != theirs {
            return Err(format!("{string:?} to {vendor}\n   read: {ours:?}\ndecoded: {theirs:?}"));
        }
    }
    Ok(())
}

/// Vendors at the edges of what a string names, and others.
fn vendors(string: &str, others: &[u16]) -> Vec<u16> {
    let mut vendors = vec![1, 2, 501, u16::MAX];
    if let Ok(tcf) = consent::Tcf::decode(string) {
        let lists =
            [Some(&tcf.vendor_consents), Some(&tcf.vendor_legitimate_interests), tcf.vendors_disclosed.as_ref()];
        let lists = lists.into_iter().flatten().chain(tcf.publisher_restrictions.iter().map(|it| &it.vendors));
        let edges = lists.flat_map(|list| {
            list.0.iter().flat_map(|(first, last)| [first - 1, *first, *last, last.saturating_add(1)])
        });
        vendors.extend(edges.take(60).filter(|vendor| *vendor > 0));
    }
    vendors.extend(others.iter().filter(|vendor| **vendor > 0));
    vendors
}

/// What the decoder makes of the one section of the United States in a string: whether that leaves data to us.
fn decoded_leaves(string: &str) -> Option<bool> {
    let Ok(Decoded::Gpp(decoded)) = consent::decode(string) else { return None };
    let sections = serde_json::to_value(&decoded).unwrap()["sections"].take();
    let sections = sections.as_object()?;
    (sections.len() == 1).then(|| sections.values().all(gpp::decoded_leaves))
}

/// Whether the reader refuses a section that the decoder takes: its version is none there is, or is not that of its length,
/// or what follows the core is not what may follow, or says what the decoder does not look for.
fn only_decoded_section(string: &str) -> bool {
    let Ok(Decoded::Gpp(decoded)) = consent::decode(string) else { return false };
    let id = decoded.section_ids[0];
    let mut subsections = string.split('~').nth(1).unwrap().split('.');
    let core = subsections.next().unwrap();
    let version = match serde_json::to_value(&decoded.sections[0]).unwrap() {
        Value::Object(fields) => fields.get("Version").or(fields.get("MspaVersion")).unwrap().as_u64(),
        _ => None,
    };
    let version = match (id, version) {
        (7, Some(1)) => (10..=11).contains(&core.len()),
        (7, Some(2)) => core.len() >= 12,
        (7, _) => false,
        (_, version) => version == Some(1),
    };
    let rest: Vec<_> = subsections.map(|text| text.chars().next().map_or((text, 'A'), |first| (text, first))).collect();
    // Their type is 1 and, in the bit after it, Global Privacy Control, which the decoder looks for in one subsection or none.
    let unseen = if [9, 11, 13].contains(&id) { 0 } else { 1 };
    let follows = match id {
        25..=27 => rest.iter().all(|(text, _)| text.len() >= 3),
        _ => {
            rest.iter().all(|(_, first)| ('Q'..='f').contains(first))
                && !rest.iter().skip(unseen).any(|(_, first)| ('Y'..='f').contains(first))
        }
    };
    !version || !follows
}

proptest! {
    #[test]
    fn both_say_the_same_of_a_string(said in said(), others: [u16; 3]) {
        let string = said.string();
        prop_assert_eq!(same(&string, &vendors(&string, &others)), Ok(()));
    }

    #[test]
    fn both_say_the_same_of_a_damaged_string(string in damaged(), others: [u16; 3]) {
        if let Ok(string) = String::from_utf8(string) {
            prop_assert_eq!(same(&string, &vendors(&string, &others)), Ok(()));
        }
    }

    #[test]
    fn both_say_the_same_of_the_section_of_the_eu(said in said(), vendor in 1..1_200_u16) {
        let string = said.string();
        prop_assume!(string.len() < limits::CONSENT_BYTES - 8);
        let decoded = consent::decode(&format!("DBABMA~{string}"));
        let decoded = decoded.map(|decoded| OfVendor::of(&decoded, vendor));
        let read = Gpp::read(format!("DBABMA~{string}").as_bytes(), Some(Sections::TCF_EU), VendorId(vendor));
        let (decoded, read) = (decoded.expect("a whole string"), read.tcf.expect("a whole string"));
        let theirs = &decoded.said[0].1;
        prop_assert_eq!([read.vendor_consent, read.vendor_interest], theirs.bases.map(|(_, has)| has), "{}", &string);
        prop_assert_eq!(read.disclosed, theirs.disclosed, "{}", &string);
        prop_assert_eq!(read.restricted, [0, 1, 2].map(|kind| purposes(&decoded, kind)), "{}", &string);
    }

    #[test]
    fn both_say_the_same_of_a_section_of_the_united_states(
        section in gpp::section(),
        version in prop_oneof![6 => Just(None), 1 => (0..64_u64).prop_map(Some)],
        end in prop_oneof![4 => Just(String::new()), 1 => "\\.[A-Za-z]{1,4}", 1 => "[A-Z]{1,3}"],
        cut in prop_oneof![4 => Just(None), 1 => any::<Index>().prop_map(Some)],
    ) {
        let string = gpp::alone(&section, version) + &end;
        let string = &string[..cut.map_or(string.len(), |cut| cut.index(string.len()))];
        let read = !Gpp::read(string.as_bytes(), Some(Sections(1 << gpp::id(&section))), VendorId(1)).opted_out;
        let expected = decoded_leaves(string) == Some(true) && !only_decoded_section(string);
        prop_assert_eq!(read, expected, "{} {:?}", string, consent::decode(string));
    }
}

/// Each kind of string that only the decoder takes.
#[test]
fn only_the_decoder_takes() {
    let long = format!("{}{}", crate::ALL_PURPOSES, "A".repeat(limits::CONSENT_BYTES));
    // One entry, where 5 is the highest vendor.
    let one = |first: u64, last: u64| {
        let (range, end) = if first == last { ("0", String::new()) } else { ("1", number(last, 16)) };
        crate::tcf::with_consents(number(5, 16) + "1" + &number(1, 12) + range + &number(first, 16) + &end)
    };
    for fine in [one(5, 5), one(4, 5)] {
        assert_eq!(same(&fine, &[3, 4, 5, 6]), Ok(()));
        assert!(Tcf::read(fine.as_bytes(), VendorId(5)).is_some_and(|tcf| tcf.vendor_consent), "{fine}");
    }
    for (string, why) in [
        ("BOEB7cAOEB7cAAKABBAABk____AAV8AA", Only::Version1),
        (&one(6, 6), Only::Contradiction),
        (&one(4, 6), Only::Contradiction),
        (&one(4, 3), Only::Contradiction),
        (&long, Only::Long),
    ] {
        let decoded = consent::Tcf::decode(string).unwrap();
        assert_eq!(only_decoded(string, &decoded), Some(why), "{string}");
        assert_eq!(Tcf::read(string.as_bytes(), VendorId(4)), None, "{string}");
    }
}

proptest! {
    /// Of bytes of any kind, nothing is read that the decoder refuses.
    #[test]
    fn nothing_is_read_that_is_not_decoded(string in "[CD][A-Za-z0-9_.~-]{0,120}", vendors in vec(1..=u16::MAX, 3)) {
        prop_assert_eq!(same(&string, &vendors), Ok(()));
    }
}
