//! Whether a creative may stand in a place: what the place can show, and what its publisher lets be shown.

use crate::config::exchange::{Field, Fields};
use crate::snapshot::campaign::{Ad, BannerAd, Creative, NativeAd, Shape, StreamAd};
use crate::wire::json::Raw;
use crate::wire::openrtb::native::NativeRequest;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{Banner, Deal, Imp, Stream};

/// The question, put to each creative of each candidate.
#[derive(Clone, Copy, Debug)]
pub struct Place<'r> {
    /// The impression.
    pub imp: &'r Imp<'r>,
    /// Its deals.
    pub deals: &'r [Deal<'r>],
    /// What its native placement asks for; empty if it has none, or none that can be read.
    pub native: &'r NativeRequest,
    /// What a bid must have, or the exchange refuses it.
    pub required: Fields,
    /// The taxonomy in which the bid would name its categories, if it can.
    pub taxonomy: u16,
    /// `wlang` of the request; empty if every language will do.
    pub languages: Raw<'r>,
}

impl Place<'_> {
    /// Whether the creative may stand here in this shape, and if not, why: [`NoBidReason::NoCreative`] where it cannot be shown,
    /// [`NoBidReason::Language`] and [`NoBidReason::Blocked`] where it must not.
    #[inline]
    pub fn takes(&self, creative: &Creative, shape: Shape) -> Result<(), NoBidReason> {
        let imp = self.imp;
        let (shown, attributes) = match (&creative.ad, shape) {
            (Ad::Banner(ad), Shape::Banner(size)) => match &imp.banner {
                Some(banner) if ad.size == size => (banner_type(ad, banner)?, banner.battr),
                _ => return Err(NoBidReason::NoCreative),
            },
            (Ad::Video(ad), Shape::Video) => in_stream(ad, imp.video.as_ref())?,
            (Ad::Audio(ad), Shape::Audio) => in_stream(ad, imp.audio.as_ref())?,
            (Ad::Native(ad), Shape::Native) => (self.in_native(ad), imp.native.map_or(0, |native| native.battr)),
            _ => return Err(NoBidReason::NoCreative),
        };
        if !shown || !self.has_required(creative) {
            return Err(NoBidReason::NoCreative);
        }
        if !self.languages.is_empty() && !self.speaks(creative.language) {
            return Err(NoBidReason::Language);
        }
        let secure = creative.secure || imp.secure != Some(true);
        if creative.attr & attributes != 0 || !secure { Err(NoBidReason::Blocked) } else { Ok(()) }
    }

    /// `wlang` is ISO 639-1, `wlangb` BCP 47: the part before the hyphen tells the language in both. A creative that does not
    /// say its language is in none of the list.
    pub fn speaks(&self, language: Option<[u8; 2]>) -> bool {
        language.is_some_and(|ours| {
            self.languages.strings().any(|text| {
                let primary = text.raw.split(|&byte| byte == b'-' || byte == b'_').next().unwrap_or_default();
                primary.eq_ignore_ascii_case(&ours)
            })
        })
    }

    /// Of what a bid must have ([`crate::config::exchange`]), that which creatives may lack. The rest every bid has, or the
    /// configuration would not have been accepted.
    #[inline]
    pub fn has_required(&self, creative: &Creative) -> bool {
        let sized = || match &creative.ad {
            Ad::Banner(_) => true,
            Ad::Video(ad) => ad.size.w > 0,
            Ad::Audio(_) | Ad::Native(_) => false,
        };
        (!self.required.contains(Field::Iurl) || creative.preview_json.is_some())
            && (!self.required.contains(Field::Size) || sized())
    }

    fn in_native(&self, ad: &NativeAd) -> bool {
        !self.native.assets.is_empty() && ad.fits(self.native)
    }
}

fn banner_type(ad: &BannerAd, banner: &Banner) -> Result<bool, NoBidReason> {
    if banner.btype >> (ad.btype & 63) & 1 == 1 { Err(NoBidReason::Blocked) } else { Ok(true) }
}

fn in_stream(ad: &StreamAd, stream: Option<&Stream<'_>>) -> Result<(bool, u64), NoBidReason> {
    let stream = stream.ok_or(NoBidReason::NoCreative)?;
    Ok((plays(ad, stream), stream.battr))
}

/// Whether a player can play the spot, and has the time.
#[inline]
pub fn plays(ad: &StreamAd, stream: &Stream<'_>) -> bool {
    lasts(ad, stream)
        && fits_pod(ad, stream)
        && streams(ad, stream)
        && is_linear(stream)
        && may_skip(ad, stream)
        && has_api(ad, stream)
        && version(ad, stream).is_some()
}

/// Whether the spot is as long as the player takes (`minduration`, `maxduration`, `rqddurs`).
#[inline]
pub fn lasts(ad: &StreamAd, stream: &Stream<'_>) -> bool {
    match &stream.exact_durations[..] {
        [] => (stream.min_duration..=stream.max_duration).contains(&ad.duration),
        exact => exact.contains(&ad.duration),
    }
}

/// Whether the dynamic pod, if it is one, has time and a place (`poddur`, `maxseq`).
#[inline]
pub fn fits_pod(ad: &StreamAd, stream: &Stream<'_>) -> bool {
    let pod = stream.pod.as_ref().filter(|pod| pod.is_dynamic());
    pod.is_none_or(|pod| ad.duration <= pod.duration && pod.most_ads > 0)
}

/// Whether one of its files has a type and a bit rate that the player takes (`mimes`, `minbitrate`, `maxbitrate`). A file that
/// does not say its bit rate has any.
#[inline]
pub fn streams(ad: &StreamAd, stream: &Stream<'_>) -> bool {
    let rates = stream.min_bitrate..=stream.max_bitrate;
    ad.files.iter().any(|&(mime, rate)| mime.meet(stream.mimes) && (rate == 0 || rates.contains(&rate)))
}

/// Whether linear ads are taken. Ours are, and their files are downloaded or streamed as the player likes.
#[inline]
pub fn is_linear(stream: &Stream<'_>) -> bool {
    stream.linearity != OVERLAY
}

/// Whether people may skip the spot, if it can be skipped (`skip`).
#[inline]
pub fn may_skip(ad: &StreamAd, stream: &Stream<'_>) -> bool {
    stream.skip != Some(false) || !ad.skippable
}

/// Whether the player supports the frameworks the spot needs (`api`).
#[inline]
pub fn has_api(ad: &StreamAd, stream: &Stream<'_>) -> bool {
    ad.api & !stream.api == 0
}

/// `linearity` 2: non-linear, over the content.
const OVERLAY: u8 = 2;

/// Which version of the spot's markup the player takes: the best that it names, or the best there is if it names none.
#[inline]
pub fn version(ad: &StreamAd, stream: &Stream<'_>) -> Option<usize> {
    let taken = |protocol: u8| stream.protocols == 0 || stream.protocols >> (protocol & 63) & 1 == 1;
    ad.versions.iter().position(|&(protocol, _)| taken(protocol))
}
