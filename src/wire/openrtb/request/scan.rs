//! From a body to a [`BidRequest`]: the fields in use, and what type each must have.
//!
//! A field in use with a wrong type is an error, because what it forbids could not be honoured. Numbers without a fraction
//! are integers however they are written, flags may be `true` and `false`, and integers beyond a field's range take the
//! nearest value in it, which for an enum is an unknown one.

use super::{Banner, BidRequest, Channel, Geo, Imp, Size};
use crate::limits;
use crate::units::CpmMicros;
use crate::wire::json::{Broken, Document, Keys, Raw, Scratch, Token, WrongType};

/// Why a body is not a bid request that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// Not JSON, or nested deeper than [`limits::JSON_DEPTH`]: answered 400.
    Broken,
    /// JSON, but without `id`, `imp` or `imp.id`, or with a field in use of a wrong type: answered 204.
    NotABidRequest,
    /// A list of strings longer than [`limits::LIST`]: answered 204.
    TooMuch,
}

impl From<Broken> for ScanError {
    fn from(_: Broken) -> ScanError {
        ScanError::Broken
    }
}

impl From<WrongType> for ScanError {
    fn from(_: WrongType) -> ScanError {
        ScanError::NotABidRequest
    }
}

/// Finds the fields of an object and names their values: `fields!(document, token; name "key" ...)`.
macro_rules! fields {
    ($document:expr, $token:expr; $($name:ident $key:literal)*) => {
        let [$($name),*] = {
            static KEYS: Keys<{ [$($key),*].len() }> = Keys::new([$($key),*]);
            $document.fields($token, &KEYS)?
        };
    };
}

/// The nearest value in the range of an unsigned field of 8, 16 or 32 bits.
macro_rules! saturated {
    ($type:ty) => {
        |value: i64| value.clamp(0, <$type>::MAX.into()) as $type
    };
}

/// Reads a body: every part of it. Every field of `into` is written; after an error their values mean nothing.
///
/// The whole body is checked to be JSON, also where no field is in use. Allocates nothing.
pub fn scan<'a>(body: &'a [u8], scratch: &mut Scratch, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
    let mut parts = Parts::open(body, scratch, into)?;
    parts.impressions(into)?;
    parts.inventory(into)?;
    parts.person(into)?;
    parts.chain(into)
}

/// A checked request, read part by part: whoever is turned away by its terms costs no look at its impressions, and who wants
/// none of those, none at the device and the user.
#[derive(Debug)]
pub struct Parts<'a, 's> {
    document: Document<'a, 's>,
    imp: Token,
    site: Token,
    app: Token,
    device: Token,
    user: Token,
    regs: Token,
    source: Token,
    ext: Token,
    /// `lmt`, `dnt`, `ua`, `ip`, `ipv6`, `os`, `language`, `ifa`, `connectiontype`: found with the rest of the device.
    device_fields: [Token; 9],
    /// Read already: asking again costs nothing.
    inventory_read: bool,
    person_read: bool,
}

impl<'a, 's> Parts<'a, 's> {
    /// Checks the whole body, and reads the terms: what stands in the request itself, and which channel it is of.
    ///
    /// # Errors
    /// [`ScanError::Broken`] from here and nowhere else; the others as for every part.
    pub fn open(
        body: &'a [u8],
        scratch: &'s mut Scratch,
        into: &mut BidRequest<'a>,
    ) -> Result<Parts<'a, 's>, ScanError> {
        let document = Document::read(body, scratch)?;
        fields!(document, document.root();
            id "id" at "at" tmax "tmax" test "test" imp "imp" cur "cur" bcat "bcat" acat "acat" cattax "cattax" badv "badv" bapp "bapp"
            wseat "wseat" bseat "bseat" wlang "wlang" wlangb "wlangb" site "site" app "app" dooh "dooh" device "device" user "user" regs "regs"
            source "source" ext "ext");
        into.id = document.text(id)?;
        if into.id.is_empty() {
            return Err(ScanError::NotABidRequest);
        }
        into.at = document.integer(at)?.map_or(2, saturated!(u16));
        into.tmax = document.integer(tmax)?.map_or(0, saturated!(u32));
        into.test = document.flag(test)?.unwrap_or(false);
        into.cur = strings(&document, cur)?;
        into.bcat = strings(&document, bcat)?;
        into.acat = strings(&document, acat)?;
        into.wlang = strings(&document, either(&document, wlang, wlangb))?;
        into.cattax = document.integer(cattax)?.map_or(1, saturated!(u16));
        into.badv = strings(&document, badv)?;
        into.bapp = strings(&document, bapp)?;
        into.wseat = strings(&document, wseat)?;
        into.bseat = strings(&document, bseat)?;
        document.object(dooh)?;
        into.channel = match [site, app, dooh].map(|object| document.is_present(object)) {
            [true, ..] => Channel::Site,
            [_, true, _] => Channel::App,
            [.., true] => Channel::Dooh,
            _ => Channel::Unknown,
        };
        let device_fields = [Token::ABSENT; 9];
        let (inventory_read, person_read) = (false, false);
        Ok(Parts {
            document,
            imp,
            site,
            app,
            device,
            user,
            regs,
            source,
            ext,
            device_fields,
            inventory_read,
            person_read,
        })
    }

    /// `imp`.
    ///
    /// # Errors
    /// None of them, one without an id, or a wrong type.
    pub fn impressions(&self, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
        into.imps.clear();
        for element in self.document.elements(self.imp)?.take(limits::IMPS) {
            // Made where it stays: an impression is too large to be moved about.
            into.imps.push(Imp::default());
            let imp = into.imps.last_mut().expect("pushed");
            impression(&self.document, element, imp)?;
        }
        if into.imps.is_empty() || into.imps.iter().any(|imp| imp.id.is_empty()) {
            return Err(ScanError::NotABidRequest);
        }
        Ok(())
    }

    /// What of `site`, `app` and `device` says where the impression is; of `user` too, if the device is nowhere.
    ///
    /// # Errors
    /// A wrong type.
    pub fn inventory(&mut self, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
        if std::mem::replace(&mut self.inventory_read, true) {
            return Ok(());
        }
        let document = &self.document;
        fields!(document, self.site; domain "domain" page "page" site_publisher "publisher");
        fields!(document, self.app; bundle "bundle" app_publisher "publisher");
        into.domain = document.text(domain)?;
        into.page = document.text(page)?;
        into.bundle = document.text(bundle)?;
        let publisher = if into.channel == Channel::Site { site_publisher } else { app_publisher };
        fields!(document, publisher; id "id");
        into.publisher = document.text(id)?;

        fields!(document, self.device;
            lmt "lmt" dnt "dnt" ua "ua" ip "ip" ipv6 "ipv6" os "os" language "language" ifa "ifa"
            connectiontype "connectiontype" devicetype "devicetype" geo_object "geo");
        self.device_fields = [lmt, dnt, ua, ip, ipv6, os, language, ifa, connectiontype];
        into.device.kind = document.integer(devicetype)?.map_or(0, saturated!(u8));
        geo(document, geo_object, &mut into.device.geo)?;
        if into.device.geo.country.is_empty() {
            fields!(document, self.user; user_geo "geo");
            geo(document, user_geo, &mut into.user_geo)?;
        }
        Ok(())
    }

    /// Who it is about, and what may be known of them: the rest of `device` and `user`, and `regs`. After
    /// [`Parts::inventory`].
    ///
    /// # Errors
    /// A wrong type.
    pub fn person(&mut self, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
        if std::mem::replace(&mut self.person_read, true) {
            return Ok(());
        }
        let document = &self.document;
        let [lmt, dnt, ua, ip, ipv6, os, language, ifa, connectiontype] = self.device_fields;
        into.device.lmt = document.flag(lmt)?.unwrap_or(false);
        into.device.dnt = document.flag(dnt)?.unwrap_or(false);
        into.device.ua = document.text(ua)?;
        into.device.ip = document.text(ip)?;
        into.device.ipv6 = document.text(ipv6)?;
        document.text(os)?;
        into.device.language = document.text(language)?;
        into.device.ifa = document.text(ifa)?;
        into.device.connection = document.integer(connectiontype)?.map_or(0, saturated!(u8));
        regs(document, self.regs, into)?;
        user(document, self.user, into)
    }

    /// The supply chain, wherever the version keeps it.
    ///
    /// # Errors
    /// A wrong type.
    pub fn chain(&self, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
        into.schain = schain(&self.document, self.source, self.ext)?;
        Ok(())
    }
}

/// A list of strings. One that names nothing says nothing: it is as good as absent.
fn strings<'a>(document: &Document<'a, '_>, token: Token) -> Result<Raw<'a>, ScanError> {
    match document.strings(token)? {
        (_, 0) => Ok(Raw::default()),
        (_, count) if count > limits::LIST => Err(ScanError::TooMuch),
        (list, _) => Ok(list),
    }
}

/// The 2.6 place of a field, or the 2.5 place if there is nothing.
#[inline(always)]
fn either(document: &Document<'_, '_>, place: Token, earlier_place: Token) -> Token {
    if document.is_present(place) { place } else { earlier_place }
}

/// `ext`, of which nothing is promised: of another type than an object, it is somebody else's.
#[inline(always)]
fn extension(document: &Document<'_, '_>, ext: Token) -> Token {
    if document.is_object(ext) { ext } else { Token::ABSENT }
}

fn geo<'a>(document: &Document<'a, '_>, token: Token, into: &mut Geo<'a>) -> Result<(), ScanError> {
    fields!(document, token; country "country" region "region" city "city" zip "zip");
    into.country = document.text(country)?;
    into.region = document.text(region)?;
    into.city = document.text(city)?;
    into.zip = document.text(zip)?;
    Ok(())
}

fn user<'a>(document: &Document<'a, '_>, token: Token, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
    fields!(document, token;
        id "id" buyeruid "buyeruid" eids "eids" consent "consent" geo_object "geo" ext "ext");
    fields!(document, extension(document, ext); ext_eids "eids" ext_consent "consent");
    into.user_id = document.text(id)?;
    into.buyeruid = document.text(buyeruid)?;
    into.eids = document.array(either(document, eids, ext_eids))?;
    into.consent = document.text(either(document, consent, ext_consent))?;
    geo(document, geo_object, &mut into.user_geo)
}

fn regs<'a>(document: &Document<'a, '_>, token: Token, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
    fields!(document, token;
        coppa "coppa" gdpr "gdpr" us_privacy "us_privacy" gpp "gpp" gpp_sid "gpp_sid" ext "ext");
    fields!(document, extension(document, ext);
        ext_gdpr "gdpr" ext_us_privacy "us_privacy" ext_gpp "gpp" ext_gpp_sid "gpp_sid" gpc "gpc" dsa "dsa");
    fields!(document, extension(document, dsa); dsarequired "dsarequired");
    into.dsa_required = document.integer(dsarequired)?.map_or(0, saturated!(u8));
    into.coppa = document.flag(coppa)?.unwrap_or(false);
    into.gdpr = document.flag(either(document, gdpr, ext_gdpr))?;
    into.us_privacy = document.text(either(document, us_privacy, ext_us_privacy))?;
    into.gpp = document.text(either(document, gpp, ext_gpp))?;
    let sections = either(document, gpp_sid, ext_gpp_sid);
    let mut named = false;
    for section in document.elements(sections)? {
        named |= document.integer(section)?.is_some();
    }
    into.gpp_sid = if named { document.array(sections)? } else { Raw::default() };
    into.gpc = match document.text(gpc) {
        Ok(text) => text.eq_str("1"),
        Err(WrongType) => document.flag(gpc)?.unwrap_or(false),
    };
    Ok(())
}

fn schain<'a>(document: &Document<'a, '_>, source: Token, ext: Token) -> Result<Raw<'a>, ScanError> {
    fields!(document, source; schain "schain" source_ext "ext");
    fields!(document, extension(document, source_ext); schain_2_5 "schain");
    fields!(document, extension(document, ext); schain_2_4 "schain");
    Ok(document.object(either(document, either(document, schain, schain_2_5), schain_2_4))?)
}

fn impression<'a>(document: &Document<'a, '_>, token: Token, into: &mut Imp<'a>) -> Result<(), ScanError> {
    fields!(document, token;
        id "id" banner_object "banner" video "video" audio "audio" native "native" bidfloor "bidfloor"
        bidfloorcur "bidfloorcur" secure "secure" pmp "pmp" tagid "tagid" instl "instl");
    fields!(document, pmp; private_auction "private_auction" deals "deals");
    into.id = document.text(id)?;
    if document.is_present(banner_object) {
        banner(document, banner_object, into.banner.insert(Banner::default()))?;
    }
    document.object(video)?;
    document.object(audio)?;
    document.object(native)?;
    into.floor = CpmMicros(document.ceiling(bidfloor, 6)?.unwrap_or(0));
    into.floor_cur = document.text(bidfloorcur)?;
    into.secure = document.flag(secure)?;
    into.private_auction = document.flag(private_auction)?.unwrap_or(false);
    document.array(deals)?;
    into.tagid = document.text(tagid)?;
    into.interstitial = document.flag(instl)?.unwrap_or(false);
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
    let [w, h] = [document.integer(w)?, document.integer(h)?].map(|side| side.map_or(0, saturated!(u16)));
    Ok((w > 0 && h > 0).then_some(Size { w, h }))
}

/// The integers of a list as bits; what is not between 0 and 63 has none.
fn bits(document: &Document<'_, '_>, token: Token) -> Result<u64, ScanError> {
    let mut bits = 0;
    for element in document.elements(token)? {
        if let Some(value @ 0..64) = document.integer(element)? {
            bits |= 1 << value;
        }
    }
    Ok(bits)
}
