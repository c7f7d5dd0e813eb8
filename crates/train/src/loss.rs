//! Losses of a batch, and their gradients by the network's outputs.
//!
//! Means are PyTorch's: over rows, or weighted by the rows' class weights and divided by their sum.

use crate::recipe::Loss;

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
    gradient: &mut [f32],
) -> f64 {
    match (loss, targets) {
        (Loss::CrossEntropy { label_smoothing }, BatchTargets::Classes(ids)) => {
            cross_entropy(outputs, ids, class_weights, label_smoothing, gradient)
        }
        (Loss::Huber { delta }, BatchTargets::Values(values)) => {
            each(outputs, values, gradient, |error| {
                if error.abs() <= delta {
                    (0.5 * f64::from(error) * f64::from(error), error)
                } else {
                    let beyond =
                        f64::from(delta) * (f64::from(error.abs()) - 0.5 * f64::from(delta));
                    (beyond, delta * error.signum())
                }
            })
        }
        (_, BatchTargets::Values(values)) => each(outputs, values, gradient, |error| {
            (f64::from(error) * f64::from(error), 2.0 * error)
        }),
        (_, BatchTargets::Classes(_)) => panic!("a loss of values was asked of classes"),
    }
}

fn each(
    outputs: &[f32],
    values: &[f32],
    gradient: &mut [f32],
    of_error: impl Fn(f32) -> (f64, f32),
) -> f64 {
    let rows = values.len() as f32;
    let mut sum = 0.0;
    for ((output, value), gradient) in outputs.iter().zip(values).zip(gradient) {
        let (loss, slope) = of_error(output - value);
        sum += loss;
        *gradient = slope / rows;
    }
    sum / f64::from(rows)
}

/// With smoothing `s` and `K` classes the wanted distribution is `(1 − s)·right + s/K`.
fn cross_entropy(
    outputs: &[f32],
    ids: &[u32],
    class_weights: &[f32],
    smoothing: f32,
    gradient: &mut [f32],
) -> f64 {
    let classes = outputs.len() / ids.len();
    let weight = |class: usize| class_weights.get(class).copied().unwrap_or(1.0);
    let total: f64 = ids.iter().map(|id| f64::from(weight(*id as usize))).sum();
    let spread = smoothing / classes as f32;
    let mut sum = 0.0;
    let rows = outputs
        .chunks_exact(classes)
        .zip(gradient.chunks_exact_mut(classes));
    for ((logits, gradient), id) in rows.zip(ids) {
        let log_sum = softmax_into(logits, gradient);
        let right = *id as usize;
        sum += f64::from(1.0 - smoothing)
            * f64::from(weight(right))
            * (log_sum - f64::from(logits[right]));
        let mut weights_of_spread = 0.0;
        for (class, logit) in logits.iter().enumerate() {
            if spread > 0.0 {
                let share = spread * weight(class);
                weights_of_spread += share;
                sum += f64::from(share) * (log_sum - f64::from(*logit));
            }
        }
        let mass = (1.0 - smoothing) * weight(right) + weights_of_spread;
        for (class, slope) in gradient.iter_mut().enumerate() {
            let mut wanted = spread * weight(class);
            if class == right {
                wanted += (1.0 - smoothing) * weight(right);
            }
            *slope = ((f64::from(*slope * mass - wanted)) / total) as f32;
        }
    }
    sum / total
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
        let mut gradient = vec![0.0; outputs.len()];
        loss_and_gradient(loss, outputs, targets, weights, &mut gradient);
        for index in 0..outputs.len() {
            let at = |shift: f32| {
                let mut moved = outputs.to_vec();
                moved[index] += shift;
                let mut unused = vec![0.0; outputs.len()];
                loss_and_gradient(loss, &moved, targets, weights, &mut unused)
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
            &mut gradient,
        );
        assert!((cost - 4.0_f64.ln()).abs() < 1e-6, "{cost}");
    }
}
