//! Devices that do not exist: what a request says of its device in one place cannot be true with what it says in another.
//!
//! Told are only contradictions between systems that no device runs together, each a [`Contradiction`] with who could be hit
//! wrongly. What is merely odd is let through: a computer's user agent with a mobile system is a phone that asks for desktop
//! pages, Android is on televisions, sticks and cars, "Mobile" is said by sticks and not by tablets, and exchanges guess
//! `devicetype`. docs/INVALID-TRAFFIC.md lists those, and how often common user agents are hit.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::wire::openrtb::agent::Os;

/// What two statements of a request contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// The platform that the user agent names is two: an iPhone, iPad or iPod and Windows NT or Android, or Windows NT and
    /// Android. Not a Windows phone, which says Android and iPhone to get their pages, and not an Android phone whose model
    /// is called iPhone: there are copies that are.
    TwoSystems,
    /// A television or a set-top box (AdCOM list "Device Types": 3, 7) with the user agent of an iPhone, iPad or iPod. An Apple TV
    /// says AppleTV, and one whose `os` is tvOS may say anything. Hit are publishers who ask for a television in the
    /// phone's name, while it plays there.
    PhoneInTelevision,
    /// `os` or `sua` is iOS, and the user agent names Android and no Apple device.
    IosOnAndroid,
    /// `os` or `sua` is Android, and the user agent names an iPhone, iPad or iPod and not Android. Hit, as by the one before,
    /// are apps that send a fixed user agent, and people who try a site as another device with their browser's tools.
    AndroidOnIos,
    /// `os` or `sua` is Windows, and the user agent names an iPhone, iPad or iPod. Hit are people who try a site as another
    /// device.
    WindowsOnIos,
    /// `os` or `sua` is iOS or Android, and the user agent is that of a television with another system: Roku, Tizen, webOS. Remote
    /// controls for the phone name both, and are let through.
    TelevisionOnPhone,
    /// `os` or `sua` is Roku, Tizen or webOS, and the user agent names an iPhone, iPad or iPod.
    PhoneOnTelevision,
}

impl Contradiction {
    /// All of them.
    pub const ALL: [Contradiction; 7] = [
        Contradiction::TwoSystems,
        Contradiction::PhoneInTelevision,
        Contradiction::IosOnAndroid,
        Contradiction::AndroidOnIos,
        Contradiction::WindowsOnIos,
        Contradiction::TelevisionOnPhone,
        Contradiction::PhoneOnTelevision,
    ];

    /// What contradicts, if something does: `kind` is `devicetype` (0 unknown), `stated` what `sua` or `os` name, `said` what
    /// the user agent says. What is not said contradicts nothing.
    #[inline]
    pub fn of(kind: u8, stated: Os, said: Said) -> Option<Contradiction> {
        const CONNECTED_TV: u8 = 3;
        const SET_TOP_BOX: u8 = 7;
        if said.names_two_systems() {
            return Some(Contradiction::TwoSystems);
        }
        match (said.device()?, stated) {
            (Device::Apple, Os::TvOs) => None,
            (Device::Apple, _) if matches!(kind, CONNECTED_TV | SET_TOP_BOX) => Some(Contradiction::PhoneInTelevision),
            (Device::Apple, Os::Android) => Some(Contradiction::AndroidOnIos),
            (Device::Apple, Os::Windows) => Some(Contradiction::WindowsOnIos),
            (Device::Apple, Os::Roku | Os::Tizen | Os::WebOs) => Some(Contradiction::PhoneOnTelevision),
            (Device::Android, Os::Ios) => Some(Contradiction::IosOnAndroid),
            (Device::Television, Os::Ios | Os::Android) => Some(Contradiction::TelevisionOnPhone),
            _ => None,
        }
    }
}

/// The device that a user agent names, if it is one of those that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    /// An iPhone, iPad or iPod.
    Apple,
    Android,
    /// A television that runs neither.
    Television,
}

/// Words of a user agent that name systems and devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Anywhere.
    words: u8,
    /// In the first comment, where browsers name their platform.
    platform: u8,
    /// The first comment begins with an Apple device.
    apple_first: bool,
}

const APPLE: u8 = 1 << 0;
const ANDROID: u8 = 1 << 1;
/// The `NT` of `Windows NT`.
const NT: u8 = 1 << 2;
/// The `Phone` of `Windows Phone`.
const PHONE: u8 = 1 << 3;
/// Televisions that run neither iOS nor Android.
const TELEVISION: u8 = 1 << 4;
/// Anything that calls itself a television.
const TV: u8 = 1 << 5;

/// Bytes of a user agent that are looked at, as in `wire/openrtb/agent.rs`: five times the usual.
const LOOKED_AT: usize = 1024;

impl Said {
    /// Reads a user agent.
    pub fn of(ua: &[u8]) -> Said {
        let ua = &ua[..ua.len().min(LOOKED_AT)];
        let comment = memchr::memchr(b'(', ua).map_or(ua.len(), |open| open + 1);
        let end = memchr::memchr(b')', &ua[comment..]).map_or(ua.len(), |length| comment + length);
        let platform = words(&ua[comment..end]);
        let mut first = ua[comment..end].split(|byte| !byte.is_ascii_alphanumeric());
        Said {
            words: platform | words(&ua[..comment]) | words(&ua[end..]),
            platform,
            apple_first: first.next().is_some_and(|first| word(first) == APPLE),
        }
    }

    fn names_two_systems(self) -> bool {
        let all = |words: u8| self.platform & words == words;
        self.words & PHONE == 0 && (all(APPLE | NT) || all(ANDROID | NT) || self.apple_first && all(ANDROID))
    }

    fn device(self) -> Option<Device> {
        match self.words {
            words if words & PHONE != 0 => None,
            words => match words & (APPLE | ANDROID | TELEVISION | TV) {
                APPLE => Some(Device::Apple),
                ANDROID => Some(Device::Android),
                words if words & !TV == TELEVISION => Some(Device::Television),
                _ => None,
            },
        }
    }
}

/// Answers of [`Said::of`], by user agent: a few thousand are most of the traffic. Bounded; the last to come stays.
#[derive(Debug)]
pub struct Agents {
    /// A hash of the user agent and what it says; 0 in an empty place.
    known: Box<[(u64, Said)]>,
    /// Nobody who chooses user agents shall choose which ones share a place.
    hasher: RandomState,
}

/// Places of [`Agents`]: 64 KiB.
const AGENTS: usize = 4096;
const _: () = assert!(AGENTS.is_power_of_two() && size_of::<(u64, Said)>() == 16);

impl Default for Agents {
    fn default() -> Self {
        Agents { known: vec![(0, Said::default()); AGENTS].into(), hasher: RandomState::default() }
    }
}

impl Agents {
    /// As [`Said::of`].
    #[inline]
    pub fn of(&mut self, ua: &[u8]) -> Said {
        let hash = self.hasher.hash_one(ua).max(1);
        let place = &mut self.known[hash as usize & (AGENTS - 1)];
        if place.0 != hash {
            *place = (hash, Said::of(ua));
        }
        place.1
    }
}

/// What the words of a text name: letters and digits in a row.
fn words(text: &[u8]) -> u8 {
    text.split(|byte| !byte.is_ascii_alphanumeric()).fold(0, |said, part| said | word(part))
}

#[inline]
fn word(word: &[u8]) -> u8 {
    match word {
        b"iPhone" | b"iPad" | b"iPod" => APPLE,
        // Sony's televisions write it so.
        b"Android" | b"Andr0id" => ANDROID,
        b"NT" => NT,
        b"Phone" | b"IEMobile" => PHONE,
        b"Tizen" | b"TIZEN" | b"Web0S" | b"webOS" | b"WebOS" | b"WEBOS" => TELEVISION,
        [b'R', b'o', b'k', b'u' | b'U', ..] | [b'R', b'O', b'K', b'U', ..] => TELEVISION,
        b"TV" | b"tvOS" | b"SMART" | b"SmartTV" | [b'A', b'p', b'p', b'l', b'e', b'T', b'V', ..] => TV,
        _ => 0,
    }
}
