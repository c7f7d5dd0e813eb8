//! The models that earlier programs wrote, and what can be asked of them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use data::{DataKind, ReadLimits};
use morph::Architecture;
use replay::{Declared, Element, Replay, ReplayError, Tensor, Values};
use study::{
    model::{Model, Predictions},
    trial::Digest,
};

/// Values that a graph is asked about at most.
const VALUES_MAX: usize = 1 << 16;

/// The models that earlier programs wrote.
pub(crate) fn models() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/cli/tests/frozen/v1");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    assert!(folders.len() >= 6, "{folders:?}");
    folders
}

/// The bytes of a model's file.
pub(crate) fn file(name: &'static str) -> impl Fn(&Path) -> Vec<u8> {
    move |folder| fs::read(folder.join(name)).unwrap()
}

/// A request that this model answers.
pub(crate) fn request(folder: &Path) -> Vec<u8> {
    let model = Model::load(folder).unwrap();
    let row = match model.card.preprocessor.kind() {
        DataKind::Images => serde_json::json!(vec![7; 64]),
        DataKind::Series => serde_json::json!([[1.5, null, 3.0], [0.25, 2.0, -1e9]]),
        DataKind::Text => serde_json::json!("some words, and Words again"),
        DataKind::Table => serde_json::json!({}),
    };
    let body = serde_json::to_vec(&serde_json::json!({ "rows": [row, row] })).unwrap();
    model.card.preprocessor.rows_of_json(&body).unwrap();
    body
}

/// What is asked of a model is answered with numbers.
pub(crate) fn ask(model: &Model, body: &[u8]) {
    let limits = ReadLimits::default();
    let preprocessor = &model.card.preprocessor;
    let read = [
        preprocessor.rows_of_json(body),
        preprocessor.rows_of_csv(body, &limits),
        preprocessor.row_of_image(body, &limits),
    ];
    for rows in read.into_iter().flatten() {
        let answers = model.predict(&rows.examples).unwrap();
        assert_eq!(answers.len(), rows.row_numbers.len());
        if let Predictions::Classes { probabilities, .. } = answers {
            let sums = probabilities.iter().map(|row| row.iter().sum::<f64>());
            sums.for_each(|sum| assert!((sum - 1.0).abs() < 1e-6, "{sum}"));
        }
    }
}

/// A tensor as it is asked for, if that is a small one.
fn some_values(asked: &Declared) -> Option<Tensor> {
    let shape: Vec<usize> = asked
        .extents
        .iter()
        .map(|extent| extent.unwrap_or(2))
        .collect();
    let count = shape
        .iter()
        .try_fold(1_usize, |all, extent| all.checked_mul(*extent))?;
    if count > VALUES_MAX {
        return None;
    }
    let values = match asked.element {
        Element::Float => Values::Floats(vec![0.5; count]),
        Element::Double => Values::Doubles(vec![0.5; count]),
        Element::Int => Values::Ints(vec![1; count]),
        Element::Byte => Values::Bytes(vec![200; count]),
        Element::Truth => Values::Truths(vec![true; count]),
        Element::Text => Values::Texts(vec!["some words".to_string(); count]),
    };
    Tensor::new(shape, values)
}

/// Loads a model with another description, and asks it if it can be loaded.
pub(crate) fn describe(folder: &Path, description: &[u8], place: &Path) {
    let weights = fs::read(folder.join("model.safetensors")).unwrap();
    fs::write(place.join("model.safetensors"), weights).unwrap();
    fs::write(place.join("model.json"), description).unwrap();
    if let Ok(model) = Model::load(place) {
        ask(&model, &request(folder));
    }
}

/// Loads a model with other weights, whose digest is right.
pub(crate) fn weigh(folder: &Path, weights: &[u8], place: &Path) {
    let text = fs::read(folder.join("model.json")).unwrap();
    let mut card: serde_json::Value = serde_json::from_slice(&text).unwrap();
    card["weights"] = serde_json::to_value(Digest::of(weights)).unwrap();
    fs::write(place.join("model.safetensors"), weights).unwrap();
    fs::write(place.join("model.json"), card.to_string()).unwrap();
    let _ = Model::load(place);
}

/// What an exported file answers; nothing, if it asks for more than a test wants to give.
pub(crate) fn run_again(exported: &[u8]) -> Result<Vec<Tensor>, ReplayError> {
    let graph = Replay::read(exported)?;
    let inputs = graph.inputs().iter();
    let given: Option<BTreeMap<String, Tensor>> = inputs
        .map(|input| Some((input.name.clone(), some_values(input)?)))
        .collect();
    given.map_or(Ok(Vec::new()), |given| graph.run(&given))
}

/// What can be read is written in the same way again.
pub(crate) fn read_notation(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(architecture) = text.parse::<Architecture>() {
        let again: Architecture = architecture.to_string().parse().unwrap();
        assert_eq!(again, architecture);
    }
}
