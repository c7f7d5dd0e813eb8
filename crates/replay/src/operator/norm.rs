//! Norms, softmax, and sums along an axis.

use super::arguments::Arguments;
use crate::{error::Problem, tensor::Tensor};

/// Each channel moved and scaled by what was measured in training.
pub(super) fn batch(
    input: &Tensor,
    parts: [&Tensor; 4],
    arguments: &Arguments<'_>,
) -> Result<Tensor, Problem> {
    arguments.only(&["epsilon"])?;
    let epsilon = arguments.float("epsilon")?;
    let (before, channels, behind) = input.around(input.axis(1)?);
    if parts.iter().any(|part| part.shape() != [channels]) {
        return Err(Problem::new(format!(
            "one value for each of {channels} channels is needed"
        )));
    }
    let [gain, shift, mean, variance] = parts.map(Tensor::reals);
    let (gain, shift, mean, variance) = (gain?, shift?, mean?, variance?);
    let values = input.reals()?;
    let mut results = Vec::with_capacity(values.len());
    for place in 0..before * channels {
        let channel = place % channels;
        let root = (variance[channel] + epsilon).sqrt();
        let run = &values[place * behind..][..behind];
        let normed = |value: &f64| (value - mean[channel]) / root * gain[channel] + shift[channel];
        results.extend(run.iter().map(normed));
    }
    input.alike(input.shape().to_vec(), results)
}

/// Each run along the last axis moved to mean 0 and variance 1, then scaled and shifted.
pub(super) fn layer(
    input: &Tensor,
    gain: &Tensor,
    shift: &Tensor,
    arguments: &Arguments<'_>,
) -> Result<Tensor, Problem> {
    arguments.only(&["axis", "epsilon"])?;
    let epsilon = arguments.float("epsilon")?;
    let axis = input.axis(arguments.int_or("axis", -1)?)?;
    let (_, extent, behind) = input.around(axis);
    if behind != 1 || gain.shape() != [extent] || shift.shape() != [extent] || extent == 0 {
        return Err(Problem::new(
            "one gain and one shift for each value of the last axis is needed",
        ));
    }
    let (gain, shift) = (gain.reals()?, shift.reals()?);
    let mut results = Vec::with_capacity(input.values().len());
    for run in input.reals()?.chunks_exact(extent) {
        let mean = run.iter().sum::<f64>() / extent as f64;
        let squares = run.iter().map(|value| (value - mean) * (value - mean));
        let root = (squares.sum::<f64>() / extent as f64 + epsilon).sqrt();
        let normed =
            |(place, value): (usize, &f64)| (value - mean) / root * gain[place] + shift[place];
        results.extend(run.iter().enumerate().map(normed));
    }
    input.alike(input.shape().to_vec(), results)
}

/// Shares that add up to 1 along an axis.
pub(super) fn softmax(input: &Tensor, axis: i64) -> Result<Tensor, Problem> {
    let (before, extent, behind) = input.around(input.axis(axis)?);
    let values = input.reals()?;
    let mut results = vec![0.0; values.len()];
    for start in 0..before {
        for offset in 0..behind {
            let place = |step: usize| (start * extent + step) * behind + offset;
            let run = || (0..extent).map(|step| values[place(step)]);
            let largest = run().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = run().map(|value| (value - largest).exp()).sum();
            for step in 0..extent {
                results[place(step)] = (values[place(step)] - largest).exp() / sum;
            }
        }
    }
    input.alike(input.shape().to_vec(), results)
}

/// The sum along one axis, which stays with an extent of 1 or goes away.
pub(super) fn sum(
    input: &Tensor,
    axes: &Tensor,
    arguments: &Arguments<'_>,
) -> Result<Tensor, Problem> {
    arguments.only(&["keepdims"])?;
    let &[axis] = axes.ints()? else {
        return Err(Problem::new("one axis is summed over here"));
    };
    let axis = input.axis(axis)?;
    let (before, extent, behind) = input.around(axis);
    let values = input.reals()?;
    let place =
        |start: usize, step: usize, offset: usize| (start * extent + step) * behind + offset;
    let of_one = |at: usize| {
        let (start, offset) = (at / behind, at % behind);
        (0..extent)
            .map(|step| values[place(start, step, offset)])
            .sum()
    };
    let mut shape = input.shape().to_vec();
    match arguments.int_or("keepdims", 1)? {
        0 => drop(shape.remove(axis)),
        _ => shape[axis] = 1,
    }
    input.alike(shape, (0..before * behind).map(of_one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Values;

    #[test]
    fn an_axis_of_nothing_adds_up_to_zero() {
        let axes = Tensor::new(vec![1], Values::Ints(vec![1])).unwrap();
        let none = Arguments::of(&[]);
        let empty = Tensor::new(vec![2, 0, 3], Values::Floats(Vec::new())).unwrap();
        let summed = sum(&empty, &axes, &none).unwrap();
        assert_eq!(
            (summed.shape(), summed.floats()),
            (&[2, 1, 3][..], Ok(&[0.0; 6][..]))
        );
        let some = Tensor::new(vec![1, 2, 2], Values::Floats(vec![1.0, 2.0, 3.0, 4.0])).unwrap();
        assert_eq!(
            sum(&some, &axes, &none).unwrap().floats(),
            Ok(&[4.0, 6.0][..])
        );
    }
}
