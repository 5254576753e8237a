//! The plot as SVG: plain text, the same each time.

use std::fmt::Write as _;

use super::{Axes, Curve, refused, tick};
use crate::lab::latency;
use crate::lab::report::duration;
use crate::lab::report::measured::Point;
use crate::lab::svg::{self, line, text};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 64.0;
/// Of the curves, in their order; told apart also by those who see few colours (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const MIDDLE: &str = "text-anchor=\"middle\"";
const START: &str = "text-anchor=\"start\"";
const END: &str = "text-anchor=\"end\"";
/// Quantiles whose latency is written at the curve if it is the only one.
const MARKED: [(f64, &str); 4] = [(2.0, "p50"), (100.0, "p99"), (1_000.0, "p99.9"), (10_000.0, "p99.99")];

/// Draws curves under a title and a line below it.
pub fn svg(title: &str, about: &str, curves: &[Curve]) -> String {
    let mut svg = svg::open(WIDTH, HEIGHT);
    svg.push_str(
        "<defs><pattern id=\"refused\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect width=\"8\" height=\"8\" fill=\"#f4f4f4\"/><path d=\"M0 0V8\" stroke=\"#ccc\" stroke-width=\"3\"/></pattern></defs>\n",
    );
    text(&mut svg, (LEFT, 26.0), "font-size=\"15\" font-weight=\"bold\"", title);
    text(&mut svg, (LEFT, 46.0), "fill=\"#555\"", about);
    match Axes::around(curves) {
        Some(axes) => Plot { svg: &mut svg, axes }.draw(curves),
        None => text(&mut svg, (WIDTH / 2.0, HEIGHT / 2.0), MIDDLE, "nothing was answered"),
    }
    svg.push_str("</svg>\n");
    svg
}

/// Words that stay readable where lines cross them: white and wide below themselves.
fn above(svg: &mut String, place: (f64, f64), anchor: &str, words: &str) {
    text(svg, place, &format!("{anchor} fill=\"white\" stroke=\"white\" stroke-width=\"4\""), words);
    text(svg, place, anchor, words);
}

struct Plot<'a> {
    svg: &'a mut String,
    axes: Axes,
}

impl Plot<'_> {
    fn x(&self, part: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * part
    }

    fn y(&self, part: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part
    }

    fn place(&self, point: &Point) -> (f64, f64) {
        (self.x(self.axes.x(point.one_in)), self.y(self.axes.y(point.ns)))
    }

    fn draw(&mut self, curves: &[Curve]) {
        if let [only] = curves {
            self.hatch(&only.points);
        }
        self.grid();
        for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
            self.curve(&curve.points, colour);
        }
        match curves {
            [only] => self.mark(&only.points),
            _ => self.legend(curves),
        }
    }

    /// What could not be measured.
    fn hatch(&mut self, points: &[Point]) {
        let (top, height) = (self.y(1.0), self.y(0.0) - self.y(1.0));
        for (at, (first, last)) in refused(points).into_iter().enumerate() {
            // From half way to the neighbours, who were measured.
            let edge = |a: usize, b: usize| (self.place(&points[a]).0 + self.place(&points[b]).0) / 2.0;
            let from = edge(first.saturating_sub(1), first);
            let to = edge(last, (last + 1).min(points.len() - 1));
            let width = (to - from).max(1.0);
            let _ = writeln!(
                self.svg,
                "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"url(#refused)\"/>"
            );
            if at == 0 {
                let (anchor, x) = if from < WIDTH / 2.0 { (START, from + 8.0) } else { (END, to - 8.0) };
                above(self.svg, (x, top + height - 14.0), anchor, "not measured: the generator itself was late");
            }
        }
    }

    fn grid(&mut self) {
        let (left, right, top, bottom) = (self.x(0.0), self.x(1.0), self.y(1.0), self.y(0.0));
        for (part, name) in self.axes.nines().collect::<Vec<_>>() {
            let x = self.x(part);
            let _ = writeln!(self.svg, "<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"#ccc\"/>");
            text(self.svg, (x, bottom + 20.0), MIDDLE, &name);
        }
        for (part, ns) in self.axes.latencies() {
            let y = self.y(part);
            let decade = ns.to_string().starts_with('1');
            let colour = if decade { "#ccc" } else { "#eee" };
            let _ = writeln!(self.svg, "<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"{colour}\"/>");
            text(self.svg, (left - 8.0, y + 4.0), END, &tick(ns));
        }
        text(self.svg, ((left + right) / 2.0, HEIGHT - 16.0), MIDDLE, "share of the requests that took no longer");
    }

    /// Whole where it was measured, dotted where it was not.
    fn curve(&mut self, points: &[Point], colour: &str) {
        let mut from = 0;
        while from + 1 < points.len() {
            let dotted = points[from + 1].refused;
            let to = (from + 1..points.len()).find(|at| points[*at].refused != dotted).unwrap_or(points.len());
            let places: Vec<_> = points[from..to].iter().map(|point| self.place(point)).collect();
            line(self.svg, colour, if dotted { "2 5" } else { "" }, places);
            from = to - 1;
        }
    }

    fn mark(&mut self, points: &[Point]) {
        let most = points.last().map_or(0.0, |point| point.one_in);
        for (one_in, name) in MARKED.into_iter().filter(|(one_in, _)| one_in * 3.0 <= most) {
            let nearest = |point: &&Point| ((point.one_in / one_in).ln().abs() * 1e9) as u64;
            let Some(point) = points.iter().min_by_key(nearest).filter(|point| !point.refused) else { continue };
            let (x, y) = self.place(point);
            let _ = writeln!(self.svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{}\"/>", COLOURS[0]);
            let words = format!("{name} {}", duration(latency::round(point.ns)));
            // The curve rises to the right, so that there is room to the right below it.
            let (anchor, x) = if x < WIDTH - RIGHT - 110.0 { (START, x + 7.0) } else { (END, x - 7.0) };
            above(self.svg, (x, y + 18.0), anchor, &words);
        }
    }

    fn legend(&mut self, curves: &[Curve]) {
        for (row, (curve, colour)) in curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let (x, y) = (self.x(0.0) + 14.0, self.y(1.0) + 18.0 + 20.0 * row as f64);
            let _ =
                writeln!(self.svg, "<path d=\"M{x:.1} {:.1}h24\" stroke=\"{colour}\" stroke-width=\"2\"/>", y - 4.0);
            let style = "start\" stroke=\"white\" stroke-width=\"4\" paint-order=\"stroke";
            text(self.svg, (x + 32.0, y), style, &curve.name);
        }
    }
}
