//! Rows whose targets are alike, and how they are dealt so that every part has the targets of all.
//!
//! Classes are strata as they are. Numbers are put in order; a part takes one row by chance of each of as
//! many consecutive blocks as it gets rows, so that it has low, middle and high ones as all rows do.
//! Cochran 1977, chapter 5A: as many strata as there are rows to choose.

use rand::{Rng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Split, Wanted, refused};
use crate::{
    error::DataError,
    source::{RawTargets, Source, Task},
};

/// Bands of a number within which groups are dealt as if it were a class.
const BANDS: usize = 5;

/// Fewer rows than these are no band: groups would be dealt by the noise in it.
const BAND_ROWS_MIN: usize = 10;

/// Rows whose targets are alike: of one class, or in one band of a number, each about as large.
///
/// # Cost
/// `O(rows log rows)`.
pub(crate) fn strata_of(source: &Source, rows: impl Iterator<Item = u32>) -> Vec<Vec<u32>> {
    match source.dataset.targets() {
        RawTargets::Classes(ids) => {
            let mut strata = vec![Vec::new(); class_count(source)];
            rows.for_each(|row| strata[ids[row as usize] as usize].push(row));
            strata
        }
        RawTargets::Values(values) => {
            let mut rows: Vec<u32> = rows.collect();
            rows.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
            let bands = (rows.len() / BAND_ROWS_MIN).clamp(1, BANDS);
            let band = |index: usize| rows[block(rows.len(), bands, index)].to_vec();
            (0..bands).map(band).collect()
        }
        RawTargets::Unknown(_) => vec![rows.collect()],
    }
}

fn class_count(source: &Source) -> usize {
    match &source.task {
        Task::Classification { classes } => classes.len(),
        Task::Regression { .. } => 0,
    }
}

/// The places of one of `count` blocks of about the same size, one behind the other.
fn block(len: usize, count: usize, index: usize) -> std::ops::Range<usize> {
    index * len / count..(index + 1) * len / count
}

/// Rows in the order of their numbers, equal ones in an order of chance.
///
/// # Cost
/// `O(rows log rows)`.
pub(crate) fn ordered(values: &[f64], rows: &mut [u32], rng: &mut ChaCha8Rng) {
    rows.shuffle(rng);
    rows.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
}

/// Deals rows so that every part has the targets of all: the same share of each class, or numbers spread
/// alike.
///
/// # Errors
/// If a class that is there, or all rows, are too few for every part to get one.
/// # Cost
/// `O(rows log rows)`.
pub(super) fn stratified(
    source: &Source,
    rows: impl Iterator<Item = u32>,
    wanted: Wanted,
    rng: &mut ChaCha8Rng,
) -> Result<Split, DataError> {
    if let (RawTargets::Values(values), Task::Regression { target }) =
        (source.dataset.targets(), &source.task)
    {
        let mut rows: Vec<u32> = rows.collect();
        let (vault, validation) = counts(rows.len(), wanted, &format!("`{target}`"))?;
        ordered(values, &mut rows, rng);
        let vault = one_of_each(&mut rows, vault, rng);
        let validation = one_of_each(&mut rows, validation, rng);
        return Ok(Split {
            train: rows,
            validation,
            vault,
        });
    }
    let mut split = Split::default();
    for (class, mut rows) in strata_of(source, rows).into_iter().enumerate() {
        // A class of rows alone that were given for one purpose: the profile warns that nothing is learned of it.
        if rows.is_empty() {
            continue;
        }
        rows.shuffle(rng);
        let name = match &source.task {
            Task::Classification { classes } => format!("class `{}`", classes[class]),
            Task::Regression { target } => format!("`{target}`"),
        };
        let (vault, validation) = counts(rows.len(), wanted, &name)?;
        split.vault.extend(rows.drain(..vault));
        split.validation.extend(rows.drain(..validation));
        split.train.extend(rows);
    }
    Ok(split)
}

/// How many of so many rows go to the vault and validate; something must be left to learn from.
fn counts(rows: usize, wanted: Wanted, name: &str) -> Result<(usize, usize), DataError> {
    let part = |share: f64| {
        let count = (share * rows as f64).round() as usize;
        if share > 0.0 { count.max(1) } else { 0 }
    };
    let (vault, validation) = (part(wanted.vault), part(wanted.validation));
    if vault + validation < rows {
        return Ok((vault, validation));
    }
    Err(refused(format!(
        "{name} has {rows} row(s), which cannot be both learned from and scored: remove it, or bring more \
         rows of it"
    )))
}

/// Takes so many of the rows: one by chance of each of as many consecutive blocks.
fn one_of_each(rows: &mut Vec<u32>, count: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut is_taken = vec![false; rows.len()];
    for index in 0..count {
        is_taken[rng.random_range(block(rows.len(), count, index))] = true;
    }
    let mut taken = Vec::with_capacity(count);
    let mut places = is_taken.into_iter();
    rows.retain(|row| {
        let is_taken = places.next() == Some(true);
        if is_taken {
            taken.push(*row);
        }
        !is_taken
    });
    taken
}
