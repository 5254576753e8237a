//! The supply chain: is this request sold by who may sell it? Asked before the campaigns are, and only if the exchange's policy
//! or a campaign's asks for it: else nothing of it is read.

use arrayvec::ArrayVec;

use crate::bid::Outcome;
use crate::bid::asked::{self, Unescaped};
use crate::bid::eligible::Scene;
use crate::bid::offers::{Offers, keep};
use crate::bid::probe::Probe;
use crate::limits;
use crate::snapshot::country;
use crate::snapshot::supply::{Chain, Inventory, NoAdsTxt, Node, Path, Policy, Verdict};
use crate::wire::json::Text;
use crate::wire::openrtb::chain::Form;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Channel, Parts};

/// What is agreed with an exchange about what it sells.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The exchange's domain, which is that of the last node of every chain it sends; empty if nobody asks.
    pub sender: Box<[u8]>,
    /// What is asked of every request, whoever bids on it.
    pub policy: Policy,
    /// What a publisher without a file is worth, to the exchange's policy and the campaigns'.
    pub no_ads_txt: NoAdsTxt,
}

/// What the files say of the path that a request took; `None` if nobody asks. No bid if the exchange's policy forbids it.
#[inline]
pub fn check<'r, P: Probe>(
    scene: Scene<'_>,
    parts: &mut Parts<'r, '_>,
    request: &mut BidRequest<'r>,
    room: &mut Room,
    probe: &mut P,
) -> Result<Option<Verdict>, Outcome> {
    let Demand { sender, policy, no_ads_txt } = &scene.exchange.demand;
    if *policy == Policy::Off && !scene.snapshot.campaigns_ask_supply {
        return Ok(None);
    }
    parts.inventory(request)?;
    parts.chain(request);
    let place = asked::locate(scene.snapshot, parts, request, None)?;
    let country = country::alpha2(asked::country(request, place.as_ref()));
    let mut nodes = Nodes::new();
    let path = room.path(request, sender, country, &mut nodes);
    let verdict = match &scene.snapshot.supply {
        Some(table) => table.check(&path, scene.now.wall),
        None => Verdict::NoAdsTxt,
    };
    probe.supplied(scene, &path, verdict);
    match policy.accepts(verdict, *no_ads_txt) {
        true => Ok(Some(verdict)),
        // Of an undeclared path nothing is wrong but that there is no file.
        false => Err(verdict.reason().unwrap_or(NoBidReason::AdsTxtUnavailable).into()),
    }
}

/// Keeps the offers of campaigns that accept the verdict, too.
#[inline]
pub fn suit<P: Probe>(
    scene: Scene<'_>,
    verdict: Option<Verdict>,
    offers: &mut Offers,
    probe: &mut P,
) -> Result<(), NoBidReason> {
    let Some(verdict) = verdict.filter(|_| scene.snapshot.campaigns_ask_supply) else { return Ok(()) };
    keep(offers, probe, NoBidReason::UnverifiedSupply, |offer| {
        scene.snapshot.campaign(offer.campaign).supply.accepts(verdict, scene.exchange.demand.no_ads_txt)
    })
}

/// The nodes of a path, for as long as it is looked at.
pub type Nodes<'a> = ArrayVec<Node<'a>, { limits::CHAIN_NODES }>;

/// Room for texts whose JSON had escapes in it.
#[derive(Debug)]
pub struct Room {
    inventory: Unescaped,
    partner: [u8; PARTNER_BYTES],
    nodes: [u8; limits::CHAIN_BYTES],
}

/// Bytes of a partner's domain that can be unescaped; a longer one is no domain.
const PARTNER_BYTES: usize = 256;

impl Default for Room {
    fn default() -> Self {
        Room { inventory: Unescaped::default(), partner: [0; PARTNER_BYTES], nodes: [0; limits::CHAIN_BYTES] }
    }
}

impl Room {
    /// The path that a request took, sent by an exchange of the domain `sender`. After [`Parts::inventory`] and
    /// [`Parts::chain`].
    pub fn path<'n, 'u: 'n>(
        &'u mut self,
        request: &BidRequest<'u>,
        sender: &'u [u8],
        country: Option<[u8; 2]>,
        nodes: &'n mut Nodes<'u>,
    ) -> Path<'n> {
        let Room { inventory, partner, nodes: room } = self;
        let inventory = match (request.channel, inventory.inventory(request)) {
            (Channel::Site | Channel::Dooh, (domain @ [_, ..], _)) => Inventory::Site(domain),
            (Channel::App, (_, bundle @ [_, ..])) => Inventory::App(bundle),
            _ => Inventory::Unknown,
        };
        let chain = match request.schain.form {
            Form::Absent => Chain::Absent,
            Form::Malformed => Chain::Malformed,
            Form::Chain => match unescape(request, room, nodes) {
                Some(()) => Chain::Nodes { complete: request.schain.complete, nodes },
                None => Chain::Malformed,
            },
        };
        let partner = request.partner.unescape(partner).unwrap_or_default();
        Path { chain, sender, inventory, partner, country }
    }
}

/// The nodes without the escapes of their JSON; `None` if there is no room for so many.
fn unescape<'u>(request: &BidRequest<'u>, mut room: &'u mut [u8], nodes: &mut Nodes<'u>) -> Option<()> {
    nodes.clear();
    for node in &request.schain.nodes {
        nodes.push(Node { asi: plain(node.asi, &mut room)?, sid: plain(node.sid, &mut room)?, pays: node.pays });
    }
    Some(())
}

/// A text without its escapes: the document itself where nothing is escaped, else written to the beginning of `room`.
fn plain<'u>(text: Text<'u>, room: &mut &'u mut [u8]) -> Option<&'u [u8]> {
    if !text.escaped {
        return Some(text.raw);
    }
    let free = std::mem::take(room);
    let mut length = 0;
    for byte in text.bytes() {
        *free.get_mut(length)? = byte;
        length += 1;
    }
    let (plain, rest) = free.split_at_mut(length);
    *room = rest;
    Some(plain)
}
