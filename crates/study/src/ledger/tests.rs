//! The contract of a ledger, as facts. Written against the operations only, so that another engine
//! can be held to the same.

use std::collections::BTreeMap;

use search::{Origin, Outcome, Setting, TrialId};

use super::*;
use crate::trial::{Slot, TrialState, WorkerName};

fn record(trials_max: Option<u64>) -> StudyRecord {
    StudyRecord {
        config: "{}".to_string(),
        data: "digits".to_string(),
        trials_max,
    }
}

fn ledger(trials_max: Option<u64>) -> Ledger {
    Ledger::in_memory(&record(trials_max), Instant(0.0)).unwrap()
}

fn candidate(units: u32) -> Candidate {
    Candidate {
        architecture: format!("in 4 | dense {units} | relu | dense 2")
            .parse()
            .unwrap(),
        setting: Setting::default(),
        origin: Origin::Seed {
            name: format!("mlp {units}"),
        },
        promise: None,
        latency_seconds: None,
        proposed_by: WorkerName("node-1".to_string()),
    }
}

fn result(score: f64, loss: f64) -> Box<TrialResult> {
    let recipe = train::Recipe::default();
    Box::new(TrialResult {
        score,
        loss,
        metrics: BTreeMap::new(),
        epoch: 1,
        curve: Vec::new(),
        ended: train::Ended::AllEpochs,
        artifact: Digest::of(b"weights"),
        artifact_bytes: 7,
        inheritance: None,
        seconds: 1.0,
        memory_bytes: 1,
        recipe,
    })
}

fn node(number: u32) -> WorkerName {
    WorkerName(format!("node-{number}"))
}

fn propose(ledger: &mut Ledger, units: u32) -> TrialId {
    match ledger.propose(&candidate(units), Instant(1.0)).unwrap() {
        Proposed::Accepted(trial) => trial,
        other => panic!("{other:?}"),
    }
}

fn claim(ledger: &mut Ledger, number: u32, at: f64) -> Option<Lease> {
    ledger
        .claim(&node(number), Slot(0), Instant(at))
        .unwrap()
        .map(|claim| claim.lease)
}

fn finish(ledger: &mut Ledger, lease: Lease, score: f64) -> FinishOutcome {
    ledger
        .finish(lease, &Ending::Finished(result(score, 0.5)), Instant(9.0))
        .unwrap()
}

#[test]
fn a_model_trained_once_more_is_given_out_before_all_that_wait() {
    let mut ledger = ledger(None);
    let first = propose(&mut ledger, 8);
    propose(&mut ledger, 16);
    let again = |start| Candidate {
        origin: Origin::Retrained { of: first, start },
        ..candidate(8)
    };
    let starts = [search::Restart::Scratch, search::Restart::Lineage];
    let accepted = starts.map(|start| ledger.propose(&again(start), Instant(2.0)).unwrap());
    assert_eq!(
        accepted,
        [3, 4].map(|number| Proposed::Accepted(TrialId(number)))
    );
    let repeated = ledger.propose(&again(starts[0]), Instant(2.0)).unwrap();
    assert_eq!(repeated, Proposed::Duplicate);
    let lease = claim(&mut ledger, 1, 3.0).unwrap();
    assert_eq!(lease.trial, TrialId(3));
    ledger
        .finish(lease, &Ending::Finished(result(0.9, 0.1)), Instant(4.0))
        .unwrap();
    // It is the best now, but no original.
    assert_eq!(ledger.best().unwrap().unwrap().id, lease.trial);
    assert!(ledger.best_originals(3).unwrap().is_empty());
}

#[test]
fn the_oldest_waiting_trial_is_claimed_first_and_only_once() {
    let mut ledger = ledger(None);
    let trials = [propose(&mut ledger, 8), propose(&mut ledger, 9)];
    let claimed: Vec<TrialId> = (0..2)
        .map(|_| claim(&mut ledger, 1, 2.0).unwrap().trial)
        .collect();
    assert_eq!(claimed, trials);
    assert_eq!(claim(&mut ledger, 2, 2.0), None);
}

#[test]
fn the_same_trial_is_never_proposed_twice() {
    let mut ledger = ledger(None);
    propose(&mut ledger, 8);
    let again = ledger.propose(&candidate(8), Instant(2.0)).unwrap();
    assert_eq!(again, Proposed::Duplicate);
    assert_eq!(ledger.counts().unwrap().total(), 1);
}

#[test]
fn the_budget_of_trials_is_counted_down_with_each_proposal() {
    let mut ledger = ledger(Some(2));
    propose(&mut ledger, 8);
    assert_eq!(
        ledger.propose(&candidate(8), Instant(1.0)).unwrap(),
        Proposed::Duplicate
    );
    propose(&mut ledger, 9);
    let refused = ledger.propose(&candidate(10), Instant(1.0)).unwrap();
    assert_eq!(refused, Proposed::BudgetSpent);
    ledger.set_budget("{}", Some(3)).unwrap();
    propose(&mut ledger, 10);
}

#[test]
fn the_history_has_no_gaps_and_is_in_commit_order() {
    let mut ledger = ledger(None);
    for units in 8..13 {
        propose(&mut ledger, units);
    }
    let mut leases: Vec<Lease> = (0..5)
        .map(|_| claim(&mut ledger, 1, 2.0).unwrap())
        .collect();
    leases.reverse();
    for (index, lease) in leases.iter().enumerate() {
        let sequence = Sequence(index as u64 + 1);
        assert_eq!(
            finish(&mut ledger, *lease, 0.5),
            FinishOutcome::Recorded(sequence)
        );
    }
    let history = ledger.history(Sequence(2)).unwrap();
    let sequences: Vec<u64> = history.iter().map(|row| row.sequence.0).collect();
    let trials: Vec<u64> = history.iter().map(|row| row.trial.0).collect();
    assert_eq!((sequences, trials), (vec![3, 4, 5], vec![3, 2, 1]));
}

#[test]
fn a_result_told_twice_is_recorded_once() {
    let mut ledger = ledger(None);
    propose(&mut ledger, 8);
    let lease = claim(&mut ledger, 1, 2.0).unwrap();
    assert_eq!(
        finish(&mut ledger, lease, 0.5),
        FinishOutcome::Recorded(Sequence(1))
    );
    assert_eq!(
        finish(&mut ledger, lease, 0.5),
        FinishOutcome::Again(Sequence(1))
    );
    assert_eq!(ledger.counts().unwrap().finished, 1);
}

#[test]
fn a_result_of_a_lost_lease_is_a_stray_and_changes_nothing() {
    let mut ledger = ledger(None);
    propose(&mut ledger, 8);
    let lost = claim(&mut ledger, 1, 2.0).unwrap();
    let taken = claim(&mut ledger, 2, 2.0 + LEASE_SECS + 1.0).unwrap();
    assert_eq!(taken.trial, lost.trial);
    assert_eq!(finish(&mut ledger, lost, 0.9), FinishOutcome::Stray);
    assert!(ledger.best().unwrap().is_none());
    assert_eq!(
        finish(&mut ledger, taken, 0.4),
        FinishOutcome::Recorded(Sequence(1))
    );
}

#[test]
fn a_lease_that_ran_out_revives_if_nobody_took_the_trial() {
    let mut ledger = ledger(None);
    propose(&mut ledger, 8);
    let lease = claim(&mut ledger, 1, 2.0).unwrap();
    let late = Instant(2.0 + 10.0 * LEASE_SECS);
    assert_eq!(ledger.beat(&[lease], late).unwrap(), Vec::new());
    assert_eq!(claim(&mut ledger, 2, late.0 + 1.0), None);
}

#[test]
fn a_lease_taken_by_another_is_reported_as_lost() {
    let mut ledger = ledger(None);
    propose(&mut ledger, 8);
    let lost = claim(&mut ledger, 1, 2.0).unwrap();
    claim(&mut ledger, 2, 3.0 + LEASE_SECS).unwrap();
    assert_eq!(
        ledger.beat(&[lost], Instant(4.0 + LEASE_SECS)).unwrap(),
        vec![lost]
    );
}

#[test]
fn a_trial_whose_trainer_dies_too_often_has_failed() {
    let mut ledger = ledger(None);
    propose(&mut ledger, 8);
    let crash = Release::Crashed {
        message: "signal 9".to_string(),
    };
    for attempt in 1..=CRASHES_MAX {
        let lease = claim(&mut ledger, 1, f64::from(attempt)).unwrap();
        let outcome = ledger.release(lease, &crash, Instant(5.0)).unwrap();
        let given_up = matches!(outcome, ReleaseOutcome::GivenUp(_));
        assert_eq!(
            given_up,
            attempt == CRASHES_MAX,
            "attempt {attempt}: {outcome:?}"
        );
    }
    let counts = ledger.counts().unwrap();
    assert_eq!((counts.failed, counts.queued), (1, 0));
}

#[test]
fn a_returned_trial_waits_again_and_nobody_is_to_blame() {
    let mut ledger = ledger(None);
    let trial = propose(&mut ledger, 8);
    for _ in 0..10 {
        let lease = claim(&mut ledger, 1, 2.0).unwrap();
        let outcome = ledger
            .release(lease, &Release::Returned, Instant(3.0))
            .unwrap();
        assert_eq!(outcome, ReleaseOutcome::Queued);
    }
    assert_eq!(ledger.trial(trial).unwrap().crashes, 0);
}

#[test]
fn the_best_is_the_highest_score_then_the_lowest_loss() {
    let mut ledger = ledger(None);
    for (units, score, loss) in [(8, 0.7, 0.3), (9, 0.9, 0.4), (10, 0.9, 0.2), (11, 0.8, 0.1)] {
        propose(&mut ledger, units);
        let lease = claim(&mut ledger, 1, 2.0).unwrap();
        ledger
            .finish(lease, &Ending::Finished(result(score, loss)), Instant(3.0))
            .unwrap();
    }
    assert_eq!(ledger.best().unwrap().unwrap().id, TrialId(3));
}

#[test]
fn a_child_is_claimed_with_its_parents_network_and_weights() {
    let mut ledger = ledger(None);
    let parent = propose(&mut ledger, 8);
    let lease = claim(&mut ledger, 1, 2.0).unwrap();
    finish(&mut ledger, lease, 0.5);
    let child = Candidate {
        origin: Origin::Variant {
            parent,
            morphs: Vec::new(),
            temperature: 1.0,
            base_models: vec![parent],
            targets: vec![parent],
        },
        ..candidate(16)
    };
    ledger.propose(&child, Instant(3.0)).unwrap();
    let claim = ledger
        .claim(&node(2), Slot(0), Instant(4.0))
        .unwrap()
        .unwrap();
    let parent = claim.parent.unwrap();
    assert_eq!(parent.candidate.architecture, candidate(8).architecture);
    assert_eq!(parent.artifact, Digest::of(b"weights"));
    assert_eq!(parent.score, 0.5);
}

#[test]
fn a_stopped_trial_has_its_place_in_the_history_and_is_never_the_best() {
    let mut ledger = ledger(None);
    propose(&mut ledger, 8);
    let lease = claim(&mut ledger, 1, 2.0).unwrap();
    finish(&mut ledger, lease, 0.5);
    propose(&mut ledger, 9);
    let lease = claim(&mut ledger, 1, 2.0).unwrap();
    let stop = EarlyStop {
        curve: Vec::new(),
        inheritance: None,
        seconds: 1.0,
        memory_bytes: 1,
        recipe: train::Recipe::default(),
    };
    let ending = Ending::Stopped {
        stop: Box::new(stop),
        expected: 0.75,
    };
    let recorded = ledger.finish(lease, &ending, Instant(3.0)).unwrap();
    assert_eq!(recorded, FinishOutcome::Recorded(Sequence(2)));
    let again = ledger.finish(lease, &ending, Instant(4.0)).unwrap();
    assert_eq!(again, FinishOutcome::Again(Sequence(2)));
    let outcomes: Vec<Outcome> = ledger
        .history(Sequence(0))
        .unwrap()
        .iter()
        .map(|row| row.outcome)
        .collect();
    let expected = 0.75;
    assert_eq!(
        outcomes,
        [Outcome::Scored(0.5), Outcome::Stopped { expected }]
    );
    assert_eq!(ledger.best().unwrap().unwrap().id, TrialId(1));
    let counts = ledger.counts().unwrap();
    assert_eq!((counts.stopped, counts.ended()), (1, 2));
    assert!(ledger.trial(TrialId(2)).unwrap().result().is_none());
}

#[test]
fn what_was_acknowledged_is_there_after_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let mut ledger = Ledger::create(&path, &record(Some(7)), Instant(0.0)).unwrap();
    propose(&mut ledger, 8);
    let lease = claim(&mut ledger, 1, 2.0).unwrap();
    finish(&mut ledger, lease, 0.5);
    propose(&mut ledger, 9);
    claim(&mut ledger, 1, 3.0).unwrap();
    // Not dropped in order: as if the process had been killed.
    std::mem::forget(ledger);
    let mut again = Ledger::open(&path).unwrap();
    assert_eq!(again.record().unwrap().trials_max, Some(5));
    assert!(matches!(
        again.trial(TrialId(1)).unwrap().state,
        TrialState::Finished { .. }
    ));
    assert_eq!(again.release_all(None).unwrap(), 1);
    assert_eq!(again.counts().unwrap().queued, 1);
}

#[test]
fn a_ledger_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    drop(Ledger::create(&path, &record(None), Instant(0.0)).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = Ledger::open(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ledger has format 99; this lehr reads format 3"
    );
}
