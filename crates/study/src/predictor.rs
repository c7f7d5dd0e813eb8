//! A model that is asked again and again: its network is compiled once and keeps its memory.

use std::num::{NonZeroU8, NonZeroUsize};

use data::{Examples, FittedTask};
use train::{Network, Plan, Purpose, Threads};

use crate::model::{Model, ModelError, Predictions, softmax};

/// Rows that go through the network at once.
const BATCH: usize = 256;

/// A model with its network, for one thread.
#[derive(Debug)]
pub struct Predictor {
    network: Network,
    task: FittedTask,
}

impl Predictor {
    /// Compiles the network and takes its memory.
    ///
    /// # Errors
    /// If the network cannot be built.
    pub fn new(model: &Model) -> Result<Predictor, ModelError> {
        let batch = NonZeroUsize::new(BATCH).expect("256 is not 0");
        let threads = Threads::new(NonZeroU8::MIN);
        let plan = Plan::compile(&model.card.architecture, batch, threads, Purpose::Infer)?;
        Ok(Predictor {
            network: Network::new(plan, model.weights.clone()),
            task: model.card.preprocessor.task().clone(),
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
            FittedTask::Classification { classes } => Predictions::Classes {
                classes: classes.clone(),
                probabilities: outputs.chunks(classes.len()).map(softmax).collect(),
            },
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
