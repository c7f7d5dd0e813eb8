//! How far predicted numbers are from the true ones, where they err, and how wide an interval must be.
//!
//! The interval is split conformal: its half width is an order statistic of the validation rows' errors
//! (Lei et al. 2018, section 2.2). These rows also chose the winner, so how many rows of the vault it really
//! holds is counted and said. Means, quantiles, the interval and what it holds count rows by their weights.

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

/// True and predicted values, one of each per row, and how much the row counts.
pub(super) struct Pairs {
    pub(super) truth: Vec<f64>,
    pub(super) predicted: Vec<f64>,
    pub(super) weights: Vec<f64>,
}

impl Pairs {
    /// Errors and weights of the rows that count something, as `of_error` makes them.
    fn errors(&self, of_error: &dyn Fn(f64) -> f64) -> Weighed {
        let both = self.predicted.iter().zip(&self.truth);
        let errors = both.map(|(predicted, truth)| of_error(predicted - truth));
        Weighed::sorted(errors.zip(self.weights.iter().copied()).collect())
    }
}

/// Values with their weights, ascending; every weight is above 0.
struct Weighed {
    values: Vec<(f64, f64)>,
    total: f64,
}

impl Weighed {
    fn sorted(mut values: Vec<(f64, f64)>) -> Weighed {
        values.retain(|(_, weight)| *weight > 0.0);
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = values.iter().map(|(_, weight)| weight).sum();
        Weighed { values, total }
    }

    fn mean(&self) -> f64 {
        let weighed = self.values.iter().map(|(value, weight)| value * weight);
        weighed.sum::<f64>() / self.total.max(f64::MIN_POSITIVE)
    }

    /// Share of the weight up to a value.
    fn share_up_to(&self, most: f64) -> f64 {
        let inside = self.values.iter().filter(|(value, _)| *value <= most);
        inside.map(|(_, weight)| weight).sum::<f64>() / self.total.max(f64::MIN_POSITIVE)
    }

    /// The first value at which all up to it weigh this much or more.
    fn at_weight(&self, wanted: f64) -> Option<f64> {
        let mut reached = 0.0;
        let found = self.values.iter().find(|(_, weight)| {
            reached += weight;
            reached >= wanted
        });
        found.map(|(value, _)| *value)
    }

    /// The value that this share of the weight lies below, between two of them where it must be: that of
    /// rows each as often as it weighs.
    fn quantile(&self, share: f64) -> f64 {
        let Some((last, _)) = self.values.last() else {
            return f64::NAN;
        };
        let place = (share * (self.total - 1.0)).max(0.0);
        // The row at place 0 is the first, so more than the place must be reached.
        let at = |place: f64| self.at_weight(place + 1.0).unwrap_or(*last);
        let (below, above) = (at(place.floor()), at(place.ceil()));
        below + (above - below) * (place - place.floor())
    }
}

/// Tells of `told`; the interval comes from the rows of `fitted`.
pub(super) fn residuals(target: &str, told: &Pairs, fitted: &Pairs) -> Residuals {
    let errors = told.errors(&|error| error);
    let interval = half_width(&fitted.errors(&f64::abs)).map(|half_width| Interval {
        share: COVERAGE,
        half_width,
        held: told.errors(&f64::abs).share_up_to(half_width),
    });
    let step = told.truth.len().div_ceil(POINTS_MAX).max(1);
    let points = told
        .truth
        .iter()
        .copied()
        .zip(told.predicted.iter().copied());
    Residuals {
        target: target.to_string(),
        mean: errors.mean(),
        quantiles: [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| errors.quantile(share)),
        bins: bins(told),
        interval,
        points: points.step_by(step).collect(),
    }
}

/// The error that is large enough for a new row with the wanted probability, if it weighs 1, as rows do on
/// average; `None` if there are too few.
fn half_width(sizes: &Weighed) -> Option<f64> {
    sizes.at_weight((sizes.total + 1.0) * COVERAGE)
}

/// Rows that count something, as many in each bin.
fn bins(told: &Pairs) -> Vec<ValueBin> {
    let mut rows: Vec<usize> = (0..told.predicted.len()).collect();
    rows.retain(|row| told.weights[*row] > 0.0);
    rows.sort_by(|a, b| told.predicted[*a].total_cmp(&told.predicted[*b]));
    let size = rows.len().div_ceil(BINS).max(1);
    let mean = |values: &[f64], rows: &[usize]| {
        let weighed = rows.iter().map(|row| (told.weights[*row], values[*row]));
        let (total, sum) = weighed.fold((0.0, 0.0), |(total, sum), (weight, value)| {
            (total + weight, sum + weight * value)
        });
        sum / total
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
        let weights = vec![1.0; rows];
        Pairs {
            truth,
            predicted,
            weights,
        }
    }

    #[test]
    fn a_row_of_weight_three_is_told_of_like_three_rows_and_one_of_weight_nothing_not_at_all() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut told, mut fitted) = (drawn(90, &mut rng), drawn(60, &mut rng));
        let repeated = |pairs: &Pairs| {
            let often = |values: &[f64]| -> Vec<f64> {
                let each = values.iter().zip(&pairs.weights);
                each.flat_map(|(value, weight)| vec![*value; *weight as usize])
                    .collect()
            };
            Pairs {
                truth: often(&pairs.truth),
                predicted: often(&pairs.predicted),
                weights: vec![1.0; pairs.weights.iter().sum::<f64>() as usize],
            }
        };
        for pairs in [&mut told, &mut fitted] {
            for (row, weight) in pairs.weights.iter_mut().enumerate() {
                *weight = [1.0, 3.0, 0.0, 2.0][row % 4];
            }
        }
        let weighed = residuals("x", &told, &fitted);
        let often = residuals("x", &repeated(&told), &repeated(&fitted));
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(weighed.mean, often.mean));
        assert_eq!(weighed.quantiles, often.quantiles);
        let [a, b] = [weighed, often].map(|found| found.interval.unwrap());
        assert_eq!(a.half_width, b.half_width);
        assert!(close(a.held, b.held));
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
        let sorted = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].map(|value| (value, 1.0));
        let sorted = Weighed::sorted(sorted.to_vec());
        let found = [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| sorted.quantile(share));
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
