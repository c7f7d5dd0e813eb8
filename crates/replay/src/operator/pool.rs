//! Pools over one or two axes of positions, never padded.

use super::arguments::Arguments;
use crate::{
    error::Problem,
    tensor::{Tensor, count, room},
};

/// The largest of some values; what is not a number is larger than all.
pub(super) fn largest(values: &[f64]) -> f64 {
    let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    values.iter().copied().fold(f64::NEG_INFINITY, larger)
}

/// Their mean.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// One value for each window of each channel: `[rows, channels, positions…]`.
pub(super) fn pool(
    input: &Tensor,
    arguments: &Arguments<'_>,
    pooled: fn(&[f64]) -> f64,
) -> Result<Tensor, Problem> {
    arguments.only(&["kernel_shape", "strides"])?;
    let [rows, channels, extents @ ..] = input.shape() else {
        return Err(Problem::new("rows, channels and positions are needed"));
    };
    let size = arguments.sizes("kernel_shape")?.unwrap_or_default();
    let strides = arguments
        .sizes("strides")?
        .unwrap_or_else(|| vec![1; extents.len()]);
    let along = |axis: usize| {
        let room = extents[axis].checked_sub(size[axis])?;
        Some(room.checked_div(strides[axis])? + 1)
    };
    let is_one_per_axis = size.len() == extents.len() && strides.len() == extents.len();
    let results: Option<Vec<usize>> = match is_one_per_axis && !size.contains(&0) {
        true => (0..extents.len()).map(along).collect(),
        false => None,
    };
    let results = results.ok_or_else(|| Problem::new("the window does not fit the positions"))?;
    // A single axis of positions is a plane of one row.
    let plane = |sizes: &[usize]| match sizes {
        [width] => Ok((1, *width)),
        [height, width] => Ok((*height, *width)),
        _ => Err(Problem::new("one or two axes of positions are needed")),
    };
    let ((height, width), (window_rows, window_columns)) = (plane(extents)?, plane(&size)?);
    let ((down, right), (result_rows, result_columns)) = (plane(&strides)?, plane(&results)?);
    let values = input.reals()?;
    let mut found = room(&[&[*rows, *channels][..], &results].concat())?;
    for channel in values.chunks_exact((height * width).max(1)) {
        for row in 0..result_rows {
            for column in 0..result_columns {
                let mut window = Vec::with_capacity(window_rows * window_columns);
                for y in row * down..row * down + window_rows {
                    window.extend(&channel[y * width + column * right..][..window_columns]);
                }
                found.push(pooled(&window));
            }
        }
    }
    input.alike([&[*rows, *channels][..], &results].concat(), found)
}

/// The mean of each channel; its axes of positions stay with an extent of 1.
pub(super) fn global_mean(input: &Tensor) -> Result<Tensor, Problem> {
    let [rows, channels, extents @ ..] = input.shape() else {
        return Err(Problem::new("rows, channels and positions are needed"));
    };
    let positions = count(extents).unwrap_or(0).max(1);
    let means = input.reals()?.chunks_exact(positions).map(mean).collect();
    input.alike(
        [&[*rows, *channels][..], &vec![1; extents.len()]].concat(),
        means,
    )
}
