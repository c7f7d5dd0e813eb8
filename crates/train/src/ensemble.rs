//! Networks that answer together: the sum of what they put out, each times its share.
//!
//! Those of one trial have one architecture and were each trained on other rows; on the way they are one
//! file of weights. At the end all are one network, so that everything that runs a model runs an ensemble
//! without knowing.

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
    // The first member is asked for in any case, so that an empty file lacks its tensors.
    let mut found: BTreeMap<usize, BTreeMap<String, Tensor>> =
        BTreeMap::from([(0, BTreeMap::new())]);
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
    let layers = layers_together(&vec![architecture; members]);
    match members > 1 && layers > Architecture::LAYERS_MAX {
        true => Err(ArchitectureError::TooManyLayers { layers }),
        false => Ok(()),
    }
}

/// How many layers each of so many members may have, its input and output among them, so that they can be one network.
pub fn layers_max(members: usize) -> usize {
    match members {
        0 | 1 => Architecture::LAYERS_MAX,
        _ => (Architecture::LAYERS_MAX - layers_together(&[])) / members + 2,
    }
}

/// Layers of the network that these are together: one input and one output for all, and two that join them.
fn layers_together(networks: &[&Architecture]) -> usize {
    let inner = networks.iter().map(|network| network.nodes().len() - 2);
    inner.sum::<usize>() + 4
}

/// One network that puts out the mean of its members' outputs; see [`weighed`]. One member alone is itself.
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
    let share = 1.0 / members.len() as f32;
    let members: Vec<Member<'_>> = members
        .iter()
        .map(|weights| Member {
            architecture,
            weights,
            share,
        })
        .collect();
    weighed(&members)
}

/// A trained network that answers together with others.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// What it is; all members have the same input and as many outputs.
    pub architecture: &'a Architecture,
    /// What it has learned.
    pub weights: &'a Weights,
    /// What its outputs are multiplied by before they are added up.
    pub share: f32,
}

/// One network that puts out the sum of its members' outputs, each times its share: all of them side by side
/// behind one input, and a dense layer behind them that adds up.
///
/// # Shapes
/// As each member.
/// # Units
/// As each member's outputs.
/// # Errors
/// If the network would have too many layers.
/// # Cost
/// A copy of all weights.
pub fn weighed(members: &[Member<'_>]) -> Result<(Architecture, Weights), ArchitectureError> {
    let networks: Vec<&Architecture> = members.iter().map(|member| member.architecture).collect();
    let together = side_by_side(&networks)?;
    let mut tensors = BTreeMap::new();
    let mut offset = 0;
    for member in members {
        for spec in specification(member.architecture) {
            let tensor = member.weights.part(spec.layer, spec.part).clone();
            tensors.insert(name(moved(spec.layer, offset), spec.part), tensor);
        }
        offset += member.architecture.nodes().len() - 2;
    }
    let sum = together.inputs(together.output())[0];
    let shares: Vec<f32> = members.iter().map(|member| member.share).collect();
    let (weight, bias) = summing(&shares, together.outputs() as usize);
    tensors.insert(name(sum, Part::Weight), weight);
    tensors.insert(name(sum, Part::Bias), bias);
    Ok((together, Weights::from_tensors(tensors)))
}

/// The network that these are together, as [`weighed`] makes it, without weights.
///
/// # Errors
/// If it would have too many layers.
pub fn side_by_side(networks: &[&Architecture]) -> Result<Architecture, ArchitectureError> {
    let ends = |network: &Architecture| (network.input_shape(), network.outputs());
    assert!(
        networks
            .iter()
            .all(|network| ends(network) == ends(networks[0])),
        "members take and tell the same"
    );
    let layers = layers_together(networks);
    if layers > Architecture::LAYERS_MAX {
        return Err(ArchitectureError::TooManyLayers { layers });
    }
    let first = networks[0];
    let mut nodes = vec![first.nodes()[0].clone()];
    let mut ends = Vec::new();
    for network in networks {
        let offset = nodes.len() - 1;
        let inner = &network.nodes()[1..network.nodes().len() - 1];
        nodes.extend(inner.iter().map(|node| Node {
            layer: node.layer,
            inputs: node.inputs.iter().map(|id| moved(*id, offset)).collect(),
        }));
        ends.push(moved(network.inputs(network.output())[0], offset));
    }
    let join = LayerId::at(nodes.len());
    let sum = LayerId::at(nodes.len() + 1);
    let outputs = first.outputs();
    let layers = [
        (Layer::Concat, ends),
        (Layer::Dense { units: outputs }, vec![join]),
        (Layer::Output, vec![sum]),
    ];
    nodes.extend(layers.map(|(layer, inputs)| Node { layer, inputs }));
    Architecture::new(nodes)
}

/// Where a member's layer stands behind so many of others; the input is everybody's.
fn moved(id: LayerId, offset: usize) -> LayerId {
    match id.index() {
        0 => LayerId::at(0),
        index => LayerId::at(index + offset),
    }
}

/// A dense layer that adds up outputs times shares: `[shares.len() · outputs][outputs]`.
fn summing(shares: &[f32], outputs: usize) -> (Tensor, Tensor) {
    let mut values = vec![0.0; shares.len() * outputs * outputs];
    for (row, values) in values.chunks_exact_mut(outputs).enumerate() {
        values[row % outputs] = shares[row / outputs];
    }
    let weight = Tensor {
        shape: vec![shares.len() * outputs, outputs],
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
    fn unlike_networks_as_one_put_out_the_sum_of_each_times_its_share() {
        let texts = [
            "in 2x12 | conv 4 k3 | bn | relu | gap | dense 3",
            "in 2x12 | flatten | dense 3",
            "in 2x12 | a: conv 4 k3 | b: relu | c: conv 4 k3 | add b c | gap | dense 3",
        ];
        let architectures = texts.map(|text| text.parse::<Architecture>().unwrap());
        let weights: Vec<Weights> = architectures
            .iter()
            .map(|architecture| members(architecture, 1).remove(0))
            .collect();
        let shares = [0.5, 0.125, -2.0];
        let together: Vec<Member<'_>> = (0..3)
            .map(|index| Member {
                architecture: &architectures[index],
                weights: &weights[index],
                share: shares[index],
            })
            .collect();
        let (whole, whole_weights) = weighed(&together).unwrap();
        whole_weights.check(&whole).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let inputs = (0..9 * 24).map(|_| rng.random_range(-1.0..1.0));
        let item = ItemShape::Features(24);
        let examples = Examples::from_floats(item, inputs.collect(), Targets::None);
        let each: Vec<Vec<f32>> = together
            .iter()
            .map(|member| outputs(member.architecture, member.weights, &examples))
            .collect();
        for (place, found) in outputs(&whole, &whole_weights, &examples)
            .iter()
            .enumerate()
        {
            let sum: f32 = (0..3).map(|index| shares[index] * each[index][place]).sum();
            assert!((found - sum).abs() < 1e-5, "{found} {sum}");
        }
    }

    #[test]
    #[should_panic(expected = "members take and tell the same")]
    fn networks_that_answer_different_questions_are_no_ensemble() {
        let three: Architecture = "in 4 | dense 3".parse().unwrap();
        let two: Architecture = "in 4 | dense 2".parse().unwrap();
        let _ = side_by_side(&[&three, &two]);
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
    fn a_file_without_tensors_lacks_those_of_the_first_member() {
        let architecture: Architecture = NETWORKS[0].parse().unwrap();
        let bytes = Weights::from_tensors(BTreeMap::new()).to_safetensors();
        let error = members_from_safetensors(&bytes, &architecture).unwrap_err();
        assert!(matches!(error, WeightsError::Missing { .. }), "{error}");
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
    fn as_many_layers_as_each_member_may_have_are_not_refused_and_one_more_is() {
        for members in [2, 5, 15, 100, 200] {
            let most = layers_max(members);
            // Beside its input, output and last layer.
            let of = |layers: usize| -> Architecture {
                let deep = format!("in 4 {}| dense 2", "| relu ".repeat(layers - 3));
                deep.parse().unwrap()
            };
            assert!(check_members(&of(most), members).is_ok(), "{members}");
            assert!(check_members(&of(most + 1), members).is_err(), "{members}");
        }
        assert_eq!(layers_max(1), Architecture::LAYERS_MAX);
    }

    #[test]
    fn too_many_layers_are_refused_before_anything_is_trained() {
        let deep = format!("in 4 {}| dense 2", "| dense 4 | relu ".repeat(60));
        let architecture: Architecture = deep.parse().unwrap();
        assert!(check_members(&architecture, 1).is_ok());
        assert!(check_members(&architecture, 5).is_err());
    }
}
