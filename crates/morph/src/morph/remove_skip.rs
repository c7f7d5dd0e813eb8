//! Dropping one input of an addition or of a concatenation, and the branch that only led there.
//! Approximate.

use crate::{
    architecture::{Architecture, LayerId},
    layer::Layer,
    morph::{
        MorphError, Morphed, Preservation,
        channels::{self, Cut},
        draft::Draft,
        remove_layer::check_not_read_twice,
    },
};

pub(super) fn apply(
    architecture: &Architecture,
    layer: LayerId,
    input: u32,
) -> Result<Morphed, MorphError> {
    let inputs = architecture.inputs(layer);
    let dropped = input as usize;
    if matches!(architecture.layer(layer), Layer::Add | Layer::Concat) && dropped >= inputs.len() {
        return Err(MorphError::NoSuchInput {
            layer,
            input,
            inputs: inputs.len(),
        });
    }
    let mut draft = match architecture.layer(layer) {
        Layer::Add => Draft::of(architecture),
        Layer::Concat => {
            let cut = Some(Cut {
                concat: layer,
                input: dropped,
            });
            channels::follow(architecture, None, cut, Preservation::Approximate)?
                .draft(architecture, channels::kept)
        }
        _ => {
            return Err(MorphError::wrong_kind(
                architecture,
                layer,
                "drop an input of",
                "`add` or `cat`",
            ));
        }
    };
    let mut left = inputs.to_vec();
    left.remove(dropped);
    match left.as_slice() {
        [only] => {
            check_not_read_twice(architecture, layer, *only)?;
            draft.redirect(layer.into(), (*only).into());
        }
        _ => draft.set_inputs(layer.into(), left.into_iter().map(Into::into).collect()),
    }
    draft.finish()
}
