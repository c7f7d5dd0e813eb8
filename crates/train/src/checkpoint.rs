//! Weights as a safetensors file and back, with everything checked before anything is used.
//!
//! The format holds plain numbers, never code. A file from elsewhere must name exactly the tensors of
//! its architecture, in their shapes, as finite `f32`.

use std::{borrow::Cow, collections::BTreeMap};

use morph::Architecture;
use safetensors::{Dtype, SafeTensors, View};
use thiserror::Error;

use crate::weights::{Part, Tensor, TensorSpec, Weights, specification};

/// Why a file holds no weights for this architecture.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum WeightsError {
    /// Not a safetensors file, or a broken one.
    #[error("the weights cannot be read as safetensors: {reason}")]
    Unreadable {
        /// What the reader said.
        reason: String,
    },
    /// A tensor that the architecture needs is not there.
    #[error("tensor `{name}` is missing; the architecture has a layer that needs it")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tensor that no layer asks for.
    #[error("tensor `{name}` belongs to no layer of the architecture")]
    Unexpected {
        /// Its name.
        name: String,
    },
    /// Wrong extents.
    #[error("tensor `{name}` has shape {found:?}; the architecture needs {expected:?}")]
    WrongShape {
        /// Its name.
        name: String,
        /// What the file has.
        found: Vec<usize>,
        /// What the layer needs.
        expected: Vec<usize>,
    },
    /// Not 32-bit floats.
    #[error("tensor `{name}` holds {found}; weights are F32")]
    WrongType {
        /// Its name.
        name: String,
        /// What the file has.
        found: String,
    },
    /// NaN or infinity.
    #[error("tensor `{name}` has the value {value} at index {index}; weights are finite")]
    NotFinite {
        /// Its name.
        name: String,
        /// Where.
        index: usize,
        /// What stands there.
        value: f32,
    },
    /// A variance below zero.
    #[error("tensor `{name}` has the value {value} at index {index}; a variance is not negative")]
    Negative {
        /// Its name.
        name: String,
        /// Where.
        index: usize,
        /// What stands there.
        value: f32,
    },
}

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(
            self.values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        )
    }

    fn data_len(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

impl Weights {
    /// The weights as the bytes of a safetensors file; the same weights give the same bytes.
    pub fn to_safetensors(&self) -> Vec<u8> {
        safetensors::serialize(self.tensors(), None)
            .expect("shapes and lengths of weights agree, which is all that can fail in memory")
    }

    /// Reads and checks weights for an architecture.
    ///
    /// # Errors
    /// The first thing that is not as the architecture needs it, with the tensor's name.
    pub fn from_safetensors(
        bytes: &[u8],
        architecture: &Architecture,
    ) -> Result<Weights, WeightsError> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| WeightsError::Unreadable {
            reason: error.to_string(),
        })?;
        let mut found = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                let found = format!("{:?}", view.dtype());
                return Err(WeightsError::WrongType {
                    name: name.to_string(),
                    found,
                });
            }
            let (chunks, _) = view.data().as_chunks::<4>();
            let values = chunks
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            found.insert(
                name.to_string(),
                Tensor {
                    shape: view.shape().to_vec(),
                    values,
                },
            );
        }
        let weights = Weights::from_tensors(found);
        weights.check(architecture)?;
        Ok(weights)
    }

    /// Proves that these are weights for this architecture.
    ///
    /// # Errors
    /// The first tensor that is missing, unexpected, of the wrong shape or not finite.
    pub fn check(&self, architecture: &Architecture) -> Result<(), WeightsError> {
        let specs = specification(architecture);
        for spec in &specs {
            let name = spec.name();
            let tensor = self.tensor(&name).ok_or(WeightsError::Missing { name })?;
            check_tensor(spec, tensor)?;
        }
        let known: std::collections::BTreeSet<String> =
            specs.iter().map(TensorSpec::name).collect();
        match self.tensors().find(|(name, _)| !known.contains(*name)) {
            Some((name, _)) => Err(WeightsError::Unexpected {
                name: name.to_string(),
            }),
            None => Ok(()),
        }
    }
}

fn check_tensor(spec: &TensorSpec, tensor: &Tensor) -> Result<(), WeightsError> {
    let name = spec.name();
    if tensor.shape != spec.shape {
        let (found, expected) = (tensor.shape.clone(), spec.shape.clone());
        return Err(WeightsError::WrongShape {
            name,
            found,
            expected,
        });
    }
    let values = || tensor.values.iter().copied().enumerate();
    if let Some((index, value)) = values().find(|(_, value)| !value.is_finite()) {
        return Err(WeightsError::NotFinite { name, index, value });
    }
    if spec.part == Part::Variance
        && let Some((index, value)) = values().find(|(_, value)| *value < 0.0)
    {
        return Err(WeightsError::Negative { name, index, value });
    }
    Ok(())
}
