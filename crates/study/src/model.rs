//! A finished model on disk: architecture, preprocessing and weights, nothing executable.
//!
//! Two files lie beside each other: `model.json` says what the model is and how raw rows become
//! numbers, `model.safetensors` holds the weights. The digest in the first names the second.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use data::{Examples, Preprocessor};
use morph::Architecture;
use search::{Setting, TrialId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use train::{PlanError, Weights};

use crate::{
    artifact::replace_durably,
    predictor::Predictor,
    trial::{Digest, notation},
};

/// Version of `model.json`; another one is refused, never guessed at.
pub const FORMAT: u32 = 1;

/// What `model.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Version of this file.
    pub format: u32,
    /// The trial that trained it.
    pub trial: TrialId,
    /// The network.
    #[serde(with = "notation")]
    pub architecture: Architecture,
    /// The hyperparameters it was trained with.
    pub setting: Setting,
    /// How raw rows become numbers.
    pub preprocessor: Preprocessor,
    /// Digest of the weights beside it.
    pub weights: Digest,
}

/// Why a model cannot be used.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file is missing or cannot be written.
    #[error("the model file {} could not be {action}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `model.json` cannot be understood.
    #[error("{} is no model description of format {FORMAT}", .path.display())]
    Card {
        /// Which.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error("{} has format {found}; this lehr reads format {FORMAT}", .path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The weights are not those the description names.
    #[error("{} does not hold the weights that model.json names: the two files do not belong together", .path.display())]
    OtherWeights {
        /// Which.
        path: PathBuf,
    },
    /// The weights do not fit the architecture.
    #[error(transparent)]
    Weights(#[from] train::WeightsError),
    /// The network cannot be built.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// A model in memory, ready to predict.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it is.
    pub card: ModelCard,
    /// Its weights.
    pub weights: Weights,
}

impl Model {
    /// Loads the model in this folder; a study folder's model is in `best/`.
    ///
    /// # Errors
    /// If a file is missing or damaged, or the two do not belong together.
    pub fn load(folder: &Path) -> Result<Model, ModelError> {
        let path = folder.join("model.json");
        let text = read(&path)?;
        let version: Version =
            serde_json::from_slice(&text).map_err(|source| ModelError::Card {
                path: path.clone(),
                source,
            })?;
        if version.format != FORMAT {
            return Err(ModelError::Format {
                path,
                found: version.format,
            });
        }
        let card: ModelCard =
            serde_json::from_slice(&text).map_err(|source| ModelError::Card { path, source })?;
        let path = folder.join("model.safetensors");
        let bytes = read(&path)?;
        if Digest::of(&bytes) != card.weights {
            return Err(ModelError::OtherWeights { path });
        }
        let weights = Weights::from_safetensors(&bytes, &card.architecture)?;
        Ok(Model { card, weights })
    }

    /// Writes both files; readers see the old model or the new one.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        let bytes = self.weights.to_safetensors();
        let card = serde_json::to_vec_pretty(&self.card).expect("a card has string keys only");
        write(&folder.join("model.safetensors"), &bytes)?;
        write(&folder.join("model.json"), &card)
    }

    /// What the network says of each example: logits, or standardised values; `[rows][outputs]`.
    ///
    /// # Errors
    /// If the network cannot be built.
    pub fn outputs(&self, examples: &Examples) -> Result<Vec<f32>, ModelError> {
        Ok(Predictor::new(self)?.outputs(examples))
    }

    /// Predictions in the user's words; whoever asks more than once makes a [`Predictor`].
    ///
    /// # Errors
    /// If the network cannot be built.
    pub fn predict(&self, examples: &Examples) -> Result<Predictions, ModelError> {
        Ok(Predictor::new(self)?.predict(examples))
    }
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// What a model says of rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Predictions {
    /// A probability for each class.
    Classes {
        /// Names of the classes.
        classes: Vec<String>,
        /// For each row, one per class, summing to 1.
        probabilities: Vec<Vec<f64>>,
    },
    /// A value in the target's own unit.
    Values {
        /// Name of the target.
        target: String,
        /// One per row.
        values: Vec<f64>,
    },
}

impl Predictions {
    /// Of how many rows.
    pub fn len(&self) -> usize {
        match self {
            Predictions::Classes { probabilities, .. } => probabilities.len(),
            Predictions::Values { values, .. } => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Probabilities from logits, safe against overflow.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits
        .iter()
        .map(|logit| f64::from(logit - largest).exp())
        .collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// Index of the most probable class; the first among equals.
pub fn most_probable(probabilities: &[f64]) -> usize {
    let mut best = 0;
    for (index, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[best] {
            best = index;
        }
    }
    best
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    fs::read(path).map_err(|source| ModelError::File {
        path: path.to_path_buf(),
        action: "read",
        source,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    replace_durably(path, bytes).map_err(|source| ModelError::File {
        path: path.to_path_buf(),
        action: "written",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_even_for_extreme_logits() {
        let probabilities = softmax(&[1000.0, 999.0, -1000.0]);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(most_probable(&probabilities), 0);
    }

    #[test]
    fn the_first_of_equally_probable_classes_is_taken() {
        assert_eq!(most_probable(&[0.2, 0.4, 0.4]), 1);
    }
}
