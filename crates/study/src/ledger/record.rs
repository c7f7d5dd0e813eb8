//! The one row that says what the study is: its decided configuration, its data, its budget.

use rusqlite::{Connection, params};

use super::{Ledger, LedgerError, failed, from_json, to_json};
use crate::{
    message::Role,
    trial::{Instant, WorkerName},
};

/// What a study is, fixed when it is created.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyRecord {
    /// The decided configuration, as JSON.
    pub config: String,
    /// Fingerprint of the data.
    pub data: String,
    /// How many trials may be proposed; unlimited if absent.
    pub trials_max: Option<u64>,
}

impl StudyRecord {
    pub(super) fn insert(&self, connection: &Connection, now: Instant) -> Result<(), LedgerError> {
        connection
            .execute(
                "insert into study (only_row, config, data, proposals_left, created_at)
                 values (1, ?1, ?2, ?3, ?4)",
                params![
                    self.config,
                    self.data,
                    self.trials_max.map(as_integer),
                    now.0
                ],
            )
            .map_err(failed("be created"))?;
        Ok(())
    }
}

impl Ledger {
    /// Configuration and data of the study, and how many trials may still be proposed.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn record(&self) -> Result<StudyRecord, LedgerError> {
        self.connection
            .query_row(
                "select config, data, proposals_left from study",
                [],
                |row| {
                    Ok(StudyRecord {
                        config: row.get(0)?,
                        data: row.get(1)?,
                        trials_max: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
                    })
                },
            )
            .map_err(failed("be read"))
    }

    /// Seconds of exploring so far, over all runs of the command.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn spent_seconds(&self) -> Result<f64, LedgerError> {
        self.connection
            .query_row("select spent_seconds from study", [], |row| row.get(0))
            .map_err(failed("be read"))
    }

    /// Records how long the study has been explored.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn set_spent_seconds(&mut self, seconds: f64) -> Result<(), LedgerError> {
        self.connection
            .execute(
                "update study set spent_seconds = max(spent_seconds, ?1)",
                [seconds],
            )
            .map_err(failed("record the time spent"))?;
        Ok(())
    }

    /// Records that a worker has started a child process.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn note_process(
        &mut self,
        worker: &WorkerName,
        role: Role,
        process: u32,
        now: Instant,
    ) -> Result<(), LedgerError> {
        self.connection
            .execute(
                "insert into process (worker, role, process, started_at) values (?1, ?2, ?3, ?4)",
                params![worker.0, to_json(&role), process, now.0],
            )
            .map_err(failed("note a process"))?;
        Ok(())
    }

    /// Every child process that any worker has started, in order.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn processes(&self) -> Result<Vec<(WorkerName, Role, u32)>, LedgerError> {
        let action = failed("list the processes");
        let mut statement = self
            .connection
            .prepare("select worker, role, process from process order by started_at, process")
            .map_err(&action)?;
        let mut rows = statement.query([]).map_err(&action)?;
        let mut processes = Vec::new();
        while let Some(row) = rows.next().map_err(&action)? {
            let role: String = row.get(1).map_err(&action)?;
            processes.push((
                WorkerName(row.get(0).map_err(&action)?),
                from_json("process", &role)?,
                row.get(2).map_err(&action)?,
            ));
        }
        Ok(processes)
    }

    /// Changes the budget of a study that is taken up again: `more` proposals beyond those made.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn set_budget(&mut self, config: &str, trials_max: Option<u64>) -> Result<(), LedgerError> {
        self.connection
            .execute(
                "update study set config = ?1,
                 proposals_left = max(0, ?2 - (select count(*) from trial))",
                params![config, trials_max.map(as_integer)],
            )
            .map_err(failed("change the budget"))?;
        Ok(())
    }
}

/// SQLite's integers are signed; no count of ours comes near the end of them.
pub(super) fn as_integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
