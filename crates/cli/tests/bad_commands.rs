//! Wrong commands and bad input, as a user would give them: each is answered with the thing, the
//! value, the rule and the next step, exits with a failure, and leaves no study half made.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use studies::{explore, said, write_moons};
use tempfile::TempDir;

fn place() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

fn refused(data: &Path, arguments: &[&str], expected: &[&str]) {
    let place = place();
    let out = place.path().join("study");
    let output = explore(data, &out, arguments);
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    for part in expected {
        assert!(text.contains(part), "`{part}` is not said:\n{text}");
    }
    let left = fs::read_dir(place.path())
        .expect("the folder is there")
        .count();
    assert_eq!(left, 0, "a study was left half made");
}

fn refused_file(name: &str, content: &str, arguments: &[&str], expected: &[&str]) {
    let place = place();
    let path = place.path().join(name);
    fs::write(&path, content).expect("the test's folder can be written");
    refused(&path, arguments, expected);
}

#[test]
fn a_missing_file_is_named() {
    refused(
        Path::new("no/such/rows.csv"),
        &["--trials", "2"],
        &["no/such/rows.csv"],
    );
}

#[test]
fn an_empty_file_is_refused() {
    refused_file("empty.csv", "", &["--trials", "2"], &["empty.csv"]);
}

#[test]
fn a_target_with_one_class_is_refused() {
    let rows: String = (0..40).map(|row| format!("{row},same\n")).collect();
    let table = format!("x,label\n{rows}");
    refused_file(
        "one.csv",
        &table,
        &["--trials", "2", "--target", "label"],
        &["label"],
    );
}

#[test]
fn an_absent_target_column_is_answered_with_the_columns_there_are() {
    let place = place();
    let data = write_moons(place.path(), 60);
    refused(
        &data,
        &["--trials", "2", "--target", "mon"],
        &["mon", "moon", "colour"],
    );
}

#[test]
fn ragged_rows_are_named_by_line() {
    let table = "x,y,label\n1,2,a\n3,4\n5,6,b\n";
    refused_file("ragged.csv", table, &["--trials", "2"], &["line 3"]);
}

#[test]
fn an_unknown_key_of_the_configuration_is_answered_with_the_nearest() {
    let text = "data = \"x.csv\"\n[budget]\ntrails = 3\n";
    refused_file("lehr.toml", text, &[], &["budget.trails", "budget.trials"]);
}

#[test]
fn a_budget_of_nothing_is_refused() {
    let place = place();
    let data = write_moons(place.path(), 60);
    refused(&data, &["--trials", "0"], &["the budget is 0 trials"]);
    refused(&data, &["--time", "0s"], &["the budget is 0 s"]);
}

#[test]
fn a_metric_of_another_task_is_refused() {
    let place = place();
    let data = write_moons(place.path(), 60);
    refused(
        &data,
        &["--trials", "2", "--metric", "rmse"],
        &["`rmse`", "accuracy"],
    );
}

#[test]
fn an_output_folder_that_cannot_be_written_is_named() {
    let place = place();
    let data = write_moons(place.path(), 60);
    let locked = place.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write everywhere; /proc stands in for a locked folder");
        let output = explore(&data, Path::new("/proc/study"), &["--trials", "2"]);
        assert!(!output.status.success() && said(&output).contains("/proc/study"));
        return;
    }
    let output = explore(&data, &locked.join("study"), &["--trials", "2"]);
    assert!(!output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("locked"), "{}", said(&output));
}

#[test]
fn a_folder_with_other_things_in_it_is_not_taken() {
    let place = place();
    let data = write_moons(place.path(), 60);
    let output = explore(&data, place.path(), &["--trials", "2"]);
    assert!(!output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("exists and is not a study"),
        "{}",
        said(&output)
    );
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_hyperparameter_that_no_trainer_knows_is_refused_before_the_study_is_made() {
    let text = "data = \"x.csv\"\n[budget]\ntrials = 3\n\
                [search.space]\nmomentum = { kind = \"float\", low = 0.1, high = 0.9 }\n";
    let words = ["search.space", "`momentum`", "weight_decay"];
    refused_file("lehr.toml", text, &[], &words);
}

#[test]
fn a_range_that_reaches_beyond_what_a_trainer_can_use_is_refused() {
    let text = "data = \"x.csv\"\n[budget]\ntrials = 3\n\
                [search.space]\nweight_decay = { kind = \"float\", low = -0.5, high = 0.5 }\n";
    let words = ["`weight_decay` = -0.5", "0 or more"];
    refused_file("lehr.toml", text, &[], &words);
}
