//! Certificates: given for what is right, refused for what is not, broken by every change.

use data::{Dataset, RawTargets, TextUnit, Texts};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::{Setting, TrialId};
use train::Weights;

use super::*;
use crate::model::{FORMAT as MODEL_FORMAT, ModelCard};

const CLASSES: &str = r#"{"kind": "classification", "classes": ["a", "b", "c"]}"#;

/// A target far from 0 beside its spread, as a time stamp is.
const NUMBER: &str = r#"{"kind": "regression", "target": "when", "mean": 1.6e9, "scale": 1e6}"#;

/// A model of a number column and a word column.
fn model(task: &str, seed: u64) -> Model {
    let preprocessor = format!(
        r#"{{"format": 1, "task": {task}, "inputs": {{"columns": [
            {{"name": "n", "kind": "numeric", "fill": 2, "missing_indicator": "present",
              "shift": 1.5, "scale": 2.5}},
            {{"name": "w", "kind": "category", "levels": ["x", "y"], "missing_indicator": "present"}}
        ]}}}}"#
    );
    let outputs = if task == CLASSES { 3 } else { 1 };
    let notation = format!("in 5 | dense 8 | gelu | dense {outputs}");
    model_of(&preprocessor, &notation, seed)
}

/// A model of texts by their words.
fn text_model() -> Model {
    let preprocessor = format!(
        r#"{{"format": 1, "task": {CLASSES}, "inputs": {{"text": {{
            "name": "text", "length": 4, "codes": 4, "forms": {{"good": 2, "bad": 3}}
        }}}}}}"#
    );
    model_of(&preprocessor, "in 1x4 | embed 4 3 | flatten | dense 3", 1)
}

fn model_of(preprocessor: &str, notation: &str, seed: u64) -> Model {
    let architecture = notation.parse().unwrap();
    let weights = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(seed));
    let card = ModelCard {
        format: MODEL_FORMAT,
        trial: TrialId(7),
        members: Vec::new(),
        architecture,
        setting: Setting::default(),
        preprocessor: serde_json::from_str(preprocessor).unwrap(),
        calibration: train::Calibration::new(1.7, 0.3).unwrap(),
        weights: Digest::of(&weights.to_safetensors()),
    };
    Model { card, weights }
}

#[test]
fn a_file_that_says_the_same_is_certified_and_proves_it_later() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model.onnx");
    for task in [CLASSES, NUMBER] {
        let model = model(task, 1);
        let certificate = write_certified(&model, None, ROWS_MAX, &path).unwrap();
        assert_eq!(certificate.tried.len(), 1);
        assert_eq!(certificate.tried[0].rows, ROWS_MAX);
        assert!(certificate.largest_difference() < 1e-5, "{certificate}");
        assert_eq!(
            (certificate.opset, &certificate.weights_blake3),
            (17, &model.card.weights)
        );
        assert_eq!(verify(&path).unwrap(), certificate);
        assert_eq!(
            fs::read_dir(place.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }
}

#[test]
fn a_file_of_other_weights_is_refused_by_its_row() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("other.onnx");
    for task in [CLASSES, NUMBER] {
        let (model, other) = (model(task, 1), model(task, 2));
        write_certified(&other, None, 10, &path).unwrap();
        let replay = Replay::read(&fs::read(&path).unwrap()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let sample = Sample::drawn(&model.card.preprocessor, 10, &mut rng);
        let error = compare(&model, &replay, &path, RowsOf::Vault, &sample).unwrap_err();
        assert!(
            matches!(error, CertifyError::Differs { row: 1, .. }),
            "{error}"
        );
        let said = error.to_string();
        assert!(
            said.contains("of vault row 1") && said.contains("0.0001"),
            "{said}"
        );
    }
}

/// Every editor ends a file with a line end.
#[test]
fn texts_with_blanks_and_line_ends_around_them_are_certified_nothing_among_them() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model.onnx");
    let texts = ["?\n", " NA\r\n", "\n", "good\tbad\n", "good ?\n"];
    let dataset = Dataset::Texts(Texts {
        name: "text".to_string(),
        texts: texts.map(str::to_string).to_vec(),
        unit: TextUnit::Word,
        targets: RawTargets::Unknown(texts.len()),
    });
    let sample = Sample::of(&dataset, &[0, 1, 2, 3, 4], texts.len());
    let real = Some((RowsOf::Vault, &sample));
    let certificate = write_certified(&text_model(), real, 10, &path).unwrap();
    assert_eq!(certificate.tried[0].rows, texts.len());
}

#[test]
fn what_cannot_be_certified_leaves_no_file_not_even_an_older_one() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model.onnx");
    let mut model = model(CLASSES, 1);
    write_certified(&model, None, 10, &path).unwrap();
    model.card.architecture = "in 5 | dense 2".parse().unwrap();
    let error = write_certified(&model, None, 10, &path).unwrap_err();
    assert!(matches!(error, CertifyError::Export(_)), "{error}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_file_with_a_changed_byte_or_another_certificate_is_found_out() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model.onnx");
    let certificate = write_certified(&model(CLASSES, 1), None, 10, &path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let own = property_bytes(KEY, &text(&certificate));
    let before = bytes.len() - own.len();
    let problem = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        verify(&path).unwrap_err().to_string()
    };
    for place in (0..before).step_by(7) {
        let mut changed = bytes.clone();
        changed[place] ^= 4;
        problem(&changed);
    }
    assert!(problem(&bytes[..before]).contains("no certificate"));
    let behind = [&bytes[..], &property_bytes("note", "more")].concat();
    assert!(problem(&behind).contains("behind its certificate"));
    let foreign = Certificate {
        weights_blake3: Digest::of(b"others"),
        ..certificate.clone()
    };
    let foreign = [&bytes[..before], &property_bytes(KEY, &text(&foreign))].concat();
    assert!(problem(&foreign).contains("other weights"));
    let newer = Certificate {
        format: 2,
        ..certificate
    };
    let newer = [&bytes[..before], &property_bytes(KEY, &text(&newer))].concat();
    assert!(problem(&newer).contains("format 2"));
}
