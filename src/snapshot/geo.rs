//! Where an IP address is, from a MaxMind DB of the City, Country or Enterprise kind.
//!
//! The file's tree and records are read once and become two sorted tables of address ranges, each range with a place, and a
//! directory by the first sixteen bits. So a damaged record is found at the start and not by a bid, a lookup is some few
//! cache lines, and it neither allocates nor can fail. All cores read the same tables.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;

use super::country;

use super::document::{self, FileError};
use crate::wire::openrtb::request::Point;

/// What is known of where an address is. What is not known is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'g> {
    /// ISO 3166-1 alpha-3.
    pub country: Option<[u8; 3]>,
    /// ISO 3166-2 subdivision without the country, the widest there is: `CA`.
    pub region: &'g str,
    /// City in English.
    pub city: &'g str,
    /// Postal code; of some countries only its first part.
    pub zip: &'g str,
    /// About where: the middle of the city or the postal code's area.
    pub point: Option<Point>,
}

/// All places.
pub struct Geo {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    places: Vec<Stored>,
    /// Every text once, one behind the other.
    texts: Box<str>,
}

/// Its sizes: a City file has millions of ranges.
impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (v4, v6) = (self.v4.starts.len(), self.v6.starts.len());
        f.debug_struct("Geo")
            .field("v4", &v4)
            .field("v6", &v6)
            .field("places", &self.places.len())
            .finish_non_exhaustive()
    }
}

/// A [`Place`] with its texts in `Geo::texts`.
#[derive(Clone, Copy, Debug)]
struct Stored {
    point: Option<Point>,
    region: Text,
    city: Text,
    zip: Text,
    country: Option<[u8; 3]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Text {
    start: u32,
    end: u32,
}

/// In place of the index of a place: nothing is known of this range.
const NOWHERE: u32 = u32::MAX;
/// Blocks of the directory: one for each value of an address's first sixteen bits.
const BLOCKS: usize = 1 << 16;

/// Ranges of addresses without gap or overlap: each goes from its start to before the next one's.
struct Ranges<K> {
    /// In order, the first at 0.
    starts: Vec<K>,
    /// The place of each.
    places: Vec<u32>,
    /// For each block and the end of the last, the range that its first address is in.
    blocks: Vec<u32>,
}

impl<K: Copy + Ord> Ranges<K> {
    /// The place of `key`, which is in this block.
    #[inline]
    fn at(&self, key: K, block: usize) -> u32 {
        let (from, to) = (self.blocks[block] as usize, self.blocks[block + 1] as usize);
        // The range the block begins in starts at or before the key.
        let after = self.starts[from..=to].partition_point(|&start| start <= key);
        self.places[from + after.saturating_sub(1)]
    }
}

/// Ranges that are being put in, in order.
struct Filling<K> {
    starts: Vec<K>,
    places: Vec<u32>,
    /// The first address behind the last range; `None` behind the last address.
    next: Option<K>,
}

impl<K: Copy + Ord + Default> Filling<K> {
    fn new() -> Filling<K> {
        Filling { starts: Vec::new(), places: Vec::new(), next: Some(K::default()) }
    }

    /// Adds a range; `after` is the address behind it. False if it is not behind the last one.
    fn push(&mut self, first: K, after: Option<K>, place: u32) -> bool {
        let Some(next) = self.next.filter(|&next| next <= first) else { return false };
        if next < first {
            self.begin(next, NOWHERE);
        }
        self.begin(first, place);
        self.next = after;
        true
    }

    fn begin(&mut self, start: K, place: u32) {
        if self.places.last() != Some(&place) {
            self.starts.push(start);
            self.places.push(place);
        }
    }

    /// `first_of` is the first address of a block.
    fn finish(mut self, first_of: impl Fn(usize) -> K) -> Ranges<K> {
        if let Some(next) = self.next {
            self.begin(next, NOWHERE);
        }
        let mut at = 0;
        let mut blocks = Vec::with_capacity(BLOCKS + 1);
        for first in (0..BLOCKS).map(first_of) {
            while self.starts.get(at + 1).is_some_and(|&start| start <= first) {
                at += 1;
            }
            blocks.push(at as u32);
        }
        blocks.push((self.starts.len() - 1) as u32);
        Ranges { starts: self.starts, places: self.places, blocks }
    }
}

/// Puts a [`Geo`] together.
pub struct Builder {
    v4: Filling<u32>,
    v6: Filling<u128>,
    places: Vec<Stored>,
    texts: String,
    known: HashMap<Box<str>, Text>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            v4: Filling::new(),
            v6: Filling::new(),
            places: Vec::new(),
            texts: String::new(),
            known: HashMap::new(),
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("places", &self.places.len()).finish_non_exhaustive()
    }
}

impl Builder {
    /// Adds a place; its number, for [`Builder::range`].
    pub fn place(&mut self, place: Place<'_>) -> u32 {
        let stored = Stored {
            point: place.point,
            region: self.text(place.region),
            city: self.text(place.city),
            zip: self.text(place.zip),
            country: place.country,
        };
        self.places.push(stored);
        (self.places.len() - 1) as u32
    }

    fn text(&mut self, text: &str) -> Text {
        if let Some(&known) = self.known.get(text) {
            return known;
        }
        let start = self.texts.len() as u32;
        self.texts.push_str(text);
        let stored = Text { start, end: self.texts.len() as u32 };
        self.known.insert(text.into(), stored);
        stored
    }

    /// Addresses `first` to `last` are at a place. False, and nothing is added, if they are not of one kind and behind all
    /// those of their kind that are there.
    pub fn range(&mut self, first: IpAddr, last: IpAddr, place: u32) -> bool {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                self.v4.push(first.to_bits(), last.to_bits().checked_add(1), place)
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                self.v6.push(first.to_bits(), last.to_bits().checked_add(1), place)
            }
            _ => false,
        }
    }

    /// The tables; `None` if there is more than they can hold.
    pub fn finish(self) -> Option<Geo> {
        let fits = |length: usize| length < NOWHERE as usize;
        if !(fits(self.places.len())
            && fits(self.texts.len())
            && fits(self.v4.starts.len())
            && fits(self.v6.starts.len()))
        {
            return None;
        }
        Some(Geo {
            v4: self.v4.finish(|block| (block as u32) << 16),
            v6: self.v6.finish(|block| (block as u128) << 112),
            places: self.places,
            texts: self.texts.into(),
        })
    }
}

impl Geo {
    /// Reads a MaxMind DB file, all of it.
    ///
    /// # Errors
    /// It cannot be read, is of another kind, or is damaged.
    pub fn load(path: &Path) -> Result<Geo, FileError> {
        Geo::read(document::bytes(path)?).map_err(|what| FileError { path: path.to_owned(), line: 0, what })
    }

    fn read(bytes: Vec<u8>) -> Result<Geo, String> {
        let damaged = |error: MaxMindDbError| format!("not a whole MaxMind DB: {error}");
        let reader = Reader::from_source(bytes).map_err(damaged)?;
        let kind = &reader.metadata().database_type;
        if !["City", "Country", "Enterprise"].iter().any(|known| kind.contains(known)) {
            return Err(format!("a MaxMind DB of the kind {kind:?}; City, Country or Enterprise is needed"));
        }
        // A tree has one leaf more than nodes. Far more come of nodes that are their own descendants.
        let mut left = (u64::from(reader.metadata().node_count) + 1) * 8;
        let mut builder = Builder::default();
        let mut places = HashMap::new();
        for network in reader.networks(WithinOptions::default()).map_err(damaged)? {
            let network = network.map_err(damaged)?;
            let Some(offset) = network.offset() else { continue };
            left = left.checked_sub(1).ok_or("a damaged MaxMind DB: its tree runs in a circle")?;
            let place = match places.get(&offset) {
                Some(&place) => place,
                None => {
                    let record: Record<'_> = network.decode().map_err(damaged)?.unwrap_or_default();
                    let place =
                        builder.place(record.place().ok_or("a damaged MaxMind DB: a point that is on no globe")?);
                    places.insert(offset, place);
                    place
                }
            };
            let network = network.network().map_err(damaged)?;
            if !builder.range(network.network(), network.broadcast(), place) {
                return Err(format!("a damaged MaxMind DB: {network} is out of order"));
            }
        }
        builder.finish().ok_or_else(|| "more places than can be held".to_owned())
    }

    /// Where an address is, as an exchange writes it: IPv4 or IPv6, whole or with its last bits zero.
    #[inline]
    pub fn find(&self, ip: &[u8]) -> Option<Place<'_>> {
        self.at(str::from_utf8(ip).ok()?.parse().ok()?)
    }

    /// Where an address is. An IPv4 address inside an IPv6 one (`::ffff:0:0/96`) is that IPv4 address.
    #[inline]
    pub fn at(&self, ip: IpAddr) -> Option<Place<'_>> {
        let place = match ip.to_canonical() {
            IpAddr::V4(ip) => self.at_v4(ip),
            IpAddr::V6(ip) => self.at_v6(ip),
        };
        let Stored { point, region, city, zip, country } = *self.places.get(place as usize)?;
        let text = |text: Text| self.texts.get(text.start as usize..text.end as usize).unwrap_or_default();
        Some(Place { country, region: text(region), city: text(city), zip: text(zip), point })
    }

    #[inline]
    fn at_v4(&self, ip: Ipv4Addr) -> u32 {
        self.v4.at(ip.to_bits(), (ip.to_bits() >> 16) as usize)
    }

    #[inline]
    fn at_v6(&self, ip: Ipv6Addr) -> u32 {
        self.v6.at(ip.to_bits(), (ip.to_bits() >> 112) as usize)
    }
}

/// What is read of a record: <https://dev.maxmind.com/geoip/docs/databases/city-and-country>.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'d> {
    #[serde(borrow)]
    country: Code<'d>,
    #[serde(borrow)]
    subdivisions: Vec<Code<'d>>,
    #[serde(borrow)]
    city: City<'d>,
    #[serde(borrow)]
    postal: Postal<'d>,
    location: Location,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Code<'d> {
    iso_code: &'d str,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct City<'d> {
    #[serde(borrow)]
    names: Names<'d>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names<'d> {
    en: &'d str,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Postal<'d> {
    code: &'d str,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl<'d> Record<'d> {
    /// `None` if it is on no globe.
    fn place(&self) -> Option<Place<'d>> {
        let point = match (self.location.latitude, self.location.longitude) {
            (Some(lat), Some(lon)) => Some(Point::from_degrees(lat, lon)?),
            _ => None,
        };
        Some(Place {
            country: country::alpha3(self.country.iso_code),
            region: self.subdivisions.first().map_or("", |widest| widest.iso_code),
            city: self.city.names.en,
            zip: self.postal.code,
            point,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list that is searched from its beginning.
        #[test]
        fn ranges_answer_as_a_list_does(
            lengths in prop::collection::vec((0u32..200_000, 0u32..200_000), 0..40),
            asked in prop::collection::vec(any::<u32>(), 50),
            wide in any::<bool>(),
        ) {
            let address = |at: u32| if wide {
                // A hundred bits and one lower one, so that ranges end inside and across blocks.
                IpAddr::from(Ipv6Addr::from_bits(u128::from(at) << 95 | 1))
            } else {
                IpAddr::from(Ipv4Addr::from_bits(at))
            };
            let (mut builder, mut list, mut next) = (Builder::default(), Vec::new(), 0u32);
            for (gap, length) in lengths {
                let (first, last) = (next + gap, next + gap + length);
                let place = builder.place(Place { point: Some(Point { lat: list.len() as i32, lon: 0 }), ..Place::default() });
                prop_assert!(builder.range(address(first), address(last), place));
                list.push((first, last));
                next = last + 1;
            }
            prop_assert!(next == 0 || !builder.range(address(next - 1), address(next), 0));
            let geo = builder.finish().unwrap();
            let borders = list.iter().flat_map(|&(first, last)| [first.saturating_sub(1), first, last, last + 1]);
            for at in borders.chain(asked).chain([0, u32::MAX]) {
                let expected = list.iter().position(|&(first, last)| first <= at && at <= last);
                let found = geo.at(address(at)).map(|place| place.point.unwrap().lat as usize);
                prop_assert_eq!(found, expected, "{}", at);
            }
        }

        #[test]
        fn no_text_is_a_panic(text in prop::collection::vec(any::<u8>(), 0..48)) {
            let mut builder = Builder::default();
            let place = builder.place(Place::default());
            let (first, last) = (IpAddr::from([0u8; 4]), IpAddr::from([255u8; 4]));
            prop_assert!(builder.range(first, last, place) && !builder.range(last, last, place));
            let known = str::from_utf8(&text).ok().and_then(|text| text.parse::<IpAddr>().ok()).is_some_and(|ip| ip.is_ipv4());
            prop_assert_eq!(builder.finish().unwrap().find(&text).is_some(), known);
        }
    }

    #[test]
    fn places_on_no_globe_are_refused() {
        assert_eq!(Point::from_degrees(-90.0, 179.99999949), Some(Point { lat: -90_000_000, lon: 179_999_999 }));
        for (lat, lon) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Point::from_degrees(lat, lon), None);
        }
    }
}
