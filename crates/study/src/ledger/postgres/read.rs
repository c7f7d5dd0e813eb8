//! Looking at a ledger in PostgreSQL: trials, history, the best, and how the queue stands.

use std::sync::PoisonError;

use search::TrialId;
use serde::Deserialize;
use serde_json::json;

use super::{
    super::{
        CLAIMABLE_MAX, Counts, Ended, HISTORY_PAGE, LedgerError, Node, Reading, Standing,
        StudyRecord, Unheard, from_json,
        row::{EndedRow, PendingRow, TrackRow, TrialRow},
    },
    Postgres, RecordRow,
};
use crate::{
    message::Role,
    trial::{Digest, HistoryRow, Instant, Sequence, Trial, Underway, WorkerName},
};

#[derive(Deserialize)]
struct UnheardRow {
    standing: Standing,
    ended: u64,
    claimable: u64,
    crashes: u32,
    history: Vec<EndedRow>,
    pending: Vec<PendingRow>,
}

impl Reading for Postgres {
    fn lease_secs(&self) -> f64 {
        self.lease_secs
    }

    fn record(&self) -> Result<StudyRecord, LedgerError> {
        let row: RecordRow = self.call("be read", "study_record", &json!({}))?;
        Ok(row.record)
    }

    fn standing(&self, _now: Instant) -> Result<Standing, LedgerError> {
        self.call("be read", "standing", &json!({}))
    }

    fn spent_seconds(&self) -> Result<f64, LedgerError> {
        self.one("be read", "spent_seconds from study")
    }

    fn nodes(&self) -> Result<Vec<Node>, LedgerError> {
        self.call("list the workers", "nodes", &json!({}))
    }

    fn processes(&self) -> Result<Vec<(WorkerName, Role, u32)>, LedgerError> {
        let rows = self.rows(
            "list the processes",
            "jsonb_build_array(worker, role::jsonb, process) from process order by started_at, process",
        )?;
        rows.iter().map(|text| from_json("process", text)).collect()
    }

    /// In pages: the answer to a question has to come in seconds, however long the study is.
    fn trials(&self) -> Result<Vec<Trial>, LedgerError> {
        let mut trials: Vec<Trial> = Vec::new();
        loop {
            let last = trials.last().map_or(0, |trial| trial.id.0);
            let page = self.read_trials(&format!(
                "where id > {last} order by id limit {HISTORY_PAGE}"
            ))?;
            if page.is_empty() {
                return Ok(trials);
            }
            trials.extend(page);
        }
    }

    fn trial(&self, id: TrialId) -> Result<Trial, LedgerError> {
        let found = self.read_trials(&format!("where id = {}", id.0))?;
        found
            .into_iter()
            .next()
            .ok_or(LedgerError::NoSuchTrial { trial: id })
    }

    fn ended(&self, after: Sequence) -> Result<Vec<Trial>, LedgerError> {
        let request = json!({ "after": after, "page": HISTORY_PAGE });
        let rows: Vec<TrialRow> = self.call("list the trials", "ended", &request)?;
        rows.into_iter().map(TrialRow::parse).collect()
    }

    fn tracks(&self, after: Sequence) -> Result<Vec<Ended>, LedgerError> {
        let request = json!({ "after": after, "page": HISTORY_PAGE });
        let rows: Vec<TrackRow> = self.call("list the trials", "tracks", &request)?;
        rows.into_iter().map(TrackRow::parse).collect()
    }

    fn best(&self) -> Result<Option<Trial>, LedgerError> {
        let best = self.read_trials("where id = (select best from study)")?;
        Ok(best.into_iter().next())
    }

    fn best_originals(&self, count: u32) -> Result<Vec<Trial>, LedgerError> {
        self.read_trials(&format!(
            "where state = 'finished' and not urgent order by score desc, loss, id limit {count}"
        ))
    }

    fn under_way(&self, count: u32) -> Result<Vec<Trial>, LedgerError> {
        // Each state has an index of its own; without, all trials would be looked at.
        self.read_trials(&format!(
            "where id in (select id from trial where state = 'queued'
                          union all select id from trial where state = 'running')
             order by id limit {count}"
        ))
    }

    fn history(&self, after: Sequence) -> Result<Vec<HistoryRow>, LedgerError> {
        let request = json!({ "after": after, "page": HISTORY_PAGE });
        let rows: Vec<EndedRow> = self.call("read the history", "history", &request)?;
        rows.into_iter().map(EndedRow::parse).collect()
    }

    fn pending(&self, after: TrialId) -> Result<Vec<(TrialId, Underway)>, LedgerError> {
        let request = json!({ "after_trial": after.0 });
        let rows: Vec<PendingRow> = self.call("list the pending trials", "pending", &request)?;
        rows.into_iter().map(PendingRow::parse).collect()
    }

    fn counts(&self) -> Result<Counts, LedgerError> {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let last = tally.last.0;
        let since = format!(
            "jsonb_build_object('queued', (select count(*) from trial where state = 'queued'),
             'running', (select count(*) from trial where state = 'running'),
             'finished', count(*) filter (where state = 'finished'),
             'stopped', count(*) filter (where state = 'stopped'),
             'failed', count(*) filter (where state = 'failed'),
             'last', coalesce(max(sequence), {last})) from trial where sequence > {last}"
        );
        *tally = tally.continued_by(self.one("count the trials", &since)?);
        Ok(tally.counts)
    }

    fn ended_count(&self) -> Result<u64, LedgerError> {
        // Every trial that ends takes the next place of the history.
        self.one("count the trials", "sequence from study")
    }

    fn claimable(&self, _now: Instant) -> Result<u64, LedgerError> {
        self.call(
            "count the trials",
            "claimable",
            &json!({ "most": CLAIMABLE_MAX }),
        )
    }

    fn checkpoints(&self) -> Result<Vec<Digest>, LedgerError> {
        let rows = self.rows(
            "list the checkpoints",
            "to_jsonb(checkpoint) from trial where checkpoint is not null order by id",
        )?;
        rows.iter()
            .map(|text| from_json("checkpoint", text))
            .collect()
    }

    fn crashes_of(&self, worker: &WorkerName) -> Result<u32, LedgerError> {
        self.call(
            "look up a worker",
            "crashes_of",
            &json!({ "worker": worker }),
        )
    }

    fn proposals_of(&self, worker: &WorkerName) -> Result<u64, LedgerError> {
        self.call(
            "count the proposals",
            "proposals_of",
            &json!({ "worker": worker }),
        )
    }

    fn unheard(
        &self,
        worker: &WorkerName,
        after: Sequence,
        after_trial: TrialId,
        _now: Instant,
    ) -> Result<Unheard, LedgerError> {
        let request = json!({
            "worker": worker, "after": after, "after_trial": after_trial.0, "page": HISTORY_PAGE, "most": CLAIMABLE_MAX,
        });
        let row: UnheardRow = self.call("say what is new", "unheard", &request)?;
        let history = row.history.into_iter().map(EndedRow::parse);
        let pending = row.pending.into_iter().map(PendingRow::parse);
        Ok(Unheard {
            standing: row.standing,
            ended: row.ended,
            claimable: row.claimable,
            crashes: row.crashes,
            history: history.collect::<Result<_, _>>()?,
            pending: pending.collect::<Result<_, _>>()?,
        })
    }
}
