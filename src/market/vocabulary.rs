//! The words of the corpus. Strings are JSON text: what needs an escape has one, and some have one without need, as real
//! exchanges send them. Domains and addresses name nobody (RFC 2606).

/// Sizes campaigns have creatives for (the IAB's most traded).
pub const SIZES: &[(u16, u16)] = &[
    (300, 250),
    (300, 250),
    (300, 250),
    (320, 50),
    (320, 50),
    (728, 90),
    (728, 90),
    (160, 600),
    (300, 600),
    (970, 250),
];

/// Sizes nobody has.
pub const ODD_SIZES: &[(u16, u16)] = &[(117, 43), (213, 57), (431, 77), (555, 111), (999, 37), (271, 271), (645, 127)];

/// Deals that campaigns may name: id, and what is agreed besides a floor, as members.
pub const DEALS: &[(&str, &str)] = &[
    ("deal-1", ",\"bidfloorcur\":\"USD\",\"at\":1"),
    ("deal-2", ""),
    ("deal-3", ",\"at\":2,\"wseat\":[\"corebid\",\"seat-1\"]"),
    ("deal-fixed", ",\"at\":3"),
    ("deal-guaranteed", ",\"guar\":1,\"at\":3"),
];

/// Site domains.
pub const DOMAINS: &[&str] = &[
    "news1.example",
    "news2.example",
    "news3.example",
    "sport1.example",
    "sport2.example",
    "weather1.example",
    "recipes1.example",
    "recipes2.example",
    "cars1.example",
    "travel1.example",
    "travel2.example",
    "finance1.example",
    "finance2.example",
    "games1.example",
    "games2.example",
    "music1.example",
    "health1.example",
    "science1.example",
    "fashion1.example",
    "local1.example",
    "local2.example",
    "tech1.example",
    "tech2.example",
    "film1.example",
];

/// App bundles, of both stores.
pub const BUNDLES: &[&str] = &[
    "com.example.news1",
    "com.example.news2",
    "com.example.weather1",
    "com.example.chat1",
    "com.example.puzzle1",
    "com.example.puzzle2",
    "com.example.racing1",
    "com.example.radio1",
    "com.example.recipes1",
    "com.example.fitness1",
    "com.example.maps1",
    "com.example.photo1",
    "1000000001",
    "1000000002",
    "1000000003",
    "1000000004",
];

/// Country (ISO 3166-1 alpha-3), region, city, postal code.
pub const PLACES: &[(&str, &str, &str, &str)] = &[
    ("USA", "NY", "New York", "10001"),
    ("USA", "CA", "Los Angeles", "90001"),
    ("USA", "TX", "Austin", "73301"),
    ("USA", "IL", "Chicago", "60601"),
    ("USA", "WA", "Seattle", "98101"),
    ("USA", "FL", "Miami", "33101"),
    ("CAN", "QC", "Montr\\u00e9al", "H2Y"),
    ("CAN", "ON", "Toronto", "M5H"),
    ("GBR", "ENG", "London", "EC1A"),
    ("DEU", "BE", "Berlin", "10115"),
    ("DEU", "BY", "München", "80331"),
    ("FRA", "IDF", "Paris", "75001"),
    ("ESP", "MD", "Madrid", "28001"),
    ("ITA", "62", "Roma", "00118"),
    ("NLD", "NH", "Amsterdam", "1011"),
    ("POL", "MZ", "Łódź", "90-001"),
    ("BRA", "SP", "S\\u00e3o Paulo", "01000"),
    ("MEX", "CMX", "Ciudad de México", "06000"),
    ("JPN", "13", "東京", "100-0001"),
    ("IND", "MH", "Mumbai", "400001"),
    ("AUS", "NSW", "Sydney", "2000"),
];

/// Names of publishers and their properties.
pub const NAMES: &[&str] = &[
    "Daily Example",
    "The \\\"Quoted\\\" Post",
    "Caf\\u00e9 Review",
    "Tagesblatt Süd",
    "新聞",
    "Example Media Group",
    "Back\\\\slash Weekly",
    "A\\/B Testing Today",
    "Example & Sons",
    "Puzzle \\ud83e\\udde9 World",
    "Local Paper",
    "Radio One",
];

/// Titles and keywords.
pub const TITLES: &[&str] = &[
    "ten ways to cook rice",
    "match report: late goal decides",
    "what the new rules mean for you",
    "r\\u00e9sum\\u00e9 tips, line one\\nline two",
    "markets close higher",
    "weather: rain, later sun",
    "the best of the week",
    "how it works \\u2014 explained",
    "interview, part 2",
    "short reviews",
];

/// Parts of paths and tags.
pub const TAGS: &[&str] =
    &["home", "sports", "politics", "article", "top", "sidebar", "footer", "inline", "gallery", "results"];

/// Content categories (IAB Content Taxonomy 1.0).
pub const CATEGORIES: &[&str] =
    &["IAB1", "IAB1-2", "IAB2", "IAB3-1", "IAB5", "IAB8-5", "IAB9-30", "IAB12", "IAB13", "IAB17-44", "IAB19", "IAB20"];

/// Languages (ISO 639-1).
pub const LANGUAGES: &[&str] = &["en", "en", "en", "de", "fr", "es", "pt", "ja", "pl"];

/// Names of segments.
pub const SEGMENTS: &[&str] = &[
    "auto intenders",
    "sports fans",
    "new parents",
    "travellers",
    "home owners",
    "gamers 18-34",
    "foodies",
    "caf\\u00e9 goers",
];

/// Sources of extended ids.
pub const EID_SOURCES: &[&str] = &[
    "id1.example",
    "graph.example",
    "login.example",
    "pub-common.example",
    "cookie-sync.example",
    "household.example",
];

/// User agent, operating system, device type (AdCOM list "Device Types") on the web.
pub const WEB_AGENTS: &[(&str, &str, u8)] = &[
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Windows",
        2,
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
        "macOS",
        2,
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "iOS",
        4,
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
        "Android",
        4,
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
        "iOS",
        5,
    ),
];

/// The same in apps.
pub const APP_AGENTS: &[(&str, &str, u8)] = &[
    ("Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP1A.240505.004)", "android", 4),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        "ios",
        4,
    ),
    (
        "Mozilla/5.0 (Linux; Android 13; SM-X200 Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.0.0 Safari/537.36",
        "android",
        5,
    ),
];

/// Consent strings of TCF 2.3, created on 2026-06-01, with consent to all purposes: of some 800 vendors and of a few, vendor 1
/// among them.
pub const CONSENT: [&str; 2] = [
    "CQlH_MAQlH_MAEsABBENBkFgAP_gAAAAAAYgImNvbe29t7b29t7b23tvb23tvbe29vbe29t7b21t7b23tvbW2tvbe29tba29t7b21trbW3tvbW2ttba29t7a21trb23trbW2tvbe29tba29t7b23trb23tvbe2tvbe29t7b29t7b23tvb23tvbe29vbe29t7b21t7b23tvbW2tvbe29tba29t7b21sAAAAAA.IJYQAYAAglgA",
    "CQlH_MAQlH_MAEsABBENBkFgAP_gAAAAAAYgF5wCIAAgAEAAQABQAHAAaABMAC2AvMAAAAAA.IJYQAYAAglgA",
];

/// The same with purposes 2 and 7, and a few more: nobody may be known.
pub const CONSENT_CONTEXTUAL: [&str; 2] = [
    "CQlH_MAQlH_MAEsABBENBkFgAEIAAAAAAAYgImNvbe29t7b29t7b23tvb23tvbe29vbe29t7b21t7b23tvbW2tvbe29tba29t7b21trbW3tvbW2ttba29t7a21trb23trbW2tvbe29tba29t7b23trb23tvbe2tvbe29t7b29t7b23tvb23tvbe29vbe29t7b21t7b23tvbW2tvbe29tba29t7b21sAAAAAA.IJYQAYAAglgA",
    "CQlH_MAQlH_MAEsABBENBkFgAELAAAAAAAYgF5wCIAAgAEAAQABQAHAAaABMAC2AvMAAAAAA.IJYQAYAAglgA",
];

/// The same with purposes 1, 3 and 4: none that an advertisement needs.
pub const CONSENT_WITHOUT_ADS: [&str; 2] =
    ["CQlH_MAQlH_MAEsABBENBkFgALAAAAAAAAYgF5wCIAAgAEAAQABQAHAAaABMAC2AvMAAAAAA.IJYQAYAAglgA"; 2];
