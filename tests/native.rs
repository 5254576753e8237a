//! Does a native response fill what a placement asks for, with the best that was ordered?

use corebid::limits;
use corebid::snapshot::campaign::markup::{Outcomes, Values};
use corebid::snapshot::campaign::native::{ImagePart, NativeParts};
use corebid::snapshot::campaign::{Ad, NativeAd, Order};
use corebid::units::BidId;
use corebid::wire::json::Text;
use corebid::wire::openrtb::mime::Mimes;
use corebid::wire::openrtb::native::{Asset, AssetKind, NativeRequest};
use corebid::wire::openrtb::request::Size;
use corebid::wire::openrtb::response::Out;
use proptest::prelude::*;
use serde_json::{Value, json};

const NO: Size = Size { w: 0, h: 0 };

fn size(w: u16, h: u16) -> Size {
    Size { w, h }
}

fn parts() -> NativeParts {
    let image = |kind, w, h, mime: &str| ImagePart {
        kind,
        size: size(w, h),
        mime: mime.to_owned(),
        url: format!("https://cdn.example/{w}x{h}?a=1&b=2"),
    };
    NativeParts {
        titles: vec!["Kurz".into(), "Schöne \"Schuhe\" \\ für </alle>\u{1f45f}".into()],
        images: vec![
            image(3, 1200, 627, "image/png"),
            image(3, 600, 314, "image/jpeg"),
            image(1, 128, 128, "image/png"),
            image(1, 64, 64, "image/png"),
        ],
        data: vec![(2, "a".repeat(90)), (1, "Acme".into()), (2, "a".repeat(25))],
        impressions: vec!["https://t.example/i?a=${AUCTION_ID}".into()],
        clicks: vec!["https://t.example/c".into()],
    }
}

fn ad(parts: &NativeParts) -> NativeAd {
    let order =
        Order { id: "n".into(), click: Some("https://shop.example/?i=${AUCTION_IMP_ID}".into()), ..Order::default() };
    match order.native(parts).unwrap().ad {
        Ad::Native(ad) => *ad,
        other => panic!("{other:?}"),
    }
}

fn values(bill_url: &'static str) -> Values<'static> {
    Values {
        auction: Text { raw: br"a\u0020b", escaped: true },
        bid: BidId([0; 16]),
        imp: Text { raw: b"1&2", escaped: false },
        seat: b"",
        cachebuster: 7,
        currency: b"USD",
        price_macro: b"${AUCTION_PRICE}",
        click_macro: b"",
        bill_url: bill_url.as_bytes(),
        outcomes: Outcomes::NONE,
        signals: Default::default(),
    }
}

fn written(ad: &NativeAd, wanted: &NativeRequest, bill_url: &'static str) -> Value {
    let mut room = vec![0; limits::EXPANDED_BYTES];
    let mut out = Out::new(&mut room);
    ad.write(wanted, &values(bill_url), &mut out);
    let length = out.written().expect("it fits");
    let inner: String = serde_json::from_slice(&[b"\"", &room[..length], b"\""].concat()).unwrap();
    serde_json::from_str(&inner).unwrap()
}

fn asset(id: i64, kind: AssetKind) -> Asset {
    Asset { id, required: true, kind }
}

fn wanted(assets: &[Asset]) -> NativeRequest {
    NativeRequest { assets: assets.iter().copied().collect(), pixel: true }
}

fn image(kind: u16, size: Size, least: Size) -> AssetKind {
    AssetKind::Image { kind, size, least, mimes: Mimes::default() }
}

#[test]
fn a_response_is_what_the_specification_says() {
    let wanted = wanted(&[
        asset(1, AssetKind::Title { len: 140 }),
        asset(-2, image(3, NO, size(500, 300))),
        asset(3, AssetKind::Data { kind: 2, len: 89 }),
        Asset { required: false, ..asset(4, AssetKind::Other) },
    ]);
    let ad = ad(&parts());
    assert!(ad.fits(&wanted));
    let link = json!({"url": "https://shop.example/?i=1%262", "clicktrackers": ["https://t.example/c"]});
    let pixel = |url: &str| json!({"event": 1, "method": 1, "url": url});
    let mut expected = json!({"ver": "1.2", "link": link, "assets": [
        {"id": 1, "title": {"text": "Schöne \"Schuhe\" \\ für </alle>\u{1f45f}"}},
        {"id": -2, "img": {"type": 3, "url": "https://cdn.example/600x314?a=1&b=2", "w": 600, "h": 314}},
        {"id": 3, "data": {"type": 2, "value": "a".repeat(25)}},
    ], "eventtrackers": [pixel("https://t.example/i?a=a%20b")]});
    assert_eq!(written(&ad, &wanted, ""), expected);
    let billed = written(&ad, &wanted, "https://b.example/");
    assert_eq!(billed["eventtrackers"], json!([pixel("https://t.example/i?a=a%20b"), pixel("https://b.example/")]));
    let silent = NativeRequest { pixel: false, ..wanted };
    expected.as_object_mut().unwrap().remove("eventtrackers");
    assert_eq!(written(&ad, &silent, "https://b.example/"), expected);
}

#[test]
fn the_bill_alone_is_a_tracker() {
    let ad = ad(&NativeParts { impressions: Vec::new(), clicks: Vec::new(), ..parts() });
    let wanted = wanted(&[asset(1, AssetKind::Title { len: 4 })]);
    assert!(written(&ad, &wanted, "").get("eventtrackers").is_none());
    assert_eq!(written(&ad, &wanted, "https://b.example/")["eventtrackers"][0]["url"], "https://b.example/");
}

#[test]
fn the_longest_response_fits() {
    let long = NativeParts {
        titles: vec!["\"".repeat(256)],
        images: vec![ImagePart { url: format!("https://x/{}", "&".repeat(250)), ..parts().images[0].clone() }],
        ..parts()
    };
    let ad = ad(&long);
    let title = asset(i64::MIN, AssetKind::Title { len: 256 });
    let all = written(&ad, &wanted(&[title; limits::ASSETS]), "");
    assert_eq!(all["assets"].as_array().unwrap().len(), limits::ASSETS);
    let over = NativeParts { titles: vec!["\"".repeat(400)], ..parts() };
    let order = Order { id: "n".into(), click: Some("https://x/".into()), ..Order::default() };
    assert!(order.native(&over).unwrap_err().contains("the most is 32768"));
}

fn kind() -> impl Strategy<Value = AssetKind> {
    let sizes =
        || prop::sample::select(vec![NO, size(64, 64), size(65, 0), size(600, 314), size(0, 627), size(2000, 1)]);
    let mimes = prop::sample::select(vec![Mimes::default(), Mimes::of(b"image/jpeg"), Mimes::of(b"image/gif")]);
    prop_oneof![
        (0u16..60).prop_map(|len| AssetKind::Title { len }),
        (0u16..4, 0u16..100).prop_map(|(kind, len)| AssetKind::Data { kind, len }),
        (0u16..4, sizes(), sizes(), mimes).prop_map(|(kind, size, least, mimes)| AssetKind::Image {
            kind,
            size,
            least,
            mimes
        }),
        Just(AssetKind::Other),
    ]
}

/// What would fill an asset: everything ordered is tried, and told by what the specification says of it.
fn fillings(kind: AssetKind, parts: &NativeParts) -> Vec<Value> {
    let fits = |wanted: u16, has: u16| wanted == 0 || wanted == has;
    let short = |text: &str, len: u16| text.chars().count() <= usize::from(len);
    match kind {
        AssetKind::Title { len } => {
            parts.titles.iter().filter(|t| short(t, len)).map(|t| json!({"title": {"text": t}})).collect()
        }
        AssetKind::Data { kind, len } => {
            let fitting = parts.data.iter().filter(|(known, text)| *known == kind && short(text, len));
            fitting.map(|(kind, text)| json!({"data": {"type": kind, "value": text}})).collect()
        }
        AssetKind::Image { kind, size, least, mimes } => {
            let fitting = parts.images.iter().filter(|image| {
                fits(kind, image.kind)
                    && (mimes.0 == 0 || mimes.meet(Mimes::of(image.mime.as_bytes())))
                    && fits(size.w, image.size.w)
                    && fits(size.h, image.size.h)
                    && least.w <= image.size.w
                    && least.h <= image.size.h
            });
            fitting.map(|i| json!({"img": {"type": i.kind, "url": i.url, "w": i.size.w, "h": i.size.h}})).collect()
        }
        AssetKind::Other => Vec::new(),
    }
}

/// How well an asset is filled.
fn worth(filling: &Value) -> i64 {
    let length = |text: &Value| text.as_str().unwrap().chars().count() as i64;
    match filling {
        _ if filling["title"].is_object() => length(&filling["title"]["text"]),
        _ if filling["data"].is_object() => length(&filling["data"]["value"]),
        _ => -filling["img"]["w"].as_i64().unwrap() * filling["img"]["h"].as_i64().unwrap(),
    }
}

proptest! {
    #[test]
    fn every_asset_gets_the_best_of_what_fits(assets in prop::collection::vec((any::<i64>(), any::<bool>(), kind()), 0..6)) {
        let parts = parts();
        let ad = ad(&parts);
        let assets: Vec<_> = assets.into_iter().map(|(id, required, kind)| Asset { id, required, kind }).collect();
        let wanted = wanted(&assets);
        let best = |asset: &Asset| fillings(asset.kind, &parts).into_iter().max_by_key(worth);
        let expected: Vec<_> = assets.iter().filter_map(|asset| {
            let mut filling = best(asset)?;
            filling["id"] = asset.id.into();
            Some(filling)
        }).collect();
        let fits = !expected.is_empty() && assets.iter().all(|asset| !asset.required || best(asset).is_some());
        prop_assert_eq!(ad.fits(&wanted), fits);
        prop_assert_eq!(&written(&ad, &wanted, "")["assets"], &Value::from(expected));
    }
}
