//! Exact morphs keep the function, in evaluation and with the statistics of a batch.

use morph::{Architecture, ChannelImportance, Direction, Morph};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    check::network,
    interpreter::{LayerWeights, Mode, drawn, inherited, run},
};

/// Rounding in `f64` over some dozens of layers; batch norm may scale it up.
const TOLERANCE: f64 = 1e-8;

const PARENTS: [&str; 10] = [
    "in 4 | periodic 2 | dense 5 | bn | relu | dense 3",
    "in 3 | a: dense 4 | relu | periodic 1 | c: dense 4 | cat c a | dense 2",
    "in 5 | dense 4 | relu | dense 6 | bn | relu | dropout 0.2 | dense 3",
    "in 5 | a: dense 4 | b: gelu | c: dense 4 | d: add b c | e: bn | cat e a | dense 3",
    "in 2x6x5 | conv 4 k3 | bn | relu | conv 3 k3 s2 | bn | relu | gap | dense 3",
    "in 2x6x6 | conv 3 k3 | bn | a: relu | conv 3 k3 | b: bn | add a b | relu | maxpool k2 \
     | flatten | dense 4 | relu | dense 3",
    "in 2x6x6 | a: conv 3 k3 | b: conv 4 k1 (in) | c: cat a b | dwconv k3 | bn | relu \
     | d: conv 7 k3 | add c d | avgpool k3 s1 | gap | dense 2",
    "in 1x7x7 | conv 4 k5 s2 | relu | dwconv k3 | bn | gelu | conv 4 k1 | maxpool k2 s1 | relu \
     | gap | dense 3",
    "in 3x4x4 | conv 4 k3 | ln | relu | conv 5 k3 | relu | flatten | dense 2",
    "in 2x5x5 | a: conv 3 k3 | b: conv 3 k3 (in) | c: cat a b | d: conv 3 k1 (in) \
     | e: conv 3 k1 (in) | f: cat d e | add c f | bn | relu | gap | dense 2",
];

fn batch(architecture: &Architecture, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let values = architecture.input_shape().values();
    (0..5)
        .map(|_| (0..values).map(|_| rng.random_range(-2.0..2.0)).collect())
        .collect()
}

fn check_same_function(
    words: &str,
    (parent, old): (&Architecture, &[LayerWeights]),
    (child, new): (&Architecture, &[LayerWeights]),
    batch: &[Vec<f64>],
) {
    for mode in [Mode::Evaluation, Mode::BatchStatistics] {
        let expected = run(parent, old, batch, mode);
        let found = run(child, new, batch, mode);
        for (expected, found) in expected.iter().flatten().zip(found.iter().flatten()) {
            let allowed = TOLERANCE * expected.abs().max(1.0);
            assert!(
                (expected - found).abs() <= allowed,
                "{words}: {found} instead of {expected}\n{parent}\n{child}"
            );
        }
    }
}

#[test]
fn chains_of_growing_morphs_keep_the_function() {
    for (number, text) in PARENTS.into_iter().enumerate() {
        for chain in 0..12 {
            let mut rng = ChaCha8Rng::seed_from_u64(1_000 * number as u64 + chain);
            let mut parent = network(text);
            let mut weights = drawn(&parent, &mut rng);
            let batch = batch(&parent, &mut rng);
            for _ in 0..6 {
                let morph = Morph::draw(&parent, Direction::Grow, &mut rng).expect("it can grow");
                let child = morph.apply(&parent, &ChannelImportance::unknown()).unwrap();
                let inherited = inherited(&parent, &weights, &child, &mut rng);
                let old = (&parent, weights.as_slice());
                let new = (&child.architecture, inherited.as_slice());
                check_same_function(&morph.to_string(), old, new, &batch);
                (parent, weights) = (child.architecture, inherited);
                if parent.cost().flops > 2_000_000 {
                    break;
                }
            }
        }
    }
}

/// Every layer and every pair of layers, so also places that are never drawn.
#[test]
fn every_legal_growing_morph_of_every_place_keeps_the_function() {
    let mut tried = 0;
    for text in PARENTS {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let parent = network(text);
        let weights = drawn(&parent, &mut rng);
        let batch = batch(&parent, &mut rng);
        for morph in everywhere(&parent) {
            let Ok(child) = morph.apply(&parent, &ChannelImportance::unknown()) else {
                continue;
            };
            let inherited = inherited(&parent, &weights, &child, &mut rng);
            let old = (&parent, weights.as_slice());
            let new = (&child.architecture, inherited.as_slice());
            check_same_function(&morph.to_string(), old, new, &batch);
            tried += 1;
        }
    }
    assert!(tried > 400, "only {tried} morphs were legal");
}

fn everywhere(parent: &Architecture) -> Vec<Morph> {
    use morph::Block::{Identity, Residual};
    let alone = parent.ids().flat_map(|layer| {
        [
            Morph::Deepen {
                after: layer,
                block: Identity { kernel: 3 },
            },
            Morph::Deepen {
                after: layer,
                block: Residual { kernel: 3 },
            },
            Morph::Widen {
                layer,
                extra: 1,
                seed: 1,
            },
            Morph::Widen {
                layer,
                extra: 5,
                seed: 2,
            },
            Morph::GrowKernel { layer },
            Morph::AddFrequencies { layer, extra: 3 },
        ]
    });
    let pairs = parent
        .ids()
        .flat_map(|from| parent.ids().map(move |to| (from, to)));
    let skips =
        pairs.flat_map(|(from, to)| [Morph::AddSkip { from, to }, Morph::ConcatSkip { from, to }]);
    alone.chain(skips).collect()
}

/// The interpreter can tell functions apart: the tests above could fail.
#[test]
fn a_shrinking_morph_changes_the_function() {
    let parent = network(PARENTS[4]);
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let weights = drawn(&parent, &mut rng);
    let batch = batch(&parent, &mut rng);
    let morph = Morph::Prune {
        layer: morph::LayerId::at(1),
        remove: 1,
    };
    let child = morph.apply(&parent, &ChannelImportance::unknown()).unwrap();
    let inherited = inherited(&parent, &weights, &child, &mut rng);
    for mode in [Mode::Evaluation, Mode::BatchStatistics] {
        let before = run(&parent, &weights, &batch, mode);
        let after = run(&child.architecture, &inherited, &batch, mode);
        let changes = before.iter().flatten().zip(after.iter().flatten());
        let largest = changes.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(largest > 1e-3, "{largest}");
    }
}
