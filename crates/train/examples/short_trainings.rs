//! Many short trainings one after the other in one process: does memory stay flat?
//!
//! `short_trainings COUNT` trains COUNT networks of changing shapes and sizes, each for one epoch, and
//! prints the resident memory now and then. It fails if the second half needs more than the first, in
//! the median or in the largest hundredth: single peaks come and go with the allocator's free lists.

use std::{
    error::Error,
    fs,
    io::{Write, stdout},
    num::{NonZeroU32, NonZeroUsize},
    time::Instant,
};

use data::{Examples, ItemShape, Targets};
use morph::{Architecture, Shape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use train::{FitTask, GoOn, Metric, Recipe, Threads, Verdict, Weights, fit};

const ROWS: usize = 96;
const NETWORKS: [&str; 6] = [
    "in 16 | dense 64 | relu | dense 64 | relu | dense 3",
    "in 1x12x12 | conv 16 k3 | bn | relu | maxpool k2 | conv 24 k3 | bn | relu | gap | dense 3",
    "in 3x16x16 | conv 12 k5 | bn | relu | dwconv k3 s2 | conv 32 k1 | bn | relu | gap | dense 3",
    "in 4x32 | conv 16 k5 | bn | relu | maxpool k2 | conv 32 k3 d2 | relu | gap | dense 3",
    "in 1x16 | embed 8 16 | position | ln | attention 4 | gap | dense 3",
    "in 8 | a: dense 32 | gelu | dropout 0.2 | b: dense 32 | add a b | ln | dense 3",
];
/// Growth from half to half that is a leak: a hundredth per thousand trainings at most.
const GROWTH_MAX: f64 = 1.05;

fn main() -> Result<(), Box<dyn Error>> {
    let count: usize = std::env::args()
        .nth(1)
        .ok_or("usage: short_trainings COUNT")?
        .parse()?;
    let networks: Vec<(Architecture, Examples)> = NETWORKS
        .iter()
        .map(|text| {
            let architecture: Architecture = text.parse()?;
            let examples = noise(&architecture);
            Ok::<_, morph::NotationError>((architecture, examples))
        })
        .collect::<Result<_, _>>()?;
    let began = Instant::now();
    let mut seen = Vec::with_capacity(count);
    for number in 0..count {
        let (architecture, examples) = &networks[number % networks.len()];
        train_once(architecture, examples, number)?;
        let resident = resident_kib()?;
        seen.push(resident);
        if (number + 1) % (count / 10).max(1) == 0 {
            let seconds = began.elapsed().as_secs_f64();
            writeln!(
                stdout(),
                "{:>6} trainings {seconds:>7.1} s {resident:>8} KiB resident",
                number + 1
            )?;
        }
    }
    let (first, second) = seen.split_at_mut(count / 2);
    for share in [0.5, 0.99] {
        let (first, second) = (quantile(first, share), quantile(second, share));
        let what = format!(
            "{:.0} % stay within {first} and {second} KiB",
            share * 100.0
        );
        writeln!(stdout(), "{what} in the first and second half")?;
        if second as f64 > first as f64 * GROWTH_MAX {
            return Err("memory grew".into());
        }
    }
    Ok(())
}

fn train_once(
    architecture: &Architecture,
    examples: &Examples,
    number: usize,
) -> Result<(), Box<dyn Error>> {
    let recipe = Recipe {
        batch_size: NonZeroUsize::new(8 << (number % 3)).ok_or("a batch has rows")?,
        epochs: NonZeroU32::MIN,
        average_decay: number.is_multiple_of(2).then_some(0.9),
        gradient_norm_max: Some(1.0),
        ..Recipe::default()
    };
    let task = FitTask {
        architecture,
        train: examples,
        validation: examples,
        recipe: &recipe,
        metric: Metric::Accuracy,
        target_scale: 1.0,
        threads: Threads::ONE,
        seed: number as u64,
        stop: &|| GoOn::Yes,
        heard: &|_| {},
    };
    let start = Weights::fresh(architecture, &mut ChaCha8Rng::seed_from_u64(number as u64));
    fit(&task, start, &mut |_| Verdict::Continue)?;
    Ok(())
}

fn noise(architecture: &Architecture) -> Examples {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
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
        other => ItemShape::Features(other.values() as u32),
    };
    let inputs = (0..ROWS * shape.values())
        .map(|_| rng.random_range(-1.0..3.0))
        .collect();
    let ids = (0..ROWS)
        .map(|_| rng.random_range(0..architecture.outputs()))
        .collect();
    let count = architecture.outputs();
    Examples::from_floats(item, inputs, Targets::Classes { ids, count })
}

/// The value below which this share of all lies.
fn quantile(values: &mut [u64], share: f64) -> u64 {
    values.sort_unstable();
    values[((values.len() - 1) as f64 * share) as usize]
}

/// Resident memory of this process, as Linux counts it.
fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let text = line.ok_or("/proc/self/status has no VmRSS")?;
    Ok(text.trim().trim_end_matches(" kB").parse()?)
}
