//! Where branches meet or part: sum, product, channels side by side, and some of them.

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

/// The product of two values; a flat second one is a factor for each channel.
#[derive(Clone, Debug)]
pub(crate) struct Multiply {
    pub(crate) inputs: [Source; 2],
    pub(crate) output: Sink,
    pub(crate) channels: usize,
}

impl Multiply {
    fn is_by_channel(&self) -> bool {
        self.inputs[0].value.item != self.inputs[1].value.item
    }

    pub(crate) fn forward(&self, part: &Part<'_>) {
        let out = part.write(self.output.value);
        let [left, right] = self.inputs.map(|input| part.read(input.value));
        if self.is_by_channel() {
            scale_channels(out, left, right, self.channels, Store::Write);
        } else {
            product(out, left, right, Store::Write);
        }
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let gradient: &[f32] = part.arrived(&self.output);
        let [left, right] = self.inputs.map(|input| part.read(input.value));
        let [to_left, to_right] = self.inputs.map(|input| input.gradient);
        if let Some((value, store)) = to_left {
            if self.is_by_channel() {
                scale_channels(part.write(value), gradient, right, self.channels, store);
            } else {
                product(part.write(value), gradient, right, store);
            }
        }
        if let Some((value, store)) = to_right {
            if self.is_by_channel() {
                channel_products(part.write(value), gradient, left, self.channels, store);
            } else {
                product(part.write(value), gradient, left, store);
            }
        }
    }
}

/// Some neighbouring channels of each position.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    pub(crate) positions: usize,
    pub(crate) first: usize,
}

impl Slice {
    /// Width of a row, and the columns taken.
    fn extents(&self) -> (usize, (usize, usize)) {
        let count = self.output.value.item / self.positions;
        (self.input.value.item / self.positions, (self.first, count))
    }

    pub(crate) fn forward(&self, part: &Part<'_>) {
        let (width, columns) = self.extents();
        let input = part.read(self.input.value);
        pick(
            part.write(self.output.value),
            input,
            width,
            columns,
            Store::Write,
        );
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        let (width, columns) = self.extents();
        let into = part.write(value);
        if store == Store::Write {
            into.fill(0.0);
        }
        add_to_columns(into, width, part.arrived(&self.output), columns);
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

    /// `out = left·right`, or `out += left·right`.
    fn product(out: &mut [f32], left: &[f32], right: &[f32], store: Store) {
        let add = store == Store::Add;
        for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
            let before = if add { *out } else { 0.0 };
            *out = before + *left * *right;
        }
    }

    /// Each example's pixels times its row of factors, one per channel; added if asked.
    fn scale_channels(
        out: &mut [f32],
        images: &[f32],
        factors: &[f32],
        channels: usize,
        store: Store,
    ) {
        let add = store == Store::Add;
        let examples = (factors.len() / channels).max(1);
        let item = (images.len() / examples).max(1);
        let images = out.chunks_exact_mut(item).zip(images.chunks_exact(item));
        for ((out, image), factors) in images.zip(factors.chunks_exact(channels)) {
            let pixels = out.chunks_exact_mut(channels).zip(image.chunks_exact(channels));
            for (out, pixel) in pixels {
                for ((out, value), factor) in out.iter_mut().zip(pixel).zip(factors) {
                    let before = if add { *out } else { 0.0 };
                    *out = before + *value * *factor;
                }
            }
        }
    }

    /// For each example and channel the sum of left·right over all pixels; added if asked.
    fn channel_products(
        out: &mut [f32],
        left: &[f32],
        right: &[f32],
        channels: usize,
        store: Store,
    ) {
        let examples = (out.len() / channels).max(1);
        let item = (left.len() / examples).max(1);
        if store == Store::Write {
            out.fill(0.0);
        }
        let images = left.chunks_exact(item).zip(right.chunks_exact(item));
        for (out, (left, right)) in out.chunks_exact_mut(channels).zip(images) {
            for (left, right) in left.chunks_exact(channels).zip(right.chunks_exact(channels)) {
                for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
                    *out += *left * *right;
                }
            }
        }
    }

    /// Adds `values` to some columns (first, count) of rows of `width`.
    fn add_to_columns(out: &mut [f32], width: usize, values: &[f32], columns: (usize, usize)) {
        let (first, count) = columns;
        for (row, values) in out.chunks_exact_mut(width).zip(values.chunks_exact(count)) {
            for (out, value) in row[first..first + count].iter_mut().zip(values) {
                *out += *value;
            }
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
