//! The knobs as `tuning/knobs` declares them: the same files that `tuning/tune` runs by, so that both say the same of a knob and
//! want the same of it. A declaration is lines of the form `key='value'`, without a quote in the value.

use super::rule::Rule;
use super::{Scope, Severity};

/// The text of each declaration, by its name.
macro_rules! knobs {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../tuning/knobs/", $name, ".sh")))),*]
    };
}

/// All of `tuning/knobs`, group by group.
const TEXTS: [(&str, &str); 51] = knobs! {
    "clocksource" "governor" "energy-preference" "energy-bias" "cstates" "smt" "isolation" "rcu-nocbs" "skew-tick" "nohz-full"
    "no-turbo" "no-boost" "idle-poll" "mitigations" "machine-check"
    "irqs" "irq-default" "nic-irqs" "irqbalance" "workqueues" "writeback" "watchdog-cpus"
    "swappiness" "swap" "numa-balancing" "thp" "thp-defrag" "ksm" "compaction"
    "somaxconn" "syn-backlog" "slow-start" "port-range" "rmem-max" "wmem-max" "rps" "xps" "nic-channels" "rx-coalescing"
    "adaptive-coalescing" "busy-poll" "busy-read"
    "io-uring" "nr-open" "nmi-watchdog" "timer-migration" "stat-interval" "hung-task" "rt-throttling" "autogroup" "perf-events"
};

/// One declaration. Texts may hold roles: `{bid}`, `{housekeeping}`, `{nic}` and their kin ([`super::places`]).
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    /// Its name, which is its file's.
    pub name: &'static str,
    /// What it belongs to: cpu, interrupts, memory, network, kernel.
    pub group: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Whose value it is.
    pub scope: Scope,
    /// The place or places where it is.
    pub file: &'static str,
    /// The value wanted there.
    pub want: &'static str,
    /// How the two are compared.
    pub rule: Rule,
    /// With [`Rule::OneOf`]: the values that will do.
    pub accept: &'static str,
    /// The file that lists the values that can be set; empty if any can. Of those accepted the first that it has is wanted.
    pub offered: &'static str,
    /// The value that is wanted on hardware only, and not in a guest.
    pub metal: &'static str,
    /// What there is to do where none is offered.
    pub unoffered: &'static str,
    /// The parameter of the kernel command line that makes it; empty if `tuning/tune apply` does.
    pub boot: &'static str,
    /// The commands that make it by hand; empty if `tuning/tune apply` does.
    pub hand: &'static str,
    /// Those that undo it.
    pub unhand: &'static str,
    /// What it is good for.
    pub why: &'static str,
    /// What it costs.
    pub cost: &'static str,
    /// Who says so.
    pub source: &'static str,
}

/// All declarations.
///
/// # Panics
/// One is not written as it shall be: they are part of the program, and a test reads them all.
pub fn all() -> impl Iterator<Item = Declared> {
    TEXTS.iter().map(|(name, text)| parse(text).filter(|declared| declared.name == *name).expect(name))
}

fn parse(text: &'static str) -> Option<Declared> {
    let value = |key: &str| {
        let mut values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix("='")?.strip_suffix('\''));
        values.next_back()
    };
    let optional = |key| value(key).unwrap_or_default();
    Some(Declared {
        name: value("name")?,
        group: value("group")?,
        severity: Severity::named(value("severity")?)?,
        scope: Scope::named(value("scope")?)?,
        file: value("file")?,
        want: value("want")?,
        rule: Rule::named(value("rule")?)?,
        accept: optional("accept"),
        offered: optional("offered"),
        metal: optional("metal"),
        unoffered: optional("unoffered"),
        boot: optional("boot"),
        hand: optional("hand"),
        unhand: optional("unhand"),
        why: value("why")?,
        cost: value("cost")?,
        source: value("source")?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_a_knob_and_is_whole() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/knobs");
        let files: BTreeSet<String> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(all().map(|knob| format!("{}.sh", knob.name)).collect::<BTreeSet<_>>(), files);
        for (name, text) in TEXTS {
            // What bash would read otherwise than we do.
            for line in text.lines() {
                let value = line.split_once("='").and_then(|(_, value)| value.strip_suffix('\''));
                assert!(value.is_some_and(|value| !value.contains('\'')), "{name}: {line}");
            }
        }
        for knob in all() {
            assert_eq!(knob.rule == Rule::OneOf, !knob.accept.is_empty(), "{}", knob.name);
            assert_eq!(knob.hand.is_empty(), knob.unhand.is_empty(), "{}", knob.name);
            assert_eq!(knob.offered.is_empty(), knob.unoffered.is_empty(), "{}", knob.name);
            assert!(knob.accept.is_empty() || knob.accept.split(' ').any(|accepted| accepted == knob.want));
        }
    }
}
