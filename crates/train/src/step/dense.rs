//! Fully connected: `y = x·W + b`, with a rectifier behind it done in the same pass.
//!
//! `W` is `[inputs][units]`, `x` and `y` are `[rows][inputs]` and `[rows][units]`.

use crate::{
    kernel::{Ending, Matrix, multiply, product_scratch_len},
    pass::Purpose,
    step::{Parameter, Part, Sink, Source},
    vector::{Activation, Store, column_sums, mask_gradient, tile_len},
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
    pub(crate) fn scratch_len(inputs: usize, units: usize, purpose: Purpose) -> usize {
        let forward = product_scratch_len(inputs, units);
        match purpose {
            Purpose::Infer => forward,
            // The gradient of the weights sums over rows, which may be many.
            Purpose::Train => forward
                .max(product_scratch_len(usize::MAX, units))
                .max(product_scratch_len(units, inputs))
                .max(tile_len(units)),
        }
    }

    pub(crate) fn forward(&self, part: &Part<'_>) {
        let (inputs, units) = (self.input.value.item, self.output.value.item);
        let out = part.write(self.output.value);
        let examples = Matrix::new(part.read(self.input.value), part.rows.len(), inputs);
        let weight = Matrix::new(part.parameter(&self.weight), inputs, units);
        let ending = Ending {
            bias: Some(part.parameter(&self.bias)),
            floor: self.activation.floor(),
            ..Ending::plain(Store::Write)
        };
        let work = &mut part.workspace(product_scratch_len(inputs, units));
        multiply(out, examples, weight, ending, work);
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
        let work = &mut part.workspace(product_scratch_len(rows, units));
        let plain = Ending::plain(Store::Write);
        multiply(
            part.gradient(&self.weight),
            examples.transposed(),
            gradient,
            plain,
            work,
        );
        if let Some((value, store)) = self.input.gradient {
            let weight = Matrix::new(part.parameter(&self.weight), inputs, units).transposed();
            let work = &mut part.workspace(product_scratch_len(units, inputs));
            multiply(
                part.write(value),
                gradient,
                weight,
                Ending::plain(store),
                work,
            );
        }
    }
}
