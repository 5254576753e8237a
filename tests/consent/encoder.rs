//! A naive encoder of consent strings: text of zeros and ones, then six of them a character.

use std::collections::BTreeSet;

use corebid::units::VendorId;
use corebid::wire::consent::Purposes;
use corebid::wire::consent::tcf::Tcf;

pub(crate) fn number(value: u64, width: usize) -> String {
    let digits = format!("{value:0width$b}");
    assert_eq!(digits.len(), width, "{value} does not fit");
    digits
}

/// Zeros and ones as base64url, filled up with zeros to a multiple of `unit`, and then to whole characters.
pub(crate) fn base64(mut digits: String, unit: usize) -> String {
    for unit in [unit, 6] {
        digits += &"0".repeat(digits.len().next_multiple_of(unit) - digits.len());
    }
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).collect();
    let sixes = digits.as_bytes().chunks(6).map(|six| std::str::from_utf8(six).unwrap());
    sixes.map(|six| alphabet[usize::from_str_radix(six, 2).unwrap()]).collect()
}

/// Vendors of a list, and how it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vendors {
    pub(crate) ids: BTreeSet<u16>,
    pub(crate) ranges: bool,
}

impl Vendors {
    pub(crate) fn has(&self, vendor: VendorId) -> bool {
        self.ids.contains(&vendor.0)
    }

    fn entries(&self) -> String {
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for id in &self.ids {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == *id => *last = *id,
                _ => runs.push((*id, *id)),
            }
        }
        let mut digits = number(runs.len() as u64, 12);
        for (first, last) in runs {
            digits += if first == last { "0" } else { "1" };
            digits += &number(first.into(), 16);
            if first != last {
                digits += &number(last.into(), 16);
            }
        }
        digits
    }

    fn digits(&self) -> String {
        let most = self.ids.last().copied().unwrap_or(0);
        let list = if self.ranges {
            self.entries()
        } else {
            (1..=most).map(|id| if self.ids.contains(&id) { '1' } else { '0' }).collect()
        };
        number(most.into(), 16) + if self.ranges { "1" } else { "0" } + &list
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Segment {
    Disclosed(Vendors),
    #[allow(dead_code, reason = "the bench writes none")]
    Allowed(Vendors),
    /// With so many custom purposes.
    Publisher(u8),
}

/// What a string is to say.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) created: u64,
    pub(crate) cmp: u16,
    pub(crate) policy: u8,
    pub(crate) precise_place: bool,
    pub(crate) consents: u32,
    pub(crate) interests: u32,
    pub(crate) purpose_one_treatment: bool,
    /// Letters of the publisher's country, counted from A.
    pub(crate) country: [u8; 2],
    pub(crate) vendor_consents: Vendors,
    pub(crate) vendor_interests: Vendors,
    /// Purpose, type, whom.
    pub(crate) restrictions: Vec<(u8, u8, Vendors)>,
    pub(crate) segments: Vec<Segment>,
}

impl Said {
    pub(crate) fn string(&self) -> String {
        // The highest bit of the sets is the first of the string, that of purpose 1.
        let core = number(2, 6)
            + &number(self.created, 36)
            + &number(self.created, 36)
            + &number(self.cmp.into(), 12)
            + &number(7, 12)
            + &number(1, 6)
            + &number(0b000100_001101, 12)
            + &number(150, 12)
            + &number(self.policy.into(), 6)
            + "10"
            + &number(u64::from(self.precise_place) << 11, 12)
            + &number(self.consents.into(), 24)
            + &number(self.interests.into(), 24)
            + &number(self.purpose_one_treatment.into(), 1)
            + &number(self.country[0].into(), 6)
            + &number(self.country[1].into(), 6)
            + &self.vendor_consents.digits()
            + &self.vendor_interests.digits()
            + &number(self.restrictions.len() as u64, 12);
        let core = self.restrictions.iter().fold(core, |digits, (purpose, kind, vendors)| {
            digits + &number((*purpose).into(), 6) + &number((*kind).into(), 2) + &vendors.entries()
        });
        let mut string = base64(core, 24);
        for segment in &self.segments {
            let digits = match segment {
                Segment::Disclosed(vendors) => number(1, 3) + &vendors.digits(),
                Segment::Allowed(vendors) => number(2, 3) + &vendors.digits(),
                Segment::Publisher(custom) => {
                    number(3, 3) + &number(5, 48) + &number((*custom).into(), 6) + &"1".repeat(2 * usize::from(*custom))
                }
            };
            string = string + "." + &base64(digits, 24);
        }
        string
    }

    /// What that says to one vendor.
    pub(crate) fn to(&self, vendor: VendorId) -> Tcf {
        let purposes = |field: u32| {
            let named = (1..=24).filter(|purpose| field >> (24 - purpose) & 1 == 1).map(Purposes::of);
            named.fold(Purposes::NONE, Purposes::and)
        };
        let restricted = [0, 1, 2].map(|of| {
            let named = self.restrictions.iter().filter(|(_, kind, whom)| *kind == of && whom.has(vendor));
            named.map(|(purpose, ..)| Purposes::of(u32::from(*purpose))).fold(Purposes::NONE, Purposes::and)
        });
        Tcf {
            created: self.created,
            policy: self.policy,
            precise_place: self.precise_place,
            purpose_one_treatment: self.purpose_one_treatment,
            publisher_country: self.country.map(|letter| b'A' + letter),
            consents: purposes(self.consents),
            interests: purposes(self.interests),
            vendor_consent: self.vendor_consents.has(vendor),
            vendor_interest: self.vendor_interests.has(vendor),
            disclosed: self.segments.iter().find_map(|segment| match segment {
                Segment::Disclosed(vendors) => Some(vendors.has(vendor)),
                _ => None,
            }),
            restricted,
        }
    }
}
