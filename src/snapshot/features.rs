//! Features: what a model is told of an offer, as a row of numbers, declared in a file (docs/FEATURES.md).
//!
//! ```text
//!   schema ──► sources: a domain, an hour, a creative's width      each read once, into a [`Value`]
//!          └─► columns: a source, and how it becomes a number      number, hash, vocabulary; a cross of several sources
//! ```
//!
//! The same [`Schema::encode`] fills the rows that are scored and the rows that are logged for training, so that nothing is
//! meant in one place and said differently in the other. A row is `f32`; what is missing is NaN.

pub mod source;
pub mod value;
mod file;

use std::ops::Range;
use std::path::Path;

use arrayvec::ArrayVec;

use crate::limits;
use crate::snapshot::document::FileError;
pub use source::Source;
pub use value::Value;

/// Sources that a cross brings together at most.
pub const CROSSED: usize = 4;
/// Buckets of a column at most: every number below is exact in `f32`.
pub const BUCKETS: u32 = 1 << 24;

/// What a model is told, column by column.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    text: String,
    columns: Vec<Column>,
    /// Each once: those of the request first, those of an offer behind them.
    sources: Vec<Source>,
    /// How many of them are of the request.
    of_request: usize,
    shared: Vec<usize>,
    varying: Vec<usize>,
    asks_agent: bool,
    fingerprint: u64,
}

/// One feature.
#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: String,
    encoder: Encoder,
}

/// How values become a number. Sources are named by their place in [`Schema::sources`].
#[derive(Clone, Debug, PartialEq)]
enum Encoder {
    /// The number itself.
    Number(u8),
    /// The bucket that the value falls in.
    Hash(u8, u32),
    /// The place among the words, counted from 1; 0 for what is not among them. In the order of the keys.
    Vocabulary(u8, Box<[(u64, u32)]>),
    /// The bucket that several values fall in together.
    Cross(ArrayVec<u8, CROSSED>, u32),
}

/// The values of a schema's sources, for one offer.
pub type Values = ArrayVec<Value, { limits::FEATURES }>;

impl Schema {
    /// The schema that holds where none is declared.
    pub fn builtin() -> Schema {
        Schema::parse(include_str!("features/builtin.toml")).expect("the schema that is built in")
    }

    /// Reads a schema file: TOML as docs/FEATURES.md says.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn load(path: &Path) -> Result<Schema, FileError> {
        file::load(path)
    }

    /// The same, of its text alone.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(text: &str) -> Result<Schema, FileError> {
        file::parse(Path::new("schema.toml"), text.to_owned())
    }

    /// The same, of the text of a file, whose name is for what is wrong.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse_file(path: &Path, text: String) -> Result<Schema, FileError> {
        file::parse(path, text)
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A number for what it means: two schemas that fill the same rows have the same, however they are written.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// How many columns a row has.
    #[inline]
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The names of the columns.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The columns whose number stands for a word, not for how much of something there is.
    pub fn categorical(&self) -> impl Iterator<Item = usize> {
        let columns = self.columns.iter().zip(0..);
        columns.filter(|(column, _)| !matches!(column.encoder, Encoder::Number(_))).map(|(_, at)| at)
    }

    /// The columns that depend on the request alone, ascending.
    #[inline]
    pub fn shared(&self) -> &[usize] {
        &self.shared
    }

    /// The columns that depend on the offer, ascending.
    #[inline]
    pub fn varying(&self) -> &[usize] {
        &self.varying
    }

    /// What is to be read of the request, in the order of [`Values`].
    #[inline]
    pub fn of_request(&self) -> &[Source] {
        &self.sources[..self.of_request]
    }

    /// What is to be read of an offer; their values follow those of the request.
    #[inline]
    pub fn of_offer(&self) -> &[Source] {
        &self.sources[self.of_request..]
    }

    /// Whether a column depends on the operating system or the browser.
    #[inline]
    pub fn asks_agent(&self) -> bool {
        self.asks_agent
    }

    /// Fills these columns of a row.
    ///
    /// # Panics
    /// If the row is shorter than [`Schema::width`], or `values` lacks one that a column needs.
    #[inline]
    pub fn encode(&self, columns: &[usize], values: &[Value], row: &mut [f32]) {
        for &at in columns {
            row[at] = self.columns[at].encoder.encode(values);
        }
    }
}

impl Encoder {
    #[inline]
    fn encode(&self, values: &[Value]) -> f32 {
        let value = |source: u8| values[usize::from(source)];
        match self {
            Encoder::Number(source) => value(*source).number(),
            Encoder::Hash(source, buckets) => bucket(value(*source).key(), *buckets),
            Encoder::Vocabulary(source, words) => value(*source).key().map_or(f32::NAN, |key| {
                words.binary_search_by_key(&key, |(word, _)| *word).map_or(0, |at| words[at].1) as f32
            }),
            Encoder::Cross(sources, buckets) => {
                let together = sources.iter().try_fold(value::CROSS, |key, &source| value(source).crossed(key));
                bucket(together, *buckets)
            }
        }
    }

    fn sources(&self) -> &[u8] {
        match self {
            Encoder::Number(source) | Encoder::Hash(source, _) | Encoder::Vocabulary(source, _) => {
                std::slice::from_ref(source)
            }
            Encoder::Cross(sources, _) => sources,
        }
    }
}

/// The high bits of a key spread it over the buckets.
#[inline]
fn bucket(key: Option<u64>, buckets: u32) -> f32 {
    key.map_or(f32::NAN, |key| ((u128::from(key) * u128::from(buckets)) >> 64) as f32)
}

/// How many buckets a column may have.
const BUCKET_RANGE: Range<u32> = 2..BUCKETS + 1;

#[cfg(test)]
mod tests;
