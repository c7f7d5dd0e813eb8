//! Growing and shrinking kernels by two pixels.
//!
//! Kernels are odd and padded by half their width, so that a zero-padded kernel computes the same
//! at the same places, whatever the stride. Cropping loses the border and is approximate.

use crate::{
    architecture::{Architecture, LayerId},
    layer::{Kernel, Layer},
    morph::{MorphError, Morphed, draft::Draft},
};

/// Pixels by which a kernel grows or shrinks: one on each side.
const STEP: u8 = 2;

pub(super) fn grow(architecture: &Architecture, layer: LayerId) -> Result<Morphed, MorphError> {
    let kernel = kernel(architecture, layer, "grow the kernel of")?;
    resized(
        architecture,
        layer,
        kernel,
        kernel.size().saturating_add(STEP),
    )
}

pub(super) fn shrink(architecture: &Architecture, layer: LayerId) -> Result<Morphed, MorphError> {
    let kernel = kernel(architecture, layer, "shrink the kernel of")?;
    resized(
        architecture,
        layer,
        kernel,
        kernel.size().saturating_sub(STEP),
    )
}

fn kernel(
    architecture: &Architecture,
    layer: LayerId,
    verb: &'static str,
) -> Result<Kernel, MorphError> {
    match architecture.layer(layer) {
        Layer::Conv { kernel, .. } | Layer::DepthwiseConv { kernel } => Ok(*kernel),
        _ => Err(MorphError::wrong_kind(
            architecture,
            layer,
            verb,
            "`conv` or `dwconv`",
        )),
    }
}

fn resized(
    architecture: &Architecture,
    layer: LayerId,
    kernel: Kernel,
    size: u8,
) -> Result<Morphed, MorphError> {
    let kernel = kernel
        .resized(size)
        .ok_or(MorphError::WrongKernel { layer, size })?;
    let changed = match *architecture.layer(layer) {
        Layer::Conv { channels, .. } => Layer::Conv { channels, kernel },
        _ => Layer::DepthwiseConv { kernel },
    };
    let mut draft = Draft::of(architecture);
    draft.set_layer(layer.into(), changed);
    draft.finish()
}
