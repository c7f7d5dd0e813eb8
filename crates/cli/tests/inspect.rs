//! What `lehr inspect` says, how splits follow columns, and what studies do with dates, weights and rare
//! classes.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use studies::{explore, ledger, lehr, said, write_moons};

fn inspect(data: &Path, arguments: &[&str]) -> Output {
    lehr()
        .arg("inspect")
        .arg(data)
        .args(arguments)
        .output()
        .unwrap()
}

fn inspected(data: &Path, arguments: &[&str]) -> Value {
    let output = inspect(data, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Visits of patients on days, with a weight; one outcome in eight is the rare one.
fn write_visits(folder: &Path, rows: usize) -> PathBuf {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut table = "patient,day,pulse,weight,part,outcome\n".to_string();
    for row in 0..rows {
        let day = format!(
            "2023-{:02}-{:02} {:02}:30",
            1 + row % 12,
            1 + row % 28,
            row % 24
        );
        let is_rare = rng.random_range(0..8) == 0;
        let pulse = rng.random_range(50.0..90.0) + if is_rare { 30.0 } else { 0.0 };
        let part = ["train", "train", "validation", "test"][row % 4];
        let weight = rng.random_range(0.5..2.0_f64);
        let outcome = if is_rare { "ill" } else { "well" };
        writeln!(
            table,
            "p{},{day},{pulse:.1},{weight:.2},{part},{outcome}",
            row / 5
        )
        .unwrap();
    }
    let path = folder.join("visits.csv");
    fs::write(&path, table).unwrap();
    path
}

#[test]
fn a_profile_fits_a_terminal_and_says_what_will_be_done() {
    let place = tempfile::tempdir().unwrap();
    let data = write_moons(place.path(), 300);
    let output = inspect(&data, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "\
data    table, 300 rows, 3 columns, 2 classes
split   240 rows to learn from and to validate, in 5 folds, 60 in the vault; row
        by row, classes evenly
target  `lower` 150 (50 %), `upper` 150 (50 %); 1.0 to 1
metric  accuracy
";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("colour  category  -"), "{text}");
    assert!(
        text.contains("`moon` is predicted (the last column"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let left = fs::read_dir(place.path()).unwrap().count();
    assert_eq!(left, 1, "nothing is written");
}

#[test]
fn of_many_columns_the_first_are_shown_and_the_others_counted() {
    let place = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let header: Vec<String> = (0..60)
        .map(|column| format!("measurement_number_{column}"))
        .collect();
    let mut table = format!("{},y\n", header.join(","));
    for row in 0..50 {
        let cells: Vec<String> = (0..60).map(|_| rng.random::<f64>().to_string()).collect();
        writeln!(table, "{},{}", cells.join(","), row % 2).unwrap();
    }
    let path = place.path().join("wide.csv");
    fs::write(&path, table).unwrap();
    let output = inspect(&path, &["--columns", "7"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("… and 53 more (53 number; 0 with missing cells): --columns N"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert_eq!(text.matches("measurement_number_").count(), 7, "{text}");
}

#[test]
fn the_profile_is_there_for_machines_too() {
    let place = tempfile::tempdir().unwrap();
    let data = write_visits(place.path(), 400);
    let all = inspected(&data, &["--weight", "weight"]);
    assert_eq!(all["schema"], "lehr.inspect/1");
    assert_eq!(all["metric"], "balanced_accuracy");
    assert_eq!(all["class_weights"], "balanced");
    let names: Vec<&str> = all["profile"]["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["patient", "day", "pulse", "part"]);
    assert_eq!(all["profile"]["columns"][1]["values"]["type"], "time");
    let kinds: Vec<&str> = all["profile"]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"imbalance") && kinds.contains(&"weights"),
        "{kinds:?}"
    );
}

#[test]
fn a_split_follows_the_column_that_is_named() {
    let place = tempfile::tempdir().unwrap();
    let data = write_visits(place.path(), 400);
    let rows = |arguments: &[&str]| {
        let all = inspected(&data, arguments);
        let rows = all["profile"]["rows"].clone();
        let rows = ["train", "validation", "vault"].map(|part| rows[part].as_u64().unwrap());
        let by = all["split"].as_str().unwrap().to_string();
        (by, rows, all["folds"].as_u64().unwrap())
    };
    let (by, [train, validation, vault], folds) = rows(&["--split-group", "patient"]);
    assert_eq!((by.as_str(), folds), ("by groups of `patient`", 5));
    assert!([train, vault].iter().all(|rows| rows % 5 == 0));
    // All that are not in the vault are learned from, and validate in turn.
    assert_eq!((train + vault, validation), (400, 0));
    assert!((vault as i64 - 80).abs() <= 10);
    assert_eq!(rows(&["--split-column", "part"]).1, [200, 100, 100]);
    let (by, [train, ..], folds) = rows(&["--split-time", "day"]);
    assert_eq!((by.as_str(), folds), ("by the time in `day`", 1));
    assert!((220..260).contains(&train), "{train}");
    let two = inspect(&data, &["--split-time", "day", "--split-group", "patient"]);
    assert_eq!(two.status.code(), Some(2), "{}", said(&two));
    let absent = inspect(&data, &["--split-group", "person"]);
    assert!(said(&absent).contains("no column `person`") && said(&absent).contains("patient, day"));
}

#[test]
fn a_study_of_rare_classes_dates_and_weights_says_what_it_does_and_predicts_from_the_same_columns()
{
    let place = tempfile::tempdir().unwrap();
    write_visits(place.path(), 300);
    let text = "data = \"visits.csv\"\nweight = \"weight\"\n[split]\ngroup = \"patient\"\n\
                [budget]\ntrials = 2\n[training]\nepochs = 3\n";
    fs::write(place.path().join("lehr.toml"), text).unwrap();
    let out = place.path().join("study");
    let explored = explore(place.path(), &out, &["--slots", "1"]);
    let talk = said(&explored);
    assert!(explored.status.success(), "{talk}");
    for part in [
        "balanced_accuracy decides and every class weighs the same in the loss",
        "rows with the same `patient` stay on one side of the split",
        "rows count by their weights",
        "in the loss, in trees, in every metric",
    ] {
        assert!(talk.contains(part), "`{part}` is not said:\n{talk}");
    }
    let config: Value = serde_json::from_str(&ledger(&out).record().unwrap().config).unwrap();
    assert_eq!(config["metric"], "balanced_accuracy");
    assert_eq!(config["training"]["class_weights"], "balanced");
    assert_eq!(config["split"]["vault"], 0.2);
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("What the data are like") && report.contains("2023-01-01"));
    assert!(report.contains("means, shares and scores are by their weights"));
    assert!(report.contains("groups of rows"));
    let best = lehr().arg("best").arg(&out).output().unwrap();
    let best = String::from_utf8(best.stdout).unwrap();
    assert!(best.contains(" groups, never seen before"), "{best}");

    // New rows need neither the weight nor the group, and their dates are read as those before.
    let new = place.path().join("new.csv");
    fs::write(
        &new,
        "day,pulse,part\n2024-05-01 07:30,120,test\n,61.5,train\n",
    )
    .unwrap();
    let predicted = lehr().arg("predict").arg(&out).arg(&new).output().unwrap();
    assert!(predicted.status.success(), "{}", said(&predicted));
    assert_eq!(
        String::from_utf8(predicted.stdout).unwrap().lines().count(),
        3
    );

    // The same command takes the study up; another split is refused.
    let again = explore(place.path(), &out, &["--slots", "1", "--trials", "3"]);
    assert!(again.status.success(), "{}", said(&again));
    let other = explore(
        place.path(),
        &out,
        &["--trials", "3", "--split-time", "day"],
    );
    assert!(!other.status.success());
    assert!(
        said(&other).contains("made with split = by groups of `patient`"),
        "{}",
        said(&other)
    );
}
