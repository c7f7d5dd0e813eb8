//! Following a change of channels through a network.
//!
//! A map says for each channel of the child which channel of the parent it is. Dense and
//! convolution layers decide their own map; all others pass on what they get: a concatenation puts
//! maps one after the other, a flattening repeats them for each position. A sum or product ties: when
//! its two sides differ, the layers that decide the other side get the same map, until nothing
//! differs. It never makes a map of its own: which channels are copied or dropped is its caller's
//! choice.

use std::collections::BTreeMap;

use crate::{
    architecture::{Architecture, LayerId},
    layer::Layer,
    morph::{MorphError, Preservation, draft::Draft},
    weight_plan::{ChannelSource, LayerPlan},
};

/// For each channel of the child, the channel of the parent.
pub(crate) type Map = Vec<u32>;

/// An input that a concatenation loses.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) concat: LayerId,
    pub(crate) input: usize,
}

/// A change of channels that has been followed everywhere it reaches.
pub(crate) struct ChannelMaps {
    /// `None`: untouched.
    outputs: Vec<Option<Map>>,
    /// A concatenation whose inputs had to take their parts of a change behind it.
    pub(crate) divided: Option<LayerId>,
}

/// Settles a change that starts at one layer, or at a concatenation that loses an input.
///
/// # Errors
/// If the change reaches the network's input or output, gets stuck at layers tied in another way,
/// or must be exact and reaches a layer norm.
/// # Cost
/// `O(layers)` passes over the network at worst, one or two as a rule.
pub(crate) fn follow(
    architecture: &Architecture,
    start: Option<(LayerId, Map)>,
    cut: Option<Cut>,
    preservation: Preservation,
) -> Result<ChannelMaps, MorphError> {
    let decided = start.into_iter().collect();
    let mut change = Change {
        architecture,
        decided,
        cut,
        preservation,
        divided: None,
    };
    // Every pass but the last decides at least one more layer.
    for _ in architecture.ids() {
        match change.pass()? {
            Pass::Settled(outputs) => {
                let divided = change.divided;
                return Ok(ChannelMaps { outputs, divided });
            }
            Pass::Wanted { layer, map } => change.want(layer, &map)?,
        }
    }
    Err(change.stuck(architecture.output()))
}

struct Change<'a> {
    architecture: &'a Architecture,
    decided: BTreeMap<LayerId, Map>,
    cut: Option<Cut>,
    preservation: Preservation,
    divided: Option<LayerId>,
}

enum Pass {
    Settled(Vec<Option<Map>>),
    Wanted { layer: LayerId, map: Map },
}

impl Change<'_> {
    /// Maps of all layers, from the input to the output, or the first side of an addition that
    /// needs another map than it has.
    fn pass(&self) -> Result<Pass, MorphError> {
        let mut maps: Vec<Option<Map>> = Vec::with_capacity(self.architecture.nodes().len());
        for id in self.architecture.ids() {
            let inputs = self.architecture.inputs(id);
            let input = |place: usize| maps[inputs[place].index()].clone();
            let map = match self.architecture.layer(id) {
                Layer::Input { .. } => None,
                Layer::Dense { .. } | Layer::Conv { .. } => self.decided.get(&id).cloned(),
                Layer::Flatten => input(0).map(|map| self.repeated(id, &map)),
                Layer::Concat => self.joined(id, &maps),
                Layer::Add | Layer::Multiply if input(0) != input(1) => {
                    return Ok(self.wanted(id, &maps));
                }
                layer if layer.fixes_input_channels() => {
                    if input(0).is_some() {
                        return Err(self.stuck(id));
                    }
                    None
                }
                _ => input(0),
            };
            if map.is_some() {
                self.check_passes(id)?;
            }
            maps.push(map);
        }
        Ok(Pass::Settled(maps))
    }

    fn check_passes(&self, id: LayerId) -> Result<(), MorphError> {
        match (self.architecture.layer(id), self.preservation) {
            (Layer::Output, _) => Err(MorphError::FixedChannels {
                layer: id,
                end: "output",
            }),
            (Layer::LayerNorm, Preservation::Exact) => {
                Err(MorphError::BeforeLayerNorm { norm: id })
            }
            _ => Ok(()),
        }
    }

    /// The sides of a sum or product differ: the untouched one, else the second, shall be like the other.
    fn wanted(&self, add: LayerId, maps: &[Option<Map>]) -> Pass {
        let inputs = self.architecture.inputs(add);
        let (left, right) = (&maps[inputs[0].index()], &maps[inputs[1].index()]);
        let channels = self.architecture.shape(add).channels();
        match (left, right) {
            (None, Some(map)) => Pass::Wanted {
                layer: inputs[0],
                map: map.clone(),
            },
            (Some(map), _) => Pass::Wanted {
                layer: inputs[1],
                map: map.clone(),
            },
            (None, None) => Pass::Wanted {
                layer: inputs[1],
                map: (0..channels).collect(),
            },
        }
    }

    /// Each position has its channels.
    fn repeated(&self, flatten: LayerId, map: &[u32]) -> Map {
        let image = self.architecture.input_shapes(flatten)[0];
        let positions = 0..u32::try_from(image.positions()).expect("a legal flat extent fits");
        let channels = image.channels();
        positions
            .flat_map(|at| map.iter().map(move |channel| at * channels + channel))
            .collect()
    }

    /// One input's channels behind the other's; `None` if nothing changes.
    fn joined(&self, concat: LayerId, maps: &[Option<Map>]) -> Option<Map> {
        let inputs = self.architecture.inputs(concat);
        let is_cut = |place: usize| {
            self.cut
                .is_some_and(|cut| cut.concat == concat && cut.input == place)
        };
        let touched = |place: usize| is_cut(place) || maps[inputs[place].index()].is_some();
        if !(0..inputs.len()).any(touched) {
            return None;
        }
        let mut joined = Map::new();
        let mut offset = 0;
        for (place, input) in inputs.iter().enumerate() {
            let channels = self.architecture.shape(*input).channels();
            match &maps[input.index()] {
                _ if is_cut(place) => {}
                Some(map) => joined.extend(map.iter().map(|channel| offset + channel)),
                None => joined.extend(offset..offset + channels),
            }
            offset += channels;
        }
        Some(joined)
    }

    /// Makes the layers that decide `id`'s channels decide for this map.
    fn want(&mut self, id: LayerId, map: &[u32]) -> Result<(), MorphError> {
        let architecture = self.architecture;
        match (architecture.layer(id), self.preservation) {
            (Layer::Input { .. }, _) => Err(MorphError::FixedChannels {
                layer: id,
                end: "input",
            }),
            (Layer::Dense { .. } | Layer::Conv { .. }, _) => match self.decided.get(&id) {
                Some(other) if other != map => Err(self.stuck(id)),
                _ => {
                    self.decided.insert(id, map.to_vec());
                    Ok(())
                }
            },
            (Layer::LayerNorm, Preservation::Exact) => {
                Err(MorphError::BeforeLayerNorm { norm: id })
            }
            (layer, _) if layer.fixes_input_channels() => Err(self.stuck(id)),
            (Layer::Flatten, _) => {
                let map = self.unrepeated(id, map).ok_or_else(|| self.stuck(id))?;
                self.want(architecture.inputs(id)[0], &map)
            }
            (Layer::Concat, _) => {
                self.divided = Some(id);
                let parts = self.parted(id, map).ok_or_else(|| self.stuck(id))?;
                parts
                    .iter()
                    .try_for_each(|(input, part)| self.want_part(*input, part))
            }
            _ => architecture
                .inputs(id)
                .iter()
                .try_for_each(|input| self.want(*input, map)),
        }
    }

    /// Like `want`, but leaves alone what shall stay as it is anyway.
    fn want_part(&mut self, id: LayerId, map: &[u32]) -> Result<(), MorphError> {
        let untouched = (0..self.architecture.shape(id).channels()).eq(map.iter().copied());
        if untouched {
            Ok(())
        } else {
            self.want(id, map)
        }
    }

    fn unrepeated(&self, flatten: LayerId, map: &[u32]) -> Option<Map> {
        let image = self.architecture.input_shapes(flatten)[0];
        let length = map.len() / image.positions();
        let first: Map = map[..length].to_vec();
        let fits = first.iter().all(|channel| *channel < image.channels())
            && !first.is_empty()
            && self.repeated(flatten, &first) == map;
        fits.then_some(first)
    }

    /// The part of a map that each input of a concatenation has to provide.
    fn parted(&self, concat: LayerId, map: &[u32]) -> Option<Vec<(LayerId, Map)>> {
        let mut parts = Vec::new();
        let mut rest = map;
        let mut offset = 0;
        for (place, input) in self.architecture.inputs(concat).iter().enumerate() {
            let end = offset + self.architecture.shape(*input).channels();
            let inside = |channel: &u32| (offset..end).contains(channel);
            let length = rest
                .iter()
                .position(|channel| !inside(channel))
                .unwrap_or(rest.len());
            let (part, behind) = rest.split_at(length);
            let is_cut = self
                .cut
                .is_some_and(|cut| cut.concat == concat && cut.input == place);
            if part.is_empty() != is_cut {
                return None;
            }
            if !is_cut {
                parts.push((
                    *input,
                    part.iter().map(|channel| channel - offset).collect(),
                ));
            }
            (rest, offset) = (behind, end);
        }
        rest.is_empty().then_some(parts)
    }

    fn stuck(&self, layer: LayerId) -> MorphError {
        MorphError::Tied {
            layer,
            kind: self.architecture.layer(layer).kind(),
        }
    }
}

impl ChannelMaps {
    /// A layer's map, if it is touched.
    pub(crate) fn of(&self, id: LayerId) -> Option<&Map> {
        self.outputs[id.index()].as_ref()
    }

    /// The parent with these channels. `sources` says how a dense or convolution layer with this
    /// map of its input reads it.
    pub(crate) fn draft(
        &self,
        architecture: &Architecture,
        mut sources: impl FnMut(&Map) -> Vec<ChannelSource>,
    ) -> Draft {
        let mut draft = Draft::of(architecture);
        for id in architecture.ids() {
            let layer = architecture.layer(id);
            let input = architecture.inputs(id).first();
            let read = input
                .filter(|_| layer.decides_channels())
                .and_then(|input| self.of(*input));
            if !layer.has_weights() || (self.of(id).is_none() && read.is_none()) {
                continue;
            }
            let LayerPlan::Inherit {
                outputs, inputs, ..
            } = super::draft::unchanged(architecture, id)
            else {
                continue;
            };
            let outputs = self.of(id).cloned().unwrap_or(outputs);
            let inputs = read.map_or(inputs, &mut sources);
            let channels = u32::try_from(outputs.len()).expect("channels are counted in 32 bits");
            draft.set_layer(id.into(), with_channels(*layer, channels));
            draft.set_plan(
                id.into(),
                LayerPlan::Inherit {
                    parent: id,
                    outputs,
                    inputs,
                },
            );
        }
        draft
    }
}

fn with_channels(layer: Layer, count: u32) -> Layer {
    match layer {
        Layer::Dense { .. } => Layer::Dense { units: count },
        Layer::Conv { kernel, .. } => Layer::Conv {
            channels: count,
            kernel,
        },
        other => other,
    }
}

/// Each channel with the full weight of the parent's: for maps that copy none.
pub(crate) fn kept(map: &Map) -> Vec<ChannelSource> {
    map.iter().copied().map(ChannelSource::whole).collect()
}
