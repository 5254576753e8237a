//! What the files say of a path, by hashes: each text of the request is hashed once, then all lines of all tables that the
//! answer may need are asked of memory together, and only then is one looked at. So a chain costs about one wait for
//! memory, not one for each of its nodes and tables.

use std::hint::black_box;

use arrayvec::ArrayVec;

use super::hash::{BLOCKED, DOMAIN_BYTES, Key, Kind, domain, short};
use super::record::{Account, File, Manager, Status, System, country};
use super::{Chain, Inventory, Node, Path, Supply, Verdict};
use crate::limits;
use crate::supply::sellers_json::SellerType;
use crate::units::UnixMillis;

/// A node of the chain, by its hashes.
struct Hop {
    system: u64,
    seller: u64,
}

/// The publisher's file that applies, if anything can be told of it.
#[derive(Clone, Copy)]
enum Declared<'t> {
    Unknown,
    Absent,
    Good(File<'t>),
}

impl Supply {
    /// What the files say of a path at this time: the first rule that it breaks. That something is missing is only told of a
    /// path of which nothing is known to be wrong.
    pub fn check(&self, path: &Path<'_>, now: UnixMillis) -> Verdict {
        self.judge(path, now).unwrap_or_else(|verdict| verdict)
    }

    fn judge(&self, path: &Path<'_>, now: UnixMillis) -> Result<Verdict, Verdict> {
        let nodes = shape(path)?;
        let places = Places::of(self, path.inventory);
        let hops: ArrayVec<Hop, { limits::CHAIN_NODES }> = nodes
            .iter()
            .map(|node| {
                let system = self.key.domain(domain(node.asi));
                Hop { system, seller: self.key.join(system, self.key.account(node.sid.trim_ascii())) }
            })
            .collect();
        self.touch(&places, &hops);

        if hops.iter().any(|hop| self.blocks(hop)) {
            return Err(Verdict::BlockedNode);
        }
        let declared = self.declared(&places, now);
        let all_listed = self.sellers_agree(&hops, declared, country(path.country), now)?;
        let authorized = match declared {
            Declared::Good(file) => self.authorizes(file, &hops, now)?,
            Declared::Absent => Verdict::Undeclared,
            Declared::Unknown => Verdict::NoAdsTxt,
        };
        Ok(if all_listed { authorized } else { Verdict::NoSellersJson })
    }

    /// Every line that is going to be looked at, and those of the pairs on the guess that the file is one of the first two places.
    #[inline]
    fn touch(&self, places: &Places, hops: &[Hop]) {
        let mut touched = places.app.map_or(0, |bundle| self.apps.touch(bundle));
        for file in &places.files {
            touched ^= self.files.touch(*file);
        }
        for hop in hops {
            touched ^= self.sellers.touch(hop.seller);
            for file in places.files.iter().take(2) {
                touched ^= self.pairs.touch(self.key.join(*file, hop.seller));
            }
        }
        black_box(touched);
    }

    #[inline]
    fn blocks(&self, hop: &Hop) -> bool {
        self.systems.find(hop.system).map(System).is_some_and(|system| {
            system.is(System::BLOCKED)
                || system.is(System::BLOCKED_SELLERS) && self.pairs.find(self.key.join(BLOCKED, hop.seller)).is_some()
        })
    }

    fn declared(&self, places: &Places, now: UnixMillis) -> Declared<'_> {
        let file = match places.app {
            Some(bundle) => self.apps.find(bundle).and_then(|app| self.files.at(app[1])),
            None => places.files.iter().find_map(|file| self.files.find(*file)),
        };
        file.map_or(Declared::Unknown, |file| self.as_of(File(file), now))
    }

    #[inline]
    fn as_of<'t>(&self, file: File<'t>, now: UnixMillis) -> Declared<'t> {
        match file.status() {
            _ if now >= file.expires() && !self.stale_open => Declared::Unknown,
            Status::Good => Declared::Good(file),
            Status::Absent => Declared::Absent,
            Status::Unknown => Declared::Unknown,
        }
    }

    /// Each node against its system's sellers.json: whether there was one for all.
    #[inline]
    fn sellers_agree(
        &self,
        hops: &[Hop],
        declared: Declared<'_>,
        country: u32,
        now: UnixMillis,
    ) -> Result<bool, Verdict> {
        let (mut all, mut before) = (true, None);
        for hop in hops {
            let lists = |system: &System<'_>| system.is(System::LISTS) && (now < system.expires() || self.stale_open);
            if self.systems.find(hop.system).map(System).is_some_and(|system| lists(&system)) {
                let listed = self.sellers.find(hop.seller).ok_or(Verdict::UnknownSeller)?;
                let account = Account(listed[1]);
                match before {
                    None => self.owns(account, declared, country)?,
                    Some(before) => resells(account, before)?,
                }
            } else {
                all = false;
            }
            before = Some(hop.system);
        }
        Ok(all)
    }

    /// The first node: the publisher, or who manages for it.
    #[inline]
    fn owns(&self, account: Account, declared: Declared<'_>, country: u32) -> Result<(), Verdict> {
        let manages = |file| self.manages(file, account.domain(), country);
        match (account.seller_type(), declared) {
            (None, _) | (Some(SellerType::Intermediary), Declared::Absent) => Err(Verdict::WrongSellerType),
            (Some(SellerType::Intermediary), Declared::Good(file)) if !manages(file) => Err(Verdict::WrongSellerType),
            (Some(SellerType::Publisher | SellerType::Both), Declared::Good(file))
                if account.domain() != 0 && account.domain() != file.owner() && !manages(file) =>
            {
                Err(Verdict::WrongSellerDomain)
            }
            _ => Ok(()),
        }
    }

    fn manages(&self, file: File<'_>, seller: u32, country: u32) -> bool {
        let more = || self.more(file).0.iter().map(|[domain, country]| Manager { domain: *domain, country: *country });
        file.manager().is(seller, country) || more().any(|manager| manager.is(seller, country))
    }

    /// The managers of a file after the first, and the numbers of its partners' files.
    fn more(&self, file: File<'_>) -> (&[[u32; 2]], &[u32]) {
        let list = || {
            let (counts, list) = self.more.get(file.more() as usize..)?.split_first()?;
            let (managers, list) = list.split_at_checked(2 * (counts & 0xFFFF) as usize)?;
            Some((managers.as_chunks().0, list.get(..(counts >> 16) as usize)?))
        };
        if file.more() == 0 { (&[], &[]) } else { list().unwrap_or((&[], &[])) }
    }

    /// Every node against the publisher's file, and where that does not name it, against those of its partners.
    #[inline]
    fn authorizes(&self, file: File<'_>, hops: &[Hop], now: UnixMillis) -> Result<Verdict, Verdict> {
        let names = |file: u64, hop: &Hop| self.pairs.find(self.key.join(file, hop.seller)).is_some();
        let mut verdict = Verdict::Verified;
        for hop in hops.iter().filter(|hop| !names(file.hash(), hop)) {
            let (mut named, mut unknown) = (false, false);
            for partner in self.more(file).1 {
                match self.files.at(*partner).map_or(Declared::Unknown, |partner| self.as_of(File(partner), now)) {
                    Declared::Good(partner) => named |= names(partner.hash(), hop),
                    Declared::Absent => {}
                    Declared::Unknown => unknown = true,
                }
            }
            match (named, unknown) {
                (true, _) => {}
                (false, true) => verdict = Verdict::NoAdsTxt,
                (false, false) => return Err(Verdict::Unauthorized),
            }
        }
        Ok(verdict)
    }
}

/// What can be told of a chain without any file.
fn shape<'p>(path: &Path<'p>) -> Result<&'p [Node<'p>], Verdict> {
    let (complete, nodes) = match path.chain {
        Chain::Absent => return Err(Verdict::NoChain),
        Chain::Malformed => return Err(Verdict::Malformed),
        Chain::Nodes { complete, nodes } => (complete, nodes),
    };
    let is_whole = |node: &Node<'_>| {
        node.pays
            && (1..=DOMAIN_BYTES).contains(&domain(node.asi).len())
            && (1..=limits::SID_BYTES).contains(&node.sid.trim_ascii().len())
    };
    match nodes.last() {
        Some(last) if nodes.len() <= limits::CHAIN_NODES && nodes.iter().all(is_whole) => {
            if !complete {
                Err(Verdict::Incomplete)
            } else if !domain(last.asi).eq_ignore_ascii_case(domain(path.sender)) {
                Err(Verdict::NotTheSender)
            } else {
                Ok(nodes)
            }
        }
        _ => Err(Verdict::Malformed),
    }
}

/// A later node: who sells what the node before it sold to it.
#[inline]
fn resells(account: Account, before: u64) -> Result<(), Verdict> {
    match account.seller_type() {
        None | Some(SellerType::Publisher) => Err(Verdict::WrongSellerType),
        _ if account.domain() != 0 && account.domain() != short(before) && !account.is_passthrough() => {
            Err(Verdict::WrongSellerDomain)
        }
        _ => Ok(()),
    }
}

/// Where the publisher's file may be found.
struct Places {
    /// The hash of an app's bundle.
    app: Option<u64>,
    /// The hashes of the files of a site: the host's, then those of the domains above it.
    files: ArrayVec<u64, { limits::HOST_LEVELS }>,
}

impl Places {
    #[inline]
    fn of(supply: &Supply, inventory: Inventory<'_>) -> Places {
        let mut places = Places { app: None, files: ArrayVec::new() };
        match inventory {
            Inventory::Site(host) => places.files = files(supply.key, Kind::AdsTxt, domain(host)),
            Inventory::App(bundle) => places.app = Some(supply.key.bundle(bundle.trim_ascii())),
            Inventory::Unknown => {}
        }
        places
    }
}

/// The hashes of the files that a host may have, and the domains above it down to two labels. Of a host of more levels than
/// [`limits::HOST_LEVELS`], the upper ones.
#[inline]
pub(super) fn files(key: Key, kind: Kind, host: &[u8]) -> ArrayVec<u64, { limits::HOST_LEVELS }> {
    let mut files = ArrayVec::new();
    if host.is_empty() || host.len() > DOMAIN_BYTES {
        return files;
    }
    let dots = host.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at + 1);
    for start in dots.skip(1).chain([0]).take(limits::HOST_LEVELS) {
        files.push(key.file(kind, key.domain(&host[start..])));
    }
    files.reverse();
    files
}
