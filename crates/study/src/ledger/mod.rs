//! The ledger: the durable record of a study, and the only place where a trial's life is decided.
//!
//! Five operations change a trial (propose, claim, beat, finish, release), each in one transaction, and
//! each says in its answer what happened. Two engines keep the same contract, and the same tests hold them
//! to it: a bundled SQLite file with one writer ([`Sqlite`]), for one machine, and a PostgreSQL database
//! ([`Postgres`]), where every node writes for itself.
//!
//! SQLite is told the time; PostgreSQL goes by its own clock, the only one that all nodes share.

mod address;
mod contract;
mod postgres;
mod row;
mod sqlite;
mod tally;
mod track;

use search::TrialId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    cluster::invitation::{InvitationError, LedgerPlace},
    folder::StudyFolder,
    message::{Course, Progress},
    trial::{
        Candidate, Digest, EarlyStop, FailReason, HistoryRow, Instant, Lease, Sequence, Slot,
        TrialResult, Underway, WorkerName,
    },
};

pub use address::{AddressError, LedgerAddress, StudyName};
pub use contract::{Keeping, Ledger, Operations, Reading};
pub use postgres::{Admission, Postgres};
pub use sqlite::Sqlite;
pub use track::{Ended, Track};

/// How often a trial's trainer may die before the trial is given up.
pub const CRASHES_MAX: u32 = 3;

/// How many trials of a worker of a cluster may kill their trainers, one after the other, before it gets no more work:
/// the node is to blame, not the models. Trials that had killed a trainer before are not counted.
pub const WORKER_CRASHES_MAX: u32 = 3;

/// How long a lease lasts without a beat, in seconds.
pub const LEASE_SECS: f64 = 60.0;

/// How far trials that can be claimed are counted: nobody needs to know of more.
pub const CLAIMABLE_MAX: u32 = 1024;

/// How many rows one page of history has at most.
pub const HISTORY_PAGE: usize = 256;

/// Version of the tables; a ledger of another version is brought to it by its owner, or refused, never guessed at.
const SCHEMA_VERSION: i64 = 5;

/// The oldest version that can be read as it is, and that its owner brings to the newest.
const OLDEST_VERSION: i64 = 4;

/// Why the ledger could not do what was asked.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// SQLite failed.
    #[error("the ledger could not {action}")]
    Sqlite {
        /// What was to be done.
        action: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// PostgreSQL said no, and would again.
    #[error("the ledger could not {action}: {message}")]
    Refused {
        /// What was to be done.
        action: &'static str,
        /// What PostgreSQL said.
        message: String,
    },
    /// PostgreSQL is not there, or does not answer; what was asked may have been done.
    #[error("the ledger could not {action}: the database does not answer ({message})")]
    Unreachable {
        /// What was to be done.
        action: &'static str,
        /// What was seen.
        message: String,
    },
    /// There is no client for PostgreSQL.
    #[error(
        "a ledger on PostgreSQL needs the program `psql` ({message}): install postgresql-client, or put it \
         into PATH"
    )]
    NoClient {
        /// What the system said.
        message: String,
    },
    /// The file that says where the ledger is.
    #[error(transparent)]
    Place(#[from] InvitationError),
    /// A record that this version does not understand.
    #[error("the ledger holds a {what} that cannot be read; it is damaged or not lehr's")]
    Damaged {
        /// Which record.
        what: &'static str,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error("the ledger has format {found}; this lehr reads format {SCHEMA_VERSION}: {}", advice(*.found))]
    Version {
        /// Its version.
        found: i64,
    },
    /// There is no such trial.
    #[error("the study has no trial {trial}")]
    NoSuchTrial {
        /// The number asked for.
        trial: TrialId,
    },
    /// Only a master may do this, and another one leads, or may lead by now: whoever hears it steps down.
    #[error("another process leads the study by now")]
    Deposed,
}

/// What helps where a ledger is of another version.
fn advice(found: i64) -> &'static str {
    match found {
        OLDEST_VERSION..SCHEMA_VERSION => {
            "`lehr explore` of this version brings it up to date; start it once, then the nodes again"
        }
        ..OLDEST_VERSION => "take the lehr that has made it",
        _ => "install the newer lehr that explores it",
    }
}

impl LedgerError {
    /// Whether the same may work later.
    pub fn may_pass(&self) -> bool {
        matches!(self, LedgerError::Unreachable { .. })
    }
}

/// What a study is, fixed when it is created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyRecord {
    /// The decided configuration, as JSON.
    pub config: String,
    /// Fingerprint of the data.
    pub data: String,
    /// How many trials may be proposed; unlimited if absent.
    pub trials_max: Option<u64>,
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposed {
    /// It is queued under this number.
    Accepted(TrialId),
    /// The study has that very trial already.
    Duplicate,
    /// The budget of trials is used up.
    BudgetSpent,
}

/// Which claim it is, of all that a worker ever makes: the same when it is repeated, a greater one for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimKey {
    /// For which slot.
    pub slot: Slot,
    /// How often the worker had joined.
    pub incarnation: u32,
    /// The claim's number since then.
    pub number: u64,
}

/// A worker that has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Joined {
    /// Its number, the same whenever it comes.
    pub number: u32,
    /// How often it has joined, this time included.
    pub incarnation: u32,
}

/// The number of a time in which one master led. What a master writes names it, and only the newest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

/// A claimed trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The right to run it.
    pub lease: Lease,
    /// What is to be trained.
    pub candidate: Candidate,
    /// Whose weights it inherits, if anybody's.
    pub parent: Option<Parent>,
    /// Where its training was paused, if it was.
    pub checkpoint: Option<Digest>,
}

/// The trial whose weights a claimed one inherits.
#[derive(Clone, Debug, PartialEq)]
pub struct Parent {
    /// What was trained.
    pub candidate: Candidate,
    /// Its weights.
    pub artifact: Digest,
    /// The best score of its epochs, with cross-validation of those of the first fold.
    pub best_score: f64,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// With a score.
    Finished(Box<TrialResult>),
    /// At a rung, without one.
    Stopped {
        /// How far it came.
        stop: Box<EarlyStop>,
        /// The score it would have had.
        expected: f64,
    },
    /// Without.
    Failed(FailReason),
}

/// What became of a report that a trial has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishOutcome {
    /// It is the trial's end.
    Recorded {
        /// Its place in the history.
        sequence: Sequence,
        /// Whether it is the best of all now.
        is_best: bool,
    },
    /// It had been recorded before, from this very lease.
    Again(Sequence),
    /// The lease was no longer valid: kept as an extra observation, the trial's end is another.
    Stray,
}

/// Why a lease is given back.
#[derive(Clone, Debug, PartialEq)]
pub enum Release {
    /// The worker stops; nobody is to blame.
    Returned {
        /// Where the training was paused, if it was; what was known before stays otherwise.
        checkpoint: Option<Digest>,
    },
    /// The trainer died.
    Crashed {
        /// Exit status and last words.
        message: String,
    },
}

/// What became of a lease given back.
#[derive(Clone, Debug, PartialEq)]
pub enum ReleaseOutcome {
    /// The trial waits for a slot again.
    Queued,
    /// Its trainer died too often: it has failed.
    GivenUp(FailReason),
    /// The lease was no longer valid.
    NotHeld,
}

/// How a study stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// When this was read, by the clock that leases go by.
    pub at: Instant,
    /// Seconds of exploring so far, over all runs of the command.
    pub spent_seconds: f64,
    /// How many trials may still be proposed; unlimited if absent.
    pub proposals_left: Option<u64>,
    /// How many of them are kept back for the last trainings of the best models.
    pub kept_back: u64,
    /// The best trial so far.
    pub best: Option<TrialId>,
    /// Why it ends, as JSON, if it does.
    pub ending: Option<String>,
}

impl Standing {
    /// Whether to go on, if the time is limited to so many seconds.
    pub fn course(&self, seconds_max: Option<f64>) -> Course {
        if self.ending.is_some() || seconds_max.is_some_and(|limit| self.spent_seconds >= limit) {
            return Course::Stop;
        }
        match self.proposals_left {
            Some(left) if left <= self.kept_back => Course::Drain,
            _ => Course::Explore,
        }
    }
}

/// How many trials are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Waiting for a slot.
    pub queued: u64,
    /// Being trained.
    pub running: u64,
    /// With a score.
    pub finished: u64,
    /// Stopped at a rung.
    pub stopped: u64,
    /// Without one for good.
    pub failed: u64,
}

impl Counts {
    /// All trials ever proposed.
    pub fn total(self) -> u64 {
        self.under_way() + self.ended()
    }

    /// All trials that have not ended.
    pub fn under_way(self) -> u64 {
        self.queued + self.running
    }

    /// All trials that have ended.
    pub fn ended(self) -> u64 {
        self.finished + self.stopped + self.failed
    }
}

/// A worker, as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub worker: WorkerName,
    /// In which order it came, from 1.
    pub number: u32,
    /// The machine it runs on.
    pub host: String,
    /// How many trainers it has.
    pub slots: u16,
    /// When it was last heard of.
    pub seen_at: Instant,
    /// Whether it has left.
    pub has_left: bool,
    /// Whether its generator finds nothing new.
    pub is_exhausted: bool,
    /// How many of its trials have killed their trainers, one after the other; those that had killed one before are
    /// not counted.
    pub crashes: u32,
    /// How far its running trials are.
    pub progress: Vec<Progress>,
}

impl Node {
    /// Whether it has been heard of within the time of a lease.
    pub fn is_alive(&self, lease_secs: f64, now: Instant) -> bool {
        !self.has_left && now.since(self.seen_at) < lease_secs
    }

    /// Whether it gets no more work, because its trainers die.
    pub fn is_quarantined(&self) -> bool {
        self.crashes >= WORKER_CRASHES_MAX
    }
}

/// What a worker has not heard yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Unheard {
    /// How the study stands.
    pub standing: Standing,
    /// How many trials have ended.
    pub ended: u64,
    /// How many trials a claim could give out, up to [`CLAIMABLE_MAX`].
    pub claimable: u64,
    /// How many trials of the worker have killed their trainers, as in [`Node::crashes`].
    pub crashes: u32,
    /// The next page of the history.
    pub history: Vec<HistoryRow>,
    /// Models that have no end yet.
    pub pending: Vec<(TrialId, Underway)>,
}

/// Opens the ledger of the study in this folder to look at it, wherever it is, while others may write.
///
/// # Errors
/// If it cannot be reached or read, or is of another version.
pub fn open_to_read(folder: &StudyFolder) -> Result<Box<dyn Ledger>, LedgerError> {
    Ok(match LedgerPlace::of(folder)? {
        Some(place) => Box::new(Postgres::open_to_read(&place.ledger, &place.study)?),
        None => Box::new(Sqlite::open_to_read(&folder.ledger())?),
    })
}

fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("records of the ledger have string keys only")
}

fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|source| LedgerError::Damaged { what, source })
}
