//! Which rows are learned from, which decide between trials, and which nothing sees before the end.
//!
//! Classes and numbers are spread evenly (stratified), unless groups, times or a column say otherwise. Rows
//! that were given for one purpose serve that one. What never happens: a row with two purposes.

pub(crate) mod groups;
pub(crate) mod strata;
mod times;

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use self::strata::{strata_of, stratified};
use crate::{
    error::DataError,
    roles::{Part, Sides},
    source::{RawTargets, Source, Task},
};

/// Below this a split leaves too little of everything.
const ROWS_MIN: usize = 10;

/// Share of the rows that is in the vault, where nobody says.
const VAULT_SHARE: f64 = 0.2;

/// The vault of fewer rows says little, which is told.
pub(crate) const VAULT_ROWS_MIN: usize = 1_000;

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

impl Split {
    /// The rows of a part.
    pub fn rows(&self, part: Part) -> &[u32] {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Vault => &self.vault,
        }
    }

    fn rows_mut(&mut self, part: Part) -> &mut Vec<u32> {
        match part {
            Part::Train => &mut self.train,
            Part::Validation => &mut self.validation,
            Part::Vault => &mut self.vault,
        }
    }
}

/// Shares of all rows; the rest is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitShares {
    /// Share that decides between trials, above 0; not used where such rows were given.
    pub validation: f64,
    /// Share that stays in the vault, a fifth if absent; not used where test rows were given.
    pub vault: Option<f64>,
}

impl Default for SplitShares {
    fn default() -> SplitShares {
        SplitShares {
            validation: 0.2,
            vault: None,
        }
    }
}

impl SplitShares {
    /// The share of the vault.
    pub fn vault_share(self) -> f64 {
        self.vault.unwrap_or(VAULT_SHARE)
    }
}

/// What each part gets of the rows that were given for no purpose.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    validation: f64,
    vault: f64,
}

impl Wanted {
    /// Parts that get a share, with it.
    fn shares(self) -> Vec<(Part, f64)> {
        let train = 1.0 - self.validation - self.vault;
        Part::ALL
            .into_iter()
            .zip([train, self.validation, self.vault])
            .filter(|(_, share)| *share > 0.0)
            .collect()
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
    let own = own_rows(source);
    let wanted = wanted(source, shares)?;
    if own.len() < ROWS_MIN {
        return Err(refused(format!(
            "there are {} rows, {ROWS_MIN} are needed",
            own.len()
        )));
    }
    let mut split = match &source.facts.sides {
        Sides::Free => stratified(source, own.map(|row| row as u32), wanted, rng)?,
        Sides::Groups(numbers) => by_groups(source, numbers, own, wanted, rng)?,
        Sides::Times(values) => times::deal(values, own, wanted)?,
        Sides::Parts(parts) => as_told(source, &parts[own], wanted, rng)?,
    };
    for (part, given) in [
        (Part::Validation, &source.given_validation_rows),
        (Part::Vault, &source.given_test_rows),
    ] {
        let given = given.clone().map(|row| row as u32);
        split.rows_mut(part).extend(given);
    }
    for part in Part::ALL {
        split.rows_mut(part).sort_unstable();
    }
    check(source, shares, &split)?;
    Ok(split)
}

pub(crate) fn refused(problem: String) -> DataError {
    DataError::Split { problem }
}

/// What is left of the shares where rows were given, or why they cannot be taken.
fn wanted(source: &Source, shares: SplitShares) -> Result<Wanted, DataError> {
    let unless = |given: &Range<usize>, share: f64| if given.is_empty() { share } else { 0.0 };
    let vault = shares.vault_share();
    let wanted = Wanted {
        validation: unless(&source.given_validation_rows, shares.validation),
        vault: unless(&source.given_test_rows, vault),
    };
    let legal = shares.validation > 0.0
        && vault >= 0.0
        && (0.0..1.0).contains(&(wanted.validation + wanted.vault));
    if legal {
        return Ok(wanted);
    }
    Err(refused(format!(
        "split.validation = {} and split.vault = {vault}: the first must be above 0, and both \
         together below 1",
        shares.validation
    )))
}

fn check(source: &Source, shares: SplitShares, split: &Split) -> Result<(), DataError> {
    if split.train.is_empty() {
        return Err(refused("no row is left to learn from".to_string()));
    }
    if split.validation.is_empty() {
        return Err(refused(format!(
            "no row is left to validate with a share of {}",
            shares.validation
        )));
    }
    if let (RawTargets::Classes(ids), Task::Classification { classes }) =
        (source.dataset.targets(), &source.task)
    {
        let first = ids[split.train[0] as usize];
        if split.train.iter().all(|row| ids[*row as usize] == first) {
            return Err(refused(format!(
                "all {} rows to learn from are of class `{}`: another split is needed",
                split.train.len(),
                classes[first as usize]
            )));
        }
    }
    Ok(())
}

/// Groups that stay together, classes or numbers as evenly as that allows.
fn by_groups(
    source: &Source,
    numbers: &[u32],
    own: Range<usize>,
    wanted: Wanted,
    rng: &mut ChaCha8Rng,
) -> Result<Split, DataError> {
    let strata = strata_of(source, own.map(|row| row as u32));
    let (parts, shares): (Vec<Part>, Vec<f64>) = wanted.shares().into_iter().unzip();
    let dealt = groups::deal(numbers, &strata, &shares, rng).map_err(|groups| {
        refused(format!(
            "there are {groups} groups, and {} parts need one each at least",
            parts.len()
        ))
    })?;
    let mut split = Split::default();
    for (part, rows) in parts.into_iter().zip(dealt) {
        *split.rows_mut(part) = rows;
    }
    Ok(split)
}

/// The parts that a column names; validation rows are taken from the others if it names none.
fn as_told(
    source: &Source,
    parts: &[Part],
    wanted: Wanted,
    rng: &mut ChaCha8Rng,
) -> Result<Split, DataError> {
    let mut told = Split::default();
    for (row, part) in parts.iter().enumerate() {
        told.rows_mut(*part).push(row as u32);
    }
    if !told.validation.is_empty() || wanted.validation == 0.0 {
        return Ok(told);
    }
    let wanted = Wanted {
        vault: 0.0,
        ..wanted
    };
    let dealt = stratified(source, told.train.iter().copied(), wanted, rng)?;
    Ok(Split {
        vault: told.vault,
        ..dealt
    })
}

/// Rows that were given for no purpose.
fn own_rows(source: &Source) -> Range<usize> {
    0..source.given_validation_rows.start
}

#[cfg(test)]
pub(crate) mod tests;
