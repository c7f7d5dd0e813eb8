//! The same answer everywhere, on a thousand raw rows of every kind of data with gaps, wild numbers, dates
//! that are none and words never seen: of `lehr predict`, of the exported ONNX file in ONNX Runtime, of the
//! script in PyTorch, and of `lehr serve`.
//!
//! Needs a Python with `onnxruntime`, and one with `torch`, `safetensors` and `numpy` (`LEHR_PYTHON`,
//! otherwise `python3`); what is missing is skipped, unless `LEHR_REQUIRE_ONNXRUNTIME` or
//! `LEHR_REQUIRE_TORCH` is set. `lehr serve`, certificates and their refusals need neither.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

#[path = "studies/odd.rs"]
mod odd;
#[path = "studies/python.rs"]
mod python;
mod server;
mod studies;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use data::{Dataset, Request};
use odd::{ROWS, Rows};
use python::{TOLERANCE, cells, check_same, python_with, repository, study, succeeded};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use server::Server;
use studies::{explore, lehr, said};
use tempfile::TempDir;

/// The same rows as every way of asking takes them.
struct Asked {
    /// For `lehr predict` and the script.
    file: PathBuf,
    /// For ONNX Runtime: the same file, but for dates, which it takes as seconds.
    onnx: PathBuf,
    /// For `lehr serve`.
    json: Vec<Value>,
    /// Whether the file can be sent as it is, too.
    csv: Sent,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    JsonOnly,
    AlsoCsv,
}

/// Has rows predicted in all ways.
fn check(study: &Path, asked: &Asked) {
    let predict = lehr()
        .arg("predict")
        .args([study, &asked.file])
        .output()
        .unwrap();
    let predicted = succeeded(predict).stdout;
    assert_eq!(cells(&predicted).1.len(), ROWS);
    check_served(study, asked, &predicted);
    let best = study.join("best");
    if let Some(python) = python_with("torch, safetensors, numpy", "LEHR_REQUIRE_TORCH") {
        let script = Command::new(python)
            .arg(best.join("model.py"))
            .arg(&asked.file)
            .output()
            .unwrap();
        let worst = check_same(&succeeded(script).stdout, &predicted, TOLERANCE);
        eprintln!("{}: PyTorch differs by {worst:e}", asked.file.display());
    }
    if let Some(python) = python_with("onnxruntime, numpy", "LEHR_REQUIRE_ONNXRUNTIME") {
        let predictions = study.join("predictions.csv");
        fs::write(&predictions, &predicted).unwrap();
        let compare = Command::new(python)
            .arg(repository().join("tools/onnx/compare_predictions.py"))
            .arg(best.join("model.onnx"))
            .arg(&asked.onnx)
            .arg(&predictions)
            .output()
            .unwrap();
        let said = succeeded(compare).stdout;
        eprint!(
            "{}: {}",
            asked.file.display(),
            String::from_utf8_lossy(&said)
        );
    }
}

/// Asks a server for the same rows, in every form that it takes.
fn check_served(study: &Path, asked: &Asked, predicted: &[u8]) {
    let server = Server::start(study, &[]);
    let mut bodies = vec![(
        "application/json",
        serde_json::to_vec(&json!({ "rows": asked.json })).unwrap(),
    )];
    if asked.csv == Sent::AlsoCsv {
        bodies.push(("text/csv", fs::read(&asked.file).unwrap()));
    }
    for (kind, body) in bodies {
        let heads = [("Content-Type", kind), ("Accept", "text/csv")];
        let answer = server.ask("POST /predict", &heads, &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let worst = check_same(answer.body.as_bytes(), predicted, TOLERANCE);
        eprintln!("{}: {kind} differs by {worst:e}", asked.file.display());
    }
}

/// The rows of flats as objects: of even rows, numbers are numbers and what is empty is null; a date is
/// always as it stands in the file.
fn objects(table: &str) -> Vec<Value> {
    let (header, rows) = cells(table.as_bytes());
    let value = |row: usize, column: &str, cell: &str| match cell.trim().parse::<f64>() {
        _ if row % 2 == 1 => json!(cell),
        _ if cell.is_empty() => Value::Null,
        Ok(number) if number.is_finite() && !odd::is_date(column) => json!(number),
        _ => json!(cell),
    };
    let object = |(row, cells): (usize, &Vec<String>)| {
        let fields = header.iter().zip(cells);
        let value = |(name, cell): (&String, &String)| (name.clone(), value(row, name, cell));
        fields.map(value).collect::<serde_json::Map<_, _>>().into()
    };
    rows.iter().enumerate().map(object).collect()
}

fn write(place: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = place.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn check_flats(target: &str, more: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let known = write(place, "known.csv", odd::flats(700, target, Rows::Known).raw);
    let new = odd::flats(ROWS, target, Rows::Odd);
    let study = study(&known, place, &[&["--target", target], more].concat());
    let card = fs::read_to_string(study.join("best/model.json")).unwrap();
    for kind in ["numeric", "knots", "category", "text", "time"] {
        assert!(card.contains(&format!("\"{kind}\"")), "{kind}: {card}");
    }
    let (_, places) = card.split_once("\"street\"").unwrap();
    let (levels, _) = places.split_once(']').unwrap();
    assert!(
        levels.matches("road ").count() > data::levels::OWN,
        "{levels}"
    );
    let asked = Asked {
        json: objects(&new.raw),
        file: write(place, "new.csv", &new.raw),
        onnx: write(place, "seconds.csv", new.in_seconds),
        csv: Sent::AlsoCsv,
    };
    check(&study, &asked);
}

#[test]
fn classes_of_odd_rows_are_the_same_everywhere() {
    check_flats("class", &["--folds", "1"]);
}

#[test]
fn numbers_for_odd_rows_are_the_same_everywhere() {
    // The model is the mean of five networks.
    check_flats("price", &[]);
}

#[test]
fn classes_of_images_are_the_same_everywhere() {
    let place = tempfile::tempdir().unwrap();
    let example = repository().join("examples/digits");
    let study = study(&example, place.path(), &[]);
    let request = Request {
        path: example.join("digits8x8.npz"),
        ..Request::default()
    };
    let Dataset::Images(known) = data::read(&request).unwrap().dataset else {
        panic!("the digits are images");
    };
    let images = odd::images(&known.bytes);
    let file = write(place.path(), "new.npy", odd::array_file(&images));
    let asked = Asked {
        json: images.iter().map(|image| json!(image)).collect(),
        onnx: file.clone(),
        file,
        csv: Sent::JsonOnly,
    };
    check(&study, &asked);
}

#[test]
fn classes_of_unequal_series_with_gaps_are_the_same_everywhere() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let known = odd::series_file(&odd::series(160, Rows::Known));
    let study = study(&write(place, "known.ts", known), place, &["--folds", "1"]);
    let new = odd::series(ROWS, Rows::Odd);
    let file = write(place, "new.ts", odd::series_file(&new));
    let number = |cell: &String| cell.parse::<f64>().ok().map_or(Value::Null, Value::from);
    let channel = |values: &Vec<String>| values.iter().map(number).collect::<Value>();
    let asked = Asked {
        json: new
            .iter()
            .map(|(channels, _)| channels.iter().map(channel).collect())
            .collect(),
        onnx: file.clone(),
        file,
        csv: Sent::JsonOnly,
    };
    check(&study, &asked);
}

#[test]
fn classes_of_series_in_a_table_are_the_same_everywhere() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let known = write(place, "known.csv", odd::wide(160, Rows::Known));
    let study = study(&known, place, &["--kind", "series", "--folds", "1"]);
    let new = odd::wide(ROWS, Rows::Odd);
    let file = write(place, "new.csv", &new);
    let number = |cell: &String| match cell.parse::<f64>() {
        Ok(number) if number.is_finite() => json!(number),
        _ => Value::Null,
    };
    let series = |row: &Vec<String>| row[..24].iter().map(number).collect();
    let asked = Asked {
        json: cells(new.as_bytes()).1.iter().map(series).collect(),
        onnx: file.clone(),
        file,
        csv: Sent::AlsoCsv,
    };
    check(&study, &asked);
}

#[test]
fn classes_of_texts_are_the_same_everywhere() {
    check_texts(odd::texts);
}

#[test]
fn classes_of_names_read_by_characters_are_the_same_everywhere() {
    check_texts(odd::names);
}

#[test]
fn classes_of_texts_read_by_pairs_of_characters_are_the_same_everywhere() {
    let study = check_texts(odd::signs);
    let card = fs::read_to_string(study.path().join("study/best/model.json")).unwrap();
    assert!(card.contains("\"pairs\""), "{card}");
}

fn check_texts(texts: fn(usize, Rows) -> String) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let known = write(place, "known.csv", texts(300, Rows::Known));
    let study = study(&known, place, &[]);
    let new = texts(ROWS, Rows::Odd);
    let file = write(place, "new.csv", &new);
    let rows = cells(new.as_bytes()).1;
    let asked = Asked {
        json: rows.iter().map(|row| json!(row[0])).collect(),
        onnx: file.clone(),
        file,
        csv: Sent::AlsoCsv,
    };
    check(&study, &asked);
    folder
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
