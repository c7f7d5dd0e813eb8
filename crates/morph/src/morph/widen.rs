//! Widening: give a layer more channels without changing what the network computes.
//!
//! Net2WiderNet (Chen, Goodfellow, Shlens 2016, arXiv:1511.05641): each new channel copies a random
//! old one, and every consumer shares its weights of the old channel among the copies. The shares
//! are unequal, unlike in the paper: copies with equal shares get equal gradients for ever. Layers
//! tied to this one by additions get the same copies. Only the plan is made here.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    architecture::{Architecture, LayerId},
    morph::{
        MorphError, Morphed, Preservation,
        channels::{self, Map},
    },
    shape::Shape,
    weight_plan::ChannelSource,
};

const VERB: &str = "widen";

/// Before they are scaled to sum 1, shares are drawn from this range: at two copies the smaller
/// one keeps more than a third.
const SHARE_RANGE: std::ops::Range<f64> = 0.35..0.65;

pub(super) fn apply(
    architecture: &Architecture,
    layer: LayerId,
    extra: u32,
    seed: u64,
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
    let fits = channels
        .checked_add(extra)
        .is_some_and(|sum| sum <= Shape::EXTENT_MAX);
    if extra == 0 || !fits {
        return Err(MorphError::WrongWidth {
            verb: VERB,
            layer,
            channels,
            change: extra,
        });
    }

    // Old channels keep their place; each new one copies a random old one.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let copied = (0..extra).map(|_| rng.random_range(0..channels));
    let map: Map = (0..channels).chain(copied).collect();

    let start = Some((layer, map));
    let maps = channels::follow(architecture, start, None, Preservation::Exact)?;
    maps.draft(architecture, |map| shared(map, &mut rng))
        .finish()
}

/// All copies of a channel together weigh as much as the channel did.
fn shared(map: &Map, rng: &mut ChaCha8Rng) -> Vec<ChannelSource> {
    let channels = map.iter().max().map_or(0, |last| *last as usize + 1);
    let mut copies = vec![Vec::new(); channels];
    map.iter()
        .enumerate()
        .for_each(|(place, channel)| copies[*channel as usize].push(place));
    let mut shares = vec![1.0; map.len()];
    for places in copies.iter().filter(|places| places.len() > 1) {
        let drawn: Vec<f64> = places
            .iter()
            .map(|_| rng.random_range(SHARE_RANGE))
            .collect();
        let sum: f64 = drawn.iter().sum();
        let mut left = 1.0;
        for (place, drawn) in places.iter().zip(&drawn).skip(1) {
            shares[*place] = drawn / sum;
            left -= shares[*place];
        }
        shares[places[0]] = left;
    }
    let source = |(channel, share): (&u32, f64)| ChannelSource::Parent {
        channel: *channel,
        share,
    };
    map.iter().zip(shares).map(source).collect()
}
