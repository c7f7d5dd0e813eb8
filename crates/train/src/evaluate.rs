//! How good outputs are: every metric of the task at once, in units that users know.

use std::collections::BTreeMap;

use data::Targets;
use serde::{Deserialize, Serialize};

use crate::{labels::LabelCounts, metric::Metric};

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
    evaluate_weighted(outputs, targets, None, target_scale)
}

/// Evaluates outputs where rows count differently: every sum over rows is one over their weights.
///
/// # Shapes
/// As [`evaluate`]; `weights: [rows]`, not negative.
/// # Units
/// As [`evaluate`].
/// # Cost
/// As [`evaluate`].
pub fn evaluate_weighted(
    outputs: &[f32],
    targets: &Targets,
    weights: Option<&[f32]>,
    target_scale: f64,
) -> Evaluation {
    evaluated(outputs, targets, weights, target_scale, Areas::Wanted)
}

/// Evaluates the outputs after an epoch of a training by this metric, which is compared with others by its score and
/// its loss. Of more than two classes the area under the curve is left out, unless it is the metric: it sorts all rows
/// once for each class, and could take longer than the epoch.
///
/// # Shapes
/// As [`evaluate_weighted`].
/// # Units
/// As [`evaluate_weighted`].
/// # Errors
/// None.
/// # Cost
/// `O(rows · classes)`; by an area as [`evaluate_weighted`].
pub(crate) fn evaluate_epoch(
    outputs: &[f32],
    targets: &Targets,
    weights: Option<&[f32]>,
    target_scale: f64,
    metric: Metric,
) -> Evaluation {
    let areas = match (targets, metric) {
        (_, Metric::Auc) => Areas::Wanted,
        (Targets::Classes { count: 3.., .. }, _) => Areas::LeftOut,
        _ => Areas::Wanted,
    };
    evaluated(outputs, targets, weights, target_scale, areas)
}

/// Whether areas under curves are computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Areas {
    Wanted,
    LeftOut,
}

fn evaluated(
    outputs: &[f32],
    targets: &Targets,
    weights: Option<&[f32]>,
    target_scale: f64,
    areas: Areas,
) -> Evaluation {
    let rows = match targets {
        Targets::Classes { ids, .. } => ids.len(),
        Targets::Values(values) => values.len(),
        Targets::None => 0,
    };
    let weights: Vec<f64> = match weights {
        Some(weights) => weights.iter().map(|weight| f64::from(*weight)).collect(),
        None => vec![1.0; rows],
    };
    let (metrics, loss) = match targets {
        Targets::Classes { ids, count } => classes(outputs, ids, &weights, *count as usize, areas),
        Targets::Values(values) => regression(outputs, values, &weights, target_scale),
        Targets::None => (Vec::new(), 0.0),
    };
    let defined = metrics.into_iter().filter(|(_, value)| value.is_finite());
    Evaluation {
        metrics: defined.collect(),
        loss,
        rows,
    }
}

/// The loss of [`evaluate_weighted`] alone, for whoever asks for it often: no metric is computed, and nothing is
/// sorted.
///
/// # Shapes
/// As [`evaluate_weighted`].
/// # Units
/// As [`Evaluation::loss`].
/// # Errors
/// None; without rows that count it is no number.
/// # Cost
/// `O(rows · classes)`.
pub fn loss_weighted(outputs: &[f32], targets: &Targets, weights: Option<&[f32]>) -> f64 {
    let weight = |row: usize| weights.map_or(1.0, |weights| f64::from(weights[row]));
    let mean = |rows: usize, of_row: &dyn Fn(usize) -> f64| -> f64 {
        let sum: f64 = (0..rows).map(|row| weight(row) * of_row(row)).sum();
        sum / (0..rows).map(weight).sum::<f64>()
    };
    match targets {
        Targets::Classes { ids, count } => {
            let width = *count as usize;
            mean(ids.len(), &|row| {
                let logits = &outputs[row * width..][..width];
                -share_of(logits, ids[row] as usize)
                    .max(PROBABILITY_MIN)
                    .ln()
            })
        }
        Targets::Values(values) => mean(values.len(), &|row| {
            (f64::from(outputs[row]) - f64::from(values[row])).powi(2)
        }),
        Targets::None => 0.0,
    }
}

fn classes(
    outputs: &[f32],
    ids: &[u32],
    weights: &[f64],
    count: usize,
    areas: Areas,
) -> (Vec<(Metric, f64)>, f64) {
    let logits = outputs.chunks_exact(count);
    let shares = |row: &[f32]| softmax(row.iter().map(|logit| f64::from(*logit)));
    let probabilities: Vec<f64> = logits.flat_map(shares).collect();
    let mut labels = LabelCounts::of_no_rows(count);
    let mut loss = 0.0;
    for ((row, id), weight) in probabilities.chunks_exact(count).zip(ids).zip(weights) {
        let id = *id as usize;
        labels.count(id, first_largest(row), *weight);
        loss -= weight * row[id].max(PROBABILITY_MIN).ln();
    }
    let total: f64 = weights.iter().sum();
    let loss = loss / total;
    let of_labels =
        Metric::OF_LABELS.map(|metric| labels.value(metric).map(|value| (metric, value)));
    let area = (areas == Areas::Wanted).then(|| {
        (
            Metric::Auc,
            area_under_curve(&probabilities, ids, weights, count),
        )
    });
    let of_probabilities = area.into_iter().chain([(Metric::LogLoss, loss)]);
    let metrics = of_labels.into_iter().flatten().chain(of_probabilities);
    (metrics.collect(), loss)
}

/// Probabilities of one row's classes from its logits.
pub(crate) fn softmax(logits: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.map(|logit| (logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// Probability of one class from its row's logits: what [`softmax`] puts in its place.
fn share_of(logits: &[f32], class: usize) -> f64 {
    let each = logits.iter().map(|logit| f64::from(*logit));
    let largest = each.clone().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = each.map(|logit| (logit - largest).exp()).sum();
    (f64::from(logits[class]) - largest).exp() / sum
}

/// Index of the largest value; the first among equals.
pub(crate) fn first_largest(row: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}

/// Mean over the classes that are there, each against the rest; of two classes, that of the second.
fn area_under_curve(probabilities: &[f64], ids: &[u32], weights: &[f64], count: usize) -> f64 {
    let of_class = |class: usize| {
        let scores: Vec<f64> = probabilities
            .chunks_exact(count)
            .map(|row| row[class])
            .collect();
        let positive: Vec<bool> = ids.iter().map(|id| *id as usize == class).collect();
        rank_area(&scores, &positive, weights)
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

/// Probability that a positive row scores above a negative one, both drawn by weight; ties count half.
///
/// # Source
/// Mann & Whitney 1947; the sum over pairs in one pass over the sorted scores.
fn rank_area(scores: &[f64], positive: &[bool], weights: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut negatives_below, mut positives, mut pairs) = (0.0, 0.0, 0.0);
    for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let weight_of = |wanted: bool| -> f64 {
            let of_kind = tied.iter().filter(|row| positive[**row] == wanted);
            of_kind.map(|row| weights[*row]).sum()
        };
        let (above, beside) = (weight_of(true), weight_of(false));
        pairs += above * (negatives_below + 0.5 * beside);
        negatives_below += beside;
        positives += above;
    }
    pairs / (positives * negatives_below)
}

fn regression(
    outputs: &[f32],
    values: &[f32],
    weights: &[f64],
    scale: f64,
) -> (Vec<(Metric, f64)>, f64) {
    let total: f64 = weights.iter().sum();
    let mean_of = |of_row: &dyn Fn(usize) -> f64| -> f64 {
        let weighted = weights.iter().enumerate();
        weighted
            .map(|(row, weight)| weight * of_row(row))
            .sum::<f64>()
            / total
    };
    let error = |row: usize| f64::from(outputs[row]) - f64::from(values[row]);
    let squared = mean_of(&|row| error(row).powi(2));
    let absolute = mean_of(&|row| error(row).abs());
    let mean = mean_of(&|row| f64::from(values[row]));
    let variance = mean_of(&|row| (f64::from(values[row]) - mean).powi(2));
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
        let area = rank_area(&scores, &positive, &[1.0; 5]);
        assert!((area - pairs / 6.0).abs() < 1e-12);
    }

    #[test]
    fn weights_count_rows_as_often_as_they_say() {
        let class_outputs = [0.2, -0.1, 1.5, 0.3, -0.4, 0.9, 0.6, 0.5];
        let ids = [0_u32, 1, 1, 0];
        let (value_outputs, values) = ([0.1, -0.5, 2.0, 0.7], [0.0, -1.0, 1.5, 1.0]);
        let times = [1, 3, 0, 2_usize];
        let repeated = |list: &[f32], width: usize| -> Vec<f32> {
            let rows = list.chunks_exact(width).zip(times);
            rows.flat_map(|(row, times)| row.repeat(times)).collect()
        };
        let weights = times.map(|times| times as f32 / 1.5);
        let classes = |ids: Vec<u32>| Targets::Classes { ids, count: 2 };
        let repeated_ids = ids
            .iter()
            .zip(times)
            .flat_map(|(id, times)| vec![*id; times])
            .collect();
        let pairs = [
            (
                evaluate_weighted(&class_outputs, &classes(ids.to_vec()), Some(&weights), 1.0),
                evaluate(&repeated(&class_outputs, 2), &classes(repeated_ids), 1.0),
            ),
            (
                evaluate_weighted(
                    &value_outputs,
                    &Targets::Values(values.to_vec()),
                    Some(&weights),
                    3.0,
                ),
                evaluate(
                    &repeated(&value_outputs, 1),
                    &Targets::Values(repeated(&values, 1)),
                    3.0,
                ),
            ),
        ];
        for (weighted, repeated) in pairs {
            assert_eq!(weighted.metrics.len(), repeated.metrics.len());
            for (metric, value) in &weighted.metrics {
                // Weights are rounded to `f32`.
                assert!((value - repeated.metrics[metric]).abs() < 1e-6, "{metric}");
            }
            assert!((weighted.loss - repeated.loss).abs() < 1e-6);
        }
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
    fn an_epoch_is_evaluated_like_all_but_for_the_area_of_many_classes() {
        let outputs = [
            0.2, -0.1, 0.9, 1.5, 0.3, -0.4, 0.9, 0.6, 0.5, -0.7, 2.0, 2.1,
        ];
        let of = |count: u32, metric| {
            let targets = Targets::Classes {
                ids: vec![0, 1, 1, 0],
                count,
            };
            let outputs = &outputs[..4 * count as usize];
            let whole = evaluate_weighted(outputs, &targets, None, 1.0);
            (whole, evaluate_epoch(outputs, &targets, None, 1.0, metric))
        };
        for (count, metric) in [(2, Metric::Accuracy), (2, Metric::Auc), (3, Metric::Auc)] {
            let (whole, epoch) = of(count, metric);
            assert_eq!(whole, epoch);
        }
        let (mut whole, epoch) = of(3, Metric::BalancedAccuracy);
        assert!(whole.metrics.remove(&Metric::Auc).is_some());
        assert_eq!(whole, epoch);
    }

    #[test]
    fn the_loss_alone_is_that_of_the_evaluation() {
        let outputs = [
            0.2, -0.1, 90.0, 1.5, 0.3, -0.4, 0.9, 0.6, 0.5, -0.7, 2.0, 2.0,
        ];
        let classes = Targets::Classes {
            ids: vec![0, 1, 1, 2],
            count: 3,
        };
        let values = Targets::Values(vec![0.0, -1.0, 1.5, 1.0]);
        for weights in [None, Some(&[0.5, 3.0, 0.0, 1.25][..])] {
            for (outputs, targets) in [(&outputs[..], &classes), (&outputs[..4], &values)] {
                let whole = evaluate_weighted(outputs, targets, weights, 3.0);
                assert_eq!(loss_weighted(outputs, targets, weights), whole.loss);
            }
        }
        assert_eq!(loss_weighted(&[], &Targets::None, None), 0.0);
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
