//! The campaign file: TOML or JSON with the same keys, described in docs/CAMPAIGNS.md.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::path::Path;

use toml::value::{Datetime, Offset};

use crate::limits;
use crate::snapshot::campaign::{
    Ad, Campaign, CampaignError, Creative, Definition, Flight, MAX_CPM, Rule, SegmentRule, Slots, Targeting, XHTML_BANNER,
};
use crate::snapshot::document::{self, Fault, Node, Table, fault};
use crate::snapshot::targeting::LABELS;
use crate::units::{AdvertiserId, CampaignId, CpmMicros, Micros, SegmentId, UnixMillis};
use crate::wire::openrtb::request::{Channel, Size};

/// Bytes of a name, a creative id, a bundle or a publisher id.
const NAME_BYTES: usize = 256;
/// Domains or categories an answer names.
const NAMED: usize = 16;
/// Bytes of a category.
const CATEGORY_BYTES: usize = 32;
/// The largest daily budget, micros: 30 million dollars, so that the sum over every slot still fits an `i64`.
const MAX_BUDGET: i64 = 30_000_000_000_000;
const _: () = assert!(MAX_BUDGET < i64::MAX / limits::SLOTS as i64);

/// Device types by name (AdCOM list "Device Types"), from 1.
const DEVICES: [&str; 8] = ["mobile", "pc", "tv", "phone", "tablet", "connected_device", "set_top_box", "ooh"];

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
    let definitions = definitions(document::parse(path, bytes)?).map_err(|fault| fault.within(path))?;
    let missing = slots.missing_for(definitions.iter().map(|definition| definition.id));
    if missing > 0 {
        let what = format!("{missing} campaigns too many: a process knows at most {} in its life", limits::SLOTS);
        return Err(Fault { line: 0, what }.within(path));
    }
    let campaign = |definition: Definition| {
        let slot = slots.slot(definition.id).expect("there is a slot for each");
        Campaign::new(slot, definition)
    };
    Ok(definitions.into_iter().map(campaign).collect())
}

fn definitions(mut root: Table) -> Result<Vec<Definition>, Fault> {
    let nodes = root.need("campaigns", Node::list)?;
    root.finish()?;
    let mut lines = HashMap::with_capacity(nodes.len());
    let mut definitions = Vec::with_capacity(nodes.len());
    for node in nodes {
        let line = node.line;
        let mut table = node.table()?;
        let id =
            table.need("id", |node| node.integer(0..=i64::from(u32::MAX))).map_err(|fault| fault.about("campaign"))?;
        let about = format!("campaign {id}");
        if let Some(first) = lines.insert(id, line) {
            return fault(line, format!("{about}: this id is already taken on line {first}"));
        }
        definitions.push(definition(CampaignId(id as u32), table).map_err(|fault| fault.about(&about))?);
    }
    Ok(definitions)
}

fn definition(id: CampaignId, mut table: Table) -> Result<Definition, Fault> {
    let line = table.line;
    let definition = Definition {
        id,
        advertiser: AdvertiserId(table.need("advertiser", |node| node.integer(0..=i64::from(u32::MAX)))? as u32),
        name: table.need("name", name)?,
        enabled: table.read("enabled", Node::bool)?.unwrap_or(true),
        daily_budget: Micros(table.need("daily_budget", |node| amount(node, MAX_BUDGET))?),
        flight: table.read("flight", flight)?.unwrap_or(Flight::ALWAYS),
        cpm: CpmMicros(table.need("cpm", |node| amount(node, MAX_CPM.0))?),
        adomain: table.need("adomain", |node| some(node, NAMED, domain))?,
        cat: table.read("cat", |node| each(node, NAMED, category))?.unwrap_or_default(),
        cat_in: Vec::new(),
        app: None,
        competes: Vec::new(),
        together: false,
        frequency_cap: table
            .read("frequency_cap", |node| node.integer(1..=i64::from(u16::MAX)))?
            .and_then(|cap| NonZeroU16::new(cap as u16)),
        creatives: table.need("creatives", |node| some(node, 255, creative))?,
        targeting: table.read("targeting", targeting)?.unwrap_or_default(),
    };
    table.finish()?;
    for (at, creative) in definition.creatives.iter().enumerate() {
        if definition.creatives[..at].iter().any(|other| other.id == creative.id) {
            return fault(line, format!("two creatives have the id {:?}", creative.id));
        }
    }
    Ok(definition)
}

fn creative(node: Node) -> Result<Creative, Fault> {
    let mut table = node.table()?;
    let line = table.line;
    let id = table.need("id", name)?;
    let pixels = |node: Node| node.integer(1..=10_000);
    let size = Size { w: table.need("w", pixels)? as u16, h: table.need("h", pixels)? as u16 };
    let (markup_line, markup) = table.need("markup", |node| Ok((node.line, node.text()?)))?;
    let btype = table.read("btype", |node| node.integer(1..=63))?.map_or(XHTML_BANNER, |btype| btype as u8);
    let attr = table.read("attr", |node| each(node, 63, |node| node.integer(1..=63)))?.unwrap_or_default();
    let secure = table.read("secure", Node::bool)?;
    let about = format!("creative {id:?}");
    table.finish().map_err(|fault| fault.about(&about))?;
    let mut creative = Creative::banner(id, size, &markup, secure)
        .map_err(|what| Fault { line: markup_line.max(line), what }.about(&about))?;
    creative.attr = attr.iter().fold(0, |bits, value| bits | 1 << value);
    if let Ad::Banner(banner) = &mut creative.ad {
        banner.btype = btype;
    }
    Ok(creative)
}

fn targeting(node: Node) -> Result<Targeting, Fault> {
    let mut table = node.table()?;
    let targeting = Targeting {
        countries: table.read("countries", |node| rule(node, country))?.unwrap_or_default(),
        regions: table.read("regions", |node| rule(node, region))?.unwrap_or_default(),
        devices: table.read("devices", |node| each(node, DEVICES.len(), device))?.unwrap_or_default(),
        channels: table.read("channels", |node| each(node, 2, channel))?.unwrap_or_default(),
        sites: table.read("sites", |node| rule(node, domain))?.unwrap_or_default(),
        bundles: table.read("bundles", |node| rule(node, name))?.unwrap_or_default(),
        publishers: table.read("publishers", |node| rule(node, name))?.unwrap_or_default(),
        exchanges: table.read("exchanges", |node| rule(node, name))?.unwrap_or_default(),
        segments: table.read("segments", segments)?.unwrap_or_default(),
        ..Targeting::default()
    };
    table.finish()?;
    Ok(targeting)
}

/// A rule: a table with `include` and `exclude`, or a list that is an inclusion.
fn rule(node: Node, item: impl Fn(Node) -> Result<String, Fault>) -> Result<Rule<String>, Fault> {
    if matches!(node.value, document::Value::List(_)) {
        return Ok(Rule { include: some(node, usize::MAX, item)?, exclude: Vec::new() });
    }
    let mut table = node.table()?;
    let include = table.read("include", |node| some(node, usize::MAX, &item))?.unwrap_or_default();
    let exclude = table.read("exclude", |node| each(node, usize::MAX, &item))?.unwrap_or_default();
    table.finish()?;
    Ok(Rule { include, exclude })
}

fn segments(node: Node) -> Result<SegmentRule, Fault> {
    let mut table = node.table()?;
    let segment = |node: Node| Ok(SegmentId(node.integer(0..=i64::from(u32::MAX))? as u32));
    let sorted = |node: Node| {
        let mut list = some(node, limits::SEGMENTS, segment)?;
        list.sort_unstable();
        list.dedup();
        Ok(list)
    };
    let rule = SegmentRule {
        any: table.read("any", sorted)?.unwrap_or_default(),
        all: table.read("all", sorted)?.unwrap_or_default(),
        none: table.read("none", sorted)?.unwrap_or_default(),
    };
    table.finish()?;
    Ok(rule)
}

/// A list of at most `most` items.
fn each<T>(node: Node, most: usize, item: impl Fn(Node) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let line = node.line;
    let items = node.list()?;
    if items.len() > most {
        return fault(line, format!("{} entries; the most is {most}", items.len()));
    }
    items.into_iter().map(item).collect()
}

/// A list of at least one item: an empty inclusion would include everything, which is not what it looks like.
fn some<T>(node: Node, most: usize, item: impl Fn(Node) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let line = node.line;
    let items = each(node, most, item)?;
    if items.is_empty() { fault(line, "the list is empty") } else { Ok(items) }
}

fn amount(node: Node, most: i64) -> Result<i64, Fault> {
    let line = node.line;
    match node.micros()? {
        micros if micros <= 0 => fault(line, "must be greater than 0"),
        micros if micros > most => fault(line, format!("must be at most {}", most / 1_000_000)),
        micros => Ok(micros),
    }
}

fn name(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let text = node.text()?;
    match text.len() {
        0 => fault(line, "is empty"),
        1..=NAME_BYTES => Ok(text),
        length => fault(line, format!("{length} bytes; the most is {NAME_BYTES}")),
    }
}

fn category(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let text = name(node)?;
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain && text.len() <= CATEGORY_BYTES { Ok(text) } else { fault(line, format!("{text:?} is not a category")) }
}

fn domain(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let domain = name(node)?.to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !domain.split('.').all(label) || domain.len() > 253 {
        return fault(
            line,
            format!("{domain:?} is not a domain (no scheme, path or wildcard; punycode for other scripts)"),
        );
    }
    if domain.split('.').count() > LABELS {
        return fault(line, format!("{domain:?} has more than {LABELS} labels"));
    }
    Ok(domain)
}

fn country(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let text = name(node)?;
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Ok(text.to_ascii_uppercase());
    }
    fault(line, format!("{text:?} is not an ISO 3166-1 alpha-3 country (three letters, such as USA)"))
}

fn region(node: Node) -> Result<String, Fault> {
    let line = node.line;
    let text = name(node)?;
    let parts = text.split_once('-').filter(|(country, region)| {
        country.len() == 3
            && country.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (1..=3).contains(&region.len())
            && region.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    match parts {
        Some(_) => Ok(text.to_ascii_uppercase()),
        None => {
            fault(line, format!("{text:?} is not a region (alpha-3 country, hyphen, ISO 3166-2 subdivision: USA-CA)"))
        }
    }
}

fn device(node: Node) -> Result<u8, Fault> {
    let line = node.line;
    let text = node.text()?;
    match DEVICES.iter().position(|name| *name == text) {
        Some(at) => Ok(at as u8 + 1),
        None => fault(line, format!("{text:?} is not a device type: {}", DEVICES.join(", "))),
    }
}

fn channel(node: Node) -> Result<Channel, Fault> {
    let line = node.line;
    match node.text()?.as_str() {
        "site" => Ok(Channel::Site),
        "app" => Ok(Channel::App),
        other => fault(line, format!("{other:?} is not a channel: site, app")),
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
