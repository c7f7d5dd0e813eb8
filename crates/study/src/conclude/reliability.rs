//! Whether a model is as sure as it is right: its probabilities beside what came true.
//!
//! The expected calibration error is the mean distance, over bins of the highest probability, between that
//! probability and the share that is right (Guo et al. 2017, equation 3; ten bins of equal width).

use serde::{Deserialize, Serialize};
use train::Calibration;

/// Bins of probabilities.
const BINS: usize = 10;

/// How sure a model is and how right, with its temperature and without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// What divides its logits, and from which probability on the second of two classes is said.
    pub calibration: Calibration,
    /// Without the temperature.
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

/// Compares what is said with what is true.
pub(super) fn reliability(
    outputs: &[f32],
    ids: &[u32],
    classes: usize,
    calibration: &Calibration,
) -> Reliability {
    let surety = |calibration: &Calibration| {
        let rows = outputs.chunks_exact(classes).zip(ids);
        let sure: Vec<(f64, bool)> = rows
            .map(|(logits, id)| {
                let probabilities = calibration.probabilities(logits);
                // Which class it is must not hang on a threshold.
                let most = Calibration::default().label(&probabilities);
                (probabilities[most], most == *id as usize)
            })
            .collect();
        surety_of(&sure)
    };
    Reliability {
        calibration: *calibration,
        before: surety(&Calibration::default()),
        after: surety(calibration),
    }
}

/// From each row's highest probability, and whether its class is right.
fn surety_of(rows: &[(f64, bool)]) -> Surety {
    let mut bins = [(0_u64, 0.0, 0_u64); BINS];
    for (said, right) in rows {
        let bin = ((said * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        bins[bin].0 += 1;
        bins[bin].1 += said;
        bins[bin].2 += u64::from(*right);
    }
    let bin = |(index, (rows, said, right)): (usize, &(u64, f64, u64))| SuretyBin {
        from: index as f64 / BINS as f64,
        to: (index + 1) as f64 / BINS as f64,
        rows: *rows,
        said: said / *rows as f64,
        right: *right as f64 / *rows as f64,
    };
    let there = bins.iter().enumerate().filter(|(_, bin)| bin.0 > 0);
    let bins: Vec<SuretyBin> = there.map(bin).collect();
    let distance = |bin: &SuretyBin| bin.rows as f64 * (bin.right - bin.said).abs();
    Surety {
        error: bins.iter().map(distance).sum::<f64>() / rows.len().max(1) as f64,
        bins,
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The same, bin by bin, by going through all rows for each.
    fn slow_error(rows: &[(f64, bool)]) -> f64 {
        let mut error = 0.0;
        for bin in 0..10 {
            let (low, high) = (f64::from(bin) / 10.0, f64::from(bin + 1) / 10.0);
            let inside: Vec<&(f64, bool)> = rows
                .iter()
                .filter(|row| row.0 > low && row.0 <= high)
                .collect();
            if inside.is_empty() {
                continue;
            }
            let count = inside.len() as f64;
            let said = inside.iter().map(|row| row.0).sum::<f64>() / count;
            let right = inside.iter().filter(|row| row.1).count() as f64 / count;
            error += count / rows.len() as f64 * (right - said).abs();
        }
        error
    }

    #[test]
    fn the_calibration_error_is_that_of_the_slow_way() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        for _ in 0..20 {
            let rows: Vec<(f64, bool)> = (0..200)
                .map(|_| {
                    let said = rng.random_range(0.3..1.0);
                    (said, rng.random_bool(said * said))
                })
                .collect();
            let surety = surety_of(&rows);
            assert!((surety.error - slow_error(&rows)).abs() < 1e-12);
            assert_eq!(surety.bins.iter().map(|bin| bin.rows).sum::<u64>(), 200);
        }
    }

    #[test]
    fn a_model_that_is_always_sure_and_half_right_errs_by_half() {
        let rows = [(1.0, true), (1.0, false)].repeat(10);
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
        let calibration = Calibration::fit(&fitted_on, &targets, train::Metric::Accuracy);
        let found = reliability(&outputs, &ids, 2, &calibration);
        assert!(found.before.error > 0.1, "{found:?}");
        assert!(found.after.error < 0.02, "{found:?}");
    }
}
