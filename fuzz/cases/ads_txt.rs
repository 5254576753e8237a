//! Lines of ads.txt: each is a record, a variable, or skipped with its number; none depends on another.

use corebid::supply::ads_txt::{Line, lines, refusal};

/// Checks one input.
pub(crate) fn check(text: &[u8]) {
    let all: Vec<Line<'_>> = lines(text).collect();
    if refusal(text).is_some() {
        assert!(matches!(all[..], [Line::Skipped { line: 1, .. }]));
        return;
    }
    let count = text.split(|byte| matches!(byte, b'\r' | b'\n')).count();
    let mut last = 0;
    for line in &all {
        match *line {
            Line::Record(record) => {
                for field in [record.domain, record.account] {
                    assert!(!field.is_empty() && field.trim() == field && !field.contains([',', '#', ';', '\n']));
                }
            }
            Line::Variable { name, value } => {
                assert!(!name.is_empty() && !name.contains(|letter: char| letter.is_whitespace() || letter == '='));
                assert!(!value.contains(['#', '\n', '\r']));
            }
            Line::Skipped { line, .. } => {
                assert!(last < line && line <= count, "line {line} of {count}");
                last = line;
            }
        }
    }
    // Cut in two at an end of a line, the halves say what the whole said. The second may look like a page by itself.
    if let Some(cut) = text.iter().rposition(|&byte| byte == b'\n') {
        let (first, second) = text.split_at(cut + 1);
        if refusal(second).is_none() {
            let unnumbered = |line: Line<'_>| match line {
                Line::Skipped { reason, .. } => format!("{reason:?}"),
                line => format!("{line:?}"),
            };
            let halves = lines(first).chain(lines(second)).map(unnumbered);
            assert!(halves.eq(all.into_iter().map(unnumbered)));
        }
    }
}
