//! Fully connected: `y = x·W + b`, with a rectifier behind it done in the same pass.
//!
//! `W` is `[inputs][units]`, `x` and `y` are `[rows][inputs]` and `[rows][units]`.

use crate::{
    matmul::{Matrix, multiply},
    step::{Parameter, Part, Sink, Source},
    vector::{Activation, Store, add_bias, column_sums, mask_gradient, tile_len},
};

/// A fully connected layer.
#[derive(Clone, Debug)]
pub(crate) struct Dense {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    pub(crate) weight: Parameter,
    pub(crate) bias: Parameter,
    pub(crate) activation: Activation,
}

impl Dense {
    /// Scratch it needs, in floats per thread.
    pub(crate) fn scratch_len(units: usize) -> usize {
        tile_len(units)
    }

    pub(crate) fn forward(&self, part: &Part<'_>) {
        let (inputs, units) = (self.input.value.item, self.output.value.item);
        let out = part.write(self.output.value);
        let examples = Matrix::new(part.read(self.input.value), part.rows.len(), inputs);
        let weight = Matrix::new(part.parameter(&self.weight), inputs, units);
        multiply(out, examples, weight, Store::Write);
        add_bias(out, part.parameter(&self.bias), self.activation);
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let (inputs, units) = (self.input.value.item, self.output.value.item);
        let rows = part.rows.len();
        let gradient = part.arrived(&self.output);
        if self.activation == Activation::Relu {
            mask_gradient(gradient, part.read(self.output.value));
        }
        let tile = part.scratch(tile_len(units));
        column_sums(part.gradient(&self.bias), tile, gradient, Store::Write);
        let gradient = Matrix::new(gradient, rows, units);
        let examples = Matrix::new(part.read(self.input.value), rows, inputs);
        multiply(
            part.gradient(&self.weight),
            examples.transposed(),
            gradient,
            Store::Write,
        );
        if let Some((value, store)) = self.input.gradient {
            let weight = Matrix::new(part.parameter(&self.weight), inputs, units);
            multiply(part.write(value), gradient, weight.transposed(), store);
        }
    }
}
