//! What a ledger makes of requests that are repeated, come late, or come from a master that is none any more.

use search::TrialId;
use study::{
    ledger::{ClaimKey, Ending, FinishOutcome, LedgerError, Release},
    trial::{FailReason, Instant, Slot, Trial, TrialState},
};

use crate::bench::{Bench, node, recorded};

fn key(incarnation: u32, number: u64) -> ClaimKey {
    let slot = Slot(0);
    ClaimKey {
        slot,
        incarnation,
        number,
    }
}

pub(super) fn a_claim_that_is_repeated_gives_the_same_lease_again(bench: &mut Bench<'_>) {
    bench.propose(8);
    bench.propose(9);
    let first = bench.claim_as(1, key(1, 1)).unwrap();
    assert_eq!(bench.claim_as(1, key(1, 1)), Some(first.clone()));
    // The slot of another worker, and another slot of this one, are others.
    let other = bench.claim_as(2, key(1, 1)).unwrap();
    assert_ne!(other.lease, first.lease);
    // Its lease ran out, but nobody took it.
    bench.pass(61.0);
    assert_eq!(bench.claim_as(1, key(1, 1)), Some(first.clone()));
    // Now somebody does.
    let taken = bench.claim_as(3, key(1, 1)).unwrap();
    assert_eq!(taken.lease.trial, first.lease.trial);
    assert_eq!(bench.claim_as(1, key(1, 1)), None);
    let returned = Release::Returned { checkpoint: None };
    bench.release(taken.lease, &returned);
    assert_eq!(bench.claim_as(3, key(1, 1)), None);
    // A claim that found nothing is carried out, too.
    assert!(bench.claim_as(3, key(1, 2)).is_some());
    assert_eq!(
        bench.claim_as(5, key(1, 1)).map(|claim| claim.lease.trial),
        Some(other.lease.trial)
    );
    assert_eq!(bench.claim_as(4, key(1, 1)), None);
    bench.propose(10);
    assert_eq!(bench.claim_as(4, key(1, 1)), None);
    assert!(bench.claim_as(4, key(1, 2)).is_some());
}

pub(super) fn a_claim_that_comes_after_a_later_one_gives_nothing(bench: &mut Bench<'_>) {
    for units in 8..11 {
        bench.propose(units);
    }
    let first = bench.claim_as(1, key(1, 1)).unwrap();
    // Its result is on its way: the slot takes another, and both leases count.
    let second = bench.claim_as(1, key(1, 2)).unwrap();
    assert_eq!(bench.claim_as(1, key(1, 1)), None);
    assert_eq!(bench.beat(1, &[first.lease, second.lease]), Vec::new());
    let message = "nothing fits".to_string();
    bench.end(
        first.lease,
        &Ending::Failed(FailReason::Refused { message }),
    );
    assert_eq!(bench.claim_as(1, key(1, 1)), None);
    assert_eq!(bench.claim_as(1, key(1, 2)), Some(second.clone()));
    bench.finish(second.lease, 0.5);
    assert_eq!(bench.claim_as(1, key(1, 2)), None);
    assert_eq!(bench.ledger.counts().unwrap().queued, 1);
}

pub(super) fn a_worker_that_joins_again_claims_anew(bench: &mut Bench<'_>) {
    bench.propose(8);
    bench.propose(9);
    let join = |bench: &mut Bench<'_>| {
        let now: Instant = bench.now();
        bench
            .ledger
            .join(&node(1), "host", 1, now)
            .unwrap()
            .incarnation
    };
    let before = join(bench);
    let first = bench.claim_as(1, key(before, 1)).unwrap();
    let after = join(bench);
    assert!(after > before);
    let second = bench.claim_as(1, key(after, 1)).unwrap();
    assert_ne!(first.lease.trial, second.lease.trial);
    assert_eq!(bench.claim_as(1, key(before, 1)), None);
    assert_eq!(bench.claim_as(1, key(before, 2)), None);
}

pub(super) fn a_result_of_a_trial_that_was_given_back_counts_until_another_takes_it(
    bench: &mut Bench<'_>,
) {
    bench.propose(8);
    bench.propose(9);
    bench.join(1);
    let leases = [bench.claim(1).unwrap(), bench.claim(1).unwrap()];
    let now = bench.now();
    assert_eq!(bench.ledger.leave(&node(1), now).unwrap(), 2);
    // Its spool is found by the next node of this machine.
    assert_eq!(bench.finish(leases[0], 0.5), recorded(1, true));
    let ended = bench.ledger.trial(leases[0].trial).unwrap();
    let run = ended.run().unwrap();
    assert!(run.worker == node(1) && run.claimed_at.0 > 0.0);
    let taken = bench.claim(2).unwrap();
    assert_eq!(taken.trial, leases[1].trial);
    assert_eq!(bench.finish(leases[1], 0.9), FinishOutcome::Stray);
    let counts = bench.ledger.counts().unwrap();
    assert_eq!((counts.finished, counts.running, counts.queued), (1, 1, 0));
}

pub(super) fn a_trial_that_kills_every_trainer_is_to_blame_and_not_its_worker(
    bench: &mut Bench<'_>,
) {
    bench.join(1);
    bench.propose(8);
    let crash = Release::Crashed {
        message: "signal 9".to_string(),
    };
    while let Some(lease) = bench.claim(1) {
        bench.release(lease, &crash);
    }
    assert_eq!(bench.ledger.counts().unwrap().failed, 1);
    let worker = &bench.ledger.nodes().unwrap()[0];
    assert!(worker.crashes == 1 && !worker.is_quarantined());
}

pub(super) fn a_trial_that_has_ended_is_counted_once_however_often_is_asked(bench: &mut Bench<'_>) {
    for units in 8..12 {
        bench.propose(units);
    }
    let counted = |bench: &Bench<'_>| {
        let counts = bench.ledger.counts().unwrap();
        (
            counts.queued,
            counts.running,
            counts.finished,
            counts.failed,
        )
    };
    assert_eq!(counted(bench), (4, 0, 0, 0));
    let leases = [bench.claim(1).unwrap(), bench.claim(1).unwrap()];
    bench.finish(leases[0], 0.5);
    assert_eq!(counted(bench), (2, 1, 1, 0));
    assert_eq!(counted(bench), (2, 1, 1, 0));
    let message = "nothing fits".to_string();
    bench.end(leases[1], &Ending::Failed(FailReason::Refused { message }));
    let taken = bench.claim(2).unwrap();
    assert_eq!(counted(bench), (1, 1, 1, 1));
    // What waits again is not what it was before.
    bench.release(taken, &Release::Returned { checkpoint: None });
    assert_eq!(counted(bench), (2, 0, 1, 1));
}

pub(super) fn what_waits_or_runs_is_listed_by_number_and_what_has_ended_is_counted(
    bench: &mut Bench<'_>,
) {
    let ids: Vec<TrialId> = (8..12).map(|units| bench.propose(units)).collect();
    let listed = |bench: &Bench<'_>, count: u32| -> Vec<(TrialId, bool)> {
        let trials = bench.ledger.under_way(count).unwrap();
        let runs = |trial: &Trial| matches!(trial.state, TrialState::Running { .. });
        trials.iter().map(|trial| (trial.id, runs(trial))).collect()
    };
    let leases = [bench.claim(1).unwrap(), bench.claim(1).unwrap()];
    assert_eq!(bench.ledger.ended_count().unwrap(), 0);
    bench.finish(leases[0], 0.5);
    assert_eq!(bench.ledger.ended_count().unwrap(), 1);
    let all = [(ids[1], true), (ids[2], false), (ids[3], false)];
    assert_eq!(listed(bench, 100), all);
    assert_eq!(listed(bench, 2), all[..2]);
    assert!(listed(bench, 0).is_empty());
}

pub(super) fn what_is_written_after_the_end_of_a_term_is_refused(bench: &mut Bench<'_>) {
    let now = bench.now();
    let first = bench.ledger.lead("one", 20.0, now).unwrap().unwrap();
    bench.ledger.keep_back(first, 2, now).unwrap();
    bench.pass(15.0);
    let now = bench.now();
    assert_eq!(bench.ledger.lead("one", 20.0, now).unwrap(), Some(first));
    bench.ledger.count_time(first, now).unwrap();
    // It was not heard of, and nobody leads.
    bench.pass(21.0);
    let now = bench.now();
    let late = bench.ledger.keep_back(first, 3, now).unwrap_err();
    assert!(matches!(late, LedgerError::Deposed), "{late}");
    let second = bench.ledger.lead("other", 20.0, now).unwrap().unwrap();
    assert!(second > first);
    let refused = [
        bench.ledger.keep_back(first, 3, now),
        bench.ledger.set_ending(first, "\"trials\"", now),
        bench.ledger.count_time(first, now),
        bench.ledger.resume_clock(first, now),
    ];
    for written in refused {
        assert!(matches!(written, Err(LedgerError::Deposed)), "{written:?}");
    }
    let standing = bench.ledger.standing(now).unwrap();
    assert_eq!((standing.kept_back, standing.ending), (2, None));
    bench.ledger.set_ending(second, "\"trials\"", now).unwrap();
}
