//! An additive skip: a later layer's output gets a projection of an earlier layer's added.
//!
//! The projection is a 1×1 convolution (or a dense layer) of zeros, with a stride where the image
//! became smaller on the way; adding zeros changes nothing, and the zeros learn.

use crate::{
    architecture::{Architecture, LayerId},
    layer::{Kernel, Layer},
    morph::{MorphError, Morphed, draft::Draft},
    shape::Shape,
    weight_plan::LayerPlan,
};

pub(super) fn apply(
    architecture: &Architecture,
    from: LayerId,
    to: LayerId,
) -> Result<Morphed, MorphError> {
    if from >= to {
        return Err(MorphError::NotForward { from, to });
    }
    if *architecture.layer(to) == Layer::Output {
        return Err(MorphError::wrong_kind(
            architecture,
            to,
            "lead a skip to",
            "any layer but the output",
        ));
    }
    let (from_shape, to_shape) = (architecture.shape(from), architecture.shape(to));
    let projection = projection(from_shape, to_shape).ok_or(MorphError::ShapesDiffer {
        from,
        from_shape,
        to,
        to_shape,
    })?;

    let mut draft = Draft::of(architecture);
    let projected = draft.add(to, projection, &[from.into()], LayerPlan::Zero);
    let sum = draft.add(
        to,
        Layer::Add,
        &[to.into(), projected],
        LayerPlan::Weightless,
    );
    draft.redirect(to.into(), sum);
    draft.finish()
}

/// The layer that makes `to` of `from`, if a single one can.
fn projection(from: Shape, to: Shape) -> Option<Layer> {
    if let (Shape::Flat { .. }, Shape::Flat { features }) = (from, to) {
        return Some(Layer::Dense { units: features });
    }
    let candidates = (1..=Kernel::STRIDE_MAX).filter_map(|stride| Kernel::new(1, stride));
    candidates
        .map(|kernel| Layer::Conv {
            channels: to.channels(),
            kernel,
        })
        .find(|conv| conv.output_shape(&[from]) == Some(to))
}
