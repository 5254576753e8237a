//! What campaigns name, as hashes and then as codes: the first half of building an index.

use std::collections::{BTreeSet, HashMap};

use super::codes::{self, Census, Dictionary, Dimension};
use super::globe::{self, Disc};
use super::rules::{
    ALL_HOURS, CIRCLES, CIRCLES_EXCLUDED, CREATIVES, Hours, LISTS, NO_SHAPE, Record, Rules, SHAPES, excluded, included,
    span,
};
use super::{Needs, small};
use crate::limits;
use crate::snapshot::campaign::{Campaign, Circle, Rule, Targeting};

/// The lists of all campaigns, laid out like [`Rules::codes`], but of hashes.
#[derive(Default)]
struct Named {
    /// Lists and place of each campaign.
    spans: Vec<(u32, usize)>,
    hashes: Vec<u64>,
}

/// What [`name`] makes.
pub(super) struct Names {
    pub(super) dictionaries: [Dictionary; Dimension::NAMED],
    pub(super) asks: u16,
    pub(super) needs: Needs,
    pub(super) zones: Vec<String>,
    pub(super) rules: Rules,
    /// Campaigns that a request may meet by several of its places: they include a place and another that may lie in it.
    pub(super) nested: Vec<bool>,
}

/// Gives codes to what the enabled campaigns name, and writes their rules. The others have none.
pub(super) fn name(campaigns: &[Campaign]) -> Names {
    let enabled = || campaigns.iter().filter(|campaign| campaign.enabled);
    let zones = enabled().filter_map(|campaign| campaign.targeting.daypart.as_ref()).map(|daypart| &daypart.zone);
    let zones: BTreeSet<&String> = zones.collect();
    let mut names = Names {
        dictionaries: std::array::from_fn(|_| Census::default().codes()),
        asks: 0,
        needs: Needs::default(),
        zones: zones.into_iter().take(limits::ZONES).cloned().collect(),
        rules: Rules::default(),
        nested: Vec::with_capacity(campaigns.len()),
    };
    let mut named = Named::default();
    let mut lists = Lists::default();
    for campaign in campaigns {
        lists.clear();
        if campaign.enabled {
            lists.fill(campaign, &mut names.rules.discs, &mut names.needs);
        }
        names.nested.push(lists.nested);
        names.asks |= lists.asks();
        named.push(&lists);
    }
    names.dictionaries = named.dictionaries();
    names.code(&named);
    names.times(campaigns);
    names
}

/// The lists of one campaign.
#[derive(Default)]
struct Lists {
    of: [Vec<u64>; LISTS],
    nested: bool,
    /// It bars values of dimensions whose exclusions are no lists.
    bars: u16,
}

impl Lists {
    fn clear(&mut self) {
        self.of.iter_mut().for_each(Vec::clear);
        self.nested = false;
        self.bars = 0;
    }

    fn asks(&self) -> u16 {
        let includes = |dimension: &Dimension| !self.of[included(*dimension) as usize].is_empty();
        let excludes = |dimension: &Dimension| !self.of[excluded(*dimension) as usize].is_empty();
        let ruled = &Dimension::ALL[..Dimension::RULED];
        Dimension::ALL.iter().filter(|dimension| includes(dimension)).fold(self.bars, |bits, of| bits | of.bit())
            | ruled.iter().filter(|dimension| excludes(dimension)).fold(0, |bits, of| bits | of.bit())
            | if self.of[CIRCLES_EXCLUDED as usize].is_empty() { 0 } else { Dimension::Place.bit() }
    }

    fn fill(&mut self, campaign: &Campaign, discs: &mut Vec<Disc>, needs: &mut Needs) {
        let targeting = &campaign.targeting;
        self.inventory(targeting);
        self.places(targeting, discs, needs);
        self.rule(Dimension::Publisher, &targeting.publishers, codes::publisher);
        self.rule(Dimension::Exchange, &targeting.exchanges, codes::exchange);
        self.rule(Dimension::Carrier, &targeting.carriers, codes::carrier);
        self.rule(Dimension::Language, &targeting.languages, codes::language);
        self.rule(Dimension::Category, &targeting.categories, codes::category);
        self.include(Dimension::Deal).extend(targeting.deals.iter().map(|deal| codes::deal(deal.as_bytes())));
        let shapes = || campaign.creatives.iter().map(|creative| codes::shape(creative.shape()));
        self.include(Dimension::Shape).extend(shapes());
        self.include(Dimension::Device).extend(targeting.devices.iter().map(|&device| u64::from(device)));
        self.include(Dimension::Channel).extend(targeting.channels.iter().map(|&channel| channel as u64));
        self.include(Dimension::Os).extend(targeting.os.include.iter().map(|&os| os as u64));
        self.include(Dimension::Browser).extend(targeting.browsers.include.iter().map(|&browser| browser as u64));
        self.include(Dimension::Connection).extend(targeting.connections.iter().map(|&kind| u64::from(kind)));
        if !targeting.os.exclude.is_empty() {
            self.bars |= Dimension::Os.bit();
        }
        if !targeting.browsers.exclude.is_empty() {
            self.bars |= Dimension::Browser.bit();
        }
        for list in &mut self.of[..CIRCLES as usize] {
            list.sort_unstable();
            list.dedup();
        }
        self.of[CREATIVES as usize].extend(shapes());
    }

    fn include(&mut self, dimension: Dimension) -> &mut Vec<u64> {
        &mut self.of[included(dimension) as usize]
    }

    fn exclude(&mut self, dimension: Dimension) -> &mut Vec<u64> {
        &mut self.of[excluded(dimension) as usize]
    }

    fn rule(&mut self, dimension: Dimension, rule: &Rule<String>, hash: fn(&[u8]) -> u64) {
        self.include(dimension).extend(rule.include.iter().map(|name| hash(name.as_bytes())));
        self.exclude(dimension).extend(rule.exclude.iter().map(|name| hash(name.as_bytes())));
    }

    fn inventory(&mut self, targeting: &Targeting) {
        let Targeting { sites, bundles, .. } = targeting;
        self.rule(Dimension::Inventory, bundles, codes::bundle);
        self.exclude(Dimension::Inventory).extend(sites.exclude.iter().map(|site| domain(site.as_bytes())));
        // What a wider inclusion covers is left out, so that a request meets a campaign by one of its domains only.
        let mut all: Vec<u64> = sites.include.iter().map(|site| domain(site.as_bytes())).collect();
        all.sort_unstable();
        for site in &sites.include {
            let (mut covered, mut whole) = (false, None);
            codes::domains(site.as_bytes(), |hash| {
                covered |= whole.replace(hash).is_some_and(|above| all.binary_search(&above).is_ok());
            });
            if !covered {
                self.include(Dimension::Inventory).extend(whole);
            }
        }
    }

    fn places(&mut self, targeting: &Targeting, discs: &mut Vec<Disc>, needs: &mut Needs) {
        let Targeting { countries, regions, cities, zips, circles, .. } = targeting;
        self.rule(Dimension::Place, countries, codes::country);
        type PartHash = fn(u64, &[u8]) -> u64;
        let parts: [(_, PartHash); 3] = [(regions, codes::region), (cities, codes::city), (zips, codes::zip)];
        let mut kinds = usize::from(!countries.include.is_empty());
        for (rule, hash) in parts {
            let part = |name: &String| {
                let (country, part) = name.split_once('-').unwrap_or((name, ""));
                hash(codes::country(country.as_bytes()), part.as_bytes())
            };
            // What an included country covers is left out, likewise.
            let covered = |name: &String| {
                let of = name.split_once('-').map_or(&name[..], |(country, _)| country);
                countries.include.iter().any(|country| country.eq_ignore_ascii_case(of))
            };
            let before = self.include(Dimension::Place).len();
            let own = rule.include.iter().filter(|name| !covered(name)).map(part);
            self.include(Dimension::Place).extend(own);
            kinds += usize::from(self.include(Dimension::Place).len() > before);
            self.exclude(Dimension::Place).extend(rule.exclude.iter().map(part));
        }
        for circle in &circles.include {
            needs.levels[globe::level(circle)] = true;
            globe::cover(circle, |cell| self.include(Dimension::Place).push(cell));
        }
        needs.cities |= !(cities.include.is_empty() && cities.exclude.is_empty());
        needs.zips |= !(zips.include.is_empty() && zips.exclude.is_empty());
        needs.circles |= !(circles.include.is_empty() && circles.exclude.is_empty());
        let mut disc = |circle: &Circle| {
            discs.push(Disc::of(circle));
            discs.len() as u64 - 1
        };
        self.of[CIRCLES as usize].extend(circles.include.iter().map(&mut disc));
        self.of[CIRCLES_EXCLUDED as usize].extend(circles.exclude.iter().map(&mut disc));
        self.nested = kinds > 1 || !circles.include.is_empty();
    }
}

fn domain(name: &[u8]) -> u64 {
    let mut whole = 0;
    codes::domains(name, |hash| whole = hash);
    whole
}

impl Named {
    fn push(&mut self, lists: &Lists) {
        let mask = (0..).zip(&lists.of).filter(|(_, list)| !list.is_empty()).fold(0u32, |mask, (at, _)| mask | 1 << at);
        self.spans.push((mask, self.hashes.len()));
        let mut end = u64::from(mask.count_ones());
        for list in lists.of.iter().filter(|list| !list.is_empty()) {
            end += list.len() as u64;
            self.hashes.push(end);
        }
        lists.of.iter().for_each(|list| self.hashes.extend_from_slice(list));
    }

    fn list(&self, campaign: usize, list: u32) -> &[u64] {
        let (mask, at) = self.spans[campaign];
        let of = &self.hashes[at..];
        span(mask, list, |at| of[at] as usize).map_or(&[], |(start, end)| &of[start..end])
    }

    fn dictionaries(&self) -> [Dictionary; Dimension::NAMED] {
        std::array::from_fn(|at| {
            let dimension = Dimension::ALL[at];
            let mut census = Census::default();
            for campaign in 0..self.spans.len() {
                self.list(campaign, included(dimension)).iter().for_each(|&hash| census.named(hash, 1));
                if at < Dimension::RULED {
                    self.list(campaign, excluded(dimension)).iter().for_each(|&hash| census.named(hash, 0));
                }
            }
            census.codes()
        })
    }
}

impl Names {
    /// Hashes to codes. The lists of [`Rules::codes`] are as long as those of hashes, but for the one of creatives, which most
    /// campaigns have no need of.
    fn code(&mut self, named: &Named) {
        for (campaign, &(mask, _)) in named.spans.iter().enumerate() {
            let shapes = named.list(campaign, CREATIVES).iter();
            let shapes = shapes.map(|&hash| self.dictionaries[Dimension::Shape as usize].code(hash));
            let mut record = Record {
                start: 0,
                end: 0,
                daypart: ALL_HOURS,
                lists: mask & !(1 << CREATIVES),
                at: small(self.rules.codes.len()),
                shapes: [NO_SHAPE; SHAPES],
            };
            if shapes.len() > SHAPES || shapes.clone().any(|code| code >= u32::from(NO_SHAPE)) {
                record.lists = mask;
            } else {
                record.shapes.iter_mut().zip(shapes).for_each(|(of, code)| *of = code as u8);
            }
            let of_record = (0..LISTS as u32).filter(|list| record.lists >> list & 1 == 1);
            let mut end = record.lists.count_ones();
            for list in of_record.clone() {
                end += small(named.list(campaign, list).len());
                self.rules.codes.push(end);
            }
            for list in of_record {
                let dimension = match list {
                    CREATIVES => Some(Dimension::Shape),
                    list if list < excluded(Dimension::Inventory) => Some(Dimension::ALL[list as usize]),
                    list if list < CIRCLES => Some(Dimension::ALL[(list - excluded(Dimension::Inventory)) as usize]),
                    _ => None,
                };
                let dictionary = dimension.and_then(|dimension| self.dictionaries.get(dimension as usize));
                let from = self.rules.codes.len();
                let code = |&hash: &u64| dictionary.map_or(hash as u32, |dictionary| dictionary.code(hash));
                self.rules.codes.extend(named.list(campaign, list).iter().map(code));
                if list != CREATIVES {
                    self.rules.codes[from..].sort_unstable();
                }
            }
            self.rules.records.push(record);
        }
    }

    /// When the campaigns run.
    fn times(&mut self, campaigns: &[Campaign]) {
        let mut dayparts: HashMap<Hours, u32> = HashMap::new();
        let seconds = |time: u64| u32::try_from(time / 1000).unwrap_or(u32::MAX);
        for (record, campaign) in self.rules.records.iter_mut().zip(campaigns) {
            record.start = seconds(campaign.flight.start.0);
            record.end = seconds(campaign.flight.end.0);
            if let Some(daypart) = campaign.targeting.daypart.as_ref().filter(|_| campaign.enabled) {
                // A zone too many has no code: it is always outside.
                let zone = self.zones.binary_search(&daypart.zone).map_or(u32::MAX, |zone| zone as u32);
                let hours = Hours { zone, hours: daypart.hours };
                record.daypart = *dayparts.entry(hours).or_insert_with(|| {
                    self.rules.dayparts.push(hours);
                    small(self.rules.dayparts.len() - 1)
                });
            }
        }
    }
}
