//! Whether this host is a guest of a hypervisor, or a container, and what then cannot be seen or set from here.

use serde::{Serialize, Serializer};

use super::host::Host;
use super::{Scope, State};

/// Where a kernel runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Virtual {
    /// On hardware of its own.
    BareMetal,
    /// In a virtual machine of this kind.
    Guest(&'static str),
    /// Neither can be told.
    Unseen,
}

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Surroundings {
    /// Hardware or a virtual machine.
    #[serde(serialize_with = "kind")]
    pub virtualization: Virtual,
    /// The container that this process is in, if its marks are there.
    pub container: Option<String>,
}

fn kind<S: Serializer>(kind: &Virtual, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match kind {
        Virtual::BareMetal => "none",
        Virtual::Guest(kind) => kind,
        Virtual::Unseen => "unseen",
    })
}

/// What hypervisors write into the tables of the firmware, as systemd-detect-virt knows them.
const FIRMWARE: [(&str, &str); 15] = [
    ("Amazon EC2", "amazon"),
    ("Google Compute Engine", "google"),
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "oracle"),
    ("VirtualBox", "oracle"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Virtual Machine", "microsoft"),
];

impl Surroundings {
    /// Looks for marks.
    pub fn of(host: &Host) -> Surroundings {
        Surroundings { virtualization: virtualization(host), container: container(host) }
    }

    /// Whether there is a hypervisor below.
    pub fn is_guest(&self) -> bool {
        matches!(self.virtualization, Virtual::Guest(_))
    }

    /// What to know of a value that is not this host's own to set.
    pub(super) fn note(&self, scope: Scope, state: State) -> Option<String> {
        let guest = self.is_guest();
        let note = match (scope, state) {
            (_, State::NotApplicable) => return None,
            (Scope::Hardware, State::Unseen) if guest => "the hypervisor's host decides, and this guest cannot see it",
            (Scope::Hardware, _) if guest => "as the hypervisor shows it; what holds is up to its host",
            (Scope::Host | Scope::Hardware, State::Differs) if self.container.is_some() => {
                "of the container's host: set it there"
            }
            _ => return None,
        };
        Some(note.to_owned())
    }
}

fn virtualization(host: &Host) -> Virtual {
    if let Some(kind) = host.line("/sys/hypervisor/type") {
        // The first domain of Xen has the hardware.
        let first = host.text("/proc/xen/capabilities").is_some_and(|capabilities| capabilities.contains("control_d"));
        return match kind.as_str() {
            "xen" if first => Virtual::BareMetal,
            "xen" => Virtual::Guest("xen"),
            _ => Virtual::Guest("unknown"),
        };
    }
    let firmware = |file: &str| host.line(&format!("/sys/class/dmi/id/{file}")).unwrap_or_default();
    let fields = ["product_name", "sys_vendor", "board_vendor", "bios_vendor"].map(firmware);
    let known = fields.iter().find_map(|field| FIRMWARE.iter().find(|(mark, _)| field.contains(mark)));
    let flags = host.text("/proc/cpuinfo").and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("flags"))?;
        Some(line.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
    });
    match (flags, known) {
        (Some(true), known) => Virtual::Guest(known.map_or("unknown", |(_, kind)| kind)),
        // The processor says that there is none: what the firmware says is the name of who rents the machine out.
        (Some(false), _) => Virtual::BareMetal,
        (None, Some((_, kind))) if !fields[0].ends_with(".metal") => Virtual::Guest(kind),
        (None, Some(_)) => Virtual::BareMetal,
        (None, None) if fields.iter().all(String::is_empty) => Virtual::Unseen,
        (None, None) => Virtual::BareMetal,
    }
}

fn container(host: &Host) -> Option<String> {
    if let Some(kind) = host.line("/run/systemd/container").filter(|kind| !kind.is_empty()) {
        return Some(kind.chars().filter(|letter| letter.is_ascii_graphic()).take(40).collect());
    }
    let marks = [("/run/.containerenv", "podman"), ("/.dockerenv", "docker")];
    if let Some((_, kind)) = marks.iter().find(|(path, _)| host.has(path)) {
        return Some((*kind).to_owned());
    }
    if host.has("/var/run/secrets/kubernetes.io") || host.has("/run/secrets/kubernetes.io") {
        return Some("kubernetes".to_owned());
    }
    let groups = host.text("/proc/1/cgroup")?;
    let kinds = ["kubepods", "docker", "libpod", "containerd", "crio", "lxc"];
    kinds.iter().find(|kind| groups.contains(*kind)).map(|kind| (*kind).to_owned())
}
