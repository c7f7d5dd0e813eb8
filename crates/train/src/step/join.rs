//! Where branches meet: sum, and channels side by side.

use crate::{
    step::{Part, Sink, Source},
    vector::{Activation, Store, copy, mask_gradient, vectorised},
};

/// The sum of two values, with a rectifier behind it done in the same pass.
#[derive(Clone, Debug)]
pub(crate) struct Add {
    pub(crate) inputs: [Source; 2],
    pub(crate) output: Sink,
    pub(crate) activation: Activation,
}

impl Add {
    pub(crate) fn forward(&self, part: &Part<'_>) {
        let [left, right] = self.inputs.map(|input| part.read(input.value));
        sum(part.write(self.output.value), left, right, self.activation);
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let gradient = part.arrived(&self.output);
        if self.activation == Activation::Relu {
            mask_gradient(gradient, part.read(self.output.value));
        }
        for (value, store) in self.inputs.iter().filter_map(|input| input.gradient) {
            copy(part.write(value), gradient, store);
        }
    }
}

/// Channels of several values, one after the other at each position.
#[derive(Clone, Debug)]
pub(crate) struct Concat {
    pub(crate) inputs: Vec<Source>,
    pub(crate) output: Sink,
    pub(crate) positions: usize,
}

impl Concat {
    pub(crate) fn forward(&self, part: &Part<'_>) {
        let width = self.output.value.item / self.positions;
        let out = part.write(self.output.value);
        let mut first = 0;
        for input in &self.inputs {
            let channels = input.value.item / self.positions;
            let columns = (first, channels);
            place(out, width, part.read(input.value), columns);
            first += channels;
        }
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let width = self.output.value.item / self.positions;
        let gradient: &[f32] = part.arrived(&self.output);
        let mut first = 0;
        for input in &self.inputs {
            let channels = input.value.item / self.positions;
            if let Some((value, store)) = input.gradient {
                pick(part.write(value), gradient, width, (first, channels), store);
            }
            first += channels;
        }
    }
}

vectorised! {
    /// `out = max(floor, left + right)`.
    fn sum(out: &mut [f32], left: &[f32], right: &[f32], activation: Activation) {
        let floor = activation.floor();
        for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
            let value = *left + *right;
            *out = if value < floor { floor } else { value };
        }
    }

    /// Copies `values` into some columns (first, count) of rows of `width`.
    fn place(out: &mut [f32], width: usize, values: &[f32], columns: (usize, usize)) {
        let (first, count) = columns;
        for (row, values) in out.chunks_exact_mut(width).zip(values.chunks_exact(count)) {
            row[first..first + count].copy_from_slice(values);
        }
    }

    /// Copies or adds some columns (first, count) of rows of `width` into `out`.
    fn pick(out: &mut [f32], rows: &[f32], width: usize, columns: (usize, usize), store: Store) {
        let (first, count) = columns;
        let add = store == Store::Add;
        for (out, row) in out.chunks_exact_mut(count).zip(rows.chunks_exact(width)) {
            for (out, value) in out.iter_mut().zip(&row[first..first + count]) {
                let before = if add { *out } else { 0.0 };
                *out = before + *value;
            }
        }
    }
}
