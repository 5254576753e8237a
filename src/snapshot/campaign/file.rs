//! The campaign file: TOML or JSON with the same keys, described in docs/CAMPAIGNS.md.

mod creative;
mod dsa;
mod frequency;
mod spending;
mod targeting;
mod words;

use std::collections::HashMap;
use std::path::Path;

use toml::value::{Datetime, Offset};

use crate::limits;
use crate::snapshot::campaign::goal::{Goal, MAX_GOAL};
use crate::snapshot::campaign::{Campaign, CampaignError, Definition, Flight, MAX_CPM, Slots};
use crate::snapshot::document::{self, Fault, Node, Table, fault};
use crate::snapshot::supply::Policy;
use crate::units::{AdvertiserId, CampaignId, CpmMicros, Micros, UnixMillis};
use words::{category, domain, each, name, some};

/// Domains or categories an answer names.
const NAMED: usize = 16;
/// Few campaigns are shorter in a file.
const USUAL_BYTES: usize = 512;
/// The largest daily budget, micros: 30 million dollars, so that the sum over every slot still fits an `i64`.
const MAX_BUDGET: i64 = 30_000_000_000_000;
const _: () = assert!(MAX_BUDGET < i64::MAX / limits::SLOTS as i64);

/// Reads a campaign file, TOML or JSON by its name's ending, and gives each campaign its slot.
///
/// # Errors
/// The first mistake, with its line. Nothing has changed then: no slot was given out.
pub fn load(path: &Path, slots: &mut Slots) -> Result<Vec<Campaign>, CampaignError> {
    parse(path, document::bytes(path)?, slots)
}

/// As [`load`], of a file whose content is at hand; `path` gives its ending, and its name for what is wrong.
///
/// # Errors
/// As [`load`].
pub fn parse(path: &Path, bytes: Vec<u8>, slots: &mut Slots) -> Result<Vec<Campaign>, CampaignError> {
    // Slots are given out for good once the last line is known to be right.
    let mut given = slots.clone();
    // Room for more than there will be is address space, not memory; to grow would be to copy it all.
    let room = (bytes.len() / USUAL_BYTES).min(limits::SLOTS);
    let mut campaigns = Vec::with_capacity(room);
    let mut lines = HashMap::with_capacity(slots.len());
    let mut missing = 0;
    let rest = document::parse_each(path, bytes, "campaigns", &mut |node| {
        let line = node.line;
        let mut table = node.table()?;
        let id =
            table.need("id", |node| node.integer(0..=i64::from(u32::MAX))).map_err(|fault| fault.about("campaign"))?;
        let id = CampaignId(id as u32);
        if let Some(first) = lines.insert(id, line) {
            return fault(line, format!("campaign {}: this id is already taken on line {first}", id.0));
        }
        let definition = definition(id, table).map_err(|fault| fault.about(&format!("campaign {}", id.0)))?;
        match given.slot(id) {
            Some(slot) => campaigns.push(Campaign::new(slot, definition)),
            None => missing += 1,
        }
        Ok(())
    })?;
    rest.finish().map_err(|fault| fault.within(path))?;
    if missing > 0 {
        let what = format!("{missing} campaigns too many: a process knows at most {} in its life", limits::SLOTS);
        return Err(Fault { line: 0, what }.within(path));
    }
    *slots = given;
    Ok(campaigns)
}

/// The campaigns of a file, TOML or JSON, each with its id and its advertiser, as the JSON that the same file could hold.
///
/// # Errors
/// As [`load`].
pub fn split(path: &Path) -> Result<Vec<(CampaignId, AdvertiserId, String)>, CampaignError> {
    let bytes = document::bytes(path)?;
    // Whatever is wrong with the file is told with its line, as the bidder would tell it.
    let campaigns = parse(path, bytes.clone(), &mut Slots::new())?;
    let mut texts = Vec::new();
    document::parse_each(path, bytes, "campaigns", &mut |node| {
        texts.push(node.to_json()?);
        Ok(())
    })?;
    Ok(campaigns.iter().zip(texts).map(|(campaign, text)| (campaign.id, campaign.advertiser, text)).collect())
}

fn definition(id: CampaignId, mut table: Table) -> Result<Definition, Fault> {
    let line = table.line;
    let definition = Definition {
        id,
        advertiser: AdvertiserId(table.need("advertiser", |node| node.integer(0..=i64::from(u32::MAX)))? as u32),
        name: table.need("name", name)?,
        enabled: table.read("enabled", Node::bool)?.unwrap_or(true),
        daily_budget: Micros(table.need("daily_budget", |node| amount(node, MAX_BUDGET))?),
        spending: spending::read(&mut table)?,
        flight: table.read("flight", flight)?.unwrap_or(Flight::ALWAYS),
        cpm: CpmMicros(table.need("cpm", |node| amount(node, MAX_CPM.0))?),
        goal: goal(&mut table)?,
        adomain: table.need("adomain", |node| some(node, NAMED, domain))?,
        cat: table.read("cat", |node| each(node, NAMED, category))?.unwrap_or_default(),
        cat_in: table.read("cat_in", other_categories)?.unwrap_or_default(),
        app: table.read("app", name)?,
        competes: table.read("competes", |node| each(node, NAMED, name))?.unwrap_or_default(),
        together: table.read("together", Node::bool)?.unwrap_or(false),
        supply: table.read("supply", supply)?.unwrap_or_default(),
        frequency: frequency::read(&mut table)?,
        dsa: table.read("dsa", dsa::read)?,
        creatives: table.need("creatives", |node| some(node, 255, creative::read))?,
        targeting: table.read("targeting", targeting::read)?.unwrap_or_default(),
    };
    table.finish()?;
    for (at, creative) in definition.creatives.iter().enumerate() {
        if definition.creatives[..at].iter().any(|other| other.id == creative.id) {
            return fault(line, format!("two creatives have the id {:?}", creative.id));
        }
    }
    Ok(definition)
}

/// Categories by taxonomy: a table whose keys are numbers of AdCOM list "Category Taxonomies".
fn other_categories(node: Node) -> Result<Vec<(u16, Vec<String>)>, Fault> {
    let mut lists = Vec::new();
    for (key, node) in node.table()?.into_entries() {
        let line = node.line;
        match key.parse::<u16>() {
            Ok(1) => return fault(line, "taxonomy 1 is what `cat` is in"),
            Ok(taxonomy @ 2..) => {
                lists.push((taxonomy, some(node, NAMED, category).map_err(|fault| fault.about(&key))?))
            }
            _ => return fault(line, format!("{key:?} is not a number of AdCOM list \"Category Taxonomies\"")),
        }
    }
    Ok(lists)
}

fn goal(table: &mut Table) -> Result<Goal, Fault> {
    let mut read = |key| table.read(key, |node| Ok((node.line, amount(node, MAX_GOAL.0)?)));
    match (read("cpc")?, read("cpa")?) {
        (None, None) => Ok(Goal::Cpm),
        (Some((_, click)), None) => Ok(Goal::Cpc(Micros(click))),
        (None, Some((_, conversion))) => Ok(Goal::Cpa(Micros(conversion))),
        (Some((line, _)), Some(_)) => fault(line, "it pays by click (`cpc`) or by conversion (`cpa`), and not by both"),
    }
}

fn amount(node: Node, most: i64) -> Result<i64, Fault> {
    let line = node.line;
    match node.micros()? {
        micros if micros <= 0 => fault(line, "must be greater than 0"),
        micros if micros > most => fault(line, format!("must be at most {}", most / 1_000_000)),
        micros => Ok(micros),
    }
}

fn supply(node: Node) -> Result<Policy, Fault> {
    let line = node.line;
    let text = node.text()?;
    match Policy::ALL.into_iter().find(|policy| policy.label() == text) {
        Some(policy) => Ok(policy),
        None => fault(line, format!("{text:?} is no policy: require, prefer or off")),
    }
}

fn flight(node: Node) -> Result<Flight, Fault> {
    let mut table = node.table()?;
    let line = table.line;
    let start = table.read("start", |node| moment(node, 0))?.unwrap_or(Flight::ALWAYS.start);
    let end = table.read("end", |node| moment(node, UnixMillis::DAY))?.unwrap_or(Flight::ALWAYS.end);
    table.finish()?;
    if start < end { Ok(Flight { start, end }) } else { fault(line, "ends before it starts") }
}

/// A time with its offset, or a date, which stands for its first moment plus `of_date` milliseconds.
fn moment(node: Node, of_date: u64) -> Result<UnixMillis, Fault> {
    let (line, text) = node.date()?;
    let wrong =
        || Fault { line, what: format!("{text:?} is not a date (2026-03-01) or a time (2026-03-01T09:00:00Z)") };
    let Datetime { date: Some(date), time, offset } = text.parse().map_err(|_| wrong())? else {
        return Err(wrong());
    };
    let days = days_from_civil(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let seconds = match (time, offset) {
        (None, None) => days * 86_400 + (of_date / 1000) as i64,
        (Some(time), Some(offset)) => {
            if time.nanosecond.unwrap_or(0) != 0 {
                return fault(line, format!("{text:?}: a flight begins and ends on whole seconds"));
            }
            let minutes = match offset {
                Offset::Z => 0,
                Offset::Custom { minutes } => i64::from(minutes),
            };
            let (hour, minute, second) =
                (i64::from(time.hour), i64::from(time.minute), i64::from(time.second.unwrap_or(0)));
            days * 86_400 + hour * 3600 + (minute - minutes) * 60 + second
        }
        _ => return fault(line, format!("{text:?}: a time needs its offset from UTC, such as Z")),
    };
    match u32::try_from(seconds) {
        Ok(seconds) => Ok(UnixMillis(u64::from(seconds) * 1000)),
        Err(_) => fault(line, format!("{text:?} is not within 1970 to 2105")),
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar: years run from March, so that the leap day ends one.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
