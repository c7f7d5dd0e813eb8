//! What the four roles say to each other: one JSON object a line, over pipes.
//!
//! A worker asks its master; every answer carries the news, so nothing else has to be heard. A
//! worker tells its generator the news and gets candidates; it gives a trainer jobs and gets
//! reports. Children speak only to their parent.

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
};

use search::{Rungs, SearchSettings, Stage, Task, TrialId, Verdict};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use train::{EpochReport, Metric};

use crate::{
    folds::Folds,
    trial::{
        Candidate, Digest, EarlyStop, FailReason, HistoryRow, Job, Lease, Slot, TrialResult,
        Underway, WorkerName,
    },
};

/// What a worker asks of its master: the ledger's operations, a greeting, and what it must know on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// The worker has started and has read what it must know.
    Hello {
        /// How many trainers it has.
        slots: u16,
    },
    /// It has started a child process.
    Started {
        /// What the child does.
        role: Role,
        /// Number of the process on the worker's machine.
        process: u32,
    },
    /// A candidate of its generator.
    Propose {
        /// The candidate.
        candidate: Box<Candidate>,
    },
    /// Its generator has nothing to propose any more.
    Exhausted {
        /// Why.
        reason: String,
    },
    /// A slot is free.
    Claim {
        /// Which one.
        slot: Slot,
        /// The claim's number among all of this worker since its greeting; the same when it is repeated.
        number: u64,
    },
    /// It is alive and still runs these.
    Beat {
        /// Leases of what it trains.
        leases: Vec<Lease>,
        /// Leases of results that have not been noted yet: their weights may be on their way to the store.
        unnoted: Vec<Lease>,
        /// The last report of each running trial.
        progress: Vec<Progress>,
    },
    /// A training has come to a rung: does it go on?
    Look {
        /// Which training.
        lease: Lease,
        /// How far it is.
        stage: Stage,
        /// The best score of its epochs so far.
        score: f64,
    },
    /// A training can be gone on with from here, if its node dies.
    Checkpoint {
        /// Which training.
        lease: Lease,
        /// Where.
        checkpoint: Digest,
    },
    /// A trial was stopped at a rung.
    Stop {
        /// The right it was trained by.
        lease: Lease,
        /// How far it came.
        stop: Box<EarlyStop>,
    },
    /// A trial has a score.
    Finish {
        /// The right it was trained by.
        lease: Lease,
        /// The result.
        result: Box<TrialResult>,
    },
    /// A trial cannot have one.
    Fail {
        /// The right it was tried by.
        lease: Lease,
        /// Why.
        reason: FailReason,
    },
    /// A trial cannot begin with its parent's weights: they are gone. It may be tried again without them.
    Weightless {
        /// The right given back.
        lease: Lease,
        /// The weights.
        weights: Digest,
    },
    /// A trial was not finished and may be tried again.
    Release {
        /// The right given back.
        lease: Lease,
        /// The trainer's exit status and last words, if it died.
        crash: Option<String>,
        /// Where its training was paused, if it was.
        checkpoint: Option<Digest>,
    },
}

impl Ask {
    /// What must be where every node finds it before the ledger hears this.
    pub fn stored(&self) -> Option<&Digest> {
        match self {
            Ask::Finish { result, .. } => Some(&result.artifact),
            Ask::Checkpoint { checkpoint, .. } => Some(checkpoint),
            Ask::Release { checkpoint, .. } => checkpoint.as_ref(),
            _ => None,
        }
    }
}

/// What a child process of a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The first process: generates models.
    Generator,
    /// The second process: trains and validates them.
    Trainer {
        /// Its slot.
        slot: Slot,
    },
}

/// How far a running trial is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Which trial.
    pub trial: TrialId,
    /// Epochs done.
    pub epoch: u32,
    /// Epochs planned.
    pub epochs: u32,
    /// Validation score of the last epoch.
    pub score: f64,
}

/// What a master answers, always with the news.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The answer to what was asked.
    pub answer: Answer,
    /// What has happened since the last answer to this worker.
    pub news: News,
}

/// The answer to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To `Hello`.
    Welcome,
    /// To `Propose`: it was queued, or is not wanted; the news say how many wait.
    Proposed,
    /// To `Claim`: work.
    Work {
        /// For this slot.
        slot: Slot,
        /// What to train.
        job: Box<Job>,
    },
    /// To `Claim`: work whose parent's weights are gone, as was found on the way to the worker.
    Weightless {
        /// For this slot.
        slot: Slot,
        /// The right to it.
        lease: Lease,
        /// The weights.
        weights: Digest,
    },
    /// To `Claim`: nothing is queued now; ask again when there is other news.
    NoWork {
        /// For this slot.
        slot: Slot,
    },
    /// To `Beat`: leases that are no longer the worker's.
    Lost {
        /// Which.
        leases: Vec<Lease>,
    },
    /// To `Look`: whether the training goes on.
    Verdict {
        /// Which training.
        lease: Lease,
        /// Whether it does.
        verdict: Verdict,
    },
    /// To `Started`, `Checkpoint`, `Stop`, `Finish`, `Fail`, `Weightless`, `Release` and `Exhausted`.
    Noted {
        /// The trial it was about, if about one.
        trial: Option<TrialId>,
    },
}

/// What has happened in the study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct News {
    /// New lines of the history.
    pub history: Vec<HistoryRow>,
    /// Trials proposed by anybody, not ended yet, not told before.
    pub pending: Vec<(TrialId, Underway)>,
    /// Share of the budget used, from 0 to 1.
    pub budget_used: f64,
    /// How many trials wait for a slot.
    pub queued: u64,
    /// Whether to go on.
    pub course: Course,
}

/// Whether a study goes on; later is further towards its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// Go on.
    Explore,
    /// Propose nothing more; finish what is queued.
    Drain,
    /// End the running trials with what they have, and leave.
    Stop,
}

/// What a worker must know to work, given to it as its first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerSetup {
    /// Its name.
    pub name: WorkerName,
    /// How many trainers it runs.
    pub slots: u16,
    /// Where its trainings are compared with others.
    pub rungs: Rungs,
    /// What its generator must know.
    pub generator: GeneratorSetup,
    /// What its trainers must know.
    pub trainer: TrainerSetup,
    /// Where results are kept until the ledger has them.
    pub spool: PathBuf,
}

/// What a generator must know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratorSetup {
    /// Whose generator it is.
    pub worker: WorkerName,
    /// What the networks take and give.
    pub task: Task,
    /// How to search.
    pub settings: SearchSettings,
    /// Seed of its random streams, one per proposal.
    pub seed: u64,
    /// How many proposals it has made before: where its streams go on.
    pub proposals_made: u64,
}

/// What a trainer must know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainerSetup {
    /// Prepared training rows.
    pub train: PathBuf,
    /// Prepared validation rows.
    pub validation: PathBuf,
    /// With cross-validation, how training rows are dealt into folds; these validate too.
    #[serde(default, skip_serializing_if = "Folds::is_empty")]
    pub folds: Folds,
    /// Where weights are kept.
    pub artifacts: PathBuf,
    /// What decides.
    pub metric: Metric,
    /// Factor from standardised targets to the target's own unit; 1 for classes.
    pub target_scale: f64,
    /// Threads of one trainer.
    pub threads: u8,
    /// Memory of one trainer; unlimited if absent.
    pub memory_bytes_max: Option<u64>,
    /// After so many seconds a training is kept, and again after as many; with 0, after each epoch.
    pub checkpoint_secs: f64,
}

/// What a worker tells its generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub enum TellGenerator {
    /// What it must know; the first line.
    Setup {
        /// The setup.
        setup: Box<GeneratorSetup>,
    },
    /// What has happened.
    News {
        /// New lines of the history.
        history: Vec<HistoryRow>,
        /// Proposed by anybody, not ended.
        pending: Vec<(TrialId, Underway)>,
        /// Share of the budget used.
        budget_used: f64,
    },
    /// Make so many candidates more.
    Make {
        /// How many.
        count: u16,
    },
}

/// What a generator tells its worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub enum FromGenerator {
    /// A candidate.
    Candidate {
        /// The candidate.
        candidate: Box<Candidate>,
    },
    /// It finds nothing new any more.
    Exhausted {
        /// Why.
        reason: String,
    },
}

/// What a worker tells a trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub enum TellTrainer {
    /// What it must know; the first line.
    Setup {
        /// The setup.
        setup: Box<TrainerSetup>,
    },
    /// Train this.
    Train {
        /// What.
        job: Box<Job>,
    },
    /// End the running trial.
    Stop {
        /// Why.
        cause: StopCause,
    },
}

/// Why a running trial is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// The study ends, or the trial is no longer the worker's: what it has is its result.
    Over,
    /// It is behind others at a rung: it has no result.
    Behind,
    /// The node must leave: another one goes on.
    Leave,
}

/// What a trainer tells its worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub enum FromTrainer {
    /// An epoch is done.
    Epoch {
        /// Of which trial.
        lease: Lease,
        /// Of how many.
        epochs: u32,
        /// Its report.
        report: Box<EpochReport>,
        /// The best score of its epochs so far, those before it was paused as well.
        best: f64,
    },
    /// The training was kept, and goes on.
    Checkpoint {
        /// Which trial.
        lease: Lease,
        /// Where it was.
        checkpoint: Digest,
    },
    /// The trial has a score; its weights are stored.
    Finished {
        /// Which trial.
        lease: Lease,
        /// The result.
        result: Box<TrialResult>,
    },
    /// The trial was stopped because it was behind.
    Stopped {
        /// Which trial.
        lease: Lease,
        /// How far it came.
        stop: Box<EarlyStop>,
    },
    /// The training was paused, because its node must leave.
    Paused {
        /// Which trial.
        lease: Lease,
        /// Where to go on; absent where that is the beginning.
        checkpoint: Option<Digest>,
    },
    /// The trial cannot have one.
    Failed {
        /// Which trial.
        lease: Lease,
        /// Why.
        reason: FailReason,
    },
}

/// The longest line that is read: far above any honest message, far below the memory.
pub const LINE_BYTES_MAX: u64 = 256 << 20;

/// Writes one message and flushes it.
///
/// # Errors
/// If the pipe is closed.
pub fn send<T: Serialize>(pipe: &mut impl Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    pipe.write_all(&line)?;
    pipe.flush()
}

/// Reads one message; `None` at the end of the pipe.
///
/// # Errors
/// If the line is no message of this kind, or longer than [`LINE_BYTES_MAX`].
pub fn receive<T: DeserializeOwned>(pipe: &mut impl BufRead) -> io::Result<Option<T>> {
    receive_within(pipe, LINE_BYTES_MAX)
}

fn receive_within<T: DeserializeOwned>(
    pipe: &mut impl BufRead,
    bytes_max: u64,
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    let read = io::Read::take(&mut *pipe, bytes_max).read_until(b'\n', &mut line)?;
    match line.last() {
        Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
        Some(_) if read as u64 == bytes_max => {
            let problem = format!("a line is longer than any message: {bytes_max} bytes or more");
            Err(io::Error::new(io::ErrorKind::InvalidData, problem))
        }
        // The writer is gone, or died in the middle of a line: what it was saying is not known.
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_pipe() {
        let ask = Ask::Claim {
            slot: Slot(3),
            number: 1,
        };
        let mut pipe = Vec::new();
        send(&mut pipe, &ask).unwrap();
        let mut reader = pipe.as_slice();
        assert_eq!(receive::<Ask>(&mut reader).unwrap(), Some(ask));
        assert_eq!(receive::<Ask>(&mut reader).unwrap(), None);
    }

    #[test]
    fn a_line_cut_by_death_is_the_end_of_the_pipe() {
        let mut pipe = Vec::new();
        send(&mut pipe, &Ask::Hello { slots: 1 }).unwrap();
        pipe.pop();
        assert_eq!(receive::<Ask>(&mut pipe.as_slice()).unwrap(), None);
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error_and_not_the_end_of_the_pipe() {
        let ask = Ask::Hello { slots: 1 };
        let mut pipe = Vec::new();
        send(&mut pipe, &ask).unwrap();
        let bytes = pipe.len() as u64;
        let received = |bytes_max| receive_within::<Ask>(&mut pipe.as_slice(), bytes_max);
        assert_eq!(received(bytes).unwrap(), Some(ask));
        let error = received(bytes - 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_line_that_is_no_message_is_an_error() {
        assert!(receive::<Ask>(&mut b"{\"ask\":\"dance\"}\n".as_slice()).is_err());
    }
}
