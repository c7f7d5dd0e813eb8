//! Images: sizes and colours of the files, brightness, blank ones, and near duplicates across the split.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::{
    duplicates,
    near::{self, NearDuplicates},
};
use crate::{oddities::ImageFile, roles::Part, source::Images, split::Split};

/// Sizes that are listed; the others are only counted.
const SIZES_LISTED: usize = 5;

/// Images that are learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageProfile {
    /// Rows of pixels that a network gets.
    pub height: u32,
    /// Columns of pixels that a network gets.
    pub width: u32,
    /// Values per pixel that a network gets.
    pub channels: u32,
    /// Commonest sizes of the files; empty for arrays.
    pub sizes: Vec<SizeCount>,
    /// How many sizes there are in all.
    pub different_sizes: usize,
    /// Files that are gray.
    pub gray_files: usize,
    /// Files in colour.
    pub colour_files: usize,
    /// Mean of each channel, from 0 to 255.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel.
    pub deviation: Vec<f64>,
    /// Images whose pixels are all the same.
    pub blank: usize,
    /// Images of validation and vault that are nearly those of training rows.
    pub near: Vec<NearDuplicates>,
}

/// A size, and how many files have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeCount {
    /// Rows of pixels.
    pub height: u32,
    /// Columns of pixels.
    pub width: u32,
    /// Files.
    pub files: usize,
}

pub(super) fn profile(images: &Images, files: &[ImageFile], split: &Split) -> ImageProfile {
    let mut counts: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for file in files {
        *counts.entry((file.height, file.width)).or_default() += 1;
    }
    let different_sizes = counts.len();
    let size = |((height, width), files)| SizeCount {
        height,
        width,
        files,
    };
    let mut sizes: Vec<SizeCount> = counts.into_iter().map(size).collect();
    sizes.sort_by_key(|size| Reverse(size.files));
    sizes.truncate(SIZES_LISTED);
    let gray_files = files.iter().filter(|file| file.channels == 1).count();
    let item = images.item_bytes();
    let pixels = images.channels as usize;
    let is_blank = |bytes: &&[u8]| {
        bytes
            .chunks_exact(pixels)
            .all(|pixel| *pixel == bytes[..pixels])
    };
    let (mean, deviation) = brightness(images);
    let digests = duplicates::of_images(images);
    let near = |part: Part| near::find(images, &digests, &split.train, part, split.rows(part));
    ImageProfile {
        height: images.height,
        width: images.width,
        channels: images.channels,
        sizes,
        different_sizes,
        gray_files,
        colour_files: files.len() - gray_files,
        mean,
        deviation,
        blank: images
            .bytes
            .chunks_exact(item.max(1))
            .filter(is_blank)
            .count(),
        near: [Part::Validation, Part::Vault]
            .into_iter()
            .filter(|part| !split.rows(*part).is_empty())
            .map(near)
            .collect(),
    }
}

/// Mean and standard deviation of each channel over all images.
fn brightness(images: &Images) -> (Vec<f64>, Vec<f64>) {
    let channels = images.channels as usize;
    let count = (images.bytes.len() / channels).max(1) as f64;
    let moments = (0..channels).map(|channel| {
        let bytes = images.bytes.iter().skip(channel).step_by(channels);
        let (sum, squares) = bytes.fold((0.0, 0.0), |(sum, squares), byte| {
            let value = f64::from(*byte);
            (sum + value, squares + value * value)
        });
        let mean: f64 = sum / count;
        (mean, (squares / count - mean * mean).max(0.0).sqrt())
    });
    moments.unzip()
}
