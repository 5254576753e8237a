//! The rollout file (docs/ROLLOUT.md): what it says, before any model is read.

use super::{BUCKETS, Split};
use crate::limits;
use crate::model::registry::Version;
use crate::snapshot::document::{Fault, Node, Table, fault};

/// What the file says.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) split: Split,
    pub(super) salt: String,
    /// In its order.
    pub(super) arms: Vec<Planned>,
}

/// An arm of it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) name: String,
    /// Of [`BUCKETS`].
    pub(super) share: u16,
    pub(super) shadow: bool,
    pub(super) click: Option<Named>,
    pub(super) conversion: Option<Named>,
}

/// A version, and the line that names it.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) version: Version,
}

impl Plan {
    pub(super) fn read(mut table: Table) -> Result<Plan, Fault> {
        let line = table.line;
        let split = table.need("split", |node| {
            let line = node.line;
            match node.text()?.as_str() {
                "user" => Ok(Split::User),
                "auction" => Ok(Split::Auction),
                other => fault(line, format!("{other:?} is no way to split: user or auction")),
            }
        })?;
        let salt = table.need("salt", Node::text)?;
        let arms = table.need("arm", Node::list)?;
        if arms.len() > limits::ARMS {
            return fault(line, format!("{} arms; the most is {}", arms.len(), limits::ARMS));
        }
        let mut planned: Vec<Planned> = Vec::new();
        let mut sum = 0;
        for node in arms {
            let line = node.line;
            let arm = Planned::read(node.table()?)?;
            if planned.iter().any(|other| other.name == arm.name) {
                return fault(line, format!("arm {:?} is there twice", arm.name));
            }
            sum += u32::from(arm.share);
            planned.push(arm);
        }
        table.finish()?;
        if sum != u32::from(BUCKETS) {
            return fault(line, format!("the shares of the arms are {} together, not 100", f64::from(sum) / 100.0));
        }
        Ok(Plan { split, salt, arms: planned })
    }
}

impl Planned {
    fn read(mut table: Table) -> Result<Planned, Fault> {
        let line = table.line;
        let name = table.need("name", |node| {
            let line = node.line;
            let name = node.text()?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            match !name.is_empty() && name.len() <= limits::ARM_NAME_BYTES && name.bytes().all(plain) {
                true => Ok(name),
                false => fault(
                    line,
                    format!("{name:?}: 1 to {} letters, digits, `-`, `_` and `.` are wanted", limits::ARM_NAME_BYTES),
                ),
            }
        })?;
        let about = |fault: Fault| fault.about(&format!("arm {name:?}"));
        let shadow = table.read("shadow", Node::bool).map_err(about)?.unwrap_or(false);
        let share = table.read("share", share).map_err(about)?;
        let click = table.read("click", Named::read).map_err(about)?;
        let conversion = table.read("conversion", Named::read).map_err(about)?;
        table.finish().map_err(about)?;
        let share = match (share, shadow) {
            (None, true) => 0,
            (Some(share), false) => share,
            (None, false) => return fault(line, "`share` is missing").map_err(about),
            (Some(_), true) => return fault(line, "a shadow has no share: it scores beside all others").map_err(about),
        };
        if shadow && click.is_none() && conversion.is_none() {
            return fault(line, "a shadow without a model does nothing").map_err(about);
        }
        Ok(Planned { name, share, shadow, click, conversion })
    }
}

impl Named {
    fn read(node: Node) -> Result<Named, Fault> {
        let line = node.line;
        match node.text()?.parse() {
            Ok(version) => Ok(Named { line, version }),
            Err(what) => fault(line, what),
        }
    }
}

/// Percent, to the hundredth.
fn share(node: Node) -> Result<u16, Fault> {
    const HUNDREDTH: i64 = 10_000;
    let line = node.line;
    let micros = node.micros()?;
    match u16::try_from(micros / HUNDREDTH) {
        Ok(share) if share <= BUCKETS && micros % HUNDREDTH == 0 && micros >= 0 => Ok(share),
        _ => fault(line, "a share is a percentage from 0 to 100, with two decimals at most"),
    }
}
