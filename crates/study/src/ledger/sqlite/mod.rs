//! The ledger of one machine: a bundled SQLite file with one writer, the master; workers reach it through
//! the master's pipes. It reads no clock.

mod read;
mod record;
mod statement;
mod write;

use std::{cell::Cell, path::Path};

use rusqlite::{Connection, OpenFlags};

use super::{LedgerError, OLDEST_VERSION, SCHEMA_VERSION, StudyRecord, tally::Tally};
use crate::trial::Instant;

const SCHEMA: &str = "
create table study (
    only_row       integer primary key check (only_row = 1),
    config         text not null,
    data           text not null,
    proposals_left integer,
    sequence       integer not null default 0,
    spent_seconds  real not null default 0,
    counted_at     real not null,
    kept_back      integer not null default 0,
    ending         text,
    leader         text,
    leader_until   real,
    leader_epoch   integer not null default 0,
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
    checkpoint  text,
    check ((state in ('finished', 'stopped', 'failed')) = (sequence is not null)),
    check ((state = 'finished') = (result is not null)),
    check ((state = 'stopped') = (stop is not null)),
    check ((state = 'failed') = (failure is not null))
) strict;
create index trial_queued on trial (urgent desc, id) where state = 'queued';
create index trial_running on trial (lease_until) where state = 'running';
create index trial_best on trial (score desc, loss, id) where state = 'finished';
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
create table node (
    worker       text primary key,
    number       integer not null unique,
    host         text not null,
    slots        integer not null,
    seen_at      real not null,
    has_left     integer not null default 0,
    is_exhausted integer not null default 0,
    crashes      integer not null default 0,
    progress     text not null default '[]',
    incarnation  integer not null default 0
) strict;
create table proposals_by (
    worker text primary key,
    count  integer not null
) strict;
create table claim (
    worker      text not null,
    slot        integer not null,
    incarnation integer not null,
    number      integer not null,
    trial       integer references trial (id),
    epoch       integer,
    primary key (worker, slot)
) strict;
";

/// From format 4 to 5: claims have keys, and masters have terms.
const FROM_4_TO_5: &str = "
alter table study add column leader_epoch integer not null default 0;
alter table node add column incarnation integer not null default 0;
create table claim (
    worker      text not null,
    slot        integer not null,
    incarnation integer not null,
    number      integer not null,
    trial       integer references trial (id),
    epoch       integer,
    primary key (worker, slot)
) strict;
create index trial_best on trial (score desc, loss, id) where state = 'finished';
";

/// An open ledger: the writer's, or a reader's.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    /// What was counted of it so far.
    tally: Cell<Tally>,
}

impl Sqlite {
    /// Creates the ledger of a new study.
    ///
    /// # Errors
    /// If the file exists already or cannot be written.
    pub fn create(path: &Path, record: &StudyRecord, now: Instant) -> Result<Sqlite, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut ledger = Sqlite::on(connect(path, flags)?);
        ledger.set_up(record, now)?;
        Ok(ledger)
    }

    /// A ledger that ends with the process: for tests and simulation.
    ///
    /// # Errors
    /// If SQLite cannot make one.
    pub fn in_memory(record: &StudyRecord, now: Instant) -> Result<Sqlite, LedgerError> {
        let connection = Connection::open_in_memory().map_err(failed("open"))?;
        connection.set_prepared_statement_cache_capacity(statement::KEPT);
        let mut ledger = Sqlite::on(connection);
        ledger.set_up(record, now)?;
        Ok(ledger)
    }

    /// Opens an existing ledger as its one writer, and brings an older one to this version; the caller holds the
    /// study's lock.
    ///
    /// # Errors
    /// If there is none, or it is of a version that this one cannot bring up to date.
    pub fn open(path: &Path) -> Result<Sqlite, LedgerError> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let mut ledger = Sqlite::on(connection);
        ledger.bring_up_to_date()?;
        ledger.checked(SCHEMA_VERSION)
    }

    /// Opens an existing ledger to look at it while another process may write.
    ///
    /// # Errors
    /// If there is none, or it is of another version.
    pub fn open_to_read(path: &Path) -> Result<Sqlite, LedgerError> {
        // Not read-only: a write-ahead log left by a killed writer must be recovered by whoever
        // comes first. `query_only` makes sure that nothing else is written.
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection
            .pragma_update(None, "query_only", true)
            .map_err(failed("open"))?;
        Sqlite::on(connection).checked(OLDEST_VERSION)
    }

    fn on(connection: Connection) -> Sqlite {
        Sqlite {
            connection,
            tally: Cell::default(),
        }
    }

    fn bring_up_to_date(&mut self) -> Result<(), LedgerError> {
        let action = "be brought to the format of this lehr";
        let transaction = self.begin(action)?;
        if version(&transaction)? == OLDEST_VERSION {
            transaction
                .execute_batch(FROM_4_TO_5)
                .map_err(failed(action))?;
            transaction
                .pragma_update(None, "user_version", SCHEMA_VERSION)
                .map_err(failed(action))?;
        }
        transaction.commit().map_err(failed(action))
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
        record::insert(record, &transaction, now)?;
        transaction.commit().map_err(failed("be created"))
    }

    fn checked(self, oldest: i64) -> Result<Sqlite, LedgerError> {
        let found = version(&self.connection)?;
        match (oldest..=SCHEMA_VERSION).contains(&found) {
            true => Ok(self),
            false => Err(LedgerError::Version { found }),
        }
    }
}

fn version(connection: &Connection) -> Result<i64, LedgerError> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed("be read"))
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, LedgerError> {
    let connection = Connection::open_with_flags(path, flags).map_err(failed("open"))?;
    connection
        .pragma_update(None, "journal_mode", "wal")
        .map_err(failed("open"))?;
    connection.set_prepared_statement_cache_capacity(statement::KEPT);
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
