//! `corebid ledger dump`.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::commands::Failure;
use crate::reconcile::record::{Record, RecordId};
use crate::store::verify::{Fault, walk};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data directory of `serve`, or an export
    dir: PathBuf,
    /// One JSON object a line, which is how records are printed anyway
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Args { dir, json: _ } = args;
    let mut out = BufWriter::new(io::stdout().lock());
    let walked = walk(dir, None, &[], |id, opening, record| writeln!(out, "{}", line(id, opening, record)));
    let flushed = out.flush();
    match walked {
        // Whoever reads has seen enough.
        Err(Fault::Show(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(fault) => Err(fault.into()),
        Ok(_) => match flushed {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        },
    }
}

/// A record: its id (its number in version 1, null where it has none), its kind, its fields, and whether it stands in an
/// opening balance, where it repeats what is known.
fn line(id: Option<RecordId>, opening: bool, record: &Record) -> Value {
    let mut line = Map::from_iter([("id".to_owned(), id.map(|id| id.0).into())]);
    line.extend(record.show());
    if opening {
        line.insert("opening".to_owned(), true.into());
    }
    line.into()
}
