//! Which rows are learned from, which decide between trials, and which nothing sees before the end.
//!
//! Classes are spread evenly (stratified). Rows that were given as test rows are the vault.

use std::ops::Range;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    error::DataError,
    source::{RawTargets, Source, Task},
};

/// Below this a split leaves too little of everything.
const ROWS_MIN: usize = 10;

/// Rows of a split, each list ascending, no row in two of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Learned from.
    pub train: Vec<u32>,
    /// Decide between trials.
    pub validation: Vec<u32>,
    /// Seen once, at the end.
    pub vault: Vec<u32>,
}

/// Shares of all rows; the rest is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitShares {
    /// Share that decides between trials, above 0.
    pub validation: f64,
    /// Share that stays in the vault; not used where test rows were given.
    pub vault: f64,
}

impl Default for SplitShares {
    fn default() -> SplitShares {
        SplitShares {
            validation: 0.2,
            vault: 0.2,
        }
    }
}

/// Splits the rows of a source.
///
/// # Errors
/// If a share is no share, or there are too few rows, or a class has too few.
pub fn split(
    source: &Source,
    shares: SplitShares,
    rng: &mut ChaCha8Rng,
) -> Result<Split, DataError> {
    let given = !source.given_test_rows.is_empty();
    let vault_share = if given { 0.0 } else { shares.vault };
    check_shares(shares.validation, vault_share)?;
    let own = own_rows(source);
    if own.len() < ROWS_MIN {
        let problem = format!("there are {} rows, {ROWS_MIN} are needed", own.len());
        return Err(DataError::Split { problem });
    }
    let mut split = Split::default();
    for (class, rows) in strata(source, own).into_iter().enumerate() {
        deal(
            source,
            class,
            rows,
            shares.validation,
            vault_share,
            rng,
            &mut split,
        )?;
    }
    split
        .vault
        .extend(source.given_test_rows.clone().map(|row| row as u32));
    for rows in [&mut split.train, &mut split.validation, &mut split.vault] {
        rows.sort_unstable();
    }
    if split.validation.is_empty() {
        let problem = format!(
            "no row is left to validate with a share of {}",
            shares.validation
        );
        return Err(DataError::Split { problem });
    }
    Ok(split)
}

fn check_shares(validation: f64, vault: f64) -> Result<(), DataError> {
    let legal = validation > 0.0 && vault >= 0.0 && validation + vault < 1.0;
    if legal {
        return Ok(());
    }
    let problem = format!(
        "split.validation = {validation} and split.vault = {vault}: the first must be above 0, \
         and both together below 1"
    );
    Err(DataError::Split { problem })
}

fn own_rows(source: &Source) -> Range<usize> {
    match source.given_test_rows.is_empty() {
        true => 0..source.dataset.rows(),
        false => 0..source.given_test_rows.start,
    }
}

/// Rows by class; all rows of a regression are one stratum.
fn strata(source: &Source, own: Range<usize>) -> Vec<Vec<u32>> {
    match (source.dataset.targets(), &source.task) {
        (RawTargets::Classes(ids), Task::Classification { classes }) => {
            let mut strata = vec![Vec::new(); classes.len()];
            own.for_each(|row| strata[ids[row] as usize].push(row as u32));
            strata
        }
        _ => vec![own.map(|row| row as u32).collect()],
    }
}

fn deal(
    source: &Source,
    class: usize,
    mut rows: Vec<u32>,
    validation_share: f64,
    vault_share: f64,
    rng: &mut ChaCha8Rng,
    split: &mut Split,
) -> Result<(), DataError> {
    rows.shuffle(rng);
    let part = |share: f64| {
        let count = (share * rows.len() as f64).round() as usize;
        if share > 0.0 { count.max(1) } else { 0 }
    };
    let (vault, validation) = (part(vault_share), part(validation_share));
    if vault + validation >= rows.len() {
        let name = match &source.task {
            Task::Classification { classes } => format!("class `{}`", classes[class]),
            Task::Regression { target } => format!("`{target}`"),
        };
        let problem = format!(
            "{name} has {} row(s), which cannot be both learned from and scored: \
             remove it, or bring more rows of it",
            rows.len()
        );
        return Err(DataError::Split { problem });
    }
    split.vault.extend(rows.drain(..vault));
    split.validation.extend(rows.drain(..validation));
    split.train.extend(rows);
    Ok(())
}
