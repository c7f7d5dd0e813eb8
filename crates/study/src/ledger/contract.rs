//! The contract that both engines of a ledger keep.
//!
//! `now` is the time by the caller's clock; an engine that has a clock of its own goes by that.
//! Everything fails if the engine cannot be read or written, and says so; where there are other reasons, the
//! method names them.

#![allow(clippy::missing_errors_doc)] // One reason, named above, for nearly all of them.

use std::fmt;

use search::TrialId;

#[cfg(doc)]
use super::CRASHES_MAX;
use super::{
    Claim, ClaimKey, Counts, Ended, Ending, FinishOutcome, Joined, LedgerError, Node, Proposed,
    Release, ReleaseOutcome, Standing, StudyRecord, Term, Unheard,
};
use crate::{
    message::{Progress, Role},
    trial::{Candidate, Digest, HistoryRow, Instant, Lease, Sequence, Trial, Underway, WorkerName},
};

/// A ledger of either kind.
pub trait Ledger: Operations + Keeping + Reading + fmt::Debug + Send {}

impl<L: Operations + Keeping + Reading + fmt::Debug + Send> Ledger for L {}

/// What happens to trials: six operations, each one transaction.
pub trait Operations {
    /// Queues a candidate, unless the study has it already or its budget is used up; the budget is
    /// counted down in the same transaction. What is kept back is for models that are trained once more.
    fn propose(&mut self, candidate: &Candidate, now: Instant) -> Result<Proposed, LedgerError>;

    /// Gives the oldest waiting trial to a slot, a retraining before all others; failing that, one whose
    /// lease has run out. A claim that is repeated gives the same lease again, as long as it is still its own;
    /// one that comes after a later claim of the slot gives nothing.
    fn claim(
        &mut self,
        worker: &WorkerName,
        key: ClaimKey,
        now: Instant,
    ) -> Result<Option<Claim>, LedgerError>;

    /// A worker is there: extends leases; one that ran out revives if nobody took the trial. Returns those
    /// lost.
    fn beat(
        &mut self,
        worker: &WorkerName,
        leases: &[Lease],
        progress: &[Progress],
        now: Instant,
    ) -> Result<Vec<Lease>, LedgerError>;

    /// Notes where a training can be gone on with, if it does not come to its end. Says whether the lease still
    /// counts.
    fn note_checkpoint(&mut self, lease: Lease, checkpoint: &Digest) -> Result<bool, LedgerError>;

    /// Records how a trial ended, at the next place of the history, and keeps the best up to date;
    /// saying it twice changes nothing, and a result whose trial was given to another is kept as a stray.
    ///
    /// # Errors
    /// If there is no such trial.
    fn finish(
        &mut self,
        lease: Lease,
        ending: &Ending,
        now: Instant,
    ) -> Result<FinishOutcome, LedgerError>;

    /// Gives a lease back. A trial whose trainer died [`CRASHES_MAX`] times has failed.
    fn release(
        &mut self,
        lease: Lease,
        release: &Release,
        now: Instant,
    ) -> Result<ReleaseOutcome, LedgerError>;

    /// Puts every running trial back into the queue: no process is there that could run one. Returns how
    /// many.
    fn release_all(&mut self) -> Result<usize, LedgerError>;
}

/// Who is there, and what is decided about the study as a whole.
pub trait Keeping {
    /// A worker is there, for the first time or again.
    fn join(
        &mut self,
        worker: &WorkerName,
        host: &str,
        slots: u16,
        now: Instant,
    ) -> Result<Joined, LedgerError>;

    /// A worker is gone: its running trials are put back into the queue. Returns how many.
    fn leave(&mut self, worker: &WorkerName, now: Instant) -> Result<usize, LedgerError>;

    /// A worker's generator finds nothing new.
    fn note_exhausted(&mut self, worker: &WorkerName) -> Result<(), LedgerError>;

    /// A worker has started a child process.
    fn note_process(
        &mut self,
        worker: &WorkerName,
        role: Role,
        process: u32,
        now: Instant,
    ) -> Result<(), LedgerError>;

    /// Takes or keeps the right to decide about the study for `seconds`; the term is `None` if another has it.
    /// A term has the same number until another holder leads.
    fn lead(
        &mut self,
        holder: &str,
        seconds: f64,
        now: Instant,
    ) -> Result<Option<Term>, LedgerError>;

    /// Begins to count the time again. What passed since it was last counted counts only as far as workers
    /// were there.
    ///
    /// # Errors
    /// [`LedgerError::Deposed`] if the term is over.
    fn resume_clock(&mut self, term: Term, now: Instant) -> Result<(), LedgerError>;

    /// Counts the time that has passed.
    ///
    /// # Errors
    /// [`LedgerError::Deposed`] if the term is over.
    fn count_time(&mut self, term: Term, now: Instant) -> Result<(), LedgerError>;

    /// Keeps so many of the trials of the budget back.
    ///
    /// # Errors
    /// [`LedgerError::Deposed`] if the term is over.
    fn keep_back(&mut self, term: Term, trials: u64, now: Instant) -> Result<(), LedgerError>;

    /// Says why the study ends, as JSON.
    ///
    /// # Errors
    /// [`LedgerError::Deposed`] if the term is over.
    fn set_ending(&mut self, term: Term, reason: &str, now: Instant) -> Result<(), LedgerError>;

    /// The study goes on, whatever has ended it: the user's decision, whoever leads.
    fn explore_again(&mut self) -> Result<(), LedgerError>;

    /// Changes the budget of a study that is taken up again, to so many trials in all.
    fn set_budget(&mut self, config: &str, trials_max: Option<u64>) -> Result<(), LedgerError>;
}

/// Looking at a study.
pub trait Reading {
    /// How long a lease lasts without a beat, in seconds.
    fn lease_secs(&self) -> f64;

    /// Configuration and data of the study, and how many trials may still be proposed.
    fn record(&self) -> Result<StudyRecord, LedgerError>;

    /// How the study stands.
    fn standing(&self, now: Instant) -> Result<Standing, LedgerError>;

    /// Seconds of exploring, as far as they were counted, over all runs of the command.
    fn spent_seconds(&self) -> Result<f64, LedgerError>;

    /// Every worker that ever joined, by number.
    fn nodes(&self) -> Result<Vec<Node>, LedgerError>;

    /// Every child process that any worker has started, in order.
    fn processes(&self) -> Result<Vec<(WorkerName, Role, u32)>, LedgerError>;

    /// All trials, by number.
    fn trials(&self) -> Result<Vec<Trial>, LedgerError>;

    /// One trial.
    ///
    /// # Errors
    /// If there is none of this number.
    fn trial(&self, id: TrialId) -> Result<Trial, LedgerError>;

    /// Trials that have ended behind this place of the history, in its order, a page of them.
    fn ended(&self, after: Sequence) -> Result<Vec<Trial>, LedgerError>;

    /// The same, of each only what others must know to compare their trainings with it.
    fn tracks(&self, after: Sequence) -> Result<Vec<Ended>, LedgerError> {
        let ended = self.ended(after)?;
        Ok(ended.iter().filter_map(Ended::of).collect())
    }

    /// The best finished trial: highest score, then lowest loss, then lowest number.
    fn best(&self) -> Result<Option<Trial>, LedgerError>;

    /// The best finished trials that are not another one trained once more, best first.
    fn best_originals(&self, count: u32) -> Result<Vec<Trial>, LedgerError>;

    /// Trials that wait or run, by number, so many at most.
    fn under_way(&self, count: u32) -> Result<Vec<Trial>, LedgerError>;

    /// The next page of the history behind `after`; empty when there is nothing new.
    fn history(&self, after: Sequence) -> Result<Vec<HistoryRow>, LedgerError>;

    /// Models of trials that have no end yet, with numbers above `after`.
    fn pending(&self, after: TrialId) -> Result<Vec<(TrialId, Underway)>, LedgerError>;

    /// How many trials are where.
    fn counts(&self) -> Result<Counts, LedgerError>;

    /// How many trials have ended: asked at every event, where [`Reading::counts`] may look at every trial once.
    fn ended_count(&self) -> Result<u64, LedgerError>;

    /// How many trials a claim could give out: waiting, or with a lease that ran out. Not counted beyond
    /// [`CLAIMABLE_MAX`](super::CLAIMABLE_MAX).
    fn claimable(&self, now: Instant) -> Result<u64, LedgerError>;

    /// How many trials this worker's generators have proposed: where its random stream goes on.
    fn proposals_of(&self, worker: &WorkerName) -> Result<u64, LedgerError>;

    /// Where trainings that have no end yet were paused.
    fn checkpoints(&self) -> Result<Vec<Digest>, LedgerError>;

    /// How many trials of this worker have killed their trainers, one after the other; those that had killed one
    /// before are not counted.
    fn crashes_of(&self, worker: &WorkerName) -> Result<u32, LedgerError>;

    /// All that a worker has not heard yet, at once.
    fn unheard(
        &self,
        worker: &WorkerName,
        after: Sequence,
        after_trial: TrialId,
        now: Instant,
    ) -> Result<Unheard, LedgerError> {
        Ok(Unheard {
            standing: self.standing(now)?,
            ended: self.ended_count()?,
            claimable: self.claimable(now)?,
            crashes: self.crashes_of(worker)?,
            history: self.history(after)?,
            pending: self.pending(after_trial)?,
        })
    }
}
