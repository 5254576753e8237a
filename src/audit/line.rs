//! A record as a line of JSON. Everything it can say is one of a few words or a small number.

use jiff::Timestamp;
use serde::Serialize;

use crate::bid::Outcome;
use crate::bid::audit::Treated;
use crate::bid::comply::Basis;
use crate::bid::comply::consent::Consent;
use crate::wire::openrtb::request::Channel;

/// What docs/AUDIT.md explains, field by field. What the decision did not come to know is left out.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(flatten)]
    basis: Option<Allowed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dsa_required: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supply: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Allowed {
    gdpr: &'static str,
    consent: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor_consent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sections: Option<Vec<u32>>,
    opt_outs: Vec<&'static str>,
    personal: bool,
    purposes: Vec<u32>,
}

/// Adds the line of a record.
pub(super) fn write(treated: &Treated, exchanges: &[String], out: &mut Vec<u8>) {
    let (outcome, reason) = match treated.outcome {
        Outcome::Bid { .. } => ("bid", None),
        Outcome::NoBid(reason) => ("no_bid", Some(reason.label())),
        Outcome::Broken => ("broken", None),
        Outcome::Parked(_) => unreachable!("what is parked is recorded when it ends"),
    };
    let line = Line {
        time: Timestamp::from_second(treated.second as i64).unwrap_or_default().to_string(),
        exchange: treated.exchange.and_then(|id| exchanges.get(usize::from(id.0))).map(String::as_str),
        outcome,
        reason,
        channel: treated.channel.map(|channel| match channel {
            Channel::Unknown => "unknown",
            Channel::Site => "site",
            Channel::App => "app",
            Channel::Dooh => "dooh",
        }),
        country: treated.country.as_ref().and_then(|letters| str::from_utf8(letters).ok()),
        basis: treated.basis.as_ref().map(allowed),
        dsa_required: treated.dsa_required,
        supply: treated.supply.map(crate::snapshot::supply::Verdict::label),
    };
    serde_json::to_writer(&mut *out, &line).expect("plain values, and memory takes everything");
    out.push(b'\n');
}

fn allowed(basis: &Basis) -> Allowed {
    let consent = basis.consent();
    let (created, policy, vendor_consent) = match consent {
        Consent::Read { created, policy, vendor } => (day(created), Some(policy), Some(vendor)),
        _ => (None, None, None),
    };
    let allowed = basis.allowed().ok();
    Allowed {
        gdpr: basis.gdpr().label(),
        consent: consent.label(),
        created,
        policy,
        vendor_consent,
        granted: basis.granted().map(|granted| granted.iter().collect()),
        sections: basis.sections().map(|sections| sections.iter().collect()),
        opt_outs: basis.opt_outs().labels().collect(),
        personal: allowed.is_some_and(|allowed| allowed.personal),
        purposes: allowed.map_or_else(Vec::new, |allowed| allowed.purposes.iter().collect()),
    }
}

/// Days since 1970 as a date, ISO 8601.
pub fn day(days: u32) -> Option<String> {
    let midnight = Timestamp::from_second(i64::from(days) * 86_400).ok()?;
    Some(midnight.strftime("%F").to_string())
}
