//! Training steps per second of a few networks, as `fit` runs them: a quick check after a change to
//! the engine. Comparisons with other libraries live in `bench/`.
//!
//! `cargo run --release -p train --example throughput [threads [name]]`; some ten seconds in all.

use std::{
    cell::Cell,
    error::Error,
    io::{Write, stdout},
    num::{NonZeroU8, NonZeroU32, NonZeroUsize},
    time::{Duration, Instant},
};

use data::{Examples, ItemShape, Targets};
use morph::{Architecture, Shape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use train::{FitTask, Metric, Recipe, Threads, Verdict, Weights, fit};

/// Name, batch, network.
const NETWORKS: [(&str, usize, &str); 5] = [
    (
        "small cnn",
        64,
        "in 1x28x28 | conv 16 k3 | bn | relu | maxpool k2 | conv 32 k3 | bn | relu | maxpool k2 \
         | conv 64 k3 | bn | relu | gap | dense 10",
    ),
    (
        "mlp",
        128,
        "in 784 | dense 512 | relu | dense 512 | relu | dense 10",
    ),
    (
        "tiny mlp",
        32,
        "in 16 | dense 64 | relu | dense 64 | relu | dense 2",
    ),
    (
        "residual",
        64,
        "in 3x32x32 | conv 16 k3 | bn | a: relu | conv 16 k3 | bn | relu | conv 16 k3 | b: bn \
         | c: add a b | d: relu | conv 32 k3 s2 | bn | relu | conv 32 k3 | e: bn \
         | f: conv 32 k1 s2 (d) | add e f | g: relu | conv 32 k3 | bn | relu | conv 32 k3 | h: bn \
         | add g h | relu | gap | dense 10",
    ),
    (
        "depthwise",
        64,
        "in 3x32x32 | conv 32 k3 s2 | bn | relu | dwconv k3 | bn | relu | conv 64 k1 | bn | relu \
         | dwconv k3 s2 | bn | relu | conv 128 k1 | bn | relu | gap | dense 10",
    ),
];

/// Steps before the clock starts, and how long it runs.
const WARM_UP_STEPS: u32 = 3;
const MEASURED: Duration = Duration::from_millis(1500);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let threads: NonZeroU8 = arguments.next().as_deref().unwrap_or("1").parse()?;
    let wanted = arguments.next().unwrap_or_default();
    for (name, batch, text) in NETWORKS {
        if !name.contains(&wanted) {
            continue;
        }
        let architecture: Architecture = text.parse()?;
        let rate = examples_per_second(&architecture, batch, Threads::new(threads))?;
        // A backward pass costs about twice a forward pass.
        let flops = 3.0 * architecture.cost().flops as f64 * rate / 1e9;
        writeln!(
            stdout(),
            "{name:10} batch {batch:3}: {rate:9.0} examples/s, {flops:6.1} GFLOP/s"
        )?;
    }
    Ok(())
}

fn examples_per_second(
    architecture: &Architecture,
    batch: usize,
    threads: Threads,
) -> Result<f64, Box<dyn Error>> {
    let train = noise(architecture, 16 * batch);
    let validation = noise(architecture, 2);
    let recipe = Recipe {
        batch_size: NonZeroUsize::new(batch).ok_or("a batch has rows")?,
        epochs: NonZeroU32::MAX,
        ..Recipe::default()
    };
    let steps = Cell::new(0_u32);
    let began = Cell::new(Instant::now());
    let stop = || {
        steps.set(steps.get() + 1);
        if steps.get() <= WARM_UP_STEPS {
            began.set(Instant::now());
        }
        match began.get().elapsed() > MEASURED {
            true => Verdict::Stop,
            false => Verdict::Continue,
        }
    };
    let task = FitTask {
        architecture,
        train: &train,
        validation: &validation,
        recipe: &recipe,
        metric: Metric::Accuracy,
        target_scale: 1.0,
        threads,
        seed: 1,
        stop: &stop,
    };
    let start = Weights::fresh(architecture, &mut ChaCha8Rng::seed_from_u64(1));
    fit(&task, start, &mut |_| Verdict::Continue)?;
    let measured = f64::from(steps.get() - WARM_UP_STEPS) * batch as f64;
    Ok(measured / began.get().elapsed().as_secs_f64())
}

/// Random inputs and classes: speed does not depend on what they are.
fn noise(architecture: &Architecture, rows: usize) -> Examples {
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let shape = architecture.input_shape();
    let item = match shape {
        Shape::Image {
            channels,
            height,
            width,
        } => ItemShape::Image {
            height,
            width,
            channels,
        },
        other => ItemShape::Features(other.channels()),
    };
    let inputs = (0..rows * shape.values())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    let count = architecture.outputs();
    let ids = (0..rows).map(|_| rng.random_range(0..count)).collect();
    Examples::from_floats(item, inputs, Targets::Classes { ids, count })
}
