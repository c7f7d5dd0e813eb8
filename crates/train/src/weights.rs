//! The learned and measured values of a network, tensor by tensor, outside of any engine.
//!
//! A tensor is named after its layer and its part: `3.weight`, `3.bias`, `5.gain`, `5.shift`, `5.mean`,
//! `5.variance`. Layouts are the engine's: dense `[in][out]`, convolution `[ky][kx][in][out]`, depthwise
//! `[ky][kx][channels]` (over a series there is one ky), embedding `[codes][width]`, position
//! `[steps][channels]`, frequencies `[features][frequencies]`, attention `[channels][query, key, value]` and `[channels][channels]`. What
//! weights never know: optimizer state, gradients, data.

use std::collections::BTreeMap;

use morph::{Architecture, ChannelImportance, Layer, LayerId, Shape};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Values with a shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// As many values as the extents multiply to.
    pub values: Vec<f32>,
}

/// What a tensor is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Products: dense, convolution, depthwise, attention's queries, keys and values; the vectors of an
    /// embedding. Weight decay shrinks this part and the projection, nothing else.
    Weight,
    /// What is added to the products.
    Bias,
    /// Products of attention's last projection.
    Projection,
    /// What is added to those.
    ProjectionBias,
    /// Factor of a norm.
    Gain,
    /// Summand of a norm, or of a position.
    Shift,
    /// Frequencies of sines and cosines, in turns per unit.
    Frequency,
    /// Running mean of a batch norm: measured, not learned.
    Mean,
    /// Running variance of a batch norm: measured, not learned.
    Variance,
}

impl Part {
    /// Its name behind the layer's number.
    pub fn name(self) -> &'static str {
        match self {
            Part::Weight => "weight",
            Part::Bias => "bias",
            Part::Projection => "projection",
            Part::ProjectionBias => "projection_bias",
            Part::Gain => "gain",
            Part::Shift => "shift",
            Part::Frequency => "frequency",
            Part::Mean => "mean",
            Part::Variance => "variance",
        }
    }

    /// Whether weight decay shrinks it: not what is added, and not norms, which would only fight the
    /// layers before them.
    pub fn decays(self) -> bool {
        matches!(self, Part::Weight | Part::Projection)
    }

    /// Whether gradients change it.
    pub fn is_learned(self) -> bool {
        !matches!(self, Part::Mean | Part::Variance)
    }
}

/// A tensor that an architecture asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Whose it is.
    pub layer: LayerId,
    /// What it is.
    pub part: Part,
    /// Its extents.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// Its name among the weights.
    pub fn name(&self) -> String {
        name(self.layer, self.part)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values; no layer asks for such a tensor.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Name of a tensor: `3.weight`.
pub(crate) fn name(layer: LayerId, part: Part) -> String {
    format!("{layer}.{}", part.name())
}

/// All tensors that an architecture needs, in the order of its layers.
pub fn specification(architecture: &Architecture) -> Vec<TensorSpec> {
    architecture
        .ids()
        .flat_map(|layer| layer_specification(architecture, layer))
        .collect()
}

/// The tensors of one layer.
pub(crate) fn layer_specification(architecture: &Architecture, layer: LayerId) -> Vec<TensorSpec> {
    let shape = architecture.shape(layer);
    let output = shape.channels() as usize;
    let input = architecture
        .input_shapes(layer)
        .first()
        .map_or(0, |s| s.channels() as usize);
    let parts = match architecture.layer(layer) {
        Layer::Dense { .. } => {
            vec![
                (Part::Weight, vec![input, output]),
                (Part::Bias, vec![output]),
            ]
        }
        Layer::Conv { kernel, .. } => {
            let (rows, columns) = kernel.extents(shape);
            vec![
                (Part::Weight, vec![rows, columns, input, output]),
                (Part::Bias, vec![output]),
            ]
        }
        Layer::DepthwiseConv { kernel } => {
            let (rows, columns) = kernel.extents(shape);
            vec![
                (Part::Weight, vec![rows, columns, output]),
                (Part::Bias, vec![output]),
            ]
        }
        Layer::Embedding { codes, width } => {
            vec![(Part::Weight, vec![*codes as usize, *width as usize])]
        }
        Layer::Periodic { frequencies } => {
            vec![(Part::Frequency, vec![input, *frequencies as usize])]
        }
        Layer::Position => vec![(Part::Shift, vec![shape.positions(), output])],
        Layer::Attention { .. } => vec![
            (Part::Weight, vec![output, 3 * output]),
            (Part::Bias, vec![3 * output]),
            (Part::Projection, vec![output, output]),
            (Part::ProjectionBias, vec![output]),
        ],
        Layer::BatchNorm => [Part::Gain, Part::Shift, Part::Mean, Part::Variance]
            .map(|part| (part, vec![output]))
            .to_vec(),
        Layer::LayerNorm => [Part::Gain, Part::Shift]
            .map(|part| (part, vec![output]))
            .to_vec(),
        _ => Vec::new(),
    };
    parts
        .into_iter()
        .map(|(part, shape)| TensorSpec { layer, part, shape })
        .collect()
}

/// All weights of a network, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
}

/// Scale of the last layer's random weights relative to 1/√(inputs): small, so that a new network
/// starts by predicting nothing in particular.
const LAST_LAYER_SCALE: f64 = 0.25;

/// Deviation of a new layer's lowest and highest frequencies, in turns per deviation of a value. Chosen on the
/// validation rows of three tables (`docs/decisions/0024-periodic-embeddings.md`).
const FREQUENCIES: (f64, f64) = (0.05, 0.5);

/// What is kept of weights that are shrunk, and how much of random ones is added (Zaidi, Berariu, Kim,
/// Bornschein, Clopath, Teh, Pascanu 2022, arXiv:2206.10011).
const SHRINK: f32 = 0.4;
const PERTURB: f32 = 0.1;

impl Weights {
    /// Random weights for a new network.
    ///
    /// Products are normal with deviation √(2/inputs) per output, in attention with 1/√inputs, in the last
    /// layer with 0.25/√inputs; embeddings are normal with deviation 1, biases 0, norms neutral, frequencies
    /// normal.
    ///
    /// # Source
    /// He et al. 2015 (arXiv:1502.01852), equation 10; frequencies after Gorishniy, Rubachev, Babenko 2022
    /// (arXiv:2203.05556), section 3.3, with several deviations for one.
    pub fn fresh(architecture: &Architecture, rng: &mut ChaCha8Rng) -> Weights {
        let tensors = specification(architecture)
            .into_iter()
            .map(|spec| (spec.name(), fresh_tensor(architecture, &spec, rng)))
            .collect();
        Weights { tensors }
    }

    /// The same weights nearer to random ones, which learn on more freely: products become 0.4·w + 0.1·w₀
    /// with fresh w₀; biases and norms stay.
    ///
    /// # Source
    /// Ash, Adams 2020 (arXiv:1910.08475), section 4.
    #[must_use]
    pub fn shrunk(&self, architecture: &Architecture, rng: &mut ChaCha8Rng) -> Weights {
        let mut shrunk = self.clone();
        for spec in specification(architecture) {
            if !spec.part.decays() {
                continue;
            }
            let fresh = fresh_tensor(architecture, &spec, rng);
            let own = shrunk.values_mut(&spec.name()).unwrap_or_default();
            for (weight, fresh) in own.iter_mut().zip(&fresh.values) {
                *weight = SHRINK * *weight + PERTURB * fresh;
            }
        }
        shrunk
    }

    /// Weights from tensors that are known to fit their architecture.
    pub(crate) fn from_tensors(tensors: BTreeMap<String, Tensor>) -> Weights {
        Weights { tensors }
    }

    /// One tensor, by name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// All tensors, by name in alphabetical order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// One tensor to change in place: its shape stays as the architecture wants it.
    pub fn values_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        self.tensors
            .get_mut(name)
            .map(|tensor| tensor.values.as_mut_slice())
    }

    /// A part of a layer that is known to have it.
    pub(crate) fn part(&self, layer: LayerId, part: Part) -> &Tensor {
        self.tensors
            .get(&name(layer, part))
            .expect("these weights belong to the architecture that names the layer")
    }

    /// How much each output channel of each mixing layer matters: the sum of its weights' sizes.
    ///
    /// # Shapes
    /// One value per output channel of every dense, convolution and depthwise layer.
    pub fn importance(&self, architecture: &Architecture) -> ChannelImportance {
        let mixing = |layer: &LayerId| {
            matches!(
                architecture.layer(*layer),
                Layer::Dense { .. } | Layer::Conv { .. } | Layer::DepthwiseConv { .. }
            )
        };
        let sums = |layer: LayerId| {
            let channels = architecture.shape(layer).channels() as usize;
            let mut sums = vec![0.0_f32; channels];
            for row in self.part(layer, Part::Weight).values.chunks_exact(channels) {
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, weight)| *sum += weight.abs());
            }
            (layer, sums)
        };
        ChannelImportance::new(architecture.ids().filter(mixing).map(sums).collect())
    }
}

/// A tensor of a new network.
pub(crate) fn fresh_tensor(
    architecture: &Architecture,
    spec: &TensorSpec,
    rng: &mut ChaCha8Rng,
) -> Tensor {
    let count = spec.len();
    let values = match spec.part {
        Part::Bias | Part::ProjectionBias | Part::Shift | Part::Mean => vec![0.0; count],
        Part::Gain | Part::Variance => vec![1.0; count],
        Part::Frequency => frequencies(spec, rng),
        Part::Weight | Part::Projection => {
            let deviation = deviation(architecture, spec);
            (0..count)
                .map(|_| (deviation * standard_normal(rng)) as f32)
                .collect()
        }
    };
    Tensor {
        shape: spec.shape.clone(),
        values,
    }
}

/// Normal frequencies, each column with a deviation of its own, so that coarse and fine shapes can be learned.
fn frequencies(spec: &TensorSpec, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let columns = spec.shape.last().copied().unwrap_or(1);
    let steps = columns.saturating_sub(1).max(1) as f64;
    let (coarse, fine) = FREQUENCIES;
    let deviation = |column: usize| coarse * (fine / coarse).powf(column as f64 / steps);
    (0..spec.len())
        .map(|place| (deviation(place % columns) * standard_normal(rng)) as f32)
        .collect()
}

/// Deviation of a new layer's random weights.
fn deviation(architecture: &Architecture, spec: &TensorSpec) -> f64 {
    let outputs = spec.shape.last().copied().unwrap_or(1);
    let inputs = match architecture.layer(spec.layer) {
        // As PyTorch's: what reads the vectors sees values of one deviation.
        Layer::Embedding { .. } => return 1.0,
        // A depthwise channel sees only its own kernel.
        Layer::DepthwiseConv { .. } => spec.shape[0] * spec.shape[1],
        _ => spec.len() / outputs,
    };
    let inputs = inputs as f64;
    match architecture.layer(spec.layer) {
        // No rectifier stands before or behind a projection: its outputs shall be as large as its inputs.
        Layer::Attention { .. } => 1.0 / inputs.sqrt(),
        _ if is_last(architecture, spec.layer) => LAST_LAYER_SCALE / inputs.sqrt(),
        _ => (2.0 / inputs).sqrt(),
    }
}

fn is_last(architecture: &Architecture, layer: LayerId) -> bool {
    architecture.inputs(architecture.output()).contains(&layer)
        && matches!(architecture.shape(layer), Shape::Flat { .. })
}

/// A normal number by the Box–Muller transform.
fn standard_normal(rng: &mut ChaCha8Rng) -> f64 {
    // 1 − u lies in (0, 1]: its logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn shrunk_products_are_a_sum_of_old_and_fresh_ones_and_all_else_stays() {
        let architecture: Architecture = "in 1x8x8 | conv 4 k3 | bn | relu | gap | dense 3"
            .parse()
            .unwrap();
        let rng = |seed| ChaCha8Rng::seed_from_u64(seed);
        let old = Weights::fresh(&architecture, &mut rng(1));
        let fresh = Weights::fresh(&architecture, &mut rng(2));
        let shrunk = old.shrunk(&architecture, &mut rng(2));
        for spec in specification(&architecture) {
            let of = |weights: &Weights| weights.tensor(&spec.name()).unwrap().values.clone();
            let sums = of(&old).into_iter().zip(of(&fresh));
            let expected = match spec.part {
                Part::Weight => sums.map(|(old, fresh)| 0.4 * old + 0.1 * fresh).collect(),
                _ => of(&old),
            };
            assert_eq!(of(&shrunk), expected, "{}", spec.name());
        }
    }
}
