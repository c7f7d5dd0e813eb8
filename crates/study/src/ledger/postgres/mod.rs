//! The ledger of a cluster: a schema in a PostgreSQL database, one for each study. Every node writes for
//! itself; the functions of `functions.sql` are the contract, and the database's clock is everybody's.

mod admission;
mod client;
mod read;

use std::sync::{Mutex, PoisonError};

use search::TrialId;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use self::admission::Admission;
use self::{
    admission::random_password,
    client::{Client, quoted},
};
use super::{
    CRASHES_MAX, Claim, ClaimKey, Ending, FinishOutcome, Joined, Keeping, LedgerAddress,
    LedgerError, OLDEST_VERSION, Operations, Parent, Proposed, Release, ReleaseOutcome,
    SCHEMA_VERSION, StudyName, StudyRecord, Term, Track, from_json, row::TrialRow, tally::Tally,
    to_json,
};
use crate::{
    message::{Progress, Role},
    trial::{
        Candidate, Digest, FailReason, Instant, Lease, LeaseEpoch, Sequence, Trial, TrialResult,
        WorkerName,
    },
};

const FUNCTIONS: &str = include_str!("functions.sql");
const GRANT: &str = include_str!("grant.sql");

/// A study in a PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    client: Mutex<Client>,
    schema: String,
    lease_secs: f64,
    /// What was counted of it so far.
    tally: Mutex<Tally>,
}

#[derive(Deserialize)]
struct RecordRow {
    version: i64,
    lease_secs: f64,
    #[serde(flatten)]
    record: StudyRecord,
}

#[derive(Deserialize)]
struct ClaimRow {
    trial: u64,
    epoch: u32,
    candidate: String,
    parent_candidate: Option<String>,
    parent_result: Option<String>,
    checkpoint: Option<Digest>,
}

#[derive(Deserialize)]
struct Told {
    is: String,
    trial: Option<u64>,
    sequence: Option<u64>,
    is_best: Option<bool>,
}

impl Postgres {
    /// Creates the study in a database, with leases of so many seconds, and the role by which its workers
    /// enter; the caller's role owns it.
    ///
    /// # Errors
    /// If the database cannot be reached, there is such a study already, or the role may not create one.
    pub fn create(
        address: &LedgerAddress,
        study: &StudyName,
        record: &StudyRecord,
        lease_secs: f64,
    ) -> Result<(Postgres, Admission), LedgerError> {
        let schema = study.schema();
        let password = random_password()?;
        let trials_max = record
            .trials_max
            .map_or("null".to_string(), |max| max.to_string());
        let row = format!(
            "insert into {schema}.study (only_row, version, config, data, lease_secs, grace_secs,
             proposals_left, created_at, counted_at)
             values (1, {SCHEMA_VERSION}, {}, {}, {lease_secs}, {lease_secs}, {trials_max},
             {schema}.clock(), {schema}.clock());",
            quoted(&record.config),
            quoted(&record.data),
        );
        let parts = [
            include_str!("schema.sql"),
            FUNCTIONS,
            &row,
            include_str!("admit.sql"),
            GRANT,
        ];
        let script = parts
            .join("\n")
            .replace("LEHR_SCHEMA", &schema)
            .replace("LEHR_PASSWORD", &quoted(&password));
        let mut client = Client::new(address.clone(), None);
        client.run_script("be created", &script)?;
        let admission = Admission {
            ledger: address.entered_as(&schema),
            study: study.clone(),
            password: Some(password),
        };
        let ledger = Postgres {
            client: Mutex::new(client),
            schema,
            lease_secs,
            tally: Mutex::default(),
        };
        Ok((ledger, admission))
    }

    /// Opens a study as its owner, who explores it, and brings an older one to this version.
    ///
    /// # Errors
    /// If the database cannot be reached, or there is no such study in it, or it is of a version that this one
    /// cannot bring up to date.
    pub fn open(address: &LedgerAddress, study: &StudyName) -> Result<Postgres, LedgerError> {
        let (ledger, version) = Postgres::enter_as_owner(address, study)?;
        if version == SCHEMA_VERSION {
            return Ok(ledger);
        }
        let parts = [include_str!("from_4_to_5.sql"), FUNCTIONS, GRANT];
        let script = parts.join("\n").replace("LEHR_SCHEMA", &ledger.schema);
        let action = "be brought to the format of this lehr";
        ledger.locked().run_script(action, &script)?;
        Ok(ledger)
    }

    /// Opens a study as its owner, to look at it.
    ///
    /// # Errors
    /// If the database cannot be reached, or there is no such study in it, or it is of another version.
    pub fn open_to_read(
        address: &LedgerAddress,
        study: &StudyName,
    ) -> Result<Postgres, LedgerError> {
        Postgres::enter_as_owner(address, study).map(|(ledger, _)| ledger)
    }

    /// Enters a study as one of its workers.
    ///
    /// # Errors
    /// As for [`Postgres::open_to_read`].
    pub fn admitted(admission: &Admission) -> Result<Postgres, LedgerError> {
        let client = Client::new(admission.ledger.clone(), admission.password.clone());
        Postgres::enter(client, &admission.study, SCHEMA_VERSION).map(|(ledger, _)| ledger)
    }

    fn enter_as_owner(
        address: &LedgerAddress,
        study: &StudyName,
    ) -> Result<(Postgres, i64), LedgerError> {
        let client = Client::new(address.clone(), None);
        Postgres::enter(client, study, OLDEST_VERSION)
    }

    /// A study that is at least of this version, and its version.
    fn enter(
        client: Client,
        study: &StudyName,
        oldest: i64,
    ) -> Result<(Postgres, i64), LedgerError> {
        let mut ledger = Postgres {
            client: Mutex::new(client),
            schema: study.schema(),
            lease_secs: 0.0,
            tally: Mutex::default(),
        };
        let row: RecordRow = ledger.call("be opened", "study_record", &json!({}))?;
        if !(oldest..=SCHEMA_VERSION).contains(&row.version) {
            return Err(LedgerError::Version { found: row.version });
        }
        ledger.lease_secs = row.lease_secs;
        Ok((ledger, row.version))
    }

    fn call<T: DeserializeOwned>(
        &self,
        action: &'static str,
        function: &'static str,
        request: &Value,
    ) -> Result<T, LedgerError> {
        let request = quoted(&request.to_string());
        let rows = self.rows(action, &format!("{function}({request})"))?;
        // A null is an empty line, if any.
        let text = rows.first().map_or("null", String::as_str);
        from_json("answer", if text.is_empty() { "null" } else { text })
    }

    /// The values of `select …` in the study's schema, one JSON text each.
    fn rows(&self, action: &'static str, what: &str) -> Result<Vec<String>, LedgerError> {
        let schema = &self.schema;
        let statement = format!("set search_path = {schema}; select {what}");
        self.locked().rows(action, &statement)
    }

    /// Changes tables directly: the owner's right.
    fn change(&mut self, action: &'static str, statement: &str) -> Result<(), LedgerError> {
        let schema = &self.schema;
        let statement = format!("set search_path = {schema}; {statement}");
        self.locked().rows(action, &statement)?;
        Ok(())
    }

    /// Changes the study's row, if this term is not over.
    fn decide(&mut self, action: &'static str, set: &str, term: Term) -> Result<(), LedgerError> {
        let changed = self.rows(
            action,
            &format!(
                "1 where false;
                 update study set {set} where leader_epoch = {} and leader_until >= clock() returning 1",
                term.0
            ),
        )?;
        match changed.is_empty() {
            true => Err(LedgerError::Deposed),
            false => Ok(()),
        }
    }

    fn read_trials(&self, which: &str) -> Result<Vec<Trial>, LedgerError> {
        let rows = self.rows(
            "list the trials",
            &format!("to_jsonb(t) from (select * from trial {which}) t"),
        )?;
        let parse = |text: String| from_json::<TrialRow>("trial", &text)?.parse();
        rows.into_iter().map(parse).collect()
    }

    fn one<T: DeserializeOwned>(&self, action: &'static str, what: &str) -> Result<T, LedgerError> {
        let rows = self.rows(action, what)?;
        from_json("answer", rows.first().map_or("null", String::as_str))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ending_row(lease: Lease, ending: &Ending) -> Value {
    let mut row = json!({ "trial": lease.trial.0, "epoch": lease.epoch.0 });
    // Numbers go as texts: they may be infinite, and JSON knows no such thing.
    row["track"] = Track::of(ending).as_ref().map(to_json).into();
    match ending {
        Ending::Finished(result) => {
            row["state"] = "finished".into();
            row["score"] = result.score.to_string().into();
            row["loss"] = result.loss.to_string().into();
            row["result"] = to_json(result).into();
        }
        Ending::Stopped { stop, expected } => {
            row["state"] = "stopped".into();
            row["stop"] = to_json(stop).into();
            row["expected"] = expected.to_string().into();
        }
        Ending::Failed(reason) => {
            row["state"] = "failed".into();
            row["failure"] = to_json(reason).into();
        }
    }
    row
}

fn misunderstood(action: &'static str, told: &Told) -> LedgerError {
    LedgerError::Refused {
        action,
        message: format!("it answered `{}`", told.is),
    }
}

impl Operations for Postgres {
    fn propose(&mut self, candidate: &Candidate, _now: Instant) -> Result<Proposed, LedgerError> {
        let action = "take a proposal";
        let request = json!({
            "fingerprint": candidate.fingerprint().to_string(),
            "candidate": to_json(candidate),
            "parent": candidate.parent().map(|parent| parent.0),
            "urgent": candidate.retrains().is_some(),
            "worker": candidate.proposed_by.0,
        });
        let told: Told = self.call(action, "propose", &request)?;
        match (told.is.as_str(), told.trial) {
            ("accepted", Some(trial)) => Ok(Proposed::Accepted(TrialId(trial))),
            ("duplicate", _) => Ok(Proposed::Duplicate),
            ("budget_spent", _) => Ok(Proposed::BudgetSpent),
            _ => Err(misunderstood(action, &told)),
        }
    }

    fn claim(
        &mut self,
        worker: &WorkerName,
        key: ClaimKey,
        _now: Instant,
    ) -> Result<Option<Claim>, LedgerError> {
        let request = json!({
            "worker": worker, "slot": key.slot, "incarnation": key.incarnation, "number": key.number,
        });
        let row: Option<ClaimRow> = self.call("give out a trial", "claim", &request)?;
        let Some(row) = row else { return Ok(None) };
        let candidate: Candidate = from_json("candidate", &row.candidate)?;
        let parent = match (row.parent_candidate, row.parent_result, candidate.parent()) {
            (Some(candidate), Some(result), Some(_)) => {
                let result: TrialResult = from_json("result", &result)?;
                Some(Parent {
                    candidate: from_json("candidate", &candidate)?,
                    best_score: result.best_of_epochs(),
                    artifact: result.artifact,
                })
            }
            (_, None, Some(trial)) => return Err(LedgerError::NoSuchTrial { trial }),
            _ => None,
        };
        let lease = Lease {
            trial: TrialId(row.trial),
            epoch: LeaseEpoch(row.epoch),
        };
        Ok(Some(Claim {
            lease,
            candidate,
            parent,
            checkpoint: row.checkpoint,
        }))
    }

    fn beat(
        &mut self,
        worker: &WorkerName,
        leases: &[Lease],
        progress: &[Progress],
        _now: Instant,
    ) -> Result<Vec<Lease>, LedgerError> {
        let request = json!({ "worker": worker, "leases": leases, "progress": to_json(&progress) });
        self.call("extend a lease", "beat", &request)
    }

    fn note_checkpoint(&mut self, lease: Lease, checkpoint: &Digest) -> Result<bool, LedgerError> {
        let request = json!({
            "trial": lease.trial.0, "epoch": lease.epoch.0, "checkpoint": checkpoint,
        });
        self.call("note a checkpoint", "note_checkpoint", &request)
    }

    fn finish(
        &mut self,
        lease: Lease,
        ending: &Ending,
        _now: Instant,
    ) -> Result<FinishOutcome, LedgerError> {
        let action = "record a result";
        let told: Told = self.call(action, "finish", &ending_row(lease, ending))?;
        let sequence = told.sequence.map(Sequence);
        match (told.is.as_str(), sequence, told.is_best) {
            ("recorded", Some(sequence), Some(is_best)) => {
                Ok(FinishOutcome::Recorded { sequence, is_best })
            }
            ("again", Some(sequence), _) => Ok(FinishOutcome::Again(sequence)),
            ("stray", ..) => Ok(FinishOutcome::Stray),
            ("no_such_trial", ..) => Err(LedgerError::NoSuchTrial { trial: lease.trial }),
            _ => Err(misunderstood(action, &told)),
        }
    }

    fn release(
        &mut self,
        lease: Lease,
        release: &Release,
        _now: Instant,
    ) -> Result<ReleaseOutcome, LedgerError> {
        let action = "take a lease back";
        let (crash, checkpoint) = match release {
            Release::Returned { checkpoint } => (None, checkpoint.clone()),
            // A NUL can be in no text of PostgreSQL, whatever a dying trainer said. In a record, which is a text of
            // JSON, it is written otherwise.
            Release::Crashed { message } => (Some(message.replace('\0', "")), None),
        };
        let attempts = CRASHES_MAX;
        let reason = crash
            .clone()
            .map(|message| FailReason::Crashed { attempts, message });
        let request = json!({
            "trial": lease.trial.0, "epoch": lease.epoch.0, "crash": crash,
            "checkpoint": checkpoint,
            "crashes_max": CRASHES_MAX, "failure": reason.as_ref().map(to_json),
        });
        let told: Told = self.call(action, "release", &request)?;
        match (told.is.as_str(), reason) {
            ("queued", _) => Ok(ReleaseOutcome::Queued),
            ("given_up", Some(reason)) => Ok(ReleaseOutcome::GivenUp(reason)),
            ("not_held", _) => Ok(ReleaseOutcome::NotHeld),
            _ => Err(misunderstood(action, &told)),
        }
    }

    fn release_all(&mut self) -> Result<usize, LedgerError> {
        self.one(
            "take leases back",
            "1 where false;
             with taken as (
                 update trial set state = 'queued', lease_until = null where state = 'running' returning 1
             ) select count(*) from taken",
        )
    }
}

impl Keeping for Postgres {
    fn join(
        &mut self,
        worker: &WorkerName,
        host: &str,
        slots: u16,
        _now: Instant,
    ) -> Result<Joined, LedgerError> {
        let request = json!({ "worker": worker, "host": host, "slots": slots });
        self.call("let a worker in", "join_study", &request)
    }

    fn leave(&mut self, worker: &WorkerName, _now: Instant) -> Result<usize, LedgerError> {
        self.call(
            "let a worker go",
            "leave_study",
            &json!({ "worker": worker }),
        )
    }

    fn note_exhausted(&mut self, worker: &WorkerName) -> Result<(), LedgerError> {
        let action = "note that nothing new was found";
        self.call(action, "note_exhausted", &json!({ "worker": worker }))
    }

    fn note_process(
        &mut self,
        worker: &WorkerName,
        role: Role,
        process: u32,
        _now: Instant,
    ) -> Result<(), LedgerError> {
        let request = json!({ "worker": worker, "role": to_json(&role), "process": process });
        self.call("note a process", "note_process", &request)
    }

    fn lead(
        &mut self,
        holder: &str,
        seconds: f64,
        _now: Instant,
    ) -> Result<Option<Term>, LedgerError> {
        let holder = quoted(holder);
        let terms = self.rows(
            "choose who leads",
            &format!(
                "1 from study where false;
                 update study set leader = {holder}, leader_until = clock() + {seconds},
                 leader_epoch = leader_epoch + (leader is distinct from {holder})::integer
                 where leader is null or leader = {holder} or leader_until < clock() returning leader_epoch"
            ),
        )?;
        terms
            .first()
            .map(|text| from_json("term", text))
            .transpose()
    }

    fn resume_clock(&mut self, term: Term, _now: Instant) -> Result<(), LedgerError> {
        self.decide(
            "record the time spent",
            "counted_at = clock(), spent_seconds = spent_seconds + greatest(0,
             coalesce((select max(seen_at) from node), counted_at) - counted_at)",
            term,
        )
    }

    fn count_time(&mut self, term: Term, _now: Instant) -> Result<(), LedgerError> {
        self.decide(
            "record the time spent",
            "spent_seconds = spent_seconds + greatest(0, clock() - counted_at),
             counted_at = greatest(counted_at, clock())",
            term,
        )
    }

    fn keep_back(&mut self, term: Term, trials: u64, _now: Instant) -> Result<(), LedgerError> {
        let trials = i64::try_from(trials).unwrap_or(i64::MAX);
        let set = format!("kept_back = {trials}");
        self.decide("keep trials back", &set, term)
    }

    fn set_ending(&mut self, term: Term, reason: &str, _now: Instant) -> Result<(), LedgerError> {
        let set = format!("ending = {}", quoted(reason));
        self.decide("record why the study ends", &set, term)
    }

    fn explore_again(&mut self) -> Result<(), LedgerError> {
        self.change(
            "record that the study goes on",
            "update study set ending = null",
        )
    }

    fn set_budget(&mut self, config: &str, trials_max: Option<u64>) -> Result<(), LedgerError> {
        let max = trials_max.map_or("null".to_string(), |max| max.to_string());
        let config = quoted(config);
        self.change(
            "change the budget",
            &format!(
                "update study set config = {config},
                 proposals_left = case when {max} is null then null else greatest(0, {max} - trials) end"
            ),
        )
    }
}
