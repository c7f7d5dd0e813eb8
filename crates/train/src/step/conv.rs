//! Convolution layers: mixing all channels, or each channel on its own.
//!
//! `W` is `[ky][kx][in channels][out channels]`, depthwise `[ky][kx][channels]`. A kernel of one tap and
//! stride 1 is a matrix product over pixels; everything else is done by `kernel`.

use crate::{
    kernel::{Convolution, DepthwiseConvolution, Ending, Matrix, multiply, product_scratch_len},
    pass::Purpose,
    step::{Frame, Parameter, Part, Sink, Source, Value, norm::BatchNorm},
    vector::{Activation, Store, column_sums, mask_gradient, tile_len},
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
    /// A batch norm that alone reads the output; with running statistics it is done here.
    pub(crate) norm: Option<Box<BatchNorm>>,
}

impl Conv {
    /// Scratch it needs, in floats per thread.
    pub(crate) fn scratch_len(convolution: &Convolution, purpose: Purpose) -> usize {
        let (channels, outputs) = (convolution.geometry.channels, convolution.out_channels);
        let bias = tile_len(outputs);
        match (convolution.geometry.are_pixels(), purpose) {
            (true, Purpose::Infer) => product_scratch_len(channels, outputs),
            (true, Purpose::Train) => product_scratch_len(usize::MAX, outputs)
                .max(product_scratch_len(outputs, channels))
                .max(bias),
            (false, Purpose::Infer) => convolution.forward_scratch_len(),
            (false, Purpose::Train) => convolution
                .forward_scratch_len()
                .max(convolution.input_gradient_scratch_len())
                .max(convolution.weight_gradient_scratch_len())
                .max(bias),
        }
    }

    pub(crate) fn forward(&self, frame: &Frame<'_>) {
        let behind = Behind::of(frame, &self.norm, (self.output.value, self.activation));
        frame.split(|part| self.part_forward(part, &behind));
    }

    fn part_forward(&self, part: &Part<'_>, behind: &Behind<'_>) {
        let input = part.read(self.input.value);
        let out = part.write(behind.output);
        let (weight, bias) = (part.parameter(&self.weight), part.parameter(&self.bias));
        if self.convolution.geometry.are_pixels() {
            let pixels = self.pixels(input, self.convolution.geometry.channels);
            let work = &mut part.workspace(self.pixels_scratch_len());
            let weight = self.matrix(weight);
            return multiply(out, pixels, weight, behind.ending(bias), work);
        }
        let ending = behind.ending(bias);
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
        let (outputs, plain) = (self.convolution.out_channels, Ending::plain(Store::Write));
        let work = &mut part.workspace(product_scratch_len(usize::MAX, outputs));
        multiply(
            part.gradient(&self.weight),
            seen.transposed(),
            gradient,
            plain,
            work,
        );
        if let Some((value, store)) = self.input.gradient {
            let weight = self.matrix(part.parameter(&self.weight)).transposed();
            let work = &mut part.workspace(product_scratch_len(outputs, channels));
            multiply(
                part.write(value),
                gradient,
                weight,
                Ending::plain(store),
                work,
            );
        }
    }

    fn pixels_scratch_len(&self) -> usize {
        product_scratch_len(
            self.convolution.geometry.channels,
            self.convolution.out_channels,
        )
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

/// What is done with the sums of a convolution, and where they go.
struct Behind<'a> {
    output: Value,
    activation: Activation,
    scale_offset: Option<[&'a [f32]; 2]>,
}

impl<'a> Behind<'a> {
    /// With running statistics the norm behind is part of it, and its output is written.
    fn of(
        frame: &Frame<'a>,
        norm: &Option<Box<BatchNorm>>,
        (output, activation): (Value, Activation),
    ) -> Behind<'a> {
        match norm {
            Some(norm) if frame.joins_norms() => Behind {
                output: norm.output.value,
                activation: norm.activation,
                scale_offset: Some(norm.running_coefficients(frame)),
            },
            _ => Behind {
                output,
                activation,
                scale_offset: None,
            },
        }
    }

    fn ending(&self, bias: &'a [f32]) -> Ending<'a> {
        Ending {
            bias: Some(bias),
            scale_offset: self.scale_offset,
            floor: self.activation.floor(),
            store: Store::Write,
        }
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
    /// As that of [`Conv`].
    pub(crate) norm: Option<Box<BatchNorm>>,
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

    pub(crate) fn forward(&self, frame: &Frame<'_>) {
        let behind = Behind::of(frame, &self.norm, (self.output.value, self.activation));
        frame.split(|part| self.part_forward(part, &behind));
    }

    fn part_forward(&self, part: &Part<'_>, behind: &Behind<'_>) {
        let ending = behind.ending(part.parameter(&self.bias));
        let (input, out) = (part.read(self.input.value), part.write(behind.output));
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
