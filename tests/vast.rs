//! Is the VAST of each version what the version says, read back with an XML parser that is not ours?

use corebid::limits;
use corebid::snapshot::campaign::markup::{Outcomes, Values};
use corebid::snapshot::campaign::vast::{Event, Media, Spot, Vast};
use corebid::snapshot::campaign::{Ad, Creative, Order, StreamAd};
use corebid::units::BidId;
use corebid::wire::json::Text;
use corebid::wire::openrtb::request::Size;
use corebid::wire::openrtb::response::Out;
use proptest::prelude::*;
use roxmltree::{Document, Node};

/// Children in the order of the schemas: VAST 2.0 and 3.0 (`vast_2.0.1.xsd`, `vast3.xsd`) and 4.0 (`vast4.xsd`).
fn order(version: &str, parent: &str) -> &'static [&'static str] {
    match (version, parent) {
        ("4.0", "InLine") => &["AdSystem", "Error", "Impression", "AdTitle", "Creatives"],
        (_, "InLine") => &["AdSystem", "AdTitle", "Error", "Impression", "Creatives"],
        ("4.0", "Wrapper") => &["AdSystem", "Error", "Impression", "VASTAdTagURI", "Creatives"],
        (_, "Wrapper") => &["AdSystem", "VASTAdTagURI", "Error", "Impression", "Creatives"],
        ("4.0", "Linear") => &["TrackingEvents", "Duration", "MediaFiles", "VideoClicks"],
        (_, "Linear") => &["Duration", "TrackingEvents", "VideoClicks", "MediaFiles"],
        ("4.0", "Creative") => &["UniversalAdId", "Linear"],
        (_, "Creative") => &["Linear"],
        (_, "VideoClicks") => &["ClickThrough", "ClickTracking"],
        (_, "TrackingEvents") => &["Tracking"],
        (_, "MediaFiles") => &["MediaFile"],
        (_, "VAST") => &["Ad"],
        (_, "Ad") => &["InLine", "Wrapper"],
        (_, "Creatives") => &["Creative"],
        _ => &[],
    }
}

fn in_order(version: &str, node: Node<'_, '_>) {
    let known = order(version, node.tag_name().name());
    let places: Vec<_> = node
        .children()
        .filter(Node::is_element)
        .map(|child| {
            let name = child.tag_name().name();
            known.iter().position(|known| *known == name).unwrap_or_else(|| panic!("{name} in {:?}", node.tag_name()))
        })
        .collect();
    assert!(places.is_sorted(), "{version} {:?}: {places:?} of {known:?}", node.tag_name());
    node.children().filter(Node::is_element).for_each(|child| in_order(version, child));
}

fn spot(title: &str, mime: &str, size: Size) -> Spot {
    let tracked = |event, name: &str| (event, format!("https://t.example/{name}?a=${{AUCTION_ID}}&r=${{CACHEBUSTER}}"));
    Spot {
        duration: 3661,
        api: 0,
        skip: Some(5),
        title: title.to_owned(),
        media: vec![Media {
            url: "https://cdn.example/a.mp4?x=1&y=2".to_owned(),
            mime: mime.to_owned(),
            size,
            bitrate: 800,
            streaming: false,
        }],
        trackers: vec![
            tracked(Event::Impression, "impression"),
            tracked(Event::Error, "error"),
            tracked(Event::Click, "click"),
            tracked(Event::of("start").unwrap(), "start"),
            tracked(Event::of("skip").unwrap(), "skip"),
        ],
    }
}

fn stream(creative: &Creative) -> &StreamAd {
    match &creative.ad {
        Ad::Video(stream) | Ad::Audio(stream) => stream,
        other => panic!("{other:?}"),
    }
}

/// Each protocol's markup with this auction's id.
fn written(creative: &Creative, auction: &str, bill_url: &'static str) -> Vec<(u8, String)> {
    let raw = serde_json::to_string(auction).unwrap();
    let raw = &raw.as_bytes()[1..raw.len() - 1];
    let values = Values {
        auction: Text { raw, escaped: true },
        bid: BidId([0; 16]),
        imp: Text::default(),
        seat: b"",
        cachebuster: 7,
        currency: b"USD",
        price_macro: b"${AUCTION_PRICE}",
        click_macro: b"%%CLICK%%",
        bill_url: bill_url.as_bytes(),
        outcomes: Outcomes::NONE,
        signals: Default::default(),
    };
    let write = |(protocol, markup): &(u8, corebid::snapshot::campaign::markup::Markup)| {
        let mut room = vec![0; limits::EXPANDED_BYTES];
        let mut out = Out::new(&mut room);
        markup.write(&values, &mut out);
        let length = out.written().unwrap();
        let json = [b"\"", &room[..length], b"\""].concat();
        (*protocol, serde_json::from_slice(&json).unwrap())
    };
    stream(creative).versions.iter().map(write).collect()
}

fn texts<'a>(document: &'a Document<'_>, name: &str) -> Vec<&'a str> {
    document.descendants().filter(|node| node.has_tag_name(name)).map(|node| node.text().unwrap_or("")).collect()
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

const CLICK: &str = "https://shop.example/?q=a&b=[1]";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn inline_vast_says_what_was_ordered(title in "[\\PC\t&<>\"'\\]${}]{1,40}", id in "[\\PC&<>\"']{1,20}", auction in "\\PC{0,30}") {
        let order = Order { id: id.clone(), click: Some(CLICK.to_owned()), ..Order::default() };
        let creative = order.video(&spot(&title, "video/mp4", Size { w: 640, h: 360 }), Vast::Inline).unwrap();
        let written = written(&creative, &auction, "https://bid.example/b?p=${AUCTION_PRICE}");
        prop_assert_eq!(written.iter().map(|(protocol, _)| *protocol).collect::<Vec<_>>(), [7, 3, 2]);
        for ((_, xml), version) in written.iter().zip(["4.0", "3.0", "2.0"]) {
            let document = Document::parse(xml).unwrap();
            let root = document.root_element();
            prop_assert_eq!((root.tag_name().name(), root.attribute("version")), ("VAST", Some(version)));
            in_order(version, root);
            let url = |name: &str| format!("https://t.example/{name}?a={}&r=7", encoded(&auction));
            prop_assert_eq!(texts(&document, "AdTitle"), [title.replace('\t', " ")]);
            prop_assert_eq!(texts(&document, "Duration"), ["01:01:01"]);
            prop_assert_eq!(texts(&document, "Impression"), [url("impression"), "https://bid.example/b?p=${AUCTION_PRICE}".into()]);
            prop_assert_eq!(texts(&document, "Error"), [url("error")]);
            prop_assert_eq!(texts(&document, "ClickThrough"), [CLICK]);
            prop_assert_eq!(texts(&document, "ClickTracking"), [url("click")]);
            prop_assert_eq!(texts(&document, "MediaFile"), ["https://cdn.example/a.mp4?x=1&y=2"]);
            let skips = version != "2.0";
            let events = if skips { vec![url("start"), url("skip")] } else { vec![url("start")] };
            prop_assert_eq!(texts(&document, "Tracking"), events);
            let linear = document.descendants().find(|node| node.has_tag_name("Linear")).unwrap();
            prop_assert_eq!(linear.attribute("skipoffset"), skips.then_some("00:00:05"));
            let file = document.descendants().find(|node| node.has_tag_name("MediaFile")).unwrap();
            let attributes = ["delivery", "type", "width", "height", "bitrate"].map(|name| file.attribute(name).unwrap());
            prop_assert_eq!(attributes, ["progressive", "video/mp4", "640", "360", "800"]);
            let ad = document.descendants().find(|node| node.has_tag_name("Ad")).unwrap();
            prop_assert_eq!(ad.attribute("id"), Some(&id[..]));
        }
    }
}

#[test]
fn a_wrapper_points_at_the_other_server() {
    let order = Order { id: "w".to_owned(), ..Order::default() };
    let vast = Vast::Wrapper("https://ads.example/v?a=${AUCTION_ID}&p=${AUCTION_PRICE}".to_owned());
    let creative = order.video(&spot("", "video/mp4", Size { w: 1, h: 1 }), vast).unwrap();
    for ((protocol, xml), (expected, version)) in
        written(&creative, "a b", "").iter().zip([(8, "4.0"), (6, "3.0"), (5, "2.0")])
    {
        let document = Document::parse(xml).unwrap();
        assert_eq!((*protocol, document.root_element().attribute("version")), (expected, Some(version)));
        in_order(version, document.root_element());
        assert_eq!(texts(&document, "VASTAdTagURI"), ["https://ads.example/v?a=a%20b&p=${AUCTION_PRICE}"]);
        assert_eq!(texts(&document, "Impression"), ["https://t.example/impression?a=a%20b&r=7"]);
    }
}

#[test]
fn there_is_always_an_impression_and_it_is_the_bill_only_where_it_should_be() {
    let order = Order { id: "a".to_owned(), ..Order::default() };
    let bare = Spot { trackers: Vec::new(), skip: None, ..spot("", "audio/mpeg", Size::default()) };
    let creative = order.audio(&bare, Vast::Inline).unwrap();
    assert!(!stream(&creative).skippable);
    for (bill_url, expected) in [("", ""), ("https://bid.example/b", "https://bid.example/b")] {
        for (_, xml) in written(&creative, "", bill_url) {
            let document = Document::parse(&xml).unwrap();
            assert_eq!(texts(&document, "Impression"), [expected]);
            assert_eq!(texts(&document, "AdTitle"), ["a"]);
            assert!(
                !document
                    .descendants()
                    .any(|node| node.has_tag_name("VideoClicks") || node.has_tag_name("TrackingEvents"))
            );
        }
    }
}
