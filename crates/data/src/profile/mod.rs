//! What data are like before anything is trained: types, gaps, duplicates, suspects, and what will be
//! done about each.
//!
//! [`profile`] is a pure function of a source and its split. Statistics are of all rows and decide
//! nothing; what a model is fitted with still comes from the training rows alone. How well one column
//! alone explains the target is learned on training rows and measured on validation rows; the targets
//! of the vault are counted, never compared with a prediction. Of a cross-validation, whose rows are both,
//! [`profile_folded`] says the same.

mod columns;
mod duplicates;
mod findings;
mod images;
mod near;
mod sequences;
mod suspects;
mod target;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use columns::{Alone, ColumnProfile, ColumnValues, LevelCount, NumberProfile};
pub use duplicates::{Duplicates, SharedRows};
pub use findings::{Finding, FindingKind, Importance};
pub use images::{ImageProfile, SizeCount};
pub use sequences::{Lengths, SeriesProfile, TextProfile};
pub use target::{ClassCount, TargetProfile};

use crate::{
    oddities::LeftOut,
    roles::Part,
    source::{Dataset, Source},
    split::Split,
};

/// What data are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// One line: kind, rows, size, classes.
    pub data: String,
    /// Rows of each part.
    pub rows: PartRows,
    /// What is predicted.
    pub target: TargetProfile,
    /// What is predicted from, for a table.
    pub columns: Vec<ColumnProfile>,
    /// Columns from which nothing can be learned.
    pub left_out: Vec<LeftOut>,
    /// What is predicted from, for images.
    pub images: Option<ImageProfile>,
    /// What is predicted from, for series.
    pub series: Option<SeriesProfile>,
    /// What is predicted from, for texts.
    pub texts: Option<TextProfile>,
    /// Rows that are there more than once.
    pub duplicates: Duplicates,
    /// What is worth saying, most important first.
    pub findings: Vec<Finding>,
}

/// How many rows each part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRows {
    /// Learned from.
    pub train: usize,
    /// Decide between trials, and are not learned from; none where all rows are cross-validated.
    pub validation: usize,
    /// Seen once, at the end.
    pub vault: usize,
}

impl PartRows {
    /// Of one part.
    pub fn of(self, part: Part) -> usize {
        match part {
            Part::Train => self.train,
            Part::Validation => self.validation,
            Part::Vault => self.vault,
        }
    }

    /// Of all parts.
    pub fn all(self) -> usize {
        self.train + self.validation + self.vault
    }
}

/// Looks at data.
///
/// # Cost
/// `O(rows log rows)` per column; for images near duplicates are looked for among a limited number of
/// pairs.
pub fn profile(source: &Source, split: &Split) -> Profile {
    of_parts(source, split, split)
}

/// Looks at data that are cross-validated: all rows outside of the vault are training rows, and there are no others
/// that validate. How well one column alone explains the target is still measured on rows that it was not learned
/// from, which are apart in `split`.
///
/// # Cost
/// That of [`profile`].
pub fn profile_folded(source: &Source, split: &Split) -> Profile {
    let mut train = [&split.train[..], &split.validation[..]].concat();
    train.sort_unstable();
    let folded = Split {
        train,
        validation: Vec::new(),
        vault: split.vault.clone(),
    };
    of_parts(source, &folded, split)
}

fn of_parts(source: &Source, split: &Split, apart: &Split) -> Profile {
    let rows = PartRows {
        train: split.train.len(),
        validation: split.validation.len(),
        vault: split.vault.len(),
    };
    let mut profile = Profile {
        data: source.description.clone(),
        rows,
        target: target::profile(source, split),
        columns: match &source.dataset {
            Dataset::Table(table) => columns::profiles(source, table, split, apart),
            _ => Vec::new(),
        },
        left_out: source.oddities.left_out.clone(),
        images: match &source.dataset {
            Dataset::Images(images) => Some(images::profile(images, &source.oddities.files, split)),
            _ => None,
        },
        series: match &source.dataset {
            Dataset::Series(series) => Some(sequences::of_series(series)),
            _ => None,
        },
        texts: match &source.dataset {
            Dataset::Texts(texts) => Some(sequences::of_texts(texts)),
            _ => None,
        },
        duplicates: duplicates::find(source, split),
        findings: Vec::new(),
    };
    let findings = findings::all(source, split, &profile);
    profile.add(findings);
    profile
}

impl Profile {
    /// Adds findings in their place: most important first.
    pub fn add(&mut self, more: impl IntoIterator<Item = Finding>) {
        self.findings.extend(more);
        self.findings
            .sort_by_key(|finding| std::cmp::Reverse(finding.importance));
    }
}
