//! Activations that stand alone: the rectifier where it could not be fused, the exact GELU, SiLU and the
//! sigmoid.
//!
//! GELU is `x·Φ(x)` with the normal distribution function Φ (Hendrycks & Gimpel 2016,
//! arXiv:1606.08415), not its tanh approximation. Φ comes from Abramowitz & Stegun 7.1.26, whose error
//! is below 1.5e-7, and from an own exponential, both without branches so that they vectorise.

use crate::{
    step::{Part, Sink, Source},
    vector::{Store, vectorised},
};

/// A function of each value on its own.
#[derive(Clone, Debug)]
pub(crate) struct Pointwise {
    pub(crate) input: Source,
    pub(crate) output: Sink,
}

impl Pointwise {
    pub(crate) fn relu_forward(&self, part: &Part<'_>) {
        relu(part.write(self.output.value), part.read(self.input.value));
    }

    pub(crate) fn relu_backward(&self, part: &Part<'_>) {
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        let gradient: &[f32] = part.arrived(&self.output);
        relu_gradient(
            part.write(value),
            gradient,
            part.read(self.output.value),
            store,
        );
    }

    pub(crate) fn silu_forward(&self, part: &Part<'_>) {
        silu(part.write(self.output.value), part.read(self.input.value));
    }

    pub(crate) fn silu_backward(&self, part: &Part<'_>) {
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        let gradient: &[f32] = part.arrived(&self.output);
        silu_gradient(
            part.write(value),
            gradient,
            part.read(self.input.value),
            store,
        );
    }

    pub(crate) fn sigmoid_forward(&self, part: &Part<'_>) {
        sigmoid(part.write(self.output.value), part.read(self.input.value));
    }

    pub(crate) fn sigmoid_backward(&self, part: &Part<'_>) {
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        let gradient: &[f32] = part.arrived(&self.output);
        sigmoid_gradient(
            part.write(value),
            gradient,
            part.read(self.output.value),
            store,
        );
    }

    pub(crate) fn gelu_forward(&self, part: &Part<'_>) {
        gelu(part.write(self.output.value), part.read(self.input.value));
    }

    pub(crate) fn gelu_backward(&self, part: &Part<'_>) {
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        let gradient: &[f32] = part.arrived(&self.output);
        gelu_gradient(
            part.write(value),
            gradient,
            part.read(self.input.value),
            store,
        );
    }
}

/// The nearest whole number, of numbers below 2²²; ties go to the even one.
#[inline(always)]
pub(crate) fn nearest_whole(x: f32) -> f32 {
    // Behind 1.5·2²³ there is no room for a fraction.
    const ROUND: f32 = 12_582_912.0;
    (x + ROUND) - ROUND
}

/// e^x for x ≤ 0, relative error below 3e-7; 0 where the result would not be a normal number.
#[inline(always)]
pub(crate) fn exp_negative(x: f32) -> f32 {
    // e^x = 2^n · e^r with n whole and |r| ≤ ln(2)/2; ln 2 in two parts keeps r exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const LEAST: f32 = -87.0;
    let clamped = if x < LEAST { LEAST } else { x };
    let whole = nearest_whole(clamped * std::f32::consts::LOG2_E);
    let r = clamped - whole * LN2_HIGH - whole * LN2_LOW;
    let series = 1.0
        + r * (1.0
            + r * (1.0 / 2.0
                + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))))));
    // SAFETY of the cast: whole lies in −126..=0 (a NaN becomes 0 and `series` is NaN anyway).
    let power = f32::from_bits(((whole as i32 + 127) as u32) << 23);
    if x < LEAST { 0.0 } else { series * power }
}

/// 1/(1 + e⁻ˣ).
#[inline(always)]
fn logistic(x: f32) -> f32 {
    // The exponential of what is not above 0 never overflows.
    let small = exp_negative(-x.abs());
    let inverse = 1.0 / (1.0 + small);
    if x < 0.0 { small * inverse } else { inverse }
}

/// Φ(x) and the normal density φ(x).
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    const ROOT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
    const DENSITY: f32 = 0.398_942_3;
    let z = x.abs() * ROOT_HALF;
    let bell = exp_negative(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = t
        * (0.254_829_6
            + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
    let tail = 0.5 * series * bell;
    let distribution = if x < 0.0 { tail } else { 1.0 - tail };
    (distribution, DENSITY * bell)
}

vectorised! {
    /// max(0, x); a NaN stays.
    fn relu(out: &mut [f32], input: &[f32]) {
        for (out, input) in out.iter_mut().zip(input) {
            *out = if *input < 0.0 { 0.0 } else { *input };
        }
    }

    /// Gradient where the output is above 0.
    fn relu_gradient(out: &mut [f32], gradient: &[f32], output: &[f32], store: Store) {
        let add = store == Store::Add;
        for ((out, gradient), output) in out.iter_mut().zip(gradient).zip(output) {
            let before = if add { *out } else { 0.0 };
            *out = before + if *output > 0.0 { *gradient } else { 0.0 };
        }
    }

    /// x·σ(x).
    fn silu(out: &mut [f32], input: &[f32]) {
        for (out, input) in out.iter_mut().zip(input) {
            *out = *input * logistic(*input);
        }
    }

    /// Gradient times σ(x)·(1 + x·(1 − σ(x))).
    fn silu_gradient(out: &mut [f32], gradient: &[f32], input: &[f32], store: Store) {
        let add = store == Store::Add;
        for ((out, gradient), input) in out.iter_mut().zip(gradient).zip(input) {
            let before = if add { *out } else { 0.0 };
            let share = logistic(*input);
            *out = before + *gradient * share * (1.0 + *input * (1.0 - share));
        }
    }

    /// σ(x).
    fn sigmoid(out: &mut [f32], input: &[f32]) {
        for (out, input) in out.iter_mut().zip(input) {
            *out = logistic(*input);
        }
    }

    /// Gradient times y·(1 − y), with y what the sigmoid gave.
    fn sigmoid_gradient(out: &mut [f32], gradient: &[f32], output: &[f32], store: Store) {
        let add = store == Store::Add;
        for ((out, gradient), output) in out.iter_mut().zip(gradient).zip(output) {
            let before = if add { *out } else { 0.0 };
            *out = before + *gradient * *output * (1.0 - *output);
        }
    }

    /// x·Φ(x).
    fn gelu(out: &mut [f32], input: &[f32]) {
        for (out, input) in out.iter_mut().zip(input) {
            *out = *input * normal(*input).0;
        }
    }

    /// Gradient times Φ(x) + x·φ(x).
    fn gelu_gradient(out: &mut [f32], gradient: &[f32], input: &[f32], store: Store) {
        let add = store == Store::Add;
        for ((out, gradient), input) in out.iter_mut().zip(gradient).zip(input) {
            let before = if add { *out } else { 0.0 };
            let (distribution, density) = normal(*input);
            *out = before + *gradient * (distribution + *input * density);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its Taylor series in f64, good to 1e-12 for |x| below 5.
    fn erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn gelu_and_its_slope_are_exact_to_a_millionth() {
        for i in -6000..=6000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x);
            let distribution = 0.5 * (1.0 + erf(exact / 2.0_f64.sqrt()));
            let density = (-0.5 * exact * exact).exp() / std::f64::consts::TAU.sqrt();
            let (mut out, mut slope) = ([0.0], [0.0]);
            gelu(&mut out, &[x]);
            gelu_gradient(&mut slope, &[1.0], &[x], Store::Write);
            assert!(
                (f64::from(out[0]) - exact * distribution).abs() < 1e-6,
                "gelu({x})"
            );
            let expected = distribution + exact * density;
            assert!(
                (f64::from(slope[0]) - expected).abs() < 1e-6,
                "slope at {x}"
            );
        }
    }

    #[test]
    fn silu_and_sigmoid_and_their_slopes_are_exact_to_a_millionth() {
        for i in -20_000..=20_000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x);
            let share = 1.0 / (1.0 + (-exact).exp());
            let mut found = [[0.0]; 4];
            silu(&mut found[0], &[x]);
            silu_gradient(&mut found[1], &[1.0], &[x], Store::Write);
            sigmoid(&mut found[2], &[x]);
            let output = found[2];
            sigmoid_gradient(&mut found[3], &[1.0], &output, Store::Write);
            let expected = [
                exact * share,
                share * (1.0 + exact * (1.0 - share)),
                share,
                share * (1.0 - share),
            ];
            for (found, expected) in found.iter().zip(expected) {
                let allowed = 1e-6 * expected.abs().max(1.0);
                assert!(
                    (f64::from(found[0]) - expected).abs() < allowed,
                    "at {x}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn the_own_exponential_agrees_with_the_libraries() {
        for i in 0..8700 {
            let x = -(i as f32) / 100.0;
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exp_negative(x)) / exact - 1.0).abs() < 3e-7,
                "exp({x})"
            );
        }
        assert_eq!(exp_negative(-1000.0), 0.0);
        assert_eq!(exp_negative(f32::NEG_INFINITY), 0.0);
        assert!(exp_negative(f32::NAN).is_nan());
    }

    #[test]
    fn a_nan_passes_through_every_activation() {
        let mut out = [0.0];
        relu(&mut out, &[f32::NAN]);
        assert!(out[0].is_nan());
        for activation in [gelu, silu, sigmoid] {
            activation(&mut out, &[f32::NAN]);
            assert!(out[0].is_nan());
        }
    }
}
