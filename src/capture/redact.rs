//! What of a bid request leaves the process: everything but what tells people apart (the table is in docs/RECORD.md).
//!
//! Two rules. In the objects about a person and a device, what is not on the list of what stays is written over, so that what
//! nobody thought of is not captured. Everywhere else, what is on the list of what identifies is. Nothing is moved, so that what is
//! captured takes as long to read as what came.

use std::ops::Range;

use super::pseudonym::{Pseudonyms, coarse};
use crate::wire::json::{Document, Literal, Scratch, Text, Token};

/// Why a body is not redacted, so that nothing of it may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// It is no JSON object as the bidder reads it: nothing can be told about what is in it.
    NoObject,
    /// More is to be written over than is remembered.
    TooMuch,
}

/// Values and names of one body that are written over. Of what exchanges send dozens are; a body made of nothing else would have half a
/// million, and would take more memory to remember than all else of a capture.
const REPLACEMENTS: usize = 32 * 1024;

/// What is written over, how, and whether it is a number.
type Over = (Range<usize>, How, bool);

/// How a value is written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Pseudonym,
    Address,
    Coarse,
    Zip,
    Query,
}

/// Where in a request a value stands, as far as that decides what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The request itself.
    Root,
    /// Anything that is not about a person or a device.
    Elsewhere,
    User,
    UserExt,
    /// `user.ext.consented_providers_settings`.
    Providers,
    Device,
    DeviceExt,
    /// `device.sua`, and what it says of browsers and of the platform.
    Sua,
    Geo,
    /// `user.data`.
    Data,
    DataExt,
    /// `user.eids`, and `uids` in it.
    Eids,
    /// Kept, if it is a plain value or an array of them: of an object under this name nothing is known.
    Kept,
    /// Written over whole, names included.
    Hidden,
}

/// What becomes of the value of a field.
enum Fate {
    /// It is judged by where it stands now.
    In(Place),
    /// It is written over.
    Over(How),
}

/// Of a person: nothing of these tells one from another, and campaigns and laws ask for them.
const USER: &[&str] = &["yob", "gender", "consent"];
/// IAB TCF and Google's additional consent: they decide (docs/RECORD.md says why they stay).
const USER_EXT: &[&str] = &["consent", "consented_providers"];
/// As Google writes it, and as others do.
const SETTINGS: &[&str] = &["consented_providers_settings", "consentedproviderssettings"];
const PROVIDERS: &[&str] = &["consented_providers"];
/// What a model of device, a system, a browser and a network is.
const DEVICE: &[&str] = &[
    "ua",
    "dnt",
    "lmt",
    "devicetype",
    "make",
    "model",
    "os",
    "osv",
    "hwv",
    "h",
    "w",
    "ppi",
    "pxratio",
    "js",
    "geofetch",
    "flashver",
    "language",
    "langb",
    "carrier",
    "mccmnc",
    "connectiontype",
];
const DEVICE_EXT: &[&str] = &["atts", "ifa_type"];
const SUA: &[&str] = &["brand", "version", "mobile", "architecture", "bitness", "model", "source"];
const GEO: &[&str] =
    &["country", "region", "regionfips104", "metro", "city", "type", "accuracy", "lastfix", "ipservice", "utcoffset"];
/// Segments are of many people: without them no targeting would be what it was.
const DATA: &[&str] = &["id", "name", "value"];
const DATA_EXT: &[&str] = &["segtax", "segclass"];
const EIDS: &[&str] = &["source", "inserter", "matcher", "mm", "atype"];

/// What identifies, wherever it stands.
const IDENTIFIES: &[&str] = &[
    "ifa",
    "didsha1",
    "didmd5",
    "dpidsha1",
    "dpidmd5",
    "macsha1",
    "macmd5",
    "idfa",
    "idfv",
    "gaid",
    "aaid",
    "adid",
    "buyeruid",
    "buyerid",
    "userid",
    "user_id",
    "uid",
    "uids",
    "customdata",
    "tid",
    "sessionid",
    "session_id",
    "email",
    "phone",
    "search",
    "cookie",
    "fpd_id",
    "ppid",
    "pubcid",
    // Of a node of a supply chain: mostly the `id` of a request.
    "rid",
    "deviceid",
    "device_id",
    "udid",
    "uuid",
    "guid",
    "imei",
    "mac",
    "msisdn",
    "visitorid",
    "clientid",
    "client_id",
    "hashed_email",
    "ip_address",
    "x_forwarded_for",
];
const URLS: &[&str] = &["page", "ref", "referrer", "url", "referer", "pageurl", "page_url", "href", "location"];

/// What is in a list of names, but for the case of ASCII letters.
fn is_one(name: Text<'_>, list: &[&str]) -> bool {
    list.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
}

fn kept(stays: bool) -> Fate {
    Fate::In(if stays { Place::Kept } else { Place::Hidden })
}

/// The table of docs/RECORD.md.
fn fate(place: Place, name: Text<'_>) -> Fate {
    let is = |one: &str| name.eq_ignore_ascii_case(one.as_bytes());
    match place {
        Place::Kept | Place::Hidden => Fate::In(place),
        Place::User => match () {
            () if is("eids") => Fate::In(Place::Eids),
            () if is("data") => Fate::In(Place::Data),
            () if is("geo") => Fate::In(Place::Geo),
            () if is("ext") => Fate::In(Place::UserExt),
            () => kept(is_one(name, USER)),
        },
        Place::UserExt if is("eids") => Fate::In(Place::Eids),
        Place::UserExt if is_one(name, SETTINGS) => Fate::In(Place::Providers),
        Place::UserExt => kept(is_one(name, USER_EXT)),
        Place::Providers => kept(is_one(name, PROVIDERS)),
        Place::Device => match () {
            () if is("ip") || is("ipv6") => Fate::Over(How::Address),
            () if is("geo") => Fate::In(Place::Geo),
            () if is("ext") => Fate::In(Place::DeviceExt),
            () if is("sua") => Fate::In(Place::Sua),
            () => kept(is_one(name, DEVICE)),
        },
        Place::DeviceExt if is("sua") => Fate::In(Place::Sua),
        Place::DeviceExt => kept(is_one(name, DEVICE_EXT)),
        Place::Sua if is("browsers") || is("platform") => Fate::In(Place::Sua),
        Place::Sua => kept(is_one(name, SUA)),
        Place::Geo if is("lat") || is("lon") => Fate::Over(How::Coarse),
        Place::Geo if is("zip") => Fate::Over(How::Zip),
        Place::Geo => kept(is_one(name, GEO)),
        Place::Data if is("ext") => Fate::In(Place::DataExt),
        Place::Data if is("segment") => Fate::In(Place::Data),
        Place::Data => kept(is_one(name, DATA)),
        Place::DataExt => kept(is_one(name, DATA_EXT)),
        Place::Eids if is("uids") => Fate::In(Place::Eids),
        Place::Eids => kept(is_one(name, EIDS)),
        Place::Root if is("id") => Fate::Over(How::Pseudonym),
        Place::Root | Place::Elsewhere => match () {
            () if is("user") => Fate::In(Place::User),
            () if is("device") => Fate::In(Place::Device),
            () if is("eids") => Fate::In(Place::Eids),
            () if is("ip") || is("ipv6") => Fate::Over(How::Address),
            () if is("lat") || is("lon") => Fate::Over(How::Coarse),
            () if is("zip") => Fate::Over(How::Zip),
            () if is_one(name, URLS) => Fate::Over(How::Query),
            () if is_one(name, IDENTIFIES) => Fate::Over(How::Pseudonym),
            () => Fate::In(Place::Elsewhere),
        },
    }
}

/// Writes over what identifies, with memory of its own that is taken once.
#[derive(Debug)]
pub struct Redactor {
    scratch: Scratch,
    over: Vec<Over>,
    pseudonyms: Pseudonyms,
}

impl Redactor {
    /// The most one takes for bodies of up to `most` bytes, bytes: nine for each in [`Scratch`], and what is to be written over.
    pub(super) const fn memory(most: usize) -> usize {
        9 * (most + 1024) + REPLACEMENTS * size_of::<Over>()
    }

    /// For bodies of up to `most` bytes, under the pseudonyms of one capture.
    pub fn new(most: usize, pseudonyms: Pseudonyms) -> Redactor {
        Redactor { scratch: Scratch::new(most), over: Vec::with_capacity(REPLACEMENTS), pseudonyms }
    }

    /// Redacts a bid request in its own place.
    ///
    /// # Errors
    /// See [`Withheld`]: nothing is changed.
    pub fn redact(&mut self, body: &mut [u8]) -> Result<(), Withheld> {
        self.over.clear();
        let document = Document::read(body, &mut self.scratch).map_err(|_| Withheld::NoObject)?;
        if !document.is_object(document.root()) {
            return Err(Withheld::NoObject);
        }
        let mut walk = Walk { document, start: body.as_ptr().addr(), over: &mut self.over, is_too_much: false };
        walk.value(document.root(), Place::Root);
        if walk.is_too_much {
            return Err(Withheld::TooMuch);
        }
        for (range, how, is_number) in &self.over {
            let value = &mut body[range.clone()];
            match (how, is_number) {
                (How::Coarse, true) => coarse(value),
                (_, true) => self.pseudonyms.number(value),
                (How::Pseudonym | How::Coarse, false) => self.pseudonyms.text(value),
                (How::Zip, false) => self.pseudonyms.zip(value),
                (How::Address, false) => self.pseudonyms.address(value),
                (How::Query, false) => self.pseudonyms.query(value),
            }
        }
        Ok(())
    }
}

/// On its way through one document: as deep as that nests, which is bounded.
struct Walk<'a, 's, 'o> {
    document: Document<'a, 's>,
    /// Where the document begins in memory.
    start: usize,
    over: &'o mut Vec<Over>,
    /// What is to be written over found no room there.
    is_too_much: bool,
}

impl Walk<'_, '_, '_> {
    fn value(&mut self, token: Token, place: Place) {
        if place == Place::Kept {
            if !self.is_plain(token) {
                self.value(token, Place::Hidden);
            }
            return;
        }
        for (name, value) in self.document.entries(token) {
            if place == Place::Hidden {
                self.write_over(name.raw, How::Pseudonym, false);
            }
            match fate(place, name) {
                Fate::In(place) => self.value(value, place),
                Fate::Over(how) => self.over(value, how),
            }
        }
        for element in self.document.elements(token).into_iter().flatten() {
            self.value(element, place);
        }
        if !matches!(place, Place::Root | Place::Elsewhere) {
            self.literal(token, How::Pseudonym);
        }
    }

    /// Whether it is a string, a number, a flag, `null`, or an array of these.
    fn is_plain(&self, token: Token) -> bool {
        let is_list = |token| self.document.is_present(token) && self.document.elements(token).is_ok();
        !self.document.is_object(token)
            && self
                .document
                .elements(token)
                .into_iter()
                .flatten()
                .all(|element| !self.document.is_object(element) && !is_list(element))
    }

    /// A value that identifies, or what stands in its place: an array of them, or an object, of which nothing is known.
    fn over(&mut self, token: Token, how: How) {
        self.literal(token, how);
        for element in self.document.elements(token).into_iter().flatten() {
            self.over(element, how);
        }
        if self.document.is_object(token) {
            self.value(token, Place::Hidden);
        }
    }

    fn literal(&mut self, token: Token, how: How) {
        match self.document.literal(token) {
            Some(Literal::Text(text)) => self.write_over(text.raw, how, false),
            Some(Literal::Number(number)) => self.write_over(number, how, true),
            None => {}
        }
    }

    fn write_over(&mut self, part: &[u8], how: How, is_number: bool) {
        // An empty text may be one that stands nowhere in the document.
        if part.is_empty() {
            return;
        }
        if self.over.len() < REPLACEMENTS {
            let from = part.as_ptr().addr() - self.start;
            self.over.push((from..from + part.len(), how, is_number));
        } else {
            self.is_too_much = true;
        }
    }
}

#[cfg(test)]
mod tests;
