//! A large campaign file is read as it was written: the round trip through JSON, and the mistakes in its midst.

use std::path::Path;

use corebid::snapshot::campaign::{Slots, parse};
use corebid::snapshot::demo;

#[path = "support/book.rs"]
mod book;

#[test]
fn what_was_written_is_read() {
    for campaigns in [demo::built_in(&mut Slots::new()), demo::synthetic(3000, &mut Slots::new())] {
        let text = book::json(&campaigns);
        let read = parse(Path::new("book.json"), text.into_bytes(), &mut Slots::new()).unwrap();
        assert_eq!(read.len(), campaigns.len());
        for (read, written) in read.iter().zip(&campaigns) {
            assert_eq!(read, written);
        }
    }
}

#[test]
fn a_mistake_is_told_with_its_line_however_far_down() {
    let text = book::json(&demo::synthetic(3000, &mut Slots::new()));
    let line = 2500;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (from, to) in [("\"cpm\":", "\"cmp\":"), ("{", ""), ("\"id\":", "\"id\":-")] {
        let good = lines[line - 1].clone();
        lines[line - 1] = good.replacen(from, to, 1);
        let mut slots = Slots::new();
        let error = parse(Path::new("book.json"), lines.join("\n").into_bytes(), &mut slots).unwrap_err();
        assert_eq!((error.line, slots.len()), (line, 0), "{error}");
        lines[line - 1] = good;
    }
}
