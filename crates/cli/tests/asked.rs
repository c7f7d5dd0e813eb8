//! What a user may ask of a search beside a good score: limits, small and fast models, a last training.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::{fs, path::Path};

use search::{Origin, Restart};
use studies::{explore, ledger, said, write_moons};
use study::{
    measured_latency,
    model::Model,
    trial::{Trial, TrialState},
};

fn explored(arguments: &[&str]) -> (tempfile::TempDir, Vec<Trial>, serde_json::Value) {
    let place = tempfile::tempdir().unwrap();
    let data = write_moons(place.path(), 300);
    let out = place.path().join("study");
    let all: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let output = explore(&data, &out, &all);
    assert!(output.status.success(), "{}", said(&output));
    let trials = ledger(&out).trials().unwrap();
    let found = serde_json::from_slice(&output.stdout).unwrap();
    (place, trials, found)
}

fn bytes(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

#[test]
fn no_trial_exceeds_a_limit_and_neither_does_the_exported_file() {
    // Little of it is left for each of five networks: with 12, hardly a linear one would be allowed.
    let limit_kib = 40;
    let kib = limit_kib.to_string();
    let (place, trials, _) = explored(&[
        "--trials",
        "30",
        "--params-max",
        "900",
        "--flops-max",
        "2000",
        "--file-kib-max",
        &kib,
    ]);
    for trial in &trials {
        let cost = trial.candidate.architecture.cost();
        assert!(
            cost.parameters <= 900 && cost.flops <= 2000,
            "trial {}",
            trial.id
        );
    }
    let best = place.path().join("study/best");
    for file in ["model.onnx", "model.safetensors"] {
        let size = bytes(&best.join(file));
        assert!(size <= limit_kib << 10, "{file} has {size} bytes");
    }
    // The model is the networks of five folds, joined.
    let cost = Model::load(&best).unwrap().card.architecture.cost();
    assert!(cost.parameters <= 900 && cost.flops <= 2000, "{cost:?}");
}

#[test]
fn models_that_take_too_long_are_never_trained_and_what_was_measured_is_kept() {
    let limit: morph::Architecture = "in 4 | dense 64 | relu | dense 64 | relu | dense 2"
        .parse()
        .unwrap();
    let micros = (measured_latency(&limit).unwrap() * 1e6).ceil().max(2.0);
    let latency = format!("{micros}us");
    let (_place, trials, _) =
        explored(&["--trials", "30", "--folds", "1", "--latency-max", &latency]);
    let measured: Vec<f64> = trials
        .iter()
        .filter_map(|trial| trial.candidate.latency_seconds)
        .collect();
    assert!(
        measured.len() >= 28,
        "{} of {}",
        measured.len(),
        trials.len()
    );
    assert!(measured.iter().all(|seconds| seconds * 1e6 <= micros));
}

#[test]
fn with_several_objectives_the_front_is_kept_as_models() {
    let (place, trials, found) = explored(&["--trials", "30", "--objectives", "params,latency"]);
    let front = found["front"].as_array().unwrap();
    assert!(!front.is_empty());
    let score = |trial: &serde_json::Value| {
        let id = trial["trial"].as_u64().unwrap() as usize;
        (
            trials[id - 1].result().unwrap().score,
            trial["params"].as_u64().unwrap(),
        )
    };
    // A model is the mean of the networks of all folds: ten values of two classes become two.
    let networks = found["folds"].as_u64().unwrap();
    assert_eq!(networks, 5);
    let joining = 10 * 2 + 2;
    let finished = trials.iter().filter_map(|trial| {
        let parameters = trial.candidate.architecture.cost().parameters;
        Some((
            trial.result()?.score,
            parameters * networks + joining,
            trial.candidate.latency_seconds? * networks as f64,
        ))
    });
    let beaten = |model: &serde_json::Value| {
        let ((own, params), seconds) = (score(model), model["latency_seconds"].as_f64().unwrap());
        finished.clone().any(|(other, size, time)| {
            other >= own
                && size <= params
                && time <= seconds
                && (other > own || size < params || time < seconds)
        })
    };
    assert!(!front.iter().any(beaten), "{front:?}");
    for model in front {
        let folder = place
            .path()
            .join(format!("study/front/trial-{}", model["trial"]));
        for file in ["model.onnx", "model.safetensors", "model.json"] {
            assert!(bytes(&folder.join(file)) > 0);
        }
        let cost = Model::load(&folder).unwrap().card.architecture.cost();
        let told = [&model["params"], &model["flops"]].map(serde_json::Value::as_u64);
        assert_eq!(told, [Some(cost.parameters), Some(cost.flops)]);
    }
}

#[test]
fn of_folds_that_are_dealt_twice_the_model_is_the_mean_of_all_networks() {
    let repeated = ["--trials", "3", "--folds", "3", "--repeats", "2"];
    let (place, trials, found) = explored(&repeated);
    assert_eq!(
        (found["folds"].as_u64(), found["repeats"].as_u64()),
        (Some(3), Some(2))
    );
    let best = place.path().join("study/best");
    let winner = &trials[found["trial"].as_u64().unwrap() as usize - 1];
    let alone = winner.candidate.architecture.cost().parameters;
    let model = Model::load(&best).unwrap();
    let together = model.card.architecture.cost().parameters;
    // And a layer that takes their mean.
    assert!(
        (6 * alone..6 * alone + 64).contains(&together),
        "{together} of six of {alone}"
    );
    let card = fs::read_to_string(best.join("card.md")).unwrap();
    assert!(card.contains("the mean of 6 networks"), "{card}");
    assert!(
        card.contains("by 3-fold cross-validation, 2 times"),
        "{card}"
    );
    assert!(best.join("model.onnx").exists());
    // The same command goes on, another number of deals is another study.
    let (data, out) = (place.path().join("moons.csv"), place.path().join("study"));
    assert!(explore(&data, &out, &repeated).status.success());
    let other = explore(
        &data,
        &out,
        &["--trials", "3", "--folds", "3", "--repeats", "3"],
    );
    assert!(
        said(&other).contains("split.repeats = 2, now it is 3"),
        "{}",
        said(&other)
    );
}

#[test]
fn several_trials_answer_together_as_one_model_that_says_what_they_say() {
    let (place, _, found) = explored(&["--trials", "30", "--folds", "1", "--ensemble", "4"]);
    let made = &found["ensemble"];
    assert_eq!(made["kind"], "made", "{made}");
    let members = made["members"].as_array().unwrap();
    assert!((2..=4).contains(&members.len()), "{members:?}");
    let share = |member: &serde_json::Value| member["share"].as_f64().unwrap();
    assert!((members.iter().map(share).sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(made["certificate"].is_object(), "{made}");
    let folder = place.path().join("study/ensemble");
    for file in [
        "model.onnx",
        "model.safetensors",
        "model.json",
        "model.py",
        "card.md",
    ] {
        assert!(bytes(&folder.join(file)) > 0);
    }
    // The mean on the rows that chose is no worse than the best alone; on the vault it may be.
    let validation = |scored: &serde_json::Value| scored["validation"].as_f64().unwrap();
    let metric: train::Metric = found["metric"].as_str().unwrap().parse().unwrap();
    let score = |scored| metric.score(validation(scored));
    assert!(score(&made["scored"]) >= score(&found["winner"]), "{found}");
    assert!(made["better_by"].is_object() == found["winner"]["vault"].is_object());
}

#[test]
fn the_best_model_is_trained_once_more_from_scratch_and_from_its_weights() {
    let (_place, trials, found) = explored(&["--trials", "20", "--seed", "5"]);
    assert_eq!(trials.len(), 20);
    let starts = trials
        .iter()
        .filter_map(|trial| match trial.candidate.origin {
            Origin::Retrained { start, .. } => Some((trial, start)),
            _ => None,
        });
    let again: Vec<(&Trial, Restart)> = starts.collect();
    assert_eq!(again.len(), 2);
    for (trial, start) in again {
        let TrialState::Finished { result, .. } = &trial.state else {
            panic!("trial {} is not stopped and does not fail", trial.id);
        };
        assert_eq!(result.inheritance.is_some(), start == Restart::Lineage);
        // Twice those of a fresh model, which sees ten thousand examples: 41 times 240 rows.
        assert_eq!(result.recipe.epochs.get(), 82);
    }
    let shown = found["retrained"].as_array().unwrap();
    assert_eq!(shown.len(), 3);
    let best = shown
        .iter()
        .filter_map(|training| training["validation"].as_f64())
        .fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(found["winner"]["validation"].as_f64(), Some(best));
    let (_place, trials, found) = explored(&["--trials", "20", "--retrain", "nothing"]);
    assert!(
        trials
            .iter()
            .all(|trial| trial.candidate.retrains().is_none())
    );
    assert_eq!(found["retrained"].as_array().unwrap().len(), 0);
}
