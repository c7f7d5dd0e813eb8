//! What stands in `lehr.toml` is what is done.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::fs;

use search::Value;
use studies::{explore, ledger, lehr, said, write_moons};

#[test]
fn what_is_said_of_how_a_table_is_written_goes_with_the_model_and_may_not_change() {
    let place = tempfile::tempdir().unwrap();
    let moons = write_moons(place.path(), 120);
    // `|` stands in words, too, and commas are points.
    let text = fs::read_to_string(moons).unwrap();
    let text = text
        .replace(',', "|")
        .replace('.', ",")
        .replace("red", "\"r|d\"");
    let moons = place.path().join("moons.txt");
    fs::write(&moons, text).unwrap();
    let said_so = ["--delimiter", "|", "--decimal", "comma"];
    let short = ["--target", "moon", "--trials", "3", "--folds", "1"];
    let out = place.path().join("study");
    let explored = explore(&moons, &out, &[&said_so[..], &short].concat());
    assert!(explored.status.success(), "{}", said(&explored));
    let predict = |arguments: &[&str]| {
        let mut predict = lehr();
        predict.arg("predict").arg(&out).arg(&moons).args(arguments);
        predict.output().unwrap()
    };
    let predicted = predict(&[]);
    assert!(predicted.status.success(), "{}", said(&predicted));
    let lines = String::from_utf8(predicted.stdout).unwrap();
    assert_eq!(lines.lines().count(), 121);
    assert!(!said(&predict(&[])).contains("cannot be read"));
    // Another word of it is heard: all numbers are none, then.
    assert!(said(&predict(&["--decimal", "point"])).contains("cannot be read"));
    let again = explore(&moons, &out, &[&short[..], &["--delimiter", "|"]].concat());
    assert!(!again.status.success());
    assert!(said(&again).contains("decimal = comma"), "{}", said(&again));
}

#[test]
fn a_study_says_the_budget_that_it_was_taken_up_with_and_goes_on_by_its_folder_alone() {
    let place = tempfile::tempdir().unwrap();
    let moons = write_moons(place.path(), 120);
    let out = place.path().join("study");
    let short = ["--folds", "1", "--slots", "1", "--retrain", "nothing"];
    // The study knows its data by a path that begins at this folder.
    let made = lehr()
        .current_dir(place.path())
        .args(["explore", "moons.csv", "--out", "study", "--trials", "1"])
        .args(short)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let written = out.join("lehr.toml");
    let text = fs::read_to_string(&written).unwrap();
    assert!(text.contains("trials = 1\n"), "{text}");
    // As if it had been killed before that was written.
    fs::remove_file(&written).unwrap();
    let taken_up = explore(&moons, &out, &[&short[..], &["--trials", "2"]].concat());
    assert!(taken_up.status.success(), "{}", said(&taken_up));
    let alone = explore(&out, &out, &[]);
    assert!(alone.status.success(), "{}", said(&alone));
    let text = fs::read_to_string(&written).unwrap();
    assert!(text.contains("trials = 2\n"), "{text}");
    let data = fs::canonicalize(&moons).unwrap();
    assert!(text.contains(data.to_str().unwrap()), "{text}");
    for entry in fs::read_dir(&out).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_part = ["lehr.toml.", "report.html."].map(|file| name.starts_with(file));
        assert_eq!(is_part, [false, false], "{name} was left behind");
    }
}

#[test]
fn only_the_hyperparameters_of_the_file_are_searched_and_within_its_bounds() {
    let place = tempfile::tempdir().unwrap();
    write_moons(place.path(), 120);
    let text = "data = \"moons.csv\"\ntarget = \"moon\"\n[budget]\ntrials = 12\n\
                [training]\nepochs = 2\n[search.space]\n\
                learning_rate = { kind = \"float\", low = 0.002, high = 0.004, scale = \"log\" }\n";
    let configuration = place.path().join("lehr.toml");
    fs::write(&configuration, text).unwrap();
    let out = place.path().join("study");
    let explored = explore(&configuration, &out, &[]);
    assert!(explored.status.success(), "{}", said(&explored));
    let trials = ledger(&out).trials().unwrap();
    assert!(trials.len() >= 12);
    let rates: Vec<f64> = trials
        .iter()
        .map(|trial| {
            let values: Vec<_> = trial.candidate.setting.values().collect();
            match values.as_slice() {
                [("learning_rate", Value::Float(rate))] => *rate,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert!(
        rates.iter().all(|rate| (0.002..=0.004).contains(rate)),
        "{rates:?}"
    );
    assert!(
        rates.iter().any(|rate| *rate != rates[0]),
        "it is searched: {rates:?}"
    );
}
