//! Trials that nobody trained, for tests of what is shown of them.

use std::collections::BTreeMap;

use search::{Origin, Setting, TrialId};
use study::trial::{
    Candidate, Digest, EarlyStop, FailReason, Instant, Run, Sequence, Slot, Trial, TrialResult,
    TrialState, WorkerName,
};
use train::{Ended, EpochReport, Evaluation, Metric, Recipe};

pub(crate) fn trial(id: u64, state: TrialState) -> Trial {
    let name = "linear".to_string();
    Trial {
        id: TrialId(id),
        candidate: Candidate {
            architecture: "in 4 | dense 1".parse().expect("it is a network"),
            setting: Setting::default(),
            origin: Origin::Seed { name },
            promise: None,
            latency_seconds: None,
            proposed_by: WorkerName("master".to_string()),
        },
        proposed_at: Instant(0.0),
        crashes: 0,
        state,
    }
}

pub(crate) fn run(claimed: f64, finished: f64) -> Run {
    Run {
        worker: WorkerName("node-1".to_string()),
        slot: Slot(0),
        claimed_at: Instant(claimed),
        finished_at: Instant(finished),
    }
}

/// Epochs of a regression, whose scores are errors with a minus.
pub(crate) fn epochs(count: u32, error: f64) -> Vec<EpochReport> {
    let validation = Evaluation {
        metrics: BTreeMap::from([(Metric::Rmse, error)]),
        loss: 0.3,
        rows: 40,
    };
    let epoch = |epoch: u32| EpochReport {
        epoch,
        train_loss: 0.2,
        validation: validation.clone(),
        score: -error,
        seconds: f64::from(epoch),
    };
    (1..=count).map(epoch).collect()
}

/// A trial of three epochs with this error; the second was the best.
pub(crate) fn finished(id: u64, error: f64, loss: f64) -> Trial {
    let result = TrialResult {
        score: -error,
        loss,
        metrics: BTreeMap::from([(Metric::Rmse, error)]),
        epoch: 2,
        curve: epochs(3, error),
        ended: Ended::AllEpochs,
        artifact: Digest::of(b"weights"),
        artifact_bytes: 20,
        inheritance: None,
        seconds: 37.0,
        memory_bytes: 1024,
        recipe: Recipe::default(),
    };
    let state = TrialState::Finished {
        sequence: Sequence(id),
        run: run(0.0, 40.0),
        result: Box::new(result),
    };
    trial(id, state)
}

/// A trial that was stopped after so many epochs, when this score was expected of it.
pub(crate) fn stopped(id: u64, trained: u32, expected: f64) -> Trial {
    let stop = EarlyStop {
        curve: epochs(trained, 0.7),
        inheritance: None,
        seconds: 3.0,
        memory_bytes: 1024,
        recipe: Recipe::default(),
    };
    let state = TrialState::Stopped {
        sequence: Sequence(id),
        run: run(0.0, 4.0),
        stop: Box::new(stop),
        expected,
    };
    trial(id, state)
}

pub(crate) fn failed(id: u64, reason: FailReason) -> Trial {
    let state = TrialState::Failed {
        sequence: Sequence(id),
        run: run(0.0, 1.0),
        reason,
    };
    trial(id, state)
}
