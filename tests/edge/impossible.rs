//! Devices that contradict themselves, and the odd ones that do not: each as a request says it, with the answer a person gives.

use std::sync::Arc;

use corebid::bid::Outcome;
use corebid::bid::edge::impossible::{Contradiction, Contradiction::*, Said};
use corebid::clock;
use corebid::config::Config;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::snapshot::edge::{Edge, Files};
use corebid::wire::json::Text;
use corebid::wire::openrtb::agent::Os;
use corebid::wire::openrtb::nobid::NoBidReason;
use proptest::prelude::*;

use crate::node::core;

const EXISTS: Option<Contradiction> = None;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
const ANDROID: &str =
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36";
const TIZEN: &str = "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36";
const WEB_OS: &str = "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager";

/// `devicetype`, `os`, the user agent, and what contradicts.
#[rustfmt::skip]
const DEVICES: &[(u8, &str, &str, Option<Contradiction>)] = &[
    // Two systems in the platform.
    (0, "", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X; Windows NT 10.0) AppleWebKit/605.1.15", Some(TwoSystems)),
    (2, "Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; iPad) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36", Some(TwoSystems)),
    (4, "Android", "Mozilla/5.0 (Windows NT 10.0; Android 13) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36", Some(TwoSystems)),
    (4, "iOS", "Mozilla/5.0 (iPhone; Android 13; Mobile) AppleWebKit/605.1.15 (KHTML, like Gecko)", Some(TwoSystems)),
    // A copy of an iPhone, which is an Android phone; Windows phones, which say everything.
    (4, "Android", "Mozilla/5.0 (Linux; Android 9; iPhone 11 Pro Max) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0.0.0 Mobile Safari/537.36", EXISTS),
    (4, "Windows Phone", "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15063", EXISTS),
    (4, "iOS", "Mozilla/5.0 (Mobile; Windows Phone 8.1; Android 4.0; ARM; Trident/7.0; Touch; rv:11.0; IEMobile/11.0; NOKIA; Lumia 520) like iPhone OS 7_0_3 Mac OS X AppleWebKit/537 (KHTML, like Gecko) Mobile Safari/537", EXISTS),
    (2, "Windows", "Mozilla/5.0 (Windows NT 6.2; ARM; Trident/7.0; Touch; rv:11.0; WPDesktop; Lumia 1520) like Gecko", EXISTS),
    (2, "Windows", "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/107.0.0.0 Safari/537.36 MicroMessenger/7.0.20.1781(0x6700143B) MiniProgramEnv/Windows WindowsWechat/WMPF", EXISTS),
    // Televisions.
    (3, "", IPHONE, Some(PhoneInTelevision)),
    (7, "iOS", "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1", Some(PhoneInTelevision)),
    (3, "iOS", "AppleCoreMedia/1.0.0.21F90 (iPhone; U; CPU OS 17_5_1 like Mac OS X; en_us)", Some(PhoneInTelevision)),
    (3, "tvOS", IPHONE, EXISTS),
    (3, "iOS", "AppleCoreMedia/1.0.0.21L569 (Apple TV; U; CPU OS 17_5 like Mac OS X; en_us)", EXISTS),
    (3, "iOS", "AppleTV6,2/11.1", EXISTS),
    (7, "tvOS", "Mozilla/5.0 (AppleTV; CPU OS 16_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", EXISTS),
    (3, "Android", "Mozilla/5.0 (Linux; Android 12; Chromecast Build/STTK.230808.004; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/114.0.5735.196 Mobile Safari/537.36", EXISTS),
    (3, "Fire OS", "Mozilla/5.0 (Linux; Android 11; AFTSS Build/RS8133.2902N; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/112.0.5615.213 Mobile Safari/537.36", EXISTS),
    (3, "", ANDROID, EXISTS),
    (3, "Android", "Mozilla/5.0 (Linux; Andr0id 9; BRAVIA 4K UR2 Build/PTT1.190515.001.S52) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/88.0.4324.152 Safari/537.36 OPR/46.0.2207.0", EXISTS),
    (3, "Tizen", TIZEN, EXISTS),
    (3, "webOS", WEB_OS, EXISTS),
    (3, "Linux", WEB_OS, EXISTS),
    (7, "Roku OS", "Roku/DVP-9.10 (519.10E04111A)", EXISTS),
    (6, "Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/48.0.2564.82 Safari/537.36 Edge/44.18363.8740", EXISTS),
    (3, "Android", TIZEN, Some(TelevisionOnPhone)),
    (4, "iOS", WEB_OS, Some(TelevisionOnPhone)),
    (0, "iOS", "Roku/DVP-12.5 (12.5.0.4178)", Some(TelevisionOnPhone)),
    (4, "iOS", "Roku/9.8 (iPhone; iOS 17.4; Scale/3.00)", EXISTS),
    (4, "Android", "Mozilla/5.0 (Linux; Tizen 2.3; SAMSUNG SM-Z130H) AppleWebKit/537.3 (KHTML, like Gecko) like Android 4.4 Mobile Safari/537.3", EXISTS),
    (0, "Roku", IPHONE, Some(PhoneOnTelevision)),
    (0, "Tizen", IPHONE, Some(PhoneOnTelevision)),
    (0, "webOS", IPHONE, Some(PhoneOnTelevision)),
    // Phones of the other system.
    (4, "iOS", ANDROID, Some(IosOnAndroid)),
    (4, "iPadOS", "Dalvik/2.1.0 (Linux; U; Android 11; SM-A217F Build/RP1A.200720.012)", Some(IosOnAndroid)),
    (4, "Android", IPHONE, Some(AndroidOnIos)),
    (4, "android", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21E236 [FBAN/FBIOS;FBDV/iPhone14,5;FBSN/iOS]", Some(AndroidOnIos)),
    (2, "Windows", IPHONE, Some(WindowsOnIos)),
    (4, "iOS", IPHONE, EXISTS),
    (4, "Android", ANDROID, EXISTS),
    // Desktop pages on phones and tablets, and the other way round.
    (5, "iOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 Safari/605.1.15", EXISTS),
    (5, "Android", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36", EXISTS),
    (4, "Android", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36", EXISTS),
    (5, "Android", "Mozilla/5.0 (Android 14; Mobile; rv:125.0) Gecko/125.0 Firefox/125.0", EXISTS),
    (2, "macOS", "Mozilla/5.0 (iPad; CPU OS 15_8 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/19H370", EXISTS),
    (2, "Linux", ANDROID, EXISTS),
    (2, "Chrome OS", "Mozilla/5.0 (Linux; Android 11; Pixelbook) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0.0.0 Safari/537.36", EXISTS),
    (2, "Windows", "Mozilla/5.0 (Linux; Android 13; Subsystem for Android(TM)) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", EXISTS),
    // What says nothing.
    (3, "iOS", "", EXISTS),
    (4, "iOS", "okhttp/4.9.3", EXISTS),
    (4, "iOS", "((((", EXISTS),
    (0, "Windows", "Mozilla/5.0 (iPhonesque; Tizenlike; NTFS)", EXISTS),
];

#[test]
fn each_contradiction_and_no_odd_device() {
    for contradiction in Contradiction::ALL {
        assert!(DEVICES.iter().any(|(.., wanted)| *wanted == Some(contradiction)), "{contradiction:?} is not tried");
    }
    let data = Data::load(Source::BuiltIn, &Key([0; 32])).unwrap();
    let mut config = Config::demo(std::path::Path::new(""));
    let mut off = core(&config, &data);
    config.edge.impossible_devices = true;
    let mut on = core(&config, &data);
    let now = clock::now();
    for (kind, os, ua, wanted) in DEVICES {
        let stated = Os::named(Text { raw: os.as_bytes(), escaped: false });
        assert_eq!(Contradiction::of(*kind, stated, Said::of(ua.as_bytes())), *wanted, "{kind} {os:?} {ua}");
        // The same through the whole decision: by `os`, by a structured agent, and with escapes.
        let codes: String = ua.chars().map(|letter| format!("\\u{:04x}", letter as u32)).collect();
        for device in [
            format!("\"devicetype\":{kind},\"os\":\"{os}\",\"ua\":\"{ua}\""),
            format!("\"ua\":\"{codes}\",\"sua\":{{\"platform\":{{\"brand\":\"{os}\"}}}},\"devicetype\":{kind}"),
        ] {
            let body = format!(
                "{{\"id\":\"r\",\"imp\":[{{\"id\":\"1\",\"bidfloor\":0.01,\"banner\":{{\"w\":300,\"h\":250}}}}],\
                 \"site\":{{\"domain\":\"news.example\"}},\"device\":{{{device}}}}}"
            );
            assert!(matches!(off.decide(now, &body), Outcome::Bid { .. }), "{body}");
            match (on.decide(now, &body), wanted) {
                (Outcome::Bid { .. }, None) | (Outcome::NoBid(NoBidReason::ImpossibleDevice), Some(_)) => {}
                (other, _) => panic!("{other:?} for {body}"),
            }
        }
    }
}

/// The devices that other lists lack, as the example reads them too: none is turned away, by the list of bots neither.
#[test]
fn common_devices_exist_and_are_no_bots() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = Files { bots: Some(root.join("deploy/bots.txt")), ..Files::default() };
    let mut kept = Vec::new();
    let lists = Edge::load(&files, &Arc::default(), &mut kept);
    assert!(kept.is_empty() && lists.bots.is_bot(b"Mozilla/5.0 (compatible; Googlebot/2.1)"), "{kept:?}");
    let text = std::fs::read_to_string(root.join("tests/data/devices.tsv")).unwrap();
    let mut devices = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [kind, os, ua] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let stated = Os::named(Text { raw: os.as_bytes(), escaped: false });
        assert_eq!(Contradiction::of(kind.parse().unwrap(), stated, Said::of(ua.as_bytes())), None, "{line}");
        assert!(!lists.bots.is_bot(ua.as_bytes()), "{line}");
        devices += 1;
    }
    assert!(devices > 50);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a user agent says, one that names no Apple device, no Android and no television contradicts nothing.
    #[test]
    fn who_names_no_system_contradicts_nothing(
        parts in prop::collection::vec("[ -~]{0,12}|Windows NT 10.0|X11; Linux|Macintosh|\\(|\\)|; |Mobile", 0..30),
        kind in any::<u8>(),
        os in 0..Os::NAMED.len(),
    ) {
        let ua: String = parts.concat();
        let names = ["iPhone", "iPad", "iPod", "ndroid", "ndr0id", "izen", "IZEN", "eb0S", "ebOS", "EBOS", "Rok", "ROK"];
        prop_assume!(!names.iter().any(|name| ua.contains(name)));
        prop_assert_eq!(Contradiction::of(kind, Os::NAMED[os].0, Said::of(ua.as_bytes())), None);
    }
}
