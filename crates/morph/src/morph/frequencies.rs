//! More or fewer frequencies at which a network gets the sines and cosines of its numbers.
//!
//! Dense layers listen to new waves with zero weights, so that adding some is exact. The first come with a layer of
//! their own behind the input of a row; with the last, a layer goes.

use crate::{
    architecture::{Architecture, LayerId},
    layer::Layer,
    morph::{MorphError, Morphed, draft::Draft},
    shape::Shape,
    weight_plan::{ChannelSource, LayerPlan},
};

pub(super) fn add(
    architecture: &Architecture,
    layer: LayerId,
    extra: u32,
) -> Result<Morphed, MorphError> {
    match *architecture.layer(layer) {
        Layer::Periodic { frequencies } => {
            let more = frequencies.checked_add(extra).filter(|_| extra > 0);
            let more = more.ok_or(MorphError::WrongFrequencies {
                layer,
                frequencies,
                change: extra,
            })?;
            resized(architecture, layer, frequencies, more)
        }
        Layer::Input {
            shape: Shape::Flat { .. },
        } => inserted(architecture, layer, extra),
        _ => Err(MorphError::wrong_kind(
            architecture,
            layer,
            "add frequencies to",
            "`periodic` or the input of a row",
        )),
    }
}

pub(super) fn drop(
    architecture: &Architecture,
    layer: LayerId,
    remove: u32,
) -> Result<Morphed, MorphError> {
    let Layer::Periodic { frequencies } = *architecture.layer(layer) else {
        return Err(MorphError::wrong_kind(
            architecture,
            layer,
            "drop frequencies of",
            "`periodic`",
        ));
    };
    let left = frequencies.checked_sub(remove).filter(|_| remove > 0);
    let left = left.ok_or(MorphError::WrongFrequencies {
        layer,
        frequencies,
        change: remove,
    })?;
    resized(architecture, layer, frequencies, left)
}

/// A layer of waves behind the input, which those dense layers read that read the input.
fn inserted(
    architecture: &Architecture,
    input: LayerId,
    frequencies: u32,
) -> Result<Morphed, MorphError> {
    let (mut readers, mut waves) = (architecture.consumers(input), Vec::new());
    readers.retain(|reader| match architecture.layer(*reader) {
        Layer::Periodic { .. } => {
            waves.push(*reader);
            false
        }
        layer => layer.decides_channels(),
    });
    if let Some(to) = waves.first() {
        return Err(MorphError::AlreadyConnected {
            from: input,
            to: *to,
        });
    }
    if readers.is_empty() || frequencies == 0 {
        return Err(MorphError::WrongFrequencies {
            layer: input,
            frequencies: 0,
            change: frequencies,
        });
    }
    let mut draft = Draft::of(architecture);
    let layer = Layer::Periodic { frequencies };
    let spot = draft.add(input, layer, &[input.into()], LayerPlan::Fresh);
    let sources = waves_of(architecture, input, 0, frequencies);
    for reader in readers {
        draft.set_inputs(reader.into(), vec![spot]);
        draft.set_sources(reader, sources.clone());
    }
    draft.finish()
}

/// A layer of waves with another number of frequencies; with none, it goes.
fn resized(
    architecture: &Architecture,
    layer: LayerId,
    before: u32,
    after: u32,
) -> Result<Morphed, MorphError> {
    let readers = architecture.consumers(layer);
    let is_other = |reader: &&LayerId| !architecture.layer(**reader).decides_channels();
    if let Some(other) = readers.iter().find(is_other) {
        return Err(MorphError::Tied {
            layer: *other,
            kind: architecture.layer(*other).kind(),
        });
    }
    let input = architecture.inputs(layer)[0];
    let mut draft = Draft::of(architecture);
    if after == 0 {
        draft.redirect(layer.into(), input.into());
    } else {
        let frequencies = after;
        draft.set_layer(layer.into(), Layer::Periodic { frequencies });
        draft.set_plan(layer.into(), LayerPlan::Frequencies { parent: layer });
    }
    let sources = waves_of(architecture, input, before, after);
    for reader in readers {
        draft.set_sources(reader, sources.clone());
    }
    draft.finish()
}

/// Where a reader's weights for the values behind `input` and their waves come from.
fn waves_of(
    architecture: &Architecture,
    input: LayerId,
    before: u32,
    after: u32,
) -> Vec<ChannelSource> {
    let of_value = |value: u32| {
        let first = value * (1 + 2 * before);
        let wave = move |kind: u32, wave: u32| match wave < before {
            true => ChannelSource::whole(first + 1 + kind * before + wave),
            false => ChannelSource::Zero,
        };
        // The value, its sines, its cosines.
        let waves = (0..2).flat_map(move |kind| (0..after).map(move |at| wave(kind, at)));
        std::iter::once(ChannelSource::whole(first)).chain(waves)
    };
    let values = architecture.shape(input).channels();
    (0..values).flat_map(of_value).collect()
}
