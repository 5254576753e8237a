//! A request in an index's own codes.

use arrayvec::ArrayVec;

use super::codes::{self, Dimension, LABELS, UNNAMED};
use super::entry::{self, Bits, any_bit, named_bit, plain_bit, set_bit};
use super::globe::{self, LEVELS, Spot};
use super::{Asked, Index};
use crate::limits;
use crate::wire::openrtb::request::Channel;

/// A request in an index's own codes. Made once per request with [`Index::query`], good for that index only.
#[derive(Clone, Debug)]
pub struct Query {
    /// Named domains above the request's, or its bundle.
    pub(super) inventory: ArrayVec<u32, LABELS>,
    /// Named places it lies in, from the country down, then cells.
    pub(super) places: ArrayVec<u32, { 4 + LEVELS }>,
    /// How many of them are not cells.
    pub(super) names: u8,
    /// Named categories, each once.
    pub(super) categories: ArrayVec<u32, { 2 * limits::CATEGORIES }>,
    /// The one code of the others, by dimension; [`UNNAMED`] if there is none.
    pub(super) one: [u32; Dimension::COUNT],
    pub(super) bits: Bits,
    pub(super) seconds: u32,
    /// Where on the globe, if a circle asks.
    pub(super) spot: Option<Spot>,
    pub(super) hours: ArrayVec<u8, { limits::ZONES }>,
}

impl Query {
    /// The request's codes in one of the first [`Dimension::RULED`] dimensions.
    #[inline]
    pub(super) fn codes(&self, dimension: Dimension) -> &[u32] {
        match dimension {
            Dimension::Inventory => &self.inventory,
            Dimension::Place => &self.places,
            Dimension::Category => &self.categories,
            _ => {
                let one = &self.one[dimension as usize];
                if *one == UNNAMED { &[] } else { std::slice::from_ref(one) }
            }
        }
    }
}

impl Index {
    /// A request in this index's codes. Parts that no campaign asks for ([`Index::asks_agent`] and its like) are not looked at.
    pub fn query(&self, asked: &Asked<'_>) -> Query {
        let mut query = Query {
            inventory: ArrayVec::new(),
            places: ArrayVec::new(),
            names: 0,
            categories: ArrayVec::new(),
            one: [UNNAMED; Dimension::COUNT],
            bits: Bits::default(),
            seconds: u32::try_from(asked.now.0 / 1000).unwrap_or(u32::MAX),
            spot: None,
            hours: asked.hours.iter().copied().take(self.zones.len().min(limits::ZONES)).collect(),
        };
        let sets = [Dimension::Inventory, Dimension::Place, Dimension::Category];
        query.bits.sets = sets.iter().fold(0, |bits, &of| bits | any_bit(of));
        self.inventory(asked, &mut query);
        self.places(asked, &mut query);
        self.categories(asked, &mut query);
        self.names(asked, &mut query);
        plain(asked, &mut query);
        query
    }

    #[inline]
    fn code(&self, dimension: Dimension, hash: u64) -> u32 {
        self.dictionaries[dimension as usize].code(hash)
    }

    fn inventory(&self, asked: &Asked<'_>, query: &mut Query) {
        if self.asks & Dimension::Inventory.bit() == 0 {
            return;
        }
        let inventory = |hash: u64| {
            let code = self.code(Dimension::Inventory, hash);
            if code != UNNAMED {
                query.inventory.push(code);
                query.bits.sets |= set_bit(Dimension::Inventory, code);
            }
        };
        match asked.channel {
            Channel::Site => codes::domains(asked.domain, inventory),
            Channel::App if !asked.bundle.is_empty() => [codes::bundle(asked.bundle)].into_iter().for_each(inventory),
            _ => {}
        }
    }

    fn places(&self, asked: &Asked<'_>, query: &mut Query) {
        if self.asks & Dimension::Place.bit() == 0 {
            return;
        }
        let mut place = |hash: u64| {
            let code = self.code(Dimension::Place, hash);
            if code != UNNAMED {
                query.places.push(code);
                query.bits.sets |= set_bit(Dimension::Place, code);
            }
        };
        if !asked.country.is_empty() {
            let country = codes::country(asked.country);
            place(country);
            let subdivision = codes::subdivision(asked.region);
            if !subdivision.is_empty() {
                place(codes::region(country, subdivision));
            }
            if self.needs.cities && !asked.city.is_empty() {
                place(codes::city(country, asked.city));
            }
            if self.needs.zips && asked.zip.iter().any(|&byte| byte != b' ') {
                place(codes::zip(country, asked.zip));
            }
        }
        query.names = query.places.len() as u8;
        if let Some(point) = asked.point.filter(|_| self.needs.circles) {
            query.spot = Some(Spot::of(point));
            for level in (0..LEVELS).filter(|&level| self.needs.levels[level]) {
                let code = self.code(Dimension::Place, globe::cell(level, point));
                if code != UNNAMED {
                    query.places.push(code);
                    query.bits.sets |= set_bit(Dimension::Place, code);
                }
            }
        }
    }

    fn categories(&self, asked: &Asked<'_>, query: &mut Query) {
        if self.asks & Dimension::Category.bit() == 0 {
            return;
        }
        for &category in asked.categories.iter().take(limits::CATEGORIES) {
            for name in [Some(category), codes::parent(category)].into_iter().flatten() {
                let code = self.code(Dimension::Category, codes::category(name));
                if code != UNNAMED && !query.categories.contains(&code) {
                    query.categories.push(code);
                    query.bits.sets |= set_bit(Dimension::Category, code);
                }
            }
        }
    }

    fn names(&self, asked: &Asked<'_>, query: &mut Query) {
        type NameHash = fn(&[u8]) -> u64;
        let names: [(_, _, NameHash); 4] = [
            (Dimension::Publisher, asked.publisher, codes::publisher),
            (Dimension::Exchange, asked.exchange, codes::exchange),
            (Dimension::Carrier, asked.carrier, codes::carrier),
            (Dimension::Language, asked.language, codes::language),
        ];
        for (dimension, name, hash) in names {
            let asks = self.asks & dimension.bit() != 0 && !name.is_empty();
            let code = if asks { self.code(dimension, hash(name)) } else { UNNAMED };
            query.one[dimension as usize] = code;
            query.bits.named |= named_bit(dimension, code);
        }
    }
}

/// The dimensions whose codes are the values. An unknown value has a bit, which exclusions let pass, and no code.
fn plain(asked: &Asked<'_>, query: &mut Query) {
    let up_to = |value: u8, most: u8| if value <= most { u32::from(value) } else { 0 };
    let known = |code: u32| if code == 0 { UNNAMED } else { code };
    let channel = asked.channel as u32;
    for (dimension, code, value) in [
        (Dimension::Device, known(up_to(asked.device, codes::DEVICES)), up_to(asked.device, codes::DEVICES)),
        (Dimension::Channel, channel, channel),
        (Dimension::Os, known(asked.os as u32), asked.os as u32),
        (Dimension::Browser, known(asked.browser as u32), asked.browser as u32),
        (
            Dimension::Connection,
            known(up_to(asked.connection, codes::CONNECTIONS)),
            up_to(asked.connection, codes::CONNECTIONS),
        ),
    ] {
        query.one[dimension as usize] = code;
        query.bits.plain |= plain_bit(dimension, value);
    }
}

const _: () = assert!((codes::DEVICES as u32) < entry::plain_lane(Dimension::Device).1);
const _: () = assert!((codes::CONNECTIONS as u32) < entry::plain_lane(Dimension::Connection).1);
