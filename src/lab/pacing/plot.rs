//! A line chart as SVG: plain text, the same each time.

use std::fmt::Write as _;

use crate::lab::svg;

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
    let mut svg = svg::open(WIDTH, HEIGHT);
    svg::text(&mut svg, (LEFT, 24.0), "font-size=\"14\" font-weight=\"bold\"", title);
    for (place, tick) in ticks.iter().enumerate() {
        let at = x(place as f64 / (ticks.len() - 1).max(1) as f64);
        let (top, bottom, label) = (y(1.0), y(0.0), y(0.0) + 18.0);
        let _ = writeln!(svg, "<path d=\"M{at:.1} {top:.1}V{bottom:.1}\" stroke=\"#ddd\"/>");
        svg::text(&mut svg, (at, label), "text-anchor=\"middle\"", tick);
    }
    for percent in (0..=100).step_by(20) {
        let at = y(f64::from(percent) / 100.0);
        let (left, right, label, base) = (x(0.0), x(1.0), x(0.0) - 8.0, at + 4.0);
        let _ = writeln!(svg, "<path d=\"M{left:.1} {at:.1}H{right:.1}\" stroke=\"#ddd\"/>");
        svg::text(&mut svg, (label, base), "text-anchor=\"end\"", &format!("{percent} %"));
    }
    let (middle, below) = (x(0.5), HEIGHT - 12.0);
    svg::text(&mut svg, (middle, below), "text-anchor=\"middle\"", over);
    for (at, line) in lines.iter().enumerate() {
        let dashes = if line.dashed { "6 4" } else { "" };
        let count = line.values.len();
        let points = (1..=POINTS.min(count)).map(|point| {
            let tick = point * count / POINTS.min(count);
            (x(tick as f64 / count as f64), y(line.values[tick - 1]))
        });
        svg::line(&mut svg, line.colour, dashes, std::iter::once((x(0.0), y(0.0))).chain(points));
        let (from, to, row) = (x(1.0) + 14.0, x(1.0) + 38.0, TOP + 14.0 + 22.0 * at as f64);
        let legend = [(from, row), (to, row)];
        svg::line(&mut svg, line.colour, dashes, legend);
        svg::text(&mut svg, (to + 8.0, row + 4.0), "", &line.name);
    }
    svg.push_str("</svg>\n");
    svg
}
