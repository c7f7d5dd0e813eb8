//! From outputs to probabilities and labels: how sure a model may say that it is.
//!
//! One temperature divides all logits, so that the probabilities of the validation rows fit what is true of
//! them; it never changes which class is the most probable. Of two classes, an offset is added to the second's
//! logit where the metric has not chosen the network by the more probable class: by order alone, or with all
//! classes counting the same, the best network may say ten in a hundred of what is thirty. And where the metric
//! looks at labels otherwise than accuracy does, the second may be said from another probability on than one half.
//! All of it counts rows by their weights; whether a threshold gains more than chance is asked of the rows
//! themselves: a heavy row is still one observation.
//! Guo, Pleiss, Sun & Weinberger 2017 (arXiv:1706.04599), section 4.2; of two classes Platt 1999, section 2.

mod line;
mod threshold;

use serde::{Deserialize, Serialize};

use self::{line::fitted_line, threshold::fitted_threshold};
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
    offset: f64,
    threshold: f64,
}

/// As it stands in a file.
#[derive(Serialize, Deserialize)]
struct Written {
    temperature: f64,
    #[serde(default, skip_serializing_if = "is_nothing")]
    offset: f64,
    threshold: f64,
}

fn is_nothing(offset: &f64) -> bool {
    *offset == 0.0
}

impl TryFrom<Written> for Calibration {
    type Error = String;

    fn try_from(written: Written) -> Result<Calibration, String> {
        let Written {
            temperature,
            offset,
            threshold,
        } = written;
        let found = Calibration::new(temperature, threshold).map(|found| found.with_offset(offset));
        found.filter(|_| offset.is_finite()).ok_or_else(|| {
            format!(
                "temperature {temperature}, offset {offset} and threshold {threshold}: the first must be \
                 above 0, the second a number, the third between 0 and 1"
            )
        })
    }
}

impl From<Calibration> for Written {
    fn from(calibration: Calibration) -> Written {
        Written {
            temperature: calibration.temperature,
            offset: calibration.offset,
            threshold: calibration.threshold,
        }
    }
}

impl Default for Calibration {
    /// Probabilities as the network gives them, and the most probable class.
    fn default() -> Calibration {
        Calibration {
            temperature: 1.0,
            offset: 0.0,
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
            offset: 0.0,
            threshold,
        })
    }

    /// The same with something added to the second of two logits, after their division; for two classes only.
    #[must_use]
    pub fn with_offset(self, offset: f64) -> Calibration {
        Calibration { offset, ..self }
    }

    /// What divides all logits.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// What is added to the second of two logits that have been divided.
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// The probability above which the second of two classes is said.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Whether, of two classes, the one said need not be the more probable one.
    pub fn moves_labels(&self) -> bool {
        self.threshold != EVEN
    }

    /// Whether it says something that can be said of two classes only.
    pub fn is_of_two_classes(&self) -> bool {
        self.moves_labels() || self.offset != 0.0
    }

    /// Fits the temperature; of two classes also the offset where the metric is not about the more probable one,
    /// and the threshold where it counts labels by their class.
    ///
    /// # Shapes
    /// `outputs: [rows][classes]`, logits of rows that were not learned from; `weights: [rows]`, not negative,
    /// if they do not all count the same.
    /// # Units
    /// None.
    /// # Errors
    /// None: without classes, or without rows that count, nothing is changed.
    /// # Cost
    /// `O(rows · classes)` for each of 50 steps, of two classes for each of about ten, and `O(rows log rows)`.
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
        // Accuracy is best where the more probable class is said: its network stands where it should.
        if *count != 2 || metric == Metric::Accuracy {
            return Calibration {
                temperature: fitted_temperature(&rows),
                ..Calibration::default()
            };
        }
        let line = fitted_line(&rows);
        let calibration = Calibration {
            temperature: 1.0 / line.slope,
            offset: line.offset,
            threshold: EVEN,
        };
        let threshold = match metric {
            Metric::BalancedAccuracy | Metric::F1Macro | Metric::Mcc => {
                fitted_threshold(&calibration, &rows, metric)
            }
            // The others see no labels.
            _ => EVEN,
        };
        Calibration {
            threshold,
            ..calibration
        }
    }

    /// Logits of calibrated probabilities.
    pub fn scaled(&self, outputs: &[f32]) -> Vec<f32> {
        let scaled = |output: &f32| (f64::from(*output) / self.temperature) as f32;
        let mut scaled: Vec<f32> = outputs.iter().map(scaled).collect();
        if self.offset != 0.0 {
            for row in scaled.chunks_exact_mut(2) {
                row[1] = (f64::from(row[1]) + self.offset) as f32;
            }
        }
        scaled
    }

    /// Probabilities of one row's classes.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let offsets = [0.0, self.offset].into_iter().chain(std::iter::repeat(0.0));
        let scaled = |(logit, offset): (&f32, f64)| f64::from(*logit) / self.temperature + offset;
        softmax(logits.iter().zip(offsets).map(scaled))
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
        for metric in Metric::OF_LABELS {
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

/// The share of a row that is as if it could be any class.
fn unsure(rows: &[Row<'_>]) -> f64 {
    1.0 / (rows.iter().map(|row| row.weight).sum::<f64>() + 2.0)
}

/// The temperature at which the mean log-loss is least.
///
/// The loss is convex in the inverse temperature, and its slope is the mean logit that the probabilities
/// expect less the one that is true.
fn fitted_temperature(rows: &[Row<'_>]) -> f64 {
    let unsure = unsure(rows);
    let slope = |inverse: f64| -> f64 {
        let calibration = Calibration {
            temperature: 1.0 / inverse,
            ..Calibration::default()
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

#[cfg(test)]
mod tests;
