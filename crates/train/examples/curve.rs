//! Trains a small network on the 8×8 digits and writes down everything that another program needs to do
//! the same: lehr's side of `bench/train/curve.py`.
//!
//! `curve DIGITS.npz OUT adamw|sgd` writes into the folder OUT: `inputs.f32` and `classes.u32` (the prepared rows),
//! `start.safetensors` (initial weights), `order.u32` (the rows of all batches, one after the other),
//! `task.json` (network and recipe) and `losses.json` (one number per step).

use std::{
    cell::RefCell,
    error::Error,
    fs,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
};

use data::{Examples, Preprocessor, Request, Targets, read};
use morph::Architecture;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use train::{FitTask, GoOn, Metric, Optimizer, Recipe, Threads, Training, Verdict, Weights};

const NETWORK: &str = "in 1x8x8 | conv 16 k3 | bn | relu | conv 32 k3 | bn | relu | maxpool k2 \
                       | conv 32 k3 | bn | relu | gap | dense 10";
const BATCH: usize = 64;
/// 200 steps of 64 of the 1797 rows, the last one of each epoch smaller.
const STEPS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [digits, out, optimizer] = arguments.as_slice() else {
        return Err("usage: curve DIGITS.npz OUT adamw|sgd".into());
    };
    let (optimizer, learning_rate) = match optimizer.to_str() {
        Some("adamw") => (Recipe::default().optimizer, 3e-3),
        Some("sgd") => (Optimizer::Sgd { momentum: 0.9 }, 2e-2),
        _ => return Err("the optimizer is adamw or sgd".into()),
    };
    fs::create_dir_all(out)?;
    let examples = prepared(digits)?;
    let architecture: Architecture = NETWORK.parse()?;
    let start = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(1));
    let epochs = STEPS.div_ceil(examples.len().div_ceil(BATCH));
    let recipe = Recipe {
        optimizer,
        learning_rate,
        batch_size: NonZeroUsize::new(BATCH).ok_or("a batch has rows")?,
        epochs: NonZeroU32::new(epochs as u32).ok_or("there are epochs")?,
        warmup_epochs: 0.0,
        ..Recipe::default()
    };
    write_rows(&examples, out)?;
    fs::write(out.join("start.safetensors"), start.to_safetensors())?;
    let task = json!({ "network": NETWORK, "recipe": recipe, "steps": STEPS });
    fs::write(out.join("task.json"), task.to_string())?;

    let losses = RefCell::new(Vec::new());
    let task = FitTask {
        architecture: &architecture,
        train: &examples,
        validation: &examples,
        recipe: &recipe,
        metric: Metric::Accuracy,
        target_scale: 1.0,
        threads: Threads::ONE,
        seed: 1,
        stop: &|| GoOn::Yes,
        heard: &|loss| losses.borrow_mut().push(loss),
    };
    let mut training = Training::begin(&task, start)?;
    let mut order = Vec::new();
    while training.ended().is_none() {
        training.epoch(&mut |_| Verdict::Continue)?;
        order.extend_from_slice(training.order());
    }
    let bytes: Vec<u8> = order
        .iter()
        .flat_map(|row: &u32| row.to_le_bytes())
        .collect();
    fs::write(out.join("order.u32"), bytes)?;
    let losses = &losses.borrow()[..STEPS];
    fs::write(out.join("losses.json"), json!(losses).to_string())?;
    Ok(())
}

fn prepared(digits: &Path) -> Result<Examples, Box<dyn Error>> {
    let request = Request {
        path: digits.to_path_buf(),
        ..Request::default()
    };
    let source = read(&request)?;
    let rows: Vec<u32> = (0..source.dataset.rows() as u32).collect();
    let preprocessor = Preprocessor::fit(&source, &rows)?;
    Ok(preprocessor.apply(&source.dataset, &rows)?)
}

fn write_rows(examples: &Examples, out: &Path) -> Result<(), Box<dyn Error>> {
    let rows: Vec<u32> = (0..examples.len() as u32).collect();
    let mut inputs = vec![0.0_f32; rows.len() * examples.item_len()];
    examples.copy_inputs(&rows, &mut inputs);
    let Targets::Classes { ids, .. } = examples.targets() else {
        return Err("digits are classes".into());
    };
    let inputs: Vec<u8> = inputs
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    fs::write(out.join("inputs.f32"), inputs)?;
    let classes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    Ok(fs::write(out.join("classes.u32"), classes)?)
}
