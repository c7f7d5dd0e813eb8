//! What will be done in a study: every default decided, nothing left to guess.
//!
//! What a user typed (`lehr.toml`, flags) is another type, in the program; this is what the ledger keeps.

use std::path::PathBuf;

use data::{
    ColumnKinds, DataKind, Dialect, HeaderLine, ReadMax, Roles, SplitShares, StepColumns, TaskKind,
};
use search::{Rungs, SearchSettings};
use serde::{Deserialize, Serialize};
use train::Metric;

/// A decided study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyConfig {
    /// File or folder to learn from.
    pub data: PathBuf,
    /// Rows that only the final score may see, if given apart.
    pub test: Option<PathBuf>,
    /// Rows that decide between trials, if given apart.
    #[serde(default)]
    pub validation: Option<PathBuf>,
    /// Columns that split or weigh rows and are no inputs.
    #[serde(default)]
    pub roles: Roles,
    /// Columns by which the rows of a table are the steps of series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepColumns>,
    /// Target column of a table.
    pub target: Option<String>,
    /// Columns that are left out.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Pixels of the longer side of image files at most, as networks get them; the usual ones if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<u32>,
    /// What may be read beyond what is usual.
    #[serde(default, skip_serializing_if = "ReadMax::is_usual")]
    pub read: ReadMax,
    /// Overrules what columns of a table look like.
    #[serde(default, skip_serializing_if = "ColumnKinds::is_empty")]
    pub columns: ColumnKinds,
    /// Overrules what the first line of a table looks like.
    #[serde(default)]
    pub header: HeaderLine,
    /// Overrules how a table looks written.
    #[serde(default, skip_serializing_if = "Dialect::is_found_out")]
    pub dialect: Dialect,
    /// Overrules what the data look like.
    #[serde(default)]
    pub kind: Option<DataKind>,
    /// Overrules what the target looks like.
    pub task: Option<TaskKind>,
    /// What decides between trials; the usual one of the task and its classes if absent.
    pub metric: Option<Metric>,
    /// Seed of the split and of everything random.
    pub seed: u64,
    /// When to stop.
    pub budget: Budget,
    /// How many rows validate, how many stay in the vault.
    pub split: SplitShares,
    /// Folds of the cross-validation by which trials are compared; 1 for none. By the number of rows if
    /// absent.
    #[serde(default)]
    pub folds: Option<u8>,
    /// How many times rows are dealt into folds; once if absent.
    #[serde(default)]
    pub repeats: Option<u8>,
    /// At most so many trials answer together as one more model at the end; none is made if absent.
    #[serde(default)]
    pub ensemble: Option<u8>,
    /// Processes and their limits.
    pub resources: Resources,
    /// How a trial is trained, as far as it is not searched.
    pub training: TrainingSettings,
    /// How models are searched; the default space of the data's kind if its space is absent.
    pub search: SearchSettings,
}

/// When a study ends: at the first limit reached. At least one is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Seconds of exploring, over all runs of the command.
    pub seconds: Option<f64>,
    /// Trials proposed.
    pub trials: Option<u64>,
}

impl Budget {
    /// Share used, from 0 to 1, after so many seconds and trials ended.
    pub fn used(self, seconds: f64, trials: u64) -> f64 {
        let by_time = self.seconds.map_or(0.0, |limit| seconds / limit);
        let by_trials = self
            .trials
            .map_or(0.0, |limit| trials as f64 / limit as f64);
        by_time.max(by_trials).clamp(0.0, 1.0)
    }
}

/// Processes and their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Worker nodes, each with one generator.
    pub workers: u16,
    /// Trainers of one worker.
    pub slots: u16,
    /// Threads of one trainer.
    pub threads: u8,
    /// Memory of one trainer; unlimited if absent.
    pub memory_bytes_max: Option<u64>,
}

impl Resources {
    /// Trainers of all workers.
    pub fn total_slots(self) -> u32 {
        u32::from(self.workers) * u32::from(self.slots)
    }
}

/// How a trial is trained, as far as it is not searched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingSettings {
    /// Epochs of a trial that starts from nothing; chosen by the number of rows if absent.
    pub epochs: Option<u32>,
    /// Epochs of a trial that inherits weights; half of `epochs` if absent.
    pub epochs_inherited: Option<u32>,
    /// Epochs without a better score before a trial ends.
    pub patience: Option<u32>,
    /// Whether rare classes weigh more in the loss; decided by how rare they are if absent.
    pub class_weights: Option<train::ClassWeights>,
    /// How matrix products round their factors while a trial is trained.
    #[serde(default)]
    pub precision: train::Precision,
    /// What a variant begins with.
    #[serde(default)]
    pub inherit: Inherit,
    /// Where trainings that have fallen behind are stopped.
    #[serde(default)]
    pub rungs: Rungs,
    /// What is trained once more at the end.
    #[serde(default)]
    pub retrain: Retrain,
}

/// What is trained once more at the end of a study, for longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retrain {
    /// The best model, from scratch and from its own weights; more of the best where there are more
    /// trainers.
    #[default]
    Best,
    /// Nothing.
    Nothing,
}

/// What a variant of a trained model begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inherit {
    /// Its parent's weights: it computes the same until it is trained.
    Weights,
    /// Its parent's weights, moved towards random ones ([`train::Weights::shrunk`]).
    #[default]
    Shrunk,
    /// Random weights, like a model without a parent, and as many epochs.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_used_as_far_as_its_nearest_limit() {
        let budget = Budget {
            seconds: Some(100.0),
            trials: Some(10),
        };
        assert_eq!(budget.used(20.0, 1), 0.2);
        assert_eq!(budget.used(20.0, 5), 0.5);
        assert_eq!(budget.used(500.0, 5), 1.0);
    }
}
