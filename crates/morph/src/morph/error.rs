//! Why a morph cannot be applied: which layer, which value, which rule.

use thiserror::Error;

use crate::{
    architecture::{Architecture, ArchitectureError, LayerId},
    layer::Kernel,
    shape::Shape,
};

/// Why a morph cannot be applied to an architecture.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MorphError {
    /// A layer that the architecture does not have.
    #[error("layer {layer} does not exist: the architecture has {layers} layers, counted from 0")]
    NoSuchLayer {
        /// The layer named.
        layer: LayerId,
        /// How many there are.
        layers: usize,
    },
    /// A layer of a kind that the morph cannot change.
    #[error("cannot {verb} layer {layer}, a `{kind}`: it must be {needed}")]
    WrongKind {
        /// What was tried.
        verb: &'static str,
        /// The layer named.
        layer: LayerId,
        /// Its kind.
        kind: &'static str,
        /// Which kinds can be changed so.
        needed: &'static str,
    },
    /// A layer that changes the shape, so that it cannot be taken out.
    #[error("cannot remove layer {layer} (`{kind}`): it makes {output} of {input}")]
    ChangesShape {
        /// The layer named.
        layer: LayerId,
        /// Its kind.
        kind: &'static str,
        /// What it takes.
        input: Shape,
        /// What it makes of it.
        output: Shape,
    },
    /// A removal that leaves a layer reading one thing twice.
    #[error("cannot remove layer {layer}: layer {reader} would read the same layer twice")]
    ReadsTwice {
        /// The layer named.
        layer: LayerId,
        /// The addition or concatenation.
        reader: LayerId,
    },
    /// A skip that does not lead forward.
    #[error("cannot lead a skip from layer {from} to layer {to}: it must lead to a later layer")]
    NotForward {
        /// The layer named first.
        from: LayerId,
        /// The layer named second.
        to: LayerId,
    },
    /// A skip between shapes that no projection joins.
    #[error(
        "cannot lead a skip from layer {from} ({from_shape}) to layer {to} ({to_shape}): no \
         stride up to {} and no number of channels joins these shapes",
        Kernel::STRIDE_MAX
    )]
    ShapesDiffer {
        /// The earlier layer.
        from: LayerId,
        /// Its output.
        from_shape: Shape,
        /// The later layer.
        to: LayerId,
        /// What it would have to fit.
        to_shape: Shape,
    },
    /// A skip that is there already.
    #[error("layer {to} already reads layer {from}")]
    AlreadyConnected {
        /// The earlier layer.
        from: LayerId,
        /// The later layer.
        to: LayerId,
    },
    /// No such input to drop.
    #[error("layer {layer} has {inputs} inputs, counted from 0; input {input} does not exist")]
    NoSuchInput {
        /// The layer named.
        layer: LayerId,
        /// The input named.
        input: u32,
        /// How many there are.
        inputs: usize,
    },
    /// Channels to add or drop that leave no legal number.
    #[error(
        "cannot {verb} layer {layer} with {channels} channels by {change}: from 1 to {} must be \
         left, and the change must be at least 1",
        Shape::EXTENT_MAX
    )]
    WrongWidth {
        /// What was tried.
        verb: &'static str,
        /// The layer named.
        layer: LayerId,
        /// What it has.
        channels: u32,
        /// How many were to come or go.
        change: u32,
    },
    /// A kernel that cannot be.
    #[error(
        "the kernel of layer {layer} cannot have the size {size}: sizes are odd, from 1 to {}",
        Kernel::SIZE_MAX
    )]
    WrongKernel {
        /// The layer named.
        layer: LayerId,
        /// The size that it would have.
        size: u8,
    },
    /// Frequencies to add or drop that leave no legal number.
    #[error(
        "cannot change the {frequencies} frequencies of layer {layer} by {change}: the change must be at least 1, no \
         more can go than there are, and a dense layer must read the waves"
    )]
    WrongFrequencies {
        /// The layer named.
        layer: LayerId,
        /// What it has.
        frequencies: u32,
        /// How many were to come or go.
        change: u32,
    },
    /// Channels that are those of the examples or of the result.
    #[error("cannot change the channels of layer {layer}: they are the network's {end}")]
    FixedChannels {
        /// The layer whose channels would have to change too.
        layer: LayerId,
        /// `input` or `output`.
        end: &'static str,
    },
    /// Channels that a layer norm looks at together.
    #[error("cannot copy channels in front of the layer norm {norm}: it would change its result")]
    BeforeLayerNorm {
        /// The layer norm.
        norm: LayerId,
    },
    /// Layers tied to each other in a way that a change of channels cannot follow.
    #[error("layer {layer} (`{kind}`) is tied to others so that its channels cannot change alike")]
    Tied {
        /// The layer where the change gets stuck.
        layer: LayerId,
        /// Its kind.
        kind: &'static str,
    },
    /// Importances that do not fit the layer.
    #[error("layer {layer} has {channels} channels, but {given} importances are given")]
    WrongImportance {
        /// The layer.
        layer: LayerId,
        /// How many channels it has.
        channels: u32,
        /// How many importances were given.
        given: usize,
    },
    /// A child that breaks a rule of architectures.
    #[error("the changed network is no architecture")]
    ImpossibleChild {
        /// The rule.
        #[from]
        source: ArchitectureError,
    },
}

impl MorphError {
    /// What was tried with a layer whose kind does not allow it.
    pub(super) fn wrong_kind(
        architecture: &Architecture,
        layer: LayerId,
        verb: &'static str,
        needed: &'static str,
    ) -> MorphError {
        let kind = architecture.layer(layer).kind();
        MorphError::WrongKind {
            verb,
            layer,
            kind,
            needed,
        }
    }
}
