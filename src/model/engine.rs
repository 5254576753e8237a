//! Stand-in.
use super::forest::Forest;

/// Engine.
#[derive(Debug)]
pub struct Engine(Forest);
/// Room.
#[derive(Debug)]
pub struct Room;
impl Room {
    /// New.
    pub fn new(_: &Engine) -> Room {
        Room
    }
}
impl Engine {
    /// Build.
    pub fn build(forest: &Forest) -> Engine {
        Engine(forest.clone())
    }
    /// Score.
    pub fn score(&self, row: &[f32], _: &mut Room, out: &mut [f64]) {
        let row: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
        self.0.walk(&row, out);
    }
}
