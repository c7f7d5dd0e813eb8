//! How far predicted numbers are from the true ones, where they err, and how wide an interval must be.
//!
//! The interval is split conformal: its half width is an order statistic of the validation rows' errors
//! (Lei et al. 2018, section 2.2). These rows also chose the winner, so how many rows of the vault it really
//! holds is counted and said.

use serde::{Deserialize, Serialize};

/// Share of rows that an interval is to hold.
pub const COVERAGE: f64 = 0.9;

/// Bins of predicted values, each with about as many rows.
const BINS: usize = 10;

/// Points of the drawing at most.
const POINTS_MAX: usize = 500;

/// Errors of predicted numbers, in the target's unit; predicted less true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residuals {
    /// Name of what is predicted.
    pub target: String,
    /// Mean error: how much too high on the whole.
    pub mean: f64,
    /// Errors that 5, 25, 50, 75 and 95 % of the rows lie below.
    pub quantiles: [f64; 5],
    /// Predicted and true values, by predicted value.
    pub bins: Vec<ValueBin>,
    /// An interval around each prediction; absent with too few validation rows.
    pub interval: Option<Interval>,
    /// True and predicted values of some rows, for a drawing.
    pub points: Vec<(f64, f64)>,
}

/// Rows with about the same prediction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueBin {
    /// How many.
    pub rows: usize,
    /// Their mean prediction.
    pub predicted: f64,
    /// Their mean true value.
    pub truth: f64,
}

/// Prediction ± half width holds the true value of so many rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Share that it was made for.
    pub share: f64,
    /// Half width in the target's unit.
    pub half_width: f64,
    /// Share of the rows told of that it really holds.
    pub held: f64,
}

/// True and predicted values, one of each per row.
pub(super) struct Pairs {
    pub(super) truth: Vec<f64>,
    pub(super) predicted: Vec<f64>,
}

impl Pairs {
    fn errors(&self) -> Vec<f64> {
        let both = self.predicted.iter().zip(&self.truth);
        both.map(|(predicted, truth)| predicted - truth).collect()
    }
}

/// Tells of `told`; the interval comes from the rows of `fitted`.
pub(super) fn residuals(target: &str, told: &Pairs, fitted: &Pairs) -> Residuals {
    let mut errors = told.errors();
    let rows = errors.len();
    let interval = half_width(&fitted.errors()).map(|half_width| Interval {
        share: COVERAGE,
        half_width,
        held: errors
            .iter()
            .filter(|error| error.abs() <= half_width)
            .count() as f64
            / rows.max(1) as f64,
    });
    errors.sort_by(f64::total_cmp);
    let step = rows.div_ceil(POINTS_MAX).max(1);
    let points = told
        .truth
        .iter()
        .copied()
        .zip(told.predicted.iter().copied());
    Residuals {
        target: target.to_string(),
        mean: errors.iter().sum::<f64>() / rows.max(1) as f64,
        quantiles: [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| quantile(&errors, share)),
        bins: bins(told),
        interval,
        points: points.step_by(step).collect(),
    }
}

/// The value that this share of sorted values lies below, between two of them where it must be.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = share * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The error that is large enough for a new row with the wanted probability; `None` if there are too few.
fn half_width(errors: &[f64]) -> Option<f64> {
    let mut sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let rank = ((sizes.len() as f64 + 1.0) * COVERAGE).ceil() as usize;
    sizes.get(rank.checked_sub(1)?).copied()
}

fn bins(told: &Pairs) -> Vec<ValueBin> {
    let mut rows: Vec<usize> = (0..told.predicted.len()).collect();
    rows.sort_by(|a, b| told.predicted[*a].total_cmp(&told.predicted[*b]));
    let size = rows.len().div_ceil(BINS).max(1);
    let mean = |values: &[f64], rows: &[usize]| {
        rows.iter().map(|row| values[*row]).sum::<f64>() / rows.len() as f64
    };
    rows.chunks(size)
        .map(|rows| ValueBin {
            rows: rows.len(),
            predicted: mean(&told.predicted, rows),
            truth: mean(&told.truth, rows),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn drawn(rows: usize, rng: &mut ChaCha8Rng) -> Pairs {
        let truth: Vec<f64> = (0..rows).map(|_| rng.random_range(0.0..10.0)).collect();
        let predicted = truth
            .iter()
            .map(|value| value + rng.random_range(-1.0..2.0))
            .collect();
        Pairs { truth, predicted }
    }

    #[test]
    fn an_interval_holds_the_share_that_it_was_made_for() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let mut held = 0.0;
        for _ in 0..200 {
            let (fitted, told) = (drawn(59, &mut rng), drawn(200, &mut rng));
            held += residuals("x", &told, &fitted).interval.unwrap().held / 200.0;
        }
        // With 59 rows the 54th error is taken: 54 / 60 is 0.9.
        assert!((held - 0.9).abs() < 0.01, "{held}");
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        let sorted = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
        let found = [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| quantile(&sorted, share));
        assert_eq!(found, [1.25, 2.5, 6.0, 14.0, 28.0]);
    }

    #[test]
    fn few_validation_rows_give_no_interval_and_bins_hold_all_rows() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (told, few) = (drawn(95, &mut rng), drawn(8, &mut rng));
        let found = residuals("x", &told, &few);
        assert_eq!(found.interval, None);
        assert_eq!(found.bins.iter().map(|bin| bin.rows).sum::<usize>(), 95);
        assert!(
            found
                .bins
                .windows(2)
                .all(|two| two[0].predicted <= two[1].predicted)
        );
        assert!((found.mean - 0.5).abs() < 0.3);
    }
}
