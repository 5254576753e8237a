//! The string of the Global Privacy Platform (IAB Tech Lab), whole: its header, and every section that IAB's own library knows
//! (@iabgpp/cmpapi), with that library's names and defaults.

mod tcf;
mod us;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Refused;
use super::bits::Bits;
use super::time::Deciseconds;
use super::us_privacy::UsPrivacy;
use super::vendors::Vendors;

/// A GPP string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gpp {
    /// Of the sections that are known, in ascending order.
    pub section_ids: Vec<u16>,
    /// Those sections, in the same order.
    #[serde(serialize_with = "by_name")]
    pub sections: Vec<Section>,
    /// Sections that the header announces and nobody here can read.
    #[serde(skip)]
    pub unknown: Vec<u16>,
}

/// A section of a GPP string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The library's name of it.
    pub name: &'static str,
    /// In the order of the library.
    pub fields: Vec<(&'static str, Value)>,
    /// Whether it has a segment of disclosed vendors: without, the list is printed as empty.
    pub discloses: bool,
}

/// Named values in their order.
pub(super) type Fields = Vec<(&'static str, Value)>;

/// What a field can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum Value {
    Int(u64),
    Ints(Vec<u64>),
    Flag(bool),
    Flags(Vec<bool>),
    Time(Deciseconds),
    Text(String),
    Vendors(Vendors),
    Restrictions(Vec<Restriction>),
}

/// A publisher's restriction, as the library prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restriction {
    /// The purpose.
    pub key: u64,
    /// 0: not allowed, 1 and 2: requires the one legal basis or the other.
    #[serde(rename = "type")]
    pub restriction_type: u64,
    /// The vendors.
    pub ids: Vendors,
}

fn by_name<S: Serializer>(sections: &[Section], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(sections.iter().map(|section| (section.name, section)))
}

impl Serialize for Section {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Section {
    /// A field's list of vendors; nobody without that field.
    pub fn vendors(&self, field: &str) -> Option<&Vendors> {
        self.fields.iter().find_map(|(name, value)| match value {
            Value::Vendors(vendors) if *name == field => Some(vendors),
            _ => None,
        })
    }

    /// The restrictions of a vendor: purpose and type of each.
    pub fn restrictions_of(&self, vendor: u16) -> impl Iterator<Item = (u64, u64)> {
        let lists = self.fields.iter().filter_map(|(_, value)| match value {
            Value::Restrictions(restrictions) => Some(restrictions),
            _ => None,
        });
        let of_vendor = lists.flatten().filter(move |restriction| restriction.ids.has(vendor));
        of_vendor.map(|restriction| (restriction.key, restriction.restriction_type))
    }
}

impl Gpp {
    /// Reads a string.
    pub fn decode(text: &str) -> Result<Gpp, Refused> {
        let mut parts = text.split('~');
        let header = parts.next().unwrap_or_default().split('.').next().unwrap_or_default();
        let announced = announced(Bits::new("GPP string, header", header)?)?;
        let parts: Vec<&str> = parts.collect();
        if announced.iter().count() != parts.len() {
            return Err(Refused::new(format!(
                "GPP string: the header announces {} sections, the string has {}",
                announced.iter().count(),
                parts.len()
            )));
        }
        let mut gpp = Gpp { section_ids: Vec::new(), sections: Vec::new(), unknown: Vec::new() };
        for (id, part) in announced.iter().zip(parts) {
            if part.trim().is_empty() {
                return Err(Refused::new(format!("GPP string: section {id} is blank")));
            }
            match section(id, part)? {
                Some(section) => {
                    gpp.section_ids.push(id);
                    gpp.sections.push(section);
                }
                None => gpp.unknown.push(id),
            }
        }
        Ok(gpp)
    }
}

/// The ids of the sections that follow the header.
fn announced(mut header: Bits<'_>) -> Result<Vendors, Refused> {
    let (kind, version) = (header.int("Type", 6)?, header.int("Version", 6)?);
    if (kind, version) != (3, 1) {
        return Err(header.refused(format_args!("is of type {kind}, version {version}, not 3 and 1")));
    }
    header.fibonacci_ranges("Sections")
}

/// Reads a section; `None` if it is of a kind unknown.
fn section(id: u16, text: &str) -> Result<Option<Section>, Refused> {
    Ok(Some(match id {
        2 => tcf::europe(text)?,
        5 => tcf::canada(text)?,
        6 => us_privacy(text)?,
        _ => match us::LAYOUTS.iter().find(|layout| layout.id == id) {
            Some(layout) => layout.read(text)?,
            None => return Ok(None),
        },
    }))
}

fn us_privacy(text: &str) -> Result<Section, Refused> {
    let read = UsPrivacy::decode(text.split('.').next().unwrap_or_default())?;
    let character = |character: char| Value::Text(character.to_string());
    let fields = vec![
        ("Version", Value::Int(1)),
        ("Notice", character(read.notice)),
        ("OptOutSale", character(read.opt_out)),
        ("LspaCovered", character(read.agreement)),
    ];
    Ok(Section { name: "uspv1", fields, discloses: false })
}
