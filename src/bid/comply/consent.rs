//! Consent: what the law and the person behind a request let us do.
//!
//! | what the request says | answer | user: profile, frequency, ids, city and zip | purposes left |
//! |---|---|---|---|
//! | GDPR applies, and no string grants us anything | 204 `no_consent` | | |
//! | GDPR applies, purpose 2 is not granted | 204 `no_purpose` | | |
//! | GDPR applies, purpose 1, 3 or 4 is not granted | contextual | not known | those granted |
//! | COPPA, `lmt`, `dnt`, GPC, US privacy or GPP opt-out | contextual | not known | 2 and 7 of those granted |
//! | GDPR applies, purposes 1 to 4 are granted | as any | known | those granted |
//! | none of it | as any | known | all |
//!
//! Where two signals speak, the narrower holds; the exact place takes an opt-in of its own. Purpose 7 gates measurement, 9 and 10
//! gate training data. docs/CONSENT.md has the same table for people, and `tests/privacy.rs` a slow copy of it.

use crate::bid::Outcome;
use crate::bid::asked;
use crate::bid::eligible::Scene;
use crate::config::edge;
use crate::config::profiles::Regions;
use crate::snapshot::country;
use crate::snapshot::vendor::Assume;
use crate::units::{Region, VendorId};
use crate::wire::consent::Purposes;
use crate::wire::consent::gpp::{Gpp, Sections};
use crate::wire::consent::tcf::Tcf;
use crate::wire::consent::us_privacy;
use crate::wire::json::Text;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Parts};

/// Proof that the user behind a request may be known. Only this stage makes one, of a request; without it the profile shard cannot
/// be asked, and no user has a key that frequency could be counted by.
///
/// ```compile_fail
/// let forged = corebid::bid::comply::Personal(());
/// ```
/// ```compile_fail
/// let forged = |basis: corebid::bid::comply::Basis| basis.leave();
/// ```
#[derive(Debug)]
pub struct Personal(());

/// Proof that the exact place of the device behind a request may be used.
#[derive(Debug)]
pub struct ExactPlace(());

#[cfg(test)]
impl Personal {
    /// For tests of the stages behind this one.
    pub(in crate::bid) fn granted() -> Personal {
        Personal(())
    }
}

/// What a request lets us do with the data of the person behind it.
#[derive(Debug)]
pub struct Leave {
    /// The user may be known: profile, frequency, ids, city and zip.
    pub personal: Option<Personal>,
    /// So may the point on the map.
    pub exact_place: Option<ExactPlace>,
    /// What the data of this request may be processed for.
    pub purposes: Purposes,
}

/// What a request lets be done, for who only tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// See [`Leave::personal`].
    pub personal: bool,
    /// See [`Leave::exact_place`].
    pub exact_place: bool,
    /// See [`Leave::purposes`].
    pub purposes: Purposes,
}

/// Why the GDPR is taken to apply, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gdpr {
    /// Nothing says that it does.
    #[default]
    Unsaid,
    /// `regs.gdpr` is 0.
    No,
    /// `regs.gdpr` is 1.
    Yes,
    /// `regs.gpp_sid` names the section of the EU.
    BySection,
    /// `regs.gdpr` is silent, and there is a consent string.
    ByString,
    /// `regs.gdpr` is silent, and the country is one where it applies.
    ByCountry,
    /// `regs.gdpr` is silent, and the operator takes that for a yes.
    Assumed,
}

impl Gdpr {
    /// Whether it applies.
    pub const fn applies(self) -> bool {
        !matches!(self, Gdpr::Unsaid | Gdpr::No)
    }

    /// The same, if anybody says.
    pub const fn said(self) -> Option<bool> {
        match self {
            Gdpr::Unsaid => None,
            _ => Some(self.applies()),
        }
    }

    /// Its name in `explain` and in the compliance log.
    pub const fn label(self) -> &'static str {
        match self {
            Gdpr::Unsaid => "unsaid",
            Gdpr::No => "no",
            Gdpr::Yes => "yes",
            Gdpr::BySection => "by_section",
            Gdpr::ByString => "by_string",
            Gdpr::ByCountry => "by_country",
            Gdpr::Assumed => "assumed",
        }
    }
}

/// What became of a consent string (TCF).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// The GDPR does not apply, and so it is not asked for.
    #[default]
    Unasked,
    /// There is none.
    Absent,
    /// It cannot be read; or the configuration names no vendor that it could speak of.
    Unreadable,
    /// It was read.
    Read {
        /// `Created`, days since 1970.
        created: u32,
        /// `TcfPolicyVersion`.
        policy: u8,
        /// Our bit among the vendor consents.
        vendor: bool,
    },
}

impl Consent {
    /// Its name in `explain` and in the compliance log.
    pub const fn label(self) -> &'static str {
        match self {
            Consent::Unasked => "unasked",
            Consent::Absent => "absent",
            Consent::Unreadable => "unreadable",
            Consent::Read { .. } => "read",
        }
    }
}

/// Signals against knowing the user: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptOuts(u8);

impl OptOuts {
    /// `regs.coppa`: a child (15 U.S.C. 6501).
    pub const COPPA: OptOuts = OptOuts(1);
    /// `device.lmt`.
    pub const LMT: OptOuts = OptOuts(2);
    /// `device.dnt`.
    pub const DNT: OptOuts = OptOuts(4);
    /// `regs.ext.gpc`, Global Privacy Control.
    pub const GPC: OptOuts = OptOuts(8);
    /// `regs.us_privacy` opts out of sale, or cannot be read.
    pub const US_PRIVACY: OptOuts = OptOuts(16);
    /// A section of `regs.gpp` that applies opts out, or cannot be read.
    pub const GPP: OptOuts = OptOuts(32);
    /// The request says one thing in one place and another in another.
    pub const CONTRADICTION: OptOuts = OptOuts(64);
    const NAMED: [(OptOuts, &str); 7] = [
        (OptOuts::COPPA, "coppa"),
        (OptOuts::LMT, "lmt"),
        (OptOuts::DNT, "dnt"),
        (OptOuts::GPC, "gpc"),
        (OptOuts::US_PRIVACY, "us_privacy"),
        (OptOuts::GPP, "gpp"),
        (OptOuts::CONTRADICTION, "contradiction"),
    ];

    const fn when(self, said: bool) -> u8 {
        if said { self.0 } else { 0 }
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names of those there are, as in `explain` and in the compliance log.
    pub fn labels(self) -> impl Iterator<Item = &'static str> {
        OptOuts::NAMED.into_iter().filter(move |(one, _)| self.0 & one.0 != 0).map(|(_, label)| label)
    }
}

/// Everything that decides what a request lets us do; nothing that tells who is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    gdpr: Gdpr,
    consent: Consent,
    granted: Purposes,
    place_granted: bool,
    sections: Option<Sections>,
    opt_outs: OptOuts,
}

impl Basis {
    /// What a request says. Reads `regs`, `user` and `device` of it.
    #[inline]
    pub fn of<'r>(scene: Scene<'_>, parts: &mut Parts<'r, '_>, request: &mut BidRequest<'r>) -> Result<Basis, Outcome> {
        parts.person(request)?;
        let privacy = &scene.snapshot.privacy;
        let us = VendorId(privacy.vendor.map_or(0, |vendor| vendor.id.0));
        let sections = sections(request);
        let gpp = match request.gpp.is_empty() && sections.is_none() {
            true => Gpp::default(),
            false => Gpp::read(plain(request.gpp), sections, us),
        };
        let has_string = !request.consent.is_empty();
        let gdpr = match request.gdpr {
            Some(true) => Gdpr::Yes,
            _ if sections.is_some_and(|sections| sections.any(Sections::TCF_EU)) => Gdpr::BySection,
            Some(false) => Gdpr::No,
            None if has_string || gpp.tcf.is_some() || gpp.tcf_damaged => Gdpr::ByString,
            None => match privacy.assume {
                Assume::ByCountry if is_european(scene, parts, request)? == Some(true) => Gdpr::ByCountry,
                Assume::Always => Gdpr::Assumed,
                Assume::ByCountry | Assume::Never => Gdpr::Unsaid,
            },
        };
        // Consent to the exact place is among the sensitive data of the sections of the United States, which nobody here reads.
        let states = sections.map_or(!request.gpp.is_empty(), |sections| sections.any(STATES));
        let (mut consent, mut granted, mut place_granted) = (Consent::Unasked, Purposes::NONE, !states);
        if gdpr.applies() {
            let own = has_string.then(|| Tcf::read(plain(request.consent), us));
            let of_gpp = (gpp.tcf.is_some() || gpp.tcf_damaged).then_some(gpp.tcf);
            let strings = [own, of_gpp];
            consent = match strings.iter().flatten().flatten().next() {
                Some(tcf) => {
                    let created = (tcf.created / DECISECONDS_A_DAY) as u32;
                    Consent::Read { created, policy: tcf.policy, vendor: tcf.vendor_consent }
                }
                None if strings.iter().any(Option::is_some) => Consent::Unreadable,
                None => Consent::Absent,
            };
            // Both grant, or none does.
            if let Some(vendor) = privacy.vendor.filter(|_| consent != Consent::Absent && !request.contradictory) {
                granted = Purposes::ALL;
                for string in strings.into_iter().flatten() {
                    granted = granted.both(string.as_ref().map_or(Purposes::NONE, |tcf| vendor.permitted(tcf)));
                    place_granted &= string.as_ref().is_some_and(|tcf| vendor.permits_place(tcf));
                }
            }
        }
        let device = &request.device;
        let us_privacy = !request.us_privacy.is_empty() && !us_privacy::allows_sale(plain(request.us_privacy));
        let opt_outs = OptOuts(
            OptOuts::COPPA.when(request.coppa)
                | OptOuts::LMT.when(device.lmt)
                | OptOuts::DNT.when(device.dnt)
                | OptOuts::GPC.when(request.gpc)
                | OptOuts::US_PRIVACY.when(us_privacy)
                | OptOuts::GPP.when(gpp.opted_out)
                | OptOuts::CONTRADICTION.when(request.contradictory),
        );
        Ok(Basis { gdpr, consent, granted, place_granted, sections, opt_outs })
    }

    /// Whether the GDPR applies.
    pub fn gdpr(&self) -> Gdpr {
        self.gdpr
    }

    /// The consent string.
    pub fn consent(&self) -> Consent {
        self.consent
    }

    /// What the consent strings grant us, if the GDPR applies.
    pub fn granted(&self) -> Option<Purposes> {
        self.gdpr.applies().then_some(self.granted)
    }

    /// `regs.gpp_sid`, if the request has it.
    pub fn sections(&self) -> Option<Sections> {
        self.sections
    }

    /// What speaks against knowing the user.
    pub fn opt_outs(&self) -> OptOuts {
        self.opt_outs
    }

    /// What it lets be done; no bid if that is nothing.
    #[inline]
    pub fn allowed(&self) -> Result<Allowed, NoBidReason> {
        let mut purposes = self.granted().unwrap_or(Purposes::ALL);
        if purposes == Purposes::NONE {
            return Err(NoBidReason::NoConsent);
        }
        if !purposes.has(Purposes::BASIC_ADS) {
            return Err(NoBidReason::NoPurpose);
        }
        if !self.opt_outs.is_empty() {
            purposes = purposes.both(CONTEXTUAL);
        }
        let personal = purposes.has(PERSONAL);
        Ok(Allowed { personal, exact_place: personal && self.place_granted, purposes })
    }

    /// The same, to be used.
    #[inline]
    pub(in crate::bid) fn leave(&self) -> Result<Leave, NoBidReason> {
        let Allowed { personal, exact_place, purposes } = self.allowed()?;
        Ok(Leave {
            personal: personal.then_some(Personal(())),
            exact_place: exact_place.then_some(ExactPlace(())),
            purposes,
        })
    }
}

/// What knowing a user takes: reading an id, and a profile that was made and is used. Frequency is counted under these too.
const PERSONAL: Purposes = Purposes::STORAGE.and(Purposes::MAKE_PROFILE).and(Purposes::USE_PROFILE);

/// What is left where the user has opted out: to choose an advertisement by what it stands beside, and to count it.
const CONTEXTUAL: Purposes = Purposes::BASIC_ADS.and(Purposes::MEASURE);

/// Stands for every section id that [`Sections`] has no bit for.
const BEYOND: i64 = 63;

/// The sections of the United States.
const STATES: Sections = Sections(u64::MAX << 6);

const DECISECONDS_A_DAY: u64 = 864_000;

/// A text of plain letters; one with escapes is none of ours.
fn plain(text: Text<'_>) -> &[u8] {
    if text.escaped { b"\\" } else { text.raw }
}

/// `regs.gpp_sid`, if the request has any. -1 and 0 say that no section applies.
fn sections(request: &BidRequest<'_>) -> Option<Sections> {
    (!request.gpp_sid.is_empty()).then(|| {
        let named = request.gpp_sid.integers().filter(|&id| id > 0);
        Sections(named.fold(0, |sections, id| sections | 1 << id.min(BEYOND)))
    })
}

/// In which region the user of a request is. Whoever may be in Europe is: what is kept elsewhere by mistake cannot be called back,
/// and what is kept here by mistake harms nobody.
#[inline]
pub(in crate::bid) fn region<'r>(
    regions: Regions,
    scene: Scene<'_>,
    basis: &Basis,
    parts: &mut Parts<'r, '_>,
    request: &mut BidRequest<'r>,
) -> Result<Region, Outcome> {
    let elsewhere =
        regions == Regions::ByRequest && !basis.gdpr().applies() && is_european(scene, parts, request)? == Some(false);
    Ok(if elsewhere { Region::Other } else { Region::Eu })
}

/// Whether the request comes from a country where the GDPR, or the United Kingdom's, applies: by the country it names, and where
/// that is none, by its address; `None` if neither tells.
fn is_european<'r>(
    scene: Scene<'_>,
    parts: &mut Parts<'r, '_>,
    request: &mut BidRequest<'r>,
) -> Result<Option<bool>, Outcome> {
    parts.inventory(request)?;
    let mut code = [0; 4];
    let length = code.iter_mut().zip(request.place().country.bytes()).map(|(place, byte)| *place = byte).count();
    // Three letters that are no country say nothing of where it is.
    let european = |code: &[u8]| {
        let country = country::alpha2(code).and_then(|_| edge::index(code))?;
        Some(EUROPEAN.contains(&country))
    };
    let named = match &code[..length] {
        // Not OpenRTB's way to write it, and understood.
        [a, b] => country::alpha3_of([*a, *b]).and_then(|code| european(&code)),
        code => european(code),
    };
    Ok(named.or_else(|| european(&asked::by_address(scene.snapshot, request)?.country?)))
}

/// The EEA with the outermost regions of its members, and the United Kingdom with Gibraltar.
const EUROPEAN: [usize; 39] = {
    let codes = b"AUTBELBGRHRVCYPCZEDNKESTFINFRADEUGRCHUNIRLITALVALTULUXMLTNLDPOLPRTROUSVKSVNESPSWE\
        ISLLIENORALAGLPGUFMTQMYTREUMAFGBRGIB";
    let mut indexes = [0; 39];
    let mut at = 0;
    while at < indexes.len() {
        let [a, b, c] = [codes[3 * at], codes[3 * at + 1], codes[3 * at + 2]];
        indexes[at] = ((a - b'A') as usize * 26 + (b - b'A') as usize) * 26 + (c - b'A') as usize;
        at += 1;
    }
    assert!(codes.len() == 3 * indexes.len());
    indexes
};
