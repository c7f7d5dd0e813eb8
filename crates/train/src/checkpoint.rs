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
        Cow::Owned(little_endian(&self.values))
    }

    fn data_len(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

/// Numbers as the bytes of a file.
pub(crate) fn little_endian(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
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
        let weights = Weights::from_tensors(Weights::tensors_from_safetensors(bytes)?);
        weights.check(architecture)?;
        Ok(weights)
    }

    /// Reads all tensors of a file, whatever they belong to.
    pub(crate) fn tensors_from_safetensors(
        bytes: &[u8],
    ) -> Result<BTreeMap<String, Tensor>, WeightsError> {
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
        Ok(found)
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

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn network() -> (Architecture, Weights) {
        let text = "in 2x4x4 | conv 3 k3 | bn | relu | dwconv k3 | ln | gap | dense 2";
        let architecture = text.parse().unwrap();
        let weights = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(1));
        (architecture, weights)
    }

    /// The message with which weights are refused after a change to them.
    fn refusal(change: impl FnOnce(&mut BTreeMap<String, Tensor>)) -> String {
        let (architecture, weights) = network();
        let mut tensors = weights
            .tensors()
            .map(|(name, tensor)| (name.to_string(), tensor.clone()))
            .collect();
        change(&mut tensors);
        let bytes = Weights::from_tensors(tensors).to_safetensors();
        Weights::from_safetensors(&bytes, &architecture)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn weights_come_back_bit_for_bit_and_always_as_the_same_bytes() {
        let (architecture, weights) = network();
        let bytes = weights.to_safetensors();
        assert_eq!(bytes, weights.clone().to_safetensors());
        assert_eq!(
            Weights::from_safetensors(&bytes, &architecture),
            Ok(weights)
        );
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused_by_the_tensors_name() {
        let missing = refusal(|tensors| drop(tensors.remove("1.bias")));
        assert!(
            missing.contains("1.bias") && missing.contains("missing"),
            "{missing}"
        );
        let unexpected = refusal(|tensors| {
            let tensor = tensors["1.bias"].clone();
            tensors.insert("9.weight".to_string(), tensor);
        });
        assert!(unexpected.contains("9.weight"), "{unexpected}");
        let shape = refusal(|tensors| {
            tensors.get_mut("7.weight").unwrap().shape = vec![2, 3];
        });
        assert!(
            shape.contains("[2, 3]") && shape.contains("[3, 2]"),
            "{shape}"
        );
        let infinite = refusal(|tensors| {
            tensors.get_mut("2.gain").unwrap().values[1] = f32::INFINITY;
        });
        assert!(
            infinite.contains("2.gain") && infinite.contains("index 1"),
            "{infinite}"
        );
        let negative = refusal(|tensors| {
            tensors.get_mut("2.variance").unwrap().values[0] = -1.0;
        });
        assert!(negative.contains("2.variance"), "{negative}");
    }

    #[test]
    fn bytes_that_are_no_safetensors_file_are_refused_not_trusted() {
        let (architecture, weights) = network();
        let bytes = weights.to_safetensors();
        for broken in [
            &bytes[..0],
            &bytes[..7],
            &bytes[..bytes.len() - 1],
            &[0xff; 64],
        ] {
            let error = Weights::from_safetensors(broken, &architecture).unwrap_err();
            assert!(matches!(error, WeightsError::Unreadable { .. }), "{error}");
        }
    }

    #[test]
    fn numbers_of_another_width_are_refused() {
        let (architecture, _) = network();
        let bytes = [0_u8; 16];
        let view = safetensors::tensor::TensorView::new(Dtype::F64, vec![2], &bytes).unwrap();
        let bytes = safetensors::serialize([("1.bias", view)], None).unwrap();
        let error = Weights::from_safetensors(&bytes, &architecture).unwrap_err();
        assert!(matches!(error, WeightsError::WrongType { .. }), "{error}");
    }
}
