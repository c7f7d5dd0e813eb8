//! Networks of one architecture, each trained on other rows, that answer together: the mean of what they
//! put out.
//!
//! On the way they are one file of weights; at the end one network, so that everything that runs a model
//! runs an ensemble without knowing.

use std::collections::BTreeMap;

use morph::{Architecture, ArchitectureError, Layer, LayerId, Node};

use crate::{
    checkpoint::WeightsError,
    weights::{Part, Tensor, Weights, name, specification},
};

/// What stands between a member's number and the name of its tensor.
const MEMBER_END: char = '/';

/// The weights of all members as the bytes of one safetensors file; those of one alone are its own.
pub fn members_to_safetensors(members: &[Weights]) -> Vec<u8> {
    match members {
        [only] => only.to_safetensors(),
        _ => {
            let numbered = members.iter().enumerate().flat_map(|(member, weights)| {
                let tensors = weights.tensors();
                tensors.map(move |(name, tensor)| {
                    (format!("{member}{MEMBER_END}{name}"), tensor.clone())
                })
            });
            Weights::from_tensors(numbered.collect()).to_safetensors()
        }
    }
}

/// Reads what [`members_to_safetensors`] wrote: one member or more.
///
/// # Errors
/// The first thing that is not as the architecture needs it, with the tensor's name.
pub fn members_from_safetensors(
    bytes: &[u8],
    architecture: &Architecture,
) -> Result<Vec<Weights>, WeightsError> {
    let mut found: BTreeMap<usize, BTreeMap<String, Tensor>> = BTreeMap::new();
    for (name, tensor) in Weights::tensors_from_safetensors(bytes)? {
        let (member, own) = match name.split_once(MEMBER_END) {
            Some((member, own)) => (member.parse().ok(), own),
            None => (Some(0), name.as_str()),
        };
        let Some(member) = member else {
            return Err(WeightsError::Unexpected { name });
        };
        found
            .entry(member)
            .or_default()
            .insert(own.to_string(), tensor);
    }
    if let Some((place, _)) = found
        .keys()
        .enumerate()
        .find(|(place, member)| place != *member)
    {
        let name = format!("{place}{MEMBER_END}…");
        return Err(WeightsError::Missing { name });
    }
    let members: Vec<Weights> = found.into_values().map(Weights::from_tensors).collect();
    members
        .iter()
        .try_for_each(|member| member.check(architecture))?;
    Ok(members)
}

/// Whether so many members can be one network.
///
/// # Errors
/// If it would have too many layers.
pub fn check_members(architecture: &Architecture, members: usize) -> Result<(), ArchitectureError> {
    let layers = members * (architecture.nodes().len() - 2) + 4;
    match members > 1 && layers > Architecture::LAYERS_MAX {
        true => Err(ArchitectureError::TooManyLayers { layers }),
        false => Ok(()),
    }
}

/// One network that puts out the mean of its members' outputs: all of them side by side, and a dense layer
/// behind them that takes the mean. One member alone is itself.
///
/// # Errors
/// If the network would have too many layers, which [`check_members`] says before.
pub fn mean_of_members(
    architecture: &Architecture,
    members: &[Weights],
) -> Result<(Architecture, Weights), ArchitectureError> {
    if let [only] = members {
        return Ok((architecture.clone(), only.clone()));
    }
    check_members(architecture, members.len())?;
    let inner = &architecture.nodes()[1..architecture.nodes().len() - 1];
    let mut nodes = vec![architecture.nodes()[0].clone()];
    let mut tensors = BTreeMap::new();
    let mut ends = Vec::new();
    for weights in members {
        // Layer 1 of a member stands behind what is there already; the input is everybody's.
        let offset = nodes.len() - 1;
        let moved = |id: LayerId| match id.index() {
            0 => LayerId::at(0),
            index => LayerId::at(index + offset),
        };
        nodes.extend(inner.iter().map(|node| Node {
            layer: node.layer,
            inputs: node.inputs.iter().map(|input| moved(*input)).collect(),
        }));
        for spec in specification(architecture) {
            let tensor = weights.part(spec.layer, spec.part).clone();
            tensors.insert(name(moved(spec.layer), spec.part), tensor);
        }
        let end = architecture.inputs(architecture.output())[0];
        ends.push(moved(end));
    }
    let outputs = architecture.outputs();
    let concat = LayerId::at(nodes.len());
    let mean = LayerId::at(nodes.len() + 1);
    nodes.extend([
        Node {
            layer: Layer::Concat,
            inputs: ends,
        },
        Node {
            layer: Layer::Dense { units: outputs },
            inputs: vec![concat],
        },
        Node {
            layer: Layer::Output,
            inputs: vec![mean],
        },
    ]);
    let (weight, bias) = mean_weights(members.len(), outputs as usize);
    tensors.insert(name(mean, Part::Weight), weight);
    tensors.insert(name(mean, Part::Bias), bias);
    Ok((Architecture::new(nodes)?, Weights::from_tensors(tensors)))
}

/// A dense layer that takes the mean: `[members · outputs][outputs]`.
fn mean_weights(members: usize, outputs: usize) -> (Tensor, Tensor) {
    let share = 1.0 / members as f32;
    let mut values = vec![0.0; members * outputs * outputs];
    for row in 0..members * outputs {
        values[row * outputs + row % outputs] = share;
    }
    let weight = Tensor {
        shape: vec![members * outputs, outputs],
        values,
    };
    let bias = Tensor {
        shape: vec![outputs],
        values: vec![0.0; outputs],
    };
    (weight, bias)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use data::{Examples, ItemShape, Targets};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{Network, Plan, Purpose, Threads};

    const NETWORKS: [&str; 3] = [
        "in 5 | dense 8 | bn | a: relu | b: dense 8 | add a b | dense 3",
        "in 2x12 | conv 4 k3 | bn | relu | gap | dense 1",
        "in 1x6 | embed 9 4 | position | gap | dense 2",
    ];

    fn members(architecture: &Architecture, count: u64) -> Vec<Weights> {
        (0..count)
            .map(|seed| Weights::fresh(architecture, &mut ChaCha8Rng::seed_from_u64(seed)))
            .collect()
    }

    fn outputs(architecture: &Architecture, weights: &Weights, examples: &Examples) -> Vec<f32> {
        let batch = NonZeroUsize::new(4).unwrap();
        let plan = Plan::compile(architecture, batch, Threads::ONE, Purpose::Infer).unwrap();
        let rows: Vec<u32> = (0..examples.len() as u32).collect();
        Network::new(plan, weights.clone()).outputs(examples, &rows)
    }

    #[test]
    fn members_as_one_network_put_out_the_mean_of_each() {
        for text in NETWORKS {
            let architecture: Architecture = text.parse().unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(9);
            let values = architecture.input_shape().values();
            let inputs = (0..7 * values).map(|_| rng.random_range(-1.0..8.0_f32).floor());
            let item = ItemShape::Features(values as u32);
            let examples = Examples::from_floats(item, inputs.collect(), Targets::None);
            let members = members(&architecture, 5);
            let (whole, weights) = mean_of_members(&architecture, &members).unwrap();
            weights.check(&whole).unwrap();
            let together = outputs(&whole, &weights, &examples);
            let each: Vec<Vec<f32>> = members
                .iter()
                .map(|member| outputs(&architecture, member, &examples))
                .collect();
            for (place, found) in together.iter().enumerate() {
                let mean = each.iter().map(|member| member[place]).sum::<f32>() / 5.0;
                assert!((found - mean).abs() < 1e-5, "{text}: {found} {mean}");
            }
        }
    }

    #[test]
    fn members_come_back_from_their_file_and_one_alone_is_a_file_of_weights() {
        let architecture: Architecture = NETWORKS[0].parse().unwrap();
        for count in [1, 2, 12] {
            let members = members(&architecture, count);
            let bytes = members_to_safetensors(&members);
            assert_eq!(
                members_from_safetensors(&bytes, &architecture).unwrap(),
                members
            );
        }
        let one = members(&architecture, 1);
        let bytes = members_to_safetensors(&one);
        assert_eq!(
            Weights::from_safetensors(&bytes, &architecture).unwrap(),
            one[0]
        );
    }

    #[test]
    fn a_member_that_lacks_a_tensor_is_refused() {
        let architecture: Architecture = NETWORKS[0].parse().unwrap();
        let mut members = members(&architecture, 2);
        members[1] = Weights::fresh(
            &"in 5 | dense 3".parse().unwrap(),
            &mut ChaCha8Rng::seed_from_u64(1),
        );
        let bytes = members_to_safetensors(&members);
        assert!(members_from_safetensors(&bytes, &architecture).is_err());
    }

    #[test]
    fn too_many_layers_are_refused_before_anything_is_trained() {
        let deep = format!("in 4 {}| dense 2", "| dense 4 | relu ".repeat(60));
        let architecture: Architecture = deep.parse().unwrap();
        assert!(check_members(&architecture, 1).is_ok());
        assert!(check_members(&architecture, 5).is_err());
    }
}
