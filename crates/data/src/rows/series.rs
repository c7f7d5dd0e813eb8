//! New series for a fitted model, as they come, and lines of `.ts` files, of which a bad one costs no other.

use std::path::Path;

use super::{BadRow, ReadRows, RowNames, kept};
use crate::{
    error::DataError,
    fitted::FittedSeries,
    limits::ReadLimits,
    npy::{Array, Values},
    read::place_named,
    series::ts,
    source::{Dataset, RawTargets, Series},
    table::dialect::Dialect,
};

/// The series of a `.ts` file.
pub(super) fn of_ts(
    fitted: &FittedSeries,
    path: &Path,
    dialect: Dialect,
    limits: &ReadLimits,
) -> Result<ReadRows, DataError> {
    let read = ts::read(path, kept(dialect, limits))?;
    let mut rows = short_enough(fitted, &read.series);
    let is_read = |row: &u64| !read.unread.contains_key(row);
    let numbers: Vec<u64> = (1..)
        .filter(is_read)
        .take(read.series.lengths.len())
        .collect();
    let number = |place: u64| numbers[place as usize - 1];
    for row in &mut rows.row_numbers {
        *row = number(*row);
    }
    for bad in &mut rows.bad {
        bad.row = number(bad.row);
    }
    let unread = read.unread.into_iter();
    rows.bad
        .extend(unread.map(|(row, reason)| BadRow { row, reason }));
    rows.bad.sort_by_key(|bad| bad.row);
    rows.notices.extend(read.notices);
    Ok(rows)
}

/// The columns of an array that were learned from, where it has more: some were left out.
pub(super) fn learned_from(fitted: &FittedSeries, array: Array) -> Array {
    let [rows, width] = array.shape[..] else {
        return array;
    };
    let columns = fitted.columns.iter();
    let places = columns.map(|name| place_named(name).filter(|place| *place < width));
    let places: Vec<usize> = match places.collect::<Option<Vec<usize>>>() {
        Some(places) if (1..width).contains(&places.len()) => places,
        // Its steps have names of their own, or all are wanted.
        _ => return array,
    };
    let values = array.values.to_floats();
    let of_row = |row: usize| places.iter().map(move |place| row * width + place);
    let chosen = (0..rows).flat_map(of_row).map(|at| values[at]);
    Array {
        values: Values::Floats(chosen.collect()),
        shape: vec![rows, places.len()],
    }
}

/// The series that a network can take; those that are too long are bad.
pub(super) fn short_enough(fitted: &FittedSeries, series: &Series) -> ReadRows {
    let (mut row_numbers, mut bad) = (Vec::new(), Vec::new());
    let mut kept = Series {
        columns: Vec::new(),
        steps: None,
        channels: series.channels,
        lengths: Vec::new(),
        values: Vec::new(),
        targets: RawTargets::Unknown(0),
    };
    for ((values, length), row) in series.each().zip(&series.lengths).zip(1..) {
        if *length > fitted.length {
            let longest = fitted.length;
            let reason = format!("it has {length} steps, the model takes up to {longest}");
            bad.push(BadRow { row, reason });
            continue;
        }
        kept.values.extend(values);
        kept.lengths.push(*length);
        row_numbers.push(row);
    }
    kept.targets = RawTargets::Unknown(row_numbers.len());
    ReadRows {
        dataset: Dataset::Series(kept),
        row_numbers,
        names: RowNames::None,
        bad,
        notices: Vec::new(),
    }
}
