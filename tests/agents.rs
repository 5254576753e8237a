//! What devices say of themselves, and what they are: user agent strings as they come in, each with the answer a person gives.

use corebid::wire::json::Text;
use corebid::wire::openrtb::agent::{Agents, Browser, Os, of};

fn text(text: &str) -> Text<'_> {
    Text { raw: text.as_bytes(), escaped: text.contains('\\') }
}

#[rustfmt::skip]
const AGENTS: &[(&str, Os, Browser)] = &[
    // Computers.
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36", Os::Windows, Browser::Chrome),
    ("Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36", Os::Windows, Browser::Chrome),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 Edg/124.0.2478.51", Os::Windows, Browser::Edge),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763", Os::Windows, Browser::Edge),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/123.0.0.0 Safari/537.36 OPR/109.0.0.0", Os::Windows, Browser::Opera),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 YaBrowser/24.4.0.0 Safari/537.36", Os::Windows, Browser::Yandex),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0", Os::Windows, Browser::Firefox),
    ("Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", Os::Windows, Browser::Unknown),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/110.0.0.0 Whale/3.19.166.16 Safari/537.36", Os::Windows, Browser::Unknown),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/119.0.0.0 Safari/537.36", Os::Windows, Browser::Unknown),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Safari/605.1.15", Os::MacOs, Browser::Safari),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36", Os::MacOs, Browser::Chrome),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36 Edg/124.0.0.0", Os::MacOs, Browser::Edge),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14.5; rv:126.0) Gecko/20100101 Firefox/126.0", Os::MacOs, Browser::Firefox),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)", Os::MacOs, Browser::WebView),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15 Ddg/17.4", Os::MacOs, Browser::Unknown),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36", Os::Linux, Browser::Chrome),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0", Os::Linux, Browser::Firefox),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Safari/537.36 OPR/108.0.0.0", Os::Linux, Browser::Opera),
    ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36", Os::ChromeOs, Browser::Chrome),
    ("Mozilla/5.0 (X11; CrOS aarch64 13099.85.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/84.0.4147.110 Safari/537.36", Os::ChromeOs, Browser::Chrome),
    ("Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/107.0.0.0 Safari/537.36 MicroMessenger/7.0.20.1781(0x6700143B) NetType/WIFI MiniProgramEnv/Windows WindowsWechat/WMPF", Os::Windows, Browser::WebView),
    // Telephones and tablets: Android.
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36", Os::Android, Browser::Chrome),
    ("Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36", Os::Android, Browser::Chrome),
    ("Mozilla/5.0 (Linux; Android 13; SM-X906C Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0.6099.43 Safari/537.36", Os::Android, Browser::WebView),
    ("Mozilla/5.0 (Linux; Android 4.4.2; GT-I9505 Build/KOT49H) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/30.0.0.0 Mobile Safari/537.36", Os::Android, Browser::WebView),
    ("Mozilla/5.0 (Linux; U; Android 4.0.3; de-de; GT-I9100 Build/IML74K) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30", Os::Android, Browser::Unknown),
    ("Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-A546B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36", Os::Android, Browser::Samsung),
    ("Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.6367.82 Mobile Safari/537.36 EdgA/124.0.2478.50", Os::Android, Browser::Edge),
    ("Mozilla/5.0 (Linux; Android 10; VOG-L29) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36 OPR/76.2.4027.73374", Os::Android, Browser::Opera),
    ("Opera/9.80 (Android; Opera Mini/36.2.2254/119.132; U; id) Presto/2.12.423 Version/12.16", Os::Android, Browser::Opera),
    ("Mozilla/5.0 (Android 14; Mobile; rv:125.0) Gecko/125.0 Firefox/125.0", Os::Android, Browser::Firefox),
    ("Mozilla/5.0 (Linux; arm_64; Android 14; SM-G965F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.6261.119 YaBrowser/24.4.1.58.00 SA/3 Mobile Safari/537.36", Os::Android, Browser::Yandex),
    ("Mozilla/5.0 (Linux; U; Android 12; en-US; RMX3085 Build/SP1A.210812.016) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.58 UCBrowser/13.7.2.1636 Mobile Safari/537.36", Os::Android, Browser::Uc),
    ("Mozilla/5.0 (Linux; U; Android 13; en-gb; 2201116PG Build/TKQ1.221114.001) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/112.0.5615.136 Mobile Safari/537.36 XiaoMi/MiuiBrowser/14.4.0-g", Os::Android, Browser::Unknown),
    ("Mozilla/5.0 (Linux; Android 12; JAD-LX9; HMSCore 6.13.0.321) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0.4844.88 HuaweiBrowser/14.0.5.302 Mobile Safari/537.36", Os::Android, Browser::Unknown),
    ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/124.0.6367.82 Mobile DuckDuckGo/5 Safari/537.36", Os::Android, Browser::Unknown),
    ("Mozilla/5.0 (Linux; Android 7.1.2; SM-N950F) AppleWebKit/537.36 (KHTML, like Gecko) Brave Chrome/69.0.3497.100 Mobile Safari/537.36", Os::Android, Browser::Brave),
    ("Mozilla/5.0 (Linux; Android 13; SM-A515F Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/124.0.6367.82 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/461.0.0.50.78;]", Os::Android, Browser::WebView),
    ("Mozilla/5.0 (Linux; Android 12; M2102J20SG Build/SKQ1.211006.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/123.0.6312.118 Mobile Safari/537.36 Instagram 329.0.0.41.93 Android (31/12; 440dpi; 1080x2179; Xiaomi/POCO; M2102J20SG; vayu; qcom; de_DE; 596227474)", Os::Android, Browser::WebView),
    ("Dalvik/2.1.0 (Linux; U; Android 11; SM-A217F Build/RP1A.200720.012)", Os::Android, Browser::Unknown),
    ("Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063", Os::Unknown, Browser::Edge),
    ("Mozilla/5.0 (Mobile; Nokia_2720_Flip; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5.2", Os::Unknown, Browser::Firefox),
    // Telephones and tablets: Apple.
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1", Os::Ios, Browser::Safari),
    ("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1", Os::Ios, Browser::Safari),
    // An iPad that asks for desktop pages is a Mac to everybody.
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 Safari/605.1.15", Os::MacOs, Browser::Safari),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", Os::Ios, Browser::WebView),
    ("Mozilla/5.0 (iPad; CPU OS 15_8 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/19H370", Os::Ios, Browser::WebView),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/125.0.6422.51 Mobile/15E148 Safari/604.1", Os::Ios, Browser::Chrome),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 14_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/125.2 Mobile/15E148 Safari/605.1.15", Os::Ios, Browser::Firefox),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 EdgiOS/124.2478.50 Mobile/15E148 Safari/605.1.15", Os::Ios, Browser::Edge),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Mobile/15E148 Safari/604.1 OPT/4.7.0", Os::Ios, Browser::Opera),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/315.0.630091404 Mobile/15E148 Safari/604.1", Os::Ios, Browser::WebView),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 [FBAN/FBIOS;FBAV/461.0.0.36.106;FBBV/592424400;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/17.4.1;FBSS/3]", Os::Ios, Browser::WebView),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 Instagram 329.0.5.28.84 (iPhone13,2; iOS 17_4_1; de_DE; de; scale=3.00; 1170x2532; 595961846)", Os::Ios, Browser::WebView),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 DuckDuckGo/7 Safari/605.1.15", Os::Ios, Browser::Unknown),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 16_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.0 YaBrowser/24.4.3.404.10 Mobile/15E148 Safari/604.1", Os::Ios, Browser::Yandex),
    ("AppleCoreMedia/1.0.0.21F90 (iPhone; U; CPU OS 17_5_1 like Mac OS X; en_us)", Os::Ios, Browser::Unknown),
    // Televisions, sticks and consoles.
    ("Roku/DVP-9.10 (519.10E04111A)", Os::Roku, Browser::Unknown),
    ("Roku4640X/DVP-7.70 (297.70E04154A)", Os::Roku, Browser::Unknown),
    ("Mozilla/5.0 (compatible; U; NETFLIX) Roku/DVP-12.5", Os::Roku, Browser::Unknown),
    ("AppleTV6,2/11.1", Os::TvOs, Browser::Unknown),
    ("AppleTV/tvOS/9.1.1.", Os::TvOs, Browser::Unknown),
    ("AppleCoreMedia/1.0.0.21L569 (Apple TV; U; CPU OS 17_5 like Mac OS X; en_us)", Os::TvOs, Browser::Unknown),
    ("Mozilla/5.0 (AppleTV; CPU OS 16_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", Os::TvOs, Browser::Unknown),
    ("Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36", Os::Tizen, Browser::Unknown),
    ("Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0) AppleWebKit/538.1 (KHTML, like Gecko) Version/5.0 NativeTVAds Safari/538.1", Os::Tizen, Browser::Unknown),
    ("Mozilla/5.0 (Linux; Tizen 2.3) AppleWebKit/538.1 (KHTML, like Gecko) SamsungBrowser/1.0 TV Safari/538.1", Os::Tizen, Browser::Samsung),
    ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager", Os::WebOs, Browser::Unknown),
    ("Mozilla/5.0 (webOS; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.79 Safari/537.36 DMOST/2.0.0 (; LGE; webOSTV; WEBOS6.3.2 03.34.95; W6_lm21a;)", Os::WebOs, Browser::Unknown),
    ("Dalvik/2.1.0 (Linux; U; Android 9; AFTMM Build/PS7646.3567N)", Os::FireOs, Browser::Unknown),
    ("Mozilla/5.0 (Linux; Android 11; AFTSS Build/RS8133.2902N; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/112.0.5615.213 Mobile Safari/537.36", Os::FireOs, Browser::WebView),
    ("Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/120.4.1 like Chrome/120.0.6099.230 Safari/537.36", Os::FireOs, Browser::Unknown),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Silk/119.3.2 like Chrome/119.0.6045.193 Safari/537.36", Os::FireOs, Browser::Unknown),
    ("Mozilla/5.0 (Linux; Andr0id 9; BRAVIA 4K UR2 Build/PTT1.190515.001.S52) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/88.0.4324.152 Safari/537.36 OPR/46.0.2207.0 OMI/4.20.5.31.Spurs3", Os::Android, Browser::Opera),
    ("Mozilla/5.0 (Linux; Android 12; Chromecast Build/STTK.230808.004; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/114.0.5735.196 Mobile Safari/537.36", Os::Android, Browser::WebView),
    ("Mozilla/5.0 (X11; Linux armv7l) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0.4430.225 Safari/537.36 CrKey/1.56.500000", Os::Unknown, Browser::Unknown),
    ("Mozilla/5.0 (Linux; U; Linux; en-US) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/84.0.4147.125 Safari/537.36 VIDAA/6.0 (Hisense; SmartTV)", Os::Unknown, Browser::Unknown),
    ("Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15", Os::PlayStation, Browser::Unknown),
    ("Mozilla/5.0 (PlayStation 4 3.11) AppleWebKit/537.73 (KHTML, like Gecko)", Os::PlayStation, Browser::Unknown),
    ("Mozilla/5.0 (PLAYSTATION 3; 3.55)", Os::PlayStation, Browser::Unknown),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/48.0.2564.82 Safari/537.36 Edge/44.18363.8740", Os::Xbox, Browser::Edge),
    // Others.
    ("okhttp/4.9.3", Os::Unknown, Browser::Unknown),
    ("curl/8.5.0", Os::Unknown, Browser::Unknown),
    ("VLC/3.0.20 LibVLC/3.0.20", Os::Unknown, Browser::Unknown),
    ("", Os::Unknown, Browser::Unknown),
];

#[test]
fn agents_are_what_a_person_says_they_are() {
    assert!(AGENTS.len() > 60);
    let wrong: Vec<_> = AGENTS
        .iter()
        .filter(|(ua, os, browser)| of(text(ua)) != (*os, *browser))
        .map(|(ua, ..)| (ua, of(text(ua))))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn escapes_change_nothing() {
    for (ua, os, browser) in AGENTS {
        let slashes = ua.replace('/', "\\/");
        let codes: String = ua.chars().map(|letter| format!("\\u{:04x}", letter as u32)).collect();
        for escaped in [slashes, codes] {
            assert_eq!(of(text(&escaped)), (*os, *browser), "{escaped}");
        }
    }
}

#[test]
fn no_agent_is_too_long() {
    let (usual, os, browser) = AGENTS[0];
    let long = format!("{usual} {}", "Roku ".repeat(100_000));
    assert_eq!(of(text(&long[..1024])).0, Os::Roku);
    let long = format!("{usual}{}Roku", " ".repeat(1024));
    assert_eq!(of(text(&long)), (os, browser));
    assert_eq!(of(text(&long.replace('/', "\\/"))), (os, browser));
}

#[test]
fn systems_are_named_in_many_ways() {
    #[rustfmt::skip]
    let named = [
        (Os::Android, &["Android", "android", "ANDROID", "Android OS", "Android 14", "AndroidTV", "Google TV"][..]),
        (Os::Ios, &["iOS", "ios", "IOS", "iPadOS", "iPhone OS", "iPhone", "iPad", "iOS 17.5"]),
        (Os::Windows, &["Windows", "windows", "Windows NT", "Windows 10", "Windows NT 10.0"]),
        (Os::MacOs, &["macOS", "Mac OS X", "OS X", "Mac OS", "MacOS", "Mac OS X 10.15", "Macintosh", "OSX"]),
        (Os::Linux, &["Linux", "linux", "GNU/Linux", "Ubuntu", "Debian", "Fedora"]),
        (Os::ChromeOs, &["Chrome OS", "ChromeOS", "CrOS", "Chromium OS", "chrome os"]),
        (Os::FireOs, &["Fire OS", "FireOS", "fireos", "Amazon Fire OS", "Fire TV"]),
        (Os::Roku, &["Roku", "Roku OS", "RokuOS", "ROKU"]),
        (Os::TvOs, &["tvOS", "TVOS", "Apple TV", "AppleTV"]),
        (Os::Tizen, &["Tizen", "tizen", "Tizen OS"]),
        (Os::WebOs, &["webOS", "WebOS", "webOS TV", "LG webOS", "web OS"]),
        (Os::PlayStation, &["PlayStation", "PlayStation 4", "Playstation 5", "Orbis OS"]),
        (Os::Xbox, &["Xbox", "XBOX", "Xbox OS", "Xbox One"]),
        (Os::Unknown, &["", "Windows Phone", "Windows Phone 8.1", "KaiOS", "Symbian", "other", "14", "\u{fc}ber", "a-very-long-name-that-nobody-has-ever-given-to-anything"]),
    ];
    for (os, names) in named {
        names.iter().for_each(|name| assert_eq!(Os::named(text(name)), os, "{name}"));
    }
    assert_eq!(Os::named(text("Mac\\u0020OS")), Os::MacOs);
    for (os, name) in Os::NAMED {
        assert_eq!(Os::named(text(name)), os);
    }
}

#[test]
fn brands_are_those_of_client_hints() {
    #[rustfmt::skip]
    let named = [
        (Browser::Chrome, &["Google Chrome"][..]),
        (Browser::Safari, &["Safari", "Mobile Safari"]),
        (Browser::Firefox, &["Firefox", "Firefox Mobile"]),
        (Browser::Edge, &["Microsoft Edge"]),
        (Browser::Samsung, &["Samsung Internet"]),
        (Browser::Opera, &["Opera", "Opera GX", "OperaMobile"]),
        (Browser::Brave, &["Brave"]),
        (Browser::Yandex, &["YaBrowser", "Yandex"]),
        (Browser::Uc, &["UCBrowser", "UC Browser"]),
        (Browser::WebView, &["Android WebView", "Microsoft Edge WebView2", "Chrome WebView"]),
        (Browser::Unknown, &["", "Chromium", "Not.A/Brand", " Not A;Brand", "Not)A;Brand", "DuckDuckGo", "HeadlessChrome"]),
    ];
    for (browser, names) in named {
        names.iter().for_each(|name| assert_eq!(Browser::named(text(name)), browser, "{name}"));
    }
}

/// What was seen before is known again, also where strings take each other's places.
#[test]
fn remembered_answers_are_the_same() {
    let mut agents = Agents::default();
    let strange: Vec<String> = (0..10_000).map(|n| format!("agent/{n} (Linux; Android {n})")).collect();
    for _ in 0..2 {
        for (ua, os, browser) in AGENTS {
            assert_eq!(agents.of(text(ua)), (*os, *browser), "{ua}");
        }
        strange.iter().for_each(|ua| assert_eq!(agents.of(text(ua)), of(text(ua))));
    }
}
