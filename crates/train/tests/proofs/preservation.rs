//! Exact morphs keep the function: ten thousand random networks, each before and after a random chain
//! of up to ten exact morphs, in evaluation and with the statistics of the batch, in the `f64`
//! interpreter and in the engine.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use morph::{Architecture, ChannelImportance, Direction, LayerPlan, Morph, Morphed, Preservation};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use train::{
    Weights,
    reference::{ReferenceWeights, Statistics, forward, forward_rounded, inherit},
};

use crate::{
    architectures::{FLOPS_MAX, random},
    measure::{engine_outputs, relative_distance},
};

const PAIRS: u64 = 10_000;
const CHAIN_MAX: usize = 10;
const ROWS: usize = 8;
/// Where `f32` cannot come within the tolerance (a batch norm that divides by next to nothing), the
/// engine may err this many times as much as rounding each layer's result does.
const ROUNDINGS: f64 = 10.0;
/// Of all pairs, in either mode; the others keep the engine's tolerance.
const ILL_CONDITIONED_MAX: u64 = PAIRS / 500;
/// A network that can only shrink is given up after so many draws.
const DRAWS_MAX: usize = 40;

/// Child against parent in `f64`.
const REFERENCE_TOLERANCE: f64 = 1e-9;
/// Child against parent in the engine, and the engine against `f64`.
const ENGINE_TOLERANCE: f64 = 1e-4;

/// What the proof has seen: the largest distances, and how often each kind of morph was used.
#[derive(Debug, Default)]
struct Seen {
    pairs: u64,
    reference: f64,
    engine: f64,
    engine_to_reference: f64,
    ill_conditioned: u64,
    morphs: BTreeMap<&'static str, u64>,
    longest: usize,
}

impl Seen {
    fn merge(mut self, other: Seen) -> Seen {
        self.pairs += other.pairs;
        self.reference = self.reference.max(other.reference);
        self.engine = self.engine.max(other.engine);
        self.engine_to_reference = self.engine_to_reference.max(other.engine_to_reference);
        self.ill_conditioned += other.ill_conditioned;
        self.longest = self.longest.max(other.longest);
        for (kind, count) in other.morphs {
            *self.morphs.entry(kind).or_default() += count;
        }
        self
    }
}

/// A network with its weights in both worlds.
#[derive(Clone)]
struct Both {
    architecture: Architecture,
    reference: ReferenceWeights,
    engine: Weights,
}

#[test]
fn ten_thousand_chains_of_exact_morphs_keep_the_function() {
    let next = AtomicU64::new(0);
    let work = || {
        let mut seen = Seen::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= PAIRS {
                return seen;
            }
            check_pair(seed, &mut seen);
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let seen = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = workers
            .into_iter()
            .map(|worker| worker.join().expect("no pair panicked"));
        results.fold(Seen::default(), Seen::merge)
    });
    println!("{seen:#?}");
    assert_eq!(seen.pairs, PAIRS);
    assert!(
        seen.ill_conditioned <= ILL_CONDITIONED_MAX,
        "{}",
        seen.ill_conditioned
    );
    // Only rows of numbers have frequencies.
    let rare = [("add_frequencies", PAIRS / 20)];
    let kinds = ["add_skip", "concat_skip", "deepen", "grow_kernel", "widen"];
    for (kind, least) in kinds.map(|kind| (kind, PAIRS / 10)).into_iter().chain(rare) {
        let count = seen.morphs.get(kind).copied().unwrap_or(0);
        assert!(count > least, "only {count} morphs were of the kind {kind}");
    }
    assert_eq!(seen.longest, CHAIN_MAX);
}

fn check_pair(seed: u64, seen: &mut Seen) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (start, chain) = start_with_chain(&mut rng);
    let reference = ReferenceWeights::drawn(&start, &mut rng);
    let engine = reference.rounded();
    let parent = Both {
        architecture: start,
        reference,
        engine,
    };
    check_sizes(&parent);
    let mut words = vec![format!("seed {seed}: {}", parent.architecture)];

    let mut child = parent.clone();
    for (morph, morphed) in &chain {
        child = grown(&child, morphed, &mut rng);
        words.push(format!("{morph} -> {}", child.architecture));
        check_sizes(&child);
        *seen.morphs.entry(morph.kind()).or_default() += 1;
    }
    let batch = batch(&parent.architecture, &mut rng);
    compare(&parent, &child, &batch, &words.join("\n"), seen);
    seen.longest = seen.longest.max(chain.len());
    seen.pairs += 1;
}

type Chain = Vec<(Morph, Morphed)>;

/// A random network that can grow, and exact morphs one after the other.
fn start_with_chain(rng: &mut ChaCha8Rng) -> (Architecture, Chain) {
    loop {
        let start = random(rng);
        let length = rng.random_range(1..=CHAIN_MAX);
        let mut chain: Chain = Vec::new();
        for _ in 0..DRAWS_MAX {
            if chain.len() == length {
                break;
            }
            let last = chain
                .last()
                .map_or(&start, |(_, morphed)| &morphed.architecture);
            let Some(morph) = Morph::draw(last, Direction::Any, rng) else {
                break;
            };
            if morph.preservation() != Preservation::Exact {
                continue;
            }
            let morphed = morph
                .apply(last, &ChannelImportance::unknown())
                .expect("a drawn morph can be applied");
            if morphed.architecture.cost().flops > 2 * FLOPS_MAX {
                break;
            }
            chain.push((morph, morphed));
        }
        if !chain.is_empty() {
            return (start, chain);
        }
    }
}

/// Carries out a weight plan in both worlds.
fn grown(parent: &Both, morphed: &Morphed, rng: &mut ChaCha8Rng) -> Both {
    let reference = inherit(morphed, &parent.reference, rng);
    let engine = Weights::inherited(morphed, &parent.engine, rng);
    let expected = inherit(morphed, &ReferenceWeights::from(&parent.engine), rng);
    check_same_inheritance(morphed, &expected, &engine);
    Both {
        architecture: morphed.architecture.clone(),
        reference,
        engine,
    }
}

/// Engine and interpreter carry out a plan alike: up to rounding, but for what is drawn anew.
fn check_same_inheritance(morphed: &Morphed, expected: &ReferenceWeights, engine: &Weights) {
    for (layer, plan) in morphed.architecture.ids().zip(&morphed.weights.layers) {
        if matches!(plan, LayerPlan::Fresh | LayerPlan::Frequencies { .. }) {
            continue;
        }
        let prefix = format!("{layer}.");
        for (name, tensor) in engine
            .tensors()
            .filter(|(name, _)| name.starts_with(&prefix))
        {
            let expected = &expected
                .tensor(name)
                .expect("both have every tensor")
                .values;
            for (found, expected) in tensor.values.iter().zip(expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error <= 1e-7 * expected.abs(),
                    "{name}: {found}, not {expected}"
                );
            }
        }
    }
}

/// The cost that a morph predicts is that of the tensors, in the engine and in the interpreter.
fn check_sizes(both: &Both) {
    let architecture = &both.architecture;
    let parameters = architecture.cost().parameters;
    let is_learned = |name: &str| !name.ends_with(".mean") && !name.ends_with(".variance");
    let learned = both.engine.tensors().filter(|(name, _)| is_learned(name));
    let counted: usize = learned.map(|(_, tensor)| tensor.values.len()).sum();
    assert_eq!(counted as u64, parameters, "{architecture}");
    assert_eq!(both.reference.parameters(), parameters, "{architecture}");
    let shapes = |(name, tensor): (&str, &train::Tensor)| (name.to_string(), tensor.shape.clone());
    let engine: Vec<_> = both.engine.tensors().map(shapes).collect();
    let reference: Vec<_> = both
        .reference
        .tensors()
        .map(|(name, tensor)| (name.to_string(), tensor.shape.clone()))
        .collect();
    assert_eq!(engine, reference, "{architecture}");
    both.engine
        .check(architecture)
        .expect("inherited weights fit the child");
}

/// Inputs that an `f32` holds exactly, so that both worlds get the same ones.
fn batch(architecture: &Architecture, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let values = architecture.input_shape().values();
    let mut value = || f64::from(rng.random_range(-2.0_f32..2.0));
    (0..ROWS)
        .map(|_| (0..values).map(|_| value()).collect())
        .collect()
}

fn compare(parent: &Both, child: &Both, batch: &[Vec<f64>], words: &str, seen: &mut Seen) {
    let engine_before = engine_outputs(&parent.architecture, parent.engine.clone(), batch);
    let engine_after = engine_outputs(&child.architecture, child.engine.clone(), batch);
    for (place, statistics) in [Statistics::Running, Statistics::OfBatch]
        .into_iter()
        .enumerate()
    {
        let before = forward(&parent.architecture, &parent.reference, batch, statistics);
        let after = forward(&child.architecture, &child.reference, batch, statistics);
        let outputs = parent.architecture.outputs() as usize;
        assert_eq!(after.len(), ROWS, "{words}");
        assert!(after.iter().all(|row| row.len() == outputs), "{words}");
        let (before, after) = (before.concat(), after.concat());
        let distance = relative_distance(&after, &before);
        let said =
            |what: &str, distance: f64| format!("{what}, {statistics:?}: {distance:e}\n{words}");
        assert!(
            distance < REFERENCE_TOLERANCE,
            "{}",
            said("child to parent in f64", distance)
        );
        seen.reference = seen.reference.max(distance);

        let (old, new) = (&engine_before[place], &engine_after[place]);
        let change = relative_distance(new, old);
        let error = relative_distance(new, &after).max(relative_distance(old, &before));
        if change < ENGINE_TOLERANCE && error < ENGINE_TOLERANCE {
            seen.engine = seen.engine.max(change);
            seen.engine_to_reference = seen.engine_to_reference.max(error);
            continue;
        }
        let rounding = rounding(parent, &before, batch, statistics)
            .max(rounding(child, &after, batch, statistics));
        let allowed = ROUNDINGS * rounding;
        assert!(
            change < allowed,
            "{}",
            said("child to parent in the engine", change)
        );
        assert!(error < allowed, "{}", said("engine to interpreter", error));
        seen.ill_conditioned += 1;
    }
}

/// How far the results of a network move if those of its layers are rounded to `f32`.
fn rounding(both: &Both, exact: &[f64], batch: &[Vec<f64>], statistics: Statistics) -> f64 {
    let weights = ReferenceWeights::from(&both.engine);
    let rounded = forward_rounded(&both.architecture, &weights, batch, statistics);
    relative_distance(&rounded.concat(), exact)
}

/// The proof could fail: a morph that shrinks does change the function.
#[test]
fn a_shrinking_morph_is_seen_to_change_the_function() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let start: Architecture = "in 2x5x5 | conv 6 k3 | bn | relu | gap | dense 3"
        .parse()
        .unwrap();
    let weights = ReferenceWeights::drawn(&start, &mut rng);
    let prune = Morph::Prune {
        layer: morph::LayerId::at(1),
        remove: 1,
    };
    let morphed = prune.apply(&start, &ChannelImportance::unknown()).unwrap();
    let child = inherit(&morphed, &weights, &mut rng);
    let batch = batch(&start, &mut rng);
    let before = forward(&start, &weights, &batch, Statistics::Running).concat();
    let after = forward(&morphed.architecture, &child, &batch, Statistics::Running).concat();
    assert!(relative_distance(&after, &before) > 1e-2);
}
