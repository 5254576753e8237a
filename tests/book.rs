//! A large campaign file is read as it was meant: what the file says is what was made without one, and the mistakes in its midst
//! are told where they are.

use std::path::Path;

use corebid::snapshot::campaign::{Slots, parse};
use corebid::snapshot::demo;

#[test]
fn what_the_file_says_is_what_was_made_without_one() {
    for count in [None, Some(3000)] {
        let mut slots = Slots::new();
        let made = match count {
            None => demo::built_in(&mut slots),
            Some(count) => demo::synthetic(count, &mut slots),
        };
        let read = parse(Path::new("book.json"), demo::file(count).into_bytes(), &mut Slots::new()).unwrap();
        assert_eq!(read.len(), made.len());
        for (read, made) in read.iter().zip(&made) {
            assert_eq!(read, made);
        }
    }
}

#[test]
fn a_mistake_is_told_with_its_line_however_far_down() {
    let text = demo::file(Some(3000));
    let line = 2500;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (from, to) in [("\"cpm\":", "\"cmp\":"), ("{", ""), ("\"id\":", "\"id\":-"), ("https:", "\u{1}https:")] {
        let good = lines[line - 1].clone();
        lines[line - 1] = good.replacen(from, to, 1);
        assert_ne!(lines[line - 1], good);
        let mut slots = Slots::new();
        let error = parse(Path::new("book.json"), lines.join("\n").into_bytes(), &mut slots).unwrap_err();
        assert_eq!((error.line, slots.len()), (line, 0), "{error}");
        lines[line - 1] = good;
    }
}
