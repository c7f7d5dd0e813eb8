//! The ledger: the durable record of a study, and the only place where a trial's life is decided.
//!
//! Five operations change it (propose, claim, beat, finish, release), each in one transaction, and
//! each says in its answer what happened; everything else only reads. The engine is a bundled
//! SQLite file with one writer, the master; workers reach it through the master's pipes.
//! Time is an argument: the ledger reads no clock.

mod read;
mod record;
mod write;

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use search::{Fingerprint, TrialId};
use thiserror::Error;

use crate::trial::{
    Candidate, Digest, EarlyStop, FailReason, Instant, Lease, Sequence, TrialResult,
};

pub use read::{Counts, HISTORY_PAGE};
pub use record::StudyRecord;

/// How often a trial's trainer may die before the trial is given up.
pub const CRASHES_MAX: u32 = 3;

/// How long a lease lasts without a beat, in seconds.
pub const LEASE_SECS: f64 = 60.0;

/// Version of the tables below; a file of another version is refused, never guessed at.
const SCHEMA_VERSION: i64 = 3;

const SCHEMA: &str = "
create table study (
    only_row       integer primary key check (only_row = 1),
    config         text not null,
    data           text not null,
    proposals_left integer,
    sequence       integer not null default 0,
    spent_seconds  real not null default 0,
    created_at     real not null,
    best           integer references trial (id)
) strict;
create table trial (
    id          integer primary key,
    fingerprint text not null unique,
    candidate   text not null,
    urgent      integer not null default 0 check (urgent in (0, 1)),
    state       text not null check (state in ('queued', 'running', 'finished', 'stopped', 'failed')),
    epoch       integer not null default 0,
    crashes     integer not null default 0,
    proposed_at real not null,
    worker      text,
    slot        integer,
    claimed_at  real,
    lease_until real,
    finished_at real,
    sequence    integer unique,
    score       real,
    loss        real,
    result      text,
    stop        text,
    expected    real,
    failure     text,
    check ((state in ('finished', 'stopped', 'failed')) = (sequence is not null)),
    check ((state = 'finished') = (result is not null)),
    check ((state = 'stopped') = (stop is not null)),
    check ((state = 'failed') = (failure is not null))
) strict;
create index trial_queued on trial (urgent desc, id) where state = 'queued';
create index trial_running on trial (lease_until) where state = 'running';
create table stray (
    trial  integer not null references trial (id),
    epoch  integer not null,
    result text not null
) strict;
create table crash (
    trial   integer not null references trial (id),
    epoch   integer not null,
    at      real not null,
    message text not null
) strict;
create table process (
    worker     text not null,
    role       text not null,
    process    integer not null,
    started_at real not null
) strict;
create table proposals_by (
    worker text primary key,
    count  integer not null
) strict;
";

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
    /// A record that this version does not understand.
    #[error("the ledger holds a {what} that cannot be read; the file is damaged or not lehr's")]
    Damaged {
        /// Which record.
        what: &'static str,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error("the ledger has format {found}; this lehr reads format {SCHEMA_VERSION}")]
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

/// A claimed trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The right to run it.
    pub lease: Lease,
    /// What is to be trained.
    pub candidate: Candidate,
    /// Whose weights it inherits, if anybody's.
    pub parent: Option<Parent>,
}

/// The trial whose weights a claimed one inherits.
#[derive(Clone, Debug, PartialEq)]
pub struct Parent {
    /// What was trained.
    pub candidate: Candidate,
    /// Its weights.
    pub artifact: Digest,
    /// Its score.
    pub score: f64,
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
    /// It is the trial's end, at this place of the history.
    Recorded(Sequence),
    /// It had been recorded before, from this very lease.
    Again(Sequence),
    /// The lease was no longer valid: kept as an extra observation, the trial's end is another.
    Stray,
}

/// Why a lease is given back.
#[derive(Clone, Debug, PartialEq)]
pub enum Release {
    /// The worker stops; nobody is to blame.
    Returned,
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

/// An open ledger: the writer's, or a reader's.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
}

impl Ledger {
    /// Creates the ledger of a new study.
    ///
    /// # Errors
    /// If the file exists already or cannot be written.
    pub fn create(path: &Path, record: &StudyRecord, now: Instant) -> Result<Ledger, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut ledger = Ledger {
            connection: connect(path, flags)?,
        };
        ledger.set_up(record, now)?;
        Ok(ledger)
    }

    /// A ledger that ends with the process: for tests and simulation.
    ///
    /// # Errors
    /// If SQLite cannot make one.
    pub fn in_memory(record: &StudyRecord, now: Instant) -> Result<Ledger, LedgerError> {
        let connection = Connection::open_in_memory().map_err(failed("open"))?;
        let mut ledger = Ledger { connection };
        ledger.set_up(record, now)?;
        Ok(ledger)
    }

    /// Opens an existing ledger as its one writer; the caller holds the study's lock.
    ///
    /// # Errors
    /// If there is none, or it is of another version.
    pub fn open(path: &Path) -> Result<Ledger, LedgerError> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        Ledger { connection }.checked()
    }

    /// Opens an existing ledger to look at it while another process may write.
    ///
    /// # Errors
    /// If there is none, or it is of another version.
    pub fn open_to_read(path: &Path) -> Result<Ledger, LedgerError> {
        // Not read-only: a write-ahead log left by a killed writer must be recovered by whoever
        // comes first. `query_only` makes sure that nothing else is written.
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection
            .pragma_update(None, "query_only", true)
            .map_err(failed("open"))?;
        Ledger { connection }.checked()
    }

    fn set_up(&mut self, record: &StudyRecord, now: Instant) -> Result<(), LedgerError> {
        let transaction = self
            .connection
            .transaction()
            .map_err(failed("be created"))?;
        transaction
            .execute_batch(SCHEMA)
            .map_err(failed("be created"))?;
        transaction
            .pragma_update(None, "user_version", SCHEMA_VERSION)
            .map_err(failed("be created"))?;
        record.insert(&transaction, now)?;
        transaction.commit().map_err(failed("be created"))
    }

    fn checked(self) -> Result<Ledger, LedgerError> {
        let found: i64 = self
            .connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(failed("be read"))?;
        if found != SCHEMA_VERSION {
            return Err(LedgerError::Version { found });
        }
        Ok(self)
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, LedgerError> {
    let connection = Connection::open_with_flags(path, flags).map_err(failed("open"))?;
    connection
        .pragma_update(None, "journal_mode", "wal")
        .map_err(failed("open"))?;
    // FULL: an acknowledged result survives a power cut.
    connection
        .pragma_update(None, "synchronous", "full")
        .map_err(failed("open"))?;
    connection
        .busy_timeout(std::time::Duration::from_secs(10))
        .map_err(failed("open"))?;
    Ok(connection)
}

fn failed(action: &'static str) -> impl Fn(rusqlite::Error) -> LedgerError {
    move |source| LedgerError::Sqlite { action, source }
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("records of the ledger have string keys only")
}

fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|source| LedgerError::Damaged { what, source })
}

fn fingerprint_text(fingerprint: &Fingerprint) -> String {
    fingerprint.to_string()
}

#[cfg(test)]
mod tests;
