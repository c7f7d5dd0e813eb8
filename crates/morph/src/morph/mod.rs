//! The edits of an architecture: each makes a child and says where the child's weights come from.
//!
//! Growing morphs are exact: with the planned weights the child computes what its parent computed,
//! in evaluation and with the statistics of each batch. Shrinking morphs are not, and say so. One
//! file per morph; `draft` holds the network while it is changed, `channels` follows a change of
//! channels through it, `draw` chooses a random legal morph. No morph reads a weight.

mod add_skip;
mod channels;
mod concat_skip;
mod deepen;
mod draft;
mod draw;
mod error;
mod frequencies;
mod importance;
mod kernel;
mod prune;
mod remove_layer;
mod remove_skip;
mod widen;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::{draw::Direction, error::MorphError, importance::ChannelImportance};
use crate::{
    architecture::{Architecture, LayerId},
    weight_plan::WeightPlan,
};

/// One edit. Replayable: the same morph of the same architecture gives the same child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Morph {
    /// Insert a block behind a layer.
    Deepen {
        /// The layer before the block.
        after: LayerId,
        /// What is inserted.
        block: Block,
    },
    /// Give a dense or convolution layer more channels, and all layers that are tied to it by
    /// additions.
    Widen {
        /// The layer.
        layer: LayerId,
        /// How many channels more.
        extra: u32,
        /// Decides which channels are copied, and how consumers share the copies.
        seed: u64,
    },
    /// `to`'s output becomes `to + P·from`; P is a 1×1 convolution (or dense) of zeros.
    AddSkip {
        /// The earlier layer.
        from: LayerId,
        /// The later layer.
        to: LayerId,
    },
    /// The dense or convolution layer `to` also reads `from`'s channels, with zero weights at
    /// first.
    ConcatSkip {
        /// The earlier layer.
        from: LayerId,
        /// The later layer.
        to: LayerId,
    },
    /// A kernel becomes two pixels wider, with zeros around it.
    GrowKernel {
        /// The convolution.
        layer: LayerId,
    },
    /// More frequencies for the numbers of a row; their sines and cosines have zero weights at first.
    AddFrequencies {
        /// A layer of waves, or the input, which gets one.
        layer: LayerId,
        /// How many frequencies more.
        extra: u32,
    },
    /// Take out a layer whose input and output have one shape.
    RemoveLayer {
        /// The layer.
        layer: LayerId,
    },
    /// Drop one input of an addition (which ends it) or of a concatenation.
    RemoveSkip {
        /// The addition or concatenation.
        layer: LayerId,
        /// Index of the input that goes.
        input: u32,
    },
    /// Drop the least important channels of a layer and of all layers tied to it by additions.
    Prune {
        /// The dense or convolution layer.
        layer: LayerId,
        /// How many channels go.
        remove: u32,
    },
    /// A kernel becomes two pixels narrower: its border is cut off.
    ShrinkKernel {
        /// The convolution.
        layer: LayerId,
    },
    /// Drop the last frequencies of a layer of waves; with all of them, it goes.
    DropFrequencies {
        /// The layer of waves.
        layer: LayerId,
        /// How many frequencies go.
        remove: u32,
    },
}

/// What [`Morph::Deepen`] inserts. Kernels of blocks on flat layers mean nothing and are 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Behind a ReLU: an identity convolution (or dense) and another ReLU.
    Identity {
        /// Width of the kernel.
        kernel: u8,
    },
    /// `x + B(x)` where B puts out zeros at first.
    Residual {
        /// Width of the kernel.
        kernel: u8,
    },
}

/// Whether a child with the planned weights computes what its parent computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preservation {
    /// Up to rounding, in evaluation and with batch statistics.
    Exact,
    /// Something is lost that training has to win back.
    Approximate,
}

/// A child and where its weights come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Morphed {
    /// The child.
    pub architecture: Architecture,
    /// One entry per layer of the child; layers named in it are the parent's.
    pub weights: WeightPlan,
}

impl Morph {
    /// The child of an architecture.
    ///
    /// `importance` matters to [`Morph::Prune`] only.
    ///
    /// # Errors
    /// If the layers named do not exist, are of a kind that this morph cannot change, or if the
    /// child would break a rule of architectures.
    /// # Cost
    /// `O(layers · connections)` at worst, plus the channels that change.
    pub fn apply(
        &self,
        architecture: &Architecture,
        importance: &ChannelImportance,
    ) -> Result<Morphed, MorphError> {
        self.check_layers_exist(architecture)?;
        match *self {
            Morph::Deepen { after, block } => deepen::apply(architecture, after, block),
            Morph::Widen { layer, extra, seed } => widen::apply(architecture, layer, extra, seed),
            Morph::AddSkip { from, to } => add_skip::apply(architecture, from, to),
            Morph::ConcatSkip { from, to } => concat_skip::apply(architecture, from, to),
            Morph::GrowKernel { layer } => kernel::grow(architecture, layer),
            Morph::AddFrequencies { layer, extra } => frequencies::add(architecture, layer, extra),
            Morph::RemoveLayer { layer } => remove_layer::apply(architecture, layer),
            Morph::RemoveSkip { layer, input } => remove_skip::apply(architecture, layer, input),
            Morph::Prune { layer, remove } => prune::apply(architecture, layer, remove, importance),
            Morph::ShrinkKernel { layer } => kernel::shrink(architecture, layer),
            Morph::DropFrequencies { layer, remove } => {
                frequencies::drop(architecture, layer, remove)
            }
        }
    }

    /// Whether the child computes what its parent computed.
    pub fn preservation(&self) -> Preservation {
        match self {
            Morph::Deepen { .. }
            | Morph::Widen { .. }
            | Morph::AddSkip { .. }
            | Morph::ConcatSkip { .. }
            | Morph::GrowKernel { .. }
            | Morph::AddFrequencies { .. } => Preservation::Exact,
            Morph::RemoveLayer { .. }
            | Morph::RemoveSkip { .. }
            | Morph::Prune { .. }
            | Morph::ShrinkKernel { .. }
            | Morph::DropFrequencies { .. } => Preservation::Approximate,
        }
    }

    /// One word for statistics: `deepen`, `widen`, …
    pub fn kind(&self) -> &'static str {
        match self {
            Morph::Deepen { .. } => "deepen",
            Morph::Widen { .. } => "widen",
            Morph::AddSkip { .. } => "add_skip",
            Morph::ConcatSkip { .. } => "concat_skip",
            Morph::GrowKernel { .. } => "grow_kernel",
            Morph::AddFrequencies { .. } => "add_frequencies",
            Morph::RemoveLayer { .. } => "remove_layer",
            Morph::RemoveSkip { .. } => "remove_skip",
            Morph::Prune { .. } => "prune",
            Morph::ShrinkKernel { .. } => "shrink_kernel",
            Morph::DropFrequencies { .. } => "drop_frequencies",
        }
    }

    fn check_layers_exist(&self, architecture: &Architecture) -> Result<(), MorphError> {
        let named = match *self {
            Morph::AddSkip { from, to } | Morph::ConcatSkip { from, to } => [from, to],
            Morph::Deepen { after: layer, .. }
            | Morph::Widen { layer, .. }
            | Morph::GrowKernel { layer }
            | Morph::AddFrequencies { layer, .. }
            | Morph::RemoveLayer { layer }
            | Morph::RemoveSkip { layer, .. }
            | Morph::Prune { layer, .. }
            | Morph::ShrinkKernel { layer }
            | Morph::DropFrequencies { layer, .. } => [layer, layer],
        };
        let layers = architecture.nodes().len();
        match named.into_iter().find(|layer| layer.index() >= layers) {
            Some(layer) => Err(MorphError::NoSuchLayer { layer, layers }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Morph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Morph::Deepen { after, block } => write!(f, "deepen after {after} ({block})"),
            Morph::Widen { layer, extra, .. } => write!(f, "widen {layer} by {extra}"),
            Morph::AddSkip { from, to } => write!(f, "add {from} to {to}"),
            Morph::ConcatSkip { from, to } => write!(f, "concatenate {from} to the input of {to}"),
            Morph::GrowKernel { layer } => write!(f, "grow the kernel of {layer}"),
            Morph::AddFrequencies { layer, extra } => {
                write!(f, "add {extra} frequencies to {layer}")
            }
            Morph::RemoveLayer { layer } => write!(f, "remove {layer}"),
            Morph::RemoveSkip { layer, input } => write!(f, "remove input {input} of {layer}"),
            Morph::Prune { layer, remove } => write!(f, "prune {layer} by {remove}"),
            Morph::ShrinkKernel { layer } => write!(f, "shrink the kernel of {layer}"),
            Morph::DropFrequencies { layer, remove } => {
                write!(f, "drop {remove} frequencies of {layer}")
            }
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Block::Identity { kernel } => write!(f, "identity k{kernel}"),
            Block::Residual { kernel } => write!(f, "residual k{kernel}"),
        }
    }
}
