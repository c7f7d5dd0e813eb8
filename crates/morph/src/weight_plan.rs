//! How a child's weights come from its parent's, said without touching a tensor.
//!
//! A plan has one entry per layer of the child. The training engine carries it out on real weights;
//! a slow interpreter carries it out in `f64` in the tests. What a plan never does: read a weight.
//!
//! Widening follows Net2WiderNet (Chen, Goodfellow, Shlens 2016, arXiv:1511.05641): a channel may be
//! copied several times, and every consumer takes each copy with a share; the shares of one source
//! sum to 1. They are drawn unequal, so that the copies get different gradients and grow apart.

use crate::architecture::LayerId;

/// Where the weights of one input channel of a dense or convolution layer come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChannelSource {
    /// The parent's weights for this input channel, times `share`.
    Parent {
        /// Input channel of the parent's layer.
        channel: u32,
        /// Factor, above 0 and at most 1.
        share: f64,
    },
    /// All zero: a channel the parent did not have, not listened to yet.
    Zero,
}

impl ChannelSource {
    /// The parent's weights for this input channel as they are.
    pub(crate) fn whole(channel: u32) -> ChannelSource {
        ChannelSource::Parent {
            channel,
            share: 1.0,
        }
    }
}

/// Where the weights of one layer of the child come from.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerPlan {
    /// The layer has none.
    Weightless,
    /// Drawn at random, as in a new network.
    Fresh,
    /// Taken from a layer of the parent of the same kind. A kernel of another size is
    /// zero-padded or cropped around its centre.
    Inherit {
        /// The parent's layer.
        parent: LayerId,
        /// For each output channel of the child: which one of the parent.
        outputs: Vec<u32>,
        /// For each input channel of the child: where its weights come from. Empty for layers
        /// that treat each channel on its own (depthwise, batch norm, layer norm).
        inputs: Vec<ChannelSource>,
    },
    /// Waves with another number of frequencies: the first are those of the parent's layer, those that it has not are
    /// drawn.
    Frequencies {
        /// The parent's layer.
        parent: LayerId,
    },
    /// Dense: the identity matrix. Convolution: 1 at the centre from channel c to channel c. Bias 0.
    Identity,
    /// Dense or convolution: all weights and the bias 0.
    Zero,
    /// Batch norm: gain 0, shift 0, mean 0, variance 1, so that its output is 0 in every mode.
    ZeroGain,
}

/// Where all weights of a child come from: one entry per layer, in the child's order.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightPlan {
    /// Entry `i` is for layer `i` of the child.
    pub layers: Vec<LayerPlan>,
}
