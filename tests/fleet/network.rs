//! A network namespace that stands for another machine, with one cable to the stores and another one to the exchange.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use crate::support::process::{Bidder, corebid};

/// This machine, as the other one sees it over the cable to the stores; and the other one, as the exchange sees it.
/// (RFC 2544, 4.2: for tests of networks.)
pub(crate) const STORES: &str = "198.18.77.1";
const BIDDER: &str = "198.18.78.2";

/// The other machine. It is gone when it goes out of scope, with its cables.
pub(crate) struct Machine {
    name: String,
    /// This end of the cable to the stores.
    cable: String,
}

impl Machine {
    /// Nothing, and a word about it, where such a thing cannot be made.
    pub(crate) fn new() -> Option<Machine> {
        let process = std::process::id();
        let machine = Machine { name: format!("corebid-{process}"), cable: format!("cbs{process}") };
        if let Err(error) = ip(&format!("netns add {}", machine.name)) {
            println!("skipped: ip netns add, which takes root: {error}");
            return None;
        }
        machine.connect(&machine.cable, "198.18.77");
        machine.connect(&format!("cbx{process}"), "198.18.78");
        Some(machine)
    }

    fn connect(&self, cable: &str, net: &str) {
        let Machine { name, .. } = self;
        for command in [
            format!("link add {cable} type veth peer name {cable}b netns {name}"),
            format!("addr add {net}.1/30 dev {cable}"),
            format!("link set {cable} up"),
            format!("-n {name} addr add {net}.2/30 dev {cable}b"),
            format!("-n {name} link set {cable}b up"),
        ] {
            ip(&command).expect(&command);
        }
    }

    /// Starts a bidder on it.
    #[track_caller]
    pub(crate) fn start(&self, config: &str) -> Bidder {
        let program = corebid();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program.get_program());
        command.env_remove("COREBID_LOG").stdin(Stdio::null());
        Bidder::try_start_on(BIDDER, command, &["--config", config]).expect("a bidder that starts")
    }

    /// Nothing passes between it and the stores any more; the ends are not told.
    pub(crate) fn cut(&self) {
        ip(&format!("link set {} down", self.cable)).unwrap();
    }

    pub(crate) fn mend(&self) {
        ip(&format!("link set {} up", self.cable)).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    match Command::new("ip").args(arguments.split(' ')).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err("iproute2 is not installed".into()),
        Err(error) => Err(error.to_string()),
    }
}
