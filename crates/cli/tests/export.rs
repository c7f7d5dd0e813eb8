//! What a user takes away does what was scored: the exported model of each example, run by ONNX
//! Runtime on raw rows and raw images, says what `lehr predict` says.
//!
//! Needs a Python with `onnxruntime` (`LEHR_PYTHON`, otherwise `python3`); skipped without one, unless
//! `LEHR_REQUIRE_ONNXRUNTIME` is set.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

#[path = "studies/rows.rs"]
mod rows;
mod studies;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use rows::{reviews, unequal};
use studies::{explore, lehr, said};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn python_with_onnxruntime() -> Option<String> {
    let python = env::var("LEHR_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let probe = Command::new(&python)
        .args(["-c", "import onnxruntime, numpy"])
        .output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let required = env::var_os("LEHR_REQUIRE_ONNXRUNTIME").is_some();
    assert!(
        !required,
        "{python} has no onnxruntime and numpy, which this run requires"
    );
    eprintln!("skipped: {python} has no onnxruntime and numpy; set LEHR_PYTHON to one that has");
    None
}

/// Explores data briefly, predicts its own rows, and has ONNX Runtime do the same.
fn check(data: &Path, rows: &Path, more: &[&str]) {
    let Some(python) = python_with_onnxruntime() else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("study");
    let arguments = [&["--trials", "8", "--slots", "2"], more].concat();
    let explored = explore(data, &out, &arguments);
    assert!(explored.status.success(), "{}", said(&explored));
    let predicted = lehr().arg("predict").arg(&out).arg(rows).output().unwrap();
    assert!(predicted.status.success(), "{}", said(&predicted));
    let predictions = place.path().join("predictions.csv");
    fs::write(&predictions, &predicted.stdout).unwrap();
    let compared = Command::new(python)
        .arg(repository().join("tools/onnx/compare_predictions.py"))
        .arg(out.join("best/model.onnx"))
        .arg(rows)
        .arg(&predictions)
        .output()
        .unwrap();
    assert!(compared.status.success(), "{}", said(&compared));
}

#[test]
fn the_exported_model_of_the_digits_says_what_predict_says() {
    let example = repository().join("examples/digits");
    check(&example, &example.join("digits8x8.npz"), &[]);
}

#[test]
fn the_exported_model_of_the_credit_table_says_what_predict_says() {
    let example = repository().join("examples/credit-g");
    check(&example, &example.join("credit-g.csv"), &[]);
}

#[test]
fn the_exported_model_of_numbers_far_from_zero_predicts_what_predict_says() {
    let place = tempfile::tempdir().unwrap();
    let table = place.path().join("prices.csv");
    let mut rows = String::from("built,area,district,price\n");
    for row in 0..400_u32 {
        // A time stamp, a size with gaps, a word with gaps, and a price that depends on all three.
        let built = 1_500_000_000 + row * 86_413;
        let area = if row % 17 == 0 {
            String::new()
        } else {
            format!("{}", 40 + row * 7 % 90)
        };
        let district = ["north", "south", "", "east"][row as usize % 4];
        let price = 250_000 + 90 * row + 3_000 * (row * 7 % 90) + 20_000 * (row % 4);
        rows.push_str(&format!("{built},{area},{district},{price}\n"));
    }
    fs::write(&table, rows).unwrap();
    check(&table, &table, &["--target", "price"]);
}

/// Texts with words never seen, without words, longer than any, with other white space, and missing ones.
const ODD_TEXTS: [&str; 8] = [
    "nothing of this was written before",
    "",
    "   ",
    "NA",
    "n/a or good",
    "good\tbad\n(bad)  great!",
    "good good good good good good good good good good good good good good good good good good good",
    "GOOD Bad \u{e4}rger \u{c4}RGER",
];

/// Explores texts with a label, and predicts texts as nobody wrote them.
fn check_reviews(more: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    let (train, rows) = (
        place.path().join("train.csv"),
        place.path().join("rows.csv"),
    );
    fs::write(&train, reviews(300, &[])).unwrap();
    fs::write(&rows, reviews(40, &ODD_TEXTS)).unwrap();
    check(&train, &rows, more);
}

#[test]
fn the_exported_model_of_texts_says_what_predict_says() {
    check_reviews(&["--ignore", "age"]);
}

#[test]
fn the_exported_model_of_a_text_beside_other_columns_says_what_predict_says() {
    check_reviews(&[]);
}

#[test]
fn the_exported_model_of_unequal_series_with_gaps_says_what_predict_says() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("made.ts");
    fs::write(&path, unequal(120)).unwrap();
    check(&path, &path, &[]);
}

#[test]
fn a_model_saved_elsewhere_predicts_the_same() {
    let place = tempfile::tempdir().unwrap();
    let (out, copy) = (place.path().join("study"), place.path().join("copy"));
    let example = repository().join("examples/credit-g");
    let explored = explore(&example, &out, &["--trials", "3"]);
    assert!(explored.status.success(), "{}", said(&explored));
    let exported = lehr()
        .arg("export")
        .arg(&out)
        .arg("--safetensors")
        .arg(&copy)
        .output()
        .unwrap();
    assert!(exported.status.success(), "{}", said(&exported));
    let predict = |model: &Path| {
        lehr()
            .arg("predict")
            .arg(model)
            .arg(example.join("credit-g.csv"))
            .output()
            .unwrap()
    };
    let (original, copied) = (predict(&out), predict(&copy));
    assert!(copied.status.success(), "{}", said(&copied));
    assert_eq!(original.stdout, copied.stdout);
    assert!(original.stdout.len() > 1000, "every row is predicted");
}
