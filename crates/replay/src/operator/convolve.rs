//! Convolution over one or two axes of positions: patches are laid out, then multiplied.

use super::{arguments::Arguments, product::add_product};
use crate::{
    error::Problem,
    tensor::{Tensor, room},
};

/// A window that moves along one axis.
#[derive(Clone, Copy)]
struct Along {
    extent: usize,
    taps: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    results: usize,
}

impl Along {
    /// The position that a tap reads for a result, unless it lies outside.
    fn position(self, result: usize, tap: usize) -> Option<usize> {
        let place = result * self.stride + tap * self.dilation;
        place
            .checked_sub(self.before)
            .filter(|position| *position < self.extent)
    }
}

/// `[rows, channels, positions…]` by `[outputs, channels/group, taps…]`, and one bias per output.
pub(super) fn conv(
    input: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    arguments: &Arguments<'_>,
) -> Result<Tensor, Problem> {
    arguments.only(&["kernel_shape", "strides", "dilations", "pads", "group"])?;
    let groups = usize::try_from(arguments.int_or("group", 1)?).unwrap_or(0);
    let ([rows, channels, _, ..], [outputs, per_group, taps @ ..]) =
        (input.shape(), weight.shape())
    else {
        return Err(Problem::new("rows, channels and positions are needed"));
    };
    let fits = (1..=*channels).contains(&groups)
        && per_group.checked_mul(groups) == Some(*channels)
        && outputs.is_multiple_of(groups)
        && bias.shape() == [*outputs];
    if !fits {
        let shapes = [input.shape(), weight.shape(), bias.shape()];
        return Err(Problem::new(format!(
            "the shapes {shapes:?} in {groups} group(s) do not fit"
        )));
    }
    let [vertical, horizontal] = windows(&input.shape()[2..], taps, arguments)?;
    let mut sums: Vec<f64> = room(&[*rows, *outputs, vertical.results, horizontal.results])?;
    let results = vertical.results * horizontal.results;
    let (values, weights) = (input.floats()?, weight.floats()?);
    let of_group = per_group * vertical.extent * horizontal.extent;
    let kernel = outputs / groups * per_group * vertical.taps * horizontal.taps;
    for row in 0..*rows {
        for group in 0..groups {
            let start = (row * groups + group) * of_group;
            let patches = patches(&values[start..start + of_group], vertical, horizontal)?;
            let biases = &bias.floats()?[group * outputs / groups..][..outputs / groups];
            let first = sums.len();
            sums.extend(
                biases
                    .iter()
                    .flat_map(|bias| vec![f64::from(*bias); results]),
            );
            let weights = &weights[group * kernel..][..kernel];
            add_product(weights, &patches, results, &mut sums[first..]);
        }
    }
    let extents = match taps.len() {
        1 => vec![horizontal.results],
        _ => vec![vertical.results, horizontal.results],
    };
    input.alike([&[*rows, *outputs][..], &extents].concat(), sums)
}

/// One window per axis; a single axis of positions gets another of extent 1 before it.
fn windows(
    extents: &[usize],
    taps: &[usize],
    arguments: &Arguments<'_>,
) -> Result<[Along; 2], Problem> {
    let axes = extents.len();
    let ones = vec![1; axes];
    let strides = arguments.sizes("strides")?.unwrap_or_else(|| ones.clone());
    let dilations = arguments.sizes("dilations")?.unwrap_or(ones);
    let pads = arguments
        .sizes("pads")?
        .unwrap_or_else(|| vec![0; 2 * axes]);
    let lengths = [taps.len(), strides.len(), dilations.len(), pads.len() / 2];
    let is_told = arguments
        .sizes("kernel_shape")?
        .is_none_or(|told| told == taps);
    if lengths.iter().any(|length| *length != axes) || !(1..=2).contains(&axes) || !is_told {
        return Err(Problem::new(
            "kernel, strides, dilations and pads do not fit the positions",
        ));
    }
    let along = |axis: usize| {
        let (extent, taps) = (extents[axis], taps[axis]);
        let (stride, dilation, before) = (strides[axis], dilations[axis], pads[axis]);
        let reach = taps
            .checked_sub(1)
            .map(|gaps| gaps.saturating_mul(dilation));
        let padded = extent + before + pads[axes + axis];
        let room = reach.and_then(|reach| padded.checked_sub(reach.saturating_add(1)));
        let results = room
            .and_then(|room| room.checked_div(stride))
            .map(|moves| moves + 1);
        let results =
            results.ok_or_else(|| Problem::new("the kernel does not fit the positions"))?;
        Ok(Along {
            extent,
            taps,
            stride,
            dilation,
            before,
            results,
        })
    };
    let single = Along {
        extent: 1,
        taps: 1,
        stride: 1,
        dilation: 1,
        before: 0,
        results: 1,
    };
    match axes {
        1 => Ok([single, along(0)?]),
        _ => Ok([along(0)?, along(1)?]),
    }
}

/// What each tap of each channel reads, for every result.
///
/// # Shapes
/// `values: [channels, height, width]`; returns `[channels · taps, results]`.
/// # Units
/// Those of the values; 0 for what lies outside.
/// # Errors
/// If there is not so much memory.
/// # Cost
/// `O(channels · taps · results)`.
/// # Source
/// The definition of a convolution.
fn patches(values: &[f32], vertical: Along, horizontal: Along) -> Result<Vec<f32>, Problem> {
    let plane = vertical.extent * horizontal.extent;
    let taps = vertical.taps * horizontal.taps;
    let results = vertical.results * horizontal.results;
    let channels = values.len() / plane.max(1);
    let mut found = room(&[channels, taps, results])?;
    for channel in values.chunks_exact(plane.max(1)) {
        for tap in 0..taps {
            let (down, right) = (tap / horizontal.taps, tap % horizontal.taps);
            for result_row in 0..vertical.results {
                let y = vertical.position(result_row, down);
                found.extend((0..horizontal.results).map(|result| {
                    let x = horizontal.position(result, right);
                    y.zip(x)
                        .map_or(0.0, |(y, x)| channel[y * horizontal.extent + x])
                }));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{message::Attribute, tensor::Values};

    fn zeros(shape: &[usize]) -> Tensor {
        let values = Values::Floats(vec![0.0; shape.iter().product()]);
        Tensor::new(shape.to_vec(), values).unwrap()
    }

    #[test]
    fn more_groups_than_channels_are_refused() {
        let refused = |input: &[usize], weight: &[usize], groups: i64| {
            let group = [Attribute {
                name: "group".to_string(),
                int: Some(groups),
                ..Attribute::default()
            }];
            let (input, weight, bias) = (zeros(input), zeros(weight), zeros(&weight[..1]));
            conv(&input, &weight, &bias, &Arguments::of(&group)).is_err()
        };
        assert!(refused(&[1, 0, 5], &[0, 0, 3], 1 << 62));
        assert!(refused(&[1, 0, 5], &[0, 4, 3], 1 << 62));
        assert!(refused(&[1, 2, 5], &[4, 1, 3], 4));
        assert!(refused(&[1, 2, 5], &[4, 1, 3], 0));
        assert!(!refused(&[1, 2, 5], &[4, 1, 3], 2));
    }
}
