//! GPP strings of an encoder that knows what it says, and those of IAB's library.

use std::collections::{BTreeMap, BTreeSet};

use corebid::units::VendorId;
use corebid::wire::consent::gpp::{Gpp, Sections};
use corebid::wire::consent::tcf::Tcf;
use corebid::wire::consent::us_privacy;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::encoder::{base64, number};
use crate::sections::CORES;
use crate::{ALL_PURPOSES, NO_PROFILE, US, samples};

/// A number in Fibonacci coding: the sum of numbers of the sequence 1, 2, 3, 5, 8 … that takes the greatest first.
fn fibonacci(mut value: u64) -> String {
    let mut sequence = vec![1, 2];
    while *sequence.last().unwrap() <= value {
        sequence.push(sequence[sequence.len() - 1] + sequence[sequence.len() - 2]);
    }
    let mut digits = String::new();
    for term in sequence.into_iter().rev() {
        if term <= value {
            value -= term;
            digits.insert(0, '1');
        } else if !digits.is_empty() {
            digits.insert(0, '0');
        }
    }
    digits + "1"
}

fn header(ids: &BTreeSet<u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *id => *last = *id,
            _ => runs.push((*id, *id)),
        }
    }
    let mut digits = number(3, 6) + &number(1, 6) + &number(runs.len() as u64, 12);
    let mut before = 0;
    for (first, last) in runs {
        digits += if first == last { "0" } else { "1" };
        digits += &fibonacci(u64::from(first - before));
        if first != last {
            digits += &fibonacci(u64::from(last - first));
        }
        before = last;
    }
    base64(digits, 8)
}

fn string(sections: &BTreeMap<u32, String>) -> String {
    let ids = sections.keys().copied().collect();
    std::iter::once(header(&ids)).chain(sections.values().cloned()).collect::<Vec<_>>().join("~")
}

/// A section of the United States with the values of its fields, by name, and what its subsections say.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    id: u32,
    version: u64,
    fields: Vec<(&'static str, u64)>,
    /// Global Privacy Control, where the section has room for it.
    control: Option<bool>,
}

impl Section {
    fn text(&self) -> String {
        let digits = number(self.version, 6);
        let digits = self.fields.iter().fold(digits, |digits, (_, value)| digits + &number(*value, 2));
        let mut text = base64(digits, 8);
        if let Some(control) = self.control {
            text = text + "." + &base64(number(1, 2) + if control { "1" } else { "0" }, 8);
        }
        text
    }

    /// The rule, by the names of the fields.
    fn leaves(&self) -> bool {
        let denies = |(name, value): &(&str, u64)| match *name {
            "SaleOptOut" | "SharingOptOut" | "TargetedAdvertisingOptOut" => [1, 3].contains(value),
            "KnownChildSensitiveDataConsents" => *value != 0,
            "MspaServiceProviderMode" => [1, 3].contains(value),
            "MspaMode" => [2, 3].contains(value),
            _ => false,
        };
        !self.fields.iter().any(denies) && self.control != Some(true)
    }
}

fn field_names(core: &'static str) -> Vec<&'static str> {
    let fields = core.split_whitespace().map(|field| field.split_once('*').unwrap_or((field, "1")));
    let versions = ["Version", "MspaVersion"];
    let repeated = fields.filter(|(name, _)| !versions.contains(name));
    repeated.flat_map(|(name, times)| vec![name; times.parse().unwrap()]).collect()
}

/// Sections most of whose fields say nothing, as in practice, so that each may decide.
pub(crate) fn section() -> impl Strategy<Value = Section> {
    select(CORES.to_vec()).prop_flat_map(|(id, version, core)| {
        let names = field_names(core);
        let values = vec(prop_oneof![24 => select(vec![0, 2]), 1 => 0..4_u64], names.len());
        let control = if (25..=27).contains(&id) { Just(None).boxed() } else { option::of(any::<bool>()).boxed() };
        (values, control, any::<bool>()).prop_map(move |(values, control, calm)| {
            let fields = names.iter().copied().zip(values);
            // The opt-outs are either all 0 or 2, or anything: else nearly all strings would say no.
            let quiet = |(name, value): (&'static str, u64)| match name {
                "KnownChildSensitiveDataConsents" | "MspaMode" if calm => (name, 0),
                _ if calm => (name, value & 2),
                _ => (name, value),
            };
            Section { id, version, fields: fields.map(quiet).collect(), control: control.map(|on| on && !calm) }
        })
    })
}

/// What stands in a section of this id, and whether it leaves data to us.
fn any_section() -> impl Strategy<Value = (u32, (String, bool))> {
    prop_oneof![
        8 => section().prop_map(|section| (section.id, (section.text(), section.leaves()))),
        1 => select(vec![("1YNN", true), ("1---", true), ("1YYN", false), ("1NYY", false), ("2YNN", false), ("1YN", false)])
            .prop_map(|(text, leaves)| (6, (text.to_owned(), leaves))),
        2 => select(vec![ALL_PURPOSES, NO_PROFILE, "CQ", "none"]).prop_map(|text| (2, (text.to_owned(), true))),
        1 => select(vec![1, 3, 4, 5, 28, 40, 63, 64, 900]).prop_map(|id| (id, ("BFYAAAgA".to_owned(), false))),
    ]
}

/// A string of one section, of its own version or another.
pub(crate) fn alone(section: &Section, version: Option<u64>) -> String {
    let section = Section { version: version.unwrap_or(section.version), ..section.clone() };
    string(&BTreeMap::from([(section.id, section.text())]))
}

pub(crate) fn id(section: &Section) -> u32 {
    section.id
}

fn ids(sections: &BTreeSet<u32>) -> Sections {
    Sections(sections.iter().filter(|id| **id < 64).fold(0, |set, id| set | 1 << id))
}

proptest! {
    #[test]
    fn sections_that_apply_decide(
        sections in vec(any_section(), 0..6),
        applicable in option::of(vec(prop_oneof![Just(2_u32), Just(6), 7..28_u32], 0..3)),
        extra: Option<Index>,
    ) {
        let sections: BTreeMap<u32, (String, bool)> = sections.into_iter().collect();
        let present: Vec<u32> = sections.keys().copied().collect();
        let applicable = applicable.map(|mut named| {
            named.extend(extra.filter(|_| !present.is_empty()).map(|extra| present[extra.index(present.len())]));
            named.into_iter().filter(|id| *id < 64).collect::<BTreeSet<u32>>()
        });
        let string = string(&sections.iter().map(|(id, (text, _))| (*id, text.clone())).collect());
        let applies = |id: &u32| applicable.as_ref().is_none_or(|named| named.contains(id));
        let denied = sections.iter().any(|(id, (_, leaves))| applies(id) && !leaves);
        let missing = applicable.iter().flatten().any(|id| *id != 2 && !sections.contains_key(id));
        let eu = sections.get(&2).filter(|_| applies(&2));
        let tcf = eu.and_then(|(text, _)| Tcf::read(text.as_bytes(), US));
        let expected = Gpp { tcf, tcf_damaged: eu.is_some() && tcf.is_none(), opted_out: denied || missing };
        prop_assert_eq!(Gpp::read(string.as_bytes(), applicable.as_ref().map(ids), US), expected, "{}", string);
    }

    #[test]
    fn a_cut_section_leaves_nothing(section in section(), cut: Index) {
        let text = section.text();
        let core = text.split('.').next().unwrap();
        let least = (6 + 2 * section.fields.len()).div_ceil(6);
        let cut = cut.index(core.len());
        let string = string(&BTreeMap::from([(section.id, core[..cut].to_owned())]));
        let leaves = Section { control: None, ..section.clone() }.leaves();
        let read = Gpp::read(string.as_bytes(), None, US);
        prop_assert_eq!(read.opted_out, cut < least || !leaves, "{}", string);
    }

    #[test]
    fn a_header_that_does_not_fit_its_sections_leaves_nothing(
        sections in vec(section(), 1..4),
        more in any::<bool>(),
        applicable in select(vec![None, Some(Sections(1 << 7)), Some(Sections(1 << 2)), Some(Sections(0))]),
    ) {
        let sections: BTreeMap<u32, String> = sections.into_iter().map(|section| (section.id, section.text())).collect();
        let string = string(&sections);
        let string = if more { string + "~1YNN" } else { string[..string.rfind('~').unwrap()].to_owned() };
        let expected = !matches!(applicable, Some(Sections(0 | 4)));
        let tcf_damaged = applicable == Some(Sections::TCF_EU);
        let expected = Gpp { tcf: None, tcf_damaged, opted_out: expected };
        prop_assert_eq!(Gpp::read(string.as_bytes(), applicable, US), expected, "{}", string);
    }

    #[test]
    fn bytes_of_any_kind_leave_nothing(string in vec(any::<u8>(), 0..80), tail in "DBA[A-Za-z~.]{0,40}", vendor: u16) {
        prop_assert!(Gpp::read(&string, None, VendorId(vendor)).opted_out);
        // Reading ends, and without a panic.
        let _ = Gpp::read(tail.as_bytes(), None, VendorId(vendor));
    }
}

/// The rule, on the decoding of IAB's library.
fn iab_leaves(name: &str, section: &Value) -> bool {
    if name == "uspv1" {
        return section["Version"] == 1 && section["OptOutSale"] != "Y";
    }
    let opt_outs = ["SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut", "MspaServiceProviderMode"];
    let children = match &section["KnownChildSensitiveDataConsents"] {
        Value::Array(ages) => ages.iter().any(|age| *age != 0),
        Value::Null => false,
        age => *age != 0,
    };
    !opt_outs.iter().any(|field| section[*field] == 1)
        && !children
        && section["Gpc"] != true
        && section["MspaMode"] != 2
}

/// The same, where 3, which means nothing, is a no too (decision 0015).
pub(crate) fn decoded_leaves(section: &Value) -> bool {
    let fields = section.as_object().unwrap().iter();
    !fields.into_iter().any(|(name, value)| match name.as_str() {
        "SaleOptOut" | "SharingOptOut" | "TargetedAdvertisingOptOut" | "MspaServiceProviderMode" => {
            *value == 1 || *value == 3
        }
        "MspaMode" => *value == 2 || *value == 3,
        "KnownChildSensitiveDataConsents" => match value {
            Value::Array(ages) => ages.iter().any(|age| *age != 0),
            age => *age != 0,
        },
        "Gpc" => *value == true,
        _ => false,
    })
}

/// What IAB's library calls the sections, from 6 on.
#[rustfmt::skip]
const NAMES: [&str; 22] = [
    "uspv1", "usnat", "usca", "usva", "usco", "usut", "usct", "usfl", "usmt", "usor", "ustx", "usde", "usia", "usne", "usnh",
    "usnj", "ustn", "usmn", "usmd", "usin", "usky", "usri",
];

#[test]
fn iab_reads_the_same() {
    for sample in ["gpp_strings.ndjson", "gpp_generated.ndjson"].into_iter().flat_map(samples) {
        let string = sample["s"].as_str().unwrap();
        let read = Gpp::read(string.as_bytes(), None, US);
        if sample["ok"] == false {
            assert_eq!(read, Gpp { tcf: None, opted_out: true, ..Gpp::default() }, "{string}");
            continue;
        }
        let sections = sample["sections"].as_object().unwrap();
        let denied = sections.iter().any(|(name, section)| !name.starts_with("tcf") && !iab_leaves(name, section));
        // A national section of version 2 in the length of version 1, and states' sections of a version there never was.
        let of_no_version = ["DBABLA~CAAAAAAAAQRA.QA", "DBABRg~bSFgmiU", "DBABJg~bSFgmJQ.YA"].contains(&string);
        assert_eq!(read.opted_out, denied || of_no_version, "{string}");
        for (name, section) in sections.iter().filter(|(name, _)| !name.starts_with("tcf")) {
            let id = 6 + NAMES.iter().position(|known| known == name).unwrap();
            let only = Gpp::read(string.as_bytes(), Some(Sections(1 << id)), US);
            let leaves = iab_leaves(name, section) && !of_no_version;
            assert_eq!(only, Gpp { tcf: None, opted_out: !leaves, ..Gpp::default() }, "{string} {name}");
        }
    }
}

#[test]
fn published_strings() {
    let read = |string: &str, applicable| Gpp::read(string.as_bytes(), applicable, US);
    // The example of the specification: TCF and US privacy.
    let example = format!("DBACNYA~{ALL_PURPOSES}~1YNN");
    let tcf = Tcf::read(ALL_PURPOSES.as_bytes(), US);
    assert_eq!(read(&example, None), Gpp { tcf, opted_out: false, ..Gpp::default() });
    assert_eq!(read(&example, Some(Sections::TCF_EU)), Gpp { tcf, opted_out: false, ..Gpp::default() });
    assert_eq!(read(&example, Some(Sections(1 << 6))), Gpp { tcf: None, opted_out: false, ..Gpp::default() });
    assert_eq!(read(&example, Some(Sections(1 << 6 | 1 << 7))), Gpp { tcf: None, opted_out: true, ..Gpp::default() });
    // No string, and sections that apply.
    assert_eq!(read("", Some(Sections(1 << 7))), Gpp { tcf: None, opted_out: true, ..Gpp::default() });
    assert_eq!(read("", Some(Sections::TCF_EU)), Gpp { tcf: None, opted_out: false, ..Gpp::default() });
    assert_eq!(read("", None), Gpp { tcf: None, opted_out: true, ..Gpp::default() });
    // Nothing applies, or nothing is there.
    assert_eq!(read(&example, Some(Sections(0))), Gpp::default());
    assert_eq!(read("DBAA", None), Gpp::default());
    // Canada.
    assert!(read("DBABjw~BPXuQIAPXuQIAAfKABENB-CgAAAAAAAAAAAAAAAA", Some(Sections(1 << 5))).opted_out);
}

#[test]
fn us_privacy_strings_are_read_as_prebid_does() {
    for sample in samples("us_privacy.ndjson") {
        let string = sample["us_privacy"].as_str().unwrap();
        let leaves = sample["valid"] == true && sample["opt_out_of_sale"] == false;
        assert_eq!(us_privacy::allows_sale(string.as_bytes()), leaves, "{string}");
    }
}

#[test]
fn every_field_of_every_section_alone() {
    for (id, version, core) in CORES {
        let names = field_names(core);
        for (place, value) in (0..names.len()).flat_map(|place| (0..4).map(move |value| (place, value))) {
            let mut fields: Vec<_> = names.iter().map(|name| (*name, 0)).collect();
            fields[place].1 = value;
            let section = Section { id, version, fields, control: None };
            let string = string(&BTreeMap::from([(id, section.text())]));
            assert_eq!(Gpp::read(string.as_bytes(), None, US).opted_out, !section.leaves(), "{section:?}");
        }
    }
}
