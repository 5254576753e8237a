//! The slow reference: a string decoded whole, bit by bit, into vectors, and the enforcement table as a list of rules.

use corebid::snapshot::vendor::Vendor;
use corebid::units::VendorId;
use corebid::wire::consent::Purposes;
use corebid::wire::consent::tcf::Tcf;

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The bits of base64url; `None` if a character is none of it, or there is no character.
fn bits(text: &str) -> Option<Vec<bool>> {
    let mut bits = Vec::new();
    for character in text.chars() {
        let value = ALPHABET.find(character)?;
        bits.extend((0..6).rev().map(|place| value >> place & 1 == 1));
    }
    (!bits.is_empty()).then_some(bits)
}

struct Cursor {
    bits: Vec<bool>,
    at: usize,
    /// An entry was above its list's `MaxVendorId`, or ended before it started.
    contradiction: bool,
}

impl Cursor {
    fn number(&mut self, width: usize) -> Option<usize> {
        let field = self.bits.get(self.at..self.at + width)?;
        self.at += width;
        Some(field.iter().fold(0, |number, bit| number * 2 + usize::from(*bit)))
    }

    fn flags(&mut self, width: usize) -> Option<Vec<bool>> {
        (0..width).map(|_| Some(self.number(1)? == 1)).collect()
    }

    /// The vendors of a list, by their ids.
    fn vendors(&mut self) -> Option<Vec<bool>> {
        let most = self.number(16)?;
        let mut vendors = vec![false; 65_536];
        if self.number(1)? == 0 {
            let bits = self.flags(most)?;
            vendors[1..=most].copy_from_slice(&bits);
        } else {
            for (first, last) in self.ranges()? {
                self.contradiction |= last > most;
                (first..=last).for_each(|vendor| vendors[vendor] = true);
            }
        }
        Some(vendors)
    }

    fn ranges(&mut self) -> Option<Vec<Range>> {
        let mut ranges = Vec::new();
        for _ in 0..self.number(12)? {
            let range = self.number(1)? == 1;
            let first = self.number(16)?;
            let last = if range { self.number(16)? } else { first };
            if first == 0 || last == 0 {
                return None;
            }
            self.contradiction |= last < first;
            ranges.push((first, last));
        }
        Some(ranges)
    }
}

/// From a vendor to a vendor, both of them in it.
type Range = (usize, usize);

/// All of a string that concerns vendors.
struct Whole {
    special_features: Vec<bool>,
    created: usize,
    policy: usize,
    purpose_one_treatment: bool,
    country: String,
    consents: Vec<bool>,
    interests: Vec<bool>,
    vendor_consents: Vec<bool>,
    vendor_interests: Vec<bool>,
    restrictions: Vec<(usize, usize, Vec<Range>)>,
    disclosed: Option<Vec<bool>>,
    contradiction: bool,
}

fn decode(string: &str) -> Option<Whole> {
    let mut segments = string.split('.');
    let mut core = Cursor { bits: bits(segments.next()?)?, at: 0, contradiction: false };
    let version = core.number(6)?;
    let created = core.number(36)?;
    let _last_updated = core.number(36)?;
    let cmp = core.number(12)?;
    let _cmp_version_screen_language_list = core.number(12 + 6 + 12 + 12)?;
    let policy = core.number(6)?;
    let _service_specific_stacks = core.number(1 + 1)?;
    let special_features = core.flags(12)?;
    let consents = core.flags(24)?;
    let interests = core.flags(24)?;
    let purpose_one_treatment = core.number(1)? == 1;
    let letters = [core.number(6)?, core.number(6)?];
    let vendor_consents = core.vendors()?;
    let vendor_interests = core.vendors()?;
    let mut restrictions = Vec::new();
    for _ in 0..core.number(12)? {
        let (purpose, kind, ranges) = (core.number(6)?, core.number(2)?, core.ranges()?);
        if !ranges.is_empty() && (purpose == 0 || kind == 3) {
            return None;
        }
        restrictions.push((purpose, kind, ranges));
    }
    if version != 2 || cmp < 2 || letters.iter().any(|letter| 65 + letter > usize::from(b'z')) {
        return None;
    }
    let country: String = letters.iter().map(|letter| char::from(65 + *letter as u8)).collect();
    let mut whole = Whole {
        created,
        policy,
        special_features,
        purpose_one_treatment,
        country: country.to_uppercase(),
        consents,
        interests,
        vendor_consents,
        vendor_interests,
        restrictions,
        disclosed: None,
        contradiction: core.contradiction,
    };
    let mut kinds = Vec::new();
    for segment in segments {
        let mut segment = Cursor { bits: bits(segment)?, at: 0, contradiction: false };
        let kind = segment.number(3)?;
        if kinds.contains(&kind) {
            return None;
        }
        kinds.push(kind);
        match kind {
            1 => whole.disclosed = Some(segment.vendors()?),
            2 => {
                segment.vendors()?;
            }
            3 => {
                segment.flags(24 + 24)?;
                let custom = segment.number(6)?;
                segment.flags(2 * custom)?;
            }
            _ => return None,
        }
        whole.contradiction |= segment.contradiction;
    }
    Some(whole)
}

/// Whether a string is whole but for an entry above its list's `MaxVendorId`, or one that ends before it starts.
#[allow(dead_code, reason = "fuzzing compares only what is read")]
pub(crate) fn contradicts_itself(string: &str) -> bool {
    decode(string).is_some_and(|whole| whole.contradiction)
}

fn purposes(flags: &[bool]) -> Purposes {
    let set = flags.iter().zip(1..).filter(|(flag, _)| **flag).map(|(_, purpose)| Purposes::of(purpose));
    set.fold(Purposes::NONE, Purposes::and)
}

/// What a string says to one vendor; `None` if it cannot be read.
pub(crate) fn read(string: &[u8], vendor: VendorId) -> Option<Tcf> {
    let whole = decode(std::str::from_utf8(string).ok()?).filter(|whole| !whole.contradiction)?;
    let vendor = usize::from(vendor.0);
    let restricted = [0, 1, 2].map(|kind| {
        let mut flags = [false; 24];
        for (purpose, restriction, ranges) in &whole.restrictions {
            let ours = ranges.iter().any(|(first, last)| (*first..=*last).contains(&vendor));
            if ours && *restriction == kind && (1..=24).contains(purpose) {
                flags[purpose - 1] = true;
            }
        }
        purposes(&flags)
    });
    Some(Tcf {
        created: whole.created as u64,
        policy: whole.policy as u8,
        precise_place: whole.special_features[0],
        purpose_one_treatment: whole.purpose_one_treatment,
        publisher_country: whole.country.as_bytes().try_into().ok()?,
        consents: purposes(&whole.consents),
        interests: purposes(&whole.interests),
        vendor_consent: whole.vendor_consents[vendor],
        vendor_interest: whole.vendor_interests[vendor],
        disclosed: whole.disclosed.map(|disclosed| disclosed[vendor]),
        restricted,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Basis {
    Consent,
    Interest,
}

/// Whether the table lets a vendor process data for one purpose.
pub(crate) fn may(vendor: &Vendor, tcf: &Tcf, purpose: u32) -> bool {
    let in_set = |set: Purposes| set.has(Purposes::of(purpose));
    // The string as a whole: TCF 2.3 from 2026-03-01 on, and a list that knows its purposes.
    match tcf.disclosed {
        Some(false) => return false,
        None if tcf.created >= 1_772_323_200 * 10 => return false,
        _ => {}
    }
    if tcf.policy < 2 || tcf.policy > vendor.policy || tcf.policy >= 4 && vendor.specification < 3 {
        return false;
    }
    // 1. What we declared.
    let default = if in_set(vendor.by_consent) {
        Basis::Consent
    } else if in_set(vendor.by_interest) {
        Basis::Interest
    } else {
        return false;
    };
    // 2. What the publisher restricts.
    if in_set(tcf.restricted[0]) {
        return false;
    }
    let mut required = Vec::new();
    if in_set(tcf.restricted[1]) {
        required.push(Basis::Consent);
    }
    if in_set(tcf.restricted[2]) {
        required.push(Basis::Interest);
    }
    let basis = match required[..] {
        [] => default,
        [basis] if basis == default || in_set(vendor.flexible) => basis,
        _ => return false,
    };
    // 3. What the user was told and said.
    match basis {
        Basis::Consent => {
            let exempt = purpose == 1 && tcf.purpose_one_treatment && names_a_country(tcf.publisher_country);
            exempt || (in_set(tcf.consents) && tcf.vendor_consent)
        }
        Basis::Interest => ![1, 3, 4, 5, 6].contains(&purpose) && in_set(tcf.interests) && tcf.vendor_interest,
    }
}

/// ISO 3166-1 leaves AA, QM to QZ, XA to XZ and ZZ to its users, one of which is Kosovo's in common use.
fn names_a_country(code: [u8; 2]) -> bool {
    let code = String::from_utf8_lossy(&code).into_owned();
    let mut left_to_users = vec!["AA".to_owned(), "ZZ".to_owned()];
    left_to_users.extend(('M'..='Z').map(|letter| format!("Q{letter}")));
    left_to_users.extend(('A'..='Z').filter(|letter| *letter != 'K').map(|letter| format!("X{letter}")));
    code.chars().all(|letter| letter.is_ascii_uppercase()) && !left_to_users.contains(&code)
}
