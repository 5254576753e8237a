//! What a campaign shows: banners, videos, audio spots, native ads.

use super::json_bytes;
use super::markup::{Context, Language, Markup, Part, When, is_address};
use super::native::NativeParts;
use super::vast::{Spot, Vast};
use crate::snapshot::features::Value;
use crate::wire::openrtb::mime::Mimes;
use crate::wire::openrtb::request::Size;

/// One creative.
#[derive(Clone, Debug, PartialEq)]
pub struct Creative {
    /// `bid.crid`.
    pub id: String,
    /// Creative attributes (`bid.attr`), held against `battr`: bit n for value n.
    pub attr: u64,
    /// Everything it loads comes over HTTPS (`imp.secure`).
    pub secure: bool,
    /// The language of its text, ISO 639-1 alpha-2, lower-case (`bid.language`), held against `wlang`; `None` is not said.
    pub language: Option<[u8; 2]>,
    /// `bid.iurl`: the address of an image of it, as a JSON string, quotes included.
    pub preview_json: Option<Box<[u8]>>,
    /// What it is.
    pub ad: Ad,
    /// `bid.crid`: the id as a JSON string, quotes included.
    pub crid_json: Box<[u8]>,
    /// The id, as models are told it.
    pub feature: Value,
}

/// What a creative is (`bid.mtype`).
#[derive(Clone, Debug, PartialEq)]
pub enum Ad {
    /// A banner.
    Banner(BannerAd),
    /// A video, as VAST.
    Video(StreamAd),
    /// An audio spot, as VAST.
    Audio(StreamAd),
    /// Assets for a native placement.
    Native(Box<NativeAd>),
}

/// A banner.
#[derive(Clone, Debug, PartialEq)]
pub struct BannerAd {
    /// `bid.w` and `bid.h`.
    pub size: Size,
    /// Creative type of OpenRTB 2.6 list 5.2 (now AdCOM), held against `banner.btype`: 2 is an XHTML banner.
    pub btype: u8,
    /// `bid.adm`.
    pub markup: Markup,
}

/// A video or an audio spot.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamAd {
    /// Seconds (`bid.dur`).
    pub duration: u16,
    /// The types its files come in.
    pub mimes: Mimes,
    /// Pixels of its largest file; 0 of audio.
    pub size: Size,
    /// Its files: type, and bit rate in kbit/s, 0 if not said. One of them must be taken for both.
    pub files: Box<[(Mimes, u32)]>,
    /// It can be skipped.
    pub skippable: bool,
    /// API frameworks it cannot do without (AdCOM list "API Frameworks"): bits, all of which must be supported.
    pub api: u64,
    /// The markup for each protocol it can be delivered in (AdCOM list "Creative Subtypes"), best first.
    pub versions: Vec<(u8, Markup)>,
}

/// Assets of a native ad (Native 1.2 section 5).
#[derive(Clone, Debug, PartialEq)]
pub struct NativeAd {
    /// Titles, longest first.
    pub titles: Vec<NativeText>,
    /// Images.
    pub images: Vec<NativeImage>,
    /// Texts by data type, the longest of a type first.
    pub data: Vec<(u16, NativeText)>,
    /// What stands after the assets: the link.
    pub rest: Markup,
    /// What stands after that where the placement takes impression pixels.
    pub trackers: Markup,
}

/// A text, and how long it is for those who count.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeText {
    /// Characters.
    pub characters: u16,
    /// The text, escaped for a JSON string within a JSON string, without quotes.
    pub json: Box<[u8]>,
}

/// An image.
#[derive(Clone, Debug, PartialEq)]
pub struct NativeImage {
    /// Image asset type: 1 icon, 3 main.
    pub kind: u16,
    /// Pixels.
    pub size: Size,
    /// Its type.
    pub mime: Mimes,
    /// Its address, escaped for a JSON string within a JSON string, without quotes.
    pub url_json: Box<[u8]>,
}

/// What an impression can show, as the targeting index asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A banner of this size.
    Banner(Size),
    /// A video.
    Video,
    /// An audio spot.
    Audio,
    /// A native ad.
    Native,
}

impl Creative {
    /// The shape it fills.
    #[inline]
    pub fn shape(&self) -> Shape {
        match &self.ad {
            Ad::Banner(banner) => Shape::Banner(banner.size),
            Ad::Video(_) => Shape::Video,
            Ad::Audio(_) => Shape::Audio,
            Ad::Native(_) => Shape::Native,
        }
    }
}

/// An XHTML banner ad, the default creative type.
pub const XHTML_BANNER: u8 = 2;

/// What every creative is ordered with, whatever it shows.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// See [`Creative::id`].
    pub id: String,
    /// See [`Creative::attr`].
    pub attr: u64,
    /// See [`Creative::secure`]; `None` if its texts are to tell: true if none names a plain `http:` address.
    pub secure: Option<bool>,
    /// See [`Creative::language`].
    pub language: Option<[u8; 2]>,
    /// Where a click leads.
    pub click: Option<String>,
    /// The address of an image of it, for whoever reviews it.
    pub preview: Option<String>,
}

impl Creative {
    /// A banner of the default type and nothing else; see [`Order::banner`].
    ///
    /// # Errors
    /// As [`Order::banner`].
    pub fn banner(id: String, size: Size, markup: &str, secure: Option<bool>) -> Result<Creative, String> {
        Order { id, secure, ..Order::default() }.banner(size, XHTML_BANNER, markup)
    }
}

impl Order {
    /// Renders a banner. Where the exchange bills by the impression event and the markup has no `${BILL_URL}` of its own, it
    /// ends with a pixel.
    ///
    /// # Errors
    /// As [`Markup::compile`], or the click is no address.
    pub fn banner(self, size: Size, btype: u8, markup: &str) -> Result<Creative, String> {
        let pixel = Part { when: When::BillUrl, text: "<img src=\"${BILL_URL}\" width=\"1\" height=\"1\" alt=\"\">" };
        let parts = [Part { when: When::Always, text: markup }, pixel];
        let parts = if markup.contains("${BILL_URL}") { &parts[..1] } else { &parts };
        let compiled = Markup::compile_parts(parts, self.context(Language::Html)?)?;
        Ok(self.creative(Ad::Banner(BannerAd { size, btype, markup: compiled }), [markup]))
    }

    /// Renders a video.
    ///
    /// # Errors
    /// As [`Order::banner`]; or what it is made of does not go together.
    pub fn video(self, spot: &Spot, vast: Vast) -> Result<Creative, String> {
        let ad = spot.render(&vast, self.context(Language::Xml)?)?;
        Ok(self.creative(Ad::Video(ad), spot.texts(&vast)))
    }

    /// Renders an audio spot.
    ///
    /// # Errors
    /// As [`Order::video`].
    pub fn audio(self, spot: &Spot, vast: Vast) -> Result<Creative, String> {
        let ad = spot.render(&vast, self.context(Language::Xml)?)?;
        Ok(self.creative(Ad::Audio(ad), spot.texts(&vast)))
    }

    /// Renders a native ad.
    ///
    /// # Errors
    /// As [`Order::banner`]; or it has no click.
    pub fn native(self, parts: &NativeParts) -> Result<Creative, String> {
        let ad = parts.render(self.context(Language::Json)?)?;
        Ok(self.creative(Ad::Native(Box::new(ad)), parts.texts()))
    }

    fn context(&self, language: Language) -> Result<Context<'_>, String> {
        match self.click.as_deref() {
            Some(click) if !is_address(click) => Err(not_an_address("click", click)),
            click => Ok(Context { language, creative: &self.id, click }),
        }
    }

    fn creative<'t>(self, ad: Ad, texts: impl IntoIterator<Item = &'t str>) -> Creative {
        let Order { id, attr, secure, language, click, preview } = self;
        let preview_json = preview.map(|address| json_bytes(&address));
        let secure =
            secure.unwrap_or_else(|| click.as_deref().is_none_or(is_secure) && texts.into_iter().all(is_secure));
        let feature = Value::text(id.as_bytes());
        Creative { crid_json: json_bytes(&id), feature, id, attr, secure, language, preview_json, ad }
    }
}

pub(super) fn not_an_address(what: &str, text: &str) -> String {
    format!("{what}: {text:?} is not an http or https address without spaces, quotes, brackets <> and backslashes")
}

/// Whether a text names no plain `http:` address; the names of XML vocabularies only look like some.
fn is_secure(text: &str) -> bool {
    const NAMES: [&[u8]; 2] = [b"//www.w3.org/", b"//www.iab.com/vast"];
    let starts_with = |text: &[u8], name: &[u8]| text.get(..name.len()).is_some_and(|t| t.eq_ignore_ascii_case(name));
    let bytes = text.as_bytes();
    memchr::memchr_iter(b':', bytes).all(|colon| {
        let is_plain = colon >= 4 && bytes[colon - 4..colon].eq_ignore_ascii_case(b"http");
        !is_plain || NAMES.iter().any(|name| starts_with(&bytes[colon + 1..], name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_is_what_loads_nothing_in_the_clear() {
        for text in
            ["", "https://a.example/", "//a.example/", "HTTPS:", "<svg xmlns=\"http://www.w3.org/2000/svg\">", "http"]
        {
            assert!(is_secure(text), "{text}");
        }
        for text in ["http://a.example/", "x Http:\\/\\/a", "http:", "http://www.w3.org.example/", "https:http:"] {
            assert!(!is_secure(text), "{text}");
        }
    }
}
