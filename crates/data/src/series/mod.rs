//! Series: files of them, and tables whose columns, or whose rows, are steps.

pub(crate) mod hint;
pub(crate) mod long;
pub(crate) mod ts;
pub(crate) mod wide;

use std::path::Path;

use crate::{
    error::DataError,
    limits::ReadLimits,
    notice::Notice,
    source::{RawTargets, Series},
};

/// Bytes of a value, also of one that is missing.
const VALUE_BYTES: u64 = size_of::<f32>() as u64;

/// Series while they are read.
#[derive(Debug)]
pub(crate) struct Growing {
    channels: usize,
    lengths: Vec<u32>,
    values: Vec<f32>,
}

impl Growing {
    pub(crate) fn new(channels: usize) -> Growing {
        Growing {
            channels,
            lengths: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Adds a series given channel by channel; a channel that ends early is missing behind its end.
    pub(crate) fn push(&mut self, channels: &[Vec<f32>]) {
        debug_assert_eq!(channels.len(), self.channels);
        let length = channels.iter().map(Vec::len).max().unwrap_or(0);
        for step in 0..length {
            let at_step = |channel: &Vec<f32>| channel.get(step).copied().unwrap_or(f32::NAN);
            self.values.extend(channels.iter().map(at_step));
        }
        self.lengths.push(length as u32);
    }

    /// Adds a series given step by step, channels last.
    pub(crate) fn push_steps(&mut self, steps: &[f32]) {
        debug_assert_eq!(steps.len() % self.channels, 0);
        self.lengths.push((steps.len() / self.channels) as u32);
        self.values.extend(steps);
    }

    /// All that were added, without targets.
    pub(crate) fn finish(self) -> Series {
        Series {
            columns: Vec::new(),
            steps: None,
            channels: self.channels as u32,
            targets: RawTargets::Unknown(self.lengths.len()),
            lengths: self.lengths,
            values: self.values,
        }
    }
}

/// A value as a network takes it; what is too large for that is missing.
pub(crate) fn single(value: f64) -> f32 {
    match value as f32 {
        single if single.is_finite() => single,
        _ => f32::NAN,
    }
}

/// What is to be said of values that are missing because they are too large.
pub(crate) fn too_large(values: impl Iterator<Item = f64>) -> Option<Notice> {
    let mut found = values.filter(|value| value.is_finite() && single(*value).is_nan());
    let example = found.next()?;
    Some(Notice::warning(format!(
        "{} value(s) of series are too large for a network (as {example:e}) and count as missing",
        1 + found.count()
    )))
}

/// Refuses series that are too much once a network gets them, all filled up to so many steps.
///
/// # Errors
/// If what they are filled up with takes more than may be read; their own values stood in a file.
pub(crate) fn check_padded(
    path: &Path,
    series: &Series,
    length: u32,
    limits: &ReadLimits,
) -> Result<(), DataError> {
    let count = series.lengths.len();
    let steps = (count as u64).saturating_mul(length.into());
    let values = steps.saturating_mul(series.channels.into());
    let padding = values.saturating_sub(series.values.len() as u64);
    match padding.saturating_mul(VALUE_BYTES) > limits.bytes_max {
        false => Ok(()),
        true => Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: format!("what {count} series take, each filled up to {length} steps,"),
            limit: limits.bytes_said(),
        }),
    }
}

/// The first series and behind them the second, without targets.
pub(crate) fn joined(mut first: Series, second: Series) -> Series {
    first.lengths.extend(second.lengths);
    first.values.extend(second.values);
    first.targets = RawTargets::Unknown(first.lengths.len());
    first
}
