//! A line chart as SVG: plain text, the same each time.

use std::fmt::Write as _;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// A CSS colour.
    pub colour: &'static str,
    /// Dashed: for what should be.
    pub dashed: bool,
    /// A value for each tick of the day, 0 to 1.
    pub values: Vec<f64>,
}

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 230.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Points of a line.
const POINTS: usize = 288;

/// Spending over a day: hours to the right, parts of the budget upwards.
pub fn day(title: &str, lines: &[Line]) -> String {
    let hours: Vec<String> = (0..=24).step_by(4).map(|hour| format!("{hour} h")).collect();
    let hours: Vec<&str> = hours.iter().map(String::as_str).collect();
    chart(title, ("hour of the day (UTC)", &hours), lines)
}

/// Shares over anything: what they are over, with names at even distances to the right; percent upwards.
pub fn chart(title: &str, (over, ticks): (&str, &[&str]), lines: &[Line]) -> String {
    let x = |part: f64| LEFT + (WIDTH - LEFT - RIGHT) * part;
    let y = |part: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"14\" font-weight=\"bold\">{title}</text>\n"
    );
    for (place, tick) in ticks.iter().enumerate() {
        let at = x(place as f64 / (ticks.len() - 1).max(1) as f64);
        let (top, bottom, label) = (y(1.0), y(0.0), y(0.0) + 18.0);
        let _ = writeln!(svg, "<path d=\"M{at:.1} {top:.1}V{bottom:.1}\" stroke=\"#ddd\"/>");
        let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{label:.1}\" text-anchor=\"middle\">{tick}</text>");
    }
    for percent in (0..=100).step_by(20) {
        let at = y(f64::from(percent) / 100.0);
        let (left, right, label, base) = (x(0.0), x(1.0), x(0.0) - 8.0, at + 4.0);
        let _ = writeln!(svg, "<path d=\"M{left:.1} {at:.1}H{right:.1}\" stroke=\"#ddd\"/>");
        let _ = writeln!(svg, "<text x=\"{label:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{percent} %</text>");
    }
    let (middle, below) = (x(0.5), HEIGHT - 12.0);
    let _ = writeln!(svg, "<text x=\"{middle:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{over}</text>");
    for (at, line) in lines.iter().enumerate() {
        let dash = if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
        let _ = write!(
            svg,
            "<path fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{dash} d=\"M{:.1} {:.1}",
            line.colour,
            x(0.0),
            y(0.0)
        );
        let count = line.values.len();
        for point in 1..=POINTS.min(count) {
            let tick = point * count / POINTS.min(count);
            let _ = write!(svg, "L{:.1} {:.1}", x(tick as f64 / count as f64), y(line.values[tick - 1]));
        }
        svg.push_str("\"/>\n");
        let (from, to, row) = (x(1.0) + 14.0, x(1.0) + 38.0, TOP + 14.0 + 22.0 * at as f64);
        let (name, text, base) = (&line.name, to + 8.0, row + 4.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{from:.1} {row:.1}H{to:.1}\" stroke=\"{}\" stroke-width=\"2\"{dash}/>",
            line.colour
        );
        let _ = writeln!(svg, "<text x=\"{text:.1}\" y=\"{base:.1}\">{name}</text>");
    }
    svg.push_str("</svg>\n");
    svg
}
