//! The contract of a ledger, as facts. Written against the operations only: both engines are held to the same.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod bench;
mod migration;
mod repeats;
mod restarts;
#[path = "../servers/mod.rs"]
mod servers;
mod tracks;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
};

use bench::{Bench, candidate, early_stop, node, record, recorded, result};
use repeats::{
    a_claim_that_comes_after_a_later_one_gives_nothing,
    a_claim_that_is_repeated_gives_the_same_lease_again,
    a_result_of_a_trial_that_was_given_back_counts_until_another_takes_it,
    a_trial_that_has_ended_is_counted_once_however_often_is_asked,
    a_trial_that_kills_every_trainer_is_to_blame_and_not_its_worker,
    a_worker_that_joins_again_claims_anew, what_is_written_after_the_end_of_a_term_is_refused,
    what_waits_or_runs_is_listed_by_number_and_what_has_ended_is_counted,
};
use search::{Origin, Outcome, TrialId};
use servers::PostgresServer;
use study::{
    ledger::{
        Admission, CRASHES_MAX, Ending, FinishOutcome, LEASE_SECS, Operations, Postgres, Proposed,
        Reading, Release, ReleaseOutcome, Sqlite, WORKER_CRASHES_MAX,
    },
    message::Course,
    trial::{Candidate, Digest, Instant, Lease, Sequence, Slot, TrialState},
};
use tracks::others_hear_what_they_compare_with_and_no_more;

macro_rules! facts {
    ($($fact:ident,)*) => {
        mod in_sqlite {
            $(#[test]
            fn $fact() {
                super::$fact(&mut super::Bench::in_sqlite());
            })*
        }

        /// One server for all of them; each fact has a study of its own.
        #[test]
        fn postgres_keeps_the_same_contract() {
            let Some(server) = PostgresServer::start() else { return };
            let facts: &[(&str, fn(&mut Bench<'_>))] = &[$((stringify!($fact), $fact),)*];
            let mut broken = Vec::new();
            for (number, (name, fact)) in facts.iter().enumerate() {
                let mut bench = Bench::in_postgres(&server, &format!("fact_{number}"));
                if catch_unwind(AssertUnwindSafe(|| fact(&mut bench))).is_err() {
                    broken.push(*name);
                }
            }
            assert!(broken.is_empty(), "broken on PostgreSQL: {broken:#?}");
        }
    };
}

facts! {
    a_paused_training_is_given_out_with_where_it_was,
    a_training_that_breaks_off_is_given_out_with_its_last_checkpoint,
    a_model_trained_once_more_is_given_out_before_all_that_wait,
    the_oldest_waiting_trial_is_claimed_first_and_only_once,
    the_same_trial_is_never_proposed_twice,
    the_budget_of_trials_is_counted_down_with_each_proposal,
    the_history_has_no_gaps_and_is_in_commit_order,
    a_result_told_twice_is_recorded_once,
    a_result_of_a_lost_lease_is_a_stray_and_changes_nothing,
    a_lease_that_ran_out_revives_if_nobody_took_the_trial,
    a_lease_taken_by_another_is_reported_as_lost,
    a_trial_whose_trainer_dies_too_often_has_failed,
    a_returned_trial_waits_again_and_nobody_is_to_blame,
    the_best_is_the_highest_score_then_the_lowest_loss,
    a_child_is_claimed_with_its_parents_network_and_weights,
    a_stopped_trial_has_its_place_in_the_history_and_is_never_the_best,
    a_score_that_is_no_finite_number_survives,
    others_hear_what_they_compare_with_and_no_more,
    what_a_worker_says_is_kept_to_the_letter,
    trials_kept_back_are_for_retrainings_only,
    time_counts_while_somebody_explores,
    a_study_that_ends_says_so_to_everybody,
    one_leads_until_it_is_not_heard_of,
    what_waits_or_runs_is_listed_by_number_and_what_has_ended_is_counted,
    what_is_written_after_the_end_of_a_term_is_refused,
    a_claim_that_is_repeated_gives_the_same_lease_again,
    a_claim_that_comes_after_a_later_one_gives_nothing,
    a_worker_that_joins_again_claims_anew,
    a_result_of_a_trial_that_was_given_back_counts_until_another_takes_it,
    a_trial_that_kills_every_trainer_is_to_blame_and_not_its_worker,
    a_trial_that_has_ended_is_counted_once_however_often_is_asked,
    workers_are_numbered_as_they_come_and_known_when_they_come_again,
    trainers_that_die_one_after_the_other_are_counted_for_their_worker,
    a_trial_that_ends_well_clears_its_worker,
    what_is_new_is_told_once_and_whole,
    all_running_trials_can_be_taken_back,
    processes_are_listed_as_they_were_started,
}

fn a_model_trained_once_more_is_given_out_before_all_that_wait(bench: &mut Bench<'_>) {
    let first = bench.propose(8);
    bench.propose(16);
    let again = |start| Candidate {
        origin: Origin::Retrained { of: first, start },
        ..candidate(8)
    };
    let starts = [search::Restart::Scratch, search::Restart::Lineage];
    let accepted = starts.map(|start| bench.try_propose(&again(start)));
    assert_eq!(
        accepted,
        [3, 4].map(|number| Proposed::Accepted(TrialId(number)))
    );
    let repeated = bench.try_propose(&again(starts[0]));
    assert_eq!(repeated, Proposed::Duplicate);
    let lease = bench.claim(1).unwrap();
    assert_eq!(lease.trial, TrialId(3));
    bench.end(lease, &Ending::Finished(result(0.9, 0.1)));
    // It is the best now, but no original.
    assert_eq!(bench.ledger.best().unwrap().unwrap().id, lease.trial);
    assert!(bench.ledger.best_originals(3).unwrap().is_empty());
}

fn the_oldest_waiting_trial_is_claimed_first_and_only_once(bench: &mut Bench<'_>) {
    let trials = [bench.propose(8), bench.propose(9)];
    let claimed: Vec<TrialId> = (0..2).map(|_| bench.claim(1).unwrap().trial).collect();
    assert_eq!(claimed, trials);
    assert_eq!(bench.claim(2), None);
}

fn the_same_trial_is_never_proposed_twice(bench: &mut Bench<'_>) {
    bench.propose(8);
    let again = bench.try_propose(&candidate(8));
    assert_eq!(again, Proposed::Duplicate);
    assert_eq!(bench.ledger.counts().unwrap().total(), 1);
}

fn the_budget_of_trials_is_counted_down_with_each_proposal(bench: &mut Bench<'_>) {
    bench.ledger.set_budget("{}", Some(2)).unwrap();
    bench.propose(8);
    assert_eq!(bench.try_propose(&candidate(8)), Proposed::Duplicate);
    bench.propose(9);
    let refused = bench.try_propose(&candidate(10));
    assert_eq!(refused, Proposed::BudgetSpent);
    bench.ledger.set_budget("{}", Some(3)).unwrap();
    bench.propose(10);
}

fn the_history_has_no_gaps_and_is_in_commit_order(bench: &mut Bench<'_>) {
    for units in 8..13 {
        bench.propose(units);
    }
    let mut leases: Vec<Lease> = (0..5).map(|_| bench.claim(1).unwrap()).collect();
    leases.reverse();
    for (index, lease) in leases.iter().enumerate() {
        assert_eq!(bench.finish(*lease, 0.5), recorded(index as u64 + 1, true));
    }
    let history = bench.ledger.history(Sequence(2)).unwrap();
    let sequences: Vec<u64> = history.iter().map(|row| row.sequence.0).collect();
    let trials: Vec<u64> = history.iter().map(|row| row.trial.0).collect();
    assert_eq!((sequences, trials), (vec![3, 4, 5], vec![3, 2, 1]));
}

fn a_result_told_twice_is_recorded_once(bench: &mut Bench<'_>) {
    bench.propose(8);
    let lease = bench.claim(1).unwrap();
    assert_eq!(bench.finish(lease, 0.5), recorded(1, true));
    assert_eq!(bench.finish(lease, 0.5), FinishOutcome::Again(Sequence(1)));
    assert_eq!(bench.ledger.counts().unwrap().finished, 1);
}

fn a_result_of_a_lost_lease_is_a_stray_and_changes_nothing(bench: &mut Bench<'_>) {
    bench.propose(8);
    let lost = bench.claim(1).unwrap();
    bench.pass(LEASE_SECS + 1.0);
    let taken = bench.claim(2).unwrap();
    assert_eq!(taken.trial, lost.trial);
    assert_eq!(bench.finish(lost, 0.9), FinishOutcome::Stray);
    assert!(bench.ledger.best().unwrap().is_none());
    assert_eq!(bench.finish(taken, 0.4), recorded(1, true));
}

fn a_lease_that_ran_out_revives_if_nobody_took_the_trial(bench: &mut Bench<'_>) {
    bench.propose(8);
    let lease = bench.claim(1).unwrap();
    bench.pass(10.0 * LEASE_SECS);
    assert_eq!(bench.beat(1, &[lease]), Vec::new());
    bench.pass(1.0);
    assert_eq!(bench.claim(2), None);
}

fn a_lease_taken_by_another_is_reported_as_lost(bench: &mut Bench<'_>) {
    bench.propose(8);
    bench.propose(9);
    let lost = bench.claim(1).unwrap();
    let kept = bench.claim(1).unwrap();
    bench.pass(LEASE_SECS - 1.0);
    assert_eq!(bench.beat(1, &[kept]), Vec::new());
    bench.pass(2.0);
    let taken = bench.claim(2).unwrap();
    assert_eq!(taken.trial, lost.trial);
    assert_eq!(bench.beat(1, &[lost, kept]), vec![lost]);
}

fn a_trial_whose_trainer_dies_too_often_has_failed(bench: &mut Bench<'_>) {
    bench.propose(8);
    let crash = Release::Crashed {
        message: "signal 9".to_string(),
    };
    for attempt in 1..=CRASHES_MAX {
        let lease = bench.claim(1).unwrap();
        let outcome = bench.release(lease, &crash);
        let given_up = matches!(outcome, ReleaseOutcome::GivenUp(_));
        assert_eq!(
            given_up,
            attempt == CRASHES_MAX,
            "attempt {attempt}: {outcome:?}"
        );
    }
    let counts = bench.ledger.counts().unwrap();
    assert_eq!((counts.failed, counts.queued), (1, 0));
    let trial = bench.ledger.trial(TrialId(1)).unwrap();
    assert_eq!(trial.crashes, CRASHES_MAX);
    assert!(matches!(trial.state, TrialState::Failed { .. }));
}

fn a_returned_trial_waits_again_and_nobody_is_to_blame(bench: &mut Bench<'_>) {
    let trial = bench.propose(8);
    for _ in 0..10 {
        let lease = bench.claim(1).unwrap();
        let outcome = bench.release(lease, &Release::Returned { checkpoint: None });
        assert_eq!(outcome, ReleaseOutcome::Queued);
    }
    assert_eq!(bench.ledger.trial(trial).unwrap().crashes, 0);
}

fn a_paused_training_is_given_out_with_where_it_was(bench: &mut Bench<'_>) {
    bench.propose(8);
    let mut claim = |number| {
        let claim = bench.claim_whole(number);
        claim.unwrap()
    };
    let first = claim(1);
    assert_eq!(first.checkpoint, None);
    let checkpoint = Some(Digest::of(b"half a training"));
    let paused = Release::Returned {
        checkpoint: checkpoint.clone(),
    };
    bench.release(first.lease, &paused);
    assert_eq!(
        bench.ledger.checkpoints().unwrap(),
        checkpoint.clone().into_iter().collect::<Vec<_>>()
    );
    let again = bench.claim_whole(2).unwrap();
    assert_eq!(again.checkpoint, checkpoint);
    // Who gives it back without having come further leaves what there was.
    bench.release(again.lease, &Release::Returned { checkpoint: None });
    let last = bench.claim_whole(3).unwrap();
    assert_eq!(last.checkpoint, checkpoint);
    bench.finish(last.lease, 0.5);
    assert!(bench.ledger.checkpoints().unwrap().is_empty());
}

fn a_training_that_breaks_off_is_given_out_with_its_last_checkpoint(bench: &mut Bench<'_>) {
    bench.propose(8);
    let first = bench.claim(1).unwrap();
    let early = Digest::of(b"a third of a training");
    let late = Digest::of(b"two thirds of it");
    for checkpoint in [&early, &late] {
        assert!(bench.ledger.note_checkpoint(first, checkpoint).unwrap());
    }
    assert_eq!(bench.ledger.checkpoints().unwrap(), slice::from_ref(&late));
    let message = "signal 9".to_string();
    bench.release(first, &Release::Crashed { message });
    let again = bench.claim_whole(2).unwrap();
    assert_eq!(again.checkpoint.as_ref(), Some(&late));
    // The one before is not asked any more, whether its trainer lives or not.
    assert!(!bench.ledger.note_checkpoint(first, &early).unwrap());
    bench.finish(again.lease, 0.5);
    assert!(!bench.ledger.note_checkpoint(again.lease, &early).unwrap());
    assert!(bench.ledger.checkpoints().unwrap().is_empty());
}

fn the_best_is_the_highest_score_then_the_lowest_loss(bench: &mut Bench<'_>) {
    for (units, score, loss) in [(8, 0.7, 0.3), (9, 0.9, 0.4), (10, 0.9, 0.2), (11, 0.8, 0.1)] {
        bench.propose(units);
        let lease = bench.claim(1).unwrap();
        bench.end(lease, &Ending::Finished(result(score, loss)));
    }
    assert_eq!(bench.ledger.best().unwrap().unwrap().id, TrialId(3));
}

fn a_child_is_claimed_with_its_parents_network_and_weights(bench: &mut Bench<'_>) {
    let parent = bench.propose(8);
    let lease = bench.claim(1).unwrap();
    bench.finish(lease, 0.5);
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
    bench.try_propose(&child);
    let claim = bench.claim_whole(2).unwrap();
    let parent = claim.parent.unwrap();
    assert_eq!(parent.candidate.architecture, candidate(8).architecture);
    assert_eq!(parent.artifact, Digest::of(b"weights"));
    assert_eq!(parent.best_score, 0.5);
}

fn a_stopped_trial_has_its_place_in_the_history_and_is_never_the_best(bench: &mut Bench<'_>) {
    bench.propose(8);
    let lease = bench.claim(1).unwrap();
    bench.finish(lease, 0.5);
    bench.propose(9);
    let lease = bench.claim(1).unwrap();
    let ending = Ending::Stopped {
        stop: Box::new(early_stop()),
        expected: 0.75,
    };
    let told = bench.end(lease, &ending);
    assert_eq!(told, recorded(2, false));
    let again = bench.end(lease, &ending);
    assert_eq!(again, FinishOutcome::Again(Sequence(2)));
    let outcomes: Vec<Outcome> = bench
        .ledger
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
    assert_eq!(bench.ledger.best().unwrap().unwrap().id, TrialId(1));
    let counts = bench.ledger.counts().unwrap();
    assert_eq!((counts.stopped, counts.ended()), (1, 2));
    assert!(bench.ledger.trial(TrialId(2)).unwrap().result().is_none());
}

fn a_score_that_is_no_finite_number_survives(bench: &mut Bench<'_>) {
    bench.propose(8);
    let lease = bench.claim(1).unwrap();
    let stop = Box::new(early_stop());
    let expected = f64::NEG_INFINITY;
    bench.end(lease, &Ending::Stopped { stop, expected });
    bench.propose(9);
    let lease = bench.claim(1).unwrap();
    bench.end(lease, &Ending::Finished(result(0.1 + 0.2, f64::MAX)));
    let history = bench.ledger.history(Sequence(0)).unwrap();
    assert_eq!(history[0].outcome, Outcome::Stopped { expected });
    assert_eq!(history[1].outcome, Outcome::Scored(0.1 + 0.2));
    let trials = bench.ledger.trials().unwrap();
    assert_eq!(trials[0].outcome(), Some(Outcome::Stopped { expected }));
    assert_eq!(bench.ledger.ended(Sequence(1)).unwrap(), trials[1..]);
}

fn what_a_worker_says_is_kept_to_the_letter(bench: &mut Bench<'_>) {
    bench.propose(8);
    let lease = bench.claim(1).unwrap();
    let said = "it's \"over\"; drop table trial; -- :x \\ \\q\n\tü 漢 \u{1} \0 \\u0000 \\\0b";
    let message = said.to_string();
    let reason = study::trial::FailReason::Refused { message };
    bench.end(lease, &Ending::Failed(reason.clone()));
    match bench.ledger.trial(TrialId(1)).unwrap().state {
        TrialState::Failed { reason: kept, .. } => assert_eq!(kept, reason),
        other => panic!("{other:?}"),
    }
    // Last words are kept beside the record, too, as far as the engine can.
    bench.propose(9);
    for _ in 0..CRASHES_MAX {
        let lease = bench.claim(1).unwrap();
        let message = said.to_string();
        bench.release(lease, &Release::Crashed { message });
    }
    match bench.ledger.trial(TrialId(2)).unwrap().state {
        TrialState::Failed { reason, .. } => {
            assert!(reason.to_string().contains("drop table trial"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

fn trials_kept_back_are_for_retrainings_only(bench: &mut Bench<'_>) {
    bench.ledger.set_budget("{}", Some(3)).unwrap();
    bench.keep_back(2);
    let first = bench.propose(8);
    assert_eq!(bench.try_propose(&candidate(9)), Proposed::BudgetSpent);
    let standing = bench.ledger.standing(bench.now()).unwrap();
    assert_eq!(standing.course(None), Course::Drain);
    let start = search::Restart::Scratch;
    let again = Candidate {
        origin: Origin::Retrained { of: first, start },
        ..candidate(8)
    };
    assert_eq!(bench.try_propose(&again), Proposed::Accepted(TrialId(2)));
    bench.keep_back(0);
    bench.propose(9);
    assert_eq!(bench.try_propose(&candidate(10)), Proposed::BudgetSpent);
}

fn time_counts_while_somebody_explores(bench: &mut Bench<'_>) {
    let term = bench.lead();
    let now = bench.now();
    bench.ledger.resume_clock(term, now).unwrap();
    bench.pass(10.0);
    let now = bench.now();
    let spent = bench.ledger.standing(now).unwrap().spent_seconds;
    assert!((10.0..11.0).contains(&spent), "{spent}");
    bench.ledger.count_time(term, now).unwrap();
    bench.pass(1000.0);
    // Nobody was there.
    let now = bench.now();
    bench.ledger.resume_clock(term, now).unwrap();
    let spent = bench.ledger.spent_seconds().unwrap();
    assert!((10.0..11.0).contains(&spent), "{spent}");
    // A worker was, for some of the time.
    bench.join(1);
    bench.pass(20.0);
    bench.beat(1, &[]);
    bench.pass(500.0);
    let now = bench.now();
    bench.ledger.resume_clock(term, now).unwrap();
    let spent = bench.ledger.spent_seconds().unwrap();
    assert!((30.0..31.0).contains(&spent), "{spent}");
    let standing = bench.ledger.standing(now).unwrap();
    assert_eq!(standing.course(Some(32.0)), Course::Explore);
    assert_eq!(standing.course(Some(29.0)), Course::Stop);
}

fn a_study_that_ends_says_so_to_everybody(bench: &mut Bench<'_>) {
    let now = bench.now();
    assert_eq!(
        bench.ledger.standing(now).unwrap().course(None),
        Course::Explore
    );
    let term = bench.lead();
    bench.ledger.set_ending(term, "\"it's over\"", now).unwrap();
    let standing = bench.ledger.standing(now).unwrap();
    assert_eq!(standing.course(None), Course::Stop);
    assert_eq!(standing.ending.as_deref(), Some("\"it's over\""));
    bench.ledger.explore_again().unwrap();
    assert_eq!(
        bench.ledger.standing(now).unwrap().course(None),
        Course::Explore
    );
}

fn one_leads_until_it_is_not_heard_of(bench: &mut Bench<'_>) {
    let now = bench.now();
    assert!(bench.ledger.lead("one", 20.0, now).unwrap().is_some());
    assert!(bench.ledger.lead("other", 20.0, now).unwrap().is_none());
    bench.pass(15.0);
    let now = bench.now();
    assert!(bench.ledger.lead("one", 20.0, now).unwrap().is_some());
    bench.pass(15.0);
    let now = bench.now();
    assert!(bench.ledger.lead("other", 20.0, now).unwrap().is_none());
    bench.pass(6.0);
    let now = bench.now();
    assert!(bench.ledger.lead("other", 20.0, now).unwrap().is_some());
    assert!(bench.ledger.lead("one", 20.0, now).unwrap().is_none());
}

fn workers_are_numbered_as_they_come_and_known_when_they_come_again(bench: &mut Bench<'_>) {
    assert_eq!((bench.join(7), bench.join(3), bench.join(7)), (1, 2, 1));
    bench.propose(8);
    bench.claim(7).unwrap();
    bench.pass(LEASE_SECS + 1.0);
    bench.beat(3, &[]);
    let now = bench.now();
    bench.ledger.note_exhausted(&node(3)).unwrap();
    let nodes = bench.ledger.nodes().unwrap();
    assert_eq!(nodes[0].worker, node(7));
    let at = bench.ledger.standing(now).unwrap().at;
    let alive: Vec<bool> = nodes.iter().map(|n| n.is_alive(LEASE_SECS, at)).collect();
    assert_eq!(alive, [false, true]);
    assert_eq!(
        (nodes[0].is_exhausted, nodes[1].is_exhausted),
        (false, true)
    );
    assert_eq!(bench.ledger.leave(&node(7), now).unwrap(), 1);
    assert!(bench.ledger.nodes().unwrap()[0].has_left);
    assert_eq!(bench.ledger.counts().unwrap().queued, 1);
    assert_eq!(bench.ledger.proposals_of(&node(1)).unwrap(), 1);
}

fn trainers_that_die_one_after_the_other_are_counted_for_their_worker(bench: &mut Bench<'_>) {
    bench.join(1);
    bench.join(2);
    let crash = Release::Crashed {
        message: "signal 9".to_string(),
    };
    for units in 0..=WORKER_CRASHES_MAX {
        bench.propose(8 + units);
    }
    for _ in 0..WORKER_CRASHES_MAX {
        let lease = bench.claim(1).unwrap();
        bench.release(lease, &crash);
        // The same trial again, elsewhere: it was not to blame.
        let lease = bench.claim(2).unwrap();
        bench.finish(lease, 0.5);
    }
    let nodes = bench.ledger.nodes().unwrap();
    assert!(nodes[0].is_quarantined() && !nodes[1].is_quarantined());
    assert_eq!(
        bench.ledger.crashes_of(&node(1)).unwrap(),
        WORKER_CRASHES_MAX
    );
    assert_eq!(bench.ledger.crashes_of(&node(9)).unwrap(), 0);
}

fn a_trial_that_ends_well_clears_its_worker(bench: &mut Bench<'_>) {
    bench.join(1);
    for units in 8..13 {
        bench.propose(units);
    }
    let crash = Release::Crashed {
        message: "signal 9".to_string(),
    };
    for _ in 0..5 {
        let lease = bench.claim(1).unwrap();
        bench.release(lease, &crash);
        let lease = bench.claim(1).unwrap();
        bench.finish(lease, 0.5);
    }
    assert_eq!(bench.ledger.nodes().unwrap()[0].crashes, 0);
}

fn what_is_new_is_told_once_and_whole(bench: &mut Bench<'_>) {
    for units in 8..11 {
        bench.propose(units);
    }
    let lease = bench.claim(1).unwrap();
    bench.finish(lease, 0.5);
    let now = bench.now();
    let unheard = bench
        .ledger
        .unheard(&node(1), Sequence(0), TrialId(0), now)
        .unwrap();
    assert_eq!((unheard.ended, unheard.claimable), (1, 2));
    assert_eq!((unheard.history.len(), unheard.pending.len()), (1, 2));
    assert_eq!(unheard.history[0].candidate, candidate(8));
    let unheard = bench
        .ledger
        .unheard(&node(1), Sequence(1), TrialId(3), now)
        .unwrap();
    assert!(unheard.history.is_empty() && unheard.pending.is_empty());
}

fn all_running_trials_can_be_taken_back(bench: &mut Bench<'_>) {
    bench.propose(8);
    bench.propose(9);
    bench.claim(1).unwrap();
    bench.claim(2).unwrap();
    assert_eq!(bench.ledger.release_all().unwrap(), 2);
    let counts = bench.ledger.counts().unwrap();
    assert_eq!((counts.queued, counts.running), (2, 0));
}

fn processes_are_listed_as_they_were_started(bench: &mut Bench<'_>) {
    use study::message::Role;
    let trainer = Role::Trainer { slot: Slot(1) };
    for (role, process) in [(Role::Generator, 17), (trainer, 18)] {
        let now = bench.now();
        bench
            .ledger
            .note_process(&node(1), role, process, now)
            .unwrap();
        bench.pass(1.0);
    }
    assert_eq!(
        bench.ledger.processes().unwrap(),
        [(node(1), Role::Generator, 17), (node(1), trainer, 18)]
    );
}

#[test]
fn what_was_acknowledged_is_there_after_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let ledger = Sqlite::create(&path, &record(Some(7)), Instant(0.0)).unwrap();
    let mut bench = Bench::on(Box::new(ledger));
    bench.propose(8);
    let lease = bench.claim(1).unwrap();
    bench.finish(lease, 0.5);
    bench.propose(9);
    bench.claim(1).unwrap();
    // Not dropped in order: as if the process had been killed.
    std::mem::forget(bench);
    let mut again = Sqlite::open(&path).unwrap();
    assert_eq!(again.record().unwrap().trials_max, Some(5));
    assert!(matches!(
        again.trial(TrialId(1)).unwrap().state,
        TrialState::Finished { .. }
    ));
    assert_eq!(again.release_all().unwrap(), 1);
    assert_eq!(again.counts().unwrap().queued, 1);
}

#[test]
fn a_ledger_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    drop(Sqlite::create(&path, &record(None), Instant(0.0)).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = Sqlite::open(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ledger has format 99; this lehr reads format 5: install the newer lehr that explores it"
    );
}

#[test]
fn a_worker_may_call_the_contract_and_touch_nothing_else() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let (address, study) = (server.address(), "guarded".parse().unwrap());
    let created = Postgres::create(&address, &study, &record(None), LEASE_SECS);
    let (owner, admission) = created.unwrap();
    let mut bench = Bench::on(Box::new(Postgres::admitted(&admission).unwrap()));
    bench.join(1);
    bench.propose(8);
    let lease = bench.claim(1).unwrap();
    assert_eq!(bench.beat(1, &[lease]), Vec::new());
    assert_eq!(bench.finish(lease, 0.5), recorded(1, true));
    assert_eq!(owner.counts().unwrap().finished, 1);
    // What an owner may do by reading and writing tables, a worker may not.
    let now = bench.now();
    let refusals = [
        bench.ledger.trials().unwrap_err(),
        bench.ledger.release_all().unwrap_err(),
        bench.ledger.explore_again().unwrap_err(),
        bench.ledger.lead("worker", 20.0, now).unwrap_err(),
    ];
    for refusal in refusals {
        let text = refusal.to_string();
        assert!(text.contains("permission denied"), "{text}");
    }
    let wrong = Admission {
        password: Some("guess".to_string()),
        ..admission
    };
    let error = Postgres::admitted(&wrong).unwrap_err().to_string();
    assert!(error.contains("password authentication failed"), "{error}");
    assert!(!error.contains("guess"), "{error}");
}

#[test]
fn a_study_is_made_whole_or_not_at_all() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let (address, study) = (server.address(), "twice".parse().unwrap());
    Postgres::create(&address, &study, &record(None), LEASE_SECS).unwrap();
    let error = Postgres::create(&address, &study, &record(None), LEASE_SECS).unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    let error = Postgres::open(&address, &"other".parse().unwrap()).unwrap_err();
    assert!(!error.may_pass(), "{error}");
    server.query("update lehr_twice.study set version = 99");
    let error = Postgres::open(&address, &study).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ledger has format 99; this lehr reads format 5: install the newer lehr that explores it"
    );
}
