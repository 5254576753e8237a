//! The schema file.

use std::collections::HashSet;
use std::path::Path;

use arrayvec::ArrayVec;

use super::source::Kind;
use super::value::Value;
use super::{BUCKET_RANGE, CROSSED, Column, Encoder, Schema, Source};
use crate::limits;
use crate::profile::count::{Per, Window};
use crate::snapshot::document::{self, Fault, FileError, Node, Table, fault};
use crate::units::SegmentId;

/// Words of a vocabulary at most.
const WORDS: usize = 4096;
/// Bytes of a name at most.
const NAME_BYTES: usize = 64;
/// What a fingerprint begins with: another for every change of what a schema means.
const MEANING: &str = "corebid features 1\n";

pub(super) fn load(path: &Path) -> Result<Schema, FileError> {
    parse(path, document::read(path)?)
}

pub(super) fn parse(path: &Path, text: String) -> Result<Schema, FileError> {
    let table = document::parse(path, text.clone().into_bytes())?;
    schema(table, text).map_err(|fault| fault.within(path))
}

/// A column as it is declared: how it is filled from which sources.
struct Declared {
    name: String,
    sources: Vec<Source>,
    how: How,
}

enum How {
    Number,
    Hash(u32),
    Vocabulary(Vec<Node>),
    Cross(u32),
}

fn schema(mut table: Table, text: String) -> Result<Schema, Fault> {
    let mut declared: Vec<Declared> = Vec::new();
    for node in table.need("features", Node::list)? {
        let line = node.line;
        let column = feature(node.table()?, &declared)?;
        if declared.iter().any(|other| other.name == column.name) {
            return fault(line, format!("`{}` is declared twice", column.name));
        }
        declared.push(column);
        if declared.len() > limits::FEATURES {
            return fault(line, format!("more than {} features", limits::FEATURES));
        }
    }
    if declared.is_empty() {
        return fault(table.line, "no feature is declared");
    }
    table.finish()?;
    built(declared, text)
}

fn feature(mut table: Table, before: &[Declared]) -> Result<Declared, Fault> {
    let line = table.line;
    let name = table.need("name", Node::text)?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(good) {
        return fault(line, format!("name {name:?}: 1 to {NAME_BYTES} of ASCII letters, digits and _"));
    }
    let declared = if let Some(crossed) = table.read("cross", Node::list)? {
        let mut sources = Vec::new();
        for node in crossed {
            let line = node.line;
            let wanted = node.text()?;
            // A name of a feature of one source stands for that source; else it is a source's own.
            let of_feature = before.iter().find(|column| column.name == wanted && column.sources.len() == 1);
            match of_feature.map(|column| column.sources[0]).or_else(|| named(&wanted)) {
                Some(source) => sources.push(source),
                None => return fault(line, format!("cross: {wanted:?} is neither a source nor a feature before this")),
            }
        }
        if !(2..=CROSSED).contains(&sources.len()) {
            return fault(line, format!("cross: {} sources where 2 to {CROSSED} belong", sources.len()));
        }
        let buckets = table.need("buckets", buckets)?;
        Declared { name, sources, how: How::Cross(buckets) }
    } else {
        let from = table.read("from", Node::text)?.unwrap_or_else(|| name.clone());
        let source = source(&mut table, &from, line)?;
        let how = match table.read("as", Node::text)?.as_deref() {
            None | Some("number") => {
                if matches!(source.kind(), Kind::Text { .. }) {
                    return fault(line, format!("{name}: `{from}` is no number: as = \"hash\" or \"vocabulary\""));
                }
                How::Number
            }
            Some("hash") => How::Hash(table.need("buckets", buckets)?),
            Some("vocabulary") => How::Vocabulary(table.need("values", Node::list)?),
            Some(other) => return fault(line, format!("as {other:?}: number, hash or vocabulary")),
        };
        Declared { name, sources: vec![source], how }
    };
    table.finish()?;
    Ok(declared)
}

fn named(name: &str) -> Option<Source> {
    Source::NAMED.iter().find(|(_, known)| *known == name).map(|(source, _)| *source)
}

/// A source with what it takes to say which.
fn source(table: &mut Table, from: &str, line: usize) -> Result<Source, Fault> {
    match from {
        "segment" => {
            let id = table.need("segment", |node| node.integer(0..=i64::from(u32::MAX)))?;
            Ok(Source::Segment(SegmentId(id as u32)))
        }
        "shown" => {
            let per = table.read("per", |node| word(node, Per::ALL.map(|per| (per, per.label()))))?;
            let windows = Window::ALL.map(|window| (window, window.label()));
            let window = table.read("window", |node| word(node, windows))?;
            Ok(Source::Shown(per.unwrap_or(Per::Campaign), window.unwrap_or(Window::Day)))
        }
        other => named(other).map_or_else(|| fault(line, format!("`{other}` is no source")), Ok),
    }
}

fn word<T: Copy, const N: usize>(node: Node, words: [(T, &str); N]) -> Result<T, Fault> {
    let line = node.line;
    let text = node.text()?;
    match words.iter().find(|(_, word)| *word == text) {
        Some((value, _)) => Ok(*value),
        None => fault(line, format!("{text:?} is none of {}", words.map(|(_, word)| word).join(", "))),
    }
}

fn buckets(node: Node) -> Result<u32, Fault> {
    let range = i64::from(BUCKET_RANGE.start)..=i64::from(BUCKET_RANGE.end - 1);
    node.integer(range).map(|buckets| buckets as u32)
}

/// The keys of the words that a vocabulary lists, in the order of the keys.
fn words(source: Source, values: Vec<Node>) -> Result<Box<[(u64, u32)]>, Fault> {
    let (mut words, mut known) = (Vec::new(), HashSet::new());
    for (node, place) in values.into_iter().zip(1..) {
        let line = node.line;
        let value = match source.kind() {
            Kind::Number => Value::whole(node.integer(i64::MIN..=i64::MAX)?),
            Kind::Code(names) => {
                let name = node.text()?;
                if !names.contains(&name.as_str()) {
                    return fault(line, format!("{name:?} is none of {}", names.join(", ")));
                }
                Value::text(name.as_bytes())
            }
            Kind::Text { caseless: true } => Value::caseless(node.text()?.as_bytes()),
            Kind::Text { caseless: false } => Value::text(node.text()?.as_bytes()),
        };
        let Some(key) = value.key() else { return fault(line, "an empty value") };
        if !known.insert(key) {
            return fault(line, "a value that is listed before");
        }
        if known.len() > WORDS {
            return fault(line, format!("more than {WORDS} values"));
        }
        words.push((key, place));
    }
    words.sort_unstable();
    Ok(words.into())
}

fn built(declared: Vec<Declared>, text: String) -> Result<Schema, Fault> {
    let (mut of_request, mut of_offer) = (Vec::new(), Vec::new());
    for &source in declared.iter().flat_map(|column| &column.sources) {
        let side: &mut Vec<Source> = if source.varies() { &mut of_offer } else { &mut of_request };
        if !side.contains(&source) {
            side.push(source);
        }
    }
    let sources: Vec<Source> = of_request.iter().chain(&of_offer).copied().collect();
    if sources.len() > limits::FEATURES {
        return fault(0, format!("{} sources, more than {}", sources.len(), limits::FEATURES));
    }
    let place = |source: Source| sources.iter().position(|&known| known == source).expect("gathered above") as u8;
    let mut columns = Vec::new();
    for Declared { name, sources, how } in declared {
        let first = place(sources[0]);
        let encoder = match how {
            How::Number => Encoder::Number(first),
            How::Hash(buckets) => Encoder::Hash(first, buckets),
            How::Vocabulary(values) => {
                Encoder::Vocabulary(first, words(sources[0], values).map_err(|fault| fault.about(&name))?)
            }
            How::Cross(buckets) => {
                Encoder::Cross(sources.into_iter().map(place).collect::<ArrayVec<u8, CROSSED>>(), buckets)
            }
        };
        columns.push(Column { name, encoder });
    }
    let of_request = of_request.len();
    let varies = |column: &Column| column.encoder.sources().iter().any(|&source| usize::from(source) >= of_request);
    let (varying, shared) = (0..columns.len()).partition(|&at| varies(&columns[at]));
    let fingerprint = fingerprint(&columns, &sources);
    let asks_agent = sources.contains(&Source::Os) || sources.contains(&Source::Browser);
    Ok(Schema { text, columns, sources, of_request, shared, varying, asks_agent, fingerprint })
}

/// Of what fills the rows: columns in their order, with their names, sources and encoders; no spelling of the file.
fn fingerprint(columns: &[Column], sources: &[Source]) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(MEANING.as_bytes());
    for Column { name, encoder } in columns {
        hash.update(name.as_bytes());
        for &at in encoder.sources() {
            hash.update(format!(" {}", sources[usize::from(at)]).as_bytes());
        }
        hash.update(b" as ");
        match encoder {
            Encoder::Number(_) => hash.update(b"number"),
            Encoder::Hash(_, buckets) => hash.update(format!("hash {buckets}").as_bytes()),
            Encoder::Vocabulary(_, words) => hash.update(format!("vocabulary {words:?}").as_bytes()),
            Encoder::Cross(_, buckets) => hash.update(format!("cross {buckets}").as_bytes()),
        };
        hash.update(b"\n");
    }
    u64::from_le_bytes(*hash.finalize().as_bytes().first_chunk().expect("32 bytes"))
}
