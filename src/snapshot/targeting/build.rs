//! Building the index, off the bid path: names ([`names`]), then the trees, node by node from the roots.

use super::codes::{self, Dimension};
use super::entry::{Entry, NAMED_OWN, SET_OWN, any_bit, lane, named_bit, named_lane, plain_bit, plain_lane, set_bit};
use super::matching::place_of;
use super::names;
use super::rules::{CIRCLES, CIRCLES_EXCLUDED, excluded, included};
use super::{Child, Index, LEAF, NONE, Node, small};
use crate::snapshot::campaign::Campaign;

/// A leaf of up to this many entries is not worth a question.
const LEAF_ENTRIES: usize = 32;
/// What a question costs, in entries looked at: a few nodes to visit, each somewhere else in memory, where entries lie side
/// by side.
const QUESTION: f64 = 24.0;
/// Leaves a campaign may be in, deals aside. A campaign with longer lists stays in the "do not ask" branch and is settled by
/// its rules.
const COPIES: u32 = 16;

impl Index {
    /// Arranges the enabled campaigns of a snapshot; a [`Candidate`](super::Candidate)'s campaign is its place in `campaigns`.
    ///
    /// # Panics
    /// If there are more than 2^32 - 2 leaves' entries or codes: some ten million campaigns.
    pub fn build(campaigns: &[Campaign]) -> Index {
        let names = names::name(campaigns);
        let counts = Dimension::ALL.map(|dimension| {
            let bound = names.dictionaries.get(dimension as usize).map_or(256, codes::Dictionary::bound);
            vec![0; bound]
        });
        let mut builder = Builder {
            campaigns,
            nested: names.nested,
            counts,
            touched: Vec::new(),
            index: Index {
                dictionaries: names.dictionaries,
                asks: names.asks,
                needs: names.needs,
                zones: names.zones,
                nodes: Vec::new(),
                children: Vec::new(),
                entries: Vec::new(),
                rules: names.rules,
                deals: Node { present: 0, start: 0, extent: 0, any: NONE, asks: Dimension::Deal as u8 },
                open: NONE,
            },
        };
        let enabled = (0..).zip(campaigns).filter(|(_, campaign)| campaign.enabled);
        let members = enabled.map(|(campaign, _)| Member { campaign, copies: 1, settled: 0 }).collect();
        let Answers { silent, named } = builder.ask(members, Dimension::Deal);
        builder.index.open = builder.node(silent, 0);
        builder.index.deals = builder.inner(NONE, named, 0, Dimension::Deal);
        let Index { nodes, children, entries, rules, .. } = &mut builder.index;
        nodes.shrink_to_fit();
        children.shrink_to_fit();
        entries.shrink_to_fit();
        rules.codes.shrink_to_fit();
        builder.index
    }
}

/// A campaign on its way down the tree.
#[derive(Clone, Copy)]
struct Member {
    campaign: u32,
    /// How many leaves it will be in at least.
    copies: u16,
    /// The dimensions in which it is here because the request meets it.
    settled: u16,
}

/// Members by what they answer: those who do not ask, and the others under each code they name, in the codes' order.
struct Answers {
    silent: Vec<Member>,
    named: Vec<(u32, Member)>,
}

struct Builder<'a> {
    campaigns: &'a [Campaign],
    nested: Vec<bool>,
    /// Scratch: how often a code is named, by dimension. Zeroes between uses.
    counts: [Vec<u32>; Dimension::COUNT],
    touched: Vec<u32>,
    index: Index,
}

impl Builder<'_> {
    /// Builds the tree of these members; `asked` are the dimensions asked on the path.
    fn node(&mut self, members: Vec<Member>, asked: u16) -> u32 {
        if members.is_empty() {
            return NONE;
        }
        let node = match self.best_question(&members, asked) {
            None => self.leaf(members),
            Some(dimension) => {
                let asked = asked | dimension.bit();
                let Answers { silent, named } = self.ask(members, dimension);
                let any = self.node(silent, asked);
                self.inner(any, named, asked, dimension)
            }
        };
        self.index.nodes.push(node);
        small(self.index.nodes.len() - 1)
    }

    /// The question that leaves the fewest entries to look at, if any leaves a good deal fewer.
    ///
    /// How often a request gives an answer is not known here; campaigns follow traffic, so an answer is taken to be as
    /// likely as it is named.
    fn best_question(&mut self, members: &[Member], asked: u16) -> Option<Dimension> {
        if members.len() <= LEAF_ENTRIES {
            return None;
        }
        let open = |dimension: &Dimension| (asked | Dimension::Deal.bit()) & dimension.bit() == 0;
        Dimension::ALL
            .into_iter()
            .filter(open)
            .map(|dimension| (dimension, self.cost(members, dimension)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|&(_, cost)| cost + QUESTION < members.len() as f64)
            .map(|(dimension, _)| dimension)
    }

    /// Entries left to look at when a question has been asked, on average.
    fn cost(&mut self, members: &[Member], dimension: Dimension) -> f64 {
        let Builder { index, counts, touched, .. } = self;
        let counts = &mut counts[dimension as usize];
        let mut silent = 0u32;
        for member in members {
            match followed(index, member, dimension) {
                None => silent += 1,
                Some(codes) => {
                    for &code in codes {
                        let count = &mut counts[code as usize];
                        if *count == 0 {
                            touched.push(code);
                        }
                        *count += 1;
                    }
                }
            }
        }
        let (mut sum, mut squares) = (0.0, 0.0);
        for code in touched.drain(..) {
            let count = f64::from(std::mem::take(&mut counts[code as usize]));
            sum += count;
            squares += count * count;
        }
        // Requests often offer two sizes, are of two categories, and sit below one domain in use.
        let answers = match dimension {
            Dimension::Shape => 1.5,
            Dimension::Category => 2.0,
            _ => 1.0,
        };
        f64::from(silent) + if sum > 0.0 { answers * squares / sum } else { 0.0 }
    }

    fn ask(&self, members: Vec<Member>, dimension: Dimension) -> Answers {
        let mut answers = Answers { silent: Vec::new(), named: Vec::new() };
        for member in members {
            match followed(&self.index, &member, dimension) {
                None => answers.silent.push(member),
                Some(codes) => {
                    let copies = u32::from(member.copies) * codes.len() as u32;
                    let copies = u16::try_from(copies).unwrap_or(u16::MAX);
                    let member = Member { copies, settled: member.settled | dimension.bit(), ..member };
                    answers.named.extend(codes.iter().map(|&code| (code, member)));
                }
            }
        }
        answers.named.sort_by_key(|&(code, _)| code);
        answers
    }

    /// A node with a child per answer.
    fn inner(&mut self, any: u32, named: Vec<(u32, Member)>, asked: u16, dimension: Dimension) -> Node {
        let answers = named.chunk_by(|a, b| a.0 == b.0);
        let mut children = Vec::new();
        for answer in answers {
            let node = self.node(answer.iter().map(|&(_, member)| member).collect(), asked);
            children.push(Child { code: answer[0].0, node });
        }
        // At most two thirds full, and never full.
        let size = (children.len() + children.len() / 2 + 1).next_power_of_two();
        let extent = small(size - 1);
        let mut table = vec![Child { code: 0, node: NONE }; size];
        let mut present = 0;
        for child in children {
            present |= 1 << (child.code % 64);
            let mut at = place_of(child.code, extent);
            while table[at as usize].node != NONE {
                at = (at + 1) & extent;
            }
            table[at as usize] = child;
        }
        let start = small(self.index.children.len());
        self.index.children.extend(table);
        Node { present, start, extent, any, asks: dimension as u8 }
    }

    fn leaf(&mut self, mut members: Vec<Member>) -> Node {
        members
            .sort_by_key(|member| (std::cmp::Reverse(self.campaigns[member.campaign as usize].cpm), member.campaign));
        let start = small(self.index.entries.len());
        for member in &members {
            let entry = self.entry(member);
            self.index.entries.push(entry);
        }
        Node { present: 0, start, extent: small(members.len()), any: NONE, asks: LEAF }
    }

    fn entry(&self, member: &Member) -> Entry {
        let mut entry = Entry {
            plain: self.plain(member.campaign),
            named: 0,
            sets: 0,
            cpm: u32::try_from(self.campaigns[member.campaign as usize].cpm.0)
                .expect("`Campaign::new` bounds the price"),
            campaign: member.campaign,
        };
        let mut check = 0;
        for dimension in [Dimension::Publisher, Dimension::Exchange, Dimension::Carrier, Dimension::Language] {
            let (bits, rest) = self.named(member, dimension);
            entry.named |= bits;
            check |= rest;
        }
        for dimension in [Dimension::Place, Dimension::Inventory, Dimension::Category, Dimension::Shape] {
            let (bits, rest) = self.set(member, dimension);
            entry.sets |= bits;
            check |= rest;
        }
        entry.named = Entry::with_check(entry.named, check);
        entry
    }

    fn list(&self, campaign: u32, list: u32) -> &[u32] {
        self.index.rules.list(&self.index.rules.records[campaign as usize], list)
    }

    /// The lanes of dimensions whose values have a bit each.
    fn plain(&self, campaign: u32) -> u64 {
        let targeting = &self.campaigns[campaign as usize].targeting;
        let allowed = |dimension: Dimension| {
            let (_, width) = plain_lane(dimension);
            match self.list(campaign, included(dimension)) {
                [] => lane(plain_lane(dimension)),
                codes => codes
                    .iter()
                    .filter(|&&code| code < width && is_named(dimension, code))
                    .fold(0, |bits, &code| bits | plain_bit(dimension, code)),
            }
        };
        let barred = |dimension: Dimension, codes: &mut dyn Iterator<Item = u32>| {
            codes.filter(|&code| is_named(dimension, code)).fold(0, |bits, code| bits | plain_bit(dimension, code))
        };
        let systems = barred(Dimension::Os, &mut targeting.os.exclude.iter().map(|&os| os as u32));
        let browsers = barred(Dimension::Browser, &mut targeting.browsers.exclude.iter().map(|&of| of as u32));
        let all = Dimension::ALL[Dimension::Device as usize..].iter().fold(0, |bits, &of| bits | allowed(of));
        all & !systems & !browsers
    }

    /// The lane of a dimension in which a request has one value, and its bit if that does not settle it.
    fn named(&self, member: &Member, dimension: Dimension) -> (u64, u16) {
        let include = self.list(member.campaign, included(dimension));
        let exclude = self.list(member.campaign, excluded(dimension));
        let shares = |codes: &[u32]| codes.iter().any(|&code| code >= NAMED_OWN);
        let allowed = match include {
            [] => lane(named_lane(dimension)),
            codes => codes.iter().fold(0, |bits, &code| bits | named_bit(dimension, code)),
        };
        let own = exclude.iter().filter(|&&code| code < NAMED_OWN);
        let barred = own.fold(0, |bits, &code| bits | named_bit(dimension, code));
        let open = shares(exclude) || shares(include) && member.settled & dimension.bit() == 0;
        (allowed & !barred, if open { dimension.bit() } else { 0 })
    }

    /// The same of a dimension in which a request may have several.
    fn set(&self, member: &Member, dimension: Dimension) -> (u64, u16) {
        let include = self.list(member.campaign, included(dimension));
        if dimension == Dimension::Shape {
            return (include.iter().fold(0, |bits, &code| bits | set_bit(dimension, code)), 0);
        }
        let excludes = !self.list(member.campaign, excluded(dimension)).is_empty()
            || dimension == Dimension::Place && !self.list(member.campaign, CIRCLES_EXCLUDED).is_empty();
        let settled = member.settled & dimension.bit() != 0;
        let circles = dimension == Dimension::Place && !self.list(member.campaign, CIRCLES).is_empty();
        let open = excludes
            || circles
            || !settled && include.iter().any(|&code| code >= SET_OWN)
            || settled
                && match dimension {
                    Dimension::Place => self.nested[member.campaign as usize],
                    Dimension::Category => include.len() > 1,
                    _ => false,
                };
        let bits = match include {
            [] => any_bit(dimension),
            _ if settled => any_bit(dimension),
            codes => codes.iter().fold(0, |bits, &code| bits | set_bit(dimension, code)),
        };
        (bits, if open { dimension.bit() } else { 0 })
    }
}

/// Whether campaigns can ask for a value of a dimension whose codes are the values: of most, 0 is what is not said.
fn is_named(dimension: Dimension, code: u32) -> bool {
    code != 0 || dimension == Dimension::Channel
}

/// The codes under which a member goes down, or `None` if it goes down "do not ask": it has no inclusion, or too long a one.
/// Every deal is followed.
fn followed<'i>(index: &'i Index, member: &Member, dimension: Dimension) -> Option<&'i [u32]> {
    let codes = index.rules.list(&index.rules.records[member.campaign as usize], included(dimension));
    let few = || codes.len() <= COPIES as usize && u32::from(member.copies) * codes.len() as u32 <= COPIES;
    (!codes.is_empty() && (dimension == Dimension::Deal || few())).then_some(codes)
}
