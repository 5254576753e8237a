//! TCF strings of an encoder that knows what it says, damaged ones, and those of IAB's library.

use std::collections::BTreeSet;

use corebid::limits;
use corebid::snapshot::vendor::Vendor;
use corebid::units::VendorId;
use corebid::wire::consent::Purposes;
use corebid::wire::consent::tcf::Tcf;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::encoder::{Said, Segment, Vendors, base64, number};
use crate::{ALL_PURPOSES, NO_ADVERTISING, NO_PROFILE, US, reference, samples};

/// The first moment at which a string has to say who was disclosed, tenths of a second since 1970.
const DISCLOSURE: u64 = 17_723_232_000;

fn vendors() -> impl Strategy<Value = Vendors> {
    let id = prop_oneof![4 => 1..40_u16, 3 => 1..1_200_u16, 1 => 1..=u16::MAX];
    let runs = vec((id, 0..40_u16), 0..12).prop_map(|runs| {
        runs.into_iter().flat_map(|(first, more)| first..=first.saturating_add(more)).collect::<BTreeSet<u16>>()
    });
    // A bit for each up to the highest id would be longer than any string.
    let high = |ids: &BTreeSet<u16>| ids.last().is_some_and(|id| *id > 4_000);
    (runs, any::<bool>()).prop_map(move |(ids, ranges)| Vendors { ranges: ranges || high(&ids), ids })
}

fn segments() -> impl Strategy<Value = Vec<Segment>> {
    let disclosed = prop_oneof![1 => Just(None), 3 => vendors().prop_map(|vendors| Some(Segment::Disclosed(vendors)))];
    let allowed = prop_oneof![3 => Just(None), 1 => vendors().prop_map(|vendors| Some(Segment::Allowed(vendors)))];
    let publisher = prop_oneof![Just(None), (0..64_u8).prop_map(|custom| Some(Segment::Publisher(custom)))];
    (disclosed, allowed, publisher)
        .prop_map(|(disclosed, allowed, publisher)| [disclosed, allowed, publisher].into_iter().flatten().collect())
        .prop_flat_map(|segments: Vec<Segment>| Just(segments).prop_shuffle())
}

pub(crate) fn said() -> impl Strategy<Value = Said> {
    let created = prop_oneof![
        DISCLOSURE - 3..DISCLOSURE + 3,
        0..1_u64 << 36,
        Just(DISCLOSURE + 1_000_000),
        Just(DISCLOSURE - 1_000_000)
    ];
    let restriction = (1..=24_u8, 0..3_u8, vendors());
    let country = prop_oneof![Just([0, 0]), Just([3, 4]), (0..26_u8, 0..26_u8).prop_map(|(a, b)| [a, b])];
    let head = (created, 2..4096_u16, prop_oneof![2..6_u8, 0..64_u8], any::<bool>(), country);
    let purposes = (0..1_u32 << 24, 0..1_u32 << 24);
    (head, purposes, vendors(), vendors(), vec(restriction, 0..5), segments()).prop_map(
        |(head, (consents, interests), vendor_consents, vendor_interests, restrictions, segments)| {
            let (created, cmp, policy, purpose_one_treatment, country) = head;
            Said {
                created,
                cmp,
                policy,
                precise_place: consents & 1 == 1,
                consents,
                interests,
                purpose_one_treatment,
                country,
                vendor_consents,
                vendor_interests,
                restrictions,
                segments,
            }
        },
    )
}

/// A string that was cut, some of whose bits are turned, and with characters written over others.
pub(crate) fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let flips = vec((any::<Index>(), 0..6_u32), 0..4);
    let writes = vec((any::<Index>(), prop_oneof![Just(b'.'), Just(b'A'), Just(b'_'), any::<u8>()]), 0..2);
    (said(), any::<Option<Index>>(), flips, writes).prop_map(|(said, cut, flips, writes)| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut string = said.string().into_bytes();
        if let Some(cut) = cut {
            string.truncate(cut.index(string.len()).max(1));
        }
        let length = string.len();
        for (at, bit) in flips {
            let digit = &mut string[at.index(length)];
            if let Some(value) = alphabet.iter().position(|character| character == digit) {
                *digit = alphabet[value ^ 1 << bit];
            }
        }
        for (at, byte) in writes {
            string[at.index(length)] = byte;
        }
        string
    })
}

/// A vendor of interest: at the edges of what a string names, or anywhere.
fn asked(said: &Said, pick: Index, anyone: u16) -> VendorId {
    let lists = [&said.vendor_consents, &said.vendor_interests].into_iter();
    let lists = lists.chain(said.restrictions.iter().map(|(_, _, whom)| whom));
    let mut named: Vec<u16> =
        lists.flat_map(|list| list.ids.iter().flat_map(|id| [*id, id.saturating_add(1)])).collect();
    named.extend([0, anyone]);
    VendorId(named[pick.index(named.len())])
}

fn purposes_in(field: u32) -> Purposes {
    Purposes(field & 0xff_ffff)
}

proptest! {
    #[test]
    fn a_string_says_to_each_vendor_what_was_written(said in said(), pick: Index, anyone: u16) {
        let (string, vendor) = (said.string(), asked(&said, pick, anyone));
        prop_assume!(string.len() <= limits::CONSENT_BYTES);
        prop_assert_eq!(Tcf::read(string.as_bytes(), vendor), Some(said.to(vendor)), "{}", string);
        prop_assert_eq!(reference::read(string.as_bytes(), vendor), Some(said.to(vendor)), "{}", string);
    }

    #[test]
    fn a_damaged_string_says_what_the_reference_reads(string in damaged(), vendor in prop_oneof![0..40_u16, any::<u16>()]) {
        let vendor = VendorId(vendor);
        prop_assume!(string.len() <= limits::CONSENT_BYTES);
        prop_assert_eq!(Tcf::read(&string, vendor), reference::read(&string, vendor), "{:?}", String::from_utf8_lossy(&string));
    }

    #[test]
    fn a_vendor_may_what_the_table_lets_it(
        said in said(),
        disclosed in select(vec![None, Some(true), Some(true), Some(false)]),
        bits: [bool; 2],
        restricted: [u32; 3],
        often: [u32; 3],
        declared: [u32; 3],
        specification in 2..4_u8,
        policy in 4..7_u8,
    ) {
        let mut tcf = said.to(US);
        (tcf.disclosed, tcf.vendor_consent, tcf.vendor_interest) = (disclosed, bits[0], bits[1]);
        tcf.restricted = [0, 1, 2].map(|kind| purposes_in(restricted[kind] & often[kind]));
        let [consent, interest, flexible] = declared.map(purposes_in);
        let by_interest = Purposes(interest.0 & !consent.0);
        let vendor = Vendor { by_consent: consent, by_interest, flexible, specification, policy, ..Vendor::DEMO };
        let permitted = vendor.permitted(&tcf);
        for purpose in 1..=24 {
            prop_assert_eq!(
                permitted.has(Purposes::of(purpose)),
                reference::may(&vendor, &tcf, purpose),
                "purpose {} of {:?} by {:?}", purpose, tcf, vendor
            );
        }
        prop_assert!(Purposes::ALL.has(permitted));
    }

    #[test]
    fn bytes_of_any_kind_are_read_as_the_reference_reads_them(string in vec(any::<u8>(), 0..200), vendor: u16) {
        prop_assert_eq!(Tcf::read(&string, VendorId(vendor)), reference::read(&string, VendorId(vendor)));
    }
}

/// Purposes in a list of IAB's decoding.
fn listed(purposes: &Value) -> Purposes {
    let purposes = purposes.as_array().unwrap().iter().map(|purpose| Purposes::of(purpose.as_u64().unwrap() as u32));
    purposes.fold(Purposes::NONE, Purposes::and)
}

fn ids(vendors: &Value) -> BTreeSet<u16> {
    vendors.as_array().unwrap().iter().map(|vendor| vendor.as_u64().unwrap() as u16).collect()
}

#[test]
fn iab_reads_the_same() {
    for sample in ["tcf_strings.ndjson", "tcf_generated.ndjson"].into_iter().flat_map(samples) {
        let string = sample["s"].as_str().unwrap();
        if sample["ok"] == false || sample["version"] != 2 {
            assert_eq!(Tcf::read(string.as_bytes(), US), None, "{string}");
            continue;
        }
        let [consents, interests, disclosed] =
            ["vendorConsents", "vendorLegitimateInterests", "vendorsDisclosed"].map(|list| ids(&sample[list]));
        for vendor in (0..=2_000).chain([u16::MAX]) {
            let tcf = Tcf::read(string.as_bytes(), VendorId(vendor)).expect(string);
            assert_eq!(tcf.consents, listed(&sample["purposeConsents"]), "{string}");
            assert_eq!(tcf.interests, listed(&sample["purposeLegitimateInterests"]), "{string}");
            assert_eq!(u64::from(tcf.policy), sample["policyVersion"].as_u64().unwrap(), "{string}");
            assert_eq!(tcf.purpose_one_treatment, sample["purposeOneTreatment"].as_bool().unwrap(), "{string}");
            assert_eq!(tcf.publisher_country, *sample["publisherCountryCode"].as_str().unwrap().as_bytes(), "{string}");
            let created: jiff::Timestamp = sample["created"].as_str().unwrap().parse().unwrap();
            assert_eq!(tcf.created as i64 * 100, created.as_millisecond(), "{string}");
            assert_eq!(tcf.vendor_consent, consents.contains(&vendor), "{string} {vendor}");
            assert_eq!(tcf.vendor_interest, interests.contains(&vendor), "{string} {vendor}");
            assert_eq!(tcf.disclosed.unwrap_or(false), disclosed.contains(&vendor), "{string} {vendor}");
            let mut restricted = [Purposes::NONE; 3];
            for restriction in sample["publisherRestrictions"].as_array().unwrap() {
                if ids(&restriction["vendors"]).contains(&vendor) {
                    let purpose = restriction["purposeId"].as_u64().unwrap() as u32;
                    let kind = restriction["type"].as_u64().unwrap() as usize;
                    restricted[kind] = restricted[kind].and(Purposes::of(purpose));
                }
            }
            assert_eq!(tcf.restricted, restricted, "{string} {vendor}");
        }
    }
}

/// A string whose vendor consents and restrictions, and what follows the core, are given in zeros and ones.
fn with(version: u64, vendor_consents: &str, restrictions: &str, rest: &str) -> String {
    let core = number(version, 6)
        + &number(DISCLOSURE, 36)
        + &number(DISCLOSURE, 36)
        + &number(10, 12)
        + &number(0, 12 + 6 + 12 + 12)
        + &number(5, 6)
        + &number(0, 2 + 12 + 24 + 24 + 1 + 12)
        + vendor_consents
        + &number(0, 17)
        + restrictions;
    base64(core, 24) + rest
}

/// A string of version 2 with these vendor consents, in zeros and ones.
pub(crate) fn with_consents(digits: String) -> String {
    with(2, &digits, &number(0, 12), "")
}

/// What IAB's library accepts and we do not (decision 0015, "What only one accepts"). There is nothing the other way round.
#[test]
fn only_iab_accepts() {
    let (three, nothing) = (number(3, 16) + "0" + "011", number(0, 12));
    let disclosed = format!(".{}", base64(number(1, 3) + &three, 24));
    let fine = with(2, &three, &nothing, &disclosed);
    assert_eq!(Tcf::read(fine.as_bytes(), US).map(|tcf| tcf.vendor_consent), Some(false));
    assert_eq!(Tcf::read(fine.as_bytes(), VendorId(2)).map(|tcf| tcf.vendor_consent), Some(true));

    let range = |most: u64, first: u64, last: u64| {
        number(most, 16) + "1" + &number(1, 12) + "1" + &number(first, 16) + &number(last, 16)
    };
    let restricted = |first: u64| number(1, 12) + &number(2, 6) + "00" + &number(1, 12) + "0" + &number(first, 16);
    for (what, string) in [
        ("version 1", "BOEB7cAOEB7cAAKABBAABk____AAV8AA".to_owned()),
        ("no core", disclosed[1..].to_owned()),
        ("a core that is not first", format!("{}.{}", &disclosed[1..], with(2, &three, &nothing, ""))),
        ("two cores", with(2, &three, &nothing, &format!(".{}", with(2, &three, &nothing, "")))),
        ("two disclosedVendors", with(2, &three, &nothing, &disclosed.repeat(2))),
        ("a range above MaxVendorId", with(2, &range(5, 4, 9), &nothing, "")),
        ("a range that ends before it starts", with(2, &range(5, 4, 2), &nothing, "")),
        ("a restriction of vendor 0", with(2, &three, &restricted(0), "")),
        ("longer than any", with(2, &three, &nothing, "") + &"A".repeat(limits::CONSENT_BYTES)),
    ] {
        assert_eq!(Tcf::read(string.as_bytes(), VendorId(2)), None, "{what}: {string}");
    }
    assert!(Tcf::read(with(2, &range(5, 4, 5), &restricted(1), "").as_bytes(), US).is_some());
}

/// What IAB's library refuses, we do.
#[test]
fn both_refuse() {
    let (three, nothing) = (number(3, 16) + "0111", number(0, 12));
    let fine = with(2, &three, &nothing, "");
    let restriction = |purpose: u64, kind: u64| {
        number(1, 12) + &number(purpose, 6) + &number(kind, 2) + &number(1, 12) + "0" + &number(3, 16)
    };
    let listed = |first: u64| number(5, 16) + "1" + &number(1, 12) + "0" + &number(first, 16);
    for string in [
        String::new(),
        "C".to_owned(),
        fine.clone() + ".",
        fine.clone() + "=",
        fine.clone() + "\n",
        format!(" {fine}"),
        fine.replace('A', "+"),
        with(3, &three, &nothing, ""),
        with(0, &three, &nothing, ""),
        with(2, &listed(0), &nothing, ""),
        with(2, &(number(5, 16) + "1" + &number(4_095, 12)), &nothing, ""),
        with(2, &(number(9_999, 16) + "0"), &nothing, ""),
        with(2, &three, &restriction(0, 0), ""),
        with(2, &three, &restriction(2, 3), ""),
        with(2, &three, &nothing, &format!(".{}", base64(number(4, 3) + &number(0, 60), 24))),
        with(2, &three, &nothing, &format!(".{}", base64(number(3, 3) + &number(0, 40), 24))),
        with(2, &three, &nothing, &format!(".{}", base64(number(3, 3) + &number(0, 48) + &number(63, 6), 24))),
    ] {
        assert_eq!(Tcf::read(string.as_bytes(), US), None, "{string}");
    }
    // One that restricts nobody, and a purpose nobody knows, are let pass by both.
    for restriction in [number(1, 12) + &number(0, 6) + "11" + &number(0, 12), restriction(63, 0)] {
        assert!(Tcf::read(with(2, &three, &restriction, "").as_bytes(), US).is_some());
    }
}

#[test]
fn the_demo_vendor_may_what_its_strings_say() {
    for (string, purposes) in [
        (ALL_PURPOSES, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10][..]),
        (NO_PROFILE, &[2, 7, 9, 10]),
        (NO_ADVERTISING, &[1, 3, 4]),
    ] {
        let permitted = Vendor::DEMO.permitted(&Tcf::read(string.as_bytes(), US).unwrap());
        assert_eq!(permitted, purposes.iter().copied().map(Purposes::of).fold(Purposes::NONE, Purposes::and));
        let old_list = Vendor { specification: 2, ..Vendor::DEMO };
        assert_eq!(old_list.permitted(&Tcf::read(string.as_bytes(), US).unwrap()), Purposes::NONE);
        let undisclosed = string.split_once('.').unwrap().0;
        assert_eq!(Vendor::DEMO.permitted(&Tcf::read(undisclosed.as_bytes(), US).unwrap()), Purposes::NONE);
    }
}

#[test]
fn the_longest_lists_are_read_to_their_end() {
    let said = |ids: BTreeSet<u16>| Said {
        created: DISCLOSURE,
        cmp: 10,
        policy: 5,
        precise_place: false,
        consents: 0,
        interests: 0,
        purpose_one_treatment: false,
        country: [3, 4],
        vendor_consents: Vendors { ids, ranges: true },
        vendor_interests: Vendors::default(),
        restrictions: Vec::new(),
        segments: Vec::new(),
    };
    let every_other = said((1..=1_350).map(|n| n * 2).collect());
    let string = every_other.string();
    assert!(string.len() < limits::CONSENT_BYTES, "{}", string.len());
    for vendor in [1, 2, 1_349, 1_350, 2_699, 2_700, 2_701] {
        let tcf = Tcf::read(string.as_bytes(), VendorId(vendor)).unwrap();
        assert_eq!(tcf.vendor_consent, vendor % 2 == 0 && vendor <= 2_700, "{vendor}");
    }
}
