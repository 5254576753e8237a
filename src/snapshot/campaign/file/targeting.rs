//! `targeting` of a campaign.

use super::words::{category, country, domain, each, language, name, one_of, place, region, rule, some};
use crate::limits;
use crate::snapshot::campaign::{Circle, Daypart, SegmentRule, Targeting};
use crate::snapshot::document::{Fault, Node, fault};
use crate::units::SegmentId;
use crate::wire::openrtb::agent::{Browser, Os};
use crate::wire::openrtb::request::{Channel, Point};

/// AdCOM list "Device Types".
const DEVICES: [(u8, &str); 8] = [
    (1, "mobile"),
    (2, "pc"),
    (3, "tv"),
    (4, "phone"),
    (5, "tablet"),
    (6, "connected_device"),
    (7, "set_top_box"),
    (8, "ooh"),
];
/// AdCOM list "Connection Types".
const CONNECTIONS: [(u8, &str); 7] =
    [(1, "ethernet"), (2, "wifi"), (3, "cellular"), (4, "2g"), (5, "3g"), (6, "4g"), (7, "5g")];
const CHANNELS: [(Channel, &str); 3] = [(Channel::Site, "site"), (Channel::App, "app"), (Channel::Dooh, "dooh")];

pub(super) fn read(node: Node) -> Result<Targeting, Fault> {
    let mut table = node.table()?;
    let targeting = Targeting {
        countries: table.read("countries", |node| rule(node, country))?.unwrap_or_default(),
        regions: table.read("regions", |node| rule(node, region))?.unwrap_or_default(),
        cities: table.read("cities", |node| rule(node, city))?.unwrap_or_default(),
        zips: table.read("zips", |node| rule(node, zip))?.unwrap_or_default(),
        circles: table.read("circles", |node| rule(node, circle))?.unwrap_or_default(),
        devices: table.read("devices", |node| each(node, DEVICES.len(), device))?.unwrap_or_default(),
        os: table.read("os", |node| rule(node, os))?.unwrap_or_default(),
        browsers: table.read("browsers", |node| rule(node, browser))?.unwrap_or_default(),
        carriers: table.read("carriers", |node| rule(node, name))?.unwrap_or_default(),
        connections: table.read("connections", |node| each(node, CONNECTIONS.len(), connection))?.unwrap_or_default(),
        channels: table.read("channels", |node| each(node, CHANNELS.len(), channel))?.unwrap_or_default(),
        sites: table.read("sites", |node| rule(node, domain))?.unwrap_or_default(),
        bundles: table.read("bundles", |node| rule(node, name))?.unwrap_or_default(),
        publishers: table.read("publishers", |node| rule(node, name))?.unwrap_or_default(),
        categories: table.read("categories", |node| rule(node, category))?.unwrap_or_default(),
        languages: table.read("languages", |node| rule(node, spoken))?.unwrap_or_default(),
        exchanges: table.read("exchanges", |node| rule(node, name))?.unwrap_or_default(),
        deals: table.read("deals", |node| some(node, usize::MAX, name))?.unwrap_or_default(),
        daypart: table.read("daypart", daypart)?,
        segments: table.read("segments", segments)?.unwrap_or_default(),
    };
    table.finish()?;
    Ok(targeting)
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

fn device(node: Node) -> Result<u8, Fault> {
    one_of(node, "a device type", &DEVICES)
}

fn os(node: Node) -> Result<Os, Fault> {
    one_of(node, "an operating system", &Os::NAMED)
}

fn browser(node: Node) -> Result<Browser, Fault> {
    one_of(node, "a browser", &Browser::NAMED)
}

fn connection(node: Node) -> Result<u8, Fault> {
    one_of(node, "a connection type", &CONNECTIONS)
}

fn channel(node: Node) -> Result<Channel, Fault> {
    one_of(node, "a channel", &CHANNELS)
}

fn spoken(node: Node) -> Result<String, Fault> {
    Ok(language(node)?.map(char::from).iter().collect())
}

fn city(node: Node) -> Result<String, Fault> {
    place(node, "a city (alpha-3 country, hyphen, name: USA-San Francisco)")
}

fn zip(node: Node) -> Result<String, Fault> {
    place(node, "a postal code (alpha-3 country, hyphen, code: USA-94103)")
}

fn circle(node: Node) -> Result<Circle, Fault> {
    let mut table = node.table()?;
    let circle = Circle {
        centre: Point {
            lat: table.need("lat", |node| degrees(node, 90))?,
            lon: table.need("lon", |node| degrees(node, 180))?,
        },
        metres: table.need("km", metres)?,
    };
    table.finish()?;
    Ok(circle)
}

/// Degrees in millionths.
fn degrees(node: Node, most: i32) -> Result<i32, Fault> {
    let line = node.line;
    let micros = node.micros()?;
    match i32::try_from(micros) {
        Ok(value) if value.abs() <= most * 1_000_000 => Ok(value),
        _ => fault(line, format!("is not within -{most} to {most}")),
    }
}

/// Kilometres as whole metres.
fn metres(node: Node) -> Result<u32, Fault> {
    let line = node.line;
    match u32::try_from(node.micros()? / 1000) {
        Ok(metres @ 1..=Circle::MOST_METRES) => Ok(metres),
        _ => fault(line, format!("is not within 0.001 to {}", Circle::MOST_METRES / 1000)),
    }
}

fn daypart(node: Node) -> Result<Daypart, Fault> {
    let mut table = node.table()?;
    let line = table.line;
    let (zone, hours) = (table.need("zone", Node::text)?, table.need("hours", Node::text)?);
    table.finish()?;
    Daypart::parse(&zone, &hours).map_err(|what| Fault { line, what })
}
