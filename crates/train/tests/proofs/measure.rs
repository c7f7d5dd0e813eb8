//! Running a network in the engine, and how far two results are apart.

use std::num::NonZeroUsize;

use morph::Architecture;
use train::{Mode, Network, Plan, Purpose, Threads, Weights};

/// ‖found − expected‖ / ‖expected‖.
pub(crate) fn relative_distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(
        found.len(),
        expected.len(),
        "what is compared has one length"
    );
    let difference: Vec<f64> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
    norm(&difference) / norm(expected)
}

pub(crate) fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

pub(crate) fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

/// One row after the other, as the engine takes them.
pub(crate) fn floats(rows: &[Vec<f64>]) -> Vec<f32> {
    rows.iter().flatten().map(|value| *value as f32).collect()
}

/// A network in the engine, for batches of up to `rows`.
pub(crate) fn network(
    architecture: &Architecture,
    weights: Weights,
    rows: usize,
    purpose: Purpose,
) -> Network {
    let batch = NonZeroUsize::new(rows).unwrap();
    let plan = Plan::compile(architecture, batch, Threads::ONE, purpose).unwrap();
    Network::new(plan, weights)
}

/// What the engine says of a batch, in evaluation and with the statistics of the batch.
pub(crate) fn engine_outputs(
    architecture: &Architecture,
    weights: Weights,
    batch: &[Vec<f64>],
) -> [Vec<f64>; 2] {
    let mut network = network(architecture, weights, batch.len(), Purpose::Infer);
    let inputs = floats(batch);
    [Mode::Eval, Mode::BatchStatistics].map(|mode| doubles(network.forward(&inputs, mode)))
}
