//! How much memory this process may come to hold, whoever connects and whatever they send: added up at start from
//! [`crate::limits`] and from what was loaded, and told in the log. `tests/hostile` holds a process under attack to it.
//!
//! What is not in it: what the kernel keeps for sockets ([`Bound::kernel`] says how much that may become), and pages of mapped
//! files (the base of profiles), which the kernel takes back when it needs them.

use std::fmt;

use crate::bid::audit::Treated;
use crate::bid::notices::Waiting;
use crate::bid::server::{CONNECTION_BYTES, INPUT_BYTES, OFFER_BYTES};
use crate::bid::train::Row;
use crate::capture;
use crate::config::Config;
use crate::ingress;
use crate::limits;
use crate::metrics::core::CoreMetrics;
use crate::metrics::stalls;
use crate::profile::count::Count;
use crate::profile::fetched::Fetched;
use crate::ring::message::{Event, Order};
use crate::shading::Arm;
use crate::shading::cell::CELLS;
use crate::shading::curve::Curve;
use crate::shading::grid::BINS;
use crate::training;
use crate::units::Nanos;

/// Between buffers of a core ([`crate::bid::net`]), bytes.
const STAGGER: usize = crate::bid::net::STAGGER;
/// One core's stack, allocator pages, tables of compressed data, and small vectors, bytes.
const CORE_REST: usize = 8 * 1024 * 1024;
/// The reconciliation core's I/O memory, the threads beside it with their stacks, and what they format and parse, bytes.
const PROCESS_REST: usize = 64 * 1024 * 1024;
/// Memory of one connection to the admin port, bytes: what hyper buffers of a request, and the answer to a scrape.
const ADMIN_BYTES: usize = 640 * 1024;
/// One sum of reservations ([`crate::reconcile`]), bytes.
const COHORT: usize = 48;
/// A bid that is watched, and its place in a table that is half full, bytes.
const WATCHED: usize = 2 * (96 + 2 * 24);
/// The evidence of one cell, and its place in the table of cells, bytes.
const EVIDENCE: usize = 3 * 4 * BINS + 256;
/// The shortest bid request that can be bid on, bytes: a head and a document with one impression.
const BID_REQUEST: usize = 128;

/// What may be held, in bytes.
#[derive(Clone, Debug)]
pub struct Bound {
    cores: usize,
    /// Connections of each core.
    connections: usize,
    /// Of each core.
    core: Vec<(&'static str, usize)>,
    /// Of the process.
    process: Vec<(&'static str, usize)>,
}

/// What a node has loaded, and what that took.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// Campaigns.
    pub campaigns: usize,
    /// Resident before anything was loaded, bytes.
    pub before: usize,
    /// Resident after it was, bytes.
    pub after: usize,
}

impl Bound {
    /// The bound of a process with so many bid cores, of so many connections each.
    pub fn of(config: &Config, cores: usize, connections: usize, loaded: Loaded) -> Bound {
        let fetches = config.profiles.base.is_some() || config.stores.dynamodb.is_some();
        let when = |is: bool, bytes: usize| if is { bytes } else { 0 };
        let fetched = size_of::<Fetched>() + limits::PROFILE_BYTES + limits::COUNTS * size_of::<Count>();
        let received = limits::RECEIVE_BUFFERS * limits::RECEIVE_BUFFER;
        let core = vec![
            ("input", INPUT_BYTES),
            ("receive buffers", limits::RECEIVE_BUFFERS * (limits::RECEIVE_BUFFER + STAGGER)),
            ("answers", limits::ANSWER_BUFFERS * (limits::ANSWER_BUFFER + STAGGER)),
            ("connections", connections * CONNECTION_BYTES + limits::CONNECTIONS * size_of::<Option<Waiting>>()),
            // What one turn can bid on is what is in hand when it begins.
            ("bids under way", (INPUT_BYTES + received) / BID_REQUEST * OFFER_BYTES),
            // Chunks put together, gzip undone and done, and nine bytes for each byte of a document.
            ("documents", 11 * limits::BODY_BYTES + limits::ANSWER_BUFFER),
            // Counts: 64 bytes for four.
            ("users", limits::SHARD_BYTES + limits::SHARD_FREQUENCIES * 16),
            ("leases", limits::SLOTS * 64),
            (
                "rings",
                limits::EVENTS * size_of::<Event>()
                    + limits::ORDERS * size_of::<Order>()
                    + stalls::CROSSING * size_of::<stalls::Long>()
                    + limits::CAPTURE_RING
                    + when(config.audit.file.is_some(), limits::AUDITED * size_of::<Treated>())
                    + when(config.training.dir.is_some(), limits::ROWS * size_of::<Row>()),
            ),
            (
                "guards",
                when(config.edge.duplicates_ms.is_some(), limits::DUPLICATES * 16)
                    + when(config.edge.velocity.is_some(), 2 * limits::VELOCITY * 16),
            ),
            (
                "waiting for users",
                when(
                    fetches,
                    limits::PARKED_BIDS * (limits::PARKED_BYTES + limits::HEAD_BYTES) + 2 * limits::FETCHED * fetched,
                ),
            ),
            ("scoring", limits::CANDIDATES * (limits::FEATURES * size_of::<f32>() + size_of::<f64>())),
            ("curves", shaded(config) * CELLS * size_of::<Curve>()),
            ("counters", size_of::<CoreMetrics>() + when(config.supply.paths, 2 * limits::PATHS * 256)),
            ("rest", CORE_REST),
        ];
        // A reload holds what is new beside what is old; what it is read from was resident when it was first.
        let grown = loaded.after.saturating_sub(loaded.before);
        let minutes = (Nanos::SECOND * 60) as usize;
        let horizon = config.exchanges.iter().map(|exchange| exchange.rules.h2_ms()).max().unwrap_or(limits::H2_MS);
        let sums = 14 + (horizon + limits::EPSILON_MS) as usize * Nanos::MS as usize / minutes + 2;
        let process = vec![
            ("loaded", loaded.after + grown),
            ("books", loaded.campaigns * config.exchanges.len().max(1) * sums * COHORT),
            ("shading", shading(config)),
            ("training", when(config.training.dir.is_some(), training::MEMORY)),
            ("capture", capture::MEMORY),
            ("admin", limits::ADMIN_CONNECTIONS * ADMIN_BYTES),
            ("ingress", config.ingress.as_ref().map_or(0, |_| ingress::memory(through_ingress(config)))),
            ("rest", PROCESS_REST),
        ];
        Bound { cores, connections, core, process }
    }

    /// All of it, bytes.
    pub fn total(&self) -> usize {
        self.cores * self.core() + self.process()
    }

    /// Of one core, bytes.
    pub fn core(&self) -> usize {
        self.core.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Of what is no core's, bytes.
    pub fn process(&self) -> usize {
        self.process.iter().map(|(_, bytes)| bytes).sum()
    }

    /// What the kernel may keep beside it for the connections, bytes: it counts what it
    /// holds twice (`net.ipv4.tcp_mem` bounds all sockets of the machine).
    pub fn kernel(&self) -> usize {
        self.cores * self.connections * 2 * (limits::SOCKET_SEND_BYTES + limits::SOCKET_RECEIVE_BYTES)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes.div_ceil(1024 * 1024);
        let parts = |f: &mut fmt::Formatter<'_>, parts: &[(&str, usize)]| {
            parts.iter().filter(|(_, bytes)| *bytes > 0).enumerate().try_for_each(|(index, (name, bytes))| {
                write!(f, "{}{name} {}", if index == 0 { "" } else { ", " }, mib(*bytes))
            })
        };
        let (total, cores) = (mib(self.total()), self.cores);
        write!(f, "memory bound {total} MiB: {cores} cores of {} connections (", self.connections)?;
        parts(f, &self.core)?;
        write!(f, "), and the process (")?;
        parts(f, &self.process)?;
        write!(f, "); the kernel's for sockets up to {} MiB", mib(self.kernel()))
    }
}

/// Connections that each of `cores` may have, of so many descriptors of the process. Each that comes through the ingress has two
/// more, the peer's and the ingress's own end.
pub fn connections(config: &Config, descriptors: u64, cores: usize) -> usize {
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let reserved = limits::RESERVED_DESCRIPTORS + 2 * through_ingress(config);
    // With next to none, half of them are reserved.
    let shared = descriptors - reserved.min(descriptors / 2);
    (shared / cores).clamp(1, limits::CONNECTIONS)
}

/// Exchanges whose bids are shaded.
fn shaded(config: &Config) -> usize {
    config.exchanges.iter().filter(|exchange| exchange.shading.arm != Arm::None).count()
}

/// What prices are learnt from, bytes: evidence of cells, and bids that are watched.
fn shading(config: &Config) -> usize {
    let cells = (shaded(config) * CELLS).min(limits::SHADING_CELLS);
    cells * EVIDENCE + shaded(config) * limits::SHADED_BIDS * WATCHED
}

/// Connections that may come through the ingress, if there is one.
fn through_ingress(config: &Config) -> usize {
    config.ingress.as_ref().map_or(0, |ingress| ingress.max_connections.get() as usize)
}

/// Raises the limit of descriptors as far as this process may, and says where it is.
pub fn raise_descriptors() -> u64 {
    match rlimit::Resource::NOFILE.get() {
        Ok((soft, hard)) if soft < hard && rlimit::Resource::NOFILE.set(hard, hard).is_ok() => hard,
        Ok((soft, _)) => soft,
        Err(_) => 1024,
    }
}

/// Descriptors that this process may have open.
pub fn descriptors() -> u64 {
    rlimit::Resource::NOFILE.get().map_or(1024, |(soft, _)| soft)
}

/// What of this process is in memory now, bytes; 0 if the kernel does not say.
pub fn resident() -> usize {
    let pages = || {
        let text = std::fs::read_to_string("/proc/self/statm").ok()?;
        text.split(' ').nth(1)?.parse::<usize>().ok()
    };
    pages().unwrap_or(0) * 4096
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_not_shared_out() {
        let reserved = limits::RESERVED_DESCRIPTORS;
        let config = Config::demo(std::path::Path::new("x"));
        let connections = |descriptors, cores| connections(&config, descriptors, cores);
        assert_eq!(connections(20_000, 1), 20_000 - reserved);
        assert_eq!(connections(20_000, 2), (20_000 - reserved) / 2);
        assert_eq!(connections(100, 1), 50);
        assert_eq!(connections(0, 3), 1);
        assert_eq!(connections(u64::MAX, 1), limits::CONNECTIONS);
    }

    #[test]
    fn a_core_more_or_a_connection_more_is_in_the_bound() {
        let config = Config::demo(std::path::Path::new("x"));
        let loaded = Loaded { campaigns: 10, before: 1 << 20, after: 3 << 20 };
        let bound = |cores, connections| Bound::of(&config, cores, connections, loaded).total();
        assert!(bound(2, 1000) - bound(1, 1000) > INPUT_BYTES + limits::SHARD_BYTES);
        assert_eq!(bound(3, 1001) - bound(3, 1000), 3 * CONNECTION_BYTES);
        let more = Loaded { after: 4 << 20, ..loaded };
        assert_eq!(Bound::of(&config, 1, 1, more).total() - bound(1, 1), 2 << 20);
        let line = Bound::of(&config, 2, 9872, loaded).to_string();
        assert!(
            line.starts_with("memory bound ") && line.contains("2 cores of 9872 connections (input 118, "),
            "{line}"
        );
    }
}
