//! `imp`: what is for sale, in which formats, at which floors, and to whom.

use arrayvec::ArrayVec;

use super::scan::ScanError;
use super::{Banner, Deal, DealRange, DurationFloor, Imp, Native, Pod, Size, Stream, TimeFloors};
use crate::limits;
use crate::units::Multiplier;
use crate::wire::json::{Document, Text, Token};
use crate::wire::openrtb::fields::{bit, bits, fields, mimes, price, saturated, sides, strings};

/// The largest multiplier anybody can mean, in millionths.
const LARGEST_MULTIPLIER: i64 = Multiplier::MAX.0 as i64;

/// Reads one impression into an empty one: it is too large to be moved about. Its deals go behind those of the others.
pub(super) fn impression<'a>(
    document: &Document<'a, '_>,
    token: Token,
    into: &mut Imp<'a>,
    pool: &mut ArrayVec<Deal<'a>, { limits::DEALS }>,
) -> Result<(), ScanError> {
    fields!(document, token;
        id "id" banner_object "banner" video "video" audio "audio" native_object "native" bidfloor "bidfloor"
        bidfloorcur "bidfloorcur" secure "secure" pmp "pmp" qty "qty" tagid "tagid" instl "instl");
    into.id = document.text(id)?;
    if document.is_present(banner_object) {
        banner(document, banner_object, into.banner.insert(Banner::default()))?;
    }
    if document.is_present(video) {
        stream(document, video, into.video.insert(Stream::default()))?;
    }
    if document.is_present(audio) {
        stream(document, audio, into.audio.insert(Stream::default()))?;
    }
    if document.is_present(native_object) {
        into.native = Some(native(document, native_object)?);
    }
    into.floor = price(document, bidfloor)?;
    into.floor_cur = document.text(bidfloorcur)?;
    into.secure = document.flag(secure)?;
    into.multiplier = multiplier(document, qty)?;
    into.tagid = document.text(tagid)?;
    into.interstitial = document.flag(instl)?.unwrap_or(false);
    fields!(document, pmp; private_auction "private_auction" deals_list "deals");
    into.private_auction = document.flag(private_auction)?.unwrap_or(false);
    let first = pool.len();
    deals(document, deals_list, pool)?;
    into.deals = DealRange { first: first as u8, count: (pool.len() - first) as u8 };
    Ok(())
}

fn banner(document: &Document<'_, '_>, token: Token, into: &mut Banner) -> Result<(), ScanError> {
    fields!(document, token; w "w" h "h" format "format" btype "btype" battr "battr" pos "pos");
    into.btype = bits(document, btype)?;
    into.battr = bits(document, battr)?;
    into.pos = document.integer(pos)?.map_or(0, saturated!(u8));
    into.sizes.extend(size(document, w, h)?);
    for element in document.elements(format)? {
        fields!(document, element; w "w" h "h");
        if let Some(size) = size(document, w, h)?
            && !into.sizes.is_full()
        {
            into.sizes.push(size);
        }
    }
    Ok(())
}

#[inline(always)]
fn size(document: &Document<'_, '_>, w: Token, h: Token) -> Result<Option<Size>, ScanError> {
    let size = sides(document, w, h)?;
    Ok((size.w > 0 && size.h > 0).then_some(size))
}

/// `video` or `audio`: they name what they have in common alike.
fn stream<'a>(document: &Document<'a, '_>, token: Token, into: &mut Stream<'a>) -> Result<(), ScanError> {
    fields!(document, token;
        mimes_list "mimes" minduration "minduration" maxduration "maxduration" rqddurs "rqddurs" protocols "protocols"
        protocol "protocol" linearity "linearity" placement "placement" plcmt "plcmt" startdelay "startdelay" skip "skip"
        w "w" h "h" minbitrate "minbitrate" maxbitrate "maxbitrate" delivery "delivery" api "api" battr "battr" pos "pos"
        podid "podid" slotinpod "slotinpod" poddur "poddur" maxseq "maxseq" mincpmpersec "mincpmpersec"
        durfloors "durfloors");
    let small = |token| Ok::<_, ScanError>(document.integer(token)?.map_or(0, saturated!(u8)));
    into.mimes = mimes(document, mimes_list)?;
    into.min_duration = document.integer(minduration)?.map_or(0, saturated!(u16));
    into.max_duration = document.integer(maxduration)?.map_or(u16::MAX, saturated!(u16));
    for element in document.elements(rqddurs)? {
        if let Some(duration) = document.integer(element)?.map(saturated!(u16))
            && !into.exact_durations.is_full()
        {
            into.exact_durations.push(duration);
        }
    }
    // `protocol`: before 2.3.
    into.protocols = bits(document, protocols)? | bit(document, protocol)?;
    into.linearity = small(linearity)?;
    into.placement = small(placement)?;
    into.plcmt = small(plcmt)?;
    into.start_delay = document.integer(startdelay)?.map(saturated!(i32));
    into.skip = document.flag(skip)?;
    into.size = sides(document, w, h)?;
    into.min_bitrate = document.integer(minbitrate)?.map_or(0, saturated!(u32));
    into.max_bitrate = document.integer(maxbitrate)?.map_or(u32::MAX, saturated!(u32));
    into.delivery = bits(document, delivery)?;
    into.api = bits(document, api)?;
    into.battr = bits(document, battr)?;
    into.pos = small(pos)?;
    let pod = Pod {
        id: document.text(podid)?,
        slot: document.integer(slotinpod)?.map_or(0, saturated!(i8)),
        duration: document.integer(poddur)?.map_or(0, saturated!(u16)),
        most_ads: document.integer(maxseq)?.map_or(u8::MAX, saturated!(u8)),
    };
    into.pod = (!pod.id.is_empty() || pod.is_dynamic()).then_some(pod);
    time_floors(document, mincpmpersec, durfloors, &mut into.floors)
}

/// A list that is too long is an error, as a floor left out would be undercut.
fn time_floors(
    document: &Document<'_, '_>,
    mincpmpersec: Token,
    durfloors: Token,
    into: &mut TimeFloors,
) -> Result<(), ScanError> {
    into.per_second = price(document, mincpmpersec)?;
    for element in document.elements(durfloors)? {
        fields!(document, element; mindur "mindur" maxdur "maxdur" bidfloor "bidfloor");
        let span = DurationFloor {
            min: document.integer(mindur)?.map_or(0, saturated!(u16)),
            max: document.integer(maxdur)?.map_or(u16::MAX, saturated!(u16)),
            floor: price(document, bidfloor)?,
        };
        into.spans.try_push(span).map_err(|_| ScanError::TooMuch)?;
    }
    Ok(())
}

fn native<'a>(document: &Document<'a, '_>, token: Token) -> Result<Native<'a>, ScanError> {
    fields!(document, token; request "request" battr "battr");
    // A string by the specification. Some send the object as it is, which then is its own text.
    let request = match document.is_object(request) {
        true => Text { raw: document.object(request)?.0, escaped: false },
        false => document.text(request)?,
    };
    Ok(Native { request, battr: bits(document, battr)? })
}

/// `qty.multiplier`, rounded up: it multiplies what is owed. Nobody can pay for none, or for more than there are people.
fn multiplier(document: &Document<'_, '_>, qty: Token) -> Result<Multiplier, ScanError> {
    fields!(document, qty; multiplier "multiplier");
    match document.ceiling(multiplier, 6)? {
        None => Ok(Multiplier::ONE),
        Some(millionths @ 1..=LARGEST_MULTIPLIER) => Ok(Multiplier(millionths as u64)),
        Some(_) => Err(ScanError::NotABidRequest),
    }
}

/// Those that have an id, as long as there is room.
fn deals<'a>(
    document: &Document<'a, '_>,
    token: Token,
    into: &mut ArrayVec<Deal<'a>, { limits::DEALS }>,
) -> Result<(), ScanError> {
    for element in document.elements(token)? {
        if into.is_full() {
            break;
        }
        into.push(Deal::default());
        let deal = into.last_mut().expect("pushed");
        self::deal(document, element, deal)?;
        if deal.id.is_empty() {
            into.pop();
        }
    }
    Ok(())
}

fn deal<'a>(document: &Document<'a, '_>, token: Token, into: &mut Deal<'a>) -> Result<(), ScanError> {
    fields!(document, token;
        id "id" bidfloor "bidfloor" bidfloorcur "bidfloorcur" at "at" guar "guar" wseat "wseat" wadomain "wadomain"
        mincpmpersec "mincpmpersec" durfloors "durfloors");
    into.id = document.text(id)?;
    into.floor = price(document, bidfloor)?;
    into.floor_cur = document.text(bidfloorcur)?;
    into.at = document.integer(at)?.map_or(0, saturated!(u16));
    into.guaranteed = document.flag(guar)?.unwrap_or(false);
    into.wseat = strings(document, wseat)?;
    into.wadomain = strings(document, wadomain)?;
    time_floors(document, mincpmpersec, durfloors, &mut into.floors)
}
