//! Whether a model is as sure as it is right: its probabilities beside what came true.
//!
//! The expected calibration error is the mean distance, over bins of the highest probability, between that
//! probability and the share that is right (Guo et al. 2017, equation 3; ten bins of equal width). Means and
//! shares count rows by their weights.

use serde::{Deserialize, Serialize};
use train::Calibration;

/// Bins of probabilities.
const BINS: usize = 10;

/// How sure a model is and how right, with its calibration and without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// How its logits become probabilities, and from which on the second of two classes is said.
    pub calibration: Calibration,
    /// Without it.
    pub before: Surety,
    /// With it: what the model says.
    pub after: Surety,
}

/// How sure, and how right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surety {
    /// Expected calibration error.
    pub error: f64,
    /// Bins with rows in them, ascending.
    pub bins: Vec<SuretyBin>,
}

/// Rows about which a model is about equally sure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuretyBin {
    /// Least probability.
    pub from: f64,
    /// Greatest probability.
    pub to: f64,
    /// How many rows.
    pub rows: u64,
    /// Their mean highest probability.
    pub said: f64,
    /// Share of them whose most probable class is right.
    pub right: f64,
}

/// Compares what is said with what is true; all rows weigh the same without weights.
pub(super) fn reliability(
    outputs: &[f32],
    ids: &[u32],
    weights: Option<&[f32]>,
    classes: usize,
    calibration: &Calibration,
) -> Reliability {
    let surety = |calibration: &Calibration| {
        let rows = outputs.chunks_exact(classes).zip(ids).enumerate();
        let sure: Vec<Sure> = rows
            .map(|(row, (logits, id))| {
                let probabilities = calibration.probabilities(logits);
                // Which class it is must not hang on a threshold.
                let most = Calibration::default().label(&probabilities);
                Sure {
                    said: probabilities[most],
                    is_right: most == *id as usize,
                    weight: weights.map_or(1.0, |weights| f64::from(weights[row])),
                }
            })
            .filter(|row| row.weight > 0.0)
            .collect();
        surety_of(&sure)
    };
    Reliability {
        calibration: *calibration,
        before: surety(&Calibration::default()),
        after: surety(calibration),
    }
}

/// A row's highest probability, whether its class is right, and how much the row counts.
#[derive(Clone, Copy)]
struct Sure {
    said: f64,
    is_right: bool,
    weight: f64,
}

/// Sums over the rows of a bin.
#[derive(Clone, Copy, Default)]
struct Bin {
    rows: u64,
    weight: f64,
    said: f64,
    right: f64,
}

/// From rows that all count something.
fn surety_of(rows: &[Sure]) -> Surety {
    let mut bins = [Bin::default(); BINS];
    for row in rows {
        let bin = ((row.said * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let bin = &mut bins[bin];
        bin.rows += 1;
        bin.weight += row.weight;
        bin.said += row.weight * row.said;
        bin.right += if row.is_right { row.weight } else { 0.0 };
    }
    let there = || bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0);
    let weight: f64 = bins.iter().map(|bin| bin.weight).sum();
    let distance: f64 = there().map(|(_, bin)| (bin.right - bin.said).abs()).sum();
    let shown = |(index, bin): (usize, &Bin)| SuretyBin {
        from: index as f64 / BINS as f64,
        to: (index + 1) as f64 / BINS as f64,
        rows: bin.rows,
        said: bin.said / bin.weight,
        right: bin.right / bin.weight,
    };
    Surety {
        error: if weight > 0.0 { distance / weight } else { 0.0 },
        bins: there().map(shown).collect(),
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn sure(said: f64, is_right: bool, weight: f64) -> Sure {
        Sure {
            said,
            is_right,
            weight,
        }
    }

    /// The same, bin by bin, by going through all rows for each; rows of weight 1.
    fn slow_error(rows: &[Sure]) -> f64 {
        let mut error = 0.0;
        for bin in 0..10 {
            let (low, high) = (f64::from(bin) / 10.0, f64::from(bin + 1) / 10.0);
            let inside: Vec<&Sure> = rows
                .iter()
                .filter(|row| row.said > low && row.said <= high)
                .collect();
            if inside.is_empty() {
                continue;
            }
            let count = inside.len() as f64;
            let said = inside.iter().map(|row| row.said).sum::<f64>() / count;
            let right = inside.iter().filter(|row| row.is_right).count() as f64 / count;
            error += count / rows.len() as f64 * (right - said).abs();
        }
        error
    }

    #[test]
    fn the_calibration_error_is_that_of_the_slow_way() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        for _ in 0..20 {
            let rows: Vec<Sure> = (0..200)
                .map(|_| {
                    let said = rng.random_range(0.3..1.0);
                    sure(said, rng.random_bool(said * said), 1.0)
                })
                .collect();
            let surety = surety_of(&rows);
            assert!((surety.error - slow_error(&rows)).abs() < 1e-12);
            assert_eq!(surety.bins.iter().map(|bin| bin.rows).sum::<u64>(), 200);
            // A row of weight three is like three rows.
            let often = |row: usize| 1 + row % 3;
            let weighed = rows.iter().enumerate();
            let weighed: Vec<Sure> = weighed
                .map(|(row, found)| sure(found.said, found.is_right, often(row) as f64))
                .collect();
            let repeated = rows.iter().enumerate();
            let repeated: Vec<Sure> = repeated
                .flat_map(|(row, found)| vec![*found; often(row)])
                .collect();
            assert!((surety_of(&weighed).error - slow_error(&repeated)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_model_that_is_always_sure_and_half_right_errs_by_half() {
        let rows = [sure(1.0, true, 1.0), sure(1.0, false, 1.0)].repeat(10);
        assert!((surety_of(&rows).error - 0.5).abs() < 1e-12);
        assert_eq!(surety_of(&[]).error, 0.0);
    }

    #[test]
    fn a_fitted_temperature_makes_a_boastful_model_as_sure_as_it_is_right() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut draw = || {
            let (mut outputs, mut ids) = (Vec::new(), Vec::new());
            for _ in 0..4000 {
                let logit: f32 = rng.random_range(-2.0..2.0);
                let share = 1.0 / (1.0 + f64::from(-logit).exp());
                outputs.extend([0.0, 4.0 * logit]);
                ids.push(u32::from(rng.random_bool(share)));
            }
            (outputs, ids)
        };
        let ((fitted_on, known), (outputs, ids)) = (draw(), draw());
        let targets = data::Targets::Classes {
            ids: known,
            count: 2,
        };
        let calibration = Calibration::fit(&fitted_on, &targets, None, train::Metric::Accuracy);
        let found = reliability(&outputs, &ids, None, 2, &calibration);
        assert!(found.before.error > 0.1, "{found:?}");
        assert!(found.after.error < 0.02, "{found:?}");
    }
}
