//! Nothing that is needed ever goes, and nothing else stays.

use std::collections::BTreeMap;

use proptest::prelude::*;
use search::{Origin, Restart, Setting};
use train::{Ended, Recipe};

use super::*;
use crate::{
    store::ObjectName,
    trial::{
        Candidate, FailReason, Instant, LeaseEpoch, Run, Sequence, Slot, TrialResult, TrialState,
        WorkerName,
    },
};

const HOUR: f64 = 3_600.0;

fn digest(number: u64) -> Digest {
    Digest::of(&number.to_le_bytes())
}

pub(crate) fn seed(name: &str) -> Origin {
    Origin::Seed {
        name: name.to_string(),
    }
}

pub(crate) fn child_of(parent: u64) -> Origin {
    Origin::Variant {
        parent: TrialId(parent),
        morphs: Vec::new(),
        temperature: 1.0,
        base_models: Vec::new(),
        targets: Vec::new(),
    }
}

pub(crate) fn trial(id: u64, origin: Origin, state: TrialState) -> Trial {
    Trial {
        id: TrialId(id),
        candidate: Candidate {
            architecture: "in 4 | dense 2".parse().unwrap(),
            setting: Setting::default(),
            origin,
            promise: None,
            latency_seconds: None,
            proposed_by: worker(),
        },
        proposed_at: Instant(0.0),
        crashes: 0,
        state,
    }
}

fn worker() -> WorkerName {
    WorkerName("node-1".to_string())
}

fn run() -> Run {
    Run {
        worker: worker(),
        slot: Slot(0),
        claimed_at: Instant(0.0),
        finished_at: Instant(1.0),
    }
}

pub(crate) fn finished(id: u64, score: f64, loss: f64) -> TrialState {
    TrialState::Finished {
        sequence: Sequence(id),
        run: run(),
        result: Box::new(TrialResult {
            score,
            loss,
            metrics: BTreeMap::new(),
            epoch: 1,
            curve: Vec::new(),
            ended: Ended::AllEpochs,
            artifact: digest(id),
            artifact_bytes: 1,
            inheritance: None,
            seconds: 1.0,
            memory_bytes: 1,
            recipe: Recipe::default(),
        }),
    }
}

pub(crate) fn running() -> TrialState {
    TrialState::Running {
        epoch: LeaseEpoch(1),
        worker: worker(),
        slot: Slot(0),
        claimed_at: Instant(0.0),
        lease_until: Instant(60.0),
    }
}

fn failed(id: u64) -> TrialState {
    TrialState::Failed {
        sequence: Sequence(id),
        run: run(),
        reason: FailReason::OutOfTime,
    }
}

pub(crate) fn listed(number: u64, age_hours: f64) -> Listed {
    Listed {
        name: ObjectName::weights(&digest(number)).to_string(),
        bytes: 100,
        age_seconds: age_hours * HOUR,
    }
}

fn check_goes(trials: &[Trial], keep: usize, expected: &[u64]) {
    let needs = Needs::of(trials, &[], &[]);
    let list: Vec<Listed> = trials
        .iter()
        .map(|trial| listed(trial.id.0, 100.0))
        .collect();
    let keep = Keep {
        best: keep,
        ..Keep::default()
    };
    let swept = sweep(&needs, keep, &list);
    let names = |numbers: &[u64]| -> Vec<String> {
        numbers
            .iter()
            .map(|number| listed(*number, 0.0).name)
            .collect()
    };
    let goes: Vec<String> = swept
        .goes
        .iter()
        .map(|listed| listed.name.clone())
        .collect();
    assert_eq!(goes, names(expected));
    assert_eq!(swept.bytes_freed(), 100 * expected.len() as u64);
}

#[test]
fn losers_go_and_the_best_stay_by_score_then_loss_then_number() {
    let trials: Vec<Trial> = [(0.5, 0.3), (0.9, 0.2), (0.9, 0.1), (0.9, 0.1), (0.1, 0.9)]
        .into_iter()
        .zip(1..)
        .map(|((score, loss), id)| trial(id, seed("mlp"), finished(id, score, loss)))
        .collect();
    check_goes(&trials, 9, &[]);
    check_goes(&trials, 3, &[1, 5]);
    check_goes(&trials, 1, &[1, 2, 4, 5]);
    // The best one is never removed.
    check_goes(&trials, 0, &[1, 2, 4, 5]);
}

#[test]
fn what_waiting_and_running_trials_begin_with_stays() {
    let mut trials: Vec<Trial> = (1..=6)
        .map(|id| trial(id, seed("mlp"), finished(id, id as f64, 0.0)))
        .collect();
    trials.push(trial(7, child_of(1), TrialState::Queued));
    trials.push(trial(8, child_of(2), running()));
    trials.push(trial(9, child_of(3), failed(9)));
    let again = Origin::Retrained {
        of: TrialId(4),
        start: Restart::Lineage,
    };
    trials.push(trial(10, again, TrialState::Queued));
    // Old files of trials without a result are nobody's.
    check_goes(&trials, 1, &[3, 5, 7, 8, 9, 10]);
}

#[test]
fn what_the_end_of_a_study_compares_with_stays() {
    let linear = seed(crate::open::LINEAR_BASELINE);
    let trials = [
        trial(1, linear, finished(1, 0.1, 0.0)),
        trial(2, seed("mlp"), finished(2, 0.2, 0.0)),
        trial(3, seed("mlp"), finished(3, 0.3, 0.0)),
    ];
    check_goes(&trials, 1, &[2]);
    let needs = Needs::of(&trials, &[TrialId(2)], &[]);
    let list: Vec<Listed> = (1..=3).map(|id| listed(id, 100.0)).collect();
    let keep = Keep {
        best: 1,
        ..Keep::default()
    };
    assert!(
        sweep(&needs, keep, &list).goes.is_empty(),
        "2 is of the front"
    );
}

#[test]
fn what_nobody_names_stays_for_a_day() {
    let part = |age: f64| Listed {
        name: format!("{}.safetensors.01.part", digest(1)),
        bytes: 1,
        age_seconds: age * HOUR,
    };
    let chunk = Listed {
        name: format!("{}.chunk", digest(1)),
        bytes: 1,
        age_seconds: 1_000.0 * HOUR,
    };
    let list = [
        listed(1, 23.0),
        listed(2, 25.0),
        part(23.0),
        part(25.0),
        chunk,
    ];
    let swept = sweep(&Needs::default(), Keep::default(), &list);
    assert_eq!(swept.goes, [list[1].clone(), list[3].clone()]);
}

/// What can be said of one trial: its kind, its score in few steps so that there are equal ones, its parent.
type Drawn = (u8, u8, u8, prop::sample::Index);

fn ledger(drawn: &[Drawn]) -> Vec<Trial> {
    let mut trials: Vec<Trial> = Vec::new();
    for ((kind, score, loss, parent), id) in drawn.iter().zip(1..) {
        let state = match kind {
            0 => TrialState::Queued,
            1 => running(),
            2 => failed(id),
            _ => finished(id, f64::from(*score), f64::from(*loss)),
        };
        let ended: Vec<u64> = trials
            .iter()
            .filter(|trial| trial.result().is_some())
            .map(|trial| trial.id.0)
            .collect();
        let origin = match (ended.is_empty(), score % 3) {
            (true, _) | (_, 0) => seed("mlp"),
            _ => child_of(ended[parent.index(ended.len())]),
        };
        trials.push(trial(id, origin, state));
    }
    trials
}

/// Whether a file may not go, as slowly as it can be said.
fn is_needed(
    trials: &[Trial],
    front: &[TrialId],
    checkpoint: u64,
    keep: Keep,
    file: &Listed,
) -> bool {
    let of = |trial: &Trial| listed(trial.id.0, 0.0).name == file.name;
    let better_than = |trial: &Trial| {
        let own = trial.result().unwrap();
        let is_better = |other: &&Trial| {
            other.result().is_some_and(|result| {
                (result.score, -result.loss, -(other.id.0 as f64))
                    > (own.score, -own.loss, -(trial.id.0 as f64))
            })
        };
        trials.iter().filter(is_better).count()
    };
    let newer_than = |trial: &Trial| {
        let is_newer =
            |other: &&Trial| other.result().is_some() && other.sequence() > trial.sequence();
        trials.iter().filter(is_newer).count()
    };
    let is_begun_with = |trial: &Trial| {
        trials.iter().any(|other| {
            matches!(other.state, TrialState::Queued | TrialState::Running { .. })
                && other.candidate.parent() == Some(trial.id)
        })
    };
    if file.name == listed(checkpoint, 0.0).name {
        return true;
    }
    match trials
        .iter()
        .find(|trial| trial.result().is_some() && of(trial))
    {
        Some(trial) => {
            better_than(trial) < keep.best.max(1)
                || newer_than(trial) < keep.newest
                || is_begun_with(trial)
                || front.contains(&trial.id)
        }
        None => file.age_seconds < 24.0 * HOUR,
    }
}

proptest! {
    #[test]
    fn exactly_what_nobody_needs_goes(
        drawn in prop::collection::vec((0u8..8, 0u8..5, 0u8..3, any::<prop::sample::Index>()), 0..40),
        files in prop::collection::vec((0u64..60, 0f64..48.0), 0..60),
        front in prop::collection::vec(1u64..40, 0..4),
        checkpoint in 0u64..60,
        (best, newest) in (0usize..10, 0usize..10),
    ) {
        let trials = ledger(&drawn);
        let front: Vec<TrialId> = front.into_iter().map(TrialId).collect();
        let list: Vec<Listed> = files.into_iter().map(|(number, age)| listed(number, age)).collect();
        let needs = Needs::of(&trials, &front, &[digest(checkpoint)]);
        let rule = Keep { best, newest, ..Keep::default() };
        let swept = sweep(&needs, rule, &list);
        for file in &swept.goes {
            prop_assert!(!is_needed(&trials, &front, checkpoint, rule, file), "{file:?} is needed");
        }
        for file in &swept.stays {
            prop_assert!(is_needed(&trials, &front, checkpoint, rule, file), "{file:?} is not needed");
        }
        prop_assert_eq!(swept.goes.len() + swept.stays.len(), list.len());
        let again = sweep(&needs, rule, &swept.stays);
        prop_assert!(again.goes.is_empty());
    }
}
