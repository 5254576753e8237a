//! Operating systems and browsers, as campaigns name them: one small code each.

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
}
