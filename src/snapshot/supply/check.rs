//! What the files say of a path, by hashes: each text of the request is hashed once, then all lines of all tables that the
//! answer may need are asked of memory together, and only then is one looked at. So a chain costs about one wait for
//! memory, not one for each of its nodes and tables.

use std::hint::black_box;

use arrayvec::ArrayVec;

use super::hash::{BLOCKED, DOMAIN_BYTES, Key, Kind, domain, short};
use super::record::{Account, File, Manager, More, Status, System, country};
use super::{Chain, Inventory, Node, Path, Supply, Verdict};
use crate::limits;
use crate::supply::sellers_json::SellerType;
use crate::units::UnixMillis;

/// A node of the chain, by its hashes.
struct Hop {
    system: u64,
    seller: u64,
}

/// A publisher's file, if anything can be told of it.
#[derive(Clone, Copy)]
enum Declared<'t> {
    Unknown,
    Absent,
    Good(File<'t>),
}

/// What of a request bears on what the files say.
#[derive(Clone, Copy)]
struct Asked {
    /// [`country`].
    country: u32,
    /// The hash of the file of the partner that the request names.
    partner: Option<u64>,
    now: UnixMillis,
}

/// How an entry of a sellers.json fits its place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    WrongType,
    WrongDomain,
    /// As far as can be told.
    Fits,
}

impl Fit {
    fn of(has_type: bool, has_domain: bool) -> Fit {
        match (has_type, has_domain) {
            (false, _) => Fit::WrongType,
            (true, false) => Fit::WrongDomain,
            (true, true) => Fit::Fits,
        }
    }
}

impl Supply {
    /// What the files say of a path at this time: the first rule that it is proven to break; without one, what else there is to
    /// say against it, and only of a path with nothing against it what is missing.
    pub fn check(&self, path: &Path<'_>, now: UnixMillis) -> Verdict {
        self.judge(path, now).unwrap_or_else(|verdict| verdict)
    }

    /// An error where it is decided whatever else there is.
    fn judge(&self, path: &Path<'_>, now: UnixMillis) -> Result<Verdict, Verdict> {
        let (nodes, lack) = shape(path)?;
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
        let named = Some(domain(path.partner)).filter(|name| (1..=DOMAIN_BYTES).contains(&name.len()));
        let partner = named.map(|name| self.key.file(Kind::AdsTxt, self.key.domain(name)));
        let asked = Asked { country: country(path.country), partner, now };
        let declared = self.declared(&places, now);
        let (fit, all_listed) = self.sellers_agree(&hops, lack, declared, asked)?;
        let authorized = match declared {
            Declared::Good(file) => self.authorizes(file, &hops, asked)?,
            Declared::Absent => Verdict::Undeclared,
            Declared::Unknown => Verdict::NoAdsTxt,
        };
        Ok(match (lack, fit, all_listed) {
            (Some(lack), ..) => lack,
            (None, Fit::WrongDomain, _) => Verdict::WrongSellerDomain,
            (None, _, false) => Verdict::NoSellersJson,
            (None, _, true) => authorized,
        })
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
            Some(bundle) => self.apps.find(bundle).and_then(|app| self.files.at(app[1])).map(File),
            None => places.files.iter().find_map(|file| self.files.find(*file).map(File).filter(|file| file.applies())),
        };
        self.as_of(file, now)
    }

    #[inline]
    fn as_of<'t>(&self, file: Option<File<'t>>, now: UnixMillis) -> Declared<'t> {
        let Some(file) = file else { return Declared::Unknown };
        match file.status() {
            _ if now >= file.expires() && !self.stale_open => Declared::Unknown,
            Status::Good => Declared::Good(file),
            Status::Absent => Declared::Absent,
            Status::Unknown => Declared::Unknown,
        }
    }

    /// Each node against its system's sellers.json: whether all fit as far as there is one, and whether there was one for all.
    #[inline]
    fn sellers_agree(
        &self,
        hops: &[Hop],
        lack: Option<Verdict>,
        declared: Declared<'_>,
        asked: Asked,
    ) -> Result<(Fit, bool), Verdict> {
        let (mut fit, mut all, mut before) = (Fit::Fits, true, None);
        for hop in hops {
            let lists =
                |system: &System<'_>| system.is(System::LISTS) && (asked.now < system.expires() || self.stale_open);
            if self.systems.find(hop.system).map(System).is_some_and(|system| lists(&system)) {
                let listed = self.sellers.find(hop.seller).ok_or(Verdict::UnknownSeller)?;
                let account = Account(listed[1]);
                fit = fit.min(match before {
                    Some(before) => resells(account, before),
                    None if lack.is_none() => self.owns(account, hop, declared, asked),
                    // Who was before it is not told: it may be the publisher, or anybody who resells.
                    None => Fit::of(account.seller_type().is_some(), true),
                });
            } else {
                all = false;
            }
            before = Some(hop.system);
        }
        if fit == Fit::WrongType { Err(Verdict::WrongSellerType) } else { Ok((fit, all)) }
    }

    /// The first node: the publisher, or who manages for it; or a partner where only the partner's file names it.
    #[inline]
    fn owns(&self, account: Account, hop: &Hop, declared: Declared<'_>, asked: Asked) -> Fit {
        let Some(seller_type) = account.seller_type() else { return Fit::WrongType };
        let file = match declared {
            Declared::Good(file) => file,
            Declared::Absent => return Fit::of(seller_type != SellerType::Intermediary, true),
            Declared::Unknown => return Fit::Fits,
        };
        if file.more() == 0 || self.names(file, hop) {
            return self.is_of(account, seller_type, file, asked);
        }
        let (mut best, mut unknown) = (None, false);
        self.partners(file, asked, |partner| match partner {
            Declared::Good(partner) if self.names(partner, hop) => {
                best = best.max(Some(self.is_of(account, seller_type, partner, asked)));
            }
            Declared::Unknown => unknown = true,
            Declared::Good(_) | Declared::Absent => {}
        });
        match best {
            Some(fit) => fit,
            // It may be that partner's.
            None if unknown => Fit::Fits,
            None => self.is_of(account, seller_type, file, asked),
        }
    }

    /// Whether a seller is the one whose file this is, or manages for it.
    #[inline]
    fn is_of(&self, account: Account, seller_type: SellerType, file: File<'_>, asked: Asked) -> Fit {
        let manages = || {
            let more = || self.more(file).managers.iter().map(|[domain, at]| Manager { domain: *domain, country: *at });
            let is = |manager: Manager| manager.is(account.domain(), asked.country);
            is(file.manager()) || more().any(is)
        };
        match seller_type {
            SellerType::Intermediary => Fit::of(manages(), true),
            SellerType::Publisher | SellerType::Both => {
                let told = account.domain() != 0 && file.owner() != 0;
                Fit::of(true, !told || account.domain() == file.owner() || manages())
            }
        }
    }

    /// What few files have.
    fn more(&self, file: File<'_>) -> More<'_> {
        let list = || More::read(self.more.get(file.more() as usize..)?);
        if file.more() == 0 { More::default() } else { list().unwrap_or_default() }
    }

    /// The files of a publisher's partners that count for a request: that of the one it names, and without one all. A list that was
    /// cut short may have named the one that is looked for.
    fn partners(&self, file: File<'_>, asked: Asked, mut each: impl FnMut(Declared<'_>)) {
        let More { partners, is_cut, .. } = self.more(file);
        let mut files = partners.iter().map(|number| self.files.at(*number).map(File));
        let one = asked.partner.map(|hash| files.find(|file| file.is_some_and(|file| file.hash() == hash)));
        match one {
            Some(Some(partner)) => return each(self.as_of(partner, asked.now)),
            Some(None) => {}
            None => files.for_each(|partner| each(self.as_of(partner, asked.now))),
        }
        if is_cut {
            each(Declared::Unknown);
        }
    }

    #[inline]
    fn names(&self, file: File<'_>, hop: &Hop) -> bool {
        self.pairs.find(self.key.join(file.hash(), hop.seller)).is_some()
    }

    /// Every node against the publisher's file, and where that does not name it, against those of its partners.
    #[inline]
    fn authorizes(&self, file: File<'_>, hops: &[Hop], asked: Asked) -> Result<Verdict, Verdict> {
        let mut verdict = Verdict::Verified;
        for hop in hops.iter().filter(|hop| !self.names(file, hop)) {
            let (mut named, mut unknown) = (false, false);
            self.partners(file, asked, |partner| match partner {
                Declared::Good(partner) => named |= self.names(partner, hop),
                Declared::Absent => {}
                Declared::Unknown => unknown = true,
            });
            match (named, unknown) {
                (true, _) => {}
                (false, true) => verdict = Verdict::NoAdsTxt,
                (false, false) => return Err(Verdict::Unauthorized),
            }
        }
        Ok(verdict)
    }
}

/// What can be told of a chain without any file: its nodes, and what it lacks if nothing worse is found.
fn shape<'p>(path: &Path<'p>) -> Result<(&'p [Node<'p>], Option<Verdict>), Verdict> {
    let (complete, nodes) = match path.chain {
        Chain::Absent => return Err(Verdict::NoChain),
        Chain::Malformed => return Err(Verdict::Malformed),
        Chain::Nodes { complete, nodes } => (complete, nodes),
    };
    let is_whole = |node: &Node<'_>| {
        (1..=DOMAIN_BYTES).contains(&domain(node.asi).len())
            && (1..=limits::SID_BYTES).contains(&node.sid.trim_ascii().len())
    };
    match nodes.last() {
        Some(last) if nodes.len() <= limits::CHAIN_NODES && nodes.iter().all(is_whole) => {
            let is_the_sender = domain(last.asi).eq_ignore_ascii_case(domain(path.sender));
            let lack = if nodes.iter().any(|node| !node.pays) {
                Some(Verdict::Malformed)
            } else if !complete {
                Some(Verdict::Incomplete)
            } else {
                None
            };
            if is_the_sender { Ok((nodes, lack)) } else { Err(Verdict::NotTheSender) }
        }
        _ => Err(Verdict::Malformed),
    }
}

/// A later node: who sells what the node before it sold to it.
#[inline]
fn resells(account: Account, before: u64) -> Fit {
    let is_type = matches!(account.seller_type(), Some(SellerType::Intermediary | SellerType::Both));
    Fit::of(is_type, account.domain() == 0 || account.domain() == short(before) || account.is_passthrough())
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
            Inventory::Site(host) => places.files = files(supply.key, domain(host)),
            Inventory::App(bundle) => places.app = Some(supply.key.bundle(bundle.trim_ascii())),
            Inventory::Unknown => {}
        }
        places
    }
}

/// The hashes of the files that a host may have, and the domains above it down to two labels. Of a host of more levels than
/// [`limits::HOST_LEVELS`], the upper ones.
#[inline]
fn files(key: Key, host: &[u8]) -> ArrayVec<u64, { limits::HOST_LEVELS }> {
    let mut files = ArrayVec::new();
    if host.is_empty() || host.len() > DOMAIN_BYTES {
        return files;
    }
    let dots = host.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at + 1);
    for start in dots.skip(1).chain([0]).take(limits::HOST_LEVELS) {
        files.push(key.file(Kind::AdsTxt, key.domain(&host[start..])));
    }
    files.reverse();
    files
}
