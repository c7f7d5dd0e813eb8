//! The one row that says what the study is, and the rows that say who works at it.

use rusqlite::{Connection, OptionalExtension, Params, ToSql, params};

use super::{
    super::{Joined, Keeping, LedgerError, StudyRecord, Term, to_json},
    Sqlite, failed,
    statement::Statements,
    write::REQUEUE,
};
use crate::{
    message::Role,
    trial::{Instant, WorkerName},
};

pub(super) fn insert(
    record: &StudyRecord,
    connection: &Connection,
    now: Instant,
) -> Result<(), LedgerError> {
    connection
        .change(
            "insert into study (only_row, config, data, proposals_left, created_at, counted_at)
             values (1, ?1, ?2, ?3, ?4, ?4)",
            params![
                record.config,
                record.data,
                record.trials_max.map(as_integer),
                now.0
            ],
        )
        .map_err(failed("be created"))?;
    Ok(())
}

/// A worker was heard of.
pub(super) fn see(
    connection: &Connection,
    worker: &WorkerName,
    now: Instant,
) -> Result<(), LedgerError> {
    connection
        .change(
            "update node set seen_at = ?2, has_left = 0 where worker = ?1",
            params![worker.0, now.0],
        )
        .map_err(failed("note a worker"))?;
    Ok(())
}

impl Sqlite {
    fn change_study(
        &mut self,
        action: &'static str,
        statement: &str,
        parameters: impl Params,
    ) -> Result<(), LedgerError> {
        self.connection
            .change(statement, parameters)
            .map_err(failed(action))?;
        Ok(())
    }

    /// Changes the study's row, `set` to a first parameter, if this term is not over.
    fn decide(
        &mut self,
        action: &'static str,
        set: &str,
        parameter: impl ToSql,
        (term, now): (Term, Instant),
    ) -> Result<(), LedgerError> {
        let statement =
            format!("update study set {set} where leader_epoch = ?2 and leader_until >= ?3");
        let changed = self
            .connection
            .change(&statement, params![parameter, as_integer(term.0), now.0])
            .map_err(failed(action))?;
        match changed {
            0 => Err(LedgerError::Deposed),
            _ => Ok(()),
        }
    }
}

impl Keeping for Sqlite {
    fn join(
        &mut self,
        worker: &WorkerName,
        host: &str,
        slots: u16,
        now: Instant,
    ) -> Result<Joined, LedgerError> {
        self.connection
            .ask(
                "insert into node (worker, number, host, slots, seen_at, incarnation)
                 values (?1, (select count(*) + 1 from node), ?2, ?3, ?4, 1)
                 on conflict (worker) do update set host = ?2, slots = ?3, seen_at = ?4, has_left = 0,
                 is_exhausted = 0, crashes = 0, progress = '[]', incarnation = incarnation + 1
                 returning number, incarnation",
                params![worker.0, host, slots, now.0],
                |row| {
                    Ok(Joined {
                        number: row.get(0)?,
                        incarnation: row.get(1)?,
                    })
                },
            )
            .map_err(failed("let a worker in"))
    }

    fn leave(&mut self, worker: &WorkerName, now: Instant) -> Result<usize, LedgerError> {
        let action = "let a worker go";
        let transaction = self.begin(action)?;
        let returned = transaction
            .change(&format!("{REQUEUE} and worker = ?1"), [&worker.0])
            .map_err(failed(action))?;
        transaction
            .change(
                "update node set has_left = 1, seen_at = ?2, progress = '[]' where worker = ?1",
                params![worker.0, now.0],
            )
            .map_err(failed(action))?;
        transaction.commit().map_err(failed(action))?;
        Ok(returned)
    }

    fn note_exhausted(&mut self, worker: &WorkerName) -> Result<(), LedgerError> {
        self.change_study(
            "note that nothing new was found",
            "update node set is_exhausted = 1 where worker = ?1",
            [&worker.0],
        )
    }

    fn lead(
        &mut self,
        holder: &str,
        seconds: f64,
        now: Instant,
    ) -> Result<Option<Term>, LedgerError> {
        self.connection
            .ask(
                "update study set leader = ?1, leader_until = ?2,
                 leader_epoch = leader_epoch + (leader is not ?1)
                 where leader is null or leader = ?1 or leader_until < ?3 returning leader_epoch",
                params![holder, now.plus(seconds).0, now.0],
                |row| Ok(Term(row.get(0)?)),
            )
            .optional()
            .map_err(failed("choose who leads"))
    }

    fn resume_clock(&mut self, term: Term, now: Instant) -> Result<(), LedgerError> {
        self.decide(
            "record the time spent",
            "counted_at = ?1, spent_seconds = spent_seconds + max(0,
             coalesce((select max(seen_at) from node), counted_at) - counted_at)",
            now.0,
            (term, now),
        )
    }

    fn count_time(&mut self, term: Term, now: Instant) -> Result<(), LedgerError> {
        self.decide(
            "record the time spent",
            "spent_seconds = spent_seconds + max(0, ?1 - counted_at),
             counted_at = max(counted_at, ?1)",
            now.0,
            (term, now),
        )
    }

    fn keep_back(&mut self, term: Term, trials: u64, now: Instant) -> Result<(), LedgerError> {
        self.decide(
            "keep trials back",
            "kept_back = ?1",
            as_integer(trials),
            (term, now),
        )
    }

    fn set_ending(&mut self, term: Term, reason: &str, now: Instant) -> Result<(), LedgerError> {
        self.decide(
            "record why the study ends",
            "ending = ?1",
            reason,
            (term, now),
        )
    }

    fn explore_again(&mut self) -> Result<(), LedgerError> {
        self.change_study(
            "record that the study goes on",
            "update study set ending = null",
            [],
        )
    }

    fn note_process(
        &mut self,
        worker: &WorkerName,
        role: Role,
        process: u32,
        now: Instant,
    ) -> Result<(), LedgerError> {
        self.connection
            .change(
                "insert into process (worker, role, process, started_at) values (?1, ?2, ?3, ?4)",
                params![worker.0, to_json(&role), process, now.0],
            )
            .map_err(failed("note a process"))?;
        Ok(())
    }

    fn set_budget(&mut self, config: &str, trials_max: Option<u64>) -> Result<(), LedgerError> {
        self.connection
            .change(
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
