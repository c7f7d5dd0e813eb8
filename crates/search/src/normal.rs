//! The standard normal distribution: from a share of the population to the value below which it
//! lies.
//!
//! Notation: Φ the distribution function, φ its density. Φ is summed by
//! Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …) (Marsaglia 2004, Journal of Statistical Software 11),
//! and inverted by Newton's method. No table, no fitted constants.

use std::f64::consts::TAU;

/// Newton's method needs about ten steps at the smallest share; more would be a mistake of ours.
const STEPS_MAX: usize = 100;

/// The value below which this share of a standard normal population lies: Φ⁻¹.
///
/// # Units
/// `share` within 0 and 1, both excluded; returns standard deviations.
/// # Cost
/// About ten sums of at most 100 terms.
/// # Source
/// Newton's method on Φ(x) − p from 0. Left of 0 Φ is convex and rising, so the steps for p < ½
/// never pass the root; p > ½ follows by symmetry.
pub(crate) fn quantile(share: f64) -> f64 {
    assert!(
        share > 0.0 && share < 1.0,
        "a share lies between 0 and 1, not {share}"
    );
    if share > 0.5 {
        return -quantile(1.0 - share);
    }
    let mut value = 0.0;
    for _ in 0..STEPS_MAX {
        let step = (distribution(value) - share) / density(value);
        value -= step;
        if step.abs() < 1e-12 || value < -LEFT_END {
            break;
        }
    }
    value.clamp(-LEFT_END, 0.0)
}

/// Beyond it Φ drowns in the rounding of ½, and no pool is large enough to ask.
const LEFT_END: f64 = 7.0;

/// φ, and 0 where Φ is taken for 0 or 1, so that sums of both fall all the way.
pub(crate) fn density(value: f64) -> f64 {
    if value.abs() > LEFT_END {
        return 0.0;
    }
    (-0.5 * value * value).exp() / TAU.sqrt()
}

/// Φ.
///
/// # Cost
/// At most some 100 terms.
pub(crate) fn distribution(value: f64) -> f64 {
    assert!(!value.is_nan(), "a share lies below a number");
    if value.abs() > LEFT_END {
        return if value > 0.0 { 1.0 } else { 0.0 };
    }
    let mut term = value;
    let mut sum = 0.0;
    let mut odd = 1.0;
    while sum + term != sum {
        sum += term;
        odd += 2.0;
        term *= value * value / odd;
    }
    0.5 + density(value) * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_quantiles_are_met() {
        // Tabulated in every statistics book.
        for (share, value) in [
            (0.5, 0.0),
            (0.975, 1.959963984540054),
            (0.9, 1.2815515655446004),
            (1e-3, -3.090232306167813),
        ] {
            assert!(
                (quantile(share) - value).abs() < 1e-9,
                "{share}: {}",
                quantile(share)
            );
        }
    }

    #[test]
    fn the_area_left_of_a_quantile_is_its_share() {
        for share in [1e-5, 0.01, 0.2, 0.5, 0.7, 0.99] {
            // The slow way: trapezoids from far left.
            let (from, to, slices) = (-12.0, quantile(share), 200_000);
            let width = (to - from) / f64::from(slices);
            let ends = 0.5 * (density(from) + density(to));
            let inner: f64 = (1..slices)
                .map(|k| density(from + f64::from(k) * width))
                .sum();
            assert!(((ends + inner) * width - share).abs() < 1e-8, "{share}");
        }
    }

    #[test]
    fn the_quantile_is_symmetric_and_rises() {
        let values: Vec<f64> = (1..2000).map(|k| quantile(f64::from(k) / 2000.0)).collect();
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(
            values
                .iter()
                .zip(values.iter().rev())
                .all(|(low, high)| (low + high).abs() < 1e-9)
        );
    }

    #[test]
    #[should_panic(expected = "a share lies below a number")]
    fn nothing_lies_below_what_is_no_number() {
        distribution(f64::NAN);
    }

    #[test]
    fn extreme_shares_stay_finite() {
        assert!(quantile(f64::MIN_POSITIVE).is_finite());
        assert!(quantile(1.0 - f64::EPSILON).is_finite());
    }
}
