//! Puts a [`Supply`] together, one file at a time.
//!
//! What stays in memory of a file is its name and what it says of its publisher; its records are hashes at once, and wait in
//! a [`Spill`] until it is known how many there are. So a build takes the table, one file, and some tens of megabytes.
//!
//! Whatever can be decided once is decided here: which hosts have a file of their own, whose file an app's is, and what a domain
//! is that can be registered, so that nobody's line makes a file count for whole suffixes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, BufRead};
use std::path::Path;

use super::hash::{BLOCKED, Key, Kind, domain, short};
use super::record::{Account, File, Manager, More, Status, System, country};
use super::spill::Spill;
use super::table::Table;
use super::{Counts, Supply};
use crate::limits;
use crate::supply::ads_txt::{Line, Refusal, lines, refusal, says_something};
use crate::supply::fetch::names;
use crate::supply::sellers_json::{self, Summary};
use crate::units::UnixMillis;

/// Hashes in memory before they are spilled: 32 MB.
const PAIRS: usize = 4 << 20;
/// Sellers in memory before they are spilled: 16 MB.
const SELLERS: usize = 1 << 20;
/// In the place of a file's number: there is none.
const NO_FILE: u32 = u32::MAX;

/// What was got for an ads.txt or app-ads.txt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A file.
    Good(&'a [u8]),
    /// 404: the publisher declares nothing.
    Absent,
    /// Neither: it was asked for, and nobody knows what it says.
    Unavailable,
}

/// What was read of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Records, repetitions and placeholders included.
    pub records: u64,
    /// Lines that could not be understood.
    pub skipped: u64,
    /// Partners and subdomains that it names beyond those that are kept.
    pub left_out: u64,
    /// It is no such file, and counts as one that cannot be had.
    pub refused: Option<Refusal>,
}

/// A table in the making.
#[derive(Debug)]
pub struct Builder {
    key: Key,
    pairs: Spill<1>,
    sellers: Spill<2>,
    publishers: HashMap<(Kind, Box<str>), Publisher>,
    systems: HashMap<u64, (UnixMillis, u16)>,
    /// Bundles, with the developer's domain as its place in `developers`.
    apps: Vec<(u64, u32)>,
    developers: HashMap<Box<str>, u32>,
    has_default_owner: bool,
}

/// What a file says of its publisher. Names are in their stored form.
#[derive(Debug)]
struct Publisher {
    status: Status,
    expires: UnixMillis,
    /// See [`File::owner`].
    owner: u32,
    managers: Vec<Manager>,
    partners: BTreeSet<Box<str>>,
    /// There are more.
    is_cut: bool,
    subdomains: BTreeSet<Box<str>>,
    /// See [`File::applies`].
    applies: bool,
}

impl Publisher {
    fn new(status: Status, expires: UnixMillis, owner: u32) -> Publisher {
        let (managers, partners, subdomains) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        Publisher { status, expires, owner, managers, partners, is_cut: false, subdomains, applies: false }
    }

    /// Of a file that nobody has.
    fn unknown() -> Publisher {
        Publisher::new(Status::Unknown, UnixMillis(0), 0)
    }
}

impl Builder {
    /// An empty one, with a key of its own. What does not fit its memory goes to files without a name in this folder: eight
    /// bytes a record, sixteen a seller.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn new(folder: &Path) -> io::Result<Builder> {
        Ok(Builder {
            key: Key::random()?,
            pairs: Spill::new(folder, PAIRS),
            sellers: Spill::new(folder, SELLERS),
            publishers: HashMap::new(),
            systems: HashMap::new(),
            apps: Vec::new(),
            developers: HashMap::new(),
            has_default_owner: true,
        })
    }

    /// From here on, a file without OWNERDOMAIN does not tell its owner: for files of which it is not known where they stand. Otherwise
    /// it is the domain where it stands.
    pub fn without_default_owner(&mut self) {
        self.has_default_owner = false;
    }

    /// Adds a publisher's file, each once.
    ///
    /// # Errors
    /// There is no room in the folder.
    pub fn ads_txt(&mut self, kind: Kind, host: &str, body: Body<'_>, expires: UnixMillis) -> io::Result<Read> {
        let (mut read, name) = (Read::default(), name(host));
        let own = self.key.domain(name.as_bytes());
        let owner = if self.has_default_owner { short(own) } else { 0 };
        let publisher = match body {
            Body::Good(text) => {
                let mut publisher = Publisher::new(Status::Good, expires, owner);
                read.refused = refusal(text).or_else(|| (!says_something(text)).then_some(Refusal::Silent));
                match read.refused {
                    None => self.read_ads_txt(self.key.file(kind, own), &name, text, &mut publisher, &mut read)?,
                    Some(_) => publisher = Publisher::unknown(),
                }
                publisher
            }
            Body::Absent => Publisher::new(Status::Absent, expires, owner),
            Body::Unavailable => Publisher::unknown(),
        };
        self.publishers.insert((kind, name), publisher);
        Ok(read)
    }

    /// The records of a file, by its hash, go to the pairs; what it says of its publisher, to that.
    fn read_ads_txt(
        &mut self,
        file: u64,
        name: &str,
        text: &[u8],
        publisher: &mut Publisher,
        read: &mut Read,
    ) -> io::Result<()> {
        let of = |text: &str| self.key.domain(domain(text.as_bytes()));
        let mut has_owner = false;
        // Most files name one system many times in a row.
        let mut last = ("", of(""));
        for line in lines(text) {
            match line {
                Line::Record(record) => {
                    read.records += 1;
                    if record.is_placeholder() {
                        continue;
                    }
                    if record.domain != last.0 {
                        last = (record.domain, of(record.domain));
                    }
                    let account = self.key.account(record.account.as_bytes().trim_ascii());
                    self.pairs.push([self.key.join(file, self.key.join(last.1, account))])?;
                }
                Line::Variable { name: variable, value } => {
                    let is = |known: &str| variable.eq_ignore_ascii_case(known);
                    if is("OWNERDOMAIN") && !has_owner && !value.is_empty() {
                        (has_owner, publisher.owner) = (true, short(of(value)));
                    } else if is("MANAGERDOMAIN") && publisher.managers.len() < limits::MANAGERS {
                        publisher.managers.extend(manager(value, of));
                    } else if is("SUBDOMAIN") {
                        let below = names::host(value).filter(|host| is_below(host, name));
                        if !keep(below, &mut publisher.subdomains, limits::SUBDOMAINS) {
                            read.left_out += 1;
                        }
                    } else if is("INVENTORYPARTNERDOMAIN") {
                        let partner = names::host(value).filter(|host| host != name && psl::domain_str(host).is_some());
                        if !keep(partner, &mut publisher.partners, limits::REFERENCES) {
                            (publisher.is_cut, read.left_out) = (true, read.left_out + 1);
                        }
                    }
                }
                Line::Skipped { .. } => read.skipped += 1,
            }
        }
        Ok(())
    }

    /// Adds a system's sellers.json, each once. Of two entries with one id, the first counts.
    ///
    /// # Errors
    /// It is no sellers.json ([`io::ErrorKind::InvalidData`]): then it counts as if there were none. Or it cannot be read, or
    /// there is no room in the folder.
    pub fn sellers_json(&mut self, asi: &str, text: impl BufRead, expires: UnixMillis) -> io::Result<Summary> {
        let system = self.key.domain(domain(asi.as_bytes()));
        let mut pushed = Ok(());
        let summary = sellers_json::read_from(text, |seller| {
            let of = seller.domain.map(|name| self.key.domain(domain(name.as_bytes())));
            let id = self.key.join(system, self.key.account(seller.seller_id.as_bytes().trim_ascii()));
            if pushed.is_ok() {
                pushed = self.sellers.push([id, u64::from(Account::new(&seller, of).0)]);
            }
        });
        pushed?;
        // What was read before a mistake stays where nobody asks for it.
        let summary = summary.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let (until, flags) = self.systems.entry(system).or_default();
        (*until, *flags) = (expires, *flags | System::LISTS);
        Ok(summary)
    }

    /// Adds an app and the domain of its developer, where its app-ads.txt is.
    pub fn app(&mut self, bundle: &str, developer: &str) {
        let next = self.developers.len() as u32;
        let developer = *self.developers.entry(name(developer)).or_insert(next);
        self.apps.push((self.key.bundle(bundle.as_bytes().trim_ascii()), developer));
    }

    /// Blocks a system, or one of its sellers.
    ///
    /// # Errors
    /// There is no room in the folder.
    pub fn block(&mut self, asi: &str, sid: Option<&str>) -> io::Result<()> {
        let system = self.key.domain(domain(asi.as_bytes()));
        let flags = &mut self.systems.entry(system).or_default().1;
        let Some(sid) = sid else {
            *flags |= System::BLOCKED;
            return Ok(());
        };
        *flags |= System::BLOCKED_SELLERS;
        let seller = self.key.join(system, self.key.account(sid.as_bytes().trim_ascii()));
        self.pairs.push([self.key.join(BLOCKED, seller)])
    }

    /// The hosts whose ads.txt is for nothing, in their order: neither does the file of their root domain refer to it, nor does
    /// anybody name them a partner. They are not in the table.
    pub fn unreferred(&self) -> Vec<&str> {
        let references = self.references();
        let is_unreferred = |kind: Kind, name: &str| {
            kind == Kind::AdsTxt && !references.applies(name) && !references.partners.contains(name)
        };
        let mut names: Vec<&str> =
            self.publishers.keys().filter(|(kind, name)| is_unreferred(*kind, name)).map(|(_, name)| &**name).collect();
        names.sort_unstable();
        names
    }

    /// The table.
    ///
    /// # Errors
    /// What was spilled cannot be read again.
    pub fn finish(mut self) -> io::Result<Supply> {
        self.settle();
        let known = self.publishers.values().filter(|publisher| publisher.status != Status::Unknown).count();
        let mut supply = Supply { key: self.key, ..Supply::default() };
        let mut counts = Counts { files: known as u64, ..Counts::default() };
        self.fill_files(&mut supply);
        let Builder { key, pairs, sellers, systems, apps, developers, .. } = self;

        supply.systems = Table::with_room(systems.len());
        for (hash, (expires, flags)) in systems {
            counts.systems += u64::from(flags & System::LISTS != 0);
            System::write(room(&mut supply.systems, hash).0, expires, flags);
        }

        let mut of_developer = vec![NO_FILE; developers.len()];
        for (name, at) in developers {
            let file = key.file(Kind::AppAdsTxt, key.domain(name.as_bytes()));
            of_developer[at as usize] = supply.files.number(file).unwrap_or(NO_FILE);
        }
        supply.apps = Table::with_room(apps.len());
        for (hash, developer) in apps {
            let (slot, is_new) = room(&mut supply.apps, hash);
            slot[1] = of_developer[developer as usize];
            counts.apps += u64::from(is_new);
        }

        supply.sellers = Table::with_room(sellers.len());
        sellers.drain(|[hash, account]| {
            let (slot, is_new) = room(&mut supply.sellers, hash);
            if is_new {
                slot[1] = account as u32;
            }
            counts.sellers += u64::from(is_new);
        })?;
        supply.pairs = Table::with_room(pairs.len());
        pairs.drain(|[hash]| counts.pairs += u64::from(room(&mut supply.pairs, hash).1))?;
        supply.counts = counts;
        Ok(supply)
    }

    /// Who is named by files that count.
    fn references(&self) -> References {
        let mut references = References::default();
        let ads_txt = |name: &str| self.publishers.get(&(Kind::AdsTxt, Box::from(name)));
        for ((kind, name), publisher) in &self.publishers {
            if *kind == Kind::AdsTxt && is_root(name) {
                references.subdomains.extend(publisher.subdomains.iter().cloned());
            }
        }
        let subdomains = references.subdomains.iter().filter_map(|name| ads_txt(name));
        let others = self.publishers.iter().filter(|((kind, name), _)| *kind == Kind::AppAdsTxt || is_root(name));
        let partners = others.map(|(_, publisher)| publisher).chain(subdomains).flat_map(|of| of.partners.iter());
        references.partners = partners.cloned().collect();
        references
    }

    /// Whose file each is. An ads.txt applies to its host if that is a root domain, or if the root's file names it by SUBDOMAIN, and then
    /// the root's does not apply to it, had or not (ads.txt 1.1, 3.5.1: the referral is exclusive of the parent). Others count as
    /// a partner's or not at all. An app-ads.txt is that of the apps of which the crawler says so; SUBDOMAIN means nothing there.
    fn settle(&mut self) {
        let references = self.references();
        self.publishers.retain(|(kind, name), publisher| {
            publisher.applies = *kind == Kind::AppAdsTxt || references.applies(name);
            publisher.applies || references.partners.contains(name)
        });
        for name in references.subdomains.union(&references.partners) {
            let applies = references.applies(name);
            let never = || Publisher { applies, ..Publisher::unknown() };
            self.publishers.entry((Kind::AdsTxt, name.clone())).or_insert_with(never);
        }
    }

    fn fill_files(&self, supply: &mut Supply) {
        let hash = |kind: Kind, name: &str| self.key.file(kind, self.key.domain(name.as_bytes()));
        let mut files = Table::with_room(self.publishers.len());
        for (kind, name) in self.publishers.keys() {
            room(&mut files, hash(*kind, name));
        }
        // All have their places now, so that those of partners are known.
        let mut more = vec![0];
        for ((kind, name), publisher) in &self.publishers {
            let Publisher { status, expires, owner, applies, .. } = *publisher;
            let (first, managers) =
                publisher.managers.split_first().map_or((Manager::default(), &[][..]), |(first, rest)| (*first, rest));
            // A partner's partners are nobody's: one hop.
            let partners: Vec<&str> = publisher.partners.iter().filter(|_| applies).map(|name| &**name).collect();
            let mut rest = 0;
            if !managers.is_empty() || !partners.is_empty() {
                let numbers = partners.iter().map(|name| files.number(hash(Kind::AdsTxt, name)).unwrap_or(NO_FILE));
                let start = More::write(&mut more, managers, numbers, publisher.is_cut);
                rest = u32::try_from(start).expect("bounded numbers of managers and partners of less than 2^24 files");
            }
            let slot = room(&mut files, hash(*kind, name)).0;
            File::write(slot, expires, status, applies, owner, first, rest);
        }
        (supply.files, supply.more) = (files, more.into());
    }
}

/// Whom files that count name.
#[derive(Debug, Default)]
struct References {
    /// By SUBDOMAIN, in the file of their root domain.
    subdomains: HashSet<Box<str>>,
    /// By INVENTORYPARTNERDOMAIN.
    partners: HashSet<Box<str>>,
}

impl References {
    fn applies(&self, name: &str) -> bool {
        is_root(name) || self.subdomains.contains(name)
    }
}

/// Whether somebody can have registered it: a public suffix and one name (ads.txt 1.1, 3.1).
fn is_root(name: &str) -> bool {
    psl::domain_str(name) == Some(name)
}

/// Whether this is the root domain of a host below it.
fn is_below(host: &str, root: &str) -> bool {
    host != root && psl::domain_str(host) == Some(root)
}

/// Adds what is a name to those that are kept, each once; false if there is no room for it.
fn keep(name: Option<String>, names: &mut BTreeSet<Box<str>>, most: usize) -> bool {
    let Some(name) = name.map(Box::from) else { return true };
    let has_room = names.len() < most || names.contains(&name);
    if has_room {
        names.insert(name);
    }
    has_room
}

/// A table of the builder's has room for all it counted.
fn room<const W: usize>(table: &mut Table<W>, hash: u64) -> (&mut [u32; W], bool) {
    table.slot(hash).expect("a table with room for every entry")
}

/// A domain as it is kept while the table is made.
fn name(written: &str) -> Box<str> {
    String::from_utf8_lossy(domain(written.as_bytes())).to_ascii_lowercase().into()
}

/// `MANAGERDOMAIN=domain[, country]`. With something else in the place of the country it is nobody's.
fn manager(value: &str, of: impl Fn(&str) -> u64) -> Option<Manager> {
    let (name, place) = value.split_once(',').unwrap_or((value, ""));
    let place = match place.trim().as_bytes() {
        [] => None,
        &[a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => Some([a, b]),
        _ => return None,
    };
    (!name.trim().is_empty()).then(|| Manager { domain: short(of(name)), country: country(place) })
}
