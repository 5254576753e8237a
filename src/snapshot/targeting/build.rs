//! Building the index, off the bid path: codes, rules, then the tree, node by node from the root.

use std::collections::{HashMap, HashSet};

use super::codes::{self, Census, Dictionary, Dimension, UNNAMED};
use super::{
    ANY, CHANNEL_SHIFT, CREATIVES, Child, DEVICES, EXCHANGE_SHIFT, Entry, Index, LEAF, MORE_CREATIVES, NO_CREATIVE,
    NONE, Node, Rules, SHARED, SHARED_EXCHANGE, Span, UNNAMED_EXCHANGE, exchange_bit, excluded_bit, own_bit, place_of,
};
use crate::snapshot::campaign::{Campaign, Targeting};
use crate::wire::openrtb::request::Channel;

/// A leaf of up to this many entries is not worth a question.
const LEAF_ENTRIES: usize = 8;
/// What a question costs, in entries looked at: a few nodes to visit, each somewhere else in memory.
const QUESTION: f64 = 6.0;
/// Leaves a campaign may be in. A campaign with longer lists stays in the "do not ask" branch and is settled by its rules.
const COPIES: u32 = 64;

impl Index {
    /// Arranges the enabled campaigns of a snapshot; a [`Candidate`](super::Candidate)'s campaign is its place in `campaigns`.
    ///
    /// # Panics
    /// If there are more than 2^32 - 2 leaves' entries or codes: some ten million campaigns.
    pub fn build(campaigns: &[Campaign]) -> Index {
        let named: Vec<Named> = campaigns.iter().map(|campaign| Named::by(&campaign.targeting, campaign)).collect();
        let dictionaries = dictionaries(&named);
        let mut builder = Builder {
            campaigns,
            terms: named.iter().map(|named| named.terms(&dictionaries)).collect(),
            index: Index {
                dictionaries,
                nodes: Vec::new(),
                children: Vec::new(),
                entries: Vec::new(),
                rules: Vec::with_capacity(campaigns.len()),
                codes: Vec::new(),
                root: NONE,
            },
        };
        drop(named);
        builder.rules();
        let members: Vec<Member> = (0..)
            .zip(campaigns)
            .filter(|(_, campaign)| campaign.enabled)
            .map(|(campaign, _)| Member { campaign, copies: 1 })
            .collect();
        builder.index.root = builder.node(members, 0);
        builder.index
    }
}

fn small(value: usize) -> u32 {
    u32::try_from(value).ok().filter(|&value| value != NONE).expect("an index of at most 2^32 - 2 parts")
}

/// What a campaign names, as hashes (devices and channels as codes).
struct Named {
    include: [Vec<u64>; Dimension::COUNT],
    exclude: [Vec<u64>; 4],
}

impl Named {
    fn by(targeting: &Targeting, campaign: &Campaign) -> Named {
        let Targeting { countries, regions, devices, channels, sites, bundles, publishers, exchanges, .. } = targeting;
        let all = |list: &[String], hash: fn(&[u8]) -> u64| -> Vec<u64> {
            list.iter().map(|name| hash(name.as_bytes())).collect()
        };
        let region = |name: &String| {
            let (country, region) = name.split_once('-').unwrap_or((name, ""));
            codes::region(codes::country(country.as_bytes()), region.as_bytes())
        };
        let inventory =
            |sites: &[String], bundles: &[String]| [all(sites, domain), all(bundles, codes::bundle)].concat();
        let places = |countries: &[String], regions: &[&String]| {
            let regions: Vec<u64> = regions.iter().map(|name| region(name)).collect();
            [all(countries, codes::country), regions].concat()
        };
        // What a wider inclusion covers is left out, so that a request meets a campaign by one name only.
        let wide: HashSet<u64> = sites.include.iter().map(|name| domain(name.as_bytes())).collect();
        let covered = |site: &String| {
            let mut above = Vec::new();
            codes::domains(site.as_bytes(), |hash| above.push(hash));
            above.pop();
            above.iter().any(|hash| wide.contains(hash))
        };
        let sites_included: Vec<String> = sites.include.iter().filter(|site| !covered(site)).cloned().collect();
        let regions_included: Vec<&String> = regions
            .include
            .iter()
            .filter(|name| {
                !countries.include.iter().any(|country| name.split_once('-').is_some_and(|(of, _)| of == country))
            })
            .collect();
        Named {
            include: [
                inventory(&sites_included, &bundles.include),
                places(&countries.include, &regions_included),
                all(&publishers.include, codes::publisher),
                all(&exchanges.include, codes::exchange),
                devices.iter().map(|&kind| u64::from(kind)).collect(),
                channels.iter().map(|&channel| channel as u64).collect(),
                campaign.creatives.iter().map(|creative| codes::shape(creative.shape())).collect(),
            ],
            exclude: [
                inventory(&sites.exclude, &bundles.exclude),
                places(&countries.exclude, &regions.exclude.iter().collect::<Vec<_>>()),
                all(&publishers.exclude, codes::publisher),
                all(&exchanges.exclude, codes::exchange),
            ],
        }
    }

    fn terms(&self, dictionaries: &[Dictionary; Dimension::COUNT]) -> Terms {
        let code = |dimension: Dimension, hash: u64| match dimension {
            Dimension::Device | Dimension::Channel => hash as u32,
            _ => dictionaries[dimension as usize].code(hash),
        };
        let sorted = |dimension: Dimension, hashes: &[u64]| {
            let mut codes: Vec<u32> = hashes.iter().map(|&hash| code(dimension, hash)).collect();
            codes.sort_unstable();
            codes.dedup();
            codes
        };
        Terms {
            include: Dimension::ALL.map(|dimension| sorted(dimension, &self.include[dimension as usize])),
            exclude: std::array::from_fn(|at| sorted(Dimension::ALL[at], &self.exclude[at])),
            creatives: self.include[Dimension::Size as usize].iter().map(|&hash| code(Dimension::Size, hash)).collect(),
        }
    }
}

fn domain(name: &[u8]) -> u64 {
    let mut whole = 0;
    codes::domains(name, |hash| whole = hash);
    whole
}

fn dictionaries(named: &[Named]) -> [Dictionary; Dimension::COUNT] {
    Dimension::ALL.map(|dimension| {
        let mut census = Census::default();
        if !matches!(dimension, Dimension::Device | Dimension::Channel) {
            for named in named {
                named.include[dimension as usize].iter().for_each(|&hash| census.named(hash, 1));
                let excluded = named.exclude.get(dimension as usize).into_iter().flatten();
                excluded.for_each(|&hash| census.named(hash, 0));
            }
        }
        census.codes()
    })
}

/// What a campaign names, as sorted codes; its creatives' sizes in their own order.
struct Terms {
    include: [Vec<u32>; Dimension::COUNT],
    exclude: [Vec<u32>; 4],
    creatives: Vec<u32>,
}

/// A campaign on its way down the tree, and how many leaves it will be in at least.
#[derive(Clone, Copy)]
struct Member {
    campaign: u32,
    copies: u32,
}

struct Builder<'a> {
    campaigns: &'a [Campaign],
    terms: Vec<Terms>,
    index: Index,
}

impl Builder<'_> {
    fn rules(&mut self) {
        for terms in &self.terms {
            let codes = &mut self.index.codes;
            let mut span = |list: &[u32]| {
                let span = Span { start: small(codes.len()), length: small(list.len()) };
                codes.extend_from_slice(list);
                span
            };
            self.index.rules.push(Rules {
                include: std::array::from_fn(|at| span(&terms.include[at])),
                exclude: std::array::from_fn(|at| span(&terms.exclude[at])),
                creatives: span(&terms.creatives),
            });
        }
    }

    /// Builds the tree of these members; `settled` are the dimensions asked on the path, for which a member that has an
    /// inclusion is here because the request meets it, unless its list was too long to follow.
    fn node(&mut self, members: Vec<Member>, asked: u8) -> u32 {
        if members.is_empty() {
            return NONE;
        }
        match self.best_question(&members, asked) {
            None => self.leaf(members),
            Some(dimension) => self.question(members, asked, dimension),
        }
    }

    /// The question that leaves the fewest entries to look at, if any leaves a good deal fewer.
    ///
    /// How often a request gives an answer is not known here; campaigns follow traffic, so an answer is taken to be as
    /// likely as it is named.
    fn best_question(&self, members: &[Member], asked: u8) -> Option<Dimension> {
        if members.len() <= LEAF_ENTRIES {
            return None;
        }
        let mut counts: HashMap<u32, u32> = HashMap::new();
        let cost = |dimension: Dimension, counts: &mut HashMap<u32, u32>| {
            counts.clear();
            let mut silent = 0u32;
            for member in members {
                match self.followed(member, dimension) {
                    None => silent += 1,
                    Some(codes) => codes.iter().for_each(|&code| *counts.entry(code).or_default() += 1),
                }
            }
            let (mut sum, mut squares) = (0.0, 0.0);
            for &count in counts.values() {
                sum += f64::from(count);
                squares += f64::from(count) * f64::from(count);
            }
            // Requests often offer two sizes, and sit below one domain in use.
            let answers = if dimension == Dimension::Size { 1.5 } else { 1.0 };
            f64::from(silent) + if sum > 0.0 { answers * squares / sum } else { 0.0 }
        };
        Dimension::ALL
            .into_iter()
            .filter(|dimension| asked & dimension.bit() == 0)
            .map(|dimension| (dimension, cost(dimension, &mut counts)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|&(_, cost)| cost + QUESTION < members.len() as f64)
            .map(|(dimension, _)| dimension)
    }

    /// The codes under which a member goes down, or `None` if it goes down "any": it has no inclusion, or too long a one.
    fn followed(&self, member: &Member, dimension: Dimension) -> Option<&[u32]> {
        let codes = &self.terms[member.campaign as usize].include[dimension as usize];
        let few = (1..=COPIES as usize).contains(&codes.len()) && member.copies * codes.len() as u32 <= COPIES;
        few.then_some(&codes[..])
    }

    fn question(&mut self, members: Vec<Member>, asked: u8, dimension: Dimension) -> u32 {
        let mut silent = Vec::new();
        let mut by_code: HashMap<u32, Vec<Member>> = HashMap::new();
        for member in &members {
            match self.followed(member, dimension) {
                None => silent.push(*member),
                Some(codes) => {
                    let copies = member.copies * codes.len() as u32;
                    for &code in codes {
                        by_code.entry(code).or_default().push(Member { copies, ..*member });
                    }
                }
            }
        }
        drop(members);
        let asked = asked | dimension.bit();
        let any = self.node(silent, asked);
        let mut answers: Vec<(u32, Vec<Member>)> = by_code.into_iter().collect();
        answers.sort_unstable_by_key(|&(code, _)| code);
        let mut present = 0;
        let extent = (2 * answers.len()).next_power_of_two() - 1;
        let mut table = vec![Child { code: 0, node: NONE }; extent + 1];
        let extent = small(extent);
        for (code, members) in answers {
            let node = self.node(members, asked);
            present |= 1 << (code % 64);
            let mut at = place_of(code, extent);
            while table[at as usize].node != NONE {
                at = (at + 1) & extent;
            }
            table[at as usize] = Child { code, node };
        }
        let start = small(self.index.children.len());
        self.index.children.extend(table);
        self.push(Node { present, start, extent, any, asks: dimension as u8 })
    }

    fn leaf(&mut self, mut members: Vec<Member>) -> u32 {
        members
            .sort_by_key(|member| (std::cmp::Reverse(self.campaigns[member.campaign as usize].cpm), member.campaign));
        let start = small(self.index.entries.len());
        for member in &members {
            let entry = self.entry(member.campaign);
            self.index.entries.push(entry);
        }
        self.push(Node { present: 0, start, extent: small(members.len()), any: NONE, asks: LEAF })
    }

    fn push(&mut self, node: Node) -> u32 {
        self.index.nodes.push(node);
        small(self.index.nodes.len() - 1)
    }

    fn entry(&self, campaign: u32) -> Entry {
        let terms = &self.terms[campaign as usize];
        let Campaign { cpm, flight, targeting, .. } = &self.campaigns[campaign as usize];
        let mut check = 0;
        let mut mask = |dimension: Dimension| {
            let codes = &terms.include[dimension as usize];
            if codes.iter().any(|&code| code >= SHARED) {
                check |= dimension.bit();
            }
            if codes.is_empty() { ANY } else { codes.iter().fold(0, |bits, &code| bits | own_bit(code)) }
        };
        let (inventory, place) = (mask(Dimension::Inventory), mask(Dimension::Place));
        let sizes = terms.creatives.iter().fold(0, |bits, &code| bits | own_bit(code));
        if !terms.include[Dimension::Publisher as usize].is_empty() {
            check |= Dimension::Publisher.bit();
        }
        let rare = |codes: &[u32]| codes.iter().any(|&code| code >= SHARED_EXCHANGE);
        if rare(&terms.include[Dimension::Exchange as usize]) || rare(&terms.exclude[Dimension::Exchange as usize]) {
            check |= Dimension::Exchange.bit();
        }
        let mut creatives = [NO_CREATIVE; CREATIVES];
        if terms.creatives.len() > CREATIVES || terms.creatives.iter().any(|&code| code >= u32::from(NO_CREATIVE)) {
            check |= MORE_CREATIVES;
        } else {
            creatives.iter_mut().zip(&terms.creatives).for_each(|(of, &code)| *of = code as u8);
        }
        let excluded = [Dimension::Inventory, Dimension::Place, Dimension::Publisher]
            .into_iter()
            .flat_map(|dimension| {
                terms.exclude[dimension as usize].iter().map(move |&code| excluded_bit(dimension, code))
            })
            .fold(0, |bits, bit| bits | bit);
        let seconds = |time: u64| u32::try_from(time / 1000).unwrap_or(u32::MAX);
        Entry {
            inventory,
            place,
            excluded,
            sizes,
            plain: plain(targeting, terms),
            cpm: u32::try_from(cpm.0).expect("`Campaign::new` bounds the price"),
            campaign,
            start: seconds(flight.start.0),
            end: seconds(flight.end.0),
            check,
            creatives,
        }
    }
}

/// Devices, channels and exchanges allowed, as bits.
fn plain(targeting: &Targeting, terms: &Terms) -> u64 {
    let devices = match &targeting.devices[..] {
        [] => (1 << (DEVICES + 1)) - 1,
        kinds => kinds.iter().fold(0, |bits, &kind| bits | 1 << super::device_code(kind)),
    };
    let channels: u64 = match &targeting.channels[..] {
        [] => [Channel::Unknown, Channel::Site, Channel::App, Channel::Dooh]
            .iter()
            .fold(0, |bits, &of| bits | 1 << of as u32),
        channels => channels.iter().fold(0, |bits, &of| bits | 1 << of as u32),
    };
    let every = ((1 << (UNNAMED_EXCHANGE + 1)) - 1) << EXCHANGE_SHIFT;
    let included = match &terms.include[Dimension::Exchange as usize][..] {
        [] => every,
        codes => codes.iter().fold(0, |bits, &code| bits | exchange_bit(code)),
    };
    // An excluded exchange without a bit of its own is settled by the rules: others share its bit.
    let excluded = terms.exclude[Dimension::Exchange as usize]
        .iter()
        .filter(|&&code| code < SHARED_EXCHANGE && code != UNNAMED)
        .fold(0, |bits, &code| bits | exchange_bit(code));
    devices | channels << CHANNEL_SHIFT | (included & !excluded)
}
