//! The method, step by step (R1 to R7), read from the ledger of one real run with two worker nodes.
//!
//! Every worker node is a process of its own with a generator and a trainer; one run serves all tests.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use search::{Origin, TrialId};
use studies::{explore, ledger, said, write_moons};
use study::{
    artifact::ArtifactStore,
    folder::StudyFolder,
    message::Role,
    trial::{Trial, TrialState, WorkerName},
};
use tempfile::TempDir;
use train::ensemble::members_from_safetensors;

const TRIALS: usize = 40;

struct Explored {
    folder: StudyFolder,
    trials: Vec<Trial>,
    processes: Vec<(WorkerName, Role, u32)>,
    best: Trial,
    _place: TempDir,
}

static RUN: LazyLock<Explored> = LazyLock::new(|| {
    let place = tempfile::tempdir().expect("a folder for the test");
    let data = write_moons(place.path(), 400);
    let out = place.path().join("study");
    let arguments = [
        "--trials",
        "40",
        "--workers",
        "2",
        "--slots",
        "1",
        "--seed",
        "3",
    ];
    let output = explore(&data, &out, &arguments);
    assert!(output.status.success(), "{}", said(&output));
    let ledger = ledger(&out);
    Explored {
        folder: StudyFolder::open(&out).expect("the study was made"),
        trials: ledger.trials().expect("the ledger can be read"),
        processes: ledger.processes().expect("the ledger can be read"),
        best: ledger
            .best()
            .expect("the ledger can be read")
            .expect("a trial has a score"),
        _place: place,
    }
});

fn nodes() -> BTreeSet<WorkerName> {
    ["node-1", "node-2"]
        .map(|name| WorkerName(name.to_string()))
        .into()
}

fn by_id() -> BTreeMap<TrialId, &'static Trial> {
    RUN.trials.iter().map(|trial| (trial.id, trial)).collect()
}

#[test]
fn r1_the_master_gives_trials_to_several_slave_nodes() {
    let trained_on: BTreeSet<WorkerName> = RUN
        .trials
        .iter()
        .filter_map(|trial| Some(trial.run()?.worker.clone()))
        .collect();
    assert_eq!(trained_on, nodes());
    assert_eq!(RUN.trials.len(), TRIALS);
}

#[test]
fn r2_a_training_result_is_a_trained_model_and_its_score() {
    let store = ArtifactStore::at(&RUN.folder.artifacts());
    let mut results = 0;
    let mut stopped = 0;
    for trial in &RUN.trials {
        if let TrialState::Stopped { stop, .. } = &trial.state {
            // Behind others at a rung: it has a curve, and neither score nor weights. The first fold may have
            // been through when its trainer heard of it, but not all of them.
            assert!(
                !stop.curve.is_empty() && stop.curve.len() <= stop.recipe.epochs.get() as usize
            );
            stopped += 1;
            continue;
        }
        let result = trial.result().expect("no training of this run fails");
        let bytes = store
            .get(&result.artifact)
            .expect("the artifact of a result is there");
        let weights = members_from_safetensors(&bytes, &trial.candidate.architecture);
        assert!(weights.is_ok(), "trial {}: {:?}", trial.id, weights.err());
        assert!(result.score.is_finite());
        results += 1;
    }
    assert_eq!(results + stopped, TRIALS);
    // Two of five go on at each of a few rungs; more early on, while there are few to compare with.
    assert!(results >= TRIALS / 8, "only {results} trials have a result");
}

#[test]
fn r3_the_best_model_is_the_one_with_the_highest_score_of_all_nodes() {
    let highest = RUN
        .trials
        .iter()
        .filter_map(|trial| Some(trial.result()?.score))
        .fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(
        RUN.best.result().expect("the best has a result").score,
        highest
    );
}

#[test]
fn r4_each_node_has_a_generator_process_beside_its_trainer_and_it_generates_several_models() {
    for node in nodes() {
        let mine = RUN.processes.iter().filter(|(worker, ..)| *worker == node);
        let by_role: BTreeMap<bool, u32> = mine
            .map(|(_, role, process)| (matches!(role, Role::Generator), *process))
            .collect();
        assert_eq!(by_role.len(), 2, "{node} has a generator and a trainer");
        assert_ne!(by_role[&true], by_role[&false], "they are two processes");
        let made = RUN
            .trials
            .iter()
            .filter(|trial| trial.candidate.proposed_by == node)
            .count();
        assert!(made > 1, "{node} proposed {made}");
    }
}

#[test]
fn r5_each_model_is_trained_and_validated_with_its_determined_hyperparameters() {
    for trial in &RUN.trials {
        let Some(result) = trial.result() else {
            continue;
        };
        let Some(search::Value::Float(rate)) = trial
            .candidate
            .setting
            .values()
            .find(|(name, _)| *name == "learning_rate")
            .map(|(_, v)| v.clone())
        else {
            panic!("trial {} has no learning rate", trial.id);
        };
        assert_eq!(result.recipe.learning_rate, rate, "trial {}", trial.id);
        assert!(!result.curve.is_empty() && !result.metrics.is_empty());
        let trainers: BTreeSet<&WorkerName> = RUN
            .processes
            .iter()
            .filter(|(_, role, _)| matches!(role, Role::Trainer { .. }))
            .map(|(worker, ..)| worker)
            .collect();
        let run = trial.run().expect("a finished trial was run");
        assert!(
            trainers.contains(&run.worker),
            "trained by a trainer of its own node"
        );
    }
}

#[test]
fn r6_base_models_come_from_a_pool_of_all_nodes_models() {
    let trials = by_id();
    let (mut from_other_node, mut trained_elsewhere) = (0, 0);
    for trial in &RUN.trials {
        let Origin::Variant {
            parent,
            base_models,
            ..
        } = &trial.candidate.origin
        else {
            continue;
        };
        let by = &trial.candidate.proposed_by;
        from_other_node += usize::from(
            base_models
                .iter()
                .any(|base| trials[base].run().is_some_and(|run| run.worker != *by)),
        );
        let parents_node = trials[parent].run().map(|run| &run.worker);
        let own_node = trial.run().map(|run| &run.worker);
        trained_elsewhere += usize::from(own_node.is_some() && own_node != parents_node);
    }
    assert!(
        from_other_node > 0,
        "no generator used a model that another node trained"
    );
    assert!(
        trained_elsewhere > 0,
        "no child of one node's model was trained by the other"
    );
}

#[test]
fn r7_annealing_picks_target_bases_among_base_models_and_cools_with_the_budget() {
    let mut temperatures = Vec::new();
    for trial in &RUN.trials {
        let Origin::Variant {
            parent,
            temperature,
            base_models,
            targets,
            ..
        } = &trial.candidate.origin
        else {
            continue;
        };
        assert!(
            targets.contains(parent),
            "trial {}: its parent was a target base",
            trial.id
        );
        assert!(targets.iter().all(|target| base_models.contains(target)));
        temperatures.push(*temperature);
    }
    assert!(
        temperatures.len() > TRIALS / 4,
        "only {} variants",
        temperatures.len()
    );
    let half = temperatures.len() / 2;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(
        mean(&temperatures[half..]) < mean(&temperatures[..half]),
        "{temperatures:?}"
    );
}
