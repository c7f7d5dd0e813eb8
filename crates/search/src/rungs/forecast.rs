//! From a score at one rung to the score at the next: least squares over the trainings that have both.
//!
//! Notation: y = ȳ + b·(x − x̄) + ε with ε of variance s² estimated from n pairs.

/// Pairs below which a line is not trusted with a decision.
pub(super) const PAIRS_MIN: usize = 4;

/// A normally distributed value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Normal {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// A straight line through pairs, and how far they lie from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    mean_x: f64,
    mean_y: f64,
    slope: f64,
    /// s²
    residual: f64,
    /// Σ(x − x̄)²
    spread: f64,
    count: f64,
}

impl Line {
    /// The line of least squares; the mean of all y where all x are equal.
    ///
    /// # Shapes
    /// At least one pair.
    pub(super) fn fit(pairs: &[(f64, f64)]) -> Line {
        let count = pairs.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let centred = || pairs.iter().map(|(x, y)| (x - mean_x, y - mean_y));
        let spread: f64 = centred().map(|(x, _)| x * x).sum();
        let slope = match spread > 0.0 {
            true => centred().map(|(x, y)| x * y).sum::<f64>() / spread,
            false => 0.0,
        };
        let squares: f64 = centred().map(|(x, y)| (y - slope * x).powi(2)).sum();
        Line {
            mean_x,
            mean_y,
            slope,
            residual: squares / (count - 2.0).max(1.0),
            spread,
            count,
        }
    }

    /// Where a training goes that is at `here`.
    ///
    /// # Source
    /// Prediction interval of simple regression; the uncertainty of `here` goes through the slope.
    pub(super) fn follow(&self, here: Normal) -> Normal {
        let distance = here.mean - self.mean_x;
        let leverage = match self.spread > 0.0 {
            true => distance * distance / self.spread,
            false => 0.0,
        };
        Normal {
            mean: self.mean_y + self.slope * distance,
            variance: self.residual * (1.0 + 1.0 / self.count + leverage)
                + self.slope * self.slope * here.variance,
        }
    }
}
