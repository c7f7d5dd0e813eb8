//! Examples per second of the engine, asked line by line: lehr's side of `bench/train`.
//!
//! `throughput NETWORKS.tsv THREADS` reads lines `NAME train|train-bf16|infer SECONDS` and answers each with one
//! number. Alone it is a quick check after a change to the engine:
//! `echo mlp train 1 | cargo run --release -p train --example throughput bench/train/networks.tsv 1`.

use std::{
    cell::{Cell, OnceCell},
    collections::BTreeMap,
    error::Error,
    fs,
    io::{Write, stdin, stdout},
    num::{NonZeroU8, NonZeroU32, NonZeroUsize},
    time::{Duration, Instant},
};

use data::{Examples, ItemShape, Targets};
use morph::{Architecture, Shape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use train::{
    FitTask, GoOn, Metric, Network, Optimizer, Plan, Precision, Purpose, Recipe, Threads, Verdict,
    Weights, fit,
};

/// Time before the clock starts.
const WARM_UP: Duration = Duration::from_millis(300);

/// Batches of different examples.
const BATCHES: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [networks, threads] = arguments.as_slice() else {
        return Err("usage: throughput NETWORKS.tsv THREADS".into());
    };
    let threads = Threads::new(threads.parse::<NonZeroU8>()?);
    let mut runners = BTreeMap::new();
    for line in fs::read_to_string(networks)?.lines().skip(1) {
        let runner = Runner::read(line, threads)?;
        runners.insert(runner.name.clone(), runner);
    }
    for line in stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, mode, seconds] = words.as_slice() else {
            return Err(format!("`{line}` is not NAME train|train-bf16|infer SECONDS").into());
        };
        let runner = runners
            .get_mut(*name)
            .ok_or_else(|| format!("no network `{name}`"))?;
        let seconds = Duration::try_from_secs_f64(seconds.parse::<f64>()?)?;
        let rate = match *mode {
            "train" => runner.train(seconds, Precision::F32)?,
            "train-bf16" => runner.train(seconds, Precision::Bf16)?,
            "infer" => runner.infer(seconds)?,
            other => return Err(format!("`{other}` is none of train, train-bf16, infer").into()),
        };
        writeln!(stdout(), "{rate:.1}")?;
        stdout().flush()?;
    }
    Ok(())
}

/// One network with its examples, ready to be timed.
struct Runner {
    name: String,
    batch: NonZeroUsize,
    optimizer: Optimizer,
    architecture: Architecture,
    threads: Threads,
    examples: Examples,
    inference: Option<Network>,
}

impl Runner {
    /// From a line `name, batch, optimizer, network`, with tabs between.
    fn read(line: &str, threads: Threads) -> Result<Runner, Box<dyn Error>> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, batch, optimizer, network] = fields.as_slice() else {
            return Err(format!("`{line}` has not four fields").into());
        };
        let batch: NonZeroUsize = batch.parse()?;
        let architecture: Architecture = network.parse()?;
        let optimizer = match *optimizer {
            "adamw" => Recipe::default().optimizer,
            "sgd" => Optimizer::Sgd { momentum: 0.9 },
            other => return Err(format!("`{other}` is no optimizer").into()),
        };
        Ok(Runner {
            name: name.to_string(),
            batch,
            optimizer,
            examples: noise(&architecture, BATCHES * batch.get()),
            architecture,
            threads,
            inference: None,
        })
    }

    fn weights(&self) -> Weights {
        Weights::fresh(&self.architecture, &mut ChaCha8Rng::seed_from_u64(1))
    }

    /// Trains as a trial does, validation left out.
    fn train(&self, seconds: Duration, precision: Precision) -> Result<f64, Box<dyn Error>> {
        let recipe = Recipe {
            batch_size: self.batch,
            optimizer: self.optimizer,
            learning_rate: 1e-3,
            epochs: NonZeroU32::MAX,
            precision,
            ..Recipe::default()
        };
        let validation = noise(&self.architecture, 2);
        // The clock starts with the first step: taking the memory is not part of it.
        let first = OnceCell::new();
        let (steps, began) = (Cell::new(0_u32), Cell::new(Instant::now()));
        let stop = || {
            if first.get_or_init(Instant::now).elapsed() < WARM_UP {
                began.set(Instant::now());
                return GoOn::Yes;
            }
            if began.get().elapsed() >= seconds {
                return GoOn::No;
            }
            steps.set(steps.get() + 1);
            GoOn::Yes
        };
        let task = FitTask {
            architecture: &self.architecture,
            train: &self.examples,
            validation: &validation,
            recipe: &recipe,
            metric: Metric::Accuracy,
            target_scale: 1.0,
            threads: self.threads,
            seed: 1,
            stop: &stop,
            heard: &|_| {},
        };
        fit(&task, self.weights(), &mut |_| Verdict::Continue)?;
        Ok(f64::from(steps.get()) * self.batch.get() as f64 / began.get().elapsed().as_secs_f64())
    }

    fn infer(&mut self, seconds: Duration) -> Result<f64, Box<dyn Error>> {
        let mut network = match self.inference.take() {
            Some(network) => network,
            None => {
                let purpose = Purpose::Infer;
                let plan = Plan::compile(&self.architecture, self.batch, self.threads, purpose)?;
                Network::new(plan, self.weights())
            }
        };
        let rows: Vec<u32> = (0..self.batch.get() as u32).collect();
        let start = Instant::now();
        while start.elapsed() < WARM_UP {
            network.outputs(&self.examples, &rows);
        }
        let began = Instant::now();
        let mut examples = 0;
        while began.elapsed() < seconds {
            network.outputs(&self.examples, &rows);
            examples += rows.len();
        }
        self.inference = Some(network);
        Ok(examples as f64 / began.elapsed().as_secs_f64())
    }
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
        // A series lies in memory as a row does: step after step.
        other => ItemShape::Features(other.values() as u32),
    };
    let inputs = (0..rows * shape.values())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    let count = architecture.outputs();
    let ids = (0..rows).map(|_| rng.random_range(0..count)).collect();
    Examples::from_floats(item, inputs, Targets::Classes { ids, count })
}
