//! The rules of a supply path, once more and slowly: names are strings, files are lists, and every rule looks through them. It
//! shares no line with the table, and stands in the order of `docs/SUPPLY.md`.

use std::collections::BTreeMap;

use corebid::snapshot::supply::{Chain, Inventory, Node, Path, Verdict};

/// `seller_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SellerType {
    Publisher,
    Intermediary,
    Both,
}

/// An entry of a sellers.json.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) seller_type: Option<SellerType>,
    pub(crate) domain: Option<String>,
    pub(crate) is_confidential: bool,
    pub(crate) is_passthrough: bool,
}

/// An ads.txt or app-ads.txt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declaration {
    /// System and account. DIRECT or RESELLER, it authorizes.
    pub(crate) records: Vec<(String, String)>,
    pub(crate) owner: Option<String>,
    pub(crate) managers: Vec<(String, Option<[u8; 2]>)>,
    pub(crate) subdomains: Vec<String>,
    pub(crate) partners: Vec<String>,
}

/// What the crawler has of a domain; `None` is a 404.
pub(crate) type File = Option<Declaration>;

/// With the time at which it is too old.
#[derive(Clone, Debug)]
pub(crate) struct Kept<T> {
    pub(crate) what: T,
    pub(crate) expires: u64,
}

/// All files there are. Domains are keys in lower case and without `www.`.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) sellers_json: BTreeMap<String, Kept<Vec<Listed>>>,
    pub(crate) ads_txt: BTreeMap<String, Kept<File>>,
    pub(crate) app_ads_txt: BTreeMap<String, Kept<File>>,
    /// Asked for and never had.
    pub(crate) unavailable: Vec<String>,
    pub(crate) developers: BTreeMap<String, String>,
    pub(crate) blocked: Vec<(String, Option<String>)>,
    pub(crate) stale_open: bool,
}

/// A domain as it compares.
pub(crate) fn name(written: &[u8]) -> String {
    let written = String::from_utf8_lossy(written).trim().to_lowercase();
    let bare = written.strip_suffix('.').unwrap_or(&written);
    bare.strip_prefix("www.").filter(|rest| rest.contains('.')).unwrap_or(bare).to_owned()
}

fn sid(node: &Node<'_>) -> String {
    String::from_utf8_lossy(node.sid).trim().to_owned()
}

/// What is said, the gravest first: what is proven in the order of the rules, then what else speaks against a path, then what
/// is missing.
const GRAVEST_FIRST: [Verdict; 11] = [
    Verdict::NotTheSender,
    Verdict::BlockedNode,
    Verdict::UnknownSeller,
    Verdict::WrongSellerType,
    Verdict::Unauthorized,
    Verdict::Malformed,
    Verdict::Incomplete,
    Verdict::WrongSellerDomain,
    Verdict::NoSellersJson,
    Verdict::NoAdsTxt,
    Verdict::Undeclared,
];

/// The file of whom a request names as publisher, and where it stands.
struct Publisher<'w> {
    host: String,
    file: Option<&'w File>,
}

impl World {
    /// What a path is.
    pub(crate) fn verdict(&self, path: &Path<'_>, now: u64) -> Verdict {
        match path.chain {
            Chain::Absent => Verdict::NoChain,
            Chain::Malformed => Verdict::Malformed,
            Chain::Nodes { complete, nodes } => {
                if nodes.is_empty() {
                    return Verdict::Malformed;
                }
                for node in nodes {
                    if name(node.asi).is_empty() || sid(node).is_empty() || sid(node).len() > 64 {
                        return Verdict::Malformed;
                    }
                }
                let said = self.everything(path, complete, nodes, now);
                GRAVEST_FIRST.into_iter().find(|verdict| said.contains(verdict)).unwrap_or(Verdict::Verified)
            }
        }
    }

    /// All that can be said against a chain that can be read.
    fn everything(&self, path: &Path<'_>, complete: bool, nodes: &[Node<'_>], now: u64) -> Vec<Verdict> {
        let mut said = Vec::new();
        let is_proper = nodes.iter().all(|node| node.pays);
        if !is_proper {
            said.push(Verdict::Malformed);
        }
        if !complete {
            said.push(Verdict::Incomplete);
        }
        if name(nodes[nodes.len() - 1].asi) != name(path.sender) {
            said.push(Verdict::NotTheSender);
        }
        let publisher = self.publisher(path.inventory, now);
        for (place, node) in nodes.iter().enumerate() {
            for (asi, account) in &self.blocked {
                if name(node.asi) == *asi && account.as_ref().is_none_or(|account| *account == sid(node)) {
                    said.push(Verdict::BlockedNode);
                }
            }
            let Some(kept) = self.sellers_json.get(&name(node.asi)).filter(|kept| self.is_current(kept.expires, now))
            else {
                said.push(Verdict::NoSellersJson);
                continue;
            };
            let Some(seller) = kept.what.iter().find(|seller| seller.id == sid(node)) else {
                said.push(Verdict::UnknownSeller);
                continue;
            };
            let domain =
                seller.domain.as_ref().filter(|_| !seller.is_confidential).map(|domain| name(domain.as_bytes()));
            said.extend(match place {
                0 if !complete || !is_proper => seller.seller_type.is_none().then_some(Verdict::WrongSellerType),
                0 => self.first(seller, domain, node, &publisher, path, now),
                _ => later(seller, domain, &name(nodes[place - 1].asi)),
            });
        }
        match publisher.file {
            None => said.push(Verdict::NoAdsTxt),
            Some(None) => said.push(Verdict::Undeclared),
            Some(Some(own)) => {
                for node in nodes.iter().filter(|node| !lists(own, node)) {
                    let partners = self.partners(own, &publisher.host, path.partner, now);
                    if partners.iter().any(|(_, file)| file.is_some_and(|file| declares(file, node))) {
                        continue;
                    }
                    let unknown = partners.iter().any(|(_, file)| file.is_none());
                    said.push(if unknown { Verdict::NoAdsTxt } else { Verdict::Unauthorized });
                }
            }
        }
        said
    }

    fn is_current(&self, expires: u64, now: u64) -> bool {
        self.stale_open || now < expires
    }

    fn current<'w>(&self, files: &'w BTreeMap<String, Kept<File>>, domain: &str, now: u64) -> Option<&'w File> {
        files.get(domain).filter(|kept| self.is_current(kept.expires, now)).map(|kept| &kept.what)
    }

    /// Whose file applies.
    fn publisher(&self, inventory: Inventory<'_>, now: u64) -> Publisher<'_> {
        match inventory {
            Inventory::Unknown => Publisher { host: String::new(), file: None },
            Inventory::App(bundle) => {
                let bundle = String::from_utf8_lossy(bundle).trim().to_owned();
                let host = self.developers.get(&bundle).cloned().unwrap_or_default();
                let file = self.current(&self.app_ads_txt, &host, now);
                Publisher { host, file }
            }
            Inventory::Site(host) => {
                let host = host_of_file(&self.ads_txt, &name(host));
                let file = self.current(&self.ads_txt, &host, now);
                Publisher { host, file }
            }
        }
    }

    /// The partners that a publisher names, or that one of them which the request names, each with its file if it is known.
    fn partners(&self, own: &Declaration, host: &str, asked: &[u8], now: u64) -> Vec<(String, Option<&File>)> {
        let mut partners = Vec::new();
        for partner in &own.partners {
            if partner != host && (asked.is_empty() || name(asked) == *partner) {
                partners.push((partner.clone(), self.current(&self.ads_txt, partner, now)));
            }
        }
        partners
    }

    /// The first node: the publisher, or who manages for it. Where a partner's file names the node and the publisher's does not,
    /// the inventory is the partner's. What is wrong.
    fn first(
        &self,
        seller: &Listed,
        domain: Option<String>,
        node: &Node<'_>,
        publisher: &Publisher<'_>,
        path: &Path<'_>,
        now: u64,
    ) -> Option<Verdict> {
        if seller.seller_type.is_none() {
            return Some(Verdict::WrongSellerType);
        }
        let is_intermediary = seller.seller_type == Some(SellerType::Intermediary);
        let own = match publisher.file {
            // It may be anybody's.
            None => return None,
            Some(None) => return is_intermediary.then_some(Verdict::WrongSellerType),
            Some(Some(own)) => own,
        };
        let wrong = |host: &str, file: &Declaration| whose(seller, domain.as_ref(), host, file, path.country);
        if lists(own, node) {
            return wrong(&publisher.host, own);
        }
        let partners = self.partners(own, &publisher.host, path.partner, now);
        let mut told = Vec::new();
        for (host, file) in &partners {
            if let Some(Some(file)) = file
                && lists(file, node)
            {
                told.push(wrong(host, file));
            }
        }
        if !told.is_empty() {
            let right = told.contains(&None);
            let domain = told.contains(&Some(Verdict::WrongSellerDomain));
            return match (right, domain) {
                (true, _) => None,
                (false, true) => Some(Verdict::WrongSellerDomain),
                (false, false) => Some(Verdict::WrongSellerType),
            };
        }
        // It may be a partner's of whom nothing is known.
        if partners.iter().any(|(_, file)| file.is_none()) { None } else { wrong(&publisher.host, own) }
    }
}

fn lists(file: &Declaration, node: &Node<'_>) -> bool {
    file.records.iter().any(|(system, account)| *system == name(node.asi) && *account == sid(node))
}

fn declares(file: &File, node: &Node<'_>) -> bool {
    file.as_ref().is_some_and(|file| lists(file, node))
}

/// The domain whose file applies to a host: of the names of subdomains in the root's file the longest that it belongs to, else the
/// root. Roots have two labels here.
fn host_of_file(files: &BTreeMap<String, Kept<File>>, host: &str) -> String {
    let labels: Vec<&str> = host.split('.').collect();
    let root = labels[labels.len().saturating_sub(2)..].join(".");
    let declared = files.get(&root).and_then(|kept| kept.what.as_ref());
    let named = declared.map_or(&[][..], |file| &file.subdomains);
    let covers = |of: &str| host == of || host.ends_with(&format!(".{of}"));
    let of_the_root = |of: &str| of.ends_with(&format!(".{root}"));
    let longest = named.iter().filter(|of| covers(of) && of_the_root(of)).max_by_key(|of| of.len());
    longest.cloned().unwrap_or(root)
}

/// A seller that has a type against the file of whose inventory it should be. What is wrong.
fn whose(
    seller: &Listed,
    domain: Option<&String>,
    host: &str,
    file: &Declaration,
    country: Option<[u8; 2]>,
) -> Option<Verdict> {
    let is_intermediary = seller.seller_type == Some(SellerType::Intermediary);
    let Some(domain) = domain else {
        return is_intermediary.then_some(Verdict::WrongSellerType);
    };
    for (manager, at) in &file.managers {
        if manager == domain && (at.is_none() || *at == country) {
            return None;
        }
    }
    let owner = file.owner.as_deref().unwrap_or(host);
    match (is_intermediary, owner == domain) {
        (true, _) => Some(Verdict::WrongSellerType),
        (false, true) => None,
        (false, false) => Some(Verdict::WrongSellerDomain),
    }
}

/// A later node: who resells what the node before it sold. What is wrong.
fn later(seller: &Listed, domain: Option<String>, before: &str) -> Option<Verdict> {
    match seller.seller_type {
        None | Some(SellerType::Publisher) => Some(Verdict::WrongSellerType),
        Some(SellerType::Intermediary | SellerType::Both) => {
            let is_another = domain.is_some_and(|domain| domain != before);
            (is_another && !seller.is_passthrough).then_some(Verdict::WrongSellerDomain)
        }
    }
}
