//! Rows of feature values as text: numbers parted by commas, a row a line, no header.
//!
//! An empty cell, or `nan`, is missing; `inf` and `-inf` are values. A last line need not end. An empty line is one cell, which is
//! empty: a row of a model with one feature.

use std::io::{self, BufRead};

use crate::snapshot::document::{Fault, fault};

/// Why rows were not read to their end.
#[derive(Debug)]
pub enum Stopped<E> {
    /// A row is none, at a line.
    Row {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The rows could not be read.
    Read(io::Error),
    /// Who took them would not have another.
    Taker(E),
}

/// Hands on each row of `width` values; missing ones are NaN.
///
/// # Errors
/// A cell is no number, a row has more or fewer cells, or reading fails.
pub fn each<E>(
    mut rows: impl BufRead,
    width: usize,
    mut take: impl FnMut(&[f64]) -> Result<(), E>,
) -> Result<(), Stopped<E>> {
    let (mut line, mut bytes, mut row) = (0, Vec::new(), Vec::with_capacity(width));
    while rows.read_until(b'\n', &mut bytes).map_err(Stopped::Read)? > 0 {
        line += 1;
        read(&bytes, line, width, &mut row).map_err(|Fault { line, what }| Stopped::Row { line, what })?;
        take(&row).map_err(Stopped::Taker)?;
        bytes.clear();
    }
    Ok(())
}

fn read(bytes: &[u8], line: usize, width: usize, row: &mut Vec<f64>) -> Result<(), Fault> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let Ok(text) = std::str::from_utf8(bytes.strip_suffix(b"\r").unwrap_or(bytes)) else {
        return fault(line, "not UTF-8");
    };
    row.clear();
    for cell in text.split(',').map(str::trim) {
        match cell.parse() {
            Ok(value) => row.push(value),
            Err(_) if cell.is_empty() => row.push(f64::NAN),
            Err(_) => {
                let shown: String = cell.chars().take(40).collect();
                return fault(line, format!("cell {}: `{shown}` is no number", row.len() + 1));
            }
        }
    }
    match row.len() {
        cells if cells == width => Ok(()),
        cells => fault(line, format!("{cells} cells, where the model has {width} features")),
    }
}
