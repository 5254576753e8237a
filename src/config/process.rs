//! `[process]`: who the process is, and what it gives up once it has started.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::ConfigError;

/// `[process]`. The defaults take what the kernel and the limits of the process offer, and break no start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Process {
    /// Whom root becomes once the sockets are bound; without it nobody else.
    pub user: Option<String>,
    /// Whether system calls that are not needed are refused.
    #[serde(deserialize_with = "super::parsed")]
    pub seccomp: Seccomp,
    /// Whether files, ports and processes that are not needed are out of reach.
    #[serde(deserialize_with = "super::parsed")]
    pub landlock: Effort,
    /// Whether memory is kept in memory, and buffers are touched before the start is over.
    #[serde(deserialize_with = "super::parsed")]
    pub mlock: Effort,
}

/// How much a restriction is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Not at all.
    Off,
    /// As far as it can be had here; what cannot is logged.
    #[default]
    Enforce,
    /// Whole, or the start fails.
    Required,
}

/// What becomes of a system call that is not on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// It is refused, as far as wanted.
    Refuse(Effort),
    /// It is made, and the kernel's log says so: to find out what a new library needs.
    Log,
}

impl Default for Seccomp {
    fn default() -> Self {
        Seccomp::Refuse(Effort::default())
    }
}

impl FromStr for Effort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Effort::Off),
            "enforce" => Ok(Effort::Enforce),
            "required" => Ok(Effort::Required),
            _ => Err(format!("{text:?}: off, enforce or required")),
        }
    }
}

impl FromStr for Seccomp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "log" => Ok(Seccomp::Log),
            _ => text
                .parse()
                .map(Seccomp::Refuse)
                .map_err(|_: String| format!("{text:?}: off, log, enforce or required")),
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Effort::Off => "off",
            Effort::Enforce => "enforce",
            Effort::Required => "required",
        })
    }
}

impl Process {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        match self.user.as_deref() {
            Some("") => Err(ConfigError("process.user is empty: name a user, or leave it out".into())),
            Some("root" | "0") => Err(ConfigError("process.user: root is whom it is to stop being".into())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_mistakes() {
        let read = |text: &str| {
            let read: Process = toml::from_str(text).map_err(|error| error.message().to_owned())?;
            read.validate().map_err(|error| error.0)?;
            Ok::<_, String>(read)
        };
        assert_eq!(read("").unwrap(), Process::default());
        let all = read("user = \"corebid\"\nseccomp = \"log\"\nlandlock = \"required\"\nmlock = \"off\"").unwrap();
        assert_eq!((all.seccomp, all.landlock, all.mlock), (Seccomp::Log, Effort::Required, Effort::Off));
        assert_eq!(read("seccomp = \"required\"").unwrap().seccomp, Seccomp::Refuse(Effort::Required));
        for (bad, said) in [
            ("landlock = \"log\"", "off, enforce or required"),
            ("seccomp = \"kill\"", "off, log, enforce or required"),
            ("user = \"root\"", "process.user"),
            ("user = \"\"", "process.user"),
            ("users = \"a\"", "users"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(said), "{bad}: {error}");
        }
    }
}
