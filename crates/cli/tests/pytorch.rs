//! The script that comes with a model says in PyTorch what `lehr predict` says, of every kind of data and
//! every way of writing it.
//!
//! Needs a Python with `torch`, `safetensors`, `numpy` and `pillow` (`LEHR_PYTHON`, otherwise `python3`);
//! skipped without one, unless `LEHR_REQUIRE_TORCH` is set.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

#[path = "studies/python.rs"]
mod python;
#[path = "studies/rows.rs"]
mod rows;
mod studies;

use std::{fmt::Write as _, fs, path::Path, process::Command};

use python::{TOLERANCE, cells, check_same, python_with, repository, study, succeeded};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rows::{reviews, unequal};
use studies::lehr;

fn python() -> Option<String> {
    python_with("torch, safetensors, numpy, PIL", "LEHR_REQUIRE_TORCH")
}

/// Explores what is known, and has lehr and the script predict new rows; of so many there is an answer.
fn check(known: &Path, new: &Path, more: &[&str], rows: usize) {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let study = study(known, place.path(), more);
    let predict = lehr().arg("predict").arg(&study).arg(new).output().unwrap();
    let predicted = succeeded(predict).stdout;
    assert_eq!(cells(&predicted).1.len(), rows);
    let script = study.join("best/model.py");
    let script = Command::new(python).arg(script).arg(new).output().unwrap();
    check_same(&succeeded(script).stdout, &predicted, TOLERANCE);
}

/// Explores one text as a file, and has another predicted.
fn check_files(ending: &str, known: &str, new: &str, more: &[&str], rows: usize) {
    let place = tempfile::tempdir().unwrap();
    let (known_path, new_path) = (
        place.path().join(format!("known.{ending}")),
        place.path().join(format!("new.{ending}")),
    );
    fs::write(&known_path, known).unwrap();
    fs::write(&new_path, new).unwrap();
    check(&known_path, &new_path, more, rows);
}

/// Semicolons, decimal commas, and what people write for numbers; every eleventh row has cells too few.
fn continental(rows: usize, odd: bool) -> String {
    const SPELLED: [&str; 8] = ["1_000", "inf", "1e5", "+3,5", ",5", "12,", "abc", "-"];
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let mut text = "größe;preis;klasse\n".to_string();
    for row in 0..rows {
        let size = rng.random_range(1_000..9_000);
        let mut cell = format!("{}.{:03},25", size / 1000, size % 1000);
        if odd && row % 5 == 0 {
            cell = SPELLED[rng.random_range(0..SPELLED.len())].to_string();
        }
        let price = format!("{:.2}", rng.random_range(-5.0..5.0_f64)).replace('.', ",");
        let class = if size > 5_000 { "groß" } else { "klein" };
        writeln!(text, "{cell};{price};{class}").unwrap();
        if odd && row % 11 == 0 {
            text += "zu wenig;1\n\n";
        }
    }
    text
}

#[test]
fn a_table_with_semicolons_and_decimal_commas_is_the_same() {
    let (known, new) = (continental(300, false), continental(200, true));
    check_files("csv", &known, &new, &["--target", "klasse"], 200);
}

#[test]
fn a_table_without_names_is_the_same() {
    let rows = |rows: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
        let mut text = String::new();
        for _ in 0..rows {
            let size = rng.random_range(-1.0..1.0_f64);
            let word = ["süd", "nord"][rng.random_range(0..2)];
            let class = if size > 0.2 { "high" } else { "low" };
            writeln!(text, "{size:.4}\t{word}\t{class}").unwrap();
        }
        text
    };
    // Of two classes that AUC chose by, probabilities are moved.
    let more = ["--target", "column3", "--metric", "auc"];
    check_files("tsv", &rows(300), &rows(100), &more, 100);
}

#[test]
fn pictures_of_any_size_and_colour_are_the_same() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let made = Command::new(&python)
        .arg(repository().join("tools/pytorch/make_images.py"))
        .arg(repository().join("examples/digits/digits8x8.npz"))
        .arg(place.path())
        .output()
        .unwrap();
    succeeded(made);
    for known in ["colour", "gray"] {
        let new = place.path().join(format!("new-{known}"));
        // All but the broken one.
        check(&place.path().join(known), &new, &[], 60);
    }
}

/// Words never seen, no words, more than any, other white space, missing ones.
const ODD_TEXTS: [&str; 8] = [
    "nothing of this was written before",
    "",
    "   ",
    "NA",
    "n/a or good",
    "good\tbad\n(bad)\u{a0}great! great!",
    "good good good good good good good good good good good good good good good good good good",
    "GOOD Bad \u{e4}rger \u{c4}RGER",
];

#[test]
fn texts_are_the_same() {
    let (known, new) = (reviews(300, &[]), reviews(40, &ODD_TEXTS));
    check_files("csv", &known, &new, &["--ignore", "age"], 48);
}

#[test]
fn a_text_beside_other_columns_is_the_same() {
    let (known, new) = (reviews(300, &[]), reviews(40, &ODD_TEXTS));
    check_files("csv", &known, &new, &[], 48);
}

#[test]
fn unequal_series_with_gaps_are_the_same() {
    check_files("ts", &unequal(120), &unequal(180), &[], 180);
}

/// Series as rows of a table: each column is a step.
fn wide(rows: usize) -> String {
    let names: Vec<String> = (0..24).map(|step| format!("t{step}")).collect();
    let mut text = format!("{},kind\n", names.join(","));
    for row in 0..rows {
        let (speed, label) = [(0.2, "slow"), (0.45, "fast")][row % 2];
        let step = |step: usize| match (row * 31 + step * 7) % 97 {
            0 => String::new(),
            _ => format!("{:.3}", (step as f64 * speed + row as f64).sin()),
        };
        let cells: Vec<String> = (0..24).map(step).collect();
        writeln!(text, "{},{label}", cells.join(",")).unwrap();
    }
    text
}

#[test]
fn series_in_a_wide_table_are_the_same() {
    check_files("csv", &wide(160), &wide(90), &["--kind", "series"], 90);
}
