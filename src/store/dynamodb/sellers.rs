//! What a tenant knows of sellers: the files that `corebid supply fetch` keeps, ads.txt, app-ads.txt and sellers.json, in the tenant's
//! partition.
//!
//! ```text
//! file#ads.txt#news.example    the entry of the folder's log, as JSON, with the digest of its body
//! apps                         digest and parts of the list of apps
//! body#<digest>#<part>         a body, deflated, in parts; publishers of one network share one
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::client::Client;
use super::dal::{Change, Dal, VALUE};
use super::failure::Failure;
use super::item::{Read, binary, text};
use super::tables::Table;
use super::tenant::{Operator, Tenant};
use crate::supply::store::{Entry, Status, Store, Writer};
use crate::units::AdvertiserId;

const FILE: &str = "file#";
const APPS: &str = "apps";
const BODY: &str = "body#";
/// Bytes of a body at most: the largest sellers.json has some hundred megabytes.
const BODY_BYTES: u64 = 1 << 30;
/// Bytes of bodies that wait to be written together.
const WAITING: usize = 16 << 20;

fn failed(path: &Path, error: &impl std::fmt::Display) -> Failure {
    Failure::malformed(format!("{}: {error}", path.display()))
}

fn malformed(error: impl std::fmt::Display) -> Failure {
    Failure::malformed(error.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(entry: &Entry) -> String {
    format!("{FILE}{}#{}", entry.kind.file(), entry.domain)
}

/// Makes a tenant's files those of a folder, and returns how many items were written and how many removed.
///
/// # Errors
/// The folder cannot be read; or as [`Dal`] fails. What was written until then is of no harm: no entry names it.
pub async fn push(dal: &Dal<'_>, folder: &Path) -> Result<(usize, usize), Failure> {
    let store = Store::open(folder).map_err(|error| failed(folder, &error))?;
    let (revision, files) = dal.snapshot(Table::Supply, FILE).await?;
    let mut files: HashMap<String, String> = files
        .into_iter()
        .filter_map(|item| Some((item.text_of("id").ok()?.to_owned(), item.text_of("value").ok()?.to_owned())))
        .collect();
    let mut bodies = Bodies {
        dal,
        revision,
        before: dal.ids(Table::Supply, BODY).await?.into_iter().collect(),
        added: HashSet::new(),
        waiting: Vec::new(),
        bytes: 0,
        written: 0,
    };
    let mut changes = Vec::new();
    for entry in store.entries() {
        if entry.status == Status::Good && !bodies.added.contains(&entry.digest) {
            let body = store.body(entry).map_err(|error| failed(folder, &error))?;
            bodies.add(&entry.digest, &body).await?;
        }
        let json = serde_json::to_string(entry).map_err(malformed)?;
        if files.remove(&file(entry)).as_ref() != Some(&json) {
            changes.push(Change::Put { id: file(entry), bytes: json.len(), value: text(json) });
        }
    }
    let apps: BTreeMap<&str, &str> = store.apps().collect();
    let apps = serde_json::to_vec(&apps).map_err(malformed)?;
    let digest = hex(&Sha256::digest(&apps));
    bodies.add(&digest, &apps).await?;
    let named = dal.get(Table::Supply, APPS).await?;
    if !named.is_some_and(|item| item.text_of("value").is_ok_and(|named| named == digest)) {
        changes.push(Change::Put { id: APPS.to_owned(), bytes: digest.len(), value: text(digest) });
    }
    // Bodies first, and those that nobody names last: whoever reads between two transactions finds every body that is named.
    bodies.flush().await?;
    let (written, removed) = (bodies.written + changes.len(), files.len() + bodies.before.len());
    changes.extend(files.into_keys().chain(bodies.before).map(|id| Change::Delete { id }));
    dal.change(Table::Supply, bodies.revision, changes).await?;
    Ok((written, removed))
}

/// Bodies on their way: some tens of megabytes of them are in memory at once.
struct Bodies<'d> {
    dal: &'d Dal<'d>,
    revision: u64,
    /// Parts that are there and that nobody has named yet.
    before: HashSet<String>,
    /// Digests.
    added: HashSet<String>,
    waiting: Vec<Change>,
    bytes: usize,
    written: usize,
}

impl Bodies<'_> {
    async fn add(&mut self, digest: &str, body: &[u8]) -> Result<(), Failure> {
        if !self.added.insert(digest.to_owned()) {
            return Ok(());
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(body).map_err(malformed)?;
        for (part, at) in gzip.finish().map_err(malformed)?.chunks(VALUE).zip(0..) {
            let id = format!("{BODY}{digest}#{at:06}");
            if !self.before.remove(&id) {
                self.bytes += part.len();
                self.waiting.push(Change::Put { id, value: binary(part), bytes: part.len() });
            }
        }
        if self.bytes >= WAITING { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        self.written += self.waiting.len();
        self.bytes = 0;
        self.revision = self.dal.change(Table::Supply, self.revision, std::mem::take(&mut self.waiting)).await?;
        Ok(())
    }
}

/// Takes a tenant's files into a folder of `corebid supply fetch`, where a newer copy of the same file stays, whoever's it is.
/// Returns how many were taken.
///
/// # Errors
/// They could not be read, or the folder not be written.
pub async fn pull(dal: &Dal<'_>, into: &mut Writer) -> Result<usize, Failure> {
    let root = into.root().to_owned();
    let (_, items) = dal.snapshot(Table::Supply, FILE).await?;
    let mut taken = 0;
    for item in items {
        let entry: Entry = serde_json::from_str(item.text_of("value")?).map_err(malformed)?;
        if file(&entry) != item.text_of("id")? {
            return Err(Failure::malformed(format!("{} is under another's key", file(&entry))));
        }
        if into.store().entry(entry.kind, &entry.domain).is_some_and(|known| known.fetched >= entry.fetched) {
            continue;
        }
        if entry.status == Status::Good && !into.bodies().have(&entry) {
            let mut body = into.bodies().begin(0).map_err(|error| failed(&root, &error))?;
            body.write_all(&body_of(dal, &entry.digest).await?).map_err(|error| failed(&root, &error))?;
            let (digest, _) = body.keep().map_err(|error| failed(&root, &error))?;
            if digest != entry.digest {
                return Err(Failure::malformed(format!("the body of {} is not what was fetched", file(&entry))));
            }
        }
        into.put(entry).map_err(|error| failed(&root, &error))?;
        taken += 1;
    }
    if let Some(item) = dal.get(Table::Supply, APPS).await? {
        let told: BTreeMap<String, String> =
            serde_json::from_slice(&body_of(dal, item.text_of("value")?).await?).map_err(malformed)?;
        let known = || into.store().apps().map(|(bundle, developer)| (bundle.to_owned(), developer.to_owned()));
        let mut apps: BTreeMap<String, String> = known().collect();
        let before = apps.len();
        for (bundle, developer) in told {
            apps.entry(bundle).or_insert(developer);
        }
        if apps.len() > before {
            into.put_apps(apps).map_err(|error| failed(&root, &error))?;
            taken += 1;
        }
    }
    into.sync().map_err(|error| failed(&root, &error))?;
    Ok(taken)
}

async fn body_of(dal: &Dal<'_>, digest: &str) -> Result<Vec<u8>, Failure> {
    let mut deflated = Vec::new();
    for mut item in dal.query(Table::Supply, &format!("{BODY}{digest}#")).await? {
        deflated.append(&mut item.binary_of("value")?);
    }
    let mut body = Vec::new();
    GzDecoder::new(&*deflated).take(BODY_BYTES).read_to_end(&mut body).map_err(malformed)?;
    Ok(body)
}

/// Keeps a folder of sellers' files current.
#[derive(Debug)]
pub struct Sellers {
    client: Client,
    operator: Operator,
    folder: PathBuf,
    /// What was taken of each tenant.
    revisions: HashMap<AdvertiserId, u64>,
}

impl Sellers {
    /// Of this operator's tenants, into this folder.
    pub fn new(client: Client, operator: Operator, folder: PathBuf) -> Sellers {
        Sellers { client, operator, folder, revisions: HashMap::new() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes what is new, and returns whether anything was.
    ///
    /// # Errors
    /// The first tenant that could not be read; what could, is in the folder.
    pub async fn pull(&mut self) -> Result<bool, Failure> {
        let (mut changed, mut first) = (false, None);
        for tenant in self.operator.clone().tenants().each() {
            match self.pull_one(&tenant).await {
                Ok(taken) => changed |= taken > 0,
                Err(failure) => drop(first.get_or_insert(failure)),
            }
        }
        // What came is worth a table, even if something else did not.
        match first {
            Some(failure) if !changed => Err(failure),
            Some(failure) => {
                log::error!("{failure}; what was had of these sellers before stays in use");
                Ok(true)
            }
            None => Ok(changed),
        }
    }

    async fn pull_one(&mut self, tenant: &Tenant) -> Result<usize, Failure> {
        let dal = Dal::new(&self.client, tenant);
        let revision = dal.revision(Table::Supply).await?;
        if self.revisions.get(&tenant.advertiser()) == Some(&revision) {
            return Ok(0);
        }
        let mut writer = Writer::open(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        let taken = pull(&dal, &mut writer).await?;
        self.revisions.insert(tenant.advertiser(), revision);
        Ok(taken)
    }
}
