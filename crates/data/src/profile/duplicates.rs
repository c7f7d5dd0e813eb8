//! Rows that are there more than once: with the same target, with another one, and on two sides of the
//! split.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    roles::{Part, Sides},
    source::{Cells, Dataset, Images, RawTargets, Source},
    split::Split,
};

/// Rows that are there more than once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Rows that repeat an earlier one, target included.
    pub repeated: usize,
    /// Rows whose inputs stand with several targets.
    pub conflicting: usize,
    /// Share of all rows that any model can get right at most, because of those; for classes.
    pub accuracy_max: Option<f64>,
    /// Rows of validation and vault that are training rows, too.
    pub shared: Vec<SharedRows>,
}

/// Rows of a part that stand on the training side as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedRows {
    /// Of which part.
    pub part: Part,
    /// Rows of the part.
    pub of: usize,
    /// Rows whose inputs are those of a training row.
    pub rows: usize,
    /// Rows whose group is that of a training row.
    pub groups: usize,
}

pub(super) type Digest = [u8; 32];

/// Looks for rows with the same inputs.
///
/// # Cost
/// `O(cells + rows log rows)`.
pub(super) fn find(source: &Source, split: &Split) -> Duplicates {
    let digests = digests(&source.dataset);
    let targets = source.dataset.targets();
    let mut by_inputs: BTreeMap<&Digest, Vec<u32>> = BTreeMap::new();
    for (row, digest) in digests.iter().enumerate() {
        by_inputs.entry(digest).or_default().push(row as u32);
    }
    let (mut repeated, mut conflicting, mut right) = (0, 0, 0);
    for rows in by_inputs.values() {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for row in rows {
            *counts.entry(key(targets, *row)).or_default() += 1;
        }
        repeated += rows.len() - counts.len();
        right += counts.values().max().copied().unwrap_or(0);
        if counts.len() > 1 {
            conflicting += rows.len();
        }
    }
    let is_classes = matches!(targets, RawTargets::Classes(_));
    Duplicates {
        repeated,
        conflicting,
        accuracy_max: (is_classes && conflicting > 0).then(|| right as f64 / digests.len() as f64),
        shared: [Part::Validation, Part::Vault]
            .map(|part| shared(source, split, part, &digests))
            .into_iter()
            .filter(|shared| shared.of > 0)
            .collect(),
    }
}

/// Equal for equal targets.
fn key(targets: &RawTargets, row: u32) -> u64 {
    match targets {
        RawTargets::Classes(ids) => u64::from(ids[row as usize]),
        RawTargets::Values(values) => values[row as usize].to_bits(),
        RawTargets::Unknown(_) => 0,
    }
}

fn shared(source: &Source, split: &Split, part: Part, digests: &[Digest]) -> SharedRows {
    let rows = split.rows(part);
    let known: BTreeSet<&Digest> = split
        .train
        .iter()
        .map(|row| &digests[*row as usize])
        .collect();
    let is_known = |row: &&u32| known.contains(&digests[**row as usize]);
    let groups = match &source.facts.sides {
        Sides::Groups(numbers) => {
            let number = |row: &u32| numbers[*row as usize];
            let known: BTreeSet<u32> = split.train.iter().map(number).collect();
            rows.iter()
                .filter(|row| known.contains(&number(row)))
                .count()
        }
        Sides::Free | Sides::Times(_) | Sides::Parts(_) => 0,
    };
    SharedRows {
        part,
        of: rows.len(),
        rows: rows.iter().filter(is_known).count(),
        groups,
    }
}

/// A digest of the pixels of each image.
pub(super) fn of_images(images: &Images) -> Vec<Digest> {
    let item = images.item_bytes();
    let each = images.bytes.chunks_exact(item.max(1));
    each.map(|bytes| *blake3::hash(bytes).as_bytes()).collect()
}

/// A digest of the inputs of each row.
fn digests(dataset: &Dataset) -> Vec<Digest> {
    match dataset {
        Dataset::Images(images) => of_images(images),
        Dataset::Series(series) => {
            let of_one = |values: &[f32]| {
                let mut hasher = blake3::Hasher::new();
                values.iter().for_each(|value| {
                    hasher.update(&value.to_bits().to_le_bytes());
                });
                *hasher.finalize().as_bytes()
            };
            series.each().map(of_one).collect()
        }
        Dataset::Texts(texts) => {
            let of_one = |text: &String| *blake3::hash(text.as_bytes()).as_bytes();
            texts.texts.iter().map(of_one).collect()
        }
        Dataset::Table(table) => {
            let of_row = |row: usize| {
                let mut hasher = blake3::Hasher::new();
                for column in &table.columns {
                    match &column.cells {
                        Cells::Numbers(values)
                        | Cells::Times {
                            seconds: values, ..
                        } => {
                            hasher.update(&values[row].to_bits().to_le_bytes());
                        }
                        Cells::Words(words) | Cells::Texts(words) => {
                            let word = words[row].as_deref();
                            // The length keeps "ab", "c" and "a", "bc" apart.
                            let length = word.map_or(u64::MAX, |word| word.len() as u64);
                            hasher.update(&length.to_le_bytes());
                            hasher.update(word.unwrap_or_default().as_bytes());
                        }
                    }
                }
                *hasher.finalize().as_bytes()
            };
            (0..dataset.rows()).map(of_row).collect()
        }
    }
}
