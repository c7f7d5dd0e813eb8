//! One party's way to the ledger of a simulated cluster: requests are carried out at once, or late, or twice, and
//! answers are lost.

use std::sync::{Arc, Mutex, MutexGuard};

use search::TrialId;
use study::{
    ledger::{
        Claim, ClaimKey, Counts, Ending, FinishOutcome, Joined, Keeping, LedgerError, Node,
        Operations, Proposed, Reading, Release, ReleaseOutcome, Sqlite, Standing, StudyRecord,
        Term, Unheard,
    },
    message::{Progress, Role},
    trial::{Candidate, Digest, HistoryRow, Instant, Lease, Sequence, Trial, Underway, WorkerName},
};

use crate::shared::{Fate, Mistake, Shared};

/// One party's way to the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    shared: Arc<Mutex<Shared>>,
    /// Whether the network is cut between the two.
    is_cut: Arc<Mutex<bool>>,
}

impl Access {
    pub(crate) fn new(record: &StudyRecord, seed: u64, mistake: Option<Mistake>) -> Access {
        Access {
            shared: Arc::new(Mutex::new(Shared::new(record, seed, mistake))),
            is_cut: Arc::default(),
        }
    }

    /// The same ledger over another wire.
    pub(crate) fn another(&self) -> Access {
        Access {
            shared: Arc::clone(&self.shared),
            is_cut: Arc::default(),
        }
    }

    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    pub(crate) fn cut(&self, is_cut: bool) {
        *self.is_cut.lock().unwrap() = is_cut;
    }

    /// Reads, unless the ledger is not reached or the answer is lost.
    fn read<T>(
        &self,
        look: impl FnOnce(&Sqlite, Instant) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut shared = self.reached()?;
        let answer = look(&shared.sqlite, shared.now)?;
        match shared.is_lost() {
            true => Err(unreachable("lost")),
            false => Ok(answer),
        }
    }

    /// Changes something at the database's time, as its fate has it.
    fn write<T>(
        &self,
        deed: impl Fn(&mut Shared, Instant) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let mut shared = self.reached()?;
        if shared.is_full {
            return Err(unreachable("no space left"));
        }
        let now = shared.now;
        let fate = shared.fate();
        let answer = match fate {
            Fate::Late => Err(unreachable("late")),
            _ => Ok(deed(&mut shared, now)?),
        };
        if matches!(fate, Fate::Late | Fate::Twice) {
            // Whoever asked hears nothing of what comes of it.
            shared.arrives_later(Box::new(move |shared, now| drop(deed(shared, now))));
        }
        match fate {
            Fate::Unheard => Err(unreachable("lost")),
            _ => answer,
        }
    }

    /// Changes what only a master may, in its term.
    fn decide(
        &self,
        term: Term,
        deed: impl Fn(&mut Sqlite, Term, Instant) -> Result<(), LedgerError> + Send + 'static,
    ) -> Result<(), LedgerError> {
        self.write(move |shared, now| {
            let told = shared.told_term(term);
            deed(&mut shared.sqlite, told, now)?;
            shared.note_decision(term);
            Ok(())
        })
    }

    /// The ledger, if nothing is between.
    fn reached(&self) -> Result<MutexGuard<'_, Shared>, LedgerError> {
        let shared = self.shared();
        match shared.is_away || *self.is_cut.lock().unwrap() {
            true => Err(unreachable("away")),
            false => Ok(shared),
        }
    }
}

fn unreachable(message: &str) -> LedgerError {
    LedgerError::Unreachable {
        action: "answer",
        message: message.to_string(),
    }
}

impl Operations for Access {
    fn propose(&mut self, candidate: &Candidate, _: Instant) -> Result<Proposed, LedgerError> {
        let candidate = candidate.clone();
        self.write(move |shared, now| {
            let proposed = shared.sqlite.propose(&candidate, now)?;
            shared.note_proposal(proposed)?;
            Ok(proposed)
        })
    }

    fn claim(
        &mut self,
        worker: &WorkerName,
        key: ClaimKey,
        _: Instant,
    ) -> Result<Option<Claim>, LedgerError> {
        let worker = worker.clone();
        self.write(move |shared, now| {
            let told = shared.told_key(key);
            let claim = shared.sqlite.claim(&worker, told, now)?;
            if let Some(claim) = &claim {
                shared.note_claim((worker.clone(), key), claim);
            }
            Ok(claim)
        })
    }

    fn beat(
        &mut self,
        worker: &WorkerName,
        leases: &[Lease],
        progress: &[Progress],
        _: Instant,
    ) -> Result<Vec<Lease>, LedgerError> {
        let (worker, leases, progress) = (worker.clone(), leases.to_vec(), progress.to_vec());
        self.write(move |shared, now| shared.sqlite.beat(&worker, &leases, &progress, now))
    }

    fn finish(
        &mut self,
        lease: Lease,
        ending: &Ending,
        _: Instant,
    ) -> Result<FinishOutcome, LedgerError> {
        let ending = ending.clone();
        self.write(move |shared, now| {
            let told = shared.told_lease(lease);
            let outcome = shared.sqlite.finish(told, &ending, now)?;
            if let FinishOutcome::Recorded { sequence, .. } = outcome {
                shared.note_end(lease, sequence);
            }
            Ok(outcome)
        })
    }

    fn note_checkpoint(&mut self, lease: Lease, checkpoint: &Digest) -> Result<bool, LedgerError> {
        let checkpoint = checkpoint.clone();
        self.write(move |shared, _| shared.sqlite.note_checkpoint(lease, &checkpoint))
    }

    fn release(
        &mut self,
        lease: Lease,
        release: &Release,
        _: Instant,
    ) -> Result<ReleaseOutcome, LedgerError> {
        let release = release.clone();
        self.write(move |shared, now| shared.sqlite.release(lease, &release, now))
    }

    fn release_all(&mut self) -> Result<usize, LedgerError> {
        self.write(|shared, _| shared.sqlite.release_all())
    }
}

impl Keeping for Access {
    fn join(
        &mut self,
        worker: &WorkerName,
        host: &str,
        slots: u16,
        _: Instant,
    ) -> Result<Joined, LedgerError> {
        let (worker, host) = (worker.clone(), host.to_string());
        self.write(move |shared, now| shared.sqlite.join(&worker, &host, slots, now))
    }

    fn leave(&mut self, worker: &WorkerName, _: Instant) -> Result<usize, LedgerError> {
        let worker = worker.clone();
        self.write(move |shared, now| shared.sqlite.leave(&worker, now))
    }

    fn note_exhausted(&mut self, worker: &WorkerName) -> Result<(), LedgerError> {
        let worker = worker.clone();
        self.write(move |shared, _| shared.sqlite.note_exhausted(&worker))
    }

    fn note_process(
        &mut self,
        worker: &WorkerName,
        role: Role,
        process: u32,
        _: Instant,
    ) -> Result<(), LedgerError> {
        let worker = worker.clone();
        self.write(move |shared, now| shared.sqlite.note_process(&worker, role, process, now))
    }

    fn lead(
        &mut self,
        holder: &str,
        seconds: f64,
        _: Instant,
    ) -> Result<Option<Term>, LedgerError> {
        let holder = holder.to_string();
        self.write(move |shared, now| {
            let term = shared.sqlite.lead(&holder, seconds, now)?;
            shared.note_term(term);
            Ok(term)
        })
    }

    fn resume_clock(&mut self, term: Term, _: Instant) -> Result<(), LedgerError> {
        self.decide(term, move |ledger, told, now| {
            ledger.resume_clock(told, now)
        })
    }

    fn count_time(&mut self, term: Term, _: Instant) -> Result<(), LedgerError> {
        self.decide(term, move |ledger, told, now| ledger.count_time(told, now))
    }

    fn keep_back(&mut self, term: Term, trials: u64, _: Instant) -> Result<(), LedgerError> {
        self.decide(term, move |ledger, told, now| {
            ledger.keep_back(told, trials, now)
        })
    }

    fn set_ending(&mut self, term: Term, reason: &str, _: Instant) -> Result<(), LedgerError> {
        let reason = reason.to_string();
        self.decide(term, move |ledger, told, now| {
            ledger.set_ending(told, &reason, now)
        })
    }

    fn explore_again(&mut self) -> Result<(), LedgerError> {
        self.write(|shared, _| shared.sqlite.explore_again())
    }

    fn set_budget(&mut self, config: &str, trials_max: Option<u64>) -> Result<(), LedgerError> {
        let config = config.to_string();
        self.write(move |shared, _| shared.sqlite.set_budget(&config, trials_max))
    }
}

impl Reading for Access {
    fn lease_secs(&self) -> f64 {
        self.shared().sqlite.lease_secs()
    }

    fn record(&self) -> Result<StudyRecord, LedgerError> {
        self.read(|ledger, _| ledger.record())
    }

    fn standing(&self, _: Instant) -> Result<Standing, LedgerError> {
        self.read(|ledger, now| ledger.standing(now))
    }

    fn spent_seconds(&self) -> Result<f64, LedgerError> {
        self.read(|ledger, _| ledger.spent_seconds())
    }

    fn nodes(&self) -> Result<Vec<Node>, LedgerError> {
        self.read(|ledger, _| ledger.nodes())
    }

    fn processes(&self) -> Result<Vec<(WorkerName, Role, u32)>, LedgerError> {
        self.read(|ledger, _| ledger.processes())
    }

    fn trials(&self) -> Result<Vec<Trial>, LedgerError> {
        self.read(|ledger, _| ledger.trials())
    }

    fn trial(&self, id: TrialId) -> Result<Trial, LedgerError> {
        self.read(|ledger, _| ledger.trial(id))
    }

    fn ended(&self, after: Sequence) -> Result<Vec<Trial>, LedgerError> {
        self.read(|ledger, _| ledger.ended(after))
    }

    fn best(&self) -> Result<Option<Trial>, LedgerError> {
        self.read(|ledger, _| ledger.best())
    }

    fn best_originals(&self, count: u32) -> Result<Vec<Trial>, LedgerError> {
        self.read(|ledger, _| ledger.best_originals(count))
    }

    fn under_way(&self, count: u32) -> Result<Vec<Trial>, LedgerError> {
        self.read(|ledger, _| ledger.under_way(count))
    }

    fn history(&self, after: Sequence) -> Result<Vec<HistoryRow>, LedgerError> {
        self.read(|ledger, _| ledger.history(after))
    }

    fn pending(&self, after: TrialId) -> Result<Vec<(TrialId, Underway)>, LedgerError> {
        self.read(|ledger, _| ledger.pending(after))
    }

    fn counts(&self) -> Result<Counts, LedgerError> {
        self.read(|ledger, _| ledger.counts())
    }

    fn ended_count(&self) -> Result<u64, LedgerError> {
        self.read(|ledger, _| ledger.ended_count())
    }

    fn claimable(&self, _: Instant) -> Result<u64, LedgerError> {
        self.read(|ledger, now| ledger.claimable(now))
    }

    fn proposals_of(&self, worker: &WorkerName) -> Result<u64, LedgerError> {
        self.read(|ledger, _| ledger.proposals_of(worker))
    }

    fn checkpoints(&self) -> Result<Vec<Digest>, LedgerError> {
        self.read(|ledger, _| ledger.checkpoints())
    }

    fn crashes_of(&self, worker: &WorkerName) -> Result<u32, LedgerError> {
        self.read(|ledger, _| ledger.crashes_of(worker))
    }

    fn unheard(
        &self,
        worker: &WorkerName,
        after: Sequence,
        after_trial: TrialId,
        _: Instant,
    ) -> Result<Unheard, LedgerError> {
        self.read(|ledger, now| ledger.unheard(worker, after, after_trial, now))
    }
}
