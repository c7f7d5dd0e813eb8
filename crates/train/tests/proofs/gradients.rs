//! Gradients of the engine against central differences of the interpreter, one tiny network for every
//! kind of layer, for every loss, for branches and for joins.

use std::collections::BTreeMap;

use morph::Architecture;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use train::{
    BatchTargets, Loss, Mode, Purpose, Tensor,
    reference::{ReferenceWeights, Statistics, forward, loss},
};

use crate::measure::{doubles, floats, network, norm, relative_distance};

/// ‖engine − differences‖ / ‖differences‖, per tensor.
const TOLERANCE: f64 = 1e-5;

/// Tensors whose gradient is this much smaller than the whole are zero but for rounding (a bias before
/// a batch norm): they are measured against the whole gradient.
const ZERO_SHARE: f64 = 1e-7;

/// Step of the differences: their error is its square, and rounding 10⁻¹⁶ divided by it.
const STEP: f64 = 1e-5;

const ROWS: usize = 5;

const NETWORKS: [(&str, &str); 42] = [
    ("dense", "in 4 | dense 3"),
    ("dense after dense", "in 4 | dense 5 | dense 3"),
    ("relu", "in 4 | dense 6 | relu | dense 3"),
    ("gelu", "in 4 | dense 6 | gelu | dense 3"),
    (
        "batch norm of features",
        "in 4 | dense 5 | bn | relu | dense 3",
    ),
    (
        "batch norm of an image",
        "in 2x4x3 | conv 3 k3 | bn | relu | gap | dense 3",
    ),
    ("batch norm first", "in 2x3x4 | bn | gap | dense 3"),
    (
        "layer norm of features",
        "in 4 | dense 5 | ln | relu | dense 3",
    ),
    (
        "layer norm of an image",
        "in 2x4x3 | conv 4 k1 | ln | gelu | gap | dense 3",
    ),
    (
        "convolution 1x1",
        "in 3x4x4 | conv 4 k1 | relu | gap | dense 3",
    ),
    (
        "convolution 3x3",
        "in 2x5x4 | conv 3 k3 | relu | conv 4 k3 | relu | gap | dense 3",
    ),
    (
        "convolution 5x5",
        "in 2x4x5 | conv 2 k1 | conv 3 k5 | gelu | gap | dense 3",
    ),
    (
        "convolution with stride 2",
        "in 2x5x6 | conv 2 k1 | conv 3 k3 s2 | relu | gap | dense 3",
    ),
    (
        "convolution 1x1 with stride 2",
        "in 2x5x6 | conv 2 k3 | conv 3 k1 s2 | gap | dense 3",
    ),
    (
        "depthwise convolution",
        "in 2x5x4 | conv 3 k1 | dwconv k3 | relu | gap | dense 3",
    ),
    (
        "depthwise 5x5 with stride 2",
        "in 2x6x5 | conv 3 k1 | dwconv k5 s2 | gap | dense 3",
    ),
    (
        "max pool",
        "in 2x6x6 | conv 3 k3 | maxpool k2 | gap | dense 3",
    ),
    (
        "overlapping max pool",
        "in 2x6x5 | conv 3 k3 | maxpool k3 s2 | gap | dense 3",
    ),
    (
        "average pool",
        "in 2x7x6 | conv 3 k3 | avgpool k3 s2 | relu | gap | dense 3",
    ),
    ("flatten", "in 2x3x4 | conv 2 k3 | relu | flatten | dense 3"),
    (
        "dropout (not drawn)",
        "in 4 | dense 5 | dropout 0.5 | relu | dropout 0.2 | dense 3",
    ),
    (
        "add",
        "in 4 | a: dense 4 | b: relu | c: dense 4 | add b c | relu | dense 3",
    ),
    (
        "concat",
        "in 2x4x4 | a: conv 3 k3 | b: conv 2 k1 (in) | cat a b in | bn | relu | gap | dense 3",
    ),
    ("silu", "in 4 | dense 6 | silu | dense 3"),
    ("sigmoid", "in 4 | dense 6 | sigmoid | dense 3"),
    (
        "product",
        "in 4 | a: dense 5 | b: dense 5 (in) | mul a b | dense 3",
    ),
    ("square", "in 4 | a: dense 5 | mul a a | dense 3"),
    (
        "squeeze and excite",
        "in 2x4x5 | conv 4 k3 | a: relu | gap | dense 2 | relu | dense 4 | b: sigmoid | mul a b \
         | gap | dense 3",
    ),
    (
        "slices",
        "in 6 | a: slice 0 4 | b: slice 3 3 (in) | c: dense 3 (a) | mul b c | dense 4 | slice 1 2 \
         | dense 3",
    ),
    (
        "slice of an image",
        "in 2x3x4 | a: conv 5 k3 | b: slice 1 3 | c: slice 4 1 (a) | cat b c | relu | gap | dense 3",
    ),
    (
        "dilated convolution",
        "in 2x7x6 | conv 3 k1 | conv 2 k3 d2 | relu | dwconv k3 d3 | gap | dense 3",
    ),
    (
        "convolution over a series",
        "in 3x9 | conv 4 k3 | bn | relu | conv 5 k5 s2 | relu | conv 3 k1 | gap | dense 3",
    ),
    (
        "dilated convolution over a series",
        "in 2x11 | conv 3 k3 | relu | conv 3 k3 d4 | dwconv k5 d2 | flatten | dense 3",
    ),
    (
        "pools over a series",
        "in 2x11 | conv 3 k3 | maxpool k2 | conv 3 k3 | avgpool k3 s1 | ln | flatten | dense 3",
    ),
    (
        "embedding of features",
        "in 3 | embed 2 4 | dense 5 | relu | dense 3",
    ),
    (
        "periodic features",
        "in 3 | dense 3 | periodic 2 | dense 5 | relu | dense 3",
    ),
    (
        "embedding of a series with three codes at each step",
        "in 3x6 | embed 4 4 | conv 4 k3 | relu | gap | dense 3",
    ),
    (
        "embedding of a series",
        "in 1x6 | embed 3 4 | position | conv 4 k3 | relu | gap | dense 3",
    ),
    (
        "position",
        "in 2x4 | conv 3 k1 | position | relu | flatten | dense 3",
    ),
    (
        "attention",
        "in 3x5 | conv 4 k1 | attention 2 | gap | dense 3",
    ),
    (
        "transformer block",
        "in 1x5 | embed 3 4 | a: position | ln | b: attention 1 | c: add a b | ln | conv 8 k1 | gelu \
         | d: conv 4 k1 | add c d | gap | dense 3",
    ),
    (
        "residual blocks",
        "in 2x5x5 | conv 4 k3 | bn | a: relu | conv 4 k3 | bn | relu | conv 4 k3 | b: bn \
         | add a b | relu | maxpool k2 | dwconv k3 | bn | conv 3 k1 | gelu | gap | dropout 0.1 \
         | dense 3",
    ),
];

#[test]
fn gradients_are_the_slopes_of_the_interpreter_for_every_kind_of_layer() {
    let mut worst = (0.0, String::new());
    for (what, text) in NETWORKS {
        let smoothed = Loss::CrossEntropy {
            label_smoothing: 0.1,
        };
        let targets = BatchTargets::Classes(&[2, 0, 1, 1, 0]);
        for mode in [Mode::Eval, Mode::BatchStatistics] {
            let distance = check(what, text, smoothed, targets, mode);
            if distance.0 > worst.0 {
                worst = distance;
            }
        }
    }
    println!("largest distance: {worst:?}");
}

#[test]
fn gradients_are_the_slopes_of_the_interpreter_for_every_loss() {
    let classes = BatchTargets::Classes(&[2, 0, 1, 1, 0]);
    let values = BatchTargets::Values(&[0.5, -3.0, 1.5, 0.0, 4.0]);
    let classifier = "in 4 | dense 6 | gelu | dense 3";
    let regressor = "in 4 | dense 6 | gelu | dense 1";
    let cases = [
        (
            classifier,
            Loss::CrossEntropy {
                label_smoothing: 0.0,
            },
            classes,
        ),
        (
            classifier,
            Loss::CrossEntropy {
                label_smoothing: 0.2,
            },
            classes,
        ),
        (regressor, Loss::SquaredError, values),
        (regressor, Loss::Huber { delta: 1.0 }, values),
        (regressor, Loss::Huber { delta: 0.25 }, values),
    ];
    for (text, kind, targets) in cases {
        check(
            &format!("{kind:?}"),
            text,
            kind,
            targets,
            Mode::BatchStatistics,
        );
    }
}

/// Compares loss and all gradients; returns the largest relative distance and of what it is.
fn check(
    what: &str,
    text: &str,
    kind: Loss,
    targets: BatchTargets<'_>,
    mode: Mode,
) -> (f64, String) {
    let architecture: Architecture = text.parse().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let weights = ReferenceWeights::drawn(&architecture, &mut rng);
    let values = architecture.input_shape().values();
    let mut value = || f64::from(rng.random_range(-2.0_f32..2.0));
    let batch: Vec<Vec<f64>> = (0..ROWS)
        .map(|_| (0..values).map(|_| value()).collect())
        .collect();

    let mut network = network(&architecture, weights.rounded(), ROWS, Purpose::Train);
    let (engine_loss, gradients) = network.gradients(&floats(&batch), targets, kind, mode);
    let statistics = if mode == Mode::Eval {
        Statistics::Running
    } else {
        Statistics::OfBatch
    };
    let loss_of = |weights: &ReferenceWeights| {
        loss(
            kind,
            &forward(&architecture, weights, &batch, statistics),
            targets,
        )
    };
    let exact = loss_of(&weights);
    assert!(
        (engine_loss - exact).abs() < 1e-6 * exact,
        "{what}: loss {engine_loss}, not {exact}"
    );

    let slopes: Vec<(String, Vec<f64>)> = weights
        .learned()
        .into_iter()
        .map(|name| (name.clone(), differences(&weights, &name, &loss_of)))
        .collect();
    compare(&format!("{what}, {mode:?}"), slopes, &gradients)
}

/// Compares the gradients of all tensors; returns the largest relative distance and of what it is.
fn compare(
    what: &str,
    slopes: Vec<(String, Vec<f64>)>,
    gradients: &BTreeMap<String, Tensor>,
) -> (f64, String) {
    assert_eq!(
        slopes.len(),
        gradients.len(),
        "{what}: every learned tensor has a gradient"
    );
    let whole = norm(
        &slopes
            .iter()
            .flat_map(|(_, slopes)| slopes.clone())
            .collect::<Vec<f64>>(),
    );
    let mut worst = (0.0, String::new());
    for (name, slopes) in slopes {
        let found = doubles(&gradients[&name].values);
        let distance = if norm(&slopes) < ZERO_SHARE * whole {
            norm(&found) / whole
        } else {
            relative_distance(&found, &slopes)
        };
        let label = format!("{what}, {name}");
        assert!(
            distance < TOLERANCE,
            "{label}: {distance:e}\n{found:?}\n{slopes:?}"
        );
        if distance > worst.0 {
            worst = (distance, label);
        }
    }
    worst
}

/// Slope of the loss along every value of one tensor.
fn differences(
    weights: &ReferenceWeights,
    name: &str,
    loss_of: &impl Fn(&ReferenceWeights) -> f64,
) -> Vec<f64> {
    let count = weights.tensor(name).unwrap().values.len();
    let at = |index: usize, step: f64| {
        let mut moved = weights.clone();
        moved.values_mut(name).unwrap()[index] += step;
        loss_of(&moved)
    };
    (0..count)
        .map(|index| (at(index, STEP) - at(index, -STEP)) / (2.0 * STEP))
        .collect()
}
