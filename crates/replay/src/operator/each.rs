//! Operators that look at one value, or at two of the same place.

use crate::{
    error::Problem,
    tensor::{Element, Tensor, Values, overlaid, repeated},
};

/// Beyond this the error function is 1 to the last digit of `f64`.
const ERF_ONE: f64 = 6.0;

/// Turns values into another type; what is no number cannot be turned.
pub(super) fn cast(input: &Tensor, to: i64) -> Result<Tensor, Problem> {
    let to = Element::numbered(to)
        .ok_or_else(|| Problem::new(format!("a type of number {to} is not known here")))?;
    let values = match (input.values(), to) {
        (same, to) if same.element() == to => same.clone(),
        (Values::Floats(values), Element::Int) => {
            Values::Ints(values.iter().map(|value| *value as i64).collect())
        }
        (Values::Floats(values), Element::Double) => {
            Values::Doubles(values.iter().map(|value| f64::from(*value)).collect())
        }
        (Values::Doubles(values), Element::Float) => {
            Values::Floats(values.iter().map(|value| *value as f32).collect())
        }
        (Values::Bytes(values), Element::Float) => {
            Values::Floats(values.iter().map(|value| f32::from(*value)).collect())
        }
        (Values::Ints(values), Element::Float) => {
            Values::Floats(values.iter().map(|value| *value as f32).collect())
        }
        (Values::Ints(values), Element::Truth) => {
            Values::Truths(values.iter().map(|value| *value != 0).collect())
        }
        (Values::Truths(values), Element::Int) => {
            Values::Ints(values.iter().map(|value| i64::from(*value)).collect())
        }
        (Values::Truths(values), Element::Float) => Values::Floats(
            values
                .iter()
                .map(|value| f32::from(u8::from(*value)))
                .collect(),
        ),
        (from, to) => {
            let from = from.element();
            return Err(Problem::new(format!("{from} is not turned into {to} here")));
        }
    };
    Tensor::made(input.shape().to_vec(), values)
}

/// A function of each value; floats are rounded once, at the end.
pub(super) fn function(input: &Tensor, function: fn(f64) -> f64) -> Result<Tensor, Problem> {
    let results = input.reals()?.into_iter().map(function).collect();
    input.alike(input.shape().to_vec(), results)
}

/// The value, or 0 if it is below; what is not a number stays so.
pub(super) fn rectified(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

/// A function of two values each.
pub(super) fn arithmetic(
    left: &Tensor,
    right: &Tensor,
    function: fn(f64, f64) -> f64,
) -> Result<Tensor, Problem> {
    if left.values().element() != right.values().element() {
        return Err(unlike(left, right));
    }
    let (shape, pairs) = laid_over(left, right)?;
    let (a, b) = (left.reals()?, right.reals()?);
    let results = pairs.map(|(at, other)| function(a[at], b[other])).collect();
    left.alike(shape, results)
}

/// The same with whole numbers, where these are given; those that are too large are refused.
pub(super) fn whole_or_real(
    left: &Tensor,
    right: &Tensor,
    whole: fn(i64, i64) -> Option<i64>,
    real: fn(f64, f64) -> f64,
) -> Result<Tensor, Problem> {
    let (Values::Ints(a), Values::Ints(b)) = (left.values(), right.values()) else {
        return arithmetic(left, right, real);
    };
    let (shape, pairs) = laid_over(left, right)?;
    let results = pairs.map(|(at, other)| whole(a[at], b[other]));
    let results: Option<Vec<i64>> = results.collect();
    let results = results.ok_or_else(|| Problem::new("a whole number is too large"))?;
    Tensor::made(shape, Values::Ints(results))
}

/// Moves each value between two numbers.
pub(super) fn clip(input: &Tensor, least: &Tensor, most: &Tensor) -> Result<Tensor, Problem> {
    let ([least], [most]) = (&least.reals()?[..], &most.reals()?[..]) else {
        return Err(Problem::new("one least and one most value are needed"));
    };
    // Not `f64::max` and `f64::min`: what is not a number must stay so.
    let clipped = input.reals()?.into_iter().map(|value| match value {
        value if value < *least => *least,
        value if value > *most => *most,
        value => value,
    });
    input.alike(input.shape().to_vec(), clipped.collect())
}

pub(super) fn is_nan(input: &Tensor) -> Result<Tensor, Problem> {
    let found = input.reals()?.into_iter().map(f64::is_nan).collect();
    Tensor::made(input.shape().to_vec(), Values::Truths(found))
}

/// Whether two whole numbers, or two other numbers, are the same.
pub(super) fn equal(left: &Tensor, right: &Tensor) -> Result<Tensor, Problem> {
    let (Values::Ints(a), Values::Ints(b)) = (left.values(), right.values()) else {
        return compare(left, right, |a, b| a == b);
    };
    laid(left, right, |at, other| a[at] == b[other])
}

/// A comparison of two numbers each.
pub(super) fn compare(
    left: &Tensor,
    right: &Tensor,
    compare: fn(f64, f64) -> bool,
) -> Result<Tensor, Problem> {
    if left.values().element() != right.values().element() {
        return Err(unlike(left, right));
    }
    let (a, b) = (left.reals()?, right.reals()?);
    laid(left, right, |at, other| compare(a[at], b[other]))
}

pub(super) fn and(left: &Tensor, right: &Tensor) -> Result<Tensor, Problem> {
    let (a, b) = (left.truths()?, right.truths()?);
    laid(left, right, |at, other| a[at] && b[other])
}

pub(super) fn not(input: &Tensor) -> Result<Tensor, Problem> {
    let turned = input.truths()?.iter().map(|truth| !truth).collect();
    Tensor::made(input.shape().to_vec(), Values::Truths(turned))
}

/// The smaller of two; what is not a number is smaller than all.
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    if a < b || a.is_nan() { a } else { b }
}

/// The shape of two tensors laid over each other, and which places of both meet.
fn laid_over(
    left: &Tensor,
    right: &Tensor,
) -> Result<(Vec<usize>, impl Iterator<Item = (usize, usize)>), Problem> {
    let shape = overlaid(left.shape(), right.shape())?;
    let [left, right] = [left, right].map(|tensor| repeated(tensor.shape(), &shape));
    Ok((shape, left.into_iter().zip(right)))
}

/// Something about each pair of places of two tensors laid over each other.
fn laid(
    left: &Tensor,
    right: &Tensor,
    judge: impl Fn(usize, usize) -> bool,
) -> Result<Tensor, Problem> {
    let (shape, pairs) = laid_over(left, right)?;
    let judged = pairs.map(|(at, other)| judge(at, other)).collect();
    Tensor::made(shape, Values::Truths(judged))
}

fn unlike(left: &Tensor, right: &Tensor) -> Problem {
    let (left, right) = (left.values().element(), right.values().element());
    Problem::new(format!("{left} and {right} are not of one type"))
}

/// The error function: 2/√π · e^(−x²) · Σ 2ⁿ x²ⁿ⁺¹ / (1·3·…·(2n+1)), whose terms have one sign.
///
/// # Source
/// Abramowitz & Stegun 1964, 7.1.6.
pub(super) fn erf(x: f64) -> f64 {
    if x.is_nan() || x.abs() > ERF_ONE {
        return if x.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > f64::EPSILON * sum.abs() {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_is_never_hidden() {
        let float = |values: &[f32]| {
            Tensor::new(vec![values.len()], Values::Floats(values.to_vec())).unwrap()
        };
        let odd = float(&[f32::NAN, -3.0, 9.0]);
        let clipped = clip(&odd, &float(&[-1.0]), &float(&[2.0])).unwrap();
        let clipped = clipped.floats().unwrap();
        assert!(
            clipped[0].is_nan() && clipped[1..] == [-1.0, 2.0],
            "{clipped:?}"
        );
        assert!(rectified(f64::NAN).is_nan());
        assert_eq!((rectified(-2.0), rectified(2.0)), (0.0, 2.0));
    }

    #[test]
    fn the_error_function_has_its_known_values() {
        let known = [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
        ];
        for (x, value) in known {
            assert!((erf(x) - value).abs() < 1e-15, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert!((erf(3.0) - 0.999_977_909_503_001_4).abs() < 1e-15);
        assert_eq!((erf(6.5), erf(f64::NEG_INFINITY)), (1.0, -1.0));
        assert!(erf(f64::NAN).is_nan());
    }
}
