//! Who may sell what: the sellers.json files of exchanges and the ads.txt and app-ads.txt files of publishers, compiled into
//! one table that is asked on the bid path.

mod origin;
mod policy;

use crate::units::UnixMillis;
pub use origin::Origin;
pub use policy::{NoAdsTxt, Stale};

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
    /// `inventorypartnerdomain` of the site or app; empty without.
    pub partner: &'a [u8],
    /// The country of the impression, ISO 3166-1 alpha-2 capitals, for managers of one country; `None` if unknown.
    pub country: Option<[u8; 2]>,
}

/// What the files say of a path. In the order in which it is told.
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

/// The compiled files.
#[derive(Debug, Default)]
pub struct Supply {}

impl Supply {
    /// Reads a table.
    pub fn load(_path: &std::path::Path) -> Result<Supply, super::document::FileError> {
        Ok(Supply {})
    }

    /// What the files say of a path at this time.
    pub fn check(&self, _path: &Path<'_>, _now: UnixMillis) -> Verdict {
        Verdict::NoAdsTxt
    }
}
