//! The engine and the interpreter against stored values of PyTorch (float64; made by
//! `tools/golden/make_golden.py`): outputs, losses, gradients, optimizer steps, running statistics.

use std::{
    collections::BTreeMap,
    fs,
    num::{NonZeroU8, NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

use data::{Examples, ItemShape, Targets};
use morph::{Architecture, Shape};
use serde::Deserialize;
use train::{
    BatchTargets, ClassWeights, FitTask, GoOn, Loss, Metric, Mode, Network, Optimizer, Plan,
    Purpose, Recipe, Tensor, Threads, Verdict, Weights, fit,
    reference::{ReferenceWeights, Statistics, forward, loss},
    weights::specification,
};

use crate::measure::{doubles, floats, norm, relative_distance};

/// ‖engine − PyTorch‖ / ‖PyTorch‖, per tensor.
const TOLERANCE: f64 = 1e-5;

/// The interpreter and PyTorch both compute in `f64`.
const REFERENCE_TOLERANCE: f64 = 1e-12;

/// A gradient this much smaller than all together is zero but for rounding.
const ZERO_SHARE: f64 = 1e-7;

#[derive(Deserialize)]
struct Stored {
    shape: Vec<usize>,
    values: Vec<f64>,
}

type StoredTensors = BTreeMap<String, Stored>;

#[derive(Deserialize)]
struct Case {
    architecture: String,
    inputs: Vec<f64>,
    classes: Vec<u32>,
    weights: StoredTensors,
    #[serde(flatten)]
    results: Results,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Results {
    Gradients {
        outputs_running: Stored,
        outputs_batch: Stored,
        loss: f64,
        gradients: StoredTensors,
    },
    Steps {
        settings: Settings,
        losses: Vec<f64>,
        weights_after_one: StoredTensors,
        weights_after: StoredTensors,
    },
    Statistics {
        settings: Settings,
        weights_after: StoredTensors,
    },
}

#[derive(Deserialize)]
struct Settings {
    learning_rate: f64,
    #[serde(default)]
    weight_decay: f64,
    momentum: Option<f32>,
    beta1: Option<f32>,
    beta2: Option<f32>,
    #[serde(default)]
    label_smoothing: f32,
    #[serde(default)]
    balanced: bool,
}

impl Settings {
    fn optimizer(&self) -> Optimizer {
        match (self.beta1, self.beta2) {
            (Some(beta1), Some(beta2)) => Optimizer::AdamW { beta1, beta2 },
            _ => Optimizer::Sgd {
                momentum: self.momentum.unwrap_or(0.0),
            },
        }
    }
}

fn cases(prefix: &str) -> Vec<(String, Case)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.starts_with(prefix) {
            let text = fs::read_to_string(&path).unwrap();
            let case = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            cases.push((name, case));
        }
    }
    cases.sort_by(|(left, _), (right, _)| left.cmp(right));
    cases
}

impl Case {
    fn architecture(&self) -> Architecture {
        self.architecture.parse().unwrap()
    }

    /// The stored weights, which `f32` holds exactly.
    fn weights(&self) -> Weights {
        let architecture = self.architecture();
        let mut weights = Weights::fresh(&architecture, &mut rand::SeedableRng::seed_from_u64(0));
        let needed: Vec<String> = specification(&architecture)
            .iter()
            .map(|spec| spec.name())
            .collect();
        assert_eq!(needed.len(), self.weights.len(), "every tensor is stored");
        for name in needed {
            let stored = &self.weights[&name];
            assert_eq!(weights.tensor(&name).unwrap().shape, stored.shape, "{name}");
            for (value, stored) in weights
                .values_mut(&name)
                .unwrap()
                .iter_mut()
                .zip(&stored.values)
            {
                *value = *stored as f32;
                assert_eq!(f64::from(*value), *stored, "stored weights are f32");
            }
        }
        weights
    }

    /// A network for more rows than there are: a plan need not be full.
    fn network(&self, threads: u8) -> Network {
        let threads = Threads::new(NonZeroU8::new(threads).unwrap());
        let batch = NonZeroUsize::new(self.classes.len() + 2).unwrap();
        let plan = Plan::compile(&self.architecture(), batch, threads, Purpose::Train).unwrap();
        Network::new(plan, self.weights())
    }

    fn batch(&self) -> Vec<Vec<f64>> {
        let values = self.architecture().input_shape().values();
        self.inputs
            .chunks_exact(values)
            .map(<[f64]>::to_vec)
            .collect()
    }

    fn examples(&self) -> Examples {
        let item = match self.architecture().input_shape() {
            Shape::Image {
                channels,
                height,
                width,
            } => ItemShape::Image {
                height,
                width,
                channels,
            },
            shape => ItemShape::Features(shape.channels()),
        };
        let targets = Targets::Classes {
            ids: self.classes.clone(),
            count: 3,
        };
        Examples::from_floats(item, floats(&self.batch()), targets)
    }

    /// So many full-batch steps through the public way to train, one per epoch.
    fn trained(&self, start: Weights, settings: &Settings, steps: u32) -> (Weights, Vec<f64>) {
        let architecture = self.architecture();
        let examples = self.examples();
        let recipe = Recipe {
            optimizer: settings.optimizer(),
            learning_rate: settings.learning_rate,
            weight_decay: settings.weight_decay,
            batch_size: NonZeroUsize::new(examples.len()).unwrap(),
            epochs: NonZeroU32::new(steps).unwrap(),
            patience: None,
            loss: Loss::CrossEntropy {
                label_smoothing: settings.label_smoothing,
            },
            class_weights: match settings.balanced {
                true => ClassWeights::Balanced,
                false => ClassWeights::Equal,
            },
            warmup_epochs: 0.0,
            ..Recipe::default()
        };
        let task = FitTask {
            architecture: &architecture,
            train: &examples,
            validation: &examples,
            recipe: &recipe,
            metric: Metric::LogLoss,
            target_scale: 1.0,
            threads: Threads::ONE,
            seed: 1,
            stop: &|| GoOn::Yes,
            heard: &|_| {},
        };
        let fitted = fit(&task, start, &mut |_| Verdict::Continue).unwrap();
        // The weights of the best epoch come back, and the stored ones are those of the last.
        assert_eq!(
            fitted.kept.epoch, steps,
            "every step makes the validation loss smaller"
        );
        let losses = fitted
            .curve
            .iter()
            .map(|report| report.train_loss)
            .collect();
        (fitted.weights, losses)
    }
}

fn check_near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) -> f64 {
    let distance = relative_distance(found, expected);
    assert!(
        distance < tolerance,
        "{what}: {distance:e}\n{found:?}\n{expected:?}"
    );
    distance
}

fn check_weights(found: &Weights, expected: &StoredTensors, what: &str) -> f64 {
    assert_eq!(found.tensors().count(), expected.len(), "{what}");
    let check = |(name, tensor): (&str, &Tensor)| {
        let expected = &expected[name].values;
        check_near(
            &doubles(&tensor.values),
            expected,
            TOLERANCE,
            &format!("{what}, {name}"),
        )
    };
    found.tensors().map(check).fold(0.0, f64::max)
}

#[test]
fn outputs_losses_and_gradients_are_those_of_pytorch() {
    let cases = cases("gradients_");
    assert!(cases.len() >= 20, "only {} cases are stored", cases.len());
    let mut worst = (0.0_f64, 0.0_f64);
    for (name, case) in cases {
        for threads in 1..=3 {
            let distances =
                check_gradients(&format!("{name}, {threads} thread(s)"), &case, threads);
            worst = (worst.0.max(distances.0), worst.1.max(distances.1));
        }
    }
    println!(
        "largest distance: outputs {:e}, gradients {:e}",
        worst.0, worst.1
    );
}

/// Compares outputs, loss and gradients; returns the largest distances of outputs and gradients.
fn check_gradients(name: &str, case: &Case, threads: u8) -> (f64, f64) {
    let Results::Gradients {
        outputs_running,
        outputs_batch,
        loss: expected_loss,
        gradients,
    } = &case.results
    else {
        panic!("{name} stores no gradients");
    };
    let mut network = case.network(threads);
    let inputs = floats(&case.batch());
    let found = doubles(network.forward(&inputs, Mode::Eval));
    let outputs = check_near(&found, &outputs_running.values, TOLERANCE, name);
    let found = doubles(network.forward(&inputs, Mode::BatchStatistics));
    let outputs = outputs.max(check_near(&found, &outputs_batch.values, TOLERANCE, name));

    let kind = Loss::CrossEntropy {
        label_smoothing: 0.1,
    };
    let targets = BatchTargets::Classes(&case.classes);
    let (found, slopes) = network.gradients(&inputs, targets, kind, Mode::BatchStatistics);
    assert!(
        (found - expected_loss).abs() < 1e-6 * expected_loss,
        "{name}: loss {found}"
    );
    assert_eq!(slopes.len(), gradients.len(), "{name}");
    let all: Vec<f64> = gradients
        .values()
        .flat_map(|stored| stored.values.clone())
        .collect();
    let mut worst = 0.0_f64;
    for (tensor, expected) in gradients {
        assert_eq!(slopes[tensor].shape, expected.shape, "{name}, {tensor}");
        let found = doubles(&slopes[tensor].values);
        let distance = if norm(&expected.values) < ZERO_SHARE * norm(&all) {
            norm(&found) / norm(&all)
        } else {
            relative_distance(&found, &expected.values)
        };
        assert!(
            distance < TOLERANCE,
            "{name}, gradient of {tensor}: {distance:e}"
        );
        worst = worst.max(distance);
    }
    (outputs, worst)
}

#[test]
fn the_interpreter_computes_what_pytorch_computes() {
    let mut worst = 0.0_f64;
    for (name, case) in cases("gradients_") {
        let Results::Gradients {
            outputs_running,
            outputs_batch,
            loss: expected_loss,
            ..
        } = &case.results
        else {
            panic!("{name} stores no gradients");
        };
        let architecture = case.architecture();
        let weights = ReferenceWeights::from(&case.weights());
        let run = |statistics| forward(&architecture, &weights, &case.batch(), statistics);
        let found = run(Statistics::Running).concat();
        let running = check_near(&found, &outputs_running.values, REFERENCE_TOLERANCE, &name);
        let outputs = run(Statistics::OfBatch);
        let batch = check_near(
            &outputs.concat(),
            &outputs_batch.values,
            REFERENCE_TOLERANCE,
            &name,
        );
        // The smoothing is an f32 here and an f64 there.
        let kind = Loss::CrossEntropy {
            label_smoothing: 0.1,
        };
        let found = loss(kind, &outputs, BatchTargets::Classes(&case.classes));
        assert!((found - expected_loss).abs() < 1e-7, "{name}: loss {found}");
        worst = worst.max(running).max(batch);
    }
    println!("largest distance: {worst:e}");
}

#[test]
fn optimizer_steps_are_those_of_pytorch() {
    let cases = cases("steps_");
    assert_eq!(cases.len(), 3);
    for (name, case) in cases {
        let Results::Steps {
            settings,
            losses,
            weights_after_one,
            weights_after,
        } = &case.results
        else {
            panic!("{name} stores no steps");
        };
        let (weights, _) = case.trained(case.weights(), settings, 1);
        let one = check_weights(&weights, weights_after_one, &format!("{name}, one step"));
        let steps = losses.len() as u32;
        let (weights, found) = case.trained(case.weights(), settings, steps);
        let all = check_weights(&weights, weights_after, &format!("{name}, all steps"));
        check_near(&found, losses, TOLERANCE, &format!("{name}, losses"));
        println!("{name}: one step {one:e}, {steps} steps {all:e}");
    }
}

#[test]
fn running_statistics_follow_five_steps_as_in_pytorch() {
    let (name, case) = cases("statistics").remove(0);
    let Results::Statistics {
        settings,
        weights_after,
    } = &case.results
    else {
        panic!("{name} stores no statistics");
    };
    // One training of one step after the other: plain descent has no memory to lose.
    let mut weights = case.weights();
    for _ in 0..5 {
        (weights, _) = case.trained(weights, settings, 1);
    }
    let distance = check_weights(&weights, weights_after, &name);
    println!("largest distance: {distance:e}");
}
