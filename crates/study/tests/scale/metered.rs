//! The real ledger, in memory, which counts what it is asked: what each question would take of a server.
//!
//! News are thinned out: of a page of history only its last row goes over, and of the models under way the last,
//! because thousands of nodes that each keep a history of tens of thousands of models do not fit into the memory
//! of one process. The rows that are left out are counted and paid for as if they had been sent, and whoever
//! hears the last knows how many there were before it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
};

use search::TrialId;
use study::{
    ledger::{
        Claim, ClaimKey, Counts, Ended, Ending, FinishOutcome, HISTORY_PAGE, Joined, Keeping,
        LedgerError, Node, Operations, Proposed, Reading, Release, ReleaseOutcome, Sqlite,
        Standing, StudyRecord, Term, Unheard,
    },
    message::{Progress, Role},
    trial::{Candidate, Digest, HistoryRow, Instant, Lease, Sequence, Trial, Underway, WorkerName},
};

use crate::costs::{self, Operation};

/// What one question has taken so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bill {
    /// Seconds of a core.
    pub(crate) seconds: f64,
    /// Statements, each a way to the server and back.
    pub(crate) statements: u32,
}

/// The ledger, and what is known of it from outside.
#[derive(Debug)]
pub(crate) struct Shared {
    sqlite: Sqlite,
    /// The database's clock.
    pub(crate) now: Instant,
    pub(crate) bill: Bill,
    under_way: BTreeSet<u64>,
    pub(crate) proposed: u64,
    running: BTreeSet<u64>,
    pub(crate) ended: u64,
    /// Which trial has which place of the history.
    places: Vec<TrialId>,
    pub(crate) duplicates: u64,
    /// Trials that were given to another node while one had them.
    pub(crate) retaken: u64,
    nodes: u64,
}

impl Shared {
    fn pay(&mut self, operation: Operation, rows: u64) {
        self.bill.seconds += costs::seconds(operation, rows);
        self.bill.statements += 1;
    }

    /// Whether all trials of the budget have been claimed.
    pub(crate) fn is_spent(&self, budget: u64) -> bool {
        self.proposed == budget && self.under_way.len() == self.running.len()
    }
}

/// One party's way to the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Metered(Arc<Mutex<Shared>>);

impl Metered {
    pub(crate) fn new(record: &StudyRecord) -> Metered {
        let now = Instant(0.0);
        Metered(Arc::new(Mutex::new(Shared {
            sqlite: Sqlite::in_memory(record, now).unwrap(),
            now,
            bill: Bill::default(),
            under_way: BTreeSet::new(),
            proposed: 0,
            running: BTreeSet::new(),
            ended: 0,
            places: Vec::new(),
            duplicates: 0,
            retaken: 0,
            nodes: 0,
        })))
    }

    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap()
    }

    fn at<T>(
        &self,
        operation: Operation,
        deed: impl FnOnce(&mut Sqlite, Instant) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut shared = self.shared();
        shared.pay(operation, 1);
        let now = shared.now;
        deed(&mut shared.sqlite, now)
    }

    /// Of a page of the history behind `after`: how many rows it has, and the last of them.
    fn page(
        &self,
        after: Sequence,
        operation: Operation,
    ) -> Result<(u64, Option<Trial>), LedgerError> {
        let mut shared = self.shared();
        let last = shared.ended.min(after.0 + HISTORY_PAGE as u64);
        let rows = last - after.0;
        shared.pay(operation, rows);
        let trial = match rows {
            0 => None,
            _ => Some(shared.sqlite.trial(shared.places[last as usize - 1])?),
        };
        Ok((rows, trial))
    }
}

impl Operations for Metered {
    fn propose(&mut self, candidate: &Candidate, _: Instant) -> Result<Proposed, LedgerError> {
        let proposed = self.at(Operation::Propose, |ledger, now| {
            ledger.propose(candidate, now)
        })?;
        let mut shared = self.shared();
        match proposed {
            Proposed::Accepted(trial) => {
                shared.proposed += 1;
                shared.under_way.insert(trial.0);
            }
            Proposed::Duplicate => shared.duplicates += 1,
            Proposed::BudgetSpent => {}
        }
        Ok(proposed)
    }

    fn claim(
        &mut self,
        worker: &WorkerName,
        key: ClaimKey,
        _: Instant,
    ) -> Result<Option<Claim>, LedgerError> {
        let claim = self.at(Operation::Claim, |ledger, now| {
            ledger.claim(worker, key, now)
        })?;
        if let Some(claim) = &claim {
            let mut shared = self.shared();
            let is_new = shared.running.insert(claim.lease.trial.0);
            shared.retaken += u64::from(!is_new);
        }
        Ok(claim)
    }

    fn beat(
        &mut self,
        worker: &WorkerName,
        leases: &[Lease],
        progress: &[Progress],
        _: Instant,
    ) -> Result<Vec<Lease>, LedgerError> {
        self.at(Operation::Beat, |ledger, now| {
            ledger.beat(worker, leases, progress, now)
        })
    }

    fn note_checkpoint(&mut self, lease: Lease, checkpoint: &Digest) -> Result<bool, LedgerError> {
        self.at(Operation::Checkpoint, |ledger, _| {
            ledger.note_checkpoint(lease, checkpoint)
        })
    }

    fn finish(
        &mut self,
        lease: Lease,
        ending: &Ending,
        _: Instant,
    ) -> Result<FinishOutcome, LedgerError> {
        let outcome = self.at(Operation::Finish, |ledger, now| {
            ledger.finish(lease, ending, now)
        })?;
        let mut shared = self.shared();
        if let FinishOutcome::Recorded { sequence, .. } = outcome {
            shared.ended += 1;
            assert_eq!(sequence.0, shared.ended, "the history has a gap");
            shared.places.push(lease.trial);
            let was_there = shared.under_way.remove(&lease.trial.0);
            assert!(was_there, "trial {} has ended twice", lease.trial);
            shared.running.remove(&lease.trial.0);
        }
        Ok(outcome)
    }

    fn release(
        &mut self,
        lease: Lease,
        release: &Release,
        _: Instant,
    ) -> Result<ReleaseOutcome, LedgerError> {
        let outcome = self.at(Operation::Release, |ledger, now| {
            ledger.release(lease, release, now)
        })?;
        let mut shared = self.shared();
        if outcome != ReleaseOutcome::NotHeld {
            shared.running.remove(&lease.trial.0);
        }
        if let ReleaseOutcome::GivenUp(_) = outcome {
            shared.ended += 1;
            shared.places.push(lease.trial);
            shared.under_way.remove(&lease.trial.0);
        }
        Ok(outcome)
    }

    fn release_all(&mut self) -> Result<usize, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.release_all())
    }
}

impl Keeping for Metered {
    fn join(
        &mut self,
        worker: &WorkerName,
        host: &str,
        slots: u16,
        _: Instant,
    ) -> Result<Joined, LedgerError> {
        self.shared().nodes += 1;
        self.at(Operation::Join, |ledger, now| {
            ledger.join(worker, host, slots, now)
        })
    }

    fn leave(&mut self, worker: &WorkerName, _: Instant) -> Result<usize, LedgerError> {
        self.at(Operation::Other, |ledger, now| ledger.leave(worker, now))
    }

    fn note_exhausted(&mut self, worker: &WorkerName) -> Result<(), LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.note_exhausted(worker))
    }

    fn note_process(
        &mut self,
        worker: &WorkerName,
        role: Role,
        process: u32,
        _: Instant,
    ) -> Result<(), LedgerError> {
        self.at(Operation::Other, |ledger, now| {
            ledger.note_process(worker, role, process, now)
        })
    }

    fn lead(
        &mut self,
        holder: &str,
        seconds: f64,
        _: Instant,
    ) -> Result<Option<Term>, LedgerError> {
        self.at(Operation::Other, |ledger, now| {
            ledger.lead(holder, seconds, now)
        })
    }

    fn resume_clock(&mut self, term: Term, _: Instant) -> Result<(), LedgerError> {
        self.at(Operation::Other, |ledger, now| {
            ledger.resume_clock(term, now)
        })
    }

    fn count_time(&mut self, term: Term, _: Instant) -> Result<(), LedgerError> {
        self.at(Operation::Other, |ledger, now| ledger.count_time(term, now))
    }

    fn keep_back(&mut self, term: Term, trials: u64, _: Instant) -> Result<(), LedgerError> {
        self.at(Operation::Other, |ledger, now| {
            ledger.keep_back(term, trials, now)
        })
    }

    fn set_ending(&mut self, term: Term, reason: &str, _: Instant) -> Result<(), LedgerError> {
        self.at(Operation::Other, |ledger, now| {
            ledger.set_ending(term, reason, now)
        })
    }

    fn explore_again(&mut self) -> Result<(), LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.explore_again())
    }

    fn set_budget(&mut self, config: &str, trials_max: Option<u64>) -> Result<(), LedgerError> {
        self.at(Operation::Other, |ledger, _| {
            ledger.set_budget(config, trials_max)
        })
    }
}

impl Reading for Metered {
    fn lease_secs(&self) -> f64 {
        self.shared().sqlite.lease_secs()
    }

    fn record(&self) -> Result<StudyRecord, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.record())
    }

    fn standing(&self, _: Instant) -> Result<Standing, LedgerError> {
        self.at(Operation::Other, |ledger, now| ledger.standing(now))
    }

    fn spent_seconds(&self) -> Result<f64, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.spent_seconds())
    }

    fn nodes(&self) -> Result<Vec<Node>, LedgerError> {
        let mut shared = self.shared();
        let rows = shared.nodes;
        shared.pay(Operation::Nodes, rows);
        shared.sqlite.nodes()
    }

    fn processes(&self) -> Result<Vec<(WorkerName, Role, u32)>, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.processes())
    }

    fn trials(&self) -> Result<Vec<Trial>, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.trials())
    }

    fn trial(&self, id: TrialId) -> Result<Trial, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.trial(id))
    }

    fn ended(&self, after: Sequence) -> Result<Vec<Trial>, LedgerError> {
        let (_, last) = self.page(after, Operation::Ended)?;
        Ok(last.into_iter().collect())
    }

    fn tracks(&self, after: Sequence) -> Result<Vec<Ended>, LedgerError> {
        let (_, last) = self.page(after, Operation::Tracks)?;
        Ok(last.iter().filter_map(Ended::of).collect())
    }

    fn best(&self) -> Result<Option<Trial>, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.best())
    }

    fn best_originals(&self, count: u32) -> Result<Vec<Trial>, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.best_originals(count))
    }

    fn under_way(&self, count: u32) -> Result<Vec<Trial>, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.under_way(count))
    }

    fn history(&self, after: Sequence) -> Result<Vec<HistoryRow>, LedgerError> {
        self.at(Operation::News, |ledger, _| ledger.history(after))
    }

    fn pending(&self, after: TrialId) -> Result<Vec<(TrialId, Underway)>, LedgerError> {
        self.at(Operation::News, |ledger, _| ledger.pending(after))
    }

    fn counts(&self) -> Result<Counts, LedgerError> {
        let mut shared = self.shared();
        let rows = shared.proposed;
        shared.pay(Operation::Counts, rows);
        shared.sqlite.counts()
    }

    fn ended_count(&self) -> Result<u64, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.ended_count())
    }

    fn claimable(&self, _: Instant) -> Result<u64, LedgerError> {
        self.at(Operation::Other, |ledger, now| ledger.claimable(now))
    }

    fn proposals_of(&self, worker: &WorkerName) -> Result<u64, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.proposals_of(worker))
    }

    fn checkpoints(&self) -> Result<Vec<Digest>, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.checkpoints())
    }

    fn crashes_of(&self, worker: &WorkerName) -> Result<u32, LedgerError> {
        self.at(Operation::Other, |ledger, _| ledger.crashes_of(worker))
    }

    fn unheard(
        &self,
        worker: &WorkerName,
        after: Sequence,
        after_trial: TrialId,
        _: Instant,
    ) -> Result<Unheard, LedgerError> {
        let (_, last) = self.page(after, Operation::News)?;
        let history = last.and_then(|trial| {
            Some(HistoryRow {
                sequence: trial.sequence()?,
                trial: trial.id,
                outcome: trial.outcome()?,
                candidate: trial.candidate,
            })
        });
        let mut shared = self.shared();
        let pending_rows = shared.under_way.range(after_trial.0 + 1..).count() as u64;
        let newest = shared.under_way.last().copied();
        shared.bill.seconds += costs::more_news(pending_rows);
        let now = shared.now;
        let sqlite = &shared.sqlite;
        let pending = match (pending_rows, newest) {
            (1.., Some(newest)) => sqlite.pending(TrialId(newest - 1))?,
            _ => Vec::new(),
        };
        Ok(Unheard {
            standing: sqlite.standing(now)?,
            ended: shared.ended,
            claimable: sqlite.claimable(now)?,
            crashes: sqlite.crashes_of(worker)?,
            history: history.into_iter().collect(),
            pending,
        })
    }
}
