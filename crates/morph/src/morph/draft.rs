//! A network while it is changed: the parent's layers with their plans, and what is added to them.
//!
//! A draft may be wrong in every way; [`Draft::finish`] puts its layers in order, leaves out those
//! whose results nobody uses any more, and lets [`Architecture::new`] judge the rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    architecture::{Architecture, LayerId, Node},
    layer::Layer,
    morph::{MorphError, Morphed},
    weight_plan::{ChannelSource, LayerPlan, WeightPlan},
};

/// Place of a layer in a draft: the parent's layers keep their ids, added ones follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot(usize);

impl From<LayerId> for Spot {
    fn from(id: LayerId) -> Spot {
        Spot(id.index())
    }
}

struct DraftLayer {
    layer: Layer,
    inputs: Vec<Spot>,
    plan: LayerPlan,
    /// The parent's layer that it is or follows, and how many were added before it, plus 1.
    rank: (usize, usize),
}

/// A parent with changes.
pub(crate) struct Draft {
    layers: Vec<DraftLayer>,
    parents: usize,
}

impl Draft {
    /// The parent as it is; every layer inherits its own weights.
    pub(crate) fn of(architecture: &Architecture) -> Draft {
        let layer = |id: LayerId| DraftLayer {
            layer: *architecture.layer(id),
            inputs: architecture
                .inputs(id)
                .iter()
                .map(|input| Spot::from(*input))
                .collect(),
            plan: unchanged(architecture, id),
            rank: (id.index(), 0),
        };
        let layers: Vec<DraftLayer> = architecture.ids().map(layer).collect();
        Draft {
            parents: layers.len(),
            layers,
        }
    }

    /// Adds a layer that comes behind a layer of the parent, and behind all added there before.
    pub(crate) fn add(
        &mut self,
        behind: LayerId,
        layer: Layer,
        inputs: &[Spot],
        plan: LayerPlan,
    ) -> Spot {
        let spot = Spot(self.layers.len());
        let rank = (behind.index(), spot.0 - self.parents + 1);
        self.layers.push(DraftLayer {
            layer,
            inputs: inputs.to_vec(),
            plan,
            rank,
        });
        spot
    }

    /// Every layer of the parent that read `old` now reads `new`; added layers read what they read.
    pub(crate) fn redirect(&mut self, old: Spot, new: Spot) {
        let inputs = self.layers[..self.parents]
            .iter_mut()
            .flat_map(|layer| &mut layer.inputs);
        inputs
            .filter(|input| **input == old)
            .for_each(|input| *input = new);
    }

    pub(crate) fn inputs(&self, spot: Spot) -> &[Spot] {
        &self.layers[spot.0].inputs
    }

    pub(crate) fn set_inputs(&mut self, spot: Spot, inputs: Vec<Spot>) {
        self.layers[spot.0].inputs = inputs;
    }

    pub(crate) fn set_layer(&mut self, spot: Spot, layer: Layer) {
        self.layers[spot.0].layer = layer;
    }

    pub(crate) fn set_plan(&mut self, spot: Spot, plan: LayerPlan) {
        self.layers[spot.0].plan = plan;
    }

    /// Says how a dense or convolution layer of the parent hears another input than it did; its outputs stay.
    pub(crate) fn set_sources(&mut self, layer: LayerId, sources: Vec<ChannelSource>) {
        match &mut self.layers[layer.index()].plan {
            LayerPlan::Inherit { inputs, .. } => *inputs = sources,
            _ => unreachable!("a layer of the parent with weights inherits them"),
        }
    }

    /// The child: used layers only, each behind its inputs, otherwise in the parent's order.
    ///
    /// # Errors
    /// If what is left breaks a rule of architectures.
    pub(crate) fn finish(self) -> Result<Morphed, MorphError> {
        let order = self.order(&self.used());
        let places: BTreeMap<Spot, LayerId> = order
            .iter()
            .enumerate()
            .map(|(index, spot)| (*spot, LayerId::at(index)))
            .collect();
        let node = |spot: &Spot| Node {
            layer: self.layers[spot.0].layer,
            inputs: self
                .inputs(*spot)
                .iter()
                .map(|input| places[input])
                .collect(),
        };
        let architecture = Architecture::new(order.iter().map(node).collect())?;
        let plan = |spot: &Spot| self.layers[spot.0].plan.clone();
        let weights = WeightPlan {
            layers: order.iter().map(plan).collect(),
        };
        Ok(Morphed {
            architecture,
            weights,
        })
    }

    /// The layers on which the output depends.
    fn used(&self) -> BTreeSet<Spot> {
        let mut used = BTreeSet::new();
        let mut open = vec![Spot(self.parents - 1)];
        while let Some(spot) = open.pop() {
            if used.insert(spot) {
                open.extend_from_slice(self.inputs(spot));
            }
        }
        used
    }

    /// Topological order; of the layers that may come next, always the one of lowest rank.
    fn order(&self, used: &BTreeSet<Spot>) -> Vec<Spot> {
        let mut readers: BTreeMap<Spot, Vec<Spot>> = BTreeMap::new();
        let mut missing: BTreeMap<Spot, usize> = BTreeMap::new();
        let mut ready = BTreeSet::new();
        let ranked = |spot: Spot| (self.layers[spot.0].rank, spot);
        for spot in used {
            let inputs = self.inputs(*spot);
            inputs
                .iter()
                .for_each(|input| readers.entry(*input).or_default().push(*spot));
            missing.insert(*spot, inputs.len());
            if inputs.is_empty() {
                ready.insert(ranked(*spot));
            }
        }
        let mut order = Vec::with_capacity(used.len());
        while let Some((_, spot)) = ready.pop_first() {
            order.push(spot);
            for reader in readers.get(&spot).into_iter().flatten() {
                let count = missing.get_mut(reader).expect("every reader is used");
                *count -= 1;
                if *count == 0 {
                    ready.insert(ranked(*reader));
                }
            }
        }
        assert_eq!(order.len(), used.len(), "no morph makes a circle");
        order
    }
}

/// The plan of a layer whose channels and inputs stay as they are.
pub(crate) fn unchanged(architecture: &Architecture, id: LayerId) -> LayerPlan {
    let layer = architecture.layer(id);
    if !layer.has_weights() {
        return LayerPlan::Weightless;
    }
    let inputs = match architecture.inputs(id) {
        [input] if layer.decides_channels() => whole(architecture.shape(*input).channels()),
        _ => Vec::new(),
    };
    let outputs = (0..architecture.shape(id).channels()).collect();
    LayerPlan::Inherit {
        parent: id,
        outputs,
        inputs,
    }
}

/// All channels of the parent's layer, each once and in order.
pub(crate) fn whole(channels: u32) -> Vec<ChannelSource> {
    (0..channels).map(ChannelSource::whole).collect()
}
