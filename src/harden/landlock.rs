//! Landlock: of all files, the process reaches those its configuration names; of all TCP ports, those it serves and asks.
//!
//! A rule holds for a folder, not for the file in it: a configured file is replaced by renaming another over it, and a rule on the
//! file would go with the old one.

use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};

use crate::config::Config;
use crate::config::stores::host_port;

/// What the kernel tells of itself, read for how much time the host took and by the reconciliation core's direct I/O. Nothing of
/// other processes.
const SYSTEM: [&str; 6] = ["/proc/self", "/proc/stat", "/proc/meminfo", "/proc/cpuinfo", "/proc/sys/vm", "/sys"];
/// What it takes to find a store by its name and to believe its certificate. `/etc` as a whole: `resolv.conf` is replaced there by
/// whoever manages the network.
const STORES: [&str; 5] = [
    "/etc",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    "/run/systemd/resolve",
];
/// DNS over TCP.
const DNS: u16 = 53;
/// HTTPS.
const HTTPS: u16 = 443;

/// What the process reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Folders, or files, to read.
    pub read: Vec<PathBuf>,
    /// Folders to read, write and make files in.
    pub write: Vec<PathBuf>,
    /// TCP ports that may still be bound.
    pub bind: Vec<u16>,
    /// TCP ports to connect to; any, where a store names servers that the configuration does not.
    pub connect: Option<Vec<u16>>,
}

impl Reach {
    /// Of a process with this configuration, whose bid port is `bid`.
    pub fn of(config: &Config, bid: u16) -> Reach {
        let mut named = config.clone();
        let data = &config.data;
        let (valkey, dynamodb) = (&config.stores.valkey, &config.stores.dynamodb);
        let mut write = vec![data.dir.clone()];
        write.extend(data.head_file.iter().chain(&config.audit.file).flat_map(|file| folders(file)));
        write.extend(config.training.dir.clone());
        if dynamodb.as_ref().is_some_and(|from| !from.tenants.is_empty()) {
            write.extend(folders(&data.campaigns));
            write.extend(config.supply.table.iter().flat_map(|table| folders(table)));
        }
        // Keys are read once, before anybody can replace them.
        let keys = [&data.notice_key_file, &data.user_key_file];
        let (once, again): (Vec<_>, Vec<_>) = named
            .files()
            .map(|file| file.clone())
            .filter(|file| *file != data.dir && Some(file) != config.training.dir.as_ref())
            .partition(|file| keys.contains(&file));
        let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
        read.extend(std::env::current_exe());
        read.extend(once);
        read.extend(again.iter().flat_map(|file| folders(file)));
        if valkey.is_some() || dynamodb.is_some() {
            read.extend(STORES.iter().map(PathBuf::from));
            let certificates = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
            read.extend(certificates.iter().filter_map(std::env::var_os).map(PathBuf::from));
        }
        let mut connect = vec![bid];
        if let Some(dynamodb) = dynamodb {
            connect.extend([DNS, dynamodb.endpoint.as_deref().map_or(HTTPS, port)]);
        }
        // The servers of a cluster tell of each other.
        let connect = valkey.is_none().then_some(connect);
        let ingress = config.ingress.iter().map(|ingress| ingress.listen.port());
        let bind = [config.server.admin.port()].into_iter().chain(ingress).collect();
        Reach { read, write, bind, connect }
    }
}

/// Confines this thread, and those it starts, to `reach`. Returns what holds.
///
/// # Errors
/// What the kernel lacks.
pub fn restrict(reach: &Reach) -> Result<String, String> {
    let status = confine(reach).map_err(|error| format!("files are not out of reach: {error}"))?;
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return Err("files are not out of reach: the kernel has no Landlock, or it is not among `lsm=`".to_owned());
    };
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("files are not out of reach: the kernel enforces nothing".to_owned()),
        _ if effective_abi < ABI::V4 => Ok("landlock (files; TCP ports not before Linux 6.7)".to_owned()),
        _ if effective_abi < ABI::V6 => Ok("landlock (files, TCP ports; signals not before Linux 6.12)".to_owned()),
        _ => Ok("landlock (files, TCP ports, signals)".to_owned()),
    }
}

fn confine(reach: &Reach) -> Result<::landlock::RestrictionStatus, RulesetError> {
    // What was looked at and tested: rights that later kernels know are left alone.
    let abi = ABI::V6;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let made = AccessFs::WriteFile | AccessFs::RemoveFile | AccessFs::MakeReg | AccessFs::MakeDir | AccessFs::Truncate;
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(abi))?.handle_access(AccessNet::BindTcp)?;
    if reach.connect.is_some() {
        rules = rules.handle_access(AccessNet::ConnectTcp)?;
    }
    let port = |right: AccessNet| move |&port: &u16| Ok::<_, RulesetError>(NetPort::new(port, right));
    rules
        .scope(Scope::from_all(abi))?
        .create()?
        // A folder that is not there has nothing to reach.
        .add_rules(path_beneath_rules(&reach.read, read))?
        .add_rules(path_beneath_rules(&reach.write, read | made))?
        .add_rules(reach.bind.iter().map(port(AccessNet::BindTcp)))?
        .add_rules(reach.connect.iter().flatten().map(port(AccessNet::ConnectTcp)))?
        .restrict_self()
}

/// The folder of a file, and that of what it is a link to. A file of the root folder stands for itself.
fn folders(file: &Path) -> Vec<PathBuf> {
    let folder = |file: &Path| match file.parent() {
        Some(parent) if parent == Path::new("") => PathBuf::from("."),
        Some(parent) if parent != Path::new("/") => parent.to_owned(),
        _ => file.to_owned(),
    };
    let target = std::fs::canonicalize(file).ok().map(|target| folder(&target));
    [folder(file)].into_iter().chain(target).collect()
}

/// The port of a URL.
fn port(url: &str) -> u16 {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let usual = if scheme == "http" { 80 } else { HTTPS };
    host_port(authority).map_or(usual, |(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::ErrorKind::PermissionDenied;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn ports_of_urls() {
        for (url, wanted) in [
            ("http://127.0.0.1:8000", 8000),
            ("http://db.example/x:1", 80),
            ("https://db.example", 443),
            ("https://[::1]:9/", 9),
            ("https://[::1]", 443),
        ] {
            assert_eq!(port(url), wanted, "{url}");
        }
    }

    /// Landlock binds a thread and what it starts, so a thread of a test is a process in small.
    #[test]
    fn what_is_not_named_is_out_of_reach() {
        let root = std::env::temp_dir().join(format!("corebid-landlock-{}", std::process::id()));
        for folder in ["data", "etc", "conf"] {
            fs::create_dir_all(root.join(folder)).unwrap();
            fs::write(root.join(folder).join("shadow"), "secret").unwrap();
        }
        let mut config = Config::demo(&root.join("data"));
        config.data.campaigns = root.join("conf/campaigns.toml");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        let (ours, other) = (listener.local_addr().unwrap(), elsewhere.local_addr().unwrap());
        config.server.admin.set_port(0);
        let reach = Reach::of(&config, ours.port());
        let place = root.clone();
        let confined = std::thread::spawn(move || {
            let read = |file: &str| fs::read(place.join(file)).map_err(|error| error.kind());
            assert!(read("etc/shadow").is_ok());
            let Ok(held) = restrict(&reach) else { return false };
            assert_eq!(read("etc/shadow"), Err(PermissionDenied));
            assert_eq!(fs::read_dir(place.join("etc")).map(drop).map_err(|error| error.kind()), Err(PermissionDenied));
            assert_eq!(fs::read("/etc/passwd").map_err(|error| error.kind()), Err(PermissionDenied));
            assert!(fs::read("/proc/stat").is_ok() && fs::read("/proc/thread-self/schedstat").is_ok());
            assert!(fs::read(format!("/proc/{}/environ", std::os::unix::process::parent_id())).is_err());

            // Campaigns are replaced and read, never written.
            assert!(read("conf/shadow").is_ok());
            assert_eq!(fs::write(place.join("conf/new"), "").map_err(|error| error.kind()), Err(PermissionDenied));
            fs::write(place.join("data/new"), "1").unwrap();
            fs::rename(place.join("data/new"), place.join("data/newer")).unwrap();
            fs::remove_file(place.join("data/newer")).unwrap();

            if held.contains("TCP ports") && !held.contains("TCP ports not") {
                assert!(TcpStream::connect(ours).is_ok() && TcpListener::bind("127.0.0.1:0").is_ok());
                assert_eq!(TcpStream::connect(other).map(drop).map_err(|error| error.kind()), Err(PermissionDenied));
                let bound = TcpListener::bind(("127.0.0.1", 61_234)).map(drop).map_err(|error| error.kind());
                assert_eq!(bound, Err(PermissionDenied));
            }
            true
        });
        let confined = confined.join();
        fs::remove_dir_all(&root).unwrap();
        if !confined.unwrap() {
            eprintln!("this kernel has no Landlock: nothing was tested");
        }
    }
}
