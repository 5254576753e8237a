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

/// Whose file a publisher's is, and among which files it is to be found.
struct Publisher<'w> {
    domain: String,
    files: &'w BTreeMap<String, Kept<File>>,
}

impl World {
    /// What a path is.
    pub(crate) fn verdict(&self, path: &Path<'_>, now: u64) -> Verdict {
        match path.chain {
            Chain::Absent => return Verdict::NoChain,
            Chain::Malformed => return Verdict::Malformed,
            Chain::Nodes { complete, nodes } => {
                if nodes.is_empty() {
                    return Verdict::Malformed;
                }
                for node in nodes {
                    if name(node.asi).is_empty() || sid(node).is_empty() || sid(node).len() > 64 || !node.pays {
                        return Verdict::Malformed;
                    }
                }
                if !complete {
                    return Verdict::Incomplete;
                }
                if name(nodes[nodes.len() - 1].asi) != name(path.sender) {
                    return Verdict::NotTheSender;
                }
                for node in nodes {
                    for (asi, account) in &self.blocked {
                        if name(node.asi) == *asi && account.as_ref().is_none_or(|account| *account == sid(node)) {
                            return Verdict::BlockedNode;
                        }
                    }
                }
                self.against_files(path, nodes, now)
            }
        }
    }

    fn against_files(&self, path: &Path<'_>, nodes: &[Node<'_>], now: u64) -> Verdict {
        let publisher = self.publisher(path.inventory);
        let file = publisher.as_ref().and_then(|publisher| self.current(publisher.files, &publisher.domain, now));
        let mut missing = None;
        for (place, node) in nodes.iter().enumerate() {
            let Some(kept) = self.sellers_json.get(&name(node.asi)).filter(|kept| self.is_current(kept.expires, now))
            else {
                missing = Some(Verdict::NoSellersJson);
                continue;
            };
            let Some(seller) = kept.what.iter().find(|seller| seller.id == sid(node)) else {
                return Verdict::UnknownSeller;
            };
            let domain =
                seller.domain.as_ref().filter(|_| !seller.is_confidential).map(|domain| name(domain.as_bytes()));
            let wrong = if place == 0 {
                let owner = publisher.as_ref().map(|publisher| publisher.domain.clone());
                first(seller, domain, file, owner, path.country)
            } else {
                later(seller, domain, &name(nodes[place - 1].asi))
            };
            if let Some(verdict) = wrong {
                return verdict;
            }
        }
        match file {
            None => missing.unwrap_or(Verdict::NoAdsTxt),
            Some(None) => missing.unwrap_or(Verdict::Undeclared),
            Some(Some(declaration)) => {
                let files = publisher.map_or(&self.ads_txt, |publisher| publisher.files);
                for node in nodes {
                    match self.authorizes(declaration, files, node, now) {
                        Some(true) => {}
                        Some(false) => return Verdict::Unauthorized,
                        None => missing = missing.or(Some(Verdict::NoAdsTxt)),
                    }
                }
                missing.unwrap_or(Verdict::Verified)
            }
        }
    }

    fn is_current(&self, expires: u64, now: u64) -> bool {
        self.stale_open || now < expires
    }

    fn current<'w>(&self, files: &'w BTreeMap<String, Kept<File>>, domain: &str, now: u64) -> Option<&'w File> {
        files.get(domain).filter(|kept| self.is_current(kept.expires, now)).map(|kept| &kept.what)
    }

    /// Whose file applies.
    fn publisher(&self, inventory: Inventory<'_>) -> Option<Publisher<'_>> {
        match inventory {
            Inventory::Unknown => None,
            Inventory::App(bundle) => {
                let bundle = String::from_utf8_lossy(bundle).trim().to_owned();
                let files = &self.app_ads_txt;
                Some(Publisher { domain: host_of_file(files, &name(self.developers.get(&bundle)?.as_bytes())), files })
            }
            Inventory::Site(host) => {
                let files = &self.ads_txt;
                Some(Publisher { domain: host_of_file(files, &name(host)), files })
            }
        }
    }

    /// Whether the publisher's file, or a partner's that it names, lists the node; `None` if that cannot be told.
    fn authorizes(
        &self,
        declaration: &Declaration,
        files: &BTreeMap<String, Kept<File>>,
        node: &Node<'_>,
        now: u64,
    ) -> Option<bool> {
        let lists = |file: &Declaration| {
            file.records.iter().any(|(system, account)| *system == name(node.asi) && *account == sid(node))
        };
        if lists(declaration) {
            return Some(true);
        }
        let mut told = Some(false);
        for partner in &declaration.partners {
            match self.current(files, &host_of_file(files, partner), now) {
                Some(Some(file)) if lists(file) => return Some(true),
                Some(_) => {}
                None => told = None,
            }
        }
        told
    }
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

/// The first node: the publisher, or who manages for it. What is wrong.
fn first(
    seller: &Listed,
    domain: Option<String>,
    file: Option<&File>,
    hosted_at: Option<String>,
    country: Option<[u8; 2]>,
) -> Option<Verdict> {
    if seller.seller_type.is_none() {
        return Some(Verdict::WrongSellerType);
    }
    let is_intermediary = seller.seller_type == Some(SellerType::Intermediary);
    let declaration = match file {
        // It may be anybody's.
        None => return None,
        Some(None) if is_intermediary => return Some(Verdict::WrongSellerType),
        Some(None) => return None,
        Some(Some(declaration)) => declaration,
    };
    let manages = |domain: &String| {
        let here = |at: &Option<[u8; 2]>| at.is_none() || *at == country;
        declaration.managers.iter().any(|(manager, at)| manager == domain && here(at))
    };
    let Some(domain) = domain else {
        return is_intermediary.then_some(Verdict::WrongSellerType);
    };
    if manages(&domain) {
        None
    } else if is_intermediary {
        Some(Verdict::WrongSellerType)
    } else if declaration.owner.clone().or(hosted_at) == Some(domain) {
        None
    } else {
        Some(Verdict::WrongSellerDomain)
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
