//! Operating systems and browsers, as campaigns name them: one small code each; and how devices name them.
//!
//! A structured user agent or `device.os` names things outright. A user agent string names its ancestors too: Edge says Chrome
//! and Safari, a Windows phone says Android and iPhone, every iPhone says Mac OS X. So the words of the string are
//! gathered first, in one pass, and judged together afterwards, the most particular first.

use std::hash::BuildHasher;

use arrayvec::ArrayVec;
use foldhash::fast::RandomState;

use crate::wire::json::Text;

/// Bytes of a user agent string that are looked at: five times the usual.
const LOOKED_AT: usize = 1024;

/// An operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Os {
    /// Not said, or none of the others.
    #[default]
    Unknown = 0,
    /// Android, and what is built on it (Fire OS aside).
    Android,
    /// iPhone and iPad.
    Ios,
    /// Windows.
    Windows,
    /// macOS.
    MacOs,
    /// Linux on a computer.
    Linux,
    /// ChromeOS.
    ChromeOs,
    /// Amazon's Fire OS.
    FireOs,
    /// Roku.
    Roku,
    /// Apple TV.
    TvOs,
    /// Samsung's Tizen.
    Tizen,
    /// LG's webOS.
    WebOs,
    /// PlayStation.
    PlayStation,
    /// Xbox.
    Xbox,
}

impl Os {
    /// All that can be named, with their names in campaign files.
    pub const NAMED: [(Os, &'static str); 13] = [
        (Os::Android, "android"),
        (Os::Ios, "ios"),
        (Os::Windows, "windows"),
        (Os::MacOs, "macos"),
        (Os::Linux, "linux"),
        (Os::ChromeOs, "chromeos"),
        (Os::FireOs, "fireos"),
        (Os::Roku, "roku"),
        (Os::TvOs, "tvos"),
        (Os::Tizen, "tizen"),
        (Os::WebOs, "webos"),
        (Os::PlayStation, "playstation"),
        (Os::Xbox, "xbox"),
    ];

    /// What `device.os` or the brand of `sua.platform` means. Letter case, spaces, punctuation and versions aside.
    pub fn named(name: Text<'_>) -> Os {
        /// How names begin; the first that fits.
        const BEGINNINGS: [(&[u8], Os); 32] = [
            (b"android", Os::Android),
            (b"googletv", Os::Android),
            (b"ios", Os::Ios),
            (b"ipad", Os::Ios),
            (b"iphone", Os::Ios),
            (b"windowsphone", Os::Unknown),
            (b"windowsmobile", Os::Unknown),
            (b"windowsce", Os::Unknown),
            (b"windows", Os::Windows),
            (b"macos", Os::MacOs),
            (b"osx", Os::MacOs),
            (b"macintosh", Os::MacOs),
            (b"linux", Os::Linux),
            (b"gnulinux", Os::Linux),
            (b"ubuntu", Os::Linux),
            (b"debian", Os::Linux),
            (b"fedora", Os::Linux),
            (b"chromeos", Os::ChromeOs),
            (b"chromiumos", Os::ChromeOs),
            (b"cros", Os::ChromeOs),
            (b"fireos", Os::FireOs),
            (b"firetv", Os::FireOs),
            (b"amazonfire", Os::FireOs),
            (b"roku", Os::Roku),
            (b"tvos", Os::TvOs),
            (b"appletv", Os::TvOs),
            (b"tizen", Os::Tizen),
            (b"webos", Os::WebOs),
            (b"lgwebos", Os::WebOs),
            (b"playstation", Os::PlayStation),
            (b"orbisos", Os::PlayStation),
            (b"xbox", Os::Xbox),
        ];
        named(name, &BEGINNINGS)
    }
}

/// A browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Browser {
    /// Not said, or none of the others; apps.
    #[default]
    Unknown = 0,
    /// Google Chrome.
    Chrome,
    /// Safari.
    Safari,
    /// Firefox.
    Firefox,
    /// Microsoft Edge.
    Edge,
    /// Samsung Internet.
    Samsung,
    /// Opera.
    Opera,
    /// Brave, where it says so.
    Brave,
    /// Yandex.
    Yandex,
    /// UC Browser.
    Uc,
    /// A page inside an app (Android WebView, iOS in-app).
    WebView,
}

impl Browser {
    /// All that can be named, with their names in campaign files.
    pub const NAMED: [(Browser, &'static str); 10] = [
        (Browser::Chrome, "chrome"),
        (Browser::Safari, "safari"),
        (Browser::Firefox, "firefox"),
        (Browser::Edge, "edge"),
        (Browser::Samsung, "samsung"),
        (Browser::Opera, "opera"),
        (Browser::Brave, "brave"),
        (Browser::Yandex, "yandex"),
        (Browser::Uc, "uc"),
        (Browser::WebView, "webview"),
    ];

    /// What a brand of `sua.browsers` means. The brands that say nothing (`Chromium`, `Not.A/Brand`) are unknown.
    pub fn named(brand: Text<'_>) -> Browser {
        /// How brands begin; the first that fits.
        const BEGINNINGS: [(&[u8], Browser); 14] = [
            (b"googlechrome", Browser::Chrome),
            (b"chromewebview", Browser::WebView),
            (b"chromemobile", Browser::Chrome),
            (b"safari", Browser::Safari),
            (b"mobilesafari", Browser::Safari),
            (b"firefox", Browser::Firefox),
            (b"microsoftedgewebview", Browser::WebView),
            (b"microsoftedge", Browser::Edge),
            (b"samsunginternet", Browser::Samsung),
            (b"opera", Browser::Opera),
            (b"brave", Browser::Brave),
            (b"ya", Browser::Yandex),
            (b"ucbrowser", Browser::Uc),
            (b"androidwebview", Browser::WebView),
        ];
        named(brand, &BEGINNINGS)
    }
}

/// What a name means by how its letters begin.
fn named<T: Copy + Default>(name: Text<'_>, beginnings: &[(&[u8], T)]) -> T {
    let letters = name.bytes().filter(u8::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase());
    let letters: ArrayVec<u8, 24> = letters.take(24).collect();
    beginnings.iter().find(|(beginning, _)| letters.starts_with(beginning)).map_or(T::default(), |(_, known)| *known)
}

/// The operating system and the browser by a user agent string.
pub fn of(ua: Text<'_>) -> (Os, Browser) {
    let said = match ua.escaped {
        false => Said::read(&ua.raw[..ua.raw.len().min(LOOKED_AT)]),
        true => Said::read(&ua.bytes().take(LOOKED_AT).collect::<ArrayVec<u8, LOOKED_AT>>()),
    };
    let os = said.os();
    (os, said.browser(os))
}

/// Answers of [`of`], by user agent string: a few thousand strings are most of the traffic. Bounded; the last to come stays.
#[derive(Debug)]
pub struct Agents {
    /// A hash of the string and what it says; 0 in an empty place.
    known: Box<[(u64, Os, Browser)]>,
    /// Nobody who chooses user agents shall choose which ones share a place.
    hasher: RandomState,
}

impl Default for Agents {
    fn default() -> Self {
        let empty = (0, Os::Unknown, Browser::Unknown);
        Agents { known: vec![empty; AGENTS].into(), hasher: RandomState::default() }
    }
}

impl Agents {
    /// As [`of`].
    #[inline]
    pub fn of(&mut self, ua: Text<'_>) -> (Os, Browser) {
        let hash = self.hasher.hash_one(ua.raw).max(1);
        let place = &mut self.known[hash as usize & (AGENTS - 1)];
        if place.0 != hash {
            let (os, browser) = of(ua);
            *place = (hash, os, browser);
        }
        (place.1, place.2)
    }
}

/// Places of [`Agents`]: 64 KiB.
const AGENTS: usize = 4096;
const _: () = assert!(AGENTS.is_power_of_two());

/// Which of the words that tell something are in a user agent string.
#[derive(Clone, Copy)]
struct Said(u64);

/// Declares the words: each a bit, with the ways it is spelt.
macro_rules! words {
    ($($word:ident $bit:literal: $($spelling:literal)|+;)*) => {
        impl Said {
            $(const $word: u64 = 1 << $bit;)*

            /// What a whole word tells; nothing of most.
            #[inline]
            fn word(word: &[u8]) -> u64 {
                match word {
                    $($($spelling)|+ => Self::$word,)*
                    // Models: Amazon's sticks and tablets, Roku's players (`AFTSS`, `KFMAWI`, `Roku4640X`), Apple's boxes.
                    [b'A', b'F', b'T', b'A'..=b'Z' | b'0'..=b'9', ..] | [b'K', b'F', b'A'..=b'Z', b'A'..=b'Z', ..] => Self::AMAZON_MODEL,
                    [b'R', b'o', b'k', b'u', ..] => Self::ROKU,
                    [b'A', b'p', b'p', b'l', b'e', b'T', b'V', ..] => Self::TVOS,
                    _ => 0,
                }
            }
        }
    };
}

words! {
    // Systems.
    ANDROID 0: b"Android" | b"Andr0id";
    APPLE_PHONE 1: b"iPhone" | b"iPad" | b"iPod" | b"iOS";
    WINDOWS 2: b"Windows";
    MACINTOSH 3: b"Macintosh" | b"macOS";
    LINUX 4: b"Linux" | b"X11" | b"LINUX";
    CHROME_OS 5: b"CrOS";
    AMAZON 6: b"Silk";
    ROKU 7: b"ROKU";
    TVOS 8: b"tvOS";
    TIZEN 9: b"Tizen" | b"TIZEN";
    WEB_OS 10: b"Web0S" | b"webOS" | b"WebOS" | b"WEBOS";
    PLAY_STATION 11: b"PlayStation" | b"PLAYSTATION";
    XBOX 12: b"Xbox" | b"XBOX";
    APPLE 13: b"Apple";
    TV 14: b"TV";
    // Systems of which we have no name: `Windows Phone`, and televisions that say Linux.
    OTHER_SYSTEM 15: b"Phone" | b"IEMobile" | b"CrKey" | b"SmartTV" | b"SMART" | b"HbbTV" | b"VIZIO" | b"Vizio" | b"VIDAA" | b"Fuchsia"
        | b"KAIOS";
    AMAZON_MODEL 16: b"Kindle";
    // Engines, and what browsers say besides their names.
    WEB_KIT 20: b"AppleWebKit";
    SAFARI 21: b"Safari";
    VERSION 22: b"Version";
    WV 23: b"wv";
    // Browsers.
    CHROME 30: b"Chrome";
    CHROME_ON_IOS 31: b"CriOS";
    FIREFOX 32: b"Firefox" | b"FxiOS";
    EDGE 33: b"Edg" | b"Edge" | b"EdgA" | b"EdgiOS";
    SAMSUNG 34: b"SamsungBrowser";
    OPERA 35: b"OPR" | b"Opera" | b"OPiOS" | b"OPT" | b"OPX";
    BRAVE 36: b"Brave";
    YANDEX 37: b"YaBrowser";
    UC 38: b"UCBrowser" | b"UCWEB";
    // Apps that show pages, and say so.
    APP 39: b"FBAN" | b"FBAV" | b"FB_IAB" | b"Instagram" | b"GSA" | b"Snapchat" | b"Pinterest" | b"BytedanceWebview" | b"LinkedInApp"
        | b"MicroMessenger" | b"Line" | b"KAKAOTALK" | b"NAVER" | b"Twitter";
    // Browsers of which we have no name, and that say Chrome or Safari.
    OTHER_BROWSER 40: b"DuckDuckGo" | b"Ddg" | b"Vivaldi" | b"HuaweiBrowser" | b"MiuiBrowser" | b"HeyTapBrowser" | b"VivoBrowser"
        | b"MQQBrowser" | b"QQBrowser" | b"Whale" | b"Puffin" | b"coc_coc_browser" | b"Seamonkey" | b"SeaMonkey" | b"Ecosia" | b"Epiphany"
        | b"HeadlessChrome" | b"Focus" | b"Klar";
}

impl Said {
    /// Gathers the words: letters, digits and underscores in a row.
    fn read(ua: &[u8]) -> Said {
        let mut said = 0;
        for word in ua.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_') {
            said |= Said::word(word);
        }
        Said(said)
    }

    /// Any of these words.
    #[inline]
    fn any(self, words: u64) -> bool {
        self.0 & words != 0
    }

    /// All of these words.
    #[inline]
    fn all(self, words: u64) -> bool {
        self.0 & words == words
    }

    fn os(self) -> Os {
        match self {
            _ if self.any(Said::TVOS) || self.all(Said::APPLE | Said::TV) => Os::TvOs,
            _ if self.any(Said::ROKU) => Os::Roku,
            _ if self.any(Said::PLAY_STATION) => Os::PlayStation,
            _ if self.any(Said::XBOX) => Os::Xbox,
            _ if self.any(Said::TIZEN) => Os::Tizen,
            _ if self.any(Said::WEB_OS) => Os::WebOs,
            // Silk says Macintosh or X11 when it asks for desktop pages.
            _ if self.any(Said::AMAZON) || self.all(Said::ANDROID | Said::AMAZON_MODEL) => Os::FireOs,
            _ if self.all(Said::WINDOWS | Said::OTHER_SYSTEM) => Os::Unknown,
            _ if self.any(Said::ANDROID) => Os::Android,
            _ if self.any(Said::APPLE_PHONE) => Os::Ios,
            _ if self.any(Said::CHROME_OS) => Os::ChromeOs,
            _ if self.any(Said::WINDOWS) => Os::Windows,
            _ if self.any(Said::MACINTOSH) => Os::MacOs,
            _ if self.any(Said::LINUX) && !self.any(Said::OTHER_SYSTEM) => Os::Linux,
            _ => Os::Unknown,
        }
    }

    fn browser(self, os: Os) -> Browser {
        match self {
            _ if self.any(Said::APP | Said::WV) => Browser::WebView,
            _ if self.any(Said::OTHER_BROWSER) => Browser::Unknown,
            _ if self.any(Said::EDGE) => Browser::Edge,
            _ if self.any(Said::OPERA) => Browser::Opera,
            _ if self.any(Said::SAMSUNG) => Browser::Samsung,
            _ if self.any(Said::YANDEX) => Browser::Yandex,
            _ if self.any(Said::UC) => Browser::Uc,
            _ if self.any(Said::BRAVE) => Browser::Brave,
            _ if self.any(Said::FIREFOX) => Browser::Firefox,
            _ if self.any(Said::CHROME_ON_IOS) => Browser::Chrome,
            _ if self.any(Said::CHROME) => match os {
                // Android's web view before Chrome 30 told it by `wv`.
                Os::Android if self.any(Said::VERSION) => Browser::WebView,
                Os::Android | Os::Windows | Os::MacOs | Os::Linux | Os::ChromeOs => Browser::Chrome,
                // The browsers that televisions and consoles are sold with.
                _ => Browser::Unknown,
            },
            _ if self.any(Said::WEB_KIT) && matches!(os, Os::Ios | Os::MacOs) => {
                if self.all(Said::SAFARI | Said::VERSION) { Browser::Safari } else { Browser::WebView }
            }
            _ => Browser::Unknown,
        }
    }
}
