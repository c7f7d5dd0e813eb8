//! Carrying out a weight plan value by value: for every place of the child's tensor, where in the
//! parent's it comes from.

use std::collections::BTreeMap;

use morph::{ChannelSource, Layer, LayerId, LayerPlan, Morphed};
use rand_chacha::ChaCha8Rng;

use super::{ReferenceTensor, ReferenceWeights, drawn_layer, shapes};

/// The weights that a child starts with.
///
/// Layers that the plan leaves to chance are drawn as in [`ReferenceWeights::drawn`]: a morph that
/// keeps the function must keep it whatever is drawn.
///
/// # Panics
/// If the plan names layers or channels that the parent's weights do not have.
pub fn inherit(
    morphed: &Morphed,
    parent: &ReferenceWeights,
    rng: &mut ChaCha8Rng,
) -> ReferenceWeights {
    let architecture = &morphed.architecture;
    assert_eq!(
        architecture.nodes().len(),
        morphed.weights.layers.len(),
        "a weight plan has one entry per layer"
    );
    let mut tensors = BTreeMap::new();
    for (layer, plan) in architecture.ids().zip(&morphed.weights.layers) {
        if *plan == LayerPlan::Fresh {
            tensors.extend(drawn_layer(architecture, layer, rng));
            continue;
        }
        let kind = architecture.layer(layer);
        for (part, shape) in shapes(architecture, layer) {
            let values = match plan {
                LayerPlan::Inherit {
                    parent: from,
                    outputs,
                    inputs,
                } => {
                    let old = parent.part(*from, part);
                    inherited(kind, part, &shape, old, outputs, inputs)
                }
                LayerPlan::Frequencies { parent: from } => {
                    let (_, drawn) = drawn_layer(architecture, layer, rng).remove(0);
                    first_of(parent.part(*from, part), &drawn.values, shape[1])
                }
                LayerPlan::Identity => identity(kind, part, &shape),
                LayerPlan::Zero | LayerPlan::ZeroGain => {
                    let value = if part == "variance" { 1.0 } else { 0.0 };
                    vec![value; shape.iter().product()]
                }
                LayerPlan::Weightless | LayerPlan::Fresh => {
                    panic!("layer {layer} has weights, but the plan has none for it")
                }
            };
            tensors.insert(name(layer, part), ReferenceTensor { shape, values });
        }
    }
    ReferenceWeights { tensors }
}

/// For each value the parent's frequencies as far as both have them, then drawn ones.
fn first_of(old: &ReferenceTensor, drawn: &[f64], frequencies: usize) -> Vec<f64> {
    let old_frequencies = old.shape[1];
    let place = |at: usize| (at / frequencies, at % frequencies);
    let value = |at: usize| match place(at) {
        (value, wave) if wave < old_frequencies => old.values[value * old_frequencies + wave],
        _ => drawn[at],
    };
    (0..drawn.len()).map(value).collect()
}

fn name(layer: LayerId, part: &str) -> String {
    format!("{layer}.{part}")
}

fn inherited(
    kind: &Layer,
    part: &str,
    shape: &[usize],
    old: &ReferenceTensor,
    outputs: &[u32],
    inputs: &[ChannelSource],
) -> Vec<f64> {
    if matches!(
        kind,
        Layer::Embedding { .. } | Layer::Periodic { .. } | Layer::Attention { .. }
    ) {
        assert_eq!(
            shape, old.shape,
            "no morph changes the channels of this layer"
        );
        return old.values.clone();
    }
    assert_eq!(
        shape.last(),
        Some(&outputs.len()),
        "a plan names every output channel"
    );
    if part != "weight" {
        let old_outputs = old.shape[old.shape.len() - 1];
        let rows = 0..old.values.len() / old_outputs;
        let places = rows.flat_map(|row| outputs.iter().map(move |output| (row, *output)));
        return places
            .map(|(row, output)| old.values[row * old_outputs + output as usize])
            .collect();
    }
    match kind {
        Layer::Dense { .. } => mixed([1, 1], [1, 1], old, outputs, inputs),
        Layer::Conv { .. } => {
            assert_eq!(shape[2], inputs.len(), "a plan names every input channel");
            mixed(
                [shape[0], shape[1]],
                [old.shape[0], old.shape[1]],
                old,
                outputs,
                inputs,
            )
        }
        // Each channel has its own kernel and no input but itself.
        _ => {
            let itself = [ChannelSource::Parent {
                channel: 0,
                share: 1.0,
            }];
            mixed(
                [shape[0], shape[1]],
                [old.shape[0], old.shape[1]],
                old,
                outputs,
                &itself,
            )
        }
    }
}

/// `[ky][kx][in][out]`, kernels laid centre on centre.
fn mixed(
    size: [usize; 2],
    old_size: [usize; 2],
    old: &ReferenceTensor,
    outputs: &[u32],
    inputs: &[ChannelSource],
) -> Vec<f64> {
    let old_outputs = old.shape[old.shape.len() - 1];
    let old_inputs = old.values.len() / (old_size[0] * old_size[1] * old_outputs);
    let mut values = Vec::new();
    for ky in 0..size[0] {
        for kx in 0..size[1] {
            // Distances from the centre are the same in both kernels.
            let y = ky as isize - (size[0] / 2) as isize + (old_size[0] / 2) as isize;
            let x = kx as isize - (size[1] / 2) as isize + (old_size[1] / 2) as isize;
            let is_inside =
                (0..old_size[0] as isize).contains(&y) && (0..old_size[1] as isize).contains(&x);
            for source in inputs {
                for output in outputs {
                    values.push(match source {
                        ChannelSource::Parent { channel, share } if is_inside => {
                            let tap = y as usize * old_size[1] + x as usize;
                            let row = tap * old_inputs + *channel as usize;
                            share * old.values[row * old_outputs + *output as usize]
                        }
                        _ => 0.0,
                    });
                }
            }
        }
    }
    values
}

fn identity(kind: &Layer, part: &str, shape: &[usize]) -> Vec<f64> {
    let count: usize = shape.iter().product();
    if part != "weight" {
        return vec![0.0; count];
    }
    let outputs = shape[shape.len() - 1];
    let centre = |kernel: usize| kernel / 2;
    let mut values = vec![0.0; count];
    for channel in 0..outputs {
        let place = match kind {
            Layer::Dense { .. } => channel * outputs + channel,
            Layer::Conv { .. } => {
                let tap = centre(shape[0]) * shape[1] + centre(shape[1]);
                (tap * shape[2] + channel) * outputs + channel
            }
            Layer::DepthwiseConv { .. } => {
                (centre(shape[0]) * shape[1] + centre(shape[1])) * outputs + channel
            }
            other => panic!("`{}` cannot be an identity", other.kind()),
        };
        values[place] = 1.0;
    }
    values
}
