//! Best bids of sixteen values about a curve's middle, so that those between need no search.

/// Values, evenly apart.
const VALUES: usize = 16;
/// The first, in deviations from the curve's middle.
const FIRST: f64 = -4.4;
/// From one to the next.
const STEP: f64 = 0.75;
/// One, as a distance.
const ONE: f64 = 4096.0;

/// How far below each value its best bid is, in 1/4,096 of a deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Starts([u16; VALUES]);

impl Starts {
    /// Of a curve whose best bids are these, in deviations.
    pub fn of(root: impl Fn(f64) -> f64) -> Starts {
        Starts(std::array::from_fn(|at| {
            let value = FIRST + STEP * at as f64;
            ((value - root(value)) * ONE) as u16
        }))
    }

    /// The best bid of a value, to about a thousandth; nothing outside of what is known. Between two values the cubic through them with
    /// the slopes that their neighbours give (Catmull and Rom 1974).
    #[inline]
    pub fn root(&self, value: f64) -> Option<f64> {
        let at = (value - FIRST) / STEP;
        if !(1.0..(VALUES - 2) as f64).contains(&at) {
            return None;
        }
        let first = at as usize - 1;
        let part = at - at.floor();
        let known: &[u16; 4] = self.0[first..].first_chunk()?;
        let [a, b, c, d] = known.map(f64::from);
        let below =
            b + 0.5 * part * (c - a + part * (2.0 * a - 5.0 * b + 4.0 * c - d + part * (3.0 * (b - c) + d - a)));
        Some(value - below / ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_is_near() {
        // Softer and harder knees than a curve has.
        for knee in [0.3, 1.0] {
            let root = |value: f64| value - (1.0 + (knee * value).exp()).ln();
            let starts = Starts::of(root);
            for at in 0..1000 {
                let value = FIRST + STEP * (1.0 + 13.0 * f64::from(at) / 1000.0);
                let near = starts.root(value).unwrap();
                assert!((near - root(value)).abs() < 4e-3, "{knee} {value}: {near} and not {}", root(value));
            }
        }
        let starts = Starts::of(|value| value);
        assert_eq!([-3.7, 6.2, f64::NAN, f64::INFINITY].map(|value| starts.root(value)), [None; 4]);
    }
}
