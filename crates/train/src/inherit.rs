//! Carrying out a weight plan: a child's weights from its parent's.
//!
//! The plan says for each layer where its channels come from (see `morph::weight_plan`); here the
//! numbers are copied. Nothing is trained, and nothing is guessed: a plan that does not fit its parent
//! is a bug of the morph that made it, and panics.

use std::collections::BTreeMap;

use morph::{ChannelSource, Layer, LayerId, LayerPlan, Morphed};
use rand_chacha::ChaCha8Rng;

use crate::weights::{Part, Tensor, TensorSpec, Weights, fresh_tensor, layer_specification};

impl Weights {
    /// The weights that a child starts with.
    ///
    /// # Panics
    /// If the plan names layers or channels that the parent's weights do not have.
    pub fn inherited(morphed: &Morphed, parent: &Weights, rng: &mut ChaCha8Rng) -> Weights {
        let architecture = &morphed.architecture;
        let mut tensors = BTreeMap::new();
        for (layer, plan) in architecture.ids().zip(&morphed.weights.layers) {
            for spec in layer_specification(architecture, layer) {
                let tensor = match plan {
                    LayerPlan::Weightless | LayerPlan::Fresh => {
                        fresh_tensor(architecture, &spec, rng)
                    }
                    LayerPlan::Inherit {
                        parent: from,
                        outputs,
                        inputs,
                    } => {
                        let old = parent.part(*from, spec.part);
                        inherit(architecture.layer(layer), &spec, old, outputs, inputs)
                    }
                    LayerPlan::Frequencies { parent: from } => {
                        let mut tensor = fresh_tensor(architecture, &spec, rng);
                        overwrite_first(&mut tensor, parent.part(*from, spec.part));
                        tensor
                    }
                    LayerPlan::Identity => identity(architecture.layer(layer), &spec),
                    LayerPlan::Zero | LayerPlan::ZeroGain => silent(&spec),
                };
                tensors.insert(spec.name(), tensor);
            }
        }
        Weights::from_tensors(tensors)
    }

    /// Share of a child's learned values that come from these, its parent's weights.
    ///
    /// Not counted as inherited: zeros of channels or kernel borders that the parent did not have,
    /// identities, and what is drawn anew.
    ///
    /// # Units
    /// A fraction in `0.0..=1.0`; 1 for a network without weights.
    pub fn inherited_share(&self, morphed: &Morphed) -> f64 {
        let (mut inherited, mut all) = (0_u64, 0_u64);
        for (layer, plan) in morphed.architecture.ids().zip(&morphed.weights.layers) {
            for spec in layer_specification(&morphed.architecture, layer) {
                if !spec.part.is_learned() {
                    continue;
                }
                all += spec.len() as u64;
                inherited += match plan {
                    LayerPlan::Inherit { parent, inputs, .. } => {
                        self.inherited_values(*parent, &spec, inputs)
                    }
                    LayerPlan::Frequencies { parent } => {
                        let old = self.part(*parent, spec.part).values.len();
                        old.min(spec.len()) as u64
                    }
                    _ => 0,
                };
            }
        }
        if all == 0 {
            1.0
        } else {
            inherited as f64 / all as f64
        }
    }

    fn inherited_values(
        &self,
        parent: LayerId,
        spec: &TensorSpec,
        inputs: &[ChannelSource],
    ) -> u64 {
        let old = self.part(parent, spec.part);
        if spec.part != Part::Weight || old.shape == spec.shape && inputs.is_empty() {
            return spec.len() as u64;
        }
        // Kernels have three extents or four; only where both have a tap is one inherited.
        let taps = match (old.shape.as_slice(), spec.shape.as_slice()) {
            ([old_rows, old_columns, _, ..], [rows, columns, _, ..]) => {
                old_rows.min(rows) * old_columns.min(columns)
            }
            _ => 1,
        };
        let heard = inputs
            .iter()
            .filter(|source| matches!(source, ChannelSource::Parent { .. }));
        let rows = if inputs.is_empty() { 1 } else { heard.count() };
        let outputs = spec.shape.last().copied().unwrap_or(0);
        (taps * rows * outputs) as u64
    }
}

fn inherit(
    layer: &Layer,
    spec: &TensorSpec,
    old: &Tensor,
    outputs: &[u32],
    inputs: &[ChannelSource],
) -> Tensor {
    let values = match (spec.part, layer) {
        // No morph changes the channels of these.
        (_, Layer::Embedding { .. } | Layer::Periodic { .. } | Layer::Attention { .. }) => {
            old.values.clone()
        }
        (Part::Weight, Layer::DepthwiseConv { .. }) => {
            let each = [ChannelSource::Parent {
                channel: 0,
                share: 1.0,
            }];
            remix(&spec.shape, old, outputs, &each)
        }
        (Part::Weight, _) => remix(&spec.shape, old, outputs, inputs),
        // Biases, norms and their statistics follow the output channels, positions at every step.
        _ => {
            let channels = old.shape.last().copied().unwrap_or(1);
            let rows = old.values.chunks_exact(channels);
            rows.flat_map(|row| outputs.iter().map(|channel| row[*channel as usize]))
                .collect()
        }
    };
    let tensor = Tensor {
        shape: spec.shape.clone(),
        values,
    };
    assert_eq!(
        tensor.values.len(),
        spec.len(),
        "a weight plan names every channel of {spec:?}"
    );
    tensor
}

/// Puts the frequencies that a layer has of each value in the place of the first ones of another.
///
/// # Shapes
/// Both are `[values][frequencies]`, with as many values.
fn overwrite_first(new: &mut Tensor, old: &Tensor) {
    let width = |tensor: &Tensor| *tensor.shape.last().expect("waves have frequencies");
    let (new_width, old_width) = (width(new), width(old));
    let both = new_width.min(old_width);
    let rows = new.values.chunks_exact_mut(new_width);
    for (new, old) in rows.zip(old.values.chunks_exact(old_width)) {
        new[..both].copy_from_slice(&old[..both]);
    }
}

/// Rows and columns of taps; a matrix is one tap.
fn taps(shape: &[usize]) -> (usize, usize) {
    match shape {
        [rows, columns, _, ..] => (*rows, *columns),
        _ => (1, 1),
    }
}

/// `[ky][kx][in][out]` of the child from the parent's; kernels are aligned at their centres.
fn remix(shape: &[usize], old: &Tensor, outputs: &[u32], inputs: &[ChannelSource]) -> Vec<f32> {
    let ((rows, columns), (old_rows, old_columns)) = (taps(shape), taps(&old.shape));
    let old_outputs = *old.shape.last().expect("weights have extents");
    let tap = old.values.len() / (old_rows * old_columns);
    let aligned = |at: usize, new: usize, old: usize| {
        (at + old / 2).checked_sub(new / 2).filter(|at| *at < old)
    };
    let mut values = Vec::with_capacity(rows * columns * inputs.len() * outputs.len());
    for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
        let old_tap = aligned(y, rows, old_rows)
            .zip(aligned(x, columns, old_columns))
            .map(|(y, x)| &old.values[(y * old_columns + x) * tap..]);
        for source in inputs {
            match (old_tap, source) {
                (Some(old_tap), ChannelSource::Parent { channel, share }) => {
                    let row = &old_tap[*channel as usize * old_outputs..][..old_outputs];
                    let scaled = |output: &u32| (f64::from(row[*output as usize]) * share) as f32;
                    values.extend(outputs.iter().map(scaled));
                }
                _ => values.extend(outputs.iter().map(|_| 0.0)),
            }
        }
    }
    values
}

/// A layer that passes its input on unchanged.
fn identity(layer: &Layer, spec: &TensorSpec) -> Tensor {
    if spec.part != Part::Weight {
        return neutral(spec);
    }
    let mut tensor = Tensor {
        shape: spec.shape.clone(),
        values: vec![0.0; spec.len()],
    };
    let outputs = *spec.shape.last().expect("weights have extents");
    if let Layer::DepthwiseConv { .. } = layer {
        let centre = spec.shape[0] * spec.shape[1] / 2;
        tensor.values[centre * outputs..][..outputs].fill(1.0);
        return tensor;
    }
    let inputs = spec.shape[spec.shape.len() - 2];
    assert_eq!(inputs, outputs, "an identity has as many outputs as inputs");
    let taps = spec.len() / (inputs * outputs);
    let centre = taps / 2 * inputs * outputs;
    (0..inputs).for_each(|channel| tensor.values[centre + channel * outputs + channel] = 1.0);
    tensor
}

/// A layer that puts out zeros.
fn silent(spec: &TensorSpec) -> Tensor {
    let value = if spec.part == Part::Variance {
        1.0
    } else {
        0.0
    };
    Tensor {
        shape: spec.shape.clone(),
        values: vec![value; spec.len()],
    }
}

fn neutral(spec: &TensorSpec) -> Tensor {
    let value = if matches!(spec.part, Part::Gain | Part::Variance) {
        1.0
    } else {
        0.0
    };
    Tensor {
        shape: spec.shape.clone(),
        values: vec![value; spec.len()],
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use morph::{Architecture, ChannelImportance, Morph};
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::{Mode, Network, Plan, Purpose, Threads};

    const ROWS: usize = 6;

    fn outputs(architecture: &Architecture, weights: &Weights, mode: Mode) -> Vec<f32> {
        let batch = NonZeroUsize::new(ROWS).unwrap();
        let plan = Plan::compile(architecture, batch, Threads::ONE, Purpose::Infer).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let count = ROWS * architecture.input_shape().values();
        let inputs: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
        Network::new(plan, weights.clone())
            .forward(&inputs, mode)
            .to_vec()
    }

    /// Carries a morph out on random weights; returns what share was inherited.
    fn check(text: &str, morph: &Morph) -> f64 {
        let architecture: Architecture = text.parse().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let parent = Weights::fresh(&architecture, &mut rng);
        let morphed = morph
            .apply(&architecture, &ChannelImportance::unknown())
            .unwrap();
        let child = Weights::inherited(&morphed, &parent, &mut rng);
        child.check(&morphed.architecture).unwrap();
        for mode in [Mode::Eval, Mode::BatchStatistics] {
            let before = outputs(&architecture, &parent, mode);
            let after = outputs(&morphed.architecture, &child, mode);
            let most = before
                .iter()
                .zip(&after)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(most < 1e-5, "{morph}, {mode:?}: {most}");
        }
        parent.inherited_share(&morphed)
    }

    const IMAGES: &str = "in 2x6x6 | conv 4 k3 | bn | relu | conv 5 k3 | bn | relu | gap | dense 3";

    #[test]
    fn a_wider_layer_computes_the_same_from_copied_channels() {
        let widen = Morph::Widen {
            layer: LayerId::at(1),
            extra: 3,
            seed: 1,
        };
        assert_eq!(check(IMAGES, &widen), 1.0);
    }

    #[test]
    fn a_larger_kernel_inherits_its_centre_and_computes_the_same() {
        let share = check(
            IMAGES,
            &Morph::GrowKernel {
                layer: LayerId::at(4),
            },
        );
        // 9 of 25 taps of 4·5 weights; all of the other layers'.
        let (rest, old, new) = (2 * 4 * 9 + 4 + 8 + 5 + 10 + 18, 9 * 20, 25 * 20);
        let expected = f64::from(rest + old) / f64::from(rest + new);
        assert!((share - expected).abs() < 1e-12, "{share} and {expected}");
    }

    #[test]
    fn new_waves_say_nothing_yet_and_the_others_keep_their_frequencies() {
        let text = "in 5 | periodic 2 | dense 6 | bn | relu | dense 3";
        let layer = LayerId::at(1);
        let share = check(text, &Morph::AddFrequencies { layer, extra: 3 });
        // Of the frequencies 10 of 25, of the rows of the first matrix 25 of 55; all of the rest.
        let (rest, old, new) = (6 + 12 + 18 + 3, 10 + 25 * 6, 25 + 55 * 6);
        let expected = f64::from(rest + old) / f64::from(rest + new);
        assert!((share - expected).abs() < 1e-12, "{share} and {expected}");
        let first = Morph::AddFrequencies {
            layer: LayerId::at(0),
            extra: 4,
        };
        check("in 5 | dense 6 | bn | relu | dense 3", &first);
    }

    #[test]
    fn a_skip_that_says_nothing_yet_changes_nothing() {
        let skip = Morph::AddSkip {
            from: LayerId::at(3),
            to: LayerId::at(6),
        };
        let share = check(IMAGES, &skip);
        assert!((0.5..1.0).contains(&share), "{share}");
    }

    #[test]
    fn the_same_random_numbers_give_the_same_child() {
        let architecture: Architecture = IMAGES.parse().unwrap();
        let parent = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(1));
        let morph = Morph::AddSkip {
            from: LayerId::at(3),
            to: LayerId::at(6),
        };
        let morphed = morph
            .apply(&architecture, &ChannelImportance::unknown())
            .unwrap();
        let child = || Weights::inherited(&morphed, &parent, &mut ChaCha8Rng::seed_from_u64(2));
        assert_eq!(child(), child());
    }
}
