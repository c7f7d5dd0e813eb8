//! Images: each channel is shifted and scaled as it is on the training rows.

use crate::{fitted::FittedImage, source::Images};

pub(super) fn fit(images: &Images, rows: &[u32]) -> FittedImage {
    let channels = images.channels as usize;
    let item = images.item_bytes();
    let mut sums = vec![(0.0_f64, 0.0_f64); channels];
    for row in rows {
        let start = *row as usize * item;
        for (index, byte) in images.bytes[start..start + item].iter().enumerate() {
            let value = f64::from(*byte);
            let sum = &mut sums[index % channels];
            sum.0 += value;
            sum.1 += value * value;
        }
    }
    let count = (rows.len() * item / channels) as f64;
    let mean = |sum: &(f64, f64)| sum.0 / count;
    let deviation = |sum: &(f64, f64)| (sum.1 / count - mean(sum).powi(2)).max(0.0).sqrt();
    let scale = |sum| {
        if deviation(sum) > 1e-6 {
            deviation(sum) as f32
        } else {
            1.0
        }
    };
    FittedImage {
        height: images.height,
        width: images.width,
        channels: images.channels,
        shift: sums.iter().map(|sum| mean(sum) as f32).collect(),
        scale: sums.iter().map(scale).collect(),
    }
}

/// The bytes of these rows.
pub(super) fn chosen(images: &Images, rows: &[u32]) -> Vec<u8> {
    let item = images.item_bytes();
    rows.iter()
        .flat_map(|row| &images.bytes[*row as usize * item..(*row as usize + 1) * item])
        .copied()
        .collect()
}
