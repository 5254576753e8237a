//! SVG as text: what the plots of the lab have in common. The same each time, and small enough for a repository.

use std::fmt::Write as _;

/// The beginning of a picture on white ground; it ends with `</svg>`.
pub(super) fn open(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    )
}

/// Words at a place, with attributes such as `text-anchor="end"`.
pub(super) fn text(svg: &mut String, (x, y): (f64, f64), attributes: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let space = if attributes.is_empty() { "" } else { " " };
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\"{space}{attributes}>{words}</text>");
}

/// A line through points. `dashes` are lengths of strokes and gaps; none is a whole line.
pub(super) fn line(svg: &mut String, colour: &str, dashes: &str, points: impl IntoIterator<Item = (f64, f64)>) {
    let dash = if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dashes}\"") };
    let _ = write!(svg, "<path fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash} d=\"");
    for (at, (x, y)) in points.into_iter().enumerate() {
        let _ = write!(svg, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    svg.push_str("\"/>\n");
}
