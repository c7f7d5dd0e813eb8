//! Deepening: insert a block behind a layer without changing what the network computes.
//!
//! Behind a ReLU an identity layer with another ReLU changes nothing, because ReLU of ReLU is ReLU
//! (Net2DeeperNet: Chen, Goodfellow, Shlens 2016, arXiv:1511.05641). No batch norm goes in between:
//! with the statistics of a batch it would not be the identity. Anywhere else the block stands
//! beside the identity, as `x + B(x)`, and its last layer puts out zeros: a batch norm of gain 0,
//! or a dense layer of zeros. Its gradient is not zero, so it learns from the first step.

use crate::{
    architecture::{Architecture, LayerId},
    layer::{Kernel, Layer},
    morph::{
        Block, MorphError, Morphed,
        draft::{Draft, Spot},
    },
    shape::Shape,
    weight_plan::LayerPlan,
};

const VERB: &str = "deepen after";

pub(super) fn apply(
    architecture: &Architecture,
    after: LayerId,
    block: Block,
) -> Result<Morphed, MorphError> {
    let layer = architecture.layer(after);
    let wrong = |needed| MorphError::wrong_kind(architecture, after, VERB, needed);
    if *layer == Layer::Output {
        return Err(wrong("any layer but the output"));
    }
    let mut draft = Draft::of(architecture);
    let end = match (block, architecture.shape(after)) {
        (Block::Identity { .. }, _) if *layer != Layer::Relu => return Err(wrong("a `relu`")),
        (Block::Identity { .. }, Shape::Flat { features }) => {
            let dense = Layer::Dense { units: features };
            identity(&mut draft, after, dense)
        }
        (
            Block::Identity { kernel },
            Shape::Image { channels, .. } | Shape::Sequence { channels, .. },
        ) => {
            let kernel = square(after, kernel)?;
            identity(&mut draft, after, Layer::Conv { channels, kernel })
        }
        (Block::Residual { .. }, Shape::Flat { features }) => {
            residual_dense(&mut draft, after, features)
        }
        (
            Block::Residual { kernel },
            Shape::Image { channels, .. } | Shape::Sequence { channels, .. },
        ) => {
            let kernel = square(after, kernel)?;
            let conv = Layer::Conv { channels, kernel };
            let end = residual_conv(&mut draft, after, conv);
            if *layer == Layer::Relu {
                relu(&mut draft, after, end)
            } else {
                end
            }
        }
    };
    draft.redirect(after.into(), end);
    draft.finish()
}

fn square(after: LayerId, size: u8) -> Result<Kernel, MorphError> {
    Kernel::new(size, 1).ok_or(MorphError::WrongKernel { layer: after, size })
}

fn relu(draft: &mut Draft, after: LayerId, input: Spot) -> Spot {
    draft.add(after, Layer::Relu, &[input], LayerPlan::Weightless)
}

fn identity(draft: &mut Draft, after: LayerId, layer: Layer) -> Spot {
    let layer = draft.add(after, layer, &[after.into()], LayerPlan::Identity);
    relu(draft, after, layer)
}

fn residual_conv(draft: &mut Draft, after: LayerId, conv: Layer) -> Spot {
    let conv = draft.add(after, conv, &[after.into()], LayerPlan::Fresh);
    let norm = draft.add(after, Layer::BatchNorm, &[conv], LayerPlan::ZeroGain);
    draft.add(
        after,
        Layer::Add,
        &[after.into(), norm],
        LayerPlan::Weightless,
    )
}

fn residual_dense(draft: &mut Draft, after: LayerId, units: u32) -> Spot {
    let first = draft.add(
        after,
        Layer::Dense { units },
        &[after.into()],
        LayerPlan::Fresh,
    );
    let active = relu(draft, after, first);
    let last = draft.add(after, Layer::Dense { units }, &[active], LayerPlan::Zero);
    draft.add(
        after,
        Layer::Add,
        &[after.into(), last],
        LayerPlan::Weightless,
    )
}
