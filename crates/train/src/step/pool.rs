//! Pools: the largest or the mean of each window, and the mean over all positions.
//!
//! Windows are never padded; pixels that fill no window are left out. Of several equal values the
//! first in reading order gets a maximum's gradient, as in PyTorch. Which one that was is found again
//! from input and output instead of being stored.

use crate::{
    step::{Part, Sink, Source},
    vector::{Store, vectorised},
};

/// How a window moves over an image; over a series it has one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) stride: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
}

impl Windows {
    fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn out_image(&self) -> usize {
        self.out_height * self.out_width * self.channels
    }

    /// First float of the pixel at one place of the window that makes `place`.
    #[inline(always)]
    fn pixel(&self, place: usize, wy: usize, wx: usize) -> usize {
        let (oy, ox) = (place / self.out_width, place % self.out_width);
        ((oy * self.stride + wy) * self.width + ox * self.stride + wx) * self.channels
    }

    /// Whether it is the common case: 2×2 windows side by side.
    fn halves(&self) -> bool {
        (self.rows, self.columns, self.stride) == (2, 2, 2)
    }

    /// Whether 2×2 windows leave no pixel out.
    fn covers(&self) -> bool {
        self.out_height * 2 == self.height && self.out_width * 2 == self.width
    }
}

/// A pool over windows.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    pub(crate) windows: Windows,
}

impl Pool {
    /// Scratch it needs, in floats per thread.
    pub(crate) fn scratch_len(channels: usize) -> usize {
        channels
    }

    pub(crate) fn max_forward(&self, part: &Part<'_>) {
        let (out, input) = (part.write(self.output.value), part.read(self.input.value));
        if self.windows.halves() {
            largest_of_four(&self.windows, out, input);
        } else {
            largest(&self.windows, out, input);
        }
    }

    pub(crate) fn max_backward(&self, part: &Part<'_>) {
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        let into = part.write(value);
        let gradient: &[f32] = part.arrived(&self.output);
        let values = (part.read(self.input.value), part.read(self.output.value));
        if self.windows.halves() {
            if store == Store::Write && !self.windows.covers() {
                into.fill(0.0);
            }
            return largest_of_four_gradient(&self.windows, into, gradient, values, store);
        }
        if store == Store::Write {
            into.fill(0.0);
        }
        let left = part.scratch(Pool::scratch_len(self.windows.channels));
        largest_gradient(&self.windows, into, gradient, values, left);
    }

    pub(crate) fn mean_forward(&self, part: &Part<'_>) {
        means(
            &self.windows,
            part.write(self.output.value),
            part.read(self.input.value),
        );
    }

    pub(crate) fn mean_backward(&self, part: &Part<'_>) {
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        let into = part.write(value);
        if store == Store::Write {
            into.fill(0.0);
        }
        means_gradient(&self.windows, into, part.arrived(&self.output));
    }
}

/// The mean over all positions of an image.
#[derive(Clone, Debug)]
pub(crate) struct GlobalPool {
    pub(crate) input: Source,
    pub(crate) output: Sink,
}

impl GlobalPool {
    pub(crate) fn forward(&self, part: &Part<'_>) {
        let out = part.write(self.output.value);
        overall_means(out, part.read(self.input.value), self.output.value.item);
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        let gradient: &[f32] = part.arrived(&self.output);
        overall_means_gradient(part.write(value), gradient, self.output.value.item, store);
    }
}

vectorised! {
    /// Largest value of each window; a NaN wins.
    fn largest(windows: &Windows, out: &mut [f32], input: &[f32]) {
        let channels = windows.channels;
        let images = input.chunks_exact(windows.image());
        for (out, image) in out.chunks_exact_mut(windows.out_image()).zip(images) {
            for (place, out) in out.chunks_exact_mut(channels).enumerate() {
                let first = windows.pixel(place, 0, 0);
                out.copy_from_slice(&image[first..first + channels]);
                for wy in 0..windows.rows {
                    for wx in 0..windows.columns {
                        let pixel = &image[windows.pixel(place, wy, wx)..][..channels];
                        for (out, value) in out.iter_mut().zip(pixel) {
                            *out = larger(*out, *value);
                        }
                    }
                }
            }
        }
    }

    /// Largest value of each 2×2 window.
    fn largest_of_four(windows: &Windows, out: &mut [f32], input: &[f32]) {
        let channels = windows.channels;
        let images = input.chunks_exact(windows.image());
        for (out, image) in out.chunks_exact_mut(windows.out_image()).zip(images) {
            for (place, out) in out.chunks_exact_mut(channels).enumerate() {
                let above = &image[windows.pixel(place, 0, 0)..][..2 * channels];
                let below = &image[windows.pixel(place, 1, 0)..][..2 * channels];
                let (a, b) = above.split_at(channels);
                let (c, d) = below.split_at(channels);
                for i in 0..channels {
                    out[i] = larger(larger(a[i], b[i]), larger(c[i], d[i]));
                }
            }
        }
    }

    /// Gives each window's gradient to the first of its largest values; windows may overlap.
    fn largest_gradient(
        windows: &Windows,
        into: &mut [f32],
        gradient: &[f32],
        values: (&[f32], &[f32]),
        left: &mut [f32],
    ) {
        let (channels, (input, output)) = (windows.channels, values);
        let images = into.chunks_exact_mut(windows.image()).zip(input.chunks_exact(windows.image()));
        let results = gradient
            .chunks_exact(windows.out_image())
            .zip(output.chunks_exact(windows.out_image()));
        for ((into, image), (gradient, output)) in images.zip(results) {
            let places = gradient.chunks_exact(channels).zip(output.chunks_exact(channels));
            for (place, (gradient, output)) in places.enumerate() {
                left.copy_from_slice(gradient);
                for wy in 0..windows.rows {
                    for wx in 0..windows.columns {
                        let pixel = windows.pixel(place, wy, wx);
                        let value = &image[pixel..][..channels];
                        let into = &mut into[pixel..][..channels];
                        for i in 0..channels {
                            let taken = if value[i] == output[i] { left[i] } else { 0.0 };
                            into[i] += taken;
                            left[i] -= taken;
                        }
                    }
                }
            }
        }
    }

    /// The same for 2×2 windows, which touch each pixel once.
    fn largest_of_four_gradient(
        windows: &Windows,
        into: &mut [f32],
        gradient: &[f32],
        values: (&[f32], &[f32]),
        store: Store,
    ) {
        let (channels, (input, output)) = (windows.channels, values);
        let add = store == Store::Add;
        let images = into.chunks_exact_mut(windows.image()).zip(input.chunks_exact(windows.image()));
        let results = gradient
            .chunks_exact(windows.out_image())
            .zip(output.chunks_exact(windows.out_image()));
        for ((into, image), (gradient, output)) in images.zip(results) {
            let places = gradient.chunks_exact(channels).zip(output.chunks_exact(channels));
            for (place, (gradient, output)) in places.enumerate() {
                let (top, bottom) = (windows.pixel(place, 0, 0), windows.pixel(place, 1, 0));
                let (a, b) = image[top..][..2 * channels].split_at(channels);
                let (c, _) = image[bottom..][..2 * channels].split_at(channels);
                let (above, below) = into.split_at_mut(bottom);
                let (da, db) = above[top..][..2 * channels].split_at_mut(channels);
                let (dc, dd) = below[..2 * channels].split_at_mut(channels);
                share_of_four(da, db, dc, dd, a, b, c, gradient, output, add);
            }
        }
    }

    /// Mean of each window.
    fn means(windows: &Windows, out: &mut [f32], input: &[f32]) {
        let channels = windows.channels;
        let share = 1.0 / (windows.rows * windows.columns) as f32;
        let images = input.chunks_exact(windows.image());
        for (out, image) in out.chunks_exact_mut(windows.out_image()).zip(images) {
            for (place, out) in out.chunks_exact_mut(channels).enumerate() {
                out.fill(0.0);
                for wy in 0..windows.rows {
                    for wx in 0..windows.columns {
                        let pixel = &image[windows.pixel(place, wy, wx)..][..channels];
                        for (out, value) in out.iter_mut().zip(pixel) {
                            *out += *value;
                        }
                    }
                }
                out.iter_mut().for_each(|out| *out *= share);
            }
        }
    }

    /// Spreads each window's gradient over its pixels.
    fn means_gradient(windows: &Windows, into: &mut [f32], gradient: &[f32]) {
        let channels = windows.channels;
        let share = 1.0 / (windows.rows * windows.columns) as f32;
        let images = into.chunks_exact_mut(windows.image());
        for (into, gradient) in images.zip(gradient.chunks_exact(windows.out_image())) {
            for (place, gradient) in gradient.chunks_exact(channels).enumerate() {
                for wy in 0..windows.rows {
                    for wx in 0..windows.columns {
                        let pixel = &mut into[windows.pixel(place, wy, wx)..][..channels];
                        for (into, gradient) in pixel.iter_mut().zip(gradient) {
                            *into += *gradient * share;
                        }
                    }
                }
            }
        }
    }

    /// Mean over all positions of each image.
    fn overall_means(out: &mut [f32], input: &[f32], channels: usize) {
        let images = out.len() / channels;
        let image = input.len() / images.max(1);
        let share = channels as f32 / image as f32;
        for (out, image) in out.chunks_exact_mut(channels).zip(input.chunks_exact(image.max(1))) {
            out.fill(0.0);
            for pixel in image.chunks_exact(channels) {
                for (out, value) in out.iter_mut().zip(pixel) {
                    *out += *value;
                }
            }
            out.iter_mut().for_each(|out| *out *= share);
        }
    }

    /// Gives every position an equal share of the gradient.
    fn overall_means_gradient(into: &mut [f32], gradient: &[f32], channels: usize, store: Store) {
        let images = gradient.len() / channels;
        let image = into.len() / images.max(1);
        let share = channels as f32 / image as f32;
        let add = store == Store::Add;
        let images = into.chunks_exact_mut(image.max(1)).zip(gradient.chunks_exact(channels));
        for (into, gradient) in images {
            for pixel in into.chunks_exact_mut(channels) {
                for (into, gradient) in pixel.iter_mut().zip(gradient) {
                    let before = if add { *into } else { 0.0 };
                    *into = before + *gradient * share;
                }
            }
        }
    }
}

/// Gives the gradient of 2×2 windows to the first of the largest values, in reading order.
///
/// A function of its own: as its arguments the slices are known not to overlap, and only then the
/// compiler makes vectors of the loop.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn share_of_four(
    da: &mut [f32],
    db: &mut [f32],
    dc: &mut [f32],
    dd: &mut [f32],
    a: &[f32],
    b: &[f32],
    c: &[f32],
    gradient: &[f32],
    output: &[f32],
    add: bool,
) {
    let channels = gradient.len();
    let (da, db) = (&mut da[..channels], &mut db[..channels]);
    let (dc, dd) = (&mut dc[..channels], &mut dd[..channels]);
    let (a, b, c) = (&a[..channels], &b[..channels], &c[..channels]);
    let output = &output[..channels];
    for i in 0..channels {
        let (m, g) = (output[i], gradient[i]);
        let to_a = if a[i] == m { g } else { 0.0 };
        let g = if a[i] == m { 0.0 } else { g };
        let to_b = if b[i] == m { g } else { 0.0 };
        let g = if b[i] == m { 0.0 } else { g };
        let to_c = if c[i] == m { g } else { 0.0 };
        let to_d = if c[i] == m { 0.0 } else { g };
        da[i] = to_a + if add { da[i] } else { 0.0 };
        db[i] = to_b + if add { db[i] } else { 0.0 };
        dc[i] = to_c + if add { dc[i] } else { 0.0 };
        dd[i] = to_d + if add { dd[i] } else { 0.0 };
    }
}

/// The larger value; a NaN wins, so that divergence is seen.
#[inline(always)]
fn larger(one: f32, other: f32) -> f32 {
    if one > other || one.is_nan() {
        one
    } else {
        other
    }
}
