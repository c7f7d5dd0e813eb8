//! A concatenating skip: a dense or convolution layer also reads the channels of an earlier layer.
//!
//! Its weights for the new channels are zero, so that it puts out what it did; they learn. Both
//! must stand at the same positions: nothing is projected or resized here.

use crate::{
    architecture::{Architecture, LayerId},
    layer::Layer,
    morph::{
        MorphError, Morphed,
        draft::{self, Draft},
    },
    weight_plan::{ChannelSource, LayerPlan},
};

pub(super) fn apply(
    architecture: &Architecture,
    from: LayerId,
    to: LayerId,
) -> Result<Morphed, MorphError> {
    if from >= to {
        return Err(MorphError::NotForward { from, to });
    }
    if !architecture.layer(to).decides_channels() {
        return Err(MorphError::wrong_kind(
            architecture,
            to,
            "lead channels to",
            "`dense` or `conv`",
        ));
    }
    let read = architecture.inputs(to)[0];
    if read == from || parts(architecture, read).contains(&from) {
        return Err(MorphError::AlreadyConnected { from, to });
    }
    let (from_shape, to_shape) = (architecture.shape(from), architecture.shape(read));
    if !from_shape.same_positions(to_shape) {
        return Err(MorphError::ShapesDiffer {
            from,
            from_shape,
            to,
            to_shape,
        });
    }
    joined(architecture, from, to).finish()
}

/// The parent with the skip.
fn joined(architecture: &Architecture, from: LayerId, to: LayerId) -> Draft {
    let read = architecture.inputs(to)[0];
    let mut draft = Draft::of(architecture);
    // A concatenation that nobody else reads takes one more input; else there is a new one.
    let is_own = architecture.consumers(read) == [to];
    let parts = if is_own {
        parts(architecture, read)
    } else {
        vec![read]
    };
    let spots: Vec<_> = parts.into_iter().chain([from]).map(Into::into).collect();
    let behind = LayerId::at(to.index() - 1);
    let concat = draft.add(behind, Layer::Concat, &spots, LayerPlan::Weightless);
    draft.set_inputs(to.into(), vec![concat]);

    let mut inputs = draft::whole(architecture.shape(read).channels());
    inputs.extend((0..architecture.shape(from).channels()).map(|_| ChannelSource::Zero));
    draft.set_sources(to, inputs);
    draft
}

/// The layers whose channels a layer puts out unchanged: its inputs if it concatenates, or itself.
fn parts(architecture: &Architecture, id: LayerId) -> Vec<LayerId> {
    match architecture.layer(id) {
        Layer::Concat => architecture.inputs(id).to_vec(),
        _ => vec![id],
    }
}
