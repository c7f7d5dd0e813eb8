//! Series of which each row is a step, from the table to the answers: a study that a user would make of
//! them, what its model says of new steps, and what is said of wrong ones.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use studies::{explore, lehr, said};

/// A row for each step of so many series, of unequal lengths, all of them at once; the label is the speed.
fn write_steps(folder: &Path, name: &str, series: usize, has_label: bool) -> PathBuf {
    let mut text = String::from("subject,second,x,y");
    text += if has_label { ",label\n" } else { "\n" };
    for step in 0..16 {
        for subject in 0..series {
            let (speed, label) = [(0.2, "slow"), (0.7, "fast")][subject % 2];
            if step >= 12 + subject % 5 {
                continue;
            }
            let phase = step as f64 * speed + subject as f64;
            let (x, y) = (phase.sin(), phase.cos());
            write!(text, "s{subject},{step},{x:.3},{y:.3}").unwrap();
            text += &match has_label {
                true => format!(",{label}\n"),
                false => "\n".to_string(),
            };
        }
    }
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

const NAMED: [&str; 6] = [
    "--target",
    "label",
    "--series-id",
    "subject",
    "--series-time",
    "second",
];

#[test]
fn a_study_of_steps_gives_a_model_that_answers_each_series_by_its_id() {
    let place = tempfile::tempdir().unwrap();
    let data = write_steps(place.path(), "steps.csv", 60, true);
    let out = place.path().join("study");
    let few = ["--trials", "3", "--slots", "2", "--retrain", "nothing"];
    let explored = explore(&data, &out, &[&NAMED[..], &few].concat());
    assert!(explored.status.success(), "{}", said(&explored));
    let talk = said(&explored);
    assert!(talk.contains("ordered by `second`"), "{talk}");

    // The series with a word among its numbers is told by row, and the others are answered.
    let new = write_steps(place.path(), "new.csv", 7, false);
    let mut text = fs::read_to_string(&new).unwrap();
    text += "s3,99,much,0\n";
    let lines = text.lines().count();
    fs::write(&new, text).unwrap();
    let bad = place.path().join("bad.csv");
    let predicted = lehr()
        .arg("predict")
        .args([&out, &new])
        .arg("--bad")
        .arg(&bad)
        .output()
        .unwrap();
    assert!(predicted.status.success(), "{}", said(&predicted));
    let answer = String::from_utf8(predicted.stdout.clone()).unwrap();
    let mut lines_of_answer = answer.lines();
    assert_eq!(
        lines_of_answer.next(),
        Some("row,series,label,probability of fast,probability of slow")
    );
    let called: Vec<String> = lines_of_answer
        .map(|line| line.split(',').take(2).collect::<Vec<_>>().join(","))
        .collect();
    assert_eq!(called, ["1,s0", "2,s1", "3,s2", "5,s4", "6,s5", "7,s6"]);
    let told = fs::read_to_string(&bad).unwrap();
    let reason = "\"`x` holds `much`, which is no number; series `s3` is not answered without it\"";
    let row = lines - 1;
    assert_eq!(told, format!("file,row,reason\n,{row},{reason}\n"));

    let other = explore(&data, &out, &[&NAMED[..4], &few].concat());
    assert!(!other.status.success());
    let talk = said(&other);
    assert!(
        talk.contains("series = by `subject` in the order of `second`, now it is by `subject`"),
        "{talk}"
    );
}

#[test]
fn what_cannot_be_series_leaves_no_study() {
    let place = tempfile::tempdir().unwrap();
    let data = write_steps(place.path(), "steps.csv", 8, true);
    let out = place.path().join("study");
    let refused = |arguments: &[&str], expected: &str| {
        let output = explore(&data, &out, &[&["--trials", "2"], arguments].concat());
        let text = said(&output);
        assert!(
            !output.status.success() && text.contains(expected),
            "{text}"
        );
        assert!(!out.exists(), "a study was left half made");
    };
    refused(
        &[
            "--target",
            "x",
            "--ignore",
            "label",
            "--series-id",
            "subject",
        ],
        "in `x`, in row 1 it has",
    );
    refused(
        &["--target", "label", "--series-time", "second"],
        "give `series.id` or --series-id",
    );
    refused(
        &["--target", "label", "--series-id", "person"],
        "no column `person`",
    );
}

#[test]
fn a_table_of_steps_is_pointed_at_its_series() {
    let place = tempfile::tempdir().unwrap();
    let data = write_steps(place.path(), "steps.csv", 8, true);
    // Series after series, as most such files are.
    let text = fs::read_to_string(&data).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_by_key(|row| row.split(',').next().unwrap());
    fs::write(&data, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
    let output = lehr()
        .arg("inspect")
        .arg(&data)
        .args(["--target", "label"])
        .output()
        .unwrap();
    let text = said(&output)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        text.contains("(--series-id subject --series-time second reads them as series)"),
        "{text}"
    );
}
