//! The one place that knows how a morph is applied; the tests are data.

use std::collections::{BTreeMap, BTreeSet};

use morph::{
    Architecture, Block, ChannelImportance, ChannelSource, Layer, LayerId, LayerPlan, Morph,
    MorphError, Morphed, Preservation,
};

/// Applies a morph written in words to a network and compares the child.
pub(crate) fn check(parent: &str, words: &str, child: &str) -> Morphed {
    let morphed = apply(parent, words).unwrap_or_else(|error| panic!("{words}: {error}"));
    assert_eq!(morphed.architecture.to_string(), child);
    morphed
}

/// Applies a morph written in words and compares the complaint.
pub(crate) fn check_refused(parent: &str, words: &str, complaint: &str) {
    let error = match apply(parent, words) {
        Ok(child) => panic!("{words} makes {}", child.architecture),
        Err(error) => error,
    };
    assert_eq!(error.to_string(), complaint);
}

/// Applies a morph and looks the child and the plan over.
pub(crate) fn apply(parent: &str, words: &str) -> Result<Morphed, MorphError> {
    let morph = morph(parent, words);
    let architecture = network(parent);
    let morphed = morph.apply(&architecture, &ChannelImportance::unknown())?;
    check_plan(&architecture, &morphed, morph.preservation());
    Ok(morphed)
}

pub(crate) fn network(text: &str) -> Architecture {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The layer of this name in a text.
pub(crate) fn layer(text: &str, name: &str) -> LayerId {
    if name == "in" {
        return LayerId::at(0);
    }
    if name == "out" {
        return LayerId::at(text.matches('|').count() + 1);
    }
    let place = text
        .find(&format!("{name}: "))
        .unwrap_or_else(|| panic!("no `{name}` in {text}"));
    LayerId::at(text[..place].matches('|').count())
}

fn morph(text: &str, words: &str) -> Morph {
    let at = |name: &str| layer(text, name);
    let number = |word: &str| word.trim_start_matches('k').parse().expect("a number");
    let kernel = |word: &str| u8::try_from(number(word)).expect("a kernel size");
    match *words.split(' ').collect::<Vec<_>>() {
        ["deepen", after, "identity", k] => Morph::Deepen {
            after: at(after),
            block: Block::Identity { kernel: kernel(k) },
        },
        ["deepen", after, "residual", k] => Morph::Deepen {
            after: at(after),
            block: Block::Residual { kernel: kernel(k) },
        },
        ["widen", name, extra] => Morph::Widen {
            layer: at(name),
            extra: number(extra),
            seed: 7,
        },
        ["add", from, to] => Morph::AddSkip {
            from: at(from),
            to: at(to),
        },
        ["concat", from, to] => Morph::ConcatSkip {
            from: at(from),
            to: at(to),
        },
        ["grow", name] => Morph::GrowKernel { layer: at(name) },
        ["shrink", name] => Morph::ShrinkKernel { layer: at(name) },
        ["waves", name, extra] => Morph::AddFrequencies {
            layer: at(name),
            extra: number(extra),
        },
        ["calm", name, remove] => Morph::DropFrequencies {
            layer: at(name),
            remove: number(remove),
        },
        ["remove", name] => Morph::RemoveLayer { layer: at(name) },
        ["drop", name, input] => Morph::RemoveSkip {
            layer: at(name),
            input: number(input),
        },
        ["prune", name, remove] => Morph::Prune {
            layer: at(name),
            remove: number(remove),
        },
        _ => panic!("no morph is called `{words}`"),
    }
}

/// Every index of a plan exists, every entry fits its layer, and nothing of the parent is lost or
/// counted twice where the morph says that it is exact.
pub(crate) fn check_plan(parent: &Architecture, child: &Morphed, preservation: Preservation) {
    let architecture = &child.architecture;
    assert_eq!(
        child.weights.layers.len(),
        architecture.nodes().len(),
        "{architecture}"
    );
    for (id, plan) in architecture.ids().zip(&child.weights.layers) {
        let layer = architecture.layer(id);
        assert_eq!(
            layer.has_weights(),
            *plan != LayerPlan::Weightless,
            "{id} of {architecture}"
        );
        let is_square =
            || architecture.input_shapes(id)[0].channels() == architecture.shape(id).channels();
        match plan {
            LayerPlan::Weightless | LayerPlan::Fresh => {}
            LayerPlan::Identity => assert!(is_square(), "{id} of {architecture}"),
            LayerPlan::Zero => assert!(layer.decides_channels(), "{id} of {architecture}"),
            LayerPlan::ZeroGain => assert_eq!(*layer, Layer::BatchNorm),
            LayerPlan::Frequencies { parent: from } => {
                let is_waves = |layer: &Layer| matches!(layer, Layer::Periodic { .. });
                assert!(is_waves(layer) && is_waves(parent.layer(*from)));
            }
            LayerPlan::Inherit {
                parent: from,
                outputs,
                inputs,
            } => {
                assert_eq!(parent.layer(*from).kind(), layer.kind());
                check_outputs(parent.shape(*from).channels(), outputs, preservation);
                assert_eq!(outputs.len(), architecture.shape(id).channels() as usize);
                if layer.decides_channels() {
                    let read = architecture.input_shapes(id)[0].channels() as usize;
                    assert_eq!(inputs.len(), read, "{id} of {architecture}");
                    let channels = parent.input_shapes(*from)[0].channels();
                    check_inputs(channels, inputs, preservation);
                } else {
                    assert!(inputs.is_empty(), "{id} of {architecture}");
                }
            }
        }
    }
}

fn check_outputs(channels: u32, outputs: &[u32], preservation: Preservation) {
    assert!(outputs.iter().all(|output| *output < channels));
    let distinct: BTreeSet<&u32> = outputs.iter().collect();
    match preservation {
        Preservation::Exact => assert_eq!(distinct.len(), channels as usize),
        Preservation::Approximate => assert_eq!(distinct.len(), outputs.len()),
    }
}

fn check_inputs(channels: u32, inputs: &[ChannelSource], preservation: Preservation) {
    let mut sums = BTreeMap::new();
    for source in inputs {
        if let ChannelSource::Parent { channel, share } = source {
            assert!(*channel < channels);
            assert!(*share > 0.0 && *share <= 1.0, "{share}");
            *sums.entry(*channel).or_insert(0.0) += share;
        }
    }
    assert!(
        sums.values().all(|sum: &f64| (sum - 1.0).abs() < 1e-12),
        "{sums:?}"
    );
    if preservation == Preservation::Exact {
        assert_eq!(sums.len(), channels as usize);
    }
}
