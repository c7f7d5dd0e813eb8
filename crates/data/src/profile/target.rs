//! What is predicted: how often each class is there, or how the numbers are distributed.

use serde::{Deserialize, Serialize};

use super::NumberProfile;
use crate::{
    roles::Part,
    source::{RawTargets, Source, Task},
    split::Split,
};

/// What is predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum TargetProfile {
    /// One of these classes.
    Classification {
        /// In the task's order.
        classes: Vec<ClassCount>,
        /// How many times more training rows the commonest class has than the rarest that is there.
        imbalance: f64,
    },
    /// A number.
    Regression {
        /// Name of the column.
        name: String,
        /// Of all rows.
        values: NumberProfile,
        /// Different values.
        distinct: usize,
    },
}

/// How often a class is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Its name.
    pub class: String,
    /// Rows of each part.
    pub rows: super::PartRows,
}

impl TargetProfile {
    /// How many times more training rows the commonest class has than the rarest; 1 for a number.
    pub fn imbalance(&self) -> f64 {
        match self {
            TargetProfile::Classification { imbalance, .. } => *imbalance,
            TargetProfile::Regression { .. } => 1.0,
        }
    }
}

pub(super) fn profile(source: &Source, split: &Split) -> TargetProfile {
    match (&source.task, source.dataset.targets()) {
        (Task::Classification { classes }, RawTargets::Classes(ids)) => {
            let counts = Part::ALL.map(|part| {
                let mut counts = vec![0_usize; classes.len()];
                for row in split.rows(part) {
                    counts[ids[*row as usize] as usize] += 1;
                }
                counts
            });
            let of_train = counts[0].iter().filter(|rows| **rows > 0);
            let most = of_train.clone().max().copied().unwrap_or(1) as f64;
            let least = of_train.min().copied().unwrap_or(1) as f64;
            let class = |(class, name): (usize, &String)| ClassCount {
                class: name.clone(),
                rows: super::PartRows {
                    train: counts[0][class],
                    validation: counts[1][class],
                    vault: counts[2][class],
                },
            };
            TargetProfile::Classification {
                classes: classes.iter().enumerate().map(class).collect(),
                imbalance: most / least,
            }
        }
        (Task::Classification { .. }, _) => TargetProfile::Classification {
            classes: Vec::new(),
            imbalance: 1.0,
        },
        (Task::Regression { target }, targets) => {
            let values = match targets {
                RawTargets::Values(values) => values.as_slice(),
                RawTargets::Classes(_) | RawTargets::Unknown(_) => &[],
            };
            let (profile, mut sorted) = NumberProfile::of(values);
            sorted.dedup();
            TargetProfile::Regression {
                name: target.clone(),
                values: profile,
                distinct: sorted.len(),
            }
        }
    }
}
