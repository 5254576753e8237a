//! VAST: what a video or an audio spot is delivered as, made from its parts when campaigns are loaded.
//!
//! Elements stand in the order of the schema of each version (VAST 2.0, 3.0 and 4.0); tests/vast.rs reads them back.

use std::fmt::Write as _;

use super::creative::{StreamAd, not_an_address};
use super::markup::{Context, Markup, Part, When, is_address, is_tracker};
use crate::wire::openrtb::mime::Mimes;
use crate::wire::openrtb::request::Size;

/// A video or audio spot, as ordered.
#[derive(Clone, Debug, Default)]
pub struct Spot {
    /// See [`StreamAd::duration`].
    pub duration: u16,
    /// See [`StreamAd::api`].
    pub api: u64,
    /// It can be skipped after so many seconds.
    pub skip: Option<u16>,
    /// `AdTitle`.
    pub title: String,
    /// Its files; of a wrapper or of markup of the operator's own, what is known of them.
    pub media: Vec<Media>,
    /// Where events are reported.
    pub trackers: Vec<(Event, String)>,
}

/// A media file.
#[derive(Clone, Debug)]
pub struct Media {
    /// Its address; empty where the markup is not ours to make.
    pub url: String,
    /// Its type, one of [`Mimes::NAMES`].
    pub mime: String,
    /// Pixels; 0 of audio.
    pub size: Size,
    /// kbit/s; 0 if not said.
    pub bitrate: u32,
    /// `delivery="streaming"`, not `progressive`.
    pub streaming: bool,
}

/// Where the markup comes from.
#[derive(Clone, Debug)]
pub enum Vast {
    /// Made from the spot's parts, inline.
    Inline,
    /// Made as a wrapper around another server's VAST at this address, which may hold macros.
    Wrapper(String),
    /// The operator's own, of this protocol (AdCOM list "Creative Subtypes").
    Own(u8, String),
}

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The impression.
    Impression,
    /// A click.
    Click,
    /// An error.
    Error,
    /// An event of the player, by its name in VAST ([`Event::of`] knows them).
    Player(&'static str),
}

impl Event {
    const PLAYER: [&'static str; 14] = [
        "creativeView",
        "start",
        "firstQuartile",
        "midpoint",
        "thirdQuartile",
        "complete",
        "mute",
        "unmute",
        "pause",
        "resume",
        "rewind",
        "skip",
        "acceptInvitation",
        "close",
    ];

    /// The event of this name: `impression`, `click`, `error`, or an event of the player.
    pub fn of(name: &str) -> Option<Event> {
        match name {
            "impression" => Some(Event::Impression),
            "click" => Some(Event::Click),
            "error" => Some(Event::Error),
            _ => Self::PLAYER.into_iter().find(|known| *known == name).map(Event::Player),
        }
    }
}

/// A version that is made here.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    /// AdCOM list "Creative Subtypes".
    protocol: u8,
    name: &'static str,
}

/// Best first.
const INLINE: [Version; 3] =
    [Version { protocol: 7, name: "4.0" }, Version { protocol: 3, name: "3.0" }, Version { protocol: 2, name: "2.0" }];
const WRAPPER: [Version; 3] =
    [Version { protocol: 8, name: "4.0" }, Version { protocol: 6, name: "3.0" }, Version { protocol: 5, name: "2.0" }];

/// Protocols an operator's own markup may have: VAST 1.0 to 4.2, wrappers among them (DAAST, 9 and 10, is not).
pub const PROTOCOLS: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14];

impl Spot {
    /// The spot with its markup.
    pub(super) fn render(&self, vast: &Vast, context: Context<'_>) -> Result<StreamAd, String> {
        if self.duration == 0 {
            return Err("`duration` must be greater than 0".to_owned());
        }
        let mut mimes = Mimes::default();
        for media in &self.media {
            match Mimes::of(media.mime.as_bytes()) {
                Mimes(0) => return Err(format!("{:?} is not a type of media file we know", media.mime)),
                known => mimes = mimes.with(known),
            }
            if matches!(vast, Vast::Inline) && !is_address(&media.url) {
                return Err(not_an_address("media: url", &media.url));
            }
        }
        if self.media.is_empty() {
            return Err("there is no media file".to_owned());
        }
        if let Some((_, url)) = self.trackers.iter().find(|(_, url)| !is_tracker(url)) {
            return Err(not_an_address("trackers", url));
        }
        let versions = match vast {
            Vast::Inline => {
                let make =
                    |version: Version| Ok((version.protocol, compile(&self.inline(version, &context), context)?));
                INLINE.into_iter().map(make).collect::<Result<_, String>>()?
            }
            Vast::Wrapper(url) if !is_address(url) => return Err(not_an_address("vast_url", url)),
            Vast::Wrapper(url) => {
                let make = |version: Version| Ok((version.protocol, compile(&self.wrapper(version, url), context)?));
                WRAPPER.into_iter().map(make).collect::<Result<_, String>>()?
            }
            Vast::Own(protocol, markup) => vec![(*protocol, Markup::compile(markup, context)?)],
        };
        let file = |media: &Media| (Mimes::of(media.mime.as_bytes()), media.bitrate);
        Ok(StreamAd {
            duration: self.duration,
            mimes,
            size: self.media.iter().map(|media| media.size).max_by_key(area).unwrap_or_default(),
            files: self.media.iter().map(file).collect(),
            skippable: self.skip.is_some(),
            api: self.api,
            versions,
        })
    }

    /// Everything that names addresses.
    pub(super) fn texts<'a>(&'a self, vast: &'a Vast) -> impl Iterator<Item = &'a str> {
        let own = match vast {
            Vast::Inline => None,
            Vast::Wrapper(text) | Vast::Own(_, text) => Some(text.as_str()),
        };
        let urls = self.media.iter().map(|media| media.url.as_str());
        urls.chain(self.trackers.iter().map(|(_, url)| url.as_str())).chain(own)
    }

    fn inline(&self, version: Version, context: &Context<'_>) -> Pieces {
        let mut to = Pieces::begin(version, "InLine");
        let title = if self.title.is_empty() { context.creative } else { &self.title };
        if version.name != "4.0" {
            to.element("AdTitle", &xml(title));
        }
        self.reports(&mut to);
        if version.name == "4.0" {
            to.element("AdTitle", &xml(title));
        }
        let id = xml(context.creative);
        to.put(&format!("<Creatives><Creative id=\"{id}\">"));
        if version.name == "4.0" {
            to.put(&format!("<UniversalAdId idRegistry=\"unknown\" idValue=\"{id}\">{id}</UniversalAdId>"));
        }
        match self.skip {
            Some(seconds) if version.name != "2.0" => to.put(&format!("<Linear skipoffset=\"{}\">", clock(seconds))),
            _ => to.put("<Linear>"),
        }
        let duration = clock(self.duration);
        if version.name == "4.0" {
            self.events(version, &mut to);
            to.element("Duration", &duration);
            self.files(&mut to);
            self.clicks(context.click, &mut to);
        } else {
            to.element("Duration", &duration);
            self.events(version, &mut to);
            self.clicks(context.click, &mut to);
            self.files(&mut to);
        }
        to.put("</Linear></Creative></Creatives></InLine></Ad></VAST>");
        to
    }

    fn wrapper(&self, version: Version, url: &str) -> Pieces {
        let mut to = Pieces::begin(version, "Wrapper");
        // VAST 4.0 has the address after what is reported, the others before.
        if version.name != "4.0" {
            to.element("VASTAdTagURI", &cdata(url));
        }
        self.reports(&mut to);
        if version.name == "4.0" {
            to.element("VASTAdTagURI", &cdata(url));
        }
        to.put("<Creatives><Creative><Linear>");
        self.events(version, &mut to);
        self.clicks(None, &mut to);
        to.put("</Linear></Creative></Creatives></Wrapper></Ad></VAST>");
        to
    }

    fn told(&self, event: Event) -> impl Iterator<Item = &str> {
        self.trackers.iter().filter(move |(told, _)| *told == event).map(|(_, url)| url.as_str())
    }

    /// `Error` and `Impression`. There must be an impression, if an empty one; ours is the bill, where the exchange bills so.
    fn reports(&self, to: &mut Pieces) {
        for url in self.told(Event::Error) {
            to.element("Error", &cdata(url));
        }
        for url in self.told(Event::Impression) {
            to.element("Impression", &cdata(url));
        }
        let when = if self.told(Event::Impression).next().is_some() { When::BillUrl } else { When::Always };
        to.part(when, "<Impression><![CDATA[${BILL_URL}]]></Impression>");
    }

    fn events(&self, version: Version, to: &mut Pieces) {
        let known = |event: &Event| match event {
            // Skipping came with 3.0.
            Event::Player("skip") if version.name == "2.0" => None,
            Event::Player(name) => Some(*name),
            _ => None,
        };
        if !self.trackers.iter().any(|(event, _)| known(event).is_some()) {
            return;
        }
        to.put("<TrackingEvents>");
        for (event, url) in &self.trackers {
            if let Some(name) = known(event) {
                to.put(&format!("<Tracking event=\"{name}\">{}</Tracking>", cdata(url)));
            }
        }
        to.put("</TrackingEvents>");
    }

    fn clicks(&self, through: Option<&str>, to: &mut Pieces) {
        if through.is_none() && self.told(Event::Click).next().is_none() {
            return;
        }
        to.put("<VideoClicks>");
        if let Some(url) = through {
            to.element("ClickThrough", &cdata(url));
        }
        for url in self.told(Event::Click) {
            to.element("ClickTracking", &cdata(url));
        }
        to.put("</VideoClicks>");
    }

    fn files(&self, to: &mut Pieces) {
        to.put("<MediaFiles>");
        for Media { url, mime, size: Size { w, h }, bitrate, streaming } in &self.media {
            let delivery = if *streaming { "streaming" } else { "progressive" };
            let mut file =
                format!("<MediaFile delivery=\"{delivery}\" type=\"{}\" width=\"{w}\" height=\"{h}\"", xml(mime));
            if *bitrate > 0 {
                write!(file, " bitrate=\"{bitrate}\"").expect("memory");
            }
            to.put(&format!("{file}>{}</MediaFile>", cdata(url)));
        }
        to.put("</MediaFiles>");
    }
}

/// A document in parts, of which some do not stand in every answer.
struct Pieces(Vec<(When, String)>);

impl Pieces {
    fn begin(version: Version, kind: &str) -> Pieces {
        let name = version.name;
        let head = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><VAST version=\"{name}\"><Ad id=\"${{AUCTION_AD_ID}}\"><{kind}>\
             <AdSystem>corebid</AdSystem>"
        );
        Pieces(vec![(When::Always, head)])
    }

    fn part(&mut self, when: When, text: &str) {
        match self.0.last_mut() {
            Some((last, before)) if *last == when => before.push_str(text),
            _ => self.0.push((when, text.to_owned())),
        }
    }

    fn put(&mut self, text: &str) {
        self.part(When::Always, text);
    }

    fn element(&mut self, name: &str, content: &str) {
        self.put(&format!("<{name}>{content}</{name}>"));
    }
}

fn compile(pieces: &Pieces, context: Context<'_>) -> Result<Markup, String> {
    let parts: Vec<_> = pieces.0.iter().map(|(when, text)| Part { when: *when, text }).collect();
    Markup::compile_parts(&parts, context)
}

fn area(size: &Size) -> u32 {
    u32::from(size.w) * u32::from(size.h)
}

/// `HH:MM:SS`.
fn clock(seconds: u16) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// An address, which has no `]]` of its own ([`is_address`]).
fn cdata(url: &str) -> String {
    format!("<![CDATA[{url}]]>")
}

/// Text for content and attributes; what XML has no character for is U+FFFD. No macro of ours is left in it.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '$' => escaped.push_str("&#36;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            plain => escaped.push(plain),
        }
    }
    escaped
}
