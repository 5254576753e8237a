//! The OpenRTB Dynamic Native Ads API 1.2 request: which assets a native placement wants.

use arrayvec::ArrayVec;

use super::fields::{fields, mimes, saturated, sides};
use super::mime::Mimes;
use super::request::{ScanError, Size};
use crate::limits;
use crate::wire::json::{Document, Scratch, Text, Token};

/// A native request (1.2 section 4.1), of which we keep what decides whether a creative fits.
#[derive(Clone, Debug, Default)]
pub struct NativeRequest {
    /// `assets`, all of them: a request with more than [`limits::ASSETS`] is not bid on.
    pub assets: ArrayVec<Asset, { limits::ASSETS }>,
    /// `eventtrackers` takes an image pixel for impressions (event 1, method 1), or says nothing of trackers (before 1.2).
    pub pixel: bool,
}

/// One asset that is asked for (1.2 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// `id`, which the answer repeats.
    pub id: i64,
    /// `required`.
    pub required: bool,
    /// What it is.
    pub kind: AssetKind,
}

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetKind {
    /// `title`: at most `len` characters.
    Title {
        /// `len`; `u16::MAX` if absent.
        len: u16,
    },
    /// `img`.
    Image {
        /// `type`: 1 icon, 3 main; 0 if absent (any).
        kind: u16,
        /// `w` and `h`, where exact; 0 if absent.
        size: Size,
        /// `wmin` and `hmin`; 0 if absent.
        least: Size,
        /// `mimes`; empty if absent (any).
        mimes: Mimes,
    },
    /// `data`.
    Data {
        /// `type`: 1 sponsored, 2 description, … 12 call to action.
        kind: u16,
        /// `len`; `u16::MAX` if absent.
        len: u16,
    },
    /// `video`, which our native creatives do not have, or something newer.
    Other,
}

impl NativeRequest {
    /// Reads `imp.native.request`. The document stands in a JSON string: its escapes are resolved into `room` first.
    /// Both `{"native":{…}}` (1.0) and the bare object (since 1.1) are taken. After an error the values mean nothing.
    ///
    /// # Errors
    /// [`ScanError::NotABidRequest`]: it is no JSON, too long for `room`, has no assets, one of them has no id, or a field in
    /// use has a wrong type. [`ScanError::TooMuch`]: it has more than [`limits::ASSETS`].
    pub fn read(&mut self, text: Text<'_>, room: &mut [u8], scratch: &mut Scratch) -> Result<(), ScanError> {
        let text = text.unescape(room).ok_or(ScanError::NotABidRequest)?;
        // The body around it was JSON, so that this is not is no reason to answer 400.
        let document = &Document::read(text, scratch).map_err(|_| ScanError::NotABidRequest)?;
        fields!(document, document.root(); native "native");
        let request = if document.is_present(native) { native } else { document.root() };
        fields!(document, request; assets "assets" eventtrackers "eventtrackers");
        self.assets.clear();
        for element in document.elements(assets)? {
            self.assets.try_push(asset(document, element)?).map_err(|_| ScanError::TooMuch)?;
        }
        self.pixel = !document.is_present(eventtrackers);
        for element in document.elements(eventtrackers)? {
            self.pixel |= is_pixel(document, element)?;
        }
        if self.assets.is_empty() { Err(ScanError::NotABidRequest) } else { Ok(()) }
    }
}

fn asset(document: &Document<'_, '_>, token: Token) -> Result<Asset, ScanError> {
    fields!(document, token; id "id" required "required" title "title" img "img" data "data");
    let id = document.integer(id)?.ok_or(ScanError::NotABidRequest)?;
    let required = document.flag(required)?.unwrap_or(false);
    let kind = match [title, img, data].map(|object| document.is_present(object)) {
        [true, ..] => {
            fields!(document, title; len "len");
            AssetKind::Title { len: document.integer(len)?.map_or(u16::MAX, saturated!(u16)) }
        }
        [_, true, _] => image(document, img)?,
        [.., true] => {
            fields!(document, data; kind "type" len "len");
            let kind = document.integer(kind)?.map_or(0, saturated!(u16));
            AssetKind::Data { kind, len: document.integer(len)?.map_or(u16::MAX, saturated!(u16)) }
        }
        _ => AssetKind::Other,
    };
    Ok(Asset { id, required, kind })
}

fn image(document: &Document<'_, '_>, token: Token) -> Result<AssetKind, ScanError> {
    fields!(document, token; kind "type" w "w" h "h" wmin "wmin" hmin "hmin" mimes_list "mimes");
    Ok(AssetKind::Image {
        kind: document.integer(kind)?.map_or(0, saturated!(u16)),
        size: sides(document, w, h)?,
        least: sides(document, wmin, hmin)?,
        mimes: mimes(document, mimes_list)?,
    })
}

/// Whether an event tracker asks for an image (method 1) at the impression (event 1).
fn is_pixel(document: &Document<'_, '_>, token: Token) -> Result<bool, ScanError> {
    fields!(document, token; event "event" methods "methods");
    let mut by_image = false;
    for method in document.elements(methods)? {
        by_image |= document.integer(method)? == Some(1);
    }
    Ok(document.integer(event)? == Some(1) && by_image)
}
