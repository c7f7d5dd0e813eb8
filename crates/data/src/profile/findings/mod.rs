//! What is worth saying about data, and what will be done about it.

mod columns;
mod rows;
mod target;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Profile;
use crate::{notice::Notice, source::Source, split::Split};

/// From this share on, rows that are there more than once deserve a word.
const DUPLICATE_SHARE: f64 = 0.01;

/// Names that are spelled out; the rest is counted.
const NAMED: usize = 5;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Importance {
    /// Good to know, for who looks at the profile.
    Detail,
    /// Something was decided; said before a study.
    Note,
    /// Something may be wrong with the data; said before a study.
    Warning,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A column alone explains the target.
    Suspect,
    /// Rows stand on two sides of the split.
    SharedRows,
    /// Groups stand on two sides of the split.
    SharedGroups,
    /// Images are nearly the same on two sides of the split.
    NearDuplicates,
    /// Times overlap between the sides of the split.
    TimeOrder,
    /// A class is not there where it is needed.
    AbsentClass,
    /// Cells are not what the others of their column are.
    Strays,
    /// Some classes have many more rows than others.
    Imbalance,
    /// A class has very few rows.
    RareClass,
    /// Columns from which nothing can be learned.
    LeftOut,
    /// A column looks like an identifier.
    Identifier,
    /// Cells are missing.
    Missing,
    /// A column has more words than inputs.
    ManyLevels,
    /// Words that are hardly ever there, or never in the training rows.
    RareLevels,
    /// Numbers whose spread is that of a few.
    LongTails,
    /// Numbers far from the others.
    Outliers,
    /// Rows are there more than once.
    Repeated,
    /// The same inputs stand with several targets.
    Conflicting,
    /// The target's distribution.
    Target,
    /// How few rows are validated.
    Folds,
    /// How many rows the vault has.
    Vault,
    /// Rows count differently.
    Weights,
    /// Images without content.
    Blank,
}

/// One thing about data, and what will be done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub importance: Importance,
    /// What it is about.
    pub kind: FindingKind,
    /// Columns or classes that it is about.
    pub subjects: Vec<String>,
    /// What was found, in words.
    pub found: String,
    /// What will be done about it, in words.
    pub done: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.found, self.done)
    }
}

impl Finding {
    /// A finding about these columns or classes.
    pub fn new(
        importance: Importance,
        kind: FindingKind,
        subjects: &[&str],
        found: impl Into<String>,
        done: impl Into<String>,
    ) -> Finding {
        Finding {
            importance,
            kind,
            subjects: subjects.iter().map(ToString::to_string).collect(),
            found: found.into(),
            done: done.into(),
        }
    }

    /// What is said of it before a study, if anything.
    pub fn notice(&self) -> Option<Notice> {
        match self.importance {
            Importance::Detail => None,
            Importance::Note => Some(Notice::note(self.to_string())),
            Importance::Warning => Some(Notice::warning(self.to_string())),
        }
    }
}

/// Everything worth saying about a profile.
pub(super) fn all(source: &Source, split: &Split, profile: &Profile) -> Vec<Finding> {
    let mut findings = columns::findings(source, profile);
    findings.extend(rows::findings(source, split, profile));
    findings.extend(target::findings(profile));
    findings
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        few if few < 10.0 => format!("{few:.1} %"),
        many => format!("{many:.0} %"),
    }
}

/// Names in quotes, the first of many.
fn named(names: &[&str]) -> String {
    let first: Vec<String> = names
        .iter()
        .take(NAMED)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
