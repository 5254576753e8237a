//! Whether scores are still what they were when the model was trained: the population stability index (PSI) over ten bins.
//!
//! ```text
//! PSI = sum over bins of (share now - share then) * ln(share now / share then)
//! ```
//!
//! Below 0.1 nothing has happened, from 0.25 on the model scores another population than it learnt from (Siddiqi, Credit Risk
//! Scorecards, 2006). PSI is no test: with n scores against m of the training, it is some 9 (1/n + 1/m) where nothing changed.

/// Bins of a distribution of scores.
pub const BINS: usize = 10;

/// From here on a shift is worth a look.
pub const PSI_SHIFT: f64 = 0.1;
/// From here on the model should be trained again.
pub const PSI_DRIFT: f64 = 0.25;
/// Fewer scores than this say nothing: chance alone would come to 0.01.
pub const PSI_ENOUGH: u64 = 1_000;

/// A share that is counted in place of a smaller one, so that an empty bin weighs much and not everything.
const LEAST_SHARE: f64 = 1e-4;

/// How the calibrated predictions of a model were distributed over the bids it was tested on.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// Bin `i` is above edge `i - 1` and at most edge `i`. Two edges are equal where many predictions are.
    edges: [f32; BINS - 1],
    /// The share of each bin; together 1.
    shares: [f64; BINS],
}

impl Drift {
    /// From the edges between the bins, rising, and the share of each bin.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(edges: &[f64], shares: &[f64]) -> Result<Drift, &'static str> {
        let edges = edges.iter().map(|&edge| edge as f32).collect::<Vec<f32>>();
        let edges: [f32; BINS - 1] = edges.try_into().map_err(|_| "nine edges are wanted")?;
        let shares: [f64; BINS] = shares.try_into().map_err(|_| "ten shares are wanted")?;
        if !edges.is_sorted() || !edges.iter().all(|edge| (0.0..=1.0).contains(edge)) {
            return Err("edges are probabilities, none below the one before it");
        }
        if !shares.iter().all(|share| (0.0..=1.0).contains(share)) || (shares.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
            return Err("shares are from 0 to 1, and 1 together");
        }
        Ok(Drift { edges, shares })
    }

    /// The bin of a calibrated prediction.
    #[inline]
    pub fn bin(&self, probability: f64) -> usize {
        let probability = probability as f32;
        self.edges.iter().map(|&edge| usize::from(probability > edge)).sum()
    }

    /// The index of what was counted by bin; nothing before [`PSI_ENOUGH`] were.
    pub fn psi(&self, counts: &[u64; BINS]) -> Option<f64> {
        let all: u64 = counts.iter().sum();
        let term = |(&count, &then): (&u64, &f64)| {
            let (now, then) = ((count as f64 / all as f64).max(LEAST_SHARE), then.max(LEAST_SHARE));
            (now - then) * (now / then).ln()
        };
        (all >= PSI_ENOUGH).then(|| counts.iter().zip(&self.shares).map(term).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenths() -> Drift {
        let edges: Vec<f64> = (1..10).map(|tenth| f64::from(tenth) / 100.0).collect();
        Drift::new(&edges, &[0.1; 10]).unwrap()
    }

    #[test]
    fn a_bin_ends_with_its_edge() {
        let drift = tenths();
        for (probability, bin) in [(0.0, 0), (0.01, 0), (0.010_001, 1), (0.055, 5), (0.09, 8), (0.091, 9), (1.0, 9)] {
            assert_eq!(drift.bin(probability), bin, "{probability}");
        }
        // Half of the predictions are one number: all of them are in one bin.
        let edges = [0.01, 0.02, 0.02, 0.02, 0.02, 0.02, 0.03, 0.04, 0.05];
        let shares = [0.1, 0.5, 0.0, 0.0, 0.0, 0.0, 0.1, 0.1, 0.1, 0.1];
        let drift = Drift::new(&edges, &shares).unwrap();
        assert_eq!((drift.bin(0.02), drift.bin(0.020_01)), (1, 6));
    }

    #[test]
    fn the_index_is_that_of_a_hand_computation() {
        let drift = tenths();
        assert_eq!(drift.psi(&[100; 10]), Some(0.0));
        // 0.2 in the first bin, nothing in the last: 0.1 ln 2 + (0.0001 - 0.1) ln 0.001 = 0.0693147 + 0.6900848.
        let psi = drift.psi(&[200, 100, 100, 100, 100, 100, 100, 100, 100, 0]).unwrap();
        assert!((psi - 0.759_399_5).abs() < 1e-6, "{psi}");
        // Shares 0.15 and 0.05 in two bins: 0.05 ln 1.5 + 0.05 ln 2 = 0.0202733 + 0.0346574.
        let psi = drift.psi(&[150, 100, 100, 100, 100, 100, 100, 100, 100, 50]).unwrap();
        assert!((psi - 0.054_930_6).abs() < 1e-6, "{psi}");
        assert_eq!(drift.psi(&[99; 10]), None, "too few");
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        let (edges, shares) = ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], [0.1; 10]);
        assert!(Drift::new(&edges, &shares).is_ok());
        assert!(Drift::new(&edges[1..], &shares).is_err() && Drift::new(&edges, &shares[1..]).is_err());
        for wrong in [f64::NAN, -0.1, 1.1, 0.05] {
            let mut edges = edges;
            edges[4] = wrong;
            assert!(Drift::new(&edges, &shares).is_err(), "{wrong}");
        }
        for wrong in [f64::NAN, -0.1, 0.2] {
            let mut shares = shares;
            shares[4] = wrong;
            assert!(Drift::new(&edges, &shares).is_err(), "{wrong}");
        }
    }
}
