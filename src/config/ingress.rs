//! `[ingress]`: the second way in, for when the first is lost. Left out, there is none.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, Server};
use crate::limits;

/// `[ingress]`. Relative paths start from the configuration file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingress {
    /// Where it listens while it is open.
    pub listen: SocketAddr,
    /// Its certificate, and those between it and an authority, PEM. Read again when it changes.
    pub cert_file: PathBuf,
    /// The certificate's key, PEM, mode 0600. Read again when it changes.
    pub key_file: PathBuf,
    /// It is open while this file is there.
    #[serde(default)]
    pub flag_file: Option<PathBuf>,
    /// Connections at the same time; more are closed as they come.
    #[serde(default = "max_connections")]
    pub max_connections: NonZeroU32,
    /// Bid requests a second that are passed on; more are answered 204.
    #[serde(default = "requests_per_second")]
    pub requests_per_second: NonZeroU32,
    /// TLS handshakes that begin in a second; more wait.
    #[serde(default = "handshakes_per_second")]
    pub handshakes_per_second: NonZeroU32,
    /// How long a connection may be idle, ms.
    #[serde(default = "idle_ms")]
    pub idle_ms: u32,
    /// How long a handshake may take, ms.
    #[serde(default = "handshake_ms")]
    pub handshake_ms: u32,
}

fn max_connections() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(255)
}

/// About what one core that also ends TLS passes on; a bid core decides several times as many.
fn requests_per_second() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(9_999)
}

/// A handshake takes up to a millisecond of CPU, with a certificate of RSA: a fifth of a CPU at most.
fn handshakes_per_second() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(199)
}

fn idle_ms() -> u32 {
    60_000
}

fn handshake_ms() -> u32 {
    5_000
}

impl Ingress {
    /// How long a connection may be idle.
    pub fn idle(&self) -> Duration {
        Duration::from_millis(u64::from(self.idle_ms))
    }

    /// How long a handshake may take.
    pub fn handshake(&self) -> Duration {
        Duration::from_millis(u64::from(self.handshake_ms))
    }

    /// Paths, to be made relative to the configuration.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.cert_file, &mut self.key_file].into_iter().chain(self.flag_file.as_mut())
    }

    pub(super) fn validate(&self, server: &Server) -> Result<(), ConfigError> {
        let fail = |what: String| Err(ConfigError(format!("ingress.{what}")));
        for (key, taken) in [("server.listen", server.listen), ("server.admin", server.admin)] {
            if self.listen == taken && taken.port() != 0 {
                return fail(format!("listen {taken}: that is {key}"));
            }
        }
        if self.max_connections.get() as usize > limits::INGRESS_CONNECTIONS {
            return fail(format!("max_connections {}: at most {}", self.max_connections, limits::INGRESS_CONNECTIONS));
        }
        for (key, rate) in
            [("requests_per_second", self.requests_per_second), ("handshakes_per_second", self.handshakes_per_second)]
        {
            if rate.get() > limits::QPS {
                return fail(format!("{key} {rate}: at most {}", limits::QPS));
            }
        }
        // The bid port's own patience must be the longer one, or it closes what is still in use here.
        let longest = limits::IDLE_NS / 1_000_000 / 2;
        if !(100..=longest).contains(&u64::from(self.idle_ms)) {
            return fail(format!("idle_ms {}: from 100 to {longest}", self.idle_ms));
        }
        if !(100..=60_000).contains(&self.handshake_ms) {
            return fail(format!("handshake_ms {}: from 100 to 60000", self.handshake_ms));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let good = "cert_file = \"tls.pem\"\nkey_file = \"tls.key\"\n";
        let read = |more: &str| {
            let listen = if more.contains("listen") { "" } else { "listen = \"0.0.0.0:8443\"\n" };
            let read: Ingress = toml::from_str(&format!("{good}{listen}{more}")).unwrap();
            read.validate(&Server::default()).map_err(|error| error.0)
        };
        assert_eq!(read("flag_file = \"open\"\nidle_ms = 75000\nmax_connections = 4096"), Ok(()));
        for (more, said) in [
            ("listen = \"127.0.0.1:8080\"", "server.listen"),
            ("listen = \"127.0.0.1:9090\"", "server.admin"),
            ("max_connections = 4097", "max_connections 4097"),
            ("requests_per_second = 10000001", "requests_per_second"),
            ("handshakes_per_second = 10000001", "handshakes_per_second"),
            ("idle_ms = 75001", "idle_ms 75001"),
            ("idle_ms = 99", "idle_ms 99"),
            ("handshake_ms = 60001", "handshake_ms"),
        ] {
            assert!(read(more).unwrap_err().contains(said), "{more}");
        }
        for zero in ["max_connections = 0", "requests_per_second = 0", "handshakes_per_second = 0", "cert_files = 1"] {
            let text = format!("{good}listen = \"0.0.0.0:8443\"\n{zero}");
            assert!(toml::from_str::<Ingress>(&text).is_err(), "{zero}");
        }
    }
}
