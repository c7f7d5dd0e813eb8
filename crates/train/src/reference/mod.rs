//! The slow and obvious interpreter of architectures, in `f64`: what the engine and the morphs are
//! proved against.
//!
//! Plain loops over plain vectors, one layer after the other, nothing fused, nothing shared. It never
//! calls the engine: only names and layouts of weights are the same, so that both can run the same
//! network. Tests use it; training never does.
//!
//! Read in this order: [`ReferenceWeights`] here, then `forward` (what a layer computes), `loss`,
//! `inherit` (how a child's weights come from its parent's).

mod forward;
mod inherit;
mod loss;

use std::collections::BTreeMap;

use morph::{Architecture, Layer, LayerId};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub use self::{
    forward::{Statistics, forward, forward_rounded},
    inherit::inherit,
    loss::loss,
};
use crate::weights::{Tensor, Weights};

/// Values with a shape, in `f64`.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceTensor {
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// As many values as the extents multiply to.
    pub values: Vec<f64>,
}

/// All weights of a network in `f64`, named and laid out as [`Weights`].
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceWeights {
    tensors: BTreeMap<String, ReferenceTensor>,
}

/// Parts of a layer's weights that gradients change.
const LEARNED: [&str; 7] = [
    "weight",
    "bias",
    "projection",
    "frequency",
    "projection_bias",
    "gain",
    "shift",
];

impl ReferenceWeights {
    /// Random weights without a single special value: biases, shifts and running means are not 0,
    /// gains have both signs, running variances are not 1. Every value is an `f32`.
    pub fn drawn(architecture: &Architecture, rng: &mut ChaCha8Rng) -> ReferenceWeights {
        let mut tensors = BTreeMap::new();
        for layer in architecture.ids() {
            tensors.extend(drawn_layer(architecture, layer, rng));
        }
        ReferenceWeights { tensors }
    }

    /// One tensor, by name.
    pub fn tensor(&self, name: &str) -> Option<&ReferenceTensor> {
        self.tensors.get(name)
    }

    /// All tensors, by name in alphabetical order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &ReferenceTensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// One tensor's values, to be changed in place.
    pub fn values_mut(&mut self, name: &str) -> Option<&mut [f64]> {
        self.tensors
            .get_mut(name)
            .map(|tensor| tensor.values.as_mut_slice())
    }

    /// Names of the tensors that gradients change.
    pub fn learned(&self) -> Vec<String> {
        let is_learned = |name: &&String| {
            LEARNED
                .iter()
                .any(|part| name.ends_with(&format!(".{part}")))
        };
        self.tensors.keys().filter(is_learned).cloned().collect()
    }

    /// Number of learned values.
    pub fn parameters(&self) -> u64 {
        self.learned()
            .iter()
            .map(|name| self.tensors[name].values.len() as u64)
            .sum()
    }

    /// The same values for the engine, each rounded to `f32`.
    pub fn rounded(&self) -> Weights {
        let round = |tensor: &ReferenceTensor| Tensor {
            shape: tensor.shape.clone(),
            values: tensor.values.iter().map(|value| *value as f32).collect(),
        };
        let tensors = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), round(tensor)));
        Weights::from_tensors(tensors.collect())
    }

    fn values(&self, layer: LayerId, part: &str) -> &[f64] {
        &self.part(layer, part).values
    }

    fn part(&self, layer: LayerId, part: &str) -> &ReferenceTensor {
        let name = format!("{layer}.{part}");
        self.tensors
            .get(&name)
            .expect("these weights belong to the architecture of this layer")
    }
}

impl From<&Weights> for ReferenceWeights {
    fn from(weights: &Weights) -> ReferenceWeights {
        let exact = |tensor: &Tensor| ReferenceTensor {
            shape: tensor.shape.clone(),
            values: tensor
                .values
                .iter()
                .map(|value| f64::from(*value))
                .collect(),
        };
        let tensors = weights
            .tensors()
            .map(|(name, tensor)| (name.to_string(), exact(tensor)));
        ReferenceWeights {
            tensors: tensors.collect(),
        }
    }
}

/// Names and shapes of a layer's tensors.
fn shapes(architecture: &Architecture, layer: LayerId) -> Vec<(&'static str, Vec<usize>)> {
    let shape = architecture.shape(layer);
    let outputs = shape.channels() as usize;
    let inputs = architecture
        .input_shapes(layer)
        .first()
        .map_or(0, |s| s.channels() as usize);
    match architecture.layer(layer) {
        Layer::Dense { .. } => vec![("weight", vec![inputs, outputs]), ("bias", vec![outputs])],
        Layer::Conv { kernel, .. } => {
            let (rows, columns) = kernel.extents(shape);
            vec![
                ("weight", vec![rows, columns, inputs, outputs]),
                ("bias", vec![outputs]),
            ]
        }
        Layer::DepthwiseConv { kernel } => {
            let (rows, columns) = kernel.extents(shape);
            vec![
                ("weight", vec![rows, columns, outputs]),
                ("bias", vec![outputs]),
            ]
        }
        Layer::BatchNorm => ["gain", "shift", "mean", "variance"]
            .map(|part| (part, vec![outputs]))
            .to_vec(),
        Layer::LayerNorm => ["gain", "shift"].map(|part| (part, vec![outputs])).to_vec(),
        Layer::Embedding { codes, width } => {
            vec![("weight", vec![*codes as usize, *width as usize])]
        }
        Layer::Periodic { frequencies } => {
            vec![("frequency", vec![inputs, *frequencies as usize])]
        }
        Layer::Position => vec![("shift", vec![shape.positions(), outputs])],
        Layer::Attention { .. } => vec![
            ("weight", vec![outputs, 3 * outputs]),
            ("bias", vec![3 * outputs]),
            ("projection", vec![outputs, outputs]),
            ("projection_bias", vec![outputs]),
        ],
        _ => Vec::new(),
    }
}

fn drawn_layer(
    architecture: &Architecture,
    layer: LayerId,
    rng: &mut ChaCha8Rng,
) -> Vec<(String, ReferenceTensor)> {
    let mut tensors = Vec::new();
    for (part, shape) in shapes(architecture, layer) {
        let count: usize = shape.iter().product();
        let fan_in = count / shape[shape.len() - 1];
        let values = (0..count).map(|_| drawn_value(part, fan_in, rng)).collect();
        tensors.push((format!("{layer}.{part}"), ReferenceTensor { shape, values }));
    }
    tensors
}

fn drawn_value(part: &str, fan_in: usize, rng: &mut ChaCha8Rng) -> f64 {
    let value: f64 = match part {
        // Uniform with deviation √(2/inputs), so that values neither die out nor explode.
        "weight" | "projection" => rng.random_range(-1.0..1.0) * (6.0 / fan_in as f64).sqrt(),
        "gain" => rng.random_range(0.5..1.5) * if rng.random() { 1.0 } else { -1.0 },
        "variance" => rng.random_range(0.3..2.0),
        _ => rng.random_range(-0.5..0.5),
    };
    f64::from(value as f32)
}
