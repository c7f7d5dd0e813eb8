//! Convolution as matrix products over blocks of patches.
//!
//! `W` is `[ky][kx][in channels][out channels]`, that is `[patch][out channels]`.
//! Forward: `y = patches(x)·W + b`. Backward: `dW = patches(x)ᵀ·dy` with the patches made again
//! (cheaper than keeping them), `dx = scatter(dy·Wᵀ)`, or, where that is less work, the convolution of
//! `dy` with the rotated kernel. A 1×1 kernel of stride 1 needs no patches at all.

use crate::{
    matmul::{Matrix, multiply},
    pass::Purpose,
    step::{
        Parameter, Part, Sink, Source,
        patches::{Patches, gather, scatter},
    },
    vector::{Activation, Store, add_bias, column_sums, mask_gradient, tile_len},
};

/// A convolution layer.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    pub(crate) weight: Parameter,
    pub(crate) bias: Parameter,
    pub(crate) activation: Activation,
    pub(crate) patches: Patches,
    pub(crate) out_channels: usize,
}

/// How the gradient of the input is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backward {
    /// The image is its own matrix of patches.
    Pixels,
    /// Patches of gradients are computed and added into place.
    Scatter,
    /// The gradient of the output is convolved with the rotated kernel, which makes few columns.
    Rotated,
}

fn backward_way(patches: &Patches, out_channels: usize) -> Backward {
    if patches.are_pixels() {
        Backward::Pixels
    } else if patches.stride == 1 && out_channels <= patches.channels {
        Backward::Rotated
    } else {
        Backward::Scatter
    }
}

/// The convolution that brings gradients back: same kernel extents, channels exchanged.
fn returning(patches: &Patches, out_channels: usize) -> Patches {
    Patches {
        channels: out_channels,
        ..*patches
    }
}

impl Conv {
    /// Scratch it needs, in floats per thread.
    pub(crate) fn scratch_len(patches: &Patches, out_channels: usize, purpose: Purpose) -> usize {
        let block = if patches.are_pixels() {
            0
        } else {
            patches.block_len()
        };
        if purpose == Purpose::Infer {
            return block;
        }
        let backward = match backward_way(patches, out_channels) {
            Backward::Pixels => 0,
            Backward::Scatter => patches.block_len(),
            Backward::Rotated => {
                patches.len() * out_channels + returning(patches, out_channels).block_len()
            }
        };
        block.max(backward).max(tile_len(out_channels))
    }

    pub(crate) fn forward(&self, part: &Part<'_>) {
        let patches = &self.patches;
        let input = part.read(self.input.value);
        let out = part.write(self.output.value);
        let weight = Matrix::new(
            part.parameter(&self.weight),
            patches.len(),
            self.out_channels,
        );
        let bias = part.parameter(&self.bias);
        if patches.are_pixels() {
            let pixels = Matrix::new(input, out.len() / self.out_channels, patches.channels);
            multiply(out, pixels, weight, Store::Write);
            return add_bias(out, bias, self.activation);
        }
        let line_len = patches.out_width * self.out_channels;
        let scratch = part.scratch(patches.block_len());
        for lines in patches.blocks(part.rows.len()) {
            let places = lines.len() * patches.out_width;
            gather(patches, input, lines.clone(), scratch);
            let out = &mut out[lines.start * line_len..lines.end * line_len];
            multiply(
                out,
                Matrix::new(scratch, places, patches.len()),
                weight,
                Store::Write,
            );
            add_bias(out, bias, self.activation);
        }
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let gradient = part.arrived(&self.output);
        if self.activation == Activation::Relu {
            mask_gradient(gradient, part.read(self.output.value));
        }
        let tile = part.scratch(tile_len(self.out_channels));
        column_sums(part.gradient(&self.bias), tile, gradient, Store::Write);
        self.weight_gradient(part, gradient);
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        let into = part.write(value);
        match backward_way(&self.patches, self.out_channels) {
            Backward::Pixels => self.pixels_back(part, gradient, into, store),
            Backward::Scatter => self.scatter_back(part, gradient, into, store),
            Backward::Rotated => self.rotated_back(part, gradient, into, store),
        }
    }

    fn weight_gradient(&self, part: &Part<'_>, gradient: &[f32]) {
        let patches = &self.patches;
        let input = part.read(self.input.value);
        let into = part.gradient(&self.weight);
        if patches.are_pixels() {
            let pixels = gradient.len() / self.out_channels;
            let input = Matrix::new(input, pixels, patches.channels).transposed();
            let gradient = Matrix::new(gradient, pixels, self.out_channels);
            return multiply(into, input, gradient, Store::Write);
        }
        let line_len = patches.out_width * self.out_channels;
        let scratch = part.scratch(patches.block_len());
        let mut store = Store::Write;
        for lines in patches.blocks(part.rows.len()) {
            let places = lines.len() * patches.out_width;
            gather(patches, input, lines.clone(), scratch);
            let seen = Matrix::new(scratch, places, patches.len()).transposed();
            let gradient = &gradient[lines.start * line_len..lines.end * line_len];
            multiply(
                into,
                seen,
                Matrix::new(gradient, places, self.out_channels),
                store,
            );
            store = Store::Add;
        }
        if store == Store::Write {
            into.fill(0.0);
        }
    }

    fn pixels_back(&self, part: &Part<'_>, gradient: &[f32], into: &mut [f32], store: Store) {
        let channels = self.patches.channels;
        let weight = Matrix::new(part.parameter(&self.weight), channels, self.out_channels);
        let pixels = gradient.len() / self.out_channels;
        let gradient = Matrix::new(gradient, pixels, self.out_channels);
        multiply(into, gradient, weight.transposed(), store);
    }

    fn scatter_back(&self, part: &Part<'_>, gradient: &[f32], into: &mut [f32], store: Store) {
        let patches = &self.patches;
        let weight = Matrix::new(
            part.parameter(&self.weight),
            patches.len(),
            self.out_channels,
        );
        let line_len = patches.out_width * self.out_channels;
        let scratch = part.scratch(patches.block_len());
        if store == Store::Write {
            into.fill(0.0);
        }
        for lines in patches.blocks(part.rows.len()) {
            let places = lines.len() * patches.out_width;
            let gradient = &gradient[lines.start * line_len..lines.end * line_len];
            let gradient = Matrix::new(gradient, places, self.out_channels);
            multiply(scratch, gradient, weight.transposed(), Store::Write);
            scatter(patches, scratch, lines, into);
        }
    }

    fn rotated_back(&self, part: &Part<'_>, gradient: &[f32], into: &mut [f32], store: Store) {
        let patches = returning(&self.patches, self.out_channels);
        let channels = self.patches.channels;
        let weight_len = self.patches.len() * self.out_channels;
        let scratch = part.scratch(weight_len + patches.block_len());
        let (rotated, scratch) = scratch.split_at_mut(weight_len);
        rotate(
            part.parameter(&self.weight),
            channels,
            self.out_channels,
            rotated,
        );
        let rotated = Matrix::new(rotated, patches.len(), channels);
        let line_len = patches.out_width * channels;
        for lines in patches.blocks(part.rows.len()) {
            let places = lines.len() * patches.out_width;
            gather(&patches, gradient, lines.clone(), scratch);
            let into = &mut into[lines.start * line_len..lines.end * line_len];
            multiply(
                into,
                Matrix::new(scratch, places, patches.len()),
                rotated,
                store,
            );
        }
    }
}

/// `[tap][in][out]` becomes `[last tap first][out][in]`.
fn rotate(weight: &[f32], channels: usize, out_channels: usize, rotated: &mut [f32]) {
    let tap = channels * out_channels;
    for (from, to) in weight
        .chunks_exact(tap)
        .rev()
        .zip(rotated.chunks_exact_mut(tap))
    {
        for (o, row) in to.chunks_exact_mut(channels).enumerate() {
            for (i, value) in row.iter_mut().enumerate() {
                *value = from[i * out_channels + o];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotating_twice_with_channels_exchanged_gives_the_kernel_back() {
        let weight: Vec<f32> = (0..9 * 2 * 5).map(|i| i as f32).collect();
        let mut once = vec![0.0; weight.len()];
        rotate(&weight, 2, 5, &mut once);
        assert_ne!(once, weight);
        let mut twice = vec![0.0; weight.len()];
        rotate(&once, 5, 2, &mut twice);
        assert_eq!(twice, weight);
    }
}
