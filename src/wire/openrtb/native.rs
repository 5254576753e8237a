//! The OpenRTB Dynamic Native Ads API 1.2 request: which assets a native placement wants.

use arrayvec::ArrayVec;

use super::mime::Mimes;
use super::request::{ScanError, Size};
use crate::limits;
use crate::wire::json::{Scratch, Text};

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
    /// Both `{"native":{…}}` (1.0) and the bare object (since 1.1) are taken.
    ///
    /// # Errors
    /// It is no JSON, too long for `room`, has no assets, or more than [`limits::ASSETS`].
    pub fn read(&mut self, text: Text<'_>, room: &mut [u8], scratch: &mut Scratch) -> Result<(), ScanError> {
        let _ = (text, room, scratch);
        Err(ScanError::NotABidRequest)
    }
}
