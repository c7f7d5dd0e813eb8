//! A model that is asked again and again: its network is compiled once and keeps its memory.

use std::num::{NonZeroU8, NonZeroUsize};

use data::{Examples, FittedTask};
use morph::Architecture;
use train::{Calibration, Network, Plan, Purpose, Threads, Weights};

use crate::model::{Model, ModelError, Predictions};

/// Rows that go through the network at once.
const BATCH: usize = 256;

/// A model with its network, for one thread.
#[derive(Debug)]
pub struct Predictor {
    network: Network,
    task: FittedTask,
    calibration: Calibration,
}

impl Predictor {
    /// Compiles the network and takes its memory.
    ///
    /// # Errors
    /// If the network cannot be built.
    pub fn new(model: &Model) -> Result<Predictor, ModelError> {
        Ok(Predictor {
            network: network(&model.card.architecture, &model.weights)?,
            task: model.card.preprocessor.task().clone(),
            calibration: model.card.calibration,
        })
    }

    /// What the network says of each example: logits, or standardised values.
    ///
    /// # Shapes
    /// `[examples.len()][outputs]`.
    pub fn outputs(&mut self, examples: &Examples) -> Vec<f32> {
        let rows: Vec<u32> = (0..examples.len() as u32).collect();
        self.network.outputs(examples, &rows)
    }

    /// How many outputs the network has for one example.
    pub fn width(&self) -> usize {
        match &self.task {
            FittedTask::Classification { classes } => classes.len(),
            FittedTask::Regression { .. } => 1,
        }
    }

    /// Outputs in the user's words.
    ///
    /// # Shapes
    /// `outputs: [rows][width]`.
    pub fn in_words(&self, outputs: &[f32]) -> Predictions {
        match &self.task {
            FittedTask::Classification { classes } => {
                let calibration = &self.calibration;
                let rows = outputs.chunks(classes.len());
                let probabilities: Vec<Vec<f64>> = rows
                    .map(|logits| calibration.probabilities(logits))
                    .collect();
                let label = |row: &Vec<f64>| calibration.label(row);
                Predictions::Classes {
                    classes: classes.clone(),
                    labels: probabilities.iter().map(label).collect(),
                    probabilities,
                }
            }
            FittedTask::Regression {
                target,
                mean,
                scale,
            } => Predictions::Values {
                target: target.clone(),
                values: outputs
                    .iter()
                    .map(|value| f64::from(*value) * scale + mean)
                    .collect(),
            },
        }
    }

    /// Predictions in the user's words.
    pub fn predict(&mut self, examples: &Examples) -> Predictions {
        let outputs = self.outputs(examples);
        self.in_words(&outputs)
    }
}

fn network(architecture: &Architecture, weights: &Weights) -> Result<Network, ModelError> {
    let batch = NonZeroUsize::new(BATCH).expect("256 is not 0");
    let threads = Threads::new(NonZeroU8::MIN);
    let plan = Plan::compile(architecture, batch, threads, Purpose::Infer)?;
    Ok(Network::new(plan, weights.clone()))
}

/// What a network that is asked once says of each example: logits, or standardised values.
///
/// # Shapes
/// `[examples.len()][outputs]`.
/// # Errors
/// If the network cannot be built.
/// # Cost
/// A forward pass over all examples, on one thread.
pub fn network_outputs(
    architecture: &Architecture,
    weights: &Weights,
    examples: &Examples,
) -> Result<Vec<f32>, ModelError> {
    let rows: Vec<u32> = (0..examples.len() as u32).collect();
    Ok(network(architecture, weights)?.outputs(examples, &rows))
}
