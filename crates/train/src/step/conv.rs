//! Convolution layers: mixing all channels, or each channel on its own.
//!
//! `W` is `[ky][kx][in channels][out channels]`, depthwise `[ky][kx][channels]`. A kernel of one tap and
//! stride 1 is a matrix product over pixels; everything else is done by `kernel`.

use crate::{
    kernel::{Convolution, DepthwiseConvolution, Ending},
    matmul::{Matrix, multiply},
    pass::Purpose,
    step::{Parameter, Part, Sink, Source},
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
    pub(crate) convolution: Convolution,
}

impl Conv {
    /// Scratch it needs, in floats per thread.
    pub(crate) fn scratch_len(convolution: &Convolution, purpose: Purpose) -> usize {
        let bias = tile_len(convolution.out_channels);
        match (convolution.geometry.are_pixels(), purpose) {
            (true, Purpose::Infer) => 0,
            (true, Purpose::Train) => bias,
            (false, Purpose::Infer) => convolution.forward_scratch_len(),
            (false, Purpose::Train) => convolution
                .forward_scratch_len()
                .max(convolution.input_gradient_scratch_len())
                .max(convolution.weight_gradient_scratch_len())
                .max(bias),
        }
    }

    pub(crate) fn forward(&self, part: &Part<'_>) {
        let input = part.read(self.input.value);
        let out = part.write(self.output.value);
        let (weight, bias) = (part.parameter(&self.weight), part.parameter(&self.bias));
        if self.convolution.geometry.are_pixels() {
            let pixels = self.pixels(input, self.convolution.geometry.channels);
            multiply(out, pixels, self.matrix(weight), Store::Write);
            return add_bias(out, bias, self.activation);
        }
        let ending = Ending {
            bias: Some(bias),
            floor: self.activation.floor(),
            ..Ending::plain(Store::Write)
        };
        let scratch = part.scratch(self.convolution.forward_scratch_len());
        self.convolution
            .forward(input, weight, ending, out, scratch);
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let gradient = part.arrived(&self.output);
        if self.activation == Activation::Relu {
            mask_gradient(gradient, part.read(self.output.value));
        }
        let tile = part.scratch(tile_len(self.convolution.out_channels));
        column_sums(part.gradient(&self.bias), tile, gradient, Store::Write);
        if self.convolution.geometry.are_pixels() {
            return self.pixels_backward(part, gradient);
        }
        let scratch = part.scratch(self.convolution.weight_gradient_scratch_len());
        let (input, into) = (part.read(self.input.value), part.gradient(&self.weight));
        self.convolution
            .weight_gradient(input, gradient, into, scratch);
        if let Some((value, store)) = self.input.gradient {
            let scratch = part.scratch(self.convolution.input_gradient_scratch_len());
            let (weight, into) = (part.parameter(&self.weight), part.write(value));
            self.convolution
                .input_gradient(gradient, weight, into, store, scratch);
        }
    }

    fn pixels_backward(&self, part: &Part<'_>, gradient: &[f32]) {
        let channels = self.convolution.geometry.channels;
        let gradient = self.pixels(gradient, self.convolution.out_channels);
        let seen = self.pixels(part.read(self.input.value), channels);
        multiply(
            part.gradient(&self.weight),
            seen.transposed(),
            gradient,
            Store::Write,
        );
        if let Some((value, store)) = self.input.gradient {
            let weight = self.matrix(part.parameter(&self.weight));
            multiply(part.write(value), gradient, weight.transposed(), store);
        }
    }

    fn pixels<'a>(&self, values: &'a [f32], channels: usize) -> Matrix<'a> {
        Matrix::new(values, values.len() / channels, channels)
    }

    fn matrix<'a>(&self, weight: &'a [f32]) -> Matrix<'a> {
        let (channels, out_channels) = (
            self.convolution.geometry.channels,
            self.convolution.out_channels,
        );
        Matrix::new(weight, channels, out_channels)
    }
}

/// A depthwise convolution layer.
#[derive(Clone, Debug)]
pub(crate) struct Depthwise {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    pub(crate) weight: Parameter,
    pub(crate) bias: Parameter,
    pub(crate) activation: Activation,
    pub(crate) convolution: DepthwiseConvolution,
}

impl Depthwise {
    /// Scratch it needs, in floats per thread.
    pub(crate) fn scratch_len(convolution: &DepthwiseConvolution, purpose: Purpose) -> usize {
        let forward = convolution.forward_scratch_len();
        match purpose {
            Purpose::Infer => forward,
            Purpose::Train => forward
                .max(convolution.input_gradient_scratch_len())
                .max(convolution.weight_gradient_scratch_len())
                .max(tile_len(convolution.geometry.channels)),
        }
    }

    pub(crate) fn forward(&self, part: &Part<'_>) {
        let ending = Ending {
            bias: Some(part.parameter(&self.bias)),
            floor: self.activation.floor(),
            ..Ending::plain(Store::Write)
        };
        let (input, out) = (part.read(self.input.value), part.write(self.output.value));
        let scratch = part.scratch(self.convolution.forward_scratch_len());
        let weight = part.parameter(&self.weight);
        self.convolution
            .forward(input, weight, ending, out, scratch);
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let gradient = part.arrived(&self.output);
        if self.activation == Activation::Relu {
            mask_gradient(gradient, part.read(self.output.value));
        }
        let tile = part.scratch(tile_len(self.convolution.geometry.channels));
        column_sums(part.gradient(&self.bias), tile, gradient, Store::Write);
        let scratch = part.scratch(self.convolution.weight_gradient_scratch_len());
        let (input, into) = (part.read(self.input.value), part.gradient(&self.weight));
        self.convolution
            .weight_gradient(input, gradient, into, scratch);
        if let Some((value, store)) = self.input.gradient {
            let scratch = part.scratch(self.convolution.input_gradient_scratch_len());
            let (weight, into) = (part.parameter(&self.weight), part.write(value));
            self.convolution
                .input_gradient(gradient, weight, into, store, scratch);
        }
    }
}
