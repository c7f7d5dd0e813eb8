//! A trial: one architecture with its hyperparameters, on its way from proposal to score.
//!
//! Plain values that cross pipes and the ledger as JSON. Nothing here acts.

use std::{cmp::Ordering, collections::BTreeMap, fmt, io};

use morph::{Architecture, Morph};
use search::{Fingerprint, Origin, Outcome, PoolEntry, Promise, Restart, Setting, TrialId};
use serde::{Deserialize, Serialize};
use train::{Ended, EpochReport, Metric, Recipe};

/// Seconds since the Unix epoch, by the clock of the process that owns the ledger.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(pub f64);

impl Instant {
    /// So many seconds later.
    #[must_use]
    pub fn plus(self, seconds: f64) -> Instant {
        Instant(self.0 + seconds)
    }

    /// Seconds from `earlier` to this; negative if it was later.
    pub fn since(self, earlier: Instant) -> f64 {
        self.0 - earlier.0
    }
}

/// Name of a worker (a slave node), unique in its study.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerName(pub String);

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Number of a trainer within its worker, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u16);

/// How often the right to run a trial has been given away: a result must name the newest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LeaseEpoch(pub u32);

/// The right to run one trial, until it is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// Which trial.
    pub trial: TrialId,
    /// Which giving-away of it.
    pub epoch: LeaseEpoch,
}

/// Place of a finished trial in the history: 1, 2, 3 … without gaps, in commit order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// A proposed trial, as a generator makes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What is to be trained.
    #[serde(with = "notation")]
    pub architecture: Architecture,
    /// Its determined hyperparameters.
    pub setting: Setting,
    /// How it came to be.
    pub origin: Origin,
    /// What the surrogate said of it, if it was asked.
    #[serde(default)]
    pub promise: Option<Promise>,
    /// Seconds of the forward pass of one example, where the study asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_seconds: Option<f64>,
    /// The worker whose generator made it.
    pub proposed_by: WorkerName,
}

impl Candidate {
    /// What makes it different from every other trial of the study.
    pub fn fingerprint(&self) -> Fingerprint {
        let model = Fingerprint::of(&self.architecture, &self.setting);
        match self.origin {
            Origin::Retrained { start, .. } => model.again(start),
            _ => model,
        }
    }

    /// The trial whose weights it inherits.
    pub fn parent(&self) -> Option<TrialId> {
        match &self.origin {
            Origin::Variant { parent, .. } => Some(*parent),
            Origin::Retrained {
                of,
                start: Restart::Lineage,
            } => Some(*of),
            _ => None,
        }
    }

    /// The trial that it trains once more.
    pub fn retrains(&self) -> Option<TrialId> {
        match &self.origin {
            Origin::Retrained { of, .. } => Some(*of),
            _ => None,
        }
    }
}

/// A model that is being trained, or waits for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Underway {
    /// What is trained.
    #[serde(with = "notation")]
    pub architecture: Architecture,
    /// With which hyperparameters.
    pub setting: Setting,
}

/// Architectures cross pipes and the ledger in their one-line notation.
pub(crate) mod notation {
    use morph::Architecture;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        architecture: &Architecture,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(architecture)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Architecture, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// From whose weights a trial starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inheritance {
    /// The parent.
    pub parent: TrialId,
    /// Its architecture.
    #[serde(with = "notation")]
    pub architecture: Architecture,
    /// Its weights.
    pub artifact: Digest,
    /// The edits that made the child of it, in order.
    pub morphs: Vec<Morph>,
    /// Whether the weights are then moved towards random ones.
    #[serde(default)]
    pub is_shrunk: bool,
}

/// Name of an artifact: the blake3 digest of its bytes, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(blake3::hash(bytes).to_hex().to_string())
    }

    /// The digest of all that can be read here.
    ///
    /// # Errors
    /// If reading fails.
    pub fn of_reader(reader: impl io::Read) -> io::Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(reader)?;
        Ok(Digest(hasher.finalize().to_hex().to_string()))
    }

    /// The digest that is written like this: 64 hexadecimal digits, letters small.
    pub fn from_hex(text: &str) -> Option<Digest> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_digest = text.len() == 2 * blake3::OUT_LEN && text.bytes().all(is_digit);
        is_digest.then(|| Digest(text.to_string()))
    }

    /// Its 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a trainer is told to train: everything a trial's record will say was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The right to do it.
    pub lease: Lease,
    /// What is trained.
    #[serde(with = "notation")]
    pub architecture: Architecture,
    /// How it is trained.
    pub recipe: Recipe,
    /// From whose weights, if from any.
    pub inheritance: Option<Inheritance>,
    /// Where another node has paused it, if one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Digest>,
    /// Seed of initial weights, order of examples and dropout.
    pub seed: u64,
    /// How long one trial may take before it must end with what it has.
    pub seconds_max: Option<f64>,
    /// How long the study may still take.
    pub seconds_left: Option<f64>,
}

/// What inheriting did, measured before the first step of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InheritanceProof {
    /// Share of the child's weights that come from the parent.
    pub inherited_share: f64,
    /// Largest difference between parent's and child's outputs on real rows; absent where a morph
    /// was a shrinking one, which changes the outputs by design.
    pub output_difference_max: Option<f64>,
    /// How many rows were compared.
    pub rows: usize,
}

/// A trained target model and its score (R2): what a trainer gives back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialResult {
    /// Validation score of the epoch that is kept, higher is better.
    pub score: f64,
    /// Validation loss of the same epoch: lower is better among equal scores.
    pub loss: f64,
    /// All validation metrics of that epoch.
    pub metrics: BTreeMap<Metric, f64>,
    /// The epoch that is kept, from 1.
    pub epoch: u32,
    /// Every epoch trained.
    pub curve: Vec<EpochReport>,
    /// Why training ended.
    pub ended: Ended,
    /// The weights of that epoch.
    pub artifact: Digest,
    /// Size of the artifact.
    pub artifact_bytes: u64,
    /// What inheriting did.
    pub inheritance: Option<InheritanceProof>,
    /// Seconds of training and validation.
    pub seconds: f64,
    /// Memory the plan took.
    pub memory_bytes: u64,
    /// The recipe as it was carried out: its epochs may have been cut to fit the time.
    pub recipe: Recipe,
}

/// A training that was stopped at a rung, behind others: it has no score and no weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlyStop {
    /// Every epoch trained.
    pub curve: Vec<EpochReport>,
    /// What inheriting did.
    pub inheritance: Option<InheritanceProof>,
    /// Seconds of training and validation.
    pub seconds: f64,
    /// Memory the plan took.
    pub memory_bytes: u64,
    /// The recipe as it was carried out: its epochs may have been cut to fit the time.
    pub recipe: Recipe,
}

/// Why a trial has no score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FailReason {
    /// Loss or weights stopped being finite.
    Diverged {
        /// In which epoch, from 1.
        epoch: u32,
    },
    /// Its plan needs more memory than a slot has; it was not started.
    Infeasible {
        /// What it needs.
        needed_bytes: u64,
        /// What the slot has.
        limit_bytes: u64,
    },
    /// The trainer hit its memory limit.
    OutOfMemory {
        /// What the trainer said last.
        message: String,
    },
    /// The trainer process died, each time it was tried.
    Crashed {
        /// How often.
        attempts: u32,
        /// Exit status and what the trainer said last.
        message: String,
    },
    /// The trainer could not do it, and said why.
    Refused {
        /// What it said.
        message: String,
    },
    /// The budget ended before its first epoch did.
    OutOfTime,
}

impl FailReason {
    /// One word for tables.
    pub fn kind(&self) -> &'static str {
        match self {
            FailReason::Diverged { .. } => "diverged",
            FailReason::Infeasible { .. } => "infeasible",
            FailReason::OutOfMemory { .. } => "out of memory",
            FailReason::Crashed { .. } => "crashed",
            FailReason::Refused { .. } => "refused",
            FailReason::OutOfTime => "out of time",
        }
    }
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailReason::Diverged { epoch } => {
                write!(f, "the loss was no longer a number in epoch {epoch}")
            }
            FailReason::Infeasible {
                needed_bytes,
                limit_bytes,
            } => write!(
                f,
                "training needs {} of memory; the slot has {}",
                Bytes(*needed_bytes),
                Bytes(*limit_bytes)
            ),
            FailReason::OutOfMemory { message } => {
                write!(f, "the trainer reached its memory limit: {message}")
            }
            FailReason::Crashed { attempts, message } => {
                write!(f, "the trainer died {attempts} time(s): {message}")
            }
            FailReason::Refused { message } => f.write_str(message),
            FailReason::OutOfTime => f.write_str("the budget ended before its first epoch did"),
        }
    }
}

/// A number of bytes, shown in the unit that fits.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        write!(f, "{value:.1} {}", UNITS[unit])
    }
}

/// Where a trial is in its life; each state holds exactly the data it has.
#[derive(Clone, Debug, PartialEq)]
pub enum TrialState {
    /// Waits for a slot.
    Queued,
    /// Somebody has the right to run it.
    Running {
        /// Which right.
        epoch: LeaseEpoch,
        /// Who.
        worker: WorkerName,
        /// On which of its trainers.
        slot: Slot,
        /// Since when.
        claimed_at: Instant,
        /// Until when, if no beat comes.
        lease_until: Instant,
    },
    /// It has a score.
    Finished {
        /// Its place in the history.
        sequence: Sequence,
        /// Who trained it, and when.
        run: Run,
        /// The result.
        result: Box<TrialResult>,
    },
    /// It was stopped at a rung and has none.
    Stopped {
        /// Its place in the history.
        sequence: Sequence,
        /// Who trained it, and when.
        run: Run,
        /// How far it came.
        stop: Box<EarlyStop>,
        /// The score it would have had, as far as others showed then.
        expected: f64,
    },
    /// It has none, and will have none.
    Failed {
        /// Its place in the history.
        sequence: Sequence,
        /// Who tried, and when.
        run: Run,
        /// Why.
        reason: FailReason,
    },
}

/// Who trained a trial, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The worker.
    pub worker: WorkerName,
    /// Its trainer.
    pub slot: Slot,
    /// When the trial was claimed.
    pub claimed_at: Instant,
    /// When its end was recorded.
    pub finished_at: Instant,
}

/// A trial as the ledger knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its number.
    pub id: TrialId,
    /// What was proposed.
    pub candidate: Candidate,
    /// When.
    pub proposed_at: Instant,
    /// How often its trainer died.
    pub crashes: u32,
    /// Where it is in its life.
    pub state: TrialState,
}

impl Trial {
    /// The result, if it has one.
    pub fn result(&self) -> Option<&TrialResult> {
        match &self.state {
            TrialState::Finished { result, .. } => Some(result),
            _ => None,
        }
    }

    /// How it ended, as the history pool knows it.
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.state {
            TrialState::Finished { result, .. } => Some(Outcome::Scored(result.score)),
            TrialState::Stopped { expected, .. } => Some(Outcome::Stopped {
                expected: *expected,
            }),
            TrialState::Failed { .. } => Some(Outcome::Failed),
            TrialState::Queued | TrialState::Running { .. } => None,
        }
    }

    /// Its place in the history, if it has ended.
    pub fn sequence(&self) -> Option<Sequence> {
        match &self.state {
            TrialState::Finished { sequence, .. }
            | TrialState::Stopped { sequence, .. }
            | TrialState::Failed { sequence, .. } => Some(*sequence),
            TrialState::Queued | TrialState::Running { .. } => None,
        }
    }

    /// Who trained it and when, if it has ended.
    pub fn run(&self) -> Option<&Run> {
        match &self.state {
            TrialState::Finished { run, .. }
            | TrialState::Stopped { run, .. }
            | TrialState::Failed { run, .. } => Some(run),
            _ => None,
        }
    }
}

/// One line of the history, as generators follow it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Its place.
    pub sequence: Sequence,
    /// Which trial.
    pub trial: TrialId,
    /// What was trained.
    pub candidate: Candidate,
    /// How it ended.
    pub outcome: Outcome,
}

impl From<HistoryRow> for PoolEntry {
    fn from(row: HistoryRow) -> PoolEntry {
        PoolEntry {
            trial: row.trial,
            sequence: row.sequence.0,
            parent: row.candidate.parent(),
            architecture: row.candidate.architecture,
            setting: row.candidate.setting,
            outcome: row.outcome,
        }
    }
}

/// Better trials first, as the ledger orders them: score, then loss, then number; those without a score last.
pub fn by_standing(a: &Trial, b: &Trial) -> Ordering {
    let standing = |trial: &Trial| {
        let result = trial.result();
        result.map_or((f64::NEG_INFINITY, f64::INFINITY), |result| {
            (result.score, result.loss)
        })
    };
    let ((score_a, loss_a), (score_b, loss_b)) = (standing(a), standing(b));
    score_b
        .total_cmp(&score_a)
        .then(loss_a.total_cmp(&loss_b))
        .then(a.id.cmp(&b.id))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A training from the beginning, with nothing asked for.
    pub(crate) fn job(lease: Lease, architecture: &str) -> Job {
        Job {
            lease,
            architecture: architecture.parse().unwrap(),
            recipe: Recipe::default(),
            inheritance: None,
            checkpoint: None,
            seed: 1,
            seconds_max: None,
            seconds_left: None,
        }
    }

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        let shown: Vec<String> = [0, 1023, 1024, 5_476_083_302]
            .iter()
            .map(|count| Bytes(*count).to_string())
            .collect();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "5.1 GiB"]);
    }

    #[test]
    fn a_failure_says_what_was_needed_and_what_there_was() {
        let reason = FailReason::Infeasible {
            needed_bytes: 3 << 30,
            limit_bytes: 2 << 30,
        };
        assert_eq!(
            reason.to_string(),
            "training needs 3.0 GiB of memory; the slot has 2.0 GiB"
        );
    }
}
