//! `lehr clean`: what it says, what it removes, and that a study goes on without it.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::{fs, path::Path};

use search::TrialId;
use serde_json::Value;
use studies::{explore, ledger, lehr, said, write_moons};
use study::trial::{Trial, TrialState};

/// Runs a command on a study and gives what it printed.
fn run(command: &str, study: &Path, arguments: &[&str]) -> String {
    let output = lehr()
        .arg(command)
        .args(arguments)
        .arg(study)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn weights(study: &Path) -> usize {
    fs::read_dir(study.join("artifacts")).unwrap().count()
}

fn has_weights(study: &Path, trial: &Trial) -> bool {
    let digest = &trial.result().unwrap().artifact;
    study
        .join("artifacts")
        .join(format!("{digest}.safetensors"))
        .exists()
}

/// Finished trials, best first.
fn finished(study: &Path) -> Vec<Trial> {
    let mut trials = ledger(study).trials().unwrap();
    trials.retain(|trial| trial.result().is_some());
    trials.sort_by(|a, b| {
        let key = |trial: &Trial| trial.result().map(|result| (-result.score, result.loss));
        key(a).partial_cmp(&key(b)).unwrap().then(a.id.cmp(&b.id))
    });
    trials
}

/// Explores a study further; children of what is gone begin anew, and their rows say so, the others inherit.
fn check_goes_on(data: &Path, study: &Path, arguments: &[&str], gone: &[TrialId]) {
    let before = ledger(study).trials().unwrap().len() as u64;
    let more = explore(data, study, arguments);
    assert!(more.status.success(), "{}", said(&more));
    let trials = ledger(study).trials().unwrap();
    let failed: Vec<_> = trials
        .iter()
        .filter(|trial| matches!(trial.state, TrialState::Failed { .. }))
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    let children: Vec<_> = trials
        .iter()
        .filter(|trial| trial.id.0 > before)
        .filter_map(|trial| Some((trial.candidate.parent()?, trial.result()?)))
        .collect();
    for (parent, result) in &children {
        assert_eq!(
            result.inheritance.is_none(),
            gone.contains(parent),
            "a child of {parent}"
        );
    }
    assert!(
        children.iter().any(|(parent, _)| gone.contains(parent)),
        "{children:?}"
    );
}

#[test]
fn a_cleaned_study_keeps_its_best_says_what_went_and_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let data = write_moons(place.path(), 200);
    let study = place.path().join("study");
    let budget = |trials: &'static str| {
        [
            "--trials", trials, "--slots", "2", "--seed", "3", "--rungs", "none",
        ]
    };
    let explored = explore(&data, &study, &budget("10"));
    assert!(explored.status.success(), "{}", said(&explored));
    let before = weights(&study);
    let best = run("best", &study, &["--json"]);

    let dry = run("clean", &study, &["--keep", "2", "--dry-run"]);
    assert!(dry.starts_with("would remove the weights in "), "{dry}");
    assert_eq!(weights(&study), before);
    let cleaned: Value =
        serde_json::from_str(&run("clean", &study, &["--keep", "2", "--json"])).unwrap();
    let (removed, kept) = (
        cleaned["removed"].as_u64().unwrap(),
        cleaned["kept"].as_u64().unwrap(),
    );
    assert_eq!(
        (removed + kept, kept),
        (before as u64, weights(&study) as u64)
    );
    assert!(removed > 0 && (2..=3).contains(&kept), "{cleaned}");
    let again = run("clean", &study, &["--keep", "2"]);
    assert!(again.starts_with("removed the weights in 0 of "), "{again}");

    let trials = finished(&study);
    assert!(trials[..2].iter().all(|trial| has_weights(&study, trial)));
    let is_gone = |trial: &&Trial| !has_weights(&study, trial);
    let gone: Vec<_> = trials
        .iter()
        .filter(is_gone)
        .map(|trial| trial.id)
        .collect();
    let loser = trials
        .iter()
        .find(|trial| !has_weights(&study, trial))
        .unwrap();
    let told = run("explain", &study, &[&loser.id.to_string()]);
    assert!(told.contains("removed     its weights"), "{told}");
    let same = |text: &str| serde_json::from_str::<Value>(text).unwrap()["trial"].clone();
    assert_eq!(same(&run("best", &study, &["--json"])), same(&best));

    // Many, so that some begin with what is gone.
    check_goes_on(&data, &study, &budget("50"), &gone);
}

#[test]
fn a_study_without_its_best_weights_says_what_has_happened_to_them() {
    let place = tempfile::tempdir().unwrap();
    let data = write_moons(place.path(), 200);
    let study = place.path().join("study");
    let explored = explore(&data, &study, &["--trials", "2", "--seed", "1"]);
    assert!(explored.status.success(), "{}", said(&explored));
    for entry in fs::read_dir(study.join("artifacts")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let output = lehr().arg("best").arg(&study).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        error.contains("`lehr clean` keeps those of the best trials"),
        "{error}"
    );
    // The model itself does not hang on them.
    let output = lehr()
        .arg("predict")
        .arg(&study)
        .arg(&data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_study_that_is_being_explored_and_a_count_of_nothing_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let data = write_moons(place.path(), 200);
    let study = place.path().join("study");
    let explored = explore(&data, &study, &["--trials", "1", "--seed", "1"]);
    assert!(explored.status.success(), "{}", said(&explored));
    let refused = |arguments: &[&str]| {
        let output = lehr()
            .arg("clean")
            .arg(&study)
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let folder = study::folder::StudyFolder::open(&study).unwrap();
    let lock = folder.lock().unwrap();
    let error = refused(&[]);
    assert!(
        error.contains("is being explored by another process"),
        "{error}"
    );
    drop(lock);
    let error = refused(&["--keep", "0"]);
    assert!(error.contains("keep at least the best one"), "{error}");
}
