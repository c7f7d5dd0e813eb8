//! Layer norm: each position of each example over its channels, then gain and shift.
//!
//! Ba, Kiros, Hinton 2016 (arXiv:1607.06450). Notation: `x̂ = (x − μ)/√(σ² + ε)` over the channels of
//! one position, `h = g·gain`; then `dx = (h − mean(h) − x̂·mean(h·x̂))/√(σ² + ε)`.

use crate::{
    step::{Parameter, Part, Sink, Source, Value, norm},
    vector::{Store, vectorised},
};

/// Keeps the root away from 0.
const EPSILON: f32 = norm::EPSILON as f32;

/// Partial sums, so that a sum over channels is not one long chain of additions.
const LANES: usize = 16;

/// A layer norm layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    pub(crate) gain: Parameter,
    pub(crate) shift: Parameter,
    /// μ and 1/√(σ² + ε) of each position, kept for the backward pass.
    pub(crate) statistics: Value,
}

impl LayerNorm {
    pub(crate) fn forward(&self, part: &Part<'_>) {
        let learned = (part.parameter(&self.gain), part.parameter(&self.shift));
        let statistics = part.write(self.statistics);
        let out = part.write(self.output.value);
        normalise(out, part.read(self.input.value), learned, statistics);
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let gradient: &[f32] = part.arrived(&self.output);
        let input = part.read(self.input.value);
        let statistics = part.read(self.statistics);
        let learned = (part.gradient(&self.gain), part.gradient(&self.shift));
        learned_gradients(learned, gradient, input, statistics);
        if let Some((value, store)) = self.input.gradient {
            let gain = part.parameter(&self.gain);
            spread_gradient(part.write(value), gradient, input, gain, statistics, store);
        }
    }
}

/// Sum of `term(i)` for all i below `count`, in an order that does not depend on the CPU.
#[inline(always)]
fn sum(count: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let whole = count - count % LANES;
    for first in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += term(first + lane);
        }
    }
    let rest: f32 = (whole..count).map(&term).sum();
    lanes.iter().sum::<f32>() + rest
}

vectorised! {
    /// Normalises every position; leaves its statistics behind.
    fn normalise(
        out: &mut [f32],
        input: &[f32],
        learned: (&[f32], &[f32]),
        statistics: &mut [f32],
    ) {
        let (gain, shift) = learned;
        let channels = gain.len();
        let shift = &shift[..channels];
        let rows = out.chunks_exact_mut(channels).zip(input.chunks_exact(channels));
        for ((out, input), statistics) in rows.zip(statistics.chunks_exact_mut(2)) {
            let mean = sum(channels, |i| input[i]) / channels as f32;
            let square = |i: usize| (input[i] - mean) * (input[i] - mean);
            let variance = sum(channels, square) / channels as f32;
            let inverse = 1.0 / (variance + EPSILON).sqrt();
            statistics.copy_from_slice(&[mean, inverse]);
            let learned = gain.iter().zip(shift);
            for ((out, input), (gain, shift)) in out.iter_mut().zip(input).zip(learned) {
                *out = (input - mean) * inverse * gain + shift;
            }
        }
    }

    /// Gradients of gain and shift, summed over all positions.
    fn learned_gradients(
        learned: (&mut [f32], &mut [f32]),
        gradient: &[f32],
        input: &[f32],
        statistics: &[f32],
    ) {
        let (gain, shift) = learned;
        let channels = gain.len();
        let shift = &mut shift[..channels];
        gain.fill(0.0);
        shift.fill(0.0);
        let rows = gradient.chunks_exact(channels).zip(input.chunks_exact(channels));
        for ((gradient, input), statistics) in rows.zip(statistics.chunks_exact(2)) {
            let (mean, inverse) = (statistics[0], statistics[1]);
            for i in 0..channels {
                gain[i] += gradient[i] * (input[i] - mean) * inverse;
                shift[i] += gradient[i];
            }
        }
    }

    /// Gradient of the input.
    fn spread_gradient(
        out: &mut [f32],
        gradient: &[f32],
        input: &[f32],
        gain: &[f32],
        statistics: &[f32],
        store: Store,
    ) {
        let channels = gain.len();
        let add = store == Store::Add;
        let rows = gradient.chunks_exact(channels).zip(input.chunks_exact(channels));
        let rows = rows.zip(statistics.chunks_exact(2)).zip(out.chunks_exact_mut(channels));
        for (((gradient, input), statistics), out) in rows {
            let (mean, inverse) = (statistics[0], statistics[1]);
            let through = |i: usize| gradient[i] * gain[i];
            let centred = |i: usize| (input[i] - mean) * inverse;
            let average = sum(channels, through) / channels as f32;
            let slope = sum(channels, |i| through(i) * centred(i)) / channels as f32;
            for (i, out) in out.iter_mut().enumerate() {
                let before = if add { *out } else { 0.0 };
                *out = before + inverse * (through(i) - average - centred(i) * slope);
            }
        }
    }
}
