//! What a report shows, as plain values: no ledger, no files, nothing left to compute but drawing.

use morph::{Architecture, Cost};
use study::{
    certificate::Certificate,
    conclude::{Absent, Details, Ensemble, Verdict},
};
use train::Metric;

/// Everything on the page.
pub(crate) struct ReportModel {
    /// Name of the study.
    pub(crate) study: String,
    /// What was learned from, in one line.
    pub(crate) data: String,
    /// What decided between trials.
    pub(crate) metric: MetricShown,
    /// What was found in the data and decided about it.
    pub(crate) notices: Vec<NoticeShown>,
    /// What the data are like; absent for a study that an earlier version made.
    pub(crate) profile: Option<data::Profile>,
    /// The settings of the study, in the order in which they are shown.
    pub(crate) settings: Vec<Fact>,
    /// Rows that chose the winner.
    pub(crate) validation_rows: usize,
    /// Rows that nothing saw before the end.
    pub(crate) vault_rows: usize,
    /// Groups that these are of, if rows come in groups.
    pub(crate) vault_groups: Option<usize>,
    /// The best trial.
    pub(crate) winner: Winner,
    /// Simple models on the same rows.
    pub(crate) baselines: Vec<Compared>,
    /// Simple models that could not be compared.
    pub(crate) absent: Vec<Absent>,
    /// Whether deep learning paid off; absent without a vault.
    pub(crate) verdict: Option<Verdict>,
    /// What the exported file was found to do; absent if none could be written.
    pub(crate) certificate: Option<Certificate>,
    /// The winner in detail.
    pub(crate) details: Details,
    /// The best trials, best first.
    pub(crate) leaderboard: Vec<LeaderRow>,
    /// Every trial with a score, in the order in which they ended.
    pub(crate) progress: Vec<ProgressPoint>,
    /// The winner, epoch by epoch; with cross-validation the first of its networks.
    pub(crate) curve: Vec<EpochPoint>,
    /// Trials that were stopped early, and have no score.
    pub(crate) stopped: u64,
    /// Trials that failed.
    pub(crate) failures: Vec<FailureCount>,
    /// From the winner's first ancestor to the winner.
    pub(crate) lineage: Vec<Generation>,
    /// The winner's trainings, if there was more than one.
    pub(crate) trainings: Vec<TrainingRow>,
    /// With several objectives, the models that none beats in all of them.
    pub(crate) front: Vec<FrontRow>,
    /// What became of the wish for an ensemble, if there was one.
    pub(crate) ensemble: Option<Ensemble>,
}

/// One of the winner's trainings.
pub(crate) struct TrainingRow {
    /// Number of the trial.
    pub(crate) trial: u64,
    /// What it began with.
    pub(crate) start: String,
    /// The metric on the validation rows; absent if it has none.
    pub(crate) value: Option<f64>,
}

/// A model of the front.
pub(crate) struct FrontRow {
    /// Number of the trial.
    pub(crate) trial: u64,
    /// The metric on the validation rows.
    pub(crate) value: f64,
    /// Size of the network.
    pub(crate) parameters: u64,
    /// Operations for one example.
    pub(crate) flops: u64,
    /// Time for one example, if it was measured.
    pub(crate) latency_ms: Option<f64>,
}

/// The metric, as users know it.
pub(crate) struct MetricShown {
    /// Its name.
    pub(crate) name: String,
    /// Where good is.
    pub(crate) better: Better,
}

impl MetricShown {
    /// Scores are higher-is-better by definition; where the metric goes the same way, so is it.
    pub(crate) fn of(metric: Metric) -> MetricShown {
        let better = match metric.score(1.0) > metric.score(0.0) {
            true => Better::Higher,
            false => Better::Lower,
        };
        MetricShown {
            name: metric.to_string(),
            better,
        }
    }
}

/// Which end of a metric is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    /// As accuracy.
    Higher,
    /// As an error.
    Lower,
}

impl Better {
    /// Whether `value` beats `other`.
    pub(crate) fn beats(self, value: f64, other: f64) -> bool {
        match self {
            Better::Higher => value > other,
            Better::Lower => value < other,
        }
    }
}

/// Something that the reader of the data said.
pub(crate) struct NoticeShown {
    /// How loud.
    pub(crate) loudness: Loudness,
    /// What.
    pub(crate) text: String,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loudness {
    /// Good to know.
    Note,
    /// May make the result worse.
    Warning,
}

/// A name and what stands behind it.
pub(crate) struct Fact {
    /// Name.
    pub(crate) name: String,
    /// Value, as it is shown.
    pub(crate) value: String,
}

impl Fact {
    pub(crate) fn new(name: impl Into<String>, value: impl Into<String>) -> Fact {
        Fact {
            name: name.into(),
            value: value.into(),
        }
    }
}

/// The best trial.
pub(crate) struct Winner {
    /// Its number.
    pub(crate) trial: u64,
    /// The network.
    pub(crate) architecture: Architecture,
    /// With cross-validation the model is the mean of so many of them; else 1.
    pub(crate) networks: u32,
    /// What the whole model costs.
    pub(crate) cost: Cost,
    /// Its hyperparameters.
    pub(crate) setting: Vec<Fact>,
    /// Its scores.
    pub(crate) scores: Scores,
    /// Size of its weights on disk.
    pub(crate) weights_bytes: u64,
    /// How long it trained; with cross-validation all its networks together.
    pub(crate) seconds: f64,
    /// The epoch whose weights it has; with cross-validation that of the first network.
    pub(crate) epoch: u32,
}

/// Values of the metric on the rows that chose and on the rows that judge.
#[derive(Clone, Copy)]
pub(crate) struct Scores {
    /// On the validation rows.
    pub(crate) validation: Option<f64>,
    /// On the vault's rows.
    pub(crate) vault: Option<VaultScore>,
}

/// A value with its 95 % interval.
#[derive(Clone, Copy)]
pub(crate) struct VaultScore {
    /// The value.
    pub(crate) value: f64,
    /// Lower end.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
}

/// A model beside the winner.
pub(crate) struct Compared {
    /// What it is.
    pub(crate) name: String,
    /// More about it; empty if its name says all.
    pub(crate) about: String,
    /// Its scores.
    pub(crate) scores: Scores,
}

/// A line of the leaderboard.
pub(crate) struct LeaderRow {
    /// Number of the trial.
    pub(crate) trial: u64,
    /// The metric on the validation rows.
    pub(crate) value: f64,
    /// The loss on them.
    pub(crate) loss: f64,
    /// Size of the network; with cross-validation of each of them.
    pub(crate) parameters: u64,
    /// How long it trained; with cross-validation all its networks together.
    pub(crate) seconds: f64,
    /// Epochs trained; with cross-validation by the first network.
    pub(crate) epochs: usize,
    /// How it came to be.
    pub(crate) origin: String,
    /// The network in its one-line notation.
    pub(crate) notation: String,
}

/// A trial with a score.
pub(crate) struct ProgressPoint {
    /// Seconds from the study's first claim to the trial's end.
    pub(crate) seconds: f64,
    /// Number of the trial.
    pub(crate) trial: u64,
    /// The metric on the validation rows.
    pub(crate) value: f64,
    /// From what weights it started.
    pub(crate) start: Start,
    /// Size of the network.
    pub(crate) parameters: u64,
}

/// From what weights a trial started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Drawn at random.
    Fresh,
    /// A parent's.
    Inherited,
}

/// One epoch of the winner, or of the first of its networks: the validation rows are those of its fold then.
pub(crate) struct EpochPoint {
    /// From 1.
    pub(crate) epoch: u32,
    /// Mean loss over the epoch's steps.
    pub(crate) train_loss: f64,
    /// Loss on the validation rows.
    pub(crate) validation_loss: f64,
    /// The metric on the validation rows.
    pub(crate) value: f64,
}

/// How many trials failed in one way.
pub(crate) struct FailureCount {
    /// The way.
    pub(crate) kind: String,
    /// How many.
    pub(crate) count: u64,
    /// What the last of them said.
    pub(crate) example: String,
}

/// One generation on the way to the winner.
pub(crate) struct Generation {
    /// Number of the trial.
    pub(crate) trial: u64,
    /// What was done to its parent, or what it started from.
    pub(crate) change: String,
    /// The metric on the validation rows; absent if it has none.
    pub(crate) value: Option<f64>,
    /// Size of the network.
    pub(crate) parameters: u64,
}
