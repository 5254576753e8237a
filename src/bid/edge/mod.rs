//! The edge: requests that are turned away before the campaigns are asked, with the least reading that tells them.
//!
//! The rate is held before the body is looked at ([`quota`]); countries, names, addresses and user agents after the terms of
//! the request and before its impressions, and last of them devices that do not exist ([`impossible`]) and addresses that ask too
//! often ([`velocity`]); users who do, once it is known whether they may be known; copies of an auction that was bid on when
//! a campaign wants one ([`duplicates`]). Whatever is not configured is not read.

pub mod duplicates;
pub mod impossible;
pub mod quota;
pub mod velocity;

use crate::bid::Outcome;
use crate::bid::admit::Exchange;
use crate::bid::asked::{self, Unescaped};
use crate::bid::comply::Personal;
use crate::bid::eligible::Scene;
use crate::config::{self, edge};
use crate::metrics::core::CoreMetrics;
use crate::units::Now;
use crate::wire::json::Text;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Parts};
use duplicates::{Duplicates, Fingerprint, fingerprint};
use impossible::Contradiction;
use velocity::{Source, Velocity};

/// Turns a request away for where it comes from. Reads of it what the lists and the exchange ask for.
#[inline]
pub fn clear<'r>(
    scene: Scene<'_>,
    parts: &mut Parts<'r, '_>,
    request: &mut BidRequest<'r>,
    room: &mut Room,
    watch: &mut Watch,
) -> Result<(), Outcome> {
    let edge = &scene.snapshot.edge;
    if let Some(countries) = &scene.exchange.countries {
        parts.inventory(request)?;
        let place = asked::locate(scene.snapshot, parts, request, None)?;
        if !countries.answer(asked::country(request, place.as_ref())) {
            return Err(NoBidReason::GeoFilter.into());
        }
    }
    if edge.asks_inventory() {
        parts.inventory(request)?;
        let (domain, bundle) = room.inventory.inventory(request);
        if edge.domains.covers(domain) || edge.bundles.names(bundle) {
            return Err(NoBidReason::Blocklisted.into());
        }
    }
    if edge.asks_device() || watch.agents.is_some() {
        parts.inventory(request)?;
        parts.person(request)?;
        // Without the string, so that what `os` says is known by itself.
        parts.agent(request, |_| Default::default())?;
        let device = &request.device;
        if !edge.data_centers.is_empty()
            && [device.ip, device.ipv6]
                .iter()
                .any(|text| edge.data_centers.hold(text.unescape(&mut room.agent).unwrap_or_default()))
        {
            return Err(NoBidReason::DataCenter.into());
        }
        let ua = agent(device.ua, &mut room.agent);
        if edge.bots.is_bot(ua) {
            return Err(NoBidReason::KnownBot.into());
        }
        let said = watch.agents.as_mut().map(|agents| agents.of(ua));
        if said.is_some_and(|said| Contradiction::of(device.kind, device.os, said).is_some()) {
            return Err(NoBidReason::ImpossibleDevice.into());
        }
    }
    // Last, so that nobody is counted who is turned away for something else.
    if watch.counts && watch.addresses.is_on() && !request.test {
        parts.person(request)?;
        let mut addresses = [request.device.ip, request.device.ipv6].into_iter();
        let source = addresses.find_map(|text| Source::of(text.unescape(&mut room.agent)?));
        if source.is_some_and(|source| watch.addresses.over(source, scene.now.boot)) {
            return Err(NoBidReason::Velocity.into());
        }
    }
    Ok(())
}

/// Turns a user away who asks too often. Nobody is counted who may not be known, or who has no id. After [`Parts::person`].
#[inline]
pub fn pace(
    request: &BidRequest<'_>,
    exchange: &Exchange,
    now: Now,
    personal: Option<&Personal>,
    watch: &mut Watch,
) -> Result<(), Outcome> {
    if !watch.counts || !watch.users.is_on() || request.test {
        return Ok(());
    }
    let Some(_personal) = personal else { return Ok(()) };
    // Our own id and the advertising id mean the same user everywhere, the exchange's only there.
    let id = match [request.buyeruid, request.user_id, request.device.ifa].map(|id| id.raw) {
        [[], [], []] => return Ok(()),
        [[], [], ifa] => (1, 0, ifa),
        [[], user, _] => (2, exchange.id.0, user),
        [own, ..] => (3, 0, own),
    };
    if watch.users.over(id, now.boot) { Err(NoBidReason::Velocity.into()) } else { Ok(()) }
}

/// What a core looks for besides the lists, and has seen.
#[derive(Debug)]
pub struct Watch {
    /// If devices that do not exist are turned away.
    agents: Option<impossible::Agents>,
    addresses: Velocity,
    users: Velocity,
    /// Off for a request that was counted before it was parked.
    counts: bool,
}

impl Watch {
    /// As the configuration says. Takes all the memory it will ever use.
    pub fn new(impossible_devices: bool, velocity: Option<config::Velocity>) -> Watch {
        let limit = |of: fn(&config::Velocity) -> Option<u32>| {
            Velocity::new(velocity.as_ref().and_then(of), velocity.map_or(0, |velocity| velocity.seconds))
        };
        let agents = impossible_devices.then(impossible::Agents::default);
        let (addresses, users) = (limit(|velocity| velocity.per_ip), limit(|velocity| velocity.per_user));
        Watch { agents, addresses, users, counts: true }
    }

    /// Whether who comes next is counted.
    #[inline]
    pub fn count(&mut self, on: bool) {
        self.counts = on;
    }
}

/// The fingerprint that copies of this request have, if copies are looked for; no if one was bid on a moment ago.
#[inline]
pub fn copies<'r>(
    parts: &Parts<'r, '_>,
    request: &mut BidRequest<'r>,
    now: Now,
    personal: Option<&Personal>,
    duplicates: &Duplicates,
    room: &mut Room,
    metrics: &CoreMetrics,
) -> Result<Option<Fingerprint>, Outcome> {
    if !duplicates.is_on() {
        return Ok(None);
    }
    let Some(personal) = personal else { return Ok(None) };
    parts.agent(request, |_| Default::default())?;
    let Some(fingerprint) = fingerprint(request, room.inventory.inventory(request), personal) else { return Ok(None) };
    metrics.fingerprints.add(1);
    match duplicates.seen(fingerprint, now.boot) {
        true => Err(NoBidReason::Duplicate.into()),
        false => Ok(Some(fingerprint)),
    }
}

/// Room for texts whose JSON had escapes in it.
#[derive(Debug)]
pub struct Room {
    inventory: Unescaped,
    agent: [u8; AGENT_BYTES],
}

/// Bytes of a user agent that can be unescaped. A longer one is read as it stands: few have an escape.
const AGENT_BYTES: usize = 2048;

impl Default for Room {
    fn default() -> Self {
        Room { inventory: Unescaped::default(), agent: [0; AGENT_BYTES] }
    }
}

fn agent<'t>(text: Text<'t>, room: &'t mut [u8]) -> &'t [u8] {
    text.unescape(room).unwrap_or(text.raw)
}

/// The countries that are answered.
#[derive(Clone, Debug)]
pub struct Countries {
    /// One bit per code.
    answered: Box<[u64]>,
    /// A request without a country, or with one that is no code, is answered.
    unknown: bool,
}

impl Countries {
    /// Those that every one of these filters answers; `None` if they answer all.
    pub fn of(filters: &[&config::Countries]) -> Option<Countries> {
        if filters.iter().all(|filter| **filter == config::Countries::default()) {
            return None;
        }
        let mut countries = Countries { answered: vec![u64::MAX; edge::CODES.div_ceil(64)].into(), unknown: true };
        for filter in filters {
            if !filter.include.is_empty() {
                let mut included = vec![0; countries.answered.len()];
                for code in codes(&filter.include) {
                    included[code / 64] |= 1 << (code % 64);
                }
                countries.answered.iter_mut().zip(included).for_each(|(answered, included)| *answered &= included);
                countries.unknown = false;
            }
            for code in codes(&filter.exclude) {
                countries.answered[code / 64] &= !(1 << (code % 64));
            }
        }
        Some(countries)
    }

    /// Whether a request from this country, as it writes it, is answered.
    #[inline]
    pub fn answer(&self, country: &[u8]) -> bool {
        match edge::index(country) {
            Some(code) => self.answered[code / 64] >> (code % 64) & 1 == 1,
            None => self.unknown,
        }
    }
}

fn codes(list: &[String]) -> impl Iterator<Item = usize> {
    list.iter().map(|code| edge::index(code.as_bytes()).expect("validated: three letters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> config::Countries {
        let list = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
        config::Countries { include: list(include), exclude: list(exclude) }
    }

    #[test]
    fn every_filter_must_answer_a_country() {
        let none = filter(&[], &[]);
        assert!(Countries::of(&[&none, &none]).is_none());
        let all_but = Countries::of(&[&none, &filter(&[], &["PRK"])]).unwrap();
        let some =
            Countries::of(&[&filter(&["USA", "fra", "PRK"], &[]), &filter(&["FRA", "DEU", "PRK"], &["PRK"])]).unwrap();
        for (country, all_but_answers, some_answers) in [
            ("USA", true, false),
            ("FRA", true, true),
            ("fra", true, true),
            ("DEU", true, false),
            ("PRK", false, false),
            ("", true, false),
            ("FR", true, false),
            ("???", true, false),
            ("AAA", true, false),
            ("ZZZ", true, false),
        ] {
            assert_eq!(all_but.answer(country.as_bytes()), all_but_answers, "{country}");
            assert_eq!(some.answer(country.as_bytes()), some_answers, "{country}");
        }
    }
}
