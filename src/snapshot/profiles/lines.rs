//! Lines of a profiles file.

use serde::Deserialize;

use super::UserKeys;
use crate::profile::count::{Count, CountOf, Window};
use crate::profile::value::{self, ConsentRecord, ConsentSource};
use crate::snapshot::document::{Fault, fault};
use crate::units::{AdvertiserId, CampaignId, SegmentId, UserKey};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    user: String,
    #[serde(default)]
    exchange: String,
    segments: Vec<u32>,
    #[serde(default)]
    counts: Vec<Counted>,
    consent: Option<Consent>,
}

/// Of a campaign, one of its creatives, or an advertiser; in an hour, a day, a week, or ever.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    campaign: Option<u32>,
    creative: Option<u16>,
    advertiser: Option<u32>,
    hour: Option<u32>,
    day: Option<u32>,
    week: Option<u32>,
    times: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consent {
    seconds: u32,
    purposes: Vec<u8>,
    source: Source,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    Tcf,
    Gpp,
    UsPrivacy,
    Direct,
}

/// Makes values of the lines of a file, one after the other.
#[derive(Debug)]
pub struct Lines<'k> {
    keys: &'k UserKeys,
    number: usize,
    value: Vec<u8>,
}

impl<'k> Lines<'k> {
    /// Users get these keys.
    pub fn new(keys: &'k UserKeys) -> Lines<'k> {
        Lines { keys, number: 0, value: Vec::new() }
    }

    /// The next line's user and value; nothing of an empty line.
    pub(crate) fn read(&mut self, line: &str) -> Result<Option<(UserKey, &[u8])>, Fault> {
        self.number += 1;
        let number = self.number;
        if line.trim().is_empty() {
            return Ok(None);
        }
        let line: Line = serde_json::from_str(line).map_err(|error| {
            let message = error.to_string();
            let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what).to_owned();
            Fault { line: number, what }
        })?;
        if line.user.is_empty() {
            return fault(number, "`user` is empty");
        }
        let mut counts = Vec::with_capacity(line.counts.len());
        for counted in line.counts {
            counts.push(counted.count().map_err(|what| Fault { line: number, what: what.to_owned() })?);
        }
        let consent = line.consent.map(Consent::record).transpose();
        let consent = consent.map_err(|what| Fault { line: number, what: what.to_owned() })?;
        let mut segments = line.segments.into_iter().map(SegmentId).collect();
        match value::write(&mut segments, &mut counts, consent, &mut self.value) {
            Ok(()) => Ok(Some((self.keys.key(&line.exchange, line.user.as_bytes()), &self.value))),
            Err(broken) => fault(number, format!("no profile: {broken}")),
        }
    }
}

impl Counted {
    fn count(self) -> Result<Count, &'static str> {
        let of = match (self.campaign, self.creative, self.advertiser) {
            (Some(campaign), None, None) => CountOf::Campaign(CampaignId(campaign)),
            (Some(campaign), Some(creative), None) => CountOf::Creative(CampaignId(campaign), creative),
            (None, None, Some(advertiser)) => CountOf::Advertiser(AdvertiserId(advertiser)),
            _ => return Err("a count is of a `campaign`, of one and its `creative`, or of an `advertiser`"),
        };
        let (window, period) = match (self.hour, self.day, self.week) {
            (Some(hour), None, None) => (Window::Hour, hour),
            (None, Some(day), None) => (Window::Day, day),
            (None, None, Some(week)) => (Window::Week, week),
            (None, None, None) => (Window::Lifetime, 0),
            _ => return Err("a count is of an `hour`, a `day`, a `week`, or without any of them of a lifetime"),
        };
        Ok(Count { of, window, period, times: self.times })
    }
}

impl Consent {
    fn record(self) -> Result<ConsentRecord, &'static str> {
        let mut purposes = 0;
        for purpose in self.purposes {
            if !(1..=24).contains(&purpose) {
                return Err("purposes have numbers from 1 to 24");
            }
            purposes |= 1 << (purpose - 1);
        }
        let source = match self.source {
            Source::Tcf => ConsentSource::Tcf,
            Source::Gpp => ConsentSource::Gpp,
            Source::UsPrivacy => ConsentSource::UsPrivacy,
            Source::Direct => ConsentSource::Direct,
        };
        Ok(ConsentRecord { seconds: self.seconds, purposes, source })
    }
}
