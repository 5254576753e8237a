//! Which CPUs are bid cores, which keep house, and which network card the exchanges come by.

use serde::{Serialize, Serializer};

use super::Options;
use super::cpus::CpuSet;
use super::host::Host;
use crate::topology::MAX_BID_CORES;

/// The roles on a host.
#[derive(Clone, Debug, Serialize)]
pub struct Roles {
    /// CPUs of the bid cores.
    #[serde(serialize_with = "list")]
    pub bid: CpuSet,
    /// CPUs for everything else.
    #[serde(serialize_with = "list")]
    pub housekeeping: CpuSet,
    /// The network card.
    pub nic: Option<String>,
}

fn list<S: Serializer>(cpus: &CpuSet, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cpus)
}

impl Roles {
    /// Those asked for, or what `corebid serve` takes by default: all CPUs but the first, or the reconciliation core's.
    ///
    /// # Errors
    /// The CPUs cannot be read, or one that was asked for is not there.
    pub fn of(host: &Host, options: &Options) -> Result<Roles, String> {
        const ONLINE: &str = "/sys/devices/system/cpu/online";
        let online = host.cpus(ONLINE).filter(|online| !online.is_empty());
        let Some(online) = online.or_else(|| host.is_this().then(present).flatten()) else {
            return Err(format!("{ONLINE}: the CPUs of this host cannot be read; name its tree with --root"));
        };
        let there = |cpus: &CpuSet| match cpus.iter().find(|&cpu| !online.has(cpu)) {
            Some(cpu) => Err(format!("CPU {cpu} is not online; there are {online}")),
            None => Ok(()),
        };
        let bid = match &options.cores {
            Some(cores) => cores.clone(),
            None => {
                let reconcile = options.reconcile_core.or(online.iter().next());
                let others: CpuSet = online.iter().filter(|&cpu| Some(cpu) != reconcile).take(MAX_BID_CORES).collect();
                if others.is_empty() { online.clone() } else { others }
            }
        };
        if bid.is_empty() {
            return Err("no bid core: name at least one CPU".to_owned());
        }
        there(&bid)?;
        there(&options.reconcile_core.into_iter().collect())?;
        let housekeeping = match &options.housekeeping {
            Some(asked) => asked.without(&bid),
            None => online.without(&bid),
        };
        there(&housekeeping)?;
        Ok(Roles { bid, housekeeping, nic: options.nic.clone().or_else(|| default_nic(host)) })
    }
}

/// The CPUs of this process, where `/sys` is not there.
fn present() -> Option<CpuSet> {
    let allowed: CpuSet = crate::topology::Topology::allowed().into_iter().collect();
    (!allowed.is_empty()).then_some(allowed)
}

/// Whether it may be the name of a network card: it becomes part of paths.
pub fn is_nic(name: &str) -> bool {
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"_.@-".contains(&letter);
    (1..=15).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.')
}

/// The network card of the default route.
fn default_nic(host: &Host) -> Option<String> {
    let routes = host.text("/proc/net/route")?;
    let card = routes.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let card = words.next()?;
        (words.next() == Some("00000000")).then(|| card.to_owned())
    })?;
    is_nic(&card).then_some(card)
}
