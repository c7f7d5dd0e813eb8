//! One ledger for all nodes and masters of a simulated cluster, between faults: it can be away, an answer can be
//! lost after the deed, and it can be broken on purpose, so that it shows whether that would be found.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::TrialId;
use study::{
    ledger::{
        Claim, ClaimKey, Counts, Ending, FinishOutcome, Joined, Keeping, LedgerError, Node,
        Operations, Proposed, Reading, Release, ReleaseOutcome, Sqlite, Standing, StudyRecord,
        Term, Unheard,
    },
    message::{Progress, Role},
    trial::{
        Candidate, Digest, HistoryRow, Instant, Lease, LeaseEpoch, Sequence, Slot, Trial,
        TrialState, Underway, WorkerName,
    },
};

/// A mistake that somebody could make in the ledger or around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// A result is taken whoever brings it.
    UnfencedFinish,
    /// The budget is not counted down with the proposal.
    ForgottenBudget,
    /// A result is reported before its weights are where they should be.
    RowBeforeWeights,
    /// A claim that is repeated is another claim.
    KeylessClaim,
}

/// What all see, and what an observer notes about it.
#[derive(Debug)]
pub(crate) struct Shared {
    sqlite: Sqlite,
    /// The database's clock.
    pub(crate) now: Instant,
    pub(crate) is_away: bool,
    /// Share of answers that are lost after the deed.
    pub(crate) loss: f64,
    pub(crate) mistake: Option<Mistake>,
    rng: ChaCha8Rng,
    claimed: BTreeMap<TrialId, LeaseEpoch>,
    given: BTreeMap<(WorkerName, Slot, u32, u64), Lease>,
    claims: u64,
    ended: BTreeMap<TrialId, LeaseEpoch>,
    budget: u64,
    /// What was seen that must not be.
    pub(crate) violation: Option<String>,
}

/// One party's way to the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    shared: Arc<Mutex<Shared>>,
    /// Whether the network is cut between the two.
    is_cut: Arc<Mutex<bool>>,
}

impl Access {
    pub(crate) fn new(record: &StudyRecord, seed: u64, mistake: Option<Mistake>) -> Access {
        let now = Instant(0.0);
        let shared = Shared {
            sqlite: Sqlite::in_memory(record, now).unwrap(),
            now,
            is_away: false,
            loss: 0.0,
            mistake,
            rng: ChaCha8Rng::seed_from_u64(seed),
            claimed: BTreeMap::new(),
            given: BTreeMap::new(),
            claims: 0,
            ended: BTreeMap::new(),
            budget: record.trials_max.unwrap_or(u64::MAX),
            violation: None,
        };
        Access {
            shared: Arc::new(Mutex::new(shared)),
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

    /// Does something at the database's time, or does not reach it, or does it and the answer is lost.
    fn at<T>(
        &self,
        deed: impl FnOnce(&mut Sqlite, Instant) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut shared = self.shared();
        let unreachable = |message: &str| LedgerError::Unreachable {
            action: "answer",
            message: message.to_string(),
        };
        if shared.is_away || *self.is_cut.lock().unwrap() {
            return Err(unreachable("away"));
        }
        let now = shared.now;
        let answer = deed(&mut shared.sqlite, now)?;
        let loss = shared.loss;
        match shared.rng.random_bool(loss) {
            true => Err(unreachable("lost")),
            false => Ok(answer),
        }
    }
}

impl Shared {
    fn see(&mut self, what: impl FnOnce() -> String, is_wrong: bool) {
        if is_wrong && self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    /// The observer's own book: the newest lease of a trial is the only one that may end it, once.
    fn note_end(&mut self, lease: Lease, sequence: Sequence) {
        let newest = self.claimed.get(&lease.trial).copied();
        let is_stale = newest != Some(lease.epoch);
        self.see(
            || format!("{lease:?} has ended a trial whose lease is {newest:?}"),
            is_stale,
        );
        let before = self.ended.insert(lease.trial, lease.epoch);
        self.see(
            || format!("trial {} has ended twice", lease.trial),
            before.is_some(),
        );
        let count = self.ended.len() as u64;
        self.see(
            || format!("place {} is the {count}th", sequence.0),
            sequence.0 < count,
        );
    }

    /// One claim is given one lease, however often it is heard; and no lease is older than one before it.
    fn note_claim(&mut self, (worker, key): (WorkerName, ClaimKey), lease: Lease) {
        let whose = (worker, key.slot, key.incarnation, key.number);
        let first = *self.given.entry(whose).or_insert(lease);
        self.see(
            || format!("a claim was given {first:?} and {lease:?}"),
            first != lease,
        );
        let before = self.claimed.insert(lease.trial, lease.epoch);
        self.see(
            || format!("{lease:?} was given out after {before:?}"),
            before.is_some_and(|before| before > lease.epoch),
        );
    }

    /// A key that no claim has had, as if claims had none.
    fn another_key(&mut self, key: ClaimKey) -> ClaimKey {
        self.claims += 1;
        ClaimKey {
            incarnation: 1,
            number: self.claims,
            ..key
        }
    }

    fn newest_lease(&self, lease: Lease) -> Lease {
        match self.sqlite.trial(lease.trial).map(|trial| trial.state) {
            Ok(TrialState::Running { epoch, .. }) => Lease { epoch, ..lease },
            _ => lease,
        }
    }
}

impl Operations for Access {
    fn propose(&mut self, candidate: &Candidate, _: Instant) -> Result<Proposed, LedgerError> {
        let is_forgotten = self.shared().mistake == Some(Mistake::ForgottenBudget);
        let budget = self.shared().budget;
        self.at(|ledger, now| {
            let proposed = ledger.propose(candidate, now)?;
            if is_forgotten && proposed != Proposed::Duplicate && ledger.counts()?.total() == budget
            {
                ledger.set_budget("{}", Some(budget + 1))?;
            }
            Ok(proposed)
        })
    }

    fn claim(
        &mut self,
        worker: &WorkerName,
        key: ClaimKey,
        _: Instant,
    ) -> Result<Option<Claim>, LedgerError> {
        let mistake = self.shared().mistake;
        let told = match mistake {
            Some(Mistake::KeylessClaim) => self.shared().another_key(key),
            _ => key,
        };
        let mut given = None;
        let answer = self.at(|ledger, now| {
            let claim = ledger.claim(worker, told, now)?;
            given = claim.as_ref().map(|claim| claim.lease);
            Ok(claim)
        });
        if let Some(lease) = given {
            self.shared().note_claim((worker.clone(), key), lease);
        }
        answer
    }

    fn beat(
        &mut self,
        worker: &WorkerName,
        leases: &[Lease],
        progress: &[Progress],
        _: Instant,
    ) -> Result<Vec<Lease>, LedgerError> {
        self.at(|ledger, now| ledger.beat(worker, leases, progress, now))
    }

    fn finish(
        &mut self,
        lease: Lease,
        ending: &Ending,
        _: Instant,
    ) -> Result<FinishOutcome, LedgerError> {
        // Not in the head of the match, which would hold the lock through its arms.
        let mistake = self.shared().mistake;
        let told = match mistake {
            Some(Mistake::UnfencedFinish) => self.shared().newest_lease(lease),
            _ => lease,
        };
        let mut recorded = None;
        let answer = self.at(|ledger, now| {
            let outcome = ledger.finish(told, ending, now)?;
            if let FinishOutcome::Recorded { sequence, .. } = outcome {
                recorded = Some(sequence);
            }
            Ok(outcome)
        });
        if let Some(sequence) = recorded {
            self.shared().note_end(lease, sequence);
        }
        answer
    }

    fn note_checkpoint(&mut self, lease: Lease, checkpoint: &Digest) -> Result<bool, LedgerError> {
        self.at(|ledger, _| ledger.note_checkpoint(lease, checkpoint))
    }

    fn release(
        &mut self,
        lease: Lease,
        release: &Release,
        _: Instant,
    ) -> Result<ReleaseOutcome, LedgerError> {
        self.at(|ledger, now| ledger.release(lease, release, now))
    }

    fn release_all(&mut self) -> Result<usize, LedgerError> {
        self.at(|ledger, _| ledger.release_all())
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
        self.at(|ledger, now| ledger.join(worker, host, slots, now))
    }

    fn leave(&mut self, worker: &WorkerName, _: Instant) -> Result<usize, LedgerError> {
        self.at(|ledger, now| ledger.leave(worker, now))
    }

    fn note_exhausted(&mut self, worker: &WorkerName) -> Result<(), LedgerError> {
        self.at(|ledger, _| ledger.note_exhausted(worker))
    }

    fn note_process(
        &mut self,
        worker: &WorkerName,
        role: Role,
        process: u32,
        _: Instant,
    ) -> Result<(), LedgerError> {
        self.at(|ledger, now| ledger.note_process(worker, role, process, now))
    }

    fn lead(
        &mut self,
        holder: &str,
        seconds: f64,
        _: Instant,
    ) -> Result<Option<Term>, LedgerError> {
        self.at(|ledger, now| ledger.lead(holder, seconds, now))
    }

    fn resume_clock(&mut self, term: Term, _: Instant) -> Result<(), LedgerError> {
        self.at(|ledger, now| ledger.resume_clock(term, now))
    }

    fn count_time(&mut self, term: Term, _: Instant) -> Result<(), LedgerError> {
        self.at(|ledger, now| ledger.count_time(term, now))
    }

    fn keep_back(&mut self, term: Term, trials: u64, _: Instant) -> Result<(), LedgerError> {
        self.at(|ledger, now| ledger.keep_back(term, trials, now))
    }

    fn set_ending(&mut self, term: Term, reason: &str, _: Instant) -> Result<(), LedgerError> {
        self.at(|ledger, now| ledger.set_ending(term, reason, now))
    }

    fn explore_again(&mut self) -> Result<(), LedgerError> {
        self.at(|ledger, _| ledger.explore_again())
    }

    fn set_budget(&mut self, config: &str, trials_max: Option<u64>) -> Result<(), LedgerError> {
        self.at(|ledger, _| ledger.set_budget(config, trials_max))
    }
}

impl Reading for Access {
    fn lease_secs(&self) -> f64 {
        self.shared().sqlite.lease_secs()
    }

    fn record(&self) -> Result<StudyRecord, LedgerError> {
        self.at(|ledger, _| ledger.record())
    }

    fn standing(&self, _: Instant) -> Result<Standing, LedgerError> {
        self.at(|ledger, now| ledger.standing(now))
    }

    fn spent_seconds(&self) -> Result<f64, LedgerError> {
        self.at(|ledger, _| ledger.spent_seconds())
    }

    fn nodes(&self) -> Result<Vec<Node>, LedgerError> {
        self.at(|ledger, _| ledger.nodes())
    }

    fn processes(&self) -> Result<Vec<(WorkerName, Role, u32)>, LedgerError> {
        self.at(|ledger, _| ledger.processes())
    }

    fn trials(&self) -> Result<Vec<Trial>, LedgerError> {
        self.at(|ledger, _| ledger.trials())
    }

    fn trial(&self, id: TrialId) -> Result<Trial, LedgerError> {
        self.at(|ledger, _| ledger.trial(id))
    }

    fn ended(&self, after: Sequence) -> Result<Vec<Trial>, LedgerError> {
        self.at(|ledger, _| ledger.ended(after))
    }

    fn best(&self) -> Result<Option<Trial>, LedgerError> {
        self.at(|ledger, _| ledger.best())
    }

    fn best_originals(&self, count: u32) -> Result<Vec<Trial>, LedgerError> {
        self.at(|ledger, _| ledger.best_originals(count))
    }

    fn history(&self, after: Sequence) -> Result<Vec<HistoryRow>, LedgerError> {
        self.at(|ledger, _| ledger.history(after))
    }

    fn pending(&self, after: TrialId) -> Result<Vec<(TrialId, Underway)>, LedgerError> {
        self.at(|ledger, _| ledger.pending(after))
    }

    fn counts(&self) -> Result<Counts, LedgerError> {
        self.at(|ledger, _| ledger.counts())
    }

    fn claimable(&self, _: Instant) -> Result<u64, LedgerError> {
        self.at(|ledger, now| ledger.claimable(now))
    }

    fn proposals_of(&self, worker: &WorkerName) -> Result<u64, LedgerError> {
        self.at(|ledger, _| ledger.proposals_of(worker))
    }

    fn checkpoints(&self) -> Result<Vec<Digest>, LedgerError> {
        self.at(|ledger, _| ledger.checkpoints())
    }

    fn crashes_of(&self, worker: &WorkerName) -> Result<u32, LedgerError> {
        self.at(|ledger, _| ledger.crashes_of(worker))
    }

    fn unheard(
        &self,
        worker: &WorkerName,
        after: Sequence,
        after_trial: TrialId,
        _: Instant,
    ) -> Result<Unheard, LedgerError> {
        self.at(|ledger, now| ledger.unheard(worker, after, after_trial, now))
    }
}
