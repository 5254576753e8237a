//! UBJSON as XGBoost writes it (draft 12 of ubjson.org, without counted objects): a deserializer of `serde`, so that one set of
//! types reads both of XGBoost's formats.
//!
//! A value is a marker and what it announces, numbers big-endian. XGBoost writes lists of numbers as `[$` type `#` count and the
//! bare numbers, and names without their marker `S`.

use serde::de::{self, DeserializeSeed, Visitor};

use crate::limits;

/// Why bytes are no document: in words.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: std::fmt::Display>(what: T) -> Refused {
        Refused(what.to_string())
    }
}

/// Reads one document, to the last byte.
pub(super) fn read<'de, T: de::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Refused> {
    let mut reader = Reader { rest: bytes, length: bytes.len(), depth: 0 };
    let document =
        T::deserialize(Item { reader: &mut reader, marker: None }).map_err(|refused| reader.at(&refused.0))?;
    match reader.rest.is_empty() {
        true => Ok(document),
        false => Err(reader.at("bytes after the document")),
    }
}

struct Reader<'de> {
    rest: &'de [u8],
    length: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    fn at(&self, what: &str) -> Refused {
        Refused(format!("{what}, at byte {} of its UBJSON", self.length - self.rest.len()))
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8], Refused> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Refused("the file ends within a value: it was cut".to_owned()));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        Ok(*self.take(N)?.first_chunk().expect("as many as were taken"))
    }

    /// A marker; `N` says nothing and is passed over.
    fn marker(&mut self) -> Result<u8, Refused> {
        loop {
            let [marker] = self.array()?;
            if marker != b'N' {
                return Ok(marker);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn integer(&mut self, marker: u8) -> Result<Option<i64>, Refused> {
        Ok(Some(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Ok(None),
        }))
    }

    /// How many bytes or values follow, each of which takes at least a byte.
    fn count(&mut self) -> Result<usize, Refused> {
        let marker = self.marker()?;
        let count = self.integer(marker)?.and_then(|count| usize::try_from(count).ok());
        count.filter(|count| *count <= self.rest.len()).ok_or_else(|| Refused("a length that cannot be".to_owned()))
    }

    fn text(&mut self) -> Result<&'de str, Refused> {
        let count = self.count()?;
        std::str::from_utf8(self.take(count)?).map_err(|_| Refused("a text that is not UTF-8".to_owned()))
    }

    fn deeper(&mut self) -> Result<(), Refused> {
        self.depth += 1;
        match self.depth <= limits::MODEL_DEPTH {
            true => Ok(()),
            false => Err(Refused(format!("more than {} lists and objects in one another", limits::MODEL_DEPTH))),
        }
    }
}

/// A value, whose marker may be known already.
struct Item<'r, 'de> {
    reader: &'r mut Reader<'de>,
    marker: Option<u8>,
}

impl<'de> de::Deserializer<'de> for Item<'_, 'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let Item { reader, marker } = self;
        let marker = match marker {
            Some(marker) => marker,
            None => reader.marker()?,
        };
        if let Some(integer) = reader.integer(marker)? {
            return visitor.visit_i64(integer);
        }
        match marker {
            b'd' => visitor.visit_f32(f32::from_be_bytes(reader.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(reader.array()?)),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'Z' => visitor.visit_unit(),
            b'S' => visitor.visit_borrowed_str(reader.text()?),
            b'[' => {
                reader.deeper()?;
                let (mut kind, mut left) = (None, None);
                if reader.peek() == Some(b'$') {
                    let [_, of] = reader.array()?;
                    if !b"iUIlLdD".contains(&of) || reader.peek() != Some(b'#') {
                        return Err(Refused("a list of a kind that XGBoost does not write".to_owned()));
                    }
                    kind = Some(of);
                }
                if reader.peek() == Some(b'#') {
                    reader.take(1)?;
                    left = Some(reader.count()?);
                }
                let read = visitor.visit_seq(List { reader: &mut *reader, kind, left })?;
                reader.depth -= 1;
                Ok(read)
            }
            b'{' => {
                reader.deeper()?;
                let read = visitor.visit_map(Object { reader: &mut *reader })?;
                reader.depth -= 1;
                Ok(read)
            }
            other => Err(Refused(format!("`{}` begins no value", other.escape_ascii()))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        let marker = match self.marker {
            Some(marker) => marker,
            None => self.reader.marker()?,
        };
        self.marker = Some(marker);
        if marker == b'Z' { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// A list: counted, or to its bracket.
struct List<'r, 'de> {
    reader: &'r mut Reader<'de>,
    kind: Option<u8>,
    left: Option<usize>,
}

impl<'de> de::SeqAccess<'de> for List<'_, 'de> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Refused> {
        let marker = match &mut self.left {
            Some(0) => return Ok(None),
            Some(left) => {
                *left -= 1;
                self.kind
            }
            None => match self.reader.marker()? {
                b']' => {
                    self.left = Some(0);
                    return Ok(None);
                }
                marker => Some(marker),
            },
        };
        seed.deserialize(Item { reader: &mut *self.reader, marker }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

/// An object, to its brace.
struct Object<'r, 'de> {
    reader: &'r mut Reader<'de>,
}

impl<'de> de::MapAccess<'de> for Object<'_, 'de> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refused> {
        if self.reader.peek() == Some(b'}') {
            self.reader.take(1)?;
            return Ok(None);
        }
        let key = self.reader.text()?;
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        seed.deserialize(Item { reader: &mut *self.reader, marker: None })
    }
}

#[cfg(test)]
mod tests;
