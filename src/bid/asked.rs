//! A request, in the plain values that the targeting index asks for. What no campaign is particular about is not read.

use arrayvec::ArrayVec;

use crate::bid::comply::{Leave, Personal};
use crate::bid::eligible::Scene;
use crate::limits;
use crate::snapshot::Snapshot;
use crate::snapshot::geo::Place;
use crate::snapshot::targeting::{Asked, host};
use crate::wire::json::Text;
use crate::wire::openrtb::agent::Agents;
use crate::wire::openrtb::request::{BidRequest, Channel, Parts, ScanError};

/// Room for texts whose JSON had escapes in it: `https:\/\/` is common in `site.page`.
#[derive(Debug)]
pub struct Unescaped {
    inventory: [u8; 2048],
    publisher: [u8; 256],
    city: [u8; 256],
    carrier: [u8; 256],
}

impl Default for Unescaped {
    fn default() -> Self {
        Unescaped { inventory: [0; 2048], publisher: [0; 256], city: [0; 256], carrier: [0; 256] }
    }
}

/// The categories of a site, app or content.
pub type Categories<'r> = ArrayVec<&'r [u8], { limits::CATEGORIES }>;

/// Reads what the campaigns of a snapshot are particular about; where the address is, if the request does not say where it
/// comes from.
#[inline]
pub fn read<'r, 's>(
    snapshot: &'s Snapshot,
    parts: &mut Parts<'r, '_>,
    request: &mut BidRequest<'r>,
    agents: &mut Agents,
    leave: &Leave,
) -> Result<Option<Place<'s>>, ScanError> {
    parts.inventory(request)?;
    let index = &snapshot.targeting;
    if index.asks_place_details() {
        // Of somebody who may not be known, the region is near enough.
        if leave.personal.is_some() {
            parts.place_details(request, leave.exact_place.is_some())?;
        }
    }
    if index.asks_agent() {
        parts.agent(request, |ua| agents.of(ua))?;
    }
    if index.asks_content() {
        parts.content(request)?;
        if request.content_language.is_empty() {
            parts.person(request)?;
        }
    }
    locate(snapshot, parts, request, leave.personal.as_ref())
}

/// Where the address of the device is, if the request names no country and there is a file that knows: its country and region,
/// and more only of somebody who may be known. After [`Parts::inventory`].
#[inline]
pub fn locate<'r, 's>(
    snapshot: &'s Snapshot,
    parts: &mut Parts<'r, '_>,
    request: &mut BidRequest<'r>,
    personal: Option<&Personal>,
) -> Result<Option<Place<'s>>, ScanError> {
    if snapshot.geo.is_none() || !request.place().country.is_empty() {
        return Ok(None);
    }
    parts.person(request)?;
    let place = by_address(snapshot, request);
    Ok(place.map(|place| {
        if personal.is_some() {
            place
        } else {
            Place { country: place.country, region: place.region, ..Place::default() }
        }
    }))
}

/// Where the address of the device is, if there is a file that knows. After [`Parts::person`].
pub fn by_address<'s>(snapshot: &'s Snapshot, request: &BidRequest<'_>) -> Option<Place<'s>> {
    let device = &request.device;
    [device.ip, device.ipv6].into_iter().find_map(|address| snapshot.place(address.raw))
}

/// The country a request comes from; empty if nobody knows.
#[inline]
pub fn country<'c>(request: &BidRequest<'c>, place: Option<&'c Place<'_>>) -> &'c [u8] {
    match request.place().country {
        Text { raw: [], .. } => place.and_then(|place| place.country.as_ref()).map_or(&[], |country| &country[..]),
        text => unless_escaped(text),
    }
}

impl Unescaped {
    /// The domain and the bundle of a request, each empty if it has none.
    #[inline]
    pub fn inventory<'u>(&'u mut self, request: &BidRequest<'u>) -> (&'u [u8], &'u [u8]) {
        inventory(&mut self.inventory, request)
    }

    /// The question for the index. `categories` and `hours` are what [`Asked`] says of them.
    #[inline]
    pub fn asked<'u>(
        &'u mut self,
        request: &BidRequest<'u>,
        scene: Scene<'u>,
        place: Option<&'u Place<'u>>,
        categories: &'u [&'u [u8]],
        hours: &'u [u8],
    ) -> Asked<'u> {
        let Unescaped { inventory: room, publisher, city, carrier } = self;
        let (domain, bundle) = inventory(room, request);
        let geo = request.place();
        let device = &request.device;
        let asked = Asked {
            country: country(request, place),
            region: unless_escaped(geo.region),
            city: plain(geo.city, city),
            zip: unless_escaped(geo.zip),
            point: geo.point,
            device: device.kind,
            os: device.os,
            browser: device.browser,
            carrier: plain(device.carrier, carrier),
            connection: device.connection,
            categories,
            language: unless_escaped(match request.content_language.is_empty() {
                true => device.language,
                false => request.content_language,
            }),
            hours,
            channel: request.channel,
            domain,
            bundle,
            publisher: plain(request.publisher, publisher),
            exchange: scene.exchange.name.as_bytes(),
            now: scene.now.wall,
        };
        match place {
            None => asked,
            // Only what the request leaves open.
            Some(place) => Asked {
                region: or(asked.region, place.region),
                city: or(asked.city, place.city),
                zip: or(asked.zip, place.zip),
                point: asked.point.or(place.point),
                ..asked
            },
        }
    }
}

fn or<'t>(said: &'t [u8], known: &'t str) -> &'t [u8] {
    if said.is_empty() { known.as_bytes() } else { said }
}

/// What the site, app or content is about.
#[inline]
pub fn categories<'r>(request: &BidRequest<'r>) -> Categories<'r> {
    let named = request.categories.iter().flat_map(|list| list.strings());
    named.map(unless_escaped).filter(|name| !name.is_empty()).take(limits::CATEGORIES).collect()
}

fn inventory<'u>(room: &'u mut [u8], request: &BidRequest<'u>) -> (&'u [u8], &'u [u8]) {
    match request.channel {
        Channel::Site if request.domain.is_empty() => (host(beginning(request.page, room)), b""),
        Channel::Site | Channel::Dooh => (plain(request.domain, room), b""),
        Channel::App => (b"", plain(request.bundle, room)),
        Channel::Unknown => (b"", b""),
    }
}

/// As much of a text, without its escapes, as there is room for: the host of an address is at its beginning.
pub(in crate::bid) fn beginning<'t>(text: Text<'t>, room: &'t mut [u8]) -> &'t [u8] {
    if !text.escaped {
        return text.raw;
    }
    let length = room.iter_mut().zip(text.bytes()).map(|(place, byte)| *place = byte).count();
    &room[..length]
}

/// A text without its escapes. One too long to be ours to name is unknown.
fn plain<'t>(text: Text<'t>, room: &'t mut [u8]) -> &'t [u8] {
    text.unescape(room).unwrap_or_default()
}

/// Codes are plain ASCII: one that had to be escaped is none.
pub(in crate::bid) fn unless_escaped(text: Text<'_>) -> &[u8] {
    if text.escaped { b"" } else { text.raw }
}
