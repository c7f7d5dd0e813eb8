//! How much each channel of a network matters, as measured by whoever holds its weights.

use std::collections::BTreeMap;

use crate::architecture::LayerId;

/// Importance of the output channels of layers of one architecture; larger matters more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelImportance {
    layers: BTreeMap<LayerId, Vec<f32>>,
}

impl ChannelImportance {
    /// Nothing is known: earlier channels count as more important.
    pub fn unknown() -> ChannelImportance {
        ChannelImportance::default()
    }

    /// One number for each output channel of the layers given.
    pub fn new(layers: BTreeMap<LayerId, Vec<f32>>) -> ChannelImportance {
        ChannelImportance { layers }
    }

    /// Importances of a layer's output channels, if they are known.
    pub fn of(&self, layer: LayerId) -> Option<&[f32]> {
        self.layers.get(&layer).map(Vec::as_slice)
    }
}
