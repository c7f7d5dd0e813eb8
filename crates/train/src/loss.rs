//! Losses of a batch, and their gradients by the network's outputs.
//!
//! Means are PyTorch's: over rows, or weighted by the rows' class weights and divided by their sum.

use crate::{augment::Mix, recipe::Loss};

/// Targets of a batch.
#[derive(Clone, Copy, Debug)]
pub enum BatchTargets<'a> {
    /// A class per row.
    Classes(&'a [u32]),
    /// A standardised value per row.
    Values(&'a [f32]),
}

/// Loss of a batch; its gradient is written.
///
/// # Shapes
/// `outputs`, `gradient`: `[rows][outputs]`; `class_weights`: `[outputs]`, or empty if all are 1.
/// # Units
/// Natural logarithms, or squared (Huber: half squared) standard deviations; mean over rows.
/// # Cost
/// `O(rows · outputs)`.
pub(crate) fn loss_and_gradient(
    loss: Loss,
    outputs: &[f32],
    targets: BatchTargets<'_>,
    class_weights: &[f32],
    mix: Option<Mix>,
    gradient: &mut [f32],
) -> f64 {
    match (loss, targets) {
        (Loss::CrossEntropy { label_smoothing }, BatchTargets::Classes(ids)) => {
            let wanted = Wanted {
                ids,
                class_weights,
                smoothing: label_smoothing,
                mix,
            };
            wanted.cross_entropy(outputs, gradient)
        }
        (Loss::Huber { delta }, BatchTargets::Values(values)) => {
            each(outputs, values, mix, gradient, |error| {
                if error.abs() <= delta {
                    (0.5 * f64::from(error) * f64::from(error), error)
                } else {
                    let beyond =
                        f64::from(delta) * (f64::from(error.abs()) - 0.5 * f64::from(delta));
                    (beyond, delta * error.signum())
                }
            })
        }
        (_, BatchTargets::Values(values)) => each(outputs, values, mix, gradient, |error| {
            (f64::from(error) * f64::from(error), 2.0 * error)
        }),
        (_, BatchTargets::Classes(_)) => panic!("a loss of values was asked of classes"),
    }
}

fn each(
    outputs: &[f32],
    values: &[f32],
    mix: Option<Mix>,
    gradient: &mut [f32],
    of_error: impl Fn(f32) -> (f64, f32),
) -> f64 {
    let rows = values.len() as f32;
    let next = values.iter().cycle().skip(1);
    let mut sum = 0.0;
    for (((output, value), next), gradient) in outputs.iter().zip(values).zip(next).zip(gradient) {
        let value = match mix {
            Some(Mix { share }) => share * value + (1.0 - share) * next,
            None => *value,
        };
        let (loss, slope) = of_error(output - value);
        sum += loss;
        *gradient = slope / rows;
    }
    sum / f64::from(rows)
}

/// What a classifier shall say. With smoothing `s` and `K` classes the wanted distribution of a row is
/// `(1 − s)·right + s/K`; of mixed rows it is as mixed.
struct Wanted<'a> {
    ids: &'a [u32],
    class_weights: &'a [f32],
    smoothing: f32,
    mix: Option<Mix>,
}

impl Wanted<'_> {
    fn weight(&self, class: usize) -> f32 {
        self.class_weights.get(class).copied().unwrap_or(1.0)
    }

    /// The right classes of a row and the share of each.
    fn right(&self, row: usize) -> [(usize, f32); 2] {
        let id = |row: usize| self.ids[row % self.ids.len()] as usize;
        match self.mix {
            Some(Mix { share }) => [(id(row), share), (id(row + 1), 1.0 - share)],
            None => [(id(row), 1.0), (id(row), 0.0)],
        }
    }

    fn cross_entropy(&self, outputs: &[f32], gradient: &mut [f32]) -> f64 {
        let classes = outputs.len() / self.ids.len();
        let total: f64 = self
            .ids
            .iter()
            .map(|id| f64::from(self.weight(*id as usize)))
            .sum();
        let rows = outputs
            .chunks_exact(classes)
            .zip(gradient.chunks_exact_mut(classes));
        let losses = rows
            .enumerate()
            .map(|(row, (logits, gradient))| self.row(row, logits, gradient, total));
        losses.sum::<f64>() / total
    }

    fn row(&self, row: usize, logits: &[f32], gradient: &mut [f32], total: f64) -> f64 {
        let spread = self.smoothing / logits.len() as f32;
        let log_sum = softmax_into(logits, gradient);
        let (mut sum, mut mass) = (0.0, 0.0);
        let right = self.right(row);
        for (class, share) in right {
            let weight = (1.0 - self.smoothing) * share * self.weight(class);
            sum += f64::from(weight) * (log_sum - f64::from(logits[class]));
            mass += weight;
        }
        if spread > 0.0 {
            for (class, logit) in logits.iter().enumerate() {
                let share = spread * self.weight(class);
                mass += share;
                sum += f64::from(share) * (log_sum - f64::from(*logit));
            }
        }
        for (class, slope) in gradient.iter_mut().enumerate() {
            let mut wanted = spread * self.weight(class);
            for (right, share) in right {
                if class == right {
                    wanted += (1.0 - self.smoothing) * share * self.weight(right);
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

/// Weights that make every class count the same: `rows / (classes · rows of the class)`.
pub(crate) fn balanced_weights(ids: &[u32], classes: u32) -> Vec<f32> {
    let mut counts = vec![0_usize; classes as usize];
    ids.iter().for_each(|id| counts[*id as usize] += 1);
    let weight = |count: &usize| {
        if *count == 0 {
            0.0
        } else {
            ids.len() as f32 / (counts.len() * count) as f32
        }
    };
    counts.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_gradient(loss: Loss, targets: BatchTargets<'_>, outputs: &[f32], weights: &[f32]) {
        for mix in [None, Some(Mix { share: 0.7 })] {
            check_slopes(loss, targets, outputs, weights, mix);
        }
    }

    fn check_slopes(
        loss: Loss,
        targets: BatchTargets<'_>,
        outputs: &[f32],
        weights: &[f32],
        mix: Option<Mix>,
    ) {
        let mut gradient = vec![0.0; outputs.len()];
        loss_and_gradient(loss, outputs, targets, weights, mix, &mut gradient);
        for index in 0..outputs.len() {
            let at = |shift: f32| {
                let mut moved = outputs.to_vec();
                moved[index] += shift;
                let mut unused = vec![0.0; outputs.len()];
                loss_and_gradient(loss, &moved, targets, weights, mix, &mut unused)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            let error = (slope - f64::from(gradient[index])).abs();
            assert!(
                error < 2e-4,
                "{loss:?} at {index}: {slope} and {}",
                gradient[index]
            );
        }
    }

    #[test]
    fn gradients_are_the_slopes_of_the_losses() {
        let outputs = [0.3, -1.2, 2.0, 0.7, 0.1, -0.4];
        let ids = BatchTargets::Classes(&[2, 0]);
        check_gradient(
            Loss::CrossEntropy {
                label_smoothing: 0.0,
            },
            ids,
            &outputs,
            &[],
        );
        check_gradient(
            Loss::CrossEntropy {
                label_smoothing: 0.2,
            },
            ids,
            &outputs,
            &[],
        );
        let weights = [0.5, 2.0, 1.5];
        check_gradient(
            Loss::CrossEntropy {
                label_smoothing: 0.1,
            },
            ids,
            &outputs,
            &weights,
        );
        let values = BatchTargets::Values(&[0.0, 0.2, -0.5, 0.6, 3.0, 0.0]);
        check_gradient(Loss::SquaredError, values, &outputs, &[]);
        check_gradient(Loss::Huber { delta: 1.0 }, values, &outputs, &[]);
    }

    #[test]
    fn a_mixed_row_costs_the_mean_of_both_targets() {
        let (outputs, ids) = ([0.3, -1.2, 2.0, 0.7, 0.1, -0.4], [2, 0]);
        let loss = Loss::CrossEntropy {
            label_smoothing: 0.1,
        };
        let cost = |ids: &[u32], mix| {
            let targets = BatchTargets::Classes(ids);
            loss_and_gradient(loss, &outputs, targets, &[], mix, &mut [0.0; 6])
        };
        let expected = 0.7 * cost(&ids, None) + 0.3 * cost(&[0, 2], None);
        let mixed = cost(&ids, Some(Mix { share: 0.7 }));
        assert!((mixed - expected).abs() < 1e-6, "{mixed}, not {expected}");
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
            &[],
            None,
            &mut gradient,
        );
        assert!((cost - 4.0_f64.ln()).abs() < 1e-6, "{cost}");
    }
}
