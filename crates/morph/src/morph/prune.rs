//! Pruning: drop the least important channels of a layer. Approximate.
//!
//! As in pruning by the magnitude of filters (Li, Kadav, Durdanovic, Samet, Graf 2017,
//! arXiv:1608.08710), but the importance comes from outside. Layers tied by additions lose the same
//! channels, so their importances are added up. What the importance says never decides a shape: a
//! trial is proposed before it is known.

use crate::{
    architecture::{Architecture, LayerId},
    morph::{
        ChannelImportance, MorphError, Morphed, Preservation,
        channels::{self, Map},
    },
};

const VERB: &str = "prune";

pub(super) fn apply(
    architecture: &Architecture,
    layer: LayerId,
    remove: u32,
    importance: &ChannelImportance,
) -> Result<Morphed, MorphError> {
    let target = architecture.layer(layer);
    if !target.decides_channels() {
        return Err(MorphError::wrong_kind(
            architecture,
            layer,
            VERB,
            "`dense` or `conv`",
        ));
    }
    let channels = architecture.shape(layer).channels();
    if remove == 0 || remove >= channels {
        return Err(MorphError::WrongWidth {
            verb: VERB,
            layer,
            channels,
            change: remove,
        });
    }
    let sums = tied_importance(architecture, layer, importance)?;
    let map = most_important(&sums, (channels - remove) as usize);
    let start = Some((layer, map));
    let maps = channels::follow(architecture, start, None, Preservation::Approximate)?;
    maps.draft(architecture, channels::kept).finish()
}

/// For each channel of the layer: the importances of all dense and convolution layers that lose it with
/// this one.
///
/// # Errors
/// If importances do not fit, or a channel could be one of several inputs of a concatenation: how wide
/// each of them would be depends on which channels go.
fn tied_importance(
    architecture: &Architecture,
    layer: LayerId,
    importance: &ChannelImportance,
) -> Result<Vec<f64>, MorphError> {
    // Which layers are tied does not depend on which channel goes, but for inputs of a concatenation.
    let channels = architecture.shape(layer).channels();
    let probe: Map = (0..channels - 1).collect();
    let start = Some((layer, probe.clone()));
    let maps = channels::follow(architecture, start, None, Preservation::Approximate)?;
    if let Some(layer) = maps.divided {
        let kind = architecture.layer(layer).kind();
        return Err(MorphError::Tied { layer, kind });
    }
    let mut sums = vec![0.0; channels as usize];
    let decides = |id: &LayerId| architecture.layer(*id).decides_channels();
    for id in architecture
        .ids()
        .filter(decides)
        .filter(|id| maps.of(*id) == Some(&probe))
    {
        let Some(values) = importance.of(id) else {
            continue;
        };
        if values.len() != sums.len() {
            let given = values.len();
            return Err(MorphError::WrongImportance {
                layer: id,
                channels,
                given,
            });
        }
        sums.iter_mut()
            .zip(values)
            .for_each(|(sum, value)| *sum += f64::from(*value));
    }
    Ok(sums)
}

/// The channels of largest sums, in their old order; of equal ones the earlier.
fn most_important(sums: &[f64], count: usize) -> Map {
    let mut ranked: Vec<usize> = (0..sums.len()).collect();
    ranked.sort_by(|a, b| sums[*b].total_cmp(&sums[*a]));
    ranked.truncate(count);
    ranked.sort_unstable();
    let channel = |index: usize| u32::try_from(index).expect("channels are counted in 32 bits");
    ranked.into_iter().map(channel).collect()
}
