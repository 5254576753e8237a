//! `[[exchange]]`: one exchange and what is agreed with it. A section names a profile and may say every key otherwise; what
//! neither says is as in `generic-2.6`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::ConfigError;
use super::edge::Countries;
use super::shading::Shading;
use crate::limits;
use crate::ring::message::NoticeKind;
use crate::secrets::Key;
use crate::snapshot::supply::Policy;
use crate::units::{Currency, ExchangeId, ExchangeKey};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::response::SEAT_BYTES;
use crate::wire::price::{Reading, Scheme};
use crate::wire::price_cipher::PriceCipher;

/// One exchange.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Section")]
pub struct Exchange {
    /// What campaigns, profiles and notice URLs know it by.
    pub name: String,
    /// Its requests come to `/openrtb/{path}`.
    pub path: String,
    /// Our seat there; empty if it knows none.
    pub seat: String,
    /// The profile it started from.
    pub profile: Profile,
    /// The key of encrypted prices.
    pub encryption_key_file: Option<PathBuf>,
    /// The key of their signature.
    pub integrity_key_file: Option<PathBuf>,
    /// The macro that it replaces by its own click counter's address, to stand before the address of a click; empty for none.
    pub click_macro: String,
    /// What it takes to read its prices.
    pub reading: Reading,
    /// Requests per second that are looked at; without it all of them.
    pub qps: Option<u32>,
    /// Countries that are answered, besides what `[edge]` says.
    pub countries: Countries,
    /// The domain that it sells under: the last node of its supply chains, `sellers.json` in it.
    pub domain: Option<String>,
    /// What is asked of the supply paths of its requests, if not what `[supply]` says.
    pub supply: Option<Policy>,
    /// How its first-price auctions are bid in.
    pub shading: Shading,
    /// What is agreed with it.
    pub rules: Rules,
}

/// What is agreed with an exchange, as the bid path needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The version it speaks.
    pub openrtb: Version,
    /// What we bid in, where its request lets us choose.
    pub currency: Currency,
    /// Taken off `tmax` for the way there and back, ms.
    pub network_margin_ms: u32,
    /// From arrival to answer at most, ms.
    pub deadline_ms: u32,
    /// What a bid must have.
    pub required: Fields,
    /// How it writes clearing prices.
    pub price: Scheme,
    /// How it is told that there is no bid.
    pub no_bid: NoBidForm,
    /// What it hears beyond its limit of requests per second.
    pub over_quota: OverQuota,
    /// The code that says why, by reason.
    pub nbr: [u16; NoBidReason::COUNT],
    /// H2: for how long after a bid its notices are accepted, minutes.
    pub h2_minutes: u32,
    /// Whether a loss notice is its last word, so that it frees the reservation at once.
    pub losses_final: bool,
    /// Whether requests may come compressed.
    pub gzip_requests: bool,
    /// Whether answers are compressed for a request that asks for it.
    pub gzip_responses: bool,
    /// What is bid on.
    pub formats: Formats,
    /// Whether an impression may get a bid for each deal and an open one besides ("M+N").
    pub multi_bid: bool,
    /// Where creatives are.
    pub adm: Markup,
    /// Which notices it is given URLs for.
    pub notices: Notices,
    /// What bills a bid that is shown.
    pub billing: Billing,
    /// What bills a bid that plays.
    pub video_billing: Billing,
}

impl Rules {
    /// Whether bids carry the URL of this notice for the exchange; those of clicks and conversions are in creatives.
    #[inline]
    pub const fn sends(&self, kind: NoticeKind) -> bool {
        match kind {
            NoticeKind::Win => self.notices.contains(NoticeUrl::Nurl),
            NoticeKind::Bill => self.notices.contains(NoticeUrl::Burl),
            NoticeKind::Loss => self.notices.contains(NoticeUrl::Lurl),
            NoticeKind::Click | NoticeKind::Conversion => false,
        }
    }

    /// Its code for a reason (`BidResponse.nbr`).
    #[inline]
    pub const fn nbr(&self, reason: NoBidReason) -> u16 {
        self.nbr[reason as usize]
    }

    /// H2, ms.
    #[inline]
    pub const fn h2_ms(&self) -> u64 {
        self.h2_minutes as u64 * 60_000
    }
}

/// A version of OpenRTB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Version {
    /// 2.4: `ext` only for what came later.
    #[serde(rename = "2.4")]
    V2_4,
    /// 2.5.
    #[serde(rename = "2.5")]
    V2_5,
    /// 2.6.
    #[serde(rename = "2.6")]
    V2_6,
}

/// How an exchange is told that there is no bid (OpenRTB 2.6 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum NoBidForm {
    /// 204, the most bandwidth-friendly.
    #[serde(rename = "204")]
    NoContent,
    /// 200 and a response with `nbr`.
    #[serde(rename = "nbr")]
    Code,
}

/// What an exchange hears that asks more than its limit of requests per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum OverQuota {
    /// That there is no bid, in the form of [`NoBidForm`].
    #[serde(rename = "204")]
    NoBid,
    /// 429: some exchanges slow down for it, and count it apart from timeouts.
    #[serde(rename = "429")]
    TooMany,
}

/// Where an exchange takes creatives from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Markup {
    /// From `adm`.
    Inline,
    /// They were registered with it: bids name them by `crid` and `adid`, and have no `adm`.
    None,
}

/// What tells us that a bid is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Billing {
    /// `burl`.
    Burl,
    /// `nurl`, where it is called when the impression is counted and there is no `burl` (OpenRTB before 2.5): it holds our
    /// bill URL.
    Nurl,
    /// The impression event of the markup, which holds our bill URL: OpenRTB 2.6 section 4.4 prefers it for video and audio. A
    /// bid whose markup has no place for it keeps its `burl`.
    Impression,
}

macro_rules! sets {
    ($($(#[$about:meta])* $set:ident of $(#[$doc:meta])* $item:ident {
        $($(#[$each:meta])* $variant:ident $text:literal,)*
    })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        pub enum $item { $($(#[$each])* #[serde(rename = $text)] $variant,)* }

        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $set(u16);

        impl $set {
            /// Whether it is in the set.
            #[inline]
            pub const fn contains(self, item: $item) -> bool {
                self.0 & 1 << item as u16 != 0
            }

            /// What is in both sets.
            pub const fn both(self, other: $set) -> $set {
                $set(self.0 & other.0)
            }

            /// Whether nothing is.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl FromIterator<$item> for $set {
            fn from_iter<I: IntoIterator<Item = $item>>(items: I) -> $set {
                $set(items.into_iter().fold(0, |set, item| set | 1 << item as u16))
            }
        }

        impl<'de> Deserialize<'de> for $set {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$set, D::Error> {
                Ok(Vec::<$item>::deserialize(deserializer)?.into_iter().collect())
            }
        }
    )* };
}

sets! {
    /// Kinds of inventory.
    Formats of
    /// A kind of inventory, as `bid.mtype` tells them apart (OpenRTB 2.6 section 4.2.3).
    Format {
        /// `imp.banner`.
        Banner "banner",
        /// `imp.video`.
        Video "video",
        /// `imp.audio`.
        Audio "audio",
        /// `imp.native`.
        Native "native",
    }
    /// Which notices bids carry URLs for.
    Notices of
    /// A member of a bid that holds the URL of a notice.
    NoticeUrl {
        /// `nurl`: won.
        Nurl "nurl",
        /// `burl`: billed.
        Burl "burl",
        /// `lurl`: lost.
        Lurl "lurl",
    }
    /// What every bid must have, or the exchange refuses it.
    Fields of
    /// Something a bid, or the response around it, may have to have.
    Field {
        /// `bid.nurl`.
        Nurl "nurl",
        /// `bid.burl`.
        Burl "burl",
        /// `bid.adm`.
        Adm "adm",
        /// `bid.adid`.
        Adid "adid",
        /// `bid.adomain`.
        Adomain "adomain",
        /// `bid.iurl`.
        Iurl "iurl",
        /// `bid.cid`.
        Cid "cid",
        /// `bid.crid`.
        Crid "crid",
        /// `bid.cat`.
        Cat "cat",
        /// `bid.w` and `bid.h`.
        Size "size",
        /// `seatbid.seat`.
        Seat "seat",
        /// No more than one bid in a response.
        SingleBid "single_bid",
    }
}

/// A shipped profile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    text: &'static str,
}

macro_rules! profiles {
    ($($name:literal)*) => {
        [$(Profile { name: $name, text: include_str!(concat!("profiles/", $name, ".toml")) },)*]
    };
}

impl Profile {
    /// All of them. The first is what a section is based on that names none.
    pub const ALL: [Profile; 9] = profiles! {
        "generic-2.6" "generic-2.5" "google" "xandr" "openx" "magnite" "equativ" "bidswitch" "pubnx"
    };

    fn section(self) -> Section {
        toml::from_str(self.text).expect("the tests read every shipped profile")
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Profile, D::Error> {
        let name = String::deserialize(deserializer)?;
        Profile::ALL.into_iter().find(|profile| profile.name == name).ok_or_else(|| {
            let names = Profile::ALL.map(|profile| profile.name).join(", ");
            serde::de::Error::custom(format!("{name:?} is no profile: {names}"))
        })
    }
}

macro_rules! section {
    ($($key:ident: $type:ty,)*) => {
        /// The keys as they are written: in the configuration, and in a profile.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Section {
            name: Option<String>,
            profile: Option<Profile>,
            path: Option<String>,
            seat: Option<String>,
            encryption_key_file: Option<PathBuf>,
            integrity_key_file: Option<PathBuf>,
            click_macro: Option<String>,
            qps: Option<u32>,
            countries: Countries,
            domain: Option<String>,
            supply: Option<Policy>,
            shading: Option<Shading>,
            nbr: BTreeMap<String, u16>,
            $($key: Option<$type>,)*
        }

        impl Section {
            /// What this section says, and `base` where it says nothing.
            fn over(self, base: Section) -> Section {
                Section {
                    nbr: base.nbr.into_iter().chain(self.nbr).collect(),
                    $($key: self.$key.or(base.$key),)*
                    ..self
                }
            }
        }
    };
}

section! {
    openrtb: Version,
    currency: Code,
    network_margin_ms: u32,
    deadline_ms: u32,
    required: Fields,
    price: Scheme,
    no_bid: NoBidForm,
    over_quota: OverQuota,
    h2_minutes: u32,
    losses_final: bool,
    gzip_requests: bool,
    gzip_responses: bool,
    formats: Formats,
    multi_bid: bool,
    adm: Markup,
    notices: Notices,
    billing: Billing,
    video_billing: Billing,
}

/// A currency as a file writes it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Code(Currency);

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(code: String) -> Result<Code, String> {
        let currency = Currency::parse(code.as_bytes()).filter(|currency| currency.code() == code);
        currency.map(Code).ok_or_else(|| format!("{code:?} is no currency: three capitals, such as USD"))
    }
}

impl TryFrom<Section> for Exchange {
    type Error = String;

    fn try_from(section: Section) -> Result<Exchange, String> {
        let [generic, ..] = Profile::ALL;
        let profile = section.profile.unwrap_or(generic);
        let section = section.over(profile.section().over(generic.section()));
        let name = section.name.ok_or("an exchange needs a name")?;
        let missing = |key: &str| format!("{key} is missing from the profile {}", generic.name);
        macro_rules! rules {
            ($($key:ident)*) => { Rules {
                $($key: section.$key.ok_or_else(|| missing(stringify!($key)))?,)*
                currency: section.currency.ok_or_else(|| missing("currency"))?.0,
                nbr: codes(&section.nbr)?,
            } };
        }
        let rules = rules! {
            openrtb network_margin_ms deadline_ms required price no_bid over_quota h2_minutes losses_final gzip_requests
            gzip_responses formats multi_bid adm notices billing video_billing
        };
        let exchange = Exchange {
            path: section.path.unwrap_or_else(|| name.clone()),
            name,
            seat: section.seat.unwrap_or_default(),
            profile,
            encryption_key_file: section.encryption_key_file,
            integrity_key_file: section.integrity_key_file,
            click_macro: section.click_macro.unwrap_or_default(),
            qps: section.qps,
            countries: section.countries,
            domain: section.domain,
            supply: section.supply,
            shading: section.shading.unwrap_or_default(),
            reading: if rules.price.is_encrypted() { Reading::Blind } else { Reading::Plain },
            rules,
        };
        exchange.check()?;
        Ok(exchange)
    }
}

/// The codes by reason: those of OpenRTB, but for the reasons and the OpenRTB codes that `map` names. A reason's own name
/// goes before its code.
fn codes(map: &BTreeMap<String, u16>) -> Result<[u16; NoBidReason::COUNT], String> {
    let mut codes = [0; NoBidReason::COUNT];
    for reason in NoBidReason::ALL {
        let iab = reason.nbr();
        codes[*reason as usize] = map.get(reason.label()).or_else(|| map.get(&iab.to_string())).copied().unwrap_or(iab);
    }
    let known = |key: &str| {
        NoBidReason::ALL.iter().any(|reason| reason.label() == key)
            || key.parse().is_ok_and(|code: u16| code.to_string() == key)
    };
    match map.keys().find(|key| !known(key)) {
        Some(key) => Err(format!("nbr.{key}: neither a reason for no bid nor an OpenRTB code")),
        None => Ok(codes),
    }
}

impl Exchange {
    /// An exchange of the generic profile, without a seat.
    ///
    /// # Panics
    /// If the name is none.
    pub fn generic(name: &str) -> Exchange {
        let section = Section { name: Some(name.into()), ..Section::default() };
        section.try_into().expect("a name of letters and digits")
    }

    /// How notice URLs name it.
    pub fn key(&self) -> ExchangeKey {
        ExchangeKey::of(&self.name)
    }

    /// The rules that span keys or that a type cannot hold.
    fn check(&self) -> Result<(), String> {
        let Exchange { name, path, seat, rules, .. } = self;
        let fits = |text: &str, more: &[u8]| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        if !fits(name, b"-_.") {
            return Err(format!("exchange.name {name:?}: use letters, digits, '-', '_' and '.'"));
        }
        if !fits(path, b"-_./") {
            return Err(format!(
                "exchange.path {path:?}: use letters, digits, '-', '_', '.' and '/' (it is part of a URL)"
            ));
        }
        if seat.len() > SEAT_BYTES || seat.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            return Err(format!(
                "exchange.seat {seat:?}: at most {SEAT_BYTES} bytes without quotes and control characters"
            ));
        }
        self.shading.check()?;
        if self.click_macro.len() > limits::EXCHANGE_MACRO_BYTES
            || !self.click_macro.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%${}_:".contains(&byte))
        {
            return Err(format!(
                "exchange.click_macro {:?}: at most {} letters, digits, '_', ':', and what macros are marked by",
                self.click_macro,
                limits::EXCHANGE_MACRO_BYTES
            ));
        }
        let between = |key: &str, value: u32, most: u32| match value {
            1.. if value <= most => Ok(()),
            _ => Err(format!("exchange.{key} {value}: 1 to {most} are possible")),
        };
        between("deadline_ms", rules.deadline_ms, DEADLINE_MS)?;
        between("h2_minutes", rules.h2_minutes, H2_MINUTES)?;
        if rules.network_margin_ms > NETWORK_MARGIN_MS {
            let margin = rules.network_margin_ms;
            return Err(format!("exchange.network_margin_ms {margin}: at most {NETWORK_MARGIN_MS} are possible"));
        }
        let lacks = |field, given: bool| rules.required.contains(field) && !given;
        let billings = [rules.billing, rules.video_billing];
        let contradiction = [
            (lacks(Field::Nurl, rules.sends(NoticeKind::Win)), "nurl is required, and notices leaves it out"),
            (lacks(Field::Burl, rules.sends(NoticeKind::Bill)), "burl is required, and notices leaves it out"),
            (lacks(Field::Adm, rules.adm == Markup::Inline), "adm is required, and adm = \"none\" leaves it out"),
            (lacks(Field::Seat, !seat.is_empty()), "it requires a seat: give exchange.seat"),
            (rules.formats.is_empty(), "formats is empty, so that nothing is bid on"),
            (
                !rules.sends(NoticeKind::Bill) && billings != [Billing::Nurl; 2],
                "notices leaves burl out, so that bids would never be billed",
            ),
            (
                !rules.sends(NoticeKind::Win) && billings.contains(&Billing::Nurl),
                "billing is \"nurl\", and notices leaves it out",
            ),
            (
                rules.adm == Markup::None && billings.contains(&Billing::Impression),
                "billing by \"impression\" needs markup, and adm = \"none\" leaves it out",
            ),
            (lacks(Field::Burl, billings == [Billing::Burl; 2]), "burl is required, and billing is not by it alone"),
        ];
        if let Some((_, why)) = contradiction.into_iter().find(|(contradicts, _)| *contradicts) {
            return Err(format!("exchange {name:?}: {why}"));
        }
        let keys = [&self.encryption_key_file, &self.integrity_key_file];
        if rules.price.is_encrypted() && keys.iter().any(|key| key.is_none()) {
            return Err(format!(
                "exchange {name:?}: its prices are encrypted: give encryption_key_file and integrity_key_file"
            ));
        }
        if !rules.price.is_encrypted() && keys.iter().any(|key| key.is_some()) {
            return Err(format!("exchange {name:?}: key files are for encrypted prices, and its price is \"plain\""));
        }
        Ok(())
    }

    /// Reads the key files, if its prices are encrypted. Relative paths start from `folder`.
    pub(super) fn unlock(&mut self, folder: &Path) -> Result<(), ConfigError> {
        let key = |file: &mut Option<PathBuf>| {
            file.as_mut().map(|file| {
                *file = folder.join(&*file);
                Key::read_price(file).map_err(|error| ConfigError(error.to_string()))
            })
        };
        let keys = (key(&mut self.encryption_key_file), key(&mut self.integrity_key_file));
        if let (Some(encryption), Some(integrity)) = keys {
            self.reading = Reading::Encrypted(self.rules.price, PriceCipher::new(&encryption?.0, &integrity?.0));
        }
        Ok(())
    }
}

/// The largest network margin that may be configured, ms: no exchange waits that long.
const NETWORK_MARGIN_MS: u32 = 10_000;
/// The latest answer that may be configured, ms.
const DEADLINE_MS: u32 = (limits::DEADLINE_NS / 1_000_000) as u32;
/// The longest H2 that may be configured, minutes: a day.
const H2_MINUTES: u32 = 24 * 60;

/// The rules between exchanges.
pub(super) fn validate(exchanges: &[Exchange]) -> Result<(), ConfigError> {
    let fail = |text: String| Err(ConfigError(text));
    if exchanges.is_empty() {
        return fail("no [[exchange]]: name at least one".into());
    }
    if exchanges.len() > ExchangeId(u8::MAX).0 as usize {
        return fail(format!("{} exchanges; at most {} are possible", exchanges.len(), u8::MAX));
    }
    for (index, exchange) in exchanges.iter().enumerate() {
        let (name, path) = (&exchange.name, &exchange.path);
        let earlier = &exchanges[..index];
        if earlier.iter().any(|other| other.name == *name) {
            return fail(format!("exchange.name {name:?} is used twice"));
        }
        if earlier.iter().any(|other| other.path == *path) {
            return fail(format!("exchange.path {path:?} is used twice"));
        }
        if let Some(other) = earlier.iter().find(|other| other.key() == exchange.key()) {
            return fail(format!("exchange.name {name:?} looks like {:?} in notice URLs: take another", other.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        exchange: Vec<Exchange>,
    }

    fn read(text: &str) -> Result<Vec<Exchange>, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        validate(&file.exchange).map_err(|error| error.to_string())?;
        Ok(file.exchange)
    }

    fn one(more: &str) -> Result<Exchange, String> {
        read(&format!("[[exchange]]\nname = \"x\"\n{more}")).map(|mut all| all.remove(0))
    }

    #[test]
    fn every_shipped_profile_can_be_used_as_it_is() {
        for profile in Profile::ALL {
            let section: Section = toml::from_str(profile.text).unwrap_or_else(|error| panic!("{profile:?}: {error}"));
            assert!(section.name.is_none() && section.profile.is_none() && section.seat.is_none(), "{profile:?}");
            let keys = "encryption_key_file = \"e\"\nintegrity_key_file = \"i\"\n";
            let keys = if section.price.is_some_and(Scheme::is_encrypted) { keys } else { "" };
            let exchange = one(&format!("profile = \"{}\"\nseat = \"7\"\n{keys}", profile.name)).unwrap();
            assert_eq!(exchange.profile, profile);
        }
        assert_eq!(one("").unwrap().profile.name, "generic-2.6");
    }

    /// What exchanges publish, each with the profile that says so.
    #[test]
    fn the_published_rules_are_in_the_profiles() {
        let profile = |name: &str, more: &str| one(&format!("profile = \"{name}\"\n{more}")).unwrap().rules;
        let keys = "encryption_key_file = \"e\"\nintegrity_key_file = \"i\"\n";
        assert_eq!(profile("google", keys).price.price_macro(), "%%WINNING_PRICE%%");
        let openx = profile("openx", keys).price;
        assert_eq!((openx.price_macro(), openx.cpm(1_000).unwrap().0), ("${AUCTION_PRICE:OXCRYPT}", 1_000_000));
        let xandr = profile("xandr", "seat = \"7\"");
        assert_eq!((xandr.openrtb, xandr.adm, xandr.losses_final), (Version::V2_4, Markup::None, false));
        assert_eq!(profile("magnite", "").openrtb, Version::V2_5);
        let pubnx = profile("pubnx", "");
        for field in [Field::Nurl, Field::Crid, Field::Adomain, Field::Iurl, Field::SingleBid] {
            assert!(pubnx.required.contains(field), "{field:?}");
        }
        assert!(!pubnx.required.contains(Field::Cid) && pubnx.currency == Currency::USD);
        let codes = BTreeMap::from([("12".to_owned(), 11)]);
        assert_eq!(
            Profile::ALL.map(Profile::section).map(|section| section.nbr).iter().filter(|nbr| **nbr == codes).count(),
            1
        );
    }

    #[test]
    fn a_section_goes_before_its_profile() {
        let rules = one("profile = \"pubnx\"\nrequired = [\"size\"]\ncurrency = \"EUR\"\nnotices = [\"burl\"]\n")
            .unwrap()
            .rules;
        assert!(rules.required.contains(Field::Size) && !rules.required.contains(Field::Nurl));
        assert_eq!(rules.currency.code(), "EUR");
        assert!(rules.sends(NoticeKind::Bill) && !rules.sends(NoticeKind::Win) && !rules.sends(NoticeKind::Loss));
        assert_eq!((rules.h2_ms(), rules.network_margin_ms), (limits::H2_MS, 20), "said by generic-2.6");
        assert_eq!(one("path = \"eu/x\"").unwrap().path, "eu/x");
    }

    #[test]
    fn codes_of_reasons_are_mapped_by_name_then_by_code() {
        let rules = one("[exchange.nbr]\n2 = 502\ntoo_much = 503\n").unwrap().rules;
        assert_eq!(rules.nbr(NoBidReason::NotABidRequest), 502);
        assert_eq!(rules.nbr(NoBidReason::TooMuch), 503);
        for reason in NoBidReason::ALL.iter().filter(|reason| reason.nbr() != 2) {
            assert_eq!(rules.nbr(*reason), reason.nbr(), "{}", reason.label());
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (more, said) in [
            ("profile = \"gogle\"", "\"gogle\" is no profile"),
            ("profiel = \"google\"", "profiel"),
            ("profile = \"google\"", "encryption_key_file"),
            ("encryption_key_file = \"k\"", "\"plain\""),
            ("profile = \"xandr\"", "requires a seat"),
            ("price = \"rot13\"", "rot13"),
            ("no_bid = \"404\"", "404"),
            ("currency = \"usd\"", "three capitals"),
            ("path = \"a b\"", "exchange.path"),
            ("deadline_ms = 9", "deadline_ms 9: 1 to 8"),
            ("deadline_ms = 0", "deadline_ms"),
            ("h2_minutes = 1441", "h2_minutes"),
            ("formats = []", "formats"),
            ("formats = [\"radio\"]", "radio"),
            ("required = [\"nurl\"]\nnotices = [\"burl\"]", "nurl is required"),
            ("required = [\"burl\"]\nnotices = []", "burl is required"),
            ("required = [\"adm\"]\nadm = \"none\"", "adm is required"),
            ("[exchange.nbr]\nno_such_reason = 1", "nbr.no_such_reason"),
            ("[exchange.shading]\narm = \"probit\"", "probit"),
            ("[exchange.shading]\nexplore = 0.6", "explore 0.6: 0 to 0.5"),
            ("[exchange.shading]\njudge_seconds = 0", "judge_seconds 0: 1 to 3600"),
            ("[exchange.nbr]\n02 = 1", "nbr.02"),
            ("[[exchange]]\nname = \"x\"", "used twice"),
            ("[[exchange]]\nname = \"y\"\npath = \"x\"", "exchange.path \"x\" is used twice"),
            ("[[exchange]]\nprofile = \"google\"", "needs a name"),
        ] {
            let error = one(more).expect_err(more);
            assert!(error.contains(said), "{more}: {error}");
        }
    }

    /// Two names that FNV-1a takes for one (found by search).
    #[test]
    fn names_that_notice_urls_could_not_tell_apart_are_refused() {
        let error = read("[[exchange]]\nname = \"costarring\"\n[[exchange]]\nname = \"liquid\"\n").unwrap_err();
        assert!(error.contains("looks like"), "{error}");
    }
}
