//! One ledger for all nodes and masters of a simulated cluster, and an observer's book of what is done to it; it
//! can be broken on purpose, so that it shows whether that would be found.

use std::{collections::BTreeMap, fmt};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::TrialId;
use study::{
    ledger::{Claim, ClaimKey, Keeping, LedgerError, Proposed, Reading, Sqlite, StudyRecord, Term},
    trial::{Digest, Instant, Lease, LeaseEpoch, Sequence, Slot, TrialState, WorkerName},
};
use train::EpochReport;

/// How late a request can arrive, in seconds: longer than a lease.
const LATE_SECS_MAX: f64 = 150.0;

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
    /// What a master decides counts after its term, too.
    EndlessTerm,
    /// A checkpoint is noted before it is where every node finds it.
    RowBeforeCheckpoint,
}

/// What becomes of a request that reaches the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// It is carried out, and nobody hears of it.
    Unheard,
    /// It is carried out after its sender has given it up.
    Late,
    /// It is carried out and answered, and arrives once more.
    Twice,
}

/// A request that is still on its way.
type Deed = Box<dyn FnOnce(&mut Shared, Instant) + Send>;

/// What all see, and what an observer notes about it.
pub(crate) struct Shared {
    pub(crate) sqlite: Sqlite,
    /// The database's clock.
    pub(crate) now: Instant,
    pub(crate) is_away: bool,
    /// It answers, and can write nothing.
    pub(crate) is_full: bool,
    /// Share of requests that have another fate than to be answered.
    pub(crate) loss: f64,
    pub(crate) mistake: Option<Mistake>,
    rng: ChaCha8Rng,
    claimed: BTreeMap<TrialId, LeaseEpoch>,
    given: BTreeMap<(WorkerName, Slot, u32, u64), Lease>,
    claims: u64,
    ended: BTreeMap<TrialId, LeaseEpoch>,
    budget: u64,
    term: Option<Term>,
    late: Vec<(Instant, Deed)>,
    /// Trainings that can be gone on with, where every node finds them.
    pub(crate) kept: BTreeMap<Digest, Vec<EpochReport>>,
    /// What was seen that must not be.
    pub(crate) violation: Option<String>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a ledger at {:?}", self.now)
    }
}

impl Shared {
    pub(crate) fn new(record: &StudyRecord, seed: u64, mistake: Option<Mistake>) -> Shared {
        let now = Instant(0.0);
        Shared {
            sqlite: Sqlite::in_memory(record, now).unwrap(),
            now,
            is_away: false,
            is_full: false,
            loss: 0.0,
            mistake,
            rng: ChaCha8Rng::seed_from_u64(seed),
            claimed: BTreeMap::new(),
            given: BTreeMap::new(),
            claims: 0,
            ended: BTreeMap::new(),
            budget: record.trials_max.unwrap_or(u64::MAX),
            term: None,
            late: Vec::new(),
            kept: BTreeMap::new(),
            violation: None,
        }
    }

    /// Whether an answer is lost.
    pub(crate) fn is_lost(&mut self) -> bool {
        self.rng.random_bool(self.loss)
    }

    /// What becomes of a request that changes something.
    pub(crate) fn fate(&mut self) -> Fate {
        match self.is_lost() {
            false => Fate::Answered,
            true => [Fate::Unheard, Fate::Late, Fate::Twice][self.rng.random_range(0..3)],
        }
    }

    pub(crate) fn arrives_later(&mut self, deed: Deed) {
        let late = self.rng.random_range(0.0..LATE_SECS_MAX);
        let at = self.now.plus(late);
        self.late.push((at, deed));
    }

    /// What was on its way arrives, if its time has come and there is a ledger.
    pub(crate) fn arrive(&mut self) {
        let now = self.now;
        while !self.is_away && !self.is_full {
            let due = self.late.iter().position(|(at, _)| now.since(*at) >= 0.0);
            let Some(due) = due else { return };
            let (_, deed) = self.late.remove(due);
            deed(self, now);
        }
    }

    /// A lease that a node has been given is one that it may have.
    pub(crate) fn note_job(
        &mut self,
        lease: Lease,
        checkpoint: Option<&Digest>,
    ) -> Vec<EpochReport> {
        let Some(digest) = checkpoint else {
            return Vec::new();
        };
        let curve = self.kept.get(digest).cloned();
        self.see(
            || format!("{lease:?} begins with a checkpoint that is nowhere"),
            curve.is_none(),
        );
        curve.unwrap_or_default()
    }

    pub(crate) fn note_proposal(&mut self, proposed: Proposed) -> Result<(), LedgerError> {
        let is_forgotten = self.mistake == Some(Mistake::ForgottenBudget);
        if is_forgotten
            && proposed != Proposed::Duplicate
            && self.sqlite.counts()?.total() == self.budget
        {
            self.sqlite.set_budget("{}", Some(self.budget + 1))?;
        }
        Ok(())
    }

    /// A later term is another master's; the earlier ones are over.
    pub(crate) fn note_term(&mut self, term: Option<Term>) {
        self.term = self.term.max(term);
    }

    /// Only the master of the newest term decides.
    pub(crate) fn note_decision(&mut self, term: Term) {
        let newest = self.term;
        self.see(
            || format!("the master of {term:?} has decided in {newest:?}"),
            newest != Some(term),
        );
    }

    /// The term that is named: with a mistake the newest, whoever decides.
    pub(crate) fn told_term(&self, term: Term) -> Term {
        match self.mistake {
            Some(Mistake::EndlessTerm) => self.term.unwrap_or(term),
            _ => term,
        }
    }

    pub(crate) fn told_key(&mut self, key: ClaimKey) -> ClaimKey {
        match self.mistake {
            Some(Mistake::KeylessClaim) => self.another_key(key),
            _ => key,
        }
    }

    pub(crate) fn told_lease(&self, lease: Lease) -> Lease {
        match self.mistake {
            Some(Mistake::UnfencedFinish) => self.newest_lease(lease),
            _ => lease,
        }
    }

    fn see(&mut self, what: impl FnOnce() -> String, is_wrong: bool) {
        if is_wrong && self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    /// The observer's own book: the newest lease of a trial is the only one that may end it, once.
    pub(crate) fn note_end(&mut self, lease: Lease, sequence: Sequence) {
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
    pub(crate) fn note_claim(&mut self, (worker, key): (WorkerName, ClaimKey), claim: &Claim) {
        let lease = claim.lease;
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
