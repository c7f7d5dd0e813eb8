//! Looking at a ledger in SQLite: trials, history, the best, and how the queue stands.

use rusqlite::{OptionalExtension, Params, Row, params};
use search::TrialId;

use super::{
    super::{
        CLAIMABLE_MAX, Counts, HISTORY_PAGE, LEASE_SECS, LedgerError, Node, Reading, Standing,
        StudyRecord, from_json,
        row::{EndedRow, PendingRow, TrialRow},
        tally::Tally,
    },
    Sqlite, failed,
    record::as_integer,
    statement::Statements,
    write::row_id,
};
use crate::{
    message::Role,
    trial::{Digest, HistoryRow, Instant, Sequence, Trial, Underway, WorkerName},
};

const COLUMNS: &str = "id, candidate, state, epoch, crashes, proposed_at, worker, slot, claimed_at,
     lease_until, finished_at, sequence, result, failure, stop, expected";

impl Reading for Sqlite {
    fn lease_secs(&self) -> f64 {
        LEASE_SECS
    }

    fn record(&self) -> Result<StudyRecord, LedgerError> {
        self.connection
            .ask(
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

    fn spent_seconds(&self) -> Result<f64, LedgerError> {
        self.connection
            .ask("select spent_seconds from study", [], |row| row.get(0))
            .map_err(failed("be read"))
    }

    fn processes(&self) -> Result<Vec<(WorkerName, Role, u32)>, LedgerError> {
        let action = failed("list the processes");
        let mut statement = self
            .connection
            .prepare_cached(
                "select worker, role, process from process order by started_at, process",
            )
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

    fn standing(&self, now: Instant) -> Result<Standing, LedgerError> {
        self.connection
            .ask(
                "select spent_seconds + max(0, ?1 - counted_at), proposals_left, kept_back, ending, best
                 from study",
                [now.0],
                |row| {
                    Ok(Standing {
                        at: now,
                        spent_seconds: row.get(0)?,
                        proposals_left: row.get(1)?,
                        kept_back: row.get(2)?,
                        ending: row.get(3)?,
                        best: row.get::<_, Option<u64>>(4)?.map(TrialId),
                    })
                },
            )
            .map_err(failed("be read"))
    }

    fn nodes(&self) -> Result<Vec<Node>, LedgerError> {
        let rows = self.read_rows(
            "list the workers",
            "select worker, number, host, slots, seen_at, has_left, is_exhausted, crashes, progress
             from node order by number",
            [],
            |row| {
                let node = Node {
                    worker: WorkerName(row.get(0)?),
                    number: row.get(1)?,
                    host: row.get(2)?,
                    slots: row.get(3)?,
                    seen_at: Instant(row.get(4)?),
                    has_left: row.get(5)?,
                    is_exhausted: row.get(6)?,
                    crashes: row.get(7)?,
                    progress: Vec::new(),
                };
                Ok((node, row.get::<_, String>(8)?))
            },
        )?;
        let with_progress = |(node, text): (Node, String)| {
            Ok(Node {
                progress: from_json("progress", &text)?,
                ..node
            })
        };
        rows.into_iter().map(with_progress).collect()
    }

    fn trials(&self) -> Result<Vec<Trial>, LedgerError> {
        self.read_trials("order by id", [])
    }

    fn trial(&self, id: TrialId) -> Result<Trial, LedgerError> {
        self.connection
            .ask(
                &format!("select {COLUMNS} from trial where id = ?1"),
                [row_id(id)],
                trial_row,
            )
            .optional()
            .map_err(failed("look up a trial"))?
            .ok_or(LedgerError::NoSuchTrial { trial: id })?
            .parse()
    }

    fn ended(&self, after: Sequence) -> Result<Vec<Trial>, LedgerError> {
        self.read_trials(
            "where sequence > ?1 order by sequence limit ?2",
            params![as_integer(after.0), HISTORY_PAGE],
        )
    }

    fn best(&self) -> Result<Option<Trial>, LedgerError> {
        let id: Option<u64> = self
            .connection
            .ask("select best from study", [], |row| row.get(0))
            .map_err(failed("look up the best trial"))?;
        id.map(|id| self.trial(TrialId(id))).transpose()
    }

    fn best_originals(&self, count: u32) -> Result<Vec<Trial>, LedgerError> {
        let which =
            "where state = 'finished' and urgent = 0 order by score desc, loss, id limit ?1";
        self.read_trials(which, [count])
    }

    fn under_way(&self, count: u32) -> Result<Vec<Trial>, LedgerError> {
        // Each state has an index of its own; without, all trials would be looked at.
        let which = "where id in (select id from trial where state = 'queued'
                                  union all select id from trial where state = 'running')
                     order by id limit ?1";
        self.read_trials(which, [count])
    }

    fn history(&self, after: Sequence) -> Result<Vec<HistoryRow>, LedgerError> {
        let rows = self.read_rows(
            "read the history",
            "select sequence, id, candidate, score, expected from trial
             where sequence > ?1 order by sequence limit ?2",
            params![as_integer(after.0), HISTORY_PAGE],
            |row| {
                Ok(EndedRow {
                    sequence: row.get(0)?,
                    id: row.get(1)?,
                    candidate: row.get(2)?,
                    score: row.get(3)?,
                    expected: row.get(4)?,
                })
            },
        )?;
        rows.into_iter().map(EndedRow::parse).collect()
    }

    fn pending(&self, after: TrialId) -> Result<Vec<(TrialId, Underway)>, LedgerError> {
        let rows = self.read_rows(
            "list the pending trials",
            "select id, candidate from trial
             where state in ('queued', 'running') and id > ?1 order by id",
            [row_id(after)],
            |row| {
                Ok(PendingRow {
                    id: row.get(0)?,
                    candidate: row.get(1)?,
                })
            },
        )?;
        rows.into_iter().map(PendingRow::parse).collect()
    }

    fn counts(&self) -> Result<Counts, LedgerError> {
        let before = self.tally.get();
        let since = self
            .connection
            .ask(
                "select (select count(*) from trial where state = 'queued'),
                        (select count(*) from trial where state = 'running'),
                        count(*) filter (where state = 'finished'),
                        count(*) filter (where state = 'stopped'),
                        count(*) filter (where state = 'failed'),
                        coalesce(max(sequence), ?1) from trial where sequence > ?1",
                [as_integer(before.last.0)],
                |row| {
                    Ok(Tally {
                        counts: Counts {
                            queued: row.get(0)?,
                            running: row.get(1)?,
                            finished: row.get(2)?,
                            stopped: row.get(3)?,
                            failed: row.get(4)?,
                        },
                        last: Sequence(row.get(5)?),
                    })
                },
            )
            .map_err(failed("count the trials"))?;
        let tally = before.continued_by(since);
        self.tally.set(tally);
        Ok(tally.counts)
    }

    fn ended_count(&self) -> Result<u64, LedgerError> {
        // Every trial that ends takes the next place of the history.
        self.connection
            .ask("select sequence from study", [], |row| row.get(0))
            .map_err(failed("count the trials"))
    }

    fn claimable(&self, now: Instant) -> Result<u64, LedgerError> {
        self.connection
            .ask(
                "select (select count(*) from (select 1 from trial where state = 'queued' limit ?2))
                      + (select count(*) from (select 1 from trial where state = 'running'
                                               and lease_until < ?1 limit ?2))",
                params![now.0, CLAIMABLE_MAX],
                |row| row.get(0),
            )
            .map_err(failed("count the trials"))
    }

    fn checkpoints(&self) -> Result<Vec<Digest>, LedgerError> {
        let named = self.read_rows(
            "list the checkpoints",
            "select checkpoint from trial where checkpoint is not null order by id",
            [],
            |row| row.get::<_, String>(0),
        )?;
        Ok(named
            .iter()
            .filter_map(|text| Digest::from_hex(text))
            .collect())
    }

    fn crashes_of(&self, worker: &WorkerName) -> Result<u32, LedgerError> {
        let crashes = self
            .connection
            .ask(
                "select crashes from node where worker = ?1",
                [&worker.0],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed("look up a worker"))?;
        Ok(crashes.unwrap_or(0))
    }

    fn proposals_of(&self, worker: &WorkerName) -> Result<u64, LedgerError> {
        let count: Option<u64> = self
            .connection
            .ask(
                "select count from proposals_by where worker = ?1",
                [&worker.0],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed("count the proposals"))?;
        Ok(count.unwrap_or(0))
    }
}

impl Sqlite {
    fn read_trials(&self, which: &str, parameters: impl Params) -> Result<Vec<Trial>, LedgerError> {
        let rows = self.read_rows(
            "list the trials",
            &format!("select {COLUMNS} from trial {which}"),
            parameters,
            trial_row,
        )?;
        rows.into_iter().map(TrialRow::parse).collect()
    }

    fn read_rows<T>(
        &self,
        action: &'static str,
        query: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, LedgerError> {
        let mut statement = self
            .connection
            .prepare_cached(query)
            .map_err(failed(action))?;
        let rows = statement
            .query_map(parameters, read)
            .map_err(failed(action))?;
        rows.collect::<rusqlite::Result<_>>()
            .map_err(failed(action))
    }
}

fn trial_row(row: &Row<'_>) -> rusqlite::Result<TrialRow> {
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
