//! Images that are nearly the same: saved again, resized, a little brighter. Crops and mirrored images
//! are not found.
//!
//! Two images are near if the correlation of their pixels is close to 1, which ignores brightness and
//! contrast. Candidates are found by small gray copies of zero mean and unit length: their distance is
//! never less than that of their projections on one direction, so that sorting by the projection finds
//! all of them. What is sound about it: a pair that is reported has been compared pixel by pixel.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{duplicates::Digest, suspects::spread};
use crate::{roles::Part, source::Images, table::chosen::mixed};

/// Pixels of a side of the small copies, at most.
const SIDE: usize = 8;

/// Correlation from which small copies are candidates.
const CANDIDATE_CORRELATION: f32 = 0.997;

/// Correlation of all pixels from which two images are nearly the same. Of different handwritten digits
/// of 8x8 and 28x28 pixels, which are as alike as images come, hardly any pair reaches it.
const NEAR_CORRELATION: f64 = 0.99;

/// Pairs of small copies that are compared at most; beyond, fewer images are looked at.
const PAIRS_MAX: usize = 40_000_000;

/// Bytes of the images of a part that are correlated at most, some seconds of work: of one fixed scene all small
/// copies are alike, so that every pair would be correlated. Beyond, no further image is looked at.
const CORRELATED_BYTES_MAX: usize = 1 << 30;

/// Images that give the direction along which the small copies differ most.
const DIRECTION_IMAGES: usize = 1_000;

/// Steps of the power iteration; it need not be exact.
const DIRECTION_STEPS: usize = 12;

/// Images of a part that are nearly those of training rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearDuplicates {
    /// Of which part.
    pub part: Part,
    /// How many images were looked at.
    pub looked_at: usize,
    /// How many are nearly, but not exactly, a training image.
    pub rows: usize,
    /// How many there are to look at: those that are not of one colour all over. Where fewer were looked at, all would
    /// have taken too long.
    #[serde(default)]
    pub of: usize,
}

/// A small copy of zero mean and unit length.
type Small = Vec<f32>;

/// Counts the images of a part that are nearly, but not exactly, training images; `digests` are those of all images.
///
/// # Cost
/// `O(pixels)`, up to 40 million comparisons of small copies, and correlations of up to 1 GiB of pixels.
pub(super) fn find(
    images: &Images,
    digests: &[Digest],
    train: &[u32],
    part: Part,
    rows: &[u32],
) -> NearDuplicates {
    find_within(CORRELATED_BYTES_MAX, images, digests, train, part, rows)
}

fn find_within(
    bytes_max: usize,
    images: &Images,
    digests: &[Digest],
    train: &[u32],
    part: Part,
    rows: &[u32],
) -> NearDuplicates {
    let known: Vec<(u32, Small)> = smalls(images, train);
    let direction = direction(&known);
    let along = |small: &Small| dot(small, &direction);
    let mut sorted: Vec<(f32, &(u32, Small))> =
        known.iter().map(|known| (along(&known.1), known)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let distance = (2.0 * (1.0 - CANDIDATE_CORRELATION)).sqrt();
    let window = |at: f32| {
        let from = sorted.partition_point(|(place, _)| *place < at - distance);
        let to = sorted.partition_point(|(place, _)| *place <= at + distance);
        &sorted[from..to]
    };
    let asked = smalls(images, rows);
    let pairs: usize = asked
        .iter()
        .map(|(_, small)| window(along(small)).len())
        .sum();
    let most = (asked.len() * PAIRS_MAX / pairs.max(PAIRS_MAX)).max(1);
    let mut order: Vec<u32> = spread(&(0..asked.len() as u32).collect::<Vec<u32>>(), most);
    // Where the work ends early, the images that were looked at are to be as the others.
    order.sort_by_key(|place| mixed(u64::from(*place)));
    let copied: BTreeSet<&Digest> = train.iter().map(|row| &digests[*row as usize]).collect();
    let (mut looked_at, mut near, mut bytes_left) = (0, 0, bytes_max);
    for place in order {
        let (row, small) = &asked[place as usize];
        let candidates = window(along(small)).iter();
        let candidates = candidates
            .filter(|(_, (_, known))| is_candidate(small, known))
            .map(|(_, (other, _))| *other);
        let found = match copied.contains(&digests[*row as usize]) {
            true => Some(false),
            false => is_near(images, *row, candidates, &mut bytes_left),
        };
        let Some(found) = found else { break };
        looked_at += 1;
        near += usize::from(found);
    }
    NearDuplicates {
        part,
        looked_at,
        rows: near,
        of: asked.len(),
    }
}

/// Whether an image is nearly one of these; nothing if more bytes would have to be correlated than are left.
fn is_near(
    images: &Images,
    row: u32,
    candidates: impl Iterator<Item = u32>,
    bytes_left: &mut usize,
) -> Option<bool> {
    let own = pixels(images, row);
    for other in candidates {
        *bytes_left = bytes_left.checked_sub(own.len())?;
        if correlation(own, pixels(images, other)) >= NEAR_CORRELATION {
            return Some(true);
        }
    }
    Some(false)
}

fn pixels(images: &Images, row: u32) -> &[u8] {
    let item = images.item_bytes();
    &images.bytes[row as usize * item..][..item]
}

/// Small copies of the rows that are not blank.
fn smalls(images: &Images, rows: &[u32]) -> Vec<(u32, Small)> {
    let small = |row: &u32| Some((*row, small(images, pixels(images, *row))?));
    rows.iter().filter_map(small).collect()
}

/// Means of blocks over all channels, centred and scaled; nothing if all are the same.
fn small(images: &Images, pixels: &[u8]) -> Option<Small> {
    let (height, width) = (images.height as usize, images.width as usize);
    let (rows, columns) = (height.min(SIDE), width.min(SIDE));
    let channels = images.channels as usize;
    let mut sums = vec![(0.0_f32, 0.0_f32); rows * columns];
    for (place, pixel) in pixels.chunks_exact(channels).enumerate() {
        let block = (place / width) * rows / height * columns + (place % width) * columns / width;
        let value: u32 = pixel.iter().map(|byte| u32::from(*byte)).sum();
        sums[block].0 += value as f32;
        sums[block].1 += 1.0;
    }
    let mut small: Small = sums.iter().map(|(sum, count)| sum / count).collect();
    let mean = small.iter().sum::<f32>() / small.len() as f32;
    small.iter_mut().for_each(|value| *value -= mean);
    let length = dot(&small, &small).sqrt();
    small.iter_mut().for_each(|value| *value /= length);
    (length > 1e-3).then_some(small)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Whether two small copies correlate enough; most pairs are told apart by their first values.
fn is_candidate(a: &Small, b: &Small) -> bool {
    let most = 2.0 * (1.0 - CANDIDATE_CORRELATION);
    let mut sum = 0.0;
    for (a, b) in a.chunks(16).zip(b.chunks(16)) {
        sum += a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        if sum > most {
            return false;
        }
    }
    true
}

/// The direction along which small copies differ most, by power iteration on their mean square.
fn direction(known: &[(u32, Small)]) -> Small {
    let length = known.first().map_or(0, |(_, small)| small.len());
    let step = known.len().div_ceil(DIRECTION_IMAGES).max(1);
    let sample: Vec<&Small> = known.iter().step_by(step).map(|(_, small)| small).collect();
    let mut mean = vec![0.0; length];
    for small in &sample {
        add(&mut mean, small, 1.0 / sample.len() as f32);
    }
    // Any start that is not orthogonal to the answer will do.
    let mut direction: Small = (0..length).map(|place| 1.0 + (place % 7) as f32).collect();
    for _ in 0..DIRECTION_STEPS {
        let mut next = vec![0.0; length];
        for small in &sample {
            let along = dot(small, &direction) - dot(&mean, &direction);
            add(&mut next, small, along);
            add(&mut next, &mean, -along);
        }
        let size = dot(&next, &next).sqrt();
        if size <= f32::MIN_POSITIVE {
            break;
        }
        next.iter_mut().for_each(|value| *value /= size);
        direction = next;
    }
    let size = dot(&direction, &direction).sqrt();
    direction.iter_mut().for_each(|value| *value /= size);
    direction
}

fn add(sum: &mut [f32], values: &[f32], times: f32) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += times * value;
    }
}

/// Correlation of two lists of bytes; 0 if one of them does not vary.
fn correlation(a: &[u8], b: &[u8]) -> f64 {
    let mean =
        |bytes: &[u8]| bytes.iter().map(|byte| f64::from(*byte)).sum::<f64>() / bytes.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
        product += a * b;
        square_a += a * a;
        square_b += b * b;
    }
    match square_a * square_b > 0.0 {
        true => product / (square_a * square_b).sqrt(),
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{profile::duplicates::of_images, source::RawTargets};

    /// Photographs of nothing: smooth waves with noise.
    fn image(rng: &mut ChaCha8Rng) -> Vec<u8> {
        let (across, down) = (rng.random_range(0.1..0.9), rng.random_range(0.1..0.9));
        let start: f64 = rng.random_range(0.0..6.0);
        let pixel = |place: usize| {
            let (row, column) = ((place / 24) as f64, (place % 24) as f64);
            128.0 + 80.0 * (start + across * column).sin() * (down * row).cos()
        };
        (0..24 * 24)
            .map(|place| (pixel(place) + rng.random_range(-8.0..8.0)) as u8)
            .collect()
    }

    #[test]
    fn a_brighter_and_noisier_copy_is_found_and_another_image_is_not() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let originals: Vec<Vec<u8>> = (0..200).map(|_| image(&mut rng)).collect();
        let mut all = originals.clone();
        // Two near copies, one exact one, one of its own, one blank.
        for original in [&originals[3], &originals[77]] {
            let brighter =
                |byte: &u8| (f64::from(*byte) * 0.8 + 30.0 + rng.random_range(-3.0..3.0)) as u8;
            all.push(original.iter().map(brighter).collect());
        }
        all.push(originals[5].clone());
        all.push(image(&mut rng));
        all.push(vec![7; 24 * 24]);
        let rows = all.len();
        let images = Images {
            height: 24,
            width: 24,
            channels: 1,
            bytes: all.concat(),
            targets: RawTargets::Unknown(rows),
        };
        let train: Vec<u32> = (0..200).collect();
        let asked: Vec<u32> = (200..rows as u32).collect();
        let found = find(&images, &of_images(&images), &train, Part::Vault, &asked);
        assert_eq!((found.looked_at, found.rows, found.of), (4, 2, 4));
    }

    /// Images of one scene, with noise.
    fn scene(count: usize, noise: f64) -> Images {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let pixel = |place: usize| {
            let along = (place % 24) as f64 / 24.0 * std::f64::consts::TAU;
            (128.0 + 60.0 * along.sin() + rng.random_range(-noise..noise)) as u8
        };
        Images {
            height: 24,
            width: 24,
            channels: 1,
            bytes: (0..count * 24 * 24).map(pixel).collect(),
            targets: RawTargets::Unknown(count),
        }
    }

    /// What is found of 20 images beside 40 of the same scene, if so many pairs of images may be correlated.
    fn found_of_scene(noise: f64, pairs_max: usize) -> NearDuplicates {
        let images = scene(60, noise);
        let (train, asked): (Vec<u32>, Vec<u32>) = (0..60).partition(|row| *row < 40);
        let bytes_max = pairs_max * images.item_bytes();
        let digests = of_images(&images);
        find_within(bytes_max, &images, &digests, &train, Part::Vault, &asked)
    }

    #[test]
    fn an_image_that_is_near_is_compared_with_no_other() {
        let found = found_of_scene(1.0, 20);
        assert_eq!((found.looked_at, found.rows, found.of), (20, 20, 20));
    }

    #[test]
    fn images_that_are_alike_but_not_near_are_compared_as_far_as_the_limit() {
        // Small copies correlate with 0.998, all pixels with 0.984.
        let found = found_of_scene(9.3, 20 * 40);
        assert_eq!((found.looked_at, found.rows, found.of), (20, 0, 20));
        let found = found_of_scene(9.3, 5 * 40);
        assert!((5..20).contains(&found.looked_at), "{found:?}");
        assert_eq!((found.rows, found.of), (0, 20));
    }

    #[test]
    fn no_training_image_is_near_to_none() {
        let images = Images {
            height: 2,
            width: 2,
            channels: 1,
            bytes: vec![1, 2, 3, 4],
            targets: RawTargets::Unknown(1),
        };
        let found = find(&images, &of_images(&images), &[], Part::Validation, &[0]);
        assert_eq!((found.looked_at, found.rows), (1, 0));
    }
}
