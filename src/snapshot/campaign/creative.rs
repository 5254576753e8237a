//! What a campaign shows: banners, videos, audio spots, native ads.

use super::markup::Markup;
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
    /// What it is.
    pub ad: Ad,
    /// `bid.crid`: the id as a JSON string, quotes included.
    pub crid_json: Box<[u8]>,
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
    /// The types its media files come in: one of them must be taken.
    pub mimes: Mimes,
    /// Pixels of its largest file; 0 of audio.
    pub size: Size,
    /// Bit rates of its files, kbit/s, smallest and largest; 0 if not said.
    pub bitrate: (u32, u32),
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
    /// What stands around the assets: link and trackers.
    pub rest: Markup,
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
