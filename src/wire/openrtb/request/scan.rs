//! From a body to a [`BidRequest`]: the fields in use, each with its type, part by part.

use super::impression::impression;
use super::{BidRequest, Channel, Dsa, Geo, Imp, Point};
use crate::limits;
use crate::wire::json::{Broken, Document, Raw, Scratch, Text, Token, WrongType};
use crate::wire::openrtb::agent::{self, Browser, Os};
use crate::wire::openrtb::fields::{either, extension, fields, saturated, strings};

/// Why a body is not a bid request that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// Not JSON, or nested deeper than [`limits::JSON_DEPTH`]: answered 400.
    Broken,
    /// JSON, but without `id`, `imp` or `imp.id`, or with a field in use of a wrong type: answered 204.
    NotABidRequest,
    /// A list of strings longer than [`limits::LIST`], or of floors longer than [`limits::DURATION_FLOORS`]: answered 204.
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

/// Reads a body: every part of it. Every field of `into` is written; after an error their values mean nothing.
///
/// The whole body is checked to be JSON, also where no field is in use. Allocates nothing.
pub fn scan<'a>(body: &'a [u8], scratch: &mut Scratch, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
    let mut parts = Parts::open(body, scratch, into)?;
    parts.impressions(into)?;
    parts.inventory(into)?;
    parts.place_details(into, true)?;
    parts.content(into)?;
    parts.agent(into, agent::of)?;
    parts.person(into)?;
    parts.chain(into);
    Ok(())
}

/// A checked request, read part by part: whoever is turned away by its terms costs no look at its impressions, and who wants
/// none of those, none at the device and the user.
///
/// No object is walked twice: [`Parts::inventory`] keeps what it comes by for the parts that may follow it.
#[derive(Debug)]
pub struct Parts<'a, 's> {
    document: Document<'a, 's>,
    imp: Token,
    /// The site, app or dooh.
    subject: Token,
    device: Token,
    user: Token,
    regs: Token,
    source: Token,
    ext: Token,
    /// Read already: asking again costs nothing.
    inventory_read: bool,
    person_read: bool,
    chain_read: bool,
    /// `cat`, `sectioncat`, `pagecat`, `cattax` and `content` of the subject.
    topic: [Token; 5],
    /// `inventorypartnerdomain` and `ext` of the subject.
    partner: [Token; 2],
    /// `lmt`, `dnt`, `ip`, `ipv6`, `language`, `ifa` of the device.
    identity: [Token; 6],
    /// `ua`, `os`, `sua` and `ext` of the device.
    agent: [Token; 4],
    /// `city`, `zip`, `lat` and `lon` of the geo that applies, which is the user's if the device names no country.
    place: [Token; 4],
    /// `id`, `buyeruid`, `eids`, `consent`, `geo` and `ext` of the user, once somebody has asked.
    user_fields: Option<[Token; 6]>,
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
            id "id" at "at" tmax "tmax" test "test" allimps "allimps" imp "imp" cur "cur" bcat "bcat" acat "acat"
            cattax "cattax" badv "badv" bapp "bapp" wseat "wseat" bseat "bseat" wlang "wlang" wlangb "wlangb" site "site"
            app "app" dooh "dooh" device "device" user "user" regs "regs" source "source" ext "ext");
        into.id = document.text(id)?;
        if into.id.is_empty() {
            return Err(ScanError::NotABidRequest);
        }
        into.at = document.integer(at)?.map_or(2, saturated!(u16));
        into.tmax = document.integer(tmax)?.map_or(0, saturated!(u32));
        into.test = document.flag(test)?.unwrap_or(false);
        into.all_imps = document.flag(allimps)?.unwrap_or(false);
        into.cur = strings(&document, cur)?;
        into.bcat = strings(&document, bcat)?;
        into.acat = strings(&document, acat)?;
        into.wlang = strings(&document, either(&document, wlang, wlangb))?;
        into.cattax = document.integer(cattax)?.map_or(1, saturated!(u16));
        into.badv = strings(&document, badv)?;
        into.bapp = strings(&document, bapp)?;
        into.wseat = strings(&document, wseat)?;
        into.bseat = strings(&document, bseat)?;
        let subject;
        (into.channel, subject) = match [site, app, dooh].map(|object| document.is_present(object)) {
            [true, ..] => (Channel::Site, site),
            [_, true, _] => (Channel::App, app),
            [.., true] => (Channel::Dooh, dooh),
            _ => (Channel::Unknown, Token::ABSENT),
        };
        Ok(Parts {
            document,
            imp,
            subject,
            device,
            user,
            regs,
            source,
            ext,
            inventory_read: false,
            person_read: false,
            chain_read: false,
            topic: [Token::ABSENT; 5],
            partner: [Token::ABSENT; 2],
            identity: [Token::ABSENT; 6],
            agent: [Token::ABSENT; 4],
            place: [Token::ABSENT; 4],
            user_fields: None,
        })
    }

    /// `imp`.
    ///
    /// # Errors
    /// None of them, one without an id, a wrong type, or too many floors by duration.
    pub fn impressions(&self, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
        into.imps.clear();
        into.deals.clear();
        for element in self.document.elements(self.imp)?.take(limits::IMPS) {
            // Made where it stays: an impression is too large to be moved about.
            into.imps.push(Imp::default());
            let imp = into.imps.last_mut().expect("pushed");
            impression(&self.document, element, imp, &mut into.deals)?;
            if imp.id.is_empty() {
                return Err(ScanError::NotABidRequest);
            }
        }
        if into.imps.is_empty() { Err(ScanError::NotABidRequest) } else { Ok(()) }
    }

    /// Where the impression is: what `site`, `app`, `dooh` and `device` say of it, down to the region; `user.geo` too, if the
    /// device names no country.
    ///
    /// # Errors
    /// A wrong type.
    pub fn inventory(&mut self, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
        if std::mem::replace(&mut self.inventory_read, true) {
            return Ok(());
        }
        let document = &self.document;
        fields!(document, self.subject;
            domain "domain" page "page" bundle "bundle" publisher "publisher" cat "cat" sectioncat "sectioncat"
            pagecat "pagecat" cattax "cattax" content "content" partner "inventorypartnerdomain" subject_ext "ext");
        self.topic = [cat, sectioncat, pagecat, cattax, content];
        self.partner = [partner, subject_ext];
        let (domain, page, bundle) = match into.channel {
            Channel::Site => (domain, page, Token::ABSENT),
            Channel::App => (Token::ABSENT, Token::ABSENT, bundle),
            Channel::Dooh | Channel::Unknown => (domain, Token::ABSENT, Token::ABSENT),
        };
        into.domain = document.text(domain)?;
        into.page = document.text(page)?;
        into.bundle = document.text(bundle)?;
        fields!(document, publisher; id "id");
        into.publisher = document.text(id)?;

        fields!(document, self.device;
            lmt "lmt" dnt "dnt" ua "ua" sua "sua" ip "ip" ipv6 "ipv6" os "os" language "language" ifa "ifa" carrier "carrier"
            connectiontype "connectiontype" devicetype "devicetype" geo_object "geo" ext "ext");
        self.identity = [lmt, dnt, ip, ipv6, language, ifa];
        self.agent = [ua, os, sua, ext];
        into.device.kind = document.integer(devicetype)?.map_or(0, saturated!(u8));
        into.device.carrier = document.text(carrier)?;
        into.device.connection = document.integer(connectiontype)?.map_or(0, saturated!(u8));
        self.place = geo(document, geo_object, &mut into.device.geo)?;
        into.user_geo = Geo::default();
        if into.device.geo.country.is_empty() {
            let [.., user_geo, _] = self.user_fields()?;
            let place = geo(&self.document, user_geo, &mut into.user_geo)?;
            if !into.user_geo.country.is_empty() {
                self.place = place;
            }
        }
        Ok(())
    }

    /// More than the region of the place that applies; the point only if it is to be known `exact`ly. After
    /// [`Parts::inventory`].
    ///
    /// # Errors
    /// A wrong type.
    pub fn place_details(&self, into: &mut BidRequest<'a>, exact: bool) -> Result<(), ScanError> {
        let document = &self.document;
        let [city, zip, lat, lon] = self.place;
        let geo = if into.user_geo.country.is_empty() { &mut into.device.geo } else { &mut into.user_geo };
        geo.city = document.text(city)?;
        geo.zip = document.text(zip)?;
        geo.point = if exact { point(document, lat, lon)? } else { None };
        Ok(())
    }

    /// What the site, app, dooh or its content is about, and in which language. After [`Parts::inventory`].
    ///
    /// # Errors
    /// A wrong type, or too many categories.
    pub fn content(&self, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
        let document = &self.document;
        let [cat, sectioncat, pagecat, cattax, content] = self.topic;
        fields!(document, content; content_cat "cat" content_cattax "cattax" language "language" langb "langb");
        let tax = document.integer(cattax)?.map_or(1, saturated!(u16));
        let content_tax = document.integer(content_cattax)?.map_or(1, saturated!(u16));
        into.categories = [
            strings(document, cat)?,
            strings(document, sectioncat)?,
            strings(document, pagecat)?,
            strings(document, content_cat)?,
        ];
        into.categories_tax = tax;
        if content_tax != tax {
            // Two taxonomies cannot be one list: what is said of the whole goes before what is said of a piece of it.
            match &mut into.categories {
                [Raw([]), Raw([]), Raw([]), _] => into.categories_tax = content_tax,
                [.., of_content] => *of_content = Raw::default(),
            }
        }
        into.content_language = document.text(either(document, language, langb))?;
        Ok(())
    }

    /// The operating system and the browser; `by_string` tells them by a user agent string ([`agent::of`]), where nothing
    /// better does. After [`Parts::inventory`].
    ///
    /// # Errors
    /// A wrong type.
    pub fn agent(
        &self,
        into: &mut BidRequest<'a>,
        by_string: impl FnOnce(Text<'a>) -> (Os, Browser),
    ) -> Result<(), ScanError> {
        let document = &self.document;
        let [ua, os, sua, ext] = self.agent;
        fields!(document, extension(document, ext); sua_2_5 "sua");
        fields!(document, either(document, sua, sua_2_5); browsers "browsers" platform "platform");
        fields!(document, platform; platform_brand "brand");
        let device = &mut into.device;
        device.ua = document.text(ua)?;
        device.os = Os::named(document.text(platform_brand)?);
        let named = Os::named(document.text(os)?);
        if device.os == Os::Unknown {
            device.os = named;
        }
        device.browser = Browser::Unknown;
        for element in document.elements(browsers)? {
            fields!(document, element; brand "brand");
            let named = Browser::named(document.text(brand)?);
            if device.browser == Browser::Unknown {
                device.browser = named;
            }
        }
        if device.os == Os::Unknown || device.browser == Browser::Unknown {
            let (os, browser) = by_string(device.ua);
            device.os = if device.os == Os::Unknown { os } else { device.os };
            device.browser = if device.browser == Browser::Unknown { browser } else { device.browser };
        }
        Ok(())
    }

    /// Who it is about, and what may be known of them: the rest of `device` and `user`, and `regs`. Reads the inventory first,
    /// if nobody has.
    ///
    /// # Errors
    /// A wrong type.
    pub fn person(&mut self, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
        if std::mem::replace(&mut self.person_read, true) {
            return Ok(());
        }
        self.inventory(into)?;
        let [id, buyeruid, eids, consent, _, ext] = self.user_fields()?;
        let document = &self.document;
        let [lmt, dnt, ip, ipv6, language, ifa] = self.identity;
        into.device.lmt = document.flag(lmt)?.unwrap_or(false);
        into.device.dnt = document.flag(dnt)?.unwrap_or(false);
        into.device.ip = document.text(ip)?;
        into.device.ipv6 = document.text(ipv6)?;
        into.device.language = document.text(language)?;
        into.device.ifa = id_of_somebody(document.text(ifa)?);
        into.contradictory = false;
        regs(document, self.regs, into)?;
        fields!(document, extension(document, ext); ext_eids "eids" ext_consent "consent");
        into.user_id = document.text(id)?;
        into.buyeruid = document.text(buyeruid)?;
        into.eids = document.array(either(document, eids, ext_eids))?;
        into.consent = said(document, consent, ext_consent, &mut into.contradictory)?;
        Ok(())
    }

    /// The first id that this `source` of `user.eids`, or of `user.ext.eids` in 2.5, gives the user; empty if it gives none. An entry
    /// of another form is somebody else's. After [`Parts::person`].
    pub fn eid(&self, source: &str) -> Text<'a> {
        let document = &self.document;
        let first = || -> Result<Option<Text<'a>>, WrongType> {
            let Some([_, _, eids, _, _, ext]) = self.user_fields else { return Ok(None) };
            fields!(document, extension(document, ext); ext_eids "eids");
            for entry in document.elements(either(document, eids, ext_eids))?.take(limits::LIST) {
                fields!(document, entry; name "source" uids "uids");
                if document.text(name)?.eq_str(source) {
                    for uid in document.elements(uids)?.take(limits::LIST) {
                        fields!(document, uid; id "id");
                        let id = id_of_somebody(document.text(id)?);
                        if !id.is_empty() {
                            return Ok(Some(id));
                        }
                    }
                }
            }
            Ok(None)
        };
        first().ok().flatten().unwrap_or_default()
    }

    /// The supply chain and the inventory partner, wherever the version keeps them. What is wrong with the chain is said by
    /// its form; a partner that is no string is none. After [`Parts::inventory`].
    pub fn chain(&mut self, into: &mut BidRequest<'a>) {
        self.systems(into);
        into.partner = partner(&self.document, self.partner).unwrap_or_default();
    }

    /// The supply chain alone, which asks for nothing to be read before.
    pub fn systems(&mut self, into: &mut BidRequest<'a>) {
        if !std::mem::replace(&mut self.chain_read, true) {
            into.schain.read(&self.document, schain(&self.document, self.source, self.ext));
        }
    }

    /// `id`, `buyeruid`, `eids`, `consent`, `geo` and `ext` of the user.
    fn user_fields(&mut self) -> Result<[Token; 6], ScanError> {
        if let Some(found) = self.user_fields {
            return Ok(found);
        }
        fields!(self.document, self.user;
            id "id" buyeruid "buyeruid" eids "eids" consent "consent" geo_object "geo" ext "ext");
        Ok(*self.user_fields.insert([id, buyeruid, eids, consent, geo_object, ext]))
    }
}

/// The country and the region; and where the city, the zip, the latitude and the longitude are.
fn geo<'a>(document: &Document<'a, '_>, token: Token, into: &mut Geo<'a>) -> Result<[Token; 4], ScanError> {
    fields!(document, token; country "country" region "region" city "city" zip "zip" lat "lat" lon "lon");
    *into = Geo { country: document.text(country)?, region: document.text(region)?, ..Geo::default() };
    Ok([city, zip, lat, lon])
}

/// A point, if both coordinates are given and on the globe.
fn point(document: &Document<'_, '_>, lat: Token, lon: Token) -> Result<Option<Point>, ScanError> {
    const DEGREE: i64 = 1_000_000;
    let (lat, lon) = (document.ceiling(lat, 6)?, document.ceiling(lon, 6)?);
    let within = |angle: Option<i64>, most: i64| angle.filter(|angle| (-most..=most).contains(angle));
    let (lat, lon) = (within(lat, 90 * DEGREE), within(lon, 180 * DEGREE));
    Ok(lat.zip(lon).map(|(lat, lon)| Point { lat: lat as i32, lon: lon as i32 }))
}

fn regs<'a>(document: &Document<'a, '_>, token: Token, into: &mut BidRequest<'a>) -> Result<(), ScanError> {
    fields!(document, token;
        coppa "coppa" gdpr "gdpr" us_privacy "us_privacy" gpp "gpp" gpp_sid "gpp_sid" gpc "gpc" ext "ext");
    fields!(document, extension(document, ext);
        ext_gdpr "gdpr" ext_us_privacy "us_privacy" ext_gpp "gpp" ext_gpp_sid "gpp_sid" ext_gpc "gpc" dsa "dsa");
    fields!(document, extension(document, dsa); dsarequired "dsarequired" pubrender "pubrender" datatopub "datatopub");
    into.dsa = Dsa {
        required: document.integer(dsarequired)?.map_or(0, saturated!(u8)),
        publisher_renders: document.integer(pubrender)?.map(saturated!(u8)),
        wants_parameters: document.integer(datatopub)?.is_some_and(|data| data > 0),
    };
    into.coppa = document.flag(coppa)?.unwrap_or(false);
    into.gdpr = match (document.flag(gdpr)?, document.flag(ext_gdpr)?) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (said, earlier) => said.or(earlier),
    };
    let contradictory = &mut into.contradictory;
    into.us_privacy = said(document, us_privacy, ext_us_privacy, contradictory)?;
    into.gpp = said(document, gpp, ext_gpp, contradictory)?;
    let [sections, earlier] = [named(document, gpp_sid)?, named(document, ext_gpp_sid)?];
    *contradictory |= !sections.is_empty() && !earlier.is_empty() && !sections.integers().eq(earlier.integers());
    into.gpp_sid = if sections.is_empty() { earlier } else { sections };
    into.gpc = is_signalled(document, gpc) || is_signalled(document, ext_gpc);
    Ok(())
}

/// A privacy text, from whichever of its places has one. Where both do and say different things, none can be relied on.
fn said<'a>(
    document: &Document<'a, '_>,
    place: Token,
    earlier_place: Token,
    contradictory: &mut bool,
) -> Result<Text<'a>, WrongType> {
    let [text, earlier] = [document.text(place)?, document.text(earlier_place)?];
    *contradictory |= !text.is_empty() && !earlier.is_empty() && text.raw != earlier.raw;
    Ok(if text.is_empty() { earlier } else { text })
}

/// A list of integers; one that names none says nothing.
fn named<'a>(document: &Document<'a, '_>, list: Token) -> Result<Raw<'a>, WrongType> {
    let mut named = false;
    for element in document.elements(list)? {
        named |= document.integer(element)?.is_some();
    }
    if named { document.array(list) } else { Ok(Raw::default()) }
}

/// Whether Global Privacy Control is signalled: by "1", and by whatever else does not deny it.
fn is_signalled(document: &Document<'_, '_>, gpc: Token) -> bool {
    match document.text(gpc) {
        Ok(text) => !(text.is_empty() || text.eq_str("0") || text.eq_str("false")),
        Err(WrongType) => document.flag(gpc).map_or(true, |flag| flag.unwrap_or(false)),
    }
}

/// An advertising id that is somebody's: one of zeros is everybody's who has none.
fn id_of_somebody(id: Text<'_>) -> Text<'_> {
    if id.raw.iter().all(|byte| matches!(byte, b'0' | b'-')) { Text::default() } else { id }
}

/// Where the chain is; 2.6 goes first.
fn schain(document: &Document<'_, '_>, source: Token, ext: Token) -> Result<Token, WrongType> {
    fields!(document, source; schain "schain" source_ext "ext");
    if document.is_present(schain) {
        return Ok(schain);
    }
    fields!(document, extension(document, source_ext); schain_2_5 "schain");
    if document.is_present(schain_2_5) {
        return Ok(schain_2_5);
    }
    fields!(document, extension(document, ext); schain_2_4 "schain");
    Ok(schain_2_4)
}

fn partner<'a>(document: &Document<'a, '_>, [partner, ext]: [Token; 2]) -> Result<Text<'a>, WrongType> {
    if document.is_present(partner) {
        return document.text(partner);
    }
    fields!(document, extension(document, ext); partner_2_5 "inventorypartnerdomain");
    document.text(partner_2_5)
}
