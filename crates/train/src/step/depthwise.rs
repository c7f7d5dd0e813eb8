//! Depthwise convolution: each channel with its own kernel, computed directly.
//!
//! `W` is `[ky][kx][channels]`. Sixteen channels at a time are summed in registers over the taps of
//! the kernel; there are too few products per value for a matrix product to pay.

use crate::{
    step::{Parameter, Part, Sink, Source, patches::Patches},
    vector::{Activation, Store, column_sums, mask_gradient, tile_len, vectorised},
};

/// Channels summed at once: one 512-bit register, two of 256 bits.
const LANES: usize = 16;

/// A depthwise convolution layer.
#[derive(Clone, Debug)]
pub(crate) struct Depthwise {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    pub(crate) weight: Parameter,
    pub(crate) bias: Parameter,
    pub(crate) activation: Activation,
    pub(crate) patches: Patches,
}

impl Depthwise {
    /// Scratch it needs, in floats per thread.
    pub(crate) fn scratch_len(channels: usize) -> usize {
        tile_len(channels)
    }

    pub(crate) fn forward(&self, part: &Part<'_>) {
        let kernel = Taps {
            patches: &self.patches,
            weight: part.parameter(&self.weight),
            bias: part.parameter(&self.bias),
            floor: self.activation.floor(),
        };
        convolve(
            kernel,
            part.read(self.input.value),
            part.write(self.output.value),
        );
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let gradient = part.arrived(&self.output);
        if self.activation == Activation::Relu {
            mask_gradient(gradient, part.read(self.output.value));
        }
        let tile = part.scratch(tile_len(self.patches.channels));
        column_sums(part.gradient(&self.bias), tile, gradient, Store::Write);
        let input = part.read(self.input.value);
        weight_gradient(&self.patches, input, gradient, part.gradient(&self.weight));
        if let Some((value, store)) = self.input.gradient {
            let weight = part.parameter(&self.weight);
            input_gradient(&self.patches, weight, gradient, part.write(value), store);
        }
    }
}

/// What a forward pass needs beside the images.
#[derive(Clone, Copy)]
pub(crate) struct Taps<'a> {
    patches: &'a Patches,
    weight: &'a [f32],
    bias: &'a [f32],
    floor: f32,
}

/// Every group of channels: first channel and how many, 16 but for the last.
///
/// An iterator and not a function that takes the loop's body: a closure that is not inlined is
/// compiled without the vector instructions of its caller.
#[inline(always)]
fn channel_groups(channels: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..channels)
        .step_by(LANES)
        .map(move |first| (first, LANES.min(channels - first)))
}

/// `sums += a·b` over one group of channels; the full group has a fixed length for the compiler.
#[inline(always)]
fn accumulate(sums: &mut [f32; LANES], a: &[f32], b: &[f32], count: usize) {
    if count == LANES {
        let a: &[f32; LANES] = a[..LANES].try_into().expect("the group is full");
        let b: &[f32; LANES] = b[..LANES].try_into().expect("the group is full");
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    } else {
        for lane in 0..count {
            sums[lane] += a[lane] * b[lane];
        }
    }
}

/// The source row or column that a tap sees from a place, if it lies inside.
#[inline(always)]
fn seen(place: usize, stride: usize, tap: usize, padding: usize, extent: usize) -> Option<usize> {
    (place * stride + tap)
        .checked_sub(padding)
        .filter(|at| *at < extent)
}

/// The place that sees source row or column `at` through a tap, if there is one.
#[inline(always)]
fn seer(at: usize, stride: usize, tap: usize, padding: usize, places: usize) -> Option<usize> {
    let distance = (at + padding).checked_sub(tap)?;
    // The usual case, without a division per tap.
    if stride == 1 {
        return (distance < places).then_some(distance);
    }
    (distance % stride == 0 && distance / stride < places).then_some(distance / stride)
}

vectorised! {
    /// Depthwise convolution of some images.
    fn convolve(taps: Taps<'_>, images: &[f32], out: &mut [f32]) {
        let Taps { patches: p, weight, bias, floor } = taps;
        let channels = p.channels;
        let out_image = p.out_height * p.out_width * channels;
        for (image, out) in images.chunks_exact(p.image()).zip(out.chunks_exact_mut(out_image)) {
            for (place, out) in out.chunks_exact_mut(channels).enumerate() {
                let (oy, ox) = (place / p.out_width, place % p.out_width);
                for (first, count) in channel_groups(channels) {
                    let mut sums = [0.0_f32; LANES];
                    sums[..count].copy_from_slice(&bias[first..first + count]);
                    for ky in 0..p.size {
                        let Some(y) = seen(oy, p.stride, ky, p.padding(), p.height) else { continue };
                        for kx in 0..p.size {
                            let Some(x) = seen(ox, p.stride, kx, p.padding(), p.width) else { continue };
                            let source = &image[(y * p.width + x) * channels + first..];
                            let tap = &weight[(ky * p.size + kx) * channels + first..];
                            accumulate(&mut sums, source, tap, count);
                        }
                    }
                    for (out, sum) in out[first..first + count].iter_mut().zip(&sums) {
                        *out = if *sum < floor { floor } else { *sum };
                    }
                }
            }
        }
    }

    /// Gradient of the images, gathered from every place that saw a pixel.
    fn input_gradient(
        p: &Patches,
        weight: &[f32],
        gradient: &[f32],
        images: &mut [f32],
        store: Store,
    ) {
        let channels = p.channels;
        let out_image = p.out_height * p.out_width * channels;
        let pairs = images.chunks_exact_mut(p.image()).zip(gradient.chunks_exact(out_image));
        for (image, gradient) in pairs {
            for (pixel, into) in image.chunks_exact_mut(channels).enumerate() {
                let (y, x) = (pixel / p.width, pixel % p.width);
                for (first, count) in channel_groups(channels) {
                    let mut sums = [0.0_f32; LANES];
                    for ky in 0..p.size {
                        let oy = seer(y, p.stride, ky, p.padding(), p.out_height);
                        let Some(oy) = oy else { continue };
                        for kx in 0..p.size {
                            let ox = seer(x, p.stride, kx, p.padding(), p.out_width);
                            let Some(ox) = ox else { continue };
                            let source = &gradient[(oy * p.out_width + ox) * channels + first..];
                            let tap = &weight[(ky * p.size + kx) * channels + first..];
                            accumulate(&mut sums, source, tap, count);
                        }
                    }
                    let add = store == Store::Add;
                    for (into, sum) in into[first..first + count].iter_mut().zip(&sums) {
                        let before = if add { *into } else { 0.0 };
                        *into = before + *sum;
                    }
                }
            }
        }
    }

    /// Gradient of the kernel, summed over all places of some images.
    fn weight_gradient(p: &Patches, images: &[f32], gradient: &[f32], into: &mut [f32]) {
        let channels = p.channels;
        let out_image = p.out_height * p.out_width * channels;
        into.fill(0.0);
        let pairs = images.chunks_exact(p.image()).zip(gradient.chunks_exact(out_image));
        for (image, gradient) in pairs {
            for (tap, into) in into.chunks_exact_mut(channels).enumerate() {
                let (ky, kx) = (tap / p.size, tap % p.size);
                for (first, count) in channel_groups(channels) {
                    let mut sums = [0.0_f32; LANES];
                    for oy in 0..p.out_height {
                        let Some(y) = seen(oy, p.stride, ky, p.padding(), p.height) else { continue };
                        for ox in 0..p.out_width {
                            let Some(x) = seen(ox, p.stride, kx, p.padding(), p.width) else { continue };
                            let source = &image[(y * p.width + x) * channels + first..];
                            let arrived = &gradient[(oy * p.out_width + ox) * channels + first..];
                            accumulate(&mut sums, source, arrived, count);
                        }
                    }
                    for (into, sum) in into[first..first + count].iter_mut().zip(&sums) {
                        *into += *sum;
                    }
                }
            }
        }
    }
}
