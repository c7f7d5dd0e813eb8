//! Whether networks trained with products in bfloat16 are as good as with `f32`: accuracy by seed.
//!
//! `precision DATA SEEDS EPOCHS NETWORK` trains the network in both precisions with the same seeds, splits
//! and first weights, and prints validation accuracy after the last epoch as CSV. The vault is not used.

use std::{
    error::Error,
    io::{Write, stdout},
    num::NonZeroU32,
    path::PathBuf,
};

use data::{Examples, Preprocessor, Request, SplitShares, read, split};
use morph::Architecture;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use train::{FitTask, GoOn, Metric, Precision, Recipe, Threads, Verdict, Weights, fit};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, seeds, epochs, network] = arguments.as_slice() else {
        return Err("usage: precision DATA SEEDS EPOCHS NETWORK".into());
    };
    let architecture: Architecture = network.parse()?;
    let epochs: NonZeroU32 = epochs.parse()?;
    writeln!(stdout(), "seed,f32,bf16")?;
    for seed in 0..seeds.parse::<u64>()? {
        let [train, validation] = examples(data.into(), seed)?;
        let accuracy = |precision: Precision| -> Result<f64, Box<dyn Error>> {
            let recipe = Recipe {
                epochs,
                learning_rate: 2e-3,
                precision,
                ..Recipe::default()
            };
            let task = FitTask {
                architecture: &architecture,
                train: &train,
                validation: &validation,
                recipe: &recipe,
                metric: Metric::Accuracy,
                target_scale: 1.0,
                threads: Threads::ONE,
                seed,
                stop: &|| GoOn::Yes,
                heard: &|_| {},
            };
            let mut last = f64::NAN;
            let start = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(seed));
            fit(&task, start, &mut |report| {
                last = report.validation.metrics[&Metric::Accuracy];
                Verdict::Continue
            })?;
            Ok(last)
        };
        let (full, half) = (accuracy(Precision::F32)?, accuracy(Precision::Bf16)?);
        writeln!(stdout(), "{seed},{full:.4},{half:.4}")?;
    }
    Ok(())
}

/// Rows to learn from and rows to validate with.
fn examples(path: PathBuf, seed: u64) -> Result<[Examples; 2], Box<dyn Error>> {
    let request = Request {
        path,
        ..Request::default()
    };
    let source = read(&request)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = split(&source, SplitShares::default(), &mut rng)?;
    let preprocessor = Preprocessor::fit(&source, &rows.train)?;
    Ok([
        preprocessor.apply(&source.dataset, &rows.train)?,
        preprocessor.apply(&source.dataset, &rows.validation)?,
    ])
}
