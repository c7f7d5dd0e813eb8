//! Looking at a ledger: trials, history, the best, and how the queue stands.

use rusqlite::{OptionalExtension, Params, Row, params};
use search::{Outcome, TrialId};

use super::{Ledger, LedgerError, failed, from_json, write::row_id};
use crate::trial::{
    Candidate, HistoryRow, Instant, LeaseEpoch, Run, Sequence, Slot, Trial, TrialState, Underway,
    WorkerName,
};

/// How many rows one page of history has at most.
pub const HISTORY_PAGE: usize = 256;

/// How many trials are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
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

const COLUMNS: &str = "id, candidate, state, epoch, crashes, proposed_at, worker, slot, claimed_at,
     lease_until, finished_at, sequence, result, failure, stop, expected";

impl Ledger {
    /// All trials, by number.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn trials(&self) -> Result<Vec<Trial>, LedgerError> {
        self.read_trials("order by id", [])
    }

    fn read_trials(&self, which: &str, parameters: impl Params) -> Result<Vec<Trial>, LedgerError> {
        let action = failed("list the trials");
        let mut statement = self
            .connection
            .prepare(&format!("select {COLUMNS} from trial {which}"))
            .map_err(&action)?;
        let mut rows = statement.query(parameters).map_err(&action)?;
        let mut trials = Vec::new();
        while let Some(row) = rows.next().map_err(&action)? {
            trials.push(TrialRow::read(row).map_err(&action)?.parse()?);
        }
        Ok(trials)
    }

    /// One trial.
    ///
    /// # Errors
    /// If there is none of this number.
    pub fn trial(&self, id: TrialId) -> Result<Trial, LedgerError> {
        self.connection
            .query_row(
                &format!("select {COLUMNS} from trial where id = ?1"),
                [row_id(id)],
                TrialRow::read,
            )
            .optional()
            .map_err(failed("look up a trial"))?
            .ok_or(LedgerError::NoSuchTrial { trial: id })?
            .parse()
    }

    /// The best finished trial: highest score, then lowest loss, then lowest number.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn best(&self) -> Result<Option<Trial>, LedgerError> {
        let id: Option<u64> = self
            .connection
            .query_row("select best from study", [], |row| row.get(0))
            .map_err(failed("look up the best trial"))?;
        id.map(|id| self.trial(TrialId(id))).transpose()
    }

    /// The best finished trials that are not another one trained once more, best first.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn best_originals(&self, count: u32) -> Result<Vec<Trial>, LedgerError> {
        let which =
            "where state = 'finished' and urgent = 0 order by score desc, loss, id limit ?1";
        self.read_trials(which, [count])
    }

    /// The next page of the history behind `after`; empty when there is nothing new.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn history(&self, after: Sequence) -> Result<Vec<HistoryRow>, LedgerError> {
        let action = failed("read the history");
        let mut statement = self
            .connection
            .prepare_cached(
                "select sequence, id, candidate, score, expected from trial
                 where sequence > ?1 order by sequence limit ?2",
            )
            .map_err(&action)?;
        let mut rows = statement
            .query(params![after.0, HISTORY_PAGE])
            .map_err(&action)?;
        let mut history = Vec::new();
        while let Some(row) = rows.next().map_err(&action)? {
            history.push(history_row(row, &action)?);
        }
        Ok(history)
    }

    /// Models of trials that have no end yet, with numbers above `after`.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn pending(&self, after: TrialId) -> Result<Vec<(TrialId, Underway)>, LedgerError> {
        let action = failed("list the pending trials");
        let mut statement = self
            .connection
            .prepare_cached(
                "select id, candidate from trial
                 where state in ('queued', 'running') and id > ?1 order by id",
            )
            .map_err(&action)?;
        let mut rows = statement.query([row_id(after)]).map_err(&action)?;
        let mut pending = Vec::new();
        while let Some(row) = rows.next().map_err(&action)? {
            let text: String = row.get(1).map_err(&action)?;
            let Candidate {
                architecture,
                setting,
                ..
            } = from_json("candidate", &text)?;
            let underway = Underway {
                architecture,
                setting,
            };
            pending.push((TrialId(row.get(0).map_err(&action)?), underway));
        }
        Ok(pending)
    }

    /// How many trials are where.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn counts(&self) -> Result<Counts, LedgerError> {
        self.connection
            .query_row(
                "select count(*) filter (where state = 'queued'),
                        count(*) filter (where state = 'running'),
                        count(*) filter (where state = 'finished'),
                        count(*) filter (where state = 'stopped'),
                        count(*) filter (where state = 'failed') from trial",
                [],
                |row| {
                    Ok(Counts {
                        queued: row.get(0)?,
                        running: row.get(1)?,
                        finished: row.get(2)?,
                        stopped: row.get(3)?,
                        failed: row.get(4)?,
                    })
                },
            )
            .map_err(failed("count the trials"))
    }

    /// How many trials a claim could give out: waiting, or with a lease that ran out.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn claimable(&self, now: Instant) -> Result<u64, LedgerError> {
        self.connection
            .query_row(
                "select (select count(*) from trial where state = 'queued')
                      + (select count(*) from trial where state = 'running' and lease_until < ?1)",
                [now.0],
                |row| row.get(0),
            )
            .map_err(failed("count the trials"))
    }

    /// How many trials this worker's generators have proposed: where its random stream goes on.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn proposals_of(&self, worker: &WorkerName) -> Result<u64, LedgerError> {
        let count: Option<u64> = self
            .connection
            .query_row(
                "select count from proposals_by where worker = ?1",
                [&worker.0],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed("count the proposals"))?;
        Ok(count.unwrap_or(0))
    }
}

fn history_row(
    row: &Row<'_>,
    action: &impl Fn(rusqlite::Error) -> LedgerError,
) -> Result<HistoryRow, LedgerError> {
    let text: String = row.get(2).map_err(action)?;
    let score: Option<f64> = row.get(3).map_err(action)?;
    let expected: Option<f64> = row.get(4).map_err(action)?;
    let outcome = match (score, expected) {
        (Some(score), _) => Outcome::Scored(score),
        (None, Some(expected)) => Outcome::Stopped { expected },
        (None, None) => Outcome::Failed,
    };
    Ok(HistoryRow {
        sequence: Sequence(row.get(0).map_err(action)?),
        trial: TrialId(row.get(1).map_err(action)?),
        candidate: from_json("candidate", &text)?,
        outcome,
    })
}

/// A row as SQLite has it, before its texts are parsed.
struct TrialRow {
    id: u64,
    candidate: String,
    state: String,
    epoch: u32,
    crashes: u32,
    proposed_at: f64,
    worker: Option<String>,
    slot: Option<u16>,
    claimed_at: Option<f64>,
    lease_until: Option<f64>,
    finished_at: Option<f64>,
    sequence: Option<u64>,
    result: Option<String>,
    failure: Option<String>,
    stop: Option<String>,
    expected: Option<f64>,
}

impl TrialRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<TrialRow> {
        Ok(TrialRow {
            id: row.get(0)?,
            candidate: row.get(1)?,
            state: row.get(2)?,
            epoch: row.get(3)?,
            crashes: row.get(4)?,
            proposed_at: row.get(5)?,
            worker: row.get(6)?,
            slot: row.get(7)?,
            claimed_at: row.get(8)?,
            lease_until: row.get(9)?,
            finished_at: row.get(10)?,
            sequence: row.get(11)?,
            result: row.get(12)?,
            failure: row.get(13)?,
            stop: row.get(14)?,
            expected: row.get(15)?,
        })
    }

    fn parse(self) -> Result<Trial, LedgerError> {
        Ok(Trial {
            id: TrialId(self.id),
            candidate: from_json("candidate", &self.candidate)?,
            proposed_at: Instant(self.proposed_at),
            crashes: self.crashes,
            state: self.state()?,
        })
    }

    fn state(&self) -> Result<TrialState, LedgerError> {
        let worker = WorkerName(self.worker.clone().unwrap_or_default());
        let slot = Slot(self.slot.unwrap_or_default());
        let claimed_at = Instant(self.claimed_at.unwrap_or_default());
        if self.state == "queued" {
            return Ok(TrialState::Queued);
        }
        if self.state == "running" {
            let lease_until = Instant(self.lease_until.unwrap_or_default());
            let epoch = LeaseEpoch(self.epoch);
            return Ok(TrialState::Running {
                epoch,
                worker,
                slot,
                claimed_at,
                lease_until,
            });
        }
        let finished_at = Instant(self.finished_at.unwrap_or_default());
        let run = Run {
            worker,
            slot,
            claimed_at,
            finished_at,
        };
        let sequence = Sequence(self.sequence.unwrap_or_default());
        match (&self.result, &self.stop) {
            (Some(text), _) => {
                let result = Box::new(from_json("result", text)?);
                Ok(TrialState::Finished {
                    sequence,
                    run,
                    result,
                })
            }
            (None, Some(text)) => Ok(TrialState::Stopped {
                sequence,
                run,
                stop: Box::new(from_json("stop", text)?),
                expected: self.expected.unwrap_or(f64::NEG_INFINITY),
            }),
            (None, None) => {
                let reason = from_json("failure", self.failure.as_deref().unwrap_or_default())?;
                Ok(TrialState::Failed {
                    sequence,
                    run,
                    reason,
                })
            }
        }
    }
}
