//! The engine as a whole: memory as promised, threads agree, partial batches are whole.

use std::num::NonZeroU8;

use morph::Architecture;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{pass::Purpose, recipe::Precision, threads::Threads};

/// One of everything.
const EVERYTHING: &str = "in 3x9x9 | conv 8 k3 | bn | a: relu | conv 8 k1 | bn | relu | conv 8 k3 \
                          | b: bn | c: add a b | relu | dwconv k3 | d: ln | e: conv 4 k5 (c) \
                          | cat d e | gelu | maxpool k2 | avgpool k3 s2 | conv 12 k3 s2 | relu \
                          | dropout 0.3 | flatten | dense 20 | relu | dense 5";

fn network(text: &str, batch: usize, threads: u8, purpose: Purpose) -> Network {
    let architecture: Architecture = text.parse().unwrap();
    let weights = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(1));
    let threads = Threads::new(NonZeroU8::new(threads).unwrap());
    let batch = NonZeroUsize::new(batch).unwrap();
    Network::new(
        Plan::compile(&architecture, batch, threads, purpose).unwrap(),
        weights,
    )
}

fn inputs(count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn close(one: &[f32], other: &[f32], tolerance: f32) -> bool {
    let difference = |(a, b): (&f32, &f32)| (a - b).powi(2);
    let distance: f32 = one.iter().zip(other).map(difference).sum::<f32>().sqrt();
    let size: f32 = other.iter().map(|value| value * value).sum::<f32>().sqrt();
    distance <= tolerance * size + 1e-6
}

#[test]
fn a_network_takes_the_memory_that_its_plan_promised() {
    for purpose in [Purpose::Train, Purpose::Infer] {
        for threads in [1, 2] {
            let network = network(EVERYTHING, 16, threads, purpose);
            assert_eq!(network.arena.bytes(), network.plan.memory_bytes());
        }
    }
}

#[test]
fn inference_takes_less_memory_than_training() {
    // Enough rows that activations outweigh the scratch of convolutions, which both need.
    let bytes = |purpose| network(EVERYTHING, 1024, 1, purpose).plan.memory_bytes();
    assert!(3 * bytes(Purpose::Infer) < bytes(Purpose::Train));
}

#[test]
fn plans_for_training_and_inference_put_out_the_same_bits() {
    let inputs = inputs(7 * 243);
    let mut train = network(EVERYTHING, 16, 1, Purpose::Train);
    let mut infer = network(EVERYTHING, 16, 1, Purpose::Infer);
    for mode in [Mode::Eval, Mode::BatchStatistics] {
        assert_eq!(train.forward(&inputs, mode), infer.forward(&inputs, mode));
    }
}

#[test]
fn rounded_products_change_gradients_little_and_what_a_network_says_not_at_all() {
    // Without rectifiers, which would switch where a sum is near 0.
    const NETWORK: &str = "in 4x16 | conv 32 k1 | bn | gelu | attention 2 | gelu | flatten \
                           | dense 40 | gelu | dense 5";
    let inputs = inputs(7 * 64);
    let targets = BatchTargets::Classes(&[0, 1, 2, 3, 4, 0, 1]);
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.0,
    };
    let with = |precision| {
        let network = network(NETWORK, 8, 1, Purpose::Train);
        let weights = network.weights();
        Network::new(network.plan.with_precision(precision), weights)
    };
    let (mut full, mut rounded) = (with(Precision::F32), with(Precision::Bf16));
    let said = full.forward(&inputs, Mode::Eval).to_vec();
    assert_eq!(said, rounded.forward(&inputs, Mode::Eval));
    let mode = Mode::BatchStatistics;
    let (_, expected) = full.gradients(&inputs, targets, loss, mode);
    let (_, found) = rounded.gradients(&inputs, targets, loss, mode);
    // Tensors whose gradient is 0 but for rounding have nothing to compare.
    let told = |tensor: &Tensor| tensor.values.iter().any(|value| value.abs() > 1e-4);
    let mut differ = false;
    for (name, tensor) in expected.iter().filter(|(_, tensor)| told(tensor)) {
        let values = &found[name].values;
        assert!(close(values, &tensor.values, 0.015), "{name}");
        differ |= *values != tensor.values;
    }
    assert_eq!(
        differ,
        crate::kernel::rounds_natively(),
        "where the CPU can, factors are rounded"
    );
}

#[test]
fn threads_agree_on_outputs_and_gradients_up_to_rounding() {
    let inputs = inputs(7 * 243);
    let targets = BatchTargets::Classes(&[0, 1, 2, 3, 4, 0, 1]);
    let loss = Loss::CrossEntropy {
        label_smoothing: 0.1,
    };
    // More threads than rows, too: some have nothing to do.
    for threads in [2, 3, 9] {
        // Both from the start: training passes move the running statistics.
        let mut alone = network(EVERYTHING, 16, 1, Purpose::Train);
        let mut together = network(EVERYTHING, 16, threads, Purpose::Train);
        for mode in [Mode::Eval, Mode::BatchStatistics, Mode::Train { seed: 4 }] {
            let expected = alone.forward(&inputs, mode).to_vec();
            assert!(
                close(together.forward(&inputs, mode), &expected, 1e-5),
                "{mode:?}"
            );
            let (one_loss, one) = alone.gradients(&inputs, targets, loss, mode);
            let (other_loss, other) = together.gradients(&inputs, targets, loss, mode);
            assert!((one_loss - other_loss).abs() < 1e-5);
            let whole: Vec<f32> = one.values().flat_map(|t| t.values.clone()).collect();
            let found: Vec<f32> = other.values().flat_map(|t| t.values.clone()).collect();
            assert!(close(&found, &whole, 1e-4), "{threads} threads, {mode:?}");
        }
    }
}

#[test]
fn rows_of_a_partial_batch_do_not_depend_on_the_batch_size() {
    let inputs = inputs(5 * 243);
    let small = network(EVERYTHING, 5, 1, Purpose::Infer)
        .forward(&inputs, Mode::Eval)
        .to_vec();
    let mut large = network(EVERYTHING, 64, 1, Purpose::Infer);
    assert!(close(large.forward(&inputs, Mode::Eval), &small, 1e-6));
    let last = large.forward(&inputs[4 * 243..], Mode::Eval).to_vec();
    assert!(close(&last, &small[4 * 5..], 1e-5));
}

#[test]
fn only_training_moves_running_statistics() {
    let mut network = network("in 4 | bn | dense 2", 8, 1, Purpose::Train);
    let before = network.weights();
    let inputs = inputs(32);
    network.forward(&inputs, Mode::Eval);
    network.forward(&inputs, Mode::BatchStatistics);
    assert_eq!(network.weights(), before);
    network.forward(&inputs, Mode::Train { seed: 0 });
    let after = network.weights();
    let column: Vec<f64> = inputs.iter().step_by(4).map(|x| f64::from(*x)).collect();
    let mean = column.iter().sum::<f64>() / 8.0;
    let unbiased = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 7.0;
    let value = |name: &str| f64::from(after.tensor(name).unwrap().values[0]);
    assert!((value("1.mean") - 0.1 * mean).abs() < 1e-6);
    assert!((value("1.variance") - (0.9 + 0.1 * unbiased)).abs() < 1e-6);
}

#[test]
fn dropout_drops_in_training_only_and_by_its_seed() {
    let mut network = network("in 64 | dropout 0.5 | dense 2", 4, 1, Purpose::Train);
    let inputs = inputs(256);
    let mut outputs = |mode| network.forward(&inputs, mode).to_vec();
    let one = outputs(Mode::Train { seed: 1 });
    assert_eq!(one, outputs(Mode::Train { seed: 1 }));
    assert_ne!(one, outputs(Mode::Train { seed: 2 }));
    assert_eq!(outputs(Mode::Eval), outputs(Mode::BatchStatistics));
}
