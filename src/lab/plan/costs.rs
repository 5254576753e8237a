//! What requests, bills and campaigns cost, on a host where that was measured.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

macro_rules! figures {
    ($(#[$about:meta])* $kind:ident { $($(#[doc = $doc:literal])* $name:ident: $unit:literal,)* } $($(#[$text_doc:meta])* $text:ident: String,)?) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $kind {
            $($(#[doc = $doc])* pub $name: f64,)*
            $($(#[$text_doc])* pub $text: String,)?
        }

        impl $kind {
            /// Name, value, unit.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, f64, &'static str)> {
                [$((stringify!($name), self.$name, $unit),)*].into_iter()
            }
        }
    };
}
pub(super) use figures;

figures! {
    /// A costs file.
    Costs {
        /// CPU time of the bid thread for one bid request of the mix, its part of the kernel's work in it, when the thread never
        /// sleeps, us.
        cpu_us_per_request: "us of a bid core",
        /// The same for a notice.
        cpu_us_per_notice: "us of a bid core",
        /// Bids per request of the mix.
        bid_share: "bids/request",
        /// Requests of the mix that pass every filter before the match: only those look for a profile.
        filtered_share: "of requests",
        /// Notices that come for each bid that is billed, those of lost bids in them.
        notices_per_bill: "notices/bill",
        /// Body of a request, mean.
        body_bytes: "bytes",
        /// Head of a request, mean.
        request_head_bytes: "bytes",
        /// Answer with a bid, head and body, mean.
        bid_bytes: "bytes",
        /// Answer without one.
        nobid_bytes: "bytes",
        /// A notice: its URL is most of it.
        notice_bytes: "bytes",
        /// Its answer.
        notice_answer_bytes: "bytes",
        /// A bill's record in the ledger.
        ledger_bytes_per_bill: "bytes",
        /// The bound of one bid core's memory.
        core_bytes: "bytes",
        /// The bound of what else a process holds, campaigns not in it.
        process_bytes: "bytes",
        /// A campaign, with its place in the index, while a reload holds it twice.
        campaign_bytes: "bytes",
        /// A profile in a core's cache.
        profile_bytes: "bytes",
    }
    /// Host, kernel, and how.
    measured_on: String,
}

/// Reads a file of figures, TOML or (by its name) JSON, and checks that each is a number that can be.
pub(super) fn read<T: for<'d> Deserialize<'d>>(path: &Path) -> Result<T, String> {
    let named = |error: &dyn std::fmt::Display| {
        let error = error.to_string();
        format!(
            "{}: {}",
            path.display(),
            error.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
        )
    };
    let text = fs::read_to_string(path).map_err(|error| named(&error))?;
    if path.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str(&text).map_err(|error| named(&error))
    } else {
        toml::from_str(&text).map_err(|error| named(&error))
    }
}

/// The first figure that cannot be.
pub(super) fn absurd(each: impl Iterator<Item = (&'static str, f64, &'static str)>) -> Option<String> {
    let mut each = each;
    let (name, value, _) = each.find(|(_, value, _)| !(0.0..=1e15).contains(value))?;
    Some(format!("{name} = {value}: a number from 0 to 1e15"))
}

impl Costs {
    /// Reads a costs file.
    ///
    /// # Errors
    /// In one line, with the file.
    pub fn read(path: &Path) -> Result<Costs, String> {
        let costs: Costs = read(path)?;
        match absurd(costs.each()) {
            Some(why) => Err(format!("{}: {why}", path.display())),
            None if costs.bid_share > 1.0 => {
                Err(format!("{}: bid_share = {}: a share", path.display(), costs.bid_share))
            }
            None => Ok(costs),
        }
    }
}
