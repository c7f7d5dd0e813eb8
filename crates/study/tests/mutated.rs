//! Damaged models and requests: whatever is wrong with them, reading ends, in answers or in a reason.
//!
//! Files of models that earlier programs wrote are changed at random, and what is asked of these models.
//! `LEHR_MUTATIONS` says how many of each are read; the seed of a failure is in its message.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

#[path = "../../data/tests/damage/mod.rs"]
mod damage;
mod models;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use damage::damaged;
use models::{ask, describe, file, models, read_notation, request, run_again, weigh};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use study::model::Model;

/// Damaged files of each kind and model, where nobody says how many.
const MUTATIONS: u64 = 100;

/// No small file takes longer, even where tests are not optimised.
const TIME_MAX: Duration = Duration::from_secs(10);

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
        describe(folder, bytes, place.path());
    });
}

#[test]
fn no_damage_to_weights_makes_loading_panic_even_if_their_digest_is_right() {
    let place = tempfile::tempdir().unwrap();
    let weights = file("model.safetensors");
    try_all("model.safetensors", &weights, &|folder, bytes| {
        weigh(folder, bytes, place.path());
    });
}

#[test]
fn no_damage_to_an_exported_file_makes_running_it_again_panic() {
    try_all("model.onnx", &file("model.onnx"), &|_, bytes| {
        let _ = run_again(bytes);
    });
}

#[test]
fn the_healthy_files_are_answered_from() {
    for folder in models() {
        let body = request(&folder);
        ask(&Model::load(&folder).unwrap(), &body);
        let answers = run_again(&file("model.onnx")(&folder)).unwrap();
        assert!(!answers.is_empty(), "{}", folder.display());
    }
}

#[test]
fn no_damage_to_notation_makes_reading_it_panic_and_what_is_read_is_written_again() {
    let notation = |folder: &Path| {
        let model = Model::load(folder).unwrap();
        model.card.architecture.to_string().into_bytes()
    };
    try_all("notation", &notation, &|_, bytes| read_notation(bytes));
}

/// What the fuzzer found (`tools/fuzz/`): a damaged `Pad` makes two million rows of two, and a dozen nodes behind it
/// took 17 s and 2 GB.
#[test]
fn an_exported_file_that_makes_very_much_of_very_little_is_refused() {
    let file = include_bytes!("found/pad-adds-rows.onnx");
    let refused = run_again(file).unwrap_err().to_string();
    assert!(
        refused.contains("`Pad`") && refused.contains("more than a model needs"),
        "{refused}"
    );
}
