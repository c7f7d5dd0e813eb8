//! Cross-validation: rows dealt into folds, each of which validates what was learned from the others.
//!
//! Groups stay together. Rows in the order of time are not dealt at all: all but one of the folds would be
//! validated by what was learned from later rows, and that is what a split by time is to rule out.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::{
    error::DataError,
    roles::Sides,
    source::{RawTargets, Source, Task},
    split::{
        groups, refused,
        strata::{ordered, strata_of},
    },
};

/// The fold of each of these rows, from 0: all of about the same size, classes or numbers spread evenly,
/// no group in two of them. Where there are fewer groups, or rows, than folds, there is one fold for each.
///
/// # Shapes
/// `rows`: numbers of rows, ascending; returns as many folds.
/// # Units
/// None.
/// # Errors
/// If rows are ordered by time, or of one group, or a single one, or what is learned from is of one class only
/// where a fold is left out.
/// # Cost
/// `O(rows log rows)`.
/// # Source
/// Kohavi 1995, stratified cross-validation.
pub fn folds(
    source: &Source,
    rows: &[u32],
    count: u8,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<u8>, DataError> {
    let folds = match &source.facts.sides {
        Sides::Times(_) => {
            return Err(refused(format!(
                "{count} folds would be validated by what was learned from later rows, which a split by \
                 time rules out"
            )));
        }
        Sides::Groups(numbers) => by_groups(source, numbers, rows, count, rng)?,
        Sides::Free | Sides::Parts(_) => row_by_row(source, rows, count, rng)?,
    };
    check(source, rows, &folds)?;
    Ok(folds)
}

/// How many of so many folds there can be for these rows: not more than groups, and not more than rows. None is empty
/// then, since an empty one could validate nothing.
pub fn folds_max(source: &Source, rows: &[u32], count: u8) -> u8 {
    let most = match &source.facts.sides {
        Sides::Groups(numbers) => groups::count(numbers, rows),
        _ => rows.len(),
    };
    u8::try_from(most).map_or(count, |most| count.min(most))
}

/// The same, refused if there is only one.
fn possible_count(source: &Source, rows: &[u32], count: u8) -> Result<u8, DataError> {
    let most = folds_max(source, rows, count);
    if most >= 2 {
        return Ok(most);
    }
    let rows = rows.len();
    let alone = match &source.facts.sides {
        Sides::Groups(_) => format!("all {rows} rows are of one group, which"),
        _ => format!("{rows} row(s) in one fold"),
    };
    Err(refused(format!(
        "{alone} cannot be both learned from and validate"
    )))
}

fn row_by_row(
    source: &Source,
    rows: &[u32],
    count: u8,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<u8>, DataError> {
    let count = possible_count(source, rows, count)?;
    let targets = source.dataset.targets();
    let mut folds = vec![0; rows.len()];
    let place_of = |row: &u32| rows.binary_search(row).expect("rows are ascending");
    if let RawTargets::Values(values) = targets {
        let mut order = rows.to_vec();
        ordered(values, &mut order, rng);
        // Of so many consecutive rows as there are folds, each goes to another fold.
        let mut deal: Vec<u8> = (0..count).collect();
        for block in order.chunks(usize::from(count)) {
            deal.shuffle(rng);
            for (row, fold) in block.iter().zip(&deal) {
                folds[place_of(row)] = *fold;
            }
        }
        return Ok(folds);
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.shuffle(rng);
    if let RawTargets::Classes(ids) = targets {
        // Class after class; the deal goes on where the class before ended.
        order.sort_by_key(|place| ids[rows[*place] as usize]);
    }
    for (turn, place) in order.into_iter().enumerate() {
        folds[place] = (turn % usize::from(count)) as u8;
    }
    Ok(folds)
}

fn by_groups(
    source: &Source,
    numbers: &[u32],
    rows: &[u32],
    count: u8,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<u8>, DataError> {
    let count = possible_count(source, rows, count)?;
    let strata = strata_of(source, rows.iter().copied());
    let shares = vec![1.0 / f64::from(count); usize::from(count)];
    let dealt = groups::deal(numbers, &strata, &shares, rng);
    let dealt = dealt.expect("there are as many groups as folds");
    let mut folds = vec![0; rows.len()];
    for (fold, of_fold) in dealt.iter().enumerate() {
        for row in of_fold {
            let place = rows.binary_search(row).expect("rows are ascending");
            folds[place] = fold as u8;
        }
    }
    Ok(folds)
}

/// Whatever fold is left out, two classes must be left to learn from.
fn check(source: &Source, rows: &[u32], folds: &[u8]) -> Result<(), DataError> {
    let (RawTargets::Classes(ids), Task::Classification { classes }) =
        (source.dataset.targets(), &source.task)
    else {
        return Ok(());
    };
    let last = folds.iter().copied().max().unwrap_or(0);
    for out in 0..=last {
        let mut others = rows.iter().zip(folds).filter(|(_, fold)| **fold != out);
        let id = |row: &u32| ids[*row as usize];
        let Some(first) = others.next().map(|(row, _)| id(row)) else {
            continue;
        };
        if others.all(|(row, _)| id(row) == first) {
            return Err(refused(format!(
                "without fold {} of {} all rows to learn from are of class `{}`",
                out + 1,
                last + 1,
                classes[first as usize]
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
