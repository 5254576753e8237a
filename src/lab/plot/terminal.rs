//! The plot in a terminal: Braille letters, each two dots wide and four high (Unicode block U+2800).

use super::{Axes, Curve, refused, tick};

/// Rows of the plot.
const ROWS: usize = 12;
/// Letters to the left of it.
const MARGIN: usize = 9;
/// Narrowest and widest.
const COLUMNS: std::ops::RangeInclusive<usize> = 40..=140;
/// Bits of the dots of a letter: of its left and its right column, from above.
const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// Width of the terminal on stdout; `None` if it is none.
pub fn columns() -> Option<usize> {
    // SAFETY: an all-zero `winsize` is a valid value of this plain structure.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: `size` is writable for the length of the call, and what TIOCGWINSZ fills.
    let known = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) } == 0;
    known.then_some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Draws a curve in lines of at most `columns` letters (between 40 and 140). Below what was not measured stand crosses.
pub fn terminal(curve: &Curve, columns: usize) -> String {
    let Some(axes) = Axes::around(std::slice::from_ref(curve)) else { return "  nothing was answered".to_owned() };
    let width = columns.clamp(*COLUMNS.start(), *COLUMNS.end()) - MARGIN - 2;
    let mut letters = vec![[0u8; ROWS]; width];
    let mut dot = |x: usize, y: usize| letters[x / 2][ROWS - 1 - y / 4] |= DOTS[x % 2][3 - y % 4];
    let place = |part: f64, dots: usize| ((part.clamp(0.0, 1.0) * (dots - 1) as f64).round()) as usize;
    let places: Vec<(usize, usize)> = curve
        .points
        .iter()
        .map(|point| (place(axes.x(point.one_in), width * 2), place(axes.y(point.ns), ROWS * 4)))
        .collect();
    for pair in places.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let steps = (x1 - x0).max(y1 - y0).max(1);
        for step in 0..=steps {
            dot(x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps);
        }
    }
    let mut lines: Vec<String> = (0..ROWS)
        .map(|row| {
            let shapes = letters.iter().map(|column| char::from_u32(0x2800 + u32::from(column[row])).unwrap_or(' '));
            format!("{:MARGIN$} │{}", "", shapes.collect::<String>().trim_end_matches('\u{2800}'))
        })
        .collect();
    let mut ticks = axes.latencies();
    if ticks.len() > ROWS {
        ticks.retain(|(_, ns)| ns.to_string().starts_with('1'));
    }
    for (part, ns) in ticks {
        let row = ROWS - 1 - place(part, ROWS * 4) / 4;
        if lines[row].starts_with(' ') {
            lines[row].replace_range(..MARGIN + 1, &format!("{:>MARGIN$} ", tick(ns)));
        }
    }
    let mut axis = vec!['─'; width];
    let mut names = vec![' '; width + MARGIN / 2 + 2];
    for (part, name) in axes.nines() {
        let at = place(part, width);
        axis[at] = '┴';
        let start = (at + MARGIN / 2 + 2).saturating_sub(name.len() / 2).min(names.len() - name.len());
        // A name that has no room is left out.
        if names[start.saturating_sub(1)..start + name.len()].iter().all(|letter| *letter == ' ') {
            names[start..start + name.len()].iter_mut().zip(name.chars()).for_each(|(place, letter)| *place = letter);
        }
    }
    let text = |letters: &[char]| letters.iter().collect::<String>().trim_end().to_owned();
    lines.push(format!("{:MARGIN$} └{}", "", text(&axis)));
    lines.push(format!("{:1$}{2}", "", MARGIN - MARGIN / 2, text(&names)));
    let mut crosses = vec![' '; width];
    for (first, last) in refused(&curve.points) {
        crosses[places[first].0 / 2..=places[last].0 / 2].fill('×');
    }
    if crosses.contains(&'×') {
        lines.push(format!("{:>MARGIN$}  {}", "refused", text(&crosses)));
    }
    lines.join("\n")
}
