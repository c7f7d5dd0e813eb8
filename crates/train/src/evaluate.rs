//! How good outputs are: every metric of the task at once, in units that users know.

use std::collections::BTreeMap;

use data::Targets;
use serde::{Deserialize, Serialize};

use crate::metric::Metric;

/// No probability counts as less: one hopeless row must not make the mean infinite.
const PROBABILITY_MIN: f64 = 1e-15;

/// How good outputs are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Every metric that is defined for these rows.
    pub metrics: BTreeMap<Metric, f64>,
    /// Log-loss, or the mean squared error in standard deviations: what decides between equal scores.
    pub loss: f64,
    /// How many rows.
    pub rows: usize,
}

impl Metric {
    /// The score of an evaluation, higher is better; the worst of all if it is not defined there.
    pub fn score_of(self, evaluation: &Evaluation) -> f64 {
        evaluation
            .metrics
            .get(&self)
            .map_or(f64::MIN, |value| self.score(*value))
    }
}

/// Evaluates outputs.
///
/// # Shapes
/// `outputs: [rows][classes]` logits, or `[rows]` standardised values.
/// # Units
/// `target_scale` is one standard deviation of the target in its own unit; errors are in that unit.
/// # Cost
/// `O(rows · classes + rows log rows · classes)`.
pub fn evaluate(outputs: &[f32], targets: &Targets, target_scale: f64) -> Evaluation {
    let (metrics, loss, rows) = match targets {
        Targets::Classes { ids, count } => {
            let (metrics, loss) = classes(outputs, ids, *count as usize);
            (metrics, loss, ids.len())
        }
        Targets::Values(values) => {
            let (metrics, loss) = regression(outputs, values, target_scale);
            (metrics, loss, values.len())
        }
        Targets::None => (Vec::new(), 0.0, 0),
    };
    let defined = metrics.into_iter().filter(|(_, value)| value.is_finite());
    Evaluation {
        metrics: defined.collect(),
        loss,
        rows,
    }
}

fn classes(outputs: &[f32], ids: &[u32], count: usize) -> (Vec<(Metric, f64)>, f64) {
    let probabilities: Vec<f64> = outputs.chunks_exact(count).flat_map(softmax).collect();
    let mut right = vec![0_usize; count];
    let mut of_class = vec![0_usize; count];
    let mut loss = 0.0;
    for (row, id) in probabilities.chunks_exact(count).zip(ids) {
        let id = *id as usize;
        of_class[id] += 1;
        right[id] += usize::from(first_largest(row) == id);
        loss -= row[id].max(PROBABILITY_MIN).ln();
    }
    let loss = loss / ids.len() as f64;
    let found = right.iter().zip(&of_class).filter(|(_, rows)| **rows > 0);
    let recalls: Vec<f64> = found
        .map(|(right, rows)| *right as f64 / *rows as f64)
        .collect();
    let metrics = vec![
        (
            Metric::Accuracy,
            right.iter().sum::<usize>() as f64 / ids.len() as f64,
        ),
        (
            Metric::BalancedAccuracy,
            recalls.iter().sum::<f64>() / recalls.len() as f64,
        ),
        (Metric::Auc, area_under_curve(&probabilities, ids, count)),
        (Metric::LogLoss, loss),
    ];
    (metrics, loss)
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits
        .iter()
        .map(|logit| f64::from(logit - largest).exp())
        .collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

fn first_largest(row: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}

/// Mean over the classes that are there, each against the rest; of two classes, that of the second.
fn area_under_curve(probabilities: &[f64], ids: &[u32], count: usize) -> f64 {
    let of_class = |class: usize| {
        let scores: Vec<f64> = probabilities
            .chunks_exact(count)
            .map(|row| row[class])
            .collect();
        rank_area(
            &scores,
            &ids.iter()
                .map(|id| *id as usize == class)
                .collect::<Vec<bool>>(),
        )
    };
    if count == 2 {
        return of_class(1);
    }
    let areas: Vec<f64> = (0..count)
        .map(of_class)
        .filter(|area| area.is_finite())
        .collect();
    areas.iter().sum::<f64>() / areas.len() as f64
}

/// Probability that a positive row scores above a negative one; ties count half.
///
/// # Source
/// Mann & Whitney 1947, by mean ranks.
fn rank_area(scores: &[f64], positive: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let mut rank_sum = 0.0;
    let mut first = 0;
    while first < order.len() {
        let value = scores[order[first]];
        let equal = order[first..]
            .iter()
            .take_while(|index| scores[**index] == value)
            .count();
        let mean_rank = first as f64 + (equal as f64 + 1.0) / 2.0;
        let positives = order[first..first + equal]
            .iter()
            .filter(|index| positive[**index]);
        rank_sum += mean_rank * positives.count() as f64;
        first += equal;
    }
    let positives = positive.iter().filter(|positive| **positive).count() as f64;
    let negatives = scores.len() as f64 - positives;
    (rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

fn regression(outputs: &[f32], values: &[f32], scale: f64) -> (Vec<(Metric, f64)>, f64) {
    let rows = values.len() as f64;
    let errors: Vec<f64> = outputs
        .iter()
        .zip(values)
        .map(|(output, value)| f64::from(*output) - f64::from(*value))
        .collect();
    let squared = errors.iter().map(|error| error * error).sum::<f64>() / rows;
    let absolute = errors.iter().map(|error| error.abs()).sum::<f64>() / rows;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / rows;
    let variance = values
        .iter()
        .map(|v| (f64::from(*v) - mean).powi(2))
        .sum::<f64>()
        / rows;
    let metrics = vec![
        (Metric::Rmse, squared.sqrt() * scale),
        (Metric::Mae, absolute * scale),
        (Metric::R2, 1.0 - squared / variance),
    ];
    (metrics, squared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_under_the_curve_counts_ordered_pairs() {
        let scores = [0.1, 0.4, 0.35, 0.8, 0.4];
        let positive = [false, false, true, true, true];
        let mut pairs = 0.0;
        for (a, _) in scores
            .iter()
            .zip(positive)
            .filter(|(_, positive)| *positive)
        {
            for (b, _) in scores
                .iter()
                .zip(positive)
                .filter(|(_, positive)| !*positive)
            {
                pairs += if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                };
            }
        }
        assert!((rank_area(&scores, &positive) - pairs / 6.0).abs() < 1e-12);
    }

    #[test]
    fn balanced_accuracy_does_not_favour_the_common_class() {
        let targets = Targets::Classes {
            ids: vec![0, 0, 0, 1],
            count: 2,
        };
        let outputs = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let metrics = evaluate(&outputs, &targets, 1.0).metrics;
        assert_eq!(metrics[&Metric::Accuracy], 0.75);
        assert_eq!(metrics[&Metric::BalancedAccuracy], 0.5);
        assert_eq!(metrics[&Metric::Auc], 0.5);
    }

    #[test]
    fn errors_of_a_regression_are_in_the_targets_unit() {
        let targets = Targets::Values(vec![0.0, 1.0, 2.0]);
        let metrics = evaluate(&[0.0, 1.0, 1.0], &targets, 30.0).metrics;
        assert!((metrics[&Metric::Mae] - 10.0).abs() < 1e-9);
        assert!((metrics[&Metric::Rmse] - 300.0_f64.sqrt()).abs() < 1e-9);
        assert!((metrics[&Metric::R2] - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_metric_that_is_not_defined_is_left_out() {
        let targets = Targets::Classes {
            ids: vec![0, 0],
            count: 2,
        };
        let evaluation = evaluate(&[1.0, 0.0, 1.0, 0.0], &targets, 1.0);
        assert!(!evaluation.metrics.contains_key(&Metric::Auc));
        assert_eq!(Metric::Auc.score_of(&evaluation), f64::MIN);
    }
}
