//! Puts a [`Supply`] together, one file at a time.
//!
//! What stays in memory of a file is its name and what it says of its publisher; its records are hashes at once, and wait in
//! a [`Spill`] until it is known how many there are. So a build takes the table, one file, and some tens of megabytes.
//!
//! Whatever can be decided once is decided here: which subdomains have a file of their own, and whose file an app's is.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead};
use std::path::Path;

use super::check::files;
use super::hash::{BLOCKED, Key, Kind, domain, short};
use super::record::{Account, File, Manager, Status, System, country};
use super::spill::Spill;
use super::table::Table;
use super::{Counts, Supply};
use crate::limits;
use crate::supply::ads_txt::{Line, Refusal, lines, refusal};
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
}

/// What was read of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Records, repetitions and placeholders included.
    pub records: u64,
    /// Lines that could not be understood.
    pub skipped: u64,
    /// It is no such file, and counts as if there were none.
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
}

/// What a file says of its publisher.
#[derive(Debug)]
struct Publisher {
    status: Status,
    expires: UnixMillis,
    owner: u32,
    managers: Vec<Manager>,
    partners: Vec<Box<str>>,
    subdomains: Vec<Box<str>>,
}

impl Publisher {
    fn new(status: Status, expires: UnixMillis, owner: u32) -> Publisher {
        let (managers, partners, subdomains) = (Vec::new(), Vec::new(), Vec::new());
        Publisher { status, expires, owner, managers, partners, subdomains }
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
        })
    }

    /// Adds a publisher's file, each once.
    ///
    /// # Errors
    /// There is no room in the folder.
    pub fn ads_txt(&mut self, kind: Kind, host: &str, body: Body<'_>, expires: UnixMillis) -> io::Result<Read> {
        let (mut read, name) = (Read::default(), name(host));
        let of = |text: &str| self.key.domain(domain(text.as_bytes()));
        let own = of(&name);
        let Body::Good(text) = body else {
            self.publishers.insert((kind, name), Publisher::new(Status::Absent, expires, short(own)));
            return Ok(read);
        };
        read.refused = refusal(text);
        if read.refused.is_some() {
            return Ok(read);
        }
        let mut publisher = Publisher::new(Status::Good, expires, short(own));
        let (mut has_owner, file) = (false, self.key.file(kind, own));
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
                    } else if is("SUBDOMAIN") && publisher.subdomains.len() < limits::SUBDOMAINS {
                        publisher.subdomains.push(self::name(value));
                    } else if is("INVENTORYPARTNERDOMAIN") && publisher.partners.len() < limits::PARTNERS {
                        publisher.partners.push(self::name(value));
                    }
                }
                Line::Skipped { .. } => read.skipped += 1,
            }
        }
        self.publishers.insert((kind, name), publisher);
        Ok(read)
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

    /// The table.
    ///
    /// # Errors
    /// What was spilled cannot be read again.
    pub fn finish(mut self) -> io::Result<Supply> {
        self.apply_subdomains();
        let mut supply = Supply { key: self.key, ..Supply::default() };
        let mut counts = Counts { files: self.publishers.len() as u64, ..Counts::default() };
        self.fill_files(&mut supply);
        let Builder { key, pairs, sellers, systems, apps, developers, .. } = self;

        supply.systems = Table::with_room(systems.len());
        for (hash, (expires, flags)) in systems {
            counts.systems += u64::from(flags & System::LISTS != 0);
            System::write(room(&mut supply.systems, hash).0, expires, flags);
        }

        let mut of_developer = vec![NO_FILE; developers.len()];
        for (name, at) in developers {
            of_developer[at as usize] = number(key, &supply.files, Kind::AppAdsTxt, &name);
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

    /// A file of a subdomain counts only if the root's file names it, and then the root's does not count for it, had or not
    /// (ads.txt 1.1, SUBDOMAIN: the referral is exclusive of the parent). The root is the highest domain of which there is a file: which
    /// domains are registered is the crawler's to know.
    fn apply_subdomains(&mut self) {
        let root = |kind: Kind, name: &str| {
            let known = |above: &&str| self.publishers.contains_key(&(kind, Box::from(*above)));
            above(name).filter(known).last().map(str::to_owned)
        };
        let roots: HashMap<(Kind, Box<str>), Option<String>> =
            self.publishers.keys().map(|(kind, name)| ((*kind, name.clone()), root(*kind, name))).collect();
        let mut named = HashSet::new();
        for ((kind, name), publisher) in &self.publishers {
            if roots[&(*kind, name.clone())].is_none() {
                let below = |host: &&Box<str>| above(host).any(|above| above == &**name);
                named.extend(publisher.subdomains.iter().filter(below).map(|host| (*kind, host.clone())));
            }
        }
        self.publishers.retain(|file, _| roots[file].is_none() || named.contains(file));
        for file in named {
            let never = || Publisher::new(Status::Unknown, UnixMillis(0), 0);
            self.publishers.entry(file).or_insert_with(never);
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
            let (first, managers) =
                publisher.managers.split_first().map_or((Manager::default(), &[][..]), |(first, rest)| (*first, rest));
            let mut rest = 0;
            if !managers.is_empty() || !publisher.partners.is_empty() {
                rest = u32::try_from(more.len())
                    .expect("bounded numbers of managers and partners of less than 2^24 files");
                more.push(managers.len() as u32 | (publisher.partners.len() as u32) << 16);
                more.extend(managers.iter().flat_map(|manager| [manager.domain, manager.country]));
                more.extend(publisher.partners.iter().map(|host| number(self.key, &files, *kind, host)));
            }
            let slot = room(&mut files, hash(*kind, name)).0;
            File::write(slot, publisher.expires, publisher.status, publisher.owner, first, rest);
        }
        (supply.files, supply.more) = (files, more.into());
    }
}

/// A table of the builder's has room for all it counted.
fn room<const W: usize>(table: &mut Table<W>, hash: u64) -> (&mut [u32; W], bool) {
    table.slot(hash).expect("a table with room for every entry")
}

/// A domain as it is kept while the table is made.
fn name(written: &str) -> Box<str> {
    String::from_utf8_lossy(domain(written.as_bytes())).to_ascii_lowercase().into()
}

/// The domains above a host, the nearest first, down to two labels.
fn above(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').map(|(at, _)| &host[at + 1..]).filter(|above| above.contains('.'))
}

/// The number of the file that applies to a host.
fn number(key: Key, table: &Table<8>, kind: Kind, host: &str) -> u32 {
    files(key, kind, host.as_bytes()).into_iter().find_map(|file| table.number(file)).unwrap_or(NO_FILE)
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
