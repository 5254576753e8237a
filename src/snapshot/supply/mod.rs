//! Who may sell what: the sellers.json files of exchanges and the ads.txt and app-ads.txt files of publishers, compiled into
//! one table that is asked on the bid path.

mod origin;
mod policy;
mod hash;
mod table;
mod record;
mod check;
pub(super) mod spill;
mod build;
mod file;

use std::fmt;

pub use build::{Body, Builder, Read};
pub use hash::{Kind, domain};
pub use origin::Origin;
pub use policy::{NoAdsTxt, Stale};
use table::Table;

/// One node of a supply chain (IAB SupplyChain object 1.0), without the escapes of its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// `asi`: the domain of the system that sells.
    pub asi: &'a [u8],
    /// `sid`: the account of the seller in that system.
    pub sid: &'a [u8],
    /// `hp` is 1: the node takes part in the payment, as in version 1.0 all must.
    pub pays: bool,
}

/// Whose inventory is sold, and so whose file is to name the sellers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inventory<'a> {
    /// A site, or a screen: by its domain, ads.txt.
    Site(&'a [u8]),
    /// An app: by its bundle, app-ads.txt.
    App(&'a [u8]),
    /// Nobody says.
    Unknown,
}

/// The chain of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain<'a> {
    /// There is none.
    Absent,
    /// There is something that is no chain of version 1.
    Malformed,
    /// Its nodes, the owner's first.
    Nodes {
        /// `complete` is 1.
        complete: bool,
        /// `nodes`.
        nodes: &'a [Node<'a>],
    },
}

/// How a request came to us.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// `schain`.
    pub chain: Chain<'a>,
    /// The domain of the exchange that sent the request: the last node must be its.
    pub sender: &'a [u8],
    /// What is sold.
    pub inventory: Inventory<'a>,
    /// `inventorypartnerdomain` of the site or app: which of the publisher's partners it means; empty without.
    pub partner: &'a [u8],
    /// The country of the impression, ISO 3166-1 alpha-2 capitals, for managers of one country; `None` if unknown.
    pub country: Option<[u8; 2]>,
}

/// What the files say of a path, in the order of the rules (docs/SUPPLY.md). Of several, what is proven is told before what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Every system knows its seller, and the publisher authorizes every one of them.
    Verified,
    /// Every system knows its seller, and the publisher has no file (404): nobody is unauthorized (ads.txt 1.1, 3.1).
    Undeclared,
    /// The request has no chain.
    NoChain,
    /// The chain is not a chain of version 1: no nodes, a node without its fields, a wrong type.
    Malformed,
    /// The chain says that it is not complete.
    Incomplete,
    /// The last node is not the exchange that sent the request.
    NotTheSender,
    /// The operator blocks a node.
    BlockedNode,
    /// A system does not list the seller.
    UnknownSeller,
    /// A system lists the seller as something that it cannot be at its place in the chain.
    WrongSellerType,
    /// A system lists the seller with another domain than it must have at its place in the chain.
    WrongSellerDomain,
    /// The publisher's file does not name a seller of the chain.
    Unauthorized,
    /// There is no sellers.json of a system, or it is too old.
    NoSellersJson,
    /// There is no ads.txt of the publisher, or it is too old.
    NoAdsTxt,
}

/// What is asked of a supply path, by an exchange's section or by a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Nothing: it is not looked at.
    #[default]
    Off,
    /// That nothing is known against it: what is proven wrong is refused, what cannot be told is not.
    Prefer,
    /// That it is verified.
    Require,
}

/// The compiled files: five hash tables of keyed hashes, no text. Large, immutable, one for all cores.
#[derive(Clone, Default)]
pub struct Supply {
    /// A file past its expiry counts as if it were not; otherwise there is none.
    pub stale_open: bool,
    key: hash::Key,
    /// Who is named in which ads.txt or app-ads.txt.
    pairs: Table<1>,
    /// The entries of all sellers.json.
    sellers: Table<2>,
    /// Whose app-ads.txt is an app's.
    apps: Table<2>,
    /// Whose sellers.json there is, and whom the operator blocks.
    systems: Table<4>,
    /// The publishers' files.
    files: Table<8>,
    /// What few files have, [`record::More`].
    more: Box<[u32]>,
    counts: Counts,
}

/// How much of what a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// ads.txt and app-ads.txt files, those that are known to be absent included, those of which nothing is known not.
    pub files: u64,
    /// Sellers they name, each once a file.
    pub pairs: u64,
    /// sellers.json files.
    pub systems: u64,
    /// Their sellers, each once a file.
    pub sellers: u64,
    /// Apps with a developer.
    pub apps: u64,
}

impl Supply {
    /// How much it holds.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes of memory, and within less than a kilobyte of the file.
    pub fn bytes(&self) -> usize {
        let (few, many) = (self.apps.bytes() + self.systems.bytes(), self.pairs.bytes() + self.sellers.bytes());
        few + many + self.files.bytes() + size_of_val(&self.more[..])
    }
}

/// Its sizes: the rest is a quarter of a gigabyte of hashes.
impl fmt::Debug for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supply").field("counts", &self.counts).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}
