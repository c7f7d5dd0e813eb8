//! The five operations that change a ledger: propose, claim, beat, finish, release.

use rusqlite::{OptionalExtension, Params, Transaction, TransactionBehavior, params};
use search::TrialId;

use super::{
    super::{
        CRASHES_MAX, Claim, ClaimKey, Ending, FinishOutcome, LEASE_SECS, LedgerError, Operations,
        Parent, Proposed, Release, ReleaseOutcome, from_json, to_json,
    },
    Sqlite, failed,
    record::{as_integer, see},
    statement::Statements,
};
use crate::{
    message::Progress,
    trial::{
        Candidate, Digest, FailReason, Instant, Lease, LeaseEpoch, Sequence, TrialResult,
        WorkerName,
    },
};

/// Puts running trials back into the queue: all, or those that a further condition names. Who had one stays known: a
/// result of theirs may still come.
pub(super) const REQUEUE: &str =
    "update trial set state = 'queued', lease_until = null where state = 'running'";

impl Operations for Sqlite {
    fn propose(&mut self, candidate: &Candidate, now: Instant) -> Result<Proposed, LedgerError> {
        let action = "take a proposal";
        let transaction = self.begin(action)?;
        let fingerprint = candidate.fingerprint().to_string();
        // The last trainings of the best models wait for nobody: time is short.
        let is_urgent = candidate.retrains().is_some();
        let is_spent: bool = transaction
            .ask(
                "select proposals_left is not null
                 and proposals_left <= case when ?1 then 0 else kept_back end from study",
                [is_urgent],
                |row| row.get(0),
            )
            .map_err(failed(action))?;
        if is_spent {
            return Ok(Proposed::BudgetSpent);
        }
        let inserted = transaction
            .change(
                "insert into trial (fingerprint, candidate, urgent, state, proposed_at)
                 values (?1, ?2, ?3, 'queued', ?4) on conflict (fingerprint) do nothing",
                params![fingerprint, to_json(candidate), is_urgent, now.0],
            )
            .map_err(failed(action))?;
        if inserted == 0 {
            return Ok(Proposed::Duplicate);
        }
        let trial = trial_id(transaction.last_insert_rowid());
        transaction
            .change("update study set proposals_left = proposals_left - 1", [])
            .map_err(failed(action))?;
        transaction
            .change(
                "insert into proposals_by (worker, count) values (?1, 1)
                 on conflict (worker) do update set count = count + 1",
                [&candidate.proposed_by.0],
            )
            .map_err(failed(action))?;
        transaction.commit().map_err(failed(action))?;
        Ok(Proposed::Accepted(trial))
    }

    fn claim(
        &mut self,
        worker: &WorkerName,
        key: ClaimKey,
        now: Instant,
    ) -> Result<Option<Claim>, LedgerError> {
        let action = "give out a trial";
        let transaction = self.begin(action)?;
        if !is_new_claim(&transaction, worker, key)? {
            let held = held_by_claim(&transaction, worker, key)?;
            return held
                .map(|held| given(&transaction, held.epoch, held))
                .transpose();
        }
        let claim = match next_to_claim(&transaction, now)? {
            None => None,
            Some(waiting) => {
                let epoch = waiting.epoch + 1;
                give_out(&transaction, waiting.trial, epoch, (worker, key, now))?;
                Some(given(&transaction, epoch, waiting)?)
            }
        };
        transaction.commit().map_err(failed(action))?;
        Ok(claim)
    }

    fn beat(
        &mut self,
        worker: &WorkerName,
        leases: &[Lease],
        progress: &[Progress],
        now: Instant,
    ) -> Result<Vec<Lease>, LedgerError> {
        let action = "extend a lease";
        let transaction = self.begin(action)?;
        see(&transaction, worker, now)?;
        transaction
            .change(
                "update node set progress = ?2 where worker = ?1",
                [&worker.0, &to_json(&progress)],
            )
            .map_err(failed(action))?;
        let mut lost = Vec::new();
        for lease in leases {
            let held = transaction
                .change(
                    "update trial set lease_until = ?3
                     where id = ?1 and epoch = ?2 and state = 'running'",
                    params![row_id(lease.trial), lease.epoch.0, now.plus(LEASE_SECS).0],
                )
                .map_err(failed(action))?;
            if held == 0 {
                lost.push(*lease);
            }
        }
        transaction.commit().map_err(failed(action))?;
        Ok(lost)
    }

    fn note_checkpoint(&mut self, lease: Lease, checkpoint: &Digest) -> Result<bool, LedgerError> {
        let changed = self
            .connection
            .change(
                "update trial set checkpoint = ?3 where id = ?1 and epoch = ?2 and state = 'running'",
                params![row_id(lease.trial), lease.epoch.0, checkpoint.as_str()],
            )
            .map_err(failed("note a checkpoint"))?;
        Ok(changed == 1)
    }

    fn finish(
        &mut self,
        lease: Lease,
        ending: &Ending,
        now: Instant,
    ) -> Result<FinishOutcome, LedgerError> {
        let action = "record a result";
        let transaction = self.begin(action)?;
        let (state, epoch, sequence) = transaction
            .ask(
                "select state, epoch, sequence from trial where id = ?1",
                [row_id(lease.trial)],
                |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, u32>(1)?,
                        row.get::<_, Option<u64>>(2)?,
                    ))
                },
            )
            .optional()
            .map_err(failed(action))?
            .ok_or(LedgerError::NoSuchTrial { trial: lease.trial })?;
        let outcome = match (epoch == lease.epoch.0, sequence) {
            (true, Some(sequence)) => FinishOutcome::Again(Sequence(sequence)),
            // One that waits again was given back, but to nobody else since: its epoch would be another.
            (true, None) if ["running", "queued"].contains(&state.as_str()) => {
                forgive(&transaction, lease.trial)?;
                let sequence = end_trial(&transaction, lease.trial, ending, now)?;
                let is_best = is_best(&transaction, lease.trial)?;
                FinishOutcome::Recorded { sequence, is_best }
            }
            _ => {
                keep_stray(&transaction, lease, ending)?;
                FinishOutcome::Stray
            }
        };
        transaction.commit().map_err(failed(action))?;
        Ok(outcome)
    }

    fn release(
        &mut self,
        lease: Lease,
        release: &Release,
        now: Instant,
    ) -> Result<ReleaseOutcome, LedgerError> {
        let action = "take a lease back";
        let transaction = self.begin(action)?;
        let crashes: Option<u32> = transaction
            .ask(
                "select crashes from trial where id = ?1 and epoch = ?2 and state = 'running'",
                params![row_id(lease.trial), lease.epoch.0],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed(action))?;
        let Some(crashes) = crashes else {
            return Ok(ReleaseOutcome::NotHeld);
        };
        let outcome = match release {
            Release::Returned { checkpoint } => {
                note_checkpoint(&transaction, lease.trial, checkpoint.as_ref())?;
                ReleaseOutcome::Queued
            }
            Release::Crashed { message } => {
                record_crash(&transaction, lease, message, now)?;
                let attempts = crashes + 1;
                if attempts >= CRASHES_MAX {
                    let message = message.clone();
                    ReleaseOutcome::GivenUp(FailReason::Crashed { attempts, message })
                } else {
                    ReleaseOutcome::Queued
                }
            }
        };
        match &outcome {
            ReleaseOutcome::GivenUp(reason) => {
                end_trial(
                    &transaction,
                    lease.trial,
                    &Ending::Failed(reason.clone()),
                    now,
                )?;
            }
            _ => requeue(&transaction, lease.trial)?,
        }
        transaction.commit().map_err(failed(action))?;
        Ok(outcome)
    }

    fn release_all(&mut self) -> Result<usize, LedgerError> {
        self.connection
            .change(REQUEUE, [])
            .map_err(failed("take leases back"))
    }
}

impl Sqlite {
    pub(super) fn begin(&mut self, action: &'static str) -> Result<Transaction<'_>, LedgerError> {
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed(action))
    }
}

/// A trial that can be given out, or was.
struct Waiting {
    trial: TrialId,
    epoch: u32,
    candidate: Candidate,
    checkpoint: Option<Digest>,
}

/// Notes that a claim is carried out, unless it was before, or a later one of the slot was.
fn is_new_claim(
    transaction: &Transaction<'_>,
    worker: &WorkerName,
    key: ClaimKey,
) -> Result<bool, LedgerError> {
    let changed = transaction
        .change(
            "insert into claim (worker, slot, incarnation, number) values (?1, ?2, ?3, ?4)
             on conflict (worker, slot) do update
             set incarnation = excluded.incarnation, number = excluded.number, trial = null, epoch = null
             where (claim.incarnation, claim.number) < (excluded.incarnation, excluded.number)",
            params![worker.0, key.slot.0, key.incarnation, as_integer(key.number)],
        )
        .map_err(failed("give out a trial"))?;
    Ok(changed == 1)
}

/// What a claim that was carried out before was given, if its lease is still its own.
fn held_by_claim(
    transaction: &Transaction<'_>,
    worker: &WorkerName,
    key: ClaimKey,
) -> Result<Option<Waiting>, LedgerError> {
    find(
        transaction,
        "select id, trial.epoch, candidate, checkpoint from trial
         join claim on trial.id = claim.trial and trial.epoch = claim.epoch
         where state = 'running' and claim.worker = ?1 and claim.slot = ?2
         and claim.incarnation = ?3 and claim.number = ?4",
        params![
            worker.0,
            key.slot.0,
            key.incarnation,
            as_integer(key.number)
        ],
    )
}

/// Two probes, each on its own partial index: one `order by` over both states would sort them all.
fn next_to_claim(
    transaction: &Transaction<'_>,
    now: Instant,
) -> Result<Option<Waiting>, LedgerError> {
    const QUEUED: &str = "select id, epoch, candidate, checkpoint from trial where state = 'queued'
         order by urgent desc, id limit 1";
    const EXPIRED: &str = "select id, epoch, candidate, checkpoint from trial
         where state = 'running' and lease_until < ?1 order by lease_until limit 1";
    match find(transaction, QUEUED, [])? {
        None => find(transaction, EXPIRED, [now.0]),
        found => Ok(found),
    }
}

fn find(
    transaction: &Transaction<'_>,
    statement: &str,
    parameters: impl Params,
) -> Result<Option<Waiting>, LedgerError> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, u32>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, Option<String>>(3)?,
        ))
    };
    let found = transaction
        .ask(statement, parameters, read)
        .optional()
        .map_err(failed("give out a trial"))?;
    found
        .map(|(id, epoch, text, checkpoint)| {
            Ok(Waiting {
                trial: trial_id(id),
                epoch,
                candidate: from_json("candidate", &text)?,
                checkpoint: checkpoint.as_deref().and_then(Digest::from_hex),
            })
        })
        .transpose()
}

fn give_out(
    transaction: &Transaction<'_>,
    trial: TrialId,
    epoch: u32,
    (worker, key, now): (&WorkerName, ClaimKey, Instant),
) -> Result<(), LedgerError> {
    let action = "give out a trial";
    let until = now.plus(LEASE_SECS);
    transaction
        .change(
            "update trial set state = 'running', epoch = ?2, worker = ?3, slot = ?4,
             claimed_at = ?5, lease_until = ?6 where id = ?1",
            params![row_id(trial), epoch, worker.0, key.slot.0, now.0, until.0],
        )
        .map_err(failed(action))?;
    transaction
        .change(
            "update claim set trial = ?3, epoch = ?4 where worker = ?1 and slot = ?2",
            params![worker.0, key.slot.0, row_id(trial), epoch],
        )
        .map_err(failed(action))?;
    Ok(())
}

fn given(
    transaction: &Transaction<'_>,
    epoch: u32,
    waiting: Waiting,
) -> Result<Claim, LedgerError> {
    let parent = waiting.candidate.parent();
    let parent = parent.map(|id| parent_of(transaction, id)).transpose()?;
    let lease = Lease {
        trial: waiting.trial,
        epoch: LeaseEpoch(epoch),
    };
    Ok(Claim {
        lease,
        candidate: waiting.candidate,
        parent,
        checkpoint: waiting.checkpoint,
    })
}

fn parent_of(transaction: &Transaction<'_>, parent: TrialId) -> Result<Parent, LedgerError> {
    let (candidate, result): (String, Option<String>) = transaction
        .ask(
            "select candidate, result from trial where id = ?1",
            [row_id(parent)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(failed("look up a parent"))?;
    let candidate = from_json("candidate", &candidate)?;
    let result = result.ok_or(LedgerError::NoSuchTrial { trial: parent })?;
    let result: TrialResult = from_json("result", &result)?;
    Ok(Parent {
        candidate,
        best_score: result.best_of_epochs(),
        artifact: result.artifact,
    })
}

fn end_trial(
    transaction: &Transaction<'_>,
    trial: TrialId,
    ending: &Ending,
    now: Instant,
) -> Result<Sequence, LedgerError> {
    let action = "record a result";
    let sequence: u64 = transaction
        .ask(
            "update study set sequence = sequence + 1 returning sequence",
            [],
            |row| row.get(0),
        )
        .map_err(failed(action))?;
    let (mut result, mut stopped, mut failure) = (None, None, None);
    let state = match ending {
        Ending::Finished(finished) => {
            result = Some(finished);
            "finished"
        }
        Ending::Stopped { stop, expected } => {
            stopped = Some((to_json(stop), *expected));
            "stopped"
        }
        Ending::Failed(reason) => {
            failure = Some(to_json(reason));
            "failed"
        }
    };
    transaction
        .change(
            "update trial set state = ?2, sequence = ?3, finished_at = ?4, score = ?5, loss = ?6,
             result = ?7, failure = ?8, stop = ?9, expected = ?10, lease_until = null, checkpoint = null where id = ?1",
            params![
                row_id(trial),
                state,
                as_integer(sequence),
                now.0,
                result.map(|result| result.score),
                result.map(|result| result.loss),
                result.map(to_json),
                failure,
                stopped.as_ref().map(|(stop, _)| stop),
                stopped.as_ref().map(|(_, expected)| expected),
            ],
        )
        .map_err(failed(action))?;
    transaction
        .change(
            "update study set best =
             (select id from trial where state = 'finished' order by score desc, loss, id limit 1)",
            [],
        )
        .map_err(failed(action))?;
    Ok(Sequence(sequence))
}

fn is_best(transaction: &Transaction<'_>, trial: TrialId) -> Result<bool, LedgerError> {
    transaction
        .ask("select best is ?1 from study", [row_id(trial)], |row| {
            row.get(0)
        })
        .map_err(failed("look up the best trial"))
}

/// A worker that has ended a trial is sound.
fn forgive(transaction: &Transaction<'_>, trial: TrialId) -> Result<(), LedgerError> {
    transaction
        .change(
            "update node set crashes = 0 where worker = (select worker from trial where id = ?1)",
            [row_id(trial)],
        )
        .map_err(failed("record a result"))?;
    Ok(())
}

fn keep_stray(
    transaction: &Transaction<'_>,
    lease: Lease,
    ending: &Ending,
) -> Result<(), LedgerError> {
    let text = match ending {
        Ending::Finished(result) => to_json(result),
        Ending::Stopped { stop, .. } => to_json(stop),
        Ending::Failed(reason) => to_json(reason),
    };
    transaction
        .change(
            "insert into stray (trial, epoch, result) values (?1, ?2, ?3)",
            params![row_id(lease.trial), lease.epoch.0, text],
        )
        .map_err(failed("keep a stray result"))?;
    Ok(())
}

fn record_crash(
    transaction: &Transaction<'_>,
    lease: Lease,
    message: &str,
    now: Instant,
) -> Result<(), LedgerError> {
    let action = "record a crash";
    transaction
        .change(
            "insert into crash (trial, epoch, at, message) values (?1, ?2, ?3, ?4)",
            params![row_id(lease.trial), lease.epoch.0, now.0, message],
        )
        .map_err(failed(action))?;
    // A trial that crashes again says more of itself than of its node.
    transaction
        .change(
            "update node set crashes = crashes + 1
             where worker = (select worker from trial where id = ?1 and crashes = 0)",
            [row_id(lease.trial)],
        )
        .map_err(failed(action))?;
    transaction
        .change(
            "update trial set crashes = crashes + 1 where id = ?1",
            [row_id(lease.trial)],
        )
        .map_err(failed(action))?;
    Ok(())
}

fn note_checkpoint(
    transaction: &Transaction<'_>,
    trial: TrialId,
    checkpoint: Option<&Digest>,
) -> Result<(), LedgerError> {
    transaction
        .change(
            "update trial set checkpoint = coalesce(?2, checkpoint) where id = ?1",
            params![row_id(trial), checkpoint.map(Digest::as_str)],
        )
        .map_err(failed("take a lease back"))?;
    Ok(())
}

fn requeue(transaction: &Transaction<'_>, trial: TrialId) -> Result<(), LedgerError> {
    transaction
        .change(&format!("{REQUEUE} and id = ?1"), [row_id(trial)])
        .map_err(failed("take a lease back"))?;
    Ok(())
}

fn trial_id(row: i64) -> TrialId {
    TrialId(row.unsigned_abs())
}

pub(super) fn row_id(trial: TrialId) -> i64 {
    as_integer(trial.0)
}
