//! From outputs to probabilities and labels: how sure a model may say that it is.
//!
//! One temperature divides all logits, so that the probabilities of the validation rows fit what is true of
//! them; it never changes which class is the most probable. Of two classes, the second may be said from
//! another probability on than one half, where the metric gains by it. Both count rows by their weights;
//! whether a gain is more than chance is asked of the rows themselves: a heavy row is still one observation.
//! Guo, Pleiss, Sun & Weinberger 2017 (arXiv:1706.04599), section 4.2.

use serde::{Deserialize, Serialize};

use crate::{
    evaluate::{Evaluation, evaluate_weighted, first_largest, softmax},
    metric::Metric,
};
use data::Targets;

/// No temperature is below this, or above its inverse: more would be a model that knows nothing.
const TEMPERATURE_MIN: f64 = 0.05;

/// Halvings of the range of temperatures: its width is then far below what anyone can see.
const HALVINGS: usize = 50;

/// From which probability on the second of two classes is said if nothing gains by another one.
const EVEN: f64 = 0.5;

/// How outputs become probabilities, and these a label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Calibration {
    temperature: f64,
    threshold: f64,
}

/// As it stands in a file.
#[derive(Serialize, Deserialize)]
struct Written {
    temperature: f64,
    threshold: f64,
}

impl TryFrom<Written> for Calibration {
    type Error = String;

    fn try_from(written: Written) -> Result<Calibration, String> {
        let Written {
            temperature,
            threshold,
        } = written;
        Calibration::new(temperature, threshold).ok_or_else(|| {
            format!(
                "temperature {temperature} and threshold {threshold}: the first must be above 0, \
                 the second between 0 and 1"
            )
        })
    }
}

impl From<Calibration> for Written {
    fn from(calibration: Calibration) -> Written {
        Written {
            temperature: calibration.temperature,
            threshold: calibration.threshold,
        }
    }
}

impl Default for Calibration {
    /// Probabilities as the network gives them, and the most probable class.
    fn default() -> Calibration {
        Calibration {
            temperature: 1.0,
            threshold: EVEN,
        }
    }
}

impl Calibration {
    /// What divides all logits, and the probability above which the second of two classes is said.
    pub fn new(temperature: f64, threshold: f64) -> Option<Calibration> {
        let is_legal =
            temperature.is_finite() && temperature > 0.0 && threshold > 0.0 && threshold < 1.0;
        is_legal.then_some(Calibration {
            temperature,
            threshold,
        })
    }

    /// What divides all logits.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// The probability above which the second of two classes is said.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Whether, of two classes, the one said need not be the more probable one.
    pub fn moves_labels(&self) -> bool {
        self.threshold != EVEN
    }

    /// Fits the temperature, and the threshold where the metric counts labels by their class.
    ///
    /// # Shapes
    /// `outputs: [rows][classes]`, logits of rows that were not learned from; `weights: [rows]`, not negative,
    /// if they do not all count the same.
    /// # Units
    /// None.
    /// # Errors
    /// None: without classes, or without rows that count, nothing is changed.
    /// # Cost
    /// `O(rows · classes)` for each of 50 steps, and `O(rows log rows)`.
    /// # Source
    /// Guo et al. 2017, section 4.2. Targets are drawn towards even shares by `1/(rows + 2)`, so that the
    /// temperature stays finite where every row is right; Platt 1999, section 2.2, draws more, because he
    /// counts the rows of each class alone.
    pub fn fit(
        outputs: &[f32],
        targets: &Targets,
        weights: Option<&[f32]>,
        metric: Metric,
    ) -> Calibration {
        let Targets::Classes { ids, count } = targets else {
            return Calibration::default();
        };
        let weight = |row: usize| weights.map_or(1.0, |weights| f64::from(weights[row]));
        let rows: Vec<Row<'_>> = outputs
            .chunks_exact((*count as usize).max(1))
            .zip(ids)
            .enumerate()
            .map(|(row, (logits, id))| Row {
                logits,
                id: *id,
                weight: weight(row),
            })
            .filter(|row| row.weight > 0.0)
            .collect();
        if rows.is_empty() || *count < 2 {
            return Calibration::default();
        }
        let mut calibration = Calibration {
            temperature: fitted_temperature(&rows),
            threshold: EVEN,
        };
        // Accuracy is best where the more probable class is said; the other metrics see no labels.
        if *count == 2 && metric == Metric::BalancedAccuracy {
            calibration.threshold = fitted_threshold(&calibration, &rows);
        }
        calibration
    }

    /// Logits of calibrated probabilities.
    pub fn scaled(&self, outputs: &[f32]) -> Vec<f32> {
        let scaled = |output: &f32| (f64::from(*output) / self.temperature) as f32;
        outputs.iter().map(scaled).collect()
    }

    /// Probabilities of one row's classes.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        softmax(logits, self.temperature)
    }

    /// Which class is said of a row with these probabilities.
    pub fn label(&self, probabilities: &[f64]) -> usize {
        match probabilities {
            [_, second] => usize::from(*second > self.threshold),
            _ => first_largest(probabilities),
        }
    }

    /// Evaluates what a user gets: calibrated probabilities, and labels by the threshold.
    ///
    /// # Shapes
    /// As [`evaluate_weighted`].
    /// # Units
    /// As [`evaluate_weighted`].
    /// # Errors
    /// None.
    /// # Cost
    /// As [`evaluate_weighted`], at most twice.
    pub fn evaluate(
        &self,
        outputs: &[f32],
        targets: &Targets,
        weights: Option<&[f32]>,
        target_scale: f64,
    ) -> Evaluation {
        let evaluate = |outputs: &[f32]| evaluate_weighted(outputs, targets, weights, target_scale);
        if !matches!(targets, Targets::Classes { .. }) {
            return evaluate(outputs);
        }
        let mut scaled = self.scaled(outputs);
        let mut evaluation = evaluate(&scaled);
        if !self.moves_labels() {
            return evaluation;
        }
        let moved = (self.threshold / (1.0 - self.threshold)).ln() as f32;
        for row in scaled.chunks_exact_mut(2) {
            row[1] -= moved;
        }
        let labelled = evaluate(&scaled);
        for metric in [Metric::Accuracy, Metric::BalancedAccuracy] {
            if let Some(value) = labelled.metrics.get(&metric) {
                evaluation.metrics.insert(metric, *value);
            }
        }
        evaluation
    }
}

/// What is said of a row, what is true of it, and how much it counts.
struct Row<'a> {
    logits: &'a [f32],
    id: u32,
    weight: f64,
}

/// The temperature at which the mean log-loss is least.
///
/// The loss is convex in the inverse temperature, and its slope is the mean logit that the probabilities
/// expect less the one that is true.
fn fitted_temperature(rows: &[Row<'_>]) -> f64 {
    // The share of a row that is as if it could be any class.
    let unsure = 1.0 / (rows.iter().map(|row| row.weight).sum::<f64>() + 2.0);
    let slope = |inverse: f64| -> f64 {
        let calibration = Calibration {
            temperature: 1.0 / inverse,
            threshold: EVEN,
        };
        let of_row = |row: &Row<'_>| {
            let Row { logits, id, weight } = row;
            let probabilities = calibration.probabilities(logits);
            let each = logits.iter().zip(&probabilities);
            let expected: f64 = each.map(|(logit, share)| f64::from(*logit) * share).sum();
            let sum: f64 = logits.iter().map(|logit| f64::from(*logit)).sum();
            let mean = sum / logits.len() as f64;
            let told = f64::from(logits[*id as usize]);
            weight * (expected - (1.0 - unsure) * told - unsure * mean)
        };
        rows.iter().map(of_row).sum()
    };
    let (mut low, mut high) = (TEMPERATURE_MIN.ln(), -TEMPERATURE_MIN.ln());
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        match slope(middle.exp()) > 0.0 {
            true => high = middle,
            false => low = middle,
        }
    }
    (-(low + high) / 2.0).exp()
}

/// The threshold with the best balanced accuracy; one half if none is better by more than its own error.
fn fitted_threshold(calibration: &Calibration, rows: &[Row<'_>]) -> f64 {
    let weight_of = |id: u32| -> f64 {
        let of_class = rows.iter().filter(|row| row.id == id);
        of_class.map(|row| row.weight).sum()
    };
    let (of_first, of_second) = (weight_of(0), weight_of(1));
    if of_first == 0.0 || of_second == 0.0 {
        return EVEN;
    }
    // What a row adds to the balanced accuracy if the first class is said of it rather than the second.
    let worth = |row: &Row<'_>| match row.id {
        0 => 0.5 * row.weight / of_first,
        _ => -0.5 * row.weight / of_second,
    };
    let mut rows: Vec<(f64, f64)> = rows
        .iter()
        .map(|row| (calibration.probabilities(row.logits)[1], worth(row)))
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let even = rows.partition_point(|(probability, _)| *probability <= EVEN);
    let mut gain = -rows[..even].iter().map(|(_, worth)| worth).sum::<f64>();
    let mut best = (0.0, EVEN, even);
    for cut in 0..=rows.len() {
        if cut > 0 {
            gain += rows[cut - 1].1;
        }
        let below = if cut == 0 { 0.0 } else { rows[cut - 1].0 };
        let above = rows.get(cut).map_or(1.0, |row| row.0);
        let threshold = (below + above) / 2.0;
        let is_nearer = (threshold - EVEN).abs() < (best.1 - EVEN).abs();
        let is_better = gain > best.0 + 1e-12 || (gain > best.0 - 1e-12 && is_nearer);
        if below < above && is_better {
            best = (gain, threshold, cut);
        }
    }
    let (gain, threshold, cut) = best;
    let changed = &rows[cut.min(even)..cut.max(even)];
    let squares = changed.iter().map(|(_, worth)| worth.powi(2));
    let error = squares.sum::<f64>().sqrt();
    match gain > error && threshold > 0.0 && threshold < 1.0 {
        true => threshold,
        false => EVEN,
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Logits that are `sharpness` times too large for the classes drawn from them.
    fn drawn(rows: usize, classes: u32, sharpness: f32, shift: f32) -> (Vec<f32>, Targets) {
        let mut rng = ChaCha8Rng::seed_from_u64(17);
        let (mut outputs, mut ids) = (Vec::new(), Vec::new());
        for _ in 0..rows {
            let logits: Vec<f32> = (0..classes)
                .map(|class| rng.random_range(-2.0..2.0) + shift * class as f32)
                .collect();
            let shares = Calibration::default().probabilities(&logits);
            let mut left = rng.random_range(0.0..1.0);
            let drawn = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            ids.push(drawn.unwrap_or(0) as u32);
            outputs.extend(logits.iter().map(|logit| logit * sharpness));
        }
        (
            outputs,
            Targets::Classes {
                ids,
                count: classes,
            },
        )
    }

    #[test]
    fn the_temperature_is_that_by_which_logits_were_too_large() {
        for sharpness in [0.5, 1.0, 3.0] {
            let (outputs, targets) = drawn(20_000, 4, sharpness, 0.0);
            let fitted = Calibration::fit(&outputs, &targets, None, Metric::Accuracy);
            let wanted = f64::from(sharpness);
            assert!(
                (fitted.temperature() / wanted - 1.0).abs() < 0.05,
                "{fitted:?}"
            );
        }
    }

    #[test]
    fn no_other_temperature_on_a_fine_grid_has_a_lower_log_loss() {
        let (outputs, targets) = drawn(500, 3, 2.5, 0.3);
        let loss = |temperature: f64| {
            let calibration = Calibration::new(temperature, 0.5).unwrap();
            calibration.evaluate(&outputs, &targets, None, 1.0).loss
        };
        let fitted = Calibration::fit(&outputs, &targets, None, Metric::LogLoss);
        let least = loss(fitted.temperature());
        for step in -300..=300 {
            let other = (f64::from(step) / 100.0).exp();
            assert!(
                least <= loss(other) + 1e-4,
                "{other} is better than {fitted:?}"
            );
        }
        assert!(least < loss(1.0) - 0.01);
    }

    #[test]
    fn the_temperature_never_changes_the_label() {
        let (outputs, targets) = drawn(2000, 5, 1.0, 0.2);
        let plain = Calibration::default();
        for temperature in [0.05, 0.3, 4.0, 20.0] {
            let other = Calibration::new(temperature, 0.5).unwrap();
            for logits in outputs.chunks(5) {
                let [a, b] = [plain, other].map(|c| c.label(&c.probabilities(logits)));
                assert_eq!(a, b);
            }
            let [a, b] = [plain, other].map(|c| {
                c.evaluate(&outputs, &targets, None, 1.0).metrics[&Metric::BalancedAccuracy]
            });
            assert_eq!(a, b);
        }
    }

    #[test]
    fn where_every_row_is_right_the_temperature_stays_finite() {
        let outputs = [3.0, -3.0, -3.0, 3.0].repeat(20);
        let targets = Targets::Classes {
            ids: [0, 1].repeat(20),
            count: 2,
        };
        let fitted = Calibration::fit(&outputs, &targets, None, Metric::Accuracy);
        let surest = fitted.probabilities(&outputs[..2])[0];
        assert!(surest > 0.95 && surest < 0.999, "{surest}");
    }

    #[test]
    fn the_threshold_is_the_best_of_all_for_balanced_accuracy_and_moves_for_no_other_metric() {
        let (outputs, targets) = drawn(3000, 2, 1.0, -1.2);
        let fitted = Calibration::fit(&outputs, &targets, None, Metric::BalancedAccuracy);
        let balanced = |threshold: f64| {
            let calibration = Calibration::new(fitted.temperature(), threshold).unwrap();
            calibration.evaluate(&outputs, &targets, None, 1.0).metrics[&Metric::BalancedAccuracy]
        };
        assert!(fitted.threshold() < 0.4, "{fitted:?}");
        let best = balanced(fitted.threshold());
        for percent in 1..100 {
            assert!(balanced(f64::from(percent) / 100.0) <= best + 1e-9);
        }
        let other = Calibration::fit(&outputs, &targets, None, Metric::Auc);
        assert!(!other.moves_labels());
    }

    #[test]
    fn a_threshold_that_gains_no_more_than_chance_stays_at_one_half() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let outputs: Vec<f32> = (0..40).map(|_| rng.random_range(-1.0..1.0)).collect();
        let targets = Targets::Classes {
            ids: outputs
                .chunks(2)
                .map(|row| u32::from(row[1] > row[0]))
                .collect(),
            count: 2,
        };
        let fitted = Calibration::fit(&outputs, &targets, None, Metric::BalancedAccuracy);
        assert!(!fitted.moves_labels(), "{fitted:?}");
    }

    #[test]
    fn a_row_of_weight_three_is_fitted_like_three_rows_and_one_of_weight_nothing_not_at_all() {
        for (classes, metric) in [(2, Metric::BalancedAccuracy), (4, Metric::LogLoss)] {
            let (outputs, targets) = drawn(3000, classes, 2.0, -1.2);
            let Targets::Classes { ids, count } = &targets else {
                panic!("classes are drawn")
            };
            let weights: Vec<f32> = ids
                .iter()
                .enumerate()
                .map(|(row, id)| [3.0, 1.0, 0.0][(row + *id as usize) % 3])
                .collect();
            let often = |row: usize| weights[row] as usize;
            let rows = outputs.chunks_exact(classes as usize).enumerate();
            let many: Vec<f32> = rows
                .flat_map(|(row, logits)| logits.repeat(often(row)))
                .collect();
            let each = ids.iter().enumerate();
            let many_targets = Targets::Classes {
                ids: each.flat_map(|(row, id)| vec![*id; often(row)]).collect(),
                count: *count,
            };
            let weighed = Calibration::fit(&outputs, &targets, Some(&weights), metric);
            let repeated = Calibration::fit(&many, &many_targets, None, metric);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(
                close(weighed.temperature(), repeated.temperature()),
                "{weighed:?}, {repeated:?}"
            );
            assert!(close(weighed.threshold(), repeated.threshold()));
            assert_eq!(weighed.moves_labels(), classes == 2);
            let plain = Calibration::fit(&outputs, &targets, None, metric);
            assert!(!close(weighed.temperature(), plain.temperature()));
        }
    }

    #[test]
    fn one_heavy_row_does_not_move_the_threshold() {
        // The second class is said of the last row of the first class; weighed enough, it is half the score.
        let outputs = [
            [0.0, -1.0].repeat(20),
            [0.0, 1.0].repeat(20),
            vec![0.0, 0.5],
        ]
        .concat();
        let ids = [vec![0; 20], vec![1; 20], vec![0]].concat();
        let targets = Targets::Classes { ids, count: 2 };
        let mut weights = vec![1.0; 41];
        weights[40] = 200.0;
        let fitted = Calibration::fit(&outputs, &targets, Some(&weights), Metric::BalancedAccuracy);
        assert!(!fitted.moves_labels(), "{fitted:?}");
    }

    #[test]
    fn what_is_written_is_read_back_and_nonsense_is_refused() {
        let calibration = Calibration::new(1.7, 0.31).unwrap();
        let text = serde_json::to_string(&calibration).unwrap();
        assert_eq!(text, r#"{"temperature":1.7,"threshold":0.31}"#);
        assert_eq!(
            serde_json::from_str::<Calibration>(&text).unwrap(),
            calibration
        );
        for nonsense in ["[0.0,0.5]", r#"{"temperature":0.0,"threshold":0.5}"#] {
            assert!(serde_json::from_str::<Calibration>(nonsense).is_err());
        }
    }
}
