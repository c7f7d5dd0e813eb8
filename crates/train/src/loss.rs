//! Losses of a batch, and their gradients by the network's outputs.
//!
//! Means are PyTorch's: over rows, or weighted by the rows' class weights and divided by their sum; a
//! row's own weight multiplies that of its class.

use crate::{augment::Mix, recipe::Loss};

/// Targets of a batch.
#[derive(Clone, Copy, Debug)]
pub enum BatchTargets<'a> {
    /// A class per row.
    Classes(&'a [u32]),
    /// A standardised value per row.
    Values(&'a [f32]),
}

/// How much classes and rows count; empty if all count the same.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weighting<'a> {
    /// One weight per class.
    pub(crate) classes: &'a [f32],
    /// One weight per row of the batch.
    pub(crate) rows: &'a [f32],
}

impl Weighting<'_> {
    fn of_row(&self, row: usize) -> f32 {
        match self.rows {
            [] => 1.0,
            rows => rows[row],
        }
    }

    fn of_class(&self, class: usize) -> f32 {
        self.classes.get(class).copied().unwrap_or(1.0)
    }
}

/// Loss of a batch; its gradient is written. A batch in which nothing counts has neither.
///
/// # Shapes
/// `outputs`, `gradient`: `[rows][outputs]`; weights of classes: `[outputs]`, of rows: `[rows]`.
/// # Units
/// Natural logarithms, or squared (Huber: half squared) standard deviations; mean over rows.
/// # Cost
/// `O(rows · outputs)`.
pub(crate) fn loss_and_gradient(
    loss: Loss,
    outputs: &[f32],
    targets: BatchTargets<'_>,
    weighting: Weighting<'_>,
    mix: Option<Mix>,
    gradient: &mut [f32],
) -> f64 {
    match (loss, targets) {
        (Loss::CrossEntropy { label_smoothing }, BatchTargets::Classes(ids)) => {
            let wanted = Wanted {
                ids,
                weighting,
                smoothing: label_smoothing,
                mix,
            };
            wanted.cross_entropy(outputs, gradient)
        }
        (Loss::Huber { delta }, BatchTargets::Values(values)) => {
            each(outputs, values, weighting, mix, gradient, |error| {
                if error.abs() <= delta {
                    (0.5 * f64::from(error) * f64::from(error), error)
                } else {
                    let beyond =
                        f64::from(delta) * (f64::from(error.abs()) - 0.5 * f64::from(delta));
                    (beyond, delta * error.signum())
                }
            })
        }
        (_, BatchTargets::Values(values)) => {
            each(outputs, values, weighting, mix, gradient, |error| {
                (f64::from(error) * f64::from(error), 2.0 * error)
            })
        }
        (_, BatchTargets::Classes(_)) => panic!("a loss of values was asked of classes"),
    }
}

fn each(
    outputs: &[f32],
    values: &[f32],
    weighting: Weighting<'_>,
    mix: Option<Mix>,
    gradient: &mut [f32],
    of_error: impl Fn(f32) -> (f64, f32),
) -> f64 {
    let weight = |row: usize| weighting.of_row(row);
    let total: f32 = (0..values.len()).map(weight).sum();
    if total <= 0.0 {
        gradient.fill(0.0);
        return 0.0;
    }
    let mut sum = 0.0;
    for (row, (output, gradient)) in outputs.iter().zip(gradient).enumerate() {
        let next = (row + 1) % values.len();
        let (value, weight) = match mix {
            // Each says as much as it counts, so that a row of weight 0 says nothing.
            Some(Mix { share }) => {
                let (own, other) = (share * weight(row), (1.0 - share) * weight(next));
                let told = own * values[row] + other * values[next];
                let sum = own + other;
                (if sum > 0.0 { told / sum } else { 0.0 }, sum)
            }
            None => (values[row], weight(row)),
        };
        let (loss, slope) = of_error(output - value);
        sum += f64::from(weight) * loss;
        *gradient = weight * slope / total;
    }
    sum / f64::from(total)
}

/// What a classifier shall say. With smoothing `s` and `K` classes the wanted distribution of a row is
/// `(1 − s)·right + s/K`; of mixed rows it is as mixed.
struct Wanted<'a> {
    ids: &'a [u32],
    weighting: Weighting<'a>,
    smoothing: f32,
    mix: Option<Mix>,
}

impl Wanted<'_> {
    /// The rows that one is mixed of, and the share of each.
    fn parts(&self, row: usize) -> [(usize, f32); 2] {
        let next = (row + 1) % self.ids.len();
        match self.mix {
            Some(Mix { share }) => [(row, share), (next, 1.0 - share)],
            None => [(row, 1.0), (next, 0.0)],
        }
    }

    /// The right classes of a row, and how much each counts.
    fn right(&self, row: usize) -> [(usize, f32); 2] {
        self.parts(row).map(|(row, share)| {
            let class = self.ids[row] as usize;
            let weight = self.weighting.of_class(class) * self.weighting.of_row(row);
            (class, share * weight)
        })
    }

    fn cross_entropy(&self, outputs: &[f32], gradient: &mut [f32]) -> f64 {
        let classes = outputs.len() / self.ids.len();
        let weight = |(row, id): (usize, &u32)| {
            let of_class = self.weighting.of_class(*id as usize);
            f64::from(of_class * self.weighting.of_row(row))
        };
        let total: f64 = self.ids.iter().enumerate().map(weight).sum();
        if total <= 0.0 {
            gradient.fill(0.0);
            return 0.0;
        }
        let rows = outputs
            .chunks_exact(classes)
            .zip(gradient.chunks_exact_mut(classes));
        let losses = rows
            .enumerate()
            .map(|(row, (logits, gradient))| self.row(row, logits, gradient, total));
        losses.sum::<f64>() / total
    }

    fn row(&self, row: usize, logits: &[f32], gradient: &mut [f32], total: f64) -> f64 {
        let shares = self
            .parts(row)
            .map(|(row, share)| share * self.weighting.of_row(row));
        let spread = self.smoothing / logits.len() as f32 * (shares[0] + shares[1]);
        let log_sum = softmax_into(logits, gradient);
        let (mut sum, mut mass) = (0.0, 0.0);
        let right = self.right(row);
        for (class, share) in right {
            let weight = (1.0 - self.smoothing) * share;
            sum += f64::from(weight) * (log_sum - f64::from(logits[class]));
            mass += weight;
        }
        if spread > 0.0 {
            for (class, logit) in logits.iter().enumerate() {
                let share = spread * self.weighting.of_class(class);
                mass += share;
                sum += f64::from(share) * (log_sum - f64::from(*logit));
            }
        }
        for (class, slope) in gradient.iter_mut().enumerate() {
            let mut wanted = spread * self.weighting.of_class(class);
            for (right, share) in right {
                if class == right {
                    wanted += (1.0 - self.smoothing) * share;
                }
            }
            *slope = (f64::from(*slope * mass - wanted) / total) as f32;
        }
        sum
    }
}

/// Probabilities into `out`; returns the logarithm of the sum of exponentials.
fn softmax_into(logits: &[f32], out: &mut [f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0_f32;
    for (out, logit) in out.iter_mut().zip(logits) {
        *out = (logit - largest).exp();
        sum += *out;
    }
    out.iter_mut().for_each(|out| *out /= sum);
    f64::from(largest) + f64::from(sum).ln()
}

/// A class weighs at most so many times as much as another: a few rows that were learned by heart say nothing
/// of others.
pub const WEIGHT_RATIO_MAX: f32 = 10.0;

/// Weights that make every class count the same, `rows / (classes · rows of the class)`, as far as no row
/// outweighs another more than [`WEIGHT_RATIO_MAX`] times.
///
/// # Shapes
/// `ids: [rows]`, each below `classes`; `rows: [rows]`, the weights of the rows, or empty; returns
/// `[classes]`, 0 for a class without rows that weigh something.
/// # Units
/// Relative; the mean over rows is about 1.
/// # Errors
/// None.
/// # Cost
/// `O(rows)`.
pub fn balanced_weights(ids: &[u32], rows: &[f32], classes: u32) -> Vec<f32> {
    let mut counts = vec![0.0_f64; classes as usize];
    for (row, id) in ids.iter().enumerate() {
        counts[*id as usize] += rows.get(row).map_or(1.0, |weight| f64::from(*weight));
    }
    let total: f64 = counts.iter().sum();
    let weight = |count: &f64| {
        if *count == 0.0 {
            0.0
        } else {
            (total / (counts.len() as f64 * count)) as f32
        }
    };
    let weights: Vec<f32> = counts.iter().map(weight).collect();
    let least = weights
        .iter()
        .copied()
        .filter(|weight| *weight > 0.0)
        .fold(f32::INFINITY, f32::min);
    weights
        .iter()
        .map(|weight| weight.min(WEIGHT_RATIO_MAX * least))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_classes_count_the_same_unless_a_row_would_outweigh_ten() {
        let ids: Vec<u32> = (0..40).map(|row| u32::from(row % 4 == 0)).collect();
        assert_eq!(balanced_weights(&ids, &[], 2), [40.0 / 60.0, 2.0]);
        let rare: Vec<u32> = (0..100).map(|row| u32::from(row == 0)).collect();
        let weights = balanced_weights(&rare, &[], 3);
        assert!((weights[1] / weights[0] - 10.0).abs() < 1e-5, "{weights:?}");
        assert_eq!(weights[2], 0.0, "a class without rows has no weight");
        // Rows of weight 3 count as three rows, those of weight 0 as none.
        let weighed = balanced_weights(&[0, 1, 1, 0], &[3.0, 1.0, 0.0, 0.0], 2);
        assert_eq!(weighed, balanced_weights(&[0, 0, 0, 1], &[], 2));
    }

    fn check_gradient(
        loss: Loss,
        targets: BatchTargets<'_>,
        outputs: &[f32],
        weighting: Weighting<'_>,
    ) {
        for mix in [None, Some(Mix { share: 0.7 })] {
            let of = |outputs: &[f32], gradient: &mut [f32]| {
                loss_and_gradient(loss, outputs, targets, weighting, mix, gradient)
            };
            check_slopes(&of, outputs);
        }
    }

    fn check_slopes(of: &dyn Fn(&[f32], &mut [f32]) -> f64, outputs: &[f32]) {
        let mut gradient = vec![0.0; outputs.len()];
        of(outputs, &mut gradient);
        for index in 0..outputs.len() {
            let at = |shift: f32| {
                let mut moved = outputs.to_vec();
                moved[index] += shift;
                of(&moved, &mut vec![0.0; outputs.len()])
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            let error = (slope - f64::from(gradient[index])).abs();
            assert!(error < 2e-4, "{index}: {slope} and {}", gradient[index]);
        }
    }

    fn smoothed(label_smoothing: f32) -> Loss {
        Loss::CrossEntropy { label_smoothing }
    }

    #[test]
    fn gradients_are_the_slopes_of_the_losses() {
        let outputs = [0.3, -1.2, 2.0, 0.7, 0.1, -0.4];
        let ids = BatchTargets::Classes(&[2, 0]);
        let equal = Weighting::default();
        check_gradient(smoothed(0.0), ids, &outputs, equal);
        check_gradient(smoothed(0.2), ids, &outputs, equal);
        let weighting = Weighting {
            classes: &[0.5, 2.0, 1.5],
            rows: &[0.3, 1.9],
        };
        check_gradient(smoothed(0.1), ids, &outputs, weighting);
        let values = BatchTargets::Values(&[0.0, 0.2, -0.5, 0.6, 3.0, 0.0]);
        check_gradient(Loss::SquaredError, values, &outputs, equal);
        check_gradient(Loss::Huber { delta: 1.0 }, values, &outputs, equal);
        let weighting = Weighting {
            classes: &[],
            rows: &[0.5, 1.0, 2.0, 0.0, 1.5, 1.0],
        };
        check_gradient(Loss::Huber { delta: 1.0 }, values, &outputs, weighting);
    }

    #[test]
    fn a_row_of_weight_two_counts_like_two_rows_and_one_of_weight_nothing_not_at_all() {
        let (a, b, c) = ([0.3, -1.2], [2.0, 0.7], [-3.0, 1.0]);
        let cost = |outputs: &[f32], targets: BatchTargets<'_>, rows: &[f32]| {
            let weighting = Weighting {
                classes: &[0.5, 2.0],
                rows,
            };
            let loss = match targets {
                BatchTargets::Classes(_) => smoothed(0.1),
                BatchTargets::Values(_) => Loss::SquaredError,
            };
            loss_and_gradient(
                loss,
                outputs,
                targets,
                weighting,
                None,
                &mut vec![0.0; outputs.len()],
            )
        };
        let twice = cost(&[a, b, b].concat(), BatchTargets::Classes(&[1, 0, 0]), &[]);
        let weighed = BatchTargets::Classes(&[1, 0, 1]);
        let weighed = cost(&[a, b, c].concat(), weighed, &[1.0, 2.0, 0.0]);
        assert!((twice - weighed).abs() < 1e-6, "{twice} and {weighed}");
        let twice = cost(
            &[0.3, 2.0, 2.0],
            BatchTargets::Values(&[1.0, 0.0, 0.0]),
            &[],
        );
        let values = BatchTargets::Values(&[1.0, 0.0, 9.0]);
        let weighed = cost(&[0.3, 2.0, 7.0], values, &[1.0, 2.0, 0.0]);
        assert!((twice - weighed).abs() < 1e-6, "{twice} and {weighed}");
        assert_eq!(
            cost(&[0.3, 2.0], BatchTargets::Values(&[1.0, 0.0]), &[0.0; 2]),
            0.0
        );
    }

    #[test]
    fn a_mixed_row_costs_the_mean_of_both_targets() {
        let (outputs, ids) = ([0.3, -1.2, 2.0, 0.7, 0.1, -0.4], [2, 0]);
        let loss = Loss::CrossEntropy {
            label_smoothing: 0.1,
        };
        let cost = |ids: &[u32], mix| {
            let targets = BatchTargets::Classes(ids);
            let equal = Weighting::default();
            loss_and_gradient(loss, &outputs, targets, equal, mix, &mut [0.0; 6])
        };
        let expected = 0.7 * cost(&ids, None) + 0.3 * cost(&[0, 2], None);
        let mixed = cost(&ids, Some(Mix { share: 0.7 }));
        assert!((mixed - expected).abs() < 1e-6, "{mixed}, not {expected}");
    }

    #[test]
    fn mixed_values_are_told_by_each_row_as_much_as_it_counts() {
        let cost = |values: &[f32], rows: &[f32]| {
            let targets = BatchTargets::Values(values);
            let weighting = Weighting { classes: &[], rows };
            let mix = Some(Mix { share: 0.5 });
            let mut gradient = [0.0; 2];
            let outputs = [0.0, 0.5];
            loss_and_gradient(
                Loss::SquaredError,
                &outputs,
                targets,
                weighting,
                mix,
                &mut gradient,
            )
        };
        // Both rows are (3·1 + 1·5)/4 = 2.
        assert_eq!(cost(&[1.0, 5.0], &[3.0, 1.0]), (4.0 + 2.25) / 2.0);
        // The same where both count the same: the mean.
        assert_eq!(cost(&[1.0, 5.0], &[]), (9.0 + 6.25) / 2.0);
        let of_second = |value| cost(&[1.0, value], &[2.0, 0.0]);
        assert_eq!(of_second(5.0), of_second(-70.0));
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_number_of_classes() {
        let mut gradient = [0.0; 4];
        let loss = Loss::CrossEntropy {
            label_smoothing: 0.1,
        };
        let cost = loss_and_gradient(
            loss,
            &[1.0; 4],
            BatchTargets::Classes(&[3]),
            Weighting::default(),
            None,
            &mut gradient,
        );
        assert!((cost - 4.0_f64.ln()).abs() < 1e-6, "{cost}");
    }
}
