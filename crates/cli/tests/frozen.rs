//! Models as earlier programs wrote them: they load, predict the same, and are still proven, for ever.
//!
//! `crates/cli/tests/frozen/README.md` says how a version is added. Nothing here may ever be changed to
//! make a new program pass.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

#[path = "studies/python.rs"]
mod python;
mod studies;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use python::{cells, check_same, python_with, repository};
use studies::{lehr, said};

/// Sums are made in another order by other processors.
const TOLERANCE: f64 = 1e-5;

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Every model of every version.
fn models() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen");
    folders_in(&root)
        .iter()
        .flat_map(|version| folders_in(version))
        .collect()
}

/// The raw rows beside a model.
fn rows(model: &Path) -> PathBuf {
    let names = ["rows.csv", "rows.npz", "rows.ts"];
    let found = names
        .iter()
        .map(|name| model.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{} has no rows", model.display()))
}

/// The same for ONNX Runtime, which takes dates as seconds, and whose tool reads the usual CSV and no rows of steps.
fn onnx_rows(model: &Path) -> PathBuf {
    let names = ["seconds.csv", "plain.csv", "plain.ts"];
    let mut paths = names.iter().map(|name| model.join(name));
    let found = paths.find(|path| path.is_file());
    found.unwrap_or_else(|| rows(model))
}

#[test]
fn a_model_of_every_version_predicts_what_it_predicted_when_it_was_written() {
    let models = models();
    assert!(models.len() >= 13, "{models:?}");
    for model in &models {
        let predicted = lehr()
            .arg("predict")
            .arg(model)
            .arg(rows(model))
            .output()
            .unwrap();
        assert!(
            predicted.status.success(),
            "{}: {}",
            model.display(),
            said(&predicted)
        );
        let expected = fs::read(model.join("predictions.csv")).unwrap();
        assert!(cells(&expected).1.len() >= 20, "{}", model.display());
        check_same(&predicted.stdout, &expected, TOLERANCE);
    }
}

#[test]
fn an_onnx_file_of_every_version_is_still_the_one_that_was_certified() {
    for model in models() {
        let file = model.join("model.onnx");
        let check = lehr()
            .arg("export")
            .arg(&model)
            .arg("--check")
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            check.status.success(),
            "{}: {}",
            model.display(),
            said(&check)
        );
        assert!(said(&check).contains("intact"), "{}", said(&check));
    }
}

/// Needs a Python with `onnxruntime` (`LEHR_PYTHON`, otherwise `python3`); skipped without one, unless
/// `LEHR_REQUIRE_ONNXRUNTIME` is set.
#[test]
fn an_onnx_file_of_every_version_says_the_same_in_onnx_runtime() {
    let required = "LEHR_REQUIRE_ONNXRUNTIME";
    let Some(python) = python_with("onnxruntime, numpy", required) else {
        return;
    };
    for model in models() {
        let compared = Command::new(&python)
            .arg(repository().join("tools/onnx/compare_predictions.py"))
            .arg(model.join("model.onnx"))
            .arg(onnx_rows(&model))
            .arg(model.join("predictions.csv"))
            .output()
            .unwrap();
        assert!(
            compared.status.success(),
            "{}: {}",
            model.display(),
            said(&compared)
        );
    }
}

/// Needs a Python with `torch`, `safetensors` and `numpy` (`LEHR_PYTHON`, otherwise `python3`); skipped without one,
/// unless `LEHR_REQUIRE_TORCH` is set.
#[test]
fn a_script_of_a_model_of_every_version_says_the_same() {
    let required = "LEHR_REQUIRE_TORCH";
    let Some(python) = python_with("torch, safetensors, numpy", required) else {
        return;
    };
    for model in models() {
        let place = tempfile::tempdir().unwrap();
        let export = lehr()
            .arg("export")
            .arg(&model)
            .arg("--pytorch")
            .arg(place.path())
            .output()
            .unwrap();
        assert!(export.status.success(), "{}", said(&export));
        let script = Command::new(&python)
            .arg(place.path().join("model.py"))
            .arg(rows(&model))
            .output()
            .unwrap();
        let called = model.display();
        assert!(script.status.success(), "{called}: {}", said(&script));
        let expected = fs::read(model.join("predictions.csv")).unwrap();
        check_same(&script.stdout, &expected, python::TOLERANCE);
    }
}

#[test]
fn a_model_of_every_version_is_exported_again() {
    for model in models() {
        let place = tempfile::tempdir().unwrap();
        let export = lehr()
            .arg("export")
            .arg(&model)
            .arg("--onnx")
            .arg(place.path().join("model.onnx"))
            .arg("--pytorch")
            .arg(place.path())
            .output()
            .unwrap();
        assert!(
            export.status.success(),
            "{}: {}",
            model.display(),
            said(&export)
        );
        let same = fs::read(place.path().join("model.safetensors")).unwrap();
        assert_eq!(
            same,
            fs::read(model.join("model.safetensors")).unwrap(),
            "{}",
            model.display()
        );
    }
}
