//! What looks things up: a learned vector for each code, and one for each step of a series. Where a step has several
//! codes, their vectors are added.
//!
//! Codes come as floats. One that is not at least 0 and below the number of codes is taken for 0, the
//! place of the unknown; a fraction is cut off.

use crate::{
    step::{Parameter, Part, Sink, Source},
    vector::{Store, column_sums, copy, tile_len, vectorised},
};

/// An embedding layer.
#[derive(Clone, Debug)]
pub(crate) struct Embedding {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    /// `[codes][width]`.
    pub(crate) weight: Parameter,
    pub(crate) codes: usize,
    pub(crate) width: usize,
    /// Codes that one vector is made of.
    pub(crate) codes_per_vector: usize,
}

impl Embedding {
    pub(crate) fn forward(&self, part: &Part<'_>) {
        let table = part.parameter(&self.weight);
        let out = part.write(self.output.value).chunks_exact_mut(self.width);
        let codes = part
            .read(self.input.value)
            .chunks_exact(self.codes_per_vector);
        for (out, codes) in out.zip(codes) {
            let (first, more) = (codes[0], &codes[1..]);
            out.copy_from_slice(&table[self.row(first)..][..self.width]);
            for code in more {
                copy(out, &table[self.row(*code)..][..self.width], Store::Add);
            }
        }
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let gradient: &[f32] = part.arrived(&self.output);
        let into = part.gradient(&self.weight);
        into.fill(0.0);
        let rows = gradient.chunks_exact(self.width);
        let codes = part
            .read(self.input.value)
            .chunks_exact(self.codes_per_vector);
        for (gradient, codes) in rows.zip(codes) {
            for code in codes {
                let row = &mut into[self.row(*code)..][..self.width];
                copy(row, gradient, Store::Add);
            }
        }
        // Codes have no slope: whatever learns before them learns nothing from here.
        if let Some((value, Store::Write)) = self.input.gradient {
            part.write(value).fill(0.0);
        }
    }

    /// Where the vector of a code begins.
    fn row(&self, code: f32) -> usize {
        let is_known = code >= 0.0 && code < self.codes as f32;
        let row = if is_known { code as usize } else { 0 };
        row * self.width
    }
}

/// A layer that adds what it has learned of each step.
#[derive(Clone, Debug)]
pub(crate) struct Position {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    /// `[steps][channels]`, as long as one example.
    pub(crate) shift: Parameter,
}

impl Position {
    /// Scratch it needs, in floats per thread.
    pub(crate) fn scratch_len(values: usize) -> usize {
        tile_len(values)
    }

    pub(crate) fn forward(&self, part: &Part<'_>) {
        let (out, input) = (part.write(self.output.value), part.read(self.input.value));
        add_to_each(out, input, part.parameter(&self.shift));
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let gradient: &[f32] = part.arrived(&self.output);
        let tile = part.scratch(Position::scratch_len(self.output.value.item));
        column_sums(part.gradient(&self.shift), tile, gradient, Store::Write);
        if let Some((value, store)) = self.input.gradient {
            copy(part.write(value), gradient, store);
        }
    }
}

vectorised! {
    /// `out = input + shift`, with `shift` for each example.
    fn add_to_each(out: &mut [f32], input: &[f32], shift: &[f32]) {
        let examples = out.chunks_exact_mut(shift.len()).zip(input.chunks_exact(shift.len()));
        for (out, input) in examples {
            for ((out, input), shift) in out.iter_mut().zip(input).zip(shift) {
                *out = *input + *shift;
            }
        }
    }
}
