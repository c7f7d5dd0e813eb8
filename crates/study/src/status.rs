//! How a study stands, read from its ledger alone: for `status`, the report and the tests.

use std::collections::BTreeMap;

use search::TrialId;
use serde::Serialize;

use crate::{
    config::StudyConfig,
    ledger::{Counts, Ledger, LedgerError},
    trial::{FailReason, Run, Slot, Trial, TrialState, WorkerName},
};

/// How a study stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// How many trials are where.
    pub counts: Counts,
    /// The best trial and its value of the metric.
    pub best: Option<(TrialId, f64)>,
    /// Seconds of exploring so far.
    pub spent_seconds: f64,
    /// Share of the budget used.
    pub budget_used: f64,
    /// How busy the trainers were; absent before two trials have ended.
    pub busy: Option<Busy>,
    /// Failed trials by kind.
    pub failures: BTreeMap<String, u64>,
}

/// How busy trainers were between the first claim and the last end, by the ledger's timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Busy {
    /// Trainers that ended a trial.
    pub slots: usize,
    /// Seconds from the first claim to the last end.
    pub span_seconds: f64,
    /// Seconds of all trials together.
    pub trial_seconds: f64,
    /// `trial_seconds / (span_seconds · slots)`.
    pub share: f64,
}

impl Status {
    /// Reads how the study stands.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn read(ledger: &dyn Ledger, config: &StudyConfig) -> Result<Status, LedgerError> {
        let trials = ledger.trials()?;
        let counts = ledger.counts()?;
        let spent_seconds = ledger.spent_seconds()?;
        let best = ledger.best()?.and_then(|trial| {
            let value = trial.result()?.metrics.get(&config.metric?).copied()?;
            Some((trial.id, value))
        });
        let reasons = trials.iter().filter_map(|trial| match &trial.state {
            TrialState::Failed { reason, .. } => Some(reason),
            _ => None,
        });
        Ok(Status {
            counts,
            best,
            spent_seconds,
            budget_used: config.budget.used(spent_seconds, counts.ended()),
            busy: busy(trials.iter().filter_map(Trial::run)),
            failures: by_kind(reasons),
        })
    }
}

/// How often each kind of failure came.
pub fn by_kind<'a>(reasons: impl Iterator<Item = &'a FailReason>) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for reason in reasons {
        *kinds.entry(reason.kind().to_string()).or_insert(0) += 1;
    }
    kinds
}

/// How busy the trainers were that ended these trials; absent before two have ended.
pub fn busy<'a>(runs: impl Iterator<Item = &'a Run>) -> Option<Busy> {
    let mut slots: BTreeMap<(&WorkerName, Slot), f64> = BTreeMap::new();
    let mut first = f64::INFINITY;
    let mut last = f64::NEG_INFINITY;
    let mut ended = 0;
    for run in runs {
        let seconds = run.finished_at.since(run.claimed_at);
        *slots.entry((&run.worker, run.slot)).or_insert(0.0) += seconds;
        first = first.min(run.claimed_at.0);
        last = last.max(run.finished_at.0);
        ended += 1;
    }
    if ended < 2 || last <= first {
        return None;
    }
    let span_seconds = last - first;
    let trial_seconds: f64 = slots.values().sum();
    let share = trial_seconds / (span_seconds * slots.len() as f64);
    Some(Busy {
        slots: slots.len(),
        span_seconds,
        trial_seconds,
        share,
    })
}
