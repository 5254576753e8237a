//! `creatives` of a campaign.

use super::words::{address, each, language, name, one_of, some, tracker};
use crate::snapshot::campaign::native::{ImagePart, NativeParts};
use crate::snapshot::campaign::vast::{Event, Media, PROTOCOLS, Spot, Vast};
use crate::snapshot::campaign::{Creative, Order, XHTML_BANNER};
use crate::snapshot::document::{Fault, Node, Table, Value, fault};
use crate::wire::openrtb::request::Size;

#[derive(Clone, Copy)]
enum Format {
    Banner,
    Video,
    Audio,
    Native,
}

const FORMATS: [(Format, &str); 4] =
    [(Format::Banner, "banner"), (Format::Video, "video"), (Format::Audio, "audio"), (Format::Native, "native")];
/// Image asset types (Native 1.2 section 7.3).
const IMAGES: [(u16, &str); 2] = [(1, "icon"), (3, "main")];
/// Data asset types (Native 1.2 section 7.4).
const DATA: [(u16, &str); 12] = [
    (1, "sponsored"),
    (2, "desc"),
    (3, "rating"),
    (4, "likes"),
    (5, "downloads"),
    (6, "price"),
    (7, "saleprice"),
    (8, "phone"),
    (9, "address"),
    (10, "desc2"),
    (11, "displayurl"),
    (12, "ctatext"),
];
/// Ways a media file is delivered: whether it is streamed.
const DELIVERY: [(bool, &str); 2] = [(false, "progressive"), (true, "streaming")];
/// Titles, images, texts of a type, media files, trackers of an event.
const PARTS: usize = 32;
/// Seconds of a video or an audio spot.
const DURATION: i64 = 3600;

pub(super) fn read(node: Node) -> Result<Creative, Fault> {
    let mut table = node.table()?;
    let line = table.line;
    let id = table.need("id", name)?;
    let about = {
        let id = id.clone();
        move |fault: Fault| fault.about(&format!("creative {id:?}"))
    };
    let order = Order {
        id,
        attr: bits(&mut table, "attr")?,
        secure: table.read("secure", Node::bool)?,
        language: table.read("language", language)?,
        click: table.read("click", address)?,
        preview: table.read("preview", address)?,
    };
    let format = table.read("format", |node| one_of(node, "a format", &FORMATS))?.unwrap_or(Format::Banner);
    let read = match format {
        Format::Banner => banner,
        Format::Video => video,
        Format::Audio => audio,
        Format::Native => native,
    };
    let Render { at, make } = read(&mut table).map_err(&about)?;
    table.finish().map_err(&about)?;
    make(order).map_err(|what| about(Fault { line: at.max(line), what }))
}

/// What is left to do once all keys are read, and the line of what it may find wrong.
struct Render {
    at: usize,
    make: Box<dyn FnOnce(Order) -> Result<Creative, String>>,
}

fn banner(table: &mut Table) -> Result<Render, Fault> {
    let size = Size { w: table.need("w", pixels)?, h: table.need("h", pixels)? };
    let (at, markup) = table.need("markup", |node| Ok((node.line, node.text()?)))?;
    let btype = table.read("btype", |node| node.integer(1..=63))?.map_or(XHTML_BANNER, |btype| btype as u8);
    Ok(Render { at, make: Box::new(move |order| order.banner(size, btype, &markup)) })
}

fn video(table: &mut Table) -> Result<Render, Fault> {
    let (at, spot, vast) = spot(table, true)?;
    Ok(Render { at, make: Box::new(move |order| order.video(&spot, vast)) })
}

fn audio(table: &mut Table) -> Result<Render, Fault> {
    let (at, spot, vast) = spot(table, false)?;
    Ok(Render { at, make: Box::new(move |order| order.audio(&spot, vast)) })
}

fn spot(table: &mut Table, seen: bool) -> Result<(usize, Spot, Vast), Fault> {
    let line = table.line;
    let own = table.read("vast", |node| Ok((node.line, node.text()?)))?;
    let wrapped = table.read("vast_url", |node| Ok((node.line, address(node)?)))?;
    let (at, vast) = match (own, wrapped) {
        (Some((at, own)), None) => (at, Vast::Own(table.need("protocol", protocol)?, own)),
        (None, Some((at, url))) => (at, Vast::Wrapper(url)),
        (None, None) => (line, Vast::Inline),
        (Some((at, _)), Some(_)) => return fault(at, "`vast` and `vast_url` exclude each other"),
    };
    let ours = matches!(vast, Vast::Inline);
    let media = table.need("media", |node| some(node, PARTS, |node| file(node, seen, ours)))?;
    let mut spot = Spot {
        duration: table.need("duration", |node| node.integer(1..=DURATION))? as u16,
        skip: table.read("skip", |node| node.integer(0..=DURATION))?.map(|seconds| seconds as u16),
        api: bits(table, "api")?,
        media,
        ..Spot::default()
    };
    if ours {
        spot.title = table.read("title", name)?.unwrap_or_default();
    }
    if !matches!(vast, Vast::Own(..)) {
        spot.trackers = table.read("trackers", trackers)?.unwrap_or_default();
    }
    Ok((at, spot, vast))
}

fn file(node: Node, seen: bool, ours: bool) -> Result<Media, Fault> {
    let mut table = node.table()?;
    let media = Media {
        url: if ours { table.need("url", address)? } else { String::new() },
        mime: table.need("mime", Node::text)?,
        size: if seen { Size { w: table.need("w", pixels)?, h: table.need("h", pixels)? } } else { Size::default() },
        bitrate: table.read("bitrate", |node| node.integer(1..=1_000_000))?.unwrap_or(0) as u32,
        streaming: table.read("delivery", |node| one_of(node, "a delivery", &DELIVERY))?.unwrap_or(false),
    };
    table.finish()?;
    Ok(media)
}

fn trackers(node: Node) -> Result<Vec<(Event, String)>, Fault> {
    let mut trackers = Vec::new();
    for (key, node) in node.table()?.into_entries() {
        let Some(event) = Event::of(&key) else {
            return fault(
                node.line,
                format!("{key:?} is not an event of VAST (impression, start, complete, click, …)"),
            );
        };
        let urls = some(node, PARTS, tracker).map_err(|fault| fault.about(&key))?;
        trackers.extend(urls.into_iter().map(|url| (event, url)));
    }
    Ok(trackers)
}

fn native(table: &mut Table) -> Result<Render, Fault> {
    let at = table.line;
    let mut parts = NativeParts {
        titles: table.read("titles", |node| some(node, PARTS, name))?.unwrap_or_default(),
        images: table.read("images", |node| some(node, PARTS, image))?.unwrap_or_default(),
        data: table.read("data", data)?.unwrap_or_default(),
        ..NativeParts::default()
    };
    if let Some(mut trackers) = table.read("trackers", Node::table)? {
        let urls = |node| some(node, PARTS, tracker);
        parts.impressions = trackers.read("impression", urls)?.unwrap_or_default();
        parts.clicks = trackers.read("click", urls)?.unwrap_or_default();
        trackers.finish().map_err(|fault| fault.about("trackers"))?;
    }
    Ok(Render { at, make: Box::new(move |order| order.native(&parts)) })
}

fn image(node: Node) -> Result<ImagePart, Fault> {
    let mut table = node.table()?;
    let image = ImagePart {
        kind: table.need("type", |node| one_of(node, "an image type", &IMAGES))?,
        url: table.need("url", address)?,
        mime: table.need("mime", Node::text)?,
        size: Size { w: table.need("w", pixels)?, h: table.need("h", pixels)? },
    };
    table.finish()?;
    Ok(image)
}

/// Texts by type, each one text or a list of some for different lengths.
fn data(node: Node) -> Result<Vec<(u16, String)>, Fault> {
    let mut table = node.table()?;
    let mut data = Vec::new();
    for (kind, key) in DATA {
        let texts = table.read(key, |node| match node.value {
            Value::List(_) => some(node, PARTS, name),
            _ => Ok(vec![name(node)?]),
        })?;
        data.extend(texts.into_iter().flatten().map(|text| (kind, text)));
    }
    table.finish()?;
    Ok(data)
}

fn pixels(node: Node) -> Result<u16, Fault> {
    Ok(node.integer(1..=10_000)? as u16)
}

fn protocol(node: Node) -> Result<u8, Fault> {
    let line = node.line;
    match node.integer(1..=63)? as u8 {
        known if PROTOCOLS.contains(&known) => Ok(known),
        other => fault(
            line,
            format!("{other} is not VAST (AdCOM list \"Creative Subtypes\": 2 is VAST 2.0, 3 is 3.0, 7 is 4.0)"),
        ),
    }
}

/// A list of numbers from 1 to 63, as bits.
fn bits(table: &mut Table, key: &str) -> Result<u64, Fault> {
    let list = table.read(key, |node| each(node, 63, |node| node.integer(1..=63)))?.unwrap_or_default();
    Ok(list.iter().fold(0, |bits, value| bits | 1 << value))
}
