//! Losses from their definitions.

use crate::{loss::BatchTargets, recipe::Loss};

/// Mean loss of a batch; all classes weigh the same.
///
/// # Shapes
/// `outputs: [rows][outputs]`.
/// # Units
/// Natural logarithms, or squared (Huber: half squared) units of the target.
/// # Panics
/// If the loss is not one for these targets.
pub fn loss(loss: Loss, outputs: &[Vec<f64>], targets: BatchTargets<'_>) -> f64 {
    let rows = outputs.len() as f64;
    match (loss, targets) {
        (Loss::CrossEntropy { label_smoothing }, BatchTargets::Classes(ids)) => {
            let smoothing = f64::from(label_smoothing);
            let of_row =
                |(logits, id): (&Vec<f64>, &u32)| cross_entropy(logits, *id as usize, smoothing);
            outputs.iter().zip(ids).map(of_row).sum::<f64>() / rows
        }
        (Loss::SquaredError, BatchTargets::Values(values)) => {
            let of_row =
                |(output, value): (&Vec<f64>, &f32)| (output[0] - f64::from(*value)).powi(2);
            outputs.iter().zip(values).map(of_row).sum::<f64>() / rows
        }
        (Loss::Huber { delta }, BatchTargets::Values(values)) => {
            let of_row = |(output, value): (&Vec<f64>, &f32)| {
                huber(output[0] - f64::from(*value), f64::from(delta))
            };
            outputs.iter().zip(values).map(of_row).sum::<f64>() / rows
        }
        (loss, targets) => panic!("{loss:?} is no loss for {targets:?}"),
    }
}

/// Distance of the softmax of the logits to `(1 − s)·right + s/K`.
fn cross_entropy(logits: &[f64], right: usize, smoothing: f64) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let mut distance = 0.0;
    for (class, logit) in logits.iter().enumerate() {
        let mut wanted = smoothing / logits.len() as f64;
        if class == right {
            wanted += 1.0 - smoothing;
        }
        distance -= wanted * (logit - largest - sum.ln());
    }
    distance
}

fn huber(error: f64, delta: f64) -> f64 {
    if error.abs() <= delta {
        0.5 * error * error
    } else {
        delta * (error.abs() - 0.5 * delta)
    }
}
