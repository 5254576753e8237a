//! The places that a declared knob stands for on a host, and what is wanted in each. `tuning/lib/places.sh` finds the same;
//! `tests/tuning.rs` holds the two together.

use std::collections::BTreeMap;

use super::cpus::CpuSet;
use super::declared::Declared;
use super::host::Host;
use super::roles::Roles;

/// The longest that a core may take to wake, us: beyond it an idle state is off. tuned's `latency-performance` has the same.
pub const WAKE_US: u32 = 3;

/// A place, and what is wanted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A file, or what [`read`] knows beside files.
    pub path: String,
    /// The value.
    pub wanted: String,
}

/// Where a knob is on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// In these; a place that is not there stands for itself.
    At(Vec<Place>),
    /// Nowhere, which is as wanted, and why.
    Nothing(String),
    /// It says nothing about this host, and why.
    Not(&'static str),
}

/// What a place holds. Beside files there are `cmdline:NAME`, `process:NAME`, `swaps:`, `ethtool:NIC:NAME` and `siblings:CPU`.
pub fn read(host: &Host, place: &str) -> Option<String> {
    match place.split_once(':').unwrap_or((place, "")) {
        ("cmdline", name) => host.parameter(name),
        ("process", name) => {
            host.line("/proc/1/comm")?;
            let runs = |path: &String| host.line(path).is_some_and(|comm| comm == name);
            let running = host.paths("/proc/*/comm").iter().any(runs);
            Some(if running { "running" } else { "absent" }.to_owned())
        }
        ("swaps", _) => match host.text("/proc/swaps")?.lines().count() {
            0 => None,
            1 => Some("none".to_owned()),
            lines => Some((lines - 1).to_string()),
        },
        ("siblings", cpu) => host.line(&siblings(cpu)),
        ("ethtool", card) => {
            let (nic, name) = card.split_once(':')?;
            ethtool(&host.ethtool(if name == "combined" { "-l" } else { "-c" }, nic)?, name)
        }
        _ => host.line(place).map(|line| selected(&line).to_owned()),
    }
}

fn siblings(cpu: impl std::fmt::Display) -> String {
    format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
}

/// Of `always [madvise] never` the word that holds.
fn selected(line: &str) -> &str {
    let word = |line: &'_ str| {
        let (_, rest) = line.split_once('[')?;
        let (word, _) = rest.split_once(']')?;
        let plain = |letter: u8| letter.is_ascii_alphanumeric() || b"_+-".contains(&letter);
        (!word.is_empty() && word.bytes().all(plain)).then_some(word.len())
    };
    match word(line) {
        Some(length) => {
            let at = line.find('[').map_or(0, |at| at + 1);
            &line[at..at + length]
        }
        None => line,
    }
}

/// One value of what `ethtool -l` or `-c` prints.
fn ethtool(printed: &str, name: &str) -> Option<String> {
    let current = printed.split_once("Current").map_or("", |(_, current)| current);
    let (text, key) = match name {
        "combined" => (current, "Combined:"),
        "adaptive-rx" => (printed, "Adaptive RX:"),
        _ => (printed, "rx-usecs:"),
    };
    let value = text.lines().find_map(|line| line.strip_prefix(key))?.split_ascii_whitespace().next()?;
    (value != "n/a").then(|| value.to_owned())
}

/// The places of `knob`.
pub fn of(knob: &Declared, host: &Host, roles: &Roles) -> Places {
    let keeps_house = knob.rule.keeps_apart() || knob.want.contains("{housekeeping");
    if keeps_house && roles.housekeeping.is_empty() {
        return Places::Not("every CPU is a bid core");
    }
    if roles.nic.is_none() && (knob.file.contains("{nic") || knob.want.contains("{queue")) {
        return Places::Not("no network card is known");
    }
    if knob.file.contains("/cpuidle/")
        && let Some(latency) = host.wake_latency().filter(|&latency| latency <= WAKE_US)
    {
        return Places::Nothing(format!("/dev/cpu_dma_latency is held at {latency} us"));
    }
    let places = match knob.file {
        file if file.contains("{siblings}") => of_siblings(host, roles),
        file if file.contains("{irqs}") => of_irqs(host, roles),
        file if file.contains("{nic-irqs}") => of_queues(host, roles),
        file if file.contains("{bid}") => {
            let of_core = |cpu: usize| of_path(&file.replace("{bid}", &cpu.to_string()), knob, host, roles);
            roles.bid.iter().flat_map(of_core).collect()
        }
        file => of_path(&filled(file, roles), knob, host, roles),
    };
    match knob.want {
        "{queue-mask}" if places.len() < 2 => Places::Not("the card has one transmit queue"),
        _ if !places.is_empty() => Places::At(places),
        _ if knob.file.contains("{siblings}") => Places::Nothing("no bid core has a sibling".to_owned()),
        _ if knob.file.contains("{bid}") => Places::Nothing(format!("no idle state takes longer than {WAKE_US} us")),
        _ => Places::At(places),
    }
}

/// A text of a declaration with the roles of the host in it.
pub fn filled(text: &str, roles: &Roles) -> String {
    text.replace("{bid}", &roles.bid.to_string())
        .replace("{bid-count}", &roles.bid.len().to_string())
        .replace("{housekeeping}", &roles.housekeeping.to_string())
        .replace("{housekeeping-mask}", &roles.housekeeping.to_mask())
        .replace("{nic}", roles.nic.as_deref().unwrap_or_default())
}

fn of_path(pattern: &str, knob: &Declared, host: &Host, roles: &Roles) -> Vec<Place> {
    let wanted = filled(knob.want, roles);
    let found = if pattern.contains('*') { host.paths(pattern) } else { vec![pattern.to_owned()] };
    if found.is_empty() {
        return vec![Place { path: pattern.to_owned(), wanted }];
    }
    let place = |path: String| match knob.want {
        "{queue-mask}" => {
            let number = path.split_once("/tx-").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
            let mask = number.map(|number| queue_cpu(number, roles).to_mask());
            Place { path, wanted: mask.unwrap_or_else(|| wanted.clone()) }
        }
        _ => Place { path, wanted: wanted.clone() },
    };
    found.into_iter().filter(|path| !is_shallow(path, host)).map(place).collect()
}

/// Whether it is of an idle state from which a core is soon awake.
fn is_shallow(path: &str, host: &Host) -> bool {
    let Some((folder, _)) = path.rsplit_once('/').filter(|_| path.contains("/cpuidle/")) else { return false };
    let latency = host.line(&format!("{folder}/latency")).and_then(|line| line.parse::<u32>().ok());
    latency.is_some_and(|latency| latency <= WAKE_US)
}

/// The bid core of a queue.
fn queue_cpu(number: usize, roles: &Roles) -> CpuSet {
    roles.bid.iter().nth(number % roles.bid.len()).into_iter().collect()
}

/// Siblings of bid cores. One that is itself a bid core cannot be taken offline: then the choice of cores is what differs.
fn of_siblings(host: &Host, roles: &Roles) -> Vec<Place> {
    let mut places = Vec::new();
    for cpu in roles.bid.iter() {
        let itself = || Place { path: format!("siblings:{cpu}"), wanted: cpu.to_string() };
        let Some(threads) = host.cpus(&siblings(cpu)) else {
            places.push(itself());
            continue;
        };
        for sibling in threads.iter().filter(|&sibling| sibling != cpu) {
            let switch = format!("/sys/devices/system/cpu/cpu{sibling}/online");
            places.push(if roles.bid.has(sibling) || !host.has(&switch) {
                itself()
            } else {
                Place { path: switch, wanted: "0".to_owned() }
            });
        }
    }
    places
}

fn affinity(number: u32) -> String {
    format!("/proc/irq/{number}/smp_affinity_list")
}

/// The interrupts of the host, and of those that a queue of the network card raises the number of the queue.
fn irqs(host: &Host, nic: Option<&str>) -> BTreeMap<u32, Option<usize>> {
    let numbers = host.names("/proc/irq").into_iter().filter_map(|name| {
        let plain = name.len() <= 6 && name.bytes().all(|digit| digit.is_ascii_digit());
        plain.then(|| name.parse().ok()).flatten()
    });
    let queue = |number: u32| {
        let device = format!("/sys/class/net/{}/device", nic?);
        let of_card = ["", "/.."].iter().any(|up| host.has(&format!("{device}{up}/msi_irqs/{number}")));
        let names = if of_card { host.names(&format!("/proc/irq/{number}")) } else { Vec::new() };
        names.iter().filter_map(|name| queue_number(name)).next_back()
    };
    numbers.filter(|&number| host.has(&affinity(number))).map(|number| (number, queue(number))).collect()
}

/// The number of the queue by the name that the driver gives its interrupt: `eth0-TxRx-3`, `virtio2-input.0`, `mlx5_comp7@pci:…`.
fn queue_number(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    let number = |at: usize| {
        let rest = name.get(at..)?;
        let kinds = ["txrx", "tx-rx", "rx", "tx", "input", "output", "comp", "queue"];
        kinds.iter().find_map(|kind| {
            let rest = rest.strip_prefix(kind)?.trim_start_matches(['-', '.', '_']);
            let digits = rest.bytes().take(4).take_while(u8::is_ascii_digit).count();
            rest[..digits].parse().ok()
        })
    };
    (0..name.len()).find_map(number)
}

fn of_irqs(host: &Host, roles: &Roles) -> Vec<Place> {
    let others = irqs(host, roles.nic.as_deref()).into_iter().filter(|(_, queue)| queue.is_none());
    others.map(|(number, _)| Place { path: affinity(number), wanted: roles.housekeeping.to_string() }).collect()
}

fn of_queues(host: &Host, roles: &Roles) -> Vec<Place> {
    let card = roles.nic.as_deref().unwrap_or_default();
    let queues = host.paths(&format!("/sys/class/net/{card}/queues/rx-*")).len();
    let enough = queues >= roles.bid.len() || roles.housekeeping.is_empty();
    let of_queues = irqs(host, roles.nic.as_deref()).into_iter().filter_map(|(number, queue)| Some((number, queue?)));
    let cpus = |queue| if enough { queue_cpu(queue, roles) } else { roles.housekeeping.clone() };
    of_queues.map(|(number, queue)| Place { path: affinity(number), wanted: cpus(queue).to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_name_their_queues() {
        for (name, number) in [
            ("eth0-TxRx-3", Some(3)),
            ("ice-eth0-TxRx-12", Some(12)),
            ("virtio2-input.0", Some(0)),
            ("virtio2-output.1", Some(1)),
            ("mlx5_comp7@pci:0000:17:00.0", Some(7)),
            ("eth0-Tx-Rx-4", Some(4)),
            ("eth0-rx-2", Some(2)),
            ("virtio2-config", None),
            ("mlx5_async0@pci:0000:17:00.0", None),
            ("ena-mgmnt@pci:0000:00:05.0", None),
        ] {
            assert_eq!(queue_number(name), number, "{name}");
        }
    }

    #[test]
    fn of_words_the_selected_one_holds() {
        assert_eq!(selected("always [madvise] never"), "madvise");
        assert_eq!(selected("defer+madvise"), "defer+madvise");
        assert_eq!(selected("[] x"), "[] x");
    }

    // As ethtool 6.1 prints it for an Intel E810 and for virtio.
    #[test]
    fn ethtool_is_read() {
        let channels = "Channel parameters for eth0:\nPre-set maximums:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\tn/a\nCombined:\t16\n\
                        Current hardware settings:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\tn/a\nCombined:\t4\n";
        assert_eq!(ethtool(channels, "combined").as_deref(), Some("4"));
        let coalesce = "Coalesce parameters for eth0:\nAdaptive RX: on  TX: on\nstats-block-usecs:\tn/a\nsample-interval:\tn/a\n\n\
                        rx-usecs:\t50\nrx-frames:\tn/a\n";
        assert_eq!(ethtool(coalesce, "adaptive-rx").as_deref(), Some("on"));
        assert_eq!(ethtool(coalesce, "rx-usecs").as_deref(), Some("50"));
        assert_eq!(ethtool("Adaptive RX: n/a  TX: n/a\nrx-usecs: n/a\n", "rx-usecs"), None);
        assert_eq!(ethtool("", "combined"), None);
    }
}
