//! `corebid model predict`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::PathBuf;

use crate::commands::Failure;
use crate::model;
use crate::model::engine::{Engine, Room};
use crate::model::rows::{self, Stopped};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An import, or the library's own file
    model: PathBuf,
    /// Rows of feature values: numbers separated by commas, no header; an empty cell or `nan` is missing
    rows: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let model = model::read(&args.model)?;
    let told = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", args.rows.display()));
    let rows = File::open(&args.rows).map_err(|error| told(&error))?;
    let engine = Engine::build(&model.forest);
    let (mut room, mut scores) = (Room::default(), vec![0.0; model.forest.base.len()]);
    let mut out = BufWriter::new(io::stdout().lock());
    let read = rows::each(BufReader::new(rows), model.forest.features.len(), |row| {
        engine.score(row, &mut room, &mut scores);
        write_line(&mut out, &scores)
    });
    // What was scored before a mistake is shown before it is told.
    let flushed = out.flush();
    match read {
        Ok(()) => {}
        Err(Stopped::Row { line, what }) => {
            return Err(Failure::new(format!("{}:{line}: {what}", args.rows.display())));
        }
        Err(Stopped::Read(error)) => return Err(told(&error)),
        Err(Stopped::Taker(error)) => return shown(Err(error)),
    }
    shown(flushed)
}

/// The scores of a row, in the fewest digits that read as the same numbers.
fn write_line(out: &mut impl Write, scores: &[f64]) -> io::Result<()> {
    for (at, score) in scores.iter().enumerate() {
        write!(out, "{}{score:?}", if at > 0 { "," } else { "" })?;
    }
    writeln!(out)
}

/// Whoever reads may have seen enough.
fn shown(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
