//! Multi-head self-attention over the steps of a series.
//!
//! Vaswani et al. 2017 (arXiv:1706.03762), section 3.2. Notation, for one example and one head of width
//! `d`: queries, keys and values `Q, K, V: [steps][d]` are columns of `X·W + b`; `S = Q·Kᵀ/√d`,
//! `P = softmax(S)` by rows, `M = P·V`; all heads' `M` side by side go through the projection. Back:
//! `dV = Pᵀ·dM`, `dP = dM·Vᵀ`, `dS = P ⊙ (dP − rowsum(P ⊙ dP))/√d`, `dQ = dS·K`, `dK = dSᵀ·Q`. `P` is
//! computed again on the way back: it has the square of the steps as values.

use crate::{
    kernel::{Ending, Matrix, MatrixMut, Workspace, multiply, multiply_into, product_scratch_len},
    step::{Parameter, Part, Sink, Source, Value, activation::exp_negative},
    vector::{Store, column_sums, tile_len, vectorised},
};

/// An attention layer.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    /// `[channels][queries, keys, values]`.
    pub(crate) weight: Parameter,
    pub(crate) bias: Parameter,
    /// `[channels][channels]`.
    pub(crate) projection: Parameter,
    pub(crate) projection_bias: Parameter,
    pub(crate) steps: usize,
    pub(crate) channels: usize,
    pub(crate) heads: usize,
    /// Queries, keys and values of each step, kept for the way back, which leaves their gradients here.
    pub(crate) projected: Value,
    /// All heads' results, kept for the way back.
    pub(crate) mixed: Value,
}

/// Which third of what the first projection makes.
#[derive(Clone, Copy)]
enum Third {
    Query,
    Key,
    Value,
}

impl Attention {
    /// Floats per example that it keeps from forward to backward: projected, and mixed.
    pub(crate) fn kept_len(steps: usize, channels: usize) -> [usize; 2] {
        [3 * steps * channels, steps * channels]
    }

    /// Scratch of the way forward, in floats per thread: scores, and that of the products.
    pub(crate) fn forward_scratch_len(steps: usize, channels: usize) -> usize {
        let products = product_scratch_len(channels, 3 * channels)
            .max(product_scratch_len(channels, steps))
            .max(product_scratch_len(steps, channels));
        steps * steps + products
    }

    /// Scratch of the way back, in floats per thread: scores and their slopes, gradients, and that of
    /// the products.
    pub(crate) fn backward_scratch_len(steps: usize, channels: usize) -> usize {
        let products = product_scratch_len(usize::MAX, 3 * channels)
            .max(product_scratch_len(3 * channels, channels))
            .max(product_scratch_len(channels, steps))
            .max(product_scratch_len(steps, channels));
        2 * steps * steps + 4 * steps * channels + products.max(tile_len(3 * channels))
    }

    pub(crate) fn forward(&self, part: &Part<'_>) {
        let (steps, channels) = (self.steps, self.channels);
        let projected = part.write(self.projected);
        let mixed = part.write(self.mixed);
        let scratch = part.scratch(Attention::forward_scratch_len(steps, channels));
        let (scores, scratch) = scratch.split_at_mut(steps * steps);
        let work = &mut part.workspace_of(scratch);
        let weight = Matrix::new(part.parameter(&self.weight), channels, 3 * channels);
        let input = self.rows(part.read(self.input.value), channels);
        let biased = |bias| Ending {
            bias: Some(part.parameter(bias)),
            ..Ending::plain(Store::Write)
        };
        multiply(projected, input, weight, biased(&self.bias), work);
        let examples = projected.chunks_exact(3 * steps * channels);
        for (projected, mixed) in examples.zip(mixed.chunks_exact_mut(steps * channels)) {
            for head in 0..self.heads {
                self.score(projected, head, scores, work);
                let scores = Matrix::new(scores, steps, steps);
                let out = MatrixMut::new(&mut mixed[head * self.width()..], channels);
                let value = self.third(projected, Third::Value, head);
                multiply_into(out, scores, value, Ending::plain(Store::Write), work);
            }
        }
        let out = part.write(self.output.value);
        let projection = Matrix::new(part.parameter(&self.projection), channels, channels);
        let mixed = self.rows(mixed, channels);
        multiply(out, mixed, projection, biased(&self.projection_bias), work);
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let (steps, channels) = (self.steps, self.channels);
        let plain = Ending::plain(Store::Write);
        let gradient: &[f32] = part.arrived(&self.output);
        let work = &mut part.workspace(Attention::backward_scratch_len(steps, channels));
        let bias = part.gradient(&self.projection_bias);
        column_sums(
            bias,
            &mut work.scratch[..tile_len(channels)],
            gradient,
            Store::Write,
        );
        let mixed = self.rows(part.read(self.mixed), channels).transposed();
        let arrived = self.rows(gradient, channels);
        multiply(part.gradient(&self.projection), mixed, arrived, plain, work);

        let projected = part.write(self.projected);
        let examples = projected.chunks_exact_mut(3 * steps * channels);
        for (projected, gradient) in examples.zip(gradient.chunks_exact(steps * channels)) {
            let projection = Matrix::new(part.parameter(&self.projection), channels, channels);
            self.example_backward(projected, gradient, projection, work);
        }
        let tile = &mut work.scratch[..tile_len(3 * channels)];
        column_sums(part.gradient(&self.bias), tile, projected, Store::Write);
        let projected = self.rows(projected, 3 * channels);
        let input = self
            .rows(part.read(self.input.value), channels)
            .transposed();
        multiply(part.gradient(&self.weight), input, projected, plain, work);
        if let Some((value, store)) = self.input.gradient {
            let weight = Matrix::new(part.parameter(&self.weight), channels, 3 * channels);
            let (weight, ending) = (weight.transposed(), Ending::plain(store));
            multiply(part.write(value), projected, weight, ending, work);
        }
    }

    /// Replaces queries, keys and values of one example by their gradients.
    fn example_backward(
        &self,
        projected: &mut [f32],
        gradient: &[f32],
        projection: Matrix<'_>,
        work: &mut Workspace<'_>,
    ) {
        let (steps, channels) = (self.steps, self.channels);
        let plain = Ending::plain(Store::Write);
        let (scores, scratch) = work.scratch.split_at_mut(steps * steps);
        let (slopes, scratch) = scratch.split_at_mut(steps * steps);
        let (mixed, scratch) = scratch.split_at_mut(steps * channels);
        let (gradients, scratch) = scratch.split_at_mut(3 * steps * channels);
        let work = &mut Workspace {
            scratch,
            precision: work.precision,
        };
        let arrived = Matrix::new(gradient, steps, channels);
        multiply(mixed, arrived, projection.transposed(), plain, work);
        for head in 0..self.heads {
            let third = |third: Third| self.third(projected, third, head);
            let mixed = &mixed[head * self.width()..];
            let mixed = Matrix::strided(mixed, steps, self.width(), channels);
            self.score(projected, head, scores, work);
            multiply(slopes, mixed, third(Third::Value).transposed(), plain, work);
            let shares = Matrix::new(scores, steps, steps).transposed();
            let value = self.third_mut(gradients, Third::Value, head);
            multiply_into(value, shares, mixed, plain, work);
            softmax_gradient(slopes, scores, steps, self.scale());
            let slopes = Matrix::new(slopes, steps, steps);
            let query = self.third_mut(gradients, Third::Query, head);
            multiply_into(query, slopes, third(Third::Key), plain, work);
            let key = self.third_mut(gradients, Third::Key, head);
            multiply_into(key, slopes.transposed(), third(Third::Query), plain, work);
        }
        projected.copy_from_slice(gradients);
    }

    /// How much each step of an example listens to each other one: rows of sum 1.
    fn score(&self, projected: &[f32], head: usize, scores: &mut [f32], work: &mut Workspace<'_>) {
        let third = |third: Third| self.third(projected, third, head);
        let key = third(Third::Key).transposed();
        multiply(
            scores,
            third(Third::Query),
            key,
            Ending::plain(Store::Write),
            work,
        );
        softmax_rows(scores, self.steps, self.scale());
    }

    fn width(&self) -> usize {
        self.channels / self.heads
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width() as f32).sqrt()
    }

    /// Steps of all examples, one below the other.
    fn rows<'a>(&self, values: &'a [f32], width: usize) -> Matrix<'a> {
        Matrix::new(values, values.len() / width, width)
    }

    fn first_column(&self, third: Third, head: usize) -> usize {
        third as usize * self.channels + head * self.width()
    }

    fn third<'a>(&self, projected: &'a [f32], third: Third, head: usize) -> Matrix<'a> {
        let values = &projected[self.first_column(third, head)..];
        Matrix::strided(values, self.steps, self.width(), 3 * self.channels)
    }

    fn third_mut<'a>(&self, projected: &'a mut [f32], third: Third, head: usize) -> MatrixMut<'a> {
        let values = &mut projected[self.first_column(third, head)..];
        MatrixMut::new(values, 3 * self.channels)
    }
}

/// Partial results side by side, so that a row is not one long chain.
const LANES: usize = 16;

/// Folds the values of a row, in an order that does not depend on the CPU.
#[inline(always)]
fn fold(
    count: usize,
    start: f32,
    term: impl Fn(usize) -> f32,
    join: impl Fn(f32, f32) -> f32,
) -> f32 {
    let mut lanes = [start; LANES];
    let whole = count - count % LANES;
    for first in (0..whole).step_by(LANES) {
        for (lane, value) in lanes.iter_mut().enumerate() {
            *value = join(*value, term(first + lane));
        }
    }
    let rest = (whole..count).map(&term).fold(start, &join);
    lanes.into_iter().fold(rest, &join)
}

vectorised! {
    /// Each row becomes `softmax(scale·row)`.
    fn softmax_rows(rows: &mut [f32], width: usize, scale: f32) {
        for row in rows.chunks_exact_mut(width) {
            let largest = fold(width, f32::NEG_INFINITY, |i| row[i], |a, b| if b > a { b } else { a });
            for value in row.iter_mut() {
                *value = exp_negative((*value - largest) * scale);
            }
            let inverse = 1.0 / fold(width, 0.0, |i| row[i], |a, b| a + b);
            for value in row.iter_mut() {
                *value *= inverse;
            }
        }
    }

    /// Each row of slopes becomes `scale·p ⊙ (slopes − Σ p ⊙ slopes)`.
    fn softmax_gradient(slopes: &mut [f32], shares: &[f32], width: usize, scale: f32) {
        for (slopes, shares) in slopes.chunks_exact_mut(width).zip(shares.chunks_exact(width)) {
            let mean = fold(width, 0.0, |i| slopes[i] * shares[i], |a, b| a + b);
            for (slope, share) in slopes.iter_mut().zip(shares) {
                *slope = scale * *share * (*slope - mean);
            }
        }
    }
}
