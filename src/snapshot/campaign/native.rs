//! Native ads: parts that are fitted into what a placement asks for (OpenRTB Dynamic Native Ads 1.2).
//!
//! The response is a JSON document in the JSON string `adm`. All its texts were escaped twice when the campaigns were loaded;
//! what is written here between them is escaped once, by hand.

use super::creative::{NativeAd, NativeImage, NativeText, not_an_address};
use super::markup::{Context, Markup, Part, Values, When, is_address, is_tracker};
use crate::limits::{ASSETS, EXPANDED_BYTES};
use crate::wire::openrtb::mime::Mimes;
use crate::wire::openrtb::native::{Asset, AssetKind, NativeRequest};
use crate::wire::openrtb::request::Size;
use crate::wire::openrtb::response::Out;

/// A native ad, as ordered.
#[derive(Clone, Debug, Default)]
pub struct NativeParts {
    /// Titles, for every length that placements allow.
    pub titles: Vec<String>,
    /// Images.
    pub images: Vec<ImagePart>,
    /// Texts by data type (Native 1.2 section 7.4).
    pub data: Vec<(u16, String)>,
    /// Impression pixels.
    pub impressions: Vec<String>,
    /// Click trackers.
    pub clicks: Vec<String>,
}

/// An image, as ordered.
#[derive(Clone, Debug)]
pub struct ImagePart {
    /// See [`NativeImage::kind`].
    pub kind: u16,
    /// Pixels.
    pub size: Size,
    /// Its type, one of [`Mimes::NAMES`].
    pub mime: String,
    /// Its address, as it is: no macros.
    pub url: String,
}

/// What fills an asset.
enum Fill<'a> {
    Title(&'a NativeText),
    Image(&'a NativeImage),
    Data(u16, &'a NativeText),
}

impl NativeAd {
    /// Whether every required asset can be filled, and at least one of all.
    pub fn fits(&self, wanted: &NativeRequest) -> bool {
        let mut some = false;
        wanted.assets.iter().all(|asset| {
            let filled = self.fills(asset.kind);
            some |= filled;
            filled || !asset.required
        }) && some
    }

    /// Whether it has something for an asset.
    pub fn fills(&self, kind: AssetKind) -> bool {
        self.part(kind).is_some()
    }

    /// Writes the native response as the inside of a JSON string, with every asset that can be filled.
    pub fn write(&self, wanted: &NativeRequest, values: &Values<'_>, out: &mut Out<'_>) {
        out.put(br#"{\"ver\":\"1.2\",\"assets\":["#);
        let mut separator: &[u8] = b"";
        for Asset { id, kind, .. } in &wanted.assets {
            if let Some(part) = self.part(*kind) {
                out.put(separator);
                separator = b",";
                out.put(br#"{\"id\":"#);
                if *id < 0 {
                    out.put(b"-");
                }
                out.integer(id.unsigned_abs());
                part.write(out);
            }
        }
        out.put(b"]");
        self.rest.write(values, out);
        if wanted.pixel {
            self.trackers.write(values, out);
        }
        out.put(b"}");
    }

    /// The part that fills an asset best: the longest text that is short enough, the smallest image that is large enough.
    fn part(&self, kind: AssetKind) -> Option<Fill<'_>> {
        match kind {
            AssetKind::Title { len } => self.titles.iter().find(|title| title.characters <= len).map(Fill::Title),
            AssetKind::Data { kind, len } => self
                .data
                .iter()
                .find(|(known, text)| *known == kind && text.characters <= len)
                .map(|(kind, text)| Fill::Data(*kind, text)),
            AssetKind::Image { kind, size, least, mimes } => {
                let fits = |image: &&NativeImage| {
                    (kind == 0 || image.kind == kind)
                        && (mimes == Mimes::default() || image.mime.meet(mimes))
                        && (size.w == 0 || image.size.w == size.w)
                        && (size.h == 0 || image.size.h == size.h)
                        && image.size.w >= least.w
                        && image.size.h >= least.h
                };
                let area = |image: &&NativeImage| u32::from(image.size.w) * u32::from(image.size.h);
                self.images.iter().filter(fits).min_by_key(area).map(Fill::Image)
            }
            AssetKind::Other => None,
        }
    }
}

impl Fill<'_> {
    fn write(self, out: &mut Out<'_>) {
        match self {
            Fill::Title(title) => {
                out.put(br#",\"title\":{\"text\":\""#);
                out.put(&title.json);
                out.put(br#"\"}}"#);
            }
            Fill::Image(image) => {
                out.put(br#",\"img\":{\"type\":"#);
                out.integer(image.kind.into());
                out.put(br#",\"url\":\""#);
                out.put(&image.url_json);
                out.put(br#"\",\"w\":"#);
                out.integer(image.size.w.into());
                out.put(br#",\"h\":"#);
                out.integer(image.size.h.into());
                out.put(b"}}");
            }
            Fill::Data(kind, text) => {
                out.put(br#",\"data\":{\"type\":"#);
                out.integer(kind.into());
                out.put(br#",\"value\":\""#);
                out.put(&text.json);
                out.put(br#"\"}}"#);
            }
        }
    }
}

/// The most bytes an asset takes besides its text, with the largest numbers.
const ASSET_BYTES: usize = 128;

impl NativeParts {
    /// The ad with its texts escaped.
    pub(super) fn render(&self, context: Context<'_>) -> Result<NativeAd, String> {
        let Some(click) = context.click else {
            return Err("a native ad needs `click`".to_owned());
        };
        if self.titles.is_empty() && self.images.is_empty() && self.data.is_empty() {
            return Err("there are no titles, images or data".to_owned());
        }
        for (what, urls) in [("impressions", &self.impressions), ("clicks", &self.clicks)] {
            if let Some(url) = urls.iter().find(|url| !is_tracker(url)) {
                return Err(not_an_address(what, url));
            }
        }
        let mut titles: Vec<_> = self.titles.iter().map(|title| text(title)).collect();
        titles.sort_by_key(|title| std::cmp::Reverse(title.characters));
        let mut data: Vec<_> = self.data.iter().map(|(kind, value)| (*kind, text(value))).collect();
        data.sort_by_key(|(kind, text)| (*kind, std::cmp::Reverse(text.characters)));
        let images = self.images.iter().map(image).collect::<Result<Vec<_>, _>>()?;
        let ad = NativeAd {
            rest: Markup::compile(&self.link(click), context)?,
            trackers: Markup::compile_parts(
                &self.pixels().each_ref().map(|(when, text)| Part { when: *when, text }),
                context,
            )?,
            titles,
            images,
            data,
        };
        match ad.longest() {
            longest if longest > EXPANDED_BYTES => Err(format!(
                "as many as {longest} bytes once every asset is the longest there is; the most is {EXPANDED_BYTES}"
            )),
            _ => Ok(ad),
        }
    }

    /// Everything that names addresses.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let images = self.images.iter().map(|image| image.url.as_str());
        images.chain(self.impressions.iter().chain(&self.clicks).map(String::as_str))
    }

    /// `link`, as it stands after the assets.
    fn link(&self, click: &str) -> String {
        let mut link = format!(",\"link\":{{\"url\":{}", quoted(click));
        if !self.clicks.is_empty() {
            let clicks: Vec<_> = self.clicks.iter().map(|url| quoted(url)).collect();
            link += &format!(",\"clicktrackers\":[{}]", clicks.join(","));
        }
        link + "}"
    }

    /// `eventtrackers`: image pixels (method 1) for impressions (event 1), and one more where it is the bill.
    fn pixels(&self) -> [(When, String); 3] {
        let pixel = |url: &str| format!("{{\"event\":1,\"method\":1,\"url\":{}}}", quoted(url));
        let bill = pixel("${BILL_URL}");
        const KEY: &str = ",\"eventtrackers\":[";
        if self.impressions.is_empty() {
            let none = (When::Always, String::new());
            return [(When::BillUrl, format!("{KEY}{bill}]")), none.clone(), none];
        }
        let pixels: Vec<_> = self.impressions.iter().map(|url| pixel(url)).collect();
        [
            (When::Always, format!("{KEY}{}", pixels.join(","))),
            (When::BillUrl, format!(",{bill}")),
            (When::Always, "]".to_owned()),
        ]
    }
}

impl NativeAd {
    /// The most bytes [`NativeAd::write`] writes: of every asset there can be, the longest.
    fn longest(&self) -> usize {
        let titles = self.titles.iter().map(|title| title.json.len());
        let images = self.images.iter().map(|image| image.url_json.len());
        let data = self.data.iter().map(|(_, text)| text.json.len());
        let part = titles.chain(images).chain(data).max().unwrap_or(0);
        (1 + ASSETS) * ASSET_BYTES + ASSETS * part + self.rest.longest() + self.trackers.longest()
    }
}

fn text(text: &str) -> NativeText {
    let characters = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
    NativeText { characters, json: twice(text) }
}

fn image(image: &ImagePart) -> Result<NativeImage, String> {
    let ImagePart { kind, size, mime, url } = image;
    if !is_address(url) {
        return Err(not_an_address("images: url", url));
    }
    match Mimes::of(mime.as_bytes()) {
        known if known != Mimes::default() && mime.starts_with("image/") => {
            Ok(NativeImage { kind: *kind, size: *size, mime: known, url_json: twice(url) })
        }
        _ => Err(format!("{mime:?} is not a type of image we know")),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is always JSON")
}

/// Escaped for a JSON string within a JSON string, without quotes.
fn twice(text: &str) -> Box<[u8]> {
    let once = quoted(text);
    let twice = quoted(&once[1..once.len() - 1]);
    twice.as_bytes()[1..twice.len() - 1].into()
}
