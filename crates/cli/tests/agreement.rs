//! The same answer everywhere, on a thousand raw rows with gaps, wild numbers and words never seen: of
//! `lehr predict`, of the exported ONNX file in ONNX Runtime, and of the script in PyTorch.
//!
//! Needs a Python with `onnxruntime`, and one with `torch`, `safetensors` and `numpy` (`LEHR_PYTHON`,
//! otherwise `python3`); what is missing is skipped, unless `LEHR_REQUIRE_ONNXRUNTIME` or
//! `LEHR_REQUIRE_TORCH` is set. Certificates and their refusals need neither.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

#[path = "studies/python.rs"]
mod python;
mod studies;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use python::{TOLERANCE, check_same, python_with, repository, study, succeeded};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use studies::{explore, lehr, said};

const ROWS: usize = 1000;

/// Predicts rows with lehr, with the script, and with ONNX Runtime.
fn check(study: &Path, rows: &Path) {
    let predict = lehr().arg("predict").arg(study).arg(rows).output().unwrap();
    let predicted = succeeded(predict).stdout;
    let best = study.join("best");
    if let Some(python) = python_with("torch, safetensors, numpy", "LEHR_REQUIRE_TORCH") {
        let script = Command::new(python)
            .arg(best.join("model.py"))
            .arg(rows)
            .output()
            .unwrap();
        let script = succeeded(script);
        let worst = check_same(&script.stdout, &predicted, TOLERANCE);
        eprintln!("{}: PyTorch differs by {worst:e}", rows.display());
    }
    if let Some(python) = python_with("onnxruntime, numpy", "LEHR_REQUIRE_ONNXRUNTIME") {
        let predictions = study.join("predictions.csv");
        fs::write(&predictions, &predicted).unwrap();
        let compare = Command::new(python)
            .arg(repository().join("tools/onnx/compare_predictions.py"))
            .arg(best.join("model.onnx"))
            .arg(rows)
            .arg(&predictions)
            .output()
            .unwrap();
        succeeded(compare);
    }
}

/// What stands in no training row: gaps in every spelling, wild numbers, words never seen.
const ODD: [&str; 9] = [
    "", "?", "NA", "NaN", "null", "1e12", "-3.5e9", "purple", "0",
];

/// A table of flats: a time stamp, sizes with gaps, words with gaps, a flag; prices or classes behind.
fn table(rows: usize, target: &str, odd: bool) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64 + u64::from(odd));
    let mut text = format!("built,area,\"district, old\",lift,{target}\n");
    for row in 0..rows {
        let built = 1_500_000_000_u64 + rng.random_range(0..40_000_000);
        let area = rng.random_range(20.0..160.0_f64);
        let district = ["north", "süd", "", "east"][rng.random_range(0..4)];
        let lift = ["yes", "no"][rng.random_range(0..2)];
        let price = 900.0 * area + 40_000.0 * f64::from(u8::from(lift == "yes"));
        let mut cells = [
            built.to_string(),
            if row % 11 == 0 {
                String::new()
            } else {
                format!("{area:.2}")
            },
            district.to_string(),
            lift.to_string(),
            match target {
                "price" => format!("{price:.1}"),
                _ => if price > 90_000.0 { "dear" } else { "cheap" }.to_string(),
            },
        ];
        if odd && row % 3 == 0 {
            cells[rng.random_range(0..4)] = ODD[rng.random_range(0..ODD.len())].to_string();
        }
        writeln!(text, "{}", cells.join(",")).unwrap();
    }
    text
}

fn check_table(target: &str) {
    let place = tempfile::tempdir().unwrap();
    let (known, new) = (place.path().join("known.csv"), place.path().join("new.csv"));
    fs::write(&known, table(400, target, false)).unwrap();
    fs::write(&new, table(ROWS, target, true)).unwrap();
    let study = study(&known, place.path(), &["--target", target]);
    check(&study, &new);
}

#[test]
fn classes_of_odd_rows_are_the_same_everywhere() {
    check_table("class");
}

#[test]
fn numbers_for_odd_rows_are_the_same_everywhere() {
    check_table("price");
}

#[test]
fn classes_of_images_are_the_same_everywhere() {
    let place = tempfile::tempdir().unwrap();
    let example = repository().join("examples/digits");
    let study = study(&example, place.path(), &[]);
    check(&study, &example.join("digits8x8.npz"));
}

/// A study of the moons, and what the program says when it exports its model.
fn moons(place: &Path) -> PathBuf {
    study(
        &studies::write_moons(place, 300),
        place,
        &["--target", "moon"],
    )
}

#[test]
fn an_exported_file_carries_a_certificate_that_every_changed_byte_breaks() {
    let place = tempfile::tempdir().unwrap();
    let study = moons(place.path());
    let model = study.join("best/model.onnx");
    let check = |file: &Path| {
        lehr()
            .args(["export", "--check"])
            .arg(file)
            .output()
            .unwrap()
    };
    let intact = succeeded(check(&model));
    let text = String::from_utf8(intact.stdout).unwrap();
    assert!(
        text.contains("intact") && text.contains("60 vault and 100 drawn"),
        "{text}"
    );
    let card = fs::read_to_string(study.join("best/card.md")).unwrap();
    assert!(
        card.contains("| 60 | vault |") && card.contains("opset 17"),
        "{card}"
    );
    let best = succeeded(lehr().arg("best").arg(&study).output().unwrap());
    let best = String::from_utf8(best.stdout).unwrap();
    assert!(best.contains("60 vault and 100 drawn"), "{best}");

    let bytes = fs::read(&model).unwrap();
    let copy = place.path().join("copy.onnx");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let certificate = bytes
        .windows(16)
        .rposition(|part| part == b"lehr.certificate")
        .unwrap();
    for _ in 0..20 {
        let mut changed = bytes.clone();
        changed[rng.random_range(0..certificate - 8)] ^= 1 << rng.random_range(0..8);
        fs::write(&copy, changed).unwrap();
        assert!(!check(&copy).status.success());
    }
    fs::write(&copy, [&bytes[..], &bytes[..0], b"\0"].concat()).unwrap();
    assert!(!check(&copy).status.success());
}

#[test]
fn a_model_without_its_study_is_certified_on_drawn_rows_and_checked_against_its_weights() {
    let place = tempfile::tempdir().unwrap();
    let study = moons(place.path());
    let (copy, file) = (place.path().join("copy"), place.path().join("model.onnx"));
    let pytorch = [
        "export",
        study.to_str().unwrap(),
        "--pytorch",
        copy.to_str().unwrap(),
    ];
    succeeded(lehr().args(pytorch).output().unwrap());
    for name in ["model.py", "model.safetensors", "model.json"] {
        assert!(copy.join(name).is_file(), "{name}");
    }
    let export = lehr()
        .arg("export")
        .arg(&copy)
        .arg("--onnx")
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8(succeeded(export).stdout).unwrap();
    assert!(text.contains("on 1000 drawn rows"), "{text}");
    let check = |model: &Path| {
        lehr()
            .arg("export")
            .arg(model)
            .arg("--check")
            .arg(&file)
            .output()
            .unwrap()
    };
    succeeded(check(&study));
    let other = study.parent().unwrap().join("other");
    fs::create_dir(&other).unwrap();
    let data = studies::write_moons(&other, 200);
    let arguments = ["--target", "moon", "--trials", "2", "--seed", "9"];
    let out = other.join("study");
    succeeded(explore(&data, &out, &arguments));
    let foreign = check(&out);
    assert!(!foreign.status.success(), "{}", said(&foreign));
    assert!(
        said(&foreign).contains("holds the weights"),
        "{}",
        said(&foreign)
    );
}
