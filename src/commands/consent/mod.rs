//! `corebid consent`: everything that a consent string says. The bid path reads the same strings with
//! [`crate::wire::consent`], only what concerns one vendor; this decoder is the slow and complete one beside it.

mod bits;
mod gpp;
mod print;
mod tcf;
mod time;
mod us_privacy;
mod vendor;
mod vendors;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

pub use self::gpp::Gpp;
pub use self::print::print;
pub use self::tcf::Tcf;
pub use self::us_privacy::UsPrivacy;
pub use self::vendor::OfVendor;
use crate::commands::Failure;

/// What a consent string says.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A TCF string (C…), a GPP string (D…) or a US privacy string (1YNN)
    #[arg(value_name = "STRING", allow_hyphen_values = true)]
    string: OsString,
    /// Also say what the string says of this vendor of the Global Vendor List
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    vendor: Option<u16>,
    /// Print one line of JSON, as for a refused string in any case
    #[arg(long)]
    json: bool,
}

/// Why a string is not read, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    reason: String,
    /// It was judged as a US privacy string, which is what all are that are nothing else.
    us_privacy: bool,
}

impl Refused {
    fn new(reason: impl Into<String>) -> Refused {
        Refused { reason: reason.into(), us_privacy: false }
    }

    fn of_us_privacy(self) -> Refused {
        Refused { us_privacy: true, ..self }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.reason)
    }
}

impl std::error::Error for Refused {}

/// A string that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Decoded {
    /// Transparency and Consent Framework, IAB Europe.
    Tcf(Box<Tcf>),
    /// Global Privacy Platform.
    Gpp(Gpp),
    /// US privacy.
    UsPrivacy(UsPrivacy),
}

/// Reads a string. The first character tells its kind.
pub fn decode(text: &str) -> Result<Decoded, Refused> {
    match text.as_bytes().first() {
        None => Err(Refused::new("empty: no consent string")),
        Some(b'B' | b'C') => Tcf::decode(text).map(|tcf| Decoded::Tcf(Box::new(tcf))),
        Some(b'D') => Gpp::decode(text).map(Decoded::Gpp),
        Some(b'1') => UsPrivacy::decode(text).map(Decoded::UsPrivacy).map_err(Refused::of_us_privacy),
        Some(_) => {
            let reason = "begins neither as a TCF string (C), nor a GPP string (D), nor a US privacy string (1)";
            Err(Refused::new(reason).of_us_privacy())
        }
    }
}

/// The line that `--json` prints.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Line<'a> {
    /// It was read.
    Read {
        /// True.
        ok: bool,
        /// All that it says.
        #[serde(flatten)]
        decoded: &'a Decoded,
        /// What it says of the vendor asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        vendor: Option<OfVendor>,
    },
    /// It was refused.
    Refused {
        /// False.
        ok: bool,
        /// Why.
        error: &'a str,
        /// False, where the string was judged as one of US privacy.
        #[serde(skip_serializing_if = "Option::is_none")]
        valid: Option<bool>,
        /// False with it: nobody has opted out who has not said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        opt_out_of_sale: Option<bool>,
    },
}

impl<'a> Line<'a> {
    /// The line for a string, with what it says of a vendor if one is asked for.
    pub fn of(read: &'a Result<Decoded, Refused>, vendor: Option<u16>) -> Line<'a> {
        match read {
            Ok(decoded) => Line::Read { ok: true, decoded, vendor: vendor.map(|vendor| OfVendor::of(decoded, vendor)) },
            Err(Refused { reason, us_privacy }) => {
                let judged = us_privacy.then_some(false);
                Line::Refused { ok: false, error: reason, valid: judged, opt_out_of_sale: judged }
            }
        }
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let read = decode(&args.string.to_string_lossy());
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json || read.is_err() {
        serde_json::to_writer(&mut out, &Line::of(&read, args.vendor))?;
        writeln!(out)?;
    } else if let Ok(decoded) = &read {
        print(&mut out, decoded, args.vendor)?;
    }
    out.flush()?;
    read.map(drop).map_err(|refused| Failure::new(format_args!("refused: {refused}")))
}
