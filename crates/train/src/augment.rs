//! Changing examples on their way into the network, so that none is seen twice the same.
//!
//! Everything happens in place on a batch that has just been copied: a few moves of memory per image,
//! one hash per value of noise. It depends on the seed and the number of the step, and on nothing else.
//! Values are standardised, so what is outside of an image is 0, the mean.

use std::num::NonZeroU8;

use data::ItemShape;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::vector::vectorised;

/// What is done to training examples; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Augmentation {
    /// Whether images are mirrored, left to right, half of the time.
    pub flip: Flip,
    /// Images are moved by up to so many pixels in each direction: a crop of the image with a margin.
    pub crop: Option<NonZeroU8>,
    /// A square of so many pixels is set to 0 at a random place of each image (DeVries & Taylor 2017,
    /// arXiv:1708.04552).
    pub cutout: Option<NonZeroU8>,
    /// Each example is mixed with another one, the share drawn from Beta(α, α) for each batch, and so
    /// are their targets; α above 0 and at most 1 (Zhang et al. 2018, arXiv:1710.09412).
    pub mixup: Option<f64>,
    /// Deviation of normal noise added to each feature of a table or value of a series.
    pub noise: Option<f64>,
}

/// Whether images are mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flip {
    /// They stay as they are: digits and letters do not survive it.
    #[default]
    Never,
    /// Left becomes right, half of the time.
    Horizontal,
}

/// How a batch was mixed: each row has `share` of itself and the rest of the next row, the last of the
/// first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mix {
    pub(crate) share: f32,
}

/// Does what an [`Augmentation`] asks for.
#[derive(Debug)]
pub(crate) struct Augmenter {
    augmentation: Augmentation,
    item: ItemShape,
    seed: u64,
    /// The first example of a batch, while the others are mixed.
    first: Vec<f32>,
}

impl Augmenter {
    pub(crate) fn new(augmentation: Augmentation, item: ItemShape, seed: u64) -> Augmenter {
        Augmenter {
            augmentation,
            item,
            seed,
            first: Vec::with_capacity(if augmentation.mixup.is_some() {
                item.values()
            } else {
                0
            }),
        }
    }

    /// Changes a batch in place; says how rows were mixed, if they were.
    ///
    /// # Shapes
    /// `batch: [rows][values of one example]`.
    pub(crate) fn apply(&mut self, batch: &mut [f32], step: u64) -> Option<Mix> {
        let asked = self.augmentation;
        if asked == Augmentation::default() {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(step);
        match self.item {
            ItemShape::Image {
                height,
                width,
                channels,
            } => {
                let extents = [height, width, channels].map(|extent| extent as usize);
                for image in batch.chunks_exact_mut(self.item.values()) {
                    change_image(image, extents, &asked, &mut rng);
                }
            }
            ItemShape::Features(_) | ItemShape::Series { .. } => {
                if let Some(deviation) = asked.noise {
                    add_noise(batch, deviation as f32, rng.random());
                }
            }
            // A code with noise, or between two others, is another word.
            ItemShape::Tokens { .. } => return None,
        }
        let mix = asked.mixup.map(|alpha| Mix {
            share: beta(alpha, &mut rng) as f32,
        });
        if let Some(mix) = mix {
            self.mix(batch, mix.share);
        }
        mix
    }

    fn mix(&mut self, batch: &mut [f32], share: f32) {
        let len = self.item.values();
        self.first.clear();
        self.first.extend_from_slice(&batch[..len]);
        let mut rest = batch;
        while rest.len() > len {
            let (this, others) = rest.split_at_mut(len);
            blend(this, &others[..len], share);
            rest = others;
        }
        blend(rest, &self.first, share);
    }
}

fn change_image(
    image: &mut [f32],
    extents: [usize; 3],
    asked: &Augmentation,
    rng: &mut ChaCha8Rng,
) {
    if asked.flip == Flip::Horizontal && rng.random() {
        flip(image, extents);
    }
    if let Some(most) = asked.crop {
        let most = i16::from(most.get());
        let mut draw = || isize::from(rng.random_range(-most..=most));
        let by = (draw(), draw());
        shift(image, extents, by);
    }
    if let Some(size) = asked.cutout {
        let (y, x) = (
            rng.random_range(0..extents[0]),
            rng.random_range(0..extents[1]),
        );
        cut_out(image, extents, (y, x), usize::from(size.get()));
    }
}

fn flip(image: &mut [f32], [_, width, channels]: [usize; 3]) {
    for row in image.chunks_exact_mut(width * channels) {
        for left in 0..width / 2 {
            let right = width - 1 - left;
            for channel in 0..channels {
                row.swap(left * channels + channel, right * channels + channel);
            }
        }
    }
}

/// Moves an image down and to the right; what comes in is 0.
fn shift(image: &mut [f32], [height, width, channels]: [usize; 3], (down, right): (isize, isize)) {
    let row_len = width * channels;
    let columns = right.unsigned_abs().min(width);
    let kept = (width - columns) * channels;
    let move_row = |image: &mut [f32], from: usize, to: usize| {
        let (from, to) = (from * row_len, to * row_len);
        let moved = columns * channels;
        let (from, at) = if right < 0 {
            (from + moved, to)
        } else {
            (from, to + moved)
        };
        image.copy_within(from..from + kept, at);
        let gap = if right < 0 { to + kept } else { to };
        image[gap..gap + moved].fill(0.0);
    };
    let rows = down.unsigned_abs().min(height);
    if down >= 0 {
        (rows..height)
            .rev()
            .for_each(|to| move_row(image, to - rows, to));
        image[..rows * row_len].fill(0.0);
    } else {
        (0..height - rows).for_each(|to| move_row(image, to + rows, to));
        image[(height - rows) * row_len..].fill(0.0);
    }
}

/// Sets a square around a pixel to 0, as far as it lies in the image.
fn cut_out(
    image: &mut [f32],
    [height, width, channels]: [usize; 3],
    (y, x): (usize, usize),
    size: usize,
) {
    let range = |centre: usize, extent: usize| {
        let first = centre.saturating_sub(size / 2);
        first..(centre + size - size / 2).min(extent)
    };
    let columns = range(x, width);
    for row in range(y, height) {
        let start = (row * width + columns.start) * channels;
        image[start..start + columns.len() * channels].fill(0.0);
    }
}

/// A draw from Beta(α, α), 0 < α ≤ 1.
///
/// # Source
/// Jöhnk 1964, as in Devroye 1986, "Non-Uniform Random Variate Generation", section IX.3.5.
fn beta(alpha: f64, rng: &mut ChaCha8Rng) -> f64 {
    loop {
        let (x, y) = (
            rng.random::<f64>().powf(alpha.recip()),
            rng.random::<f64>().powf(alpha.recip()),
        );
        if x + y <= 1.0 && x + y > 0.0 {
            return x / (x + y);
        }
    }
}

/// Thirty-two random bits for a place.
#[inline(always)]
fn bits(place: u32, key: u32) -> u32 {
    let mut bits = place ^ key;
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    bits ^ (bits >> 16)
}

vectorised! {
    /// `this = share·this + (1 − share)·other`.
    fn blend(this: &mut [f32], other: &[f32], share: f32) {
        for (this, other) in this.iter_mut().zip(other) {
            *this = share * *this + (1.0 - share) * *other;
        }
    }

    /// Adds noise of mean 0 and this deviation: the sum of eight uniform bytes, which is normal up to
    /// 3.5 deviations for all that a network can tell.
    fn add_noise(values: &mut [f32], deviation: f32, key: u64) {
        // A byte has the variance (256² − 1)/12; eight have a mean of 1020.
        const EIGHT_BYTES: f32 = 209.021_53;
        const MEAN: f32 = 1020.0;
        let keys = (key as u32, (key >> 32) as u32);
        for (place, value) in values.iter_mut().enumerate() {
            let (one, two) = (bits(place as u32, keys.0), bits(place as u32, keys.1));
            let pairs = (one & 0x00ff_00ff) + ((one >> 8) & 0x00ff_00ff)
                + (two & 0x00ff_00ff) + ((two >> 8) & 0x00ff_00ff);
            let sum = (pairs & 0xffff) + (pairs >> 16);
            *value += (sum as i32 as f32 - MEAN) * (deviation / EIGHT_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENTS: [usize; 3] = [2, 3, 2];

    fn image() -> Vec<f32> {
        (1..=12).map(|value| value as f32).collect()
    }

    #[test]
    fn an_image_is_mirrored_pixel_by_pixel() {
        let mut flipped = image();
        flip(&mut flipped, EXTENTS);
        assert_eq!(flipped, [5., 6., 3., 4., 1., 2., 11., 12., 9., 10., 7., 8.]);
        flip(&mut flipped, EXTENTS);
        assert_eq!(flipped, image());
    }

    #[test]
    fn an_image_is_shifted_as_a_slow_version_shifts_it() {
        let [height, width, channels] = EXTENTS;
        for (down, right) in (-3..=3).flat_map(|down| (-4..=4).map(move |right| (down, right))) {
            let mut shifted = image();
            shift(&mut shifted, EXTENTS, (down, right));
            let mut expected = vec![0.0; 12];
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let from = (y as isize - down, x as isize - right);
                let inside =
                    (0..height as isize).contains(&from.0) && (0..width as isize).contains(&from.1);
                for channel in 0..channels {
                    let at = |y: usize, x: usize| (y * width + x) * channels + channel;
                    if inside {
                        expected[at(y, x)] = image()[at(from.0 as usize, from.1 as usize)];
                    }
                }
            }
            assert_eq!(shifted, expected, "{down} down, {right} right");
        }
    }

    #[test]
    fn a_square_is_cut_out_as_far_as_it_lies_in_the_image() {
        let mut cut = image();
        cut_out(&mut cut, EXTENTS, (1, 2), 2);
        assert_eq!(cut, [1., 2., 0., 0., 0., 0., 7., 8., 0., 0., 0., 0.]);
        cut_out(&mut cut, EXTENTS, (0, 0), 9);
        assert_eq!(cut, [0.0; 12]);
    }

    #[test]
    fn noise_has_the_deviation_asked_for_and_no_mean() {
        let mut values = vec![0.0; 100_000];
        add_noise(&mut values, 0.5, 7 << 32 | 3);
        let mean = values.iter().sum::<f32>() / 1e5;
        let variance = values.iter().map(|value| value * value).sum::<f32>() / 1e5;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 0.25).abs() < 0.01, "{variance}");
        let beyond = values.iter().filter(|value| value.abs() > 1.0).count();
        // 4.6 % of a normal distribution lie beyond two deviations.
        assert!((4_200..4_900).contains(&beyond), "{beyond}");
    }

    #[test]
    fn mixing_shares_are_those_of_the_distribution() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for alpha in [0.2, 0.5, 1.0] {
            let draws: Vec<f64> = (0..20_000).map(|_| beta(alpha, &mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / 20_000.0;
            let square = draws.iter().map(|x| (x - 0.5) * (x - 0.5)).sum::<f64>() / 20_000.0;
            // Variance of Beta(α, α): 1/(4·(2α + 1)).
            let expected = 0.25 / (2.0 * alpha + 1.0);
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            assert!((square - expected).abs() < 0.005, "{alpha}: {square}");
        }
    }

    #[test]
    fn rows_are_mixed_with_the_next_one_and_the_last_with_the_first() {
        let asked = Augmentation {
            mixup: Some(0.4),
            ..Augmentation::default()
        };
        let mut augmenter = Augmenter::new(asked, ItemShape::Features(2), 9);
        let mut batch = [1.0, 10.0, 2.0, 20.0, 4.0, 40.0];
        let share = augmenter.apply(&mut batch, 3).unwrap().share;
        let mixed = |one: f32, other: f32| share * one + (1.0 - share) * other;
        let expected = [
            (1., 2.),
            (10., 20.),
            (2., 4.),
            (20., 40.),
            (4., 1.),
            (40., 10.),
        ]
        .map(|(a, b)| mixed(a, b));
        assert_eq!(batch, expected);
        let again = augmenter.apply(&mut [0.0; 6], 3).unwrap().share;
        assert_eq!(again, share, "the same step mixes the same");
        assert_ne!(augmenter.apply(&mut [0.0; 6], 4).unwrap().share, share);
    }
}
