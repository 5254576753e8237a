//! Where prices are learnt: an exchange, a kind of place there, an hour of the day.

use crate::units::ExchangeId;

/// A kind of place: what sells for like prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Placement {
    /// A strip at the edge of a phone's screen: up to 60 high, narrower than 468.
    Strip = 0,
    /// A strip across a page: up to 120 high.
    Leaderboard = 1,
    /// A column: narrower than 200.
    Column = 2,
    /// A rectangle, up to the area of 336x280.
    Rectangle = 3,
    /// Larger, up to the area of 300x600.
    HalfPage = 4,
    /// Larger than that: a screen, a billboard.
    Full = 5,
    /// A banner of no size.
    Unsized = 6,
    /// A video in a player narrower than 400, or of no size.
    SmallVideo = 7,
    /// A video in a wider player.
    Video = 8,
    /// Audio.
    Audio = 9,
    /// Native.
    Native = 10,
}

impl Placement {
    /// How many there are.
    pub const COUNT: usize = 11;
    /// All of them, by their number.
    pub const ALL: [Placement; Placement::COUNT] = [
        Placement::Strip,
        Placement::Leaderboard,
        Placement::Column,
        Placement::Rectangle,
        Placement::HalfPage,
        Placement::Full,
        Placement::Unsized,
        Placement::SmallVideo,
        Placement::Video,
        Placement::Audio,
        Placement::Native,
    ];

    /// A banner of this width and height, in pixels.
    #[inline]
    pub const fn banner(w: u32, h: u32) -> Placement {
        match (w, h, w as u64 * h as u64) {
            (0, ..) | (_, 0, _) => Placement::Unsized,
            (..468, ..=60, _) => Placement::Strip,
            (_, ..=120, _) => Placement::Leaderboard,
            (..200, ..) => Placement::Column,
            (_, _, ..=94_080) => Placement::Rectangle,
            (_, _, ..=180_000) => Placement::HalfPage,
            _ => Placement::Full,
        }
    }

    /// A video in a player of this width, in pixels.
    #[inline]
    pub const fn video(w: u32) -> Placement {
        if w < 400 { Placement::SmallVideo } else { Placement::Video }
    }

    /// Its name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Placement::Strip => "strip",
            Placement::Leaderboard => "leaderboard",
            Placement::Column => "column",
            Placement::Rectangle => "rectangle",
            Placement::HalfPage => "half_page",
            Placement::Full => "full",
            Placement::Unsized => "unsized",
            Placement::SmallVideo => "small_video",
            Placement::Video => "video",
            Placement::Audio => "audio",
            Placement::Native => "native",
        }
    }
}

/// Hours of a day, UTC.
pub const HOURS: usize = 24;
/// Cells of one exchange: itself, its kinds of place, and their hours.
pub const CELLS: usize = 1 + Placement::COUNT + Placement::COUNT * HOURS;

/// A cell of the exchange with this number, by its place among the exchange's: first the whole exchange, then its kinds of place,
/// then their hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Below [`CELLS`].
    place: u16,
}

impl Cell {
    /// The cell of an hour, 0 to 23 UTC.
    #[inline]
    pub const fn new(exchange: ExchangeId, placement: Placement, hour: u8) -> Cell {
        let hour = hour as usize % HOURS;
        Cell { exchange, place: (1 + Placement::COUNT + placement as usize * HOURS + hour) as u16 }
    }

    /// What a cell with too little evidence is taken to be like: an hour like its kind of place, that like the exchange.
    #[inline]
    pub const fn parent(self) -> Option<Cell> {
        let hours = 1 + Placement::COUNT as u16;
        let place = match self.place {
            0 => return None,
            place if place < hours => 0,
            place => 1 + (place - hours) / HOURS as u16,
        };
        Some(Cell { place, ..self })
    }

    /// Its place among its exchange's: below [`CELLS`].
    #[inline]
    pub const fn place(self) -> usize {
        self.place as usize
    }

    /// The cell at a place of an exchange.
    pub const fn at(exchange: ExchangeId, place: usize) -> Option<Cell> {
        if place < CELLS { Some(Cell { exchange, place: place as u16 }) } else { None }
    }

    /// Its kind of place; nothing for the exchange as a whole.
    pub fn placement(self) -> Option<Placement> {
        let hours = 1 + Placement::COUNT;
        match self.place() {
            0 => None,
            place if place < hours => Some(Placement::ALL[place - 1]),
            place => Some(Placement::ALL[(place - hours) / HOURS]),
        }
    }

    /// Whether it is an hour of its parent.
    pub const fn is_hour(self) -> bool {
        self.place() > Placement::COUNT
    }

    /// Its hour, 0 to 23 UTC; nothing for cells of all hours.
    pub fn hour(self) -> Option<u8> {
        self.place().checked_sub(1 + Placement::COUNT).map(|place| (place % HOURS) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hour_falls_back_on_its_place_and_that_on_the_exchange() {
        let mut seen = std::collections::HashSet::new();
        for placement in Placement::ALL {
            for hour in 0..HOURS as u8 {
                let cell = Cell::new(ExchangeId(3), placement, hour);
                assert_eq!((cell.placement(), cell.hour(), cell.is_hour()), (Some(placement), Some(hour), true));
                assert_eq!(Cell::at(ExchangeId(3), cell.place()), Some(cell));
                let place = cell.parent().unwrap();
                assert_eq!((place.placement(), place.hour(), place.is_hour()), (Some(placement), None, false));
                let whole = place.parent().unwrap();
                assert_eq!((whole.placement(), whole.place(), whole.parent()), (None, 0, None));
                seen.extend([cell, place, whole]);
            }
        }
        assert_eq!((seen.len(), Cell::at(ExchangeId(3), CELLS)), (CELLS, None));
    }

    #[test]
    fn sizes_in_use_have_their_kinds() {
        let sizes =
            [(320, 50), (728, 90), (160, 600), (300, 250), (336, 280), (300, 600), (970, 250), (320, 480), (0, 0)];
        let kinds = sizes.map(|(w, h)| Placement::banner(w, h).label());
        let expected =
            ["strip", "leaderboard", "column", "rectangle", "rectangle", "half_page", "full", "half_page", "unsized"];
        assert_eq!(kinds, expected);
        assert_eq!((Placement::video(0), Placement::video(640)), (Placement::SmallVideo, Placement::Video));
    }
}
