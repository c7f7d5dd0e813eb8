//! Damaged models and requests: whatever is wrong with them, reading ends, in answers or in a reason.
//!
//! Files of models that earlier programs wrote are changed at random, and what is asked of these models.
//! `LEHR_MUTATIONS` says how many of each are read; the seed of a failure is in its message.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

#[path = "../../data/tests/damage/mod.rs"]
mod damage;

use std::{
    collections::BTreeMap,
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use damage::damaged;
use data::ReadLimits;
use morph::Architecture;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use replay::{Declared, Element, Replay, Tensor, Values};
use study::{
    model::{Model, Predictions},
    trial::Digest,
};

/// Damaged files of each kind and model, where nobody says how many.
const MUTATIONS: u64 = 100;

/// No small file takes longer, even where tests are not optimised.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Values that a graph is asked about at most.
const VALUES_MAX: usize = 1 << 16;

/// The models that earlier programs wrote.
fn models() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/frozen/v1");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    assert!(folders.len() >= 6, "{folders:?}");
    folders
}

/// Damages what a model has, again and again; every time, what uses it must come to an end.
fn try_all(what: &str, healthy: &dyn Fn(&Path) -> Vec<u8>, use_it: &dyn Fn(&Path, &[u8])) {
    let mutations = env::var("LEHR_MUTATIONS").map_or(MUTATIONS, |text| text.parse().unwrap());
    let folders = models();
    let files: Vec<Vec<u8>> = folders.iter().map(|folder| healthy(folder)).collect();
    let mut wrong = Vec::new();
    for (index, folder) in folders.iter().enumerate() {
        for seed in 0..mutations {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index as u64);
            let other = &files[(index + 1) % files.len()];
            let bytes = damaged(&files[index], other, &mut rng);
            let began = Instant::now();
            let name = folder.file_name().unwrap().display();
            if catch_unwind(AssertUnwindSafe(|| use_it(folder, &bytes))).is_err() {
                wrong.push(format!("{what} of {name}, seed {seed}: a panic"));
            }
            if began.elapsed() > TIME_MAX {
                wrong.push(format!(
                    "{what} of {name}, seed {seed}: {:?}",
                    began.elapsed()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn file(name: &'static str) -> impl Fn(&Path) -> Vec<u8> {
    move |folder| fs::read(folder.join(name)).unwrap()
}

/// A request that this model answers.
fn request(folder: &Path) -> Vec<u8> {
    let model = Model::load(folder).unwrap();
    let row = match folder.file_name().unwrap().to_str().unwrap() {
        "images" => serde_json::json!(vec![7; 64]),
        "series" => serde_json::json!([[1.5, null, 3.0], [0.25, 2.0, -1e9]]),
        "text" => serde_json::json!("some words, and Words again"),
        _ => serde_json::json!({}),
    };
    let body = serde_json::to_vec(&serde_json::json!({ "rows": [row, row] })).unwrap();
    model.card.preprocessor.rows_of_json(&body).unwrap();
    body
}

/// What is asked of a model is answered with numbers.
fn ask(model: &Model, body: &[u8]) {
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

#[test]
fn no_damage_to_a_request_makes_a_model_panic() {
    try_all("a request", &request, &|folder, body| {
        ask(&Model::load(folder).unwrap(), body);
    });
}

#[test]
fn no_damage_to_rows_that_are_sent_makes_a_model_panic() {
    let rows = |folder: &Path| {
        let names = ["rows.csv", "rows.npz", "rows.ts"];
        let path = names
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file());
        fs::read(path.unwrap()).unwrap()
    };
    try_all("rows", &rows, &|folder, body| {
        ask(&Model::load(folder).unwrap(), body);
    });
}

#[test]
fn no_damage_to_a_description_makes_loading_panic() {
    let place = tempfile::tempdir().unwrap();
    try_all("model.json", &file("model.json"), &|folder, bytes| {
        let weights = fs::read(folder.join("model.safetensors")).unwrap();
        fs::write(place.path().join("model.safetensors"), weights).unwrap();
        fs::write(place.path().join("model.json"), bytes).unwrap();
        if let Ok(model) = Model::load(place.path()) {
            ask(&model, &request(folder));
        }
    });
}

#[test]
fn no_damage_to_weights_makes_loading_panic_even_if_their_digest_is_right() {
    let place = tempfile::tempdir().unwrap();
    try_all(
        "model.safetensors",
        &file("model.safetensors"),
        &|folder, bytes| {
            let text = fs::read(folder.join("model.json")).unwrap();
            let mut card: serde_json::Value = serde_json::from_slice(&text).unwrap();
            card["weights"] = serde_json::to_value(Digest::of(bytes)).unwrap();
            fs::write(place.path().join("model.safetensors"), bytes).unwrap();
            fs::write(place.path().join("model.json"), card.to_string()).unwrap();
            let _ = Model::load(place.path());
        },
    );
}

#[test]
fn no_damage_to_an_exported_file_makes_running_it_again_panic() {
    try_all("model.onnx", &file("model.onnx"), &|_, bytes| {
        let Ok(graph) = Replay::read(bytes) else {
            return;
        };
        let inputs = graph.inputs().iter();
        let given: Option<BTreeMap<String, Tensor>> = inputs
            .map(|input| Some((input.name.clone(), some_values(input)?)))
            .collect();
        if let Some(given) = given {
            let _ = graph.run(&given);
        }
    });
}

#[test]
fn the_healthy_files_are_answered_from() {
    for folder in models() {
        let body = request(&folder);
        ask(&Model::load(&folder).unwrap(), &body);
        let graph = Replay::read(&file("model.onnx")(&folder)).unwrap();
        let inputs = graph.inputs().iter();
        let given = inputs.map(|input| (input.name.clone(), some_values(input).unwrap()));
        let answers = graph.run(&given.collect()).unwrap();
        assert!(!answers.is_empty(), "{}", folder.display());
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

#[test]
fn no_damage_to_notation_makes_reading_it_panic_and_what_is_read_is_written_again() {
    let notation = |folder: &Path| {
        let model = Model::load(folder).unwrap();
        model.card.architecture.to_string().into_bytes()
    };
    try_all("notation", &notation, &|_, bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(architecture) = text.parse::<Architecture>() {
            let again: Architecture = architecture.to_string().parse().unwrap();
            assert_eq!(again, architecture);
        }
    });
}
