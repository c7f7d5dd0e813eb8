//! A finished model on disk: architecture, preprocessing and weights, nothing executable.
//!
//! Two files lie beside each other: `model.json` says what the model is and how raw rows become
//! numbers, `model.safetensors` holds the weights. The digest in the first names the second.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use data::{Examples, Preprocessor};
use morph::{Architecture, Layer, Shape};
use search::{Setting, Tokens, TrialId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use train::{Calibration, PlanError, Weights};

use crate::{
    artifact::replace_together,
    predictor::Predictor,
    prepared::network_task,
    trial::{Digest, notation},
};

/// Version of `model.json`; another one is refused, never guessed at.
pub const FORMAT: u32 = 1;

/// What `model.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Version of this file.
    pub format: u32,
    /// The trial that trained it; of an ensemble, the one that counts most.
    pub trial: TrialId,
    /// The trials that answer together, the one that counts most first; empty if it is one alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<EnsembleMember>,
    /// The network.
    #[serde(with = "notation")]
    pub architecture: Architecture,
    /// The hyperparameters it was trained with.
    pub setting: Setting,
    /// How raw rows become numbers.
    pub preprocessor: Preprocessor,
    /// How outputs become probabilities and labels; models of earlier versions say as the network does.
    #[serde(default)]
    pub calibration: Calibration,
    /// Digest of the weights beside it.
    pub weights: Digest,
}

/// A trial that answers together with others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnsembleMember {
    /// Which.
    pub trial: TrialId,
    /// How much it counts; together they are 1.
    pub share: f64,
}

impl ModelCard {
    /// What the model is, as a name.
    pub fn origin(&self) -> String {
        match &self.members[..] {
            [] => format!("trial {}", self.trial),
            members => format!("an ensemble of {} trials", members.len()),
        }
    }
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
    /// The network does not take or tell what the preprocessing does.
    #[error(
        "{} describes a network from {network}, but its preprocessing is from {preprocessing}: it has been \
         changed since lehr wrote it, and cannot be used", .path.display()
    )]
    Unlike {
        /// Which.
        path: PathBuf,
        /// What the network takes and tells.
        network: String,
        /// What it would be given and asked for.
        preprocessing: String,
    },
    /// The calibration is one of two classes, the network is not.
    #[error(
        "{} has an offset or a threshold, which are of two classes, but its network has {outputs} output(s): it \
         has been changed since lehr wrote it, and cannot be used", .path.display()
    )]
    Miscalibrated {
        /// Which.
        path: PathBuf,
        /// What the network tells.
        outputs: u32,
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
        match Model::load_once(folder) {
            // Read between the one and the other, while a better model took its place.
            Err(ModelError::OtherWeights { .. }) => Model::load_once(folder),
            loaded => loaded,
        }
    }

    fn load_once(folder: &Path) -> Result<Model, ModelError> {
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
        let card: ModelCard = serde_json::from_slice(&text).map_err(|source| ModelError::Card {
            path: path.clone(),
            source,
        })?;
        check_network(&card, &path)?;
        check_calibration(&card, &path)?;
        let path = folder.join("model.safetensors");
        let bytes = read(&path)?;
        if Digest::of(&bytes) != card.weights {
            return Err(ModelError::OtherWeights { path });
        }
        let weights = Weights::from_safetensors(&bytes, &card.architecture)?;
        Ok(Model { card, weights })
    }

    /// Writes both files. Who loads a model while it is replaced sees the old one or the new one.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        let bytes = self.weights.to_safetensors();
        let card = serde_json::to_vec_pretty(&self.card).expect("a card has string keys only");
        let weights = folder.join("model.safetensors");
        let described = folder.join("model.json");
        replace_together(&[(&weights, &bytes), (&described, &card)]).map_err(|source| {
            ModelError::File {
                path: folder.to_path_buf(),
                action: "written",
                source,
            }
        })
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

/// Whether the network takes what preprocessing gives, and tells as many things as there are.
fn check_network(card: &ModelCard, path: &Path) -> Result<(), ModelError> {
    let task = network_task(&card.preprocessor);
    let network = &card.architecture;
    // The codes of an embedding are those of the texts.
    let codes = network.ids().find_map(|id| match network.layer(id) {
        Layer::Embedding { codes, .. } => Some(*codes),
        _ => None,
    });
    let said = |input: Shape, codes: Option<u32>, outputs: u32| {
        let codes = codes.map_or(String::new(), |codes| format!(" of {codes} codes"));
        format!("{input}{codes} to {outputs} output(s)")
    };
    let (own, asked) = (
        said(network.input_shape(), codes, network.outputs()),
        said(task.input, task.tokens.map(Tokens::codes), task.outputs),
    );
    match own == asked {
        true => Ok(()),
        false => Err(ModelError::Unlike {
            path: path.to_path_buf(),
            network: own,
            preprocessing: asked,
        }),
    }
}

/// Whether the calibration is one of as many classes as the network has outputs.
fn check_calibration(card: &ModelCard, path: &Path) -> Result<(), ModelError> {
    let outputs = card.architecture.outputs();
    match card.calibration.is_of_two_classes() && outputs != 2 {
        true => Err(ModelError::Miscalibrated {
            path: path.to_path_buf(),
            outputs,
        }),
        false => Ok(()),
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
        /// For each row, which class is said: the most probable one, or that of the threshold.
        labels: Vec<usize>,
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

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    fs::read(path).map_err(|source| ModelError::File {
        path: path.to_path_buf(),
        action: "read",
        source,
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn model() -> Model {
        model_of(&["no", "yes"])
    }

    fn model_of(classes: &[&str]) -> Model {
        let text = format!("in 1 | dense {}", classes.len());
        let architecture: Architecture = text.parse().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let weights = Weights::fresh(&architecture, &mut rng);
        let preprocessor = serde_json::json!({
            "format": 1,
            "inputs": { "columns": [{
                "name": "size", "kind": "numeric", "fill": 0.0, "missing_indicator": "absent",
                "shift": 1.0, "scale": 2.0,
            }] },
            "task": { "kind": "classification", "classes": classes },
        });
        let card = ModelCard {
            format: FORMAT,
            trial: TrialId(3),
            members: Vec::new(),
            architecture,
            setting: Setting::default(),
            preprocessor: serde_json::from_value(preprocessor).unwrap(),
            calibration: Calibration::new(2.0, 0.3).unwrap().with_offset(-0.7),
            weights: Digest::of(&weights.to_safetensors()),
        };
        Model { card, weights }
    }

    #[test]
    fn a_model_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        model().save(folder.path()).unwrap();
        let read = Model::load(folder.path()).unwrap();
        assert_eq!(read.card, model().card);
    }

    #[test]
    fn a_model_from_before_there_was_a_calibration_says_as_its_network_does() {
        let folder = tempfile::tempdir().unwrap();
        model().save(folder.path()).unwrap();
        let path = folder.path().join("model.json");
        let text = fs::read_to_string(&path).unwrap();
        let mut card: serde_json::Value = serde_json::from_str(&text).unwrap();
        card.as_object_mut().unwrap().remove("calibration").unwrap();
        fs::write(&path, card.to_string()).unwrap();
        let old = Model::load(folder.path()).unwrap();
        assert_eq!(old.card.calibration, Calibration::default());
    }

    #[test]
    fn an_offset_or_a_threshold_of_more_than_two_classes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let plain = Calibration::new(2.0, 0.5).unwrap();
        for (calibration, is_refused) in [
            (plain, false),
            (plain.with_offset(0.1), true),
            (Calibration::new(2.0, 0.3).unwrap(), true),
        ] {
            let mut model = model_of(&["no", "yes", "perhaps"]);
            model.card.calibration = calibration;
            model.save(folder.path()).unwrap();
            let loaded = Model::load(folder.path());
            let refused = matches!(loaded, Err(ModelError::Miscalibrated { outputs: 3, .. }));
            assert_eq!(refused, is_refused, "{calibration:?}");
        }
    }

    #[test]
    fn predictions_follow_temperature_offset_and_threshold() {
        let shape = data::ItemShape::Features(1);
        let rows: Vec<f32> = (-20..20).map(|step| step as f32 / 4.0).collect();
        let examples = Examples::from_floats(shape, rows, data::Targets::None);
        let model = model();
        let outputs = model.outputs(&examples).unwrap();
        let Predictions::Classes {
            probabilities,
            labels,
            ..
        } = model.predict(&examples).unwrap()
        else {
            panic!("the model tells classes")
        };
        for ((logits, row), label) in outputs.chunks(2).zip(&probabilities).zip(labels) {
            let distance = f64::from((logits[1] - logits[0]) / 2.0);
            let wanted = 1.0 / (1.0 + (0.7 - distance).exp());
            assert!((row[1] - wanted).abs() < 1e-6);
            assert_eq!(label, usize::from(row[1] > 0.3));
        }
    }
}
