//! Series: each channel is shifted and scaled as it is on the training rows; short ones end in zeros.

use super::{mean_and_deviation, unfit};
use crate::{
    error::DataError,
    fitted::{CLIP, FittedSeries, Indicator},
    source::Series,
};

/// Learns centre and spread of each channel; whether steps can be missing.
///
/// The length is that of the longest of all rows: what fits into the network, not what is learned.
pub(super) fn fit(series: &Series, rows: &[u32]) -> FittedSeries {
    let each: Vec<&[f32]> = series.each().collect();
    let channels = series.channels as usize;
    let (mut shift, mut scale) = (Vec::new(), Vec::new());
    for channel in 0..channels {
        let of_channel = |row: &u32| each[*row as usize].iter().skip(channel).step_by(channels);
        let present: Vec<f64> = rows
            .iter()
            .flat_map(of_channel)
            .filter(|value| !value.is_nan())
            .map(|value| f64::from(*value))
            .collect();
        let (mean, deviation) = mean_and_deviation(&present);
        shift.push(mean as f32);
        scale.push(deviation as f32);
    }
    let length = series.longest();
    let is_whole = |row: &u32| {
        let index = *row as usize;
        series.lengths[index] == length && !each[index].iter().any(|value| value.is_nan())
    };
    let presence = match rows.iter().all(is_whole) {
        true => Indicator::Absent,
        false => Indicator::Present,
    };
    FittedSeries {
        columns: series.columns.clone(),
        steps: series.steps.clone(),
        channels: series.channels,
        length,
        shift,
        scale,
        presence,
    }
}

/// What a network gets of these rows.
///
/// # Shapes
/// `[rows][length][channels]`, the channel of presence last.
/// # Errors
/// If the series have other channels than those it was fitted on, or one is longer.
pub(super) fn inputs(
    fitted: &FittedSeries,
    series: &Series,
    rows: &[u32],
) -> Result<Vec<f32>, DataError> {
    if series.channels != fitted.channels {
        let problem = format!(
            "the series have {} channel(s), those it was fitted on {}",
            series.channels, fitted.channels
        );
        return Err(unfit(problem));
    }
    if series.longest() > fitted.length {
        let problem = format!(
            "a series has {} steps, the longest that it was fitted on {}",
            series.longest(),
            fitted.length
        );
        return Err(unfit(problem));
    }
    let each: Vec<&[f32]> = series.each().collect();
    let (channels, width) = (fitted.channels as usize, fitted.width() as usize);
    let item = fitted.length as usize * width;
    let mut inputs = vec![0.0; item * rows.len()];
    for (row, out) in rows.iter().zip(inputs.chunks_exact_mut(item)) {
        let steps = each[*row as usize].chunks_exact(channels);
        for (step, out) in steps.zip(out.chunks_exact_mut(width)) {
            write_step(fitted, step, out);
        }
    }
    Ok(inputs)
}

fn write_step(fitted: &FittedSeries, step: &[f32], out: &mut [f32]) {
    let limit = CLIP as f32;
    for (channel, value) in step.iter().enumerate() {
        if !value.is_nan() {
            let scaled = (value - fitted.shift[channel]) / fitted.scale[channel];
            out[channel] = scaled.clamp(-limit, limit);
        }
    }
    if fitted.presence == Indicator::Present {
        let is_there = step.iter().any(|value| !value.is_nan());
        out[step.len()] = f32::from(u8::from(is_there));
    }
}
