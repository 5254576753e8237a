//! Circles on the globe: who is inside, exactly; and which cells of a grid a circle touches, so that an index can ask first
//! whether it is worth the question.
//!
//! The globe is a sphere (the true figure differs by up to 0.5 %). Whether a point is inside is a comparison of chords: the
//! square of the straight line through the globe, which two subtractions of unit vectors give without cancellation even at
//! one metre, and which is the haversine times four.

use super::codes;
use crate::snapshot::campaign::Circle;
use crate::wire::openrtb::request::Point;

/// Mean radius of the earth, metres (IUGG, R1).
const RADIUS: f64 = 6_371_008.8;
const MICRO: f64 = 1e-6;

/// A point as a unit vector from the centre of the globe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot([f64; 3]);

impl Spot {
    pub(super) fn of(point: Point) -> Spot {
        let (north, level) = (f64::from(point.lat) * MICRO).to_radians().sin_cos();
        let (east, front) = (f64::from(point.lon) * MICRO).to_radians().sin_cos();
        Spot([level * front, level * east, north])
    }
}

/// A circle, ready to be asked. This is the predicate: matching and explaining both ask it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disc {
    centre: Spot,
    /// The square of the chord from the centre to the rim, in radii of the globe.
    reach: f64,
}

impl Disc {
    pub(super) fn of(circle: &Circle) -> Disc {
        let chord = 2.0 * (f64::from(circle.metres) / RADIUS / 2.0).sin();
        Disc { centre: Spot::of(circle.centre), reach: chord * chord }
    }

    #[inline]
    pub(super) fn contains(&self, spot: &Spot) -> bool {
        let square = |axis: usize| (self.centre.0[axis] - spot.0[axis]) * (self.centre.0[axis] - spot.0[axis]);
        square(0) + square(1) + square(2) <= self.reach
    }
}

/// Heights of a cell, millionths of a degree, by level: 5.6, 28, 139 and 695 km. A cell is about as wide as it is high.
const HEIGHTS: [u32; LEVELS] = [50_000, 250_000, 1_250_000, 6_250_000];
/// Grids, the finest first.
pub(super) const LEVELS: usize = 4;
const QUARTER: i64 = 90_000_000;
const HALF: i64 = 180_000_000;
const WHOLE: i64 = 360_000_000;

/// The hash of the cell that a point lies in.
pub(super) fn cell(level: usize, point: Point) -> u64 {
    let row = (i64::from(point.lat) + QUARTER).clamp(0, HALF) / i64::from(HEIGHTS[level]);
    let east = (i64::from(point.lon) + HALF).rem_euclid(WHOLE);
    codes::cell(level as u32, row as u32, (east * columns(level, row) / WHOLE) as u32)
}

/// How many cells go around the globe in a row: fewer towards the poles, by a parabola that stays near the cosine.
fn columns(level: usize, row: i64) -> i64 {
    let height = i64::from(HEIGHTS[level]);
    let thousandths = (((2 * row + 1) * height / 2 - QUARTER).abs() / 1000).min(90_000);
    (WHOLE / height * (90_000 * 90_000 - thousandths * thousandths) / (90_000 * 90_000)).max(1)
}

/// The level at which a circle is covered by few cells: the finest whose cells are as high as its radius.
pub(super) fn level(circle: &Circle) -> usize {
    let high_enough = |height: &u32| (f64::from(*height) * MICRO).to_radians() * RADIUS >= f64::from(circle.metres);
    HEIGHTS.iter().position(high_enough).unwrap_or(LEVELS - 1)
}

/// The hashes of all cells that a circle touches, and maybe a few around it: seldom more than a dozen.
pub(super) fn cover(circle: &Circle, mut each: impl FnMut(u64)) {
    /// Millionths of a degree added all around, for what rounding may lose.
    const SLACK: f64 = 2.0;
    let level = level(circle);
    let height = f64::from(HEIGHTS[level]);
    let (lat, lon) = (f64::from(circle.centre.lat), f64::from(circle.centre.lon));
    let angle = f64::from(circle.metres) / RADIUS;
    let half_height = angle.to_degrees() / MICRO + SLACK;
    let (south, north) = (lat - half_height, lat + half_height);
    let holds_pole = north >= QUARTER as f64 || south <= -QUARTER as f64;
    // Where a meridian touches the circle; around a pole every meridian meets it.
    let half_width = (angle.sin() / (lat * MICRO).to_radians().cos()).asin().to_degrees() / MICRO + SLACK;
    let row = |lat: f64| ((lat + QUARTER as f64).clamp(0.0, HALF as f64) / height).floor() as i64;
    for row in row(south)..=row(north) {
        let columns = columns(level, row);
        let column = |lon: f64| ((lon + HALF as f64) * columns as f64 / WHOLE as f64).floor() as i64;
        let (west, east) = (column(lon - half_width), column(lon + half_width));
        let (west, east) = if holds_pole || east - west + 1 >= columns { (0, columns - 1) } else { (west, east) };
        for column in west..=east {
            each(codes::cell(level as u32, row as u32, column.rem_euclid(columns) as u32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_inside_lies_in_a_cell_of_the_cover_and_covers_are_small() {
        // Points on a circle's rim by the direct formula on the sphere, a hair inside; centres up to the poles.
        for lat in [-90.0f64, -89.99, -60.0, -12.3, 0.0, 33.3, 77.7, 89.95, 90.0] {
            for lon in [-180.0f64, -179.999, -90.0, 0.0, 0.01, 123.4, 179.999, 180.0] {
                for metres in [1u32, 100, 5_000, 6_000, 27_000, 30_000, 138_000, 140_000, 500_000] {
                    let point = |lat: f64, lon: f64| Point {
                        lat: (lat / MICRO).round() as i32,
                        lon: (lon / MICRO).round() as i32,
                    };
                    let circle = Circle { centre: point(lat, lon), metres };
                    let mut cells = Vec::new();
                    cover(&circle, |cell| cells.push(cell));
                    assert!(cells.len() <= 64, "{circle:?}: {} cells", cells.len());
                    let level = level(&circle);
                    let disc = Disc::of(&circle);
                    let (mut inside, mut tried) = (0, 0);
                    for bearing in 0..360 {
                        for part in [0.2, 0.9, 0.999_999] {
                            let (turn, angle) = (f64::from(bearing).to_radians(), part * f64::from(metres) / RADIUS);
                            let north = lat.to_radians();
                            let to = (north.sin() * angle.cos() + north.cos() * angle.sin() * turn.cos()).asin();
                            let aside =
                                (turn.sin() * angle.sin() * north.cos()).atan2(angle.cos() - north.sin() * to.sin());
                            let east = (lon + aside.to_degrees() + 540.0).rem_euclid(360.0) - 180.0;
                            let at = point(to.to_degrees(), east);
                            tried += 1;
                            if disc.contains(&Spot::of(at)) {
                                inside += 1;
                                assert!(cells.contains(&cell(level, at)), "{circle:?} {at:?}");
                            }
                        }
                    }
                    // Rounding to a tenth of a metre may push a few of the outermost out.
                    assert!(metres < 100 || inside * 10 > tried * 8, "{circle:?}: {inside} of {tried}");
                }
            }
        }
    }
}
