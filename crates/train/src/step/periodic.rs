//! Sines and cosines of each value at learned frequencies, behind the value itself: numbers that a network sees
//! only by themselves are hard to bend.
//!
//! # Source
//! Gorishniy, Rubachev, Babenko 2022 (arXiv:2203.05556), equation 3.

use std::f32::consts::TAU;

use crate::{
    step::{Parameter, Part, Sink, Source, activation::nearest_whole},
    vector::{Store, vectorised},
};

/// A layer of sines and cosines.
#[derive(Clone, Debug)]
pub(crate) struct Periodic {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    /// `[features][frequencies]`, in turns per unit.
    pub(crate) frequency: Parameter,
    pub(crate) frequencies: usize,
}

impl Periodic {
    pub(crate) fn forward(&self, part: &Part<'_>) {
        waves(
            part.write(self.output.value),
            part.read(self.input.value),
            part.parameter(&self.frequency),
            self.frequencies,
        );
    }

    pub(crate) fn backward(&self, part: &Part<'_>) {
        let gradient: &[f32] = part.arrived(&self.output);
        let into = part.gradient(&self.frequency);
        into.fill(0.0);
        let (input, output) = (part.read(self.input.value), part.read(self.output.value));
        frequency_gradient(into, gradient, input, output, self.frequencies);
        if let Some((value, store)) = self.input.gradient {
            let frequency = part.parameter(&self.frequency);
            let into = part.write(value);
            value_gradient(into, gradient, output, frequency, self.frequencies, store);
        }
    }
}

/// sin(2πs) for s from −¼ to ¼ turns, by its Taylor series; error below 1e-7.
#[inline(always)]
fn sine_of_quarter(s: f32) -> f32 {
    let y = TAU * s;
    let square = y * y;
    let series = 1.0
        + square
            * (-1.0 / 6.0
                + square
                    * (1.0 / 120.0
                        + square
                            * (-1.0 / 5_040.0
                                + square * (1.0 / 362_880.0 + square * (-1.0 / 39_916_800.0)))));
    y * series
}

/// The sine and the cosine of so many turns. Without branches, so that it vectorises.
#[inline(always)]
fn wave(turns: f32) -> (f32, f32) {
    let rest = turns - nearest_whole(turns);
    let size = rest.abs();
    // sin(½ − s) = sin(s), in turns.
    let folded = if size > 0.25 { 0.5 - size } else { size };
    (
        sine_of_quarter(folded.copysign(rest)),
        sine_of_quarter(0.25 - size),
    )
}

vectorised! {
    /// `out = [x, sines, cosines]` for each value of each row.
    fn waves(out: &mut [f32], input: &[f32], frequency: &[f32], frequencies: usize) {
        let width = 2 * frequencies + 1;
        let features = frequency.len() / frequencies;
        let rows = out.chunks_exact_mut(features * width).zip(input.chunks_exact(features));
        for (out, input) in rows {
            let values = out.chunks_exact_mut(width).zip(input);
            for ((out, x), own) in values.zip(frequency.chunks_exact(frequencies)) {
                let (value, both) = out.split_at_mut(1);
                let (sines, cosines) = both.split_at_mut(frequencies);
                value[0] = *x;
                for ((sine, cosine), frequency) in sines.iter_mut().zip(cosines).zip(own) {
                    (*sine, *cosine) = wave(*x * *frequency);
                }
            }
        }
    }

    /// Adds what each row says: d/df sin(2πfx) = 2πx·cos(2πfx).
    fn frequency_gradient(
        into: &mut [f32],
        gradient: &[f32],
        input: &[f32],
        output: &[f32],
        frequencies: usize,
    ) {
        let width = 2 * frequencies + 1;
        let features = into.len() / frequencies;
        let rows = gradient.chunks_exact(features * width).zip(output.chunks_exact(features * width));
        for ((gradient, output), input) in rows.zip(input.chunks_exact(features)) {
            let waves = gradient.chunks_exact(width).zip(output.chunks_exact(width));
            for (((gradient, output), x), into) in
                waves.zip(input).zip(into.chunks_exact_mut(frequencies))
            {
                let scale = TAU * *x;
                let (by_sine, by_cosine) = gradient[1..].split_at(frequencies);
                let (sines, cosines) = output[1..].split_at(frequencies);
                for (place, into) in into.iter_mut().enumerate() {
                    *into += scale * (by_sine[place] * cosines[place] - by_cosine[place] * sines[place]);
                }
            }
        }
    }

    /// d/dx of the value itself and of all its waves.
    fn value_gradient(
        into: &mut [f32],
        gradient: &[f32],
        output: &[f32],
        frequency: &[f32],
        frequencies: usize,
        store: Store,
    ) {
        let width = 2 * frequencies + 1;
        let features = frequency.len() / frequencies;
        let waves = gradient.chunks_exact(width).zip(output.chunks_exact(width));
        for (place, (into, (gradient, output))) in into.iter_mut().zip(waves).enumerate() {
            let own = &frequency[(place % features) * frequencies..][..frequencies];
            let (by_sine, by_cosine) = gradient[1..].split_at(frequencies);
            let (sines, cosines) = output[1..].split_at(frequencies);
            let mut sum = 0.0;
            for (place, frequency) in own.iter().enumerate() {
                sum += *frequency * (by_sine[place] * cosines[place] - by_cosine[place] * sines[place]);
            }
            let slope = gradient[0] + TAU * sum;
            *into = match store {
                Store::Write => slope,
                Store::Add => *into + slope,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_those_of_the_library() {
        for step in -40_000..=40_000 {
            let turns = step as f32 * 1e-3;
            let (sine, cosine) = wave(turns);
            let angle = std::f64::consts::TAU * f64::from(turns);
            assert!(
                (f64::from(sine) - angle.sin()).abs() < 4e-7,
                "sine of {turns}"
            );
            assert!(
                (f64::from(cosine) - angle.cos()).abs() < 4e-7,
                "cosine of {turns}"
            );
        }
        assert!(wave(f32::NAN).0.is_nan() && wave(f32::NAN).1.is_nan());
    }
}
