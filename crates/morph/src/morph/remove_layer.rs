//! Taking out a layer whose input and output have one shape. Approximate.

use crate::{
    architecture::{Architecture, LayerId},
    layer::Layer,
    morph::{MorphError, Morphed, draft::Draft},
};

pub(super) fn apply(architecture: &Architecture, layer: LayerId) -> Result<Morphed, MorphError> {
    let kind = architecture.layer(layer).kind();
    let [input] = *architecture.inputs(layer) else {
        return Err(MorphError::wrong_kind(
            architecture,
            layer,
            "remove",
            "a layer with one input; to end an addition, remove one of its inputs",
        ));
    };
    if *architecture.layer(layer) == Layer::Output {
        return Err(MorphError::wrong_kind(
            architecture,
            layer,
            "remove",
            "any layer but the output",
        ));
    }
    let (taken, output) = (architecture.shape(input), architecture.shape(layer));
    if taken != output {
        return Err(MorphError::ChangesShape {
            layer,
            kind,
            input: taken,
            output,
        });
    }
    check_not_read_twice(architecture, layer, input)?;
    let mut draft = Draft::of(architecture);
    draft.redirect(layer.into(), input.into());
    draft.finish()
}

/// Refuses to put `instead` in the place of a layer if a reader of the one reads the other too:
/// `x + x` computes nothing that `x` does not.
pub(super) fn check_not_read_twice(
    architecture: &Architecture,
    layer: LayerId,
    instead: LayerId,
) -> Result<(), MorphError> {
    let mut readers = architecture.consumers(layer).into_iter();
    match readers.find(|reader| architecture.inputs(*reader).contains(&instead)) {
        Some(reader) => Err(MorphError::ReadsTwice { layer, reader }),
        None => Ok(()),
    }
}
