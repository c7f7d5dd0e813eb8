//! Dropout with masks that are computed, not stored: a hash of seed, layer and place decides.
//!
//! The same seed drops the same values whatever the number of threads, and the backward pass finds
//! the mask again by asking the same question.

use morph::LayerId;

use crate::{
    pass::Mode,
    step::{Part, Sink, Source},
    vector::{Store, copy, vectorised},
};

/// A dropout layer.
#[derive(Clone, Debug)]
pub(crate) struct Dropout {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    /// Share of values set to zero.
    pub(crate) rate: f32,
}

/// Which values one pass drops.
#[derive(Clone, Copy)]
pub(crate) struct Mask {
    key: [u32; 2],
    first: u32,
    threshold: u32,
    scale: f32,
}

impl Dropout {
    fn mask(&self, part: &Part<'_>, layer: LayerId) -> Option<Mask> {
        let Mode::Train { seed } = part.frame.mode else {
            return None;
        };
        let key = mix(seed ^ mix(layer.index() as u64 + 1));
        Some(Mask {
            key: [key as u32, (key >> 32) as u32],
            first: (part.rows.start * self.output.value.item) as u32,
            threshold: (f64::from(self.rate) * f64::from(u32::MAX)) as u32,
            scale: 1.0 / (1.0 - self.rate),
        })
    }

    pub(crate) fn forward(&self, part: &Part<'_>, layer: LayerId) {
        let (out, input) = (part.write(self.output.value), part.read(self.input.value));
        match self.mask(part, layer) {
            Some(mask) => drop_out(out, input, mask, Store::Write),
            None => copy(out, input, Store::Write),
        }
    }

    pub(crate) fn backward(&self, part: &Part<'_>, layer: LayerId) {
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        let gradient: &[f32] = part.arrived(&self.output);
        match self.mask(part, layer) {
            Some(mask) => drop_out(part.write(value), gradient, mask, store),
            None => copy(part.write(value), gradient, store),
        }
    }
}

/// Mixes all bits of a number into all bits of the result.
///
/// # Source
/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
/// generators"), variant 13 of Stafford.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// 32 random bits for one place: two rounds of xor-shift and multiply, each with half of the key.
#[inline(always)]
fn bits(place: u32, key: [u32; 2]) -> u32 {
    let mut bits = place ^ key[0];
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    bits ^= (bits >> 16) ^ key[1];
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits ^ (bits >> 13)
}

vectorised! {
    /// Sets some values to zero and scales the others.
    fn drop_out(out: &mut [f32], values: &[f32], mask: Mask, store: Store) {
        let add = store == Store::Add;
        for (index, (out, value)) in out.iter_mut().zip(values).enumerate() {
            let kept = bits(mask.first.wrapping_add(index as u32), mask.key) >= mask.threshold;
            let before = if add { *out } else { 0.0 };
            *out = before + if kept { *value * mask.scale } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(seed: u64, first: u32, count: usize, rate: f64) -> Vec<f32> {
        let key = mix(seed);
        let mask = Mask {
            key: [key as u32, (key >> 32) as u32],
            first,
            threshold: (rate * f64::from(u32::MAX)) as u32,
            scale: (1.0 / (1.0 - rate)) as f32,
        };
        let mut out = vec![0.0; count];
        drop_out(&mut out, &vec![1.0; count], mask, Store::Write);
        out
    }

    #[test]
    fn the_asked_share_is_dropped_and_the_mean_kept() {
        for rate in [0.001, 0.2, 0.5, 0.9] {
            for seed in 0..20 {
                let out = dropped(seed, 0, 100_000, rate);
                let share = out.iter().filter(|value| **value == 0.0).count() as f64 / 1e5;
                // Five standard deviations of a binomial share.
                let tolerance = 5.0 * (rate * (1.0 - rate) / 1e5).sqrt();
                assert!(
                    (share - rate).abs() < tolerance,
                    "rate {rate}, seed {seed}: {share}"
                );
            }
        }
    }

    #[test]
    fn a_place_has_the_same_mask_wherever_its_part_starts() {
        let whole = dropped(7, 0, 100, 0.5);
        assert_eq!(whole[37..], dropped(7, 37, 63, 0.5));
        assert_ne!(whole, dropped(8, 0, 100, 0.5));
    }

    #[test]
    fn neighbouring_places_are_dropped_independently() {
        let out = dropped(11, 0, 100_000, 0.5);
        let same = out
            .windows(2)
            .filter(|pair| (pair[0] == 0.0) == (pair[1] == 0.0))
            .count();
        assert!((same as f64 / 1e5 - 0.5).abs() < 0.01, "{same}");
    }
}
